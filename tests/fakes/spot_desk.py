"""A spot fund at work on the loopback exchange through the real class, on a clock that need not wait."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from keeper.domain.run import Run
from keeper.execution.pacing import Pacing, Style
from keeper.journal.store import Mode, SqlJournal
from keeper.planning.gate import Limits
from keeper.planning.plan import Plan
from keeper.policy.mandate import Mandate
from keeper.service.fund import Fund
from keeper.service.observer import Observer
from keeper.service.rebalancer import Rebalancer
from keeper.venues.parsing import milliseconds
from tests.fakes.binance_spot import BinanceSpot
from tests.fakes.desks import Watcher
from tests.fakes.loopback_venue import JumpingClock, venue_at
from tests.fakes.spot_core import SpotCore

LIMITS = Limits(
    max_order_notional=Decimal(100_000), max_turnover_per_day=Decimal(2), max_slippage_bps=Decimal(30), max_leverage=Decimal(1)
)
SLICED = Pacing(style=Style.TWAP, horizon=timedelta(minutes=30), slices=6, max_depth=Decimal("0.5"))


@dataclass(slots=True)
class SpotDesk:
    """A fund, the exchange it trades on and its journal."""

    spot: BinanceSpot
    journal: SqlJournal
    rebalancer: Rebalancer
    watcher: Watcher = field(default_factory=Watcher)

    async def run(self, trigger: str = "manual:1") -> tuple[Plan, Run]:
        plan = await self.rebalancer.plan()
        return plan, await self.rebalancer.execute(plan, trigger, self.watcher)


@asynccontextmanager
async def spot_desk(
    folder: Path,
    core: SpotCore,
    targets: Mapping[str, str],
    assets: Collection[str],
    *,
    deadband: str = "0",
    kept: Collection[str] = (),
) -> AsyncIterator[SpotDesk]:
    """A desk for ``targets``; kept: markets that only price assets. Exchange and fund live by one clock."""
    clock = JumpingClock()
    core.now = lambda: milliseconds(clock.now())
    mandate = Mandate(targets={symbol: Decimal(weight) for symbol, weight in targets.items()}, deadband=Decimal(deadband))
    fund = Fund(name="portfolio", mandate=mandate, limits=LIMITS, pacing=SLICED)
    journal = SqlJournal.open(f"sqlite:///{folder / 'keeper.db'}", mode=Mode.WRITER)
    try:
        async with BinanceSpot(core=core) as spot, venue_at(spot, clock=clock) as venue:
            observer = await Observer.on(venue, (*fund.symbols, *kept), None, clock, assets)
            yield SpotDesk(spot, journal, Rebalancer(fund, venue, journal, observer))
    finally:
        await journal.close()
