"""A pool that fills up evenly beside a budget of windows: never overdrawn, as fast as it fills, and in nobody else's way."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import VenueUnavailable
from keeper.simulation.clock import VirtualClock
from keeper.venues.budgets import Priority
from keeper.venues.parsing import milliseconds
from keeper.venues.rates import KRAKEN_FUTURES
from keeper.venues.tallies import Pool
from keeper.venues.throttle import Cost, Throttle
from tests.fakes.token_pool import TokenPool
from tests.fakes.weighing_server import START, a_world, virtually

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PAST, LATER = Cost(weight=Decimal(1), past=True), START + timedelta(days=1)


@dataclass(frozen=True)
class Asked:
    """One request about the past. Milliseconds: at: after the start; there, back: how long it is on its way."""

    at: int
    weight: int
    priority: Priority
    there: int
    back: int


asked = st.builds(
    Asked,
    at=st.integers(0, 900_000),
    weight=st.integers(1, 40),
    priority=st.sampled_from([Priority.LOOKUP, Priority.READ]),
    there=st.integers(0, 3_000),
    back=st.integers(0, 3_000),
)


@given(requests=st.lists(asked, max_size=40))
def test_a_pool_is_never_asked_for_more_than_is_in_it(requests: list[Asked]) -> None:
    loop, clock = a_world()
    throttle, pool = Throttle(KRAKEN_FUTURES, clock), TokenPool(capacity=Decimal(100), span=600_000)

    async def send(one: Asked) -> None:
        await clock.sleep_until(START + one.at * timedelta(milliseconds=1))
        cost = Cost(weight=Decimal(one.weight), past=True)
        async with throttle.turn(one.priority, cost, by=LATER, account="a"):
            await clock.sleep_until(clock.now() + one.there * timedelta(milliseconds=1))
            pool.take(cost.weight, milliseconds(clock.now()))
            await clock.sleep_until(clock.now() + one.back * timedelta(milliseconds=1))

    async def everything() -> None:
        await asyncio.gather(*(send(one) for one in requests))

    virtually(everything(), loop)
    assert pool.refused == 0
    assert pool.spent == sum(one.weight for one in requests)


async def _one(throttle: Throttle, clock: VirtualClock, cost: Cost, priority: Priority = Priority.LOOKUP) -> float:
    """After how many seconds its turn came."""
    async with throttle.turn(priority, cost, by=LATER, account="a"):
        return (clock.now() - START).total_seconds()


def test_a_pool_that_was_emptied_gives_one_each_time_one_has_flown_back() -> None:
    loop, clock = a_world()
    throttle = Throttle(KRAKEN_FUTURES, clock)

    async def everything() -> list[float]:
        return sorted(await asyncio.gather(*(_one(throttle, clock, PAST) for _ in range(94))))

    went = virtually(everything(), loop)
    assert went[:90] == [0.0] * 90  # what is left is kept for those that are more urgent
    assert went[90:] == pytest.approx([6.0, 12.0, 18.0, 24.0], abs=0.001)


def test_whoever_waits_for_the_pool_is_in_no_order_s_way_and_the_other_way_round() -> None:
    loop, clock = a_world()
    throttle = Throttle(KRAKEN_FUTURES, clock)
    order = Cost(weight=Decimal(10), orders=1)

    async def everything() -> tuple[float, float]:
        await asyncio.gather(*(_one(throttle, clock, PAST) for _ in range(90)))
        waits = asyncio.ensure_future(_one(throttle, clock, PAST))
        await clock.sleep_until(START + SECOND)
        placed = await _one(throttle, clock, order, Priority.ORDER)
        late = await waits
        await asyncio.gather(*(_one(throttle, clock, order, Priority.ORDER) for _ in range(46)))
        return placed, late

    placed, late = virtually(everything(), loop)
    assert placed == 1.0
    assert late == pytest.approx(6.0, abs=0.001)


def test_whoever_can_t_be_served_in_time_is_refused_at_once() -> None:
    loop, clock = a_world()
    throttle = Throttle(KRAKEN_FUTURES, clock)

    async def everything() -> None:
        await asyncio.gather(*(_one(throttle, clock, PAST) for _ in range(90)))
        with pytest.raises(VenueUnavailable, match="can't come"):
            async with throttle.turn(Priority.LOOKUP, PAST, by=START + 5 * SECOND, account="a"):
                pass
        assert clock.now() == START
        async with throttle.turn(Priority.LOOKUP, PAST, by=START + 5 * SECOND, account="b"):
            pass  # another account has a pool of its own

    virtually(everything(), loop)


def test_a_clock_that_was_set_back_empties_no_pool_for_longer_than_it_takes_to_fill() -> None:
    pool = Pool(Decimal(100), 10 * MINUTE)
    pool.add(Decimal(50), START)
    assert pool.spent(START) == 50
    assert pool.spent(START - timedelta(hours=1)) == 100
    assert pool.opens(Decimal(99), Decimal(0), START - timedelta(hours=1)) == START - timedelta(hours=1) + 6 * SECOND
    assert pool.spent(START - timedelta(hours=1) + 10 * MINUTE) == 0
