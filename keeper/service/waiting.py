"""How a run waits: until a time, or for a venue that does not answer, and in either case no longer than until it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from keeper.domain.errors import StaleData, VenueUnavailable
from keeper.ports import Clock

R = TypeVar("R")
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=10)
log = structlog.get_logger()


class Waiting:
    """The waits of one run."""

    def __init__(self, fund: str, clock: Clock) -> None:
        self._fund = fund
        self._clock = clock
        self._over = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether the run was stopped, so that nothing is waited for any more."""
        return self._over.is_set()

    def end(self) -> None:
        """Stop waiting, now and from here on."""
        self._over.set()

    async def until(self, at: datetime) -> None:
        """Return at ``at``, or as soon as the waiting is over."""
        sleep = asyncio.ensure_future(self._clock.sleep_until(at))
        stop = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({sleep, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleep, stop):
                task.cancel()
            await asyncio.gather(sleep, stop, return_exceptions=True)

    async def patiently(self, read: Callable[[], Awaitable[R]], deadline: datetime) -> R:
        """``read``, tried again with growing pauses while the venue does not answer, until ``deadline`` or a stop."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await read()
            except (VenueUnavailable, StaleData) as error:
                again = self._clock.now() + pause
                if again > deadline or self.is_over:
                    raise
                log.warning("venue.unread", fund=self._fund, error=str(error))
                await self.until(again)
                pause = min(2 * pause, LONGEST_PAUSE)
