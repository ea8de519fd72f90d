"""Markets, quotes and orders of the past through the real okx class: told whole, page by page, or refused."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import StaleData, VenueError, VenueRefused, VenueUnavailable
from keeper.domain.market import FeeAsset, Market, MarketKind, Side
from keeper.domain.order import ChildState
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import BTC, CLIENT_ID, ETH, ShiftedClock, order, venue_at
from tests.fakes.okx import HOUR, OkxServer, okx_core, okx_spot_core

D = Decimal
DAY = 24 * HOUR
SWAP = "BTC-USDT-SWAP"
INVERSE = "BTC/USD:BTC"


@pytest.fixture
async def server() -> AsyncIterator[OkxServer]:
    async with OkxServer(core=okx_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(server: OkxServer) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server) as connected:
        server.requests.clear()
        yield connected


def at(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


async def test_a_market_is_counted_in_contracts_of_its_value_times_its_multiplier(server: OkxServer) -> None:
    def doubled(reply: Any) -> Any:
        return reply | {"data": [row | {"ctMult": "2"} if row["instType"] == "SWAP" else row for row in reply["data"]]}

    server.faults.append(Fault("instruments", "alter", alter=doubled))
    async with venue_at(server) as venue:
        markets = await venue.markets([BTC, INVERSE])
    assert markets[BTC] == Market(
        symbol=BTC,
        kind=MarketKind.LINEAR,
        base="BTC",
        quote="USDT",
        settle="USDT",
        contract_size=D("0.02"),
        tick=D("0.1"),
        lot=D("0.01"),
        min_amount=D("0.01"),
        taker=D("0.0005"),
        maker=D("0.0002"),
        fee_in=FeeAsset.RECEIVED,
    )
    assert (markets[INVERSE].kind, markets[INVERSE].contract_size) == (MarketKind.INVERSE, D(200))
    assert [markets[BTC].fee_asset(side) for side in Side] == ["USDT", "USDT"]


async def test_a_contract_that_counts_something_else_is_refused(server: OkxServer) -> None:
    def in_quote(reply: Any) -> Any:
        return reply | {"data": [row | {"ctValCcy": "USDT"} for row in reply["data"]]}

    server.faults.append(Fault("instruments", "alter", alter=in_quote))
    async with venue_at(server) as venue:
        with pytest.raises(VenueRefused, match="counted in USDT"):
            await venue.markets([BTC])


@pytest.mark.parametrize(("symbol", "words"), [("DEAD/USDT:USDT", "not open"), ("BTC/EUR:EUR", "no market")])
async def test_a_market_that_can_t_be_traded_is_refused(venue: CcxtVenue, symbol: str, words: str) -> None:
    with pytest.raises(VenueRefused, match=words):
        await venue.markets([symbol])


async def test_a_quote_has_the_venue_s_own_mark_index_and_last_trade(server: OkxServer, venue: CcxtVenue) -> None:
    server.core.marks[SWAP], server.core.indexes[SWAP] = D("50003.7"), D("49998.25")
    server.core.lasts[SWAP] = (D("50001.1"), server.now() - 2_000)
    quote = await venue.quote(BTC)
    assert (quote.mark, quote.index, quote.last) == (D("50003.7"), D("49998.25"), D("50001.1"))
    server.core.lasts[SWAP] = (D("47000.1"), server.now() - 60_000)
    assert (await venue.quote(BTC)).last is None


async def test_a_mark_is_as_old_as_its_index(server: OkxServer, venue: CcxtVenue) -> None:
    old = str(server.now() - 60_000)
    server.faults.append(Fault("index-tickers", "alter", alter=lambda reply: {**reply, "data": [reply["data"][0] | {"ts": old}]}))
    with pytest.raises(StaleData, match="mark of BTC"):
        await venue.quote(BTC)


async def test_a_day_s_volume_is_in_coins_on_every_kind_of_market(venue: CcxtVenue) -> None:
    assert [(await venue.stats(symbol)).volume for symbol in (BTC, INVERSE)] == [D(250_000)] * 2
    async with OkxServer(core=okx_spot_core(), level="1") as spot, venue_at(spot) as other:
        assert (await other.stats("BTC/USDT")).volume == D(250_000)
        assert (await other.quote("BTC/USDT")).index is None


@pytest.mark.parametrize("path", ["books", "mark-price", "index-tickers", "trades"])
async def test_public_data_of_another_market_is_not_taken_for_it(server: OkxServer, venue: CcxtVenue, path: str) -> None:
    def doubled(reply: Any) -> Any:
        return reply | {"data": reply["data"] * 2}

    def another(reply: Any) -> Any:
        return reply | {"data": [reply["data"][0] | {"instId": "ETH-USDT-SWAP"}]}

    for alter in (doubled, another) if path != "books" else (doubled,):
        server.faults[:] = [Fault(path, "alter", alter=alter)]
        with pytest.raises(StaleData):
            await venue.quote(BTC)


async def test_every_page_of_what_rests_is_read(server: OkxServer, venue: CcxtVenue) -> None:
    for number in range(230):
        server.core.rest(f"web{number}", SWAP, 1, D("0.5"), D(40_000))
    account = await venue.account()
    assert [one.client_id for one in account.open_orders] == [f"web{number}" for number in range(230)]
    assert len(server.seen("orders-pending")) == 3


async def test_every_page_of_the_past_is_read_and_each_order_is_told_once(server: OkxServer, venue: CcxtVenue) -> None:
    now = server.now()
    for number in range(150):
        server.core.trade_outside(SWAP, 1, D("0.5"), D(50_000), client_id=f"web{number}", at=now - 3 * HOUR + number)
        server.core.rest(f"rests{number}", SWAP, -1, D("0.5"), D(60_000), at=now - HOUR + number)
    told = await venue.orders(BTC, at(now - 4 * HOUR))
    assert [one.client_id for one in told] == [*(f"web{n}" for n in range(150)), *(f"rests{n}" for n in range(150))]
    assert [one.state for one in told] == [ChildState.FILLED] * 150 + [ChildState.LIVE] * 150
    assert [one.client_id for one in await venue.orders(BTC, at(now - 3 * HOUR + 149))][:1] == ["web149"]
    assert await venue.orders(ETH, at(now - 4 * HOUR)) == ()


async def test_an_order_that_ends_while_it_is_read_does_not_slip_through(server: OkxServer, venue: CcxtVenue) -> None:
    resting = server.core.rest(CLIENT_ID, SWAP, 1, D("0.5"), D(50_000))

    def ends(reply: Any) -> Any:
        server.core.book(resting, D("0.5"), D(50_000))
        return reply

    server.faults.append(Fault("orders-pending", "alter", alter=ends, times=1))
    (one,) = await venue.orders(BTC, at(server.now() - HOUR))
    assert (one.state, one.filled) == (ChildState.FILLED, D("0.5"))


async def test_what_is_older_than_a_week_is_asked_of_the_archive(server: OkxServer, venue: CcxtVenue) -> None:
    now = server.now()
    server.core.trade_outside(SWAP, -1, D("0.5"), D(50_000), client_id="webold", at=now - 20 * DAY)
    assert [one.client_id for one in await venue.orders(BTC, at(now - 30 * DAY))] == ["webold"]
    assert server.seen("orders-history-archive")
    assert not server.seen("orders-history")


async def test_a_page_that_comes_again_is_not_taken_for_the_end(server: OkxServer, venue: CcxtVenue) -> None:
    for number in range(120):
        server.core.rest(f"web{number}", SWAP, 1, D("0.5"), D(40_000))
    first: list[Any] = []

    def stuck(reply: Any) -> Any:
        first.append(reply)
        return first[0]

    server.faults.append(Fault("orders-pending", "alter", alter=stuck))
    with pytest.raises(StaleData, match="circle"):
        await venue.account()


async def test_every_trade_of_an_order_is_read_page_by_page(server: OkxServer, venue: CcxtVenue) -> None:
    big = server.core.rest(CLIENT_ID, SWAP, 1, D(250), D(50_000))
    for _ in range(250):
        server.core.book(big, D(1), D(50_000))
    server.core.trade_outside(SWAP, 1, D(1), D(50_000))
    fills = await venue.fills(BTC, str(big.id))
    assert [fill.trade_id for fill in fills] == [str(501 + number) for number in range(250)]
    assert len(server.seen("trade/fills")) == 3


async def test_trades_of_last_week_are_asked_of_their_history(server: OkxServer, venue: CcxtVenue) -> None:
    outcome_id = str(server.core.trade_outside(SWAP, 1, D(1), D(50_000), at=server.now() - 6 * DAY).id)
    server.core.trades[-1].at -= 6 * DAY
    (fill,) = await venue.fills(BTC, outcome_id)
    assert fill.amount == D(1)
    assert server.seen("fills-history")


async def test_a_rebate_is_a_negative_fee(server: OkxServer, venue: CcxtVenue) -> None:
    server.core.fee_rate = D("-0.0001")
    made = server.core.trade_outside(SWAP, 1, D(100), D(50_000))
    (fill,) = await venue.fills(BTC, str(made.id))
    assert (fill.fee, fill.fee_asset) == (D("-5"), "USDT")


@pytest.mark.parametrize(
    "changes", [{"fee": ""}, {"ordId": "77"}, {"instId": "ETH-USDT-SWAP"}, {"fillSz": "0"}, {"side": "hold"}]
)
async def test_a_trade_that_can_t_be_read_is_not_left_out(server: OkxServer, venue: CcxtVenue, changes: dict[str, str]) -> None:
    made = server.core.trade_outside(SWAP, 1, D(100), D(50_000))
    server.faults.append(Fault("fills", "alter", alter=lambda reply: reply | {"data": [row | changes for row in reply["data"]]}))
    with pytest.raises(VenueUnavailable):
        await venue.fills(BTC, str(made.id))


async def test_a_spot_purchase_counted_in_dollars_has_no_amount_but_what_it_bought() -> None:
    def by_the_dollar(reply: Any) -> Any:
        return reply | {"data": [row | {"ordType": "market", "px": "", "sz": "5000", "tgtCcy": ""} for row in reply["data"]]}

    async with OkxServer(core=okx_spot_core(), level="1") as spot, venue_at(spot) as venue:
        spot.core.trade_outside("BTC-USDT", 1, D("0.1"), D(50_000))
        spot.faults.append(Fault("orders-history", "alter", alter=by_the_dollar))
        (one,) = await venue.orders("BTC/USDT", at(spot.now() - HOUR))
    assert (one.amount, one.filled, one.average, one.state) == (D(0), D("0.1"), D(50_000), ChildState.FILLED)


WRONG = [
    {"state": "pondering"},
    {"state": "filled", "accFillSz": "0.2"},
    {"state": "live", "accFillSz": "0.2"},
    {"state": "partially_filled", "accFillSz": "0"},
    {"accFillSz": "9"},
    {"avgPx": ""},
    {"avgPx": "49000000"},
    {"sz": "-1"},
    {"side": "long"},
    {"category": "unheard_of"},
    {"instId": "ETH-USDT-SWAP"},
    {"clOrdId": "kprother"},
    {"cTime": "yesterday"},
]


@pytest.mark.parametrize("changes", WRONG, ids=str)
async def test_an_order_that_contradicts_itself_is_not_believed(
    server: OkxServer, venue: CcxtVenue, changes: dict[str, str]
) -> None:
    await venue.place(order(amount=D("1.5")))
    server.faults.append(Fault("trade/order", "alter", method="GET", alter=lambda reply: _spoiled(reply, changes)))
    with pytest.raises(VenueError):
        await venue.lookup(BTC, CLIENT_ID)


def _spoiled(reply: Any, changes: dict[str, str]) -> Any:
    return reply | {"data": [row | changes for row in reply["data"]]}


@pytest.mark.parametrize("code", ["51400", "51401", "51402", "51410"])
async def test_a_cancel_is_done_when_nothing_rests(server: OkxServer, venue: CcxtVenue, code: str) -> None:
    row = {"clOrdId": CLIENT_ID, "ordId": "", "sCode": code, "sMsg": "gone"}
    said = {"code": "1", "data": [row], "msg": "All operations failed"}
    server.faults.append(Fault("cancel-order", "alter", alter=lambda _reply: said))
    await venue.cancel(BTC, CLIENT_ID)


@pytest.mark.parametrize("code", ["50013", "51412", "51001", "50004"])
async def test_a_cancel_that_was_not_done_says_so_and_is_asked_once(server: OkxServer, venue: CcxtVenue, code: str) -> None:
    said = {"code": "1", "data": [{"clOrdId": CLIENT_ID, "ordId": "", "sCode": code, "sMsg": "no"}], "msg": "failed"}
    server.faults.append(Fault("cancel-order", "alter", alter=lambda _reply: said))
    with pytest.raises(VenueError):
        await venue.cancel(BTC, CLIENT_ID)
    assert len(server.seen("cancel-order")) == 1


async def test_the_dead_man_s_switch_leaves_orders_alone_that_are_not_keeper_s(server: OkxServer) -> None:
    clock = ShiftedClock()
    server.core.now = lambda: int(clock.now().timestamp() * 1000)
    async with venue_at(server, clock=clock) as venue:
        ours, theirs = (server.core.rest(name, SWAP, 1, D(1), D(40_000)) for name in (CLIENT_ID, "web1"))
        server.core.spared.add(theirs.id)
        assert await venue.dead_man([BTC], timedelta(seconds=10.2))
        assert server.seen("cancel-all-after")[0].parameters == {"timeOut": "11", "tag": "keeper"}
        clock.shift += timedelta(seconds=12)
        assert [one.client_id for one in (await venue.account()).open_orders] == ["web1"]
        assert not ours.status.rests


@pytest.mark.parametrize("seconds", [0.5, 9, 121])
async def test_a_switch_that_the_venue_does_not_take_is_refused_in_words(venue: CcxtVenue, seconds: float) -> None:
    with pytest.raises(VenueRefused, match="10 to 120 seconds"):
        await venue.dead_man([BTC], timedelta(seconds=seconds))


async def test_a_switch_that_was_not_set_is_not_believed(server: OkxServer, venue: CcxtVenue) -> None:
    row = {"triggerTime": "0", "tag": "keeper", "ts": "1"}
    server.faults.append(Fault("cancel-all-after", "alter", alter=lambda reply: reply | {"data": [row]}))
    with pytest.raises(VenueUnavailable, match="another time"):
        await venue.dead_man([BTC], timedelta(seconds=60))
