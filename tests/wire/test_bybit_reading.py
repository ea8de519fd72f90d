"""Reads through the real bybit class: markets, prices, and what the unified account holds, in every category."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from math import log, sqrt
from typing import Any

import pytest

from keeper.domain.account import Position
from keeper.domain.errors import StaleData, VenueRefused, VenueUnavailable
from keeper.domain.market import FeeAsset, Market, MarketKind, Side
from keeper.ports import Environment
from keeper.venues.public_data import PublicData
from tests.fakes.bybit_desk import ETHER, INVERSE, LINEAR, SPOT, USDC, World, connected, core_of, rows, unified
from tests.fakes.exchange_core import Forced, Instrument, Ladder
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_server import API_KEY
from tests.fakes.loopback_venue import venue_at

D = Decimal
DAY = timedelta(days=1)
NAMES = {LINEAR: "BTCUSDT", INVERSE: "BTCUSD", SPOT: "BTCUSDT"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with connected() as both:
        yield both


async def test_markets_carry_the_exchange_s_rules_as_exact_decimals(world: World) -> None:
    _, venue = world
    told = await venue.markets([LINEAR, INVERSE, SPOT])
    common: dict[str, Any] = {
        "base": "BTC",
        "contract_size": D(1),
        "tick": D("0.1"),
        "taker": D("0.0006"),
        "maker": D("0.0001"),
        "fee_in": FeeAsset.RECEIVED,
    }
    linear: dict[str, Any] = {
        "kind": MarketKind.LINEAR,
        "quote": "USDT",
        "settle": "USDT",
        "lot": D("0.001"),
        "min_amount": D("0.001"),
    }
    inverse: dict[str, Any] = {"kind": MarketKind.INVERSE, "quote": "USD", "settle": "BTC", "lot": D(1), "min_amount": D(1)}
    assert told[LINEAR] == Market(symbol=LINEAR, min_cost=D(5), **linear, **common)
    assert told[INVERSE] == Market(symbol=INVERSE, **inverse, **common)
    assert (told[SPOT].kind, told[SPOT].lot, told[SPOT].min_amount) == (MarketKind.SPOT, D("0.000001"), D("0.000011"))
    assert told[SPOT].fee_asset(Side.BUY) == "BTC"


async def test_an_inverse_contract_is_one_of_the_quote_however_large_the_smallest_order_is() -> None:
    server = unified()
    server.core.instruments["BTCUSD"].min_amount = D(5)
    async with connected(server) as (_, venue):
        market = (await venue.markets([INVERSE]))[INVERSE]
        assert (market.contract_size, market.min_amount, market.lot) == (D(1), D(5), D(1))


@pytest.mark.parametrize(
    ("symbol", "code"), [("BTC/USDT:USDT-270326", "dated"), ("DEAD/USDT:USDT", "inactive"), ("BTC/EUR", "symbol")]
)
async def test_a_market_that_can_t_be_traded_is_refused_in_words(world: World, symbol: str, code: str) -> None:
    _, venue = world
    with pytest.raises(VenueRefused) as refusal:
        await venue.markets([symbol])
    assert refusal.value.code == code


@pytest.mark.parametrize("environment", [Environment.TESTNET, Environment.LIVE])
async def test_connecting_asks_for_time_markets_and_what_the_account_and_the_key_are(environment: Environment) -> None:
    async with unified() as server, venue_at(server, environment):
        asked = sorted((one.path.removeprefix("/v5/"), one.parameters.get("category", "")) for one in server.requests)
        assert asked == [
            ("account/info", ""),
            *[("market/instruments-info", "inverse")] * 2,
            *[("market/instruments-info", "linear")] * 2,
            ("market/instruments-info", "spot"),
            *[("market/time", "")] * 2,
            ("position/list", "linear"),
            ("user/query-api", ""),
        ]


@pytest.mark.parametrize(("symbol", "volume"), [(LINEAR, 250_000), (INVERSE, 250_000), (SPOT, 250_000)])
async def test_a_day_has_its_volume_in_the_base_and_parkinson_s_volatility(world: World, symbol: str, volume: int) -> None:
    _, venue = world
    stats = await venue.stats(symbol)
    assert stats.volume == D(volume)
    assert float(stats.volatility) == pytest.approx(log(51_000 / 49_000) / sqrt(4 * log(2)))


async def test_public_data_needs_no_key_and_asks_nothing_private(world: World) -> None:
    server, venue = world
    public = PublicData("loop", "bybit", Environment.LIVE, hosts=server.hosts, clock=venue.clock)
    async with public:
        for symbol in (LINEAR, INVERSE, SPOT):
            assert (await public.quote(symbol)).last == D(50_000)
    assert {one.host for one in server.requests} == {"api.bybit.com"}
    assert [one.path for one in server.requests if "/market/" not in one.path or one.header("X-BAPI-API-KEY")] == []


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
async def test_a_quote_is_mark_index_last_price_and_both_sides_of_the_book(world: World, symbol: str) -> None:
    server, venue = world
    name = NAMES[symbol]
    server.core.marks[name], server.core.indexes[name] = D("50003.25"), D("50004.5")
    server.core.lasts[name] = (D("50001.1"), server.now())
    quote = await venue.quote(symbol)
    assert (quote.mark, quote.index, quote.last) == (D("50003.25"), D("50004.5"), D("50001.1"))
    assert (quote.book.bids[0].price, quote.book.asks[0].price) == (D("49999.9"), D("50000.1"))
    assert len(quote.book.bids) == len(quote.book.asks) == server.core.ladders[name].levels


async def test_a_spot_quote_has_the_mid_for_a_mark_and_no_index(world: World) -> None:
    _, venue = world
    quote = await venue.quote(SPOT)
    assert (quote.mark, quote.index, quote.last) == (D(50_000), None, D(50_000))


async def test_a_last_trade_of_long_ago_is_no_last_price(world: World) -> None:
    server, venue = world
    server.core.lasts["BTCUSDT"] = (D("50001.1"), server.now() - 60_000)
    assert (await venue.quote(LINEAR)).last is None


STALE = [
    ("orderbook", lambda answer: answer | {"result": answer["result"] | {"ts": answer["result"]["ts"] - 60_000}}),
    ("orderbook", lambda answer: answer | {"result": answer["result"] | {"s": "ETHUSDT"}}),
    ("orderbook", lambda answer: answer | {"result": answer["result"] | {"a": answer["result"]["b"]}}),
    ("tickers", lambda answer: answer | {"time": answer["time"] - 60_000}),
    ("tickers", rows(markPrice="")),
    ("tickers", rows(symbol="ETHUSDT")),
    ("tickers", lambda answer: answer | {"result": {"list": answer["result"]["list"] * 2}}),
    ("recent-trade", rows(price="NaN")),
    ("recent-trade", rows(symbol="ETHUSDT")),
]


@pytest.mark.parametrize(("path", "alter"), STALE, ids=[f"{row[0]}-{number}" for number, row in enumerate(STALE)])
async def test_a_price_that_is_old_or_can_t_be_read_is_stale(world: World, path: str, alter: Any) -> None:
    server, venue = world
    server.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises(StaleData):
        await venue.quote(LINEAR)


async def test_an_account_is_wallet_and_positions_of_every_category_with_open_profit_left_out(world: World) -> None:
    server, venue = world
    core = server.core
    core.wallet |= {"BTC": D(2), "USDC": D(5_000), "DOGE": D(0)}
    core.hold("BTCUSDT", D(3), D(50_000))
    core.hold("ETHUSDT", D("-2.5"), D("2400.125"))
    core.hold("BTCPERP", D("0.2"), D(48_000))
    core.hold("BTCUSD", D(-9_000), D(49_000))
    core.set_mid("BTCUSDT", D(52_500))
    core.liquidations["BTCUSDT"] = D("21345.5")
    account = await venue.account()
    assert account.balances == {"USDT": D(100_000), "BTC": D(2), "USDC": D(5_000)}
    assert account.positions == {
        LINEAR: Position(
            symbol=LINEAR, contracts=D(3), entry=D(50_000), mark=D(52_500), liquidation=D("21345.5"), worth=D(157_500)
        ),
        ETHER: Position(symbol=ETHER, contracts=D("-2.5"), entry=D("2400.125"), mark=D(2_500), worth=D(6_250)),
        USDC: Position(symbol=USDC, contracts=D("0.2"), entry=D(48_000), mark=D(50_000), worth=D(10_000)),
        INVERSE: Position(symbol=INVERSE, contracts=D(-9_000), entry=D(49_000), mark=D(50_000), worth=D(9_000)),
    }
    for asset in ("USDT", "BTC", "USDC"):
        assert account.equities[asset] == core.equity(asset).quantize(D("1e-8"))
    assert account.free_margin == core.available().quantize(D("1e-8"))


async def test_what_was_borrowed_on_spot_is_not_the_account_s_own(world: World) -> None:
    server, venue = world
    server.core.wallet |= {"USDT": D(1_000), "ETH": D("-0.06")}
    server.borrowed = {"USDT": D(200), "ETH": D("0.06")}
    account = await venue.account()
    assert account.balances == {"USDT": D(1_000), "ETH": D("-0.06")}
    assert account.equities == {"USDT": D(1_000), "ETH": D("-0.06")}


async def test_an_account_of_isolated_margin_is_read_without_a_free_margin(world: World) -> None:
    server, venue = world
    server.margin_mode = "ISOLATED_MARGIN"
    account = await venue.account()
    assert (account.free_margin, account.balances) == (None, {"USDT": D(100_000)})


async def test_the_open_profit_of_a_usdc_contract_counts_from_its_session(world: World) -> None:
    server, venue = world
    server.core.hold("BTCPERP", D("0.2"), D(48_000))
    server.faults.append(Fault("position/list", "alter", alter=rows(sessionAvgPrice="49500.5")))
    assert (await venue.account()).positions[USDC].entry == D("49500.5")


async def test_open_orders_are_those_of_every_category_whoever_sent_them(world: World) -> None:
    server, venue = world
    for symbol, name in (("BTCUSDT", "by-hand"), ("BTCPERP", ""), ("BTCUSD", "kpr1")):
        server.core.rest(name, symbol, 1, D(1), D(40_000))
    core_of(server, SPOT).rest("spot", "BTCUSDT", -1, D(1), D(60_000))
    found = {(one.symbol, one.client_id, one.is_ours) for one in (await venue.account()).open_orders}
    assert found == {(LINEAR, "by-hand", False), (USDC, "", False), (INVERSE, "kpr1", True), (SPOT, "spot", False)}


@pytest.mark.parametrize("count", [49, 50, 51, 180])
async def test_open_orders_are_read_page_by_page(world: World, count: int) -> None:
    server, venue = world
    for number in range(count):
        server.core.rest(f"o{number}", "BTCUSDT", 1, D("0.001"), D(40_000))
    assert len((await venue.account()).open_orders) == count


@pytest.mark.parametrize("count", [199, 200, 201])
async def test_positions_are_read_page_by_page(count: int) -> None:
    server = unified()
    for number in range(count):
        name = f"C{number}USDT"
        server.core.instruments[name] = Instrument(symbol=name, base=f"C{number}")
        server.core.ladders[name] = Ladder(mid=D(100))
        server.core.hold(name, D(1), D(100))
    async with connected(server) as (_, venue):
        assert (await venue.account()).positions.keys() == {f"C{number}/USDT:USDT" for number in range(count)}


async def test_a_conditional_order_rests_too(world: World) -> None:
    server, venue = world
    server.core.rest("stop", "BTCUSDT", -1, D(0), D(40_000))
    fields = {"orderStatus": "Untriggered", "orderType": "Market", "price": "0", "createType": "CreateByStopLoss"}
    server.faults.append(Fault("order/realtime", "alter", alter=rows(**fields)))
    assert {one.client_id for one in (await venue.account()).open_orders} == {"stop"}


async def test_all_reads_of_an_account_are_in_flight_together(world: World) -> None:
    server, venue = world
    server.core.hold("BTCUSDT", D(1), D(50_000))
    server.delay = 0.5
    await asyncio.gather(venue.account(), venue.quote(LINEAR))
    assert len(server.requests) == 11
    assert max(one.in_flight for one in server.requests) == 11


async def test_every_private_request_is_signed_and_no_public_one_carries_the_key(world: World) -> None:
    server, venue = world
    await asyncio.gather(venue.account(), venue.quote(LINEAR), venue.stats(SPOT), venue.lookup(LINEAR, "x"))
    for one in server.requests:
        private = "/market/" not in one.path
        assert (one.header("X-BAPI-API-KEY") == API_KEY) == private
        assert bool(one.header("X-BAPI-SIGN")) == private


BAD = [
    ("account/wallet-balance", {"accountType": "CONTRACT"}),
    ("account/wallet-balance", {"coin": [{"coin": "USDT", "walletBalance": "NaN", "spotBorrow": "0", "equity": "0"}]}),
    ("account/wallet-balance", {"coin": [{"coin": "USDT", "walletBalance": "1", "equity": "0"}]}),
    ("account/wallet-balance", {"coin": [{"coin": "USDT", "walletBalance": "1", "spotBorrow": "0", "equity": "1"}] * 2}),
    ("account/wallet-balance", {"totalAvailableBalance": None}),
    ("position/list", {"size": "-1"}),
    ("position/list", {"side": ""}),
    ("position/list", {"markPrice": "0"}),
    ("position/list", {"avgPrice": ""}),
    ("position/list", {"positionIdx": 7}),
    ("order/realtime", {"orderStatus": "Filled", "cumExecQty": "1", "avgPrice": "40000"}),
    ("order/realtime", {"createdTime": ""}),
]


@pytest.mark.parametrize(("path", "fields"), BAD, ids=[f"{row[0]}-{number}" for number, row in enumerate(BAD)])
async def test_an_account_that_can_t_be_read_whole_is_stale(world: World, path: str, fields: dict[str, Any]) -> None:
    server, venue = world
    server.core.hold("BTCUSDT", D(1), D(50_000))
    server.core.rest("mine", "BTCUSDT", 1, D(1), D(40_000))
    server.faults.append(Fault(path, "alter", alter=rows(**fields)))
    with pytest.raises(StaleData):
        await venue.account()


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE, SPOT])
async def test_orders_are_those_that_rest_and_those_that_ended_foreign_ones_too(world: World, symbol: str) -> None:
    server, venue = world
    server.core.wallet |= {"BTC": D(5), "USDT": D(10_000_000)}
    core, name = core_of(server, symbol), NAMES[symbol]
    since, now = venue.clock.now() - 30 * DAY, server.now()
    ms = 86_400_000
    for age in (29, 20, 12, 3):
        core.trade_outside(name, 1, D(1), D(50_000), client_id=f"d{age}", at=now - age * ms)
    core.rest("resting", name, 1, D(1), D(40_000), at=now - 2 * ms)
    assert [one.client_id for one in await venue.orders(symbol, since)] == ["d29", "d20", "d12", "d3", "resting"]
    assert [one.client_id for one in await venue.orders(symbol, venue.clock.now() - 5 * DAY)] == ["d3", "resting"]


@pytest.mark.parametrize("where", ["at hand", "in the history"])
@pytest.mark.parametrize("count", [50, 51, 120])
async def test_every_order_is_told_however_many_there_are(world: World, where: str, count: int) -> None:
    server, venue = world
    server.core.wallet["USDT"] = D(10_000_000)
    server.restarted, server.history_lags = where == "in the history", where == "at hand"
    for number in range(count):
        server.core.trade_outside("BTCUSDT", 1, D("0.001"), D(50_000), client_id=f"o{number}")
    found = await venue.orders(LINEAR, venue.clock.now() - timedelta(hours=1))
    assert {one.client_id for one in found} == {f"o{number}" for number in range(count)}


async def test_orders_that_ended_before_are_not_asked_for_page_by_page(world: World) -> None:
    server, venue = world
    for age in range(400):
        server.core.trade_outside("BTCUSDT", 1, D("0.001"), D(50_000), client_id=f"o{age}", at=server.now() - age * 60_000)
    found = await venue.orders(LINEAR, venue.clock.now() - timedelta(minutes=70.5))
    assert [one.client_id for one in found] == [f"o{age}" for age in range(70, -1, -1)]
    assert len(server.seen("order/realtime")) == 3
    assert len(server.seen("order/history")) == 3


@pytest.mark.parametrize("kind", list(Forced))
async def test_an_order_of_the_exchange_itself_is_told_as_forced(world: World, kind: Forced) -> None:
    server, venue = world
    server.core.hold("BTCUSDT", D(1), D(50_000))
    server.core.force("BTCUSDT", kind)
    (order,) = await venue.orders(LINEAR, venue.clock.now() - DAY)
    assert (order.forced, order.client_id, order.signed) == (True, "", D(-1))


async def test_a_market_order_on_spot_that_counts_the_quote_is_no_contradiction(world: World) -> None:
    server, venue = world
    core_of(server, SPOT).trade_outside("BTCUSDT", 1, D("0.002"), D(50_000))
    server.faults.append(Fault("order/realtime", "alter", alter=rows(orderType="Market", qty="100", price="0")))
    server.history_lags = True
    (order,) = await venue.orders(SPOT, venue.clock.now() - DAY)
    assert (order.filled, order.average) == (D("0.002"), D(50_000))


@pytest.mark.parametrize("path", ["order/realtime", "order/history"])
async def test_orders_without_every_answer_are_unavailable(world: World, path: str) -> None:
    server, venue = world
    server.faults.append(Fault(path, "html"))
    with pytest.raises(VenueUnavailable):
        await venue.orders(LINEAR, venue.clock.now() - DAY)


async def test_a_list_of_markets_whose_pages_never_end_is_refused_and_not_asked_for_ever() -> None:
    def again(answer: Any) -> Any:
        answer["result"]["nextPageCursor"] = "again"
        return answer

    async with unified() as server:
        server.faults.append(Fault("instruments-info", "alter", alter=again))
        with pytest.raises(StaleData, match="leads from a page to that same page"):
            async with venue_at(server):
                pass
        assert len(server.requests) < 20
