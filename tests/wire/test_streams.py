"""Order books and word of orders as the exchanges send them: a hint, never the only source of anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import ConfigError, StaleData
from keeper.domain.order import Accepted, Unknown
from keeper.ports import Environment
from keeper.service.sender import confirm
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_coinm import BinanceCoinm
from tests.fakes.binance_usdm import Fault, usual_core
from tests.fakes.loopback_server import LoopbackServer
from tests.fakes.loopback_venue import ETH, ShiftedClock, venue_at
from tests.wire.stream_cases import BYBIT, EXCHANGES, MARKETS, OKX, USDM, HastyClock, StreamCase, until

D = Decimal
World = tuple[LoopbackServer, CcxtVenue]
every_market = pytest.mark.parametrize("case", MARKETS, ids=lambda case: case.name)
every_exchange = pytest.mark.parametrize("case", EXCHANGES, ids=lambda case: case.exchange)
acknowledging = pytest.mark.parametrize("case", [one for one in MARKETS if one is not USDM], ids=lambda case: case.name)
"""Those that answer to an order with its ids alone."""


@asynccontextmanager
async def streaming(case: StreamCase, **changes: Any) -> AsyncIterator[World]:
    """The exchange, and a venue that follows its streams."""
    told: dict[str, Any] = {"streamed": True, "clock": ShiftedClock(waits=True)}
    async with case.serve() as server, venue_at(server, **(told | changes)) as venue:
        server.requests.clear()
        yield server, venue


async def listened(server: LoopbackServer, venue: CcxtVenue) -> None:
    """Until the exchange tells of orders."""
    await venue.account()
    await until(lambda: bool(server.streams.listeners))


@every_market
async def test_a_book_is_read_until_it_is_streamed_and_then_moves_by_itself(case: StreamCase) -> None:
    async with streaming(case) as (server, venue):
        book = (await venue.quote(case.symbol)).book
        assert (book.bids[0], book.asks[0]) == case.best(server)
        assert len(server.seen(case.book_read)) == 1
        assert await case.followed(server, venue) == case.best(server)
        await case.moved(server, D(51_000))
        assert await case.followed(server, venue) == case.best(server)
        quote = await venue.quote(case.symbol)
        assert len(quote.book.bids) == len(quote.book.asks) == 20
        assert quote.mark == pytest.approx(D(51_000), abs=1)  # which is read, always, or is the mid
        assert server.streams.opened == [case.books_at]


@every_exchange
async def test_a_stream_that_falls_silent_is_not_believed(case: StreamCase) -> None:
    async with streaming(case) as (server, venue):
        await case.followed(server, venue)
        server.streams.silent = True
        case.core(server).set_mid(case.market, D(52_000))
        assert isinstance(venue.clock, ShiftedClock)
        venue.clock.shift += timedelta(seconds=1.5)
        server.skew = 1500
        read = len(server.seen(case.book_read))
        assert (await venue.quote(case.symbol)).book.asks[0] == case.best(server)[1]
        assert len(server.seen(case.book_read)) == read + 1


@every_exchange
async def test_a_book_that_was_long_on_its_way_is_not_believed(case: StreamCase) -> None:
    async with streaming(case) as (server, venue):
        await case.followed(server, venue)
        server.streams.late = 1500
        sent = server.streams.books
        await until(lambda: server.streams.books > sent + 2)
        read = len(server.seen(case.book_read))
        await venue.quote(case.symbol)
        assert len(server.seen(case.book_read)) == read + 1


@every_exchange
async def test_a_stream_that_can_not_be_opened_leaves_everything_to_rest(case: StreamCase) -> None:
    async with case.serve() as server:
        async with venue_at(server, streamed=True, hosts=case.hosts(server), clock=HastyClock()) as venue:
            for _ in range(3):
                assert (await venue.quote(case.symbol)).book.bids[0] == case.best(server)[0]
            asked = case.order()
            outcome = await venue.place(asked)
            assert isinstance(outcome, Accepted)
            confirmed = await confirm(venue, venue.clock, asked, outcome.report)
            assert confirmed is not None
            assert confirmed[0].filled == asked.amount
        assert server.streams.opened == []


@every_exchange
async def test_word_of_an_order_ends_the_wait_and_proves_nothing(case: StreamCase) -> None:
    async with streaming(case) as (server, venue):
        await listened(server, venue)
        assert server.streams.opened == [case.orders_at]
        server.streams.alter = lambda told: told | case.lie
        asked = case.order()
        outcome = await venue.place(asked)
        assert isinstance(outcome, Accepted)
        await asyncio.wait_for(venue.heard(asked.client_id, venue.clock.now() + timedelta(hours=1)), 10)
        confirmed = await confirm(venue, venue.clock, asked, outcome.report)
        assert confirmed is not None
        assert (confirmed[0].filled, sum(fill.amount for fill in confirmed[1])) == (asked.amount, asked.amount)


@acknowledging
async def test_an_order_is_confirmed_as_soon_as_there_is_word_of_it(case: StreamCase) -> None:
    async with streaming(case) as (server, venue):
        await listened(server, venue)
        venue._info = replace(venue.info, read_lag=60.0)
        asked = case.order()
        outcome = await venue.place(asked)
        assert isinstance(outcome, Accepted)
        assert not outcome.report.state.terminal
        confirmed = await asyncio.wait_for(confirm(venue, venue.clock, asked, outcome.report), 10)
        assert confirmed is not None
        assert (confirmed[0].filled, sum(fill.amount for fill in confirmed[1])) == (asked.amount, asked.amount)


async def test_nobody_waits_longer_for_word_than_it_was_told() -> None:
    async with streaming(USDM) as (_, venue):
        started = venue.clock.now()
        await venue.heard("kprffffffffffffffffffffffffffff", started + timedelta(seconds=0.05))
        assert venue.clock.now() >= started + timedelta(seconds=0.05)


@every_exchange
async def test_orders_are_sent_once_and_over_rest_in_any_case(case: StreamCase) -> None:
    async with streaming(case) as (server, venue):
        await listened(server, venue)
        server.faults.append(Fault("", "drop_after", method="POST", times=1))
        asked = case.order()
        outcome = await venue.place(asked)
        assert isinstance(outcome, Unknown)
        assert len(case.core(server).orders) == 1
        found = await venue.lookup(case.symbol, asked.client_id)
        assert found is not None
        assert found.filled == asked.amount


@every_exchange
async def test_garbage_on_a_stream_harms_nothing(case: StreamCase) -> None:
    async with streaming(case, clock=HastyClock()) as (server, venue):
        await listened(server, venue)
        await case.followed(server, venue)
        for text in ("{", "[]", "null", "[1, {}]", "{}", "\x00", *case.garbage):
            await until(lambda: len(server.streams.lines) >= 2)
            await server.streams.say(text)
            sent = server.streams.books
            await until(lambda: server.streams.books > sent)  # noqa: B023 - it is waited for here
            book = (await venue.quote(case.symbol)).book
            assert (book.bids[0], book.asks[0]) == case.best(server), text
        await until(lambda: len(server.streams.lines) >= 2 and bool(server.streams.listeners))
        await case.moved(server, D(49_990))
        assert await case.followed(server, venue) == case.best(server)
        asked = case.order()
        assert isinstance(await venue.place(asked), Accepted)
        await asyncio.wait_for(venue.heard(asked.client_id, venue.clock.now() + timedelta(hours=1)), 10)


@every_exchange
async def test_a_stream_that_is_lost_is_opened_again(case: StreamCase) -> None:
    async with streaming(case, clock=HastyClock()) as (server, venue):
        await listened(server, venue)
        await case.followed(server, venue)
        await server.streams.lose()
        case.core(server).set_mid(case.market, D(49_990))
        read = len(server.seen(case.book_read))
        while len(server.seen(case.book_read)) == read:
            book = (await venue.quote(case.symbol)).book
        assert (book.bids[0], book.asks[0]) == case.best(server)
        assert await case.followed(server, venue) == case.best(server)
        await until(lambda: bool(server.streams.listeners))
        assert sorted(server.streams.opened) == sorted([case.books_at, case.orders_at] * 2)
        asked = case.order()
        assert isinstance(await venue.place(asked), Accepted)
        await asyncio.wait_for(venue.heard(asked.client_id, venue.clock.now() + timedelta(hours=1)), 10)


@pytest.mark.parametrize("case", [BYBIT, OKX], ids=lambda case: case.exchange)
async def test_pings_keep_a_stream_and_one_that_answers_none_is_opened_again(case: StreamCase) -> None:
    async with streaming(case, clock=HastyClock()) as (server, venue):
        venue.exchange.streaming["keepAlive"] = 300  # ms, and twice that is how long an answer may take
        await listened(server, venue)
        await case.followed(server, venue)
        await until(lambda: server.streams.pings >= 6)
        assert len(server.streams.opened) == 2
        server.streams.deaf = True
        await until(lambda: len(server.streams.opened) > 2)


@pytest.mark.parametrize("case", [BYBIT, OKX], ids=lambda case: case.exchange)
async def test_a_login_that_is_refused_is_tried_again(case: StreamCase) -> None:
    async with streaming(case, clock=HastyClock()) as (server, venue):
        right, server.secret = server.secret, "another"
        await venue.heard("kprffffffffffffffffffffffffffff", venue.clock.now())
        await until(lambda: server.streams.turned_away > 1)
        assert server.streams.listeners == []
        server.secret = right
        await listened(server, venue)


async def test_a_book_of_which_a_change_is_missing_is_taken_up_anew() -> None:
    async with streaming(OKX, clock=HastyClock()) as (server, venue):
        await OKX.followed(server, venue)
        (known,) = server.streams.lines[0].followed.values()
        known.number += 3
        server.core.set_mid(OKX.market, D(49_990))
        await until(lambda: server.streams.lines[0].followed != {} and _number(server) < known.number)
        assert await OKX.followed(server, venue) == OKX.best(server)
        assert server.streams.opened == [OKX.books_at]


@pytest.mark.parametrize(
    ("kind", "sides"), [("snapshot", {"b": [], "a": []}), ("delta", {"b": [["50900", "1"]], "a": []})], ids=["empty", "crossed"]
)
async def test_a_book_that_can_not_be_is_taken_up_anew(kind: str, sides: dict[str, Any]) -> None:
    async with streaming(BYBIT, clock=HastyClock()) as (server, venue):
        await BYBIT.followed(server, venue)
        told = {"topic": "orderbook.200.BTCUSDT", "type": kind, "ts": server.now(), "data": {"s": "BTCUSDT", **sides}}
        await server.streams.say(told)
        await until(lambda: len(server.streams.opened) == 2)
        assert await BYBIT.followed(server, venue) == BYBIT.best(server)


async def test_a_book_that_can_never_be_takes_no_other_along() -> None:
    async with streaming(USDM, clock=HastyClock()) as (server, venue):
        venue.exchange.options["streamLimits"]["linear"] = 1  # one connection for all books, as for many of them
        await USDM.followed(server, venue)
        server.faults.append(Fault("depth", "empty_object", says="symbol=ETHUSDT"))
        with pytest.raises(StaleData):
            await venue.quote(ETH)
        await until(lambda: len(server.streams.opened) == 2)
        await until(lambda: sum(len(line.followed) for line in server.streams.lines) == 2)
        await USDM.moved(server, D(49_990))
        assert await USDM.followed(server, venue) == USDM.best(server)
        assert len(server.streams.opened) == 2


def _number(server: LoopbackServer) -> int:
    (known,) = server.streams.lines[0].followed.values()
    return known.number


async def test_what_streams_ask_of_an_account_over_rest_is_a_key_to_listen_with() -> None:
    async with streaming(USDM) as (server, venue):
        await venue.heard("kprffffffffffffffffffffffffffff", venue.clock.now())
        await until(lambda: bool(server.streams.listeners))
        assert [one.path for one in server.requests] == ["/fapi/v1/listenKey"]


async def test_an_exchange_whose_streams_nobody_follows_is_a_problem_of_the_configuration() -> None:
    async with BinanceCoinm(core=usual_core()) as server:
        with pytest.raises(ConfigError, match=r'market_data = stream: .*binanceusdm, bybit, okx: write "rest"'):
            venue_at(server, streamed=True)


ELSEWHERE = [
    (USDM, ("wss://fstream.binance.com/ws", "ws://fstream.binancefuture.com/ws", "wss://example.org/ws")),
    (
        BYBIT,
        (
            "wss://stream.bybit.com/v5/private",
            "wss://stream.bybit.com/v5/trade",
            "wss://stream.bybit.com/v5/public/../private",
            "wss://stream-testnet.bybit.com/v5/public/linear",
            "wss://stream-demo.bybit.com:8443/v5/private",
            "ws://stream-demo.bybit.com/v5/private",
        ),
    ),
    (
        OKX,
        (
            "wss://ws.okx.com:443/ws/v5/private",
            "wss://www.okx.com/ws/v5/private",
            "wss://wspap.okx.com:8443/ws/v5/private",
            "ws://wspap.okx.com/ws/v5/public",
        ),
    ),
]


@pytest.mark.parametrize(("case", "urls"), ELSEWHERE, ids=[case.exchange for case, _ in ELSEWHERE])
async def test_a_live_stream_is_out_of_reach_of_a_testnet(case: StreamCase, urls: tuple[str, ...]) -> None:
    async with streaming(case, environment=Environment.TESTNET) as (_, venue):
        session = venue._session
        assert session is not None
        for url in urls:
            with pytest.raises(Exception, match="none of this environment's hosts"):
                session.ws_connect(url)


@every_exchange
async def test_a_live_venue_listens_to_live_streams_alone(case: StreamCase) -> None:
    async with case.serve() as server:
        if hasattr(server, "demo"):
            server.demo = False
        async with venue_at(server, Environment.LIVE, streamed=True, clock=ShiftedClock(waits=True)) as venue:
            await listened(server, venue)
            await case.followed(server, venue)
            live = venue._dialect.streams.hosts[Environment.LIVE]
            assert {at.partition("/")[0] for at in server.streams.opened} == live
