"""A client id that the venue has already: never a second fill, and never a proof that there is no order."""

from decimal import Decimal

from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, Rejected, Unknown
from tests.contract.case import Ability, VenueCase, name_of, order, reaching
from tests.contract.cases import every, on_the_wire
from tests.contract.wire_case import WireCase


@on_the_wire(Ability.DUPLICATES, Ability.RESTING)
async def test_the_client_id_of_an_order_that_rests_is_no_second_order(case: WireCase) -> None:
    async with case.opened() as world:
        asked = order(world, case.main)
        below = reaching(world, case.main, Side.BUY, Decimal("-0.02"))
        world.core.rest(case.on_wire(asked.client_id), case.markets[case.main], 1, asked.amount, below)
        outcome = await world.venue.place(asked)
        assert isinstance(outcome, Unknown), outcome
        # its code is known, not just one more that proves nothing
        assert "already" in outcome.why or Ability.REJECTIONS in case.lacks
        assert world.trades() == []
        assert len(world.taken()) == 1
        found = await world.venue.lookup(case.main, asked.client_id)
        assert found is not None
        assert (found.state, found.filled) == (ChildState.LIVE, Decimal(0))


@every(Ability.DUPLICATES, Ability.DUPLICATES_EVER)
async def test_the_client_id_of_an_order_that_has_ended_is_no_second_order(case: VenueCase) -> None:
    async with case.opened() as world:
        asked = order(world, case.main)
        assert isinstance(await world.venue.place(asked), Accepted)
        before = world.trades()
        outcome = await world.venue.place(asked)
        assert isinstance(outcome, Unknown)
        assert world.trades() == before
        assert len(world.taken()) == 1
        found = await world.venue.lookup(case.main, asked.client_id)
        assert found is not None
        assert found.filled == asked.amount


@every()
async def test_another_client_id_is_another_order(case: VenueCase) -> None:
    async with case.opened() as world:
        for number in (1, 2):
            outcome = await world.venue.place(order(world, case.main, client_id=name_of(world, number)))
            assert not isinstance(outcome, Rejected | Unknown), outcome
        assert len(world.taken()) == 2
