"""A catalogue of schedules as they are configured, and what becomes of each of their slots."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.fakes.kept_schedules import Diary, schedule_of, utc

Span = tuple[str, str]


def case(name: str, words: str, kept: Span, told: str, *, away: Sequence[Span] = ()) -> Any:
    """words: as they stand in ``schedule = { ... }``; kept: from the first start to the end, away: when nobody looked, in UTC.

    told: date and time on the wall, then when the run began, in UTC.
    """
    return pytest.param(words, kept, away, told, id=name)


CASES = [
    case("a day in UTC", 'at = "00:15"', ("2026-03-01", "2026-03-03"), "03-01 00:15 at 03-01 00:15, 03-02 00:15 at 03-02 00:15"),
    case(
        "Berlin in winter",
        'at = "09:00", timezone = "Europe/Berlin"',
        ("2026-01-10", "2026-01-12"),
        "01-10 09:00 at 01-10 08:00, 01-11 09:00 at 01-11 08:00",
    ),
    case(
        "Berlin in summer",
        'at = "09:00", timezone = "Europe/Berlin"',
        ("2026-07-10", "2026-07-12"),
        "07-10 09:00 at 07-10 07:00, 07-11 09:00 at 07-11 07:00",
    ),
    case(
        "a zone of three quarters of an hour",
        'at = "00:15", timezone = "Asia/Kathmandu"',
        ("2026-03-01", "2026-03-02"),
        "03-01 00:15 at 03-01 00:00, 03-02 00:15 at 03-01 18:30",
    ),
    case(
        "a zone a day ahead",
        'at = "00:15", timezone = "Pacific/Kiritimati"',
        ("2026-03-01", "2026-03-02"),
        "03-02 00:15 at 03-01 10:15",
    ),
    case(
        "a zone a day behind",
        'at = "23:30", timezone = "Pacific/Pago_Pago"',
        ("2026-03-01", "2026-03-02 12:00"),
        "02-28 23:30 at 03-01 10:30, 03-01 23:30 at 03-02 10:30",
    ),
    case(
        "skipped in Berlin",
        'at = "02:30", timezone = "Europe/Berlin"',
        ("2026-03-28", "2026-03-30 12:00"),
        "03-28 02:30 at 03-28 01:30, 03-29 02:30 at 03-29 01:00, 03-30 02:30 at 03-30 00:30",
    ),
    case(
        "twice in Berlin",
        'at = "02:30", timezone = "Europe/Berlin"',
        ("2026-10-24", "2026-10-26 12:00"),
        "10-24 02:30 at 10-24 00:30, 10-25 02:30 at 10-25 00:30, 10-26 02:30 at 10-26 01:30",
    ),
    case(
        "skipped in New York",
        'at = "02:30", timezone = "America/New_York"',
        ("2026-03-08", "2026-03-09 12:00"),
        "03-08 02:30 at 03-08 07:00, 03-09 02:30 at 03-09 06:30",
    ),
    case(
        "twice in New York",
        'at = "01:30", timezone = "America/New_York"',
        ("2026-11-01", "2026-11-02 12:00"),
        "11-01 01:30 at 11-01 05:30, 11-02 01:30 at 11-02 06:30",
    ),
    case(
        "a midnight that does not exist",
        'at = "00:00", timezone = "America/Santiago"',
        ("2026-09-05 12:00", "2026-09-07 12:00"),
        "09-06 00:00 at 09-06 04:00, 09-07 00:00 at 09-07 03:00",
    ),
    case(
        "half an hour skipped",
        'at = "02:15", timezone = "Australia/Lord_Howe"',
        ("2026-10-03", "2026-10-05"),
        "10-04 02:15 at 10-03 15:30, 10-05 02:15 at 10-04 15:15",
    ),
    case(
        "half an hour twice",
        'at = "01:45", timezone = "Australia/Lord_Howe"',
        ("2026-04-04", "2026-04-06"),
        "04-05 01:45 at 04-04 14:45, 04-06 01:45 at 04-05 15:15",
    ),
    case(
        "two hours skipped",
        'at = "02:10", timezone = "Antarctica/Troll"',
        ("2026-03-28 12:00", "2026-03-30 12:00"),
        "03-29 02:10 at 03-29 01:00, 03-30 02:10 at 03-30 00:10",
    ),
    case(
        "a whole day skipped",
        'at = "12:00", timezone = "Pacific/Apia"',
        ("2011-12-29", "2012-01-01"),
        "12-28 12:00 at 12-29 00:00, 12-29 12:00 at 12-29 22:00, 12-30 12:00 at 12-30 10:00, "
        "12-31 12:00 at 12-30 22:00, 01-01 12:00 at 12-31 22:00",
    ),
    case(
        "twice a day",
        'at = ["12:15", "00:15"]',
        ("2026-03-01", "2026-03-03"),
        "03-01 00:15 at 03-01 00:15, 03-01 12:15 at 03-01 12:15, 03-02 00:15 at 03-02 00:15, 03-02 12:15 at 03-02 12:15",
    ),
    case(
        "twice a day into summer",
        'at = ["02:30", "12:15"], timezone = "Europe/Berlin"',
        ("2026-03-28 06:00", "2026-03-29 18:00"),
        "03-28 02:30 at 03-28 06:00, 03-28 12:15 at 03-28 11:15, 03-29 02:30 at 03-29 01:00, 03-29 12:15 at 03-29 10:15",
    ),
    case(
        "twice a day into winter",
        'at = ["02:30", "12:15"], timezone = "Europe/Berlin"',
        ("2026-10-24 06:00", "2026-10-25 18:00"),
        "10-24 02:30 at 10-24 06:00, 10-24 12:15 at 10-24 10:15, 10-25 02:30 at 10-25 00:30, 10-25 12:15 at 10-25 11:15",
    ),
    case(
        "two skipped times are one",
        'at = ["01:00", "02:00", "02:40"], timezone = "America/New_York"',
        ("2026-03-08 03:00", "2026-03-08 12:00"),
        "03-08 01:00 at 03-08 06:00, 03-08 02:40 at 03-08 07:00",
    ),
    case(
        "a skipped time and the one it falls on are one",
        'at = ["02:00", "03:00"], timezone = "America/New_York"',
        ("2026-03-08 03:00", "2026-03-08 12:00"),
        "03-08 03:00 at 03-08 07:00",
    ),
    case(
        "a skipped time right before another is one with it",
        'at = ["02:20", "03:02"], timezone = "America/New_York"',
        ("2026-03-08 03:00", "2026-03-08 12:00"),
        "03-08 03:02 at 03-08 07:02",
    ),
    case(
        "a skipped time shortly before another is not",
        'at = ["02:30", "03:10"], timezone = "America/New_York"',
        ("2026-03-08 03:00", "2026-03-08 12:00"),
        "03-08 02:30 at 03-08 07:00, 03-08 03:10 at 03-08 07:10",
    ),
    case(
        "a skipped time that leaves less than the jitter asks for",
        'at = ["02:30", "03:10"], timezone = "America/New_York", jitter = "20m"',
        ("2026-03-08 03:00", "2026-03-08 12:00"),
        "03-08 02:30 at 03-08 07:00, 03-08 03:10 at 03-08 07:19",
    ),
    case(
        "every four hours",
        'at = "00:00", every = "4h"',
        ("2026-03-01", "2026-03-02"),
        "03-01 00:00 at 03-01 00:00, 03-01 04:00 at 03-01 04:00, 03-01 08:00 at 03-01 08:00, "
        "03-01 12:00 at 03-01 12:00, 03-01 16:00 at 03-01 16:00, 03-01 20:00 at 03-01 20:00",
    ),
    case(
        "every four hours into summer",
        'at = "00:00", every = "4h", timezone = "Europe/Berlin"',
        ("2026-03-28 22:00", "2026-03-29 22:00"),
        "03-28 20:00 at 03-28 22:00, 03-29 00:00 at 03-28 23:00, 03-29 04:00 at 03-29 02:00, "
        "03-29 08:00 at 03-29 06:00, 03-29 12:00 at 03-29 10:00, 03-29 16:00 at 03-29 14:00, "
        "03-29 20:00 at 03-29 18:00",
    ),
    case(
        "every four hours into winter",
        'at = "00:00", every = "4h", timezone = "Europe/Berlin"',
        ("2026-10-24 22:00", "2026-10-25 22:00"),
        "10-25 00:00 at 10-24 22:00, 10-25 04:00 at 10-25 03:00, 10-25 08:00 at 10-25 07:00, "
        "10-25 12:00 at 10-25 11:00, 10-25 16:00 at 10-25 15:00, 10-25 20:00 at 10-25 19:00",
    ),
    case(
        "every hour into summer",
        'at = "00:30", every = "1h", timezone = "Europe/Berlin"',
        ("2026-03-28 23:00", "2026-03-29 03:00"),
        "03-28 23:30 at 03-28 23:00, 03-29 00:30 at 03-28 23:30, 03-29 01:30 at 03-29 00:30, "
        "03-29 02:30 at 03-29 01:00, 03-29 03:30 at 03-29 01:30, 03-29 04:30 at 03-29 02:30",
    ),
    case(
        "every hour into winter",
        'at = "00:30", every = "1h", timezone = "Europe/Berlin"',
        ("2026-10-24 22:00", "2026-10-25 03:00"),
        "10-24 23:30 at 10-24 22:00, 10-25 00:30 at 10-24 22:30, 10-25 01:30 at 10-24 23:30, "
        "10-25 02:30 at 10-25 00:30, 10-25 03:30 at 10-25 02:30",
    ),
    case(
        "every five hours begins anew at midnight",
        'at = "00:15", every = "5h"',
        ("2026-03-01", "2026-03-02 06:00"),
        "02-28 20:15 at 03-01 00:00, 03-01 00:15 at 03-01 00:15, 03-01 05:15 at 03-01 05:15, "
        "03-01 10:15 at 03-01 10:15, 03-01 15:15 at 03-01 15:15, 03-01 20:15 at 03-01 20:15, "
        "03-02 00:15 at 03-02 00:15, 03-02 05:15 at 03-02 05:15",
    ),
    case(
        "every six hours from the morning on",
        'at = "06:00", every = "6h"',
        ("2026-03-01", "2026-03-02 07:00"),
        "02-28 18:00 at 03-01 00:00, 03-01 06:00 at 03-01 06:00, 03-01 12:00 at 03-01 12:00, "
        "03-01 18:00 at 03-01 18:00, 03-02 06:00 at 03-02 06:00",
    ),
    case(
        "Mondays and Fridays",
        'at = "00:15", weekdays = ["mon", "fri"]',
        ("2026-03-01", "2026-03-10"),
        "03-02 00:15 at 03-02 00:15, 03-06 00:15 at 03-06 00:15, 03-09 00:15 at 03-09 00:15",
    ),
    case(
        "a weekday of the wall, not of UTC",
        'at = "00:15", weekdays = "mon", timezone = "Asia/Tokyo"',
        ("2026-03-01", "2026-03-09"),
        "03-02 00:15 at 03-01 15:15, 03-09 00:15 at 03-08 15:15",
    ),
    case(
        "the last day of a month",
        'at = "00:15", month_days = -1',
        ("2026-01-15", "2026-04-15"),
        "01-31 00:15 at 01-31 00:15, 02-28 00:15 at 02-28 00:15, 03-31 00:15 at 03-31 00:15",
    ),
    case(
        "the last day of February in a leap year",
        'at = "00:15", month_days = -1',
        ("2028-02-01", "2028-03-15"),
        "02-29 00:15 at 02-29 00:15",
    ),
    case(
        "a leap day",
        'at = "00:15", month_days = 29',
        ("2027-02-01", "2028-03-15"),
        "03-29 00:15 missed, 04-29 00:15 missed, 05-29 00:15 missed, 06-29 00:15 missed, 07-29 00:15 missed, "
        "08-29 00:15 missed, 09-29 00:15 missed, 10-29 00:15 missed, 11-29 00:15 missed, 12-29 00:15 missed, "
        "01-29 00:15 missed, 02-29 00:15 at 02-29 00:15",
        away=[("2027-03-01", "2028-02-15")],
    ),
    case(
        "months without a 31st",
        'at = "00:15", month_days = 31',
        ("2026-03-01", "2026-08-01"),
        "03-31 00:15 at 03-31 00:15, 05-31 00:15 at 05-31 00:15, 07-31 00:15 at 07-31 00:15",
    ),
    case(
        "the 1st, the 15th and the last",
        'at = "00:15", month_days = [1, 15, -1]',
        ("2026-02-01", "2026-03-02"),
        "02-01 00:15 at 02-01 00:15, 02-15 00:15 at 02-15 00:15, 02-28 00:15 at 02-28 00:15, 03-01 00:15 at 03-01 00:15",
    ),
    case(
        "Friday the 13th",
        'at = "00:15", weekdays = "fri", month_days = 13',
        ("2026-02-01", "2026-12-31"),
        "02-13 00:15 at 02-13 00:15, 03-13 00:15 at 03-13 00:15, 11-13 00:15 at 11-13 00:15",
    ),
    case(
        "a day that is left out",
        'at = ["00:15", "12:15"], skip = ["2026-12-25"]',
        ("2026-12-24 12:00", "2026-12-26 06:00"),
        "12-24 12:15 at 12-24 12:15, 12-26 00:15 at 12-26 00:15",
    ),
    case(
        "a day put in its place",
        'at = "00:15", month_days = 1, skip = "2027-01-01", also = "2027-01-04"',
        ("2026-12-01", "2027-02-02"),
        "12-01 00:15 at 12-01 00:15, 01-04 00:15 at 01-04 00:15, 02-01 00:15 at 02-01 00:15",
    ),
    case(
        "late inside its window",
        'at = "00:15"',
        ("2026-03-01", "2026-03-02"),
        "03-01 00:15 at 03-01 06:15",
        away=[("2026-03-01 00:10", "2026-03-01 06:15")],
    ),
    case(
        "after its window",
        'at = "00:15"',
        ("2026-03-01", "2026-03-02"),
        "03-01 00:15 missed",
        away=[("2026-03-01 00:10", "2026-03-01 06:16")],
    ),
    case(
        "days away",
        'at = ["00:15", "12:15"]',
        ("2026-03-01", "2026-03-03 20:00"),
        "03-01 00:15 at 03-01 00:15, 03-01 12:15 missed, 03-02 00:15 missed, 03-02 12:15 missed, 03-03 00:15 missed, "
        "03-03 12:15 at 03-03 13:00",
        away=[("2026-03-01 06:00", "2026-03-03 13:00")],
    ),
    case(
        "longer away than rows are looked at",
        'at = ["00:15", "12:15"], weekdays = ["sun", "sat"]',
        ("2026-03-01", "2026-03-07 14:00"),
        "03-01 00:15 at 03-01 00:15, 03-01 12:15 missed, 03-07 00:15 missed, 03-07 12:15 at 03-07 13:00",
        away=[("2026-03-01 06:00", "2026-03-07 13:00")],
    ),
    case(
        "windows that would overlap",
        'at = "00:00", every = "4h", catch_up = "6h"',
        ("2026-03-01", "2026-03-01 16:00"),
        "03-01 00:00 at 03-01 00:00, 03-01 04:00 missed, 03-01 08:00 at 03-01 09:00, 03-01 12:00 at 03-01 12:00",
        away=[("2026-03-01 01:00", "2026-03-01 09:00")],
    ),
    case(
        "a window that the next slot ends",
        'at = "00:00", every = "4h", catch_up = "6h"',
        ("2026-03-01", "2026-03-01 10:00"),
        "03-01 00:00 at 03-01 00:00, 03-01 04:00 missed, 03-01 08:00 at 03-01 08:00",
        away=[("2026-03-01 03:00", "2026-03-01 07:59")],
    ),
    case(
        "a window past midnight",
        'at = "23:30"',
        ("2026-03-01", "2026-03-02 12:00"),
        "02-28 23:30 at 03-01 00:00, 03-01 23:30 at 03-02 02:00",
        away=[("2026-03-01 23:00", "2026-03-02 02:00")],
    ),
    case(
        "over before the first start", 'at = ["00:15", "12:15"]', ("2026-03-01 07:00", "2026-03-02"), "03-01 12:15 at 03-01 12:15"
    ),
    case(
        "open at the first start",
        'at = ["00:15", "12:15"]',
        ("2026-03-01 05:00", "2026-03-02"),
        "03-01 00:15 at 03-01 05:00, 03-01 12:15 at 03-01 12:15",
    ),
    case(
        "a run after funding",
        'at = "00:00", every = "4h", after_funding = "5m"',
        ("2026-03-01", "2026-03-02"),
        "03-01 00:00 at 03-01 00:05, 03-01 04:00 at 03-01 04:00, 03-01 08:00 at 03-01 08:05, "
        "03-01 12:00 at 03-01 12:00, 03-01 16:00 at 03-01 16:05, 03-01 20:00 at 03-01 20:00",
    ),
    case(
        "a run within the shadow of funding",
        'at = "08:03", after_funding = "5m"',
        ("2026-03-01", "2026-03-02"),
        "03-01 08:03 at 03-01 08:05",
    ),
    case(
        "funding every hour",
        'at = ["08:00", "12:30"], after_funding = "5m", funding_every = "1h"',
        ("2026-03-01", "2026-03-02"),
        "03-01 08:00 at 03-01 08:05, 03-01 12:30 at 03-01 12:30",
    ),
    case(
        "twice a day, jittered",
        'at = ["00:15", "12:15"], jitter = "3h"',
        ("2026-03-01", "2026-03-02"),
        "03-01 00:15 at 03-01 02:52, 03-01 12:15 at 03-01 13:35",
    ),
]


@pytest.mark.parametrize(("words", "kept", "away", "told"), CASES)
def test_what_becomes_of_every_slot(words: str, kept: Span, away: Sequence[Span], told: str) -> None:
    diary = Diary(utc(kept[0]))
    diary.follow(schedule_of(words), utc(kept[1]), [(utc(gone), utc(back)) for gone, back in away])
    assert ", ".join(diary.told) == told


def test_there_are_forty_cases_at_least() -> None:
    assert len(CASES) >= 40
