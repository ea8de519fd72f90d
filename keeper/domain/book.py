"""An order book as it is displayed: mid, spread, depth within a distance, and what walking it costs."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from keeper.domain.market import Side
from keeper.domain.numbers import BPS, ZERO, exact


@dataclass(frozen=True, slots=True)
class Level:
    """price: quote per base; amount: contracts displayed there."""

    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Walk:
    """What an order would take: filled contracts, and their average and worst price (None when nothing is there)."""

    filled: Decimal
    average: Decimal | None
    worst: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderBook:
    """Displayed liquidity of one market, best level first on both sides. at: aware UTC."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    at: datetime

    def faults(self) -> tuple[str, ...]:
        """What makes this book unfit to trade on: empty side, crossed, unsorted, not finite. Empty when sane.

        A locked book (best bid equals best ask) is sane: a feed without a spread shows one.
        """
        found = []
        for name, levels, direction in (("bids", self.bids, -1), ("asks", self.asks, 1)):
            if not levels:
                found.append(f"no {name}")
            if not all(
                level.price.is_finite() and level.price > 0 and level.amount.is_finite() and level.amount > 0 for level in levels
            ):
                found.append(f"{name} hold a number that is not finite and positive")
            elif any((after.price - before.price) * direction <= 0 for before, after in pairwise(levels)):
                found.append(f"{name} are not sorted")
        if not found and self.bids[0].price > self.asks[0].price:
            found.append("crossed")
        return tuple(found)

    @property
    def mid(self) -> Decimal:
        """Halfway between best bid and best ask, quote per base. The book must have both sides."""
        return _half(self.bids[0].price + self.asks[0].price)

    @property
    def half_spread(self) -> Decimal:
        """Half of best ask less best bid, quote per base."""
        return _half(self.asks[0].price - self.bids[0].price)

    def taken_by(self, side: Side) -> tuple[Level, ...]:
        """The levels that an order of ``side`` takes from, best first."""
        return self.asks if side is Side.BUY else self.bids

    @exact
    def depth(self, side: Side, *, limit: Decimal) -> Decimal:
        """Contracts that an order of ``side`` finds at ``limit`` (quote per base) or better."""
        return sum((level.amount for level in self.taken_by(side) if (limit - level.price) * side.sign >= 0), ZERO)

    @exact
    def walk(self, side: Side, amount: Decimal) -> Walk:
        """Take ``amount`` contracts from the displayed levels, best first."""
        left, cost, worst = amount, ZERO, None
        for level in self.taken_by(side):
            if left <= 0:
                break
            take = min(left, level.amount)
            left -= take
            cost += take * level.price
            worst = level.price
        filled = amount - left
        return Walk(filled, cost / filled if filled else None, worst)

    @exact
    def collar(self, side: Side, slippage_bps: Decimal) -> Decimal:
        """The worst price an order of ``side`` may pay: ``slippage_bps`` from the mid, not rounded to the tick."""
        return self.mid * (1 + side.sign * slippage_bps / BPS)


@exact
def _half(value: Decimal) -> Decimal:
    return value / 2
