"""How Hyperliquid is asked, and how its answers are read: perpetuals in USDC on a chain of its own.

Whatever is read is public, and asked for by the account's address; whatever changes something is signed, by the account's own
key or by that of an API wallet that may act for it and can't withdraw.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, VenueRefused, VenueUnavailable
from keeper.domain.market import Market
from keeper.domain.numbers import ONE, ZERO
from keeper.domain.observation import MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.venues import listing, parsing
from keeper.venues.listing import OrderRow
from keeper.venues.speech import hyperliquid_rows as rows
from keeper.venues.speech.base import Mark, Wire, resting, whole
from keeper.venues.speech.hyperliquid_account import HyperliquidAccount, coin_of, info, symbols_of, user_of

DAY = timedelta(days=1)
PRICE_DIGITS = 5
PRICE_DECIMALS = 6
MOST_ROWS = 2000
"""Trades, or orders of the past, that one answer may hold."""
MOST_TRADES = 10_000
"""Trades that the venue remembers."""
SIGNED = ("order", "cancelByCloid", "scheduleCancel")
SHORTEST_COUNTDOWN = timedelta(seconds=5)
NOT_FOUND = frozenset({"unknownOid"})
NOTHING_RESTS = frozenset({"Order was never placed, already canceled, or filled"})
NO_SWITCH = frozenset({"Cannot set scheduled cancel time until enough volume traded. Required"})
_VARIABLE = re.compile(r"[\s.:,]*(?:asset=|0x|\$?\d|\()")
UNMATCHED = frozenset({"Order could not immediately match against any resting orders", "No liquidity available for market order"})
"""What is said of an order that was taken and found nothing within its limit."""


class Hyperliquid(HyperliquidAccount):
    """Perpetuals of the exchange itself, none of those that others list there."""

    stated = ("cost",)

    def prepare(self, exchange: Any) -> None:
        """Sign what was asked for and nothing else, and orders with their deadline.

        By itself ccxt signs an approval of fees for itself, and names itself as the account's referrer, before whatever else it
        signs; and it can't be told when an order expires, which is part of what is signed.
        """

        async def nothing() -> bool:
            return True

        exchange.initialize_client = exchange.handle_builder_fee_approval = exchange.set_ref = nothing
        made, sign = exchange.create_orders_request, exchange.sign_l1_action

        def signed(action: Mapping[str, Any], nonce: int, vault: object = None, expiry: int | None = None) -> object:
            if action["type"] not in SIGNED or "builder" in action or vault is not None:
                raise VenueRefused("signature", f"an action {str(action['type'])[:40]} was to be signed that Keeper never sends")
            return sign(action, nonce, None, expiry)

        def never_signed(*_told: object) -> object:
            raise VenueRefused(
                "signature", "something was to be signed that is no order: Keeper moves nothing and approves nothing"
            )

        exchange.sign_l1_action, exchange.sign_user_signed_action = signed, never_signed

        def with_its_deadline(orders: list[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
            [order] = orders
            request: dict[str, Any] = made(orders, parameters)
            expiry = order["params"]["expiresAfter"]
            signature = exchange.sign_l1_action(request["action"], request["nonce"], None, expiry)
            return {**request, "signature": signature, "expiresAfter": expiry}

        exchange.create_orders_request = with_its_deadline

    def refusal(self, message: object) -> tuple[str, str] | None:
        """Text without a code, of which the part that is always the same stands for one."""
        if not isinstance(message, dict):
            return None
        if message.get("status") in NOT_FOUND:
            return str(message["status"]), ""
        said = message.get("response") if message.get("status") == "err" else _order_error(message)
        return (_VARIABLE.split(said, maxsplit=1)[0].rstrip(" .:"), said) if isinstance(said, str) else None

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """A price has five significant digits at most, unless it is whole, and fewer decimals the smaller a lot is."""
        read = super().market(symbol, entry)
        decimals = PRICE_DECIMALS - int(
            parsing.not_negative(parsing.part(parsing.part(entry, "info"), "szDecimals"), "szDecimals")
        )
        return replace(read, tick=ONE.scaleb(-decimals), digits=PRICE_DIGITS)

    async def time(self, wire: Wire) -> datetime:
        """Status of the exchange."""
        return parsing.instant(parsing.part(await info(wire, "exchangeStatus"), "time"), "time of the venue")

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """Twenty levels, which are all that there are to be had."""
        coin = coin_of(wire, symbol)
        answer = parsing.about(await info(wire, "l2Book", coin=coin), coin, "coin")
        sides = parsing.rows(parsing.part(answer, "levels"), "sides")
        if len(sides) != 2:  # noqa: PLR2004 - bids and asks
            raise StaleData(f"the venue's answer holds {len(sides)} sides of a book")
        bids, asks = (
            [[parsing.part(one, "px"), parsing.part(one, "sz")] for one in parsing.rows(side, "levels")] for side in sides
        )
        return parsing.levels(bids, asks, parsing.instant(parsing.part(answer, "time"), "time of the book"))

    async def mark(self, wire: Wire, symbol: str) -> Mark | None:
        """Mark and oracle price; only those of all markets at once are told, and not when."""
        coin = coin_of(wire, symbol)
        answer = parsing.rows(await info(wire, "metaAndAssetCtxs"), "markets")
        if len(answer) != 2:  # noqa: PLR2004 - what they are called, and what they cost
            raise StaleData(f"the venue's answer holds {len(answer)} lists of markets")
        names = [parsing.word(one, "name") for one in parsing.rows(parsing.part(answer[0], "universe"), "markets")]
        contexts = parsing.rows(answer[1], "marks")
        if names.count(coin) != 1 or len(names) != len(contexts):
            raise StaleData(f"the venue's answer does not tell the mark of {coin} from others")
        context = contexts[names.index(coin)]
        return Mark(price=parsing.positive(context, "markPx"), index=parsing.positive(context, "oraclePx"), at=wire.now)

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """The latest of the recent trades."""
        coin = coin_of(wire, symbol)
        paid = [
            (
                parsing.instant(parsing.part(parsing.about(one, coin, "coin"), "time"), "time of a trade"),
                parsing.positive(one, "px"),
            )
            for one in parsing.rows(await info(wire, "recentTrades", coin=coin), "trades")
        ]
        if not paid:
            raise StaleData(f"nobody trades {coin}")
        at, price = max(paid, key=lambda one: one[0])
        return price, at

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """The candles of an hour that began in the last 24."""
        coin, start = coin_of(wire, symbol), parsing.milliseconds(wire.now - DAY)
        asked = {"coin": coin, "interval": "1h", "startTime": start, "endTime": wire.stamp}
        candles = parsing.rows(await info(wire, "candleSnapshot", req=asked), "candles")
        hours = [parsing.about(one, coin, "s") for one in candles if parsing.number(one, "t") >= start]
        if not hours:
            raise StaleData(f"nobody traded {coin} for a day")
        volume = ZERO
        for one in hours:
            volume = parsing.added(volume, parsing.not_negative(parsing.part(one, "v"), "volume"))
        high, low = max(parsing.positive(one, "h") for one in hours), min(parsing.positive(one, "l") for one in hours)
        return parsing.day(volume=volume, high=high, low=low)

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market at once, conditional ones too."""
        told = [rows.resting(one) for one in parsing.rows(await info(wire, "frontendOpenOrders", user=user_of(wire)), "orders")]
        return resting(await self._rows(wire, told))

    def parameters(self, request: OrderRequest, stamp: int, left: int) -> dict[str, object]:
        """The deadline is signed with the order, which the venue takes no later."""
        return {
            "clientOrderId": rows.cloid(request.client_id),
            "timeInForce": "Ioc",
            "reduceOnly": request.reduce_only,
            "expiresAfter": stamp + left,
        }

    def written(self, client_id: str) -> str:
        """Their client id for ours."""
        return rows.cloid(client_id)

    def missed(self, _wire: Wire, message: object, _request: OrderRequest) -> OrderReport | str | None:
        """Its words say that it was taken, and no id: it is looked up."""
        told = self.refusal(message)
        return "" if told is not None and told[0] in UNMATCHED else None

    def placed(self, _wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """An order id, and not always our client id; how much was filled, but not what became of the rest."""
        filled = answer.get("filled") if isinstance(answer, dict) else None
        told = parsing.part(answer, "resting") if filled is None else filled
        order_id = parsing.identity(parsing.part(told, "oid"), "order id")
        echo = cast("dict[str, Any]", told).get("cloid")
        if echo is None:
            return order_id
        if rows.client_id(echo) != request.client_id:
            raise StaleData("the venue's answer is not about this order: another client order id")
        if filled is None or parsing.positive(filled, "totalSz") != request.amount:
            return listing.taken(order_id, request.client_id)
        average = parsing.positive(filled, "avgPx")
        if (average - request.price) * request.side.sign > 0:
            raise StaleData(f"the venue's answer says that a {request.side} at {request.price} was filled at {average}")
        return replace(
            listing.taken(order_id, request.client_id), state=ChildState.FILLED, filled=request.amount, average=average
        )

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """The word unknownOid says that there is none, open or ended."""
        told = await self._status(wire, rows.cloid(client_id))
        if told is None:
            return None
        [row] = await self._rows(wire, [told])
        return listing.report(row, symbol, client_id)

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """The account's trades since the order was placed, as far as they are its own."""
        told = await self._status(wire, int(order_id))
        if told is None:
            raise StaleData(f"the venue has forgotten order {order_id}")
        row = rows.order(told, symbols_of(wire))
        own = [one.fill for one in await self._trades(wire, row.at) if one.order_id == order_id]
        if any(fill.symbol != symbol for fill in own):
            raise StaleData(f"the venue's answer is about another market than {symbol}")
        return parsing.trades(own)

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Open orders, the last 2000 ended ones, and those that only their trades tell of, such as liquidations."""
        user = user_of(wire)
        told = [rows.resting(one) for one in parsing.rows(await info(wire, "frontendOpenOrders", user=user), "orders")]
        ended = parsing.rows(await info(wire, "historicalOrders", user=user), "orders")
        changes = [parsing.instant(parsing.part(one, "statusTimestamp"), "time of an order's last change") for one in ended]
        if len(ended) >= MOST_ROWS and min(changes) >= since:
            raise VenueUnavailable(f"the venue remembers no more than {len(ended)} orders, and forgot some: ask for fewer days")
        told += [one for _, one in sorted(zip(changes, ended, strict=True), key=lambda pair: pair[0])]
        read = [rows.order(one, symbols_of(wire)) for one in told]
        trades = rows.by_order(await self._trades(wire, since))
        listed = {row.order_id for row in read}
        known = [rows.with_trades(row, trades.get(row.order_id, ())) for row in read if row.symbol == symbol and row.at >= since]
        strangers = [rows.unlisted(order_id, found) for order_id, found in trades.items() if order_id not in listed]
        return whole([*known, *(row for row in strangers if row.symbol == symbol)], since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """Nothing rests where the venue says that it was never placed, already canceled, or filled."""
        asset = int(wire.market_id(symbol))
        action = {"type": "cancelByCloid", "cancels": [{"asset": asset, "cloid": rows.cloid(client_id)}]}
        answer = await _signed(wire, action, NOTHING_RESTS)
        if answer is not None and parsing.part(parsing.part(parsing.part(answer, "response"), "data"), "statuses") != ["success"]:
            raise StaleData("the venue's answer does not say that the order was canceled")

    async def dead_man(self, wire: Wire, _symbols: Sequence[str], within: timedelta | None) -> bool:
        """A cancel of all that is scheduled, for every order of the account in whatever market, no sooner than in five seconds.

        It may strike ten times a day, and False is what an account gets that has not traded enough for it (a million USDC).
        """
        if within is not None and within < SHORTEST_COUNTDOWN:
            raise VenueRefused("countdown", f"the venue's dead-man switch waits {SHORTEST_COUNTDOWN.seconds} s at least")
        due = {} if within is None else {"time": wire.stamp + within // timedelta(milliseconds=1)}
        action = {"type": "scheduleCancel", **due}
        answer = await _signed(wire, action, NO_SWITCH)
        if answer is None:
            return False
        if parsing.part(answer, "status") != "ok":
            raise StaleData("the venue's answer does not say that the switch was set")
        return True

    async def _status(self, wire: Wire, named: str | int) -> object | None:
        answer = await wire.find("publicPostInfo", NOT_FOUND, type="orderStatus", user=user_of(wire), oid=named)
        if answer is None:
            return None
        if parsing.part(answer, "status") != "order":
            raise StaleData("the venue's answer holds no order")
        return cast("object", parsing.part(answer, "order"))

    async def _rows(self, wire: Wire, told: Sequence[object]) -> list[OrderRow]:
        """Orders with what their trades say of them, which may be told later than the orders."""
        read = [(one, rows.order(one, symbols_of(wire))) for one in told]
        traded = [row for one, row in read if rows.may_have_trades(one, row)]
        trades = rows.by_order(await self._trades(wire, min(row.at for row in traded))) if traded else {}
        return [rows.as_far_as_told(row, trades.get(row.order_id, ())) for _, row in read]

    async def _trades(self, wire: Wire, since: datetime) -> list[rows.Trade]:
        """Every trade of the account since then. VenueUnavailable where the venue may have forgotten some."""

        async def ask(first: int, last: int) -> object:
            return await info(wire, "userFillsByTime", user=user_of(wire), startTime=first, endTime=last)

        found = await listing.every_row(ask, since, wire.now, span=timedelta(days=3650), most=MOST_ROWS)
        if len(found) >= MOST_TRADES:
            raise VenueUnavailable(f"the venue remembers no more than {MOST_TRADES} trades, and may have forgotten some")
        return [rows.trade(one, symbols_of(wire), wire.asset) for one in found]


async def _signed(wire: Wire, action: Mapping[str, object], absent: frozenset[str]) -> Any:
    """The answer to an action, None for one of the texts ``absent``; an action that is sent again is the same, and taken once."""
    nonce = wire.exchange.incrementing_nonce()
    signature = wire.exchange.sign_l1_action(action, nonce)
    return await wire.find("privatePostExchange", absent, action=action, nonce=nonce, signature=signature)


def _order_error(message: Mapping[str, Any]) -> object:
    """What the only order of an answer was turned down for."""
    try:
        [status] = message["response"]["data"]["statuses"]
    except (KeyError, TypeError, ValueError):
        return None
    return status.get("error") if isinstance(status, dict) else None
