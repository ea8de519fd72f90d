"""The values of a simulated exchange: markets, displayed liquidity, orders, trades, and why something was turned down."""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum, auto

ZERO = Decimal(0)
CENT = Decimal("1e-8")  # what accounts are kept to


class Reason(StrEnum):
    """Why an order or a setting was not taken."""

    UNKNOWN_SYMBOL = auto()
    CLOSED = auto()
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
    LEVERAGE = auto()
    NOT_FLAT = auto()
    WOULD_TRIGGER = auto()


class Refusal(Exception):
    """An order, a setting or a question that the exchange turned down."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Status(StrEnum):
    """Where an order stands; how that is worded is for the skin."""

    NEW = auto()
    PARTIAL = auto()
    FILLED = auto()
    EXPIRED = auto()
    CANCELED = auto()

    @property
    def rests(self) -> bool:
        return self in (Status.NEW, Status.PARTIAL)


class Forced(StrEnum):
    """Why the exchange itself placed an order."""

    LIQUIDATION = auto()
    DELEVERAGING = auto()


class MarginMode(StrEnum):
    """What stands behind a position: the account, or what was put aside for it."""

    CROSS = auto()
    ISOLATED = auto()


class Unique(StrEnum):
    """Among which orders a client id must be the only one: those that rest, all there ever were, or none."""

    OPEN = auto()
    EVER = auto()
    NO = auto()


@dataclass(slots=True, kw_only=True)
class Instrument:
    """One market.

    inverse: it settles in its base, and a contract is worth ``contract_size`` quote; else one is ``contract_size`` base; tick:
    quote per base; step, min_amount, max_amount: contracts; min_notional: quote; collar: fraction; leverage: as set on the
    account, up to max_leverage; delivery: ms, None for a perpetual; leaves: ms, when a perpetual goes off the list, if
    that is announced; open: it takes orders.
    """

    symbol: str
    base: str
    quote: str = "USDT"
    settle: str = "USDT"
    inverse: bool = False
    contract_size: Decimal = Decimal(1)
    tick: Decimal = Decimal("0.10")
    step: Decimal = Decimal("0.001")
    price_digits: int = 2
    amount_digits: int = 3
    min_amount: Decimal = Decimal("0.001")
    max_amount: Decimal = Decimal(1000)
    min_notional: Decimal = Decimal(100)
    collar: Decimal = Decimal("0.05")
    leverage: int = 20
    max_leverage: int = 125
    delivery: int | None = None
    leaves: int | None = None
    open: bool = True

    def notional(self, amount: Decimal, price: Decimal) -> Decimal:
        """What ``amount`` contracts are worth at ``price``, quote."""
        return amount * self.contract_size * (1 if self.inverse else price)

    def value(self, amount: Decimal, price: Decimal) -> Decimal:
        """The same in units of ``settle``."""
        return amount * self.contract_size / price if self.inverse else amount * self.contract_size * price

    def profit(self, amount: Decimal, entry: Decimal, price: Decimal) -> Decimal:
        """What ``amount`` contracts (signed) made from ``entry`` to ``price``, units of ``settle``."""
        made = self.value(amount, price) - self.value(amount, entry)
        return -made if self.inverse else made

    def average(self, held: Decimal, entry: Decimal, more: Decimal, price: Decimal) -> Decimal:
        """The entry of ``held`` contracts at ``entry`` and ``more`` at ``price``, both above zero."""
        if self.inverse:
            return (held + more) / (held / entry + more / price) if held else price
        return (held * entry + more * price) / (held + more)


@dataclass(slots=True, kw_only=True)
class Ladder:
    """Displayed liquidity around a mid.

    spread, gap: quote; size: contracts on each level; half_life: seconds of refilling.
    """

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
    """One execution. amount: contracts; fee: units of ``fee_asset``; profit: realised by it, in the settlement asset."""

    id: int
    order_id: int
    symbol: str
    sign: int
    amount: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    profit: Decimal
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """One payment of funding. rate: of the value at the mark; amount: received (negative: paid), in ``asset``; at: ms.

    session: profit that is settled with it, where an exchange does that.
    """

    symbol: str
    rate: Decimal
    amount: Decimal
    asset: str
    at: int
    session: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money that came (above 0) or left; at: ms."""

    asset: str
    amount: Decimal
    at: int


@dataclass(slots=True, kw_only=True)
class Order:
    """One order that the exchange took.

    amount, filled: contracts; at: ms; market: it has no limit; trigger: of a stop, the mark that sets it
    off; weight: sum over fills, for the average price.
    """

    id: int
    client_id: str
    symbol: str
    sign: int
    amount: Decimal
    price: Decimal
    time_in_force: str
    reduce_only: bool
    at: int
    inverse: bool = False
    forced: Forced | None = None
    market: bool = False
    trigger: Decimal | None = None
    status: Status = Status.NEW
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    weight: Decimal = ZERO

    @property
    def average(self) -> Decimal:
        if not self.filled:
            return ZERO
        return self.filled / self.weight if self.inverse else self.weight / self.filled

    def fill(self, amount: Decimal, price: Decimal, cost: Decimal) -> None:
        """Book ``amount`` contracts at ``price``. cost: what they are worth in the settlement asset."""
        self.filled += amount
        self.cost += cost
        self.weight += amount / price if self.inverse else amount * price
        self.status = Status.FILLED if self.filled == self.amount else Status.PARTIAL
