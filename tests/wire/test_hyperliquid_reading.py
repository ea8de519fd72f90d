"""Reads through the real hyperliquid class: the account, its orders of the past, its key, and whom it belongs to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from math import log, sqrt
from typing import Any, TypeVar

import pytest

from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.connection import Question
from keeper.venues.dialects import DIALECTS
from keeper.venues.speech.base import Speech, Wire
from tests.fakes.exchange_core import MarginMode as Margin
from tests.fakes.hyperliquid import AGENT, Hyperliquid, about, hyperliquid_core
from tests.fakes.hyperliquid_signatures import address_of
from tests.fakes.loopback_venue import WALLET, venue_at

D = Decimal
T = TypeVar("T")
BTC, ETH = "BTC/USDC:USDC", "ETH/USDC:USDC"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OWN_KEY = "0x" + "11" * 32


@pytest.fixture
async def server() -> AsyncIterator[Hyperliquid]:
    async with Hyperliquid(core=hyperliquid_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(server: Hyperliquid) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server) as connected:
        server.requests.clear()
        yield connected


async def told(venue: CcxtVenue, question: Callable[[Speech, Wire], Awaitable[T]]) -> T:
    """The answer of the venue's speech to a question."""
    return await venue._asked(Question(what="inspection"), lambda wire: question(DIALECTS["hyperliquid"].speech, wire))


async def test_connecting_loads_one_list_of_markets_and_asks_for_roles(server: Hyperliquid) -> None:
    async with venue_at(server):
        asked = sorted(one.parameters["type"] for one in server.requests)
    assert asked == ["exchangeStatus"] * 2 + ["metaAndAssetCtxs", "userAbstraction", "userRole", "userRole"]


@pytest.mark.parametrize("symbol", ["DEAD/USDC:USDC", "BTC/USDC", "BTC/USDT:USDT"])
async def test_a_market_that_was_delisted_or_is_not_there_is_refused(venue: CcxtVenue, symbol: str) -> None:
    with pytest.raises(VenueRefused) as refusal:
        await venue.markets([symbol])
    assert refusal.value.code == ("inactive" if symbol.startswith("DEAD") else "symbol")


async def test_entry_and_mark_are_exact_where_the_exchange_rounds_them(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.core.hold("BTC", D("1.5"), D("48123.4567"))
    server.core.hold("ETH", D("-20.25"), D("2612.34567"))
    server.core.set_mid("BTC", D("50123.5"))
    server.core.liquidations["BTC"] = D("31000.5")
    account = await venue.account()
    assert account.balances == {"USDC": D(100_000)}
    long, short = account.positions[BTC], account.positions[ETH]
    assert abs(long.entry - D("48123.4567")) < D("1e-7") > abs(short.entry - D("2612.34567"))
    assert (long.contracts, long.mark, long.liquidation) == (D("1.5"), D("50123.5"), D("31000.5"))
    assert (short.contracts, short.mark, short.liquidation) == (D("-20.25"), D(2_500), None)
    markets = await venue.markets([BTC, ETH])
    profits = [markets[name].profit(held.contracts, held.entry, held.mark) for name, held in account.positions.items()]
    assert abs(account.balances["USDC"] + sum(profits) - account.equities["USDC"]) < D("1e-20")
    assert abs(account.equities["USDC"] - server.core.equity("USDC")) < D("1e-9")


async def test_an_account_that_holds_nothing_has_no_balances(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.core.wallet.clear()
    account = await venue.account()
    assert (account.balances, account.equities, account.positions) == ({}, {"USDC": D(0)}, {})


BAD_STATE: list[Callable[[Any], Any]] = [
    lambda reply: reply | {"marginSummary": {"accountValue": "NaN"}},
    lambda reply: reply | {"crossMarginSummary": None},
    lambda reply: reply | {"assetPositions": {}},
    lambda reply: reply | {"assetPositions": [{"type": "oneWay", "position": _held(szi="x")}]},
    lambda reply: reply | {"assetPositions": [{"type": "oneWay", "position": _held(positionValue="0.0")}]},
    lambda reply: reply | {"assetPositions": [{"type": "oneWay", "position": _held(unrealizedPnl=None)}]},
    lambda reply: reply | {"assetPositions": [{"type": "oneWay", "position": _held(coin=7)}]},
    lambda _reply: {},
    lambda _reply: [],
]


def _held(**changes: Any) -> dict[str, Any]:
    return {"coin": "BTC", "szi": "1.0", "positionValue": "5.0", "unrealizedPnl": "1.0", "liquidationPx": None} | changes


@pytest.mark.parametrize("alter", BAD_STATE)
async def test_an_account_that_can_t_be_read_is_stale_data(
    server: Hyperliquid, venue: CcxtVenue, alter: Callable[[Any], Any]
) -> None:
    server.faults.append(about("clearinghouseState", alter))
    with pytest.raises(StaleData):
        await venue.account()


async def test_a_market_with_two_positions_is_refused(server: Hyperliquid, venue: CcxtVenue) -> None:
    twice = [{"type": "oneWay", "position": _held()}] * 2
    server.faults.append(about("clearinghouseState", lambda reply: reply | {"assetPositions": twice}))
    with pytest.raises(VenueRefused, match="hedge"):
        await venue.account()
    server.faults[0].alter = lambda reply: reply | {"assetPositions": [{"type": "twoWay", "position": _held()}]}
    with pytest.raises(VenueRefused, match="hedge"):
        await venue.account()


BAD_QUOTES: list[tuple[str, Callable[[Any], Any]]] = [
    ("metaAndAssetCtxs", lambda reply: [reply[0], reply[1][:-1]]),
    ("metaAndAssetCtxs", lambda reply: [{"universe": [one | {"name": "BTC"} for one in reply[0]["universe"]]}, reply[1]]),
    ("metaAndAssetCtxs", lambda _reply: [{"universe": []}, []]),
    ("metaAndAssetCtxs", lambda reply: [reply[0], [one | {"markPx": None} for one in reply[1]]]),
    ("metaAndAssetCtxs", lambda reply: [reply[0], [one | {"oraclePx": "0.0"} for one in reply[1]]]),
    ("metaAndAssetCtxs", lambda reply: reply[:1]),
    ("l2Book", lambda reply: reply | {"coin": "ETH"}),
    ("l2Book", lambda reply: reply | {"levels": reply["levels"][::-1]}),
    ("l2Book", lambda reply: reply | {"levels": reply["levels"][:1]}),
    ("l2Book", lambda reply: reply | {"time": reply["time"] - 20_000}),
    ("recentTrades", lambda _reply: []),
    ("recentTrades", lambda reply: [one | {"coin": "ETH"} for one in reply]),
]


@pytest.mark.parametrize(("kind", "alter"), BAD_QUOTES)
async def test_a_quote_that_can_t_be_read_is_stale_data(
    server: Hyperliquid, venue: CcxtVenue, kind: str, alter: Callable[[Any], Any]
) -> None:
    server.faults.append(about(kind, alter))
    with pytest.raises(StaleData):
        await venue.quote(BTC)


async def test_a_quote_has_the_mark_the_oracle_and_the_latest_trade(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.core.marks["BTC"], server.core.indexes["BTC"] = D("50001.5"), D("49990.5")
    server.core.lasts["BTC"] = (D(50_002), server.now())
    quote = await venue.quote(BTC)
    assert (quote.mark, quote.index, quote.last) == (D("50001.5"), D("49990.5"), D(50_002))
    assert len(quote.book.asks) == len(quote.book.bids) == 20


async def test_a_day_is_told_by_the_hours_that_began_in_it(server: Hyperliquid, venue: CcxtVenue) -> None:
    stats = await venue.stats(BTC)
    assert stats.volume == D("100.5") * 24
    # the hour before is left out, though it moved most, and the present one moved as much
    assert abs(float(stats.volatility) - log(1.02 / 0.98) / sqrt(4 * log(2))) < 1e-9
    server.faults.append(about("candleSnapshot", lambda reply: [one | {"s": "ETH"} for one in reply]))
    with pytest.raises(StaleData):
        await venue.stats(BTC)


ROLES = [
    ({"role": "missing"}, "missing", "deposit"),
    ({"role": "agent", "data": {"user": "0x" + "c" * 40}}, "agent", "API wallet"),
    ({"role": "vault"}, "vault", "vault"),
    ({"role": "subAccount", "data": {"master": "0x" + "c" * 40}}, "subAccount", "sub-account"),
]


@pytest.mark.parametrize(("role", "code", "words"), ROLES)
async def test_an_address_that_is_no_account_of_a_user_is_refused_in_words(
    server: Hyperliquid, role: dict[str, Any], code: str, words: str
) -> None:
    server.roles[WALLET] = role
    with pytest.raises(VenueRefused, match=words) as refusal:
        async with venue_at(server):
            pass
    assert refusal.value.code == code


async def test_a_role_that_nobody_heard_of_is_stale_data(server: Hyperliquid) -> None:
    server.roles[WALLET] = {"role": "emperor"}
    with pytest.raises(StaleData, match="emperor"):
        async with venue_at(server):
            pass


@pytest.mark.parametrize("role", [{"role": "user"}, {"role": "missing"}, {"role": "agent", "data": {"user": "0x" + "c" * 40}}])
async def test_a_wallet_that_signs_for_somebody_else_is_refused(server: Hyperliquid, role: dict[str, Any]) -> None:
    server.agents.clear()
    server.roles[AGENT] = role
    with pytest.raises(VenueRefused, match="approve it as an API wallet") as refusal:
        async with venue_at(server):
            pass
    assert refusal.value.code == "signer"


@pytest.mark.parametrize("key", ["22" * 32 + "0", "zz" * 32, "0x1234"])
async def test_a_private_key_of_another_form_is_refused_without_being_shown(server: Hyperliquid, key: str) -> None:
    with pytest.raises(VenueRefused, match="64 hexadecimal digits") as refusal:
        async with venue_at(server, credentials={"private_key": key}):
            pass
    assert key not in refusal.value.message


async def test_an_address_may_be_written_with_capitals(server: Hyperliquid) -> None:
    server.user = address_of(OWN_KEY)
    mixed = "0x" + server.user[2:].upper()
    async with venue_at(server, credentials={"wallet_address": mixed, "private_key": OWN_KEY}) as venue:
        assert (await venue.account()).balances == {"USDC": D(100_000)}


@pytest.mark.parametrize("mode", ["default", "disabled", "dexAbstraction"])
async def test_an_account_whose_margin_is_its_own_is_taken(server: Hyperliquid, mode: str) -> None:
    server.mode = mode
    async with venue_at(server):
        pass


@pytest.mark.parametrize("mode", ["unifiedAccount", "portfolioMargin"])
async def test_an_account_whose_margin_lies_among_spot_balances_is_unfit(server: Hyperliquid, mode: str) -> None:
    server.mode = mode
    async with venue_at(server) as venue:
        assert venue.unfit is not None
        assert venue.unfit.code == "account_mode"
        assert "unified account or portfolio margin" in venue.unfit.message


async def test_a_mode_that_nobody_heard_of_is_stale_data(server: Hyperliquid) -> None:
    server.mode = "brandNew"
    with pytest.raises(StaleData, match="brandNew"):
        async with venue_at(server):
            pass


async def test_an_api_wallet_can_not_withdraw_and_ends(server: Hyperliquid, venue: CcxtVenue) -> None:
    ends = datetime.fromtimestamp(1_900_000_000, UTC)
    assert await told(venue, lambda speech, wire: speech.key(wire)) == KeyFacts(
        may_trade=True, may_withdraw=False, ip_bound=False, expires_at=ends
    )
    server.agents.clear()
    assert await told(venue, lambda speech, wire: speech.key(wire)) == KeyFacts(
        may_trade=False, may_withdraw=False, ip_bound=False
    )


async def test_the_account_s_own_key_can_do_everything(server: Hyperliquid) -> None:
    server.user = address_of(OWN_KEY)
    async with venue_at(server, credentials={"wallet_address": server.user, "private_key": OWN_KEY}) as venue:
        assert await told(venue, lambda speech, wire: speech.key(wire)) == KeyFacts(
            may_trade=True, may_withdraw=True, ip_bound=False
        )


async def test_modes_fees_and_leverage_tables_are_the_account_s_own(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.core.set_leverage("BTC", 7)
    server.core.set_margin_mode("BTC", Margin.ISOLATED)
    assert await told(venue, lambda speech, wire: speech.modes(wire, BTC)) == Modes(
        hedged=False, margin=MarginMode.ISOLATED, leverage=D(7)
    )
    assert await told(venue, lambda speech, wire: speech.fees(wire, BTC)) == FeeRates(taker=D("0.00045"), maker=D("-0.00001"))
    assert await told(venue, lambda speech, wire: speech.brackets(wire, BTC)) == (
        Bracket(up_to=D(150_000_000), max_leverage=D(40), maintenance=D("0.0125")),
        Bracket(up_to=None, max_leverage=D(20), maintenance=D("0.025")),
    )
    assert await told(venue, lambda speech, wire: speech.brackets(wire, ETH)) == (
        Bracket(up_to=None, max_leverage=D(40), maintenance=D("0.0125")),
    )
