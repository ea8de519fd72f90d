"""A fund that is traded over a bad line: the real service, journal file and ccxt class, and an exchange that loses messages.

Waits are shortened by what is configuration anyway: the timeout of a request, an order's time to live, the read lag, the
horizon. Whoever starts over does what every start does: settle what is open, plan, run.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random  # noqa: TID251 - the type of a seeded stream

from keeper.domain.errors import StaleData, VenueError, VenueUnavailable
from keeper.domain.fund import FundState
from keeper.domain.order import Child
from keeper.domain.run import Run, RunStatus
from keeper.journal.store import Mode, SqlJournal
from keeper.service.fund import Fund
from keeper.service.observer import Observer
from keeper.service.progress import Unwatched
from keeper.service.rebalancer import Rebalancer
from keeper.system import SystemClock
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_usdm import API_KEY, SECRET
from tests.fakes.configurations import loaded, secret_files
from tests.fakes.faulty_server import SYMBOLS, FaultyUsdm, Line, bad_line, holding, stream
from tests.fakes.loopback_venue import alone, info
from tests.fakes.wire_truth import Verdict, compared, largest_gap

TIMEOUT, DEADLINE = 0.3, 1.2
HORIZON = timedelta(seconds=0.6)
ATTEMPTS, CONNECTING = 400, 20
FILE = """\
[venues.loop]
exchange = "binanceusdm"
environment = "testnet"
credentials = {{ api_key_file = "secrets/api_key", secret_file = "secrets/secret" }}
[funds.btc3l]
venue = "loop"
target = {{ {target} }}
execution = {{ style = "twap", horizon = "1s", slices = 3 }}
limits = {{ max_turnover_per_day = 100, max_orders_per_day = 5000, max_orders_per_hour = 5000 }}
breakers = {{ errors_per_hour = 1000000, runs_per_hour = 1000, loss = 1 }}
"""
ONE = {"BTCUSDT": Decimal(3)}
TWO = {"BTCUSDT": Decimal(2), "ETHUSDT": Decimal(1)}


@dataclass(slots=True)
class Figures:
    """What happened.

    orders: sent over the bad line; unknowns: those whose outcome was not known at their run's end; unread: starts at which
    the exchange could not be read; stopped: which breakers tripped, and how often.
    """

    orders: int = 0
    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    unknowns: int = 0
    unread: int = 0
    stopped: Counter[str] = field(default_factory=Counter)
    verdict: Verdict | None = None
    gap: Decimal = Decimal("NaN")


@dataclass(slots=True)
class FaultyDesk:
    """One fund on one exchange. targets: by the exchange's symbols."""

    fund: Fund
    targets: dict[str, Decimal]
    exchange: FaultyUsdm
    venue: CcxtVenue
    journal: SqlJournal
    observer: Observer
    chance: Random
    figures: Figures = field(default_factory=Figures)

    async def trade(self, orders: int) -> Figures:
        """Rebalance at ever new prices until so many ``orders`` were sent, then once more on a good line, and judge."""
        start = {symbol: held.amount for symbol, held in self.exchange.core.holdings.items()}
        self.exchange.bad = True
        while len(self.exchange.seen("/order", "POST")) < orders:
            await self.rebalance()
        self.figures.orders = len(self.exchange.seen("/order", "POST"))
        self.exchange.bad = False
        while self.exchange.on_the_way:
            await asyncio.wait(self.exchange.on_the_way)
        for _ in range(ATTEMPTS):
            run = await self.rebalance()
            if run is not None and run.status is RunStatus.COMPLETED:
                break
        figures = self.figures
        figures.verdict = await compared(self.journal, self.exchange, start)
        figures.gap = largest_gap(self.exchange, self.targets)
        figures.faults = self.exchange.struck
        for run in await self.journal.runs(limit=100_000):
            figures.states.update(str(child.state) for child in await self.journal.children(run.id))
        return figures

    async def rebalance(self) -> Run | None:
        """One start at a new price; None when the exchange could not be read, or an order is not settled yet."""
        for symbol, middle in SYMBOLS.items():
            if symbol in self.targets:
                price = middle * (1 + Decimal(self.chance.randint(-300, 300)) / 10_000)
                self.exchange.core.set_mid(symbol, price.quantize(Decimal(1)))
        rebalancer = Rebalancer(self.fund, self.venue, self.journal, self.observer)
        try:
            if await rebalancer.recover():
                return None
            await rebalancer.verify()
            await self._resume()
            plan = await rebalancer.plan()
            self.figures.runs += 1
            run = await rebalancer.execute(plan, f"manual:{self.figures.runs}", Unwatched())
        except (VenueError, StaleData):
            self.figures.unread += 1
            return None
        self.figures.unknowns += len(await self.open())
        return run

    async def open(self) -> tuple[Child, ...]:
        """The children without a final state."""
        return await self.journal.open_children(self.fund.name)

    async def _resume(self) -> None:
        """Do what an operator does who has looked, and keep in mind what for."""
        standing = await self.journal.standing(self.fund.name)
        if standing.state is not FundState.ACTIVE:
            self.figures.stopped[standing.cause] += 1
            at = self.venue.clock.now()
            await self.journal.set_state(self.fund.name, FundState.ACTIVE, reason="looked at", at=at)


@asynccontextmanager
async def faulty_desk(folder: Path, seed: str, *, two: bool, line: Line | None = None) -> AsyncIterator[FaultyDesk]:
    """A desk that holds what it should at the first price. two: it has two markets, which are traded at the same time."""
    targets = TWO if two else ONE
    wanted = ", ".join(f'"{name.removesuffix("USDT")}/USDT:USDT" = {multiple}' for name, multiple in targets.items())
    secret_files(folder)
    settings = loaded(folder, FILE.format(target=wanted))
    told = settings.funds["btc3l"]
    pacing = replace(told.pacing(), horizon=HORIZON)
    limits, breakers = told.limits_value(), told.breakers_value()
    fund = Fund(name="btc3l", mandate=told.mandate(), limits=limits, pacing=pacing, breakers=breakers)
    exchange = holding(**{symbol: 100_000 * multiple / SYMBOLS[symbol] for symbol, multiple in targets.items()})
    exchange.draw = bad_line(seed, line or Line())
    journal = SqlJournal.open(f"sqlite:///{folder / 'keeper.db'}", mode=Mode.WRITER)
    try:
        async with exchange, AsyncExitStack() as stack:
            venue = await _connected(stack, exchange.hosts)
            observer = await Observer.on(venue, fund.symbols, None, venue.clock)
            yield FaultyDesk(fund, targets, exchange, venue, journal, observer, stream(f"{seed} prices"))
    finally:
        await journal.close()


async def _connected(stack: AsyncExitStack, hosts: Mapping[str, str]) -> CcxtVenue:
    """A connection of ``stack``, in as many attempts as a busy machine needs: requests wait for a short time only."""
    quick, clock = replace(info(), read_lag=0.05, order_ttl=DEADLINE), SystemClock()
    for left in reversed(range(CONNECTING)):
        made = CcxtVenue(
            quick,
            credentials={"api_key": API_KEY, "secret": SECRET},
            hosts=hosts,
            clock=clock,
            exchanges=alone(clock),
            timeout=TIMEOUT,
        )
        try:
            return await stack.enter_async_context(made)
        except VenueUnavailable:
            if not left:
                raise
    raise AssertionError("unreachable")


async def traded(folder: Path, seed: int, orders: int, desks: int) -> list[Figures]:
    """``orders`` in all by several desks at the same time, since they spend theirs waiting."""

    async def one(number: int) -> Figures:
        own = folder / str(number)
        own.mkdir(parents=True, exist_ok=True)
        share = orders // desks + (number < orders % desks)
        async with faulty_desk(own, f"{seed}:{number}", two=bool(number % 2)) as desk:
            return await desk.trade(share)

    return list(await asyncio.gather(*(one(number) for number in range(desks))))
