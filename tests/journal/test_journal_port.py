"""What the port promises, on a file with threads, on a file inline, and in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.order import TRANSITIONS, Child, ChildState, OrderReport
from keeper.domain.run import NavCause, RunKey, RunStatus
from keeper.journal import Mode, SqlJournal
from keeper.ports import Journal
from tests.fakes.journal_values import AT, BTC, a_child, a_command, a_fill, a_nav, a_report, a_run, in_state, later


@pytest.fixture(params=["threads", "inline", "memory"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    url = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/var/keeper.db"
    opened = SqlJournal.open(url, mode=Mode.WRITER, inline=request.param != "threads")
    yield opened
    assert await opened.verify() == ()
    await opened.close()


async def kinds(journal: Journal) -> list[str]:
    return [event.kind for event in reversed(await journal.events())]


async def test_a_run_opens_once_per_fund_and_trigger(journal: Journal) -> None:
    run = a_run()
    assert await journal.open_run(run)
    assert not await journal.open_run(run)
    assert not await journal.open_run(replace(a_run("r2"), key=run.key))
    assert await journal.open_run(replace(a_run("r3"), key=RunKey("other", run.key.trigger)))
    assert await kinds(journal) == ["run.opened", "run.opened"]
    assert await journal.run("r2") is None


async def test_a_run_reads_back_as_it_was_written(journal: Journal) -> None:
    run = a_run()
    await journal.open_run(run)
    assert await journal.run("r1") == run
    await journal.close_run("r1", RunStatus.COMPLETED, reason="done", result={"fees": Decimal("1.50")}, at=later(60))
    ended = await journal.run("r1")
    assert ended == replace(run, status=RunStatus.COMPLETED, reason="done", result={"fees": "1.50"}, ended_at=later(60))


async def test_a_run_id_is_not_used_for_a_second_trigger(journal: Journal) -> None:
    await journal.open_run(a_run("r1"))
    with pytest.raises(InvariantViolation, match="r1"):
        await journal.open_run(a_run("r1", trigger="manual:other"))


@pytest.mark.parametrize("run_id", ["r1", "nowhere"])
async def test_only_a_running_run_ends(journal: Journal, run_id: str) -> None:
    await journal.open_run(a_run())
    await journal.close_run("r1", RunStatus.INCOMPLETE, reason="cap", result={}, at=AT)
    with pytest.raises(InvariantViolation, match=run_id):
        await journal.close_run(run_id, RunStatus.COMPLETED, reason="", result={}, at=AT)
    assert await kinds(journal) == ["run.opened", "run.closed"]
    assert [run.status for run in await journal.runs()] == [RunStatus.INCOMPLETE]


async def test_runs_come_newest_first_by_fund_and_no_more_than_asked(journal: Journal) -> None:
    for number in range(4):
        await journal.open_run(a_run(f"r{number}", fund="even" if number % 2 == 0 else "odd"))
    assert [run.id for run in await journal.runs(limit=3)] == ["r3", "r2", "r1"]
    assert [run.id for run in await journal.runs(fund="even")] == ["r2", "r0"]


async def test_an_intent_reads_back_as_it_was_written(journal: Journal) -> None:
    await journal.open_run(a_run())
    child = replace(a_child(), notional=Decimal("30000.050"))
    await journal.record_intent(child)
    assert await journal.children("r1") == (child,)
    assert await journal.open_children("btc3l") == (child,)
    assert await journal.open_children("other") == ()


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(a_child("kpr1", sequence=2), id="client id"),
        pytest.param(a_child("kpr2", sequence=1), id="run, leg and sequence"),
        pytest.param(in_state(a_child("kpr2", sequence=2), ChildState.LIVE), id="no intent"),
        pytest.param(a_child("kpr2", run="nowhere"), id="no run"),
    ],
)
async def test_an_intent_that_may_not_be_is_refused(journal: Journal, second: Child) -> None:
    await journal.open_run(a_run())
    await journal.record_intent(a_child("kpr1"))
    with pytest.raises(InvariantViolation):
        await journal.record_intent(second)
    assert await kinds(journal) == ["run.opened", "child.intended"]


async def test_a_run_that_is_over_sends_nothing(journal: Journal) -> None:
    await journal.open_run(a_run())
    await journal.close_run("r1", RunStatus.INCOMPLETE, reason="cap", result={}, at=AT)
    with pytest.raises(InvariantViolation, match="over"):
        await journal.record_intent(a_child())


async def test_the_second_of_two_moves_from_one_state_changes_nothing(journal: Journal) -> None:
    await journal.open_run(a_run())
    await journal.record_intent(a_child())
    await journal.advance_child("kpr1", expected=ChildState.INTENT, state=ChildState.UNKNOWN, at=AT, reason="timeout")
    before = await journal.children("r1")
    with pytest.raises(InvariantViolation, match="unknown, not intent"):
        await journal.advance_child(
            "kpr1", expected=ChildState.INTENT, state=ChildState.FILLED, at=AT, report=a_report(), fills=[a_fill()]
        )
    assert await journal.children("r1") == before
    assert await journal.fills("r1") == ()
    assert await kinds(journal) == ["run.opened", "child.intended", "child.advanced"]


async def test_a_child_that_was_never_intended_does_not_move(journal: Journal) -> None:
    with pytest.raises(InvariantViolation, match="kpr7"):
        await journal.advance_child("kpr7", expected=ChildState.INTENT, state=ChildState.LIVE, at=AT)


async def test_of_two_moves_at_once_one_wins(journal: Journal) -> None:
    await journal.open_run(a_run())
    await journal.record_intent(a_child())
    moves = [
        journal.advance_child("kpr1", expected=ChildState.INTENT, state=state, at=AT)
        for state in (ChildState.REJECTED, ChildState.CANCELED)
    ]
    outcomes = await asyncio.gather(*moves, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(InvariantViolation) == 1


@pytest.mark.parametrize("state", list(ChildState))
@pytest.mark.parametrize("expected", list(ChildState))
async def test_only_the_moves_of_the_table_are_made(expected: ChildState, state: ChildState) -> None:
    journal = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
    await journal.open_run(a_run())
    await journal.record_intent(a_child())
    if expected not in (ChildState.PLANNED, ChildState.INTENT):
        await journal.advance_child("kpr1", expected=ChildState.INTENT, state=expected, at=AT)
    if state in TRANSITIONS[expected] and expected is not ChildState.PLANNED:
        await journal.advance_child("kpr1", expected=expected, state=state, at=AT)
        assert [child.state for child in await journal.children("r1")] == [state]
    else:
        before = await journal.children("r1")
        with pytest.raises(InvariantViolation):
            await journal.advance_child("kpr1", expected=expected, state=state, at=AT)
        assert await journal.children("r1") == before
    await journal.close()


async def test_a_child_takes_what_the_report_says(journal: Journal) -> None:
    await journal.open_run(a_run())
    await journal.record_intent(a_child())
    report = a_report(filled="0.2", state=ChildState.LIVE)
    await journal.advance_child("kpr1", expected=ChildState.INTENT, state=ChildState.LIVE, at=AT, report=report)
    (child,) = await journal.children("r1")
    assert (child.order_id, child.filled, child.average) == ("o1", Decimal("0.2"), Decimal("60000.05"))
    older = a_report(filled="0", state=ChildState.CANCELED)
    await journal.advance_child("kpr1", expected=ChildState.LIVE, state=ChildState.CANCELED, at=AT, report=older, reason="ioc")
    (child,) = await journal.children("r1")
    assert (child.state, child.reason, child.filled, child.average) == (
        ChildState.CANCELED,
        "ioc",
        Decimal("0.2"),
        Decimal("60000.05"),
    )
    assert await journal.open_children("btc3l") == ()


@pytest.mark.parametrize(
    "report", [pytest.param(a_report("kpr9"), id="another child"), pytest.param(a_report(order_id="o2"), id="another order")]
)
async def test_a_report_of_something_else_is_refused(journal: Journal, report: OrderReport) -> None:
    await journal.open_run(a_run())
    await journal.record_intent(a_child())
    live = a_report(filled="0", state=ChildState.LIVE)
    await journal.advance_child("kpr1", expected=ChildState.INTENT, state=ChildState.LIVE, at=AT, report=live)
    before = await journal.children("r1")
    with pytest.raises(InvariantViolation):
        await journal.advance_child(
            "kpr1",
            expected=ChildState.LIVE,
            state=ChildState.FILLED,
            at=AT,
            report=report,
        )
    assert await journal.children("r1") == before


async def test_a_trade_is_booked_once(journal: Journal) -> None:
    await journal.open_run(a_run())
    await journal.record_intent(a_child())
    first, second = a_fill("t1", amount="0.2", at=later(2)), a_fill("t2", amount="0.3", at=later(1))
    await journal.advance_child("kpr1", expected=ChildState.INTENT, state=ChildState.CANCELED, at=AT, fills=[first, first])
    await journal.advance_child("kpr1", expected=ChildState.CANCELED, state=ChildState.FILLED, at=AT, fills=[first, second])
    assert await journal.fills("r1") == (("kpr1", second), ("kpr1", first))


async def test_fills_of_one_instant_keep_the_order_they_were_told_in(journal: Journal) -> None:
    await journal.open_run(a_run())
    await journal.record_intent(a_child())
    told = [a_fill(name, amount="0.1") for name in ("t9", "t10", "t8")]
    await journal.advance_child("kpr1", expected=ChildState.INTENT, state=ChildState.FILLED, at=AT, fills=told)
    assert [fill.trade_id for _, fill in await journal.fills("r1")] == ["t9", "t10", "t8"]


async def test_a_trade_of_another_child_is_not_taken_and_nothing_is_written(journal: Journal) -> None:
    await journal.open_run(a_run())
    for sequence, name in enumerate(("kpr1", "kpr2"), start=1):
        await journal.record_intent(a_child(name, sequence=sequence))
    await journal.advance_child("kpr1", expected=ChildState.INTENT, state=ChildState.FILLED, at=AT, fills=[a_fill()])
    before = await journal.children("r1")
    with pytest.raises(InvariantViolation, match="kpr1"):
        await journal.advance_child("kpr2", expected=ChildState.INTENT, state=ChildState.FILLED, at=AT, fills=[a_fill()])
    assert await journal.children("r1") == before


async def test_accounts_count_their_trades_apart(journal: Journal) -> None:
    for name, account in (("r1", "acc1"), ("r2", "acc2")):
        await journal.open_run(a_run(name, account=account))
        await journal.record_intent(a_child(f"kpr{name}", run=name))
        await journal.advance_child(f"kpr{name}", expected=ChildState.INTENT, state=ChildState.FILLED, at=AT, fills=[a_fill()])
        assert len(await journal.fills(name)) == 1


async def test_turnover_loses_no_digit(journal: Journal) -> None:
    await journal.open_run(a_run())
    for sequence, notional in enumerate(("1000000000.000000000000000001", "0.000000000000000002", "0.1"), start=1):
        await journal.record_intent(replace(a_child(f"kpr{sequence}", sequence=sequence), notional=Decimal(notional)))
    assert (await journal.footing("btc3l", "", later(9))).usage.adding_day == Decimal("1000000000.100000000000000003")


async def test_nav_points_come_newest_first(journal: Journal) -> None:
    before, after = a_nav(), a_nav(cause=NavCause.AFTER, nav="114980.5")
    for point in (before, a_nav(fund="other"), after):
        await journal.record_nav(point)
    assert await journal.nav_points("btc3l") == (after, before)
    assert await journal.nav_points("btc3l", limit=1) == (after,)


async def test_a_command_is_taken_once(journal: Journal) -> None:
    await journal.submit_command(a_command())
    assert await journal.take_command("c1", later(1))
    assert not await journal.take_command("c1", later(2))
    assert await kinds(journal) == ["command.submitted", "command.taken"]


async def test_commands_exist_once_and_only_when_submitted(journal: Journal) -> None:
    await journal.submit_command(a_command())
    with pytest.raises(InvariantViolation, match="c1"):
        await journal.submit_command(a_command())
    with pytest.raises(InvariantViolation, match="c2"):
        await journal.take_command("c2", AT)


async def test_a_note_is_an_event_with_its_payload_in_plain_json(journal: Journal) -> None:
    payload = {"codes": ("max_turnover",), "nav": Decimal("1.50"), "at": AT, "why": {"ratio": 0.5, "n": 1, "ok": None}}
    await journal.note("plan.refused", fund="btc3l", run="r1", at=AT, payload=payload)
    (event,) = await journal.events()
    assert (event.seq, event.kind, event.fund, event.run, event.at) == (1, "plan.refused", "btc3l", "r1", AT)
    assert event.payload == {
        "codes": ["max_turnover"],
        "nav": "1.50",
        "at": "2024-03-31T00:15:00.000000+00:00",
        "why": {"ratio": 0.5, "n": 1, "ok": None},
    }


async def test_a_note_may_not_pretend_that_rows_were_written(journal: Journal) -> None:
    with pytest.raises(InvariantViolation, match=r"child\.advanced"):
        await journal.note("child.advanced", fund="btc3l", run="r1", at=AT, payload={})


async def test_events_link_up_and_come_newest_first_by_run(journal: Journal) -> None:
    for number in range(6):
        await journal.note("plan.made", fund="btc3l", run=f"r{number % 2}", at=later(number), payload={"market": BTC})
    chain = await journal.events()
    assert [event.seq for event in chain] == [6, 5, 4, 3, 2, 1]
    assert [event.previous for event in chain] == [event.hash for event in chain[1:]] + ["0" * 64]
    assert [event.seq for event in await journal.events(run="r1", limit=2)] == [6, 4]


async def test_after_close_nothing_is_read_or_written(tmp_path: Path) -> None:
    journal = SqlJournal.open(f"sqlite:///{tmp_path}/keeper.db", mode=Mode.WRITER)
    await journal.open_run(a_run())
    await journal.close()
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.runs()
    with pytest.raises(JournalError, match="closed"):
        await journal.open_run(a_run("r2"))
