"""Whatever byte of a journal is another: who reads it is told file and remedy, as a JournalError, or what stands there."""

import asyncio
import random  # noqa: TID251 - the same seed damages the same bytes
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keeper.domain.errors import JournalError
from keeper.journal import Mode, SqlJournal, exists, upgrade
from tests.fakes.journal_values import AT, a_child, a_run, later
from tests.fakes.tampering import alter, ask, verdict, write_history

PAGE = 4096
REMEDY = (
    r"journal .*keeper\.db: .*(keeper db (verify|upgrade|restore)|check owner and permissions|set `keeper\.journal`|newer Keeper)"
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "keeper.db"
    write_history(path)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "keeper.db"))


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@contextmanager
def told(words: str = REMEDY) -> Iterator[None]:
    """Whatever goes wrong inside is a JournalError in these words."""
    try:
        yield
    except JournalError as error:
        if not re.search(words, " ".join(str(error).split())):
            raise AssertionError(str(error)) from error


async def look(journal: SqlJournal) -> None:
    """What status, plan, kill and verify ask."""
    asked: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: journal.runs(fund="btc3l", limit=1),
        lambda: journal.nav_points("btc3l", limit=1),
        lambda: journal.standing("btc3l"),
        lambda: journal.open_children("btc3l"),
        lambda: journal.slot_runs("btc3l", AT.date()),
        lambda: journal.footing("btc3l", "r1", AT),
        lambda: journal.settled("btc3l", "acc"),
        lambda: journal.fills_since_settled("btc3l"),
        lambda: journal.lately("btc3l", cleared=AT, hour=AT, day=AT),
        lambda: journal.children("r1"),
        lambda: journal.fills("r1"),
        lambda: journal.ledger("btc3l"),
        journal.events,
        journal.waiting_commands,
        journal.verify,
    )
    for ask_it in asked:
        with told():
            await ask_it()


def write(path: Path) -> None:
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)

    async def work() -> None:
        await journal.set_trouble("btc3l", "none", at=later(9))
        await journal.open_run(a_run("r2"))
        await journal.record_intent(a_child("kpr9", run="r2"))

    try:
        asyncio.run(work())
    finally:
        asyncio.run(journal.close())


def read(path: Path, mode: Mode) -> None:
    journal = SqlJournal.open(url(path), mode=mode, inline=True)
    asyncio.run(look(journal))
    asyncio.run(journal.close())


@pytest.mark.parametrize("seed", range(60))
def test_bytes_that_were_flipped_end_in_a_journal_error_or_in_nothing(path: Path, seed: int) -> None:
    drawn = random.Random(seed)  # noqa: S311 - as above
    content = bytearray(path.read_bytes())
    for _ in range(40 if seed % 2 else 1):
        content[drawn.randrange(PAGE if seed % 3 else 0, len(content))] ^= 255
    path.write_bytes(content)
    for command in (
        lambda: exists(url(path)),
        lambda: read(path, Mode.AUDITOR),
        lambda: read(path, Mode.READER),
        lambda: write(path),
        lambda: upgrade(url(path)),
    ):
        with told():
            command()


NO_TEXT = "UPDATE fund_states SET reason = CAST(X'ff' AS TEXT)"
SQL = {
    "no row that tells the version": "DELETE FROM alembic_version",
    "no table that tells the version": "DROP TABLE alembic_version",
    "a table is gone": "DROP TABLE pins",
    "the chain is gone": "DROP TABLE events",
    "its head is gone": "DROP TABLE chain_head",
    "text that is none": NO_TEXT,
    "an event of text that is none": "UPDATE events SET payload = CAST(X'ff' AS TEXT) WHERE seq = 3",
}


@pytest.mark.parametrize("statement", SQL.values(), ids=SQL)
def test_what_is_missing_or_no_text_is_called_damaged_by_whoever_reads_or_upgrades(path: Path, statement: str) -> None:
    alter(path, (statement, ()))
    with pytest.raises(JournalError, match=r"keeper\.db: .*the file is damaged: .*keeper db restore FILE"):
        upgrade(url(path))
    with told(r"keeper\.db: .*the file is damaged"):
        assert verdict(path)


async def test_text_that_is_none_is_called_damaged_by_whoever_reads_it(path: Path) -> None:
    alter(path, (NO_TEXT, ()))
    journal = SqlJournal.open(url(path), mode=Mode.READER, inline=True)
    with pytest.raises(JournalError, match=r"keeper\.db: .*the file is damaged"):
        await journal.standing("btc3l")
    await journal.close()


def test_a_journal_that_stands_in_the_wrong_place_says_so_in_the_form_of_the_others(path: Path) -> None:
    for table in ask(path, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        alter(path, ("PRAGMA foreign_keys=OFF", ()), (f"DROP TABLE {table[0]}", ()))
    alter(path, ("CREATE TABLE photos (id INTEGER)", ()))
    with pytest.raises(JournalError, match=rf"^journal {path}: it is no journal of Keeper: set `keeper\.journal`"):
        exists(url(path))


def leave_empty(path: Path) -> None:
    path.write_bytes(b"")


def lead_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone.db"))


def directory_is_a_file(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("")


def directory_leads_nowhere(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(path.parent.with_name("gone"))


ACCIDENTS = {
    leave_empty: "the file is all but empty",
    lead_nowhere: "it is a link that leads nowhere",
    directory_is_a_file: "no directory",
    directory_leads_nowhere: "no directory",
}


@pytest.mark.parametrize(("accident", "words"), ACCIDENTS.items())
def test_what_stands_where_a_journal_belongs_is_not_taken_for_none(
    original: Path, tmp_path: Path, accident: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "var" / "keeper.db"
    path.parent.mkdir()
    shutil.copy(original, path)
    accident(path)
    with pytest.raises(JournalError, match=rf"journal {path}: .*{words}"):
        exists(url(path))
    for mode in Mode:
        with pytest.raises(JournalError, match=rf"journal {path}: .*{words}"):
            SqlJournal.open(url(path), mode=mode, inline=True)
