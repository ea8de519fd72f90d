"""Answers that prove nothing: the order stays unknown, is sent once, and its client id tells afterwards what became of it."""

import pytest

from keeper.domain.order import Unknown
from tests.contract.case import order
from tests.contract.cases import on_the_wire
from tests.contract.wire_case import WireCase, WireWorld

KINDS = ["html", "empty", "empty_object", "half_json", "truncated", "drop_after", "hang", "502", "503"]
BEFORE = [f"{kind}_before" for kind in KINDS if kind != "drop_after"] + ["drop_before"]
PATIENCE = 0.4
"""Seconds until whoever asks an exchange that hangs gives up."""


async def placed(case: WireCase, world: WireWorld) -> str:
    """Place one order whose outcome is then unknown; its client id."""
    asked = order(world, case.main)
    outcome = await world.venue.place(asked)
    assert isinstance(outcome, Unknown), outcome
    method, path = case.new_order
    world.server.faults.clear()
    assert len(world.server.seen(path, method)) == 1
    return asked.client_id


@on_the_wire()
@pytest.mark.parametrize("kind", KINDS)
async def test_an_order_whose_answer_is_lost_is_unknown_and_found_by_its_client_id(case: WireCase, kind: str) -> None:
    async with case.served() as world:
        async with world.connected(timeout=PATIENCE if kind == "hang" else 10.0):
            world.server.requests.clear()
            world.fault(kind)
            name = await placed(case, world)
        assert world.taken() == [case.on_wire(name)]
        async with world.connected() as later:
            found = await later.lookup(case.main, name)
            assert found is not None
            assert found.filled == sum(trade.amount for trade in world.trades())


@on_the_wire()
@pytest.mark.parametrize("kind", BEFORE)
async def test_an_order_that_is_lost_on_its_way_is_unknown_and_then_none(case: WireCase, kind: str) -> None:
    async with case.served() as world:
        async with world.connected(timeout=PATIENCE if kind == "hang_before" else 10.0):
            world.server.requests.clear()
            world.fault(kind)
            name = await placed(case, world)
        assert world.taken() == []
        async with world.connected() as later:
            assert await later.lookup(case.main, name) is None
