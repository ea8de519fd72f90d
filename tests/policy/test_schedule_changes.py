"""A schedule that is changed while a fund is kept: no slot is missed or doubled for that."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.policy.agenda import due
from tests.fakes.kept_schedules import Diary, schedule_of, utc

HOURLY, FOUR_HOURLY = 'at = "00:00", every = "1h"', 'at = "00:00", every = "4h"'


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param(
            ['at = "00:15"', "01 08:00", 'at = ["00:15", "12:15"]'],
            ["01 00:15 at 01 00:15", "01 12:15 at 01 12:15"],
            id="one more",
        ),
        pytest.param(['at = "00:15"', "01 08:00", 'at = "09:00"'], ["01 00:15 at 01 00:15"], id="moved later after its run"),
        pytest.param(['at = "12:15"', "01 13:00", 'at = "11:15"'], ["01 12:15 at 01 12:15"], id="moved back after its run"),
        pytest.param(['at = "09:00"', "01 08:00", 'at = "10:00"'], ["01 10:00 at 01 10:00"], id="moved before its run"),
        pytest.param(['at = "09:00"', "01 08:00", 'at = "07:00"'], ["01 07:00 at 01 08:00"], id="moved to a while ago"),
        pytest.param(['at = "12:00"', "01 08:00", 'at = "00:15"'], [], id="moved to long ago: not missed either"),
        pytest.param(
            ['at = ["00:15", "08:15", "16:15"]', "01 09:00", 'at = ["00:15", "16:15"]'],
            ["01 00:15 at 01 00:15", "01 08:15 at 01 08:15", "01 16:15 at 01 16:15"],
            id="one less: the others stay",
        ),
        pytest.param(
            ['at = ["00:15", "12:15"]', "01 08:00", 'at = "12:15"'],
            ["01 00:15 at 01 00:15", "01 12:15 at 01 12:15"],
            id="only the later one is left",
        ),
        pytest.param(
            ['at = ["00:15", "12:15"]', "01 08:00", 'at = ["09:00", "12:15"]'],
            ["01 00:15 at 01 00:15", "01 12:15 at 01 12:15"],
            id="one of two moved after its run",
        ),
        pytest.param(
            ['at = ["00:15", "12:15"]', "01 13:00", 'at = ["06:15", "18:15", "22:15"]'],
            ["01 00:15 at 01 00:15", "01 12:15 at 01 12:15", "01 22:15 at 01 22:15"],
            id="both moved after their runs, and one more",
        ),
        pytest.param(
            ['at = "00:15", catch_up = "1h"', "01 08:00", 'at = ["00:15", "01:15", "12:15"], catch_up = "1h"'],
            ["01 00:15 at 01 00:15", "01 12:15 at 01 12:15"],
            id="what is over when it is added was not missed",
        ),
        pytest.param(
            ['at = "00:00", every = "6h"', "01 13:30", 'at = "00:00", every = "12h"', "01 14:00", 'at = "00:00", every = "6h"'],
            ["01 00:00 at 01 00:00", "01 06:00 at 01 06:00", "01 12:00 at 01 12:00", "01 18:00 at 01 18:00"],
            id="there and back",
        ),
        pytest.param(
            ['at = "00:15"', "01 08:00", 'at = "09:00"', "01 08:30", 'at = "10:00"'], ["01 00:15 at 01 00:15"], id="moved twice"
        ),
        pytest.param(
            ['at = "00:15"', "01 01:00", 'at = "00:15", timezone = "Europe/Berlin"'],
            ["01 00:15 at 01 00:15", "02 00:15 at 01 23:15"],
            id="another zone",
        ),
        pytest.param(
            ['at = "12:15"', "01 08:00", 'at = "12:15", skip = "2026-03-01"'], [], id="a day that is left out at short notice"
        ),
        pytest.param(
            [HOURLY, "01 02:30", FOUR_HOURLY],
            [*(f"01 {hour:02}:00 at 01 {hour:02}:00" for hour in (0, 1, 2, 4, 8, 12, 16, 20))],
            id="less often",
        ),
        pytest.param(
            [FOUR_HOURLY, "01 20:30", HOURLY],
            [*(f"01 {hour:02}:00 at 01 {hour:02}:00" for hour in (0, 4, 8, 12, 16, 20, 21, 22, 23))],
            id="more often",
        ),
        pytest.param(
            [HOURLY, "01 02:40", 'at = "00:30", every = "8h"'],
            [
                "01 00:00 at 01 00:00",
                "01 01:00 at 01 01:00",
                "01 02:00 at 01 02:00",
                "01 08:30 at 01 08:30",
                "01 16:30 at 01 16:30",
            ],
            id="less often, at other times",
        ),
    ],
)
def test_what_a_change_leaves_to_do_that_day(changes: list[str], told: list[str]) -> None:
    """changes: a schedule, then times in UTC and what holds from then on."""
    diary, words = Diary(utc("2026-03-01")), changes[0]
    for at, following in zip(changes[1::2], changes[2::2], strict=True):
        diary.follow(schedule_of(words), utc(f"2026-03-{at}"))
        diary.change(schedule_of(words))
        words = following
    diary.follow(schedule_of(words), utc("2026-03-02"))
    assert diary.told == [entry.replace("01 ", "03-01 ").replace("02 ", "03-02 ") for entry in told]


def test_what_was_missed_before_a_change_is_told_and_stands_for_nothing() -> None:
    diary, old, new = Diary(utc("2026-03-01")), schedule_of('at = "00:15"'), schedule_of('at = "12:15"')
    diary.follow(old, utc("2026-03-01 06:00"))
    diary.now = utc("2026-03-03 08:00")
    diary.change(old)
    diary.follow(new, utc("2026-03-04"))
    assert diary.told == [
        "03-01 00:15 at 03-01 00:15",
        "03-02 00:15 missed",
        "03-03 00:15 missed",
        "03-03 12:15 at 03-03 12:15",
    ]


def test_a_change_that_was_dated_ahead_by_a_wrong_clock_makes_nothing_untold() -> None:
    diary, schedule = Diary(utc("2026-03-01")), schedule_of('at = "00:15"')
    diary.follow(schedule, utc("2026-03-01 06:00"))
    diary.ledger = replace(diary.ledger, followed=utc("2026-03-20"))
    missed = due(schedule, diary.ledger, utc("2026-03-03 08:00")).missed
    assert [each.slot.day.day for each in missed] == [2, 3]


def test_a_row_from_later_that_day_which_a_clock_that_was_ahead_wrote_stands_for_nothing_before_it() -> None:
    diary = Diary(utc("2026-03-01 01:00"))
    diary.follow(schedule_of('at = "18:15"'), utc("2026-03-01 19:00"))
    diary.now = utc("2026-03-01 05:00")
    diary.follow(schedule_of('at = ["06:15", "12:15"]'), utc("2026-03-01 18:00"))
    assert [entry[:11] for entry in diary.told] == ["03-01 18:15", "03-01 06:15", "03-01 12:15"]


TIMES = st.lists(st.integers(0, 95), min_size=1, max_size=4, unique=True)


@given(before=TIMES, after=TIMES, minutes=st.integers(1, 3 * 24 * 60), zone=st.sampled_from(["UTC", "America/New_York"]))
def test_a_slot_that_both_schedules_name_is_run_on_time_whatever_else_is_changed(
    before: list[int], after: list[int], minutes: int, zone: str
) -> None:
    """before, after: quarters of an hour since midnight; minutes: after which the one gives way to the other."""
    old, new = (schedule_of(f'at = {_times(each)}, timezone = "{zone}"') for each in (before, after))
    start = utc("2026-06-01")
    diary = Diary(start)
    diary.follow(old, start + timedelta(minutes=minutes))
    diary.change(old)
    diary.follow(new, start + timedelta(days=5))
    assert not [entry for entry in diary.told if "missed" in entry]
    ran = {entry.partition(" at ")[0] for entry in diary.told}
    assert len(ran) == len(diary.told)
    wall = (start.astimezone(new.zone) + timedelta(days=1)).date()
    for day in (wall + timedelta(days=n) for n in range(3)):
        assert {f"{day:%m-%d} {at:%H:%M}" for at in set(old.at) & set(new.at)} <= ran
        if len(old.at) == len(new.at) == 1:
            assert sum(entry.startswith(f"{day:%m-%d}") for entry in ran) <= 1


def _times(quarters: list[int]) -> list[str]:
    return [f"{each // 4:02}:{each % 4 * 15:02}" for each in quarters]
