"""An immediate-or-cancel order: what is accepted, what the final report says of it, and what its trades cost."""

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

import pytest

from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, Fill, OrderReport, OrderRequest
from keeper.service.sender import confirm
from tests.contract.case import Ability, VenueCase, World, name_of, order, reaching
from tests.contract.cases import every

D = Decimal


async def settled(world: World, request: OrderRequest) -> tuple[OrderReport, tuple[Fill, ...]]:
    """Place an order and have it confirmed, as the sender does."""
    outcome = await world.venue.place(request)
    assert isinstance(outcome, Accepted), outcome
    assert outcome.report.client_id == request.client_id
    confirmed = await confirm(world.venue, world.venue.clock, request, outcome.report)
    assert confirmed is not None
    report, fills = confirmed
    assert report.state.terminal
    assert sum((fill.amount for fill in fills), D(0)) == report.filled
    told = [(f.trade_id, f.symbol, f.side.sign, f.amount, f.price, f.fee, f.fee_asset) for f in fills]
    truth = [one for one in world.trades() if one.client_id == world.known_as(request.client_id)]
    assert told == [(t.trade_id, t.symbol, t.sign, t.amount, t.price, t.fee, t.fee_asset) for t in truth]
    return report, fills


@every()
@pytest.mark.parametrize("side", list(Side))
async def test_an_order_fills_whole(case: VenueCase, side: Side) -> None:
    async with case.opened(held={case.main: D(9_000)}) as world:
        before = (await world.venue.account()).held((await world.venue.markets([case.main]))[case.main])
        asked = order(world, case.main, side=side)
        report, fills = await settled(world, asked)
        assert (report.state, report.filled) == (ChildState.FILLED, asked.amount)
        assert all((fill.price - asked.price) * side.sign <= 0 for fill in fills)
        assert report.average is not None
        assert min(fill.price for fill in fills) <= report.average <= max(fill.price for fill in fills)
        market = (await world.venue.markets([case.main]))[case.main]
        fees = sum((fill.fee for fill in fills if fill.fee_asset == market.base), D(0)) if market.settle != market.base else D(0)
        after = (await world.venue.account()).held(market)
        assert after == before + side.sign * asked.amount - fees
        assert len(world.taken()) == 1


@every()
async def test_an_order_leaves_the_rounding_of_the_whole_thread_as_it_was(case: VenueCase) -> None:
    with localcontext(Context(rounding=ROUND_HALF_EVEN)) as ours:
        trapped = dict(ours.traps)
        async with case.opened() as world:
            await settled(world, order(world, case.main))
        assert (ours.rounding, dict(ours.traps)) == (ROUND_HALF_EVEN, trapped)


@every()
async def test_an_order_fills_in_part_and_the_rest_is_gone(case: VenueCase) -> None:
    async with case.opened() as world:
        price, depth = world.displayed(case.main, 1)[0]
        report, fills = await settled(world, order(world, case.main, amount=depth * 2, price=price))
        assert (report.state, report.filled) == (ChildState.CANCELED, depth)
        assert fills
        assert (await world.venue.account()).open_orders == ()


@every()
async def test_an_order_that_does_not_reach_the_book_fills_nothing_and_does_not_rest(case: VenueCase) -> None:
    async with case.opened() as world:
        asked = order(world, case.main, price=reaching(world, case.main, Side.BUY, D("-0.01")))
        report, fills = await settled(world, asked)
        assert (report.state, report.filled, report.average, fills) == (ChildState.CANCELED, D(0), None, ())
        assert (await world.venue.account()).open_orders == ()
        assert world.trades() == []


@every()
async def test_the_account_afterwards_is_the_account_before_with_the_fills_booked(case: VenueCase) -> None:
    async with case.opened(held={case.main: D(9_000), case.second: D(6_000)}) as world:
        markets = await world.venue.markets([case.main, case.second])
        account = await world.venue.account()
        rounds = ((case.main, Side.BUY), (case.second, Side.SELL), (case.main, Side.SELL))
        for number, (symbol, side) in enumerate(rounds):
            _, fills = await settled(world, order(world, symbol, side=side, client_id=name_of(world, number)))
            for fill in fills:
                account = account.after(fill, markets[symbol])
        seen = await world.venue.account()
        for asset, amount in seen.balances.items():
            assert abs(amount - account.balances[asset]) < D("1e-7")
        assert seen.positions.keys() == account.positions.keys()
        for symbol, held in seen.positions.items():
            assert held.contracts == account.positions[symbol].contracts == world.positions()[symbol].contracts
            assert abs(held.entry - account.positions[symbol].entry) <= held.entry * D("1e-7")


@every(Ability.REDUCE_ONLY)
async def test_a_reduce_only_order_never_flips_the_position(case: VenueCase) -> None:
    async with case.opened(held={case.main: D(3_000)}) as world:
        held = world.positions()[case.main].contracts
        asked = order(world, case.main, side=Side.SELL, amount=held * 2, reduce_only=True)
        _, fills = await settled(world, asked)
        assert sum((fill.amount for fill in fills), D(0)) == held
        assert world.positions() == {}
