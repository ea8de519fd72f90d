"""What Binance's futures send by themselves: changes of books, and word of the account's orders."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import binance_messages as messages
from tests.fakes.exchange_values import Order
from tests.fakes.loopback_streams import Line, LoopbackStreams

LISTEN_KEY = "loopback-listen-key"
NAMES = {"symbol": "s", "clientOrderId": "c", "side": "S", "status": "X", "orderId": "i", "origQty": "q", "price": "p"}


@dataclass(slots=True)
class UsdmStreams(LoopbackStreams):
    """A book is told whole each time: a level that was told before and is gone comes as nothing."""

    _told: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def opens(self, at: str) -> bool:
        return at.startswith("fstream.")

    def greet(self, exchange: Any, line: Line) -> None:
        if LISTEN_KEY in line.at:
            line.follow_orders(self.orders(exchange))

    async def hear(self, exchange: Any, line: Line, text: str) -> None:
        told = json.loads(text)
        for topic in told["params"]:
            market = topic.partition("@")[0].upper()
            for side in ("bids", "asks"):  # what is read meanwhile must be taken back, too
                self._changes(market, messages.depth(exchange.core, market, exchange.now(), 100), side)
            line.follow(topic, market)
        await line.say({"result": None, "id": told["id"]})

    def book(self, exchange: Any, line: Line, topic: str) -> Any:
        known, number = line.followed[topic], time.monotonic_ns() // 1000
        shown = messages.depth(exchange.core, known.market, exchange.now(), 100)
        stamp = exchange.now() - self.late
        change = {"e": "depthUpdate", "E": stamp, "T": stamp, "s": known.market}
        change |= {"U": known.number + 1, "u": number, "pu": known.number}
        known.number = number
        return change | {"b": self._changes(known.market, shown, "bids"), "a": self._changes(known.market, shown, "asks")}

    def order(self, _exchange: Any, order: Order) -> dict[str, Any]:
        return messages.order(order)

    def word(self, exchange: Any, order: dict[str, Any]) -> Any:
        now = exchange.now()
        told = {short: order[name] for name, short in NAMES.items()}
        told |= {"o": "LIMIT", "f": "IOC", "x": "TRADE", "z": order["executedQty"], "T": now}
        return {"e": "ORDER_TRADE_UPDATE", "E": now, "T": now, "o": told}

    def _changes(self, market: str, book: dict[str, Any], side: str) -> list[list[str]]:
        known = self._told.setdefault((market, side), set())
        rows = dict(book[side])
        gone = known - rows.keys()
        known.update(rows)
        return [[price, amount] for price, amount in rows.items()] + [[price, "0"] for price in sorted(gone)]
