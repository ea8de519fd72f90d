"""Stops through the real USD-M class: a list of their own, an order once the mark came, and one order to whoever asks."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Rejected, Unknown
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_usdm import BinanceUsdm, Fault, usual_core
from tests.fakes.loopback_venue import BTC, ShiftedClock, order, venue_at

D = Decimal
STOP = "kprs123456789abcdef0123456789abc"
Place = tuple[BinanceUsdm, CcxtVenue]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    server = BinanceUsdm(core=usual_core())
    async with server, venue_at(server, timeout=0.5) as venue:
        server.core.hold("BTCUSDT", D(6), D(50_000))
        server.requests.clear()
        yield server, venue


def stop(**changes: object) -> OrderRequest:
    """Sell 1.5 BTC once the mark is 44,444.4."""
    parts = {"client_id": STOP, "side": Side.SELL, "amount": D("1.5"), "price": D("44444.4"), "reduce_only": True}
    made = order(**(parts | {"trigger": D("44444.4")} | changes))
    assert made.is_stop
    return made


async def test_a_stop_is_sent_once_reduce_only_and_on_the_mark(place: Place) -> None:
    server, venue = place
    outcome = await venue.place(stop())
    assert isinstance(outcome, Accepted)
    assert (outcome.report.state, outcome.report.filled, outcome.report.order_id) == (ChildState.LIVE, D(0), "algo-3001")
    [sent] = server.requests
    assert (sent.method, sent.path) == ("POST", "/fapi/v1/algoOrder")
    told = sent.parameters
    assert (told["clientAlgoId"], told["quantity"], told["triggerPrice"]) == (STOP, "1.5", "44444.4")
    assert (told["workingType"], told["reduceOnly"], told["type"]) == ("MARK_PRICE", "true", "STOP_MARKET")
    assert int(told["recvWindow"]) <= 5000
    assert "price" not in told


async def test_while_it_rests_it_is_found_and_listed_and_no_order_of_the_account(place: Place) -> None:
    server, venue = place
    await venue.place(stop())
    server.desk.place(client_id="web_1", symbol="BTCUSDT", sign=-1, amount=D(1), trigger=D(40_000))
    report = await venue.lookup(BTC, STOP)
    assert report is not None
    assert report.state is ChildState.LIVE
    assert [one.client_id for one in await venue.open_orders()] == [STOP]
    assert (await venue.account()).open_orders == ()
    [listed] = await venue.orders(BTC, ShiftedClock().now() - timedelta(minutes=5))
    assert (listed.client_id, listed.state, listed.amount, listed.side) == (STOP, ChildState.LIVE, D("1.5"), Side.SELL)
    assert await venue.fills(BTC, "algo-3001") == ()


async def test_what_the_mark_set_off_is_one_order_of_ours(place: Place) -> None:
    server, venue = place
    await venue.place(stop())
    server.core.ladders["BTCUSDT"].size = D(5)
    server.core.set_mid("BTCUSDT", D(44_000))
    assert server.core.held("BTCUSDT") == D("4.5")
    report = await venue.lookup(BTC, STOP)
    assert report is not None
    assert (report.state, report.filled, report.order_id) == (ChildState.FILLED, D("1.5"), "algo-3001")
    fills = await venue.fills(BTC, report.order_id)
    assert sum(fill.amount for fill in fills) == D("1.5")
    assert {fill.side for fill in fills} == {Side.SELL}
    [listed] = await venue.orders(BTC, ShiftedClock().now() - timedelta(minutes=5))
    assert (listed.client_id, listed.order_id, listed.filled) == (STOP, "algo-3001", D("1.5"))
    assert await venue.open_orders() == ()


async def test_one_that_found_too_little_ends_with_what_it_got(place: Place) -> None:
    server, venue = place
    await venue.place(stop())
    server.core.ladders["BTCUSDT"].levels = 1
    server.core.set_mid("BTCUSDT", D(44_000))
    report = await venue.lookup(BTC, STOP)
    assert report is not None
    assert (report.state, report.filled) == (ChildState.CANCELED, D(1))


async def test_a_cancel_takes_back_a_stop_and_nothing_happens_when_none_rests(place: Place) -> None:
    server, venue = place
    await venue.place(stop())
    for _ in range(2):
        await venue.cancel(BTC, STOP)
    report = await venue.lookup(BTC, STOP)
    assert report is not None
    assert report.state is ChildState.CANCELED
    assert server.desk.resting() == []
    assert await venue.lookup(BTC, "kprs00000000000000000000000000") is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": D("50000.1"), "trigger": D("50000.1")}, "-2021"),
        ({"side": Side.BUY, "price": D(55_000), "trigger": D(55_000)}, "-2022"),
        ({"client_id": STOP}, "duplicate"),
    ],
)
async def test_what_the_venue_does_not_take(place: Place, changes: dict[str, object], code: str) -> None:
    _server, venue = place
    if code == "duplicate":
        await venue.place(stop())
    outcome = await venue.place(stop(**changes))
    if code == "duplicate":
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, Rejected)
        assert outcome.code == code


@pytest.mark.parametrize("kind", ["html", "empty_object", "half_json", "drop_after", "503"])
async def test_an_answer_that_proves_nothing_leaves_it_unknown_and_it_is_found(place: Place, kind: str) -> None:
    server, venue = place
    server.faults.append(Fault("algoOrder", kind, times=1))
    assert isinstance(await venue.place(stop()), Unknown)
    report = await venue.lookup(BTC, STOP)
    assert report is not None
    assert report.state is ChildState.LIVE


@pytest.mark.parametrize("kind", ["html", "empty_object", "half_json", "drop_before"])
async def test_an_answer_that_can_t_be_read_is_no_word_of_a_stop(place: Place, kind: str) -> None:
    server, venue = place
    await venue.place(stop())
    server.faults.append(Fault("algoOrder", kind))
    with pytest.raises((VenueError, StaleData)):
        await venue.lookup(BTC, STOP)
