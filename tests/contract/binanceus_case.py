"""An exchange without a row of its own as a case: spot, through what ccxt makes of its answers."""

from dataclasses import replace

from tests.contract import binance_case
from tests.contract.case import Ability
from tests.fakes.binance_us import BinanceUs
from tests.fakes.exchange_core import ExchangeCore
from tests.fakes.spot_core import SpotCore


def _serve(core: ExchangeCore) -> BinanceUs:
    assert isinstance(core, SpotCore)
    return BinanceUs(core=core)


CASE = replace(
    binance_case.CASE,
    name="binanceus",
    serve=_serve,
    live=frozenset({"api.binance.us"}),
    testnet=frozenset({"testnet.binance.vision"}),
    lacks={
        **binance_case.CASE.lacks,
        Ability.REJECTIONS: "none of its codes is known, so what it refuses is asked for like whatever is unknown",
    },
)
