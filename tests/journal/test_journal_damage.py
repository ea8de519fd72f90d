"""A journal whose files are damaged, cut or taken away takes no intent, says what to do, and loses nothing that it had."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from keeper.domain.errors import JournalError
from keeper.journal import Mode, SqlJournal, upgrade
from tests.fakes.journal_values import a_child, a_run
from tests.fakes.tampering import ask, verdict, write_history

PAGE = 4096
ROOT = Path(__file__).parents[2]


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "keeper.db"
    write_history(path)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "keeper.db"))


def children_of(path: Path) -> list[str]:
    return [str(name) for (name,) in ask(path, "SELECT client_id FROM children WHERE run = 'r2' ORDER BY event")]


def test_no_damaged_page_lets_a_writer_in(original: Path, tmp_path: Path) -> None:
    content = original.read_bytes()
    assert len(content) > 20 * PAGE
    for number in range(len(content) // PAGE):
        path = tmp_path / f"{number}.db"
        path.write_bytes(content[: number * PAGE] + b"\xff" * PAGE + content[(number + 1) * PAGE :])
        with pytest.raises(JournalError, match=r"keeper db verify|damaged: keep it as evidence|no journal, or damaged"):
            SqlJournal.open(url(path), mode=Mode.WRITER)
        assert len(path.read_bytes()) == len(content)


@pytest.mark.parametrize("left", [600, 4000, PAGE, 2 * PAGE, -4 * PAGE, -PAGE, -PAGE // 2, -1])
def test_a_file_that_was_cut_lets_no_writer_in(path: Path, left: int) -> None:
    content = path.read_bytes()[:left]
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"damaged: keep it as evidence|no journal, or damaged"):
        SqlJournal.open(url(path), mode=Mode.WRITER)
    assert path.read_bytes() == content


@pytest.mark.parametrize("left", [0, 1, 100, 511])
def test_what_is_left_of_a_file_is_not_taken_for_a_new_journal(path: Path, left: int) -> None:
    content = path.read_bytes()[:left]
    path.write_bytes(content)
    for open_it in (partial(SqlJournal.open, mode=Mode.WRITER), upgrade):
        with pytest.raises(JournalError, match="put a backup in its place"):
            open_it(url(path))
    assert path.read_bytes() == content


def test_rows_that_end_elsewhere_than_the_chain_let_no_writer_in(path: Path) -> None:
    ask(path, "SELECT 1")
    for statement in ("UPDATE events SET payload = '{}' WHERE seq = (SELECT max(seq) FROM events)", "DELETE FROM events"):
        subprocess.run([sys.executable, "-c", ALTER, path, statement], check=True)  # noqa: S603 - our own interpreter
        with pytest.raises(JournalError, match="event chain does not end where its head says: run `keeper db verify`"):
            SqlJournal.open(url(path), mode=Mode.WRITER)


ALTER = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit(); c.close()"


@contextmanager
def at_work(path: Path, *, inline: bool) -> Iterator[SqlJournal]:
    """A writer with a run under way and three intents recorded."""
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=inline)

    async def begin() -> None:
        await journal.open_run(a_run("r2"))
        for sequence in range(1, 4):
            await journal.record_intent(a_child(f"kpr2x{sequence}", run="r2", sequence=sequence))

    asyncio.run(begin())
    yield journal
    asyncio.run(journal.close())


def refused(journal: SqlJournal) -> str:
    """What the next intents are refused with: twice, since the first may have noticed what a second would not."""
    messages = []
    for sequence in (8, 9):
        with pytest.raises(JournalError) as caught:
            asyncio.run(journal.record_intent(a_child(f"kpr2x{sequence}", run="r2", sequence=sequence)))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    return messages[0]


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("gone", [("-wal",), ("-shm",), ("-wal", "-shm")])
def test_without_the_files_beside_it_no_intent_is_taken_and_nothing_is_lost(
    path: Path, tmp_path: Path, gone: tuple[str, ...], *, inline: bool
) -> None:
    with at_work(path, inline=inline) as journal:
        for ending in gone:
            path.with_name(path.name + ending).unlink()
        assert "keeper.db-wal or keeper.db-shm was deleted or replaced while in use: leave these files alone" in refused(journal)
        copy = tmp_path / "after a power cut" / "keeper.db"
        copy.parent.mkdir()
        for ending in ("", "-wal"):
            if (left := path.with_name(path.name + ending)).exists():
                shutil.copy(left, copy.with_name(copy.name + ending))
        assert children_of(copy) == ["kpr2x1", "kpr2x2", "kpr2x3"]
        assert verdict(copy) == ()
    assert children_of(path) == ["kpr2x1", "kpr2x2", "kpr2x3"]
    assert verdict(path) == ()
    with at_work_again(path) as journal:
        assert asyncio.run(journal.known([f"kpr2x{sequence}" for sequence in range(1, 10)])).keys() == {
            "kpr2x1",
            "kpr2x2",
            "kpr2x3",
        }


@contextmanager
def at_work_again(path: Path) -> Iterator[SqlJournal]:
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    yield journal
    asyncio.run(journal.close())


@pytest.mark.parametrize("inline", [True, False])
def test_a_file_that_is_cut_under_the_writer_takes_no_intent(path: Path, *, inline: bool) -> None:
    with at_work(path, inline=inline) as journal:
        size = path.stat().st_size
        os.truncate(path, size // 2)
        message = refused(journal)
        assert f"the file was cut from {size} to {size // 2} bytes while in use: stop" in message
        assert "check the venue's open orders" in message


def swap_log(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    log.rename(log.with_name("elsewhere"))
    log.write_bytes(b"")


def lose_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("accident", [swap_log, lose_directory])
def test_a_log_or_directory_that_is_swapped_takes_no_intent(tmp_path: Path, accident: Callable[[Path], None]) -> None:
    path = tmp_path / "var" / "keeper.db"
    path.parent.mkdir()
    write_history(path)
    with at_work(path, inline=True) as journal:
        accident(path)
        assert "deleted or replaced while in use" in refused(journal)


KILLED = """
    import asyncio, sys
    from keeper.journal import Mode, SqlJournal
    from tests.fakes.journal_values import a_child, a_run

    async def main():
        journal = SqlJournal.open(sys.argv[1], mode=Mode.WRITER)
        assert await journal.open_run(a_run("r2"))
        for sequence in range(1, 4):
            await journal.record_intent(a_child(f"kpr2x{sequence}", run="r2", sequence=sequence))
        print("recorded", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
"""


@pytest.mark.parametrize(("gone", "left"), [("-shm", {"kpr2x1", "kpr2x2", "kpr2x3"}), ("-wal", set())])
def test_after_a_kill_a_lost_index_is_made_anew_and_a_lost_log_is_a_journal_from_before(
    path: Path, gone: str, left: set[str]
) -> None:
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), url(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603 - our own interpreter
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded\n"
        process.send_signal(signal.SIGKILL)
    path.with_name(path.name + gone).unlink()
    with at_work_again(path) as journal:
        assert asyncio.run(journal.verify()) == ()
        # what the log held is gone with it: whoever asks the venue finds orders that the journal does not know
        assert asyncio.run(journal.known(["kpr2x1", "kpr2x2", "kpr2x3"])).keys() == left


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A disk of a megabyte where the system lets one be mounted, else the directory itself."""
    arguments = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(directory)]
    mounted = shutil.which("mount") is not None and subprocess.run(arguments, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own words
    try:
        yield directory
    finally:
        if mounted:
            subprocess.run(["umount", str(directory)], check=True)  # noqa: S603, S607 - wherever it is installed


@pytest.mark.parametrize("inline", [True, False])
def test_a_disk_that_fills_up_refuses_intents_and_keeps_those_it_took(tmp_path: Path, *, inline: bool) -> None:
    directory = tmp_path / "disk"
    directory.mkdir()
    with small_disk(directory):
        path = directory / "keeper.db"
        journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=inline)
        if not os.path.ismount(directory):  # the same error, by SQLite's own measure
            journal._base.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 120"))
        taken = asyncio.run(_filled(journal))
        asyncio.run(journal.close())
        assert len(taken) > 20
        assert children_of(path) == taken
        assert verdict(path) == ()


async def _filled(journal: SqlJournal) -> list[str]:
    """Intents until the disk is full, four in a turn; those that were taken."""
    await journal.open_run(a_run("r2"))
    taken: list[str] = []
    for step in range(2000):
        names = [f"kpr2x{4 * step + leg}" for leg in range(4)]
        intents = [journal.record_intent(a_child(name, run="r2", sequence=int(name[5:]))) for name in names]
        outcomes = await asyncio.gather(*intents, return_exceptions=True)
        taken += [name for name, outcome in zip(names, outcomes, strict=True) if outcome is None]
        failed = [outcome for outcome in outcomes if outcome is not None]
        if failed:
            assert [type(outcome) for outcome in failed] == [JournalError] * len(failed)
            assert "free some space" in str(failed[0])
            return taken
    message = "the disk was never full"
    raise AssertionError(message)
