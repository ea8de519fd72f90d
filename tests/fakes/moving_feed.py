"""A fixed feed whose prices move when a test says so, and at no other time."""

from collections.abc import Mapping
from decimal import Decimal

from keeper.venues.feeds.fixed import FixedFeed
from keeper.venues.feeds.market_spec import MarketSpec
from tests.fakes.paper import START


class MovingFeed(FixedFeed):
    """``move`` sets a price; the book follows it. ``cross`` spoils the book."""

    def move(self, symbol: str, price: str | Decimal) -> None:
        self._prices[symbol] = Decimal(price)

    def cross(self, *, by_bps: str) -> None:
        """Show bids above asks by so much; none when it is 0."""
        self._spread = -Decimal(by_bps) / 10_000


def moving_feed(prices: Mapping[str, str], *, spread_bps: str = "0", depth: str | None = None, **specs: MarketSpec) -> MovingFeed:
    """specs: by base asset, of every market on it."""
    return MovingFeed(
        {symbol: Decimal(price) for symbol, price in prices.items()},
        start=START,
        spread_bps=Decimal(spread_bps),
        depth=None if depth is None else Decimal(depth),
        markets={symbol: specs[base] for symbol in prices if (base := symbol.partition("/")[0]) in specs},
    )
