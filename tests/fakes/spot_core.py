"""The core of an exchange as a spot market has it: balances and nothing else, fees in what a trade brings in.

Like the margin account it extends it keeps its own arithmetic: what it says is a second opinion on Keeper's.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from tests.fakes.exchange_core import CENT, ZERO, ExchangeCore, Order, Reason, Refusal


@dataclass(slots=True, kw_only=True)
class SpotCore(ExchangeCore):
    """One spot account. fees_in: an asset that pays every fee, such as BNB at ``marks_in`` of it; None: what is received.

    lowest: the least that each asset ever was.
    """

    fee_rate: Decimal = Decimal("0.001")
    fees_in: str | None = None
    lowest: dict[str, Decimal] = field(default_factory=dict)

    def total(self, asset: str) -> Decimal:
        return self.wallet.get(asset, ZERO)

    def locked(self, asset: str) -> Decimal:
        """What resting orders hold back of ``asset``."""
        held = ZERO
        for order in self.open_orders():
            market = self.instruments[order.symbol]
            left = order.amount - order.filled
            if asset == (market.quote if order.sign > 0 else market.base):
                held += left * order.price if order.sign > 0 else left
        return held

    def free(self, asset: str) -> Decimal:
        return self.total(asset) - self.locked(asset)

    def check_account(self, order: Order) -> None:
        market = self.instruments[order.symbol]
        asset, needed = (market.quote, order.amount * order.price) if order.sign > 0 else (market.base, order.amount)
        if needed > self.free(asset):
            raise Refusal(Reason.MARGIN)

    def book(self, order: Order, amount: Decimal, price: Decimal) -> None:
        market = self.instruments[order.symbol]
        cost = amount * price
        self._change(market.base, order.sign * amount)
        self._change(market.quote, -order.sign * cost)
        fee_asset = self.fees_in or (market.base if order.sign > 0 else market.quote)
        owed = (amount if fee_asset == market.base else cost / self._price_of(fee_asset)) * self.fee_rate
        fee = owed.quantize(CENT)
        self._change(fee_asset, -fee)
        order.fill(amount, price, cost)
        self.note_trade(order, amount, price, fee=fee, fee_asset=fee_asset)

    def _price_of(self, asset: str) -> Decimal:
        """USDT per unit of ``asset``."""
        return self.mark(f"{asset}USDT") if f"{asset}USDT" in self.ladders else Decimal(1)

    def _change(self, asset: str, amount: Decimal) -> None:
        self.wallet[asset] = self.total(asset) + amount
        self.lowest[asset] = min(self.lowest.get(asset, self.wallet[asset]), self.wallet[asset])
