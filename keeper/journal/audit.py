"""Whether the journal is what was written: the chain of events, and the rows it tells of. Repairs nothing.

Stored text is judged as it stands, without parsing it first, so that no damage hides behind its own reading. What can't
be seen from inside: a chain rewritten from some event to its end, head included. Compare the head with one kept elsewhere.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, Text, select, type_coerce

from keeper.domain.errors import JournalError
from keeper.journal.columns import Document, canonical
from keeper.journal.events import BOOKING, GENESIS, Head, digest
from keeper.journal.schema import (
    book_entries,
    chain_head,
    children,
    commands,
    events,
    fills,
    first_starts,
    fund_states,
    nav_points,
    pins,
    postings,
    runs,
    settled,
)
from keeper.ports import ChainFault

_TABLES = (runs, children, fills, nav_points, commands, fund_states, first_starts, settled, pins, book_entries, postings)
BOOKED = {table.name: table for table in _TABLES}
_CANDIDATES = 200
"""How many numbers a displaced event is tried under."""
_Told = dict[tuple[str, tuple[object, ...]], dict[str, tuple[object, int]]]


def verify(connection: Connection) -> tuple[ChainFault, ...]:
    """Every fault, by event number. Rows are compared only with a chain that holds, since only that can accuse them."""
    faults = _chain_faults(connection) or _row_faults(connection)
    return tuple(sorted(faults, key=lambda fault: fault.seq))


def check_end(connection: Connection) -> None:
    """JournalError unless the chain's last event is sound, and the one that its head names: what is added follows it."""
    row = connection.execute(_as_stored(events).order_by(events.c.seq.desc()).limit(1)).mappings().one_or_none()
    head = connection.execute(select(chain_head.c.count, chain_head.c.hash)).one_or_none()
    expected = (0, GENESIS) if row is None else (row["seq"], row["hash"])
    if head is None or tuple(head) != expected or (row is not None and not _is_sound(row, row["seq"])):
        message = "the event chain does not end where its head says: run `keeper db verify`, and trade no more until it passes"
        raise JournalError(message)


def head(connection: Connection) -> Head:
    """Where the chain ends. JournalError where that is not told."""
    row = connection.execute(select(chain_head.c.count, chain_head.c.hash)).one_or_none()
    if row is None:
        message = "the head of the event chain is missing: run `keeper db verify`, and trade no more until it passes"
        raise JournalError(message)
    return Head(*row)


def holds(connection: Connection, known: Head) -> bool:
    """Whether the chain goes through ``known``: it is not from before, and no other one."""
    found = connection.execute(select(events.c.hash).where(events.c.seq == known.count)).scalar()
    return known.count == 0 or found == known.hash


def _chain_faults(connection: Connection) -> list[ChainFault]:
    faults: dict[int, str] = {}
    strays: list[RowMapping] = []
    gaps: list[range] = []
    last, seal = 0, GENESIS
    for row in _raw(connection, events):
        seq = int(row["seq"])
        if seq > last + 1:
            gaps.append(range(last + 1, seq))
            faults[last + 1] = _missing(last + 1, seq - 1)
            seal = ""
        if seq < 1 or not _is_sound(row, seq):
            strays.append(row)
            faults[seq] = "altered"
            seal = ""
        else:
            if seal not in ("", row["previous"]):
                faults[max(seq - 1, 1)] = f"rewritten: event {seq} does not follow from what comes before it"
            seal = row["hash"]
        last = max(seq, last)
    for fault in _head_faults(connection, last, seal):
        faults.setdefault(fault.seq, fault.what)
    numbers = [*islice((int(row["seq"]) for row in strays), _CANDIDATES)]
    numbers += islice((seq for gap in gaps for seq in gap), _CANDIDATES)
    for row in strays[:_CANDIDATES]:
        for seq in numbers:
            if seq != row["seq"] and _is_sound(row, seq):
                faults[row["seq"]] = f"swapped: what stands here was written as event {seq}"
    return [ChainFault(seq, what) for seq, what in faults.items()]


def _head_faults(connection: Connection, last: int, seal: str) -> Iterator[ChainFault]:
    """What the head says against a chain that ends with event ``last``; seal: its hash, empty when it is faulty itself."""
    heads = list(_raw(connection, chain_head))
    if len(heads) != 1 or not isinstance(heads[0]["count"], int):
        yield ChainFault(last, "the head of the chain is missing or altered")
        return
    count, told = heads[0]["count"], heads[0]["hash"]
    if count < last:
        yield ChainFault(max(count + 1, 1), f"the head of the chain was altered: it counts {count} events of {last}")
    elif count > last and told == seal:
        yield ChainFault(last, f"the head of the chain was altered: it counts {count} events of {last}")
    elif count > last:
        yield ChainFault(last + 1, _missing(last + 1, count))
    elif seal not in ("", told):
        yield ChainFault(last, "rewritten, or the head of the chain was altered: it names another hash")


def _row_faults(connection: Connection) -> list[ChainFault]:
    faults = []
    told = _told(connection)
    for table in BOOKED.values():
        for row in _raw(connection, table):
            key = tuple(row[column.name] for column in table.primary_key)
            record = told.pop((table.name, key), None)
            if record is None:
                seq = row["event"] if isinstance(row["event"], int) else 0
                faults.append(ChainFault(seq, f"{_named(table.name, key)}: no event tells of this row"))
            else:
                faults += _differences(table, key, row, record)
    for (name, key), record in told.items():
        _, seq = record["event"]
        faults.append(ChainFault(seq, f"{_named(name, key)}: the row was removed"))
    return faults


def _told(connection: Connection) -> _Told:
    """What the chain says stands in the other tables: by table and key, each column's value and the event that set it."""
    told: _Told = {}
    for event in _raw(connection, events):
        if event["kind"] not in BOOKING:
            continue
        seq = event["seq"]
        for name, rows in json.loads(event["payload"]).items():
            for row in rows:
                key = tuple(seq if column.name == "event" else row[column.name] for column in BOOKED[name].primary_key)
                record = told.setdefault((name, key), {"event": (seq, seq)})
                record |= {column: (value, seq) for column, value in row.items()}
    return told


def _differences(
    table: Table, key: tuple[object, ...], row: RowMapping, record: dict[str, tuple[object, int]]
) -> Iterator[ChainFault]:
    for column in table.columns:
        # an event from before the column was there does not tell of it
        value, seq = record.get(column.name, (column.info.get("before"), record["event"][1]))
        if value is not None and isinstance(column.type, Document):
            value = canonical(value)
        if row[column.name] != value:
            yield ChainFault(seq, f"{_named(table.name, key)}: {column.name} was altered")


def _raw(connection: Connection, table: Table) -> Iterator[RowMapping]:
    """The rows as they are stored, in the order of their key."""
    yield from connection.execute(_as_stored(table).order_by(*table.primary_key)).mappings()


def _as_stored(table: Table) -> Select[*tuple[Any, ...]]:
    return select(*(type_coerce(column, Text).label(column.name) for column in table.columns))


def _is_sound(row: RowMapping, seq: int) -> bool:
    """Whether the event's hash is that of its fields under the number ``seq``."""
    fields = (row[name] for name in ("at", "kind", "fund", "run", "payload", "previous"))
    return bool(digest(seq, *fields) == row["hash"])


def _missing(first: int, last: int) -> str:
    return "missing" if first == last else f"missing, with all up to {last}"


def _named(table: str, key: tuple[object, ...]) -> str:
    return f"{table} {' '.join(str(part) for part in key)}"
