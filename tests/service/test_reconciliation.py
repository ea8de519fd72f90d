"""Both books of an account as they are read, and what becomes of a difference that a human accepts."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.errors import StaleData, VenueUnavailable
from keeper.domain.fund import FundState
from keeper.service.comparison import Reconciliation, Verdict
from keeper.service.reconciliation import LONGEST_LOOK, accept, reconcile
from tests.fakes.desks import Desk, desk_of
from tests.fakes.paper import PERP, START
from tests.fakes.resting_venue import OURS, RestingVenue
from tests.fakes.scripted_venue import Fault
from tests.fakes.tampering import put_back

D = Decimal


async def compared(desk: Desk) -> Reconciliation:
    return await reconcile(desk.venue, desk.journal, "btc3l", [PERP], START)


async def test_after_a_run_both_books_agree_and_the_position_is_explained(tmp_path: Path) -> None:
    async with RestingVenue.make(lag=0.5) as venue, desk_of(venue, tmp_path) as desk:
        await desk.run()
        events = await desk.journal.events(limit=1)
        found = await compared(desk)
        assert found.agrees
        assert len(found.pairs) == len(venue.booked) > 3
        assert found.held == {PERP: venue.held.positions[PERP].contracts}
        assert await desk.journal.events(limit=1) == events


async def test_a_child_whose_outcome_was_lost_differs_until_it_is_settled(tmp_path: Path) -> None:
    async with RestingVenue.make() as venue, desk_of(venue, tmp_path) as desk:
        venue.faults = {2: Fault.LOST_REPLY}
        await desk.run()
        await venue.clock.sleep_until(venue.clock.now() + timedelta(minutes=1))
        assert [pair.verdict for pair in (await compared(desk)).pairs if pair.verdict.differs] == [Verdict.OPEN]
        await desk.rebalancer.recover()
        assert (await compared(desk)).agrees


async def test_a_trade_of_somebody_else_is_listed_and_explains_the_position(tmp_path: Path) -> None:
    async with RestingVenue.make() as venue, desk_of(venue, tmp_path) as desk:
        await desk.run()
        await venue.clock.sleep_until(venue.clock.now() + timedelta(minutes=1))
        venue.meddle(PERP, "-5", "105")
        found = await compared(desk)
        assert found.agrees
        assert [(order.client_id, order.signed) for order in found.foreign] == [("web_1", D(-5))]
        [holding] = found.holdings
        assert holding.foreign == -5


async def test_an_order_that_the_journal_lost_is_accepted_and_no_difference_any_more(tmp_path: Path) -> None:
    async with RestingVenue.make() as venue, desk_of(venue, tmp_path) as desk:
        await desk.run()
        await venue.clock.sleep_until(venue.clock.now() + timedelta(minutes=1))
        venue.meddle(PERP, "-5", "105", client_id=OURS)
        venue.foreign.clear()
        venue.meddle(PERP, "-2", "105", client_id=OURS)
        found = await compared(desk)
        assert [pair.verdict for pair in found.pairs if pair.verdict.differs] == [Verdict.MISSING_IN_JOURNAL]
        [holding] = found.holdings
        assert (holding.own, holding.difference) == (holding.held - holding.settled.contracts + 5, D(-5))
        await accept(venue, desk.journal, "btc3l", found, "the backup was old")
        again = await compared(desk)
        assert again.agrees
        assert [pair.name for pair in again.pairs if pair.verdict is Verdict.ADOPTED] == [OURS]
        [adopted] = await desk.journal.events(kind="order.adopted")
        assert adopted.payload["client_id"] == OURS
        [accepted] = await desk.journal.events(kind="account.accepted")
        assert accepted.payload["reason"] == "the backup was old"
        assert (await desk.settled())[PERP].contracts == venue.held.positions[PERP].contracts
        assert await desk.journal.verify() == ()


async def test_what_has_moved_since_is_not_accepted(tmp_path: Path) -> None:
    async with RestingVenue.make() as venue, desk_of(venue, tmp_path) as desk:
        await desk.run()
        found = await compared(desk)
        before = await desk.settled()
        venue.meddle(PERP, "-5", "105")
        with pytest.raises(StaleData, match="reconcile again"):
            await accept(venue, desk.journal, "btc3l", found, "")
        assert await desk.settled() == before


async def test_an_account_that_does_not_stand_still_is_not_judged(tmp_path: Path) -> None:
    async with RestingVenue.make(lag=0.5) as venue, desk_of(venue, tmp_path) as desk:
        await desk.run()
        venue.on_read = lambda kind: venue.meddle(PERP, "1", "105") if kind == "account" else None
        with pytest.raises(StaleData, match="did not stand still"):
            await compared(desk)


@pytest.mark.parametrize("kind", ["account", "orders", "fills"])
async def test_a_venue_that_does_not_answer_is_no_difference(tmp_path: Path, kind: str) -> None:
    async with RestingVenue.make() as venue, desk_of(venue, tmp_path) as desk:
        await desk.run()
        venue.failing = {kind: 1}
        with pytest.raises(VenueUnavailable):
            await compared(desk)


async def test_an_empty_journal_knows_none_of_our_orders(tmp_path: Path) -> None:
    async with RestingVenue.make() as venue:
        async with desk_of(venue, tmp_path) as desk:
            await desk.run()
        (tmp_path / "lost").mkdir()
        async with desk_of(venue, tmp_path / "lost") as desk:
            found = await compared(desk)
            assert {pair.verdict for pair in found.pairs} == {Verdict.MISSING_IN_JOURNAL}
            assert len(found.missing) == len(venue.booked)


@pytest.mark.parametrize("idle", [timedelta(hours=30), timedelta(days=20), timedelta(days=45)])
async def test_what_halts_a_fund_after_an_old_backup_is_what_can_be_accepted(tmp_path: Path, idle: timedelta) -> None:
    """However long ago that was, and whatever is asked for: nothing may be seen by the one look and not by the other."""
    backup, journal = tmp_path / "backup.db", tmp_path / "keeper.db"
    async with RestingVenue.make() as venue:
        async with desk_of(venue, tmp_path) as desk:
            await desk.run()
        put_back(journal, backup)
        async with desk_of(venue, tmp_path) as desk:
            desk.feed.move(PERP, "115")
            desk.runs = 1
            await desk.run()
        put_back(backup, journal)
        async with desk_of(venue, tmp_path) as desk:
            await venue.clock.sleep_until(venue.clock.now() + idle)
            unrecorded = await desk.rebalancer._positions.unrecorded()
            assert bool(unrecorded) is (idle < LONGEST_LOOK)
            now = venue.clock.now()
            found = await reconcile(venue, desk.journal, "btc3l", [PERP], now - timedelta(hours=1))
            assert {told.order for told in found.missing} == set(unrecorded)
            await accept(venue, desk.journal, "btc3l", found, "the backup was old")
            await desk.rebalancer.verify()
            assert (await desk.journal.standing("btc3l")).state is FundState.ACTIVE
            assert (await reconcile(venue, desk.journal, "btc3l", [PERP], now - timedelta(hours=1))).agrees
