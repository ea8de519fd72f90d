"""How writes are committed: together when they are due together, each as if it were alone, none told of before the disk is.

In production the thread made here is the only one that commits, so that the event loop never waits for a disk; inline, a
write is committed in the caller's turn. Nothing here retries, and nothing knows what is written.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from keeper.domain.errors import InvariantViolation
from keeper.journal.database import Database
from keeper.journal.events import Chain

R = TypeVar("R")
Work = Callable[[Chain], R]


@dataclass(frozen=True, slots=True)
class _Write:
    work: Work[Any]
    done: Future[Any] = field(default_factory=Future)


class Writer:
    """Commits what is written to one journal. inline: in the caller's turn, write by write."""

    def __init__(self, base: Database, *, inline: bool) -> None:
        self._base = base
        self._thread = None if inline else ThreadPoolExecutor(1, "journal-writer")
        self._due: list[_Write] = []

    async def write(self, work: Work[R]) -> R:
        """What ``work`` returns, once it is committed. JournalError when it could not be.

        Writes of one turn of the event loop share a transaction. One that raises InvariantViolation is undone alone. A write
        is made whether or not its caller still waits for it: what it tells of has happened.
        """
        if self._thread is None:
            return cast("R", _commit(self._base, [work])[0])
        write = _Write(work)
        if not self._due:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._due.append(write)
        committed = asyncio.wrap_future(write.done)
        committed.add_done_callback(_heard)
        return cast("R", await asyncio.shield(committed))

    async def close(self) -> None:
        """Commit what is due, then end the thread."""
        self._hand_over()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown)

    def _hand_over(self) -> None:
        writes, self._due = self._due, []
        if writes and self._thread is not None:
            committed = self._thread.submit(_commit, self._base, [write.work for write in writes])
            committed.add_done_callback(lambda done: _tell(writes, done))


def _heard(committed: "asyncio.Future[Any]") -> None:
    """A failure whose caller has gone is nobody's: that of the next write tells of it."""
    if not committed.cancelled():
        committed.exception()


def _commit(base: Database, works: Sequence[Work[Any]]) -> list[Any]:
    """What each of ``works`` returned, or the InvariantViolation that it raised, in one transaction."""
    with base.writing() as connection:
        chain = Chain(connection)  # on a server too, no other process writes beside this transaction
        outcomes = [_alone(chain, work) for work in works] if len(works) > 1 else [works[0](chain)]
        chain.seal()
    return outcomes


def _alone(chain: Chain, work: Work[R]) -> R | InvariantViolation:
    try:
        with chain.savepoint():
            return work(chain)
    except InvariantViolation as violation:
        return violation


def _tell(writes: Sequence[_Write], committed: Future[list[Any]]) -> None:
    error = committed.exception()
    outcomes = committed.result() if error is None else [error] * len(writes)
    for write, outcome in zip(writes, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            write.done.set_exception(outcome)
        else:
            write.done.set_result(outcome)
