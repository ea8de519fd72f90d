"""Markets, books and observations made by hand for tests of the pure packages."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from keeper.domain.account import Account, Position
from keeper.domain.book import Level, OrderBook
from keeper.domain.market import Market, MarketKind
from keeper.domain.observation import MarketStats, Observation, Quote

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BTC = "BTC/USDT:USDT"
ETH = "ETH/USDT:USDT"


def linear(symbol: str = BTC, *, lot: str = "0.000001", taker: str = "0", tick: str = "0.01") -> Market:
    """A linear market whose contract is one unit of the base asset."""
    base, quote = symbol.partition(":")[0].split("/")
    return Market(
        symbol=symbol,
        kind=MarketKind.LINEAR,
        base=base,
        quote=quote,
        settle=quote,
        contract_size=Decimal(1),
        tick=Decimal(tick),
        lot=Decimal(lot),
        taker=Decimal(taker),
    )


def inverse(symbol: str = "BTC/USD:BTC", *, lot: str = "0.001", taker: str = "0") -> Market:
    """An inverse market whose contract is one unit of the quote currency."""
    market = linear(symbol, lot=lot, taker=taker)
    return replace(market, kind=MarketKind.INVERSE, settle=market.base)


def spot(symbol: str = "ETH/USD", *, lot: str = "0.000001", taker: str = "0") -> Market:
    """A spot market."""
    return replace(linear(symbol, lot=lot, taker=taker), kind=MarketKind.SPOT)


def book(price: str, *, half_spread: str = "0", depth: str = "1000000000", levels: int = 1, at: datetime = NOON) -> OrderBook:
    """A book around ``price``: ``levels`` levels a side, one quote unit apart, ``depth`` contracts on each."""
    mid, half = Decimal(price), Decimal(half_spread)
    asks = tuple(Level(mid + half + step, Decimal(depth)) for step in range(levels))
    bids = tuple(Level(mid - half - step, Decimal(depth)) for step in range(levels))
    return OrderBook(bids, asks, at)


def quote(price: str, **shape: object) -> Quote:
    """A quote whose mark is the book's mid."""
    return Quote(mark=Decimal(price), book=book(price, **shape))  # type: ignore[arg-type] # passed through to book


def holding(symbol: str, contracts: str, entry: str) -> dict[str, Position]:
    """One position."""
    return {symbol: Position(symbol=symbol, contracts=Decimal(contracts), entry=Decimal(entry), mark=Decimal(entry))}


def observe(
    balances: Mapping[str, str],
    markets: Mapping[Market, Quote],
    positions: Mapping[str, Position] | None = None,
    *,
    stats: Mapping[str, MarketStats] | None = None,
    at: datetime = NOON,
) -> Observation:
    """An observation of an account that holds ``balances`` and ``positions``."""
    return Observation(
        account=Account(
            balances={asset: Decimal(amount) for asset, amount in balances.items()}, positions=positions or {}, at=at
        ),
        markets={market.symbol: market for market in markets},
        quotes={market.symbol: quote for market, quote in markets.items()},
        currency=next(iter(markets)).quote,
        at=at,
        stats=stats or {},
    )
