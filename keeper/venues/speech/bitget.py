"""How Bitget's USDT-margined perpetuals are asked (API v2, classic account), and how its answers are read.

An order's size counts the base coin, so a contract is one of it. A market is traded in the margin mode that an order names,
and an order that names another one than the account has would switch it: which markets are isolated is read with every
reading of the account. Multi-assets mode and unified accounts are refused in words.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from keeper.domain.account import Position
from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, UnfitAccount, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.market import Market, Side
from keeper.domain.numbers import exact
from keeper.domain.observation import MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.venues import listing, parsing
from keeper.venues.concurrency import together
from keeper.venues.listing import OrderRow
from keeper.venues.speech.base import Mark, Speech, Wallet, Wire, resting, whole

PRODUCT = "USDT-FUTURES"
COIN = "USDT"
ANY_MARKET = "BTCUSDT"
"""The position mode is one for all markets, and asked for by naming any of them."""
DONE = "00000"
PAGE = 100
KEPT = timedelta(days=89)
"""Bitget forgets older orders, and refuses to be asked for them."""
SIGNATURE_LIFE = 30_000
"""Milliseconds after the time that it was signed with until a request is refused."""
NOT_FOUND = frozenset({"40109"})
NOTHING_RESTS = frozenset({"22001", "40768", "43001", "43004", "45031", "45057"})
ISOLATED, MANY_ASSETS = "isolated", "many assets"
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
HELD = {"long": Side.BUY, "short": Side.SELL}
STATES = {
    "live": ChildState.LIVE,
    "new": ChildState.LIVE,
    "partially_filled": ChildState.LIVE,
    "filled": ChildState.FILLED,
    "canceled": ChildState.CANCELED,
}
MARGINS = {"crossed": MarginMode.CROSS, "isolated": MarginMode.ISOLATED}
FORCED = ("reduce_", "burst_", "offset_", "delivery_", "dte_sys_adl_")
"""How the trade sides begin of orders that the venue itself placed, to liquidate, to settle or to deleverage."""
TRADES = frozenset({"trade", "coow"})
WITHDRAWS = frozenset({"withdraw", "wwow"})


class Bitget(Speech):
    """USDT-M perpetuals of a classic account in one-way mode."""

    def refusal(self, message: object) -> tuple[str, str] | None:
        """``{"code": "40762", "msg": "The order size is greater than the max open size", "data": null}``."""
        code = message.get("code") if isinstance(message, dict) else None
        if not isinstance(code, str) or code == DONE:
            return None
        return code, str(cast("dict[str, Any]", message).get("msg", ""))

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """Of the markets that are margined in USDT."""
        if entry.get("settle") != COIN:
            message = f"{symbol} is not margined in USDT: on bitget Keeper trades such markets only"
            raise VenueRefused("product", message)
        return super().market(symbol, entry)

    async def time(self, wire: Wire) -> datetime:
        """Public time."""
        answer = _data(await wire.ask("publicCommonGetV2PublicTime"))
        return parsing.instant(parsing.part(answer, "serverTime"), "time of the venue")

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """Depth, not merged; a hundred levels unless told otherwise, which it can't be."""
        answer = _data(await _public(wire, "publicMixGetV2MixMarketMergeDepth", symbol, precision="scale0"))
        return parsing.book(answer, parsing.instant(parsing.part(answer, "ts"), "time of the book"))

    async def mark(self, wire: Wire, symbol: str) -> Mark | None:
        """Mark and index price."""
        row = _one(await _public(wire, "publicMixGetV2MixMarketSymbolPrice", symbol), wire.market_id(symbol))
        return Mark(
            price=parsing.positive(row, "markPrice"),
            index=parsing.positive(row, "indexPrice"),
            at=parsing.instant(parsing.part(row, "ts"), "time of the mark"),
        )

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """The latest public trade: the ticker's time is that of the answer."""
        row = _one(await _public(wire, "publicMixGetV2MixMarketFills", symbol, limit=1), wire.market_id(symbol))
        return parsing.positive(row, "price"), parsing.instant(parsing.part(row, "ts"), "time of the last price")

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """Ticker."""
        row = _one(await _public(wire, "publicMixGetV2MixMarketTicker", symbol), wire.market_id(symbol))
        return parsing.day(
            volume=parsing.not_negative(parsing.part(row, "baseVolume"), "baseVolume"),
            high=parsing.positive(row, "high24h"),
            low=parsing.positive(row, "low24h"),
        )

    async def check_account(self, wire: Wire) -> None:
        """One-way mode, and one asset as margin, or it is noted that there are several; notes which markets are isolated."""
        answer, _ = await together(_account(wire, ANY_MARKET), _note_isolated(wire))
        if parsing.chosen(answer, "posMode", {"one_way_mode": False, "hedge_mode": True}):
            raise parsing.hedge_mode()
        wire.notes[MANY_ASSETS] = _has_many_assets(answer)
        _refuse_many_assets(answer)

    async def wallet(self, wire: Wire) -> Wallet:
        """Equity less open profit: no field has the wallet's balance."""
        rows = parsing.rows(_data(await wire.ask("privateMixGetV2MixAccountAccounts", productType=PRODUCT)), "accounts")
        balances: dict[str, Decimal] = {}
        equities: dict[str, Decimal] = {}
        free: Decimal | None = None
        for row in rows:
            if not wire.notes.get(MANY_ASSETS):  # else it is known, and only what reduces is wanted
                _refuse_many_assets(row)
            asset = wire.asset(parsing.word(row, "marginCoin"))
            if asset in equities:
                raise StaleData(f"the venue's answer has two balances of {asset}")
            equities[asset] = parsing.number(row, "accountEquity")
            balances[asset] = parsing.added(equities[asset], -_open_profit(row))
            if asset == COIN:
                free = min(parsing.number(row, name) for name in ("crossedMaxAvailable", "isolatedMaxAvailable"))
        return Wallet(
            balances={asset: amount for asset, amount in balances.items() if amount}, free_margin=free, equities=equities
        )

    async def positions(self, wire: Wire) -> Mapping[str, Position]:
        """All of them, whether crossed or isolated; VenueRefused when the account is in hedge mode."""
        asked = wire.ask("privateMixGetV2MixPositionAllPosition", productType=PRODUCT, marginCoin=COIN)
        answer, _ = await together(asked, _note_isolated(wire))
        held: dict[str, Position] = {}
        for row in parsing.rows(_data(answer), "positions"):
            total = parsing.not_negative(parsing.part(row, "total"), "total")
            if not total:
                continue
            name = wire.contract(parsing.word(row, "symbol"))
            if parsing.part(row, "posMode") != "one_way_mode" or name in held:
                raise parsing.hedge_mode()
            liquidation = parsing.number(row, "liquidationPrice")
            held[name] = Position(
                symbol=name,
                contracts=total * parsing.chosen(row, "holdSide", HELD).sign,
                entry=parsing.positive(row, "openPriceAvg"),
                mark=parsing.positive(row, "markPrice"),
                liquidation=liquidation if liquidation > 0 else None,
            )
        return held

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market; asked for apart, since those without a status may be the untouched ones alone."""
        asked = (_pending(wire), _pending(wire, status="partially_filled"))
        return resting([_row(row, wire) for rows in await together(*asked) for row in rows])

    def parameters(self, request: OrderRequest, _stamp: int, _left: int) -> dict[str, object]:
        """Nothing here is the deadline: that is ``signed_at``."""
        return {
            "clientOid": request.client_id,
            "timeInForce": "IOC",
            **({"reduceOnly": True} if request.reduce_only else {}),
        }

    def signed_at(self, stamp: int, left: int) -> int:
        """So long before the deadline as Bitget takes a signature; that is also as long as an order is given by itself."""
        return stamp + min(left - SIGNATURE_LIFE, 0)

    def posture(self, wire: Wire, symbol: str) -> dict[str, object]:
        """The margin mode of the market."""
        isolated = wire.notes.get(ISOLATED)
        if isolated is None:
            raise VenueRefused("margin_mode", "the margin mode of the market is not known yet")
        return {"marginMode": "isolated" if wire.market_id(symbol) in isolated else "cross"}

    def placed(self, _wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """Both ids; where it reduces in the place of an older one, the order's id is missing."""
        if parsing.word(answer, "clientOid") != request.client_id:
            raise StaleData("the venue's answer is not about this order: another client order id")
        return listing.taken(parsing.identity(parsing.part(answer, "orderId"), "order id"), request.client_id)

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """The order's detail, open or ended."""
        told = {"symbol": wire.market_id(symbol), "productType": PRODUCT, "clientOid": client_id}
        answer = await wire.find("privateMixGetV2MixOrderDetail", NOT_FOUND, **told)
        return None if answer is None else listing.report(_row(_data(answer), wire), symbol, client_id)

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Trades of the order, newest pages first."""
        market = wire.market_id(symbol)
        told = {"symbol": market, "productType": PRODUCT, "orderId": order_id}
        rows = await _every(wire, "privateMixGetV2MixOrderFills", "fillList", **told)
        for row in rows:
            parsing.about(row, market)
        own = [row for row in rows if parsing.identity(parsing.part(row, "orderId"), "order id") == order_id]
        return parsing.trades(_fill(row, symbol, wire) for row in own)

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Resting ones first, so that one which ends in between is told twice rather than not at all. 90 days are kept."""
        market = wire.market_id(symbol)
        start = max(since, wire.now - KEPT)
        told = {
            "symbol": market,
            "productType": PRODUCT,
            "startTime": parsing.milliseconds(start),
            "endTime": parsing.milliseconds(wire.now + listing.AHEAD),
        }
        rows = [
            *await _pending(wire, symbol=market),
            *await _pending(wire, symbol=market, status="partially_filled"),
            *await _every(wire, "privateMixGetV2MixOrderOrdersHistory", "entrustedList", **told),
        ]
        for row in rows:
            parsing.about(row, market)
        return whole([_row(row, wire) for row in rows], since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """Several codes say that nothing rests."""
        told = {"symbol": wire.market_id(symbol), "productType": PRODUCT, "marginCoin": COIN, "clientOid": client_id}
        answer = await wire.find("privateMixPostV2MixOrderCancelOrder", NOTHING_RESTS, **told)
        if answer is not None and parsing.part(_data(answer), "clientOid") not in ("", client_id):
            raise StaleData("the venue's answer is about another order")

    async def key(self, wire: Wire) -> KeyFacts:
        """Authorities of the key; of its end Bitget says nothing."""
        answer = _data(await wire.ask("privateSpotGetV2SpotAccountInfo"))
        rights = {str(one) for one in parsing.rows(parsing.part(answer, "authorities"), "authorities")}
        addresses = parsing.part(answer, "ips")
        return KeyFacts(
            may_trade=bool(rights & TRADES), may_withdraw=bool(rights & WITHDRAWS), ip_bound=bool(str(addresses or "").strip())
        )

    async def modes(self, wire: Wire, symbol: str) -> Modes:
        """Of the account in this market; the smaller leverage where long and short have their own."""
        answer = await _account(wire, wire.market_id(symbol))
        margin = parsing.chosen(answer, "marginMode", MARGINS)
        names = ("crossedMarginLeverage",) if margin is MarginMode.CROSS else ("isolatedLongLever", "isolatedShortLever")
        return Modes(
            hedged=parsing.chosen(answer, "posMode", {"one_way_mode": False, "hedge_mode": True}),
            margin=margin,
            leverage=min(parsing.positive(answer, name) for name in names),
        )

    async def fees(self, wire: Wire, symbol: str) -> FeeRates | None:
        """Trade rate."""
        answer = _data(await wire.ask("privateCommonGetV2CommonTradeRate", symbol=wire.market_id(symbol), businessType="mix"))
        return FeeRates(taker=parsing.number(answer, "takerFeeRate"), maker=parsing.number(answer, "makerFeeRate"))

    async def brackets(self, wire: Wire, symbol: str) -> tuple[Bracket, ...]:
        """Position tiers."""
        answer = _data(await _public(wire, "publicMixGetV2MixMarketQueryPositionLever", symbol))
        found = [
            Bracket(
                up_to=parsing.positive(row, "endUnit"),
                max_leverage=parsing.positive(row, "leverage"),
                maintenance=parsing.number(row, "keepMarginRate"),
            )
            for row in parsing.rows(answer, "tiers")
        ]
        return tuple(sorted(found, key=lambda one: one.max_leverage, reverse=True))


def _data(answer: object) -> Any:
    """What an answer holds that says yes."""
    if parsing.part(answer, "code") != DONE:
        raise StaleData("the venue's answer says neither yes nor no")
    return parsing.part(answer, "data")


def _one(answer: object, market: str) -> object:
    return parsing.about(parsing.only(parsing.rows(_data(answer), "markets"), "markets"), market)


async def _public(wire: Wire, method: str, symbol: str, **more: object) -> Any:
    return await wire.ask(method, symbol=wire.market_id(symbol), productType=PRODUCT, **more)


async def _account(wire: Wire, market: str) -> Any:
    return _data(await wire.ask("privateMixGetV2MixAccountAccount", symbol=market, productType=PRODUCT, marginCoin=COIN))


async def _note_isolated(wire: Wire) -> None:
    """Keep which markets are in isolated mode; a list without any may be null."""
    answer = _data(await wire.ask("privateMixGetV2MixAccountIsolatedSymbols", productType=PRODUCT))
    rows = [] if answer is None else parsing.rows(answer, "markets")
    wire.notes[ISOLATED] = frozenset(parsing.word(row, "symbol") for row in rows)


def _has_many_assets(account: object) -> bool:
    return parsing.chosen(account, "assetMode", {"single": False, "union": True})


def _refuse_many_assets(account: object) -> None:
    if _has_many_assets(account):
        message = "the account is in multi-assets mode, where every coin is margin: switch it to single-asset mode"
        raise UnfitAccount("asset_mode", message)


@exact
def _open_profit(account: object) -> Decimal:
    """Of all positions; an empty text says that there is none."""
    whole_of_it = parsing.part(account, "unrealizedPL")
    if whole_of_it != "":
        return parsing.finite(whole_of_it, "unrealizedPL")
    parts = [parsing.part(account, name) for name in ("crossedUnrealizedPL", "isolatedUnrealizedPL")]
    return sum((parsing.finite(one, "unrealizedPL") for one in parts if one != ""), Decimal(0))


async def _pending(wire: Wire, **told: object) -> list[Any]:
    return await _every(wire, "privateMixGetV2MixOrderOrdersPending", "entrustedList", productType=PRODUCT, **told)


async def _every(wire: Wire, method: str, name: str, **told: object) -> list[Any]:
    """The rows of every page of a list, which is null where it is empty."""

    async def page(before: str | None) -> tuple[list[Any], str | None]:
        start = {} if before is None else {"idLessThan": before}
        answer = _data(await wire.ask(method, limit=PAGE, **told, **start))
        found = parsing.part(answer, name)
        rows = [] if found is None else parsing.rows(found, name)
        return rows, parsing.identity(parsing.part(answer, "endId"), "endId") if len(rows) >= PAGE else None

    return await listing.every_page(page, name)


def _row(message: object, wire: Wire) -> OrderRow:
    """One order; its status is called state where it is asked for alone."""
    told = "state" if isinstance(message, dict) and "state" in message else "status"
    status, state = parsing.part(message, told), parsing.chosen(message, told, STATES)
    amount, filled = (parsing.not_negative(parsing.part(message, name), name) for name in ("size", "baseVolume"))
    limit = parsing.part(message, "price")
    return OrderRow(
        order_id=parsing.identity(parsing.part(message, "orderId"), "order id"),
        client_id=str(parsing.part(message, "clientOid") or ""),
        symbol=wire.contract(parsing.word(message, "symbol")),
        side=_side(message),
        amount=amount,
        filled=filled,
        average=parsing.positive(message, "priceAvg") if filled else None,
        limit=None if limit in ("", None) else parsing.not_negative(limit, "price") or None,
        state=listing.consistent(status, state, amount, filled, untouched=status in ("live", "new")),
        forced=str(parsing.part(message, "tradeSide")).startswith(FORCED),
        at=parsing.instant(parsing.part(message, "cTime"), "time of an order"),
        changed_at=parsing.instant(parsing.part(message, "uTime"), "time of an order's last change"),
    )


def _side(message: object) -> Side:
    """Which way it went: in hedge mode ``side`` says which position, and whoever closes goes the other way."""
    side = parsing.chosen(message, "side", SIDES)
    if (
        parsing.chosen(message, "posMode", {"one_way_mode": False, "hedge_mode": True})
        and parsing.part(message, "tradeSide") != "open"
    ):
        return Side.SELL if parsing.chosen(message, "posSide", HELD) is Side.BUY else Side.BUY
    return side


def _fill(row: object, symbol: str, wire: Wire) -> Fill:
    fee, asset = _fee(row, wire)
    return Fill(
        trade_id=parsing.identity(parsing.part(row, "tradeId"), "trade id"),
        symbol=symbol,
        side=parsing.chosen(row, "side", SIDES),
        amount=parsing.positive(row, "baseVolume"),
        price=parsing.positive(row, "price"),
        fee=fee,
        fee_asset=asset,
        at=parsing.instant(parsing.part(row, "cTime"), "time of a trade"),
    )


@exact
def _fee(row: object, wire: Wire) -> tuple[Decimal, str]:
    """What a trade cost, in one asset; the venue's sign says what the account got."""
    paid: dict[str, Decimal] = {}
    for one in parsing.rows(parsing.part(row, "feeDetail"), "fees"):
        parsing.summed(paid, wire.asset(parsing.word(one, "feeCoin")), -parsing.number(one, "totalFee"))
    assets = [asset for asset, fee in paid.items() if fee] or [*paid, COIN][:1]
    if len(assets) != 1:
        raise StaleData("the venue's answer tells a trade whose fee was taken in several assets")
    return paid.get(assets[0], Decimal(0)), assets[0]
