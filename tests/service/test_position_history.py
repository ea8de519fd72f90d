"""What a position is compared with: what was settled last on this account, however much has happened elsewhere since."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.fund import FundState
from keeper.domain.order import ChildState, OrderReport, VenueOrder
from keeper.domain.run import RunStatus
from keeper.policy.breakers import Cause
from keeper.policy.mandate import Mandate
from tests.fakes.desks import Desk, agrees_with_the_venue, desk_of, drifted
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import Fault, ScriptedVenue

ETH = "ETH/USDT:USDT"
SPOT = "BTC/USDT"
DAY = timedelta(days=1)


async def state_of(desk: Desk) -> FundState:
    return (await desk.journal.standing("btc3l")).state


async def later(desk: Desk, by: timedelta) -> None:
    await desk.venue.clock.sleep_until(desk.venue.clock.now() + by)


def hide(venue: ScriptedVenue, client_id: str) -> None:
    """The venue finds an order neither under its id nor among its orders."""
    tell = venue.inner.orders

    async def finds_nothing(_symbol: str, _client_id: str) -> OrderReport | None:
        return None

    async def all_but_it(symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        return tuple(order for order in await tell(symbol, since) if order.client_id != client_id)

    venue.inner.lookup = finds_nothing  # type: ignore[assignment, method-assign]
    venue.inner.orders = all_but_it  # type: ignore[method-assign]


async def wants(desk: Desk, targets: dict[str, str]) -> None:
    """The operator changes the mandate, and starts anew."""
    desk.fund = replace(desk.fund, mandate=Mandate(targets={symbol: Decimal(multiple) for symbol, multiple in targets.items()}))
    await desk.restart()


async def test_spot_reads_that_stand_still_halt_the_fund_instead_of_buying_again(tmp_path: Path) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({SPOT: "100"}), opening({"USDT": "100000"})))
    async with desk_of(venue, tmp_path, {SPOT: "0.5"}) as desk:
        venue.account_lag = timedelta(days=1)  # against a read lag of none at all: the account stands as it was
        for _ in range(4):
            await desk.run()
            await desk.rebalancer.recover()
        standing = await desk.journal.standing("btc3l")
        assert venue.held.balances["BTC"] <= 500, "0.5x of 100,000 at 100"
        assert (standing.state, standing.cause) == (FundState.HALTED, Cause.POSITION)


async def test_coins_that_come_and_go_on_spot_halt_nothing(tmp_path: Path) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({SPOT: "100"}), opening({"USDT": "100000"})))
    async with desk_of(venue, tmp_path, {SPOT: "0.5"}) as desk:
        await desk.run()
        for coins in ("-200", "75"):
            account = venue.inner._ledger.account
            moved = {**account.balances, "BTC": account.balances["BTC"] + Decimal(coins)}
            venue.inner._ledger = replace(venue.inner._ledger, account=replace(account, balances=moved))
            venue._remember()
            assert (await desk.run()).status is RunStatus.COMPLETED
        assert await state_of(desk) is FundState.ACTIVE
        worth = venue.held.balances["BTC"] * 100
        assert abs(worth / (worth + venue.held.balances["USDT"]) - Decimal("0.5")) < Decimal("0.001")


async def test_an_order_of_unknown_outcome_that_filled_on_spot_is_never_called_not_placed(tmp_path: Path) -> None:
    """The venue can't find it by its id nor in its lists, but the coins are there."""
    venue = ScriptedVenue(paper_venue(moving_feed({SPOT: "100"}), opening({"USDT": "100000"})))
    async with desk_of(venue, tmp_path, {SPOT: "0.5"}) as desk:
        venue.faults = {2: Fault.LOST_REPLY}
        await desk.run()
        lost = venue.sent[1].client_id

        hide(venue, lost)
        (left,) = await desk.rebalancer.recover()
        assert (left.request.client_id, left.state) == (lost, ChildState.UNKNOWN)


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.LOST_REQUEST])
async def test_an_unknown_order_of_a_market_that_left_the_mandate_is_judged_by_its_position(tmp_path: Path, fault: Fault) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "10000"})))
    async with desk_of(venue, tmp_path, {PERP: "1"}) as desk:
        venue.faults = {2: fault}
        await desk.run()
        lost = venue.sent[1].client_id
        await wants(desk, {ETH: "1"})

        hide(venue, lost)
        left = await desk.rebalancer.recover()
        child = await desk.journal.child(lost)
        assert child is not None
        it_arrived = fault is Fault.LOST_REPLY
        assert (child.state, len(left)) == ((ChildState.UNKNOWN, 1) if it_arrived else (ChildState.NOT_PLACED, 0))


@pytest.mark.parametrize("before", ["nothing", "a part"])
async def test_somebodys_order_that_rested_and_fills_after_settling_halts_nothing(tmp_path: Path, before: str) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        desk.venue.rest("web_stop", PERP, "-500")
        await later(desk, timedelta(hours=1))
        if before == "a part":
            desk.venue.strike("web_stop", "-100", "105")
            await desk.run()
        await later(desk, DAY)
        desk.venue.strike("web_stop", "-400" if before == "a part" else "-500", "105")
        await later(desk, timedelta(hours=1))
        run = await desk.run()
        assert await state_of(desk) is FundState.ACTIVE
        assert run.status is RunStatus.COMPLETED
        await agrees_with_the_venue(desk)


async def test_somebodys_order_on_spot_that_fills_against_fills_of_ours_halts_nothing(tmp_path: Path) -> None:
    """It rested as the account was settled, and bought a part of what we have sold since: that is no read without our fills."""
    venue = ScriptedVenue(paper_venue(moving_feed({SPOT: "100"}), opening({"USDT": "100000"})))
    async with desk_of(venue, tmp_path, {SPOT: "0.5"}) as desk:
        await desk.run()
        venue.rest("web_bid", SPOT, "12")
        await later(desk, timedelta(hours=2))
        desk.feed.move(SPOT, "140")
        venue.faults = {len(venue.sent) + 3: Fault.LOST_REPLY}
        cut = await desk.run()
        assert (cut.status, await desk.rebalancer.recover()) == (RunStatus.INCOMPLETE, ())
        sold = [fill.amount for _, fill in await desk.journal.fills(cut.id)]
        assert min(sold) <= 12 <= sum(sold)

        venue.strike("web_bid", "12", "140")
        await later(desk, timedelta(minutes=30))
        assert (await desk.run()).status is RunStatus.COMPLETED
        assert await state_of(desk) is FundState.ACTIVE
        await agrees_with_the_venue(desk)


async def test_a_trade_by_hand_two_months_ago_is_found_and_one_of_a_year_ago_halts_the_fund(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        await later(desk, DAY)
        desk.venue.meddle(PERP, "-500", "105")
        await later(desk, 60 * DAY)
        await desk.run()
        assert await state_of(desk) is FundState.ACTIVE
        desk.venue.meddle(PERP, "-500", "105")
        await later(desk, 365 * DAY)
        await desk.run()
        assert await state_of(desk) is FundState.HALTED


async def test_a_market_that_is_dropped_and_put_back_is_counted_from_when_it_came_back(tmp_path: Path) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "10000"})))
    async with desk_of(venue, tmp_path, {PERP: "1", ETH: "0.5"}) as desk:
        await desk.run()
        await wants(desk, {PERP: "1"})
        desk.feed.move(PERP, "102")
        await desk.run()
        desk.venue.meddle(ETH, "-500", "10")
        desk.venue.foreign.clear()  # so long ago that the venue does not tell
        await later(desk, 100 * DAY)
        await desk.run()
        await wants(desk, {PERP: "1", ETH: "0.5"})
        run = await desk.run()
        assert await state_of(desk) is FundState.ACTIVE
        assert run.status is RunStatus.COMPLETED
        await agrees_with_the_venue(desk)


async def test_a_fund_that_moves_to_another_account_is_not_compared_with_the_old_one(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
    inner = paper_venue(moving_feed({PERP: "105"}), opening({"USDT": "7000"}))
    async with desk_of(ScriptedVenue(inner, account="acc2"), tmp_path) as desk:
        desk.runs = 1
        run = await desk.run()
        assert await state_of(desk) is FundState.ACTIVE
        assert run.status is RunStatus.COMPLETED
        assert [point.cause for point in await desk.journal.nav_points("btc3l", limit=2)] == ["after", "anew"]


async def test_an_order_that_never_arrived_is_settled_although_the_venue_cut_the_position_meanwhile(tmp_path: Path) -> None:
    """The forced trade explains all of what is held, so that the order explains none of it."""
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {2: Fault.LOST_REQUEST}
        await desk.run()
        lost = desk.venue.sent[1].client_id
        desk.venue.meddle(PERP, "-500", "105", forced=True)
        assert await desk.rebalancer.recover() == ()
        child = await desk.journal.child(lost)
        assert child is not None
        assert child.state is ChildState.NOT_PLACED
