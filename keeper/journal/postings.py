"""What venues' own ledgers told, each posting booked once, together with the entries of a fund's books that follow from it."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from keeper.domain.ledger import BookEntry
from keeper.domain.statement import Booked, Posting
from keeper.journal import books, events
from keeper.journal.events import Chain
from keeper.journal.schema import postings
from keeper.journal.statements import Row, Statement

_ADD = Statement(insert(postings))
_THERE = Statement(
    select(postings.c.id).where(postings.c.account == bindparam("of_account"), postings.c.id == bindparam("of_id")).limit(1)
)
_IDS = Statement(select(postings.c.id).where(postings.c.account == bindparam("of_account"), postings.c.at >= bindparam("since")))
_SINCE = Statement(
    select(postings)
    .where(postings.c.fund == bindparam("of_fund"), postings.c.at >= bindparam("since"))
    .order_by(postings.c.at, postings.c.id)
)
_POSTING = tuple(field.name for field in fields(Posting))


def book(chain: Chain, fund: str, told: Sequence[Booked], entries: Sequence[BookEntry], *, last: int, at: datetime) -> bool:
    """Book postings of ``fund`` and the entries that follow from them, all or none.

    False, and nothing written, where one of them is booked already, or the fund's ledger does not end with ``last``.
    """
    if any(_THERE.one(chain.connection, of_account=one.account, of_id=one.posting.id) for one in told):
        return False
    if not books.enter(chain, fund, entries, last=last):
        return False
    rows = [_row(one) for one in told]
    seq = chain.append(at=at, kind=events.LEDGER_BOOKED, fund=fund, run="", payload=events.booked(postings, *rows))
    for row in rows:
        _ADD.run(chain.connection, event=seq, **row)
    return True


def ids(connection: Connection, account: str, at: datetime) -> frozenset[str]:
    """Ids of the postings of an account from ``at`` on."""
    return frozenset(row["id"] for row in _IDS.all(connection, of_account=account, since=at))


def since(connection: Connection, fund: str, at: datetime) -> tuple[Booked, ...]:
    """The postings of a fund from ``at`` on, oldest first."""
    return tuple(_booked(row) for row in _SINCE.all(connection, of_fund=fund, since=at))


def _row(one: Booked) -> dict[str, object]:
    beside = {field.name: getattr(one, field.name) for field in fields(one) if field.name != "posting"}
    return asdict(one.posting) | beside


def _booked(row: Row) -> Booked:
    del row["event"]
    posting: dict[str, Any] = {name: row.pop(name) for name in _POSTING}
    return Booked(posting=Posting(**posting), **row)
