"""Books, entries and stamps as small as accounting takes them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from keeper.accounting.dealing import Request, Stamp, dealt, opened
from keeper.accounting.nav import Books, enter, fold
from keeper.domain.ledger import BookEntry, FeeTerms
from keeper.domain.run import NavCause, NavPoint

D = Decimal
START = datetime(2024, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
NO_FEES = FeeTerms()
BOTH_FEES = FeeTerms(management=D("0.01"), performance=D("0.2"))


def stamp(entry_id: str, equity: str | Decimal, *, after: timedelta = timedelta(0), currency: str = "USDT") -> Stamp:
    return Stamp(id=entry_id, at=START + after, equity=D(equity), currency=currency)


def opening(equity: str | Decimal = "100000", *, price: str = "1", terms: FeeTerms = NO_FEES, holder: str = "") -> BookEntry:
    return opened("btc3l", stamp("open", equity), holder=holder, price=D(price), terms=terms)


def open_books(equity: str | Decimal = "100000", *, price: str = "1", terms: FeeTerms = NO_FEES, holder: str = "") -> Books:
    return enter(None, opening(equity, price=price, terms=terms, holder=holder))


def booked(
    books: Books, request: Request, equity: str | Decimal, *, after: timedelta = timedelta(0), entry_id: str = ""
) -> Books:
    """``books`` with what ``request`` comes to, asked for when the account was worth ``equity``."""
    return enter(books, dealt(books, request, stamp(entry_id or f"e{len(books.ids)}", equity, after=after)))


def point(nav: str | Decimal, *, after: timedelta, currency: str = "USDT") -> NavPoint:
    return NavPoint(
        fund="btc3l",
        run="r1",
        cause=NavCause.BEFORE,
        at=START + after,
        nav=D(nav),
        currency=currency,
        net_leverage=D(3),
        gross_leverage=D(3),
    )


def folded(*items: BookEntry | NavPoint) -> Books:
    books = fold(items)
    assert books is not None
    return books
