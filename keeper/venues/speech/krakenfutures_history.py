"""What Kraken Futures remembers of orders that have ended: its history, which is told apart from trading, and later.

Trading itself forgets an order five seconds after its end. Its history knows of each order what happened to it (placed,
updated, canceled, rejected), and of each execution the fee; neither can be asked for one order, so both are read from the
newest back, as far as it takes. The history lags: it is held against the account's latest fills, which do not.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.errors import StaleData
from keeper.domain.market import Side
from keeper.domain.numbers import ZERO
from keeper.domain.order import ChildState, Fill, average_price
from keeper.venues import listing, parsing
from keeper.venues.listing import OrderRow
from keeper.venues.speech.base import Wire

FULL_PAGE = 1000
EARLIER = timedelta(seconds=1)
NO_HISTORY = frozenset({"accountInactive"})
"""What is said of an account that has never traded."""
SIDES = {"Buy": Side.BUY, "Sell": Side.SELL, "buy": Side.BUY, "sell": Side.SELL}
RESTING = ("Limit", "Post")
FORCED = (
    "Liquidation",
    "PartialLiquidation",
    "CoveredLiquidation",
    "Assignment",
    "HedgeAssignment",
    "HedgeImmediateOrCancel",
    "Unwind",
)
MISS = "IOC_WOULD_NOT_EXECUTE"
BEGINNINGS = ("OrderPlaced", "OrderRejected")
ORDERS = {"OrderPlaced": "order", "OrderUpdated": "newOrder", "OrderCancelled": "order", "OrderRejected": "order"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution of an order of the account; order: as it stood before."""

    order_id: str
    order: Mapping[str, Any]
    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened to an order; order: as it stood after. kind: a key of ORDERS; missed: see ``is_miss``."""

    kind: str
    order_id: str
    client_id: str
    order: Mapping[str, Any]
    missed: bool


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


async def executions(
    wire: Wire, symbol: str, *, since: datetime | None = None, enough: Callable[[list[Execution], datetime], bool] | None = None
) -> list[Execution]:
    """Executions in a market, newest first: since a time, or until ``enough`` of them and of the time they reach back to."""
    found: list[Execution] = []

    def read(element: object, at: datetime) -> bool:
        found.append(_execution(wire, symbol, element, at))
        return enough is not None and enough(found, at)

    await _newest_first(wire, "historyGetExecutions", symbol, since, read)
    return found


async def fills(wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
    """Every execution of one order: read back to before it was placed, or to the beginning where it has none."""

    def enough(found: list[Execution], back_to: datetime) -> bool:
        own = next((one for one in found if one.order_id == order_id), None)
        return own is not None and back_to < _placed_at(own.order) - EARLIER

    found = await executions(wire, symbol, enough=enough)
    return parsing.trades(one.fill for one in found if one.order_id == order_id)


async def order(wire: Wire, symbol: str, client_id: str) -> OrderRow | None:
    """The order under a client id, once it has ended or rests; None where the whole history of the market has none."""
    found: list[Event] = []

    def read(element: object, _at: datetime) -> bool:
        event = _event(element)
        if event is not None and event.client_id == client_id:
            found.append(event)
        return bool(found) and found[-1].kind in BEGINNINGS

    await _newest_first(wire, "historyGetOrders", symbol, None, read)
    latest = await recent_fills(wire)
    if not found:
        if any(one.get("cliOrdId") == client_id for one in latest):
            raise StaleData("the venue's history does not tell of this order yet, whose fills it tells")
        return None
    trades = await executions(wire, symbol, since=_placed_at(found[-1].order))
    order_id = found[0].order_id
    own = [one for one in trades if one.order_id == order_id]
    caught_up(wire, symbol, latest, {order_id: executed(own)}, only=order_id)
    return _row(wire, symbol, found, own)


async def orders(wire: Wire, symbol: str, since: datetime, resting: Iterable[OrderRow]) -> list[OrderRow]:
    """Orders of a market that were placed or changed since a time; those that rest as they are told in ``resting``."""
    events: dict[str, list[Event]] = defaultdict(list)
    trades: dict[str, list[Execution]] = defaultdict(list)

    def read(element: object, _at: datetime) -> bool:
        event = _event(element)
        if event is not None:
            events[event.order_id].append(event)
        return False

    await _newest_first(wire, "historyGetOrders", symbol, since, read)
    for one in await executions(wire, symbol, since=since):
        trades[one.order_id].append(one)
    caught_up(wire, symbol, await recent_fills(wire), {name: executed(own) for name, own in trades.items()}, since=since)
    rows = {row.order_id: row for row in resting if row.symbol == symbol}
    for name in {*events, *trades} - set(rows):
        if _placed_at(_stood(events[name], trades[name])[0]) < since:
            continue  # some of its executions may lie before, too
        row = _row(wire, symbol, events[name], trades[name])
        if row.state is ChildState.LIVE:
            raise StaleData("the venue's history tells of an order that has not ended and does not rest")
        rows[name] = row
    return list(rows.values())


async def recent_fills(wire: Wire) -> list[Mapping[str, Any]]:
    """The account's latest fills (100 at most), in any market, as trading itself tells them; they name no fee."""
    answer = await wire.find("privateGetFills", NO_HISTORY)
    return [] if answer is None else parsing.rows(parsing.part(answer, "fills"), "fills")


def caught_up(
    wire: Wire,
    symbol: str,
    latest: Iterable[Mapping[str, Any]],
    known: Mapping[str, Decimal],
    *,
    since: datetime | None = None,
    only: str | None = None,
) -> None:
    """StaleData where trading tells more of an order's fills than its history does (``known``: contracts by order)."""
    told: dict[str, Decimal] = {}
    for one in latest:
        order_id = parsing.named(parsing.part(one, "order_id"), "order id")
        at = parsing.moment(parsing.part(one, "fillTime"), "time of a fill")
        if market_symbol(wire, one, "symbol") == symbol and only in (None, order_id) and (since is None or at >= since):
            parsing.summed(told, order_id, parsing.positive(one, "size"))
    if any(amount > known.get(order_id, ZERO) for order_id, amount in told.items()):
        raise StaleData("the venue's history is behind its fills")


def average(wire: Wire, symbol: str, trades: Collection[Execution]) -> Decimal | None:
    """What was paid on average, quote per base; None where nothing was."""
    return average_price([one.fill for one in trades], inverse=bool(wire.entry(symbol)["inverse"]))


def executed(trades: Iterable[Execution]) -> Decimal:
    """Contracts."""
    total = ZERO
    for one in trades:
        total = parsing.added(total, one.fill.amount)
    return total


async def _newest_first(
    wire: Wire, call: str, symbol: str, since: datetime | None, read: Callable[[object, datetime], bool]
) -> None:
    """Hand each element and its time to ``read``, newest first, until that says that it has enough."""
    start = {} if since is None else {"since": parsing.milliseconds(since - EARLIER)}
    last: list[datetime] = []

    async def page(token: str | None) -> tuple[list[Any], str | None]:
        answer = await wire.find(
            call,
            NO_HISTORY,
            version="v3",
            tradeable=wire.market_id(symbol),
            sort="desc",
            count=FULL_PAGE,
            **start,
            **({} if token is None else {"continuation_token": token}),
        )
        if answer is None:
            return [], None
        rows = parsing.rows(parsing.part(answer, "elements"), "history")
        done = False
        for row in rows:
            at = parsing.instant(parsing.part(row, "timestamp"), "time of an event")
            if last and at > last[-1]:
                raise StaleData("the venue's history is not in order, so some may be missing")
            last[:] = [at]
            done = done or read(row, at)
        following = answer.get("continuationToken") or None
        return rows, None if done or not rows else following

    await listing.every_page(page, "history")


def _execution(wire: Wire, symbol: str, element: object, at: datetime) -> Execution:
    event = parsing.part(element, "event")
    held = event.get("execution", event.get("Execution")) if isinstance(event, Mapping) else None
    told = parsing.part(held, "execution")
    order = parsing.part(told, "order")
    if market_symbol(wire, order, "tradeable") != symbol:
        raise StaleData("the venue's history is about another market")
    return Execution(
        order_id=parsing.named(parsing.part(order, "uid"), "order id"),
        order=order,
        fill=Fill(
            trade_id=parsing.named(parsing.part(told, "uid"), "trade id"),
            symbol=symbol,
            side=parsing.chosen(order, "direction", SIDES),
            amount=parsing.positive(told, "quantity"),
            price=parsing.positive(told, "price"),
            fee=parsing.number(parsing.part(told, "orderData"), "fee"),
            fee_asset=str(wire.entry(symbol)["settle"]),
            at=at,
        ),
    )


def _event(element: object) -> Event | None:
    """None for what changes no order, such as a cancel that found none."""
    event = parsing.part(element, "event")
    kind = next((name for name in ORDERS if isinstance(event, Mapping) and name in event), None)
    if kind is None:
        return None
    told = parsing.part(event, kind)
    order = parsing.part(told, ORDERS[kind])
    return Event(
        kind=kind,
        order_id=parsing.named(parsing.part(order, "uid"), "order id"),
        client_id=client_id_of(order, "clientId"),
        order=order,
        missed=is_miss(told.get("orderError"), told.get("reason")),
    )


def _placed_at(order: Mapping[str, Any]) -> datetime:
    return parsing.instant(parsing.part(order, "timestamp"), "time of an order")


def _row(wire: Wire, symbol: str, events: list[Event], trades: list[Execution]) -> OrderRow:
    """An order from its events and executions, newest first. An order that rests without an end is LIVE."""
    stood = _stood(events, trades)
    newest = stood[0]
    if market_symbol(wire, newest, "tradeable") != symbol:
        raise StaleData("the venue's history is about another market")
    filled, kinds = executed(trades), {event.kind for event in events}
    told = max((parsing.not_negative(parsing.part(one.order, "filled"), "filled") for one in events), default=ZERO)
    if filled < told:
        raise StaleData(f"the venue's history tells that {told} was filled, and executions of {filled}")
    amount = max(filled, *(_whole(order) for order in stood))
    state = ChildState.LIVE
    if "OrderRejected" in kinds and not filled and not any(event.missed for event in events):
        state = ChildState.REJECTED
    elif filled and (filled >= amount or not events):
        state = ChildState.FILLED
    elif "OrderCancelled" in kinds or parsing.part(newest, "orderType") not in RESTING:
        state = ChildState.CANCELED
    times = [_placed_at(newest), parsing.instant(parsing.part(newest, "lastUpdateTimestamp"), "time of a change")]
    return OrderRow(
        order_id=parsing.named(parsing.part(newest, "uid"), "order id"),
        client_id=client_id_of(newest, "clientId"),
        symbol=symbol,
        side=parsing.chosen(newest, "direction", SIDES),
        amount=amount,
        filled=filled,
        average=average(wire, symbol, trades),
        limit=parsing.not_negative(parsing.part(newest, "limitPrice"), "limitPrice") or None,
        state=state,
        at=times[0],
        changed_at=max([*times, *(one.fill.at for one in trades)]),
        forced=parsing.part(newest, "orderType") in FORCED,
    )


def _stood(events: list[Event], trades: list[Execution]) -> list[Mapping[str, Any]]:
    """An order as it stood from time to time, newest first."""
    return [*(event.order for event in events), *(trade.order for trade in trades)]


def _whole(order: Mapping[str, Any]) -> Decimal:
    """What an order asked for: its quantity is what is left of that."""
    left, filled = (parsing.not_negative(parsing.part(order, name), name) for name in ("quantity", "filled"))
    return parsing.added(left, filled)
