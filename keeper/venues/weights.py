"""What one request takes of the budgets of its exchange, by the method of ccxt that sends it.

Documented weights where an exchange publishes them and ccxt has others; for the rest what ccxt's own limiter reckons with.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from keeper.venues.throttle import Cost

LOAD_MARKETS, CREATE_ORDER = "load_markets", "create_order"
_USDM = {
    LOAD_MARKETS: 1,
    CREATE_ORDER: 1,
    "fapiPublicGetTime": 1,
    "fapiPrivateV3GetAccount": 5,
    "fapiPrivateV3GetPositionRisk": 5,
    "fapiPrivateGetPositionSideDual": 30,
    "fapiPrivateGetOpenOrders": 40,
    "fapiPrivateGetOrder": 1,
    "fapiPrivateGetAllOrders": 5,
    "fapiPrivateGetUserTrades": 5,
    "fapiPublicGetDepth": 5,
    "fapiPublicGetPremiumIndex": 1,
    "fapiPublicV2GetTickerPrice": 1,
    "fapiPublicGetTicker24hr": 1,
    "fapiPrivateDeleteOrder": 1,
    "fapiPrivateGetIncome": 30,
    "fapiPublicGetFundingInfo": 1,
    "fapiPrivatePostCountdownCancelAll": 10,
}
_SPOT = {
    LOAD_MARKETS: 20,
    CREATE_ORDER: 1,
    "publicGetTime": 1,
    "privateGetAccount": 20,
    "privateGetOpenOrders": 80,
    "privateGetOrder": 4,
    "privateGetAllOrders": 20,
    "privateGetMyTrades": 20,
    "publicGetDepth": 5,
    "publicGetTickerPrice": 2,
    "publicGetTicker24hr": 2,
    "privateDeleteOrder": 1,
}
# what is public costs nothing by its documents, and is paced like orders all the same
_KRAKEN_FUTURES = {
    LOAD_MARKETS: 10,
    CREATE_ORDER: 10,
    "publicGetInstrumentsSymbolStatus": 10,
    "publicGetOrderbook": 10,
    "publicGetTickersSymbol": 10,
    "privateGetAccounts": 2,
    "privateGetPnlpreferences": 2,
    "privateGetLeveragepreferences": 2,
    "privateGetOpenpositions": 2,
    "privateGetOpenorders": 2,
    "privateGetOrdersStatus": 1,
    "privateGetFills": 2,
    "privatePostCancelorder": 10,
    "privatePostCancelallordersafter": 25,
    "historyGetOrders": 1,
    "historyGetExecutions": 1,
}
WEIGHTS: Mapping[str, Mapping[str, int]] = {
    "binanceusdm": _USDM,
    "binance": _SPOT,
    "kraken": {LOAD_MARKETS: 1},
    "krakenfutures": _KRAKEN_FUTURES,
    "okx": {"publicGetPublicTime": 2},
}
ONE_MARKET: Mapping[str, Mapping[str, int]] = {
    "binanceusdm": {"fapiPrivateGetOpenOrders": 1},
    "binance": {"privateGetOpenOrders": 6},
}
"""Of methods that weigh less when they ask for one market."""
PAST: Mapping[str, frozenset[str]] = {"krakenfutures": frozenset({"historyGetOrders", "historyGetExecutions"})}
"""Methods that draw on a pool of their own, which the exchange grants for what is past."""
BY_NUMBER = frozenset({"bybit", "okx", "gate", "kraken"})
"""Exchanges that count requests, each as one."""
SEVERAL = 10
"""What loading markets weighs where nobody says: it takes several requests."""


def cost_of(exchange: Any, method: str, parameters: Mapping[str, Any]) -> Cost:
    """What a call of ``method``, one of ccxt's raw or unified ones, takes. exchange: the ccxt instance."""
    orders = 1 if method == CREATE_ORDER else 0
    past = method in PAST.get(exchange.id, ())
    return Cost(weight=_weight(exchange, method, parameters), orders=orders, past=past)


def _weight(exchange: Any, method: str, parameters: Mapping[str, Any]) -> Decimal:
    name = exchange.id
    if "symbol" in parameters and (told := ONE_MARKET.get(name, {}).get(method)) is not None:
        return Decimal(told)
    if (told := WEIGHTS.get(name, {}).get(method)) is not None:
        return Decimal(told)
    if method == LOAD_MARKETS:
        return Decimal(SEVERAL)
    entry = None if name in BY_NUMBER else _endpoint(type(exchange), method)
    if entry is None:
        return Decimal(1)
    reckoned = exchange.calculate_rate_limiter_cost(entry.api, entry.method, entry.path, parameters, entry.config)
    return max(Decimal(str(reckoned)), Decimal(1))


def _endpoint(exchange: type, method: str) -> Any:
    """What ccxt declares of a raw method; None for a unified one."""
    found = next((vars(kind)[method] for kind in exchange.__mro__ if method in vars(kind)), None)
    return found if hasattr(found, "config") else None
