"""What each exchange grants to an address and to an account, and which headers tell what is left: one row each.

Documented figures of the lowest tier. A row grants no more than is documented, and less where a venue counts finer than we do.
"""

from datetime import timedelta
from decimal import Decimal

from keeper.venues.budgets import SILENCE, Budget, Clocked, Gauge, Limits, Unit

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
GENERIC_WINDOW = timedelta(seconds=10)
AT_ONCE = Decimal("0.8")
"""Of little that is granted, so that a start need not wait for a trickle."""


def _weight(name: str, capacity: int, interval: timedelta, *, per_account: bool = False, aligned: bool = False) -> Budget:
    return Budget(
        name=name, unit=Unit.WEIGHT, capacity=Decimal(capacity), interval=interval, per_account=per_account, aligned=aligned
    )


def _orders(name: str, capacity: int, interval: timedelta, *, aligned: bool = False) -> Budget:
    return Budget(name=name, unit=Unit.ORDERS, capacity=Decimal(capacity), interval=interval, per_account=True, aligned=aligned)


_BINANCE_WEIGHT = Gauge(budget="weight 1m", header="X-MBX-USED-WEIGHT-1M")
_BINANCE_10S = Gauge(budget="orders 10s", header="X-MBX-ORDER-COUNT-10S")
_BINANCE_1M = Gauge(budget="orders 1m", header="X-MBX-ORDER-COUNT-1M")

BINANCE_USDM = Limits(
    budgets=(
        _weight("weight 1m", 2400, MINUTE, aligned=True),
        _orders("orders 10s", 300, 10 * SECOND, aligned=True),
        _orders("orders 1m", 1200, MINUTE, aligned=True),
    ),
    gauges=(_BINANCE_WEIGHT, _BINANCE_10S, _BINANCE_1M),
)
BINANCE_COINM = Limits(
    budgets=(_weight("weight 1m", 2400, MINUTE, aligned=True), _orders("orders 1m", 1200, MINUTE, aligned=True)),
    gauges=(_BINANCE_WEIGHT, _BINANCE_1M),
)
BINANCE_SPOT = Limits(
    budgets=(_weight("weight 1m", 6000, MINUTE, aligned=True), _orders("orders 10s", 100, 10 * SECOND, aligned=True)),
    gauges=(_BINANCE_WEIGHT, _BINANCE_10S),
)
BYBIT = Limits(
    budgets=(_weight("address 5s", 600, 5 * SECOND), _orders("orders 1s", 10, SECOND)),
    gauges=(Gauge(budget="orders 1s", header="X-Bapi-Limit-Status", left=True, resets="X-Bapi-Limit-Reset-Timestamp"),),
    bans={403: 10 * MINUTE, 429: SILENCE},  # "access too frequent" for the whole address
)
OKX = Limits(budgets=(_weight("requests 2s", 20, 2 * SECOND, per_account=True), _orders("orders 2s", 60, 2 * SECOND)))
GATE = Limits(
    budgets=(_weight("requests 10s", 200, 10 * SECOND), _orders("orders 1s", 10, SECOND)),
    gauges=(
        Gauge(
            budget="requests 10s",
            header="X-Gate-RateLimit-Requests-Remain",
            left=True,
            resets="X-Gate-RateLimit-Reset-Timestamp",
            clocked=Clocked.SECONDS,
        ),
    ),
)
KUCOIN_FUTURES = Limits(
    budgets=(_weight("pool 30s", 2000, 30 * SECOND, per_account=True),),
    gauges=(
        Gauge(
            budget="pool 30s",
            header="gw-ratelimit-remaining",
            left=True,
            resets="gw-ratelimit-reset",
            clocked=Clocked.MILLISECONDS_LEFT,
        ),
    ),
)
KRAKEN_FUTURES = Limits(
    budgets=(
        _weight("derivatives 10s", 500, 10 * SECOND, per_account=True),
        Budget(name="history 10m", unit=Unit.PAST, capacity=Decimal(100), interval=10 * MINUTE, flows=True, per_account=True),
    )
)
DERIBIT = Limits(budgets=(_weight("requests 1s", 20, SECOND, per_account=True), _orders("orders 1s", 5, SECOND)))
# a counter of 15 that falls by one in three seconds; a start takes most of it, and what is left must be paid back slowly
KRAKEN = Limits(
    budgets=(
        Budget(
            name="counter 45s",
            unit=Unit.WEIGHT,
            capacity=Decimal(15),
            interval=45 * SECOND,
            per_account=True,
            burst=AT_ONCE,
        ),
    )
)
HYPERLIQUID = Limits(budgets=(_weight("weight 1m", 1200, MINUTE),))

LIMITS = {
    "binanceusdm": BINANCE_USDM,
    "binancecoinm": BINANCE_COINM,
    "binance": BINANCE_SPOT,
    "bybit": BYBIT,
    "okx": OKX,
    "gate": GATE,
    "kucoinfutures": KUCOIN_FUTURES,
    "kraken": KRAKEN,
    "krakenfutures": KRAKEN_FUTURES,
    "deribit": DERIBIT,
    "hyperliquid": HYPERLIQUID,
}


def limits_of(exchange: str, every: Decimal) -> Limits:
    """The row of ``exchange``, or for one without a row what ccxt grants: a cost of 1 ``every`` so many milliseconds."""
    if exchange in LIMITS:
        return LIMITS[exchange]
    capacity = Decimal(GENERIC_WINDOW // timedelta(milliseconds=1)) / every
    return Limits(budgets=(Budget(name="ccxt 10s", unit=Unit.WEIGHT, capacity=capacity, interval=GENERIC_WINDOW, burst=AT_ONCE),))
