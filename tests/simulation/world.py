"""One simulated world: an exchange, a machine, an operator, and the real service that lives through what a seed has in store.

Days of faults are followed by quiet ones, in which prices stand still and everything must come to rest.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, cast

from keeper.bells import ClockBell
from keeper.domain.errors import KeeperError
from keeper.ports import Clock, Journal, Venue, VenueInfo
from keeper.service.charge import Charge
from keeper.service.daemon import Daemon
from keeper.service.fund import Fund
from keeper.service.keeping import FundKeeper
from keeper.service.observer import Observer
from keeper.service.rebalancer import Rebalancer
from keeper.service.slots import SlotOwner
from keeper.simulation.clock import VirtualClock, VirtualLoop
from keeper.venues.dialects import BINANCE_SPOT
from tests.simulation import books, funds
from tests.simulation import faults as plans
from tests.simulation.aftermath import judge_the_end
from tests.simulation.database import Disk
from tests.simulation.exchange import Exchange
from tests.simulation.faults import Faults, Happening
from tests.simulation.happenings import Fate
from tests.simulation.invariants import Judge
from tests.simulation.operator import Operator
from tests.simulation.orders import Asked
from tests.simulation.prices import Prices
from tests.simulation.process import OWNER, POLL, Died, Process, ProcessClock, Reach, seconds
from tests.simulation.trace import Trace, followed
from tests.simulation.wire import Wire

START = datetime(2025, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
READ_LAG = 0.5
ACCOUNT_NAME = "acc1"
MOST_POINTS = 400
READS = (
    *(
        "find",
        "waiting",
        "runs",
        "resting",
        "slot_runs",
        "standing",
        "footing",
        "run",
        "children",
        "open_ch",
        "fills",
        "last",
        "lately",
    ),
    *("settled", "nav_points", "known", "events", "child", "unended"),
)
"""How what a process asks the journal begins that writes nothing."""
HIDING = {Happening.STANDSTILL, Happening.CLOCK_STEP, Happening.RESTORE}
"""What may keep from a fund why its positions changed."""
LIKE_FILLS = {Happening.DEPOSIT}
"""What may look, where coins are held, as if a read took back what we traded."""


@dataclass(slots=True, kw_only=True)
class Scenario:
    """What a world is to live through.

    days: with faults, quiet: without; crash_at: of the first process; locked: one process at a time holds the account; nudged:
    a daemon hears of commands at once, not only when it looks for them; more: changes the faults that were drawn; without: kinds
    of faults that are left out, "spot" where no fund is to hold coins; coins: how likely a fund is one that does.
    """

    seed: int
    faults: Faults | None = None
    rules: funds.Rules | None = None
    days: int = 2
    quiet: int = 2
    crash_at: int = 0
    locked: bool = True
    nudged: bool = True
    more: Callable[[Faults], None] | None = None
    without: frozenset[str] = frozenset()
    coins: float = funds.SPOT_SHARE


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a world. points: when its first process was where it might have been killed, by its own clock."""

    seed: int
    violations: list[str]
    orders: int
    kills: int
    days: int
    points: list[datetime]
    runs: dict[str, int]
    digest: str
    trace: list[str] = field(default_factory=list)
    plan: str = ""


class World:
    def __init__(self, scenario: Scenario) -> None:
        seed = scenario.seed
        self.scenario = scenario
        self.start = START
        self.loop = VirtualLoop(Random(f"{seed} order").shuffle)
        self.trace = Trace(self.now)
        self.faults = scenario.faults or plans.drawn(Random(f"{seed} faults"), Random(f"{seed} crash")).without(scenario.without)
        if scenario.more is not None:
            scenario.more(self.faults)
        self.rules = scenario.rules or funds.drawn(
            Random(f"{seed} fund"), coins=0.0 if "spot" in scenario.without else scenario.coins
        )
        if Happening.CRASH in self.faults.happenings:  # elsewhere a look now and then will do
            self.rules.check_every = timedelta(minutes=Random(f"{seed} looks").choice((60, 120)))
        self.rng = Random(f"{seed} world")
        self.disk = Disk()
        market = Random(f"{seed} market")
        prices = Prices(
            self.rules.markets,
            {symbol: funds.PRICES[market.base] for symbol, market in self.rules.markets.items()},
            self.now,
            market,
            volatility=market.choice((0.3, 0.8)),
            depth=market.choice((4e4, 4e5)),
            half_spread_bps=market.choice((0.2, 1.5)),
        )
        self.exchange = Exchange(self.rules.markets, prices, Decimal(100_000), self.now, self._later, market)
        for symbol, target in self.rules.mandate.targets.items():
            drift = Decimal(market.choice(("0.9", "1", "1.1"))) if market.random() < 0.8 else Decimal(0)
            size = (target * drift * 100_000 / prices.mark(symbol)).quantize(Decimal("0.001"))
            self.exchange.endow(symbol, size)
        self.exchange.deposit(Decimal(0))
        self.judge = Judge(self.exchange, self.disk, self.trace, self.rules, self.acted)
        hiding = HIDING | LIKE_FILLS if self.rules.dialect.exchange == BINANCE_SPOT.exchange else HIDING
        self.judge.all_is_told = scenario.locked and not hiding & set(self.faults.happenings)
        self.exchange.on_change = self.judge.on_change
        self.judge.look()
        self.machine = seconds(self.faults.skew)
        self.maintenance_until = self.not_before = START
        self.holders: list[Process] = []
        self.processes: list[Process] = []
        self.over = False
        self.freed: asyncio.Future[None] = self.loop.create_future()
        self.wall = VirtualClock(self.loop, START)
        self.stands_since: datetime | None = None
        self.reserved = False
        self.info = VenueInfo(
            name="sim",
            exchange=self.rules.dialect.exchange,
            environment=self.rules.environment,
            account=ACCOUNT_NAME,
            read_lag=READ_LAG,
            order_ttl=self.rules.order_ttl.total_seconds(),
            stops=Happening.CRASH in self.faults.happenings and self.rules.dialect.exchange != BINANCE_SPOT.exchange,
        )
        rules = self.rules
        self.fund = Fund(
            name=rules.fund, mandate=rules.mandate, limits=rules.limits, pacing=rules.pacing, emergency=rules.emergency
        )
        self.operator = Operator(self)
        self.fate = Fate(self)

    def now(self) -> datetime:
        """The exchange's time, which is true."""
        return START + timedelta(microseconds=self.loop.microseconds)

    def _later(self, after: float, work: Callable[[], None]) -> None:
        self.loop.call_later(after, work)

    def run(self) -> Outcome:
        try:
            with followed(self.trace):
                self.loop.set_exception_handler(self._unhandled)
                self.loop.run_until_complete(self._live())
                self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            return self._outcome()
        finally:
            self.loop.close()
            self.disk.close()

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Died):
            self.judge.violated("bug", f"{context.get('message')}: {error!r}")

    async def _live(self) -> None:
        end_of_faults = START + self.scenario.days * DAY
        await books.begin(self.scenario.seed, self.disk, self.exchange, self.rules.fund)
        keeping = [self.loop.create_task(self._supervise(), name=f"supervisor {n}") for n in range(self.faults.daemons)]
        self.fate.schedule(end_of_faults)
        await self.until(end_of_faults)
        await self._calm_down()
        await self.until(end_of_faults + self.scenario.quiet * DAY)
        self.over = True
        for process in self.holders:
            if process.daemon is not None:
                process.daemon.stop("the world ends")
        self.free()
        await asyncio.wait(keeping)
        for task in keeping:
            task.result()
        await judge_the_end(self.judge, quiet=self.scenario.quiet > 0)

    async def until(self, at: datetime) -> None:
        reached = self.loop.create_future()
        self.loop.call_later((at - self.now()).total_seconds(), reached.set_result, None)
        await reached

    async def _calm_down(self) -> None:
        """The faults end; whoever has to look at a fund that stands still does so."""
        self.trace.add("world", "faults end")
        self.faults.end()
        self.exchange.prices.frozen = True
        self.maintenance_until = self.now()
        self.account_moves()
        for order in self.exchange.orders:
            if order.client_id.startswith("web_"):
                self.exchange.withdraw(order)  # while others' orders rest the fund may not add risk
        self.set_clock(timedelta(0))
        self.judge.look()
        await self.until(self.now() + timedelta(minutes=2))
        await self.operator.looks_after_it()

    def _halts_between(self) -> bool:
        """Whether the operator halts the fund between what a breaker has read of its state and what it makes of it."""
        if self.faults.ended or Happening.HALT_BETWEEN not in self.faults.happenings or self.rng.random() < 1 / 2:
            return False
        self.fate.happens(Happening.HALT)
        self.loop.call_later(0.1, self.judge.look)
        return True

    def _outcome(self) -> Outcome:
        runs = dict(self.disk.rows("SELECT status, count(*) FROM runs GROUP BY status ORDER BY status"))
        kills = sum(1 for process in self.processes if process.killed)
        return Outcome(
            seed=self.scenario.seed,
            violations=self.judge.found,
            orders=sum(1 for order in self.exchange.orders if order.client_id.startswith("kpr")),
            kills=kills,
            days=self.scenario.days + self.scenario.quiet,
            points=self.processes[0].point_times,
            runs=runs,
            digest=self.trace.digest(),
            trace=self.trace.text(),
            plan=repr(self.faults),
        )

    async def _supervise(self) -> None:
        """What a service manager does: start a process, and start it again when it ended."""
        while not self.over:
            if self.now() < self.not_before:  # nobody copies a file faster than an order takes to arrive or to expire
                await self.until(self.not_before)
                continue
            if self.reserved or (self.holders and self.scenario.locked):
                self.trace.add("world", "refused", "another process holds the account")
                await asyncio.shield(self.freed)
                continue
            process = self._new_process()
            self.holders.append(process)
            context = copy_context()
            context.run(OWNER.set, process)
            main = self.loop.create_task(self._keep(process), name=process.name, context=context)
            await asyncio.wait({main})
            await process.gone()
            self._bury(process, main)
            if not self.over:
                delay = self.rng.choice((0.0, 0.05, 2.0, 60.0, 60.0, 3 * 3600.0)) if not self.faults.ended else 2.0
                await self.until(self.now() + seconds(delay))

    def _bury(self, process: Process, main: "asyncio.Task[None]") -> None:
        self.holders.remove(process)
        self.free()
        error = None if main.cancelled() else main.exception()
        self.trace.add(process.name, "ended", repr(error) if error else "")
        if process.alive and error is not None and not isinstance(error, KeeperError):
            self.judge.violated("bug", f"{process.name} ended with {error!r}")
        process.alive = False
        process.died = self.loop.microseconds if process.died is None else process.died

    def acted(self, since: datetime) -> timedelta:
        """For how long, since ``since``, a process could do something."""
        from_then = (since - START) // timedelta(microseconds=1)
        return timedelta(microseconds=sum(process.acted(from_then) for process in self.processes))

    def free(self) -> None:
        """Tell whoever waits for the account that nobody holds it."""
        freed, self.freed = self.freed, self.loop.create_future()
        freed.set_result(None)

    def _new_process(self) -> Process:
        process = Process(len(self.processes) + 1, self.loop, START + self.machine, self.trace)
        self.processes.append(process)
        if len(self.processes) == 1:
            process.crash_at = self.scenario.crash_at
        if not process.crash_at and self.rng.random() < self.faults.crash:
            process.crash_at = self.rng.randint(1, MOST_POINTS)
        self.trace.add(process.name, "started", f"crash at {process.crash_at}" if process.crash_at else "")
        return process

    async def _keep(self, process: Process) -> None:
        """One process from its start to its end."""
        clock = ProcessClock(process)
        journal = cast("Journal", Reach(process, self.disk.journal(), "journal", waits=False, before=self._before_write))
        rules, fund = self.rules, self.fund

        @asynccontextmanager
        async def connect() -> AsyncIterator[Callable[[], Rebalancer]]:
            async with Reach(process, self.wire(clock), "venue", waits=True) as reach:
                venue = cast("Venue", reach)
                observer = await Observer.on(venue, fund.symbols, None, clock)
                yield lambda: Rebalancer(fund, venue, journal, observer)

        charge = Charge(
            owner=SlotOwner(fund=fund.name, schedule=rules.schedule, venue=self.info, currency="USDT"),
            seed="7",
            journal=journal,
            clock=cast("Clock", clock),
            bell=ClockBell(clock, heartbeat=timedelta(hours=2)),
            open=connect,
            warm=_nothing,
        )
        daemon = Daemon([FundKeeper(charge)], journal, clock, _NobodyWatches(), poll=POLL)
        process.daemon = daemon
        await daemon.run()

    def wire(self, clock: Clock) -> Wire:
        """A connection of its own to the exchange, for whoever goes by ``clock``."""
        wire = Wire(self.info, self.exchange, self.faults, clock, self.loop, self.trace)
        wire.maintenance = lambda: self.now() < self.maintenance_until
        wire.stands_since = lambda: self.stands_since
        wire.on_flight = self._on_flight
        return wire

    def _on_flight(self, asked: Asked, in_the_air: bool) -> None:  # noqa: FBT001 - a switch is what it tells of
        self.judge.on_flight(asked, in_the_air)
        if in_the_air and self.faults.happenings and self.rng.random() < self.faults.ambush:
            kind = self.rng.choice(tuple(self.faults.happenings))
            self.loop.call_later(self.rng.choice((0.0, 0.05, 0.3, 2.0, 6.0)), self.fate.happens, kind)

    def _before_write(self, what: str) -> float:
        """Seconds that a write takes; below zero: it fails."""
        if what.startswith(READS):
            return 0.0
        if what == "set_state" and self._halts_between():
            return 0.05
        at = self.faults.rng.random() if self.faults.failing_writes or self.faults.slow_disk else 1.0
        if at < self.faults.failing_writes:
            return -1.0
        return self.faults.rng.uniform(0.1, 6.0) if at < self.faults.failing_writes + self.faults.slow_disk else 0.0

    def account_stands(self) -> None:
        """From now on the account is read as it is now."""
        if self.stands_since is None:
            self.stands_since, self.judge.stood_until = self.now(), None
            self.judge.stood_since = self.stands_since
            self.trace.add("world", "the account stands still")

    def account_moves(self) -> None:
        """The account is read as it is."""
        if self.stands_since is not None:
            self.stands_since, self.judge.stood_until = None, self.now()
            self.trace.add("world", "the account moves again")

    def set_clock(self, offset: timedelta) -> None:
        step, self.machine = offset - self.machine, offset
        if step:
            self.trace.add("world", "clock set", f"by {step.total_seconds():+.1f} s")
            self.wall.step(step)
            for process in self.holders:
                process.clock.step(step)


async def _nothing() -> None:
    """A connection of this world is as good as any other at any time."""


class _NobodyWatches:
    """A ports.Supervisor that asks for nothing."""

    interval = None

    def ready(self) -> None:
        pass

    def alive(self) -> None:
        pass

    def stopping(self) -> None:
        pass
