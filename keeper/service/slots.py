"""The slots of one fund as the journal has them: what is due, and what is written when one was missed.

The journal's rows decide. They are kept in memory between two writes of this process, which alone may add any while it
holds the account, so that a ring with nothing due asks neither disk nor venue.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

import structlog

from keeper.domain.errors import InvariantViolation
from keeper.domain.fund import FirstStart, Standing
from keeper.domain.run import Run, RunKey, RunStatus, Slot, SlotRun
from keeper.planning.plan import EMERGENCY, FLATTEN, GUARD, INTRADAY
from keeper.policy.agenda import Agenda, Ledger, SlotRecord, due
from keeper.policy.schedule import DAY, Occurrence, Schedule, window
from keeper.ports import Journal, VenueInfo
from keeper.service.emergencies import overtook
from keeper.service.followed import Followed, daily_before, history_of, named_at, note

LOOK_BACK = timedelta(days=3)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotOwner:
    """Whose slots they are. schedule: None where there are none; currency: what the fund counts in."""

    fund: str
    schedule: Schedule | None
    venue: VenueInfo
    currency: str


def recorded(
    runs: Iterable[SlotRun],
    history: Sequence[Followed],
    *,
    braked_at: datetime | None,
    account: str | None = None,
    rested_until: datetime | None = None,
) -> dict[datetime, SlotRecord]:
    """What the runs of slots come to, by local date and time (naive).

    history: what the fund's schedules named, the newest first; braked_at: when it was last de-levered; account: the one at
    hand, None where it does not matter; rested_until: what ended by then rests no more.
    """
    rows = {}
    for run in runs:
        if (local := run.key.local) is not None:
            rested = rested_until is not None and run.ended_at is not None and run.ended_at <= rested_until
            rows[local] = SlotRecord(
                trigger=run.key.trigger,
                status=run.status,
                attempts=0 if rested else run.attempts,
                ended_at=run.ended_at,
                is_ours=account in (None, run.account) and not overtook(braked_at, run),
                named=named_at(history, run.started_at),
            )
    return rows


def was_asked_for(run: Run) -> bool:
    """Whether only a human's word stands behind ``run``, so that nothing but that word has it go on once it was cut.

    The runs of slots are due by themselves, and so are a flattening, an emergency, stops and what a mandate wants between slots.
    A written plan was looked at for what the account held before its run, so that nothing goes on with one.
    """
    by_itself = run.key.day is not None or run.key.trigger.startswith((FLATTEN, EMERGENCY, INTRADAY, GUARD))
    return not by_itself and not run.plan.get("written")


def why_missed(standing: Standing, busy: tuple[datetime, datetime] | None, opens: datetime, closes: datetime) -> str:
    """Why a slot with a window from ``opens`` to ``closes`` was missed, as far as the fund itself was the cause; empty if not.

    busy: from when to when a run that was asked for was at work.
    """
    if standing.halted and standing.at is not None and standing.at <= closes:
        return f"the fund was halted ({standing.reason or 'no reason given'})"
    if busy is not None and busy[0] < closes and opens < busy[1]:
        return "a run that was asked for was at work while its window was open"
    return ""


class SlotLedger:
    """What was done about the slots of one fund.

    is_behind: whether the journal is yet to be told, by ``follow``, which slots the schedule names. Until then it goes by those
    that the schedule of before named, so that what was missed of them is known.
    """

    def __init__(self, owner: SlotOwner, journal: Journal) -> None:
        self.is_behind = False
        self._owner = owner
        self._schedule = owner.schedule
        self._journal = journal
        self._history: tuple[Followed, ...] = ()
        self._ledger: Ledger | None = None
        self._read_on: date | None = None
        self._nothing_due: tuple[Ledger, datetime, Agenda] | None = None  # by which rows, from when on, and what until when
        self._rested_until: datetime | None = None

    async def begin(self, seed: str, now: datetime) -> None:
        """Record the fund's first start, if this is it, and read the journal."""
        if self._owner.schedule is None:
            return
        start = await self._journal.first_start(FirstStart(fund=self._owner.fund, seed=seed, since=now))
        self._history = await history_of(self._journal, self._owner.fund)
        before = self._history[0] if self._history else await daily_before(self._journal, self._owner.fund)
        self.is_behind = not self._history
        if before is not None:
            try:
                self._schedule = before.schedule(self._named)
                self.is_behind = self.is_behind or self._schedule != self._owner.schedule
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                self.is_behind = True
                log.warning("schedule.unknown", fund=self._owner.fund, zone=before.zone, error=str(error))
        self._ledger = Ledger(seed=start.seed, since=start.since, followed=self._history[0].since if self._history else None)
        await self.go_on(now)

    async def follow(self, now: datetime) -> None:
        """Go by the schedule as it is, and write down that it is followed from ``now`` on."""
        self._schedule = self._owner.schedule
        told = await note(self._journal, self._owner.fund, self._named, now)
        self._history, self.is_behind = (told, *self._history), False
        self._ledger = replace(self._begun(), followed=now)
        await self.read(now)

    async def read(self, now: datetime) -> None:
        """Read the journal anew."""
        if self._schedule is None:
            return
        ledger = self._begun()
        if self._rested_until is not None and self._rested_until > now:
            self._rested_until = None  # the clock was ahead when that was said
        today = now.astimezone(self._schedule.zone).date()
        found = await self._journal.slot_runs(self._owner.fund, today - LOOK_BACK)
        braked_at = await self._journal.last_brake(self._owner.fund, now - LOOK_BACK)
        account = self._owner.venue.account
        rows = recorded(found, self._history, braked_at=braked_at, account=account, rested_until=self._rested_until)
        older = max((local for local in rows if local.date() < today - LOOK_BACK), default=None)
        records = {local: record for local, record in rows.items() if local != older}
        self._ledger = replace(ledger, records=records, before=older)
        self._read_on = today

    async def agenda(self, now: datetime) -> Agenda:
        """What is due at ``now``. The journal is read when the local date has changed, and before anything is called due."""
        if self._schedule is None:
            return Agenda(slot=None, ends_by=None, missed=(), opens_at=now + DAY, next_at=now + DAY)
        if self._read_on == now.astimezone(self._schedule.zone).date():
            ledger = self._begun()
            if self._nothing_due is not None:
                by, since, agenda = self._nothing_due
                if by is ledger and since <= now < agenda.next_at:
                    return agenda
            agenda = due(self._schedule, ledger, now)
            if agenda.slot is None and not agenda.missed:
                self._nothing_due = ledger, now, agenda
                return agenda
        await self.read(now)
        return due(self._schedule, self._begun(), now)

    def is_begun(self, slot: Slot | None) -> bool:
        """Whether ``slot`` has a row already."""
        return slot is not None and slot.local in self._begun().records

    async def go_on(self, now: datetime) -> None:
        """Let no run that has ended by now rest before it goes on: another process began it, or a human wants it."""
        self._rested_until = now
        await self.read(now)

    async def record_missed(self, missed: Occurrence, why: str, now: datetime) -> None:
        """Write down that a slot was missed. Nothing is written if it has a row; ``read`` is to follow."""
        owner, key = self._owner, RunKey(self._owner.fund, missed.slot.trigger)
        opens, closes = self.window_of(missed)
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

    def window_of(self, coming: Occurrence) -> tuple[datetime, datetime]:
        """When a slot may be run, from when to when (aware UTC)."""
        return window(self._named, self._begun().seed, coming)

    @property
    def _named(self) -> Schedule:
        if self._schedule is None:
            message = f"{self._owner.fund} has no schedule, and is asked about a slot"
            raise InvariantViolation(message)
        return self._schedule

    def _begun(self) -> Ledger:
        if self._ledger is None:
            message = f"the ledger of {self._owner.fund} is asked before it was begun"
            raise InvariantViolation(message)
        return self._ledger
