from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from keeper.policy.schedule import Schedule
from tests.fakes.schedules import slot_of


@pytest.mark.parametrize("clock", ["02:30:00.500000", "02:30:59.999999", "02:00:00.000001", "02:59:59.999999"])
def test_a_skipped_time_with_a_fraction_happens_at_the_first_whole_second_after_the_gap(clock: str) -> None:
    schedule = Schedule(at=(time.fromisoformat(clock),), zone=ZoneInfo("America/New_York"))
    assert slot_of(schedule, date(2026, 3, 8)).at == datetime(2026, 3, 8, 7, tzinfo=UTC)
