"""The stops of a simulated exchange: they rest in a list of their own, and become market orders once the mark has come."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum, auto
from itertools import count

from tests.fakes.exchange_core import ZERO, ExchangeCore, Order, Reason, Refusal, Status


class StopStatus(StrEnum):
    """Where a stop stands; how that is worded is for the skin."""

    RESTS = auto()
    WENT_OFF = auto()
    CANCELED = auto()


@dataclass(slots=True, kw_only=True)
class Stop:
    """One stop. amount: contracts; trigger: mark, quote per base; at, changed_at: ms; made: the order it became."""

    id: int
    client_id: str
    symbol: str
    sign: int
    amount: Decimal
    trigger: Decimal
    at: int
    changed_at: int
    status: StopStatus = StopStatus.RESTS
    made: Order | None = None


@dataclass(slots=True)
class StopDesk:
    """The stops of one account."""

    core: ExchangeCore
    stops: list[Stop] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=lambda: count(3_001))

    def __post_init__(self) -> None:
        self.core.on_move = self.strike

    def place(self, *, client_id: str, symbol: str, sign: int, amount: Decimal, trigger: Decimal) -> Stop:
        """Take a reduce-only stop on the mark. Raises Refusal."""
        _check(self.core, symbol, sign, amount, trigger)
        if any(client_id == stop.client_id for stop in self.stops):
            raise Refusal(Reason.DUPLICATE)
        now = self.core.now()
        stop = Stop(
            id=next(self._ids),
            client_id=client_id,
            symbol=symbol,
            sign=sign,
            amount=amount,
            trigger=trigger,
            at=now,
            changed_at=now,
        )
        self.stops.append(stop)
        return stop

    def find(self, *, client_id: str | None = None, stop_id: int | None = None) -> Stop:
        for stop in reversed(self.stops):
            if stop.id == stop_id or (client_id is not None and stop.client_id == client_id):
                return stop
        raise Refusal(Reason.NO_SUCH_ORDER)

    def cancel(self, client_id: str) -> Stop:
        for stop in self.resting():
            if stop.client_id == client_id:
                stop.status, stop.changed_at = StopStatus.CANCELED, self.core.now()
                return stop
        raise Refusal(Reason.NOTHING_RESTS)

    def resting(self) -> list[Stop]:
        return [stop for stop in self.stops if stop.status is StopStatus.RESTS]

    def strike(self) -> None:
        """Set off those to whose trigger the mark has come."""
        for stop in self.resting():
            if (self.core.mark(stop.symbol) - stop.trigger) * stop.sign >= 0:
                stop.status, stop.changed_at = StopStatus.WENT_OFF, self.core.now()
                stop.made = self._market_order(stop)

    def _market_order(self, stop: Stop) -> Order:
        """What a stop becomes: its client id is the exchange's own."""
        worst = self.core.mark(stop.symbol) * 2 if stop.sign > 0 else ZERO
        order = self.core.rest(f"x-algo{stop.id}", stop.symbol, stop.sign, stop.amount, worst)
        order.time_in_force, order.reduce_only, order.market = "IOC", True, True
        if self.core.held(stop.symbol) * stop.sign >= 0:
            order.status = Status.EXPIRED
        else:
            self.core.match(order)
        return order


def place_in_line(core: ExchangeCore, *, client_id: str, symbol: str, sign: int, amount: Decimal, trigger: Decimal) -> Order:
    """Take a stop where it is an order like any other, which rests until it is set off. Raises Refusal."""
    _check(core, symbol, sign, amount, trigger)
    if client_id in {order.client_id for order in core.orders.values()}:
        raise Refusal(Reason.DUPLICATE)
    order = core.rest(client_id, symbol, sign, amount, core.mark(symbol) * 2 if sign > 0 else ZERO)
    order.reduce_only, order.market, order.trigger, order.time_in_force = True, True, trigger, "IOC"
    core.on_move = lambda: _strike_in_line(core)
    return order


def _strike_in_line(core: ExchangeCore) -> None:
    for order in core.open_orders():
        if order.trigger is not None and (core.mark(order.symbol) - order.trigger) * order.sign >= 0:
            if core.held(order.symbol) * order.sign < 0:
                core.match(order)
            if order.status.rests:
                order.status = Status.CANCELED


def _check(core: ExchangeCore, symbol: str, sign: int, amount: Decimal, trigger: Decimal) -> None:
    rules = core.instrument(symbol)
    for broken, reason in (
        (not rules.open, Reason.CLOSED),
        (amount <= 0, Reason.NOT_POSITIVE),
        (amount % rules.step != 0, Reason.LOT),
        (trigger % rules.tick != 0, Reason.TICK),
        ((core.mark(symbol) - trigger) * sign >= 0, Reason.WOULD_TRIGGER),
        (core.held(symbol) * sign >= 0, Reason.REDUCE_ONLY),
    ):
        if broken:
            raise Refusal(reason)
