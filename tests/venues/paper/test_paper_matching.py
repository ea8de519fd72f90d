from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.book import Level, OrderBook
from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, OrderReport
from keeper.ports import Venue
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.feeds.synthetic import SyntheticFeed
from keeper.venues.paper.clock import AcceleratedClock
from keeper.venues.paper.matching import Liquidity, Taking
from tests.fakes.paper import PERP, START, fixed_feed, opening, order, paper_venue

MARKET = MarketSpec(lot=Decimal("0.001")).market(PERP)


async def send(venue: Venue, client_id: str, side: Side, amount: str, price: str) -> OrderReport:
    outcome = await venue.place(order(client_id, side, amount, price))
    assert isinstance(outcome, Accepted), outcome
    return outcome.report


async def test_an_order_above_the_displayed_depth_fills_partially_and_at_once_again_gets_less() -> None:
    feed = fixed_feed({PERP: "100"}, depth="5", spread_bps="2")
    async with paper_venue(feed, opening({"USDT": "100000"})) as venue:
        first = await send(venue, "a", Side.BUY, "8", "101")
        assert (first.state, first.filled, first.average) == (ChildState.CANCELED, Decimal(5), Decimal("100.01"))
        await venue.clock.sleep_until(venue.clock.now() + timedelta(milliseconds=500))
        again = await send(venue, "b", Side.BUY, "8", "101")
        assert Decimal(0) < again.filled < Decimal(2)
        at_once = await send(venue, "c", Side.BUY, "8", "101")
        assert (at_once.state, at_once.filled, at_once.average) == (ChildState.CANCELED, Decimal(0), None)
        other_side = await send(venue, "d", Side.SELL, "5", "99")
        assert other_side.state is ChildState.FILLED


async def test_the_quote_shows_what_is_left() -> None:
    async with paper_venue(fixed_feed({PERP: "100"}, depth="5"), opening({"USDT": "100000"})) as venue:
        await send(venue, "a", Side.BUY, "3.5", "100")
        book = (await venue.quote(PERP)).book
        assert book.asks == (Level(Decimal(100), Decimal("1.5")),)
        assert book.bids == (Level(Decimal(100), Decimal(5)),)


@pytest.mark.parametrize(("seconds", "back"), [(0, "0"), (1, "0.292"), (2, "0.500"), (4, "0.750"), (20, "0.999"), (200, "1")])
async def test_half_of_what_is_gone_is_back_after_each_half_life(seconds: int, back: str) -> None:
    liquidity = Liquidity(timedelta(seconds=2))
    level = (Level(Decimal(100), Decimal(10)),)
    book = OrderBook(bids=level, asks=level, at=START)
    takings = liquidity.match(MARKET, book, side=Side.SELL, amount=Decimal(1), limit=Decimal(100))
    liquidity.take(PERP, Side.SELL, takings, START)
    later = liquidity.displayed(MARKET, OrderBook(bids=level, asks=level, at=START + timedelta(seconds=seconds)))
    assert later.bids[0].amount == Decimal(9) + Decimal(back)
    assert later.asks == level


async def test_an_order_walks_the_levels_up_to_its_limit_and_no_further() -> None:
    liquidity = Liquidity()
    asks = tuple(Level(Decimal(price), Decimal(1)) for price in (101, 102, 103, 104))
    book = OrderBook(bids=(Level(Decimal(100), Decimal(1)),), asks=asks, at=START)
    takings = liquidity.match(MARKET, book, side=Side.BUY, amount=Decimal("3.5"), limit=Decimal(103))
    assert takings == tuple(Taking(rank, Decimal(101 + rank), Decimal(1)) for rank in range(3))
    liquidity.take(PERP, Side.BUY, takings[:2], START)
    assert liquidity.displayed(MARKET, book).asks == asks[2:]
    assert liquidity.match(MARKET, book, side=Side.BUY, amount=Decimal(2), limit=Decimal(102)) == ()


def test_a_refill_without_a_half_life_is_refused() -> None:
    with pytest.raises(ValueError, match="half-life"):
        Liquidity(timedelta(0))


async def test_a_sweep_of_a_generated_book_is_one_trade_a_level_and_dearer_the_second_time() -> None:
    clock = AcceleratedClock(START, None)
    feed = SyntheticFeed({PERP: Decimal(50_000)}, clock=clock, start=START, seed=3)
    async with paper_venue(feed, opening({"USDT": "10000000"}), latency=timedelta(milliseconds=50)) as venue:
        first = await send(venue, "a", Side.BUY, "50", "50100")
        second = await send(venue, "b", Side.BUY, "50", "50100")
        assert first.filled == second.filled == Decimal(50)
        assert first.average is not None
        assert second.average is not None
        assert second.average > first.average
        fills = await venue.fills(PERP, first.order_id)
        assert len(fills) > 1
        assert sum(fill.amount for fill in fills) == Decimal(50)
        assert [fill.price for fill in fills] == sorted(fill.price for fill in fills)
        assert len({fill.trade_id for fill in (*fills, *await venue.fills(PERP, second.order_id))}) == len(fills) + len(
            await venue.fills(PERP, second.order_id)
        )
        assert timedelta(milliseconds=50) <= clock.now() - START <= timedelta(milliseconds=150)
