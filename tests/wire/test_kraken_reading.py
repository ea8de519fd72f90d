"""Reads through the real kraken class: balances under their many names, a clock of whole seconds, and what is refused."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import FeeRates, KeyFacts
from keeper.domain.market import FeeAsset, Market, MarketKind
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue, ExaminedVenue
from keeper.venues.connection import Question
from keeper.venues.parsing import milliseconds
from tests.fakes.kraken import KrakenExchange, kraken_core
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import StillClock, venue_at

D = Decimal
BTC = "BTC/USD"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def kraken(clock: StillClock) -> AsyncIterator[KrakenExchange]:
    async with KrakenExchange(core=kraken_core(now=lambda: milliseconds(clock.now()))) as exchange:
        yield exchange


@pytest.fixture
async def venue(kraken: KrakenExchange, clock: StillClock) -> AsyncIterator[CcxtVenue]:
    async with venue_at(kraken, Environment.LIVE, clock=clock) as connected:
        kraken.requests.clear()
        yield connected


async def test_connecting_asks_for_the_markets_and_for_no_list_of_assets(kraken: KrakenExchange, clock: StillClock) -> None:
    async with venue_at(kraken, Environment.LIVE, clock=clock):
        pass
    assert [one.path for one in kraken.requests if one.path.startswith("/0/public/")] == [
        "/0/public/Time",
        "/0/public/Time",
        "/0/public/AssetPairs",
    ]


async def test_a_market_has_its_stated_tick_and_takes_its_fees_in_the_quote_currency(
    kraken: KrakenExchange, venue: CcxtVenue, clock: StillClock
) -> None:
    assert (await venue.markets([BTC]))[BTC] == Market(
        symbol=BTC,
        kind=MarketKind.SPOT,
        base="BTC",
        quote="USD",
        settle="USD",
        contract_size=D(1),
        tick=D("0.1"),
        lot=D("1e-8"),
        min_amount=D("0.00005"),
        min_cost=D("0.5"),
        taker=D("0.0026"),
        maker=D("0.0016"),
        fee_in=FeeAsset.SETTLE,
    )
    kraken.core.instruments["XXBTZUSD"].tick = D("0.5")
    async with venue_at(kraken, Environment.LIVE, clock=clock) as later:
        assert (await later.markets([BTC]))[BTC].tick == D("0.5")
    with pytest.raises(VenueRefused, match="not open"):
        await venue.markets(["DEAD/USD"])


@pytest.mark.parametrize("part", [0, 300, 600, 999])
async def test_a_clock_of_whole_seconds_is_known_to_half_of_one(kraken: KrakenExchange, clock: StillClock, part: int) -> None:
    clock.at = clock.at.replace(microsecond=part * 1000)
    async with venue_at(kraken, Environment.LIVE, clock=clock) as venue:
        assert venue._offset == timedelta(milliseconds=part - 500)
        assert await venue.time() == clock.at.replace(microsecond=0)
        contact = await venue.contact()
        assert (contact.offset, contact.vague) == (venue._offset, timedelta(milliseconds=500))
    kraken.skew = 1_000  # which may be none of it, or all of it
    async with venue_at(kraken, Environment.LIVE, clock=clock):
        pass
    kraken.skew = 2_000
    with pytest.raises(VenueRefused, match="synchronise"):
        async with venue_at(kraken, Environment.LIVE, clock=clock):
            pass


async def test_balances_that_earn_by_themselves_count_and_staked_ones_are_assets_of_their_own(
    kraken: KrakenExchange, venue: CcxtVenue
) -> None:
    kraken.earning = {"XBT.F": "0.25", "USD.F": "10.5", "ETH.S": "3", "XBT.M": "0.5", "USDT.B": "7", "SOL.F": "2", "ADA.S": "0.0"}
    assert (await venue.account()).balances == {
        "BTC": D("1.25"),
        "ETH": D(20),
        "USD": D("100010.5"),
        "ETH.S": D(3),
        "BTC.M": D("0.5"),
        "USDT.B": D(7),
        "SOL": D(2),
    }


async def test_a_quote_has_the_last_trade_where_it_is_fresh(venue: CcxtVenue) -> None:
    quote = await venue.quote(BTC)
    assert (quote.mark, quote.index, quote.last) == (D(50_000), None, D(50_000))
    assert (await venue.stats(BTC)).volume == D(250_000)


async def test_a_market_that_has_not_traded_of_late_has_no_last_price(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    kraken.core.lasts["XXBTZUSD"] = (D(49_000), kraken.now() - 60_000)
    assert (await venue.quote(BTC)).last is None


async def test_a_market_without_any_trade_has_no_quote(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    kraken.faults.append(Fault("Trades", "alter", alter=lambda _reply: {"error": [], "result": {"XXBTZUSD": [], "last": "0"}}))
    with pytest.raises(StaleData, match="no trade"):
        await venue.quote(BTC)


REFUSED: list[tuple[str, Callable[[KrakenExchange], None], str, str]] = [
    ("wrong secret", lambda kraken: setattr(kraken, "secret", "YW5vdGhlcg=="), "EAPI:Invalid signature", "secret"),
    ("wrong key", lambda kraken: setattr(kraken, "api_key", "another"), "EAPI:Invalid key", "API key"),
    ("no permission", lambda kraken: kraken.forbidden.add("OpenPositions"), "EGeneral:Permission denied", "permission"),
]


@pytest.mark.parametrize(("spoil", "code", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_an_account_that_keeper_can_t_work_with_is_refused_at_once_with_a_remedy(
    kraken: KrakenExchange, clock: StillClock, spoil: Callable[[KrakenExchange], None], code: str, words: str
) -> None:
    spoil(kraken)
    with pytest.raises(VenueRefused, match=words) as refused:
        async with venue_at(kraken, Environment.LIVE, clock=clock):
            pass
    assert refused.value.code == code
    assert len(kraken.seen("OpenPositions")) == 1


async def test_a_secret_that_can_t_sign_is_refused_before_anything_is_signed(kraken: KrakenExchange, clock: StillClock) -> None:
    with pytest.raises(VenueRefused, match="base64"):
        async with venue_at(kraken, Environment.LIVE, clock=clock, credentials={"secret": "halfofit0"}):
            pass
    async with venue_at(kraken, Environment.LIVE, clock=clock, credentials={"secret": "halfofit0"}, kind=ExaminedVenue) as venue:
        with pytest.raises(VenueRefused, match="base64"):
            await venue.open_orders()
    assert [one for one in kraken.requests if one.header("API-Sign")] == []


UNREADABLE: list[tuple[str, Callable[[Any], Any]]] = [
    ("Balance", lambda reply: reply | {"result": reply["result"] | {"XXBT": "NaN"}}),
    ("Balance", lambda reply: reply | {"result": []}),
    ("Balance", lambda _reply: {"result": {}}),
    ("OpenOrders", lambda reply: reply | {"result": {}}),
    ("OpenOrders", lambda reply: reply | {"result": {"open": {"OA-B-C": {"status": "pondering"}}}}),
]


@pytest.mark.parametrize(("path", "alter"), UNREADABLE)
async def test_an_account_that_can_t_be_read_whole_is_not_read_at_all(
    kraken: KrakenExchange, venue: CcxtVenue, path: str, alter: Callable[[Any], Any]
) -> None:
    kraken.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises(StaleData):
        await venue.account()


async def test_what_a_key_may_do_and_the_account_s_fees_are_told(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    speech, wire = venue._speech, venue._wire(Question(what="inspection"))
    assert await speech.key(wire) == KeyFacts(may_trade=True, may_withdraw=False, ip_bound=False)
    kraken.rights, kraken.until, kraken.addresses = ["query-funds", "withdraw-funds"], 1_800_000_000, ["127.0.0.1"]
    assert await speech.key(wire) == KeyFacts(
        may_trade=False, may_withdraw=True, ip_bound=True, expires_at=datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
    )
    kraken.core.fee_rate = D("0.0018")
    assert await speech.fees(wire, BTC) == FeeRates(taker=D("0.0018"), maker=D("0.0016"))
