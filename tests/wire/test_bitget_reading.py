"""Reads through the real bitget class: the account in its modes, prices, and what is refused in words."""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.market import FeeAsset, Market, MarketKind
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.connection import Question
from tests.fakes.bitget import BitgetExchange, bitget_core
from tests.fakes.exchange_core import MarginMode as Margin
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import BTC, ETH, venue_at

D = Decimal


@pytest.fixture
async def bitget() -> AsyncIterator[BitgetExchange]:
    async with BitgetExchange(core=bitget_core(), demo=True) as exchange:
        yield exchange


@pytest.fixture
async def venue(bitget: BitgetExchange) -> AsyncIterator[CcxtVenue]:
    async with venue_at(bitget) as connected:
        bitget.requests.clear()
        yield connected


async def test_connecting_asks_for_perpetuals_only_and_of_public_data_for_nothing_else(bitget: BitgetExchange) -> None:
    async with venue_at(bitget):
        pass
    assert {one.path for one in bitget.requests} == {
        "/api/v2/public/time",
        "/api/v2/mix/market/contracts",
        "/api/v2/mix/account/account",
        "/api/v2/mix/account/isolated-symbols",
    }


async def test_a_contract_is_one_of_the_base_coin(venue: CcxtVenue) -> None:
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
        min_cost=D(5),
        taker=D("0.0006"),
        maker=D("0.0002"),
        fee_in=FeeAsset.SETTLE,
    )
    with pytest.raises(VenueRefused, match="not open"):
        await venue.markets(["DEAD/USDT:USDT"])


async def test_a_market_with_another_margin_is_refused_in_words(bitget: BitgetExchange) -> None:
    def inverse(reply: Any) -> Any:
        rows = [row | {"symbol": "BTCUSD", "quoteCoin": "USD", "supportMarginCoins": ["BTC"]} for row in reply["data"][:1]]
        return reply | {"data": rows}

    bitget.faults.append(Fault("market/contracts", "alter", alter=inverse))
    async with venue_at(bitget) as venue:
        with pytest.raises(VenueRefused, match="margined in USDT"):
            await venue.markets(["BTC/USD:BTC"])


async def test_the_account_tells_wallet_and_equity_apart_and_positions_by_their_sign(
    bitget: BitgetExchange, venue: CcxtVenue
) -> None:
    core = bitget.core
    core.hold("BTCUSDT", D(2), D(49_000))
    core.hold("ETHUSDT", D(-10), D(2_400))
    core.set_mid("BTCUSDT", D(51_000))
    core.isolated.add("ETHUSDT")
    core.liquidations["ETHUSDT"] = D(3_000)
    account = await venue.account()
    assert account.balances == {"USDT": D(100_000)}
    assert account.equities == {"USDT": D(100_000) + 4_000 - 1_000}
    assert account.free_margin == core.available()
    btc, eth = account.positions[BTC], account.positions[ETH]
    assert (btc.contracts, btc.entry, btc.mark, btc.liquidation) == (D(2), D(49_000), D(51_000), None)
    assert (eth.contracts, eth.entry, eth.mark, eth.liquidation) == (D(-10), D(2_400), D(2_500), D(3_000))


async def test_a_position_of_nothing_is_none(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    bitget.core.hold("BTCUSDT", D(2), D(49_000))

    def closed(reply: Any) -> Any:
        return reply | {"data": [row | {"total": "0"} for row in reply["data"]]}

    bitget.faults.append(Fault("all-position", "alter", alter=closed))
    assert (await venue.account()).positions == {}


async def test_open_profit_without_a_sum_is_that_of_its_parts(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    parts = {"unrealizedPL": "", "crossedUnrealizedPL": "12.5", "isolatedUnrealizedPL": "-2"}

    def changed(reply: Any) -> Any:
        return reply | {"data": [row | parts for row in reply["data"]]}

    bitget.faults.append(Fault("account/accounts", "alter", alter=changed))
    assert (await venue.account()).balances == {"USDT": D("99989.5")}


async def test_funding_moves_the_wallet(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    bitget.core.hold("BTCUSDT", D(2), D(50_000))
    bitget.core.fund("BTCUSDT", D("0.0001"))
    assert (await venue.account()).balances == {"USDT": D(99_990)}


async def test_a_quote_is_of_one_moment_and_has_mark_index_and_the_last_trade(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    bitget.core.marks["BTCUSDT"], bitget.core.indexes["BTCUSDT"] = D(50_010), D("50020.5")
    quote = await venue.quote(BTC)
    assert (quote.mark, quote.index, quote.last) == (D(50_010), D("50020.5"), D(50_000))
    assert quote.book.bids[0].price < D(50_000) < quote.book.asks[0].price
    bitget.core.lasts["BTCUSDT"] = (D(49_000), bitget.now() - 60_000)
    assert (await venue.quote(BTC)).last is None
    assert (await venue.stats(BTC)).volume == D(250_000)


REFUSED: list[tuple[str, Callable[[BitgetExchange], None], str, str]] = [
    ("wrong secret", lambda bitget: setattr(bitget, "secret", "another"), "40009", "secret"),
    ("wrong key", lambda bitget: setattr(bitget, "api_key", "another"), "40037", "no such API key"),
    ("wrong passphrase", lambda bitget: setattr(bitget, "passphrase", "another"), "40012", "passphrase"),
    ("live key on the testnet", lambda bitget: setattr(bitget, "demo", False), "40099", "other environment"),
    ("unified account", lambda bitget: setattr(bitget, "unified", True), "40085", "classic account"),
    ("hedge mode", lambda bitget: setattr(bitget.core, "hedged", True), "hedge_mode", "one-way"),
]


@pytest.mark.parametrize(("spoil", "code", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_an_account_that_keeper_can_t_work_with_is_refused_at_once_with_a_remedy(
    bitget: BitgetExchange, spoil: Callable[[BitgetExchange], None], code: str, words: str
) -> None:
    spoil(bitget)
    with pytest.raises(VenueRefused, match=words) as refused:
        async with venue_at(bitget):
            pass
    assert refused.value.code == code
    assert len(bitget.seen("account/account")) == 1


async def test_a_mode_that_changes_later_is_refused_with_the_next_reading(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    bitget.core.hold("BTCUSDT", D(1), D(50_000))
    bitget.core.hedged = True
    with pytest.raises(VenueRefused, match="one-way"):
        await venue.account()
    bitget.core.hedged, bitget.many_assets = False, True
    with pytest.raises(VenueRefused, match="single-asset mode"):
        await venue.account()


UNREADABLE: list[tuple[str, Callable[[Any], Any]]] = [
    ("account/accounts", lambda reply: reply | {"data": [reply["data"][0] | {"accountEquity": "NaN"}]}),
    ("account/accounts", lambda reply: reply | {"data": reply["data"] * 2}),
    ("account/accounts", lambda _reply: {}),
    ("position/all-position", lambda reply: reply | {"data": [reply["data"][0] | {"markPrice": "0"}]}),
    ("position/all-position", lambda reply: reply | {"data": [reply["data"][0] | {"holdSide": "net"}]}),
    ("position/all-position", lambda reply: reply | {"data": None}),
    ("account/isolated-symbols", lambda reply: reply | {"data": [{}]}),
    ("orders-pending", lambda reply: reply | {"data": {"entrustedList": "none"}}),
    ("orders-pending", lambda reply: reply | {"data": {}}),
]


@pytest.mark.parametrize(("path", "alter"), UNREADABLE)
async def test_an_account_that_can_t_be_read_whole_is_not_read_at_all(
    bitget: BitgetExchange, venue: CcxtVenue, path: str, alter: Callable[[Any], Any]
) -> None:
    bitget.core.hold("BTCUSDT", D(1), D(50_000))
    bitget.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises(StaleData):
        await venue.account()


async def test_what_a_key_may_do_and_how_a_market_is_traded_is_told(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    speech, wire = venue._speech, venue._wire(Question(what="inspection"))
    assert await speech.key(wire) == KeyFacts(may_trade=True, may_withdraw=False, ip_bound=False)
    bitget.rights, bitget.addresses = ["coor", "wwow"], "127.0.0.1"
    assert await speech.key(wire) == KeyFacts(may_trade=False, may_withdraw=True, ip_bound=True)
    assert await speech.modes(wire, BTC) == Modes(hedged=False, margin=MarginMode.CROSS, leverage=D(20))
    bitget.core.set_margin_mode("BTCUSDT", Margin.ISOLATED)
    bitget.core.set_leverage("BTCUSDT", 5)
    assert await speech.modes(wire, BTC) == Modes(hedged=False, margin=MarginMode.ISOLATED, leverage=D(5))
    assert await speech.fees(wire, BTC) == FeeRates(taker=D("0.0006"), maker=D("0.0002"))
    first, *_, last = await speech.brackets(wire, BTC)
    assert first == Bracket(up_to=D(50_000), max_leverage=D(125), maintenance=D("0.004"))
    assert last == Bracket(up_to=D(10_000_000), max_leverage=D(10), maintenance=D("0.05"))
