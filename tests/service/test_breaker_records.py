"""What breakers count from: whole rows of the last hour and day since a human's word, which they never overrule."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.fund import FundState, Standing
from keeper.domain.run import Command, CommandKind, RunStatus
from keeper.policy.breakers import Breakers, Cause, Trip
from keeper.policy.mandate import Mandate
from keeper.service.guard import Guard
from keeper.service.progress import Unwatched
from keeper.service.rebalancer import Rebalancer
from tests.fakes.desks import LIMITS, Desk, desk_of, drifted
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import Fault, ScriptedVenue

DAY = timedelta(days=1)
SLOT = "slot:2025-03-01T00:15[UTC]"
OFTEN = replace(LIMITS, max_turnover_per_day=Decimal(90))


def guard_of(desk: Desk, breakers: Breakers | None = None) -> Guard:
    return Guard("btc3l", breakers or desk.fund.breakers, desk.venue.clock, desk.journal)


async def later(desk: Desk, by: timedelta) -> None:
    await desk.venue.clock.sleep_until(desk.venue.clock.now() + by)


async def standing(desk: Desk) -> Standing:
    return await desk.journal.standing("btc3l")


def pay(desk: Desk, amount: str) -> None:
    """Cash comes in, or goes."""
    ledger = desk.venue.inner._ledger
    balances = {**ledger.account.balances, "USDT": ledger.account.balances["USDT"] + Decimal(amount)}
    desk.venue.inner._ledger = replace(ledger, account=replace(ledger.account, balances=balances))
    desk.venue._remember()


@pytest.mark.parametrize("behind", [0, 300])
async def test_a_loss_of_a_day_counts_from_what_the_fund_was_worth_when_it_began(tmp_path: Path, behind: int) -> None:
    """The run of the day before may have ended earlier in its day than this one does."""
    async with desk_of(drifted(), tmp_path) as desk:
        start = desk.venue.clock.now()
        await desk.run()
        await desk.venue.clock.sleep_until(start + DAY + timedelta(seconds=behind))
        desk.feed.move(PERP, "85")
        sent = len(desk.venue.sent)
        await desk.run()
        assert ((await standing(desk)).state, (await standing(desk)).cause) == (FundState.REDUCE_ONLY, Cause.LOSS)
        assert all(request.reduce_only for request in desk.venue.sent[sent:])


async def test_a_withdrawal_is_no_loss_and_a_deposit_hides_none(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path, limits=OFTEN) as desk:
        await desk.run()
        pay(desk, "-70000")  # six tenths of it
        await later(desk, timedelta(hours=2))
        assert (await desk.run()).status is RunStatus.COMPLETED
        assert (await standing(desk)).state is FundState.ACTIVE
        pay(desk, "70000")
        await later(desk, timedelta(hours=2))
        await desk.run()
        desk.feed.move(PERP, "88")  # a half of it
        pay(desk, "100000")
        await later(desk, timedelta(hours=2))
        await desk.run()
        assert (await standing(desk)).cause == Cause.LOSS


async def test_every_attempt_counts_however_many_events_a_run_has(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path, limits=OFTEN) as desk:
        for number in range(7):
            assert (await standing(desk)).state is FundState.ACTIVE
            desk.feed.move(PERP, str(105 + number))
            run = await desk.run()
            for _ in range(200):
                await desk.journal.note("run.noted", fund="btc3l", run=run.id, at=desk.venue.clock.now(), payload={})
        assert ((await standing(desk)).state, (await standing(desk)).cause) == (FundState.HALTED, Cause.REPEATED)


async def test_a_process_that_dies_after_each_order_is_stopped(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        for _ in range(12):
            desk.venue.faults[len(desk.venue.sent) + 1] = Fault.HANG_AFTER
            desk.venue.hanging.clear()
            await desk.restart()
            await desk.rebalancer.recover()
            plan = await desk.rebalancer.plan()
            begun = next(iter(await desk.journal.runs()), None)
            going = asyncio.create_task(
                desk.rebalancer.execute(plan, SLOT, Unwatched())
                if begun is None
                else desk.rebalancer.take_up(begun, plan, Unwatched())
            )
            hung = asyncio.create_task(desk.venue.hanging.wait())
            await asyncio.wait({going, hung}, return_when=asyncio.FIRST_COMPLETED)
            going.cancel()  # what kill -9 leaves
            hung.cancel()
            await asyncio.wait({going, hung})
        assert (await standing(desk)).halted
        assert len(desk.venue.sent) <= desk.fund.breakers.runs_per_hour + 1


async def test_a_clock_that_was_ahead_when_the_fund_was_resumed_blinds_no_breaker(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        ahead = desk.venue.clock.now() + timedelta(days=30)
        await desk.journal.submit_command(Command(id="c1", fund="btc3l", kind=CommandKind.RESUME, reason="", at=ahead))
        await desk.run()
        await guard_of(desk, Breakers(runs_per_hour=0)).judge()
        assert (await standing(desk)).cause == Cause.REPEATED


@pytest.mark.parametrize("what", ["lifts", "trips"])
async def test_a_halt_that_is_said_while_a_breaker_acts_stands(tmp_path: Path, what: str) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        guard, told = guard_of(desk), desk.journal.standing
        if what == "lifts":
            await guard.judge(trouble=timedelta(hours=1))

        async def and_then_it_is_halted(fund: str) -> Standing:
            desk.journal.standing = told  # type: ignore[method-assign]
            before = await told(fund)
            at = desk.venue.clock.now()
            await desk.journal.submit_command(Command(id="h", fund="btc3l", kind=CommandKind.HALT, reason="stop", at=at))
            return before

        desk.journal.standing = and_then_it_is_halted  # type: ignore[method-assign]
        if what == "lifts":
            await guard.judge()
        else:
            await guard.trip(Trip(state=FundState.REDUCE_ONLY, cause=Cause.LOSS, why="it fell"))
        assert ((await standing(desk)).state, (await standing(desk)).reason) == (FundState.HALTED, "stop")


async def test_no_intent_is_recorded_once_a_halt_is(tmp_path: Path) -> None:
    """The gate looked right before, and the halt was committed in between."""
    async with desk_of(drifted(), tmp_path) as desk:
        record = desk.journal.record_intent

        async def halted_first(child: object) -> Standing | None:
            at = desk.venue.clock.now()
            await desk.journal.submit_command(Command(id="h", fund="btc3l", kind=CommandKind.HALT, reason="stop", at=at))
            desk.journal.record_intent = record  # type: ignore[method-assign]
            return await record(child)  # type: ignore[arg-type]

        desk.journal.record_intent = halted_first  # type: ignore[method-assign]
        run = await desk.run()
        assert (desk.venue.sent, await desk.journal.children(run.id)) == ([], ())
        assert run.status is RunStatus.REFUSED
        assert "stop" in run.reason


async def test_a_target_jump_stays_refused_however_often_it_is_tried(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        slip = replace(desk.fund, mandate=Mandate(targets={PERP: Decimal(8)}))
        desk.rebalancer = Rebalancer(slip, desk.venue, desk.journal, desk.rebalancer._observer)
        assert {(await desk.run()).status for _ in range(30)} == {RunStatus.REFUSED}


async def test_a_run_that_slept_past_its_end_sends_nothing_more(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        wait, sent = desk.rebalancer._waiting.until, desk.venue.sent

        async def until(at: datetime) -> None:
            lid_closed = timedelta(hours=30) if len(sent) == 2 else timedelta(0)
            await wait(at + lid_closed)

        desk.rebalancer._waiting.until = until  # type: ignore[method-assign]
        run = await desk.run()
        assert (len(sent), run.status) == (2, RunStatus.INCOMPLETE)
        assert "slept" in run.reason


async def test_nothing_is_sent_on_an_account_that_was_read_long_before_its_prices(tmp_path: Path) -> None:
    async with desk_of(ScriptedVenue(paper_venue(moving_feed({PERP: "105"}), opening({"USDT": "1000"}))), tmp_path) as desk:
        read, quote = desk.venue.account, desk.venue.quote
        reads: list[datetime] = []
        ages: list[timedelta] = []

        async def slowly(symbol: str) -> object:
            if len(reads) == 4:
                await later(desk, timedelta(seconds=25))
            return await quote(symbol)

        async def noted() -> object:
            reads.append(desk.venue.clock.now())
            return await read()

        desk.venue.quote, desk.venue.account = slowly, noted  # type: ignore[assignment, method-assign]
        desk.venue.on_place = lambda _request: ages.append(desk.venue.clock.now() - reads[-1])
        await desk.run()
        assert ages
        assert max(ages) <= timedelta(seconds=10)


async def test_coins_sold_that_are_not_there_use_up_what_may_be_added(tmp_path: Path) -> None:
    """A sale on spot seems to reduce; of what is borrowed it adds, and caps go by what the gate saw."""
    eth = "ETH/USDT"
    venue = ScriptedVenue(paper_venue(moving_feed({eth: "10"}), opening({"USDT": "10000"}), borrow=True))
    async with desk_of(venue, tmp_path, {eth: "-2"}, limits=OFTEN) as desk:
        run = await desk.run()
        usage = (await desk.journal.footing("btc3l", run.id, desk.venue.clock.now())).usage
        assert run.status is RunStatus.COMPLETED
        assert usage.adding_day > 19_000
        assert usage.reducing_day == 0


async def causes(desk: Desk) -> list[str]:
    return [str(point.cause) for point in reversed(await desk.journal.nav_points("btc3l"))]


async def banded(desk: Desk) -> None:
    """From here on the fund stays as it is while it is within 15 % of its target."""
    desk.fund = replace(desk.fund, mandate=replace(desk.fund.mandate, deadband=Decimal("0.15")))
    await desk.restart()


@pytest.mark.parametrize("looked_between", [True, False])
async def test_what_others_bought_is_no_withdrawal_whether_or_not_a_run_looked(tmp_path: Path, *, looked_between: bool) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        await banded(desk)
        desk.venue.meddle(PERP, "400", "105")
        if looked_between:
            assert (await desk.run()).status is RunStatus.NOTHING_DUE
        desk.feed.move(PERP, "90.5")  # half of it is lost
        await desk.run()
        assert (await standing(desk)).cause == Cause.LOSS


async def test_a_withdrawal_after_a_run_that_found_nothing_to_do_is_no_loss(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        await banded(desk)
        desk.feed.move(PERP, "104")
        assert (await desk.run()).status is RunStatus.NOTHING_DUE
        pay(desk, "-60000")
        await desk.run()
        assert (await standing(desk)).state is FundState.ACTIVE
        assert await causes(desk) == ["before", "after", "before", "before", "after"]


async def test_every_run_that_settles_says_what_the_fund_is_worth_once(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        await banded(desk)
        assert (await desk.run()).status is RunStatus.NOTHING_DUE
        desk.feed.move(PERP, "120")
        await desk.journal.set_state("btc3l", FundState.REDUCE_ONLY, reason="wait", at=desk.venue.clock.now())
        assert (await desk.run()).status is RunStatus.REFUSED
        assert await causes(desk) == ["before", "after", "before", "before"]
        newest = (await desk.journal.nav_points("btc3l", limit=1))[0]
        assert (await desk.settled())[PERP].at == newest.at


async def test_positions_that_were_settled_without_a_worth_are_not_those_of_the_last_one(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        desk.venue.meddle(PERP, "400", "105")
        await later(desk, timedelta(minutes=5))
        held = {PERP: desk.venue.held.positions[PERP].contracts}  # as `keeper reconcile --accept` has it
        await desk.journal.record_settled("btc3l", "", held, at=desk.venue.clock.now(), account=desk.venue.info.account)
        await banded(desk)
        await desk.run()
        assert await causes(desk) == ["before", "after", "moved"]
