"""One trading process per account: an flock on a file beside the journal, named after the account's fingerprint.

The kernel frees the lock when the process ends, however it ends. The file itself stays: removing it would let a second
process lock a new file of the same name while the first still trades.
"""

import fcntl
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import Self

from keeper.domain.errors import AccountBusy, InvariantViolation, JournalError
from keeper.journal.failures import remedy_of

ATTEMPTS = 20
PAUSE = 0.05
"""Seconds between attempts: ``is_held`` takes the lock for an instant, and must not look like a second process."""
_FINGERPRINT = re.compile(r"[A-Za-z0-9_-]{1,64}")


class AccountLock:
    """The right to trade one account, held from ``__enter__`` to ``__exit__``.

    directory: where the journal lies, made with mode 700 if missing; account: fingerprint of the account.
    Entering raises AccountBusy when another process holds the account for longer than a second, JournalError when
    the file can't be made.
    """

    def __init__(self, directory: Path, account: str) -> None:
        self._path = _path(directory, account)
        self._account = account
        self._file: int | None = None

    def __enter__(self) -> Self:
        if self._file is not None:
            message = f"account {self._account} is locked twice by the same object"
            raise InvariantViolation(message)
        with _as_journal_error(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)  # a holder that is gone must not be named to the next one who is refused
            os.close(self._file)
            self._file = None

    def _acquire(self) -> int:
        for _ in range(ATTEMPTS):
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(file, self._path):
                    os.ftruncate(file, 0)
                    os.pwrite(file, _signature(), 0)
                    return file
            except BlockingIOError:
                pass
            except OSError:
                os.close(file)
                raise
            os.close(file)
            sleep(PAUSE)
        raise AccountBusy(_busy(self._account, self._path))


def is_held(directory: Path, account: str) -> bool:
    """Whether a process trades ``account`` now. False as well when nothing has ever run in ``directory``.

    Takes and frees a shared lock at once. JournalError when the file may not be read.
    """
    path = _path(directory, account)
    with _as_journal_error(path):
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
    return False


def holders(directory: Path) -> tuple[str, ...]:
    """Who trades an account whose lock lies in ``directory``: each process's id and command, as far as it can be told."""
    found = []
    for account in accounts_in(directory):
        with suppress(JournalError, OSError):
            if is_held(directory, account):
                found.append(_path(directory, account).read_text(errors="replace") or "PID (not told)")
    return tuple(found)


def accounts_in(directory: Path) -> list[str]:
    """The accounts that were ever traded beside a journal in ``directory``."""
    return sorted(path.stem for path in directory.glob("*.lock") if _FINGERPRINT.fullmatch(path.stem))


def _path(directory: Path, account: str) -> Path:
    if not _FINGERPRINT.fullmatch(account):
        message = f"{account!r} is no account fingerprint: letters, digits, - and _ only"
        raise InvariantViolation(message)
    return directory / f"{account}.lock"


def _is_at(file: int, path: Path) -> bool:
    """Whether the open ``file`` is still the one that ``path`` names."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _signature() -> bytes:
    """Who we are, for the message of whoever is refused: one line, process id first."""
    command = " ".join(" ".join(sys.orig_argv).split())
    return f"{os.getpid()} {command[:200]}".encode(errors="replace")


def _busy(account: str, path: Path) -> str:
    pid, _, command = path.read_text(errors="replace").partition(" ")
    holder = f"process {pid} ({command})" if pid else "another process"
    return f"account {account} is held by {holder}: wait until it ends, or stop it (kill {pid or 'PID'}) and try again"


@contextmanager
def _as_journal_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{path}: {error.strerror}: {remedy_of(error)}"
        raise JournalError(message) from error
