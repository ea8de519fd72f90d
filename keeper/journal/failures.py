"""What to do when the database or its disk fails: every failure as one JournalError that names the file and the remedy.

Whoever reads a damaged file meets errors of every kind, since any byte of it may be another; none of them may end a command
with a traceback, least of all one that cancels orders.
"""

import errno
import sqlite3
from types import TracebackType

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from keeper.domain.errors import JournalError, KeeperError

RESTORE = "put a backup in its place (`keeper db restore FILE`)"
DAMAGED = f"the file is damaged: keep it as evidence, {RESTORE}, check the venue's open orders"
_HELD = "another process has held the journal for too long: find it (`fuser FILE` names it), end it, then try again"
_RIGHTS = "check owner and permissions of the file and of its directory"
_REMEDIES = {
    "SQLITE_FULL": "the disk is full: free some space, then start again",
    "SQLITE_BUSY": _HELD,
    "SQLITE_LOCKED": _HELD,
    "SQLITE_NOTADB": f"the file is no journal, or damaged: point `keeper.journal` elsewhere, or {RESTORE}",
    "SQLITE_READONLY": f"it may not be written: {_RIGHTS}",
    "SQLITE_CANTOPEN": f"it can't be opened: {_RIGHTS}",
    "SQLITE_PERM": f"it can't be opened: {_RIGHTS}",
    "SQLITE_IOERR": "the disk failed: check the system's log and free space, then start again",
}
"""By the start of SQLite's name of the error. All others come of what stands in the file: a lost table, text that is none."""


class reporting:  # noqa: N801 - read as a word of a with statement
    """Every failure of the database or its disk as a JournalError that says where, what, and what to do about it.

    where: the journal in words. What Keeper raises on purpose passes, a JournalError with ``where`` in front.
    """

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        if isinstance(error, Exception):
            _report(self._where, error)


def _report(where: str, error: Exception) -> None:
    """Raise what ``error`` is to whoever uses the journal, unless it is that already."""
    match error:
        case JournalError():
            if not str(error).startswith(where):
                raise type(error)(f"{where}: {error}") from error
        case KeeperError():
            pass
        case DBAPIError() | sqlite3.Error():
            told = error.orig if isinstance(error, DBAPIError) else error
            name = getattr(told, "sqlite_errorname", "")
            remedy = next((remedy for start, remedy in _REMEDIES.items() if name.startswith(start)), DAMAGED)
            raise JournalError(f"{where}: {told}: {remedy}") from error
        case SQLAlchemyError():
            raise JournalError(f"{where}: {error}: {DAMAGED}") from error
        case ImportError():
            message = f"{where}: its driver is missing ({error}): install it, or use sqlite:///..."
            raise JournalError(message) from error
        case OSError():
            raise JournalError(f"{where}: {error.strerror}: {remedy_of(error)}") from error
        case _:  # a byte that was changed can make any
            message = f"{where}: what stands in it can't be read ({type(error).__name__}): {DAMAGED}"
            raise JournalError(message) from error


def remedy_of(error: OSError) -> str:
    """What to do about a file that the system refuses."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full: free some space, then start again"
        case errno.ENOENT:
            return "put back what is missing, or set `keeper.journal` to another place"
        case errno.ENOTDIR | errno.EEXIST:
            return (
                "what stands in its directory's place is no directory: set `keeper.journal` to another place, or move that away"
            )
        case _:
            return _RIGHTS
