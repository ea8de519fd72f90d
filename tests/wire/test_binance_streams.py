"""Order books and word of orders as the exchange sends them: a hint, never the only source of anything."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.errors import ConfigError
from keeper.domain.order import Accepted, Unknown
from keeper.ports import Environment
from keeper.service.sender import confirm
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes import binance_messages
from tests.fakes.binance_coinm import BinanceCoinm
from tests.fakes.binance_usdm import BinanceUsdm, Fault, usual_core
from tests.fakes.loopback_venue import BTC, ShiftedClock, order, venue_at

D = Decimal


@pytest.fixture
async def streamed(server: BinanceUsdm) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server, streamed=True, clock=ShiftedClock(waits=True)) as connected:
        server.requests.clear()
        yield connected


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.01)  # noqa: TID251 - what a server sends takes real time
    raise AssertionError("what was waited for did not come")


async def followed(server: BinanceUsdm, venue: CcxtVenue) -> None:
    """Until a quote took its book from the stream."""

    async def reads_no_book() -> bool:
        before = len(server.seen("depth"))
        await venue.quote(BTC)
        return len(server.seen("depth")) == before

    for _ in range(100):
        if await reads_no_book():
            return
        await asyncio.sleep(0.02)  # noqa: TID251 - what a server sends takes real time
    raise AssertionError("no book was streamed")


async def test_a_book_is_read_until_it_is_streamed_and_then_moves_by_itself(server: BinanceUsdm, streamed: CcxtVenue) -> None:
    assert (await streamed.quote(BTC)).book.bids[0].price == D("49999.9")
    assert len(server.seen("depth")) >= 1
    await followed(server, streamed)
    server.core.set_mid("BTCUSDT", D(51_000))
    sent = server.streams.books
    await until(lambda: server.streams.books > sent + 4)
    before = len(server.seen("depth"))
    quote = await streamed.quote(BTC)
    assert (quote.book.bids[0].price, quote.book.asks[0].price) == (D("50999.9"), D("51000.1"))
    assert quote.book.bids[0].amount == D(1)
    assert len(server.seen("depth")) == before
    assert quote.mark == 51_000  # which is read, always
    assert all(path.startswith("/public/ws/") for path in server.streams.opened)


async def test_a_stream_that_falls_silent_is_not_believed(server: BinanceUsdm, streamed: CcxtVenue) -> None:
    await followed(server, streamed)
    server.streams.silent = True
    server.core.set_mid("BTCUSDT", D(52_000))
    assert isinstance(streamed.clock, ShiftedClock)
    streamed.clock.shift += timedelta(seconds=1.5)
    before = len(server.seen("depth"))
    server.skew = 1500
    assert (await streamed.quote(BTC)).book.asks[0].price == D("52000.1")
    assert len(server.seen("depth")) == before + 1


async def test_a_stream_that_can_not_be_opened_leaves_everything_to_rest(server: BinanceUsdm) -> None:
    hosts = {host: url for host, url in server.hosts.items() if not host.startswith("fstream")}
    async with venue_at(server, streamed=True, hosts=hosts, clock=ShiftedClock(waits=True)) as venue:
        for _ in range(3):
            assert (await venue.quote(BTC)).book.bids[0].price == D("49999.9")
        assert isinstance(await venue.place(order()), Accepted)
    assert server.streams.opened == []


async def test_word_of_an_order_ends_the_wait_and_proves_nothing(server: BinanceUsdm, streamed: CcxtVenue) -> None:
    asked = order()
    outcome = await streamed.place(asked)
    assert isinstance(outcome, Accepted)
    await until(lambda: bool(server.streams.listeners))
    booked = next(iter(server.core.orders.values()))
    now = streamed.clock.now()
    waiting = asyncio.ensure_future(streamed.heard(asked.client_id, now + timedelta(hours=1)))
    told = binance_messages.order(booked) | {"status": "CANCELED", "executedQty": "0"}  # a lie
    await server.streams.tell(told, server.now())
    await asyncio.wait_for(waiting, 10)
    confirmed = await confirm(streamed, streamed.clock, asked, outcome.report)
    assert confirmed is not None
    assert (confirmed[0].filled, sum(fill.amount for fill in confirmed[1])) == (asked.amount, asked.amount)


async def test_nobody_waits_longer_for_word_than_it_was_told(streamed: CcxtVenue) -> None:
    started = streamed.clock.now()
    await streamed.heard("kprffffffffffffffffffffffffffff", started + timedelta(seconds=0.05))
    assert streamed.clock.now() >= started + timedelta(seconds=0.05)


async def test_orders_are_sent_once_and_over_rest_in_any_case(server: BinanceUsdm, streamed: CcxtVenue) -> None:
    server.faults.append(Fault("order", "drop_after", method="POST", times=1))
    asked = order()
    outcome = await streamed.place(asked)
    # what the stream of orders asked meanwhile, and was answered, says nothing of the order
    await until(lambda: bool(server.streams.listeners))
    assert isinstance(outcome, Unknown)
    assert len(server.core.orders) == 1
    found = await streamed.lookup(BTC, asked.client_id)
    assert found is not None
    assert found.filled == asked.amount


async def test_an_exchange_whose_streams_nobody_follows_is_a_problem_of_the_configuration() -> None:
    async with BinanceCoinm(core=usual_core()) as server:
        with pytest.raises(ConfigError, match=r'market_data = stream: .*binanceusdm.*"rest"'):
            venue_at(server, streamed=True)


async def test_a_live_stream_is_out_of_reach_of_a_testnet(server: BinanceUsdm) -> None:
    async with venue_at(server, Environment.TESTNET, streamed=True, clock=ShiftedClock(waits=True)) as venue:
        session = venue._session
        assert session is not None
        for url in ("wss://fstream.binance.com/ws", "ws://fstream.binancefuture.com/ws", "wss://example.org/ws"):
            with pytest.raises(Exception, match="none of this environment's hosts"):
                session.ws_connect(url)
