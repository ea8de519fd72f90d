"""How a schedule is written, and how one that can't be kept is refused."""

from datetime import date, time, timedelta
from pathlib import Path

import pytest

from keeper.policy.schedule import Calendar, Schedule
from keeper.settings import effective
from tests.fakes.configurations import PAPER, loaded, problems

SAY = "must be HH:MM in quotes"
MONTH_DAY = "must be a day of the month without quotes, 1 to 31, or -1 (the last day) to -31"

# what stands between the braces, its key, the value shown and a part of the remedy
BROKEN = [
    ("at = []", "at", "(an array)", "must not be empty"),
    ('at = ["00:15", "24:00"]', "at", '"24:00"', SAY),
    ('at = ["00:15", 12]', "at", "12", SAY),
    ('at = [["00:15"]]', "at", "(an array)", SAY),
    ('at = ["00:15", "12:15", "00:15"]', "at", '"00:15"', "stands there twice: name it once"),
    ('every = "4h"', "at", "(missing)", "is required: local time of day"),
    ('at = "00:15", every = 4', "every", "4", "must be a duration in quotes"),
    ('at = "00:15", every = "2m"', "every", '"2m"', 'must be at least "3m" and at most "12h"'),
    ('at = "00:15", every = "13h"', "every", '"13h"', 'must be at least "3m" and at most "12h"'),
    ('at = "00:15", every = "90m30s"', "every", '"90m30s"', "must be whole minutes"),
    ('at = ["00:15", "12:15"], every = "4h"', "every", '"4h"', "goes with one time that it begins at"),
    ('at = "21:00", every = "4h"', "every", '"4h"', 'must come again before midnight, and at = "21:00" is too late for that'),
    ('at = "00:15", weekdays = ["mon", "friday"]', "weekdays", '"friday"', 'did you mean "fri"?'),
    ('at = "00:15", weekdays = []', "weekdays", "(an array)", "must not be empty: leave it out"),
    ('at = "00:15", weekdays = 1', "weekdays", "1", 'must be "mon" or "tue"'),
    ('at = "00:15", weekdays = ["mon", "mon"]', "weekdays", '"mon"', "stands there twice"),
    ('at = "00:15", month_days = [1, 32]', "month_days", "32", MONTH_DAY),
    ('at = "00:15", month_days = 0', "month_days", "0", MONTH_DAY),
    ('at = "00:15", month_days = [-32]', "month_days", "-32", MONTH_DAY),
    ('at = "00:15", month_days = [true]', "month_days", "true", MONTH_DAY),
    ('at = "00:15", month_days = ["1"]', "month_days", '"1"', MONTH_DAY),
    ('at = "00:15", skip = ["2026-12-25", "2026-02-30"]', "skip", '"2026-02-30"', 'must be a date such as "2026-12-25"'),
    ('at = "00:15", skip = "20261225"', "skip", '"20261225"', "must be a date"),
    ('at = "00:15", skip = 2026-12-25T00:15:00', "skip", "2026-12-25T00:15:00", "must be a date"),
    ('at = "00:15", skip = "2026-12-25", also = ["2026-12-24", "2026-12-25"]', "also", '"2026-12-25"', "stands in skip too"),
    ('at = "00:15", after_funding = "31m"', "after_funding", '"31m"', 'must be at least "0s" and at most "30m"'),
    (
        'at = "00:15", catch_up = "10m", jitter = "5m", after_funding = "5m"',
        "after_funding",
        '"5m"',
        'jitter + after_funding < catch_up must hold, or a slot could pass without its run, but "5m" + "5m" >= "10m"',
    ),
    ('at = "00:15", funding_every = "5h"', "funding_every", '"5h"', 'must divide a day, such as "1h", "4h" or "8h"'),
    ('at = "00:15", funding_every = "30m"', "funding_every", '"30m"', 'must be at least "1h" and at most "24h"'),
    ('at = "00:15", wekdays = ["mon"]', "wekdays", "(an array)", 'did you mean "weekdays"?'),
    ('at = "00:15", from = "00:00"', "from", '"00:00"', "unknown key"),
]


@pytest.mark.parametrize(("words", "key", "value", "remedy"), BROKEN)
def test_a_schedule_that_can_not_be_read_is_refused(tmp_path: Path, words: str, key: str, value: str, remedy: str) -> None:
    [problem] = problems(tmp_path, f"{PAPER}schedule = {{ {words} }}\n")
    assert problem.source == f"{tmp_path / 'keeper.toml'}:9"
    assert (problem.key, problem.value) == (f"funds.btc3l.schedule.{key}", value)
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("words", "more", "key", "remedy"),
    [
        ('at = ["00:00", "00:31"]', "", "at", '"0s" + "0s" + "30m" + "2m" > "31m": put them further apart'),
        ('at = ["00:15", "23:45"]', "", "at", '"0s" + "0s" + "30m" + "2m" > "30m"'),
        ('at = "00:00", every = "45m", jitter = "14m"', "", "every", '"14m" + "0s" + "30m" + "2m" > "45m"'),
        ('at = "00:00", every = "6h", jitter = "1h"', 'execution = { horizon = "5h" }', "every", '"5h" + "2m" > "6h"'),
        ('at = ["00:00", "00:40"], after_funding = "9m"', "", "at", '"0s" + "9m" + "30m" + "2m" > "40m"'),
        (
            'at = "00:00", every = "10m"',
            'execution = { horizon = "5m" }',
            "every",
            "slots within an hour <= breakers.runs_per_hour must hold, or that breaker halts the fund, but 7 > 6",
        ),
    ],
)
def test_slots_too_close_together_for_their_runs_are_refused_with_what_does_not_hold(
    tmp_path: Path, words: str, more: str, key: str, remedy: str
) -> None:
    [problem] = problems(tmp_path, f"{PAPER}schedule = {{ {words} }}\n{more}\n")
    assert (problem.source, problem.key) == (f"{tmp_path / 'keeper.toml'}:9", f"funds.btc3l.schedule.{key}")
    assert remedy in problem.remedy


def test_a_daily_run_that_waits_for_funding_must_fit_too(tmp_path: Path) -> None:
    words = 'schedule = { at = "00:15", jitter = "2h", after_funding = "30m" }\nexecution = { horizon = "20h" }\n'
    [problem] = problems(tmp_path, PAPER + words)
    assert problem.key == "funds.btc3l.execution.horizon"
    assert 'schedule.jitter + execution.horizon + schedule.after_funding must be at most "22h"' in problem.remedy


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ('at = ["00:00", "00:32"]', ""),
        ('at = "00:00", every = "45m", jitter = "13m"', ""),
        ('at = "00:00", every = "10m"', 'execution = { horizon = "8m" }\nbreakers = { runs_per_hour = 7 }'),
        ('at = "00:15", jitter = "2h"', 'execution = { horizon = "20h" }'),
    ],
)
def test_slots_that_leave_just_enough_time_are_taken(tmp_path: Path, words: str, more: str) -> None:
    loaded(tmp_path, f"{PAPER}schedule = {{ {words} }}\n{more}\n")


def read(tmp_path: Path, words: str, env: dict[str, str] | None = None) -> Schedule:
    found = loaded(tmp_path, f"{PAPER}schedule = {{ {words} }}\n", env).funds["btc3l"].schedule_value()
    assert found is not None
    return found


def test_times_are_sorted_and_intervals_end_at_midnight(tmp_path: Path) -> None:
    assert read(tmp_path, 'at = "00:15"').at == (time(0, 15),)
    assert read(tmp_path, 'at = ["12:15", "00:15"]').at == (time(0, 15), time(12, 15))
    assert read(tmp_path, 'at = "00:15", every = "5h"').at == tuple(time(hour, 15) for hour in (0, 5, 10, 15, 20))
    assert read(tmp_path, 'at = "00:00", every = "8h"').at == (time(0), time(8), time(16))


def test_days_are_read_as_they_are_written(tmp_path: Path) -> None:
    words = 'at = "00:15", weekdays = ["sun", "mon"], month_days = [1, -1], skip = 2026-12-25, also = ["2026-12-28", 2027-01-02]'
    assert read(tmp_path, words).calendar == Calendar(
        weekdays=frozenset({0, 6}),
        month_days=frozenset({1, -1}),
        skip=frozenset({date(2026, 12, 25)}),
        also=frozenset({date(2026, 12, 28), date(2027, 1, 2)}),
    )


def test_a_variable_holds_several_with_commas_between_them(tmp_path: Path) -> None:
    prefix = "KEEPER__FUNDS__BTC3L__SCHEDULE__"
    env = {f"{prefix}AT": "12:15, 00:15", f"{prefix}MONTH_DAYS": "1,-1", f"{prefix}SKIP": "2026-12-25"}
    found = read(tmp_path, 'at = "00:15"', env)
    assert found.at == (time(0, 15), time(12, 15))
    assert found.calendar == Calendar(month_days=frozenset({1, -1}), skip=frozenset({date(2026, 12, 25)}))
    [problem] = problems(tmp_path, PAPER, {f"{prefix}AT": "00:15", f"{prefix}MONTH_DAYS": "1,x"})
    assert (problem.source, problem.value) == (f"{prefix}MONTH_DAYS", '"x"')


def test_all_of_a_schedule_is_shown(tmp_path: Path) -> None:
    words = 'at = ["12:15", "00:15"], weekdays = "mon", skip = ["2026-12-25"], after_funding = "5m", funding_every = "1h"'
    settings = loaded(tmp_path, f"{PAPER}schedule = {{ {words} }}\n")
    shown = {each.key.rpartition(".")[2]: each.value for each in effective(settings) if ".schedule." in each.key}
    assert shown == {
        "at": ["12:15", "00:15"],
        "every": None,
        "timezone": "UTC",
        "weekdays": ["mon"],
        "month_days": None,
        "skip": ["2026-12-25"],
        "also": None,
        "catch_up": "6h",
        "jitter": "0s",
        "after_funding": "5m",
        "funding_every": "1h",
    }
    value = settings.funds["btc3l"].schedule_value()
    assert value is not None
    assert (value.after_funding, value.funding_every) == (timedelta(minutes=5), timedelta(hours=1))
