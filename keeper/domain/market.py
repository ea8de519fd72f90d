"""A market: one instrument on a venue, and the three ways to count an amount in it.

Amounts are contracts everywhere in Keeper. A spot contract is one unit of the base asset, a linear contract is
``contract_size`` units of the base asset, an inverse contract is ``contract_size`` units of the quote currency.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from keeper.domain.numbers import ONE, ZERO, exact, plain, round_up, truncate


class MarketKind(StrEnum):
    """How a market settles."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"


class FeeAsset(StrEnum):
    """What a market takes its fees in: the asset that it settles in, or, on spot, whatever the trade brings in."""

    SETTLE = "settle"
    RECEIVED = "received"


class Side(StrEnum):
    """The side of an order."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @classmethod
    def of(cls, signed: Decimal) -> "Side":
        """The side that trades ``signed`` contracts."""
        return cls.BUY if signed > 0 else cls.SELL


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One instrument.

    symbol: ccxt's unified symbol; base, quote, settle: asset codes (settle equals quote on spot and linear, base on
    inverse); contract_size: base per contract (spot, linear) or quote per contract (inverse); tick: quote per base; digits:
    significant ones that a price may have at most, unless it is a whole number, None where the tick is all; lot, min_amount:
    contracts; min_cost: quote; taker, maker: fraction of notional; fee_in: what they are taken in.
    """

    symbol: str
    kind: MarketKind
    base: str
    quote: str
    settle: str
    contract_size: Decimal
    tick: Decimal
    lot: Decimal
    min_amount: Decimal = ZERO
    min_cost: Decimal = ZERO
    taker: Decimal = ZERO
    maker: Decimal = ZERO
    fee_in: FeeAsset = FeeAsset.SETTLE
    digits: int | None = None

    @property
    def identity(self) -> dict[str, str]:
        """What makes it this market and no other, as text; limits and fees may change, this may not."""
        fields = {"kind": self.kind, "base": self.base, "quote": self.quote, "settle": self.settle}
        return {name: str(value) for name, value in fields.items()} | {"contract_size": plain(self.contract_size)}

    def fee_asset(self, side: Side) -> str:
        """What the fee of an order of ``side`` is taken in: a spot buy whose fee is in what it receives pays in coins."""
        received = self.fee_in is FeeAsset.RECEIVED and self.kind is MarketKind.SPOT
        return self.base if received and side is Side.BUY else self.settle

    @exact
    def notional(self, contracts: Decimal, price: Decimal) -> Decimal:
        """Value of ``contracts`` (signed) in quote currency at ``price`` (quote per base)."""
        if self.kind is MarketKind.INVERSE:
            return contracts * self.contract_size
        return contracts * self.contract_size * price

    @exact
    def to_base(self, contracts: Decimal, price: Decimal) -> Decimal:
        """``contracts`` (signed) in units of the base asset at ``price``."""
        if self.kind is MarketKind.INVERSE:
            return contracts * self.contract_size / price
        return contracts * self.contract_size

    @exact
    def to_contracts(self, notional: Decimal, price: Decimal) -> Decimal:
        """Contracts (signed, not rounded) whose value at ``price`` is ``notional`` quote."""
        if self.kind is MarketKind.INVERSE:
            return notional / self.contract_size
        return notional / (self.contract_size * price)

    @exact
    def profit(self, contracts: Decimal, entry: Decimal, price: Decimal) -> Decimal:
        """Profit of holding ``contracts`` (signed) from ``entry`` to ``price``, in units of ``settle``."""
        if self.kind is MarketKind.INVERSE:
            return contracts * self.contract_size * (1 / entry - 1 / price)
        return contracts * self.contract_size * (price - entry)

    @exact
    def tick_at(self, price: Decimal) -> Decimal:
        """The tick that a price as large as ``price`` (> 0) must be on: the market's own, or a larger one for its digits."""
        if self.digits is None:
            return self.tick
        return max(self.tick, min(ONE, ONE.scaleb(price.adjusted() + 1 - self.digits)))

    def whole_lots(self, contracts: Decimal) -> Decimal:
        """``contracts`` truncated toward zero to the lot."""
        return truncate(contracts, self.lot)

    @property
    def minimum_reduction(self) -> Decimal:
        """The smallest order that only reduces a position, in contracts: venues ask no minimum cost of it."""
        return round_up(max(self.lot, self.min_amount), self.lot)

    def minimum_order(self, price: Decimal) -> Decimal:
        """The smallest order the market takes at ``price``, in contracts, a whole number of lots."""
        return round_up(max(self.lot, self.min_amount, self.to_contracts(self.min_cost, price)), self.lot)
