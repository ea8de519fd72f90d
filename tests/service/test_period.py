"""A period of a fund: what it is, what it came to, its page and its tables."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from keeper.domain.run import RunKey, RunStatus
from keeper.service.documents import PARTS
from keeper.service.period import COLUMNS, Period, fills_as_csv, parse_period, period_document, rows_as_csv
from keeper.service.period_page import period_page
from tests.fakes.pages import read
from tests.fakes.run_days import BTC, days_of_runs
from tests.fakes.run_history import Leg, history

D = Decimal
PRICES = [D(100), D(104), D(101), D(97), D(103)]
RUNS = days_of_runs(PRICES)
WHOLE = Period()
HOUR = timedelta(hours=1)


def utc(year: int, month: int = 1, day: int = 1) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", utc(2026), utc(2027)),
        ("2026-03", utc(2026, 3), utc(2026, 4)),
        ("2026-12", utc(2026, 12), utc(2027)),
        ("2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("2026-03-05..2026-04", utc(2026, 3, 5), utc(2026, 5)),
        ("2025..2026", utc(2025), utc(2027)),
        ("all", None, None),
    ],
)
def test_a_period_is_from_its_first_day_to_the_end_of_its_last(text: str, start: datetime | None, end: datetime | None) -> None:
    assert parse_period(text) == Period(start, end)


@pytest.mark.parametrize("text", ["", "march", "2026-13", "2026-02-30", "2026-3", "2026-04..2026-03", "2026..", "..2026", "9999"])
def test_what_is_no_period_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match=r"no period such as|ends before it begins"):
        parse_period(text)


def test_an_end_is_not_part_of_its_period() -> None:
    period = parse_period("2026-03")
    assert [period.holds(at) for at in (utc(2026, 3), utc(2026, 3, 31), utc(2026, 4))] == [True, True, False]


def test_the_document_sums_what_the_runs_came_to() -> None:
    document = period_document("btc3l", reversed(RUNS), WHOLE)
    assert document["runs"] == {"completed": 5}
    assert [row["run"] for row in document["rows"]] == [run.id for run in RUNS]
    assert document["cost"]["fees"] == document["cost"]["total"] == "62.5"
    navs = [D(str(run.plan["nav"])) for run in RUNS]
    assert document["nav_first"] == "115000"
    assert D(document["nav_last"]) == navs[-1] - D("12.5")
    assert D(document["cost_bps"]["total"]) == round(D("62.5") / (sum(navs, D(0)) / 5) * 10_000, 4)
    assert document["tracking"]["underlying"] == {BTC: "0.03"}
    assert D(document["tracking"]["fund"]) < D(document["tracking"]["ideal"])
    ideal = D(1)
    for before, after in pairwise(PRICES):
        ideal *= 1 + 3 * (after / before - 1)
    assert D(document["tracking"]["ideal"]) == round(ideal - 1, 8)


def test_money_that_the_books_know_of_is_no_return() -> None:
    at = RUNS[2].started_at
    paid = [
        *RUNS[:2],
        *(replace(run, plan={**run.plan, "nav": str(D(str(run.plan["nav"])) + 50_000)}) for run in RUNS[2:3]),
    ]
    known = period_document("btc3l", paid, WHOLE, moves=[(at - HOUR, D(50_000)), (RUNS[0].started_at, D(7)), (at + HOUR, D(9))])
    apart = period_document("btc3l", RUNS[:3], WHOLE)
    assert known["tracking"] == apart["tracking"]
    assert (known["flows"], [row["flow"] for row in known["rows"]]) == ("50000", ["0", "0", "50000"])
    assert period_document("btc3l", paid, WHOLE)["tracking"]["fund"] != apart["tracking"]["fund"]


def test_runs_outside_the_period_and_runs_that_never_looked_are_no_part_of_the_return() -> None:
    missed = replace(RUNS[2], id="missed", status=RunStatus.MISSED, plan={}, result=None)
    document = period_document("btc3l", [*RUNS[1:], missed], parse_period("2024-08-09..2024-08-12"))
    assert document["runs"] == {"completed": 3, "missed": 1}
    assert document["tracking"]["underlying"] == {BTC: str(round(D(97) / 104 - 1, 8))}


def test_runs_of_before_prices_were_kept_still_count_as_runs() -> None:
    old = [replace(run, plan={key: value for key, value in run.plan.items() if key != "marks"}) for run in RUNS]
    document = period_document("btc3l", old, WHOLE)
    assert (document["tracking"], len(document["rows"])) == (None, 5)
    assert document["nav_last"] == RUNS[-1].result["nav_after"]  # type: ignore[index]


def test_a_period_without_a_run_says_so() -> None:
    document = period_document("btc3l", RUNS, parse_period("2020"))
    assert [document[key] for key in ("rows", "tracking", "nav_first", "turnover")] == [[], None, None, None]
    assert "Nothing was run." in " ".join(read(period_page(document, "2020")).words)


def test_a_nav_that_is_gone_ends_the_returns_not_the_report() -> None:
    gone = [*RUNS[:-1], replace(RUNS[-1], plan={**RUNS[-1].plan, "nav": "-3"})]
    assert len(period_document("btc3l", gone, WHOLE)["rows"]) == 5


def test_the_csv_has_every_run_and_reads_back() -> None:
    document = period_document("btc3l", RUNS, WHOLE)
    rows = list(csv.DictReader(io.StringIO(rows_as_csv(document))))
    assert tuple(rows[0]) == COLUMNS
    assert [row["run"] for row in rows] == [run.id for run in RUNS]
    assert [row["fund_return"] == "" for row in rows] == [True, False, False, False, False]


def test_the_fills_are_a_table_for_taxes_and_no_cell_is_a_formula() -> None:
    past = history(Leg(slices=2))
    evil = replace(past.fills[0][1], trade_id="=1+1")
    written = fills_as_csv([(past.run, name, fill) for name, fill in [("kpr", evil), *past.fills]])
    rows = list(csv.DictReader(io.StringIO(written)))
    assert len(rows) == 1 + len(past.fills)
    assert (rows[0]["trade_id"], rows[0]["client_id"], rows[0]["run"]) == ("'=1+1", "kpr", past.run.id)
    assert sum(D(row["fee"]) for row in rows[1:]) == sum(fill.fee for _, fill in past.fills)


def pages() -> dict[str, dict[str, Any]]:
    years = days_of_runs([D(100) + D((day * 7) % 23 - 11) / 10 for day in range(800)])
    halted = [replace(run, status=RunStatus.REFUSED, result=None) for run in RUNS[:2]]
    return {
        "five days": period_document("btc3l", RUNS, WHOLE),
        "years": period_document("btc3l", years, WHOLE),
        "one run": period_document("btc3l", RUNS[:1], WHOLE),
        "refused": period_document("btc3l", halted, WHOLE),
        "no time apart": period_document("btc3l", [replace(run, started_at=RUNS[0].started_at) for run in RUNS[:2]], WHOLE),
    }


@pytest.mark.parametrize("name", ["five days", "years", "one run", "refused", "no time apart"])
def test_the_page_stands_alone_and_its_tags_close(name: str) -> None:
    page = period_page(pages()[name], "all")
    seen = read(page)
    assert not seen.open
    assert not [tag for tag, _ in seen.seen if tag in ("script", "link", "img", "iframe")]
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_draws_worth_leverage_and_cost() -> None:
    document = pages()["five days"]
    seen = read(period_page(document, "2024-08"))
    assert [seen.count("path", f"worth {kind}".split()[1]) for kind in ("fund", "ideal", "market")] == [2, 1, 1]
    assert seen.count("rect", "fees") == 5
    assert all(seen.count("span", part) == 1 for part in PARTS)


def test_leverage_is_drawn_with_its_band_and_the_emergency_level_of_the_last_run() -> None:
    levels = [
        {"cause": cause, "market": BTC, "leverage": level, "move": "0.1", "price": "110"}
        for cause, level in (("band", "2.25"), ("band", "4.125"), ("emergency", "4.5"))
    ]
    runs = [*RUNS[:-1], replace(RUNS[-1], plan={**RUNS[-1].plan, "triggers": levels})]
    document = period_document("btc3l", runs, WHOLE)
    assert document["rows"][-1]["levels"][0] == {"cause": "band", "market": BTC, "leverage": "2.25"}
    seen = read(period_page(document, "2024-08"))
    assert (seen.count("line", "band"), seen.count("line", "emergency")) == (2, 1)
    assert {"band 2.25x", "band 4.12x", "emergency 4.50x"} <= set(seen.words)


@pytest.mark.parametrize("trigger", ["emergency:20240810T120000-000000", "guard:20240810T120000-000000g"])
def test_the_ideal_is_rebalanced_at_slots_and_not_where_a_fund_was_de_levered(trigger: str) -> None:
    between = replace(RUNS[2], id="urgent", key=RunKey("btc3l", trigger), started_at=RUNS[2].started_at + HOUR)
    between = replace(between, plan={**between.plan, "at": (RUNS[2].started_at + HOUR).isoformat(), "marks": {BTC: "80"}})
    alone = period_document("btc3l", RUNS, WHOLE)
    document = period_document("btc3l", [*RUNS, between], WHOLE)
    assert document["tracking"] == alone["tracking"]
    assert len(document["rows"]) == len(RUNS) + 1


def test_a_long_period_lists_its_last_runs_and_says_where_the_others_are() -> None:
    document = pages()["years"]
    words = " ".join(read(period_page(document, "all")).words)
    assert "The last 400 of 800; `--csv` writes them all." in words


def test_nothing_written_can_be_taken_for_markup() -> None:
    evil = [replace(run, id="<script>alert(1)</script>") for run in RUNS]
    assert "<script>" not in period_page(period_document("<b>", evil, WHOLE), "<i>")
