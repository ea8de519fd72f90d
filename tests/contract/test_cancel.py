"""What rests, what was, and what is done about it: lists of orders, cancels, the dead-man switch."""

from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.market import Side
from keeper.domain.order import ChildState, VenueOrder
from tests.contract.case import Ability, VenueCase, name_of, order, reaching
from tests.contract.cases import every, lacking, on_the_wire
from tests.contract.wire_case import WireCase, WireWorld
from tests.fakes.exchange_core import Forced, Order

D = Decimal


def rests(case: WireCase, world: WireWorld, client_id: str, symbol: str, side: Side = Side.BUY) -> Order:
    """An order that rests below, or above, the market."""
    usual = order(world, symbol)
    price = reaching(world, symbol, side, D("-0.02"))
    return world.core.rest(client_id, case.markets[symbol], side.sign, usual.amount, price)


@on_the_wire(Ability.RESTING)
async def test_what_rests_is_told_ours_and_others_in_every_market(case: WireCase) -> None:
    async with case.opened() as world:
        name = name_of(world)
        ours, other = rests(case, world, case.on_wire(name), case.main), rests(case, world, case.foreign, case.second, Side.SELL)
        told = {one.order_id: one for one in (await world.venue.account()).open_orders}
        assert set(told) == {case.order_id(ours.id), case.order_id(other.id)}
        seen = told[case.order_id(ours.id)]
        assert (seen.client_id, seen.is_ours, seen.symbol, seen.side) == (name, True, case.main, Side.BUY)
        assert (seen.amount, seen.filled, seen.state) == (ours.amount, D(0), ChildState.LIVE)
        seen = told[case.order_id(other.id)]
        assert (seen.is_ours, seen.symbol, seen.side, seen.amount) == (False, case.second, Side.SELL, other.amount)


@on_the_wire(Ability.RESTING)
async def test_a_cancel_ends_the_order_named_and_no_other(case: WireCase) -> None:
    async with case.opened() as world:
        name = name_of(world)
        ours, other = rests(case, world, case.on_wire(name), case.main), rests(case, world, case.foreign, case.main)
        await world.venue.cancel(case.main, name)
        assert not ours.status.rests
        assert other.status.rests
        found = await world.venue.lookup(case.main, name)
        assert found is not None
        assert (found.state, found.filled) == (ChildState.CANCELED, D(0))


@every()
async def test_a_cancel_of_what_does_not_rest_does_nothing(case: VenueCase) -> None:
    async with case.opened() as world:
        asked = order(world, case.main)
        await world.venue.place(asked)
        await world.venue.cancel(case.main, asked.client_id)
        await world.venue.cancel(case.main, name_of(world, 2))
        found = await world.venue.lookup(case.main, asked.client_id)
        assert found is not None
        assert found.state is ChildState.FILLED


@every()
async def test_the_past_holds_our_orders_whole(case: VenueCase) -> None:
    async with case.opened() as world:
        since = world.venue.clock.now() - timedelta(seconds=1)
        asked = order(world, case.main)
        await world.venue.place(asked)
        (one,) = await world.venue.orders(case.main, since)
        assert (one.client_id, one.symbol, one.side, one.is_ours) == (asked.client_id, case.main, Side.BUY, True)
        assert (one.amount, one.filled, one.state, one.forced) == (asked.amount, asked.amount, ChildState.FILLED, False)
        assert one.average is not None
        assert await world.venue.orders(case.second, since) == ()


@on_the_wire(Ability.RESTING)
async def test_the_past_holds_what_others_did_what_was_canceled_and_what_rests(case: WireCase) -> None:
    async with case.opened() as world:
        since = world.venue.clock.now() - timedelta(seconds=1)
        amount = order(world, case.main).amount
        bought = world.core.trade_outside(case.markets[case.main], 1, amount, world.mark(case.main), client_id=case.foreign)
        name = name_of(world)
        gone = rests(case, world, case.on_wire(name), case.main)
        world.core.cancel(case.markets[case.main], order_id=gone.id, client_id=None)
        left = rests(case, world, case.foreign, case.main)
        told = {one.order_id: one for one in await world.venue.orders(case.main, since)}
        assert {key: (one.state, one.filled) for key, one in told.items()} == {
            case.order_id(bought.id): (ChildState.FILLED, amount),
            case.order_id(gone.id): (ChildState.CANCELED, D(0)),
            case.order_id(left.id): (ChildState.LIVE, D(0)),
        }
        assert [one.order_id for one in told.values() if one.is_ours] == [case.order_id(gone.id)]


@on_the_wire(Ability.RESTING)
async def test_orders_before_the_time_asked_for_are_left_out(case: WireCase) -> None:
    async with case.opened() as world:
        amount, price = order(world, case.main).amount, reaching(world, case.main, Side.BUY, D("-0.02"))
        now = world.core.now()
        for minutes in (90, 30):
            world.core.rest(case.foreign, case.markets[case.main], 1, amount, price, at=now - minutes * 60_000)
        told = await world.venue.orders(case.main, world.clock.now() - timedelta(hours=1))
        assert [one.amount for one in told] == [amount]
        assert len(await world.venue.orders(case.main, world.clock.now() - timedelta(hours=2))) == 2


@on_the_wire(Ability.FORCED_ORDERS)
@pytest.mark.parametrize("kind", list(Forced))
async def test_an_order_of_the_venue_s_own_is_told_as_forced(case: WireCase, kind: Forced) -> None:
    async with case.opened(held={case.main: D(6_000)}) as world:
        since = world.venue.clock.now() - timedelta(seconds=1)
        contracts = world.positions()[case.main].contracts
        world.core.force(case.markets[case.main], kind)
        (one,) = await world.venue.orders(case.main, since)
        assert_forced(one, contracts)


def assert_forced(one: VenueOrder, contracts: Decimal) -> None:
    assert (one.forced, one.is_ours, one.signed, one.state) == (True, False, -contracts, ChildState.FILLED)


@on_the_wire(Ability.DEAD_MAN, Ability.RESTING)
async def test_the_dead_man_s_switch_cancels_what_rests_unless_asked_again_or_taken_off(case: WireCase) -> None:
    async with case.opened() as world:
        first = rests(case, world, case.foreign, case.main)
        assert await world.venue.dead_man([case.main, case.second], timedelta(seconds=60))
        world.clock.shift += timedelta(seconds=40)
        assert await world.venue.dead_man([case.main, case.second], timedelta(seconds=60))
        world.clock.shift += timedelta(seconds=40)
        assert world.core.open_orders() == [first]
        world.clock.shift += timedelta(seconds=30)
        assert world.core.open_orders() == []
        second = rests(case, world, case.foreign, case.main)
        assert await world.venue.dead_man([case.main, case.second], timedelta(seconds=60))
        assert await world.venue.dead_man([case.main, case.second], None)
        world.clock.shift += timedelta(hours=1)
        assert world.core.open_orders() == [second]


@lacking(Ability.DEAD_MAN)
async def test_a_venue_without_a_switch_says_so(case: VenueCase) -> None:
    async with case.opened() as world:
        assert not await world.venue.dead_man([case.main], timedelta(seconds=60))
