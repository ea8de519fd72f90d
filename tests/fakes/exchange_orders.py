"""The orders of a simulated exchange, whatever kind of account stands behind them: taken, matched, found, listed, canceled."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count

from tests.fakes.exchange_values import (
    ZERO,
    Instrument,
    Ladder,
    Order,
    Reason,
    Refusal,
    Status,
    Trade,
    Unique,
)

ALL = ""


@dataclass(slots=True, kw_only=True)
class OrderDesk:
    """Markets, their liquidity and the orders of one account.

    now: ms; marks, indexes, lasts: follow the mid unless set apart; countdowns: when resting orders of a symbol, or ``ALL``,
    are canceled, ms; spared: ids of orders that no such countdown cancels; on_move: called as a mid moves; newest_first: which
    orders a list that is too long shows; unique: client ids, among which orders.
    """

    now: Callable[[], int]
    wallet: dict[str, Decimal]
    instruments: dict[str, Instrument]
    ladders: dict[str, Ladder]
    fee_rate: Decimal = Decimal("0.0005")
    unique: Unique = Unique.OPEN
    marks: dict[str, Decimal] = field(default_factory=dict)
    indexes: dict[str, Decimal] = field(default_factory=dict)
    lasts: dict[str, tuple[Decimal, int]] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    countdowns: dict[str, int] = field(default_factory=dict)
    spared: set[int] = field(default_factory=set)
    newest_first: bool = False
    on_move: Callable[[], None] = lambda: None
    _ids: "count[int]" = field(default_factory=lambda: count(8_000_001))

    def check_account(self, order: Order) -> None:
        """Raise Refusal for an order that the account can't bear."""
        raise NotImplementedError

    def book(self, order: Order, amount: Decimal, price: Decimal) -> None:
        """Book one execution of ``order`` on the account."""
        raise NotImplementedError

    def reducible(self, symbol: str) -> Decimal:
        """Contracts that a reduce-only order may fill at most."""
        raise NotImplementedError

    def mark(self, symbol: str) -> Decimal:
        return self.marks.get(symbol, self.ladders[symbol].mid)

    def index(self, symbol: str) -> Decimal:
        return self.indexes.get(symbol, self.mark(symbol))

    def set_mid(self, symbol: str, mid: Decimal) -> None:
        self.ladders[symbol].mid = mid
        self.on_move()

    def instrument(self, symbol: str) -> Instrument:
        found = self.instruments.get(symbol)
        if found is None or symbol not in self.ladders:
            raise Refusal(Reason.UNKNOWN_SYMBOL)
        return found

    def last(self, symbol: str) -> tuple[Decimal, int]:
        """The last price and its time (ms)."""
        return self.lasts.get(symbol, (self.ladders[symbol].mid, self.now()))

    def open_orders(self, symbol: str = ALL) -> list[Order]:
        self._run_countdowns()
        return [one for one in self.orders.values() if one.status.rests and symbol in (ALL, one.symbol)]

    def find(self, symbol: str, *, order_id: int | None, client_id: str | None) -> Order:
        """The latest order of an id, in one market or in ``ALL``."""
        self._run_countdowns()
        for order in reversed(self.orders.values()):
            if symbol in (ALL, order.symbol) and _is_named(order, order_id, client_id):
                return order
        raise Refusal(Reason.NO_SUCH_ORDER)

    def place(
        self, *, client_id: str, symbol: str, sign: int, amount: Decimal, price: Decimal, time_in_force: str, reduce_only: bool
    ) -> Order:
        """Take an order, ``IOC`` or ``GTC``, and match it against the book. Raises Refusal."""
        order = self._made(client_id, symbol, sign, amount, price)
        order.time_in_force, order.reduce_only = time_in_force, reduce_only
        self._check_shape(order)
        self._check_unique(order)
        self.check_account(order)
        self.orders[order.id] = order
        self.match(order)
        return order

    def cancel(self, symbol: str, *, order_id: int | None, client_id: str | None) -> Order:
        if symbol != ALL:
            self.instrument(symbol)
        for order in self.open_orders(symbol):
            if _is_named(order, order_id, client_id):
                order.status = Status.CANCELED
                return order
        raise Refusal(Reason.NOTHING_RESTS)

    def count_down(self, symbol: str, wait: int) -> None:
        """Cancel what rests in a market, or in ``ALL``, ``wait`` ms from now, unless asked again; 0 takes that off."""
        if symbol != ALL:
            self.instrument(symbol)
        self._run_countdowns()
        self.countdowns.pop(symbol, None)
        if wait > 0:
            self.countdowns[symbol] = self.now() + wait

    def _run_countdowns(self) -> None:
        for symbol, due in list(self.countdowns.items()):
            if self.now() >= due:
                del self.countdowns[symbol]
                for order in self.orders.values():
                    if symbol in (ALL, order.symbol) and order.status.rests and order.id not in self.spared:
                        order.status = Status.CANCELED

    def listed(self, symbol: str, first: int | None, last: int | None, *, limit: int, longest: int) -> list[Order]:
        """The orders of a market, or of ``ALL``, placed between two times (ms), of too many ``limit``, oldest first."""
        if symbol != ALL:
            self.instrument(symbol)
        self._run_countdowns()
        if first is not None and last is not None and last - first > longest:
            raise Refusal(Reason.TOO_LONG_A_TIME)
        found = [
            order
            for order in self.orders.values()
            if symbol in (ALL, order.symbol) and (first is None or order.at >= first) and (last is None or order.at <= last)
        ]
        return found[-limit:] if self.newest_first or first is None else found[:limit]

    def trades_of(self, symbol: str, order_id: int | None = None) -> list[Trade]:
        """The trades of a market, or of ``ALL``, and of one order where it is named, oldest first."""
        if symbol != ALL:
            self.instrument(symbol)
        return [one for one in self.trades if symbol in (ALL, one.symbol) and order_id in (None, one.order_id)]

    def rest(self, client_id: str, symbol: str, sign: int, amount: Decimal, price: Decimal, *, at: int | None = None) -> Order:
        """An order that rests, whoever sent it: ours if its client id is."""
        order = self._made(client_id, symbol, sign, amount, price, at=at)
        self.orders[order.id] = order
        return order

    def trade_outside(
        self, symbol: str, sign: int, amount: Decimal, price: Decimal, *, client_id: str = "web_1", at: int | None = None
    ) -> Order:
        """A trade that is none of ours: by hand, or by the exchange when its client id begins as such ids do."""
        order = self.rest(client_id, symbol, sign, amount, price, at=at)
        self.book(order, amount, price)
        return order

    def _made(self, client_id: str, symbol: str, sign: int, amount: Decimal, price: Decimal, *, at: int | None = None) -> Order:
        known = self.instruments.get(symbol)
        return Order(
            id=next(self._ids),
            client_id=client_id,
            symbol=symbol,
            sign=sign,
            amount=amount,
            price=price,
            time_in_force="GTC",
            reduce_only=False,
            at=self.now() if at is None else at,
            inverse=known is not None and known.inverse,
        )

    def _check_shape(self, order: Order) -> None:
        rules = self.instrument(order.symbol)
        mark = self.mark(order.symbol)
        digits = (_digits(order.amount) > rules.amount_digits, _digits(order.price) > rules.price_digits)
        for broken, reason in (
            (not rules.open, Reason.CLOSED),
            (any(digits), Reason.PRECISION),
            (order.amount <= 0, Reason.NOT_POSITIVE),
            (order.amount < rules.min_amount, Reason.MIN_AMOUNT),
            (order.amount % rules.step != 0, Reason.LOT),
            (order.price % rules.tick != 0, Reason.TICK),
            (order.price > mark * (1 + rules.collar) and order.sign > 0, Reason.PRICE_TOO_HIGH),
            (order.price < mark * (1 - rules.collar) and order.sign < 0, Reason.PRICE_TOO_LOW),
            (rules.notional(order.amount, order.price) < rules.min_notional and not order.reduce_only, Reason.NOTIONAL),
        ):
            if broken:
                raise Refusal(reason)

    def _check_unique(self, order: Order) -> None:
        among = {Unique.OPEN: self.open_orders(), Unique.EVER: list(self.orders.values()), Unique.NO: []}[self.unique]
        if order.client_id and any(order.client_id == other.client_id for other in among):
            raise Refusal(Reason.DUPLICATE)

    def match(self, order: Order) -> None:
        """Fill an order from the book, as far as that goes."""
        left = min(order.amount, self.reducible(order.symbol)) if order.reduce_only else order.amount
        ladder, now = self.ladders[order.symbol], self.now()
        for index, price, displayed in ladder.displayed(order.sign, self.instruments[order.symbol], now):
            if left <= 0 or (order.price - price) * order.sign < 0:
                break
            amount = min(left, displayed)
            ladder.take(order.sign, index, amount, now)
            self.book(order, amount, price)
            left -= amount
        if order.status.rests and order.time_in_force != "GTC":
            order.status = Status.EXPIRED

    def note_trade(
        self, order: Order, amount: Decimal, price: Decimal, *, fee: Decimal, fee_asset: str, profit: Decimal = ZERO
    ) -> None:
        """Keep one execution for whoever asks for trades."""
        self.trades.append(
            Trade(
                id=len(self.trades) + 501,
                order_id=order.id,
                symbol=order.symbol,
                sign=order.sign,
                amount=amount,
                price=price,
                fee=fee,
                fee_asset=fee_asset,
                profit=profit,
                at=self.now(),
            )
        )


def _is_named(order: Order, order_id: int | None, client_id: str | None) -> bool:
    return order.id == order_id if client_id is None else order.client_id == client_id


def _digits(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 99
