"""Daily slots in a time zone. Pure: the zone comes in as a ``tzinfo`` value.

A local time that a clock change skips happens at the first instant after the change, one that occurs twice at its
first occurrence.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Once a day. at: local wall time without a zone; zone: where that wall hangs."""

    at: time
    zone: tzinfo


def instant(schedule: Schedule, day: date) -> datetime:
    """The instant (aware UTC) of the slot of local date ``day``."""
    local = datetime.combine(day, schedule.at, tzinfo=schedule.zone)
    utc = local.astimezone(UTC)
    if utc.astimezone(schedule.zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return utc
    return _end_of_gap(schedule, utc)


def next_slot(schedule: Schedule, now: datetime) -> datetime:
    """The first slot (aware UTC) after ``now``."""
    day = now.astimezone(schedule.zone).date() - timedelta(days=1)
    while (at := instant(schedule, day)) <= now:
        day += timedelta(days=1)
    return at


def _end_of_gap(schedule: Schedule, near: datetime) -> datetime:
    """The instant, to the second, at which the zone's offset changes within a day of ``near``."""
    whole = near.replace(microsecond=0)
    before, after = whole - timedelta(days=1), whole + timedelta(days=1)
    offset = before.astimezone(schedule.zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(schedule.zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
