"""A fund as the service runs it: what it is to hold, within which limits, how fast, and what takes its right to trade."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.execution.pacing import Pacing, Style
from keeper.planning.limits import Limits
from keeper.policy.breakers import Breakers
from keeper.policy.emergency import Emergency, emergency_of
from keeper.policy.intraday import Direction, Intraday
from keeper.policy.mandate import Mandate

AT_ONCE = Pacing(style=Style.URGENT, horizon=timedelta(minutes=2), slices=1, max_depth=Decimal(1))
"""An emergency takes whatever the book has inside the collar; one that did not come to its end by then is planned anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """One fund's rules.

    emergency: when it is to be de-levered between slots, None as its mandate has it; urgent: what it trades can't wait for
    outcomes that are not known, and only reduces; rules: fingerprint of what it and its venue are configured to, empty where
    nobody told; braking: the emergency that it is taken out of, None in the ordinary way; intraday: what else makes it act
    between its slots, None where nothing does; only_reduces: what it trades now adds no risk, since no slot asked for it.
    """

    name: str
    mandate: Mandate
    limits: Limits
    pacing: Pacing
    breakers: Breakers = field(default_factory=Breakers)
    emergency: Emergency | None = None
    urgent: bool = False
    rules: str = ""
    braking: Emergency | None = None
    intraday: Intraday | None = None
    only_reduces: bool = False

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets of the mandate."""
        return tuple(self.mandate.targets)

    @property
    def flat(self) -> "Fund":
        """The same fund, wanting none of its markets, whatever else is not known."""
        return replace(self, mandate=self.mandate.flat, urgent=True)

    def ending(self, at: datetime | None) -> "Fund":
        """The same fund, whose runs are over by ``at`` (aware) at the latest."""
        return replace(self, pacing=replace(self.pacing, ends_by=at))

    @property
    def watched(self) -> Emergency:
        """When the fund is to be de-levered between slots."""
        return self.emergency or emergency_of(self.mandate, safe_distance=self.limits.min_liquidation_distance)

    @property
    def between_slots(self) -> "Fund":
        """The same fund, acting between its slots as its mandate has it."""
        both = self.intraday is not None and self.intraday.direction is Direction.BOTH
        return replace(self, only_reduces=not both)

    def braked(self, *, going_on: bool) -> "Fund":
        """The same fund, wanting out of an emergency at once, whatever else is not known. going_on: it has begun before."""
        rule = self.watched.going_on if going_on else self.watched
        return replace(self, pacing=AT_ONCE, urgent=True, braking=rule)
