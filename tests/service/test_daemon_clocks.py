"""A wall clock that is set by hours in either direction, and a machine that sleeps: the rules hold for the time it shows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import pytest

from keeper.bells import ClockBell
from keeper.domain.account import Account
from keeper.domain.observation import Quote
from keeper.domain.order import OrderRequest, Outcome, VenueOrder
from keeper.domain.run import RunStatus
from keeper.ports import Clock
from keeper.service.daemon import Daemon
from keeper.service.keeping import FundKeeper
from tests.fakes.daemons import HOUR, Overseer, Venues, charge_of, daily, fund_of, memory, told
from tests.fakes.desks import drifted
from tests.fakes.paper import START
from tests.fakes.scripted_venue import ScriptedVenue

SLOT = START + timedelta(minutes=15)
FIRST = "slot:2025-03-01T00:15[UTC]"


class Wall:
    """A wall clock over steady time: it may be set, and sleeps end after the time that they asked for at the latest."""

    def __init__(self, steady: Clock) -> None:
        self.steady = steady
        self.error = timedelta(0)

    def now(self) -> datetime:
        return self.steady.now() + self.error

    async def sleep_until(self, at: datetime) -> None:
        until = self.steady.now() + (at - self.now())
        while (left := min(until - self.steady.now(), at - self.now())) > timedelta(0):
            await self.steady.sleep_until(self.steady.now() + min(left, timedelta(seconds=1)))


class OnTheWall:
    """A venue that goes by the machine's clock, around one that goes by steady time."""

    def __init__(self, inner: ScriptedVenue, wall: Wall) -> None:
        self.inner = inner
        self.clock: Clock = wall
        self._wall = wall
        self.info = inner.info
        self.markets = inner.markets
        self.stats = inner.stats
        self.price = inner.price
        self.heard = inner.heard
        self.lookup = inner.lookup
        self.fills = inner.fills
        self.open_orders = inner.open_orders
        self.cancel = inner.cancel
        self.time = inner.time
        self.dead_man = inner.dead_man
        self.ledger = inner.ledger
        self.funding = inner.funding
        self.alike = inner.alike

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.inner.__aexit__(kind, error, trace)

    async def quote(self, symbol: str) -> Quote:
        quote = await self.inner.quote(symbol)
        return replace(quote, book=replace(quote.book, at=self._wall.now()))

    async def account(self) -> Account:
        return replace(await self.inner.account(), at=self._wall.now())

    async def orders(self, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        found = await self.inner.orders(symbol, since - self._wall.error)
        return tuple(replace(order, at=order.at + self._wall.error) for order in found)

    async def place(self, request: OrderRequest) -> Outcome:
        return await self.inner.place(replace(request, deadline=request.deadline - self._wall.error))


class Machine:
    """One daemon on one machine."""

    def __init__(self) -> None:
        self.venue = drifted()
        self.steady = self.venue.clock
        self.wall = Wall(self.steady)
        self.journal = memory()
        bell = ClockBell(self.steady, heartbeat=timedelta(seconds=30))
        charge = charge_of(
            Venues(OnTheWall(self.venue, self.wall), self.journal, fund_of()), daily("00:15"), bell=_Walled(bell, self.wall)
        )
        self.daemon = Daemon([FundKeeper(charge)], self.journal, self.wall, Overseer(), poll=timedelta(seconds=5))

    async def passed(self, span: timedelta) -> None:
        """So much time passes, whatever the wall says."""
        await self.steady.sleep_until(self.steady.now() + span)

    def set_by(self, step: timedelta) -> None:
        self.wall.error += step


class _Walled:
    """A bell of steady time that is told times of the wall, as APScheduler's timers are."""

    def __init__(self, bell: ClockBell, wall: Wall) -> None:
        self._bell = bell
        self._wall = wall

    def ring_at(self, at: datetime) -> None:
        self._bell.ring_at(at - self._wall.error)

    def ring(self) -> None:
        self._bell.ring()

    async def wait(self) -> None:
        await self._bell.wait()


@asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    one = Machine()
    running = asyncio.create_task(one.daemon.run())
    yield one
    one.daemon.stop("the test is over")
    await running
    assert await one.journal.verify() == ()
    await one.journal.close()


@pytest.mark.parametrize("back", [0.5, 3.0, 23.0, 40.0])
async def test_a_clock_set_back_over_a_slot_gives_no_second_run(back: float) -> None:
    async with machine() as one:
        await one.passed(HOUR)
        assert told(await one.journal.runs()) == [(FIRST, "completed")]
        sent = len(one.venue.sent)
        one.set_by(-back * HOUR)
        await one.passed(2 * HOUR)
        one.set_by(back * HOUR)
        await one.passed(2 * HOUR)
        runs = await one.journal.runs()
        assert [run.status for run in runs if run.key.trigger == FIRST] == [RunStatus.COMPLETED]
        assert {run.status for run in runs if run.key.trigger != FIRST} <= {RunStatus.NOTHING_DUE}
        assert len(one.venue.sent) == sent


async def test_a_clock_set_back_in_a_run_ends_it_and_the_slot_goes_on_when_its_time_has_come() -> None:
    async with machine() as one:
        await one.passed(timedelta(minutes=18))
        assert 0 < len(one.venue.sent) < 9
        one.set_by(-2 * HOUR)
        await one.passed(timedelta(minutes=1))
        [run] = await one.journal.runs()
        assert (run.status, run.reason) == (RunStatus.INCOMPLETE, "the clock was set back")
        await one.passed(3 * HOUR)
        again = [run for run in await one.journal.runs() if run.key.trigger == FIRST]
        assert [(run.id, run.status, run.attempts) for run in again] == [(again[0].id, RunStatus.COMPLETED, 2)]
        assert len({request.client_id for request in one.venue.sent}) == len(one.venue.sent)


async def test_a_clock_set_forward_past_a_window_and_back_loses_no_run() -> None:
    async with machine() as one:
        await one.passed(timedelta(minutes=5))
        one.set_by(8 * HOUR)
        await one.passed(timedelta(minutes=2))
        assert told(await one.journal.runs()) == [(FIRST, "missed")]
        one.set_by(-8 * HOUR)
        await one.passed(HOUR)
        [run] = await one.journal.runs()
        assert (run.key.trigger, run.status, run.attempts) == (FIRST, RunStatus.COMPLETED, 1)
        assert run.started_at - SLOT < timedelta(minutes=1)


async def test_a_clock_set_forward_into_a_window_runs_the_slot_within_a_heartbeat() -> None:
    async with machine() as one:
        await one.passed(timedelta(minutes=5))
        one.set_by(3 * HOUR)
        await one.passed(timedelta(seconds=30))
        [run] = await one.journal.runs()
        assert run.key.trigger == FIRST
        assert run.started_at - (START + 3 * HOUR + timedelta(minutes=5)) < timedelta(seconds=30)
