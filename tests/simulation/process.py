"""One process of Keeper in a simulated world: what it reaches of the world, and how it is killed, paused and made to wait.

Whatever a process does to the world goes through a Reach. Once the process is dead every Reach raises, so that nothing of it,
no handler and no ``finally``, has any effect any more: that is what kill -9 leaves.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any, Self

from keeper.domain.errors import JournalError
from keeper.service.daemon import Daemon
from keeper.simulation.clock import TURN, VirtualClock, VirtualLoop, VirtualTask, turn
from tests.simulation.trace import Trace

POLL = timedelta(seconds=3607)
"""How often the daemon looks for commands by itself; the world nudges it when there is one."""
OWNER: ContextVar["Process | None"] = ContextVar("owner", default=None)


class Died(BaseException):
    """The process is dead: nothing of it does anything any more."""


class Process:
    """number: of the process in its world; crash_at: the point, counted from 1, at which it is killed (0: none)."""

    def __init__(self, number: int, loop: VirtualLoop, start: datetime, trace: Trace) -> None:
        self.name = f"daemon {number}"
        self.loop = loop
        self.alive = True
        self.clock = VirtualClock(loop, start)
        self.crash_at = 0
        self.points = 0
        self.point_times: list[datetime] = []
        self.killed = False
        self.daemon: Daemon | None = None
        self.nap_until: datetime | None = None
        self.trace = trace
        self.still: list[tuple[int, int]] = []
        """When it stood still, from and to: microseconds of the loop."""
        self.born = loop.microseconds
        self.died: int | None = None
        self._resumed: asyncio.Future[None] | None = None

    def kill(self, where: str) -> None:
        """End it as kill -9 would, wherever each of its tasks stands."""
        if not self.alive:
            return
        self.alive, self.killed, self.died = False, True, self.loop.microseconds
        self.trace.add(self.name, "killed", where)
        for task in sorted(self._tasks(), key=lambda task: task.number):
            task.cancel()

    def pause(self, seconds: float) -> None:
        """Stop it for a while, as a signal or a busy machine would."""
        if self._resumed is None and self.alive:
            self.trace.add(self.name, "paused", f"{seconds:.1f} s")
            self._resumed = self.loop.create_future()
            self.still.append((self.loop.microseconds, self.loop.microseconds + round(seconds * 1e6)))
            self.loop.call_later(seconds, self._resume)

    @property
    def is_paused(self) -> bool:
        """Whether it was stopped and has not gone on yet."""
        return self._resumed is not None

    def acted(self, since: int) -> int:
        """For how many microseconds, from ``since`` until now, it could do something."""
        began, ended = max(since, self.born), self.loop.microseconds if self.died is None else self.died
        paused = (max(0, min(to, ended) - max(since, start)) for start, to in self.still)
        return max(0, ended - began - sum(paused))

    def nudge(self) -> None:
        """Have it look for commands now, not only when its long nap is over."""
        if self.nap_until is not None:
            self.clock.rouse(self.nap_until)

    def _resume(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.done():
            resumed.set_result(None)

    def _tasks(self) -> list[VirtualTask[Any]]:
        tasks = [task for task in asyncio.all_tasks(self.loop) if isinstance(task, VirtualTask)]
        return [task for task in tasks if task.context.get(OWNER) is self]

    async def point(self, what: str, when: str) -> None:
        """A place at which it may be killed, or has been stopped."""
        self.passes(what, when)
        if self.is_paused:
            await self.going_on()

    def passes(self, what: str, when: str) -> None:
        """The first half of ``point``, to be followed by ``going_on`` where it ``is_paused``."""
        if not self.alive:
            raise Died
        self.points += 1
        self.point_times.append(self.clock.now())
        if self.points == self.crash_at:
            self.kill(f"at {what} ({when}), point {self.points}")
            raise Died

    async def going_on(self) -> None:
        """Return once it was let go on."""
        while self._resumed is not None:
            await asyncio.shield(self._resumed)
            if not self.alive:
                raise Died

    async def gone(self) -> None:
        """Return when none of its tasks is left."""
        for _ in range(1000):
            if not (left := self._tasks()):
                return
            for task in left:
                task.cancel()
            await turn()
        raise AssertionError(f"{self.name} won't die: {left}")


class Reach:
    """What a process reaches of ``inner``: every call of a coroutine passes a point before and after.

    what: names it in the trace; waits: whether a call takes a turn of the loop by itself; before: seconds that a call of this
    name takes before it is made, below zero where it fails instead.
    """

    def __init__(
        self, process: Process, inner: Any, what: str, *, waits: bool, before: Callable[[str], float] = lambda _name: 0.0
    ) -> None:
        self._before = before
        self._process = process
        self._inner = inner
        self._what = what
        self._waits = waits

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not iscoroutinefunction(found):
            return found
        process, where, waits = self._process, f"{self._what}.{name}", self._waits

        async def call(*args: Any, **kwargs: Any) -> Any:
            process.passes(where, "before")
            if process.is_paused:
                await process.going_on()
            if not waits:
                await TURN
                process.passes(where, "at it")
                if process.is_paused:
                    await process.going_on()
                if delay := self._before(name):
                    await self._hindered(where, delay)
            result = await found(*args, **kwargs)
            if not waits:
                await TURN
            process.passes(where, "after")
            if process.is_paused:
                await process.going_on()
            return result

        self.__dict__[name] = call
        return call

    async def _hindered(self, where: str, delay: float) -> None:
        process = self._process
        if delay < 0:
            process.trace.add(process.name, "disk full", where)
            raise JournalError(f"{where}: the disk is full")
        process.trace.add(process.name, "slow disk", f"{where} takes {delay:.1f} s")
        passed = process.loop.create_future()
        process.loop.call_later(delay, settle, passed, None)
        await passed
        await process.point(where, "after a slow disk")

    async def __aenter__(self) -> Self:
        await self._process.point(self._what, "connecting")
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._process.point(self._what, "disconnecting")
        await self._inner.__aexit__(*error)


class ProcessClock:
    """The process's clock as a ports.Clock: who wakes in a stopped process wakes when it goes on."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> datetime:
        return self._process.clock.now()

    async def sleep_until(self, at: datetime) -> None:
        process = self._process
        await process.point("sleep", "before")
        if at - self.now() == POLL:
            process.nap_until = at
        await process.clock.sleep_until(at)
        await self._process.point("sleep", "after")


def settle(future: "asyncio.Future[Any]", result: Any) -> None:
    """Give ``future`` its result, unless whoever waited has gone."""
    if not future.done():
        future.set_result(result)


def seconds(value: float) -> timedelta:
    return timedelta(microseconds=round(value * 1e6))
