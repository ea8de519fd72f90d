"""How Kraken's spot markets are asked, and how their answers are read.

Assets have names of their own (XXBT, ZUSD). A suffix says where a balance is: what is in ``.F`` earns by itself and is spent
under the asset's plain name, so it counts as that asset; what is staked or bonded (``.S``, ``.M``, ``.B`` ...) can't be spent,
and is an asset of its own, such as ``ETH.S``, which no fund trades. Fees are asked to be taken in the quote currency.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, UnfitAccount, VenueRefused
from keeper.domain.inspection import FeeRates, KeyFacts
from keeper.domain.market import Market, Side
from keeper.domain.numbers import exact
from keeper.domain.observation import MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.venues import listing, parsing
from keeper.venues.listing import OrderRow
from keeper.venues.speech.base import BOOK_LEVELS, Speech, Wallet, Wire, check_base64, resting, whole

SECOND = timedelta(seconds=1)
SOONEST, LATEST = timedelta(seconds=2), timedelta(seconds=60)
"""How far off the deadline of an order may be."""
PAGE = 50
MOST_TRADES = 20
"""How many trades may be asked for by their ids at once."""
FLEXIBLE = ".F"
NOTHING_RESTS = frozenset({"EOrder:Unknown order", "EOrder:Invalid order"})
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
STATES = {
    "pending": ChildState.LIVE,
    "open": ChildState.LIVE,
    "closed": ChildState.FILLED,
    "canceled": ChildState.CANCELED,
    "expired": ChildState.CANCELED,
}
YES, NO = "true", "false"
CENT = Decimal(100)


class Kraken(Speech):
    """Spot, without margin."""

    stated = ("amount", "cost")
    grain = SECOND

    def refusal(self, message: object) -> tuple[str, str] | None:
        """``{"error": ["EOrder:Insufficient funds"]}``; several errors together are none that a table knows."""
        errors = message.get("error") if isinstance(message, dict) else None
        if not isinstance(errors, list) or not errors:
            return None
        return "; ".join(str(one) for one in errors), ""

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """With the tick that the venue states: it can be coarser than the digits of a price."""
        found = super().market(symbol, entry)
        stated = parsing.part(entry, "info").get("tick_size")
        return found if stated is None else replace(found, tick=parsing.above_zero(stated, "tick_size"))

    async def time(self, wire: Wire) -> datetime:
        """Whole seconds."""
        return parsing.since_epoch(
            parsing.part(_result(await wire.ask("publicGetTime")), "unixtime"), "time of the venue", per_second=1
        )

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """Depth, which tells no time of its own."""
        answer = await _public(wire, "publicGetDepth", symbol, count=BOOK_LEVELS)
        return parsing.book(answer, wire.now)

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """The latest public trade."""
        rows = parsing.rows(await _public(wire, "publicGetTrades", symbol, count=1), "trades")
        found = []
        for row in rows:
            price, _, at, *_ = [*parsing.rows(row, "a trade"), None, None, None]
            found.append(
                (parsing.since_epoch(at, "time of the last price", per_second=1), parsing.above_zero(price, "last price"))
            )
        if not found:
            raise StaleData("the venue's answer holds no trade")
        at, paid = max(found)
        return paid, at

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """Ticker, whose second figures are of 24 hours."""
        answer = await _public(wire, "publicGetTicker", symbol)
        return parsing.day(
            volume=parsing.not_negative(_second(answer, "v"), "volume"),
            high=parsing.above_zero(_second(answer, "h"), "high"),
            low=parsing.above_zero(_second(answer, "l"), "low"),
        )

    def check_keys(self, credentials: Mapping[str, str]) -> None:
        """A secret that can sign."""
        check_base64(credentials["secret"])

    async def check_account(self, wire: Wire) -> None:
        """Keys that read, and nothing that was bought on margin."""
        if parsing.part({"positions": _result(await wire.ask("privatePostOpenPositions"))}, "positions"):
            message = (
                "the account has positions on margin, which Keeper does not read on kraken: close them, or use another account"
            )
            raise UnfitAccount("margin", message)

    async def wallet(self, wire: Wire) -> Wallet:
        """What open orders hold back is still the account's."""
        answer = _result(await wire.ask("privatePostBalance"))
        held: dict[str, Decimal] = {}
        for name, amount in _items(answer, "balances"):
            parsing.summed(held, wire.asset(name.removesuffix(FLEXIBLE)), parsing.finite(amount, "balance"))
        return Wallet(balances={asset: amount for asset, amount in held.items() if amount})

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market at once."""
        return resting(_rows(await _open(wire), wire))

    def parameters(self, request: OrderRequest, stamp: int, left: int) -> dict[str, object]:
        """The deadline in whole seconds, which must be 2 to 60 seconds off, and the fee in the quote currency."""
        if request.reduce_only:
            raise VenueRefused("reduce_only", "there is no position on spot that an order could reduce")
        now = parsing.instant(stamp, "stamp")
        deadline = (now + min(timedelta(milliseconds=left), LATEST)).replace(microsecond=0)
        if deadline - now < SOONEST:
            raise VenueRefused("deadline", "its deadline is less than 2 s off, which the venue does not take")
        return {
            "clientOrderId": request.client_id,
            "timeInForce": "IOC",
            "oflags": "fciq",
            "deadline": f"{deadline:%Y-%m-%dT%H:%M:%SZ}",
        }

    def placed(self, _wire: Wire, answer: object, _request: OrderRequest) -> OrderReport | str:
        """The order's id alone."""
        return parsing.named(parsing.only(parsing.rows(parsing.part(answer, "txid"), "order ids"), "order ids"), "order id")

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """Among the open orders, then among those that ended: one that ends in between is found there."""
        for told in (await _open(wire, cl_ord_id=client_id), (await _closed(wire, cl_ord_id=client_id))[0]):
            own = [row for row in _rows(told, wire) if row.client_id == client_id]
            if own:
                return listing.report(parsing.only(own, "orders of this client id"), symbol, client_id)
            if told:
                raise StaleData("the venue's answer is about other orders than the one asked for")
        return None

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """The trades that the order names, asked for twenty at a time."""
        told = await wire.ask("privatePostQueryOrders", txid=order_id, trades=YES, consolidate_taker=NO)
        orders = dict(_items(_result(told), "orders"))
        if orders.keys() != {order_id}:
            raise StaleData("the venue's answer is about another order")
        ids = [parsing.named(one, "trade id") for one in parsing.rows(orders[order_id].get("trades") or [], "trades")]
        if not ids and parsing.not_negative(parsing.part(orders[order_id], "vol_exec"), "vol_exec"):
            raise StaleData("the venue's answer tells a filled order without its trades")
        found: dict[str, Any] = {}
        for start in range(0, len(ids), MOST_TRADES):
            some = ids[start : start + MOST_TRADES]
            found |= dict(_items(_result(await wire.ask("privatePostQueryTrades", txid=",".join(some), trades=NO)), "trades"))
        if found.keys() != set(ids):
            raise StaleData("the venue's answer holds other trades than those of the order")
        return parsing.trades(_fill(trade_id, row, wire, symbol, order_id) for trade_id, row in found.items())

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Resting ones first, so that one which ends in between is told twice rather than not at all."""
        start = math.floor(since.timestamp()) - 1  # the start itself is left out
        rows = _rows(await _open(wire), wire)

        async def page(cursor: str | None) -> tuple[list[Any], str | None]:
            offset = int(cursor or 0)
            found, count = await _closed(wire, start=start, closetime="open", ofs=offset)
            following = offset + len(found)
            return _rows(found, wire), str(following) if found and following < count else None

        rows += await listing.every_page(page, "orders")
        return whole([row for row in rows if row.symbol == symbol], since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """Two codes say that nothing rests."""
        wire.market_id(symbol)
        answer = await wire.find("privatePostCancelOrder", NOTHING_RESTS, cl_ord_id=client_id)
        if answer is not None and parsing.number(_result(answer), "count") not in (0, 1):
            raise StaleData("the venue's answer is about other orders than one")

    async def dead_man(self, wire: Wire, _symbols: Sequence[str], within: timedelta | None) -> bool:
        """cancelAllOrdersAfter, in whole seconds: it cancels every order of the account, in whichever market."""
        seconds = 0 if within is None else math.ceil(within / SECOND)
        answer = _result(await wire.ask("privatePostCancelAllOrdersAfter", timeout=seconds))
        due = parsing.part(answer, "triggerTime")
        if seconds:
            wait = parsing.moment(due, "triggerTime") - parsing.moment(parsing.part(answer, "currentTime"), "currentTime")
            if abs(wait - timedelta(seconds=seconds)) > SECOND:
                raise StaleData("the venue's answer names another time")
        elif str(due) != "0":
            raise StaleData("the venue's answer still names a time")
        return True

    async def key(self, wire: Wire) -> KeyFacts:
        """What the venue tells of its own key."""
        answer = _result(await wire.ask("privatePostGetApiKeyInfo"))
        rights = {str(one) for one in parsing.rows(parsing.part(answer, "permissions"), "permissions")}
        until = parsing.part(answer, "validUntil")
        expires = parsing.not_negative(until, "validUntil") > 0
        return KeyFacts(
            may_trade="modify-trades" in rights,
            may_withdraw="withdraw-funds" in rights,
            ip_bound=bool(parsing.rows(parsing.part(answer, "ipAllowlist"), "addresses")),
            expires_at=parsing.since_epoch(until, "validUntil", per_second=1) if expires else None,
        )

    async def fees(self, wire: Wire, symbol: str) -> FeeRates | None:
        """Trade volume, which tells them in percent."""
        market = wire.market_id(symbol)
        answer = _result(await wire.ask("privatePostTradeVolume", pair=market))
        taker, maker = (_percent(parsing.part(parsing.part(answer, name), market)) for name in ("fees", "fees_maker"))
        return FeeRates(taker=taker, maker=maker)


@exact
def _percent(fee: object) -> Decimal:
    return parsing.number(fee, "fee") / CENT


def _result(answer: object) -> Any:
    """What an answer holds that names no error."""
    if parsing.part(answer, "error") != []:
        raise StaleData("the venue's answer says neither yes nor no")
    found = parsing.part(answer, "result")
    if not isinstance(found, dict):
        raise StaleData("the venue's answer has no result")
    return found


def _items(answer: object, what: str) -> list[tuple[str, Any]]:
    if not isinstance(answer, dict):
        raise StaleData(f"the venue's answer holds no {what}")
    return [(parsing.named(name, what), value) for name, value in answer.items()]


async def _public(wire: Wire, method: str, symbol: str, **more: object) -> Any:
    """What an answer says of one market."""
    market = wire.market_id(symbol)
    return parsing.part(_result(await wire.ask(method, pair=market, **more)), market)


def _second(answer: object, name: str) -> object:
    found = parsing.rows(parsing.part(answer, name), name)
    return found[1] if len(found) > 1 else None


async def _open(wire: Wire, **told: object) -> dict[str, Any]:
    return dict(_items(parsing.part(_result(await wire.ask("privatePostOpenOrders", **told)), "open"), "orders"))


async def _closed(wire: Wire, **told: object) -> tuple[dict[str, Any], int]:
    """One page, and how many there are on all of them."""
    answer = _result(await wire.ask("privatePostClosedOrders", **told))
    return dict(_items(parsing.part(answer, "closed"), "orders")), int(
        parsing.not_negative(parsing.part(answer, "count"), "count")
    )


def _symbol(wire: Wire, pair: str) -> str:
    """What ccxt calls a market that an order names by its alternative name."""
    known = wire.exchange.options["marketsByAltname"].get(pair)
    return wire.pair(pair) if known is None else str(known["symbol"])


def _rows(told: Mapping[str, Any], wire: Wire) -> list[OrderRow]:
    return [_row(order_id, message, wire) for order_id, message in told.items()]


def _row(order_id: str, message: object, wire: Wire) -> OrderRow:
    described = parsing.part(message, "descr")
    status, state = parsing.part(message, "status"), parsing.chosen(message, "status", STATES)
    amount, filled = (parsing.not_negative(parsing.part(message, name), name) for name in ("vol", "vol_exec"))
    opened = parsing.since_epoch(parsing.part(message, "opentm"), "time of an order", per_second=1)
    ended = None if state is ChildState.LIVE else parsing.part(message, "closetm")
    return OrderRow(
        order_id=parsing.named(order_id, "order id"),
        client_id=str(cast("dict[str, Any]", message).get("cl_ord_id") or ""),
        symbol=_symbol(wire, parsing.word(described, "pair")),
        side=parsing.chosen(described, "type", SIDES),
        amount=amount,
        filled=filled,
        average=parsing.positive(message, "price") if filled else None,
        limit=parsing.not_negative(parsing.part(described, "price"), "price") or None,
        state=listing.consistent(status, state, amount, filled),
        at=opened,
        changed_at=opened if state is ChildState.LIVE else parsing.since_epoch(ended, "time of an order's end", per_second=1),
    )


def _fill(trade_id: str, row: object, wire: Wire, symbol: str, order_id: str) -> Fill:
    if parsing.part(row, "ordertxid") != order_id or _symbol(wire, parsing.word(row, "pair")) != symbol:
        raise StaleData("the venue's answer is about a trade of another order")
    return Fill(
        trade_id=trade_id,
        symbol=symbol,
        side=parsing.chosen(row, "type", SIDES),
        amount=parsing.positive(row, "vol"),
        price=parsing.positive(row, "price"),
        fee=parsing.number(row, "fee"),
        fee_asset=str(wire.entry(symbol)["quote"]),
        at=parsing.since_epoch(parsing.part(row, "time"), "time of a trade", per_second=1),
    )
