"""What the paper exchange refuses, in the order in which it looks. Pure: it reads the ledger and changes nothing.

Not modelled: liquidation, margin tiers. Equity counts collateral at full value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from keeper.domain.account import Account, Valuation, asset_prices, value
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import ZERO, exact, is_multiple, plain, sign
from keeper.domain.order import OrderRequest, Rejected, Unknown
from keeper.venues.paper.ledger import Ledger, trade

INITIAL_MARGIN = Decimal("0.05")  # of gross notional, so at most 20x: below what real exchanges ask of large positions


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What an order is judged against.

    markets, marks: of every market of the exchange, by symbol; borrow: whether balances may be negative; at: arrival.
    """

    markets: Mapping[str, Market]
    marks: Mapping[str, Decimal]
    ledger: Ledger
    borrow: bool
    at: datetime


def judge(request: OrderRequest, market: Market, floor: Floor) -> Decimal | Rejected | Unknown:
    """The contracts (> 0) that the exchange tries to fill of ``request``, or why it takes nothing.

    Unknown for a client id that it has: that says nothing of what became of the order under it.
    """
    wrong = _ill_formed(request, market)
    if wrong is None and request.client_id in floor.ledger.orders:
        return Unknown(f"there is an order {request.client_id} already")
    if wrong is None and floor.at > request.deadline:
        wrong = Rejected("expired", f"arrived at {floor.at.isoformat()}, after its deadline {request.deadline.isoformat()}")
    if wrong is not None:
        return wrong
    if request.is_stop:
        return _misplaced(request, market, floor) or request.amount
    if not request.reduce_only:
        return _unaffordable(request, market, floor) or request.amount
    held = floor.ledger.account.held(market)
    if sign(held) != -request.side.sign:
        return Rejected("reduce_only", f"a {request.side} can't reduce a position of {plain(held)} in {market.symbol}")
    return min(request.amount, abs(held))


@exact
def goes_off(side: Side, trigger: Decimal, mark: Decimal) -> bool:
    """Whether ``mark`` has come to the trigger of a stop: on the way down for a sell, on the way up for a buy."""
    return (mark - trigger) * side.sign >= 0


def _misplaced(request: OrderRequest, market: Market, floor: Floor) -> Rejected | None:
    """Why a stop may not rest: it must reduce, and wait."""
    if not request.reduce_only or market.kind is MarketKind.SPOT:
        return Rejected("stop", "a stop here must be reduce-only, in a market of contracts")
    if goes_off(request.side, request.price, floor.marks[market.symbol]):
        return Rejected("stop", f"a stop to {request.side} at {plain(request.price)} would go off at once")
    return None


@exact
def _ill_formed(request: OrderRequest, market: Market) -> Rejected | None:
    """The first rule of the market itself that an order breaks."""
    price, amount = request.price, request.amount
    if not (price.is_finite() and price > 0 and is_multiple(price, market.tick)):
        return Rejected("price_tick", f"price {price} is no multiple of the tick {plain(market.tick)}")
    if not (amount.is_finite() and amount > 0 and is_multiple(amount, market.lot)):
        return Rejected("amount_lot", f"amount {amount} is no multiple of the lot {plain(market.lot)}")
    if amount < market.min_amount:
        return Rejected("min_amount", f"amount {plain(amount)} is below the minimum {plain(market.min_amount)}")
    cost = market.notional(amount, price)
    if cost < market.min_cost and not request.reduce_only:
        return Rejected("min_cost", f"{plain(cost)} {market.quote} is below the minimum {plain(market.min_cost)}")
    return None


@exact
def _unaffordable(request: OrderRequest, market: Market, floor: Floor) -> Rejected | None:
    """Whether the account could bear the whole order at its limit price, fee included, as an exchange reserves it."""
    before = floor.ledger.account
    whole = trade(market, request, trade_id="", amount=request.amount, price=request.price, at=floor.at)
    after = before.after(whole, market)
    if market.kind is MarketKind.SPOT and not floor.borrow:
        for asset in (market.base, market.quote):
            left, had = after.balances[asset], before.balances.get(asset, ZERO)
            if left < min(had, ZERO):
                return Rejected("insufficient_balance", f"{plain(-left)} {asset} short, and the account may not borrow")
        return None
    worth_before, worth_after = (_worth(account, market, floor) for account in (before, after))
    exposure = _gross(after, worth_after, market, floor)
    if exposure <= _gross(before, worth_before, market, floor):
        return None
    needed = INITIAL_MARGIN * exposure
    if worth_after.nav >= needed:
        return None
    return Rejected(
        "insufficient_margin",
        f"the order would need {plain(needed)} {market.quote} of margin and leave {plain(worth_after.nav)} of equity",
    )


def _worth(account: Account, market: Market, floor: Floor) -> Valuation:
    """The account in the order's quote currency, as far as the exchange's markets price what it holds."""
    markets = {symbol: other for symbol, other in floor.markets.items() if other.quote == market.quote}
    prices = asset_prices(markets.values(), floor.marks, market.quote)
    known = replace(
        account,
        balances={asset: amount for asset, amount in account.balances.items() if asset in prices},
        positions={symbol: position for symbol, position in account.positions.items() if symbol in markets},
    )
    return value(known, markets.values(), floor.marks, market.quote)


def _gross(account: Account, worth: Valuation, market: Market, floor: Floor) -> Decimal:
    """What margin is asked for: derivatives' notional, and coins too once spot is bought on credit."""
    if market.kind is MarketKind.SPOT:
        return sum((abs(exposure) for exposure in worth.exposures.values()), ZERO)
    return sum(
        (
            abs(floor.markets[symbol].notional(position.contracts, floor.marks[symbol]))
            for symbol, position in account.positions.items()
            if floor.markets[symbol].quote == market.quote
        ),
        ZERO,
    )
