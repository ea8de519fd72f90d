"""What Binance's futures send by themselves: changes of books, and word of the account's orders."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

LISTEN_KEY = "loopback-listen-key"
PACE = 0.05


@dataclass(slots=True)
class UsdmStreams:
    """silent: nothing is sent any more, though the streams stay open; books: changes that were sent; opened: paths and queries.

    A book is told whole each time: a level that was told before and is gone comes as nothing.
    """

    silent: bool = False
    books: int = 0
    opened: list[str] = field(default_factory=list)
    listeners: list[web.WebSocketResponse] = field(default_factory=list)
    _told: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    async def serve(self, exchange: Any, request: web.Request) -> web.StreamResponse:
        """One stream until it is closed."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.opened.append(request.path_qs)
        if LISTEN_KEY in request.path_qs:
            self.listeners.append(socket)
        followed: set[str] = set()
        sending = asyncio.create_task(self._send_books(exchange, socket, followed))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    told = json.loads(message.data)
                    for symbol in {name.partition("@")[0].upper() for name in told["params"]} - followed:
                        for side in ("bids", "asks"):  # what is read meanwhile must be taken back, too
                            self._changes(symbol, exchange.book_of(symbol), side)
                        followed.add(symbol)
                    await socket.send_json({"result": None, "id": told["id"]})
        finally:
            sending.cancel()
        return socket

    async def tell(self, order: dict[str, Any], now: int) -> None:
        """Word of an order, as it stands."""
        names = {"symbol": "s", "clientOrderId": "c", "side": "S", "status": "X", "orderId": "i", "origQty": "q", "price": "p"}
        told = {short: order[name] for name, short in names.items()}
        told |= {"o": "LIMIT", "f": "IOC", "x": "TRADE", "z": order["executedQty"], "T": now}
        for socket in [one for one in self.listeners if not one.closed]:
            await socket.send_json({"e": "ORDER_TRADE_UPDATE", "E": now, "T": now, "o": told})

    async def _send_books(self, exchange: Any, socket: web.WebSocketResponse, followed: set[str]) -> None:
        before: dict[str, int] = {}
        while not socket.closed:
            await asyncio.sleep(PACE)  # noqa: TID251 - the exchange's own pace
            for symbol in () if self.silent else sorted(followed):
                book, number = exchange.book_of(symbol), time.monotonic_ns() // 1000
                last = before.get(symbol, 0)
                change = {"e": "depthUpdate", "E": exchange.now(), "T": exchange.now(), "s": symbol}
                change |= {"U": last + 1, "u": number, "pu": last}
                change |= {"b": self._changes(symbol, book, "bids"), "a": self._changes(symbol, book, "asks")}
                before[symbol] = number
                self.books += 1
                await socket.send_json(change)

    def _changes(self, symbol: str, book: dict[str, Any], side: str) -> list[list[str]]:
        known = self._told.setdefault((symbol, side), set())
        rows = dict(book[side])
        gone = known - rows.keys()
        known.update(rows)
        return [[price, amount] for price, amount in rows.items()] + [[price, "0"] for price in sorted(gone)]
