"""What stands in a fund's books: entries, each booked once and never changed, and the terms of its fees.

An entry is a fact: units and money as they were dealt. What they come to together is folded from them and the NAV points
(``accounting/nav.py``), never stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from keeper.domain.errors import BookRefused
from keeper.domain.numbers import ONE, ZERO, exact
from keeper.domain.run import NavPoint

MANAGER = "manager"
"""Who is owed the fees where nobody else is named."""
_RATES = ("management", "performance", "creation", "redemption")


class EntryKind(StrEnum):
    """What an entry says.

    OPENED: the books begin, with what is in the account; TERMS: other fees; SUBSCRIBED, REDEEMED: units for money, money for
    units; PAID: a payee got fees; CONSOLIDATED: each unit is another number of them; MOVED: the money of an entry, which was on
    its way, has come or gone; CANCELED: it will not, so that the entry counts no more; FLOWED: the venue tells of money that
    nobody announced, units for it are nobody's by name; ASSIGNED: they are somebody's.
    """

    OPENED = "opened"
    TERMS = "terms"
    SUBSCRIBED = "subscribed"
    REDEEMED = "redeemed"
    PAID = "paid"
    CONSOLIDATED = "consolidated"
    MOVED = "moved"
    CANCELED = "canceled"
    FLOWED = "flowed"
    ASSIGNED = "assigned"


class BookFault(StrEnum):
    """Why something may not be booked."""

    NO_BOOKS = "no_books"
    OPEN_ALREADY = "open_already"
    TWICE = "twice"
    CURRENCY = "currency"
    AMOUNT = "amount"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    TOO_FEW_UNITS = "too_few_units"
    NO_VALUE = "no_value"
    NOT_OWED = "not_owed"
    RATIO = "ratio"
    NOT_IN_TRANSIT = "not_in_transit"
    NOT_UNASSIGNED = "not_unassigned"
    DETECTED = "detected"
    BUSY = "busy"


def refused(fault: BookFault, message: str) -> BookRefused:
    """The error to raise for ``fault``. message: what is wrong and what to do, in words."""
    return BookRefused(fault.value, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeTerms:
    """What a fund charges; a rate of 0 is a fee that is switched off.

    management: fraction of NAV in a year of 365 days; performance: fraction of what a unit rises above its high-water mark;
    creation, redemption: fractions of a flow that stay in the fund and pay for what the flow costs it; payees: the share of
    each in management and performance fees, above 0, together 1; since: aware UTC, when they begin, None: at once.
    """

    management: Decimal = ZERO
    performance: Decimal = ZERO
    creation: Decimal = ZERO
    redemption: Decimal = ZERO
    payees: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({MANAGER: ONE}))
    since: datetime | None = None

    def document(self) -> dict[str, object]:
        """These terms as JSON values, Decimals and a time: what an entry keeps, and ``of`` reads."""
        rates: dict[str, object] = {name: getattr(self, name) for name in _RATES}
        return {**rates, "payees": dict(self.payees), "from": self.since}

    @classmethod
    def of(cls, document: Mapping[str, object]) -> "FeeTerms":
        """The terms that ``document`` holds, its Decimals and time as text."""
        payees, since = document["payees"], document["from"]
        shares = {str(name): Decimal(str(share)) for name, share in payees.items()} if isinstance(payees, Mapping) else {}
        rates = {name: Decimal(str(document[name])) for name in _RATES}
        return cls(**rates, payees=shares, since=None if since is None else datetime.fromisoformat(str(since)))

    @exact
    def shares(self, fee: Decimal) -> dict[str, Decimal]:
        """What of ``fee`` is each payee's; the last one has what is left, so that nothing is lost."""
        *others, last = self.payees
        split = {name: fee * self.payees[name] for name in others}
        return {**split, last: fee - sum(split.values(), ZERO)}


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """One fact in the books of a fund.

    id: unique in the fund, so that nothing is booked twice; at: aware UTC; equity: what the account was worth then, units of
    ``currency``, 0 for TERMS, for which nobody looks; party: holder or payee, empty for the holder without a name; units: given
    or taken; amount: money that comes or goes, currency; price: NAV per unit that was dealt at; in_transit: the money was not in
    the account yet, or had not left it; ratio: old units in a new one; about: id of the entry whose money moved or will not, or
    whose units are assigned, or that a payment turned out to be; units and amount of one that FLOWED are signed, above 0 where
    money came. What an entry's kind has no use for keeps its default.
    """

    fund: str
    id: str
    kind: EntryKind
    at: datetime
    currency: str
    equity: Decimal = ZERO
    party: str = ""
    units: Decimal = ZERO
    amount: Decimal = ZERO
    price: Decimal = ZERO
    in_transit: bool = False
    ratio: Decimal = ONE
    about: str = ""
    terms: FeeTerms | None = None
    reason: str = ""

    @property
    def flow(self) -> Decimal:
        """Money that this entry brings into the account (above 0) or takes out of it, currency."""
        match self.kind:
            case EntryKind.SUBSCRIBED | EntryKind.FLOWED:
                return self.amount
            case EntryKind.REDEEMED | EntryKind.PAID:
                return ZERO if self.about else -self.amount  # of a flow that was told already
            case _:
                return ZERO


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that a fund's books are folded from, oldest first.

    items: its entries, and the NAV points from the first of them on; last: the number of the last item's event, 0 without any:
    who writes names it, so that nobody writes on the grounds of books that were changed meanwhile.
    """

    items: tuple[BookEntry | NavPoint, ...] = ()
    last: int = 0

    @property
    def entries(self) -> tuple[BookEntry, ...]:
        """The entries alone."""
        return tuple(item for item in self.items if isinstance(item, BookEntry))

    @property
    def moves(self) -> tuple[tuple[BookEntry, Decimal], ...]:
        """What money came into the account (above 0) or left it (below 0) with an entry, currency; none that is in transit."""
        flows = {entry.id: entry.flow for entry in self.entries}
        return tuple(
            (entry, flows.get(entry.about, ZERO) if entry.kind is EntryKind.MOVED else entry.flow)
            for entry in self.entries
            if not entry.in_transit and (entry.flow or entry.kind is EntryKind.MOVED)
        )

    @property
    @exact
    def on_their_way(self) -> Mapping[str, Decimal]:
        """What is to come into the account (above 0) or to leave it (below 0), by currency: entries whose money has not moved."""
        moved = {entry.about for entry in self.entries if entry.kind in (EntryKind.MOVED, EntryKind.CANCELED)}
        found: dict[str, Decimal] = {}
        for entry in self.entries:
            if entry.in_transit and entry.id not in moved:
                found[entry.currency] = found.get(entry.currency, ZERO) + entry.flow
        return found

    def entry(self, entry_id: str) -> BookEntry | None:
        """The entry of that id."""
        return next((entry for entry in self.entries if entry.id == entry_id), None)
