"""What Binance tells of an account beside what it holds: its key, its modes, its fees, its leverage tables, its collateral."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.ports import Environment
from keeper.venues import connection
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.dialects import DIALECTS
from keeper.venues.speech.base import Speech, Wire
from tests.fakes.binance_coinm import BinanceCoinm, coinm_core
from tests.fakes.binance_server import WALLET, BinanceServer, Fault
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.binance_usdm import BinanceUsdm, usual_core
from tests.fakes.exchange_core import MarginMode as Margin
from tests.fakes.loopback_venue import BTC, venue_at

D = Decimal
T = TypeVar("T")
COIN, SPOT = "BTC/USD:BTC", "BTC/USDT"
Question = Callable[[Speech, Wire], Awaitable[T]]


async def told(venue: CcxtVenue, question: Question[T]) -> T:
    """The answer of the venue's speech to a question."""
    speech = DIALECTS[venue.info.exchange].speech
    return await venue._asked(connection.Question(what="inspection"), lambda wire: question(speech, wire))


@pytest.fixture
async def usdm() -> AsyncIterator[BinanceUsdm]:
    async with BinanceUsdm(core=usual_core()) as server:
        yield server


def _servers() -> list[BinanceServer]:
    return [BinanceUsdm(core=usual_core()), BinanceCoinm(core=coinm_core()), BinanceSpot(core=spot_core())]


@pytest.mark.parametrize("kind", range(3), ids=["binanceusdm", "binancecoinm", "binance"])
async def test_a_live_key_is_told_by_the_wallet_and_a_demo_key_by_nobody(kind: int) -> None:
    async with _servers()[kind] as server:
        async with venue_at(server, Environment.LIVE) as venue:
            facts = await told(venue, lambda speech, wire: speech.key(wire))
            [asked] = server.seen("apiRestrictions")
            assert asked.host == WALLET
            assert facts == KeyFacts(may_trade=True, may_withdraw=False, ip_bound=True, expires_at=None)
        server.requests.clear()
        async with venue_at(server) as venue:
            assert await told(venue, lambda speech, wire: speech.key(wire)) == KeyFacts()
            assert not server.seen("apiRestrictions")
            assert WALLET not in {one.host for one in server.requests}


LEAVES = [("binanceusdm", "enableFutures"), ("binancecoinm", "enableFutures"), ("binance", "enableSpotAndMarginTrading")]


@pytest.mark.parametrize(("exchange", "leave"), LEAVES)
async def test_a_key_is_read_by_the_permission_of_its_own_market(exchange: str, leave: str) -> None:
    [server] = [one for one in _servers() if one.skin.exchange == exchange]
    ends = 1_900_000_000_000
    server.restrictions |= {"enableFutures": True, "enableSpotAndMarginTrading": True, leave: False}
    server.restrictions |= {"enableWithdrawals": True, "ipRestrict": False, "tradingAuthorityExpirationTime": ends}
    async with server, venue_at(server, Environment.LIVE) as venue:
        facts = await told(venue, lambda speech, wire: speech.key(wire))
    expires = datetime.fromtimestamp(ends / 1000, UTC)
    assert facts == KeyFacts(may_trade=False, may_withdraw=True, ip_bound=False, expires_at=expires)


@pytest.mark.parametrize("value", [None, "true", 1, "yes"])
async def test_a_permission_that_is_neither_yes_nor_no_is_stale_data(usdm: BinanceUsdm, value: object) -> None:
    usdm.restrictions["enableWithdrawals"] = value
    async with venue_at(usdm, Environment.LIVE) as venue:
        with pytest.raises(StaleData, match="enableWithdrawals"):
            await told(venue, lambda speech, wire: speech.key(wire))


@pytest.mark.parametrize("exchange", ["binanceusdm", "binancecoinm"])
async def test_modes_are_those_of_the_market_asked_for(exchange: str) -> None:
    [server] = [one for one in _servers() if one.skin.exchange == exchange]
    usdm = exchange == "binanceusdm"
    name, other, symbol = ("BTCUSDT", "ETHUSDT", BTC) if usdm else ("BTCUSD_PERP", "ETHUSD_PERP", COIN)
    async with server, venue_at(server) as venue:
        server.core.set_leverage(name, 7)
        assert await told(venue, lambda speech, wire: speech.modes(wire, symbol)) == Modes(
            hedged=False, margin=MarginMode.CROSS, leverage=D(7)
        )
        server.core.set_margin_mode(other, Margin.ISOLATED)
        server.core.set_hedged(hedged=True)
        modes = await told(venue, lambda speech, wire: speech.modes(wire, symbol))
        assert (modes.hedged, modes.margin) == (True, MarginMode.CROSS)
        server.core.set_margin_mode(name, Margin.ISOLATED)
        modes = await told(venue, lambda speech, wire: speech.modes(wire, symbol))
        assert modes.margin is MarginMode.ISOLATED


async def test_modes_of_another_market_alone_are_stale_data(usdm: BinanceUsdm) -> None:
    usdm.faults.append(Fault("symbolConfig", "alter", alter=lambda rows: [rows[0] | {"symbol": "ETHUSDT"}]))
    async with venue_at(usdm) as venue:
        with pytest.raises(StaleData, match="BTCUSDT"):
            await told(venue, lambda speech, wire: speech.modes(wire, BTC))


def _fees_of(symbol: str) -> Question[FeeRates | None]:
    return lambda speech, wire: speech.fees(wire, symbol)


async def test_fees_are_the_account_s_own_and_on_spot_every_kind_together() -> None:
    found = {}
    for server, symbol in zip(_servers(), (BTC, COIN, SPOT), strict=True):
        async with server, venue_at(server) as venue:
            found[server.skin.exchange] = await told(venue, _fees_of(symbol))
    assert found == {
        "binanceusdm": FeeRates(taker=D("0.0005"), maker=D("0.0002")),
        "binancecoinm": FeeRates(taker=D("0.0005"), maker=D("0.0002")),
        # 0.1 % + 0.01 % of a seller + 0.02 % + 0.0002 %, and 0.08 % + 0.01 % + 0.01 % + 0.0001 %
        "binance": FeeRates(taker=D("0.001302"), maker=D("0.001001")),
    }


@pytest.mark.parametrize(
    ("coefficient", "caps"), [(None, (50_000, 10_000_000)), ("0.5", (25_000, 5_000_000)), ("1.5", (50_000, 10_000_000))]
)
async def test_leverage_tables_are_in_quote_smallest_first_and_never_widened(
    usdm: BinanceUsdm, coefficient: str | None, caps: tuple[int, int]
) -> None:
    usdm.bracket_coefficient = coefficient
    async with venue_at(usdm) as venue:
        found = await told(venue, lambda speech, wire: speech.brackets(wire, BTC))
    assert found == (
        Bracket(up_to=D(caps[0]), max_leverage=D(125), maintenance=D("0.004")),
        Bracket(up_to=D(caps[1]), max_leverage=D(20), maintenance=D("0.025")),
    )


async def test_a_leverage_table_in_coins_is_told_at_the_mark() -> None:
    async with BinanceCoinm(core=coinm_core()) as server, venue_at(server) as venue:
        server.core.set_mid("BTCUSD_PERP", D(60_000))
        found = await told(venue, lambda speech, wire: speech.brackets(wire, COIN))
    assert [(one.up_to, one.max_leverage) for one in found] == [(D(300_000), D(125)), (D(15_000_000), D(20))]


@pytest.mark.parametrize("change", [{"notionalCap": None}, {"initialLeverage": 0}, {"maintMarginRatio": -0.1}, {"bracket": "x"}])
async def test_a_leverage_table_that_can_t_be_read_is_stale_data(usdm: BinanceUsdm, change: dict[str, Any]) -> None:
    def spoil(rows: Any) -> Any:
        first, *rest = rows[0]["brackets"]
        return [rows[0] | {"brackets": [first | change, *rest]}]

    usdm.faults.append(Fault("leverageBracket", "alter", alter=spoil))
    async with venue_at(usdm) as venue:
        with pytest.raises(StaleData):
            await told(venue, lambda speech, wire: speech.brackets(wire, BTC))


async def test_a_key_without_leave_to_read_is_refused_in_words(usdm: BinanceUsdm) -> None:
    async with venue_at(usdm, Environment.LIVE) as venue:
        usdm.barred = True
        with pytest.raises(VenueRefused, match="this machine's address"):
            await venue.key()
        usdm.api_key = "revoked"
        with pytest.raises(VenueRefused, match=r"unknown here.*environment = \"testnet\""):
            await venue.key()


async def test_with_all_assets_as_collateral_each_is_told_in_its_own_units_and_the_free_margin_in_dollars(
    usdm: BinanceUsdm,
) -> None:
    core = usdm.core
    core.wallet = {"USDT": D(-500), "BTC": D(1), "USDC": D(20_000)}
    core.usd = {"USDT": D("0.999"), "BTC": D(50_000), "USDC": D(1), "BNB": D(600)}
    core.hold("BTCUSDT", D(1), D(49_000))
    async with venue_at(usdm) as venue:
        account = await venue.account()
    assert account.balances == {"USDT": D(-500), "BTC": D(1), "USDC": D(20_000)}
    assert {asset: account.equities[asset] for asset in core.wallet} == {"USDT": D(500), "BTC": D(1), "USDC": D(20_000)}
    margin = D(50_000) / 20
    assert account.free_margin == ((D(500) - margin) * D("0.999") + D(50_000) + D(20_000)).quantize(D("1e-8"))


async def test_the_free_margin_of_usdt_says_nothing_of_an_account_that_holds_another_collateral(usdm: BinanceUsdm) -> None:
    async with venue_at(usdm) as venue:
        assert (await venue.account()).free_margin == D(100_000)
        usdm.core.wallet = {"USDT": D(0), "USDC": D(5_000)}
        assert (await venue.account()).free_margin is None
        usdm.core.wallet = {"USDT": D(0)}
        assert (await venue.account()).free_margin == 0
