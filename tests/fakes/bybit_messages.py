"""Bybit's messages: the core's truth as that exchange words it."""

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import ZERO, ExchangeCore, Forced, Instrument, Order, Reason, Status, Trade
from tests.fakes.spot_core import SpotCore

CONTRACT_CODES = {
    Reason.UNKNOWN_SYMBOL: (10001, "Not supported symbols"),
    Reason.CLOSED: (110066, "No trading is allowed at the current time"),
    Reason.PRECISION: (10001, "Qty invalid"),
    Reason.TICK: (10001, "params error: price invalid"),
    Reason.LOT: (10001, "Qty invalid"),
    Reason.NOT_POSITIVE: (10001, "Qty invalid"),
    Reason.MIN_AMOUNT: (10001, "The number of contracts exceeds minimum limit allowed"),
    Reason.NOTIONAL: (110094, "Order does not meet minimum order value 5USDT"),
    Reason.PRICE_TOO_HIGH: (110003, "Order price exceeds the allowable range."),
    Reason.PRICE_TOO_LOW: (110003, "Order price exceeds the allowable range."),
    Reason.DUPLICATE: (110072, "OrderLinkedID is duplicate"),
    Reason.REDUCE_ONLY: (110017, "current position is zero, cannot fix reduce-only order qty"),
    Reason.WOULD_TRIGGER: (110093, "expect Falling, but trigger_price[50000] >= current[44000]"),
    Reason.MARGIN: (110007, "ab not enough for new order"),
    Reason.POSITION_SIDE: (10001, "position idx not match position mode"),
    Reason.NOTHING_RESTS: (110001, "order not exists or too late to cancel"),
    Reason.TOO_LONG_A_TIME: (10001, "The time range between startTime and endTime cannot exceed 7 days"),
}
SPOT_CODES = CONTRACT_CODES | {
    Reason.UNKNOWN_SYMBOL: (170121, "Invalid symbol."),
    Reason.CLOSED: (170151, "The trading pair is not open yet."),
    Reason.PRECISION: (170137, "Order volume decimal too long."),
    Reason.TICK: (170134, "Order price decimal too long."),
    Reason.LOT: (170137, "Order volume decimal too long."),
    Reason.MIN_AMOUNT: (170136, "Order quantity lower than the minimum."),
    Reason.NOTIONAL: (170140, "Order value exceeded lower limit."),
    Reason.PRICE_TOO_HIGH: (170193, "Buy order price cannot be higher than 52500USDT."),
    Reason.PRICE_TOO_LOW: (170194, "Sell order price cannot be lower than 47500USDT."),
    Reason.DUPLICATE: (170141, "Duplicate clientOrderId."),
    Reason.MARGIN: (170131, "Insufficient balance."),
    Reason.NOTHING_RESTS: (170213, "Order does not exist."),
}
TEXTS = {
    10001: "params error",
    10002: "invalid request, please check your server timestamp or recv_window param.",
    10003: "API key is invalid.",
    10004: "error sign! origin_string[...]",
    10005: "Permission denied, please check your API key permissions.",
    10006: "Too many visits. Exceeded the API Rate Limit.",
    10010: "Unmatched IP, please check your API key's bound IP addresses.",
    10016: "Internal System Error.",
    10032: "Demo trading are not supported.",
    33004: "Your api key has expired.",
}
ENDED = (Status.FILLED, Status.EXPIRED, Status.CANCELED)
CREATED = {Forced.LIQUIDATION: "CreateByLiq", Forced.DELEVERAGING: "CreateByAdl_PassThrough"}


def error(about: int | Reason, category: str) -> dict[str, Any]:
    if isinstance(about, Reason):
        code, text = (SPOT_CODES if category == "spot" else CONTRACT_CODES)[about]
    else:
        code, text = about, TEXTS[about]
    return {"retCode": code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": time.time_ns() // 1_000_000}


def answer(result: Mapping[str, Any], now: int) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now}


def text(value: Decimal, digits: int = 8) -> str:
    return f"{value:.{digits}f}"


def order_id(number: int) -> str:
    """Of a contract's order; one on spot has a number."""
    return f"{number:08x}-0c1e-4a6b-9f00-5d2b7a6c9e10"


def trade_id(number: int) -> str:
    return f"{number:08x}-7d52-5b0e-8c41-93aa01f2b6d4"


def named(number: int, category: str) -> str:
    return str(number) if category == "spot" else order_id(number)


def category_of(one: Instrument) -> str:
    return "inverse" if one.inverse else "linear"


def instrument(one: Instrument) -> dict[str, Any]:
    kind = "Inverse" if one.inverse else "Linear"
    lots = {
        "maxOrderQty": str(one.max_amount),
        "minOrderQty": str(one.min_amount),
        "qtyStep": str(one.step),
        "postOnlyMaxOrderQty": str(one.max_amount),
        "maxMktOrderQty": str(one.max_amount),
    }
    return {
        "symbol": one.symbol,
        "contractType": f"{kind}Perpetual" if one.delivery is None else f"{kind}Futures",
        "status": "Trading" if one.open else "Closed",
        "baseCoin": one.base,
        "quoteCoin": one.quote,
        "launchTime": "1585526400000",
        "deliveryTime": str(one.delivery or 0),
        "deliveryFeeRate": "",
        "priceScale": str(one.price_digits),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": text(Decimal(one.max_leverage), 2), "leverageStep": "0.01"},
        "priceFilter": {"minPrice": str(one.tick), "maxPrice": "1999999.80", "tickSize": str(one.tick)},
        "lotSizeFilter": lots if one.inverse else lots | {"minNotionalValue": str(one.min_notional)},
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": one.settle,
    }


def pair(one: Instrument) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "baseCoin": one.base,
        "quoteCoin": one.quote,
        "innovation": "0",
        "status": "Trading" if one.open else "Closed",
        "marginTrading": "utaOnly",
        "lotSizeFilter": {
            "basePrecision": str(one.step),
            "quotePrecision": "0.00000001",
            "minOrderQty": str(one.min_amount),
            "maxOrderQty": str(one.max_amount),
            "minOrderAmt": str(one.min_notional),
            "maxOrderAmt": "8000000",
        },
        "priceFilter": {"tickSize": str(one.tick)},
    }


def depth(core: ExchangeCore, symbol: str, now: int, limit: int) -> dict[str, Any]:
    rules, ladder = core.instrument(symbol), core.ladders[symbol]
    sides = {}
    for name, sign in (("a", 1), ("b", -1)):
        levels = ladder.displayed(sign, rules, core.now())[:limit]
        sides[name] = [[text(price, rules.price_digits), text(amount, rules.amount_digits)] for _, price, amount in levels]
    return {"s": symbol, **sides, "ts": now, "u": 18_521_288, "seq": 7_961_638_724, "cts": now}


def log(core: ExchangeCore) -> list[dict[str, Any]]:
    """The transaction log of what settles in coins of the margin account, newest first: ``change`` is cash + funding - fee."""

    def row(
        kind: str, asset: str, at: int, name: str, *, symbol: str = "", cash: Decimal = ZERO, **more: Decimal
    ) -> dict[str, Any]:
        funding, fee = more.get("funding", ZERO), more.get("fee", ZERO)
        return {
            "id": f"{at}_{name}",
            "symbol": symbol,
            "category": "linear" if symbol else "",
            "transactionTime": str(at),
            "type": kind,
            "currency": asset,
            "funding": text(funding) if funding else "",
            "fee": text(fee) if fee else "0",
            "cashFlow": text(cash),
            "change": text(cash + funding - fee),
        }

    found = []
    for number, paid in enumerate(core.payments):
        kind = "TRANSFER_IN" if paid.amount > 0 else "TRANSFER_OUT"
        found.append(row(kind, paid.asset, paid.at, f"p{number}", cash=paid.amount))
    for number, one in enumerate(core.fundings):
        found.append(row("SETTLEMENT", one.asset, one.at, f"f{number}", symbol=one.symbol, funding=one.amount, cash=one.session))
    for trade in core.trades:
        settle = core.instruments[trade.symbol].settle
        found.append(row("TRADE", settle, trade.at, f"t{trade.id}", symbol=trade.symbol, cash=trade.profit, fee=trade.fee))
    return sorted(found, key=lambda one: int(one["transactionTime"]), reverse=True)


def ticker(core: ExchangeCore, symbol: str, category: str) -> dict[str, Any]:
    core.instrument(symbol)
    mid = core.ladders[symbol].mid
    day = {
        "symbol": symbol,
        "lastPrice": text(mid, 2),
        "prevPrice24h": text(mid, 2),
        "price24hPcnt": "0.000000",
        "highPrice24h": text(mid * Decimal("1.02"), 2),
        "lowPrice24h": text(mid * Decimal("0.98"), 2),
        # of an inverse market the volume is in the quote, and what was turned over in the base
        "volume24h": text(mid * 250_000, 0) if category == "inverse" else "250000.000",
        "turnover24h": "250000.0000" if category == "inverse" else text(mid * 250_000, 4),
    }
    if category == "spot":
        return day
    return day | {
        "indexPrice": text(core.index(symbol)),
        "markPrice": text(core.mark(symbol)),
        "openInterest": "1000.000",
        "fundingRate": "0.0001",
        "nextFundingTime": "1893456000000",
        "deliveryTime": "0",
    }


def last(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    core.instrument(symbol)
    price, at = core.last(symbol)
    return {
        "execId": trade_id(at % 2**32),
        "symbol": symbol,
        "price": text(price, 2),
        "size": "0.1",
        "side": "Sell",
        "time": str(at),
        "isBlockTrade": False,
    }


def tiers(one: Instrument) -> list[dict[str, Any]]:
    """Margins of an inverse market are percent."""
    part = 100 if one.inverse else 1
    steps = (("150", "0.01"), ("300", "0.02")) if one.inverse else (("2000000", "0.01"), ("4000000", "0.02"))
    return [
        {
            "id": number,
            "symbol": one.symbol,
            "riskLimitValue": limit,
            "maintenanceMargin": str(Decimal(initial) / 2 * part),
            "initialMargin": str(Decimal(initial) * part),
            "isLowestRisk": int(number == 1),
            "maxLeverage": text(1 / Decimal(initial), 2),
            "mmDeduction": "",
        }
        for number, (limit, initial) in enumerate(steps, start=1)
    ]


def coin(core: ExchangeCore, asset: str, borrowed: Decimal) -> dict[str, Any]:
    """``borrowed`` stands in the wallet balance, and owed beside it."""
    held = core.wallet.get(asset, ZERO)
    spot = isinstance(core, SpotCore)
    equity = held if spot else core.equity(asset)
    return {
        "coin": asset,
        "equity": text(equity),
        "usdValue": text(equity, 4),
        "walletBalance": text(held + borrowed),
        "locked": text(core.locked(asset)) if isinstance(core, SpotCore) else "0",
        "spotBorrow": text(borrowed),
        "borrowAmount": text(borrowed),
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": "0",
        "totalPositionMM": "0",
        "unrealisedPnl": text(equity - held),
        "cumRealisedPnl": "0",
        "bonus": "0",
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "collateralSwitch": True,
        "marginCollateral": True,
    }


def position(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    held = core.holdings.get(symbol)
    amount, entry = (held.amount, held.entry) if held else (ZERO, ZERO)
    rules, mark = core.instruments[symbol], core.mark(symbol)
    index = 0 if not core.hedged else 1 if amount > 0 else 2
    return {
        "positionIdx": index,
        "riskId": 1,
        "riskLimitValue": "150",
        "symbol": symbol,
        "side": "" if not amount else "Buy" if amount > 0 else "Sell",
        "size": text(abs(amount), rules.amount_digits),
        "avgPrice": text(entry) if amount else "0",
        # a session of USDC contracts is a matter of its own
        "sessionAvgPrice": text(entry) if amount and rules.settle == "USDC" else "",
        "positionValue": text(rules.value(abs(amount), entry)) if amount else "",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if amount else 0,
        "leverage": str(rules.leverage),
        "positionBalance": "0",
        "markPrice": text(mark),
        "liqPrice": str(core.liquidations[symbol]) if symbol in core.liquidations else "",
        "bustPrice": "",
        "positionMM": "0",
        "positionIM": "0",
        "unrealisedPnl": text(core.unrealised(symbol)) if amount else "",
        "curRealisedPnl": "0",
        "cumRealisedPnl": "0",
        "seq": 5_723_621_632,
        "isReduceOnly": False,
        "createdTime": str(now),
        "updatedTime": str(now),
    }


def _status(one: Order, category: str) -> str:
    if one.status is Status.NEW:
        return "New" if one.trigger is None else "Untriggered"
    if one.status is Status.PARTIAL:
        return "PartiallyFilled"
    if one.status is Status.FILLED:
        return "Filled"
    return "PartiallyFilledCanceled" if one.filled and category == "spot" else "Cancelled"


def order(one: Order, category: str) -> dict[str, Any]:
    told = {
        "orderId": named(one.id, category),
        "orderLinkId": one.client_id,
        "blockTradeId": "",
        "symbol": one.symbol,
        "price": "0" if one.market else str(one.price),
        "qty": str(one.amount),
        "side": "Buy" if one.sign > 0 else "Sell",
        "isLeverage": "0" if category == "spot" else "",
        "positionIdx": 0,
        "orderStatus": _status(one, category),
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "avgPrice": text(one.average) if one.filled else "",
        "leavesQty": "0" if one.status in ENDED else str(one.amount - one.filled),
        "leavesValue": "0",
        "cumExecQty": str(one.filled),
        "cumExecValue": text(one.cost),
        "cumExecFee": "0",
        "timeInForce": one.time_in_force,
        "orderType": "Market" if one.forced or one.market else "Limit",
        "stopOrderType": "" if one.trigger is None else "Stop",
        "triggerPrice": "" if one.trigger is None else str(one.trigger),
        "reduceOnly": one.reduce_only,
        "closeOnTrigger": False,
        "createdTime": str(one.at),
        "updatedTime": str(one.at),
    }
    return told if category == "spot" else told | {"createType": CREATED[one.forced] if one.forced else "CreateByUser"}


def trade(one: Trade, order_of: Order, category: str) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "orderId": named(one.order_id, category),
        "orderLinkId": order_of.client_id,
        "side": "Buy" if one.sign > 0 else "Sell",
        "orderPrice": str(order_of.price),
        "orderQty": str(order_of.amount),
        "leavesQty": "0",
        "createType": "" if category == "spot" else "CreateByUser",
        "orderType": "Limit",
        "stopOrderType": "",
        "execFee": text(one.fee),
        "execId": trade_id(one.id),
        "execPrice": str(one.price),
        "execQty": str(one.amount),
        "execType": "Trade",
        "execValue": text(one.amount * one.price),
        "execTime": str(one.at),
        "feeCurrency": one.fee_asset if category == "spot" else "",
        "isMaker": False,
        "feeRate": "0.0006",
        "markPrice": "",
        "indexPrice": "",
        "closedSize": "0",
        "seq": one.id,
    }


def truth(core: ExchangeCore, requests: int) -> dict[str, Any]:
    """What really stands, for a test in another process."""
    return {
        "requests": requests,
        "wallet": {asset: str(amount) for asset, amount in core.wallet.items()},
        "positions": {symbol: {"amount": str(held.amount), "entry": str(held.entry)} for symbol, held in core.holdings.items()},
        "orders": [order(one, "linear") for one in core.orders.values()],
    }
