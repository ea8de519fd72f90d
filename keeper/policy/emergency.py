"""When a fund can't wait for its next slot: too much leverage, or liquidation too near, and how far it is de-levered then. Pure.

What counts is gross leverage and the way to liquidation, not the price: 15 % against a fund leave +3x at 4.64x, and -3x at
6.27x. An emergency only ever reduces. It begins at one level and ends at another, so that no boundary makes it begin again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType

from keeper.domain.account import Valuation, move_to_gross
from keeper.domain.numbers import ONE, ZERO, exact, plain, sign
from keeper.domain.observation import Observation
from keeper.policy.mandate import Mandate
from keeper.policy.triggers import Due, NotDue

CHECK_EVERY = timedelta(seconds=5)
SAFE_DISTANCE = Decimal("0.05")
HALF = Decimal("0.5")
NEAR = Decimal("0.02")
"""Adverse move (fraction of the price) up to which an emergency counts as near."""
PATIENCE = timedelta(seconds=30)
"""How long an emergency waits for a market that can't be read, before the others are cut for it as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """Where an emergency begins and where it ends.

    max_leverage: gross multiple of NAV at which it begins, None where no price move leads to one; to: gross multiple at which
    it ends; min_distance: from the mark to where the venue liquidates, fraction of the mark, below which it begins;
    safe_distance: likewise, at which it ends; check_every: how often leverage is looked at.
    """

    max_leverage: Decimal | None
    to: Decimal
    min_distance: Decimal = HALF * SAFE_DISTANCE
    safe_distance: Decimal = SAFE_DISTANCE
    check_every: timedelta = CHECK_EVERY

    @property
    def going_on(self) -> "Emergency":
        """The rules of one that has begun: it begins again wherever it has not ended."""
        level = None if self.max_leverage is None else self.to
        return replace(self, max_leverage=level, min_distance=self.safe_distance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far a fund is from an emergency.

    nav: units of ``currency``; net, gross: multiples of NAV; distance: the least that a position has to where the venue
    liquidates it, fraction of its mark, None where the venue does not say; moves: by symbol the move (fraction) of that
    market alone that leads to an emergency, where one does; room: the move of all markets against the fund that does, None
    where none does; danger: why it is one now, empty when it is none; stray: why a run is due although it is
    none, empty when none is.
    """

    nav: Decimal
    currency: str
    net: Decimal
    gross: Decimal
    distance: Decimal | None
    moves: Mapping[str, Decimal]
    room: Decimal | None
    danger: str
    stray: str = ""

    @property
    def near(self) -> bool:
        """Whether little is left before an emergency begins."""
        return bool(self.danger) or (self.room is not None and self.room <= NEAR)


def emergency_of(
    mandate: Mandate,
    *,
    to: Decimal | None = None,
    safe_distance: Decimal = SAFE_DISTANCE,
    check_every: timedelta = CHECK_EVERY,
) -> Emergency:
    """The emergency of a fund with ``mandate``: it ends at the gross target unless ``to`` says otherwise.

    safe_distance: what an order must leave to liquidation that adds risk; an emergency begins at half of it.
    """
    return Emergency(
        max_leverage=mandate.emergency,
        to=mandate.gross_target if to is None else to,
        min_distance=_half(safe_distance),
        safe_distance=safe_distance,
        check_every=check_every,
    )


@exact
def assess(emergency: Emergency, observation: Observation) -> Reading:
    """How far the fund of ``observation`` is from ``emergency``. StaleData when it can't be valued, or NAV is not positive."""
    valuation = observation.valuation()
    gross, level, distances = valuation.gross_leverage, emergency.max_leverage, _distances(observation)
    dangers = []
    if level is not None and gross >= level:
        dangers.append(f"gross leverage is {gross:.3f}x, an emergency from {plain(level)}x on")
    dangers += [
        f"{symbol} is {distance:.4f} of its price away from liquidation, an emergency below {plain(emergency.min_distance)}"
        for symbol, distance in distances.items()
        if distance < emergency.min_distance
    ]
    return Reading(
        nav=valuation.nav,
        currency=valuation.currency,
        net=valuation.net_leverage,
        gross=gross,
        distance=min(distances.values(), default=None),
        moves={} if level is None else _moves(valuation, level),
        room=None if level is None else _room(valuation, level),
        danger="; ".join(dangers),
    )


@exact
def delever(
    emergency: Emergency,
    observation: Observation,
    reach: Collection[str],
    begun: Mapping[str, Decimal] = MappingProxyType({}),
    awaited: Collection[str] = (),
) -> Due | NotDue:
    """What takes the fund out of an emergency: every position cut to the same share of itself, so that none loses its hedge.

    reach: symbols of the markets that can be traded now; begun: the goals (multiples of NAV) by symbol of an emergency that goes
    on, so that a leg that has done its part makes up for no other one; awaited: symbols of the markets that can't be traded just
    now, whose share is left for them. StaleData as ``assess`` has it.
    """
    reading, valuation = assess(emergency, observation), observation.valuation()
    if not reading.danger:
        return NotDue(f"gross leverage is {reading.gross:.3f}x: there is no emergency")
    counted = [symbol for symbol in (*reach, *awaited) if symbol in observation.markets]
    parts = {symbol: part for symbol in counted if (part := _reducible(observation, valuation, symbol))}
    if parts.keys().isdisjoint(reach):
        return NotDue(f"{reading.danger}; nothing that is held can be reduced")
    # what no reduction takes away: coins that are held, positions that no market of the fund has or that nobody waits for
    rest = reading.gross * reading.nav - _sum(parts)
    room = emergency.to * reading.nav - rest
    ends = _ends(parts, begun, reading.nav, room)
    total = _sum(ends)
    share = min(ONE, room / total) if total else ONE
    safe = emergency.safe_distance
    near = [distance for distance in _distances(observation).values() if distance < safe]
    # a position cut to a share of itself on the same equity has at least so many times the distance
    share = max(ZERO, min([share, *(distance / safe if safe else ZERO for distance in near)]))
    if share == ONE and all(ends[symbol] == parts[symbol] for symbol in parts if symbol in reach):
        return NotDue(f"gross leverage is {reading.gross:.3f}x: {_nothing_left(parts, ends)}")
    goals = {
        symbol: (valuation.exposures[symbol] - part + share * ends[symbol]) / reading.nav
        for symbol, part in parts.items()
        if symbol in reach
    }
    return Due(f"{reading.danger}; {share:.4f} of each position is kept", goals)


def _ends(parts: Mapping[str, Decimal], begun: Mapping[str, Decimal], nav: Decimal, room: Decimal) -> dict[str, Decimal]:
    """What is to be left of ``parts`` at the most: of those that were begun what was to be, of the others what that leaves.

    parts: reducible exposures (signed, currency) by symbol; begun: goals, multiples of ``nav``; room: for all of them together.
    """
    ends = {symbol: _no_further(part, begun.get(symbol), nav) for symbol, part in parts.items()}
    fresh = {symbol: part for symbol, part in parts.items() if symbol not in begun}
    left = room - (_sum(ends) - _sum(fresh))
    if len(fresh) < len(parts) and fresh and left > 0:
        share = min(ONE, left / _sum(fresh))
        ends |= {symbol: share * part for symbol, part in fresh.items()}
    return ends


def _sum(exposures: Mapping[str, Decimal]) -> Decimal:
    return sum(map(abs, exposures.values()), ZERO)


def _nothing_left(parts: Mapping[str, Decimal], ends: Mapping[str, Decimal]) -> str:
    return "the emergency is over" if ends == parts else "what can be traded now has done its part"


def _no_further(part: Decimal, goal: Decimal | None, nav: Decimal) -> Decimal:
    """``part`` of an exposure (signed, currency), or what ``goal`` (multiple of NAV) leaves of it where that is less."""
    return part if goal is None else min(abs(part), abs(goal) * nav) * sign(part)


@exact
def _half(figure: Decimal) -> Decimal:
    return HALF * figure


def _distances(observation: Observation) -> dict[str, Decimal]:
    """How far the mark of each position may go before the venue liquidates it, fraction; where the venue says so."""
    marks, found = observation.marks, {}
    for symbol, position in observation.account.positions.items():
        distance = position.distance(marks.get(symbol, position.mark))
        if distance is not None:
            found[symbol] = distance
    return found


def _moves(valuation: Valuation, level: Decimal) -> dict[str, Decimal]:
    held = {symbol: exposure / valuation.nav for symbol, exposure in valuation.exposures.items() if exposure}
    gross = valuation.gross_leverage
    moves = {symbol: move_to_gross(leverage, gross - abs(leverage), level) for symbol, leverage in held.items()}
    return {symbol: move for symbol, move in moves.items() if move is not None}


def _room(valuation: Valuation, level: Decimal) -> Decimal | None:
    """The move of every market against the fund at which gross leverage is ``level``; 0 once it is.

    Longs l and shorts s lose (l + s) r of NAV: l (1 - r) + s (1 + r) + rest = T (1 - (l + s) r).
    """
    longs = sum((exposure for exposure in valuation.exposures.values() if exposure > 0), ZERO) / valuation.nav
    shorts = -sum((exposure for exposure in valuation.exposures.values() if exposure < 0), ZERO) / valuation.nav
    slope = longs * (level - 1) + shorts * (level + 1)
    return max(ZERO, (level - valuation.gross_leverage) / slope) if slope > 0 else None


def _reducible(observation: Observation, valuation: Valuation, symbol: str) -> Decimal:
    """The signed part of the exposure in a market that closing its position takes away, currency."""
    market, exposure = observation.markets[symbol], valuation.exposures[symbol]
    held = market.notional(observation.account.held(market), observation.quotes[symbol].mark) * valuation.prices[market.quote]
    return min(abs(held), abs(exposure)) * sign(exposure) if sign(held) == sign(exposure) else ZERO
