"""How near a fund stays to its ideal: the multiple of the market's return, kept without friction. Pure.

    ideal      = prod(1 + sum L_i r_i)              over the steps between two marks, L the targets in force
    difference = cumulative fund return - cumulative ideal return
    error      = sample standard deviation of the steps' differences, annualised with sqrt(365 / days of a step)
    path       = prod(1 + sum L_i r_i) - (1 + sum L_i R_i)   what the way there added to the move as a whole

The path term is what daily rebalancing gains in a trend and loses in a market that turns (Avellaneda and Zhang 2010). Money
that came in or went out between two marks is no return.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from keeper.domain.numbers import ONE, ZERO, exact

_YEAR = timedelta(days=365)
_SHORTEST = timedelta(days=2)
"""What lies closer together says nothing of a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A fund at one instant.

    nav: units of its currency (> 0); flow: what came in (went out: negative) since the mark before, in it too; prices: quote
    per base of every market of ``targets``, which are the multiples of NAV by symbol that hold from here on.
    """

    at: datetime
    nav: Decimal
    prices: Mapping[str, Decimal]
    targets: Mapping[str, Decimal]
    flow: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one mark to the next. fund, ideal: returns of the step; the paths: what 1 at the first mark has become."""

    start: datetime
    end: datetime
    fund: Decimal
    ideal: Decimal
    fund_path: Decimal
    ideal_path: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """What a fund made of its market. All fractions; underlying: return by symbol of what was priced throughout.

    error: a year's, None before three marks or two days; path: None where the targets changed on the way.
    """

    steps: tuple[Step, ...]
    fund: Decimal
    ideal: Decimal
    underlying: Mapping[str, Decimal]
    error: Decimal | None
    path: Decimal | None

    @property
    @exact
    def difference(self) -> Decimal:
        """By how much the fund's return is above the ideal one."""
        return self.fund - self.ideal


@exact
def track(marks: Sequence[Mark]) -> Tracking | None:
    """What became of the first mark until the last, oldest first; None where there are less than two.

    A step across which a market has no price at either end counts that market as unmoved. ValueError for a NAV that is not
    above zero: what was lost whole has no return from there on.
    """
    if len(marks) < 2:  # noqa: PLR2004 - a return takes two
        return None
    if not all(mark.nav > 0 for mark in marks):
        message = "a NAV that is not above zero has no return"
        raise ValueError(message)
    steps: list[Step] = []
    fund_path = ideal_path = ONE
    for before, after in pairwise(marks):
        fund = (after.nav - after.flow) / before.nav - 1
        ideal = sum((target * _move(symbol, before, after) for symbol, target in before.targets.items()), ZERO)
        fund_path, ideal_path = fund_path * (1 + fund), ideal_path * max(ZERO, 1 + ideal)
        step = Step(start=before.at, end=after.at, fund=fund, ideal=ideal, fund_path=fund_path, ideal_path=ideal_path)
        steps.append(step)
    first, last = marks[0], marks[-1]
    shared = [symbol for symbol in first.prices if symbol in last.prices]
    kept = all(mark.targets == first.targets for mark in marks[:-1])
    straight = sum((target * _move(symbol, first, last) for symbol, target in first.targets.items()), ZERO)
    return Tracking(
        steps=tuple(steps),
        fund=fund_path - 1,
        ideal=ideal_path - 1,
        underlying={symbol: _move(symbol, first, last) for symbol in shared},
        error=_error(steps),
        path=ideal_path - (1 + straight) if kept else None,
    )


def _move(symbol: str, before: Mark, after: Mark) -> Decimal:
    if symbol not in before.prices or symbol not in after.prices:
        return ZERO
    return after.prices[symbol] / before.prices[symbol] - 1


def _error(steps: Sequence[Step]) -> Decimal | None:
    whole = steps[-1].end - steps[0].start
    if len(steps) < 2 or whole < _SHORTEST:  # noqa: PLR2004 - a deviation takes two
        return None
    differences = [step.fund - step.ideal for step in steps]
    mean = sum(differences, ZERO) / len(differences)
    variance = sum(((one - mean) ** 2 for one in differences), ZERO) / (len(differences) - 1)
    steps_a_year = Decimal(_YEAR / timedelta(microseconds=1)) * len(steps) / Decimal(whole / timedelta(microseconds=1))
    return (variance * steps_a_year).sqrt()
