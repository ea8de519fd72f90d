"""Index and last price through both real classes: beside the mark, as old as the venue says, of the market asked for."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import StaleData, VenueRefused
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.binance_usdm import BinanceUsdm, Fault
from tests.fakes.loopback_venue import BTC, ETH, venue_at

D = Decimal


async def test_a_market_that_has_not_traded_of_late_has_no_last_price(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.lasts["BTCUSDT"] = (D(50_000), server.now() - 11_000)
    server.core.lasts["ETHUSDT"] = (D(2_490), server.now() - 9_000)
    assert (await venue.quote(BTC)).last is None
    assert (await venue.quote(ETH)).last == D(2_490)


async def test_a_last_price_from_the_future_is_stale_data(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.lasts["BTCUSDT"] = (D(50_000), server.now() + 11_000)
    with pytest.raises(StaleData, match="last price"):
        await venue.quote(BTC)


async def test_spot_tells_no_index_and_a_last_price_as_of_the_question() -> None:
    async with BinanceSpot(core=spot_core()) as server, venue_at(server) as venue:
        server.core.lasts["BTCUSDT"] = (D("50000.55"), server.now() - timedelta(days=1) // timedelta(milliseconds=1))
        quote = await venue.quote("BTC/USDT")
    assert (quote.index, quote.last) == (None, D("50000.55"))


BAD: list[tuple[str, Callable[[Any], Any]]] = [
    ("ticker/price", lambda reply: reply | {"price": "NaN"}),
    ("ticker/price", lambda reply: reply | {"price": "0"}),
    ("ticker/price", lambda reply: reply | {"price": None}),
    ("ticker/price", lambda reply: reply | {"time": None}),
    ("ticker/price", lambda reply: reply | {"symbol": "ETHUSDT"}),
    ("ticker/price", lambda reply: [reply]),
    ("premiumIndex", lambda reply: reply | {"indexPrice": "0.00000000"}),
    ("premiumIndex", lambda reply: reply | {"indexPrice": "-1"}),
    ("premiumIndex", lambda reply: reply | {"symbol": "ETHUSDT"}),
    ("premiumIndex", lambda reply: [reply]),
]


@pytest.mark.parametrize(("path", "alter"), BAD)
async def test_an_index_or_last_price_that_can_t_be_read_is_stale_data(
    server: BinanceUsdm, venue: CcxtVenue, path: str, alter: Callable[[Any], Any]
) -> None:
    server.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises(StaleData):
        await venue.quote(BTC)


async def test_a_day_of_another_market_is_stale_data(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.faults.append(Fault("24hr", "alter", alter=lambda reply: reply | {"symbol": "ETHUSDT"}))
    with pytest.raises(StaleData, match="asked was BTCUSDT"):
        await venue.stats(BTC)


@pytest.mark.parametrize("told", ["-1", "NaN", None, ""])
async def test_a_liquidation_price_that_can_t_be_one_is_stale_data(server: BinanceUsdm, venue: CcxtVenue, told: Any) -> None:
    server.core.hold("BTCUSDT", D(3), D(50_000))
    server.faults.append(Fault("positionRisk", "alter", alter=lambda rows: [rows[0] | {"liquidationPrice": told}]))
    with pytest.raises(StaleData, match="liquidationPrice"):
        await venue.account()


async def test_a_position_far_from_liquidation_has_no_price_of_it(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.hold("BTCUSDT", D("0.01"), D(50_000))
    assert (await venue.account()).positions[BTC].liquidation is None


async def test_an_asset_beside_the_markets_is_worth_the_mark_of_its_market(venue: CcxtVenue, server: BinanceUsdm) -> None:
    server.core.marks["ETHUSDT"] = Decimal(2_512)
    assert await venue.price("ETH", "USDT") == 2_512
    for asset, currency in (("XYZ", "USDT"), ("DEAD", "USDT")):
        with pytest.raises(VenueRefused) as refusal:
            await venue.price(asset, currency)
        assert refusal.value.code == "no_price"
