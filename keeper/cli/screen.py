"""Where tables and progress go. A screen that is gone, or full, must never decide whether orders are sent."""

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


class Unfailing:
    """A text stream that falls silent when what it writes to can't take any more: a closed pipe, a full disk."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        """Write ``text``, or drop it."""
        if not self._broken:
            try:
                self._stream.write(text)
            except OSError:
                self._broken = True
        return len(text)

    def flush(self) -> None:
        """Flush, if there is somebody to flush to."""
        if not self._broken:
            try:
                self._stream.flush()
            except OSError:
                self._broken = True

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


def let_go() -> None:
    """Flush what is left; a reader who has gone, or a full disk, is no reason to complain at the very end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
