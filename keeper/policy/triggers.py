"""Whether a fund's exposure calls for a trade, and where each market should go. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.account import Valuation
from keeper.domain.numbers import ONE, ZERO, exact
from keeper.policy.mandate import BandGoal, Mandate
from keeper.policy.recentering import recentered

UNMATCHED = Decimal("0.01")
"""What a leg may have more of its target than another that the venue cut: a lot, and what the market moved meanwhile."""


@dataclass(frozen=True, slots=True)
class Due:
    """Something should be traded. goals: leverage (multiple of NAV) to reach, by symbol of the markets to trade."""

    reason: str
    goals: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class NotDue:
    """Nothing should be traded."""

    why: str


@exact
def kept(mandate: Mandate, valuation: Valuation, legs: Collection[str]) -> Decimal:
    """The least fraction of its target that any of ``legs`` has: 0 where one has nothing or the other side, at the most 1.

    Once the venue cut one leg of a hedge, and nothing may be added to it, this much of each other leg is still hedged.
    legs: symbols of the markets that hold a position, or that the venue emptied: one that was never opened hedges nothing.
    """
    parts = [valuation.leverage(symbol) / target for symbol, target in mandate.targets.items() if target and symbol in legs]
    return max(ZERO, min([ONE, *parts]))


@exact
def unmatched(mandate: Mandate, valuation: Valuation, legs: Collection[str]) -> str:
    """Which of ``legs`` hedge more than the one that the venue cut, in words; empty where none is to be reduced with it."""
    share = kept(mandate, valuation, legs)
    parts = {
        symbol: valuation.leverage(symbol) / target for symbol, target in mandate.targets.items() if target and symbol in legs
    }
    more = [f"{symbol} has {part:.4f}" for symbol, part in parts.items() if part > share + UNMATCHED]
    return f"{' and '.join(more)} of its target, and the leg that the venue cut {share:.4f}" if more else ""


def decide(mandate: Mandate, valuation: Valuation, begun: Mapping[str, Decimal] | None = None) -> Due | NotDue:
    """Compare each market's leverage with its band.

    A market inside its band is left alone; one outside goes to the target, or to the band's nearer edge. Where the goal is to
    recenter, each goes a step toward its target, inside its band or not; begun: by symbol, the goals of a run that was cut and
    goes on. Without a band every market goes to its target as soon as one of them is off. StaleData when NAV is not positive.
    """
    goals: dict[str, Decimal] = {}
    outside = []
    for symbol, target in mandate.targets.items():
        leverage, band = valuation.leverage(symbol), mandate.band(symbol)
        goal = _goal(mandate, symbol, leverage, (begun or {}).get(symbol))
        if goal == leverage and band.has_room:
            continue
        goals[symbol] = goal
        if goal == leverage:
            continue  # without a band it is still part of the equation: what the others cost moves it
        room = f" within {band.low:.3f}x to {band.high:.3f}x" if band.has_room else ""
        way = f", now to {goal:.3f}x" if goal != target else ""
        outside.append(f"{symbol} at {leverage:.3f}x, wanted {target:.3f}x{room}{way}")
    if not outside:
        still = "on its target" if mandate.goal is BandGoal.RECENTER else "inside its band"
        return NotDue(f"every market is {still}")
    return Due("; ".join(outside), goals)


def _goal(mandate: Mandate, symbol: str, leverage: Decimal, begun: Decimal | None) -> Decimal:
    """Where ``symbol`` goes from ``leverage``: nowhere where that is itself, multiples of NAV."""
    target, band = mandate.targets[symbol], mandate.band(symbol)
    if mandate.goal is BandGoal.RECENTER:
        return recentered(leverage, target, band, mandate.speed, begun)
    if mandate.goal is BandGoal.EDGE:
        return band.nearest(leverage)
    return leverage if band.holds(leverage) else target
