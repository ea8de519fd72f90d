"""Which slots a fund's schedule named, and since when: a note in the journal's chain for each change, written by who keeps it.

A journal without such notes is of daily schedules, the last of which its newest slot tells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import cast
from zoneinfo import ZoneInfo

from keeper.policy.schedule import Calendar, Schedule
from keeper.ports import Journal

FOLLOWED = "schedule.followed"
MOST_NOTES = 1000
"""How many notes, of all funds, are looked at for a fund's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What a schedule named. since: from when on, aware UTC; zone: its name; at, calendar: as ``Schedule`` has them."""

    since: datetime
    zone: str
    at: tuple[time, ...]
    calendar: Calendar

    def schedule(self, like: Schedule) -> Schedule:
        """The schedule that named these slots, all else ``like`` another one."""
        zone = like.zone if self.zone == str(like.zone) else ZoneInfo(self.zone)
        return replace(like, at=self.at, zone=zone, calendar=self.calendar)


async def history_of(journal: Journal, fund: str) -> tuple[Followed, ...]:
    """What the schedules of a fund named, the one in force first."""
    notes = await journal.events(kind=FOLLOWED, limit=MOST_NOTES)
    return tuple(_read(note.at, note.payload) for note in notes if note.fund == fund)


async def daily_before(journal: Journal, fund: str) -> Followed | None:
    """The daily schedule that the newest slot on record was of; None where there is none."""
    for run in await journal.slot_runs(fund, date.max):
        if (local := run.key.local) is not None:
            return Followed(since=run.started_at, zone=run.key.zone, at=(local.time(),), calendar=Calendar())
    return None


async def note(journal: Journal, fund: str, schedule: Schedule, at: datetime) -> Followed:
    """Write down that from ``at`` on (aware) a fund is kept by ``schedule``."""
    days = schedule.calendar
    payload = {
        "at": [f"{each:%H:%M}" for each in schedule.at],
        "timezone": str(schedule.zone),
        "weekdays": sorted(days.weekdays),
        "month_days": sorted(days.month_days),
        "skip": sorted(day.isoformat() for day in days.skip),
        "also": sorted(day.isoformat() for day in days.also),
    }
    await journal.note(FOLLOWED, fund=fund, run="", at=at, payload=payload)
    return _read(at, payload)


def named_at(history: Sequence[Followed], at: datetime) -> tuple[time, ...]:
    """The times of day that a fund's schedule named at ``at`` (aware); none where nothing was noted by then."""
    return next((each.at for each in history if each.since <= at), ())


def _read(since: datetime, payload: Mapping[str, object]) -> Followed:
    told = cast("Mapping[str, list[str]]", payload)
    return Followed(
        since=since,
        zone=str(payload["timezone"]),
        at=tuple(time.fromisoformat(each) for each in told["at"]),
        calendar=Calendar(
            weekdays=frozenset(int(each) for each in told["weekdays"]),
            month_days=frozenset(int(each) for each in told["month_days"]),
            skip=frozenset(date.fromisoformat(each) for each in told["skip"]),
            also=frozenset(date.fromisoformat(each) for each in told["also"]),
        ),
    )
