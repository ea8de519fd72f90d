"""Deribit: perpetuals that settle in coins, or in USDC and the like."""

from keeper.ports import Environment
from keeper.venues.dialects.row import Dialect
from keeper.venues.speech.deribit import Deribit

_KEYS = {
    "9999": "the account has no API access: switch it on",
    "10000": "the request was not signed: check that key and secret are there",
    "11042": "the key may not do this: give it the scopes account:read and trade:read_write",
    "12005": "the venue does not serve this country or address",
    "13002": "the account is blocked: ask the venue why",
    "13004": "the venue does not know this key, or its secret is another: check both, and that test.deribit.com keys stay there",
    "13009": "the signature is wrong, or the key was disabled: check that the secret belongs to it, and this machine's clock",
    "13021": "the key may not do this, or not from this address: give it account:read and trade:read_write, check its addresses",
}
_MARKET = {
    "10020": "the venue has no such market: check the symbol",
    "13020": "the venue has no such market: check the symbol",
}
_PRICE = "the price is outside of what the venue takes now: lower limits.max_slippage_bps"
_LIMIT = "the account would exceed what the venue allows it: cancel orders, or lower the target"

DERIBIT = Dialect(
    exchange="deribit",
    speech=Deribit(),
    hosts={
        Environment.LIVE: frozenset({"www.deribit.com"}),
        Environment.TESTNET: frozenset({"test.deribit.com"}),
    },
    testnet_switch="set_sandbox_mode",
    options={
        "maxRetriesOnFailure": 0,  # a retried order is a second order
    },
    loading={"currency": "any", "kind": "future"},  # perpetuals and dated ones, without thousands of options
    client_id_shape=r"[0-9A-Za-z_-]{1,64}",
    rejections={
        **_KEYS,
        **_MARKET,
        "10002": "the amount is below the market's minimum",
        "10003": "the order would trade against another one of this account: cancel that",
        "10005": _PRICE,
        "10006": _PRICE,
        "10007": _PRICE,
        "10008": _PRICE,
        "10009": "the margin is insufficient: transfer collateral or lower the target",
        "10011": "this price is not taken",
        "10012": "the market is closed",
        "10013": _LIMIT,
        "10014": _LIMIT,
        "10016": _LIMIT,
        "10018": _LIMIT,
        "10019": "the venue has locked trading",
        "10021": "the amount is no whole number of lots: the market's rules changed, start again",
        "10022": "the amount is malformed",
        "10023": "the price is malformed",
        "10026": "the price has more digits than the market takes: the market's rules changed, start again",
        "10027": "the amount is no whole number of lots: the market's rules changed, start again",
        "10032": "the notional is below the market's minimum",
        "10043": "the price is not on the tick: the market's rules changed, start again",
        "11029": "the venue does not take these parameters",
        "11030 other_reject: invalid_reduce_only_order": "there is no position that the order would reduce",
        "11043": "the venue does not take these parameters",
        "11049": "the venue does not take these parameters",
        "11050": "the venue could not read the request",
        "13025": "the venue takes no orders now",
        "-32602": "the venue does not take these parameters",
    },
    about_us=frozenset(_KEYS),
    refusals={**_KEYS, **_MARKET},
    duplicate=frozenset(),
    unique_ids=False,
)
