"""The chain of events: what was done, in order, each link sealed with the hash of the one before.

Events are appended inside the transaction of the change they tell of, never on their own connection, and never altered.
``Chain`` is the only writer of ``events`` and ``chain_head``; ``audit`` is their judge.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Table, bindparam, column, insert, select, table, update

from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.run import Event
from keeper.journal.columns import canonical, instant_text
from keeper.journal.schema import chain_head, events
from keeper.journal.statements import Statement

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
FUND_SETTLED = "fund.settled"
MARKET_PINNED = "market.pinned"
BOOKS_ENTERED = "books.entered"
LEDGER_BOOKED = "ledger.booked"
BOOKING = frozenset(
    {RUN_OPENED, RUN_CLOSED, CHILD_INTENDED, CHILD_ADVANCED, NAV_RECORDED, COMMAND_SUBMITTED, COMMAND_TAKEN}
    | {COMMAND_ENDED, RUN_AMENDED, RUN_REOPENED, FUND_STARTED, FUND_CHANGED, FUND_SETTLED, MARKET_PINNED, BOOKS_ENTERED}
    | {LEDGER_BOOKED},
)
"""Kinds whose payload is what was written to other tables: by table, the columns of each row."""

_HEAD = Statement(select(chain_head.c.count, chain_head.c.hash).with_for_update())
_MOVE_HEAD = Statement(update(chain_head))
_ADD = Statement(insert(table(events.name, *(column(field.name) for field in events.columns))))  # as it is sealed: text already
_NEWEST = select(events).order_by(events.c.seq.desc()).limit(bindparam("limit"))
_OF_RUN, _OF_KIND = events.c.run == bindparam("of_run"), events.c.kind == bindparam("of_kind")
_LATEST = {
    (False, False): Statement(_NEWEST),
    (True, False): Statement(_NEWEST.where(_OF_RUN)),
    (False, True): Statement(_NEWEST.where(_OF_KIND)),
    (True, True): Statement(_NEWEST.where(_OF_RUN, _OF_KIND)),
}
"""By whether events of one run, and of one kind, are asked for."""
_LAST_OF = Statement(
    select(events)
    .where(events.c.fund == bindparam("of_fund"), events.c.kind == bindparam("of_kind"))
    .order_by(events.c.seq.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends. count: its events; hash: of the last."""

    count: int
    hash: str


class Chain:
    """The end of the chain in one transaction, which nothing else writes beside.

    Its head is read once, as the transaction begins, and written once, by ``seal``, before it commits. Raises JournalError
    when there is none.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        row = _HEAD.one(connection)
        if row is None:
            message = "the head of the event chain is missing: run `keeper db verify`, and trade no more until it passes"
            raise JournalError(message)
        self._written = self._head = Head(**row)

    def append(self, *, at: datetime, kind: str, fund: str, run: str, payload: Mapping[str, object]) -> int:
        """Add one event and return its number. at: aware; payload: JSON values, Decimals and times."""
        seq, previous = self._head.count + 1, self._head.hash
        time, document = instant_text(at), canonical(payload)
        fields = {"at": time, "kind": kind, "fund": fund, "run": run, "payload": document, "previous": previous}
        sealed = digest(seq, time, kind, fund, run, document, previous)
        _ADD.run(self.connection, seq=seq, **fields, hash=sealed)
        self._head = Head(seq, sealed)
        return seq

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What fails inside is undone, and nothing else of the transaction."""
        before = self._head
        self.connection.exec_driver_sql("SAVEPOINT one_write")
        try:
            yield
        except BaseException:
            self._head = before
            self.connection.exec_driver_sql("ROLLBACK TO one_write")
            raise
        finally:
            self.connection.exec_driver_sql("RELEASE one_write")

    def seal(self) -> None:
        """Write the head; the last thing that a transaction does."""
        if self._head is not self._written:
            _MOVE_HEAD.run(self.connection, count=self._head.count, hash=self._head.hash)
            self._written = self._head


def note(chain: Chain, *, at: datetime, kind: str, fund: str, run: str, payload: Mapping[str, object]) -> None:
    """Add an event that changes no other table. InvariantViolation for a kind that does."""
    if kind in BOOKING:
        message = f"{kind} tells of rows written, and none was"
        raise InvariantViolation(message)
    chain.append(at=at, kind=kind, fund=fund, run=run, payload=payload)


def booked(table: Table, *rows: Mapping[str, object]) -> dict[str, object]:
    """The payload that tells of ``rows`` written to ``table``: whole when they are new, key and changes when not."""
    return {table.name: rows}


def digest(seq: object, *fields: object) -> str:
    """SHA-256 (hexadecimal) over number, time, kind, fund, run, payload and previous hash, each as it is stored."""
    return hashlib.sha256(json.dumps([seq, *fields], separators=(",", ":"), default=repr).encode()).hexdigest()


def latest(connection: Connection, *, run: str | None, kind: str | None, limit: int) -> tuple[Event, ...]:
    """The latest events, newest first."""
    asked = {"of_run": run, "of_kind": kind}
    found = _LATEST[run is not None, kind is not None].all(
        connection, limit=limit, **{name: value for name, value in asked.items() if value is not None}
    )
    return tuple(Event(**row) for row in found)


def last(connection: Connection, kind: str, fund: str) -> Event | None:
    """The newest event of a kind that tells of a fund."""
    found = _LAST_OF.one(connection, of_fund=fund, of_kind=kind)
    return None if found is None else Event(**found)


def last_of(connection: Connection, fund: str, kind: str) -> tuple[int, datetime]:
    """Number and time of the newest event of a kind that tells of a fund; 0 and the first of all times where there is none."""
    found = _LAST_OF.one(connection, of_fund=fund, of_kind=kind)
    return (0, datetime.min.replace(tzinfo=UTC)) if found is None else (int(found["seq"]), found["at"])
