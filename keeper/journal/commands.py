"""Commands: what operators ask for. Any process inserts them; exactly one takes each."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from keeper.domain.errors import InvariantViolation
from keeper.domain.run import Command
from keeper.journal import events
from keeper.journal.schema import commands


def submit(connection: Connection, command: Command) -> None:
    """Record a request. InvariantViolation when its id exists."""
    if connection.execute(select(commands.c.id).where(commands.c.id == command.id)).first() is not None:
        message = f"command {command.id} exists"
        raise InvariantViolation(message)
    row = asdict(command)
    payload = events.booked(commands, row)
    seq = events.append(connection, at=command.at, kind=events.COMMAND_SUBMITTED, fund=command.fund, run="", payload=payload)
    connection.execute(insert(commands).values(event=seq, **row))


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
