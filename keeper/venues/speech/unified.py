"""Spot markets of an exchange without a speech of its own, through what ccxt makes of its answers.

ccxt's unified answers are read as strictly as raw ones; what they leave out is not guessed. No code of such an exchange is
known, so nothing that it says proves an order rejected: an order is settled by asking for it. What an exchange counts as
balance while a position is open differs too much to be read without knowing the exchange: derivatives are refused.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, VenueRefused, VenueUnavailable
from keeper.domain.market import FeeAsset, Market, MarketKind, Side
from keeper.domain.observation import MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.venues import listing, parsing
from keeper.venues.listing import OrderRow
from keeper.venues.speech.base import BOOK_LEVELS, Speech, Wallet, Wire, resting, whole

NEEDED = (
    "createOrder",
    "cancelOrder",
    "fetchBalance",
    "fetchMyTrades",
    "fetchOpenOrders",
    "fetchOrderBook",
    "fetchTicker",
    "fetchTime",
)
"""What ccxt must be able to do on an exchange; of those below one will do."""
PAST = ("fetchOrders", "fetchClosedOrders")
LOOK_BACK = timedelta(days=1)
FULL = 50
"""Rows of an answer from which on it may have been cut: the smallest page that exchanges are known for."""
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
STATES = {
    "open": ChildState.LIVE,
    "closed": ChildState.FILLED,
    "canceled": ChildState.CANCELED,
    "expired": ChildState.CANCELED,
    "rejected": ChildState.REJECTED,
}


def missing(has: Mapping[str, Any]) -> tuple[str, ...]:
    """What an exchange lacks of what Keeper needs, by ccxt's names. has: ccxt's table of what it can do."""
    lacking = [name for name in NEEDED if not has.get(name)]
    if not any(has.get(name) for name in PAST):
        lacking.append(" or ".join(PAST))
    return tuple(lacking)


class Unified(Speech):
    """Every exchange alike."""

    def refusal(self, message: object) -> tuple[str, str] | None:  # noqa: ARG002 - nothing is known of any code
        """Nothing proves anything."""
        return None

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """Of spot markets alone."""
        fee_in = FeeAsset.SETTLE if entry.get("feeSide") == "quote" else FeeAsset.RECEIVED
        market = parsing.market(symbol, entry, fee_in, self.stated)
        if market.kind is not MarketKind.SPOT:
            words = "derivatives are traded on exchanges that Keeper knows only: name a spot market, or another exchange"
            raise VenueRefused("derivative", f"{symbol}: {words}")
        return market

    async def time(self, wire: Wire) -> datetime:
        """Milliseconds."""
        return parsing.instant(await wire.unified("fetch_time"), "time of the venue")

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """A book that tells no time is of ``wire.now``."""
        answer = await wire.unified("fetch_order_book", symbol, BOOK_LEVELS)
        told = parsing.part(answer, "timestamp")
        return parsing.book(answer, wire.now if told is None else parsing.instant(told, "time of the book"))

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """The ticker's."""
        answer = await wire.unified("fetch_ticker", symbol)
        told = parsing.part(answer, "timestamp")
        return parsing.positive(answer, "last"), wire.now if told is None else parsing.instant(told, "time of the last price")

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """The ticker's."""
        answer = await wire.unified("fetch_ticker", symbol)
        return parsing.day(
            volume=parsing.not_negative(parsing.part(answer, "baseVolume"), "volume"),
            high=parsing.positive(answer, "high"),
            low=parsing.positive(answer, "low"),
        )

    async def check_account(self, wire: Wire) -> None:
        """The balance proves the keys."""
        await self.wallet(wire)

    async def wallet(self, wire: Wire) -> Wallet:
        """Free and used together."""
        total = parsing.part(await wire.unified("fetch_balance"), "total")
        if not isinstance(total, dict):
            raise StaleData("the venue's answer holds no balances")
        held = {
            str(asset): parsing.finite(amount, f"balance of {asset}") for asset, amount in total.items() if amount is not None
        }
        return Wallet(balances={asset: amount for asset, amount in held.items() if amount})

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market at once."""
        return resting(_rows(await wire.unified("fetch_open_orders")))

    def parameters(self, request: OrderRequest, stamp: int, left: int) -> dict[str, object]:  # noqa: ARG002 - see below
        """Names of ccxt's own; no deadline is known that every exchange would honour."""
        return {"clientOrderId": request.client_id, "timeInForce": "IOC"}

    def placed(self, wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:  # noqa: ARG002 - it is looked up
        """What an exchange answers proves nothing before the order was looked up by its client id."""
        return ""

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """Among what is open and what ended of late: most exchanges can't be asked for a client id."""
        told = [row for row in await self._told(wire, symbol, wire.now - LOOK_BACK) if row.client_id == client_id]
        return listing.report(told[-1], symbol, client_id) if told else None

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Among the account's latest trades in the market."""
        rows = parsing.rows(await wire.unified("fetch_my_trades", symbol), "trades")
        return parsing.trades(_fill(row, symbol) for row in rows if str(parsing.part(row, "order")) == order_id)

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Open ones and ended ones."""
        return whole(await self._told(wire, symbol, since), since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """By the exchange's id of an order that is open."""
        for row in _rows(await wire.unified("fetch_open_orders", symbol)):
            if row.client_id == client_id:
                await wire.unified("cancel_order", row.order_id, symbol)

    async def _told(self, wire: Wire, symbol: str, since: datetime) -> list[OrderRow]:
        if wire.exchange.has.get("fetchOrders"):
            return await _from(wire, "fetch_orders", symbol, since)
        # first, so that an order that ends meanwhile is in one of the lists
        told = _rows(await wire.unified("fetch_open_orders", symbol))
        told += await _from(wire, "fetch_closed_orders", symbol, since)
        if wire.exchange.has.get("fetchCanceledOrders"):
            told += await _from(wire, "fetch_canceled_orders", symbol, since)
        return told


async def _from(wire: Wire, method: str, symbol: str, since: datetime) -> list[OrderRow]:
    """The orders from a time on, asked for again from the newest one on until nothing new is told."""
    found: dict[str, OrderRow] = {}
    start = parsing.milliseconds(since)
    for _ in range(listing.MOST_PAGES):
        rows = _rows(await wire.unified(method, symbol, start))
        fresh = [row for row in rows if row.order_id not in found]
        found |= {row.order_id: row for row in rows}
        if not fresh or len(rows) < FULL:
            return list(found.values())
        oldest = parsing.milliseconds(min(row.at for row in rows))
        if oldest > start and start == parsing.milliseconds(since) and len(rows) >= FULL and _newest_first(rows):
            raise VenueUnavailable(f"it tells its newest {len(rows)} orders only, so some may be missing: ask for fewer days")
        start = parsing.milliseconds(max(row.at for row in rows))
    raise VenueUnavailable(f"its orders fill more than {listing.MOST_PAGES} pages: ask for fewer days")


def _newest_first(rows: Sequence[OrderRow]) -> bool:
    return rows[0].at > rows[-1].at


def _rows(message: object) -> list[OrderRow]:
    return [_row(row) for row in parsing.rows(message, "orders")]


def _row(message: object) -> OrderRow:
    amount = parsing.above_zero(parsing.part(message, "amount"), "amount")
    filled = parsing.not_negative(parsing.part(message, "filled"), "filled")
    status, state = parsing.part(message, "status"), parsing.chosen(message, "status", STATES)
    if state is ChildState.FILLED and filled < amount:
        state = ChildState.CANCELED  # "closed" is said of an order that ended in part as well
    price, average = parsing.part(message, "price"), parsing.part(message, "average")
    at = parsing.instant(parsing.part(message, "timestamp"), "time of an order")
    changed = message.get("lastUpdateTimestamp") if isinstance(message, dict) else None
    return OrderRow(
        order_id=parsing.named(parsing.part(message, "id"), "order id"),
        client_id=str(parsing.part(message, "clientOrderId") or ""),
        symbol=parsing.word(message, "symbol"),
        side=parsing.chosen(message, "side", SIDES),
        amount=amount,
        filled=filled,
        average=parsing.above_zero(average, "average") if filled and average is not None else None,
        limit=parsing.not_negative(price, "price") or None if price is not None else None,
        state=listing.consistent(status, state, amount, filled),
        at=at,
        changed_at=at if changed is None else parsing.instant(changed, "time of an order's last change"),
    )


def _fill(row: object, symbol: str) -> Fill:
    fee = parsing.part(row, "fee")
    return Fill(
        trade_id=parsing.named(parsing.part(row, "id"), "trade id"),
        symbol=symbol,
        side=parsing.chosen(row, "side", SIDES),
        amount=parsing.positive(row, "amount"),
        price=parsing.positive(row, "price"),
        fee=parsing.number(fee, "cost"),
        fee_asset=parsing.word(fee, "currency"),
        at=parsing.instant(parsing.part(row, "timestamp"), "time of a trade"),
    )
