"""What became of an order on Bybit, which only acknowledges it: looked up, canceled, its trades read."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import VenueRefused, VenueUnavailable
from keeper.domain.order import Accepted, ChildState
from keeper.ports import Environment
from tests.fakes import bybit_messages
from tests.fakes.bybit_desk import INVERSE, LINEAR, ORDERS, SPOT, World, connected, core_of, rows, unified
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import CLIENT_ID, order

D = Decimal
DAY = 86_400_000


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with connected() as both:
        yield both


STATES = [
    ("New", "0", ChildState.LIVE),
    ("PartiallyFilled", "0.005", ChildState.LIVE),
    ("Filled", "0.015", ChildState.FILLED),
    ("Cancelled", "0", ChildState.CANCELED),
    ("Cancelled", "0.005", ChildState.CANCELED),
    ("PartiallyFilledCanceled", "0.005", ChildState.CANCELED),
    ("Deactivated", "0", ChildState.CANCELED),
    ("Rejected", "0", ChildState.REJECTED),
    # turned down by the matching engine after a part of it had traded
    ("Rejected", "0.005", ChildState.CANCELED),
]


@pytest.mark.parametrize(("status", "filled", "state"), STATES)
async def test_a_lookup_reports_the_state_that_the_exchange_keeps(
    world: World, status: str, filled: str, state: ChildState
) -> None:
    server, venue = world
    await venue.place(order())
    alter = rows(orderStatus=status, cumExecQty=filled, avgPrice="50000.1" if D(filled) else "")
    server.faults.append(Fault("order/realtime", "alter", alter=alter))
    found = await venue.lookup(LINEAR, CLIENT_ID)
    assert found is not None
    assert (found.state, found.filled) == (state, D(filled))
    assert found.average == (D("50000.1") if D(filled) else None)


UNREADABLE = [
    ("of another", {"orderLinkId": "another"}),
    ("of another market", {"symbol": "ETHUSDT"}),
    ("unknown status", {"orderStatus": "Pondering"}),
    ("filled beyond its amount", {"cumExecQty": "1"}),
    ("filled, but not whole", {"cumExecQty": "0.001"}),
    ("untouched, but filled", {"orderStatus": "New"}),
    ("worse than its limit", {"avgPrice": "50020"}),
    ("without a price", {"avgPrice": ""}),
    ("not a number", {"cumExecQty": "NaN"}),
    ("negative", {"cumExecQty": "-1"}),
]


@pytest.mark.parametrize("fields", [row[1] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
async def test_an_order_that_can_t_be_read_is_unavailable_and_never_none(world: World, fields: dict[str, Any]) -> None:
    server, venue = world
    await venue.place(order())
    server.faults.append(Fault("order/realtime", "alter", alter=rows(**fields)))
    with pytest.raises(VenueUnavailable):
        await venue.lookup(LINEAR, CLIENT_ID)


async def test_two_orders_of_one_client_id_are_never_taken_for_one(world: World) -> None:
    _, venue = world
    for _ in range(2):
        await venue.place(order())
    with pytest.raises(VenueUnavailable, match="2 orders of one client id"):
        await venue.lookup(LINEAR, CLIENT_ID)


@pytest.mark.parametrize("symbol", ORDERS)
async def test_after_a_restart_of_the_exchange_an_order_is_found_in_its_history(world: World, symbol: str) -> None:
    server, venue = world
    server.core.wallet["BTC"] = D(1)
    await venue.place(order(**ORDERS[symbol]))
    server.restarted = True
    found = await venue.lookup(symbol, CLIENT_ID)
    assert found is not None
    assert found.state is ChildState.FILLED


@pytest.mark.parametrize("age", [1, 6, 8, 14, 20, 27, 34])
async def test_an_order_that_traded_is_found_for_a_month(world: World, age: int) -> None:
    server, venue = world
    server.restarted = True
    server.core.trade_outside("BTCUSDT", 1, D("0.015"), D(50_000), client_id=CLIENT_ID, at=server.now() - age * DAY)
    found = await venue.lookup(LINEAR, CLIENT_ID)
    assert found is not None
    assert (found.state, found.filled) == (ChildState.FILLED, D("0.015"))


async def test_an_order_that_traded_is_never_none_although_no_list_shows_it_yet(world: World) -> None:
    server, venue = world
    await venue.place(order())
    server.restarted = server.history_lags = True
    with pytest.raises(VenueUnavailable, match="trades of an order"):
        await venue.lookup(LINEAR, CLIENT_ID)


@pytest.mark.parametrize("symbol", ORDERS)
async def test_an_order_that_the_exchange_never_had_is_none_after_every_place_was_asked(world: World, symbol: str) -> None:
    server, venue = world
    assert await venue.lookup(symbol, CLIENT_ID) is None
    asked = ["/v5/order/realtime", *["/v5/order/history"] * 5, "/v5/execution/list"]
    assert [one.path for one in server.requests] == asked
    assert {one.parameters["orderLinkId"] for one in server.requests} == {CLIENT_ID}


@pytest.mark.parametrize("path", ["order/realtime", "order/history", "execution/list"])
@pytest.mark.parametrize("kind", ["html", "empty_object", "empty", "half_json", "503", "10016"])
async def test_a_lookup_without_every_answer_is_never_none(world: World, path: str, kind: str) -> None:
    server, venue = world
    server.faults.append(Fault(path, kind))
    with pytest.raises(VenueUnavailable):
        await venue.lookup(LINEAR, CLIENT_ID)


@pytest.mark.parametrize("symbol", ORDERS)
async def test_a_resting_order_is_canceled_by_its_client_id_and_again_nothing_happens(world: World, symbol: str) -> None:
    server, venue = world
    core = core_of(server, symbol)
    core.rest(CLIENT_ID, {INVERSE: "BTCUSD"}.get(symbol, "BTCUSDT"), 1, D(1), D(40_000))
    for _ in range(2):
        await venue.cancel(symbol, CLIENT_ID)
    found = await venue.lookup(symbol, CLIENT_ID)
    assert found is not None
    assert found.state is ChildState.CANCELED


async def test_a_cancel_that_was_refused_is_an_error(world: World) -> None:
    server, venue = world
    server.denied = 10005
    with pytest.raises(VenueRefused, match="permission"):
        await venue.cancel(LINEAR, CLIENT_ID)
    assert len(server.requests) == 1


async def test_there_is_no_dead_man_switch(world: World) -> None:
    server, venue = world
    assert await venue.dead_man([LINEAR], timedelta(seconds=10)) is False
    assert not server.requests


@pytest.mark.parametrize(
    ("environment", "host"), [(Environment.TESTNET, "api-demo.bybit.com"), (Environment.LIVE, "api.bybit.com")]
)
async def test_the_first_order_is_one_request_to_the_environment_s_host(environment: Environment, host: str) -> None:
    async with connected(unified(), environment) as (server, venue):
        assert isinstance(await venue.place(order()), Accepted)
        assert [(one.method, one.path, one.host) for one in server.requests] == [("POST", "/v5/order/create", host)]


@pytest.mark.parametrize(("count", "pages"), [(99, 2), (100, 2), (101, 3), (250, 4)])
async def test_every_trade_of_an_order_is_read_however_many_there_are(world: World, count: int, pages: int) -> None:
    server, venue = world
    await venue.place(order())
    (held,) = server.core.orders.values()
    for _ in range(count - 1):
        server.core.note_trade(held, D("0.001"), D(50_000), fee=D("-0.01"), fee_asset="USDT")
    await venue.place(order(client_id="another"))
    server.requests.clear()
    found = await venue.fills(LINEAR, bybit_messages.order_id(held.id))
    assert [one.trade_id for one in found] == [bybit_messages.trade_id(501 + number) for number in range(count)]
    assert {one.fee for one in found[1:]} == {D("-0.01")}
    # the last page names another one, which is empty
    assert len(server.requests) == pages


@pytest.mark.parametrize(
    "fields",
    [{"execQty": "0"}, {"execPrice": "NaN"}, {"execFee": ""}, {"execType": "Gift"}, {"symbol": "ETHUSDT"}, {"execId": ""}],
    ids=str,
)
async def test_a_trade_that_can_t_be_read_makes_its_list_unavailable(world: World, fields: dict[str, str]) -> None:
    server, venue = world
    await venue.place(order())
    (held,) = server.core.orders
    server.faults.append(Fault("execution/list", "alter", alter=rows(**fields)))
    with pytest.raises(VenueUnavailable):
        await venue.fills(LINEAR, bybit_messages.order_id(held))


async def test_funding_is_no_trade(world: World) -> None:
    server, venue = world
    await venue.place(order())
    (held,) = server.core.orders
    server.faults.append(Fault("execution/list", "alter", alter=rows(execType="Funding")))
    assert await venue.fills(LINEAR, bybit_messages.order_id(held)) == ()


async def test_on_spot_a_fee_in_nothing_known_is_unavailable(world: World) -> None:
    server, venue = world
    await venue.place(order(symbol=SPOT))
    server.faults.append(Fault("execution/list", "alter", alter=rows(feeCurrency="")))
    with pytest.raises(VenueUnavailable, match="fee"):
        await venue.fills(SPOT, "8000001")
