"""Stops through the real Bybit class: one order from its start to its end, in the list of all orders, set off by the mark."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Rejected, Unknown
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.bybit import Bybit
from tests.fakes.bybit_cores import usual_core
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import BTC, ShiftedClock, order, venue_at

D = Decimal
STOP = "kprs123456789abcdef0123456789abc"
Place = tuple[Bybit, CcxtVenue]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    server = Bybit(core=usual_core())
    async with server, venue_at(server, timeout=0.5) as venue:
        server.core.hold("BTCUSDT", D(6), D(50_000))
        server.requests.clear()
        yield server, venue


def stop(**changes: object) -> OrderRequest:
    """Sell 1.5 BTC once the mark is 44,444.4."""
    parts = {"client_id": STOP, "side": Side.SELL, "amount": D("1.5"), "price": D("44444.4"), "reduce_only": True}
    return order(**(parts | {"trigger": D("44444.4")} | changes))


async def test_a_stop_is_sent_once_reduce_only_and_on_the_mark(place: Place) -> None:
    server, venue = place
    outcome = await venue.place(stop())
    assert isinstance(outcome, Accepted)
    assert outcome.report.state is ChildState.LIVE
    [sent] = server.requests
    assert (sent.method, sent.path) == ("POST", "/v5/order/create")
    told = sent.parameters
    assert (told["orderLinkId"], told["qty"], told["triggerPrice"]) == (STOP, "1.5", "44444.4")
    assert (told["triggerBy"], told["triggerDirection"], told["reduceOnly"], told["orderType"]) == (
        "MarkPrice",
        2,
        True,
        "Market",
    )


async def test_while_it_rests_it_is_found_and_listed_and_no_order_of_the_account(place: Place) -> None:
    server, venue = place
    await venue.place(stop())
    server.core.rest("web_1", "BTCUSDT", 1, D("0.01"), D(49_000))
    report = await venue.lookup(BTC, STOP)
    assert report is not None
    assert report.state is ChildState.LIVE
    assert {one.client_id for one in await venue.open_orders()} == {STOP, "web_1"}
    assert [one.client_id for one in (await venue.account()).open_orders] == ["web_1"]
    listed = {one.client_id: one for one in await venue.orders(BTC, ShiftedClock().now() - timedelta(minutes=5))}
    assert (listed[STOP].state, listed[STOP].amount, listed[STOP].side) == (ChildState.LIVE, D("1.5"), Side.SELL)


@pytest.mark.parametrize(("levels", "filled", "state"), [(20, "1.5", ChildState.FILLED), (1, "1", ChildState.CANCELED)])
async def test_what_the_mark_set_off_is_the_same_order(place: Place, levels: int, filled: str, state: ChildState) -> None:
    server, venue = place
    await venue.place(stop())
    server.core.ladders["BTCUSDT"].levels = levels
    server.core.set_mid("BTCUSDT", D(44_000))
    assert server.core.held("BTCUSDT") == 6 - D(filled)
    report = await venue.lookup(BTC, STOP)
    assert report is not None
    assert (report.state, report.filled) == (state, D(filled))
    fills = await venue.fills(BTC, report.order_id)
    assert sum(fill.amount for fill in fills) == D(filled)
    [listed] = await venue.orders(BTC, ShiftedClock().now() - timedelta(minutes=5))
    assert (listed.client_id, listed.filled) == (STOP, D(filled))


async def test_a_cancel_takes_back_a_stop_and_nothing_happens_when_none_rests(place: Place) -> None:
    server, venue = place
    await venue.place(stop())
    for _ in range(2):
        await venue.cancel(BTC, STOP)
    report = await venue.lookup(BTC, STOP)
    assert report is not None
    assert report.state is ChildState.CANCELED
    assert server.core.open_orders() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": D("50000.1"), "trigger": D("50000.1")}, "110093"),
        ({"side": Side.BUY, "price": D(55_000), "trigger": D(55_000)}, "110017"),
    ],
)
async def test_what_the_venue_does_not_take(place: Place, changes: dict[str, object], code: str) -> None:
    _server, venue = place
    outcome = await venue.place(stop(**changes))
    assert isinstance(outcome, Rejected)
    assert outcome.code == code


@pytest.mark.parametrize("kind", ["html", "half_json", "drop_after"])
async def test_an_answer_that_proves_nothing_leaves_it_unknown_and_it_is_found(place: Place, kind: str) -> None:
    server, venue = place
    server.faults.append(Fault("create", kind, times=1))
    assert isinstance(await venue.place(stop()), Unknown)
    report = await venue.lookup(BTC, STOP)
    assert report is not None
    assert report.state is ChildState.LIVE
