"""Virtual time: an event loop on which waiting takes no time and every run of the same seed goes the same way.

Time stands still while anything is ready to run and then jumps to the next timer. Threads, sockets and name lookups are
refused, since nobody could say when they end.
"""

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
RESOLUTION = 1e-6
NOTICED = timedelta(seconds=1)
"""After how long a sleeper sees that the wall clock was set past the time that it waits for: it looks once a second."""
Shuffle = Callable[[list[asyncio.Handle]], None]


class Deadlock(Exception):
    """Everything waits and nothing will ever happen; the message says what each task waits for."""


class VirtualTask(asyncio.Task[T]):
    """A task whose hash is its number, so that sets of tasks are walked in the same order every time.

    context: what its coroutine runs in.
    """

    def __init__(
        self, number: int, coroutine: Coroutine[Any, Any, T], loop: "VirtualLoop", name: str | None, context: contextvars.Context
    ) -> None:
        self.number = number
        self.context = context
        super().__init__(coroutine, loop=loop, name=name or f"task {number}", context=context)

    def __hash__(self) -> int:
        return self.number


class VirtualFuture(asyncio.Future[T]):
    """A future whose hash is its number."""

    def __init__(self, number: int, loop: "VirtualLoop") -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop in virtual time that starts at 0.

    shuffle: puts what is ready at the same time in the order in which it is to run; None: first come, first served.
    Running raises Deadlock when nothing is ready and no timer is set.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, shuffle: Shuffle | None = None) -> None:
        super().__init__()
        self._clock_resolution = RESOLUTION
        self._shuffle = shuffle
        self._count = 0
        self.microseconds = 0

    def time(self) -> float:
        """Seconds since the loop was made, a whole number of microseconds."""
        return self.microseconds / 1_000_000

    def create_future(self) -> "VirtualFuture[Any]":
        """A future of this loop."""
        self._count += 1
        return VirtualFuture(self._count, self)

    def create_task(  # type: ignore[override] # typeshed names the types of its own task
        self, coroutine: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> VirtualTask[T]:
        """A task of this loop."""
        self._count += 1
        return VirtualTask(self._count, coroutine, self, name, context or contextvars.copy_context())

    def _run_once(self) -> None:
        timers = self._scheduled
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        if not self._ready:
            if not timers:
                raise Deadlock(waiting(self))
            self.microseconds = max(self.microseconds, _microseconds(timers[0]))
        while timers and _microseconds(timers[0]) <= self.microseconds:
            self._ready.append(heapq.heappop(timers))
        batch = list(self._ready)
        self._ready.clear()
        if self._shuffle is not None and len(batch) > 1:
            self._shuffle(batch)
        for handle in batch:
            if not handle.cancelled():
                handle._run()  # noqa: SLF001 - what an event loop is there for; asyncio has no public name for it

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers fall out of the heap when their time comes."""

    def _write_to_self(self) -> NoReturn:
        raise RuntimeError("virtual time knows no other thread")

    def run_in_executor(self, *_work: object) -> NoReturn:
        """Refused: a thread takes real time."""
        raise RuntimeError("virtual time can't wait for a thread")

    async def getaddrinfo(self, *_address: object, **_options: object) -> NoReturn:
        """Refused: a lookup takes real time."""
        raise RuntimeError("virtual time has no network")

    async def getnameinfo(self, *_address: object, **_options: object) -> NoReturn:
        """Refused: a lookup takes real time."""
        raise RuntimeError("virtual time has no network")

    def _make_socket_transport(self, *_parts: object, **_options: object) -> NoReturn:
        raise RuntimeError("virtual time has no network")


class VirtualClock:
    """A ports.Clock on a loop's virtual time whose wall can be set apart from it. start: aware UTC, when the loop is at 0."""

    def __init__(self, loop: VirtualLoop, start: datetime) -> None:
        self._loop = loop
        self._zero = start.astimezone(UTC)
        self._told = -1, self._zero
        self._sleepers: dict[VirtualFuture[None], tuple[datetime, asyncio.TimerHandle]] = {}

    def now(self) -> datetime:
        """The wall's time, aware UTC."""
        microseconds, told = self._told
        if microseconds != self._loop.microseconds:
            microseconds = self._loop.microseconds
            told = self._zero + timedelta(microseconds=microseconds)
            self._told = microseconds, told
        return told

    async def sleep_until(self, at: datetime) -> None:
        """Return once ``now()`` is ``at`` (aware) or later, or once as much time has passed as was asked for.

        Other tasks get a turn even when that is so already.
        """
        await turn()
        left = at - self.now()
        if not left > timedelta(0):
            return
        waiter = self._loop.create_future()
        self._sleepers[waiter] = at, self._loop.call_later(left.total_seconds(), _wake, waiter)
        try:
            await waiter
        finally:
            self._sleepers.pop(waiter)[1].cancel()

    def rouse(self, at: datetime) -> None:
        """Wake whoever sleeps until exactly ``at``, before the time."""
        for waiter, (until, _) in list(self._sleepers.items()):
            if until == at:
                _wake(waiter)

    def step(self, by: timedelta) -> None:
        """Set the wall forward, or back; who waits for a time that has come by then notices within a second."""
        self._zero += by
        self._told = -1, self._zero
        for waiter, (at, timer) in list(self._sleepers.items()):
            left = max(at - self.now(), NOTICED)
            if by > timedelta(0) and self._loop.time() + left.total_seconds() < timer.when():
                timer.cancel()
                self._sleepers[waiter] = at, self._loop.call_later(left.total_seconds(), _wake, waiter)


class _Turn:
    def __await__(self) -> Generator[None, None, None]:
        yield


TURN = _Turn()
"""To await it lets everything else that is ready run first; no time passes."""


async def turn() -> None:
    """Let everything else that is ready run first; no time passes."""
    await TURN


def waiting(loop: asyncio.AbstractEventLoop) -> str:
    """What each task of ``loop`` waits for, one a line."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: getattr(task, "number", 0))
    return "\n".join(f"{task.get_name()} waits in {_innermost(task)}" for task in tasks) or "there is no task"


def _innermost(task: asyncio.Task[Any]) -> str:
    """The chain of coroutines that a task is in, and the line where the last of them waits."""
    names, place = [], ""
    inner: Any = task.get_coro()
    while (frame := getattr(inner, "cr_frame", None)) is not None:
        names.append(inner.__qualname__)
        place = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
        inner = inner.cr_await
    return f"{' > '.join(names)} ({place})"


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _microseconds(timer: asyncio.TimerHandle) -> int:
    return round(timer.when() * 1_000_000)
