from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from keeper.policy.schedule import Schedule, next_slot
from tests.fakes.schedules import slot_of


def at(clock: str, zone: str) -> Schedule:
    return Schedule(at=(time.fromisoformat(clock),), zone=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("schedule", "day", "expected"),
    [
        pytest.param(at("00:15", "UTC"), "2026-03-01", "2026-03-01T00:15", id="plain"),
        pytest.param(
            at("02:30", "America/New_York"), "2026-03-08", "2026-03-08T07:00", id="skipped: first instant after the gap"
        ),
        pytest.param(at("01:30", "America/New_York"), "2026-11-01", "2026-11-01T05:30", id="twice: the first"),
        pytest.param(at("02:30", "Europe/Berlin"), "2026-03-29", "2026-03-29T01:00", id="Berlin, skipped"),
        pytest.param(at("02:30", "Europe/Berlin"), "2026-10-25", "2026-10-25T00:30", id="Berlin, twice"),
        pytest.param(at("00:15", "America/Santiago"), "2026-09-06", "2026-09-06T04:00", id="a midnight that does not exist"),
        pytest.param(at("02:15", "Australia/Lord_Howe"), "2026-10-04", "2026-10-03T15:30", id="a gap of half an hour"),
        pytest.param(at("01:45", "Australia/Lord_Howe"), "2026-04-05", "2026-04-04T14:45", id="half an hour twice"),
    ],
)
def test_local_times_across_clock_changes(schedule: Schedule, day: str, expected: str) -> None:
    assert slot_of(schedule, date.fromisoformat(day)).at == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("clock", ["00:00", "01:30", "02:30", "00:15"])
def test_a_year_has_one_slot_for_each_local_date(zone: str, clock: str) -> None:
    schedule = at(clock, zone)
    now = datetime(2026, 1, 1, tzinfo=schedule.zone).astimezone(UTC) - timedelta(seconds=1)
    end = datetime(2027, 1, 1, tzinfo=schedule.zone).astimezone(UTC)
    slots = []
    while (now := next_slot(schedule, now)) < end:
        slots.append(now.astimezone(schedule.zone).date())
    assert slots == [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]


def test_a_slot_that_is_now_is_not_the_next_one() -> None:
    schedule = at("00:15", "UTC")
    slot = datetime(2026, 3, 1, 0, 15, tzinfo=UTC)
    assert next_slot(schedule, slot) == slot + timedelta(days=1)
    assert next_slot(schedule, slot - timedelta(microseconds=1)) == slot
