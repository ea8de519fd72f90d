"""Whether a fund's exposure calls for a trade, and where each market should go. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.account import Valuation
from keeper.domain.numbers import ONE, ZERO, exact
from keeper.policy.mandate import BandGoal, Mandate


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


def decide(mandate: Mandate, valuation: Valuation) -> Due | NotDue:
    """Compare each market's leverage with its band.

    A market inside its band is left alone; one outside goes to the target, or to the band's nearer edge. Without a band
    every market goes to its target as soon as one of them is off. StaleData when NAV is not positive.
    """
    goals: dict[str, Decimal] = {}
    outside = []
    for symbol, target in mandate.targets.items():
        leverage = valuation.leverage(symbol)
        low, high = mandate.band(symbol)
        if low <= leverage <= high and mandate.deadband:
            continue
        edge = low if leverage < low else high
        goals[symbol] = target if mandate.goal is BandGoal.TARGET else edge
        if leverage == target:
            continue  # without a band it is still part of the equation: what the others cost moves it
        band = f" within {low:.3f}x to {high:.3f}x" if low < high else ""
        outside.append(f"{symbol} at {leverage:.3f}x, wanted {target:.3f}x{band}")
    if not outside:
        return NotDue("every market is inside its band")
    return Due("; ".join(outside), goals)
