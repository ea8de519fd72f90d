"""Kraken spot as a case."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.exchange_core import ExchangeCore
from tests.fakes.kraken import HOST, KrakenExchange, kraken_core
from tests.fakes.kraken_messages import order_id, trade_id
from tests.fakes.spot_core import SpotCore

BTC, ETH = "BTC/USD", "ETH/USD"


def _serve(core: ExchangeCore) -> KrakenExchange:
    assert isinstance(core, SpotCore)
    return KrakenExchange(core=core)


CASE = WireCase(
    name="kraken",
    serve=_serve,
    core=lambda: kraken_core(wallet={"USD": Decimal(150_000)}),
    main=BTC,
    second=ETH,
    markets={BTC: "XXBTZUSD", ETH: "XETHZUSD"},
    live=frozenset({HOST}),
    testnet=frozenset(),
    new_order=("POST", "/0/private/AddOrder"),
    lacks={
        Ability.TESTNET: "the exchange has no testnet",
        Ability.REDUCE_ONLY: "there is no position to reduce",
        Ability.HEDGE_MODE: "there is no position",
        Ability.FORCED_ORDERS: "nothing is borrowed, so nothing is liquidated",
        Ability.FREE_MARGIN: "nothing is bound",
        Ability.DUPLICATES_EVER: "a client id is taken again once its order has ended",
    },
    targets={BTC: Decimal("0.5"), ETH: Decimal("0.2")},
    drop=Decimal("1.08"),
    order_id=order_id,
    trade_id=trade_id,
)
