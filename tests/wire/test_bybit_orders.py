"""Orders through the real bybit class: what is sent, what the exchange then holds, and what we may conclude."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, Rejected, Unknown
from keeper.venues.parsing import milliseconds
from tests.fakes.bybit import Bybit
from tests.fakes.bybit_desk import INVERSE, LINEAR, ORDERS, SPOT, World, connected, core_of, unified
from tests.fakes.exchange_core import Unique
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import CLIENT_ID, order, venue_at

D = Decimal


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with connected() as both:
        yield both


SENT: dict[str, dict[str, Any]] = {
    LINEAR: {"category": "linear", "symbol": "BTCUSDT", "qty": "0.015", "positionIdx": 0},
    INVERSE: {"category": "inverse", "symbol": "BTCUSD", "qty": "750", "positionIdx": 0},
    SPOT: {"category": "spot", "symbol": "BTCUSDT", "qty": "0.015", "isLeverage": 0},
}


@pytest.mark.parametrize("symbol", ORDERS)
async def test_an_order_says_what_was_approved_and_nothing_else(world: World, symbol: str) -> None:
    server, venue = world
    server.core.wallet["BTC"] = D(1)
    outcome = await venue.place(order(**ORDERS[symbol]))
    assert isinstance(outcome, Accepted), outcome
    (sent,) = server.requests
    common = {"side": "Buy", "orderType": "Limit", "timeInForce": "IOC", "price": "50010.1", "orderLinkId": CLIENT_ID}
    assert sent.parameters == {**common, **SENT[symbol]}
    assert (outcome.report.state, outcome.report.filled) == (ChildState.LIVE, D(0))


@pytest.mark.parametrize("symbol", ORDERS)
async def test_an_acknowledged_order_is_followed_to_its_end_with_its_trades(world: World, symbol: str) -> None:
    server, venue = world
    server.core.wallet["BTC"] = D(1)
    outcome = await venue.place(order(**ORDERS[symbol]))
    assert isinstance(outcome, Accepted)
    found = await venue.lookup(symbol, CLIENT_ID)
    (held,) = core_of(server, symbol).orders.values()
    assert found is not None
    assert (found.state, found.filled) == (ChildState.FILLED, held.amount)
    assert found.order_id == outcome.report.order_id
    fills = await venue.fills(symbol, found.order_id)
    asset = {LINEAR: "USDT", INVERSE: "BTC", SPOT: "BTC"}[symbol]
    truth = [(one.amount, one.price, one.fee, asset) for one in core_of(server, symbol).trades]
    assert [(one.amount, one.price, one.fee, one.fee_asset) for one in fills] == truth
    assert {(one.symbol, one.side) for one in fills} == {(symbol, Side.BUY)}


async def test_the_account_after_is_the_account_before_with_our_fills_booked(world: World) -> None:
    server, venue = world
    server.core.wallet["BTC"] = D(2)
    server.core.hold("BTCUSD", D(-9_000), D(49_000))
    for symbol, amount in ((LINEAR, D("0.5")), (INVERSE, D(20_000)), (SPOT, D("0.25"))):
        market = (await venue.markets([symbol]))[symbol]
        before = await venue.account()
        outcome = await venue.place(order(symbol=symbol, client_id=f"k{market.kind}", amount=amount))
        assert isinstance(outcome, Accepted)
        for fill in await venue.fills(symbol, outcome.report.order_id):
            before = before.after(fill, market)
        after = await venue.account()
        assert {asset: round(value, 7) for asset, value in after.balances.items()} == {
            asset: round(value, 7) for asset, value in before.balances.items()
        }
        assert {name: one.contracts for name, one in after.positions.items()} == {
            name: one.contracts for name, one in before.positions.items()
        }


async def test_an_order_beyond_the_depth_ends_in_part(world: World) -> None:
    server, venue = world
    for symbol, core in ((LINEAR, server.core), (SPOT, core_of(server, SPOT))):
        core.wallet["USDT"] = D(10_000_000)
        await venue.place(order(symbol=symbol, client_id=f"p{core is server.core}", amount=D(15), price=D("50001.1")))
        found = await venue.lookup(symbol, f"p{core is server.core}")
        assert found is not None
        assert found.state is ChildState.CANCELED
        assert 0 < found.filled < 15


async def test_a_reduce_only_order_says_so_and_never_flips_the_position(world: World) -> None:
    server, venue = world
    server.core.hold("BTCUSDT", D("-0.5"), D(50_000))
    await venue.place(order(amount=D(2), reduce_only=True))
    assert server.requests[0].parameters["reduceOnly"] is True
    assert server.core.held("BTCUSDT") == 0


async def test_on_spot_nothing_is_said_of_reducing(world: World) -> None:
    server, venue = world
    server.core.wallet["BTC"] = D(1)
    outcome = await venue.place(order(symbol=SPOT, side=Side.SELL, price=D(49_990), reduce_only=True))
    assert isinstance(outcome, Accepted)
    assert "reduceOnly" not in server.requests[0].parameters


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(slots=True)
class StandingClock:
    """A clock that stands, but for ``step`` at each look; waiting takes no time."""

    at: datetime = NOON
    step: timedelta = timedelta(0)

    def now(self) -> datetime:
        self.at += self.step
        return self.at

    async def sleep_until(self, at: datetime) -> None:
        """At once."""


def at_noon() -> Bybit:
    """An exchange whose own clock stands at noon."""
    return unified(now=lambda: milliseconds(NOON))


def stamped(sent: Any) -> tuple[int, int]:
    """When a request says that it was sent, ms after noon, and how long it lives."""
    return int(sent.header("X-BAPI-TIMESTAMP")) - milliseconds(NOON), int(sent.header("X-BAPI-RECV-WINDOW"))


async def test_the_window_ends_by_the_deadline_however_late_the_request_is_signed() -> None:
    clock = StandingClock()
    async with connected(at_noon(), clock=clock) as (server, venue):
        clock.step = timedelta(milliseconds=150)
        assert isinstance(await venue.place(order(deadline=NOON + timedelta(seconds=3))), Accepted)
        assert sum(stamped(server.requests[0])) == 3_000
        assert clock.at > NOON


async def test_the_deadline_of_an_order_is_none_of_the_requests_beside_it() -> None:
    async with connected(at_noon(), clock=StandingClock()) as (server, venue):
        await venue.place(order(deadline=NOON + timedelta(seconds=2)))
        await venue.lookup(LINEAR, CLIENT_ID)
        await venue.place(order(client_id="later", deadline=NOON + timedelta(minutes=10)))
        assert [sum(stamped(one)) for one in server.requests] == [2_000, 5_000, 5_000]


async def test_an_order_that_arrives_after_its_deadline_is_rejected() -> None:
    async with connected(at_noon(), clock=StandingClock()) as (server, venue):
        server.skew = 3_001
        outcome = await venue.place(order(deadline=NOON + timedelta(seconds=3)))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "10002"
        server.skew = 3_000
        assert isinstance(await venue.place(order(deadline=NOON + timedelta(seconds=3))), Accepted)
        assert len(server.core.orders) == 1


@pytest.mark.parametrize("off", [-900, 900])
async def test_every_request_is_dated_by_the_exchange_s_clock(off: int) -> None:
    clock = StandingClock(NOON + timedelta(milliseconds=off))
    async with connected(at_noon(), clock=clock) as (server, venue):
        assert isinstance(await venue.place(order(deadline=clock.at + timedelta(seconds=4))), Accepted)
        await venue.lookup(LINEAR, CLIENT_ID)
        assert [sum(stamped(one)) for one in server.requests] == [4_000, 5_000]


Spoil = Callable[[Bybit], None]


def _rule(**changes: Any) -> Spoil:
    def change(server: Bybit) -> None:
        assert server.spot is not None
        for core in (server.core, server.spot):
            for name, value in changes.items():
                setattr(core.instruments["BTCUSDT"], name, value)

    return change


def _server(**changes: Any) -> Spoil:
    def change(server: Bybit) -> None:
        for name, value in changes.items():
            setattr(server, name, value)

    return change


def _poor(server: Bybit) -> None:
    server.core.wallet["USDT"] = D(10)


def _hedged(server: Bybit) -> None:
    server.core.hedged = True


def _marked(mark: int) -> Spoil:
    def change(server: Bybit) -> None:
        assert server.spot is not None
        server.core.marks["BTCUSDT"] = server.spot.marks["BTCUSDT"] = D(mark)

    return change


SELL = {"side": Side.SELL, "price": D(49_990)}
REJECTIONS: list[tuple[str, Spoil, dict[str, Any], str, str]] = [
    ("unknown key", _server(api_key="another"), {}, "10003", "in this environment"),
    ("wrong secret", _server(secret="another"), {}, "10004", "secret belongs to the API key"),
    ("no permission", _server(denied=10005), {}, "10005", "lacks a permission"),
    ("another address", _server(denied=10010), {}, "10010", "bound to other addresses"),
    ("expired key", _server(denied=33004), {}, "33004", "expired"),
    ("old timestamp", _server(skew=20_000), {}, "10002", "clock"),
    ("timestamp ahead", _server(skew=-20_000), {}, "10002", "clock"),
    ("hedge mode", _hedged, {}, "10001", "one-way"),
    ("wrong lot", _rule(step=D("0.010")), {}, "10001", "lots"),
    ("below the minimum", _rule(min_amount=D(1)), {}, "10001", "minimum"),
    ("off the tick", _rule(tick=D("0.5")), {}, "10001", "parameters"),
    ("small notional", _rule(min_notional=D(10_000)), {}, "110094", "notional"),
    ("no margin", _poor, {}, "110007", "available balance"),
    ("nothing to reduce", _server(), {"reduce_only": True}, "110017", "reduce"),
    ("price too high", _marked(40_000), {}, "110003", "max_slippage_bps"),
    ("price too low", _marked(60_000), SELL, "110003", "max_slippage_bps"),
    ("closed", _rule(open=False), {}, "110066", "takes no orders"),
    ("spot, wrong lot", _rule(step=D("0.010")), {"symbol": SPOT}, "170137", "lots"),
    ("spot, below the minimum", _rule(min_amount=D(1)), {"symbol": SPOT}, "170136", "minimum"),
    ("spot, off the tick", _rule(tick=D("0.5")), {"symbol": SPOT}, "170134", "tick"),
    ("spot, small notional", _rule(min_notional=D(10_000)), {"symbol": SPOT}, "170140", "notional"),
    ("spot, no money", _poor, {"symbol": SPOT}, "170131", "balance"),
    ("spot, price too high", _marked(40_000), {"symbol": SPOT}, "170193", "max_slippage_bps"),
    ("spot, price too low", _marked(60_000), {"symbol": SPOT, **SELL}, "170194", "max_slippage_bps"),
    ("spot, closed", _rule(open=False), {"symbol": SPOT}, "170151", "not open"),
]


@pytest.mark.parametrize(
    ("spoil", "changes", "code", "words"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
async def test_a_wrong_order_is_rejected_with_the_exchange_s_code_and_a_remedy(
    world: World, spoil: Spoil, changes: dict[str, Any], code: str, words: str
) -> None:
    server, venue = world
    server.core.wallet["BTC"] = D(1)
    spoil(server)
    outcome = await venue.place(order(**changes))
    assert isinstance(outcome, Rejected), outcome
    assert outcome.code == code
    assert words in outcome.message
    assert len(server.seen("order/create")) == 1
    assert not core_of(server, changes.get("symbol", LINEAR)).orders


@pytest.mark.parametrize(("symbol", "code"), [(LINEAR, "110072"), (SPOT, "170141")])
async def test_a_duplicate_client_id_proves_nothing_since_that_order_exists(world: World, symbol: str, code: str) -> None:
    server, venue = world
    core_of(server, symbol).unique = Unique.EVER
    await venue.place(order(symbol=symbol))
    again = await venue.place(order(symbol=symbol))
    assert isinstance(again, Unknown)
    assert code in again.why
    assert len(core_of(server, symbol).orders) == 1


TAKEN = ["html", "empty_object", "empty", "half_json", "truncated", "bad_gzip", "drop_after", "odd_status", "503", "502", "10016"]
LOST = ["drop_before", "503_before", "429", "10006_before", "10016_before"]


@pytest.mark.parametrize(("kind", "held"), [*((kind, 1) for kind in TAKEN), *((kind, 0) for kind in LOST)])
async def test_an_answer_that_proves_nothing_leaves_the_order_unknown_and_its_client_id_tells(kind: str, held: int) -> None:
    async with connected() as (server, venue):
        server.faults.append(Fault("order/create", kind, method="POST"))
        outcome = await venue.place(order())
        assert isinstance(outcome, Unknown), outcome
        assert len(server.seen("order/create")) == 1
        assert len(server.core.orders) == held
        async with venue_at(server) as later:
            assert (await later.lookup(LINEAR, CLIENT_ID) is not None) == bool(held)


def _result(**fields: Any) -> Callable[[Any], Any]:
    return lambda answer: answer | {"result": answer["result"] | fields}


LIES = [
    ("another client id", _result(orderLinkId="someone-else"), "client order id"),
    ("no client id", _result(orderLinkId=""), "client order id"),
    ("order id null", _result(orderId=None), "orderId"),
    ("order id empty", _result(orderId=""), "orderId"),
    ("no result", lambda _answer: {"retCode": 0, "retMsg": "OK"}, "orderLinkId"),
    ("an unheard-of code", lambda answer: answer | {"retCode": 987654, "retMsg": "?"}, "987654"),
    ("no code", lambda answer: {"result": answer["result"]}, ""),
    ("a list", lambda answer: [answer], ""),
    ("null", lambda _answer: None, ""),
]


@pytest.mark.parametrize(("alter", "words"), [row[1:] for row in LIES], ids=[row[0] for row in LIES])
async def test_an_answer_that_does_not_name_our_order_is_no_acceptance(world: World, alter: Any, words: str) -> None:
    server, venue = world
    server.faults.append(Fault("order/create", "alter", method="POST", alter=alter))
    outcome = await venue.place(order())
    assert isinstance(outcome, Unknown), outcome
    assert words in outcome.why
    assert len(server.core.orders) == 1
