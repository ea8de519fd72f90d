"""Any garbage in any field of any answer: refused, or without effect; never believed, never another error.

As ``test_binance_any_garbage``, for exchanges whose numbers are JSON's own.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.order import Accepted
from keeper.venues.parsing import milliseconds
from tests.fakes import deribit, krakenfutures
from tests.fakes.deribit_messages import order_id
from tests.fakes.exchange_core import ExchangeCore, Forced
from tests.fakes.krakenfutures_messages import order_uid
from tests.fakes.loopback_server import LoopbackServer
from tests.fakes.loopback_venue import CLIENT_ID, order
from tests.fakes.spoilers import NOON, Spoiler
from tests.fakes.token_pool import TokenPool
from tests.wire.garbage import SPOILERS, Ask, Place, believed, opened

D = Decimal
SENT = "kprffffffffffffffffffffffffffff"
BTC = "BTC/USD:BTC"
FIRST = 8_000_001
OPTIONAL = re.compile(r"\.(label|cliOrdId)( =|$)")
"""Who sent an order is not told of one without a client id."""


async def _sent(place: Place) -> Any:
    asked = order(client_id=SENT, symbol=BTC, amount=D(1000), price=D(50_010), deadline=NOON + timedelta(seconds=5))
    return await place.venue.place(asked)


def _fills(place: Place) -> Awaitable[Any]:
    return place.venue.fills(BTC, EXCHANGES[place.server.skin.exchange].order_id(FIRST))


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
        serve=lambda core: krakenfutures.KrakenFutures(core=core, history=TokenPool(capacity=D(10**9), span=1)),
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
QUESTIONS: Mapping[str, Ask] = {
    "account": lambda place: place.venue.account(),
    "quote": lambda place: place.venue.quote(BTC),
    "time": lambda place: place.venue.time(),
    "stats": lambda place: place.venue.stats(BTC),
    "lookup": lambda place: place.venue.lookup(BTC, CLIENT_ID),
    "fills": _fills,
    "orders": lambda place: place.venue.orders(BTC, NOON - timedelta(hours=1)),
    "place": _sent,
    "cancel": lambda place: place.venue.cancel(BTC, "web_1"),
    "dead man": lambda place: place.venue.dead_man([BTC], timedelta(seconds=60)),
    "connect": Place.connect,
}
CASES = [(name, ask) for name, exchange in EXCHANGES.items() for ask in exchange.asks]


def _populate(server: LoopbackServer, exchange: Exchange) -> None:
    core, name = exchange.core(), exchange.name
    core.now = lambda: milliseconds(NOON)
    server.core = core
    taken: dict[str, Any] = {"symbol": name, "sign": -1, "amount": D(60_000), "price": D(49_000), "time_in_force": "IOC"}
    core.place(client_id=CLIENT_ID, reduce_only=False, **taken)
    core.rest("web_1", name, -1, D(500), D(51_000))
    core.hold(name.replace("XBT", "ETH").replace("BTC", "ETH"), D(1_000), D(2_400))
    core.force(name.replace("XBT", "ETH").replace("BTC", "ETH"), Forced.LIQUIDATION)


@pytest.fixture(scope="module")
def places() -> Iterator[Callable[[str], Place]]:
    with ExitStack() as stack:

        @cache
        def place(name: str) -> Place:
            exchange = EXCHANGES[name]
            server = exchange.serve(exchange.core())
            return stack.enter_context(opened(server, partial(_populate, server, exchange), BTC))

        yield place


@pytest.mark.parametrize(("name", "ask"), CASES)
@settings(max_examples=60, deadline=None)
@given(path=st.integers(0, 3), spoiler=SPOILERS)
def test_garbage_in_a_field_is_refused_or_changes_nothing(
    places: Callable[[str], Place], name: str, ask: str, path: int, spoiler: Spoiler
) -> None:
    paths = EXCHANGES[name].asks[ask]
    found = believed(places(name), paths[path % len(paths)], QUESTIONS[ask], spoiler)
    if found is None:
        return
    true, answer = found
    if isinstance(answer, Accepted):
        assert answer.report.order_id == true.report.order_id, spoiler.spoilt
    elif not any(OPTIONAL.search(one) for one in spoiler.spoilt):
        assert answer == true, spoiler.spoilt
