"""Binance spot's messages: the spot core's truth as that exchange words it."""

import time
from decimal import Decimal
from typing import Any

from tests.fakes.binance_messages import STATUSES as ORDER_STATUSES
from tests.fakes.exchange_core import Order, Reason, Trade
from tests.fakes.spot_core import SpotCore

Said = tuple[int, str]
INSUFFICIENT = (-2010, "Account has insufficient balance for requested action.")
REASONS: dict[Reason, Said] = {
    Reason.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Reason.PRECISION: (-1111, "Parameter 'quantity' has too much precision."),
    Reason.TICK: (-1013, "Filter failure: PRICE_FILTER"),
    Reason.LOT: (-1013, "Filter failure: LOT_SIZE"),
    Reason.NOT_POSITIVE: (-1013, "Invalid quantity."),
    Reason.MIN_AMOUNT: (-1013, "Filter failure: LOT_SIZE"),
    Reason.NOTIONAL: (-1013, "Filter failure: NOTIONAL"),
    Reason.PRICE_TOO_HIGH: (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    Reason.PRICE_TOO_LOW: (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    Reason.CLOSED: (-2010, "Market is closed."),
    Reason.DUPLICATE: (-2010, "Duplicate order sent."),
    Reason.MARGIN: INSUFFICIENT,
    Reason.NO_SUCH_ORDER: (-2013, "Order does not exist."),
    Reason.NOTHING_RESTS: (-2011, "Unknown order sent."),
    Reason.TOO_LONG_A_TIME: (-1127, "More than 24 hours between startTime and endTime."),
}
TEXTS = {
    -1003: "Too much request weight used.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1102: "A mandatory parameter was not sent, was empty/null, or malformed.",
    -1104: "Not all sent parameters were read.",
    -1116: "Invalid orderType.",
    -1131: "recvWindow must be less than 60000",
    -2008: "Invalid Api-Key ID.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
}
STATUSES = {-1003: 429, -1007: 408, -2008: 401, -2014: 401, -2015: 401}


def error(about: int | Reason) -> tuple[int, dict[str, Any]]:
    code, text = REASONS[about] if isinstance(about, Reason) else (about, TEXTS[about])
    return STATUSES.get(code, 400), {"code": code, "msg": text}


def _text(value: Decimal, digits: int = 8) -> str:
    return f"{value:.{digits}f}"


def exchange_info(core: SpotCore, now: int) -> dict[str, Any]:
    symbols = [
        {
            "symbol": one.symbol,
            "status": "TRADING" if one.open else "BREAK",
            "baseAsset": one.base,
            "baseAssetPrecision": 8,
            "quoteAsset": one.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": str(one.tick), "maxPrice": "1000000.00", "tickSize": str(one.tick)},
                {
                    "filterType": "LOT_SIZE",
                    "minQty": str(one.min_amount),
                    "maxQty": str(one.max_amount),
                    "stepSize": str(one.step),
                },
                {
                    "filterType": "NOTIONAL",
                    "minNotional": _text(one.min_notional),
                    "applyMinToMarket": True,
                    "maxNotional": "9000000.00000000",
                    "applyMaxToMarket": False,
                    "avgPriceMins": 5,
                },
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
        }
        for one in core.instruments.values()
    ]
    return {"timezone": "UTC", "serverTime": now, "rateLimits": [], "exchangeFilters": [], "symbols": symbols}


def depth(core: SpotCore, symbol: str, limit: int) -> dict[str, Any]:
    """The book, which tells no time here."""
    rules, ladder = core.instrument(symbol), core.ladders[symbol]
    sides = {
        name: [[_text(price), _text(amount)] for _, price, amount in ladder.displayed(sign, rules, core.now())[:limit]]
        for name, sign in (("asks", 1), ("bids", -1))
    }
    return {"lastUpdateId": time.monotonic_ns(), **sides}


def ticker(core: SpotCore, symbol: str, now: int) -> dict[str, Any]:
    core.instrument(symbol)
    mid = core.ladders[symbol].mid
    return {
        "symbol": symbol,
        "weightedAvgPrice": _text(mid),
        "lastPrice": _text(mid),
        "openPrice": _text(mid),
        "highPrice": _text(mid * Decimal("1.02")),
        "lowPrice": _text(mid * Decimal("0.98")),
        "volume": "250000.00000000",
        "quoteVolume": _text(mid * 250_000),
        "openTime": now - 86_400_000,
        "closeTime": now,
    }


def last(core: SpotCore, symbol: str) -> dict[str, Any]:
    """The last price, which tells no time here."""
    core.instrument(symbol)
    return {"symbol": symbol, "price": _text(core.last(symbol)[0])}


def account(core: SpotCore, now: int) -> dict[str, Any]:
    balances = [{"asset": asset, "free": _text(core.free(asset)), "locked": _text(core.locked(asset))} for asset in core.wallet]
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": True,
        "updateTime": now,
        "accountType": "SPOT",
        "balances": [*balances, {"asset": "LTC", "free": "0.00000000", "locked": "0.00000000"}],
        "permissions": ["SPOT"],
    }


def order(one: Order) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "orderId": one.id,
        "orderListId": -1,
        "clientOrderId": one.client_id,
        "price": _text(one.price),
        "origQty": _text(one.amount),
        "executedQty": _text(one.filled),
        "cummulativeQuoteQty": _text(one.cost),
        "status": ORDER_STATUSES[one.status],
        "timeInForce": one.time_in_force,
        "type": "LIMIT",
        "side": "BUY" if one.sign > 0 else "SELL",
        "stopPrice": "0.00000000",
        "icebergQty": "0.00000000",
        "transactTime": one.at,
        "time": one.at,
        "updateTime": one.at,
        "workingTime": one.at,
        "isWorking": one.status.rests,
        "origQuoteOrderQty": "0.00000000",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def placed(one: Order) -> dict[str, Any]:
    """The answer to an order (RESULT), which tells when it was taken and no other time."""
    left_out = ("time", "updateTime", "stopPrice", "icebergQty", "isWorking")
    return {name: value for name, value in order(one).items() if name not in left_out}


def commission(core: SpotCore, symbol: str) -> dict[str, Any]:
    """Rates of the account, where a fee of every kind is due."""
    core.instrument(symbol)
    return {
        "symbol": symbol,
        "standardCommission": {
            "maker": "0.00080000",
            "taker": _text(core.fee_rate),
            "buyer": "0.00000000",
            "seller": "0.00010000",
        },
        "specialCommission": {"maker": "0.00010000", "taker": "0.00020000", "buyer": "0.00000000", "seller": "0.00000000"},
        "taxCommission": {"maker": "0.00000100", "taker": "0.00000200", "buyer": "0.00000000", "seller": "0.00000000"},
        "discount": {"enabledForAccount": True, "enabledForSymbol": True, "discountAsset": "BNB", "discount": "0.75000000"},
    }


def canceled(one: Order) -> dict[str, Any]:
    """The answer to a cancel, which has a client id of its own."""
    told = order(one)
    return told | {"origClientOrderId": one.client_id, "clientOrderId": f"cancel-of-{one.id}"}


def trade(one: Trade) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "id": one.id,
        "orderId": one.order_id,
        "orderListId": -1,
        "price": _text(one.price),
        "qty": _text(one.amount),
        "quoteQty": _text(one.amount * one.price),
        "commission": _text(one.fee),
        "commissionAsset": one.fee_asset,
        "time": one.at,
        "isBuyer": one.sign > 0,
        "isMaker": False,
        "isBestMatch": True,
    }


def truth(core: SpotCore, requests: int) -> dict[str, Any]:
    """What really stands, for a test in another process."""
    return {
        "requests": requests,
        "wallet": {asset: str(amount) for asset, amount in core.wallet.items()},
        "lowest": {asset: str(amount) for asset, amount in core.lowest.items()},
        "marks": {symbol: str(core.mark(symbol)) for symbol in core.ladders},
        "orders": [order(one) for one in core.orders.values()],
        "trades": [trade(one) for one in core.trades],
    }
