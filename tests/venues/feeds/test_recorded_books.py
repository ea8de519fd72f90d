"""Recorded order books: what is shown is what was displayed, at any time, asked for in any order; and what is refused."""

import time
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.domain.book import Level, OrderBook
from keeper.venues.feeds.ladder import Ladder
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.feeds.order_books import LEVELS, BookRecording
from keeper.venues.feeds.price_path import stream
from keeper.venues.feeds.recording import BadRecording, Window
from tests.fakes.paper import PERP, START
from tests.fakes.recordings import Change, as_csv, as_parquet, book_files, stamp

MARKET = MarketSpec(tick=Decimal("0.1"), lot=Decimal("0.001")).market(PERP)
SNAPSHOT: list[Change] = [(0, 1, 499_999, 1.5), (0, 1, 499_990, 4.0), (0, -1, 500_001, 2.0), (0, -1, 500_005, 3.0)]


def after(milliseconds: float) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


def recorded(
    folder: Path, changes: list[Change], trades: list[Change] | None = None, window: Window | None = None
) -> BookRecording:
    return BookRecording(book_files(folder, changes, trades or ()), "btc", MARKET, window=window or Window())


def levels(*told: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(Decimal(price), Decimal(amount)) for price, amount in told)


def test_a_book_is_its_snapshot_and_every_change_since(tmp_path: Path) -> None:
    changes = [
        *SNAPSHOT,
        (100, 1, 499_999, 0.0),
        (100, 1, 499_995, 0.25),
        (250, -1, 500_001, 7.0),
        (250, -1, 499_998, 0.5),
        (2_000, 1, 123_456, 0.0),
    ]
    played = recorded(tmp_path, changes)
    assert (played.first, played.last) == (START, after(2000))
    first = OrderBook(
        bids=levels(("49999.9", "1.5"), ("49999", "4")), asks=levels(("50000.1", "2"), ("50000.5", "3")), at=after(99)
    )
    assert played.book(after(99)) == first
    assert played.mark(after(99)) == Decimal(50_000)
    second = played.book(after(100))
    assert second.bids == levels(("49999.5", "0.25"), ("49999", "4"))
    assert second.asks == first.asks
    assert played.book(after(260)).asks == levels(("49999.8", "0.5"), ("50000.1", "7"), ("50000.5", "3"))
    assert played.mark(after(260)) == Decimal("49999.65")
    assert played.book(after(50)).bids == first.bids  # back again


def test_amounts_of_32_bits_are_whole_lots(tmp_path: Path) -> None:
    import pyarrow as pa

    amounts = [0.1, 2.301, 16_777.217, 0.0]
    rows = [
        {"t_ms": stamp(), "side": side, "px_tick": 500_000 - side * (count + 1), "qty": amount}
        for count, amount in enumerate(amounts)
        for side in (1, -1)
    ]
    rows.append({"t_ms": stamp(1000), "side": 1, "px_tick": 400_000, "qty": 1.0})
    types = {"side": pa.int8(), "px_tick": pa.int32(), "qty": pa.float32()}
    as_parquet(tmp_path / "btc_deltas.parquet", rows, types)
    as_csv(tmp_path / "btc_trades.csv", [{"t_ms": stamp(), "px_tick": 1, "qty": 1.0, "side": 1}])
    played = BookRecording(tmp_path, "btc", MARKET, window=Window())
    assert [level.amount for level in played.book(START).asks] == [Decimal("0.1"), Decimal("2.301"), Decimal("16777.217")]


def changing(seed: int, count: int) -> list[Change]:
    """A book that changes at random around 50,000, never crossed."""
    draw = stream("changes", seed)
    changes, mid, at = list(SNAPSHOT), 500_000, 0
    shown = {(side, tick) for _, side, tick, _ in SNAPSHOT}
    for _ in range(count):
        at += draw.randrange(0, 40)
        side, away = draw.choice((1, -1)), draw.randrange(1, 60)
        tick = mid - side * away
        amount = draw.choice((0.0, 0.001, 1.5, 20.0)) if (side, tick) in shown and away > 20 else draw.choice((0.002, 3.0))
        changes.append((at, side, tick, amount))
        (shown.discard if amount == 0 else shown.add)((side, tick))
    return changes


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 99), asked=st.lists(st.integers(0, 3_000), min_size=1, max_size=8))
def test_what_is_shown_does_not_depend_on_what_was_asked_before(tmp_path: Path, seed: int, asked: list[int]) -> None:
    changes = changing(seed, 200)
    changes.append((max(3_000, changes[-1][0]), 1, 1, 0.0))
    played = recorded(tmp_path, changes)
    for moment in asked:
        sides: dict[int, dict[int, float]] = {1: {}, -1: {}}
        for at, side, tick, amount in changes:
            if at <= moment:
                sides[side][tick] = amount
        book = played.book(after(moment))
        for side, found in ((1, book.bids), (-1, book.asks)):
            expected = sorted(((tick, amount) for tick, amount in sides[side].items() if amount), reverse=side > 0)
            assert [(int(level.price * 10), float(level.amount)) for level in found] == expected
        assert played.mark(after(moment)) == book.mid


def test_no_more_than_the_nearest_levels_are_shown(tmp_path: Path) -> None:
    deep: list[Change] = [(0, side, 500_000 - side * away, 1.0) for side in (1, -1) for away in range(1, LEVELS + 500)]
    book = recorded(tmp_path, [*deep, (1000, 1, 1, 0.0)]).book(START)
    assert (len(book.bids), len(book.asks)) == (LEVELS, LEVELS)
    assert (book.bids[-1].price, book.asks[-1].price) == (Decimal(49900), Decimal(50100))


def test_going_on_costs_what_happened_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [*SNAPSHOT, *((at, 1, 400_000 + at, 1.0) for at in range(1, 5_000))]
    played = recorded(tmp_path, changes)
    puts = 0
    real = Ladder.put

    def counted(ladder: Ladder, side: int, tick: int, lots: int) -> None:
        nonlocal puts
        puts += 1
        real(ladder, side, tick, lots)

    monkeypatch.setattr(Ladder, "put", counted)
    for at in range(0, 4_500, 10):
        played.book(after(at))
        played.mark(after(at))
    assert puts == 4 + 4_490


def test_a_day_is_scaled_from_what_was_recorded(tmp_path: Path) -> None:
    changes = [*SNAPSHOT, *((second * 1000, 1, 499_000 + second, 1.0) for second in range(1, 121))]
    trades: list[Change] = [(second * 1000, 1, 500_000, 0.5 if second < 60 else 2.0) for second in range(120)]
    played = recorded(tmp_path, changes, trades)
    early, late = played.stats(START), played.stats(after(120_000))
    assert early.volume == played.stats(after(60_000)).volume == 30 * 1440
    assert late.volume == 75 * 1440 * 2 // 2
    assert early.volatility == late.volatility == 0  # the mid stood


def test_a_mid_that_moves_is_volatile(tmp_path: Path) -> None:
    changes = list(SNAPSHOT)
    for second in range(1, 100):
        side = 1 if second % 2 else -1
        up = 50 if side > 0 else 0
        changes += [(second * 1000, -1, 500_001, 0.0 if up else 2.0), (second * 1000, 1, 499_999 + 2 * (up // 50), 1.0)]
        changes += [] if up else [(second * 1000, 1, 500_001, 0.0)]
    volatility = float(recorded(tmp_path, changes).stats(after(90_000)).volatility)
    move = (500_003 - 500_000) / 500_000  # between the mids of 499_999 / 500_001 and 500_001 / 500_005
    assert volatility == pytest.approx(move * (86_400) ** 0.5, rel=0.02)


BAD: list[tuple[list[Change], str]] = [
    (
        [*SNAPSHOT, (5, -1, 499_990, 1.0)],
        "line 6: the book is crossed at 2025-03-01 00:00:00.005 UTC: best bid 499999, best ask 499990",
    ),
    ([*SNAPSHOT, (5, 1, 5, 1.0), (4, 1, 6, 1.0)], "line 7: 2025-03-01 00:00:00.004 UTC comes before the row before"),
    ([*SNAPSHOT, (9_000, 1, 5, 1.0)], "line 6: gap of 9 s before 2025-03-01 00:00:09 UTC"),
    ([*SNAPSHOT, (5, 1, 5, -1.0)], "line 6: qty is -1.0: an amount is 0 or more"),
    ([*SNAPSHOT, (5, 1, 5, 0.0104)], "line 6: qty 0.0104 is no whole number of lots of 0.001"),
    ([*SNAPSHOT, (5, 1, 5, 1e25)], "line 6: qty 1e+25 is more than 9007199254740992 lots of 0.001"),
    ([*SNAPSHOT, (5, 1, 5, 1e99)], "line 6: qty 1e+99 is more than"),
    ([*SNAPSHOT, (5, 0, 5, 1.0)], "line 6: side is 0, not 1 or -1"),
    ([*SNAPSHOT, (5, 1, 0, 1.0)], "line 6: px_tick is 0, not above 0"),
    ([*SNAPSHOT, (5, 1, 2**31, 1.0)], "line 6: px_tick is 2147483648"),
    ([*SNAPSHOT, (5, 1, 499_999, 0.0), (5, 1, 499_990, 0.0)], "line 7: no bids are left at 2025-03-01 00:00:00.005 UTC"),
    (SNAPSHOT[:2], "holds both sides of a book from"),
    (SNAPSHOT, "holds both sides of a book from"),
]


@pytest.mark.parametrize(("changes", "words"), BAD)
def test_the_first_bad_change_is_named(tmp_path: Path, changes: list[Change], words: str) -> None:
    with pytest.raises(BadRecording) as refused:
        recorded(tmp_path, changes)
    assert refused.value.path == tmp_path / "btc_deltas.csv"
    assert words in refused.value.why


SOUND = [*SNAPSHOT, (1_000, 1, 5, 1.0)]


@pytest.mark.parametrize(
    ("trades", "words"),
    [
        ([(0, 1, 500_000, 0.0)], "line 2: qty is 0.0: an amount is above 0"),
        ([(5, 1, 500_000, 1.0), (4, 1, 500_000, 1.0)], "line 3: 2025-03-01 00:00:00.004 UTC comes before"),
        ([(0, 2, 500_000, 1.0)], "line 2: side is 2"),
        ([(0, 1, 500_000, 1e99)], "line 2: qty 1e+99 is more than"),
    ],
)
def test_the_first_bad_trade_is_named(tmp_path: Path, trades: list[Change], words: str) -> None:
    with pytest.raises(BadRecording) as refused:
        recorded(tmp_path, SOUND, trades)
    assert refused.value.path == tmp_path / "btc_trades.csv"
    assert words in refused.value.why


def test_rows_of_one_time_are_one_change(tmp_path: Path) -> None:
    moved = [*SNAPSHOT, (5, 1, 500_003, 1.0), (5, -1, 500_001, 0.0), (1_000, 1, 5, 1.0)]
    assert recorded(tmp_path, moved).mark(after(5)) == Decimal("50000.4")


def test_a_missing_side_is_waited_for(tmp_path: Path) -> None:
    late: list[Change] = [(0, 1, 499_999, 1.0), (700, -1, 500_001, 1.0), (900, 1, 5, 1.0)]
    assert recorded(tmp_path, late).first == after(700)


@pytest.mark.parametrize("missing", ["deltas", "trades"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    book_files(tmp_path, SOUND)
    (tmp_path / f"btc_{missing}.csv").unlink()
    with pytest.raises(BadRecording, match=rf"btc_{missing}\.parquet: can't be read \(no such file"):
        BookRecording(tmp_path, "btc", MARKET, window=Window())


def test_a_window_cuts_what_is_played_and_forgives_gaps_outside_of_it(tmp_path: Path) -> None:
    changes = [*SNAPSHOT, (9_000, 1, 5, 1.0), (10_000, 1, 5, 2.0), (11_000, 1, 5, 3.0), (20_000, 1, 5, 4.0)]
    played = recorded(tmp_path, changes, window=Window(start=after(9_500), end=after(10_500)))
    assert (played.first, played.last) == (after(9_500), after(10_500))
    assert played.book(played.first).bids[-1].amount == 1
    for window in (Window(start=after(25_000)), Window(end=START), Window(start=after(-9_000), end=after(-1))):
        with pytest.raises(BadRecording, match="not what start and end ask for"):
            recorded(tmp_path, changes, window=window)


def test_loading_and_playing_a_hundred_thousand_changes_takes_less_than_seconds(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    changes = changing(1, 100_000)
    columns = zip(*changes, strict=True)
    names = ("t_ms", "side", "px_tick", "qty")
    table = {name: list(column) for name, column in zip(names, columns, strict=True)}
    parquet.write_table(pa.table(table | {"t_ms": [stamp(at) for at in table["t_ms"]]}), tmp_path / "btc_deltas.parquet")
    as_csv(tmp_path / "btc_trades.csv", [{"t_ms": stamp(), "px_tick": 1, "qty": 1.0, "side": 1}])
    began = time.process_time()
    played = BookRecording(tmp_path, "btc", MARKET, window=Window())
    at = played.first
    while at < played.last:
        played.book(at)
        at += timedelta(seconds=5)
    assert time.process_time() - began < 5  # a tenth of it here
