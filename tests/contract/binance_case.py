"""Binance spot as a case."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.exchange_core import ExchangeCore
from tests.fakes.spot_core import SpotCore

BTC, ETH = "BTC/USDT", "ETH/USDT"


def _serve(core: ExchangeCore) -> BinanceSpot:
    assert isinstance(core, SpotCore)
    return BinanceSpot(core=core)


CASE = WireCase(
    name="binance",
    serve=_serve,
    core=lambda: spot_core(wallet={"USDT": Decimal(150_000)}),
    main=BTC,
    second=ETH,
    markets={BTC: "BTCUSDT", ETH: "ETHUSDT"},
    live=frozenset({"api.binance.com"}),
    testnet=frozenset({"demo-api.binance.com"}),
    new_order=("POST", "/api/v3/order"),
    lacks={
        Ability.REDUCE_ONLY: "there is no position to reduce",
        Ability.HEDGE_MODE: "there is no position",
        Ability.FORCED_ORDERS: "nothing is borrowed, so nothing is liquidated",
        Ability.DEAD_MAN: "the exchange has no such switch",
        Ability.FREE_MARGIN: "nothing is bound",
        Ability.DUPLICATES_EVER: "a client id is taken again once its order has ended",
    },
    targets={BTC: Decimal("0.5"), ETH: Decimal("0.2")},
    drop=Decimal("1.08"),
)
