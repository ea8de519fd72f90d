"""Several slots a day, kept by the real daemon under virtual time: through clock changes, close together, and changed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from keeper.domain.fund import FirstStart
from keeper.domain.run import Run, RunKey, RunStatus
from keeper.policy.schedule import SETTLING, Schedule
from keeper.service.followed import FOLLOWED
from keeper.venues.feeds.fixed import FixedFeed
from tests.fakes.daemon_desks import DAILY, Kept, kept
from tests.fakes.daemons import Venues, charge_of, daemon_of, fund_of, memory, run_until, told
from tests.fakes.journal_values import a_run
from tests.fakes.kept_schedules import schedule_of, utc
from tests.fakes.paper import START, fixed_feed, opening, paper_venue

BERLIN = 'at = ["02:30", "12:15"], timezone = "Europe/Berlin"'
SLOT = START + timedelta(minutes=15)


async def kept_for(schedule: Schedule, since: str, until: str) -> list[Run]:
    """The runs of a fund that is kept from the one time to the other, in UTC."""
    feed = fixed_feed({"BTC/USDT:USDT": "105"})
    assert isinstance(feed, FixedFeed)
    venue, journal = paper_venue(feed, opening({"USDT": "100000"})), memory()
    await feed.resume({}, utc(since))
    heartbeat = timedelta(hours=1)
    charge = charge_of(Venues(venue, journal, fund_of()), schedule, heartbeat=heartbeat)
    await run_until(daemon_of([charge], venue.clock, poll=heartbeat), venue.clock, utc(until))
    runs = list(reversed(await journal.runs(limit=1000)))
    assert await journal.verify() == ()
    await journal.close()
    return runs


def begun(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """When each slot is on the wall, and when its run began in UTC."""
    return [(f"{run.key.local:%m-%d %H:%M}", f"{run.started_at:%m-%d %H:%M}") for run in runs]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        pytest.param(
            "2026-03-28 13:00",
            "2026-03-30 18:00",
            [
                ("03-29 02:30", "03-29 01:00"),
                ("03-29 12:15", "03-29 10:15"),
                ("03-30 02:30", "03-30 00:30"),
                ("03-30 12:15", "03-30 10:15"),
            ],
            id="into summer",
        ),
        pytest.param(
            "2026-10-24 12:00",
            "2026-10-26 18:00",
            [
                ("10-25 02:30", "10-25 00:30"),
                ("10-25 12:15", "10-25 11:15"),
                ("10-26 02:30", "10-26 01:30"),
                ("10-26 12:15", "10-26 11:15"),
            ],
            id="into winter",
        ),
    ],
)
async def test_two_slots_a_day_are_run_once_each_through_a_clock_change(
    since: str, until: str, expected: list[tuple[str, str]]
) -> None:
    runs = await kept_for(schedule_of(f'{BERLIN}, catch_up = "1h"'), since, until)
    assert begun(runs) == expected
    assert {run.status for run in runs} == {RunStatus.COMPLETED, RunStatus.NOTHING_DUE}


async def test_an_interval_is_kept_through_a_clock_change_in_which_two_of_its_slots_are_one() -> None:
    runs = await kept_for(
        schedule_of('at = "00:00", every = "1h", timezone = "Europe/Berlin", catch_up = "10m"'),
        "2026-03-28 23:30",
        "2026-03-29 03:30",
    )
    assert begun(runs) == [
        ("03-29 01:00", "03-29 00:00"),
        ("03-29 03:00", "03-29 01:00"),
        ("03-29 04:00", "03-29 02:00"),
        ("03-29 05:00", "03-29 03:00"),
    ]


async def test_a_run_that_begins_late_ends_before_the_next_slot() -> None:
    async with kept(schedule=schedule_of('at = ["00:15", "00:45"]')) as desk:
        await desk.until(SLOT + timedelta(minutes=23))
        async with desk.daemon():
            await desk.until(SLOT + timedelta(minutes=29, seconds=59))
            [first] = await desk.runs()
            assert first.ended_at is not None
            assert first.started_at + timedelta(minutes=10) > first.deadline == SLOT + timedelta(minutes=30) - SETTLING
            await desk.until(SLOT + timedelta(minutes=50))
        _, second = await desk.runs()
        assert first.ended_at < second.started_at == SLOT + timedelta(minutes=30)
        assert second.status in (RunStatus.COMPLETED, RunStatus.NOTHING_DUE)
        assert len({request.client_id for request in desk.venue.sent}) == len(desk.venue.sent)


async def test_a_run_that_is_taken_up_late_ends_before_the_next_slot_too() -> None:
    async with kept(schedule=schedule_of('at = ["00:15", "00:45"]')) as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 3)
        await desk.until(SLOT + timedelta(minutes=23))
        await desk.kept_until(SLOT + timedelta(minutes=29))
        [run] = await desk.runs()
        assert (run.attempts, run.deadline) == (2, SLOT + timedelta(minutes=30) - SETTLING)


async def test_the_next_slot_ends_a_window_and_what_was_not_run_by_then_is_missed() -> None:
    async with calm(schedule_of('at = ["00:15", "04:15", "08:15"], catch_up = "6h"')) as desk:
        await desk.kept_until(SLOT - timedelta(minutes=5))
        await desk.until(SLOT + timedelta(hours=5))
        async with desk.daemon():
            for _ in range(60):
                await desk.passed(minutes=1)
        assert told(await desk.journal.runs()) == [
            ("slot:2025-03-01T00:15[UTC]", "missed"),
            ("slot:2025-03-01T04:15[UTC]", "completed"),
        ]


@asynccontextmanager
async def calm(schedule: Schedule = DAILY) -> AsyncIterator[Kept]:
    """A fund in which nothing happens but its slots, so that days pass quickly."""
    async with kept(schedule=schedule) as desk:
        desk.poll = desk.heartbeat = timedelta(hours=6)
        yield desk


def slot_run(desk: Kept, at: str, status: RunStatus = RunStatus.COMPLETED) -> Run:
    """A run that is over, of a slot at ``at`` (UTC)."""
    key = RunKey("btc3l", f"slot:{at.replace(' ', 'T')}[UTC]")
    made = a_run(key.run_id)
    account = desk.venue.info.account
    return replace(made, key=key, account=account, status=status, started_at=utc(at), ended_at=utc(at), result={})


async def followed(desk: Kept) -> int:
    """How many changes of schedule were noted."""
    return len(await desk.journal.events(kind=FOLLOWED))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('at = "00:15"', []),
        ('at = "09:00"', []),
        ('at = ["00:15", "12:15"]', ["slot:2025-03-01T12:15[UTC]"]),
        ('at = ["09:00", "12:15"]', ["slot:2025-03-01T12:15[UTC]"]),
        ('at = ["00:15", "06:15", "12:15"], catch_up = "1h"', ["slot:2025-03-01T12:15[UTC]"]),
    ],
)
@pytest.mark.parametrize("is_old", [True, False])
async def test_a_change_after_the_run_of_a_daily_slot_leaves_to_do_what_is_new(
    words: str, expected: list[str], *, is_old: bool
) -> None:
    """is_old: the journal is of a time when no schedule was noted."""
    async with calm() as desk:
        if is_old:
            await desk.journal.first_start(FirstStart(fund="btc3l", seed="7", since=START))
            await desk.journal.open_run(slot_run(desk, "2025-03-01 00:15"))
        else:
            await desk.kept_until(SLOT + timedelta(minutes=20))
        await desk.until(START + timedelta(hours=8))
        desk.schedule = schedule_of(words)
        await desk.kept_until(START + timedelta(hours=13))
        await desk.kept_until(START + timedelta(hours=24))
        assert [run.key.trigger for run in await desk.runs()] == ["slot:2025-03-01T00:15[UTC]", *expected]
        assert await followed(desk) == (0 if is_old else 1) + (words != 'at = "00:15"' or is_old)


async def test_what_was_missed_under_an_earlier_schedule_is_told_at_the_change_once() -> None:
    async with calm() as desk:
        await desk.kept_until(SLOT + timedelta(minutes=20))
        await desk.until(START + timedelta(days=2, hours=8))
        desk.schedule = schedule_of('at = ["12:15", "18:15"]')
        for _ in range(2):
            await desk.kept_until(desk.now + timedelta(hours=2))
        await desk.kept_until(START + timedelta(days=3))
        assert told(await desk.journal.runs()) == [
            ("slot:2025-03-01T00:15[UTC]", "completed"),
            ("slot:2025-03-02T00:15[UTC]", "missed"),
            ("slot:2025-03-03T00:15[UTC]", "missed"),
            ("slot:2025-03-03T12:15[UTC]", "nothing_due"),
            ("slot:2025-03-03T18:15[UTC]", "nothing_due"),
        ]
        assert await followed(desk) == 2


async def test_a_slot_that_is_moved_before_its_run_is_run_once() -> None:
    async with calm(schedule_of('at = ["06:15", "12:15"], weekdays = ["sat"]')) as desk:
        await desk.kept_until(START + timedelta(hours=2))
        desk.schedule = schedule_of('at = ["04:15", "12:15"], weekdays = ["sat"], skip = "2025-03-08"')
        await desk.kept_until(START + timedelta(days=9))
        assert told(await desk.journal.runs()) == [
            ("slot:2025-03-01T04:15[UTC]", "completed"),
            ("slot:2025-03-01T12:15[UTC]", "nothing_due"),
        ]


async def test_an_earlier_schedule_in_a_zone_that_is_not_known_here_keeps_no_slot_from_being_run() -> None:
    async with calm() as desk:
        payload = {"at": ["00:15"], "timezone": "Mars/Base", "weekdays": [], "month_days": [], "skip": [], "also": []}
        await desk.journal.note(FOLLOWED, fund="btc3l", run="", at=desk.now, payload=payload)
        for minutes in (20, 40):
            await desk.kept_until(SLOT + timedelta(minutes=minutes))
        assert told(await desk.journal.runs()) == [("slot:2025-03-01T00:15[UTC]", "completed")]
        assert await followed(desk) == 2
