"""What a paper exchange asks of a feed. Asynchronous throughout, since a feed may have to go out for its answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from keeper.domain.book import OrderBook
from keeper.domain.errors import VenueRefused
from keeper.domain.market import Market, Side
from keeper.domain.observation import FundingRate, MarketStats
from keeper.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One trade between strangers. side: of the aggressor; amount: contracts; price: quote per base; at: aware UTC."""

    symbol: str
    side: Side
    amount: Decimal
    price: Decimal
    at: datetime


class Feed(Protocol):
    """Prices, books and time of the markets that a paper account may trade.

    Every ``at`` is aware UTC on the feed's own clock. VenueUnavailable or StaleData where a feed has no answer;
    VenueRefused for a symbol that it lacks.
    """

    @property
    def clock(self) -> Clock:
        """The time that this feed runs on."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets to load when the venue connects; the account's collateral is priced by them."""
        ...

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named. VenueRefused names a symbol that is not among them, and those that are."""
        ...

    async def mark(self, symbol: str, at: datetime) -> Decimal:
        """Mark price, quote per base."""
        ...

    async def book(self, symbol: str, at: datetime) -> OrderBook:
        """What strangers display, as if nobody of ours had taken anything; levels in contracts."""
        ...

    async def stats(self, symbol: str, at: datetime) -> MarketStats:
        """Volume (base units in 24 h) and volatility (of a day's return) of the time before ``at``."""
        ...

    async def funding(self, symbol: str, at: datetime) -> FundingRate | None:
        """What longs pay shorts; None where nobody pays."""
        ...

    async def resume(self, prices: Mapping[str, Decimal], at: datetime) -> None:
        """Go on from the prices of an earlier process, no earlier than ``at`` by its clock."""
        ...

    async def close(self) -> None:
        """Let go of connections; ``markets`` takes them up again."""
        ...


def known_market(markets: Mapping[str, Market], symbol: str) -> Market:
    """The market named. VenueRefused names the symbol and those that exist."""
    market = markets.get(symbol)
    if market is None:
        known = ", ".join(sorted(markets)) or "none"
        raise VenueRefused("unknown_symbol", f"the paper exchange has no market {symbol}; it has: {known}")
    return market
