"""Everything that one round trip to the venue tells: the account and each market, read together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.account import Account, Valuation, value
from keeper.domain.book import OrderBook
from keeper.domain.market import Market


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStats:
    """How a market has been trading. volume: base units in 24 h; volatility: standard deviation of a day's return (fraction)."""

    volume: Decimal
    volatility: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRate:
    """What longs of a perpetual pay shorts (below 0: get from them). rate: fraction of notional, each time; every: how often."""

    rate: Decimal
    every: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One market now. mark, index, last: quote per base; index and last are None where the venue has none."""

    mark: Decimal
    book: OrderBook
    index: Decimal | None = None
    last: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One account and its markets at one time.

    markets and quotes: by symbol, the same keys; stats: by symbol, only where they were asked for; currency: what the
    fund counts in; at: aware UTC, when the last answer arrived; conversions: currency per unit of assets that are held and that
    none of the markets prices. Where not all of it could wait: unread: markets in which something is held that can't be traded
    now, and why; unpriced: assets that were left out of the account.
    """

    account: Account
    markets: Mapping[str, Market]
    quotes: Mapping[str, Quote]
    currency: str
    at: datetime
    stats: Mapping[str, MarketStats]
    conversions: Mapping[str, Decimal] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    unpriced: tuple[str, ...] = ()

    @property
    def marks(self) -> dict[str, Decimal]:
        """Mark of each market, quote per base."""
        return {symbol: quote.mark for symbol, quote in self.quotes.items()}

    def valuation(self) -> Valuation:
        """What the account is worth at this observation's marks. StaleData when an asset has no price."""
        return value(self.account, self.markets.values(), self.marks, self.currency, self.conversions)


def holdings(observation: Observation) -> dict[str, Decimal]:
    """Signed contracts held in each of the fund's markets, on spot the balance of the base asset."""
    return {symbol: observation.account.held(market) for symbol, market in observation.markets.items()}
