"""How much of a market an order would be: its share of a day's trading and of what is on offer now. Pure.

A fund that is a large part of its market pays for it, and so do its holders: what it would trade moves the price before it is
traded, at a time that others know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.book import OrderBook
from keeper.domain.market import Market, Side
from keeper.domain.numbers import exact, plain, rounded
from keeper.domain.observation import MarketStats
from keeper.planning.limits import Refusal


@dataclass(frozen=True, slots=True)
class Crowding:
    """Fractions that a trade is. volume: of what traded in 24 h; depth: of what is on offer within the collar; None unknown."""

    volume: Decimal | None = None
    depth: Decimal | None = None

    def document(self) -> dict[str, str | None]:
        """As a leg of a plan has it."""
        shares = {"volume_share": self.volume, "depth_share": self.depth}
        return {name: None if share is None else plain(rounded(share, 8)) for name, share in shares.items()}


@exact
def crowding(
    market: Market, book: OrderBook, stats: MarketStats | None, *, side: Side, contracts: Decimal, slippage_bps: Decimal
) -> Crowding:
    """What share of ``market`` a trade of ``contracts`` (> 0) would be. slippage_bps: the collar, from the mid."""
    if book.faults():
        return Crowding()
    traded = market.to_base(contracts, book.mid)
    depth = book.depth(side, limit=book.collar(side, slippage_bps))
    return Crowding(
        volume=traded / stats.volume if stats is not None and stats.volume > 0 else None,
        depth=contracts / depth if depth else None,
    )


@exact
def crowded(adding: Mapping[str, Decimal], most: Decimal) -> tuple[Refusal, ...]:
    """Refusals of what adds risk and would be too much of its market. adding: shares of 24 h volume, by symbol."""
    return tuple(
        Refusal(
            "crowding",
            f"{symbol}: this plan trades {share * 100:.2f} % of what traded there in 24 h;"
            f" limits.max_volume_share = {plain(most)} allows {plain(rounded(most * 100, 2))} %",
        )
        for symbol, share in adding.items()
        if not share <= most
    )
