"""What of a schedule is still to come, as the status tells it."""

from dataclasses import replace
from datetime import datetime

import pytest

from keeper.domain.run import RunStatus
from keeper.policy.agenda import Ledger, SlotRecord, coming_slots, open_until
from tests.fakes.kept_schedules import Diary, schedule_of, utc

TWICE = schedule_of('at = ["00:15", "12:15"], weekdays = ["mon", "tue"], catch_up = "6h"')
MONDAY = utc("2026-03-02")


def kept_until(now: str) -> Ledger:
    diary = Diary(MONDAY)
    diary.follow(TWICE, utc(now))
    return diary.ledger


@pytest.mark.parametrize(
    ("now", "coming"),
    [
        ("2026-03-02 00:14", ["02 00:15", "02 12:15", "03 00:15"]),
        ("2026-03-02 00:15", ["02 12:15", "03 00:15", "03 12:15"]),
        ("2026-03-03 07:00", ["03 12:15", "09 00:15", "09 12:15"]),
    ],
)
def test_the_next_slots_are_those_that_are_not_over(now: str, coming: list[str]) -> None:
    found = coming_slots(TWICE, Ledger(seed="", since=utc(now)), utc(now), 3)
    assert [f"{slot.local:%d %H:%M}" for slot in found] == coming


def test_a_slot_that_was_moved_after_its_run_is_none_of_the_next() -> None:
    moved = schedule_of('at = ["09:00", "12:15"]')
    [first, *_] = coming_slots(moved, kept_until("2026-03-02 08:00"), utc("2026-03-02 08:00"), 3)
    assert first.at == utc("2026-03-02 12:15")


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-02 00:14", None),
        ("2026-03-02 00:15", "2026-03-02 06:15"),
        ("2026-03-02 06:15", "2026-03-02 06:15"),
        ("2026-03-02 06:16", None),
        ("2026-03-02 13:00", "2026-03-02 18:15"),
    ],
)
def test_a_slot_that_nobody_ran_is_open_until_its_window_closes(now: str, until: str | None) -> None:
    assert open_until(TWICE, Ledger(seed="", since=MONDAY), utc(now)) == (utc(until) if until else None)


@pytest.mark.parametrize(("status", "is_open"), [(RunStatus.COMPLETED, False), (RunStatus.INCOMPLETE, True)])
def test_a_slot_with_a_row_is_open_if_its_run_may_go_on(status: RunStatus, *, is_open: bool) -> None:
    ledger = kept_until("2026-03-02 00:20")
    rows: dict[datetime, SlotRecord] = {local: replace(row, status=status) for local, row in ledger.records.items()}
    found = open_until(TWICE, replace(ledger, records=rows), utc("2026-03-02 01:00"))
    assert found == (utc("2026-03-02 06:15") if is_open else None)
