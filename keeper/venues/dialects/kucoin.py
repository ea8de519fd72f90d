"""KuCoin: perpetuals, linear and inverse."""

from keeper.ports import Environment
from keeper.venues.dialects.row import ANY_WHOLE_ANSWER, WITH_PASSPHRASE, Dialect, on_site
from keeper.venues.speech.kucoin import KucoinFutures

_KEYS = {
    "400001": "the request was not signed whole: check the files of key, secret and passphrase",
    "400003": "the API key is unknown here: check the key file, and that the key is one of this venue and has not expired",
    "400004": "the passphrase is wrong: it is the one that was given when the key was made, not the trading password",
    "400005": "the signature is wrong: check that the secret belongs to the API key",
    "400006": "the API key may not be used from this address: add it to the key's IP allow-list",
    "400007": "the API key lacks a right: give it General and Futures",
    "411100": "the account is frozen: ask the venue why",
}
_TIME = {"400002": "the request arrived after its time limit: synchronise this machine's clock"}

KUCOIN_FUTURES = Dialect(
    exchange="kucoinfutures",
    speech=KucoinFutures(),
    by_hand=on_site("kucoin.com"),
    hosts={Environment.LIVE: frozenset({"api-futures.kucoin.com", "api.kucoin.com"})},  # the latter tells of keys and modes
    options={
        "fetchMarkets": {"types": ["swap"], "fetchTickersFees": False},
        "uta": False,  # unless told, every call asks for the account's kind first
        "hf": False,  # unless told, loading markets asks the spot account
        # orders would carry the library's broker id, and a signature of its
        "partner": {"spot": {"id": None, "key": None}, "future": {"id": None, "key": None}},
        "maxRetriesOnFailure": 0,  # a retried order is a second order
    },
    loading={"marginables": False},  # asks the margin account, which a futures key may not read
    credentials=WITH_PASSPHRASE,
    client_id_shape=r"[0-9A-Za-z_-]{1,40}",
    read_lag=3.0,  # an order that was filled has been seen to be unknown by its ids for a while
    refused_with=ANY_WHOLE_ANSWER,
    rejections={
        **_KEYS,
        **_TIME,
        "40010": "the account may not trade from this country or region",
        "100003": "the market's parameters are invalid",
        "200003": "the venue has no such market: check the symbol",
        "300000": "a parameter is not taken: the market's rules changed, start again",
        "300001": "too many open orders: cancel some",
        "300002": "the venue takes no orders now",
        "300003": "the margin is insufficient: transfer collateral, raise the leverage setting or lower the target",
        "300005": "the position would exceed the market's risk limit: raise that limit at the venue",
        "300006": "the price is beyond the position's bankruptcy price",
        "300007": "the price is beyond the position's liquidation price",
        "300008": "there is nobody on the other side of the market",
        "300009": "the venue rejected the reduce-only order: there is no position that it would reduce",
        "300010": "the position can't be closed now",
        "300011": "the price is above the market's highest: lower limits.max_slippage_bps",
        "300012": "the price is below the market's lowest: lower limits.max_slippage_bps",
        "300013": "there is nobody on the other side of the market",
        "300014": "the position is being liquidated",
        "300015": "the market is being settled and takes no orders now",
        "300016": "the leverage setting is higher than the market allows: lower it at the venue",
        "330005": "this market is in isolated margin, Keeper trades in cross margin: switch the market's margin mode to cross",
        "330008": "the position would exceed what margin and leverage allow: transfer collateral or raise the leverage setting",
        "330011": "the account is in hedge mode: switch its position mode to one-way",
        "330012": "the account is in hedge mode: switch its position mode to one-way",
        "400100": "a parameter is not taken: the market's rules changed, start again",
        "400200": "the account may not place orders: ask the venue why",
    },
    about_us=frozenset(_KEYS),
    refusals={**_KEYS, **_TIME, "200003": "the venue has no such market: check the symbol"},
    duplicate=frozenset({"300018", "126033", "126044"}),
)
