"""A year of the real daemon under virtual time: one row for each local date, whatever the clocks of that place do."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from keeper.domain.run import RunStatus
from keeper.venues.feeds.fixed import FixedFeed
from tests.fakes.daemons import Venues, charge_of, daemon_of, daily, fund_of, memory, run_until
from tests.fakes.paper import fixed_feed, opening, paper_venue

DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
HOURS = timedelta(hours=5)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe"])
@pytest.mark.parametrize("clock", ["00:00", "01:30", "02:30", "00:15"])
async def test_a_year_has_exactly_one_run_for_each_local_date(clock: str, zone: str) -> None:
    here = ZoneInfo(zone)
    start = datetime(2026, 1, 1, tzinfo=here).astimezone(UTC) - timedelta(seconds=1)
    end = datetime(2027, 1, 1, tzinfo=here).astimezone(UTC) - timedelta(seconds=1)
    feed = fixed_feed({"BTC/USDT:USDT": "105"})
    assert isinstance(feed, FixedFeed)
    venue = paper_venue(feed, opening({"USDT": "100000"}))
    await feed.resume({}, start)
    journal = memory()
    venues = Venues(venue, journal, fund_of())
    daemon = daemon_of([charge_of(venues, daily(clock, zone), heartbeat=HOURS)], venue.clock, poll=HOURS)
    await run_until(daemon, venue.clock, end)
    runs = await journal.runs(limit=1000)
    assert sorted(run.key.day for run in runs if run.key.day) == DAYS
    assert len(runs) == len(DAYS)
    assert {run.status for run in runs} == {RunStatus.COMPLETED, RunStatus.NOTHING_DUE}
    late = {run.started_at.astimezone(here).date() for run in runs} ^ set(DAYS)
    assert not late
    await journal.close()
