"""How a fund stands, apart from its runs: whether it may trade, what keeps it from it, since when it is kept."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from keeper.domain.numbers import ZERO
from keeper.domain.order import Child


class FundState(StrEnum):
    """Whether a fund may send orders."""

    ACTIVE = "active"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A fund's state, kept across restarts.

    reason: why it was set, cause: by which breaker, empty where a human did; at: when (aware UTC), None where nobody ever
    set it. trouble: what keeps the process that trades the fund from its work just now, empty when nothing does.
    """

    fund: str
    state: FundState = FundState.ACTIVE
    reason: str = ""
    cause: str = ""
    at: datetime | None = None
    trouble: str = ""

    @property
    def halted(self) -> bool:
        """Whether nothing may be sent until a human resumes the fund."""
        return self.state is FundState.HALTED

    @property
    def reducing(self) -> bool:
        """Whether only what reduces risk may be sent."""
        return self.state is FundState.REDUCE_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the children of a fund have used of its rolling caps, counted when they were intended.

    adding, reducing: notional at limit price of those that add risk and of those that only reduce, quote currency; orders:
    how many there were; each in the last hour, in the last day, and in the run at hand over all its attempts.
    """

    adding_hour: Decimal = ZERO
    adding_day: Decimal = ZERO
    adding_run: Decimal = ZERO
    reducing_hour: Decimal = ZERO
    reducing_day: Decimal = ZERO
    reducing_run: Decimal = ZERO
    orders_hour: int = 0
    orders_day: int = 0
    orders_run: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What the journal says right before a child is sent, read at once. open_children: those not terminal, oldest first."""

    standing: Standing
    open_children: tuple[Child, ...]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a fund held of one market when its account last stood still and was told so. contracts: signed; at: aware UTC."""

    symbol: str
    contracts: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStart:
    """When a fund's schedule was first followed, and the seed that its jitter comes from; recorded once.

    since: aware UTC; slots that were over by then were not missed.
    """

    fund: str
    seed: str
    since: datetime
