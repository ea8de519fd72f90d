"""A journal is copied while it is in use; one that is older than what was recorded here trades nothing."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from keeper.domain.errors import AccountBusy, JournalError
from keeper.domain.fund import FundState, Standing
from keeper.journal import AccountLock, Mode, SqlJournal, exists, upgrade
from keeper.journal.backup import Restored, back_up, restore
from keeper.journal.connections import in_the_file_alone
from keeper.journal.remembered import file_beside, recall
from tests.fakes.journal_values import a_child, a_run, later
from tests.fakes.tampering import HISTORY, alter, ask, verdict, write_history
from tests.fakes.unprivileged import public_directory, unprivileged


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "var" / "keeper.db"
    path.parent.mkdir()
    write_history(path)
    return path


def halt(path: Path, fund: str = "btc3l") -> None:
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    asyncio.run(journal.set_state(fund, FundState.HALTED, reason="a human said so", at=later(20)))
    asyncio.run(journal.close())


def standing(path: Path, fund: str = "btc3l") -> Standing:
    journal = SqlJournal.open(url(path), mode=Mode.READER, inline=True)
    found = asyncio.run(journal.standing(fund))
    asyncio.run(journal.close())
    return found


def put_back(path: Path, source: Path) -> Restored:
    return restore(url(path), source, ["eth1s"], at=later(30))


def test_a_copy_holds_what_was_committed_and_is_its_owners_alone(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "a copy?%20#.db"
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    asyncio.run(journal.open_run(a_run("r2")))  # in the log alone, for now
    before = os.umask(0)
    try:
        assert back_up(url(path), target) == len(HISTORY) + 1
    finally:
        os.umask(before)
    asyncio.run(journal.record_intent(a_child("kpr9", run="r2")))
    asyncio.run(journal.close())
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == [target.name]
    assert oct(target.stat().st_mode)[-3:] == "600"
    assert ask(target, "SELECT id FROM runs ORDER BY id") == [("r1",), ("r2",)]
    assert put_back(path, target).events == len(HISTORY) + 1


def test_a_copy_goes_over_no_file_and_leaves_none_that_is_not_whole(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("mine")
    with pytest.raises(JournalError, match=rf"{target}: it is there already"):
        back_up(url(path), target)
    assert target.read_text() == "mine"
    with pytest.raises(JournalError, match=r"nowhere/copy\.db: "):
        back_up(url(path), tmp_path / "nowhere" / "copy.db")
    alter(path, ("UPDATE events SET payload = '{}' WHERE seq = 3", ()))
    with pytest.raises(JournalError, match="its chain is broken at event 3"):
        back_up(url(path), tmp_path / "other.db")
    assert {entry.name for entry in tmp_path.iterdir()} == {"var", "copy.db"}


def test_a_copy_grows_over_nobodys_file(path: Path, tmp_path: Path) -> None:
    somebodys = tmp_path / "copy.db.part"
    somebodys.write_text("mine")
    with pytest.raises(JournalError, match=rf"{somebodys}: it is there already: name another file, or move it away"):
        back_up(url(path), tmp_path / "copy.db")
    assert somebodys.read_text() == "mine"
    assert {entry.name for entry in tmp_path.iterdir()} == {"var", somebodys.name}


def test_what_is_put_back_halts_every_fund_and_keeps_what_stood_there(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    back_up(url(path), copy)
    halt(path)
    content = path.read_bytes()
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).write_bytes(b"left by a crash")
    restored = put_back(path, copy)
    assert (restored.events, restored.halted) == (len(HISTORY), ("btc3l", "eth1s"))
    assert restored.aside is not None
    assert restored.aside.read_bytes() == content
    assert {Path(f"{restored.aside}{ending}").read_bytes() for ending in ("-wal", "-shm")} == {b"left by a crash"}
    for fund in restored.halted:
        found = standing(path, fund)
        assert (found.state, found.cause) == (FundState.HALTED, "journal")
        assert found.reason == "the journal was put back from copy.db: what came after that copy is not in it"
    assert oct(path.stat().st_mode)[-3:] == "600"
    assert verdict(path) == ()
    halt(path)  # it is written to like any other


def test_a_fund_that_was_halted_in_the_copy_still_says_why(path: Path, tmp_path: Path) -> None:
    halt(path)
    back_up(url(path), tmp_path / "copy.db")
    put_back(path, tmp_path / "copy.db")
    assert standing(path).reason.endswith("it was halted in the copy already (a human said so)")


def test_nothing_is_put_back_while_a_process_holds_an_account(path: Path, tmp_path: Path) -> None:
    back_up(url(path), tmp_path / "copy.db")
    content = path.read_bytes()
    with AccountLock(path.parent, "acc1"), pytest.raises(AccountBusy, match="acc1 is held by process"):
        put_back(path, tmp_path / "copy.db")
    assert path.read_bytes() == content
    put_back(path, tmp_path / "copy.db")


DIE = """
import asyncio, os, sys
from keeper.journal import Mode, SqlJournal
from tests.fakes.journal_values import later
journal = SqlJournal.open(sys.argv[1], mode=Mode.WRITER, inline=True)
for number in range(3):
    asyncio.run(journal.set_trouble("btc3l", str(number), at=later(9)))
os._exit(0)
"""


@pytest.mark.parametrize("moves", range(3))
def test_a_copy_that_was_put_back_halfway_leaves_no_older_journal_that_opens(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    copy = tmp_path / "copy.db"
    back_up(url(path), copy)
    subprocess.run([sys.executable, "-c", DIE, url(path)], check=True)  # noqa: S603 - our own interpreter
    assert path.with_name("keeper.db-wal").stat().st_size > 0
    left = [moves]

    def until_killed(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def moved(entry: Path, target: Path) -> Path:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return move(entry, target)

        return moved

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", until_killed(Path.rename))
        patch.setattr(Path, "replace", until_killed(Path.replace))
        with pytest.raises(KeyboardInterrupt):
            put_back(path, copy)
    known = recall(path)
    assert known is not None
    assert known.count == len(HISTORY) + 3
    if moves == 0:
        assert ask(path, "SELECT count FROM chain_head") == [(known.count,)]  # as it was, its log included
    else:
        for mode in Mode:
            with pytest.raises(JournalError, match=r"was not ended: run `keeper db restore FILE` again"):
                SqlJournal.open(url(path), mode=mode, inline=True)
    put_back(path, copy)
    assert standing(path).cause == "journal"
    assert {entry.name for entry in path.parent.iterdir() if "before" not in entry.name} == {path.name, file_beside(path).name}


def cut(copy: Path) -> None:
    os.truncate(copy, copy.stat().st_size // 2)


def of_another_version(copy: Path) -> None:
    alter(copy, ("UPDATE alembic_version SET version_num = '9999'", ()))


def rewrite(copy: Path) -> None:
    alter(copy, ("UPDATE runs SET venue = 'x'", ()))


def empty(copy: Path) -> None:
    copy.write_bytes(b"")


def of_nothing(copy: Path) -> None:
    copy.unlink()
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("VACUUM")


@pytest.mark.parametrize("accident", [cut, of_another_version, rewrite, empty, of_nothing, Path.unlink])
def test_a_copy_that_is_not_sound_is_not_put_back(path: Path, tmp_path: Path, accident: Callable[[Path], None]) -> None:
    copy = tmp_path / "copy.db"
    back_up(url(path), copy)
    accident(copy)
    before = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}
    with pytest.raises(JournalError, match=rf"journal {copy}: "):
        put_back(path, copy)
    assert {entry.name: entry.read_bytes() for entry in path.parent.iterdir()} == before


@pytest.mark.parametrize("accident", [empty, cut, Path.unlink])
def test_a_copy_takes_the_place_of_what_is_no_journal_any_more(
    path: Path, tmp_path: Path, accident: Callable[[Path], None]
) -> None:
    back_up(url(path), tmp_path / "copy.db")
    accident(path)
    assert (put_back(path, tmp_path / "copy.db").aside is None) == (accident is Path.unlink)
    assert standing(path).cause == "journal"


def test_an_older_copy_slipped_in_is_refused_by_whoever_reads_or_trades_though_no_order_came_since(
    path: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(path, tmp_path / "copy.db"))
    halt(path)
    shutil.copy(copy, path)
    for mode in (Mode.WRITER, Mode.READER):
        with pytest.raises(
            JournalError, match=rf"journal {path}: event {len(HISTORY) + 1}, which was recorded here, is not in it"
        ):
            SqlJournal.open(url(path), mode=mode, inline=True)
    with pytest.raises(JournalError, match="an older copy"):
        upgrade(url(path))
    [fault] = verdict(path)
    assert (fault.seq, "older copy" in fault.what) == (len(HISTORY) + 1, True)
    assert put_back(path, path).halted == ("btc3l", "eth1s")
    assert standing(path).state is FundState.HALTED


def test_a_journal_of_another_history_is_refused(path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(path, tmp_path / "copy.db"))
    halt(path)
    journal = SqlJournal.open(url(copy), mode=Mode.WRITER, inline=True)
    for trouble in ("a", "b", "c"):
        asyncio.run(journal.set_trouble("btc3l", trouble, at=later(9)))
    asyncio.run(journal.close())
    shutil.copy(copy, path)
    with pytest.raises(JournalError, match="or another journal, was put in its place"):
        SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)


def test_a_journal_that_is_gone_is_not_begun_anew_in_silence(path: Path) -> None:
    path.unlink()
    for look in (exists, upgrade):
        with pytest.raises(JournalError, match=r"the journal is gone.*keeper db restore FILE.*then remove keeper\.db-head"):
            look(url(path))
    file_beside(path).unlink()
    assert not exists(url(path))


def test_the_end_of_the_chain_is_noted_at_a_halt_and_at_the_end(path: Path) -> None:
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    counts = []
    for work in (
        journal.set_trouble("btc3l", "x", at=later(9)),
        journal.set_state("btc3l", FundState.HALTED, reason="", at=later(9)),
        journal.set_trouble("btc3l", "y", at=later(9)),
        journal.close(),
    ):
        asyncio.run(work)
        known = recall(path)
        assert known is not None
        counts.append(known.count - len(HISTORY))
    assert counts == [0, 2, 2, 3]
    assert oct(file_beside(path).stat().st_mode)[-3:] == "600"


def test_a_note_that_is_damaged_is_named(path: Path) -> None:
    file_beside(path).write_text("?")
    with pytest.raises(JournalError, match=r"keeper\.db-head: it is damaged"):
        SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)


def in_place(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def longer_than(path: Path, tmp_path: Path) -> bytes:
    """Another journal, of more pages."""
    other = Path(shutil.copy(path, tmp_path / "other.db"))
    journal = SqlJournal.open(url(other), mode=Mode.WRITER, inline=True)
    for number in range(200):
        asyncio.run(journal.set_trouble("btc3l", f"{number} {'x' * 500}", at=later(9)))
    asyncio.run(journal.close())
    return other.read_bytes()


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("content", ["an older copy", "another journal", "noise"])
def test_a_journal_overwritten_under_the_writer_is_noticed_by_its_next_look_and_takes_nothing_more(
    path: Path, tmp_path: Path, content: str, *, inline: bool
) -> None:
    written = {"an older copy": path.read_bytes(), "another journal": longer_than(path, tmp_path), "noise": b"\xff" * 4096}
    halt(path)
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=inline)

    async def work() -> None:
        await journal.open_run(a_run("r2"))
        assert await journal.waiting_commands() == ()
        in_place(path, written[content])
        for _ in range(2):
            with pytest.raises(JournalError, match=rf"journal {path}: .*the file was overwritten while in use"):
                await journal.waiting_commands()
        with pytest.raises(JournalError, match="the file was overwritten while in use"):
            await journal.record_intent(a_child("kpr9", run="r2"))
        await journal.close()

    asyncio.run(work())


def test_checkpoints_of_this_process_and_of_others_are_not_taken_for_that(path: Path) -> None:
    one = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    for number in range(30):
        other = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
        asyncio.run((one, other)[number % 2].set_trouble("btc3l", f"{number}", at=later(number)))
        (one, other)[number % 3 % 2]._base._save()
        asyncio.run(other.close())
        assert asyncio.run(one.waiting_commands()) == ()
    asyncio.run(one.close())
    assert verdict(path) == ()


VISIT = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM runs').fetchone(); c.close()"


def test_a_look_at_the_file_alone_drops_no_lock_by_which_others_see_that_the_journal_is_in_use(path: Path) -> None:
    journal = SqlJournal.open(url(path), mode=Mode.WRITER, inline=True)
    asyncio.run(journal.open_run(a_run("r2")))
    log = path.with_name("keeper.db-wal")
    before = log.stat().st_ino
    assert in_the_file_alone(path, "SELECT count FROM chain_head") == (len(HISTORY),)
    # the last to leave removes the log; without our lock a visitor would take itself for the last
    subprocess.run([sys.executable, "-c", VISIT, path], check=True)  # noqa: S603 - our own interpreter
    assert log.stat().st_ino == before
    asyncio.run(journal.record_intent(a_child("kpr9", run="r2")))
    asyncio.run(journal.close())


def test_a_journal_that_is_new_is_looked_at_before_it_is_in_its_file(tmp_path: Path) -> None:
    journal = SqlJournal.open(url(tmp_path / "new.db"), mode=Mode.WRITER, inline=True)
    assert asyncio.run(journal.waiting_commands()) == ()
    assert asyncio.run(journal.open_run(a_run("r2")))
    asyncio.run(journal.close())


@pytest.mark.parametrize("mode", [Mode.READER, Mode.AUDITOR])
def test_a_journal_where_nothing_may_be_written_is_read_all_the_same(mode: Mode) -> None:
    with public_directory() as directory:
        directory.chmod(0o755)
        path = directory / "a #journal.db"
        write_history(path)
        path.chmod(0o444)
        file_beside(path).chmod(0o444)
        directory.chmod(0o555)
        with unprivileged():
            journal = SqlJournal.open(url(path), mode=mode, inline=True)
            assert [run.id for run in asyncio.run(journal.runs())] == ["r1"]
            assert asyncio.run(journal.verify()) == ()
            asyncio.run(journal.close())
        assert {entry.name for entry in directory.iterdir()} == {path.name, file_beside(path).name}
