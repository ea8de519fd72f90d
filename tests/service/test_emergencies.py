"""Between slots: a fund that is watched lives through a crash that would have been its end, and does not lever up again."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from keeper.domain.errors import StaleData, VenueUnavailable
from keeper.domain.fund import FundState
from keeper.domain.observation import Quote
from keeper.domain.run import CommandKind, Run, RunKey, RunStatus
from keeper.planning.plan import EMERGENCY
from keeper.policy.breakers import Cause
from keeper.policy.mandate import default_emergency
from keeper.ports import Journal
from keeper.service.emergencies import LOOKED, refuse_overtaken
from tests.fakes.crash import BLACK_THURSDAY, Crash, crashing, only_reduces
from tests.fakes.daemon_desks import kept
from tests.fakes.daemons import command, fund_of
from tests.fakes.desks import desk_of, drifted
from tests.fakes.journal_values import a_run, later
from tests.fakes.markets import ETH
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, START, opening, paper_venue
from tests.fakes.scripted_venue import Fault, ScriptedVenue

D = Decimal
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BUILT = START + timedelta(minutes=30)
NEXT_SLOT = START + timedelta(days=1, minutes=15)


async def emergencies(crash: Crash) -> list[Run]:
    """Every emergency run, oldest first."""
    return [run for run in await crash.desk.runs() if run.key.trigger.startswith(EMERGENCY)]


async def built(crash: Crash, price: str = "7950") -> None:
    """Let the first slot bring the fund to its target."""
    await crash.at(price, minutes=30)
    assert abs(abs(crash.worth.net_leverage) - 3) < Decimal("0.001")


def losing(crash: Crash) -> None:
    """Let no loss bind the fund."""
    fund = crash.desk.venues.fund
    crash.desk.venues.fund = replace(fund, breakers=replace(fund.breakers, loss=Decimal(1)))


def added_to(crash: Crash) -> bool:
    """Whether the position ever grew after it was built and before the next slot."""
    sizes = [abs(contracts) for at, contracts in crash.levers if BUILT <= at < NEXT_SLOT]
    return any(later > before for before, later in pairwise(sizes))


async def test_without_a_look_between_slots_a_3x_fund_is_liquidated_on_black_thursday() -> None:
    async with crashing(check_every=DAY) as crash:
        async with crash.desk.daemon():
            await crash.lives(BLACK_THURSDAY[:12])
        assert crash.liquidated
        assert await emergencies(crash) == []


async def test_with_a_look_a_minute_it_lives_and_levers_up_at_no_time_but_its_slot() -> None:
    async with crashing(check_every=MINUTE) as crash:
        async with crash.desk.daemon():
            await crash.lives(BLACK_THURSDAY)
        assert not crash.liquidated
        assert max(worth.gross_leverage for worth in crash.worths if worth.nav > 0) < 5
        assert not added_to(crash)
        assert crash.worth.nav > 5000
        runs = await emergencies(crash)
        assert len(runs) == 5
        assert {run.status for run in runs} == {RunStatus.COMPLETED}
        assert only_reduces([child.request for run in runs for child in await crash.desk.journal.children(run.id)])
        assert (await crash.desk.journal.standing("btc3l")).state is not FundState.HALTED


@pytest.mark.parametrize(("target", "price"), [("3", "7000"), ("-3", "8850")])
async def test_it_is_brought_back_to_its_target_at_once_and_recorded_with_its_reason(target: str, price: str) -> None:
    async with crashing(target, check_every=timedelta(minutes=10)) as crash, crash.desk.daemon():
        await built(crash)
        await crash.at(price, minutes=11)
        [run] = await emergencies(crash)
        assert (run.status, run.attempts) == (RunStatus.COMPLETED, 1)
        level = default_emergency(crash.desk.venues.fund.mandate)
        assert f"an emergency from {level:.0f}x on" in str(run.plan["asked"])
        assert abs(abs(crash.worth.net_leverage) - 3) < Decimal("0.001")
        orders = await crash.desk.journal.children(run.id)
        assert len(orders) == 1
        assert run.ended_at is not None
        assert run.ended_at - run.started_at < MINUTE
        for back in ("7300", "7950"):  # and not a contract is added as the price comes back
            before = crash.contracts
            await crash.at(back, hours=3)
            assert abs(crash.contracts) <= abs(before)
        sent = len(crash.desk.venue.sent)
        await crash.at("7950", hours=18)
        assert len(crash.desk.venue.sent) > sent, "the next slot puts on again what it took off"


async def test_a_slot_that_an_emergency_cut_is_over() -> None:
    async with crashing(check_every=timedelta(seconds=5)) as crash:
        losing(crash)
        async with crash.desk.daemon():
            await crash.at("7950", minutes=22, seconds=1)
            assert 2 < crash.worth.gross_leverage < 3
            await crash.at("6400", minutes=1)
            held = crash.contracts
            await crash.at("7950", minutes=40)
            assert crash.contracts == held
        [slot, emergency] = await crash.desk.runs()
        assert slot.status is RunStatus.INCOMPLETE
        assert slot.reason.startswith("emergency: gross leverage is")
        assert slot.attempts == 1
        assert emergency.status is RunStatus.COMPLETED


async def test_a_crash_while_it_is_flattened_goes_first_and_then_it_is_flattened() -> None:
    async with crashing() as crash:
        async with crash.desk.daemon():
            await built(crash)
            await crash.desk.journal.submit_command(command(CommandKind.FLATTEN, crash.desk.now))
            await crash.at("7950", minutes=2)
            await crash.at("5600", minutes=3)
            [emergency] = await emergencies(crash)
            assert emergency.status is RunStatus.COMPLETED
            assert crash.contracts > 0
            await crash.at("5600", minutes=15)
        assert crash.contracts == 0


async def test_a_halted_fund_is_left_alone_and_what_threatens_it_is_told() -> None:
    async with crashing() as crash, crash.desk.daemon():
        await built(crash)
        await crash.desk.journal.submit_command(command(CommandKind.HALT, crash.desk.now))
        await crash.at("7950", minutes=1)
        sent = len(crash.desk.venue.sent)
        await crash.at("6900", minutes=10)
        assert len(crash.desk.venue.sent) == sent
        assert await emergencies(crash) == []
        looked = await crash.desk.journal.last_event(LOOKED, "btc3l")
        assert looked is not None
        assert "gross leverage is 4." in str(looked.payload["danger"])
        await crash.desk.journal.submit_command(command(CommandKind.RESUME, crash.desk.now, name="c2"))
        await crash.at("6900", minutes=3)
        [emergency] = await emergencies(crash)
        assert emergency.status is RunStatus.COMPLETED


async def test_what_a_breaker_or_a_cap_binds_is_de_levered_all_the_same() -> None:
    async with crashing() as crash:
        async with crash.desk.daemon():
            await built(crash)
            await crash.desk.journal.set_state(
                "btc3l", FundState.REDUCE_ONLY, reason="slipped", cause=Cause.SLIPPAGE, at=crash.desk.now
            )
            for step in range(1, 9):  # more runs within an hour than any fund may have
                await crash.at(7950 * Decimal("0.88") ** step, minutes=2)
        assert not crash.liquidated
        runs = await emergencies(crash)
        assert len(runs) > crash.desk.venues.fund.breakers.runs_per_hour
        assert (await crash.desk.journal.standing("btc3l")).state is FundState.REDUCE_ONLY


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.LOST_REQUEST, Fault.REJECTED])
async def test_an_order_that_went_wrong_does_not_end_it(fault: Fault) -> None:
    async with crashing() as crash:
        async with crash.desk.daemon():
            await built(crash)
            number = len(crash.desk.venue.sent) + 1
            crash.desk.venue.faults = {number: fault}
            await crash.at("7000", minutes=3)
        [run] = await emergencies(crash)
        assert run.status is RunStatus.COMPLETED
        assert abs(crash.worth.net_leverage) < Decimal("3.001")
        assert len({request.client_id for request in crash.desk.venue.sent}) == len(crash.desk.venue.sent)


async def test_a_venue_that_does_not_answer_is_asked_again_within_seconds() -> None:
    async with crashing() as crash, crash.desk.daemon():
        await built(crash)
        await crash.at("7250", minutes=2)
        crash.desk.venue.failing["quote"] = 10**6
        await crash.at("7000", minutes=20)
        assert await emergencies(crash) == []
        assert "no answer" in (await crash.desk.journal.standing("btc3l")).trouble
        crash.desk.venue.failing.clear()
        await crash.at("7000", minutes=2)
        [run] = await emergencies(crash)
        assert run.status is RunStatus.COMPLETED
        assert (await crash.desk.journal.standing("btc3l")).trouble == ""


async def test_a_slot_that_fails_each_time_keeps_nobody_from_looking() -> None:
    async with crashing(check_every=MINUTE) as crash, crash.desk.daemon():
        await built(crash)
        await crash.at("7950", hours=23)
        crash.desk.venue.failing["stats"] = 10_000  # a plan needs them, an emergency does not
        await crash.at("7950", hours=1)
        await crash.at("6900", minutes=12)
        [emergency] = await emergencies(crash)
        assert emergency.status is RunStatus.COMPLETED
        assert crash.worth.net_leverage < Decimal("3.01")


async def test_a_market_that_can_t_be_read_keeps_the_others_from_no_reduction() -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "7950", ETH: "200"}, spread_bps="1"), opening({"USDT": "100000"})))
    async with kept(venue) as desk:
        desk.venues.fund = fund_of(targets={PERP: "2", ETH: "1"}, check_every=timedelta(seconds=5))
        crash = Crash(desk)
        async with desk.daemon():
            await crash.at("7950", minutes=30)
            held = dict(venue.held.positions)
            venue.mute = {ETH}
            crash.feed.move(PERP, "6300")
            await desk.when(lambda: crash.contracts < held[PERP].contracts, limit=60)
            shared = crash.contracts
            assert abs(shared / held[PERP].contracts - Decimal("0.679")) < Decimal("0.01"), "its share is left for the other"
            await crash.at("6300", minutes=3)
            assert 0 < crash.contracts < shared, "and then made up for"
            assert venue.held.positions[ETH].contracts == held[ETH].contracts
            venue.mute = set()
            await crash.at("6300", minutes=3)
        assert not crash.liquidated
        [run] = await emergencies(crash)
        assert run.status is RunStatus.COMPLETED
        assert only_reduces([child.request for child in await desk.journal.children(run.id)])


async def test_a_price_that_is_wrong_for_once_ends_nothing() -> None:
    async with crashing(check_every=timedelta(seconds=5)) as crash:
        async with crash.desk.daemon():
            await crash.at("7950", minutes=22, seconds=2)  # in the middle of the slot's run, between two of its slices
            wrong: list[str] = []

            def once(kind: str) -> None:
                crash.feed.move(PERP, "7950" if wrong else "5900")
                wrong.append(kind)

            crash.desk.venue.on_read = once
            await crash.desk.passed(minutes=10)
        assert wrong[0] == "quote"
        [run] = await crash.desk.runs()
        assert (run.status, run.attempts) == (RunStatus.COMPLETED, 1)


async def test_many_emergencies_within_an_hour_are_no_repeated_execution() -> None:
    async with crashing() as crash:
        losing(crash)
        async with crash.desk.daemon():
            await built(crash)
            for step in range(1, 9):
                await crash.at(7950 * Decimal("0.88") ** step, minutes=2)
            assert len(await emergencies(crash)) == 8
            await crash.desk.journal.submit_command(command(CommandKind.REBALANCE, crash.desk.now))
            await crash.at(7950 * Decimal("0.88") ** 8, minutes=15)
            assert (await crash.desk.journal.standing("btc3l")).state is FundState.ACTIVE


async def test_one_that_was_killed_in_the_middle_is_taken_up_in_its_own_row() -> None:
    async with crashing() as crash:
        async with crash.desk.daemon():
            await built(crash)
            crash.desk.venue.faults = {len(crash.desk.venue.sent) + 1: Fault.HANG_BEFORE}
            crash.feed.move(PERP, "7000")
            await crash.desk.venue.hanging.wait()
            crash.desk.crash()
        [run] = await emergencies(crash)
        assert run.status is RunStatus.RUNNING
        assert crash.worth.gross_leverage > 4
        async with crash.desk.daemon():
            await crash.at("7000", minutes=2)
        [again] = await emergencies(crash)
        assert (again.id, again.status, again.attempts) == (run.id, RunStatus.COMPLETED, 2)
        assert abs(crash.worth.net_leverage - 3) < Decimal("0.001")


async def test_one_that_was_killed_goes_on_below_its_level_until_it_has_ended() -> None:
    async with crashing() as crash:
        async with crash.desk.daemon():
            await built(crash)
            crash.desk.venue.faults = {len(crash.desk.venue.sent) + 1: Fault.HANG_BEFORE}
            crash.feed.move(PERP, "7000")
            await crash.desk.venue.hanging.wait()
            crash.desk.crash()
        crash.feed.move(PERP, "7300")
        assert 3 < crash.worth.gross_leverage < 4
        async with crash.desk.daemon():
            await crash.at("7300", minutes=2)
        assert abs(crash.worth.net_leverage - 3) < Decimal("0.001")


@pytest.mark.parametrize("forced", [True, False])
async def test_a_position_that_shrank_between_slots_halts_the_fund_before_the_next(*, forced: bool) -> None:
    async with crashing() as crash:
        async with crash.desk.daemon():
            await built(crash)
            crash.desk.venue.meddle(PERP, "-10", "7950", forced=forced)
            if not forced:
                crash.desk.venue.foreign.clear()  # and nobody tells of it
            await crash.at("7950", minutes=8)
            standing = await crash.desk.journal.standing("btc3l")
        assert (standing.state, standing.cause) == (FundState.HALTED, Cause.POSITION)
        assert len(await crash.desk.runs()) == 1


async def test_a_trade_by_hand_halts_nothing_and_what_it_adds_is_seen() -> None:
    async with crashing() as crash:
        async with crash.desk.daemon():
            await built(crash)
            crash.desk.venue.meddle(PERP, "14", "7950")
            assert crash.worth.gross_leverage > 4
            await crash.at("7950", minutes=8)
            assert (await crash.desk.journal.standing("btc3l")).state is FundState.ACTIVE
            [run] = await emergencies(crash)
        assert run.status is RunStatus.COMPLETED
        assert abs(crash.worth.net_leverage - 3) < Decimal("0.001")


async def test_far_from_an_emergency_the_account_is_read_every_five_minutes_and_nothing_is_sent() -> None:
    async with crashing(check_every=timedelta(seconds=5)) as crash, crash.desk.daemon():
        await built(crash)
        await crash.at("7950", minutes=6)
        sent = len(crash.desk.venue.sent)
        crash.desk.venue.log.clear()
        await crash.at("7950", minutes=30)
        kinds = [kind for kind, _ in crash.desk.venue.log]
        assert 5 <= kinds.count("account") <= 7
        assert 360 <= kinds.count("quote") <= 370
        assert set(kinds) == {"account", "quote"}
        assert len(crash.desk.venue.sent) == sent


async def test_near_an_emergency_the_account_is_read_more_often() -> None:
    async with crashing(check_every=timedelta(seconds=5)) as crash, crash.desk.daemon():
        await built(crash)
        await crash.at("7150", minutes=1)
        crash.desk.venue.log.clear()
        await crash.at("7150", minutes=10)
        assert 18 <= [kind for kind, _ in crash.desk.venue.log].count("account") <= 22


async def test_a_venue_that_is_down_from_the_start_keeps_nobody_from_looking_later() -> None:
    async with crashing() as crash:
        async with crash.desk.daemon():
            await built(crash)
        crash.desk.venues.down = VenueUnavailable("sim: no answer")
        async with crash.desk.daemon():
            await crash.at("7000", minutes=3)
            assert await emergencies(crash) == []
            crash.desk.venues.down = None
            await crash.at("7000", minutes=3)
            assert [run.status for run in await emergencies(crash)] == [RunStatus.COMPLETED]


async def test_an_account_that_is_read_as_it_was_is_not_de_levered_twice() -> None:
    async with crashing() as crash:
        async with crash.desk.daemon():
            await built(crash)
            await crash.at("7950", minutes=35)
            crash.desk.venue.account_lag = timedelta(minutes=30)
            await crash.at("7000", minutes=25)
            assert abs(crash.worth.net_leverage - 3) < Decimal("0.001")
        assert [run.status for run in await emergencies(crash)] == [RunStatus.COMPLETED]


async def test_an_attempt_that_is_due_while_the_venue_is_down_waits_for_the_venue() -> None:
    async with crashing() as crash:
        venue = crash.desk.venue
        async with crash.desk.daemon():
            await built(crash)
            number = len(venue.sent) + 1
            venue.faults = {number: Fault.LOST_REQUEST}
            venue.after = {number: lambda: venue.failing.update(quote=10**6, account=10**6, lookup=10**6)}
            opened = len(crash.desk.venues.opened)
            await crash.at("7000", minutes=10)
            [left] = await emergencies(crash)
            assert left.status is RunStatus.INCOMPLETE
            assert len(crash.desk.venues.opened) - opened < 70, "it is asked no more often than every ten seconds"
            venue.failing.clear()
            await crash.at("7000", minutes=2)
            [run] = await emergencies(crash)
        assert (run.id, run.status) == (left.id, RunStatus.COMPLETED)


async def test_to_resume_a_fund_does_not_call_off_an_emergency() -> None:
    async with crashing() as crash:
        crash.desk.poll = timedelta(seconds=1)
        async with crash.desk.daemon():
            await built(crash)
            crash.feed._depth = Decimal(3)  # so that it takes several orders
            sent = len(crash.desk.venue.sent)
            crash.feed.move(PERP, "7000")
            await crash.desk.when(lambda: len(crash.desk.venue.sent) > sent)
            await crash.desk.journal.submit_command(command(CommandKind.RESUME, crash.desk.now))
            await crash.at("7000", minutes=3)
            [run] = await emergencies(crash)
        assert len(crash.desk.venue.sent) > sent + 3
        assert (run.status, run.attempts) == (RunStatus.COMPLETED, 1)


async def test_a_fund_of_which_nothing_is_left_is_halted_and_not_traded() -> None:
    async with crashing() as crash, crash.desk.daemon():
        await built(crash)
        sent = len(crash.desk.venue.sent)
        await crash.at("5200", seconds=1)
        await crash.at("5200", minutes=10)
        standing = await crash.desk.journal.standing("btc3l")
        assert (standing.state, standing.cause) == (FundState.HALTED, Cause.WORTHLESS)
        assert standing.reason.startswith("NAV is -")
        assert len(crash.desk.venue.sent) == sent


@pytest.mark.parametrize(("seconds", "state"), [(5, FundState.ACTIVE), (60, FundState.HALTED)])
async def test_a_nav_that_reads_as_nothing_for_once_halts_nobody(tmp_path: Path, seconds: int, state: FundState) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        began = desk.venue.clock.now()

        def wrong(_kind: str) -> None:
            desk.feed.move(PERP, "50" if desk.venue.clock.now() - began < timedelta(seconds=seconds) else "105")

        desk.venue.on_read = wrong
        with suppress(StaleData):
            await desk.rebalancer.monitor().look()
        assert (await desk.journal.standing("btc3l")).state is state


async def test_no_emergency_is_planned_by_a_price_that_can_not_be_and_to_flatten_needs_none(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        real = desk.venue.quote

        async def lowered(symbol: str) -> Quote:
            told = await real(symbol)
            return replace(told, mark=told.mark * D("0.9"))

        desk.venue.quote = lowered  # type: ignore[method-assign]
        with pytest.raises(StaleData, match="are further apart than"):
            await desk.rebalancer.braked(going_on=False).plan()
        assert (await desk.rebalancer.flat().plan()).legs


@pytest.mark.parametrize(
    ("trigger", "attempts", "stopped", "refused"),
    [
        ("slot:2026-03-02T00:15[UTC]", 2, 1, True),
        ("slot:2026-03-02T00:15[UTC]", 2, -1, False),
        ("slot:2026-03-02T00:15[UTC]", 1, 1, False),
        ("manual:m1", 2, 1, False),
    ],
)
async def test_only_a_slots_run_that_goes_on_is_over_once_a_stop_went_off_in_it(
    trigger: str, attempts: int, stopped: int, *, refused: bool
) -> None:
    class Told:
        async def last_brake(self, _fund: str, _since: datetime) -> datetime:
            return later(stopped)

    run = replace(a_run("r"), key=RunKey("btc3l", trigger), attempts=attempts)
    if refused:
        with pytest.raises(StaleData, match="only the next slot puts on again"):
            await refuse_overtaken(cast("Journal", Told()), run)
    else:
        await refuse_overtaken(cast("Journal", Told()), run)
