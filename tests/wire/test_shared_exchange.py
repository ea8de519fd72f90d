"""What the venues of one process share of an exchange: whose turn it is, silence, public reads, markets; over the real ccxt."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import VenueRefused, VenueUnavailable
from keeper.domain.order import Accepted, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.access import LOADED_LATELY, Exchanges
from keeper.venues.budgets import Limits, Priority, Unit
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.connection import CHECKED_LATELY
from keeper.venues.rates import BINANCE_USDM, limits_of
from keeper.venues.throttle import Cost, Throttle
from keeper.venues.weights import cost_of
from tests.fakes.binance_usdm import BinanceUsdm, Fault, usual_core
from tests.fakes.loopback_requests import Seen
from tests.fakes.loopback_server import LoopbackServer, Reply
from tests.fakes.loopback_venue import BTC, CLIENT_ID, ETH, ShiftedClock, order, plenty, venue_at

D = Decimal
READS = ("depth", "premiumIndex", "ticker/price")


class Pair:
    """Two funds' venues on one exchange, in one process. throttle: the one that both wait for."""

    def __init__(self, one: CcxtVenue, other: CcxtVenue) -> None:
        self.one = one
        self.other = other

    @property
    def throttle(self) -> Throttle:
        return self.one._access.throttle


@pytest.fixture
async def pair(server: BinanceUsdm) -> AsyncIterator[Pair]:
    async with both(server, plenty) as connected:
        yield connected


def both(server: BinanceUsdm, limits: Any, clock: ShiftedClock | None = None) -> "Both":
    return Both(server, Exchanges(clock or ShiftedClock(waits=True), limits), clock or ShiftedClock(waits=True))


class Both:
    """Connects the two, and forgets what that took."""

    def __init__(self, server: BinanceUsdm, exchanges: Exchanges, clock: ShiftedClock) -> None:
        self.server = server
        self.pair = Pair(*(venue_at(server, exchanges=exchanges, clock=clock) for _ in range(2)))

    async def __aenter__(self) -> Pair:
        for venue in (self.pair.one, self.pair.other):
            await venue.__aenter__()
        self.server.requests.clear()
        return self.pair

    async def __aexit__(self, *_error: object) -> None:
        for venue in (self.pair.one, self.pair.other):
            await venue.__aexit__(None, None, None)


def small(weight: int) -> Any:
    """What grants so much weight in ten seconds, and five orders."""

    def limits(_exchange: str, _every: D) -> Limits:
        budgets = tuple(
            replace(row, capacity=D(weight if row.unit is Unit.WEIGHT else 5), interval=timedelta(seconds=10), aligned=False)
            for row in BINANCE_USDM.budgets
        )
        return replace(BINANCE_USDM, budgets=budgets)

    return limits


def test_both_funds_stand_in_one_queue_and_testnet_is_another_than_live() -> None:
    exchanges = Exchanges(ShiftedClock(), limits_of)
    at = {"https://a", "https://b"}
    first = exchanges.at("binanceusdm", Environment.LIVE, at, D(50))
    assert exchanges.at("binanceusdm", Environment.LIVE, sorted(at), D(50)) is first
    assert exchanges.at("binanceusdm", Environment.LIVE, {"https://c"}, D(50)).throttle is not first.throttle
    other = exchanges.at("binanceusdm", Environment.TESTNET, at, D(50))
    assert (other.throttle, other.silence) == (first.throttle, first.silence), "the same address counts for both"
    assert other.markets is not first.markets
    assert other.public is not first.public


async def test_one_limiter_counts_what_both_send(pair: Pair) -> None:
    assert pair.one._access is pair.other._access
    meter = pair.throttle._meter(pair.throttle.limits.budgets[0], "")
    before = meter.used(pair.one.clock.now())
    await asyncio.gather(pair.one.account(), pair.other.account())
    assert meter.used(pair.one.clock.now()) - before == 2 * (5 + 5 + 40)


@pytest.mark.parametrize("status", ["429", "418"])
async def test_a_ban_that_one_is_told_of_silences_all_until_it_ends(server: BinanceUsdm, status: str) -> None:
    clock = ShiftedClock()
    async with both(server, plenty, clock) as pair:
        server.faults.append(Fault("24hr", status, times=1))
        with pytest.raises(VenueUnavailable):
            await pair.one.stats(BTC)
        server.requests.clear()
        for venue in (pair.one, pair.other):
            with pytest.raises(VenueUnavailable, match="silence"):
                await venue.account()
            with pytest.raises(VenueUnavailable, match="silence"):
                await venue.cancel(BTC, CLIENT_ID)
            outcome = await venue.place(order(deadline=clock.now() + timedelta(seconds=5)))
            assert isinstance(outcome, Rejected)
            assert (outcome.code, "silence" in outcome.message) == ("never_sent", True)
        assert not server.requests
        clock.shift = timedelta(seconds=31)
        server.skew = 31_000
        assert (await pair.other.stats(BTC)).volume
        assert isinstance(await pair.one.place(order(deadline=clock.now() + timedelta(seconds=5))), Accepted)


class Counting(BinanceUsdm):
    """Says how much weight the address has used."""

    def _answer(self, seen: Seen) -> Reply:
        return replace(LoopbackServer._answer(self, seen), headers={"X-MBX-USED-WEIGHT-1M": "1234567"})


async def test_what_the_venue_says_it_counted_is_taken_over() -> None:
    async with Counting(core=usual_core()) as server, both(server, plenty) as pair:
        meter = pair.throttle._meter(pair.throttle.limits.budgets[0], "")
        assert meter.used(pair.one.clock.now()) >= 1234567


async def test_a_cancel_goes_before_the_reads_that_wait(server: BinanceUsdm) -> None:
    async with both(server, small(160)) as pair:
        reads = [asyncio.ensure_future(venue.account()) for venue in (pair.one, pair.other)]
        await asyncio.sleep(0.05)  # noqa: TID251 - the server's time is real
        waiting = len(pair.throttle._lanes[Priority.READ])
        assert waiting, "the budget was large enough for all"
        await pair.one.cancel(BTC, CLIENT_ID)
        assert server.seen("order", "DELETE")
        assert len(pair.throttle._lanes[Priority.READ]) == waiting
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        assert not pair.throttle._lanes[Priority.READ]


async def test_an_order_whose_turn_would_come_after_its_deadline_is_never_sent(server: BinanceUsdm) -> None:
    async with both(server, small(10_000)) as pair:
        deadline = pair.one.clock.now() + timedelta(seconds=4)
        sent = await asyncio.gather(*(pair.one.place(order(client_id=f"x{n}", deadline=deadline)) for n in range(8)))
        refused = [one for one in sent if isinstance(one, Rejected)]
        assert {one.code for one in refused} == {"never_sent"}
        assert all("turn" in one.message for one in refused)
        assert len(server.core.orders) == len(sent) - len(refused) == 4, "one of five is the cancels' reserve"
        assert not [one for one in sent if isinstance(one, Unknown)]


async def test_the_time_that_an_order_waited_is_not_taken_from_its_window(server: BinanceUsdm) -> None:
    clock = ShiftedClock(waits=True)
    async with both(server, plenty, clock) as pair:
        pair.throttle.silent_until(clock.now() + timedelta(seconds=0.3))
        deadline = clock.now() + timedelta(seconds=3)
        assert isinstance(await pair.one.place(order(deadline=deadline)), Accepted)
        (sent,) = server.seen("order", "POST")
        ends = int(sent.parameters["timestamp"]) + int(sent.parameters["recvWindow"])
        assert abs(ends - deadline.timestamp() * 1000) < 100
        assert int(sent.parameters["recvWindow"]) < 2750


async def test_two_funds_that_ask_for_a_market_at_once_read_it_once(server: BinanceUsdm, pair: Pair) -> None:
    quotes = await asyncio.gather(pair.one.quote(BTC), pair.other.quote(BTC), pair.one.quote(ETH))
    assert quotes[0] == quotes[1] != quotes[2]
    paths = [(path, len([one for one in server.seen(path) if one.parameters["symbol"] == "BTCUSDT"])) for path in READS]
    assert paths == [(path, 1) for path in READS]
    await asyncio.gather(pair.one.stats(BTC), pair.other.stats(BTC))
    assert len(server.seen("24hr")) == 1


async def test_a_read_that_dies_with_another_s_connection_is_made_on_one_s_own(server: BinanceUsdm, pair: Pair) -> None:
    server.delay = 0.2
    one, other = (asyncio.ensure_future(venue.quote(BTC)) for venue in (pair.one, pair.other))
    await asyncio.sleep(0.1)  # noqa: TID251 - the server's time is real
    assert len(server.seen("depth")) == 1
    await pair.one.__aexit__(None, None, None)
    with pytest.raises(VenueUnavailable):
        await one
    assert (await other).mark == 50_000
    assert len(server.seen("depth")) == 2


async def test_an_account_is_as_old_as_when_it_was_asked_for_not_as_when_it_began_to_wait(server: BinanceUsdm) -> None:
    clock = ShiftedClock(waits=True)
    async with both(server, plenty, clock) as pair:
        ends = clock.now() + timedelta(seconds=0.3)
        pair.throttle.silent_until(ends)
        account = await pair.one.account()
        assert account.at >= ends


async def test_markets_are_loaded_once_and_a_reload_reaches_everybody(server: BinanceUsdm) -> None:
    clock = ShiftedClock()
    async with both(server, plenty, clock) as pair:
        ours, theirs = (venue._exchange for venue in (pair.one, pair.other))
        assert ours is not theirs
        assert ours.markets is theirs.markets
        assert ours.api is theirs.api
        assert not server.seen("exchangeInfo"), "the second one loaded them again"
        await pair.one.markets([BTC])
        loaded = ours.markets
        clock.shift = LOADED_LATELY + timedelta(seconds=1)
        server.skew = 61_000
        await pair.other.__aexit__(None, None, None)
        await pair.other.__aenter__()
        assert ours.markets is pair.other._exchange.markets is not loaded
        assert isinstance(await pair.one.place(order(deadline=clock.now() + timedelta(seconds=5))), Accepted)


async def test_whoever_holds_a_market_that_was_altered_has_to_connect_again(server: BinanceUsdm) -> None:
    clock = ShiftedClock()
    async with both(server, plenty, clock) as pair:
        for venue, symbol in ((pair.one, BTC), (pair.other, ETH)):
            await venue.markets([symbol])
        server.core.instruments["BTCUSDT"] = replace(server.core.instruments["BTCUSDT"], tick=D("0.5"))
        clock.shift = LOADED_LATELY + timedelta(seconds=1)
        server.skew = 61_000
        await pair.other.__aexit__(None, None, None)
        await pair.other.__aenter__()
        await pair.other.markets([ETH])
        with pytest.raises(VenueUnavailable, match="altered BTC"):
            await pair.one.account()
        outcome = await pair.one.place(order(deadline=clock.now() + timedelta(seconds=5)))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "never_sent"
        assert (await pair.other.quote(ETH)).mark


async def test_a_warm_connection_has_as_many_ways_open_as_a_bell_needs(server: BinanceUsdm, pair: Pair) -> None:
    await pair.one.markets([BTC, ETH])
    server.delay = 0.05
    await pair.one.warm()
    open_ways = sum(len(ways) for ways in connector(pair.one)._conns.values())
    assert open_ways == 3 + 2 * 4
    await asyncio.gather(pair.one.account(), *(one(symbol) for symbol in (BTC, ETH) for one in (pair.one.quote, pair.one.stats)))
    assert sum(len(ways) for ways in connector(pair.one)._conns.values()) == open_ways


def connector(venue: CcxtVenue) -> Any:
    session: Any = venue._session
    return session._session.connector


async def test_the_clock_is_checked_when_it_gets_warm_and_once_an_hour_while_one_trades(server: BinanceUsdm) -> None:
    clock = ShiftedClock()
    async with venue_at(server, clock=clock) as venue:
        server.requests.clear()
        await venue.account()
        assert not server.seen("time")
        server.skew = 900
        await venue.warm()
        assert abs(venue._offset + timedelta(seconds=0.9)) < timedelta(seconds=0.1)
        server.skew = -1100
        with pytest.raises(VenueRefused, match="synchronise"):
            await venue.warm()
        clock.shift = CHECKED_LATELY + timedelta(seconds=1)
        server.skew = round(clock.shift.total_seconds() * 1000) - 1100
        with pytest.raises(VenueRefused, match="synchronise"):
            await venue.account()


COSTS = [
    ("fapiPrivateGetOpenOrders", {}, 40),
    ("fapiPrivateGetOpenOrders", {"symbol": "BTCUSDT"}, 1),
    ("fapiPublicGetDepth", {"limit": 100}, 5),
    ("fapiPrivatePostLeverage", {}, 1),
    ("fapiPublicGetKlines", {"limit": 1500}, 10),
    ("no_such_method", {}, 1),
]


@pytest.mark.parametrize(("method", "parameters", "weight"), COSTS)
async def test_a_method_weighs_what_is_documented_or_what_ccxt_reckons_with(
    pair: Pair, method: str, parameters: dict[str, Any], weight: int
) -> None:
    assert cost_of(pair.one._exchange, method, parameters) == Cost(weight=D(weight))


async def test_an_order_is_counted_as_one(pair: Pair) -> None:
    assert cost_of(pair.one._exchange, "create_order", {}) == Cost(weight=D(1), orders=1)
