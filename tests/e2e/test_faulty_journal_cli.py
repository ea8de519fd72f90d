"""A journal, key or configuration that can't be used: readers say so, and what halts or cancels goes as far as it can."""

import random  # noqa: TID251 - the same seed damages the same bytes
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.journal import AccountLock
from keeper.system import SystemClock
from tests.fakes.binance_desk import drifted_exchange, written_fund
from tests.fakes.binance_usdm import BinanceUsdm, in_thread
from tests.fakes.command_line import CommandLine, keeper, started
from tests.fakes.unprivileged import public_directory, unprivileged

OURS = "kpr0000000000000000000000000000r"
KILL = ("kill", "--yes", "--json")
READING = (("status",), ("plan",), ("runs", "list"), ("runs", "show", "x"), ("db", "verify"), ("db", "upgrade"), ("halt",))


@pytest.fixture
def exchange() -> Iterator[BinanceUsdm]:
    with in_thread(drifted_exchange()) as running:
        yield running


def rest(exchange: BinanceUsdm) -> None:
    """An order of ours rests."""
    exchange.core.place(
        client_id=OURS,
        symbol="BTCUSDT",
        sign=1,
        amount=Decimal("0.5"),
        price=Decimal(51_000),
        time_in_force="GTC",
        reduce_only=False,
    )


def flip_bytes(path: Path) -> None:
    drawn = random.Random(2)  # noqa: S311 - as above
    content = bytearray(path.read_bytes())
    for _ in range(40):
        content[drawn.randrange(4096, len(content))] ^= 255
    path.write_bytes(content)


def leave_empty(path: Path) -> None:
    path.write_bytes(b"")


def directory_is_a_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("")


def lead_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone.db")


@pytest.mark.parametrize("accident", [flip_bytes, leave_empty, directory_is_a_file, lead_nowhere])
def test_a_journal_that_can_not_be_used_is_73_everywhere_and_kill_cancels_all_the_same(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm, accident: Callable[[Path], None]
) -> None:
    written_fund(tmp_path, exchange)
    path = tmp_path / "var" / "keeper.db"
    assert keeper_here("halt").code == 0
    accident(path)
    for command in READING:
        told = keeper_here(*command)
        assert (told.code, told.out) == (73, ""), command
        assert re.search(rf"{path}: .*: (?:the file is damaged|.*backup|put back|what stands)", " ".join(told.said)), told.err
    assert "nothing was halted" in told.err
    rest(exchange)
    killed = keeper_here(*KILL)
    assert killed.code == 73, killed.err
    [fund] = killed.document["funds"]
    assert (fund["halted"], [order["state"] for order in fund["orders"]]) == (False, ["canceled"])
    assert str(path) in fund["unrecorded"]
    assert not exchange.core.open_orders()


def test_kill_goes_on_whatever_its_halt_fails_with(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError

    written_fund(tmp_path, exchange)
    monkeypatch.setattr("keeper.bootstrap.order", fail)
    rest(exchange)
    killed = keeper_here(*KILL)
    assert (killed.code, killed.document["funds"][0]["unrecorded"]) == (73, "RuntimeError()")
    assert not exchange.core.open_orders()


def test_what_nobody_foresaw_at_one_venue_is_told_in_the_document(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    written_fund(tmp_path, exchange)
    monkeypatch.setattr("keeper.bootstrap.open_account", fail)
    killed = keeper_here(*KILL)
    assert (killed.code, killed.document["funds"][0]["trouble"]) == (69, "RuntimeError()")


def test_to_halt_needs_no_key(tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm) -> None:
    written_fund(tmp_path, exchange)
    shutil.rmtree(tmp_path / "secrets")
    assert keeper_here("halt", "btc3l").code == 0
    assert keeper_here("status", "--json").document["funds"][0]["state"] == "halted"


def test_kill_without_keys_says_in_its_document_what_came_of_it(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange)
    shutil.rmtree(tmp_path / "secrets")
    killed = keeper_here(*KILL)
    assert killed.code == 78
    [fund] = killed.document["funds"]
    assert (fund["halted"], fund["unrecorded"], fund["orders"]) == (True, None, [])
    assert "no such file" in fund["trouble"]


FAULTS = {
    "a key nobody knows": 'target = { "BTC/USDT:USDT" = 3.0 }\nlimits = { max_leverag = 4 }\n',
    "a target that is none": 'target = { "BTC" = 3.0 }\n',
    "a section nobody knows": 'target = { "BTC/USDT:USDT" = 3.0 }\n[keeper]\njournal = "sqlite:///var/keeper.db"\n[limits]\n',
    "a second fund that says nothing": 'target = { "BTC/USDT:USDT" = 3.0 }\n[funds.empty]\n',
}
TARGET = 'target = { "BTC/USDT:USDT" = 3.0 }\n'


@pytest.mark.parametrize("written", FAULTS.values(), ids=FAULTS)
def test_a_faulty_configuration_keeps_nobody_from_halting_and_canceling(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm, written: str
) -> None:
    written_fund(tmp_path, exchange, replaced={TARGET: written})
    assert keeper_here("plan").code == 78
    assert not (tmp_path / "var").exists()
    halted = keeper_here("halt", "btc3l")
    assert halted.code == 0, halted.err
    assert "the configuration is faulty" in halted.said[0]
    assert "keeper.toml" in halted.said[1]
    rest(exchange)
    killed = keeper_here("kill", "btc3l", "--yes", "--json")
    assert killed.code == 0, killed.err
    assert [order["state"] for order in killed.document["funds"][0]["orders"]] == ["canceled"]
    with closing(sqlite3.connect(tmp_path / "var" / "keeper.db")) as journal:
        assert journal.execute("SELECT fund, state FROM fund_states").fetchall() == [("btc3l", "halted")]


def test_a_venue_that_can_not_be_told_is_named_once_the_fund_is_halted(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange, replaced={'environment = "testnet"\n': 'environmen = "testnet"\n'})
    killed = keeper_here(*KILL)
    assert killed.code == 78, killed.err
    [fund] = killed.document["funds"]
    assert (fund["halted"], fund["orders"]) == (True, [])
    assert "venues.binance" in fund["trouble"]


@pytest.mark.parametrize("command", [("halt",), KILL], ids=" ".join)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[venues.binance]", "[venues.binance"),
        ("[venues.binance]", '[keepr]\njournal = "sqlite:///elsewhere.db"\n[venues.binance]'),
        ("[venues.binance]", '[keeper]\njurnal = "sqlite:///elsewhere.db"\n[venues.binance]'),
    ],
)
def test_where_it_can_not_be_told_which_journal_is_meant_nothing_is_halted_and_that_is_said(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm, command: tuple[str, ...], before: str, after: str
) -> None:
    written_fund(tmp_path, exchange, replaced={before: after})
    told = keeper_here(*command)
    assert told.code == 78
    assert "nothing was halted" in told.said[0]
    assert "*.lock" in told.said[0]
    assert not list(tmp_path.glob("**/*.db"))


def test_what_could_not_be_halted_is_named_by_its_process(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "keeper.db").write_bytes(b"")
    with AccountLock(tmp_path / "var", "acc1"):
        pid = (tmp_path / "var" / "acc1.lock").read_text().split()[0]
        told = keeper_here("halt")
    assert told.code == 73
    assert f"nothing was halted; stop what trades yourself: kill {pid} (" in told.said[0]


def test_no_message_says_twice_who_speaks(tmp_path: Path, keeper_here: CommandLine) -> None:
    told = keeper_here("status")
    assert told.code == 78
    assert "keeper: keeper:" not in told.err
    assert str(tmp_path) in told.said[0]


def test_a_copy_that_is_put_back_leaves_every_fund_halted_until_it_was_reconciled(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange, horizon="1s", slices=2)
    assert keeper_here("rebalance", "--yes").code == 0
    copied = keeper_here("db", "backup", "copy.db", "--json")
    assert copied.code == 0, copied.err
    path = tmp_path / "var" / "keeper.db"
    assert copied.document == {"journal": f"journal {path}", "file": "copy.db", "events": copied.document["events"]}
    again = keeper_here("db", "backup", "copy.db")
    assert (again.code, again.out) == (64, "")
    assert "is there already" in again.said[0]
    assert keeper_here("halt", "--reason", "after the copy").code == 0
    restored = keeper_here("db", "restore", "copy.db", "--json")
    assert restored.code == 0, restored.err
    told = restored.document
    assert (told["events"], told["halted"]) == (copied.document["events"], ["btc3l"])
    assert Path(told["aside"]).is_file()
    [fund] = keeper_here("status", "--json").document["funds"]
    assert (fund["state"], fund["standing"]["cause"]) == ("halted", "journal")
    assert "keeper reconcile btc3l" in fund["next"][0]
    assert keeper_here("rebalance", "--yes").code == 3
    assert keeper_here("reconcile").code == 0
    assert keeper_here("resume", "--yes").code == 0
    assert keeper_here("rebalance", "--yes").code == 0
    printed = keeper_here("db", "restore", "copy.db")
    assert printed.code == 0
    assert "btc3l is halted: `keeper reconcile btc3l`" in printed.out
    assert keeper_here("db", "verify").code == 0


def test_a_copy_is_not_put_back_beside_whoever_holds_an_account(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange)
    assert keeper_here("halt").code == 0
    assert keeper_here("db", "backup", "copy.db").code == 0
    with AccountLock(tmp_path / "var", "acc1"):
        assert keeper_here("db", "restore", "copy.db").code == 75


def test_an_older_copy_without_the_halt_that_came_after_it_trades_nothing(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange)
    path = tmp_path / "var" / "keeper.db"
    assert keeper_here("db", "upgrade").code == 0
    shutil.copy(path, tmp_path / "copy.db")
    assert keeper_here("halt").code == 0
    shutil.copy(tmp_path / "copy.db", path)
    halted = keeper_here("halt")
    assert halted.code == 0
    assert "older copy" in halted.err
    for command in (("status",), ("plan",), ("rebalance", "--yes"), ("resume", "--yes"), ("db", "verify")):
        told = keeper_here(*command)
        assert told.code == 73, command
        assert "an older copy" in f"{told.out} {told.err}"
    assert not exchange.seen("/order", "POST")


PAPER = """
[venues.sim]
exchange = "paper"
feed = { kind = "fixed", prices = { "BTC/USDT:USDT" = "105" } }
account = { balances = { USDT = "100000" } }
[funds.btc]
venue = "sim"
target = { "BTC/USDT:USDT" = 3 }
"""


def test_a_journal_where_nothing_may_be_written_is_read_by_all_that_only_read(keeper_here: CommandLine) -> None:
    with public_directory() as directory:
        directory.chmod(0o755)
        config = directory / "keeper.toml"
        config.write_text(PAPER)
        run = ("--config", str(config))
        assert keeper_here(*run, "rebalance", "--yes").code == 0
        for place in (directory / "var").iterdir():
            place.chmod(0o444)
        (directory / "var").chmod(0o555)
        directory.chmod(0o555)
        with unprivileged():
            codes = {name: keeper_here(*run, *name.split()).code for name in ("status", "runs list", "plan", "db verify", "halt")}
        (directory / "var").chmod(0o755)
    assert codes == {"status": 0, "runs list": 0, "plan": 0, "db verify": 0, "halt": 73}


def test_a_daemon_whose_journal_is_overwritten_ends(tmp_path: Path, exchange: BinanceUsdm) -> None:
    path = tmp_path / "var" / "keeper.db"
    at = SystemClock().now() + timedelta(hours=12)
    written_fund(tmp_path, exchange, replaced={TARGET: f'{TARGET}schedule = {{ at = "{at:%H:%M}", catch_up = "1m" }}\n'})
    assert keeper(tmp_path, "db", "upgrade").code == 0
    copy = shutil.copy(path, tmp_path / "copy.db")
    assert keeper(tmp_path, "halt").code == 0
    with started(tmp_path, "run") as running:
        running.until("slot.next")
        shutil.copy(copy, path)
        ended = running.ended()
    assert ended.code == 73
    # The look between writes notices another file, a write that comes first a damaged one: the remedy is the same.
    noticed = ("the file was overwritten while in use: ", "the file is damaged: ")
    assert any(said in ended.said[-1] for said in noticed)
    remedy = ("keep it as evidence", "keeper db restore FILE", "check the venue's open orders")
    assert all(said in ended.said[-1] for said in remedy)
