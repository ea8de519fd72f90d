"""The paper exchange's own truth: one account and every order that it took. Values only; whoever changes them replaces them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from keeper.domain.account import Account
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import ZERO, exact
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder, average_price
from keeper.domain.statement import Posting
from keeper.venues.paper.matching import Taking


@dataclass(frozen=True, slots=True)
class Asked:
    """What an order was when it came. amount: contracts; at: when it came, aware UTC."""

    side: Side
    amount: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Booked:
    """One order that the exchange took: what was asked, how it ended, and its trades, oldest first.

    asked: None for one without a trade from before this was kept.
    """

    symbol: str
    report: OrderReport
    fills: tuple[Fill, ...]
    asked: Asked | None

    def listed(self) -> VenueOrder | None:
        """The order as the exchange lists it; None where it is not known what was asked."""
        if self.asked is None:
            return None
        report = self.report
        return VenueOrder(
            order_id=report.order_id,
            client_id=report.client_id,
            symbol=self.symbol,
            side=self.asked.side,
            amount=self.asked.amount,
            filled=report.filled,
            average=report.average,
            state=report.state,
            forced=False,
            at=self.asked.at,
            changed_at=max((fill.at for fill in self.fills), default=self.asked.at),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the exchange knows.

    account: as of its last change; orders: by client id, in the order they came; prices: last mark by symbol, quote per
    base; at: venue time of the last change, aware UTC; postings: funding, oldest first; funded_at: when that was last looked
    at, None before.
    """

    account: Account
    at: datetime
    orders: Mapping[str, Booked] = field(default_factory=dict)
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    postings: tuple[Posting, ...] = ()
    funded_at: datetime | None = None


@exact
def taker_fee(market: Market, side: Side, amount: Decimal, price: Decimal) -> Decimal:
    """The fee for taking ``amount`` contracts (> 0) at ``price``, in units of the market's fee asset on that side."""
    if market.fee_asset(side) == market.base:
        return market.to_base(amount, price) * market.taker
    return market.notional(amount, price) * market.taker


def trade(market: Market, request: OrderRequest, *, trade_id: str, amount: Decimal, price: Decimal, at: datetime) -> Fill:
    """One trade of an order as taker: amount in contracts, price quote per base."""
    return Fill(
        trade_id=trade_id,
        symbol=market.symbol,
        side=request.side,
        amount=amount,
        price=price,
        fee=taker_fee(market, request.side, amount, price),
        fee_asset=market.fee_asset(request.side),
        at=at,
    )


@exact
def book_order(ledger: Ledger, market: Market, request: OrderRequest, takings: tuple[Taking, ...], at: datetime) -> Ledger:
    """``ledger`` once the exchange took ``request`` and filled ``takings`` of it; whatever is left is canceled.

    An order that was cut to the position (reduce-only) ends CANCELED: less was filled than was asked.
    """
    # an account that starts over under the same name must not name its trades as the one before did
    order_id = f"{len(ledger.orders) + 1}-{request.client_id[-8:]}"
    fills = tuple(
        trade(market, request, trade_id=f"{order_id}-{number}", amount=taking.amount, price=taking.price, at=at)
        for number, taking in enumerate(takings, 1)
    )
    account = ledger.account
    for fill in fills:
        account = account.after(fill, market)
    filled = sum((fill.amount for fill in fills), ZERO)
    report = OrderReport(
        order_id=order_id,
        client_id=request.client_id,
        state=ChildState.FILLED if filled == request.amount else ChildState.CANCELED,
        filled=filled,
        average=average_price(fills, inverse=market.kind is MarketKind.INVERSE),
    )
    booked = Booked(market.symbol, report, fills, Asked(request.side, request.amount, at))
    orders = {**ledger.orders, request.client_id: booked}
    return replace(ledger, account=account, orders=orders, at=at)
