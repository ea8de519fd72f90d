"""What a loopback exchange sends by itself, whatever its protocol: changes of books that are followed, and word of orders.

How to write a protocol: say in ``opens`` which addresses there are, answer in ``hear`` what a client says (``follow`` and
``follow_orders`` of a line are what a subscription comes to), and word ``book``, ``order`` and ``word``.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.exchange_values import Order

PACE = 0.05
"""Seconds between two looks at what has changed."""
Rows = dict[str, str]
"""One side of a book: amount by price."""


@dataclass(slots=True)
class Followed:
    """A book as its follower was told it last. market: the exchange's name; number: of the last message about it, 0 for none."""

    market: str
    number: int = 0
    bids: Rows = field(default_factory=dict)
    asks: Rows = field(default_factory=dict)


@dataclass(slots=True)
class Line:
    """One connection. at: host and path, with its query; known: who it is was proven; hears_orders: of the account."""

    socket: web.WebSocketResponse
    at: str
    known: bool = False
    hears_orders: bool = False
    followed: dict[str, Followed] = field(default_factory=dict)
    _heard: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def follow(self, topic: str, market: str) -> None:
        self.followed.setdefault(topic, Followed(market))

    def follow_orders(self, orders: Iterable[Order]) -> None:
        """From now on; nothing is told of what ``orders`` were before."""
        self.hears_orders = True
        self.news_of(orders)

    def news_of(self, orders: Iterable[Order]) -> list[Order]:
        """Those that have changed since this line heard of them."""
        states = {id(one): (one, (one.status, one.filled)) for one in orders}
        changed = [one for key, (one, state) in states.items() if self._heard.get(key) != state]
        self._heard |= {key: state for key, (_, state) in states.items()}
        return changed

    async def say(self, message: Any) -> None:
        """A text as it is, anything else as JSON."""
        if not self.socket.closed:
            await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))


@dataclass(slots=True)
class LoopbackStreams:
    """The streams of one exchange; this one has none.

    silent: nothing is sent any more, though the lines stay open; deaf: pings are not answered; late: ms that what is told of a
    book is old by then; alter: changes what is told of an order; books: messages about books that were sent; pings: that came;
    opened: where lines were opened, host and path; turned_away: logins that were refused.
    """

    silent: bool = False
    deaf: bool = False
    late: int = 0
    alter: Callable[[dict[str, Any]], dict[str, Any]] = dict
    books: int = 0
    pings: int = 0
    opened: list[str] = field(default_factory=list)
    turned_away: int = 0
    lines: list[Line] = field(default_factory=list)

    def opens(self, _at: str) -> bool:
        """Whether there is a stream at a host and path."""
        return False

    def greet(self, exchange: Any, line: Line) -> None:
        """What a line is told from its beginning, without being asked."""

    async def hear(self, exchange: Any, line: Line, text: str) -> None:
        """Answer what a client says."""
        raise NotImplementedError

    def book(self, exchange: Any, line: Line, topic: str) -> Any:
        """The next message about a book, which is noted in what was told of it; whole where nothing was."""
        raise NotImplementedError

    def word(self, exchange: Any, order: dict[str, Any]) -> Any:
        """The message about an order."""
        raise NotImplementedError

    def order(self, exchange: Any, order: Order) -> dict[str, Any]:
        """An order, as messages about it have it."""
        raise NotImplementedError

    def orders(self, exchange: Any) -> list[Order]:
        """Every order of the account."""
        return list(exchange.core.orders.values())

    @property
    def listeners(self) -> list[Line]:
        """The open lines on which the account's orders are told."""
        return [one for one in self.lines if one.hears_orders]

    async def serve(self, exchange: Any, request: web.Request, host: str) -> web.StreamResponse:
        """One line until it is closed."""
        at = f"{host}{request.path_qs}"
        if not self.opens(f"{host}{request.path}"):
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        line = Line(socket, at)
        self.opened.append(at)
        self.lines.append(line)
        self.greet(exchange, line)
        sending = asyncio.create_task(self._send(exchange, line))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self.hear(exchange, line, message.data)
        finally:
            sending.cancel()
            self.lines.remove(line)
        return socket

    async def say(self, message: Any) -> None:
        """The same to everybody."""
        for line in list(self.lines):
            await line.say(message)

    async def lose(self) -> None:
        """End every line."""
        for line in list(self.lines):
            await line.socket.close()

    async def _send(self, exchange: Any, line: Line) -> None:
        while not line.socket.closed:
            await asyncio.sleep(PACE)  # noqa: TID251 - the exchange's own pace
            if self.silent:
                continue
            for topic in sorted(line.followed):
                self.books += 1
                await line.say(self.book(exchange, line, topic))
            for order in line.news_of(self.orders(exchange)) if line.hears_orders else ():
                await line.say(self.word(exchange, self.alter(self.order(exchange, order))))


def changes(before: Rows, now: Rows) -> list[list[str]]:
    """What became of one side of a book: rows that are new or other, and nothing of those that are gone, whose amount is 0."""
    altered = [[price, amount] for price, amount in now.items() if before.get(price) != amount]
    return altered + [[price, "0"] for price in before if price not in now]
