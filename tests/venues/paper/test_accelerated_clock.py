import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from keeper.venues.paper.clock import AcceleratedClock
from tests.fakes.turns import turns

START = datetime(2025, 3, 1, tzinfo=UTC)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


async def sleeper(clock: AcceleratedClock, after: float, woken: list[tuple[float, float]]) -> None:
    await clock.sleep_until(START + seconds(after))
    woken.append((after, (clock.now() - START).total_seconds()))


async def test_without_a_speed_time_stands_still_until_somebody_sleeps() -> None:
    clock = AcceleratedClock(START, None)
    await turns(100)
    assert clock.now() == START
    await clock.sleep_until(START + seconds(7200))
    assert clock.now() == START + seconds(7200)


async def test_a_time_that_is_past_is_not_waited_for() -> None:
    clock = AcceleratedClock(START, None)
    await clock.sleep_until(START - seconds(1))
    assert clock.now() == START


@pytest.mark.parametrize("speed", [None, 2000.0])
async def test_sleepers_wake_in_the_order_of_their_times_and_not_before(speed: float | None) -> None:
    clock = AcceleratedClock(START, speed)
    woken: list[tuple[float, float]] = []
    await asyncio.gather(*(sleeper(clock, after, woken) for after in (40.0, 10.0, 30.0, 10.5, 20.0, 10.0)))
    assert [after for after, _ in woken] == [10.0, 10.0, 10.5, 20.0, 30.0, 40.0]
    assert all(now >= after for after, now in woken)


async def test_a_jump_does_not_pass_a_sleeper_that_works_between_its_sleeps() -> None:
    clock = AcceleratedClock(START, None)
    woken: list[tuple[float, float]] = []

    async def steps() -> None:
        for count in range(1, 10):
            await asyncio.gather(*(turns() for _ in range(3)))
            await sleeper(clock, float(count), woken)

    await asyncio.gather(steps(), sleeper(clock, 5.5, woken), sleeper(clock, 100.0, woken))
    assert woken == [(at, at) for at in (1.0, 2.0, 3.0, 4.0, 5.0, 5.5, 6.0, 7.0, 8.0, 9.0, 100.0)]


async def test_whoever_goes_to_sleep_while_time_is_on_its_way_does_not_wait_for_a_later_sleeper() -> None:
    clock = AcceleratedClock(START, 4.0)
    late = asyncio.create_task(clock.sleep_until(START + seconds(3600)))
    await asyncio.sleep(0.05)  # noqa: TID251 - real time: a command comes from outside
    await asyncio.wait_for(clock.sleep_until(START + seconds(0.04)), 60)
    assert clock.now() == START + seconds(0.04)
    assert not late.done()
    late.cancel()


async def test_a_cancelled_sleeper_does_not_move_time() -> None:
    clock = AcceleratedClock(START, None)
    gone = asyncio.create_task(clock.sleep_until(START + seconds(50)))
    await turns()
    gone.cancel()
    await clock.sleep_until(START + seconds(100))
    assert gone.cancelled()
    alone = asyncio.create_task(clock.sleep_until(START + seconds(500)))
    await turns()
    alone.cancel()
    await turns(40)
    assert clock.now() == START + seconds(100)


async def test_six_hours_of_sleeping_are_over_at_once() -> None:
    clock = AcceleratedClock(START, None)
    for minute in range(1, 361):
        await clock.sleep_until(START + timedelta(minutes=minute))
    assert clock.now() == START + timedelta(hours=6)


async def test_with_a_speed_a_sleep_takes_that_much_less_real_time() -> None:
    clock = AcceleratedClock(START, 100.0)
    began = time.monotonic()
    await clock.sleep_until(START + seconds(5))
    assert time.monotonic() - began + 1e-3 >= 0.05
    assert clock.now() == START + seconds(5)


async def test_work_between_sleeps_takes_no_venue_time_at_any_speed() -> None:
    clock = AcceleratedClock(START, 1_000_000.0)
    await clock.sleep_until(START + seconds(1))
    await asyncio.to_thread(time.sleep, 0.01)
    assert clock.now() == START + seconds(1)


async def test_a_clock_moves_forward_to_a_time_and_never_back() -> None:
    for speed in (None, 50.0):
        clock = AcceleratedClock(START, speed)
        clock.forward_to(START + seconds(1000))
        assert clock.now() >= START + seconds(1000)
        clock.forward_to(START)
        assert clock.now() >= START + seconds(1000)


def test_a_clock_can_be_used_by_one_event_loop_after_another() -> None:
    clock = AcceleratedClock(START, None)
    for hour in (1, 2):
        asyncio.run(clock.sleep_until(START + timedelta(hours=hour)))
        assert clock.now() == START + timedelta(hours=hour)


def test_time_is_utc_whatever_zone_it_starts_in() -> None:
    clock = AcceleratedClock(datetime(2025, 3, 1, 2, tzinfo=timezone(timedelta(hours=2))), None)
    assert clock.now() == START
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_speed_is_refused_in_words(speed: float) -> None:
    with pytest.raises(ValueError, match="virtual seconds per real second"):
        AcceleratedClock(START, speed)


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no zone"):
        AcceleratedClock(START.replace(tzinfo=None), None)
