"""What the journal does when its disk, its file or another process fails it: an error with a remedy, and no half a write."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from keeper.domain.errors import JournalError
from keeper.journal import Mode, SqlJournal, connections, database, exists, upgrade
from tests.fakes.journal_values import AT, a_child, a_run
from tests.fakes.tampering import alter, ask, verdict, write_history
from tests.fakes.unprivileged import public_directory, unprivileged


@contextmanager
def held_for_writing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("ROLLBACK")


async def fill_up(journal: SqlJournal, run: str) -> None:
    for sequence in range(1, 1000):
        await journal.record_intent(a_child(f"kpr{sequence:0500}", run=run, sequence=sequence))


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keeper.db"
    write_history(path)
    return path


def test_a_missing_journal_does_not_exist_and_a_reader_says_so(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "keeper.db"
    assert not exists(url(path))
    with pytest.raises(JournalError, match=r"nowhere/keeper\.db: nothing was recorded yet"):
        SqlJournal.open(url(path), mode=Mode.READER)
    assert not path.parent.exists()


async def test_what_a_writer_creates_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "keeper.db"
    before = os.umask(0)
    try:
        journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
        await journal.open_run(a_run())
    finally:
        os.umask(before)
    made = [path.parent.parent, path.parent, *path.parent.iterdir()]
    assert {entry.name for entry in made} >= {"a", "b", "keeper.db", "keeper.db-wal", "keeper.db-shm"}
    assert [oct(entry.stat().st_mode & 0o077) for entry in made] == [oct(0)] * len(made)
    await journal.close()
    assert exists(url(path))


async def test_a_relative_address_counts_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await SqlJournal.open("sqlite:///var/keeper.db", mode=Mode.WRITER, inline=True).close()
    assert (tmp_path / "var" / "keeper.db").is_file()
    assert database.directory_of("sqlite:///var/keeper.db") == Path("var")


async def test_the_database_is_set_up_to_lose_nothing(path: Path) -> None:
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    names = ("journal_mode", "synchronous", "locking_mode", "foreign_keys", "busy_timeout")
    settings = journal._base.write(
        lambda connection: {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}
    )
    await journal.close()
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "locking_mode": "normal",
        "foreign_keys": 1,
        "busy_timeout": 5000,
    }


@pytest.mark.parametrize("inline", [True, False])
async def test_a_reader_sees_what_is_committed_while_a_writer_is_at_work(path: Path, *, inline: bool) -> None:
    writer = SqlJournal.open(url(path), mode=Mode.WRITER, inline=inline)
    reader = SqlJournal.open(url(path), mode=Mode.READER, inline=inline)
    await writer.open_run(a_run("r2"))
    with held_for_writing(path) as other:
        other.execute("DELETE FROM runs WHERE id = 'r2'")
        assert [run.id for run in await reader.runs()] == ["r2", "r1"]
        assert await reader.verify() == ()
        assert [run.id for run in await writer.runs()] == ["r2", "r1"]
    await reader.close()
    await writer.close()


async def test_a_reader_writes_nothing(path: Path) -> None:
    reader = SqlJournal.open(url(path), mode=Mode.READER, inline=True)
    with pytest.raises(JournalError, match="reading only"):
        await reader.open_run(a_run("r2"))
    with pytest.raises(JournalError, match="readonly"):
        reader._base.read(lambda connection: connection.exec_driver_sql("DELETE FROM runs"))
    await reader.close()


async def test_a_second_process_inserts_beside_the_writer(path: Path) -> None:
    one = SqlJournal.open(url(path), mode=Mode.WRITER)
    other = SqlJournal.open(url(path), mode=Mode.WRITER)
    for number in range(10):
        await (one, other)[number % 2].note("x.y", fund="btc3l", run="", at=AT, payload={"n": number})
    assert await one.verify() == ()
    await one.close()
    await other.close()


async def test_a_lock_that_is_not_let_go_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY", 0.05)
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    with held_for_writing(path), pytest.raises(JournalError, match=r"another process has held the journal"):
        await journal.open_run(a_run("r2"))
    assert await journal.open_run(a_run("r2"))
    await journal.close()


async def test_a_full_disk_is_an_error_and_leaves_nothing_half_written(path: Path) -> None:
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    await journal.open_run(a_run("r2"))
    full = journal._base.write(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())
    journal._base.write(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {full}"))
    with pytest.raises(JournalError, match="the disk is full: free some space"):
        await journal.note("x.y", fund="btc3l", run="r2", at=AT, payload={"much": "x" * 100_000})
    with pytest.raises(JournalError, match="disk is full"):
        await fill_up(journal, "r2")
    journal._base.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 100000"))
    assert await journal.verify() == ()
    children, events = await journal.children("r2"), await journal.events(run="r2", limit=2000)
    assert len(events) == 1 + len(children)
    await journal.close()


async def test_without_the_head_of_the_chain_nothing_is_written(path: Path) -> None:
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    alter(path, ("DELETE FROM chain_head", ()))
    with pytest.raises(JournalError, match="keeper db verify"):
        await journal.open_run(a_run("r2"))
    assert await journal.run("r2") is None
    await journal.close()


def remove(path: Path) -> None:
    path.rename(path.with_suffix(".old"))


def replace_by_another(path: Path) -> None:
    another = path.with_name("another.db")
    write_history(another)
    another.rename(path)


@pytest.mark.parametrize("accident", [remove, replace_by_another])
def test_a_journal_deleted_or_replaced_under_the_writer_takes_no_intent(path: Path, accident: Callable[[Path], None]) -> None:
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    asyncio.run(journal.open_run(a_run("r2")))
    accident(path)
    with pytest.raises(JournalError, match="deleted or replaced"):
        asyncio.run(journal.record_intent(a_child("kpr9", run="r2")))
    asyncio.run(journal.close())


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("content", [b"this is no database at all " * 400, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_file_that_is_no_database_is_an_error(tmp_path: Path, content: bytes, mode: Mode) -> None:
    path = tmp_path / "keeper.db"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"keeper\.db: .+: .+"):
        SqlJournal.open(url(path), mode=mode)
    assert path.read_bytes() == content


async def test_a_damaged_page_is_an_error(path: Path) -> None:
    ((page,),) = ask(path, "SELECT rootpage FROM sqlite_master WHERE name = 'runs'")
    with path.open("r+b") as file:
        file.seek((int(str(page)) - 1) * 4096)
        file.write(b"\xff" * 4096)
    journal = SqlJournal.open(url(path), mode=Mode.AUDITOR, inline=True)
    damaged = r"journal .*keeper\.db: .*the file is damaged: keep it as evidence"
    with pytest.raises(JournalError, match=damaged):
        await journal.runs()
    with pytest.raises(JournalError, match=damaged):
        await journal.verify()
    await journal.close()
    with pytest.raises(JournalError, match=damaged):
        SqlJournal.open(url(path), mode=Mode.READER, inline=True)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_database_of_something_else_is_left_alone(tmp_path: Path, mode: Mode) -> None:
    path = tmp_path / "keeper.db"
    alter(path, ("CREATE TABLE photos (id INTEGER)", ()))
    with pytest.raises(JournalError, match="no journal of Keeper"):
        SqlJournal.open(url(path), mode=mode)
    with pytest.raises(JournalError, match="no journal of Keeper"):
        upgrade(url(path))
    assert ask(path, "SELECT name FROM sqlite_master") == [("photos",)]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("version", "words"), [("9999", "newer Keeper"), ("0000", "keeper db upgrade")])
def test_tables_of_another_version_are_refused(path: Path, mode: Mode, version: str, words: str) -> None:
    alter(path, ("UPDATE alembic_version SET version_num = ?", (version,)))
    with pytest.raises(JournalError, match=words):
        SqlJournal.open(url(path), mode=mode)


def test_upgrade_refuses_a_newer_journal_and_leaves_a_current_one_as_it_is(path: Path) -> None:
    upgrade(url(path))
    assert verdict(path) == ()
    alter(path, ("UPDATE alembic_version SET version_num = '9999'", ()))
    with pytest.raises(JournalError, match="newer Keeper"):
        upgrade(url(path))
    assert ask(path, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_upgrade_from_a_version_that_never_was_is_an_error(path: Path) -> None:
    alter(path, ("UPDATE alembic_version SET version_num = '0000'", ()))
    with pytest.raises(JournalError, match=r"put a backup in its place \(`keeper db restore FILE`\)"):
        upgrade(url(path))
    assert ask(path, "SELECT version_num FROM alembic_version") == [("0000",)]


def test_a_directory_that_may_not_be_written_is_an_error() -> None:
    with public_directory() as directory, unprivileged():
        for place in (directory / "keeper.db", directory / "var" / "keeper.db"):
            with pytest.raises(JournalError, match="owner and permissions"):
                SqlJournal.open(url(place), mode=Mode.WRITER, inline=True)


def test_a_file_that_may_not_be_written_is_an_error() -> None:
    with public_directory() as directory:
        path = directory / "keeper.db"
        directory.chmod(0o755)
        write_history(path)
        path.chmod(0o444)
        directory.chmod(0o555)
        with unprivileged(), pytest.raises(JournalError, match="check owner and permissions"):
            SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nonsense",
        "sqlite",
        "oracle+nothing://x",
        "postgresql+nothing://u:hunter2@h/d",
        "postgresql://u:hunter2@127.0.0.1:1/d",
    ],
)
def test_an_address_that_can_not_be_used_is_an_error_without_its_password(address: str) -> None:
    with pytest.raises(JournalError) as caught:
        SqlJournal.open(address, mode=Mode.WRITER)
    assert "hunter2" not in str(caught.value)


def test_a_journal_in_memory_belongs_to_one_thread() -> None:
    with pytest.raises(JournalError, match="inline only"):
        SqlJournal.open("sqlite://", mode=Mode.WRITER)
    assert not exists("sqlite://")


WRITER = """
    import asyncio, sys
    from keeper.journal import Mode, SqlJournal
    from tests.fakes.journal_values import a_child, a_run

    async def main():
        journal = SqlJournal.open(sys.argv[1], mode=Mode.WRITER)
        run = f"r{sys.argv[2]}"
        assert await journal.open_run(a_run(run))
        for sequence in range(1, 100_000):
            await journal.record_intent(a_child(f"kpr{sys.argv[2]}x{sequence}", run=run, sequence=sequence))
            print(sequence, flush=True)

    asyncio.run(main())
"""


def test_a_process_killed_in_mid_write_leaves_what_it_had_committed_and_a_chain_that_holds(tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"
    for life in range(3):
        arguments = [sys.executable, "-c", textwrap.dedent(WRITER), url(path), str(life)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:  # noqa: S603 - our own interpreter
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(15 + 7 * life)]
            process.send_signal(signal.SIGKILL)
            told += [int(line) for line in process.stdout if line.endswith("\n")]
        assert process.returncode == -signal.SIGKILL
        assert verdict(path) == ()
        kept = [sequence for (sequence,) in ask(path, f"SELECT sequence FROM children WHERE run = 'r{life}' ORDER BY event")]  # noqa: S608 - a number
        assert kept[: len(told)] == told
        assert len(kept) - len(told) in (0, 1)
