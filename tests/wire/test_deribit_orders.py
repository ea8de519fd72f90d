"""Orders through the real deribit class: what is sent by GET, and once, what the exchange holds, what that proves."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import InvariantViolation, VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Rejected, Unknown
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.deribit import Deribit, usual_core
from tests.fakes.deribit_messages import TOO_LATE, order_id
from tests.fakes.exchange_core import Order, Status
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import CLIENT_ID, ShiftedClock, order, venue_at

D = Decimal
LINEAR, INVERSE = "BTC/USDC:USDC", "BTC/USD:BTC"
HOUR, DAY = 3_600_000, 86_400_000


@pytest.fixture
async def exchange() -> AsyncIterator[Deribit]:
    async with Deribit(core=usual_core()) as server:
        yield server


@pytest.fixture
async def deribit(exchange: Deribit) -> AsyncIterator[CcxtVenue]:
    async with venue_at(exchange, attempts=1) as connected:
        exchange.requests.clear()
        yield connected


def bought(**changes: Any) -> OrderRequest:
    """Buy 60,000 dollars of BTC, for which the first level is not enough."""
    return order(**({"symbol": INVERSE, "amount": D(60_000), "price": D(50_010)} | changes))


def sent(exchange: Deribit) -> int:
    """How many orders left."""
    return len(exchange.seen("/private/buy")) + len(exchange.seen("/private/sell"))


def past(exchange: Deribit, client_id: str, *, age: int, filled: int = 0) -> Order:
    """An order of 1,000 dollars that ended ``age`` ms ago."""
    core = exchange.core
    one = core.rest(client_id, "BTC-PERPETUAL", 1, D(1_000), D(50_000), at=core.now() - age)
    if filled:
        core.book(one, D(filled), D(50_000))
        core.trades[-1].at = one.at
    if one.status.rests:
        one.status = Status.CANCELED
    return one


async def test_an_order_is_a_get_that_carries_what_was_approved_and_is_reported_whole(
    exchange: Deribit, deribit: CcxtVenue
) -> None:
    deadline = ShiftedClock().now() + timedelta(seconds=3)
    outcome = await deribit.place(bought(deadline=deadline))
    (seen,) = exchange.seen("/private/buy")
    until = int(seen.parameters.pop("valid_until"))
    assert (seen.method, seen.body) == ("GET", b"")
    assert seen.parameters == {
        "instrument_name": "BTC-PERPETUAL",
        "amount": "60000",
        "type": "limit",
        "price": "50010",
        "time_in_force": "immediate_or_cancel",
        "label": CLIENT_ID,
    }
    assert abs(until - deadline.timestamp() * 1000) < 100
    (held,) = exchange.core.orders.values()
    assert isinstance(outcome, Accepted)
    assert (outcome.report.order_id, outcome.report.filled) == (order_id(held.id), D(60_000))
    assert outcome.report.state is ChildState.FILLED
    assert outcome.report.average is not None
    assert abs(outcome.report.average - held.average) < D("1e-8")


RESENT = ["drop_before", "drop_after", "truncated", "503", "502", "redirect", "empty", "half_json", "html"]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("kind", RESENT)
async def test_an_order_leaves_once_whatever_becomes_of_the_connection(
    exchange: Deribit, deribit: CcxtVenue, kind: str, side: Side
) -> None:
    exchange.faults.append(Fault(f"/private/{side}", kind))
    outcome = await deribit.place(bought(side=side, price=D(50_010 if side is Side.BUY else 49_990)))
    assert isinstance(outcome, Unknown), outcome
    assert sent(exchange) == 1
    assert len(exchange.core.orders) == (0 if kind == "drop_before" else 1)
    exchange.faults.clear()
    async with venue_at(exchange) as later:
        found = await later.lookup(INVERSE, CLIENT_ID)
    assert (found is not None) == bool(exchange.core.orders)


async def test_an_order_leaves_once_although_the_connection_was_closed_while_it_was_idle(exchange: Deribit) -> None:
    async with venue_at(exchange, attempts=1) as venue:
        exchange.faults.append(Fault("get_open_orders", "drop_before", times=1))
        with pytest.raises(VenueUnavailable):
            await venue.account()
        exchange.faults.append(Fault("/private/buy", "drop_after", times=1))
        exchange.requests.clear()
        assert isinstance(await venue.place(bought()), Unknown)
        assert sent(exchange) == len(exchange.core.orders) == 1


async def test_an_order_that_arrives_after_its_deadline_is_not_processed(exchange: Deribit, deribit: CcxtVenue) -> None:
    exchange.skew = 6_000
    outcome = await deribit.place(bought())
    assert isinstance(outcome, Unknown)
    assert str(TOO_LATE) in outcome.why
    assert not exchange.core.orders
    assert await deribit.lookup(INVERSE, CLIENT_ID) is None


async def test_a_label_that_two_orders_have_is_no_order_and_nobody_goes_on(deribit: CcxtVenue) -> None:
    for _ in range(2):
        assert isinstance(await deribit.place(bought(amount=D(10))), Accepted)
    with pytest.raises(InvariantViolation, match="2 orders labelled"):
        await deribit.lookup(INVERSE, CLIENT_ID)


async def test_the_same_label_in_another_currency_is_another_order_s(deribit: CcxtVenue) -> None:
    assert isinstance(await deribit.place(bought(symbol=LINEAR, amount=D("0.001"))), Accepted)
    assert await deribit.lookup(INVERSE, CLIENT_ID) is None


@pytest.mark.parametrize(("age", "filled"), [(HOUR // 3, 0), (HOUR, 0), (HOUR, 400), (30 * DAY, 400), (30 * DAY, 1_000)])
async def test_a_lookup_finds_an_order_however_long_ago_it_ended(
    exchange: Deribit, deribit: CcxtVenue, age: int, filled: int
) -> None:
    one = past(exchange, CLIENT_ID, age=age, filled=filled)
    found = await deribit.lookup(INVERSE, CLIENT_ID)
    assert found is not None
    state = ChildState.FILLED if filled == 1_000 else ChildState.CANCELED
    assert (found.order_id, found.state, found.filled) == (order_id(one.id), state, D(filled))


@pytest.mark.parametrize("count", [999, 1000, 2001])
async def test_none_is_said_only_when_every_page_of_the_past_was_read(exchange: Deribit, deribit: CcxtVenue, count: int) -> None:
    first = past(exchange, "kprfirst", age=30 * DAY)
    for number in range(1, count):
        past(exchange, f"kpr{number}", age=29 * DAY)
    assert await deribit.lookup(INVERSE, CLIENT_ID) is None
    assert len(exchange.seen("get_order_history_by_instrument")) == 1 + count // 1000 + 1
    found = await deribit.lookup(INVERSE, "kprfirst")
    assert found is not None
    assert found.order_id == order_id(first.id)


@pytest.mark.parametrize("path", ["get_order_state_by_label", "get_order_history_by_instrument"])
@pytest.mark.parametrize("kind", ["html", "empty_object", "empty", "half_json", "503", "drop_before"])
async def test_a_lookup_without_an_answer_is_never_not_found(exchange: Deribit, deribit: CcxtVenue, path: str, kind: str) -> None:
    exchange.faults.append(Fault(path, kind))
    with pytest.raises(VenueUnavailable):
        await deribit.lookup(INVERSE, CLIENT_ID)


@pytest.mark.parametrize("age", [0, 2 * DAY])
@pytest.mark.parametrize(("symbol", "amount", "asset"), [(LINEAR, D("3.5"), "USDC"), (INVERSE, D(120_000), "BTC")])
async def test_fills_are_all_trades_of_the_order_recent_or_old_in_the_order_s_own_unit(
    exchange: Deribit, deribit: CcxtVenue, symbol: str, amount: Decimal, asset: str, age: int
) -> None:
    outcome = await deribit.place(bought(symbol=symbol, amount=amount))
    await deribit.place(bought(symbol=symbol, amount=D(10), client_id="kprother"))
    assert isinstance(outcome, Accepted)
    own = [one for one in exchange.core.trades if order_id(one.order_id) == outcome.report.order_id]
    for one in own[1:]:
        one.at -= age
    fills = await deribit.fills(symbol, outcome.report.order_id)
    assert sorted((f.amount, f.price, f.fee) for f in fills) == sorted((t.amount, t.price, t.fee) for t in own)
    assert sum(fill.amount for fill in fills) == amount
    assert {fill.fee_asset for fill in fills} == {asset}


async def test_a_rebate_is_a_negative_fee(exchange: Deribit, deribit: CcxtVenue) -> None:
    exchange.core.fee_rate = D("-0.0001")
    outcome = await deribit.place(bought())
    assert isinstance(outcome, Accepted)
    assert all(fill.fee < 0 for fill in await deribit.fills(INVERSE, outcome.report.order_id))


async def test_the_past_of_a_market_holds_what_others_did_and_leaves_out_what_is_older(
    exchange: Deribit, deribit: CcxtVenue
) -> None:
    past(exchange, "kprold", age=3 * DAY, filled=1_000)
    before = past(exchange, "", age=DAY, filled=400)
    recent = past(exchange, "kprnew", age=HOUR // 3)
    resting = exchange.core.rest("web", "BTC-PERPETUAL", -1, D(1_000), D(51_000))
    exchange.core.rest("", "ETH-PERPETUAL", 1, D(1_000), D(2_000))
    found = await deribit.orders(INVERSE, ShiftedClock().now() - timedelta(days=2))
    assert [(one.order_id, one.client_id, one.state, one.filled) for one in found] == [
        (order_id(before.id), "", ChildState.CANCELED, D(400)),
        (order_id(recent.id), "kprnew", ChildState.CANCELED, D(0)),
        (order_id(resting.id), "web", ChildState.LIVE, D(0)),
    ]


def _rule(**changes: Any) -> Callable[[Deribit], None]:
    def change(exchange: Deribit) -> None:
        for name, value in changes.items():
            setattr(exchange.core.instruments["BTC-PERPETUAL"], name, value)

    return change


REJECTIONS: list[tuple[str, Callable[[Deribit], None], dict[str, Any], str, str]] = [
    ("unknown key", lambda exchange: setattr(exchange, "api_key", "other"), {}, "13004", "does not know this key"),
    ("wrong secret", lambda exchange: setattr(exchange, "secret", "other"), {}, "13009", "secret belongs"),
    ("wrong lot", _rule(step=D(7)), {}, "-32602", "parameters"),
    ("off the tick", _rule(tick=D(100)), {}, "10043", "tick"),
    ("below the minimum", _rule(min_amount=D(100_000)), {}, "10002", "minimum"),
    ("closed", _rule(open=False), {}, "10012", "closed"),
    ("no margin", lambda exchange: exchange.core.wallet.update(BTC=D("0.001")), {}, "10009", "margin"),
    ("nothing to reduce", lambda _exchange: None, {"reduce_only": True}, "11030", "reduce"),
    ("too far", lambda exchange: exchange.core.marks.update({"BTC-PERPETUAL": D(40_000)}), {}, "10007", "max_slippage_bps"),
    ("unknown market", lambda exchange: exchange.core.instruments.clear(), {}, "13020", "symbol"),
]


@pytest.mark.parametrize(
    ("spoil", "changes", "code", "words"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
async def test_a_wrong_order_is_rejected_with_the_exchange_s_code_and_its_own_message(
    exchange: Deribit,
    deribit: CcxtVenue,
    spoil: Callable[[Deribit], None],
    changes: dict[str, Any],
    code: str,
    words: str,
) -> None:
    spoil(exchange)
    outcome = await deribit.place(bought(**changes))
    assert isinstance(outcome, Rejected)
    assert outcome.code == code
    assert words in outcome.message
    assert sent(exchange) == 1
    assert not exchange.core.orders


@pytest.mark.parametrize("code", [10001, 10028, 10040, 10041, 10047, 11051, 11094, TOO_LATE])
async def test_a_code_that_only_says_not_now_proves_nothing(exchange: Deribit, deribit: CcxtVenue, code: int) -> None:
    said = {"jsonrpc": "2.0", "error": {"code": code, "message": "retry"}}
    exchange.faults.append(Fault("/private/buy", "alter", alter=lambda _reply: said))
    outcome = await deribit.place(bought())
    assert isinstance(outcome, Unknown)
    assert str(code) in outcome.why
    assert sent(exchange) == 1


def _order(**fields: Any) -> Callable[[Any], Any]:
    return lambda reply: reply | {"result": reply["result"] | {"order": reply["result"]["order"] | fields}}


LIES = [
    ("another label", _order(label="someone-else"), "client order id"),
    ("no label", _order(label=""), "client order id"),
    ("another market", _order(instrument_name="ETH-PERPETUAL"), "asked was"),
    ("no order id", _order(order_id=None), "order_id"),
    ("unknown state", _order(order_state="pondering"), "order_state"),
    ("filled not a number", _order(filled_amount="NaN"), "200"),
    ("filled but nothing", _order(filled_amount=0.0), "was filled"),
    ("more than was asked for", _order(filled_amount=70_000.0, amount=70_000.0), "70000"),
    ("worse than its limit", _order(average_price=50_011.0), "average"),
    ("no order", lambda reply: reply | {"result": {"trades": []}}, ""),
    ("a list", lambda reply: [reply], ""),
    ("null", lambda _reply: None, ""),
]


@pytest.mark.parametrize(("alter", "words"), [row[1:] for row in LIES], ids=[row[0] for row in LIES])
async def test_an_answer_that_does_not_name_our_order_whole_is_no_acceptance(
    exchange: Deribit, deribit: CcxtVenue, alter: Callable[[Any], Any], words: str
) -> None:
    exchange.faults.append(Fault("/private/buy", "alter", alter=alter))
    outcome = await deribit.place(bought())
    assert isinstance(outcome, Unknown), outcome
    assert words in outcome.why
    assert len(exchange.core.orders) == sent(exchange) == 1


async def test_a_cancel_is_by_label_and_currency_and_of_nothing_else(exchange: Deribit, deribit: CcxtVenue) -> None:
    ours = exchange.core.rest(CLIENT_ID, "BTC-PERPETUAL", 1, D(10), D(49_000))
    other = exchange.core.rest("web", "BTC-PERPETUAL", 1, D(10), D(49_000))
    for _ in range(2):
        await deribit.cancel(INVERSE, CLIENT_ID)
    assert (ours.status.rests, other.status.rests) == (False, True)
    assert [one.parameters for one in exchange.seen("cancel_by_label")] == 2 * [{"currency": "BTC", "label": CLIENT_ID}]
    assert not await deribit.dead_man([INVERSE], timedelta(seconds=60))
