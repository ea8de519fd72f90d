"""SQLite's connections and transactions, set up so that nothing is lost; and how a file is read that can't be locked.

Nothing is known here of tables, nor of what to do when something fails.
"""

import os
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from keeper.domain.errors import JournalError

BUSY = 5.0
"""Seconds to wait for another process's transaction."""
READ = "BEGIN"
WRITE = "BEGIN IMMEDIATE"


def engine_of(url: str | URL, begin: str) -> Engine:
    """What makes connections for transactions that ``begin`` so: READ, which can't write, or WRITE."""
    engine = create_engine(url, connect_args={"timeout": BUSY, "check_same_thread": False}, poolclass=NullPool)

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
                message = "its file system can't hold a write-ahead log: put the journal on a local disk"
                raise JournalError(message)

    return engine


@cache
def in_memory() -> Engine:
    """The engine of every database in memory, one for each of its connections: what it has compiled serves them all."""
    return engine_of("sqlite://", WRITE)


class transaction:  # noqa: N801 - read as a word of a with statement
    """A transaction that the driver itself begins and ends: said to SQLAlchemy each would take as long as what is read."""

    __slots__ = ("_begin", "_connection", "_driver")

    def __init__(self, connection: Connection, begin: str) -> None:
        self._connection = connection
        self._driver = driver(connection)
        self._begin = begin

    def __enter__(self) -> Connection:
        self._driver.execute(self._begin)
        return self._connection

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        if error is not None:
            self._undo()
            return
        try:
            self._connection.commit()  # what SQLAlchemy ran, if anything, is over for it as well
            self._driver.commit()
        except BaseException:
            self._undo()  # a COMMIT that failed leaves its transaction open
            raise

    def _undo(self) -> None:
        self._connection.rollback()
        self._driver.rollback()


def driver(connection: Connection) -> sqlite3.Connection:
    """What SQLAlchemy's connection stands on."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def reading_url(url: str, path: Path) -> str | URL:
    """The address under which the file is read. One that nobody can change is read without locks, for which it has no place."""
    if not is_frozen(path):
        return url
    return URL.create("sqlite", database=f"file:{quote(str(path))}", query={"immutable": "1", "uri": "true"})


def is_frozen(path: Path) -> bool:
    """Whether a journal lies where nothing may be written, whole in its file."""
    writable = os.access(path.parent, os.W_OK, effective_ids=True)
    return path.exists() and not writable and not path.with_name(f"{path.name}-wal").exists()


def in_the_file_alone(path: Path, statement: str) -> tuple[Any, ...] | None:
    """The first row that ``statement`` finds in the file without its write-ahead log; None where not even its table is there.

    The log may still hide what became of the file. Read through SQLite, as everything is, so that its locks are kept.
    """
    with closing(sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True)) as connection:
        if connection.execute("PRAGMA schema_version").fetchone() == (0,):
            return None
        row: tuple[Any, ...] | None = connection.execute(statement).fetchone()
        return row
