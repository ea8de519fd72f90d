"""At which prices a fund gets out of bounds: the edges of its bands, and the level that counts as an emergency. Pure."""

from collections.abc import Sequence

from keeper.domain.account import Valuation, move_to_gross, move_to_leverage
from keeper.domain.numbers import ONE, ZERO, sign
from keeper.domain.observation import Observation
from keeper.planning.plan import Cause, PlanLeg, Trigger
from keeper.policy.mandate import Mandate


def levels(mandate: Mandate, observation: Observation, valuation: Valuation, legs: Sequence[PlanLeg]) -> tuple[Trigger, ...]:
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
        if (band := mandate.band(symbol)).has_room:
            edges = [edge for edge in (band.low, band.high) if edge not in (leverage, ONE)]
            moves += [(Cause.BAND, edge, move_to_leverage(leverage, edge)) for edge in edges]
        if (emergency := mandate.emergency) is not None:
            shown = emergency if others else emergency * sign(leverage)
            if (away := move_to_gross(leverage, others, emergency)) is not None:
                moves.append((Cause.EMERGENCY, shown, away))
        found += [
            Trigger(cause=cause, symbol=symbol, leverage=level, move=move, price=mark * (1 + move))
            for cause, level, move in moves
            if move > -ONE
        ]
    return tuple(found)
