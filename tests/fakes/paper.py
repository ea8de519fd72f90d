"""A paper exchange at hand: what a test of one needs, with everything else at rest."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from keeper.domain.account import Account, Position
from keeper.domain.market import Side
from keeper.domain.order import OrderRequest
from keeper.ports import Environment, VenueInfo
from keeper.venues.feeds.feed import Feed
from keeper.venues.feeds.fixed import FixedFeed
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.paper.persistence import PaperStore
from keeper.venues.paper.venue import PaperVenue

START = datetime(2025, 3, 1, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
PERP = "BTC/USDT:USDT"
INFO = VenueInfo(name="sim", exchange="paper", environment=Environment.PAPER, account="paper-sim", read_lag=0.0, order_ttl=5.0)


def fixed_feed(
    prices: Mapping[str, str],
    *,
    spread_bps: str = "0",
    depth: str | None = None,
    specs: Mapping[str, MarketSpec] | None = None,
) -> FixedFeed:
    return FixedFeed(
        {symbol: Decimal(price) for symbol, price in prices.items()},
        start=START,
        spread_bps=Decimal(spread_bps),
        depth=None if depth is None else Decimal(depth),
        markets=specs,
    )


def opening(balances: Mapping[str, str], positions: Mapping[str, tuple[str, str]] | None = None) -> Account:
    """positions: contracts and entry by symbol."""
    return Account(
        balances={asset: Decimal(amount) for asset, amount in balances.items()},
        positions={
            symbol: Position(symbol=symbol, contracts=Decimal(contracts), entry=Decimal(entry), mark=Decimal(entry))
            for symbol, (contracts, entry) in (positions or {}).items()
        },
        at=START,
    )


def paper_venue(
    feed: Feed,
    start: Account,
    *,
    store: PaperStore | None = None,
    borrow: bool | None = None,
    latency: timedelta = timedelta(0),
    stops: bool = False,
) -> PaperVenue:
    """stops: whether it says that it keeps stops; it does so for whoever sends one."""
    return PaperVenue(
        replace(INFO, stops=True) if stops else INFO,
        feed,
        start,
        store=store or PaperStore(None, ""),
        borrow=borrow,
        latency=latency,
    )


def order(
    client_id: str,
    side: Side,
    amount: str | Decimal,
    price: str | Decimal,
    *,
    symbol: str = PERP,
    reduce_only: bool = False,
    deadline: datetime = NEVER,
) -> OrderRequest:
    return OrderRequest(
        client_id=client_id,
        symbol=symbol,
        side=side,
        amount=Decimal(amount),
        price=Decimal(price),
        reduce_only=reduce_only,
        deadline=deadline,
    )
