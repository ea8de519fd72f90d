"""Binance USD-M as a case."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.binance_usdm import BinanceUsdm, usual_core

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
CASE = WireCase(
    name="binanceusdm",
    serve=lambda core: BinanceUsdm(core=core),
    core=usual_core,
    main=BTC,
    second=ETH,
    markets={BTC: "BTCUSDT", ETH: "ETHUSDT"},
    live=frozenset({"fapi.binance.com"}),
    testnet=frozenset({"demo-fapi.binance.com"}),
    new_order=("POST", "/fapi/v1/order"),
    lacks={Ability.DUPLICATES_EVER: "a client id is taken again once its order has ended"},
    targets={BTC: Decimal(2), ETH: Decimal(1)},
)
