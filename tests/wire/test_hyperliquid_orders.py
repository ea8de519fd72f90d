"""Orders through the real hyperliquid class: what is signed and sent, by whom, and what we may conclude."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import VenueRefused, VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.exchange_core import Reason
from tests.fakes.hyperliquid import (
    AGENT,
    LIVE,
    STRANGER_KEY,
    TESTNET,
    Hyperliquid,
    hyperliquid_core,
    theirs,
)
from tests.fakes.hyperliquid_messages import TEXTS
from tests.fakes.hyperliquid_signatures import address_of
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import PRIVATE_KEY, WALLET, ShiftedClock, order, venue_at

D = Decimal
BTC, ETH, PEPE = "BTC/USDC:USDC", "ETH/USDC:USDC", "KPEPE/USDC:USDC"
OWN_KEY = "0x" + "11" * 32
ID = "kpr0123456789abcdef0123456789"


@pytest.fixture
async def server() -> AsyncIterator[Hyperliquid]:
    async with Hyperliquid(core=hyperliquid_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(server: Hyperliquid) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server) as connected:
        server.requests.clear()
        yield connected


def _order(**changes: Any) -> OrderRequest:
    """Buy 0.5 BTC at 50,010."""
    return order(**({"symbol": BTC, "client_id": ID, "amount": D("0.5"), "price": D(50_010)} | changes))


@pytest.mark.parametrize(("environment", "host"), [(Environment.TESTNET, TESTNET), (Environment.LIVE, LIVE)])
@pytest.mark.parametrize("key", [PRIVATE_KEY, OWN_KEY], ids=["api wallet", "own key"])
async def test_nothing_is_signed_but_our_order_and_that_for_its_own_chain(
    server: Hyperliquid, environment: Environment, host: str, key: str
) -> None:
    server.user = address_of(OWN_KEY)
    async with venue_at(server, environment, credentials={"wallet_address": server.user, "private_key": key}) as venue:
        assert not server.actions()
        assert isinstance(await venue.place(_order()), Accepted)
    assert {one.host for one in server.requests} == {host}
    [action] = server.actions()
    sent = {"a": 0, "b": True, "p": "50010", "s": "0.5", "r": False, "t": {"limit": {"tif": "Ioc"}}, "c": theirs(ID)}
    assert action == {"type": "order", "orders": [sent], "grouping": "na"}
    assert key.removeprefix("0x").encode() not in b"".join(one.raw for one in server.requests)


UNASKED: list[Callable[[Any], Any]] = [
    lambda exchange: exchange.approve_builder_fee("0x" + "0" * 40, "1%"),
    lambda exchange: exchange.withdraw("USDC", 100, "0x" + "c" * 40),
    lambda exchange: exchange.transfer("USDC", 100, "swap", "spot"),
    lambda exchange: exchange.set_leverage(40, BTC),
    lambda exchange: exchange.create_order(BTC, "limit", "buy", 1, 50_010, {"vaultAddress": "0x" + "c" * 40, "expiresAfter": 1}),
]


@pytest.mark.parametrize("ask", UNASKED, ids=["approve fees", "withdraw", "transfer", "set leverage", "order of a vault"])
async def test_what_keeper_never_sends_can_t_be_signed(server: Hyperliquid, venue: CcxtVenue, ask: Callable[[Any], Any]) -> None:
    with pytest.raises(VenueRefused, match="was to be signed"):
        await ask(venue._exchange)
    assert not server.actions()


async def test_not_even_ccxt_s_own_ways_to_sign_for_itself_send_anything(server: Hyperliquid, venue: CcxtVenue) -> None:
    exchange = venue._exchange
    await type(exchange).initialize_client(exchange)
    with pytest.raises(VenueRefused, match="setReferrer"):
        await type(exchange).set_ref(exchange)
    await type(exchange).handle_builder_fee_approval(exchange)
    assert not server.actions()
    assert isinstance(await venue.place(_order()), Accepted)
    assert [one["type"] for one in server.actions()] == ["order"]


async def test_an_order_says_when_it_is_too_late_and_is_not_taken_after_that(server: Hyperliquid, venue: CcxtVenue) -> None:
    deadline = ShiftedClock().now() + timedelta(seconds=3)
    assert isinstance(await venue.place(_order(deadline=deadline)), Accepted)
    [sent] = server.seen("/exchange")
    assert abs(sent.parameters["expiresAfter"] - deadline.timestamp() * 1000) < 100
    server.skew = 10_000
    outcome = await venue.place(_order(client_id="kpr" + "b" * 26))
    assert isinstance(outcome, Unknown)
    assert "expired" in outcome.why
    assert len(server.core.orders) == 1
    assert await venue.lookup(BTC, "kpr" + "b" * 26) is None


async def test_a_wrong_key_is_told_from_the_text_and_no_order_is_taken(server: Hyperliquid, venue: CcxtVenue) -> None:
    del server.agents[AGENT]
    outcome = await venue.place(_order())
    assert isinstance(outcome, Rejected)
    assert outcome.code == "User or API Wallet"
    assert "approve it as an API wallet" in outcome.message
    assert not server.core.orders


async def test_an_order_that_is_filled_whole_is_reported_so(server: Hyperliquid, venue: CcxtVenue) -> None:
    outcome = await venue.place(_order(amount=D("1.5")))
    assert isinstance(outcome, Accepted)
    [held] = server.core.orders.values()
    assert (outcome.report.order_id, outcome.report.client_id) == (str(held.id), ID)
    assert (outcome.report.state, outcome.report.filled) == (ChildState.FILLED, D("1.5"))
    assert outcome.report.average is not None
    assert abs(outcome.report.average - held.average) < D("1e-6")


@pytest.mark.parametrize("echoes", [True, False])
async def test_an_order_that_is_filled_in_part_is_not_done_until_it_is_looked_up(
    server: Hyperliquid, venue: CcxtVenue, *, echoes: bool
) -> None:
    server.echoes = echoes
    outcome = await venue.place(_order(amount=D(15), price=D(50_005)))
    assert isinstance(outcome, Accepted)
    [held] = server.core.orders.values()
    assert 0 < held.filled < 15
    expected = (ChildState.LIVE, D(0)) if echoes else (ChildState.CANCELED, held.filled)
    assert (outcome.report.state, outcome.report.filled) == expected
    found = await venue.lookup(BTC, ID)
    assert found is not None
    assert (found.state, found.filled, found.order_id) == (ChildState.CANCELED, held.filled, str(held.id))
    assert found.average is not None
    assert abs(found.average - held.average) < D("1e-9")
    fills = await venue.fills(BTC, found.order_id)
    assert sum(fill.amount for fill in fills) == held.filled


async def test_an_order_that_finds_nothing_within_its_limit_is_canceled_and_not_refused(
    server: Hyperliquid, venue: CcxtVenue
) -> None:
    outcome = await venue.place(_order(price=D(49_990)))
    assert isinstance(outcome, Accepted)
    assert (outcome.report.state, outcome.report.filled) == (ChildState.CANCELED, D(0))
    [held] = server.core.orders.values()
    assert outcome.report.order_id == str(held.id)
    assert len(server.actions()) == 1


async def test_an_order_that_found_nothing_and_is_not_shown_yet_proves_nothing(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.faults.append(Fault("info", "alter", alter=lambda _reply: {"status": "unknownOid"}))
    outcome = await venue.place(_order(price=D(49_990)))
    assert isinstance(outcome, Unknown)
    assert len(server.actions()) == 1


@pytest.mark.parametrize("held", [D("-0.5"), D("0.5")])
async def test_a_reduce_only_order_never_flips_the_position(server: Hyperliquid, venue: CcxtVenue, held: D) -> None:
    server.core.hold("BTC", held, D(50_000))
    side, price = (Side.BUY, D(50_010)) if held < 0 else (Side.SELL, D(49_990))
    outcome = await venue.place(_order(amount=D(2), reduce_only=True, side=side, price=price))
    assert isinstance(outcome, Accepted)
    assert server.actions()[0]["orders"][0]["r"] is True
    assert server.core.held("BTC") == 0


PRICES = [
    (BTC, "50010", "50010"),
    (BTC, "50010.0", "50010"),
    (ETH, "2500.1", "2500.1"),
    (ETH, "2510", "2510"),
    (PEPE, "0.005001", "0.005001"),
]


@pytest.mark.parametrize(("symbol", "price", "wire"), PRICES)
async def test_a_price_that_the_market_takes_arrives_as_it_is(
    server: Hyperliquid, venue: CcxtVenue, symbol: str, price: str, wire: str
) -> None:
    amount = D(100_000) if symbol == PEPE else D("0.5")
    assert isinstance(await venue.place(_order(symbol=symbol, price=D(price), amount=amount)), Accepted)
    assert server.actions()[0]["orders"][0]["p"] == wire


@pytest.mark.parametrize(
    ("mid", "ticks"), [("9999.9", ("1", "0.1")), ("10000", ("1", "0.1")), ("99999", ("1", "1")), ("123456", ("1", "1"))]
)
async def test_a_limit_across_a_power_of_ten_is_on_a_tick_that_the_exchange_takes(
    server: Hyperliquid, venue: CcxtVenue, mid: str, ticks: tuple[str, str]
) -> None:
    server.core.set_mid("ETH", D(mid))
    market = (await venue.markets([ETH]))[ETH]
    assert market.tick == D("0.01")
    for number, (side, factor) in enumerate(((Side.BUY, D("1.003")), (Side.SELL, D("0.997")))):
        tick = market.tick_at(D(mid) * factor)
        assert tick == D(ticks[number])
        price = (D(mid) * factor / tick).to_integral_value() * tick
        client_id = f"kpr{number}" + "0" * 25
        outcome = await venue.place(_order(symbol=ETH, side=side, price=price, client_id=client_id))
        assert isinstance(outcome, Accepted), outcome


NEVER_SENT: list[tuple[dict[str, Any], str]] = [
    ({"price": D("50010.1")}, "price"),
    ({"symbol": ETH, "price": D("2500.12")}, "price"),
    ({"amount": D("0.000001")}, ""),
    ({"client_id": "kpr0123"}, "client id"),
    ({"client_id": "x" * 29}, "client id"),
    ({"deadline": ShiftedClock().now() - timedelta(seconds=1)}, "deadline"),
]


@pytest.mark.parametrize(("changes", "words"), NEVER_SENT)
async def test_an_order_that_would_not_arrive_as_approved_is_never_sent(
    server: Hyperliquid, venue: CcxtVenue, changes: dict[str, Any], words: str
) -> None:
    outcome = await venue.place(_order(**changes))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "never_sent"
    assert words in outcome.message
    assert not server.requests


def _rule(**changes: Any) -> Callable[[Hyperliquid], None]:
    def change(server: Hyperliquid) -> None:
        for name, value in changes.items():
            setattr(server.core.instruments["BTC"], name, value)

    return change


REJECTIONS: list[tuple[Callable[[Hyperliquid], None], dict[str, Any], Reason, str]] = [
    (lambda server: server.core.wallet.update(USDC=D(1)), {}, Reason.MARGIN, "leverage setting"),
    (lambda _server: None, {"amount": D("0.0001")}, Reason.NOTIONAL, "minimum"),
    (lambda _server: None, {"reduce_only": True}, Reason.REDUCE_ONLY, "reduce"),
    (_rule(tick=D(100)), {}, Reason.TICK, "tick"),
    (_rule(step=D(10)), {}, Reason.LOT, "lots"),
    (lambda server: server.core.marks.update(BTC=D(40_000)), {}, Reason.PRICE_TOO_HIGH, "max_slippage_bps"),
]


@pytest.mark.parametrize(("spoil", "changes", "reason", "words"), REJECTIONS, ids=[str(row[2]) for row in REJECTIONS])
async def test_a_wrong_order_is_rejected_by_the_part_of_the_text_that_is_always_the_same(
    server: Hyperliquid,
    venue: CcxtVenue,
    spoil: Callable[[Hyperliquid], None],
    changes: dict[str, Any],
    reason: Reason,
    words: str,
) -> None:
    spoil(server)
    outcome = await venue.place(_order(**changes))
    assert isinstance(outcome, Rejected), outcome
    assert TEXTS[reason].startswith(outcome.code)
    assert "asset" not in outcome.code
    assert words in outcome.message
    assert not server.core.orders


TAKEN = ["html", "empty_object", "empty", "half_json", "truncated", "bad_gzip", "drop_after", "redirect", "503", "502", "422"]
LOST = ["drop_before", "503_before", "429"]


@pytest.mark.parametrize(("kind", "held"), [*((kind, 1) for kind in TAKEN), *((kind, 0) for kind in LOST)])
async def test_a_reply_that_proves_nothing_leaves_the_order_unknown_and_sends_no_second_one(
    server: Hyperliquid, kind: str, held: int
) -> None:
    async with venue_at(server) as venue:
        server.faults.append(Fault("exchange", kind))
        assert isinstance(await venue.place(_order()), Unknown)
        assert len(server.actions()) == 1
        assert len(server.core.orders) == held
    async with venue_at(server) as later:
        found = await later.lookup(BTC, ID)
        assert (found is not None) == bool(held)


def _said(status: Any) -> Callable[[Any], Any]:
    return lambda _reply: {"status": "ok", "response": {"type": "order", "data": {"statuses": [status]}}}


WHOLE = {"totalSz": "0.5", "avgPx": "50001.0", "oid": 7}
LIES: list[tuple[str, Callable[[Any], Any]]] = [
    ("another client id", _said({"filled": WHOLE | {"cloid": "0x" + "0" * 32}})),
    ("worse than the limit", _said({"filled": WHOLE | {"cloid": theirs(ID), "avgPx": "50011.0"}})),
    ("no number", _said({"filled": WHOLE | {"cloid": theirs(ID), "totalSz": "NaN"}})),
    ("no order id", _said({"filled": WHOLE | {"oid": None}})),
    ("no status", _said({})),
    ("a word", _said("waitingForFill")),
    ("an unheard-of error", _said({"error": "Order is not liked. asset=0"})),
    ("no statuses", lambda _reply: {"status": "ok", "response": {"type": "order", "data": {"statuses": []}}}),
    ("an unheard-of refusal", lambda _reply: {"status": "err", "response": "try again"}),
    ("null", lambda _reply: None),
    ("a list", lambda reply: [reply]),
    ("another order id, not to be found", _said({"resting": {"oid": 99}})),
]


@pytest.mark.parametrize("alter", [row[1] for row in LIES], ids=[row[0] for row in LIES])
async def test_an_answer_that_does_not_name_our_order_whole_is_no_acceptance(
    server: Hyperliquid, venue: CcxtVenue, alter: Callable[[Any], Any]
) -> None:
    server.faults.append(Fault("exchange", "alter", alter=alter))
    assert isinstance(await venue.place(_order()), Unknown)
    assert len(server.core.orders) == len(server.actions()) == 1


async def test_a_cancel_is_by_client_id_and_of_nothing_that_rests_it_says_nothing(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.core.rest(theirs(ID), "BTC", 1, D("0.1"), D(49_000))
    await venue.cancel(BTC, ID)
    assert not server.core.open_orders()
    await venue.cancel(BTC, ID)
    assert [one["cancels"] for one in server.actions("cancelByCloid")] == [[{"asset": 0, "cloid": theirs(ID)}]] * 2
    assert len(server.actions()) == 2


async def test_a_cancel_that_was_refused_for_another_reason_is_refused(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.core.rest(theirs(ID), "BTC", 1, D("0.1"), D(49_000))
    del server.agents[AGENT]
    with pytest.raises(VenueRefused, match="API wallet"):
        await venue.cancel(BTC, ID)
    server.faults.append(Fault("exchange", "html"))
    with pytest.raises(VenueUnavailable):
        await venue.cancel(BTC, ID)
    assert len(server.core.open_orders()) == 1


async def test_the_dead_man_switch_is_of_the_whole_account_and_taken_off(server: Hyperliquid, venue: CcxtVenue) -> None:
    assert await venue.dead_man([BTC], timedelta(seconds=60))
    [due] = server.core.countdowns.values()
    assert abs(due - server.now() - 60_000) < 5000
    assert await venue.dead_man([BTC], None)
    assert not server.core.countdowns
    assert server.actions()[1] == {"type": "scheduleCancel"}


async def test_a_dead_man_switch_that_the_venue_would_not_take_is_not_asked_for(server: Hyperliquid, venue: CcxtVenue) -> None:
    with pytest.raises(VenueRefused, match="5 s"):
        await venue.dead_man([BTC], timedelta(seconds=4))
    assert not server.requests


async def test_an_account_that_traded_too_little_has_no_dead_man_switch(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.volume = D("373.47")
    assert await venue.dead_man([BTC], timedelta(seconds=60)) is False
    server.agents.clear()
    with pytest.raises(VenueRefused):
        await venue.dead_man([BTC], timedelta(seconds=60))


async def test_a_key_of_a_stranger_is_refused_on_connecting_and_named_by_its_address(server: Hyperliquid) -> None:
    with pytest.raises(VenueRefused, match="may not act for") as refusal:
        async with venue_at(server, credentials={"private_key": STRANGER_KEY}):
            pass
    assert refusal.value.code == "signer"
    assert WALLET in refusal.value.message
    assert "33" * 32 not in refusal.value.message
    assert not server.actions()
