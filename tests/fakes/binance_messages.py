"""Binance USD-M's messages: the core's truth as that exchange words it."""

import time
from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import ZERO, ExchangeCore, Forced, MarginMode, Order, Reason, Status, Trade
from tests.fakes.exchange_stops import Stop, StopStatus

CODES = {
    Reason.UNKNOWN_SYMBOL: -1121,
    Reason.PRECISION: -1111,
    Reason.TICK: -4014,
    Reason.LOT: -4023,
    Reason.NOT_POSITIVE: -4003,
    Reason.MIN_AMOUNT: -4004,
    Reason.NOTIONAL: -4164,
    Reason.PRICE_TOO_HIGH: -4016,
    Reason.PRICE_TOO_LOW: -4024,
    Reason.DUPLICATE: -4116,
    Reason.REDUCE_ONLY: -2022,
    Reason.MARGIN: -2019,
    Reason.POSITION_SIDE: -4061,
    Reason.NO_SUCH_ORDER: -2013,
    Reason.NOTHING_RESTS: -2011,
    Reason.TOO_LONG_A_TIME: -1127,
    Reason.CLOSED: -4141,
    Reason.LEVERAGE: -4028,
    Reason.WOULD_TRIGGER: -2021,
}
STATUSES = {
    Status.NEW: "NEW",
    Status.PARTIAL: "PARTIALLY_FILLED",
    Status.FILLED: "FILLED",
    Status.EXPIRED: "EXPIRED",
    Status.CANCELED: "CANCELED",
}
FORCED = {Forced.LIQUIDATION: "autoclose-", Forced.DELEVERAGING: "adl_autoclose-"}
PERPETUAL_DELIVERY = 4_133_404_800_000
TEXTS = {
    -1003: (429, "Too many requests."),
    -1006: (400, "An unexpected response was received from the message bus. Execution status unknown."),
    -1007: (408, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
    -1021: (400, "Timestamp for this request is outside of the recvWindow."),
    -1022: (400, "Signature for this request is not valid."),
    -1102: (400, "A mandatory parameter was not sent, was empty/null, or malformed."),
    -1111: (400, "Precision is over the maximum defined for this asset."),
    -1116: (400, "Invalid orderType."),
    -1121: (400, "Invalid symbol."),
    -1127: (400, "Lookup interval is too big."),
    -1131: (400, "recvWindow must be less than 60000"),
    -2011: (400, "Unknown order sent."),
    -2008: (401, "Invalid Api-Key ID."),
    -2013: (400, "Order does not exist."),
    -2014: (401, "API-key format invalid."),
    -2015: (401, "Invalid API-key, IP, or permissions for action."),
    -2019: (400, "Margin is insufficient."),
    -2021: (400, "Order would immediately trigger."),
    -2022: (400, "ReduceOnly Order is rejected."),
    -4003: (400, "Quantity less than or equal to zero."),
    -4004: (400, "Quantity less than min quantity."),
    -4014: (400, "Price not increased by tick size."),
    -4016: (400, "Limit price can't be higher than the cap."),
    -4023: (400, "Qty not increased by step size."),
    -4024: (400, "Limit price can't be lower than the floor."),
    -4028: (400, "Leverage is not valid"),
    -4046: (400, "No need to change margin type."),
    -4047: (400, "Margin type cannot be changed if there exists open orders."),
    -4048: (400, "Margin type cannot be changed if there exists position."),
    -4059: (400, "No need to change position side."),
    -4067: (400, "Position side cannot be changed if there exists open orders."),
    -4068: (400, "Position side cannot be changed if there exists position."),
    -4061: (400, "Order's position side does not match user's setting."),
    -4116: (400, "ClientOrderId is duplicated."),
    -4141: (400, "Symbol is closed."),
    -4164: (400, "Order's notional must be no smaller than the minimum (unless you choose reduce only)."),
}


def error(about: int | Reason) -> tuple[int, dict[str, Any]]:
    code = CODES[about] if isinstance(about, Reason) else about
    status, text = TEXTS[code]
    return status, {"code": code, "msg": text}


def _text(value: Decimal, digits: int = 8) -> str:
    return f"{value:.{digits}f}"


def exchange_info(core: ExchangeCore, now: int) -> dict[str, Any]:
    symbols = [
        {
            "symbol": one.symbol,
            "pair": one.base + one.quote,
            "contractType": "PERPETUAL" if one.delivery is None else "CURRENT_QUARTER",
            "deliveryDate": one.delivery or one.leaves or PERPETUAL_DELIVERY,
            "onboardDate": 1_570_000_000_000,
            "status": "TRADING" if one.open else "SETTLING",
            "baseAsset": one.base,
            "quoteAsset": one.quote,
            "marginAsset": one.settle,
            "pricePrecision": one.price_digits,
            "quantityPrecision": one.amount_digits,
            "underlyingType": "COIN",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "9000000", "tickSize": str(one.tick)},
                {
                    "filterType": "LOT_SIZE",
                    "minQty": str(one.min_amount),
                    "maxQty": str(one.max_amount),
                    "stepSize": str(one.step),
                },
                {"filterType": "MIN_NOTIONAL", "notional": str(one.min_notional)},
            ],
            "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        }
        for one in core.instruments.values()
    ]
    return {"timezone": "UTC", "serverTime": now, "exchangeFilters": [], "rateLimits": [], "assets": [], "symbols": symbols}


def depth(core: ExchangeCore, symbol: str, now: int, limit: int) -> dict[str, Any]:
    rules, ladder = core.instrument(symbol), core.ladders[symbol]
    sides = {}
    for name, sign in (("asks", 1), ("bids", -1)):
        levels = ladder.displayed(sign, rules, core.now())[:limit]
        sides[name] = [[_text(price, rules.price_digits), _text(amount, rules.amount_digits)] for _, price, amount in levels]
    return {"lastUpdateId": time.monotonic_ns() // 1000, "E": now, "T": now, **sides}


def premium(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    core.instrument(symbol)
    mark = _text(core.mark(symbol))
    return {
        "symbol": symbol,
        "markPrice": mark,
        "indexPrice": _text(core.index(symbol)),
        "lastFundingRate": "0.00010000",
        "nextFundingTime": now + 3_600_000,
        "time": now,
    }


def funding_info(core: ExchangeCore) -> list[dict[str, Any]]:
    """Only markets that are not paid every eight hours."""
    return [
        {"symbol": symbol, "adjustedFundingRateCap": "0.02", "adjustedFundingRateFloor": "-0.02", "fundingIntervalHours": hours}
        for symbol, hours in core.funding_hours.items()
    ]


def ticker(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    core.instrument(symbol)
    mid = core.ladders[symbol].mid
    return {
        "symbol": symbol,
        "lastPrice": _text(mid, 2),
        "openPrice": _text(mid, 2),
        "highPrice": _text(mid * Decimal("1.02"), 2),
        "lowPrice": _text(mid * Decimal("0.98"), 2),
        "volume": "250000.000",
        "quoteVolume": _text(mid * 250_000, 2),
        "openTime": now - 86_400_000,
        "closeTime": now,
    }


def last(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    core.instrument(symbol)
    price, at = core.last(symbol)
    return {"symbol": symbol, "price": _text(price, 2), "time": at}


def countdown(core: ExchangeCore, symbol: str, wait: str) -> dict[str, Any]:
    core.count_down(symbol, int(wait))
    return {"symbol": symbol, "countdownTime": wait}


def account(core: ExchangeCore, now: int) -> dict[str, Any]:
    free = core.available() if core.usd is None else core.available("USDT") * core.usd["USDT"]
    return {
        "totalWalletBalance": _text(core.wallet.get("USDT", ZERO)),
        "availableBalance": _text(free),
        "assets": [asset_row(core, asset, now) for asset in ("BNB", *core.wallet)],
        "positions": [],
    }


def asset_row(core: ExchangeCore, asset: str, now: int) -> dict[str, Any]:
    wallet, equity = core.wallet.get(asset, ZERO), core.equity(asset)
    return {
        "asset": asset,
        "walletBalance": _text(wallet),
        "unrealizedProfit": _text(equity - wallet),
        "marginBalance": _text(equity),
        "initialMargin": "0.00000000",
        "availableBalance": _text(core.available(asset)),
        "updateTime": now,
    }


def positions(core: ExchangeCore, now: int) -> list[dict[str, Any]]:
    return [
        {
            "symbol": symbol,
            "positionSide": "BOTH",
            "positionAmt": _text(held.amount, 3),
            "entryPrice": _text(held.entry),
            "breakEvenPrice": _text(held.entry),
            "markPrice": _text(core.mark(symbol)),
            "unRealizedProfit": _text(core.unrealised(symbol)),
            "liquidationPrice": str(core.liquidations.get(symbol, ZERO)),
            "isolatedMargin": "0",
            "notional": _text(held.amount * core.mark(symbol)),
            "marginAsset": "USDT",
            "isolatedWallet": "0",
            "initialMargin": "0",
            "maintMargin": "0",
            "updateTime": now,
        }
        for symbol, held in core.holdings.items()
        if held.amount
    ]


TIERS = (("125", 50_000, "0.004"), ("20", 10_000_000, "0.025"))
"""Of every market: leverage, its cap (USDT) and the maintenance margin, smallest positions first."""


def brackets(core: ExchangeCore, symbol: str, coefficient: str | None = None) -> list[dict[str, Any]]:
    """The leverage table of one market; the largest positions stand first. coefficient: of an account that has its own."""
    core.instrument(symbol)
    tiers = [
        {
            "bracket": number,
            "initialLeverage": int(leverage),
            "notionalCap": cap,
            "notionalFloor": 0,
            "maintMarginRatio": float(rate),
        }
        for number, (leverage, cap, rate) in enumerate(TIERS, start=1)
    ]
    own = {} if coefficient is None else {"notionalCoef": float(coefficient)}
    return [{"symbol": symbol, **own, "brackets": tiers[::-1]}]


def setting(core: ExchangeCore, symbol: str) -> list[dict[str, Any]]:
    return [
        {
            "symbol": symbol,
            "marginType": {MarginMode.CROSS: "CROSSED", MarginMode.ISOLATED: "ISOLATED"}[core.margin_mode(symbol)],
            "isAutoAddMargin": False,
            "leverage": core.instrument(symbol).leverage,
            "maxNotionalValue": "10000000",
        }
    ]


def commission(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    core.instrument(symbol)
    return {"symbol": symbol, "makerCommissionRate": "0.000200", "takerCommissionRate": _text(core.fee_rate, 6)}


def order(one: Order) -> dict[str, Any]:
    return {
        "orderId": one.id,
        "symbol": one.symbol,
        "status": STATUSES[one.status],
        "clientOrderId": f"{FORCED[one.forced]}{one.id}" if one.forced else one.client_id,
        "price": "0" if one.market else str(one.price),
        "avgPrice": _text(one.average),
        "origQty": str(one.amount),
        "executedQty": str(one.filled),
        "cumQuote": _text(one.cost),
        "timeInForce": one.time_in_force,
        "type": "MARKET" if one.market else "LIMIT",
        "origType": "STOP_MARKET" if one.market else "LIMIT",
        "reduceOnly": one.reduce_only,
        "closePosition": False,
        "side": "BUY" if one.sign > 0 else "SELL",
        "positionSide": "BOTH",
        "stopPrice": "0.00",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "time": one.at,
        "updateTime": one.at,
    }


STOP_STATUSES = {StopStatus.RESTS: "NEW", StopStatus.WENT_OFF: "FINISHED", StopStatus.CANCELED: "CANCELED"}


def stop(one: Stop) -> dict[str, Any]:
    """A conditional order."""
    return {
        "algoId": one.id,
        "clientAlgoId": one.client_id,
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "symbol": one.symbol,
        "side": "BUY" if one.sign > 0 else "SELL",
        "positionSide": "BOTH",
        "timeInForce": "GTC",
        "quantity": str(one.amount),
        "algoStatus": STOP_STATUSES[one.status],
        "actualOrderId": "" if one.made is None else str(one.made.id),
        "actualPrice": "0.00000" if one.made is None else _text(one.made.average, 5),
        "triggerPrice": str(one.trigger),
        "price": "0.00",
        "workingType": "MARK_PRICE",
        "closePosition": False,
        "priceProtect": False,
        "reduceOnly": True,
        "createTime": one.at,
        "updateTime": one.changed_at,
        "triggerTime": one.changed_at if one.made else 0,
        "goodTillDate": 0,
    }


def placed(one: Order) -> dict[str, Any]:
    """The answer to an order, which tells of no time but its last change."""
    return {name: value for name, value in order(one).items() if name != "time"}


def trade(one: Trade) -> dict[str, Any]:
    return {
        "id": one.id,
        "orderId": one.order_id,
        "symbol": one.symbol,
        "side": "BUY" if one.sign > 0 else "SELL",
        "buyer": one.sign > 0,
        "maker": False,
        "price": str(one.price),
        "qty": str(one.amount),
        "quoteQty": _text(one.amount * one.price),
        "realizedPnl": _text(one.profit),
        "commission": _text(one.fee),
        "commissionAsset": one.fee_asset,
        "marginAsset": one.fee_asset,
        "positionSide": "BOTH",
        "time": one.at,
    }


def incomes(core: ExchangeCore) -> list[dict[str, Any]]:
    """The income history, oldest first; a trade is a profit and a commission."""

    def row(kind: str, symbol: str, amount: object, asset: str, at: int, number: int, trade: str = "") -> dict[str, Any]:
        return {
            "symbol": symbol,
            "incomeType": kind,
            "income": str(amount),
            "asset": asset,
            "info": kind,
            "time": at,
            "tranId": 9_000_000_000 + number,
            "tradeId": trade,
        }

    found = [row("TRANSFER", "", one.amount, one.asset, one.at, number) for number, one in enumerate(core.payments)]
    found += [row("FUNDING_FEE", one.symbol, one.amount, one.asset, one.at, n) for n, one in enumerate(core.fundings)]
    for one in core.trades:
        settle = core.instruments[one.symbol].settle
        found.append(row("REALIZED_PNL", one.symbol, _text(one.profit), settle, one.at, one.id, str(one.id)))
        found.append(row("COMMISSION", one.symbol, _text(-one.fee), one.fee_asset, one.at, one.id, str(one.id)))
    return sorted(found, key=lambda one: int(one["time"]))


def truth(core: ExchangeCore, requests: int) -> dict[str, Any]:
    """What really stands, for a test in another process."""
    return {
        "requests": requests,
        "wallet": {asset: str(amount) for asset, amount in core.wallet.items()},
        "positions": {symbol: {"amount": str(held.amount), "entry": str(held.entry)} for symbol, held in core.holdings.items()},
        "marks": {symbol: str(core.mark(symbol)) for symbol in core.ladders},
        "orders": [order(one) for one in core.orders.values()],
        "trades": [trade(one) for one in core.trades],
    }
