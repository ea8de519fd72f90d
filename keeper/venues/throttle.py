"""One queue for all that is sent to a venue's address: nothing goes out that the venue would not take, the urgent goes first.

Strict priorities, first come first served within each; what waits for one account's budget holds up nobody else. A request
is refused before it is sent rather than sent late. Time comes from the clock alone and nothing is kept outside these objects.
"""

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Self

from keeper.domain.errors import InvariantViolation, VenueUnavailable
from keeper.ports import Clock
from keeper.venues.budgets import Budget, Limits, Meter, Priority, Unit, readings

Draws = Sequence[tuple[Meter, Decimal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one request takes: weight by the venue's table, and how many new orders are in it.

    past: whether it is one about the past, which some venues weigh apart. InvariantViolation for a weight that is not above
    zero, since every request weighs something on the way.
    """

    weight: Decimal
    orders: int = 0
    past: bool = False

    def __post_init__(self) -> None:
        if not (self.weight > 0 and self.orders >= 0):
            raise InvariantViolation(f"a request weighs {self.weight} and holds {self.orders} orders")

    def of(self, unit: Unit) -> Decimal:
        """What it takes of a budget that counts ``unit``."""
        match unit:
            case Unit.WEIGHT:
                return Decimal(0) if self.past else self.weight
            case Unit.PAST:
                return self.weight if self.past else Decimal(0)
            case Unit.ORDERS:
                return Decimal(self.orders)


@dataclass(slots=True, eq=False)
class _Waiter:
    """One that waits. draws: what it takes of which meter; by: until when its turn is worth having."""

    priority: Priority
    draws: Draws
    by: datetime
    turn: "asyncio.Future[datetime]" = field(repr=False)


class Turn:
    """Leave to send one request, by ``async with``: from entering, which waits, until its answer is read or given up.

    Entering raises VenueUnavailable, and nothing may be sent, when the turn can't come in time.
    """

    def __init__(self, throttle: "Throttle", priority: Priority, draws: Draws, by: datetime) -> None:
        self._throttle = throttle
        self._priority = priority
        self._draws = draws
        self._by = by
        self._sent: datetime | None = None

    async def __aenter__(self) -> Self:
        if self._sent is not None:
            raise InvariantViolation("a turn is for one request")
        self._sent = await self._throttle.wait(self._priority, self._draws, self._by)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._throttle.end(self._draws)

    def answered(self, headers: Mapping[str, str]) -> None:
        """Take over what the headers of this request's answer tell of the venue's own count."""
        if self._sent is not None:
            self._throttle.tell(self._draws, headers, self._sent)


class Throttle:
    """The limiter of one address, for all who send there. limits: what the venue grants to it."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._meters: dict[tuple[str, str], Meter] = {}
        self._lanes: dict[Priority, dict[_Waiter, None]] = {priority: {} for priority in Priority}
        self._ends: list[tuple[datetime, int, _Waiter]] = []
        self._count = 0
        self._silent: datetime | None = None
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: datetime | None = None
        apart = any(row.unit is Unit.PAST for row in limits.budgets)
        drawn_by_all = [row for row in limits.budgets if row.unit is Unit.WEIGHT and not (row.per_account or apart)]
        self._common = frozenset(self._meter(row, "") for row in drawn_by_all)

    def turn(self, priority: Priority, cost: Cost, *, by: datetime, account: str = "") -> Turn:
        """A turn for one request of ``account``. by: aware UTC, after which it must not be sent, however long it waited."""
        draws = [(self._meter(row, account), cost.of(row.unit)) for row in self.limits.budgets if cost.of(row.unit) > 0]
        return Turn(self, priority, draws, by)

    def _meter(self, budget: Budget, account: str) -> Meter:
        key = budget.name, account if budget.per_account else ""
        if key not in self._meters:
            self._meters[key] = Meter(budget)
        return self._meters[key]

    def silent_until(self, at: datetime) -> None:
        """Send nothing at all before ``at``, cancels neither: the venue would make the ban longer. A shorter one ends no ban."""
        self._silent = at if self._silent is None else max(self._silent, at)
        self._serve()

    async def wait(self, priority: Priority, draws: Draws, by: datetime) -> datetime:
        """When the turn came, which is now; for ``Turn``."""
        waiter = _Waiter(priority, draws, by, asyncio.get_running_loop().create_future())
        self._lanes[priority][waiter] = None
        self._count += 1
        heapq.heappush(self._ends, (by, self._count, waiter))
        self._serve()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.cancelled():
                self._lanes[priority].pop(waiter, None)
            elif waiter.turn.exception() is None:
                for meter, amount in draws:
                    meter.withdraw(amount, priority)
            self._serve()  # whoever stood behind it may go
            raise

    def end(self, draws: Draws) -> None:
        """A request is answered or given up; for ``Turn``."""
        now = self._clock.now()
        for meter, amount in draws:
            meter.answered(amount, now)

    def tell(self, draws: Draws, headers: Mapping[str, str], sent: datetime) -> None:
        """Take over the venue's counts; for ``Turn``."""
        now = self._clock.now()
        told = {reading.budget: reading for reading in readings(self.limits.gauges, headers, now)}
        for meter, amount in draws:
            if (reading := told.get(meter.budget.name)) is not None:
                meter.told(reading, amount, sent, now)
        self._serve()

    def _serve(self) -> None:
        """Let go whoever may, refuse whoever can't in time, and see to it that this is asked again when it can change."""
        now = self._clock.now()
        if self._silent is not None and now < self._silent:
            wake: datetime | None = self._silent
            for waiter in [each for lane in self._lanes.values() for each in lane if each.by < self._silent]:
                self._refuse(waiter, f"the venue asked for silence until {self._silent}")
        else:
            wake = self._let_go(now)
        while self._ends and (self._ends[0][0] <= now or self._ends[0][2].turn.done()):
            _, _, waiter = heapq.heappop(self._ends)
            self._refuse(waiter, f"its turn did not come by {waiter.by}")
        if self._ends and wake is not None:
            self._ring_at(min(wake, self._ends[0][0]))
        elif self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _let_go(self, now: datetime) -> datetime | None:
        """When the next of those who could not go may be able to; None when nobody is left."""
        short: set[Meter] = set()
        wake: datetime | None = None
        for waiter in [each for lane in self._lanes.values() for each in lane]:
            if waiter.turn.done():  # it was canceled together with others, and has not heard of it yet
                del self._lanes[waiter.priority][waiter]
                continue
            if waiter.by < now:
                self._refuse(waiter, f"its turn did not come by {waiter.by}")
                continue
            if any(meter in short for meter, _ in waiter.draws):
                continue
            lacking = {meter: at for meter, amount in waiter.draws if (at := meter.opens(amount, waiter.priority, now)) > now}
            if not lacking:
                self._grant(waiter, now)
                continue
            if max(meter.sure(amount, waiter.priority, now) for meter, amount in waiter.draws) > waiter.by:
                self._refuse(waiter, f"its turn can't come by {waiter.by}")
                continue
            short.update(lacking)
            opens = max(lacking.values())
            wake = opens if wake is None else min(wake, opens)
            if not self._common.isdisjoint(short):
                break
        return wake

    def _grant(self, waiter: _Waiter, now: datetime) -> None:
        del self._lanes[waiter.priority][waiter]
        for meter, amount in waiter.draws:
            meter.send(amount, waiter.priority, now)
        waiter.turn.set_result(now)

    def _refuse(self, waiter: _Waiter, why: str) -> None:
        if not waiter.turn.done():
            del self._lanes[waiter.priority][waiter]
            waiter.turn.set_exception(VenueUnavailable(f"not sent: {why}"))

    def _ring_at(self, at: datetime) -> None:
        if self._alarm is not None:
            if self._alarm_at is not None and self._alarm_at <= at:
                return
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = asyncio.ensure_future(self._ring(at))
        self._alarm.add_done_callback(self._rang)

    async def _ring(self, at: datetime) -> None:
        await self._clock.sleep_until(at)
        self._alarm = None
        self._serve()

    def _rang(self, alarm: "asyncio.Task[None]") -> None:
        if not alarm.cancelled() and (error := alarm.exception()) is not None:
            for waiter in [each for lane in self._lanes.values() for each in lane]:
                self._refuse(waiter, f"nobody can tell when its turn comes ({type(error).__name__})")


class Throttles:
    """The throttles of a process, one for each address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: dict[str, Throttle] = {}

    def at(self, host: str, limits: Limits) -> Throttle:
        """The one throttle of ``host``. InvariantViolation when it was made with other limits."""
        if host not in self._made:
            self._made[host] = Throttle(limits, self._clock)
        if self._made[host].limits != limits:
            raise InvariantViolation(f"two limits for {host}")
        return self._made[host]
