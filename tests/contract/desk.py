"""A fund with a journal on any venue of the suite: the real service from plan to journal, on the venue's own clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from keeper.domain.market import MarketKind
from keeper.domain.run import Command, CommandKind, Run
from keeper.execution.pacing import Pacing, Style
from keeper.journal.store import Mode, SqlJournal
from keeper.planning.gate import Limits
from keeper.policy.mandate import Mandate
from keeper.service.fund import Fund
from keeper.service.observer import Observer
from keeper.service.preflight import Preflight
from keeper.service.rebalancer import Rebalancer
from tests.contract.case import VenueCase, World
from tests.fakes.desks import Watcher

SLICED = Pacing(style=Style.TWAP, horizon=timedelta(minutes=10), slices=3, max_depth=Decimal("0.5"))
LIMITS = Limits(
    max_order_notional=Decimal(10**6),
    max_turnover_per_day=Decimal(9),
    max_slippage_bps=Decimal(40),
    max_leverage=Decimal(9),
    max_target_jump=Decimal(9),
)


@dataclass(slots=True)
class Desk:
    """A fund, the venue that it trades on and its journal."""

    case: VenueCase
    world: World
    journal: SqlJournal
    rebalancer: Rebalancer
    watcher: Watcher = field(default_factory=Watcher)
    runs: int = 0

    async def run(self) -> Run:
        """Plan, and execute the plan under a new trigger."""
        plan = await self.rebalancer.plan()
        self.runs += 1
        return await self.rebalancer.execute(plan, f"manual:{self.runs}", self.watcher)

    async def flatten(self) -> Run:
        """As `keeper flatten` does it."""
        flat, now = self.rebalancer.flat(), self.rebalancer._clock.now()
        name = self.rebalancer.fund.name
        await self.journal.submit_command(Command(id="flat", fund=name, kind=CommandKind.FLATTEN, reason="", at=now))
        return await flat.execute(await flat.plan(), "flatten:flat", self.watcher)

    async def agrees(self) -> None:
        """The venue's trades are the journal's fills, its orders the journal's children; nothing is open; the chain holds."""
        runs = await self.journal.runs()
        booked = {
            (self.world.known_as(name), f.trade_id, f.symbol, f.side.sign, f.amount, f.price, f.fee, f.fee_asset)
            for run in runs
            for name, f in await self.journal.fills(run.id)
        }
        truth = {(t.client_id, t.trade_id, t.symbol, t.sign, t.amount, t.price, t.fee, t.fee_asset) for t in self.world.trades()}
        assert booked == truth
        children = [child for run in runs for child in await self.journal.children(run.id)]
        assert sorted(self.world.known_as(child.request.client_id) for child in children) == sorted(self.world.taken())
        assert await self.journal.open_children(self.rebalancer.fund.name) == ()
        assert await self.journal.verify() == ()

    def gaps(self) -> dict[str, Decimal]:
        """How far each market is from its target, as a share of the smallest order that the venue takes there."""
        return {symbol: self._gap(symbol, target) for symbol, target in self.case.targets.items()}

    def _gap(self, symbol: str, target: Decimal) -> Decimal:
        rules, mark = self.world.rules(symbol), self.world.mark(symbol)
        smallest = max(rules.worth(rules.smallest, mark), rules.min_cost)
        return abs(target * self.world.nav() - self.world.exposure(symbol)) / smallest


@asynccontextmanager
async def desk_on(case: VenueCase, folder: Path) -> AsyncIterator[Desk]:
    """A desk whose fund holds nothing yet."""
    async with case.opened() as world, desk_in(world, case, folder) as desk:
        yield desk


@asynccontextmanager
async def desk_in(world: World, case: VenueCase, folder: Path) -> AsyncIterator[Desk]:
    """A desk of the fund of ``case``, which looks at its account before it plans."""
    journal = SqlJournal.open(f"sqlite:///{folder / 'keeper.db'}", mode=Mode.WRITER)
    try:
        fund = Fund(name="contract", mandate=Mandate(targets=case.targets), limits=LIMITS, pacing=SLICED)
        markets = await world.venue.markets(fund.symbols)
        assets = {asset for market in markets.values() for asset in (market.base, market.quote, market.settle)}
        spot = all(market.kind is MarketKind.SPOT for market in markets.values())
        observer = await Observer.on(world.venue, fund.symbols, None, world.venue.clock, assets if spot else None)
        preflight = Preflight(fund, world.venue, observer)
        yield Desk(case, world, journal, Rebalancer(fund, world.venue, journal, observer, preflight.known))
    finally:
        await journal.close()
