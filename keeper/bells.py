"""What wakes the funds' loops: APScheduler in real time, the venue's own clock where a feed makes the time.

A bell decides nothing. APScheduler runs a job twice, late or not at all where clocks change or machines sleep; here its
jobs do no more than ring, and whoever is woken asks the ledger. No other module imports it.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from keeper.ports import Bell, Clock

HEARTBEAT = timedelta(seconds=30)
"""How late a ring may be after the machine slept, since timers of the event loop stand still meanwhile."""


class Tower:
    """Bells that ring in real time, from ``__aenter__`` to ``__aexit__``: one scheduler for all of them.

    clock: real time; heartbeat: every bell rings so often whatever else was named.
    """

    def __init__(self, clock: Clock, *, heartbeat: timedelta = HEARTBEAT) -> None:
        self._clock = clock
        self._heartbeat = heartbeat
        self._bells: list[_AlarmBell] = []
        self._scheduler = AsyncIOScheduler(
            jobstores={"default": MemoryJobStore()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        self._beats: Job | None = None

    async def __aenter__(self) -> Self:
        self._scheduler.start()
        every = IntervalTrigger(seconds=self._heartbeat.total_seconds(), timezone=UTC)
        self._beats = self._scheduler.add_job(self._beat, every, id="heartbeat")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._scheduler.shutdown(wait=False)
        await self._clock.sleep_until(self._clock.now())  # its shutdown takes a turn of the event loop

    def bell(self, name: str) -> Bell:
        """A new bell. name: unlike that of any other."""
        bell = _AlarmBell(self, name)
        self._bells.append(bell)
        return bell

    def set_alarm(self, bell: "_AlarmBell", at: datetime) -> None:
        """Ring ``bell`` at ``at``; at once when that is past."""
        self._scheduler.add_job(bell.alarm, DateTrigger(at, timezone=UTC), id=bell.name, replace_existing=True)
        self._keep_beating()

    def _keep_beating(self) -> None:
        """An interval counts from its last beat: after the clock was set back by an hour there would be none for an hour."""
        if self._beats is None:
            return
        beat: datetime | None = self._beats.next_run_time
        soon = self._clock.now() + self._heartbeat
        if beat is None or beat > soon:
            self._beats.modify(next_run_time=soon)

    async def _beat(self) -> None:
        for bell in self._bells:
            bell.ring()


class _AlarmBell:
    """A bell of the tower."""

    def __init__(self, tower: Tower, name: str) -> None:
        self.name = f"bell {name}"
        self._tower = tower
        self._rung = asyncio.Event()

    def ring_at(self, at: datetime) -> None:
        self._tower.set_alarm(self, at)

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        await self._rung.wait()
        self._rung.clear()

    async def alarm(self) -> None:
        """What the scheduler runs: on the event loop, since it is a coroutine."""
        self.ring()


class ClockBell:
    """A bell on a clock that no scheduler of this machine can follow. heartbeat: in that clock's time."""

    def __init__(self, clock: Clock, *, heartbeat: timedelta) -> None:
        self._clock = clock
        self._heartbeat = heartbeat
        self._at: datetime | None = None
        self._rung = asyncio.Event()

    def ring_at(self, at: datetime) -> None:
        """Ring at ``at``."""
        self._at = at

    def ring(self) -> None:
        """Ring now."""
        self._rung.set()

    async def wait(self) -> None:
        """Return at the next ring."""
        beat = self._clock.now() + self._heartbeat
        until = beat if self._at is None else min(self._at, beat)
        sleep = asyncio.ensure_future(self._clock.sleep_until(until))
        rung = asyncio.ensure_future(self._rung.wait())
        try:
            await asyncio.wait({sleep, rung}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleep, rung):
                task.cancel()
            await asyncio.gather(sleep, rung, return_exceptions=True)
        self._rung.clear()
        if self._at is not None and self._at <= self._clock.now():
            self._at = None
