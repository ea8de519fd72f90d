"""Any garbage in any field of any answer of Gate and KuCoin: refused, or without effect; never believed, never another error.

Each example spoils one field of one true answer, and holds what comes of it against the same question's true answer.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.order import Accepted, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.connection import Question
from keeper.venues.parsing import milliseconds
from tests.fakes import gate, kucoin
from tests.fakes.exchange_core import ExchangeCore, Forced
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_server import LoopbackServer
from tests.fakes.loopback_venue import BTC, order, venue_at
from tests.fakes.spoilers import NOON, Spoiler, StillClock

D = Decimal
OURS = "kpreeeeeeeeeeeeeeeeeeeeeee"
SENT = "kprfffffffffffffffffffffff"
OPTIONAL = re.compile(r"(no .*|.*)\.(clientOid|liquidationPrice)( = (None|''))?")
"""What KuCoin itself leaves out, so that its absence says something."""
Ask = Callable[["Place"], Awaitable[Any]]


class Place:
    """One exchange whose truth is made anew for each question, and a venue connected to it. prefix: of its client ids."""

    def __init__(
        self,
        runner: asyncio.Runner,
        server: LoopbackServer,
        core: Callable[[], ExchangeCore],
        market: str,
        environment: Environment,
        prefix: str,
    ) -> None:
        self.name = server.skin.exchange
        self.runner = runner
        self.server = server
        self.core = core
        self.market = market
        self.environment = environment
        self.prefix = prefix
        self.connected: CcxtVenue | None = None

    def __repr__(self) -> str:
        """Short, for whoever reads a failure."""
        return self.name

    @property
    def venue(self) -> CcxtVenue:
        assert self.connected is not None
        return self.connected

    def reached(self) -> CcxtVenue:
        return venue_at(self.server, self.environment, clock=StillClock(), attempts=1)

    def populate(self) -> None:
        core = self.core()
        core.now = lambda: milliseconds(NOON)
        self.server.core = core
        core.trade_outside(self.market, 1, D(5), D(50_000), client_id=f"{self.prefix}kpr1")
        core.force(self.market, Forced.DELEVERAGING)
        core.rest("web", self.market, -1, D(7), D(51_000))
        core.rest(f"{self.prefix}kpr2", self.market, -1, D(7), D(51_000))
        taken: dict[str, Any] = {"symbol": self.market, "sign": -1, "amount": D(15), "price": D(49_990), "time_in_force": "IOC"}
        core.place(client_id=self.prefix + OURS, reduce_only=False, **taken)
        core.liquidations[self.market] = D(61_000)

    def told(self, ask: Ask, faults: list[Fault]) -> Any:
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

    @property
    def order_id(self) -> str:
        """Of the order that is ours and ended."""
        return next(str(one.id) for one in self.server.core.orders.values() if one.client_id == self.prefix + OURS)


@pytest.fixture(scope="module", params=["gate", "kucoinfutures"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with asyncio.Runner() as runner:
        found = (
            Place(runner, gate.GateFutures(core=gate.usual_core()), gate.usual_core, "BTC_USDT", Environment.TESTNET, "t-")
            if request.param == "gate"
            else Place(
                runner, kucoin.KucoinFutures(core=kucoin.usual_core()), kucoin.usual_core, "XBTUSDTM", Environment.LIVE, ""
            )
        )
        found.populate()
        runner.run(found.server.start())
        found.connected = found.reached()
        runner.run(found.venue.__aenter__())
        yield found
        runner.run(found.venue.__aexit__(None, None, None))
        runner.run(found.server.stop())


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
    "fills": ({"gate": ["/my_trades"], "kucoinfutures": ["/fills"]}, lambda place: place.venue.fills(BTC, place.order_id)),
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


@pytest.mark.parametrize("ask", ASKS)
@settings(max_examples=40, deadline=None)
@given(path=st.integers(0, 4), where=st.integers(0, 10_000), what=st.integers(0, 10_000), text=st.text(max_size=8))
def test_garbage_in_a_field_is_refused_or_changes_nothing(
    place: Place, ask: str, path: int, where: int, what: int, text: str
) -> None:
    named, question = ASKS[ask]
    paths = named[place.name]
    spoiler = Spoiler(where, what, text)
    true = place.told(question, [])
    assert not isinstance(true, Exception | Unknown), true
    answer = place.told(question, [Fault(paths[path % len(paths)], "alter", alter=spoiler)])
    if isinstance(answer, StaleData | VenueError | Unknown) or any(OPTIONAL.fullmatch(one) for one in spoiler.spoilt):
        return
    assert not isinstance(answer, Rejected), spoiler.spoilt
    assert isinstance(answer, Accepted) == isinstance(true, Accepted)
    assert answer == true, spoiler.spoilt


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from(["/time", "/timestamp", "/contracts", "/active", "/accounts", "/getPositionMode", "/mode"]),
    where=st.integers(0, 10_000),
    what=st.integers(0, 10_000),
    text=st.text(max_size=8),
)
def test_garbage_on_connecting_is_refused_or_changes_nothing(place: Place, path: str, where: int, what: int, text: str) -> None:
    spoiler = Spoiler(where, what, text)

    async def connect(place: Place) -> Any:
        async with place.reached() as venue:
            return await venue.markets([BTC])

    true = place.told(connect, [])
    answer = place.told(connect, [Fault(path, "alter", alter=spoiler)])
    if not isinstance(answer, StaleData | VenueError):
        assert answer == true, spoiler.spoilt
