"""Orders as an exchange tells them, whoever sent them: each is read whole, or refused, and so is a list of them.

A list that was cut short is never taken for the whole: where a window holds as many orders as one answer can, it is halved, and
where a page is full, the next one is asked for.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.errors import StaleData, VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.numbers import ZERO, exact
from keeper.domain.order import ChildState, OrderReport, VenueOrder, is_stop
from keeper.venues import parsing

MOST_ROWS = 1000
MOST_ANSWERS = 200
MOST_PAGES = 20
"""How many full pages of trades one order may take."""
AHEAD = timedelta(minutes=1)
ROUNDING = Decimal("1e-6")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One order as the venue tells it.

    symbol: ccxt's; amount, filled: contracts, amount zero where an order closes whatever there is; average: quote per base,
    asked for only where something was filled; limit: likewise, None where it has none; state: what its status stands for;
    forced: the venue itself placed it; at, changed_at: aware UTC.
    """

    order_id: str
    client_id: str
    symbol: str
    side: Side
    amount: Decimal
    filled: Decimal
    average: Decimal | None
    limit: Decimal | None
    state: ChildState
    at: datetime
    changed_at: datetime
    forced: bool = False


def orders(rows: Iterable[OrderRow]) -> tuple[VenueOrder, ...]:
    """The orders of a list, oldest first, each of them once: as it was told last."""
    read = {
        (row.symbol, row.order_id): VenueOrder(
            order_id=row.order_id,
            client_id=row.client_id,
            symbol=row.symbol,
            side=row.side,
            amount=row.amount,
            filled=row.filled,
            average=row.average if row.filled else None,
            state=row.state,
            forced=row.forced,
            at=row.at,
            changed_at=row.changed_at,
        )
        for row in rows
    }
    return tuple(sorted(read.values(), key=lambda order: (order.at, len(order.order_id), order.order_id)))


def report(row: OrderRow, symbol: str, client_id: str) -> OrderReport:
    """What one order's row proves. StaleData when it contradicts itself or is not the order of ``client_id`` in ``symbol``."""
    if row.client_id != client_id:
        raise StaleData("the venue's answer is not about this order: another client order id")
    if row.symbol != symbol:
        raise StaleData(f"the venue's answer is about {row.symbol[:40]}, asked was {symbol}")
    return OrderReport(
        order_id=row.order_id,
        client_id=client_id,
        state=row.state,
        filled=row.filled,
        average=_within_limit(row) if row.filled else None,
    )


def taken(order_id: str, client_id: str) -> OrderReport:
    """What an answer proves that tells the ids alone: the venue has the order."""
    return OrderReport(order_id=order_id, client_id=client_id, state=ChildState.LIVE, filled=ZERO, average=None)


@exact
def _within_limit(row: OrderRow) -> Decimal:
    """The average, unless it is worse than the order's own limit by more than the venue's rounding; a stop has no limit."""
    if row.average is not None and is_stop(row.client_id):
        return row.average
    if row.average is None or row.limit is None:
        raise StaleData("the venue's answer tells a filled order without its price")
    if (row.average - row.limit) * row.side.sign > row.limit * ROUNDING:
        raise StaleData(f"the venue's answer says that a {row.side} at {row.limit} was filled at an average of {row.average}")
    return row.average


@exact
def consistent(  # the amounts that a status must agree with
    status: object, state: ChildState, amount: Decimal, filled: Decimal, *, prevented: Decimal = ZERO, untouched: bool = False
) -> ChildState:
    """``state``, unless the amounts say otherwise: then StaleData. An order that closes a position may have none (0).

    prevented: contracts taken off against an order of one's own; untouched: whether the status says that nothing was filled.
    """
    missing = amount - filled - prevented
    wrong = (
        (missing < 0 and amount > 0)
        or (state is ChildState.FILLED and (not filled or (missing != 0 and amount > 0)))
        or (untouched and filled > 0)
    )
    if wrong:
        raise StaleData(f"the venue's answer says {str(status)[:40]}, and that {filled} of {amount} was filled")
    return state


@exact
def quotient(paid: Decimal, filled: Decimal) -> Decimal:
    """What was paid on average."""
    return paid / filled


async def every_row(
    ask: Callable[[int, int], Awaitable[Any]],
    since: datetime,
    now: datetime,
    *,
    span: timedelta,
    most: int | None = None,
    what: str = "orders",
) -> list[Any]:
    """The rows of every order placed (or of ``what`` happened) from ``since`` on, in no order, some twice perhaps.

    ask: for the rows between two times (milliseconds, both included), at most ``span`` apart; now: by the venue's clock; most:
    rows that one answer may hold, MOST_ROWS unless told. Nothing is assumed of which rows an answer leaves out.
    VenueUnavailable when it would take too many answers.
    """
    full = MOST_ROWS if most is None else most
    first, last = parsing.milliseconds(min(since, now)), parsing.milliseconds(now + AHEAD)
    step = span // timedelta(milliseconds=1)
    starts = range(first, last + 1, step + 1)
    windows = [(start, min(start + step, last)) for start in reversed(starts[: MOST_ANSWERS + 1])]
    found: list[Any] = []
    answers = 0
    while windows:
        answers += 1
        if answers + len(windows) - 1 > MOST_ANSWERS:
            message = f"its {what} since {since.isoformat()} take more than {MOST_ANSWERS} answers: ask for fewer days"
            raise VenueUnavailable(message)
        start, end = windows.pop()
        rows = parsing.rows(await ask(start, end), what)
        if len(rows) < full:
            found += rows
        elif start < end:
            middle = (start + end) // 2
            windows += [(middle + 1, end), (start, middle)]
        else:
            raise VenueUnavailable(f"{len(rows)} {what} of one millisecond in one answer, so some may be missing")
    return found


async def every_page(ask: Callable[[str | None], Awaitable[tuple[list[Any], str | None]]], what: str) -> list[Any]:
    """The rows of every page of a list that is told in pages.

    ask: for the page at a cursor (None: the first one); its rows, and the cursor of the next page or None where it is the last.
    StaleData where there is no end to them, or a cursor comes twice.
    """
    found: list[Any] = []
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(MOST_ANSWERS):
        rows, cursor = await ask(cursor)
        found += rows
        if cursor is None:
            return found
        if cursor in seen:
            raise StaleData(f"the venue's pages of {what} go round in a circle, so some may be missing")
        seen.add(cursor)
    raise StaleData(f"its {what} fill more than {MOST_ANSWERS} pages, so some may be missing")


async def every_trade(ask: Callable[[int | None], Awaitable[list[Any]]]) -> list[Any]:
    """The rows of every trade of one order.

    ask: for one page, of the trades from an id on, lowest first; without an id it is the newest ones that Binance answers with
    where they are too many. StaleData where a page goes back, or there is no end to them.
    """
    rows = await ask(None)
    if len(rows) < MOST_ROWS:
        return rows
    found: list[Any] = []
    first = 0
    for _ in range(MOST_PAGES):
        rows = await ask(first)
        found += rows
        ids = [int(parsing.identity(parsing.part(row, "id"), "trade id")) for row in rows]
        if any(one < first for one in ids):
            raise StaleData(f"asked for trades from {first} on, the venue answers with {min(ids)}: some may be missing")
        if len(rows) < MOST_ROWS:
            return found
        first = max(ids) + 1
    raise StaleData(f"its trades fill more than {MOST_PAGES} pages, so some may be missing")
