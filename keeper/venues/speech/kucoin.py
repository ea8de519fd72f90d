"""How KuCoin's perpetuals, linear and inverse, are asked, and how their answers are read, without ccxt's parsers.

Every answer is an envelope, ``{"code": "200000", "data": ...}``, and a no comes with HTTP 200 as well. An order is answered
with its ids alone. Its time limit is the age of its signature, five seconds; who has less time left signs with an earlier hour.
Sizes are lots; a coin-margined lot is one unit of the quote currency. XBT is BTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.account import Position
from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, UnfitAccount
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.market import Market, Side
from keeper.domain.numbers import ONE, exact
from keeper.domain.observation import MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder, average_price
from keeper.venues import listing, parsing
from keeper.venues.concurrency import together
from keeper.venues.listing import OrderRow
from keeper.venues.speech.base import Mark, Speech, Wallet, Wire, resting, whole

FINE = "200000"
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
MARGINS = {"CROSS": MarginMode.CROSS, "ISOLATED": MarginMode.ISOLATED}
SIGNATURE_LIFE = 5_000
"""Milliseconds for which KuCoin takes a signed request."""
NOT_FOUND = frozenset({"100001"})
NOTHING_RESTS = frozenset({"100001", "100004"})
DAY, WEEK = timedelta(days=1), 7 * 86_400_000
PAGE = 100
PER_SECOND_NS = 1_000_000_000
FORCED = ("liquid", "adl", "settlement", "cover")
"""The kinds of trades that nobody in the account ordered."""
ONE_WAY = 0


class KucoinFutures(Speech):
    """Cross margin: KuCoin wants every order to name the mode of its market, and with an isolated one its leverage."""

    stated = ("amount",)

    def refusal(self, message: object) -> tuple[str, str] | None:
        """``{"code": "300003", "msg": "Balance not enough"}``."""
        code = message.get("code") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(code, str) or code == FINE:
            return None
        return code, str(message.get("msg", ""))

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """Size and fees as told: ccxt takes underscores for digits, and fees of its own where it can read none."""
        told = parsing.part(entry, "info")
        return replace(
            super().market(symbol, entry),
            contract_size=parsing.above_zero(str(abs(parsing.number(told, "multiplier"))), "multiplier"),
            taker=parsing.number(told, "takerFeeRate"),
            maker=parsing.number(told, "makerFeeRate"),
        )

    async def time(self, wire: Wire) -> datetime:
        """Milliseconds, bare."""
        return parsing.instant(await _data(wire, "futuresPublicGetTimestamp"), "time of the venue")

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """The hundred best levels."""
        market = wire.market_id(symbol)
        answer = parsing.about(await _data(wire, "futuresPublicGetLevel2Depth100", symbol=market), market)
        return parsing.book(answer, parsing.since_epoch(parsing.part(answer, "ts"), "time of the book", per_second=PER_SECOND_NS))

    async def mark(self, wire: Wire, symbol: str) -> Mark | None:
        """Mark and index of one second."""
        market = wire.market_id(symbol)
        answer = parsing.about(await _data(wire, "futuresPublicGetMarkPriceSymbolCurrent", symbol=market), market)
        return Mark(
            price=parsing.positive(answer, "value"),
            index=parsing.positive(answer, "indexPrice"),
            at=parsing.instant(parsing.part(answer, "timePoint"), "time of the mark"),
        )

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """Ticker, which is the last trade."""
        market = wire.market_id(symbol)
        answer = parsing.about(await _data(wire, "futuresPublicGetTicker", symbol=market), market)
        at = parsing.since_epoch(parsing.part(answer, "ts"), "time of the last price", per_second=PER_SECOND_NS)
        return parsing.positive(answer, "price"), at

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """Of an inverse market it is the turnover that counts coins."""
        market = wire.market_id(symbol)
        answer = parsing.about(await _data(wire, "futuresPublicGetContractsSymbol", symbol=market), market)
        counted = "turnoverOf24h" if _is_inverse(wire, symbol) else "volumeOf24h"
        return parsing.day(
            volume=parsing.not_negative(parsing.part(answer, counted), "volume"),
            high=parsing.positive(answer, "highPrice"),
            low=parsing.positive(answer, "lowPrice"),
        )

    async def check_account(self, wire: Wire) -> None:
        """One-way mode, and no unified account, whose collateral these questions don't show."""
        if not await self._is_one_way(wire):
            raise parsing.hedge_mode()
        if parsing.part(await _data(wire, "utaPrivateGetAccountMode"), "selfAccountMode") != "CLASSIC":
            message = (
                "the account is a unified one, whose collateral Keeper can't read at full value: switch it to the classic mode,"
                " or use a sub-account that is in it"
            )
            raise UnfitAccount("unified_account", message)

    async def _is_one_way(self, wire: Wire) -> bool:
        return parsing.number(await _data(wire, "futuresPrivateGetPositionGetPositionMode"), "positionMode") == ONE_WAY

    async def wallet(self, wire: Wire) -> Wallet:
        """One account for each currency that markets settle in; ``marginBalance`` is without open profit."""
        currencies = sorted({str(entry["settleId"]) for entry in wire.exchange.markets.values() if entry.get("settleId")})
        told = await together(*(_data(wire, "futuresPrivateGetAccountOverview", currency=one) for one in currencies))
        held: dict[str, Decimal] = {}
        equities: dict[str, Decimal] = {}
        free: list[Decimal] = []
        for currency, answer in zip(currencies, told, strict=True):
            asset = wire.asset(currency)
            parsing.about(answer, currency, "currency")
            held[asset] = parsing.number(answer, "marginBalance")
            equities[asset] = parsing.number(answer, "accountEquity")
            if equities[asset] or held[asset]:
                free.append(parsing.number(answer, "availableMargin" if "availableMargin" in answer else "availableBalance"))
        return Wallet(
            balances={asset: amount for asset, amount in held.items() if amount},
            free_margin=free[0] if len(free) == 1 else None,
            equities={asset: equity for asset, equity in equities.items() if equity or held[asset]},
        )

    async def positions(self, wire: Wire) -> Mapping[str, Position]:
        """VenueRefused for one of hedge mode; one in cross margin may have no liquidation price."""
        held: dict[str, Position] = {}
        for row in parsing.rows(await _data(wire, "futuresPrivateGetPositions"), "positions"):
            contracts = parsing.number(row, "currentQty")
            if not contracts:
                continue
            name = wire.contract(parsing.word(row, "symbol"))
            if row.get("positionSide", "BOTH") != "BOTH" or name in held:
                raise parsing.hedge_mode()
            held[name] = Position(
                symbol=name,
                contracts=contracts,
                entry=parsing.positive(row, "avgEntryPrice"),
                mark=parsing.positive(row, "markPrice"),
                liquidation=_optional(row, "liquidationPrice"),
            )
        return held

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market at once."""
        return resting([_row(row, wire) for row in await _pages(wire, "futuresPrivateGetOrders", "orders", status="active")])

    def parameters(self, request: OrderRequest, _stamp: int, _left: int) -> dict[str, object]:
        """The time limit is in ``signed_at``."""
        reducing = {"reduceOnly": True} if request.reduce_only else {}
        return {"clientOid": request.client_id, "timeInForce": "IOC", "marginMode": "CROSS", **reducing}

    def signed_at(self, stamp: int, left: int) -> int:
        """KuCoin refuses a request five seconds after this."""
        return stamp + min(left - SIGNATURE_LIFE, 0)

    def placed(self, _wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """The ids alone; some answers leave out ours."""
        order_id = parsing.identity(parsing.part(answer, "orderId"), "order id")
        told = answer.get("clientOid") if isinstance(answer, dict) else None
        if told is None:
            return order_id
        if told != request.client_id:
            raise StaleData("the venue's answer is not about this order: another client order id")
        return listing.taken(order_id, request.client_id)

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """By the client id, then in the lists of the last day: a new order is found by its ids only some time later."""
        answer = await _found(wire, "futuresPrivateGetOrdersByClientOid", NOT_FOUND, clientOid=client_id)
        if answer is None:
            listed = await self._listed(wire, symbol, wire.now - DAY)
            named = [row for row in listed if isinstance(row, dict) and row.get("clientOid") == client_id]
            answer = named[-1] if named else None
        return None if answer is None else listing.report(_row(answer, wire), symbol, client_id)

    async def _listed(self, wire: Wire, symbol: str, since: datetime) -> list[Any]:
        """The rows of a market's orders, those that rest first: one that ends meanwhile is in both lists and not in none."""
        call, market = "futuresPrivateGetOrders", wire.market_id(symbol)
        rows = await _pages(wire, call, "orders", symbol=market, status="active")
        return rows + await _weeks(wire, call, "orders", since, symbol=market, status="done")

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Page by page."""
        market = wire.market_id(symbol)
        found = await _pages(wire, "futuresPrivateGetFills", "trades", orderId=order_id)
        own = [parsing.about(parsing.about(row, order_id, "orderId"), market) for row in found]
        return parsing.trades(_fill(row, symbol, wire) for row in own)

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Those that rest, those that are done, and what trades tell of orders that the exchange itself made."""
        market = wire.market_id(symbol)
        rows = await self._listed(wire, symbol, since)
        trades = await _weeks(wire, "futuresPrivateGetFills", "trades", since, symbol=market)
        forced = [row for row in trades if parsing.word(row, "tradeType").lower() in FORCED]
        known = {parsing.word(row, "id") for row in rows}
        names = {parsing.identity(parsing.part(row, "orderId"), "order id") for row in forced}
        read = [_row(row, wire, forced=parsing.word(row, "id") in names) for row in rows]
        read += [
            _unlisted([_fill(row, symbol, wire) for row in forced if row["orderId"] == name], name, wire)
            for name in sorted(names - known)
        ]
        if any(row.symbol != symbol for row in read):
            raise StaleData(f"the venue's answer holds orders of other markets, asked was {symbol}")
        return whole(read, since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """By the client id."""
        call, market = "futuresPrivateDeleteOrdersClientOrderClientOid", wire.market_id(symbol)
        answer = await _found(wire, call, NOTHING_RESTS, clientOid=client_id, symbol=market)
        if answer is not None:
            parsing.about(answer, client_id, "clientOid")

    async def key(self, wire: Wire) -> KeyFacts:
        """``permission`` names its rights."""
        answer = await _data(wire, "privateGetUserApiKey")
        rights = {right.strip() for right in parsing.word(answer, "permission").split(",")}
        return KeyFacts(
            may_trade="Futures" in rights,
            may_withdraw=bool(rights & {"Transfer", "Withdrawal"}),
            ip_bound=bool(answer.get("ipWhitelist")),
        )

    async def modes(self, wire: Wire, symbol: str) -> Modes:
        """An isolated market has its leverage from each order."""
        market = wire.market_id(symbol)
        answer = parsing.about(await _data(wire, "futuresPrivateGetPositionGetMarginMode", symbol=market), market)
        margin = parsing.chosen(answer, "marginMode", MARGINS)
        leverage = None
        if margin is MarginMode.CROSS:
            told = parsing.about(await _data(wire, "futuresPrivateGetGetCrossUserLeverage", symbol=market), market)
            leverage = parsing.positive(told, "leverage")
        return Modes(hedged=not await self._is_one_way(wire), margin=margin, leverage=leverage)

    async def fees(self, wire: Wire, symbol: str) -> FeeRates | None:
        """Of this account."""
        market = wire.market_id(symbol)
        answer = parsing.about(await _data(wire, "futuresPrivateGetTradeFees", symbol=market), market)
        return FeeRates(taker=parsing.number(answer, "takerFeeRate"), maker=parsing.number(answer, "makerFeeRate"))

    async def brackets(self, wire: Wire, symbol: str) -> tuple[Bracket, ...]:
        """Risk limits, public; those of inverse markets count coins: at the present mark."""
        market = wire.market_id(symbol)
        rows = parsing.rows(await _data(wire, "futuresPublicGetContractsRiskLimitSymbol", symbol=market), "risk limits")
        mark = await self.mark(wire, symbol) if _is_inverse(wire, symbol) else None
        each = ONE if mark is None else mark.price
        steps = [
            Bracket(
                up_to=_product(parsing.positive(parsing.about(row, market), "maxRiskLimit"), each),
                max_leverage=parsing.positive(row, "maxLeverage"),
                maintenance=parsing.positive(row, "maintainMargin"),
            )
            for row in rows
        ]
        return tuple(sorted(steps, key=lambda step: step.up_to or 0))


async def _data(wire: Wire, call: str, **asked: object) -> Any:
    return _opened(await wire.ask(call, **asked))


async def _found(wire: Wire, call: str, absent: frozenset[str], **asked: object) -> Any:
    answer = await wire.find(call, absent, **asked)
    return None if answer is None else _some(_opened(answer))


def _some(data: object) -> object:
    if not data:
        raise StaleData("the venue's answer says yes and tells nothing")
    return data


def _opened(answer: object) -> Any:
    parsing.about(answer, FINE, "code")
    return parsing.part(answer, "data")


async def _pages(wire: Wire, call: str, what: str, **asked: object) -> list[Any]:
    async def page(cursor: str | None) -> tuple[list[Any], str | None]:
        number = int(cursor or 1)
        answer = await _data(wire, call, currentPage=number, pageSize=PAGE, **asked)
        is_last = number >= parsing.not_negative(parsing.part(answer, "totalPage"), "totalPage")
        return parsing.rows(parsing.part(answer, "items"), what), None if is_last else str(number + 1)

    return await listing.every_page(page, what)


async def _weeks(wire: Wire, call: str, what: str, since: datetime, **asked: object) -> list[Any]:
    """KuCoin looks no further than a week at a time."""
    found: list[Any] = []
    start, end = parsing.milliseconds(since), parsing.milliseconds(wire.now + listing.AHEAD)
    while start <= end:
        until = min(start + WEEK, end)
        found += await _pages(wire, call, what, startAt=start, endAt=until, **asked)
        start = until + 1
    return found


def _is_inverse(wire: Wire, symbol: str) -> bool:
    return wire.entry(symbol).get("inverse") is True


def _row(message: object, wire: Wire, *, forced: bool = False) -> OrderRow:
    filled = parsing.not_negative(parsing.part(message, "filledSize"), "filledSize")
    amount = _optional(message, "size") or Decimal(0)
    if not amount and parsing.part(message, "closeOrder") is not True:
        raise StaleData("the venue's answer holds an order without a size")
    symbol = wire.contract(parsing.word(message, "symbol"))
    side = parsing.chosen(message, "side", SIDES)
    live = parsing.chosen(message, "status", {"open": True, "done": False})
    ended = ChildState.FILLED if filled and filled == amount else ChildState.CANCELED
    state = ChildState.LIVE if live else ended
    return OrderRow(
        order_id=parsing.identity(parsing.part(message, "id"), "order id"),
        client_id="" if parsing.part(message, "clientOid") in (None, "") else parsing.word(message, "clientOid"),
        symbol=symbol,
        side=side,
        amount=amount,
        filled=filled,
        average=_average(message, filled, symbol, wire) if filled else None,
        limit=_optional(message, "price"),
        state=listing.consistent(parsing.part(message, "status"), state, amount, filled),
        forced=forced,
        at=parsing.instant(parsing.part(message, "createdAt"), "time of an order"),
        changed_at=parsing.instant(parsing.part(message, "updatedAt"), "time of an order's last change"),
    )


def _optional(message: object, name: str) -> Decimal | None:
    """A price or size that is above zero; None where there is none."""
    raw = message.get(name) if isinstance(message, dict) else parsing.part(message, name)
    return None if raw is None else parsing.not_negative(raw, name) or None


@exact
def _product(one: Decimal, other: Decimal) -> Decimal:
    return one * other


@exact
def _average(message: object, filled: Decimal, symbol: str, wire: Wire) -> Decimal:
    """As told; where it is not, from the value, which counts coins on an inverse market."""
    if isinstance(message, dict) and message.get("avgDealPrice"):
        return parsing.positive(message, "avgDealPrice")
    value = parsing.positive(message, "filledValue")
    amount = filled * parsing.positive(wire.entry(symbol), "contractSize")
    return amount / value if _is_inverse(wire, symbol) else value / amount


def _fill(row: object, symbol: str, wire: Wire) -> Fill:
    return Fill(
        trade_id=parsing.identity(parsing.part(row, "tradeId"), "trade id"),
        symbol=symbol,
        side=parsing.chosen(row, "side", SIDES),
        amount=parsing.positive(row, "size"),
        price=parsing.positive(row, "price"),
        fee=parsing.number(row, "fee"),
        fee_asset=wire.asset(parsing.word(row, "feeCurrency")),
        at=parsing.instant(parsing.part(row, "createdAt"), "time of a trade"),
    )


def _unlisted(trades: Sequence[Fill], order_id: str, wire: Wire) -> OrderRow:
    """The order that the exchange's own trades are of."""
    amount = sum((trade.amount for trade in trades), Decimal(0))
    first = trades[0]
    return OrderRow(
        order_id=order_id,
        client_id="",
        symbol=first.symbol,
        side=first.side,
        amount=amount,
        filled=amount,
        average=average_price(trades, inverse=_is_inverse(wire, first.symbol)),
        limit=None,
        state=ChildState.FILLED,
        forced=True,
        at=min(trade.at for trade in trades),
        changed_at=max(trade.at for trade in trades),
    )
