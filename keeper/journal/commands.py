"""Commands: what operators ask for. Any process inserts them; exactly one takes each, and says what came of it.

What a command makes of a fund's state needs nobody to take it: the state changes with the row that asks for it. To flatten
a fund binds it to reductions from then on, or what keeps its schedule would lever it up again.
"""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from keeper.domain.errors import InvariantViolation
from keeper.domain.fund import FundState
from keeper.domain.run import Command, CommandKind
from keeper.journal import events, funds
from keeper.journal.events import Chain
from keeper.journal.schema import commands
from keeper.journal.statements import Row, Statement

STATES = {
    CommandKind.HALT: FundState.HALTED,
    CommandKind.FLATTEN: FundState.REDUCE_ONLY,
    CommandKind.RESUME: FundState.ACTIVE,
}
_ADD = Statement(insert(commands))
_FIND = Statement(select(commands).where(commands.c.id == bindparam("command_id")))
_WAITING = Statement(select(commands).where(commands.c.taken_at.is_(None)).order_by(commands.c.event))
_LATEST = Statement(
    select(commands)
    .where(commands.c.fund == bindparam("of_fund"), commands.c.kind == bindparam("of_kind"))
    .order_by(commands.c.event.desc())
    .limit(1)
)
_TAKE = Statement(update(commands).where(commands.c.id == bindparam("command_id"), commands.c.taken_at.is_(None)))
_END = Statement(update(commands).where(commands.c.id == bindparam("command_id")))


def submit(chain: Chain, command: Command) -> None:
    """Record a request. InvariantViolation when its id exists."""
    if find(chain.connection, command.id) is not None:
        message = f"command {command.id} exists"
        raise InvariantViolation(message)
    row = asdict(command)
    payload = events.booked(commands, row)
    seq = chain.append(at=command.at, kind=events.COMMAND_SUBMITTED, fund=command.fund, run="", payload=payload)
    _ADD.run(chain.connection, event=seq, **row)
    if (state := STATES.get(command.kind)) is not None:
        reason = command.reason or ("flatten" if command.kind is CommandKind.FLATTEN else "")
        funds.set_state(chain, command.fund, state, reason=reason, at=command.at, cause="")


def find(connection: Connection, command_id: str) -> Command | None:
    """One command."""
    row = _FIND.one(connection, command_id=command_id)
    return None if row is None else _command(row)


def latest(connection: Connection, fund: str, kind: CommandKind) -> Command | None:
    """The newest command of a kind for a fund."""
    row = _LATEST.one(connection, of_fund=fund, of_kind=kind)
    return None if row is None else _command(row)


def waiting(connection: Connection) -> tuple[Command, ...]:
    """The commands that nobody has taken, oldest first."""
    return tuple(_command(row) for row in _WAITING.all(connection))


def take(chain: Chain, command_id: str, at: datetime) -> bool:
    """Claim a request; False when it was taken before. InvariantViolation when it was never submitted."""
    command = find(chain.connection, command_id)
    if command is None:
        message = f"there is no command {command_id}"
        raise InvariantViolation(message)
    if _TAKE.run(chain.connection, command_id=command_id, taken_at=at) != 1:
        return False
    payload = events.booked(commands, {"id": command_id, "taken_at": at})
    chain.append(at=at, kind=events.COMMAND_TAKEN, fund=command.fund, run="", payload=payload)
    return True


def end(chain: Chain, command_id: str, *, exit_code: int | None, answer: str, at: datetime) -> None:
    """Say what came of a request. InvariantViolation when nobody took it, or when that was said before."""
    command = find(chain.connection, command_id)
    if command is None or command.taken_at is None or command.ended_at is not None:
        message = f"command {command_id} is not being dealt with"
        raise InvariantViolation(message)
    changes: dict[str, object] = {"ended_at": at, "exit_code": exit_code, "answer": answer}
    _END.run(chain.connection, command_id=command_id, **changes)
    payload = events.booked(commands, {"id": command_id, **changes})
    chain.append(at=at, kind=events.COMMAND_ENDED, fund=command.fund, run="", payload=payload)


def _command(row: Row) -> Command:
    del row["event"]
    return Command(**row)
