"""A recorded order book that changes level by level: displayed lots by tick, the best levels at hand. Whole numbers only."""

from bisect import bisect_left, insort


class Ladder:
    """Both sides of one book. Prices in ticks, amounts in lots; a bid is side +1, an ask side -1."""

    __slots__ = ("_amounts", "_prices")

    def __init__(self) -> None:
        self._amounts: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self._prices: dict[int, list[int]] = {1: [], -1: []}  # rising, on both sides

    def put(self, side: int, tick: int, lots: int) -> None:
        """Display ``lots`` at ``tick``; 0 removes the level."""
        amounts = self._amounts[side]
        if lots:
            if tick not in amounts:
                insort(self._prices[side], tick)
            amounts[tick] = lots
        elif tick in amounts:
            del amounts[tick]
            prices = self._prices[side]
            del prices[bisect_left(prices, tick)]

    def best(self, side: int) -> int | None:
        """The best tick of a side, None when it is empty."""
        prices = self._prices[side]
        if not prices:
            return None
        return prices[-1] if side > 0 else prices[0]

    def top(self, side: int, count: int) -> list[tuple[int, int]]:
        """Tick and lots of the ``count`` best levels, best first."""
        prices, amounts = self._prices[side], self._amounts[side]
        nearest = prices[: -count - 1 : -1] if side > 0 else prices[:count]
        return [(tick, amounts[tick]) for tick in nearest]
