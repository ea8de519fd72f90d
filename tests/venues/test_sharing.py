"""Public data is read once for all who ask at about the same time, and nothing old is passed off as new."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from keeper.domain.errors import VenueUnavailable
from keeper.simulation.clock import VirtualClock
from keeper.venues.sharing import Shared
from tests.fakes.turns import turns
from tests.fakes.weighing_server import START, a_world, virtually

MILLISECOND = timedelta(milliseconds=1)
Steps = Callable[["Book"], Awaitable[None]]


class Book:
    """A market whose book tells how often it was asked. wait: before the request is sent; takes: until its answer."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.shared = Shared(clock)
        self.asked = self.sent = self.canceled = 0
        self.wait, self.takes = 0, 100
        self.down = False

    async def at(self, milliseconds: int) -> None:
        await self.clock.sleep_until(START + milliseconds * MILLISECOND)

    async def _pass(self, milliseconds: int) -> None:
        await self.clock.sleep_until(self.clock.now() + milliseconds * MILLISECOND)

    async def _ask(self, sends: Callable[[], None]) -> int:
        self.asked += 1
        number = self.asked
        try:
            await self._pass(self.wait)
            sends()
            self.sent += 1
            await self._pass(self.takes)
        except asyncio.CancelledError:
            self.canceled += 1
            raise
        if self.down:
            raise VenueUnavailable(f"answer {number}")
        return number

    async def read(self, key: str = "BTC") -> int:
        return await self.shared.read(key, self._ask)

    async def read_at(self, milliseconds: int, key: str = "BTC") -> int:
        await self.at(milliseconds)
        return await self.read(key)


def reading(steps: Steps) -> None:
    loop, clock = a_world()

    async def everything() -> None:
        await steps(Book(clock))
        await turns(3)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtually(everything(), loop)


@pytest.mark.parametrize(
    ("wait", "takes", "times", "answers"),
    [
        (0, 100, (0, 0, 0), [1, 1, 1]),
        (0, 100, (0, 50, 99), [1, 1, 1]),
        (0, 100, (0, 150, 250, 251), [1, 1, 1, 2]),
        (0, 100, (0, 251, 500, 501), [1, 2, 2, 2]),
        (0, 900, (0, 250, 251, 501), [1, 1, 2, 2]),
        (30_000, 100, (0, 10_000, 30_250, 30_251), [1, 1, 1, 2]),
    ],
)
def test_an_answer_serves_those_who_asked_no_later_than_a_moment_after_it_was_sent(
    wait: int, takes: int, times: tuple[int, ...], answers: list[int]
) -> None:
    async def steps(book: Book) -> None:
        book.wait, book.takes = wait, takes
        assert await asyncio.gather(*(book.read_at(time) for time in times)) == answers
        assert book.sent == max(answers)

    reading(steps)


def test_different_questions_have_answers_of_their_own() -> None:
    async def steps(book: Book) -> None:
        assert await asyncio.gather(*(book.read(key) for key in ("BTC", "ETH"))) == [1, 2]

    reading(steps)


def test_all_who_wait_share_a_failure_and_whoever_asks_after_it_asks_anew() -> None:
    async def steps(book: Book) -> None:
        book.down = True
        failures = await asyncio.gather(book.read_at(0), book.read_at(50), return_exceptions=True)
        assert [str(failure) for failure in failures] == ["answer 1", "answer 1"]
        book.down = False
        assert await book.read_at(101) == 2

    reading(steps)


def test_a_reader_that_gives_up_takes_nothing_from_the_others() -> None:
    async def steps(book: Book) -> None:
        first, second = (asyncio.ensure_future(book.read()) for _ in range(2))
        await book.at(50)
        first.cancel()
        assert await second == 1
        assert first.cancelled()
        assert (book.asked, book.canceled) == (1, 0)

    reading(steps)


def test_a_read_that_nobody_waits_for_is_given_up_and_joined_by_nobody() -> None:
    async def steps(book: Book) -> None:
        only = asyncio.ensure_future(book.read())
        await book.at(50)
        only.cancel()
        await turns(1)
        assert await book.read() == 2
        assert book.canceled == 1

    reading(steps)


def test_a_failure_after_the_last_reader_left_is_nobody_s() -> None:
    async def steps(book: Book) -> None:
        troubles: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))

        async def ask(_sends: Callable[[], None]) -> int:
            try:
                await book.at(100)
            except asyncio.CancelledError:
                raise VenueUnavailable("the connection was closed") from None
            return 1

        only = asyncio.ensure_future(book.shared.read("x", ask))
        await book.at(50)
        only.cancel()
        await asyncio.gather(only, return_exceptions=True)
        assert only.cancelled()
        await turns(3)
        del only
        gc.collect()
        assert troubles == []

    reading(steps)


def test_what_says_not_when_it_was_sent_serves_only_those_who_came_before_its_answer() -> None:
    async def steps(book: Book) -> None:
        async def ask(_sends: Callable[[], None]) -> int:
            book.asked += 1
            await book.at(10)
            return book.asked

        assert await asyncio.gather(*(book.shared.read("x", ask) for _ in range(2))) == [1, 1]
        assert await book.shared.read("x", ask) == 2

    reading(steps)


def test_what_is_too_old_to_serve_is_not_kept() -> None:
    async def steps(book: Book) -> None:
        for number in range(50):
            await book.read_at(number * 1000, str(number))
        assert len(book.shared._readings) == 1

    reading(steps)


def test_an_answer_from_the_future_serves_nobody() -> None:
    async def steps(book: Book) -> None:
        assert await book.read() == 1
        book.clock.step(-timedelta(hours=1))
        assert await book.read() == 2

    reading(steps)
