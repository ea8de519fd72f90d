"""Orders through the real bitget class: what is sent, what the exchange then holds, and what may be concluded."""

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
from tests.fakes.bitget import BitgetExchange, bitget_core
from tests.fakes.exchange_core import Forced, MarginMode
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import BTC, CLIENT_ID, ETH, ShiftedClock, StillClock, order, venue_at

D = Decimal


@pytest.fixture
async def bitget() -> AsyncIterator[BitgetExchange]:
    async with BitgetExchange(core=bitget_core(), demo=True) as exchange:
        yield exchange


@pytest.fixture
async def venue(bitget: BitgetExchange) -> AsyncIterator[CcxtVenue]:
    async with venue_at(bitget) as connected:
        bitget.requests.clear()
        yield connected


async def test_an_order_carries_what_was_approved_and_is_answered_with_its_ids_alone(
    bitget: BitgetExchange, venue: CcxtVenue
) -> None:
    outcome = await venue.place(order(amount=D("1.5")))
    assert isinstance(outcome, Accepted), outcome
    (sent,) = bitget.seen("place-order", "POST")
    assert sent.parameters == {
        "symbol": "BTCUSDT",
        "productType": "USDT-FUTURES",
        "marginCoin": "USDT",
        "marginMode": "crossed",
        "side": "buy",
        "orderType": "limit",
        "force": "IOC",
        "size": "1.5",
        "price": "50010.1",
        "clientOid": CLIENT_ID,
    }
    (held,) = bitget.core.orders.values()
    assert (outcome.report.order_id, outcome.report.state, outcome.report.filled) == (str(held.id), ChildState.LIVE, D(0))
    report = await venue.lookup(BTC, CLIENT_ID)
    assert report is not None
    assert (report.order_id, report.state, report.filled) == (str(held.id), ChildState.FILLED, D("1.5"))
    assert report.average == held.average


async def test_a_market_in_isolated_mode_is_traded_as_such_and_no_order_switches_it(
    bitget: BitgetExchange, venue: CcxtVenue
) -> None:
    bitget.core.set_margin_mode("BTCUSDT", MarginMode.ISOLATED)
    await venue.account()
    assert isinstance(await venue.place(order()), Accepted)
    assert isinstance(await venue.place(order(client_id="kpr2", symbol=ETH, amount=D("0.1"), price=D(2510))), Accepted)
    modes = [one.parameters["marginMode"] for one in bitget.seen("place-order", "POST")]
    assert modes == ["isolated", "crossed"]
    assert bitget.core.isolated == {"BTCUSDT"}


async def test_a_margin_mode_that_changed_unseen_under_a_position_is_a_rejection(
    bitget: BitgetExchange, venue: CcxtVenue
) -> None:
    bitget.core.isolated.add("BTCUSDT")
    bitget.core.hold("BTCUSDT", D("0.1"), D(50_000))
    outcome = await venue.place(order())
    assert isinstance(outcome, Rejected)
    assert (outcome.code, bitget.core.orders) == ("45117", {})


async def test_what_the_book_does_not_give_is_canceled_and_never_rests(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    bitget.core.ladders["BTCUSDT"].size = D("0.6")
    await venue.place(order(amount=D("1.5"), price=D("50001.1")))
    report = await venue.lookup(BTC, CLIENT_ID)
    assert report is not None
    assert (report.state, report.filled) == (ChildState.CANCELED, D("1.2"))
    assert (await venue.account()).open_orders == ()


async def test_a_reduce_only_order_says_so_and_never_flips_the_position(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    bitget.core.hold("BTCUSDT", D("-0.5"), D(50_000))
    assert isinstance(await venue.place(order(amount=D(2), reduce_only=True)), Accepted)
    assert bitget.seen("place-order", "POST")[0].parameters["reduceOnly"] == "YES"
    assert bitget.core.held("BTCUSDT") == 0


async def test_an_answer_without_the_order_s_id_is_unknown_and_found_by_the_client_id(
    bitget: BitgetExchange, venue: CcxtVenue
) -> None:
    # so Bitget answers where a reduce-only order takes the place of older ones
    def nameless(reply: Any) -> Any:
        return reply | {"data": {"clientOid": CLIENT_ID, "orderId": None}}

    bitget.faults.append(Fault("place-order", "alter", alter=nameless))
    assert isinstance(await venue.place(order()), Unknown)
    report = await venue.lookup(BTC, CLIENT_ID)
    assert report is not None
    assert report.state is ChildState.FILLED


async def test_the_account_after_is_the_account_before_with_our_fills_booked(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    bitget.core.hold("BTCUSDT", D("1.2"), D(49_000))
    market = (await venue.markets([BTC]))[BTC]
    account = await venue.account()
    for number, (side, amount, price) in enumerate((("buy", "0.5", "50010"), ("sell", "2.4", "49900"), ("buy", "0.3", "50100"))):
        outcome = await venue.place(order(client_id=f"k{number}", side=Side(side), amount=D(amount), price=D(price)))
        assert isinstance(outcome, Accepted), outcome
        for fill in await venue.fills(BTC, outcome.report.order_id):
            assert (fill.fee > 0, fill.fee_asset) == (True, "USDT")
            account = account.after(fill, market)
    seen = await venue.account()
    assert seen.positions[BTC].contracts == account.positions[BTC].contracts == bitget.core.held("BTCUSDT")
    assert abs(seen.balances["USDT"] - account.balances["USDT"]) < D("1e-7")


async def test_every_trade_of_an_order_is_read_over_all_pages(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    outcome = await venue.place(order())
    assert isinstance(outcome, Accepted)
    [first] = bitget.core.trades
    bitget.core.trades += [replace(first, id=first.id + number) for number in range(1, 250)]
    found = await venue.fills(BTC, outcome.report.order_id)
    assert [fill.trade_id for fill in found] == [str(first.id + number) for number in range(250)]
    assert len(bitget.seen("mix/order/fills")) == 3


@pytest.mark.parametrize(
    ("details", "fee", "asset"),
    [
        ([("USDT", "-0.45")], "0.45", "USDT"),
        ([("USDT", "0.15")], "-0.15", "USDT"),
        ([("BGB", "-0.017"), ("USDT", "0")], "0.017", "BGB"),
        ([], "0", "USDT"),
    ],
)
async def test_a_fee_that_was_paid_is_positive_whatever_it_was_taken_in(
    bitget: BitgetExchange, venue: CcxtVenue, details: list[tuple[str, str]], fee: str, asset: str
) -> None:
    outcome = await venue.place(order())
    assert isinstance(outcome, Accepted)

    def changed(reply: Any) -> Any:
        told = [{"feeCoin": coin, "totalFee": amount, "deduction": "no"} for coin, amount in details]
        rows = [row | {"feeDetail": told} for row in reply["data"]["fillList"]]
        return reply | {"data": reply["data"] | {"fillList": rows}}

    bitget.faults.append(Fault("mix/order/fills", "alter", alter=changed))
    (fill,) = await venue.fills(BTC, outcome.report.order_id)
    assert (fill.fee, fill.fee_asset) == (D(fee), asset)


Spoil = Callable[[BitgetExchange], None]


def _rule(**changes: Any) -> Spoil:
    def change(bitget: BitgetExchange) -> None:
        for name, value in changes.items():
            setattr(bitget.core.instruments["BTCUSDT"], name, value)

    return change


def _set(name: str, value: Any) -> Spoil:
    return lambda bitget: setattr(bitget, name, value)


REJECTIONS: list[tuple[str, Spoil, dict[str, Any], str, str]] = [
    ("wrong secret", _set("secret", "another"), {}, "40009", "secret belongs to the API key"),
    ("unknown key", _set("api_key", "another"), {}, "40037", "no such API key"),
    ("wrong passphrase", _set("passphrase", "another"), {}, "40012", "passphrase"),
    ("live key", _set("demo", False), {}, "40099", "other environment"),
    ("unified account", _set("unified", True), {}, "40085", "classic account"),
    ("old timestamp", _set("skew", 31_000), {}, "40008", "clock"),
    ("off the tick", _rule(tick=D("0.5")), {}, "45115", "tick"),
    ("wrong lot", _rule(step=D("0.010")), {}, "22038", "lots"),
    ("below the minimum", _rule(min_amount=D(1)), {}, "45111", "minimum"),
    ("small notional", _rule(min_notional=D(10_000)), {}, "45110", "notional"),
    ("unknown symbol", lambda bitget: bitget.core.instruments.clear(), {}, "40034", "no such market"),
    ("closed", _rule(open=False), {}, "40844", "maintenance"),
    ("no margin", lambda bitget: bitget.core.wallet.update(USDT=D(10)), {}, "40762", "margin"),
    ("nothing to reduce", lambda _bitget: None, {"reduce_only": True}, "22002", "reduce"),
    ("too high", lambda bitget: bitget.core.marks.update(BTCUSDT=D(40_000)), {}, "22047", "max_slippage_bps"),
    ("too low", lambda bitget: bitget.core.marks.update(BTCUSDT=D(60_000)), {"side": Side.SELL}, "22046", "max_slippage_bps"),
    ("hedge mode", lambda bitget: setattr(bitget.core, "hedged", True), {}, "40774", "one-way"),
]


@pytest.mark.parametrize(
    ("spoil", "changes", "code", "words"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
async def test_a_wrong_order_is_rejected_with_the_exchange_s_code_and_its_own_message(
    bitget: BitgetExchange, venue: CcxtVenue, spoil: Spoil, changes: dict[str, Any], code: str, words: str
) -> None:
    spoil(bitget)
    outcome = await venue.place(order(**changes))
    assert isinstance(outcome, Rejected), outcome
    assert outcome.code == code
    assert words in outcome.message
    assert len(bitget.seen("place-order", "POST")) == 1
    assert not bitget.core.orders


@pytest.mark.parametrize("code", ["40010", "40015", "40725", "40808", "45001", "40200", "99999"])
async def test_codes_that_the_exchange_also_says_while_it_is_upgraded_prove_nothing(
    bitget: BitgetExchange, venue: CcxtVenue, code: str
) -> None:
    refused = {"code": code, "msg": "System is abnormal, please try again later", "requestTime": 1, "data": None}
    bitget.faults.append(Fault("place-order", "alter", alter=lambda _reply: refused))
    outcome = await venue.place(order())
    assert isinstance(outcome, Unknown)
    assert code in outcome.why
    assert len(bitget.core.orders) == 1


async def test_a_duplicate_client_id_is_unknown_since_that_order_exists(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    bitget.core.rest(CLIENT_ID, "BTCUSDT", 1, D("0.01"), D(49_000))
    outcome = await venue.place(order())
    assert isinstance(outcome, Unknown)
    assert "already" in outcome.why
    found = await venue.lookup(BTC, CLIENT_ID)
    assert found is not None
    assert found.state is ChildState.LIVE


TAKEN = ["html", "empty_object", "empty", "half_json", "truncated", "bad_gzip", "drop_after", "hang", "redirect", "odd_status"]
TAKEN += ["503", "502", "422", "408"]
LOST = ["drop_before", "503_before", "429", "418"]


@pytest.mark.parametrize(("kind", "held"), [*((kind, 1) for kind in TAKEN), *((kind, 0) for kind in LOST)])
async def test_a_reply_that_proves_nothing_leaves_the_order_unknown_and_sends_no_second_one(
    bitget: BitgetExchange, kind: str, held: int
) -> None:
    async with venue_at(bitget, timeout=0.3 if kind == "hang" else 10.0) as venue:
        bitget.faults.append(Fault("place-order", kind, method="POST"))
        outcome = await venue.place(order())
        assert isinstance(outcome, Unknown), outcome
        assert len(bitget.seen("place-order", "POST")) == 1
        assert len(bitget.core.orders) == held
    async with venue_at(bitget) as later:
        found = await later.lookup(BTC, CLIENT_ID)
        assert (found is not None) == bool(held)


async def test_a_lookup_is_none_only_where_the_exchange_says_so(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    assert await venue.lookup(BTC, CLIENT_ID) is None
    for kind in ("html", "empty_object", "empty", "half_json", "503", "drop_before"):
        bitget.faults = [Fault("order/detail", kind)]
        with pytest.raises(VenueUnavailable):
            await venue.lookup(BTC, CLIENT_ID)


async def test_a_resting_order_is_canceled_by_its_client_id_and_one_that_ended_is_let_be(
    bitget: BitgetExchange, venue: CcxtVenue
) -> None:
    bitget.core.rest(CLIENT_ID, "BTCUSDT", 1, D("0.01"), D(49_000))
    assert [one.client_id for one in (await venue.account()).open_orders] == [CLIENT_ID]
    await venue.cancel(BTC, CLIENT_ID)
    assert bitget.core.open_orders() == []
    await venue.cancel(BTC, CLIENT_ID)
    assert (await venue.account()).open_orders == ()


async def test_all_orders_of_a_market_are_told_resting_and_ended_over_all_pages_and_forced_ones_as_such(
    bitget: BitgetExchange, venue: CcxtVenue
) -> None:
    since = ShiftedClock().now() - timedelta(minutes=5)
    for number in range(230):
        bitget.core.trade_outside("BTCUSDT", 1, D("0.001"), D(50_000), client_id=f"web{number}")
    bitget.core.rest("resting", "BTCUSDT", -1, D("0.01"), D(51_000))
    partial = bitget.core.rest("partial", "BTCUSDT", -1, D("0.02"), D(51_000))
    bitget.core.book(partial, D("0.01"), D(51_000))
    bitget.core.rest("elsewhere", "ETHUSDT", -1, D("0.1"), D(2_600))
    forced = bitget.core.force("BTCUSDT", Forced.LIQUIDATION)
    found = await venue.orders(BTC, since)
    assert len(found) == 233
    assert {one.client_id for one in found if one.state is ChildState.LIVE} == {"resting", "partial"}
    assert [one.order_id for one in found if one.forced] == [str(forced.id)]
    assert len(bitget.seen("orders-history")) == 3
    assert {one.client_id for one in (await venue.account()).open_orders} == {"resting", "partial", "elsewhere"}


@pytest.mark.parametrize("life", [5, 30, 300])
async def test_an_order_is_signed_so_that_it_is_refused_once_its_deadline_has_passed(bitget: BitgetExchange, life: int) -> None:
    clock = StillClock()
    bitget.core.now = lambda: milliseconds(clock.now())
    async with venue_at(bitget, clock=clock) as venue:
        bitget.requests.clear()
        asked = order(deadline=clock.now() + timedelta(seconds=life))
        honoured = min(life, 30) * 1000
        bitget.skew = honoured + 1
        assert isinstance(await venue.place(asked), Rejected)
        bitget.skew = honoured
        assert isinstance(await venue.place(asked), Accepted)
    for sent in bitget.seen("place-order"):
        assert int(sent.header("ACCESS-TIMESTAMP")) == milliseconds(clock.now()) + honoured - 30_000


@pytest.mark.parametrize(("environment", "header"), [(Environment.TESTNET, "1"), (Environment.LIVE, "")])
async def test_demo_trading_is_a_header_that_is_on_every_signed_request_of_the_testnet_and_on_none_of_live(
    bitget: BitgetExchange, environment: Environment, header: str
) -> None:
    bitget.demo = environment is Environment.TESTNET
    async with venue_at(bitget, environment) as venue:
        await venue.account()
        await venue.place(order())
        await venue.lookup(BTC, CLIENT_ID)
        await venue.cancel(BTC, CLIENT_ID)
    signed = [one for one in bitget.requests if one.header("ACCESS-SIGN")]
    assert len(signed) > 6
    assert {one.header("paptrading") for one in signed} == {header}
    assert {one.host for one in bitget.requests} == {"api.bitget.com"}


@pytest.mark.parametrize(
    ("told", "side"),
    [
        ({"side": "buy", "posSide": "net", "posMode": "one_way_mode", "tradeSide": "buy_single"}, Side.BUY),
        ({"side": "buy", "posSide": "long", "posMode": "hedge_mode", "tradeSide": "open"}, Side.BUY),
        ({"side": "buy", "posSide": "long", "posMode": "hedge_mode", "tradeSide": "close"}, Side.SELL),
        ({"side": "sell", "posSide": "short", "posMode": "hedge_mode", "tradeSide": "close"}, Side.BUY),
        ({"side": "sell", "posSide": "short", "posMode": "hedge_mode", "tradeSide": "burst_close_short"}, Side.BUY),
    ],
)
async def test_an_order_from_the_days_of_hedge_mode_is_told_with_the_way_it_went(
    bitget: BitgetExchange, venue: CcxtVenue, told: dict[str, str], side: Side
) -> None:
    bitget.core.trade_outside("BTCUSDT", 1, D("0.001"), D(50_000))

    def by_hand(reply: Any) -> Any:
        rows = [row | told | {"orderType": "market", "price": ""} for row in reply["data"]["entrustedList"]]
        return reply | {"data": reply["data"] | {"entrustedList": rows}}

    bitget.faults.append(Fault("orders-history", "alter", alter=by_hand))
    (found,) = await venue.orders(BTC, venue.clock.now() - timedelta(minutes=1))
    assert (found.side, found.signed) == (side, D("0.001") * side.sign)
    assert found.forced is told["tradeSide"].startswith("burst")


def _data(**fields: Any) -> Callable[[Any], Any]:
    return lambda reply: reply | {"data": reply["data"] | fields}


async def test_an_answer_about_another_order_is_none_to_an_order_or_a_cancel(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    bitget.core.rest("web1", "BTCUSDT", 1, D("0.01"), D(49_000))
    bitget.faults = [
        Fault("place-order", "alter", alter=_data(clientOid="web1")),
        Fault("cancel-order", "alter", alter=_data(clientOid="web1")),
    ]
    assert isinstance(await venue.place(order()), Unknown)
    bitget.core.rest(CLIENT_ID, "BTCUSDT", 1, D("0.01"), D(49_000))
    with pytest.raises(VenueUnavailable, match="another order"):
        await venue.cancel(BTC, CLIENT_ID)


async def test_a_fee_that_was_taken_in_two_assets_is_not_guessed_at(bitget: BitgetExchange, venue: CcxtVenue) -> None:
    outcome = await venue.place(order())
    assert isinstance(outcome, Accepted)
    fees = [{"feeCoin": "BGB", "totalFee": "-0.01"}, {"feeCoin": "USDT", "totalFee": "-0.2"}]

    def both(reply: Any) -> Any:
        return _data(fillList=[row | {"feeDetail": fees} for row in reply["data"]["fillList"]])(reply)

    bitget.faults.append(Fault("mix/order/fills", "alter", alter=both))
    with pytest.raises(VenueUnavailable, match="several assets"):
        await venue.fills(BTC, outcome.report.order_id)
