"""The fills of children: each trade of an account booked once, for one child.

What a fill means for its child is decided in ``children``.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, insert, or_, select

from keeper.domain.errors import InvariantViolation
from keeper.domain.order import Fill
from keeper.journal import events
from keeper.journal.schema import children, fills, runs
from keeper.journal.statements import Row, Statement

SKEW = timedelta(seconds=2)
"""By how much the venue's clock and ours may differ."""
FUND = select(runs.c.fund).where(runs.c.id == children.c.run).scalar_subquery()
"""The fund of a child. No join: that lets SQLite go through every run that a fund ever had."""
IS_STOP = children.c.trigger.is_not(None)
"""Whether a child is a stop."""
_OWNER = Statement(
    select(fills.c.client_id).where(
        fills.c.account == bindparam("of_account"),
        fills.c.symbol == bindparam("of_symbol"),
        fills.c.trade_id == bindparam("trade"),
    )
)
_BOOK = Statement(insert(fills))
_FILLS_OF_RUN = Statement(
    select(fills)
    .join(children, children.c.client_id == fills.c.client_id)
    .where(children.c.run == bindparam("of_run"))
    .order_by(fills.c.at, children.c.event, fills.c.position)
)
_FILLS_OF_FUND = Statement(
    select(fills, children.c.run)
    .join(children, children.c.client_id == fills.c.client_id)
    .where(bindparam("of_fund") == FUND)
    .order_by(fills.c.at, children.c.event, fills.c.position)
)
_FILLS_SINCE = Statement(
    select(fills)
    .join(children, children.c.client_id == fills.c.client_id)
    .where(
        bindparam("of_fund") == FUND,
        or_(
            children.c.event > bindparam("since"),
            # of an order from before, booked late: what it did before that time was seen then
            and_(
                fills.c.event > bindparam("booked_since"),
                or_(
                    fills.c.at > bindparam("done_since", type_=fills.c.at.type),
                    # two clocks date them, and a stop that had been seen to go off would have been booked then
                    and_(IS_STOP, fills.c.at > bindparam("nearly_since", type_=fills.c.at.type)),
                ),
            ),
        ),
    )
    .order_by(fills.c.at, children.c.event, fills.c.position)
)


def lacking(
    connection: Connection, account: str, client_id: str, reported: Sequence[Fill], *, booked: int
) -> list[dict[str, object]]:
    """The rows of those of ``reported`` that are not booked yet, to be added. booked: how many of the child's are.

    InvariantViolation where one is booked for another child.
    """
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for fill in reported:
        key = fill.symbol, fill.trade_id
        if key not in rows and not _is_booked(connection, account, client_id, fill):
            rows[key] = _fill_row(account, client_id, fill) | {"position": booked + len(rows) + 1}
    return list(rows.values())


def add(connection: Connection, event: int, rows: Sequence[Row]) -> None:
    """Book ``rows``. event: the one that tells of them."""
    for row in rows:
        _BOOK.run(connection, event=event, **row)


def of_run(connection: Connection, run_id: str) -> tuple[tuple[str, Fill], ...]:
    """Every fill of a run with the client id of its child, oldest first."""
    found = _FILLS_OF_RUN.all(connection, of_run=run_id)
    return tuple((row["client_id"], _fill(row)) for row in found)


def of_fund(connection: Connection, fund: str) -> tuple[tuple[str, str, Fill], ...]:
    """Every fill of a fund with the ids of its run and its child, oldest first."""
    found = _FILLS_OF_FUND.all(connection, of_fund=fund)
    return tuple((row.pop("run"), row["client_id"], _fill(row)) for row in found)


def since(connection: Connection, fund: str, kind: str) -> tuple[Fill, ...]:
    """The fills of a fund after its last event of a kind: of children intended since, and late ones of others, oldest first."""
    seq, at = events.last_of(connection, fund, kind)
    nearly = max(at, datetime.min.replace(tzinfo=at.tzinfo) + SKEW) - SKEW
    found = _FILLS_SINCE.all(connection, of_fund=fund, since=seq, booked_since=seq, done_since=at, nearly_since=nearly)
    return tuple(_fill(row) for row in found)


def _is_booked(connection: Connection, account: str, client_id: str, fill: Fill) -> bool:
    found = _OWNER.one(connection, of_account=account, of_symbol=fill.symbol, trade=fill.trade_id)
    if found is not None and found["client_id"] != client_id:
        message = f"trade {fill.trade_id} of {fill.symbol} is booked for child {found['client_id']}, so not for {client_id}"
        raise InvariantViolation(message)
    return found is not None


def _fill_row(account: str, client_id: str, fill: Fill) -> dict[str, object]:
    return {
        "account": account,
        "symbol": fill.symbol,
        "trade_id": fill.trade_id,
        "client_id": client_id,
        "side": fill.side,
        "amount": fill.amount,
        "price": fill.price,
        "fee": fill.fee,
        "fee_asset": fill.fee_asset,
        "at": fill.at,
    }


def _fill(row: Row) -> Fill:
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
