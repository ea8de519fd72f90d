"""Whom a venue refuses at the door: wrong keys, and an account that Keeper can't work with. None of them sends an order."""

import pytest

from keeper.domain.errors import VenueRefused
from tests.contract.case import Ability
from tests.contract.cases import on_the_wire
from tests.contract.wire_case import WireCase


@on_the_wire()
async def test_wrong_keys_are_refused_on_connecting(case: WireCase) -> None:
    async with case.served() as world:
        for part, wrong in case.wrong_keys.items():
            with pytest.raises(VenueRefused):
                async with world.connected(credentials={part: wrong}):
                    pass
        method, path = case.new_order
        assert len(world.server.requests) >= len(case.wrong_keys)
        assert world.server.seen(path, method) == []
        assert world.taken() == []


@on_the_wire(Ability.HEDGE_MODE)
async def test_an_account_in_hedge_mode_is_refused_on_connecting(case: WireCase) -> None:
    async with case.served() as world:
        world.core.set_hedged(hedged=True)
        with pytest.raises(VenueRefused, match="hedge"):
            async with world.connected():
                pass
        assert world.taken() == []
