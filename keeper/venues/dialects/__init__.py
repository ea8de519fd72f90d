"""The table of exchanges: one row each. One without a row is traded as far as ccxt alone can tell what it says."""

from keeper.domain.errors import ConfigError, Problem, VenueRefused
from keeper.ports import Environment
from keeper.venues.dialects.binance import BINANCE_COINM, BINANCE_SPOT, BINANCE_USDM
from keeper.venues.dialects.bitget import BITGET
from keeper.venues.dialects.bybit import BYBIT
from keeper.venues.dialects.deribit import DERIBIT
from keeper.venues.dialects.gate import GATE
from keeper.venues.dialects.generic import generic
from keeper.venues.dialects.hyperliquid import HYPERLIQUID
from keeper.venues.dialects.kraken import KRAKEN
from keeper.venues.dialects.krakenfutures import KRAKEN_FUTURES
from keeper.venues.dialects.kucoin import KUCOIN_FUTURES
from keeper.venues.dialects.okx import OKX
from keeper.venues.dialects.row import Dialect

__all__ = [
    "BINANCE_COINM",
    "BINANCE_SPOT",
    "BINANCE_USDM",
    "BITGET",
    "BYBIT",
    "DERIBIT",
    "DIALECTS",
    "GATE",
    "HYPERLIQUID",
    "KRAKEN",
    "KRAKEN_FUTURES",
    "KUCOIN_FUTURES",
    "OKX",
    "Dialect",
    "dialect_of",
]

DIALECTS = {
    row.exchange: row
    for row in (
        BINANCE_USDM,
        BINANCE_COINM,
        BINANCE_SPOT,
        BYBIT,
        OKX,
        KUCOIN_FUTURES,
        GATE,
        BITGET,
        KRAKEN_FUTURES,
        KRAKEN,
        HYPERLIQUID,
        DERIBIT,
    )
}


def _other(source: str, venue: str, exchange: str) -> Dialect:
    try:
        return generic(exchange)
    except VenueRefused as error:
        remedy = f"{error.message}; at home it is on {', '.join(sorted(DIALECTS))}; for a dry run write paper"
        raise ConfigError(Problem(source, f"venues.{venue}.exchange", exchange, remedy)) from None


def dialect_of(venue: str, exchange: str, environment: Environment) -> Dialect:
    """The row of ``exchange``. ConfigError when Keeper can't trade there, or not in ``environment``."""
    source = f"venue {venue}"
    row = DIALECTS.get(exchange) or _other(source, venue, exchange)
    if environment not in row.hosts:
        remedy = f"{exchange} knows {', '.join(sorted(row.hosts))}; for a dry run set exchange to paper"
        raise ConfigError(Problem(source, f"venues.{venue}.environment", environment, remedy))
    return row
