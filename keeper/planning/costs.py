"""What a trade will cost: the rate that sizes it, and the estimate that the operator sees. Pure.

Rates are fractions of notional. Impact: the larger of walking one slice of the displayed book and two thirds of the
square-root law Y sigma sqrt(Q / ADV); Y of 0.6 was fitted on the BTC and ETH order books (0.56, 0.60).
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from keeper.domain.book import OrderBook
from keeper.domain.market import Market, Side
from keeper.domain.numbers import BPS, ZERO, exact
from keeper.domain.observation import MarketStats

SQUARE_ROOT_Y = Decimal("0.6")
_TWO_THIRDS = Decimal(2) / Decimal(3)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """Expected cost of a trade as fractions of its notional; band: one standard deviation of the price over the run."""

    fee: Decimal = ZERO
    spread: Decimal = ZERO
    impact: Decimal = ZERO
    band: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """Fee, spread and impact together."""
        return self.fee + self.spread + self.impact


@exact
def walking_cost(book: OrderBook, side: Side, contracts: Decimal, slippage_bps: Decimal) -> Decimal:
    """Average price of taking ``contracts`` against the mid, fraction of the mid.

    Never below the half spread, and never above the collar ``slippage_bps``: no order pays more than that.
    """
    mid = book.mid
    spread = book.half_spread / mid
    average = book.walk(side, contracts).average
    walked = spread if average is None else max(spread, (average - mid) * side.sign / mid)
    return min(walked, slippage_bps / BPS)


@exact
def sizing_rate(market: Market, book: OrderBook, side: Side, slice_contracts: Decimal, slippage_bps: Decimal) -> Decimal:
    """The cost per notional that a trade takes out of NAV: taker fee plus walking the displayed book for one slice.

    A book that can't be trusted adds nothing: nobody trades on it, but the gap can still be told.
    """
    if book.faults():
        return market.taker
    return market.taker + walking_cost(book, side, slice_contracts, slippage_bps)


@exact
def estimate(
    *,
    market: Market,
    book: OrderBook,
    stats: MarketStats | None,
    side: Side,
    contracts: Decimal,
    slices: int,
    horizon: timedelta,
    slippage_bps: Decimal,
) -> CostEstimate:
    """Pre-trade estimate of trading ``contracts`` (> 0) of ``market`` in ``slices`` within ``horizon``.

    stats: a day's volume and volatility, None where the venue has none (impact is then the walk alone, the band zero);
    slippage_bps: the collar of every order.
    """
    mid = book.mid
    spread = book.half_spread / mid
    walk = max(ZERO, walking_cost(book, side, contracts / slices, slippage_bps) - spread)
    impact, band = walk, ZERO
    if stats is not None:
        days = Decimal(str(horizon / _DAY))
        band = stats.volatility * (days / 3).sqrt()
        if stats.volume > 0:
            traded = market.to_base(contracts, mid)
            impact = max(walk, _TWO_THIRDS * SQUARE_ROOT_Y * stats.volatility * (traded / stats.volume).sqrt())
    return CostEstimate(fee=market.taker, spread=spread, impact=impact, band=band)
