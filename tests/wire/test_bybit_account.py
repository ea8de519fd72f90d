"""What Bybit tells of an account beside what it holds: whether Keeper can work with it, its keys, modes, fees and risk limits."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.account import value
from keeper.domain.errors import StaleData, VenueRefused, VenueUnavailable
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.ports import Environment
from keeper.venues.connection import Question
from keeper.venues.dialects import BYBIT
from tests.fakes.bybit import Bybit
from tests.fakes.bybit_desk import INVERSE, LINEAR, SPOT, World, connected, rows, unified
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import venue_at

D = Decimal
SPEECH = BYBIT.speech


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with connected() as both:
        yield both


def _set(**changes: Any) -> Callable[[Bybit], None]:
    def change(server: Bybit) -> None:
        for name, changed in changes.items():
            setattr(server, name, changed)

    return change


def _hedged(server: Bybit) -> None:
    server.core.hedged = True


READS_ONLY = {"readOnly": 1}
NO_TRADING = {"permissions": {"Wallet": ["AccountTransfer"], "Spot": [], "ContractTrade": ["Position"]}}
REFUSED: list[tuple[str, Callable[[Bybit], None], str, str]] = [
    ("classic account", _set(status=1), "classic_account", "upgrade it to a unified"),
    ("old unified account", _set(status=3), "old_account", "version 2"),
    ("old unified account, pro", _set(status=4), "old_account", "version 2"),
    ("key that only reads", _set(key=READS_ONLY), "key_reads_only", "may not trade"),
    ("key without trading", _set(key=NO_TRADING), "key_reads_only", "may not trade"),
    ("hedge mode", _hedged, "hedge_mode", "one-way"),
    ("unknown key, or of another environment", _set(api_key="another"), "10003", "live or demo trading"),
    ("wrong secret", _set(secret="another"), "10004", "secret belongs to the API key"),
    ("no permission", _set(denied=10005), "10005", "lacks a permission"),
    ("another address", _set(denied=10010), "10010", "bound to other addresses"),
    ("expired key", _set(denied=33004), "33004", "expired"),
]


@pytest.mark.parametrize(("spoil", "code", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_an_account_that_keeper_can_t_work_with_is_refused_on_connecting(
    spoil: Callable[[Bybit], None], code: str, words: str
) -> None:
    async with unified() as server:
        spoil(server)
        with pytest.raises(VenueRefused, match=words) as refusal:
            async with venue_at(server):
                pass
        assert refusal.value.code == code
        assert not server.seen("order/create")


@pytest.mark.parametrize("status", [5, 6])
async def test_an_account_of_version_2_is_taken(status: int) -> None:
    server = unified()
    server.status = status
    async with connected(server) as (_, venue):
        assert (await venue.account()).balances == {"USDT": D(100_000)}


@pytest.mark.parametrize("status", [0, 2, "6", None, True])
async def test_an_account_of_an_unknown_kind_is_not_taken(status: Any) -> None:
    async with unified() as server:
        server.status = status
        with pytest.raises(StaleData, match="unifiedMarginStatus"):
            async with venue_at(server):
                pass


@pytest.mark.parametrize("environment", [Environment.TESTNET, Environment.LIVE])
async def test_where_demo_trading_does_not_tell_of_the_key_the_account_is_taken_without(environment: Environment) -> None:
    async with unified() as server:
        server.faults.append(Fault("user/query-api", "alter", alter=lambda _answer: {"retCode": 10032, "retMsg": "no"}))
        async with venue_at(server, environment) as venue:
            assert await SPEECH.key(venue._wire(Question(what="key"))) == KeyFacts()


async def test_a_position_in_hedge_mode_is_refused_although_another_market_is_not(world: World) -> None:
    server, venue = world
    server.core.hold("ETHUSDT", D(-2), D(2_500))
    server.faults.append(Fault("position/list", "alter", alter=rows(positionIdx=2)))
    with pytest.raises(VenueRefused, match="one-way"):
        await venue.account()


@pytest.mark.parametrize(("symbol", "currency"), [(LINEAR, "USDT"), (INVERSE, "USD"), (SPOT, "USDT")])
async def test_what_keeper_reckons_the_account_is_worth_is_the_exchange_s_own_equity(
    world: World, symbol: str, currency: str
) -> None:
    server, venue = world
    core = server.core
    core.wallet |= {"USDT": D(0 if symbol == INVERSE else 100_000), "BTC": D(2)}
    core.set_mid("BTCUSDT", D(52_500))
    core.set_mid("BTCUSD", D(52_500))
    assert server.spot is not None
    server.spot.set_mid("BTCUSDT", D(52_500))
    if symbol != SPOT:
        core.hold("BTCUSD" if symbol == INVERSE else "BTCUSDT", D(-30_000) if symbol == INVERSE else D(3), D(50_000))
    server.borrowed = {"BTC": D("0.5")}
    account, quote = await venue.account(), await venue.quote(symbol)
    told = value(account, (await venue.markets([symbol])).values(), {symbol: quote.mark}, currency)
    assert abs(told.nav - core.equity_usd({"USDT": D(1), "BTC": D(52_500)})) < D("0.001")
    own = sum(amount * {"USDT": D(1), "BTC": D(52_500)}[asset] for asset, amount in account.equities.items())
    assert abs(told.nav - own) < D("0.001")


KEYS: list[tuple[str, dict[str, Any], KeyFacts]] = [
    (
        "trades from anywhere, expires",
        {},
        KeyFacts(may_trade=True, may_withdraw=False, ip_bound=False, expires_at=datetime(2027, 5, 15, 3, 21, 5, tzinfo=UTC)),
    ),
    (
        "bound to addresses, so does not expire",
        {"ips": ["192.0.2.7"], "expiredAt": "1970-01-01T00:00:00Z"},
        KeyFacts(may_trade=True, may_withdraw=False, ip_bound=True),
    ),
    (
        "may withdraw",
        {"permissions": {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer", "Withdraw"]}, "expiredAt": ""},
        KeyFacts(may_trade=True, may_withdraw=True, ip_bound=False),
    ),
    (
        "reads only",
        {"readOnly": 1, "permissions": {"Spot": ["SpotTrade"], "Wallet": ["Withdraw"]}, "ips": [], "expiredAt": ""},
        KeyFacts(may_trade=False, may_withdraw=False, ip_bound=False),
    ),
]


@pytest.mark.parametrize(("told", "facts"), [row[1:] for row in KEYS], ids=[row[0] for row in KEYS])
async def test_a_key_is_told_as_it_is(world: World, told: dict[str, Any], facts: KeyFacts) -> None:
    server, venue = world
    server.key = told
    assert await SPEECH.key(venue._wire(Question(what="key"))) == facts


@pytest.mark.parametrize("told", [{"readOnly": "0"}, {"permissions": None}, {"ips": "*"}, {"expiredAt": "soon"}], ids=str)
async def test_a_key_that_can_t_be_read_is_stale(world: World, told: dict[str, Any]) -> None:
    server, venue = world
    server.key = told
    with pytest.raises(StaleData):
        await SPEECH.key(venue._wire(Question(what="key")))


@pytest.mark.parametrize(
    ("told", "margin"),
    [
        ("REGULAR_MARGIN", MarginMode.CROSS),
        ("PORTFOLIO_MARGIN", MarginMode.CROSS),
        ("ISOLATED_MARGIN", MarginMode.ISOLATED),
    ],
)
@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
async def test_modes_are_the_account_s_margin_and_the_market_s_leverage(
    world: World, symbol: str, told: str, margin: MarginMode
) -> None:
    server, venue = world
    server.margin_mode = told
    server.core.set_leverage("BTCUSDT" if symbol == LINEAR else "BTCUSD", 7)
    assert await SPEECH.modes(venue._wire(Question(what="modes")), symbol) == Modes(hedged=False, margin=margin, leverage=D(7))


async def test_modes_tell_hedge_mode_without_a_position(world: World) -> None:
    server, venue = world
    server.core.hedged = True
    assert (await SPEECH.modes(venue._wire(Question(what="modes")), LINEAR)).hedged is True


async def test_on_spot_there_are_no_modes_and_no_brackets(world: World) -> None:
    server, venue = world
    wire = venue._wire(Question(what="spot"))
    assert (await SPEECH.modes(wire, SPOT), await SPEECH.brackets(wire, SPOT)) == (Modes(), ())
    assert not server.requests


@pytest.mark.parametrize(("symbol", "taker"), [(LINEAR, "0.0005"), (INVERSE, "0.0005"), (SPOT, "0.001")])
async def test_fees_are_the_account_s_own(world: World, symbol: str, taker: str) -> None:
    _, venue = world
    assert await SPEECH.fees(venue._wire(Question(what="fees")), symbol) == FeeRates(taker=D(taker), maker=D("0.0002"))


async def test_a_rebate_is_a_negative_fee_and_what_demo_trading_does_not_tell_is_none(world: World) -> None:
    server, venue = world
    server.faults.append(Fault("account/fee-rate", "alter", times=1, alter=rows(makerFeeRate="-0.0001")))
    told = await SPEECH.fees(venue._wire(Question(what="fees")), LINEAR)
    assert told is not None
    assert told.maker == D("-0.0001")
    server.faults.append(Fault("account/fee-rate", "alter", alter=lambda _answer: {"retCode": 10032, "retMsg": "no"}))
    assert await SPEECH.fees(venue._wire(Question(what="fees")), LINEAR) is None


@pytest.mark.parametrize(("symbol", "first", "second"), [(LINEAR, 2_000_000, 4_000_000), (INVERSE, 150 * 50_000, 300 * 50_000)])
async def test_brackets_are_in_the_quote_and_fractions_whether_told_so_or_in_percent(
    world: World, symbol: str, first: int, second: int
) -> None:
    server, venue = world
    server.faults.append(
        Fault("risk-limit", "alter", alter=lambda answer: answer | {"result": {"list": answer["result"]["list"][::-1]}})
    )
    assert await SPEECH.brackets(venue._wire(Question(what="brackets")), symbol) == (
        Bracket(up_to=D(first), max_leverage=D(100), maintenance=D("0.005")),
        Bracket(up_to=D(second), max_leverage=D(50), maintenance=D("0.01")),
    )


@pytest.mark.parametrize("path", ["wallet-balance", "position/list", "order/realtime"])
@pytest.mark.parametrize("kind", ["html", "empty_object", "503", "half_json", "10016", "10006"])
async def test_a_read_without_an_answer_is_no_account(world: World, path: str, kind: str) -> None:
    server, venue = world
    server.faults.append(Fault(path, kind))
    with pytest.raises((VenueUnavailable, StaleData)):
        await venue.account()


async def test_what_the_exchange_refuses_is_not_asked_again(world: World) -> None:
    server, venue = world
    server.denied = 10010
    with pytest.raises(VenueRefused, match="addresses"):
        await venue.lookup(LINEAR, "x")
    assert len(server.requests) == 1
