"""The market under the exchange: marks that wander by the seed, and books around them that are used up and come back."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from keeper.domain.market import Market, Side

ZERO = Decimal(0)
STILL = 0.5
"""Seconds for which a price stands still."""
YEAR = 365 * 86400.0
Ladder = list[tuple[Decimal, Decimal]]


@dataclass(slots=True)
class _Path:
    mark: Decimal
    at: datetime
    asks: Ladder = field(default_factory=list)
    bids: Ladder = field(default_factory=list)


class Prices:
    """Every market's price. volatility: of a year; depth: notional on one level of a book; frozen: nothing moves any more."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        start: Mapping[str, Decimal],
        clock: Callable[[], datetime],
        rng: Random,
        *,
        volatility: float,
        depth: float,
        half_spread_bps: float,
    ) -> None:
        self.frozen = False
        self._markets = markets
        self._now = clock
        self._rng = rng
        self._volatility = volatility
        self._depth = depth
        self._half_spread = half_spread_bps / 1e4
        self._paths = {symbol: _Path(mark, clock()) for symbol, mark in start.items()}
        self.seen: dict[str, list[tuple[datetime, Decimal]]] = {symbol: [(clock(), mark)] for symbol, mark in start.items()}
        for symbol in start:
            self._refill(symbol)

    def mark(self, symbol: str) -> Decimal:
        """The true mark now."""
        return self._moved(symbol).mark

    def book(self, symbol: str) -> tuple[Ladder, Ladder]:
        """Bids and asks, price and contracts, best first."""
        path = self._moved(symbol)
        return path.bids, path.asks

    def between(self, symbol: str, first: datetime) -> tuple[Decimal, Decimal]:
        """Lowest and highest mark from ``first`` until now."""
        seen = self.seen[symbol]
        start = max(0, bisect_left(seen, first, key=lambda one: one[0]) - 1)
        marks = [mark for _, mark in seen[start:]]
        return min(marks), max(marks)

    def jump(self, symbol: str, factor: Decimal) -> None:
        """Have the price go somewhere at once, unless nothing moves any more."""
        path, tick = self._moved(symbol), self._markets[symbol].tick
        if self.frozen:
            return
        path.mark = max(tick, path.mark * factor // tick * tick)
        self.seen[symbol].append((self._now(), path.mark))
        self._refill(symbol)

    def take(self, symbol: str, side: Side, amount: Decimal, limit: Decimal, share: Decimal) -> Ladder:
        """What an order finds up to its limit, as (contracts, price); the book lacks it until it is refilled.

        share: of each level.
        """
        path, market = self._moved(symbol), self._markets[symbol]
        ladder = path.asks if side is Side.BUY else path.bids
        left = amount
        found: Ladder = []
        for index, (price, there) in enumerate(ladder):
            if left <= 0 or (limit - price) * side.sign < 0:
                break
            taken = min(left, there if share == 1 else there * share // market.lot * market.lot)
            if taken > 0:
                found.append((taken, price))
                left -= taken
                ladder[index] = price, there - taken
        ladder[:] = [level for level in ladder if level[1] > 0] or ladder[-1:]
        return found

    def _moved(self, symbol: str) -> _Path:
        path, now = self._paths[symbol], self._now()
        seconds = (now - path.at).total_seconds()
        if seconds <= STILL:
            return path
        path.at = now
        if not self.frozen:
            deviation = self._volatility * math.sqrt(seconds / YEAR)
            move = math.exp(self._rng.gauss(0.0, deviation) - deviation * deviation / 2)
            tick = self._markets[symbol].tick
            path.mark = max(tick, Decimal(round(float(path.mark) * move / float(tick))) * tick)
            self.seen[symbol].append((now, path.mark))
        self._refill(symbol)
        return path

    def _refill(self, symbol: str) -> None:
        path, market = self._paths[symbol], self._markets[symbol]
        tick = market.tick
        for ladder, sign in ((path.asks, 1), (path.bids, -1)):
            ladder.clear()
            for step in range(4):
                distance = max(1, round(float(path.mark) * (self._half_spread + step * 2e-4) / float(tick)))
                price = path.mark + sign * (distance + step) * tick
                contracts = self._depth * (0.5 + self._rng.random()) / float(price)
                ladder.append((price, max(market.lot, Decimal(round(contracts / float(market.lot))) * market.lot)))


def lag(rng: Random, longest: float) -> timedelta:
    """How far behind one read is."""
    return timedelta(microseconds=rng.randrange(round(longest * 1e6) or 1))
