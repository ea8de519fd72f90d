"""Binance: USD-M futures, COIN-M futures and spot."""

from collections.abc import Mapping

from keeper.ports import Environment
from keeper.venues.dialects.row import Dialect, Streamed, on_site
from keeper.venues.speech.binance_futures import BinanceCoinm
from keeper.venues.speech.binance_spot import BinanceSpot
from keeper.venues.speech.binance_stops import BinanceUsdmStops

_KEYS = {
    "-1022": "the signature is wrong: check that the secret belongs to the API key",
    "-2008": "the API key is unknown here: check that it was copied whole and was not deleted",
    "-2014": "the API key has a wrong format: check the key file for spaces or missing characters",
    "-2015": "the API key is unknown here, lacks permission or may not be used from here: check its environment and rights",
}
_UNKNOWN_KEY = frozenset({"-2008", "-2015"})
_TIME = {"-1021": "the timestamp lies outside the venue's window: synchronise this machine's clock"}
_SYMBOL = {"-1121": "the venue has no such market: check the symbol"}
_REQUEST = {
    "-1015": "too many orders in a short time: use fewer slices",
    "-1100": "a parameter has illegal characters",
    "-1102": "a mandatory parameter is missing or malformed",
    "-1111": "the amount or price has more digits than the market takes: the market's rules changed, start again",
    "-1115": "the time in force is not taken by this market",
    "-1116": "the order type is not taken by this market",
    "-1117": "the side is not taken",
    "-1131": "the receive window is too long",
}
_CLIENT_ID = r"[.A-Z:/a-z0-9_-]{1,36}"

_WALLET = "api.binance.com"
"""Where a live key's restrictions are told, whichever market it is for."""
_FUTURES_OPTIONS: Mapping[str, object] = {
    "fetchMargins": False,  # calls margin endpoints, which a futures key may not read
    "fetchCurrencies": False,  # calls the spot wallet, which a futures key may not read
    "adjustForTimeDifference": False,  # the offset is measured apart, and refused when large
    "maxRetriesOnFailure": 0,  # a retried order is a second order
    # word of orders comes by a stream that tells of positions, too, which ccxt would read first, and past every limit
    "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
}
_FUTURES = {
    **_KEYS,
    **_TIME,
    **_SYMBOL,
    **_REQUEST,
    "-1013": "the order fails a filter of the market: reload the market",
    "-2018": "the balance is insufficient: transfer collateral or lower the target",
    "-2019": "the margin is insufficient: raise the symbol's leverage setting, transfer collateral or lower the target",
    "-2020": "the order can't be filled",
    "-2021": "the stop would go off at once",
    "-2022": "the venue rejected the reduce-only order: there is no position that it would reduce",
    "-2023": "the account is being liquidated",
    "-2024": "the position is not sufficient",
    "-2025": "too many open orders: cancel some",
    "-2027": "the position would exceed what the symbol's leverage setting allows: lower that setting",
    "-2028": "the symbol's leverage setting is too small for the margin: raise it",
    "-4001": "the price is not positive",
    "-4002": "the price is above the market's highest",
    "-4003": "the amount is not positive",
    "-4004": "the amount is below the market's minimum",
    "-4005": "the amount is above the market's maximum: set limits.max_order_notional lower",
    "-4013": "the price is below the market's lowest",
    "-4014": "the price is not on the tick: the market's rules changed, start again",
    "-4015": "the client order id is malformed",
    "-4016": "the price is too far above the mark: lower limits.max_slippage_bps",
    "-4023": "the amount is not a whole number of lots: the market's rules changed, start again",
    "-4024": "the price is too far below the mark: lower limits.max_slippage_bps",
    "-4061": "the account is in hedge mode: switch its position mode to one-way",
    "-4087": "the account may only reduce positions",
    "-4088": "the account may not place orders",
    "-4131": "the best price is too far from the mark",
    "-4140": "the market takes no orders in its present state",
    "-4141": "the market is closed",
    "-4164": "the notional is below the market's minimum",
    "-4192": "the account is in a cooling-off period",
    "-5021": "the order could not be filled at once",
    "-5022": "the order would have taken liquidity",
    "-5028": "the order arrived after its deadline",
}

BINANCE_USDM = Dialect(
    exchange="binanceusdm",
    speech=BinanceUsdmStops(),
    by_hand=on_site("binance.com (USD-M)"),
    hosts={
        Environment.LIVE: frozenset({"fapi.binance.com", _WALLET}),
        Environment.TESTNET: frozenset({"demo-fapi.binance.com"}),
    },
    streams=Streamed(
        hosts={
            Environment.LIVE: frozenset({"fstream.binance.com"}),
            Environment.TESTNET: frozenset({"fstream.binancefuture.com"}),
        }
    ),
    testnet_switch="enable_demo_trading",
    options=_FUTURES_OPTIONS,
    client_id_shape=_CLIENT_ID,
    rejections=_FUTURES,
    about_us=frozenset(_KEYS),
    refusals={**_KEYS, **_TIME, **_SYMBOL},
    duplicate=frozenset({"-4116", "-20132"}),
    unknown_key=_UNKNOWN_KEY,
    stops=True,
)

BINANCE_COINM = Dialect(
    exchange="binancecoinm",
    speech=BinanceCoinm(),
    by_hand=on_site("binance.com (COIN-M)"),
    hosts={
        Environment.LIVE: frozenset({"dapi.binance.com", _WALLET}),
        Environment.TESTNET: frozenset({"demo-dapi.binance.com"}),
    },
    testnet_switch="enable_demo_trading",
    options=_FUTURES_OPTIONS,
    client_id_shape=_CLIENT_ID,
    rejections=_FUTURES,
    about_us=frozenset(_KEYS),
    refusals={**_KEYS, **_TIME, **_SYMBOL},
    duplicate=frozenset({"-4116"}),
    unknown_key=_UNKNOWN_KEY,
)

# what spot's matching engine says with -2010 (and, rarely, -1010); "Duplicate order sent." says the opposite of a rejection
_ENGINE = {
    "Account has insufficient balance for requested action.": "the balance is insufficient: free what other orders hold back",
    "Market is closed.": "the market is closed",
    "Price * QTY is zero or less.": "price times amount is nothing",
    "This account may not place or cancel orders.": "the account may not place orders: ask the venue why",
    "This action is disabled on this account.": "the account may not do this: ask the venue why",
    "This symbol is not permitted for this account.": "the account may not trade this market: name another",
    "This symbol is restricted for this account.": "the market is restricted for this account: name another",
    "Rest API trading is not enabled.": "the venue takes no orders over REST now",
    "Unsupported order combination": "the market takes no immediate-or-cancel limit order",
}
_FILTERS = {
    "PRICE_FILTER": "the price is not on the tick or out of range: the market's rules changed, start again",
    "PERCENT_PRICE": "the price is too far from the market's average: lower limits.max_slippage_bps",
    "PERCENT_PRICE_BY_SIDE": "the price is too far from the average on this side: lower limits.max_slippage_bps",
    "LOT_SIZE": "the amount is not a whole number of lots or out of range: the market's rules changed, start again",
    "MIN_NOTIONAL": "the notional is below the market's minimum",
    "NOTIONAL": "the notional is outside of what the market takes",
    "MAX_POSITION": "the account would hold more of this asset than the market allows: lower the target",
    "MAX_NUM_ORDERS": "too many open orders in this market: cancel some",
    "EXCHANGE_MAX_NUM_ORDERS": "too many open orders in this account: cancel some",
}

BINANCE_SPOT = Dialect(
    exchange="binance",
    speech=BinanceSpot(),
    hosts={
        Environment.LIVE: frozenset({_WALLET}),
        Environment.TESTNET: frozenset({"demo-api.binance.com"}),
    },
    testnet_switch="enable_demo_trading",
    options={
        "fetchMarkets": {"types": ["spot"]},  # the class would load every kind of market, from as many hosts
        "fetchMargins": False,  # calls margin endpoints, which a spot key may not read
        "fetchCurrencies": False,  # calls the wallet's endpoints
        "adjustForTimeDifference": False,  # the offset is measured apart, and refused when large
        "maxRetriesOnFailure": 0,  # a retried order is a second order
        "newOrderRespType": {"limit": "RESULT"},  # trades are read apart: an answer with some of them is one more to misread
    },
    client_id_shape=_CLIENT_ID,
    rejections={
        **_KEYS,
        **_TIME,
        **_SYMBOL,
        **_REQUEST,
        "-1013": "the order never reached the market, since it breaks one of its rules: reload the market",
        **{f"-1013 Filter failure: {name}": meaning for name, meaning in _FILTERS.items()},
        "-1014": "the combination of parameters is not taken",
        "-1020": "the venue does not take this kind of request",
        "-1104": "a parameter was not read",
        "-1105": "a parameter is empty",
        "-1106": "a parameter is not wanted",
        "-1128": "the parameters do not go together",
        "-1130": "a parameter has no valid data",
        **{f"{code} {said}": meaning for code in ("-1010", "-2010") for said, meaning in _ENGINE.items()},
    },
    about_us=frozenset(_KEYS),
    refusals={**_KEYS, **_TIME, **_SYMBOL},
    duplicate=frozenset({"-1010 Duplicate order sent.", "-2010 Duplicate order sent."}),
    unknown_key=_UNKNOWN_KEY,
)
