"""What operators ask of a daemon, several funds in one, and what each failure ends: a fund, or all of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.errors import ConfigError, InvariantViolation, JournalError, Problem, VenueUnavailable
from keeper.domain.fund import FundState
from keeper.domain.run import Command, CommandKind, RunStatus
from keeper.journal.store import SqlJournal
from keeper.policy.mandate import Mandate
from tests.fakes.daemon_desks import DAILY, Kept, kept
from tests.fakes.daemons import HOUR, Overseer, Venues, charge_of, command, daemon_of, fund_of, told
from tests.fakes.desks import drifted
from tests.fakes.paper import PERP, START

SLOT = START + timedelta(minutes=15)
REBALANCE = CommandKind.REBALANCE


async def answered(desk: Kept, name: str = "c1") -> Command:
    found = await desk.journal.find_command(name)
    assert found is not None
    assert found.ended_at is not None
    return found


async def test_a_rebalance_that_is_asked_for_is_run_and_answered() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(command(REBALANCE, desk.now))
            await desk.passed(minutes=13)
            assert told(await desk.journal.runs()) == [("manual:c1", "completed")]
            answer = await answered(desk)
            assert (answer.exit_code, answer.answer) == (None, "")
            await desk.passed(minutes=30)
        assert told(await desk.journal.runs()) == [("manual:c1", "completed"), ("slot:2025-03-01T00:15[UTC]", "nothing_due")]


async def test_a_rebalance_that_can_t_be_planned_says_why() -> None:
    async with kept() as desk:
        desk.venues.down = VenueUnavailable("sim: no answer")
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(command(REBALANCE, desk.now))
            await desk.passed(minutes=1)
            answer = await answered(desk)
            assert (answer.exit_code, answer.answer) == (69, "sim: no answer")
        assert await desk.journal.runs() == ()


async def test_what_was_asked_of_a_process_that_is_gone_is_not_done_but_a_halt_holds() -> None:
    async with kept() as desk:
        await desk.journal.submit_command(command(REBALANCE, desk.now))
        await desk.journal.submit_command(command(CommandKind.HALT, desk.now, name="c2"))
        await desk.journal.submit_command(command(REBALANCE, desk.now, name="c3", fund="another"))
        async with desk.daemon():
            await desk.passed(minutes=1)
        old = await answered(desk)
        assert old.exit_code == 75
        assert "ask again" in old.answer
        assert (await answered(desk, "c2")).exit_code == 0
        assert [one.id for one in await desk.journal.waiting_commands()] == ["c3"]
        assert (await desk.journal.standing("btc3l")).halted
        assert desk.venue.sent == []


async def test_a_rebalance_of_a_halted_fund_is_refused() -> None:
    async with kept() as desk:
        await desk.journal.submit_command(command(CommandKind.HALT, desk.now, reason="holidays"))
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(command(REBALANCE, desk.now, name="c2"))
            await desk.passed(minutes=1)
        [run] = await desk.runs()
        assert run.status is RunStatus.REFUSED
        assert "holidays" in run.reason
        assert desk.venue.sent == []


async def test_a_rebalance_asked_for_in_a_run_waits_its_turn_and_is_answered_at_a_stop() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 2)
            await desk.journal.submit_command(command(REBALANCE, desk.now))
            await desk.passed(minutes=1)
            assert (await desk.journal.waiting_commands()) == ()
            assert len(await desk.runs()) == 1
        answer = await answered(desk)
        assert answer.exit_code == 75
        assert "ask again" in answer.answer
        assert len(await desk.runs()) == 1


async def test_a_fund_that_can_t_be_traded_as_configured_ends_alone() -> None:
    async with kept() as desk:
        broken = Venues(drifted(), desk.journal, fund_of("broken"))
        broken.venue = desk.venue
        broken.down = ConfigError(Problem("keeper.toml", "funds.broken.target", "X", "the venue has no such market"))
        charges = [charge_of(broken, DAILY), charge_of(desk.venues, DAILY)]
        daemon = daemon_of(charges, desk.venue.clock, poll=timedelta(seconds=20))
        running = asyncio.create_task(daemon.run())
        await desk.until(SLOT + HOUR)
        assert told(await desk.journal.runs()) == [("slot:2025-03-01T00:15[UTC]", "completed")]
        await desk.journal.submit_command(command(REBALANCE, desk.now, fund="broken"))
        await desk.passed(minutes=1)
        answer = await answered(desk)
        assert answer.exit_code == 75
        assert "keeper run" in answer.answer
        daemon.stop("the test is over")
        await running


async def test_a_daemon_without_a_fund_left_ends_with_the_first_error() -> None:
    async with kept() as desk:
        desk.venues.down = ConfigError(Problem("keeper.toml", "funds.btc3l.target", "X", "the venue has no such market"))
        with pytest.raises(ConfigError, match="no such market"):
            await daemon_of([charge_of(desk.venues, DAILY)], desk.venue.clock).run()


async def test_without_a_journal_nothing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_self: SqlJournal) -> tuple[Command, ...]:
        raise JournalError("the disk is full")

    async with kept() as desk:
        daemon = daemon_of([charge_of(desk.venues, DAILY)], desk.venue.clock)
        running = asyncio.create_task(daemon.run())
        await desk.passed(seconds=5)
        monkeypatch.setattr(SqlJournal, "waiting_commands", full)
        with pytest.raises(JournalError, match="disk is full"):
            await running
        monkeypatch.undo()


async def test_what_must_never_be_halts_the_fund_and_keeps_the_evidence() -> None:
    async with kept() as desk:
        desk.venues.down = InvariantViolation("two orders under one id")
        async with desk.daemon():
            await desk.passed(minutes=10)
            standing = await desk.journal.standing("btc3l")
            assert (standing.state, standing.reason) == (FundState.HALTED, "two orders under one id")
            assert len(desk.venues.opened) < 5
            desk.venues.down = None
            await desk.passed(hours=1)
        assert await desk.journal.runs() == ()


async def test_whoever_watches_hears_of_life_at_the_interval_it_asked_for() -> None:
    async with kept() as desk:
        desk.overseer = Overseer(interval=timedelta(seconds=15))
        async with desk.daemon():
            await desk.passed(minutes=1)
            alive = desk.overseer.told.count("alive")
        assert alive in (4, 5)
        assert desk.overseer.told[0] == "ready"
        assert "stopping" in desk.overseer.told


async def test_what_was_approved_under_another_configuration_is_not_done() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(seconds=30)
            await desk.journal.submit_command(replace(command(REBALANCE, desk.now), rules="another"))
            await desk.passed(minutes=1)
        answer = await answered(desk)
        assert answer.exit_code == 75
        assert "another configuration" in answer.answer
        assert desk.venue.sent == []


async def test_a_target_far_from_the_last_one_waits_for_a_human_beside_the_daemon() -> None:
    async with kept() as desk:
        await desk.kept_until(SLOT + timedelta(hours=1))
        desk.venues.fund = replace(desk.venues.fund, mandate=Mandate(targets={PERP: Decimal("5.5")}))
        sent = len(desk.venue.sent)
        async with desk.daemon():
            await desk.passed(days=1)
            assert [run.status for run in await desk.runs()] == [RunStatus.COMPLETED, RunStatus.REFUSED]
            assert len(desk.venue.sent) == sent
            await desk.journal.submit_command(replace(command(REBALANCE, desk.now), approved_jump=True))
            await desk.passed(minutes=20)
        assert (await desk.runs())[-1].status is RunStatus.COMPLETED
        assert desk.venue.held.positions[PERP].contracts > 4000
