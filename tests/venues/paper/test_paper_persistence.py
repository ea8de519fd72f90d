import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.errors import VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.order import Accepted, Unknown
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.feeds.synthetic import SyntheticFeed
from keeper.venues.paper.clock import AcceleratedClock
from keeper.venues.paper.ledger import Ledger
from keeper.venues.paper.persistence import PaperStore
from keeper.venues.paper.venue import PaperVenue
from tests.fakes.paper import PERP, START, fixed_feed, opening, order, paper_venue

Damage = Callable[[str], str]
INVERSE = "BTC/USD:BTC"


def fixed(path: Path | None, config: str = "one") -> PaperVenue:
    feed = fixed_feed({PERP: "1000", INVERSE: "999"}, specs={PERP: MarketSpec(taker_bps=Decimal(3))}, spread_bps="3")
    return paper_venue(feed, opening({"USDT": "1000", "BTC": "1"}), store=PaperStore(path, config))


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


async def test_the_account_and_its_orders_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sim.json"
    async with fixed(path) as venue:
        await venue.clock.sleep_until(START + timedelta(hours=3))
        first = await venue.place(order("a", Side.BUY, "2", "1001"))
        await venue.place(order("b", Side.BUY, "700", "1000", symbol=INVERSE))
        await venue.place(order("c", Side.BUY, "77", "1000", symbol=INVERSE))
        kept = await venue.account()
        assert isinstance(first, Accepted)
        fills = await venue.fills(PERP, first.report.order_id)
    async with fixed(path) as venue:
        assert await venue.account() == kept
        assert venue.clock.now() == START + timedelta(hours=3)
        assert await venue.lookup(PERP, "a") == first.report
        assert await venue.fills(PERP, first.report.order_id) == fills
        again = await venue.place(order("a", Side.BUY, "2", "1001"))
        assert isinstance(again, Unknown)
        fresh = await venue.place(order("d", Side.SELL, "1", "999"))
        assert isinstance(fresh, Accepted)
        assert fresh.report.order_id == "4-d"


async def test_another_configuration_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    async with fixed(path) as venue:
        await venue.place(order("a", Side.BUY, "2", "1001"))
    async with fixed(path, "two") as venue:
        account = await venue.account()
        assert account.positions == {}
        assert await venue.lookup(PERP, "a") is None
    async with fixed(path) as venue:  # and reading did not overwrite it
        assert await venue.lookup(PERP, "a") is not None


async def test_whoever_only_reads_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    async with fixed(path) as venue:
        await venue.quote(PERP)
        await venue.account()
        await venue.place(order("a", Side.BUY, "0", "1001"))
    assert names_in(tmp_path) == []


async def test_only_the_owner_may_read_the_file_and_no_scrap_is_left(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    (tmp_path / "sim.json.new").write_text("left by a kill")
    (tmp_path / "sim.json.new").chmod(0o666)
    async with fixed(path) as venue:
        await venue.place(order("a", Side.BUY, "2", "1001"))
    assert names_in(tmp_path) == ["sim.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_without_a_path_the_truth_lives_as_long_as_its_store() -> None:
    store = PaperStore(None, "")
    for expected in (0, 1):
        feed = fixed_feed({PERP: "1000"})
        async with paper_venue(feed, opening({"USDT": "1000"}), store=store) as venue:
            assert len((await venue.account()).positions) == expected
            await venue.place(order(f"o{expected}", Side.BUY, "1", "1000"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[]",
        lambda _: "\x00" * 100,
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"contracts": "2"', '"contracts": "NaN"'),
        lambda text: text.replace('"contracts": "2"', '"contracts": "two"'),
        lambda text: text.replace('"contracts": "2"', '"contracts": 2'),
        lambda text: text.replace('"positions"', '"positionz"'),
        lambda text: text.replace('"filled"', '"state"', 1),
        lambda text: text.replace("+00:00", ""),
    ],
)
async def test_a_damaged_file_is_named_with_its_remedy_and_left_alone(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "sim.json"
    async with fixed(path) as venue:
        await venue.place(order("a", Side.BUY, "2", "1001"))
    whole = path.read_text()
    damaged = damage(whole)
    assert damaged != whole
    path.write_text(damaged)
    with pytest.raises(VenueUnavailable, match=r"sim\.json.*move it away"):
        async with fixed(path):
            pass
    assert path.read_text() == damaged


async def test_bytes_that_are_no_text_are_damage_too(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    path.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(VenueUnavailable, match="move it away"):
        PaperStore(path, "").load()


async def test_an_order_that_cant_be_kept_is_not_taken_and_its_outcome_is_unknown(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with fixed(folder / "sim.json") as venue:
        folder.write_text("in the way")
        outcome = await venue.place(order("a", Side.BUY, "2", "1001"))
        assert isinstance(outcome, Unknown)
        assert await venue.lookup(PERP, "a") is None
        assert (await venue.account()).positions == {}
        folder.unlink()
        assert isinstance(await venue.place(order("a", Side.BUY, "2", "1001")), Accepted)


async def test_a_generated_market_goes_on_from_the_price_that_was_kept(tmp_path: Path) -> None:
    async def opened(start: timedelta) -> tuple[PaperVenue, AcceleratedClock]:
        clock = AcceleratedClock(START + start, None)
        feed = SyntheticFeed({PERP: Decimal(50_000)}, clock=clock, start=clock.now(), seed=5)
        return paper_venue(feed, opening({"USDT": "1000000"}), store=PaperStore(tmp_path / "sim.json", "")), clock

    venue, clock = await opened(timedelta(0))
    async with venue:
        await clock.sleep_until(START + timedelta(hours=30))
        await venue.place(order("a", Side.BUY, "1", "60000"))
        last = (await venue.quote(PERP)).mark
    assert last != 50_000
    for later, expected in ((timedelta(hours=1), timedelta(hours=30)), (timedelta(hours=40), timedelta(hours=40))):
        venue, clock = await opened(later)
        async with venue:
            assert clock.now() == START + expected
            assert (await venue.quote(PERP)).mark == last
            await clock.sleep_until(clock.now() + timedelta(minutes=10))
            assert (await venue.quote(PERP)).mark != last


async def test_prices_move_on_after_the_last_order_and_are_kept_at_the_end(tmp_path: Path) -> None:
    store = PaperStore(tmp_path / "sim.json", "")
    clock = AcceleratedClock(START, None)
    feed = SyntheticFeed({PERP: Decimal(50_000)}, clock=clock, start=START, seed=5)
    async with paper_venue(feed, opening({"USDT": "1000000"}), store=store) as venue:
        await venue.place(order("a", Side.BUY, "1", "60000"))
        await clock.sleep_until(START + timedelta(hours=1))
        last = (await venue.quote(PERP)).mark
    kept = store.load()
    assert kept is not None
    assert (kept.prices[PERP], kept.at) == (last, START + timedelta(hours=1))


KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
from keeper.venues.paper.persistence import PaperStore
store = PaperStore(Path(sys.argv[1]), "one")
ledger = store.load()
print("ready", flush=True)
while True:
    count = ledger.prices["x"] + 1
    ledger = replace(ledger, prices={"x": count}, account=replace(ledger.account, balances={"y": count}))
    store.save(ledger)
"""


async def test_time_that_a_feed_makes_stands_still_while_an_account_is_kept(tmp_path: Path) -> None:
    class Slow(PaperStore):
        def save(self, ledger: Ledger) -> None:
            time.sleep(0.2)  # long enough for the loop to move its clock, were it free
            super().save(ledger)

    clock = AcceleratedClock(START, None)
    feed = SyntheticFeed({PERP: Decimal(50_000)}, clock=clock, start=START)
    async with paper_venue(feed, opening({"USDT": "100000"}), store=Slow(tmp_path / "paper.json", "one")) as venue:
        sleeper = asyncio.create_task(clock.sleep_until(START + timedelta(hours=1)))
        assert isinstance(await venue.place(order("c1", Side.BUY, "1", "60000")), Accepted)
        assert clock.now() == START
        await sleeper
    assert (tmp_path / "paper.json").exists()


async def test_a_kill_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    store = PaperStore(path, "one")
    start = Ledger(account=opening({"y": "0"}), at=START, prices={"x": Decimal(0)})
    store.save(start)
    for pause in (0.0, 0.003, 0.011):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as child:  # noqa: ASYNC220, S603 - our own
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            await AcceleratedClock(START, 1.0).sleep_until(START + timedelta(seconds=pause))
            os.kill(child.pid, signal.SIGKILL)
        kept = store.load()
        assert kept is not None
        assert kept.account.balances["y"] == kept.prices["x"]
    store.save(replace(start, prices={"x": Decimal(7)}))
    assert json.loads(path.read_text())["prices"] == {"x": "7"}


async def test_two_orders_at_once_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    async with fixed(path) as venue:
        await asyncio.gather(*(venue.place(order(f"o{number}", Side.BUY, "1", "1001")) for number in range(5)))
    kept = PaperStore(path, "one").load()
    assert kept is not None
    assert sorted(kept.orders) == ["o0", "o1", "o2", "o3", "o4"]
    assert kept.account.positions[PERP].contracts == Decimal(5)
