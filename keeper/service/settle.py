"""Waits until an account stands still: two reads in a row that agree, more than the venue's read lag apart."""

from datetime import timedelta

from keeper.domain.errors import StaleData
from keeper.domain.observation import Observation, holdings
from keeper.ports import Clock
from keeper.service.observer import Observer

MAX_READS = 12


async def settle(observer: Observer, clock: Clock, read_lag: timedelta) -> Observation:
    """The first observation whose holdings equal those of the read before it. StaleData when none does in MAX_READS."""
    before = holdings(await observer.observe())
    for _ in range(MAX_READS):
        await clock.sleep_until(clock.now() + read_lag)
        observation = await observer.observe()
        if (held := holdings(observation)) == before:
            return observation
        before = held
    message = f"the account did not stand still over {MAX_READS} reads: something else is trading on it"
    raise StaleData(message)
