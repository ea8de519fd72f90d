"""The note of where the chain ended stops whoever would trade on another journal; nobody who halts, and nobody it belongs to."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keeper.bootstrap import order
from keeper.domain.errors import JournalError
from keeper.domain.fund import FundState
from keeper.domain.run import CommandKind
from keeper.journal import Mode, SqlJournal
from keeper.journal.remembered import file_beside, recall
from keeper.settings.sections import KeeperSettings
from keeper.settings.sources import Settings
from tests.fakes.journal_values import later
from tests.fakes.tampering import write_history
from tests.fakes.unprivileged import NOBODY, public_directory, unprivileged


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keeper.db"
    write_history(path)
    return path


def opened(path: Path, mode: Mode = Mode.WRITER) -> SqlJournal:
    return SqlJournal.open(f"sqlite:///{path}", mode=mode, inline=True)


def ordered(path: Path, kind: CommandKind) -> str:
    settings = Settings.model_construct(keeper=KeeperSettings(journal=f"sqlite:///{path}"))
    return asyncio.run(order(settings, ["btc3l"], kind, "a human said so"))


def damaged_note(path: Path) -> None:
    file_beside(path).write_text("2 garbage\n")


def older_copy(path: Path) -> None:
    copy = Path(shutil.copy(path, path.with_name("copy.db")))
    journal = opened(path)
    asyncio.run(journal.set_trouble("btc3l", "x", at=later(9)))
    asyncio.run(journal.close())
    shutil.copy(copy, path)


@pytest.mark.parametrize(("accident", "words"), [(damaged_note, "it is damaged"), (older_copy, "an older copy")])
def test_a_halt_is_recorded_in_a_doubtful_journal_and_takes_no_doubt_away(
    path: Path, accident: Callable[[Path], None], words: str
) -> None:
    accident(path)
    noted = file_beside(path).read_text()
    assert words in ordered(path, CommandKind.HALT)
    journal = opened(path, Mode.HALTER)
    assert asyncio.run(journal.standing("btc3l")).state is FundState.HALTED
    asyncio.run(journal.close())
    assert file_beside(path).read_text() == noted
    for refused in (lambda: opened(path), lambda: ordered(path, CommandKind.RESUME)):
        with pytest.raises(JournalError, match=words):
            refused()


def test_a_halt_in_a_sound_journal_is_doubted_by_nobody(path: Path) -> None:
    assert not ordered(path, CommandKind.HALT)
    assert not opened(path).doubt


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes what another user owns")
def test_a_note_that_root_wrote_belongs_to_the_owner_of_the_journal() -> None:
    with public_directory() as directory:
        path = directory / "keeper.db"
        write_history(path)
        for owned in (directory, path):
            os.chown(owned, NOBODY, NOBODY)
        directory.chmod(0o700)
        file_beside(path).unlink()
        ordered(path, CommandKind.HALT)
        found = file_beside(path).stat()
        assert (found.st_uid, found.st_gid, oct(found.st_mode)[-3:]) == (NOBODY, NOBODY, "600")
        with unprivileged():
            asyncio.run(opened(path).close())


def test_a_note_is_as_open_as_its_journal_and_written_through_no_link(path: Path) -> None:
    path.chmod(0o640)
    ordered(path, CommandKind.HALT)
    assert oct(file_beside(path).stat().st_mode)[-3:] == "640"
    somebodys = path.with_name("somebodys")
    somebodys.write_text("")
    file_beside(path).unlink()
    file_beside(path).symlink_to(somebodys)
    ordered(path, CommandKind.HALT)
    assert somebodys.read_text() == ""


def test_a_note_that_may_not_be_read_is_named_with_its_remedy() -> None:
    with public_directory() as directory:
        path = directory / "keeper.db"
        write_history(path)
        file_beside(path).chmod(0)
        with unprivileged(), pytest.raises(JournalError, match=r"keeper\.db-head: Permission denied: .*chown --reference="):
            recall(path)
