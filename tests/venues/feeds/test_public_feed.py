"""A paper account on a real exchange's public market: real rules and books, no key, and nothing sent but questions."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.bootstrap import open_desk
from keeper.domain.errors import ConfigError, InvariantViolation, VenueRefused, VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.order import Accepted, Rejected
from keeper.domain.run import RunStatus
from keeper.ports import Environment
from keeper.service.progress import Unwatched
from keeper.settings import Settings
from keeper.system import SystemClock
from keeper.venues.feeds.feed import Feed
from keeper.venues.feeds.public import PublicFeed
from keeper.venues.public_data import PublicData
from tests.fakes.binance_server import Fault
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.binance_usdm import BinanceUsdm, usual_core
from tests.fakes.configurations import loaded
from tests.fakes.loopback_venue import BTC, ETH, alone
from tests.fakes.paper import opening, order, paper_venue


@pytest.fixture
async def server() -> AsyncIterator[BinanceUsdm]:
    async with BinanceUsdm(core=usual_core()) as exchange:
        yield exchange


def public(server: BinanceUsdm, *symbols: str, attempts: int = 3) -> PublicFeed:
    clock = SystemClock()
    data = PublicData(
        "sim.feed",
        "binanceusdm",
        Environment.LIVE,
        hosts=server.hosts,
        clock=clock,
        exchanges=alone(clock),
        attempts=attempts,
        timeout=2,
    )
    return PublicFeed(data, symbols or (BTC, ETH))


def as_port(feed: PublicFeed) -> Feed:
    """What mypy checks: a PublicFeed is a Feed."""
    return feed


async def test_markets_have_the_exchange_s_rules_and_fees(server: BinanceUsdm) -> None:
    feed = public(server)
    try:
        found = (await feed.markets(feed.symbols))[BTC]
    finally:
        await feed.close()
    assert (found.tick, found.lot, found.min_amount) == (Decimal("0.1"), Decimal("0.001"), Decimal("0.001"))
    assert (found.taker, found.maker) == (Decimal("0.0005"), Decimal("0.0002"))


async def test_an_order_meets_the_exchange_s_book_and_never_reaches_it(server: BinanceUsdm) -> None:
    async with paper_venue(public(server), opening({"USDT": "100000"})) as venue:
        quote, day = await venue.quote(BTC), await venue.stats(BTC)
        assert quote.mark == Decimal(50_000)
        assert day.volume > 0
        best = quote.book.asks[0]
        outcome = await venue.place(order("kpr1", Side.BUY, best.amount, best.price))
        assert isinstance(outcome, Accepted)
        assert (outcome.report.filled, outcome.report.average) == (best.amount, best.price)
        # what was taken is gone here, though the exchange knows nothing of it
        assert (await venue.quote(BTC)).book.depth(Side.BUY, limit=best.price) < best.amount / 2
        fills = await venue.fills(BTC, outcome.report.order_id)
        assert [fill.fee for fill in fills] == [best.amount * best.price * Decimal("0.0005")]
        assert isinstance(await venue.place(order("kpr2", Side.BUY, "0.0001", best.price)), Rejected)
    assert {seen.method for seen in server.requests} == {"GET"}
    assert not [seen for seen in server.requests if seen.header("X-MBX-APIKEY") or "signature" in seen.parameters]
    assert server.core.trades == []


async def test_a_spot_market_is_rehearsed_the_same_way() -> None:
    async with BinanceSpot(core=spot_core()) as server:
        data = PublicData("sim.feed", "binance", Environment.LIVE, hosts=server.hosts, clock=SystemClock())
        async with paper_venue(PublicFeed(data, ("BTC/USDT",)), opening({"USDT": "100000"})) as venue:
            best = (await venue.quote("BTC/USDT")).book.asks[0]
            outcome = await venue.place(order("kpr1", Side.BUY, "0.01", best.price, symbol="BTC/USDT"))
            assert isinstance(outcome, Accepted)
            account = await venue.account()
        [fill] = await venue.fills("BTC/USDT", outcome.report.order_id)
        # the exchange takes its fee in the coin that is bought
        assert (fill.fee_asset, account.balances["BTC"]) == ("BTC", Decimal("0.01") - fill.fee)
        assert {seen.method for seen in server.requests} == {"GET"}


async def test_mark_and_book_of_one_time_are_one_reading(server: BinanceUsdm) -> None:
    feed = public(server)
    await feed.markets([BTC])
    server.requests.clear()
    at = feed.clock.now()
    mark, book, again = await asyncio.gather(feed.mark(BTC, at), feed.book(BTC, at), feed.book(BTC, at))
    assert book is again
    assert abs(book.mid - mark) < 10
    assert [len(server.seen("depth")), len(server.seen("premiumIndex"))] == [1, 1]
    await feed.book(BTC, at + timedelta(milliseconds=1))
    assert len(server.seen("depth")) == 2
    await feed.close()


async def test_whoever_stops_waiting_leaves_the_answer_to_the_others(server: BinanceUsdm) -> None:
    feed = public(server)
    await feed.markets([BTC])
    server.delay = 0.1
    at = feed.clock.now()
    one, other = (asyncio.create_task(feed.mark(BTC, at)) for _ in range(2))
    while not server.seen("depth"):  # noqa: ASYNC110 - the other end has no event to wait for
        await asyncio.sleep(0.005)  # noqa: TID251 - the server's time is real
    one.cancel()
    assert await other == 50_000
    # a reading in flight does not outlive the feed
    late = asyncio.create_task(feed.mark(BTC, at + timedelta(seconds=1)))
    await asyncio.sleep(0.02)  # noqa: TID251 - as above
    await feed.close()
    with pytest.raises(asyncio.CancelledError):
        await late


@pytest.mark.parametrize(("path", "kind"), [("time", "drop_before"), ("exchangeInfo", "html"), ("exchangeInfo", "502")])
async def test_an_exchange_that_is_down_is_unavailable_and_tried_again(server: BinanceUsdm, path: str, kind: str) -> None:
    server.faults.append(Fault(path, kind))
    venue = paper_venue(public(server, attempts=1), opening({"USDT": "1000"}))
    with pytest.raises(VenueUnavailable):
        await venue.__aenter__()
    server.faults.clear()
    async with venue:
        assert (await venue.quote(BTC)).mark == 50_000
    async with venue:  # and once more, after it was left
        assert (await venue.quote(BTC)).mark == 50_000


async def test_nobody_listening_is_unavailable() -> None:
    async with BinanceUsdm(core=usual_core()) as gone:
        feed = public(gone, attempts=1)
    with pytest.raises(VenueUnavailable):
        await feed.markets([BTC])
    await feed.close()


async def test_a_market_that_the_exchange_lacks_is_refused_with_its_neighbours(server: BinanceUsdm) -> None:
    venue = paper_venue(public(server, "BTC/USDC:USDC"), opening({"USDT": "1000"}))
    with pytest.raises(VenueRefused, match=r"binanceusdm has no market BTC/USDC:USDC; near: BTC/USDT:USDT"):
        await venue.__aenter__()


async def test_a_feed_that_is_not_connected_says_so(server: BinanceUsdm) -> None:
    with pytest.raises(InvariantViolation, match=r"sim\.feed is used while it is not connected"):
        await public(server).mark(BTC, SystemClock().now())


CONFIGURATION = """
[venues.sim]
exchange = "paper"
feed = {{ kind = "ccxt", exchange = "{exchange}", hosts = {{ "{host}" = "{url}" }} }}
account = {{ balances = {{ USDT = "100000" }}, positions = {{ "ETH/USDT:USDT" = {{ contracts = "1", entry = "2500" }} }} }}

[funds.btc]
venue = "sim"
target = {{ "BTC/USDT:USDT" = 0.1, "ETH/USDT:USDT" = 0 }}
execution = {{ style = "urgent", horizon = "5s" }}
"""


def configured(
    folder: Path, url: str, *, exchange: str = "binanceusdm", host: str = "fapi.binance.com", symbol: str = BTC
) -> Settings:
    return loaded(folder, CONFIGURATION.format(url=url, exchange=exchange, host=host).replace(BTC, symbol))


async def test_a_dry_run_trades_a_live_market_on_paper(tmp_path: Path, server: BinanceUsdm) -> None:
    settings = configured(tmp_path, server.url)
    async with open_desk(settings, "btc", acting=True) as desk:
        assert desk.venue.info.environment is Environment.PAPER
        run = await desk.rebalancer.execute(await desk.rebalancer.plan(), await desk.command("test"), Unwatched())
        account = await desk.venue.account()
    assert run.status is RunStatus.COMPLETED
    assert abs(account.positions[BTC].contracts - Decimal("0.2")) <= Decimal("0.001")
    assert ETH not in account.positions
    assert {seen.method for seen in server.requests} == {"GET"}
    assert server.core.trades == []


async def test_only_the_live_hosts_are_reached(tmp_path: Path, server: BinanceUsdm) -> None:
    settings = configured(tmp_path, server.url, host="demo-fapi.binance.com")
    with pytest.raises(VenueRefused, match=r"hosts maps demo-fapi\.binance\.com only"):
        async with open_desk(settings, "btc", acting=False):
            pass
    assert server.requests == []


async def test_an_exchange_that_can_do_too_little_is_a_problem_of_the_configuration(tmp_path: Path, server: BinanceUsdm) -> None:
    settings = configured(tmp_path, server.url, exchange="luno")
    with pytest.raises(ConfigError) as refused:
        async with open_desk(settings, "btc", acting=False):
            pass
    [problem] = refused.value.problems
    assert (problem.key, problem.value) == ("venues.sim.feed.exchange", "luno")
    assert "binanceusdm" in problem.remedy
    assert server.requests == []


async def test_a_market_that_the_exchange_lacks_is_a_problem_of_the_configuration(tmp_path: Path, server: BinanceUsdm) -> None:
    settings = configured(tmp_path, server.url, symbol="BTCX/USDT:USDT")
    with pytest.raises(ConfigError) as refused:
        async with open_desk(settings, "btc", acting=False):
            pass
    [problem] = refused.value.problems
    assert (problem.key, problem.value) == ("funds.btc.target", "BTCX/USDT:USDT, ETH/USDT:USDT")
    assert "near: BTC/USDT:USDT" in problem.remedy
