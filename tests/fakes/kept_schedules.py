"""A schedule as a daemon follows it, without one: it looks when it said it would, runs what is due, and may be away or change."""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from keeper.domain.run import RunStatus, Slot
from keeper.policy.agenda import Agenda, Ledger, SlotRecord, due
from keeper.policy.schedule import Schedule
from keeper.service.slots import LOOK_BACK
from keeper.settings.schedules import ScheduleSettings


def schedule_of(words: str) -> Schedule:
    """The schedule that stands between the braces of ``schedule = { ... }``."""
    return ScheduleSettings.model_validate(tomllib.loads(f"schedule = {{ {words} }}")["schedule"]).value()


def utc(text: str) -> datetime:
    """``2026-03-01 00:15`` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Diary:
    """What became of the slots, in the order it did. entries: local date and time, and what became of that slot."""

    def __init__(self, since: datetime) -> None:
        self.ledger = Ledger(seed="7", since=since)
        self.entries: list[tuple[datetime, str]] = []
        self.now = since

    @property
    def told(self) -> list[str]:
        """Such as ``03-01 00:15 at 03-01 00:15`` (local, then UTC), or ``03-01 00:15 missed``."""
        return [f"{local:%m-%d %H:%M} {what}" for local, what in self.entries]

    def look(self, schedule: Schedule) -> Agenda:
        """Do what there is to do now, all of it; what is left is returned."""
        while True:
            self._turn_over(schedule)
            agenda = due(schedule, self.ledger, self.now)
            self._missed(agenda, schedule)
            if agenda.slot is None:
                assert agenda.next_at > self.now
                return agenda
            assert agenda.ends_by is not None
            assert agenda.slot.at <= self.now <= agenda.ends_by
            self._write(agenda.slot, RunStatus.COMPLETED, schedule, f"at {self.now:%m-%d %H:%M}")

    def follow(self, schedule: Schedule, until: datetime, away: Sequence[tuple[datetime, datetime]] = ()) -> None:
        """Follow ``schedule`` from now on until ``until``, but for when nobody looks: from the one to the other."""
        while True:
            for gone, back in away:
                if gone <= self.now < back:
                    self.now = back
            if self.now >= until:
                self.now = until
                return
            self.now = self.look(schedule).next_at

    def change(self, before: Schedule) -> None:
        """The schedule is another one from now on, and what was missed of the one ``before`` is told."""
        self._missed(due(before, self.ledger, self.now), before)
        self.ledger = replace(self.ledger, followed=self.now)

    def _turn_over(self, schedule: Schedule) -> None:
        """Keep the rows that a journal is asked for, and of those before them the newest."""
        border = self.now.astimezone(schedule.zone).date() - LOOK_BACK
        rows = self.ledger.records
        before = max((local for local in rows if local.date() < border), default=self.ledger.before)
        records = {local: row for local, row in rows.items() if local.date() >= border}
        self.ledger = replace(self.ledger, records=records, before=before)

    def _missed(self, agenda: Agenda, schedule: Schedule) -> None:
        for missed in agenda.missed:
            self._write(missed.slot, RunStatus.MISSED, schedule, "missed")

    def _write(self, slot: Slot, status: RunStatus, schedule: Schedule, what: str) -> None:
        assert slot.local not in self.ledger.records
        assert self.ledger.before is None or slot.local > self.ledger.before
        record = SlotRecord(trigger=slot.trigger, status=status, attempts=1, ended_at=self.now, named=schedule.at)
        self.ledger = replace(self.ledger, records={**self.ledger.records, slot.local: record})
        self.entries.append((slot.local, what))
