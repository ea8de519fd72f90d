"""Commands that are stopped, killed or doubled: what is left in the journal is true, and the next command goes on from there.

On paper time is real here: a horizon is far longer than any of these tests may take, so whatever waited for it would fail.
"""

import contextlib
import os
import pty
import select
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.binance_desk import LOT, drifted_exchange, gap, written_fund
from tests.fakes.binance_usdm import BinanceUsdm, Fault, in_thread
from tests.fakes.command_line import PATIENCE, Running, command, environment, keeper, started

HORIZON = "KEEPER__FUNDS__BTC3L__EXECUTION__HORIZON"
PAPER = """\
[venues.sim]
exchange = "paper"
account = { balances = { USDT = "100000" }, positions = { "BTC/USDT:USDT" = { contracts = "6", entry = "50000" } } }
[venues.sim.feed]
kind = "synthetic"
seed = 11
volatility = 0.1
prices = { "BTC/USDT:USDT" = "52500" }
markets."BTC/USDT:USDT" = { tick = "0.1", lot = "0.001", taker_bps = 5 }
[funds.btc3l]
venue = "sim"
target = { "BTC/USDT:USDT" = 3.0 }
execution = { style = "twap", horizon = "10m", slices = 10 }
"""
AGAIN = 3.0
"""Seconds after which a key is pressed once more."""
REBALANCE = ("rebalance", "--yes", "--json")
AT_ONCE = {HORIZON: "2s"}


@pytest.fixture
def fund(tmp_path: Path) -> Path:
    """The folder of a fund whose run would take ten minutes."""
    (tmp_path / "keeper.toml").write_text(PAPER)
    return tmp_path


@pytest.fixture
def exchange() -> Iterator[BinanceUsdm]:
    with in_thread(drifted_exchange()) as running:
        yield running


def status(folder: Path) -> dict[str, Any]:
    """What `status` says of the one fund."""
    ended = keeper(folder, "status", "--json")
    assert ended.code == 0, ended.err
    [told] = ended.document["funds"]
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_at_once_and_as_incomplete(fund: Path, number: signal.Signals) -> None:
    with started(fund, *REBALANCE) as running:
        running.until("slice 1/10")
        running.signal(number)
        ended = running.ended()
    assert ended.code == 4, ended.err
    run = ended.document
    assert run["status"] == "incomplete"
    assert f"stopped by {number.name}" in run["reason"]
    assert [child["state"] for child in run["children"]] == ["filled"]
    assert run["leverage_after"] is not None
    told = status(fund)
    assert (told["state"], told["blocked_by"]) == ("idle", [])
    assert told["last_run"]["status"] == "incomplete"
    assert told["last_run"]["reason"] == run["reason"]


def test_after_kill_9_status_tells_the_truth_and_the_next_rebalance_completes(fund: Path) -> None:
    with started(fund, *REBALANCE) as running:
        running.until("slice 1/10")
        assert status(fund)["state"] == "trading"
        running.signal(signal.SIGKILL)
        assert running.ended().code == -signal.SIGKILL
    told = status(fund)
    assert told["state"] == "interrupted"
    assert told["last_run"]["status"] == "interrupted"
    killed = told["last_run"]["run"]
    done = keeper(fund, *REBALANCE, env=AT_ONCE)
    assert done.code == 0, done.err
    assert done.document["run"] != killed
    assert done.document["status"] == "completed"
    assert abs(float(done.document["leverage_after"]) - 3) < 0.001
    # what the killed run had bought was not bought again
    assert done.document["leverage_before"] > "2.75"
    left_behind = keeper(fund, "runs", "show", killed, "--json").document
    assert left_behind["status"] == "incomplete"
    assert left_behind["reason"] == "the process ended before the run did"
    assert [child["state"] for child in left_behind["children"]] == ["filled"]
    assert status(fund)["state"] == "idle"
    verified = keeper(fund, "db", "verify", "--json")
    assert (verified.code, verified.document["faults"]) == (0, [])


def test_kill_9_while_an_order_is_on_its_way_is_settled_with_the_exchange(tmp_path: Path, exchange: BinanceUsdm) -> None:
    written_fund(tmp_path, exchange, horizon="3s", slices=2)
    with in_flight(tmp_path, exchange) as running:
        running.signal(signal.SIGKILL)
        assert running.ended().code == -signal.SIGKILL
    told = status(tmp_path)
    assert told["state"] == "interrupted"
    killed = told["last_run"]["run"]
    [sent] = exchange.core.orders.values()
    done = keeper(tmp_path, *REBALANCE)
    assert done.code == 0, done.err
    assert abs(gap(exchange)) < LOT
    posted = Counter(one.parameters["newClientOrderId"] for one in exchange.seen("/order", "POST"))
    assert set(posted.values()) == {1}
    [child] = keeper(tmp_path, "runs", "show", killed, "--json").document["children"]
    assert (child["client_id"], child["state"], child["filled"]) == (sent.client_id, "filled", str(sent.filled))


def test_a_second_signal_does_not_wait_for_the_order_in_flight(tmp_path: Path, exchange: BinanceUsdm) -> None:
    written_fund(tmp_path, exchange, horizon="3s", slices=2)
    with in_flight(tmp_path, exchange) as running:
        running.signal(signal.SIGTERM)
        running.signal(signal.SIGINT)
        ended = running.ended(within=8)  # the exchange would be given ten seconds to answer
    assert ended.code == 4, ended.err
    assert ended.out == ""
    [said] = ended.said
    assert "the next rebalance settles it" in said
    told = status(tmp_path)
    assert told["state"] == "interrupted"
    done = keeper(tmp_path, *REBALANCE)
    assert done.code == 0, done.err
    assert abs(gap(exchange)) < LOT
    posted = [one.parameters["newClientOrderId"] for one in exchange.seen("/order", "POST")]
    assert len(posted) == len(set(posted))


def test_two_at_once_trade_once_and_the_second_names_the_first(fund: Path) -> None:
    with started(fund, *REBALANCE) as first:
        first.until("slice 1/10")
        second = keeper(fund, *REBALANCE)
        assert second.code == 75
        assert second.out == ""
        [said] = second.said
        assert f"process {first.process.pid} " in said
        listed = keeper(fund, "runs", "list", "--json").document["runs"]
        assert [run["status"] for run in listed] == ["running"]
        first.signal(signal.SIGTERM)
        assert first.ended().code == 4


def test_without_a_terminal_yes_is_required(fund: Path) -> None:
    ended = keeper(fund, "rebalance")
    assert ended.code == 64
    assert ended.out == ""
    [said] = ended.said
    assert "--yes" in said
    assert not (fund / "var").exists()


@pytest.mark.parametrize(("typed", "words"), [(b"n\n", "Send these orders?"), (b"\x03", "aborted")])
def test_no_and_ctrl_c_at_the_question_send_nothing(fund: Path, typed: bytes, words: str) -> None:
    code, screen = answered(fund, typed)
    assert code == 1, screen
    assert words in screen
    assert "Traceback" not in screen
    assert keeper(fund, "runs", "list", "--json").document == {"runs": []}


def test_yes_at_the_question_trades(fund: Path) -> None:
    (fund / "keeper.toml").write_text(PAPER.replace('"10m"', '"2s"'))
    code, screen = answered(fund, b"y\n")
    assert code == 0, screen
    [run] = keeper(fund, "runs", "list", "--json").document["runs"]
    assert run["status"] == "completed"


@contextmanager
def in_flight(folder: Path, exchange: BinanceUsdm) -> Iterator[Running]:
    """A rebalance whose first order the exchange took and does not answer."""
    exchange.faults.append(Fault(path="/order", kind="hang", method="POST", times=1))
    with started(folder, *REBALANCE) as running:
        running.until("slice 0/2")
        deadline = time.monotonic() + PATIENCE
        while not exchange.hanging.is_set():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield running


def answered(folder: Path, typed: bytes) -> tuple[int, str]:
    """The exit code of a rebalance on a terminal where ``typed`` answers its question, and all that the terminal showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        words = command("rebalance")
        os.execve(words[0], words, environment(folder, {"COLUMNS": "100", "TERM": "xterm"}))  # noqa: S606 - our own program
    shown = b""
    try:
        while b"[y/N]" not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, typed)
        with contextlib.suppress(OSError):  # how a terminal says that its other end is closed
            while True:
                if not select.select([terminal], [], [], AGAIN)[0]:
                    os.write(terminal, typed)  # a signal right before the process begins to read shows at the next key only
                elif more := os.read(terminal, 4096):
                    shown += more
                else:
                    break
    finally:
        _, state = os.waitpid(child, 0)
        os.close(terminal)
    return os.waitstatus_to_exitcode(state), shown.decode()
