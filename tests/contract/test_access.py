"""Whom a venue refuses at the door: wrong keys, and an account that Keeper can't work with. None of them sends an order."""

from typing import Any

import pytest

from keeper.domain.errors import VenueRefused
from tests.contract.case import Ability
from tests.contract.cases import on_the_wire
from tests.contract.wire_case import WireCase
from tests.fakes.loopback_server import API_KEY, SECRET

# of the same shape, so that only the exchange can tell
WRONG = [{"api_key": API_KEY[::-1]}, {"secret": SECRET[::-1]}]


@on_the_wire()
@pytest.mark.parametrize("wrong", WRONG, ids=["key", "secret"])
async def test_a_wrong_key_is_refused_on_connecting(case: WireCase, wrong: dict[str, Any]) -> None:
    async with case.served() as world:
        with pytest.raises(VenueRefused):
            async with world.connected(**wrong):
                pass
        method, path = case.new_order
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
