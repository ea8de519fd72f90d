"""What a run came to, from its children and fills: the document that the journal keeps with the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from keeper.accounting.attribution import Execution, Shortfall, leg_shortfall
from keeper.domain.market import Market
from keeper.domain.numbers import ONE, ZERO, exact, plain, rounded
from keeper.domain.observation import Observation
from keeper.domain.order import Child, Fill
from keeper.planning.exposure import gaps
from keeper.planning.plan import Plan
from keeper.service.documents import shortfall_document


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run did. fills: each with the child that made it; prices: currency per unit of each asset, to value fees."""

    plan: Plan
    children: Sequence[Child]
    fills: Sequence[tuple[Child, Fill]]
    markets: Mapping[str, Market]
    prices: Mapping[str, Decimal]


@exact
def result_document(work: Work, after: Observation | None) -> dict[str, object]:
    """The result of a run; ``after`` is the settled account, None when it could not be read. Figures are strings."""
    plan = work.plan
    shortfalls = {leg.symbol: _shortfall(work, leg.symbol, leg.decision_mid) for leg in plan.legs}
    traded = {leg.symbol: _traded(work, leg.symbol) for leg in plan.legs}
    total = sum(shortfalls.values(), Shortfall())
    valuation = after.valuation() if after else None
    left = gaps(after, {leg.symbol: leg.goal for leg in plan.legs}, lambda _c, _s: 1) if after and plan.legs else {}
    notional = sum((notional for _, notional in traded.values()), ZERO)
    return {
        "nav_before": plain(rounded(plan.nav, 8)),
        "nav_after": plain(rounded(valuation.nav, 8)) if valuation else None,
        "leverage_before": _ratio(plan.leverage),
        "leverage_after": _ratio(valuation.net_leverage) if valuation else None,
        "gross_leverage_before": _ratio(plan.gross_leverage),
        "gross_leverage_after": _ratio(valuation.gross_leverage) if valuation else None,
        "legs": [
            {
                "market": leg.symbol,
                "side": str(leg.side),
                "planned": plain(leg.amount),
                "traded": plain(traded[leg.symbol][0]),
                "gap": plain(left[leg.symbol].contracts) if after else None,
                "notional_traded": plain(rounded(traded[leg.symbol][1], 8)),
                "leverage_before": _ratio(leg.leverage_before),
                "leverage_after": _ratio(valuation.leverage(leg.symbol)) if valuation else None,
            }
            for leg in plan.legs
        ],
        "filled_notional": plain(rounded(notional, 8)),
        "fees": plain(rounded(total.fees, 8)),
        "unpriced_fees": {asset: plain(amount) for asset, amount in _unpriced(work).items()},
        "shortfall": shortfall_document(total),
    }


def _shortfall(work: Work, symbol: str, decision_mid: Decimal) -> Shortfall:
    market = work.markets[symbol]
    sent = [child for child in work.children if child.request.symbol == symbol]
    executions = [
        Execution.of(
            fill,
            market,
            mid=child.mid,
            half_spread=child.half_spread,
            fee=fill.fee * work.prices.get(fill.fee_asset, ZERO),
        )
        for child, fill in work.fills
        if fill.symbol == symbol
    ]
    first_mid = sent[0].mid if sent else decision_mid
    return leg_shortfall(executions, decision_mid=decision_mid, first_mid=first_mid, rate=work.prices.get(market.quote, ONE))


def _traded(work: Work, symbol: str) -> tuple[Decimal, Decimal]:
    """Contracts filled in one market, and their notional at the fill prices."""
    market = work.markets[symbol]
    fills = [fill for _, fill in work.fills if fill.symbol == symbol]
    contracts = sum((fill.amount for fill in fills), ZERO)
    return contracts, sum((market.notional(fill.amount, fill.price) for fill in fills), ZERO)


def _unpriced(work: Work) -> dict[str, Decimal]:
    """Fees in assets that nothing prices, by asset: they are told, not guessed."""
    found: dict[str, Decimal] = {}
    for _, fill in work.fills:
        if fill.fee and fill.fee_asset not in work.prices:
            found[fill.fee_asset] = found.get(fill.fee_asset, ZERO) + fill.fee
    return found


def _ratio(value: Decimal) -> str:
    return plain(rounded(value, 8))
