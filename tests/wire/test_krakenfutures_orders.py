"""Orders through the real krakenfutures class: what is sent, what the exchange then holds, and what we may conclude."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Outcome, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.exchange_core import Forced
from tests.fakes.krakenfutures import TOO_LATE, KrakenFutures, usual_core
from tests.fakes.krakenfutures_messages import milliseconds, order_uid, trade_uid
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import CLIENT_ID, ShiftedClock, order, venue_at

D = Decimal
LINEAR, INVERSE = "BTC/USD:USD", "BTC/USD:BTC"
DAY = timedelta(days=1)


@pytest.fixture
async def exchange() -> AsyncIterator[KrakenFutures]:
    async with KrakenFutures(core=usual_core()) as server:
        yield server


@pytest.fixture
async def kraken(exchange: KrakenFutures) -> AsyncIterator[CcxtVenue]:
    async with venue_at(exchange, attempts=1) as connected:
        exchange.requests.clear()
        yield connected


def bought(**changes: Any) -> OrderRequest:
    """Buy 1.5 BTC, for which the first level is not enough."""
    return order(**({"symbol": LINEAR, "amount": D("1.5"), "price": D(50_010)} | changes))


def taken(outcome: Outcome) -> str:
    """The order's id."""
    assert isinstance(outcome, Accepted), outcome
    return outcome.report.order_id


async def test_an_order_carries_what_was_approved_and_is_taken_without_a_word_on_its_fills(
    exchange: KrakenFutures, kraken: CcxtVenue
) -> None:
    deadline = ShiftedClock().now() + timedelta(seconds=3)
    outcome = await kraken.place(bought(deadline=deadline))
    (sent,) = exchange.seen("sendorder")
    wanted = {"symbol": "PF_XBTUSD", "side": "buy", "orderType": "ioc", "size": "1.5", "limitPrice": "50010"}
    assert sent.method == "POST"
    assert (wanted | {"cliOrdId": CLIENT_ID}).items() <= sent.parameters.items()
    assert set(sent.parameters) == {*wanted, "cliOrdId", "processBefore"}
    assert abs(milliseconds(sent.parameters["processBefore"]) - deadline.timestamp() * 1000) < 100
    (held,) = exchange.core.orders.values()
    assert taken(outcome) == order_uid(held.id)
    assert isinstance(outcome, Accepted)
    assert (outcome.report.state, outcome.report.filled, outcome.report.client_id) == (ChildState.LIVE, D(0), CLIENT_ID)


async def test_an_order_that_arrives_after_its_deadline_is_not_taken(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    exchange.skew = 6_000
    outcome = await kraken.place(bought())
    assert isinstance(outcome, Unknown)
    assert TOO_LATE in outcome.why
    assert not exchange.core.orders
    assert await kraken.lookup(LINEAR, CLIENT_ID) is None


@pytest.mark.parametrize(("environment", "host"), [("live", "futures.kraken.com"), ("testnet", "demo-futures.kraken.com")])
async def test_each_environment_has_its_own_host_for_trading_and_history(
    exchange: KrakenFutures, environment: str, host: str
) -> None:
    async with venue_at(exchange, Environment(environment)) as venue:
        order_id = taken(await venue.place(bought()))
        await venue.lookup(LINEAR, CLIENT_ID)
        await venue.fills(LINEAR, order_id)
    assert {one.host for one in exchange.requests} == {host}
    assert exchange.seen("executions")


@pytest.mark.parametrize("memory", [5_000, -1])
async def test_a_lookup_finds_an_order_while_trading_knows_it_and_ever_after(
    exchange: KrakenFutures, kraken: CcxtVenue, memory: int
) -> None:
    order_id = taken(await kraken.place(bought()))
    exchange.memory = memory
    found = await kraken.lookup(LINEAR, CLIENT_ID)
    assert found is not None
    assert (found.order_id, found.state, found.filled) == (order_id, ChildState.FILLED, D("1.5"))
    assert found.average is not None
    assert found.average.quantize(D("0.0001")) == D("50001.3333")


@pytest.mark.parametrize("memory", [5_000, -1])
async def test_what_could_not_be_filled_at_once_is_canceled(exchange: KrakenFutures, kraken: CcxtVenue, memory: int) -> None:
    taken(await kraken.place(bought(amount=D(5), price=D(50_002))))
    exchange.memory = memory
    found = await kraken.lookup(LINEAR, CLIENT_ID)
    assert found is not None
    assert (found.state, found.filled) == (ChildState.CANCELED, D(2))


@pytest.mark.parametrize("memory", [5_000, -1])
async def test_an_order_that_found_nobody_was_taken_and_is_gone(exchange: KrakenFutures, kraken: CcxtVenue, memory: int) -> None:
    outcome = await kraken.place(bought(price=D(49_000)))
    (held,) = exchange.core.orders.values()
    exchange.memory = memory
    found = await kraken.lookup(LINEAR, CLIENT_ID)
    assert isinstance(outcome, Accepted)
    for report in (outcome.report, found):
        assert report is not None
        assert (report.order_id, report.state, report.filled) == (order_uid(held.id), ChildState.CANCELED, D(0))


async def test_an_order_that_found_nobody_is_rejected_where_the_answer_does_not_name_it(
    exchange: KrakenFutures, kraken: CcxtVenue
) -> None:
    exchange.faults.append(Fault("sendorder", "alter", alter=_status(orderEvents=[])))
    outcome = await kraken.place(bought(price=D(49_000)))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "iocWouldNotExecute"


async def test_a_lookup_soon_after_needs_no_history_but_fees_do(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    order_id = taken(await kraken.place(bought()))
    exchange.lag = 60_000
    found = await kraken.lookup(LINEAR, CLIENT_ID)
    assert found is not None
    assert (found.state, found.filled) == (ChildState.FILLED, D("1.5"))
    assert not [one for one in exchange.requests if "/history/" in one.path]
    assert await kraken.fills(LINEAR, order_id) == ()
    exchange.lag = 0
    assert sum(fill.amount for fill in await kraken.fills(LINEAR, order_id)) == D("1.5")


async def test_fills_that_are_not_told_yet_leave_an_order_live(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    taken(await kraken.place(bought()))
    exchange.faults.append(Fault("/fills", "alter", alter=lambda reply: reply | {"fills": reply["fills"][1:]}))
    found = await kraken.lookup(LINEAR, CLIENT_ID)
    assert found is not None
    assert (found.state, found.filled) == (ChildState.LIVE, D(1))


async def test_a_history_that_is_behind_is_never_taken_for_there_is_none(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    taken(await kraken.place(bought()))
    exchange.memory, exchange.lag = -1, 60_000
    with pytest.raises(VenueUnavailable, match="history"):
        await kraken.lookup(LINEAR, CLIENT_ID)
    with pytest.raises(VenueUnavailable, match="history"):
        await kraken.orders(LINEAR, ShiftedClock().now() - DAY)


async def test_executions_that_the_history_does_not_have_yet_leave_an_order_live(
    exchange: KrakenFutures, kraken: CcxtVenue
) -> None:
    taken(await kraken.place(bought()))
    exchange.memory = -1
    exchange.faults.append(Fault("executions", "alter", alter=lambda reply: reply | {"elements": reply["elements"][1:]}))
    found = await kraken.lookup(LINEAR, CLIENT_ID)
    assert found is not None
    assert (found.state, found.filled) == (ChildState.LIVE, D(1))
    with pytest.raises(VenueUnavailable, match="history"):
        await kraken.orders(LINEAR, ShiftedClock().now() - DAY)


async def test_an_order_that_was_never_taken_is_none_once_every_page_was_read(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    exchange.page = 2
    for number in range(5):
        taken(await kraken.place(bought(client_id=f"kpr{number}", amount=D("0.1"))))
    exchange.requests.clear()
    assert await kraken.lookup(LINEAR, CLIENT_ID) is None
    pages = [one.parameters.get("tradeable") for one in exchange.seen("history/v3/orders")]
    assert pages == [None] * 3 + ["PF_XBTUSD"] * 3  # what the account did lately, then all that was ever done in the market
    exchange.memory = -1
    first = await kraken.lookup(LINEAR, "kpr0")
    assert first is not None
    assert first.filled == D("0.1")


async def test_a_history_whose_pages_are_out_of_order_proves_nothing(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    now = exchange.core.now()
    for age in (3, 2, 1):
        exchange.core.trade_outside("PF_XBTUSD", 1, D(1), D(50_000), at=now - age * 1000)
    exchange.faults.append(Fault("history/v3/orders", "alter", alter=lambda reply: reply | {"elements": reply["elements"][::-1]}))
    with pytest.raises(VenueUnavailable, match="in order"):
        await kraken.lookup(LINEAR, CLIENT_ID)


@pytest.mark.parametrize("page", [1, 1000])
@pytest.mark.parametrize(("symbol", "amount", "asset"), [(LINEAR, D("3.5"), "USD"), (INVERSE, D(120_000), "BTC")])
async def test_fills_are_all_those_of_the_order_in_the_market_s_own_contracts(
    exchange: KrakenFutures, kraken: CcxtVenue, symbol: str, amount: Decimal, asset: str, page: int
) -> None:
    taken(await kraken.place(bought(client_id="kprbefore", symbol=symbol, amount=D(1))))
    order_id = taken(await kraken.place(bought(symbol=symbol, amount=amount)))
    taken(await kraken.place(bought(client_id="kprafter", symbol=symbol, amount=D(1))))
    exchange.page = page
    fills = await kraken.fills(symbol, order_id)
    own = [one for one in exchange.core.trades if order_uid(one.order_id) == order_id]
    assert [(f.trade_id, f.amount, f.price, f.fee) for f in fills] == [
        (trade_uid(one.id), one.amount, one.price, one.fee) for one in own
    ]
    assert sum(fill.amount for fill in fills) == amount
    assert {(fill.fee_asset, fill.side) for fill in fills} == {(asset, Side.BUY)}
    assert all(fill.fee > 0 for fill in fills)


async def test_a_rebate_is_a_negative_fee(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    exchange.core.fee_rate = D("-0.0001")
    fills = await kraken.fills(LINEAR, taken(await kraken.place(bought())))
    assert sum(fill.fee for fill in fills) == sum(one.fee for one in exchange.core.trades) < 0


async def test_orders_are_those_that_rest_that_ended_and_that_the_exchange_placed(
    exchange: KrakenFutures, kraken: CcxtVenue
) -> None:
    core = exchange.core
    old = core.rest("kprold", "PF_XBTUSD", 1, D(1), D(49_000), at=core.now() - 10 * 86_400_000)
    core.book(old, D("0.5"), D(49_000))
    core.cancel("PF_XBTUSD", order_id=old.id, client_id=None)
    partly = core.rest("", "PF_XBTUSD", -1, D(2), D(50_500))
    core.book(partly, D("0.5"), D(50_500))
    core.cancel("PF_XBTUSD", order_id=core.rest("web", "PF_XBTUSD", 1, D(1), D(48_000)).id, client_id=None)
    taken(await kraken.place(bought()))
    core.force("PF_XBTUSD", Forced.LIQUIDATION)
    core.rest("elsewhere", "PF_ETHUSD", 1, D(1), D(2_000))
    found = await kraken.orders(LINEAR, ShiftedClock().now() - DAY)
    told = {one.client_id or one.order_id: (one.state, one.amount, one.filled, one.forced) for one in found}
    assert told == {
        order_uid(partly.id): (ChildState.LIVE, D(2), D("0.5"), False),
        "web": (ChildState.CANCELED, D(1), D(0), False),
        CLIENT_ID: (ChildState.FILLED, D("1.5"), D("1.5"), False),
        order_uid(partly.id + 3): (ChildState.FILLED, D("1.5"), D("1.5"), True),
    }
    assert {one.average for one in found if one.order_id == order_uid(partly.id)} == {D(50_500)}
    account = await kraken.account()
    assert {(one.symbol, one.filled) for one in account.open_orders} == {(LINEAR, D("0.5")), ("ETH/USD:USD", D(0))}


async def test_a_cancel_is_by_client_id_and_finds_nothing_twice(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    exchange.core.rest(CLIENT_ID, "PF_XBTUSD", 1, D(1), D(49_000))
    before = await kraken.lookup(LINEAR, CLIENT_ID)
    assert before is not None
    assert before.state is ChildState.LIVE
    for _ in range(2):
        await kraken.cancel(LINEAR, CLIENT_ID)
        found = await kraken.lookup(LINEAR, CLIENT_ID)
        assert found is not None
        assert found.state is ChildState.CANCELED
    assert [one.parameters for one in exchange.seen("cancelorder")] == 2 * [{"cliOrdId": CLIENT_ID}]


async def test_the_switch_counts_whole_seconds_and_stands_for_the_whole_account(
    exchange: KrakenFutures, kraken: CcxtVenue
) -> None:
    exchange.core.rest("web", "PF_ETHUSD", 1, D(1), D(2_000))
    assert await kraken.dead_man([LINEAR], timedelta(seconds=20, milliseconds=1))
    assert exchange.seen("cancelallordersafter")[0].parameters == {"timeout": "21"}
    later = exchange.core.now() + 22_000
    exchange.core.now = lambda: later
    assert exchange.core.open_orders() == []
    assert await kraken.dead_man([LINEAR], None)
    assert exchange.core.countdowns == {}


def _rule(**changes: Any) -> Callable[[KrakenFutures], None]:
    def change(exchange: KrakenFutures) -> None:
        for name, value in changes.items():
            setattr(exchange.core.instruments["PF_XBTUSD"], name, value)

    return change


REJECTIONS: list[tuple[str, Callable[[KrakenFutures], None], dict[str, Any], str, str]] = [
    ("wrong secret", lambda exchange: setattr(exchange, "secret", "b3RoZXI="), {}, "authenticationError", "secret"),
    ("unknown key", lambda exchange: setattr(exchange, "api_key", "other"), {}, "authenticationError", "know this key"),
    ("wrong lot", _rule(step=D(1)), {}, "invalidSize", "lots"),
    ("off the tick", _rule(tick=D(100)), {}, "invalidPrice", "tick"),
    ("closed", _rule(open=False), {}, "marketInactive", "not open"),
    ("no margin", lambda exchange: exchange.core.wallet.update(USD=D(10)), {}, "insufficientAvailableFunds", "margin"),
    ("nothing to reduce", lambda _exchange: None, {"reduce_only": True}, "wouldNotReducePosition", "reduce"),
    ("too far", lambda exchange: exchange.core.marks.update(PF_XBTUSD=D(40_000)), {}, "outsidePriceCollar", "max_slippage_bps"),
    ("unknown market", lambda exchange: exchange.core.instruments.clear(), {}, "contractNotFound", "symbol"),
]


@pytest.mark.parametrize(
    ("spoil", "changes", "code", "words"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
async def test_a_wrong_order_is_rejected_with_the_exchange_s_code_and_its_own_message(
    exchange: KrakenFutures,
    kraken: CcxtVenue,
    spoil: Callable[[KrakenFutures], None],
    changes: dict[str, Any],
    code: str,
    words: str,
) -> None:
    spoil(exchange)
    outcome = await kraken.place(bought(**changes))
    assert isinstance(outcome, Rejected)
    assert outcome.code == code
    assert words in outcome.message
    assert len(exchange.seen("sendorder")) == 1
    assert not exchange.core.orders


async def test_a_client_id_is_taken_once_and_a_second_time_proves_nothing(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    first = taken(await kraken.place(bought()))
    second = await kraken.place(bought())
    assert isinstance(second, Unknown)
    assert "clientOrderIdAlreadyExist" in second.why
    found = await kraken.lookup(LINEAR, CLIENT_ID)
    assert found is not None
    assert found.order_id == first
    assert len(exchange.core.orders) == 1


async def test_a_reduce_only_order_says_so_and_never_flips_the_position(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    exchange.core.hold("PF_XBTUSD", D("-0.5"), D(50_000))
    taken(await kraken.place(bought(reduce_only=True)))
    assert exchange.seen("sendorder")[0].parameters["reduceOnly"] == "true"
    assert exchange.core.held("PF_XBTUSD") == 0


TAKEN = ["html", "empty_object", "empty", "half_json", "truncated", "bad_gzip", "drop_after", "redirect", "odd_status", "503"]
LOST = ["drop_before", "503_before", "429"]


@pytest.mark.parametrize(("kind", "held"), [*((kind, 1) for kind in TAKEN), *((kind, 0) for kind in LOST)])
async def test_a_reply_that_proves_nothing_leaves_the_order_unknown_and_sends_no_second_one(
    exchange: KrakenFutures, kraken: CcxtVenue, kind: str, held: int
) -> None:
    exchange.faults.append(Fault("sendorder", kind))
    outcome = await kraken.place(bought())
    assert isinstance(outcome, Unknown), outcome
    assert len(exchange.seen("sendorder")) == 1
    assert len(exchange.core.orders) == held
    async with venue_at(exchange) as later:
        found = await later.lookup(LINEAR, CLIENT_ID)
    assert (found is not None) == bool(held)


def _status(**fields: Any) -> Callable[[Any], Any]:
    return lambda reply: reply | {"sendStatus": reply["sendStatus"] | fields}


def _prior(**fields: Any) -> Callable[[Any], Any]:
    def change(reply: Any) -> Any:
        for event in reply["sendStatus"]["orderEvents"]:
            event["orderPriorExecution"] |= fields
        return reply

    return change


LIES = [
    ("another client id", _prior(cliOrdId="someone-else"), "client order id"),
    ("another order", _prior(orderId="0-1"), "another order"),
    ("another market", _prior(symbol="PF_ETHUSD"), "another market"),
    ("no order id", _status(order_id=None), "order_id"),
    ("no status", _status(status=None), "None"),
    ("an unheard-of status", _status(status="pondering"), "pondering"),
    ("found filled", _status(status="filled"), "filled"),
    ("an unheard-of error", lambda reply: reply | {"result": "error", "error": "unknownError"}, "unknownError"),
    ("no margin, says the engine", lambda reply: reply | {"result": "error", "error": "Server Error"}, "Server Error"),
    ("a list", lambda reply: [reply], ""),
    ("null", lambda _reply: None, ""),
]


@pytest.mark.parametrize(("alter", "words"), [row[1:] for row in LIES], ids=[row[0] for row in LIES])
async def test_an_answer_that_does_not_name_our_order_whole_is_no_acceptance(
    exchange: KrakenFutures, kraken: CcxtVenue, alter: Callable[[Any], Any], words: str
) -> None:
    exchange.faults.append(Fault("sendorder", "alter", alter=alter))
    outcome = await kraken.place(bought())
    assert isinstance(outcome, Unknown), outcome
    assert words in outcome.why
    assert len(exchange.core.orders) == len(exchange.seen("sendorder")) == 1


async def test_an_answer_without_any_client_id_is_looked_up(exchange: KrakenFutures, kraken: CcxtVenue) -> None:
    exchange.faults.append(Fault("sendorder", "alter", alter=_prior(cliOrdId=None)))
    outcome = await kraken.place(bought())
    assert isinstance(outcome, Accepted)
    assert (outcome.report.state, outcome.report.filled) == (ChildState.FILLED, D("1.5"))
    assert exchange.seen("orders/status")
