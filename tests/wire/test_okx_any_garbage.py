"""Any garbage in any field of any answer of OKX: refused, or without effect; never believed, never another error.

Each example spoils one field of one true answer, and holds what comes of it against the same question's true answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.order import Accepted, Rejected, Unknown
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.connection import Question
from keeper.venues.parsing import milliseconds
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import CLIENT_ID, order, venue_at
from tests.fakes.okx import OkxServer, okx_core, okx_spot_core
from tests.fakes.spoilers import NOON, Spoiler, StillClock

D = Decimal
SENT = "kprffffffffffffffffffffffffffff"
BLANKS = tuple(f".{name} = ''" for name in ("clOrdId", "liqPx", "lever", "taker", "takerU", "maker", "makerU", "ip", "availEq"))
"""Fields that are blank where they do not apply, so that a blank one says something."""


class Place:
    """The exchange, whose truth is made anew for each question, and a venue connected to it. spot: which of its markets."""

    def __init__(self, runner: asyncio.Runner, *, spot: bool) -> None:
        self.runner = runner
        self.spot = spot
        self.symbol, self.market = ("BTC/USDT", "BTC-USDT") if spot else ("BTC/USDT:USDT", "BTC-USDT-SWAP")
        self.server = OkxServer(core=okx_core(), level="1" if spot else "2")
        self.populate()
        runner.run(self.server.start())
        self.venue: CcxtVenue = venue_at(self.server, clock=StillClock(), attempts=1)

    def __repr__(self) -> str:
        """Short, for whoever reads a failure."""
        return self.symbol

    def populate(self) -> None:
        core = okx_spot_core(wallet={"BTC": D(2), "USDT": D(100_000)}) if self.spot else okx_core()
        core.now = lambda: milliseconds(NOON)
        self.server.core = core
        core.rest("web1", self.market, -1, D("0.5"), D(51_000))
        taken: dict[str, Any] = {"symbol": self.market, "sign": -1, "amount": D("1.5"), "price": D(49_000)}
        core.place(client_id=CLIENT_ID, time_in_force="IOC", reduce_only=False, **taken)
        if not self.spot:
            core.trade_outside(self.market, -1, D("0.25"), D(50_000))
            core.liquidations[self.market] = D(61_000)

    def told(self, ask: "Ask", faults: list[Fault]) -> Any:
        """What comes of a question, the error included."""

        async def asked() -> Any:
            self.populate()
            self.server.faults = faults
            try:
                return await ask(self)
            except (VenueError, StaleData) as error:
                return error
            finally:
                self.server.faults = []

        return self.runner.run(asked())


Ask = Callable[[Place], Awaitable[Any]]


@pytest.fixture(scope="module", params=["perpetual", "spot"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with asyncio.Runner() as runner:
        found = Place(runner, spot=request.param == "spot")
        runner.run(found.venue.__aenter__())
        yield found
        runner.run(found.venue.__aexit__(None, None, None))
        runner.run(found.server.stop())


async def _sent(place: Place) -> Any:
    asked: dict[str, Any] = {"symbol": place.symbol, "amount": D("1.5"), "deadline": NOON + timedelta(seconds=5)}
    return await place.venue.place(order(client_id=SENT, **asked))


async def _inspected(place: Place) -> Any:
    words, wire = place.venue._speech, place.venue._wire(Question(what="inspection"))
    told = [await ask(wire, place.symbol) for ask in (words.modes, words.fees, words.brackets)]
    return [await words.key(wire), *told]


ASKS: dict[str, tuple[list[str], Ask]] = {
    "account": (["account/balance", "account/positions", "orders-pending"], lambda place: place.venue.account()),
    "quote": (["market/books", "mark-price", "index-tickers", "market/trades"], lambda place: place.venue.quote(place.symbol)),
    "time": (["public/time"], lambda place: place.venue.time()),
    "stats": (["market/ticker"], lambda place: place.venue.stats(place.symbol)),
    "lookup": (["trade/order"], lambda place: place.venue.lookup(place.symbol, CLIENT_ID)),
    "fills": (["trade/fills"], lambda place: place.venue.fills(place.symbol, "8000002")),
    "orders": (
        ["orders-history", "orders-pending"],
        lambda place: place.venue.orders(place.symbol, NOON - timedelta(hours=1)),
    ),
    "place": (["trade/order"], _sent),
    "cancel": (["cancel-order"], lambda place: place.venue.cancel(place.symbol, "web1")),
    "dead man": (["cancel-all-after"], lambda place: place.venue.dead_man([place.symbol], timedelta(seconds=60))),
    "inspection": (
        ["account/config", "leverage-info", "account/positions", "trade-fee", "position-tiers", "mark-price"],
        _inspected,
    ),
}


@pytest.mark.parametrize("ask", ASKS)
@settings(max_examples=60, deadline=None)
@given(path=st.integers(0, 5), where=st.integers(0, 10_000), what=st.integers(0, 10_000), text=st.text(max_size=8))
def test_garbage_in_a_field_is_refused_or_changes_nothing(
    place: Place, ask: str, path: int, where: int, what: int, text: str
) -> None:
    paths, question = ASKS[ask]
    spoiler = Spoiler(where, what, text)
    true = place.told(question, [])
    assert not isinstance(true, Exception | Unknown), true
    answer = place.told(question, [Fault(paths[path % len(paths)], "alter", alter=spoiler)])
    if isinstance(answer, StaleData | VenueError | Unknown) or any(spoilt.endswith(BLANKS) for spoilt in spoiler.spoilt):
        return
    assert not isinstance(answer, Rejected), spoiler.spoilt
    assert isinstance(answer, Accepted) == isinstance(true, Accepted)
    assert answer == true, spoiler.spoilt


@settings(max_examples=80, deadline=None)
@given(
    path=st.sampled_from(["public/time", "public/instruments", "account/config"]),
    where=st.integers(0, 10_000),
    what=st.integers(0, 10_000),
    text=st.text(max_size=8),
)
def test_garbage_on_connecting_is_refused_or_changes_nothing(place: Place, path: str, where: int, what: int, text: str) -> None:
    spoiler = Spoiler(where, what, text)

    async def connect(_place: Place) -> Any:
        async with venue_at(place.server, clock=StillClock(), attempts=1) as venue:
            return await venue.markets([place.symbol])

    true = place.told(connect, [])
    answer = place.told(connect, [Fault(path, "alter", alter=spoiler)])
    if not isinstance(answer, StaleData | VenueError):
        assert answer == true, spoiler.spoilt
