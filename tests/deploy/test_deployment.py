"""The service files start what they say: their commands, taken from them word by word, run here until ready."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = (DEPLOY / "keeper.service").read_text(encoding="utf-8")
COMPOSE = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
FUND = """
[keeper]
journal = "sqlite:///{folder}/keeper.db"
[venues.sim]
exchange = "paper"
[venues.sim.feed]
kind = "synthetic"
prices = {{ "BTC/USDT:USDT" = "60000" }}
markets = {{ "BTC/USDT:USDT" = {{ lot = "0.001", tick = "0.1" }} }}
[venues.sim.account]
balances = {{ USDT = "100000" }}
[funds.btc]
venue = "sim"
target = {{ "BTC/USDT:USDT" = 3 }}
schedule = {{ at = "00:15" }}
"""


def exec_start() -> list[str]:
    [line] = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    return shlex.split(line)


def container_command() -> list[str]:
    """What the container runs: the image's entry point with the command of the compose file."""
    [entry] = re.findall(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE, re.MULTILINE)
    [command] = re.findall(r"^\s+command: (\[.*\])$", COMPOSE, re.MULTILINE)
    return [*json.loads(entry), *json.loads(command)]


@pytest.mark.parametrize("told", [exec_start(), container_command()], ids=["systemd", "compose"])
def test_the_command_runs_until_ready_and_ends_on_sigterm(told: list[str], tmp_path: Path) -> None:
    (tmp_path / "keeper.toml").write_text(FUND.format(folder=tmp_path))
    assert Path(told[0]).name == "keeper"
    assert "/etc/keeper/keeper.toml" in told
    words = [str(tmp_path / "keeper.toml") if word == "/etc/keeper/keeper.toml" else word for word in told[1:]]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        with subprocess.Popen([sys.executable, "-m", "keeper", *words], cwd=tmp_path, env=environment) as process:  # noqa: S603 - ours
            said = manager.recv(4096).decode()
            while "READY=1" not in said:
                said = manager.recv(4096).decode()
            while "WATCHDOG=1" not in said:
                said = manager.recv(4096).decode()
            process.send_signal(signal.SIGTERM)
            before = time.monotonic()
            assert process.wait(30) == 0
            assert time.monotonic() - before < 20
            while "STOPPING=1" not in said:
                said = manager.recv(4096).decode()
    assert (tmp_path / "keeper.db").exists()


def test_the_unit_is_hardened() -> None:
    analyzer = shutil.which("systemd-analyze")
    if analyzer is None:
        assert {"NoNewPrivileges=yes", "ProtectSystem=strict", "DynamicUser=yes", "SystemCallFilter=@system-service"} <= set(
            UNIT.split()
        )
        return
    told = subprocess.run(  # noqa: S603 - the system's
        [analyzer, "security", "--offline=true", "--no-pager", str(DEPLOY / "keeper.service")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    [level] = re.findall(r"Overall exposure level for keeper.service: ([0-9.]+)", told.stdout)
    assert float(level) < 3


def test_the_image_runs_as_nobody_from_the_lock_with_hashes() -> None:
    lines = [line.strip() for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users
    assert users[-1] not in ("0", "root")
    assert "--require-hashes -r /src/requirements.lock" in DOCKERFILE
    assert all("latest" not in line for line in lines if line.startswith("FROM"))
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for name in copied.split():
            assert (DEPLOY.parent / name).exists(), name


def test_the_journal_of_the_container_outlives_it() -> None:
    [volume] = re.findall(r"^VOLUME (\S+)$", DOCKERFILE, re.MULTILINE)
    assert f"- journal:{volume}" in COMPOSE
    assert re.search(r"^volumes:\n  journal:$", COMPOSE, re.MULTILINE)
