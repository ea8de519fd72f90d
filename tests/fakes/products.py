"""A fund of one of the mandates in config/products, kept by a daemon on a market whose price a test moves."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from keeper.domain.account import Valuation, value
from keeper.domain.run import CommandKind, Run
from keeper.funds import fund_of
from keeper.service.fund import Fund
from keeper.settings import load
from tests.fakes.daemon_desks import Kept, kept
from tests.fakes.daemons import command
from tests.fakes.moving_feed import MovingFeed, moving_feed
from tests.fakes.paper import opening, paper_venue
from tests.fakes.scripted_venue import ScriptedVenue

PRODUCTS = Path(__file__).parents[2] / "config" / "products"
NAV = Decimal(100_000)
FIRST = Decimal(50_000)
LOOK = timedelta(minutes=5)
"""How often it is looked at, and for what was asked of it: rarely, so that a day takes little."""


@dataclass(slots=True)
class Product:
    """One fund that stands on its target, at a price of ``FIRST``. levers: contracts each time that it was looked at."""

    desk: Kept
    symbol: str
    levers: list[Decimal] = field(default_factory=list)

    @property
    def worth(self) -> Valuation:
        """What it is worth now."""
        markets = self.desk.venue.inner._markets.values()
        currency = self.symbol.partition("/")[2].partition(":")[0]
        return value(self.desk.venue.held, markets, {self.symbol: self._feed._prices[self.symbol]}, currency)

    async def moved(self, move: str | Decimal, **parts: float) -> None:
        """Let some time pass at a price that is ``move`` (fraction) away from the first one."""
        self._feed.move(self.symbol, (FIRST * (1 + Decimal(move))).quantize(Decimal("0.01")))
        await self.desk.passed(**parts)
        self.levers.append(self.desk.venue.held.positions[self.symbol].contracts)

    async def between(self) -> list[Run]:
        """The runs that no slot and nobody asked for, oldest first."""
        return [run for run in await self.desk.runs() if run.key.day is None and not run.key.trigger.startswith("manual:")]

    @property
    def _feed(self) -> MovingFeed:
        feed = self.desk.venue.inner.feed
        assert isinstance(feed, MovingFeed)
        return feed


@asynccontextmanager
async def kept_product(file: str, name: str, change: Callable[[Fund], Fund] = lambda fund: fund) -> AsyncIterator[Product]:
    """Fund ``name`` of ``file``, or what ``change`` makes of it, kept since an hour in which it was found on its target."""
    settings = load(PRODUCTS / f"{file}.toml", {})
    fund = change(fund_of(settings, name))
    [(symbol, target)] = fund.mandate.targets.items()
    currency = symbol.partition("/")[2].partition(":")[0]
    account = opening({currency: str(NAV)}, {symbol: (str(target * NAV / FIRST), str(FIRST))})
    venue = ScriptedVenue(paper_venue(moving_feed({symbol: str(FIRST)}, spread_bps="1"), account))
    async with kept(venue) as desk:
        desk.schedule = settings.funds[name].schedule_value()
        desk.venues.fund = replace(fund, emergency=replace(fund.watched, check_every=LOOK))
        desk.poll = desk.heartbeat = LOOK
        async with desk.daemon():
            await desk.passed(seconds=1)
            await desk.journal.submit_command(command(CommandKind.REBALANCE, desk.now, fund=name))
            await desk.passed(hours=1)
            yield Product(desk, symbol)
