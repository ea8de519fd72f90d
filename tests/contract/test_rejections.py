"""A refusal that proves that no order was taken: it says so, and nothing was booked."""

from decimal import Decimal

from keeper.domain.market import Side
from keeper.domain.order import OrderRequest, Rejected, Unknown
from tests.contract.case import Ability, VenueCase, World, order
from tests.contract.cases import every, on_the_wire
from tests.contract.wire_case import WireCase

NEVER_SENT = "never_sent"


async def is_rejected(case: VenueCase, world: World, asked: OrderRequest, *, on_wire: bool = True) -> None:
    """By the venue's own code where the order is one that leaves."""
    before = (world.balances(), world.positions())
    outcome = await world.venue.place(asked)
    if on_wire and Ability.REJECTIONS in case.lacks:
        assert isinstance(outcome, Unknown), outcome
    else:
        assert isinstance(outcome, Rejected), outcome
        assert outcome.message
        assert not on_wire or outcome.code != NEVER_SENT, outcome
    assert (world.taken(), world.trades()) == ([], [])
    assert (world.balances(), world.positions()) == before
    assert await world.venue.lookup(case.main, asked.client_id) is None


@every()
async def test_an_order_below_the_minimum_is_rejected(case: VenueCase) -> None:
    async with case.opened() as world:
        await is_rejected(case, world, world.lower_than_allowed())


@every()
async def test_an_order_beyond_the_account_s_means_is_rejected(case: VenueCase) -> None:
    async with case.opened() as world:
        await is_rejected(case, world, world.beyond_its_means())


@every(Ability.REDUCE_ONLY)
async def test_a_reduce_only_order_without_a_position_is_rejected(case: VenueCase) -> None:
    async with case.opened() as world:
        await is_rejected(case, world, order(world, case.main, side=Side.SELL, reduce_only=True))


@on_the_wire(Ability.CLOSING)
async def test_an_order_in_a_market_that_closed_meanwhile_is_rejected(case: WireCase) -> None:
    async with case.opened() as world:
        world.instrument(case.main).open = False
        await is_rejected(case, world, order(world, case.main))


@every()
async def test_an_order_off_the_lot_is_rejected_and_not_rounded(case: VenueCase) -> None:
    async with case.opened() as world:
        asked = order(world, case.main)
        off = order(world, case.main, amount=asked.amount + world.rules(case.main).lot / Decimal(2))
        await is_rejected(case, world, off, on_wire=False)
