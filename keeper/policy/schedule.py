"""Daily slots in a time zone, and which of them is due. Pure: the zone comes in as a ``tzinfo`` value.

A local time that a clock change skips happens at the first instant after the change, one that occurs twice at its
first occurrence. What is due is a function of the schedule, of what the ledger holds and of the time, so it does not
matter who asks, how often or how late.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from keeper.domain.run import RunStatus, Slot

DAY = timedelta(days=1)
CATCH_UP = timedelta(hours=6)
SHORTEST_DAY = timedelta(hours=22)
"""What is left of a day between two slots when the clocks go forward, less an hour for what nobody foresees."""
LONGEST_GAP = 400
"""Days that a ledger may lag behind before the oldest ones are no longer told as missed."""
_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (0, 1, 2, 5, 15, 30))
"""So that the attempts of one slot alone are never more within an hour than ``breakers.runs_per_hour`` allows by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Once a day.

    at: local wall time without a zone; zone: where that wall hangs; jitter: by how much a run may be delayed, at most;
    catch_up: how long after its instant a slot may still be run.
    """

    at: time
    zone: tzinfo
    jitter: timedelta = timedelta(0)
    catch_up: timedelta = CATCH_UP


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """What the ledger holds of one local date. trigger: of the slot; ended_at: aware UTC; attempts: as ``Run`` has them.

    is_ours: whether the run may be taken up here, which the run of another account may not.
    """

    trigger: str
    status: RunStatus
    attempts: int
    ended_at: datetime | None
    is_ours: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The slots of one fund that were dealt with.

    seed: of its jitter; since: its first start, aware UTC; records: by local date, every one from some date on; before: the
    newest date with a record before those.
    """

    seed: str
    since: datetime
    records: Mapping[date, SlotRecord] = field(default_factory=dict)
    before: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What a fund's schedule asks for now.

    slot: to be run now; missed: to be recorded as missed, oldest first; opens_at: when the next slot's window opens,
    next_at: when to look again, both aware UTC.
    """

    slot: Slot | None
    missed: tuple[Slot, ...]
    opens_at: datetime
    next_at: datetime


def instant(schedule: Schedule, day: date) -> datetime:
    """The instant (aware UTC) of the slot of local date ``day``."""
    local = datetime.combine(day, schedule.at, tzinfo=schedule.zone)
    utc = local.astimezone(UTC)
    if utc.astimezone(schedule.zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return utc
    return _end_of_gap(schedule, utc)


def slot_of(schedule: Schedule, day: date) -> Slot:
    """The slot of local date ``day``."""
    return Slot(local=datetime.combine(day, schedule.at), zone=str(schedule.zone), at=instant(schedule, day))


def next_slot(schedule: Schedule, now: datetime) -> datetime:
    """The first slot (aware UTC) after ``now``."""
    day = now.astimezone(schedule.zone).date() - DAY
    while (at := instant(schedule, day)) <= now:
        day += DAY
    return at


def window(schedule: Schedule, seed: str, slot: Slot) -> tuple[datetime, datetime]:
    """When a slot may be run: from its instant and jitter to the end of its catch-up, aware UTC."""
    digest = hashlib.sha256(f"{seed}\x1f{slot.trigger}".encode()).digest()
    delay = schedule.jitter * (int.from_bytes(digest[:6], "big") / 2**48)
    return slot.at + delay, slot.at + schedule.catch_up


def pause_after(attempts: int) -> timedelta:
    """How long a run that was left incomplete, or was refused, rests before its next attempt."""
    return _PAUSES[min(attempts, len(_PAUSES) - 1)]


def due(schedule: Schedule, ledger: Ledger, now: datetime) -> Agenda:
    """What is to be done at ``now`` (aware).

    A date with a record is over, whatever time of day the schedule names by now, unless its run may go on and its window
    is open. A date without one is missed once its window has closed.
    """
    missed: list[Slot] = []
    ahead: list[datetime] = []
    wake: list[datetime] = []
    ready: Slot | None = None
    days = _days(schedule, ledger, now)
    while not ahead:
        day = next(days)
        slot, record = slot_of(schedule, day), ledger.records.get(day)
        opens, closes = window(schedule, ledger.seed, slot)
        if record is not None and not _may_go_on(record, slot):
            continue
        if opens > now:
            ahead.append(opens)
            continue
        if closes < now:
            if record is None and _counts(ledger, day, closes):
                missed.append(slot)
            continue
        rested = now if record is None else _rested(record, now)
        if rested <= now:
            ready = slot
        else:
            wake.append(rested)
    return Agenda(slot=ready, missed=tuple(missed), opens_at=ahead[0], next_at=min(ahead + wake))


def _days(schedule: Schedule, ledger: Ledger, now: datetime) -> Iterator[date]:
    """Local dates in question, oldest first, without an end."""
    today = now.astimezone(schedule.zone).date()
    if ledger.before is not None:
        first = ledger.before + DAY
    else:
        first = min(ledger.records, default=ledger.since.astimezone(schedule.zone).date() - DAY)
    # a day early, since a window may reach past midnight
    day = min(max(first, today - LONGEST_GAP * DAY), today - DAY)
    while True:
        yield day
        day += DAY


def _may_go_on(record: SlotRecord, slot: Slot) -> bool:
    return record.is_ours and record.status.may_go_on and record.trigger == slot.trigger


def _counts(ledger: Ledger, day: date, closes: datetime) -> bool:
    """Whether a slot that nobody ran was missed: not if it was over before the fund was ever kept."""
    recorded_before = ledger.before is not None or any(other < day for other in ledger.records)
    return recorded_before or closes > ledger.since


def _rested(record: SlotRecord, now: datetime) -> datetime:
    """When the record's run may be taken up again; now, if its end lies ahead because the clock was set back."""
    if record.ended_at is None or record.ended_at > now:
        return now
    return record.ended_at + pause_after(record.attempts)


def _end_of_gap(schedule: Schedule, near: datetime) -> datetime:
    """The instant, to the second, at which the zone's offset changes within a day of ``near``."""
    whole = near.replace(microsecond=0)
    before, after = whole - DAY, whole + DAY
    offset = before.astimezone(schedule.zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(schedule.zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
