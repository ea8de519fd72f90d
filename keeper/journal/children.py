"""Children: intents before the wire, compare-and-set transitions. Their fills are in ``bookings``.

What may follow what is the table of ``domain.order``; nothing here decides it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, and_, bindparam, func, insert, not_, or_, select, update
from sqlalchemy.exc import IntegrityError

from keeper.domain.errors import InvariantViolation
from keeper.domain.fund import Standing, Usage
from keeper.domain.market import Side
from keeper.domain.numbers import ZERO, exact
from keeper.domain.order import NEVER_SENT, Child, ChildState, Fill, OrderReport, OrderRequest, Rejected, advance
from keeper.domain.run import RunStatus
from keeper.journal import bookings, events
from keeper.journal.bookings import FUND, IS_STOP
from keeper.journal.events import Chain
from keeper.journal.schema import children, fills, fund_states, runs
from keeper.journal.statements import Row, Statement
from keeper.planning.plan import FLATTEN

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

_ACCOUNT = select(runs.c.account).where(runs.c.id == children.c.run).scalar_subquery()
_IN_HOUR, _IN_DAY = children.c.at >= bindparam("hour"), children.c.at >= bindparam("day")
_IN_RUN = children.c.run == bindparam("of_run")

_RUN = Statement(select(runs.c.fund, runs.c.status).where(runs.c.id == bindparam("run_id")))
_STANDING = Statement(
    select(fund_states.c.fund, fund_states.c.state, fund_states.c.reason, fund_states.c.cause, fund_states.c.at).where(
        fund_states.c.fund == bindparam("of_fund")
    )
)
_ADD = Statement(insert(children))
_STANDS = Statement(
    select(
        children.c.state,
        children.c.order_id,
        children.c.filled,
        children.c.run,
        runs.c.fund,
        runs.c.account,
        select(func.count()).where(fills.c.client_id == children.c.client_id).scalar_subquery().label("booked"),
    )
    .join(runs, runs.c.id == children.c.run)
    .where(children.c.client_id == bindparam("of_child"))
)
_MOVE = Statement(
    update(children).where(children.c.client_id == bindparam("of_child"), children.c.state == bindparam("expected"))
)
_OF_RUN = Statement(select(children).where(children.c.run == bindparam("of_run")).order_by(children.c.event))
_CHILD = Statement(select(children).where(children.c.client_id == bindparam("of_child")))
_RESTS = and_(IS_STOP, children.c.state == ChildState.LIVE)
_IS_OPEN = and_(or_(*(children.c.state == state for state in ChildState if state.open)), not_(_RESTS))
_OPEN = Statement(select(children).where(bindparam("of_fund") == FUND, _IS_OPEN).order_by(children.c.event))
_RESTING = Statement(select(children).where(bindparam("of_account") == _ACCOUNT, _RESTS).order_by(children.c.event))
_OPEN_OF_OTHERS = Statement(
    select(children.c.client_id, FUND.label("fund"))
    .where(bindparam("of_fund") != FUND, bindparam("of_account") == _ACCOUNT, _IS_OPEN)
    .order_by(children.c.event)
)
# what was intended before the gate's word was kept: on spot there is no reduce-only, and to sell coins is to reduce
_SEEMED = or_(children.c.reduce_only, and_(children.c.side == Side.SELL, not_(children.c.symbol.contains(":"))))
_REDUCES = func.coalesce(children.c.reduces, _SEEMED)
_NEVER_LEFT = and_(
    children.c.state == ChildState.REJECTED,
    children.c.reason.startswith(Rejected(NEVER_SENT, "").reason, autoescape=True),
)
_USED = Statement(
    select(
        children.c.notional,
        _REDUCES.label("reduces"),
        _NEVER_LEFT.label("never_left"),
        _IN_HOUR.label("in_hour"),
        _IN_DAY.label("in_day"),
        _IN_RUN.label("in_run"),
    ).where(bindparam("of_fund") == FUND, or_(_IN_DAY, _IN_RUN), not_(IS_STOP))
)
_LAST_INTENT = Statement(
    select(children.c.at)
    .join(runs, runs.c.id == children.c.run)
    .where(bindparam("of_account") == runs.c.account, not_(runs.c.trigger.startswith(FLATTEN)))
    .order_by(children.c.at.desc())
    .limit(1)
)
_FILLED = Statement(select(children.c.filled).where(children.c.client_id == bindparam("of_child")))


def record_intent(chain: Chain, child: Child) -> Standing | None:
    """Write a child in state INTENT, of a run that is running; how its fund stands, and nothing written, where it may not go.

    A halt, or a bond to reductions, that is committed stands before every intent that is not. InvariantViolation when the
    child's client id, or its (run, leg, sequence), exists.
    """
    name = child.request.client_id
    if child.state is not ChildState.INTENT:
        message = f"child {name} is {child.state}: only an intent is recorded before it is sent"
        raise InvariantViolation(message)
    run = _RUN.one(chain.connection, run_id=child.run)
    if run is None:
        message = f"there is no run {child.run}"
        raise InvariantViolation(message)
    if run["status"] is not RunStatus.RUNNING:
        message = f"run {child.run} is over ({run['status']}): it may not send {name}"
        raise InvariantViolation(message)
    stands = _STANDING.one(chain.connection, of_fund=run["fund"])
    standing = None if stands is None else Standing(**stands)
    if standing is not None and (standing.halted or (standing.reducing and child.reduces is False)):
        return standing
    row = _row(child)
    payload = events.booked(children, row)
    seq = chain.append(at=child.at, kind=events.CHILD_INTENDED, fund=run["fund"], run=child.run, payload=payload)
    try:
        _ADD.run(chain.connection, event=seq, **row)
    except IntegrityError as error:
        step = f"run {child.run}, leg {child.leg}, sequence {child.sequence}"
        message = f"an intent exists under {name} or for {step}: nothing may be sent for it again"
        raise InvariantViolation(message) from error
    return None


def advance_child(  # the port's parameters, and the transaction
    chain: Chain,
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
    child = _STANDS.one(chain.connection, of_child=client_id)
    if child is None:
        message = f"there is no child {client_id}"
        raise InvariantViolation(message)
    changes: dict[str, object] = {"state": advance(expected, state)}
    if report is not None:
        changes |= _told(client_id, child, report)
    if reason:
        changes["reason"] = reason
    if _MOVE.run(chain.connection, of_child=client_id, expected=expected, **changes) != 1:
        message = f"child {client_id} is {child['state']}, not {expected}: it may not go to {state}"
        raise InvariantViolation(message)
    _book(chain, client_id, child, fills, changes=changes, at=at)


def _book(
    chain: Chain, client_id: str, child: Row, reported: Sequence[Fill], *, changes: dict[str, object], at: datetime
) -> None:
    rows = bookings.lacking(chain.connection, child["account"], client_id, reported, booked=child["booked"])
    payload = events.booked(children, {"client_id": client_id, **changes})
    payload |= events.booked(fills, *rows)
    seq = chain.append(at=at, kind=events.CHILD_ADVANCED, fund=child["fund"], run=child["run"], payload=payload)
    bookings.add(chain.connection, seq, rows)


def _told(client_id: str, child: Row, report: OrderReport) -> dict[str, object]:
    """The columns that ``report`` changes."""
    if report.client_id != client_id:
        message = f"a report of {report.client_id} is no news of {client_id}"
        raise InvariantViolation(message)
    if child["order_id"] not in (None, report.order_id):
        message = f"{report.client_id} is order {child['order_id']} and order {report.order_id} at the venue: it landed twice"
        raise InvariantViolation(message)
    if report.filled < child["filled"]:
        return {"order_id": report.order_id}
    return {"order_id": report.order_id, "filled": report.filled, "average": report.average}


@exact
def usage(connection: Connection, fund: str, run: str, now: datetime) -> Usage:
    """What the children of ``fund`` have used of its rolling caps at ``now``; those intended later than that count too.

    Stops are left out: they are replaced as often as a position changes, and trade in an emergency alone. An order that never
    left traded nothing, and is an order all the same: the caps on orders are what ends a run that sends none.
    """
    found = _USED.all(connection, of_fund=fund, of_run=run, hour=now - HOUR, day=now - DAY)
    adding_hour, reducing_hour, orders_hour = _sums([row for row in found if row["in_hour"]])
    adding_day, reducing_day, orders_day = _sums([row for row in found if row["in_day"]])
    adding_run, reducing_run, orders_run = _sums([row for row in found if row["in_run"]])
    return Usage(
        adding_hour=adding_hour,
        adding_day=adding_day,
        adding_run=adding_run,
        reducing_hour=reducing_hour,
        reducing_day=reducing_day,
        reducing_run=reducing_run,
        orders_hour=orders_hour,
        orders_day=orders_day,
        orders_run=orders_run,
    )


def _sums(rows: Sequence[Row]) -> tuple[Decimal, Decimal, int]:
    """Notional that added risk, notional that only reduced it, and how many there were, of rows of ``_USED``."""
    left = [row for row in rows if not row["never_left"]]
    adding = sum([row["notional"] for row in left if not row["reduces"]], ZERO)
    return adding, sum([row["notional"] for row in left if row["reduces"]], ZERO), len(rows)


def of_run(connection: Connection, run_id: str) -> tuple[Child, ...]:
    """The children of a run in the order they were intended."""
    return tuple(_child(row) for row in _OF_RUN.all(connection, of_run=run_id))


def open_of_fund(connection: Connection, fund: str) -> tuple[Child, ...]:
    """Children of a fund in state INTENT, LIVE or UNKNOWN, oldest first; not the stops that rest as they are meant to."""
    return tuple(_child(row) for row in _OPEN.all(connection, of_fund=fund))


def resting_stops(connection: Connection, account: str) -> tuple[Child, ...]:
    """The stops that wait at the venue on ``account``, whichever fund sent them, oldest first."""
    return tuple(_child(row) for row in _RESTING.all(connection, of_account=account))


def open_of_others(connection: Connection, fund: str, account: str) -> dict[str, tuple[str, ...]]:
    """Client ids of the open children that funds of other names have on ``account``, by fund, oldest first."""
    found: dict[str, tuple[str, ...]] = {}
    for row in _OPEN_OF_OTHERS.all(connection, of_fund=fund, of_account=account):
        found[row["fund"]] = (*found.get(row["fund"], ()), row["client_id"])
    return found


def find(connection: Connection, client_id: str) -> Child | None:
    """One child."""
    found = _CHILD.one(connection, of_child=client_id)
    return None if found is None else _child(found)


def known(connection: Connection, client_ids: Collection[str]) -> dict[str, Decimal]:
    """Those of ``client_ids`` that a child was intended under, with what is booked of it, contracts."""
    found = {name: _FILLED.one(connection, of_child=name) for name in client_ids}
    return {name: row["filled"] for name, row in found.items() if row is not None}


def last_intent_at(connection: Connection, account: str) -> datetime | None:
    """When the newest child of an account was intended, None before the first; those of flattenings aside."""
    found = _LAST_INTENT.one(connection, of_account=account)
    return None if found is None else found["at"]


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
        "reduces": child.reduces,
        "trigger": request.trigger,
    }


def _child(row: Row) -> Child:
    request = OrderRequest(
        client_id=row["client_id"],
        symbol=row["symbol"],
        side=row["side"],
        amount=row["amount"],
        price=row["price"],
        reduce_only=row["reduce_only"],
        deadline=row["deadline"],
        trigger=row["trigger"],
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
        reduces=row["reduces"],
    )
