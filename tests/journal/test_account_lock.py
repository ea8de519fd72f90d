"""One trading process per account, for as long as the process lives and no longer."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keeper.domain.errors import AccountBusy, InvariantViolation, JournalError
from keeper.journal import AccountLock, is_held, lock
from tests.fakes.unprivileged import public_directory, unprivileged

HOLDER = """
import sys
from pathlib import Path
from keeper.journal.lock import AccountLock
with AccountLock(Path(sys.argv[1]), "acc1"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_process(directory: Path) -> Iterator["subprocess.Popen[str]"]:
    arguments = [sys.executable, "-c", HOLDER, str(directory)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own interpreter
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PAUSE", 0.01)


def test_a_second_process_is_refused_and_told_who_holds_the_account(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        with pytest.raises(AccountBusy, match=rf"acc1 is held by process {holder.pid} \(.*python.*\): .*kill {holder.pid}"):
            AccountLock(tmp_path, "acc1").__enter__()
        assert is_held(tmp_path, "acc1")
        with AccountLock(tmp_path, "acc2"):
            assert is_held(tmp_path, "acc2")


def test_kill_9_frees_the_account(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert not is_held(tmp_path, "acc1")
        with AccountLock(tmp_path, "acc1"):
            assert is_held(tmp_path, "acc1")


def test_a_second_holder_in_one_process_is_refused(tmp_path: Path) -> None:
    with AccountLock(tmp_path, "acc1"), pytest.raises(AccountBusy, match=f"process {os.getpid()} "):
        AccountLock(tmp_path, "acc1").__enter__()


def test_one_object_locks_once(tmp_path: Path) -> None:
    held = AccountLock(tmp_path, "acc1")
    with held, pytest.raises(InvariantViolation, match="twice"):
        held.__enter__()
    with held:
        assert is_held(tmp_path, "acc1")


def test_leaving_frees_the_account_and_names_nobody_any_more(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), AccountLock(tmp_path, "acc1"):
        raise ZeroDivisionError
    assert not is_held(tmp_path, "acc1")
    assert (tmp_path / "acc1.lock").read_bytes() == b""


def test_a_holder_that_is_not_named_is_another_process(tmp_path: Path) -> None:
    with AccountLock(tmp_path, "acc1"):
        (tmp_path / "acc1.lock").write_text("")
        with pytest.raises(AccountBusy, match="held by another process"):
            AccountLock(tmp_path, "acc1").__enter__()


def test_a_longer_name_of_the_holder_before_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "acc1.lock").write_text("1 " + "x" * 10_000)
    with AccountLock(tmp_path, "acc1"):
        assert (tmp_path / "acc1.lock").read_text().startswith(f"{os.getpid()} ")
        assert "xxx" not in (tmp_path / "acc1.lock").read_text()


def test_a_peek_is_no_holder(tmp_path: Path) -> None:
    with AccountLock(tmp_path, "acc1"):
        pass
    file = os.open(tmp_path / "acc1.lock", os.O_RDONLY)
    fcntl.flock(file, fcntl.LOCK_SH)
    assert not is_held(tmp_path, "acc1")
    peek = threading.Timer(0.05, os.close, [file])
    peek.start()
    with AccountLock(tmp_path, "acc1"):
        assert is_held(tmp_path, "acc1")
    peek.join()


def test_a_file_replaced_while_it_was_waited_for_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "acc1.lock"
    take, first = fcntl.flock, [True]

    def taken_too_late(file: int, operation: int) -> None:
        take(file, operation)
        if first.pop() if first else False:
            path.unlink()

    monkeypatch.setattr(fcntl, "flock", taken_too_late)
    with AccountLock(tmp_path, "acc1"):
        assert is_held(tmp_path, "acc1")


def test_a_file_system_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), f"{file} {operation}")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(JournalError, match="No locks available"):
        AccountLock(tmp_path, "acc1").__enter__()


def test_a_full_disk_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", is_full)
    with pytest.raises(JournalError, match=r"acc1\.lock: .*free some space"):
        AccountLock(tmp_path, "acc1").__enter__()


def test_the_file_is_private_and_its_directory_too(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with AccountLock(tmp_path / "var", "acc1"):
            pass
    finally:
        os.umask(before)
    assert oct((tmp_path / "var" / "acc1.lock").stat().st_mode)[-3:] == "600"
    assert oct((tmp_path / "var").stat().st_mode)[-3:] == "700"


def test_nothing_is_held_where_nothing_ran(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "nowhere", "acc1")
    (tmp_path / "file").write_text("")
    assert not is_held(tmp_path / "file", "acc1")
    assert not is_held(tmp_path, "acc1")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("account", ["", "../acc1", "a/b", "a b", "x" * 65, "acc1\n"])
def test_what_is_no_fingerprint_names_no_file(tmp_path: Path, account: str) -> None:
    with pytest.raises(InvariantViolation, match="fingerprint"):
        AccountLock(tmp_path, account)
    with pytest.raises(InvariantViolation, match="fingerprint"):
        is_held(tmp_path, account)


def test_a_directory_that_may_not_be_written_is_an_error() -> None:
    with public_directory() as directory, unprivileged(), pytest.raises(JournalError, match="check owner and permissions"):
        AccountLock(directory, "acc1").__enter__()


def test_a_lock_that_may_not_be_read_is_an_error() -> None:
    with public_directory() as directory:
        directory.chmod(0o755)
        with AccountLock(directory, "acc1"):
            pass
        (directory / "acc1.lock").chmod(0)
        with unprivileged(), pytest.raises(JournalError, match="check owner and permissions"):
            is_held(directory, "acc1")
