"""Nothing of ours rests after a kill, or the kill says what may: whatever cancels answer, and whatever goes wrong."""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.errors import VenueRefused
from keeper.domain.fund import Footing, FundState
from keeper.domain.order import Child, ChildState, VenueOrder
from keeper.execution.recovery import CLOCK_SKEW
from keeper.service.killing import PATIENCE, Killed, Stopped, cancel_all
from tests.fakes.desks import Desk, desk_of, drifted
from tests.fakes.paper import PERP, START
from tests.fakes.resting_venue import OURS, RestingVenue
from tests.fakes.scripted_venue import Fault

OTHER = "kpr0000000000000000000000000000s"
D = Decimal


async def nothing_open() -> tuple[Child, ...]:
    return ()


def told(orders: tuple[Stopped, ...]) -> dict[str, tuple[ChildState, Decimal]]:
    return {order.client_id: (order.state, order.filled) for order in orders}


async def test_every_order_of_ours_is_canceled_and_no_other() -> None:
    async with RestingVenue.make() as venue:
        venue.rest(OURS, PERP, "2")
        venue.rest(OTHER, PERP, "-3")
        venue.rest("web_7", PERP, "5")
        orders, trouble = await cancel_all(venue, nothing_open)
        assert trouble == ""
        assert told(orders) == {OURS: (ChildState.CANCELED, D(0)), OTHER: (ChildState.CANCELED, D(0))}
        assert set(venue.resting) == {"web_7"}
        assert set(venue.canceled) == {OURS, OTHER}


async def test_nothing_that_rests_is_found_twice_and_nothing_is_canceled() -> None:
    async with RestingVenue.make(lag=0.5) as venue:
        began, looks = venue.clock.now(), []
        venue.on_read = lambda kind: looks.append(venue.clock.now()) if kind == "open orders" else None
        assert await cancel_all(venue, nothing_open) == ((), "")
        assert looks == [began, began + timedelta(seconds=0.5)]
        assert venue.canceled == []


async def test_what_filled_while_it_was_canceled_is_told() -> None:
    async with RestingVenue.make() as venue:
        venue.rest(OURS, PERP, "2")
        venue.rest(OTHER, PERP, "2")
        venue.racing = {OURS: D(2), OTHER: D("0.5")}
        orders, _ = await cancel_all(venue, nothing_open)
        assert told(orders) == {OURS: (ChildState.FILLED, D(2)), OTHER: (ChildState.CANCELED, D("0.5"))}


async def test_a_cancel_that_fails_is_asked_for_again() -> None:
    async with RestingVenue.make() as venue:
        venue.rest(OURS, PERP, "2")
        venue.failing = {"cancel": 3, "lookup": 1}
        orders, trouble = await cancel_all(venue, nothing_open)
        assert (told(orders), trouble) == ({OURS: (ChildState.CANCELED, D(0))}, "")
        assert len(venue.canceled) == 3 + 1 + 1  # failed, done, and once more since it could not be looked up then


async def test_an_order_that_no_cancel_reaches_is_told_to_rest_after_a_bounded_time() -> None:
    async with RestingVenue.make() as venue:
        venue.rest(OURS, PERP, "2")
        venue.stubborn = {OURS}
        began = venue.clock.now()
        orders, trouble = await cancel_all(venue, nothing_open)
        assert (told(orders), trouble) == ({OURS: (ChildState.LIVE, D(0))}, "")
        assert venue.clock.now() - began <= PATIENCE
        assert killed(orders).exit_code == 4


async def test_an_order_that_turns_up_after_the_first_look_is_canceled_too() -> None:
    async with RestingVenue.make(lag=0.5) as venue:
        venue.rest(OURS, PERP, "2")
        venue.on_cancel = lambda name: venue.rest(OTHER, PERP, "1") if name == OURS and OTHER not in venue.ended else None
        orders, _ = await cancel_all(venue, nothing_open)
        assert {order.client_id: order.state for order in orders} == {OURS: ChildState.CANCELED, OTHER: ChildState.CANCELED}
        assert venue.resting == {}


async def test_an_order_that_vanished_without_a_trace_stays_unknown() -> None:
    async with RestingVenue.make() as venue:
        venue.rest(OURS, PERP, "2")
        venue.on_cancel = lambda name: venue.resting.pop(name, None)
        orders, _ = await cancel_all(venue, nothing_open)
        assert told(orders) == {OURS: (ChildState.UNKNOWN, D(0))}
        assert killed(orders).exit_code == 4


async def test_a_venue_that_never_answers_is_given_up_with_its_words() -> None:
    async with RestingVenue.make() as venue:
        venue.failing = {"open orders": 10**6}
        orders, trouble = await cancel_all(venue, nothing_open)
        assert orders == ()
        assert "no answer" in trouble
        assert killed(orders, trouble=trouble).exit_code == 69


class RefusingVenue(RestingVenue):
    """A venue that does not take the key. asked: how often it was shown one."""

    asked = 0

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        self.asked += 1
        raise VenueRefused("key", "the API key is unknown here")


async def test_a_venue_that_refuses_the_key_is_not_shown_it_for_half_a_minute(tmp_path: Path) -> None:
    async with RefusingVenue(drifted().inner) as venue, desk_of(venue, tmp_path) as desk:
        child = await left_open(desk, Fault.LOST_REQUEST)
        orders, trouble = await cancel_all(venue, lambda: only(child))
        assert "unknown here" in trouble
        assert [order.state for order in orders] == [ChildState.UNKNOWN]
        assert venue.asked == 2
        assert venue.canceled == [child.request.client_id]  # whose right may be another than to look


async def test_a_venue_that_answers_late_is_waited_for() -> None:
    async with RestingVenue.make() as venue:
        venue.rest(OURS, PERP, "2")
        venue.failing = {"open orders": 5}
        orders, trouble = await cancel_all(venue, nothing_open)
        assert (told(orders), trouble) == ({OURS: (ChildState.CANCELED, D(0))}, "")


@pytest.mark.parametrize("state", [ChildState.INTENT, ChildState.UNKNOWN, ChildState.LIVE])
async def test_a_child_that_landed_is_told_as_it_ended(tmp_path: Path, state: ChildState) -> None:
    async with RestingVenue.make() as venue, desk_of(venue, tmp_path) as desk:
        child = await left_open(desk, Fault.LOST_REPLY)
        orders, _ = await cancel_all(venue, lambda: only(replace(child, state=state)))
        assert told(orders) == {child.request.client_id: (ChildState.FILLED, child.request.amount)}
        assert [order.recorded for order in orders] == [True]
        [still] = await desk.journal.open_children("btc3l")
        assert still == child


async def test_a_child_that_never_arrived_is_waited_for_until_it_can_arrive_no_more(tmp_path: Path) -> None:
    async with RestingVenue.make(lag=0.5) as venue, desk_of(venue, tmp_path) as desk:
        child = await left_open(desk, Fault.LOST_REQUEST)
        orders, _ = await cancel_all(venue, lambda: only(child))
        assert [order.state for order in orders] == [ChildState.NOT_PLACED]
        assert venue.clock.now() >= child.request.deadline + CLOCK_SKEW + timedelta(seconds=0.5)


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(minutes=-10)])
async def test_what_is_too_late_the_venue_says_by_its_own_clock(tmp_path: Path, ahead: timedelta) -> None:
    """Ours may have been set while the order was on its way: that its deadline has passed here proves nothing."""
    async with RestingVenue.make(lag=0.5) as venue, desk_of(venue, tmp_path) as desk:
        child = await left_open(desk, Fault.LOST_REQUEST)
        read = venue.time

        async def time() -> datetime:
            return await read() + ahead

        venue.time = time  # type: ignore[method-assign] # a venue whose clock is elsewhere
        await venue.clock.sleep_until(child.request.deadline + timedelta(minutes=1))
        orders, _ = await cancel_all(venue, lambda: only(child))
        assert [order.state for order in orders] == [ChildState.NOT_PLACED if ahead > timedelta(0) else ChildState.UNKNOWN]


async def test_a_venue_that_does_not_tell_the_time_proves_no_absence(tmp_path: Path) -> None:
    async with RestingVenue.make(lag=0.5) as venue, desk_of(venue, tmp_path) as desk:
        child = await left_open(desk, Fault.LOST_REQUEST)
        venue.failing = {"time": 10**6}
        orders, _ = await cancel_all(venue, lambda: only(child))
        assert [order.state for order in orders] == [ChildState.UNKNOWN]


async def test_an_order_that_passed_the_gate_right_before_the_halt_is_not_sent(tmp_path: Path) -> None:
    """Its intent is not to be read yet as the kill looks, and is not recorded any more: none may land after all was clear."""
    async with desk_of(drifted(), tmp_path) as desk:
        journal, venue, quiet = desk.journal, desk.venue, list[tuple[tuple[Stopped, ...], str]]()
        read = journal.footing

        async def footing(fund: str, run: str, now: datetime) -> Footing:
            found = await read(fund, run, now)
            if run and not quiet:
                await journal.set_state(fund, FundState.HALTED, reason="killed", at=venue.clock.now())
                quiet.append(await cancel_all(venue, lambda: journal.open_children(fund), is_held=True))
            return found

        journal.footing = footing  # type: ignore[method-assign] # a kill at the worst moment
        await desk.run()
        assert quiet == [((), "")]
        assert (venue.sent, venue.booked) == ([], {})


async def test_a_kill_beside_a_process_that_may_send_looks_until_what_it_sent_must_have_arrived() -> None:
    async with RestingVenue.make(lag=0.5) as venue:
        began, info = venue.clock.now(), venue.info
        late: list[VenueOrder] = []
        arrives = began + timedelta(seconds=info.order_ttl)

        def arrive(kind: str) -> None:
            if kind == "open orders" and venue.clock.now() >= arrives and not late:
                late.append(venue.rest(OURS, PERP, "2"))

        venue.on_read = arrive
        orders, trouble = await cancel_all(venue, nothing_open, is_held=True)
        assert (told(orders), trouble) == ({OURS: (ChildState.CANCELED, D(0))}, "")
        assert venue.resting == {}
        assert venue.clock.now() - began >= timedelta(seconds=info.order_ttl + info.read_lag)


async def test_a_live_child_that_the_venue_does_not_find_stays_unknown(tmp_path: Path) -> None:
    async with RestingVenue.make() as venue, desk_of(venue, tmp_path) as desk:
        child = await left_open(desk, Fault.LOST_REQUEST)
        orders, _ = await cancel_all(venue, lambda: only(replace(child, state=ChildState.LIVE)))
        assert [order.state for order in orders] == [ChildState.UNKNOWN]


async def test_a_child_that_rests_is_canceled_by_its_id_even_where_the_account_can_not_be_read(tmp_path: Path) -> None:
    async with RestingVenue.make() as venue, desk_of(venue, tmp_path) as desk:
        child = await left_open(desk, Fault.LOST_REQUEST)
        venue.rest(child.request.client_id, PERP, "1")
        venue.failing = {"open orders": 10**6}
        _, trouble = await cancel_all(venue, lambda: only(child))
        assert trouble
        assert venue.resting == {}


def test_a_halt_that_is_not_in_the_journal_is_told_before_all_else() -> None:
    assert killed((), unrecorded="the disk is full", trouble="no answer").exit_code == 73
    assert killed(()).exit_code == 0
    document = killed((), unrecorded="the disk is full").document()
    assert (document["halted"], document["unrecorded"], document["trouble"]) == (False, "the disk is full", None)


async def left_open(desk: Desk, fault: Fault) -> Child:
    """A child of a run, without a known outcome."""
    desk.venue.faults = {1: fault}
    await desk.run()
    [child] = await desk.journal.open_children("btc3l")
    assert child.state is ChildState.UNKNOWN
    return child


def only(child: Child) -> Awaitable[tuple[Child, ...]]:
    async def children() -> tuple[Child, ...]:
        return (child,)

    return children()


def killed(orders: tuple[Stopped, ...], *, unrecorded: str = "", trouble: str = "") -> Killed:
    return Killed(fund="btc3l", venue="sim", environment="paper", orders=orders, at=START, unrecorded=unrecorded, trouble=trouble)
