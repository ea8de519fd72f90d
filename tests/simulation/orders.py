"""Orders as a simulated exchange takes, trades and tells them, and what an account holds there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.market import Side
from keeper.domain.order import ChildState, VenueOrder

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Trade:
    trade_id: str
    amount: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of an order from ``at`` on: its state, and how many of its trades show."""

    at: datetime
    state: ChildState
    trades: int


@dataclass(slots=True)
class Order:
    order_id: str
    client_id: str
    symbol: str
    side: Side
    amount: Decimal
    price: Decimal
    reduce_only: bool
    at: datetime
    forced: bool = False
    trigger: Decimal | None = None
    """Of a stop, the mark that sets it off; ``at`` is when it came to that, once it did, ``placed_at`` when it came to rest."""
    placed_at: datetime | None = None
    trades: list[Trade] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    @property
    def state(self) -> ChildState:
        return self.told[-1].state

    @property
    def filled(self) -> Decimal:
        return sum((trade.amount for trade in self.trades), ZERO)

    @property
    def left(self) -> Decimal:
        return self.amount - self.filled

    def as_of(self, at: datetime) -> Told | None:
        """What a read shows that sees the exchange as it was at ``at``."""
        return next((told for told in reversed(self.told) if told.at <= at), None)

    def shown(self, told: Told) -> VenueOrder:
        """It as a list of orders shows it that sees the exchange as it was at ``told``."""
        trades = self.trades[: told.trades]
        filled = sum((trade.amount for trade in trades), ZERO)
        return VenueOrder(
            order_id=self.order_id,
            client_id=self.client_id,
            symbol=self.symbol,
            side=self.side,
            amount=self.amount,
            filled=filled,
            average=sum((trade.amount * trade.price for trade in trades), ZERO) / filled if filled else None,
            state=told.state,
            forced=self.forced,
            at=self.at,
            changed_at=told.at,
        )


@dataclass(frozen=True, slots=True)
class Holdings:
    """The account from ``at`` on. positions: signed contracts (coins of a spot market) and average entry by symbol."""

    at: datetime
    cash: Decimal
    positions: Mapping[str, tuple[Decimal, Decimal]]


class Refused(Exception):
    """What the exchange says instead of taking an order. code: Binance's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An order as it came in. sent: the time in it, by the sender's clock; window: how long after that it may be taken."""

    client_id: str
    symbol: str
    side: Side
    amount: Decimal
    price: Decimal
    reduce_only: bool
    sent: datetime
    window: timedelta
    host: str
    trigger: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Matching:
    """How one order meets the book.

    share: of the depth that is still there for it; pause: between two of its trades, which the exchange shows as they happen
    (None: all at once); early: it is called canceled after the first trade, although another one is under way.
    """

    share: Decimal = Decimal(1)
    pause: timedelta | None = None
    early: bool = False


AT_ONCE = Matching()
