"""How Binance's futures are asked, and how their answers are read: USD-M and, settled in coins, COIN-M."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from keeper.domain.account import Position
from keeper.domain.errors import StaleData
from keeper.domain.inspection import Bracket, FeeRates, MarginMode, Modes, Setting
from keeper.domain.numbers import exact
from keeper.domain.observation import FundingRate, MarketStats
from keeper.domain.statement import Posting
from keeper.venues import parsing
from keeper.venues.concurrency import together
from keeper.venues.speech import binance_income
from keeper.venues.speech.base import Mark, Wallet, Wire
from keeper.venues.speech.binance import YES_OR_NO, Binance

EIGHT = Decimal(8)
NEVER = 4_133_404_800_000
"""Milliseconds since 1970 that stand for no end, in 2100."""
MARGIN_MODES = {
    "CROSSED": MarginMode.CROSS,
    "cross": MarginMode.CROSS,
    "ISOLATED": MarginMode.ISOLATED,
    "isolated": MarginMode.ISOLATED,
}


class BinanceFutures(Binance):
    """What both kinds of futures have in common."""

    span = timedelta(days=7, milliseconds=-1)
    leave = "enableFutures"

    async def mark(self, wire: Wire, symbol: str) -> Mark | None:
        """Premium index."""
        answer = await self._asked(wire, "mark", symbol)
        return Mark(
            price=parsing.positive(answer, "markPrice"),
            index=parsing.positive(answer, "indexPrice"),
            at=parsing.instant(parsing.part(answer, "time"), "time of the mark"),
        )

    async def funding(self, wire: Wire, symbol: str) -> FundingRate | None:
        """The rate that is paid next, and how often: every eight hours where the exchange does not say otherwise."""
        market = wire.market_id(symbol)
        answer, told = await together(self._asked(wire, "mark", symbol), wire.ask(self.calls["funding"]))
        rows = [row for row in parsing.rows(told, "fundings") if parsing.part(row, "symbol") == market]
        hours = parsing.positive(rows[0], "fundingIntervalHours") if rows else EIGHT
        return FundingRate(rate=parsing.number(answer, "lastFundingRate"), every=timedelta(hours=int(hours)))

    async def ledger(self, wire: Wire, since: datetime) -> tuple[Posting, ...] | None:
        """The income history."""
        return await binance_income.ledger(wire, self.calls["income"], since)

    async def check_account(self, wire: Wire) -> None:
        """One-way mode."""
        if await self._hedged(wire):
            raise parsing.hedge_mode()

    async def _hedged(self, wire: Wire) -> bool:
        return parsing.chosen(await wire.ask(self.calls["mode"]), "dualSidePosition", YES_OR_NO)

    async def wallet(self, wire: Wire) -> Wallet:
        """Wallet balances, without open profit, and the margin balances, with it."""
        answer = await wire.ask(self.calls["account"])
        assets: dict[str, Any] = {}
        for row in parsing.rows(parsing.part(answer, "assets"), "assets"):
            asset = wire.asset(parsing.word(row, "asset"))
            if asset in assets:
                raise StaleData(f"the venue's answer has two balances of {asset}")
            assets[asset] = row
        held = {asset: parsing.number(row, "walletBalance") for asset, row in assets.items()}
        return Wallet(
            balances={asset: amount for asset, amount in held.items() if amount},
            free_margin=self._free_margin(answer, assets),
            equities={asset: parsing.number(row, "marginBalance") for asset, row in assets.items()},
        )

    def _free_margin(self, _answer: object, _assets: Mapping[str, Any]) -> Decimal | None:
        return None

    async def positions(self, wire: Wire) -> Mapping[str, Position]:
        """Position risk; VenueRefused when the account is in hedge mode."""
        held: dict[str, Position] = {}
        for row in parsing.rows(await wire.ask(self.calls["positions"]), "positions"):
            name = wire.contract(parsing.word(row, "symbol"))
            contracts = parsing.number(row, "positionAmt")
            if not contracts:
                continue
            if parsing.part(row, "positionSide") != "BOTH" or name in held:
                raise parsing.hedge_mode()
            held[name] = Position(
                symbol=name,
                contracts=contracts,
                entry=parsing.positive(row, "entryPrice"),
                mark=parsing.positive(row, "markPrice"),
                liquidation=parsing.not_negative(parsing.part(row, "liquidationPrice"), "liquidationPrice") or None,
            )
        return held

    async def dead_man(self, wire: Wire, symbols: Sequence[str], within: timedelta | None) -> bool:
        """countdownCancelAll, for each market by itself; 0 takes it off."""
        countdown = 0 if within is None else within // timedelta(milliseconds=1)
        for symbol in symbols:
            market = wire.market_id(symbol)
            answer = parsing.about(await wire.ask(self.calls["dead_man"], symbol=market, countdownTime=countdown), market)
            if parsing.number(answer, "countdownTime") != countdown:
                raise StaleData("the venue's answer names another time")
        return True

    async def modes(self, wire: Wire, symbol: str) -> Modes:
        """Position mode of the account, and what is set for the market."""
        market = wire.market_id(symbol)
        told, hedged = await together(self._settings(wire, market), self._hedged(wire))
        rows = parsing.rows(told, "settings")
        # in hedge mode some lists have a row for each side
        row = next((one for one in rows if parsing.part(one, "symbol") == market), None)
        if row is None:
            raise StaleData(f"the venue's answer says nothing of {market}")
        return Modes(
            hedged=hedged,
            margin=parsing.chosen(row, "marginType", MARGIN_MODES),
            leverage=parsing.positive(row, "leverage"),
        )

    async def _settings(self, wire: Wire, market: str) -> object:
        return await wire.ask(self.calls["settings"], symbol=market)

    async def fees(self, wire: Wire, symbol: str) -> FeeRates:
        """Commission rates."""
        answer = await self._asked(wire, "fees", symbol)
        return FeeRates(
            taker=parsing.number(answer, "takerCommissionRate"),
            maker=parsing.number(answer, "makerCommissionRate"),
        )

    async def ends(self, wire: Wire, symbol: str) -> datetime | None:
        """The delivery date, which a perpetual has only once it is to be taken off the list."""
        told = parsing.part(parsing.part(wire.entry(symbol), "info"), "deliveryDate")
        return parsing.instant(told, "deliveryDate") if parsing.finite(told, "deliveryDate") < NEVER else None

    async def _steps(self, wire: Wire, symbol: str) -> tuple[object, list[Any]]:
        """A market's leverage table, and its steps, smallest positions first."""
        market = wire.market_id(symbol)
        rows = parsing.rows(await wire.ask(self.calls["brackets"], symbol=market), "leverage tables")
        table = parsing.about(parsing.only(rows, "leverage tables"), market)
        steps = parsing.rows(parsing.part(table, "brackets"), "brackets")
        return table, sorted(steps, key=lambda step: parsing.number(step, "bracket"))


class BinanceUsdm(BinanceFutures):
    """USD-M futures.

    In multi-assets mode all assets together are the collateral, a profit is in the asset that its market settles in, and a
    loss may leave a negative balance of it: told as it is.
    """

    sets = frozenset(Setting)
    calls: ClassVar[Mapping[str, str]] = {
        "time": "fapiPublicGetTime",
        "account": "fapiPrivateV3GetAccount",
        "positions": "fapiPrivateV3GetPositionRisk",
        "mode": "fapiPrivateGetPositionSideDual",
        "orders": "fapiPrivateGetOpenOrders",
        "order": "fapiPrivateGetOrder",
        "history": "fapiPrivateGetAllOrders",
        "trades": "fapiPrivateGetUserTrades",
        "book": "fapiPublicGetDepth",
        "mark": "fapiPublicGetPremiumIndex",
        "last": "fapiPublicV2GetTickerPrice",
        "day": "fapiPublicGetTicker24hr",
        "cancel": "fapiPrivateDeleteOrder",
        "dead_man": "fapiPrivatePostCountdownCancelAll",
        "settings": "fapiPrivateGetSymbolConfig",
        "fees": "fapiPrivateGetCommissionRate",
        "brackets": "fapiPrivateGetLeverageBracket",
        "income": "fapiPrivateGetIncome",
        "funding": "fapiPublicGetFundingInfo",
    }

    def _free_margin(self, answer: object, assets: Mapping[str, Any]) -> Decimal | None:
        """USD of all assets in multi-assets mode, else of USDT alone, which says nothing of an account that holds others."""
        free = parsing.number(answer, "availableBalance")
        others = any(parsing.number(row, "availableBalance") > 0 for asset, row in assets.items() if asset != "USDT")
        return free if free > 0 or not others else None

    async def set_one_way(self, wire: Wire) -> None:
        """-4059 says that it is so already."""
        await wire.find("fapiPrivatePostPositionSideDual", {"-4059"}, dualSidePosition="false")

    async def set_margin(self, wire: Wire, symbol: str, mode: MarginMode) -> None:
        """-4046 says that it is so already."""
        word = {MarginMode.CROSS: "CROSSED", MarginMode.ISOLATED: "ISOLATED"}[mode]
        await wire.find("fapiPrivatePostMarginType", {"-4046"}, symbol=wire.market_id(symbol), marginType=word)

    async def set_leverage(self, wire: Wire, symbol: str, leverage: int) -> None:
        """The answer repeats the setting."""
        answer = await wire.ask("fapiPrivatePostLeverage", symbol=wire.market_id(symbol), leverage=leverage)
        if parsing.number(answer, "leverage") != leverage:
            raise StaleData("the venue's answer names another leverage")

    async def brackets(self, wire: Wire, symbol: str) -> tuple[Bracket, ...]:
        """Notional brackets; those of an account whose multiplier is below one are as much smaller."""
        table, steps = await self._steps(wire, symbol)
        raw = table.get("notionalCoef", "1") if isinstance(table, dict) else "1"
        multiplier = min(Decimal(1), parsing.above_zero(raw, "notionalCoef"))
        return tuple(
            Bracket(
                up_to=_times(parsing.positive(step, "notionalCap"), multiplier),
                max_leverage=parsing.positive(step, "initialLeverage"),
                maintenance=parsing.not_negative(parsing.part(step, "maintMarginRatio"), "maintMarginRatio"),
            )
            for step in steps
        )


class BinanceCoinm(BinanceFutures):
    """COIN-M futures: a contract is worth 100 USD or 10, margin and profit of a market are in its own coin."""

    stated = ("price", "amount")
    most_orders = 100
    calls: ClassVar[Mapping[str, str]] = {
        "time": "dapiPublicGetTime",
        "account": "dapiPrivateGetAccount",
        "positions": "dapiPrivateGetPositionRisk",
        "mode": "dapiPrivateGetPositionSideDual",
        "orders": "dapiPrivateGetOpenOrders",
        "order": "dapiPrivateGetOrder",
        "history": "dapiPrivateGetAllOrders",
        "trades": "dapiPrivateGetUserTrades",
        "book": "dapiPublicGetDepth",
        "mark": "dapiPublicGetPremiumIndex",
        "last": "dapiPublicGetTickerPrice",
        "day": "dapiPublicGetTicker24hr",
        "cancel": "dapiPrivateDeleteOrder",
        "dead_man": "dapiPrivatePostCountdownCancelAll",
        "settings": "dapiPrivateGetPositionRisk",
        "fees": "dapiPrivateGetCommissionRate",
        "brackets": "dapiPrivateV2GetLeverageBracket",
        "income": "dapiPrivateGetIncome",
        "funding": "dapiPublicGetFundingInfo",
    }
    listed: ClassVar[tuple[str, ...]] = ("mark", "last", "day")
    """What is answered with a list of one row."""

    async def _asked(self, wire: Wire, call: str, symbol: str) -> object:
        market = wire.market_id(symbol)
        answer = await wire.ask(self.calls[call], symbol=market)
        if call in self.listed:
            answer = parsing.only(parsing.rows(answer, "markets"), "markets")
        return parsing.about(answer, market)

    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """Ticker of 24 hours, whose volume is in contracts, and in coins beside it."""
        answer = await self._asked(wire, "day", symbol)
        return parsing.day(
            volume=parsing.not_negative(parsing.part(answer, "baseVolume"), "baseVolume"),
            high=parsing.positive(answer, "highPrice"),
            low=parsing.positive(answer, "lowPrice"),
        )

    async def _settings(self, wire: Wire, _market: str) -> object:
        return await wire.ask(self.calls["settings"])  # takes no symbol

    async def brackets(self, wire: Wire, symbol: str) -> tuple[Bracket, ...]:
        """Brackets of coins, at what they are worth by the mark now."""
        _, steps = await self._steps(wire, symbol)
        mark = parsing.positive(await self._asked(wire, "mark", symbol), "markPrice")
        return tuple(
            Bracket(
                up_to=_times(parsing.positive(step, "qtyCap"), mark),
                max_leverage=parsing.positive(step, "initialLeverage"),
                maintenance=parsing.not_negative(parsing.part(step, "maintMarginRatio"), "maintMarginRatio"),
            )
            for step in steps
        )


@exact
def _times(amount: Decimal, factor: Decimal) -> Decimal:
    return amount * factor
