"""Over a year, in any zone, however often somebody looks: every slot is run, missed or excepted exactly once."""

from datetime import date, datetime, timedelta
from itertools import cycle
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.policy.schedule import SETTLING, Calendar, Schedule, occurrences, shortest_gap, slots_on, window
from tests.fakes.kept_schedules import Diary, utc

CHANGING = ["America/New_York", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Antarctica/Troll"]
ZONES = st.sampled_from(CHANGING) | st.sampled_from(sorted(available_timezones()))
START, END = utc("2026-01-01"), utc("2027-01-01")
DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
BESIDE = {date(2025, 12, 31), date(2027, 1, 1)}
MINUTES = st.integers(0, 24 * 60 - 1)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Schedules whose slots are far enough apart for a run of five minutes."""
    minutes = sorted(draw(st.sets(MINUTES, min_size=1, max_size=4)))
    at = tuple((datetime.min + timedelta(minutes=minute)).time() for minute in minutes)  # noqa: DTZ901 - a time of day
    room = shortest_gap(at) - SETTLING - timedelta(minutes=5)
    if room < timedelta(0):
        at, room = at[:1], timedelta(hours=20)
    jitter = draw(st.integers(0, min(int(room.total_seconds()), 10 * 3600)))
    return Schedule(
        at=at,
        zone=ZoneInfo(draw(ZONES)),
        calendar=Calendar(
            weekdays=frozenset(draw(st.sets(st.integers(0, 6), max_size=6))),
            month_days=frozenset(draw(st.sets(st.sampled_from([1, 2, 13, 29, 30, 31, -1, -2, -31]), max_size=6))),
            skip=frozenset(draw(st.sets(st.sampled_from(DAYS), max_size=9))),
            also=frozenset(draw(st.sets(st.sampled_from(DAYS), max_size=9))),
        ),
        jitter=timedelta(seconds=jitter),
        catch_up=timedelta(seconds=jitter + draw(st.integers(1, 10 * 3600))),
    )


@settings(max_examples=25, deadline=None)
@given(schedule=schedules(), naps=st.lists(st.integers(500, 20_000), min_size=1, max_size=40))
def test_every_slot_of_a_year_is_run_missed_or_excepted_exactly_once(schedule: Schedule, naps: list[int]) -> None:
    """naps: minutes between one look and the next, over and over."""
    diary = Diary(START)
    for nap in cycle([*naps, 3_000]):
        diary.look(schedule)
        diary.now += timedelta(minutes=nap)
        if diary.now >= END:
            break
    diary.now = END
    diary.look(schedule)
    told = [local for local, _ in diary.entries]
    assert len(set(told)) == len(told)
    for day in DAYS[2:-2]:
        slots = slots_on(schedule, day)
        assert bool(slots) is _has(schedule.calendar, day)
        following = [slot.at for slot in (*slots[1:], *slots_on(schedule, day + timedelta(days=1)))]
        for slot, after in zip(slots, [*following, END + timedelta(days=2)], strict=False):
            is_one_with_the_next = after - slot.at <= SETTLING
            assert (slot.local in told) is not is_one_with_the_next
    assert {local.date() for local in told} <= {day for day in DAYS if _has(schedule.calendar, day)} | BESIDE


@settings(max_examples=50, deadline=None)
@given(schedule=schedules(), seed=st.text(max_size=4), first=st.sampled_from(DAYS))
def test_windows_never_overlap_and_a_run_never_outlives_its_slot(schedule: Schedule, seed: str, first: date) -> None:
    coming = occurrences(schedule, first)
    earlier = next(coming)
    for _ in range(9):
        later = next(coming)
        opens, closes = window(schedule, seed, earlier)
        assert earlier.slot.at <= opens <= closes <= earlier.ends_by == later.slot.at - SETTLING
        earlier = later


def _has(calendar: Calendar, day: date) -> bool:
    """Whether a day has slots, reckoned another way."""
    if day in calendar.skip:
        return False
    if day in calendar.also:
        return True
    tomorrow = day + timedelta(days=1)
    before_the_end = next(n for n in range(1, 32) if (day + timedelta(days=n)).month != day.month)
    assert (before_the_end == 1) is (tomorrow.day == 1)
    in_month = not calendar.month_days or day.day in calendar.month_days or -before_the_end in calendar.month_days
    return in_month and (not calendar.weekdays or day.isoweekday() - 1 in calendar.weekdays)
