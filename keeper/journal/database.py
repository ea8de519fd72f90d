"""The database under the journal: connections, transactions, versions, and what to do when one of them fails.

Nothing is known here of what the tables hold. The file is never opened except through SQLite: closing any other
handle to it drops the locks that SQLite holds for the whole process.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from keeper.domain.errors import JournalError
from keeper.journal.failures import DAMAGED, reporting
from keeper.journal.files import Files, is_there
from keeper.journal.schema import metadata

R = TypeVar("R")
_Begin = Callable[[], AbstractContextManager[Connection]]

HEAD = "0004"
"""The revision of the tables that this version of Keeper reads and writes."""
BUSY = 5.0
"""Seconds to wait for another process's transaction."""
READ = "BEGIN"
WRITE = "BEGIN IMMEDIATE"


class Database:
    """One journal's connections: at most one that writes, and others that only read.

    url: as configured; writes: whether anything may be written; image: what a database in memory starts with, as ``image``
    gave it. Raises JournalError throughout. Threads may share it, unless it is in memory.
    """

    def __init__(self, url: str, *, writes: bool, image: bytes | None = None) -> None:
        self.where = describe(url)
        self._path = file_of(url)
        self._closing = ExitStack()
        self._memory: Connection | None = None
        self._reading: _Begin
        self._writing: _Begin | None
        with reporting(self.where):
            self._files = Files(self.where, self._path)
            if self._path is None:
                self._memory = self._closing.enter_context(_in_memory().connect())
                if image is not None:
                    _driver(self._memory).deserialize(image)
                self._reading = self._writing = partial(_transaction, self._memory, WRITE)
            else:
                self._reading = self._connections(url, READ)
                self._writing = self._connections(url, WRITE) if writes else None

    def image(self) -> bytes:
        """A database in memory, whole, as a new one can start with. JournalError when it lies in a file."""
        if self._memory is None:
            message = f"{self.where}: it lies in a file; copy it with SQLite's backup"
            raise JournalError(message)
        with reporting(self.where):
            return bytes(_driver(self._memory).serialize())

    def check_version(self) -> None:
        """JournalError unless the tables are of the version that this Keeper knows."""
        version = self.read(version_of)
        if version is not None and version > HEAD:
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
            if self._path is not None and not is_there(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._begin_writing() as connection:
                version = version_of(connection)
                if version is not None and version > HEAD:
                    raise self._newer(version)
                migrations.run(connection)
                _check_tables(connection)
        self._files.expect()

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
            self._files.check(self._save)
            with self._begin_writing() as connection:
                self._files.expect_beside()
                yield connection
            self._files.check(self._save)  # what was committed may be lost to whoever opens the journal next

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
            driver = _driver(connection)
            before, driver.text_factory = driver.text_factory, lambda raw: raw.decode(errors="replace")
            try:
                return work(connection)
            finally:
                driver.text_factory = before

        return self.read(leniently)

    def close(self) -> None:
        """Close every connection."""
        with reporting(self.where):
            self._closing.close()

    def _connections(self, url: str, begin: str) -> _Begin:
        """Begins transactions, each on a connection that no other is using; connections stay open for the next one."""
        engine = _engine(url, begin, poolclass=NullPool)
        idle: list[Connection] = []

        def close() -> None:
            for connection in idle:
                connection.close()

        self._closing.callback(close)

        @contextmanager
        def transaction() -> Iterator[Connection]:
            connection = idle.pop() if idle else engine.connect()
            try:
                with _transaction(connection, begin):
                    yield connection
            finally:
                idle.append(connection)

        return transaction

    def _begin_writing(self) -> AbstractContextManager[Connection]:
        if self._writing is None:
            message = f"{self.where}: opened for reading only"
            raise JournalError(message)
        return self._writing()

    def _save(self) -> None:
        """Bring what only the write-ahead log holds into the file itself: our handle on the log outlives its name."""
        with self._begin_writing() as connection:
            driver = _driver(connection)
            driver.execute("COMMIT")  # a checkpoint is no part of a transaction
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _newer(self, version: str) -> JournalError:
        return JournalError(
            f"{self.where}: written by a newer Keeper (tables {version}, this one knows {HEAD}): install that one"
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
        if path is not None and not is_there(path):
            return False
        Files(where, path).check_stump()
    database = Database(url, writes=False)
    try:
        return database.read(version_of) is not None
    finally:
        database.close()


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


def _engine(url: str, begin: str, **options: Any) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY, "check_same_thread": False}, **options)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so, not at the driver's guess
        connection.execute("PRAGMA foreign_keys=ON")
        if begin == READ:
            connection.execute("PRAGMA query_only=ON")
        else:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            connection.execute("PRAGMA synchronous=FULL")
            if mode not in ("wal", "memory"):
                message = f"{describe(url)}: its file system can't hold a write-ahead log: put the journal on a local disk"
                raise JournalError(message)

    return engine


@cache
def _in_memory() -> Engine:
    """The engine of every database in memory, one for each of its connections: what it has compiled serves them all."""
    return _engine("sqlite://", WRITE, poolclass=NullPool)


@contextmanager
def _transaction(connection: Connection, begin: str) -> Iterator[Connection]:
    """A transaction that the driver itself begins and ends: said to SQLAlchemy each would take as long as what is read."""
    driver = _driver(connection)
    driver.execute(begin)
    try:
        yield connection
        connection.commit()  # what SQLAlchemy ran, if anything, is over for it as well
        driver.commit()
    except BaseException:
        connection.rollback()
        driver.rollback()  # a COMMIT that failed leaves its transaction open
        raise


def _pragma(connection: Connection, what: str) -> str:
    return str(connection.exec_driver_sql(f"PRAGMA {what}").scalar())


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


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
