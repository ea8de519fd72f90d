"""A fund's books: units, NAV per unit, and the fees that are owed, folded from entries and NAV points.

    NAV          = equity of the account + money in transit - fees owed
    NAV per unit = NAV / units

Units are issued and redeemed at the NAV per unit before the flow, so that a flow moves it by nothing but the creation or
redemption fee, which stays in the fund, and by the rounding, which favours it (``dealing``). Fees:

- management: rate x NAV x seconds / (365 x 86400) from one reading to the next, on the NAV of the earlier one, so that what is
  owed needs no guess of what came between. It is owed as it accrues.
- performance: rate x (NAV per unit - high-water mark) x units, where that is above 0. Between entries it is provisional: it
  rises and falls with the market and depends on no reading in between, only on the last. An entry makes it owed, and what a
  unit is worth after it the new mark, so that whoever comes or goes bears their own share; no gain is charged twice. The mark
  is one for all units: who subscribes below it pays for no gain up to it. What a flow leaves in the fund lifts it, too, for that
  is no gain. Where no units are left it begins anew.

Other terms hold from their time on; what the performance fee is charged on changes with the first reading from then on, which
charges what was gained so far by the old ones.

The sum of what holders have and payees are owed is the equity (and what is in transit), always. Nothing here rounds, but for
the 34 digits of the context. Amounts are units of the fund's currency; times aware UTC. Where a clock was set back no fee
accrues twice: the second time around it waits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.ledger import BookEntry, BookFault, EntryKind, FeeTerms, refused
from keeper.domain.numbers import ZERO, exact
from keeper.domain.run import NavPoint

YEAR = Decimal(365 * 86_400)
"""Seconds."""
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A flow that nobody announced. units, amount (currency): above 0 where money came, below where it left."""

    units: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Announced:
    """An entry whose money is on its way. units: that it gave (above 0) or took; lift: by which it raised the high-water mark."""

    kind: EntryKind
    party: str
    units: Decimal
    lift: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The books of one fund as they stand.

    at: fees are accrued up to here; equity: of the account as it was last read; entered_at: of the last entry with a reading: an
    older one tells of an account from before it; transit: money on its way into the account (above 0) or out of it, by entry;
    announced: those entries; holders: units; owed: fees that are owed, by payee, provisional ones aside; high_water: NAV per
    unit; last_price: NAV per unit after the last entry, at which units begin anew where none are left; coming: terms that hold
    from ``coming_at`` on, and for the performance fee from the first reading after it; ids: of entries; unassigned: flows that
    nobody announced, by entry: until they are assigned the holder without a name has their units, fewer than none where money
    left.
    """

    fund: str
    currency: str
    at: datetime
    equity: Decimal
    entered_at: datetime
    high_water: Decimal
    last_price: Decimal
    transit: Mapping[str, Decimal] = field(default_factory=dict)
    announced: Mapping[str, Announced] = field(default_factory=dict)
    holders: Mapping[str, Decimal] = field(default_factory=dict)
    owed: Mapping[str, Decimal] = field(default_factory=dict)
    terms: FeeTerms = field(default_factory=FeeTerms)
    coming: FeeTerms | None = None
    coming_at: datetime | None = None
    ids: frozenset[str] = frozenset()
    unassigned: Mapping[str, Unassigned] = field(default_factory=dict)

    @property
    @exact
    def units(self) -> Decimal:
        """All units."""
        return sum(self.holders.values(), ZERO)

    @property
    @exact
    def worth(self) -> Decimal:
        """What belongs to holders and payees together: equity, and what is in transit."""
        return self.equity + sum(self.transit.values(), ZERO)

    @property
    @exact
    def uncharged(self) -> Decimal:
        """NAV before the provisional fee."""
        return self.worth - sum(self.owed.values(), ZERO)

    @property
    @exact
    def provisional(self) -> Decimal:
        """The performance fee that would be owed if an entry were made now."""
        return self._performance(self.uncharged)

    @property
    @exact
    def owing(self) -> Mapping[str, Decimal]:
        """What each payee is owed, provisional fees included."""
        return _added(self.owed, self.terms.shares(self.provisional))

    @property
    @exact
    def nav(self) -> Decimal:
        """What belongs to the holders."""
        uncharged = self.uncharged
        return uncharged - self._performance(uncharged)

    @property
    @exact
    def nav_per_unit(self) -> Decimal:
        """NAV / units; where there are none, what a unit was worth last."""
        units = self.units
        return self.nav / units if units else self.last_price

    @exact
    def value(self, holder: str) -> Decimal:
        """What belongs to one holder."""
        units = self.units
        return self.holders.get(holder, ZERO) * self.nav / units if units else ZERO

    def _performance(self, uncharged: Decimal) -> Decimal:
        units = self.units
        return max(uncharged - self.high_water * units, ZERO) * self.terms.performance if units else ZERO


@exact
def fold(items: Iterable[BookEntry | NavPoint]) -> Books | None:
    """The books that ``items`` (oldest first) come to; None before they are opened. BookRefused for what can't follow."""
    books: Books | None = None
    for item in items:
        if isinstance(item, BookEntry):
            books = enter(books, item)
        elif books is not None and item.currency == books.currency:
            books = read(books, item.at, item.nav)
    return books


@exact
def read(books: Books, at: datetime, equity: Decimal) -> Books:
    """``books`` once fees are accrued up to ``at``, when the account was worth ``equity``."""
    if at < books.entered_at:
        return books
    books = replace(_managed(books, at), equity=equity)
    return _switched(books) if _has_come(books, at) else books


@exact
def before(books: Books, at: datetime, equity: Decimal, moved: Decimal = ZERO) -> Books:
    """``books`` right before an entry: read, and with what of the performance fee was provisional owed.

    moved: of the entry's own money, what ``equity`` shows already: in the account above 0, gone from it below.
    """
    charged = _charged(read(books, max(at, books.entered_at), equity - moved))
    return replace(charged, last_price=charged.nav_per_unit)


@exact
def enter(books: Books | None, entry: BookEntry) -> Books:
    """``books`` with one entry more. BookRefused for an id that is there, units that nobody has, or books that are not open."""
    if books is None:
        if entry.kind is not EntryKind.OPENED:
            raise refused(BookFault.NO_BOOKS, f"the books of {entry.fund} are not open")
        return _opened(entry)
    if entry.id in books.ids:
        raise refused(BookFault.TWICE, f"entry {entry.id} of {books.fund} is booked already")
    books = replace(books, ids=books.ids | {entry.id})
    if entry.kind is EntryKind.TERMS:
        return _announced(books, entry)
    standing = before(books, entry.at, entry.equity, moved_by(books, entry))
    after = replace(_effect(standing, entry), equity=entry.equity, entered_at=max(entry.at, books.entered_at))
    if entry.in_transit:
        after = replace(after, transit={**after.transit, entry.id: entry.flow})
    lift = ZERO
    # what a flow leaves in the fund is no gain that is charged for; to undo one, or to say whose it was, leaves nothing
    if entry.units and not entry.about and standing.units and after.units:
        lift = after.uncharged / after.units - standing.nav_per_unit
        after = replace(after, high_water=after.high_water + lift)
    if entry.in_transit:
        announced = Announced(entry.kind, entry.party, entry.units if entry.flow > 0 else -entry.units, lift)
        after = replace(after, announced={**after.announced, entry.id: announced})
    return replace(after, last_price=after.nav_per_unit)


def moved_by(books: Books, entry: BookEntry) -> Decimal:
    """What of an entry's own money its reading shows already. BookRefused where the money it tells of is not in transit."""
    if entry.kind is not EntryKind.MOVED:
        return ZERO if entry.in_transit else entry.flow
    return _in_transit(books, entry.about)


def _in_transit(books: Books, entry_id: str) -> Decimal:
    """The money of an entry that is on its way. BookRefused where none is."""
    if entry_id not in books.transit:
        raise refused(BookFault.NOT_IN_TRANSIT, f"no money of entry {entry_id} is on its way")
    return books.transit[entry_id]


def _opened(entry: BookEntry) -> Books:
    terms = entry.terms or FeeTerms()
    begins = terms.since is None or terms.since <= entry.at
    return Books(
        fund=entry.fund,
        currency=entry.currency,
        at=entry.at,
        equity=entry.equity,
        entered_at=entry.at,
        high_water=entry.price,
        last_price=entry.price,
        holders={entry.party: entry.units} if entry.units else {},
        terms=terms if begins else FeeTerms(),
        coming=None if begins else terms,
        coming_at=None if begins else terms.since,
        ids=frozenset({entry.id}),
    )


def _announced(books: Books, entry: BookEntry) -> Books:
    """``books`` that know of other terms. Nobody looked at the account for them, so that nothing is charged yet."""
    books = _managed(books, entry.at)
    books = _switched(books) if _has_come(books, entry.at) else books
    terms = entry.terms or FeeTerms()
    return replace(books, coming=terms, coming_at=terms.since or books.at)


def _effect(books: Books, entry: BookEntry) -> Books:
    """What ``entry`` changes of ``books``, but for equity and what is in transit on its account."""
    match entry.kind:
        case EntryKind.OPENED:
            raise refused(BookFault.OPEN_ALREADY, f"the books of {books.fund} are open already")
        case EntryKind.SUBSCRIBED:
            mark = books.high_water if books.units else entry.price
            return replace(books, holders=_with_units(books, entry.party, entry.units), high_water=mark)
        case EntryKind.REDEEMED:
            return replace(books, holders=_with_units(books, entry.party, -entry.units))
        case EntryKind.FLOWED | EntryKind.ASSIGNED:
            return _flowed(books, entry) if entry.kind is EntryKind.FLOWED else _assigned(books, entry)
        case EntryKind.PAID:
            books = _reclaimed(books, entry.about)[0] if entry.about else books
            return replace(books, owed=_added(books.owed, {entry.party: -entry.amount}))
        case EntryKind.CONSOLIDATED:
            return _consolidated(books, entry.ratio)
        case _:  # MOVED, or CANCELED
            return _arrived(books, entry.about) if entry.kind is EntryKind.MOVED else _canceled(books, entry.about)


def _arrived(books: Books, entry_id: str) -> Books:
    """``books`` in which the money of an entry is not on its way any more."""
    transit = {key: money for key, money in books.transit.items() if key != entry_id}
    announced = {key: one for key, one in books.announced.items() if key != entry_id}
    return replace(books, transit=transit, announced=announced)


def _canceled(books: Books, entry_id: str) -> Books:
    """``books`` without an entry whose money will not move: its units are taken back or given back, a fee is owed again."""
    money, one = _in_transit(books, entry_id), books.announced[entry_id]
    left = _arrived(books, entry_id)
    left = replace(left, high_water=left.high_water - one.lift)
    if one.kind is EntryKind.PAID:
        return replace(left, owed=_added(left.owed, {one.party: -money}))
    return replace(left, holders=_with_units(left, one.party, -one.units))


def _consolidated(books: Books, ratio: Decimal) -> Books:
    holders = {holder: units / ratio for holder, units in books.holders.items()}
    announced = {name: replace(one, units=one.units / ratio, lift=one.lift * ratio) for name, one in books.announced.items()}
    unassigned = {name: replace(flow, units=flow.units / ratio) for name, flow in books.unassigned.items()}
    mark, price = books.high_water * ratio, books.last_price * ratio
    return replace(books, holders=holders, announced=announced, unassigned=unassigned, high_water=mark, last_price=price)


def _flowed(books: Books, entry: BookEntry) -> Books:
    """``books`` with a flow that nobody announced: the holder without a name has its units, or fewer than none."""
    mark = books.high_water if books.units else entry.price
    unassigned = {**books.unassigned, entry.id: Unassigned(entry.units, entry.amount)}
    return replace(books, holders=_given(books.holders, "", entry.units), high_water=mark, unassigned=unassigned)


def _assigned(books: Books, entry: BookEntry) -> Books:
    """``books`` in which the units of a flow that nobody announced are somebody's."""
    without, flow = _reclaimed(books, entry.about)
    return replace(without, holders=_with_units(without, entry.party, flow.units))


def _reclaimed(books: Books, entry_id: str) -> tuple[Books, Unassigned]:
    """``books`` in which nobody has the units of a flow that nobody announced, and that flow."""
    flow = books.unassigned.get(entry_id)
    if flow is None:
        raise refused(BookFault.NOT_UNASSIGNED, f"entry {entry_id} of {books.fund} is no flow that is yet to be assigned")
    left = {name: one for name, one in books.unassigned.items() if name != entry_id}
    return replace(books, holders=_given(books.holders, "", -flow.units), unassigned=left), flow


def _given(holders: Mapping[str, Decimal], holder: str, units: Decimal) -> Mapping[str, Decimal]:
    """``holders`` once ``units`` (signed) more are of ``holder``, who may have fewer than none by then."""
    held = holders.get(holder, ZERO) + units
    others = {name: amount for name, amount in holders.items() if name != holder}
    return {**others, holder: held} if held else others


def _with_units(books: Books, holder: str, units: Decimal) -> Mapping[str, Decimal]:
    held = books.holders.get(holder, ZERO) + units
    if held < 0:
        raise refused(BookFault.TOO_FEW_UNITS, f"{holder or 'the holder without a name'} has {-held} units less than that")
    return _given(books.holders, holder, units)


def _has_come(books: Books, at: datetime) -> bool:
    """Whether other terms hold at ``at``."""
    return books.coming_at is not None and books.coming_at <= at


def _managed(books: Books, at: datetime) -> Books:
    """``books`` with management fees up to ``at``, each stretch under its own terms."""
    if books.coming is not None and books.coming_at is not None and books.coming_at < at:
        return _stretch(_stretch(books, books.coming_at, books.terms), at, books.coming)
    return _stretch(books, at, books.terms)


def _stretch(books: Books, at: datetime, terms: FeeTerms) -> Books:
    if not at > books.at:
        return books
    if not terms.management or not books.units:
        return replace(books, at=at)
    seconds = Decimal((at - books.at) // _TICK) * Decimal("0.000001")
    fee = max(books.nav, ZERO) * terms.management * seconds / YEAR
    return replace(books, at=at, owed=_added(books.owed, terms.shares(fee)))


def _switched(books: Books) -> Books:
    """``books`` under the terms that have come: what was gained so far is charged by the old ones, and never by the new."""
    charged = _charged(books)
    mark = max(charged.high_water, charged.nav_per_unit)
    return replace(charged, terms=books.coming or books.terms, coming=None, coming_at=None, high_water=mark)


def _charged(books: Books) -> Books:
    """``books`` with what was provisional owed, and the mark where a unit stands after it."""
    fee = books.provisional
    if not fee:
        return books
    charged = replace(books, owed=_added(books.owed, books.terms.shares(fee)))
    return replace(charged, high_water=charged.uncharged / charged.units)


def _added(owed: Mapping[str, Decimal], more: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: owed.get(name, ZERO) + more.get(name, ZERO) for name in (*owed, *(key for key in more if key not in owed))}
