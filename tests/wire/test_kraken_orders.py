"""Orders through the real kraken class: what is sent, what the exchange then holds, and what may be concluded."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.parsing import milliseconds
from tests.fakes.exchange_core import Ladder
from tests.fakes.kraken import KrakenExchange, kraken_core
from tests.fakes.kraken_messages import order_id
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import StillClock, order, venue_at

D = Decimal
BTC, ETH = "BTC/USD", "ETH/USD"
CLIENT_ID = "kpr0123456789abcde"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def kraken(clock: StillClock) -> AsyncIterator[KrakenExchange]:
    async with KrakenExchange(core=kraken_core(now=lambda: milliseconds(clock.now()))) as exchange:
        yield exchange


@pytest.fixture
async def venue(kraken: KrakenExchange, clock: StillClock) -> AsyncIterator[CcxtVenue]:
    async with venue_at(kraken, Environment.LIVE, clock=clock) as connected:
        kraken.requests.clear()
        yield connected


def buy(**changes: Any) -> Any:
    """Buy 0.015 BTC at 50,010.1 within ten seconds."""
    deadline = StillClock().now() + timedelta(seconds=10)
    return order(**({"symbol": BTC, "client_id": CLIENT_ID, "deadline": deadline} | changes))


async def test_an_order_carries_what_was_approved_and_is_looked_up_since_its_answer_names_no_client_id(
    kraken: KrakenExchange, venue: CcxtVenue
) -> None:
    outcome = await venue.place(buy(amount=D("0.50001")))
    assert isinstance(outcome, Accepted), outcome
    (sent,) = kraken.seen("AddOrder", "POST")
    told = {name: value for name, value in sent.parameters.items() if name not in ("nonce", "deadline")}
    assert told == {
        "pair": "XXBTZUSD",
        "type": "buy",
        "ordertype": "limit",
        "timeinforce": "IOC",
        "volume": "0.50001",
        "price": "50010.1",
        "oflags": "fciq",
        "cl_ord_id": CLIENT_ID,
    }
    (held,) = kraken.core.orders.values()
    assert outcome.report.order_id == order_id(held.id)
    assert (outcome.report.state, outcome.report.filled, outcome.report.average) == (
        ChildState.FILLED,
        D("0.50001"),
        D("50000.1"),
    )
    assert [one.path.rpartition("/")[2] for one in kraken.requests] == ["AddOrder", "OpenOrders", "ClosedOrders"]


async def test_the_deadline_is_the_whole_second_before_the_order_s_own(
    kraken: KrakenExchange, venue: CcxtVenue, clock: StillClock
) -> None:
    # the venue tells its time in whole seconds, so a quarter past one is taken for half past
    await venue.place(buy(deadline=clock.now() + timedelta(seconds=8.7)))
    assert kraken.seen("AddOrder")[0].parameters["deadline"] == "2026-11-25T12:00:09Z"


@pytest.mark.parametrize("left", [1.4, -1.0])
async def test_an_order_with_too_little_time_left_is_never_sent(
    kraken: KrakenExchange, venue: CcxtVenue, clock: StillClock, left: float
) -> None:
    outcome = await venue.place(buy(deadline=clock.now() + timedelta(seconds=left)))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, kraken.requests) == ("never_sent", [])
    assert "deadline" in outcome.message


async def test_an_order_that_only_reduces_is_never_sent_where_there_are_no_positions(
    kraken: KrakenExchange, venue: CcxtVenue
) -> None:
    outcome = await venue.place(buy(reduce_only=True))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, kraken.requests) == ("never_sent", [])


async def test_a_deadline_far_off_is_cut_to_a_minute(kraken: KrakenExchange, venue: CcxtVenue, clock: StillClock) -> None:
    assert isinstance(await venue.place(buy(deadline=clock.now() + timedelta(minutes=9))), Accepted)
    assert kraken.seen("AddOrder")[0].parameters["deadline"] == "2026-11-25T12:01:00Z"


async def test_an_order_that_arrives_too_late_is_not_taken_and_not_called_rejected(
    kraken: KrakenExchange, venue: CcxtVenue
) -> None:
    # the same words are said where the venue only lost patience with itself
    kraken.skew = 12_000
    outcome = await venue.place(buy())
    assert isinstance(outcome, Unknown)
    assert "Deadline elapsed" in outcome.why
    assert not kraken.core.orders
    assert await venue.lookup(BTC, CLIENT_ID) is None


async def test_signed_requests_are_on_their_way_one_at_a_time_so_that_no_nonce_comes_late(
    kraken: KrakenExchange, venue: CcxtVenue
) -> None:
    kraken.delay = 0.02
    answers = await asyncio.gather(
        venue.account(),
        venue.lookup(BTC, CLIENT_ID),
        venue.place(buy()),
        venue.orders(BTC, venue.clock.now() - timedelta(minutes=1)),
        venue.account(),
    )
    assert isinstance(answers[2], Accepted)
    assert len(kraken.requests) >= 10
    assert {one.in_flight for one in kraken.requests} == {1}
    nonces = [int(one.parameters["nonce"]) for one in kraken.requests]
    assert nonces == sorted(set(nonces))


async def test_public_data_does_not_wait_for_what_is_signed(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    kraken.faults.append(Fault("Balance", "hang"))
    reading = asyncio.create_task(venue.account())
    await kraken.hanging.wait()
    assert (await venue.quote(BTC)).last == D(50_000)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_nonce_that_came_late_is_a_rejection_of_an_order_and_asked_again_of_a_read(
    kraken: KrakenExchange, venue: CcxtVenue
) -> None:
    kraken.nonce = 10**16
    outcome = await venue.place(buy())
    assert isinstance(outcome, Rejected)
    assert (outcome.code, kraken.core.orders) == ("EAPI:Invalid nonce", {})
    kraken.faults.append(Fault("Balance", "alter", times=1, alter=lambda _reply: {"error": ["EAPI:Invalid nonce"]}))
    kraken.nonce = 0
    assert (await venue.account()).balances["BTC"] == D(1)


async def test_what_the_book_does_not_give_is_canceled_and_never_rests(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    kraken.core.ladders["XXBTZUSD"].size = D("0.6")
    outcome = await venue.place(buy(amount=D("1.5"), price=D("50001.1")))
    assert isinstance(outcome, Accepted)
    assert (outcome.report.state, outcome.report.filled) == (ChildState.CANCELED, D("1.2"))
    assert (await venue.account()).open_orders == ()


@pytest.mark.parametrize(("side", "amount"), [(Side.BUY, "1.5"), (Side.SELL, "0.6")])
async def test_fees_are_paid_in_the_quote_currency_and_booked_they_lead_to_the_balances_there_are(
    kraken: KrakenExchange, venue: CcxtVenue, side: Side, amount: str
) -> None:
    kraken.core.ladders["XXBTZUSD"] = Ladder(mid=D(50_000), spread=D(0), size=D(100))
    account, market = await venue.account(), (await venue.markets([BTC]))[BTC]
    outcome = await venue.place(buy(side=side, amount=D(amount), price=D(50_000)))
    assert isinstance(outcome, Accepted), outcome
    (fill,) = await venue.fills(BTC, outcome.report.order_id)
    assert (fill.side, fill.amount, fill.fee, fill.fee_asset) == (side, D(amount), D(amount) * 130, "USD")
    assert (await venue.account()).balances == account.after(fill, market).balances


async def test_every_trade_of_an_order_is_asked_for_twenty_at_a_time(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    outcome = await venue.place(buy())
    assert isinstance(outcome, Accepted)
    [first] = kraken.core.trades
    kraken.core.trades += [replace(first, id=first.id + number) for number in range(1, 45)]
    kraken.core.trades.append(replace(first, id=999, order_id=1))
    found = await venue.fills(BTC, outcome.report.order_id)
    assert len(found) == 45
    assert len(kraken.seen("QueryTrades")) == 3


async def test_a_filled_order_without_trades_is_no_answer_and_one_that_filled_nothing_has_none(
    kraken: KrakenExchange, venue: CcxtVenue
) -> None:
    kraken.core.rest(CLIENT_ID, "XXBTZUSD", 1, D("0.01"), D(49_000))
    resting = await venue.lookup(BTC, CLIENT_ID)
    assert resting is not None
    assert await venue.fills(BTC, resting.order_id) == ()
    outcome = await venue.place(buy(client_id="kpr2"))
    assert isinstance(outcome, Accepted)
    kraken.core.trades.clear()
    with pytest.raises(VenueUnavailable, match="without its trades"):
        await venue.fills(BTC, outcome.report.order_id)


@pytest.mark.parametrize(("path", "words"), [("QueryOrders", "another order"), ("QueryTrades", "other trades")])
async def test_an_answer_that_leaves_out_what_was_asked_for_is_none(
    kraken: KrakenExchange, venue: CcxtVenue, path: str, words: str
) -> None:
    outcome = await venue.place(buy())
    assert isinstance(outcome, Accepted)
    kraken.faults.append(Fault(path, "alter", alter=lambda reply: reply | {"result": {}}))
    with pytest.raises(VenueUnavailable, match=words):
        await venue.fills(BTC, outcome.report.order_id)


async def test_trades_of_another_order_are_no_answer(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    outcome = await venue.place(buy())
    assert isinstance(outcome, Accepted)

    def foreign(reply: Any) -> Any:
        rows = {name: row | {"ordertxid": "OAAAAA-BBBBB-CCCCCC"} for name, row in reply["result"].items()}
        return reply | {"result": rows}

    kraken.faults.append(Fault("QueryTrades", "alter", alter=foreign))
    with pytest.raises(VenueUnavailable, match="another order"):
        await venue.fills(BTC, outcome.report.order_id)


Spoil = Callable[[KrakenExchange], None]


def _rule(**changes: Any) -> Spoil:
    def change(kraken: KrakenExchange) -> None:
        for name, value in changes.items():
            setattr(kraken.core.instruments["XXBTZUSD"], name, value)

    return change


def _set(name: str, value: Any) -> Spoil:
    return lambda kraken: setattr(kraken, name, value)


REJECTIONS: list[tuple[str, Spoil, dict[str, Any], str, str]] = [
    ("wrong secret", _set("secret", "YW5vdGhlcg=="), {}, "EAPI:Invalid signature", "secret belongs to the API key"),
    ("unknown key", _set("api_key", "another"), {}, "EAPI:Invalid key", "unknown"),
    ("no permission", lambda kraken: kraken.forbidden.add("AddOrder"), {}, "EGeneral:Permission denied", "permission"),
    ("off the tick", _rule(tick=D("0.5")), {}, "EOrder:Tick size check failed", "tick"),
    ("below the minimum", _rule(min_amount=D(1)), {}, "EOrder:Order minimum not met", "amount is below"),
    ("small notional", _rule(min_notional=D(10_000)), {}, "EOrder:Cost minimum not met", "notional is below"),
    ("unknown symbol", lambda kraken: kraken.core.instruments.clear(), {}, "EQuery:Unknown asset pair", "no such market"),
    ("closed", _rule(open=False), {}, "EService:Market in cancel_only mode", "no orders now"),
    ("no cash", lambda kraken: kraken.core.wallet.update(USD=D(10)), {}, "EOrder:Insufficient funds", "insufficient"),
    ("no coins", lambda kraken: kraken.core.wallet.update(BTC=D(0)), {"side": Side.SELL}, "EOrder:Insufficient funds", "insuff"),
    ("digits", _rule(price_digits=0), {}, "EOrder:Invalid price", "price is not taken"),
]


@pytest.mark.parametrize(
    ("spoil", "changes", "code", "words"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
async def test_a_wrong_order_is_rejected_with_the_exchange_s_words_and_its_own_message(
    kraken: KrakenExchange, venue: CcxtVenue, spoil: Spoil, changes: dict[str, Any], code: str, words: str
) -> None:
    spoil(kraken)
    outcome = await venue.place(buy(**changes))
    assert isinstance(outcome, Rejected), outcome
    assert outcome.code == code
    assert words in outcome.message
    assert len(kraken.seen("AddOrder", "POST")) == 1
    assert not kraken.core.orders


UNPROVEN = [
    ["EService:Unavailable"],
    ["EService:Busy"],
    ["EService:Deadline elapsed"],
    ["EGeneral:Internal error"],
    ["EOrder:A sentence that nobody has seen before"],
    ["WGeneral:Danger", "EOrder:Insufficient funds"],
    "EOrder:Insufficient funds",
]


@pytest.mark.parametrize("errors", UNPROVEN, ids=str)
async def test_other_words_prove_nothing(kraken: KrakenExchange, venue: CcxtVenue, errors: Any) -> None:
    kraken.faults.append(Fault("AddOrder", "alter", alter=lambda _reply: {"error": errors}))
    outcome = await venue.place(buy())
    assert isinstance(outcome, Unknown)
    assert len(kraken.core.orders) == 1
    report = await venue.lookup(BTC, CLIENT_ID)
    assert report is not None
    assert report.state is ChildState.FILLED


LIES: list[tuple[str, Callable[[Any], Any]]] = [
    ("no id", lambda reply: reply | {"result": {"descr": {"order": "buy"}}}),
    ("two ids", lambda reply: reply | {"result": reply["result"] | {"txid": ["OA-B", "OC-D"]}}),
    ("another id", lambda reply: reply | {"result": reply["result"] | {"txid": ["OA-B"]}}),
    ("no result", lambda _reply: {"error": []}),
]


@pytest.mark.parametrize("alter", [row[1] for row in LIES], ids=[row[0] for row in LIES])
async def test_an_answer_whose_order_is_not_found_under_the_client_id_is_no_acceptance(
    kraken: KrakenExchange, venue: CcxtVenue, alter: Callable[[Any], Any]
) -> None:
    kraken.faults.append(Fault("AddOrder", "alter", alter=alter))
    assert isinstance(await venue.place(buy()), Unknown)
    assert len(kraken.core.orders) == len(kraken.seen("AddOrder")) == 1


@pytest.mark.parametrize("path", ["OpenOrders", "ClosedOrders"])
async def test_a_lookup_is_none_only_where_both_lists_say_so(kraken: KrakenExchange, venue: CcxtVenue, path: str) -> None:
    assert await venue.lookup(BTC, CLIENT_ID) is None
    for kind in ("html", "empty_object", "empty", "half_json", "503", "drop_before"):
        kraken.faults = [Fault(path, kind)]
        with pytest.raises(VenueUnavailable):
            await venue.lookup(BTC, CLIENT_ID)


async def test_a_lookup_that_is_answered_with_other_orders_proves_nothing(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    await venue.place(buy(client_id="kpr2"))

    def unfiltered(reply: Any) -> Any:
        closed = {order_id(one.id): kraken_order(kraken, one) for one in kraken.core.orders.values()}
        return reply | {"result": {"closed": closed, "count": len(closed)}}

    kraken.faults.append(Fault("ClosedOrders", "alter", alter=unfiltered))
    with pytest.raises(VenueUnavailable, match="other orders"):
        await venue.lookup(BTC, CLIENT_ID)


def kraken_order(kraken: KrakenExchange, one: Any) -> Any:
    from tests.fakes.kraken_messages import order as worded

    return worded(kraken.core, one)


async def test_a_resting_order_is_canceled_by_its_client_id_and_one_that_ended_is_let_be(
    kraken: KrakenExchange, venue: CcxtVenue
) -> None:
    kraken.core.rest(CLIENT_ID, "XXBTZUSD", 1, D("0.01"), D(49_000))
    assert [(one.client_id, one.symbol) for one in (await venue.account()).open_orders] == [(CLIENT_ID, BTC)]
    await venue.cancel(BTC, CLIENT_ID)
    assert kraken.core.open_orders() == []
    await venue.cancel(BTC, CLIENT_ID)


async def test_all_orders_of_a_market_are_told_over_all_pages_and_no_others(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    since = StillClock().now() - timedelta(minutes=5)
    kraken.core.trade_outside("XXBTZUSD", 1, D("0.001"), D(50_000), client_id="old", at=kraken.now() - 600_000)
    for number in range(120):
        kraken.core.trade_outside("XXBTZUSD", 1, D("0.001"), D(50_000), client_id="" if number % 2 else f"web{number}")
    kraken.core.trade_outside("XETHZUSD", 1, D("0.1"), D(2_500), client_id="elsewhere")
    kraken.core.rest("resting", "XXBTZUSD", -1, D("0.01"), D(51_000))
    found = await venue.orders(BTC, since)
    assert len(found) == 121
    assert [one.client_id for one in found if one.state is ChildState.LIVE] == ["resting"]
    assert {one.symbol for one in found} == {BTC}
    assert len(kraken.seen("ClosedOrders")) == 3


async def test_the_dead_man_s_switch_is_one_for_the_account_in_whole_seconds(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    kraken.core.rest(CLIENT_ID, "XETHZUSD", 1, D("0.1"), D(2_000))
    assert await venue.dead_man([BTC], timedelta(seconds=30.2)) is True
    assert kraken.seen("CancelAllOrdersAfter")[0].parameters["timeout"] == "31"
    assert await venue.dead_man([BTC], None) is True
    assert kraken.core.countdowns == {}
    assert await venue.dead_man([BTC], timedelta(seconds=30)) is True
    a_minute_on = kraken.now() + 60_000
    kraken.core.now = lambda: a_minute_on
    assert kraken.core.open_orders() == []


@pytest.mark.parametrize(
    ("within", "due"), [(timedelta(seconds=30), "2026-11-25T13:00:00Z"), (None, "2026-11-25T12:01:00Z")], ids=["armed", "off"]
)
async def test_a_switch_that_names_another_time_is_no_answer(
    kraken: KrakenExchange, venue: CcxtVenue, within: timedelta | None, due: str
) -> None:
    def other(reply: Any) -> Any:
        return reply | {"result": reply["result"] | {"triggerTime": due}}

    kraken.faults.append(Fault("CancelAllOrdersAfter", "alter", alter=other))
    with pytest.raises(VenueUnavailable, match="time"):
        await venue.dead_man([BTC], within)


async def test_a_cancel_of_several_orders_is_no_answer_to_a_cancel_of_one(kraken: KrakenExchange, venue: CcxtVenue) -> None:
    kraken.core.rest(CLIENT_ID, "XXBTZUSD", 1, D("0.01"), D(49_000))
    kraken.faults.append(Fault("CancelOrder", "alter", alter=lambda reply: reply | {"result": {"count": 3}}))
    with pytest.raises(VenueUnavailable, match="other orders"):
        await venue.cancel(BTC, CLIENT_ID)
