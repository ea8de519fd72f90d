"""What was spent of a budget by our own count, and when enough of it is given back: of a window that rolls, or of a pool.

The venue counts a request at some time between its sending and its answer. What is on its way is counted whole by whoever
asks here, and what was answered from its answer on, so that the venue never counts more than we do.
"""

from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Tally(Protocol):
    """What was answered. Amounts are in the budget's unit."""

    def spent(self, now: datetime) -> Decimal:
        """What of it counts by now."""
        ...

    def add(self, amount: Decimal, now: datetime) -> None:
        """It was answered now."""
        ...

    def opens(self, room: Decimal, flying: Decimal, now: datetime) -> datetime:
        """When what counts comes to ``room`` or less at the earliest, if ``flying`` is answered now and nobody else spends."""
        ...

    def since(self, at: datetime) -> Decimal:
        """What of it was answered at ``at`` or later; or more."""
        ...


class Window:
    """In any ``interval`` there may be so much: what was answered counts for one interval, and then no more."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._log: deque[tuple[datetime, Decimal]] = deque()
        self._logged = Decimal(0)

    def spent(self, now: datetime) -> Decimal:
        """See ``Tally``."""
        latest = now + self._interval
        if self._log and self._log[-1][0] > latest:  # the clock was set back
            self._log = deque((min(at, latest), amount) for at, amount in self._log)
        while self._log and self._log[0][0] <= now:
            self._logged -= self._log.popleft()[1]
        return self._logged

    def add(self, amount: Decimal, now: datetime) -> None:
        """See ``Tally``."""
        self._logged += amount
        self._log.append((now + self._interval, amount))

    def opens(self, room: Decimal, flying: Decimal, now: datetime) -> datetime:
        """See ``Tally``."""
        left = self.spent(now) + flying
        if left <= room:
            return now
        for at, gone in self._log:
            left -= gone
            if left <= room:
                return at
        return now + self._interval

    def since(self, at: datetime) -> Decimal:
        """See ``Tally``."""
        found = Decimal(0)
        for until, amount in reversed(self._log):
            if until - self._interval < at:
                break
            found += amount
        return found


class Pool:
    """There may be so much at once, and what was spent flows back evenly: ``capacity`` in each ``interval``."""

    def __init__(self, capacity: Decimal, interval: timedelta) -> None:
        self._capacity = capacity
        self._interval = interval
        self._full = EPOCH  # when all of it is back

    def spent(self, now: datetime) -> Decimal:
        """See ``Tally``."""
        self._full = min(self._full, now + self._interval)  # it can't lack more than all, whatever the clock was set to
        lacking = max(self._full - now, timedelta(0)) // MICROSECOND
        return self._capacity * lacking / (self._interval // MICROSECOND)

    def add(self, amount: Decimal, now: datetime) -> None:
        """See ``Tally``."""
        self._full = max(self._full, now) + self._flows(amount)

    def opens(self, room: Decimal, flying: Decimal, now: datetime) -> datetime:
        """See ``Tally``."""
        return max(now, max(self._full, now) + self._flows(flying - room))

    def since(self, at: datetime) -> Decimal:
        """Whatever was spent: a pool keeps no list."""
        return self.spent(at)

    def _flows(self, amount: Decimal) -> timedelta:
        """How long ``amount`` takes to flow back, to the next microsecond."""
        return MICROSECOND * int(((self._interval // MICROSECOND) * amount / self._capacity).to_integral_value(ROUND_CEILING))
