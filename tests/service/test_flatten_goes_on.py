"""What a human asked of the daemon is neither dropped nor given up: a flattening goes on until it is flat, a run while it may."""

from dataclasses import replace
from datetime import timedelta

import pytest

from keeper.domain.account import Account
from keeper.domain.errors import VenueUnavailable
from keeper.domain.run import CommandKind, RunStatus
from tests.fakes.daemon_desks import Kept, kept
from tests.fakes.daemons import command, told
from tests.fakes.desks import drifted
from tests.fakes.paper import PERP
from tests.fakes.scripted_venue import Fault

FLATTEN, HALT, REBALANCE, RESUME = CommandKind.FLATTEN, CommandKind.HALT, CommandKind.REBALANCE, CommandKind.RESUME


async def cut_flattening(desk: Kept, *, killed: bool) -> None:
    """A flattening that a daemon was in the middle of as it ended."""
    async with desk.daemon():
        await desk.passed(minutes=1)
        await desk.journal.submit_command(command(FLATTEN, desk.now))
        await desk.when(lambda: len(desk.venue.sent) == 3)
        if killed:
            desk.crash()
    assert desk.venue.held.positions[PERP].contracts > 0


async def test_a_flattening_that_nobody_took_is_done_by_the_next_daemon() -> None:
    async with kept() as desk:
        await desk.journal.submit_command(command(FLATTEN, desk.now))
        await desk.passed(minutes=1)
        async with desk.daemon():
            await desk.passed(minutes=12)
        assert desk.venue.held.positions == {}
        assert told(await desk.journal.runs()) == [("flatten:c1", "completed")]


@pytest.mark.parametrize("since", [HALT, RESUME])
async def test_a_flattening_that_nobody_took_is_not_done_against_a_later_word(since: CommandKind) -> None:
    async with kept() as desk:
        await desk.journal.submit_command(command(FLATTEN, desk.now))
        await desk.journal.submit_command(command(since, desk.now, name="c2"))
        async with desk.daemon():
            await desk.passed(minutes=12)
        dismissed = await desk.journal.find_command("c1")
        assert dismissed is not None
        assert (dismissed.exit_code, "ask again" in dismissed.answer, desk.venue.sent) == (75, True, [])


async def test_a_flattening_goes_on_once_an_unknown_outcome_is_known() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(minutes=1)
            desk.venue.faults = {2: Fault.LOST_REPLY, 5: Fault.LOST_REQUEST}
            await desk.journal.submit_command(command(FLATTEN, desk.now))
            await desk.passed(minutes=25)
        assert desk.venue.held.positions == {}
        run = await desk.journal.run("btc3l-c1")
        assert run is not None
        assert (run.status, run.attempts) == (RunStatus.COMPLETED, 3)
        assert all(request.reduce_only for request in desk.venue.sent)


@pytest.mark.parametrize("killed", [True, False])
async def test_a_flattening_goes_on_in_the_next_daemon_however_late(*, killed: bool) -> None:
    async with kept() as desk:
        await cut_flattening(desk, killed=killed)
        await desk.passed(hours=30)
        async with desk.daemon():
            await desk.passed(minutes=15)
        assert desk.venue.held.positions == {}
        run = await desk.journal.run("btc3l-c1")
        assert run is not None
        assert (run.status, run.attempts) == (RunStatus.COMPLETED, 2)


@pytest.mark.parametrize("since", [[HALT], [HALT, RESUME], [RESUME], [RESUME, FLATTEN, HALT]])
async def test_a_flattening_does_not_go_on_against_a_later_word(since: list[CommandKind]) -> None:
    async with kept() as desk:
        await cut_flattening(desk, killed=False)
        for number, kind in enumerate(since):
            await desk.passed(seconds=1)
            await desk.journal.submit_command(command(kind, desk.now, name=f"s{number}"))
        async with desk.daemon():
            await desk.passed(minutes=9)
        run = await desk.journal.run("btc3l-c1")
        assert run is not None
        assert (run.status, run.attempts, len(desk.venue.sent)) == (RunStatus.INCOMPLETE, 1, 3)


async def test_a_flattening_that_was_called_off_does_not_go_on_with_the_next_one() -> None:
    async with kept() as desk:
        await cut_flattening(desk, killed=False)
        for name, kind in (("r", RESUME), ("f", FLATTEN)):
            await desk.passed(seconds=1)
            await desk.journal.submit_command(command(kind, desk.now, name=name))
        async with desk.daemon():
            await desk.passed(minutes=14)
        assert told(await desk.journal.runs())[:2] == [("flatten:c1", "incomplete"), ("flatten:f", "completed")]
        assert desk.venue.held.positions == {}


@pytest.mark.parametrize("since", [None, HALT, RESUME])
async def test_a_flattening_that_could_not_begin_begins_once_the_venue_is_back(since: CommandKind | None) -> None:
    async with kept() as desk:
        desk.venues.down = VenueUnavailable("sim: no answer")
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(command(FLATTEN, desk.now))
            await desk.passed(minutes=1)
            answered = await desk.journal.find_command("c1")
            assert answered is not None
            assert (answered.exit_code, "as soon as it can" in answered.answer) == (69, True)
            if since is not None:
                await desk.journal.submit_command(command(since, desk.now, name="c2"))
                await desk.passed(seconds=30)
            desk.venues.down = None
            await desk.passed(minutes=11)
        assert (desk.venue.held.positions == {}) is (since is None)
        assert desk.venue.sent == [] or since is None


async def test_a_rebalance_that_was_asked_for_goes_on_once_an_unknown_outcome_is_known() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(seconds=30)
            desk.venue.faults = {2: Fault.LOST_REPLY}
            await desk.journal.submit_command(command(REBALANCE, desk.now))
            await desk.passed(minutes=14)
        [run] = await desk.runs()
        assert (run.key.trigger, run.status, run.attempts) == ("manual:c1", RunStatus.COMPLETED, 2)


async def test_a_rebalance_that_nobody_can_settle_in_time_does_not_go_on() -> None:
    async with kept(drifted()) as desk:
        async with desk.daemon():
            await desk.passed(seconds=30)
            desk.venue.faults = {2: Fault.LOST_REPLY}
            desk.venue.after = {2: lambda: desk.venue.failing.update(lookup=10**6)}
            await desk.journal.submit_command(command(REBALANCE, desk.now))
            await desk.passed(minutes=12)
            await desk.journal.submit_command(command(HALT, desk.now, name="h"))  # the slot's run is another matter
            desk.venue.failing.clear()
            await desk.passed(minutes=10)
        run = await desk.journal.run("btc3l-c1")
        assert run is not None
        assert (run.status, run.attempts) == (RunStatus.INCOMPLETE, 1)
        assert await desk.journal.open_children("btc3l") == ()


async def test_to_flatten_needs_no_agreement_on_the_configuration() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(replace(command(FLATTEN, desk.now), rules="the file was edited since"))
            await desk.passed(minutes=13)
        assert desk.venue.held.positions == {}


async def test_to_flatten_goes_before_what_was_asked_for_earlier() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 2)
            await desk.journal.submit_command(command(REBALANCE, desk.now, name="c1"))
            await desk.journal.submit_command(command(FLATTEN, desk.now + timedelta(seconds=1), name="c2"))
            await desk.passed(minutes=20)
        triggers = [run.key.trigger for run in await desk.runs()]
        assert triggers[1:3] == ["flatten:c2", "manual:c1"]
        assert desk.venue.held.positions == {}


@pytest.mark.parametrize("how", ["the venue is down", "it dies before it begins"])
async def test_a_flattening_that_was_taken_and_never_begun_is_done_by_the_next_daemon(how: str) -> None:
    async with kept() as desk:
        desk.poll = timedelta(seconds=1)
        if how == "the venue is down":
            desk.venues.down = VenueUnavailable("sim: no answer")
        async with desk.daemon():
            await desk.passed(minutes=1)
            read = desk.venue.account
            if how != "the venue is down":

                async def slowly() -> Account:
                    await desk.venue.clock.sleep_until(desk.now + timedelta(seconds=30))
                    return await read()

                desk.venue.account = slowly  # type: ignore[method-assign]
            await desk.journal.submit_command(command(FLATTEN, desk.now))
            await desk.passed(seconds=5)
            if how != "the venue is down":
                desk.crash()
                desk.venue.account = read  # type: ignore[method-assign]
        assert told(await desk.journal.runs()) == []
        desk.venues.down = None
        async with desk.daemon():
            await desk.passed(minutes=30)
        assert desk.venue.held.positions == {}
        asked = await desk.journal.find_command("c1")
        assert asked is not None
        assert asked.ended_at is not None


async def test_a_flattening_that_was_called_off_is_not_begun_and_one_at_work_ends() -> None:
    async with kept(drifted(read_lag=5.0)) as desk:
        desk.poll = timedelta(seconds=1)
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 2)
            await desk.journal.submit_command(command(FLATTEN, desk.now))
            await desk.passed(seconds=2)
            await desk.journal.submit_command(command(RESUME, desk.now, name="c2"))
            resumed = desk.now
            await desk.passed(minutes=14)
        runs = await desk.runs()
        assert all(not run.key.trigger.startswith("flatten") or run.started_at <= resumed for run in runs)
        assert not any(request.reduce_only for request in desk.venue.sent), "it buys, since its target is above"


async def test_a_flattening_at_work_that_is_called_off_sends_nothing_more() -> None:
    async with kept() as desk:
        desk.poll = timedelta(seconds=1)
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(command(FLATTEN, desk.now))
            await desk.when(lambda: len(desk.venue.sent) == 2)
            await desk.journal.submit_command(command(RESUME, desk.now, name="c2"))
            await desk.passed(minutes=12)
        flattening = next(run for run in await desk.runs() if run.key.trigger.startswith("flatten"))
        assert flattening.status is RunStatus.INCOMPLETE
        assert "called off" in flattening.reason
        assert sum(request.reduce_only for request in desk.venue.sent) <= 3
