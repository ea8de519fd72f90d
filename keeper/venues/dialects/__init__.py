"""The table of exchanges: one row each. An exchange without a row can't be traded."""

from keeper.domain.errors import ConfigError, Problem
from keeper.ports import Environment
from keeper.venues.dialects.binance import BINANCE_SPOT, BINANCE_USDM
from keeper.venues.dialects.row import Dialect

__all__ = ["BINANCE_SPOT", "BINANCE_USDM", "DIALECTS", "Dialect", "dialect_of"]

DIALECTS = {
    row.exchange: row
    for row in (
        BINANCE_USDM,
        BINANCE_SPOT,
    )
}


def dialect_of(venue: str, exchange: str, environment: Environment) -> Dialect:
    """The row of ``exchange``. ConfigError when there is none, or none for ``environment``."""
    row = DIALECTS.get(exchange)
    source = f"venue {venue}"
    if row is None:
        remedy = f"orders can be sent to {', '.join(sorted(DIALECTS))}; for a dry run write paper"
        raise ConfigError(Problem(source, f"venues.{venue}.exchange", exchange, remedy))
    if environment not in row.hosts:
        remedy = f"{exchange} knows {', '.join(sorted(row.hosts))}; for a dry run set exchange to paper"
        raise ConfigError(Problem(source, f"venues.{venue}.environment", environment, remedy))
    return row
