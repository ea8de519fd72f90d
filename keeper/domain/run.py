"""A run: one attempt to close the gap, under a key that exists once; and the rows that the journal keeps beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self is not RunStatus.RUNNING


@dataclass(frozen=True, slots=True)
class RunKey:
    """What makes a run the only one of its kind: the fund and what triggered it.

    trigger: ``manual:<command id>``; unique together with the fund.
    """

    fund: str
    trigger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as the journal keeps it.

    id: names it everywhere; plan and result: JSON documents of the shapes in the README (result is
    None until the run ended); account: fingerprint of the venue account; times are aware UTC.
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

    def ended(self, status: RunStatus, reason: str) -> RunStatus:
        """``status`` if this run may end so; InvariantViolation when it is over already or ``status`` is no end."""
        if self.status.ended or not status.ended:
            message = f"run {self.id} can't go from {self.status} to {status} ({reason})"
            raise InvariantViolation(message)
        return status


@dataclass(frozen=True, slots=True, kw_only=True)
class NavPoint:
    """NAV of a fund at one instant. nav: units of ``currency``; leverages: multiples of NAV; cause: what it was taken for."""

    fund: str
    run: str
    cause: str
    at: datetime
    nav: Decimal
    currency: str
    net_leverage: Decimal
    gross_leverage: Decimal


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A request of an operator, taken by exactly one process. id: short and unique; at, taken_at: aware UTC."""

    id: str
    fund: str
    kind: CommandKind
    reason: str
    at: datetime
    taken_at: datetime | None = None
