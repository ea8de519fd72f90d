"""A plan: the legs that close a fund's gap, what they should cost, and what would make it act again. Pure.

A plan is shown, hashed and kept; it is never replayed. Execution takes from it which markets to trade, on which side and
how much at the most, and derives every size anew from the live account.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.account import Valuation, move_to_leverage
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import BPS, ONE, ZERO, exact, plain, rounded, sign
from keeper.domain.observation import Observation
from keeper.planning.costs import CostEstimate, estimate
from keeper.planning.exposure import Gap, Slicer, gaps, reducing
from keeper.planning.gate import Limits, Refusal
from keeper.policy.mandate import Mandate
from keeper.policy.triggers import Due, decide

TIME_TO_LIVE = timedelta(minutes=5)
CAP = Decimal("1.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLeg:
    """One market to trade.

    amount: contracts (> 0); amount_base: base units; notional: currency; price: mark at the decision, decision_mid: mid
    then, both quote per base; goal, leverage_before, leverage_after: multiples of NAV; cap: contracts that may be traded
    at the most; stage: legs of a stage start when the stage before is done.
    """

    symbol: str
    side: Side
    amount: Decimal
    amount_base: Decimal
    notional: Decimal
    price: Decimal
    decision_mid: Decimal
    goal: Decimal
    leverage_before: Decimal
    leverage_after: Decimal
    cap: Decimal
    slices: int
    reduce_only: bool
    stage: int
    cost: CostEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Where the fund would act again. leverage, to be reached by ``move`` (fraction) of ``symbol`` to ``price``."""

    symbol: str
    leverage: Decimal
    move: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done now. nav: currency; leverage, gross_leverage: multiples of NAV before the trade; times: aware UTC."""

    fund: str
    venue: str
    environment: str
    at: datetime
    currency: str
    nav: Decimal
    leverage: Decimal
    gross_leverage: Decimal
    due: bool
    reason: str
    legs: tuple[PlanLeg, ...]
    triggers: tuple[Trigger, ...]
    refusals: tuple[Refusal, ...]

    @property
    def expires_at(self) -> datetime:
        """When the plan is too old to be approved."""
        return self.at + TIME_TO_LIVE

    @property
    @exact
    def cost(self) -> CostEstimate:
        """The legs' estimates weighted by notional."""
        total = sum((leg.notional for leg in self.legs), ZERO)
        if not total:
            return CostEstimate()

        def mean(name: str) -> Decimal:
            return sum((getattr(leg.cost, name) * leg.notional for leg in self.legs), ZERO) / total

        return CostEstimate(fee=mean("fee"), spread=mean("spread"), impact=mean("impact"), band=mean("band"))

    def document(self) -> dict[str, object]:
        """The plan as the ``--json`` shape of the README; every number is a string."""
        body = self._body()
        digest = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        return {**body, "hash": digest, "expires_at": self.expires_at.isoformat()}

    def _body(self) -> dict[str, object]:
        cost = self.cost
        return {
            "fund": self.fund,
            "venue": self.venue,
            "environment": self.environment,
            "at": self.at.isoformat(),
            "nav": plain(rounded(self.nav, 8)),
            "currency": self.currency,
            "leverage": _ratio(self.leverage),
            "gross_leverage": _ratio(self.gross_leverage),
            "due": self.due,
            "reason": self.reason,
            "legs": [_leg_document(leg) for leg in self.legs],
            "cost": {
                "total_bps": _bps(cost.total),
                "fee_bps": _bps(cost.fee),
                "spread_bps": _bps(cost.spread),
                "impact_bps": _bps(cost.impact),
                "band_bps": _bps(cost.band),
            },
            "triggers": [
                {"market": t.symbol, "leverage": _ratio(t.leverage), "move": _ratio(t.move), "price": plain(rounded(t.price, 8))}
                for t in self.triggers
            ],
            "refusals": [{"code": refusal.code, "message": refusal.message} for refusal in self.refusals],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """Who plans and under which rules. turnover: notional traded in 24 h, quote currency; blocked: refusals known beforehand."""

    fund: str
    venue: str
    environment: str
    mandate: Mandate
    limits: Limits
    slicer: Slicer
    horizon: timedelta
    turnover: Decimal = ZERO
    blocked: tuple[Refusal, ...] = ()


@exact
def build(brief: Brief, observation: Observation) -> Plan:
    """The plan for ``observation``. StaleData when the account can't be valued or NAV is not positive."""
    valuation = observation.valuation()
    faults = _book_faults(observation)
    decision = decide(brief.mandate, valuation)
    goals = decision.goals if isinstance(decision, Due) and not faults else {}
    lacking = gaps(observation, goals, brief.slicer)
    legs = _legs(brief, observation, valuation, goals, lacking)
    if legs:
        reason = decision.reason if isinstance(decision, Due) else ""
    elif isinstance(decision, Due):
        reason = "the gap is smaller than the smallest order" if not faults else decision.reason
    else:
        reason = decision.why
    refusals = (*brief.blocked, *faults, *_foreign(observation), *_turnover(brief, valuation, legs))
    return Plan(
        fund=brief.fund,
        venue=brief.venue,
        environment=brief.environment,
        at=observation.at,
        currency=valuation.currency,
        nav=valuation.nav,
        leverage=valuation.net_leverage,
        gross_leverage=valuation.gross_leverage,
        due=bool(legs) or bool(faults),
        reason=reason,
        legs=legs,
        triggers=_triggers(brief.mandate, observation, valuation, legs),
        refusals=refusals,
    )


def _legs(
    brief: Brief, observation: Observation, valuation: Valuation, goals: Mapping[str, Decimal], lacking: Mapping[str, Gap]
) -> tuple[PlanLeg, ...]:
    """Legs worth an order, those that reduce risk (or raise cash) first."""
    tradable = {}
    for symbol, gap in lacking.items():
        market = observation.markets[symbol]
        if abs(gap.contracts) >= smallest_order(market, observation, gap.contracts):
            tradable[symbol] = gap.contracts
    spent = sum((_cost_paid(brief, observation, symbol, contracts) for symbol, contracts in tradable.items()), ZERO)
    legs = [_leg(brief, observation, valuation, goals[symbol], (symbol, size, spent)) for symbol, size in tradable.items()]
    return tuple(sorted(legs, key=lambda leg: leg.stage))


def _leg(
    brief: Brief, observation: Observation, valuation: Valuation, goal: Decimal, trade: tuple[str, Decimal, Decimal]
) -> PlanLeg:
    symbol, contracts, spent = trade
    market, quote = observation.markets[symbol], observation.quotes[symbol]
    amount, side = abs(contracts), Side.of(contracts)
    held = observation.account.held(market)
    cut = reducing(held, contracts)
    slices = brief.slicer(amount, market.minimum_order(quote.mark))
    change = market.notional(contracts, quote.mark)
    paid_in_coin = _cost_paid(brief, observation, symbol, contracts) if market.kind is MarketKind.INVERSE else ZERO
    return PlanLeg(
        symbol=symbol,
        side=side,
        amount=amount,
        amount_base=market.to_base(amount, quote.mark),
        notional=abs(change),
        price=quote.mark,
        decision_mid=quote.book.mid,
        goal=goal,
        leverage_before=valuation.leverage(symbol),
        leverage_after=(valuation.exposures[symbol] + change - paid_in_coin) / (valuation.nav - spent),
        cap=market.whole_lots(amount * CAP),
        slices=slices,
        reduce_only=market.kind is not MarketKind.SPOT and cut == contracts,
        stage=0 if cut else 1,
        cost=estimate(
            market=market,
            book=quote.book,
            stats=observation.stats.get(symbol),
            side=side,
            contracts=amount,
            slices=slices,
            horizon=brief.horizon,
        ),
    )


def _cost_paid(brief: Brief, observation: Observation, symbol: str, contracts: Decimal) -> Decimal:
    """What trading ``contracts`` takes out of NAV at the rate that sized it, currency."""
    market, quote = observation.markets[symbol], observation.quotes[symbol]
    cost = estimate(
        market=market,
        book=quote.book,
        stats=None,
        side=Side.of(contracts),
        contracts=abs(contracts),
        slices=brief.slicer(abs(contracts), market.minimum_order(quote.mark)),
        horizon=brief.horizon,
    )
    return abs(market.notional(contracts, quote.mark)) * cost.total


def smallest_order(market: Market, observation: Observation, contracts: Decimal) -> Decimal:
    """The smallest order that can be sent toward ``contracts`` (signed), which depends on whether it only reduces."""
    held = observation.account.held(market)
    if market.kind is not MarketKind.SPOT and reducing(held, contracts) == contracts:
        return market.minimum_reduction
    return market.minimum_order(observation.quotes[market.symbol].mark)


def _book_faults(observation: Observation) -> tuple[Refusal, ...]:
    return tuple(
        Refusal("book", f"the order book of {symbol} can't be trusted: {', '.join(faults)}")
        for symbol, quote in observation.quotes.items()
        if (faults := quote.book.faults())
    )


def _foreign(observation: Observation) -> tuple[Refusal, ...]:
    found = [
        Refusal("foreign_position", f"{plain(position.contracts)} contracts of {symbol} are held that no target names")
        for symbol, position in observation.account.positions.items()
        if symbol not in observation.markets
    ]
    if observation.account.open_orders:
        orders = ", ".join(observation.account.open_orders)
        found.append(Refusal("foreign_order", f"orders that Keeper did not send are open: {orders}; cancel them first"))
    return tuple(found)


def _turnover(brief: Brief, valuation: Valuation, legs: Sequence[PlanLeg]) -> tuple[Refusal, ...]:
    adding = sum((leg.notional for leg in legs if not leg.reduce_only), ZERO)
    allowed = brief.limits.max_turnover_per_day * valuation.nav
    if not adding or brief.turnover + adding <= allowed:
        return ()
    message = (
        f"this plan trades {adding:.2f} {valuation.currency} after {brief.turnover:.2f} in the last 24 h;"
        f" limits.max_turnover_per_day = {plain(brief.limits.max_turnover_per_day)} times NAV allows {allowed:.2f}"
    )
    return (Refusal("turnover", message),)


def _triggers(mandate: Mandate, observation: Observation, valuation: Valuation, legs: Sequence[PlanLeg]) -> tuple[Trigger, ...]:
    """The moves of each single market (the others standing still) that take the fund, once the plan is done, out of bounds."""
    after = {symbol: valuation.leverage(symbol) for symbol in mandate.targets}
    after.update({leg.symbol: leg.leverage_after for leg in legs})
    found = []
    for symbol, leverage in after.items():
        if not leverage:
            continue
        mark = observation.quotes[symbol].mark
        others = sum((abs(value) for other, value in after.items() if other != symbol), ZERO)
        moves = []
        if mandate.deadband:
            moves += [(edge, move_to_leverage(leverage, edge)) for edge in mandate.band(symbol) if edge not in (leverage, ONE)]
        if (emergency := mandate.emergency) is not None:
            # gross leverage T is reached where others + |l| (1 + r) = T (1 + l r)
            slope = abs(leverage) - emergency * leverage
            if slope:
                shown = emergency if others else emergency * sign(leverage)
                moves.append((shown, (emergency - others - abs(leverage)) / slope))
        found += [
            Trigger(symbol=symbol, leverage=level, move=move, price=mark * (1 + move)) for level, move in moves if move > -ONE
        ]
    return tuple(found)


def _leg_document(leg: PlanLeg) -> dict[str, object]:
    return {
        "market": leg.symbol,
        "side": str(leg.side),
        "amount": plain(leg.amount),
        "amount_base": plain(rounded(leg.amount_base, 8)),
        "notional": plain(rounded(leg.notional, 8)),
        "price": plain(leg.price),
        "decision_mid": plain(leg.decision_mid),
        "leverage_before": _ratio(leg.leverage_before),
        "leverage_after": _ratio(leg.leverage_after),
        "slices": leg.slices,
        "reduce_only": leg.reduce_only,
    }


def _ratio(value: Decimal) -> str:
    return plain(rounded(value, 8))


def _bps(fraction: Decimal) -> str:
    return plain(rounded(fraction * BPS, 4))
