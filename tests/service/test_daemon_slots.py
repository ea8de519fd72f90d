"""Slots as the real daemon runs them under virtual time: late, missed, cut, taken up again, halted, and on a clock that jumps."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.errors import InvariantViolation, VenueError, VenueRefused, VenueUnavailable
from keeper.domain.fund import FundState, Standing
from keeper.domain.run import CommandKind, RunKey, RunStatus
from keeper.planning.plan import goals_begun
from keeper.policy.mandate import Band, BandGoal, Mandate
from keeper.service.keeping import LAST_CALL, WARM_UP
from keeper.service.slots import SlotLedger, SlotOwner
from keeper.service.trouble import FIRST_RETRY, LONGEST_RETRY
from keeper.venues.feeds.market_spec import MarketSpec
from tests.fakes.daemon_desks import DAILY, Kept, kept
from tests.fakes.daemons import DAY, HOUR, Venues, charge_of, command, daemon_of, daily, fund_of, run_until, told
from tests.fakes.desks import drifted, result_of
from tests.fakes.moving_feed import MovingFeed, moving_feed
from tests.fakes.paper import PERP, START
from tests.fakes.scripted_venue import Fault

SLOT = START + timedelta(minutes=15)
FIRST = "slot:2025-03-01T00:15[UTC]"
SECOND = "slot:2025-03-02T00:15[UTC]"


def sequences(desk: Kept) -> Counter[str]:
    return Counter(request.client_id for request in desk.venue.sent)


async def test_a_slot_is_run_on_time_and_once() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.until(SLOT - timedelta(seconds=1))
            assert await desk.runs() == []
            await desk.until(SLOT + 20 * HOUR)
        [run] = await desk.runs()
        assert (run.id, run.key.trigger, run.status) == ("btc3l-20250301T0015", FIRST, RunStatus.COMPLETED)
        assert run.started_at == SLOT
        assert (await desk.journal.standing("btc3l")).trouble == ""


async def test_a_step_toward_the_target_that_was_cut_is_ended_and_not_taken_twice() -> None:
    async with kept() as desk:
        mandate = Mandate(
            targets={PERP: Decimal(3)},
            bands={PERP: Band(Decimal("2.5"), Decimal("3.5"))},
            goal=BandGoal.RECENTER,
            speed=Decimal("0.5"),
        )
        desk.venues.fund = replace(desk.venues.fund, mandate=mandate)
        await desk.kept_until(SLOT + timedelta(minutes=5))
        [cut] = await desk.runs()
        assert cut.status is RunStatus.INCOMPLETE
        await desk.kept_until(SLOT + HOUR)
        [run] = await desk.runs()
        assert goals_begun(cut) == {PERP: Decimal("2.86956522")}
        assert (run.status, run.attempts) == (RunStatus.COMPLETED, 2)
        assert Decimal("2.86955") < Decimal(result_of(run)["leverage_after"]) <= Decimal("2.86956522")


async def test_connections_are_refreshed_shortly_before_a_slot_and_not_at_the_bell() -> None:
    async with kept() as desk:
        await desk.kept_until(SLOT + DAY + timedelta(minutes=20))
        assert desk.venues.opened == [START, SLOT - WARM_UP, SLOT + DAY - WARM_UP]
        assert [run.started_at for run in await desk.runs()] == [SLOT, SLOT + DAY]


async def test_connections_are_made_ready_seconds_before_a_slot_once() -> None:
    async with kept() as desk:
        await desk.kept_until(SLOT + DAY + timedelta(minutes=20))
        assert desk.venues.warmed == [SLOT - LAST_CALL, SLOT + DAY - LAST_CALL]
        assert [run.started_at for run in await desk.runs()] == [SLOT, SLOT + DAY]


@pytest.mark.parametrize("error", [VenueUnavailable("no answer"), VenueRefused("clock", "this machine's clock is off")])
async def test_a_connection_that_is_not_fit_before_a_slot_is_made_anew_before_the_slot_is_run(error: VenueError) -> None:
    async with kept() as desk:
        desk.venues.unfit = error
        async with desk.daemon():
            await desk.until(SLOT - timedelta(seconds=1))
            assert (await desk.journal.standing("btc3l")).trouble == str(error)
            await desk.until(SLOT + timedelta(minutes=40))
        assert desk.venues.opened[2:] == [SLOT - LAST_CALL + FIRST_RETRY, SLOT - LAST_CALL + 3 * FIRST_RETRY]
        [run] = await desk.runs()
        assert (run.status, run.started_at) == (RunStatus.COMPLETED, SLOT - LAST_CALL + 3 * FIRST_RETRY)
        assert (await desk.journal.standing("btc3l")).trouble == ""


@pytest.mark.parametrize("hours", [0.01, 3, 5.99])
async def test_a_daemon_that_starts_inside_the_window_runs_the_slot_once(hours: float) -> None:
    async with kept() as desk:
        await desk.kept_until(SLOT - timedelta(minutes=5))
        await desk.until(SLOT + hours * HOUR)
        await desk.kept_until(SLOT + 20 * HOUR)
        await desk.kept_until(SLOT + 23 * HOUR)
        assert told(await desk.journal.runs()) == [(FIRST, "completed")]


async def test_a_daemon_that_starts_after_the_window_records_one_miss_and_trades_nothing() -> None:
    async with kept() as desk:
        await desk.kept_until(SLOT - timedelta(minutes=5))
        await desk.until(SLOT + 7 * HOUR)
        for _ in range(2):
            await desk.kept_until(desk.now + HOUR)
        [run] = await desk.runs()
        assert (run.key.trigger, run.status, run.attempts) == (FIRST, RunStatus.MISSED, 0)
        assert "did not run" in run.reason
        assert desk.venue.sent == []


async def test_days_that_nobody_kept_are_missed_one_by_one() -> None:
    async with kept() as desk:
        await desk.kept_until(SLOT - timedelta(minutes=5))
        await desk.until(SLOT + 3 * DAY + HOUR)
        await desk.kept_until(SLOT + 3 * DAY + 2 * HOUR)
        assert [status for _, status in told(await desk.journal.runs())] == ["missed", "missed", "missed", "completed"]


async def test_a_run_that_is_stopped_is_taken_up_in_its_own_row_with_ids_of_its_own() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 4)
        [run] = await desk.runs()
        assert (run.status, run.reason, run.attempts) == (RunStatus.INCOMPLETE, "the test stopped it", 1)
        restarted = desk.now
        await desk.kept_until(SLOT + HOUR)
        [reopened] = [event.at for event in await desk.journal.events(run=run.id) if event.kind == "run.reopened"]
        assert reopened - restarted < timedelta(seconds=1), "it rested after what another process did"
        [again] = await desk.runs()
        assert (again.id, again.key, again.status, again.attempts) == (run.id, run.key, RunStatus.COMPLETED, 2)
        assert again.started_at == run.started_at
        assert set(sequences(desk).values()) == {1}
        children = await desk.journal.children(run.id)
        assert len(children) == len(desk.venue.sent) > 4
        assert len({(child.leg, child.sequence) for child in children}) == len(children)
        assert (await desk.journal.events(run=run.id))[-1].kind == "run.opened"


async def test_a_run_whose_process_is_gone_goes_on_at_once() -> None:
    async with kept() as desk:
        desk.venue.faults[3] = Fault.HANG_AFTER
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 3)
            desk.crash()
        [run] = await desk.runs()
        assert run.status is RunStatus.RUNNING
        began = desk.now
        await desk.kept_until(SLOT + HOUR)
        [again] = await desk.runs()
        assert (again.id, again.status, again.attempts) == (run.id, RunStatus.COMPLETED, 2)
        [reopened] = [event.at for event in await desk.journal.events(run=run.id) if event.kind == "run.reopened"]
        assert reopened - began < timedelta(seconds=10)
        assert set(sequences(desk).values()) == {1}


async def test_between_attempts_there_is_a_pause_that_grows_up_to_a_cap() -> None:
    async with kept() as desk:
        desk.venue.on_place = lambda _request: desk.venue.failing.update(quote=1000, account=1000)
        async with desk.daemon():
            await desk.when(lambda: bool(desk.venue.sent))
            await desk.passed(minutes=10, seconds=20)  # a run waits for its reads until its horizon ends
            desk.venue.failing.clear()
            for attempt in range(2, 8):
                await desk.when(lambda number=attempt: len(desk.venue.sent) == number)  # type: ignore[misc]  # one order each
                await desk.passed(minutes=10, seconds=20)
                desk.venue.failing.clear()
        [run] = await desk.runs()
        assert run.status is RunStatus.INCOMPLETE
        assert run.attempts == 7
        starts = [event.at for event in reversed(await desk.journal.events(run=run.id)) if event.kind == "run.reopened"]
        ends = [event.at for event in reversed(await desk.journal.events(run=run.id)) if event.kind == "run.closed"]
        pauses = [(start - end).total_seconds() for start, end in zip(starts, ends, strict=False)]
        assert [round(pause / 60) for pause in pauses] == [1, 2, 5, 15, 30, 30]


async def test_a_run_left_incomplete_at_the_end_of_its_window_stays_so() -> None:
    async with kept(schedule=daily("00:15", catch_up=timedelta(minutes=3))) as desk:
        desk.venue.on_place = lambda _request: desk.venue.failing.update(quote=1000, account=1000)
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 1)
            await desk.passed(minutes=15)
            desk.venue.failing.clear()
            desk.venue.on_place = lambda _request: None
            await desk.passed(hours=3)
        [run] = await desk.runs()
        assert (run.status, run.attempts) == (RunStatus.INCOMPLETE, 1)


async def test_halt_stops_before_the_next_child_and_outlives_the_daemon() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 3)
            halted_at = desk.now
            await desk.journal.submit_command(command(CommandKind.HALT, desk.now, reason="the book looks wrong"))
            await desk.passed(minutes=30)
        assert len(desk.venue.sent) == 3
        [run] = await desk.runs()
        assert run.ended_at is not None
        assert run.ended_at - halted_at < timedelta(seconds=30), "it waited for its next slice"
        assert run.status is RunStatus.INCOMPLETE
        assert "the book looks wrong" in run.reason
        async with desk.daemon():
            await desk.passed(hours=1)
            assert len(desk.venue.sent) == 3
            assert (await desk.journal.standing("btc3l")).state is FundState.HALTED
            await desk.journal.submit_command(command(CommandKind.RESUME, desk.now, name="c2"))
            await desk.passed(hours=1)
        [again] = await desk.runs()
        assert (again.id, again.status, again.attempts) == (run.id, RunStatus.COMPLETED, 2)
        taken = [await desk.journal.find_command(name) for name in ("c1", "c2")]
        assert all(one is not None and one.exit_code == 0 for one in taken)


async def test_a_halt_that_no_daemon_hears_stops_the_next_child_at_the_gate() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 3)
            await desk.journal.set_state("btc3l", FundState.HALTED, reason="by hand", at=desk.now)
            await desk.passed(minutes=30)
        assert len(desk.venue.sent) == 3
        [run] = await desk.runs()
        refused = [event for event in await desk.journal.events(run=run.id) if event.kind == "child.refused"]
        assert [reason["code"] for event in refused for reason in event.payload["reasons"]] == ["halted"]  # type: ignore[attr-defined]  # JSON


async def test_a_slot_whose_whole_window_was_halted_is_missed_for_that_reason() -> None:
    async with kept() as desk:
        await desk.journal.submit_command(command(CommandKind.HALT, desk.now, reason="holidays"))
        await desk.kept_until(SLOT + 8 * HOUR)
        [run] = await desk.runs()
        assert (run.status, run.reason) == (RunStatus.MISSED, "the fund was halted (holidays)")
        assert desk.venue.sent == []


async def test_an_exchange_that_is_down_at_start_is_said_and_tried_again_with_a_cap() -> None:
    async with kept() as desk:
        desk.venues.down = VenueUnavailable("sim: no answer")
        async with desk.daemon():
            await desk.passed(seconds=1)
            assert "ready" in desk.overseer.told
            assert (await desk.journal.standing("btc3l")).trouble == "sim: no answer"
            await desk.until(SLOT + HOUR)
            assert await desk.runs() == []
            desk.venues.down = None
            await desk.passed(minutes=30)
            assert (await desk.journal.standing("btc3l")).trouble == ""
        gaps = [later - sooner for sooner, later in zip(desk.venues.opened, desk.venues.opened[1:], strict=False)]
        assert [gap.total_seconds() for gap in gaps[:5]] == [5, 10, 20, 40, 60]
        assert max(gaps) == LONGEST_RETRY
        assert told(await desk.journal.runs()) == [(FIRST, "completed")]


async def test_an_exchange_that_is_down_for_the_whole_window_is_why_the_slot_was_missed() -> None:
    async with kept() as desk:
        desk.venues.down = VenueUnavailable("sim: no answer")
        await desk.kept_until(SLOT + 7 * HOUR)
        [run] = await desk.runs()
        assert (run.status, run.reason) == (RunStatus.MISSED, "sim: no answer")


async def test_prices_that_come_back_make_the_second_attempt_complete_what_the_first_began() -> None:
    async with kept(drifted()) as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 4)
        desk.venue.inner.feed.move(PERP, "100")  # type: ignore[attr-defined]  # a moving feed
        await desk.kept_until(SLOT + HOUR)
        [run] = await desk.runs()
        assert run.status is RunStatus.COMPLETED
        held = desk.venue.held.positions[PERP].contracts
        nav = 100_000 + sum(fill.amount * (100 - fill.price) for _, fill in await desk.journal.fills(run.id))
        assert abs(held * 100 / nav - 3) < 1


async def test_a_book_that_is_crossed_at_the_bell_does_not_cost_the_day() -> None:
    async with kept(drifted()) as desk:
        feed = desk.venue.inner.feed
        assert isinstance(feed, MovingFeed)
        feed.cross(by_bps="10")
        async with desk.daemon():
            await desk.until(SLOT + timedelta(minutes=20))
            [refused] = await desk.runs()
            assert (refused.status, refused.attempts) == (RunStatus.REFUSED, 1)
            assert "crossed" in (await desk.journal.standing("btc3l")).trouble
            assert desk.venue.sent == []
            feed.cross(by_bps="0")
            await desk.until(SLOT + HOUR)
        [run] = await desk.runs()
        assert (run.id, run.status, run.attempts) == (refused.id, RunStatus.COMPLETED, 2)
        assert (await desk.journal.standing("btc3l")).trouble == ""


async def test_the_result_of_a_run_tells_of_all_its_attempts() -> None:
    async with kept(drifted()) as desk:
        feed = desk.venue.inner.feed
        assert isinstance(feed, MovingFeed)
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 4)
        [cut] = await desk.runs()
        feed.move(PERP, "105.5")
        await desk.kept_until(SLOT + HOUR)
        [run] = await desk.runs()
        fills = [fill for _, fill in await desk.journal.fills(run.id)]
        earlier, result = result_of(cut), result_of(run)
        [before], [leg] = earlier["legs"], result["legs"]
        traded = sum(fill.amount for fill in fills)
        assert Decimal(leg["traded"]) == traded > Decimal(before["traded"]) > 0
        assert (leg["planned"], result["nav_before"]) == (before["planned"], earlier["nav_before"])
        paid = sum(fill.amount * (fill.price - 105) + fill.fee for fill in fills)  # 105: what it was decided at, at first
        assert Decimal(result["shortfall"]["total"]) == paid
        assert abs(Decimal(result["leverage_after"]) - 3) < Decimal("0.001")


async def test_a_fund_that_fails_unforeseen_is_halted_and_says_so_while_the_others_are_kept() -> None:
    async with kept() as desk:
        other = Venues(desk.venue, desk.journal, fund_of("eth2l"))
        desk.venues.down = KeyError("in place")
        daemon = daemon_of([charge_of(desk.venues, DAILY), charge_of(other, DAILY)], desk.venue.clock)
        await run_until(daemon, desk.venue.clock, SLOT - timedelta(minutes=1))
        standing = await desk.journal.standing("btc3l")
        assert standing.halted
        assert "in place" in standing.trouble
        assert (await desk.journal.standing("eth2l")) == Standing(fund="eth2l")


async def test_an_outcome_that_stays_unknown_is_asked_for_again_long_before_the_next_slot() -> None:
    async with kept() as desk:
        desk.venue.faults[1] = Fault.LOST_REPLY
        async with desk.daemon():
            await desk.passed(minutes=1)
            desk.venue.on_place = lambda _request: desk.venue.failing.update(lookup=1000)
            await desk.journal.submit_command(command(CommandKind.REBALANCE, desk.now))
            await desk.when(lambda: bool(desk.venue.sent))
            await desk.passed(minutes=12)
            assert await desk.journal.open_children("btc3l")
            desk.venue.failing.clear()
            await desk.passed(minutes=2)
            assert await desk.journal.open_children("btc3l") == ()


async def test_attempts_rest_again_after_a_clock_that_was_ahead_was_set_right() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 4)
        owner = SlotOwner(fund="btc3l", schedule=DAILY, venue=desk.venue.info, currency="USDT")
        ledger = SlotLedger(owner, desk.journal)
        await ledger.begin("7", desk.now + 10 * DAY)
        assert (await ledger.agenda(desk.now)).slot is None
        assert (await ledger.agenda(desk.now + timedelta(minutes=2))).slot is not None


async def test_a_run_left_behind_is_closed_however_many_came_after_it() -> None:
    async with kept() as desk:
        desk.venue.faults[3] = Fault.HANG_AFTER
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 3)
            desk.crash()
        await desk.journal.set_state("btc3l", FundState.HALTED, reason="", at=desk.now)
        for number in range(60):
            key = RunKey("btc3l", f"manual:c{number}")
            left = (await desk.runs())[0]
            await desk.journal.open_run(replace(left, id=key.run_id, key=key, status=RunStatus.REFUSED, ended_at=desk.now))
        await desk.kept_until(desk.now + timedelta(minutes=5))
        assert await desk.journal.unended_runs("btc3l") == ()


async def test_why_a_slot_was_missed_is_not_what_an_earlier_process_suffered() -> None:
    async with kept() as desk:
        desk.venues.down = VenueUnavailable("sim: no answer")
        await desk.kept_until(SLOT - timedelta(minutes=5))
        desk.venues.down = None
        await desk.until(SLOT + 7 * HOUR)
        await desk.kept_until(desk.now + HOUR)
        [run] = await desk.runs()
        assert "did not run" in run.reason


async def test_resuming_ends_the_pause_after_a_failure() -> None:
    async with kept() as desk:
        desk.venues.down = InvariantViolation("a table is upside down")
        async with desk.daemon():
            await desk.until(SLOT + timedelta(seconds=30))
            assert (await desk.journal.standing("btc3l")).halted
            desk.venues.down = None
            await desk.journal.submit_command(command(CommandKind.RESUME, desk.now))
            await desk.passed(seconds=25)
            [run] = await desk.runs()
            assert run.started_at < SLOT + timedelta(minutes=1)


async def test_fees_of_a_run_that_was_cut_after_its_last_fill_are_still_told() -> None:
    async with kept(drifted(moving_feed({PERP: "105"}, BTC=MarketSpec(taker_bps=Decimal(5), lot=Decimal("0.001"))))) as desk:
        desk.venue.after[9] = lambda: desk.venue.failing.update(quote=10**6, account=10**6)
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) >= 9)
            await desk.passed(minutes=1)
            desk.crash()
        desk.venue.failing.clear()
        await desk.kept_until(SLOT + HOUR)
        [run] = await desk.runs()
        fees = sum(fill.fee for _, fill in await desk.journal.fills(run.id))
        assert (run.status, Decimal(result_of(run)["fees"])) == (RunStatus.COMPLETED, fees)
        assert fees > 0


async def test_what_is_traded_the_other_way_in_a_later_attempt_is_told_apart_and_at_its_own_price() -> None:
    async with kept(drifted()) as desk:
        feed = desk.venue.inner.feed
        assert isinstance(feed, MovingFeed)
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 4)
        feed.move(PERP, "97")
        await desk.kept_until(SLOT + HOUR)
        [run] = await desk.runs()
        bought, sold = result_of(run)["legs"]
        assert [leg["side"] for leg in (bought, sold)] == ["buy", "sell"]
        fills = [fill for _, fill in await desk.journal.fills(run.id)]
        for leg in (bought, sold):
            assert Decimal(leg["traded"]) == sum(fill.amount for fill in fills if fill.side == leg["side"]) > 0
        assert Decimal(result_of(run)["shortfall"]["total"]) == 0  # each was traded at the price it was decided at
