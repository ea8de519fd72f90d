"""Any garbage in any field of any answer of OKX: refused, or without effect; never believed, never another error.

Each example spoils one field of one true answer, and holds what comes of it against the same question's true answer.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.venues.connection import Question
from keeper.venues.parsing import milliseconds
from tests.fakes.loopback_venue import CLIENT_ID, order
from tests.fakes.okx import OkxServer, okx_core, okx_spot_core
from tests.fakes.spoilers import NOON, Spoiler
from tests.wire.garbage import SPOILERS, Ask, Place, opened, refused_or_without_effect

D = Decimal
SENT = "kprffffffffffffffffffffffffffff"
NAMES = ("clOrdId", "liqPx", "lever", "taker", "takerU", "maker", "makerU", "ip", "availEq")
BLANKS = tuple(f".{name} = {said}" for name in NAMES for said in ("''", "5", "5.5"))
"""Fields that are blank where they do not apply, so that a blank one says something, and so does a number in its place."""


def _populate(server: OkxServer, market: str) -> None:
    spot = market == "BTC-USDT"
    core = okx_spot_core(wallet={"BTC": D(2), "USDT": D(100_000)}) if spot else okx_core()
    core.now = lambda: milliseconds(NOON)
    server.core = core
    core.rest("web1", market, -1, D("0.5"), D(51_000))
    taken: dict[str, Any] = {"symbol": market, "sign": -1, "amount": D("1.5"), "price": D(49_000)}
    core.place(client_id=CLIENT_ID, time_in_force="IOC", reduce_only=False, **taken)
    if not spot:
        core.trade_outside(market, -1, D("0.25"), D(50_000))
        core.liquidations[market] = D(61_000)


@pytest.fixture(
    scope="module", params=[("BTC/USDT:USDT", "BTC-USDT-SWAP", "2"), ("BTC/USDT", "BTC-USDT", "1")], ids=lambda it: it[0]
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    symbol, market, level = request.param
    server = OkxServer(core=okx_core(), level=level)
    with opened(server, partial(_populate, server, market), symbol) as found:
        yield found


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


def _is_garbage(spoiler: Spoiler) -> bool:
    return not any(spoilt.endswith(BLANKS) for spoilt in spoiler.spoilt)


@pytest.mark.parametrize("ask", ASKS)
@settings(max_examples=60, deadline=None)
@given(path=st.integers(0, 5), spoiler=SPOILERS)
def test_garbage_in_a_field_is_refused_or_changes_nothing(place: Place, ask: str, path: int, spoiler: Spoiler) -> None:
    paths, question = ASKS[ask]
    refused_or_without_effect(place, paths[path % len(paths)], question, spoiler, _is_garbage)


@settings(max_examples=80, deadline=None)
@given(path=st.sampled_from(["public/time", "public/instruments", "account/config"]), spoiler=SPOILERS)
def test_garbage_on_connecting_is_refused_or_changes_nothing(place: Place, path: str, spoiler: Spoiler) -> None:
    refused_or_without_effect(place, path, Place.connect, spoiler)
