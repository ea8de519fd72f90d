"""The one way out to an exchange: the HTTP session that ccxt is given, so that nothing can be sent around it.

A request leaves once, to a host that its environment allows, straight there: no resend, no redirect, no proxy, no cookie.
What became of it is kept in a Flight, since ccxt's own answer can't tell a refusal from a lost reply.
Importing this module imports neither aiohttp nor ccxt.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keeper.domain.errors import ConfigError, InvariantViolation, Problem, VenueRefused, VenueUnavailable
from keeper.ports import Clock

if TYPE_CHECKING:
    import ssl
    from types import SimpleNamespace

    import aiohttp
    from yarl import URL

LONGEST_SILENCE = timedelta(days=3)
MOST_DIGITS = 10
WAITS = ("Retry-After", "rate-limit-reset")
"""Headers by which an answer says for how many seconds to keep silent."""
LOOPBACK_REMEDY = "map a host to a loopback origin such as http://127.0.0.1:9001, without path or credentials"


@dataclass(slots=True)
class Flight:
    """What is known of the latest request of one call.

    carries: what a request must hold, or it does not leave: an order without its client id could never be settled; sent: False
    proves that no byte of it left; asked: host and port that it is for, empty before it is known; status, body:
    of its answer once that was read whole, else None and empty; headers: what it is sent with beside ccxt's own; signed_at: the
    time that it is signed with by this machine's clock, milliseconds since 1970, None for the time that it is; heard: is told
    the headers of its answer.
    """

    carries: str = ""
    sent: bool = False
    asked: str = ""
    status: int | None = None
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    signed_at: int | None = None
    heard: Callable[[Mapping[str, str]], None] | None = None


_FLIGHT: ContextVar[Flight | None] = ContextVar("keeper_flight", default=None)


@contextmanager
def watched() -> Iterator[Flight]:
    """The Flight of whatever is sent inside, by this task and those it starts."""
    flight = Flight()
    token = _FLIGHT.set(flight)
    try:
        yield flight
    finally:
        _FLIGHT.reset(token)


def signing_time(now: int) -> int:
    """``now``, or what the Flight of this call says instead, both milliseconds since 1970; stands in for ccxt's clock."""
    flight = _FLIGHT.get()
    return now if flight is None or flight.signed_at is None else flight.signed_at


def note_answer(
    status: int, _reason: str, _url: str, _method: str, _headers: Mapping[str, str], body: str, *_sent: object
) -> str:
    """Keep an answer that was read whole; stands in for ccxt's ``on_rest_response`` and returns what that returns."""
    flight = _FLIGHT.get()
    if flight is not None:
        flight.status, flight.body = status, body
    return body.strip()


def loopback_origins(venue: str, hosts: Mapping[str, str]) -> dict[str, str]:
    """``hosts`` (name to URL) without trailing slashes. ConfigError for each that does not lead to a loopback address."""
    problems = [
        Problem(f"venue {venue}", f"venues.{venue}.hosts.{host}", origin, LOOPBACK_REMEDY)
        for host, origin in hosts.items()
        if not _is_loopback_origin(origin)
    ]
    if problems:
        raise ConfigError(*problems)
    return {host: origin.rstrip("/") for host, origin in hosts.items()}


def _is_loopback_origin(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        # reading the port checks it
        address, _ = ipaddress.ip_address(parts.hostname or ""), parts.port
    except ValueError:
        return False
    extra = parts.username or parts.password or parts.path.strip("/") or parts.query or parts.fragment
    return address.is_loopback and parts.scheme in ("http", "https") and not extra


@cache
def trusted_authorities() -> "ssl.SSLContext":
    """The TLS context of every session: building one blocks the loop for 16 ms."""
    import ssl

    import certifi

    return ssl.create_default_context(cafile=certifi.where())


@dataclass(slots=True)
class Silence:
    """Until when a venue wants to hear nothing, aware UTC; it outlasts the connection on which that was said.

    kept: is told of it, so that whoever waits for a turn need not find out.
    """

    until: datetime | None = None
    kept: Callable[[datetime], None] | None = None

    def keep(self, until: datetime) -> None:
        """Keep silent until then, at least: a short wait that is asked for during a ban does not end it."""
        self.until = until if self.until is None else max(self.until, until)
        if self.kept is not None:
            self.kept(self.until)


class GuardedSession:
    """An aiohttp session with ccxt's calling convention that refuses a wrong host before it connects.

    allowed: hosts of the environment; origins: from ``loopback_origins``, and where there are any no other host is
    reached; clock: measures how long to keep silent; silence: where that is kept; bans: HTTP statuses that ask for it, and
    for how long where no Retry-After says so; streamed: hosts of the environment's streams, of which one with a path
    (``host/path/``) is allowed below that path only.
    """

    def __init__(
        self,
        *,
        allowed: frozenset[str],
        origins: Mapping[str, str],
        clock: Clock,
        silence: Silence,
        bans: Mapping[int, timedelta],
        streamed: frozenset[str] = frozenset(),
    ) -> None:
        import aiohttp

        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_sent)
        trace.on_request_end.append(self._note_end)
        self._allowed = allowed
        self._origins = dict(origins)
        self._clock = clock
        self._silence = silence
        self._bans = bans
        self._streamed = streamed
        self.reached: dict[str, str] = {}
        """The hosts that were asked, and the origin that stood for each."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted_authorities()),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            trust_env=False,
        )
        if not hasattr(self._session, "_retry_connection"):
            raise InvariantViolation("this aiohttp resends requests by itself and can't be told not to: install another version")
        # aiohttp has no public switch, and a request that is sent twice is an order that is placed twice
        self._session._retry_connection = False  # noqa: SLF001

    @property
    def silent(self) -> bool:
        """Whether the venue asked for silence that has not ended."""
        return self._silence.until is not None and self._clock.now() < self._silence.until

    def refuse_in_silence(self) -> None:
        """VenueUnavailable while the venue wants to hear nothing."""
        if self.silent:
            raise VenueUnavailable(f"the venue asked for silence until {self._silence.until}")

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of every request; ccxt reads them, and there are none."""
        return {}

    def get(self, url: "URL", **options: Any) -> Any:
        """Send once; see ``aiohttp.ClientSession.get``. VenueRefused for a wrong host, VenueUnavailable in silence."""
        return self._send("GET", url, **options)

    def post(self, url: "URL", **options: Any) -> Any:
        """Send once, like ``get``."""
        return self._send("POST", url, **options)

    def put(self, url: "URL", **options: Any) -> Any:
        """Send once, like ``get``."""
        return self._send("PUT", url, **options)

    def delete(self, url: "URL", **options: Any) -> Any:
        """Send once, like ``get``."""
        return self._send("DELETE", url, **options)

    def patch(self, url: "URL", **options: Any) -> Any:
        """Send once, like ``get``."""
        return self._send("PATCH", url, **options)

    def ws_connect(self, url: str, *, proxy: str | None = None, **options: Any) -> Any:
        """Open a stream; see ``aiohttp.ClientSession.ws_connect``. Refuses as ``get`` does."""
        from yarl import URL

        if proxy is not None:
            raise VenueRefused("proxy", "a proxy was asked for: Keeper reaches venues straight")
        self.refuse_in_silence()
        return self._session.ws_connect(self._target(URL(url), "wss", self._streamed), **options)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    def _send(self, method: str, url: "URL", *, proxy: str | None = None, **options: Any) -> Any:
        if proxy is not None:
            raise VenueRefused("proxy", "a proxy was asked for: Keeper reaches venues straight")
        self.refuse_in_silence()
        target, flight = self._target(url, "https", self._allowed), _FLIGHT.get()
        if flight is not None:
            stands = "" if target.host == url.host else f" (which stands for {url.host})"
            flight.asked = f"{target.host}:{target.port}{stands}"
        _must_carry(flight, str(url), options.get("data"))
        if flight is not None and flight.headers:
            options["headers"] = {**options.get("headers", {}), **flight.headers}
        return self._session.request(method, target, allow_redirects=False, trace_request_ctx=flight, **options)

    def _target(self, url: "URL", scheme: str, allowed: frozenset[str]) -> "URL":
        from yarl import URL

        host = url.host or ""
        if not _is_among(allowed, url) or url.scheme != scheme or not url.is_default_port():
            raise VenueRefused("host", f"{url.scheme}://{url.authority} is none of this environment's hosts ({_names(allowed)})")
        if not self._origins:
            self.reached[host] = f"https://{host}"
            return url
        if host not in self._origins:
            remedy = f"hosts maps {_names(self._origins)} only: map {host} as well, or remove hosts"
            raise VenueRefused("host", remedy)
        self.reached[host] = self._origins[host]
        return URL(self._origins[host] + url.raw_path_qs, encoded=True)

    async def _note_end(
        self, _session: "aiohttp.ClientSession", context: "SimpleNamespace", end: "aiohttp.TraceRequestEndParams"
    ) -> None:
        response, flight = end.response, context.trace_request_ctx
        if isinstance(flight, Flight) and flight.heard is not None:
            flight.heard(response.headers)
        if response.status in self._bans:
            asked = next((response.headers[name] for name in WAITS if name in response.headers), "")
            wait = _seconds(asked) if asked.isascii() and asked.isdecimal() else self._bans[response.status]
            self._silence.keep(self._clock.now() + wait)


def _is_among(allowed: frozenset[str], url: "URL") -> bool:
    """Whether ``allowed`` names the host of ``url``, or what of it ``url`` is below."""
    return url.host in allowed or any(f"{url.host}{url.path}".startswith(one) for one in allowed if "/" in one)


def _seconds(digits: str) -> timedelta:
    return min(timedelta(seconds=int(digits)), LONGEST_SILENCE) if len(digits) < MOST_DIGITS else LONGEST_SILENCE


def _must_carry(flight: Flight | None, url: str, body: str | bytes | None) -> None:
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    if flight is not None and flight.carries not in f"{url} {text}":
        raise VenueRefused(
            "client_id", "ccxt would send this order without its client order id, by which alone it can be settled"
        )


async def _note_sent(_session: "aiohttp.ClientSession", context: "SimpleNamespace", _headers: object) -> None:
    flight = context.trace_request_ctx
    if isinstance(flight, Flight):
        flight.sent = True


def _names(hosts: Mapping[str, str] | frozenset[str]) -> str:
    return ", ".join(sorted(hosts))
