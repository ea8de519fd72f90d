"""What the paper exchange tells of its orders, also of those from before it kept when they came."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from keeper.domain.market import Side
from keeper.domain.order import ChildState, VenueOrder
from keeper.ports import Venue
from keeper.venues.paper.persistence import PaperStore
from keeper.venues.paper.venue import PaperVenue
from tests.fakes.paper import PERP, START, fixed_feed, opening, order, paper_venue

OTHER = "ETH/USDT:USDT"


def fixed(path: Path | None = None) -> PaperVenue:
    feed = fixed_feed({PERP: "1000", OTHER: "100"}, spread_bps="2")
    return paper_venue(feed, opening({"USDT": "100000"}), store=PaperStore(path, "one"))


async def _traded(venue: PaperVenue) -> None:
    await venue.place(order("a", Side.BUY, "2", "1001"))
    await venue.clock.sleep_until(START + timedelta(hours=1))
    await venue.place(order("b", Side.SELL, "3", "1200"))
    await venue.place(order("c", Side.BUY, "1", "101", symbol=OTHER))


async def test_every_order_of_a_market_is_told_from_a_time_on_oldest_first() -> None:
    async with fixed() as venue:
        await _traded(venue)
        filled, nothing = await venue.orders(PERP, START)
        assert filled == VenueOrder(
            order_id="1-a",
            client_id="a",
            symbol=PERP,
            side=Side.BUY,
            amount=Decimal(2),
            filled=Decimal(2),
            average=Decimal("1000.1"),
            state=ChildState.FILLED,
            forced=False,
            at=START,
            changed_at=START,
        )
        assert (nothing.client_id, nothing.side, nothing.amount, nothing.filled, nothing.average, nothing.state) == (
            "b",
            Side.SELL,
            Decimal(3),
            Decimal(0),
            None,
            ChildState.CANCELED,
        )
        assert await venue.orders(PERP, START + timedelta(hours=1)) == (nothing,)
        assert await venue.orders(PERP, START + timedelta(hours=2)) == ()


async def test_orders_and_their_times_outlive_the_process(tmp_path: Path) -> None:
    async with fixed(tmp_path / "sim.json") as venue:
        await _traded(venue)
        before = await venue.orders(PERP, START)
    async with fixed(tmp_path / "sim.json") as venue:
        assert await venue.orders(PERP, START) == before


async def test_a_file_from_before_times_were_kept_tells_what_its_trades_tell(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    async with fixed(path) as venue:
        await _traded(venue)
        (filled, _) = await venue.orders(PERP, START)
    document = json.loads(path.read_text())
    for booked in document["orders"].values():
        for name in ("side", "amount", "at"):
            del booked[name]
    path.write_text(json.dumps(document))
    async with fixed(path) as venue:
        assert await venue.orders(PERP, START) == (filled,)
        assert await venue.lookup(PERP, "b") is not None
        await venue.place(order("d", Side.SELL, "1", "999"))
    async with fixed(path) as venue:
        assert [one.client_id for one in await venue.orders(PERP, START)] == ["a", "d"]


async def test_nothing_rests_so_nothing_is_canceled_and_no_switch_is_needed() -> None:
    async with fixed() as venue:
        await _traded(venue)
        before = await venue.account()
        await venue.cancel(PERP, "a")
        await venue.cancel(PERP, "no such order")
        assert not await venue.dead_man([PERP], timedelta(seconds=60))
        assert await venue.account() == before
        assert (before.open_orders, before.free_margin) == ((), None)
        assert all(position.liquidation is None for position in before.positions.values())


async def test_the_mark_is_index_and_last_price_as_well() -> None:
    async with fixed() as venue:
        quote = await venue.quote(PERP)
    assert quote.mark == quote.index == quote.last == Decimal(1000)


def as_port(venue: PaperVenue) -> Venue:
    """What mypy checks: a PaperVenue is a Venue."""
    return venue
