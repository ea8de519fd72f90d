"""OKX: spot and perpetuals. Its demo has the host of live trading, and is told from it by a header; its streams have one each."""

from keeper.domain.inspection import Setting
from keeper.ports import Environment
from keeper.venues.dialects.row import ANY_WHOLE_ANSWER, WITH_PASSPHRASE, Dialect, Streamed, on_site
from keeper.venues.speech.okx import Okx

_KEYS = {
    "50030": "the API key may not do this: give it the permission to trade",
    "50035": "the venue asks for a key that is bound to an address: bind it to this machine's",
    "50100": "the API key is frozen: ask the venue why",
    "50101": "the API key belongs to the other environment: a key of demo trading goes with testnet, any other with live",
    "50103": "no API key arrived: check the key file",
    "50104": "no passphrase arrived: check the passphrase file",
    "50105": "the passphrase is wrong: it is the one that was chosen when the API key was made, not the account's password",
    "50106": "no signature arrived: check the secret file",
    "50110": "the API key may not be used from this address: add it to the key's list of addresses",
    "50111": "the API key is unknown here: check the key file, whether the key has expired, and its environment",
    "50113": "the signature is wrong: check that the secret belongs to the API key",
    "50114": "the venue does not accept this API key's authorization: make a new key",
    "50119": "the API key does not exist (a key without addresses is deleted after 14 days of rest): make a new one",
    "50120": "the API key lacks the permission for this: give it the permission to trade",
    "50121": "the venue does not serve this machine's address",
}
_TIME = {
    "50102": "the timestamp lies outside the venue's window: synchronise this machine's clock",
    "50107": "no timestamp arrived",
    "50112": "the timestamp is malformed",
}
_SYMBOL = {
    "51001": "the venue has no such market: check the symbol",
    "51015": "the market is of another kind: check the symbol",
}
_ACCOUNT = {
    "50007": "the account is blocked: ask the venue why",
    "50008": "the account does not exist any more: ask the venue why",
    "50012": "the account's state does not allow this: look at it at the venue",
    "50027": "the account may not trade: ask the venue why",
    "50029": "the venue's risk control has stopped the account's trading: read the mail it sent",
    "50059": "the venue asks for more of the account's owner before it trades: log in there",
    "50060": "the venue asks for the identity of the account's owner: log in there",
}
_FROZEN = {
    "50009": "the account is frozen while it is being liquidated",
    "50017": "the position is frozen while others are deleveraged against it",
    "50018": "the asset is frozen by a deleveraging",
    "50019": "the account is frozen by a deleveraging",
    "50020": "the position is frozen while it is being liquidated",
    "50021": "the asset is frozen by a liquidation",
    "50022": "the account is frozen by a liquidation",
    "50023": "the account is frozen while funding is paid: try again later",
    "51009": "the venue has blocked the account's orders: ask it why",
    "51024": "the account may not trade for now: read what the venue says, and ask it",
    "51037": "the account may only send orders that reduce its risk",
}
_PLACE = {
    "50028": "the venue can't take the order: ask it why",
    "50032": "the account forbids trading this asset: change that in its settings",
    "50033": "the account forbids trading this market: change that in its settings",
    "50051": "the venue does not offer this in the account's country",
    "50052": "the venue may not let this asset be traded in the account's country",
    "51087": "the asset is being delisted: name another market",
    "51155": "the venue may not let this market be traded in the account's country",
}
_STATE = {
    "51021": "the market is not open yet",
    "51022": "the market is suspended",
    "51027": "the contract has expired",
    "51028": "the contract is being delivered",
    "51029": "the contract is being settled",
    "51030": "funding is being paid: try again in a minute",
    "51110": "the market's call auction has not begun",
    "51124": "the market is in its call auction",
    "51196": "the market is not open yet: it takes quotes only",
    "51197": "the market is not open yet: its quotes have not begun",
    "54072": "the market can only be looked at",
    "54094": "the market is in a cooling-off period",
}
_ORDER = {
    "50036": "the order's deadline lies before the venue's time: synchronise this machine's clock",
    "50037": "the order arrived after its deadline",
    "50061": "too many orders of this account in a short time: use fewer slices",
    "51000 Parameter clOrdId error": "the client order id is malformed",
    "51000 Parameter posSide error": "the account is in hedge mode: switch its position mode to one-way (net)",
    "51000 Parameter px error": "the price is malformed or off the tick: the market's rules changed, start again",
    "51000 Parameter sz error": "the amount is malformed or no whole number of lots: the market's rules changed, start again",
    "51000 Parameter tdMode error": "the account's mode does not take this trade mode: set it to spot or futures mode",
    "51000": "a parameter is malformed or does not go with the account's mode",
    "51004": "the position would exceed what the leverage setting allows: lower that setting",
    "51005": "the amount is above the market's maximum: set limits.max_order_notional lower",
    "51006": "the price is outside of the venue's price limits: lower limits.max_slippage_bps",
    "51008": "the balance or margin is insufficient: transfer collateral or lower the target",
    "51010": "the account's mode does not allow this: perpetuals need futures mode or a margin mode",
    "51020": "the amount is below the market's minimum",
    "51025": "too many open orders: cancel some",
    "51031": "the price is outside of the range in which positions may be closed: lower limits.max_slippage_bps",
    "51033": "the amount is above what one order of this market may have: set limits.max_order_notional lower",
    "51101": "the amount is above what one order may have: set limits.max_order_notional lower",
    "51102": "too many open orders in this market: cancel some",
    "51103": "too many open orders in this family of markets: cancel some",
    "51104": "the open orders in this family of markets are too large: cancel some",
    "51105": "position and orders would exceed the market's limit: lower the target",
    "51106": "positions and orders on one side would exceed the family's limit: lower the target",
    "51107": "positions and orders would exceed the family's limit: lower the target",
    "51112": "the order would close more than the position has free: cancel other closing orders",
    "51116": "the price is too far from the market's: lower limits.max_slippage_bps",
    "51117": "too many open orders that close positions: cancel some",
    "51119": "the balance is insufficient: transfer collateral or lower the target",
    "51120": "the amount is below the least that the market takes",
    "51121": "the amount is not a whole number of lots: the market's rules changed, start again",
    "51122": "the price is below the market's lowest",
    "51127": "the available balance is nothing: free what other orders hold back",
    "51129": "the position limit of the account is reached: lower the target",
    "51131": "the balance is too small: transfer collateral or lower the target",
    "51133": "spot orders can't be reduce-only in this account's mode",
    "51136": "the price is below what the market allows to sell at: lower limits.max_slippage_bps",
    "51135": "the price is above what the market allows to buy at: lower limits.max_slippage_bps",
    "51137": "the price is above the venue's limit for buys: lower limits.max_slippage_bps",
    "51138": "the price is below the venue's limit for sells: lower limits.max_slippage_bps",
    "51139": "spot orders can't be reduce-only in spot mode",
    "51148": "the order may turn around a position that other orders are to reduce: cancel those",
    "51150": "amount or price has more digits than the market takes: the market's rules changed, start again",
    "51169": "there is no position that the reduce-only order would reduce",
    "51170": "the reduce-only order goes the same way as the position",
    "51174": "the account has too many open orders of this kind: cancel some",
    "51185": "the order is worth more than the venue allows: set limits.max_order_notional lower",
    "51186": "the leverage setting is above the venue's limit: lower that setting",
    "51187": "the positions would exceed the venue's limit: lower the target",
    "51203": "the amount is above the limit: set limits.max_order_notional lower",
    "51205": "reduce-only is not available here",
    "51206": "other reduce-only orders are in the way: cancel those",
}

OKX = Dialect(
    exchange="okx",
    speech=Okx(),
    by_hand={
        **on_site("okx.com"),
        Setting.MARGIN_MODE: "close its isolated position on okx.com: Keeper's next order there is in cross margin by itself",
    },
    hosts={
        Environment.LIVE: frozenset({"www.okx.com"}),
        Environment.TESTNET: frozenset({"www.okx.com"}),  # with the header x-simulated-trading
    },
    streams=Streamed(
        hosts={
            Environment.LIVE: frozenset({"ws.okx.com"}),
            Environment.TESTNET: frozenset({"wspap.okx.com"}),
        },
        levels=400,  # the channel that every account may follow; ccxt asks for another one at 50
    ),
    testnet_switch="set_sandbox_mode",
    options={
        "fetchMarkets": {"types": ["spot", "swap"]},  # the class would load dated futures and options too
        "createOrder": "privatePostTradeOrder",  # by itself it sends a batch of one
        "adjustForTimeDifference": False,  # the offset is measured apart, and refused when large
        "maxRetriesOnFailure": 0,  # a retried order is a second order
    },
    credentials=WITH_PASSPHRASE,
    client_id_shape="[0-9A-Za-z]{1,32}",
    rejections={**_KEYS, **_TIME, **_SYMBOL, **_ACCOUNT, **_FROZEN, **_PLACE, **_STATE, **_ORDER},
    refused_with=ANY_WHOLE_ANSWER,
    about_us=frozenset({*_KEYS, *_ACCOUNT}),
    refusals={**_KEYS, **_TIME, **_SYMBOL, **_ACCOUNT},
    duplicate=frozenset({"51016", "50071"}),
    read_lag=1.0,  # orders are acknowledged before they are matched
)
