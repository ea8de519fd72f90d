"""Recentering: toward the target in steps, so that what moved by itself is given time to come back by itself. Pure.

Each rebalance goes a fraction of the way from where leverage stands to the target, whether it stands inside its band or not,
and never ends outside it. Source: Index Coop's FLI contracts, ``FlexibleLeverageStrategyExtension._calculateNewLeverageRatio``:

    new = max(min, min(max, current (1 - speed) + target speed))

A step that was begun and cut is gone on with, as ``twapLeverageRatio`` is there: taken anew from where it was cut, every
interruption would make it longer.
"""

from decimal import Decimal

from keeper.domain.numbers import ONE, exact, sign
from keeper.policy.mandate import Band


@exact
def recentered(leverage: Decimal, target: Decimal, band: Band, speed: Decimal, begun: Decimal | None = None) -> Decimal:
    """Where a rebalance from ``leverage`` ends: between it and ``target``, all three multiples of NAV, within ``band``.

    speed: fraction of the way, above 0 and at most 1; begun: where a step that was cut was to end, None where none was. Once
    leverage has come as far, or the market carried it past the target, that step is over, and what is inside the band stays.
    """
    if begun is None:
        return band.nearest(leverage * (ONE - speed) + target * speed)
    goal, way = band.nearest(begun), target - leverage
    goes_on = sign(goal - leverage) == sign(way) and abs(goal - leverage) <= abs(way)
    return goal if goes_on else band.nearest(leverage)
