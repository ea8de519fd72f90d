"""Runs: one row per (fund, trigger), opened once. It ends once, save that a slot's run may be taken up again in its row."""

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import Connection, bindparam, exists, func, insert, not_, or_, select, update

from keeper.domain.errors import InvariantViolation
from keeper.domain.run import SLOT_PREFIX, Run, RunKey, RunStatus, SlotRun
from keeper.journal import events
from keeper.journal.events import Chain
from keeper.journal.schema import children, fills, runs
from keeper.journal.statements import Row, Statement
from keeper.planning.plan import EMERGENCY, FLATTEN, GUARD, WENT

_FUND = runs.c.fund == bindparam("of_fund")
_ADD = Statement(insert(runs))
_CHANGE = Statement(update(runs).where(runs.c.id == bindparam("run_id")))
_FIND = Statement(select(runs).where(runs.c.id == bindparam("run_id")))
_TRIGGERED = Statement(select(runs.c.id).where(_FUND, runs.c.trigger == bindparam("of_trigger")))
_TRADED = exists().where(fills.c.client_id == children.c.client_id, children.c.run == runs.c.id)
_ALL = select(runs).order_by(runs.c.event.desc()).limit(bindparam("limit"))
_NEWEST = _ALL.where(or_(not_(runs.c.trigger.startswith(GUARD)), _TRADED))
_LATEST = {True: Statement(_ALL), False: Statement(_NEWEST)}
_LATEST_OF_FUND = {True: Statement(_ALL.where(_FUND)), False: Statement(_NEWEST.where(_FUND))}
_LAST_GONE = Statement(
    select(runs)
    .where(
        _FUND,
        or_(*(runs.c.status == status for status in WENT)),
        not_(runs.c.trigger.startswith(FLATTEN)),
        not_(runs.c.trigger.startswith(EMERGENCY)),
        not_(runs.c.trigger.startswith(GUARD)),
    )
    .order_by(runs.c.event.desc())
    .limit(1)
)
_UNENDED = Statement(select(runs).where(_FUND, runs.c.status == RunStatus.RUNNING).order_by(runs.c.event))
# bounds instead of a pattern, since those an index can follow; ";" comes right after ":"
_SLOT = [runs.c[name] for name in ("fund", "trigger", "account", "status", "started_at", "ended_at", "attempts")]
_SLOTS = select(*_SLOT).where(_FUND, runs.c.trigger >= SLOT_PREFIX, runs.c.trigger < SLOT_PREFIX.replace(":", ";"))
_LAST_EMERGENCY = Statement(
    select(runs)
    .where(_FUND, runs.c.trigger >= EMERGENCY, runs.c.trigger < EMERGENCY.replace(":", ";"))
    .order_by(runs.c.event.desc())
    .limit(1)
)
_LAST_STOP = Statement(
    select(func.max(fills.c.at).label("at"))
    .select_from(fills.join(children, fills.c.client_id == children.c.client_id).join(runs, children.c.run == runs.c.id))
    .where(_FUND, runs.c.trigger >= GUARD, runs.c.trigger < GUARD.replace(":", ";"), runs.c.started_at >= bindparam("since"))
)
_OLDER_SLOT = Statement(_SLOTS.where(runs.c.trigger < bindparam("border")).order_by(runs.c.trigger.desc()).limit(1))
_LATER_SLOTS = Statement(_SLOTS.where(runs.c.trigger >= bindparam("border")).order_by(runs.c.trigger))


def open_run(chain: Chain, run: Run) -> bool:
    """Create the row; False, and nothing written, when (fund, trigger) exists."""
    if _TRIGGERED.one(chain.connection, of_fund=run.key.fund, of_trigger=run.key.trigger) is not None:
        return False
    if find(chain.connection, run.id) is not None:
        message = f"run {run.id} exists under another trigger"
        raise InvariantViolation(message)
    row: dict[str, object] = {
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
    payload = events.booked(runs, row)
    seq = chain.append(at=run.started_at, kind=events.RUN_OPENED, fund=run.key.fund, run=run.id, payload=payload)
    _ADD.run(chain.connection, event=seq, **row)
    return True


def close_run(chain: Chain, run_id: str, status: RunStatus, *, reason: str, result: Mapping[str, object], at: datetime) -> None:
    """End a RUNNING run. InvariantViolation when it is not running, or does not exist."""
    run = _required(chain.connection, run_id)
    changes: dict[str, object] = {"status": run.ended(status, reason), "reason": reason, "result": result, "ended_at": at}
    _CHANGE.run(chain.connection, run_id=run_id, **changes)
    payload = events.booked(runs, {"id": run_id, **changes})
    chain.append(at=at, kind=events.RUN_CLOSED, fund=run.key.fund, run=run_id, payload=payload)


def reopen_run(chain: Chain, run_id: str, *, plan: Mapping[str, object], reason: str, deadline: datetime, at: datetime) -> None:
    """Take an ended run up again, as one attempt more. InvariantViolation when its status does not allow that."""
    run = _required(chain.connection, run_id)
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
    _CHANGE.run(chain.connection, run_id=run_id, **changes)
    payload = events.booked(runs, {"id": run_id, **changes})
    chain.append(at=at, kind=events.RUN_REOPENED, fund=run.key.fund, run=run_id, payload=payload)


def slot_runs(connection: Connection, fund: str, first: date) -> tuple[SlotRun, ...]:
    """The runs of a fund's slots of local date ``first`` and later, oldest first, and the newest one before those."""
    border = f"{SLOT_PREFIX}{first.isoformat()}"
    found = (row for query in (_OLDER_SLOT, _LATER_SLOTS) for row in query.all(connection, of_fund=fund, border=border))
    return tuple(SlotRun(key=RunKey(row.pop("fund"), row.pop("trigger")), **row) for row in found)


def amend_run(chain: Chain, run_id: str, *, result: Mapping[str, object], at: datetime) -> None:
    """Put ``result`` in place of an ended run's. InvariantViolation when it has not ended, or does not exist."""
    run = _required(chain.connection, run_id)
    if not run.status.ended:
        message = f"run {run_id} is not over: its result comes with its end"
        raise InvariantViolation(message)
    _CHANGE.run(chain.connection, run_id=run_id, result=result)
    payload = events.booked(runs, {"id": run_id, "result": result})
    chain.append(at=at, kind=events.RUN_AMENDED, fund=run.key.fund, run=run_id, payload=payload)


def _required(connection: Connection, run_id: str) -> Run:
    """One run; InvariantViolation when there is none."""
    run = find(connection, run_id)
    if run is None:
        message = f"there is no run {run_id}"
        raise InvariantViolation(message)
    return run


def find(connection: Connection, run_id: str) -> Run | None:
    """One run."""
    row = _FIND.one(connection, run_id=run_id)
    return None if row is None else _run(row)


def latest(connection: Connection, *, fund: str | None, limit: int, whole: bool) -> tuple[Run, ...]:
    """The latest runs, newest first. whole: those as well that put stops in their place of which none has gone off."""
    query, asked = (_LATEST, {}) if fund is None else (_LATEST_OF_FUND, {"of_fund": fund})
    return tuple(_run(row) for row in query[whole].all(connection, limit=limit, **asked))


def last_gone(connection: Connection, fund: str) -> Run | None:
    """The newest run of a fund that went to its mandate's targets."""
    row = _LAST_GONE.one(connection, of_fund=fund)
    return None if row is None else _run(row)


def last_emergency(connection: Connection, fund: str) -> Run | None:
    """The newest run of a fund that an emergency triggered."""
    row = _LAST_EMERGENCY.one(connection, of_fund=fund)
    return None if row is None else _run(row)


def last_brake(connection: Connection, fund: str, since: datetime) -> datetime | None:
    """When a fund was last de-levered, by an emergency's run or by a stop that was put in its place at ``since`` or later."""
    emergency, stop = last_emergency(connection, fund), _LAST_STOP.one(connection, of_fund=fund, since=since)
    times = (None if emergency is None else emergency.started_at, None if stop is None else stop["at"])
    return max((at for at in times if at is not None), default=None)


def unended(connection: Connection, fund: str) -> tuple[Run, ...]:
    """The runs of a fund that are RUNNING, oldest first."""
    return tuple(_run(row) for row in _UNENDED.all(connection, of_fund=fund))


def _run(row: Row) -> Run:
    del row["event"]
    return Run(key=RunKey(row.pop("fund"), row.pop("trigger")), **row)
