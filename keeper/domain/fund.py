"""How a fund stands, apart from its runs: whether it may trade, what keeps it from it, since when it is kept."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FundState(StrEnum):
    """Whether a fund may send orders."""

    ACTIVE = "active"
    HALTED = "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A fund's state, kept across restarts.

    reason: why it was set, at: when (aware UTC); None where nobody ever set it. trouble: what keeps the process that
    trades the fund from its work just now, empty when nothing does.
    """

    fund: str
    state: FundState = FundState.ACTIVE
    reason: str = ""
    at: datetime | None = None
    trouble: str = ""

    @property
    def halted(self) -> bool:
        """Whether nothing may be sent until a human resumes the fund."""
        return self.state is FundState.HALTED


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStart:
    """When a fund's schedule was first followed, and the seed that its jitter comes from; recorded once.

    since: aware UTC; slots that were over by then were not missed.
    """

    fund: str
    seed: str
    since: datetime
