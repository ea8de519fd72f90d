"""A loopback exchange in Binance's manner: signatures, time windows, faults on demand, and a memory of every request.

Which paths there are, and how truth is worded, is for each of its markets to say (``binance_usdm``, ``binance_spot``).
"""

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web

from tests.fakes.exchange_core import ExchangeCore, Reason, Refusal, Trade

API_KEY = "loopback-key-0123456789"
SECRET = "loopback-secret-abcdefghij"
AHEAD = 1000
DEFAULT_WINDOW = 5000
LONGEST_WINDOW = 60_000
S = TypeVar("S", bound="BinanceServer")
BEFORE = ("429", "418")


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

    kind: html, empty_object, empty, half_json, truncated, bad_gzip, drop_after, hang, redirect, odd_status, alter, 429, 418,
    503, 408, 502, 422, -1006, -1007; most of them, and drop, with ``_before``: the request is not taken. late: it is taken
    ``after`` seconds, whoever still listens, and never answered; slow: taken so, and answered as long after that; heard: as
    slow, but only taken if somebody still listens.
    """

    path: str
    kind: str
    method: str = ""
    times: int = 1_000_000
    alter: Callable[[Any], Any] | None = None
    after: float = 0.0

    @property
    def takes_nothing(self) -> bool:
        """Whether the request never reaches the exchange's books."""
        return self.kind in BEFORE or self.kind.endswith("_before")


class Rejection(Exception):
    """A request that the protocol layer turns down."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


T = TypeVar("T", bound=Trade)
Handler = Callable[[Any, dict[str, str]], Any]
Routes = Mapping[tuple[str, str], Handler]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skin:
    """What one market of the exchange is like from outside.

    hosts: that it stands for; prefix: of every path; error: status and body for a code or for a reason of the core; truth:
    what really stands, for a test in another process.
    """

    hosts: tuple[str, ...]
    prefix: str
    public: Routes
    private: Routes
    error: Callable[[int | Reason], tuple[int, dict[str, Any]]]
    truth: Callable[[Any, int], dict[str, Any]]


@dataclass(slots=True, kw_only=True)
class BinanceServer:
    """The server. delay: seconds before each reply; skew: ms that its clock runs ahead of the machine's."""

    skin: ClassVar[Skin]
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
    on_the_way: "set[asyncio.Task[tuple[int, Any]]]" = field(default_factory=set)
    _runner: web.AppRunner | None = None

    @property
    def hosts(self) -> dict[str, str]:
        """What a venue's ``hosts`` must say to reach this server."""
        return dict.fromkeys(self.skin.hosts, self.url)

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
        for taking in self.on_the_way:
            taking.cancel()
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
            if fault is not None and fault.kind in ("slow", "late"):
                return await self._taken_late(seen, fault)
            if fault is not None and fault.kind == "heard":
                await _pause(fault.after)
                status, reply = self._answer(seen)
                await _pause(fault.after)
                return _json(status, reply)
            status, reply = (200, {}) if fault is not None and fault.takes_nothing else self._answer(seen)
            if fault is None:
                return _json(status, reply)
            if fault.alter is not None:
                return _json(status, fault.alter(reply))
            if fault.kind in ("hang", "hang_before"):
                self.hanging.set()
                await _pause(3600)
            return _broken(request, self.skin, fault.kind.removesuffix("_before"), status, reply)
        finally:
            self.in_flight -= 1

    async def _taken_late(self, seen: Seen, fault: Fault) -> web.StreamResponse:
        async def take() -> tuple[int, Any]:
            await _pause(fault.after)
            return self._answer(seen)

        taking = asyncio.create_task(take())
        self.on_the_way.add(taking)
        taking.add_done_callback(self.on_the_way.discard)
        if fault.kind == "late":
            await _pause(3600)
        status, reply = await asyncio.shield(taking)
        await _pause(fault.after)
        return _json(status, reply)

    def _next_fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if path.endswith(fault.path) and fault.method in ("", method) and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _answer(self, seen: Seen) -> tuple[int, Any]:
        route, parameters = (seen.method, seen.path.removeprefix(self.skin.prefix)), seen.parameters
        try:
            if route in self.skin.public:
                return 200, self.skin.public[route](self, parameters)
            if route not in self.skin.private:
                return 404, "<html>no such path</html>"
            self._authenticate(seen)
            return 200, self.skin.private[route](self, parameters)
        except Refusal as refusal:
            return self.skin.error(refusal.reason)
        except Rejection as rejection:
            return self.skin.error(rejection.code)
        except (KeyError, InvalidOperation, ValueError):
            return self.skin.error(-1102)

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
        return _json(200, self.skin.truth(self.core, len(self.requests)))

    async def _set_mid(self, request: web.Request) -> web.Response:
        told = await request.json()
        self.core.set_mid(told["symbol"], Decimal(told["mid"]))
        return _json(200, {})


def which(told: dict[str, str]) -> dict[str, Any]:
    """How a request names an order."""
    return {"order_id": int(told["orderId"]) if "orderId" in told else None, "client_id": told.get("origClientOrderId")}


def span(told: dict[str, str]) -> dict[str, Any]:
    """Which past orders a request asks for."""
    first, last = (int(told[name]) if name in told else None for name in ("startTime", "endTime"))
    return {"first": first, "last": last, "limit": min(int(told.get("limit", 500)), 1000)}


def page(trades: list[T], told: dict[str, str]) -> list[T]:
    """One answer of ``trades``, oldest first: those from an id on where the request names one, else the newest."""
    limit = min(int(told.get("limit", 500)), 1000)
    if "fromId" in told:
        return [one for one in trades if one.id >= int(told["fromId"])][:limit]
    return trades[-limit:]


def _json(status: int, reply: Any) -> web.Response:
    if isinstance(reply, str):
        return web.Response(status=status, text=reply, content_type="text/html")
    return web.Response(status=status, text=json.dumps(reply), content_type="application/json")


def _broken(request: web.Request, skin: Skin, kind: str, status: int, reply: Any) -> web.Response:
    whole = json.dumps(reply)
    if request.transport is not None and kind in ("drop", "drop_after"):
        request.transport.abort()
    if request.transport is not None and kind == "truncated":
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(whole)}\r\n\r\n"
        request.transport.write((head + whole[: len(whole) // 2]).encode())
        request.transport.close()
    if kind in ("-1006", "-1007"):
        return _json(*skin.error(int(kind)))
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
        shapes[kind] = (int(kind), json.dumps(skin.error(-1003)[1]), plain | {"Retry-After": "30"})
    code, text, headers = shapes.get(kind) or (int(kind[:3]) if kind[:3].isdecimal() else 500, "<html>try again later</html>", {})
    return web.Response(status=code, body=text.encode(), headers=headers)


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - the server's slowness is real


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@contextmanager
def in_thread(exchange: S) -> Iterator[S]:
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
