"""How OKX (v5) is asked, and how its answers are read: spot and perpetuals of one trading account.

An order is acknowledged by its ids alone, and what became of it is asked for. Its deadline is the header expTime. Amounts are
contracts of ctVal on perpetuals and units of the base on spot. Refusals come with HTTP 200 and code 1, the reason beside the
order (sCode). What an order may be depends on the account's mode, which is read on connecting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.market import FeeAsset, Market, MarketKind, Side
from keeper.domain.numbers import ZERO, exact
from keeper.domain.observation import FundingRate, MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.domain.statement import Posting
from keeper.venues import listing, parsing
from keeper.venues.concurrency import together
from keeper.venues.listing import OrderRow
from keeper.venues.speech import okx_bills
from keeper.venues.speech.base import BOOK_LEVELS, Mark, Wire, resting, whole
from keeper.venues.speech.okx_account import OkxAccount, answered, text, the_one

PAGE = 100
RECENT = timedelta(days=7) - timedelta(minutes=5)
RECENT_BILLS = timedelta(days=6)
"""How far back the quick list of ended orders goes; a slower one goes back three months."""
TAG = "keeper"
"""What Keeper's orders are marked with, so that the dead-man switch cancels no others."""
COUNTDOWNS = range(10, 121)
"""Seconds that the dead-man switch takes."""
NOT_FOUND = frozenset({"51603"})
NOTHING_RESTS = frozenset({"51400", "51401", "51402", "51405", "51410"})
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
SPOT = ("SPOT", "MARGIN")
DERIVATIVES = ("SWAP", "FUTURES", "OPTION")
STATES = {
    "live": ChildState.LIVE,
    "partially_filled": ChildState.LIVE,
    "filled": ChildState.FILLED,
    "canceled": ChildState.CANCELED,
    "mmp_canceled": ChildState.CANCELED,
}
CATEGORIES = {
    "normal": False,
    "twap": False,
    "ddh": False,
    "full_liquidation": True,
    "partial_liquidation": True,
    "adl": True,
    "delivery": True,
}
"""Kinds of orders, and whether the venue itself placed them."""


class Okx(OkxAccount):
    """Spot and perpetuals, linear and inverse."""

    fee_in = FeeAsset.RECEIVED
    stated = ("amount",)

    def refusal(self, message: object) -> tuple[str, str] | None:
        """``{"code": "1", "data": [{"sCode": "51008", "sMsg": "..."}], "msg": ""}``, or code and msg alone.

        None where an order that is said to be refused has an id all the same: that proves neither.
        """
        if not isinstance(message, dict):
            return None
        data = message.get("data")
        for row in data if isinstance(data, list) else []:
            code = row.get("sCode") if isinstance(row, dict) else None
            if isinstance(code, str) and code != "0":
                placed = "tag" in row and row.get("ordId") not in ("", None)  # a cancel repeats the id, and has no tag
                return None if placed else (code, str(row.get("sMsg", "")).strip())
        code = message.get("code")
        if isinstance(code, bool) or not isinstance(code, int | str) or str(code) == "0":
            return None
        return str(code), str(message.get("msg", "")).strip()

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """A contract is ctVal times ctMult of ctValCcy, which must be the base of a linear market, the quote of an inverse."""
        market = super().market(symbol, entry)
        if market.kind is MarketKind.SPOT:
            return market
        info = parsing.part(entry, "info")
        counted = parsing.word(info, "ctValCcy")
        if counted != parsing.part(entry, "baseId" if market.kind is MarketKind.LINEAR else "quoteId"):
            raise VenueRefused("contract_value", f"a contract of {symbol} is counted in {counted}: name another market")
        size = _product(parsing.positive(info, "ctVal"), parsing.positive(info, "ctMult"))
        return replace(market, contract_size=size)

    async def time(self, wire: Wire) -> datetime:
        """The field ts."""
        row = the_one(await wire.ask("publicGetPublicTime"), "times")
        return parsing.instant(parsing.part(row, "ts"), "time of the venue")

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """Books."""
        row = the_one(await wire.ask("publicGetMarketBooks", instId=wire.market_id(symbol), sz=BOOK_LEVELS), "books")
        return parsing.book(row, parsing.instant(parsing.part(row, "ts"), "time of the book"))

    async def mark(self, wire: Wire, symbol: str) -> Mark | None:
        """Mark price and index ticker, as old as the older one of them."""
        entry = wire.entry(symbol)
        if entry.get("spot"):
            return None
        market, underlying = wire.market_id(symbol), parsing.word(parsing.part(entry, "info"), "uly")
        marks, indexes = await together(
            wire.ask("publicGetPublicMarkPrice", instType="SWAP", instId=market),
            wire.ask("publicGetMarketIndexTickers", instId=underlying),
        )
        mark = parsing.about(the_one(marks, "marks"), market, "instId")
        index = parsing.about(the_one(indexes, "indexes"), underlying, "instId")
        told = [parsing.instant(parsing.part(row, "ts"), "time of the mark") for row in (mark, index)]
        return Mark(price=parsing.positive(mark, "markPx"), index=parsing.positive(index, "idxPx"), at=min(told))

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """The latest trade: the ticker does not tell when its last price was paid."""
        market = wire.market_id(symbol)
        answer = await wire.ask("publicGetMarketTrades", instId=market, limit=1)
        row = parsing.about(the_one(answer, "trades"), market, "instId")
        return parsing.positive(row, "px"), parsing.instant(parsing.part(row, "ts"), "time of the last price")

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """Ticker, whose volume in units of the base is vol24h on spot and volCcy24h on derivatives."""
        market = wire.market_id(symbol)
        row = parsing.about(the_one(await wire.ask("publicGetMarketTicker", instId=market), "tickers"), market, "instId")
        volume = "vol24h" if wire.entry(symbol).get("spot") else "volCcy24h"
        return parsing.day(
            volume=parsing.not_negative(parsing.part(row, volume), volume),
            high=parsing.positive(row, "high24h"),
            low=parsing.positive(row, "low24h"),
        )

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Pending orders of every kind of market; orders that wait for a trigger are no orders yet."""
        return resting(self._rows(await self._pages(wire, "privateGetTradeOrdersPending", "open orders"), wire))

    def parameters(self, request: OrderRequest, _stamp: int, _left: int) -> dict[str, object]:
        """An order of ordType ioc, marked as Keeper's; its margin comes from ``posture``, its deadline from ``headers``."""
        reduces = {"reduceOnly": True} if request.reduce_only else {}
        return {"clOrdId": request.client_id, "timeInForce": "IOC", "tag": TAG, **reduces}

    def headers(self, _request: OrderRequest, stamp: int, left: int) -> Mapping[str, str]:
        """ExpTime, by the venue's clock: what arrives later is not processed."""
        return {"expTime": str(stamp + left)}

    def placed(self, _wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """The ids, of an order that was taken."""
        if parsing.part(answer, "sCode") != "0":
            raise StaleData("the venue's answer holds an order that was not taken")
        if parsing.word(answer, "clOrdId") != request.client_id:
            raise StaleData("the venue's answer is not about this order: another client order id")
        return listing.taken(parsing.identity(parsing.part(answer, "ordId"), "order id"), request.client_id)

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """Order details (51603: none), then the ended orders of seven days.

        Of an order that ended without a trade OKX knows nothing after two hours.
        """
        market = wire.market_id(symbol)
        answer = await wire.find("privateGetTradeOrder", NOT_FOUND, instId=market, clOrdId=client_id)
        if answer is not None:
            return listing.report(self.row(the_one(answer, "orders"), wire), symbol, client_id)
        asked = {"instType": _kind(wire, symbol), "instId": market, "ordType": "ioc"}
        ended = await self._pages(wire, "privateGetTradeOrdersHistory", "ended orders", **asked)
        found = [row for row in ended if parsing.part(row, "clOrdId") == client_id]
        return listing.report(self.row(found[0], wire), symbol, client_id) if found else None

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Trades of three days or, where there are none, of three months."""
        market = wire.market_id(symbol)
        asked = {"instType": _kind(wire, symbol), "instId": market, "ordId": order_id}
        rows = await self._pages(wire, "privateGetTradeFills", "trades", "billId", **asked)
        if not rows:
            rows = await self._pages(wire, "privateGetTradeFillsHistory", "trades", "billId", **asked)
        for row in rows:
            parsing.about(row, market, "instId")
            parsing.about(row, order_id, "ordId")
        return parsing.trades(_fill(row, symbol, wire) for row in rows)

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Pending ones first, so that none slips through while it ends. OKX forgets one without a trade after two hours."""
        market = wire.market_id(symbol)
        asked = {"instType": _kind(wire, symbol), "instId": market}
        pending = await self._pages(wire, "privateGetTradeOrdersPending", "open orders", **asked)
        call = "privateGetTradeOrdersHistory" if since > wire.now - RECENT else "privateGetTradeOrdersHistoryArchive"
        ended = await self._pages(wire, call, "ended orders", **asked, begin=parsing.milliseconds(since) - 1)
        for row in [*pending, *ended]:
            parsing.about(row, market, "instId")
        return whole(self._rows([*pending, *ended], wire), since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """51400 and its like say that nothing rests."""
        market = wire.market_id(symbol)
        answer = await wire.find("privatePostTradeCancelOrder", NOTHING_RESTS, instId=market, clOrdId=client_id)
        if answer is not None and parsing.part(the_one(answer, "orders"), "clOrdId") != client_id:
            raise StaleData("the venue's answer is about another order")

    async def dead_man(self, wire: Wire, _symbols: Sequence[str], within: timedelta | None) -> bool:
        """cancel-all-after, in whole seconds (10 to 120): it cancels what bears Keeper's tag, in every market at once."""
        seconds = 0 if within is None else -(-within // timedelta(seconds=1))
        if within is not None and seconds not in COUNTDOWNS:
            raise VenueRefused("countdown", f"OKX's dead-man switch takes 10 to 120 seconds, not {seconds}")
        row = the_one(await wire.ask("privatePostTradeCancelAllAfter", timeOut=str(seconds), tag=TAG), "timers")
        if (parsing.not_negative(parsing.part(row, "triggerTime"), "triggerTime") > 0) is not (within is not None):
            raise StaleData("the venue's answer names another time")
        return True

    async def _pages(self, wire: Wire, call: str, what: str, cursor: str = "ordId", **asked: object) -> list[Any]:
        """Every row of a list that is told newest first, a page after the ``cursor`` of the last row before."""

        async def page(after: str | None) -> tuple[list[Any], str | None]:
            start = {} if after is None else {"after": after}
            rows = answered(await wire.ask(call, **asked, limit=PAGE, **start), what)
            full = len(rows) >= PAGE
            return rows, parsing.identity(parsing.part(rows[-1], cursor), cursor) if full else None

        return await listing.every_page(page, what)

    def _rows(self, rows: list[Any], wire: Wire) -> list[OrderRow]:
        return [self.row(row, wire) for row in rows]

    async def ledger(self, wire: Wire, since: datetime) -> tuple[Posting, ...] | None:
        """The bills of seven days, or of three months where it goes further back."""
        recent = wire.now - since < RECENT_BILLS
        method = "privateGetAccountBills" if recent else "privateGetAccountBillsArchive"
        rows = await self._pages(wire, method, "bills", "billId", begin=parsing.milliseconds(since))
        return parsing.postings(okx_bills.posting(wire, row) for row in rows)

    async def funding(self, wire: Wire, symbol: str) -> FundingRate | None:
        """The rate that is paid next, and the time from that payment to the one after it."""
        if wire.entry(symbol).get("spot"):
            return None
        market = wire.market_id(symbol)
        answer = await wire.ask("publicGetPublicFundingRate", instId=market)
        row = parsing.about(the_one(answer, "fundings"), market, "instId")
        paid, after = (parsing.instant(parsing.part(row, name), name) for name in ("fundingTime", "nextFundingTime"))
        if not paid < after:
            raise StaleData("the venue's answer tells a funding that is not after the one before")
        return FundingRate(rate=parsing.number(row, "fundingRate"), every=after - paid)

    def row(self, message: object, wire: Wire) -> OrderRow:
        """One order. A spot order that is counted in the quote has no amount."""
        in_quote = _counted_in_quote(message)
        size, filled = (parsing.not_negative(parsing.part(message, name), name) for name in ("sz", "accFillSz"))
        amount = ZERO if in_quote else size
        symbol = parsing.chosen(
            message, "instType", {**dict.fromkeys(SPOT, wire.pair), **dict.fromkeys(DERIVATIVES, wire.contract)}
        )
        status, state = parsing.part(message, "state"), parsing.chosen(message, "state", STATES)
        if status == "partially_filled" and not (filled > 0 and (in_quote or filled != amount)):
            raise StaleData(f"the venue's answer says {status}, and that {filled} of {amount} was filled")
        return OrderRow(
            order_id=parsing.identity(parsing.part(message, "ordId"), "order id"),
            client_id=text(message, "clOrdId"),
            symbol=symbol(parsing.word(message, "instId")),
            side=parsing.chosen(message, "side", SIDES),
            amount=amount,
            filled=filled,
            average=parsing.positive(message, "avgPx") if filled else None,
            limit=_price(message, "px"),
            state=listing.consistent(status, state, amount, filled, untouched=status == "live"),
            forced=parsing.chosen(message, "category", CATEGORIES),
            at=parsing.instant(parsing.part(message, "cTime"), "time of an order"),
            changed_at=parsing.instant(parsing.part(message, "uTime"), "time of an order's last change"),
        )


def _fill(row: object, symbol: str, wire: Wire) -> Fill:
    fee = parsing.number(row, "fee")  # what the venue takes is negative here
    return Fill(
        trade_id=parsing.identity(parsing.part(row, "tradeId"), "trade id"),
        symbol=symbol,
        side=parsing.chosen(row, "side", SIDES),
        amount=parsing.positive(row, "fillSz"),
        price=parsing.positive(row, "fillPx"),
        fee=fee.copy_negate() if fee else ZERO,
        fee_asset=wire.asset(parsing.word(row, "feeCcy")),
        at=parsing.instant(parsing.part(row, "ts"), "time of a trade"),
    )


def _counted_in_quote(message: object) -> bool:
    """Whether the size of an order is units of the quote, as a market order's on spot may be, and a purchase's is unless told."""
    if parsing.part(message, "ordType") != "market" or parsing.part(message, "instType") not in SPOT:
        return False
    told = text(message, "tgtCcy")
    return told == "quote_ccy" or (not told and parsing.chosen(message, "side", SIDES) is Side.BUY)


def _kind(wire: Wire, symbol: str) -> str:
    return "SPOT" if wire.entry(symbol).get("spot") else "SWAP"


def _price(message: object, name: str) -> Decimal | None:
    """A price, None where there is none ("" or 0)."""
    raw = parsing.part(message, name)
    return None if raw == "" else parsing.not_negative(raw, name) or None


@exact
def _product(one: Decimal, other: Decimal) -> Decimal:
    return one * other
