"""What Bybit sends by itself (v5): books of a category at an address of its own, and the account's orders after a login."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from tests.fakes import bybit_messages as messages
from tests.fakes.exchange_values import Order
from tests.fakes.loopback_streams import Followed, Line, LoopbackStreams, changes

LIVE, DEMO = "stream.bybit.com", "stream-demo.bybit.com"
DEPTHS = frozenset({"1", "50", "200", "1000"})
CATEGORIES = {f"{LIVE}/v5/public/{category}": category for category in ("linear", "inverse", "spot")}
PRIVATE = frozenset({f"{DEMO}/v5/private", f"{LIVE}/v5/private"})
CONNECTION = "loopback-0a1b2c"


@dataclass(slots=True)
class BybitStreams(LoopbackStreams):
    """A book comes whole, and then what changed of it; a login is signed, for as long as it says."""

    def opens(self, at: str) -> bool:
        return at in CATEGORIES or at in PRIVATE

    async def hear(self, exchange: Any, line: Line, text: str) -> None:
        told = json.loads(text)
        answer = {"conn_id": CONNECTION, "req_id": str(told.get("req_id", "")), "op": told["op"]}
        match told["op"]:
            case "ping":
                self.pings += 1
                if not self.deaf:
                    await line.say(self._pong(exchange, line, answer))
            case "auth":
                line.known = self._proves(exchange, *told["args"])
                self.turned_away += not line.known
                await line.say(answer | {"success": line.known, "ret_msg": "" if line.known else "Params Error"})
            case "subscribe":
                refused = [topic for topic in told["args"] if not self._taken(exchange, line, topic)]
                words = f"error:handler not found,topic:{refused[0]}" if refused else ""
                await line.say(answer | {"success": not refused, "ret_msg": words})

    def _pong(self, exchange: Any, line: Line, answer: dict[str, Any]) -> Any:
        if line.at in PRIVATE:
            return answer | {"op": "pong", "args": [str(exchange.now())]}
        return answer | {"success": True, "ret_msg": "pong"}

    def _proves(self, exchange: Any, key: str, expires: str, signature: str) -> bool:
        signed = hmac.new(exchange.secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
        return key == exchange.api_key and int(expires) > exchange.now() and hmac.compare_digest(signed, signature)

    def _taken(self, exchange: Any, line: Line, topic: str) -> bool:
        if line.at in PRIVATE:
            if line.known and topic == "order":
                line.follow_orders(self.orders(exchange))
            return line.known and topic == "order"
        name, depth, market = [*topic.split("."), "", ""][:3]
        listed = {one.symbol for one in exchange.listed_in(CATEGORIES[line.at])}
        if name != "orderbook" or depth not in DEPTHS or market not in listed:
            return False
        line.follow(topic, market)
        return True

    def book(self, exchange: Any, line: Line, topic: str) -> Any:
        known, limit = line.followed[topic], int(topic.split(".")[1])
        shown = messages.depth(exchange.desk(CATEGORIES[line.at]), known.market, exchange.now() - self.late, limit)
        bids, asks = dict(shown["b"]), dict(shown["a"])
        whole = known.number == 0
        data = shown | {"b": changes(known.bids, bids), "a": changes(known.asks, asks), "u": known.number + 1}
        line.followed[topic] = Followed(known.market, known.number + 1, bids, asks)
        stamps = {name: data.pop(name) for name in ("ts", "cts")}
        return {"topic": topic, "type": "snapshot" if whole else "delta", "data": data, **stamps}

    def orders(self, exchange: Any) -> list[Order]:
        return [one for desk in _desks(exchange) for one in desk.orders.values()]

    def order(self, exchange: Any, order: Order) -> dict[str, Any]:
        spot = exchange.desk("spot")
        contract = spot is None or spot.orders.get(order.id) is not order
        category = messages.category_of(exchange.core.instruments[order.symbol]) if contract else "spot"
        return {"category": category, **messages.order(order, category)}

    def word(self, exchange: Any, order: dict[str, Any]) -> Any:
        return {"id": f"{CONNECTION}-{exchange.now()}", "topic": "order", "creationTime": exchange.now(), "data": [order]}


def _desks(exchange: Any) -> list[Any]:
    return [desk for desk in (exchange.desk("linear"), exchange.desk("spot")) if desk is not None]
