"""A screen that is closed or full must not decide whether orders are sent, nor leave a run behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.command_line import keeper

QUICK = """
[venues.sim]
exchange = "paper"
[venues.sim.feed]
kind = "fixed"
prices = { "BTC/USDT:USDT" = "105" }
markets = { "BTC/USDT:USDT" = { lot = "0.001", tick = "0.1" } }
[venues.sim.account]
balances = { USDT = "100000" }
positions = { "BTC/USDT:USDT" = { contracts = "3000", entry = "100" } }
[funds.btc]
venue = "sim"
target = { "BTC/USDT:USDT" = 3 }
"""


@pytest.mark.parametrize("broken", ["stdout is full", "stdout is closed", "stderr is full"])
def test_a_run_goes_on_to_its_end(tmp_path: Path, broken: str) -> None:
    (tmp_path / "keeper.toml").write_text(QUICK)
    reading, writing = os.pipe()
    os.close(reading)
    with Path("/dev/full").open("w") as full, os.fdopen(writing, "w") as closed:
        streams = {"stdout is full": (full, None), "stdout is closed": (closed, None), "stderr is full": (None, full)}[broken]
        command = [sys.executable, "-m", "keeper", "rebalance", "--yes"]
        out, err = (stream or subprocess.DEVNULL for stream in streams)
        ended = subprocess.run(command, cwd=tmp_path, stdout=out, stderr=err, check=False, timeout=60)  # noqa: S603 - ours
    assert ended.returncode == (74 if broken == "stdout is full" else 0)
    told = keeper(tmp_path, "runs", "list", "--json")
    assert '"status": "completed"' in told.out


PRINTING = [("plan",), ("plan", "--json"), ("status",), ("config", "show"), ("--version",)]


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
@pytest.mark.parametrize("broken", [">/dev/full", ">&-", "<&- >&-"])
def test_what_could_not_be_printed_is_told_by_the_exit_code(tmp_path: Path, command: tuple[str, ...], broken: str) -> None:
    (tmp_path / "keeper.toml").write_text(QUICK)
    script = f'"$0" -W error -m keeper "$@" {broken}'
    words = ["sh", "-c", script, sys.executable, *command]
    ended = subprocess.run(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False, timeout=60)  # noqa: S603 - ours
    assert ended.returncode == 74, ended.stderr
    assert "keeper: can't write what was to be printed: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_a_closed_stderr_takes_nothing_away(tmp_path: Path) -> None:
    (tmp_path / "keeper.toml").write_text(QUICK)
    words = ["sh", "-c", '"$0" -m keeper rebalance --yes --json 2>&-', sys.executable]
    ended = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=False, timeout=60)  # noqa: S603 - ours
    assert ended.returncode == 0
    assert '"status": "completed"' in ended.stdout
