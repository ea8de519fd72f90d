"""Bitget's messages (API v2, USDT-M perpetuals): the core's truth as that exchange words it."""

from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import ZERO, ExchangeCore, Forced, MarginMode, Order, Reason, Status, Trade
from tests.fakes.loopback_server import MALFORMED

SAID: dict[str, str] = {
    "40001": "ACCESS_KEY cannot be empty",
    "40005": "Invalid ACCESS_TIMESTAMP",
    "40008": "Request timestamp expired",
    "40009": "sign signature error",
    "40012": "apikey/password is incorrect",
    "40014": "Incorrect permissions, need contract trade write permissions",
    "40018": "Invalid IP",
    "40019": "Parameter productType cannot be empty",
    "40020": "Parameter orderType error",
    "40034": "Parameter BTCUSDT does not exist",
    "40037": "Apikey does not exist",
    "40085": "You are in Unified Account mode, and the Classic Account API is not supported at this time",
    "40099": "exchange environment is incorrect",
    "40109": "The data of the order cannot be found, please confirm the order number",
    "40704": "Can only check the data of the last three months",
    "40762": "The order size is greater than the max open size",
    "40768": "Order does not exist",
    "40774": "The order type for unilateral position must also be the unilateral position type.",
    "40786": "Duplicate clientOid",
    "40808": "Parameter verification exception size checkBDScale error value=0.015 checkScale=2",
    "40844": "This contract is under temporary maintenance",
    "22002": "No position to close",
    "22038": "Please enter the quantity as an integral multiple of 0.01",
    "22046": "The order price exceeds the minimum price limit: 57000",
    "22047": "The order price exceeds the maximum price limit: 42000",
    "43050": "Leverage exceeds the effective range",
    "45110": "less than the minimum amount 5 USDT",
    "45111": "less than the minimum order quantity",
    "45115": "The price you enter should be a multiple of 0.5",
    "45117": "Currently holding positions or orders, the margin mode cannot be adjusted",
    "429": "Too Many Requests",
}
CODES = {
    Reason.UNKNOWN_SYMBOL: "40034",
    Reason.CLOSED: "40844",
    Reason.PRECISION: "40808",
    Reason.TICK: "45115",
    Reason.LOT: "22038",
    Reason.NOT_POSITIVE: "45111",
    Reason.MIN_AMOUNT: "45111",
    Reason.NOTIONAL: "45110",
    Reason.PRICE_TOO_HIGH: "22047",
    Reason.PRICE_TOO_LOW: "22046",
    Reason.DUPLICATE: "40786",
    Reason.REDUCE_ONLY: "22002",
    Reason.MARGIN: "40762",
    Reason.POSITION_SIDE: "40774",
    Reason.NO_SUCH_ORDER: "40109",
    Reason.NOTHING_RESTS: "40768",
    Reason.TOO_LONG_A_TIME: "40704",
    Reason.LEVERAGE: "43050",
    Reason.NOT_FLAT: "45117",
}
STATUSES = {
    Status.NEW: "live",
    Status.PARTIAL: "partially_filled",
    Status.FILLED: "filled",
    Status.EXPIRED: "canceled",
    Status.CANCELED: "canceled",
}
FORCED = {Forced.LIQUIDATION: "burst_{}_single", Forced.DELEVERAGING: "dte_sys_adl_{}_in_single_side_mode"}
MARGINS = {MarginMode.CROSS: "crossed", MarginMode.ISOLATED: "isolated"}


def error(about: Any, now: int) -> tuple[int, dict[str, Any]]:
    """Status and body of a refusal: by its code, or by the core's reason."""
    code = CODES[about] if isinstance(about, Reason) else "40019" if about == MALFORMED else str(about)
    return (429 if code == "429" else 400), {"code": code, "msg": SAID[code], "requestTime": now, "data": None}


def said(data: Any, now: int) -> dict[str, Any]:
    return {"code": "00000", "msg": "success", "requestTime": now, "data": data}


def contracts(core: ExchangeCore) -> list[dict[str, Any]]:
    return [
        {
            "symbol": one.symbol,
            "baseCoin": one.base,
            "quoteCoin": one.quote,
            "buyLimitPriceRatio": str(one.collar),
            "sellLimitPriceRatio": str(one.collar),
            "feeRateUpRatio": "0.005",
            "makerFeeRate": "0.0002",
            "takerFeeRate": str(core.fee_rate),
            "openCostUpRatio": "0.01",
            "supportMarginCoins": [one.settle],
            "minTradeNum": str(one.min_amount),
            "priceEndStep": str(int(one.tick.scaleb(one.price_digits))),
            "volumePlace": str(one.amount_digits),
            "pricePlace": str(one.price_digits),
            "sizeMultiplier": str(one.step),
            "symbolType": "perpetual" if one.delivery is None else "delivery",
            "minTradeUSDT": str(one.min_notional),
            "maxSymbolOrderNum": "200",
            "maxProductOrderNum": "1000",
            "maxPositionNum": "150",
            "symbolStatus": "normal" if one.open else "maintain",
            "offTime": "-1",
            "limitOpenTime": "-1",
            "deliveryTime": "" if one.delivery is None else str(one.delivery),
            "launchTime": "",
            "fundInterval": "8",
            "minLever": "1",
            "maxLever": str(one.max_leverage),
            "posLimit": "0.05",
            "maxOrderQty": str(one.max_amount),
        }
        for one in core.instruments.values()
    ]


def depth(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    """A hundred levels a side at most; the figures are numbers here, not texts."""
    rules, ladder = core.instrument(symbol), core.ladders[symbol]
    sides = {
        name: [[float(price), float(amount)] for _, price, amount in ladder.displayed(sign, rules, core.now())[:100]]
        for name, sign in (("asks", 1), ("bids", -1))
    }
    return {**sides, "ts": str(now), "scale": str(rules.tick), "precision": "scale0", "isMaxPrecision": "NO"}


def prices(core: ExchangeCore, symbol: str, now: int) -> list[dict[str, Any]]:
    core.instrument(symbol)
    mark, index, last = core.mark(symbol), core.index(symbol), core.last(symbol)[0]
    return [{"symbol": symbol, "price": str(last), "indexPrice": str(index), "markPrice": str(mark), "ts": str(now)}]


def latest(core: ExchangeCore, symbol: str) -> list[dict[str, Any]]:
    """The newest public trade."""
    core.instrument(symbol)
    price, at = core.last(symbol)
    return [{"tradeId": "1", "price": str(price), "size": "0.01", "side": "Sell", "ts": str(at), "symbol": symbol}]


def ticker(core: ExchangeCore, symbol: str, now: int) -> list[dict[str, Any]]:
    core.instrument(symbol)
    mid = core.ladders[symbol].mid
    return [
        {
            "symbol": symbol,
            "lastPr": str(mid),
            "high24h": str(mid * Decimal("1.02")),
            "low24h": str(mid * Decimal("0.98")),
            "baseVolume": "250000",
            "quoteVolume": str(mid * 250_000),
            "usdtVolume": str(mid * 250_000),
            "markPrice": str(core.mark(symbol)),
            "indexPrice": str(core.index(symbol)),
            "ts": str(now),
        }
    ]


def tiers(core: ExchangeCore, symbol: str) -> list[dict[str, Any]]:
    core.instrument(symbol)
    rows = (("0", "50000", "125", "0.004"), ("50000", "1000000", "50", "0.01"), ("1000000", "10000000", "10", "0.05"))
    return [
        {"symbol": symbol, "level": str(level), "startUnit": start, "endUnit": end, "leverage": most, "keepMarginRate": rate}
        for level, (start, end, most, rate) in enumerate(rows, 1)
    ]


def accounts(core: ExchangeCore, *, many_assets: bool) -> list[dict[str, Any]]:
    profit = sum((core.unrealised(symbol) for symbol in core.holdings), ZERO)
    free = core.available()
    return [
        {
            "marginCoin": "USDT",
            "locked": "0",
            "available": str(core.wallet.get("USDT", ZERO)),
            "crossedMaxAvailable": str(free),
            "isolatedMaxAvailable": str(free),
            "maxTransferOut": str(free),
            "accountEquity": str(core.equity("USDT")),
            "usdtEquity": str(core.equity("USDT")),
            "btcEquity": "1",
            "crossedRiskRate": "0",
            "unrealizedPL": str(profit) if _held(core) else "",
            "coupon": "0",
            "unionTotalMargin": "",
            "assetList": [],
            "isolatedMargin": "0",
            "crossedMargin": "0",
            "crossedUnrealizedPL": str(profit) if _held(core) else "",
            "isolatedUnrealizedPL": "",
            "assetMode": "union" if many_assets else "single",
        }
    ]


def account(core: ExchangeCore, symbol: str, *, many_assets: bool) -> dict[str, Any]:
    rules = core.instrument(symbol)
    return accounts(core, many_assets=many_assets)[0] | {
        "crossedMarginLeverage": str(rules.leverage),
        "isolatedLongLever": str(rules.leverage),
        "isolatedShortLever": str(rules.leverage),
        "marginMode": MARGINS[core.margin_mode(symbol)],
        "posMode": _mode(core),
    }


def positions(core: ExchangeCore, now: int) -> list[dict[str, Any]]:
    return [
        {
            "marginCoin": "USDT",
            "symbol": symbol,
            "holdSide": "long" if core.held(symbol) > 0 else "short",
            "openDelegateSize": "0",
            "marginSize": str(core.margin(symbol)),
            "available": str(abs(core.held(symbol))),
            "locked": "0",
            "total": str(abs(core.held(symbol))),
            "leverage": str(core.instruments[symbol].leverage),
            "achievedProfits": "0",
            "openPriceAvg": str(core.holdings[symbol].entry),
            "marginMode": MARGINS[core.margin_mode(symbol)],
            "posMode": _mode(core),
            "unrealizedPL": str(core.unrealised(symbol)),
            "liquidationPrice": str(core.liquidations.get(symbol, Decimal("-12.5"))),
            "keepMarginRate": "0.004",
            "markPrice": str(core.mark(symbol)),
            "breakEvenPrice": str(core.holdings[symbol].entry),
            "totalFee": "",
            "marginRatio": "0.03",
            "assetMode": "single",
            "cTime": str(now),
            "uTime": str(now),
        }
        for symbol in _held(core)
    ]


def order(core: ExchangeCore, one: Order, *, alone: bool = False) -> dict[str, Any]:
    side = "buy" if one.sign > 0 else "sell"
    return {
        "symbol": one.symbol,
        "size": str(one.amount),
        "orderId": str(one.id),
        "clientOid": one.client_id or f"10{one.id}",
        "baseVolume": str(one.filled),
        "fee": "",
        "price": str(one.price),
        "priceAvg": str(one.average) if one.filled else "",
        "state" if alone else "status": STATUSES[one.status],
        "side": side,
        "force": one.time_in_force.lower(),
        "totalProfits": "0",
        "posSide": "net",
        "marginCoin": "USDT",
        "quoteVolume": str(one.cost),
        "leverage": str(core.instruments[one.symbol].leverage),
        "marginMode": MARGINS[core.margin_mode(one.symbol)],
        "enterPointSource": "SYS" if one.forced else "API",
        "tradeSide": FORCED[one.forced].format(side) if one.forced else f"{side}_single",
        "posMode": "one_way_mode",
        "orderType": "limit",
        "orderSource": "normal",
        "reduceOnly": "YES" if one.reduce_only else "NO",
        "cTime": str(one.at),
        "uTime": str(one.at),
    }


def trade(one: Trade) -> dict[str, Any]:
    """The fee is negative where it was paid."""
    fee = {"deduction": "no", "feeCoin": one.fee_asset, "totalDeductionFee": "0", "totalFee": str(-one.fee)}
    side = "buy" if one.sign > 0 else "sell"
    return {
        "tradeId": str(one.id),
        "symbol": one.symbol,
        "orderId": str(one.order_id),
        "price": str(one.price),
        "baseVolume": str(one.amount),
        "feeDetail": [fee],
        "side": side,
        "quoteVolume": str(one.amount * one.price),
        "profit": str(one.profit),
        "enterPointSource": "api",
        "tradeSide": f"{side}_single",
        "posMode": "one_way_mode",
        "tradeScope": "taker",
        "cTime": str(one.at),
    }


def key(rights: list[str], addresses: str) -> dict[str, Any]:
    return {"userId": "1", "inviterId": "", "ips": addresses, "authorities": rights, "parentId": 1, "traderType": "not_trader"}


def _held(core: ExchangeCore) -> list[str]:
    return [symbol for symbol, held in core.holdings.items() if held.amount]


def _mode(core: ExchangeCore) -> str:
    return "hedge_mode" if core.hedged else "one_way_mode"
