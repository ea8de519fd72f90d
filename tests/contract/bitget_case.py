"""Bitget's USDT-margined perpetuals as a case."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.bitget import HOST, BitgetExchange, bitget_core
from tests.fakes.loopback_requests import Seen

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def _is_testnet(seen: Seen) -> bool | None:
    """Of a signed request: what is public ccxt asks for now with the header, now without."""
    return seen.header("paptrading") == "1" if seen.header("ACCESS-SIGN") else None


CASE = WireCase(
    name="bitget",
    serve=lambda core: BitgetExchange(core=core),
    core=bitget_core,
    main=BTC,
    second=ETH,
    markets={BTC: "BTCUSDT", ETH: "ETHUSDT"},
    live=frozenset({HOST}),
    testnet=frozenset({HOST}),
    new_order=("POST", "/api/v2/mix/order/place-order"),
    lacks={
        Ability.DEAD_MAN: "a classic account has no such switch",
        Ability.DUPLICATES_EVER: "no document says that a client id is refused once its order has ended",
    },
    targets={BTC: Decimal(2), ETH: Decimal(1)},
    is_testnet=_is_testnet,
)
