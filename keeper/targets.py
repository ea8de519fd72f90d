"""Whoever names targets outside of Keeper: a file that is read, or a command that is run. Judges nothing of what they say.

A command gets no shell, no terminal and none of this process's environment but where programs, a home and the zone are: keys
that stand in variables are not its business. It ends within its time, or is ended together with all that it started.
"""

import asyncio
import contextlib
import json
import os
import signal
import stat
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keeper.domain.numbers import parse_plain
from keeper.ports import Clock, Told, Untold

LARGEST = 65536
"""Bytes of a document."""
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
SHOWN = 200


class FileSource:
    """A file, such as another program writes and moves into place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """The file."""
        return str(self._path)

    async def read(self) -> Told | Untold:
        """What stands in it. A pipe is none: whoever reads one waits until somebody writes."""
        return _content(self._path)


class CommandSource:
    """A command that prints a document. directory: where it is run; clock: says when; timeout: how long it may take."""

    def __init__(
        self, command: Sequence[str], *, directory: Path, clock: Clock, timeout: timedelta, env: Mapping[str, str] = os.environ
    ) -> None:
        self._command = tuple(command)
        self._directory = directory
        self._env = {key: env[key] for key in KEPT if key in env}
        self._clock = clock
        self._timeout = timeout

    @property
    def name(self) -> str:
        """The command."""
        return " ".join(self._command)

    async def read(self) -> Told | Untold:
        """What it prints."""
        # a pipe of our own: asyncio takes a process for ended only once all who hold its pipe have closed it
        reading, writing = os.pipe()
        async with _heard(reading) as stream:
            try:
                process = await self._started(writing)
            except OSError as error:
                return Untold(f"can't be run ({error.strerror}): correct target_from.command")
            finally:
                os.close(writing)
            try:
                async with asyncio.timeout(self._timeout.total_seconds()):
                    text = await _output(stream)
                    code = await process.wait() if len(text) <= LARGEST else 0
            except TimeoutError:
                return Untold(
                    f"was still running after {self._timeout.total_seconds():g} s: make it faster, or raise target_from.timeout"
                )
            finally:
                await _ended(process)
        if code:
            return Untold(f"ended with {code}: see what it says when it is run by hand")
        return _parsed(text, self._clock.now())

    async def _started(self, output: int) -> asyncio.subprocess.Process:
        nothing = asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=nothing,
            stdout=output,
            stderr=nothing,
            cwd=self._directory,
            env=self._env,
            start_new_session=True,
        )


def _content(path: Path) -> Told | Untold:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Untold(f"can't be opened ({error.strerror}): write it, or correct target_from.file")
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            return Untold("is no regular file: name one in target_from.file")
        text = os.read(handle, LARGEST + 1)
    except OSError as error:
        return Untold(f"can't be read ({error.strerror}): look at its disk")
    finally:
        os.close(handle)
    return _parsed(text, datetime.fromtimestamp(found.st_mtime, UTC))


@contextlib.asynccontextmanager
async def _heard(pipe: int) -> AsyncIterator[asyncio.StreamReader]:
    """What comes out of a pipe, which is closed at the end whoever still holds its other one."""
    stream = asyncio.StreamReader()
    end = os.fdopen(pipe, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), end)
    try:
        yield stream
    finally:
        transport.close()


async def _output(stream: asyncio.StreamReader) -> bytes:
    """What a process prints, up to one byte more than a document may have."""
    found = b""
    while len(found) <= LARGEST and (chunk := await stream.read(LARGEST + 1 - len(found))):
        found += chunk
    return found


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End a process with all that it started, if it has not ended by itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _parsed(text: bytes, at: datetime) -> Told | Untold:
    if len(text) > LARGEST:
        return Untold(f"says more than {LARGEST} bytes: a document of targets has a few lines")
    try:
        words = text.decode()
        if words.lstrip().startswith("{"):
            document = json.loads(words, parse_float=parse_plain, parse_constant=parse_plain, object_pairs_hook=_each_once)
        else:
            document = tomllib.loads(words, parse_float=parse_plain)
    except (ValueError, RecursionError) as error:
        return Untold(f'says what is neither TOML nor JSON ({str(error)[:SHOWN]}): such as target = {{ "BTC/USDT:USDT" = 2 }}')
    return Told(document=document, at=at)


def _each_once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """A JSON object, each key of which stands there once. ValueError otherwise."""
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key stands there twice"
        raise ValueError(message)
    return found
