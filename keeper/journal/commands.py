"""Commands: what operators ask for. Any process inserts them; exactly one takes each, and says what came of it.

To halt or to resume a fund needs nobody to take the command: the fund's state changes with the row that asks for it.
"""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert, select, update

from keeper.domain.errors import InvariantViolation
from keeper.domain.fund import FundState
from keeper.domain.run import Command, CommandKind
from keeper.journal import events, funds
from keeper.journal.schema import commands

STATES = {CommandKind.HALT: FundState.HALTED, CommandKind.RESUME: FundState.ACTIVE}


def submit(connection: Connection, command: Command) -> None:
    """Record a request. InvariantViolation when its id exists."""
    if connection.execute(select(commands.c.id).where(commands.c.id == command.id)).first() is not None:
        message = f"command {command.id} exists"
        raise InvariantViolation(message)
    row = asdict(command)
    payload = events.booked(commands, row)
    seq = events.append(connection, at=command.at, kind=events.COMMAND_SUBMITTED, fund=command.fund, run="", payload=payload)
    connection.execute(insert(commands).values(event=seq, **row))
    if (state := STATES.get(command.kind)) is not None:
        funds.set_state(connection, command.fund, state, reason=command.reason, at=command.at)


def find(connection: Connection, command_id: str) -> Command | None:
    """One command."""
    row = connection.execute(select(commands).where(commands.c.id == command_id)).mappings().one_or_none()
    return None if row is None else _command(row)


def waiting(connection: Connection) -> tuple[Command, ...]:
    """The commands that nobody has taken, oldest first."""
    query = select(commands).where(commands.c.taken_at.is_(None)).order_by(commands.c.event)
    return tuple(_command(row) for row in connection.execute(query).mappings())


def take(connection: Connection, command_id: str, at: datetime) -> bool:
    """Claim a request; False when it was taken before. InvariantViolation when it was never submitted."""
    fund = connection.execute(select(commands.c.fund).where(commands.c.id == command_id)).scalar()
    if fund is None:
        message = f"there is no command {command_id}"
        raise InvariantViolation(message)
    free = commands.c.id == command_id, commands.c.taken_at.is_(None)
    if connection.execute(update(commands).where(*free).values(taken_at=at)).rowcount != 1:
        return False
    payload = events.booked(commands, {"id": command_id, "taken_at": at})
    events.append(connection, at=at, kind=events.COMMAND_TAKEN, fund=fund, run="", payload=payload)
    return True


def end(connection: Connection, command_id: str, *, exit_code: int | None, answer: str, at: datetime) -> None:
    """Say what came of a request. InvariantViolation when nobody took it, or when that was said before."""
    command = find(connection, command_id)
    if command is None or command.taken_at is None or command.ended_at is not None:
        message = f"command {command_id} is not being dealt with"
        raise InvariantViolation(message)
    changes = {"ended_at": at, "exit_code": exit_code, "answer": answer}
    connection.execute(update(commands).where(commands.c.id == command_id).values(**changes))
    payload = events.booked(commands, {"id": command_id, **changes})
    events.append(connection, at=at, kind=events.COMMAND_ENDED, fund=command.fund, run="", payload=payload)


def _command(row: RowMapping) -> Command:
    fields = dict(row)
    del fields["event"]
    return Command(**fields)
