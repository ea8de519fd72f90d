"""Units, NAV per unit and fees, by figures done by hand."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from keeper.accounting.dealing import (
    Consolidation,
    Movement,
    Payment,
    Redemption,
    Request,
    Subscription,
    changed_terms,
    dealt,
    opened,
)
from keeper.accounting.nav import Books, enter, fold, read
from keeper.domain.errors import BookRefused
from keeper.domain.ledger import BookEntry, EntryKind, FeeTerms, Ledger
from keeper.domain.numbers import exact
from keeper.domain.run import NavPoint
from tests.fakes.book_values import (
    BOTH_FEES,
    NO_FEES,
    START,
    YEAR,
    D,
    booked,
    folded,
    open_books,
    opening,
    point,
    stamp,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MANAGEMENT = FeeTerms(management=D("0.02"))


def subscription(amount: str, holder: str = "", *, moved: bool = False) -> Subscription:
    return Subscription(holder=holder, amount=D(amount), moved=moved)


def close(one: Decimal, other: str | Decimal) -> bool:
    """To the cent, and far below."""
    return abs(one - D(other)) < D("1e-20")


def test_what_is_in_the_account_becomes_units_at_the_price_asked_for() -> None:
    books = open_books("115000.50", price="10", holder="anna")
    assert (books.units, books.nav, books.nav_per_unit) == (D("11500.05"), D("115000.50"), D(10))
    assert (books.holders, books.high_water) == ({"anna": D("11500.05")}, D(10))


def test_an_amount_that_is_all_leaves_no_dust_of_units() -> None:
    books = open_books("100", price="0.001")
    entry = dealt(books, Redemption(holder="", amount=D("77.77777777")), stamp("all", "77.777777777777"))
    assert entry.units == D(100000)


def test_what_is_there_before_a_first_subscription_is_without_its_money() -> None:
    entry = opened("btc3l", stamp("open", "105"), holder="", price=D(1), terms=NO_FEES, moved=D(5))
    assert (entry.units, entry.equity) == (D(100), D(100))


def test_units_are_never_worth_more_than_what_is_there() -> None:
    assert open_books("200", price="3").units == D("66.66666666")


@pytest.mark.parametrize("moved", [True, False])
def test_a_subscription_buys_at_the_nav_per_unit_before_it_wherever_the_money_is(*, moved: bool) -> None:
    # 100,000 units at 1.20; 60,000 buy 50,000 units
    equity = "180000" if moved else "120000"
    books = booked(open_books(), subscription("60000", "ben", moved=moved), equity, after=DAY)
    assert (books.holders["ben"], books.units) == (D(50000), D(150000))
    assert (books.nav, books.nav_per_unit) == (D(180000), D("1.2"))
    assert books.value("ben") == D(60000)
    assert books.transit == ({} if moved else {"e1": D(60000)})
    assert books.equity == D(equity)


def test_money_that_is_on_its_way_counts_until_it_is_there_and_once() -> None:
    books = booked(open_books(), subscription("50000", "ben"), "100000", after=DAY)
    # the market takes a tenth of what the account holds, which is all that is at risk
    fallen = read(books, START + 2 * DAY, D(90000))
    assert fallen.nav == D(140000)
    assert close(3 * fallen.value("ben"), fallen.nav)
    there = booked(fallen, Movement("e1"), "140000", after=3 * DAY)
    assert (there.transit, there.equity, there.nav) == ({}, D(140000), D(140000))


@pytest.mark.parametrize(
    ("request_", "units", "amount"),
    [
        pytest.param(Redemption(holder="", units=D(25000)), "25000", "30000", id="units"),
        pytest.param(Redemption(holder="", amount=D(30000)), "25000", "30000", id="amount"),
        pytest.param(Redemption(holder="", amount=D(30000), moved=True), "25000", "30000", id="amount that has left"),
        pytest.param(Redemption(holder=""), "100000", "120000", id="all"),
        pytest.param(Redemption(holder="", amount=D(120000)), "100000", "120000", id="an amount that is all"),
    ],
)
def test_a_redemption_pays_the_nav_per_unit_before_it(request_: Redemption, units: str, amount: str) -> None:
    books, equity = open_books(), "90000" if request_.moved else "120000"
    entry = dealt(books, request_, stamp("r1", equity, after=DAY))
    assert (entry.units, entry.amount, entry.price) == (D(units), D(amount), D("1.2"))
    after = enter(books, entry)
    assert (after.units, after.nav) == (100000 - D(units), 120000 - D(amount))
    assert after.nav_per_unit == D("1.2")


@pytest.mark.parametrize("amount", ["100.00000001", "0.1", "33333.333333333"])
def test_what_is_rounded_stays_in_the_fund(amount: str) -> None:
    books = booked(open_books("100000", price="7"), subscription(amount, "ben"), "100001", after=DAY)
    assert books.nav_per_unit >= D(100001) / open_books("100000", price="7").units
    assert books.value("ben") <= D(amount)
    assert D(amount) - books.value("ben") < D("0.000001")
    out = dealt(books, Redemption(holder="", amount=D(amount)), stamp("out", "100001", after=DAY))
    assert out.units * out.price >= out.amount
    gone = dealt(books, Redemption(holder="ben"), stamp("gone", "100001", after=DAY))
    assert gone.amount <= books.value("ben")


def test_a_creation_fee_stays_with_those_who_were_there() -> None:
    terms = FeeTerms(creation=D("0.01"), redemption=D("0.02"), performance=D("0.2"))
    books = booked(open_books(terms=terms), subscription("50000", "ben"), "100000")
    assert (books.owing, books.high_water) == ({"manager": D(0)}, books.nav_per_unit), "it is no gain that anybody is paid for"
    assert books.holders["ben"] == D(49500)
    assert books.nav == D(150000)
    assert close(books.nav_per_unit * 149500, "150000")
    entry = dealt(books, Redemption(holder="ben", units=D(10000)), stamp("out", "100000"))
    assert entry.amount == (10000 * D(150000) / D(149500) * D("0.98")).quantize(D("0.00000001"), "ROUND_FLOOR")
    after = enter(books, entry)
    assert after.nav_per_unit > books.nav_per_unit
    wanted = dealt(books, Redemption(holder="ben", amount=D(9800)), stamp("out2", "100000"))
    assert wanted.amount == D(9800)
    assert 0 <= wanted.units * wanted.price * D("0.98") - 9800 < D("0.0000001")


def test_the_last_units_bear_no_redemption_fee() -> None:
    books = open_books(terms=FeeTerms(redemption=D("0.02")))
    after = booked(books, Redemption(holder=""), "100000")
    assert (after.units, after.nav, after.nav_per_unit) == (D(0), D(0), D(1))
    assert dealt(books, Redemption(holder="", units=D(50000)), stamp("half", "100000")).amount == D(49000)


def test_fees_of_a_year_by_hand() -> None:
    # a year at 1 % of 100,000 is 1,000; 121,000 less that is 1.20 a unit: 20 % of 0.20 above the mark is 4,000
    books = read(open_books(terms=BOTH_FEES), START + YEAR, D(121000))
    assert (books.owed, books.provisional) == ({"manager": D(1000)}, D(4000))
    assert (books.owing, books.nav, books.nav_per_unit) == ({"manager": D(5000)}, D(116000), D("1.16"))
    assert books.high_water == 1
    # whoever comes buys at 1.16, and from there a new gain counts
    after = booked(books, subscription("58000", "ben"), "121000", after=YEAR)
    assert (after.owed, after.provisional, after.high_water) == ({"manager": D(5000)}, D(0), D("1.16"))
    assert (after.holders["ben"], after.nav_per_unit) == (D(50000), D("1.16"))


def test_a_performance_fee_that_was_not_owed_yet_goes_with_the_gain() -> None:
    books = read(open_books(terms=FeeTerms(performance=D("0.2"))), START + DAY, D(200000))
    assert books.nav == D(180000)
    fallen = read(books, START + 2 * DAY, D(90000))
    assert (fallen.nav, fallen.provisional, fallen.high_water) == (D(90000), D(0), D(1))
    back = read(fallen, START + 3 * DAY, D(110000))
    assert back.nav == D(108000)


def test_no_gain_is_charged_twice() -> None:
    books = booked(open_books(terms=FeeTerms(performance=D("0.2"))), Consolidation(D(10)), "150000")
    assert (books.high_water, books.nav_per_unit, books.owed) == (D(14), D(14), {"manager": D(10000)})
    fallen = booked(books, Redemption(holder="", units=D(5000)), "80000", after=DAY)
    assert fallen.owed == {"manager": D(10000)}
    back = booked(read(fallen, START + 2 * DAY, D(115000)), Movement("e2"), "80000", after=2 * DAY)
    assert (back.nav_per_unit, back.owed) == (D(14), {"manager": D(10000)})


def test_fees_are_split_and_nothing_is_lost() -> None:
    terms = FeeTerms(management=D("0.01"), payees={"anna": D("0.7"), "ben": D("0.2"), "carl": D("0.1")})
    books = read(open_books(terms=terms), START + YEAR, D(100000))
    assert books.owed == {"anna": D(700), "ben": D(200), "carl": D(100)}
    thirds, fee = FeeTerms(payees={"a": D("0.333"), "b": D("0.333"), "c": D("0.334")}), D("30.49636524131768317269922751283879")
    assert exact(lambda: sum(thirds.shares(fee).values()))() == fee, "each rounded by itself would owe a last digit more"


def test_owed_fees_are_a_liability_until_they_are_paid() -> None:
    books = read(open_books(terms=BOTH_FEES), START + YEAR, D(121000))
    part = booked(books, Payment(payee="manager", amount=D(2000)), "121000", after=YEAR)
    assert (part.owed, part.nav, part.worth) == ({"manager": D(3000)}, D(116000), D(119000))
    rest = booked(part, Payment(payee="manager", amount=None), "121000", after=YEAR)
    assert (rest.owed, rest.nav) == ({"manager": D(0)}, D(116000))
    gone = booked(part, Payment(payee="manager", amount=D(3000), moved=True), "118000", after=YEAR)
    assert (gone.owed, gone.nav, gone.worth) == ({"manager": D(0)}, D(116000), D(116000))


@pytest.mark.parametrize(("ratio", "units", "price"), [("10", "10000", "12"), ("0.25", "400000", "0.3")])
def test_a_consolidation_changes_nobodys_value(ratio: str, units: str, price: str) -> None:
    books = booked(open_books(), Consolidation(D(ratio)), "120000")
    assert (books.units, books.nav_per_unit, books.nav, books.high_water) == (D(units), D(price), D(120000), D(ratio))


def test_a_split_that_has_no_end_keeps_every_cent() -> None:
    books = booked(booked(open_books(), subscription("77777.77", "ben"), "100000"), Consolidation(D(1) / 3), "100000")
    assert close(books.value("ben"), "77777.77")
    assert close(books.value("") + books.value("ben"), books.nav)
    thirds = booked(booked(open_books(), subscription("77777.77", "ben"), "100000"), Consolidation(D(3)), "100000")
    assert thirds.holders["ben"] != D("25925.92333333")
    gone = booked(thirds, Redemption(holder="ben", units=D("25925.92333333")), "100000")
    assert "ben" not in gone.holders, "what reads as all is all"


def test_terms_begin_when_they_say() -> None:
    assert open_books(terms=replace(MANAGEMENT, since=START)).terms.management == MANAGEMENT.management
    later = replace(MANAGEMENT, since=START + YEAR / 2)
    books = open_books(terms=later)
    assert (books.terms, books.coming) == (NO_FEES, later)
    books = read(books, START + YEAR, D(100000))
    assert (books.owed, books.coming) == ({"manager": D(1000)}, None)
    assert changed_terms(books, "t1", START + YEAR, later) is None
    assert changed_terms(books, "t1", START + YEAR, MANAGEMENT) is None, "when they began changes nothing"


def test_terms_that_change_charge_each_stretch_by_its_own() -> None:
    books = open_books(terms=FeeTerms(management=D("0.02")))
    dearer = FeeTerms(management=D("0.04"), payees={"ann": D(1)}, since=START + YEAR / 2)
    entry = changed_terms(books, "t1", START, dearer)
    assert entry is not None
    told = enter(books, entry)
    assert (told.terms, told.coming) == (books.terms, dearer)
    assert changed_terms(told, "t2", START + HOUR, dearer) is None
    after = read(told, START + YEAR, D(100000))
    # half a year of 2 % of 100,000, then half a year of 4 % of 99,000
    assert after.owed == {"manager": D(1000), "ann": D(1980)}
    assert (after.terms, after.coming) == (dearer, None)


def test_a_change_that_has_not_come_can_be_taken_back() -> None:
    books = open_books(terms=MANAGEMENT)
    for number, terms in enumerate((FeeTerms(management=D("0.5"), since=START + DAY), MANAGEMENT)):
        entry = changed_terms(books, f"t{number}", START, terms)
        assert entry is not None
        books = enter(books, entry)
    assert read(books, START + YEAR, D(100000)).owed == {"manager": D(2000)}


def test_terms_that_are_told_late_hold_from_then_on() -> None:
    books = read(open_books(), START + YEAR / 2, D(100000))
    entry = changed_terms(books, "t1", START + YEAR / 2, replace(MANAGEMENT, since=START))
    assert entry is not None
    books = read(enter(books, entry), START + YEAR, D(100000))
    assert books.owed == {"manager": D(1000)}
    assert changed_terms(books, "t2", START + YEAR, replace(MANAGEMENT, since=START)) is None


@pytest.mark.parametrize(
    ("since", "owed"),
    [
        pytest.param(None, "2980", id="at once"),  # half a year of 2 % of 100,000, half a year of 4 % of 99,000
        pytest.param(START + 3 * YEAR / 4, "2480.05", id="later"),  # a quarter of 2 % of 99,000 in between, and 4 % of 98,505
    ],
)
def test_terms_that_change_twice_between_readings_charge_each_stretch_too(since: datetime | None, owed: str) -> None:
    books = open_books(terms=FeeTerms())
    for number, (rate, begin) in enumerate((("0.02", None), ("0.04", since))):
        entry = changed_terms(books, f"t{number}", START + number * YEAR / 2, FeeTerms(management=D(rate), since=begin))
        assert entry is not None
        books = enter(books, entry)
    assert read(books, START + YEAR, D(100000)).owed == {"manager": D(owed)}


def test_nothing_is_charged_on_a_gain_that_nobody_looked_at_when_terms_changed() -> None:
    books = read(open_books(terms=FeeTerms(performance=D("0.2"))), START + DAY, D(150000))
    entry = changed_terms(books, "t1", START + 2 * DAY, FeeTerms(performance=D("0.5")))
    assert entry is not None
    told = enter(books, entry)
    assert (told.owed, told.provisional) == ({}, D(10000))
    fallen = read(told, START + 3 * DAY, D(90000))
    assert (fallen.owed, fallen.terms.performance, fallen.high_water) == ({}, D("0.5"), D(1))
    risen = read(told, START + 3 * DAY, D(200000))
    assert (risen.owed, risen.high_water) == ({"manager": D(20000)}, D("1.8")), "by the terms under which it was gained"
    assert read(risen, START + 4 * DAY, D(220000)).provisional == D(10000)


def test_a_performance_fee_that_is_switched_on_takes_nothing_of_what_was_gained_before() -> None:
    books = read(open_books(), START + DAY, D(150000))
    entry = changed_terms(books, "t1", START + DAY, FeeTerms(performance=D("0.2")))
    assert entry is not None
    books = read(enter(books, entry), START + DAY, D(150000))
    assert (books.high_water, books.provisional) == (D("1.5"), D(0))
    assert read(books, START + 2 * DAY, D(160000)).provisional == D(2000)


def test_a_fee_that_is_switched_off_accrues_no_more_and_stays_owed() -> None:
    books = read(open_books(terms=BOTH_FEES), START + YEAR, D(121000))
    entry = changed_terms(books, "t1", START + YEAR, NO_FEES)
    assert entry is not None
    books = read(enter(books, entry), START + YEAR, D(121000))
    books = read(books, START + 2 * YEAR, D(200000))
    assert (books.owed, books.nav) == ({"manager": D(5000)}, D(195000))


def test_units_begin_anew_where_none_are_left() -> None:
    terms = FeeTerms(performance=D("0.2"), management=D("0.01"))
    books = read(open_books(terms=terms), START + DAY, D(150000))
    empty = booked(books, Redemption(holder=""), "150000", after=DAY)
    left = empty.worth - sum(empty.owed.values())
    assert (empty.units, empty.provisional, empty.value("")) == (D(0), D(0), D(0))
    assert 0 <= left < D("0.00000001")
    gone = booked(empty, Movement("e1"), empty.worth, after=2 * DAY)
    assert gone.owed == empty.owed, "nobody has units to charge"
    fallen = read(replace(gone, high_water=D(9)), START + 3 * DAY, gone.equity)
    again = booked(fallen, subscription("1000", "ben"), fallen.equity, after=3 * DAY)
    assert again.nav_per_unit == pytest.approx(empty.nav_per_unit)
    assert again.high_water == empty.nav_per_unit
    assert abs(again.nav - 1000 - left) < D("1e-8")
    assert again.value("ben") == again.nav


def test_books_may_begin_with_nothing() -> None:
    books = open_books("0", price="100")
    assert (books.units, books.nav, books.nav_per_unit, books.holders) == (D(0), D(0), D(100), {})
    assert booked(books, Consolidation(D(10)), "0").nav_per_unit == D(1000)
    found = booked(books, subscription("5000", "anna", moved=True), "5050")
    assert (found.units, found.value("anna")) == (D("50.5"), D(5050)), "what nobody had belongs to whoever comes first"
    first = booked(books, subscription("5000", "anna", moved=True), "5000")
    assert (first.units, first.nav_per_unit) == (D(50), D(100))


def test_a_reading_from_before_an_entry_tells_nothing_after_it() -> None:
    books = booked(open_books(), subscription("50000", moved=True), "150000", after=DAY)
    late = read(books, START + HOUR, D(100000))
    assert late == books
    assert read(books, START + 2 * DAY, D(150001)).nav == D(150001)


def test_a_clock_that_was_set_back_charges_nothing_twice() -> None:
    terms = FeeTerms(management=D("0.365"))
    ahead = read(open_books(terms=terms), START + 10 * DAY, D(100000))
    back = booked(ahead, subscription("10", moved=True), "100010", after=5 * DAY)
    assert back.owed == ahead.owed == {"manager": D(1000)}
    assert read(back, START + 10 * DAY, D(100010)).owed == ahead.owed
    assert read(back, START + 7 * DAY, D(90000)).equity == D(90000), "what was read since the entry counts"
    assert read(back, START + 11 * DAY, D(100010)).owed["manager"] > 1099


def test_entries_are_dealt_on_their_own_reading_whatever_the_clock_says() -> None:
    books = booked(open_books(), subscription("10", moved=True), "100010", after=5 * DAY)
    later = booked(books, subscription("10000", "ben", moved=True), "210020", after=3 * DAY)
    assert later.holders["ben"] == D(5000), "at 2"
    assert read(later, START + 4 * DAY, D(7)) == later, "it is from before an entry"


def test_points_of_another_currency_and_from_before_the_books_are_none() -> None:
    items = (point("7", after=-DAY), opening(), point("110000", after=DAY), point("3", after=2 * DAY, currency="BTC"))
    books = folded(*items)
    assert (books.nav, books.at) == (D(110000), START + DAY)
    assert fold([point("7", after=DAY)]) is None


def test_a_fund_that_is_under_water_accrues_nothing_and_deals_nothing() -> None:
    books = read(open_books(terms=BOTH_FEES), START + YEAR, D(500))
    assert (books.nav, books.owed) == (D(-500), {"manager": D(1000)})
    assert read(books, START + 2 * YEAR, D(500)).owed == books.owed


REFUSED: list[tuple[str, Books, Request, str, str]] = [
    ("no_value", read(open_books(terms=BOTH_FEES), START + YEAR, D(500)), subscription("10"), "500", "before this is -500"),
    ("no_value", open_books(), Redemption(holder=""), "0", "before this is 0"),
    ("no_value", open_books(), subscription("100001", moved=True), "100000", "in it already"),
    ("no_value", booked(open_books(), Redemption(holder=""), "100000"), subscription("5"), "99999", "in it already"),
    ("amount", open_books(), subscription("0"), "100000", "above 0"),
    ("amount", open_books(), subscription("-5"), "100000", "above 0"),
    ("amount", open_books(), subscription("NaN"), "100000", "above 0"),
    ("amount", open_books(), subscription("1e15"), "100000", "below 1000000000000000"),
    ("amount", open_books(), Redemption(holder="", units=D(0)), "100000", "number of units"),
    ("amount", open_books(), Redemption(holder="", amount=D(-1)), "100000", "above 0"),
    ("amount", open_books(), Payment(payee="manager", amount=D(-1)), "100000", "above 0"),
    ("amount", open_books(), Payment(payee="manager", amount=None, moved=True), "100000", "how much has left"),
    ("amount", open_books(), Redemption(holder="", units=D(5), moved=True), "100000", "how much has left"),
    ("too_small", open_books(price="1000"), subscription("0.000001"), "100000", "buys less than"),
    ("too_small", open_books(), Redemption(holder="", units=D("0.000000001")), "100000", "are worth less"),
    ("too_few_units", open_books(), Redemption(holder="", units=D(100001)), "100000", "has 100000 units, not 100001"),
    ("too_few_units", open_books(), Redemption(holder="ben"), "100000", "ben has no units"),
    ("too_large", open_books(), Redemption(holder="", amount=D("100000.01")), "100000", "pay 100000 USDT at most"),
    ("not_owed", open_books(), Payment(payee="manager", amount=None), "100000", "owed: nobody"),
    (
        "not_owed",
        read(open_books(terms=BOTH_FEES), START + YEAR, D(121000)),
        Payment(payee="manager", amount=D("5000.01")),
        "121000",
        "is owed 5000 USDT, not 5000.01",
    ),
    (
        "too_large",
        read(open_books(terms=BOTH_FEES), START + YEAR, D(121000)),
        Payment(payee="manager", amount=D(1000)),
        "900",
        "the account has 900 USDT",
    ),
    ("ratio", open_books(), Consolidation(D(0)), "100000", "between"),
    ("ratio", open_books(), Consolidation(D(1)), "100000", "not 1"),
    ("ratio", open_books(), Consolidation(D(1_000_001)), "100000", "between"),
    ("not_in_transit", open_books(), Movement("e7"), "100000", "no money of entry e7"),
]


@pytest.mark.parametrize(("code", "books", "request_", "equity", "words"), REFUSED)
def test_what_cannot_be_is_refused_by_name_and_books_nothing(
    code: str, books: Books, request_: Request, equity: str, words: str
) -> None:
    with pytest.raises(BookRefused, match=words) as error:
        dealt(books, request_, stamp("x", equity, after=YEAR))
    assert error.value.code == code


def test_another_currency_is_refused() -> None:
    with pytest.raises(BookRefused, match="kept in USDT") as error:
        dealt(open_books(), subscription("5"), stamp("x", "100000", currency="USDC"))
    assert error.value.code == "currency"


def test_an_entry_is_booked_once() -> None:
    entry = dealt(open_books(), subscription("5", "ben"), stamp("wire-7", "100000"))
    books = enter(open_books(), entry)
    with pytest.raises(BookRefused, match="wire-7 of btc3l is booked already") as error:
        enter(books, entry)
    assert error.value.code == "twice"
    with pytest.raises(BookRefused) as again:
        dealt(books, subscription("9"), stamp("wire-7", "100000"))
    assert again.value.code == "twice"


@pytest.mark.parametrize(
    ("items", "code"),
    [
        pytest.param([replace(opening(), kind=EntryKind.SUBSCRIBED)], "no_books", id="not open"),
        pytest.param([opening(), replace(opening(), id="again")], "open_already", id="opened twice"),
        pytest.param(
            [opening(), replace(opening(), id="out", kind=EntryKind.REDEEMED, units=D(100001))],
            "too_few_units",
            id="below zero",
        ),
    ],
)
def test_entries_that_cannot_follow_are_refused(items: list[BookEntry | NavPoint], code: str) -> None:
    with pytest.raises(BookRefused) as error:
        fold(items)
    assert error.value.code == code


@pytest.mark.parametrize(("equity", "price", "code"), [("100", "0", "amount"), ("100", "-1", "amount"), ("5", "1", "no_value")])
def test_books_that_cannot_begin_are_refused(equity: str, price: str, code: str) -> None:
    with pytest.raises(BookRefused) as error:
        opened("btc3l", stamp("open", equity), holder="", price=D(price), terms=NO_FEES, moved=D(7))
    assert error.value.code == code


def test_a_ledger_finds_its_entries() -> None:
    ledger = Ledger((opening(), point("5", after=DAY)), 2)
    assert ledger.entries == (opening(),)
    assert ledger.entry("open") == opening()
    assert ledger.entry("other") is None


def test_terms_read_back_from_their_document() -> None:
    terms = replace(BOTH_FEES, payees={"anna": D("0.25"), "ben": D("0.75")}, since=START)
    as_text = {**terms.document(), "from": START.isoformat(), "payees": {"anna": "0.25", "ben": "0.75"}}
    assert FeeTerms.of(as_text) == terms
    assert FeeTerms.of({**NO_FEES.document(), "from": None}) == NO_FEES


def test_money_moves_when_it_is_seen_in_the_account_and_not_while_it_is_on_its_way() -> None:
    books = open_books("100000")
    entries: list[BookEntry] = []
    for hours, request, equity in (
        (1, subscription("500", moved=True), "100500"),
        (2, subscription("700"), "100500"),
        (3, Redemption(holder="", amount=D(50), moved=True), "100450"),
        (5, Movement(of="e2"), "101150"),
    ):
        entry = dealt(books, request, stamp(f"e{len(books.ids)}", equity, after=hours * HOUR))
        entries.append(entry)
        books = enter(books, entry)
    moves = tuple((entry.at, amount) for entry, amount in Ledger((opening(), *entries)).moves)
    assert moves == ((START + HOUR, D(500)), (START + 3 * HOUR, D(-50)), (START + 5 * HOUR, D(700)))
