"""Bybit's unified account as three cases: linear contracts, inverse ones, spot."""

from decimal import Decimal
from typing import Any

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.bybit import Bybit
from tests.fakes.bybit_cores import inverse_core, spot_core, usual_core
from tests.fakes.bybit_messages import order_id, trade_id

NO_SWITCH = "the exchange watches a private stream instead"
AGAIN = "a client id is taken again once its order has ended"
_COMMON: dict[str, Any] = {
    "serve": lambda core: Bybit(core=core),
    "live": frozenset({"api.bybit.com"}),
    "testnet": frozenset({"api-demo.bybit.com"}),
    "new_order": ("POST", "/v5/order/create"),
    "trade_id": trade_id,
}
LINEAR = WireCase(
    name="bybit",
    core=usual_core,
    main="BTC/USDT:USDT",
    second="ETH/USDT:USDT",
    markets={"BTC/USDT:USDT": "BTCUSDT", "ETH/USDT:USDT": "ETHUSDT"},
    order_id=order_id,
    lacks={Ability.DEAD_MAN: NO_SWITCH, Ability.DUPLICATES_EVER: AGAIN},
    targets={"BTC/USDT:USDT": Decimal(2), "ETH/USDT:USDT": Decimal(1)},
    **_COMMON,
)
INVERSE = WireCase(
    name="bybit-inverse",
    core=inverse_core,
    main="BTC/USD:BTC",
    second="ETH/USD:ETH",
    markets={"BTC/USD:BTC": "BTCUSD", "ETH/USD:ETH": "ETHUSD"},
    order_id=order_id,
    lacks={
        Ability.DEAD_MAN: NO_SWITCH,
        Ability.DUPLICATES_EVER: AGAIN,
        Ability.FREE_MARGIN: "told in USD, over all coins together",
    },
    targets={"BTC/USD:BTC": Decimal(2), "ETH/USD:ETH": Decimal(1)},
    **_COMMON,
)
SPOT = WireCase(
    name="bybit-spot",
    core=spot_core,
    main="BTC/USDT",
    second="ETH/USDT",
    markets={"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT"},
    lacks={
        Ability.REDUCE_ONLY: "there is no position to reduce",
        Ability.HEDGE_MODE: "there is no position",
        Ability.FORCED_ORDERS: "nothing is borrowed, so nothing is liquidated",
        Ability.DEAD_MAN: NO_SWITCH,
        Ability.FREE_MARGIN: "nothing is bound",
        Ability.DUPLICATES_EVER: AGAIN,
    },
    targets={"BTC/USDT": Decimal("0.5"), "ETH/USDT": Decimal("0.2")},
    drop=Decimal("1.08"),
    **_COMMON,
)
