"""Kraken Futures as two cases: linear markets on the flex wallet, and inverse ones on margin accounts in their coins."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.krakenfutures import KrakenFutures, usual_core
from tests.fakes.krakenfutures_messages import order_uid, trade_uid

BTC, ETH = "BTC/USD:USD", "ETH/USD:USD"
COIN_BTC, COIN_ETH = "BTC/USD:BTC", "ETH/USD:ETH"
LINEAR = WireCase(
    name="krakenfutures",
    serve=lambda core: KrakenFutures(core=core),
    core=lambda: usual_core(wallet={"USD": Decimal(100_000)}),
    main=BTC,
    second=ETH,
    markets={BTC: "PF_XBTUSD", ETH: "PF_ETHUSD"},
    live=frozenset({"futures.kraken.com"}),
    testnet=frozenset({"demo-futures.kraken.com"}),
    new_order=("POST", "/sendorder"),
    order_id=order_uid,
    trade_id=trade_uid,
    lacks={Ability.HEDGE_MODE: "a market has one position"},
    targets={BTC: Decimal(2), ETH: Decimal(1)},
)
INVERSE = WireCase(
    name="krakenfutures-inverse",
    serve=lambda core: KrakenFutures(core=core),
    core=lambda: usual_core(wallet={"BTC": Decimal(3), "ETH": Decimal(60)}),
    main=COIN_BTC,
    second=COIN_ETH,
    markets={COIN_BTC: "PI_XBTUSD", COIN_ETH: "PI_ETHUSD"},
    live=frozenset({"futures.kraken.com"}),
    testnet=frozenset({"demo-futures.kraken.com"}),
    new_order=("POST", "/sendorder"),
    order_id=order_uid,
    trade_id=trade_uid,
    lacks={
        Ability.HEDGE_MODE: "a market has one position",
        Ability.FREE_MARGIN: "each margin account has its own",
    },
    targets={COIN_BTC: Decimal(2), COIN_ETH: Decimal(1)},
)
