"""How Binance's spot markets are asked, and how their answers are read."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import FeeRates
from keeper.domain.market import FeeAsset, Side
from keeper.domain.numbers import ZERO
from keeper.venues import listing, parsing
from keeper.venues.speech.base import Wallet, Wire
from keeper.venues.speech.binance import Binance

COMMISSIONS = ("standardCommission", "specialCommission", "taxCommission")


class BinanceSpot(Binance):
    """Spot, which has neither positions nor a mark."""

    fee_in = FeeAsset.RECEIVED
    span = timedelta(days=1, milliseconds=-1)
    cancel_echo = "origClientOrderId"  # its clientOrderId names the cancel
    placed_at = "transactTime"
    leave = "enableSpotAndMarginTrading"
    calls: ClassVar[Mapping[str, str]] = {
        "time": "publicGetTime",
        "account": "privateGetAccount",
        "orders": "privateGetOpenOrders",
        "order": "privateGetOrder",
        "history": "privateGetAllOrders",
        "trades": "privateGetMyTrades",
        "book": "publicGetDepth",
        "last": "publicGetTickerPrice",
        "day": "publicGetTicker24hr",
        "cancel": "privateDeleteOrder",
        "fees": "privateGetAccountCommission",
    }

    async def check_account(self, wire: Wire) -> None:
        """The field canTrade."""
        if parsing.part(await wire.ask(self.calls["account"]), "canTrade") is not True:
            message = "the venue has disabled trading on this account: ask it why, or use another account"
            raise VenueRefused("can_trade", message)

    async def wallet(self, wire: Wire) -> Wallet:
        """Free and locked together: what an open order holds back is still the account's."""
        held: dict[str, Decimal] = {}
        for row in parsing.rows(parsing.part(await wire.ask(self.calls["account"]), "balances"), "balances"):
            free, locked = (parsing.not_negative(parsing.part(row, name), name) for name in ("free", "locked"))
            asset = wire.asset(parsing.word(row, "asset"))
            if asset in held:
                raise StaleData(f"the venue's answer has two balances of {asset}")
            held[asset] = parsing.added(free, locked)
        return Wallet(balances={asset: amount for asset, amount in held.items() if amount})

    async def fees(self, wire: Wire, symbol: str) -> FeeRates:
        """Commissions of an order, without the discount for paying in another asset."""
        answer = await self._asked(wire, "fees", symbol)
        taker = maker = ZERO
        for kind in COMMISSIONS:
            told = {name: parsing.number(parsing.part(answer, kind), name) for name in ("taker", "maker", "buyer", "seller")}
            own = max(told["buyer"], told["seller"])
            taker, maker = (
                parsing.added(taker, parsing.added(told["taker"], own)),
                parsing.added(maker, parsing.added(told["maker"], own)),
            )
        return FeeRates(taker=taker, maker=maker)

    def _dated(self, _answer: object, wire: Wire) -> datetime:
        return wire.now

    def _paid_at(self, _answer: object, wire: Wire) -> datetime:
        return wire.now

    def _symbol(self, wire: Wire) -> Callable[[str], str]:
        return wire.pair

    def _average(self, message: object, filled: Decimal) -> Decimal:
        return listing.quotient(parsing.positive(message, "cummulativeQuoteQty"), filled)

    def _side(self, message: object) -> Side:
        return parsing.chosen(message, "isBuyer", {True: Side.BUY, False: Side.SELL})
