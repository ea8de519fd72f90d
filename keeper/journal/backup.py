"""A journal copied while it is in use, and a copy put back in its place.

What was recorded after a copy is gone with the journal it replaces, a halt among it, so every fund of a journal that was put
back is halted until somebody has compared it with the venue. Nothing is thrown away: what stood there is moved aside.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, select, union

from keeper.domain.errors import JournalError
from keeper.domain.fund import FundState
from keeper.journal import audit, funds, remembered
from keeper.journal.database import Database, describe, directory_of, file_of
from keeper.journal.events import Chain, Head
from keeper.journal.failures import remedy_of, reporting
from keeper.journal.files import marker_of
from keeper.journal.lock import AccountLock, accounts_in
from keeper.journal.schema import commands, first_starts, fund_states, runs
from keeper.policy.breakers import Cause

_BESIDE = ("-wal", "-shm")
_LOG_STARTS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""The first bytes of a write-ahead log, by https://sqlite.org/fileformat2.html#the_write_ahead_log."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What putting a copy back came to. events: how many the copy held; aside: where what stood there is now, if anything did."""

    events: int
    aside: Path | None
    halted: tuple[str, ...]


def back_up(url: str, target: Path) -> int:
    """Copy the journal at ``url`` to ``target``, beside whoever uses it, for its owner alone; how many events it holds.

    JournalError when the journal is not sound, or ``target`` is there already or can't be written; nothing is left there then.
    The copy grows beside it, as ``target`` with .part behind its name, which must not be there already either.
    """
    part = target.with_name(f"{target.name}.part")
    with _sound(url) as database, _as_journal_error(target), _reserved(target), _reserved(part):
        database.copy_to(part)
        with _sound(_url(part)) as copy:
            events = copy.read(audit.head).count
        part.replace(target)
    return events


def restore(url: str, source: Path, names: Sequence[str], *, at: datetime) -> Restored:
    """Put the copy in ``source`` in the journal's place, with every fund halted: those it tells of, and ``names``.

    at: aware UTC. AccountBusy while a process holds an account beside the journal, JournalError when ``source`` is not a sound
    journal of this version; nothing is changed then.
    """
    path = file_of(url)
    if path is None:
        raise JournalError(f"{describe(url)}: it lies in no file, so nothing can be put in its place")
    fresh = path.with_name(f"{path.name}.copying")
    with ExitStack() as stack:
        for account in accounts_in(directory_of(url)):
            stack.enter_context(AccountLock(directory_of(url), account))
        with _sound(_url(source)) as copy, reporting(describe(url)):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in (fresh, *(fresh.with_name(f"{fresh.name}{ending}") for ending in _BESIDE)):
                left.unlink(missing_ok=True)
            events = copy.read(audit.head).count
            copy.copy_to(fresh)
        halted, head = _halted(fresh, source, names, at)
        with reporting(describe(url)):
            _gather(path, url)
            fresh.replace(marker_of(path))  # what is half moved opens for nobody, however this ends
            aside = _moved_aside(path, f"{path.name}.before-{at:%Y%m%dT%H%M%SZ}")
            marker_of(path).replace(path)
            remembered.remember(path, head, anew=True)
    return Restored(events, aside, halted)


def _halted(fresh: Path, source: Path, names: Sequence[str], at: datetime) -> tuple[tuple[str, ...], Head]:
    """Halt every fund of the journal in ``fresh``: which they are, and where its chain ends now."""
    database = Database(_url(fresh), writes=True)
    try:
        with database.writing() as connection:
            chain = Chain(connection)
            found = tuple(sorted({*names, *_funds(connection)}))
            for fund in found:
                before = funds.standing(connection, fund)
                reason = f"the journal was put back from {source.name}: what came after that copy is not in it"
                if before.halted:
                    reason += f"; it was halted in the copy already ({before.reason or 'no reason given'})"
                funds.set_state(chain, fund, FundState.HALTED, reason=reason, at=at, cause=Cause.JOURNAL)
            chain.seal()
        return found, database.read(audit.head)
    finally:
        database.close()


def _funds(connection: Connection) -> Iterator[str]:
    told = union(*(select(table.c.fund) for table in (fund_states, runs, first_starts, commands)))
    return (str(fund) for (fund,) in connection.execute(told))


def _gather(path: Path, url: str) -> None:
    """Bring the log of the journal that goes into its file, and note where it ended; one that can't be used stays as it is.

    Without its log a journal is an older one, and opens as if nothing had come after.
    """
    with suppress(OSError, JournalError):
        with path.with_name(f"{path.name}-wal").open("rb") as log:
            if log.read(4) not in _LOG_STARTS:
                return  # SQLite would throw it away
        database = Database(url, writes=True)
        try:
            database.check_is_there()
            database.check_version()
            database.check_structure()
            database.gather()
        finally:
            database.close()


def _moved_aside(path: Path, name: str) -> Path | None:
    """Rename the journal and what belongs to it, so that the three still fit together. The journal's own name goes last."""
    aside = path.with_name(name)
    if not os.path.lexists(path):
        return None
    for ending in _BESIDE:
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}{ending}").rename(f"{aside}{ending}")
    path.rename(aside)
    return aside


@contextmanager
def _sound(url: str) -> Iterator[Database]:
    """The journal at ``url``, to be read. JournalError unless every part of it holds."""
    database = Database(url, writes=False)
    try:
        database.check_is_there()
        database.check_version()
        database.check_structure()
        if faults := database.read_as_it_stands(audit.verify):
            raise JournalError(f"{database.where}: its chain is broken at event {faults[0].seq} ({faults[0].what})")
        yield database
    finally:
        database.close()


@contextmanager
def _reserved(target: Path) -> Iterator[None]:
    """Nobody else's file is overwritten, and none of ours is left where it can't be finished."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextmanager
def _as_journal_error(target: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise JournalError(f"{error.filename or target}: it is there already: name another file, or move it away") from error
    except OSError as error:
        raise JournalError(f"{target}: {error.strerror}: {remedy_of(error)}") from error


def _url(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"  # or what follows a question mark would be no part of its name
