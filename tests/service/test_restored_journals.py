"""A journal that is not the one that was traded by: put back from a backup, in the middle of a run or between two."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

from keeper.domain.fund import FundState
from keeper.domain.market import Side
from keeper.domain.run import CommandKind, RunStatus
from keeper.journal.store import SqlJournal
from keeper.policy.breakers import Cause
from keeper.service.progress import Unwatched
from keeper.service.reconciliation import accept, reconcile
from tests.fakes.daemon_desks import kept
from tests.fakes.daemons import command
from tests.fakes.desks import Desk, desk_of, drifted
from tests.fakes.paper import PERP, START
from tests.fakes.scripted_venue import ScriptedVenue

SLOT = "slot:2025-03-01T00:15[UTC]"


def put_back(backup: Path, journal: Path) -> None:
    for rest in journal.parent.glob(f"{journal.name}*"):
        rest.unlink()
    journal.write_bytes(backup.read_bytes())


def sent_twice(venue: ScriptedVenue) -> dict[str, int]:
    return {name: count for name, count in Counter(request.client_id for request in venue.sent).items() if count > 1}


async def accepted(desk: Desk) -> None:
    """What an operator does about it: `keeper reconcile --accept`, then `keeper resume`."""
    now = desk.venue.clock.now()
    found = await reconcile(desk.venue, desk.journal, "btc3l", [PERP], now - timedelta(days=2))
    await accept(desk.venue, desk.journal, "btc3l", found, "put back from a backup")
    await desk.journal.set_state("btc3l", FundState.ACTIVE, reason="", at=now)


async def test_the_slot_of_a_journal_put_back_gets_other_client_ids_than_the_one_that_was_lost(tmp_path: Path) -> None:
    """A venue takes the id of an order that is over once more, and would be believed if it told of the old one."""
    backup, journal, venue = tmp_path / "backup.db", tmp_path / "keeper.db", drifted()
    async with desk_of(venue, tmp_path) as desk:
        await desk.run()
    put_back(journal, backup)
    async with desk_of(venue, tmp_path) as desk:
        desk.feed.move(PERP, "115")
        lost = await desk.rebalancer.execute(await desk.rebalancer.plan(), SLOT, Unwatched())
        names = {child.request.client_id for child in await desk.journal.children(lost.id)}
    put_back(backup, journal)
    async with desk_of(venue, tmp_path) as desk:
        await desk.rebalancer.verify()
        assert (await desk.journal.standing("btc3l")).cause == Cause.JOURNAL
        await accepted(desk)
        await desk.rebalancer.verify()
        desk.feed.move(PERP, "125")
        again = await desk.rebalancer.execute(await desk.rebalancer.plan(), SLOT, Unwatched())
        assert (again.id, again.status) == (lost.id, RunStatus.COMPLETED)
        assert names.isdisjoint(child.request.client_id for child in await desk.journal.children(again.id))
        assert sent_twice(venue) == {}


async def test_a_run_that_a_backup_cut_is_not_gone_on_with_before_the_journal_is_verified() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(seconds=30)
            await desk.journal.submit_command(command(CommandKind.REBALANCE, desk.now))
            await desk.when(lambda: len(desk.venue.sent) == 1)
            await desk.passed(seconds=5)
            image = desk.journal.image()
            await desk.when(lambda: len(desk.venue.sent) == 4)
            await desk.passed(seconds=5)
            desk.crash()
        desk.journal = desk.venues.journal = SqlJournal.over(image)
        async with desk.daemon():
            await desk.passed(minutes=4)
        standing = await desk.journal.standing("btc3l")
        assert (len(desk.venue.sent), standing.state, standing.cause) == (4, FundState.HALTED, Cause.JOURNAL)


async def test_to_resume_is_not_enough_where_the_journal_lacks_orders() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(minutes=10)
            image = desk.journal.image()
            await desk.until(START + timedelta(minutes=30))  # the slot of 00:15 is run
        ran = len(desk.venue.sent)
        assert ran
        desk.journal = desk.venues.journal = SqlJournal.over(image)
        desk.venue.inner._feed.move(PERP, "115")  # type: ignore[attr-defined]
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(command(CommandKind.RESUME, desk.now))
            await desk.passed(minutes=20)
        standing = await desk.journal.standing("btc3l")
        assert (len(desk.venue.sent), standing.state, standing.cause) == (ran, FundState.HALTED, Cause.JOURNAL)


async def test_what_a_journal_put_back_lacks_is_still_seen_after_a_flattening_a_day_later(tmp_path: Path) -> None:
    """The flattening waits for nobody, and its own orders must not hide that older ones are missing."""
    backup, journal, venue = tmp_path / "backup.db", tmp_path / "keeper.db", drifted()
    async with desk_of(venue, tmp_path) as desk:
        await desk.run()
    put_back(journal, backup)
    async with desk_of(venue, tmp_path) as desk:
        desk.feed.move(PERP, "115")
        await desk.rebalancer.execute(await desk.rebalancer.plan(), SLOT, Unwatched())
    put_back(backup, journal)
    async with desk_of(venue, tmp_path) as desk:
        await desk.venue.clock.sleep_until(desk.venue.clock.now() + timedelta(hours=26))
        await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.venue.clock.now(), name="f1"))
        flat = desk.rebalancer.flat()
        ended = await flat.execute(await flat.plan(), "flatten:f1", Unwatched())
        assert (ended.status, await desk.journal.children(ended.id) != ()) == (RunStatus.COMPLETED, True)

        await desk.journal.set_state("btc3l", FundState.ACTIVE, reason="", at=desk.venue.clock.now())
        assert not await desk.rebalancer.verify()
        assert (await desk.journal.standing("btc3l")).cause == Cause.JOURNAL


async def test_a_fund_flattened_by_the_word_of_a_journal_that_lacks_orders_is_not_rebalanced() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.now, name="f1"))
            await desk.passed(minutes=9)
            image = desk.journal.image()
            await desk.journal.submit_command(command(CommandKind.RESUME, desk.now, name="f2"))
            await desk.until(START + timedelta(minutes=30))  # the slot of 00:15 is run
        ran = len(desk.venue.sent)
        assert desk.venue.sent[-1].side is Side.BUY
        desk.journal = desk.venues.journal = SqlJournal.over(image)
        desk.venue.inner._feed.move(PERP, "95")  # type: ignore[attr-defined]
        async with desk.daemon():
            await desk.passed(minutes=20)  # the slot is due once more, and would reduce
            assert (await desk.journal.standing("btc3l")).flattened
            assert len(desk.venue.sent) == ran
            await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.now, name="f3"))
            await desk.passed(minutes=5)
        assert [request.reduce_only for request in desk.venue.sent[ran:]] == [True] * (len(desk.venue.sent) - ran)
        assert len(desk.venue.sent) > ran
