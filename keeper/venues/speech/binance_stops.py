"""How Binance USD-M keeps stops, as conditional (algo) orders: a list of its own, and an ordinary order once the mark came.

To whoever asks both are one order, under the client id of the stop and the id that it had from the start.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.errors import StaleData
from keeper.domain.numbers import ZERO, plain
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder, is_stop
from keeper.venues import listing, parsing
from keeper.venues.listing import OrderRow
from keeper.venues.speech.base import Wire, resting
from keeper.venues.speech.binance import LONGEST_WINDOW, NOT_FOUND, NOTHING_RESTS, SIDES
from keeper.venues.speech.binance_futures import BinanceUsdm

ALGO = "algo-"
"""How the ids of stops begin, which are numbers like those of other orders at the venue."""
EARLIER = timedelta(days=7)
"""How much earlier a stop may have been placed than the orders are that are asked for."""
STATES = {
    "NEW": ChildState.LIVE,
    "TRIGGERING": ChildState.LIVE,
    "TRIGGERED": ChildState.LIVE,
    "FINISHED": ChildState.LIVE,
    "CANCELED": ChildState.CANCELED,
    "EXPIRED": ChildState.CANCELED,
    "REJECTED": ChildState.REJECTED,
}
"""What becomes of one that has no order of its own yet; that of one which has is told by it."""


class BinanceUsdmStops(BinanceUsdm):
    """USD-M futures with their conditional orders."""

    def stop_parameters(self, request: OrderRequest, stamp: int, left: int) -> dict[str, object]:
        """A market order that the mark sets off. The deadline goes as with any other order."""
        return {
            "clientAlgoId": request.client_id,
            "triggerPrice": plain(request.price),
            "workingType": "MARK_PRICE",
            "reduceOnly": True,
            "timestamp": stamp,
            "recvWindow": min(left, LONGEST_WINDOW),
        }

    def placed(self, wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """The whole order; a stop as it rests."""
        if not request.is_stop:
            return super().placed(wire, answer, request)
        return listing.report(self._algo(answer, wire), request.symbol, request.client_id)

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """-2013 says that there is none."""
        if not is_stop(client_id):
            return await super().lookup(wire, symbol, client_id)
        answer = await wire.find("fapiPrivateGetAlgoOrder", NOT_FOUND, clientAlgoId=client_id)
        return None if answer is None else listing.report(await self._whole(wire, answer), symbol, client_id)

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Trades of the order; of a stop those of the order that was made of it."""
        if not order_id.startswith(ALGO):
            return await super().fills(wire, symbol, order_id)
        answer = await wire.ask("fapiPrivateGetAlgoOrder", algoId=order_id.removeprefix(ALGO))
        made = _made_of(answer)
        return await super().fills(wire, symbol, made) if made else ()

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Stops of ours stand for what was made of them; Binance forgets those that never traded after some days."""
        market = wire.market_id(symbol)

        async def ask(first: int, last: int) -> object:
            return await wire.ask(
                "fapiPrivateGetAllAlgoOrders", symbol=market, startTime=first, endTime=last, limit=self.most_orders
            )

        told = await listing.every_row(ask, since - EARLIER, wire.now, span=self.span, most=self.most_orders)
        ours = [row for row in told if is_stop(parsing.word(row, "clientAlgoId"))]
        found = {order.order_id: order for order in await super().orders(wire, symbol, since)}
        stops: list[VenueOrder] = []
        for row in ours:
            parsing.about(row, market)
            read, made = self._algo(row, wire), _made_of(row)
            order = found.pop(made, None) if made else None
            if order is not None:
                stops.append(replace(order, order_id=read.order_id, client_id=read.client_id))
            elif not made and read.at >= since:
                stops += listing.orders([read])
        return tuple(sorted([*found.values(), *stops], key=lambda order: (order.at, len(order.order_id), order.order_id)))

    async def stops(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market at once; those of others are none of ours."""
        rows = parsing.rows(await wire.ask("fapiPrivateGetOpenAlgoOrders"), "conditional orders")
        return resting([self._algo(row, wire) for row in rows if is_stop(parsing.word(row, "clientAlgoId"))])

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """-2011 says that nothing rests."""
        if not is_stop(client_id):
            await super().cancel(wire, symbol, client_id)
            return
        answer = await wire.find("fapiPrivateDeleteAlgoOrder", NOTHING_RESTS, clientAlgoId=client_id)
        if answer is not None and parsing.part(answer, "clientAlgoId") != client_id:
            raise StaleData("the venue's answer is about another order")

    async def _whole(self, wire: Wire, answer: object) -> OrderRow:
        """A stop with what became of the order that was made of it."""
        row, made = self._algo(answer, wire), _made_of(answer)
        if not made and parsing.part(answer, "algoStatus") == "FINISHED":
            raise StaleData("the venue's answer tells a stop that went off without its order")
        if not made:
            return row
        market = parsing.word(answer, "symbol")
        order = self.row(await wire.ask("fapiPrivateGetOrder", symbol=market, orderId=made), self._symbol(wire))
        if order.order_id != made:
            raise StaleData("the venue's answer is about another order")
        return replace(order, order_id=row.order_id, client_id=row.client_id)

    def _algo(self, message: object, wire: Wire) -> OrderRow:
        """One conditional order as it rests, or ended without an order of its own."""
        return OrderRow(
            order_id=ALGO + parsing.identity(parsing.part(message, "algoId"), "algo id"),
            client_id=parsing.word(message, "clientAlgoId"),
            symbol=wire.contract(parsing.word(message, "symbol")),
            side=parsing.chosen(message, "side", SIDES),
            amount=_amount(message),
            filled=ZERO,
            average=None,
            limit=None,
            state=parsing.chosen(message, "algoStatus", STATES),
            at=parsing.instant(parsing.part(message, "createTime"), "time of a conditional order"),
            changed_at=parsing.instant(parsing.part(message, "updateTime"), "time of its last change"),
        )


def _amount(message: object) -> Decimal:
    return parsing.not_negative(parsing.part(message, "quantity"), "quantity")


def _made_of(message: Any) -> str:
    """The id of the order that was made of a conditional one; empty where there is none yet."""
    told = message.get("actualOrderId") if isinstance(message, dict) else None
    return "" if told in (None, "", 0, "0") else parsing.identity(told, "order id")
