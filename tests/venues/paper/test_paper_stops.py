"""Stops on the paper exchange: they rest, outlive their connection, go off by the mark and never turn a position around."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Rejected
from keeper.venues.paper.persistence import PaperStore
from keeper.venues.paper.venue import PaperVenue
from tests.fakes.moving_feed import MovingFeed, moving_feed
from tests.fakes.paper import PERP, START, opening, order, paper_venue

D = Decimal


def stop(client_id: str = "kprs1", amount: str = "2", trigger: str = "90", side: Side = Side.SELL) -> OrderRequest:
    return replace(order(client_id, side, amount, trigger, reduce_only=True), trigger=D(trigger))


def exchange(store: PaperStore | None = None) -> tuple[MovingFeed, PaperVenue]:
    """An account of 1,000 USDT that is long 3."""
    feed = moving_feed({PERP: "100"}, spread_bps="10")
    return feed, paper_venue(feed, opening({"USDT": "1000"}, {PERP: ("3", "100")}), store=store, stops=True)


async def test_one_that_rests_goes_off_by_the_mark_and_pays_for_it() -> None:
    feed, venue = exchange()
    async with venue:
        outcome = await venue.place(stop())
        assert isinstance(outcome, Accepted)
        assert outcome.report.state is ChildState.LIVE
        assert [one.client_id for one in await venue.open_orders()] == ["kprs1"]
        feed.move(PERP, "90.01")
        assert (await venue.account()).positions[PERP].contracts == 3
        feed.move(PERP, "89")
        assert (await venue.account()).positions[PERP].contracts == 1
        report = await venue.lookup(PERP, "kprs1")
        assert report is not None
        assert (report.state, report.filled) == (ChildState.FILLED, D(2))
        assert report.average is not None
        assert report.average < 89
        assert sum(fill.amount for fill in await venue.fills(PERP, report.order_id)) == 2
        assert [one.client_id for one in await venue.orders(PERP, START)] == ["kprs1"]


async def test_it_never_takes_more_than_is_held_and_ends_where_nothing_is() -> None:
    feed, venue = exchange()
    async with venue:
        for name in ("kprs1", "kprs2"):
            await venue.place(stop(name, "3"))
        feed.move(PERP, "80")
        assert (await venue.account()).positions == {}
        states = [one.state for one in await venue.orders(PERP, START)]
        assert sorted(states) == [ChildState.CANCELED, ChildState.FILLED]


async def test_what_it_does_not_take_and_what_is_taken_back() -> None:
    _feed, venue = exchange()
    async with venue:
        for wrong in (stop(trigger="101"), stop(trigger="100"), replace(stop(), reduce_only=False)):
            assert isinstance(await venue.place(wrong), Rejected)
        await venue.place(stop())
        for _ in range(2):
            await venue.cancel(PERP, "kprs1")
        report = await venue.lookup(PERP, "kprs1")
        assert report is not None
        assert report.state is ChildState.CANCELED
        assert await venue.open_orders() == ()


async def test_it_rests_over_an_end_of_the_process(tmp_path: Path) -> None:
    file = tmp_path / "paper.json"
    _feed, venue = exchange(PaperStore(file, "one"))
    async with venue:
        await venue.place(stop())
    feed, again = exchange(PaperStore(file, "one"))
    async with again:
        [resting] = await again.open_orders()
        assert (resting.client_id, resting.amount, resting.side) == ("kprs1", D(2), Side.SELL)
        feed.move(PERP, "85")
        assert (await again.account()).positions[PERP].contracts == 1
    _feed, last = exchange(PaperStore(file, "one"))
    async with last:
        report = await last.lookup(PERP, "kprs1")
        assert report is not None
        assert report.state is ChildState.FILLED
