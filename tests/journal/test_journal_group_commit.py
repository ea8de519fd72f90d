"""Writes of one turn share a commit, and nothing else: not each other's failures, not each other's cancellation."""

import asyncio
import gc
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.fund import Standing
from keeper.domain.order import ChildState
from keeper.journal import Mode, SqlJournal, connections
from keeper.journal.events import Chain
from tests.fakes.journal_values import AT, a_child, a_fill, a_report, a_run, later

LEGS = 4


class Counting:
    """A journal in a file, and how often anything was committed to it."""

    def __init__(self, path: Path, *, inline: bool = False) -> None:
        self.path = path
        self.journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER, inline=inline)
        self._told: list[str] = []
        self.journal._base.write(lambda connection: driver(connection).set_trace_callback(self._told.append))
        self._told.clear()

    def commits(self) -> int:
        """Since the last time this was asked."""
        count = [statement.upper() for statement in self._told].count("COMMIT")
        self._told.clear()
        return count


def driver(connection: Connection) -> sqlite3.Connection:
    found = connection.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found


@pytest.fixture
async def counting(tmp_path: Path) -> AsyncIterator[Counting]:
    counting = Counting(tmp_path / "keeper.db")
    await counting.journal.open_run(a_run())
    assert counting.commits() == 1
    yield counting
    assert await counting.journal.verify() == ()
    await counting.journal.close()


def an_intent(journal: SqlJournal, leg: int, *, sequence: int = 1) -> Coroutine[Any, Any, Standing | None]:
    return journal.record_intent(replace(a_child(f"kpr{leg}x{sequence}", sequence=sequence), leg=leg))


async def kept(journal: SqlJournal) -> list[str]:
    return [child.request.client_id for child in await journal.children("r1")]


async def test_intents_of_one_turn_share_one_commit(counting: Counting) -> None:
    journal = counting.journal
    await asyncio.gather(*(an_intent(journal, leg) for leg in range(LEGS)))
    assert counting.commits() == 1
    assert await kept(journal) == [f"kpr{leg}x1" for leg in range(LEGS)]
    outcomes = (
        journal.advance_child(
            f"kpr{leg}x1",
            expected=ChildState.INTENT,
            state=ChildState.FILLED,
            at=AT,
            report=a_report(f"kpr{leg}x1"),
            fills=[a_fill(f"t{leg}")],
        )
        for leg in range(LEGS)
    )
    await asyncio.gather(*outcomes, journal.note("x.y", fund="btc3l", run="r1", at=AT, payload={}))
    assert counting.commits() == 1
    assert [child.state for child in await journal.children("r1")] == [ChildState.FILLED] * LEGS
    assert [event.seq for event in await journal.events()] == list(range(2 + 2 * LEGS, 0, -1))


async def test_writes_of_two_turns_are_two_commits(counting: Counting) -> None:
    for leg in range(LEGS):
        await an_intent(counting.journal, leg)
    assert counting.commits() == LEGS


async def test_nothing_returns_before_it_is_committed(counting: Counting) -> None:
    returned: list[int] = []

    async def record(leg: int) -> None:
        await an_intent(counting.journal, leg)
        returned.append(leg)

    with sqlite3.connect(counting.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # the disk takes its time
        tasks = [asyncio.create_task(record(leg)) for leg in range(LEGS)]
        for _ in range(50):
            await asyncio.to_thread(lambda: None)
        assert returned == []
        assert other.execute("SELECT count(*) FROM children").fetchone() == (0,)
        other.execute("ROLLBACK")
        await asyncio.gather(*tasks)
        assert other.execute("SELECT count(*) FROM children").fetchone() == (LEGS,)
    other.close()
    assert returned == list(range(LEGS))


async def test_one_that_may_not_be_is_undone_and_told_of_alone(counting: Counting) -> None:
    journal = counting.journal
    await an_intent(journal, 0)
    counting.commits()
    outcomes = await asyncio.gather(
        an_intent(journal, 1),
        journal.record_intent(a_child("kpr0x1", sequence=7)),  # its client id is taken
        an_intent(journal, 2),
        journal.record_intent(a_child("kpr0x9", sequence=1)),  # its step is taken
        journal.advance_child("kpr1x1", expected=ChildState.LIVE, state=ChildState.FILLED, at=AT),
        journal.note("child.intended", fund="btc3l", run="r1", at=AT, payload={}),
        journal.record_intent(replace(a_child("kpr8"), at=datetime(2024, 1, 1))),  # noqa: DTZ001 - naive on purpose
        journal.advance_child("kpr2x1", expected=ChildState.INTENT, state=ChildState.UNKNOWN, at=later(1)),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    refused = InvariantViolation
    assert [issubclass(kind, refused) for kind in kinds] == [False, True, False, True, True, True, True, False]
    assert len({id(outcome) for outcome in outcomes if outcome is not None}) == 5
    assert counting.commits() == 1
    assert await kept(journal) == ["kpr0x1", "kpr1x1", "kpr2x1"]
    told = [event.kind for event in reversed(await journal.events())]
    assert told == ["run.opened", "child.intended", "child.intended", "child.intended", "child.advanced"]


async def test_when_all_of_a_turn_may_not_be_nothing_is_written(counting: Counting) -> None:
    journal = counting.journal
    outcomes = await asyncio.gather(
        *(journal.record_intent(a_child(f"kpr{leg}", run="nowhere")) for leg in range(LEGS)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [InvariantViolation] * LEGS
    assert len(await journal.events()) == 1


def spoiling_the_commit(chain: Chain) -> None:
    chain.connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    chain.connection.exec_driver_sql("UPDATE children SET run = 'nowhere'")


async def test_a_commit_that_fails_fails_for_all_of_its_turn(counting: Counting) -> None:
    journal = counting.journal
    await an_intent(journal, 0)
    outcomes = await asyncio.gather(
        an_intent(journal, 1), journal._writer.write(spoiling_the_commit), an_intent(journal, 2), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [JournalError] * 3
    assert await kept(journal) == ["kpr0x1"]
    await an_intent(journal, 3)
    assert await kept(journal) == ["kpr0x1", "kpr3x1"]


async def test_a_database_that_fails_one_write_fails_all_of_its_turn(counting: Counting) -> None:
    journal = counting.journal
    outcomes = await asyncio.gather(
        an_intent(journal, 1),
        journal._writer.write(lambda chain: chain.connection.exec_driver_sql("DELETE FROM nowhere")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [JournalError] * 2
    assert await kept(journal) == []


async def test_a_lock_held_by_another_process_fails_the_turn_and_not_the_next(
    counting: Counting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connections, "BUSY", 0.05)
    journal = SqlJournal.open(f"sqlite:///{tmp_path}/keeper.db", mode=Mode.WRITER)
    with sqlite3.connect(counting.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(*(an_intent(journal, leg) for leg in range(LEGS)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [JournalError] * LEGS
        assert "another process has held the journal" in str(outcomes[0])
        other.execute("ROLLBACK")
    other.close()
    await asyncio.gather(*(an_intent(journal, leg) for leg in range(LEGS)))
    await journal.close()


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("canceled", range(LEGS))
async def test_a_caller_that_is_canceled_loses_nothing_for_others(counting: Counting, canceled: int, turns: int) -> None:
    journal = counting.journal
    tasks = [asyncio.create_task(an_intent(journal, leg)) for leg in range(LEGS)]
    for _ in range(turns):
        await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop
    tasks[canceled].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for leg, outcome in enumerate(outcomes) if leg != canceled] == [type(None)] * (LEGS - 1)
    assert isinstance(outcomes[canceled], asyncio.CancelledError)
    await an_intent(journal, 0, sequence=2)
    assert await kept(journal) == [*(f"kpr{leg}x1" for leg in range(LEGS)), "kpr0x2"]  # what was handed in is made


async def test_a_caller_that_is_canceled_leaves_its_failure_behind(counting: Counting) -> None:
    task = asyncio.create_task(counting.journal.record_intent(a_child("kpr1", run="nowhere")))
    await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await kept(counting.journal) == []


async def test_a_failure_whose_caller_is_gone_is_complained_of_by_nobody(counting: Counting) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    task = asyncio.create_task(counting.journal.record_intent(a_child("kpr1", run="nowhere")))
    await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task
    await an_intent(counting.journal, 0)  # comes after it
    gc.collect()
    assert complaints == []


async def test_what_is_due_when_the_journal_is_closed_is_committed(tmp_path: Path) -> None:
    journal = SqlJournal.open(f"sqlite:///{tmp_path}/keeper.db", mode=Mode.WRITER)
    await journal.open_run(a_run())
    tasks = [asyncio.create_task(an_intent(journal, leg)) for leg in range(LEGS)]
    await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop
    await journal.close()
    await asyncio.gather(*tasks)
    reader = SqlJournal.open(f"sqlite:///{tmp_path}/keeper.db", mode=Mode.READER)
    assert len(await kept(reader)) == LEGS
    await reader.close()


async def test_inline_each_write_is_committed_in_its_callers_turn(tmp_path: Path) -> None:
    counting = Counting(tmp_path / "keeper.db", inline=True)
    await counting.journal.open_run(a_run())
    assert counting.commits() == 1
    for leg in range(LEGS):
        with pytest.raises(StopIteration):
            an_intent(counting.journal, leg).send(None)  # done without waiting for anything
        assert counting.commits() == 1
    assert await counting.journal.verify() == ()
    await counting.journal.close()


async def test_a_run_of_writes_at_random_keeps_the_chain(counting: Counting) -> None:
    journal = counting.journal
    for sequence in range(1, 20):
        await asyncio.gather(
            *(an_intent(journal, leg, sequence=1 + sequence % (leg + 3)) for leg in range(LEGS)), return_exceptions=True
        )
    assert len(await kept(journal)) == sum(leg + 3 for leg in range(LEGS))
