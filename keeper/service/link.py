"""What a kept fund trades over: a connection with what it loaded, opened anew where that is old, and who works over it."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from keeper.domain.errors import InvariantViolation
from keeper.service.charge import Charge
from keeper.service.day_book import DayBook
from keeper.service.monitor import Monitor
from keeper.service.rebalancer import Rebalancer

STALE = timedelta(minutes=10)
"""Age at which what a connection loaded is refreshed before it is used."""


class Link:
    """The connection of one fund. monitor, days: who looks at its leverage and keeps its days over it, None without one."""

    def __init__(self, charge: Charge) -> None:
        self.monitor: Monitor | None = None
        self.days: DayBook | None = None
        self._charge = charge
        self._connection: AsyncExitStack | None = None
        self._make: Callable[[], Rebalancer] | None = None
        self._loaded_at: datetime | None = None
        self._warm_for: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is one, whatever became of what it loaded."""
        return self._make is not None

    @property
    def is_fresh(self) -> bool:
        """Whether there is one, and what it loaded is not old."""
        return self.is_open and self._loaded_at is not None and self._charge.clock.now() - self._loaded_at < STALE

    def rebalancer(self) -> Rebalancer:
        """One that works over it. InvariantViolation where there is none."""
        if self._make is None:
            message = f"{self._charge.owner.fund} is to trade without a connection"
            raise InvariantViolation(message)
        return self._make()

    async def open(self) -> None:
        """Connect. VenueError where the venue does not let one."""
        connection = AsyncExitStack()
        self._make = await connection.enter_async_context(self._charge.open())
        self._connection = connection

    def staff(self) -> Monitor:
        """Have somebody look at leverage and keep the days; who looks is returned."""
        self.monitor = self.rebalancer().monitor()
        self.days = self.rebalancer().day_book(self.monitor)
        return self.monitor

    def loaded(self) -> datetime:
        """What it loaded is as of now, which is returned."""
        self._loaded_at = self._charge.clock.now()
        return self._loaded_at

    def doubt(self) -> None:
        """Take what it loaded for old."""
        self._loaded_at = None

    async def warm(self, slot_at: datetime) -> None:
        """Have what the reads of the slot at ``slot_at`` (aware) need be open; once for each."""
        if self._warm_for != slot_at:
            await self._charge.warm()
            self._warm_for = slot_at

    async def close(self) -> None:
        """Let go of it."""
        connection, self._connection = self._connection, None
        self._make = self._loaded_at = self._warm_for = None
        self.monitor = self.days = None
        if connection is not None:
            await connection.aclose()
