"""A fund as the service runs it: what it is to hold, within which limits, how fast, and what takes its right to trade."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from keeper.execution.pacing import Pacing
from keeper.planning.limits import Limits
from keeper.policy.breakers import Breakers
from keeper.policy.mandate import Mandate


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """One fund's rules.

    urgent: what it trades can't wait for outcomes that are not known, and only reduces; rules: fingerprint of what it and its
    venue are configured to, empty where nobody told.
    """

    name: str
    mandate: Mandate
    limits: Limits
    pacing: Pacing
    breakers: Breakers = field(default_factory=Breakers)
    urgent: bool = False
    rules: str = ""

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
