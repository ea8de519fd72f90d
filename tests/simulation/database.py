"""The journal of a simulated world: in memory, made once by its migrations, and begun anew from that image for each world."""

import sqlite3
from functools import cache
from typing import Any

from keeper.journal.connections import driver
from keeper.journal.database import Database
from keeper.journal.store import Mode, SqlJournal


@cache
def _image() -> bytes:
    made = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
    image = made.image()
    made._base.close()
    return image


class Disk:
    """What a world's processes share and what survives them."""

    def __init__(self) -> None:
        self._first = SqlJournal.over(_image())
        self._base: Database = self._first._base
        assert self._base._memory is not None
        self._raw: sqlite3.Connection = driver(self._base._memory)
        self.backups: list[bytes] = []

    def journal(self) -> SqlJournal:
        """The journal as a process that starts finds it."""
        return SqlJournal(self._base, inline=True)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What was committed, for whoever judges."""
        return self._raw.execute(query, values).fetchall()

    def image(self) -> bytes:
        return self._first.image()

    def keep(self) -> None:
        """Make a backup."""
        self.backups.append(self.image())

    def put_back(self, backup: bytes) -> None:
        """Have the journal be what it was when ``backup`` was made. Whoever had it open must be gone."""
        self._raw.deserialize(backup)

    def close(self) -> None:
        self._base.close()
