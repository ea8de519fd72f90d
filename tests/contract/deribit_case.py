"""Deribit as two cases: linear markets that settle in USDC, and inverse ones that settle in coins."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.deribit import Deribit, usual_core
from tests.fakes.deribit_messages import order_id, trade_id

BTC, ETH = "BTC/USDC:USDC", "ETH/USDC:USDC"
COIN_BTC, COIN_ETH = "BTC/USD:BTC", "ETH/USD:ETH"
LACKS = {
    Ability.HEDGE_MODE: "a market has one position",
    Ability.DEAD_MAN: "it cancels on the end of a stream, not after a time",
    Ability.DUPLICATES: "a label may be used again",
}
LINEAR = WireCase(
    name="deribit",
    serve=lambda core: Deribit(core=core),
    core=lambda: usual_core(wallet={"USDC": Decimal(100_000)}),
    main=BTC,
    second=ETH,
    markets={BTC: "BTC_USDC-PERPETUAL", ETH: "ETH_USDC-PERPETUAL"},
    live=frozenset({"www.deribit.com"}),
    testnet=frozenset({"test.deribit.com"}),
    new_order=("GET", "/private/buy"),
    order_id=order_id,
    trade_id=trade_id,
    lacks=LACKS,
    targets={BTC: Decimal(2), ETH: Decimal(1)},
)
INVERSE = WireCase(
    name="deribit-inverse",
    serve=lambda core: Deribit(core=core),
    core=lambda: usual_core(wallet={"BTC": Decimal(3), "ETH": Decimal(60)}),
    main=COIN_BTC,
    second=COIN_ETH,
    markets={COIN_BTC: "BTC-PERPETUAL", COIN_ETH: "ETH-PERPETUAL"},
    live=frozenset({"www.deribit.com"}),
    testnet=frozenset({"test.deribit.com"}),
    new_order=("GET", "/private/buy"),
    order_id=order_id,
    trade_id=trade_id,
    lacks=LACKS | {Ability.FREE_MARGIN: "each currency has its own"},
    targets={COIN_BTC: Decimal(2), COIN_ETH: Decimal(1)},
)
