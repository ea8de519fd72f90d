"""Any garbage in any field of any answer: refused, or without effect; never believed, never another error.

As ``test_binance_any_garbage``, for exchanges whose numbers are JSON's own.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
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
from tests.fakes import deribit, krakenfutures
from tests.fakes.deribit_messages import order_id
from tests.fakes.exchange_core import ExchangeCore, Forced
from tests.fakes.krakenfutures_messages import order_uid
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_server import LoopbackServer
from tests.fakes.loopback_venue import CLIENT_ID, order, venue_at
from tests.fakes.spoilers import NOON, Spoiler, StillClock

D = Decimal
SENT = "kprffffffffffffffffffffffffffff"
BTC = "BTC/USD:BTC"
FIRST = 8_000_001
OPTIONAL = re.compile(r"\.(label|cliOrdId)( =|$)")
"""Who sent an order is not told of one without a client id."""
Question = Callable[[CcxtVenue], Awaitable[Any]]


async def _sent(venue: CcxtVenue) -> Any:
    asked = order(client_id=SENT, symbol=BTC, amount=D(1000), price=D(50_010), deadline=NOON + timedelta(seconds=5))
    return await venue.place(asked)


def _past(venue: CcxtVenue) -> Awaitable[Any]:
    return venue.orders(BTC, NOON - timedelta(hours=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """serve: its server on a core; name: of the market; order_id: how it words an id; asks: paths and what asks for them."""

    serve: Callable[[ExchangeCore], LoopbackServer]
    core: Callable[[], ExchangeCore]
    name: str
    order_id: Callable[[int], str]
    asks: Mapping[str, list[str]]


EXCHANGES = {
    "krakenfutures": Exchange(
        serve=lambda core: krakenfutures.KrakenFutures(core=core),
        core=krakenfutures.usual_core,
        name="PI_XBTUSD",
        order_id=order_uid,
        asks={
            "account": ["/accounts", "openpositions", "openorders", "tickers/PI_XBTUSD"],
            "quote": ["orderbook", "tickers/PI_XBTUSD"],
            "time": ["status"],
            "stats": ["tickers/PI_XBTUSD"],
            "lookup": ["orders/status", "/fills"],
            "fills": ["executions", "orders/status"],
            "orders": ["history/v3/orders", "executions", "openorders", "/fills"],
            "place": ["sendorder"],
            "cancel": ["cancelorder"],
            "dead man": ["cancelallordersafter"],
            "connect": ["status", "instruments", "/accounts", "pnlpreferences"],
        },
    ),
    "deribit": Exchange(
        serve=lambda core: deribit.Deribit(core=core),
        core=deribit.usual_core,
        name="BTC-PERPETUAL",
        order_id=order_id,
        asks={
            "account": ["summaries", "get_positions", "get_open_orders"],
            "quote": ["get_order_book", "ticker"],
            "time": ["get_time"],
            "stats": ["ticker"],
            "lookup": ["by_label"],
            "fills": ["trades_by_order"],
            "orders": ["history_by_instrument", "orders_by_instrument"],
            "place": ["buy"],
            "cancel": ["cancel_by_label"],
            "connect": ["get_time", "get_instruments", "summaries", "get_open_orders"],
        },
    ),
}
QUESTIONS: Mapping[str, Question] = {
    "account": lambda venue: venue.account(),
    "quote": lambda venue: venue.quote(BTC),
    "time": lambda venue: venue.time(),
    "stats": lambda venue: venue.stats(BTC),
    "lookup": lambda venue: venue.lookup(BTC, CLIENT_ID),
    "orders": _past,
    "place": _sent,
    "cancel": lambda venue: venue.cancel(BTC, "web_1"),
    "dead man": lambda venue: venue.dead_man([BTC], timedelta(seconds=60)),
}
CASES = [(name, ask) for name, exchange in EXCHANGES.items() for ask in exchange.asks]


class Place:
    """One exchange whose truth is made anew for each question, and a venue connected to it."""

    def __init__(self, name: str, runner: asyncio.Runner) -> None:
        self.exchange = EXCHANGES[name]
        self.runner = runner
        self.server = self.exchange.serve(self.exchange.core())
        self._populate()
        runner.run(self.server.start())
        self.venue = venue_at(self.server, clock=StillClock(), attempts=1)
        runner.run(self.venue.__aenter__())

    def close(self) -> None:
        self.runner.run(self.venue.__aexit__(None, None, None))
        self.runner.run(self.server.stop())

    def _populate(self) -> None:
        core, name = self.exchange.core(), self.exchange.name
        core.now = lambda: milliseconds(NOON)
        self.server.core = core
        taken: dict[str, Any] = {"symbol": name, "sign": -1, "amount": D(60_000), "price": D(49_000), "time_in_force": "IOC"}
        core.place(client_id=CLIENT_ID, reduce_only=False, **taken)
        core.rest("web_1", name, -1, D(500), D(51_000))
        core.hold(name.replace("XBT", "ETH").replace("BTC", "ETH"), D(1_000), D(2_400))
        core.force(name.replace("XBT", "ETH").replace("BTC", "ETH"), Forced.LIQUIDATION)

    async def _connect(self) -> Any:
        async with venue_at(self.server, clock=StillClock(), attempts=1) as venue:
            return await venue.markets([BTC])

    def told(self, ask: str, faults: list[Fault]) -> Any:
        """What comes of a question, the error included."""

        async def asked() -> Any:
            self._populate()
            self.server.faults = faults
            try:
                if ask == "connect":
                    return await self._connect()
                if ask == "fills":
                    return await self.venue.fills(BTC, self.exchange.order_id(FIRST))
                return await QUESTIONS[ask](self.venue)
            except (VenueError, StaleData) as error:
                return error
            finally:
                self.server.faults = []

        return self.runner.run(asked())


@pytest.fixture(scope="module")
def places() -> Iterator[Callable[[str], Place]]:
    with asyncio.Runner() as runner:
        opened: dict[str, Place] = {}

        def place(name: str) -> Place:
            if name not in opened:
                opened[name] = Place(name, runner)
            return opened[name]

        yield place
        for one in opened.values():
            one.close()


@pytest.mark.parametrize(("name", "ask"), CASES)
@settings(max_examples=60, deadline=None)
@given(path=st.integers(0, 3), where=st.integers(0, 10_000), what=st.integers(0, 10_000), text=st.text(max_size=8))
def test_garbage_in_a_field_is_refused_or_changes_nothing(
    places: Callable[[str], Place], name: str, ask: str, path: int, where: int, what: int, text: str
) -> None:
    place, spoiler = places(name), Spoiler(where, what, text)
    paths = place.exchange.asks[ask]
    true = place.told(ask, [])
    assert not isinstance(true, Exception | Unknown)
    answer = place.told(ask, [Fault(paths[path % len(paths)], "alter", alter=spoiler)])
    if isinstance(answer, StaleData | VenueError | Unknown):
        return
    assert not isinstance(answer, Rejected), spoiler.spoilt
    if isinstance(answer, Accepted):
        assert isinstance(true, Accepted)
        assert answer.report.order_id == true.report.order_id, spoiler.spoilt
    elif not any(OPTIONAL.search(one) for one in spoiler.spoilt):
        assert answer == true, spoiler.spoilt
