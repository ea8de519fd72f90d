"""What Kraken Futures' trading knows of orders: those that rest, those that ended within five seconds, the latest fills."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from keeper.domain.errors import StaleData
from keeper.domain.market import Side
from keeper.domain.numbers import ZERO
from keeper.domain.order import ChildState, Fill, OrderRequest, average_price
from keeper.venues import parsing
from keeper.venues.listing import OrderRow
from keeper.venues.speech.base import Wire

NEVER_TRADED = frozenset({"accountInactive"})
"""What is said of an account without any history."""
MOST_FILLS = 100
SIDES = {"Buy": Side.BUY, "Sell": Side.SELL, "buy": Side.BUY, "sell": Side.SELL}
STATES = {
    "ENTERED_BOOK": ChildState.LIVE,
    "TRIGGER_PLACED": ChildState.LIVE,
    "FULLY_EXECUTED": ChildState.FILLED,
    "CANCELLED": ChildState.CANCELED,
    "REJECTED": ChildState.REJECTED,
}
MISS = "IOC_WOULD_NOT_EXECUTE"


def is_miss(*reasons: object) -> bool:
    """Whether one of these is that an immediate order found nobody to trade with."""
    return any(str(reason).upper() == MISS for reason in reasons)


def client_id_of(order: Mapping[str, Any], name: str) -> str:
    """The client id in field ``name``, which is missing, null or empty where there is none."""
    raw = order.get(name)
    return "" if raw in (None, "") else parsing.word(order, name)


def market_symbol(wire: Wire, order: object, name: str) -> str:
    """What ccxt calls the market in field ``name``, which Kraken spells in capitals or not."""
    return wire.contract(parsing.word(order, name).upper())


def average(wire: Wire, symbol: str, fills: Iterable[Fill]) -> Decimal | None:
    """What was paid on average, quote per base; None where nothing was."""
    return average_price(list(fills), inverse=bool(wire.entry(symbol)["inverse"]))


def contracts(fills: Iterable[Fill]) -> Decimal:
    """The sum of their amounts."""
    total = ZERO
    for one in fills:
        total = parsing.added(total, one.amount)
    return total


async def latest_fills(wire: Wire) -> list[tuple[str, str, Fill]]:
    """The account's latest fills, MOST_FILLS at most, in any market: order id, client id, and the fill without its fee."""
    answer = await wire.find("privateGetFills", NEVER_TRADED)
    rows = [] if answer is None else parsing.rows(parsing.part(answer, "fills"), "fills")
    return [_told(wire, row) for row in rows]


def _told(wire: Wire, row: Any) -> tuple[str, str, Fill]:
    fill = Fill(
        trade_id=parsing.text_id(row, "fill_id"),
        symbol=market_symbol(wire, row, "symbol"),
        side=parsing.chosen(row, "side", SIDES),
        amount=parsing.positive(row, "size"),
        price=parsing.positive(row, "price"),
        fee=ZERO,
        fee_asset="",
        at=parsing.moment(parsing.part(row, "fillTime"), "time of a fill"),
    )
    return parsing.text_id(row, "order_id"), client_id_of(row, "cliOrdId"), fill


async def status(wire: Wire, **named: object) -> Any | None:
    """One order by ``cliOrdIds`` (a text) or ``orderIds`` (a list), while trading knows it."""
    rows = parsing.rows(parsing.part(await wire.ask("privateGetOrdersStatus", **named), "orders"), "orders")
    return parsing.only(rows, "orders") if rows else None


def current(wire: Wire, told: dict[str, Any], latest: Iterable[tuple[str, str, Fill]]) -> OrderRow:
    """An order of ``status``, whose fills are among the ``latest``; LIVE for as long as these do not make up what it filled."""
    order, state = parsing.part(told, "order"), parsing.chosen(told, "status", STATES)
    order_id = parsing.text_id(order, "orderId")
    symbol = market_symbol(wire, order, "symbol")
    quantity, filled = (parsing.not_negative(parsing.part(order, name), name) for name in ("quantity", "filled"))
    own = [fill for owner, _, fill in latest if owner == order_id]
    executed = contracts(own)
    if state is ChildState.REJECTED and (executed or is_miss(told.get("error"), told.get("updateReason"))):
        state = ChildState.CANCELED
    # documents do not say whether the quantity of an order is all of it or what is left
    complete = executed > 0 and executed in (quantity, filled, parsing.added(quantity, filled))
    if executed < filled or (state is ChildState.FILLED and not complete):
        state = ChildState.LIVE
    return OrderRow(
        order_id=order_id,
        client_id=client_id_of(order, "cliOrdId"),
        symbol=symbol,
        side=parsing.chosen(order, "side", SIDES),
        amount=max(quantity, executed),
        filled=executed,
        average=average(wire, symbol, own),
        limit=parsing.not_negative(order.get("limitPrice") or "0", "limitPrice") or None,
        state=state,
        at=parsing.moment(parsing.part(order, "timestamp"), "time of an order"),
        changed_at=parsing.moment(parsing.part(order, "lastUpdateTimestamp"), "time of a change"),
    )


async def resting(wire: Wire) -> list[OrderRow]:
    """Every order that rests, triggers that wait among them; the average of one that was filled in part is not told."""
    answer = await wire.ask("privateGetOpenorders")
    return [_open(wire, row) for row in parsing.rows(parsing.part(answer, "openOrders"), "orders")]


def priced(wire: Wire, row: OrderRow, fills: Iterable[Fill]) -> OrderRow:
    """The same with the average of its fills. StaleData when they are not what it filled."""
    own = list(fills)
    if contracts(own) != row.filled:
        raise StaleData(f"the venue says that {row.filled} of an order was filled, its executions say {contracts(own)}")
    return replace(row, average=average(wire, row.symbol, own))


def _open(wire: Wire, row: Any) -> OrderRow:
    left, filled = (parsing.not_negative(parsing.part(row, name), name) for name in ("unfilledSize", "filledSize"))
    limit = row.get("limitPrice")
    return OrderRow(
        order_id=parsing.text_id(row, "order_id"),
        client_id=client_id_of(row, "cliOrdId"),
        symbol=market_symbol(wire, row, "symbol"),
        side=parsing.chosen(row, "side", SIDES),
        amount=parsing.added(left, filled),
        filled=filled,
        average=None,
        limit=None if limit is None else parsing.not_negative(limit, "limitPrice") or None,
        state=ChildState.LIVE,
        at=parsing.moment(parsing.part(row, "receivedTime"), "time of an order"),
        changed_at=parsing.moment(parsing.part(row, "lastUpdateTime"), "time of a change"),
    )


def named(wire: Wire, sent: object, request: OrderRequest) -> tuple[str, bool]:
    """Of the answer to an order: its id, and whether the client id stands beside it or in an event.

    StaleData where it is about another order, or another market.
    """
    order_id = parsing.text_id(sent, "order_id")
    answer = cast("dict[str, Any]", sent)
    names = {answer.get("cliOrdId")}
    for event in parsing.rows(answer.get("orderEvents") or [], "events"):
        told = event.get("order") or event.get("orderPriorExecution") or {}
        if told and told.get("orderId") != order_id:
            raise StaleData("the venue's answer is about another order")
        if told and market_symbol(wire, told, "symbol") != request.symbol:
            raise StaleData("the venue's answer is about another market")
        names.add(told.get("cliOrdId"))
    names -= {None, ""}
    if names - {request.client_id}:
        raise StaleData("the venue's answer is not about this order: another client order id")
    return order_id, bool(names)
