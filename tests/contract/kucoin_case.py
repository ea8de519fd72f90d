"""KuCoin's perpetuals as two cases: linear markets, and inverse ones on accounts in their coins."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.kucoin import HOSTS, KucoinFutures, usual_core

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
COIN_BTC, COIN_ETH = "BTC/USD:BTC", "ETH/USD:ETH"
LACKS = {
    Ability.TESTNET: "the exchange has no testnet any more",
    Ability.DEAD_MAN: "the exchange has no such switch",
}
LINEAR = WireCase(
    name="kucoinfutures",
    serve=lambda core: KucoinFutures(core=core),
    core=lambda: usual_core(wallet={"USDT": Decimal(100_000)}),
    main=BTC,
    second=ETH,
    markets={BTC: "XBTUSDTM", ETH: "ETHUSDTM"},
    live=frozenset(HOSTS),
    testnet=frozenset(),
    new_order=("POST", "/api/v1/orders"),
    lacks=LACKS,
    targets={BTC: Decimal(2), ETH: Decimal(1)},
    foreign="web",
)
INVERSE = WireCase(
    name="kucoinfutures-inverse",
    serve=lambda core: KucoinFutures(core=core),
    core=lambda: usual_core(wallet={"BTC": Decimal(3), "ETH": Decimal(60)}),
    main=COIN_BTC,
    second=COIN_ETH,
    markets={COIN_BTC: "XBTUSDM", COIN_ETH: "ETHUSDM"},
    live=frozenset(HOSTS),
    testnet=frozenset(),
    new_order=("POST", "/api/v1/orders"),
    lacks=LACKS | {Ability.FREE_MARGIN: "each currency has an account of its own"},
    targets={COIN_BTC: Decimal(2), COIN_ETH: Decimal(1)},
    foreign="web",
)
