"""NAV points: what a fund was worth, as it was measured. Never computed here, never changed afterwards."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from sqlalchemy import Connection, bindparam, insert, select

from keeper.domain.run import NavPoint
from keeper.journal import events
from keeper.journal.events import Chain
from keeper.journal.schema import nav_points
from keeper.journal.statements import Row, Statement

_ADD = Statement(insert(nav_points))
_LATEST = Statement(
    select(nav_points)
    .where(nav_points.c.fund == bindparam("of_fund"))
    .order_by(nav_points.c.event.desc())
    .limit(bindparam("limit"))
)
_SINCE = Statement(
    select(nav_points)
    .where(nav_points.c.fund == bindparam("of_fund"), nav_points.c.event > bindparam("seq"))
    .order_by(nav_points.c.event)
)


def record(chain: Chain, point: NavPoint) -> None:
    """Add a NAV point."""
    row = asdict(point)
    payload = events.booked(nav_points, row)
    seq = chain.append(at=point.at, kind=events.NAV_RECORDED, fund=point.fund, run=point.run, payload=payload)
    _ADD.run(chain.connection, event=seq, **row)


def latest(connection: Connection, fund: str, *, limit: int) -> tuple[NavPoint, ...]:
    """The latest NAV points of a fund, newest first."""
    return tuple(_point(row) for row in _LATEST.all(connection, of_fund=fund, limit=limit))


def since(connection: Connection, fund: str, seq: int) -> list[tuple[int, NavPoint]]:
    """The NAV points of a fund after event ``seq``, oldest first, each with its event's number."""
    return [(row["event"], _point(row)) for row in _SINCE.all(connection, of_fund=fund, seq=seq)]


def _point(row: Row) -> NavPoint:
    del row["event"]
    return NavPoint(**row | {name: _numbers(row[name]) for name in ("exposures", "prices")})


def _numbers(document: Mapping[str, object] | None) -> dict[str, Decimal] | None:
    return None if document is None else {name: Decimal(str(amount)) for name, amount in document.items()}
