"""KuCoin's messages: the core's truth as that exchange words it, for perpetuals."""

from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import ZERO, ExchangeCore, Forced, Order, Reason, Status, Trade

CODES = {
    Reason.UNKNOWN_SYMBOL: "200003",
    Reason.CLOSED: "300002",
    Reason.PRECISION: "300000",
    Reason.TICK: "300000",
    Reason.LOT: "300000",
    Reason.NOT_POSITIVE: "300000",
    Reason.MIN_AMOUNT: "300000",
    Reason.NOTIONAL: "300000",
    Reason.PRICE_TOO_HIGH: "300011",
    Reason.PRICE_TOO_LOW: "300012",
    Reason.DUPLICATE: "300018",
    Reason.REDUCE_ONLY: "300009",
    Reason.MARGIN: "300003",
    Reason.POSITION_SIDE: "330011",
    Reason.NO_SUCH_ORDER: "100001",
    Reason.NOTHING_RESTS: "100004",
    Reason.TOO_LONG_A_TIME: "400100",
}
TEXTS = {
    "100001": (200, "error.getOrder.orderNotExist"),
    "100004": (200, "The order cannot be canceled."),
    "200003": (200, "symbol parameter invalid"),
    "300000": (200, "request parameter illegal"),
    "300002": (200, "Order placement/cancellation suspended, please try again later."),
    "300003": (200, "Balance not enough"),
    "300009": (200, "No open positions to close."),
    "300011": (200, "Order price cannot be higher than the limit"),
    "300012": (200, "Order price cannot be lower than the limit"),
    "300018": (200, "clientOid parameter repeated"),
    "330005": (200, "The order's margin mode does not match the selected one. Please switch and try again."),
    "330011": (200, "The order's position mode does not match your selected mode. Please switch modes and try again."),
    "400001": (401, "Please check the header of your request for KC-API-KEY, KC-API-SIGN, KC-API-TIMESTAMP, KC-API-PASSPHRASE"),
    "400002": (400, "KC-API-TIMESTAMP Invalid"),
    "400003": (401, "KC-API-KEY not exists"),
    "400004": (401, "Invalid KC-API-PASSPHRASE"),
    "400005": (401, "Invalid KC-API-SIGN"),
    "400006": (401, "The requested ip address is not in the api whitelist"),
    "400007": (403, "Access Denied--Your API key does not have sufficient permissions to access the URI"),
    "400100": (400, "Parameter Error"),
    "429000": (429, "Too many requests"),
    "500000": (500, "Internal Server Error"),
    "408000": (200, "Network timeout, please try again later"),
}
WORDS = {"BTC": "XBT"}
"""What this exchange calls coins."""
FORCED = {Forced.LIQUIDATION: "liquid", Forced.DELEVERAGING: "ADL"}


def error(about: str | Reason) -> tuple[int, dict[str, Any]]:
    code = CODES[about] if isinstance(about, Reason) else about
    status, text = TEXTS[code]
    return status, {"code": code, "msg": text}


def coin(asset: str) -> str:
    return WORDS.get(asset, asset)


def fine(data: Any) -> dict[str, Any]:
    return {"code": "200000", "data": data}


def page(rows: list[Any], told: dict[str, Any]) -> dict[str, Any]:
    number, size = int(told.get("currentPage", 1)), min(int(told.get("pageSize", 50)), 100)
    whole = -(-len(rows) // size)
    items = rows[(number - 1) * size : number * size]
    return {"currentPage": number, "pageSize": size, "totalNum": len(rows), "totalPage": whole, "items": items}


def contract(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    one = core.instruments[symbol]
    mid = core.ladders[symbol].mid if symbol in core.ladders else Decimal(1)
    volume = 25_000 * mid if one.inverse else Decimal(25_000)
    return {
        "symbol": symbol,
        "rootSymbol": coin(one.settle),
        "type": "FFWCSX",
        "firstOpenDate": 1_585_555_200_000,
        "expireDate": one.delivery,
        "settleDate": None,
        "baseCurrency": coin(one.base),
        "quoteCurrency": one.quote,
        "settleCurrency": coin(one.settle),
        "maxOrderQty": int(one.max_amount),
        "maxPrice": 1_000_000.0,
        "lotSize": int(one.step),
        "tickSize": float(one.tick),
        "multiplier": -1.0 if one.inverse else float(one.contract_size),
        "initialMargin": 0.008,
        "maintainMargin": 0.004,
        "maxLeverage": one.max_leverage,
        "makerFeeRate": 0.0002,
        "takerFeeRate": float(core.fee_rate),
        "isInverse": one.inverse,
        "status": "Open" if one.open else "Paused",
        "nextFundingRateTime": 17_031_334 if one.delivery is None else None,
        "markPrice": float(mid),
        "volumeOf24h": float(volume),
        "turnoverOf24h": float(25_000 if one.inverse else volume * mid),
        "lowPrice": float(mid * Decimal("0.98")),
        "highPrice": float(mid * Decimal("1.02")),
    }


def book(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    rules, ladder = core.instrument(symbol), core.ladders[symbol]
    sides = {
        name: [[float(price), int(amount)] for _, price, amount in ladder.displayed(sign, rules, core.now())[:100]]
        for name, sign in (("asks", 1), ("bids", -1))
    }
    return {"sequence": now, "symbol": symbol, "ts": now * 1_000_000, **sides}


def mark(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    core.instrument(symbol)
    price, index = core.mark(symbol), core.index(symbol)
    return {
        "symbol": symbol,
        "granularity": 1000,
        "timePoint": now // 1000 * 1000,
        "value": float(price),
        "indexPrice": float(index),
    }


def last(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    core.instrument(symbol)
    price, at = core.last(symbol)
    return {"symbol": symbol, "side": "buy", "size": 2, "price": str(price), "tradeId": "1816", "ts": at * 1_000_000}


def overview(core: ExchangeCore, currency: str) -> dict[str, Any]:
    asset = next((one for one, word in WORDS.items() if word == currency), currency)
    wallet, equity, free = core.wallet.get(asset, ZERO), core.equity(asset), core.available(asset)
    return {
        "currency": currency,
        "accountEquity": float(equity),
        "unrealisedPNL": float(equity - wallet),
        "marginBalance": float(wallet),
        "positionMargin": 0,
        "orderMargin": 0,
        "frozenFunds": 0,
        "availableBalance": float(free),
        "availableMargin": float(free),
    }


def positions(core: ExchangeCore) -> list[dict[str, Any]]:
    return [
        {
            "symbol": symbol,
            "crossMode": symbol not in core.isolated,
            "marginMode": core.margin_mode(symbol).upper(),
            "positionSide": "LONG" if core.hedged else "BOTH",
            "isOpen": bool(held.amount),
            "currentQty": int(held.amount),
            "avgEntryPrice": float(held.entry),
            "markPrice": float(core.mark(symbol)),
            "unrealisedPnl": float(core.unrealised(symbol)),
            "settleCurrency": coin(core.instruments[symbol].settle),
            **({"liquidationPrice": float(core.liquidations[symbol])} if symbol in core.liquidations else {}),
        }
        for symbol, held in core.holdings.items()
    ]


def order(core: ExchangeCore, one: Order) -> dict[str, Any]:
    live = one.status.rests
    return {
        "id": str(one.id),
        "symbol": one.symbol,
        "type": "limit",
        "side": "buy" if one.sign > 0 else "sell",
        "price": str(one.price),
        "size": int(one.amount),
        "dealSize": int(one.filled),
        "stop": "",
        "timeInForce": one.time_in_force,
        "leverage": str(core.instruments[one.symbol].leverage),
        "closeOrder": False,
        "clientOid": one.client_id or None,
        "isActive": live,
        "cancelExist": one.status in (Status.CANCELED, Status.EXPIRED),
        "createdAt": one.at,
        "updatedAt": one.at,
        "endAt": None if live else one.at,
        "settleCurrency": coin(core.instruments[one.symbol].settle),
        "marginMode": core.margin_mode(one.symbol).upper(),
        "avgDealPrice": f"{one.average:.10f}",
        "filledSize": int(one.filled),
        "filledValue": f"{one.cost:.10f}",
        "status": "open" if live else "done",
        "reduceOnly": one.reduce_only,
    }


def trade(one: Trade, owner: Order) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "tradeId": str(one.id),
        "orderId": str(one.order_id),
        "side": "buy" if one.sign > 0 else "sell",
        "liquidity": "taker",
        "price": str(one.price),
        "size": int(one.amount),
        "feeRate": "0.0006",
        "feeCurrency": coin(one.fee_asset),
        "fee": str(one.fee),
        "tradeType": FORCED[owner.forced] if owner.forced else "trade",
        "tradeTime": one.at * 1_000_000,
        "createdAt": one.at,
    }


def limits(core: ExchangeCore, symbol: str) -> list[dict[str, Any]]:
    """The limits of an inverse market count its coins."""
    rules = core.instrument(symbol)
    most, span = rules.max_leverage, 50 if rules.inverse else 100_000
    return [
        {
            "symbol": symbol,
            "level": level,
            "maxRiskLimit": span * level,
            "minRiskLimit": span * (level - 1),
            "maxLeverage": most // level,
            "initialMargin": 0.008 * level,
            "maintainMargin": 0.004 * level,
        }
        for level in (1, 2)
    ]


def truth(core: ExchangeCore, requests: int) -> dict[str, Any]:
    """What really stands, for a test in another process."""
    return {"requests": requests, "orders": [order(core, one) for one in core.orders.values()]}
