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
    """What an order was when it came. amount: contracts; at: when it came, aware UTC; trigger: of a stop, quote per base."""

    side: Side
    amount: Decimal
    at: datetime
    trigger: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """One order that the exchange took: what was asked, how it ended or that it rests, and its trades, oldest first.

    asked: None for one without a trade from before this was kept; changed_at: when a stop went off or was canceled, None before.
    """

    symbol: str
    report: OrderReport
    fills: tuple[Fill, ...]
    asked: Asked | None
    changed_at: datetime | None = None

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
            at=self.changed_at or self.asked.at,
            changed_at=self.changed_at or max((fill.at for fill in self.fills), default=self.asked.at),
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

    @property
    def stops(self) -> Mapping[str, Booked]:
        """The stops that rest, by client id, in the order they came."""
        return {name: booked for name, booked in self.orders.items() if booked.report.state is ChildState.LIVE}


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
    known = ledger.orders.get(request.client_id)
    # an account that starts over under the same name must not name its trades as the one before did
    order_id = known.report.order_id if known else f"{len(ledger.orders) + 1}-{request.client_id[-8:]}"
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
    asked = known.asked if known else Asked(request.side, request.amount, at)
    booked = Booked(market.symbol, report, fills, asked, at if known else None)
    orders = {**ledger.orders, request.client_id: booked}
    return replace(ledger, account=account, orders=orders, at=at)


def rest_stop(ledger: Ledger, request: OrderRequest, at: datetime) -> Ledger:
    """``ledger`` once the exchange took a stop, which rests from now on."""
    name = request.client_id
    report = OrderReport(
        order_id=f"{len(ledger.orders) + 1}-{name[-8:]}", client_id=name, state=ChildState.LIVE, filled=ZERO, average=None
    )
    asked = Asked(request.side, request.amount, at, request.trigger)
    return replace(ledger, orders={**ledger.orders, name: Booked(request.symbol, report, (), asked)}, at=at)


def cancel_stop(ledger: Ledger, client_id: str, at: datetime) -> Ledger:
    """``ledger`` once a stop that rested has ended without a trade."""
    booked = ledger.orders[client_id]
    ended = replace(booked, report=replace(booked.report, state=ChildState.CANCELED), changed_at=at)
    return replace(ledger, orders={**ledger.orders, client_id: ended}, at=at)
