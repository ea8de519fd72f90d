"""Settings of an account over the wire: sent once, to the right host, and refused where the exchange does not take them."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from keeper.domain.errors import InvariantViolation, VenueError, VenueRefused
from keeper.domain.inspection import MarginMode
from keeper.venues.ccxt_venue import CcxtVenue, ExaminedVenue
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.binance_usdm import BinanceUsdm, usual_core
from tests.fakes.exchange_core import MarginMode as Margin
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import BTC, CREDENTIALS, ShiftedClock, info, order, venue_at

SETTERS: list[tuple[str, Callable[[CcxtVenue], Awaitable[None]]]] = [
    ("dual", lambda venue: venue.set_one_way()),
    ("marginType", lambda venue: venue.set_margin(BTC, MarginMode.CROSS)),
    ("leverage", lambda venue: venue.set_leverage(BTC, 7)),
]


@pytest.fixture
async def server() -> AsyncIterator[BinanceUsdm]:
    async with BinanceUsdm(core=usual_core()) as running:
        yield running


def examined(server: BinanceUsdm) -> ExaminedVenue:
    keys = {part: CREDENTIALS[part] for part in ("api_key", "secret")}
    return ExaminedVenue(info(), credentials=keys, hosts=server.hosts, clock=ShiftedClock())


async def test_what_is_set_is_set_there(server: BinanceUsdm) -> None:
    core = server.core
    core.hedged = True
    core.isolated.add("BTCUSDT")
    async with examined(server) as venue:
        for _, setter in SETTERS:
            await setter(venue)
        assert (core.hedged, core.margin_mode("BTCUSDT"), core.instruments["BTCUSDT"].leverage) == (False, Margin.CROSS, 7)
        await venue.set_margin(BTC, MarginMode.ISOLATED)
        assert core.margin_mode("BTCUSDT") is Margin.ISOLATED
    assert {one.host for one in server.requests} == {"demo-fapi.binance.com"}
    assert venue.reached == {}


async def test_what_is_so_already_is_no_refusal(server: BinanceUsdm) -> None:
    async with examined(server) as venue:
        await venue.set_one_way()
        await venue.set_margin(BTC, MarginMode.CROSS)


@pytest.mark.parametrize(("path", "setter"), SETTERS, ids=[path for path, _ in SETTERS])
@pytest.mark.parametrize("kind", ["drop_after", "503", "503_before"])
async def test_a_setting_is_sent_once_whatever_becomes_of_it(
    server: BinanceUsdm, path: str, setter: Callable[[CcxtVenue], Awaitable[None]], kind: str
) -> None:
    server.core.hedged = True
    server.core.isolated.add("BTCUSDT")
    server.faults.append(Fault(path, kind, method="POST"))
    async with examined(server) as venue:
        with pytest.raises(VenueError):
            await setter(venue)
    assert len(server.seen(path, "POST")) == 1


async def test_a_market_that_is_not_there_is_not_asked_for(server: BinanceUsdm) -> None:
    async with examined(server) as venue:
        with pytest.raises(VenueRefused, match="no market"):
            await venue.set_leverage("XYZ/USDT:USDT", 2)
    assert server.seen("leverage") == []


async def test_who_examines_an_account_is_let_in_in_hedge_mode_and_with_a_wrong_clock_and_sends_no_order(
    server: BinanceUsdm,
) -> None:
    server.core.hedged, server.skew = True, 4_000
    async with examined(server) as venue:
        assert abs((await venue.contact()).offset.total_seconds() + 4) < 1
        with pytest.raises(VenueRefused, match="hedge"):
            await venue.admit()
        assert (await venue.modes(BTC)).hedged is True
        with pytest.raises(InvariantViolation):
            await venue.place(order())
        assert venue.reached == {"demo-fapi.binance.com": server.hosts["demo-fapi.binance.com"]}
    assert server.seen("/order", "POST") == []


async def test_where_nothing_can_be_set_that_is_said() -> None:
    async with BinanceSpot(core=spot_core()) as spot, venue_at(spot) as venue:
        for _, setter in (
            ("", venue.set_one_way()),
            ("", venue.set_margin("BTC/USDT", MarginMode.CROSS)),
            ("", venue.set_leverage("BTC/USDT", 2)),
        ):
            with pytest.raises(VenueRefused, match="the exchange's own site"):
                await setter
        assert [one for one in spot.requests if one.method != "GET"] == []
