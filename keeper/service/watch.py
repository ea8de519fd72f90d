"""When a fund's leverage is looked at: a task beside its keeper that reads what is public, and rings where more is to be done.

It never reads the account and never trades. Whoever keeps the fund does both, one thing at a time, so that an emergency and a
run of the schedule can't overlap.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from keeper.domain.errors import StaleData, VenueError
from keeper.ports import Bell, Clock
from keeper.service.monitor import EPOCH, Monitor
from keeper.service.rebalancer import Rebalancer

MOST_FAILURES = 3
"""Glances in a row that may fail before the keeper is to look for itself."""
CONFIRMED = timedelta(seconds=1)
"""After how long marks are read again that show an emergency: whoever shares what was read gets it anew by then."""
log = structlog.get_logger()


class Watch:
    """Glances at one fund. working: the run at work, if any; cut: ends it, for a reason."""

    def __init__(self, clock: Clock, bell: Bell, working: Callable[[], Rebalancer | None], cut: Callable[[str], None]) -> None:
        self._clock = clock
        self._bell = bell
        self._working = working
        self._cut = cut
        self._monitor: Monitor | None = None
        self._connected = asyncio.Event()
        self._glancing = asyncio.Lock()
        self._failures = 0
        self._alarmed = False
        self._near = False
        self._strays = False
        self._rest_until: datetime | None = None
        self._look_by: datetime | None = None

    @property
    def near(self) -> bool:
        """Whether little is left before an emergency, as far as is known."""
        return self._near

    @property
    def is_wanted(self) -> bool:
        """Whether the keeper is to look at the account now."""
        monitor = self._monitor
        if monitor is None or monitor.idle:
            return False
        now = self._clock.now()
        if self._rest_until is not None and now < self._rest_until:
            return False
        is_time = self._look_by is not None and now >= self._look_by
        return self._alarmed or self._rest_until is not None or is_time or monitor.is_due(near=self._near)

    @property
    def again_at(self) -> datetime | None:
        """When the keeper is to look again although nothing rings, None at no time that is yet to come."""
        now = self._clock.now()
        return min((at for at in (self._rest_until, self._look_by) if at is not None and now < at), default=None)

    def connect(self, monitor: Monitor) -> None:
        """Glance through ``monitor`` from here on."""
        self._monitor = monitor
        self._connected.set()

    async def disconnect(self) -> None:
        """Glance no more; nothing is being read any more when this returns."""
        async with self._glancing:
            self._monitor = None
            self._connected.clear()

    def looked(self, *, near: bool, rest_until: datetime | None = None) -> None:
        """The keeper has looked. near: an emergency is; rest_until: when it is to look next, None once that is due by itself."""
        self._alarmed, self._failures, self._near, self._rest_until, self._strays = False, 0, near, rest_until, False

    def look_by(self, at: datetime | None) -> None:
        """Have the keeper look at ``at``, if not before, since something was left undone; None: nothing was."""
        self._look_by = at

    def wake(self) -> None:
        """Let nothing rest any more."""
        self._rest_until = self._look_by = None

    async def keep(self) -> None:
        """Glance every so often, for ever."""
        try:
            while True:
                await self._connected.wait()
                monitor = self._monitor
                if monitor is None:
                    continue
                await self._clock.sleep_until(_following(self._clock.now(), monitor.rules.check_every))
                async with self._glancing:
                    await self._glance()
        finally:
            self._bell.ring()  # whoever keeps the fund must know that nobody watches any more

    async def _glance(self) -> None:
        monitor, working = self._monitor, self._working()
        if monitor is None or monitor.idle or (working is not None and working.fund.braking is not None):
            return
        danger = await self._seen(monitor)
        if danger:
            # one wrong price must not cut a run
            await self._clock.sleep_until(self._clock.now() + CONFIRMED)
            danger = await self._seen(monitor)
        if danger:
            self._alarmed = True
            if self._working() is not None:
                log.error("emergency.seen", why=danger)
                self._cut(f"emergency: {danger}")
        if self._strays and self._working() is None:
            self._alarmed = True
        if self._alarmed or self._failures >= MOST_FAILURES or (self._working() is None and self.is_wanted):
            self._alarmed = True
            self._bell.ring()

    async def _seen(self, monitor: Monitor) -> str:
        """Why there is an emergency, as far as public reads tell; empty where they show none or nothing."""
        working = self._working()
        try:
            reading = await monitor.glance(None if working is None else working.latest)
        except (VenueError, StaleData) as error:
            self._failures += 1
            log.warning("leverage.unseen", error=str(error), failures=self._failures)
            return ""
        if reading is None:
            return ""
        self._failures, self._near, self._strays = 0, reading.near, bool(reading.stray)
        return reading.danger


def _following(now: datetime, span: timedelta) -> datetime:
    """The next of the instants that lie ``span`` apart: the same for all funds, so that they share what they read."""
    return EPOCH + ((now - EPOCH) // span + 1) * span
