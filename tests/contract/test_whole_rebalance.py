"""A fund from nothing to its target, and after a price move to its target again, on every venue: journal and venue agree."""

from decimal import Decimal
from pathlib import Path

from keeper.domain.market import Side
from keeper.domain.run import RunStatus
from tests.contract.case import Ability, VenueCase
from tests.contract.cases import every, on_the_wire
from tests.contract.desk import Desk, desk_on
from tests.contract.wire_case import WireCase, WireWorld

SMALLEST = Decimal("1.01")
"""A smallest order and what it costs: a gap between the two is not worth closing, and is none to the planner."""


async def brought(desk: Desk) -> None:
    """To the target, by a run that completes."""
    run = await desk.run()
    assert run.status is RunStatus.COMPLETED, run.reason
    await desk.agrees()
    assert all(gap < SMALLEST for gap in desk.gaps().values()), desk.gaps()


@every()
async def test_a_fund_goes_from_nothing_to_its_target_and_back_to_it_after_a_price_move(case: VenueCase, tmp_path: Path) -> None:
    async with desk_on(case, tmp_path) as desk:
        await brought(desk)
        assert {trade.symbol for trade in desk.world.trades()} == set(case.targets)
        assert {trade.sign for trade in desk.world.trades()} == {1}
        before = len(desk.world.taken())
        desk.world.move(case.drop)
        assert any(gap > 1 for gap in desk.gaps().values())
        await brought(desk)
        newest = (await desk.journal.runs(limit=1))[0]
        down = [child.request for child in await desk.journal.children(newest.id)]
        assert len(down) == len(desk.world.taken()) - before
        assert {request.side for request in down} == {Side.SELL}
        if Ability.REDUCE_ONLY not in case.lacks:
            assert all(request.reduce_only for request in down)


@every()
async def test_a_fund_at_its_target_has_nothing_to_do(case: VenueCase, tmp_path: Path) -> None:
    async with desk_on(case, tmp_path) as desk:
        await brought(desk)
        assert not (await desk.rebalancer.plan()).legs


@on_the_wire()
async def test_an_answer_that_is_lost_is_settled_before_the_next_run_which_completes(case: WireCase, tmp_path: Path) -> None:
    async with desk_on(case, tmp_path) as desk:
        assert isinstance(desk.world, WireWorld)
        desk.world.fault("drop_after", times=1)
        run = await desk.run()
        assert run.status is RunStatus.INCOMPLETE
        assert len(await desk.journal.open_children(desk.rebalancer.fund.name)) == 1
        assert desk.world.trades()
        assert await desk.rebalancer.recover() == ()
        await desk.agrees()
        await brought(desk)


@every(Ability.REDUCE_ONLY)
async def test_a_flattened_fund_holds_no_contract_whatever_margined_them(case: VenueCase, tmp_path: Path) -> None:
    async with desk_on(case, tmp_path) as desk:
        await brought(desk)
        assert desk.world.positions()
        run = await desk.flatten()
        assert run.status is RunStatus.COMPLETED, run.reason
        assert desk.world.positions() == {}
        assert all(child.request.reduce_only for child in await desk.journal.children(run.id))
        await desk.agrees()
        assert not (await desk.rebalancer.flat().plan()).legs
