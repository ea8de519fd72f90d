"""A fund at work on a scripted venue: the real service, the real journal, virtual time."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from keeper.domain.errors import JournalError
from keeper.domain.fund import Settled, Standing
from keeper.domain.order import Child, ChildState, Fill, OrderReport
from keeper.domain.run import Command, CommandKind, Run
from keeper.execution.pacing import Pacing, Style
from keeper.journal.database import Database
from keeper.journal.store import Mode, SqlJournal
from keeper.planning.gate import Limits
from keeper.policy.mandate import Mandate
from keeper.service.fund import Fund
from keeper.service.observer import Observer
from keeper.service.progress import LegProgress
from keeper.service.rebalancer import Rebalancer
from tests.fakes.moving_feed import MovingFeed, moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import ScriptedVenue

TWAP = Pacing(style=Style.TWAP, horizon=timedelta(minutes=10), slices=9, max_depth=Decimal(1))
LIMITS = Limits(
    max_order_notional=Decimal(10**6), max_turnover_per_day=Decimal(9), max_slippage_bps=Decimal(30), max_leverage=Decimal(9)
)


class WatchedJournal(SqlJournal):
    """A journal that notes what was written to it, and fails on demand.

    log: what and whose, in order, shared with the venue; broken: the writes that fail.
    """

    def __init__(self, base: Database, *, inline: bool, doubt: str = "") -> None:
        super().__init__(base, inline=inline, doubt=doubt)
        self.log: list[tuple[str, str]] = []
        self.broken: set[str] = set()

    def _refuse(self, what: str) -> None:
        if what in self.broken:
            raise JournalError(f"the disk is full: {what} can't be written")

    async def record_intent(self, child: Child) -> Standing | None:
        self._refuse("intent")
        bound = await super().record_intent(child)
        if bound is None:
            self.log.append(("intent", child.request.client_id))
        return bound

    async def advance_child(
        self,
        client_id: str,
        *,
        expected: ChildState,
        state: ChildState,
        at: datetime,
        report: OrderReport | None = None,
        reason: str = "",
        fills: Sequence[Fill] = (),
    ) -> None:
        self._refuse("outcome")
        await super().advance_child(client_id, expected=expected, state=state, at=at, report=report, reason=reason, fills=fills)
        self.log.append((f"outcome {state}", client_id))


@dataclass(slots=True)
class Watcher:
    """Keeps what it was told of a run's progress. on_update: called each time."""

    on_update: Callable[[Sequence[LegProgress]], object] = lambda _legs: None
    seen: list[tuple[LegProgress, ...]] = field(default_factory=list)
    closed: int = 0

    def update(self, legs: Sequence[LegProgress], at: datetime) -> None:
        assert at.tzinfo is not None
        self.seen.append(tuple(legs))
        self.on_update(legs)

    def close(self) -> None:
        self.closed += 1


@dataclass(slots=True)
class Desk:
    """A fund, its venue and its journal."""

    fund: Fund
    feed: MovingFeed
    venue: ScriptedVenue
    journal: WatchedJournal
    rebalancer: Rebalancer
    watcher: Watcher = field(default_factory=Watcher)
    runs: int = 0

    async def run(self) -> Run:
        """Plan, and execute the plan under a new trigger."""
        plan = await self.rebalancer.plan()
        self.runs += 1
        return await self.rebalancer.execute(plan, f"manual:{self.runs}", self.watcher)

    async def flatten(self) -> Run:
        """As ``keeper flatten`` does it where nobody else holds the account."""
        flat = self.rebalancer.flat()
        await flat.recover()
        await flat.verify()
        now = self.venue.clock.now()
        await self.journal.submit_command(Command(id="flat", fund=self.fund.name, kind=CommandKind.FLATTEN, reason="", at=now))
        return await flat.execute(await flat.plan(), "flatten:flat", self.watcher)

    async def restart(self) -> None:
        """A new process on the same account and journal."""
        observer = await Observer.on(self.venue, self.fund.symbols, None, self.venue.clock)
        self.rebalancer = Rebalancer(self.fund, self.venue, self.journal, observer)

    async def children(self) -> tuple[Child, ...]:
        """Every child of every run, oldest first."""
        found: list[Child] = []
        for run in reversed(await self.journal.runs()):
            found += await self.journal.children(run.id)
        return tuple(found)

    async def settled(self) -> Mapping[str, Settled]:
        """What the fund was last settled at on this account."""
        return await self.journal.settled(self.fund.name, self.venue.info.account)

    def bought(self) -> Decimal:
        """The truth: signed contracts that the venue filled for us."""
        trades = [fill for booked in self.venue.booked.values() for fill in booked.fills]
        return sum((fill.amount * fill.side.sign for fill in trades), Decimal(0))


async def agrees_with_the_venue(desk: Desk) -> None:
    """One venue order for each client id; the journal's fills are the venue's, its chain holds, nothing is open."""
    assert max(Counter(desk.venue.arrived).values(), default=0) <= 1
    assert len({request.client_id for request in desk.venue.sent}) == len(desk.venue.sent)
    truth = {(name, fill) for name, booked in desk.venue.booked.items() for fill in booked.fills}
    runs = await desk.journal.runs()
    assert {pair for run in runs for pair in await desk.journal.fills(run.id)} == truth
    assert {child.request for child in await desk.children()} == set(desk.venue.sent)
    assert await desk.journal.verify() == ()
    assert await desk.journal.open_children(desk.fund.name) == ()
    assert all(run.status.ended for run in runs)


def result_of(run: Run | None) -> dict[str, Any]:
    """What a run that has ended came to."""
    assert run is not None
    assert run.result is not None
    return dict(run.result)


def drifted(
    feed: MovingFeed | None = None, *, lag: float = 0.0, read_lag: float | None = None, trade_lag: float = 0.0
) -> ScriptedVenue:
    """Worked example 1, a thousand times as big: 3,000 BTC bought at 100, now at 105, and 100,000 USDT."""
    inner = paper_venue(feed or moving_feed({PERP: "105"}), opening({"USDT": "100000"}, {PERP: ("3000", "100")}))
    return ScriptedVenue(inner, lag=lag, read_lag=read_lag, trade_lag=trade_lag)


@asynccontextmanager
async def desk_of(
    venue: ScriptedVenue,
    folder: Path,
    targets: Mapping[str, str] | None = None,
    *,
    pacing: Pacing = TWAP,
    limits: Limits = LIMITS,
    name: str = "btc3l",
) -> AsyncIterator[Desk]:
    """A desk with a journal in ``folder``; what an earlier desk left there is found again."""
    mandate = Mandate(targets={symbol: Decimal(multiple) for symbol, multiple in (targets or {PERP: "3"}).items()})
    fund = Fund(name=name, mandate=mandate, limits=limits, pacing=pacing)
    journal = WatchedJournal.open(f"sqlite:///{folder / 'keeper.db'}", mode=Mode.WRITER, inline=True)
    journal.log = venue.log
    feed = venue.inner._feed
    assert isinstance(feed, MovingFeed)
    try:
        async with venue:
            observer = await Observer.on(venue, fund.symbols, None, venue.clock)
            yield Desk(fund, feed, venue, journal, Rebalancer(fund, venue, journal, observer))
    finally:
        await journal.close()
