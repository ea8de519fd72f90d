"""An order is found again by its client id alone, and only by its own."""

from decimal import Decimal

from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState
from tests.contract.case import VenueCase, name_of, order, reaching
from tests.contract.cases import every, on_the_wire
from tests.contract.wire_case import WireCase


@every()
async def test_an_order_is_found_by_its_client_id(case: VenueCase) -> None:
    async with case.opened() as world:
        asked = order(world, case.main)
        outcome = await world.venue.place(asked)
        assert isinstance(outcome, Accepted)
        found = await world.venue.lookup(case.main, asked.client_id)
        assert found is not None
        assert (found.order_id, found.client_id) == (outcome.report.order_id, asked.client_id)
        assert (found.state, found.filled) == (ChildState.FILLED, asked.amount)


@every()
async def test_an_order_that_filled_nothing_is_found_too(case: VenueCase) -> None:
    async with case.opened() as world:
        asked = order(world, case.main, price=reaching(world, case.main, Side.BUY, Decimal("-0.01")))
        await world.venue.place(asked)
        found = await world.venue.lookup(case.main, asked.client_id)
        assert found is not None
        assert (found.state, found.filled, found.average) == (ChildState.CANCELED, Decimal(0), None)


@every()
async def test_an_order_that_the_venue_never_had_is_none(case: VenueCase) -> None:
    async with case.opened() as world:
        await world.venue.place(order(world, case.main))
        assert await world.venue.lookup(case.main, name_of(world, 2)) is None


@on_the_wire()
async def test_an_order_in_another_market_is_not_taken_for_it(case: WireCase) -> None:
    async with case.opened() as world:
        asked = order(world, case.second)
        assert isinstance(await world.venue.place(asked), Accepted)
        found = await world.venue.lookup(case.second, asked.client_id)
        assert found is not None
        assert found.filled == asked.amount
