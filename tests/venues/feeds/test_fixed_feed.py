from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.book import Level
from keeper.domain.errors import VenueRefused
from keeper.domain.market import Side
from keeper.domain.observation import MarketStats
from tests.fakes.paper import PERP, START, fixed_feed


async def test_without_a_spread_the_mid_is_the_price_and_any_size_fills_at_it() -> None:
    feed = fixed_feed({PERP: "52500.37"})
    book = await feed.book(PERP, START)
    assert book.faults() == ()
    assert book.mid == await feed.mark(PERP, START) == Decimal("52500.37")
    assert book.half_spread == 0
    walk = book.walk(Side.BUY, Decimal(10) ** 12)
    assert (walk.filled, walk.average) == (Decimal(10) ** 12, Decimal("52500.37"))


async def test_the_spread_lies_around_the_price_and_the_depth_at_the_best_level() -> None:
    book = await fixed_feed({PERP: "50000"}, spread_bps="4", depth="2.5").book(PERP, START)
    assert book.asks == (Level(Decimal(50_010), Decimal("2.5")),)
    assert book.bids == (Level(Decimal(49_990), Decimal("2.5")),)


async def test_the_price_never_moves_and_time_belongs_to_the_feed() -> None:
    feed = fixed_feed({PERP: "100"})
    await feed.clock.sleep_until(START + timedelta(days=30))
    assert await feed.mark(PERP, feed.clock.now()) == Decimal(100)
    stats = await feed.stats(PERP, feed.clock.now())
    assert stats == MarketStats(volume=Decimal(0), volatility=Decimal(0))
    await feed.resume({PERP: Decimal(7)}, START + timedelta(days=60))
    assert feed.clock.now() == START + timedelta(days=60)
    assert await feed.mark(PERP, feed.clock.now()) == Decimal(100)


async def test_an_unknown_symbol_is_refused_everywhere() -> None:
    feed = fixed_feed({PERP: "100"})
    assert feed.symbols == (PERP,)
    for asked in (feed.mark("X/Y", START), feed.book("X/Y", START), feed.stats("X/Y", START), feed.markets([PERP, "X/Y"])):
        with pytest.raises(VenueRefused, match=f"X/Y.*{PERP}"):
            await asked


@pytest.mark.parametrize("depth", ["0", "-1", "NaN"])
def test_an_impossible_depth_is_refused_in_words(depth: str) -> None:
    with pytest.raises(ValueError, match="unlimited"):
        fixed_feed({PERP: "100"}, depth=depth)


@pytest.mark.parametrize("spread", ["-1", "10000", "NaN"])
def test_an_impossible_spread_is_refused_in_words(spread: str) -> None:
    with pytest.raises(ValueError, match="spread_bps"):
        fixed_feed({PERP: "100"}, spread_bps=spread)
