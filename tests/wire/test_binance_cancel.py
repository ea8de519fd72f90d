"""Cancels and the dead-man switch through both real classes: asked once, and an answer that proves nothing is none."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import VenueError, VenueRefused, VenueUnavailable
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_server import BinanceServer, Fault
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.binance_usdm import BinanceUsdm, usual_core
from tests.fakes.loopback_venue import BTC, CLIENT_ID, ETH, ShiftedClock, order, venue_at

D = Decimal
Place = tuple[BinanceServer, CcxtVenue, str]


@pytest.fixture(params=["binanceusdm", "binance"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    usdm = request.param == "binanceusdm"
    server: BinanceServer = BinanceUsdm(core=usual_core()) if usdm else BinanceSpot(core=spot_core())
    async with server, venue_at(server, timeout=0.3) as venue:
        server.requests.clear()
        server.core.rest(CLIENT_ID, "BTCUSDT", 1, D("0.01"), D(49_000))
        server.core.rest("web_1", "BTCUSDT", 1, D("0.01"), D(49_000))
        yield server, venue, BTC if usdm else "BTC/USDT"


async def test_a_cancel_takes_one_request_and_only_the_order_named(place: Place) -> None:
    server, venue, symbol = place
    await venue.cancel(symbol, CLIENT_ID)
    assert [(one.method, one.parameters["origClientOrderId"]) for one in server.requests] == [("DELETE", CLIENT_ID)]
    assert [one.client_id for one in (await venue.account()).open_orders] == ["web_1"]


@pytest.mark.parametrize("name", ["kprnosuchorder", "filled"])
async def test_a_cancel_of_what_does_not_rest_does_nothing(place: Place, name: str) -> None:
    server, venue, symbol = place
    server.core.trade_outside("BTCUSDT", 1, D("0.1"), D(50_000), client_id="filled")
    await venue.cancel(symbol, name)
    assert len(server.core.open_orders()) == 2
    assert len(server.requests) == 1


PROVES_NOTHING = ["html", "empty_object", "empty", "half_json", "truncated", "bad_gzip", "drop_before", "drop_after", "hang"]
PROVES_NOTHING += ["503_before", "503", "408", "502", "422", "-1006", "-1007", "redirect"]


@pytest.mark.parametrize("kind", PROVES_NOTHING)
async def test_an_answer_that_proves_nothing_raises_and_the_cancel_is_not_sent_again(place: Place, kind: str) -> None:
    server, venue, symbol = place
    server.faults.append(Fault("order", kind))
    with pytest.raises(VenueUnavailable):
        await venue.cancel(symbol, CLIENT_ID)
    assert len(server.requests) == 1


NOT_THE_CODE: list[Any] = [
    {"code": -2011, "msg": "This account may not place or cancel orders."},
    {"code": -2011, "msg": "Order was canceled or expired with no executed qty over 90 days ago and has been archived."},
    {"code": -2011},
    {"code": -2010, "msg": "Unknown order sent."},
    {"code": "-2011 Unknown order sent.", "msg": ""},
    [{"code": -2011, "msg": "Unknown order sent."}],
    {"code": -2011, "msg": "Unknown order sent."},  # true words, but with HTTP 200
]


@pytest.mark.parametrize("said", NOT_THE_CODE)
async def test_only_the_venue_s_own_words_say_that_nothing_rests(place: Place, said: Any) -> None:
    server, venue, symbol = place
    server.faults.append(Fault("order", "alter", alter=lambda _reply: said))
    with pytest.raises(VenueError):
        await venue.cancel(symbol, CLIENT_ID)


async def test_an_answer_about_another_order_proves_nothing(place: Place) -> None:
    server, venue, symbol = place
    other = {"clientOrderId": "web_1", "origClientOrderId": "web_1"}
    server.faults.append(Fault("order", "alter", alter=lambda reply: reply | other))
    with pytest.raises(VenueUnavailable, match="another order"):
        await venue.cancel(symbol, CLIENT_ID)


async def test_a_cancel_is_refused_in_words_where_the_key_may_not(place: Place) -> None:
    server, venue, symbol = place
    server.api_key = "another"
    with pytest.raises(VenueRefused, match="unknown here"):
        await venue.cancel(symbol, CLIENT_ID)


async def test_silence_holds_for_cancels_too(place: Place) -> None:
    server, venue, symbol = place
    server.faults.append(Fault("order", "429", times=1))
    for _ in range(2):
        with pytest.raises(VenueUnavailable):
            await venue.cancel(symbol, CLIENT_ID)
    assert len(server.requests) == 1


async def test_a_dead_man_s_switch_is_set_in_every_market_and_taken_off() -> None:
    async with BinanceUsdm(core=usual_core()) as server, venue_at(server) as venue:
        server.core.rest(CLIENT_ID, "BTCUSDT", 1, D("0.01"), D(49_000))
        assert await venue.dead_man([BTC, ETH], timedelta(seconds=60))
        assert sorted(server.core.countdowns) == ["BTCUSDT", "ETHUSDT"]
        assert await venue.dead_man([ETH], None)
        server.core.now = lambda: server.core.countdowns.get("BTCUSDT", 0)
        assert server.core.open_orders() == []
        sent = [(one.method, one.parameters["symbol"], one.parameters["countdownTime"]) for one in server.seen("CancelAll")]
    assert sorted(sent) == [("POST", "BTCUSDT", "60000"), ("POST", "ETHUSDT", "0"), ("POST", "ETHUSDT", "60000")]


async def test_spot_has_no_such_switch() -> None:
    async with BinanceSpot(core=spot_core()) as server, venue_at(server) as venue:
        server.requests.clear()
        assert not await venue.dead_man(["BTC/USDT"], timedelta(seconds=60))
    assert not server.requests


async def test_a_switch_that_would_be_off_is_refused() -> None:
    async with BinanceUsdm(core=usual_core()) as server, venue_at(server) as venue:
        with pytest.raises(VenueRefused, match="cancel nothing"):
            await venue.dead_man([BTC], timedelta(microseconds=1))
        assert not server.seen("CancelAll")


BAD_SWITCH: list[Any] = [{}, [], {"symbol": "BTCUSDT"}, {"symbol": "BTCUSDT", "countdownTime": "0"}]
BAD_SWITCH += [{"symbol": "ETHUSDT", "countdownTime": "60000"}, {"symbol": "BTCUSDT", "countdownTime": None}]


@pytest.mark.parametrize("said", BAD_SWITCH)
async def test_a_switch_that_the_venue_does_not_confirm_is_not_set(said: Any) -> None:
    async with BinanceUsdm(core=usual_core()) as server, venue_at(server) as venue:
        server.faults.append(Fault("CancelAll", "alter", alter=lambda _reply: said))
        with pytest.raises(VenueUnavailable):
            await venue.dead_man([BTC], timedelta(seconds=60))


@pytest.mark.parametrize("client_id", ["kpr" + "0" * 34, "kpr with a blank", "kprä", "", "kpr\n", "kpr#1"])
async def test_a_client_id_that_the_venue_does_not_take_is_not_sent(client_id: str) -> None:
    async with BinanceUsdm(core=usual_core()) as server, venue_at(server, clock=ShiftedClock()) as venue:
        outcome = await venue.place(order(client_id=client_id))
        assert "client id" in str(outcome)
        assert "never left" in str(outcome)
        assert not server.core.orders
