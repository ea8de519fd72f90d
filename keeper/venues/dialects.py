"""What differs between exchanges: one row each. An exchange without a row can't be traded.

Rows are facts about the wire, never behaviour: whoever needs a new branch adds a field. Codes that are in no list prove
nothing, and an order answered by one of them stays unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from keeper.domain.errors import ConfigError, Problem
from keeper.domain.market import FeeAsset
from keeper.ports import Environment
from keeper.venues import wording
from keeper.venues.wording import Wording


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one exchange speaks through ccxt.

    Raw codes stand alone in the tables or, where the venue uses one for several things, with what it says to each:
    ``-2010 Market is closed.``; such an entry goes before the code alone.

    hosts: the only ones that may be called, by environment; testnet_switch: the ccxt method that leaves live trading;
    options: ccxt's, each one set for a reason; client_id: the parameter of a new order, lookup_id: of a query by it;
    client_id_shape: a pattern of the client ids that it takes; cancel_echo: where the answer to a cancel repeats that id;
    forced: how the client ids begin of orders that the venue itself placed, to liquidate, to deleverage or to settle;
    rejections: raw codes that prove an order was not taken, and what to do about them;
    refusals: raw codes of a read that asking again will not cure; not_found: raw codes that say there is no such order;
    nothing_rests: those that say so to a cancel;
    duplicate: raw codes that say that an order of this client id exists; order_window: milliseconds, the longest life that
    the venue grants to a request on its way; history_span: the longest time that one question about past orders may cover;
    calls: ccxt's methods for what is read, or canceled, without its parsers, less those that the exchange does not have;
    wording: the parsers; fee_in: what fees are taken in.
    """

    exchange: str
    hosts: Mapping[Environment, frozenset[str]]
    testnet_switch: str
    options: Mapping[str, object]
    client_id: str
    lookup_id: str
    client_id_shape: str
    cancel_echo: str
    rejections: Mapping[str, str]
    refusals: Mapping[str, str]
    not_found: frozenset[str]
    nothing_rests: frozenset[str]
    duplicate: frozenset[str]
    order_window: int
    history_span: timedelta
    calls: Mapping[str, str]
    wording: Wording
    forced: tuple[str, ...] = ()
    fee_in: FeeAsset = FeeAsset.SETTLE


_KEYS = {
    "-1022": "the signature is wrong: check that the secret belongs to the API key",
    "-2014": "the API key has a wrong format: check the key file for spaces or missing characters",
    "-2015": "the API key is unknown here, lacks permission or may not be used from here: check its environment and rights",
}
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
# spot says more than this with the code, such as that an account may not cancel
_NOTHING_RESTS = frozenset({"-2011 Unknown order sent."})

BINANCE_USDM = Dialect(
    exchange="binanceusdm",
    hosts={
        Environment.LIVE: frozenset({"fapi.binance.com"}),
        Environment.TESTNET: frozenset({"demo-fapi.binance.com"}),
    },
    testnet_switch="enable_demo_trading",
    options={
        "fetchCurrencies": False,  # calls the spot wallet, which a futures key may not read
        "adjustForTimeDifference": False,  # the offset is measured apart, and refused when large
        "maxRetriesOnFailure": 0,  # a retried order is a second order
    },
    client_id="newClientOrderId",
    lookup_id="origClientOrderId",
    client_id_shape=_CLIENT_ID,
    cancel_echo="clientOrderId",
    rejections={
        **_KEYS,
        **_TIME,
        **_SYMBOL,
        **_REQUEST,
        "-1013": "the order fails a filter of the market: reload the market",
        "-2018": "the balance is insufficient: transfer collateral or lower the target",
        "-2019": "the margin is insufficient: raise the symbol's leverage setting, transfer collateral or lower the target",
        "-2020": "the order can't be filled",
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
    },
    refusals={**_KEYS, **_TIME, **_SYMBOL},
    not_found=frozenset({"-2013"}),
    nothing_rests=_NOTHING_RESTS,
    duplicate=frozenset({"-4116"}),
    order_window=60_000,
    history_span=timedelta(days=7, milliseconds=-1),
    # ccxt's unified reads lose what a size depends on: fetch_balance gives the margin balance for the wallet,
    # fetch_positions drops a row whose entry price it can't read, fetch_order_book turns text into floats, fetch_order takes
    # any script's digits, and fetch_open_orders and fetch_my_trades answer {} and HTML with an empty list
    calls={
        "time": "fapiPublicGetTime",
        "account": "fapiPrivateV3GetAccount",
        "positions": "fapiPrivateV3GetPositionRisk",
        "mode": "fapiPrivateGetPositionSideDual",
        "orders": "fapiPrivateGetOpenOrders",
        "order": "fapiPrivateGetOrder",
        "history": "fapiPrivateGetAllOrders",
        "trades": "fapiPrivateGetUserTrades",
        "book": "fapiPublicGetDepth",
        "mark": "fapiPublicGetPremiumIndex",
        "last": "fapiPublicV2GetTickerPrice",
        "day": "fapiPublicGetTicker24hr",
        "cancel": "fapiPrivateDeleteOrder",
        "dead_man": "fapiPrivatePostCountdownCancelAll",
    },
    wording=wording.BINANCE_USDM,
    forced=("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-"),
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
    hosts={
        Environment.LIVE: frozenset({"api.binance.com"}),
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
    client_id="newClientOrderId",
    lookup_id="origClientOrderId",
    client_id_shape=_CLIENT_ID,
    cancel_echo="origClientOrderId",  # its clientOrderId names the cancel
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
    refusals={**_KEYS, **_TIME, **_SYMBOL},
    not_found=frozenset({"-2013"}),
    nothing_rests=_NOTHING_RESTS,
    duplicate=frozenset({"-1010 Duplicate order sent.", "-2010 Duplicate order sent."}),
    order_window=60_000,
    history_span=timedelta(days=1, milliseconds=-1),
    # as on USD-M, ccxt's unified reads blur what a size depends on; spot has neither positions nor a mark
    calls={
        "time": "publicGetTime",
        "account": "privateGetAccount",
        "mode": "privateGetAccount",
        "orders": "privateGetOpenOrders",
        "order": "privateGetOrder",
        "history": "privateGetAllOrders",
        "trades": "privateGetMyTrades",
        "book": "publicGetDepth",
        "last": "publicGetTickerPrice",
        "day": "publicGetTicker24hr",
        "cancel": "privateDeleteOrder",
    },
    wording=wording.BINANCE_SPOT,
    fee_in=FeeAsset.RECEIVED,
)

DIALECTS = {row.exchange: row for row in (BINANCE_USDM, BINANCE_SPOT)}


def dialect_of(venue: str, exchange: str, environment: Environment) -> Dialect:
    """The row of ``exchange``. ConfigError when there is none, or none for ``environment``."""
    row = DIALECTS.get(exchange)
    source = f"venue {venue}"
    if row is None:
        remedy = f"orders can be sent to {', '.join(sorted(DIALECTS))}; for a dry run write paper"
        raise ConfigError(Problem(source, f"venues.{venue}.exchange", exchange, remedy))
    if environment not in row.hosts:
        remedy = f"{exchange} knows {', '.join(sorted(row.hosts))}; for a dry run set exchange to paper"
        raise ConfigError(Problem(source, f"venues.{venue}.environment", environment, remedy))
    return row
