"""A fund as the service runs it: what it is to hold, within which limits, how fast, and what takes its right to trade."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.execution.pacing import Pacing, Style
from keeper.planning.limits import Limits
from keeper.policy.breakers import Breakers
from keeper.policy.emergency import Emergency, emergency_of
from keeper.policy.intraday import Direction, Intraday
from keeper.policy.mandate import Mandate
from keeper.policy.steering import Steering

AT_ONCE = Pacing(style=Style.URGENT, horizon=timedelta(minutes=2), slices=1, max_depth=Decimal(1))
"""An emergency takes whatever the book has inside the collar; one that did not come to its end by then is planned anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """One fund's rules.

    emergency: when it is to be de-levered between slots, None as its mandate has it; urgent: what it trades can't wait for
    outcomes that are not known, and only reduces; rules: fingerprint of what it and its venue are configured to, empty where
    nobody told; braking: the emergency that it is taken out of, None in the ordinary way; intraday: what else makes it act
    between its slots, None where nothing does; is_between: no slot asked for what it trades now; steering: what targets that are
    named elsewhere may be, None where the mandate's are all; resident_guard: whether stops rest at the venue that brake it while
    nobody looks, None for where the venue keeps such.
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
    is_between: bool = False
    steering: Steering | None = None
    resident_guard: bool | None = None

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

    def holding(self, targets: Mapping[str, Decimal], before: Mapping[str, Decimal] | None = None) -> "Fund":
        """The same fund, which is to hold ``targets``, multiples of NAV by symbol; its emergency follows from them.

        before: what it comes from, as long as it is on its way: what either of them allows is no emergency yet.
        """
        mandate = replace(self.mandate, targets=dict(targets))
        if self.emergency is None or self.steering is None:
            return replace(self, mandate=mandate)
        coming = replace(self.mandate, targets=dict(before or targets))
        levels = [level for level in (mandate.emergency, coming.emergency) if level is not None]
        ends_at = self.steering.ends_at
        to = max(mandate.gross_target, coming.gross_target) if ends_at is None else ends_at
        return replace(self, mandate=mandate, emergency=replace(self.emergency, max_leverage=max(levels, default=None), to=to))

    @property
    def watched(self) -> Emergency:
        """When the fund is to be de-levered between slots."""
        return self.emergency or emergency_of(self.mandate, safe_distance=self.limits.min_liquidation_distance)

    def between_slots(self, *, at_once: bool) -> "Fund":
        """The same fund, acting between its slots. at_once: without spreading what it trades."""
        return replace(self, is_between=True, pacing=AT_ONCE if at_once else self.pacing)

    @property
    def only_reduces(self) -> bool:
        """Whether what it trades now may add no risk, since its mandate does not say so between slots."""
        both = self.intraday is not None and self.intraday.direction is Direction.BOTH
        return self.is_between and not both

    def braked(self, *, going_on: bool) -> "Fund":
        """The same fund, wanting out of an emergency at once, whatever else is not known. going_on: it has begun before."""
        rule = self.watched.going_on if going_on else self.watched
        return replace(self, pacing=AT_ONCE, urgent=True, braking=rule)
