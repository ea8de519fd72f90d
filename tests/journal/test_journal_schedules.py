"""What a daemon keeps in the journal: slots and their attempts, answers to commands, how a fund stands, its first start."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from alembic import command as alembic
from sqlalchemy import create_engine, text

from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.fund import FirstStart, FundState, Standing
from keeper.domain.run import Command, CommandKind, Run, RunKey, RunStatus
from keeper.journal import Mode, SqlJournal, events, migrations, upgrade
from keeper.journal.schema import runs
from keeper.ports import Journal
from tests.fakes.journal_values import AT, a_child, a_run, later

OLD_RUN = {
    "id": "r1",
    "fund": "btc3l",
    "trigger": "manual:c0",
    "venue": "sim",
    "environment": "paper",
    "account": "acc1",
    "currency": "USDT",
    "status": "completed",
    "reason": "",
    "plan": "{}",
    "result": None,
    "ended_at": None,
    "started_at": "2024-03-31T00:15:00.000000+00:00",
    "deadline": "2024-03-31T00:45:00.000000+00:00",
}


@pytest.fixture(params=["threads", "inline"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    opened = SqlJournal.open(f"sqlite:///{tmp_path}/keeper.db", mode=Mode.WRITER, inline=request.param == "inline")
    yield opened
    assert await opened.verify() == ()
    await opened.close()


def slot_run(day: int, *, fund: str = "btc3l", status: RunStatus = RunStatus.RUNNING, attempts: int = 1) -> Run:
    key = RunKey(fund, f"slot:2026-03-{day:02}T00:15[UTC]")
    return replace(a_run(key.run_id, fund=fund), key=key, status=status, attempts=attempts)


def asked(kind: CommandKind, name: str = "c1", *, fund: str = "btc3l", reason: str = "by hand") -> Command:
    return Command(id=name, fund=fund, kind=kind, reason=reason, at=AT)


def test_a_slots_run_is_named_after_fund_and_local_time() -> None:
    key = RunKey("btc3l", "slot:2026-03-01T00:15[Europe/Berlin]")
    assert (key.run_id, key.day) == ("btc3l-20260301T0015", date(2026, 3, 1))
    manual = RunKey("btc3l", "manual:20260301T001500-12345678")
    assert (manual.run_id, manual.day) == ("btc3l-20260301T001500-12345678", None)


async def test_an_incomplete_run_goes_on_in_its_own_row(journal: Journal) -> None:
    run = slot_run(1)
    await journal.open_run(run)
    await journal.record_intent(a_child(run=run.id))
    await journal.close_run(run.id, RunStatus.INCOMPLETE, reason="stopped", result={"fees": "1"}, at=later(10))
    await journal.reopen_run(run.id, plan={"hash": "new"}, reason="again", deadline=later(2000), at=later(70))
    again = replace(run, plan={"hash": "new"}, reason="again", deadline=later(2000), attempts=2)
    assert await journal.run(run.id) == again
    assert not await journal.open_run(run)
    await journal.close_run(run.id, RunStatus.COMPLETED, reason="done", result={}, at=later(80))
    assert await journal.runs() == (replace(again, status=RunStatus.COMPLETED, reason="done", result={}, ended_at=later(80)),)


async def test_a_missed_slot_begins_when_it_is_taken_up(journal: Journal) -> None:
    await journal.open_run(replace(slot_run(1, status=RunStatus.MISSED, attempts=0), ended_at=later(5)))
    await journal.reopen_run("btc3l-20260301T0015", plan={}, reason="", deadline=later(2000), at=later(70))
    found = await journal.run("btc3l-20260301T0015")
    assert found is not None
    assert (found.status, found.attempts, found.started_at, found.ended_at) == (RunStatus.RUNNING, 1, later(70), None)


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.NOTHING_DUE, RunStatus.RUNNING])
async def test_no_other_run_goes_on(journal: Journal, status: RunStatus) -> None:
    run = slot_run(1)
    await journal.open_run(run)
    if status.ended:
        await journal.close_run(run.id, status, reason="", result={}, at=later(1))
    before = await journal.run(run.id)
    with pytest.raises(InvariantViolation, match=run.id):
        await journal.reopen_run(run.id, plan={}, reason="", deadline=later(9), at=later(2))
    assert await journal.run(run.id) == before


async def test_slots_come_by_date_with_the_newest_before_them(journal: Journal) -> None:
    for day in (5, 1, 3, 4, 2):  # as after a clock that was wrong
        await journal.open_run(slot_run(day))
    await journal.open_run(slot_run(9, fund="other"))
    await journal.open_run(a_run("r1"))
    found = [run.key.day for run in await journal.slot_runs("btc3l", date(2026, 3, 3))]
    assert found == [date(2026, 3, day) for day in (2, 3, 4, 5)]
    assert [run.key.day for run in await journal.slot_runs("btc3l", date(2026, 3, 1))] == [
        date(2026, 3, day) for day in range(1, 6)
    ]
    assert await journal.slot_runs("third", date(2026, 3, 1)) == ()


async def test_a_fund_is_active_until_it_is_halted_and_stays_so(journal: Journal, tmp_path: Path) -> None:
    assert await journal.standing("btc3l") == Standing(fund="btc3l")
    await journal.submit_command(asked(CommandKind.HALT, reason="the book looks wrong"))
    halted = Standing(fund="btc3l", state=FundState.HALTED, reason="the book looks wrong", at=AT)
    assert await journal.standing("btc3l") == halted
    assert (await journal.standing("other")).halted is False
    second = SqlJournal.open(f"sqlite:///{tmp_path}/keeper.db", mode=Mode.READER)
    assert await second.standing("btc3l") == halted
    await second.close()
    await journal.submit_command(replace(asked(CommandKind.RESUME, "c2", reason=""), at=later(9)))
    assert await journal.standing("btc3l") == Standing(fund="btc3l", reason="", at=later(9), cleared_at=later(9))


async def test_trouble_and_state_do_not_touch_each_other(journal: Journal) -> None:
    await journal.set_trouble("btc3l", "no answer", at=AT)
    await journal.set_state("btc3l", FundState.HALTED, reason="a bug", at=later(1))
    await journal.set_trouble("btc3l", "", at=later(2))
    assert await journal.standing("btc3l") == Standing(fund="btc3l", state=FundState.HALTED, reason="a bug", at=later(1))


async def test_a_command_is_answered_once_by_whoever_took_it(journal: Journal) -> None:
    await journal.submit_command(asked(CommandKind.REBALANCE))
    await journal.submit_command(asked(CommandKind.REBALANCE, "c2"))
    assert [command.id for command in await journal.waiting_commands()] == ["c1", "c2"]
    with pytest.raises(InvariantViolation, match="c1"):
        await journal.end_command("c1", at=AT)
    assert await journal.take_command("c1", later(1))
    assert [command.id for command in await journal.waiting_commands()] == ["c2"]
    await journal.end_command("c1", at=later(2), exit_code=69, answer="no answer")
    found = await journal.find_command("c1")
    assert found == replace(asked(CommandKind.REBALANCE), taken_at=later(1), ended_at=later(2), exit_code=69, answer="no answer")
    for command_id in ("c1", "nowhere"):
        with pytest.raises(InvariantViolation, match=command_id):
            await journal.end_command(command_id, at=later(3))
    assert await journal.find_command("nowhere") is None


async def test_a_first_start_is_recorded_once(journal: Journal) -> None:
    first = FirstStart(fund="btc3l", seed="7", since=AT)
    assert await journal.first_start(first) == first
    assert await journal.first_start(FirstStart(fund="btc3l", seed="8", since=later(99))) == first


async def test_a_journal_of_the_first_revision_is_upgraded_and_holds(tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        alembic.upgrade(migrations.configured(connection), "0001")
        told: dict[str, object] = {**OLD_RUN, "plan": {}}
        chain = events.Chain(connection)
        seq = chain.append(at=AT, kind=events.RUN_OPENED, fund="btc3l", run="r1", payload=events.booked(runs, told))
        chain.seal()
        names = ", ".join(OLD_RUN)
        query = f"INSERT INTO runs (event, {names}) VALUES ({seq}, {', '.join(f':{name}' for name in OLD_RUN)})"  # noqa: S608 - ours
        connection.execute(text(query), OLD_RUN)
    engine.dispose()
    with pytest.raises(JournalError, match="keeper db upgrade"):
        SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER)
    upgrade(f"sqlite:///{path}")
    journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER, inline=True)
    [run] = await journal.runs()
    assert (run.id, run.attempts) == ("r1", 1)
    assert await journal.verify() == ()
    await journal.close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE runs SET attempts = 3"))
    engine.dispose()
    journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.AUDITOR, inline=True)
    assert [fault.what for fault in await journal.verify()] == ["runs r1: attempts was altered"]
    await journal.close()
