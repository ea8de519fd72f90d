"""What keeps a fund's process from its work: said once, tried again after pauses that grow up to a cap, told to the breakers."""

from datetime import datetime, timedelta

import structlog

from keeper.domain.errors import StaleData, VenueError, VenueRefused, VenueUnavailable
from keeper.ports import Clock, Journal
from keeper.service.guard import Guard

FIRST_RETRY, LONGEST_RETRY, LONGEST_REFUSED = timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=5)
LONGEST_NEAR = timedelta(seconds=10)
"""The longest pause while little is left before an emergency."""
log = structlog.get_logger()


class Trouble:
    """The trouble of one fund. since: when it began, None without any; quiet_until: until when nothing is tried again."""

    def __init__(self, fund: str, journal: Journal, clock: Clock, guard: Guard) -> None:
        self._fund = fund
        self._journal = journal
        self._clock = clock
        self._guard = guard
        self._failures = 0
        self.words = ""
        self.since: datetime | None = None
        self.quiet_until: datetime | None = None

    async def begin(self) -> None:
        """Take over what a process that is gone said of it, until we know better."""
        self.words = (await self._journal.standing(self._fund)).trouble

    def is_quiet(self, now: datetime) -> bool:
        """Whether nothing is to be tried at ``now``."""
        return self.quiet_until is not None and now < self.quiet_until

    def quiet_for(self, span: timedelta) -> None:
        """Try nothing again for so long."""
        self.quiet_until = self._clock.now() + span

    def before(self, at: datetime) -> str:
        """The trouble that there is, if it began by ``at``; empty where there is none."""
        return self.words if self.since is not None and self.since <= at else ""

    async def met(self, error: VenueError | StaleData, *, near: bool) -> None:
        """Say so once, and keep quiet for a while. near: little is left before an emergency."""
        longest = LONGEST_REFUSED if isinstance(error, VenueRefused) else LONGEST_RETRY
        pause = min(FIRST_RETRY * 2 ** min(self._failures, 10), LONGEST_NEAR if near else longest)
        self._failures += 1
        self.since = self.since or self._clock.now()
        self.quiet_for(pause)
        log.warning("venue.trouble", error=str(error), retry_in=pause.total_seconds())
        await self._tell(str(error))
        lasts = self._clock.now() - self.since
        if isinstance(error, VenueUnavailable):
            await self._guard.judge(trouble=lasts)
        elif isinstance(error, StaleData):
            await self._guard.judge(unseen=lasts)

    async def over(self) -> None:
        """All is well again."""
        if self._failures:
            log.info("venue.back", failures=self._failures)
            await self._guard.judge()
        self._failures, self.quiet_until, self.since = 0, None, None
        await self._tell("")

    async def _tell(self, words: str) -> None:
        if words != self.words:
            self.words = words
            await self._journal.set_trouble(self._fund, words, at=self._clock.now())
