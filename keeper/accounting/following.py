"""What a fund's books make of what the venue's ledger tells: announced money that has moved, and flows that nobody did. Pure.

A flow is matched by its amount, to the last digit, first with money in transit, whose movement it books; then with money that
was booked as moved within a day of it. What is left is booked as a flow of its own, at the NAV before it, so that it is no
performance. Everything else that a ledger tells belongs to no entry, and so does what moved before the books were opened, which
is in what they were opened with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.accounting.dealing import Movement, Stamp, dealt, flowed
from keeper.accounting.nav import Books, enter
from keeper.domain.errors import BookRefused
from keeper.domain.ledger import BookEntry, Ledger
from keeper.domain.numbers import ZERO, exact
from keeper.domain.statement import Booked

APART = timedelta(days=1)
"""How far from the venue's own time somebody may have booked money as moved."""
PREFIX = "ledger-"


@dataclass(frozen=True, slots=True)
class Followed:
    """told: the postings, each with the entry that it belongs to; entries: to be booked with them; refused: what can't be."""

    told: tuple[Booked, ...]
    entries: tuple[BookEntry, ...] = ()
    refused: tuple[str, ...] = ()


@exact
def follow(
    books: Books | None, ledger: Ledger, fresh: Sequence[Booked], known: Sequence[Booked], *, at: datetime, equity: Decimal
) -> Followed:
    """What to book of ``fresh`` postings, oldest first.

    books: None where none are open: then no posting belongs to an entry; known: postings that are booked already; at, equity: of
    a reading that shows them all, currency.
    """
    if books is None:
        return Followed(tuple(fresh))
    taken = {one.entry for one in known if one.entry}
    told: list[Booked] = []
    entries: list[BookEntry] = []
    refused: list[str] = []
    matched = [_announced(books, ledger, one, taken) for one in fresh]
    opened_at = ledger.entries[0].at
    amounts = [_flow(one) if one.posting.at > opened_at else ZERO for one in fresh]
    ahead = sum((amount for amount, entry in zip(amounts, matched, strict=True) if not entry), ZERO)
    for one, amount, entry_id in zip(fresh, amounts, matched, strict=True):
        if entry_id or not amount:
            told.append(replace(one, entry=entry_id))
            continue
        ahead -= amount
        stamp = Stamp(id=f"{PREFIX}{one.posting.id}", at=at, equity=equity - ahead, currency=books.currency)
        try:
            entry = _entry(books, stamp, amount)
        except BookRefused as error:
            refused.append(f"{one.posting.id}: {error}")
            told.append(one)
            continue
        books = enter(books, entry)
        entries.append(entry)
        told.append(replace(one, entry=entry.id))
    return Followed(tuple(told), tuple(entries), tuple(refused))


def _flow(one: Booked) -> Decimal:
    """What a posting brought into the account, currency; 0 for one that is no flow, or that nothing priced."""
    return one.value if one.posting.kind.is_flow and one.value is not None else ZERO


def _announced(books: Books, ledger: Ledger, one: Booked, taken: set[str]) -> str:
    """The entry under which money that has moved was booked as moved; empty where none was. It is taken then."""
    amount = _flow(one)
    if not amount or amount in books.transit.values():
        return ""
    for entry, moved in ledger.moves:
        if moved == amount and entry.id not in taken and abs(entry.at - one.posting.at) <= APART:
            taken.add(entry.id)
            return entry.id
    return ""


def _entry(books: Books, stamp: Stamp, amount: Decimal) -> BookEntry:
    """Money in transit that has moved, else a flow that nobody announced."""
    for entry_id, due in books.transit.items():
        if due == amount:
            return dealt(books, Movement(entry_id), stamp)
    return flowed(books, stamp, amount)
