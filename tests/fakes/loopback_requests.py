"""What a loopback exchange keeps of a request, and the ways in which an answer goes wrong on the line."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

RATE_LIMITED = ("429", "418")
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it arrived.

    parameters: of the query and the body together; raw: query and body as sent, one after the other; host: the one that it
    was meant for; at: seconds on the monotonic clock; in_flight: requests then open.
    """

    method: str
    path: str
    parameters: dict[str, Any]
    raw: bytes
    body: bytes
    query: str
    headers: Mapping[str, str]
    host: str
    at: float
    in_flight: int

    def header(self, name: str) -> str:
        """A header whatever its case, empty where there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")


@dataclass(slots=True)
class Fault:
    """What goes wrong with a request of ``path`` (its last part). times: how often; alter: changes the true reply's JSON.

    kind: html, empty_object, empty, half_json, truncated, bad_gzip, drop_after, hang, redirect, odd_status, alter, 429, 418,
    503, 408, 502, 422, or one that the skin words; most of them, and drop, with ``_before``: the request is not taken. late:
    it is taken ``after`` seconds, whoever still listens, and never answered; slow: taken so, and answered as long after that;
    heard: as slow, but only taken if somebody still listens. says: what stands in the requests that it befalls.
    """

    path: str
    kind: str
    method: str = ""
    times: int = 1_000_000
    alter: Callable[[Any], Any] | None = None
    after: float = 0.0
    says: str = ""

    @property
    def takes_nothing(self) -> bool:
        """Whether the request never reaches the exchange's books."""
        return self.kind in RATE_LIMITED or self.kind.endswith("_before")


def parameters_of(query: str, body: bytes) -> dict[str, Any]:
    """What a request says in its query and its body, a form or JSON; a JSON array stands under an empty name."""
    told: dict[str, Any] = dict(parse_qsl(query))
    text = body.decode()
    if text[:1] not in ("{", "["):
        return told | dict(parse_qsl(text))
    try:
        message = json.loads(text)
    except ValueError:
        return told
    return told | (message if isinstance(message, dict) else {"": message})


def reply(status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    """``body`` as JSON; a text as HTML."""
    if isinstance(body, str):
        return web.Response(status=status, text=body, content_type="text/html", headers=headers)
    return web.Response(status=status, text=json.dumps(body), content_type="application/json", headers=headers)


def broken(request: web.Request, kind: str, outage: tuple[int, Any] | None, status: int, body: Any) -> web.Response:
    """The answer ``body`` as it looks after a fault of ``kind``. outage: what the exchange itself says to it."""
    whole = json.dumps(body)
    if request.transport is not None and kind in ("drop", "drop_after"):
        request.transport.abort()
    if request.transport is not None and kind == "truncated":
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(whole)}\r\n\r\n"
        request.transport.write((head + whole[: len(whole) // 2]).encode())
        request.transport.close()
    if outage is not None:
        return reply(*outage, {"Retry-After": "30"} if kind in RATE_LIMITED else None)
    shapes: dict[str, tuple[int, str, dict[str, str]]] = {
        "empty_object": (status, "{}", JSON),
        "empty": (status, "", JSON),
        "half_json": (status, whole[: len(whole) // 2], JSON),
        "bad_gzip": (status, whole, JSON | {"Content-Encoding": "gzip"}),
        "redirect": (302, "", {"Location": f"/elsewhere{request.path}"}),
        "odd_status": (300, whole, JSON),
        "html": (status, "<html>maintenance</html>", {"Content-Type": "text/html"}),
    }
    code, text, headers = shapes.get(kind) or (int(kind[:3]) if kind[:3].isdecimal() else 500, "<html>try again later</html>", {})
    if kind in RATE_LIMITED:
        headers = {"Retry-After": "30"}
    return web.Response(status=code, body=text.encode(), headers=headers)
