"""The loopback server itself, with a skin made up for it: whatever an exchange's manner is, a handler is told of it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import aiohttp
import pytest

from tests.fakes.binance_usdm import usual_core
from tests.fakes.exchange_core import Reason, Refusal
from tests.fakes.loopback_requests import Fault, Seen
from tests.fakes.loopback_server import MALFORMED, LoopbackServer, Rejection, Reply, Skin


def _signed(_exchange: LoopbackServer, seen: Seen) -> None:
    if seen.header("x-sign") != f"{seen.path}{seen.query}{seen.body.decode()}":
        raise Rejection("bad sign")


def _gone(_exchange: LoopbackServer, told: dict[str, Any]) -> Reply:
    return Reply(status=202, body=told, headers={"X-Left": "7"})


def _refuse(_exchange: LoopbackServer, _told: dict[str, Any]) -> Any:
    raise Refusal(Reason.MARGIN)


@dataclass(slots=True, kw_only=True)
class Plain(LoopbackServer):
    """Answers with what it was told."""

    skin: ClassVar[Skin] = Skin(
        exchange="plain",
        hosts=("test.example", "live.example"),
        public={("GET", "/echo"): lambda _exchange, told: told, ("GET", "/number"): lambda _exchange, told: int(told["n"])},
        private={
            ("POST", "/orders/{settle}/{id}"): lambda _exchange, told: told,
            ("DELETE", "/orders/{settle}/{id}"): _gone,
            ("GET", "/refused"): _refuse,
        },
        authenticate=_signed,
        error=lambda about, seen: (400, {"about": str(about), "path": seen.path}),
        outages={"429": (429, {"busy": True})},
    )


CASES: list[tuple[str, str, dict[str, Any], int, Any]] = [
    ("GET", "/echo?a=1", {}, 200, {"a": "1"}),
    ("GET", "/number?n=x", {}, 400, {"about": MALFORMED, "path": "/number"}),
    ("POST", "/orders/usdt/7", {"json": {"n": 1}}, 200, {"n": 1, "settle": "usdt", "id": "7"}),
    ("POST", "/orders/usdt/7", {"json": ["a"]}, 200, {"": ["a"], "settle": "usdt", "id": "7"}),
    ("POST", "/orders/usdt/7", {"data": "n=1&m=2"}, 200, {"n": "1", "m": "2", "settle": "usdt", "id": "7"}),
    ("DELETE", "/orders/usdt/7?x=y", {}, 202, {"x": "y", "settle": "usdt", "id": "7"}),
    ("GET", "/refused", {}, 400, {"about": "margin", "path": "/refused"}),
    ("POST", "/orders/usdt", {}, 404, None),
]


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "body"), CASES, ids=[f"{one[0]} {one[1]} {one[2]}" for one in CASES]
)
async def test_a_handler_is_told_what_path_query_and_body_say(
    method: str, path: str, sent: dict[str, Any], status: int, body: Any
) -> None:
    async with Plain(core=usual_core()) as exchange, aiohttp.ClientSession() as session:
        async with session.request(method, exchange.url + path, headers={"X-Sign": "?"}, **sent) as answer:
            private = "orders/usdt/7" in path or "refused" in path
            assert answer.status == (400 if private else status)
        raw = exchange.requests[-1].body.decode()
        signature = path.replace("?", "") + raw
        async with session.request(method, exchange.url + path, headers={"X-Sign": signature}, **sent) as answer:
            assert answer.status == status
            assert body is None or await answer.json() == body


async def test_a_request_tells_the_host_that_it_was_meant_for_and_an_outage_has_the_skin_s_words() -> None:
    async with Plain(core=usual_core()) as exchange, aiohttp.ClientSession() as session:
        for host in ("live.example", "test.example"):
            async with session.get(f"{exchange.hosts[host]}/echo") as answer:
                assert answer.status == 200
        assert [one.host for one in exchange.requests] == ["live.example", "test.example"]
        exchange.faults.append(Fault("echo", "429"))
        async with session.get(f"{exchange.url}/echo") as answer:
            assert (answer.status, answer.headers["Retry-After"], await answer.json()) == (429, "30", {"busy": True})
