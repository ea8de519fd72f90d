"""A fund's books as an operator keeps them, on the paper exchange: every figure done by hand, and kept to the cent."""

import asyncio
import io
import json
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from keeper.domain.ledger import EntryKind
from keeper.domain.numbers import exact
from keeper.journal import Mode, SqlJournal
from keeper.system import SystemClock
from tests.fakes.command_line import CommandLine, Ended, started
from tests.fakes.documents import assert_plain, assert_times
from tests.fakes.tampering import alter

D = Decimal
CENT = D("0.01")
FEES = "fees = { performance = 0.2, payees = { ann = 0.7, platform = 0.3 } }\n"
FIGURES = ("equity", "in_transit", "owed", "nav", "units", "nav_per_unit", "high_water_mark")


def configure(folder: Path, *, usdt: str = "100000", price: str = "52500", fund: str = "") -> None:
    """A paper fund with six coins bought at 50,000: at 52,500 it is worth 15,000 more than its USDT."""
    (folder / "keeper.toml").write_text(f"""
[venues.sim]
exchange = "paper"
feed = {{ kind = "fixed", prices = {{ "BTC/USDT:USDT" = "{price}" }} }}
account = {{ balances = {{ USDT = "{usdt}" }}, positions = {{ "BTC/USDT:USDT" = {{ contracts = "6", entry = "50000" }} }} }}
[funds.btc3l]
venue = "sim"
target = {{ "BTC/USDT:USDT" = 3.0 }}
limits = {{ max_order_notional = 1000000 }}
execution = {{ style = "urgent", horizon = "2s" }}
{fund}""")


@exact
def sound(books: dict[str, Any]) -> dict[str, Any]:
    """``books``, whose holders and payees have what is there, to the cent."""
    holders, payees = (
        sum((D(one[key]) for one in books[group]), D(0)) for group, key in (("holders", "value"), ("payees", "owed"))
    )
    there = D(books["equity"]) + D(books["in_transit"])
    assert abs(holders + payees - there) < CENT
    assert abs(D(books["nav"]) - holders) < CENT
    assert payees == pytest.approx(D(books["owed"]))
    assert abs(sum(D(one["units"]) for one in books["holders"]) - D(books["units"])) < D("1e-7")
    assert_plain(books)
    return books


def shown(run: CommandLine) -> dict[str, Any]:
    ended = run("nav", "show", "--json")
    assert ended.code == 0, ended.err
    assert_times(ended.document, ("at", "opened_at"))
    return sound(ended.document)


def booked(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.err
    document = ended.document
    assert document["status"] == "booked"
    for side in ("before", "after"):
        assert document[side] is None or sound(document[side])
    return document


def figures(books: dict[str, Any], *keys: str) -> list[str]:
    return [books[key] for key in keys]


def test_a_life_of_books_by_hand(tmp_path: Path, keeper_here: CommandLine) -> None:
    configure(tmp_path, fund=FEES)
    none = keeper_here("nav", "show", "--json")
    assert none.code == 0
    assert (none.document["equity"], none.document["nav"], none.document["holders"]) == ("115000", None, [])
    assert not (tmp_path / "var").exists(), "who only looks begins no journal"

    opened = booked(keeper_here("nav", "open", "btc3l", "--price", "100", "--holder", "anna", "--yes", "--json"))
    assert opened["before"] is None
    assert figures(opened["after"], *FIGURES) == ["115000", "0", "0", "115000", "1150", "100", "100"]

    # ben's money is on its way: it counts, and is at nobody's risk
    ben = ("--holder", "ben", "--id", "wire-7", "--yes", "--json")
    came = booked(keeper_here("nav", "subscribe", "btc3l", "5000", *ben))
    assert [entry["kind"] for entry in came["entries"]] == ["subscribed"]
    assert figures(came["after"], *FIGURES) == ["115000", "5000", "0", "120000", "1200", "100", "100"]
    assert [one["way"] for one in shown(keeper_here)["transit"]] == ["in"]
    assert keeper_here("status", "--json").document["funds"][0]["in_transit"] == ["wire-7"]
    assert "keeper nav moved btc3l ID" in keeper_here("status").out
    configure(tmp_path, usdt="105000", fund=FEES)
    arrived = booked(keeper_here("nav", "moved", "btc3l", "wire-7", "--yes", "--json"))
    assert figures(arrived["after"], *FIGURES) == ["120000", "0", "0", "120000", "1200", "100", "100"]
    assert shown(keeper_here)["transit"] == []

    # 4,000 up: 132,000 is 110 a unit, of which 20 % of 10 is provisional
    configure(tmp_path, usdt="105000", price="54500", fund=FEES)
    now = shown(keeper_here)
    assert figures(now, *FIGURES) == ["132000", "0", "2400", "129600", "1200", "108", "100"]
    assert now["payees"] == [
        {"payee": "ann", "owed": "1680", "provisional": "1680"},
        {"payee": "platform", "owed": "720", "provisional": "720"},
    ]
    status = keeper_here("status", "--json").document["funds"][0]
    assert status["nav_per_unit"] == "100", "the journal alone: as it was last read"

    # carl's 10,800 are in the account already, so that 132,000 was there before: he gets 100 units at 108
    configure(tmp_path, usdt="115800", price="54500", fund=FEES)
    carl = booked(keeper_here("nav", "subscribe", "btc3l", "10800", "--arrived", "--holder", "carl", "--yes", "--json"))
    assert figures(carl["before"], *FIGURES) == ["132000", "0", "2400", "129600", "1200", "108", "108"]
    assert figures(carl["after"], *FIGURES) == ["142800", "0", "2400", "140400", "1300", "108", "108"]

    # down, and what was owed stays owed; a loss is nobody's fee
    configure(tmp_path, usdt="115800", price="52000", fund=FEES)
    assert figures(shown(keeper_here), "equity", "owed", "nav") == ["127800", "2400", "125400"]
    out = booked(keeper_here("nav", "redeem", "btc3l", "--holder", "anna", "--amount", "9646.15384615", "--yes", "--json"))
    assert out["entries"][0]["units"] == "100", "rounded up: 96.4615384615... would be too little"
    assert D(out["after"]["nav_per_unit"]) >= D(out["before"]["nav_per_unit"])
    all_of_ben = booked(keeper_here("nav", "redeem", "btc3l", "--holder", "ben", "--all", "--yes", "--json"))
    assert {one["holder"] for one in all_of_ben["after"]["holders"]} == {"anna", "carl"}

    paid = booked(keeper_here("nav", "pay", "btc3l", "ann", "--yes", "--json"))
    assert paid["entries"][0]["amount"] == "1680"
    assert paid["before"]["nav"] == paid["after"]["nav"]
    assert figures(paid["after"], "owed") == ["720"]

    split = booked(keeper_here("nav", "consolidate", "btc3l", "1:3", "--yes", "--json"))
    for before, after in zip(split["before"]["holders"], split["after"]["holders"], strict=True):
        assert abs(D(before["value"]) - D(after["value"])) < D("1e-7")
        assert abs(3 * D(before["units"]) - D(after["units"])) < D("1e-7")

    nobodys = keeper_here("nav", "assign", "btc3l", "ledger-1", "--holder", "anna", "--yes")
    assert (nobodys.code, "not_unassigned" in nobodys.err) == (3, True)
    verified = keeper_here("db", "verify", "--json")
    assert (verified.code, verified.document["faults"], verified.document["events"]) == (0, [], 9)
    for command in (("nav", "show"), ("nav", "list"), ("status",)):
        assert keeper_here(*command).code == 0


def test_every_entry_is_listed_without_asking_anybody(tmp_path: Path, keeper_here: CommandLine) -> None:
    configure(tmp_path)
    assert keeper_here("nav", "list", "--json").document["entries"] == []
    assert not (tmp_path / "var").exists()
    done = booked(keeper_here("nav", "subscribe", "btc3l", "5000", "--holder", "ben", "--id", "wire-7", "--yes", "--json"))
    booked(keeper_here("nav", "redeem", "btc3l", "--units", "3", "--reason", "rent", "--yes", "--json"))
    listed = keeper_here("nav", "list", "--json").document["entries"]
    assert [entry["kind"] for entry in listed] == ["opened", "subscribed", "redeemed"]
    assert listed[:2] == done["entries"]
    assert keeper_here("nav", "list", "--holder", "ben", "--json").document["entries"] == listed[1:2]
    assert "rent" in keeper_here("nav", "list").out


def test_what_is_in_the_account_before_a_first_subscription_has_a_holder_too(tmp_path: Path, keeper_here: CommandLine) -> None:
    configure(tmp_path, usdt="105000")
    done = booked(keeper_here("nav", "subscribe", "btc3l", "5000", "--arrived", "--holder", "ben", "--yes", "--json"))
    assert [(entry["kind"], entry["units"]) for entry in done["entries"]] == [("opened", "115000"), ("subscribed", "5000")]
    assert [(one["holder"], one["value"]) for one in done["after"]["holders"]] == [(None, "115000"), ("ben", "5000")]


def test_an_entry_is_booked_once_whatever_is_typed(tmp_path: Path, keeper_here: CommandLine) -> None:
    configure(tmp_path)
    subscribe = ("nav", "subscribe", "btc3l", "5000", "--holder", "ben", "--id", "wire-7", "--yes", "--json")
    once = booked(keeper_here(*subscribe))
    again = keeper_here(*subscribe)
    assert (again.code, again.document["status"]) == (0, "already_booked")
    assert again.document["entries"] == once["entries"][1:]
    assert "nothing was done" in again.err
    for other in (
        ("nav", "subscribe", "btc3l", "5001", "--holder", "ben"),
        ("nav", "redeem", "btc3l", "--holder", "ben", "--all"),
        ("nav", "open"),
    ):
        refused = keeper_here(*other, "--id", "wire-7", "--yes", "--json")
        assert (refused.code, refused.document["status"]) == (3, "refused")
        assert refused.document["refused"]["code"] in ("twice", "open_already")
    assert shown(keeper_here)["units"] == "120000"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("redeem", "btc3l", "--all"), "no_books"),
        (("consolidate", "btc3l", "10"), "no_books"),
        (("open", "btc3l", "--price", "0"), "amount"),
        (("subscribe", "btc3l", "0"), "amount"),
        (("subscribe", "btc3l", "115000.01", "--arrived"), "no_value"),
    ],
)
def test_what_has_no_books_to_go_into_is_refused(
    tmp_path: Path, keeper_here: CommandLine, arguments: tuple[str, ...], code: str
) -> None:
    configure(tmp_path)
    refused = keeper_here("nav", *arguments, "--yes", "--json")
    assert (refused.code, refused.document["refused"]["code"]) == (3, code), refused.err
    assert refused.document["entries"] == []
    assert f"refused, {code}: " in refused.said[0]
    assert shown_without_books(keeper_here)["equity"] == "115000"


def shown_without_books(run: CommandLine) -> dict[str, Any]:
    document = run("nav", "show", "--json").document
    assert document["opened_at"] is None
    return document


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("subscribe", "btc3l", "3_0", "--yes"), "AMOUNT: '3_0' is not a plain decimal number"),
        (("subscribe", "btc3l", "nan", "--yes"), "AMOUNT: 'nan' is not a plain decimal number"),
        (("subscribe", "btc4l", "5", "--yes"), "there is no fund 'btc4l'"),
        (("redeem", "btc3l", "--yes"), "one of --units U, --amount A and --all"),
        (("redeem", "btc3l", "--all", "--units", "5", "--yes"), "one of --units U, --amount A and --all"),
        (("redeem", "btc3l", "--units", "5", "--paid", "--yes"), "--paid goes with --amount"),
        (("pay", "btc3l", "manager", "--paid", "--yes"), "--paid goes with AMOUNT"),
        (("consolidate", "btc3l", "10:0", "--yes"), "makes no new units"),
        (("subscribe", "btc3l", "5", "--holder", "\udcff", "--yes"), "--holder: must be text"),
        (("subscribe", "btc3l", "5", "--id", "a\nb", "--yes"), "--id: must be text"),
        (("subscribe", "btc3l", "5", "--reason", "\x1b[2J", "--yes"), "--reason: must be text"),
        (("pay", "btc3l", " ann", "--yes"), "PAYEE: must be text"),
        (("moved", "btc3l", "\u200b", "--yes"), "ID: must be text"),
        (("consolidate", "btc3l", "10:x", "--yes"), "RATIO: 'x' is not a plain decimal number"),
        (("subscribe", "btc3l", "5"), "there is no terminal to ask on: add --yes to nav subscribe"),
        (("open",), "add --yes to nav open"),
    ],
)
def test_a_command_line_that_is_wrong_books_nothing(
    tmp_path: Path, keeper_here: CommandLine, arguments: tuple[str, ...], words: str
) -> None:
    configure(tmp_path)
    ended = keeper_here("nav", *arguments)
    assert ended.code == 64
    assert words in " ".join(ended.said)
    assert not (tmp_path / "var").exists()


def test_nav_per_unit_is_in_the_run_the_report_and_the_status(tmp_path: Path, keeper_here: CommandLine) -> None:
    configure(tmp_path)
    before = keeper_here("rebalance", "--yes", "--json").document
    assert before["nav_per_unit"] is None
    assert booked(keeper_here("nav", "open", "--price", "50", "--yes", "--json"))["after"]["units"] == "2300"
    run = keeper_here("rebalance", "--yes", "--json").document
    assert run["nav_per_unit"] == "50"
    assert keeper_here("runs", "show", run["run"], "--json").document["nav_per_unit"] == "50"
    assert keeper_here("runs", "show", before["run"], "--json").document["nav_per_unit"] is None
    assert "NAV per unit 50.00000 USDT" in keeper_here("runs", "show", run["run"]).out
    assert "50.00000 a unit" in " ".join(keeper_here("status").out.split())
    assert keeper_here("status", "--json").document["funds"][0]["nav_per_unit"] == "50"
    for name, words in ((run["run"], True), (before["run"], False)):
        assert keeper_here("report", name, "--html", "page.html").code == 0
        assert ("NAV per unit" in (tmp_path / "page.html").read_text()) is words


def test_fees_that_are_changed_are_recorded_by_whatever_writes_next(tmp_path: Path, keeper_here: CommandLine) -> None:
    configure(tmp_path)
    booked(keeper_here("nav", "open", "--yes", "--json"))
    configure(tmp_path, fund=FEES)
    told = shown(keeper_here)
    assert (told["fees"]["performance"], told["coming_fees"]["performance"]) == ("0", "0.2")
    assert "Once they are recorded: performance 20% (to ann 70%, platform 30%)" in keeper_here("nav", "show").out
    assert keeper_here("plan").code == 2
    assert shown(keeper_here)["fees"]["performance"] == "0", "who only looks records nothing"
    assert keeper_here("rebalance", "--yes").code == 0
    assert (shown(keeper_here)["fees"]["performance"], shown(keeper_here)["coming_fees"]) == ("0.2", None)
    configure(tmp_path, fund="fees = { performance = 0.1, from = 2999-01-01 }\n")
    done = booked(keeper_here("nav", "subscribe", "btc3l", "5", "--yes", "--json"))
    assert [entry["kind"] for entry in done["entries"]] == ["terms", "subscribed"]
    told = shown(keeper_here)
    assert (told["fees"]["performance"], told["coming_fees"]["from"]) == ("0.2", "2999-01-01T00:00:00+00:00")
    assert "From 2999-01-01 00:00:00 UTC: performance 10% (to manager 100%)" in keeper_here("nav", "show").out


class Terminal(io.StringIO):
    """A terminal at which somebody answers. meanwhile: what happens, once, while they think."""

    def __init__(self, answers: str, meanwhile: Callable[[], object] | None = None) -> None:
        super().__init__(answers)
        self.meanwhile = meanwhile

    def isatty(self) -> bool:
        return True

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # of both its parents, one reads bytes
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return super().readline(size)


def test_who_says_no_books_nothing(tmp_path: Path, keeper_here: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path)
    monkeypatch.setattr(sys, "stdin", Terminal("n\ny\n"))
    told = keeper_here("nav", "open", "--json")
    assert (told.code, told.document["status"]) == (1, "aborted")
    assert shown_without_books(keeper_here)["equity"] == "115000"
    assert booked(keeper_here("nav", "open", "--json"))["after"]["units"] == "115000"


def test_what_changed_while_somebody_thought_is_shown_anew(
    tmp_path: Path, keeper_here: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path)
    booked(keeper_here("nav", "open", "--yes", "--json"))

    def booked_by_another() -> None:
        other = threading.Thread(target=asyncio.run, args=(consolidated(tmp_path),))
        other.start()
        other.join()

    monkeypatch.setattr(sys, "stdin", Terminal("y\ny\n", booked_by_another))
    done = keeper_here("nav", "subscribe", "btc3l", "5000", "--holder", "ben", "--json")
    assert "That is out of date; here it is anew." in done.err
    assert booked(done)["entries"][0]["units"] == "500", "at the price after the consolidation"
    assert shown(keeper_here)["units"] == "12000"


async def consolidated(folder: Path) -> None:
    """Somebody makes one unit of ten."""
    journal = SqlJournal.open(f"sqlite:///{folder}/var/keeper.db", mode=Mode.WRITER, inline=True)
    ledger = await journal.ledger("btc3l")
    opened = ledger.entries[0]
    entry = replace(opened, id="ten", kind=EntryKind.CONSOLIDATED, units=D(0), price=D(0), ratio=D(10), terms=None, party="")
    assert await journal.enter("btc3l", [entry], last=ledger.last)
    await journal.close()


def test_books_are_kept_beside_a_daemon(tmp_path: Path, keeper_here: CommandLine) -> None:
    at = SystemClock().now() + timedelta(hours=12)
    schedule = f'schedule = {{ at = "{at:%H:%M}", catch_up = "1m" }}\n'
    configure(tmp_path, fund=schedule)
    assert keeper_here("nav", "open", "--yes").code == 0
    configure(tmp_path, fund=schedule + FEES)
    with started(tmp_path, "run") as running:
        running.until("slot.next")
        done = keeper_here("nav", "subscribe", "btc3l", "5000", "--holder", "ben", "--yes", "--json")
        assert booked(done)["after"]["units"] == "120000"
        asked = keeper_here("rebalance", "--yes", "--json")
        assert (asked.code, asked.document["status"]) == (0, "completed"), asked.err
        assert asked.document["nav_per_unit"] == "1"
        told = keeper_here("nav", "show", "--json").document
        assert (told["fees"]["performance"], told["coming_fees"]) == ("0.2", None), "a daemon records the fees as it connects"
        running.signal(signal.SIGTERM)
        assert running.ended().code == 0
    assert keeper_here("db", "verify").code == 0


def test_books_that_do_not_add_up_stop_nobody_from_trading(tmp_path: Path, keeper_here: CommandLine) -> None:
    configure(tmp_path)
    booked(keeper_here("nav", "open", "--yes", "--json"))
    booked(keeper_here("nav", "redeem", "btc3l", "--units", "5", "--yes", "--json"))
    alter(tmp_path / "var" / "keeper.db", ("UPDATE book_entries SET units = '999999' WHERE kind = 'redeemed'", ()))
    for command in (("nav", "show"), ("nav", "subscribe", "btc3l", "5", "--yes")):
        broken = keeper_here(*command)
        assert (broken.code, broken.out) == (70, "")
        assert "don't add up" in broken.said[0]
    assert keeper_here("status", "--json").document["funds"][0]["nav_per_unit"] is None
    done = keeper_here("rebalance", "--yes", "--json")
    assert (done.code, done.document["nav_per_unit"]) == (0, None)
    assert "books.unsound" in done.err
    verified = keeper_here("db", "verify", "--json")
    assert verified.code == 73
    assert "units was altered" in json.dumps(verified.document["faults"])
