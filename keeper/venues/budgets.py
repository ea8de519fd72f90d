"""How much a venue lets itself be asked: what it counts, in which windows, and what of that is spent by now.

Values and counting only; who waits for whom is decided in ``throttle``. Amounts are Decimal because some venues, and ccxt's
generic figures, weigh a request in fractions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import IntEnum, StrEnum

from keeper.domain.errors import InvariantViolation
from keeper.venues.tallies import EPOCH, MICROSECOND, Pool, Tally, Window

OFFSET = timedelta(seconds=1)
"""How far this machine's clock may be off the venue's."""
TWENTIETHS = 20
TOO_FEW_TO_KEEP_ANY = 4
BURST = Decimal("0.2")
"""What part of their ceiling reads may take at once after a rest; the remainder is what flows in over one interval, so that both
together never pass it and leave some room to what else is sent."""
SILENCE = timedelta(seconds=60)


class Priority(IntEnum):
    """Who goes first, and how many twentieths of a budget it leaves to those before it: the cancels' reserve and so on."""

    CANCEL = 0
    ORDER = 1
    LOOKUP = 2
    """What settles a request that was sent: an order, its trades."""
    READ = 3


class Unit(StrEnum):
    """What a budget counts: the weight of requests, that of those about the past where they are weighed apart, or new orders."""

    WEIGHT = "weight"
    PAST = "past"
    ORDERS = "orders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a venue grants: ``capacity`` of ``unit`` in any ``interval``.

    flows: whether it is a pool instead, which may be emptied at once and fills up evenly in one interval; per_account: whether
    each account has its own, else the whole address shares one; aligned: whether the venue's windows begin at whole multiples
    of the interval in UTC, else they roll; burst: the fraction that reads may take at once, the rest flows in evenly.
    InvariantViolation for a budget that grants nothing.
    """

    name: str
    unit: Unit
    capacity: Decimal
    interval: timedelta
    flows: bool = False
    per_account: bool = False
    aligned: bool = False
    burst: Decimal = BURST

    def __post_init__(self) -> None:
        if not (self.capacity > 0 and self.interval > timedelta(0)):
            raise InvariantViolation(f"budget {self.name} grants nothing")

    def ceiling(self, priority: Priority) -> Decimal:
        """How much may be spent after a request of ``priority``; above that is the reserve of those that go before it."""
        if self.capacity < TOO_FEW_TO_KEEP_ANY:
            return self.capacity
        return self.capacity - (self.capacity * priority / TWENTIETHS).to_integral_value(ROUND_CEILING)


class Clocked(StrEnum):
    """How a header tells the time at which a count begins anew."""

    SECONDS = "epoch seconds"
    MILLISECONDS = "epoch milliseconds"
    MILLISECONDS_LEFT = "milliseconds from now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """Where an answer tells how much of ``budget`` is gone.

    header: its name; left: whether it tells what remains instead of what is used; resets: the header with the time at which
    the count begins anew, as ``clocked`` says, empty where there is none.
    """

    budget: str
    header: str
    left: bool = False
    resets: str = ""
    clocked: Clocked = Clocked.MILLISECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one venue grants to an address, and where it tells what is left of it.

    bans: HTTP statuses by which it asks for silence, and how long that lasts where no Retry-After says so.
    """

    budgets: tuple[Budget, ...]
    gauges: tuple[Gauge, ...] = ()
    bans: Mapping[int, timedelta] = field(default_factory=lambda: {418: SILENCE, 429: SILENCE})

    def __post_init__(self) -> None:
        names = [budget.name for budget in self.budgets]
        if len(set(names)) < len(names) or not {gauge.budget for gauge in self.gauges} <= set(names):
            raise InvariantViolation("the budgets of a venue have names of their own, and its gauges name them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an answer told of a budget: ``amount`` used, or left of it; resets: when the count begins anew, if it says so."""

    budget: str
    amount: Decimal
    left: bool
    resets: datetime | None


def readings(gauges: Sequence[Gauge], headers: Mapping[str, str], now: datetime) -> Iterator[Reading]:
    """What an answer's headers (any case) tell; whatever can't be read tells nothing."""
    told = {name.lower(): value for name, value in headers.items()}
    for gauge in gauges:
        amount = told.get(gauge.header.lower(), "")
        if amount.isascii() and amount.isdecimal():
            resets = _instant(told.get(gauge.resets.lower(), ""), gauge.clocked, now)
            yield Reading(budget=gauge.budget, amount=Decimal(amount), left=gauge.left, resets=resets)


def _instant(text: str, clocked: Clocked, now: datetime) -> datetime | None:
    if not (text.isascii() and text.isdecimal()):
        return None
    try:
        match clocked:
            case Clocked.SECONDS:
                return EPOCH + timedelta(seconds=int(text))
            case Clocked.MILLISECONDS:
                return EPOCH + timedelta(milliseconds=int(text))
            case Clocked.MILLISECONDS_LEFT:
                return now + timedelta(milliseconds=int(text))
    except OverflowError:
        return None


@dataclass(slots=True)
class _Told:
    """The venue's own count: at least what it is by now, since what is sent afterwards is added.

    heard: when the answer came that told it; until: when it begins anew.
    """

    count: Decimal
    heard: datetime
    until: datetime


@dataclass(slots=True)
class _Others:
    """What other processes and people took at the same address, by the venue's aligned windows.

    window: number of the present one; taken: in it so far; before: in the one right before it.
    """

    window: int = 0
    taken: Decimal = Decimal(0)
    before: Decimal = Decimal(0)

    def saw(self, taken: Decimal, window: int) -> None:
        if window != self.window:
            self.before = self.taken if window == self.window + 1 else Decimal(0)
            self.window, self.taken = window, Decimal(0)
        self.taken = max(self.taken, taken)


class Meter:
    """What is spent of one budget.

    A request counts here from its sending, and after its answer as ``tallies`` has it: then no window of the venue, wherever it
    begins, holds more than was spent here at once, and no pool of it less than is left here. Where the venue tells its own
    count that is heeded, too, and what may wait leaves to others as much as they took in the window before. Reads are paced
    beside that: an address asked for more than it has serves them evenly instead of by fits.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._tally: Tally = Pool(budget.capacity, budget.interval) if budget.flows else Window(budget.interval)
        self._flying = Decimal(0)
        self._told: _Told | None = None
        self._others = _Others()
        ceiling = budget.ceiling(Priority.READ)
        self._flow = ceiling - ceiling * budget.burst
        self._burst = self._duration(ceiling * budget.burst)
        self._paced = EPOCH

    def _duration(self, amount: Decimal) -> timedelta:
        """How long ``amount`` takes to flow in."""
        return MICROSECOND * int(((self.budget.interval // MICROSECOND) * amount / self._flow).to_integral_value(ROUND_CEILING))

    def used(self, now: datetime) -> Decimal:
        """What is spent by now, by our count or the venue's, whichever is more."""
        self._advance(now)
        own = self._tally.spent(now) + self._flying
        return own if self._told is None else max(own, self._told.count)

    def _advance(self, now: datetime) -> None:
        latest = now + self.budget.interval
        self._paced = min(self._paced, now + self._burst)
        if self._told is not None and not now < self._told.until <= latest + OFFSET:
            self._told = None

    def opens(self, amount: Decimal, priority: Priority, now: datetime) -> datetime:
        """When ``amount`` fits at the earliest if nobody else spends; ``now`` or before: it does.

        What is more than the whole ceiling fits when nothing else is spent.
        """
        self._advance(now)
        room = max(self.budget.ceiling(priority) - amount, Decimal(0))
        told = self._told_opens(room, now) if priority < Priority.LOOKUP else self._others_open(room, now)
        return max(self._own_opens(room, now), told, self._pace_opens(amount, priority, now))

    def _own_opens(self, room: Decimal, now: datetime) -> datetime:
        return self._tally.opens(room, self._flying, now)

    def _told_opens(self, room: Decimal, now: datetime) -> datetime:
        return now if self._told is None or self._told.count <= room else self._told.until

    def _others_open(self, room: Decimal, now: datetime) -> datetime:
        """As ``_told_opens``, with what others will take in what is left of the window, if they go on as in the one before."""
        interval, before = self.budget.interval, self._others.before
        if self._told is None or self._told.count > room or self._number(now) != self._others.window or not before:
            return self._told_opens(room, now)
        left = (interval // MICROSECOND) * (room - self._told.count) / before
        return max(now, self._window_end(now) - MICROSECOND * min(int(left), interval // MICROSECOND))

    def _number(self, now: datetime) -> int:
        return (now - EPOCH) // self.budget.interval

    def _window_end(self, now: datetime) -> datetime:
        return EPOCH + self.budget.interval * (self._number(now) + 1)

    def _pace_opens(self, amount: Decimal, priority: Priority, now: datetime) -> datetime:
        if priority is not Priority.READ:
            return now
        return max(now, max(self._paced, now) + min(self._duration(amount), self._burst) - self._burst)

    def sure(self, amount: Decimal, priority: Priority, now: datetime) -> datetime:
        """As ``opens``, of what no answer can make come earlier: the venue's count may turn out to be less."""
        self._advance(now)
        room = max(self.budget.ceiling(priority) - amount, Decimal(0))
        return max(self._own_opens(room, now), self._pace_opens(amount, priority, now))

    def send(self, amount: Decimal, priority: Priority, now: datetime) -> None:
        """Spend ``amount`` from now on."""
        self._flying += amount
        if self._told is not None:
            self._told.count += amount
        if priority is Priority.READ:
            self._paced = max(self._paced, now) + self._duration(amount)

    def answered(self, amount: Decimal, now: datetime) -> None:
        """What was sent is answered or given up: the venue has counted it by now."""
        self._advance(now)
        self._flying -= amount
        self._tally.add(amount, now)

    def withdraw(self, amount: Decimal, priority: Priority) -> None:
        """What was to be sent never was."""
        self._flying -= amount
        if self._told is not None:
            self._told.count -= amount
        if priority is Priority.READ:
            self._paced -= self._duration(amount)

    def told(self, reading: Reading, amount: Decimal, asked: datetime, now: datetime) -> None:
        """Take over the venue's count, told in answer to ``amount`` sent at ``asked``, which is in flight yet.

        It may lack whatever else was not answered by the time that was sent.
        """
        self._advance(now)
        lacking = self._flying - amount + self._tally.since(asked)
        used = max(self.budget.capacity - reading.amount, Decimal(0)) if reading.left else reading.amount
        if self.budget.aligned:
            self._others.saw(max(used - self._tally.spent(now) - self._flying, Decimal(0)), self._number(now))
        # what was asked before the last answer came may have been counted before it, too
        if self._told is None or asked >= self._told.heard or used + lacking > self._told.count:
            self._told = _Told(count=used + lacking, heard=now, until=self._renewal(reading, now))

    def _renewal(self, reading: Reading, now: datetime) -> datetime:
        interval = self.budget.interval
        if reading.resets is not None:
            return min(max(reading.resets, now), now + interval) + min(OFFSET, interval)
        if self.budget.aligned:
            return self._window_end(now) + min(OFFSET, interval)
        return now + interval
