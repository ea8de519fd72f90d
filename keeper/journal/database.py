"""The database under the journal: connections, transactions, versions, and what to do when one of them fails.

Nothing is known here of what the tables hold. The file is never opened except through SQLite: closing any other
handle to it drops the locks that SQLite holds for the whole process.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from keeper.domain.errors import JournalError

R = TypeVar("R")

HEAD = "0002"
"""The revision of the tables that this version of Keeper reads and writes."""
BUSY = 5.0
"""Seconds to wait for another process's transaction."""
READ = "BEGIN"
WRITE = "BEGIN IMMEDIATE"
_REMEDIES = {
    "SQLITE_FULL": "the disk is full: free some space, then start again",
    "SQLITE_BUSY": "another process has held the journal for too long: see which one (`keeper status`), then try again",
    "SQLITE_LOCKED": "another process has held the journal for too long: see which one (`keeper status`), then try again",
    "SQLITE_CORRUPT": "the file is damaged: keep it as evidence, put a backup in its place, check the venue's open orders",
    "SQLITE_NOTADB": "the file is no journal, or damaged: point `keeper.journal` elsewhere, or move the file away",
    "SQLITE_READONLY": "it may not be written: check owner and permissions of the file and of its directory",
    "SQLITE_CANTOPEN": "it can't be opened: check owner and permissions of the file and of its directory",
    "SQLITE_PERM": "it can't be opened: check owner and permissions of the file and of its directory",
    "SQLITE_IOERR": "the disk failed: check the system's log and free space, then start again",
}


class Database:
    """One journal's connections: at most one that writes, and others that only read.

    url: as configured; writes: whether anything may be written. Raises JournalError throughout. Threads may share it.
    """

    def __init__(self, url: str, *, writes: bool) -> None:
        self.where = describe(url)
        self._path = file_of(url)
        self._writer: Engine | None = None
        with reporting(self.where):
            if is_in_memory(url):
                self._reader = self._writer = _engine(url, WRITE, poolclass=StaticPool)
            else:
                self._reader = _engine(url, READ, pool_size=2, max_overflow=0)
                self._writer = _engine(url, WRITE, pool_size=1, max_overflow=0) if writes else None
            self._inode = _inode(self._path)

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

    def upgrade(self) -> None:
        """Make the tables, or bring them to HEAD. JournalError when it is newer or no journal."""
        writer = self._may_write()
        with reporting(self.where), _private_files(), _alembic_silent():
            from keeper.journal import migrations

            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            with writer.begin() as connection:
                version = version_of(connection)
                if version is not None and version > HEAD:
                    raise self._newer(version)
                migrations.run(connection)
            self._inode = _inode(self._path)

    def write(self, work: Callable[[Connection], R]) -> R:
        """``work`` in one transaction that nothing else writes beside; committed when this returns."""
        writer = self._may_write()
        with reporting(self.where):
            if _inode(self._path) != self._inode:
                message = f"{self.where}: the file was deleted or replaced while in use: stop, put it back, check open orders"
                raise JournalError(message)
            with writer.begin() as connection:
                return work(connection)

    def read(self, work: Callable[[Connection], R]) -> R:
        """``work`` on one snapshot, without waiting for a writer."""
        with reporting(self.where), self._reader.begin() as connection:
            return work(connection)

    def close(self) -> None:
        """Close every connection."""
        with reporting(self.where):
            self._reader.dispose()
            if self._writer is not None:
                self._writer.dispose()

    def _may_write(self) -> Engine:
        if self._writer is None:
            message = f"{self.where}: opened for reading only"
            raise JournalError(message)
        return self._writer

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
    path = file_of(url)
    with reporting(describe(url)):
        if path is not None and not path.exists():
            return False
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
    if not {"alembic_version", "chain_head"} <= tables:
        message = f"{connection.engine.url.render_as_string()}: no journal of Keeper: set `keeper.journal` to another place"
        raise JournalError(message)
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version


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


def _inode(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _engine(url: str, begin: str, **options: Any) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY, "check_same_thread": False}, **options)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so, not at the driver's guess
        connection.text_factory = _lenient_text
        connection.execute("PRAGMA foreign_keys=ON")
        if begin == READ:
            connection.execute("PRAGMA query_only=ON")
        else:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            connection.execute("PRAGMA synchronous=FULL")
            if mode not in ("wal", "memory"):
                message = f"{describe(url)}: its file system can't hold a write-ahead log: put the journal on a local disk"
                raise JournalError(message)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _lenient_text(raw: bytes) -> str:
    """Damaged text must reach the check that names it."""
    return raw.decode(errors="replace")


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


@contextmanager
def reporting(where: str) -> Iterator[None]:
    """Every failure of the database or its disk as a JournalError that says what to do."""
    try:
        yield
    except DBAPIError as error:
        name = getattr(error.orig, "sqlite_errorname", "")
        remedy = next((remedy for start, remedy in _REMEDIES.items() if name.startswith(start)), None)
        message = f"{where}: {error.orig}: {remedy or 'run `keeper db verify`'}"
        raise JournalError(message) from error
    except SQLAlchemyError as error:
        message = f"{where}: {error}"
        raise JournalError(message) from error
    except ImportError as error:
        message = f"{where}: its driver is missing ({error}): install it, or use sqlite:///..."
        raise JournalError(message) from error
    except OSError as error:
        message = f"{where}: {error.strerror}: check free space, owner and permissions of the file and of its directory"
        raise JournalError(message) from error
