"""Any garbage in any field of any answer of both exchanges: refused, or without effect; never believed, never another error.

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
from keeper.venues.parsing import milliseconds
from tests.fakes.binance_server import BinanceServer, Fault
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.binance_usdm import BinanceUsdm, usual_core
from tests.fakes.loopback_venue import CLIENT_ID, order, venue_at
from tests.fakes.spoilers import NOON, Spoiler, StillClock

D = Decimal
SENT = "kprffffffffffffffffffffffffffff"


class Place:
    """One exchange whose truth is made anew for each question, and a venue connected to it."""

    def __init__(self, runner: asyncio.Runner, server: BinanceServer, venue: CcxtVenue, symbol: str) -> None:
        self.runner = runner
        self.server = server
        self.venue = venue
        self.symbol = symbol

    def __repr__(self) -> str:
        """Short, for whoever reads a failure."""
        return self.symbol

    def told(self, ask: "Ask", faults: list[Fault]) -> Any:
        """What comes of a question, the error included."""

        async def asked() -> Any:
            _populate(self.server)
            self.server.faults = faults
            try:
                return await ask(self)
            except (VenueError, StaleData) as error:
                return error
            finally:
                self.server.faults = []

        return self.runner.run(asked())


Ask = Callable[[Place], Awaitable[Any]]


def _populate(server: BinanceServer) -> None:
    core = usual_core() if isinstance(server, BinanceUsdm) else spot_core(wallet={"BTC": D(2), "USDT": D(100_000)})
    core.now = lambda: milliseconds(NOON)
    server.core = core
    core.rest("web_1", "BTCUSDT", -1, D("0.5"), D(51_000))
    taken = {"symbol": "BTCUSDT", "sign": -1, "amount": D("1.5"), "price": D(49_000), "time_in_force": "IOC"}
    core.place(client_id=CLIENT_ID, reduce_only=False, **taken)  # type: ignore[arg-type] # values of several kinds
    if isinstance(server, BinanceUsdm):
        core.trade_outside("BTCUSDT", -1, D("0.25"), D(50_000), client_id="adl_autoclose")
        core.liquidations["BTCUSDT"] = D(61_000)


@pytest.fixture(scope="module", params=["binanceusdm", "binance"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    usdm = request.param == "binanceusdm"
    server: BinanceServer = BinanceUsdm(core=usual_core()) if usdm else BinanceSpot(core=spot_core())
    with asyncio.Runner() as runner:
        _populate(server)
        runner.run(server.start())
        venue = venue_at(server, clock=StillClock(), attempts=1)
        runner.run(venue.__aenter__())
        yield Place(runner, server, venue, "BTC/USDT:USDT" if usdm else "BTC/USDT")
        runner.run(venue.__aexit__(None, None, None))
        runner.run(server.stop())


async def _sent(place: Place) -> Any:
    asked = order(client_id=SENT, symbol=place.symbol, deadline=NOON + timedelta(seconds=5))
    return await place.venue.place(asked)


ASKS: dict[str, tuple[list[str], Ask]] = {
    "account": (["/account", "positionRisk", "openOrders"], lambda place: place.venue.account()),
    "quote": (["depth", "premiumIndex", "ticker/price"], lambda place: place.venue.quote(place.symbol)),
    "time": (["/time"], lambda place: place.venue.time()),
    "stats": (["24hr"], lambda place: place.venue.stats(place.symbol)),
    "lookup": (["/order"], lambda place: place.venue.lookup(place.symbol, CLIENT_ID)),
    "fills": (["Trades"], lambda place: place.venue.fills(place.symbol, "8000002")),
    "orders": (["allOrders"], lambda place: place.venue.orders(place.symbol, NOON - timedelta(hours=1))),
    "place": (["/order"], _sent),
    "cancel": (["/order"], lambda place: place.venue.cancel(place.symbol, "web_1")),
    "dead man": (["countdownCancelAll"], lambda place: place.venue.dead_man([place.symbol], timedelta(seconds=60))),
}


@pytest.mark.parametrize("ask", ASKS)
@settings(max_examples=120, deadline=None)
@given(path=st.integers(0, 2), where=st.integers(0, 10_000), what=st.integers(0, 10_000), text=st.text(max_size=8))
def test_garbage_in_a_field_is_refused_or_changes_nothing(
    place: Place, ask: str, path: int, where: int, what: int, text: str
) -> None:
    paths, question = ASKS[ask]
    spoiler = Spoiler(where, what, text)
    true = place.told(question, [])
    assert not isinstance(true, Exception | Unknown)
    answer = place.told(question, [Fault(paths[path % len(paths)], "alter", alter=spoiler)])
    if isinstance(answer, StaleData | VenueError | Unknown):
        return
    assert not isinstance(answer, Rejected), spoiler.spoilt
    assert isinstance(answer, Accepted) == isinstance(true, Accepted)
    assert answer == true, spoiler.spoilt


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(["/time", "exchangeInfo", "dual", "/account"]),
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
