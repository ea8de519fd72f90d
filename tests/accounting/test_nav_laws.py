"""Laws of the books, for any history: conservation, flows that take nothing from anybody, fees that only time and gains make."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from keeper.accounting.dealing import (
    STEP,
    Cancellation,
    Consolidation,
    Movement,
    Payment,
    Redemption,
    Request,
    Subscription,
    changed_terms,
    dealt,
)
from keeper.accounting.nav import Books, before, enter, fold, read
from keeper.domain.errors import BookRefused
from keeper.domain.ledger import BookEntry, FeeTerms
from keeper.domain.numbers import ZERO, exact
from keeper.domain.run import NavPoint
from tests.fakes.book_values import START, D, opening, point, stamp

CENT = D("0.01")
HOLDERS = ("", "anna", "ben")
rates = st.sampled_from([D(0), D("0.01"), D("0.2"), D(1)])
payees = st.sampled_from([{"manager": D(1)}, {"anna": D("0.3"), "ben": D("0.7")}, {"a": D("0.1"), "b": D("0.2"), "c": D("0.7")}])
flow_fees = st.sampled_from([D(0), D("0.003"), D("0.05")])
terms = st.builds(FeeTerms, management=rates, performance=rates, creation=flow_fees, redemption=flow_fees, payees=payees)
moves = st.decimals("-0.4", "0.6", places=4)
amounts = st.decimals("0.00000001", "300000", places=8)
holders = st.sampled_from(HOLDERS)
requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(Subscription, holder=holders, amount=amounts, moved=st.booleans()),
    st.builds(Redemption, holder=holders, units=amounts),
    st.builds(Redemption, holder=holders, amount=amounts, moved=st.booleans()),
    st.builds(Redemption, holder=holders),
    st.builds(Payment, payee=st.sampled_from(["manager", "anna"]), amount=st.none() | amounts),
    st.builds(Consolidation, st.sampled_from([D(10), D("0.1"), D(3), D("0.7")])),
    st.builds(Movement, st.sampled_from([f"e{number}" for number in range(8)])),
    st.builds(Cancellation, st.sampled_from([f"e{number}" for number in range(8)])),
)
happenings = st.one_of(requests, requests, terms, st.none())
steps = st.lists(st.tuples(st.integers(0, 400 * 86_400), moves, happenings), max_size=8)
History = list[tuple[int, Decimal, Request | FeeTerms | None]]


class Account:
    """An account that is traded, and what was booked of it. equity: what a reading shows."""

    @exact
    def __init__(self, fees: FeeTerms) -> None:
        self.at, self.equity = timedelta(0), D(100000)
        self.items: list[BookEntry | NavPoint] = [opening(terms=fees)]
        self.books = enter(None, opening(terms=fees))

    @exact
    def live(self, seconds: int, move: Decimal) -> None:
        self.at += timedelta(seconds=seconds)
        self.equity *= 1 + move
        self.items.append(point(self.equity, after=self.at))
        self.books = read(self.books, START + self.at, self.equity)

    @exact
    def ask(self, request: Request) -> tuple[Books, BookEntry] | None:
        """The books right before what ``request`` comes to, and its entry; None where it is refused."""
        moved = self._moved(request)
        name = f"e{len(self.books.ids)}"
        try:
            entry = dealt(self.books, request, stamp(name, self.equity + moved, after=self.at))
        except BookRefused:
            return None
        standing = before(self.books, entry.at, entry.equity, moved)
        self.equity += moved
        self.items.append(entry)
        self.books = enter(self.books, entry)
        return standing, entry

    def change(self, fees: FeeTerms) -> None:
        entry = changed_terms(self.books, f"e{len(self.books.ids)}", START + self.at, fees)
        if entry is not None:
            self.items.append(entry)
            self.books = enter(self.books, entry)

    def _moved(self, request: Request) -> Decimal:
        match request:
            case Subscription(moved=True):
                return request.amount
            case Redemption(moved=True, amount=Decimal() as amount):
                return -amount
            case Movement():
                return self.books.transit.get(request.of, ZERO)
            case _:
                return ZERO


def lived(fees: FeeTerms, history: History) -> Account:
    account = Account(fees)
    for seconds, move, request in history:
        account.live(seconds, move)
        if isinstance(request, FeeTerms):
            account.change(request)
        elif request is not None:
            account.ask(request)
    return account


@given(terms, steps)
@exact
def test_what_holders_have_and_payees_are_owed_is_what_is_there(fees: FeeTerms, history: History) -> None:
    account = lived(fees, history)
    books = account.books
    holding = sum((books.value(holder) for holder in books.holders), ZERO)
    holding += ZERO if books.units else books.nav
    there = account.equity + sum(books.transit.values(), ZERO)
    assert abs(holding + sum(books.owing.values(), ZERO) - there) < CENT / 10**10
    assert all(units > 0 for units in books.holders.values())
    assert all(money > -CENT / 10**20 for money in books.owed.values())


@given(terms, steps, requests)
@exact
def test_no_flow_takes_anything_from_those_who_stay(fees: FeeTerms, history: History, request: Request) -> None:
    account = lived(fees, history)
    done = account.ask(request)
    if done is None:
        return
    (standing, entry), after = done, account.books
    ratio = request.ratio if isinstance(request, Consolidation) else D(1)
    noise = abs(standing.nav) * D("1e-28") + D("1e-28")
    if isinstance(request, Cancellation):
        return  # what the market made of it since is borne by those who stay
    for holder in standing.holders:
        if holder != entry.party or not isinstance(request, Subscription | Redemption):
            assert after.value(holder) >= standing.value(holder) - noise
    if not standing.units or not after.units:
        return
    gained = after.nav_per_unit / ratio - standing.nav_per_unit
    assert gained >= -noise
    assert after.provisional <= noise * after.units
    if isinstance(request, Payment | Consolidation | Movement):
        assert abs(gained) <= noise
    else:
        dealt_for = entry.units * standing.nav_per_unit
        kept = (
            entry.amount * standing.terms.creation if isinstance(request, Subscription) else dealt_for * standing.terms.redemption
        )
        assert gained * after.units <= kept + STEP * (1 + standing.nav_per_unit) + noise * after.units


@given(terms, steps, requests)
def test_an_id_is_booked_once_and_a_second_time_changes_nothing(fees: FeeTerms, history: History, request: Request) -> None:
    account = lived(fees, history)
    done = account.ask(request)
    if done is None:
        return
    once = account.books
    with suppress(BookRefused):
        enter(once, done[1])
        raise AssertionError("booked twice")
    assert account.books == once == fold(account.items)


@given(terms, st.integers(0, 10**9), st.integers(0, 10**9), moves)
def test_a_management_fee_only_grows_with_time(fees: FeeTerms, first: int, more: int, move: Decimal) -> None:
    account = Account(fees)
    account.live(86_400, move)
    seconds = timedelta(seconds=first), timedelta(seconds=first + more)
    sooner, later = (read(account.books, START + account.at + after, account.equity) for after in seconds)
    assert all(later.owed[payee] >= sooner.owed[payee] for payee in sooner.owed)
    if more and fees.management and account.books.nav > 0:
        assert sum(later.owed.values()) > sum(sooner.owed.values())


@given(terms, st.lists(st.tuples(st.integers(1, 86_400), moves), min_size=1, max_size=5))
@exact
def test_readings_between_entries_make_no_performance_fee(fees: FeeTerms, readings: list[tuple[int, Decimal]]) -> None:
    only = replace(fees, management=ZERO)
    many, last = lived(only, [(seconds, move, None) for seconds, move in readings]), Account(only)
    last.at, last.equity = many.at, many.equity
    last.live(0, ZERO)
    assert (many.books.provisional, many.books.nav) == (last.books.provisional, last.books.nav)


@given(terms, steps, st.integers(0, 20))
def test_books_are_the_fold_of_their_items_wherever_it_is_cut(fees: FeeTerms, history: History, cut: int) -> None:
    account = lived(fees, history)
    head, rest = account.items[: cut + 1], account.items[cut + 1 :]
    books = fold(head)
    for item in rest:
        assert books is not None
        books = enter(books, item) if isinstance(item, BookEntry) else read(books, item.at, item.nav)
    assert books == account.books == fold(account.items)
