"""How long it takes from the bell to the first order's last byte on the wire, and what one more fund and one child cost.

    python tests/bench/bell_to_wire.py             all figures, about a minute
    python tests/bench/bell_to_wire.py --rounds 3  fewer of each

A loopback exchange in a process of its own takes 50 ms to hear and 50 ms to answer; a new connection takes two round trips
more, as TCP and TLS do. Keeper is what `keeper run` runs, with its journal on disk, markets loaded and the account settled by
its own last run; beside it, in the same process, a plain script with ccxt alone asks for balance, positions and ticker one after
the other, and sends an order. Both are told by when the order arrives at the other end's socket, which the loopback does not
delay. Memory is what Python allocates, without the buffers of TLS. Nothing here fails for being slow; a bar that is missed is
marked with an exclamation mark.
"""

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import structlog  # noqa: E402 - the path comes first
from aiohttp import ClientSession, web  # noqa: E402

from keeper.bootstrap import open_daemon  # noqa: E402
from keeper.domain.order import Accepted  # noqa: E402
from keeper.domain.run import Command, CommandKind  # noqa: E402
from keeper.journal.store import Mode, SqlJournal  # noqa: E402
from keeper.service.daemon import Daemon  # noqa: E402
from keeper.service.observer import Observer  # noqa: E402
from keeper.system import SystemClock, SystemEntropy  # noqa: E402
from keeper.venues.access import Exchanges  # noqa: E402
from keeper.venues.transport import GuardedSession, Silence  # noqa: E402
from tests.bench.probes import child  # noqa: E402
from tests.fakes.binance_usdm import API_KEY, HOSTS, SECRET, BinanceUsdm, usual_core  # noqa: E402
from tests.fakes.configurations import loaded, secret_files  # noqa: E402
from tests.fakes.exchange_core import ExchangeCore, Instrument  # noqa: E402
from tests.fakes.loopback_server import LoopbackServer  # noqa: E402
from tests.fakes.loopback_venue import BTC, alone, order, plenty, venue_at  # noqa: E402

WAY = 0.05
ROUND_TRIP = 2 * WAY
BAR = 1.25 * ROUND_TRIP + 0.025
REST = 16
"""Seconds between two rounds: longer than idle connections are kept, and than the limiter takes to grant as many reads again."""
FUNDS, MARKETS, COMMITS = 50, 600, 21
BLOCKS, CALLS, LIFE = 6, 50, timedelta(seconds=5)
MOST_MEMORY, MOST_CPU = 400_000, 0.001
FUND = "btc3l"
SETTINGS = """\
[venues.loop]
exchange = "binanceusdm"
environment = "testnet"
credentials = {{ api_key_file = "secrets/api_key", secret_file = "secrets/secret" }}
[venues.loop.hosts]
{hosts}
[funds.btc3l]
venue = "loop"
target = {{ "BTC/USDT:USDT" = 3 }}
schedule = {{ at = "{at}" }}
execution = {{ style = "twap", horizon = "1s", slices = 1 }}
limits = {{ max_turnover_per_day = 100 }}
breakers = {{ runs_per_hour = 1000, loss = 1 }}
"""


@dataclass(slots=True, kw_only=True)
class Distant(BinanceUsdm):
    """Far away: a way there, a way back, and two round trips for whoever connects."""

    known: set[Any] = field(default_factory=set)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.transport not in self.known:
            self.known.add(request.transport)
            await asyncio.sleep(2 * ROUND_TRIP)  # noqa: TID251 - the distance is real
        answer = await BinanceUsdm._serve(self, request)
        await asyncio.sleep(WAY)  # noqa: TID251 - as above
        return answer

    async def _truth(self, _request: web.Request) -> web.Response:
        return web.json_response([(one.method, one.path, one.at) for one in self.requests])


async def serve(*, near: bool) -> None:
    async with BinanceUsdm(core=usual_core()) if near else Distant(core=usual_core(), delay=WAY) as server:
        sys.stdout.write(json.dumps(server.hosts) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


class Exchange:
    """The other process. orders: when each arrived, seconds on the clock that both processes share."""

    def __init__(self, hosts: dict[str, str], http: ClientSession) -> None:
        self.hosts = hosts
        self._http = http

    async def requests(self, since: float) -> list[tuple[str, str, float]]:
        async with self._http.get(f"{self.hosts[HOSTS[0]]}/truth") as answer:
            return [(method, path, at) for method, path, at in await answer.json() if at >= since]

    async def first_order(self, since: float) -> float:
        while True:
            orders = [at for method, path, at in await self.requests(since) if (method, path[-6:]) == ("POST", "/order")]
            if orders:
                return orders[0]
            await pause(0.2)

    async def move(self, mid: Decimal) -> None:
        async with self._http.post(f"{self.hosts[HOSTS[0]]}/mid", json={"symbol": "BTCUSDT", "mid": str(mid)}):
            pass


@asynccontextmanager
async def exchange(*, quick: bool = False) -> AsyncIterator[Exchange]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve-near" if quick else "--serve", stdout=subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the exchange tells nothing")
        hosts = json.loads(await process.stdout.readline())
        async with ClientSession() as http:
            yield Exchange(hosts, http)
    finally:
        process.terminate()
        await process.wait()


async def pause(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - what is measured is real time


async def commits(folder: Path) -> float:
    """Seconds that one write to a journal takes on this disk."""
    journal, taken = SqlJournal.open(f"sqlite:///{folder / 'other.db'}", mode=Mode.WRITER), []
    for _ in range(COMMITS):
        before = time.monotonic()
        await journal.note("bench", fund=FUND, run="", at=SystemClock().now(), payload={})
        taken.append(time.monotonic() - before)
    await journal.close()
    return statistics.median(taken)


class Kept:
    """A fund that the daemon keeps."""

    def __init__(self, daemon: Daemon, there: Exchange) -> None:
        self.keeper = daemon._keepers[FUND]
        self.journal = daemon._journal
        self.there = there

    async def rebalance(self) -> float:
        """When the bell rang, on the monotonic clock; the run is over when it returns."""
        now = SystemClock().now()
        asked = Command(id=SystemEntropy().token(), fund=FUND, kind=CommandKind.REBALANCE, reason="bench", at=now)
        await self.journal.submit_command(asked)
        await self.journal.take_command(asked.id, now)
        rang = time.monotonic()
        self.keeper.ask(asked)
        while (told := await self.journal.find_command(asked.id)) is None or told.ended_at is None:
            await pause(0.1)
        if told.exit_code not in (0, None):
            raise RuntimeError(f"the run ended with {told.exit_code}: {told.answer}")
        return rang

    async def measured(self, mid: Decimal, *, warm: bool) -> float:
        """Seconds from the bell to the first order, after the price moved to ``mid``."""
        await self.there.move(mid)
        await pause(REST)
        if warm:
            await self.keeper._charge.warm()
        rang = await self.rebalance()
        return await self.there.first_order(rang) - rang


async def keeper(there: Exchange, rounds: int) -> tuple[list[float], list[float], list[str]]:
    """Seconds of each round with warm connections, and with cold ones; what was asked between bell and order at last."""
    with tempfile.TemporaryDirectory() as told:
        folder = Path(told)
        secret_files(folder, API_KEY, SECRET)
        hosts = "\n".join(f'"{host}" = "{origin}"' for host, origin in there.hosts.items())
        far = SystemClock().now() + timedelta(hours=6)
        settings = loaded(folder, SETTINGS.format(hosts=hosts, at=f"{far:%H:%M}"))
        async with open_daemon(settings, [FUND], {}) as daemon:
            running = asyncio.ensure_future(daemon.run())
            kept = Kept(daemon, there)
            await kept.rebalance()
            mids = [Decimal(50_000 + 500 * (1 + number % 2)) for number in range(2 * rounds)]
            warm = [await kept.measured(mid, warm=True) for mid in mids[:rounds]]
            await there.move(Decimal(50_250))
            await pause(REST)
            await kept.keeper._charge.warm()
            rang = await kept.rebalance()
            at = await there.first_order(rang)
            asked = [one for one in await there.requests(rang) if one[2] <= at]
            path = [f"{1000 * (when - rang):7.1f} ms  {method} {name}" for method, name, when in asked]
            cold = [await kept.measured(mid, warm=False) for mid in mids[:2]]
            daemon.stop("measured")
            await running
    return warm, cold, path


async def script(there: Exchange, rounds: int) -> list[float]:
    """The plain way: one question after the other, then the order, with ccxt alone and its connection warm."""
    import ccxt.async_support as ccxt

    origins = there.hosts
    session = GuardedSession(allowed=frozenset(HOSTS), origins=origins, clock=SystemClock(), silence=Silence(), bans={})
    keys = {"apiKey": API_KEY, "secret": SECRET, "session": session, "enableRateLimit": False}
    plain = ccxt.binanceusdm({**keys, "options": {"fetchCurrencies": False}})
    plain.enable_demo_trading(True)
    taken = []
    try:
        await plain.load_markets()
        await plain.fetch_positions([BTC])  # loads leverage brackets once
        for _ in range(rounds):
            rang = time.monotonic()
            await plain.fetch_balance()
            await plain.fetch_positions([BTC])
            price = (await plain.fetch_ticker(BTC))["last"]
            await plain.create_order(BTC, "limit", "buy", 0.01, price, {"timeInForce": "IOC"})
            taken.append(await there.first_order(rang) - rang)
    finally:
        await plain.close()
        await session.close()
    return taken


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def row(what: str, values: Sequence[float], unit: str, scale: float, bar: float | None = None) -> None:
    middle = statistics.median(values)
    mark = "" if bar is None else f"   bar {bar * scale:.4g} {unit}{' !' if middle > bar else ''}"
    spread = f"   {min(values) * scale:.1f} to {max(values) * scale:.1f}" if len(values) > 1 else ""
    say(f"{what:<58}{middle * scale:>9.2f} {unit}{spread}{mark}")


async def figures(rounds: int) -> None:
    async with exchange() as there:
        warm, cold, path = await keeper(there, rounds)
    async with exchange() as there:
        plain = await script(there, rounds)
    row("bell to the first order on the wire, warm", warm, "ms", 1000, BAR)
    row("the same with connections closed while idle", cold, "ms", 1000)
    row("plain script: balance, positions, ticker, order", plain, "ms", 1000)
    say(f"{'ratio to the plain script':<58}{statistics.median(warm) / statistics.median(plain):>9.2f}")
    with tempfile.TemporaryDirectory() as folder:
        row("one write to the journal, of which three are waited for", [await commits(Path(folder))], "ms", 1000)
    say("asked between the bell and the order, the last time:")
    for line in path:
        say(f"    {line}")
    shared, apart = await memory(FUNDS)
    row(f"one more fund, markets of {MARKETS} shared", [shared], "KB", 0.001, MOST_MEMORY)
    row("the same where each has its own", [apart], "KB", 0.001)
    ours, theirs = await processor()
    beside = sum((await child("")).values()) / 1000
    row("CPU of an order, ccxt's own call", [theirs], "ms", 1000)
    row("beyond that in the venue", [ours - theirs], "ms", 1000)
    row("beyond that in all: gate, intent and outcome, too", [ours - theirs + beside], "ms", 1000, MOST_CPU)


def many_markets(count: int) -> ExchangeCore:
    """An exchange that lists as many markets as a large one."""
    core = usual_core()
    listed = {f"C{number}USDT": Instrument(symbol=f"C{number}USDT", base=f"C{number}") for number in range(count)}
    return usual_core(instruments={**core.instruments, **listed})


async def memory(funds: int) -> tuple[float, float]:
    """Bytes that one more fund takes, its connection and what it observes with; and the same where nothing is shared."""
    async with BinanceUsdm(core=many_markets(MARKETS)) as server, AsyncExitStack() as stack:
        clock = SystemClock()

        async def opened(exchanges: Exchanges) -> None:
            venue = await stack.enter_async_context(venue_at(server, exchanges=exchanges, clock=clock))
            observer = await Observer.on(venue, [BTC], None, clock)
            await observer.observe()
            kept.append(observer)

        kept: list[Observer] = []
        shared = Exchanges(clock, plenty)
        await opened(shared)
        tracemalloc.start()
        together = await _grown(lambda: opened(shared), funds)
        apart = await _grown(lambda: opened(alone(clock)), 2)
        tracemalloc.stop()
    return together, apart


async def _grown(grow: Callable[[], Awaitable[None]], times: int) -> float:
    """Bytes that each of ``times`` leaves behind."""
    await grow()  # what the first one leaves for all is not counted
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(times):
        await grow()
    gc.collect()
    return (tracemalloc.get_traced_memory()[0] - before) / times


async def processor() -> tuple[float, float]:
    """CPU seconds of one order through the venue, and of ccxt's own call alone."""
    async with exchange(quick=True) as there:
        clock = SystemClock()
        async with venue_at(cast("LoopbackServer", Reached(there.hosts)), exchanges=alone(clock), clock=clock) as venue:
            plain, asked = venue._exchange, order()

            refused = 0

            async def ours(number: int) -> None:
                nonlocal refused
                outcome = await venue.place(replace(asked, client_id=f"ours{number}", deadline=clock.now() + LIFE))
                refused += not isinstance(outcome, Accepted)

            async def theirs(number: int) -> None:
                told = {"newClientOrderId": f"theirs{number}", "timeInForce": "IOC", "recvWindow": 5000}
                await plain.create_order(BTC, "limit", "buy", float(asked.amount), float(asked.price), told)

            spent: dict[Callable[[int], Awaitable[None]], list[float]] = {ours: [], theirs: []}
            for block in range(BLOCKS):  # by turns, since the machine has moods
                for call, figures in spent.items():
                    before = time.process_time()
                    for number in range(CALLS):
                        await call(block * CALLS + number)
                    figures.append((time.process_time() - before) / CALLS)
    if refused:
        raise RuntimeError(f"{refused} orders were not taken")
    return statistics.median(spent[ours]), statistics.median(spent[theirs])


@dataclass(frozen=True, slots=True)
class Reached:
    """As much of a server as a venue needs that reaches it from another process."""

    hosts: dict[str, str]
    skin = BinanceUsdm.skin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    for name in ("--serve", "--serve-near"):
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve or asked.serve_near:
        asyncio.run(serve(near=asked.serve_near))
        return
    structlog.configure(processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.ReturnLoggerFactory())
    asyncio.run(figures(asked.rounds))


if __name__ == "__main__":
    main()
