"""The plan of a run that puts stops in their place: a leg a stop, decided at its trigger. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.account import Valuation
from keeper.domain.numbers import ZERO, exact, plain
from keeper.domain.observation import Observation
from keeper.planning.costs import CostEstimate
from keeper.planning.plan import Plan, PlanLeg
from keeper.policy.resident import ResidentStop


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """The fund whose stops they are. targets: of its mandate, multiples of NAV by symbol."""

    fund: str
    venue: str
    environment: str
    targets: Mapping[str, Decimal]


def guarding(whose: Whose, observation: Observation, stops: Sequence[ResidentStop]) -> Plan:
    """The plan that places ``stops``, made on ``observation``. StaleData when that can't be valued."""
    valuation = observation.valuation()
    told = ", ".join(f"{stop.side} {plain(stop.amount)} {stop.symbol} at {plain(stop.trigger)}" for stop in stops)
    return Plan(
        fund=whose.fund,
        venue=whose.venue,
        environment=whose.environment,
        at=observation.at,
        currency=valuation.currency,
        nav=valuation.nav,
        leverage=valuation.net_leverage,
        gross_leverage=valuation.gross_leverage,
        due=True,
        reason=f"resident guard: {told}",
        legs=tuple(_leg(stop, observation, valuation) for stop in stops),
        triggers=(),
        refusals=(),
        targets=dict(whose.targets),
        braking=True,
    )


@exact
def _leg(stop: ResidentStop, observation: Observation, valuation: Valuation) -> PlanLeg:
    market = observation.markets[stop.symbol]
    notional = abs(market.notional(stop.amount, stop.trigger)) * valuation.prices[market.quote]
    before = valuation.exposures[stop.symbol]
    after = (before + stop.side.sign * notional) / valuation.nav
    return PlanLeg(
        symbol=stop.symbol,
        side=stop.side,
        amount=stop.amount,
        amount_base=abs(market.to_base(stop.amount, stop.trigger)),
        notional=notional,
        price=stop.trigger,
        decision_mid=stop.trigger,
        goal=after,
        leverage_before=before / valuation.nav,
        leverage_after=after,
        cap=stop.amount,
        slices=1,
        reduce_only=True,
        stage=0,
        cost=CostEstimate(fee=market.taker, spread=ZERO, impact=ZERO, band=ZERO),
    )
