"""Hyperliquid: perpetuals in USDC, signed for by a wallet. It knows no codes, but texts: what is the same in all of them."""

from keeper.ports import Environment
from keeper.venues.dialects.row import ANY_WHOLE_ANSWER, Dialect, on_site
from keeper.venues.speech.hyperliquid import Hyperliquid
from keeper.venues.speech.hyperliquid_rows import SHAPE

_WALLET = "the wallet that signs may not act here: approve it as an API wallet, or check private key and environment"
_KEYS = dict.fromkeys(
    ("User or API Wallet", "L1 error: User or API Wallet", "Must deposit before performing actions. User"), _WALLET
)
_CAPPED = "the market may not grow now: lower the target or wait"

HYPERLIQUID = Dialect(
    exchange="hyperliquid",
    speech=Hyperliquid(),
    by_hand=on_site("app.hyperliquid.xyz"),
    hosts={
        Environment.LIVE: frozenset({"api.hyperliquid.xyz"}),
        Environment.TESTNET: frozenset({"api.hyperliquid-testnet.xyz"}),
    },
    testnet_switch="set_sandbox_mode",
    options={
        "fetchMarkets": {"types": ["swap"]},  # spot and others' perpetuals are as many requests, and not traded
        "builderFee": False,  # pays ccxt a part of every trade
        "maxRetriesOnFailure": 0,  # a retried order is a second order
    },
    credentials={"wallet_address": "walletAddress", "private_key": "privateKey"},
    client_id_shape=SHAPE,
    client_id_length=29,
    rejections={
        **_KEYS,
        "Price must be divisible by tick size": "the price is not on the tick: the market's rules changed, start again",
        "Order has invalid price": "the price is not on the tick: the market's rules changed, start again",
        "Order has invalid size": "the amount is not a whole number of lots: the market's rules changed, start again",
        "Order has zero size": "the amount is nothing",
        "Order must have minimum value of": "the notional is below the market's minimum",
        "Insufficient margin to place order": "the margin is insufficient: raise the market's leverage setting, deposit or lower"
        " the target",
        "Reduce only order would increase position": "there is no position that the reduce-only order would reduce",
        "Order would increase open interest while open interest is capped": _CAPPED,
        "Order would increase open interest too quickly": "the market grows too fast: wait",
        "Order rejected due to price more aggressive than oracle while at open interest cap": _CAPPED,
        "Order price too far from oracle": "the price is too far from the oracle's: lower limits.max_slippage_bps",
        "Order price cannot be more than": "the price is too far from the reference price: lower limits.max_slippage_bps",
        "Order would cause position to exceed margin tier limit at current leverage": "the position would exceed what"
        " the market's leverage setting allows: lower that setting",
        "Too many cumulative requests sent": "the account has sent more requests than its volume allows: use fewer slices",
    },
    about_us=frozenset(_KEYS),
    refusals=_KEYS,
    duplicate=frozenset(),
    refused_with=ANY_WHOLE_ANSWER,
    read_lag=1.0,
    unique_ids=False,
)
