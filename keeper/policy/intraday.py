"""What else than an emergency makes a fund act between its slots, where its mandate says that something does. Pure.

By itself a fund acts at its slots, and between them only to get out of an emergency. A mandate may want more: that a market which
left its band is brought back at once, or one whose price moved by so much since the last run, or money that came or left; toward
less risk only, or both ways. Both ways costs whoever meets a price that turns: a 3x short that is levered up again after a fall
of 20 %, and sees the price come back, keeps 40 of 100.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from keeper.domain.account import Valuation
from keeper.domain.numbers import ONE, ZERO, exact, plain, rounded, sign
from keeper.policy.mandate import Mandate

COOLDOWN = timedelta(minutes=15)


class Direction(StrEnum):
    """Which way a fund may go between its slots."""

    REDUCE = "reduce"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intraday:
    """When a fund acts between its slots.

    band: as soon as a market is outside of its band; move: as soon as a price moved by this fraction since the last run that
    ended well, None at no move; flow: as soon as money came or left by this fraction of NAV since then, None at no flow;
    direction: which way; cooldown: between the end of one such run and the next.
    """

    band: bool = False
    move: Decimal | None = None
    flow: Decimal | None = None
    direction: Direction = Direction.REDUCE
    cooldown: timedelta = COOLDOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What a fund comes from.

    marks: quote per base by symbol, of the last run that ended well, none before the first; flowed: money that came since then
    (left: below 0), currency.
    """

    marks: Mapping[str, Decimal] = field(default_factory=dict)
    flowed: Decimal = ZERO


@exact
def strayed(rule: Intraday, mandate: Mandate, valuation: Valuation, marks: Mapping[str, Decimal], since: Since) -> str:
    """Why a run is due between slots, in words; empty where none is. marks: quote per base by symbol, now."""
    found = [*_outside(rule, mandate, valuation), *_moved(rule, mandate, valuation, marks, since.marks)]
    return "; ".join((*found, *_flowed(rule, valuation, since.flowed)))


def _outside(rule: Intraday, mandate: Mandate, valuation: Valuation) -> Iterator[str]:
    for symbol in mandate.targets if rule.band else ():
        leverage, band = valuation.leverage(symbol), mandate.band(symbol)
        is_wanted = rule.direction is Direction.BOTH or abs(leverage) > band.outermost
        if not band.holds(leverage) and is_wanted:
            yield f"{symbol} is at {leverage:.3f}x, outside of {band.low:.3f}x to {band.high:.3f}x"


def _moved(
    rule: Intraday, mandate: Mandate, valuation: Valuation, marks: Mapping[str, Decimal], since: Mapping[str, Decimal]
) -> Iterator[str]:
    for symbol in mandate.targets:
        before = since.get(symbol)
        if rule.move is None or before is None:
            continue
        move = marks[symbol] / before - ONE
        against = -sign(valuation.exposures[symbol]) * move
        lost = abs(move) if rule.direction is Direction.BOTH else against
        if lost >= rule.move:
            yield f"{symbol} moved by {move:.4f} since the last run, to {plain(marks[symbol])}"


def _flowed(rule: Intraday, valuation: Valuation, flowed: Decimal) -> Iterator[str]:
    if rule.flow is None or abs(flowed) < rule.flow * abs(valuation.nav):
        return
    if flowed < 0 or (flowed > 0 and rule.direction is Direction.BOTH):
        way = "came" if flowed > 0 else "left"
        yield f"{plain(rounded(abs(flowed), 2))} {valuation.currency} {way} since the last run, NAV is {valuation.nav:.2f}"
