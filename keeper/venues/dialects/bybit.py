"""Bybit: linear and inverse perpetuals and spot of the unified account, live and in demo trading."""

from keeper.ports import Environment
from keeper.venues.dialects.row import ANY_WHOLE_ANSWER, Dialect, Streamed, on_site
from keeper.venues.speech.bybit import WINDOW, Bybit

_KEYS = {
    "10003": "the API key is unknown here: check it, and that it was made in this environment (live or demo trading)",
    "10004": "the signature is wrong: check that the secret belongs to the API key",
    "10005": "the API key lacks a permission: it needs orders and positions of contracts, and spot trading, to read and write",
    "10007": "the API key could not be verified: check the key file for spaces or missing characters",
    "10008": "the account is banned from this: ask the venue why",
    "10009": "this machine's address is banned: wait until that ends, or ask the venue why",
    "10010": "the API key is bound to other addresses than this machine's: add this one to it",
    "10024": "the venue's compliance rules forbid this account to do that: finish its verification",
    "10027": "the account is banned from trading: ask the venue why",
    "10028": "this takes a unified account: upgrade the account",
    "33004": "the API key has expired: make another one",
}
_TIME = {"10002": "the timestamp lies outside the venue's window: synchronise this machine's clock"}
_SYMBOL = {
    "10029": "the API key may not trade this market: add it to the key's list of symbols",
    "10001 Not supported symbols": "the venue has no such market: check the symbol",
}
_SHORT = "the margin is insufficient: transfer collateral or lower the target"
_BALANCE = "the balance is insufficient: transfer money or lower the target"
_HIGH = "the price is above what the market takes: lower limits.max_slippage_bps"
_LOW = "the price is below what the market takes: lower limits.max_slippage_bps"

_CONTRACTS = {
    "110003": "the price is out of the range that the market takes: lower limits.max_slippage_bps",
    "110004": _BALANCE,
    "110005": "the position is in a state in which the venue takes no orders: look at it there",
    "110006": _SHORT,
    "110007": "the available balance is insufficient: transfer collateral, or lower the target",
    "110011": "the order would bring about a liquidation: lower the target",
    "110012": _SHORT,
    "110013": "the risk limit forbids it: lower the market's leverage setting",
    "110016": "the position would exceed the market's risk limit: lower its leverage setting or the target",
    "110017": "the venue rejected the reduce-only order: there is no position that it would reduce",
    "110020": "too many open orders: cancel some",
    "110021": "the market's open interest is at its limit: lower the target or wait",
    "110022": "the amount may not grow now: lower the target",
    "110023": "the market may only be reduced now: close the position",
    "110032": "the venue holds the order to be illegal",
    "110034": "there is no position",
    "110040": "the order would bring about a liquidation: lower the target",
    "110042": "the market is about to be delivered, and may only be reduced: name another market",
    "110044": _SHORT,
    "110045": _BALANCE,
    "110051": _BALANCE,
    "110052": _BALANCE,
    "110053": _BALANCE,
    "110063": "the market settles at this moment: run again",
    "110066": "the market takes no orders now",
    "110092": "the stop would go off at once",
    "110093": "the stop would go off at once",
    "110094": "the notional is below the market's minimum",
}
_SPOT = {
    "170033": _BALANCE,
    "170115": "the time in force is not taken by this market",
    "170116": "the order type is not taken by this market",
    "170117": "the side is not taken",
    "170121": "the venue has no such market: check the symbol",
    "170124": "the amount is above the market's maximum: set limits.max_order_notional lower",
    "170130": "a parameter has no valid data",
    "170131": "the balance is insufficient: free what other orders hold back, or lower the target",
    "170132": _HIGH,
    "170133": _LOW,
    "170134": "the price is not on the tick: the market's rules changed, start again",
    "170135": "the amount is above the market's maximum: set limits.max_order_notional lower",
    "170136": "the amount is below the market's minimum",
    "170137": "the amount is not a whole number of lots: the market's rules changed, start again",
    "170140": "the notional is below the market's minimum",
    "170151": "the market is not open yet: name another",
    "170157": "the market takes no orders over the API: name another",
    "170192": _HIGH,
    "170193": _HIGH,
    "170194": _LOW,
    "170201": "the account may not trade: ask the venue why",
    "170209": "the market is closed to accounts of this region: name another",
    "170371": _LOW,
    "170372": _HIGH,
}

BYBIT = Dialect(
    exchange="bybit",
    speech=Bybit(),
    by_hand=on_site("bybit.com"),
    hosts={
        Environment.LIVE: frozenset({"api.bybit.com"}),
        Environment.TESTNET: frozenset({"api-demo.bybit.com"}),
    },
    streams=Streamed(
        hosts={
            Environment.LIVE: frozenset({"stream.bybit.com"}),
            # demo trading has a stream of its own for accounts, and follows the books of live trading
            Environment.TESTNET: frozenset({"stream-demo.bybit.com", "stream.bybit.com/v5/public/"}),
        },
        levels=200,  # a hundred is none of its depths
    ),
    testnet_switch="enable_demo_trading",
    options={
        "fetchMarkets": {"types": ["linear", "inverse", "spot"]},  # options are a request for each coin
        "adjustForTimeDifference": False,  # the offset is measured apart, and refused when large
        "maxRetriesOnFailure": 0,  # a retried order is a second order
        "recvWindow": WINDOW,
        # else the first order is preceded by two questions; that the account is unified is checked on connecting
        "enableUnifiedMargin": False,
        "enableUnifiedAccount": True,
    },
    client_id_shape=r"[A-Za-z0-9_-]{1,36}",
    rejections={
        **_KEYS,
        **_TIME,
        **_SYMBOL,
        "10001 position idx not match position mode": "the market is in hedge mode: switch its position mode to one-way",
        "10001 Qty invalid": "the amount is not a whole number of lots: the market's rules changed, start again",
        "10001 The number of contracts exceeds minimum limit allowed": "the amount is below the market's minimum",
        "10001": "the order never reached the market, since the venue does not take one of its parameters: start again",
        **_CONTRACTS,
        **_SPOT,
    },
    about_us=frozenset(_KEYS),
    refusals={
        **_KEYS,
        **_TIME,
        **_SYMBOL,
        "10001": "the venue does not take the request: check the symbol",
        "10032": "demo trading does not have this: use the live environment for it",
    },
    stops=True,
    duplicate=frozenset({"110030", "110072", "12141", "170141"}),
    refused_with=ANY_WHOLE_ANSWER,
)
