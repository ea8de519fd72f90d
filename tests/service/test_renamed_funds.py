"""A fund under another name: what it left under its old one, a halt or an order of unknown outcome, binds it all the same."""

from pathlib import Path

from keeper.domain.fund import FundState
from keeper.domain.run import RunStatus
from keeper.service.progress import Unwatched
from tests.fakes.desks import desk_of, drifted
from tests.fakes.paper import PERP
from tests.fakes.scripted_venue import Fault, ScriptedVenue


async def test_a_renamed_fund_stays_halted(tmp_path: Path) -> None:
    venue = drifted()
    async with desk_of(venue, tmp_path) as desk:
        await desk.run()
        await desk.journal.set_state("btc3l", FundState.HALTED, reason="by hand", at=venue.clock.now())
    told = await refused(venue, tmp_path)
    assert "fund btc3l traded this account before and is halted" in told
    assert "`keeper resume btc3l`" in told
    async with desk_of(venue, tmp_path) as desk:
        await desk.journal.set_state("btc3l", FundState.ACTIVE, reason="", at=venue.clock.now())
    async with desk_of(venue, tmp_path, name="btc3") as desk:
        assert (await desk.rebalancer.plan()).refusals == ()


async def test_a_renamed_fund_is_bound_by_an_order_that_its_old_name_left_unsettled(tmp_path: Path) -> None:
    venue = drifted()
    async with desk_of(venue, tmp_path) as desk:
        venue.faults = {1: Fault.LOST_REPLY}
        await desk.run()
        (child,) = await desk.journal.open_children("btc3l")
    told = await refused(venue, tmp_path)
    assert f"`keeper resolve btc3l {child.request.client_id}`" in told
    async with desk_of(venue, tmp_path) as desk:
        assert await desk.rebalancer.recover() == ()
    async with desk_of(venue, tmp_path, name="btc3") as desk:
        assert (await desk.rebalancer.plan()).refusals == ()


async def test_a_renamed_fund_can_be_flattened(tmp_path: Path) -> None:
    """Nothing that protects the fund may stand in the way of what only reduces."""
    venue = drifted()
    async with desk_of(venue, tmp_path) as desk:
        await desk.run()
        await desk.journal.set_state("btc3l", FundState.HALTED, reason="by hand", at=venue.clock.now())
    async with desk_of(venue, tmp_path, name="btc3") as desk:
        flat = desk.rebalancer.flat()
        await flat.execute(await flat.plan(), "flatten:1", Unwatched())
        assert PERP not in venue.held.positions


async def refused(venue: ScriptedVenue, folder: Path) -> str:
    """Why a fund of another name may not trade the account of btc3l; not an order was sent."""
    sent = len(venue.sent)
    async with desk_of(venue, folder, name="btc3") as desk:
        desk.feed.move(PERP, "115")
        await desk.rebalancer.recover()
        await desk.rebalancer.verify()
        plan = await desk.rebalancer.plan()
        assert [refusal.code for refusal in plan.refusals] == ["other_fund"]
        run = await desk.run()
        assert run.status is RunStatus.REFUSED
        assert len(venue.sent) == sent
        return run.reason
