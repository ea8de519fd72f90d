"""Where tables and progress go. A screen that is gone, or full, must never decide whether orders are sent."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, ClassVar, TextIO

if TYPE_CHECKING:
    from rich.console import Console


LAST_STREAM = 2


class Unfailing:
    """A text stream that falls silent when what it writes to can't take any more: a closed pipe, a full disk.

    failures: why, for whoever ends the process. An unbuffered stream keeps nothing of what it refused.
    """

    failures: ClassVar[list[OSError]] = []

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        """Write ``text``, or drop it."""
        if not self._broken:
            try:
                self._stream.write(text)
            except OSError as error:
                self._break(error)
        return len(text)

    def flush(self) -> None:
        """Flush, if there is somebody to flush to."""
        if not self._broken:
            try:
                self._stream.flush()
            except OSError as error:
                self._break(error)

    def _break(self, error: OSError) -> None:
        self._broken = True
        if self._stream is sys.stdout:
            self.failures.append(error)

    def isatty(self) -> bool:
        """Whether a terminal is behind it."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's own descriptor."""
        return self._stream.fileno()


def console(*, stderr: bool = False) -> "Console":
    """Where tables are printed."""
    from rich.console import Console

    stream: object = Unfailing(sys.stderr if stderr else sys.stdout)
    return Console(file=stream, highlight=False)  # type: ignore[arg-type] # it has what Rich uses of a file


class Nowhere(io.TextIOBase):
    """In place of a stream that was closed before we started (``>&-``): refuses what is written, as a full disk would."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._lost = False

    def write(self, text: str) -> int:
        """Refuse ``text``."""
        self._lost = self._lost or bool(text)
        if text:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return 0

    def flush(self) -> None:
        """Say again what was refused."""
        if self._lost:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def forget(self) -> None:
        """Refuse nothing any more of what has been."""
        self._lost = False


def take_hold() -> None:
    """Make sure that there are three streams, and that no file of ours is opened in the place of one that was closed."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= LAST_STREAM:
        pass
    os.close(opened)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, io.StringIO() if name == "stdin" else Nowhere())


def let_go() -> OSError | None:
    """Flush what is left. Why stdout could not take all of it, if so; a reader who has gone is no reason to complain."""
    failures = list(Unfailing.failures)
    Unfailing.failures.clear()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            if stream is sys.stdout:
                failures.append(error)
            _drop(stream)
    return next((error for error in failures if not isinstance(error, BrokenPipeError)), None)


def _drop(stream: TextIO) -> None:
    """Nothing that is still on its way to ``stream`` comes up again as the interpreter ends."""
    if isinstance(stream, Nowhere):
        stream.forget()
    else:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
