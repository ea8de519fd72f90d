"""Children and their fills: intents before the wire, compare-and-set transitions, fills booked once.

What may follow what is the table of ``domain.order``; nothing here decides it.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from keeper.domain.errors import InvariantViolation
from keeper.domain.numbers import ZERO, exact
from keeper.domain.order import Child, ChildState, Fill, OrderReport, OrderRequest, advance
from keeper.domain.run import Run
from keeper.journal import events
from keeper.journal.runs import required
from keeper.journal.schema import children, fills, runs

_OPEN = [state for state in ChildState if state.open]


def record_intent(connection: Connection, child: Child) -> None:
    """Write a child in state INTENT, of a run that is running.

    InvariantViolation when its client id, or its (run, leg, sequence), exists.
    """
    if child.state is not ChildState.INTENT:
        message = f"child {child.request.client_id} is {child.state}: only an intent is recorded before it is sent"
        raise InvariantViolation(message)
    run = required(connection, child.run)
    if run.status.ended:
        message = f"run {run.id} is over ({run.status}): it may not send {child.request.client_id}"
        raise InvariantViolation(message)
    _refuse_twin(connection, child)
    row = _row(child)
    payload = events.booked(children, row)
    seq = events.append(connection, at=child.at, kind=events.CHILD_INTENDED, fund=run.key.fund, run=run.id, payload=payload)
    connection.execute(insert(children).values(event=seq, **row))


def advance_child(  # the port's parameters, and the transaction
    connection: Connection,
    client_id: str,
    *,
    expected: ChildState,
    state: ChildState,
    at: datetime,
    report: OrderReport | None,
    reason: str,
    fills: Sequence[Fill],
) -> None:
    """Move a child on and book its fills. InvariantViolation, and nothing written, when it may not move so.

    What was filled never shrinks: a report older than the last one adds nothing.
    """
    child = _required(connection, client_id)
    changes: dict[str, object] = {"state": advance(expected, state)}
    if report is not None:
        changes |= _told(child, report)
    if reason:
        changes["reason"] = reason
    still = children.c.client_id == client_id, children.c.state == expected
    if connection.execute(update(children).where(*still).values(**changes)).rowcount != 1:
        message = f"child {client_id} is {child.state}, not {expected}: it may not go to {state}"
        raise InvariantViolation(message)
    _book(connection, child, fills, changes=changes, at=at)


def _book(connection: Connection, child: Child, reported: Sequence[Fill], *, changes: dict[str, object], at: datetime) -> None:
    run = required(connection, child.run)
    count = select(func.count()).select_from(fills).where(fills.c.client_id == child.request.client_id)
    position = connection.execute(count).scalar_one()
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for fill in reported:
        key = fill.symbol, fill.trade_id
        if key not in rows and not _is_booked(connection, run, child, fill):
            rows[key] = _fill_row(run, child, fill) | {"position": position + len(rows) + 1}
    payload = events.booked(children, {"client_id": child.request.client_id, **changes})
    payload |= events.booked(fills, *rows.values())
    seq = events.append(connection, at=at, kind=events.CHILD_ADVANCED, fund=run.key.fund, run=run.id, payload=payload)
    if rows:
        connection.execute(insert(fills), [{"event": seq, **row} for row in rows.values()])


def _is_booked(connection: Connection, run: Run, child: Child, fill: Fill) -> bool:
    key = fills.c.account == run.account, fills.c.symbol == fill.symbol, fills.c.trade_id == fill.trade_id
    owner = connection.execute(select(fills.c.client_id).where(*key)).scalar()
    if owner not in (None, child.request.client_id):
        message = f"trade {fill.trade_id} of {fill.symbol} is booked for child {owner}, so not for {child.request.client_id}"
        raise InvariantViolation(message)
    return owner is not None


def _told(child: Child, report: OrderReport) -> dict[str, object]:
    """The columns that ``report`` changes."""
    if report.client_id != child.request.client_id:
        message = f"a report of {report.client_id} is no news of {child.request.client_id}"
        raise InvariantViolation(message)
    if child.order_id not in (None, report.order_id):
        message = f"{report.client_id} is order {child.order_id} and order {report.order_id} at the venue: it landed twice"
        raise InvariantViolation(message)
    if report.filled < child.filled:
        return {"order_id": report.order_id}
    return {"order_id": report.order_id, "filled": report.filled, "average": report.average}


def _refuse_twin(connection: Connection, child: Child) -> None:
    step = children.c.run == child.run, children.c.leg == child.leg, children.c.sequence == child.sequence
    twin = connection.execute(select(children.c.client_id).where(*step)).scalar()
    if _find(connection, child.request.client_id) is not None or twin is not None:
        step_text = f"run {child.run}, leg {child.leg}, sequence {child.sequence}"
        message = f"an intent exists under {child.request.client_id} or for {step_text}: nothing may be sent for it again"
        raise InvariantViolation(message)


@exact
def turnover_since(connection: Connection, fund: str, since: datetime) -> Decimal:
    """Sum of notional (quote units) of the risk-adding children of ``fund`` intended at ``since`` or later."""
    query = (
        select(children.c.notional)
        .join(runs, runs.c.id == children.c.run)
        .where(runs.c.fund == fund, children.c.at >= since, children.c.reduce_only.is_(False))
    )
    return sum(connection.execute(query).scalars(), ZERO)


def of_run(connection: Connection, run_id: str) -> tuple[Child, ...]:
    """The children of a run in the order they were intended."""
    query = select(children).where(children.c.run == run_id).order_by(children.c.event)
    return tuple(_child(row) for row in connection.execute(query).mappings())


def open_of_fund(connection: Connection, fund: str) -> tuple[Child, ...]:
    """Children of a fund in state INTENT, LIVE or UNKNOWN, oldest first."""
    query = (
        select(children)
        .join(runs, runs.c.id == children.c.run)
        .where(runs.c.fund == fund, children.c.state.in_(_OPEN))
        .order_by(children.c.event)
    )
    return tuple(_child(row) for row in connection.execute(query).mappings())


def fills_of_run(connection: Connection, run_id: str) -> tuple[tuple[str, Fill], ...]:
    """Every fill of a run with the client id of its child, oldest first."""
    query = (
        select(fills)
        .join(children, children.c.client_id == fills.c.client_id)
        .where(children.c.run == run_id)
        .order_by(fills.c.at, children.c.event, fills.c.position)
    )
    return tuple((row["client_id"], _fill(row)) for row in connection.execute(query).mappings())


def _required(connection: Connection, client_id: str) -> Child:
    child = _find(connection, client_id)
    if child is None:
        message = f"there is no child {client_id}"
        raise InvariantViolation(message)
    return child


def _find(connection: Connection, client_id: str) -> Child | None:
    row = connection.execute(select(children).where(children.c.client_id == client_id)).mappings().one_or_none()
    return None if row is None else _child(row)


def _row(child: Child) -> dict[str, object]:
    request = child.request
    return {
        "client_id": request.client_id,
        "run": child.run,
        "leg": child.leg,
        "sequence": child.sequence,
        "symbol": request.symbol,
        "side": request.side,
        "amount": request.amount,
        "price": request.price,
        "notional": child.notional,
        "reduce_only": request.reduce_only,
        "deadline": request.deadline,
        "mid": child.mid,
        "half_spread": child.half_spread,
        "state": child.state,
        "at": child.at,
        "order_id": child.order_id,
        "filled": child.filled,
        "average": child.average,
        "reason": child.reason,
    }


def _child(row: RowMapping) -> Child:
    request = OrderRequest(
        client_id=row["client_id"],
        symbol=row["symbol"],
        side=row["side"],
        amount=row["amount"],
        price=row["price"],
        reduce_only=row["reduce_only"],
        deadline=row["deadline"],
    )
    return Child(
        request=request,
        run=row["run"],
        leg=row["leg"],
        sequence=row["sequence"],
        mid=row["mid"],
        half_spread=row["half_spread"],
        state=row["state"],
        at=row["at"],
        order_id=row["order_id"],
        filled=row["filled"],
        average=row["average"],
        reason=row["reason"],
        notional=row["notional"],
    )


def _fill_row(run: Run, child: Child, fill: Fill) -> dict[str, object]:
    return {
        "account": run.account,
        "symbol": fill.symbol,
        "trade_id": fill.trade_id,
        "client_id": child.request.client_id,
        "side": fill.side,
        "amount": fill.amount,
        "price": fill.price,
        "fee": fill.fee,
        "fee_asset": fill.fee_asset,
        "at": fill.at,
    }


def _fill(row: RowMapping) -> Fill:
    return Fill(
        trade_id=row["trade_id"],
        symbol=row["symbol"],
        side=row["side"],
        amount=row["amount"],
        price=row["price"],
        fee=row["fee"],
        fee_asset=row["fee_asset"],
        at=row["at"],
    )
