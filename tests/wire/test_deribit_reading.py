"""Reads through the real deribit class: amounts in dollars, profits that are settled, currencies apart or together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.account import value
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.market import Market, MarketKind, Side
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.connection import Question
from keeper.venues.dialects import DERIBIT
from keeper.venues.parsing import milliseconds
from tests.fakes.deribit import POSITIONS, SUMMARIES, Deribit, usual_core
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_server import API_KEY, SECRET
from tests.fakes.loopback_venue import ShiftedClock, order, venue_at

D = Decimal
LINEAR, INVERSE, COIN_ETH = "BTC/USDC:USDC", "BTC/USD:BTC", "ETH/USD:ETH"
IDS = {LINEAR: "BTC_USDC-PERPETUAL", INVERSE: "BTC-PERPETUAL"}


class StandingClock:
    """A clock that stands; waiting takes no time."""

    def __init__(self) -> None:
        self._at = ShiftedClock().now()

    def now(self) -> datetime:
        return self._at

    async def sleep_until(self, at: datetime) -> None:
        """At once."""


@pytest.fixture
async def exchange() -> AsyncIterator[Deribit]:
    async with Deribit(core=usual_core()) as server:
        yield server


@pytest.fixture
async def deribit(exchange: Deribit) -> AsyncIterator[CcxtVenue]:
    async with venue_at(exchange, attempts=1) as connected:
        exchange.requests.clear()
        yield connected


async def test_a_contract_is_one_dollar_on_inverse_markets_and_one_coin_on_linear_ones(deribit: CcxtVenue) -> None:
    common: dict[str, Any] = {"base": "BTC", "contract_size": D(1), "taker": D("0.0005"), "maker": D(0)}
    lots: dict[str, Any] = {"lot": D(10), "min_amount": D(10)}
    coins: dict[str, Any] = {"lot": D("0.001"), "min_amount": D("0.001")}
    assert await deribit.markets([INVERSE, LINEAR]) == {
        INVERSE: Market(symbol=INVERSE, kind=MarketKind.INVERSE, quote="USD", settle="BTC", tick=D("0.5"), **lots, **common),
        LINEAR: Market(symbol=LINEAR, kind=MarketKind.LINEAR, quote="USDC", settle="USDC", tick=D(1), **coins, **common),
    }


@pytest.mark.parametrize(
    ("symbol", "code"), [("BTC/USD:BTC-270326", "dated"), ("DEAD/USDC:USDC", "inactive"), ("BTC/USDC", "symbol")]
)
async def test_a_market_that_can_t_be_traded_is_refused(deribit: CcxtVenue, symbol: str, code: str) -> None:
    with pytest.raises(VenueRefused) as refusal:
        await deribit.markets([symbol])
    assert refusal.value.code == code


async def test_the_coarsest_tick_of_a_market_is_its_tick(exchange: Deribit) -> None:
    def stepped(reply: Any) -> Any:
        for one in reply["result"]:
            one["tick_size_steps"] = [{"above_price": 10_000.0, "tick_size": 5.0}]
        return reply

    exchange.faults.append(Fault("get_instruments", "alter", alter=stepped))
    async with venue_at(exchange) as venue:
        assert (await venue.markets([INVERSE]))[INVERSE].tick == 5


@pytest.mark.parametrize("environment", list(Environment)[:2])
async def test_connecting_loads_no_options_and_looks_at_the_account(exchange: Deribit, environment: Environment) -> None:
    async with venue_at(exchange, environment):
        paths = sorted(one.path.removeprefix("/api/v2/") for one in exchange.requests)
    assert paths == [
        "private/get_account_summaries",
        "private/get_open_orders",
        "public/get_instruments",
        *(2 * ["public/get_time"]),
    ]
    hosts = {Environment.LIVE: "www.deribit.com", Environment.TESTNET: "test.deribit.com"}
    assert {one.host for one in exchange.requests} == {hosts[environment]}


async def test_a_quote_is_book_mark_index_and_last_and_a_day_is_in_coins(exchange: Deribit, deribit: CcxtVenue) -> None:
    exchange.core.marks["BTC-PERPETUAL"] = D("50003.25")
    exchange.core.indexes["BTC-PERPETUAL"] = D("50004.5")
    quote = await deribit.quote(INVERSE)
    assert (quote.mark, quote.index, quote.last) == (D("50003.25"), D("50004.5"), D(50_000))
    assert (quote.book.bids[0].price, quote.book.bids[0].amount) == (D("49999.5"), D(50_000))
    assert (await deribit.stats(INVERSE)).volume == 5_000


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
@pytest.mark.parametrize("sign", [1, -1])
async def test_a_settlement_changes_neither_what_an_account_is_worth_nor_what_it_holds(
    exchange: Deribit, deribit: CcxtVenue, symbol: str, sign: int
) -> None:
    core, name = exchange.core, IDS[symbol]
    core.wallet = {"BTC": D(3)} if symbol == INVERSE else {"USDC": D(100_000)}
    core.hold(name, sign * (D(60_000) if symbol == INVERSE else D("1.2")), D(48_000))
    market = (await deribit.markets([symbol]))[symbol]
    worth = []
    for _ in range(2):
        core.set_mid(name, D(50_000))
        account = await deribit.account()
        worth.append(value(account, [market], {symbol: D(50_000)}, market.quote).nav)
        settle = account.equities[market.settle]
        position = account.positions[symbol]
        profit = market.profit(position.contracts, position.entry, position.mark)
        assert abs(account.balances[market.settle] + profit - settle) < D("1e-7")
        exchange.session.settle(core)
    assert abs(worth[0] - worth[1]) < D("1e-3")
    assert abs((await deribit.account()).positions[symbol].entry - D(50_000)) < D("1e-3")
    assert exchange.session.averages[name] == core.mark(name)


def settling(exchange: Deribit, symbol: str) -> None:
    """A position with a large profit in ``symbol``, and some that was realised before."""
    exchange.core.wallet = {"BTC": D(3)} if symbol == INVERSE else {"USDC": D(100_000)}
    exchange.core.hold(IDS[symbol], D(60_000) if symbol == INVERSE else D("1.2"), D(40_000))
    exchange.core.set_mid(IDS[symbol], D(50_000))
    exchange.session.realised["BTC" if symbol == INVERSE else "USDC"] = D("0.25")


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
@pytest.mark.parametrize("torn", [[SUMMARIES], [POSITIONS]])
async def test_a_settlement_between_wallet_and_positions_neither_hides_a_profit_nor_counts_it_twice(
    exchange: Deribit, deribit: CcxtVenue, symbol: str, torn: list[str]
) -> None:
    settling(exchange, symbol)
    market = (await deribit.markets([symbol]))[symbol]
    before = value(await deribit.account(), [market], {symbol: D(50_000)}, market.quote).nav
    exchange.settles_after, exchange.requests = list(torn), []
    account = await deribit.account()
    assert exchange.settles_after == []
    assert abs(value(account, [market], {symbol: D(50_000)}, market.quote).nav - before) < D("1e-3")
    assert abs(account.positions[symbol].entry - D(50_000)) < D("1e-3")
    assert (len(exchange.seen(SUMMARIES)), len(exchange.seen(POSITIONS))) == (3, 2)


async def test_an_account_whose_money_moves_during_every_look_is_not_read(exchange: Deribit, deribit: CcxtVenue) -> None:
    settling(exchange, LINEAR)

    def paid(reply: Any) -> Any:
        exchange.core.wallet["USDC"] += 50
        return reply

    exchange.faults.append(Fault(POSITIONS, "alter", alter=paid))
    with pytest.raises(StaleData, match="money moves"):
        await deribit.account()


async def test_what_funding_comes_to_between_two_summaries_is_no_move_of_money(exchange: Deribit, deribit: CcxtVenue) -> None:
    settling(exchange, LINEAR)

    def earned(reply: Any) -> Any:
        exchange.core.wallet["USDC"] += D("0.5")
        exchange.session.realised["USDC"] += D("0.5")
        return reply

    exchange.faults.append(Fault(POSITIONS, "alter", alter=earned))
    await deribit.account()
    assert len(exchange.seen(POSITIONS)) == 1


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
async def test_the_account_after_is_the_account_before_with_our_fills_booked_across_a_settlement(
    exchange: Deribit, deribit: CcxtVenue, symbol: str
) -> None:
    unit = D(1) if symbol == LINEAR else D(50_000)
    exchange.core.hold(IDS[symbol], unit, D(49_000))
    exchange.session.settle(exchange.core)
    market = (await deribit.markets([symbol]))[symbol]
    account = await deribit.account()
    for number, (side, amount, price) in enumerate((("buy", "0.5", 50_020), ("sell", "2.4", 49_900), ("buy", "0.3", 50_100))):
        name = f"kpr{number}"
        placed = order(client_id=name, symbol=symbol, side=Side(side), amount=D(amount) * unit, price=D(price))
        await deribit.place(placed)
        found = await deribit.lookup(symbol, name)
        assert found is not None
        for fill in await deribit.fills(symbol, found.order_id):
            account = account.after(fill, market)
    seen = await deribit.account()
    assert seen.positions[symbol].contracts == account.positions[symbol].contracts
    assert abs(seen.positions[symbol].entry - account.positions[symbol].entry) < D("1e-3")
    assert abs(seen.balances[market.settle] - account.balances[market.settle]) < D("1e-7")


async def test_free_margin_is_that_of_all_currencies_of_one_or_of_none(exchange: Deribit, deribit: CcxtVenue) -> None:
    core = exchange.core
    core.hold("BTC-PERPETUAL", D(100_000), D(50_000))
    assert (await deribit.account()).free_margin is None
    core.wallet = {"BTC": D(3)}
    assert (await deribit.account()).free_margin == D("2.9")
    core.usd = {"BTC": D(50_000), "ETH": D(2_500), "USDC": D(1)}
    core.wallet = {"BTC": D(1), "USDC": D(10_000)}
    assert (await deribit.account()).free_margin == D(55_000)


async def test_what_is_owed_in_a_currency_is_negative(exchange: Deribit, deribit: CcxtVenue) -> None:
    exchange.core.wallet = {"BTC": D(1), "USDC": D(-250)}
    account = await deribit.account()
    assert account.balances == {"BTC": D(1), "USDC": D(-250)}


async def test_a_liquidation_price_is_told_where_there_is_one(exchange: Deribit, deribit: CcxtVenue) -> None:
    exchange.core.hold("BTC-PERPETUAL", D(-20_000), D(48_000))
    exchange.core.hold("ETH-PERPETUAL", D(2_000), D(2_400))
    exchange.core.liquidations["BTC-PERPETUAL"] = D(90_000)
    positions = (await deribit.account()).positions
    assert {symbol: one.liquidation for symbol, one in positions.items()} == {INVERSE: D(90_000), COIN_ETH: None}


REFUSED: list[tuple[str, Callable[[Deribit], Any], str, str]] = [
    ("unknown key", lambda exchange: setattr(exchange, "api_key", "other"), "13004", "test.deribit.com"),
    ("wrong secret", lambda exchange: setattr(exchange, "secret", "other"), "13009", "secret belongs"),
]


@pytest.mark.parametrize(("spoil", "code", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_connecting_is_refused_with_a_remedy(
    exchange: Deribit, spoil: Callable[[Deribit], Any], code: str, words: str
) -> None:
    spoil(exchange)
    with pytest.raises(VenueRefused, match=words) as refusal:
        await venue_at(exchange).__aenter__()
    assert refusal.value.code == code


async def test_a_clock_that_is_half_a_minute_late_is_refused_before_anything_is_signed(exchange: Deribit) -> None:
    exchange.skew = 30_000
    with pytest.raises(VenueRefused, match="clock"):
        await venue_at(exchange).__aenter__()
    assert not [one for one in exchange.requests if "/private/" in one.path]


async def test_no_public_request_carries_the_key_and_none_the_secret(exchange: Deribit, deribit: CcxtVenue) -> None:
    await deribit.quote(LINEAR)
    assert not any(one.header("Authorization") for one in exchange.requests)
    await deribit.account()
    assert all(API_KEY in one.header("Authorization") for one in exchange.requests if "/private/" in one.path)
    assert not any(SECRET in one.query or SECRET in str(one.headers) for one in exchange.requests)


async def test_requests_of_one_millisecond_are_signed_with_nonces_of_their_own(exchange: Deribit) -> None:
    clock = StandingClock()
    exchange.core.now = lambda: milliseconds(clock.now())
    async with venue_at(exchange, clock=clock, attempts=1) as venue:
        await asyncio.gather(*(venue.account() for _ in range(5)))
    assert len(exchange.nonces) == len([one for one in exchange.requests if "/private/" in one.path]) == 2 + 5 * 4


KEYS = [
    ("account:read trade:read_write wallet:none", ["10.0.0.1"], KeyFacts(may_trade=True, may_withdraw=False, ip_bound=True)),
    ("account:read trade:read wallet:read", [], KeyFacts(may_trade=False, may_withdraw=False, ip_bound=False)),
    ("trade:read_write wallet:read_write", [], KeyFacts(may_trade=True, may_withdraw=True, ip_bound=False)),
    (None, [], KeyFacts()),
]


@pytest.mark.parametrize(("scope", "addresses", "facts"), KEYS)
async def test_a_key_may_do_what_its_scope_says(
    exchange: Deribit, deribit: CcxtVenue, scope: str | None, addresses: list[str], facts: KeyFacts
) -> None:
    exchange.scope, exchange.addresses = scope, addresses
    assert await DERIBIT.speech.key(deribit._wire(Question(what="key"))) == facts


FEES = [
    ([], FeeRates(taker=D("0.0005"), maker=D(0))),
    ([("option", "btc_usd", "fixed", 0.3, 0.3)], FeeRates(taker=D("0.0005"), maker=D(0))),
    ([("perpetual", "eth_usd", "fixed", 0.3, 0.3)], FeeRates(taker=D("0.0005"), maker=D(0))),
    ([("perpetual", "btc_usd", "fixed", 0.00035, -0.0001)], FeeRates(taker=D("0.00035"), maker=D("-0.0001"))),
    ([("perpetual", "btc_usd", "relative", 0.5, 0.5)], FeeRates(taker=D("0.00025"), maker=D(0))),
]


@pytest.mark.parametrize(("own", "rates"), FEES)
async def test_fees_are_the_market_s_unless_the_account_has_its_own(
    exchange: Deribit, deribit: CcxtVenue, own: list[tuple[str, str, str, float, float]], rates: FeeRates
) -> None:
    exchange.fees = [
        {"kind": kind, "index_name": index, "value": {"default": {"type": how, "taker": taker, "maker": maker}}}
        for kind, index, how, taker, maker in own
    ]
    wire = deribit._wire(Question(what="fees"))
    assert await DERIBIT.speech.fees(wire, INVERSE) == rates
    assert await DERIBIT.speech.modes(wire, INVERSE) == Modes(hedged=False, margin=MarginMode.CROSS)


def _first(**fields: Any) -> Callable[[Any], Any]:
    return lambda reply: reply | {"result": [reply["result"][0] | fields, *reply["result"][1:]]}


def _currency(**fields: Any) -> Callable[[Any], Any]:
    return lambda reply: reply | {"result": {"summaries": [reply["result"]["summaries"][0] | fields]}}


GARBAGE: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("a long of negative size", "get_positions", _first(direction="sell")),
    ("a profit beyond all prices", "get_positions", _first(floating_profit_loss=-5.0)),
    ("a long of so many coins short", "get_positions", _first(size_currency=-0.2)),
    ("of no coins", "get_positions", _first(size_currency=0)),
    ("no profit", "get_positions", _first(floating_profit_loss=None)),
    ("no mark", "get_positions", _first(mark_price=0)),
    ("twice", "get_positions", lambda reply: reply | {"result": 2 * reply["result"]}),
    ("no balance", "get_account_summaries", _currency(balance="NaN")),
    ("nothing realised", "get_account_summaries", _currency(futures_session_rpl=None)),
    ("no equity", "get_account_summaries", _currency(equity=None)),
    ("no list", "get_account_summaries", lambda reply: reply | {"result": {}}),
    ("ended, but open", "get_open_orders", _first(order_state="cancelled")),
]


@pytest.mark.parametrize(("path", "alter"), [row[1:] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
async def test_an_account_that_can_t_be_read_whole_is_not_read(
    exchange: Deribit, deribit: CcxtVenue, path: str, alter: Callable[[Any], Any]
) -> None:
    exchange.core.hold("BTC-PERPETUAL", D(10_000), D(50_000))
    exchange.core.rest("web", "BTC-PERPETUAL", 1, D(10), D(49_000))
    exchange.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises(StaleData):
        await deribit.account()
