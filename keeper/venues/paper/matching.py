"""The displayed book with a memory: what our orders took stays gone until it refills. Knows no account and no rules.

Memory goes by side and rank of the level, since strangers quote around the mid wherever it goes. What was taken comes back
exponentially. The default half-life of two seconds is slower than recorded books, which are 70 to 90 % back after one to two
seconds but not fully after thirty: one rate stands for both, and errs toward the dearer side.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.book import Level, OrderBook
from keeper.domain.market import Market, Side
from keeper.domain.numbers import ZERO, exact

REFILL_HALF_LIFE = timedelta(seconds=2)
_HALVES_UNTIL_FORGOTTEN = 64


@dataclass(frozen=True, slots=True)
class Taking:
    """What an order takes from one level. rank: of the level in the feed's book, 0 is best; amount: contracts."""

    rank: int
    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class _Gone:
    amount: Decimal
    at: datetime


class Liquidity:
    """What is missing from the feed's books because our orders took it. half_life: of what is missing, above zero."""

    def __init__(self, half_life: timedelta = REFILL_HALF_LIFE) -> None:
        if half_life <= timedelta(0):
            message = f"refill half-life is {half_life}: write a time above 0"
            raise ValueError(message)
        self._half_life = half_life
        self._gone: dict[tuple[str, Side, int], _Gone] = {}

    def displayed(self, market: Market, book: OrderBook) -> OrderBook:
        """``book`` less what is missing at its time, in whole lots; levels without a lot left are not shown."""
        sides = {side: tuple(level for _, level in self._left(market, side, book)) for side in Side}
        return OrderBook(bids=sides[Side.SELL], asks=sides[Side.BUY], at=book.at)

    @exact
    def match(self, market: Market, book: OrderBook, *, side: Side, amount: Decimal, limit: Decimal) -> tuple[Taking, ...]:
        """What an order for ``amount`` contracts would take at ``limit`` or better, best level first. Takes nothing yet."""
        takings, left = [], amount
        for rank, level in self._left(market, side, book):
            if left <= 0 or (limit - level.price) * side.sign < 0:
                break
            taken = min(left, level.amount)
            takings.append(Taking(rank, level.price, taken))
            left -= taken
        return tuple(takings)

    @exact
    def take(self, symbol: str, side: Side, takings: tuple[Taking, ...], at: datetime) -> None:
        """Remember that ``takings`` of an order of ``side`` are gone from ``at`` on."""
        for taking in takings:
            missing = self._missing(symbol, side, taking.rank, at) + taking.amount
            self._gone[symbol, side, taking.rank] = _Gone(missing, at)

    @exact
    def _left(self, market: Market, side: Side, book: OrderBook) -> Iterator[tuple[int, Level]]:
        left = []
        for rank, level in enumerate(book.taken_by(side)):
            missing = self._missing(market.symbol, side, rank, book.at)
            amount = market.whole_lots(level.amount - missing) if missing else level.amount
            if amount > 0:
                left.append((rank, Level(level.price, amount)))
        return iter(left)

    def _missing(self, symbol: str, side: Side, rank: int, at: datetime) -> Decimal:
        gone = self._gone.get((symbol, side, rank))
        if gone is None:
            return ZERO
        halves = Decimal(repr(max(at - gone.at, timedelta(0)) / self._half_life))
        if halves > _HALVES_UNTIL_FORGOTTEN:
            del self._gone[symbol, side, rank]
            return ZERO
        return gone.amount * Decimal(2) ** -halves
