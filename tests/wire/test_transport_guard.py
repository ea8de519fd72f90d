"""The session below ccxt: where requests may go, that each leaves once, and that no key gets out on the way."""

import io
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from yarl import URL

from keeper.domain.errors import ConfigError, KeeperError, VenueRefused
from keeper.domain.order import Accepted, Rejected, Unknown
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.transport import GuardedSession, Silence, loopback_origins
from tests.fakes.binance_usdm import BinanceUsdm, Fault, in_thread, usual_core
from tests.fakes.loopback_venue import BTC, ShiftedClock, order, venue_at

DEMO = frozenset({"demo-fapi.binance.com"})
KEY_CANARY, SECRET_CANARY = "canary-key-5f1d0b9a", "canary-secret-77c2e4"

FORBIDDEN = [
    "https://fapi.binance.com/fapi/v1/order",
    "https://api.binance.com/api/v3/account",
    "http://demo-fapi.binance.com/fapi/v1/order",
    "https://demo-fapi.binance.com:8443/fapi/v1/order",
    "https://demo-fapi.binance.com.example.org/fapi/v1/order",
    "https://demo-fapi.binance.com@fapi.binance.com/fapi/v1/order",
    "https://127.0.0.1/fapi/v1/order",
    "/fapi/v1/order",
]


@pytest.mark.parametrize("url", FORBIDDEN)
@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch"])
async def test_a_testnet_session_refuses_every_other_host_before_it_connects(server: BinanceUsdm, method: str, url: str) -> None:
    session = GuardedSession(allowed=DEMO, origins=server.hosts, clock=ShiftedClock(), silence=Silence(), bans={})
    try:
        with pytest.raises(VenueRefused) as refusal:
            getattr(session, method)(URL(url))
        assert refusal.value.code == "host"
        assert not server.requests
    finally:
        await session.close()


async def test_a_testnet_venue_whose_ccxt_turns_to_the_live_host_sends_nothing(server: BinanceUsdm, venue: CcxtVenue) -> None:
    venue._exchange.enable_demo_trading(enable=False)
    outcome = await venue.place(order())
    assert isinstance(outcome, Rejected)
    assert outcome.code == "never_sent"
    assert "fapi.binance.com" in outcome.message
    with pytest.raises(VenueRefused, match="none of this environment's hosts"):
        await venue.account()
    assert not server.requests


async def test_with_hosts_given_a_host_that_they_do_not_map_is_not_reached(server: BinanceUsdm) -> None:
    with pytest.raises(VenueRefused, match=r"map demo-fapi\.binance\.com as well"):
        await venue_at(server, hosts={"fapi.binance.com": server.url}).__aenter__()
    assert not server.requests


async def test_a_request_for_a_proxy_is_refused(server: BinanceUsdm, venue: CcxtVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    venue._exchange.aiohttp_proxy = server.url
    with pytest.raises(VenueRefused, match="proxy"):
        await venue.stats(BTC)
    assert not server.requests
    venue._exchange.aiohttp_proxy = None
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await venue.stats(BTC)).volume


@pytest.mark.parametrize("environment", [Environment.TESTNET, Environment.LIVE])
async def test_ccxt_keeps_believing_that_it_talks_to_the_exchange(server: BinanceUsdm, environment: Environment) -> None:
    async with venue_at(server, environment) as venue:
        host = {"testnet": "demo-fapi.binance.com", "live": "fapi.binance.com"}[environment]
        assert venue._exchange.urls["api"]["fapiPrivate"] == f"https://{host}/fapi/v1"
        assert isinstance(await venue.place(order()), Accepted)


async def test_a_get_whose_connection_drops_is_not_resent_by_the_transport(server: BinanceUsdm) -> None:
    async with venue_at(server, attempts=1) as venue:
        await venue.stats(BTC)
        server.requests.clear()
        server.faults.append(Fault("24hr", "drop_after"))
        with pytest.raises(KeeperError):
            await venue.stats(BTC)
    assert len(server.requests) == 1


LOOPBACK = ["http://127.0.0.1:9001", "https://127.0.0.1:9001/", "http://[::1]:9001", "http://127.4.5.6:80"]
ELSEWHERE = [
    "http://localhost:9001",
    "http://10.0.0.1:9001",
    "https://fapi.binance.com",
    "http://127.0.0.1.example.org",
    "http://user:word@127.0.0.1:9001",
    "http://127.0.0.1:9001/prefix",
    "http://127.0.0.1:9001/?a=b",
    "ftp://127.0.0.1",
    "http://127.0.0.1:notaport",
    "127.0.0.1:9001",
    "",
]


@pytest.mark.parametrize("origin", LOOPBACK)
def test_hosts_may_lead_to_a_loopback_address(origin: str) -> None:
    assert loopback_origins("loop", {"fapi.binance.com": origin}) == {"fapi.binance.com": origin.rstrip("/")}


@pytest.mark.parametrize("origin", ELSEWHERE)
def test_hosts_that_lead_anywhere_else_are_a_configuration_error(origin: str) -> None:
    with pytest.raises(ConfigError, match=r"venues\.loop\.hosts\.fapi\.binance\.com"):
        loopback_origins("loop", {"fapi.binance.com": origin})


PLACES: list[Callable[[CcxtVenue], Any]] = [
    lambda venue: venue.account(),
    lambda venue: venue.quote(BTC),
    lambda venue: venue.lookup(BTC, "x"),
    lambda venue: venue.fills(BTC, "1"),
    lambda venue: venue.place(order()),
]


@pytest.mark.parametrize("kind", ["html", "empty", "half_json", "truncated", "drop_after", "503", "422", "-1007", "429", "hang"])
async def test_neither_key_nor_secret_nor_signed_query_is_in_any_error_outcome_or_log(
    server: BinanceUsdm, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.api_key, server.secret = KEY_CANARY, SECRET_CANARY
    said = io.StringIO()
    async with venue_at(server, credentials={"api_key": KEY_CANARY, "secret": SECRET_CANARY}, timeout=0.1, attempts=1) as venue:
        server.faults.append(Fault("", kind))
        for place in PLACES:
            try:
                outcome = await place(venue)
            except KeeperError as error:
                said.write(f"{error!r} {error} {''.join(traceback.format_exception(error))}")
            else:
                assert isinstance(outcome, Unknown | Rejected)
                said.write(repr(outcome))
        said.write(f"{venue!r} {venue} {venue.info!r}")
    said.write(caplog.text)
    assert KEY_CANARY not in said.getvalue()
    assert SECRET_CANARY not in said.getvalue()
    assert "signature=" not in said.getvalue()


@pytest.mark.parametrize("spoil", ["api_key", "secret"])
async def test_a_refused_key_is_not_repeated_in_the_refusal(server: BinanceUsdm, spoil: str) -> None:
    given = {"api_key": KEY_CANARY, "secret": SECRET_CANARY}
    server.api_key, server.secret = given["api_key"], given["secret"]
    setattr(server, spoil, "another")
    with pytest.raises(VenueRefused) as refusal:
        await venue_at(server, credentials=given).__aenter__()
    text = "".join(traceback.format_exception(refusal.value))
    assert KEY_CANARY not in text
    assert SECRET_CANARY not in text


def test_importing_the_venue_imports_neither_ccxt_nor_aiohttp() -> None:
    probe = "import sys, keeper.venues.ccxt_venue; print([m for m in ('ccxt', 'aiohttp', 'tenacity') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    assert done.stdout.strip() == "[]"


def test_the_loopback_exchange_stands_alone_for_other_processes() -> None:
    command = [sys.executable, "-m", "tests.fakes.binance_usdm", "--position", "BTCUSDT=3@50000", "--mid", "BTCUSDT=52500"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own words
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        process.terminate()
    assert url.startswith("http://127.0.0.1:")


async def test_the_loopback_exchange_serves_from_a_thread() -> None:
    with in_thread(BinanceUsdm(core=usual_core())) as server:
        async with venue_at(server) as venue:
            assert isinstance(await venue.place(order()), Accepted)
    assert len(server.core.orders) == 1


BANS = {418: timedelta(seconds=60), 429: timedelta(seconds=60)}
HELD = [
    ("7200", "1", 7200),
    ("1", "7200", 7200),
    ("7200", "", 7200),
    ("", "", 60),
    ("9" * 400, "1", 259_200),
    ("-5", "soon", 60),
]


@pytest.mark.parametrize(("first", "second", "longest"), HELD)
async def test_a_short_wait_that_is_asked_for_during_a_ban_does_not_end_it(first: str, second: str, longest: int) -> None:
    kept: list[Any] = []
    silence, clock = Silence(kept=kept.append), ShiftedClock()
    session = GuardedSession(allowed=DEMO, origins={}, clock=clock, silence=silence, bans=BANS)
    began = clock.now()
    try:
        for status, after in ((418, first), (429, second), (503, "999999")):
            await session._note_end(Any, NO_FLIGHT, answered(status, after))  # type: ignore[arg-type] # only the last two are read
    finally:
        await session.close()
    assert silence.until is not None
    assert abs(silence.until - began - timedelta(seconds=longest)) < timedelta(seconds=1)
    assert kept[-1] == silence.until


NO_FLIGHT: Any = SimpleNamespace(trace_request_ctx=None)


def answered(status: int, retry_after: str) -> Any:
    return SimpleNamespace(response=SimpleNamespace(status=status, headers={"Retry-After": retry_after}))
