"""Binance COIN-M as a case."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.binance_coinm import BinanceCoinm, coinm_core

BTC, ETH = "BTC/USD:BTC", "ETH/USD:ETH"
CASE = WireCase(
    name="binancecoinm",
    serve=lambda core: BinanceCoinm(core=core),
    core=coinm_core,
    main=BTC,
    second=ETH,
    markets={BTC: "BTCUSD_PERP", ETH: "ETHUSD_PERP"},
    live=frozenset({"dapi.binance.com"}),
    testnet=frozenset({"demo-dapi.binance.com"}),
    new_order=("POST", "/dapi/v1/order"),
    lacks={
        Ability.DUPLICATES_EVER: "a client id is taken again once its order has ended",
        Ability.FREE_MARGIN: "every coin is a margin of its own",
    },
    targets={BTC: Decimal("1.5"), ETH: Decimal("0.8")},
)
