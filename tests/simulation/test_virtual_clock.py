"""Virtual time: nothing waits for real, everything is repeatable, and what can't be simulated is refused."""

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from keeper.simulation.clock import Deadlock, VirtualClock, VirtualLoop

T = TypeVar("T")
START = datetime(2025, 3, 1, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


def run(loop: VirtualLoop, work: Coroutine[Any, Any, T]) -> T:
    return loop.run_until_complete(work)


def test_a_year_of_sleep_takes_no_time(loop: VirtualLoop) -> None:
    clock, began = VirtualClock(loop, START), time.monotonic()
    run(loop, clock.sleep_until(START + 365 * 24 * HOUR))
    assert clock.now() == START + 365 * 24 * HOUR
    assert loop.time() == 365 * 86400.0
    assert time.monotonic() - began < 5


def test_sleepers_wake_in_the_order_of_their_times_to_the_microsecond(loop: VirtualLoop) -> None:
    clock, woken = VirtualClock(loop, START), []

    async def sleeper(microseconds: int) -> None:
        await clock.sleep_until(START + timedelta(microseconds=microseconds))
        assert clock.now() == START + timedelta(microseconds=microseconds)
        woken.append(microseconds)

    async def everyone() -> None:
        await asyncio.gather(*(sleeper(number) for number in (3, 1_000_001, 1, 86_400_000_007, 2)))

    run(loop, everyone())
    assert woken == [1, 2, 3, 1_000_001, 86_400_000_007]


def orders(seed: int | None) -> list[int]:
    """The order in which ten tasks that are ready at once get their turns."""
    found: list[int] = []

    async def one(number: int) -> None:
        found.append(number)

    async def everyone() -> None:
        await asyncio.gather(*(one(number) for number in range(10)))

    loop = VirtualLoop(None if seed is None else random.Random(seed).shuffle)
    with contextlib.closing(loop):
        loop.run_until_complete(everyone())
    return found


def test_the_order_of_ready_tasks_comes_from_the_seed() -> None:
    assert orders(None) == list(range(10))
    assert orders(1) == orders(1) != orders(2)
    assert sorted(orders(3)) == list(range(10))


def test_sets_of_tasks_are_walked_in_the_same_order_every_time() -> None:
    async def names() -> list[str]:
        tasks = {asyncio.ensure_future(asyncio.sleep(number)) for number in range(50)}
        done, _ = await asyncio.wait(tasks)
        return [task.get_name() for task in done]

    found = set()
    for _ in range(5):
        clutter = [object() for _ in range(random.randrange(1000))]
        with contextlib.closing(VirtualLoop()) as loop:
            found.add(tuple(loop.run_until_complete(names())))
        assert clutter is not None
    assert len(found) == 1


def test_a_deadlock_names_what_every_task_waits_for(loop: VirtualLoop) -> None:
    async def inner() -> None:
        await asyncio.get_running_loop().create_future()

    async def stuck() -> None:
        await asyncio.gather(inner(), asyncio.Event().wait())

    task = loop.create_task(stuck(), name="the stuck one")
    with pytest.raises(Deadlock, match=r"the stuck one waits in .*stuck \(test_virtual_clock.py:\d+\)") as found:
        run(loop, asyncio.wait_for(task, None))
    assert "inner" in str(found.value)
    assert "Event.wait" in str(found.value)
    for left in asyncio.all_tasks(loop):
        left.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_threads_and_the_network_are_refused(loop: VirtualLoop) -> None:
    async def thread() -> None:
        await asyncio.to_thread(time.time)

    async def host() -> None:
        await asyncio.open_connection("localhost", 80)

    async def address() -> None:
        await asyncio.open_connection("127.0.0.1", 80)

    async def name() -> None:
        await asyncio.get_running_loop().getnameinfo(("127.0.0.1", 80))

    for work in (thread(), host(), address(), name()):
        with pytest.raises((RuntimeError, OSError, NotImplementedError)):
            run(loop, work)
    with pytest.raises(RuntimeError, match="other thread"):
        loop.call_soon_threadsafe(print)


def test_the_wall_is_set_forward_and_sleepers_notice_within_a_second(loop: VirtualLoop) -> None:
    clock = VirtualClock(loop, START)

    async def watched() -> tuple[float, datetime]:
        sleeping = asyncio.ensure_future(clock.sleep_until(START + HOUR))
        await clock.sleep_until(START + 10 * SECOND)
        clock.step(2 * HOUR)
        await sleeping
        return loop.time(), clock.now()

    assert run(loop, watched()) == (11.0, START + 2 * HOUR + 11 * SECOND)


def test_the_wall_is_set_forward_by_less_than_what_is_waited_for(loop: VirtualLoop) -> None:
    clock = VirtualClock(loop, START)

    async def watched() -> tuple[float, datetime]:
        sleeping = asyncio.ensure_future(clock.sleep_until(START + HOUR))
        await clock.sleep_until(START + 10 * SECOND)
        clock.step(HOUR / 2)
        await sleeping
        return loop.time(), clock.now()

    assert run(loop, watched()) == (1800.0, START + HOUR)


def test_who_waits_while_the_wall_is_set_back_waits_as_long_as_asked(loop: VirtualLoop) -> None:
    clock = VirtualClock(loop, START)

    async def watched() -> tuple[float, datetime]:
        sleeping = asyncio.ensure_future(clock.sleep_until(START + HOUR))
        await clock.sleep_until(START + 10 * SECOND)
        clock.step(-2 * HOUR)
        await sleeping
        return loop.time(), clock.now()

    assert run(loop, watched()) == (3600.0, START - HOUR)


def test_a_cancelled_sleeper_leaves_nothing_behind(loop: VirtualLoop) -> None:
    clock = VirtualClock(loop, START)

    async def cut() -> None:
        sleeping = asyncio.ensure_future(clock.sleep_until(START + HOUR))
        await clock.sleep_until(START + SECOND)
        sleeping.cancel()
        await asyncio.wait({sleeping})
        clock.step(3 * HOUR)

    run(loop, cut())
    assert loop.time() == 1.0
