"""What somebody asks of a fund's books, as the entry that it comes to: how many units, how much money, at which price.

Every figure that is dealt is rounded once, to 8 decimal places, in favour of the fund, which is to say of everybody else in it:
units issued and money paid out down, units taken for a wanted amount up. What is left over stays in the NAV. Who takes the last
units pays no redemption fee, for there is nobody whom it could go to. Amounts: units of the fund's currency; price: NAV per unit
before the flow; times aware UTC. Whatever can't be done is a BookRefused whose code is a ``BookFault``.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from keeper.accounting.nav import Books, before, enter
from keeper.domain.ledger import BookEntry, BookFault, EntryKind, FeeTerms, refused
from keeper.domain.numbers import ONE, ZERO, exact, plain, rounded

PLACES = 8
STEP = ONE.scaleb(-PLACES)
"""The least part of a unit, and of money, that is dealt."""
MOST = Decimal(10) ** 15
"""The largest figure that is dealt: beyond it the context's digits would not hold the cents."""
LARGEST_RATIO = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What every entry has. equity: of the account at ``at``, currency; id: unique in the fund."""

    id: str
    at: datetime
    equity: Decimal
    currency: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Money for units. moved: it is in the account already."""

    holder: str
    amount: Decimal
    moved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """Units for money: so many units, or so much money after the fee, or (both None) all that the holder has.

    moved: the money has left the account already; then it is known how much.
    """

    holder: str
    units: Decimal | None = None
    amount: Decimal | None = None
    moved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Fees paid out. amount: None for all that the payee is owed; moved: the money has left the account already."""

    payee: str
    amount: Decimal | None
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Consolidation:
    """ratio: old units in a new one; below 1 for a split."""

    ratio: Decimal


@dataclass(frozen=True, slots=True)
class Movement:
    """The money of entry ``of``, which was in transit, has come or gone."""

    of: str


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The money of entry ``of``, which was in transit, will not move, or moved as another amount: the entry counts no more."""

    of: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """The flow of entry ``of``, which nobody announced, is of ``holder``."""

    of: str
    holder: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """The flow of entry ``of``, which nobody announced and with which money left, paid ``payee`` what was owed."""

    of: str
    payee: str


Request = Subscription | Redemption | Payment | Consolidation | Movement | Cancellation | Assignment | Settlement


@exact
def opened(fund: str, stamp: Stamp, *, holder: str, price: Decimal, terms: FeeTerms, moved: Decimal = ZERO) -> BookEntry:
    """The first entry: what is in the account, less ``moved``, becomes units of ``holder`` at ``price``."""
    _dealable(price, "the price of a unit")
    there = stamp.equity - moved
    if there < 0:
        raise refused(BookFault.NO_VALUE, _not_there(stamp.equity, moved, stamp.currency))
    units = (there / price).quantize(STEP, ROUND_FLOOR)
    entry = _stamped(EntryKind.OPENED, fund, stamp)
    return replace(entry, equity=there, party=holder, units=units, price=price, terms=terms)


def changed_terms(books: Books, entry_id: str, at: datetime, terms: FeeTerms) -> BookEntry | None:
    """The entry after which ``terms`` hold, or come to hold; None where they do already. Nobody looks at the account for it."""
    if terms == books.coming or (books.coming is None and replace(terms, since=books.terms.since) == books.terms):
        return None
    return BookEntry(fund=books.fund, id=entry_id, kind=EntryKind.TERMS, at=at, currency=books.currency, terms=terms)


@exact
def dealt(books: Books, request: Request, stamp: Stamp) -> BookEntry:
    """The entry that ``request`` comes to. BookRefused where it may not be; then nothing is to be booked."""
    if stamp.currency != books.currency:
        message = f"the books of {books.fund} are kept in {books.currency}, the fund counts in {stamp.currency} now"
        raise refused(BookFault.CURRENCY, message)
    match request:
        case Subscription():
            entry = _subscribed(books, request, stamp)
        case Redemption():
            entry = _redeemed(books, request, stamp)
        case Payment():
            entry = _paid(books, request, stamp)
        case Consolidation():
            if not (request.ratio > 0 and ONE / LARGEST_RATIO <= request.ratio <= LARGEST_RATIO and request.ratio != 1):
                message = f"a ratio of {plain(request.ratio)} old units in a new one: between 0.000001 and 1000000, and not 1"
                raise refused(BookFault.RATIO, message)
            entry = replace(_stamped(EntryKind.CONSOLIDATED, books.fund, stamp), ratio=request.ratio)
        case Assignment():
            entry = replace(_stamped(EntryKind.ASSIGNED, books.fund, stamp), about=request.of, party=request.holder)
        case Settlement():
            entry = _settled(books, request, stamp)
        case Cancellation():
            entry = _canceled(books, request, stamp)
        case _:
            entry = replace(_stamped(EntryKind.MOVED, books.fund, stamp), about=request.of)
    enter(books, entry)  # what can't follow is refused before it is written
    return entry


def _subscribed(books: Books, request: Subscription, stamp: Stamp) -> BookEntry:
    _dealable(request.amount, "the amount")
    moved = request.amount if request.moved else ZERO
    _undetected(books, moved, "--holder NAME")
    now = before(books, stamp.at, stamp.equity, moved)
    if now.units:
        _valuable(now, stamp, moved)
        units = request.amount * (1 - now.terms.creation) * now.units / now.nav
    else:
        # what an account without holders has left belongs to whoever comes first
        if now.nav < 0:
            raise refused(BookFault.NO_VALUE, _not_there(stamp.equity, moved, stamp.currency))
        units = (request.amount + now.nav) / now.nav_per_unit
    units = units.quantize(STEP, ROUND_FLOOR)
    if not units:
        raise refused(BookFault.TOO_SMALL, f"{_money(request.amount, books)} buys less than {plain(STEP)} units")
    return replace(
        _stamped(EntryKind.SUBSCRIBED, books.fund, stamp),
        party=request.holder,
        units=units,
        amount=request.amount,
        price=now.nav_per_unit,
        in_transit=not request.moved,
    )


def _redeemed(books: Books, request: Redemption, stamp: Stamp) -> BookEntry:
    moved = _gone(request)
    _undetected(books, moved, "--holder NAME")
    now = before(books, stamp.at, stamp.equity, moved)
    held = now.holders.get(request.holder, ZERO)
    if not held:
        raise refused(BookFault.TOO_FEW_UNITS, f"{_named(request.holder)} has no units in {books.fund}")
    _valuable(now, stamp, moved)
    units = _units_asked(request, held) if request.amount is None else _units_worth(now, request.holder, request.amount)
    amount = request.amount if request.amount is not None else _paid_for(now, units)
    if not amount:
        raise refused(BookFault.TOO_SMALL, f"{plain(units)} units are worth less than {_money(STEP, books)}")
    if amount > now.nav or units > now.units:  # money that left unannounced is nobody's until `keeper nav assign` says whose
        message = f"{_money(amount, now)} is more than the NAV of {now.fund}, {_money(now.nav, now)}: assign what left it first"
        raise refused(BookFault.TOO_LARGE, message)
    return replace(
        _stamped(EntryKind.REDEEMED, books.fund, stamp),
        party=request.holder,
        units=units,
        amount=amount,
        price=now.nav_per_unit,
        in_transit=not request.moved,
    )


def flowed(books: Books, stamp: Stamp, amount: Decimal) -> BookEntry:
    """The entry that money which nobody announced comes to: units of nobody by name, at the NAV before it and without a fee.

    amount: currency, above 0 where it came, below where it left; the reading of ``stamp`` shows it. BookRefused where it can't
    be dealt.
    """
    now = before(books, stamp.at, stamp.equity, amount)
    if now.units:
        _valuable(now, stamp, amount)
        units = (amount * now.units / now.nav).quantize(STEP, ROUND_FLOOR)
    elif amount > 0:
        units = ((amount + now.nav) / now.nav_per_unit).quantize(STEP, ROUND_FLOOR)
    else:
        raise refused(BookFault.TOO_FEW_UNITS, f"{_money(-amount, now)} left {now.fund}, which has no units")
    if not now.units + units > 0:
        message = f"{_money(-amount, now)} left {now.fund}, whose NAV was {_money(now.nav, now)} before that"
        raise refused(BookFault.TOO_LARGE, message)
    entry = _stamped(EntryKind.FLOWED, books.fund, stamp)
    return replace(entry, units=units, amount=amount, price=now.nav_per_unit)


def _undetected(books: Books, moved: Decimal, whose: str) -> None:
    """Money that is announced as moved must not be what the venue has told of already."""
    for entry_id, flow in books.unassigned.items():
        if moved and flow.amount == moved:
            message = f"the exchange has told of {_money(abs(moved), books)} already, and the books have it as {entry_id}"
            raise refused(
                BookFault.DETECTED, f"{message}: say whose it is with `keeper nav assign {books.fund} {entry_id} {whose}`"
            )


def _gone(request: Redemption | Payment) -> Decimal:
    """What has left the account for ``request`` already, below 0."""
    if request.amount is not None:
        _dealable(request.amount, "the amount")
        return -request.amount if request.moved else ZERO
    if request.moved:
        raise refused(BookFault.AMOUNT, "say how much has left the account")
    return ZERO


def _units_asked(request: Redemption, held: Decimal) -> Decimal:
    """The units that are asked for by their number, or all."""
    if request.units is None:
        return held
    _dealable(request.units, "the number of units")
    if request.units == rounded(held, PLACES):
        return held  # what reads as all is all: a split leaves more digits than anybody types
    if request.units > held:
        message = f"{_named(request.holder)} has {_units(held)}, not {plain(request.units)}"
        raise refused(BookFault.TOO_FEW_UNITS, message)
    return request.units


def _units_worth(now: Books, holder: str, amount: Decimal) -> Decimal:
    """The units that pay ``amount`` after the fee."""
    held = now.holders[holder]
    most = _paid_for(now, held)
    if amount > most:
        message = f"{_named(holder)} has {_units(held)}, which pay {_money(most, now)} at most, not {plain(amount)}"
        raise refused(BookFault.TOO_LARGE, message)
    if amount == most:
        return held
    return min((amount / (1 - now.terms.redemption) * now.units / now.nav).quantize(STEP, ROUND_CEILING), held)


def _paid_for(now: Books, units: Decimal) -> Decimal:
    """What ``units`` pay after the fee, which the last ones do not bear."""
    left = ONE if units == now.units else 1 - now.terms.redemption
    return (units * now.nav / now.units * left).quantize(STEP, ROUND_FLOOR)


def _paid(books: Books, request: Payment, stamp: Stamp) -> BookEntry:
    moved = _gone(request)
    _undetected(books, moved, f"--payee {request.payee}")
    now = before(books, stamp.at, stamp.equity, moved)
    amount = _owed(now, request.payee, request.amount)
    if amount > now.equity:
        raise refused(BookFault.TOO_LARGE, f"the account has {_money(now.equity, now)}, less than {plain(amount)}")
    entry = _stamped(EntryKind.PAID, books.fund, stamp)
    return replace(entry, party=request.payee, amount=amount, in_transit=not request.moved)


def _settled(books: Books, request: Settlement, stamp: Stamp) -> BookEntry:
    now = before(books, stamp.at, stamp.equity)
    flow = now.unassigned.get(request.of)
    if flow is None or flow.amount > 0:
        message = f"entry {request.of} of {books.fund} is no flow that is yet to be assigned, and with which money left"
        raise refused(BookFault.NOT_UNASSIGNED, message)
    amount = _owed(now, request.payee, -flow.amount)
    return replace(_stamped(EntryKind.PAID, books.fund, stamp), about=request.of, party=request.payee, amount=amount)


def _canceled(books: Books, request: Cancellation, stamp: Stamp) -> BookEntry:
    entry, one = _stamped(EntryKind.CANCELED, books.fund, stamp), books.announced.get(request.of)
    if one is None:
        return replace(entry, about=request.of)  # which is refused as it is entered
    amount = abs(books.transit[request.of])
    return replace(entry, about=request.of, party=one.party, units=abs(one.units), amount=amount)


def _owed(now: Books, payee: str, asked: Decimal | None) -> Decimal:
    """What a payee gets of what is owed to them: as much as is ``asked`` for, None for all of it."""
    owed = now.owed.get(payee, ZERO).quantize(STEP, ROUND_FLOOR)
    amount = owed if asked is None else asked
    if not 0 < amount <= owed:
        known = ", ".join(f"{name} {_money(money, now)}" for name, money in now.owed.items()) or "nobody"
        instead = f", not {plain(amount)}" if asked is not None else ""
        raise refused(BookFault.NOT_OWED, f"{payee} is owed {_money(owed, now)}{instead} (owed: {known})")
    return amount


def _stamped(kind: EntryKind, fund: str, stamp: Stamp) -> BookEntry:
    return BookEntry(
        fund=fund, id=stamp.id, kind=kind, at=stamp.at, currency=stamp.currency, equity=stamp.equity, reason=stamp.reason
    )


def _dealable(figure: Decimal, what: str) -> None:
    if not (figure.is_finite() and 0 < figure < MOST):
        raise refused(BookFault.AMOUNT, f"{what} must be above 0 and below {plain(MOST)}, not {figure}")


def _valuable(now: Books, stamp: Stamp, moved: Decimal) -> None:
    """Units that are worth nothing have no price to deal at."""
    if not now.nav > 0:
        message = f"the NAV of {now.fund} before this is {_money(now.nav, now)}: nothing can be dealt at that"
        hint = f"; {_not_there(stamp.equity, moved, stamp.currency)}" if moved > 0 else ""
        raise refused(BookFault.NO_VALUE, f"{message}{hint}")


def _not_there(equity: Decimal, moved: Decimal, currency: str) -> str:
    return f"the account is worth {_figure(equity, currency)}; is {_figure(moved, currency)} in it already?"


def _money(amount: Decimal, books: Books) -> str:
    return _figure(amount, books.currency)


def _figure(amount: Decimal, currency: str) -> str:
    return f"{plain(rounded(amount, PLACES))} {currency}"


def _units(units: Decimal) -> str:
    return f"{plain(rounded(units, PLACES))} units"


def _named(holder: str) -> str:
    return holder or "the holder without a name"
