"""A loopback Bybit with contracts and spot in one wallet, and a venue connected to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.bybit import Bybit
from tests.fakes.bybit_cores import spot_core, usual_core
from tests.fakes.exchange_core import ExchangeCore
from tests.fakes.loopback_venue import venue_at

LINEAR, ETHER, INVERSE, SPOT, USDC = "BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USD:BTC", "BTC/USDT", "BTC/USDC:USDC"
World = tuple[Bybit, CcxtVenue]
ORDERS: dict[str, dict[str, Any]] = {
    LINEAR: {"symbol": LINEAR},
    INVERSE: {"symbol": INVERSE, "amount": Decimal(750)},
    SPOT: {"symbol": SPOT},
}
"""What makes an order one of each category."""


def unified(**changes: Any) -> Bybit:
    """The exchange, not yet serving."""
    core = usual_core(**changes)
    return Bybit(core=core, spot=spot_core(wallet=core.wallet, now=core.now))


def core_of(server: Bybit, symbol: str) -> ExchangeCore:
    """Where a market is traded."""
    if symbol != SPOT:
        return server.core
    assert server.spot is not None
    return server.spot


def rows(**fields: Any) -> Callable[[Any], Any]:
    """Change every row of an answer."""
    return lambda answer: answer | {"result": answer["result"] | {"list": [row | fields for row in answer["result"]["list"]]}}


@asynccontextmanager
async def connected(
    server: Bybit | None = None, environment: Environment = Environment.TESTNET, **changes: Any
) -> AsyncIterator[tuple[Bybit, CcxtVenue]]:
    """The exchange, and a venue that has just connected. ``changes`` replace arguments of CcxtVenue."""
    async with server or unified() as exchange, venue_at(exchange, environment, **changes) as venue:
        exchange.requests.clear()
        yield exchange, venue
