"""What of a schedule is due: a function of the schedule, of what the ledger holds and of the time. Pure.

So it does not matter who asks, how often or how late. A slot is known by its date and time on the wall. Where the schedule
was changed since, a row of a time that it names no more still counts: see ``_stood_for``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from keeper.domain.run import RunStatus, Slot
from keeper.policy.schedule import DAY, Occurrence, Schedule, instant, occurrences, window

LONGEST_GAP = 400
"""Days that a ledger may lag behind before the oldest ones are no longer told as missed."""
_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (0, 1, 2, 5, 15, 30))
"""So that the attempts of one slot alone are never more within an hour than ``breakers.runs_per_hour`` allows by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """What the ledger holds of one slot. trigger: of the slot; ended_at: aware UTC; attempts: as ``Run`` has them.

    is_ours: whether the run may be taken up here, which one of another account, or of before an emergency, may not; named: the
    local times of its day that the schedule named when the row was written, none where there was only its own.
    """

    trigger: str
    status: RunStatus
    attempts: int
    ended_at: datetime | None
    is_ours: bool = True
    named: tuple[time, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The slots of one fund that were dealt with.

    seed: of its jitter; since: its first start, aware UTC; followed: since when the schedule names the slots that it names
    now, None where it always did; records: by local date and time, naive, every one from some date on; before: the newest
    one of before that.
    """

    seed: str
    since: datetime
    followed: datetime | None = None
    records: Mapping[datetime, SlotRecord] = field(default_factory=dict)
    before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What a fund's schedule asks for now.

    slot: to be run now, and its run over by ``ends_by``; missed: to be recorded as missed, oldest first; opens_at: when the
    next slot's window opens, next_at: when to look again; times are aware UTC.
    """

    slot: Slot | None
    ends_by: datetime | None
    missed: tuple[Occurrence, ...]
    opens_at: datetime
    next_at: datetime


def pause_after(attempts: int) -> timedelta:
    """How long a run that was left incomplete, or was refused, rests before its next attempt."""
    return _PAUSES[min(attempts, len(_PAUSES) - 1)]


def due(schedule: Schedule, ledger: Ledger, now: datetime) -> Agenda:
    """What is to be done at ``now`` (aware).

    A slot with a record is over, unless its run may go on and its window is open. One without is missed once its window has
    closed. Windows don't overlap, so that one slot at most is due.
    """
    missed: list[Occurrence] = []
    ready: Occurrence | None = None
    rests_until: datetime | None = None
    left = _left(schedule, ledger, now)
    while True:
        coming = next(left)
        opens, closes = window(schedule, ledger.seed, coming)
        if opens > now:
            break
        record = ledger.records.get(coming.slot.local)
        if closes < now:
            if record is None and _counts(ledger, coming.slot, closes, now):
                missed.append(coming)
            continue
        rested = now if record is None else _rested(record, now)
        if rested <= now:
            ready = coming
        else:
            rests_until = rested
    return Agenda(
        slot=ready.slot if ready else None,
        ends_by=ready.ends_by if ready else None,
        missed=tuple(missed),
        opens_at=opens,
        next_at=opens if rests_until is None else min(opens, rests_until),
    )


def coming_slots(schedule: Schedule, ledger: Ledger, now: datetime, count: int) -> tuple[Slot, ...]:
    """The next ``count`` slots after ``now`` that are not over already."""
    ahead = (each.slot for each in _left(schedule, ledger, now) if each.slot.at > now)
    return tuple(next(ahead) for _ in range(count))


def open_until(schedule: Schedule, ledger: Ledger, now: datetime) -> datetime | None:
    """Until when a slot of before ``now``, which is not over, may still be run; None where there is none."""
    windows = ((each.slot.at, window(schedule, ledger.seed, each)[1]) for each in _left(schedule, ledger, now))
    begins, closes = next(each for each in windows if each[1] >= now)
    return closes if begins <= now else None


def _left(schedule: Schedule, ledger: Ledger, now: datetime) -> Iterator[Occurrence]:
    """The slots that the ledger leaves to be dealt with, in order, without an end."""
    told = [local for local in ledger.records if instant(schedule.zone, local) <= now]
    newest = max((*told, *filter(None, [ledger.before])), default=None)

    def is_left(coming: Occurrence) -> bool:
        record = ledger.records.get(coming.slot.local)
        if record is not None:
            return record.is_ours and record.status.may_go_on and record.trigger == coming.slot.trigger
        # whatever lies before the newest row was dealt with by the schedule of that time
        return (newest is None or coming.slot.local > newest) and not _stood_for(schedule, ledger, coming.slot)

    return filter(is_left, occurrences(schedule, _first_day(schedule, ledger, now)))


def _first_day(schedule: Schedule, ledger: Ledger, now: datetime) -> date:
    """The first local date in question."""
    today = now.astimezone(schedule.zone).date()
    if ledger.before is not None:
        first = ledger.before.date()
    else:
        first = min((local.date() for local in ledger.records), default=ledger.since.astimezone(schedule.zone).date() - DAY)
    # a day early, since a window may reach past midnight
    return min(max(first, today - LONGEST_GAP * DAY), today - DAY)


def _stood_for(schedule: Schedule, ledger: Ledger, slot: Slot) -> bool:
    """Whether a row of the same date stands for ``slot``, whose time came to be named only later: it was moved, not added.

    A row of a time that the schedule names no more stands for the next slot of its date, unless the schedule that it was
    written under had another one to come until then. One that was missed stands for none.
    """
    return any(
        record.status is not RunStatus.MISSED
        and local.date() == slot.day
        and local < slot.local
        and local.time() not in schedule.at
        and not any(local.time() < at < slot.local.time() for at in schedule.at)
        and not any(local.time() < at <= slot.local.time() for at in record.named)
        for local, record in ledger.records.items()
    )


def _counts(ledger: Ledger, slot: Slot, closes: datetime, now: datetime) -> bool:
    """Whether a slot that nobody ran was missed: not if it was over before the fund was ever kept, or the slot named."""
    if ledger.followed is not None and closes <= ledger.followed <= now:
        return False
    recorded_before = ledger.before is not None or any(local < slot.local for local in ledger.records)
    return recorded_before or closes > ledger.since


def _rested(record: SlotRecord, now: datetime) -> datetime:
    """When the record's run may be taken up again; now, if its end lies ahead because the clock was set back."""
    if record.ended_at is None or record.ended_at > now:
        return now
    return record.ended_at + pause_after(record.attempts)
