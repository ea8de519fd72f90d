"""What the books of a fund show: every figure and every sentence is there at any width, whole and within it."""

from typing import Any

import pytest

from keeper.cli.book_tables import books_table, deal_table, entries_table
from tests.cli.test_tables import WIDTHS, shown

AT = "2024-08-09T00:15:00+00:00"
NONE_OWED: dict[str, Any] = {
    **dict.fromkeys(("management", "performance", "creation", "redemption"), "0"),
    "payees": {"manager": "1"},
    "from": None,
}
FIGURES: dict[str, Any] = {
    "currency": "USDT",
    "equity": "1234567.891",
    "in_transit": "5000",
    "owed": "2400",
    "nav": "1237167.891",
    "units": "1100000.12345678",
    "nav_per_unit": "1.124697900001",
    "high_water_mark": "1.2",
    "payees": [
        {"payee": "ann", "owed": "2400", "provisional": "1680.5"},
        {"payee": "gone", "owed": "0", "provisional": "0"},
    ],
    "holders": [
        {"holder": None, "units": "1000000.12345678", "share": "0.90909091", "value": "1124698.03"},
        {"holder": "[b]en", "units": "100000", "share": "0.09090909", "value": "112469.79"},
    ],
}
PLACE = {"fund": "btc3l", "venue": "sim", "environment": "paper"}
BOOKS: dict[str, Any] = {
    **PLACE,
    **FIGURES,
    "at": AT,
    "opened_at": "2024-01-01T00:00:00+00:00",
    "fees": NONE_OWED,
    "coming_fees": {**NONE_OWED, "management": "0.015", "payees": {"ann": "0.7", "gone": "0.3"}, "from": AT},
    "unassigned": [
        {"id": "ledger-9", "way": "in", "amount": "77", "units": "70", "at": AT},
        {"id": "ledger-8", "way": "out", "amount": "5", "units": "-4", "at": AT},
    ],
    "transit": [
        {"id": "wire-7", "way": "in", "amount": "5500", "party": "[b]en", "at": AT},
        {"id": "out-1", "way": "out", "amount": "500", "party": None, "at": AT},
    ],
}


def entry(kind: str, **changes: Any) -> dict[str, Any]:
    made = {
        "id": "e1",
        "kind": kind,
        "at": AT,
        "party": "ben",
        "units": "50",
        "amount": "60",
        "price": "1.2",
        "reason": "",
        "currency": "USDT",
    }
    return {**made, "in_transit": False, "ratio": "1", "about": None, "fees": None, **changes}


@WIDTHS
def test_books_show_every_figure_and_what_to_type_next(width: int) -> None:
    text = shown(width, lambda console: books_table(BOOKS, console))
    for essential in (
        "btc3l on sim (paper), 2024-08-09 00:15:00 UTC",
        "1,234,567.89",
        "In transit 5,000.00",
        "Owed 2,400.00",
        "NAV per unit 1.124698",
        "(no name) 1,000,000.12345678 90.91% 1,124,698.03",
        "[b]en 100,000 9.09% 112,469.79",
        "ann 2,400.00 1,680.50",
        "Fees: none",
        "From 2024-08-09 00:15:00 UTC: management 1.5% (to ann 70%, gone 30%)",
        "5,500.00 USDT ([b]en) is yet to come in since 2024-08-09 00:15:00 UTC",
        "`keeper nav moved btc3l wire-7` once it has",
        "500.00 USDT is yet to leave since",
        "77.00 USDT came in on 2024-08-09 00:15:00 UTC, unannounced:",
        "`keeper nav assign btc3l ledger-9 --holder NAME` says whose it is",
        "5.00 USDT left on",
        "Books since 2024-01-01 00:00:00 UTC",
    ):
        assert essential in text
    assert "gone 0" not in text


def test_books_without_holders_transit_or_debts_show_no_empty_table() -> None:
    bare = {**BOOKS, "holders": [], "payees": [], "transit": [], "unassigned": [], "coming_fees": {**NONE_OWED, "from": None}}
    text = shown(80, lambda console: books_table(bare, console))
    assert "Once they are recorded: none" in text
    for absent in ("Holder", "Payee", "In transit", "keeper nav moved", "unannounced"):
        assert absent not in text


@WIDTHS
def test_no_books_say_how_they_begin(width: int) -> None:
    none = {**PLACE, "at": AT, "currency": "USDT", "equity": "115000", "opened_at": None}
    text = shown(width, lambda console: books_table(none, console))
    assert "No books yet; the account is worth 115,000.00 USDT. `keeper nav open btc3l` makes units of it." in text


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (entry("opened", party=None), "The books begin: what is in the account is 50 units at 1.200000 USDT a unit."),
        (entry("terms", fees={**NONE_OWED, "performance": "0.2"}), "Other fees are recorded: performance 20% (to manager 100%)."),
        (entry("subscribed"), "ben gets 50 units at 1.200000 USDT a unit for 60.00 USDT, which is in the account already."),
        (entry("subscribed", in_transit=True), "for 60.00 USDT, which is not in the account yet."),
        (entry("redeemed", party=None), "The holder without a name gives 50 units back at 1.200000 USDT a unit for 60.00 USDT"),
        (entry("redeemed"), "which has left the account already."),
        (entry("paid", in_transit=True), "ben gets 60.00 USDT of what is owed, which has not left the account yet."),
        (entry("consolidated", ratio="10"), "10 old units become a new one."),
        (entry("consolidated", ratio="0.1"), "0.1 old units become a new one."),
        (entry("moved", about="wire-7"), "The money of entry wire-7 has come or gone."),
        (entry("flowed"), "The exchange tells of 60.00 USDT that nobody announced: 50 units at 1.200000 USDT a unit"),
        (entry("assigned", about="ledger-9"), "The money of entry ledger-9 was ben's."),
    ],
)
def test_what_is_about_to_be_booked_is_said_in_a_sentence(told: dict[str, Any], words: str) -> None:
    document = {**PLACE, "entries": [told], "before": FIGURES, "after": FIGURES}
    assert words in shown(120, lambda console: deal_table(document, console))


@WIDTHS
def test_every_entry_is_listed_with_its_id_and_reason(width: int) -> None:
    document = {**PLACE, "entries": [entry("opened", party=None), entry("paid", id="wire-7", reason="[b]onus")]}
    text = shown(width, lambda console: entries_table(document, console))
    for essential in ("e1", "2024-08-09", "00:15:00", "The books begin", "wire-7", "of what is owed", "[b]onus"):
        assert essential in text
    assert "No entry yet." in shown(width, lambda console: entries_table({**PLACE, "entries": []}, console))


@WIDTHS
def test_a_deal_shows_both_sides_of_every_figure(width: int) -> None:
    after = {**FIGURES, "nav": "1300000", "holders": [{**FIGURES["holders"][1], "units": "7"}]}
    document = {**PLACE, "entries": [entry("subscribed")], "before": FIGURES, "after": after}
    text = shown(width, lambda console: deal_table(document, console))
    for essential in (
        "NAV 1,237,167.89 1,300,000.00",
        "(no name), units 1,000,000.12345678 -",
        "(no name), value 1,124,698.03 -",
        "[b]en, units 100,000 7",
    ):
        assert essential in text
    first = shown(width, lambda console: deal_table({**document, "before": None}, console))
    assert "NAV - 1,300,000.00" in first
    assert "(no name)" not in first
