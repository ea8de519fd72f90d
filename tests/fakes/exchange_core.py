"""An exchange's truth without any protocol: markets, a finite order book that refills, margin account, matching, fees.

It keeps its own arithmetic, so that what it says of an account is a second opinion on Keeper's. Linear contracts only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum, auto
from itertools import count

ZERO = Decimal(0)
CENT = Decimal("1e-8")  # what accounts are kept to


class Reason(StrEnum):
    """Why an order was not taken."""

    UNKNOWN_SYMBOL = auto()
    PRECISION = auto()
    TICK = auto()
    LOT = auto()
    NOT_POSITIVE = auto()
    MIN_AMOUNT = auto()
    NOTIONAL = auto()
    PRICE_TOO_HIGH = auto()
    PRICE_TOO_LOW = auto()
    DUPLICATE = auto()
    REDUCE_ONLY = auto()
    MARGIN = auto()
    POSITION_SIDE = auto()
    NO_SUCH_ORDER = auto()
    NOTHING_RESTS = auto()
    TOO_LONG_A_TIME = auto()


class Refusal(Exception):
    """An order or question that the exchange turned down."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True, kw_only=True)
class Instrument:
    """One linear market. tick: quote per base; step, min_amount, max_amount: base; min_notional: quote; collar: fraction."""

    symbol: str
    base: str
    quote: str = "USDT"
    settle: str = "USDT"
    tick: Decimal = Decimal("0.10")
    step: Decimal = Decimal("0.001")
    price_digits: int = 2
    amount_digits: int = 3
    min_amount: Decimal = Decimal("0.001")
    max_amount: Decimal = Decimal(1000)
    min_notional: Decimal = Decimal(100)
    collar: Decimal = Decimal("0.05")
    leverage: int = 20
    contract: str = "PERPETUAL"
    delivery: int = 4_133_404_800_000
    status: str = "TRADING"


@dataclass(slots=True, kw_only=True)
class Ladder:
    """Displayed liquidity around a mid. spread, gap: quote; size: base on each level; half_life: seconds of refilling."""

    mid: Decimal
    spread: Decimal = Decimal("0.2")
    gap: Decimal = Decimal("1.0")
    size: Decimal = Decimal(1)
    levels: int = 20
    half_life: float = 2.0
    _taken: dict[tuple[int, int], tuple[Decimal, int]] = field(default_factory=dict)

    def displayed(self, sign: int, instrument: Instrument, now: int) -> list[tuple[int, Decimal, Decimal]]:
        """Index, price and amount of what an order of ``sign`` (+1 buy) finds at ``now`` (ms), best first."""
        rounding = ROUND_CEILING if sign > 0 else ROUND_FLOOR
        best = ((self.mid + sign * self.spread / 2) / instrument.tick).to_integral_value(rounding) * instrument.tick
        found = []
        for index in range(self.levels):
            left = self.size - self._missing(sign, index, now)
            amount = (left / instrument.step).to_integral_value(ROUND_FLOOR) * instrument.step
            if amount > 0:
                found.append((index, best + sign * index * self.gap, amount))
        return found

    def take(self, sign: int, index: int, amount: Decimal, now: int) -> None:
        """Remove liquidity from a level; it comes back by halves."""
        self._taken[sign, index] = (self._missing(sign, index, now) + amount, now)

    def _missing(self, sign: int, index: int, now: int) -> Decimal:
        amount, at = self._taken.get((sign, index), (ZERO, now))
        return amount * Decimal(0.5 ** ((now - at) / 1000 / self.half_life))


@dataclass(slots=True)
class Holding:
    """A signed position and its average entry."""

    amount: Decimal = ZERO
    entry: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Trade:
    """One execution. profit: realised by it; fee: in the settlement asset."""

    id: int
    order_id: int
    symbol: str
    sign: int
    amount: Decimal
    price: Decimal
    fee: Decimal
    profit: Decimal
    at: int


@dataclass(slots=True, kw_only=True)
class Order:
    """One order that the exchange took. status: NEW, FILLED, EXPIRED, CANCELED; at: ms."""

    id: int
    client_id: str
    symbol: str
    sign: int
    amount: Decimal
    price: Decimal
    time_in_force: str
    reduce_only: bool
    at: int
    status: str = "NEW"
    filled: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def average(self) -> Decimal:
        return self.cost / self.filled if self.filled else ZERO


@dataclass(slots=True, kw_only=True)
class ExchangeCore:
    """One account on one exchange.

    now: ms; wallet: by asset; marks, indexes, lasts: follow the mid unless set apart; liquidations: prices by symbol;
    countdowns: when resting orders of a symbol are canceled, ms; newest_first: which orders a list that is too long shows.
    """

    now: Callable[[], int]
    wallet: dict[str, Decimal]
    instruments: dict[str, Instrument]
    ladders: dict[str, Ladder]
    fee_rate: Decimal = Decimal("0.0005")
    hedged: bool = False
    holdings: dict[str, Holding] = field(default_factory=dict)
    marks: dict[str, Decimal] = field(default_factory=dict)
    indexes: dict[str, Decimal] = field(default_factory=dict)
    lasts: dict[str, tuple[Decimal, int]] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    countdowns: dict[str, int] = field(default_factory=dict)
    liquidations: dict[str, Decimal] = field(default_factory=dict)
    newest_first: bool = False
    trades: list[Trade] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=lambda: count(8_000_001))

    def mark(self, symbol: str) -> Decimal:
        return self.marks.get(symbol, self.ladders[symbol].mid)

    def set_mid(self, symbol: str, mid: Decimal) -> None:
        self.ladders[symbol].mid = mid

    def hold(self, symbol: str, amount: Decimal, entry: Decimal) -> None:
        self.holdings[symbol] = Holding(amount, entry)

    def unrealised(self, symbol: str) -> Decimal:
        holding = self.holdings.get(symbol, Holding())
        return holding.amount * (self.mark(symbol) - holding.entry) if holding.amount else ZERO

    def available(self) -> Decimal:
        """Collateral less initial margin, in USDT."""
        margins = sum(
            (abs(h.amount) * self.mark(s) / self.instruments[s].leverage for s, h in self.holdings.items() if h.amount), ZERO
        )
        return self.wallet.get("USDT", ZERO) + sum((self.unrealised(s) for s in self.holdings), ZERO) - margins

    def instrument(self, symbol: str) -> Instrument:
        found = self.instruments.get(symbol)
        if found is None or symbol not in self.ladders:
            raise Refusal(Reason.UNKNOWN_SYMBOL)
        return found

    def last(self, symbol: str) -> tuple[Decimal, int]:
        """The last price and its time (ms)."""
        return self.lasts.get(symbol, (self.ladders[symbol].mid, self.now()))

    def open_orders(self) -> list[Order]:
        self._run_countdowns()
        return [order for order in self.orders.values() if order.status == "NEW"]

    def find(self, symbol: str, *, order_id: int | None, client_id: str | None) -> Order:
        """The latest order of an id."""
        self._run_countdowns()
        for order in reversed(self.orders.values()):
            if order.symbol == symbol and (order.id == order_id if client_id is None else order.client_id == client_id):
                return order
        raise Refusal(Reason.NO_SUCH_ORDER)

    def place(
        self, *, client_id: str, symbol: str, sign: int, amount: Decimal, price: Decimal, time_in_force: str, reduce_only: bool
    ) -> Order:
        """Take an order and match it against the book. Raises Refusal."""
        order = Order(
            id=next(self._ids),
            client_id=client_id,
            symbol=symbol,
            sign=sign,
            amount=amount,
            price=price,
            time_in_force=time_in_force,
            reduce_only=reduce_only,
            at=self.now(),
        )
        self._check_shape(order)
        self._check_account(order)
        self.orders[order.id] = order
        self._match(order)
        return order

    def cancel(self, symbol: str, *, order_id: int | None, client_id: str | None) -> Order:
        self.instrument(symbol)
        for order in self.open_orders():
            if order.symbol == symbol and (order.id == order_id if client_id is None else order.client_id == client_id):
                order.status = "CANCELED"
                return order
        raise Refusal(Reason.NOTHING_RESTS)

    def count_down(self, symbol: str, wait: int) -> None:
        """Cancel what rests in a market ``wait`` ms from now, unless asked again; 0 takes that off."""
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
                    if order.symbol == symbol and order.status == "NEW":
                        order.status = "CANCELED"

    def listed(self, symbol: str, first: int | None, last: int | None, *, limit: int, longest: int) -> list[Order]:
        """The orders of a market placed between two times (ms), of too many as many as ``limit``, oldest first."""
        self.instrument(symbol)
        self._run_countdowns()
        if first is not None and last is not None and last - first > longest:
            raise Refusal(Reason.TOO_LONG_A_TIME)
        found = [
            order
            for order in self.orders.values()
            if order.symbol == symbol and (first is None or order.at >= first) and (last is None or order.at <= last)
        ]
        return found[-limit:] if self.newest_first or first is None else found[:limit]

    def rest(self, client_id: str, symbol: str, sign: int, amount: Decimal, price: Decimal, *, at: int | None = None) -> Order:
        """An order that rests, whoever sent it: ours if its client id is."""
        return self._outside(client_id, symbol, sign, amount, price, at=at)

    def trade_outside(
        self, symbol: str, sign: int, amount: Decimal, price: Decimal, *, client_id: str = "web_1", at: int | None = None
    ) -> Order:
        """A trade that is none of ours: by hand, or by the exchange when its client id begins as such ids do."""
        order = self._outside(client_id, symbol, sign, amount, price, at=at)
        self._book(order, amount, price)
        order.status = "FILLED"
        return order

    def _outside(self, client_id: str, symbol: str, sign: int, amount: Decimal, price: Decimal, *, at: int | None) -> Order:
        order = Order(
            id=next(self._ids),
            client_id=client_id,
            symbol=symbol,
            sign=sign,
            amount=amount,
            price=price,
            time_in_force="GTC",
            reduce_only=False,
            at=self.now() if at is None else at,
        )
        self.orders[order.id] = order
        return order

    def _check_shape(self, order: Order) -> None:
        rules = self.instrument(order.symbol)
        mark = self.mark(order.symbol)
        digits = (_digits(order.amount) > rules.amount_digits, _digits(order.price) > rules.price_digits)
        for broken, reason in (
            (any(digits), Reason.PRECISION),
            (order.amount <= 0, Reason.NOT_POSITIVE),
            (order.amount < rules.min_amount, Reason.MIN_AMOUNT),
            (order.amount % rules.step != 0, Reason.LOT),
            (order.price % rules.tick != 0, Reason.TICK),
            (order.price > mark * (1 + rules.collar) and order.sign > 0, Reason.PRICE_TOO_HIGH),
            (order.price < mark * (1 - rules.collar) and order.sign < 0, Reason.PRICE_TOO_LOW),
            (order.amount * order.price < rules.min_notional and not order.reduce_only, Reason.NOTIONAL),
        ):
            if broken:
                raise Refusal(reason)

    def _check_account(self, order: Order) -> None:
        if self.hedged:
            raise Refusal(Reason.POSITION_SIDE)
        if any(order.client_id == other.client_id for other in self.open_orders()):
            raise Refusal(Reason.DUPLICATE)
        held = self.holdings.get(order.symbol, Holding()).amount
        if order.reduce_only and held * order.sign >= 0:
            raise Refusal(Reason.REDUCE_ONLY)
        growth = abs(held + order.sign * order.amount) - abs(held)
        if growth * order.price / self.instruments[order.symbol].leverage > self.available():
            raise Refusal(Reason.MARGIN)

    def _match(self, order: Order) -> None:
        left = order.amount
        if order.reduce_only:
            left = min(left, abs(self.holdings[order.symbol].amount))
        ladder, now = self.ladders[order.symbol], self.now()
        for index, price, displayed in ladder.displayed(order.sign, self.instruments[order.symbol], now):
            if left <= 0 or (order.price - price) * order.sign < 0:
                break
            amount = min(left, displayed)
            ladder.take(order.sign, index, amount, now)
            self._book(order, amount, price)
            left -= amount
        if order.filled == order.amount:
            order.status = "FILLED"
        elif order.time_in_force != "GTC":
            order.status = "EXPIRED"

    def _book(self, order: Order, amount: Decimal, price: Decimal) -> None:
        settle = self.instruments[order.symbol].settle
        holding = self.holdings.setdefault(order.symbol, Holding())
        profit = ZERO
        if holding.amount * order.sign < 0:
            closed = min(amount, abs(holding.amount))
            profit = closed * -order.sign * (price - holding.entry)
            opened = amount - closed
            if opened:
                holding.entry = price
        else:
            total = abs(holding.amount) + amount
            holding.entry = (abs(holding.amount) * holding.entry + amount * price) / total
        holding.amount += order.sign * amount
        fee = (amount * price * self.fee_rate).quantize(CENT)
        profit = profit.quantize(CENT)
        self.wallet[settle] = self.wallet.get(settle, ZERO) + profit - fee
        order.filled += amount
        order.cost += amount * price
        self.trades.append(
            Trade(
                id=len(self.trades) + 501,
                order_id=order.id,
                symbol=order.symbol,
                sign=order.sign,
                amount=amount,
                price=price,
                fee=fee,
                profit=profit,
                at=self.now(),
            )
        )


def _digits(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 99
