"""A child that no rule can settle, settled by hand: booked as a human says, unless the venue or the journal prove otherwise."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.market import Side
from keeper.domain.order import Child, ChildState
from keeper.service.resolution import Contradiction, Evidence, Settlement, contradicted, gather, never_placed, record, was_order
from tests.fakes.desks import Desk, agrees_with_the_venue, desk_of
from tests.fakes.paper import PERP
from tests.fakes.resting_venue import OURS, RestingVenue
from tests.fakes.scripted_venue import Fault

D = Decimal


@asynccontextmanager
async def unknown(tmp_path: Path, fault: Fault) -> AsyncIterator[tuple[Desk, Child]]:
    """A desk whose last child has no known outcome."""
    async with RestingVenue.make() as venue, desk_of(venue, tmp_path) as desk:
        venue.faults = {2: fault}
        await desk.run()
        [child] = await desk.journal.open_children("btc3l")
        await venue.clock.sleep_until(venue.clock.now() + timedelta(minutes=1))
        yield desk, child


async def seen(desk: Desk, child: Child) -> Evidence:
    return await gather(desk.venue, desk.journal, "btc3l", child)


async def the_child(desk: Desk, child: Child) -> Child:
    [found] = [one for one in await desk.children() if one.request.client_id == child.request.client_id]
    return found


async def test_the_evidence_is_all_that_the_venue_tells(tmp_path: Path) -> None:
    async with unknown(tmp_path, Fault.LOST_REPLY) as (desk, child):
        evidence = await seen(desk, child)
        assert evidence.report is not None
        assert evidence.report.filled == child.request.amount
        assert [order.client_id for order in evidence.orders] == [child.request.client_id]
        assert evidence.holding is not None
        assert evidence.unread == ""
        document = evidence.document()
        assert document["lookup"]["order_id"] == document["orders"][0]["order_id"]
        assert (document["state"], document["position"]["difference"]) == ("unknown", "0")


@pytest.mark.parametrize(
    ("told", "said", "why"),
    [
        (ChildState.FILLED, "7", ""),
        (ChildState.FILLED, "8", "order 7, and so it is booked as filled"),
        (ChildState.CANCELED, "", "you say that it never arrived"),
        (ChildState.NOT_PLACED, "", ""),
        (ChildState.REJECTED, "", ""),
        (ChildState.NOT_PLACED, "7", "it is no order, and so it is booked as not_placed"),
    ],
)
async def test_what_the_venue_told_meanwhile_goes_before_what_a_human_says(
    tmp_path: Path, told: ChildState, said: str, why: str
) -> None:
    async with unknown(tmp_path, Fault.LOST_REQUEST) as (_, child):
        order_id = "7" if told in (ChildState.FILLED, ChildState.CANCELED) else None
        found = contradicted(replace(child, state=told, order_id=order_id), said)
        assert why in found
        assert bool(found) is bool(why)


async def test_what_the_venue_does_not_answer_is_said(tmp_path: Path) -> None:
    async with unknown(tmp_path, Fault.LOST_REQUEST) as (desk, child):
        desk.venue.failing = {"lookup": 1, "orders": 1}
        evidence = await seen(desk, child)
        assert (evidence.report, evidence.orders, evidence.holding) == (None, (), None)
        assert evidence.unread == "lookup: no answer; orders: no answer"


async def test_a_child_that_never_arrived_is_booked_so_with_the_reason(tmp_path: Path) -> None:
    async with unknown(tmp_path, Fault.LOST_REQUEST) as (desk, child):
        evidence = await seen(desk, child)
        settlement = never_placed(evidence)
        assert settlement == Settlement(state=ChildState.NOT_PLACED)
        assert isinstance(settlement, Settlement)
        await record(desk.venue, desk.journal, "btc3l", evidence, settlement, "the support said so")
        booked = await the_child(desk, child)
        assert (booked.state, booked.reason) == (ChildState.NOT_PLACED, "settled by hand: the support said so")
        [event] = await desk.journal.events(kind="child.resolved")
        assert event.payload["reason"] == "the support said so"
        assert event.payload["evidence"]["lookup"] is None  # type: ignore[index] # a document
        await agrees_with_the_venue(desk)


async def test_a_child_that_is_an_order_is_booked_with_its_trades(tmp_path: Path) -> None:
    async with unknown(tmp_path, Fault.LOST_REPLY) as (desk, child):
        evidence = await seen(desk, child)
        [order] = evidence.orders
        settlement = was_order(evidence, order.order_id, await desk.venue.fills(PERP, order.order_id))
        assert isinstance(settlement, Settlement)
        await record(desk.venue, desk.journal, "btc3l", evidence, settlement, "seen in the venue's history")
        booked = await the_child(desk, child)
        assert (booked.state, booked.filled, booked.order_id) == (ChildState.FILLED, child.request.amount, order.order_id)
        await agrees_with_the_venue(desk)


async def test_never_placed_is_refused_where_the_venue_has_it(tmp_path: Path) -> None:
    async with unknown(tmp_path, Fault.LOST_REPLY) as (desk, child):
        evidence = await seen(desk, child)
        order_id = evidence.orders[0].order_id
        for less in (evidence, replace(evidence, report=None), replace(evidence, orders=())):
            refused = never_placed(less)
            assert isinstance(refused, Contradiction)
            assert f"--order {order_id}" in refused.why
        known = never_placed(replace(evidence, report=None, orders=(), child=replace(child, order_id="77")))
        assert isinstance(known, Contradiction)
        assert "--order 77" in known.why


# what is not as it should be with the order that a human names, and the words that say so
MISMATCHES = {
    "nowhere": ({"order_id": "elsewhere"}, "lists no order"),
    "of another child": ({"client_id": OURS}, f"is that of {OURS}"),
    "other side": ({"side": Side.SELL}, "is to sell"),
    "other amount": ({"amount": D(1)}, "is to buy 1,"),
    "rests": ({"state": ChildState.LIVE}, "still rests"),
    "trades are late": ({"filled": D(1)}, "its trades add up to"),
}


@pytest.mark.parametrize(("changes", "words"), MISMATCHES.values(), ids=MISMATCHES)
async def test_an_order_that_can_not_be_the_child_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    async with unknown(tmp_path, Fault.LOST_REPLY) as (desk, child):
        evidence = await seen(desk, child)
        [order] = evidence.orders
        fills = await desk.venue.fills(PERP, order.order_id)
        changed = replace(evidence, orders=(replace(order, **changes),))  # type: ignore[arg-type] # a table of fields
        refused = was_order(changed, order.order_id, fills)
        assert isinstance(refused, Contradiction)
        assert words in refused.why
        other = was_order(replace(evidence, child=replace(child, order_id="77")), order.order_id, fills)
        assert other == Contradiction("the venue took it as order 77")


@pytest.mark.parametrize("kind", ["lookup", "orders", "fills"])
async def test_what_could_not_be_read_proves_no_absence(tmp_path: Path, kind: str) -> None:
    async with unknown(tmp_path, Fault.LOST_REPLY) as (desk, child):
        desk.venue.failing = {kind: 1}
        evidence = await seen(desk, child)
        assert evidence.unread
        told = replace(evidence, report=None, orders=())
        refused = never_placed(told)
        assert isinstance(refused, Contradiction)
        assert "try again once it answers" in refused.why
        assert was_order(told, "77", ()) == refused


async def test_a_child_that_was_sent_with_other_keys_is_not_asked_for_with_these(tmp_path: Path) -> None:
    async with unknown(tmp_path, Fault.LOST_REPLY) as (desk, child):
        desk.venue._info = replace(desk.venue.info, account="acc2")
        desk.venue.log.clear()
        evidence = await seen(desk, child)
        assert desk.venue.log == []
        for refused in (never_placed(evidence), was_order(evidence, "77", ())):
            assert isinstance(refused, Contradiction)
            assert "another account" in refused.why
            assert "keys" in refused.why
        assert evidence.document()["unread"] == evidence.elsewhere


async def test_an_order_that_a_human_names_is_not_another_that_the_venue_finds(tmp_path: Path) -> None:
    async with unknown(tmp_path, Fault.LOST_REPLY) as (desk, child):
        evidence = await seen(desk, child)
        assert evidence.report is not None
        refused = was_order(evidence, "77", ())
        assert isinstance(refused, Contradiction)
        assert f"--order {evidence.report.order_id}" in refused.why


async def test_an_order_without_our_id_can_be_the_child(tmp_path: Path) -> None:
    async with unknown(tmp_path, Fault.LOST_REPLY) as (desk, child):
        evidence = await seen(desk, child)
        [order] = evidence.orders
        nameless = replace(evidence, orders=(replace(order, client_id=""),))
        settlement = was_order(nameless, order.order_id, await desk.venue.fills(PERP, order.order_id))
        assert isinstance(settlement, Settlement)
        assert settlement.report is not None
        assert settlement.report.client_id == child.request.client_id
