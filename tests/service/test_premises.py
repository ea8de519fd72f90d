"""What is said of the machine that a fund is kept on."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from keeper.policy.schedule import Schedule
from keeper.service.findings import Finding, Verdict
from keeper.service.preflight import exit_code, verdict_of
from keeper.service.premises import Premises, premises

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
SOUND = Premises(journal="journal k.db", begun=True, fault="", broken=0, free=1 << 40, held=False, schedule=None)


def only(found: Iterable[Finding], check: str) -> Finding:
    [one] = [finding for finding in found if finding.check == check]
    return one


def said(told: Premises, check: str) -> Finding:
    return only(premises(told, "btc3l", NOON), check)


def test_a_sound_machine_fails_nothing() -> None:
    found = list(premises(SOUND, "btc3l", NOON))
    assert [(one.check, one.verdict) for one in found] == [(name, OK) for name in ("journal", "disk", "lock", "schedule")]


def test_a_journal_that_is_broken_or_can_t_be_used_fails() -> None:
    assert said(replace(SOUND, begun=False), "journal").verdict is OK
    for told in (replace(SOUND, broken=2), replace(SOUND, fault="disk is read-only")):
        found = said(told, "journal")
        assert (found.verdict, found.exit_code) == (FAIL, 73)
    assert "2 places" in said(replace(SOUND, broken=2), "journal").found


@pytest.mark.parametrize(("free", "verdict"), [(1 << 30, OK), ((1 << 30) - 1, WARN), (50 << 20, WARN), ((50 << 20) - 1, FAIL)])
def test_what_is_left_of_the_disk(free: int, verdict: Verdict) -> None:
    found = said(replace(SOUND, free=free), "disk")
    assert (found.verdict, found.exit_code) == (verdict, 73 if verdict is FAIL else 0)


def test_who_keeps_the_account_is_said() -> None:
    assert said(SOUND, "lock").found == "no process keeps the account"
    assert said(replace(SOUND, held=True), "lock").found == "a process keeps the account"


@pytest.mark.parametrize(
    ("at", "zone", "verdict"),
    [
        ("00:00", "Europe/Berlin", WARN),
        ("02:59", "Europe/Berlin", WARN),
        ("03:00", "Europe/Berlin", OK),
        ("23:59", "Europe/Berlin", OK),
        ("01:30", "America/New_York", WARN),
        ("00:15", "UTC", OK),
        ("02:30", "Asia/Tokyo", OK),
    ],
)
def test_a_slot_at_an_hour_at_which_clocks_are_set_is_warned_of(at: str, zone: str, verdict: Verdict) -> None:
    schedule = Schedule(at=(time.fromisoformat(at),), zone=ZoneInfo(zone))
    found = said(replace(SOUND, schedule=schedule), "schedule")
    assert found.verdict is verdict
    assert f"{at} {zone}" in found.found


def test_the_worst_line_is_the_verdict_and_the_first_that_fails_the_exit_code() -> None:
    def line(verdict: Verdict, code: int = 0) -> Finding:
        return Finding(check="x", verdict=verdict, found="", exit_code=code)

    assert (verdict_of([]), exit_code([])) == (OK, 0)
    assert (verdict_of([line(OK), line(WARN)]), exit_code([line(OK), line(WARN)])) == (WARN, 0)
    many = [line(WARN), line(FAIL, 78), line(FAIL, 69), line(OK)]
    assert (verdict_of(many), exit_code(many)) == (FAIL, 78)


def test_a_fund_without_a_schedule_is_said_to_act_only_when_asked_or_when_it_strays() -> None:
    assert said(SOUND, "schedule").found == "none: only `keeper rebalance btc3l` trades"
    assert "what the fund does between slots, and" in said(replace(SOUND, strays=True), "schedule").found
