"""How Gate's perpetuals that settle in USDT are asked, and how their answers are read, without ccxt's parsers.

Gate wants ``t-`` before a client id, takes the same one twice, and finds an order by it only while that rests or for a minute
longer; afterwards the lists of orders are all there is, and an order that ended unfilled leaves those after ten minutes.
Sizes are signed contracts. An order's time limit travels in a header, for which ccxt has no parameter.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from keeper.domain.account import Position
from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, UnfitAccount, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.market import Market, Side
from keeper.domain.observation import FundingRate, MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.domain.statement import Posting
from keeper.venues import listing, parsing
from keeper.venues.listing import OrderRow
from keeper.venues.speech import gate_book
from keeper.venues.speech.base import BOOK_LEVELS, Mark, Speech, Wallet, Wire, resting, whole

SETTLE = "usdt"
ASSET = "USDT"
PREFIX = "t-"
AHEAD = 60
"""Seconds by which the venue's clock may be ahead."""
PAGE = 100
"""Rows that every one of Gate's lists gives at once."""
LEAST_COUNTDOWN = 5
"""Seconds, the shortest time that the dead-man switch takes."""
NOT_FOUND = frozenset({"ORDER_NOT_FOUND", "CLIENT_ID_NOT_FOUND"})
NOTHING_RESTS = NOT_FOUND | {"ORDER_FINISHED", "ORDER_CLOSED", "ORDER_CANCELLED"}
FORCED = (
    "liquidation",
    "liq-",
    "hedge-liq-",
    "pm_liquidate",
    "comb_margin_liquidate",
    "scm_liquidate",
    "auto_deleveraging",
    "insurance",
)
"""How the texts begin of orders that Gate itself placed."""
CLASSIC = 0
POSITION_MODES = {"single": False, "dual": True, "dual_plus": True, "split": True}
"""Whether a market has more than one position."""
ENDED = {
    "filled": ChildState.FILLED,
    **dict.fromkeys(
        (
            "cancelled",
            "liquidated",
            "ioc",
            "fok",
            "poc",
            "auto_deleveraged",
            "reduce_only",
            "reduce_out",
            "position_closed",
            "position_close",
            "stp",
        ),
        ChildState.CANCELED,
    ),
}


class Gate(Speech):
    """USDT-settled perpetuals of a classic account."""

    stated = ("amount",)

    def prepare(self, exchange: Any) -> None:
        """Without the header by which the library counts orders as its own."""
        exchange.headers.pop("X-Gate-Channel-Id", None)

    def refusal(self, message: object) -> tuple[str, str] | None:
        """``{"label": "ORDER_NOT_FOUND", "message": "Order not found"}``; some say ``detail``."""
        label = message.get("label") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(label, str) or not label:
            return None
        return label, str(message.get("message") or message.get("detail") or "")

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """A market that Gate is about to close is refused: its positions will be settled for whoever holds them."""
        if parsing.part(parsing.part(entry, "info"), "in_delisting") is not False:
            raise VenueRefused("delisting", f"{symbol} is being delisted by the venue: name another market")
        return super().market(symbol, entry)

    async def time(self, wire: Wire) -> datetime:
        """The field server_time of spot, which is the same machine's."""
        return parsing.instant(parsing.part(await wire.ask("publicSpotGetTime"), "server_time"), "time of the venue")

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """Rows of ``{"p": price, "s": contracts}``."""
        market = wire.market_id(symbol)
        answer = await wire.ask("publicFuturesGetSettleOrderBook", settle=SETTLE, contract=market, limit=BOOK_LEVELS)
        bids, asks = (
            [[parsing.part(row, "p"), parsing.part(row, "s")] for row in parsing.rows(parsing.part(answer, side), side)]
            for side in ("bids", "asks")
        )
        return parsing.levels(bids, asks, _seconds(answer, "current", "time of the book"))

    async def mark(self, wire: Wire, symbol: str) -> Mark | None:
        """Tickers, which tell no time."""
        ticker = await self._ticker(wire, symbol)
        return Mark(price=parsing.positive(ticker, "mark_price"), index=parsing.positive(ticker, "index_price"), at=wire.now)

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """The newest public trade."""
        market = wire.market_id(symbol)
        answer = await wire.ask("publicFuturesGetSettleTrades", settle=SETTLE, contract=market, limit=1)
        trade = parsing.about(parsing.only(parsing.rows(answer, "trades"), "trades"), market, "contract")
        return parsing.positive(trade, "price"), _seconds(trade, "create_time", "time of the last price")

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """Tickers."""
        ticker = await self._ticker(wire, symbol)
        return parsing.day(
            volume=parsing.not_negative(parsing.part(ticker, "volume_24h_base"), "volume"),
            high=parsing.positive(ticker, "high_24h"),
            low=parsing.positive(ticker, "low_24h"),
        )

    async def check_account(self, wire: Wire) -> None:
        """One-way mode, and no unified account: that one's collateral is in every coin that it holds."""
        answer = await self._account(wire)
        if _is_hedged(answer):
            raise parsing.hedge_mode()
        if parsing.number(answer, "margin_mode") != CLASSIC or answer.get("enable_credit") is True:
            message = (
                "the account is a unified one, whose collateral Keeper can't read at full value: switch it to the classic mode,"
                " or use a sub-account that is in it"
            )
            raise UnfitAccount("unified_account", message)

    async def wallet(self, wire: Wire) -> Wallet:
        """``total`` is without open profit."""
        answer = await self._account(wire)
        total = parsing.number(answer, "total")
        free = "cross_available" if answer.get("enable_evolved_classic") is True else "available"
        return Wallet(
            balances={ASSET: total} if total else {},
            free_margin=parsing.number(answer, free),
            equities={ASSET: parsing.added(total, parsing.number(answer, "unrealised_pnl"))},
        )

    async def positions(self, wire: Wire) -> Mapping[str, Position]:
        """VenueRefused for one of hedge mode."""
        held: dict[str, Position] = {}
        for row in await _pages(wire, "privateFuturesGetSettlePositions", "positions", holding="true"):
            contracts = parsing.number(row, "size")
            if not contracts:
                continue
            name = wire.contract(parsing.word(row, "contract"))
            if parsing.part(row, "mode") != "single" or name in held:
                raise parsing.hedge_mode()
            held[name] = Position(
                symbol=name,
                contracts=contracts,
                entry=parsing.positive(row, "entry_price"),
                mark=parsing.positive(row, "mark_price"),
                liquidation=parsing.not_negative(parsing.part(row, "liq_price"), "liq_price") or None,
            )
        return held

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market at once."""
        return resting([_row(row, wire) for row in await _pages(wire, "privateFuturesGetSettleOrders", "orders", status="open")])

    def parameters(self, request: OrderRequest, _stamp: int, _left: int) -> dict[str, object]:
        """The time limit is in ``headers``."""
        reducing = {"reduceOnly": True} if request.reduce_only else {}
        return {"text": PREFIX + request.client_id, "timeInForce": "IOC", **reducing}

    def headers(self, _request: OrderRequest, stamp: int, left: int) -> Mapping[str, str]:
        """Gate refuses what arrives after this time; without it, it takes what is up to a minute old."""
        return {"X-Gate-Exptime": str(stamp + left)}

    def placed(self, wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """The whole order."""
        return listing.report(_row(answer, wire), request.symbol, request.client_id)

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """By the client id, then in the lists of orders: a minute after it ended an order is not found by it any more."""
        text = PREFIX + client_id
        answer = await wire.find("privateFuturesGetSettleOrdersOrderId", NOT_FOUND, settle=SETTLE, order_id=text)
        if answer is None:
            named = [row for row in await self._listed(wire, symbol) if isinstance(row, dict) and row.get("text") == text]
            answer = parsing.only(named, f"orders of client id {client_id}") if named else None
        return None if answer is None else listing.report(_row(answer, wire), symbol, client_id)

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Fees in the settlement asset; what was paid in points instead is none."""
        market = wire.market_id(symbol)
        found = await _pages(wire, "privateFuturesGetSettleMyTrades", "trades", contract=market, order=order_id)
        own = [row for row in found if parsing.identity(parsing.part(row, "order_id"), "order id") == order_id]
        return parsing.trades(_fill(parsing.about(row, market, "contract"), symbol) for row in own)

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Gate forgets an order that ended without a trade after ten minutes, and any other after six months."""
        return whole([_row(row, wire) for row in await self._listed(wire, symbol, since)], since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """Gate knows an order that rests by its client id."""
        text = PREFIX + client_id
        answer = await wire.find("privateFuturesDeleteSettleOrdersOrderId", NOTHING_RESTS, settle=SETTLE, order_id=text)
        if answer is not None:
            parsing.about(parsing.about(answer, text, "text"), wire.market_id(symbol), "contract")

    async def ledger(self, wire: Wire, since: datetime) -> tuple[Posting, ...] | None:
        """The account book, which is told in whole seconds."""
        call = "privateFuturesGetSettleAccountBook"
        span: dict[str, Any] = {"from": int(since.timestamp()), "to": int(wire.now.timestamp()) + AHEAD}
        rows = await _pages(wire, call, "postings", **span)
        read = parsing.postings(gate_book.posting(wire, row, wire.asset(ASSET)) for row in rows)
        return tuple(sorted((one for one in reversed(read) if one.at >= since), key=lambda one: one.at))

    async def funding(self, wire: Wire, symbol: str) -> FundingRate | None:
        """The rate that is paid next; how often, the market's rules say in seconds."""
        rate = parsing.number(await self._ticker(wire, symbol), "funding_rate")
        every = parsing.positive(parsing.part(wire.entry(symbol), "info"), "funding_interval")
        return FundingRate(rate=rate, every=timedelta(seconds=int(every)))

    async def dead_man(self, wire: Wire, symbols: Sequence[str], within: timedelta | None) -> bool:
        """For each market by itself, in whole seconds, rounded up, at least five; 0 takes it off."""
        wait = 0 if within is None else max(LEAST_COUNTDOWN, -(-within // timedelta(seconds=1)))
        for symbol in symbols:
            market = wire.market_id(symbol)
            answer = await wire.ask("privateFuturesPostSettleCountdownCancelAll", settle=SETTLE, contract=market, timeout=wait)
            if within is not None:
                parsing.instant(parsing.part(answer, "triggerTime"), "time of the cancel")
        return True

    async def key(self, wire: Wire) -> KeyFacts:
        """Gate tells of the addresses, not of the rights."""
        addresses = parsing.part(await wire.ask("privateAccountGetDetail"), "ip_whitelist")
        return KeyFacts(ip_bound=bool(parsing.rows(addresses, "addresses")))

    async def modes(self, wire: Wire, symbol: str) -> Modes:
        """A leverage of 0 says that the position is a cross one, whose setting is the cross limit (0: as high as there is)."""
        if _is_hedged(await self._account(wire)):
            return Modes(hedged=True)
        market = wire.market_id(symbol)
        answer = parsing.about(
            await wire.ask("privateFuturesGetSettlePositionsContract", settle=SETTLE, contract=market), market, "contract"
        )
        isolated = parsing.not_negative(parsing.part(answer, "leverage"), "leverage")
        if isolated:
            return Modes(hedged=False, margin=MarginMode.ISOLATED, leverage=isolated)
        limit = parsing.not_negative(parsing.part(answer, "cross_leverage_limit"), "cross_leverage_limit")
        return Modes(hedged=False, margin=MarginMode.CROSS, leverage=limit or None)

    async def fees(self, wire: Wire, symbol: str) -> FeeRates | None:
        """By the name of the market."""
        market = wire.market_id(symbol)
        rates = parsing.part(await wire.ask("privateFuturesGetSettleFee", settle=SETTLE, contract=market), market)
        return FeeRates(taker=parsing.number(rates, "taker_fee"), maker=parsing.number(rates, "maker_fee"))

    async def brackets(self, wire: Wire, symbol: str) -> tuple[Bracket, ...]:
        """Risk limit tiers, public."""
        market = wire.market_id(symbol)
        answer = await wire.ask("publicFuturesGetSettleRiskLimitTiers", settle=SETTLE, contract=market)
        steps = [
            Bracket(
                up_to=parsing.positive(parsing.about(row, market, "contract"), "risk_limit"),
                max_leverage=parsing.positive(row, "leverage_max"),
                maintenance=parsing.positive(row, "maintenance_rate"),
            )
            for row in parsing.rows(answer, "tiers")
        ]
        return tuple(sorted(steps, key=lambda step: step.up_to or 0))

    async def _account(self, wire: Wire) -> Mapping[str, Any]:
        answer = await wire.ask("privateFuturesGetSettleAccounts", settle=SETTLE)
        return cast("Mapping[str, Any]", parsing.about(answer, ASSET, "currency"))

    async def _ticker(self, wire: Wire, symbol: str) -> object:
        market = wire.market_id(symbol)
        answer = await wire.ask("publicFuturesGetSettleTickers", settle=SETTLE, contract=market)
        return parsing.about(parsing.only(parsing.rows(answer, "tickers"), "tickers"), market, "contract")

    async def _listed(self, wire: Wire, symbol: str, since: datetime | None = None) -> list[Any]:
        """The rows of a market's orders, those that rest first; of those that ended, at least all placed since then.

        Read in this order, an order that ends meanwhile is in both lists and not in none.
        """
        call, market = "privateFuturesGetSettleOrders", wire.market_id(symbol)
        rows = await _pages(wire, call, "orders", contract=market, status="open")
        rows += await _pages(wire, call, "orders", since, contract=market, status="finished")
        for row in rows:
            parsing.about(row, market, "contract")
        return list({str(parsing.part(row, "id")): row for row in rows}.values())


async def _pages(wire: Wire, call: str, what: str, since: datetime | None = None, **asked: object) -> list[Any]:
    """The rows of a list. since: a page that goes back to what ended before is the last one, as they come newest first."""

    async def page(cursor: str | None) -> tuple[list[Any], str | None]:
        start = int(cursor or 0)
        answer = await wire.ask(call, settle=SETTLE, limit=PAGE, offset=start, **asked)
        rows = parsing.rows(answer, what)
        past = since is not None and _goes_back_to(rows, since)
        return rows, None if len(rows) < PAGE or past else str(start + PAGE)

    return await listing.every_page(page, what)


def _goes_back_to(rows: Sequence[object], since: datetime) -> bool:
    """Whether the last of these orders ended before ``since``. StaleData unless the newest are first."""
    ends = [_seconds(row, "finish_time", "end of an order") for row in rows]
    if ends and ends[0] < ends[-1]:
        raise StaleData("the venue's list of orders begins with the oldest, so some may be missing")
    return bool(ends) and ends[-1] < since


def _seconds(message: object, name: str, what: str) -> datetime:
    return parsing.since_epoch(parsing.part(message, name), what, per_second=1)


def _is_hedged(account: Mapping[str, Any]) -> bool:
    dual = parsing.chosen(account, "in_dual_mode", {True: True, False: False})
    return dual or ("position_mode" in account and parsing.chosen(account, "position_mode", POSITION_MODES))


def _row(message: object, wire: Wire) -> OrderRow:
    size, left = (parsing.number(message, name) for name in ("size", "left"))
    if not size:
        raise StaleData("the venue's answer holds an order without a size")
    amount, missing = abs(size), abs(left)
    filled = parsing.added(amount, -missing)
    text = parsing.word(message, "text")
    at = _seconds(message, "create_time", "time of an order")
    live = parsing.chosen(message, "status", {"open": True, "finished": False})
    state = ChildState.LIVE if live else parsing.chosen(message, "finish_as", ENDED)
    return OrderRow(
        order_id=parsing.identity(parsing.part(message, "id"), "order id"),
        client_id=text.removeprefix(PREFIX),
        symbol=wire.contract(parsing.word(message, "contract")),
        side=Side.of(size),
        amount=amount,
        filled=parsing.not_negative(str(filled), "filled"),
        average=parsing.positive(message, "fill_price") if filled else None,
        limit=parsing.not_negative(parsing.part(message, "price"), "price") or None,
        state=listing.consistent(parsing.part(message, "status"), state, amount, filled),
        forced=text.startswith(FORCED) or parsing.part(message, "is_liq") is True,
        at=at,
        changed_at=at if live else _seconds(message, "finish_time", "end of an order"),
    )


def _fill(row: object, symbol: str) -> Fill:
    size = parsing.number(row, "size")
    return Fill(
        trade_id=parsing.identity(parsing.part(row, "id"), "trade id"),
        symbol=symbol,
        side=Side.of(size),
        amount=parsing.above_zero(str(abs(size)), "size"),
        price=parsing.positive(row, "price"),
        fee=parsing.number(row, "fee"),
        fee_asset=ASSET,
        at=_seconds(row, "create_time", "time of a trade"),
    )
