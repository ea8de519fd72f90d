"""Runs: one row per (fund, trigger), opened once. It ends once, save that a slot's run may be taken up again in its row."""

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import Connection, RowMapping, insert, select, update

from keeper.domain.errors import InvariantViolation
from keeper.domain.run import SLOT_PREFIX, Run, RunKey, RunStatus
from keeper.journal import events
from keeper.journal.schema import runs


def open_run(connection: Connection, run: Run) -> bool:
    """Create the row; False, and nothing written, when (fund, trigger) exists."""
    key = connection.execute(select(runs.c.id).where(runs.c.fund == run.key.fund, runs.c.trigger == run.key.trigger))
    if key.first() is not None:
        return False
    if find(connection, run.id) is not None:
        message = f"run {run.id} exists under another trigger"
        raise InvariantViolation(message)
    row = {
        "id": run.id,
        "fund": run.key.fund,
        "trigger": run.key.trigger,
        "venue": run.venue,
        "environment": run.environment,
        "account": run.account,
        "currency": run.currency,
        "status": run.status,
        "reason": run.reason,
        "plan": run.plan,
        "result": run.result,
        "started_at": run.started_at,
        "deadline": run.deadline,
        "ended_at": run.ended_at,
        "attempts": run.attempts,
    }
    seq = events.append(
        connection,
        at=run.started_at,
        kind=events.RUN_OPENED,
        fund=run.key.fund,
        run=run.id,
        payload=events.booked(runs, row),
    )
    connection.execute(insert(runs).values(event=seq, **row))
    return True


def close_run(
    connection: Connection, run_id: str, status: RunStatus, *, reason: str, result: Mapping[str, object], at: datetime
) -> None:
    """End a RUNNING run. InvariantViolation when it is not running, or does not exist."""
    run = required(connection, run_id)
    changes = {"status": run.ended(status, reason), "reason": reason, "result": result, "ended_at": at}
    connection.execute(update(runs).where(runs.c.id == run_id).values(**changes))
    payload = events.booked(runs, {"id": run_id, **changes})
    events.append(connection, at=at, kind=events.RUN_CLOSED, fund=run.key.fund, run=run_id, payload=payload)


def reopen_run(
    connection: Connection, run_id: str, *, plan: Mapping[str, object], reason: str, deadline: datetime, at: datetime
) -> None:
    """Take an ended run up again, as one attempt more. InvariantViolation when its status does not allow that."""
    run = required(connection, run_id)
    changes: dict[str, object] = {
        "status": run.reopened(),
        "reason": reason,
        "plan": plan,
        "result": None,
        "deadline": deadline,
        "ended_at": None,
        "attempts": run.attempts + 1,
    }
    if not run.attempts:
        changes["started_at"] = at
    connection.execute(update(runs).where(runs.c.id == run_id).values(**changes))
    payload = events.booked(runs, {"id": run_id, **changes})
    events.append(connection, at=at, kind=events.RUN_REOPENED, fund=run.key.fund, run=run_id, payload=payload)


def slot_runs(connection: Connection, fund: str, first: date) -> tuple[Run, ...]:
    """The runs of a fund's slots of local date ``first`` and later, oldest first, and the newest one before those."""
    # bounds instead of a pattern, since those an index can follow; ";" comes right after ":"
    slots, border = select(runs).where(runs.c.fund == fund), f"{SLOT_PREFIX}{first.isoformat()}"
    older = slots.where(runs.c.trigger >= SLOT_PREFIX, runs.c.trigger < border).order_by(runs.c.trigger.desc()).limit(1)
    later = slots.where(runs.c.trigger >= border, runs.c.trigger < SLOT_PREFIX.replace(":", ";")).order_by(runs.c.trigger)
    return tuple(_run(row) for query in (older, later) for row in connection.execute(query).mappings())


def amend_run(connection: Connection, run_id: str, *, result: Mapping[str, object], at: datetime) -> None:
    """Put ``result`` in place of an ended run's. InvariantViolation when it has not ended, or does not exist."""
    run = required(connection, run_id)
    if not run.status.ended:
        message = f"run {run_id} is not over: its result comes with its end"
        raise InvariantViolation(message)
    connection.execute(update(runs).where(runs.c.id == run_id).values(result=result))
    payload = events.booked(runs, {"id": run_id, "result": result})
    events.append(connection, at=at, kind=events.RUN_AMENDED, fund=run.key.fund, run=run_id, payload=payload)


def required(connection: Connection, run_id: str) -> Run:
    """One run; InvariantViolation when there is none."""
    run = find(connection, run_id)
    if run is None:
        message = f"there is no run {run_id}"
        raise InvariantViolation(message)
    return run


def find(connection: Connection, run_id: str) -> Run | None:
    """One run."""
    row = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().one_or_none()
    return None if row is None else _run(row)


def latest(connection: Connection, *, fund: str | None, limit: int) -> tuple[Run, ...]:
    """The latest runs, newest first."""
    query = select(runs).order_by(runs.c.event.desc()).limit(limit)
    if fund is not None:
        query = query.where(runs.c.fund == fund)
    return tuple(_run(row) for row in connection.execute(query).mappings())


def unended(connection: Connection, fund: str) -> tuple[Run, ...]:
    """The runs of a fund that are RUNNING, oldest first."""
    query = select(runs).where(runs.c.fund == fund, runs.c.status == RunStatus.RUNNING).order_by(runs.c.event)
    return tuple(_run(row) for row in connection.execute(query).mappings())


def _run(row: RowMapping) -> Run:
    fields = dict(row)
    del fields["event"]
    return Run(key=RunKey(fields.pop("fund"), fields.pop("trigger")), **fields)
