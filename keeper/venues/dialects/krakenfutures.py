"""Kraken Futures: linear (PF_) and inverse (PI_) perpetuals."""

from keeper.ports import Environment
from keeper.venues.dialects.row import ANY_WHOLE_ANSWER, Dialect, on_site
from keeper.venues.speech.krakenfutures import KrakenFutures

_KEYS = {
    "authenticationError": (
        "the venue does not know this key, its secret does not belong to it, or it lacks permission: check key, secret and "
        "rights, and that keys of the demo (made at demo-futures.kraken.com) are used there and nowhere else"
    ),
    "accountInactive": "the account has no futures wallet yet: open one, and transfer collateral to it",
}
_MARKET = {"contractNotFound": "the venue has no such market: check the symbol"}

KRAKEN_FUTURES = Dialect(
    exchange="krakenfutures",
    speech=KrakenFutures(),
    by_hand=on_site("futures.kraken.com"),
    hosts={
        Environment.LIVE: frozenset({"futures.kraken.com"}),
        Environment.TESTNET: frozenset({"demo-futures.kraken.com"}),
    },
    testnet_switch="set_sandbox_mode",
    options={
        "maxRetriesOnFailure": 0,  # a retried order is a second order
    },
    client_id_shape=r"[0-9A-Za-z_-]{1,100}",
    rejections={
        "authenticationError": _KEYS["authenticationError"],
        **_MARKET,
        "clientOrderIdInvalid": "the client order id is malformed",
        "clientOrderIdTooBig": "the client order id is too long",
        "clientOrderIdTooLong": "the client order id is too long",
        "insufficientAvailableFunds": "the margin is insufficient: transfer collateral or lower the target",
        "invalidOrderType": "the order type is not taken by this market",
        "invalidPrice": "the price is not on the tick: the market's rules changed, start again",
        "invalidSide": "the side is not taken",
        "invalidSize": "the amount is below the minimum or no whole number of lots: the market's rules changed, start again",
        "iocWouldNotExecute": "nothing could be filled at once at this price",
        "marketInactive": "the market is not open",
        "marketSuspended": "the market is suspended",
        "maxPositionViolation": "the position would exceed what the venue allows: lower the target",
        "outsidePriceCollar": "the price is too far from the mark: lower limits.max_slippage_bps",
        "postWouldExecute": "the order would have taken liquidity",
        "selfFill": "the order would trade against another one of this account: cancel that",
        "tooManySmallOrders": "too many small open orders: cancel some",
        "wouldCauseLiquidation": "the order would lead to a liquidation: transfer collateral or lower the target",
        "wouldIncreasePriceDislocation": "the market is dislocated, and the order would make that worse",
        "wouldNotReducePosition": "the venue rejected the reduce-only order: there is no position that it would reduce",
    },
    refused_with=ANY_WHOLE_ANSWER,
    about_us=frozenset(_KEYS),
    refusals={**_KEYS, **_MARKET},
    duplicate=frozenset({"clientOrderIdAlreadyExist"}),
    read_lag=2.0,  # of its history, which is told apart
)
