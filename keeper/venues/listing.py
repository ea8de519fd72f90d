"""Orders as Binance tells them, whoever sent them: each is read whole, or refused, and so is a list of them.

A list that was cut short is never taken for the whole: where a window holds as many orders as one answer can, it is halved, and
where a page of trades is full, they are read by their ids.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.errors import StaleData, VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.numbers import exact
from keeper.domain.order import ChildState, OrderReport, VenueOrder
from keeper.venues import parsing

MOST_ROWS = 1000
MOST_ANSWERS = 200
MOST_PAGES = 20
"""How many full pages of trades one order may take."""
AHEAD = timedelta(minutes=1)
ROUNDING = Decimal("1e-6")
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
_LIVE, _DONE, _GONE = ChildState.LIVE, ChildState.FILLED, ChildState.CANCELED
STATES = {
    "NEW": _LIVE,
    "PENDING_NEW": _LIVE,
    "PARTIALLY_FILLED": _LIVE,
    "PENDING_CANCEL": _LIVE,
    # the insurance fund, or whoever is deleveraged, takes the other side
    "NEW_INSURANCE": _LIVE,
    "NEW_ADL": _LIVE,
    "FILLED": _DONE,
    "CANCELED": _GONE,
    "EXPIRED": _GONE,
    "EXPIRED_IN_MATCH": _GONE,
    "REJECTED": ChildState.REJECTED,
}
TAKEN_OVER = ("NEW_INSURANCE", "NEW_ADL")

Average = Callable[[object, Decimal], Decimal]
"""What was paid on average for the contracts filled, quote per base."""


def orders(message: object, symbol: Callable[[str], str], average: Average, forced: Collection[str]) -> tuple[VenueOrder, ...]:
    """The orders of a list, oldest first. StaleData for a list with one that can't be read.

    symbol: turns the venue's name of a market into ccxt's; forced: how client ids begin of orders that the venue placed.
    """
    read = {}
    for row in parsing.rows(message, "orders"):
        order = _order(row, symbol, average, tuple(forced))
        read[order.symbol, order.order_id] = order
    return tuple(sorted(read.values(), key=lambda order: (order.at, len(order.order_id), order.order_id)))


def report(row: object, client_id: str, average: Average) -> OrderReport:
    """What one order's row proves. StaleData when it is not whole, contradicts itself or is not the order of ``client_id``."""
    if parsing.word(row, "clientOrderId") != client_id:
        raise StaleData("the venue's answer is not about this order: another client order id")
    amount, filled = _amounts(row)
    return OrderReport(
        order_id=_order_id(row),
        client_id=client_id,
        state=_state(row, amount, filled),
        filled=filled,
        average=_within_limit(row, average(row, filled)) if filled else None,
    )


def _order(row: object, symbol: Callable[[str], str], average: Average, forced: tuple[str, ...]) -> VenueOrder:
    client_id = parsing.word(row, "clientOrderId")
    amount, filled = _amounts(row)
    return VenueOrder(
        order_id=_order_id(row),
        client_id=client_id,
        symbol=symbol(parsing.word(row, "symbol")),
        side=parsing.chosen(row, "side", SIDES),
        amount=amount,
        filled=filled,
        average=average(row, filled) if filled else None,
        state=_state(row, amount, filled),
        forced=client_id.startswith(forced),
        at=parsing.instant(parsing.part(row, "time"), "time of an order"),
        changed_at=parsing.instant(parsing.part(row, "updateTime"), "time of an order's last change"),
    )


def _order_id(row: object) -> str:
    return parsing.identity(parsing.part(row, "orderId"), "order id")


def _amounts(row: object) -> tuple[Decimal, Decimal]:
    """Asked for and filled."""
    amount, filled = (parsing.not_negative(parsing.part(row, name), name) for name in ("origQty", "executedQty"))
    return amount, filled


@exact
def _within_limit(row: object, average: Decimal) -> Decimal:
    """``average``, unless it is worse than the order's own limit by more than the venue's rounding."""
    side, limit = parsing.chosen(row, "side", SIDES), parsing.positive(row, "price")
    if (average - limit) * side.sign > limit * ROUNDING:
        raise StaleData(f"the venue's answer says that a {side} at {limit} was filled at an average of {average}")
    return average


@exact
def _state(row: object, amount: Decimal, filled: Decimal) -> ChildState:
    """Where the order stands. StaleData when its amounts say otherwise; an order that closes a position has none (0)."""
    status, state = parsing.part(row, "status"), parsing.chosen(row, "status", STATES)
    if status in TAKEN_OVER and filled and filled == amount:
        state = _DONE
    prevented = parsing.not_negative(row.get("preventedQuantity", "0"), "preventedQuantity") if isinstance(row, dict) else 0
    missing = amount - filled - prevented
    wrong = (
        (missing < 0 and amount > 0)
        or (state is _DONE and (not filled or (missing != 0 and amount > 0)))
        or (status == "NEW" and filled > 0)
        or (status == "PARTIALLY_FILLED" and not (filled > 0 and missing != 0))
    )
    if wrong:
        raise StaleData(f"the venue's answer says {status}, and that {filled} of {amount} was filled")
    return state


def paid_in_quote(row: object, filled: Decimal) -> Decimal:
    """The average from what was paid in all."""
    return _quotient(parsing.positive(row, "cummulativeQuoteQty"), filled)


@exact
def _quotient(paid: Decimal, filled: Decimal) -> Decimal:
    return paid / filled


async def every_row(ask: Callable[[int, int], Awaitable[Any]], since: datetime, now: datetime, *, span: timedelta) -> list[Any]:
    """The rows of every order placed from ``since`` on, in no order, some twice perhaps.

    ask: for the rows between two times (milliseconds, both included), at most ``span`` apart; now: by the venue's clock.
    Nothing is assumed of which rows an answer leaves out. VenueUnavailable when it would take too many answers.
    """
    first, last = parsing.milliseconds(min(since, now)), parsing.milliseconds(now + AHEAD)
    step = span // timedelta(milliseconds=1)
    starts = range(first, last + 1, step + 1)
    windows = [(start, min(start + step, last)) for start in reversed(starts[: MOST_ANSWERS + 1])]
    found: list[Any] = []
    answers = 0
    while windows:
        answers += 1
        if answers + len(windows) - 1 > MOST_ANSWERS:
            message = f"its orders since {since.isoformat()} take more than {MOST_ANSWERS} answers: ask for fewer days"
            raise VenueUnavailable(message)
        start, end = windows.pop()
        rows = parsing.rows(await ask(start, end), "orders")
        if len(rows) < MOST_ROWS:
            found += rows
        elif start < end:
            middle = (start + end) // 2
            windows += [(middle + 1, end), (start, middle)]
        else:
            raise VenueUnavailable(f"{len(rows)} orders of one millisecond in one answer, so some may be missing")
    return found


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
