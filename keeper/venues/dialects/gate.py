"""Gate: perpetuals that settle in USDT."""

from keeper.ports import Environment
from keeper.venues.dialects.row import Dialect, on_site
from keeper.venues.speech.gate import Gate

_KEYS = {
    "INVALID_KEY": "the API key is unknown here: check the key file, and that the key is of this environment",
    "INVALID_CREDENTIALS": "the API key or its secret is wrong: check both files",
    "INVALID_SIGNATURE": "the signature is wrong: check that the secret belongs to the API key",
    "AUTHENTICATION_FAILED": "the API key is not accepted: check key and secret, and that the key has not expired",
    "MISSING_REQUIRED_HEADER": "the request was not signed whole: check the key and secret files",
    "IP_FORBIDDEN": "the API key may not be used from this address: add it to the key's IP allow-list",
    "FORBIDDEN": "the API key may not do this: give it the right to read and trade perpetual futures",
    "READ_ONLY": "the API key may only read: give it the right to trade perpetual futures",
    "ACCOUNT_LOCKED": "the account is locked: ask the venue why",
    "SUB_ACCOUNT_LOCKED": "the sub-account is locked: ask the main account",
    "USER_NOT_FOUND": "there is no futures account yet: transfer USDT to it once, which opens it",
}
_TIME = {"REQUEST_EXPIRED": "the request arrived after its time limit: synchronise this machine's clock"}
_SYMBOL = {"CONTRACT_NOT_FOUND": "the venue has no such market: check the symbol"}

GATE = Dialect(
    exchange="gate",
    speech=Gate(),
    by_hand=on_site("gate.com"),
    hosts={
        Environment.LIVE: frozenset({"api.gateio.ws"}),
        Environment.TESTNET: frozenset({"api-testnet.gateapi.io"}),
    },
    testnet_switch="set_sandbox_mode",
    options={
        "fetchMarkets": {"types": ["swap"]},  # the class would load every kind of market
        "swap": {"fetchMarkets": {"settlementCurrencies": ["usdt"]}},  # what settles in coins has an account of its own
        "unifiedAccount": False,  # unless told, every order asks for the account's kind first
        "adjustForTimeDifference": False,  # the offset is measured apart, and refused when large
        "maxRetriesOnFailure": 0,  # a retried order is a second order
    },
    client_id_shape=r"[0-9A-Za-z_.-]{1,26}",
    client_id_length=26,
    unique_ids=False,
    rejections={
        **_KEYS,
        **_TIME,
        **_SYMBOL,
        "INVALID_PARAM_VALUE": "a parameter is not taken: the market's rules changed, start again",
        "INVALID_ARGUMENT": "a parameter is not taken: the market's rules changed, start again",
        "INVALID_PROTOCOL": "the request is malformed",
        "INVALID_REQUEST_BODY": "the request is malformed",
        "MISSING_REQUIRED_PARAM": "a mandatory parameter is missing",
        "BAD_REQUEST": "the request is malformed",
        "INVALID_PRECISION": "the amount or price has more digits than the market takes: start again",
        "INSUFFICIENT_AVAILABLE": "the margin is insufficient: transfer collateral, raise the leverage or lower the target",
        "BALANCE_NOT_ENOUGH": "the balance is insufficient: transfer collateral or lower the target",
        "MARGIN_BALANCE_NOT_ENOUGH": "the margin is insufficient: transfer collateral or lower the target",
        "RISK_LIMIT_EXCEEDED": "the position would exceed the market's risk limit: raise that limit at the venue",
        "LEVERAGE_TOO_HIGH": "the leverage setting is too high for this position: lower it at the venue",
        "LEVERAGE_TOO_LOW": "the leverage setting is too low: raise it at the venue",
        "LIQUIDATE_IMMEDIATELY": "the position would be liquidated at once: lower the target",
        "POSITION_IN_LIQUIDATION": "the position is being liquidated",
        "POSITION_IN_CLOSE": "the position is being closed",
        "POSITION_EMPTY": "the venue rejected the reduce-only order: there is no position that it would reduce",
        "INCREASE_POSITION": "the venue rejected the reduce-only order: it would have increased the position",
        "PRICE_TOO_DEVIATED": "the price is too far from the mark: lower limits.max_slippage_bps",
        "PRICE_OVER_LIQUIDATION": "the price is beyond the position's liquidation price",
        "PRICE_OVER_BANKRUPT": "the price is beyond the position's bankruptcy price",
        "SIZE_TOO_LARGE": "the amount is above the market's maximum: set limits.max_order_notional lower",
        "SIZE_TOO_SMALL": "the amount is below the market's minimum",
        "CONTRACT_IN_DELISTING": "the market is being delisted and takes only what reduces",
        "CONTRACT_NO_COUNTER": "there is nobody on the other side of the market",
        "TOO_MANY_ORDERS": "too many open orders: cancel some",
    },
    about_us=frozenset(_KEYS),
    refusals={**_KEYS, **_TIME, **_SYMBOL},
    duplicate=frozenset({"REPEATED_CREATION"}),
)
