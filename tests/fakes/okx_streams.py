"""What OKX sends by itself (v5): books by channel, each message numbered after the one before, and orders after a login."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from tests.fakes import okx_messages as messages
from tests.fakes.exchange_values import Order
from tests.fakes.loopback_streams import Followed, Line, LoopbackStreams, changes

LIVE, DEMO = "ws.okx.com", "wspap.okx.com"
PUBLIC, PRIVATE = "/ws/v5/public", "/ws/v5/private"
WINDOW = 30_000
LEVELS = 400
CONNECTION = {"connId": "a4d3ae55"}
ORDERS = {"channel": "orders", "instType": "ANY"}


@dataclass(slots=True)
class OkxStreams(LoopbackStreams):
    """A book comes whole after each subscription, and then what changed of it. What is wrong with a login ends the line."""

    def opens(self, at: str) -> bool:
        return at in {host + path for host in (LIVE, DEMO) for path in (PUBLIC, PRIVATE)}

    async def hear(self, exchange: Any, line: Line, text: str) -> None:
        if text == "ping":
            self.pings += 1
            if not self.deaf:
                await line.say("pong")
            return
        told = json.loads(text)
        for about in told["args"]:
            match told["op"]:
                case "login":
                    await self._let_in(exchange, line, about)
                case "subscribe":
                    code = self._refusal(exchange, line, about)
                    await line.say(_error(code, about) if code else {"event": "subscribe", "arg": about, **CONNECTION})
                case "unsubscribe":
                    line.followed.pop(json.dumps(about), None)
                    await line.say({"event": "unsubscribe", "arg": about, **CONNECTION})

    async def _let_in(self, exchange: Any, line: Line, told: dict[str, str]) -> None:
        code = self._wrong_with(exchange, line, told)
        line.known = not code
        self.turned_away += bool(code)
        await line.say(_error(code, told) if code else {"event": "login", "code": "0", "msg": "", **CONNECTION})
        if code:
            await line.socket.close()

    def _wrong_with(self, exchange: Any, line: Line, told: dict[str, str]) -> str:
        """The code of what is wrong with a login, empty where nothing is."""
        signed = hmac.new(exchange.secret.encode(), f"{told['timestamp']}GET/users/self/verify".encode(), hashlib.sha256)
        for wrong, code in (
            (told["apiKey"] != exchange.api_key, "60005"),
            (exchange.demo not in (None, line.at.startswith(DEMO)), "60032"),
            (abs(exchange.now() - int(told["timestamp"]) * 1000) > WINDOW, "60006"),
            (told["passphrase"] != exchange.passphrase, "60024"),
            (not hmac.compare_digest(base64.b64encode(signed.digest()).decode(), told["sign"]), "60007"),
        ):
            if wrong:
                return code
        return ""

    def _refusal(self, exchange: Any, line: Line, about: dict[str, str]) -> str:
        """The code that a subscription is refused with, empty where it is taken."""
        public = PUBLIC in line.at
        if about == ORDERS and not public:
            if line.known:
                line.follow_orders(self.orders(exchange))
            return "" if line.known else "60011"
        if not public or about["channel"] != "books" or about["instId"] not in exchange.core.instruments:
            return "60018"
        line.follow(json.dumps(about), about["instId"])
        return ""

    def book(self, exchange: Any, line: Line, topic: str) -> Any:
        known = line.followed[topic]
        (shown,) = messages.book(exchange.core, known.market, exchange.now() - self.late, LEVELS)["data"]
        bids, asks = ({price: amount for price, amount, *_ in shown[side]} for side in ("bids", "asks"))
        data: dict[str, Any] = {side: [[*row, "0", "1"] for row in rows] for side, rows in _both(known, bids, asks).items()}
        data |= {"ts": shown["ts"], "prevSeqId": known.number or -1, "seqId": known.number + 1}
        line.followed[topic] = Followed(known.market, known.number + 1, bids, asks)
        return {"arg": json.loads(topic), "action": "update" if known.number else "snapshot", "data": [data]}

    def order(self, _exchange: Any, order: Order) -> dict[str, Any]:
        return messages.order(order)

    def word(self, _exchange: Any, order: dict[str, Any]) -> Any:
        filled = {"fillSz": order["accFillSz"], "fillPx": order["avgPx"], "tradeId": "", "code": "0", "msg": ""}
        return {"arg": {**ORDERS, "uid": "44705892343619584"}, "data": [order | filled]}


def _both(known: Followed, bids: dict[str, str], asks: dict[str, str]) -> dict[str, list[list[str]]]:
    return {"bids": changes(known.bids, bids), "asks": changes(known.asks, asks)}


def _error(code: str, about: dict[str, str]) -> dict[str, Any]:
    texts = {
        "60005": "Invalid apiKey",
        "60006": "Timestamp request expired",
        "60007": "Invalid sign",
        "60011": "Please log in",
        "60018": f"Wrong URL or {about} doesn't exist. Please use the correct URL, channel and parameters.",
        "60024": "Wrong passphrase",
        "60032": "API key doesn't exist",
    }
    return {"event": "error", "code": code, "msg": texts[code], **CONNECTION}
