"""What several of these tests need: the entry point inside the test's process, for tables where a process for each row
would take too long; and demos that were shown once for all who look at what they left.
"""

import contextlib
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import structlog

from keeper.cli import main
from tests.fakes.command_line import CommandLine, Demo, Ended, judged, started


@pytest.fixture
def keeper_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    def run(*arguments: str) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "argv", ["keeper", *arguments])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return judged(Ended(end.value.code, out.getvalue(), err.getvalue()))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield run
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


DEMOS = {"told": (), "plain": ("--json",), "fall": ("--move", "-4%", "--json"), "short": ("--target", "-2", "--json")}


@pytest.fixture(scope="session")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Demo]:
    """The demo as it is, and with each of its options, all shown at the same time: they spend theirs waiting."""
    root = tmp_path_factory.mktemp("demos")
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(started(root, "demo", "--dir", str(root / name), *options))
            for name, options in DEMOS.items()
        }
        return {name: Demo(root / name, one.ended()) for name, one in running.items()}
