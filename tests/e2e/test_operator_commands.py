"""kill, flatten, resolve, reconcile and resume as an operator types them, against an exchange that keeps its own truth."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from keeper.journal import Mode, SqlJournal
from keeper.system import SystemClock
from keeper.venues.dialects import BINANCE_USDM
from tests.fakes.binance_desk import LOT, drifted_exchange, gap, written_fund
from tests.fakes.binance_usdm import BinanceUsdm, Fault, in_thread
from tests.fakes.command_line import CommandLine, Running, keeper, started

OURS, THEIRS = "kpr0000000000000000000000000000r", "web_1"
TARGET = 'target = { "BTC/USDT:USDT" = 3.0 }\n'
FLATTEN = ("flatten", "btc3l", "--yes", "--json")
KILL = ("kill", "--yes", "--json")
REBALANCE = ("rebalance", "--yes", "--json")


@pytest.fixture
def exchange() -> Iterator[BinanceUsdm]:
    with in_thread(drifted_exchange()) as running:
        yield running


@contextmanager
def daemon(folder: Path, exchange: BinanceUsdm, *, horizon: str = "3s", slices: int = 4) -> Iterator[Running]:
    """A daemon whose next slot is half a day away."""
    at = SystemClock().now() + timedelta(hours=12)
    schedule = f'schedule = {{ at = "{at:%H:%M}", catch_up = "1m" }}\n'
    written_fund(folder, exchange, horizon=horizon, slices=slices, replaced={TARGET: TARGET + schedule})
    with started(folder, "run") as running:
        running.until("slot.next")
        yield running


def rest(exchange: BinanceUsdm, client_id: str, amount: str = "0.5") -> None:
    """An order of this id rests far below the market."""
    exchange.core.place(
        client_id=client_id,
        symbol="BTCUSDT",
        sign=1,
        amount=Decimal(amount),
        price=Decimal(51_000),
        time_in_force="GTC",
        reduce_only=False,
    )


def trade(exchange: BinanceUsdm, client_id: str, amount: str) -> None:
    """Somebody buys at the market under this id."""
    exchange.core.place(
        client_id=client_id,
        symbol="BTCUSDT",
        sign=1,
        amount=Decimal(amount),
        price=Decimal(53_000),
        time_in_force="IOC",
        reduce_only=False,
    )


def resting(exchange: BinanceUsdm) -> set[str]:
    return {order.client_id for order in exchange.core.open_orders()}


def held(exchange: BinanceUsdm) -> Decimal:
    return exchange.core.holdings["BTCUSDT"].amount


def status(run: CommandLine) -> dict[str, Any]:
    [told] = run("status", "--json").document["funds"]
    assert isinstance(told, dict)
    return told


def test_kill_cancels_what_is_ours_halts_and_leaves_the_rest(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange)
    for name in (OURS, THEIRS):
        rest(exchange, name)
    killed = keeper_here(*KILL, "--reason", "it looks wrong")
    assert killed.code == 0, killed.err
    [fund] = killed.document["funds"]
    assert (fund["fund"], fund["halted"], fund["trouble"], fund["unrecorded"]) == ("btc3l", True, None, None)
    [order] = fund["orders"]
    assert (order["client_id"], order["state"], order["filled"], order["recorded"]) == (OURS, "canceled", "0", False)
    assert resting(exchange) == {THEIRS}
    told = status(keeper_here)
    assert (told["state"], told["standing"]["state"], told["halted"]["reason"]) == ("halted", "halted", "killed: it looks wrong")
    assert told["next"] == ["`keeper resume btc3l`"]
    exchange.core.cancel("BTCUSDT", order_id=None, client_id=THEIRS)
    refused = keeper_here(*REBALANCE)
    assert refused.code == 3
    assert "it looks wrong" in refused.document["reason"]
    assert not exchange.seen("/order", "POST")


def test_kill_beside_a_daemon_stops_its_run_before_the_next_child(tmp_path: Path, exchange: BinanceUsdm) -> None:
    with daemon(tmp_path, exchange, horizon="2m", slices=30) as running:
        with started(tmp_path, *REBALANCE) as asking:
            running.until("child.ended")
            rest(exchange, OURS)
            began = monotonic()
            killed = keeper(tmp_path, *KILL)
            took = monotonic() - began
            sent = len(exchange.core.orders)
            assert killed.code == 0, killed.err
            assert took >= BINANCE_USDM.order_life.total_seconds() + BINANCE_USDM.read_lag, (
                "an order that passed the gate before the halt may arrive as late as that"
            )
            assert resting(exchange) == set()
            running.until("run.closed")
            asked = asking.ended()
        assert (asked.code, asked.document["status"]) == (4, "incomplete")
        assert "killed" in asked.document["reason"]
        assert len(exchange.core.orders) == sent
    assert [order["client_id"] for order in killed.document["funds"][0]["orders"] if not order["recorded"]] == [OURS]


def test_kill_without_the_exchange_halts_all_the_same(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(drifted_exchange()) as exchange:
        written_fund(tmp_path, exchange)
    killed = keeper_here(*KILL)
    assert killed.code == 69, killed.err
    [fund] = killed.document["funds"]
    assert fund["halted"]
    assert fund["trouble"]
    assert status(keeper_here)["state"] == "halted"


def test_kill_without_keys_halts_all_the_same(tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm) -> None:
    written_fund(tmp_path, exchange)
    (tmp_path / "secrets" / "secret").unlink()
    killed = keeper_here(*KILL)
    assert killed.code == 78
    assert any("nothing was canceled" in said for said in killed.said)
    assert status(keeper_here)["state"] == "halted"


def test_kill_without_a_journal_cancels_and_says_that_the_halt_was_not_recorded(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange)
    assert keeper_here("db", "upgrade").code == 0
    with closing(sqlite3.connect(tmp_path / "var" / "keeper.db")) as journal:
        journal.execute("UPDATE alembic_version SET version_num = '9999'")
        journal.commit()
    rest(exchange, OURS)
    killed = keeper_here(*KILL)
    assert killed.code == 73, killed.err
    [fund] = killed.document["funds"]
    assert not fund["halted"]
    assert "newer" in fund["unrecorded"]
    assert [order["state"] for order in fund["orders"]] == ["canceled"]
    assert resting(exchange) == set()


def test_flatten_sells_everything_reduce_only_and_only_resume_lets_it_lever_up_again(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange, replaced={TARGET: f"{TARGET}limits = {{ max_turnover_per_day = 9 }}\n"})
    flat = keeper_here(*FLATTEN, "--reason", "enough")
    assert flat.code == 0, flat.err
    run = flat.document
    assert (run["status"], run["asked"]) == ("completed", "enough")
    assert run["trigger"].startswith("flatten:")
    assert Decimal(run["leverage_after"]) == 0
    assert len(run["children"]) >= 4
    assert {one.parameters["reduceOnly"] for one in exchange.seen("/order", "POST")} == {"true"}
    assert held(exchange) == 0
    assert "keeper resume btc3l" in flat.said[-1]
    told = status(keeper_here)
    assert (told["state"], told["standing"]["state"], told["standing"]["reason"]) == ("reduce_only", "reduce_only", "enough")
    refused = keeper_here(*REBALANCE)
    assert refused.code == 3, refused.err
    assert held(exchange) == 0
    resumed = keeper_here("resume", "--yes")
    assert resumed.code == 0
    assert "bound to reductions since" in resumed.err
    assert "(enough): only what reduces risk is sent" in resumed.err
    done = keeper_here(*REBALANCE)
    assert done.code == 0, done.err
    assert abs(gap(exchange)) < LOT


def test_flatten_follows_a_kill(tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm) -> None:
    written_fund(tmp_path, exchange, horizon="1s", slices=2)
    assert keeper_here(*KILL).code == 0
    flat = keeper_here(*FLATTEN)
    assert flat.code == 0, flat.err
    assert held(exchange) == 0


def test_flatten_without_the_exchange_binds_the_fund_all_the_same(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(drifted_exchange()) as exchange:
        written_fund(tmp_path, exchange)
    flat = keeper_here(*FLATTEN, "--reason", "enough")
    assert flat.code == 69, flat.err
    assert "`keeper run` flattens btc3l as soon as its venue answers" in flat.err
    told = status(keeper_here)
    assert (told["standing"]["state"], told["standing"]["reason"]) == ("reduce_only", "enough")
    assert keeper_here(*FLATTEN).code == 69


def test_flatten_beside_a_daemon_is_done_by_the_daemon(tmp_path: Path, exchange: BinanceUsdm) -> None:
    with daemon(tmp_path, exchange) as running:
        flat = keeper(tmp_path, *FLATTEN)
        assert flat.code == 0, flat.err
        assert flat.document["trigger"].startswith("flatten:")
        assert held(exchange) == 0
        running.until("run.closed")
        refused = keeper(tmp_path, *REBALANCE)
        assert refused.code == 3, refused.err
        assert held(exchange) == 0


@pytest.fixture
def lost(tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm) -> str:
    """A child whose answer was lost, and which the exchange does not look up."""
    written_fund(tmp_path, exchange, horizon="2s", slices=2)
    exchange.faults += [Fault(path="/order", kind="html", method="POST", times=1), Fault(path="/order", kind="503", method="GET")]
    broken = keeper_here(*REBALANCE)
    assert broken.code == 4, broken.err
    [child] = broken.document["children"]
    assert child["state"] == "unknown"
    return str(child["client_id"])


def test_resolve_books_the_order_that_a_human_names(keeper_here: CommandLine, exchange: BinanceUsdm, lost: str) -> None:
    told = status(keeper_here)
    assert (told["state"], told["blocked_by"]) == ("blocked", [lost])
    assert any(f"keeper resolve btc3l {lost}" in step for step in told["next"])
    [order] = exchange.core.orders.values()
    how = ("--reason", "seen in its history", "--yes", "--json")
    refused = keeper_here("resolve", "btc3l", lost, "--not-placed", *how)
    assert refused.code == 3, refused.err
    assert f"--order {order.id}" in refused.document["refused"]
    resolved = keeper_here("resolve", "btc3l", lost, "--order", str(order.id), *how)
    assert resolved.code == 0, resolved.err
    assert (resolved.document["state"], resolved.document["settled_by"]) == ("filled", "human")
    assert Decimal(resolved.document["filled"]) == order.filled
    assert status(keeper_here)["state"] == "idle"
    shown = keeper_here("runs", "show", resolved.document["run"], "--json").document
    assert [Decimal(leg["traded"]) for leg in shown["legs"]] == [order.filled]
    again = keeper_here("resolve", "btc3l", lost, "--not-placed", *how)
    assert again.code == 64
    assert "filled already" in again.err
    exchange.faults.clear()
    assert keeper_here(*REBALANCE).code == 0
    assert abs(gap(exchange)) < LOT
    assert keeper_here("db", "verify").code == 0


def test_resolve_agrees_with_what_the_venue_told_meanwhile_or_is_refused(
    keeper_here: CommandLine, tmp_path: Path, exchange: BinanceUsdm, lost: str
) -> None:
    exchange.faults.clear()
    shutil.copytree(tmp_path / "var", tmp_path / "before")
    [order] = exchange.core.orders.values()
    how = ("--reason", "told", "--yes", "--json")
    refused = keeper_here("resolve", "btc3l", lost, "--not-placed", *how)
    assert refused.code == 3, refused.err
    assert "refused: you say that it never arrived" in refused.err
    assert f"order {order.id}, and so it is booked as filled" in refused.document["refused"]
    assert (refused.document["settled_by"], refused.document["state"]) == ("venue", "filled")
    shutil.rmtree(tmp_path / "var")
    shutil.copytree(tmp_path / "before", tmp_path / "var")
    agreed = keeper_here("resolve", "btc3l", lost, "--order", str(order.id), *how)
    assert agreed.code == 0, agreed.err
    assert (agreed.document["settled_by"], agreed.document["refused"]) == ("venue", None)


def test_resolve_is_refused_while_a_daemon_holds_the_account(tmp_path: Path, exchange: BinanceUsdm) -> None:
    with daemon(tmp_path, exchange) as running:
        refused = keeper(tmp_path, "resolve", "btc3l", OURS, "--not-placed", "--reason", "x", "--yes")
        assert refused.code == 75
        assert f"process {running.process.pid} " in refused.err


def test_resolve_wants_one_outcome_and_a_child_there_is(tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm) -> None:
    written_fund(tmp_path, exchange)
    how = ("--reason", "x", "--yes")
    for wrong in ((), ("--not-placed", "--order", "7")):
        assert keeper_here("resolve", "btc3l", OURS, *wrong, *how).code == 64
    unknown = keeper_here("resolve", "btc3l", OURS, "--not-placed", *how)
    assert unknown.code == 64
    assert f"no order {OURS}" in unknown.err


def test_reconcile_agrees_after_a_run_and_beside_a_daemon(tmp_path: Path, exchange: BinanceUsdm) -> None:
    with daemon(tmp_path, exchange):
        assert keeper(tmp_path, *REBALANCE).code == 0
        found = keeper(tmp_path, "reconcile", "--json")
        assert found.code == 0, found.err
        document = found.document
        assert document["agrees"]
        assert {order["verdict"] for order in document["orders"]} == {"agrees"}
        assert len(document["orders"]) == len(exchange.core.orders) + len(exchange.desk.stops)
        [position] = document["positions"]
        assert Decimal(position["held"]) == held(exchange)


def test_reconcile_names_what_differs_and_accepts_it_when_told(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange, horizon="1s", slices=2)
    assert keeper_here(*REBALANCE).code == 0
    trade(exchange, OURS, "0.1")
    trade(exchange, THEIRS, "0.2")
    exchange.core.holdings["BTCUSDT"].amount += Decimal("0.3")
    found = keeper_here("reconcile", "--json")
    assert found.code == 70, found.err
    document = found.document
    [strange] = [order for order in document["orders"] if order["verdict"] != "agrees"]
    assert (strange["client_id"], strange["verdict"], strange["journal"]) == (OURS, "missing_in_journal", None)
    [foreign] = document["foreign"]
    assert (foreign["client_id"], foreign["filled"], foreign["forced"]) == (THEIRS, "0.2", False)
    [position] = document["positions"]
    assert (position["foreign"], position["difference"]) == ("0.2", "0.3")
    table = keeper_here("reconcile")
    assert table.code == 70
    assert "Venue and journal differ." in table.out
    accepted = keeper_here("reconcile", "--accept", "--yes", "--json", "--reason", "the backup was old")
    assert accepted.code == 0, accepted.err
    assert accepted.document["accepted"]
    again = keeper_here("reconcile", "--json")
    assert again.code == 0, again.err
    assert [order["verdict"] for order in again.document["orders"] if order["client_id"] == OURS] == ["adopted"]
    assert keeper_here("resume", "--yes").code == 0
    done = keeper_here(*REBALANCE)
    assert done.code == 0, done.err
    assert abs(gap(exchange)) < LOT
    assert keeper_here("db", "verify").code == 0


def test_a_journal_put_back_from_a_backup_is_noticed_and_goes_on_once_its_difference_is_accepted(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange, horizon="1s", slices=2)
    assert keeper_here(*REBALANCE).code == 0
    shutil.copytree(tmp_path / "var", tmp_path / "backup")
    exchange.core.set_mid("BTCUSDT", Decimal(54_000))
    assert keeper_here(*REBALANCE).code == 0
    shutil.rmtree(tmp_path / "var")
    shutil.copytree(tmp_path / "backup", tmp_path / "var")
    exchange.core.set_mid("BTCUSDT", Decimal(55_000))
    before = held(exchange)
    refused = keeper_here(*REBALANCE)
    assert refused.code == 3, refused.err
    assert held(exchange) == before
    told = status(keeper_here)
    assert (told["state"], told["standing"]["cause"]) == ("halted", "journal")
    assert "keeper reconcile btc3l" in told["next"][0]
    early = keeper_here("resume", "--yes")
    assert early.code == 0
    for said in (early.out, early.err):
        assert "the next run halts btc3l again unless the difference is gone, or accepted with `keeper reconcile btc3l`" in said
    assert keeper_here(*REBALANCE).code == 3
    assert status(keeper_here)["state"] == "halted"
    found = keeper_here("reconcile", "--json")
    assert found.code == 70, found.err
    assert keeper_here("reconcile", "--accept", "--yes").code == 0
    assert keeper_here("reconcile").code == 0
    resumed = keeper_here("resume", "--yes")
    assert (resumed.code, resumed.out) == (0, "btc3l may trade again.\n")
    assert "again unless" not in resumed.err
    done = keeper_here(*REBALANCE)
    assert done.code == 0, done.err
    assert abs(gap(exchange)) < LOT
    assert keeper_here("db", "verify").code == 0


async def pinned_otherwise(url: str) -> None:
    """What the fund traded before had ten times the size."""
    journal = SqlJournal.open(url, mode=Mode.WRITER, inline=True)
    [run] = await journal.runs(limit=1)
    [(symbol, identity)] = (await journal.pins(run.account)).items()
    await journal.repin(run.account, symbol, {**identity, "contract_size": "10"}, at=SystemClock().now())
    await journal.close()


def test_a_fund_that_a_changed_contract_halted_goes_on_once_the_change_is_accepted(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange, horizon="1s", slices=2)
    assert keeper_here(*REBALANCE).code == 0
    asyncio.run(pinned_otherwise(f"sqlite:///{tmp_path / 'var' / 'keeper.db'}"))
    exchange.core.set_mid("BTCUSDT", Decimal(55_000))
    assert keeper_here(*REBALANCE).code == 4
    told = status(keeper_here)
    assert (told["state"], told["standing"]["cause"]) == ("halted", "identity")
    assert [step.split("`")[1] for step in told["next"]] == ["keeper reconcile btc3l", "keeper resume btc3l"]
    assert "the next run halts btc3l again unless" in keeper_here("resume", "--yes").out
    assert keeper_here(*REBALANCE).code == 4
    found = keeper_here("reconcile", "--json")
    assert found.code == 70, found.err
    [contract] = found.document["contracts"]
    assert (contract["pinned"]["contract_size"], contract["found"]["contract_size"], contract["differs"]) == ("10", "1", True)
    assert "Contract size 10" in keeper_here("reconcile", "--accept", "--yes").out
    assert keeper_here("reconcile").code == 0
    resumed = keeper_here("resume", "--yes")
    assert (resumed.code, resumed.out) == (0, "btc3l may trade again.\n")
    done = keeper_here(*REBALANCE)
    assert done.code == 0, done.err
    assert abs(gap(exchange)) < LOT
    assert keeper_here("db", "verify").code == 0


@pytest.mark.parametrize("since", ["soon", "-1h", "2199-01-01T00:00:00Z", "2024-08-08T23:55:00"])
def test_reconcile_wants_a_time_that_has_passed(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm, since: str
) -> None:
    written_fund(tmp_path, exchange)
    assert keeper_here("reconcile", "--since", since).code == 64


@pytest.mark.parametrize(
    "command", [("kill",), ("flatten", "btc3l"), ("resolve", "btc3l", OURS, "--not-placed", "--reason", "x")]
)
def test_without_a_terminal_yes_is_required(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm, command: tuple[str, ...]
) -> None:
    written_fund(tmp_path, exchange)
    ended = keeper_here(*command)
    assert ended.code == 64
    assert "--yes" in ended.err
    assert not (tmp_path / "var").exists()
