"""A loopback exchange without a protocol of its own: it serves, remembers every request, is slow or broken on demand.

How to write a skin for an exchange: one module ``tests/fakes/EXCHANGE.py`` (and ``EXCHANGE_messages.py`` for its wording).

1. Word the core's truth in functions of the core: ``order(one)``, ``position(core, symbol)``, ``error(about, seen)`` ...
2. Write a handler for each path: ``def _place(exchange, told): return messages.order(exchange.core.place(...))``. ``told`` holds
   what the query, the body (form or JSON object) and the path's ``{names}`` say; a JSON array stands under ``""``.
   Whoever has to answer with another status, or headers, returns a ``Reply``.
3. Say in ``authenticate(exchange, seen)`` what a signature must be: ``seen`` has the headers, the raw body, query and path.
   Raise ``Rejection(code)``; the core raises ``Refusal(reason)``; ``error`` words both.
4. ``class Exchange(LoopbackServer): skin = Skin(exchange="ccxt id", hosts=(testnet, live), public=..., private=..., ...)``.
5. List it as a case of tests/contract (see ``cases.py`` there).
6. Where Keeper follows its streams, give it ``streams`` (see ``loopback_streams``).
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from aiohttp import web

from tests.fakes.exchange_core import ExchangeCore, Reason, Refusal
from tests.fakes.loopback_requests import Fault, Seen, broken, parameters_of, reply
from tests.fakes.loopback_streams import LoopbackStreams

API_KEY = "loopback-key-0123456789"
SECRET = "loopback-secret-abcdefghij"
PASSPHRASE = "loopback-passphrase-42"
MALFORMED = "malformed"
S = TypeVar("S", bound="LoopbackServer")


class Rejection(Exception):
    """A request that the protocol layer turns down. code: as the skin's ``error`` takes it."""

    def __init__(self, code: Any) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a handler answers where HTTP 200 with its value is not all of it."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Told = dict[str, Any]
Handler = Callable[[Any, Told], Any]
Routes = Mapping[tuple[str, str], Handler]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skin:
    """What an exchange is like from outside.

    exchange: ccxt's id; hosts: that it stands for; public, private: handlers by method and path, in which ``{name}`` is a
    parameter; authenticate: raises Rejection for a private request that is not signed as it must be; error: status and body
    for a reason of the core, a code of a Rejection, or ``MALFORMED`` for a request that a handler could not read; outages:
    status and body of kinds of faults that the exchange has its own words for (such as ``429``); truth: what really stands,
    for a test in another process.
    """

    exchange: str
    hosts: tuple[str, ...]
    public: Routes
    private: Routes
    authenticate: Callable[[Any, Seen], None]
    error: Callable[[Any, Seen], tuple[int, Any]]
    outages: Mapping[str, tuple[int, Any]] = field(default_factory=dict)
    truth: Callable[[Any, int], Any] = lambda _core, requests: {"requests": requests}


def under(prefix: str, routes: Routes) -> Routes:
    """``routes`` with ``prefix`` before each path."""
    return {(method, prefix + path): handler for (method, path), handler in routes.items()}


@dataclass(slots=True, kw_only=True)
class LoopbackServer:
    """The server. delay: seconds before each reply; skew: ms that its clock runs ahead of the machine's.

    Each host has an address of its own, so that a request tells which one it was meant for.
    """

    skin: ClassVar[Skin]
    core: ExchangeCore
    api_key: str = API_KEY
    secret: str = SECRET
    passphrase: str = PASSPHRASE
    delay: float = 0.0
    skew: int = 0
    faults: list[Fault] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    hosts: dict[str, str] = field(default_factory=dict)
    streams: LoopbackStreams = field(default_factory=LoopbackStreams)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    on_the_way: "set[asyncio.Task[Reply]]" = field(default_factory=set)
    _runner: web.AppRunner | None = None
    _ports: dict[int, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address of the first host."""
        return self.hosts[self.skin.hosts[0]]

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
        """Serve; the first host at ``port``, any free one where that is 0."""
        app = web.Application()
        app.router.add_get("/truth", self._truth)
        app.router.add_post("/mid", self._set_mid)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        for host in self.skin.hosts:
            await web.TCPSite(self._runner, "127.0.0.1", port).start()
            taken = self._runner.addresses[-1][1]
            self._ports[taken] = host
            self.hosts[host] = f"http://127.0.0.1:{taken}"
            port = 0

    async def stop(self) -> None:
        for taking in self.on_the_way:
            taking.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    def _host_of(self, request: web.Request) -> str:
        """The one that a request was meant for."""
        address = None if request.transport is None else request.transport.get_extra_info("sockname")
        return "" if address is None else self._ports.get(address[1], "")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.streams.serve(self, request, self._host_of(request))
        body = await request.read()
        query = request.rel_url.raw_query_string
        self.in_flight += 1
        seen = Seen(
            method=request.method,
            path=request.path,
            parameters=parameters_of(query, body),
            raw=query.encode() + body,
            body=body,
            query=query,
            headers=dict(request.headers),
            host=self._host_of(request),
            at=time.monotonic(),
            in_flight=self.in_flight,
        )
        self.requests.append(seen)
        try:
            if self.delay:
                await _pause(self.delay)
            fault = self._next_fault(seen)
            if fault is None:
                return _sent(self._answer(seen))
            return await self._faulty(request, seen, fault)
        finally:
            self.in_flight -= 1

    async def _faulty(self, request: web.Request, seen: Seen, fault: Fault) -> web.StreamResponse:
        if fault.kind in ("slow", "late"):
            return await self._taken_late(seen, fault)
        if fault.kind == "heard":
            await _pause(fault.after)
            answer = self._answer(seen)
            await _pause(fault.after)
            return _sent(answer)
        answer = Reply(body={}) if fault.takes_nothing else self._answer(seen)
        if fault.alter is not None:
            return reply(answer.status, fault.alter(answer.body), answer.headers)
        if fault.kind in ("hang", "hang_before"):
            self.hanging.set()
            await _pause(3600)
        kind = fault.kind.removesuffix("_before")
        return broken(request, kind, self.skin.outages.get(kind), answer.status, answer.body)

    async def _taken_late(self, seen: Seen, fault: Fault) -> web.StreamResponse:
        async def take() -> Reply:
            await _pause(fault.after)
            return self._answer(seen)

        taking = asyncio.create_task(take())
        self.on_the_way.add(taking)
        taking.add_done_callback(self.on_the_way.discard)
        if fault.kind == "late":
            await _pause(3600)
        answer = await asyncio.shield(taking)
        await _pause(fault.after)
        return _sent(answer)

    def _next_fault(self, seen: Seen) -> Fault | None:
        for fault in self.faults:
            meant = seen.path.endswith(fault.path) and fault.method in ("", seen.method) and fault.says.encode() in seen.raw
            if meant and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _answer(self, seen: Seen) -> Reply:
        skin = self.skin
        public, private = (_found(routes, seen) for routes in (skin.public, skin.private))
        found = public or private
        if found is None:
            return Reply(status=404, body="<html>no such path</html>")
        handler, named = found
        try:
            if public is None:
                skin.authenticate(self, seen)
            told = handler(self, seen.parameters | named)
        except Refusal as refusal:
            return _refused(skin, refusal.reason, seen)
        except Rejection as rejection:
            return _refused(skin, rejection.code, seen)
        except (KeyError, InvalidOperation, ValueError, TypeError):
            return _refused(skin, MALFORMED, seen)
        return told if isinstance(told, Reply) else Reply(body=told)

    async def _truth(self, _request: web.Request) -> web.Response:
        return reply(200, self.skin.truth(self.core, len(self.requests)))

    async def _set_mid(self, request: web.Request) -> web.Response:
        told = await request.json()
        self.core.set_mid(told["symbol"], Decimal(told["mid"]))
        return reply(200, {})


def _refused(skin: Skin, about: Reason | Any, seen: Seen) -> Reply:
    status, body = skin.error(about, seen)
    return Reply(status=status, body=body)


def _found(routes: Routes, seen: Seen) -> tuple[Handler, dict[str, str]] | None:
    """The handler of a request, and what its path names."""
    exact = routes.get((seen.method, seen.path))
    if exact is not None:
        return exact, {}
    for (method, path), handler in routes.items():
        if method == seen.method and "{" in path and (match := _pattern(path).fullmatch(seen.path)) is not None:
            return handler, match.groupdict()
    return None


@cache
def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts)))


def _sent(answer: Reply) -> web.Response:
    return reply(answer.status, answer.body, answer.headers)


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
