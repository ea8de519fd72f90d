"""The report of a period as an operator asks for it, from runs on the paper exchange."""

import csv
import json
from pathlib import Path

import pytest

from keeper.system import SystemClock
from tests.fakes.command_line import CommandLine
from tests.fakes.pages import read

PAPER = """
[venues.sim]
exchange = "paper"
feed = {{ kind = "fixed", prices = {{ "BTC/USDT:USDT" = "{price}" }} }}
account = {{ balances = {{ USDT = "100000" }}, positions = {{ "BTC/USDT:USDT" = {{ contracts = "2900", entry = "100" }} }} }}
[funds.btc]
venue = "sim"
target = {{ "BTC/USDT:USDT" = 3 }}
"""


@pytest.fixture
def kept(keeper_here: CommandLine, tmp_path: Path) -> CommandLine:
    """A fund that was brought to its target twice, at 100 and at 101."""
    for price in ("100", "101"):
        (tmp_path / "keeper.toml").write_text(PAPER.format(price=price))
        assert keeper_here("rebalance", "--yes").code in (0, 4)
    return keeper_here


def test_a_period_is_a_table_a_page_two_lists_and_a_document(kept: CommandLine, tmp_path: Path) -> None:
    period = f"{SystemClock().now():%Y}"
    table = kept("report", "--period", period)
    assert table.code == 0
    told = ("ideal multiple", "+3.00%", "Bps of NAV", "tracking error", "Why it changed", "drift from target", "since start")
    assert all(word in table.out for word in told)

    ledgers = ("--days", "d.csv", "--funding", "l.csv")
    written = kept("report", "--period", "all", "--html", "p.html", "--csv", "p.csv", "--fills", "f.csv", "--json", *ledgers)
    document = json.loads(written.out)
    assert document["tracking"]["underlying"] == {"BTC/USDT:USDT": "0.01"}
    assert document["tracking"]["ideal"] == "0.03"
    assert read((tmp_path / "p.html").read_text()).count("path", "worth") == 4
    runs = [row["run"] for row in csv.DictReader((tmp_path / "p.csv").read_text().splitlines())]
    assert runs == [row["run"] for row in document["rows"]]
    [day] = csv.DictReader((tmp_path / "d.csv").read_text().splitlines())
    assert (day["unexplained"], day["change"]) == ("0", document["attribution"]["total"]["change"])
    assert (tmp_path / "l.csv").read_text().startswith("at,kind,market,")
    assert {row["run"] for row in csv.DictReader((tmp_path / "f.csv").read_text().splitlines())} <= set(runs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a run, or a period with --period, and not both"),
        (("some-run", "--period", "all"), "name a run, or a period with --period, and not both"),
        (("--period", "2026-13"), "is no period such as 2026, 2026-03"),
        (("some-run", "--csv", "x.csv"), "the report of one run is a page"),
        (("--period", "all", "--html", "nowhere/p.html"), "can't write nowhere/p.html"),
    ],
)
def test_what_can_not_be_reported_is_said(kept: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    told = kept("report", *arguments)
    assert (told.code, said in told.err) == (64, True), told.err


def test_a_fund_without_a_run_has_nothing_to_report(keeper_here: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "keeper.toml").write_text(PAPER.format(price="100"))
    told = keeper_here("report", "--period", "all")
    assert (told.code, "btc has no run in all" in told.out) == (0, True)
