"""Public data that several funds ask for at about the same time is read once for all of them.

An answer serves only those whose question came no more than a moment after its request was sent: nothing read before a
bell may decide a size after it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar, cast

from keeper.ports import Clock

T = TypeVar("T")
FRESH = timedelta(milliseconds=250)
Ask = Callable[[Callable[[], None]], Awaitable[T]]


@dataclass(slots=True, eq=False)
class _Reading(Generic[T]):
    """One read. sent: when its request left, None while it waits for its turn; readers: how many wait for it."""

    task: "asyncio.Task[T] | None" = None
    sent: datetime | None = None
    readers: int = 0


class Shared:
    """Reads of public data at one address. fresh: how long after a request was sent its answer may serve a new question."""

    def __init__(self, clock: Clock, fresh: timedelta = FRESH) -> None:
        self._clock = clock
        self._fresh = fresh
        self._readings: dict[Hashable, _Reading[object]] = {}

    async def read(self, key: Hashable, ask: Ask[T]) -> T:
        """The answer of ``ask``, or of another's that asks the same under ``key``; its failure as well, if that was under way.

        ask: is given what it calls right before it sends, each time when it sends again; until then anybody may join. It is
        canceled only when nobody waits for it any more.
        """
        reading = self._readings.get(key)
        if reading is None or not self._serves(reading):
            reading = self._begin(key, ask)
        task = cast("asyncio.Task[T]", reading.task)
        reading.readers += 1
        try:
            return await asyncio.shield(task)
        finally:
            reading.readers -= 1
            if reading.readers == 0 and not task.done():
                self._forget(key, reading)
                task.cancel()

    def _serves(self, reading: _Reading[object]) -> bool:
        return reading.sent is None or timedelta(0) <= self._clock.now() - reading.sent <= self._fresh

    def _begin(self, key: Hashable, ask: Ask[T]) -> _Reading[object]:
        for other, old in list(self._readings.items()):
            if not self._serves(old):
                self._forget(other, old)
        reading: _Reading[object] = _Reading()

        def sends() -> None:
            reading.sent = self._clock.now()

        async def run() -> object:
            try:
                answer = await ask(sends)
            except BaseException:
                self._forget(key, reading)
                raise
            if reading.sent is None:
                self._forget(key, reading)
            return answer

        reading.task = asyncio.ensure_future(run())
        reading.task.add_done_callback(_heard)
        self._readings[key] = reading
        return reading

    def _forget(self, key: Hashable, reading: _Reading[object]) -> None:
        if self._readings.get(key) is reading:
            del self._readings[key]


def _heard(task: "asyncio.Task[object]") -> None:
    """A failure that came when the last reader had just gone is nobody's."""
    if not task.cancelled():
        task.exception()
