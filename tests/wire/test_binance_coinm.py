"""Coin-margined futures through the real binancecoinm class: contracts of dollars, margin and fees in coins."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.book import Level
from keeper.domain.errors import StaleData, VenueRefused, VenueUnavailable
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.order import Accepted, ChildState, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_coinm import BinanceCoinm, coinm_core
from tests.fakes.binance_server import Fault
from tests.fakes.loopback_venue import CLIENT_ID, order, venue_at

D = Decimal
BTC, ETH = "BTC/USD:BTC", "ETH/USD:ETH"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
async def server() -> AsyncIterator[BinanceCoinm]:
    async with BinanceCoinm(core=coinm_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(server: BinanceCoinm) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server) as connected:
        server.requests.clear()
        yield connected


def _order(**changes: Any) -> Any:
    """Buy 15 contracts (1,500 USD) at 50,010.1."""
    return order(**({"symbol": BTC, "amount": D(15)} | changes))


@pytest.mark.parametrize(
    ("environment", "host"), [(Environment.TESTNET, "demo-dapi.binance.com"), (Environment.LIVE, "dapi.binance.com")]
)
async def test_connecting_asks_one_host_and_nothing_private_but_the_mode(
    server: BinanceCoinm, environment: Environment, host: str
) -> None:
    async with venue_at(server, environment):
        assert {one.host for one in server.requests} == {host}
        private = {one.path for one in server.requests if one.header("X-MBX-APIKEY")}
        assert private == {"/dapi/v1/positionSide/dual"}


async def test_markets_are_inverse_and_count_contracts_of_dollars(venue: CcxtVenue) -> None:
    markets = await venue.markets([BTC, ETH])
    assert markets[BTC] == Market(
        symbol=BTC,
        kind=MarketKind.INVERSE,
        base="BTC",
        quote="USD",
        settle="BTC",
        contract_size=D(100),
        tick=D("0.1"),
        lot=D(1),
        min_amount=D(1),
        min_cost=D(0),
        taker=D("0.0005"),
        maker=D("0.0001"),
    )
    assert (markets[ETH].contract_size, markets[ETH].settle) == (D(10), "ETH")


@pytest.mark.parametrize(("symbol", "code"), [("BTC/USD:BTC-270326", "dated"), ("DEAD/USD:DEAD", "inactive")])
async def test_a_dated_or_closed_market_is_refused(venue: CcxtVenue, symbol: str, code: str) -> None:
    with pytest.raises(VenueRefused) as refusal:
        await venue.markets([symbol])
    assert refusal.value.code == code


async def test_a_quote_is_of_the_market_asked_for_though_it_is_answered_with_lists(
    server: BinanceCoinm, venue: CcxtVenue
) -> None:
    server.core.marks["BTCUSD_PERP"] = D("50001.5")
    server.core.indexes["BTCUSD_PERP"] = D("49999.25")
    quote = await venue.quote(BTC)
    assert (quote.mark, quote.index, quote.last) == (D("50001.5"), D("49999.25"), D(50_000))
    assert quote.book.asks[0] == Level(D("50000.1"), D(500))


@pytest.mark.parametrize("path", ["premiumIndex", "ticker/price"])
@pytest.mark.parametrize("answer", ["none", "two", "other"])
async def test_a_list_of_none_two_or_another_market_is_stale_data(
    server: BinanceCoinm, venue: CcxtVenue, path: str, answer: str
) -> None:
    change = {"none": lambda _rows: [], "two": lambda rows: rows * 2, "other": lambda rows: [rows[0] | {"symbol": "ETHUSD_PERP"}]}
    server.faults.append(Fault(path, "alter", alter=change[answer]))
    with pytest.raises(StaleData):
        await venue.quote(BTC)


async def test_the_volume_of_a_day_is_in_coins(venue: CcxtVenue) -> None:
    assert (await venue.stats(BTC)).volume == D("240000.12345678")


async def test_every_coin_has_its_wallet_and_its_margin_balance(server: BinanceCoinm, venue: CcxtVenue) -> None:
    server.core.hold("BTCUSD_PERP", D(1500), D(48_000))
    server.core.hold("ETHUSD_PERP", D(-200), D(2_600))
    server.core.liquidations["BTCUSD_PERP"] = D("31000.5")
    account = await venue.account()
    assert account.balances == {"BTC": D(2), "ETH": D(40)}
    assert account.free_margin is None
    for asset in ("BTC", "ETH"):
        assert account.equities[asset] == server.core.equity(asset).quantize(D("1e-8")) != server.core.wallet[asset]
    long, short = account.positions[BTC], account.positions[ETH]
    assert (long.contracts, long.entry, long.liquidation) == (D(1500), D(48_000), D("31000.5"))
    assert (short.contracts, short.entry, short.liquidation) == (D(-200), D(2_600), None)
    markets = await venue.markets([BTC, ETH])
    for symbol, asset in ((BTC, "BTC"), (ETH, "ETH")):
        held = account.positions[symbol]
        ours = account.balances[asset] + markets[symbol].profit(held.contracts, held.entry, held.mark)
        assert abs(ours - account.equities[asset]) < D("1e-7")


async def test_an_order_in_contracts_is_filled_and_booked_in_coins(server: BinanceCoinm, venue: CcxtVenue) -> None:
    server.core.hold("BTCUSD_PERP", D(300), D(49_000))
    market = (await venue.markets([BTC]))[BTC]
    account = await venue.account()
    for number, (side, amount, price) in enumerate((("buy", 700, "50010"), ("sell", 1600, "49900"), ("buy", 40, "50100"))):
        outcome = await venue.place(_order(client_id=f"k{number}", side=Side(side), amount=D(amount), price=D(price)))
        assert isinstance(outcome, Accepted)
        assert (outcome.report.state, outcome.report.filled) == (ChildState.FILLED, D(amount))
        fills = await venue.fills(BTC, outcome.report.order_id)
        assert sum(fill.amount for fill in fills) == amount
        assert {fill.fee_asset for fill in fills} == {"BTC"}
        assert all(fill.fee > 0 for fill in fills)
        for fill in fills:
            account = account.after(fill, market)
    seen = await venue.account()
    assert seen.positions[BTC].contracts == account.positions[BTC].contracts == server.core.held("BTCUSD_PERP")
    assert abs(seen.positions[BTC].entry - account.positions[BTC].entry) < D("1e-6")
    assert abs(seen.balances["BTC"] - account.balances["BTC"]) < D("1e-7")
    sent = server.seen("order", "POST")[0]
    wanted = {"symbol": "BTCUSD_PERP", "timeInForce": "IOC", "quantity": "700", "newOrderRespType": "RESULT"}
    assert wanted.items() <= sent.parameters.items()


async def test_a_fraction_of_a_contract_is_never_sent(server: BinanceCoinm, venue: CcxtVenue) -> None:
    outcome = await venue.place(_order(amount=D("1.5")))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "never_sent"
    assert not server.requests


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda core: core.wallet.update(BTC=D("0.00001")), "-2019"),
        (lambda core: setattr(core, "hedged", True), "-4061"),
        (lambda core: core.instruments.clear(), "-1121"),
    ],
)
async def test_a_wrong_order_is_rejected_by_its_code(server: BinanceCoinm, venue: CcxtVenue, spoil: Any, code: str) -> None:
    spoil(server.core)
    outcome = await venue.place(_order())
    assert isinstance(outcome, Rejected)
    assert outcome.code == code
    assert not server.core.orders


async def test_a_reply_that_is_lost_leaves_an_order_that_its_client_id_finds(server: BinanceCoinm, venue: CcxtVenue) -> None:
    server.faults.append(Fault("order", "-1007", method="POST"))
    assert isinstance(await venue.place(_order()), Unknown)
    assert len(server.seen("order", "POST")) == len(server.core.orders) == 1
    found = await venue.lookup(BTC, CLIENT_ID)
    assert found is not None
    assert (found.state, found.filled) == (ChildState.FILLED, D(15))
    assert await venue.lookup(BTC, "kprnothing") is None


async def test_what_rests_is_listed_of_all_markets_and_canceled_by_client_id(server: BinanceCoinm, venue: CcxtVenue) -> None:
    server.core.rest("kprours", "BTCUSD_PERP", 1, D(3), D(49_000))
    server.core.rest("web_1", "ETHUSD_PERP", -1, D(4), D(2_700))
    account = await venue.account()
    assert {(one.symbol, one.client_id, one.amount) for one in account.open_orders} == {
        (BTC, "kprours", D(3)),
        (ETH, "web_1", D(4)),
    }
    await venue.cancel(BTC, "kprours")
    await venue.cancel(BTC, "kprours")
    assert [one.client_id for one in (await venue.account()).open_orders] == ["web_1"]


@pytest.mark.parametrize("count", [99, 100, 101, 350])
async def test_every_order_of_the_past_is_read_though_an_answer_holds_a_hundred(
    server: BinanceCoinm, venue: CcxtVenue, count: int
) -> None:
    now = server.now()
    for number in range(count):
        server.core.rest(f"kpr{number}", "BTCUSD_PERP", 1, D(1), D(49_000), at=now - 1000 * (count - number))
    found = await venue.orders(BTC, EPOCH + timedelta(milliseconds=now - 1000 * count))
    assert [one.client_id for one in found] == [f"kpr{number}" for number in range(count)]
    assert {int(one.parameters["limit"]) for one in server.seen("allOrders")} == {100}


async def test_hedge_mode_is_refused_on_connecting(server: BinanceCoinm) -> None:
    server.core.hedged = True
    with pytest.raises(VenueRefused) as refusal:
        async with venue_at(server):
            pass
    assert refusal.value.code == "hedge_mode"


async def test_the_dead_man_switch_is_set_for_each_market_and_taken_off(server: BinanceCoinm, venue: CcxtVenue) -> None:
    assert await venue.dead_man([BTC, ETH], timedelta(seconds=60))
    assert set(server.core.countdowns) == {"BTCUSD_PERP", "ETHUSD_PERP"}
    assert await venue.dead_man([BTC], None)
    assert set(server.core.countdowns) == {"ETHUSD_PERP"}


@pytest.mark.parametrize(("path", "kind"), [("account", "html"), ("positionRisk", "empty_object"), ("openOrders", "half_json")])
async def test_an_account_that_is_not_answered_is_unavailable_or_stale(
    server: BinanceCoinm, venue: CcxtVenue, path: str, kind: str
) -> None:
    server.faults.append(Fault(path, kind))
    with pytest.raises((StaleData, VenueUnavailable)):
        await venue.account()
