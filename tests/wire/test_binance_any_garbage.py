"""Any garbage in any field of any answer of both exchanges: refused, or without effect; never believed, never another error.

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

from keeper.venues.parsing import milliseconds
from tests.fakes.binance_server import BinanceServer
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.binance_usdm import BinanceUsdm, usual_core
from tests.fakes.loopback_venue import CLIENT_ID, order
from tests.fakes.spoilers import NOON, Spoiler
from tests.wire.garbage import SPOILERS, Ask, Place, opened, refused_or_without_effect

D = Decimal
SENT = "kprffffffffffffffffffffffffffff"


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
    with opened(server, partial(_populate, server), "BTC/USDT:USDT" if usdm else "BTC/USDT") as found:
        yield found


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
@given(path=st.integers(0, 2), spoiler=SPOILERS)
def test_garbage_in_a_field_is_refused_or_changes_nothing(place: Place, ask: str, path: int, spoiler: Spoiler) -> None:
    paths, question = ASKS[ask]
    refused_or_without_effect(place, paths[path % len(paths)], question, spoiler)


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(["/time", "exchangeInfo", "dual", "/account"]), spoiler=SPOILERS)
def test_garbage_on_connecting_is_refused_or_changes_nothing(place: Place, path: str, spoiler: Spoiler) -> None:
    refused_or_without_effect(place, path, Place.connect, spoiler)
