"""The real gate class against a loopback Gate: what is particular about that exchange's orders, lists and accounts."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import StaleData, VenueRefused, VenueUnavailable
from keeper.domain.inspection import FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.market import MarketKind, Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.connection import Question
from keeper.venues.dialects import GATE
from tests.fakes import loopback_venue
from tests.fakes.exchange_core import Forced, Order
from tests.fakes.gate import HOSTS, GateFutures, usual_core
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import BTC, ETH, ShiftedClock, venue_at

D = Decimal
OURS = "kpr0123456789abcdef0123456"
DAY = timedelta(days=1)


def order(**changes: Any) -> OrderRequest:
    return loopback_venue.order(**({"client_id": OURS, "amount": D(150)} | changes))


@pytest.fixture
async def server() -> AsyncIterator[GateFutures]:
    async with GateFutures(core=usual_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(server: GateFutures) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server) as connected:
        server.requests.clear()
        yield connected


def own(server: GateFutures, **changes: Any) -> Order:
    """An order of ours that the exchange keeps, filled whole unless ``filled`` says otherwise."""
    filled = changes.pop("filled", True)
    parts: dict[str, Any] = {"client_id": f"t-{OURS}", "symbol": "BTC_USDT", "sign": 1, "amount": D(10), "price": D(50_000)}
    found = server.core.rest(**(parts | changes))
    if filled:
        server.core.book(found, found.amount, found.price)
    return found


def ago(span: timedelta) -> int:
    """Milliseconds since 1970, that long ago."""
    return int((ShiftedClock().now() - span).timestamp() * 1000)


async def test_an_order_is_signed_contracts_under_our_id_with_a_time_limit(server: GateFutures, venue: CcxtVenue) -> None:
    deadline = ShiftedClock().now() + timedelta(seconds=3)
    outcome = await venue.place(order(side=Side.SELL, price=D("49990.1"), deadline=deadline))
    assert isinstance(outcome, Accepted)
    assert (outcome.report.state, outcome.report.filled, outcome.report.client_id) == (ChildState.FILLED, D(150), OURS)
    (sent,) = server.seen("/orders", "POST")
    assert json.loads(sent.body) == {
        "contract": "BTC_USDT",
        "size": -150,
        "price": "49990.1",
        "tif": "ioc",
        "text": f"t-{OURS}",
    }
    # the measured offset of a clock on the same machine is a few milliseconds at most
    assert abs(int(sent.header("X-Gate-Exptime")) - deadline.timestamp() * 1000) < 100
    assert server.core.held("BTC_USDT") == -150
    reduced = await venue.place(order(client_id="kpr2", amount=D(200), reduce_only=True))
    assert isinstance(reduced, Accepted)
    assert (reduced.report.state, reduced.report.filled) == (ChildState.CANCELED, D(150))


async def test_markets_that_count_parts_of_contracts_are_traded_in_them(server: GateFutures, venue: CcxtVenue) -> None:
    markets = await venue.markets([BTC, ETH])
    assert (markets[BTC].kind, markets[BTC].contract_size, markets[BTC].lot) == (MarketKind.LINEAR, D("0.0001"), D(1))
    assert (markets[ETH].contract_size, markets[ETH].lot, markets[ETH].min_amount) == (D("0.01"), D("0.1"), D("0.1"))
    assert isinstance(await venue.place(order(symbol=ETH, amount=D("2.5"), price=D(2501))), Accepted)
    assert server.core.held("ETH_USDT") == D("2.5")
    refused = await venue.place(order(amount=D("1.5")))
    assert isinstance(refused, Rejected)
    assert refused.code == "never_sent"
    with pytest.raises(VenueRefused, match="delisted"):
        await venue.markets(["DEAD/USDT:USDT"])


async def test_an_order_that_arrives_after_its_time_limit_is_not_taken(server: GateFutures, venue: CcxtVenue) -> None:
    server.skew = 6_000
    outcome = await venue.place(order())
    assert isinstance(outcome, Rejected)
    assert outcome.code == "REQUEST_EXPIRED"
    assert server.core.orders == {}


async def test_no_other_request_carries_the_time_limit_of_an_order(server: GateFutures, venue: CcxtVenue) -> None:
    await venue.place(order())
    await venue.account()
    await venue.lookup(BTC, OURS)
    assert [one.path for one in server.requests if one.header("X-Gate-Exptime")] == ["/api/v4/futures/usdt/orders"]


REJECTED: list[tuple[dict[str, Any], str]] = [
    ({"amount": D(900_000), "price": D(50_100)}, "INSUFFICIENT_AVAILABLE"),
    ({"price": D(60_000)}, "PRICE_TOO_DEVIATED"),
    ({"reduce_only": True}, "POSITION_EMPTY"),
]


@pytest.mark.parametrize(("changes", "code"), REJECTED)
async def test_what_the_exchange_turns_down_is_rejected_with_a_remedy(
    server: GateFutures, venue: CcxtVenue, changes: dict[str, Any], code: str
) -> None:
    outcome = await venue.place(order(**changes))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, server.core.orders) == (code, {})
    assert GATE.rejections[code] in outcome.message


@pytest.mark.parametrize("kind", ["INTERNAL", "TOO_BUSY", "429", "html", "half_json", "empty_object", "drop_after", "502"])
async def test_what_proves_nothing_is_unknown_and_settled_by_the_client_id(
    server: GateFutures, venue: CcxtVenue, kind: str
) -> None:
    server.faults.append(Fault("/orders", kind, "POST"))
    assert isinstance(await venue.place(order()), Unknown)
    server.faults.clear()
    if kind == "429":  # asks for silence
        assert server.core.orders == {}
        return
    found = await venue.lookup(BTC, OURS)
    assert found is not None
    assert found.filled == 150


async def test_an_order_is_found_while_it_rests_once_it_ended_and_after_its_client_id_is_forgotten(
    server: GateFutures, venue: CcxtVenue
) -> None:
    resting = own(server, client_id="t-kprrests", filled=False, price=D(49_000))
    ended = own(server)
    for life in (60_000, 0):
        server.text_life = life
        for wanted, name, state in ((resting, "kprrests", ChildState.LIVE), (ended, OURS, ChildState.FILLED)):
            found = await venue.lookup(BTC, name)
            assert found is not None
            assert (found.order_id, found.state, found.filled) == (str(wanted.id), state, wanted.filled)
        assert await venue.lookup(BTC, "kprnever") is None


async def test_a_forgotten_order_is_found_however_many_came_after_it(server: GateFutures, venue: CcxtVenue) -> None:
    server.text_life = 0
    wanted = own(server, at=ago(30 * DAY))
    for number in range(250):
        own(server, client_id="web", at=ago(DAY) + number)
    found = await venue.lookup(BTC, OURS)
    assert found is not None
    assert found.order_id == str(wanted.id)


async def test_two_orders_of_one_client_id_are_no_answer(server: GateFutures, venue: CcxtVenue) -> None:
    server.text_life = 0
    own(server)
    own(server)
    with pytest.raises(VenueUnavailable, match="holds 2 orders"):
        await venue.lookup(BTC, OURS)


async def test_past_orders_are_read_page_by_page_back_to_the_time_asked_for(server: GateFutures, venue: CcxtVenue) -> None:
    for number in range(350):
        own(server, client_id="web", at=ago(10 * DAY) + number * 3_600_000 // 2)
    resting = own(server, client_id="t-kprrests", filled=False, price=D(49_000), at=ago(9 * DAY))
    since = ShiftedClock().now() - 5 * DAY
    truth = [one for one in server.core.orders.values() if one.at >= since.timestamp() * 1000]
    assert len(truth) > 100
    found = await venue.orders(BTC, since)
    assert [one.order_id for one in found] == [str(one.id) for one in truth]
    assert len(server.seen("/orders", "GET")) == 3  # those that rest, and two pages: the third is not needed
    (rests,) = (await venue.account()).open_orders
    assert (rests.order_id, rests.client_id, rests.is_ours, rests.state) == (str(resting.id), "kprrests", True, ChildState.LIVE)


async def test_a_list_that_begins_with_the_oldest_is_not_taken_for_the_newest(server: GateFutures, venue: CcxtVenue) -> None:
    for number in range(3):
        own(server, client_id="web", at=ago(DAY) + number)
    server.faults.append(Fault("/orders", "alter", "GET", alter=lambda rows: rows[::-1]))
    with pytest.raises(VenueUnavailable, match="begins with the oldest"):
        await venue.orders(BTC, ShiftedClock().now() - DAY)


async def test_whose_an_order_is_can_be_told(server: GateFutures, venue: CcxtVenue) -> None:
    own(server)
    own(server, client_id="web")
    server.core.force("BTC_USDT", Forced.LIQUIDATION)
    own(server, client_id="web")
    server.core.force("BTC_USDT", Forced.DELEVERAGING)
    found = await venue.orders(BTC, ShiftedClock().now() - DAY)
    assert [(one.is_ours, one.forced) for one in found] == [
        (True, False),
        (False, False),
        (False, True),
        (False, False),
        (False, True),
    ]
    assert found[2].signed == -20


async def test_the_trades_of_an_order_are_whole_however_many_there_are(server: GateFutures, venue: CcxtVenue) -> None:
    one = own(server, amount=D(250), filled=False)
    for _ in range(250):
        server.core.book(one, D(1), D(50_000))
    own(server, client_id="web")
    trades = await venue.fills(BTC, str(one.id))
    assert sum(trade.amount for trade in trades) == 250
    assert {trade.fee for trade in trades} == {D("0.0025")}
    assert {trade.fee_asset for trade in trades} == {"USDT"}


async def test_a_rebate_is_negative(server: GateFutures, venue: CcxtVenue) -> None:
    server.core.fee_rate = D("-0.0001")
    one = own(server)
    (trade,) = await venue.fills(BTC, str(one.id))
    assert trade.fee == D("-0.005")


async def test_an_order_is_canceled_by_its_client_id_and_one_that_ended_is_left_alone(
    server: GateFutures, venue: CcxtVenue
) -> None:
    resting = own(server, filled=False)
    for _ in range(2):
        await venue.cancel(BTC, OURS)
    assert not resting.status.rests


async def test_the_dead_man_switch_is_set_by_market_in_seconds_and_taken_off(server: GateFutures, venue: CcxtVenue) -> None:
    resting = own(server, filled=False)
    assert await venue.dead_man([BTC, ETH], timedelta(seconds=7.2))
    assert await venue.dead_man([BTC], timedelta(seconds=1))
    assert await venue.dead_man([ETH], None)
    sent = [(one.parameters["contract"], one.parameters["timeout"]) for one in server.seen("/countdown_cancel_all")]
    assert sent == [("BTC_USDT", 8), ("ETH_USDT", 8), ("BTC_USDT", 5), ("ETH_USDT", 0)]
    assert set(server.core.countdowns) == {"BTC_USDT"}
    later = server.core.now() + 5_001
    server.core.now = lambda: later
    assert server.core.open_orders() == []
    assert not resting.status.rests


async def test_the_wallet_is_without_open_profit_and_the_equity_with_it(server: GateFutures, venue: CcxtVenue) -> None:
    server.core.hold("BTC_USDT", D(-20_000), D(50_000))
    server.core.liquidations["BTC_USDT"] = D(90_000)
    server.core.set_mid("BTC_USDT", D(52_500))
    account = await venue.account()
    assert (account.balances, account.equities) == ({"USDT": D(100_000)}, {"USDT": D(95_000)})
    assert account.free_margin == 95_000 - 5_250
    position = account.positions[BTC]
    assert (position.contracts, position.entry, position.mark) == (D(-20_000), D(50_000), D(52_500))
    assert position.liquidation == 90_000
    server.core.liquidations.clear()
    server.core.isolated.add("BTC_USDT")
    isolated = (await venue.account()).positions[BTC]
    assert (isolated.contracts, isolated.liquidation) == (D(-20_000), None)


def _hedged(server: GateFutures) -> None:
    server.core.hedged = True


def _foreign(server: GateFutures) -> None:
    server.api_key = "another"


def _resealed(server: GateFutures) -> None:
    server.secret = "another"


def _says(label: str) -> Callable[[GateFutures], None]:
    return lambda server: server.faults.append(Fault("/accounts", label))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_hedged, "hedge mode"),
        (_foreign, "unknown here"),
        (_resealed, "the secret belongs to the API key"),
        (_says("IP_FORBIDDEN"), "IP allow-list"),
        (_says("FORBIDDEN"), "right to read and trade"),
        (_says("USER_NOT_FOUND"), "transfer USDT"),
    ],
)
async def test_an_account_that_can_not_be_used_is_refused_with_a_remedy(
    server: GateFutures, spoil: Callable[[GateFutures], None], words: str
) -> None:
    spoil(server)
    with pytest.raises(VenueRefused, match=words):
        async with venue_at(server):
            pass
    assert server.core.orders == {}


async def test_a_position_of_hedge_mode_is_refused(server: GateFutures, venue: CcxtVenue) -> None:
    server.core.hold("BTC_USDT", D(10), D(50_000))
    server.core.hedged = True
    with pytest.raises(VenueRefused, match="hedge mode"):
        await venue.account()


async def test_an_account_without_the_word_for_its_mode_is_unreadable(server: GateFutures) -> None:
    server.faults.append(Fault("/accounts", "alter", alter=lambda told: told | {"in_dual_mode": None}))
    with pytest.raises(StaleData, match="in_dual_mode"):
        async with venue_at(server):
            pass


@pytest.mark.parametrize(("environment", "host"), [(Environment.TESTNET, HOSTS[0]), (Environment.LIVE, HOSTS[1])])
async def test_connecting_reads_the_time_the_markets_and_the_account_of_its_environment_and_nothing_else(
    server: GateFutures, environment: Environment, host: str
) -> None:
    async with venue_at(server, environment) as venue:
        await venue.place(order())
    assert {one.host for one in server.requests} == {host}
    paths = {one.path.removeprefix("/api/v4/") for one in server.requests}
    assert paths == {"spot/time", "futures/usdt/contracts", "futures/usdt/accounts", "futures/usdt/orders"}
    assert [one.path for one in server.requests if one.header("X-Gate-Channel-Id")] == []


async def test_prices_are_read_with_their_times(server: GateFutures, venue: CcxtVenue) -> None:
    server.core.marks["BTC_USDT"] = D(50_010)
    server.core.indexes["BTC_USDT"] = D(50_020)
    quote = await venue.quote(BTC)
    assert (quote.mark, quote.index, quote.last) == (D(50_010), D(50_020), D(50_000))
    assert quote.book.asks[0].amount == 10_000
    assert (await venue.stats(BTC)).volume == 25_000
    server.core.lasts["BTC_USDT"] = (D(1), ago(timedelta(minutes=1)))
    assert (await venue.quote(BTC)).last is None


async def test_what_doctor_asks_is_told(server: GateFutures, venue: CcxtVenue) -> None:
    speech, wire = GATE.speech, venue._wire(Question(what="inspection"))
    assert await speech.key(wire) == KeyFacts(ip_bound=False)
    server.addresses = ("192.0.2.1",)
    assert await speech.key(wire) == KeyFacts(ip_bound=True)
    assert await speech.fees(wire, BTC) == FeeRates(taker=D("0.0005"), maker=D("0.0002"))
    assert await speech.modes(wire, BTC) == Modes(hedged=False, margin=MarginMode.CROSS, leverage=D(20))
    server.core.isolated.add("BTC_USDT")
    assert await speech.modes(wire, BTC) == Modes(hedged=False, margin=MarginMode.ISOLATED, leverage=D(20))
    server.core.hedged = True
    assert await speech.modes(wire, BTC) == Modes(hedged=True)
    first, second = await speech.brackets(wire, BTC)
    assert (first.up_to, first.max_leverage, first.maintenance) == (D(1_000_000), D(125), D("0.004"))
    assert second.up_to == 2_000_000
