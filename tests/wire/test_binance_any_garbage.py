"""Any garbage in any field of any answer of both exchanges: refused, or without effect; never believed, never another error.

Each example spoils one field of one true answer, and holds what comes of it against the same question's true answer.
"""

import asyncio
import copy
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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

D = Decimal
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SENT = "kprffffffffffffffffffffffffffff"
NUMERIC = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
NO_NUMBERS: list[Any] = [None, True, False, "", " ", "NaN", "-nan", "sNaN", "inf", "-Infinity", "1e999999", "0x1F", "1_000", "١٢"]
NO_NUMBERS += ["1,5", "--1", [], {}, ["1"], {"value": "1"}, float("nan"), float("inf")]
NO_WORDS: list[Any] = [None, True, 5, 5.5, "", " ", [], {}, ["x"]]
NO_SWITCHES: list[Any] = [None, "", "true", "yes", [], {}, 2]


class StillClock:
    """A clock that stands at noon; waiting takes no time."""

    def now(self) -> datetime:
        return NOON

    async def sleep_until(self, at: datetime) -> None:
        """At once."""


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


@dataclass(slots=True)
class Spoiler:
    """Puts garbage into one field of an answer. where, what: chosen by number among the answer's fields; text: more garbage."""

    where: int
    what: int
    text: str
    spoilt: list[str] = field(default_factory=list)

    def __call__(self, reply: Any) -> Any:
        damaged = copy.deepcopy(reply)
        fields = list(_fields(damaged, ""))
        if not fields:
            return damaged
        path, holder, key = fields[self.where % len(fields)]
        garbage = [*_garbage(holder[key]), *([self.text] if _is_number(holder[key]) and not _is_number(self.text) else [])]
        choice = self.what % (len(garbage) + isinstance(holder, dict))
        if choice == len(garbage):
            del holder[key]
            self.spoilt.append(f"no {path}")
        else:
            holder[key] = garbage[choice]
            self.spoilt.append(f"{path} = {garbage[choice]!r}")
        return damaged


def _fields(message: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Every field of an answer: path, what holds it, and its key there."""
    pairs = message.items() if isinstance(message, dict) else enumerate(message) if isinstance(message, list) else ()
    for key, value in list(pairs):
        yield f"{path}.{key}", message, key
        yield from _fields(value, f"{path}.{key}")


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and bool(NUMERIC.fullmatch(str(value)))


def _garbage(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return NO_SWITCHES
    if _is_number(value):
        return NO_NUMBERS
    if isinstance(value, str):
        return NO_WORDS
    return [None, "", "x", 7, True, {} if isinstance(value, list) else [], [None], [[]], [{}], {"x": 1}]


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
