import math
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.errors import VenueRefused
from keeper.domain.market import Side
from keeper.domain.numbers import is_multiple
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.feeds.price_path import BLOCK_STEPS, PricePath
from keeper.venues.feeds.synthetic import SyntheticFeed
from keeper.venues.paper.clock import AcceleratedClock
from tests.fakes.paper import PERP, START

SYMBOLS = {PERP: "50000", "ETH/USDT": "2000", "BTC/USD:BTC": "50000"}


def synthetic(
    seed: int = 7, *, start: datetime = START, volatility: str = "0.6", daily_volume: str = "15000000000"
) -> SyntheticFeed:
    return SyntheticFeed(
        {symbol: Decimal(price) for symbol, price in SYMBOLS.items()},
        clock=AcceleratedClock(start, None),
        start=start,
        seed=seed,
        volatility=Decimal(volatility),
        daily_volume=Decimal(daily_volume),
        markets={"BTC/USD:BTC": MarketSpec(contract_size=Decimal(100), lot=Decimal(1), tick=Decimal("0.1"))},
    )


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


async def shown(feed: SyntheticFeed, at: datetime) -> tuple[object, ...]:
    window = at - timedelta(seconds=3), at + timedelta(seconds=3)
    return await feed.mark(PERP, at), await feed.book(PERP, at), await feed.stats(PERP, at), await feed.trades(PERP, *window)


times = st.floats(-4000, 90_000, allow_nan=False)


@settings(max_examples=15, deadline=None)
@given(asked=st.lists(times, max_size=5), at=times)
async def test_what_is_shown_does_not_depend_on_what_was_asked_before(asked: list[float], at: float) -> None:
    once, often = synthetic(), synthetic()
    for moment in asked:
        await shown(often, after(moment))
    assert await shown(often, after(at)) == await shown(once, after(at))


async def test_seeds_and_markets_differ() -> None:
    at = after(900)
    mine, other = synthetic(7), synthetic(8)
    assert await mine.mark(PERP, at) != await other.mark(PERP, at)
    assert await mine.mark(PERP, at) / 25 != await mine.mark("ETH/USDT", at)


async def test_the_same_seed_shows_the_same_market_from_another_start() -> None:
    later = START + timedelta(days=3, seconds=17)
    assert await synthetic().mark(PERP, after(100)) == await synthetic(start=later).mark(PERP, later + timedelta(seconds=100))


async def test_the_price_starts_where_it_was_told_to() -> None:
    feed = synthetic()
    for symbol, price in SYMBOLS.items():
        assert await feed.mark(symbol, START) == Decimal(price)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    seconds=st.floats(-86_400, 86_400 * 400, allow_nan=False),
    symbol=st.sampled_from(sorted(SYMBOLS)),
    volatility=st.sampled_from(["0", "0.6", "10"]),
    daily_volume=st.sampled_from(["0", "1000000", "15000000000"]),
)
async def test_the_book_is_sane_on_the_tick_in_lots_and_around_the_mark(
    seed: int, seconds: float, symbol: str, volatility: str, daily_volume: str
) -> None:
    feed = synthetic(seed, volatility=volatility, daily_volume=daily_volume)
    at = after(seconds)
    book, mark = await feed.book(symbol, at), await feed.mark(symbol, at)
    market = (await feed.markets([symbol]))[symbol]
    assert book.faults() == ()
    assert book.bids[0].price < book.asks[0].price
    for level in book.bids + book.asks:
        assert is_multiple(level.price, market.tick)
        assert is_multiple(level.amount, market.lot)
    assert abs(book.mid - mark) <= market.tick + mark / 50_000
    assert mark > 0


async def test_the_depth_is_like_that_of_recorded_books() -> None:
    feed = synthetic()
    books = [await feed.book(PERP, after(10 * count)) for count in range(60)]
    for bps, quoted, sweep, cost in ((1, 0.46e6, 1e6, 1.1), (5, 3.4e6, 3e6, 2.5)):
        depth, paid = 0.0, 0.0
        for book in books:
            mid = book.mid
            depth += float(book.depth(Side.BUY, limit=mid * (1 + Decimal(bps) / 10_000)) * mid) / len(books)
            average = book.walk(Side.BUY, Decimal(sweep) / mid).average
            assert average is not None
            paid += float(average / mid - 1) * 1e4 / len(books)
        assert depth == pytest.approx(quoted, rel=0.2)
        assert paid == pytest.approx(cost, rel=0.2)
    assert 20 <= len(books[0].bids) <= 25


async def test_depth_scales_with_the_volume() -> None:
    deep, thin = [await synthetic(daily_volume=volume).book(PERP, START) for volume in ("15000000000", "150000000")]
    ratio = sum(level.amount for level in deep.asks) / sum(level.amount for level in thin.asks)
    assert float(ratio) == pytest.approx(100, rel=0.01)


async def test_stats_tell_the_volume_and_volatility_that_were_asked_for() -> None:
    stats = await synthetic().stats(PERP, after(7200))
    assert float(stats.volatility) == pytest.approx(0.6 / math.sqrt(365), rel=0.05)
    assert float(stats.volume) == pytest.approx(15e9 / 50_000, rel=0.08)


async def test_a_day_moves_as_far_as_the_volatility_says() -> None:
    moves = [PricePath(f"{seed}", volatility=0.6, daily_value=1.0).log(BLOCK_STEPS * 288) for seed in range(300)]
    spread = math.sqrt(sum(move * move for move in moves) / len(moves))
    assert spread == pytest.approx(0.6 / math.sqrt(365), rel=0.15)


def test_the_path_has_no_jump_where_two_blocks_meet() -> None:
    path = PricePath("seam", volatility=0.6, daily_value=1e9)
    inside, seams = [], []
    for block in range(-20, 20):
        logs = path.block(block).logs
        inside += [abs(later - earlier) for earlier, later in pairwise(logs)]
        seams.append(abs(path.block(block + 1).logs[0] - logs[-1]))
    assert max(seams) < max(inside)
    assert sum(seams) / len(seams) == pytest.approx(sum(inside) / len(inside), rel=0.5)


async def test_the_flow_pushes_the_price_by_the_root_of_its_size() -> None:
    feed = synthetic()
    found = await feed.trades(PERP, START, after(1200))
    flows = [0.0] * 1200
    for trade in found:
        flows[int((trade.at - START).total_seconds())] += trade.side.sign * float(trade.amount)
    marks = [float(await feed.mark(PERP, after(second))) for second in range(1201)]
    pushes = [math.copysign(math.sqrt(abs(flow)), flow) for flow in flows]
    moves = [math.log(end / begin) for begin, end in pairwise(marks)]
    shared = sum(push * move for push, move in zip(pushes, moves, strict=True))
    explained = shared**2 / (sum(push**2 for push in pushes) * sum(move**2 for move in moves))
    assert 0.25 < explained < 0.65


async def test_trades_lie_in_the_time_asked_for_and_join_without_gap() -> None:
    feed = synthetic()
    whole = await feed.trades(PERP, after(250), after(350))
    parts = [*await feed.trades(PERP, after(250), after(300.1)), *await feed.trades(PERP, after(300.1), after(350))]
    assert list(whole) == parts
    assert len(whole) == pytest.approx(400, rel=0.3)
    assert all(after(250) <= trade.at < after(350) and trade.amount > 0 for trade in whole)
    assert [trade.at for trade in whole] == sorted(trade.at for trade in whole)
    assert await feed.trades(PERP, after(300), after(300)) == ()


async def test_a_long_stretch_is_skipped_without_its_steps() -> None:
    feed = synthetic()
    assert await feed.mark(PERP, START) > 0
    assert await feed.mark(PERP, START + timedelta(days=1000)) > 0
    assert list(feed._lives[PERP]._blocks) == [0, 1000 * 288]


async def test_a_market_resumes_from_given_prices_with_a_stretch_of_its_own() -> None:
    feed = synthetic()
    before = await feed.mark(PERP, after(600)) / 50_000
    await feed.resume({PERP: Decimal(40_000), "GONE/USDT": Decimal(1)}, after(100))
    assert feed.clock.now() == after(100)
    assert await feed.mark(PERP, after(100)) == Decimal(40_000)
    assert await feed.mark("ETH/USDT", after(100)) == Decimal(2000)
    assert await feed.mark(PERP, after(700)) / 40_000 != before
    again = synthetic()
    await again.resume({PERP: Decimal(40_000)}, after(100))
    assert await again.mark(PERP, after(700)) == await feed.mark(PERP, after(700))


async def test_an_unknown_symbol_is_refused_everywhere() -> None:
    feed = synthetic()
    assert feed.symbols == tuple(SYMBOLS)
    for asked in (feed.mark("X/Y", START), feed.book("X/Y", START), feed.stats("X/Y", START), feed.trades("X/Y", START, START)):
        with pytest.raises(VenueRefused, match="X/Y"):
            await asked
    with pytest.raises(VenueRefused, match="X/Y"):
        await feed.markets(["X/Y"])


@pytest.mark.parametrize(
    ("volatility", "spread_bps", "daily_volume", "words"),
    [
        ("-0.1", "1", "1", "volatility is -0.1"),
        ("60", "1", "1", "volatility is 60"),
        ("1", "NaN", "1", "spread_bps is NaN"),
        ("1", "1", "-1", "daily_volume is -1"),
    ],
)
def test_an_impossible_setting_is_named(volatility: str, spread_bps: str, daily_volume: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SyntheticFeed(
            {PERP: Decimal(1)},
            clock=AcceleratedClock(START, None),
            start=START,
            volatility=Decimal(volatility),
            spread_bps=Decimal(spread_bps),
            daily_volume=Decimal(daily_volume),
        )


def test_a_price_of_a_few_ticks_asks_for_a_finer_one() -> None:
    with pytest.raises(ValueError, match=r"DOGE/USDT is 0\.15.*finer tick"):
        SyntheticFeed({"DOGE/USDT": Decimal("0.15")}, clock=AcceleratedClock(START, None), start=START)
