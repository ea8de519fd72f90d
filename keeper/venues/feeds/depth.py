"""The order book that a generated market displays: a shape measured on recorded books, with seeded randomness per level."""

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from random import Random  # noqa: TID251 - the caller's seeded stream

from keeper.domain.book import Level, OrderBook
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import exact, price_within

# Within x bps of the mid a recorded BTC book held 0.46M USD at 1 bp and 3.4M at 5 bps: 0.46M x^1.24, which also prices
# the sweeps measured on it. It belongs to a market of some 15,000M USD a day and scales with what is traded.
_DEPTH_AT_ONE_BP = 0.46e6
_DEPTH_EXPONENT = 1.243
REFERENCE_DAILY_VALUE = 15e9
LEVELS = 25
_NEAREST_BPS = 0.25
_GROWTH = 1.2
_UNEVENNESS = 0.35
_REACH = tuple(_NEAREST_BPS * _GROWTH**rank for rank in range(LEVELS))


def depth_within(bps: float, daily_value: float) -> float:
    """Quote displayed on one side within ``bps`` of the mid, in a market that trades ``daily_value`` quote a day."""
    return _DEPTH_AT_ONE_BP * math.pow(bps, _DEPTH_EXPONENT) * daily_value / REFERENCE_DAILY_VALUE


@exact
def displayed(*, market: Market, mid: float, half_spread_bps: float, daily_value: float, draw: Random, at: datetime) -> OrderBook:
    """About 25 levels on each side of ``mid`` (quote per base), on the tick, in whole lots, never crossed.

    draw: decides how uneven the levels are; half_spread_bps: from the mid to the best level, before it moves out to the tick.
    """
    sizes = {side: [draw.lognormvariate(-(_UNEVENNESS**2) / 2, _UNEVENNESS) for _ in _REACH] for side in Side}
    offers = _side(market, Side.SELL, mid, half_spread_bps, daily_value, sizes[Side.SELL])
    floor = offers[0].price  # the deepest bid lies below the mid before it is rounded down: one always remains
    bids = [level for level in _side(market, Side.BUY, mid, half_spread_bps, daily_value, sizes[Side.BUY]) if level.price < floor]
    return OrderBook(bids=tuple(bids), asks=tuple(offers), at=at)


def _side(
    market: Market, side: Side, mid: float, half_spread_bps: float, daily_value: float, sizes: Sequence[float]
) -> list[Level]:
    """The levels that rest on ``side``, best first; those that meet on one tick are one level."""
    amounts: dict[Decimal, Decimal] = {}
    inner = 0.0
    for reach, size in zip(_REACH, sizes, strict=True):
        away = (half_spread_bps + reach - _NEAREST_BPS) / 1e4
        wanted = Decimal(repr(mid * (1 - side.sign * away)))
        # a bid moves down to the tick, an offer up; at the bottom of the scale there is still room for a bid
        price = max(price_within(wanted, market.tick, side.sign), market.tick if side is Side.BUY else 2 * market.tick)
        outer = depth_within(reach, daily_value)
        contracts = _contracts(market, (outer - inner) * size, float(price))
        amounts[price] = amounts.get(price, Decimal(0)) + contracts
        inner = outer
    return [Level(price, amount) for price, amount in amounts.items()]


def _contracts(market: Market, value: float, price: float) -> Decimal:
    """``value`` quote in whole lots, one at least."""
    units = value / float(market.contract_size)
    if market.kind is not MarketKind.INVERSE:
        units /= price
    return max(market.lot, market.whole_lots(Decimal(repr(units))) if math.isfinite(units) else market.lot)
