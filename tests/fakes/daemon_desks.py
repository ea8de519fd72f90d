"""A fund kept by a daemon on a scripted venue under virtual time, which a test may stop, restart and let time pass between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from keeper.domain.run import Run
from keeper.journal.store import SqlJournal
from keeper.policy.schedule import Schedule
from keeper.service.daemon import Daemon
from tests.fakes.daemons import Overseer, Venues, charge_of, daemon_of, daily, fund_of, memory
from tests.fakes.desks import drifted
from tests.fakes.paper import START
from tests.fakes.scripted_venue import ScriptedVenue

DAILY = daily("00:15")


@dataclass(slots=True)
class Kept:
    """One fund, its venue and journal. began: the daemons started so far."""

    venue: ScriptedVenue
    journal: SqlJournal
    venues: Venues
    schedule: Schedule | None = DAILY
    overseer: Overseer = field(default_factory=Overseer)
    poll: timedelta = timedelta(seconds=20)
    heartbeat: timedelta = timedelta(seconds=30)
    crashed: bool = False

    @property
    def now(self) -> datetime:
        return self.venue.clock.now()

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Daemon]:
        """A daemon at work while the block is; it is stopped as a signal would, or at once where the block called ``crash``."""
        charge = charge_of(self.venues, self.schedule, heartbeat=self.heartbeat)
        made = daemon_of([charge], self.venue.clock, supervisor=self.overseer, poll=self.poll)
        running = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            if self.crashed:
                running.cancel()
                self.crashed = False
            else:
                made.stop("the test stopped it")
            await asyncio.wait({running})
            if not running.cancelled():
                running.result()

    def crash(self) -> None:
        """Cut the daemon off where it stands."""
        self.crashed = True

    async def until(self, at: datetime) -> None:
        await self.venue.clock.sleep_until(at)

    async def passed(self, **parts: float) -> None:
        """Let time pass."""
        await self.until(self.now + timedelta(**parts))

    async def kept_until(self, at: datetime) -> None:
        """Keep the fund by one daemon until ``at``."""
        async with self.daemon():
            await self.until(at)

    async def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return list(reversed(await self.journal.runs()))

    async def when(self, holds: Callable[[], bool], *, step: timedelta = timedelta(seconds=1), limit: int = 100_000) -> None:
        """Let time pass until ``holds``."""
        for _ in range(limit):
            if holds():
                return
            await self.until(self.now + step)
        raise AssertionError("it never came to that")


@asynccontextmanager
async def kept(venue: ScriptedVenue | None = None, schedule: Schedule = DAILY) -> AsyncIterator[Kept]:
    """A fund that drifted from 3x to 2.739x, at midnight of 2025-03-01, a quarter of an hour before its first slot."""
    scripted, journal = venue or drifted(), memory()
    assert scripted.clock.now() == START
    desk = Kept(scripted, journal, Venues(scripted, journal, fund_of()), schedule)
    try:
        yield desk
    finally:
        assert await journal.verify() == ()
        await journal.close()
