"""A loopback exchange that speaks Binance USD-M REST, checks every signature and remembers every request.

In a test: ``async with BinanceUsdm(...) as exchange`` or, for blocking code, ``with in_thread(exchange)``. From a shell:
``python -m tests.fakes.binance_usdm`` prints one JSON line with its URL; ``GET /truth`` and ``POST /mid`` are for the test.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import web

from tests.fakes import binance_messages as messages
from tests.fakes.exchange_core import ExchangeCore, Instrument, Ladder, Refusal

API_KEY = "loopback-key-0123456789"
SECRET = "loopback-secret-abcdefghij"
HOSTS = ("demo-fapi.binance.com", "fapi.binance.com")
AHEAD = 1000
DEFAULT_WINDOW = 5000
LONGEST_WINDOW = 60_000
BEFORE = ("drop_before", "429", "418", "503_before")


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived. at: seconds on the monotonic clock; raw: signed bytes; in_flight: requests then open."""

    method: str
    path: str
    parameters: dict[str, str]
    raw: bytes
    key: str | None
    at: float
    in_flight: int


@dataclass(slots=True)
class Fault:
    """What goes wrong with a request of ``path`` (its last part). times: how often; alter: changes the true reply's JSON.

    kind: html, empty_object, empty, half_json, truncated, bad_gzip, drop_before, drop_after, hang, redirect, odd_status,
    alter, 429, 418, 503_before, 503, 408, 502, 422, -1006, -1007.
    """

    path: str
    kind: str
    method: str = ""
    times: int = 1_000_000
    alter: Callable[[Any], Any] | None = None


class Rejection(Exception):
    """A request that the protocol layer turns down."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True, kw_only=True)
class BinanceUsdm:
    """The server. delay: seconds before each reply; skew: ms that its clock runs ahead of the machine's."""

    core: ExchangeCore
    api_key: str = API_KEY
    secret: str = SECRET
    delay: float = 0.0
    skew: int = 0
    faults: list[Fault] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    url: str = ""
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    @property
    def hosts(self) -> dict[str, str]:
        """What a venue's ``hosts`` must say to reach this server."""
        return dict.fromkeys(HOSTS, self.url)

    def now(self) -> int:
        return self.core.now() + self.skew

    def seen(self, path: str, method: str = "") -> list[Seen]:
        """The requests whose path ends in ``path``."""
        return [one for one in self.requests if one.path.endswith(path) and method in ("", one.method)]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_get("/truth", self._truth)
        app.router.add_post("/mid", self._set_mid)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        query = request.rel_url.raw_query_string.encode()
        raw = query + body
        parameters = dict(parse_qsl(raw.decode()))
        self.in_flight += 1
        key = request.headers.get("X-MBX-APIKEY")
        seen = Seen(request.method, request.path, parameters, raw, key, time.monotonic(), self.in_flight)
        self.requests.append(seen)
        try:
            if self.delay:
                await _pause(self.delay)
            fault = self._next_fault(request.method, request.path)
            if fault is not None and fault.kind in BEFORE:
                return _broken(request, fault.kind, 200, {})
            status, reply = self._answer(seen)
            if fault is None:
                return _json(status, reply)
            if fault.alter is not None:
                return _json(status, fault.alter(reply))
            if fault.kind == "hang":
                self.hanging.set()
                await _pause(3600)
            return _broken(request, fault.kind, status, reply)
        finally:
            self.in_flight -= 1

    def _next_fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if path.endswith(fault.path) and fault.method in ("", method) and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _answer(self, seen: Seen) -> tuple[int, Any]:
        route, parameters = (seen.method, seen.path.removeprefix("/fapi/")), seen.parameters
        try:
            if route in PUBLIC:
                return 200, PUBLIC[route](self, parameters)
            if route not in PRIVATE:
                return 404, "<html>no such path</html>"
            self._authenticate(seen)
            return 200, PRIVATE[route](self, parameters)
        except Refusal as refusal:
            return messages.error(messages.CODES[refusal.reason])
        except Rejection as rejection:
            return messages.error(rejection.code)
        except (KeyError, InvalidOperation, ValueError):
            return messages.error(-1102)

    def _authenticate(self, seen: Seen) -> None:
        if not seen.key:
            raise Rejection(-2014)
        if seen.key != self.api_key:
            raise Rejection(-2015)
        signed, _, signature = seen.raw.rpartition(b"&signature=")
        expected = hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature):
            raise Rejection(-1022)
        stamp, window = int(seen.parameters["timestamp"]), int(seen.parameters.get("recvWindow", DEFAULT_WINDOW))
        if window > LONGEST_WINDOW:
            raise Rejection(-1131)
        if stamp > self.now() + AHEAD or self.now() - stamp > window:
            raise Rejection(-1021)

    async def _truth(self, _request: web.Request) -> web.Response:
        return _json(200, messages.truth(self.core, len(self.requests)))

    async def _set_mid(self, request: web.Request) -> web.Response:
        told = await request.json()
        self.core.set_mid(told["symbol"], Decimal(told["mid"]))
        return _json(200, {})


def _place(exchange: BinanceUsdm, told: dict[str, str]) -> Any:
    if told["type"] != "LIMIT":
        raise Rejection(-1116)
    order = exchange.core.place(
        client_id=told["newClientOrderId"],
        symbol=told["symbol"],
        sign={"BUY": 1, "SELL": -1}[told["side"]],
        amount=Decimal(told["quantity"]),
        price=Decimal(told["price"]),
        time_in_force=told["timeInForce"],
        reduce_only=told.get("reduceOnly") == "true",
    )
    return messages.order(order)


def _find(exchange: BinanceUsdm, told: dict[str, str]) -> Any:
    return messages.order(exchange.core.find(told["symbol"], **_which(told)))


def _cancel(exchange: BinanceUsdm, told: dict[str, str]) -> Any:
    return messages.order(exchange.core.cancel(told["symbol"], **_which(told)))


def _which(told: dict[str, str]) -> dict[str, Any]:
    return {"order_id": int(told["orderId"]) if "orderId" in told else None, "client_id": told.get("origClientOrderId")}


def _trades(exchange: BinanceUsdm, told: dict[str, str]) -> Any:
    core = exchange.core
    core.instrument(told["symbol"])
    wanted = [
        t for t in core.trades if t.symbol == told["symbol"] and ("orderId" not in told or t.order_id == int(told["orderId"]))
    ]
    return [messages.trade(trade, core.instruments[trade.symbol].settle) for trade in wanted]


def _depth(exchange: BinanceUsdm, told: dict[str, str]) -> Any:
    return messages.depth(exchange.core, told["symbol"], exchange.now(), int(told.get("limit", 500)))


Handler = Callable[[BinanceUsdm, dict[str, str]], Any]
PUBLIC: dict[tuple[str, str], Handler] = {
    ("GET", "v1/ping"): lambda _exchange, _told: {},
    ("GET", "v1/time"): lambda exchange, _told: {"serverTime": exchange.now()},
    ("GET", "v1/exchangeInfo"): lambda exchange, _told: messages.exchange_info(exchange.core, exchange.now()),
    ("GET", "v1/depth"): _depth,
    ("GET", "v1/premiumIndex"): lambda exchange, told: messages.premium(exchange.core, told["symbol"], exchange.now()),
    ("GET", "v1/ticker/24hr"): lambda exchange, told: messages.ticker(exchange.core, told["symbol"], exchange.now()),
}
PRIVATE: dict[tuple[str, str], Handler] = {
    ("GET", "v3/account"): lambda exchange, _told: messages.account(exchange.core, exchange.now()),
    ("GET", "v3/positionRisk"): lambda exchange, _told: messages.positions(exchange.core, exchange.now()),
    ("GET", "v1/leverageBracket"): lambda exchange, _told: messages.brackets(exchange.core),
    ("GET", "v1/positionSide/dual"): lambda exchange, _told: {"dualSidePosition": exchange.core.hedged},
    ("GET", "v1/commissionRate"): lambda exchange, told: messages.commission(exchange.core, told["symbol"]),
    ("GET", "v1/openOrders"): lambda exchange, _told: [messages.order(one) for one in exchange.core.open_orders()],
    ("GET", "v1/userTrades"): _trades,
    ("GET", "v1/order"): _find,
    ("POST", "v1/order"): _place,
    ("DELETE", "v1/order"): _cancel,
}


def _json(status: int, reply: Any) -> web.Response:
    if isinstance(reply, str):
        return web.Response(status=status, text=reply, content_type="text/html")
    return web.Response(status=status, text=json.dumps(reply), content_type="application/json")


def _broken(request: web.Request, kind: str, status: int, reply: Any) -> web.Response:
    whole = json.dumps(reply)
    if request.transport is not None and kind in ("drop_before", "drop_after"):
        request.transport.abort()
    if request.transport is not None and kind == "truncated":
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(whole)}\r\n\r\n"
        request.transport.write((head + whole[: len(whole) // 2]).encode())
        request.transport.close()
    if kind in ("-1006", "-1007"):
        return _json(*messages.error(int(kind)))
    plain = {"Content-Type": "application/json"}
    shapes: dict[str, tuple[int, str, dict[str, str]]] = {
        "empty_object": (status, "{}", plain),
        "empty": (status, "", plain),
        "half_json": (status, whole[: len(whole) // 2], plain),
        "bad_gzip": (status, whole, plain | {"Content-Encoding": "gzip"}),
        "redirect": (302, "", {"Location": f"/elsewhere{request.path}"}),
        "odd_status": (300, whole, plain),
        "html": (status, "<html>maintenance</html>", {"Content-Type": "text/html"}),
    }
    if kind in ("429", "418"):
        shapes[kind] = (int(kind), json.dumps(messages.error(-1003)[1]), plain | {"Retry-After": "30"})
    code, text, headers = shapes.get(kind) or (int(kind[:3]) if kind[:3].isdecimal() else 500, "<html>try again later</html>", {})
    return web.Response(status=code, body=text.encode(), headers=headers)


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - the server's slowness is real


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def usual_core(**changes: Any) -> ExchangeCore:
    """100 USDT per point of nothing special: 100,000 USDT, BTC at 50,000 and ETH at 2,500, and markets Keeper refuses."""
    instruments = [
        Instrument(symbol="BTCUSDT", base="BTC"),
        Instrument(symbol="ETHUSDT", base="ETH", tick=Decimal("0.01"), min_notional=Decimal(20)),
        Instrument(symbol="BTCUSDT_270326", base="BTC", contract="CURRENT_QUARTER", delivery=1_806_048_000_000),
        Instrument(symbol="DEADUSDT", base="DEAD", status="SETTLING"),
        Instrument(symbol="ODDUSDT", base="ODD", settle="BTC"),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USDT": Decimal(100_000)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTCUSDT": Ladder(mid=Decimal(50_000)),
            "ETHUSDT": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(10), half_life=2.0),
        },
    }
    return ExchangeCore(**(parts | changes))


@contextmanager
def in_thread(exchange: BinanceUsdm) -> Iterator[BinanceUsdm]:
    """Serve from another thread, for tests whose own thread blocks."""
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with exchange:
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise TimeoutError("the loopback exchange did not start")
    try:
        yield exchange
    finally:
        done.set()
        thread.join(10)


async def _stand_alone(arguments: argparse.Namespace) -> None:
    core = usual_core()
    core.wallet = {asset: Decimal(amount) for asset, amount in (one.split("=") for one in arguments.balance)} or core.wallet
    for symbol, mid in (one.split("=") for one in arguments.mid):
        core.set_mid(symbol, Decimal(mid))
    for symbol, held in (one.split("=") for one in arguments.position):
        amount, entry = held.split("@")
        core.hold(symbol, Decimal(amount), Decimal(entry))
    exchange = BinanceUsdm(core=core, api_key=arguments.api_key, secret=arguments.secret, delay=arguments.delay)
    await exchange.start(arguments.port)
    sys.stdout.write(json.dumps({"url": exchange.url}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default=API_KEY)
    parser.add_argument("--secret", default=SECRET)
    parser.add_argument("--delay", type=float, default=0.0)
    for name, example in (("balance", "USDT=100000"), ("mid", "BTCUSDT=52500"), ("position", "BTCUSDT=-3@50000")):
        parser.add_argument(f"--{name}", action="append", default=[], metavar=example)
    try:
        asyncio.run(_stand_alone(parser.parse_args()))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
