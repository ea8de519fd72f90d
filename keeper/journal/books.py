"""The books of funds: entries, each booked once and never changed, and the NAV points that go with them. Computes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal

from sqlalchemy import Connection, bindparam, insert, select

from keeper.domain.errors import InvariantViolation
from keeper.domain.ledger import BookEntry, FeeTerms, Ledger
from keeper.domain.run import NavPoint
from keeper.journal import events, nav
from keeper.journal.events import Chain
from keeper.journal.schema import book_entries
from keeper.journal.statements import Row, Statement

_ADD = Statement(insert(book_entries))
_OF_FUND = Statement(select(book_entries).where(book_entries.c.fund == bindparam("of_fund")).order_by(book_entries.c.event))


def enter(chain: Chain, fund: str, entries: Sequence[BookEntry], *, last: int) -> bool:
    """Book ``entries`` of ``fund`` in this order; False, and nothing written, where its ledger does not end with ``last``.

    InvariantViolation for an id that is booked already, or an entry of another fund.
    """
    found = ledger(chain.connection, fund)
    if found.last != last:
        return False
    booked = {entry.id for entry in found.entries}
    for entry in entries:
        if entry.id in booked or entry.fund != fund:
            message = f"entry {entry.id} of {entry.fund} can't be booked for {fund}: it is there already, or not its own"
            raise InvariantViolation(message)
        booked.add(entry.id)
        row = _row(entry)
        payload = events.booked(book_entries, row)
        seq = chain.append(at=entry.at, kind=events.BOOKS_ENTERED, fund=fund, run="", payload=payload)
        _ADD.run(chain.connection, event=seq, **row)
    return True


def ledger(connection: Connection, fund: str) -> Ledger:
    """What the books of a fund are folded from; empty where it has none."""
    rows = _OF_FUND.all(connection, of_fund=fund)
    if not rows:
        return Ledger()
    found: list[tuple[int, BookEntry | NavPoint]] = [(row.pop("event"), _entry(row)) for row in rows]
    found = sorted([*found, *nav.since(connection, fund, found[0][0])], key=lambda item: item[0])
    return Ledger(tuple(item for _, item in found), found[-1][0])


def flows(connection: Connection, fund: str) -> Mapping[str, Decimal]:
    """Money on its way in (above 0) less that on its way out, by currency; read from the entries alone, which are few."""
    entries = []
    for row in _OF_FUND.all(connection, of_fund=fund):
        del row["event"]
        entries.append(_entry(row))
    return Ledger(tuple(entries)).on_their_way


def _row(entry: BookEntry) -> dict[str, object]:
    row: dict[str, object] = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return row | {"terms": None if entry.terms is None else entry.terms.document()}


def _entry(row: Row) -> BookEntry:
    terms = row.pop("terms")
    return BookEntry(**row, terms=None if terms is None else FeeTerms.of(terms))
