"""Where the chain ended, kept in a file beside the journal: an older copy in the journal's place can't tell that it is one.

It is written as a fund is halted or released and as a process closes the journal, so a halt is missed even where no order
followed it. It lags behind: the journal holds at least what it names. Losing it costs this check and nothing else. It belongs
to whom the journal belongs to, whoever wrote it first: an operator's `sudo keeper halt` must not lock the daemon out.
"""

import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from keeper.domain.errors import JournalError
from keeper.journal.events import Head
from keeper.journal.failures import remedy_of

_CONTENT = re.compile(r"([0-9]{1,18}) ([0-9a-f]{64})\n")
_LONGEST = 1000


def file_beside(path: Path) -> Path:
    """The file that belongs to the journal at ``path``."""
    return path.with_name(f"{path.name}-head")


def recall(path: Path) -> Head | None:
    """Where the chain of the journal at ``path`` ended at least; None where nothing is known of it.

    JournalError when it can't be read, or is damaged.
    """
    try:
        text = file_beside(path).read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        owned = f"`chown --reference={path} {file_beside(path)}`"
        message = f"{file_beside(path)}: {error.strerror}: {remedy_of(error)}; it belongs to the journal's owner ({owned})"
        raise JournalError(message) from error
    return _head(text, path)


def remember(path: Path, head: Head, *, anew: bool = False) -> None:
    """Note that the chain reached ``head``; nothing is taken back, unless ``anew``: another chain begins to count.

    What can't be written is left: the journal itself has what matters.
    """
    with suppress(OSError):
        file = os.open(file_beside(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _give_to_owner_of(path, file)
            fcntl.flock(file, fcntl.LOCK_EX)  # two processes may end at the same time
            known = None if anew else _head(os.pread(file, _LONGEST, 0).decode("ascii", errors="replace"), path)
            if known is None or head.count > known.count:
                content = f"{head.count} {head.hash}\n".encode()
                os.pwrite(file, content, 0)
                os.ftruncate(file, len(content))
                os.fsync(file)
        finally:
            os.close(file)


def _give_to_owner_of(path: Path, file: int) -> None:
    """Make ``file`` as the journal is: of the same owner, which only root can, and open to no more than that one."""
    with suppress(OSError):
        its, ours = path.stat(), os.fstat(file)
        if os.geteuid() == 0 and ours.st_nlink == 1:  # a file of another name is none of ours to give away
            os.fchown(file, its.st_uid, its.st_gid)
        os.fchmod(file, stat.S_IMODE(its.st_mode) & 0o666)


def _head(text: str, path: Path) -> Head | None:
    if not text:
        return None
    found = _CONTENT.fullmatch(text)
    if found is None:
        message = (
            f"{file_beside(path)}: it is damaged: run `keeper db verify`, compare orders (`keeper reconcile`), then remove it"
        )
        raise JournalError(message)
    return Head(int(found[1]), found[2])
