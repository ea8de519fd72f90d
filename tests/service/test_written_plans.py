"""Plans that were written down, carried out by the service: what was planned is done, or nothing is sent."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.errors import InvariantViolation
from keeper.domain.run import Command, CommandKind, RunStatus
from keeper.planning.written import WrittenPlan, from_document
from tests.fakes.daemon_desks import Kept, kept
from tests.fakes.daemons import command, told
from tests.fakes.desks import Desk, desk_of, drifted, result_of
from tests.fakes.paper import PERP

BPS = Decimal(30)


async def written_by(desk: Desk) -> WrittenPlan:
    await desk.rebalancer.plan()
    return from_document(desk.rebalancer.written(BPS))


async def test_a_written_plan_is_carried_out_by_another_process(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        by = await written_by(desk)
        await desk.venue.clock.sleep_until(desk.venue.clock.now() + timedelta(minutes=4))
        desk.feed.move(PERP, "105.1")
        await desk.restart()
        run = await desk.rebalancer.execute(await desk.rebalancer.plan(by=by), "manual:1", desk.watcher)
        assert run.status is RunStatus.COMPLETED
        assert run.plan["written"] == by.digest
        assert Decimal("2.9999") < Decimal(result_of(run)["leverage_after"]) <= 3
        assert desk.bought() <= by.legs[PERP].cap


async def test_a_market_that_runs_away_within_the_run_is_followed_to_the_cap_that_was_written_and_no_further(
    tmp_path: Path,
) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        by = await written_by(desk)
        desk.venue.after = {2: lambda: desk.feed.move(PERP, "112")}
        run = await desk.rebalancer.execute(await desk.rebalancer.plan(by=by), "manual:1", desk.watcher)
        assert run.status is RunStatus.INCOMPLETE
        assert "cap" in run.reason
        assert desk.bought() <= by.legs[PERP].cap


def later(desk: Desk) -> None:
    clock = desk.venue.clock
    clock.forward_to(clock.now() + timedelta(minutes=5))  # type: ignore[attr-defined] # the paper exchange owns its time


def dearer(desk: Desk) -> None:
    desk.feed.move(PERP, "105.4")


def traded(desk: Desk) -> None:
    desk.venue.meddle(PERP, "1", "105")


@pytest.mark.parametrize(("happens", "words"), [(later, "holds from"), (dearer, "from 105 to 105.4"), (traded, "3001 of")])
async def test_what_is_not_as_it_was_sends_nothing(tmp_path: Path, happens: Callable[[Desk], None], words: str) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        by = await written_by(desk)
        happens(desk)
        run = await desk.rebalancer.execute(await desk.rebalancer.plan(by=by), "manual:1", desk.watcher)
        assert run.status is RunStatus.REFUSED
        assert words in run.reason
        assert desk.venue.sent == []


async def test_nothing_is_written_before_it_was_planned(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        with pytest.raises(InvariantViolation, match="once it is made"):
            desk.rebalancer.written(BPS)


async def asked(desk: Kept, **changes: object) -> Command:
    """A daemon is asked to carry out what is planned now."""
    async with desk.venues.open() as make:
        rebalancer = make()
        await rebalancer.plan()
        document = rebalancer.written(BPS)
    made = replace(command(CommandKind.REBALANCE, desk.now), plan={**document, **changes})
    await desk.journal.submit_command(made)
    return made


async def answered(desk: Kept) -> Command:
    found = await desk.journal.find_command("c1")
    assert found is not None
    return found


async def test_a_daemon_carries_out_a_written_plan() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(seconds=30)
            made = await asked(desk)
            assert made.plan is not None
            assert (await desk.journal.find_command("c1")) == made
            await desk.passed(minutes=12)
        [run] = await desk.runs()
        assert (run.key.trigger, run.status) == ("manual:c1", RunStatus.COMPLETED)
        assert run.plan["written"] == made.plan["digest"]


async def test_a_daemon_refuses_what_moved_and_what_is_no_plan() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(seconds=30)
            await asked(desk)
            desk.venue.meddle(PERP, "1", "105")
            await desk.passed(minutes=1)
        [run] = await desk.runs()
        assert run.status is RunStatus.REFUSED
        assert "3001 of" in run.reason
        assert desk.venue.sent == []
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(seconds=30)
            await asked(desk, tolerance_bps="900")
            await desk.passed(minutes=1)
            answer = await answered(desk)
        assert (answer.exit_code, await desk.runs()) == (3, [])
        assert "is not as it was written" in answer.answer
        assert desk.venue.sent == []


async def test_nothing_goes_on_with_a_written_plan_that_was_cut() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(seconds=30)
            await asked(desk)
            await desk.when(lambda: len(desk.venue.sent) == 3)
            desk.crash()
        async with desk.daemon():
            await desk.passed(minutes=3)
            sent = len(desk.venue.sent)
        assert sent == 3
        assert told(await desk.journal.runs()) == [("manual:c1", "incomplete")]
