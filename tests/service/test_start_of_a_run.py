"""What a run starts on: what it was planned on where that is what the journal has, else an account that stands still."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from keeper.domain.run import RunStatus
from keeper.service.positions import JUST_READ
from tests.fakes.desks import Desk, agrees_with_the_venue, desk_of, drifted, result_of
from tests.fakes.paper import PERP
from tests.fakes.scripted_venue import ScriptedVenue


def reads_before_the_first_order(venue: ScriptedVenue, since: int) -> int:
    kinds = [kind for kind, _ in venue.log[since:]]
    return kinds[: kinds.index("place")].count("account")


async def settled_once(desk: Desk) -> int:
    """A first run, after which the price moves; where the log stood then."""
    await desk.run()
    desk.feed.move(PERP, "110")
    return len(desk.venue.log)


async def test_a_run_on_what_is_on_record_reads_once_before_its_first_order(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=0.5), tmp_path) as desk:
        since = await settled_once(desk)
        at = desk.venue.clock.now()
        desk.venue.on_place = lambda _request: sent.append(desk.venue.clock.now())
        sent: list[object] = []
        run = await desk.run()
        assert reads_before_the_first_order(desk.venue, since) == 1
        assert sent[0] == at, "something was waited for"
        assert run.status is RunStatus.COMPLETED
        assert abs(Decimal(result_of(run)["leverage_after"]) - 3) < Decimal("0.001")
        kinds = [event.kind for event in await desk.journal.events(run=run.id)]
        assert kinds.count("fund.settled") == 2
        assert kinds.count("nav.recorded") == 2
        await agrees_with_the_venue(desk)


async def test_a_run_on_an_account_that_is_not_on_record_yet_waits_until_it_stands_still(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=0.5), tmp_path) as desk:
        await desk.run()
        assert reads_before_the_first_order(desk.venue, 0) == 3


async def test_what_is_not_as_it_was_left_is_looked_at_until_it_stands_still(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=0.5), tmp_path) as desk:
        since = await settled_once(desk)
        desk.venue.meddle(PERP, "-100", "110")
        await desk.venue.clock.sleep_until(desk.venue.clock.now() + timedelta(seconds=1))
        await desk.run()
        assert reads_before_the_first_order(desk.venue, since) == 3
        await agrees_with_the_venue(desk)


async def test_a_plan_that_waited_for_its_approval_is_begun_on_a_new_read(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=0.5), tmp_path) as desk:
        since = await settled_once(desk)
        plan = await desk.rebalancer.plan()
        await desk.venue.clock.sleep_until(desk.venue.clock.now() + JUST_READ + timedelta(seconds=1))
        await desk.rebalancer.execute(plan, "manual:late", desk.watcher)
        assert reads_before_the_first_order(desk.venue, since) == 3


async def test_a_plan_that_another_one_followed_is_begun_on_a_new_read(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=0.5), tmp_path) as desk:
        since = await settled_once(desk)
        plan = await desk.rebalancer.plan()
        await desk.rebalancer.plan()
        await desk.rebalancer.execute(plan, "manual:first", desk.watcher)
        assert reads_before_the_first_order(desk.venue, since) == 4


async def test_a_fill_that_the_account_does_not_show_yet_is_waited_for(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=0.5), tmp_path) as desk:
        since = await settled_once(desk)
        desk.venue.account_lag = timedelta(seconds=4)  # as of before its last fill
        desk.venue.on_place = lambda _request: setattr(desk.venue, "account_lag", None)
        run = await desk.run()
        assert reads_before_the_first_order(desk.venue, since) > 3
        assert abs(Decimal(result_of(run)["leverage_after"]) - 3) < Decimal("0.001")
        await agrees_with_the_venue(desk)


async def test_the_switch_is_set_as_the_first_order_goes_out_and_taken_off_at_the_end(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.countdowns = []
        await desk.run()
        kinds = [kind for kind, _ in desk.venue.log]
        assert kinds.index("dead_man") < kinds.index("place")
        assert [within is None for _, within in desk.venue.countdowns][-1]
        assert not any(within is None for _, within in desk.venue.countdowns[:-1])
