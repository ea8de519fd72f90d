"""`keeper run` as processes that are started, stopped, killed, frozen and doubled around a slot, in real time."""

import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keeper.system import SystemClock
from tests.fakes.command_line import Running, keeper, started
from tests.fakes.daemon_processes import Window, fund_with_slot

RUN = ("run",)


def runs(folder: Path) -> list[dict[str, Any]]:
    listed = keeper(folder, "runs", "list", "--json")
    assert listed.code == 0, listed.err
    found = listed.document["runs"]
    assert isinstance(found, list)
    return found


def status(folder: Path) -> dict[str, Any]:
    [told] = keeper(folder, "status", "--json").document["funds"]
    assert isinstance(told, dict)
    return told


def stopped(running: Running) -> None:
    """Stop a daemon as a service manager does; it must end well."""
    running.signal(signal.SIGTERM)
    ended = running.ended()
    assert ended.code == 0, ended.err
    assert ended.out == ""


def wait_until(at: datetime) -> None:
    clock = SystemClock()
    while clock.now() <= at:
        time.sleep(0.05)


def ready(running: Running) -> None:
    running.until("slot.next")


@pytest.fixture(autouse=True)
def chain(tmp_path: Path) -> Iterator[None]:
    """Whatever a test does, the journal holds at its end."""
    yield
    verified = keeper(tmp_path, "db", "verify", "--json")
    assert (verified.code, verified.document["faults"]) == (0, [])


def test_killed_before_its_slot_and_started_again_inside_the_window_it_runs_once(tmp_path: Path) -> None:
    window = fund_with_slot(tmp_path, opens_in=6, lasts=30)
    with started(tmp_path, *RUN) as first:
        ready(first)
        first.signal(signal.SIGKILL)
        assert first.ended().code == -signal.SIGKILL
    assert SystemClock().now() < window.opens
    wait_until(window.opens)
    for _ in range(2):
        with started(tmp_path, *RUN) as again:
            ready(again)
            if not runs(tmp_path) or runs(tmp_path)[0]["status"] == "running":
                again.until("slot.done")
            stopped(again)
    [run] = runs(tmp_path)
    assert run["status"] == "completed"
    assert run["trigger"].startswith("slot:")


def test_a_slot_ahead_is_run_when_the_bell_rings(tmp_path: Path) -> None:
    window = fund_with_slot(tmp_path, opens_in=6, lasts=60)
    with started(tmp_path, *RUN) as running:
        ready(running)
        assert runs(tmp_path) == []
        running.until("slot.done")
        assert status(tmp_path)["state"] == "waiting"
        stopped(running)
    [run] = runs(tmp_path)
    assert run["status"] == "completed"
    assert 0 <= seconds_after(window, run) < 5


def test_killed_before_its_slot_and_started_after_the_window_it_records_one_miss(tmp_path: Path) -> None:
    window = fund_with_slot(tmp_path, opens_in=6, lasts=1)
    with started(tmp_path, *RUN) as first:
        ready(first)
        first.signal(signal.SIGKILL)
        first.ended()
    wait_until(window.closes)
    for _ in range(2):
        with started(tmp_path, *RUN) as again:
            ready(again)
            stopped(again)
    [run] = runs(tmp_path)
    assert run["status"] == "missed"
    assert "did not run" in run["reason"]
    told = status(tmp_path)
    assert (told["state"], told["last_run"]["status"]) == ("idle", "missed")


def test_killed_in_its_run_it_takes_up_the_same_run_and_sends_nothing_twice(tmp_path: Path) -> None:
    fund_with_slot(tmp_path, opens_in=1, lasts=60, horizon="10s")
    with started(tmp_path, *RUN) as first:
        first.until("child.ended")
        first.until("child.ended")
        first.signal(signal.SIGKILL)
        first.ended()
    [killed] = runs(tmp_path)
    assert killed["status"] == "interrupted"
    with started(tmp_path, *RUN) as again:
        again.until("slot.done")
        stopped(again)
    [run] = runs(tmp_path)
    assert (run["run"], run["status"]) == (killed["run"], "completed")
    children = keeper(tmp_path, "runs", "show", run["run"], "--json").document["children"]
    assert len({child["client_id"] for child in children}) == len(children) > 2
    with closing(sqlite3.connect(tmp_path / "var" / "keeper.db")) as journal:
        assert journal.execute("SELECT attempts FROM runs WHERE trigger LIKE 'slot:%'").fetchall() == [(2,)]


def test_of_two_daemons_the_second_exits_75_and_names_the_first(tmp_path: Path) -> None:
    fund_with_slot(tmp_path, opens_in=50, lasts=60)
    with started(tmp_path, *RUN) as first:
        ready(first)
        second = keeper(tmp_path, *RUN)
        assert second.code == 75
        [said] = second.said
        assert f"process {first.process.pid} " in said
        stopped(first)


def test_halt_beside_a_daemon_stops_it_before_the_next_child_until_a_human_resumes(tmp_path: Path) -> None:
    fund_with_slot(tmp_path, opens_in=1, lasts=120, horizon="30s")
    with started(tmp_path, *RUN) as running:
        running.until("child.ended")
        halted = keeper(tmp_path, "halt", "--reason", "the book looks wrong")
        assert halted.code == 0, halted.err
        running.until("run.closed")
        [run] = runs(tmp_path)
        assert run["status"] == "incomplete"
        assert "the book looks wrong" in run["reason"]
        sent = children_of(tmp_path, run)
        stopped(running)
    told = status(tmp_path)
    assert (told["state"], told["halted"]["reason"]) == ("halted", "the book looks wrong")
    refused = keeper(tmp_path, "rebalance", "--yes", "--json")
    assert refused.code == 3
    assert "the book looks wrong" in refused.document["reason"]
    with started(tmp_path, *RUN) as again:
        ready(again)
        resumed = keeper(tmp_path, "resume", "--yes")
        assert resumed.code == 0, resumed.err
        again.until("run.opened")
        again.until("child.ended")
        assert children_of(tmp_path, run)[: len(sent)] == sent
        stopped(again)
    assert status(tmp_path)["halted"] is None


def test_halt_without_a_daemon_holds_for_the_next_one(tmp_path: Path) -> None:
    window = fund_with_slot(tmp_path, opens_in=3, lasts=2)
    assert keeper(tmp_path, "halt", "btc3l").code == 0
    wait_until(window.opens)
    with started(tmp_path, *RUN) as running:
        running.until("slot.next")
        wait_until(window.closes + timedelta(seconds=1))
        stopped(running)
    with started(tmp_path, *RUN) as running:
        running.until("slot.next")  # by now one of the two has recorded what became of the slot
        stopped(running)
    [run] = runs(tmp_path)
    assert (run["status"], run["reason"]) == ("missed", "the fund was halted (no reason given)")


def test_frozen_over_its_slot_and_thawed_inside_the_window_it_runs_once(tmp_path: Path) -> None:
    window = fund_with_slot(tmp_path, opens_in=6, lasts=60)
    with started(tmp_path, *RUN) as running:
        ready(running)
        running.signal(signal.SIGSTOP)
        wait_until(window.opens + timedelta(seconds=2))
        assert runs(tmp_path) == []
        running.signal(signal.SIGCONT)
        running.until("slot.done")
        stopped(running)
    [run] = runs(tmp_path)
    assert run["status"] == "completed"
    assert 2 <= seconds_after(window, run) < 10


def test_rebalance_beside_a_daemon_is_done_by_the_daemon(tmp_path: Path) -> None:
    fund_with_slot(tmp_path, opens_in=50, lasts=60)
    with started(tmp_path, *RUN) as running:
        ready(running)
        done = keeper(tmp_path, "rebalance", "--yes", "--json", "--reason", "by hand")
        assert done.code == 0, done.err
        assert done.document["status"] == "completed"
        assert done.document["trigger"].startswith("manual:")
        assert abs(float(done.document["leverage_after"]) - 3) < 0.001
        running.until("run.closed")
        stopped(running)
    [run] = runs(tmp_path)
    assert run["run"] == done.document["run"]


def test_whoever_stops_waiting_for_a_daemon_is_told_that_it_goes_on(tmp_path: Path) -> None:
    fund_with_slot(tmp_path, opens_in=300, lasts=60, horizon="60s")
    with started(tmp_path, *RUN) as running:
        ready(running)
        with started(tmp_path, "rebalance", "--yes") as asking:
            running.until("child.ended")
            asking.signal(signal.SIGINT)
            ended = asking.ended()
        assert ended.code == 4
        assert ended.said == ["the daemon goes on with it; `keeper halt btc3l` stops it"]
        assert keeper(tmp_path, "halt").code == 0
        running.until("run.closed")
        stopped(running)


def test_a_signal_ends_a_run_as_incomplete_and_the_daemon_well(tmp_path: Path) -> None:
    fund_with_slot(tmp_path, opens_in=1, lasts=60, horizon="10m")
    with started(tmp_path, *RUN) as running:
        running.until("child.ended")
        stopped(running)
    [run] = runs(tmp_path)
    assert run["status"] == "incomplete"
    assert run["reason"] == "stopped by SIGTERM"
    told = status(tmp_path)
    assert (told["state"], told["blocked_by"]) == ("idle", [])


def test_systemd_is_told_that_it_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    fund_with_slot(tmp_path, opens_in=50, lasts=60)
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(20)
        env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "400000"}
        with started(tmp_path, *RUN, env=env) as running:
            told = [manager.recv(100).decode() for _ in range(4)]
            assert sorted(told) == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]
            running.signal(signal.SIGTERM)
            while (said := manager.recv(100).decode()) == "WATCHDOG=1":
                pass
            assert said == "STOPPING=1"
            assert running.ended().code == 0


def test_without_a_schedule_there_is_nothing_to_run(tmp_path: Path) -> None:
    fund_with_slot(tmp_path, opens_in=50, lasts=60)
    file = tmp_path / "keeper.toml"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("schedule")]
    file.write_text("\n".join(kept))
    assert keeper(tmp_path, *RUN).code == 64
    named = keeper(tmp_path, *RUN, "--fund", "btc3l")
    assert named.code == 78
    assert "funds.btc3l.schedule" in named.err


def children_of(folder: Path, run: dict[str, Any]) -> list[dict[str, Any]]:
    children = keeper(folder, "runs", "show", run["run"], "--json").document["children"]
    assert isinstance(children, list)
    return children


def seconds_after(window: Window, run: dict[str, Any]) -> float:
    return (datetime.fromisoformat(run["started_at"]) - window.opens).total_seconds()
