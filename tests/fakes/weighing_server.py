"""A venue that does nothing but count, in virtual time: every request's weight and orders, by its own windows."""

from collections import defaultdict
from collections.abc import Coroutine, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from keeper.simulation.clock import Shuffle, VirtualClock, VirtualLoop
from keeper.venues.budgets import Budget, Limits
from keeper.venues.tallies import EPOCH
from keeper.venues.throttle import Cost

T = TypeVar("T")
START = datetime(2025, 3, 1, tzinfo=UTC)


def virtually(work: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    with closing(loop):
        return loop.run_until_complete(work)


def a_world(shuffle: Shuffle | None = None, start: datetime = START) -> tuple[VirtualLoop, VirtualClock]:
    loop = VirtualLoop(shuffle)
    return loop, VirtualClock(loop, start)


@dataclass
class WeighingServer:
    """Counts in fixed windows that begin at whole multiples of each interval, and answers 429 to what would be too much.

    keeps: whether to remember every arrival.
    """

    limits: Limits
    clock: VirtualClock
    keeps: bool = True
    counts: dict[tuple[str, str, int], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    answers: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    arrivals: list[tuple[datetime, Cost, str]] = field(default_factory=list)

    def count(self, cost: Cost, account: str = "") -> int:
        """The status of a request that arrives now."""
        keys = [(self._key(budget, account), budget, cost.of(budget.unit)) for budget in self.limits.budgets]
        status = 429 if any(self.counts[key] + amount > budget.capacity for key, budget, amount in keys) else 200
        for key, _, amount in keys:
            self.counts[key] += amount
        return status

    def headers(self, account: str = "") -> Mapping[str, str]:
        budgets = {budget.name: budget for budget in self.limits.budgets}
        return {gauge.header: str(int(self.counts[self._key(budgets[gauge.budget], account)])) for gauge in self.limits.gauges}

    async def ask(self, cost: Cost, account: str = "", *, there: timedelta, back: timedelta) -> tuple[int, Mapping[str, str]]:
        """Status and headers of one request that takes so long there and back."""
        await self.clock.sleep_until(self.clock.now() + there)
        status = self.count(cost, account)
        self.answers[status] += 1
        if self.keeps:
            self.arrivals.append((self.clock.now(), cost, account))
        headers = self.headers(account)
        await self.clock.sleep_until(self.clock.now() + back)
        return status, headers

    def _key(self, budget: Budget, account: str) -> tuple[str, str, int]:
        return budget.name, account if budget.per_account else "", (self.clock.now() - EPOCH) // budget.interval
