"""What the journal knows, read for whoever asks: the status of every fund, runs, one run; and copies of it.

A journal that does not exist yet is an empty one here: nothing was done so far.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from keeper.domain.errors import JournalError
from keeper.domain.fund import Standing
from keeper.domain.ledger import Ledger as BookLedger
from keeper.domain.order import Child, Fill
from keeper.domain.run import Run
from keeper.domain.statement import Booked
from keeper.funds import fund_of
from keeper.journal.backup import back_up, restore
from keeper.journal.database import describe, directory_of, exists
from keeper.journal.lock import is_held
from keeper.journal.store import Mode, SqlJournal
from keeper.policy.agenda import Ledger, coming_slots, open_until
from keeper.policy.schedule import Schedule
from keeper.ports import Clock, Journal
from keeper.service.books import beside, left_by
from keeper.service.carrying import CARRY
from keeper.service.causes import Past
from keeper.service.documents import (
    Document,
    Slots,
    emergency_document,
    fund_status,
    run_document,
    runs_document,
    status_document,
    target_document,
    with_books,
)
from keeper.service.emergencies import LOOKED
from keeper.service.followed import history_of
from keeper.service.period import Period
from keeper.service.slots import LOOK_BACK, recorded
from keeper.service.steering import Pending, in_force, pending
from keeper.settings.feeds import RecordedFeed
from keeper.settings.sources import Settings
from keeper.system import SystemClock

EVERY = 10**9
"""More runs than a fund ever has."""
SLOTS_SHOWN = 3
EARLIEST = datetime.min.replace(tzinfo=UTC)
MOST_ACCEPTED = 1000
"""How many accepted comparisons, of all funds, are looked at for a fund's own."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run with all that belongs to it. is_trading: whether a process holds its account now; nav_per_unit: as it left it."""

    run: Run
    children: Sequence[Child]
    fills: Sequence[tuple[str, Fill]]
    is_trading: bool
    nav_per_unit: Decimal | None

    def documents(self) -> tuple[Document, Document]:
        """The run's document and its plan's."""
        told = run_document(self.run, self.children, self.fills, is_trading=self.is_trading, nav_per_unit=self.nav_per_unit)
        return told, dict(self.run.plan)


@asynccontextmanager
async def _reading(settings: Settings, mode: Mode = Mode.READER) -> AsyncIterator[SqlJournal | None]:
    url = settings.journal_url
    if not exists(url):
        yield None
        return
    journal = SqlJournal.open(url, mode=mode)
    try:
        yield journal
    finally:
        await journal.close()


async def status_of(settings: Settings, clock: Clock | None = None) -> Document:
    """Where every fund stands. JournalError when the journal can't be read."""
    now = (clock or SystemClock()).now()
    funds = []
    async with _reading(settings) as journal:
        for name, fund in settings.funds.items():
            venue = settings.venues[fund.venue]
            # a recording has its own days, which only whoever plays it knows
            schedule = None if isinstance(venue.feed, RecordedFeed) else fund.schedule_value()
            runs = await journal.runs(fund=name, limit=1) if journal else ()
            points = await journal.nav_points(name, limit=1) if journal else ()
            books = beside(await journal.ledger(name)) if journal else None
            status = fund_status(
                await journal.standing(name) if journal else Standing(fund=name),
                venue=fund.venue,
                environment=str(venue.environment),
                last_run=runs[0] if runs else None,
                open_children=await journal.open_children(name) if journal else (),
                nav=points[0] if points else None,
                slots=await _slots(journal, name, schedule, now),
                is_trading=bool(runs) and is_held(directory_of(settings.journal_url), runs[0].account),
            )
            looked = await journal.last_event(LOOKED, name) if journal else None
            rules = fund_of(settings, name)
            rules = await in_force(journal, rules) if journal else rules
            waiting = await pending(journal, name) if journal else None
            status |= {"emergency": emergency_document(rules.watched, looked), "target": target_document(rules, waiting)}
            funds.append(status if books is None else with_books(status, books.nav_per_unit, tuple(books.transit)))
    return status_document(funds)


async def _slots(journal: Journal | None, fund: str, schedule: Schedule | None, now: datetime) -> Slots:
    """Where a fund stands in its schedule; nothing without one."""
    if schedule is None:
        return Slots()
    ledger = Ledger(seed="", since=now)
    if journal is not None:
        runs = await journal.slot_runs(fund, now.astimezone(schedule.zone).date() - LOOK_BACK)
        braked_at = await journal.last_brake(fund, now - LOOK_BACK)
        ledger = replace(ledger, records=recorded(runs, await history_of(journal, fund), braked_at=braked_at))
    coming = coming_slots(schedule, ledger, now, SLOTS_SHOWN)
    return Slots(coming=tuple(slot.at.astimezone(schedule.zone) for slot in coming), open_until=open_until(schedule, ledger, now))


async def pending_of(settings: Settings, fund: str) -> Pending | None:
    """The targets of ``fund`` that wait for a human, None where there are none."""
    async with _reading(settings) as journal:
        return await pending(journal, fund) if journal else None


async def standing_of(settings: Settings, fund: str) -> Standing:
    """Whether a fund may trade, and what keeps it from it."""
    async with _reading(settings) as journal:
        return await journal.standing(fund) if journal else Standing(fund=fund)


async def ledger_of(settings: Settings, fund: str) -> BookLedger:
    """What the books of a fund are folded from."""
    async with _reading(settings) as journal:
        return await journal.ledger(fund) if journal else BookLedger()


async def is_accepted(settings: Settings, standing: Standing) -> bool:
    """Whether a human has accepted a comparison with the venue since a fund came to its ``standing``."""
    from keeper.service.reconciliation import ACCEPTED

    async with _reading(settings) as journal:
        found = await journal.events(kind=ACCEPTED, limit=MOST_ACCEPTED) if journal else ()
    return any(event.fund == standing.fund and (standing.at is None or event.at >= standing.at) for event in found)


async def runs_of(settings: Settings, *, fund: str | None, limit: int) -> Document:
    """The latest runs, newest first."""
    async with _reading(settings) as journal:
        found = await journal.runs(fund=fund, limit=limit) if journal else ()
    return runs_document(found, trading=[run.id for run in found if _is_trading(settings, run)])


async def run_of(settings: Settings, run_id: str) -> RunRecord | None:
    """One run; None when there is none of that name."""
    async with _reading(settings) as journal:
        run = await journal.run(run_id) if journal else None
        if journal is None or run is None:
            return None
        left = await left_by(journal, run)
        return RunRecord(run, await journal.children(run_id), await journal.fills(run_id), _is_trading(settings, run), left)


@dataclass(frozen=True, slots=True)
class PeriodRecord:
    """What a fund did in a period. fills: each with its run and its order's client id; postings: what the venue's ledger told.

    past: all that its days are made from, ever; carry: what holding its exposure costs, as it was when a day was closed last.
    """

    runs: Sequence[Run] = ()
    fills: Sequence[tuple[Run, str, Fill]] = ()
    postings: Sequence[Booked] = ()
    past: Past = field(default_factory=Past)
    carry: Document | None = None


async def period_of(settings: Settings, fund: str, period: Period) -> PeriodRecord:
    """What a fund did in a period."""
    async with _reading(settings) as journal:
        if journal is None:
            return PeriodRecord()
        runs = await journal.runs(fund=fund, limit=EVERY)
        fills, postings = await journal.fills_of(fund), await journal.postings(fund, EARLIEST)
        by_id = {run.id: run for run in runs}
        markets: dict[str, Mapping[str, object]] = {}
        for account in sorted({run.account for run in runs}):
            markets |= await journal.pins(account)
        seen = await journal.last_event(CARRY, fund)
        return PeriodRecord(
            carry=None if seen is None else dict(seen.payload),
            runs=[run for run in runs if period.holds(run.started_at)],
            fills=[(by_id[run], child, fill) for run, child, fill in fills if period.holds(by_id[run].started_at)],
            postings=[one for one in postings if period.holds(one.posting.at)],
            past=Past(
                points=(await journal.nav_points(fund, limit=EVERY))[::-1],
                runs=by_id,
                fills=[(run, fill) for run, _, fill in fills],
                markets=markets,
                postings=postings,
                ledger=await journal.ledger(fund),
            ),
        )


def _is_trading(settings: Settings, run: Run) -> bool:
    return not run.status.ended and is_held(directory_of(settings.journal_url), run.account)


async def verify_journal(settings: Settings) -> Document:
    """What is wrong with the journal's chain: {journal, events, faults [seq, what]}.

    JournalError when it can't be read, or is not there: an empty chain would hold, and a lost one is no empty one.
    """
    url = settings.journal_url
    if not exists(url):
        message = (
            f"{describe(url)}: there is no journal to verify: nothing was recorded yet, or `keeper.journal` names another place"
        )
        raise JournalError(message)
    async with _reading(settings, Mode.AUDITOR) as journal:
        faults = await journal.verify() if journal else ()
        try:
            latest = await journal.events(limit=1) if journal else ()
            count = latest[0].seq if latest else 0
        except JournalError:  # the last event is among what is damaged
            if not faults:
                raise
            count = max(fault.seq for fault in faults)
    return {
        "journal": describe(url),
        "events": count,
        "faults": [{"seq": fault.seq, "what": fault.what} for fault in faults],
    }


def back_up_journal(settings: Settings, file: Path) -> Document:
    """Copy the journal: {journal, file, events}. JournalError when it is not sound, or ``file`` is there already."""
    url = settings.journal_url
    if not exists(url):
        message = (
            f"{describe(url)}: there is no journal to copy: nothing was recorded yet, or `keeper.journal` names another place"
        )
        raise JournalError(message)
    return {"journal": describe(url), "file": str(file), "events": back_up(url, file)}


def restore_journal(settings: Settings, file: Path) -> Document:
    """Put a copy in the journal's place: {journal, file, events, aside, halted [fund]}. See ``journal.backup.restore``."""
    url = settings.journal_url
    restored = restore(url, file, sorted(settings.funds), at=SystemClock().now())
    return {
        "journal": describe(url),
        "file": str(file),
        "events": restored.events,
        "aside": None if restored.aside is None else str(restored.aside),
        "halted": list(restored.halted),
    }
