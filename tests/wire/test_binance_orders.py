"""Orders through the real binanceusdm class: what is sent, what the exchange then holds, and what we may conclude."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.errors import VenueRefused, VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.numbers import plain
from keeper.domain.order import Accepted, ChildState, Outcome, Rejected, Unknown
from keeper.venues.ccxt_venue import CcxtVenue, wire_numbers
from tests.fakes import binance_messages
from tests.fakes.binance_usdm import BinanceUsdm, Fault, usual_core
from tests.fakes.exchange_core import ExchangeCore
from tests.fakes.loopback_venue import BTC, CLIENT_ID, ETH, ShiftedClock, order, venue_at

D = Decimal


async def test_an_order_carries_what_was_approved_and_is_reported_as_the_exchange_holds_it(
    server: BinanceUsdm, venue: CcxtVenue
) -> None:
    outcome = await venue.place(order(amount=D("1.5")))
    assert isinstance(outcome, Accepted)
    (sent,) = server.seen("order", "POST")
    wanted = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "IOC",
        "quantity": "1.5",
        "price": "50010.1",
        "newClientOrderId": CLIENT_ID,
        "newOrderRespType": "RESULT",
    }
    assert wanted.items() <= sent.parameters.items()
    assert "reduceOnly" not in sent.parameters
    (held,) = server.core.orders.values()
    assert outcome.report.order_id == str(held.id)
    assert (outcome.report.state, outcome.report.filled) == (ChildState.FILLED, held.filled) == (ChildState.FILLED, D("1.5"))
    assert outcome.report.average == held.average.quantize(D("1e-8"))


async def test_the_deadline_is_pinned_to_timestamp_and_window(server: BinanceUsdm, venue: CcxtVenue) -> None:
    deadline = ShiftedClock().now() + timedelta(seconds=3)
    await venue.place(order(deadline=deadline))
    (sent,) = server.seen("order", "POST")
    end = int(sent.parameters["timestamp"]) + int(sent.parameters["recvWindow"])
    # the measured offset of a clock on the same machine is a few milliseconds at most
    assert abs(end - deadline.timestamp() * 1000) < 100


async def test_the_window_ends_by_the_deadline_however_late_the_request_is_signed(server: BinanceUsdm) -> None:
    clock = ShiftedClock()
    async with venue_at(server, clock=clock) as venue:
        server.requests.clear()
        clock.step = timedelta(milliseconds=150)
        deadline = clock.now() + timedelta(seconds=3)
        await venue.place(order(deadline=deadline))
        (sent,) = server.seen("order", "POST")
        end = int(sent.parameters["timestamp"]) + int(sent.parameters["recvWindow"])
        # as far as the measured offset goes, which is a few milliseconds at most: much less than how late it was
        assert abs(deadline.timestamp() * 1000 - end) < 100


async def test_a_deadline_beyond_the_longest_window_is_cut_to_it(server: BinanceUsdm, venue: CcxtVenue) -> None:
    await venue.place(order(deadline=ShiftedClock().now() + timedelta(minutes=10)))
    assert server.seen("order", "POST")[0].parameters["recvWindow"] == "60000"
    assert len(server.core.orders) == 1


async def test_an_order_that_exceeds_the_displayed_depth_fills_in_part_and_repeated_at_once_gets_less(
    server: BinanceUsdm, venue: CcxtVenue
) -> None:
    first = await venue.place(order(client_id="first", amount=D(15), price=D("50005.1")))
    second = await venue.place(order(client_id="second", amount=D(15), price=D("50005.1")))
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.report.state is second.report.state is ChildState.CANCELED
    assert D(15) > first.report.filled > second.report.filled
    ten_minutes_on = server.core.now() + 600_000
    server.core.now = lambda: ten_minutes_on
    server.skew = -600_000
    third = await venue.place(order(client_id="third", amount=D(15), price=D("50005.1")))
    assert isinstance(third, Accepted)
    assert third.report.filled == first.report.filled


async def test_a_reduce_only_order_says_so_and_never_flips_the_position(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.hold("BTCUSDT", D("-0.5"), D(50_000))
    outcome = await venue.place(order(amount=D(2), reduce_only=True))
    assert isinstance(outcome, Accepted)
    assert server.seen("order", "POST")[0].parameters["reduceOnly"] == "true"
    assert outcome.report.filled == D("0.5")
    assert server.core.holdings["BTCUSDT"].amount == 0


async def test_fills_are_those_of_the_order_with_fees_oldest_first(server: BinanceUsdm, venue: CcxtVenue) -> None:
    outcome = await venue.place(order(amount=D("2.5")))
    await venue.place(order(client_id="other"))
    assert isinstance(outcome, Accepted)
    fills = await venue.fills(BTC, outcome.report.order_id)
    own = [trade for trade in server.core.trades if str(trade.order_id) == outcome.report.order_id]
    assert [(f.trade_id, f.amount, f.price, f.fee) for f in fills] == [(str(t.id), t.amount, t.price, t.fee) for t in own]
    assert {(f.fee_asset, f.side, f.symbol) for f in fills} == {("USDT", Side.BUY, BTC)}
    assert sum(f.amount for f in fills) == D("2.5")


async def test_the_account_after_is_the_account_before_with_our_fills_booked(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.hold("BTCUSDT", D("1.2"), D(49_000))
    market = (await venue.markets([BTC]))[BTC]
    account = await venue.account()
    for number, (side, amount, price) in enumerate((("buy", "0.5", "50010"), ("sell", "2.4", "49900"), ("buy", "0.3", "50100"))):
        outcome = await venue.place(order(client_id=f"k{number}", side=Side(side), amount=D(amount), price=D(price)))
        assert isinstance(outcome, Accepted)
        for fill in await venue.fills(BTC, outcome.report.order_id):
            account = account.after(fill, market)
    seen = await venue.account()
    assert seen.positions[BTC].contracts == account.positions[BTC].contracts == server.core.holdings["BTCUSDT"].amount
    assert abs(seen.positions[BTC].entry - account.positions[BTC].entry) < D("1e-7")
    assert abs(seen.balances["USDT"] - account.balances["USDT"]) < D("1e-7")


Spoil = Callable[[BinanceUsdm], None]


def _rule(**changes: Any) -> Spoil:
    def change(server: BinanceUsdm) -> None:
        for name, value in changes.items():
            setattr(server.core.instruments["BTCUSDT"], name, value)

    return change


def _set(name: str, value: Any) -> Spoil:
    return lambda server: setattr(server, name, value)


REJECTIONS: list[tuple[str, Spoil, dict[str, Any], str, str]] = [
    ("wrong secret", _set("secret", "another"), {}, "-1022", "secret belongs to the API key"),
    ("unknown key", _set("api_key", "another"), {}, "-2015", "unknown here"),
    ("old timestamp", _set("skew", 20_000), {}, "-1021", "clock"),
    ("timestamp ahead", _set("skew", -20_000), {}, "-1021", "clock"),
    ("off the tick", _rule(tick=D("0.5")), {}, "-4014", "tick"),
    ("wrong lot", _rule(step=D("0.010")), {}, "-4023", "lots"),
    ("too many digits", _rule(amount_digits=2), {}, "-1111", "digits"),
    ("below the minimum", _rule(min_amount=D(1)), {}, "-4004", "minimum"),
    ("small notional", _rule(min_notional=D(10_000)), {}, "-4164", "notional"),
    ("unknown symbol", lambda server: server.core.instruments.clear(), {}, "-1121", "symbol"),
    ("no margin", lambda server: server.core.wallet.update(USDT=D(10)), {}, "-2019", "margin"),
    ("nothing to reduce", lambda _server: None, {"reduce_only": True}, "-2022", "reduce"),
    ("price above the cap", lambda server: server.core.marks.update(BTCUSDT=D(40_000)), {}, "-4016", "max_slippage_bps"),
    (
        "price below the floor",
        lambda server: server.core.marks.update(BTCUSDT=D(60_000)),
        {"side": Side.SELL},
        "-4024",
        "max_slippage_bps",
    ),
    ("hedge mode", lambda server: setattr(server.core, "hedged", True), {}, "-4061", "one-way"),
]


@pytest.mark.parametrize(
    ("spoil", "changes", "code", "words"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
async def test_a_wrong_order_is_rejected_with_the_exchange_s_code_and_its_own_message(
    server: BinanceUsdm, venue: CcxtVenue, spoil: Spoil, changes: dict[str, Any], code: str, words: str
) -> None:
    spoil(server)
    outcome = await venue.place(order(**changes))
    assert isinstance(outcome, Rejected)
    assert outcome.code == code
    assert words in outcome.message
    assert len(server.seen("order", "POST")) == 1
    assert not server.core.orders


def test_no_two_rejections_share_a_message() -> None:
    assert len({row[4] + row[3] for row in REJECTIONS if row[3] != "-1021"}) == len(REJECTIONS) - 2


async def test_a_duplicate_client_id_proves_nothing_since_that_order_exists(server: BinanceUsdm, venue: CcxtVenue) -> None:
    _rest(server.core, CLIENT_ID)
    outcome = await venue.place(order())
    assert isinstance(outcome, Unknown)
    assert "-4116" in outcome.why
    assert "already" in outcome.why
    found = await venue.lookup(BTC, CLIENT_ID)
    assert found is not None
    assert found.state is ChildState.LIVE
    assert len(server.core.orders) == 1


def _rest(core: ExchangeCore, client_id: str) -> None:
    core.place(
        client_id=client_id,
        symbol="BTCUSDT",
        sign=1,
        amount=D("0.01"),
        price=D(49_000),
        time_in_force="GTC",
        reduce_only=False,
    )


TAKEN = [
    "html",
    "empty_object",
    "empty",
    "half_json",
    "truncated",
    "bad_gzip",
    "drop_after",
    "hang",
    "redirect",
    "odd_status",
    "503",
    "502",
    "422",
    "408",
    "-1006",
    "-1007",
]
LOST = ["drop_before", "503_before", "429", "418"]


@pytest.mark.parametrize(("kind", "held"), [*((kind, 1) for kind in TAKEN), *((kind, 0) for kind in LOST)])
async def test_a_reply_that_proves_nothing_leaves_the_order_unknown_and_sends_no_second_one(
    server: BinanceUsdm, kind: str, held: int
) -> None:
    async with venue_at(server, timeout=0.3 if kind == "hang" else 10.0) as venue:
        server.faults.append(Fault("order", kind, method="POST"))
        outcome = await venue.place(order())
        assert isinstance(outcome, Unknown), outcome
        assert len(server.seen("order", "POST")) == 1
        assert not server.seen("/elsewhere/fapi/v1/order")
        assert len(server.core.orders) == held
    async with venue_at(server) as later:
        found = await later.lookup(BTC, CLIENT_ID)
        assert (found is not None) == bool(held)
        if found is not None:
            assert found.filled == D("0.015")


def _changed(**fields: Any) -> Callable[[Any], Any]:
    return lambda reply: reply | fields


LIES = [
    ("another client id", _changed(clientOrderId="someone-else"), "client order id"),
    ("no order id", lambda reply: {name: value for name, value in reply.items() if name != "orderId"}, "orderId"),
    ("order id null", _changed(orderId=None), "order id"),
    ("unknown status", _changed(status="PONDERING"), "status"),
    ("no status", _changed(status=None), "status"),
    ("filled not a number", _changed(executedQty="NaN"), ""),
    ("filled negative", _changed(executedQty="-1"), ""),
    ("filled but nothing", _changed(executedQty="0.000"), "0.000 of 0.015 was filled"),
    ("average not a number", _changed(avgPrice="nan"), ""),
    ("average negative", _changed(avgPrice="-5"), "above zero"),
    ("a rejection with HTTP 200", lambda _reply: {"code": -2019, "msg": "Margin is insufficient."}, "200"),
    ("an unheard-of code", lambda _reply: {"code": -9999, "msg": "?"}, "-9999"),
    ("a list", lambda reply: [reply], ""),
    ("a number", lambda _reply: 7, ""),
    ("null", lambda _reply: None, ""),
]


@pytest.mark.parametrize(("alter", "words"), [row[1:] for row in LIES], ids=[row[0] for row in LIES])
async def test_an_answer_that_does_not_name_our_order_whole_is_no_acceptance(
    server: BinanceUsdm, venue: CcxtVenue, alter: Callable[[Any], Any], words: str
) -> None:
    server.faults.append(Fault("order", "alter", method="POST", alter=alter))
    outcome = await venue.place(order())
    assert isinstance(outcome, Unknown), outcome
    assert words in outcome.why
    assert len(server.core.orders) == len(server.seen("order", "POST")) == 1


async def test_an_order_that_no_header_left_for_is_rejected_as_never_sent(server: BinanceUsdm, venue: CcxtVenue) -> None:
    address = f"{server.url.removeprefix('http://')} (which stands for demo-fapi.binance.com)"
    await server.stop()
    with pytest.raises(VenueUnavailable, match="can't be reached"):
        await venue.account()  # finds the pooled connections dead
    outcome = await venue.place(order())
    causes = "ExchangeNotAvailable, ClientConnectorError"
    assert outcome == Rejected("never_sent", f"the order never left: {address} can't be reached ({causes})")
    assert not server.requests


NEVER_SENT: list[tuple[dict[str, Any], str]] = [
    ({"amount": D("0.0155")}, "amount 0.0155"),
    ({"amount": D("0.0001")}, ""),
    ({"price": D("50010.15")}, "price 50010.15"),
    ({"symbol": "BTC/NOTHING"}, "BTC/NOTHING"),
    ({"client_id": "x" * 37}, "36"),
    ({"deadline": ShiftedClock().now() - timedelta(milliseconds=1)}, "deadline"),
]


@pytest.mark.parametrize(("changes", "words"), NEVER_SENT, ids=[str(next(iter(row[0]))) + row[1] for row in NEVER_SENT])
async def test_an_order_that_would_not_arrive_as_approved_is_never_sent(
    server: BinanceUsdm, venue: CcxtVenue, changes: dict[str, Any], words: str
) -> None:
    outcome = await venue.place(order(**changes))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "never_sent"
    assert words in outcome.message
    assert not server.requests


async def test_after_a_rate_limit_nothing_is_sent_until_it_ends(server: BinanceUsdm) -> None:
    clock = ShiftedClock()
    async with venue_at(server, clock=clock) as venue:
        server.faults.append(Fault("order", "429", method="POST", times=1))
        assert isinstance(await venue.place(order()), Unknown)
        before = len(server.requests)
        silenced = await venue.place(order())
        assert isinstance(silenced, Rejected)
        assert silenced.code == "never_sent"
        with pytest.raises(VenueUnavailable, match="silence"):
            await venue.account()
        assert len(server.requests) == before
        clock.shift = timedelta(seconds=31)
        server.skew = 31_000
        assert isinstance(await venue.place(order(deadline=clock.now() + timedelta(seconds=5))), Accepted)


async def test_a_cancelled_placement_raises_and_is_not_repeated(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.faults.append(Fault("order", "hang", method="POST"))
    placing = asyncio.ensure_future(venue.place(order()))
    await server.hanging.wait()
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    assert len(server.seen("order", "POST")) == len(server.core.orders) == 1


LOOKUPS: list[tuple[str, str, ChildState]] = [
    ("NEW", "0", ChildState.LIVE),
    ("PARTIALLY_FILLED", "0.005", ChildState.LIVE),
    ("FILLED", "0.015", ChildState.FILLED),
    ("CANCELED", "0", ChildState.CANCELED),
    ("EXPIRED", "0.005", ChildState.CANCELED),
    ("EXPIRED_IN_MATCH", "0", ChildState.CANCELED),
    ("REJECTED", "0", ChildState.REJECTED),
]


@pytest.mark.parametrize(("status", "filled", "state"), LOOKUPS)
async def test_a_lookup_reports_the_state_that_the_exchange_keeps(
    server: BinanceUsdm, venue: CcxtVenue, status: str, filled: str, state: ChildState
) -> None:
    await venue.place(order())
    average = "50000.1" if D(filled) else "0.00000"
    alter = _changed(status=status, executedQty=filled, avgPrice=average)
    server.faults.append(Fault("order", "alter", method="GET", alter=alter))
    found = await venue.lookup(BTC, CLIENT_ID)
    assert found is not None
    assert (found.state, found.filled) == (state, D(filled))
    assert found.average == (D(average) if D(filled) else None)


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty", "half_json", "503", "drop_before", "-1007", "redirect"])
async def test_a_lookup_without_an_answer_is_never_not_found(server: BinanceUsdm, venue: CcxtVenue, kind: str) -> None:
    server.faults.append(Fault("order", kind, method="GET"))
    with pytest.raises(VenueUnavailable):
        await venue.lookup(BTC, CLIENT_ID)


async def test_a_lookup_of_an_order_that_the_exchange_never_had_is_none_after_one_question(
    server: BinanceUsdm, venue: CcxtVenue
) -> None:
    assert await venue.lookup(BTC, CLIENT_ID) is None
    assert len(server.requests) == 1
    assert server.requests[0].parameters["origClientOrderId"] == CLIENT_ID


@pytest.mark.parametrize("kind", ["empty_object", "html", "503", "redirect", "half_json", "empty"])
async def test_fills_without_an_answer_are_unavailable(server: BinanceUsdm, venue: CcxtVenue, kind: str) -> None:
    server.faults.append(Fault("userTrades", kind))
    with pytest.raises(VenueUnavailable):
        await venue.fills(BTC, "8000001")


@pytest.mark.parametrize("count", [999, 1000, 1001, 2500])
async def test_every_trade_of_an_order_is_read_however_many_there_are(server: BinanceUsdm, venue: CcxtVenue, count: int) -> None:
    outcome = await venue.place(order())
    assert isinstance(outcome, Accepted)
    [first] = server.core.trades
    server.core.trades += [replace(first, id=first.id + 2 * number) for number in range(1, count)]
    server.core.trades += [replace(first, id=first.id + 2 * number + 1, order_id=first.order_id + 1) for number in range(count)]
    found = await venue.fills(BTC, outcome.report.order_id)
    assert [fill.trade_id for fill in found] == [str(first.id + 2 * number) for number in range(count)]
    assert len(server.seen("userTrades")) == (1 if count < 1000 else 2 + count // 1000)


@pytest.fixture(scope="module")
def offline() -> Any:
    import ccxt.async_support

    exchange = ccxt.async_support.binanceusdm({"number": str})
    exchange.set_markets([exchange.parse_market(one) for one in binance_messages.exchange_info(usual_core(), 0)["symbols"]])
    return exchange


@given(symbol=st.sampled_from([(BTC, "0.1"), (ETH, "0.01")]), lots=st.integers(1, 10**7), ticks=st.integers(1, 10**8))
@settings(max_examples=200, deadline=None)
def test_every_whole_lot_and_tick_reads_back_from_the_wire_exactly(
    offline: Any, symbol: tuple[str, str], lots: int, ticks: int
) -> None:
    name, tick = symbol
    asked = order(symbol=name, amount=lots * D("0.001"), price=ticks * D(tick))
    amount, price = wire_numbers(offline, asked)
    with localcontext():  # ccxt would leave its rounding to the thread
        assert D(offline.amount_to_precision(name, amount)) == asked.amount
        assert D(offline.price_to_precision(name, price)) == asked.price


@given(lots=st.integers(1, 10**6), more=st.integers(1, 9))
def test_what_is_not_a_whole_number_of_lots_is_refused_not_rounded(offline: Any, lots: int, more: int) -> None:
    with pytest.raises(VenueRefused, match="not a whole number"):
        wire_numbers(offline, order(amount=lots * D("0.001") + more * D("0.0001")))


EXACT = ["0.001", "0.1", "0.3", "1", "123.457", "999.999", "1000000"]


@pytest.mark.parametrize("amount", EXACT)
async def test_amounts_arrive_as_the_very_decimal(server: BinanceUsdm, venue: CcxtVenue, amount: str) -> None:
    server.core.instruments["BTCUSDT"].min_notional = D(0)
    await venue.place(order(amount=D(amount)))
    assert server.seen("order", "POST")[0].parameters["quantity"] == plain(D(amount))


async def test_outcomes_are_values_of_three_kinds(venue: CcxtVenue) -> None:
    outcome: Outcome = await venue.place(order())
    assert isinstance(outcome, Accepted | Rejected | Unknown)
