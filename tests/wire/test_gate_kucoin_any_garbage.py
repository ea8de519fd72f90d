"""Any garbage in any field of any answer of Gate and KuCoin: refused, or without effect; never believed, never another error.

Each example spoils one field of one true answer, and holds what comes of it against the same question's true answer.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.ports import Environment
from keeper.venues.connection import Question
from keeper.venues.parsing import milliseconds
from tests.fakes import gate, kucoin
from tests.fakes.exchange_core import ExchangeCore, Forced
from tests.fakes.loopback_server import LoopbackServer
from tests.fakes.loopback_venue import BTC, order
from tests.fakes.spoilers import NOON, Spoiler
from tests.wire.garbage import SPOILERS, Ask, Place, opened, refused_or_without_effect

D = Decimal
OURS = "kpreeeeeeeeeeeeeeeeeeeeeee"
SENT = "kprfffffffffffffffffffffff"
OPTIONAL = re.compile(r"(no .*|.*)\.(clientOid|liquidationPrice)( = (None|''))?")
"""What KuCoin itself leaves out, so that its absence says something."""


class Exchange(NamedTuple):
    """served: its server, with a core; core: another one like that; market: its name; prefix: of client ids."""

    served: Callable[[], LoopbackServer]
    core: Callable[[], ExchangeCore]
    market: str
    environment: Environment
    prefix: str


EXCHANGES = {
    "gate": Exchange(lambda: gate.GateFutures(core=gate.usual_core()), gate.usual_core, "BTC_USDT", Environment.TESTNET, "t-"),
    "kucoinfutures": Exchange(
        lambda: kucoin.KucoinFutures(core=kucoin.usual_core()), kucoin.usual_core, "XBTUSDTM", Environment.LIVE, ""
    ),
}


def _populate(server: LoopbackServer, exchange: Exchange) -> None:
    core, market, prefix = exchange.core(), exchange.market, exchange.prefix
    core.now = lambda: milliseconds(NOON)
    server.core = core
    core.trade_outside(market, 1, D(5), D(50_000), client_id=f"{prefix}kpr1")
    core.force(market, Forced.DELEVERAGING)
    core.rest("web", market, -1, D(7), D(51_000))
    core.rest(f"{prefix}kpr2", market, -1, D(7), D(51_000))
    taken: dict[str, Any] = {"symbol": market, "sign": -1, "amount": D(15), "price": D(49_990), "time_in_force": "IOC"}
    core.place(client_id=prefix + OURS, reduce_only=False, **taken)
    core.liquidations[market] = D(61_000)


@pytest.fixture(scope="module", params=list(EXCHANGES))
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    exchange = EXCHANGES[request.param]
    server = exchange.served()
    with opened(server, partial(_populate, server, exchange), BTC, exchange.environment) as found:
        yield found


def _exchange(place: Place) -> str:
    return place.server.skin.exchange


def _ended(place: Place) -> str:
    """The id of the order that is ours and ended."""
    ours = EXCHANGES[_exchange(place)].prefix + OURS
    return next(str(one.id) for one in place.server.core.orders.values() if one.client_id == ours)


async def _sent(place: Place) -> Any:
    return await place.venue.place(order(client_id=SENT, amount=D(15), deadline=NOON + timedelta(seconds=5)))


async def _doctor(place: Place) -> Any:
    speech, wire = place.venue._speech, place.venue._wire(Question(what="inspection"))
    return [await speech.modes(wire, BTC), await speech.fees(wire, BTC), await speech.brackets(wire, BTC)]


ASKS: dict[str, tuple[dict[str, list[str]], Ask]] = {
    "account": (
        {
            "gate": ["/accounts", "/positions", "/orders"],
            "kucoinfutures": ["/account-overview", "/positions", "/orders"],
        },
        lambda place: place.venue.account(),
    ),
    "quote": (
        {"gate": ["/order_book", "/tickers", "/trades"], "kucoinfutures": ["/depth100", "/current", "/ticker"]},
        lambda place: place.venue.quote(BTC),
    ),
    "time": ({"gate": ["/time"], "kucoinfutures": ["/timestamp"]}, lambda place: place.venue.time()),
    "stats": ({"gate": ["/tickers"], "kucoinfutures": ["/XBTUSDTM"]}, lambda place: place.venue.stats(BTC)),
    "lookup": ({"gate": [f"/t-{OURS}"], "kucoinfutures": ["/byClientOid"]}, lambda place: place.venue.lookup(BTC, OURS)),
    "fills": ({"gate": ["/my_trades"], "kucoinfutures": ["/fills"]}, lambda place: place.venue.fills(BTC, _ended(place))),
    "orders": (
        {"gate": ["/orders"], "kucoinfutures": ["/orders", "/fills"]},
        lambda place: place.venue.orders(BTC, NOON - timedelta(hours=1)),
    ),
    "place": ({"gate": ["/orders"], "kucoinfutures": ["/orders"]}, _sent),
    "cancel": ({"gate": ["/t-kpr2"], "kucoinfutures": ["/kpr2"]}, lambda place: place.venue.cancel(BTC, "kpr2")),
    "dead man": (
        {"gate": ["/countdown_cancel_all"], "kucoinfutures": ["/none"]},
        lambda place: place.venue.dead_man([BTC], timedelta(seconds=60)),
    ),
    "doctor": (
        {
            "gate": ["/accounts", "/BTC_USDT", "/fee", "/risk_limit_tiers"],
            "kucoinfutures": ["/getMarginMode", "/getCrossUserLeverage", "/getPositionMode", "/trade-fees", "/XBTUSDTM"],
        },
        _doctor,
    ),
}


def _is_garbage(spoiler: Spoiler) -> bool:
    return not any(OPTIONAL.fullmatch(one) for one in spoiler.spoilt)


@pytest.mark.parametrize("ask", ASKS)
@settings(max_examples=40, deadline=None)
@given(path=st.integers(0, 4), spoiler=SPOILERS)
def test_garbage_in_a_field_is_refused_or_changes_nothing(place: Place, ask: str, path: int, spoiler: Spoiler) -> None:
    named, question = ASKS[ask]
    paths = named[_exchange(place)]
    refused_or_without_effect(place, paths[path % len(paths)], question, spoiler, _is_garbage)


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from(["/time", "/timestamp", "/contracts", "/active", "/accounts", "/getPositionMode", "/mode"]),
    spoiler=SPOILERS,
)
def test_garbage_on_connecting_is_refused_or_changes_nothing(place: Place, path: str, spoiler: Spoiler) -> None:
    refused_or_without_effect(place, path, Place.connect, spoiler)
