"""Reads through the real binance class: balances, books without a time, and what may not be asked of a spot account."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import StaleData, VenueError, VenueRefused, VenueUnavailable
from keeper.domain.market import FeeAsset, Market, MarketKind, Side
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_server import API_KEY, Fault
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.loopback_venue import ShiftedClock, venue_at

D = Decimal
BTC, ETH = "BTC/USDT", "ETH/USDT"


@pytest.fixture
async def spot() -> AsyncIterator[BinanceSpot]:
    async with BinanceSpot(core=spot_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(spot: BinanceSpot) -> AsyncIterator[CcxtVenue]:
    async with venue_at(spot) as connected:
        spot.requests.clear()
        yield connected


def _rest(spot: BinanceSpot, *, sign: int, amount: str, price: int) -> None:
    spot.core.place(
        client_id=f"resting{sign}",
        symbol="BTCUSDT",
        sign=sign,
        amount=D(amount),
        price=D(price),
        time_in_force="GTC",
        reduce_only=False,
    )


async def test_a_market_carries_the_filters_of_the_exchange_and_takes_fees_in_what_is_received(venue: CcxtVenue) -> None:
    market = (await venue.markets([BTC]))[BTC]
    assert market == Market(
        symbol=BTC,
        kind=MarketKind.SPOT,
        base="BTC",
        quote="USDT",
        settle="USDT",
        contract_size=D(1),
        tick=D("0.01"),
        lot=D("0.00001"),
        min_amount=D("0.00001"),
        min_cost=D(5),
        taker=D("0.001"),
        maker=D("0.001"),
        fee_in=FeeAsset.RECEIVED,
    )
    assert (market.fee_asset(Side.BUY), market.fee_asset(Side.SELL)) == ("BTC", "USDT")


@pytest.mark.parametrize(("symbol", "code"), [("BTC/USDT:USDT", "symbol"), ("DEAD/USDT", "inactive")])
async def test_a_market_that_spot_lacks_or_has_closed_is_refused(venue: CcxtVenue, symbol: str, code: str) -> None:
    with pytest.raises(VenueRefused, match=symbol) as refusal:
        await venue.markets([symbol])
    assert refusal.value.code == code


async def test_an_account_is_what_is_free_and_what_orders_hold_back(spot: BinanceSpot, venue: CcxtVenue) -> None:
    spot.core.wallet["USDT"] = D("1000.00000001")
    _rest(spot, sign=1, amount="0.01", price=49_000)
    _rest(spot, sign=-1, amount="0.25", price=51_000)
    account = await venue.account()
    assert spot.core.free("USDT") == D("510.00000001")
    assert spot.core.free("BTC") == D("0.75")
    assert account.balances == {"BTC": D(1), "ETH": D(20), "DOGE": D("1234.5"), "USDT": D("1000.00000001")}
    assert account.positions == {}
    assert [order.client_id for order in account.open_orders] == ["resting1", "resting-1"]
    assert account.free_margin is None


async def test_the_mark_is_the_mid_of_the_book_which_is_as_old_as_the_question(spot: BinanceSpot) -> None:
    clock = ShiftedClock()
    async with venue_at(spot, clock=clock) as venue:
        before = clock.now()
        quote = await venue.quote(BTC)
        after = clock.now()
    assert quote.mark == quote.book.mid == quote.last == D(50_000)
    assert quote.index is None
    assert (quote.book.bids[0].price, quote.book.asks[0].price) == (D("49999.99"), D("50000.01"))
    # the offset of a clock on the same machine is a few milliseconds at most
    assert before - timedelta(milliseconds=100) <= quote.book.at <= after


async def test_a_book_that_took_too_long_to_arrive_is_stale(spot: BinanceSpot) -> None:
    clock = ShiftedClock()

    def late(reply: Any) -> Any:
        clock.shift += timedelta(seconds=11)
        return reply

    async with venue_at(spot, clock=clock) as venue:
        spot.faults.append(Fault("depth", "alter", alter=late))
        with pytest.raises(StaleData, match="11"):
            await venue.quote(BTC)


async def test_all_reads_of_an_observation_are_in_flight_together(spot: BinanceSpot, venue: CcxtVenue) -> None:
    spot.delay = 0.05
    await asyncio.gather(venue.account(), venue.quote(BTC), venue.quote(ETH), venue.stats(BTC), venue.stats(ETH))
    assert sorted(one.path for one in spot.requests) == [
        "/api/v3/account",
        "/api/v3/depth",
        "/api/v3/depth",
        "/api/v3/openOrders",
        "/api/v3/ticker/24hr",
        "/api/v3/ticker/24hr",
        "/api/v3/ticker/price",
        "/api/v3/ticker/price",
    ]
    assert max(one.in_flight for one in spot.requests) == len(spot.requests)


@pytest.mark.parametrize("environment", [Environment.TESTNET, Environment.LIVE])
async def test_connecting_asks_spot_for_time_markets_and_account_and_no_other_host_for_anything(
    spot: BinanceSpot, environment: Environment
) -> None:
    async with venue_at(spot, environment):
        paths = sorted(one.path for one in spot.requests)
    assert paths == ["/api/v3/account", "/api/v3/exchangeInfo", "/api/v3/time", "/api/v3/time"]


async def test_every_private_request_is_signed_and_no_public_one_carries_the_key(spot: BinanceSpot, venue: CcxtVenue) -> None:
    await asyncio.gather(venue.account(), venue.quote(BTC), venue.stats(BTC), venue.fills(BTC, "1"), venue.lookup(BTC, "x"))
    assert len(spot.requests) == 7
    for one in spot.requests:
        private = one.path.rsplit("/", 1)[-1] not in ("depth", "price", "24hr")
        assert (one.header("X-MBX-APIKEY") == API_KEY) == private
        assert ("signature" in one.parameters) == private


REFUSED: list[tuple[str, Any, str, str]] = [
    ("api_key", "another", "-2008", "unknown here"),
    ("secret", "another", "-1022", "secret belongs"),
    ("skew", 3_000, "clock", "NTP"),
]


@pytest.mark.parametrize(("name", "value", "code", "words"), REFUSED)
async def test_connecting_is_refused_with_a_remedy(spot: BinanceSpot, name: str, value: Any, code: str, words: str) -> None:
    setattr(spot, name, value)
    with pytest.raises(VenueRefused, match=words) as refusal:
        await venue_at(spot).__aenter__()
    assert refusal.value.code == code


async def test_an_account_that_may_not_trade_is_refused_at_once(spot: BinanceSpot) -> None:
    spot.faults.append(Fault("account", "alter", alter=lambda reply: reply | {"canTrade": False}))
    with pytest.raises(VenueRefused, match="disabled trading") as refusal:
        await venue_at(spot).__aenter__()
    assert refusal.value.code == "can_trade"


Alter = Callable[[Any], Any]


def _coin(**fields: Any) -> Alter:
    return lambda reply: reply | {"balances": [reply["balances"][0] | fields, *reply["balances"][1:]]}


def _drop(name: str) -> Alter:
    return lambda reply: {key: value for key, value in reply.items() if key != name}


GARBAGE: list[tuple[str, Alter]] = [
    ("account", _coin(free="NaN")),
    ("account", _coin(free=None)),
    ("account", _coin(free="-1")),
    ("account", _coin(locked="Infinity")),
    ("account", _coin(locked=True)),
    ("account", _coin(asset="ETH")),
    ("account", _drop("balances")),
    ("account", lambda _reply: []),
    ("openOrders", lambda _reply: {}),
    ("depth", _drop("bids")),
    ("depth", lambda reply: reply | {"asks": []}),
    ("depth", lambda reply: reply | {"bids": [["NaN", "1"]]}),
    ("depth", lambda reply: reply | {"bids": [["60000", "1"]]}),
    ("24hr", lambda reply: reply | {"volume": "-1"}),
    ("24hr", _drop("lowPrice")),
]


@pytest.mark.parametrize(("path", "alter"), GARBAGE)
async def test_garbage_is_never_taken_for_an_answer(spot: BinanceSpot, venue: CcxtVenue, path: str, alter: Alter) -> None:
    spot.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises((StaleData, VenueError)):
        await asyncio.gather(venue.account(), venue.quote(BTC), venue.stats(BTC))


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty", "half_json", "redirect", "503", "-1007", "429"])
@pytest.mark.parametrize("path", ["account", "openOrders", "depth", "24hr"])
async def test_no_read_takes_a_broken_reply_for_an_answer(spot: BinanceSpot, venue: CcxtVenue, kind: str, path: str) -> None:
    spot.faults.append(Fault(path, kind))
    with pytest.raises((VenueError, StaleData)):
        await asyncio.gather(venue.account(), venue.quote(BTC), venue.stats(BTC))


async def test_a_read_survives_one_fault_of_the_connection(spot: BinanceSpot, venue: CcxtVenue) -> None:
    spot.faults.append(Fault("account", "drop_after", times=1))
    assert (await venue.account()).balances["ETH"] == D(20)
    assert len(spot.seen("account")) == 2


@pytest.mark.parametrize(("field", "value"), [("isBuyer", "yes"), ("isBuyer", 1), ("commission", "NaN"), ("qty", "0")])
async def test_garbage_in_a_trade_makes_the_fills_unavailable(
    spot: BinanceSpot, venue: CcxtVenue, field: str, value: object
) -> None:
    _rest(spot, sign=-1, amount="0.001", price=49_000)
    (held,) = spot.core.orders
    assert len(await venue.fills(BTC, str(held))) == 1
    spot.faults.append(Fault("myTrades", "alter", alter=lambda rows: [rows[0] | {field: value}]))
    with pytest.raises(VenueUnavailable, match=field):
        await venue.fills(BTC, str(held))
