"""The real kucoinfutures class against a loopback KuCoin: what is particular about that exchange's orders, lists and accounts."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import ConfigError, StaleData, VenueRefused, VenueUnavailable
from keeper.domain.inspection import FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.market import MarketKind, Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.connection import Question
from keeper.venues.dialects import KUCOIN_FUTURES
from tests.fakes import loopback_venue
from tests.fakes.exchange_core import Forced, Order
from tests.fakes.kucoin import KucoinFutures, usual_core
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_server import API_KEY, PASSPHRASE, SECRET
from tests.fakes.loopback_venue import BTC, CLIENT_ID, ETH, ShiftedClock

D = Decimal
COIN = "BTC/USD:BTC"
DAY = timedelta(days=1)
KEYS = {"api_key": API_KEY, "secret": SECRET, "passphrase": PASSPHRASE}


def order(**changes: Any) -> OrderRequest:
    return loopback_venue.order(**({"amount": D(15)} | changes))


def venue_at(server: KucoinFutures, **changes: Any) -> CcxtVenue:
    return loopback_venue.venue_at(server, Environment.LIVE, **({"credentials": KEYS} | changes))


@pytest.fixture
async def server() -> AsyncIterator[KucoinFutures]:
    async with KucoinFutures(core=usual_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(server: KucoinFutures) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server) as connected:
        server.requests.clear()
        yield connected


def own(server: KucoinFutures, **changes: Any) -> Order:
    """An order of ours that the exchange keeps, filled whole unless ``filled`` says otherwise."""
    filled = changes.pop("filled", True)
    parts: dict[str, Any] = {"client_id": CLIENT_ID, "symbol": "XBTUSDTM", "sign": 1, "amount": D(10), "price": D(50_000)}
    found = server.core.rest(**(parts | changes))
    if filled:
        server.core.book(found, found.amount, found.price)
    return found


def ago(span: timedelta) -> int:
    """Milliseconds since 1970, that long ago."""
    return int((ShiftedClock().now() - span).timestamp() * 1000)


async def test_an_order_names_the_cross_margin_and_is_answered_with_its_ids(server: KucoinFutures, venue: CcxtVenue) -> None:
    outcome = await venue.place(order(side=Side.SELL, price=D("49990.1")))
    assert isinstance(outcome, Accepted)
    # the ids alone prove that it was taken, and nothing of what became of it
    assert (outcome.report.state, outcome.report.filled) == (ChildState.LIVE, D(0))
    (sent,) = server.seen("/orders", "POST")
    assert json.loads(sent.body) == {
        "clientOid": CLIENT_ID,
        "side": "sell",
        "symbol": "XBTUSDTM",
        "type": "limit",
        "leverage": 1,
        "marginMode": "CROSS",
        "size": 15,
        "price": "49990.1",
        "timeInForce": "IOC",
    }
    assert not [name for name in sent.headers if "PARTNER" in name.upper()]
    found = await venue.lookup(BTC, CLIENT_ID)
    assert found is not None
    assert (found.order_id, found.state, found.filled) == (outcome.report.order_id, ChildState.FILLED, D(15))
    assert server.core.held("XBTUSDTM") == -15
    reduced = await venue.place(order(client_id="kpr2", amount=D(20), reduce_only=True))
    assert isinstance(reduced, Accepted)
    rest = await venue.lookup(BTC, "kpr2")
    assert rest is not None
    assert (rest.state, rest.filled) == (ChildState.CANCELED, D(15))


async def test_an_answer_without_our_id_is_believed_once_the_order_is_found_under_it(
    server: KucoinFutures, venue: CcxtVenue
) -> None:
    server.repeats_ids = False
    outcome = await venue.place(order())
    assert isinstance(outcome, Accepted)
    assert (outcome.report.state, outcome.report.filled) == (ChildState.FILLED, D(15))
    server.faults += [Fault("/byClientOid", "100001"), Fault("/orders", "500000", "GET")]
    assert isinstance(await venue.place(order(client_id="kpr2")), Unknown)


async def test_an_answer_about_another_order_proves_nothing(server: KucoinFutures, venue: CcxtVenue) -> None:
    alter = {"orderId": "1", "clientOid": "kprother"}
    server.faults.append(Fault("/orders", "alter", "POST", alter=lambda told: told | {"data": alter}))
    assert isinstance(await venue.place(order()), Unknown)


async def test_the_signature_is_as_old_as_makes_it_end_with_the_order(server: KucoinFutures, venue: CcxtVenue) -> None:
    deadline = ShiftedClock().now() + timedelta(seconds=3)
    await venue.place(order(deadline=deadline))
    (sent,) = server.seen("/orders", "POST")
    # the measured offset of a clock on the same machine is a few milliseconds at most
    assert abs(int(sent.header("KC-API-TIMESTAMP")) + 5_000 - deadline.timestamp() * 1000) < 100
    await venue.lookup(BTC, CLIENT_ID)
    (read,) = server.seen("/byClientOid")
    assert abs(int(read.header("KC-API-TIMESTAMP")) - server.core.now()) < 2_000


async def test_an_order_that_arrives_after_its_deadline_is_not_taken(server: KucoinFutures, venue: CcxtVenue) -> None:
    server.skew = 4_000
    outcome = await venue.place(order(deadline=ShiftedClock().now() + timedelta(seconds=3)))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, server.core.orders) == ("400002", {})


async def test_lots_are_read_in_the_unit_that_orders_count(venue: CcxtVenue) -> None:
    markets = await venue.markets([BTC, ETH, COIN])
    assert [(one.kind, one.contract_size, one.lot, one.settle) for one in markets.values()] == [
        (MarketKind.LINEAR, D("0.001"), D(1), "USDT"),
        (MarketKind.LINEAR, D("0.01"), D(1), "USDT"),
        (MarketKind.INVERSE, D(1), D(1), "BTC"),
    ]
    with pytest.raises(VenueRefused, match="not open"):
        await venue.markets(["DEAD/USDT:USDT"])


async def test_coin_margined_lots_are_dollars_and_cost_coins(server: KucoinFutures, venue: CcxtVenue) -> None:
    outcome = await venue.place(order(symbol=COIN, amount=D(50_000), price=D(50_010)))
    assert isinstance(outcome, Accepted)
    found = await venue.lookup(COIN, CLIENT_ID)
    assert found is not None
    assert (found.filled, found.average) == (D(50_000), D("50000.1"))
    (trade,) = await venue.fills(COIN, found.order_id)
    assert (trade.fee_asset, trade.fee) == ("BTC", D("0.0005"))
    server.core.set_mid("XBTUSDM", D(40_000))
    account = await venue.account()
    assert account.positions[COIN].contracts == 50_000
    assert account.balances["BTC"].quantize(D("1e-8")) == D("1.99950000")
    assert account.equities["BTC"].quantize(D("1e-4")) == D("1.7495")


async def test_an_average_that_is_not_told_follows_from_the_value(server: KucoinFutures, venue: CcxtVenue) -> None:
    own(server, amount=D(20))
    own(server, client_id="kprcoin", symbol="XBTUSDM", amount=D(1_000), price=D(50_000))
    server.faults.append(
        Fault("/byClientOid", "alter", alter=lambda told: told | {"data": told["data"] | {"avgDealPrice": None}})
    )
    for symbol, name in ((BTC, CLIENT_ID), (COIN, "kprcoin")):
        found = await venue.lookup(symbol, name)
        assert found is not None
        assert found.average == 50_000


REJECTED: list[tuple[dict[str, Any], str]] = [
    ({"amount": D(90_000), "price": D(50_100)}, "300003"),
    ({"price": D(60_000)}, "300011"),
    ({"reduce_only": True}, "300009"),
]


@pytest.mark.parametrize(("changes", "code"), REJECTED)
async def test_what_the_exchange_turns_down_with_http_200_is_rejected_with_a_remedy(
    server: KucoinFutures, venue: CcxtVenue, changes: dict[str, Any], code: str
) -> None:
    outcome = await venue.place(order(**changes))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, server.core.orders) == (code, {})
    assert KUCOIN_FUTURES.rejections[code] in outcome.message


async def test_a_market_in_isolated_margin_is_not_traded_and_the_remedy_says_so(server: KucoinFutures, venue: CcxtVenue) -> None:
    server.core.isolated.add("XBTUSDTM")
    outcome = await venue.place(order())
    assert isinstance(outcome, Rejected)
    assert "switch the market's margin mode to cross" in outcome.message


async def test_a_second_order_of_a_client_id_is_unknown_not_rejected(server: KucoinFutures, venue: CcxtVenue) -> None:
    own(server)
    outcome = await venue.place(order())
    assert isinstance(outcome, Unknown)
    assert "300018" in outcome.why
    assert len(server.core.orders) == 1


@pytest.mark.parametrize("kind", ["500000", "408000", "html", "half_json", "empty_object", "drop_after", "502"])
async def test_what_proves_nothing_is_unknown_and_settled_by_the_client_id(
    server: KucoinFutures, venue: CcxtVenue, kind: str
) -> None:
    server.faults.append(Fault("/orders", kind, "POST"))
    assert isinstance(await venue.place(order()), Unknown)
    found = await venue.lookup(BTC, CLIENT_ID)
    assert found is not None
    assert found.filled == 15
    assert await venue.lookup(BTC, "kprnever") is None


async def test_a_lookup_without_a_readable_answer_is_no_proof(server: KucoinFutures, venue: CcxtVenue) -> None:
    server.faults.append(Fault("/byClientOid", "empty_object"))
    with pytest.raises(VenueUnavailable):
        await venue.lookup(BTC, CLIENT_ID)


async def test_an_order_that_is_not_known_by_its_ids_yet_is_found_in_the_lists(server: KucoinFutures, venue: CcxtVenue) -> None:
    server.lag = 60_000
    own(server, client_id="web")
    resting = own(server, client_id="kprrests", filled=False, price=D(49_000))
    ended = own(server)
    for wanted, name, state in ((resting, "kprrests", ChildState.LIVE), (ended, CLIENT_ID, ChildState.FILLED)):
        found = await venue.lookup(BTC, name)
        assert found is not None
        assert (found.order_id, found.state) == (str(wanted.id), state)
    assert await venue.lookup(BTC, "kprnever") is None
    server.faults.append(Fault("/orders", "empty_object", "GET"))
    with pytest.raises(VenueUnavailable):
        await venue.lookup(BTC, "kprnever")


@pytest.mark.parametrize("data", [None, {}, []])
async def test_a_yes_that_tells_no_order_does_not_say_that_there_is_none(
    server: KucoinFutures, venue: CcxtVenue, data: object
) -> None:
    server.faults.append(Fault("/byClientOid", "alter", alter=lambda told: told | {"data": data}))
    own(server)
    with pytest.raises(VenueUnavailable):
        await venue.lookup(BTC, CLIENT_ID)


async def test_past_orders_are_read_week_by_week_and_page_by_page(server: KucoinFutures, venue: CcxtVenue) -> None:
    for number in range(250):
        own(server, client_id="web", at=ago(20 * DAY) + number * 3_600_000)
    resting = own(server, client_id="kprrests", filled=False, price=D(49_000), at=ago(16 * DAY))
    since = ShiftedClock().now() - 17 * DAY
    truth = sorted((one.at, one.id) for one in server.core.orders.values() if one.at >= since.timestamp() * 1000)
    assert len(truth) > 100
    found = await venue.orders(BTC, since)
    assert [one.order_id for one in found] == [str(number) for _, number in truth]
    (rests,) = (await venue.account()).open_orders
    assert (rests.order_id, rests.client_id, rests.is_ours, rests.state) == (str(resting.id), "kprrests", True, ChildState.LIVE)


async def test_an_order_of_the_exchange_itself_is_known_from_its_trades(server: KucoinFutures, venue: CcxtVenue) -> None:
    own(server)
    forced = server.core.force("XBTUSDTM", Forced.LIQUIDATION)
    own(server, client_id="")
    server.core.force("XBTUSDTM", Forced.DELEVERAGING)
    found = await venue.orders(BTC, ShiftedClock().now() - DAY)
    assert [(one.is_ours, one.client_id, one.forced, one.signed) for one in found] == [
        (True, CLIENT_ID, False, D(10)),
        (False, "", True, D(-10)),
        (False, "", False, D(10)),
        (False, "", True, D(-10)),
    ]
    assert (found[1].order_id, found[1].average) == (str(forced.id), D(50_000))


async def test_the_trades_of_an_order_are_whole_however_many_there_are(server: KucoinFutures, venue: CcxtVenue) -> None:
    one = own(server, amount=D(250), filled=False)
    for _ in range(250):
        server.core.book(one, D(1), D(50_000))
    own(server, client_id="web")
    trades = await venue.fills(BTC, str(one.id))
    assert (len(trades), sum(trade.amount for trade in trades)) == (250, 250)


async def test_a_rebate_is_negative(server: KucoinFutures, venue: CcxtVenue) -> None:
    server.core.fee_rate = D("-0.0001")
    (trade,) = await venue.fills(BTC, str(own(server).id))
    assert trade.fee == D("-0.05")


async def test_an_order_is_canceled_by_its_client_id_and_one_that_ended_is_left_alone(
    server: KucoinFutures, venue: CcxtVenue
) -> None:
    resting = own(server, filled=False)
    for _ in range(2):
        await venue.cancel(BTC, CLIENT_ID)
    assert not resting.status.rests
    assert await venue.dead_man([BTC], timedelta(seconds=5)) is False


async def test_the_wallet_is_without_open_profit_and_the_equity_with_it(server: KucoinFutures, venue: CcxtVenue) -> None:
    server.core.wallet = {"USDT": D(100_000)}
    server.core.hold("XBTUSDTM", D(-2_000), D(50_000))
    server.core.liquidations["XBTUSDTM"] = D(90_000)
    server.core.set_mid("XBTUSDTM", D(52_500))
    account = await venue.account()
    assert (account.balances, account.equities) == ({"USDT": D(100_000)}, {"USDT": D(95_000)})
    assert account.free_margin == 95_000 - 5_250
    position = account.positions[BTC]
    assert (position.contracts, position.entry, position.mark) == (D(-2_000), D(50_000), D(52_500))
    assert position.liquidation == 90_000
    server.core.liquidations.clear()
    assert (await venue.account()).positions[BTC].liquidation is None


def _hedged(server: KucoinFutures) -> None:
    server.core.hedged = True


def _foreign(server: KucoinFutures) -> None:
    server.api_key = "another"


def _resealed(server: KucoinFutures) -> None:
    server.secret = "another"


def _renamed(server: KucoinFutures) -> None:
    server.passphrase = "another"


def _says(code: str) -> Callable[[KucoinFutures], None]:
    return lambda server: server.faults.append(Fault("/getPositionMode", code))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_hedged, "hedge mode"),
        (_foreign, "unknown here"),
        (_resealed, "the secret belongs to the API key"),
        (_renamed, "the passphrase is wrong"),
        (_says("400006"), "IP allow-list"),
        (_says("400007"), "General and Futures"),
    ],
)
async def test_an_account_that_can_not_be_used_is_refused_with_a_remedy(
    server: KucoinFutures, spoil: Callable[[KucoinFutures], None], words: str
) -> None:
    spoil(server)
    with pytest.raises(VenueRefused, match=words):
        async with venue_at(server):
            pass
    assert server.core.orders == {}


async def test_a_passphrase_that_was_not_given_is_asked_for(server: KucoinFutures) -> None:
    with pytest.raises(ConfigError) as refused:
        venue_at(server, credentials=KEYS | {"passphrase": ""})
    assert "credentials.passphrase" in refused.value.problems[0].key


async def test_there_is_no_testnet(server: KucoinFutures) -> None:
    with pytest.raises(ConfigError, match="environment"):
        loopback_venue.venue_at(server, Environment.TESTNET, credentials=KEYS)


async def test_a_position_of_hedge_mode_is_refused(server: KucoinFutures, venue: CcxtVenue) -> None:
    server.core.hold("XBTUSDTM", D(10), D(50_000))
    server.core.hedged = True
    with pytest.raises(VenueRefused, match="hedge mode"):
        await venue.account()


async def test_an_envelope_without_its_code_is_unreadable(server: KucoinFutures, venue: CcxtVenue) -> None:
    server.faults.append(Fault("/positions", "alter", alter=lambda told: {"data": told["data"]}))
    with pytest.raises((StaleData, VenueUnavailable)):
        await venue.account()


async def test_connecting_asks_for_no_coin_no_spot_account_and_no_broker(server: KucoinFutures) -> None:
    async with venue_at(server) as venue:
        await venue.place(order())
    assert {(one.host, one.path) for one in server.requests} == {
        ("api-futures.kucoin.com", "/api/v1/timestamp"),
        ("api-futures.kucoin.com", "/api/v1/contracts/active"),
        ("api-futures.kucoin.com", "/api/v2/position/getPositionMode"),
        ("api.kucoin.com", "/api/ua/v1/account/mode"),
        ("api-futures.kucoin.com", "/api/v1/orders"),
    }


async def test_prices_are_read_with_their_times(server: KucoinFutures, venue: CcxtVenue) -> None:
    server.core.marks["XBTUSDTM"] = D(50_010)
    server.core.indexes["XBTUSDTM"] = D(50_020)
    quote = await venue.quote(BTC)
    assert (quote.mark, quote.index, quote.last) == (D(50_010), D(50_020), D(50_000))
    assert quote.book.asks[0].amount == 1_000
    assert [(await venue.stats(symbol)).volume for symbol in (BTC, COIN)] == [D(25_000), D(25_000)]
    server.core.lasts["XBTUSDTM"] = (D(1), ago(timedelta(minutes=1)))
    assert (await venue.quote(BTC)).last is None


async def test_what_doctor_asks_is_told(server: KucoinFutures, venue: CcxtVenue) -> None:
    speech, wire = KUCOIN_FUTURES.speech, venue._wire(Question(what="inspection"))
    facts = KeyFacts(may_trade=True, may_withdraw=False, ip_bound=False)
    assert await speech.key(wire) == facts
    server.permission, server.addresses = "General,Spot,Transfer", "192.0.2.1"
    assert await speech.key(wire) == replace(facts, may_trade=False, may_withdraw=True, ip_bound=True)
    assert await speech.fees(wire, BTC) == FeeRates(taker=D("0.0005"), maker=D("0.0002"))
    assert await speech.modes(wire, BTC) == Modes(hedged=False, margin=MarginMode.CROSS, leverage=D(20))
    server.core.isolated.add("XBTUSDTM")
    server.core.hedged = True
    assert await speech.modes(wire, BTC) == Modes(hedged=True, margin=MarginMode.ISOLATED, leverage=None)
    first, second = await speech.brackets(wire, BTC)
    assert (first.up_to, first.max_leverage, first.maintenance) == (D(100_000), D(125), D("0.004"))
    assert second.up_to == 200_000
    price = server.core.mark("XBTUSDM")
    assert [step.up_to for step in await speech.brackets(wire, COIN)] == [50 * price, 100 * price]
