"""A daemon on a paper exchange under virtual time: the real service, the real journal, a clock that jumps to the next sleeper."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from keeper.bells import ClockBell
from keeper.domain.run import Command, CommandKind, Run
from keeper.journal.store import Mode, SqlJournal
from keeper.policy.emergency import emergency_of
from keeper.policy.mandate import Mandate
from keeper.policy.schedule import Schedule
from keeper.ports import Bell, Clock, Journal, Venue
from keeper.service.charge import Charge
from keeper.service.daemon import Daemon
from keeper.service.fund import Fund
from keeper.service.keeping import FundKeeper
from keeper.service.observer import Observer
from keeper.service.rebalancer import Rebalancer
from keeper.service.slots import SlotOwner
from keeper.service.steering import Helm
from tests.fakes.desks import LIMITS, TWAP
from tests.fakes.paper import PERP

NONE, HOUR, DAY = timedelta(0), timedelta(hours=1), timedelta(days=1)


def daily(clock: str, zone: str = "UTC", *, jitter: timedelta = NONE, catch_up: timedelta = 6 * HOUR) -> Schedule:
    return Schedule(at=(time.fromisoformat(clock),), zone=ZoneInfo(zone), jitter=jitter, catch_up=catch_up)


@dataclass(slots=True)
class Overseer:
    """A ports.Supervisor that keeps what it was told."""

    interval: timedelta | None = None
    told: list[str] = field(default_factory=list)

    def ready(self) -> None:
        self.told.append("ready")

    def alive(self) -> None:
        self.told.append("alive")

    def stopping(self) -> None:
        self.told.append("stopping")


class Venues:
    """Makes the connections of one fund.

    helm: what says the fund's targets, where the fund itself does not; down, unfit: what raises instead of connecting, and
    instead of getting ready, while it is there; opened, warmed: when.
    """

    def __init__(self, venue: Venue, journal: Journal, fund: Fund) -> None:
        self.venue = venue
        self.journal = journal
        self.fund = fund
        self.helm: Helm | None = None
        self.down: BaseException | None = None
        self.unfit: BaseException | None = None
        self.opened: list[datetime] = []
        self.warmed: list[datetime] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Callable[[], Rebalancer]]:
        self.opened.append(self.venue.clock.now())
        if self.down is not None:
            raise self.down
        async with self.venue as venue:
            observer = await Observer.on(venue, self.fund.symbols, None, venue.clock)
            helm = self.helm or Helm(self.fund, self.journal)
            await helm.begin()
            yield lambda: Rebalancer(helm.fund, venue, self.journal, observer, helm=helm)

    async def warm(self) -> None:
        self.warmed.append(self.venue.clock.now())
        if self.unfit is not None:
            raise self.unfit


def fund_of(name: str = "btc3l", targets: Mapping[str, str] | None = None, *, check_every: timedelta = DAY) -> Fund:
    """check_every: how often leverage is looked at between slots; rarely, where a test is of something else."""
    mandate = Mandate(targets={symbol: Decimal(multiple) for symbol, multiple in (targets or {PERP: "3"}).items()})
    emergency = emergency_of(mandate, check_every=check_every)
    return Fund(name=name, mandate=mandate, limits=LIMITS, pacing=TWAP, emergency=emergency)


def charge_of(
    venues: Venues,
    schedule: Schedule | None,
    *,
    bell: Bell | None = None,
    heartbeat: timedelta = timedelta(seconds=30),
    seed: str = "7",
) -> Charge:
    venue = venues.venue
    return Charge(
        owner=SlotOwner(fund=venues.fund.name, schedule=schedule, venue=venue.info, currency="USDT"),
        seed=seed,
        journal=venues.journal,
        clock=venue.clock,
        bell=bell or ClockBell(venue.clock, heartbeat=heartbeat),
        open=venues.open,
        warm=venues.warm,
    )


def daemon_of(
    charges: Sequence[Charge], clock: Clock, *, supervisor: Overseer | None = None, poll: timedelta = timedelta(seconds=1)
) -> Daemon:
    keepers = [FundKeeper(charge) for charge in charges]
    return Daemon(keepers, charges[0].journal, clock, supervisor or Overseer(), poll=poll)


async def run_until(daemon: Daemon, clock: Clock, at: datetime) -> None:
    """Run ``daemon`` until the clock says ``at``, then stop it as a signal would."""
    running = asyncio.create_task(daemon.run())
    stopping = asyncio.create_task(clock.sleep_until(at))
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    daemon.stop("the test is over")
    await running


def memory() -> SqlJournal:
    return SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)


def command(kind: CommandKind, at: datetime, *, fund: str = "btc3l", name: str = "c1", reason: str = "") -> Command:
    return Command(id=name, fund=fund, kind=kind, reason=reason, at=at)


def told(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Trigger and status of each run, oldest first."""
    return [(run.key.trigger, str(run.status)) for run in reversed(runs)]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
