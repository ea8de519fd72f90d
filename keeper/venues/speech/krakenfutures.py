"""How Kraken Futures is asked, and how its answers are read.

Linear markets (PF_) share one wallet of several collaterals (flex) and settle in US dollars; each inverse market (PI_) has a
margin account of its own in its coin. Money in the holding wallet (cash) backs nothing and is left out. There is no hedge
mode. An answer to an order is HTTP 200 whether it was taken or not; ``sendStatus`` tells. Fees are told nowhere: the fee
schedules that the venue still serves are not what it charges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from keeper.domain.account import Position
from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, UnfitAccount, VenueRefused
from keeper.domain.inspection import Bracket, MarginMode, Modes
from keeper.domain.market import Market
from keeper.domain.numbers import ONE, ZERO, exact
from keeper.domain.observation import MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.venues import listing, parsing
from keeper.venues.concurrency import together
from keeper.venues.listing import OrderRow
from keeper.venues.speech import krakenfutures_history as history
from keeper.venues.speech import krakenfutures_orders as trading
from keeper.venues.speech.base import BOOK_LEVELS, Mark, Speech, Wallet, Wire, check_base64, resting, whole

CLOCK_MARKET = "PF_XBTUSD"
PLACED, MISSED = "placed", "iocWouldNotExecute"
NOTHING_RESTS = ("cancelled", "filled", "notFound")
DOLLARS = "USD"
FLEX, MARGIN, CASH = "multiCollateralMarginAccount", "marginAccount", "cashAccount"
DIRECTIONS = {"long": 1, "short": -1}


class KrakenFutures(Speech):
    """PF_ and PI_ perpetuals."""

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """The smallest order is one lot."""
        market = super().market(symbol, entry)
        return replace(market, min_amount=market.lot)

    def refusal(self, message: object) -> tuple[str, str] | None:
        """``{"result": "error", "error": "authenticationError"}``, or a ``sendStatus`` other than placed."""
        if not isinstance(message, dict):
            return None
        sent, error = message.get("sendStatus"), message.get("error")
        if message.get("result") == "error" and isinstance(error, str):
            code, _, said = error.partition(":")
            return code.strip(), said.strip()
        if message.get("result") != "success" or not isinstance(sent, dict):
            return None
        status = sent.get("status")
        return (status, _reasons(sent)) if isinstance(status, str) and status != PLACED else None

    async def time(self, wire: Wire) -> datetime:
        """The field serverTime, of the shortest answer that has it."""
        answer = await wire.ask("publicGetInstrumentsSymbolStatus", symbol=CLOCK_MARKET)
        return _server_time(answer)

    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """The whole book, of which the best levels are kept; amounts are contracts."""
        answer = await wire.ask("publicGetOrderbook", symbol=wire.market_id(symbol))
        sides = parsing.part(answer, "orderBook")
        bids, asks = (parsing.rows(parsing.part(sides, name), name)[:BOOK_LEVELS] for name in ("bids", "asks"))
        return parsing.levels(bids, asks, _server_time(answer))

    async def mark(self, wire: Wire, symbol: str) -> Mark | None:
        """Of the ticker."""
        ticker, at = await self._ticker(wire, symbol)
        return Mark(price=parsing.positive(ticker, "markPrice"), index=parsing.positive(ticker, "indexPrice"), at=at)

    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """Of the ticker."""
        ticker, _ = await self._ticker(wire, symbol)
        return parsing.positive(ticker, "last"), parsing.moment(parsing.part(ticker, "lastTime"), "time of the last price")

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """Of the ticker, whose volume is contracts."""
        ticker, _ = await self._ticker(wire, symbol)
        contracts = parsing.not_negative(parsing.part(ticker, "vol24h"), "vol24h")
        market = self.market(symbol, wire.entry(symbol))
        return parsing.day(
            volume=market.to_base(contracts, parsing.positive(ticker, "markPrice")),
            high=parsing.positive(ticker, "high24h"),
            low=parsing.positive(ticker, "low24h"),
        )

    async def _ticker(self, wire: Wire, symbol: str) -> tuple[object, datetime]:
        market = wire.market_id(symbol)
        answer = await wire.ask("publicGetTickersSymbol", symbol=market)
        return parsing.about(parsing.part(answer, "ticker"), market), _server_time(answer)

    def check_keys(self, credentials: Mapping[str, str]) -> None:
        """A secret that can sign."""
        check_base64(credentials["secret"])

    async def check_account(self, wire: Wire) -> None:
        """The keys are good, there is money where it can back a position, and profits are paid in dollars."""
        accounts = await self._accounts(wire)
        backing = [name for name, account in accounts.items() if account["type"] != CASH and _holds(account)]
        if not backing and any(_holds(account) for account in accounts.values()):
            remedy = "the money is in the holding wallet, which backs no position: transfer it to the futures wallet (flex)"
            raise VenueRefused("cash", remedy)
        answer = await wire.ask("privateGetPnlpreferences")
        for row in parsing.rows(parsing.part(answer, "preferences"), "preferences"):
            if parsing.word(row, "pnlCurrency") != DOLLARS:
                remedy = f"{parsing.word(row, 'symbol')} pays its profits in {row['pnlCurrency']}: set that back to USD"
                raise UnfitAccount("pnl_currency", remedy)

    async def wallet(self, wire: Wire) -> Wallet:
        """Quantities of the flex wallet and of the inverse markets' margin accounts; cash is left out.

        The flex wallet's open profit is in dollars. What is free of margin accounts is no one figure, so that with any of
        them in use none is told.
        """
        held: dict[str, Decimal] = {}
        equities: dict[str, Decimal] = {}
        free: Decimal | None = None
        single = False
        for account in (await self._accounts(wire)).values():
            if account["type"] == FLEX:
                for name, row in cast("dict[str, object]", parsing.part(account, "currencies")).items():
                    amount = parsing.number(row, "quantity")
                    parsing.summed(held, wire.asset(name), amount)
                    parsing.summed(equities, wire.asset(name), amount)
                parsing.summed(equities, DOLLARS, parsing.number(account, "totalUnrealized"))
                free = parsing.number(account, "availableMargin")
            elif account["type"] == MARGIN:
                asset = parsing.word(account, "currency")
                worth = parsing.number(parsing.part(account, "auxiliary"), "pv")
                amount = parsing.number(parsing.part(account, "balances"), asset)
                parsing.summed(held, wire.asset(asset), amount)
                parsing.summed(equities, wire.asset(asset), worth)
                single = single or amount != 0 or worth != 0
        return Wallet(
            balances={asset: amount for asset, amount in held.items() if amount},
            free_margin=None if single else free,
            equities=equities,
        )

    async def _accounts(self, wire: Wire) -> dict[str, dict[str, Any]]:
        accounts = parsing.part(await wire.ask("privateGetAccounts"), "accounts")
        found = {name: cast("dict[str, Any]", account) for name, account in accounts.items()}
        for account in found.values():
            parsing.chosen(account, "type", {FLEX: FLEX, MARGIN: MARGIN, CASH: CASH})
        if sum(account["type"] == FLEX for account in found.values()) != 1:
            raise StaleData("the venue's answer has no flex wallet, or two")
        return found

    async def positions(self, wire: Wire) -> Mapping[str, Position]:
        """Open positions; their marks are the tickers', and liquidation prices are not told."""
        answer = await wire.ask("privateGetOpenpositions")
        rows = parsing.rows(parsing.part(answer, "openPositions"), "positions")
        held = [row for row in rows if parsing.not_negative(parsing.part(row, "size"), "size")]
        symbols = [trading.market_symbol(wire, row, "symbol") for row in held]
        if len(set(symbols)) < len(symbols):
            raise StaleData("the venue's answer has two positions in one market")
        tickers = await together(*(self._ticker(wire, symbol) for symbol in symbols))
        return {
            symbol: Position(
                symbol=symbol,
                contracts=parsing.positive(row, "size") * parsing.chosen(row, "side", DIRECTIONS),
                entry=parsing.positive(row, "price"),
                mark=parsing.positive(ticker, "markPrice"),
            )
            for symbol, row, (ticker, _) in zip(symbols, held, tickers, strict=True)
        }

    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of every market at once, triggers that wait among them."""
        return resting(await self._resting(wire))

    async def _resting(self, wire: Wire) -> list[OrderRow]:
        rows = await trading.resting(wire)
        if not any(row.filled for row in rows):
            return rows
        latest = await trading.latest_fills(wire)
        return [await self._priced(wire, row, latest) if row.filled else row for row in rows]

    async def _priced(self, wire: Wire, row: OrderRow, latest: list[tuple[str, str, Fill]]) -> OrderRow:
        own = [fill for owner, _, fill in latest if owner == row.order_id]
        if trading.contracts(own) != row.filled:
            found = await history.executions(wire, row.symbol, since=row.at)
            own = [one.fill for one in found if one.order_id == row.order_id]
        return trading.priced(wire, row, own)

    def parameters(self, request: OrderRequest, stamp: int, left: int) -> dict[str, object]:
        """The field processBefore is the deadline, by the venue's clock: later it turns the order down."""
        before = parsing.EPOCH + timedelta(milliseconds=stamp + left)
        return {
            "cliOrdId": request.client_id,
            "timeInForce": "ioc",
            "processBefore": before.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **({"reduceOnly": True} if request.reduce_only else {}),
        }

    def placed(self, wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """Taken, if the answer says so; what became of it the lookup tells. Events may be the only place with the client id."""
        if parsing.part(answer, "status") != PLACED:
            raise StaleData(f"the venue's answer says {str(parsing.part(answer, 'status'))[:40]}")
        order_id, named = trading.named(wire, answer, request)
        return listing.taken(order_id, request.client_id) if named else order_id

    def missed(self, wire: Wire, message: object, request: OrderRequest) -> OrderReport | None:
        """The status iocWouldNotExecute, of an order that got an id and was gone at once."""
        if not isinstance(message, dict) or message.get("result") != "success":
            return None
        sent = parsing.part(message, "sendStatus")
        if parsing.part(sent, "status") != MISSED:
            return None
        order_id, named = trading.named(wire, sent, request)
        if not named:
            return None
        return OrderReport(order_id=order_id, client_id=request.client_id, state=ChildState.CANCELED, filled=ZERO, average=None)

    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """Trading knows it while it rests and for five seconds more, its history ever after."""
        told = await trading.status(wire, cliOrdIds=client_id)
        if told is None:
            row = await history.order(wire, symbol, client_id)
        else:
            row = trading.current(wire, told, await trading.latest_fills(wire))
        return None if row is None else listing.report(row, symbol, client_id)

    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """From the history, which alone tells fees."""
        return await history.fills(wire, symbol, order_id)

    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """From the history, and those that rest."""
        found = await history.orders(wire, symbol, since, await self._resting(wire))
        return whole(found, since)

    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """Whatever the status, nothing rests afterwards."""
        wire.market_id(symbol)
        answer = await wire.ask("privatePostCancelorder", cliOrdId=client_id)
        told = parsing.part(answer, "cancelStatus")
        parsing.chosen(told, "status", dict.fromkeys(NOTHING_RESTS, True))
        if told.get("cliOrdId", client_id) != client_id:
            raise StaleData("the venue's answer is about another order")

    async def dead_man(self, wire: Wire, symbols: Sequence[str], within: timedelta | None) -> bool:
        """In whole seconds, rounded up. It cancels whatever rests in the account, whichever markets are named."""
        del symbols
        seconds = 0 if within is None else -(-within // timedelta(seconds=1))
        answer = await wire.ask("privatePostCancelallordersafter", timeout=seconds)
        status = parsing.part(answer, "status")
        trigger = parsing.part(status, "triggerTime")
        if not seconds:
            if str(trigger) != "0":
                raise StaleData("the venue's answer says that its switch is still on")
            return True
        now = parsing.moment(parsing.part(status, "currentTime"), "time of the venue")
        if abs(parsing.moment(trigger, "time of the switch") - now - timedelta(seconds=seconds)) > timedelta(seconds=1):
            raise StaleData("the venue's answer names another time")
        return True

    async def modes(self, wire: Wire, symbol: str) -> Modes:
        """A market with a leverage preference is isolated, any other cross."""
        market = wire.market_id(symbol)
        answer = await wire.ask("privateGetLeveragepreferences")
        rows = parsing.rows(parsing.part(answer, "leveragePreferences"), "preferences")
        own = [row for row in rows if parsing.word(row, "symbol").upper() == market.upper()]
        if not own:
            return Modes(hedged=False, margin=MarginMode.CROSS)
        leverage = parsing.positive(parsing.only(own, "preferences"), "maxLeverage")
        return Modes(hedged=False, margin=MarginMode.ISOLATED, leverage=leverage)

    async def brackets(self, wire: Wire, symbol: str) -> tuple[Bracket, ...]:
        """The margin levels of the instrument, which are dollars for both kinds."""
        levels = parsing.rows(parsing.part(wire.entry(symbol)["info"], "marginLevels"), "margin levels")
        starts = [parsing.not_negative(_start(level), "margin level") for level in levels]
        return tuple(
            Bracket(
                up_to=starts[number + 1] if number + 1 < len(levels) else None,
                max_leverage=_inverted(parsing.positive(level, "initialMargin")),
                maintenance=parsing.positive(level, "maintenanceMargin"),
            )
            for number, level in enumerate(levels)
        )


def _reasons(sent: dict[str, Any]) -> str:
    events = sent.get("orderEvents")
    told = [event.get("reason") for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    return ", ".join(reason for reason in told if isinstance(reason, str)) or "no reason"


def _server_time(answer: object) -> datetime:
    return parsing.moment(parsing.part(answer, "serverTime"), "time of the venue")


def _start(level: dict[str, Any]) -> object:
    return level.get("numNonContractUnits", level.get("contracts"))


@exact
def _inverted(share: Decimal) -> Decimal:
    return ONE / share


def _holds(account: dict[str, Any]) -> bool:
    """Whether there is anything in a wallet."""
    if account["type"] == FLEX:
        return any(parsing.number(row, "quantity") for row in parsing.part(account, "currencies").values())
    if account["type"] == MARGIN:
        return bool(parsing.number(parsing.part(account, "balances"), parsing.word(account, "currency")))
    return any(parsing.finite(amount, "balance") for amount in parsing.part(account, "balances").values())
