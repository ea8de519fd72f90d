"""How Bybit's unified account is asked (v5): linear and inverse perpetuals and spot, by category, in one account.

An order's answer tells its ids alone; what became of it is asked for. ccxt's fetch_order does not know client ids, and its
contract size of an inverse market is the smallest order. The disconnection protection is no dead-man switch: it watches a
private stream, which Keeper keeps as a hint at most, and only large clients may have it switched on.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from keeper.domain.account import Position
from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.market import FeeAsset, Market, MarketKind, Side
from keeper.domain.numbers import plain
from keeper.domain.observation import FundingRate, MarketStats
from keeper.domain.order import Fill, OrderReport, OrderRequest, VenueOrder
from keeper.domain.statement import Posting
from keeper.venues import listing, parsing
from keeper.venues.concurrency import together
from keeper.venues.listing import OrderRow
from keeper.venues.speech import bybit_ledger, bybit_rows
from keeper.venues.speech.base import BOOK_LEVELS, NOTHING, Mark, Speech, Wallet, Wire, resting, whole

WINDOW = 5_000
"""Milliseconds, the life that every request is sent with: ccxt has one for all of them."""
ACCOUNT = "UNIFIED"
SPOT, LINEAR, INVERSE = "spot", "linear", "inverse"
UNIFIED = {1: "classic", 3: "1.0", 4: "1.0", 5: None, 6: None}
"""What stands in the way in an account of each status."""
SETTLED_IN = frozenset({"USDT", "USDC"})
MARGIN_MODES = {
    "REGULAR_MARGIN": MarginMode.CROSS,
    "PORTFOLIO_MARGIN": MarginMode.CROSS,
    "ISOLATED_MARGIN": MarginMode.ISOLATED,
}
NOT_FOUND = frozenset({"110001", "170213"})
NOTHING_RESTS = NOT_FOUND | {"110008", "110010", "170139", "170142", "170190"}
NO_MARKET = frozenset({"10001"})
COMMON = "BTCUSDT"
NOT_IN_DEMO = frozenset({"10032"})
SPAN = timedelta(days=7, milliseconds=-1)
WEEKS = 5
ORDERS_A_PAGE, POSITIONS_A_PAGE, TRADES_A_PAGE = 50, 200, 100
OPEN, RECENTLY_ENDED = 0, 1


class Bybit(Speech):
    """Every category of the unified account but options, whose positions show in the venue's own equity alone.

    Bybit forgets an order that ended without a trade after a day. Longs and shorts are kept apart market by market, mostly by
    all markets of a coin at once: on connecting one of them is asked, and an order in another that keeps them is rejected.
    """

    fee_in = FeeAsset.RECEIVED

    def prepare(self, exchange: Any) -> None:
        """End a list of markets whose pages never do: ccxt asks for the next one for as long as it is told of one."""
        ask = exchange.publicGetV5MarketInstrumentsInfo

        async def page(params: Mapping[str, Any]) -> Any:
            answer = await ask(params)
            told = answer.get("result") if isinstance(answer, dict) else None
            after = told.get("nextPageCursor") if isinstance(told, dict) else None
            if after and after == params.get("cursor"):
                raise StaleData("the venue's list of markets leads from a page to that same page")
            return answer

        exchange.publicGetV5MarketInstrumentsInfo = page

    def refusal(self, message: object) -> tuple[str, str] | None:
        """``{"retCode": 110007, "retMsg": "ab not enough for new order", "result": {}}``; 0 says yes."""
        code = message.get("retCode") if isinstance(message, dict) else None
        if isinstance(code, bool) or not isinstance(code, int) or code == 0:
            return None
        return str(code), str(cast("dict[str, Any]", message).get("retMsg", ""))

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """Inverse contracts are orders' own unit, 1 of the quote. Where no tick is told, ccxt would take another step for it."""
        parsing.positive(parsing.part(parsing.part(entry, "info"), "priceFilter"), "tickSize")
        changed = {**entry, "contractSize": "1"} if entry.get("inverse") else entry
        stated = ("amount",) if entry.get("inverse") else ("amount", "cost")
        return parsing.market(symbol, changed, self.fee_in, stated)

    async def time(self, wire: Wire) -> datetime:
        """To the microsecond."""
        answer = await _result(wire, "publicGetV5MarketTime")
        return parsing.since_epoch(parsing.part(answer, "timeNano"), "time of the venue", per_second=1_000_000_000)

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """Bids are b, asks are a."""
        market = wire.market_id(symbol)
        answer = await _result(
            wire, "publicGetV5MarketOrderbook", category=_category(wire, symbol), symbol=market, limit=BOOK_LEVELS
        )
        parsing.about(answer, market, "s")
        at = parsing.instant(parsing.part(answer, "ts"), "time of the book")
        return parsing.levels(parsing.part(answer, "b"), parsing.part(answer, "a"), at)

    async def mark(self, wire: Wire, symbol: str) -> Mark | None:
        """The ticker, of the time at which it was told."""
        if _category(wire, symbol) == SPOT:
            return None
        row, at = await _ticker(wire, symbol)
        return Mark(price=parsing.positive(row, "markPrice"), index=parsing.positive(row, "indexPrice"), at=at)

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """The latest public trade."""
        market = wire.market_id(symbol)
        told = await _list(
            wire, "publicGetV5MarketRecentTrade", "trades", category=_category(wire, symbol), symbol=market, limit=1
        )
        row = parsing.about(parsing.only(told, "trades"), market)
        return parsing.positive(row, "price"), parsing.instant(parsing.part(row, "time"), "time of the last price")

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """The ticker; what an inverse market turned over is told in its base."""
        row, _ = await _ticker(wire, symbol)
        volume = "turnover24h" if _category(wire, symbol) == INVERSE else "volume24h"
        return parsing.day(
            volume=parsing.not_negative(parsing.part(row, volume), volume),
            high=parsing.positive(row, "highPrice24h"),
            low=parsing.positive(row, "lowPrice24h"),
        )

    async def check_account(self, wire: Wire) -> None:
        """A unified account of version 2, a key that may trade, and one position in the market that everybody has."""
        account, key, rows = await together(
            _result(wire, "privateGetV5AccountInfo"),
            self.key(wire),
            _list(wire, "privateGetV5PositionList", "positions", NO_MARKET, category=LINEAR, symbol=COMMON),
        )
        wrong = parsing.chosen(account, "unifiedMarginStatus", UNIFIED)
        if wrong == "classic":
            remedy = "this is a classic account, whose spot and contracts are apart: upgrade it to a unified trading account"
            raise VenueRefused("classic_account", remedy)
        if wrong is not None:
            remedy = "this unified account is of version 1, whose inverse contracts are apart: upgrade it to version 2"
            raise VenueRefused("old_account", remedy)
        if key.may_trade is False:
            remedy = "the API key may not trade: make one that may read and write, with orders and positions, and spot trading"
            raise VenueRefused("key_reads_only", remedy)
        if any(bybit_rows.is_hedged(row) for row in rows):
            raise parsing.hedge_mode()

    async def wallet(self, wire: Wire) -> Wallet:
        """Less what was borrowed on spot, which Bybit counts in; free margin is in USD, and none is told of isolated margin."""
        told = await _list(wire, "privateGetV5AccountWalletBalance", "accounts", accountType=ACCOUNT)
        account = parsing.about(parsing.only(told, "accounts"), ACCOUNT, "accountType")
        held: dict[str, Decimal] = {}
        equities: dict[str, Decimal] = {}
        for coin in parsing.rows(parsing.part(account, "coin"), "coins"):
            asset = wire.asset(parsing.word(coin, "coin"))
            if asset in held:
                raise StaleData(f"the venue's answer has two balances of {asset}")
            held[asset] = bybit_rows.net(coin)
            equities[asset] = parsing.number(coin, "equity")
        free = parsing.part(account, "totalAvailableBalance")
        return Wallet(
            balances={asset: amount for asset, amount in held.items() if amount},
            free_margin=None if free == "" else parsing.finite(free, "totalAvailableBalance"),
            equities=equities,
        )

    async def positions(self, wire: Wire) -> Mapping[str, Position]:
        """Of every settlement coin; VenueRefused where a market has two."""
        held: dict[str, Position] = {}
        method = "privateGetV5PositionList"
        asked = [_pages(wire, method, "positions", limit=POSITIONS_A_PAGE, **pocket) for pocket in _pockets(wire)]
        for rows in await together(*asked):
            for row in rows:
                name = wire.contract(parsing.word(row, "symbol"))
                found = bybit_rows.position(row, name)
                if found is None:
                    continue
                if name in held:
                    raise parsing.hedge_mode()
                held[name] = found
        return held

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Conditional ones too."""
        pockets = [*_pockets(wire), {"category": SPOT}]
        method = "privateGetV5OrderRealtime"
        asked = [_pages(wire, method, "orders", openOnly=OPEN, limit=ORDERS_A_PAGE, **pocket) for pocket in pockets]
        told = await together(*asked)
        found = [row for pocket, rows in zip(pockets, told, strict=True) for row in _rows(wire, pocket["category"], rows)]
        return resting(found)

    def parameters(self, request: OrderRequest, _stamp: int, _left: int) -> dict[str, object]:
        """Nothing is borrowed on spot."""
        told: dict[str, object] = {"orderLinkId": request.client_id, "timeInForce": "IOC"}
        if ":" not in request.symbol:
            return {**told, "isLeverage": 0}
        return {**told, "positionIdx": bybit_rows.ONE_WAY, **({"reduceOnly": True} if request.reduce_only else {})}

    def stop_parameters(self, request: OrderRequest, _stamp: int, _left: int) -> dict[str, object]:
        """A market order that the mark sets off; it is one order from the start to its end, told like any other."""
        return {
            "orderLinkId": request.client_id,
            "positionIdx": bybit_rows.ONE_WAY,
            "reduceOnly": True,
            "triggerPrice": plain(request.price),
            "triggerDirection": "ascending" if request.side is Side.BUY else "descending",
            "triggerBy": "MarkPrice",
        }

    def signed_at(self, stamp: int, left: int) -> int:
        """So early that the window ends by the deadline: later Bybit refuses the order."""
        return stamp + min(left, WINDOW) - WINDOW

    def placed(self, _wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """Its ids."""
        if parsing.part(answer, "orderLinkId") != request.client_id:
            raise StaleData("the venue's answer is not about this order: another client order id")
        return listing.taken(bybit_rows.identity(answer, "orderId"), request.client_id)

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """Open and lately ended orders, then the history, which may lag; then trades, since an order that has some is there.

        A history without times covers a week, so that each of the weeks before is asked by itself, a month back.
        """
        category, market = _category(wire, symbol), wire.market_id(symbol)
        named = {"category": category, "symbol": market, "orderLinkId": client_id}
        history = "privateGetV5OrderHistory"
        for method, span in (("privateGetV5OrderRealtime", {}), (history, {}), *((history, week) for week in _earlier(wire))):
            told = await _list(wire, method, "orders", NOT_FOUND, **named, **span)
            if told:
                (row,) = _rows(wire, category, [parsing.only(told, "orders of one client id")])
                return listing.report(row, symbol, client_id)
        trades = await _list(wire, "privateGetV5ExecutionList", "trades", NOT_FOUND, **named)
        if any(bybit_rows.text(row, "orderLinkId") == client_id for row in trades):
            raise StaleData("the venue tells trades of an order that it does not show yet")
        return None

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Funding and settlements left out."""
        category, market, entry = _category(wire, symbol), wire.market_id(symbol), wire.entry(symbol)
        kind = MarketKind.SPOT if category == SPOT else MarketKind(category)
        method = "privateGetV5ExecutionList"
        told = await _pages(wire, method, "trades", category=category, symbol=market, orderId=order_id, limit=TRADES_A_PAGE)
        for row in told:
            parsing.about(parsing.about(row, order_id, "orderId"), market)
        own = filter(bybit_rows.is_trade, told)
        return parsing.trades(bybit_rows.fill(row, symbol, kind, entry, wire.asset) for row in own)

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """What rests, what ended lately, and the history: an order that ends meanwhile is in the later answer."""
        category, market = _category(wire, symbol), wire.market_id(symbol)
        asked = {"category": category, "symbol": market, "limit": ORDERS_A_PAGE}
        realtime = "privateGetV5OrderRealtime"
        rows = await _pages(wire, realtime, "orders", openOnly=OPEN, **asked)
        rows += await _pages(wire, realtime, "orders", since, openOnly=RECENTLY_ENDED, **asked)

        async def past(first: int, last: int) -> list[Any]:
            return await _pages(wire, "privateGetV5OrderHistory", "orders", startTime=first, endTime=last, **asked)

        never_full = listing.MOST_ANSWERS * ORDERS_A_PAGE + 1
        rows += await listing.every_row(past, since, wire.now, span=SPAN, most=never_full)
        for row in rows:
            parsing.about(row, market)
        return whole(_rows(wire, category, rows), since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """Several codes say that nothing rests."""
        named = {"category": _category(wire, symbol), "symbol": wire.market_id(symbol), "orderLinkId": client_id}
        answer = await wire.find("privatePostV5OrderCancel", NOTHING_RESTS, **named)
        if answer is not None and parsing.part(parsing.part(answer, "result"), "orderLinkId") != client_id:
            raise StaleData("the venue's answer is about another order")

    async def ledger(self, wire: Wire, since: datetime) -> tuple[Posting, ...] | None:
        """The transaction log, week by week."""

        async def past(first: int, last: int) -> list[Any]:
            asked = {"accountType": ACCOUNT, "startTime": first, "endTime": last, "limit": bybit_ledger.ROWS_A_PAGE}
            return await _pages(wire, "privateGetV5AccountTransactionLog", "postings", **asked)

        never_full = listing.MOST_ANSWERS * bybit_ledger.ROWS_A_PAGE + 1
        rows = await listing.every_row(past, since, wire.now, span=SPAN, most=never_full, what="postings")
        return parsing.postings(bybit_ledger.posting(wire, row) for row in rows)

    async def funding(self, wire: Wire, symbol: str) -> FundingRate | None:
        """The rate that is paid next; how often, the market's rules say in minutes."""
        if _category(wire, symbol) == SPOT:
            return None
        row, _ = await _ticker(wire, symbol)
        minutes = parsing.positive(parsing.part(wire.entry(symbol), "info"), "fundingInterval")
        return FundingRate(rate=parsing.number(row, "fundingRate"), every=timedelta(minutes=int(minutes)))

    async def key(self, wire: Wire) -> KeyFacts:
        """What the key's own page says."""
        answer = await wire.find("privateGetV5UserQueryApi", NOT_IN_DEMO)
        return KeyFacts() if answer is None else bybit_rows.key(parsing.part(answer, "result"))

    async def modes(self, wire: Wire, symbol: str) -> Modes:
        """The margin mode is the account's, the position mode and the leverage are the market's."""
        if (category := _category(wire, symbol)) == SPOT:
            return Modes()
        market = wire.market_id(symbol)
        account, rows = await together(
            _result(wire, "privateGetV5AccountInfo"),
            _list(wire, "privateGetV5PositionList", "positions", category=category, symbol=market),
        )
        for row in rows:
            parsing.about(row, market)
        leverages = {parsing.positive(row, "leverage") for row in rows if bybit_rows.optional(row, "leverage")}
        return Modes(
            hedged=any(bybit_rows.is_hedged(row) for row in rows) if rows else None,
            margin=parsing.chosen(account, "marginMode", MARGIN_MODES),
            leverage=min(leverages, default=None),
        )

    async def fees(self, wire: Wire, symbol: str) -> FeeRates | None:
        """Fee rates of the market."""
        market = wire.market_id(symbol)
        asked = {"category": _category(wire, symbol), "symbol": market}
        told = await _list(wire, "privateGetV5AccountFeeRate", "fee rates", NOT_IN_DEMO, **asked)
        if not told:
            return None
        row = parsing.about(parsing.only(told, "fee rates"), market)
        return FeeRates(taker=parsing.number(row, "takerFeeRate"), maker=parsing.number(row, "makerFeeRate"))

    async def brackets(self, wire: Wire, symbol: str) -> tuple[Bracket, ...]:
        """Risk limits; those of an inverse market are told in its base, and valued at the mark."""
        if (category := _category(wire, symbol)) == SPOT:
            return ()
        market, worth = wire.market_id(symbol), Decimal(1)
        if category == INVERSE:
            row, _ = await _ticker(wire, symbol)
            worth = parsing.positive(row, "markPrice")
        told = await _list(wire, "publicGetV5MarketRiskLimit", "risk limits", category=category, symbol=market)
        found = [bybit_rows.bracket(parsing.about(row, market), worth) for row in told]
        return tuple(sorted(found, key=lambda one: one.up_to or Decimal("Infinity")))


def _category(wire: Wire, symbol: str) -> str:
    entry = wire.entry(symbol)
    return next(name for name in (SPOT, LINEAR, INVERSE) if entry.get(name))


def _pockets(wire: Wire) -> list[dict[str, str]]:
    """How all contracts are asked for: linear ones only by what they settle in, whether it is listed now or was."""
    coins = SETTLED_IN | {str(entry["settleId"]) for entry in wire.exchange.markets.values() if entry.get(LINEAR)}
    return [*({"category": LINEAR, "settleCoin": coin} for coin in sorted(coins)), {"category": INVERSE}]


def _earlier(wire: Wire) -> list[dict[str, int]]:
    """The weeks before the last one."""
    span = SPAN // timedelta(milliseconds=1)
    return [{"startTime": end - span, "endTime": end} for end in (wire.stamp - number * span for number in range(1, WEEKS))]


def _rows(wire: Wire, category: str, told: Sequence[object]) -> list[OrderRow]:
    symbol: Callable[[str], str] = wire.pair if category == SPOT else wire.contract
    return [bybit_rows.order(row, symbol) for row in told]


async def _ticker(wire: Wire, symbol: str) -> tuple[object, datetime]:
    market = wire.market_id(symbol)
    answer = await wire.ask("publicGetV5MarketTickers", category=_category(wire, symbol), symbol=market)
    told = parsing.rows(parsing.part(parsing.part(answer, "result"), "list"), "tickers")
    row = parsing.about(parsing.only(told, "tickers"), market)
    return row, parsing.instant(parsing.part(answer, "time"), "time of the ticker")


async def _result(wire: Wire, method: str, **asked: object) -> object:
    return parsing.part(await wire.ask(method, **asked), "result")


async def _list(wire: Wire, method: str, what: str, absent: frozenset[str] = NOTHING, **asked: object) -> list[Any]:
    """The rows of one answer; none where it is one of the codes ``absent``."""
    answer = await wire.find(method, absent, **asked)
    return [] if answer is None else parsing.rows(parsing.part(parsing.part(answer, "result"), "list"), what)


async def _pages(wire: Wire, method: str, what: str, since: datetime | None = None, /, **asked: object) -> list[Any]:
    """The rows of every page. The last one may name a next one, which is then empty.

    since: of orders, which are told newest first: pages beyond the first older one are left out.
    """

    async def page(cursor: str | None) -> tuple[list[Any], str | None]:
        told = await _result(wire, method, **asked, **({} if cursor is None else {"cursor": cursor}))
        rows = parsing.rows(parsing.part(told, "list"), what)
        following = bybit_rows.text(told, "nextPageCursor")
        enough = since is not None and any(bybit_rows.placed_at(row) < since for row in rows)
        return rows, following if rows and following and not enough else None

    return await listing.every_page(page, what)
