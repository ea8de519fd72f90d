"""What breakers look at: the last hour and day of one fund, counted from rows. Decides nothing."""

from bisect import bisect_right
from collections import defaultdict
from datetime import datetime

from sqlalchemy import Connection, bindparam, not_, or_, select

from keeper.domain.fund import Lately, Worth
from keeper.domain.numbers import exact
from keeper.domain.order import ChildState
from keeper.journal import events as chain
from keeper.journal.schema import children, events, nav_points, runs
from keeper.journal.statements import Row, Statement
from keeper.planning.plan import EMERGENCY, GUARD

FAILED = (ChildState.REJECTED, ChildState.UNKNOWN, ChildState.NOT_PLACED)

_FUND = select(runs.c.fund).where(runs.c.id == children.c.run).scalar_subquery()
_TRIGGER = select(runs.c.trigger).where(runs.c.id == children.c.run).scalar_subquery()
_INTENDED = Statement(
    select(children.c.run, children.c.event, children.c.state, _TRIGGER.label("trigger"))
    .where(children.c.at >= bindparam("hour"), bindparam("of_fund") == _FUND)
    .order_by(children.c.event)
)
_BEGUN = Statement(
    select(events.c.seq)
    .where(
        events.c.run == bindparam("of_run"),
        or_(events.c.kind == chain.RUN_OPENED, events.c.kind == chain.RUN_REOPENED),
    )
    .order_by(events.c.seq)
)
_ENDED = Statement(
    select(runs.c.result)
    .where(
        runs.c.fund == bindparam("of_fund"),
        runs.c.ended_at > bindparam("hour"),
        runs.c.result.is_not(None),
        not_(runs.c.trigger.startswith(GUARD)),  # what a stop gets less than its trigger is how far the market went
    )
    .order_by(runs.c.ended_at.desc(), runs.c.event.desc())
)
_POINTS = select(nav_points.c.cause, nav_points.c.nav, nav_points.c.net_leverage).where(nav_points.c.fund == bindparam("of_fund"))
_WORTH = Statement(_POINTS.where(nav_points.c.at >= bindparam("day")).order_by(nav_points.c.event))
_WORTH_BEFORE = Statement(
    _POINTS.where(nav_points.c.at >= bindparam("cleared"), nav_points.c.at < bindparam("day"))
    .order_by(nav_points.c.event.desc())
    .limit(1)
)


def of_fund(connection: Connection, fund: str, *, cleared: datetime, hour: datetime, day: datetime) -> Lately:
    """What happened to ``fund`` since ``hour``, and what it was worth since ``day``, as of one moment.

    The newest worth before ``day`` comes first: that is what the day began with. Nothing is from before ``cleared``.
    """
    intended = _INTENDED.all(connection, of_fund=fund, hour=hour)
    by_run: dict[str, list[int]] = defaultdict(list)
    for row in intended:
        if row["trigger"].startswith((EMERGENCY, GUARD)):
            continue  # however often a fund has to be de-levered, or its stops replaced, that must not halt it
        by_run[row["run"]].append(row["event"])
    return Lately(
        errors=sum(row["state"] in FAILED for row in intended if not row["trigger"].startswith(GUARD)),
        attempts=sum(_attempts(connection, run, numbers) for run, numbers in by_run.items()),
        results=tuple(row["result"] for row in _ENDED.all(connection, of_fund=fund, hour=hour)),
        worths=tuple(
            _worth(row)
            for row in (
                *_WORTH_BEFORE.all(connection, of_fund=fund, cleared=cleared, day=day),
                *_WORTH.all(connection, of_fund=fund, day=day),
            )
        ),
    )


def _attempts(connection: Connection, run: str, intents: list[int]) -> int:
    """In how many attempts of a run the intents of these events were made."""
    begun = [row["seq"] for row in _BEGUN.all(connection, of_run=run)]
    return len({bisect_right(begun, number) for number in intents})


@exact
def _worth(row: Row) -> Worth:
    return Worth(cause=row["cause"], nav=row["nav"], exposure=row["net_leverage"] * row["nav"])
