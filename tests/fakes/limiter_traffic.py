"""The traffic of many funds on one venue through one throttle, in virtual time, and what became of it.

Every fund has an account of its own. It looks at it every few seconds and, at the slot that all of them share, goes to its
target in slices; now and then one takes back an order. Public data is shared by all funds of a market.
"""

import asyncio
import random  # noqa: TID251 - what is drawn from a seed is drawn again from the same seed
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.errors import VenueUnavailable
from keeper.simulation.clock import VirtualClock
from keeper.venues.budgets import Priority
from keeper.venues.rates import BINANCE_USDM
from keeper.venues.sharing import Shared
from keeper.venues.throttle import Cost, Throttle, Throttles
from tests.fakes.weighing_server import WeighingServer, a_world, virtually

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
HOST = "fapi.binance.com"
ACCOUNT, POSITIONS, OPEN_ORDERS, BOOK, MARK, LOOKUP, TRADES, ORDER, CANCEL = (
    Cost(weight=Decimal(weight), orders=orders)
    for weight, orders in ((5, 0), (5, 0), (1, 0), (5, 0), (1, 0), (1, 0), (5, 0), (1, 1), (1, 0))
)
"""Documented for USD-M: one account, one market, a book of 100 levels. An order counts by number; its weight is taken as 1."""
ORDER_LIFE = 30 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is asked for. slot: after the start of each day; between: two slices of a rebalance; cancels: one in so many
    slices is taken back; strangers: weight a minute that another process takes at the same address."""

    funds: int = 200
    lasts: timedelta = DAY
    every: timedelta = 5 * SECOND
    patience: timedelta = 5 * MINUTE
    slot: timedelta = timedelta(minutes=10)
    slices: int = 12
    between: timedelta = 30 * SECOND
    markets: int = 10
    cancels: int = 50
    strangers: int = 0
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """Figures of one run. waited: seconds by priority; checks: seconds between two checks of one fund."""

    answers: Mapping[int, int] = field(default_factory=dict)
    waited: Mapping[Priority, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[Priority, int] = field(default_factory=lambda: defaultdict(int))
    checks: list[float] = field(default_factory=list)
    rebalances: list[float] = field(default_factory=list)
    shared: int = 0
    asked: int = 0


class Funds:
    """All funds of one process."""

    def __init__(self, traffic: Traffic, clock: VirtualClock) -> None:
        self.traffic = traffic
        self.clock = clock
        self.random = random.Random(traffic.seed)  # noqa: S311 - as above
        self.server = WeighingServer(BINANCE_USDM, clock, keeps=False)
        self.throttle: Throttle = Throttles(clock).at(HOST, BINANCE_USDM)
        self.shared = Shared(clock)
        self.outcome = Outcome(answers=self.server.answers)
        self.begin = clock.now()
        self.end = self.begin + traffic.lasts

    async def everything(self) -> None:
        await asyncio.gather(*(self.fund(number) for number in range(self.traffic.funds)), self.stranger())

    async def fund(self, number: int) -> None:
        await asyncio.gather(self.checking(number), self.rebalancing(number))

    async def checking(self, number: int) -> None:
        traffic = self.traffic
        at = self.begin + traffic.every * number / traffic.funds
        last: datetime | None = None
        while at < self.end:
            await self.clock.sleep_until(at)
            await self.together(self.send(number, Priority.READ, ACCOUNT), self.public("mark", number % traffic.markets, MARK))
            now = self.clock.now()
            if last is not None:
                self.outcome.checks.append((now - last).total_seconds())
            last, at = now, max(at + traffic.every, now)

    async def rebalancing(self, number: int) -> None:
        traffic, slot = self.traffic, self.begin + self.traffic.slot
        while slot < self.end:
            await self.clock.sleep_until(slot)
            for each in range(traffic.slices):
                await self.clock.sleep_until(slot + traffic.between * each)
                await self.slice(number)
            self.outcome.rebalances.append((self.clock.now() - slot).total_seconds())
            slot += DAY

    async def slice(self, number: int) -> None:
        market, account = number % self.traffic.markets, number
        await self.together(
            self.send(account, Priority.READ, ACCOUNT),
            self.send(account, Priority.READ, POSITIONS),
            self.send(account, Priority.READ, OPEN_ORDERS),
            self.public("book", market, BOOK),
            self.public("mark", market, MARK),
            self.public("last", market, MARK),
        )
        if not await self.send(account, Priority.ORDER, ORDER, patience=ORDER_LIFE):
            return
        if self.random.randrange(self.traffic.cancels) == 0:
            await self.send(account, Priority.CANCEL, CANCEL)
        await self.send(account, Priority.LOOKUP, LOOKUP)
        await self.send(account, Priority.LOOKUP, TRADES)

    async def together(self, *reads: Awaitable[bool]) -> None:
        await asyncio.gather(*reads)

    async def public(self, what: str, market: int, cost: Cost) -> bool:
        async def ask(sends: Callable[[], None]) -> bool:
            self.outcome.asked += 1
            return await self.send(-1, Priority.READ, cost, sends=sends)

        self.outcome.shared += 1
        key: Hashable = (what, market)
        return await self.shared.read(key, ask)

    async def send(
        self,
        account: int,
        priority: Priority,
        cost: Cost,
        *,
        patience: timedelta | None = None,
        sends: Callable[[], None] = lambda: None,
    ) -> bool:
        """Whether it was sent in time."""
        asked = self.clock.now()
        there, back = (timedelta(milliseconds=self.random.randint(5, 150)) for _ in range(2))
        by = asked + (patience or self.traffic.patience)
        try:
            async with self.throttle.turn(priority, cost, by=by, account=str(account)) as turn:
                self.outcome.waited[priority].append((self.clock.now() - asked).total_seconds())
                sends()
                _, headers = await self.server.ask(cost, str(account), there=there, back=back)
                turn.answered(headers)
        except VenueUnavailable:
            self.outcome.refused[priority] += 1
            return False
        return True

    async def stranger(self) -> None:
        """Another process at the same address, ten requests a minute."""
        if self.traffic.strangers:
            cost, at = Cost(weight=Decimal(self.traffic.strangers) / 10), self.begin
            while at < self.end:
                await self.clock.sleep_until(at)
                self.server.count(cost, "stranger")
                at += MINUTE / 10


def carried(traffic: Traffic) -> Outcome:
    loop, clock = a_world()
    funds = Funds(traffic, clock)
    virtually(funds.everything(), loop)
    return funds.outcome


def percentile(figures: Sequence[float], part: float) -> float:
    """The smallest figure that ``part`` of all do not exceed; 0 where there is none."""
    ordered = sorted(figures)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else 0.0
