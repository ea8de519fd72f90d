"""Who may send what and when: the urgent first, never more than the venue takes, nothing late and nothing lost."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from keeper.domain.errors import InvariantViolation, VenueUnavailable
from keeper.simulation.clock import VirtualClock
from keeper.system import SystemClock
from keeper.venues.budgets import Budget, Gauge, Limits, Meter, Priority, Reading, Unit
from keeper.venues.throttle import Cost, Throttle, Throttles
from tests.fakes.turns import turns
from tests.fakes.weighing_server import START, a_world, virtually

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
LATER = START + timedelta(days=1)
WEIGHT = Budget(name="weight", unit=Unit.WEIGHT, capacity=Decimal(100), interval=MINUTE, aligned=True)
ORDERS = Budget(name="orders", unit=Unit.ORDERS, capacity=Decimal(2), interval=10 * SECOND, per_account=True)
LIMITS = Limits(budgets=(WEIGHT, ORDERS), gauges=(Gauge(budget="weight", header="X-Used"),))
CANCEL, ORDER, LOOKUP, READ = Priority


def weighing(weight: int, orders: int = 0) -> Cost:
    return Cost(weight=Decimal(weight), orders=orders)


class Desk:
    """Sends through one throttle and keeps in which order and when."""

    def __init__(self, throttle: Throttle, clock: VirtualClock) -> None:
        self.throttle = throttle
        self.clock = clock
        self.sent: list[tuple[str, float]] = []
        self.refused: list[str] = []

    def seconds(self) -> float:
        return (self.clock.now() - START).total_seconds()

    async def send(
        self,
        name: str,
        priority: Priority,
        weight: int,
        *,
        orders: int = 0,
        by: datetime = LATER,
        account: str = "",
        takes: timedelta = timedelta(0),
    ) -> None:
        try:
            async with self.throttle.turn(priority, weighing(weight, orders), by=by, account=account):
                self.sent.append((name, self.seconds()))
                await self.clock.sleep_until(self.clock.now() + takes)
        except VenueUnavailable:
            self.refused.append(name)

    def begin(self, name: str, priority: Priority, weight: int, **options: object) -> "asyncio.Task[None]":
        return asyncio.ensure_future(self.send(name, priority, weight, **options))  # type: ignore[arg-type] # as send says


def at_a_desk(work: Callable[[Desk], Awaitable[None]], limits: Limits = LIMITS) -> Desk:
    loop, clock = a_world()
    desk = Desk(Throttle(limits, clock), clock)

    async def everything() -> None:
        await work(desk)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await clock.sleep_until(clock.now() + 2 * MINUTE)
        assert all(meter.used(clock.now()) == 0 for meter in desk.throttle._meters.values())

    virtually(everything(), loop)
    return desk


def test_the_urgent_go_first_and_the_early_among_equals() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("full", CANCEL, 100)
        names = [("r1", READ), ("l1", LOOKUP), ("o1", ORDER), ("r2", READ), ("c1", CANCEL), ("o2", ORDER), ("c2", CANCEL)]
        await asyncio.gather(*(desk.send(name, priority, 10) for name, priority in names))

    assert [name for name, _ in at_a_desk(work).sent] == ["full", "c1", "c2", "o1", "o2", "l1", "r1", "r2"]


def test_a_heavy_one_is_not_passed_by_light_ones_of_lower_priority_for_ever() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("first", READ, 20)
        heavy = desk.begin("heavy", ORDER, 90)
        await turns(3)
        await asyncio.gather(heavy, *(desk.send(f"light {number}", LOOKUP, 1) for number in range(5)))

    assert at_a_desk(work).sent[1] == ("heavy", 60.0)


@pytest.mark.parametrize(
    ("filling", "weight", "urgent"), [(READ, 73, (LOOKUP, ORDER, CANCEL)), (LOOKUP, 90, (ORDER, CANCEL)), (ORDER, 95, (CANCEL,))]
)
def test_whoever_fills_a_budget_leaves_what_is_kept_for_the_more_urgent(
    filling: Priority, weight: int, urgent: tuple[Priority, ...]
) -> None:
    async def work(desk: Desk) -> None:
        await asyncio.gather(*(desk.send("fill", filling, 1) for _ in range(weight + 1)), *(at_50(desk, each) for each in urgent))

    async def at_50(desk: Desk, priority: Priority) -> None:
        await desk.clock.sleep_until(START + 50 * SECOND)
        await desk.send(priority.name, priority, 5)

    desk = at_a_desk(work)
    assert [at for name, at in desk.sent if name != "fill"] == [50.0] * len(urgent)
    assert len([at for name, at in desk.sent if name == "fill" and at < 60]) == weight


def test_a_budget_refills_while_nobody_asks() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("all", CANCEL, 100)
        await desk.clock.sleep_until(START + 61 * SECOND)
        await asyncio.gather(desk.send("cancel", CANCEL, 15), desk.send("burst", READ, 16), desk.send("order", ORDER, 50))

    assert [at for _, at in at_a_desk(work).sent] == [0.0, 61.0, 61.0, 61.0]


def test_reads_are_served_evenly_when_more_is_asked_than_there_is() -> None:
    async def work(desk: Desk) -> None:
        await asyncio.gather(*(desk.send("read", READ, 1) for _ in range(300)))

    times = [at for _, at in at_a_desk(work).sent]
    gaps = [after - before for before, after in itertools.pairwise(times[18:])]
    assert times[:16] == [0.0] * 16
    assert 0.88 < min(gaps) <= max(gaps) < 0.89


def test_what_is_heavier_than_its_ceiling_goes_once_nothing_else_is_counted() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("light", READ, 1)
        await desk.send("heavy", READ, 99)

    assert at_a_desk(work).sent == [("light", 0.0), ("heavy", 60.0)]


def test_a_read_waits_as_long_as_it_is_worth_and_is_refused_unsent() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("order", ORDER, 90)
        waiting = desk.begin("ahead", LOOKUP, 1, takes=MINUTE)
        await turns(3)
        refused = desk.begin("read", READ, 1, by=START + 20 * SECOND)
        await desk.clock.sleep_until(START + 20 * SECOND)
        await turns(3)
        assert refused.done()
        await waiting

    desk = at_a_desk(work)
    assert (desk.sent, desk.refused) == ([("order", 0.0), ("ahead", 60.0)], ["read"])


def test_an_order_whose_turn_would_come_after_its_deadline_is_refused_at_once() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("first", CANCEL, 100)
        await desk.send("late", ORDER, 1, by=START + 59 * SECOND)
        assert desk.seconds() == 0
        await desk.send("in time", ORDER, 1, by=START + 60 * SECOND)

    desk = at_a_desk(work)
    assert (desk.sent, desk.refused) == ([("first", 0.0), ("in time", 60.0)], ["late"])


def test_an_order_is_refused_when_this_process_wakes_too_late_for_it() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("first", CANCEL, 100)
        order = desk.begin("late", ORDER, 1, by=START + 65 * SECOND)
        await desk.clock.sleep_until(START + 30 * SECOND)
        desk.clock.step(timedelta(hours=1))
        await order

    assert at_a_desk(work).refused == ["late"]


def test_a_request_whose_time_has_passed_is_not_sent_although_there_is_room() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("past", ORDER, 1, by=START - SECOND)

    assert at_a_desk(work).refused == ["past"]


def test_a_ban_silences_everything_cancels_too_and_ends_by_itself() -> None:
    async def work(desk: Desk) -> None:
        waiting = desk.begin("impatient", READ, 100, by=START + 90 * SECOND)
        desk.throttle.silent_until(START + 5 * MINUTE)
        desk.throttle.silent_until(START + MINUTE)
        await turns(3)
        await asyncio.gather(
            waiting,
            desk.send("read", READ, 1),
            desk.send("order", ORDER, 1, by=START + 299 * SECOND),
            desk.send("cancel", CANCEL, 1, by=START + 300 * SECOND),
        )

    desk = at_a_desk(work)
    assert desk.sent == [("cancel", 300.0), ("read", 300.0)]
    assert desk.refused == ["impatient", "order"]


def test_a_ban_refuses_at_once_who_can_not_wait_for_its_end() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("all", CANCEL, 100)
        read = desk.begin("read", READ, 1, by=START + 2 * MINUTE)
        await turns(3)
        assert not read.done()
        desk.throttle.silent_until(START + 5 * MINUTE)
        await turns(3)
        assert read.done()
        assert desk.seconds() == 0

    assert at_a_desk(work).refused == ["read"]


def test_one_account_s_orders_hold_up_nobody_else() -> None:
    async def work(desk: Desk) -> None:
        await asyncio.gather(
            *(desk.send(f"a{number}", ORDER, 1, orders=1, account="a") for number in range(3)),
            *(desk.send(f"b{number}", ORDER, 1, orders=1, account="b") for number in range(2)),
            desk.send("read", READ, 1, account="a"),
            desk.send("cancel", CANCEL, 1, account="a"),
        )

    sent = dict(at_a_desk(work).sent)
    assert sent.pop("a2") == 10.0
    assert set(sent.values()) == {0.0}
    assert len(sent) == 6


def test_what_is_in_flight_counts_until_an_interval_after_its_answer() -> None:
    async def work(desk: Desk) -> None:
        slow = desk.begin("slow", CANCEL, 100, takes=30 * SECOND)
        await turns(3)
        await asyncio.gather(slow, desk.send("next", CANCEL, 1))

    assert at_a_desk(work).sent == [("slow", 0.0), ("next", 90.0)]


def test_a_waiter_that_gives_up_leaves_no_trace() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("first", CANCEL, 50)
        gone, next_one = desk.begin("gone", ORDER, 90), desk.begin("next", READ, 20)
        await turns(3)
        assert not next_one.done()
        gone.cancel()
        await next_one

    assert at_a_desk(work).sent == [("first", 0.0), ("next", 0.0)]


def test_waiters_that_give_up_together_leave_no_trace_either() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("first", CANCEL, 50)
        # the heavier one stands before the lighter one, which could go at once if it were let
        gone = [desk.begin("heavy", ORDER, 90), desk.begin("light", READ, 20)]
        await turns(3)
        for one in gone:
            one.cancel()
        ends = await asyncio.gather(*gone, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
        assert desk.throttle._meters["weight", ""].used(desk.clock.now()) == 50
        await desk.send("next", READ, 20)

    assert at_a_desk(work).sent == [("first", 0.0), ("next", 0.0)]


def test_a_turn_that_came_as_its_waiter_gave_up_is_given_back() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("first", CANCEL, 100)
        gone = desk.begin("gone", READ, 21)
        await turns(3)
        await desk.clock.sleep_until(START + MINUTE)
        assert desk.throttle._meters["weight", ""].used(desk.clock.now()) == 21
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await desk.send("next", READ, 21)

    assert at_a_desk(work).sent == [("first", 0.0), ("next", 60.0)]


def test_a_turn_that_failed_counts_as_sent() -> None:
    async def work(desk: Desk) -> None:
        with pytest.raises(ZeroDivisionError):
            async with desk.throttle.turn(CANCEL, weighing(100), by=LATER):
                raise ZeroDivisionError
        await desk.send("next", CANCEL, 1)

    assert at_a_desk(work).sent == [("next", 60.0)]


async def told(desk: Desk, used: str) -> None:
    async with desk.throttle.turn(CANCEL, weighing(1), by=LATER) as turn:
        turn.answered({"x-used": used})


def test_what_others_use_of_the_address_counts_until_the_venue_s_window_ends() -> None:
    async def work(desk: Desk) -> None:
        await desk.clock.sleep_until(START + 40 * SECOND)
        await told(desk, "84")
        await desk.send("read", READ, 1)
        await asyncio.gather(desk.send("cancel", CANCEL, 15), desk.send("late", READ, 1))

    # the venue's minute ends at 60 s, and its clock may be a second behind
    assert at_a_desk(work).sent == [("read", 40.0), ("cancel", 40.0), ("late", 61.0)]


def test_a_later_answer_that_tells_of_less_lets_go_who_waits() -> None:
    async def work(desk: Desk) -> None:
        await told(desk, "99")
        read = desk.begin("read", READ, 1)
        await desk.clock.sleep_until(START + 5 * SECOND)
        assert not read.done()
        await told(desk, "10")
        await read

    assert at_a_desk(work).sent == [("read", 5.0)]


def test_what_may_wait_leaves_others_as_much_as_they_took_in_the_window_before() -> None:
    async def work(desk: Desk) -> None:
        await desk.clock.sleep_until(START + 59 * SECOND)
        await told(desk, "61")
        await desk.clock.sleep_until(START + 75 * SECOND)
        await told(desk, "41")  # others took 60 in the minute before, and are to take 45 more in what is left of this one
        await asyncio.gather(*(desk.send(each.name, each, 4) for each in Priority))

    # 41 are used, and 8 more by the urgent; 90 - 4 - 49 is what others take in 37 s, 85 - 4 - 53 in 28 s
    assert at_a_desk(work).sent == [("CANCEL", 75.0), ("ORDER", 75.0), ("LOOKUP", 83.0), ("READ", 92.0)]


def test_what_others_took_long_ago_is_not_left_to_them() -> None:
    async def work(desk: Desk) -> None:
        await told(desk, "100")
        await desk.clock.sleep_until(START + 125 * SECOND)
        await told(desk, "1")
        await desk.send("read", READ, 10)

    assert at_a_desk(work).sent == [("read", 125.0)]


def test_an_answer_that_was_asked_for_earlier_takes_nothing_back() -> None:
    async def work(desk: Desk) -> None:
        async with desk.throttle.turn(CANCEL, weighing(1), by=LATER) as early:
            await desk.clock.sleep_until(START + SECOND)
            await told(desk, "90")
            early.answered({"X-Used": "1"})
        await desk.send("read", READ, 1)

    assert at_a_desk(work).sent == [("read", 61.0)]


@pytest.mark.parametrize("takes", [2 * SECOND, 5 * SECOND])
def test_an_answer_may_lack_what_was_in_flight_beside_it(takes: timedelta) -> None:
    async def work(desk: Desk) -> None:
        beside = desk.begin("beside", CANCEL, 30, takes=takes)
        await turns(3)
        async with desk.throttle.turn(CANCEL, weighing(1), by=LATER) as turn:
            await desk.clock.sleep_until(START + 3 * SECOND)
            turn.answered({"X-Used": "60"})
        await asyncio.gather(beside, desk.send("order", ORDER, 6))

    assert at_a_desk(work).sent == [("beside", 0.0), ("order", 61.0)]


@pytest.mark.parametrize("header", ["", "-5", "1e3", "NaN", "many", "٣", "84.5"])
def test_a_header_that_is_no_count_tells_nothing(header: str) -> None:
    async def work(desk: Desk) -> None:
        await told(desk, header)
        await desk.send("read", READ, 1)

    assert at_a_desk(work).sent == [("read", 0.0)]


def test_a_clock_that_is_set_back_stops_nobody_for_longer_than_an_interval() -> None:
    async def work(desk: Desk) -> None:
        await told(desk, "84")
        await desk.send("all", CANCEL, 15)
        await asyncio.gather(*(desk.send("burst", READ, 1, by=START) for _ in range(2)))
        desk.clock.step(-timedelta(hours=5))
        await desk.send("read", READ, 20)
        assert desk.clock.now() <= START - timedelta(hours=5) + MINUTE

    assert "read" in dict(at_a_desk(work).sent)


def test_a_clock_that_is_set_back_does_not_stop_what_flows_in() -> None:
    async def work(desk: Desk) -> None:
        await asyncio.gather(*(desk.send("burst", READ, 16) for _ in range(2)))
        desk.clock.step(-timedelta(hours=5))
        await desk.send("read", READ, 16, by=desk.clock.now() + MINUTE)

    assert at_a_desk(work).refused == []


def test_what_is_given_back_is_taken_off_the_venue_s_count_as_well() -> None:
    meter = Meter(WEIGHT)
    meter.send(Decimal(1), CANCEL, START)
    meter.told(Reading(budget="weight", amount=Decimal(50), left=False, resets=None), Decimal(1), START, START)
    meter.send(Decimal(10), ORDER, START)
    assert meter.used(START) == 60
    meter.withdraw(Decimal(10), ORDER)
    assert meter.used(START) == 50


def test_what_is_left_counts_as_the_rest_of_the_budget_until_the_venue_says() -> None:
    meter = Meter(ORDERS)
    meter.send(Decimal(1), ORDER, START)
    meter.told(Reading(budget="orders", amount=Decimal(0), left=True, resets=START + 3 * SECOND), Decimal(1), START, START)
    assert meter.opens(Decimal(1), ORDER, START) == START + 4 * SECOND
    meter.told(Reading(budget="orders", amount=Decimal(9), left=True, resets=None), Decimal(1), START, START)
    assert meter.opens(Decimal(1), ORDER, START) == START


def test_a_heavy_one_waits_for_its_account_s_pool_before_the_light_ones_of_that_account_alone() -> None:
    async def work(desk: Desk) -> None:
        await desk.send("first", ORDER, 50, account="a")
        heavy = desk.begin("heavy", ORDER, 60, account="a")
        await turns(3)
        await asyncio.gather(heavy, desk.send("a", LOOKUP, 1, account="a"), desk.send("b", READ, 1, account="b"))

    pool = Budget(name="pool", unit=Unit.WEIGHT, capacity=Decimal(100), interval=MINUTE, per_account=True)
    assert at_a_desk(work, Limits(budgets=(pool,))).sent == [("first", 0.0), ("b", 0.0), ("heavy", 60.0), ("a", 60.0)]


def test_when_the_clock_fails_those_who_wait_are_refused() -> None:
    class BrokenClock(VirtualClock):
        async def sleep_until(self, at: datetime) -> None:
            raise OSError(at)

    loop, clock = a_world()

    async def work() -> None:
        throttle = Throttle(LIMITS, BrokenClock(loop, START))
        async with throttle.turn(CANCEL, weighing(100), by=LATER):
            pass
        with pytest.raises(VenueUnavailable, match="OSError"):
            async with throttle.turn(READ, weighing(1), by=LATER):
                pytest.fail("nothing may be sent")

    virtually(work(), loop)
    assert clock.now() == START


def test_a_turn_is_for_one_request() -> None:
    async def work(desk: Desk) -> None:
        turn = desk.throttle.turn(READ, weighing(1), by=LATER)
        async with turn:
            pass
        with pytest.raises(InvariantViolation):
            await turn.__aenter__()

    at_a_desk(work)


@pytest.mark.parametrize(("weight", "orders"), [("0", 0), ("-1", 0), ("NaN", 0), ("1", -1)])
def test_every_request_weighs_something(weight: str, orders: int) -> None:
    with pytest.raises((InvariantViolation, ArithmeticError)):
        Cost(weight=Decimal(weight), orders=orders)


def test_all_who_send_to_one_host_share_its_throttle() -> None:
    throttles = Throttles(SystemClock())
    assert throttles.at("fapi.binance.com", LIMITS) is throttles.at("fapi.binance.com", LIMITS)
    assert throttles.at("api.binance.com", LIMITS) is not throttles.at("fapi.binance.com", LIMITS)
    assert Throttles(SystemClock()).at("api.binance.com", LIMITS) is not throttles.at("api.binance.com", LIMITS)
    with pytest.raises(InvariantViolation):
        throttles.at("api.binance.com", Limits(budgets=(WEIGHT,)))
