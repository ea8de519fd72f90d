"""The bells ring when they are told to, in real time and on a venue's clock: without the scheduler nothing wakes a daemon."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from keeper.bells import ClockBell, Tower
from keeper.ports import Bell, Clock
from keeper.system import SystemClock
from keeper.venues.paper.clock import AcceleratedClock
from tests.fakes.turns import turns

START = datetime(2025, 3, 1, tzinfo=UTC)
LONG = timedelta(hours=1)


async def rings_within(bell: Bell, seconds: float) -> bool:
    waiting = asyncio.ensure_future(bell.wait())
    done, _ = await asyncio.wait({waiting}, timeout=seconds)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return bool(done)


async def test_a_bell_of_the_tower_rings_at_its_time_and_once() -> None:
    clock: Clock = SystemClock()
    async with Tower(clock, heartbeat=LONG) as tower:
        bell, other = tower.bell("one"), tower.bell("other")
        at = clock.now() + timedelta(seconds=0.3)
        bell.ring_at(at)
        other.ring_at(clock.now() + LONG)
        assert await rings_within(bell, 5)
        assert timedelta(0) <= clock.now() - at < timedelta(seconds=1)
        assert not await rings_within(bell, 0.3)
        assert not await rings_within(other, 0.1)


async def test_a_later_time_takes_the_place_of_an_earlier_one() -> None:
    clock = SystemClock()
    async with Tower(clock, heartbeat=LONG) as tower:
        bell = tower.bell("one")
        bell.ring_at(clock.now() + timedelta(seconds=0.2))
        bell.ring_at(clock.now() + LONG)
        assert not await rings_within(bell, 0.6)


async def test_a_time_that_is_past_rings_at_once_however_long_ago_it_was() -> None:
    clock = SystemClock()
    async with Tower(clock, heartbeat=LONG) as tower:
        bell = tower.bell("one")
        bell.ring_at(clock.now() - timedelta(days=3))
        assert await rings_within(bell, 5)


async def test_every_bell_beats() -> None:
    async with Tower(SystemClock(), heartbeat=timedelta(seconds=1)) as tower:
        bells = [tower.bell(name) for name in ("one", "other")]
        for _ in range(2):
            assert await rings_within(bells[0], 5)
            assert await rings_within(bells[1], 5)


class Shifted(SystemClock):
    """Real time that is set back for whoever asks here."""

    shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift


async def test_the_beat_goes_on_after_the_clock_was_set_back() -> None:
    clock = Shifted()
    clock.shift = timedelta(hours=-1)
    # the scheduler's own clock is an hour ahead, as it was when its next beat was set
    async with Tower(clock, heartbeat=timedelta(seconds=1)) as tower:
        bell = tower.bell("one")
        bell.ring_at(clock.now() + timedelta(days=1))
        beats = tower._beats
        assert beats is not None
        assert beats.next_run_time <= clock.now() + timedelta(seconds=1)


async def test_a_ring_before_the_wait_is_not_lost() -> None:
    clock = AcceleratedClock(START, None)
    async with Tower(SystemClock(), heartbeat=LONG) as tower:
        for bell in (tower.bell("one"), ClockBell(clock, heartbeat=LONG)):
            bell.ring()
            assert await rings_within(bell, 1)
    assert clock.now() == START


@pytest.mark.parametrize(("minutes", "wakes"), [(10, [10, 70]), (90, [60, 90])])
async def test_a_bell_on_a_venues_clock_rings_at_its_time_and_beats(minutes: int, wakes: list[int]) -> None:
    clock = AcceleratedClock(START, None)
    bell = ClockBell(clock, heartbeat=LONG)
    bell.ring_at(START + timedelta(minutes=minutes))
    for wake in wakes:
        await bell.wait()
        assert clock.now() == START + timedelta(minutes=wake)


async def test_a_bell_that_is_no_longer_waited_for_leaves_nothing_behind() -> None:
    clock = AcceleratedClock(START, None)
    waiting = asyncio.create_task(ClockBell(clock, heartbeat=LONG).wait())
    await turns(2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await turns(3)
    assert clock.now() == START
