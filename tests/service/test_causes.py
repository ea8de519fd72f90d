"""A fund's days by cause, from what the journal has of them."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.ledger import BookEntry, EntryKind, Ledger
from keeper.domain.market import Side
from keeper.domain.order import Fill
from keeper.domain.run import NavCause, NavPoint, RunKey
from keeper.domain.statement import Booked, Posting, PostingKind
from keeper.service.causes import CAUSES, COLUMNS, Past, causes_as_csv, causes_document, flows_of
from keeper.service.causes_page import DRAWN, causes_section
from keeper.service.period import POSTING_COLUMNS, Period, parse_period, postings_as_csv
from tests.fakes.book_values import opening
from tests.fakes.journal_values import a_run
from tests.fakes.pages import read

D = Decimal
BTC = "BTC/USDT:USDT"
LINEAR = {"kind": "linear", "base": "BTC", "quote": "USDT", "settle": "USDT", "contract_size": "0.1"}
SLOT = datetime(2026, 3, 1, 0, 15, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
RUN = replace(
    a_run("r1", trigger="slot:2026-03-01T00:15[UTC]"),
    plan={"targets": {BTC: "3"}, "legs": [{"market": BTC, "side": "buy", "decision_mid": "100"}]},
    started_at=SLOT,
)


def point(
    at: datetime, nav: str, exposure: str, price: str, *, run: str = "", cause: NavCause = NavCause.BEFORE, **beside: str
) -> NavPoint:
    return NavPoint(
        fund="btc3l",
        run=run,
        cause=cause,
        at=at,
        nav=D(nav),
        currency="USDT",
        net_leverage=D(3),
        gross_leverage=D(3),
        exposures={BTC: D(exposure), **{asset: D(worth) for asset, worth in beside.items()}},
        prices={BTC: D(price), **dict.fromkeys(beside, D(600))},
    )


def fill(at: datetime, amount: str, price: str, fee: str = "0", fee_asset: str = "USDT") -> Fill:
    return Fill(
        trade_id=f"{at:%d%H%M}{amount}",
        symbol=BTC,
        side=Side.BUY,
        amount=D(amount),
        price=D(price),
        fee=D(fee),
        fee_asset=fee_asset,
        at=at,
    )


def posted(kind: PostingKind, at: datetime, amount: str, asset: str = "USDT", value: str | None = "0", entry: str = "") -> Booked:
    posting = Posting(id=f"{kind}{at:%d%H%M}", kind=kind, at=at, asset=asset, amount=D(amount))
    return Booked(
        posting=posting,
        account="acc1",
        fund="btc3l",
        currency="USDT",
        value=None if value is None else D(value),
        entry=entry,
    )


BEFORE = point(SLOT, "1000", "2900", "100", run="r1")
AFTER = point(SLOT + HOUR, "1029.4", "3030", "101", run="r1", cause=NavCause.AFTER)
CLOSE = point(MIDNIGHT, "1359.4", "3360", "112")
PAST = Past(
    points=[BEFORE, AFTER, CLOSE],
    runs={"r1": RUN},
    fills=[("r1", fill(SLOT + HOUR / 2, "10", "100.2", "0.4"))],
    markets={BTC: LINEAR},
)


def document(past: Past, period: str = "all") -> dict[str, Any]:
    found = causes_document(past, parse_period(period).holds)
    assert found is not None
    return found


def parts(row: dict[str, Any]) -> dict[str, Decimal]:
    return {cause: D(row[cause]) for cause in CAUSES if D(row[cause])}


def test_a_days_change_is_split_by_cause_and_sums() -> None:
    [day] = document(PAST)["days"]
    assert (day["name"], day["before"], day["after"], day["change"]) == ("2026-03-01", "1000", "1359.4", "359.4")
    assert parts(day) == {"market": D(360), "trading": D("-0.6")}
    assert (day["cost"], day["cost_bps"], day["cost_per_unit"], day["flagged"]) == ("0.6", "5.8357", None, False)


def test_a_run_after_the_first_and_an_emergency_are_told_apart() -> None:
    run = replace(RUN, id="e", key=RunKey("btc3l", "emergency:2026-03-01T09:00:00"))
    low = point(SLOT + 9 * HOUR, "1029.4", "3030", "101", run="e")
    braked = point(SLOT + 9 * HOUR, "1029.4", "2020", "101", run="e", cause=NavCause.AFTER)
    sold = replace(fill(SLOT + 9 * HOUR, "100", "101"), side=Side.SELL)
    close = point(MIDNIGHT, "1249.4", "2240", "112")
    past = replace(PAST, points=[BEFORE, AFTER, low, braked, close], runs={"r1": RUN, "e": run}, fills=[*PAST.fills, ("e", sold)])
    assert parts(document(past)["days"][0]) == {"market": D(360), "trading": D("-0.6"), "whipsaw": D(-110)}


def test_fills_lie_within_their_run_whatever_the_venues_clock_says() -> None:
    for at in (SLOT - HOUR, SLOT, SLOT + 5 * HOUR):
        assert parts(document(replace(PAST, fills=[("r1", fill(at, "10", "100.2", "0.4"))]))["days"][0]) == {
            "market": D(360),
            "trading": D("-0.6"),
        }
    open_ended = replace(PAST, points=[BEFORE, CLOSE])
    assert parts(document(open_ended)["days"][0]) == {"market": D(360), "trading": D("-0.6")}
    stranger = replace(PAST, fills=[*PAST.fills, ("gone", fill(SLOT, "1", "1")), ("r1", replace(PAST.fills[0][1], symbol="X"))])
    assert document(stranger) == document(PAST)


@pytest.mark.parametrize("skew", [-1.9, -0.5, 0.0, 0.5, 1.9])
def test_fills_lie_within_their_attempt_though_the_clocks_are_apart(skew: float) -> None:
    apart = timedelta(seconds=skew)
    again = point(SLOT + 2 * HOUR, "1059.4", "3060", "102", run="r1")
    done = point(SLOT + 3 * HOUR, "1090.1", "3193", "103", run="r1", cause=NavCause.AFTER)
    close = point(MIDNIGHT, "1369.1", "3472", "112")
    for when in (SLOT + 2 * HOUR, SLOT + 3 * HOUR):
        fills = [*PAST.fills, ("r1", fill(when + apart, "10", "102.3"))]
        past = replace(PAST, points=[BEFORE, AFTER, again, done, close], fills=fills)
        [day] = document(past)["days"]
        assert (day["trading"], day["unexplained"], day["change"]) == ("-2.9", "0", "369.1")


def test_what_the_venue_booked_is_valued_at_the_reading_that_shows_it() -> None:
    told = [
        posted(PostingKind.FUNDING, SLOT + 2 * HOUR, "-0.3"),
        posted(PostingKind.BORROW_INTEREST, SLOT + 2 * HOUR, "-0.01", "BTC"),
        posted(PostingKind.NETWORK_FEE, SLOT + 2 * HOUR, "-1", "XYZ", "-0.5"),
        posted(PostingKind.OTHER, SLOT + 3 * HOUR, "2", "XYZ", None),
        posted(PostingKind.TRADING_FEE, SLOT + 3 * HOUR, "-0.4"),
        posted(PostingKind.DEPOSIT, SLOT + 4 * HOUR, "100", value="100"),
        posted(PostingKind.FUNDING, MIDNIGHT + HOUR, "-7"),
    ]
    close = point(MIDNIGHT, "1457.48", "3360", "112")
    [day] = document(replace(PAST, points=[BEFORE, AFTER, close], postings=told))["days"]
    assert parts(day) == {
        "market": D(360),
        "trading": D("-0.6"),
        "funding": D("-0.3"),
        "borrow": D("-1.12"),
        "fees": D("-0.5"),
        "flows": D(100),
    }


def test_fees_in_a_coin_and_coins_beside_the_markets_are_told() -> None:
    start = point(SLOT, "1000", "2900", "100", run="r1", BNB="60")
    end = replace(
        point(SLOT + HOUR, "1029.2", "3030", "101", run="r1", cause=NavCause.AFTER, BNB="59.4"),
        prices={BTC: D(101), "BNB": D(600)},
    )
    past = replace(PAST, points=[start, end], fills=[("r1", fill(SLOT + HOUR / 2, "10", "100.2", "0.001", "BNB"))])
    [day] = document(past)["days"]
    assert D(day["trading"]) == D("-0.8")
    assert day["unexplained"] == "0"


def test_a_flow_is_told_once_by_the_venue_or_by_the_books() -> None:
    entries = [opening("1000"), replace(_paid_in("a", SLOT + 2 * HOUR, "100")), _paid_in("b", SLOT + 3 * HOUR, "50")]
    told = [posted(PostingKind.DEPOSIT, SLOT + 2 * HOUR, "100", value="100", entry="a")]
    ledger = Ledger(tuple(entries))
    assert flows_of(ledger, told) == ((SLOT + 2 * HOUR, D(100)), (SLOT + 3 * HOUR, D(50)))
    close = point(MIDNIGHT, "1509.4", "3360", "112")
    row = document(replace(PAST, points=[BEFORE, AFTER, close], postings=told, ledger=ledger))["total"]
    assert parts(row) == {"market": D(360), "trading": D("-0.6"), "flows": D(150)}
    assert row["cost_per_unit"] == "0.0006"


def _paid_in(name: str, at: datetime, amount: str) -> BookEntry:
    return BookEntry(
        fund="btc3l", id=name, kind=EntryKind.SUBSCRIBED, at=at, currency="USDT", amount=D(amount), units=D(amount), price=D(1)
    )


def test_days_months_and_all_of_it_are_told_of_a_period() -> None:
    points = [BEFORE, AFTER, CLOSE]
    points += [point(MIDNIGHT + day * DAY, "1359.4", "3360", "112") for day in range(1, 40)]
    past = replace(PAST, points=points)
    found = document(past, "2026-04")
    assert [row["name"] for row in found["days"]] == [f"2026-04-{day:02}" for day in range(1, 10)]
    assert [row["name"] for row in found["months"]] == ["2026-04"]
    assert (found["total"]["change"], found["since_start"]["change"]) == ("0", "359.4")
    assert len(document(past)["months"]) == 2
    assert causes_document(past, Period(end=SLOT).holds) is None


def test_points_of_before_they_told_what_they_are_made_of_and_of_another_currency_are_left_out() -> None:
    old = replace(BEFORE, exposures=None, prices=None)
    other = replace(BEFORE, currency="USDC")
    assert document(replace(PAST, points=[old, other, BEFORE, AFTER, CLOSE])) == document(PAST)
    assert causes_document(Past(points=[old]), Period().holds) is None


def test_what_is_unexplained_is_named_on_its_day() -> None:
    lost = replace(CLOSE, nav=D("1350"))
    found = document(replace(PAST, points=[BEFORE, AFTER, lost]))
    assert found["unexplained"] == ["2026-03-01"]
    assert "More than 0.1 bps is unexplained on 2026-03-01." in " ".join(read(causes_section(found, "USDT")).words)
    assert causes_section(None, "") == ""


def test_the_section_draws_what_it_cost_and_its_csv_reads_back() -> None:
    found = document(PAST)
    seen = read(causes_section(found, "USDT"))
    assert not seen.open
    assert seen.count("rect", "trading") == 1
    assert set(DRAWN) <= set(CAUSES)
    [row] = csv.DictReader(io.StringIO(causes_as_csv({"attribution": found})))
    assert tuple(row) == COLUMNS
    assert sum(D(row[cause]) for cause in CAUSES) == D(row["change"])
    assert causes_as_csv({"attribution": None}).splitlines() == [",".join(COLUMNS)]


def test_what_the_ledger_told_is_a_table_for_taxes() -> None:
    told = [posted(PostingKind.FUNDING, SLOT, "-0.3", value="-0.3"), posted(PostingKind.OTHER, SLOT, "2", "XYZ", None)]
    rows = list(csv.DictReader(io.StringIO(postings_as_csv(told))))
    assert tuple(rows[0]) == POSTING_COLUMNS
    assert [(row["kind"], row["amount"], row["value"]) for row in rows] == [("funding", "-0.3", "-0.3"), ("other", "2", "")]


@pytest.mark.parametrize("days", [400])
def test_long_periods_are_drawn_by_month(days: int) -> None:
    points = [BEFORE, AFTER, *(point(MIDNIGHT + day * DAY, "1359.4", "3360", "112") for day in range(days))]
    seen = read(causes_section(document(replace(PAST, points=points)), "USDT"))
    assert seen.count("rect", "trading") == 1
