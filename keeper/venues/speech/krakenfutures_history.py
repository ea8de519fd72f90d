"""What Kraken Futures remembers of orders that have ended: its history, which is told apart from trading, and later.

Trading itself forgets an order five seconds after its end. Its history knows of each order what happened to it (placed,
updated, canceled, rejected), and of each execution the fee; neither can be asked for one order, so both are read from the
newest back, as far as it takes. The history lags: it is held against the account's latest fills, which do not.

The venue grants little of it: a pool of a hundred answers, which takes ten minutes to fill up. So what the account did within
the last minute, in every market, is read at once for all who wait to know it: many children at a time take one answer.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from keeper.domain.errors import StaleData
from keeper.domain.numbers import ZERO
from keeper.domain.order import ChildState, Fill
from keeper.venues import listing, parsing
from keeper.venues.concurrency import together
from keeper.venues.listing import OrderRow
from keeper.venues.speech import krakenfutures_orders as trading
from keeper.venues.speech.base import Wire

FULL_PAGE = 1000
EARLIER = timedelta(seconds=1)
LATELY = timedelta(minutes=1)
PAST_ORDERS, PAST_EXECUTIONS = "historyGetOrders", "historyGetExecutions"
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
    """What happened to an order; order: as it stood after. kind: a key of ORDERS; missed: it found nobody to trade with."""

    kind: str
    order_id: str
    client_id: str
    order: Mapping[str, Any]
    missed: bool


async def executions(
    wire: Wire, symbol: str, *, since: datetime | None = None, enough: Callable[[list[Execution], datetime], bool] | None = None
) -> list[Execution]:
    """Executions in a market, newest first: since a time, or until ``enough`` of them and of the time they reach back to."""
    if since is None or since >= wire.now - LATELY:
        start, told = await _lately(wire, PAST_EXECUTIONS)
        recent = [
            _execution(wire, symbol, element, at)
            for element, at in told
            if _is_of(wire, symbol, parsing.part(_execution_of(element), "order"))
        ]
        if since is not None and start - EARLIER <= since:
            return [one for one in recent if one.fill.at >= since - EARLIER]
        if enough is not None and enough(recent, start):
            return recent
    found: list[Execution] = []

    def read(element: object, at: datetime) -> bool:
        found.append(_execution(wire, symbol, element, at))
        return enough is not None and enough(found, at)

    await _newest_first(wire, PAST_EXECUTIONS, symbol, since, read)
    return found


async def _lately(wire: Wire, call: str) -> tuple[datetime, list[tuple[object, datetime]]]:
    """What happened to the account in every market, newest first, and since when that is told."""

    async def read(own: Wire) -> tuple[datetime, list[tuple[object, datetime]]]:
        start = own.now - LATELY
        found: list[tuple[object, datetime]] = []

        def keep(element: object, at: datetime) -> bool:
            found.append((element, at))
            return False

        await _newest_first(own, call, None, start, keep)
        return start, found

    return cast("tuple[datetime, list[tuple[object, datetime]]]", await wire.share(call, read))


async def fills(wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
    """Every execution of one order: read back to before it was placed, or to the beginning where it has none."""
    known = await trading.status(wire, orderIds=[order_id])
    since = None if known is None else parsing.moment(parsing.part(parsing.part(known, "order"), "timestamp"), "time of an order")

    def enough(found: list[Execution], back_to: datetime) -> bool:
        own = next((one for one in found if one.order_id == order_id), None)
        return own is not None and back_to < _placed_at(own.order) - EARLIER

    found = await executions(wire, symbol, since=since, enough=enough)
    return parsing.trades(one.fill for one in found if one.order_id == order_id)


async def order(wire: Wire, symbol: str, client_id: str) -> OrderRow | None:
    """The order under a client id; None where the whole history of the market has none, nor any of the latest fills.

    LIVE for as long as the history is behind the fills. StaleData where the fills alone tell of it yet.
    """
    _, told = await _lately(wire, PAST_ORDERS)
    found: list[Event] = []

    def read(element: object, _at: datetime) -> bool:
        event = _event(element)
        if event is not None and event.client_id == client_id and _is_of(wire, symbol, event.order):
            found.append(event)
        return bool(found) and found[-1].kind in BEGINNINGS

    if not any(read(element, at) for element, at in told):
        found.clear()
        await _newest_first(wire, PAST_ORDERS, symbol, None, read)
    if not found:
        if any(name == client_id for _, name, _ in await trading.latest_fills(wire)):
            raise StaleData("the venue's history does not tell of this order yet, whose fills it tells")
        return None
    order_id = found[0].order_id
    since = _placed_at(found[-1].order)
    latest, trades = await together(trading.latest_fills(wire), executions(wire, symbol, since=since))
    own = [one for one in trades if one.order_id == order_id]
    return _row(wire, symbol, found, own, [fill for owner, _, fill in latest if owner == order_id])


async def orders(wire: Wire, symbol: str, since: datetime, resting: Iterable[OrderRow]) -> list[OrderRow]:
    """Orders of a market that were placed since a time; those that rest as they are told in ``resting``.

    StaleData while the history is behind.
    """
    events: dict[str, list[Event]] = defaultdict(list)
    trades: dict[str, list[Execution]] = defaultdict(list)
    latest: dict[str, list[Fill]] = defaultdict(list)

    def read(element: object, _at: datetime) -> bool:
        event = _event(element)
        if event is not None:
            events[event.order_id].append(event)
        return False

    told, found, _ = await together(
        trading.latest_fills(wire),
        executions(wire, symbol, since=since),
        _newest_first(wire, PAST_ORDERS, symbol, since, read),
    )
    for one in found:
        trades[one.order_id].append(one)
    for owner, _, fill in told:
        if fill.symbol == symbol and fill.at >= since:
            latest[owner].append(fill)
    rows = {row.order_id: row for row in resting if row.symbol == symbol}
    if not set(latest) <= {*events, *trades, *rows}:
        raise StaleData("the venue's history does not tell of an order yet whose fills it tells")
    for name in {*events, *trades} - set(rows):
        if _placed_at(_stood(events[name], trades[name])[0]) < since:
            continue  # some of its executions may lie before, too
        row = _row(wire, symbol, events[name], trades[name], latest[name])
        if row.state is ChildState.LIVE:
            raise StaleData("the venue's history does not tell yet how an order ended that does not rest")
        rows[name] = row
    return list(rows.values())


async def _newest_first(
    wire: Wire, call: str, symbol: str | None, since: datetime | None, read: Callable[[object, datetime], bool]
) -> None:
    """Hand each element and its time to ``read``, newest first, until that says that it has enough.

    symbol: of the market that it is about, None for all of them.
    """
    told: dict[str, object] = {} if since is None else {"since": parsing.milliseconds(since - EARLIER)}
    if symbol is not None:
        told["tradeable"] = wire.market_id(symbol)
    last: list[datetime] = []

    async def page(token: str | None) -> tuple[list[Any], str | None]:
        answer = await wire.find(
            call,
            trading.NEVER_TRADED,
            version="v3",
            sort="desc",
            count=FULL_PAGE,
            **told,
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
    told = _execution_of(element)
    order = parsing.part(told, "order")
    if not _is_of(wire, symbol, order):
        raise StaleData("the venue's history is about another market")
    return Execution(
        order_id=parsing.text_id(order, "uid"),
        order=order,
        fill=Fill(
            trade_id=parsing.text_id(told, "uid"),
            symbol=symbol,
            side=parsing.chosen(order, "direction", trading.SIDES),
            amount=parsing.positive(told, "quantity"),
            price=parsing.positive(told, "price"),
            fee=parsing.number(parsing.part(told, "orderData"), "fee"),
            fee_asset=str(wire.entry(symbol)["settle"]),
            at=at,
        ),
    )


def _execution_of(element: object) -> Any:
    event = parsing.part(element, "event")
    held = event.get("execution", event.get("Execution")) if isinstance(event, Mapping) else None
    return parsing.part(held, "execution")


def _is_of(wire: Wire, symbol: str, order: object) -> bool:
    """Whether an order is one in this market."""
    return trading.market_symbol(wire, order, "tradeable") == symbol


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
        order_id=parsing.text_id(order, "uid"),
        client_id=_client_id(order),
        order=order,
        missed=trading.is_miss(told.get("orderError"), told.get("reason")),
    )


def _client_id(order: object) -> str:
    """Which the history tells of each order, empty where there is none."""
    return "" if parsing.part(order, "clientId") == "" else parsing.word(order, "clientId")


def _placed_at(order: Mapping[str, Any]) -> datetime:
    return parsing.instant(parsing.part(order, "timestamp"), "time of an order")


def _row(wire: Wire, symbol: str, events: list[Event], trades: list[Execution], latest: Iterable[Fill]) -> OrderRow:
    """An order from its events and executions, newest first, and what trading tells of its fills.

    LIVE where it rests, and where its executions are less than either of the others say.
    """
    stood = _stood(events, trades)
    newest = stood[0]
    if not _is_of(wire, symbol, newest):
        raise StaleData("the venue's history is about another market")
    fills = [trade.fill for trade in trades]
    filled, kinds = trading.contracts(fills), {event.kind for event in events}
    told = [parsing.not_negative(parsing.part(event.order, "filled"), "filled") for event in events]
    amount = max(filled, *(_whole(order) for order in stood))
    state = ChildState.LIVE
    if filled < max(trading.contracts(latest), *told, ZERO):
        state = ChildState.LIVE
    elif "OrderRejected" in kinds and not filled and not any(event.missed for event in events):
        state = ChildState.REJECTED
    elif filled and (filled >= amount or not events):
        state = ChildState.FILLED
    elif kinds & {"OrderCancelled", "OrderRejected"} or parsing.part(newest, "orderType") not in RESTING:
        state = ChildState.CANCELED
    times = [_placed_at(newest), parsing.instant(parsing.part(newest, "lastUpdateTimestamp"), "time of a change")]
    return OrderRow(
        order_id=parsing.text_id(newest, "uid"),
        client_id=_client_id(newest),
        symbol=symbol,
        side=parsing.chosen(newest, "direction", trading.SIDES),
        amount=amount,
        filled=filled,
        average=trading.average(wire, symbol, fills),
        limit=parsing.not_negative(parsing.part(newest, "limitPrice"), "limitPrice") or None,
        state=state,
        at=times[0],
        changed_at=max([*times, *(fill.at for fill in fills)]),
        forced=parsing.part(newest, "orderType") in FORCED,
    )


def _stood(events: list[Event], trades: list[Execution]) -> list[Mapping[str, Any]]:
    """An order as it stood from time to time, newest first."""
    return [*(event.order for event in events), *(trade.order for trade in trades)]


def _whole(order: Mapping[str, Any]) -> Decimal:
    """What an order asked for: its quantity is what is left of that."""
    left, filled = (parsing.not_negative(parsing.part(order, name), name) for name in ("quantity", "filled"))
    return parsing.added(left, filled)
