"""Keeps the books of one fund: reads its account, reckons what somebody asks for, and books that once.

It reads the venue and writes the journal, and sends no order, so that it needs no right to the account: it works beside
whoever trades it. What was reckoned on books that changed meanwhile is not booked, but reckoned anew.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.accounting.dealing import (
    PLACES,
    Assignment,
    Cancellation,
    Consolidation,
    Movement,
    Payment,
    Redemption,
    Request,
    Settlement,
    Stamp,
    Subscription,
    changed_terms,
    dealt,
    opened,
)
from keeper.accounting.nav import Books, before, enter, fold, moved_by, read
from keeper.domain.errors import BookRefused, InvariantViolation
from keeper.domain.ledger import BookEntry, BookFault, EntryKind, FeeTerms, Ledger, refused
from keeper.domain.numbers import ONE, rounded
from keeper.domain.run import NavPoint, Run
from keeper.ports import Clock, Entropy, Journal
from keeper.service.observer import Observer

GOOD_FOR = timedelta(minutes=1)
"""How long after an account was read something may be booked on it: a human has thought for as long."""
log = structlog.get_logger()
KINDS: dict[type[Request], EntryKind] = {
    Subscription: EntryKind.SUBSCRIBED,
    Redemption: EntryKind.REDEEMED,
    Payment: EntryKind.PAID,
    Consolidation: EntryKind.CONSOLIDATED,
    Movement: EntryKind.MOVED,
    Cancellation: EntryKind.CANCELED,
    Assignment: EntryKind.ASSIGNED,
    Settlement: EntryKind.PAID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The account as it was read. equity: units of ``currency``; at: aware UTC."""

    at: datetime
    equity: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Books at one moment. books: None where there are none; coming: terms that are to hold later, None where there are none."""

    reading: Reading
    ledger: Ledger
    books: Books | None
    coming: FeeTerms | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """What a request comes to.

    before: the books right before it, None where they begin with it; after: them with it; entries: to be booked together, the
    last of them what was asked for, none where ``done`` says that it is booked already; last: of the ledger that this is
    reckoned on.
    """

    before: Books | None
    after: Books
    entries: tuple[BookEntry, ...]
    last: int
    done: BookEntry | None = None

    @property
    def entry(self) -> BookEntry:
        """What was asked for."""
        return self.done or self.entries[-1]


class Bookkeeper:
    """Keeps the books of ``fund``.

    clock: the venue's; terms: what it is configured to charge; follow: books what the venue's ledger tells, None where nothing
    may be booked; at_rest: nobody subscribes or redeems while a run is at work.
    """

    def __init__(
        self,
        fund: str,
        journal: Journal,
        observer: Observer,
        clock: Clock,
        terms: FeeTerms,
        entropy: Entropy,
        follow: Callable[[], Awaitable[object]] | None = None,
        *,
        at_rest: bool = False,
    ) -> None:
        self.fund = fund
        self._follow = follow
        self._journal = journal
        self._observer = observer
        self._clock = clock
        self._terms = terms
        self._entropy = entropy
        self._at_rest = at_rest

    async def view(self) -> View:
        """The books now. VenueUnavailable, VenueRefused or StaleData where the account can't be read or valued."""
        ledger, reading = await self._journal.ledger(self.fund), await self._read()
        books = folded(ledger)
        if books is None:
            return View(reading=reading, ledger=ledger, books=None, coming=None)
        to_come = changed_terms(books, "", reading.at, self._terms)
        coming = to_come.terms if to_come is not None else books.coming
        now = read(books, reading.at, reading.equity) if reading.currency == books.currency else books
        return View(reading=reading, ledger=ledger, books=now, coming=coming)

    async def opening(self, *, holder: str, price: Decimal, entry_id: str, reason: str) -> Deal:
        """The beginning of the books. BookRefused where they are open."""
        ledger = await self._journal.ledger(self.fund)
        if (done := ledger.entry(entry_id)) is not None and done.kind is EntryKind.OPENED:
            return _done(ledger, done, is_same=(done.party, done.price) == (holder, price))
        if ledger.items:
            raise refused(BookFault.OPEN_ALREADY, f"the books of {self.fund} are open already: see `keeper nav show {self.fund}`")
        stamp = self._stamp(await self._read(), entry_id, reason)
        entry = opened(self.fund, stamp, holder=holder, price=price, terms=self._terms)
        return Deal(before=None, after=enter(None, entry), entries=(entry,), last=ledger.last)

    async def deal(self, request: Request, *, entry_id: str, reason: str) -> Deal:
        """What ``request`` comes to on the account as it is now. A subscription opens books that are not open yet.

        What the venue's ledger tells is booked first. BookRefused where it may not be, or where another request was booked under
        its id.
        """
        if self._follow is not None:
            await self._follow()
        ledger = await self._journal.ledger(self.fund)
        if (done := ledger.entry(entry_id)) is not None:
            return _done(ledger, done, is_same=_is_same(done, request))
        if self._at_rest and isinstance(request, Subscription | Redemption) and await self._journal.unended_runs(self.fund):
            message = f"a run of {self.fund} is at work, and funds.{self.fund}.dealing is at_rest: ask again once it is over"
            raise refused(BookFault.BUSY, message)
        stamp, books = self._stamp(await self._read(), entry_id, reason), folded(ledger)
        first: BookEntry | None
        if books is None:
            first = self._first(request, stamp)
        else:
            first = changed_terms(books, self._name(stamp.at), stamp.at, self._terms)
        books = enter(books, first) if first is not None else books
        if books is None:
            raise refused(BookFault.NO_BOOKS, f"{self.fund} has no books yet: begin them with `keeper nav open {self.fund}`")
        entry = dealt(books, request, stamp)
        standing = before(books, entry.at, entry.equity, moved_by(books, entry))
        entries = (first, entry) if first is not None else (entry,)
        return Deal(before=standing, after=enter(books, entry), entries=entries, last=ledger.last)

    async def book(self, deal: Deal) -> bool:
        """Book ``deal``; False, and nothing written, where it is old, or the books were changed since it was reckoned."""
        if self._clock.now() - deal.entry.at > GOOD_FOR:
            return False
        return await self._journal.enter(self.fund, deal.entries, last=deal.last)

    def _first(self, request: Request, stamp: Stamp) -> BookEntry | None:
        """What opens the books for somebody who subscribes: what is in the account already has a holder without a name."""
        if not isinstance(request, Subscription):
            return None
        moved = request.amount if request.moved and request.amount.is_finite() else Decimal(0)
        begin = Stamp(id=self._name(stamp.at), at=stamp.at, equity=stamp.equity, currency=stamp.currency)
        return opened(self.fund, begin, holder="", price=ONE, terms=self._terms, moved=moved)

    async def _read(self) -> Reading:
        observation = await self._observer.observe()
        valuation = observation.valuation()
        return Reading(at=observation.at, equity=valuation.nav, currency=valuation.currency)

    def _stamp(self, reading: Reading, entry_id: str, reason: str) -> Stamp:
        name = entry_id or self._name(reading.at)
        return Stamp(id=name, at=reading.at, equity=reading.equity, currency=reading.currency, reason=reason)

    def _name(self, at: datetime) -> str:
        return named(at, self._entropy)


def named(at: datetime, entropy: Entropy) -> str:
    """An id for an entry that was given none."""
    return f"{at:%Y%m%dT%H%M%S}-{entropy.token()[:4]}"


def folded(ledger: Ledger) -> Books | None:
    """The books of a ledger. InvariantViolation where they don't add up: nothing was ever booked that may not be."""
    try:
        return fold(ledger.items)
    except BookRefused as error:
        raise InvariantViolation(f"the books in the journal don't add up: {error}; run `keeper db verify`") from error


def beside(ledger: Ledger) -> Books | None:
    """The books for whoever has other work, which unsound ones must not stop: those are told of in the log, and are none."""
    try:
        return folded(ledger)
    except InvariantViolation as error:
        log.warning("books.unsound", fund=ledger.entries[0].fund, error=str(error))
        return None


async def left_by(journal: Journal, run: Run) -> Decimal | None:
    """NAV per unit as a run left it, at its last NAV point; None where it took none since there are books."""
    items = (await journal.ledger(run.key.fund)).items
    points = [number for number, item in enumerate(items) if isinstance(item, NavPoint) and item.run == run.id]
    books = beside(Ledger(items[: points[-1] + 1])) if points else None
    return None if books is None else books.nav_per_unit


async def keep_terms(journal: Journal, fund: str, terms: FeeTerms, at: datetime, entropy: Entropy) -> bool:
    """Record what a fund is configured to charge, where it has books and they know it otherwise.

    False where somebody changed the books meanwhile: whoever does so records the terms.
    """
    ledger = await journal.ledger(fund)
    books = beside(ledger)
    entry = None if books is None else changed_terms(books, named(at, entropy), at, terms)
    return entry is None or await journal.enter(fund, [entry], last=ledger.last)


def _done(ledger: Ledger, entry: BookEntry, *, is_same: bool) -> Deal:
    """What was booked before under an id that is asked for again."""
    books = folded(ledger)
    if books is None or not is_same:
        message = f"entry {entry.id} of {entry.fund} is booked already, as something else ({entry.kind})"
        raise refused(BookFault.TWICE, message)
    return Deal(before=books, after=books, entries=(), last=ledger.last, done=entry)


def _is_same(entry: BookEntry, request: Request) -> bool:
    """Whether ``entry`` is what ``request`` came to when it was made before."""
    if entry.kind is not KINDS[type(request)]:
        return False
    match request:
        case Subscription():
            same = (entry.party, entry.amount) == (request.holder, request.amount)
        case Redemption():
            same = (
                entry.party == request.holder
                and request.units in (None, entry.units, rounded(entry.units, PLACES))
                and request.amount in (None, entry.amount)
            )
        case Payment():
            same = (entry.party, entry.about) == (request.payee, "") and request.amount in (None, entry.amount)
        case Consolidation():
            same = entry.ratio == request.ratio
        case Assignment():
            same = (entry.party, entry.about) == (request.holder, request.of)
        case Settlement():
            same = (entry.party, entry.about) == (request.payee, request.of)
        case _:
            same = entry.about == request.of
    return same
