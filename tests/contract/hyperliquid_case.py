"""Hyperliquid as a case."""

from decimal import Decimal

from tests.contract.case import Ability
from tests.contract.wire_case import WireCase
from tests.fakes.hyperliquid import LIVE, STRANGER_KEY, TESTNET, Hyperliquid, hyperliquid_core, theirs

BTC, ETH = "BTC/USDC:USDC", "ETH/USDC:USDC"
CASE = WireCase(
    name="hyperliquid",
    serve=lambda core: Hyperliquid(core=core),
    core=hyperliquid_core,
    main=BTC,
    second=ETH,
    markets={BTC: "BTC", ETH: "ETH"},
    live=frozenset({LIVE}),
    testnet=frozenset({TESTNET}),
    new_order=("POST", "/exchange"),
    new_order_says='"type":"order"',
    lacks={
        Ability.CLOSING: "what it says of a closed market is not documented, and so proves nothing",
        Ability.HEDGE_MODE: "every market has one position",
        Ability.DUPLICATES: "it takes a client id as often as it is sent",
    },
    targets={BTC: Decimal(2), ETH: Decimal(1)},
    on_wire=theirs,
    foreign="",
    wrong={"wallet_address": "0x00000000000000000000000000000000000000b2", "private_key": STRANGER_KEY},
)
