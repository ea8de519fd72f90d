"""Positions that move without our order: between runs, in a run, by others, by force, by nothing that anybody can name."""

import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.fund import FundState
from keeper.domain.order import ChildState, VenueOrder
from keeper.domain.run import RunStatus
from keeper.journal.columns import instant_text
from keeper.policy.breakers import Cause
from keeper.service.guard import Guard, emptied
from keeper.service.progress import Unwatched
from keeper.service.reconciliation import accept, reconcile
from tests.fakes.daemon_desks import kept
from tests.fakes.daemons import fund_of
from tests.fakes.desks import LIMITS, agrees_with_the_venue, desk_of, drifted, result_of
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, START, opening, paper_venue
from tests.fakes.scripted_venue import Fault, ScriptedVenue
from tests.fakes.tampering import put_back

ETH = "ETH/USDT:USDT"
HEDGE = {PERP: "1", ETH: "-1"}


async def test_what_is_held_at_rest_is_recorded_at_the_start_and_the_end_of_a_run(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        assert await desk.settled() == {}
        run = await desk.run()
        settled = (await desk.settled())[PERP]
        assert settled.contracts == 3000 + desk.bought() == desk.venue.held.positions[PERP].contracts
        assert await desk.journal.fills_since_settled("btc3l") == ()
        kinds = [event.kind for event in await desk.journal.events(run=run.id)]
        assert kinds.count("fund.settled") == 2


async def test_a_trade_by_hand_between_two_runs_is_planned_anew_and_halts_nothing(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        desk.venue.meddle(PERP, "-500", "105")
        run = await desk.run()
        assert run.status is RunStatus.COMPLETED
        assert abs(Decimal(result_of(run)["leverage_after"]) - 3) < Decimal("0.001")
        assert (await desk.journal.standing("btc3l")).state is FundState.ACTIVE
        await agrees_with_the_venue(desk)


@pytest.mark.parametrize("by", ["the venue", "nobody"])
async def test_a_position_that_shrank_without_a_trade_of_anybody_halts_the_fund(tmp_path: Path, by: str) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        sent = len(desk.venue.sent)
        desk.venue.meddle(PERP, "-500", "105", forced=by == "the venue")
        if by == "nobody":
            desk.venue.foreign.clear()
        run = await desk.run()
        standing = await desk.journal.standing("btc3l")
        assert (run.status, len(desk.venue.sent)) == (RunStatus.INCOMPLETE, sent)
        assert (standing.state, standing.cause) == (FundState.HALTED, Cause.POSITION)
        assert PERP in standing.reason
        assert (await desk.run()).status is RunStatus.REFUSED


async def test_a_forced_trade_on_one_leg_of_a_hedge_leaves_the_fund_its_reductions(tmp_path: Path) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "10000"})))
    async with desk_of(venue, tmp_path, {PERP: "1", ETH: "-1"}) as desk:
        await desk.run()
        desk.venue.meddle(PERP, "-60", "100", forced=True)
        desk.feed.move(ETH, "11")  # the short is worth more now: it may be cut
        run = await desk.run()
        standing = await desk.journal.standing("btc3l")
        assert (standing.state, standing.cause) == (FundState.REDUCE_ONLY, Cause.FORCED_HEDGE)
        assert {child.request.reduce_only for child in await desk.journal.children(run.id)} == {True}
        assert {child.request.symbol for child in await desk.journal.children(run.id)} == {ETH}


@pytest.mark.parametrize("bound_before", [True, False])
async def test_once_the_venue_cut_one_leg_of_a_hedge_the_next_run_cuts_its_twin(tmp_path: Path, *, bound_before: bool) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "10000"})))
    async with desk_of(venue, tmp_path, {PERP: "1", ETH: "-1"}) as desk:
        await desk.run()
        if bound_before:
            at = desk.venue.clock.now()
            await desk.journal.set_state("btc3l", FundState.REDUCE_ONLY, reason="it lost too much", at=at, cause=Cause.LOSS)
        desk.venue.meddle(PERP, "-60", "100", forced=True)
        for _ in range(3):
            await desk.run()
        assert {symbol: held.contracts for symbol, held in venue.held.positions.items()} == {PERP: 40, ETH: -400}
        assert (await desk.journal.standing("btc3l")).cause == Cause.FORCED_HEDGE
        await agrees_with_the_venue(desk)


@pytest.mark.parametrize(("cut", "left"), [("-10", {PERP: 90, ETH: -900}), ("-100", {})])
async def test_a_market_that_was_never_opened_is_no_leg_of_a_hedge_and_one_that_the_venue_emptied_is(
    tmp_path: Path, cut: str, left: dict[str, int]
) -> None:
    feed = moving_feed({PERP: "100", ETH: "10", "SOL/USDT:USDT": "5"})
    async with desk_of(venue := ScriptedVenue(paper_venue(feed, opening({"USDT": "10000"}))), tmp_path, HEDGE) as desk:
        await desk.run()
        venue.meddle(PERP, cut, "100", forced=True)
        await desk.run()  # sees it
        added = {**desk.fund.mandate.targets, "SOL/USDT:USDT": Decimal("0.1")}
        desk.fund = replace(desk.fund, mandate=replace(desk.fund.mandate, targets=added))
        await desk.restart()
        for _ in range(3):
            await desk.run()
        assert (await desk.journal.standing("btc3l")).cause == Cause.FORCED_HEDGE
        assert {symbol: held.contracts for symbol, held in venue.held.positions.items()} == left
        await agrees_with_the_venue(desk)


async def test_a_leg_that_the_venue_emptied_before_the_fund_was_resumed_is_forgotten(tmp_path: Path) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "10000"})))
    async with desk_of(venue, tmp_path, HEDGE) as desk:
        await desk.run()
        venue.meddle(PERP, "-100", "100", forced=True)
        await desk.run()
        assert await emptied(desk.journal, await desk.journal.standing("btc3l")) == {PERP}
        await venue.clock.sleep_until(venue.clock.now() + timedelta(minutes=1))
        await desk.journal.set_state("btc3l", FundState.ACTIVE, reason="looked at", at=venue.clock.now())
        assert await emptied(desk.journal, await desk.journal.standing("btc3l")) == frozenset()
        again = replace(await desk.journal.standing("btc3l"), state=FundState.REDUCE_ONLY, cause=Cause.FORCED_HEDGE)
        assert again.cleared_at is not None
        assert await emptied(desk.journal, again) == frozenset()


async def test_the_daemon_cuts_the_twin_of_a_leg_that_the_venue_cut_within_its_slot() -> None:
    inner = paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "10000"}))
    async with kept(venue := ScriptedVenue(inner)) as desk:
        desk.venues.fund = fund_of(targets={PERP: "1", ETH: "-1"})
        async with desk.daemon():
            await desk.passed(hours=12)
            venue.meddle(PERP, "-60", "100", forced=True)
            await desk.passed(hours=13)
        assert {symbol: held.contracts for symbol, held in venue.held.positions.items()} == {PERP: 40, ETH: -400}


async def test_an_account_that_shows_nothing_of_our_fills_halts_the_fund_instead_of_buying_again(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        desk.feed.move(PERP, "110")
        desk.venue.lag = timedelta(days=1)  # against a read lag of none at all: the account stands as it was
        desk.venue._info = replace(desk.venue.info, read_lag=0.0)
        before = len(desk.venue.sent)
        for _ in range(3):
            await desk.run()
            await desk.rebalancer.recover()
        assert len(desk.venue.sent) - before <= 1
        assert (await desk.run()).status is RunStatus.REFUSED


async def test_a_late_read_is_waited_for_before_anything_is_concluded(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=4.0, read_lag=0.5), tmp_path) as desk:
        run = await desk.run()
        assert run.status in (RunStatus.COMPLETED, RunStatus.INCOMPLETE)
        assert (await desk.journal.standing("btc3l")).state is FundState.ACTIVE


async def test_a_journal_put_back_from_an_old_backup_is_noticed_before_anything_is_sent(tmp_path: Path) -> None:
    backup, journal = tmp_path / "backup.db", tmp_path / "keeper.db"
    async with desk_of(venue := drifted(), tmp_path) as desk:
        await desk.run()
    put_back(journal, backup)
    async with desk_of(venue, tmp_path) as desk:
        await desk.rebalancer.verify()
        assert (await desk.journal.standing("btc3l")).state is FundState.ACTIVE
        desk.feed.move(PERP, "115")
        desk.runs = 1
        await desk.run()
    put_back(backup, journal)
    async with desk_of(venue, tmp_path) as desk:
        desk.venue.rest("kpr" + "7" * 29, PERP, "5")
        sent = len(desk.venue.sent)
        await desk.rebalancer.verify()
        standing = await desk.journal.standing("btc3l")
        assert (standing.state, standing.cause) == (FundState.HALTED, Cause.JOURNAL)
        assert "backup" in standing.reason
        assert desk.venue.resting == {}, "what the journal does not know must not rest"
        desk.runs = 2
        assert (await desk.run()).status is RunStatus.REFUSED
        assert len(desk.venue.sent) == sent


async def test_a_contract_that_became_another_halts_the_fund(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        market = desk.venue.inner._markets[PERP]
        other = replace(market, contract_size=Decimal(10)).identity
        await desk.journal.pin("acc1", PERP, other, at=desk.venue.clock.now())
        run = await desk.run()
        standing = await desk.journal.standing("btc3l")
        assert (run.status, desk.venue.sent) == (RunStatus.INCOMPLETE, [])
        assert (standing.state, standing.cause) == (FundState.HALTED, Cause.IDENTITY)
        found = await reconcile(desk.venue, desk.journal, "btc3l", [PERP], START)
        assert not found.agrees
        [contract] = found.document(fund="btc3l", venue="sim", environment="paper", accepted=False)["contracts"]
        assert (contract["market"], contract["differs"]) == (PERP, True)
        assert (contract["pinned"], contract["found"]) == (other, market.identity)
        await accept(desk.venue, desk.journal, "btc3l", found, "the exchange announced it")
        assert (await reconcile(desk.venue, desk.journal, "btc3l", [PERP], START)).agrees
        await desk.journal.set_state("btc3l", FundState.ACTIVE, reason="", at=desk.venue.clock.now())
        assert (await desk.run()).status is RunStatus.COMPLETED
        assert await desk.journal.verify() == ()


async def test_to_flatten_does_not_wait_for_an_outcome_that_is_not_known(tmp_path: Path) -> None:
    """The unknown order, a reduction, may have filled: no more is sold than is left then, and never past zero."""
    async with desk_of(drifted(), tmp_path) as desk:
        desk.feed.move(PERP, "98")  # below 3x from above: it sells
        desk.venue.faults = {2: Fault.LOST_REPLY}
        await desk.run()
        (unknown,) = await desk.journal.open_children("btc3l")
        assert unknown.request.reduce_only
        flat = desk.rebalancer.flat()
        run = await flat.execute(await flat.plan(), "flatten:9", Unwatched())
        assert desk.venue.held.positions.get(PERP) is None
        assert {child.request.reduce_only for child in await desk.journal.children(run.id)} == {True}
        assert await desk.rebalancer.recover() == ()
        await agrees_with_the_venue(desk)


async def test_to_flatten_sells_nothing_that_an_unknown_order_may_still_sell(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.feed.move(PERP, "98")
        desk.venue.faults = {2: Fault.LOST_REQUEST}
        await desk.run()
        (unknown,) = await desk.journal.open_children("btc3l")
        flat = desk.rebalancer.flat()
        await flat.execute(await flat.plan(), "flatten:9", Unwatched())
        assert desk.venue.held.positions[PERP].contracts == unknown.request.amount
        assert unknown.state is ChildState.UNKNOWN


async def test_too_many_runs_that_trade_within_an_hour_halt_the_fund(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path, limits=replace(LIMITS, max_turnover_per_day=Decimal(90))) as desk:
        for number in range(7):
            assert (await desk.journal.standing("btc3l")).state is FundState.ACTIVE
            desk.feed.move(PERP, str(105 + number))
            desk.venue.faults = {len(desk.venue.sent) + 2: Fault.REJECTED}
            await desk.run()
        standing = await desk.journal.standing("btc3l")
        assert (standing.state, standing.cause) == (FundState.HALTED, Cause.REPEATED)


async def test_trouble_with_the_venue_binds_a_fund_and_its_end_sets_it_free(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        guard = Guard("btc3l", desk.fund.breakers, desk.venue.clock, desk.journal)
        assert await guard.judge(trouble=timedelta(hours=1)) is FundState.REDUCE_ONLY
        standing = await desk.journal.standing("btc3l")
        assert standing.cause == Cause.VENUE_TROUBLE
        assert await guard.judge() is FundState.ACTIVE
        await desk.journal.set_state("btc3l", FundState.REDUCE_ONLY, reason="a human's word", at=desk.venue.clock.now())
        assert await guard.judge() is FundState.REDUCE_ONLY
        assert await guard.judge(trouble=timedelta(hours=1)) is FundState.REDUCE_ONLY
        assert (await desk.journal.standing("btc3l")).reason == "a human's word"


async def test_the_dead_man_switch_is_armed_while_orders_go_out_and_taken_off_at_the_end(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.countdowns = []
        await desk.run()
        told = [within for _, within in desk.venue.countdowns]
        assert told[-1] is None
        assert told.count(None) == 1
        assert len(told) > 5, "a run of ten minutes outlives two"


async def test_the_dead_man_switch_spares_the_orders_of_others(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.feed.move(PERP, "98")  # it sells: others' orders don't bind that
        desk.venue.countdowns = []
        desk.venue.rest("stop_1", PERP, "-100")
        run = await desk.run()
        assert await desk.journal.children(run.id)
        assert desk.venue.countdowns == []


async def test_a_run_that_finds_nothing_to_do_looks_at_what_moved_since_the_last_one(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        desk.venue.meddle(PERP, "-1", "105", forced=True)
        desk.venue.meddle(PERP, "1", "105")
        desk.venue.foreign.pop()
        run = await desk.run()
        assert run.status is RunStatus.NOTHING_DUE
        settled = (await desk.settled())[PERP]
        assert (await desk.journal.standing("btc3l")).state is FundState.ACTIVE
        assert settled.at > run.started_at - timedelta(seconds=1)


async def test_a_fund_that_rested_for_months_asks_for_a_month_of_orders(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        await desk.venue.clock.sleep_until(desk.venue.clock.now() + timedelta(days=300))
        asked: list[datetime] = []
        tell = desk.venue.inner.orders

        async def orders(symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
            asked.append(since)
            return await tell(symbol, since)

        desk.venue.inner.orders = orders  # type: ignore[method-assign]
        await desk.rebalancer.verify()
        desk.venue.meddle(PERP, "1", "105")
        await desk.run()
        assert len(asked) >= 2
        assert min(asked) >= desk.venue.clock.now() - timedelta(days=30, minutes=30)


@pytest.mark.parametrize("noticed", ["at the next connection", "by the next run"])
async def test_a_fill_long_after_its_cancel_is_booked_and_halts_nothing(tmp_path: Path, noticed: str) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        last = (await desk.children())[-1].request
        booked = desk.venue.booked[last.client_id]
        whole = booked.report
        assert whole.state is ChildState.FILLED
        with sqlite3.connect(tmp_path / "keeper.db") as disk:  # as if the last order had been told as canceled, empty
            disk.execute(
                "UPDATE children SET state = 'canceled', filled = '0', average = NULL WHERE client_id = ?", [last.client_id]
            )
            disk.execute("DELETE FROM fills WHERE client_id = ?", [last.client_id])
            held = Decimal(disk.execute("SELECT contracts FROM settled").fetchone()[0])
            before = instant_text(booked.fills[0].at - timedelta(seconds=1))
            disk.execute("UPDATE settled SET contracts = ?, at = ?", [str(held - last.amount), before])
            disk.execute("UPDATE events SET at = ? WHERE kind = 'fund.settled'", [before])
        disk.close()
        await desk.venue.clock.sleep_until(desk.venue.clock.now() + timedelta(minutes=5))
        if noticed == "at the next connection":
            await desk.rebalancer.verify()
        run = await desk.run()
        child = await desk.journal.child(last.client_id)
        assert child is not None
        assert (child.state, child.filled) == (ChildState.FILLED, last.amount)
        assert (await desk.journal.standing("btc3l")).state is FundState.ACTIVE
        assert run.status in (RunStatus.COMPLETED, RunStatus.NOTHING_DUE)


async def test_two_positions_that_only_happen_to_be_on_two_sides_are_no_hedge(tmp_path: Path) -> None:
    # the mandate wants both long; somebody has just sold one of them short by hand
    held = opening({"USDT": "100000"}, {PERP: ("1000", "100"), ETH: ("-500", "10")})
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), held))
    async with desk_of(venue, tmp_path, {PERP: "1", ETH: "0.5"}) as desk:
        observation = await desk.rebalancer._positions.settled()
        await desk.rebalancer._positions.record("btc3l-0", observation, ())
        desk.venue.meddle(PERP, "-60", "100", forced=True)
        (change,) = await desk.rebalancer._positions.changes(await desk.rebalancer._positions.settled())
        assert not change.hedged
