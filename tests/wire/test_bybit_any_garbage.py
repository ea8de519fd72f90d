"""Any garbage in any field of any answer of Bybit: refused, or without effect; never believed, never another error."""

import re
from collections.abc import Awaitable, Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.venues.connection import Question
from keeper.venues.dialects import BYBIT
from keeper.venues.parsing import milliseconds
from keeper.venues.speech.base import Wire
from tests.fakes import bybit_messages
from tests.fakes.bybit import Bybit
from tests.fakes.bybit_cores import spot_core, usual_core
from tests.fakes.bybit_desk import INVERSE, LINEAR, SPOT
from tests.fakes.loopback_venue import CLIENT_ID, order
from tests.fakes.spoilers import NOON, Spoiler
from tests.wire.garbage import SPOILERS, Ask, Place, opened, refused_or_without_effect

D = Decimal
SENT = "kprffffffffffffffffffffffffffff"
NUMBER = 8_000_002
EMPTY = ("totalAvailableBalance", "liqPrice", "sessionAvgPrice", "leverage", "expiredAt", "nextPageCursor", "orderLinkId")
"""What the exchange leaves empty where it has nothing to tell."""
MISSING = ("sessionAvgPrice", "leverage")
NAMED = re.compile(r".*\.orderId = '[0-9A-Za-z][0-9A-Za-z_:.-]*'")
"""No number, but an order's id may be so."""


def _populate(server: Bybit) -> None:
    core = usual_core(wallet={"USDT": D(200_000), "BTC": D(3)}, now=lambda: milliseconds(NOON))
    spot = spot_core(wallet=core.wallet, now=core.now)
    server.core, server.spot = core, spot
    for desk, symbol, amount in ((core, "BTCUSDT", D("1.5")), (core, "BTCUSD", D(1_500)), (spot, "BTCUSDT", D("0.5"))):
        desk.rest("web_1", symbol, -1, amount, D(51_000))
        taken = {"symbol": symbol, "sign": -1, "amount": amount, "price": D(49_000), "time_in_force": "IOC"}
        desk.place(client_id=CLIENT_ID, reduce_only=False, **taken)  # type: ignore[arg-type] # values of several kinds
    core.liquidations["BTCUSDT"] = D(61_000)


@pytest.fixture(scope="module", params=[LINEAR, INVERSE, SPOT])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    server = Bybit(core=usual_core())
    with opened(server, partial(_populate, server), request.param) as found:
        yield found


async def _sent(place: Place) -> Any:
    amount = D(15) if place.symbol == INVERSE else D("0.015")
    asked = order(client_id=SENT, symbol=place.symbol, amount=amount, deadline=NOON + timedelta(seconds=5))
    return await place.venue.place(asked)


def _fills(place: Place) -> Awaitable[Any]:
    number = NUMBER + 2 if place.symbol == INVERSE else NUMBER
    return place.venue.fills(place.symbol, bybit_messages.named(number, "spot" if place.symbol == SPOT else "linear"))


def _wire(place: Place, what: str) -> Wire:
    return place.venue._wire(Question(what=what))


ASKS: dict[str, tuple[list[str], Ask]] = {
    "account": (["wallet-balance", "position/list", "order/realtime"], lambda place: place.venue.account()),
    "quote": (["orderbook", "tickers", "recent-trade"], lambda place: place.venue.quote(place.symbol)),
    "time": (["market/time"], lambda place: place.venue.time()),
    "stats": (["tickers"], lambda place: place.venue.stats(place.symbol)),
    "lookup": (["order/realtime"], lambda place: place.venue.lookup(place.symbol, CLIENT_ID)),
    "fills": (["execution/list"], _fills),
    "orders": (["realtime", "history"], lambda place: place.venue.orders(place.symbol, NOON - timedelta(hours=1))),
    "place": (["order/create"], _sent),
    "cancel": (["order/cancel"], lambda place: place.venue.cancel(place.symbol, "web_1")),
    "check": (["info", "query-api", "list"], lambda place: BYBIT.speech.check_account(_wire(place, "check"))),
    "modes": (["info", "position/list"], lambda place: BYBIT.speech.modes(_wire(place, "modes"), place.symbol)),
    "fees": (["fee-rate"], lambda place: BYBIT.speech.fees(_wire(place, "fees"), place.symbol)),
    "brackets": (["risk-limit"], lambda place: BYBIT.speech.brackets(_wire(place, "brackets"), place.symbol)),
}


def _is_garbage(spoiler: Spoiler) -> bool:
    changed = [f".{name} = {nothing!r}" for name in EMPTY for nothing in ("", " ")]
    missing = [f".{name}" for name in MISSING]
    return not any(
        one.endswith(tuple(changed)) or (one.startswith("no ") and one.endswith(tuple(missing))) or NAMED.fullmatch(one)
        for one in spoiler.spoilt
    )


@pytest.mark.parametrize("ask", ASKS)
@settings(max_examples=40, deadline=None)
@given(path=st.integers(0, 2), spoiler=SPOILERS)
def test_garbage_in_a_field_is_refused_or_changes_nothing(place: Place, ask: str, path: int, spoiler: Spoiler) -> None:
    paths, question = ASKS[ask]
    refused_or_without_effect(place, paths[path % len(paths)], question, spoiler, _is_garbage)


@settings(max_examples=40, deadline=None)
@given(path=st.sampled_from(["/time", "instruments-info", "account/info", "query-api", "position/list"]), spoiler=SPOILERS)
def test_garbage_on_connecting_is_refused_or_changes_nothing(place: Place, path: str, spoiler: Spoiler) -> None:
    refused_or_without_effect(place, path, Place.connect, spoiler)
