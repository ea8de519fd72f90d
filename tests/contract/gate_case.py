"""Gate's perpetuals as a case."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.gate import GateFutures, usual_core

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
CASE = WireCase(
    name="gate",
    serve=lambda core: GateFutures(core=core),
    core=usual_core,
    main=BTC,
    second=ETH,
    markets={BTC: "BTC_USDT", ETH: "ETH_USDT"},
    live=frozenset({"api.gateio.ws"}),
    testnet=frozenset({"api-testnet.gateapi.io"}),
    new_order=("POST", "/futures/usdt/orders"),
    lacks={
        Ability.DUPLICATES: "a client id is taken again, even while its order rests",
        Ability.DUPLICATES_EVER: "a client id is taken again, even while its order rests",
    },
    targets={BTC: Decimal(2), ETH: Decimal(1)},
    on_wire=lambda client_id: f"t-{client_id}",
    foreign="web",
)
