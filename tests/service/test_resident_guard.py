"""The stops that a fund keeps on the exchange: they brake it when nobody looks, and are ours like any other order."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from keeper.domain.fund import FundState
from keeper.domain.market import Side
from keeper.domain.order import Child, ChildState, OrderReport, VenueOrder
from keeper.domain.run import CommandKind, Run, RunStatus
from keeper.journal.store import SqlJournal
from keeper.planning.plan import EMERGENCY, GUARD
from keeper.policy.resident import ResidentStop
from keeper.ports import Environment
from keeper.records import EARLIEST
from keeper.service.causes import Past, causes_document
from keeper.service.killing import cancel_all
from keeper.service.observer import Observer
from keeper.service.period import Period, period_document
from keeper.service.reconciliation import reconcile
from keeper.service.resident_guard import _outlived, _replaced
from keeper.service.residents import FIRED, Residents
from tests.fakes.crash import BLACK_THURSDAY, Crash, crashing
from tests.fakes.daemons import command
from tests.fakes.journal_values import AT, BTC, a_child
from tests.fakes.paper import PERP
from tests.fakes.scripted_venue import Fault

D = Decimal
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
STEPS = BLACK_THURSDAY[:12]
"""From 7,950 to 4,700 within a day."""


@asynccontextmanager
async def guarded(target: str = "3", *, check_every: timedelta = MINUTE, on: bool = True) -> AsyncIterator[Crash]:
    async with crashing(target, check_every=check_every, stops=True) as crash:
        crash.desk.venues.fund = replace(crash.desk.venues.fund, resident_guard=on)
        yield crash


async def built(crash: Crash) -> None:
    """Let the first slot bring the fund to its target."""
    await crash.at("7950", minutes=30)
    assert abs(abs(crash.worth.net_leverage) - 3) < D("0.001")


async def resting(crash: Crash) -> list[Child]:
    """The stops that the journal takes to rest: they are those that do."""
    found = list(await crash.desk.journal.resting_stops("acc1"))
    truth = [order.client_id for order in await crash.desk.venue.inner.open_orders()]
    assert [child.request.client_id for child in found] == truth
    return found


async def guards(crash: Crash) -> list[Run]:
    """The runs whose stop went off, oldest first."""
    return [run for run in await crash.desk.runs() if run.key.trigger.startswith(GUARD)]


async def test_the_fund_that_nobody_looks_after_is_liquidated() -> None:
    async with guarded(check_every=DAY, on=False) as crash:
        async with crash.desk.daemon():
            await crash.lives(STEPS)
        assert crash.liquidated


async def test_the_fund_with_the_monitor_lives() -> None:
    async with guarded() as crash:
        async with crash.desk.daemon():
            await crash.lives(STEPS)
            assert sum(child.request.amount for child in await resting(crash)) < crash.contracts
        assert not crash.liquidated
        assert max(worth.gross_leverage for worth in crash.worths) < D("4.6")
        standing = await crash.desk.journal.standing("btc3l")
        assert standing.state is not FundState.HALTED, standing.reason


async def test_one_that_the_venue_does_not_show_yet_is_looked_for_twice_before_it_is_taken_for_gone() -> None:
    async with guarded() as crash:
        async with crash.desk.daemon():
            await built(crash)
        venue, placed = crash.desk.venue, await resting(crash)
        assert placed
        observer = await Observer.on(venue, [PERP], None, venue.clock)
        residents = Residents("btc3l", venue, crash.desk.journal, observer)
        venue._info, shown_from = replace(venue._info, read_lag=2.0), venue.clock.now() + timedelta(seconds=1)

        async def late(symbol: str, client_id: str) -> OrderReport | None:
            return await venue.inner.lookup(symbol, client_id) if venue.clock.now() >= shown_from else None

        async def over(symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
            return tuple(order for order in await venue.inner.orders(symbol, since) if order.state.terminal)

        venue.lookup, venue.orders = late, over  # type: ignore[method-assign]
        assert await residents.book() == tuple(placed)
        assert await resting(crash) == placed


async def test_with_its_process_killed_the_resident_guard_alone_saves_it() -> None:
    async with guarded() as crash:
        async with crash.desk.daemon():
            await built(crash)
            children = await resting(crash)
            assert len(children) == 4
            crash.desk.crash()
        before = crash.contracts
        await crash.lives(BLACK_THURSDAY)
        assert not crash.liquidated
        assert crash.contracts == before - sum(child.request.amount for child in children)
        async with crash.desk.daemon():
            await crash.at("5400", minutes=10)
            went_off = await guards(crash)
            assert (await crash.desk.journal.standing("btc3l")).state is not FundState.HALTED
        [run] = went_off
        assert {child.run for child in children} == {run.id}
        for child in children:
            booked = await crash.desk.journal.child(child.request.client_id)
            assert booked is not None
            assert (booked.state, booked.filled) == (ChildState.FILLED, child.request.amount)
        fired = await crash.desk.journal.events(kind=FIRED)
        assert {event.payload["client_id"] for event in fired} == {child.request.client_id for child in children}
        # what the whipsaw cost: what each stop got less than its trigger, and what it paid in fees
        document = period_document("btc3l", await crash.desk.journal.runs(), Period())
        row = next(row for row in document["rows"] if row["run"] == run.id)
        assert D(row["cost"]) > 0
        sold = sum(child.request.amount * child.request.price for child in children)
        assert D("0.98") * sold < D(row["traded"]) < sold
        await crash_is_explained(crash)


async def crash_is_explained(crash: Crash) -> None:
    """What came of what the stops took off is whipsaw, and nothing is left unexplained."""
    journal, name = crash.desk.journal, "btc3l"
    past = Past(
        points=(await journal.nav_points(name, limit=1000))[::-1],
        runs={run.id: run for run in await crash.desk.runs()},
        fills=[(run, fill) for run, _, fill in await journal.fills_of(name)],
        markets=await journal.pins("acc1"),
        postings=await journal.postings(name, EARLIEST),
    )
    found = causes_document(past, Period().holds)
    assert found is not None
    assert D(found["total"]["whipsaw"]) > 10_000  # the price went on falling
    assert found["unexplained"] == []


async def test_a_slot_that_a_stop_cut_is_over() -> None:
    async with guarded() as crash:
        async with crash.desk.daemon():
            await built(crash)
            await crash.at("8400", hours=23, minutes=40)
            [child, *_] = await resting(crash)
            await crash.at("8400", minutes=7, seconds=30)
            assert (await crash.desk.runs())[-1].status is RunStatus.RUNNING
            crash.desk.crash()
        held = crash.contracts
        await crash.at(child.request.price - 1, minutes=1)
        struck = crash.contracts
        assert struck < held
        async with crash.desk.daemon():
            await crash.at("8400", minutes=20)
            [*_, slot] = [run for run in await crash.desk.runs() if run.key.day is not None]
            assert (slot.attempts, slot.status) == (1, RunStatus.INCOMPLETE)
            assert crash.contracts == struck


async def test_it_is_replaced_as_the_position_changes_and_kept_while_it_does_not() -> None:
    async with guarded() as crash, crash.desk.daemon():
        await built(crash)
        first, *_ = await resting(crash)
        await crash.at("7950", hours=6)
        assert (await resting(crash))[0] == first
        crash.desk.venue.meddle(PERP, "2", "7950")
        await crash.at("7950", minutes=11)
        second, *_ = await resting(crash)
        assert second.request.amount > first.request.amount
        assert second.request.price > first.request.price
        canceled = await crash.desk.journal.child(first.request.client_id)
        assert canceled is not None
        assert canceled.state is ChildState.CANCELED
        assert not canceled.filled
        [slot] = await crash.desk.runs()
        assert slot.status is RunStatus.COMPLETED


async def test_one_that_is_taken_away_is_missed_and_placed_again() -> None:
    async with guarded() as crash, crash.desk.daemon():
        await built(crash)
        first, *_ = await resting(crash)
        await crash.desk.venue.inner.cancel(PERP, first.request.client_id)
        await crash.at("7950", minutes=6)
        *_, second = await resting(crash)
        assert second.request.client_id != first.request.client_id
        assert (second.request.amount, second.request.price) == (first.request.amount, first.request.price)


async def test_a_day_old_one_is_placed_anew() -> None:
    async with guarded(check_every=timedelta(minutes=10)) as crash, crash.desk.daemon():
        await built(crash)
        first, *_ = await resting(crash)
        await crash.at("7950", hours=25)
        second, *_ = await resting(crash)
        assert second.at - first.at >= DAY


async def test_while_keeper_runs_a_stop_that_goes_off_is_no_trade_of_somebody_else() -> None:
    async with guarded(check_every=timedelta(minutes=10)) as crash, crash.desk.daemon():
        await built(crash)
        first, *_ = await resting(crash)
        await crash.at("7060", minutes=20)
        assert len(await guards(crash)) == 1
        assert not [run for run in await crash.desk.runs() if run.key.trigger.startswith(EMERGENCY)]
        assert abs(crash.worth.net_leverage - 3) < D("0.01")
        second, *_ = await resting(crash)
        assert second.request.price < first.request.price
        assert (await crash.desk.journal.standing("btc3l")).state is FundState.ACTIVE
        symbols, since = [PERP], crash.desk.now - DAY
        found = await reconcile(crash.desk.venue, crash.desk.journal, "btc3l", symbols, since)
        assert not [pair for pair in found.pairs if pair.verdict.differs]
        assert not [holding for holding in found.holdings if holding.difference]


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.LOST_REQUEST, Fault.HANG_AFTER])
async def test_a_stop_of_unknown_outcome_is_settled_and_one_rests(fault: Fault) -> None:
    async with guarded(check_every=timedelta(minutes=10)) as crash:
        async with crash.desk.daemon():
            await crash.at("7950", minutes=15)
            crash.desk.venue.faults = {10: fault}
            await crash.at("7950", minutes=15)
            assert crash.desk.venue.sent[9].is_stop
            crash.desk.crash()
        async with crash.desk.daemon():
            await crash.at("7950", minutes=20)
            assert max(child.request.amount for child in await resting(crash)) > 9
            assert len(await resting(crash)) == 4
            await crash.at("7950", hours=23, minutes=30)
        statuses = [run.status for run in await crash.desk.runs()]
        assert statuses == [RunStatus.COMPLETED, RunStatus.NOTHING_DUE]


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.NEVER_LEFT])
async def test_what_could_not_be_placed_is_tried_again_soon_however_seldom_anybody_looks(fault: Fault) -> None:
    async with guarded(check_every=DAY) as crash, crash.desk.daemon():
        await crash.at("7950", minutes=15)
        crash.desk.venue.faults = {10: fault}
        await crash.at("7950", minutes=15)
        assert crash.desk.venue.sent[9].is_stop
        assert len(await resting(crash)) == 4
        assert len(crash.desk.venue.sent) == 14


async def test_one_that_the_venue_refuses_is_not_sent_again_at_once() -> None:
    async with guarded() as crash, crash.desk.daemon():
        await crash.at("7950", minutes=15)
        crash.desk.venue.faults = {10: Fault.REJECTED}
        await crash.at("7950", minutes=20)
        assert len(crash.desk.venue.sent) == 13
        await crash.at("7950", minutes=10)
        assert len(crash.desk.venue.sent) == 14
        assert len(await resting(crash)) == 4


def _resting(name: str, trigger: str, at: datetime) -> Child:
    child = a_child(name, at=at, reduce_only=True)
    return replace(child, request=replace(child.request, side=Side.SELL, price=D(trigger), trigger=D(trigger)))


async def test_one_that_was_refused_is_asked_for_again_however_seldom_anybody_looks() -> None:
    async with guarded(check_every=DAY) as crash, crash.desk.daemon():
        await crash.at("7950", minutes=15)
        crash.desk.venue.faults = {10: Fault.REJECTED}
        await crash.at("7950", minutes=15)
        assert len(await resting(crash)) == 3
        await crash.at("7950", minutes=20)
        assert len(await resting(crash)) == 4


async def test_what_nobody_renewed_while_the_fund_was_halted_is_renewed_once_it_is_resumed() -> None:
    async with guarded(check_every=DAY) as crash, crash.desk.daemon():
        await built(crash)
        desk = crash.desk
        await desk.journal.submit_command(command(CommandKind.HALT, desk.now, name="h1"))
        await crash.at("7950", minutes=1)
        for child in await resting(crash):
            await desk.venue.inner.cancel(PERP, child.request.client_id)
        await crash.at("7950", hours=2)
        assert not await desk.venue.inner.open_orders()
        await desk.journal.submit_command(command(CommandKind.RESUME, desk.now, name="h2"))
        await crash.at("7950", minutes=2)
        assert len(await resting(crash)) == 4


def test_of_two_alike_the_older_has_outlived_its_use_whatever_became_of_the_others() -> None:
    older, newer = _resting("a", "46600", AT), _resting("b", "46580", AT + MINUTE)
    elsewhere, larger = _resting("c", "34953", AT), _resting("d", "46590", AT)
    larger = replace(larger, request=replace(larger.request, amount=larger.request.amount * 2))
    assert _outlived([older, newer, elsewhere, larger]) == [older]
    assert _outlived([newer, elsewhere]) == []


def _names(children: Sequence[Child]) -> set[str]:
    return {child.request.client_id for child in children}


def test_of_two_that_go_off_together_the_older_goes_whatever_becomes_of_the_new_ones() -> None:
    left_over = _resting("a", "46600", AT)
    latest = [_resting(name, trigger, AT + MINUTE) for name, trigger in (("d", "11773"), ("b", "46580"), ("c", "34953"))]
    wanted = [ResidentStop(symbol=BTC, side=Side.SELL, amount=D(1), trigger=D(price)) for price in ("46567", "34927", "11663")]
    refused = dict.fromkeys(wanted, ChildState.REJECTED)
    assert _names(_replaced([left_over, *latest], wanted, refused)) == {"a"}
    assert _names(_replaced([left_over, *latest], wanted, refused | {wanted[1]: ChildState.LIVE})) == {"a", "c"}
    assert _names(_replaced([left_over, *latest], wanted, {wanted[0]: ChildState.REJECTED})) == {"a", "c", "d"}
    assert _names(_replaced(latest, wanted[:2], dict.fromkeys(wanted[:2], ChildState.REJECTED))) <= {"c", "d"}
    assert _names(_replaced(latest, [], {})) == {"b", "c", "d"}
    assert _replaced([], wanted, refused) == []


def test_the_parts_of_a_stop_are_each_kept_until_their_successors_rest() -> None:
    old = [_resting(name, trigger, AT) for name, trigger in (("a", "46600"), ("b", "46599.9"), ("c", "46599.8"))]
    wanted = [
        ResidentStop(symbol=BTC, side=Side.SELL, amount=D(1), trigger=D(price)) for price in ("46567", "46566.9", "46566.8")
    ]
    states = dict.fromkeys(wanted, ChildState.REJECTED)
    assert _replaced(old, wanted, states) == []
    assert len(_replaced(old, wanted, states | {wanted[0]: ChildState.LIVE})) == 1
    assert len(_replaced(old, wanted, dict.fromkeys(wanted, ChildState.LIVE))) == 3


async def test_a_flattened_fund_keeps_none() -> None:
    async with guarded() as crash, crash.desk.daemon():
        await built(crash)
        await crash.desk.journal.submit_command(command(CommandKind.FLATTEN, crash.desk.now))
        await crash.at("7950", minutes=30)
        assert crash.contracts == 0
        assert await resting(crash) == []


async def test_a_journal_that_lacks_orders_places_none_even_where_the_fund_is_to_be_flattened() -> None:
    async with guarded() as crash:
        desk = crash.desk
        async with desk.daemon():
            await crash.at("7950", minutes=1)
            await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.now, name="f1"))
            await crash.at("7950", minutes=9)
            image = desk.journal.image()
            await desk.journal.submit_command(command(CommandKind.RESUME, desk.now, name="f2"))
            await built(crash)
        sent = len(desk.venue.sent)
        desk.journal = desk.venues.journal = SqlJournal.over(image)
        async with desk.daemon():
            await crash.at("7950", minutes=20)
            assert (await desk.journal.standing("btc3l")).flattened
            assert len(desk.venue.sent) == sent


async def test_a_live_fund_which_only_plans_places_none() -> None:
    async with guarded() as crash:
        async with crash.desk.daemon():
            await built(crash)
            for child in await resting(crash):
                await crash.desk.venue.inner.cancel(PERP, child.request.client_id)
        placed = len(crash.desk.venue.sent)
        crash.desk.venue._info = replace(crash.desk.venue.info, environment=Environment.LIVE)
        async with crash.desk.daemon():
            await crash.at("7950", hours=2)
        assert len(crash.desk.venue.sent) == placed
        assert await resting(crash) == []


async def test_a_halted_fund_keeps_the_one_that_it_has() -> None:
    async with guarded() as crash, crash.desk.daemon():
        await built(crash)
        first, *_ = await resting(crash)
        await crash.desk.journal.submit_command(command(CommandKind.HALT, crash.desk.now))
        await crash.at("7950", minutes=30)
        assert (await resting(crash))[0] == first


async def test_a_fund_that_wants_none_any_more_takes_its_own_back() -> None:
    async with guarded() as crash:
        async with crash.desk.daemon():
            await built(crash)
            assert len(await resting(crash)) == 4
        crash.desk.venues.fund = replace(crash.desk.venues.fund, resident_guard=False)
        async with crash.desk.daemon():
            await crash.at("7950", minutes=10)
            assert await resting(crash) == []


async def test_to_kill_takes_the_stops_back_and_reconcile_finds_no_difference() -> None:
    async with guarded() as crash:
        async with crash.desk.daemon():
            await built(crash)
            children = await resting(crash)

        async def open_children() -> tuple[Child, ...]:
            return await crash.desk.journal.open_children("btc3l")

        orders, trouble = await cancel_all(crash.desk.venue, open_children)
        assert not trouble
        assert {order.client_id for order in orders} == {child.request.client_id for child in children}
        assert {order.state for order in orders} == {ChildState.CANCELED}
        found = await reconcile(crash.desk.venue, crash.desk.journal, "btc3l", [PERP], crash.desk.now - DAY)
        assert found.agrees
        async with crash.desk.daemon():
            await crash.at("7950", minutes=10)
            assert not {child.request.client_id for child in children} & {
                child.request.client_id for child in await resting(crash)
            }


async def test_no_dead_man_switch_is_armed_where_stops_rest() -> None:
    async with guarded() as crash, crash.desk.daemon():
        crash.desk.venue.countdowns = []
        await built(crash)
        assert crash.desk.venue.countdowns == [], "what is meant to rest must not be taken away"
