"""The files of a journal on disk: that they are still the ones in use. Never opened here: SQLite's locks would be lost.

SQLite goes on writing to a file that has lost its name, that was cut short or overwritten, or that another was put in place
of, and says that all is well.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from keeper.domain.errors import JournalError
from keeper.journal.failures import RESTORE

_Node = tuple[int, int]
"""Which file it is: device and inode."""

_SMALLEST = 512
"""Bytes of SQLite's smallest page."""


class Files:
    """The file of one journal, its write-ahead log and the index of that. where: for messages; path: None in memory."""

    def __init__(self, where: str, path: Path | None) -> None:
        self._where = where
        self._path = path
        self._beside = [] if path is None else [path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-shm")]
        self._expected_beside: list[_Node | None] | None = None
        self._written_at: int | None = None
        self._one_at_a_time = Lock()
        self.expect()

    def check_stump(self) -> None:
        """JournalError when there is a file too short to be a database: SQLite would take it for a new one."""
        if self._expected is not None and self._size < _SMALLEST:
            raise self._gone(f"the file is all but empty: if it was a journal {RESTORE}, else remove it")

    def is_cut(self, page: int) -> bool:
        """Whether the file ends within a page (of so many bytes)."""
        return self._size % page != 0

    def expect(self) -> None:
        """What is there now is the journal: from here on it is to stay."""
        self._expected, self._size, _ = (None, 0, 0) if self._path is None else _found(self._path)

    def expect_beside(self) -> None:
        """A transaction has begun, so that the files beside the journal exist: from here on they are to stay."""
        if self._expected_beside is None:
            self._expected_beside = self._found_beside()

    def check(self, save: Callable[[], None], look: Callable[[], None]) -> None:
        """JournalError when one of them was removed, replaced or cut, or has been overwritten.

        save: called first where it saves what was recorded; look: called where the file was written to since it was looked at
        last, by SQLite or by others; raises JournalError if by others.
        """
        if self._path is None:
            return
        with self._one_at_a_time:
            self._check(self._path, save, look)

    def _check(self, path: Path, save: Callable[[], None], look: Callable[[], None]) -> None:
        node, size, written_at = _found(path)
        if node != self._expected:
            raise self._gone("the file was deleted or replaced while in use: stop, put it back, check open orders")
        if size < self._size:
            lost = f"the file was cut from {self._size} to {size} bytes while in use"
            raise self._gone(f"{lost}: stop, keep it as evidence, {RESTORE}, check the venue's open orders")
        if written_at != self._written_at:
            look()
        self._size, self._written_at = size, written_at
        if self._expected_beside is not None and self._found_beside() != self._expected_beside:
            if _found(self._beside[0])[0] is None:
                save()
            names = " or ".join(path.name for path in self._beside)
            remedy = "leave these files alone, stop, run `keeper db verify`, then start again"
            raise self._gone(f"{names} was deleted or replaced while in use: {remedy}")

    def _found_beside(self) -> list[_Node | None]:
        return [_found(path)[0] for path in self._beside]

    def _gone(self, what: str) -> JournalError:
        return JournalError(f"{self._where}: {what}")


def marker_of(path: Path) -> Path:
    """What stands beside the journal at ``path`` from before it is moved aside until a copy is in its place: that copy, whole."""
    return path.with_name(f"{path.name}.restoring")


def _check_not_halfway(path: Path) -> None:
    if os.path.lexists(marker_of(path)):
        message = "a copy was being put in its place, which was not ended: run `keeper db restore FILE` again"
        raise JournalError(f"{message} ({marker_of(path).name} says so, and is that copy)")


def is_there(path: Path) -> bool:
    """Whether there is a file at ``path``. OSError when a link, or what should be a directory, leads nowhere.

    JournalError where a copy was being put in the journal's place, and that was not ended.
    """
    _check_not_halfway(path)
    for place in (path, *path.parents):
        try:
            place.lstat()
        except FileNotFoundError:
            continue
        if place == path:
            if not path.exists():
                raise FileNotFoundError(errno.ENOENT, "it is a link that leads nowhere", str(path))
            return True
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
        return False
    return False


def _found(path: Path) -> tuple[_Node | None, int, int]:
    """Which file is there, None where there is none; its bytes; when it was written to last, in nanoseconds."""
    try:
        found = os.stat(path)  # noqa: PTH116 - before and after every write: pathlib takes twice as long
    except FileNotFoundError:
        return None, 0, 0
    return (found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns
