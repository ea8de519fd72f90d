"""The feed that plays recordings: its time, its end, and a desk that trades on it."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from keeper.bootstrap import open_desk
from keeper.domain.errors import ConfigError, StaleData, VenueRefused
from keeper.domain.run import RunStatus
from keeper.service.progress import Unwatched
from keeper.settings import Settings
from keeper.venues.feeds.bars import BarRecording
from keeper.venues.feeds.feed import Feed
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.feeds.order_books import BookRecording
from keeper.venues.feeds.recorded import GRACE, RecordedFeed
from keeper.venues.feeds.recording import Window
from tests.fakes.configurations import loaded
from tests.fakes.paper import PERP, START, opening, paper_venue
from tests.fakes.recordings import Change, as_csv, as_parquet, bar, book_files

ETH = "ETH/USDT:USDT"
SPEC = MarketSpec(tick=Decimal("0.1"), lot=Decimal("0.001"), taker_bps=Decimal(5))
BOOK: list[Change] = [
    *((0, side, 500_000 - side * away, 2.0) for side in (1, -1) for away in range(1, 40)),
    *((second * 1000, 1, 400_000, float(second)) for second in range(1, 301)),
]


def bars(folder: Path, minutes: range = range(10), symbol: str = PERP) -> BarRecording:
    path = as_csv(folder / f"bars-{minutes.start}.csv", [bar(minute) for minute in minutes])
    return BarRecording(path, SPEC.market(symbol), window=Window())


def as_port(made: RecordedFeed) -> Feed:
    """What mypy checks: a RecordedFeed is a Feed."""
    return made


async def test_time_starts_with_the_recording_and_is_its_own(tmp_path: Path) -> None:
    made = RecordedFeed({PERP: bars(tmp_path)})
    assert made.symbols == (PERP,)
    assert (made.clock.now(), made.ends_at, made.left) == (START, START + timedelta(minutes=10), timedelta(minutes=10))
    await made.clock.sleep_until(START + timedelta(minutes=4))
    assert made.left == timedelta(minutes=6)
    assert await made.mark(PERP, START) == 50_000
    assert (await made.markets([PERP]))[PERP].taker == Decimal("0.0005")
    with pytest.raises(VenueRefused, match=f"no market {ETH}; it has: {PERP}"):
        await made.mark(ETH, START)


async def test_several_markets_play_the_time_that_they_share(tmp_path: Path) -> None:
    folder = book_files(tmp_path, BOOK)
    book = BookRecording(folder, "btc", SPEC.market(PERP), window=Window())
    made = RecordedFeed({PERP: book, ETH: bars(tmp_path, range(2, 20), ETH)})
    assert (made.clock.now(), made.ends_at) == (START + timedelta(minutes=2), START + timedelta(minutes=5))
    assert made.refill == timedelta(seconds=30)
    with pytest.raises(ValueError, match="share no time"):
        RecordedFeed({PERP: book, ETH: bars(tmp_path, range(8, 20), ETH)})
    with pytest.raises(ValueError, match="no recordings"):
        RecordedFeed({})


async def test_beyond_its_ends_a_recording_says_nothing(tmp_path: Path) -> None:
    made = RecordedFeed({PERP: bars(tmp_path)})
    last = await made.mark(PERP, made.ends_at)
    assert await made.mark(PERP, made.ends_at + GRACE) == last
    assert (await made.book(PERP, made.ends_at + GRACE)).at == made.ends_at + GRACE
    for at in (START - timedelta(milliseconds=1), made.ends_at + GRACE + timedelta(milliseconds=1)):
        for ask in (made.mark, made.book, made.stats):
            with pytest.raises(StaleData, match=r"holds 2025-03-01 00:00:00 to 2025-03-01 00:10:00 UTC"):
                await ask(PERP, at)


async def test_an_account_that_resumes_goes_on_where_it_was(tmp_path: Path) -> None:
    made = RecordedFeed({PERP: bars(tmp_path)})
    await made.resume({PERP: Decimal(1)}, START + timedelta(minutes=3))
    assert made.left == timedelta(minutes=7)
    assert await made.mark(PERP, made.clock.now()) == 50_000  # the recording's price, not the one that was kept
    async with paper_venue(made, opening({"USDT": "1000"})) as venue:
        assert (await venue.quote(PERP)).book.faults() == ()
    await made.close()


CONFIGURATION = """
[venues.sim]
exchange = "paper"
account = {{ balances = {{ USDT = "100000" }} }}

[venues.sim.feed]
kind = "recorded"
files."BTC/USDT:USDT" = {files}
markets."BTC/USDT:USDT" = {{ tick = "0.1", lot = "0.001", taker_bps = 5 }}
{more}

[funds.btc]
venue = "sim"
target = {{ "BTC/USDT:USDT" = 2 }}
execution = {{ horizon = "60s", slices = 6 }}
"""
BOOK_FILES = '{ path = "l2", name = "btc" }'


def configured(folder: Path, files: str = BOOK_FILES, more: str = "", env: Mapping[str, str] | None = None) -> Settings:
    return loaded(folder, CONFIGURATION.format(files=files, more=more), env)


def with_book(folder: Path, changes: list[Change] = BOOK) -> Path:
    (folder / "l2").mkdir()
    book_files(folder / "l2", changes)
    return folder


async def trade(settings: Settings) -> Any:
    async with open_desk(settings, "btc", acting=True) as desk:
        run = await desk.rebalancer.execute(await desk.rebalancer.plan(), await desk.command("test"), Unwatched())
        return run, desk.venue.clock.now()


async def test_a_fund_is_brought_to_its_target_on_a_recorded_book(tmp_path: Path) -> None:
    settings = configured(with_book(tmp_path))
    run, ended_at = await trade(settings)
    assert run.status is RunStatus.COMPLETED
    assert run.started_at == START
    assert START + timedelta(seconds=40) < ended_at <= START + timedelta(seconds=61)
    shortfall = run.result["shortfall"]
    assert Decimal(shortfall["fee_bps"]) == pytest.approx(Decimal(5), abs=Decimal("0.01"))
    # 4 BTC in six slices where 2 rest on each tick: hardly more than the half spread of 0.02 bps
    assert Decimal("0.01") < Decimal(shortfall["spread_bps"]) + Decimal(shortfall["impact_bps"]) < Decimal("0.2")
    # the second run finds the account where the first one left it, in the recording's time
    again, _ = await trade(settings)
    assert again.status is RunStatus.NOTHING_DUE
    assert again.started_at >= ended_at


async def test_a_fund_is_brought_to_its_target_on_bars(tmp_path: Path) -> None:
    as_parquet(tmp_path / "bars.parquet", [bar(minute, volume=4000.0) for minute in range(60)])
    run, _ = await trade(configured(tmp_path, '{ path = "bars.parquet" }'))
    assert run.status is RunStatus.COMPLETED
    assert Decimal(run.result["shortfall"]["spread_bps"]) == pytest.approx(Decimal("0.5"), abs=Decimal("0.1"))
    assert Decimal(run.result["leverage_after"]) == pytest.approx(Decimal(2), abs=Decimal("0.01"))


async def test_a_thin_bar_is_not_a_free_fill(tmp_path: Path) -> None:
    as_csv(tmp_path / "bars.csv", [bar(minute, volume=10.0) for minute in range(60)])
    run, _ = await trade(configured(tmp_path, '{ path = "bars.csv" }'))
    assert run.status is RunStatus.INCOMPLETE
    [leg] = run.result["legs"]
    assert Decimal(0) < Decimal(leg["traded"]) <= Decimal("0.25") * 2  # a fortieth of the two bars that it touched


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("start = 2025-03-01T00:04:30Z", "30 s are left of the recording, from the account's 2025-03-01 00:04:30 UTC on"),
        ('end = "2025-03-01T00:00:59Z"', "59 s are left of the recording"),
    ],
)
async def test_a_horizon_longer_than_what_is_left_is_refused(tmp_path: Path, more: str, words: str) -> None:
    settings = configured(with_book(tmp_path), more=more)
    with pytest.raises(ConfigError) as refused:
        await trade(settings)
    [problem] = refused.value.problems
    assert (problem.key, problem.value) == ("funds.btc.execution.horizon", "1m")
    assert words in problem.remedy


async def test_a_horizon_of_just_what_is_left_is_played(tmp_path: Path) -> None:
    run, _ = await trade(configured(with_book(tmp_path), more="start = 2025-03-01T00:04:00Z"))
    assert run.status is RunStatus.COMPLETED


async def test_an_account_that_played_to_the_end_says_so(tmp_path: Path) -> None:
    settings = configured(with_book(tmp_path), more="start = 2025-03-01T00:03:50Z")
    await trade(settings)
    with pytest.raises(ConfigError, match=r"2\d s are left of the recording") as refused:
        await trade(settings)
    [problem] = refused.value.problems
    assert "move the account's file (paper-sim.json) away; and use a journal of its own" in problem.remedy


async def test_a_bad_recording_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    settings = configured(with_book(tmp_path, [*BOOK[:78], (1_000, -1, 1, 1.0)]))
    with pytest.raises(ConfigError) as refused:
        await trade(settings)
    [problem] = refused.value.problems
    assert problem.source == f"{tmp_path / 'keeper.toml'}:8"
    assert problem.key == 'venues.sim.feed.files."BTC/USDT:USDT"'
    assert problem.value == str(tmp_path / "l2" / "btc_deltas.csv")
    assert problem.remedy.startswith("line 80: the book is crossed")


async def test_recordings_that_share_no_time_are_a_problem_of_the_configuration(tmp_path: Path) -> None:
    as_csv(tmp_path / "late.csv", [bar(minute) for minute in range(60, 70)])
    more = f'files."{ETH}" = {{ path = "late.csv" }}'
    with pytest.raises(ConfigError, match="share no time"):
        await trade(configured(with_book(tmp_path), more=more))
