"""Reads what holding a fund's exposure costs now. Public data only, and nothing that a run waits for."""

from collections.abc import Sequence
from decimal import Decimal

import structlog

from keeper.domain.account import Valuation
from keeper.domain.errors import StaleData, VenueError
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import ZERO, exact
from keeper.domain.observation import FundingRate, Observation
from keeper.planning.carry import Carried, carry_document
from keeper.ports import MarketData

CARRY = "carry.seen"
"""Event: what holding the exposure costs, as it was when a day was closed."""
MOST_OTHERS = 4
"""Markets beside the fund's own that are asked for each of them."""
log = structlog.get_logger()


async def carry_of(data: MarketData, observation: Observation) -> dict[str, object]:
    """The document of ``carry_document`` for what ``observation`` shows; what the venue does not tell is null in it.

    StaleData where the account can't be valued.
    """
    valuation = observation.valuation()
    held = []
    for symbol, market in observation.markets.items():
        if not (leverage := _held(observation, valuation, market)):
            continue
        spot = market.kind is MarketKind.SPOT
        others = {} if spot else {other: rate for other, rate in await _rates(data, await _others(data, market)) if rate}
        rate = None if spot else await _rate(data, symbol)
        held.append(Carried(symbol=symbol, leverage=leverage, rate=rate, spot=spot, others=others))
    return carry_document(held)


@exact
def _held(observation: Observation, valuation: Valuation, market: Market) -> Decimal:
    """What is held of a market, as a signed multiple of NAV: of a contract the position alone, coins behind it pay no funding."""
    if market.kind is MarketKind.SPOT:
        return valuation.leverage(market.symbol)
    worth = market.notional(observation.account.held(market), observation.marks[market.symbol]) * valuation.prices[market.quote]
    return worth / valuation.nav if valuation.nav > 0 else ZERO


async def _others(data: MarketData, market: Market) -> Sequence[str]:
    try:
        return (await data.alike(market.symbol))[:MOST_OTHERS]
    except (VenueError, StaleData) as error:
        log.warning("carry.unread", market=market.symbol, error=str(error))
        return ()


async def _rates(data: MarketData, symbols: Sequence[str]) -> list[tuple[str, FundingRate | None]]:
    return [(symbol, await _rate(data, symbol)) for symbol in symbols]


async def _rate(data: MarketData, symbol: str) -> FundingRate | None:
    try:
        return await data.funding(symbol)
    except (VenueError, StaleData) as error:
        log.warning("carry.unread", market=symbol, error=str(error))
        return None
