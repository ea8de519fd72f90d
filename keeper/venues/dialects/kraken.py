"""Kraken: spot."""

from datetime import timedelta

from keeper.ports import Environment
from keeper.venues.dialects.row import ANY_WHOLE_ANSWER, Dialect
from keeper.venues.speech.kraken import Kraken

_KEYS = {
    "EAPI:Invalid key": "the API key is unknown: check the key file, or make another where it was deleted or has expired",
    "EAPI:Invalid signature": "the signature is wrong: check that the secret belongs to the API key",
    "EGeneral:Permission denied": "the API key lacks a permission (it needs to query funds, open and closed orders, and to "
    "create and cancel orders), or is bound to other addresses than this machine's",
    "EAccount:Invalid permissions": "the account may not trade this market: ask the venue why",
    "EAuth:Account temporary disabled": "the account is disabled for now: ask the venue why",
    "EAuth:Account unconfirmed": "the account is not confirmed yet",
    "EGeneral:Temporary lockout": "the venue was asked with a wrong API key too often: wait 15 minutes",
    "ETrade:User Locked": "the account is locked: ask the venue why",
}
_SYMBOL = {
    "EQuery:Unknown asset pair": "the venue has no such market: check the symbol",
    "EQuery:Invalid asset pair": "the venue has no such market: check the symbol",
}

KRAKEN = Dialect(
    exchange="kraken",
    speech=Kraken(),
    hosts={Environment.LIVE: frozenset({"api.kraken.com"})},
    options={
        "adjustForTimeDifference": False,  # the offset is measured apart, and refused when large
        "maxRetriesOnFailure": 0,  # a retried order is a second order
    },
    client_id_shape=r"[!-~]{1,18}",
    client_id_length=18,  # other than UUIDs Kraken takes no longer ones
    refused_with=ANY_WHOLE_ANSWER,
    order_life=timedelta(seconds=10),
    read_lag=1.0,  # an order may be missing for a moment among the open ones
    in_turn=True,
    rejections={
        **_KEYS,
        **_SYMBOL,
        "EAPI:Invalid nonce": "the request came after a later one: let nothing else use this API key",
        "EAPI:Rate limit exceeded": "too many requests in a short time: use fewer slices, and this API key for nothing else",
        "EGeneral:Invalid arguments": "the order is malformed: the market's rules changed, start again",
        "EGeneral:Invalid arguments:price": "the price is malformed: the market's rules changed, start again",
        "EGeneral:Invalid arguments:volume": "the amount is malformed or too small: the market's rules changed, start again",
        "EGeneral:Invalid arguments:deadline": "the deadline is not taken: synchronise this machine's clock",
        "EOrder:Cost minimum not met": "the notional is below the market's minimum",
        "EOrder:Domain rate limit exceeded": "too many orders in a short time: use fewer slices",
        "EOrder:Insufficient funds": "the balance is insufficient: free what other orders hold back",
        "EOrder:Invalid price": "the price is not taken: the market's rules changed, start again",
        "EOrder:Order minimum not met": "the amount is below the market's minimum",
        "EOrder:Orders limit exceeded": "too many open orders: cancel some",
        "EOrder:Rate limit exceeded": "too many orders in a short time: use fewer slices",
        "EOrder:Tick size check failed": "the price is not on the tick: the market's rules changed, start again",
        "EService:Market in cancel_only mode": "the market takes no orders now: wait until it is open",
        "EService:Market in post_only mode": "the market takes no order now that would fill at once: wait until it is open",
    },
    about_us=frozenset(_KEYS),
    refusals={**_KEYS, **_SYMBOL},
    duplicate=frozenset({"EOrder:cl_ord_id already in use"}),
)
