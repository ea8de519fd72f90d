"""The chain of events: what was done, in order, each link sealed with the hash of the one before.

Events are appended inside the transaction of the change they tell of, never on their own connection, and never altered.
``append`` is the only writer of ``events`` and ``chain_head``; ``audit`` is their judge.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Table, insert, select, update

from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.run import Event
from keeper.journal.schema import canonical, chain_head, events, instant_text, plain_value

GENESIS = "0" * 64
"""What the first event follows."""

RUN_OPENED = "run.opened"
RUN_CLOSED = "run.closed"
RUN_AMENDED = "run.amended"
CHILD_INTENDED = "child.intended"
CHILD_ADVANCED = "child.advanced"
NAV_RECORDED = "nav.recorded"
COMMAND_SUBMITTED = "command.submitted"
COMMAND_TAKEN = "command.taken"
COMMAND_ENDED = "command.ended"
RUN_REOPENED = "run.reopened"
FUND_STARTED = "fund.started"
FUND_CHANGED = "fund.changed"
BOOKING = frozenset(
    {RUN_OPENED, RUN_CLOSED, CHILD_INTENDED, CHILD_ADVANCED, NAV_RECORDED, COMMAND_SUBMITTED, COMMAND_TAKEN}
    | {COMMAND_ENDED, RUN_AMENDED, RUN_REOPENED, FUND_STARTED, FUND_CHANGED},
)
"""Kinds whose payload is what was written to other tables: by table, the columns of each row."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends. count: its events; hash: of the last."""

    count: int
    hash: str


def locked_head(connection: Connection) -> Head:
    """The head of the chain; no other process can append before this transaction ends."""
    row = connection.execute(select(chain_head.c.count, chain_head.c.hash).with_for_update()).mappings().one_or_none()
    if row is None:
        message = "the head of the event chain is missing: run `keeper db verify`, and trade no more until it passes"
        raise JournalError(message)
    return Head(**row)


def append(connection: Connection, *, at: datetime, kind: str, fund: str, run: str, payload: Mapping[str, object]) -> int:
    """Add one event and return its number. at: aware; payload: JSON values, Decimals and times."""
    head = locked_head(connection)
    seq = head.count + 1
    seal = digest(seq, instant_text(at), kind, fund, run, canonical(payload), head.hash)
    connection.execute(
        insert(events).values(seq=seq, at=at, kind=kind, fund=fund, run=run, payload=payload, previous=head.hash, hash=seal),
    )
    connection.execute(update(chain_head).values(count=seq, hash=seal))
    return seq


def note(connection: Connection, *, at: datetime, kind: str, fund: str, run: str, payload: Mapping[str, object]) -> None:
    """Add an event that changes no other table. InvariantViolation for a kind that does."""
    if kind in BOOKING:
        message = f"{kind} tells of rows written, and none was"
        raise InvariantViolation(message)
    append(connection, at=at, kind=kind, fund=fund, run=run, payload=payload)


def booked(table: Table, *rows: Mapping[str, object]) -> dict[str, object]:
    """The payload that tells of ``rows`` written to ``table``: whole when they are new, key and changes when not."""
    return {table.name: [plain_value(row) for row in rows]}


def digest(seq: object, *fields: object) -> str:
    """SHA-256 (hexadecimal) over number, time, kind, fund, run, payload and previous hash, each as it is stored."""
    return hashlib.sha256(json.dumps([seq, *fields], separators=(",", ":"), default=repr).encode()).hexdigest()


def latest(connection: Connection, *, run: str | None, limit: int) -> tuple[Event, ...]:
    """The latest events, newest first."""
    query = select(events).order_by(events.c.seq.desc()).limit(limit)
    if run is not None:
        query = query.where(events.c.run == run)
    return tuple(_event(row) for row in connection.execute(query).mappings())


def _event(row: RowMapping) -> Event:
    return Event(**row)
