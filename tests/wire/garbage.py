"""Any garbage in any field of any answer: refused, or without effect; never believed, never another error.

Each example spoils one field of one true answer, and holds what comes of it against the same question's true answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.order import Accepted, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_server import LoopbackServer
from tests.fakes.loopback_venue import venue_at
from tests.fakes.spoilers import Spoiler, StillClock

SPOILERS = st.builds(Spoiler, where=st.integers(0, 10_000), what=st.integers(0, 10_000), text=st.text(max_size=8))


class Place:
    """One exchange whose truth is made anew for each question, by ``populate``, and a venue to ask of one market there."""

    def __init__(
        self, runner: asyncio.Runner, server: LoopbackServer, populate: Callable[[], None], symbol: str, environment: Environment
    ) -> None:
        self.server = server
        self.symbol = symbol
        self._runner = runner
        self._populate = populate
        self._environment = environment
        self._truths: dict[Ask, Any] = {}
        self.venue = self._reached()

    def __repr__(self) -> str:
        """Short, for whoever reads a failure."""
        return f"{self.server.skin.exchange} {self.symbol}"

    def _reached(self) -> CcxtVenue:
        return venue_at(self.server, self._environment, clock=StillClock(), attempts=1)

    async def connect(self) -> Any:
        """The market, as a connection made for it tells it."""
        async with self._reached() as venue:
            return await venue.markets([self.symbol])

    def told(self, ask: "Ask", faults: list[Fault]) -> Any:
        """What comes of a question, the error included."""

        async def asked() -> Any:
            self._populate()
            self.server.faults = faults
            try:
                return await ask(self)
            except (VenueError, StaleData) as error:
                return error
            finally:
                self.server.faults = []

        return self._runner.run(asked())

    def true(self, ask: "Ask") -> Any:
        """What comes of a question that is answered as it should be: the same each time, so that it is asked once."""
        if ask not in self._truths:
            self._truths[ask] = self.told(ask, [])
        return self._truths[ask]


Ask = Callable[[Place], Awaitable[Any]]


@contextmanager
def opened(
    server: LoopbackServer, populate: Callable[[], None], symbol: str, environment: Environment = Environment.TESTNET
) -> Iterator[Place]:
    """A place whose server runs and whose venue is connected."""
    with asyncio.Runner() as runner:
        populate()
        runner.run(server.start())
        place = Place(runner, server, populate, symbol, environment)
        runner.run(place.venue.__aenter__())
        yield place
        runner.run(place.venue.__aexit__(None, None, None))
        runner.run(server.stop())


def believed(place: Place, path: str, ask: Ask, spoiler: Spoiler) -> tuple[Any, Any] | None:
    """What is true, and what was made of a spoilt answer to a request for ``path``; None where that was refused."""
    true = place.true(ask)
    assert not isinstance(true, Exception | Unknown), true
    answer = place.told(ask, [Fault(path, "alter", alter=spoiler)])
    if isinstance(answer, StaleData | VenueError | Unknown):
        return None
    assert not isinstance(answer, Rejected), spoiler.spoilt
    assert isinstance(answer, Accepted) == isinstance(true, Accepted), spoiler.spoilt
    return true, answer


def _always(_spoiler: Spoiler) -> bool:
    return True


def refused_or_without_effect(
    place: Place, path: str, ask: Ask, spoiler: Spoiler, is_garbage: Callable[[Spoiler], bool] = _always
) -> None:
    """A spoilt answer to a request for ``path`` is refused, or changes nothing. is_garbage: that the exchange never says."""
    found = believed(place, path, ask, spoiler)
    if found is not None and is_garbage(spoiler):
        true, answer = found
        assert answer == true, spoiler.spoilt
