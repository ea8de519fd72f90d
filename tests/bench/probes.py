"""What ``measure.py`` runs in processes of their own: one probe each, which prints one JSON object. Asserts nothing.

``python -m tests.bench.probes PROBE [ARGUMENT]`` from the root of the repository:

    serve        the loopback exchange with DELAY seconds before each answer and a long list of markets; prints its URL and
                 keys, and runs on
    observation  one observation at URL, against one bare request there
    rebalance    a whole rebalance at URL: how long the event loop stood still
    child        gate and intent, and outcome, of one child on a file journal, without what the venue takes
    imports      which heavy packages ``keeper status`` with the configuration CONFIG has loaded
"""

import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:  # what a probe needs it loads itself: one of them looks at what is loaded
    from keeper.domain.order import OrderRequest, Outcome
    from keeper.ports import Venue
    from keeper.venues.paper.venue import PaperVenue

ROUNDS = 9
MARKETS = 600
CHILDREN = 100
BTC = "BTC/USDT:USDT"
HEAVY = ("ccxt", "aiohttp", "alembic", "apscheduler", "tenacity", "numpy", "rich", "pydantic", "sqlalchemy")


async def serve(delay: str) -> dict[str, Any]:
    """Serve until killed."""
    from tests.fakes.binance_desk import drifted_exchange
    from tests.fakes.exchange_core import Instrument, Ladder

    exchange = drifted_exchange(delay=float(delay))
    for number in range(MARKETS):
        symbol = f"COIN{number}USDT"
        exchange.core.instruments[symbol] = Instrument(symbol=symbol, base=f"COIN{number}")
        exchange.core.ladders[symbol] = Ladder(mid=Decimal(100))
    await exchange.start()
    tell({"url": exchange.url, "api_key": exchange.api_key, "secret": exchange.secret})
    await asyncio.Event().wait()
    return {}


async def observation(url: str) -> dict[str, Any]:
    """Seconds of a bare request, and of an observation of one market; medians, connections warm."""
    import aiohttp

    from keeper.service.observer import Observer
    from keeper.venues.ccxt_venue import CcxtVenue

    async with AsyncExitStack() as stack:
        venue: CcxtVenue = await stack.enter_async_context(_venue(url))
        observer = await Observer.on(venue, [BTC], None, venue.clock)
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def ping() -> None:
            async with session.get(f"{url}/fapi/v1/ping") as response:
                await response.read()

        return {"round_trip": await _median(ping), "observation": await _median(observer.observe)}


async def rebalance(url: str) -> dict[str, Any]:
    """The longest time that the event loop was blocked, milliseconds: while connecting, and from then on."""
    from keeper.journal.store import Mode, SqlJournal
    from keeper.service.fund import Fund
    from keeper.service.observer import Observer
    from keeper.service.rebalancer import Rebalancer

    heart = asyncio.create_task(_beat(gaps := [0.0]))
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        journal = SqlJournal.open(f"sqlite:///{folder}/keeper.db", mode=Mode.WRITER)
        stack.push_async_callback(journal.close)
        venue = await stack.enter_async_context(_venue(url))
        observer = await Observer.on(venue, [BTC], None, venue.clock)
        connecting, gaps[:] = max(gaps), [0.0]
        rebalancer = Rebalancer(_fund(Fund), venue, journal, observer)
        run = await rebalancer.execute(await rebalancer.plan(), "manual:bench", _Nobody())
        running = max(gaps)
        children = len(await journal.children(run.id))
    heart.cancel()
    return {"connecting": connecting * 1000, "running": running * 1000, "status": str(run.status), "children": children}


async def child(_argument: str) -> dict[str, Any]:
    """Median CPU milliseconds, all threads together, of a child until it is on its way and from its answer on."""
    import structlog

    from keeper.domain.market import Side
    from keeper.execution.engine import Slice
    from keeper.journal.store import Mode, SqlJournal
    from keeper.planning.gate import Limits
    from keeper.service.observer import Observer
    from keeper.service.sender import Sender
    from tests.fakes.journal_values import a_run
    from tests.fakes.paper import PERP, fixed_feed, opening, paper_venue

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    huge = Decimal(10**9)
    limits = Limits(max_order_notional=huge, max_turnover_per_day=huge, max_slippage_bps=Decimal(30), max_leverage=Decimal(9))
    with tempfile.TemporaryDirectory() as folder:
        journal = SqlJournal.open(f"sqlite:///{folder}/keeper.db", mode=Mode.WRITER)
        async with paper_venue(fixed_feed({PERP: "100"}), opening({"USDT": "100000"})) as venue:
            watched = Watched(venue)
            sender, run = Sender(cast("Venue", watched), journal, venue.clock, limits), a_run()
            await journal.open_run(run)
            seen = await (await Observer.on(venue, [PERP], None, venue.clock)).observe()
            one = Slice(
                leg=0,
                sequence=0,
                symbol=PERP,
                side=Side.BUY,
                amount=Decimal(1),
                price=Decimal("100.1"),
                reduce_only=False,
                mid=Decimal(100),
                half_spread=Decimal(0),
                left=huge,
            )
            sending, ending = [], []
            for number in range(CHILDREN):
                before = time.process_time()
                await sender.send(run, [replace(one, sequence=number + 1)], seen)
                after = time.process_time()
                sending.append(watched.asked - before)
                ending.append(after - watched.answered)
        await journal.close()
    return {"sent": statistics.median(sending) * 1000, "ended": statistics.median(ending) * 1000}


class Watched:
    """A venue that notes the CPU seconds at which it was asked to place an order, and at which it had answered."""

    def __init__(self, venue: "PaperVenue") -> None:
        self._venue = venue
        self.asked = self.answered = 0.0

    async def place(self, request: "OrderRequest") -> "Outcome":
        self.asked = time.process_time()
        outcome = await self._venue.place(request)
        self.answered = time.process_time()
        return outcome

    def __getattr__(self, name: str) -> Any:  # what else it is asked is not watched
        return getattr(self._venue, name)


def imports(config: str) -> dict[str, Any]:
    """Run ``keeper status`` here and look at what it has loaded."""
    from contextlib import redirect_stdout
    from io import StringIO

    from keeper.cli import main

    sys.argv = ["keeper", "--config", config, "status", "--json"]
    try:
        with redirect_stdout(StringIO()):
            main()
    except SystemExit as ended:
        return {"code": ended.code, "loaded": [name for name in HEAVY if name in sys.modules]}
    return {"code": 0, "loaded": [name for name in HEAVY if name in sys.modules]}


class _Nobody:
    """Watches a run without looking."""

    def update(self, legs: object, at: object) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _venue(url: str) -> Any:
    from keeper.system import SystemClock
    from keeper.venues.ccxt_venue import CcxtVenue
    from tests.fakes.binance_usdm import API_KEY, HOSTS, SECRET
    from tests.fakes.loopback_venue import alone, info

    clock, hosts = SystemClock(), dict.fromkeys(HOSTS, url)
    keys = {"api_key": API_KEY, "secret": SECRET}
    return CcxtVenue(info(), credentials=keys, hosts=hosts, clock=clock, exchanges=alone(clock))


def _fund(make: Callable[..., Any]) -> Any:
    from keeper.execution.pacing import Pacing, Style
    from keeper.planning.gate import Limits
    from keeper.policy.mandate import Mandate

    limits = Limits(
        max_order_notional=Decimal(250_000),
        max_turnover_per_day=Decimal(3),
        max_slippage_bps=Decimal(30),
        max_leverage=Decimal(5),
    )
    pacing = Pacing(style=Style.TWAP, horizon=timedelta(seconds=8), slices=6, max_depth=Decimal("0.2"))
    return make(name="bench", mandate=Mandate(targets={BTC: Decimal(3)}), limits=limits, pacing=pacing)


async def _median(work: Callable[[], Awaitable[object]]) -> float:
    await work()
    taken = []
    for _ in range(ROUNDS):
        before = time.monotonic()
        await work()
        taken.append(time.monotonic() - before)
    return statistics.median(taken)


async def _beat(gaps: list[float]) -> None:
    """Note by how much each turn of the loop came late."""
    step = 0.001
    while True:
        before = time.monotonic()
        await asyncio.sleep(step)  # noqa: TID251 - the loop itself is measured, in real time
        gaps.append(time.monotonic() - before - step)


def tell(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def main() -> None:
    name, argument = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "")
    if name == "imports":
        tell(imports(argument))
        return
    probes = {"serve": serve, "observation": observation, "rebalance": rebalance, "child": child}
    tell(asyncio.run(probes[name](argument)))


if __name__ == "__main__":
    main()
