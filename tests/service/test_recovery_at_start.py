import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.fund import FundState
from keeper.domain.numbers import plain
from keeper.domain.order import Child, ChildState, Fill, OrderReport
from keeper.domain.run import RunStatus
from keeper.execution.recovery import CLOCK_SKEW
from keeper.policy.breakers import Cause
from keeper.service.recovery import PATIENCE
from tests.fakes.desks import Desk, agrees_with_the_venue, desk_of, drifted, result_of
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import Fault, ScriptedVenue

ETH = "ETH/USDT:USDT"
TTL = timedelta(seconds=5)


async def crash(desk: Desk) -> None:
    """End the run the way a kill does, while an order is on the wire."""
    running = asyncio.create_task(desk.run())
    await desk.venue.hanging.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def states(desk: Desk) -> list[ChildState]:
    return [child.state for child in await desk.children()]


async def finishes(desk: Desk) -> None:
    run = await desk.run()
    assert run.status is RunStatus.COMPLETED
    held = desk.venue.held.positions[PERP].contracts
    assert held == 3000 + desk.bought()
    await agrees_with_the_venue(desk)
    assert (await desk.run()).status is RunStatus.NOTHING_DUE


@pytest.mark.parametrize("lag", [0.0, 0.5])
async def test_an_order_that_landed_is_found_and_booked_and_never_sent_again(tmp_path: Path, lag: float) -> None:
    async with desk_of(drifted(lag=lag), tmp_path) as desk:
        desk.venue.faults = {3: Fault.LOST_REPLY}
        await desk.run()
        assert await desk.rebalancer.recover() == ()
        assert (await states(desk))[-1] is ChildState.FILLED
        (child,) = [child for child in await desk.children() if child.reason]
        assert child.reason == "found by client order id"
        assert child.filled == child.request.amount
        await finishes(desk)


async def test_an_order_that_found_nothing_is_found_canceled(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {2: Fault.LOST_REPLY}
        desk.venue.on_place = lambda _request: desk.feed.move(PERP, "106") if len(desk.venue.sent) == 2 else None
        await desk.run()
        assert await desk.rebalancer.recover() == ()
        child = (await desk.children())[-1]
        assert (child.state, child.filled) == (ChildState.CANCELED, Decimal(0))
        await finishes(desk)


async def test_an_order_that_was_missed_twice_before_its_deadline_may_still_arrive(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {3: Fault.LATER}
        await desk.run()
        (unknown,) = await desk.journal.open_children("btc3l")
        for _ in range(2):
            assert await desk.venue.lookup(PERP, unknown.request.client_id) is None
        assert unknown.request.client_id in desk.venue.booked
        assert await desk.rebalancer.recover() == ()
        assert (await states(desk))[-1] is ChildState.FILLED
        await finishes(desk)


async def test_an_order_that_never_arrived_is_settled_once_it_cannot_arrive_any_more(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=0.5), tmp_path) as desk:
        desk.venue.faults = {3: Fault.LOST_REQUEST}
        await desk.run()
        asked: list[datetime] = []
        desk.venue.on_read = lambda kind: asked.append(desk.venue.clock.now()) if kind == "lookup" else None
        assert await desk.rebalancer.recover() == ()
        child = (await desk.children())[-1]
        assert child.state is ChildState.NOT_PLACED
        late = [at for at in asked if at >= child.at + TTL + timedelta(seconds=0.5) + CLOCK_SKEW]
        assert len(late) == 2
        assert late[1] - late[0] >= timedelta(seconds=0.5)
        assert child.request.client_id not in desk.venue.booked
        await finishes(desk)


async def test_an_order_that_arrives_after_its_answer_was_given_up_is_found(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {3: Fault.LATE}
        run = await desk.run()
        assert "is not known" in run.reason
        assert await desk.rebalancer.recover() == ()
        assert len(desk.venue.booked) == 3
        assert (await states(desk))[-1] is ChildState.FILLED
        await finishes(desk)


@pytest.mark.parametrize("kind", ["lookup", "fills"])
async def test_while_the_venue_does_not_answer_the_child_stays_unknown(tmp_path: Path, kind: str) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {3: Fault.LOST_REPLY}
        await desk.run()
        desk.venue.failing = {kind: 1}
        (unsettled,) = await desk.rebalancer.recover()
        (child,) = await desk.journal.open_children("btc3l")
        assert child.state is ChildState.UNKNOWN
        assert child.request == unsettled.request
        assert [refusal.code for refusal in (await desk.rebalancer.plan()).refusals] == ["unknown_child"]
        assert await desk.rebalancer.recover() == ()
        await finishes(desk)


async def test_trades_that_do_not_add_up_settle_nothing(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {3: Fault.LOST_REPLY}
        await desk.run()
        desk.venue.trade_lag = timedelta(days=1)
        assert len(await desk.rebalancer.recover()) == 1
        desk.venue.trade_lag = timedelta(0)
        assert await desk.rebalancer.recover() == ()
        await finishes(desk)


async def test_an_order_that_rests_is_canceled_and_what_it_filled_is_booked(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {3: Fault.RESTING}
        run = await desk.run()
        assert run.status is RunStatus.INCOMPLETE
        (live,) = await desk.journal.open_children("btc3l")
        assert live.state is ChildState.LIVE
        desk.venue.stubborn = {live.request.client_id}
        assert len(await desk.rebalancer.recover()) == 1
        assert (await states(desk))[-1] is ChildState.LIVE
        desk.venue.stubborn = set()
        assert await desk.rebalancer.recover() == ()
        assert desk.venue.canceled[-1] == live.request.client_id
        await finishes(desk)


async def test_an_order_that_was_there_once_is_never_taken_for_one_that_never_was(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {3: Fault.RESTING}
        await desk.run()
        (live,) = await desk.journal.open_children("btc3l")
        desk.venue.lag = timedelta(days=1)
        assert [child.request for child in await desk.rebalancer.recover()] == [live.request]
        assert (await states(desk))[-1] is ChildState.LIVE


async def test_a_wait_that_would_be_too_long_is_left_to_the_next_start(tmp_path: Path) -> None:
    async with desk_of(drifted(read_lag=60.0), tmp_path) as desk:
        desk.venue.faults = {1: Fault.LOST_REQUEST}
        await desk.run()
        before = desk.venue.clock.now()
        assert len(await desk.rebalancer.recover()) == 1
        assert desk.venue.clock.now() - before <= PATIENCE
        assert (await states(desk)) == [ChildState.UNKNOWN]


@pytest.mark.parametrize(("fault", "state"), [(Fault.HANG_BEFORE, ChildState.NOT_PLACED), (Fault.HANG_AFTER, ChildState.FILLED)])
@pytest.mark.parametrize("number", [1, 4])
async def test_after_a_kill_the_next_process_settles_and_trades_on(
    tmp_path: Path, fault: Fault, state: ChildState, number: int
) -> None:
    venue = drifted(lag=0.5)
    venue.faults = {number: fault}
    async with desk_of(venue, tmp_path) as desk:
        await crash(desk)
    async with desk_of(venue, tmp_path) as desk:
        (left,) = await desk.journal.open_children("btc3l")
        assert left.state is ChildState.INTENT
        (abandoned,) = await desk.journal.runs()
        assert abandoned.status is RunStatus.RUNNING
        desk.runs = 1
        assert await desk.rebalancer.recover() == ()
        assert (await states(desk))[-1] is state
        (abandoned,) = await desk.journal.runs()
        assert (abandoned.status, abandoned.reason) == (RunStatus.INCOMPLETE, "the process ended before the run did")
        assert result_of(abandoned)["leverage_after"] is None
        assert result_of(abandoned)["filled_notional"] == plain(desk.bought() * 105)
        await finishes(desk)


async def test_a_run_whose_market_left_the_mandate_since_is_closed_all_the_same(tmp_path: Path) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "105", ETH: "10"}), drifted().held))
    venue.faults = {3: Fault.HANG_AFTER}
    async with desk_of(venue, tmp_path) as desk:
        await crash(desk)
    async with desk_of(venue, tmp_path, {ETH: "1"}) as desk:
        assert await desk.rebalancer.recover() == ()
        (run,) = await desk.journal.runs()
        assert run.status is RunStatus.INCOMPLETE
        (leg,) = result_of(run)["legs"]
        assert (leg["market"], leg["traded"]) == (PERP, plain(desk.bought()))


async def test_a_run_is_closed_even_when_nothing_can_be_priced(tmp_path: Path) -> None:
    venue = drifted()
    venue.faults = {3: Fault.HANG_BEFORE}
    async with desk_of(venue, tmp_path) as desk:
        await crash(desk)
        venue.failing = {"account": 10}
        assert len(await desk.rebalancer.recover()) == 1
        (run,) = await desk.journal.runs()
        assert run.status is RunStatus.INCOMPLETE
        assert result_of(run)["filled_notional"] == plain(desk.bought() * 105)


async def test_with_nothing_open_nothing_is_asked(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        desk.venue.log.clear()
        assert await desk.rebalancer.recover() == ()
        assert desk.venue.log == []


async def test_an_order_that_the_venue_turns_down_after_it_took_it_is_settled(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        live = await left_live(desk)
        found = desk.venue.lookup

        async def turned_down(symbol: str, client_id: str) -> OrderReport | None:
            report = await found(symbol, client_id)
            assert report is not None
            return replace(report, state=ChildState.REJECTED, filled=Decimal(0), average=None)

        desk.venue.lookup, desk.venue.fills = turned_down, no_fills  # type: ignore[method-assign] # a venue that says so
        assert await desk.rebalancer.recover() == ()
        [child] = [child for child in await desk.children() if child.request == live.request]
        assert child.state is ChildState.REJECTED
        assert await desk.journal.verify() == ()


async def test_a_child_that_can_not_be_booked_halts_the_fund_and_keeps_no_other_open(tmp_path: Path) -> None:
    """Its order is another at the venue now; whatever recovers first, such as to flatten, must go on all the same."""
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "10000"})))
    async with desk_of(venue, tmp_path, {PERP: "2", ETH: "1"}) as desk:
        venue.faults = {1: Fault.RESTING, 2: Fault.LOST_REPLY}
        await desk.run()
        live, unknown = await desk.journal.open_children("btc3l")
        assert (live.state, unknown.state) == (ChildState.LIVE, ChildState.UNKNOWN)
        found = venue.lookup

        async def another(symbol: str, client_id: str) -> OrderReport | None:
            report = await found(symbol, client_id)
            if report is None or client_id != live.request.client_id:
                return report
            return replace(report, order_id="another", state=ChildState.CANCELED, filled=Decimal(0), average=None)

        fills = venue.fills

        async def of_its_own(symbol: str, order_id: str) -> tuple[Fill, ...]:
            return () if order_id == "another" else await fills(symbol, order_id)

        venue.lookup, venue.fills = another, of_its_own  # type: ignore[method-assign] # a venue that says so
        assert [child.request for child in await desk.rebalancer.recover()] == [live.request]
        assert [child.request for child in await desk.journal.open_children("btc3l")] == [live.request]
        standing = await desk.journal.standing("btc3l")
        assert (standing.state, standing.cause) == (FundState.HALTED, Cause.FILLS)
        assert "landed twice" in standing.reason


async def left_live(desk: Desk) -> Child:
    """A child that the venue took, and told nothing final of."""
    desk.venue.faults = {1: Fault.RESTING}
    await desk.run()
    (live,) = await desk.journal.open_children("btc3l")
    assert live.state is ChildState.LIVE
    return live


async def no_fills(symbol: str, order_id: str) -> tuple[Fill, ...]:
    del symbol, order_id
    return ()
