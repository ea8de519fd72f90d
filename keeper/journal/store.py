"""SqlJournal: the port ``Journal`` on a SQL database. What each method writes is in the module of its subject.

In production one thread writes and two read, so that the event loop never waits for a disk; inline, everything
happens in the caller's thread, which simulation and tests need. A write that failed is the caller's to judge, and what was
to be sent must not be.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection

from keeper.domain.errors import JournalError
from keeper.domain.fund import FirstStart, Footing, FundState, Lately, Neighbour, Settled, Standing
from keeper.domain.ledger import BookEntry, Ledger
from keeper.domain.order import Child, ChildState, Fill, OrderReport
from keeper.domain.run import Command, CommandKind, Event, NavPoint, Run, RunStatus, SlotRun
from keeper.domain.statement import Booked
from keeper.journal import (
    audit,
    bookings,
    books,
    children,
    commands,
    database,
    events,
    funds,
    lately,
    nav,
    postings,
    runs,
    soundness,
)
from keeper.journal.events import Chain
from keeper.journal.writing import Writer
from keeper.ports import ChainFault

P = ParamSpec("P")
R = TypeVar("R")


class Mode(StrEnum):
    """What a process wants of the journal. An AUDITOR reads what is left of it, where the others want it sound.

    A HALTER writes too, and to a journal that others were put in the place of as well: a halt does no harm there.
    """

    WRITER = "writer"
    HALTER = "halter"
    READER = "reader"
    AUDITOR = "auditor"


_WRITERS = (Mode.WRITER, Mode.HALTER)


class SqlJournal:
    """The durable record; see ``ports.Journal`` for what each method promises. Made by ``open``, ended by ``close``.

    doubt: why nobody but a HALTER may use it, in words; empty where all may.
    """

    def __init__(self, base: database.Database, *, inline: bool, doubt: str = "") -> None:
        self._base = base
        self.doubt = doubt
        self._closed = False
        self._writer = Writer(base, inline=inline)
        self._readers = None if inline else ThreadPoolExecutor(2, "journal-reader")

    @classmethod
    def open(cls, url: str, *, mode: Mode, inline: bool = False) -> Self:
        """Open the journal at ``url``; a WRITER or HALTER creates a missing one, private to its owner.

        JournalError when it is missing (but for these), of another version, damaged (but for an AUDITOR), or may not be
        used so. Blocks for as long as that takes: open before the event loop has other work.
        """
        if not inline and database.is_in_memory(url):
            message = "a journal in memory works inline only: give it a file"
            raise JournalError(message)
        there = database.exists(url)
        if mode not in _WRITERS and not there:
            message = f"{database.describe(url)}: nothing was recorded yet; the first run creates it"
            raise JournalError(message)
        base, doubt = database.Database(url, writes=mode in _WRITERS), ""
        try:
            (base.check_version if there else base.upgrade)()
            if mode is not Mode.AUDITOR:
                base.check_structure()
                base.check_chain()
                doubt = soundness.doubt(base, tolerant=mode is Mode.HALTER)
        except JournalError:
            base.close()
            raise
        return cls(base, inline=inline, doubt=doubt)

    @classmethod
    def over(cls, image: bytes) -> Self:
        """A journal in memory, inline, that starts with what another one's ``image`` gave. JournalError when it is none."""
        base = database.Database("sqlite://", writes=True, image=image)
        try:
            base.check_version()
        except JournalError:
            base.close()
            raise
        return cls(base, inline=True)

    def image(self) -> bytes:
        """What a journal in memory holds, for ``over``. JournalError when it lies in a file."""
        return self._base.image()

    async def submit_command(self, command: Command) -> None:
        """Record an operator's request. InvariantViolation when its id exists."""
        await self._write(commands.submit, command)
        if command.kind in commands.STATES:
            await self._remember()

    async def take_command(self, command_id: str, at: datetime) -> bool:
        """Claim a request for this process; False when another has it. InvariantViolation when there is none."""
        return await self._write(commands.take, command_id, at)

    async def find_command(self, command_id: str) -> Command | None:
        """One request of an operator."""
        return await self._read(commands.find, command_id)

    async def latest_command(self, fund: str, kind: CommandKind) -> Command | None:
        """The newest request of a kind for a fund."""
        return await self._read(commands.latest, fund, kind)

    async def waiting_commands(self) -> tuple[Command, ...]:
        """The requests that no process has taken, oldest first. JournalError as well when the journal's file was exchanged."""

        def look() -> tuple[Command, ...]:
            self._base.check_in_place()
            return self._base.read(commands.waiting)

        return await self._beside_writes(look)

    async def end_command(self, command_id: str, *, at: datetime, exit_code: int | None = None, answer: str = "") -> None:
        """Say what came of a request that was taken. InvariantViolation when it was not, or has ended."""
        await self._write(commands.end, command_id, exit_code=exit_code, answer=answer, at=at)

    async def open_run(self, run: Run) -> bool:
        """Create the row; False, and nothing written, when (fund, trigger) exists."""
        return await self._write(runs.open_run, run)

    async def close_run(self, run_id: str, status: RunStatus, *, reason: str, result: Mapping[str, object], at: datetime) -> None:
        """End a RUNNING run. InvariantViolation when it is not running."""
        await self._write(runs.close_run, run_id, status, reason=reason, result=result, at=at)

    async def reopen_run(self, run_id: str, *, plan: Mapping[str, object], reason: str, deadline: datetime, at: datetime) -> None:
        """Take a run up again in its own row, as one attempt more. InvariantViolation when its status does not allow it."""
        await self._write(runs.reopen_run, run_id, plan=plan, reason=reason, deadline=deadline, at=at)

    async def amend_run(self, run_id: str, *, result: Mapping[str, object], at: datetime) -> None:
        """Correct the result of an ended run. InvariantViolation when it has not ended."""
        await self._write(runs.amend_run, run_id, result=result, at=at)

    async def record_intent(self, child: Child) -> Standing | None:
        """Make a child in state INTENT durable before it is sent; how the fund stands, and nothing written, where it may not.

        InvariantViolation when its client id or its (run, leg, sequence) exists, or its run is not running.
        """
        return await self._write(children.record_intent, child)

    async def advance_child(
        self,
        client_id: str,
        *,
        expected: ChildState,
        state: ChildState,
        at: datetime,
        report: OrderReport | None = None,
        reason: str = "",
        fills: Sequence[Fill] = (),
    ) -> None:
        """Move a child on and book its fills, all or nothing.

        InvariantViolation when it is not in ``expected`` or may not go to ``state``, when the report is of another
        order, or when a trade is booked for another child. A trade booked for this child already is not booked twice.
        """
        await self._write(
            children.advance_child,
            client_id,
            expected=expected,
            state=state,
            at=at,
            report=report,
            reason=reason,
            fills=fills,
        )

    async def record_nav(self, point: NavPoint) -> None:
        """Add a NAV point."""
        await self._write(nav.record, point)

    async def enter(self, fund: str, entries: Sequence[BookEntry], *, last: int) -> bool:
        """Book entries, all or none; False, and nothing written, where the ledger has grown past event ``last``."""
        return await self._write(books.enter, fund, entries, last=last)

    async def ledger(self, fund: str) -> Ledger:
        """What the books of a fund are folded from."""
        return await self._read(books.ledger, fund)

    async def book_ledger(
        self, fund: str, told: Sequence[Booked], entries: Sequence[BookEntry], *, last: int, at: datetime
    ) -> bool:
        """Book postings and the entries that follow, all or none; False where one is booked, or the ledger has grown."""
        return await self._write(postings.book, fund, told, entries, last=last, at=at)

    async def posted(self, account: str, since: datetime) -> frozenset[str]:
        """Ids of the postings of an account from ``since`` on, whichever fund booked them."""
        return await self._read(postings.ids, account, since)

    async def postings(self, fund: str, since: datetime) -> tuple[Booked, ...]:
        """What venues' ledgers told of a fund from ``since`` on, oldest first."""
        return await self._read(postings.since, fund, since)

    async def flows(self, fund: str) -> Mapping[str, Decimal]:
        """What the books of a fund wait for."""
        return await self._read(books.flows, fund)

    async def note(self, kind: str, *, fund: str, run: str, at: datetime, payload: Mapping[str, object]) -> None:
        """Append an event that changes no other table. InvariantViolation for a kind that does."""
        await self._write(events.note, kind=kind, fund=fund, run=run, at=at, payload=payload)

    async def last_event(self, kind: str, fund: str) -> Event | None:
        """The newest event of a kind that tells of a fund."""
        return await self._read(events.last, kind, fund)

    async def last_gone(self, fund: str) -> Run | None:
        """The newest run of a fund that went to its mandate's targets."""
        return await self._read(runs.last_gone, fund)

    async def last_emergency(self, fund: str) -> Run | None:
        """The newest run that took a fund out of an emergency, or was to."""
        return await self._read(runs.last_emergency, fund)

    async def last_brake(self, fund: str, since: datetime) -> datetime | None:
        """When a fund was last de-levered, by an emergency's run or by a stop that was put in its place at ``since`` or later."""
        return await self._read(runs.last_brake, fund, since)

    async def runs(self, *, fund: str | None = None, limit: int = 50, whole: bool = False) -> tuple[Run, ...]:
        """The latest runs, newest first. whole: those as well that put stops in their place of which none has gone off."""
        return await self._read(runs.latest, fund=fund, limit=limit, whole=whole)

    async def unended_runs(self, fund: str) -> tuple[Run, ...]:
        """The runs of a fund that are RUNNING."""
        return await self._read(runs.unended, fund)

    async def slot_runs(self, fund: str, first: date) -> tuple[SlotRun, ...]:
        """The runs of a fund's slots of local date ``first`` and later, oldest first, and the newest one before those."""
        return await self._read(runs.slot_runs, fund, first)

    async def standing(self, fund: str) -> Standing:
        """Whether a fund may trade, and what keeps it from it."""
        return await self._read(funds.standing, fund)

    async def footing(self, fund: str, run: str, now: datetime) -> Footing:
        """What the gate must know of a fund, of one moment. run: the one at hand; now: ends the caps' windows."""
        return await self._read(funds.footing, fund, run, now)

    async def neighbours(self, fund: str, account: str) -> tuple[Neighbour, ...]:
        """Funds of other names that are halted and traded ``account`` last, or have open children there, by name."""
        return await self._read(funds.neighbours, fund, account)

    async def set_state(
        self, fund: str, state: FundState, *, reason: str, at: datetime, cause: str = "", expected: Standing | None = None
    ) -> bool:
        """Halt a fund, bind it to reductions, or let it trade. cause: the breaker that did so, empty for a human.

        False, and nothing written, where it does not stand as ``expected`` any more.
        """
        done = await self._write(funds.set_state, fund, state, reason=reason, at=at, cause=cause, expected=expected)
        await self._remember()
        return done

    async def record_settled(self, fund: str, run: str, held: Mapping[str, Decimal], *, at: datetime, account: str) -> None:
        """Record what a fund holds of each market (signed contracts); nothing is written where none is named."""
        await self._write(funds.record_settled, fund, run, held, at=at, account=account)

    async def settled(self, fund: str, account: str) -> Mapping[str, Settled]:
        """What a fund last held on ``account`` as it stood still, by symbol; nothing before its first run there."""
        return await self._read(funds.settled_of, fund, account)

    async def fills_since_settled(self, fund: str) -> tuple[Fill, ...]:
        """The fills of a fund that its recorded holdings do not hold: of children intended since, and late ones, oldest first."""
        return await self._read(bookings.since, fund, events.FUND_SETTLED)

    async def lately(self, fund: str, *, cleared: datetime, hour: datetime, day: datetime) -> Lately:
        """What happened to a fund since ``hour``, and what it was worth since ``day``; nothing from before ``cleared``."""
        return await self._read(lately.of_fund, fund, cleared=cleared, hour=hour, day=day)

    async def pin(self, account: str, symbol: str, identity: Mapping[str, object], *, at: datetime) -> Mapping[str, object]:
        """Record what a market of an account is, unless that was done before; what stands is returned."""
        return await self._write(funds.pin, account, symbol, identity, at=at)

    async def pins(self, account: str) -> Mapping[str, Mapping[str, object]]:
        """What the markets of an account are on record to be, by symbol."""
        return await self._read(funds.pins_of, account)

    async def repin(self, account: str, symbol: str, identity: Mapping[str, object], *, at: datetime) -> None:
        """Record what a market of an account has become. InvariantViolation where nothing is on record of it."""
        await self._write(funds.repin, account, symbol, identity, at=at)

    async def set_trouble(self, fund: str, trouble: str, *, at: datetime) -> None:
        """Record what keeps a fund's process from its work, empty when nothing does any more."""
        await self._write(funds.set_trouble, fund, trouble, at=at)

    async def first_start(self, start: FirstStart) -> FirstStart:
        """Record when a fund's schedule was first followed, unless that was done before; what stands is returned."""
        return await self._write(funds.first_start, start)

    async def run(self, run_id: str) -> Run | None:
        """One run."""
        return await self._read(runs.find, run_id)

    async def children(self, run_id: str) -> tuple[Child, ...]:
        """The children of a run in the order they were intended."""
        return await self._read(children.of_run, run_id)

    async def child(self, client_id: str) -> Child | None:
        """One child."""
        return await self._read(children.find, client_id)

    async def open_children(self, fund: str) -> tuple[Child, ...]:
        """Children of a fund in state INTENT, LIVE or UNKNOWN, oldest first."""
        return await self._read(children.open_of_fund, fund)

    async def resting_stops(self, account: str) -> tuple[Child, ...]:
        """The stops that wait at the venue on ``account``, oldest first."""
        return await self._read(children.resting_stops, account)

    async def known(self, client_ids: Collection[str]) -> Mapping[str, Decimal]:
        """Those of ``client_ids`` that a child was intended under, with what is booked of it, contracts."""
        return await self._read(children.known, client_ids)

    async def last_intent_at(self, account: str) -> datetime | None:
        """When the newest child of an account was intended, None before the first; those of flattenings aside."""
        return await self._read(children.last_intent_at, account)

    async def fills(self, run_id: str) -> tuple[tuple[str, Fill], ...]:
        """Every fill of a run with the client id of its child, oldest first."""
        return await self._read(bookings.of_run, run_id)

    async def fills_of(self, fund: str) -> tuple[tuple[str, str, Fill], ...]:
        """Every fill of a fund with the ids of its run and its child, oldest first."""
        return await self._read(bookings.of_fund, fund)

    async def nav_points(self, fund: str, *, limit: int = 50) -> tuple[NavPoint, ...]:
        """The latest NAV points, newest first."""
        return await self._read(nav.latest, fund, limit=limit)

    async def events(self, *, run: str | None = None, kind: str | None = None, limit: int = 200) -> tuple[Event, ...]:
        """The latest events, newest first."""
        return await self._read(events.latest, run=run, kind=kind, limit=limit)

    async def verify(self) -> tuple[ChainFault, ...]:
        """Every place where the event chain, or a row it tells of, was altered; empty when all holds.

        JournalError when so much of the file is damaged that this can't be told.
        """
        return await self._beside_writes(self._judge)

    async def close(self) -> None:
        """Release files and threads, after what is under way. More than once does nothing more."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        if self._readers is not None:
            await asyncio.to_thread(self._readers.shutdown)
        if self._base.writes:
            with suppress(JournalError):  # a journal that failed says so to whoever writes to it
                self._base.remember()
        self._base.close()

    async def _write(self, work: Callable[Concatenate[Chain, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        self._check_open()
        return await self._writer.write(lambda chain: work(chain, *args, **kwargs))

    async def _read(self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._beside_writes(lambda: self._base.read(lambda connection: work(connection, *args, **kwargs)))

    async def _beside_writes(self, read: Callable[[], R]) -> R:
        self._check_open()
        if self._readers is None:
            return read()
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)

    async def _remember(self) -> None:
        with suppress(JournalError):  # what was to be recorded is
            await self._beside_writes(self._base.remember)

    def _judge(self) -> tuple[ChainFault, ...]:
        known = self._base.remembered
        self._base.check_structure()
        faults = self._base.read_as_it_stands(audit.verify)
        if known is None or self._base.read(lambda connection: audit.holds(connection, known)):
            return faults
        return (*faults, ChainFault(known.count, database.shorter_than(known)))

    def _check_open(self) -> None:
        if self._closed:
            message = f"{self._base.where}: closed already"
            raise JournalError(message)
