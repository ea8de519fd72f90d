"""A run: one attempt to close the gap, under a key that exists once; and the rows that the journal keeps beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from keeper.domain.errors import InvariantViolation


class RunStatus(StrEnum):
    """How a run stands or ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    NOTHING_DUE = "nothing_due"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"
    MISSED = "missed"

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self is not RunStatus.RUNNING

    @property
    def may_go_on(self) -> bool:
        """Whether the run of a slot may be taken up again while its window is open."""
        return self in (RunStatus.INCOMPLETE, RunStatus.REFUSED, RunStatus.MISSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One scheduled occurrence of one fund.

    local: nominal date and time on the schedule's wall, naive; zone: its name; at: its instant, aware UTC, before jitter.
    """

    local: datetime
    zone: str
    at: datetime

    @property
    def day(self) -> date:
        """The local date that it belongs to."""
        return self.local.date()

    @property
    def trigger(self) -> str:
        """What makes a run the run of this slot, such as ``slot:2026-03-01T00:15[Europe/Berlin]``; sorts by local time."""
        return f"{SLOT_PREFIX}{self.local:%Y-%m-%dT%H:%M}[{self.zone}]"


SLOT_PREFIX = "slot:"
_LOCAL = slice(len(SLOT_PREFIX), len(SLOT_PREFIX) + len("2026-03-01T00:15"))


@dataclass(frozen=True, slots=True)
class RunKey:
    """What makes a run the only one of its kind: the fund and what triggered it.

    trigger: ``manual:<command id>``, ``flatten:<command id>``, ``emergency:<time>``, ``guard:<time>`` (which puts stops in their
    place) or that of a slot; unique together with the fund.
    """

    fund: str
    trigger: str

    @property
    def local(self) -> datetime | None:
        """Local date and time (naive) of the slot that triggered the run, None for any other trigger."""
        return datetime.fromisoformat(self.trigger[_LOCAL]) if self.trigger.startswith(SLOT_PREFIX) else None

    @property
    def day(self) -> date | None:
        """The local date of that slot, None for any other trigger."""
        return None if self.local is None else self.local.date()

    @property
    def zone(self) -> str:
        """The name of the zone that ``local`` is of, empty where there is none."""
        return self.trigger.partition("[")[2].rstrip("]") if self.local is not None else ""

    @property
    def run_id(self) -> str:
        """The run's name everywhere: the fund and what is unique in the trigger."""
        if self.local is None:
            return f"{self.fund}-{self.trigger.rpartition(':')[2]}"
        return f"{self.fund}-{self.local:%Y%m%dT%H%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as the journal keeps it.

    id: names it everywhere; plan and result: JSON documents of the shapes in the README (result is
    None until the run ended); account: fingerprint of the venue account; times are aware UTC; attempts: how often it was
    begun, 0 where it was only missed.
    """

    id: str
    key: RunKey
    venue: str
    environment: str
    account: str
    currency: str
    status: RunStatus
    reason: str
    plan: Mapping[str, object]
    result: Mapping[str, object] | None
    started_at: datetime
    deadline: datetime
    ended_at: datetime | None = None
    attempts: int = 1

    def ended(self, status: RunStatus, reason: str) -> RunStatus:
        """``status`` if this run may end so; InvariantViolation when it is over already or ``status`` is no end."""
        if self.status.ended or not status.ended:
            message = f"run {self.id} can't go from {self.status} to {status} ({reason})"
            raise InvariantViolation(message)
        return status

    def reopened(self) -> RunStatus:
        """RUNNING if this run may be taken up again; InvariantViolation when it may not."""
        if not self.status.may_go_on:
            message = f"run {self.id} is {self.status}: it can't be taken up again"
            raise InvariantViolation(message)
        return RunStatus.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRun:
    """What tells whether a slot is due of the run that it has: ``Run`` without its documents."""

    key: RunKey
    account: str
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None
    attempts: int


class NavCause(StrEnum):
    """What a NAV point is taken for: at the start of a run, whether it trades or not, once a day, or at the end of a run (AFTER).

    BEFORE where markets and positions are those of the point before, MOVED where they are not or nobody can tell, ANEW where
    none were recorded on this account although the fund has a history on another one.
    """

    BEFORE = "before"
    MOVED = "moved"
    ANEW = "anew"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class NavPoint:
    """NAV of a fund at one instant. nav: units of ``currency``; leverages: multiples of NAV; cause: what it was taken for.

    run: empty where it was taken to close a day; exposures: currency, signed, by market or asset; prices: currency per unit of
    what each of those is counted in; both None for a point of before they were kept.
    """

    fund: str
    run: str
    cause: NavCause
    at: datetime
    nav: Decimal
    currency: str
    net_leverage: Decimal
    gross_leverage: Decimal
    exposures: Mapping[str, Decimal] | None = None
    prices: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One link of the journal's chain. seq: from 1 without gaps; hash covers every other field and the previous hash."""

    seq: int
    at: datetime
    kind: str
    fund: str
    run: str
    payload: Mapping[str, object]
    previous: str
    hash: str


class CommandKind(StrEnum):
    """What an operator may ask the process that trades a fund to do."""

    REBALANCE = "rebalance"
    FLATTEN = "flatten"
    HALT = "halt"
    RESUME = "resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A request of an operator, taken by exactly one process.

    id: short and unique; at, taken_at, ended_at: aware UTC; exit_code: what whoever asked ends with where no run tells,
    answer: in which words; approved_jump: targets far from those of the run before are meant; rules: fingerprint of the
    configuration that whoever asked had before them, empty where it does not matter; plan: the document of the written plan
    that is to be carried out, None where none is.
    """

    id: str
    fund: str
    kind: CommandKind
    reason: str
    at: datetime
    taken_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    answer: str = ""
    approved_jump: bool = False
    rules: str = ""
    plan: Mapping[str, object] | None = None

    @property
    def trigger(self) -> str:
        """What makes a run the one that answers this request."""
        return f"{'flatten' if self.kind is CommandKind.FLATTEN else 'manual'}:{self.id}"
