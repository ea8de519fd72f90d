"""Reads through the real krakenfutures class: accounts of several wallets, positions, markets, modes."""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from math import log, sqrt
from typing import Any

import pytest

from keeper.domain.account import Position
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import Bracket, MarginMode, Modes
from keeper.domain.market import MarketKind, Side
from keeper.venues.ccxt_venue import CcxtVenue, ExaminedVenue
from keeper.venues.connection import Question
from keeper.venues.dialects import KRAKEN_FUTURES
from tests.fakes.krakenfutures import KrakenFutures, usual_core
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_server import API_KEY, SECRET
from tests.fakes.loopback_venue import order, venue_at

D = Decimal
LINEAR, INVERSE = "BTC/USD:USD", "BTC/USD:BTC"


@pytest.fixture
async def exchange() -> AsyncIterator[KrakenFutures]:
    async with KrakenFutures(core=usual_core()) as server:
        yield server


@pytest.fixture
async def kraken(exchange: KrakenFutures) -> AsyncIterator[CcxtVenue]:
    async with venue_at(exchange, attempts=1) as connected:
        exchange.requests.clear()
        yield connected


async def test_a_contract_is_a_coin_on_linear_markets_and_a_dollar_on_inverse_ones(kraken: CcxtVenue) -> None:
    markets = await kraken.markets([LINEAR, INVERSE])
    told = {name: (one.kind, one.settle, one.contract_size, one.lot, one.tick) for name, one in markets.items()}
    assert told == {
        LINEAR: (MarketKind.LINEAR, "USD", D(1), D("0.0001"), D(1)),
        INVERSE: (MarketKind.INVERSE, "BTC", D(1), D(1), D("0.5")),
    }


@pytest.mark.parametrize(
    ("symbol", "code"), [("BTC/USD:USD-270326", "dated"), ("DEAD/USD:USD", "inactive"), ("BTC/USD", "symbol")]
)
async def test_a_market_that_can_t_be_traded_is_refused(kraken: CcxtVenue, symbol: str, code: str) -> None:
    with pytest.raises(VenueRefused) as refusal:
        await kraken.markets([symbol])
    assert refusal.value.code == code


async def test_a_quote_is_book_mark_index_and_last(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    exchange.core.marks["PF_XBTUSD"] = D("50003.25")
    exchange.core.indexes["PF_XBTUSD"] = D("50004.5")
    exchange.core.lasts["PF_XBTUSD"] = (D(50_001), exchange.core.now())
    quote = await kraken.quote(LINEAR)
    assert (quote.mark, quote.index, quote.last) == (D("50003.25"), D("50004.5"), D(50_001))
    assert (quote.book.bids[0].price, quote.book.asks[0].price) == (D(49_999), D(50_001))


@pytest.mark.parametrize(("symbol", "volume"), [(LINEAR, D(250_000)), (INVERSE, D(5_000))])
async def test_a_day_s_volume_is_in_coins(kraken: CcxtVenue, symbol: str, volume: Decimal) -> None:
    stats = await kraken.stats(symbol)
    assert stats.volume == volume
    assert float(stats.volatility) == pytest.approx(log(51_000 / 49_000) / sqrt(4 * log(2)))


async def test_an_account_is_flex_wallet_and_margin_accounts_without_open_profit_and_without_cash(
    exchange: KrakenFutures, kraken: CcxtVenue
) -> None:
    core = exchange.core
    core.wallet |= {"USDT": D(500), "EUR": D(0)}
    exchange.cash = {"EUR": D(7)}
    core.hold("PF_XBTUSD", D("1.5"), D(49_000))
    core.hold("PI_XBTUSD", D(-20_000), D(48_000))
    account = await kraken.account()
    assert account.balances == {"USD": D(100_000), "USDT": D(500), "BTC": D(2)}
    assert account.equities == {
        "USD": D(101_500),
        "USDT": D(500),
        "EUR": D(0),
        "ETH": D(0),
        "BTC": core.equity("BTC"),
    }
    assert account.free_margin is None
    assert account.positions == {
        LINEAR: Position(symbol=LINEAR, contracts=D("1.5"), entry=D(49_000), mark=D(50_000), worth=D(75_000)),
        INVERSE: Position(symbol=INVERSE, contracts=D(-20_000), entry=D(48_000), mark=D(50_000), worth=D(20_000)),
    }


async def test_money_that_was_lost_in_dollars_is_owed_and_free_margin_is_flex_s(
    exchange: KrakenFutures, kraken: CcxtVenue
) -> None:
    exchange.core.wallet = {"USD": D(-250), "USDT": D(1000)}
    account = await kraken.account()
    assert account.balances == {"USD": D(-250), "USDT": D(1000)}
    assert account.free_margin == D(-250)


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
async def test_the_account_after_is_the_account_before_with_our_fills_booked(
    exchange: KrakenFutures, kraken: CcxtVenue, symbol: str
) -> None:
    unit = D(1) if symbol == LINEAR else D(50_000)
    exchange.core.hold("PF_XBTUSD" if symbol == LINEAR else "PI_XBTUSD", unit, D(49_000))
    market = (await kraken.markets([symbol]))[symbol]
    account = await kraken.account()
    for number, (side, amount, price) in enumerate((("buy", "0.5", 50_020), ("sell", "2.4", 49_900), ("buy", "0.3", 50_100))):
        name = f"kpr{number}"
        await kraken.place(order(client_id=name, symbol=symbol, side=Side(side), amount=D(amount) * unit, price=D(price)))
        found = await kraken.lookup(symbol, name)
        assert found is not None
        for fill in await kraken.fills(symbol, found.order_id):
            account = account.after(fill, market)
    seen = await kraken.account()
    assert seen.positions[symbol].contracts == account.positions[symbol].contracts
    assert abs(seen.positions[symbol].entry - account.positions[symbol].entry) < D("1e-7")
    assert abs(seen.balances[market.settle] - account.balances[market.settle]) < D("1e-7")


def _only_cash(exchange: KrakenFutures) -> None:
    exchange.core.wallet = {}
    exchange.cash = {"USD": D(5)}


REFUSED: list[tuple[str, Callable[[KrakenFutures], Any], str, str]] = [
    ("unknown key", lambda exchange: setattr(exchange, "api_key", "other"), "authenticationError", "demo-futures"),
    ("wrong secret", lambda exchange: setattr(exchange, "secret", "b3RoZXI="), "authenticationError", "secret"),
    ("only cash", _only_cash, "cash", "transfer"),
]


@pytest.mark.parametrize(("spoil", "code", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_connecting_is_refused_with_a_remedy(
    exchange: KrakenFutures, spoil: Callable[[KrakenFutures], Any], code: str, words: str
) -> None:
    spoil(exchange)
    with pytest.raises(VenueRefused, match=words) as refusal:
        await venue_at(exchange).__aenter__()
    assert refusal.value.code == code


async def test_a_secret_that_is_none_is_refused_before_anything_is_signed_with_it(exchange: KrakenFutures) -> None:
    with pytest.raises(VenueRefused, match="base64"):
        await venue_at(exchange, credentials={"api_key": API_KEY, "secret": "a"}).__aenter__()
    async with venue_at(exchange, credentials={"api_key": API_KEY, "secret": "a"}, kind=ExaminedVenue) as venue:
        with pytest.raises(VenueRefused, match="base64"):
            await venue.open_orders()
    assert not exchange.seen("accounts")
    assert not exchange.seen("openorders")


async def test_connecting_asks_for_time_markets_and_account_and_nothing_else(exchange: KrakenFutures) -> None:
    async with venue_at(exchange):
        paths = sorted(one.path.removeprefix("/derivatives/api/v3/") for one in exchange.requests)
    assert paths == ["accounts", "instruments", *(2 * ["instruments/PF_XBTUSD/status"]), "pnlpreferences"]


async def test_no_public_request_carries_the_key_and_none_the_secret(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    await kraken.quote(LINEAR)
    assert not any(one.header("APIKey") for one in exchange.requests)
    await kraken.account()
    assert {one.header("APIKey") for one in exchange.seen("accounts")} == {API_KEY}
    assert not any(SECRET.encode() in one.raw or SECRET in str(one.headers) for one in exchange.requests)


async def test_modes_are_isolated_where_there_is_a_leverage_preference(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    exchange.leverages["PF_XBTUSD"] = D(5)
    wire = kraken._wire(Question(what="modes"))
    speech = KRAKEN_FUTURES.speech
    assert await speech.modes(wire, LINEAR) == Modes(hedged=False, margin=MarginMode.ISOLATED, leverage=D(5))
    assert await speech.modes(wire, INVERSE) == Modes(hedged=False, margin=MarginMode.CROSS)
    assert await speech.fees(wire, LINEAR) is None
    for symbol in (LINEAR, INVERSE):
        assert await speech.brackets(wire, symbol) == (
            Bracket(up_to=D(500_000), max_leverage=D(50), maintenance=D("0.01")),
            Bracket(up_to=None, max_leverage=D(25), maintenance=D("0.02")),
        )


def _accounts(change: Callable[[Any], None]) -> Callable[[Any], Any]:
    def alter(reply: Any) -> Any:
        change(reply["accounts"])
        return reply

    return alter


GARBAGE: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("no flex", "accounts", _accounts(lambda told: told.pop("flex"))),
    ("an unheard-of account", "accounts", _accounts(lambda told: told["cash"].update(type="pondering"))),
    ("no quantity", "accounts", _accounts(lambda told: told["flex"]["currencies"]["USD"].update(quantity="NaN"))),
    ("no equity", "accounts", _accounts(lambda told: told["fi_xbtusd"]["auxiliary"].update(pv=None))),
    ("no side", "openpositions", lambda reply: reply | {"openPositions": [reply["openPositions"][0] | {"side": "both"}]}),
    ("twice", "openpositions", lambda reply: reply | {"openPositions": 2 * reply["openPositions"]}),
    ("no list", "openpositions", lambda reply: reply | {"openPositions": None}),
    ("no orders", "openorders", lambda _reply: {"result": "success"}),
]


@pytest.mark.parametrize(("path", "alter"), [row[1:] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
async def test_an_account_that_can_t_be_read_whole_is_not_read(
    exchange: KrakenFutures, kraken: CcxtVenue, path: str, alter: Callable[[Any], Any]
) -> None:
    exchange.core.hold("PF_XBTUSD", D(1), D(50_000))
    exchange.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises(StaleData):
        await kraken.account()
