"""How much by when: even slices over a horizon, or everything at once. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from keeper.domain.numbers import exact

FINISHING_SHARE = Decimal("0.1")
FINISHING_STEP = timedelta(seconds=5)
SHORTEST = timedelta(seconds=1)
"""The horizon of a run that began when its time was all but over."""


class Style(StrEnum):
    """How a run spreads its orders over time."""

    TWAP = "twap"
    URGENT = "urgent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How a leg is worked.

    horizon: the longest a run may take; slices: orders to spread a leg over (TWAP); max_depth: fraction of the depth
    inside the collar that one slice may take; ends_by: when a run is over at the latest (aware), None where nothing follows.
    """

    style: Style
    horizon: timedelta
    slices: int
    max_depth: Decimal
    ends_by: datetime | None = None

    def from_now(self, now: datetime) -> "Pacing":
        """The pacing of a run that begins at ``now`` (aware), its horizon cut to the time that is left."""
        if self.ends_by is None or self.ends_by - now >= self.horizon:
            return self
        return replace(self, horizon=max(self.ends_by - now, SHORTEST))

    def planned_slices(self, contracts: Decimal, smallest: Decimal) -> int:
        """How many orders a leg of ``contracts`` is cut into: never so many that one falls below ``smallest``."""
        if self.style is Style.URGENT:
            return 1
        return max(1, min(self.slices, whole(abs(contracts) / smallest)))

    def interval(self, slices: int) -> timedelta:
        """Time between slices: the last tenth of the horizon is kept for finishing what the book did not give."""
        if slices <= 1:
            return min(FINISHING_STEP, self.horizon)
        return self.horizon * float(1 - FINISHING_SHARE) / slices

    def remaining_slices(self, slices: int, start: datetime, now: datetime) -> int:
        """How many slices are still to come at ``now``, the present one included; 1 once the horizon's tail is reached."""
        due = int((now - start) / self.interval(slices))
        return max(1, slices - due)


@exact
def whole(value: Decimal) -> int:
    """``value`` rounded down to an integer."""
    return int(value.to_integral_value(ROUND_FLOOR))


@exact
def share(contracts: Decimal, parts: int, lot: Decimal) -> Decimal:
    """One of ``parts`` equal shares of ``contracts`` (> 0), raised to a whole lot but never above ``contracts``."""
    even = (contracts / parts / lot).to_integral_value(ROUND_CEILING) * lot
    return min(even, contracts)
