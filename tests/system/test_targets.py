"""Targets from a file that may be anything, and from a command that may do anything."""

import os
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.ports import Told, Untold
from keeper.system import SystemClock
from keeper.targets import LARGEST, CommandSource, FileSource

TOML = b'at = 2026-12-01T00:10:00Z\ntarget = { "BTC/USDT:USDT" = 2.50 }\n'
JSON = b'{"at": "2026-12-01T00:10:00Z", "target": {"BTC/USDT:USDT": 2.50, "ETH/USDT:USDT": "-1", "SOL/USDT:USDT": 1}}'


async def from_file(tmp_path: Path, text: bytes) -> Told | Untold:
    (tmp_path / "targets").write_bytes(text)
    os.utime(tmp_path / "targets", (1_700_000_000, 1_700_000_000))
    return await FileSource(tmp_path / "targets").read()


async def told(tmp_path: Path, text: bytes) -> Told:
    found = await from_file(tmp_path, text)
    assert isinstance(found, Told)
    return found


async def from_command(tmp_path: Path, script: str, *, seconds: float = 10, **env: str) -> Told | Untold:
    program = tmp_path / "signal"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    source = CommandSource(
        [str(program), "--btc"],
        directory=tmp_path,
        clock=SystemClock(),
        timeout=timedelta(seconds=seconds),
        env={**os.environ, **env},
    )
    assert source.name == f"{program} --btc"
    return await source.read()


async def why(tmp_path: Path, script: str, *, seconds: float = 10) -> str:
    found = await from_command(tmp_path, script, seconds=seconds)
    assert isinstance(found, Untold)
    return found.why


async def test_a_file_is_read_to_the_digit_with_the_time_at_which_it_was_written(tmp_path: Path) -> None:
    found = await told(tmp_path, TOML)
    assert found.at == datetime.fromtimestamp(1_700_000_000, UTC)
    at = datetime(2026, 12, 1, 0, 10, tzinfo=UTC)
    assert found.document == {"at": at, "target": {"BTC/USDT:USDT": Decimal("2.50")}}
    targets = {"BTC/USDT:USDT": Decimal("2.50"), "ETH/USDT:USDT": "-1", "SOL/USDT:USDT": 1}
    assert (await told(tmp_path, JSON)).document == {"at": "2026-12-01T00:10:00Z", "target": targets}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"target = {", "says what is neither TOML nor JSON"),
        (b'{"target": {"A": 1, "A": 2}}', "a key stands there twice"),
        (b"target = { A = nan }", "says what is neither"),
        (b"target = { A = 1e3 }", "says what is neither"),
        (b'{"target": {"A": NaN}}', "says what is neither"),
        (b'{"target": {"A": 1E3}}', "says what is neither"),
        (b"{" * 30_000, "says what is neither"),
        (b"\xff\xfe", "says what is neither"),
        (b"#" * (LARGEST + 1), "says more than 65536 bytes"),
    ],
)
async def test_what_is_no_document_is_not_told(tmp_path: Path, text: bytes, words: str) -> None:
    found = await from_file(tmp_path, text)
    assert isinstance(found, Untold)
    assert words in found.why


async def test_a_file_that_is_none_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path / "absent", "No such file"), (tmp_path / "pipe", "no regular"), (tmp_path, "no regular")):
        found = await FileSource(path).read()
        assert isinstance(found, Untold)
        assert words in found.why


async def test_a_command_is_told_no_secret_and_gets_no_shell(tmp_path: Path) -> None:
    script = (
        """[ "$1" = --btc ] && [ -z "$KEEPER__VENUES__X__CREDENTIALS__SECRET" ] && [ -n "$PATH" ] && echo 'target = { A = 1 }'"""
    )
    found = await from_command(tmp_path, script, KEEPER__VENUES__X__CREDENTIALS__SECRET="s")
    assert isinstance(found, Told)
    assert found.document == {"target": {"A": 1}}
    assert abs(SystemClock().now() - found.at) < timedelta(seconds=10)


async def test_what_goes_wrong_with_a_command_is_said(tmp_path: Path) -> None:
    assert "ended with 3" in await why(tmp_path, "echo 'target = { A = 1 }'; exit 3")
    assert "says more than" in await why(tmp_path, "yes")
    assert "neither TOML nor JSON" in await why(tmp_path, "echo buy")
    absent = CommandSource([str(tmp_path / "absent")], directory=tmp_path, clock=SystemClock(), timeout=timedelta(seconds=1))
    found = await absent.read()
    assert isinstance(found, Untold)
    assert "can't be run (No such file" in found.why


async def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    left = tmp_path / "left"
    assert "still running after 0.3 s" in await why(tmp_path, f"(sleep 1; touch {left}) & wait", seconds=0.3)
    await SystemClock().sleep_until(SystemClock().now() + timedelta(seconds=1.2))
    assert not left.exists()


async def test_whoever_left_its_session_and_holds_its_output_is_not_waited_for(tmp_path: Path) -> None:
    held = tmp_path / "held"
    script = f"setsid sh -c 'echo $$ >{held}; exec sleep 60' & exit 0"
    assert "still running after 0.5 s" in await why(tmp_path, script, seconds=0.5)
    os.kill(int(held.read_text()), signal.SIGKILL)  # it is still there


async def test_one_that_prints_without_end_is_left_as_often_as_it_is_asked(tmp_path: Path) -> None:
    for _ in range(20):
        assert "says more than" in await why(tmp_path, "yes")
