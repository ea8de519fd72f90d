"""Venue time that runs faster than real time, or jumps.

The feed owns the time of its venue: whoever trades on a recorded or generated market waits on this clock and on nothing
else. Time passes in sleeps alone, so what a run meets never depends on how fast this machine computes.
"""

import asyncio
import heapq
import math
from datetime import UTC, datetime

# Before time jumps, whatever is ready to run gets this many turns of the loop to reach its own sleep, counted from the last
# one that did; a jump that came sooner would carry one sleeper past the time at which another wanted to wake.
_TURNS = 64


class AcceleratedClock:
    """A ports.Clock that starts at ``start`` (aware UTC).

    Time stands still between sleeps and moves on to the earliest sleeper once nothing else on the event loop is ready.
    speed: virtual seconds per real second of that move; None: it takes no real time. Sleepers wake in the order of their
    times, equal times in the order in which they went to sleep. A thread is not seen: what runs in one must not be timed
    by this clock.
    """

    def __init__(self, start: datetime, speed: float | None) -> None:
        if start.utcoffset() is None:
            message = f"a clock can't start at {start.isoformat()}: the time has no zone"
            raise ValueError(message)
        if speed is not None and not (math.isfinite(speed) and speed > 0):
            message = f"speed is {speed}: write virtual seconds per real second, above 0"
            raise ValueError(message)
        self._now = start.astimezone(UTC)
        self._speed = speed
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._count = 0
        self._left = 0
        self._moving: asyncio.AbstractEventLoop | None = None
        self._arrival: tuple[datetime, asyncio.TimerHandle] | None = None

    def now(self) -> datetime:
        """The venue's time, aware UTC."""
        return self._now

    def forward_to(self, at: datetime) -> None:
        """Move on to ``at`` at once; nothing happens when it is past. For a venue that resumes, before anyone sleeps."""
        self._now = max(self._now, at)

    async def sleep_until(self, at: datetime) -> None:
        """Return once ``now()`` is ``at`` or later."""
        if at <= self._now:
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (at, self._count, waiter))
        self._left = _TURNS
        if self._moving is not loop:
            self._moving = loop
            self._arrival = None
            loop.call_soon(self._turn, loop)
        elif self._arrival is not None and at < self._arrival[0]:
            # somebody from outside woke a task while time was on its way to a later sleeper: it need not wait for that one
            self._arrival[1].cancel()
            self._arrival = None
            loop.call_soon(self._turn, loop)
        await waiter

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._left:
            self._left -= 1
            loop.call_soon(self._turn, loop)
        elif (earliest := self._earliest()) is None:
            self._moving = None
        elif self._speed is None:
            self._arrive(loop)
        else:
            timer = loop.call_later((earliest - self._now).total_seconds() / self._speed, self._arrive, loop)
            self._arrival = earliest, timer

    def _arrive(self, loop: asyncio.AbstractEventLoop) -> None:
        """Time is at the earliest sleeper, who may have come, or gone, while it moved."""
        self._arrival = None
        earliest = self._earliest()
        if earliest is None:
            self._moving = None
            return
        self._now = max(self._now, earliest)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)
        self._left = _TURNS
        loop.call_soon(self._turn, loop)

    def _earliest(self) -> datetime | None:
        """When the next sleeper wakes whom nobody cancelled; None without one."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None
