"""Bars as a market: the path through them, the book around it, and how much of a bar's volume orders can have."""

import math
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.domain.market import Market, Side
from keeper.domain.numbers import is_multiple
from keeper.venues.feeds.bars import FILLABLE, BarRecording
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.feeds.recording import BadRecording, Window
from keeper.venues.paper.matching import Liquidity
from tests.fakes.paper import PERP, START
from tests.fakes.recordings import as_csv, bar

SPEC = MarketSpec(tick=Decimal("0.1"), lot=Decimal("0.001"))
MARKET = SPEC.market(PERP)
NO_LIMIT = {Side.BUY: Decimal(10) ** 9, Side.SELL: Decimal("0.1")}


def recorded(
    folder: Path, rows: list[dict[str, Any]], *, market: Market = MARKET, seed: int = 7, window: Window | None = None
) -> BarRecording:
    return BarRecording(as_csv(folder / "bars.csv", rows), market, window=window or Window(), seed=seed)


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_the_path_starts_at_the_open_touches_both_extremes_and_ends_at_the_close(tmp_path: Path) -> None:
    rows = [bar(0, 100, 110, 95, 105), bar(1, 104, 104, 104, 104), bar(2, 104, 120, 104, 120)]
    played = recorded(tmp_path, rows)
    assert (played.first, played.last) == (START, after(3))
    seen = [played.mark(after(step / 1000)) for step in range(1000)]
    assert seen[0] == 100
    assert float(min(seen)) == pytest.approx(95, abs=0.04)
    assert float(max(seen)) == pytest.approx(110, abs=0.04)
    assert seen[-1] == pytest.approx(Decimal(105), abs=Decimal("0.1"))
    assert played.mark(after(1)) == played.mark(after(1.7)) == 104
    assert played.mark(after(3)) == 120
    # an even pace: no step is longer than the whole way over the steps
    assert max(abs(later - before) for before, later in pairwise(seen)) <= Decimal("0.036")


def test_which_extreme_comes_first_is_the_seed_s_and_differs_between_bars(tmp_path: Path) -> None:
    rows = [bar(minute, 100, 110, 90, 100) for minute in range(40)]

    def low_first(seed: int) -> list[bool]:
        played = recorded(tmp_path, rows, seed=seed)
        return [played.mark(after(minute + 0.25)) < 100 for minute in range(40)]

    assert low_first(7) == low_first(7)
    assert low_first(7) != low_first(8)
    assert 8 < sum(low_first(7)) < 32


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    minutes=st.floats(0, 60, allow_nan=False),
    volume=st.sampled_from([0.0, 0.004, 3.0, 1000.0, 1e7]),
    symbol=st.sampled_from([PERP, "BTC/USD:BTC", "BTC/USDT"]),
)
def test_the_book_is_sane_on_the_grid_and_around_the_mark(tmp_path: Path, minutes: float, volume: float, symbol: str) -> None:
    spec = MarketSpec(tick=Decimal("0.1"), lot=Decimal(1), contract_size=Decimal(100)) if symbol == "BTC/USD:BTC" else SPEC
    market = spec.market(symbol)
    played = recorded(tmp_path, [bar(minute, volume=volume) for minute in range(60)], market=market)
    book, mark = played.book(after(minutes)), played.mark(after(minutes))
    assert book.at == after(minutes)
    if volume < 1:
        assert book.bids == book.asks == ()
        return
    assert book.faults() == ()
    assert book.bids[0].price < mark < book.asks[0].price
    for level in (*book.bids, *book.asks):
        assert is_multiple(level.price, market.tick)
        assert is_multiple(level.amount, market.lot)
    spread = (book.asks[0].price - book.bids[0].price) / mark * 10_000
    assert 1 <= spread < 10


def test_depth_costs_the_square_root_of_what_is_taken(tmp_path: Path) -> None:
    up, down = (50_000, 50_500, 50_000, 50_500), (50_500, 50_500, 50_000, 50_000)
    played = recorded(tmp_path, [bar(minute, *(down if minute % 2 else up)) for minute in range(1500)])
    at = after(1442)
    book, stats, mid = played.book(at), played.stats(at), played.mark(at)
    whole = sum((level.amount for level in book.asks), Decimal(0))
    average = book.walk(Side.BUY, whole).average
    assert average is not None
    expected = 0.6 * float(stats.volatility) * math.sqrt(float(whole / stats.volume)) + 0.5e-4
    assert float(average / mid - 1) == pytest.approx(expected, rel=0.15)
    assert float(stats.volume) == pytest.approx(1000 * 1440)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 5),
    pause=st.floats(0.1, 30, allow_nan=False),
    volumes=st.lists(st.sampled_from([0.0, 20.0, 1000.0]), min_size=3, max_size=3),
    side=st.sampled_from(Side),
)
def test_no_more_than_a_fortieth_of_a_bar_s_volume_can_be_had(
    tmp_path: Path, seed: int, pause: float, volumes: list[float], side: Side
) -> None:
    played = recorded(tmp_path, [bar(minute, volume=volume) for minute, volume in enumerate(volumes)], seed=seed)
    liquidity = Liquidity(played.refill)
    taken = [Decimal(0)] * 3
    at = START
    while at < played.last:
        found = liquidity.match(MARKET, played.book(at), side=side, amount=Decimal(10) ** 9, limit=NO_LIMIT[side])
        liquidity.take(PERP, side, found, at)
        taken[int((at - START).total_seconds() // 60)] += sum((taking.amount for taking in found), Decimal(0))
        at += timedelta(seconds=pause)
    for volume, had in zip(volumes, taken, strict=True):
        assert float(had) <= FILLABLE * volume
    if pause < 1 and volumes == [1000.0] * 3:
        assert float(taken[0]) > 0.8 * FILLABLE * 1000  # what is promised is also given


def test_statistics_are_of_the_day_before_and_of_the_first_bars_where_there_is_none(tmp_path: Path) -> None:
    calm = [bar(minute, 100, 100, 100, 100, volume=1.0) for minute in range(1440)]
    busy = [bar(1440 + minute, 100, 101, 99, 101 if minute % 2 == 0 else 100, volume=5.0) for minute in range(1440)]
    played = recorded(tmp_path, calm + busy)
    assert played.stats(START).volume == played.stats(after(1440)).volume == 1440
    assert played.stats(after(1440)).volatility == 0
    late = played.stats(after(2880 - 0.5))
    assert float(late.volume) == pytest.approx(7200, rel=0.01)
    assert float(late.volatility) == pytest.approx(math.log(1.01) * math.sqrt(1440), rel=0.01)


def test_bars_may_be_of_any_length(tmp_path: Path) -> None:
    rows = [bar(60 * hour) for hour in range(30)]
    played = recorded(tmp_path, rows)
    assert played.last == START + timedelta(hours=30)
    assert played.refill == timedelta(minutes=30)
    assert float(played.stats(played.last).volume) == pytest.approx(24_000)


BAD = [
    ([bar(0), bar(1), bar(3)], "line 4: gap of 60 s before 2025-03-01 00:03:00 UTC, and a bar is 60 s"),
    ([bar(0), bar(1), bar(2), bar(1)], "line 5: 2025-03-01 00:01:00 UTC does not come after the row before"),
    ([bar(0), bar(0)], "line 3: 2025-03-01 00:00:00 UTC does not come after"),
    ([bar(0), bar(1), bar(1.5), bar(2.5)], "line 4: 2025-03-01 00:01:30 UTC comes 30 s after the row before"),
    ([bar(0)], "holds one bar"),
    ([bar(0), bar(1, 100, 99, 98, 99)], "line 3: open 100"),
    ([bar(0), bar(1, 100, 101, 100.5, 101)], "line 3: open 100"),
    ([bar(0), bar(1, 100, 101, -1, 101)], "prices must be above 0"),
    ([bar(0), bar(1, volume=-1)], "line 3"),
    ([bar(0), bar(1, volume=1.01e16)], "line 3: high 50100, volume 1.01e+16: no price above 1e+12 and no volume above 1e+16"),
    ([bar(0), bar(1, 100, 1.01e12, 100, 100)], "line 3: high 1.01e+12, volume 1000: no price above"),
    ([bar(0, 1e99, 1e99, 1e99, 1e99), bar(1)], "line 2: high 1e+99"),
    ([bar(0), bar(1, 5, 5, 5, 5)], "line 3: low 5.0 is less than 100 ticks of 0.1"),
]


@pytest.mark.parametrize(("rows", "words"), BAD)
def test_the_first_bad_bar_is_named(tmp_path: Path, rows: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(BadRecording) as refused:
        recorded(tmp_path, rows)
    assert words in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "bars.csv"))


def test_the_largest_bars_that_are_taken_are_played(tmp_path: Path) -> None:
    played = recorded(tmp_path, [bar(minute, 1e12, 1e12, 1e12, 1e12, volume=1e16) for minute in range(3)])
    assert played.mark(START) == Decimal(10) ** 12
    assert played.book(after(1)).faults() == ()
    assert played.stats(after(1)).volume == Decimal(1440) * 10**16


def test_a_gap_outside_of_what_is_played_is_let_pass(tmp_path: Path) -> None:
    rows = [bar(minute) for minute in (0, 1, 2, 10, 11, 12, 20)]
    played = recorded(tmp_path, rows, window=Window(start=after(10.5), end=after(12.25)))
    assert (played.first, played.last) == (after(10.5), after(12.25))
    assert recorded(tmp_path, rows, window=Window(end=after(3))).last == after(3)
    with pytest.raises(BadRecording, match="line 5: gap of 420 s"):
        recorded(tmp_path, rows, window=Window(start=after(2)))


@pytest.mark.parametrize("window", [Window(start=after(5)), Window(end=after(0)), Window(start=after(-9), end=after(-3))])
def test_a_window_outside_of_the_recording_is_refused(tmp_path: Path, window: Window) -> None:
    with pytest.raises(BadRecording, match="holds 2025-03-01 00:00:00 UTC to 2025-03-01 00:05:00 UTC"):
        recorded(tmp_path, [bar(minute) for minute in range(5)], window=window)
