"""Orders through the real binance class: what is sent, what the exchange then holds, and what may be concluded."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import VenueRefused, VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, Rejected, Unknown
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_server import Fault
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.exchange_core import Ladder
from tests.fakes.loopback_venue import CLIENT_ID, ShiftedClock, order, venue_at

D = Decimal
BTC = "BTC/USDT"


@pytest.fixture
async def spot() -> AsyncIterator[BinanceSpot]:
    async with BinanceSpot(core=spot_core(wallet={"BTC": D(1), "USDT": D(100_000)})) as exchange:
        yield exchange


@pytest.fixture
async def venue(spot: BinanceSpot) -> AsyncIterator[CcxtVenue]:
    async with venue_at(spot) as connected:
        spot.requests.clear()
        yield connected


def buy(**changes: Any) -> Any:
    """Buy 0.015 BTC at 50,010.10 within five seconds."""
    return order(**({"symbol": BTC} | changes))


async def test_an_order_carries_what_was_approved_and_no_more(spot: BinanceSpot, venue: CcxtVenue) -> None:
    outcome = await venue.place(buy(amount=D("0.50001")))
    assert isinstance(outcome, Accepted)
    (sent,) = spot.seen("order", "POST")
    signed = {name: value for name, value in sent.parameters.items() if name not in ("timestamp", "recvWindow", "signature")}
    assert signed == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "IOC",
        "quantity": "0.50001",
        "price": "50010.1",
        "newClientOrderId": CLIENT_ID,
        "newOrderRespType": "RESULT",
    }
    (held,) = spot.core.orders.values()
    assert outcome.report.order_id == str(held.id)
    assert (outcome.report.state, outcome.report.filled, outcome.report.average) == (
        ChildState.FILLED,
        D("0.50001"),
        D("50000.01"),
    )


async def test_the_deadline_is_pinned_to_timestamp_and_window(spot: BinanceSpot, venue: CcxtVenue) -> None:
    deadline = ShiftedClock().now() + timedelta(seconds=3)
    await venue.place(buy(deadline=deadline))
    (sent,) = spot.seen("order", "POST")
    end = int(sent.parameters["timestamp"]) + int(sent.parameters["recvWindow"])
    assert abs(end - deadline.timestamp() * 1000) < 100


async def test_what_the_book_does_not_give_is_canceled_and_never_rests(spot: BinanceSpot, venue: CcxtVenue) -> None:
    spot.core.ladders["BTCUSDT"].size = D("0.6")
    outcome = await venue.place(buy(amount=D("1.5"), price=D("50000.60")))
    assert isinstance(outcome, Accepted)
    assert (outcome.report.state, outcome.report.filled) == (ChildState.CANCELED, D("1.2"))
    assert (await venue.account()).open_orders == ()


@pytest.mark.parametrize(
    ("side", "amount", "fees_in", "fee", "asset"),
    [
        (Side.BUY, "1.5", None, "0.0015", "BTC"),
        (Side.SELL, "0.6", None, "30", "USDT"),
        (Side.BUY, "0.6", "BNB", "0.05", "BNB"),
    ],
)
async def test_fills_tell_what_their_fee_was_taken_in_and_booked_they_lead_to_the_balances_there_are(
    spot: BinanceSpot, venue: CcxtVenue, side: Side, amount: str, fees_in: str | None, fee: str, asset: str
) -> None:
    spot.core.wallet["BNB"] = D(1)
    spot.core.fees_in = fees_in
    spot.core.ladders["BTCUSDT"] = Ladder(mid=D(50_000), spread=D(0), size=D(100))
    account, market = await venue.account(), (await venue.markets([BTC]))[BTC]
    outcome = await venue.place(buy(side=side, amount=D(amount), price=D(50_000)))
    assert isinstance(outcome, Accepted), outcome
    (fill,) = await venue.fills(BTC, outcome.report.order_id)
    assert (fill.side, fill.amount, fill.fee, fill.fee_asset) == (side, D(amount), D(fee), asset)
    assert (await venue.account()).balances == account.after(fill, market).balances


Spoil = Callable[[BinanceSpot], None]


def _rule(**changes: Any) -> Spoil:
    def change(spot: BinanceSpot) -> None:
        for name, value in changes.items():
            setattr(spot.core.instruments["BTCUSDT"], name, value)

    return change


def _set(name: str, value: Any) -> Spoil:
    return lambda spot: setattr(spot, name, value)


def _says(code: int, text: str) -> Spoil:
    """The exchange refuses in these words, whatever the order."""

    def refuse(spot: BinanceSpot) -> None:
        spot.core.instruments.clear()
        spot.faults.append(Fault("order", "alter", method="POST", alter=lambda _reply: {"code": code, "msg": text}))

    return refuse


REJECTIONS: list[tuple[str, Spoil, dict[str, Any], str, str]] = [
    ("wrong secret", _set("secret", "another"), {}, "-1022", "secret belongs to the API key"),
    ("unknown key", _set("api_key", "another"), {}, "-2008", "unknown here"),
    ("old timestamp", _set("skew", 20_000), {}, "-1021", "clock"),
    ("off the tick", _rule(tick=D("0.5")), {}, "-1013", "price is not on the tick"),
    ("wrong lot", _rule(step=D("0.010")), {}, "-1013", "whole number of lots"),
    ("small notional", _rule(min_notional=D(10_000)), {}, "-1013", "notional is outside"),
    ("too far", lambda spot: spot.core.marks.update(BTCUSDT=D(40_000)), {}, "-1013", "max_slippage_bps"),
    ("another filter", _says(-1013, "Filter failure: T_PLUS_SELL"), {}, "-1013", "breaks one of its rules"),
    ("too many digits", _rule(amount_digits=2), {}, "-1111", "digits"),
    ("illegal characters", _says(-1100, "Illegal characters found in parameter 'price'."), {}, "-1100", "illegal characters"),
    ("unknown symbol", lambda spot: spot.core.instruments.clear(), {}, "-1121", "no such market"),
    ("no cash", lambda spot: spot.core.wallet.update(USDT=D(10)), {}, "-2010", "balance is insufficient"),
    ("no coins", lambda spot: spot.core.wallet.update(BTC=D(0)), {"side": Side.SELL}, "-2010", "balance is insufficient"),
    ("closed", _says(-2010, "Market is closed."), {}, "-2010", "market is closed"),
    ("barred", _says(-2010, "This account may not place or cancel orders."), {}, "-2010", "may not place orders"),
    ("not permitted", _says(-2010, "This symbol is not permitted for this account."), {}, "-2010", "may not trade this market"),
]


@pytest.mark.parametrize(
    ("spoil", "changes", "code", "words"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
async def test_a_wrong_order_is_rejected_with_the_exchange_s_code_and_its_own_message(
    spot: BinanceSpot, venue: CcxtVenue, spoil: Spoil, changes: dict[str, Any], code: str, words: str
) -> None:
    spoil(spot)
    outcome = await venue.place(buy(**changes))
    assert isinstance(outcome, Rejected)
    assert outcome.code == code
    assert words in outcome.message
    assert len(spot.seen("order", "POST")) == 1
    assert not spot.core.orders


UNPROVEN = [
    ("Duplicate order sent.", "already"),
    ("A sentence that nobody has seen before.", "-2010"),
    ("", "-2010"),
]


@pytest.mark.parametrize(("text", "words"), UNPROVEN)
async def test_a_rejection_in_other_words_proves_nothing(spot: BinanceSpot, venue: CcxtVenue, text: str, words: str) -> None:
    _says(-2010, text)(spot)
    outcome = await venue.place(buy())
    assert isinstance(outcome, Unknown)
    assert words in outcome.why


async def test_a_duplicate_client_id_is_unknown_since_that_order_exists(spot: BinanceSpot, venue: CcxtVenue) -> None:
    spot.core.place(
        client_id=CLIENT_ID,
        symbol="BTCUSDT",
        sign=1,
        amount=D("0.01"),
        price=D(49_000),
        time_in_force="GTC",
        reduce_only=False,
    )
    outcome = await venue.place(buy())
    assert isinstance(outcome, Unknown)
    assert "already" in outcome.why
    found = await venue.lookup(BTC, CLIENT_ID)
    assert found is not None
    assert found.state is ChildState.LIVE


TAKEN = ["html", "empty_object", "empty", "half_json", "truncated", "bad_gzip", "drop_after", "hang", "redirect", "odd_status"]
TAKEN += ["503", "502", "422", "408", "-1006", "-1007"]
LOST = ["drop_before", "503_before", "429", "418"]


@pytest.mark.parametrize(("kind", "held"), [*((kind, 1) for kind in TAKEN), *((kind, 0) for kind in LOST)])
async def test_a_reply_that_proves_nothing_leaves_the_order_unknown_and_sends_no_second_one(
    spot: BinanceSpot, kind: str, held: int
) -> None:
    async with venue_at(spot, timeout=0.3 if kind == "hang" else 10.0) as venue:
        spot.faults.append(Fault("order", kind, method="POST"))
        outcome = await venue.place(buy())
        assert isinstance(outcome, Unknown), outcome
        assert len(spot.seen("order", "POST")) == 1
        assert len(spot.core.orders) == held
    async with venue_at(spot) as later:
        found = await later.lookup(BTC, CLIENT_ID)
        assert (found is not None) == bool(held)
        if found is not None:
            assert (found.state, found.filled, found.average) == (ChildState.FILLED, D("0.015"), D("50000.01"))


def _changed(**fields: Any) -> Callable[[Any], Any]:
    return lambda reply: reply | fields


LIES = [
    ("another client id", _changed(clientOrderId="someone-else")),
    ("no order id", _changed(orderId=None)),
    ("unknown status", _changed(status="PONDERING")),
    ("filled not a number", _changed(executedQty="NaN")),
    ("filled but nothing", _changed(executedQty="0.00000000")),
    ("cost unknown", _changed(cummulativeQuoteQty="-1")),
    ("a rejection with HTTP 200", lambda _reply: {"code": -2010, "msg": "Market is closed."}),
    ("a list", lambda reply: [reply]),
]


@pytest.mark.parametrize("alter", [row[1] for row in LIES], ids=[row[0] for row in LIES])
async def test_an_answer_that_does_not_name_our_order_whole_is_no_acceptance(
    spot: BinanceSpot, venue: CcxtVenue, alter: Callable[[Any], Any]
) -> None:
    spot.faults.append(Fault("order", "alter", method="POST", alter=alter))
    outcome = await venue.place(buy())
    assert isinstance(outcome, Unknown), outcome
    assert len(spot.core.orders) == len(spot.seen("order", "POST")) == 1


NEVER_SENT: list[tuple[dict[str, Any], str]] = [
    ({"amount": D("0.000015")}, "amount"),
    ({"price": D("50010.105")}, "price 50010.105"),
    ({"symbol": "BTC/USDT:USDT"}, "BTC/USDT:USDT"),
    ({"client_id": "x" * 37}, "36"),
    ({"deadline": ShiftedClock().now() - timedelta(milliseconds=1)}, "deadline"),
]


@pytest.mark.parametrize(("changes", "words"), NEVER_SENT, ids=[next(iter(row[0])) for row in NEVER_SENT])
async def test_an_order_that_would_not_arrive_as_approved_is_never_sent(
    spot: BinanceSpot, venue: CcxtVenue, changes: dict[str, Any], words: str
) -> None:
    outcome = await venue.place(buy(**changes))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "never_sent"
    assert words in outcome.message
    assert not spot.requests


async def test_a_testnet_venue_whose_ccxt_turns_to_the_live_host_sends_nothing(spot: BinanceSpot, venue: CcxtVenue) -> None:
    venue._exchange.enable_demo_trading(enable=False)
    outcome = await venue.place(buy())
    assert isinstance(outcome, Rejected)
    assert outcome.code == "never_sent"
    assert "api.binance.com" in outcome.message
    with pytest.raises(VenueRefused, match="none of this environment's hosts"):
        await venue.account()
    assert not spot.requests


async def test_a_lookup_is_none_only_where_the_exchange_says_so(spot: BinanceSpot, venue: CcxtVenue) -> None:
    assert await venue.lookup(BTC, CLIENT_ID) is None
    assert spot.requests[0].parameters["origClientOrderId"] == CLIENT_ID
    for kind in ("html", "empty_object", "empty", "half_json", "503", "drop_before", "-1007"):
        spot.faults = [Fault("order", kind, method="GET")]
        with pytest.raises(VenueUnavailable):
            await venue.lookup(BTC, CLIENT_ID)


async def test_every_trade_of_an_order_is_read_where_one_answer_does_not_hold_them(spot: BinanceSpot, venue: CcxtVenue) -> None:
    outcome = await venue.place(buy())
    assert isinstance(outcome, Accepted)
    [first] = spot.core.trades
    spot.core.trades += [replace(first, id=first.id + number) for number in range(1, 1500)]
    found = await venue.fills(BTC, outcome.report.order_id)
    assert [fill.trade_id for fill in found] == [str(first.id + number) for number in range(1500)]
    assert [one.parameters.get("fromId") for one in spot.seen("myTrades")] == [None, "0", str(first.id + 1000)]
