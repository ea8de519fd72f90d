from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.errors import StaleData, VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.observation import holdings
from keeper.service.observer import Observer
from keeper.service.settle import MAX_READS, settle
from tests.fakes.desks import drifted
from tests.fakes.paper import PERP, order
from tests.fakes.scripted_venue import ScriptedVenue

LAG = timedelta(seconds=1)


@pytest.fixture
async def venue() -> AsyncIterator[ScriptedVenue]:
    async with drifted(lag=1.0) as connected:
        await connected.clock.sleep_until(connected.clock.now() + timedelta(minutes=1))
        yield connected


async def observer_of(venue: ScriptedVenue) -> Observer:
    return await Observer.on(venue, [PERP], None, venue.clock)


def account_reads(venue: ScriptedVenue) -> int:
    return len([kind for kind, _ in venue.log if kind == "account"])


async def test_an_account_at_rest_takes_two_reads_a_read_lag_apart(venue: ScriptedVenue) -> None:
    before = venue.clock.now()
    observation = await settle(await observer_of(venue), venue.clock, LAG)
    assert holdings(observation) == {PERP: Decimal(3000)}
    assert account_reads(venue) == 2
    assert venue.clock.now() - before == LAG


async def test_a_fill_that_reads_do_not_show_yet_is_waited_for(venue: ScriptedVenue) -> None:
    observer = await observer_of(venue)
    await venue.place(order("kpr1", Side.BUY, "5", "105"))
    assert holdings(await observer.observe()) == {PERP: Decimal(3000)}, "the read lags"
    observation = await settle(observer, venue.clock, LAG)
    assert holdings(observation) == {PERP: Decimal(3005)}


async def test_an_account_that_never_stands_still_is_stale_data(venue: ScriptedVenue) -> None:
    observer = await observer_of(venue)

    def trade_elsewhere(kind: str) -> None:
        if kind == "account":
            venue.meddle(PERP, "1", "105")

    venue.on_read = trade_elsewhere
    with pytest.raises(StaleData, match="did not stand still"):
        await settle(observer, venue.clock, LAG)
    assert account_reads(venue) == MAX_READS + 1


async def test_a_read_that_fails_comes_out(venue: ScriptedVenue) -> None:
    venue.failing = {"quote": 1}
    with pytest.raises(VenueUnavailable):
        await settle(await observer_of(venue), venue.clock, LAG)
