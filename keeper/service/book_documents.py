"""The documents of a fund's books that `--json` prints and the tables read. Figures are rounded here, and only here.

Money and units to 8 decimal places, NAV per unit to 12; every Decimal is a string, every time ISO 8601 in UTC.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from keeper.accounting.nav import Books
from keeper.domain.errors import BookRefused
from keeper.domain.ledger import BookEntry, EntryKind, FeeTerms, Ledger
from keeper.domain.numbers import ZERO, exact, plain, rounded
from keeper.service.books import Deal, View
from keeper.service.documents import Document, json_ready, unit_price, utc_text

MONEY_PLACES = 8


def view_document(view: View, place: Mapping[str, str]) -> Document:
    """Books as they stand: what `nav show` prints. place: fund, venue, environment. What only books know is null without any."""
    head = {**place, "at": utc_text(view.reading.at)}
    if view.books is None:
        equity, currency = money(view.reading.equity), view.reading.currency
        figures = dict.fromkeys(("in_transit", "owed", "nav", "units", "nav_per_unit", "high_water_mark", "opened_at", "fees"))
        lists: Document = {"coming_fees": None, "payees": [], "holders": [], "transit": [], "unassigned": []}
        return {**head, "currency": currency, "equity": equity, **figures, **lists}
    return {
        **head,
        **books_document(view.books),
        "opened_at": utc_text(view.ledger.entries[0].at),
        "fees": terms_document(view.books.terms),
        "coming_fees": None if view.coming is None else terms_document(view.coming),
        "transit": _transit(view.books, view.ledger),
        "unassigned": _unassigned(view.books, view.ledger),
    }


@exact
def books_document(books: Books) -> Document:
    """The figures of books, and what belongs to whom."""
    owing, units, shares = books.owing, books.units, books.terms.shares(books.provisional)
    return {
        "currency": books.currency,
        "equity": money(books.equity),
        "in_transit": money(sum(books.transit.values(), ZERO)),
        "owed": money(sum(owing.values(), ZERO)),
        "nav": money(books.nav),
        "units": money(units),
        "nav_per_unit": unit_price(books.nav_per_unit),
        "high_water_mark": unit_price(books.high_water),
        "payees": [
            {"payee": payee, "owed": money(owed), "provisional": money(shares.get(payee, ZERO))}
            for payee, owed in sorted(owing.items())
        ],
        "holders": [
            {"holder": holder or None, "units": money(held), "share": money(held / units), "value": money(books.value(holder))}
            for holder, held in sorted(books.holders.items())
        ],
    }


def deal_document(deal: Deal | None, place: Mapping[str, str], *, status: str, refusal: BookRefused | None = None) -> Document:
    """What came of a request that changes books. status: booked, already_booked, aborted or refused."""
    return {
        **place,
        "status": status,
        "entries": [entry_document(entry) for entry in _entries(deal)],
        "before": books_document(deal.before) if deal is not None and deal.before is not None else None,
        "after": books_document(deal.after) if deal is not None else None,
        "refused": None if refusal is None else {"code": refusal.code, "message": str(refusal)},
    }


def entries_document(ledger: Ledger, place: Mapping[str, str], holder: str = "") -> Document:
    """The entries of books, oldest first: what `nav list` prints. holder: only entries of that holder or payee, where named."""
    return {**place, "entries": [entry_document(entry) for entry in ledger.entries if not holder or entry.party == holder]}


def entry_document(entry: BookEntry) -> Document:
    """One entry of the books."""
    return {
        "id": entry.id,
        "kind": entry.kind.value,
        "at": utc_text(entry.at),
        "party": entry.party or None,
        "currency": entry.currency,
        "units": plain(entry.units),
        "amount": plain(entry.amount),
        "price": unit_price(entry.price),
        "in_transit": entry.in_transit,
        "ratio": plain(entry.ratio),
        "about": entry.about or None,
        "fees": None if entry.terms is None else terms_document(entry.terms),
        "reason": entry.reason,
    }


def terms_document(terms: FeeTerms) -> Document:
    """What a fund charges."""
    return Document(json_ready(terms.document()))


def money(amount: Decimal) -> str:
    """Money or units as a document writes them."""
    return plain(rounded(amount, MONEY_PLACES))


def _entries(deal: Deal | None) -> Sequence[BookEntry]:
    if deal is None:
        return ()
    return deal.entries or (deal.entry,)


def _unassigned(books: Books, ledger: Ledger) -> list[Mapping[str, object]]:
    """Flows that nobody announced and that are yet to be assigned, oldest first."""
    return [
        {
            "id": entry.id,
            "way": "in" if entry.amount > 0 else "out",
            "amount": money(abs(entry.amount)),
            "units": money(books.unassigned[entry.id].units),
            "at": utc_text(entry.at),
        }
        for entry in ledger.entries
        if entry.id in books.unassigned
    ]


def _transit(books: Books, ledger: Ledger) -> list[Mapping[str, object]]:
    """Money on its way, oldest first."""
    found = (entry for entry in ledger.entries if entry.id in books.transit)
    words = {EntryKind.SUBSCRIBED: "in", EntryKind.REDEEMED: "out", EntryKind.PAID: "out"}
    return [
        {
            "id": entry.id,
            "way": words[entry.kind],
            "amount": money(entry.amount),
            "party": entry.party or None,
            "at": utc_text(entry.at),
        }
        for entry in found
    ]
