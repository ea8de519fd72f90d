"""The database under the journal: connections, transactions, versions, and what to do when one of them fails.

Nothing is known here of what the tables hold. The file is never opened except through SQLite: closing any other
handle to it drops the locks that SQLite holds for the whole process.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from time import sleep
from typing import TypeVar

from sqlalchemy import URL, Connection, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from keeper.domain.errors import JournalError
from keeper.journal import audit, remembered
from keeper.journal.connections import (
    READ,
    WRITE,
    driver,
    engine_of,
    in_memory,
    in_the_file_alone,
    is_frozen,
    reading_url,
    transaction,
)
from keeper.journal.events import Head
from keeper.journal.failures import DAMAGED, RESTORE, reporting
from keeper.journal.files import Files, is_there
from keeper.journal.schema import metadata

R = TypeVar("R")
_Begin = Callable[[], AbstractContextManager[Connection]]

HEAD = "0008"
"""The revision of the tables that this version of Keeper reads and writes."""

LOOKS = 5
PAUSE = 0.05
"""Seconds between looks at a file that somebody may be writing to."""


class Database:
    """One journal's connections: at most one that writes, and others that only read.

    url: as configured; writes: whether anything may be written; image: what a database in memory starts with, as ``image``
    gave it. Raises JournalError throughout. Threads may share it, unless it is in memory.
    """

    def __init__(self, url: str, *, writes: bool, image: bytes | None = None) -> None:
        self.where = describe(url)
        self.writes = writes
        self._path = file_of(url)
        self._closing = ExitStack()
        self._filed = 0
        self._memory: Connection | None = None
        self._reading: _Begin
        self._writing: _Begin | None
        with reporting(self.where):
            self._files = Files(self.where, self._path)
            if self._path is None:
                self._memory = self._closing.enter_context(in_memory().connect())
                if image is not None:
                    driver(self._memory).deserialize(image)
                self._reading = self._writing = partial(transaction, self._memory, WRITE)
            else:
                self._reading = self._connections(url if writes else reading_url(url, self._path), READ)
                self._writing = self._connections(url, WRITE) if writes else None

    def image(self) -> bytes:
        """A database in memory, whole, as a new one can start with. JournalError when it lies in a file."""
        if self._memory is None:
            message = f"{self.where}: it lies in a file; copy it with SQLite's backup"
            raise JournalError(message)
        with reporting(self.where):
            return bytes(driver(self._memory).serialize())

    def check_version(self) -> None:
        """JournalError unless the tables are of the version that this Keeper knows."""
        version = self.read(version_of)
        if version is None:
            raise JournalError(f"{self.where}: it is no journal of Keeper, but an empty database")
        if version > HEAD:
            raise self._newer(version)
        if version != HEAD:
            message = (
                f"{self.where}: written by an older Keeper (tables {version}, this one needs {HEAD}): run `keeper db upgrade`"
            )
            raise JournalError(message)
        self.read(_check_tables)

    def upgrade(self) -> None:
        """Make the tables, or bring them to HEAD. JournalError when it is newer or no journal."""
        with reporting(self.where), _private_files(), _alembic_silent():
            from keeper.journal import migrations

            self._files.check_stump()
            if self._path is not None and not _was_begun(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._begin_writing() as connection:
                version = version_of(connection)
                if version is not None and version > HEAD:
                    raise self._newer(version)
                migrations.run(connection)
                _check_tables(connection)
        self._files.expect()

    def check_is_there(self) -> None:
        """JournalError when there is nothing to read."""
        with reporting(self.where):
            if self._path is not None and not is_there(self._path):
                raise JournalError("there is no such file")
            self._files.check_stump()

    def check_chain(self) -> None:
        """JournalError unless the chain ends where its head says."""
        self.read(audit.check_end)

    def check_end(self) -> None:
        """JournalError unless the chain goes through where it was once seen to end."""
        with reporting(self.where):
            known = self.remembered  # before the chain is read, or a write in between would make the chain look short
            if known is not None and not self.read(lambda connection: audit.holds(connection, known)):
                raise JournalError(shorter_than(known))

    @property
    def remembered(self) -> Head | None:
        """Where the chain was last seen to end; None where nobody noted that."""
        return None if self._path is None else remembered.recall(self._path)

    def remember(self) -> None:
        """Note where the chain ends, for whoever finds another journal in this one's place; JournalError in that one itself."""
        if self._path is not None:
            with reporting(self.where):
                self._files.check(self._save, self._look)
                self.check_end()  # or a halt there, an event more, would make it pass for the one that is gone
                remembered.remember(self._path, self.read(audit.head))

    def copy_to(self, target: Path) -> None:
        """Copy the database to a file that is not there yet, for its owner alone; whoever uses this one goes on."""

        def copy(connection: Connection) -> None:
            with closing(sqlite3.connect(target)) as made:
                driver(connection).backup(made)
                made.execute("PRAGMA journal_mode=DELETE")  # so that it is one file, which may be moved

        with _private_files():
            self.read(copy)

    def check_structure(self) -> None:
        """JournalError when a page of the file is damaged or missing. Reads all of it."""
        found, page = self.read(lambda connection: [_pragma(connection, what) for what in ("quick_check(1)", "page_size")])
        if found == "ok" and self._files.is_cut(int(page)):
            found = "the last page is not whole"
        if found != "ok":
            message = f"{self.where}: {' '.join(found.split())}: {DAMAGED}"
            raise JournalError(message)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that nothing else writes beside; committed when this ends without an error."""
        with reporting(self.where):
            self._files.check(self._save, self._look)
            with self._begin_writing() as connection:
                self._files.expect_beside()
                yield connection
            self._files.check(self._save, self._look)  # what was committed may be lost to whoever opens the journal next

    def check_in_place(self) -> None:
        """JournalError when the files are no longer those in use. Cheap enough to be asked once a second."""
        with reporting(self.where):
            self._files.check(self._save, self._look)

    def write(self, work: Callable[[Connection], R]) -> R:
        """``work`` in one such transaction."""
        with self.writing() as connection:
            return work(connection)

    def read(self, work: Callable[[Connection], R]) -> R:
        """``work`` on one snapshot, without waiting for a writer."""
        with reporting(self.where), self._reading() as connection:
            return work(connection)

    def read_as_it_stands(self, work: Callable[[Connection], R]) -> R:
        """``work`` on one snapshot in which text that is none does not stop it, so that it reaches the check that names it."""

        def leniently(connection: Connection) -> R:
            raw = driver(connection)
            before, raw.text_factory = raw.text_factory, lambda raw: raw.decode(errors="replace")
            try:
                return work(connection)
            finally:
                raw.text_factory = before

        return self.read(leniently)

    def close(self) -> None:
        """Close every connection."""
        with reporting(self.where):
            self._closing.close()

    def _connections(self, url: str | URL, begin: str) -> _Begin:
        """Begins transactions, each on a connection that no other is using; connections stay open for the next one."""
        engine = engine_of(url, begin)
        idle: list[Connection] = []

        def close() -> None:
            for connection in idle:
                connection.close()

        self._closing.callback(close)

        @contextmanager
        def begun() -> Iterator[Connection]:
            connection = idle.pop() if idle else engine.connect()
            try:
                with transaction(connection, begin):
                    yield connection
            finally:
                idle.append(connection)

        return begun

    def _begin_writing(self) -> AbstractContextManager[Connection]:
        if self._writing is None:
            message = f"{self.where}: opened for reading only"
            raise JournalError(message)
        return self._writing()

    def gather(self) -> None:
        """Bring the log into the file, and note where the chain ends."""
        self._save("TRUNCATE")
        self.remember()

    def _save(self, how: str = "PASSIVE") -> None:
        """Bring what only the write-ahead log holds into the file itself: our handle on the log outlives its name."""
        with self._begin_writing() as connection:
            raw = driver(connection)
            raw.execute("COMMIT")  # a checkpoint is no part of a transaction
            raw.execute(f"PRAGMA wal_checkpoint({how})")

    def _look(self) -> None:
        """JournalError when the file was written to by others than SQLite.

        Its own end of the chain tells, the log left out: it grows as the log is brought into the file, and the chain always
        goes through it. While that is being done a look may meet half of it, so that only the last look counts.
        """
        for _ in range(LOOKS):
            if self._is_ours():
                return
            sleep(PAUSE)
        lost = "the file was overwritten while in use"
        raise JournalError(f"{lost}: stop, keep it as evidence, {RESTORE}, check the venue's open orders")

    def _is_ours(self) -> bool:
        try:
            told = None if self._path is None else in_the_file_alone(self._path, "SELECT count, hash FROM chain_head")
            filed = Head(*told) if told is not None else Head(0, "")
            if filed.count < self._filed or not self.read(lambda connection: audit.holds(connection, filed)):
                return False
        except (sqlite3.Error, JournalError):
            return False
        self._filed = filed.count
        return True

    def _newer(self, version: str) -> JournalError:
        return JournalError(
            f"{self.where}: written by a newer Keeper (tables {version}, this one knows {HEAD}): install that one"
        )


def shorter_than(known: Head) -> str:
    """What to say of a chain that does not hold ``known``."""
    return (
        f"event {known.count}, which was recorded here, is not in it: an older copy, or another journal, was put in its place."
        " `keeper db restore FILE` puts a copy in place, this one too, and halts every fund until it was compared with the venue"
    )


def is_in_memory(url: str) -> bool:
    """Whether the journal is gone with its connection."""
    return file_of(url) is None


def exists(url: str) -> bool:
    """Whether there is a journal at ``url``; JournalError when something is there that can't be read."""
    if is_in_memory(url):
        return False
    path, where = file_of(url), describe(url)
    with reporting(where):
        if path is not None and not _was_begun(path):
            return False
        Files(where, path).check_stump()
    database = Database(url, writes=False)
    try:
        return database.read(version_of) is not None
    finally:
        database.close()


def _was_begun(path: Path) -> bool:
    """Whether there is a journal. JournalError where one was, and is gone: what it knew must not be forgotten in silence."""
    if is_there(path):
        return True
    if (known := remembered.recall(path)) is not None:
        anew = f"to begin anew, see what rests (`keeper kill`), then remove {remembered.file_beside(path).name}"
        raise JournalError(f"the journal is gone, it had {known.count} events or more: {RESTORE}, or, {anew}")
    return False


def version_of(connection: Connection) -> str | None:
    """The revision of the tables, None where there are none; JournalError when they are not Keeper's."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if not tables & {"alembic_version", "chain_head", "events"}:
        message = "it is no journal of Keeper: set `keeper.journal` to another place"
        raise JournalError(message)
    version = (
        connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if "alembic_version" in tables else None
    )
    if not isinstance(version, str):
        message = f"it does not say of which version it is: {DAMAGED}"
        raise JournalError(message)
    return version


def _check_tables(connection: Connection) -> None:
    """JournalError when a table of this version is gone."""
    if gone := metadata.tables.keys() - set(inspect(connection).get_table_names()):
        message = f"it lacks {', '.join(sorted(gone))}: {DAMAGED}"
        raise JournalError(message)


def file_of(url: str) -> Path | None:
    """The file of a journal; None for a database in memory."""
    database = _parse(url).database
    return Path(database) if database not in (None, "", ":memory:") else None


def is_read_only(url: str) -> bool:
    """Whether the journal lies where nothing may be written, so that it can only be read."""
    path = file_of(url)
    return path is not None and is_frozen(path)


def directory_of(url: str) -> Path:
    """Where what belongs beside the journal goes (locks): the directory of its file, else ``var``."""
    path = file_of(url)
    return Path("var") if path is None else path.parent


def describe(url: str) -> str:
    """The journal at ``url`` in words, without a password."""
    path = file_of(url)
    return f"journal {path}" if path is not None else f"journal {_parse(url).render_as_string(hide_password=True)}"


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "sqlite":
        message = "the journal's address can't be used: write sqlite:///var/keeper.db"
        raise JournalError(message)
    return parsed


def _pragma(connection: Connection, what: str) -> str:
    return str(connection.exec_driver_sql(f"PRAGMA {what}").scalar())


@contextmanager
def _private_files() -> Iterator[None]:
    """Whatever is created inside belongs to its owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _alembic_silent() -> Iterator[None]:
    """Alembic logs what it does as it is imported and run; that is of no use to an operator."""
    log = logging.getLogger("alembic")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
