"""What is due: a function of schedule, ledger and time, asked at any time and any number of times."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.run import RunStatus
from keeper.policy.agenda import Ledger, SlotRecord, due, pause_after
from keeper.policy.breakers import Breakers
from keeper.policy.schedule import Schedule, window
from tests.fakes.schedules import occurrence_of, slot_of

DAILY = Schedule(at=(time(0, 15),), zone=ZoneInfo("UTC"))
SINCE = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
TODAY = date(2026, 3, 5)
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{text}").replace(tzinfo=UTC)


def record(
    status: RunStatus, *, day: date = TODAY, attempts: int = 1, ended: datetime | None = None, schedule: Schedule = DAILY
) -> SlotRecord:
    trigger = slot_of(schedule, day).trigger
    return SlotRecord(trigger=trigger, status=status, attempts=attempts, ended_at=ended or at("05T00:20"))


def ledger(today: SlotRecord | None = None) -> Ledger:
    """Completed runs up to yesterday, and today's record."""
    days = [date(2026, 3, day) for day in range(2, 5)]
    records = {slot_of(DAILY, day).local: record(RunStatus.COMPLETED, day=day) for day in days}
    if today is not None:
        records[slot_of(DAILY, TODAY).local] = today
    return Ledger(seed="7", since=SINCE, records=records)


@pytest.mark.parametrize(
    ("now", "is_due"),
    [
        pytest.param("05T00:14:59", False, id="before"),
        pytest.param("05T00:15", True, id="on time"),
        pytest.param("05T06:15", True, id="at the end of its window"),
        pytest.param("05T06:15:01", False, id="too late"),
    ],
)
def test_a_slot_is_due_from_its_instant_to_the_end_of_its_window(now: str, *, is_due: bool) -> None:
    agenda = due(DAILY, ledger(), at(now))
    assert (agenda.slot == slot_of(DAILY, TODAY)) is is_due
    assert (agenda.slot is None) is not is_due
    assert agenda.missed == ((occurrence_of(DAILY, TODAY),) if now == "05T06:15:01" else ())
    assert agenda.next_at == agenda.opens_at == at("05T00:15" if now == "05T00:14:59" else "06T00:15")


@pytest.mark.parametrize(
    ("status", "attempts", "ended", "due_at"),
    [
        pytest.param(RunStatus.COMPLETED, 1, "05T00:20", None, id="done"),
        pytest.param(RunStatus.NOTHING_DUE, 1, "05T00:20", None, id="nothing was due"),
        pytest.param(RunStatus.REFUSED, 1, "05T00:20", "05T00:21", id="refused: what it was refused for may pass"),
        pytest.param(RunStatus.RUNNING, 1, "05T00:20", None, id="in work, or left by a process that is gone"),
        pytest.param(RunStatus.INCOMPLETE, 0, "05T00:20", "05T00:20", id="left behind: at once"),
        pytest.param(RunStatus.INCOMPLETE, 1, "05T00:20", "05T00:21", id="after a minute"),
        pytest.param(RunStatus.INCOMPLETE, 2, "05T00:20", "05T00:22", id="after two"),
        pytest.param(RunStatus.INCOMPLETE, 3, "05T00:20", "05T00:25", id="after five"),
        pytest.param(RunStatus.INCOMPLETE, 4, "05T00:20", "05T00:35", id="after fifteen"),
        pytest.param(RunStatus.INCOMPLETE, 99, "05T00:20", "05T00:50", id="after thirty, for ever"),
        pytest.param(RunStatus.INCOMPLETE, 4, "05T06:14", None, id="its window closes while it rests"),
        pytest.param(RunStatus.MISSED, 0, "05T06:20", "05T00:15", id="missed while the clock was wrong"),
    ],
)
def test_what_a_row_of_today_leaves_to_do(status: RunStatus, attempts: int, ended: str, due_at: str | None) -> None:
    kept = ledger(today=record(status, attempts=attempts, ended=at(ended)))
    start, found = at("05T00:15") if status is RunStatus.MISSED else at(ended), []
    for minutes in range(400):
        now = start + timedelta(minutes=minutes)
        if due(DAILY, kept, now).slot is not None:
            found.append(now)
    assert (found[0] if found else None) == (at(due_at) if due_at else None)
    assert all(due(DAILY, kept, start + timedelta(minutes=minutes)).missed == () for minutes in range(0, 400, 7))


def test_a_run_that_rests_says_when_to_look_again() -> None:
    kept = ledger(today=record(RunStatus.INCOMPLETE, ended=at("05T00:20")))
    agenda = due(DAILY, kept, at("05T00:20:30"))
    assert (agenda.slot, agenda.next_at, agenda.opens_at) == (None, at("05T00:21"), at("06T00:15"))


def test_a_clock_set_back_makes_no_run_wait_for_the_time_it_ended_at() -> None:
    kept = ledger(today=record(RunStatus.INCOMPLETE, attempts=4, ended=at("05T05:00")))
    assert due(DAILY, kept, at("05T02:00")).slot == slot_of(DAILY, TODAY)


@pytest.mark.parametrize("clock", ["00:15", "00:10", "09:00", "23:59"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_editing_the_time_after_todays_run_gives_no_second_run_today(clock: str, zone: str) -> None:
    edited = Schedule(at=(time.fromisoformat(clock),), zone=ZoneInfo(zone))
    kept = ledger(today=record(RunStatus.COMPLETED))
    days = set()
    for minutes in range(20, 3 * 24 * 60, 20):
        agenda = due(edited, kept, at("05T00:15") + timedelta(minutes=minutes))
        days |= {agenda.slot.day} if agenda.slot else set()
        assert TODAY not in {missed.slot.day for missed in agenda.missed}
    assert TODAY not in days
    assert date(2026, 3, 6) in days


def test_an_incomplete_run_is_not_taken_up_under_an_edited_time_or_another_account() -> None:
    rest = record(RunStatus.INCOMPLETE, ended=at("05T00:20"))
    edited = Schedule(at=(time(0, 30),), zone=ZoneInfo("UTC"))
    assert due(edited, ledger(today=rest), at("05T01:00")).slot is None
    assert due(DAILY, ledger(today=replace(rest, is_ours=False)), at("05T01:00")).slot is None
    assert due(DAILY, ledger(today=rest), at("05T01:00")).slot is not None


def test_slots_that_were_over_before_the_first_start_were_not_missed() -> None:
    fresh = Ledger(seed="7", since=at("05T08:00"))
    assert due(DAILY, fresh, at("05T08:00")).missed == ()
    assert due(DAILY, Ledger(seed="7", since=at("05T05:00")), at("05T05:00")).slot == slot_of(DAILY, TODAY)
    assert due(DAILY, Ledger(seed="7", since=at("05T05:00")), at("05T08:00")).missed == (occurrence_of(DAILY, TODAY),)


def test_a_row_of_tomorrow_written_by_a_wrong_clock_takes_nothing_from_today() -> None:
    tomorrow = date(2026, 3, 6)
    rows = {slot_of(DAILY, tomorrow).local: record(RunStatus.COMPLETED, day=tomorrow)}
    wrong = Ledger(seed="7", since=at("05T00:00"), records=rows)
    assert due(DAILY, wrong, at("05T00:20")).slot == slot_of(DAILY, TODAY)
    assert due(DAILY, wrong, at("05T08:00")).missed == (occurrence_of(DAILY, TODAY),)


def test_every_day_that_nobody_looked_is_missed_oldest_first() -> None:
    agenda = due(DAILY, ledger(), at("09T03:00"))
    assert [missed.slot.day.day for missed in agenda.missed] == [5, 6, 7, 8]
    assert agenda.slot == slot_of(DAILY, date(2026, 3, 9))
    long_ago = Ledger(seed="7", since=datetime(2001, 1, 1, tzinfo=UTC), before=datetime.combine(date(2002, 1, 1), time(0, 15)))
    assert len(due(DAILY, long_ago, at("09T08:00")).missed) == 401


@given(st.text(max_size=8), st.integers(0, 10 * 3600), st.integers(1, 10 * 3600), st.integers(0, 400))
def test_jitter_only_delays_and_comes_from_the_seed(seed: str, jitter: int, longer: int, day: int) -> None:
    catch_up = timedelta(seconds=jitter + longer)
    schedule = replace(DAILY, jitter=timedelta(seconds=jitter), catch_up=catch_up)
    coming = occurrence_of(schedule, date(2026, 1, 1) + timedelta(days=day))
    slot = coming.slot
    opens, closes = window(schedule, seed, coming)
    assert slot.at <= opens < slot.at + timedelta(seconds=max(jitter, 1))
    assert opens < closes == slot.at + catch_up
    assert (opens, closes) == window(schedule, seed, coming)


def test_jitter_differs_by_day_and_by_seed_and_does_not_change_the_key() -> None:
    schedule = replace(DAILY, jitter=timedelta(hours=1))
    coming = [occurrence_of(schedule, date(2026, 1, 1) + timedelta(days=day)) for day in range(100)]
    delays = {window(schedule, seed, each)[0] - each.slot.at for each in coming for seed in ("a", "b")}
    assert len(delays) == 200
    assert [each.slot.trigger for each in coming] == [slot_of(DAILY, each.slot.day).trigger for each in coming]


def test_a_slot_is_named_by_its_nominal_local_time_and_zone() -> None:
    skipped = Schedule(at=(time(2, 30),), zone=ZoneInfo("Europe/Berlin"))
    slot = slot_of(skipped, date(2026, 3, 29))
    assert slot.trigger == "slot:2026-03-29T02:30[Europe/Berlin]"
    assert slot.at == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


@given(
    zone=st.sampled_from(ZONES),
    minute=st.integers(0, 24 * 60 - 1),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 6, 1)),  # noqa: DTZ001 - made aware below
    naps=st.lists(st.integers(1, 4000), min_size=1, max_size=60),
    jitter=st.integers(0, 120),
)
def test_whoever_wakes_whenever_every_date_has_one_row(
    zone: str, minute: int, start: datetime, naps: list[int], jitter: int
) -> None:
    """naps: minutes between one look at the ledger and the next."""
    schedule = Schedule(
        at=(time(minute // 60, minute % 60),), zone=ZoneInfo(zone), jitter=timedelta(minutes=jitter), catch_up=timedelta(hours=6)
    )
    now = first = start.replace(tzinfo=UTC)
    kept = Ledger(seed="s", since=now)
    for nap in naps:
        agenda = due(schedule, kept, now)
        records = dict(kept.records)
        for slot in (missed.slot for missed in agenda.missed):
            assert slot.local not in records
            assert now > slot.at + schedule.catch_up
            records[slot.local] = SlotRecord(trigger=slot.trigger, status=RunStatus.MISSED, attempts=0, ended_at=now)
        if agenda.slot is not None:
            assert agenda.slot.local not in records
            assert agenda.slot.at <= now <= agenda.slot.at + schedule.catch_up
            records[agenda.slot.local] = SlotRecord(
                trigger=agenda.slot.trigger, status=RunStatus.COMPLETED, attempts=1, ended_at=now
            )
        kept = replace(kept, records=records)
        quiet = due(schedule, kept, now)
        assert (quiet.slot, quiet.missed) == (None, ())
        assert quiet.next_at > now
        now += timedelta(minutes=nap)
    agenda = due(schedule, kept, now)
    told = {*kept.records, *(missed.slot.local for missed in agenda.missed)} | ({agenda.slot.local} if agenda.slot else set())
    day = first.astimezone(schedule.zone).date() + timedelta(days=1)
    while slot_of(schedule, day).at + schedule.catch_up < now:
        assert slot_of(schedule, day).local in told
        day += timedelta(days=1)


def test_a_pause_grows_up_to_a_cap() -> None:
    pauses = [pause_after(attempts) for attempts in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[0] == timedelta(0)
    assert pauses[-1] == pauses[-2] == timedelta(minutes=30)


def test_the_attempts_of_one_slot_never_trip_the_breaker_for_repeated_runs() -> None:
    """However short each of them is: a venue that flaps must not halt a fund whose owner sleeps."""
    starts = [sum((pause_after(attempt) for attempt in range(1, number)), timedelta(0)) for number in range(1, 30)]
    for first in starts:
        assert sum(first <= start < first + timedelta(hours=1) for start in starts) <= Breakers().runs_per_hour
