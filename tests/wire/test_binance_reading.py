"""Reads through the real binanceusdm class: what the exchange says becomes values of the domain, or is refused."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from math import log, sqrt
from typing import Any

import pytest

from keeper.domain.account import Position
from keeper.domain.errors import ConfigError, InvariantViolation, VenueRefused, VenueUnavailable
from keeper.domain.market import Market, MarketKind
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_usdm import API_KEY, SECRET, BinanceUsdm, Fault
from tests.fakes.loopback_venue import BTC, ETH, ShiftedClock, info, order, venue_at

D = Decimal


async def test_markets_carry_the_exchange_s_rules_as_exact_decimals(venue: CcxtVenue) -> None:
    assert (await venue.markets([BTC]))[BTC] == Market(
        symbol=BTC,
        kind=MarketKind.LINEAR,
        base="BTC",
        quote="USDT",
        settle="USDT",
        contract_size=D(1),
        tick=D("0.1"),
        lot=D("0.001"),
        min_amount=D("0.001"),
        min_cost=D(100),
        taker=D("0.0005"),
        maker=D("0.0002"),
    )


UNTRADABLE = [
    ("BTC/USDT", "symbol", "BTC/USDT:USDT"),
    ("BTC/USDT:USDC", "symbol", "near"),
    ("BTC/USDT:USDT-270326", "dated", "perpetual"),
    ("DEAD/USDT:USDT", "inactive", "not open"),
    ("ODD/USDT:BTC", "quanto", "settles"),
]


@pytest.mark.parametrize(("symbol", "code", "words"), UNTRADABLE)
async def test_a_market_that_can_t_be_traded_is_refused_in_words(venue: CcxtVenue, symbol: str, code: str, words: str) -> None:
    with pytest.raises(VenueRefused, match=words) as refusal:
        await venue.markets([BTC, symbol])
    assert refusal.value.code == code
    assert symbol in refusal.value.message


async def test_an_account_is_wallet_positions_and_orders_with_open_profit_left_out(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.hold("BTCUSDT", D(3), D(50_000))
    server.core.hold("ETHUSDT", D("-2.5"), D("2400.125"))
    server.core.set_mid("BTCUSDT", D(52_500))
    server.core.wallet["USDC"] = D("-3.5")
    server.core.liquidations["BTCUSDT"] = D("21345.5")
    server.core.place(
        client_id="resting",
        symbol="BTCUSDT",
        sign=1,
        amount=D("0.01"),
        price=D(51_000),
        time_in_force="GTC",
        reduce_only=False,
    )
    account = await venue.account()
    assert account.balances == {"USDT": D(100_000), "USDC": D("-3.5")}
    assert account.positions == {
        BTC: Position(symbol=BTC, contracts=D(3), entry=D(50_000), mark=D(52_500), liquidation=D("21345.5"), worth=D(157_500)),
        ETH: Position(symbol=ETH, contracts=D("-2.5"), entry=D("2400.125"), mark=D(2_500), worth=D(6_250)),
    }
    assert [order.client_id for order in account.open_orders] == ["resting"]
    assert account.free_margin == server.core.available().quantize(D("1e-8"))


async def test_a_flat_account_has_no_positions(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.hold("BTCUSDT", D(0), D(0))
    assert (await venue.account()).positions == {}


async def test_a_quote_is_mark_index_last_price_and_both_sides_of_the_book(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.marks["BTCUSDT"] = D("50003.25")
    server.core.indexes["BTCUSDT"] = D("50004.5")
    server.core.lasts["BTCUSDT"] = (D("50001.1"), server.now())
    quote = await venue.quote(BTC)
    assert (quote.mark, quote.index, quote.last) == (D("50003.25"), D("50004.5"), D("50001.1"))
    assert (quote.book.bids[0].price, quote.book.asks[0].price) == (D("49999.9"), D("50000.1"))
    assert quote.book.faults() == ()
    assert len(quote.book.bids) == len(quote.book.asks) == server.core.ladders["BTCUSDT"].levels


async def test_a_day_s_volatility_is_parkinson_s(venue: CcxtVenue) -> None:
    stats = await venue.stats(BTC)
    assert stats.volume == D(250_000)
    assert float(stats.volatility) == pytest.approx(log(51_000 / 49_000) / sqrt(4 * log(2)))


async def test_all_reads_of_an_observation_are_in_flight_together(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.delay = 0.05
    await asyncio.gather(venue.account(), venue.quote(BTC), venue.quote(ETH))
    assert sorted(one.path for one in server.requests) == [
        "/fapi/v1/depth",
        "/fapi/v1/depth",
        "/fapi/v1/openOrders",
        "/fapi/v1/premiumIndex",
        "/fapi/v1/premiumIndex",
        "/fapi/v2/ticker/price",
        "/fapi/v2/ticker/price",
        "/fapi/v3/account",
        "/fapi/v3/positionRisk",
    ]
    assert max(one.in_flight for one in server.requests) == len(server.requests)


async def test_connecting_asks_for_time_markets_and_mode_and_nothing_else(server: BinanceUsdm) -> None:
    for environment in (Environment.TESTNET, Environment.LIVE):
        server.requests.clear()
        async with venue_at(server, environment):
            assert sorted(one.path for one in server.requests) == [
                "/fapi/v1/exchangeInfo",
                "/fapi/v1/positionSide/dual",
                "/fapi/v1/time",
                "/fapi/v1/time",
            ]


async def test_every_private_request_is_signed_and_no_public_one_carries_the_key(server: BinanceUsdm, venue: CcxtVenue) -> None:
    await asyncio.gather(venue.account(), venue.quote(BTC), venue.stats(BTC), venue.fills(BTC, "1"), venue.lookup(BTC, "x"))
    public = {"depth", "premiumIndex", "price", "24hr"}
    assert len(server.requests) == 9
    for one in server.requests:
        private = one.path.rsplit("/", 1)[-1] not in public
        assert (one.header("X-MBX-APIKEY") == API_KEY) == private
        assert ("signature" in one.parameters) == private


def _hedge(server: BinanceUsdm) -> None:
    server.core.hedged = True


def _rekey(server: BinanceUsdm) -> None:
    server.api_key = "another"


def _resecret(server: BinanceUsdm) -> None:
    server.secret = "another"


def _late(server: BinanceUsdm) -> None:
    server.skew = 3_000


def _early(server: BinanceUsdm) -> None:
    server.skew = -1_500


REFUSED_AT_START = [
    (_hedge, "hedge_mode", "one-way"),
    (_rekey, "-2015", "unknown here"),
    (_resecret, "-1022", "secret belongs"),
    (_late, "clock", "NTP"),
    (_early, "clock", "NTP"),
]


@pytest.mark.parametrize(("spoil", "code", "words"), REFUSED_AT_START)
async def test_connecting_is_refused_with_a_remedy(
    server: BinanceUsdm, spoil: Callable[[BinanceUsdm], None], code: str, words: str
) -> None:
    spoil(server)
    with pytest.raises(VenueRefused, match=words) as refusal:
        await venue_at(server).__aenter__()
    assert refusal.value.code == code


async def test_a_small_clock_offset_is_measured_and_made_up_for(server: BinanceUsdm) -> None:
    server.skew = -900
    async with venue_at(server, clock=ShiftedClock(shift=timedelta(milliseconds=50))) as venue:
        assert (await venue.quote(BTC)).mark == D(50_000)
        stamp = int(server.seen("positionSide/dual")[0].parameters["timestamp"])
        assert abs(stamp - server.now()) < 300
        await venue.place(order())
        assert abs(int(server.requests[-1].parameters["timestamp"]) - server.now()) < 300


READS: list[tuple[str, Callable[[CcxtVenue], Any]]] = [
    ("v3/account", lambda venue: venue.account()),
    ("positionRisk", lambda venue: venue.account()),
    ("openOrders", lambda venue: venue.account()),
    ("depth", lambda venue: venue.quote(BTC)),
    ("premiumIndex", lambda venue: venue.quote(BTC)),
    ("24hr", lambda venue: venue.stats(BTC)),
    ("userTrades", lambda venue: venue.fills(BTC, "1")),
    ("order", lambda venue: venue.lookup(BTC, "x")),
]


@pytest.mark.parametrize(("path", "read"), READS)
async def test_a_read_is_tried_three_times_then_unavailable(
    server: BinanceUsdm, path: str, read: Callable[[CcxtVenue], Any]
) -> None:
    clock = ShiftedClock()
    async with venue_at(server, clock=clock) as venue:
        server.requests.clear()
        server.faults.append(Fault(path, "503"))
        with pytest.raises(VenueUnavailable, match="503"):
            await read(venue)
    assert len(server.seen(path)) == 3
    assert len(clock.waited) == 2
    assert clock.waited[0] < clock.waited[1] <= timedelta(seconds=2)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "503", "truncated", "bad_gzip"])
async def test_a_read_survives_one_fault_of_the_connection(server: BinanceUsdm, venue: CcxtVenue, kind: str) -> None:
    server.faults.append(Fault("openOrders", kind, times=1))
    assert (await venue.account()).balances == {"USDT": D(100_000)}
    assert len(server.seen("openOrders")) == 2


async def test_a_read_that_hangs_is_unavailable(server: BinanceUsdm) -> None:
    async with venue_at(server, timeout=0.3, attempts=1) as venue:
        server.faults.append(Fault("24hr", "hang"))
        with pytest.raises(VenueUnavailable, match="day of"):
            await venue.stats(BTC)


async def test_a_refused_read_is_not_repeated(server: BinanceUsdm, venue: CcxtVenue) -> None:
    del server.core.instruments["BTCUSDT"]
    with pytest.raises(VenueRefused) as refusal:
        await venue.stats(BTC)
    assert refusal.value.code == "-1121"
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["429", "418"])
async def test_a_rate_limited_read_is_not_repeated_and_silences_the_rest(
    server: BinanceUsdm, venue: CcxtVenue, kind: str
) -> None:
    server.faults.append(Fault("24hr", kind))
    with pytest.raises(VenueUnavailable):
        await venue.stats(BTC)
    with pytest.raises(VenueUnavailable, match="silence"):
        await venue.quote(BTC)
    assert len(server.requests) == 1


def test_an_exchange_that_keeper_can_not_trade_on_is_a_configuration_error_that_names_those_it_is_at_home_on() -> None:
    told: dict[str, Any] = {"credentials": {"api_key": API_KEY, "secret": SECRET}, "hosts": {}, "clock": ShiftedClock()}
    with pytest.raises(ConfigError, match="binanceusdm"):
        CcxtVenue(replace(info(), exchange="no_such_exchange"), **told)
    with pytest.raises(ConfigError, match=r"live, testnet"):
        CcxtVenue(info(Environment.PAPER), **told)


@pytest.mark.parametrize("missing", ["api_key", "secret"])
async def test_a_missing_key_is_a_configuration_error(server: BinanceUsdm, missing: str) -> None:
    told = {"api_key": API_KEY, "secret": SECRET} | {missing: ""}
    with pytest.raises(ConfigError, match=f"venues.loop.credentials.{missing}"):
        venue_at(server, credentials=told)


async def test_a_venue_that_is_not_connected_says_so(server: BinanceUsdm) -> None:
    with pytest.raises(InvariantViolation, match="not connected"):
        await venue_at(server).account()
