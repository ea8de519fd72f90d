"""What the service needs of the durable record."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from keeper.domain.fund import FirstStart, Footing, FundState, Lately, Neighbour, Settled, Standing
from keeper.domain.ledger import BookEntry, Ledger
from keeper.domain.order import Child, ChildState, Fill, OrderReport
from keeper.domain.run import Command, CommandKind, Event, NavPoint, Run, RunStatus, SlotRun
from keeper.domain.statement import Booked


@dataclass(frozen=True, slots=True)
class ChainFault:
    """A place where the journal's event chain does not hold. seq: the event's number; what: altered, missing, swapped ..."""

    seq: int
    what: str


class Journal(Protocol):
    """The durable record. Every method that writes has committed when it returns, or raises JournalError.

    Each write appends an event to the hash chain in the same transaction.
    """

    async def submit_command(self, command: Command) -> None:
        """Record an operator's request."""
        ...

    async def take_command(self, command_id: str, at: datetime) -> bool:
        """Claim a request for this process; False when another has it."""
        ...

    async def find_command(self, command_id: str) -> Command | None:
        """One request of an operator."""
        ...

    async def latest_command(self, fund: str, kind: CommandKind) -> Command | None:
        """The newest request of a kind for a fund, whatever came of it."""
        ...

    async def waiting_commands(self) -> tuple[Command, ...]:
        """The requests that no process has taken, oldest first."""
        ...

    async def end_command(self, command_id: str, *, at: datetime, exit_code: int | None = None, answer: str = "") -> None:
        """Say what came of a request that was taken. InvariantViolation when it was not, or has ended."""
        ...

    async def open_run(self, run: Run) -> bool:
        """Create the row; False, and nothing written, when (fund, trigger) exists."""
        ...

    async def close_run(self, run_id: str, status: RunStatus, *, reason: str, result: Mapping[str, object], at: datetime) -> None:
        """End a RUNNING run. InvariantViolation when it is not running."""
        ...

    async def reopen_run(self, run_id: str, *, plan: Mapping[str, object], reason: str, deadline: datetime, at: datetime) -> None:
        """Take a run up again in its own row, as one attempt more. InvariantViolation when its status does not allow it."""
        ...

    async def amend_run(self, run_id: str, *, result: Mapping[str, object], at: datetime) -> None:
        """Correct the result of an ended run, once more of it came to be known. InvariantViolation when it has not ended."""
        ...

    async def record_intent(self, child: Child) -> Standing | None:
        """Make a child in state INTENT durable before it is sent. InvariantViolation when its client id exists.

        Where the fund is halted by then, or bound to reductions and the child is none, nothing is written, and how the fund
        stands is returned.
        """
        ...

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

        InvariantViolation when it is not in ``expected`` or may not go to ``state``.
        A fill whose trade id is booked already is not booked twice.
        """
        ...

    async def record_nav(self, point: NavPoint) -> None:
        """Add a NAV point."""
        ...

    async def enter(self, fund: str, entries: Sequence[BookEntry], *, last: int) -> bool:
        """Book entries, all or none; False, and nothing written, where the fund's ledger does not end with event ``last``.

        InvariantViolation when an id is booked already.
        """
        ...

    async def ledger(self, fund: str) -> Ledger:
        """What the books of a fund are folded from: its entries, and the NAV points from the first of them on."""
        ...

    async def book_ledger(
        self, fund: str, told: Sequence[Booked], entries: Sequence[BookEntry], *, last: int, at: datetime
    ) -> bool:
        """Book what the venue's ledger told, and the entries of the books that follow from it, all or none.

        False, and nothing written, where a posting is booked already, or the fund's ledger does not end with event ``last``.
        """
        ...

    async def posted(self, account: str, since: datetime) -> frozenset[str]:
        """Ids of the postings of an account from ``since`` on, whichever fund booked them."""
        ...

    async def postings(self, fund: str, since: datetime) -> tuple[Booked, ...]:
        """What venues' ledgers told of a fund from ``since`` on, oldest first."""
        ...

    async def flows(self, fund: str) -> Mapping[str, Decimal]:
        """What the books of a fund wait for: money on its way in (above 0) less that on its way out, by currency."""
        ...

    async def note(self, kind: str, *, fund: str, run: str, at: datetime, payload: Mapping[str, object]) -> None:
        """Append an event that changes no other table (a refusal, a plan, a recovery)."""
        ...

    async def last_event(self, kind: str, fund: str) -> Event | None:
        """The newest event of a kind that tells of a fund, None where there is none."""
        ...

    async def last_gone(self, fund: str) -> Run | None:
        """The newest run of a fund that went to its mandate's targets: none that was refused, missed or only reduced."""
        ...

    async def last_emergency(self, fund: str) -> Run | None:
        """The newest run that took a fund out of an emergency, or was to, None where there is none."""
        ...

    async def last_brake(self, fund: str, since: datetime) -> datetime | None:
        """When a fund was last de-levered, None where it never was.

        That is when an emergency's run began, or when a stop went off that was put in its place at ``since`` or later.
        """
        ...

    async def runs(self, *, fund: str | None = None, limit: int = 50, whole: bool = False) -> tuple[Run, ...]:
        """The latest runs, newest first. whole: those as well that put stops in their place of which none has gone off."""
        ...

    async def unended_runs(self, fund: str) -> tuple[Run, ...]:
        """The runs of a fund that are RUNNING: one at most is at work, others were left behind by a process that is gone."""
        ...

    async def slot_runs(self, fund: str, first: date) -> tuple[SlotRun, ...]:
        """The runs of a fund's slots of local date ``first`` and later, oldest first, and the newest one before those."""
        ...

    async def standing(self, fund: str) -> Standing:
        """Whether a fund may trade, and what keeps it from it."""
        ...

    async def footing(self, fund: str, run: str, now: datetime) -> Footing:
        """What the gate must know of a fund, read at once. run: the one that a child is to belong to; now: ends the windows."""
        ...

    async def neighbours(self, fund: str, account: str) -> tuple[Neighbour, ...]:
        """Funds of other names than ``fund`` that are halted and traded ``account`` last, or have open children there."""
        ...

    async def set_state(
        self, fund: str, state: FundState, *, reason: str, at: datetime, cause: str = "", expected: Standing | None = None
    ) -> bool:
        """Halt a fund, bind it to reductions, or let it trade. cause: the breaker that did so, empty for a human.

        From when a human lets it trade, breakers count anew. False, and nothing written, where the fund does not stand as
        ``expected`` any more: somebody else has said otherwise meanwhile.
        """
        ...

    async def record_settled(self, fund: str, run: str, held: Mapping[str, Decimal], *, at: datetime, account: str) -> None:
        """Record what a fund holds of each market (signed contracts) on ``account``, which stands still."""
        ...

    async def settled(self, fund: str, account: str) -> Mapping[str, Settled]:
        """What a fund last held on ``account`` as it stood still, by symbol, of the markets that were looked at then.

        Nothing before its first run there, and nothing once it was settled on another account.
        """
        ...

    async def lately(self, fund: str, *, cleared: datetime, hour: datetime, day: datetime) -> Lately:
        """What happened since ``hour``, what the fund was worth since ``day`` and right before; nothing before ``cleared``."""
        ...

    async def fills_since_settled(self, fund: str) -> tuple[Fill, ...]:
        """The fills of a fund that its recorded holdings do not hold: of children intended since, and late ones, oldest first."""
        ...

    async def known(self, client_ids: Collection[str]) -> Mapping[str, Decimal]:
        """Those of ``client_ids`` that a child was intended under, with what is booked of it, contracts."""
        ...

    async def pin(self, account: str, symbol: str, identity: Mapping[str, object], *, at: datetime) -> Mapping[str, object]:
        """Record what a market of an account is, unless that was done before; what stands is returned."""
        ...

    async def pins(self, account: str) -> Mapping[str, Mapping[str, object]]:
        """What the markets of an account are on record to be, by symbol."""
        ...

    async def repin(self, account: str, symbol: str, identity: Mapping[str, object], *, at: datetime) -> None:
        """Record what a market has become, as a human accepts it. InvariantViolation where nothing is on record of it."""
        ...

    async def set_trouble(self, fund: str, trouble: str, *, at: datetime) -> None:
        """Record what keeps a fund's process from its work, empty when nothing does any more."""
        ...

    async def first_start(self, start: FirstStart) -> FirstStart:
        """Record when a fund's schedule was first followed, unless that was done before; what stands is returned."""
        ...

    async def run(self, run_id: str) -> Run | None:
        """One run."""
        ...

    async def children(self, run_id: str) -> tuple[Child, ...]:
        """The children of a run in the order they were intended."""
        ...

    async def child(self, client_id: str) -> Child | None:
        """One child."""
        ...

    async def open_children(self, fund: str) -> tuple[Child, ...]:
        """Children of a fund in state INTENT, LIVE or UNKNOWN, oldest first; not the stops that rest as they are meant to."""
        ...

    async def resting_stops(self, account: str) -> tuple[Child, ...]:
        """The stops that wait at the venue on ``account``, whichever fund sent them, oldest first."""
        ...

    async def last_intent_at(self, account: str) -> datetime | None:
        """When the newest child of an account was intended, None before the first; those of flattenings aside.

        A flattening waits for nobody to look for orders that are missing, so that its own prove nothing of what came before.

        A database put back from a backup knows nothing of what was intended later: orders with our prefix from then on
        that are not ``known`` tell of it, whatever else was recorded since.
        """
        ...

    async def fills(self, run_id: str) -> tuple[tuple[str, Fill], ...]:
        """Every fill of a run with the client id of its child, oldest first."""
        ...

    async def nav_points(self, fund: str, *, limit: int = 50) -> tuple[NavPoint, ...]:
        """The latest NAV points, newest first."""
        ...

    async def events(self, *, run: str | None = None, kind: str | None = None, limit: int = 200) -> tuple[Event, ...]:
        """The latest events, newest first."""
        ...

    async def verify(self) -> tuple[ChainFault, ...]:
        """Every place where the event chain is broken; empty when it holds."""
        ...

    async def close(self) -> None:
        """Release files and threads."""
        ...
