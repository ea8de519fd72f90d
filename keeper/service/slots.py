"""The slots of one fund as the journal has them: what is due, and what is written when one was missed.

The journal's rows decide. They are kept in memory between two writes of this process, which alone may add any while it
holds the account, so that a ring with nothing due asks neither disk nor venue.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import structlog

from keeper.domain.errors import InvariantViolation
from keeper.domain.fund import FirstStart
from keeper.domain.run import Run, RunKey, RunStatus, Slot
from keeper.policy.schedule import Agenda, Ledger, Schedule, SlotRecord, due, window
from keeper.ports import Journal, VenueInfo

LOOK_BACK = timedelta(days=3)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotOwner:
    """Whose slots they are. currency: what the fund counts in."""

    fund: str
    schedule: Schedule
    venue: VenueInfo
    currency: str


class SlotLedger:
    """What was done about the slots of one fund."""

    def __init__(self, owner: SlotOwner, journal: Journal) -> None:
        self._owner = owner
        self._journal = journal
        self._ledger: Ledger | None = None
        self._read_on: date | None = None
        self._rested_until: datetime | None = None

    async def begin(self, seed: str, now: datetime) -> None:
        """Record the fund's first start, if this is it, and read the journal."""
        start = await self._journal.first_start(FirstStart(fund=self._owner.fund, seed=seed, since=now))
        self._ledger = Ledger(seed=start.seed, since=start.since)
        await self.go_on(now)

    async def read(self, now: datetime) -> None:
        """Read the journal anew."""
        ledger = self._begun()
        if self._rested_until is not None and self._rested_until > now:
            self._rested_until = None  # the clock was ahead when that was said
        today = now.astimezone(self._owner.schedule.zone).date()
        found = await self._journal.slot_runs(self._owner.fund, today - LOOK_BACK)
        records: dict[date, SlotRecord] = {}
        before: date | None = None
        for run in found:
            if (day := run.key.day) is None:
                continue
            if day < today - LOOK_BACK:
                before = day
            else:
                records[day] = self._record(run)
        self._ledger = replace(ledger, records=records, before=before)
        self._read_on = today

    async def agenda(self, now: datetime) -> Agenda:
        """What is due at ``now``. The journal is read when the local date has changed, and before anything is called due."""
        if self._read_on == now.astimezone(self._owner.schedule.zone).date():
            agenda = due(self._owner.schedule, self._begun(), now)
            if agenda.slot is None and not agenda.missed:
                return agenda
        await self.read(now)
        return due(self._owner.schedule, self._begun(), now)

    async def go_on(self, now: datetime) -> None:
        """Let no run that has ended by now rest before it goes on: another process began it, or a human wants it."""
        self._rested_until = now
        await self.read(now)

    async def record_missed(self, slot: Slot, why: str, now: datetime) -> None:
        """Write down that a slot was missed. Nothing is written if it has a row."""
        owner, key = self._owner, RunKey(self._owner.fund, slot.trigger)
        opens, closes = window(owner.schedule, self._begun().seed, slot)
        run = Run(
            id=key.run_id,
            key=key,
            venue=owner.venue.name,
            environment=str(owner.venue.environment),
            account=owner.venue.account,
            currency=owner.currency,
            status=RunStatus.MISSED,
            reason=why,
            plan={},
            result=None,
            started_at=opens,
            deadline=closes,
            ended_at=now,
            attempts=0,
        )
        if await self._journal.open_run(run):
            log.warning("slot.missed", fund=owner.fund, run=run.id, why=why)
        await self.read(now)

    def closes_at(self, slot: Slot) -> datetime:
        """When the window of ``slot`` closes."""
        return window(self._owner.schedule, self._begun().seed, slot)[1]

    def _record(self, run: Run) -> SlotRecord:
        rested = self._rested_until is not None and run.ended_at is not None and run.ended_at <= self._rested_until
        return SlotRecord(
            trigger=run.key.trigger,
            status=run.status,
            attempts=0 if rested else run.attempts,
            ended_at=run.ended_at,
            is_ours=run.account == self._owner.venue.account,
        )

    def _begun(self) -> Ledger:
        if self._ledger is None:
            message = f"the ledger of {self._owner.fund} is asked before it was begun"
            raise InvariantViolation(message)
        return self._ledger
