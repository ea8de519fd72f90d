"""One loopback exchange and one venue connected to it, for each test that asks."""

from collections.abc import AsyncIterator

import pytest

from keeper.ports import Venue
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_usdm import BinanceUsdm, usual_core
from tests.fakes.loopback_venue import venue_at


@pytest.fixture
async def server() -> AsyncIterator[BinanceUsdm]:
    async with BinanceUsdm(core=usual_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(server: BinanceUsdm) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server) as connected:
        server.requests.clear()
        yield connected


def as_port(venue: CcxtVenue) -> Venue:
    """What mypy checks: a CcxtVenue is a Venue."""
    return venue
