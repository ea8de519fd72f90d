"""Whatever one field of an answer turns into, what is read of it is the truth or nothing."""

import copy
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import KeeperError
from keeper.ports import Environment
from keeper.venues import connection
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.speech.base import Speech, Wire
from keeper.venues.verdicts import GARBAGE
from tests.fakes.bitget import BitgetExchange, bitget_core
from tests.fakes.kraken import KrakenExchange, kraken_core
from tests.fakes.loopback_venue import CLIENT_ID, order, venue_at

D = Decimal
NO_NUMBER: tuple[Any, ...] = (None, [], {}, "NaN", "Infinity", True)
NO_NAME: tuple[Any, ...] = (None, [], {}, 7)
NO_LIST: tuple[Any, ...] = ("NaN", 7)
"""An empty list, or null for one, is an answer."""
Question = Callable[[Speech, Wire], Awaitable[Any]]
Place = tuple[str | int, ...]


@dataclass(slots=True)
class Told:
    """The answers to one question, by what was asked; spoilt: the one that is garbled, and how."""

    wire: Wire
    answers: dict[str, Any] = field(default_factory=dict)
    spoilt: tuple[str, Any] | None = None

    async def send(self, method: str, arguments: tuple[Any, ...], absent: Any) -> Any:
        asked = f"{method} {arguments}"
        if self.spoilt is not None and self.spoilt[0] == asked:
            return self.spoilt[1]
        if asked not in self.answers:
            self.answers[asked] = await self.wire.send(method, arguments, absent)
        return self.answers[asked]


def _places(message: Any, above: Place = ()) -> Iterator[tuple[Place, tuple[Any, ...]]]:
    """Where there is something in a message, and what is none of it."""
    below = message.items() if isinstance(message, dict) else enumerate(message) if isinstance(message, list) else ()
    for name, part in below:
        yield (*above, name), NO_LIST if isinstance(part, dict | list) else NO_NUMBER if _is_number(part) else NO_NAME
        yield from _places(part, (*above, name))


def _is_number(part: Any) -> bool:
    return re.fullmatch(r"-?[0-9.]+", str(part)) is not None


def _garbled(message: Any, place: Place, nothing: Any) -> Any:
    garbled = copy.deepcopy(message)
    inside = garbled
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = nothing
    return garbled


def _anonymous(read: Any) -> Any:
    """Without what an order may lack."""
    return (
        tuple(replace(one, client_id="") for one in read) if isinstance(read, tuple) and hasattr(read[0], "client_id") else read
    )


@asynccontextmanager
async def _bitget() -> AsyncIterator[tuple[CcxtVenue, str, str]]:
    core = bitget_core()
    core.hold("ETHUSDT", D(-10), D(2_400))
    core.isolated.add("ETHUSDT")
    core.rest("web1", "BTCUSDT", -1, D("0.01"), D(51_000))
    async with BitgetExchange(core=core) as server, venue_at(server) as venue:
        yield venue, "BTC/USDT:USDT", CLIENT_ID


@asynccontextmanager
async def _kraken() -> AsyncIterator[tuple[CcxtVenue, str, str]]:
    core = kraken_core()
    core.rest("web1", "XXBTZUSD", -1, D("0.01"), D(51_000))
    async with KrakenExchange(core=core) as server, venue_at(server, Environment.LIVE) as venue:
        yield venue, "BTC/USD", CLIENT_ID[:18]


def _questions(symbol: str, client_id: str, order_id: str, venue: CcxtVenue) -> dict[str, Question]:
    since = venue.clock.now() - timedelta(minutes=5)
    return {
        "wallet": lambda speech, wire: speech.wallet(wire),
        "positions": lambda speech, wire: speech.positions(wire),
        "open orders": lambda speech, wire: speech.open_orders(wire),
        "orders": lambda speech, wire: speech.orders(wire, symbol, since),
        "lookup": lambda speech, wire: speech.lookup(wire, symbol, client_id),
        "fills": lambda speech, wire: speech.fills(wire, symbol, order_id),
        "book": lambda speech, wire: speech.book(wire, symbol),
        "mark": lambda speech, wire: speech.mark(wire, symbol),
        "last": lambda speech, wire: speech.last(wire, symbol),
        "day": lambda speech, wire: speech.stats(wire, symbol),
        "modes": lambda speech, wire: speech.modes(wire, symbol),
        "fees": lambda speech, wire: speech.fees(wire, symbol),
    }


@pytest.mark.parametrize("opened", [_bitget, _kraken], ids=["bitget", "kraken"])
async def test_one_garbled_field_never_makes_another_account_order_or_price(
    opened: Callable[[], Any],
) -> None:
    async with opened() as (venue, symbol, client_id):
        deadline = venue.clock.now() + timedelta(seconds=10)
        asked = order(symbol=symbol, client_id=client_id, amount=D("1.5"), deadline=deadline)
        await venue.place(asked)
        report = await venue.lookup(symbol, client_id)
        assert report is not None
        tried = 0
        for name, question in _questions(symbol, client_id, report.order_id, venue).items():
            told = Told(venue._wire(connection.Question(what=name)))
            wire = replace(told.wire, send=told.send)
            truth = await question(venue._speech, wire)
            for place, method, nothing in _faults(told.answers):
                told.spoilt = (method, _garbled(told.answers[method], place, nothing))
                try:
                    read = await question(venue._speech, wire)
                except (KeeperError, *GARBAGE):
                    continue
                finally:
                    told.spoilt = None
                    tried += 1
                assert _anonymous(read) == _anonymous(truth), (name, place, nothing)
        assert tried > 500


def _faults(answers: dict[str, Any]) -> list[tuple[Place, str, Any]]:
    return [
        (place, method, nothing)
        for method, answer in answers.items()
        for place, nothings in _places(answer)
        for nothing in nothings
    ]
