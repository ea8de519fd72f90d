"""OKX as three cases, one for each kind of market of its one account."""

from decimal import Decimal
from typing import Any

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.exchange_core import ExchangeCore
from tests.fakes.okx import HOST, OkxServer, okx_core, okx_spot_core

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
INVERSE_BTC, INVERSE_ETH = "BTC/USD:BTC", "ETH/USD:ETH"
SPOT_BTC, SPOT_ETH = "BTC/USDT", "ETH/USDT"
AGAIN = {Ability.DUPLICATES_EVER: "a client id is taken again once its order has ended"}


def _serve(core: ExchangeCore) -> OkxServer:
    return OkxServer(core=core, demo=None)


def _serve_spot(core: ExchangeCore) -> OkxServer:
    return OkxServer(core=core, demo=None, level="1")


COMMON: dict[str, Any] = {
    "live": frozenset({HOST}),
    "testnet": frozenset({HOST}),
    "is_testnet": lambda seen: seen.header("x-simulated-trading") == "1",
    "new_order": ("POST", "/trade/order"),
}
CASES = (
    WireCase(
        name="okx",
        serve=_serve,
        core=lambda: okx_core(wallet={"USDT": Decimal(100_000)}),
        main=BTC,
        second=ETH,
        markets={BTC: "BTC-USDT-SWAP", ETH: "ETH-USDT-SWAP"},
        lacks=AGAIN,
        targets={BTC: Decimal(2), ETH: Decimal(1)},
        **COMMON,
    ),
    WireCase(
        name="okx-inverse",
        serve=_serve,
        core=lambda: okx_core(wallet={"BTC": Decimal(2), "ETH": Decimal(40)}),
        main=INVERSE_BTC,
        second=INVERSE_ETH,
        markets={INVERSE_BTC: "BTC-USD-SWAP", INVERSE_ETH: "ETH-USD-SWAP"},
        lacks={**AGAIN, Ability.FREE_MARGIN: "it is told in USD, and not in the coin that backs a position"},
        targets={INVERSE_BTC: Decimal("1.5"), INVERSE_ETH: Decimal(1)},
        **COMMON,
    ),
    WireCase(
        name="okx-spot",
        serve=_serve_spot,
        core=lambda: okx_spot_core(wallet={"USDT": Decimal(150_000)}),
        main=SPOT_BTC,
        second=SPOT_ETH,
        markets={SPOT_BTC: "BTC-USDT", SPOT_ETH: "ETH-USDT"},
        lacks={
            **AGAIN,
            Ability.REDUCE_ONLY: "there is no position to reduce",
            Ability.HEDGE_MODE: "there is no position",
            Ability.FORCED_ORDERS: "nothing is borrowed, so nothing is liquidated",
            Ability.FREE_MARGIN: "nothing is bound",
        },
        targets={SPOT_BTC: Decimal("0.5"), SPOT_ETH: Decimal("0.2")},
        drop=Decimal("1.08"),
        **COMMON,
    ),
)
