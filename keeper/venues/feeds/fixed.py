"""A feed whose prices never move: for worked examples. It costs exactly what its spread, depth and fees say."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from keeper.domain.book import Level, OrderBook
from keeper.domain.market import Market
from keeper.domain.numbers import BPS, ZERO, exact
from keeper.domain.observation import FundingRate, MarketStats
from keeper.ports import Clock
from keeper.venues.feeds.feed import known_market
from keeper.venues.feeds.market_spec import MarketSpec, markets_of
from keeper.venues.paper.clock import AcceleratedClock

UNLIMITED = Decimal(10) ** 15


class FixedFeed:
    """One level on each side, around a price that stands.

    prices: quote per base, by symbol; spread_bps: best ask less best bid, of the price (0 shows a locked book, so that
    mid and fills are exactly the price); depth: contracts at the one level of each side, None for no limit; clock: None for
    time that begins at ``start`` (aware UTC) and jumps to whoever sleeps. The spread is shown as it was asked for, off the
    tick if need be.
    ValueError with words for whatever can't be.
    """

    def __init__(
        self,
        prices: Mapping[str, Decimal],
        *,
        start: datetime,
        spread_bps: Decimal = ZERO,
        depth: Decimal | None = None,
        markets: Mapping[str, MarketSpec] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._prices = dict(prices)
        self._specs = dict(markets or {})
        self._markets = markets_of(self._prices, self._specs)
        if not (spread_bps.is_finite() and 0 <= spread_bps < BPS):
            message = f"spread_bps is {spread_bps}: write basis points of the price, 0 or more"
            raise ValueError(message)
        if depth is not None and not (depth.is_finite() and depth > 0):
            message = f'depth is {depth}: write contracts above 0, or "unlimited"'
            raise ValueError(message)
        self._spread = spread_bps / BPS
        self._depth = UNLIMITED if depth is None else depth
        self._clock = clock or AcceleratedClock(start, None)

    @property
    def clock(self) -> Clock:
        """Real time, or time that jumps to whoever sleeps: nothing happens in between."""
        return self._clock

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every market that has a price."""
        return tuple(self._markets)

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named. VenueRefused names a symbol that is not among them."""
        return {symbol: known_market(self._markets, symbol) for symbol in symbols}

    async def mark(self, symbol: str, at: datetime) -> Decimal:  # noqa: ARG002 - the same at any time
        """The price, quote per base."""
        return self._prices[known_market(self._markets, symbol).symbol]

    async def book(self, symbol: str, at: datetime) -> OrderBook:
        """One level on each side, in contracts."""
        return self._book(await self.mark(symbol, at), at)

    async def stats(self, symbol: str, at: datetime) -> MarketStats:  # noqa: ARG002 - the same at any time
        """A market that stands: nothing is traded, nothing varies."""
        known_market(self._markets, symbol)
        return MarketStats(volume=ZERO, volatility=ZERO)

    async def funding(self, symbol: str, at: datetime) -> FundingRate | None:  # noqa: ARG002 - the same at any time
        """What longs pay shorts, as configured."""
        return self._specs[symbol].funding if symbol in self._specs else None

    async def resume(self, prices: Mapping[str, Decimal], at: datetime) -> None:  # noqa: ARG002 - prices stand as configured
        """Move the clock on to ``at``; the prices stand."""
        if isinstance(self._clock, AcceleratedClock):
            self._clock.forward_to(at)

    async def close(self) -> None:
        """Nothing is held."""

    @exact
    def _book(self, price: Decimal, at: datetime) -> OrderBook:
        half = price * self._spread / 2
        return OrderBook(bids=(Level(price - half, self._depth),), asks=(Level(price + half, self._depth),), at=at)
