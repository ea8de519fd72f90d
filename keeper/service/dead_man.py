"""The dead-man switch of a run: should this process die, the venue cancels what rests. Where it has none, nothing is done."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from keeper.domain.errors import VenueError
from keeper.domain.observation import Observation
from keeper.ports import Clock, Venue

WITHIN = timedelta(minutes=2)
log = structlog.get_logger()


class DeadMan:
    """Armed as orders go out and again while a run lasts. That the venue does not answer changes nothing.

    The switch knows no difference between our orders and others: where somebody else's rest in the same markets, such as a
    stop that protects a position, it is left off. So it is, not being ``wanted``, where stops of ours do.
    """

    def __init__(self, venue: Venue, symbols: Sequence[str], *, wanted: bool = True) -> None:
        self._venue = venue
        self._clock: Clock = venue.clock
        self._symbols = symbols
        self._asked_at: datetime | None = None
        self._there_is_one = wanted

    async def arm(self, observation: Observation) -> None:
        """Have what rests canceled unless asked again, where that is due."""
        now = self._clock.now()
        if any(not order.is_ours for order in observation.account.open_orders):  # some switches cancel in every market
            await self.disarm()
            self._asked_at = None
            return
        if not self._there_is_one or (self._asked_at is not None and now - self._asked_at < WITHIN / 2):
            return
        self._asked_at = now
        await self._ask(WITHIN)

    async def disarm(self) -> None:
        """Leave what rests alone again."""
        if self._asked_at is not None and self._there_is_one:
            await self._ask(None)

    async def _ask(self, within: timedelta | None) -> None:
        try:
            self._there_is_one = await self._venue.dead_man(self._symbols, within)
        except VenueError as error:
            log.warning("dead_man.unanswered", symbols=list(self._symbols), error=str(error))
