"""Orders through the real okx class: what is sent, with which deadline and margin, and what the answers prove."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Rejected, Unknown
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.dialects import OKX
from keeper.venues.parsing import milliseconds
from tests.fakes import okx_messages
from tests.fakes.exchange_core import MarginMode, Reason
from tests.fakes.loopback_requests import Fault, Seen
from tests.fakes.loopback_venue import BTC, CLIENT_ID, venue_at
from tests.fakes.loopback_venue import order as requested
from tests.fakes.okx import OkxServer, okx_core, okx_spot_core

D = Decimal
SWAP = "BTC-USDT-SWAP"
INVERSE = "BTC/USD:BTC"
SPOT = "BTC/USDT"


@pytest.fixture
async def server() -> AsyncIterator[OkxServer]:
    async with OkxServer(core=okx_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(server: OkxServer) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server) as connected:
        server.requests.clear()
        yield connected


def order(**changes: Any) -> OrderRequest:
    """Buy 1.5 contracts, 0.015 BTC."""
    return requested(**({"amount": D("1.5")} | changes))


def sent(server: OkxServer) -> list[Seen]:
    return server.seen("trade/order", "POST")


async def test_an_order_says_what_was_approved_and_nothing_else(server: OkxServer, venue: CcxtVenue) -> None:
    outcome = await venue.place(order())
    (seen,) = sent(server)
    assert json.loads(seen.body) == {
        "instId": SWAP,
        "tdMode": "cross",
        "side": "buy",
        "ordType": "ioc",
        "sz": "1.5",
        "px": "50010.1",
        "clOrdId": CLIENT_ID,
        "tag": "keeper",
    }
    assert isinstance(outcome, Accepted)
    (held,) = server.core.orders.values()
    assert outcome.report.order_id == str(held.id)
    # the acknowledgement tells the ids alone
    assert (outcome.report.state, outcome.report.filled) == (ChildState.LIVE, D(0))
    found = await venue.lookup(BTC, CLIENT_ID)
    assert found is not None
    assert (found.state, found.filled, found.average) == (ChildState.FILLED, D("1.5"), held.average)


async def test_contracts_are_a_hundredth_of_a_bitcoin_and_a_hundred_dollars(server: OkxServer, venue: CcxtVenue) -> None:
    await venue.place(order(amount=D(100)))
    await venue.place(order(client_id="kpr2", symbol=INVERSE, amount=D(100)))
    markets = await venue.markets([BTC, INVERSE])
    linear, inverse = (sum(trade.fee for trade in server.core.trades if trade.symbol == name) for name in (SWAP, "BTC-USD-SWAP"))
    assert linear == markets[BTC].notional(D(100), D("50000.1")) * D("0.0005")
    assert abs(inverse - markets[INVERSE].to_base(D(100), D("50000.1")) * D("0.0005")) < D("1e-8")
    fills = [*await venue.fills(BTC, "8000001"), *await venue.fills(INVERSE, "8000002")]
    assert [(fill.fee, fill.fee_asset) for fill in fills] == [(linear, "USDT"), (inverse, "BTC")]
    positions = (await venue.account()).positions
    assert {symbol: held.contracts for symbol, held in positions.items()} == {BTC: D(100), INVERSE: D(100)}


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class AtNoon:
    """A clock that stands, so that every time on the wire is known to the millisecond."""

    def now(self) -> datetime:
        return NOON

    async def sleep_until(self, at: datetime) -> None:
        """At once."""


@asynccontextmanager
async def at_noon(skew: int) -> AsyncIterator[tuple[OkxServer, CcxtVenue]]:
    """An exchange whose clock runs ``skew`` ms ahead of the venue's, and neither goes on."""
    core = okx_core(now=lambda: milliseconds(NOON))
    async with OkxServer(core=core, skew=skew) as server, venue_at(server, clock=AtNoon()) as venue:
        server.requests.clear()
        yield server, venue


@pytest.mark.parametrize("skew", [0, 400, -900])
async def test_the_deadline_travels_as_a_header_in_the_venue_s_time_and_with_orders_only(skew: int) -> None:
    async with at_noon(skew) as (server, venue):
        assert isinstance(await venue.place(order(deadline=NOON + timedelta(seconds=3))), Accepted)
        await venue.account()
        (seen,) = sent(server)
        assert int(seen.header("expTime")) == milliseconds(NOON) + 3_000 + skew
        assert not [one.path for one in server.requests if one is not seen and one.header("expTime")]


@pytest.mark.parametrize("skew", [0, 400, -900])
async def test_a_clock_that_is_wrong_is_made_up_for_in_every_signature(skew: int) -> None:
    async with at_noon(skew) as (server, venue):
        await venue.place(order(deadline=NOON + timedelta(seconds=3)))
        await venue.account()
        stamps = {one.header("OK-ACCESS-TIMESTAMP") for one in server.requests if one.header("OK-ACCESS-KEY")}
    assert [datetime.fromisoformat(stamp) for stamp in stamps] == [NOON + timedelta(milliseconds=skew)]


async def test_orders_that_are_on_their_way_together_have_each_its_own_deadline() -> None:
    async with at_noon(0) as (server, venue):
        asked = [order(client_id=f"kpr{seconds}", deadline=NOON + timedelta(seconds=seconds)) for seconds in (2, 4, 30)]
        await asyncio.gather(*(venue.place(one) for one in asked))
        told = {one.parameters["clOrdId"]: int(one.header("expTime")) for one in sent(server)}
    assert told == {one.client_id: milliseconds(one.deadline) for one in asked}


@pytest.mark.parametrize(("late", "taken"), [(4_999, 1), (5_001, 0)])
async def test_an_order_that_arrives_after_its_deadline_is_refused(late: int, taken: int) -> None:
    async with at_noon(0) as (server, venue):
        server.skew = late  # as if it had been under way for so long
        outcome = await venue.place(order(deadline=NOON + timedelta(seconds=5)))
        assert isinstance(outcome, Accepted if taken else Rejected)
        assert isinstance(outcome, Accepted) or outcome.code == "50036"
        assert len(server.core.orders) == taken


async def test_an_order_whose_sender_gave_up_is_not_taken_after_its_deadline(server: OkxServer) -> None:
    async with venue_at(server, timeout=0.3) as venue:
        server.requests.clear()
        server.faults.append(Fault("trade/order", "late", method="POST", after=0.05))
        server.skew = 10_000
        assert isinstance(await venue.place(order()), Unknown)
        for taking in list(server.on_the_way):
            await taking
        server.skew = 0
        assert len(sent(server)) == 1
        assert not server.core.orders
        assert await venue.lookup(BTC, CLIENT_ID) is None


async def test_a_position_with_margin_of_its_own_is_traded_with_that_margin(server: OkxServer, venue: CcxtVenue) -> None:
    server.core.hold(SWAP, D(5), D(50_000))
    server.core.isolated.add(SWAP)
    await venue.account()
    outcome = await venue.place(order(side=Side.SELL, amount=D(5), price=D(49_990), reduce_only=True))
    assert isinstance(outcome, Accepted), outcome
    assert json.loads(sent(server)[0].body).items() >= {"tdMode": "isolated", "reduceOnly": True}.items()
    assert server.core.held(SWAP) == 0
    # once it is gone, orders are backed by the whole account again
    await venue.account()
    await venue.place(order(client_id="kpr2"))
    assert json.loads(sent(server)[1].body)["tdMode"] == "cross"
    assert server.core.margin_mode(SWAP) is MarginMode.CROSS


WRONG_MODES = [
    ("1", {}, BTC, "spot mode, which has no perpetuals"),
    ("3", {}, SPOT, "multi-currency margin mode, in which a spot order may borrow"),
    ("4", {}, SPOT, "portfolio margin mode, in which a spot order may borrow"),
    ("1", {"borrows": True}, SPOT, "may borrow for spot orders"),
]


@pytest.mark.parametrize(("level", "changes", "symbol", "words"), WRONG_MODES, ids=[row[0] + row[3][:20] for row in WRONG_MODES])
async def test_an_order_that_the_account_s_mode_does_not_go_with_is_never_sent(
    level: str, changes: dict[str, Any], symbol: str, words: str
) -> None:
    core = okx_spot_core()
    both = okx_core(instruments=okx_core().instruments | core.instruments, ladders=okx_core().ladders | core.ladders)
    async with OkxServer(core=both, level=level, **changes) as server, venue_at(server) as venue:
        outcome = await venue.place(order(symbol=symbol))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "never_sent"
        assert words in outcome.message
        assert not sent(server)


@pytest.mark.parametrize("level", ["2", "3", "4"])
async def test_perpetuals_are_traded_in_every_mode_but_spot(level: str) -> None:
    async with OkxServer(core=okx_core(usd={"USDT": D(1), "BTC": D(50_000)}), level=level) as server, venue_at(server) as venue:
        assert isinstance(await venue.place(order()), Accepted)


@pytest.mark.parametrize("level", ["1", "2"])
async def test_a_spot_order_is_cash_and_counts_the_base(level: str) -> None:
    core = okx_spot_core(wallet={"USDT": D(10_000)})
    async with OkxServer(core=core, level=level) as server, venue_at(server) as venue:
        assert isinstance(await venue.place(order(symbol=SPOT, amount=D("0.1"))), Accepted)
        assert json.loads(sent(server)[0].body).items() >= {"tdMode": "cash", "sz": "0.1", "tgtCcy": "base_ccy"}.items()
        (fill,) = await venue.fills(SPOT, "8000001")
        assert (fill.amount, fill.fee, fill.fee_asset) == (D("0.1"), D("0.0001"), "BTC")


Spoil = Callable[[OkxServer], None]


def _rule(**changes: Any) -> Spoil:
    def change(server: OkxServer) -> None:
        for name, value in changes.items():
            setattr(server.core.instruments[SWAP], name, value)

    return change


def _set(name: str, value: Any) -> Spoil:
    return lambda server: setattr(server, name, value)


REJECTIONS: list[tuple[str, Spoil, dict[str, Any], str, str]] = [
    ("wrong secret", _set("secret", "another"), {}, "50113", "secret belongs to the API key"),
    ("unknown key", _set("api_key", "another"), {}, "50119", "does not exist"),
    ("wrong passphrase", _set("passphrase", "another"), {}, "50105", "passphrase is wrong"),
    ("keys of live trading", _set("demo", False), {}, "50101", "other environment"),
    ("a key that may only read", _set("permissions", "read_only"), {}, "50120", "permission"),
    ("old timestamp", _set("skew", 60_000), {}, "50102", "clock"),
    ("off the tick", _rule(tick=D("0.5")), {}, "51000", "tick"),
    ("wrong lot", _rule(step=D("0.02")), {"amount": D("0.03")}, "51121", "lots"),
    ("too many digits", _rule(amount_digits=1), {"amount": D("0.03")}, "51150", "digits"),
    ("below the minimum", _rule(min_amount=D(5)), {}, "51020", "minimum"),
    ("unknown symbol", lambda server: server.core.instruments.clear(), {}, "51001", "symbol"),
    ("suspended", _rule(open=False), {}, "51022", "suspended"),
    ("no margin", lambda server: server.core.wallet.update(USDT=D("0.01")), {}, "51008", "margin is insufficient"),
    ("nothing to reduce", lambda _server: None, {"reduce_only": True}, "51169", "no position"),
    ("price above the limit", lambda server: server.core.marks.update({SWAP: D(40_000)}), {}, "51137", "max_slippage_bps"),
    (
        "price below the limit",
        lambda server: server.core.marks.update({SWAP: D(60_000)}),
        {"side": Side.SELL},
        "51138",
        "limit for sells",
    ),
    ("hedge mode", lambda server: setattr(server.core, "hedged", True), {}, "51000", "one-way"),
    ("spot mode meanwhile", _set("level", "1"), {}, "51010", "futures mode"),
]


@pytest.mark.parametrize(
    ("spoil", "changes", "code", "words"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
async def test_a_wrong_order_is_rejected_with_the_exchange_s_code_and_our_own_words(
    server: OkxServer, venue: CcxtVenue, spoil: Spoil, changes: dict[str, Any], code: str, words: str
) -> None:
    spoil(server)
    outcome = await venue.place(order(**changes))
    assert isinstance(outcome, Rejected), outcome
    assert outcome.code == code
    assert words in outcome.message
    assert len(sent(server)) == 1
    assert not server.core.orders


def test_no_two_rejections_share_their_words() -> None:
    assert len(set(OKX.rejections.values())) == len(OKX.rejections)


NO_PROOF = ["50004", "50011", "50013", "50026", "429"]


@pytest.mark.parametrize("kind", [*NO_PROOF, *(f"{kind}_before" for kind in NO_PROOF)])
async def test_a_code_that_says_timeout_busy_or_too_often_proves_nothing(server: OkxServer, venue: CcxtVenue, kind: str) -> None:
    server.faults.append(Fault("trade/order", kind, method="POST"))
    outcome = await venue.place(order())
    assert isinstance(outcome, Unknown), outcome
    assert len(sent(server)) == 1
    assert len(server.core.orders) == (0 if kind.endswith("_before") or kind == "429" else 1)


def test_codes_that_prove_nothing_are_in_no_table() -> None:
    doubtful = {"1", "2", "50001", "50004", "50005", "50011", "50013", "50026", "50040", "50042", "51054", "51149"}
    assert not doubtful & (OKX.rejections.keys() | OKX.refusals.keys() | OKX.duplicate)


def _row(**fields: Any) -> Callable[[Any], Any]:
    return lambda reply: reply | {"data": [reply["data"][0] | fields]}


LIES: list[tuple[str, Callable[[Any], Any], str]] = [
    ("another client id", _row(clOrdId="someoneelse"), "another client order id"),
    ("no client id", _row(clOrdId=""), "clOrdId"),
    ("no order id", _row(ordId=""), "order id"),
    ("order id null", _row(ordId=None), "order id"),
    ("sCode null", _row(sCode=None), "not taken"),
    ("sCode a number", _row(sCode=0), "not taken"),
    ("no rows", lambda reply: reply | {"data": []}, ""),
    ("no data", lambda _reply: {"code": "0"}, ""),
    ("failed without a reason", lambda _reply: {"code": "1", "data": [], "msg": "All operations failed"}, "1: All operations"),
    ("an unheard-of code", _row(ordId="", sCode="59999", sMsg="?"), "59999"),
    ("an unheard-of code that says no", lambda reply: _row(ordId="", sCode="59999", sMsg="?")(reply) | {"code": "1"}, "59999"),
    ("a duplicate", lambda reply: _row(ordId="", sCode="51016", sMsg="exists")(reply) | {"code": "1"}, "already"),
    ("a refusal with an order's id", lambda reply: _row(sCode="51008", sMsg="no margin")(reply) | {"code": "1"}, "HTTP 200"),
    ("a list", lambda reply: [reply], ""),
    ("null", lambda _reply: None, ""),
]


@pytest.mark.parametrize(("alter", "words"), [row[1:] for row in LIES], ids=[row[0] for row in LIES])
async def test_an_answer_that_does_not_name_our_order_is_no_acceptance_and_no_rejection(
    server: OkxServer, venue: CcxtVenue, alter: Callable[[Any], Any], words: str
) -> None:
    server.faults.append(Fault("trade/order", "alter", method="POST", alter=alter))
    outcome = await venue.place(order())
    assert isinstance(outcome, Unknown), outcome
    assert words in outcome.why
    assert len(server.core.orders) == len(sent(server)) == 1


async def test_an_order_that_order_details_have_lost_is_found_among_the_ended_ones(server: OkxServer, venue: CcxtVenue) -> None:
    await venue.place(order())
    missing = okx_messages.refused(Reason.NO_SUCH_ORDER, "GET", "trade/order", "")[1]
    server.faults.append(Fault("trade/order", "alter", method="GET", alter=lambda _reply: missing))
    found = await venue.lookup(BTC, CLIENT_ID)
    assert found is not None
    assert (found.order_id, found.state, found.filled) == ("8000001", ChildState.FILLED, D("1.5"))
    assert await venue.lookup(BTC, "kprnone") is None


@pytest.mark.parametrize("client_id", ["kpr-1", "x" * 33, "kpr_1", "ü"])
async def test_a_client_id_that_the_venue_does_not_take_is_never_sent(
    server: OkxServer, venue: CcxtVenue, client_id: str
) -> None:
    outcome = await venue.place(order(client_id=client_id))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "never_sent"
    assert not server.requests
