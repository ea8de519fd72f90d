"""What the books make of the venue's own ledger: announced money once, the rest as flows at the NAV before them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.accounting.dealing import (
    Assignment,
    Cancellation,
    Consolidation,
    Movement,
    Payment,
    Redemption,
    Settlement,
    Subscription,
    dealt,
    flowed,
)
from keeper.accounting.following import Followed, follow
from keeper.accounting.nav import Books, enter, read
from keeper.domain.errors import BookRefused
from keeper.domain.ledger import BookEntry, EntryKind, FeeTerms, Ledger
from keeper.domain.statement import Booked, Posting, PostingKind
from tests.fakes.book_values import START, booked, open_books, opening, stamp

D = Decimal
HOUR = timedelta(hours=1)


def told(name: str, amount: str, *, after: float = 1, kind: PostingKind = PostingKind.DEPOSIT, value: str | None = "") -> Booked:
    posting = Posting(id=name, kind=kind, at=START + after * HOUR, asset="USDT", amount=D(amount))
    worth = None if value is None else D(value or amount)
    return Booked(posting=posting, account="a", fund="btc3l", currency="USDT", value=worth)


def followed(
    books: Books | None, *fresh: Booked, equity: str, entries: tuple[BookEntry, ...] = (), known: tuple[Booked, ...] = ()
) -> Followed:
    ledger = Ledger(entries or (opening("1000"),))
    return follow(books, ledger, fresh, known, at=START + 2 * HOUR, equity=D(equity))


def entered(books: Books, found: Followed) -> Books:
    for entry in found.entries:
        books = enter(books, entry)
    return books


def test_money_that_nobody_announced_is_a_flow_at_the_nav_before_it() -> None:
    books = open_books("1000")
    found = followed(books, told("d1", "500"), equity="2500")
    [entry] = found.entries
    assert (entry.kind, entry.units, entry.amount, entry.price, entry.id) == (
        EntryKind.FLOWED,
        D(250),
        D(500),
        D(2),
        "ledger-d1",
    )
    assert found.told[0].entry == entry.id
    after = entered(books, found)
    assert (after.nav_per_unit, after.holders[""], after.high_water) == (D(2), D(1250), D(1))
    assert after.unassigned[entry.id].amount == 500


def test_money_that_leaves_may_leave_nobody_by_name_with_fewer_units_than_none_until_it_is_assigned() -> None:
    books = open_books("1000", holder="anna")
    found = followed(books, told("w1", "-400", kind=PostingKind.WITHDRAWAL), equity="600")
    after = entered(books, found)
    assert (dict(after.holders), after.nav_per_unit) == ({"anna": D(1000), "": D(-400)}, D(1))
    with pytest.raises(BookRefused, match="1000 USDT is more than the NAV of btc3l, 600 USDT: assign what left it first"):
        dealt(after, Redemption(holder="anna"), stamp("all", "600"))
    assigned = booked(after, Assignment("ledger-w1", "anna"), "600", entry_id="who")
    assert (dict(assigned.holders), dict(assigned.unassigned), assigned.nav_per_unit) == ({"anna": D(600)}, {}, D(1))
    with pytest.raises(BookRefused, match="no flow that is yet to be assigned"):
        dealt(assigned, Assignment("ledger-w1", "anna"), stamp("again", "600"))
    with pytest.raises(BookRefused, match=r"ben has 400[.0]* units less than that"):
        dealt(after, Assignment("ledger-w1", "ben"), stamp("ben", "600"))


def test_an_assignment_keeps_its_share_through_a_consolidation() -> None:
    books = entered(open_books("1000", holder="anna"), followed(open_books("1000"), told("d1", "500"), equity="1500"))
    books = booked(books, Consolidation(D(10)), "1500", entry_id="ten")
    books = booked(books, Assignment("ledger-d1", "ben"), "1500", entry_id="who")
    assert dict(books.holders) == {"anna": D(100), "ben": D(50)}


def test_several_flows_of_one_reading_are_dealt_one_after_the_other_at_the_same_price() -> None:
    books = open_books("1000")
    found = followed(
        books,
        told("d1", "500"),
        told("f", "-1", kind=PostingKind.FUNDING),
        told("t", "-250", kind=PostingKind.TRANSFER),
        equity="1250",
    )
    assert [(entry.units, entry.price) for entry in found.entries] == [(D(500), D(1)), (D(-250), D(1))]
    assert [one.entry for one in found.told] == ["ledger-d1", "", "ledger-t"]
    assert entered(books, found).nav_per_unit == 1


def test_money_in_transit_is_matched_first_and_moves_nothing() -> None:
    books = open_books("1000")
    books = booked(books, Subscription(holder="ben", amount=D(70), moved=False), "1000", entry_id="other")
    announced = dealt(books, Subscription(holder="anna", amount=D(500), moved=False), stamp("wire", "1000"))
    books = enter(books, announced)
    found = followed(books, told("d1", "500"), told("d2", "500"), equity="2000", entries=(opening("1000"), announced))
    moved, flow = found.entries
    assert (moved.kind, moved.about, flow.kind) == (EntryKind.MOVED, "wire", EntryKind.FLOWED)
    after = entered(books, found)
    assert (dict(after.holders), dict(after.transit)) == ({"": D(1500), "ben": D(70), "anna": D(500)}, {"other": D(70)})


def test_money_that_was_booked_as_moved_is_matched_once_within_a_day() -> None:
    books = open_books("1000")
    announced = dealt(books, Subscription(holder="anna", amount=D(500), moved=True), stamp("wire", "1500", after=HOUR))
    entries, books = (opening("1000"), announced), enter(books, announced)
    found = followed(books, told("d1", "500"), equity="1500", entries=entries)
    assert (found.entries, found.told[0].entry) == ((), "wire")
    twice = followed(books, told("d1", "500"), told("d2", "500"), equity="2000", entries=entries)
    assert [one.entry for one in twice.told] == ["wire", "ledger-d2"]
    known = replace(told("d0", "500"), entry="wire")
    assert followed(books, told("d1", "500"), equity="2000", entries=entries, known=(known,)).told[0].entry == "ledger-d1"
    late = followed(books, told("d1", "500", after=26), equity="2000", entries=entries)
    assert late.told[0].entry == "ledger-d1"


def test_what_has_no_books_no_price_or_no_amount_belongs_to_no_entry() -> None:
    fresh = (told("d1", "500"), told("x", "1", value=None), told("z", "0"))
    assert followed(None, *fresh, equity="1500") == Followed(fresh)
    found = followed(open_books("1000"), *fresh[1:], equity="1000")
    assert found == Followed(fresh[1:])


def test_a_flow_larger_than_the_nav_is_named_and_kept() -> None:
    books = open_books("1000")
    found = followed(books, told("w1", "-1200", kind=PostingKind.WITHDRAWAL), equity="-200")
    assert (found.entries, found.told[0].entry) == ((), "")
    assert found.refused == ("w1: 1200 USDT left btc3l, whose NAV was 1000 USDT before that",)
    assert "nothing can be dealt at that" in followed(open_books("1000"), told("d1", "100"), equity="50").refused[0]


def test_a_flow_into_books_without_units_makes_some_and_none_can_leave_them() -> None:
    books = booked(open_books("1000"), Redemption(holder=""), "1000", entry_id="all")
    books = booked(books, _moved("all"), "0", entry_id="gone")
    after = entered(books, followed(books, told("d1", "500"), equity="500"))
    assert (after.units, after.nav_per_unit, after.high_water) == (D(500), D(1), D(1))
    with pytest.raises(BookRefused, match="left btc3l, which has no units"):
        flowed(books, stamp("out", "-5"), D(-5))


def _moved(of: str) -> Movement:
    return Movement(of)


def test_money_that_the_exchange_told_of_is_not_announced_once_more() -> None:
    books = entered(open_books("1000"), followed(open_books("1000"), told("d1", "500"), equity="1500"))
    with pytest.raises(BookRefused, match="say whose it is with `keeper nav assign btc3l ledger-d1 --holder NAME`") as refusal:
        dealt(books, Subscription(holder="anna", amount=D(500), moved=True), stamp("twice", "1500"))
    assert refusal.value.code == "detected"
    dealt(books, Subscription(holder="anna", amount=D(500), moved=False), stamp("another", "1500"))
    dealt(books, Subscription(holder="anna", amount=D(400), moved=True), stamp("third", "1900"))
    out = entered(open_books("1000"), followed(open_books("1000"), told("w1", "-300"), equity="700"))
    with pytest.raises(BookRefused, match="assign btc3l ledger-w1"):
        dealt(out, Redemption(holder="", amount=D(300), moved=True), stamp("twice", "700"))


def test_what_moved_before_the_books_were_opened_is_in_what_they_were_opened_with() -> None:
    books = open_books("1000")
    early = [told("d1", "500", after=after) for after in (-1, 0)]
    found = followed(books, *early, told("d2", "100"), equity="1100")
    assert [one.entry for one in found.told] == ["", "", "ledger-d2"]
    assert (found.entries[0].units, found.entries[0].price) == (D(100), D(1))


def test_money_that_came_as_another_amount_is_dealt_once_when_what_was_announced_is_canceled() -> None:
    books = open_books("1000", holder="anna")
    announced = dealt(books, Subscription(holder="ben", amount=D(500), moved=False), stamp("wire", "1000"))
    books = enter(books, announced)
    found = followed(books, told("d1", "499"), equity="1499", entries=(opening("1000", holder="anna"), announced))
    books = entered(books, found)
    assert (books.units, books.nav) == (D(1999), D(1999))
    canceled = dealt(books, Cancellation("wire"), stamp("off", "1499"))
    assert (canceled.party, canceled.units, canceled.amount, canceled.flow) == ("ben", D(500), D(500), D(0))
    books = booked(enter(books, canceled), Assignment("ledger-d1", "ben"), "1499", entry_id="who")
    assert (dict(books.holders), dict(books.transit), books.nav_per_unit) == ({"anna": D(1000), "ben": D(499)}, {}, D(1))
    for request in (Cancellation("wire"), Cancellation("open"), Movement("wire")):
        with pytest.raises(BookRefused, match=r"no money of entry (wire|open) is on its way"):
            dealt(books, request, stamp("again", "1499"))


def test_a_canceled_redemption_gives_back_the_units_that_it_took_in_what_they_are_by_then() -> None:
    books = booked(open_books("1000", holder="anna"), Redemption(holder="anna", units=D(400)), "1000", entry_id="out")
    books = booked(books, Consolidation(D(10)), "1000", entry_id="ten")
    books = booked(books, Cancellation("out"), "1100", entry_id="off")
    assert (dict(books.holders), dict(books.transit), books.nav) == ({"anna": D(100)}, {}, D(1100))


@pytest.mark.parametrize(
    ("request_", "equity", "price"),
    [
        (Subscription(holder="ben", amount=D(100), moved=False), "80", "0.8"),
        (Redemption(holder="anna", units=D(50)), "80", "0.8"),
    ],
)
def test_what_the_market_made_of_a_canceled_entry_moves_no_high_water_mark(
    request_: Subscription | Redemption, equity: str, price: str
) -> None:
    terms = FeeTerms(performance=D("0.2"))
    books = booked(enter(None, opening("100", holder="anna", terms=terms)), request_, "100", entry_id="wire")
    books = booked(books, Cancellation("wire"), equity, entry_id="off")
    assert (books.nav_per_unit, books.high_water) == (D(price), D(1))
    assert read(books, START, D(100)).provisional == 0
    assert read(books, START, D(120)).provisional == 4


def test_what_a_fee_lifted_is_taken_back_with_the_entry_that_paid_it() -> None:
    terms = FeeTerms(performance=D("0.2"), creation=D("0.05"))
    books = enter(None, opening("100", holder="anna", terms=terms))
    lifted = booked(books, Subscription(holder="ben", amount=D(100), moved=False), "100", entry_id="wire")
    assert lifted.high_water > 1
    ten = booked(lifted, Consolidation(D(10)), "100", entry_id="ten")
    for after, mark in (
        (booked(lifted, Cancellation("wire"), "100", entry_id="off"), D(1)),
        (booked(ten, Cancellation("wire"), "100", entry_id="off"), D(10)),
    ):
        assert abs(after.high_water - mark) < D("1e-25")
        assert after.nav_per_unit == mark


def test_units_that_were_given_back_since_can_not_be_taken_by_a_cancellation() -> None:
    books = booked(open_books("1000"), Subscription(holder="ben", amount=D(500), moved=False), "1000", entry_id="wire")
    books = booked(books, Redemption(holder="ben", units=D(100)), "1000", entry_id="out")
    with pytest.raises(BookRefused, match=r"ben has 100[.0]* units less than that"):
        dealt(books, Cancellation("wire"), stamp("off", "1000"))


def test_fees_whose_payment_the_exchange_told_of_are_paid_by_that_and_not_once_more() -> None:
    terms = FeeTerms(management=D("0.1"))
    opened = opening("1000", holder="anna", terms=terms)
    books = enter(None, opened)
    year = timedelta(days=365)
    owing = read(books, START + year, D(1000))
    assert owing.owed["manager"] == 100
    found = follow(
        books,
        Ledger((opened,)),
        [told("w1", "-60", after=year / HOUR, kind=PostingKind.WITHDRAWAL)],
        (),
        at=START + year,
        equity=D(940),
    )
    books = entered(books, found)
    with pytest.raises(BookRefused, match="keeper nav assign btc3l ledger-w1 --payee manager"):
        dealt(books, Payment(payee="manager", amount=D(60), moved=True), stamp("pay", "940", after=year))
    paid = dealt(books, Settlement("ledger-w1", "manager"), stamp("paid", "940", after=year))
    assert (paid.kind, paid.amount, paid.flow, paid.about) == (EntryKind.PAID, D(60), D(0), "ledger-w1")
    books = enter(books, paid)
    assert (books.owed["manager"], dict(books.holders), books.nav) == (D(40), {"anna": D(1000)}, D(900))
    assert dict(books.unassigned) == {}
    with pytest.raises(BookRefused, match="no flow that is yet to be assigned, and with which money left"):
        dealt(books, Settlement("ledger-w1", "manager"), stamp("again", "940", after=year))
    with pytest.raises(BookRefused, match="ben is owed 0 USDT, not 60"):
        dealt(entered(enter(None, opened), found), Settlement("ledger-w1", "ben"), stamp("ben", "940", after=year))


def test_money_that_came_pays_no_fee_and_a_canceled_payment_is_owed_again() -> None:
    books = entered(open_books("1000"), followed(open_books("1000"), told("d1", "500"), equity="1500"))
    with pytest.raises(BookRefused, match="no flow that is yet to be assigned, and with which money left"):
        dealt(books, Settlement("ledger-d1", "manager"), stamp("paid", "1500"))
    year = timedelta(days=365)
    books = enter(None, opening("1000", terms=FeeTerms(management=D("0.1"))))
    books = booked(books, Payment(payee="manager", amount=D(60)), "1000", after=year, entry_id="pay")
    assert (books.owed["manager"], dict(books.transit)) == (D(40), {"pay": D(-60)})
    books = booked(books, Cancellation("pay"), "1000", after=year, entry_id="off")
    assert (books.owed["manager"], dict(books.transit), books.nav) == (D(100), {}, D(900))


amounts = st.decimals("-400", "5000", places=4).filter(lambda amount: amount != 0)


@given(st.lists(amounts, min_size=1, max_size=6), st.decimals("500", "3000", places=2))
def test_flows_take_nothing_from_anybody_and_lose_nothing(flows: list[Decimal], worth: Decimal) -> None:
    books = open_books("1000", holder="anna")
    equity = worth + sum(flows, D(0))
    found = follow(
        books,
        Ledger((opening("1000", holder="anna"),)),
        [told(f"d{number}", str(amount)) for number, amount in enumerate(flows)],
        (),
        at=START + HOUR,
        equity=equity,
    )
    after = entered(books, found)
    assert len(found.told) == len(flows)
    if not found.refused:
        assert after.equity == equity
        assert abs(after.nav_per_unit - worth / 1000) <= D("0.000001") * worth / 1000
        assert abs(sum((after.value(one) for one in after.holders), D(0)) - after.nav) < D("1e-18") * max(after.nav, D(1))
