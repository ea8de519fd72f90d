"""How a fund stands, apart from its runs: whether it may trade, what keeps it from it, since when it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from keeper.domain.numbers import ZERO
from keeper.domain.order import Child
from keeper.domain.run import NavCause


class FundState(StrEnum):
    """Whether a fund may send orders."""

    ACTIVE = "active"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A fund's state, kept across restarts.

    reason: why it was set, cause: by which breaker, empty where a human did (a breaker that is over sets it, too); at: when
    (aware UTC), None where nobody ever set it; cleared_at: when a human last let the fund trade. trouble: what keeps the
    process that trades the fund from its work just now, empty when nothing does.
    """

    fund: str
    state: FundState = FundState.ACTIVE
    reason: str = ""
    cause: str = ""
    at: datetime | None = None
    trouble: str = ""
    cleared_at: datetime | None = None

    @property
    def halted(self) -> bool:
        """Whether nothing may be sent until a human resumes the fund."""
        return self.state is FundState.HALTED

    @property
    def reducing(self) -> bool:
        """Whether only what reduces risk may be sent."""
        return self.state is FundState.REDUCE_ONLY

    @property
    def flattened(self) -> bool:
        """Whether a human asked for no exposure, and has said nothing else since: a breaker always names itself."""
        return self.reducing and not self.cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the children of a fund have used of its rolling caps, counted when they were intended.

    adding, reducing: notional at limit price of those that add risk and of those that only reduce, quote currency, without
    those of which it is proven that they never left; orders: how many there were, those too; each in the last hour, in the
    last day, and in the run at hand over all its attempts.
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
class Worth:
    """What a fund was worth at one of its runs.

    cause: what it was taken for, as ``NavPoint`` has it; nav, exposure (net, signed): units of its currency.
    """

    cause: NavCause
    nav: Decimal
    exposure: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """What happened to a fund since it was last looked at afresh, within the last hour but for ``worths``.

    errors: children that were rejected, never arrived or are of unknown outcome; attempts: of runs, emergencies aside, those in
    which a child was intended; results: of the runs that ended, latest first, as ``Run.result`` has them; worths: within the
    last day and the newest one before it, oldest first.
    """

    errors: int
    attempts: int
    results: tuple[Mapping[str, object], ...]
    worths: tuple[Worth, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What the journal says right before a child is sent, read at once. open_children: those not terminal, oldest first."""

    standing: Standing
    open_children: tuple[Child, ...]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A fund of another name that traded the same account, and what it left there: most likely the same fund, renamed.

    halted: nothing may be sent until a human resumes it; unsettled: client ids of its children that are not terminal.
    """

    fund: str
    halted: bool
    unsettled: tuple[str, ...]


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
