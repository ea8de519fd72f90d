"""How funds stand: active or halted, in trouble or not, and when their schedule was first followed. Decides nothing."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from keeper.domain.fund import FirstStart, FundState, Standing
from keeper.journal import events
from keeper.journal.schema import first_starts, fund_states


def standing(connection: Connection, fund: str) -> Standing:
    """How a fund stands; active where nothing was ever recorded."""
    row = connection.execute(select(fund_states).where(fund_states.c.fund == fund)).mappings().one_or_none()
    if row is None:
        return Standing(fund=fund)
    fields = dict(row)
    del fields["event"]
    return Standing(**fields)


def set_state(connection: Connection, fund: str, state: FundState, *, reason: str, at: datetime) -> None:
    """Halt or resume a fund."""
    _change(connection, fund, at, {"state": state, "reason": reason, "at": at})


def set_trouble(connection: Connection, fund: str, trouble: str, *, at: datetime) -> None:
    """Record what keeps the process that trades a fund from its work; empty when nothing does any more."""
    _change(connection, fund, at, {"trouble": trouble})


def first_start(connection: Connection, start: FirstStart) -> FirstStart:
    """Record a fund's first start, unless that was done before; what stands is returned."""
    found = connection.execute(select(first_starts).where(first_starts.c.fund == start.fund)).mappings().one_or_none()
    if found is not None:
        return FirstStart(fund=found["fund"], seed=found["seed"], since=found["since"])
    row = asdict(start)
    payload = events.booked(first_starts, row)
    seq = events.append(connection, at=start.since, kind=events.FUND_STARTED, fund=start.fund, run="", payload=payload)
    connection.execute(insert(first_starts).values(event=seq, **row))
    return start


def _change(connection: Connection, fund: str, at: datetime, changes: dict[str, object]) -> None:
    before = standing(connection, fund)
    known = connection.execute(select(fund_states.c.fund).where(fund_states.c.fund == fund)).first() is not None
    row = {"fund": fund, **changes} if known else asdict(before) | changes
    payload = events.booked(fund_states, row)
    seq = events.append(connection, at=at, kind=events.FUND_CHANGED, fund=fund, run="", payload=payload)
    if known:
        connection.execute(update(fund_states).where(fund_states.c.fund == fund).values(**changes))
    else:
        connection.execute(insert(fund_states).values(event=seq, **row))
