"""At what price and in which style a slice goes out. Pure. One style so far: an immediate-or-cancel order with a collar."""

from decimal import Decimal

from keeper.domain.book import OrderBook
from keeper.domain.market import Market, Side
from keeper.domain.numbers import exact, price_within


@exact
def collared_price(market: Market, book: OrderBook, side: Side, slippage_bps: Decimal) -> Decimal:
    """The limit price of a taker order: ``slippage_bps`` from the mid, put on the tick on the safe side."""
    collar = book.collar(side, slippage_bps)
    return price_within(collar, market.tick_at(collar), side.sign)


@exact
def capped_by_depth(
    market: Market, book: OrderBook, side: Side, contracts: Decimal, *, limit: Decimal, share: Decimal
) -> Decimal:
    """``contracts`` (> 0), or as many whole lots as ``share`` of the depth up to ``limit`` holds, whichever is less."""
    return min(contracts, market.whole_lots(book.depth(side, limit=limit) * share))
