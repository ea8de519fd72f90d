import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.order import ChildState
from keeper.domain.run import RunStatus
from keeper.ports import Environment
from keeper.service.progress import LegProgress
from tests.fakes.desks import LIMITS, desk_of, drifted, result_of
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, START, opening, paper_venue
from tests.fakes.scripted_venue import Fault, ScriptedVenue

ETH = "ETH/USDT:USDT"


async def test_a_price_that_closes_the_gap_stops_further_children(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.after = {3: lambda: desk.feed.move(PERP, "100")}
        run = await desk.run()
        assert run.status is RunStatus.COMPLETED
        assert len(desk.venue.sent) == 3
        assert desk.bought() == sum(request.amount for request in desk.venue.sent)


async def test_a_position_that_somebody_else_changed_ends_the_run(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=0.5), tmp_path) as desk:
        desk.venue.after = {3: lambda: desk.venue.meddle(PERP, "1", "105")}
        run = await desk.run()
        assert run.status is RunStatus.INCOMPLETE
        assert "the position changed without our order" in run.reason
        assert PERP in run.reason
        assert len(desk.venue.sent) == 3
        held = desk.venue.held.positions[PERP].contracts
        assert held == 3001 + desk.bought()
        valuation = (await desk.rebalancer._observer.observe()).valuation()
        assert Decimal(str(result_of(run)["leverage_after"])) == round(valuation.net_leverage, 8), (
            "told of the truth, not of belief"
        )
        after = await desk.run()
        assert after.status is RunStatus.COMPLETED, "the next run plans anew"


async def test_an_outcome_that_is_not_known_ends_the_run_and_blocks_the_fund(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {3: Fault.LOST_REPLY}
        run = await desk.run()
        (unknown,) = await desk.journal.open_children("btc3l")
        assert run.status is RunStatus.INCOMPLETE
        assert f"the outcome of {unknown.request.client_id} is not known" in run.reason
        assert len(desk.venue.sent) == 3
        plan = await desk.rebalancer.plan()
        assert [refusal.code for refusal in plan.refusals] == ["unknown_child"]
        refused = await desk.run()
        assert refused.status is RunStatus.REFUSED
        assert unknown.request.client_id in refused.reason
        assert len(desk.venue.sent) == 3


async def test_an_unknown_outcome_of_one_leg_stops_the_other_too(tmp_path: Path) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "1000"})))
    venue.faults = {2: Fault.LOST_REQUEST}
    async with desk_of(venue, tmp_path, {PERP: "3", ETH: "-3"}) as desk:
        run = await desk.run()
        assert run.status is RunStatus.INCOMPLETE
        assert [request.symbol for request in venue.sent] == [PERP, ETH]
        children = await desk.journal.children(run.id)
        assert [child.state for child in children] == [ChildState.FILLED, ChildState.UNKNOWN]


async def test_rejections_end_the_run_with_the_venues_words(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = dict.fromkeys(range(2, 20), Fault.REJECTED)
        run = await desk.run()
        assert run.status is RunStatus.INCOMPLETE
        assert "margin is insufficient" in run.reason
        assert len(desk.venue.sent) == 4
        assert len(desk.venue.booked) == 1
        sequences = [child.sequence for child in await desk.journal.children(run.id)]
        assert sequences == [1, 2, 3, 4]


async def test_one_rejection_is_no_end(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {2: Fault.REJECTED, 3: Fault.REJECTED, 5: Fault.REJECTED}
        assert (await desk.run()).status is RunStatus.COMPLETED
        assert len(desk.venue.booked) == len(desk.venue.sent) - 3


async def test_a_plan_that_is_refused_is_a_run_that_is_refused(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path, limits=replace(LIMITS, max_turnover_per_day=Decimal("0.1"))) as desk:
        run = await desk.run()
        assert run.status is RunStatus.REFUSED
        assert "max_turnover_per_day" in run.reason
        assert desk.venue.sent == []
        assert result_of(run)["leverage_after"] is None


async def test_a_live_fund_only_plans(tmp_path: Path) -> None:
    venue = drifted()
    venue._info = replace(venue.info, environment=Environment.LIVE)
    async with desk_of(venue, tmp_path) as desk:
        plan = await desk.rebalancer.plan()
        assert plan.legs
        assert [refusal.code for refusal in plan.refusals] == ["not_enabled"]
        assert (await desk.run()).status is RunStatus.REFUSED
        assert venue.sent == []


async def test_what_the_gate_refuses_from_the_first_child_on_is_a_refused_run(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path, limits=replace(LIMITS, max_leverage=Decimal(2))) as desk:
        run = await desk.run()
        assert run.status is RunStatus.REFUSED
        assert "max_leverage" in run.reason
        assert desk.venue.sent == []
        assert await desk.journal.children(run.id) == ()


async def test_what_the_gate_refuses_later_leaves_the_run_incomplete(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path, limits=replace(LIMITS, max_leverage=Decimal("2.8"))) as desk:
        run = await desk.run()
        assert run.status is RunStatus.INCOMPLETE
        assert "max_leverage" in run.reason
        assert desk.venue.sent
        assert (await desk.rebalancer._observer.observe()).valuation().net_leverage <= Decimal("2.8")


@pytest.mark.parametrize("kind", ["account", "quote"])
async def test_a_read_that_fails_for_a_while_in_mid_run_is_waited_for(tmp_path: Path, kind: str) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.after = {4: lambda: desk.venue.failing.update({kind: 3})}
        run = await desk.run()
        assert run.status is RunStatus.COMPLETED
        assert len(desk.venue.sent) == len(await desk.journal.children(run.id)) > 4


@pytest.mark.parametrize("kind", ["account", "quote"])
async def test_a_read_that_fails_in_mid_run_ends_it_with_what_was_done(tmp_path: Path, kind: str) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.after = {4: lambda: desk.venue.failing.update({kind: 100_000})}
        run = await desk.run()
        assert (run.status, run.reason) == (RunStatus.INCOMPLETE, f"{kind}: no answer")
        assert len(desk.venue.sent) == 4
        assert result_of(run)["leverage_after"] is None
        assert result_of(run)["filled_notional"] == str(desk.bought() * 105).rstrip("0")
        assert await desk.journal.run(run.id) == run
        assert desk.watcher.closed == 1


async def test_what_was_traded_today_counts_against_the_next_plan(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path, limits=replace(LIMITS, max_turnover_per_day=Decimal("0.3"))) as desk:
        assert (await desk.run()).status is RunStatus.COMPLETED
        desk.feed.move(PERP, "110")
        plan = await desk.rebalancer.plan()
        assert [refusal.code for refusal in plan.refusals] == ["turnover"]


async def test_a_fund_that_is_wiped_out_in_mid_run_still_ends_its_run(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.after = {2: lambda: desk.feed.move(PERP, "40")}
        run = await desk.run()
        assert run.status is RunStatus.INCOMPLETE
        assert "NAV is" in run.reason
        assert len(desk.venue.sent) == 2
        assert await desk.journal.run(run.id) == run


@pytest.mark.parametrize("write", ["intent", "outcome"])
async def test_a_journal_that_fails_stops_everything(tmp_path: Path, write: str) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.after = {3: lambda: desk.journal.broken.add(write)}
        with pytest.raises(JournalError, match="disk is full"):
            await desk.run()
        assert len(desk.venue.sent) == 3
        assert desk.watcher.closed == 1
        (run,) = await desk.journal.runs()
        assert run.status is RunStatus.RUNNING


async def test_a_trigger_is_answered_once(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        desk.feed.move(PERP, "110")
        sent = len(desk.venue.sent)
        with pytest.raises(InvariantViolation, match="exists already"):
            await desk.rebalancer.execute(await desk.rebalancer.plan(), "manual:1", desk.watcher)
        assert len(desk.venue.sent) == sent


async def test_a_stop_during_a_wait_ends_the_run_at_once(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        stoppers: list[asyncio.Task[None]] = []

        async def stop_halfway() -> None:
            await desk.venue.clock.sleep_until(START + timedelta(seconds=90))
            desk.rebalancer.stop("stopped by SIGTERM")

        def begin(legs: Sequence[LegProgress]) -> None:
            if legs[0].slice == 2 and not stoppers:  # the next slice is due at 120 s
                stoppers.append(asyncio.create_task(stop_halfway()))

        desk.watcher.on_update = begin
        run = await desk.run()
        assert (run.status, run.reason) == (RunStatus.INCOMPLETE, "stopped by SIGTERM")
        assert len(desk.venue.sent) == 2
        assert run.ended_at == START + timedelta(seconds=90)
        assert await desk.journal.open_children("btc3l") == ()
        assert result_of(run)["leverage_after"] is not None


@pytest.mark.parametrize(("kind", "nth"), [("account", 2), ("quote", 2), ("account", 4), ("quote", 5)])
async def test_a_stop_during_a_read_sends_nothing_more(tmp_path: Path, kind: str, nth: int) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        plan = await desk.rebalancer.plan()
        desk.venue.log.clear()
        sent_before: list[int] = []

        def stop(read: str) -> None:
            if read == kind and len([one for one, _ in desk.venue.log if one == kind]) == nth:
                sent_before.append(len(desk.venue.sent))
                desk.rebalancer.stop("stopped")

        desk.venue.on_read = stop
        run = await desk.rebalancer.execute(plan, "manual:1", desk.watcher)
        assert run.status is RunStatus.INCOMPLETE
        assert sent_before == [len(desk.venue.sent)]


async def test_a_stop_while_a_child_is_on_the_wire_waits_for_its_outcome(tmp_path: Path) -> None:
    async with desk_of(drifted(trade_lag=0.2), tmp_path) as desk:
        desk.venue.on_place = lambda _request: desk.rebalancer.stop("stopped by SIGINT")
        run = await desk.run()
        (child,) = await desk.journal.children(run.id)
        assert child.state is ChildState.FILLED
        assert (run.status, run.reason) == (RunStatus.INCOMPLETE, "stopped by SIGINT")
