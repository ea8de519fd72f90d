"""What holds whatever is asked for and however long it takes on its way: the venue never counts more than it grants."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import VenueUnavailable
from keeper.simulation.clock import Shuffle, VirtualClock, VirtualLoop
from keeper.venues.budgets import Budget, Gauge, Limits, Priority, Unit
from keeper.venues.tallies import EPOCH
from keeper.venues.throttle import Cost, Throttle, Turn
from tests.fakes.weighing_server import START, WeighingServer, a_world, virtually

MILLISECOND = timedelta(milliseconds=1)
LIMITS = Limits(
    budgets=(
        Budget(name="weight", unit=Unit.WEIGHT, capacity=Decimal(40), interval=timedelta(seconds=10), aligned=True),
        Budget(
            name="orders", unit=Unit.ORDERS, capacity=Decimal(3), interval=timedelta(seconds=4), per_account=True, aligned=True
        ),
    ),
    gauges=(Gauge(budget="weight", header="X-Used"), Gauge(budget="orders", header="X-Orders")),
)


@dataclass(frozen=True)
class Asked:
    """One request. Times in milliseconds: at: after the start; patience; there, back: how long it is on its way."""

    at: int
    priority: Priority
    weight: int
    account: str
    patience: int
    there: int
    back: int
    gives_up: int | None

    @property
    def cost(self) -> Cost:
        return Cost(weight=Decimal(self.weight), orders=int(self.priority is Priority.ORDER))


asked = st.builds(
    Asked,
    at=st.integers(0, 20_000),
    priority=st.sampled_from(Priority),
    weight=st.integers(1, 12),
    account=st.sampled_from("ab"),
    patience=st.integers(0, 40_000),
    there=st.integers(0, 3_000),
    back=st.integers(0, 3_000),
    gives_up=st.none() | st.integers(0, 10_000),
)
starts = st.integers(0, 10_000).map(lambda after: START + after * MILLISECOND)
orderings: st.SearchStrategy[Shuffle] = st.randoms(use_true_random=True).map(lambda randomness: randomness.shuffle)


class World:
    """Requests through one throttle to a server that counts, and what became of each."""

    def __init__(self, loop: VirtualLoop, clock: VirtualClock, *, heeds_headers: bool = True) -> None:
        self.loop = loop
        self.clock = clock
        self.server = WeighingServer(LIMITS, clock)
        self.throttle = Throttle(LIMITS, clock)
        self.heeds_headers = heeds_headers
        self.queued: dict[int, datetime] = {}
        self.went: dict[int, datetime] = {}
        self.left: dict[int, datetime] = {}
        self.answered: dict[int, int] = {}
        self.heard: dict[int, datetime] = {}
        self.place: dict[int, int] = {}

    async def everything(self, requests: Sequence[Asked]) -> None:
        began = self.clock.now()
        await asyncio.gather(*(self.one(number, each, began) for number, each in enumerate(requests)))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await self.clock.sleep_until(self.clock.now() + timedelta(seconds=25))
        assert not any(self.throttle._lanes.values())
        assert all(meter.used(self.clock.now()) == 0 for meter in self.throttle._meters.values())

    async def one(self, number: int, request: Asked, began: datetime) -> None:
        await self.clock.sleep_until(began + request.at * MILLISECOND)
        task = asyncio.ensure_future(self.send(number, request))
        if request.gives_up is not None:
            await self.clock.sleep_until(self.clock.now() + request.gives_up * MILLISECOND)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            assert isinstance(task.exception(), VenueUnavailable | None)

    async def send(self, number: int, request: Asked) -> None:
        now = self.queued[number] = self.clock.now()
        by = now + request.patience * MILLISECOND
        try:
            async with self.throttle.turn(request.priority, request.cost, by=by, account=request.account) as turn:
                self.went[number] = self.clock.now()
                assert self.went[number] <= by
                await self.heed(number, request, turn)
        finally:
            self.left[number] = self.clock.now()

    async def heed(self, number: int, request: Asked, turn: Turn) -> None:
        cost = request.cost
        there, back = request.there * MILLISECOND, request.back * MILLISECOND
        asking = asyncio.ensure_future(self.server.ask(cost, request.account, there=there, back=back))
        try:
            status, headers = await asyncio.shield(asking)
        except asyncio.CancelledError:
            await asking  # what was sent arrives, whatever becomes of whoever waits for the answer
            raise
        self.answered[number], self.heard[number] = status, self.clock.now()
        self.place[number] = next(place for place, (_, counted, _) in enumerate(self.server.arrivals) if counted is cost)
        if self.heeds_headers:
            turn.answered(headers)


def counted(world: World, budget: Budget) -> None:
    """No window of the budget's length, wherever it begins, holds more than is granted."""
    for account in "ab" if budget.per_account else ("",):
        counts = [(at, cost.of(budget.unit)) for at, cost, who in world.server.arrivals if account in ("", who)]
        for first, _ in counts:
            assert sum(amount for at, amount in counts if first <= at < first + budget.interval) <= budget.capacity


@given(requests=st.lists(asked, max_size=40), start=starts, shuffle=orderings, heeds_headers=st.booleans())
def test_no_window_of_the_venue_ever_holds_more_than_it_grants(
    requests: list[Asked], start: datetime, shuffle: Shuffle, *, heeds_headers: bool
) -> None:
    loop, clock = a_world(shuffle, start)
    world = World(loop, clock, heeds_headers=heeds_headers)
    virtually(world.everything(requests), loop)
    assert set(world.answered.values()) <= {200}
    for budget in LIMITS.budgets:
        counted(world, budget)


@given(st.lists(asked, max_size=40), starts)
def test_nobody_goes_before_one_that_is_more_urgent_or_waits_longer(requests: list[Asked], start: datetime) -> None:
    loop, clock = a_world(None, start)
    weighed = [each for each in requests if each.priority is not Priority.ORDER]  # whose accounts don't hold up each other
    world = World(loop, clock)
    virtually(world.everything(weighed), loop)
    rank = {number: (weighed[number].priority, place) for place, number in enumerate(world.queued)}
    for passed, its in rank.items():
        until = world.went.get(passed, world.left[passed])
        ahead = [number for number, at in world.went.items() if rank[number] > its and world.queued[passed] < at < until]
        assert ahead == []


@given(st.lists(asked, max_size=30), starts)
def test_each_kind_leaves_what_is_kept_for_the_more_urgent(requests: list[Asked], start: datetime) -> None:
    loop, clock = a_world(None, start)
    world = World(loop, clock)
    virtually(world.everything(requests), loop)
    weight = LIMITS.budgets[0]
    for priority in Priority:
        sent = [
            (world.went[number], each.weight)
            for number, each in enumerate(requests)
            if number in world.went and each.priority >= priority
        ]
        for first, _ in sent:
            inside = sum(amount for at, amount in sent if first <= at < first + weight.interval)
            assert inside <= weight.ceiling(priority)


spends = st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 20)), max_size=8)


@given(st.lists(asked, max_size=30), spends, starts)
def test_what_the_venue_told_of_others_is_heeded(requests: list[Asked], others: list[tuple[int, int]], start: datetime) -> None:
    """Too much is sent only where somebody else spent what no answer had told of yet."""
    loop, clock = a_world(None, start)
    world = World(loop, clock)

    async def outsider(after: int, weight: int) -> None:
        await clock.sleep_until(start + after * MILLISECOND)
        await world.server.ask(Cost(weight=Decimal(weight)), "outsider", there=MILLISECOND, back=MILLISECOND)

    async def work() -> None:
        own = (world.one(number, each, start) for number, each in enumerate(requests))
        await asyncio.gather(*(outsider(*each) for each in others), *own)

    virtually(work(), loop)
    arrivals = world.server.arrivals
    window = LIMITS.budgets[0].interval
    for number in [number for number, status in world.answered.items() if status == 429]:
        mine = world.place[number]
        inside = [place for place in range(mine) if same_window(arrivals[place][0], arrivals[mine][0], window)]
        spent = [place for place in inside if arrivals[place][2] == "outsider"]
        heard = [other for other, at in world.heard.items() if at < world.went[number] and world.place[other] in inside]
        assert spent
        assert all(world.place[other] < max(spent) for other in heard)


def same_window(one: datetime, other: datetime, interval: timedelta) -> bool:
    return (one - EPOCH) // interval == (other - EPOCH) // interval
