"""Keeper's command line as an operator meets it: a process of its own that inherits nothing from the test's environment.

``keeper`` runs one command to its end, ``started`` gives one that is still running. What a command prints is judged
here once for all tests: a traceback or a warning on stderr fails whichever test it appears in.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
NEVER_PRINTED = ("Traceback (most recent call last)", "Warning:", "never awaited", "Exception ignored")


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that is over. code: its exit code; out, err: what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        read = json.loads(self.out)
        assert isinstance(read, dict)
        return read

    @property
    def said(self) -> list[str]:
        """The lines on stderr that are addressed to the operator, less the name in front."""
        return [line.removeprefix("keeper: ") for line in self.err.splitlines() if line.startswith("keeper: ")]


class CommandLine(Protocol):
    """Runs one command in the test's own process, with ``keeper.toml`` of the test's folder."""

    def __call__(self, *arguments: str) -> Ended: ...


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that was shown. folder: where it wrote."""

    folder: Path
    ended: Ended

    @property
    def config(self) -> tuple[str, str]:
        """The option that names its configuration file."""
        return "--config", str(self.folder / "keeper.toml")


def judged(ended: Ended) -> Ended:
    """``ended``, unless it printed what no command may."""
    unwanted = [words for words in NEVER_PRINTED if words in ended.err]
    assert not unwanted, ended.err
    return ended


def keeper(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
    """Run one command in ``folder``, where ``keeper.toml`` is found, without a terminal."""
    with started(folder, *arguments, env=env) as running:
        return running.ended()


@dataclass(slots=True)
class Running:
    """A command under way. Its streams are read as they come, so that neither fills up."""

    process: "subprocess.Popen[str]"
    _err: "queue.SimpleQueue[str | None]" = field(default_factory=queue.SimpleQueue)
    _said: list[str] = field(default_factory=list)
    _out: list[str] = field(default_factory=list)
    _readers: list[threading.Thread] = field(default_factory=list)

    def listen(self) -> None:
        """Begin to read."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read_out, args=(self.process.stdout,)),
            threading.Thread(target=self._read_err, args=(self.process.stderr,)),
        ]
        for reader in self._readers:
            reader.start()

    def until(self, words: str) -> str:
        """Wait for the line on stderr that holds ``words``, and return it."""
        while (line := self._err.get(timeout=PATIENCE)) is not None:
            if words in line:
                return line
        told = "".join(self._said)
        raise AssertionError(f"it ended without saying {words!r}:\n{told}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self, within: float = PATIENCE) -> Ended:
        """Wait for the end; TimeoutExpired after ``within`` seconds."""
        code = self.process.wait(within)
        self.close()
        return judged(Ended(code, "".join(self._out), "".join(self._said)))

    def close(self) -> None:
        """Stop it if it still runs, and read what is left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)

    def _read_out(self, stream: IO[str]) -> None:
        self._out.extend(stream)

    def _read_err(self, stream: IO[str]) -> None:
        for line in stream:
            self._said.append(line)
            self._err.put(line)
        self._err.put(None)


@contextmanager
def started(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A command that was started in ``folder`` without a terminal, and is gone when the block ends."""
    with subprocess.Popen(  # noqa: S603 - our own program
        command(*arguments),
        cwd=folder,
        env=environment(folder, env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        running = Running(process)
        running.listen()
        try:
            yield running
        finally:
            running.close()


def command(*arguments: str) -> list[str]:
    """The words that start Keeper; whatever it would only warn of is an error."""
    return [sys.executable, "-W", "error", "-m", "keeper", *arguments]


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What Keeper finds in its environment: no setting of this machine's."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **(more or {})}
