"""When a fund's slots are: times of day, on the days of a calendar, in a time zone. Pure: the zone comes in as a ``tzinfo``.

A local time that a clock change skips happens at the first instant after the change, one that occurs twice at its first
occurrence. Slots that a change puts onto one instant, or no more than SETTLING apart, are one: the last of them.
"""

import hashlib
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise

from keeper.domain.run import Slot

DAY = timedelta(days=1)
CATCH_UP = timedelta(hours=6)
FUNDING_EVERY = timedelta(hours=8)
SETTLING = timedelta(minutes=2)
"""What lies between the deadline of a slot's run and the next slot: it settles, and connections are made ready."""
SHORTEST_DAY = timedelta(hours=22)
"""What is left of a day between two slots when the clocks go forward, less an hour for what nobody foresees."""
_MIDNIGHT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The local dates that have slots: those that fit both ``weekdays`` and ``month_days``, and ``also``; never ``skip``.

    weekdays: 0 (Monday) to 6; month_days: 1 to 31, or -1 (the last day) to -31; each empty where it makes no difference.
    """

    weekdays: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    skip: frozenset[date] = frozenset()
    also: frozenset[date] = frozenset()

    def has(self, day: date) -> bool:
        """Whether ``day`` has slots."""
        if day in self.skip or day in self.also:
            return day not in self.skip
        from_the_end = day.day - monthrange(day.year, day.month)[1] - 1
        fits_the_month = not self.month_days or not self.month_days.isdisjoint((day.day, from_the_end))
        return fits_the_month and (not self.weekdays or day.weekday() in self.weekdays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Once or several times on each of its days.

    at: local wall times without a zone, ascending, one at least; zone: where that wall hangs; calendar: the days; jitter: by
    how much a run may be delayed, at most; catch_up: how long after its instant a slot may still be run; after_funding: how
    long after an instant of funding no run begins; funding_every: from one such instant to the next, counted from midnight UTC.
    """

    at: tuple[time, ...]
    zone: tzinfo
    calendar: Calendar = Calendar()
    jitter: timedelta = timedelta(0)
    catch_up: timedelta = CATCH_UP
    after_funding: timedelta = timedelta(0)
    funding_every: timedelta = FUNDING_EVERY


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A slot as it comes. ends_by: when its run is over at the latest (aware UTC), SETTLING before the next slot."""

    slot: Slot
    ends_by: datetime


@lru_cache(maxsize=4096)
def instant(zone: tzinfo, local: datetime) -> datetime:
    """The instant (aware UTC) at which the wall of ``zone`` shows ``local`` (naive), or would have."""
    aware = local.replace(tzinfo=zone)
    utc = aware.astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == local:
        return utc
    return _end_of_gap(zone, utc)


def slots_on(schedule: Schedule, day: date) -> tuple[Slot, ...]:
    """The slots that local date ``day`` is to have, in order; none where the calendar leaves it out."""
    if not schedule.calendar.has(day):
        return ()
    zone, name = schedule.zone, str(schedule.zone)
    times = (datetime.combine(day, at) for at in schedule.at)
    return tuple(Slot(local=local, zone=name, at=instant(zone, local)) for local in times)


def occurrences(schedule: Schedule, first: date) -> Iterator[Occurrence]:
    """The slots from local date ``first`` on, in order, without an end."""
    pairs = pairwise(_slots(schedule, first))
    return (Occurrence(slot, after.at - SETTLING) for slot, after in pairs if after.at - slot.at > SETTLING)


def next_slot(schedule: Schedule, now: datetime) -> datetime:
    """The first slot (aware UTC) after ``now``."""
    coming = occurrences(schedule, now.astimezone(schedule.zone).date() - DAY)
    return next(each.slot.at for each in coming if each.slot.at > now)


def window(schedule: Schedule, seed: str, coming: Occurrence) -> tuple[datetime, datetime]:
    """When a slot may be run: from its instant and jitter to the end of its catch-up, or of its time; aware UTC.

    What lies in the shadow of funding begins when that is over. A slot that a clock change has left too little time for all
    this begins within the first half of what there is.
    """
    slot = coming.slot
    closes = min(slot.at + schedule.catch_up, coming.ends_by)
    digest = hashlib.sha256(f"{seed}\x1f{slot.trigger}".encode()).digest()
    share = int.from_bytes(digest[:6], "big") / 2**48
    if not schedule.jitter + schedule.after_funding < closes - slot.at:
        return slot.at + (closes - slot.at) / 2 * share, closes
    opens = slot.at + schedule.jitter * share
    since_funding = (opens - _MIDNIGHT) % schedule.funding_every
    return opens + max(schedule.after_funding - since_funding, timedelta(0)), closes


def shortest_gap(at: tuple[time, ...]) -> timedelta:
    """The shortest time on the wall from one of the times ``at`` (ascending) to the next, be that of the next day."""
    wall = [timedelta(hours=each.hour, minutes=each.minute) for each in at]
    return min(later - sooner for sooner, later in pairwise((*wall, wall[0] + DAY)))


def _slots(schedule: Schedule, day: date) -> Iterator[Slot]:
    while True:
        yield from slots_on(schedule, day)
        day += DAY


def _end_of_gap(zone: tzinfo, near: datetime) -> datetime:
    """The instant, to the second, at which the zone's offset changes within a day of ``near``."""
    whole = near.replace(microsecond=0)
    before, after = whole - DAY, whole + DAY
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
