"""Orders that rest, and orders of the past, through both real classes: every one of them, whoever sent it, or none."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from keeper.domain.errors import StaleData, VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.order import ChildState, VenueOrder
from keeper.venues import listing
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_server import BinanceServer, Fault
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.binance_usdm import BinanceUsdm, usual_core
from tests.fakes.loopback_venue import CLIENT_ID, ShiftedClock, order, venue_at

D = Decimal
DAY = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Place:
    """One exchange and a venue connected to it. symbol: ccxt's name of BTCUSDT there; window: ms that one question may cover."""

    server: BinanceServer
    venue: CcxtVenue
    symbol: str
    window: int

    def past(self, order_id: str, ago: int, **changes: Any) -> int:
        """An order of ``ago`` ms before now, and when that was."""
        at = self.server.now() - ago
        told: dict[str, Any] = {"symbol": "BTCUSDT", "sign": 1, "amount": D("0.01"), "price": D(49_000)} | changes
        self.server.core.rest(order_id, at=at, **told)
        return at

    async def ids(self, ago: int) -> list[str]:
        """Client ids of the orders since ``ago`` ms before now."""
        return await self.since(self.server.now() - ago)

    async def since(self, at: int) -> list[str]:
        """Client ids of the orders since ``at``, ms since 1970."""
        return [one.client_id for one in await self.venue.orders(self.symbol, EPOCH + timedelta(milliseconds=at))]


@pytest.fixture(params=["binanceusdm", "binance"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    usdm = request.param == "binanceusdm"
    server: BinanceServer = BinanceUsdm(core=usual_core()) if usdm else BinanceSpot(core=spot_core())
    async with server, venue_at(server) as venue:
        server.requests.clear()
        yield Place(server, venue, "BTC/USDT:USDT" if usdm else "BTC/USDT", 7 * DAY if usdm else DAY)


async def test_what_rests_is_told_whole_ours_and_others_in_every_market(place: Place) -> None:
    core, now = place.server.core, place.server.now()
    core.rest(CLIENT_ID, "BTCUSDT", 1, D("0.01"), D(49_000), at=now - 5000)
    core.rest("web_7", "ETHUSDT", -1, D("0.5"), D(2_600), at=now - 4000)
    ours, other = (await place.venue.account()).open_orders
    assert ours == VenueOrder(
        order_id="8000001",
        client_id=CLIENT_ID,
        symbol=place.symbol,
        side=Side.BUY,
        amount=D("0.01"),
        filled=D(0),
        average=None,
        state=ChildState.LIVE,
        forced=False,
        at=EPOCH + timedelta(milliseconds=now - 5000),
        changed_at=EPOCH + timedelta(milliseconds=now - 5000),
    )
    assert ours.is_ours
    assert (other.client_id, other.symbol, other.side, other.is_ours) == (
        "web_7",
        place.symbol.replace("BTC", "ETH"),
        Side.SELL,
        False,
    )


async def test_between_two_looks_at_the_whole_account_the_markets_that_are_traded_are_asked_for(place: Place) -> None:
    assert isinstance(place.venue.clock, ShiftedClock)
    place.server.core.rest("web_7", "ETHUSDT", -1, D("0.5"), D(2_600))
    place.server.core.rest(CLIENT_ID, "BTCUSDT", 1, D("0.01"), D(49_000))
    await place.venue.markets([place.symbol])
    for shift, seen in ((0, 2), (30, 1), (31, 2)):
        place.venue.clock.shift += timedelta(seconds=shift)
        place.server.skew += 1000 * shift
        assert len((await place.venue.account()).open_orders) == seen
    asked = [one.parameters.get("symbol") for one in place.server.seen("openOrders")]
    assert asked == [None, "BTCUSDT", None]


async def test_an_order_in_a_market_that_ccxt_does_not_know_keeps_the_venue_s_name(place: Place) -> None:
    place.server.core.instruments["NEWUSDT"] = replace(place.server.core.instruments["BTCUSDT"], symbol="NEWUSDT")
    place.server.core.rest("web_1", "NEWUSDT", 1, D(1), D(1))
    (one,) = (await place.venue.account()).open_orders
    assert one.symbol == "NEWUSDT"


async def test_the_past_holds_what_was_filled_canceled_and_what_rests(place: Place) -> None:
    sent = order(symbol=place.symbol) if place.window > DAY else order(symbol=place.symbol, side=Side.SELL, price=D("49990"))
    await place.venue.place(sent)
    place.server.core.rest("gone", "BTCUSDT", 1, D("0.01"), D(49_000))
    place.server.core.cancel("BTCUSDT", order_id=None, client_id="gone")
    place.server.core.rest("rests", "BTCUSDT", 1, D("0.01"), D(49_000))
    place.server.core.rest("elsewhere", "ETHUSDT", 1, D("0.01"), D(2_000))
    filled, gone, rests = await place.venue.orders(place.symbol, sent.deadline - timedelta(seconds=6))
    assert (filled.client_id, filled.state, filled.filled, filled.side) == (
        CLIENT_ID,
        ChildState.FILLED,
        D("0.015"),
        sent.side,
    )
    trades = await place.venue.fills(place.symbol, filled.order_id)
    assert filled.average == trades[0].price
    assert (gone.client_id, gone.state, gone.filled, gone.average) == ("gone", ChildState.CANCELED, D(0), None)
    assert (rests.client_id, rests.state) == ("rests", ChildState.LIVE)


async def test_nothing_before_the_time_asked_for_is_told(place: Place) -> None:
    place.past("before", 60_001)
    at = place.past("since", 60_000)
    assert await place.since(at) in (["since"], ["before", "since"])  # the clocks' offset, a few milliseconds, is added
    assert await place.ids(50_000) == []
    assert len(place.server.seen("allOrders")) == 2


async def test_a_time_ahead_of_the_venue_s_is_asked_for_all_the_same(place: Place) -> None:
    assert await place.ids(-3_600_000) == []
    assert len(place.server.seen("allOrders")) == 1


async def test_more_time_than_one_question_may_cover_is_asked_for_in_parts(place: Place) -> None:
    first, second, third = (str(number) for number in range(3))
    place.past(first, 3 * place.window - 60_000)
    place.past(second, 2 * place.window)
    place.past(third, 1)
    assert await place.ids(3 * place.window) == [first, second, third]
    asked = place.server.seen("allOrders")
    spans = [(int(one.parameters["startTime"]), int(one.parameters["endTime"])) for one in asked]
    assert len(spans) == 4
    assert all(end - start < place.window for start, end in spans)
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(spans))


@pytest.mark.parametrize("newest_first", [False, True])
async def test_more_orders_than_one_answer_holds_are_all_told_whichever_it_leaves_out(
    place: Place, *, newest_first: bool
) -> None:
    place.server.core.newest_first = newest_first
    for number in range(2_345):
        place.past(f"web_{number}", 3_000_000 - number * 1000)
    assert await place.ids(3_600_000) == [f"web_{number}" for number in range(2_345)]


async def test_more_orders_in_one_millisecond_than_one_answer_holds_are_refused(place: Place) -> None:
    at = place.server.now() - 1000
    for number in range(listing.MOST_ROWS):
        place.server.core.rest(f"web_{number}", "BTCUSDT", 1, D("0.01"), D(49_000), at=at)
    with pytest.raises(VenueUnavailable, match="some may be missing"):
        await place.ids(60_000)


async def test_a_past_that_would_take_too_many_answers_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_ANSWERS", 3)
    with pytest.raises(VenueUnavailable, match="fewer days"):
        await place.ids(3 * place.window)
    assert not place.server.seen("allOrders")
    for number in range(4 * listing.MOST_ROWS):
        place.past(f"web_{number}", 3_000_000 - number)
    with pytest.raises(VenueUnavailable, match="fewer days"):
        await place.ids(3_600_000)
    assert len(place.server.seen("allOrders")) <= 3


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty", "half_json", "drop_after", "503", "-1007"])
async def test_a_past_that_can_t_be_read_is_unavailable_never_empty(place: Place, kind: str) -> None:
    place.server.faults.append(Fault("allOrders", kind))
    with pytest.raises(VenueUnavailable):
        await place.ids(60_000)


FORCED = [
    ("autoclose-1596107620040000020", True),
    ("adl_autoclose", True),
    ("settlement_autoclose-9999", True),
    ("delivery_autoclose-12345", True),
    ("web_autoclose-1", False),
]


@pytest.mark.parametrize(("client_id", "forced"), FORCED)
async def test_what_the_exchange_itself_traded_on_usd_m_is_told_by_its_client_id(client_id: str, *, forced: bool) -> None:
    async with BinanceUsdm(core=usual_core()) as server, venue_at(server) as venue:
        server.core.hold("BTCUSDT", D(3), D(50_000))
        since = EPOCH + timedelta(milliseconds=server.now() - 1000)
        server.core.trade_outside("BTCUSDT", -1, D("0.5"), D(49_500), client_id=client_id)
        (one,) = await venue.orders("BTC/USDT:USDT", since)
        assert (one.forced, one.is_ours, one.signed, one.average) == (forced, False, D("-0.5"), D(49_500))
        assert (await venue.account()).positions["BTC/USDT:USDT"].contracts == D("2.5")


@pytest.mark.parametrize(("status", "filled", "state"), [("NEW_ADL", "0.5", "filled"), ("NEW_INSURANCE", "0.2", "live")])
async def test_a_liquidation_that_another_account_takes_over_has_ended_once_it_is_whole(
    status: str, filled: str, state: str
) -> None:
    async with BinanceUsdm(core=usual_core()) as server, venue_at(server) as venue:
        server.core.trade_outside("BTCUSDT", -1, D("0.5"), D(49_500), client_id="autoclose-1")
        told = {"status": status, "executedQty": filled}
        server.faults.append(Fault("allOrders", "alter", alter=lambda rows: [rows[0] | told]))
        (one,) = await venue.orders("BTC/USDT:USDT", EPOCH + timedelta(milliseconds=server.now() - 1000))
        assert (one.state, one.forced) == (state, True)


CONTRADICTIONS: list[dict[str, Any]] = [
    {"status": "FILLED"},
    {"status": "FILLED", "executedQty": "0.005"},
    {"executedQty": "0.005"},
    {"status": "PARTIALLY_FILLED"},
    {"status": "PARTIALLY_FILLED", "executedQty": "0.01"},
    {"status": "CANCELED", "executedQty": "0.02"},
    {"symbol": None},
    {"symbol": ""},
    {"orderId": None},
    {"orderId": True},
    {"orderId": "eight"},
    {"orderId": -1},
    {"clientOrderId": 5},
    {"clientOrderId": ""},
    {"clientOrderId": None},
    {"side": "HOLD"},
    {"time": None},
    {"time": "-1"},
    {"time": "1500000000000.5"},
    {"origQty": "-0.01"},
    {"status": "PONDERING"},
]


@pytest.mark.parametrize("changed", CONTRADICTIONS)
async def test_an_order_that_contradicts_itself_spoils_the_account_and_the_past(place: Place, changed: dict[str, Any]) -> None:
    place.past("web_1", 1000)
    priced = {"avgPrice": "49000", "cummulativeQuoteQty": "245"}
    for path in ("openOrders", "allOrders"):
        place.server.faults.append(Fault(path, "alter", alter=lambda rows: [rows[0] | priced | changed]))
    with pytest.raises(StaleData):
        await place.venue.account()
    with pytest.raises(VenueUnavailable):
        await place.ids(60_000)


async def test_an_order_that_ended_does_not_rest(place: Place) -> None:
    place.past("web_1", 1000)
    place.server.faults.append(Fault("openOrders", "alter", alter=lambda rows: [rows[0] | {"status": "CANCELED"}]))
    with pytest.raises(StaleData, match="ended"):
        await place.venue.account()


async def test_a_past_of_another_market_is_refused(place: Place) -> None:
    place.past("web_1", 1000)
    place.server.faults.append(Fault("allOrders", "alter", alter=lambda rows: [rows[0] | {"symbol": "ETHUSDT"}]))
    with pytest.raises(VenueUnavailable, match="asked was BTCUSDT"):
        await place.ids(60_000)


async def test_an_order_that_closes_a_position_names_no_amount(place: Place) -> None:
    place.past("web_1", 1000, amount=D(0))
    (one,) = (await place.venue.account()).open_orders
    assert (one.amount, one.state) == (D(0), ChildState.LIVE)
