"""NAV points: what a fund was worth, as it was measured. Never computed here, never changed afterwards."""

from dataclasses import asdict

from sqlalchemy import Connection, RowMapping, insert, select

from keeper.domain.run import NavPoint
from keeper.journal import events
from keeper.journal.schema import nav_points


def record(connection: Connection, point: NavPoint) -> None:
    """Add a NAV point."""
    row = asdict(point)
    payload = events.booked(nav_points, row)
    seq = events.append(connection, at=point.at, kind=events.NAV_RECORDED, fund=point.fund, run=point.run, payload=payload)
    connection.execute(insert(nav_points).values(event=seq, **row))


def latest(connection: Connection, fund: str, *, limit: int) -> tuple[NavPoint, ...]:
    """The latest NAV points of a fund, newest first."""
    query = select(nav_points).where(nav_points.c.fund == fund).order_by(nav_points.c.event.desc()).limit(limit)
    return tuple(_point(row) for row in connection.execute(query).mappings())


def _point(row: RowMapping) -> NavPoint:
    fields = dict(row)
    del fields["event"]
    return NavPoint(**fields)
