"""What a run came to, from its plan, children and fills: the document that the journal keeps with the run.

It can be made again at any time from the journal's own rows, which is what a run gets that was cut, or whose orders turned
out only later to have filled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from keeper.accounting.attribution import Execution, Shortfall, leg_shortfall
from keeper.domain.market import Market
from keeper.domain.numbers import ONE, ZERO, exact, plain, rounded
from keeper.domain.observation import Observation
from keeper.domain.order import Child, Fill
from keeper.planning.exposure import gaps
from keeper.service.documents import shortfall_document


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run did. plan: its document; fills: each with the client id of its child.

    prices: currency per unit of each asset, to value fees.
    """

    plan: Mapping[str, Any]
    markets: Mapping[str, Market]
    children: Sequence[Child] = ()
    fills: Sequence[tuple[str, Fill]] = ()
    prices: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def legs(self) -> Sequence[Mapping[str, Any]]:
        """The plan's legs."""
        legs: Sequence[Mapping[str, Any]] = self.plan["legs"]
        return legs


@exact
def result_document(work: Work, after: Observation | None) -> dict[str, object]:
    """The result of a run; ``after`` is the settled account, None when it could not be read. Figures are strings."""
    plan = work.plan
    sent = [_sent(work, number, leg) for number, leg in enumerate(work.legs)]
    total = sum((_shortfall(work, leg, own) for leg, own in zip(work.legs, sent, strict=True)), Shortfall())
    traded = [_traded(work, leg, own) for leg, own in zip(work.legs, sent, strict=True)]
    valuation = after.valuation() if after else None
    # a market that could not be read at the end shows nothing then
    shown = set(after.markets) if after else set()
    goals = {leg["market"]: Decimal(leg["goal"]) for leg in work.legs if leg["market"] in shown}
    closing = not any(goals.values())  # coins that margined what was closed are nothing that is left
    left = gaps(after, goals, lambda _contracts, _smallest: 1, ZERO, closing=closing) if after and goals else {}
    notional = sum((notional for _, notional in traded), ZERO)
    return {
        "nav_before": plan["nav"],
        "nav_after": plain(rounded(valuation.nav, 8)) if valuation else None,
        "leverage_before": plan["leverage"],
        "leverage_after": _ratio(valuation.net_leverage) if valuation else None,
        "gross_leverage_before": plan["gross_leverage"],
        "gross_leverage_after": _ratio(valuation.gross_leverage) if valuation else None,
        "legs": [
            {
                "market": leg["market"],
                "side": leg["side"],
                "planned": leg["amount"],
                "traded": plain(contracts),
                "gap": plain(left[leg["market"]].contracts) if leg["market"] in left else None,
                "notional_traded": plain(rounded(worth, 8)),
                "leverage_before": leg["leverage_before"],
                "leverage_after": _ratio(valuation.leverage(leg["market"])) if valuation and leg["market"] in shown else None,
            }
            for leg, (contracts, worth) in zip(work.legs, traded, strict=True)
        ],
        "filled_notional": plain(rounded(notional, 8)),
        "fees": plain(rounded(total.fees, 8)),
        "unpriced_fees": {asset: plain(amount) for asset, amount in _unpriced(work).items()},
        "shortfall": shortfall_document(total),
    }


def amended(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, object]:
    """``now`` with what only the end of the run could know, the account after it, taken from ``before``."""
    account = ("nav_after", "leverage_after", "gross_leverage_after")
    ends = {leg["market"]: {key: leg.get(key) for key in ("gap", "leverage_after")} for leg in before.get("legs") or ()}
    legs = [{**leg, **ends.get(leg["market"], {})} for leg in now["legs"]]
    return {**now, "legs": legs, **{key: before.get(key) for key in account}}


def _sent(work: Work, number: int, leg: Mapping[str, Any]) -> Mapping[str, Child]:
    """The children of one leg by client id: those on its side of its market, of stops that one alone."""
    return {
        child.request.client_id: child
        for child in work.children
        if (child.request.symbol, child.request.side) == (leg["market"], leg["side"])
        and (not child.request.is_stop or child.leg == number)
    }


def _shortfall(work: Work, leg: Mapping[str, Any], sent: Mapping[str, Child]) -> Shortfall:
    market, decision_mid = work.markets[leg["market"]], Decimal(leg["decision_mid"])
    executions = [
        Execution.of(
            fill,
            market,
            mid=sent[client_id].mid,
            half_spread=sent[client_id].half_spread,
            fee=fill.fee * work.prices.get(fill.fee_asset, ZERO),
        )
        for client_id, fill in work.fills
        if client_id in sent
    ]
    first_mid = next((child.mid for child in sent.values()), decision_mid)
    return leg_shortfall(executions, decision_mid=decision_mid, first_mid=first_mid, rate=work.prices.get(market.quote, ONE))


def _traded(work: Work, leg: Mapping[str, Any], sent: Mapping[str, Child]) -> tuple[Decimal, Decimal]:
    """Contracts that the children of a leg filled, and their notional at the fill prices."""
    market = work.markets[leg["market"]]
    fills = [fill for client_id, fill in work.fills if client_id in sent]
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
