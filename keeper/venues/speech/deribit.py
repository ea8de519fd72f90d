"""How Deribit is asked, and how its answers are read.

Amounts are dollars on inverse markets and coins on linear ones; Keeper counts them as contracts of 1. Profits are settled every
day at 08:00 UTC: they then go into the balance and count anew from the settlement price, so that an account is worth its
balance, what it has realised since, and its positions' floating profit; the average price of a position that outlived a
settlement says nothing of that. Orders are known by their label, which need not be the only one of its kind, and are placed
by GET. Orders that ended are kept apart after 30 minutes, trades after a day. There is no hedge mode, and no switch for the dead.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from keeper.domain.book import OrderBook
from keeper.domain.errors import InvariantViolation, StaleData
from keeper.domain.inspection import FeeRates
from keeper.domain.market import Market
from keeper.domain.numbers import ZERO, exact
from keeper.domain.observation import MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.venues import listing, parsing
from keeper.venues.listing import OrderRow
from keeper.venues.speech.base import BOOK_LEVELS, Mark, Wire, resting, whole
from keeper.venues.speech.deribit_account import SIDES, DeribitAccount, result

FULL_PAGE = 1000
STATES = {
    "open": ChildState.LIVE,
    "untriggered": ChildState.LIVE,
    "triggered": ChildState.LIVE,
    "filled": ChildState.FILLED,
    "cancelled": ChildState.CANCELED,
    "rejected": ChildState.REJECTED,
}
NO_PRICE = "market_price"
NO_SUCH_ORDER = frozenset({"10004"})
WHEN = (False, True)
"""Recent records, and older ones, which are kept apart."""


class Deribit(DeribitAccount):
    """Perpetuals, inverse and linear."""

    stated = ("amount",)

    def prepare(self, exchange: Any) -> None:
        """A nonce of its own for each request: ccxt's is the time, and two of one millisecond would be taken for a repetition."""
        exchange.nonce = lambda: secrets.token_hex(16)

    def refusal(self, message: object) -> tuple[str, str] | None:
        """``{"error": {"code": 10009, "message": "not_enough_funds", "data": {"reason": ...}}}``."""
        error = message.get("error") if isinstance(message, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, bool) or not isinstance(code, int):
            return None
        told = cast("dict[str, Any]", error)
        data = told.get("data")
        reason = data.get("reason", data.get("invalid")) if isinstance(data, dict) else None
        return str(code), ": ".join(part for part in (told.get("message"), reason) if isinstance(part, str))

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """Contracts of 1; a perpetual's day of expiry, in the year 3000, is left out; the coarsest tick holds at any price."""
        perpetual = {"expiry": None} if entry.get("swap") else {}
        market = parsing.market(symbol, {**entry, "contractSize": "1", **perpetual}, self.fee_in, self.stated)
        steps = parsing.rows(entry["info"].get("tick_size_steps") or [], "ticks")
        return replace(market, tick=max(market.tick, *(parsing.positive(step, "tick_size") for step in steps), ZERO))

    async def time(self, wire: Wire) -> datetime:
        """The result of get_time."""
        return parsing.instant(result(await wire.ask("publicGetGetTime")), "time of the venue")

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """The order book."""
        market = wire.market_id(symbol)
        answer = result(await wire.ask("publicGetGetOrderBook", instrument_name=market, depth=BOOK_LEVELS))
        told = parsing.about(answer, market, "instrument_name")
        return parsing.book(told, parsing.instant(parsing.part(told, "timestamp"), "time of the book"))

    async def mark(self, wire: Wire, symbol: str) -> Mark | None:
        """Of the ticker."""
        ticker = await self._ticker(wire, symbol)
        return Mark(
            price=parsing.positive(ticker, "mark_price"),
            index=parsing.positive(ticker, "index_price"),
            at=parsing.instant(parsing.part(ticker, "timestamp"), "time of the mark"),
        )

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """Of the ticker, which does not tell when it was paid."""
        return parsing.positive(await self._ticker(wire, symbol), "last_price"), wire.now

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """Of the ticker; its volume is coins."""
        stats = parsing.part(await self._ticker(wire, symbol), "stats")
        return parsing.day(
            volume=parsing.not_negative(parsing.part(stats, "volume"), "volume"),
            high=parsing.positive(stats, "high"),
            low=parsing.positive(stats, "low"),
        )

    async def _ticker(self, wire: Wire, symbol: str) -> object:
        market = wire.market_id(symbol)
        return parsing.about(result(await wire.ask("publicGetTicker", instrument_name=market)), market, "instrument_name")

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market at once, those that wait for a trigger among them."""
        return resting(self._rows(wire, result(await wire.ask("privateGetGetOpenOrders"))))

    def parameters(self, request: OrderRequest, stamp: int, left: int) -> dict[str, object]:
        """The field valid_until is the deadline, by the venue's clock: later the order is not processed."""
        return {
            "label": request.client_id,
            "timeInForce": "IOC",
            "valid_until": stamp + left,
            **({"reduceOnly": True} if request.reduce_only else {}),
        }

    def placed(self, wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """The whole order."""
        return listing.report(self.row(answer, wire.contract), request.symbol, request.client_id)

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """Recent orders by their label, then all past ones of the market.

        InvariantViolation where two have the label: one of them was sent twice, or by somebody else, and nobody can tell which
        is meant.
        """
        currency = str(wire.entry(symbol)["settleId"])
        recent = result(await wire.ask("privateGetGetOrderStateByLabel", currency=currency, label=client_id))
        found = self._named(wire, recent, client_id)
        if len(found) < len(recent):
            raise StaleData("the venue's answer about a label has an order twice, or one of another label")
        found = found or self._named(wire, await self._past(wire, symbol), client_id)
        if len(found) > 1:
            raise InvariantViolation(f"the venue has {len(found)} orders labelled {client_id}: {', '.join(sorted(found))}")
        return next((listing.report(row, symbol, client_id) for row in found.values()), None)

    def _named(self, wire: Wire, told: object, client_id: str) -> dict[str, OrderRow]:
        return {row.order_id: row for row in self._rows(wire, told) if row.client_id == client_id}

    async def _past(self, wire: Wire, symbol: str) -> list[Any]:
        """Every order of a market that ended, those too that nothing was filled of."""
        found: list[Any] = []
        for historical in WHEN:
            found += await listing.every_page(self._page(wire, symbol, historical=historical), "past orders")
        return found

    def _page(self, wire: Wire, symbol: str, *, historical: bool) -> Callable[[str | None], Any]:
        market = wire.market_id(symbol)

        async def page(cursor: str | None) -> tuple[list[Any], str | None]:
            start = int(cursor or 0)
            answer = await wire.ask(
                "privateGetGetOrderHistoryByInstrument",
                instrument_name=market,
                count=FULL_PAGE,
                offset=start,
                include_old="true",
                include_unfilled="true",
                historical=str(historical).lower(),
            )
            rows = parsing.rows(result(answer), "past orders")
            for row in rows:
                parsing.about(row, market, "instrument_name")
            return rows, str(start + len(rows)) if len(rows) >= FULL_PAGE else None

        return page

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Trades of the order, recent and older ones, each of them once."""
        market = wire.market_id(symbol)
        found: dict[str, Fill] = {}
        for historical in WHEN:
            answer = await wire.find(
                "privateGetGetUserTradesByOrder", NO_SUCH_ORDER, order_id=order_id, historical=str(historical).lower()
            )
            for row in [] if answer is None else parsing.rows(result(answer), "trades"):
                parsing.about(row, market, "instrument_name")
                if parsing.text_id(row, "order_id") != order_id:
                    raise StaleData("the venue's answer is about another order")
                fill = self._fill(wire, symbol, row)
                if found.setdefault(fill.trade_id, fill) != fill:
                    raise StaleData("the venue's answers tell one trade in two ways")
        return parsing.trades(found.values())

    def _fill(self, wire: Wire, symbol: str, row: object) -> Fill:
        return Fill(
            trade_id=parsing.text_id(row, "trade_id"),
            symbol=symbol,
            side=parsing.chosen(row, "direction", SIDES),
            amount=parsing.positive(row, "amount"),
            price=parsing.positive(row, "price"),
            fee=parsing.number(row, "fee"),
            fee_asset=wire.asset(parsing.word(row, "fee_currency")),
            at=parsing.instant(parsing.part(row, "timestamp"), "time of a trade"),
        )

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Those that rest, and past ones: asked for last, so that what ends in between is among them."""
        market = wire.market_id(symbol)
        answer = await wire.ask("privateGetGetOpenOrdersByInstrument", instrument_name=market)
        rows = self._rows(wire, result(answer))
        past = self._rows(wire, await self._past(wire, symbol))
        if any(row.symbol != symbol for row in rows):
            raise StaleData("the venue's answer is about another market")
        return whole([*rows, *past], since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """Every order of the label; the answer is how many rested."""
        currency = str(wire.entry(symbol)["settleId"])
        answer = result(await wire.ask("privateGetCancelByLabel", currency=currency, label=client_id))
        parsing.not_negative(answer, "number of canceled orders")

    def _rows(self, wire: Wire, told: object) -> list[OrderRow]:
        return [self.row(row, wire.contract) for row in parsing.rows(told, "orders")]

    def row(self, message: object, symbol: Callable[[str], str]) -> OrderRow:
        """One order; ``symbol`` turns the venue's name of a market into ccxt's."""
        amount, filled = (parsing.not_negative(parsing.part(message, name), name) for name in ("amount", "filled_amount"))
        state = parsing.chosen(message, "order_state", STATES)
        told = cast("dict[str, Any]", message)
        price = parsing.part(message, "price")
        return OrderRow(
            order_id=parsing.text_id(message, "order_id"),
            client_id="" if told.get("label", "") == "" else parsing.word(message, "label"),
            symbol=symbol(parsing.word(message, "instrument_name")),
            side=parsing.chosen(message, "direction", SIDES),
            amount=amount,
            filled=filled,
            average=parsing.positive(message, "average_price") if filled else None,
            limit=None if price == NO_PRICE else parsing.not_negative(price, "price") or None,
            state=listing.consistent(told["order_state"], state, amount, filled, untouched=state is ChildState.REJECTED),
            forced=told.get("is_liquidation") is True,
            at=parsing.instant(parsing.part(message, "creation_timestamp"), "time of an order"),
            changed_at=parsing.instant(parsing.part(message, "last_update_timestamp"), "time of an order's last change"),
        )

    def most_leverage(self, entry: Mapping[str, Any]) -> Decimal | None:
        """The instrument's: margin grows with a position, by how much is not told."""
        told = entry["info"].get("max_leverage")
        return None if told is None else parsing.above_zero(told, "max_leverage")

    async def fees(self, wire: Wire, symbol: str) -> FeeRates | None:
        """The market's, unless the account has its own: rates, or multiples of the market's."""
        entry = wire.entry(symbol)
        market = self.market(symbol, entry)
        for row in await self.summaries(wire):
            for fee in parsing.rows(row.get("fees") or [], "fees"):
                if fee.get("kind") == "perpetual" and fee.get("index_name") == entry["info"].get("price_index"):
                    return _rates(parsing.part(parsing.part(fee, "value"), "default"), market)
        return FeeRates(taker=market.taker, maker=market.maker)


@exact
def _rates(told: object, market: Market) -> FeeRates:
    taker, maker = parsing.number(told, "taker"), parsing.number(told, "maker")
    if parsing.chosen(told, "type", {"fixed": False, "relative": True}):
        taker, maker = taker * market.taker, maker * market.maker
    return FeeRates(taker=taker, maker=maker)
