"""How Binance's markets are asked, and how their answers are read, without ccxt's parsers.

ccxt's unified reads lose what a size depends on: fetch_balance gives the margin balance for the wallet, fetch_positions drops
a row whose entry price it can't read, fetch_order_book turns text into floats, fetch_order takes any script's digits, and
fetch_open_orders and fetch_my_trades answer {} and HTML with an empty list.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, cast

from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import KeyFacts
from keeper.domain.market import Side
from keeper.domain.observation import MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.venues import listing, parsing
from keeper.venues.concurrency import together
from keeper.venues.listing import OrderRow
from keeper.venues.speech.base import BOOK_LEVELS, Speech, Wire, resting, whole

YES_OR_NO = {True: True, False: False}
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
LONGEST_WINDOW = 60_000
"""Milliseconds, the longest life that Binance grants to a request on its way."""
NOT_FOUND = frozenset({"-2013"})
# spot says more than this with the code, such as that an account may not cancel
NOTHING_RESTS = frozenset({"-2011 Unknown order sent."})
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
REFUSED_HERE = frozenset({"-2015"})
ADDRESS = (
    "the key may not be used from this machine's address, or may not read: add the address to the key's allow-list on the"
    " exchange's site, and let the key read"
)
"""A key that does not exist is refused by the wallet with another code."""
TAKEN_OVER = ("NEW_INSURANCE", "NEW_ADL")
FORCED = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-")
"""How the client ids begin of orders that the venue itself placed, to liquidate, to deleverage or to settle."""


class Binance(Speech):
    """What USD-M, COIN-M and spot have in common.

    calls: ccxt's raw methods; span, most_orders: the longest, and the most orders, that one look back may cover; placed_at: the
    only time in the answer to an order; leave: what a key's permission to trade is called.
    """

    calls: ClassVar[Mapping[str, str]]
    span: timedelta
    most_orders = listing.MOST_ROWS
    stated: Collection[str] = ("price", "amount", "cost")
    cancel_echo = "clientOrderId"
    placed_at = "updateTime"
    leave: str

    def refusal(self, message: object) -> tuple[str, str] | None:
        """``{"code": -2019, "msg": "Margin is insufficient."}``."""
        code = message.get("code") if isinstance(message, dict) else None
        if isinstance(code, bool) or not isinstance(code, int | str):
            return None
        return str(code), str(cast("dict[str, Any]", message).get("msg", ""))

    async def time(self, wire: Wire) -> datetime:
        """The field serverTime."""
        return parsing.instant(parsing.part(await wire.ask(self.calls["time"]), "serverTime"), "time of the venue")

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """Depth."""
        answer = await wire.ask(self.calls["book"], symbol=wire.market_id(symbol), limit=BOOK_LEVELS)
        return parsing.book(answer, self._dated(answer, wire))

    def _dated(self, answer: object, _wire: Wire) -> datetime:
        return parsing.instant(parsing.part(answer, "T"), "time of the book")

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """Ticker price."""
        answer = await self._asked(wire, "last", symbol)
        return parsing.positive(answer, "price"), self._paid_at(answer, wire)

    def _paid_at(self, answer: object, _wire: Wire) -> datetime:
        return parsing.instant(parsing.part(answer, "time"), "time of the last price")

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """Ticker of 24 hours."""
        answer = await self._asked(wire, "day", symbol)
        return parsing.day(
            volume=parsing.not_negative(parsing.part(answer, "volume"), "volume"),
            high=parsing.positive(answer, "highPrice"),
            low=parsing.positive(answer, "lowPrice"),
        )

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market at once."""
        return resting(self._rows(await wire.ask(self.calls["orders"]), wire))

    async def open_orders_of(self, wire: Wire, symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        """Of each market by itself, which weighs a fortieth on USD-M."""
        asked = (wire.ask(self.calls["orders"], symbol=wire.market_id(symbol)) for symbol in symbols)
        answers = await together(*asked)
        return resting([row for answer in answers for row in self._rows(answer, wire)])

    def parameters(self, request: OrderRequest, stamp: int, left: int) -> dict[str, object]:
        """Timestamp and recvWindow are the deadline, as this machine's clock tells it: later the venue refuses the order."""
        return {
            "newClientOrderId": request.client_id,
            "timeInForce": "IOC",
            "timestamp": stamp,
            "recvWindow": min(left, LONGEST_WINDOW),
            **({"reduceOnly": True} if request.reduce_only else {}),
        }

    def placed(self, wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """The whole order, but for the time when it was placed."""
        at = parsing.part(answer, self.placed_at)
        told = {**cast("dict[str, Any]", answer), "time": at, "updateTime": at}
        return listing.report(self.row(told, self._symbol(wire)), request.symbol, request.client_id)

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """-2013 says that there is none."""
        market = wire.market_id(symbol)
        answer = await wire.find(self.calls["order"], NOT_FOUND, symbol=market, origClientOrderId=client_id)
        return None if answer is None else listing.report(self.row(answer, self._symbol(wire)), symbol, client_id)

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Trades of the order; where they fill a page, again from the first id on."""
        market = wire.market_id(symbol)

        async def page(first: int | None) -> list[Any]:
            start = {} if first is None else {"fromId": first}
            answer = await wire.ask(self.calls["trades"], symbol=market, orderId=order_id, limit=listing.MOST_ROWS, **start)
            for row in parsing.rows(answer, "trades"):
                parsing.about(row, market)
            return cast("list[Any]", answer)

        found = await listing.every_trade(page)
        own = [row for row in found if parsing.identity(parsing.part(row, "orderId"), "order id") == order_id]
        return parsing.trades(self._fill(row, symbol, wire) for row in own)

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Binance forgets an order that ended without a trade: after 3 days on futures, after 90 on spot."""
        market, most = wire.market_id(symbol), self.most_orders

        async def ask(first: int, last: int) -> object:
            return await wire.ask(self.calls["history"], symbol=market, startTime=first, endTime=last, limit=most)

        rows = await listing.every_row(ask, since, wire.now, span=self.span, most=most)
        for row in rows:
            parsing.about(row, market)
        return whole(self._rows(rows, wire), since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """-2011 says that nothing rests."""
        market = wire.market_id(symbol)
        answer = await wire.find(self.calls["cancel"], NOTHING_RESTS, symbol=market, origClientOrderId=client_id)
        if answer is not None and parsing.part(answer, self.cancel_echo) != client_id:
            raise StaleData("the venue's answer is about another order")

    async def key(self, wire: Wire) -> KeyFacts:
        """Restrictions of the key, which the live wallet tells; a demo account has no wallet to ask."""
        if "sapi" not in wire.exchange.urls["api"]:
            return KeyFacts()
        answer = await wire.find("sapiGetAccountApiRestrictions", REFUSED_HERE)
        if answer is None:
            raise VenueRefused("address", ADDRESS)
        ends = cast("dict[str, Any]", answer).get("tradingAuthorityExpirationTime")
        return KeyFacts(
            may_trade=parsing.chosen(answer, self.leave, YES_OR_NO),
            may_withdraw=parsing.chosen(answer, "enableWithdrawals", YES_OR_NO),
            ip_bound=parsing.chosen(answer, "ipRestrict", YES_OR_NO),
            expires_at=None if ends is None else parsing.instant(ends, "end of the key's permission to trade"),
        )

    async def _asked(self, wire: Wire, call: str, symbol: str) -> object:
        market = wire.market_id(symbol)
        return parsing.about(await wire.ask(self.calls[call], symbol=market), market)

    def _symbol(self, wire: Wire) -> Callable[[str], str]:
        return wire.contract

    def _rows(self, message: object, wire: Wire) -> list[OrderRow]:
        return [self.row(row, self._symbol(wire)) for row in parsing.rows(message, "orders")]

    def row(self, message: object, symbol: Callable[[str], str]) -> OrderRow:
        """One order; ``symbol`` turns the venue's name of a market into ccxt's."""
        client_id = parsing.word(message, "clientOrderId")
        amount, filled = (parsing.not_negative(parsing.part(message, name), name) for name in ("origQty", "executedQty"))
        return OrderRow(
            order_id=parsing.identity(parsing.part(message, "orderId"), "order id"),
            client_id=client_id,
            symbol=symbol(parsing.word(message, "symbol")),
            side=parsing.chosen(message, "side", SIDES),
            amount=amount,
            filled=filled,
            average=self._average(message, filled) if filled else None,
            limit=parsing.not_negative(parsing.part(message, "price"), "price") or None,
            state=_state(message, amount, filled),
            forced=client_id.startswith(FORCED),
            at=parsing.instant(parsing.part(message, "time"), "time of an order"),
            changed_at=parsing.instant(parsing.part(message, "updateTime"), "time of an order's last change"),
        )

    def _average(self, message: object, _filled: Decimal) -> Decimal:
        return parsing.positive(message, "avgPrice")

    def _side(self, message: object) -> Side:
        return parsing.chosen(message, "side", SIDES)

    def _fill(self, row: object, symbol: str, wire: Wire) -> Fill:
        return Fill(
            trade_id=parsing.identity(parsing.part(row, "id"), "trade id"),
            symbol=symbol,
            side=self._side(row),
            amount=parsing.positive(row, "qty"),
            price=parsing.positive(row, "price"),
            fee=parsing.number(row, "commission"),
            fee_asset=wire.asset(parsing.word(row, "commissionAsset")),
            at=parsing.instant(parsing.part(row, "time"), "time of a trade"),
        )


def _state(message: object, amount: Decimal, filled: Decimal) -> ChildState:
    status, state = parsing.part(message, "status"), parsing.chosen(message, "status", STATES)
    if status in TAKEN_OVER and filled and filled == amount:
        state = _DONE
    prevented = Decimal(0)
    if isinstance(message, dict):
        prevented = parsing.not_negative(message.get("preventedQuantity", "0"), "preventedQuantity")
    if status == "PARTIALLY_FILLED" and not (filled > 0 and filled + prevented != amount):
        raise StaleData(f"the venue's answer says {status}, and that {filled} of {amount} was filled")
    return listing.consistent(status, state, amount, filled, prevented=prevented, untouched=status == "NEW")
