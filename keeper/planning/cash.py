"""What spot trades may spend: an account that does not borrow buys with the quote currency that it has, and no more. Pure.

A venue reserves a buy at its limit price, not at what it will cost, so a fund that is fully invested can't send its last
slice whole: what the reserve left over buys the rest.
"""

from collections.abc import Mapping
from decimal import Decimal

from keeper.domain.account import Valuation
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import ONE, ZERO, exact


@exact
def borrows(targets: Mapping[str, Decimal], markets: Mapping[str, Market]) -> bool:
    """Whether ``targets`` (multiples of NAV by symbol) ask for credit: spot weights that sum above 1, or one below 0."""
    weights = [target for symbol, target in targets.items() if markets[symbol].kind is MarketKind.SPOT]
    return sum(weights, ZERO) > ONE or any(weight < 0 for weight in weights)


@exact
def funded(
    targets: Mapping[str, Decimal], goals: Mapping[str, Decimal], valuation: Valuation, markets: Mapping[str, Market]
) -> dict[str, Decimal]:
    """``goals`` (multiples of NAV by symbol of the markets to trade), with those added that must be sold to pay for them.

    Where the spot goals and the weights that would be left alone sum above 1, every spot market goes to its target.
    """
    spot = {symbol: target for symbol, target in targets.items() if markets[symbol].kind is MarketKind.SPOT}
    if borrows(targets, markets) or not any(symbol in goals for symbol in spot):
        return dict(goals)
    total = sum((goals.get(symbol, valuation.leverage(symbol)) for symbol in spot), ZERO)
    return dict(goals) if total <= ONE else {**goals, **spot}


@exact
def affordable(market: Market, cash: Decimal, limit: Decimal) -> Decimal:
    """Contracts (whole lots, not below 0) that ``cash`` (quote) buys at ``limit`` (quote per base), its fee included."""
    fee = market.taker if market.fee_asset(Side.BUY) == market.quote else ZERO
    return max(ZERO, market.whole_lots(market.to_contracts(cash, limit) / (ONE + fee)))


@exact
def reserved(market: Market, contracts: Decimal, limit: Decimal) -> Decimal:
    """What a venue sets aside for a buy of ``contracts`` (> 0) at ``limit`` (quote per base), in quote."""
    fee = market.taker if market.fee_asset(Side.BUY) == market.quote else ZERO
    return market.notional(contracts, limit) * (ONE + fee)
