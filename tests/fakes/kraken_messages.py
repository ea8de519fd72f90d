"""Kraken spot's messages: the spot core's truth as that exchange words it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import Instrument, Order, Reason, Status, Trade
from tests.fakes.loopback_server import MALFORMED
from tests.fakes.spot_core import SpotCore

REASONS = {
    Reason.UNKNOWN_SYMBOL: "EQuery:Unknown asset pair",
    Reason.CLOSED: "EService:Market in cancel_only mode",
    Reason.PRECISION: "EOrder:Invalid price",
    Reason.TICK: "EOrder:Tick size check failed",
    Reason.LOT: "EGeneral:Invalid arguments:volume",
    Reason.NOT_POSITIVE: "EGeneral:Invalid arguments:volume",
    Reason.MIN_AMOUNT: "EOrder:Order minimum not met",
    Reason.NOTIONAL: "EOrder:Cost minimum not met",
    Reason.PRICE_TOO_HIGH: "EOrder:Invalid price",
    Reason.PRICE_TOO_LOW: "EOrder:Invalid price",
    Reason.DUPLICATE: "EOrder:cl_ord_id already in use",
    Reason.MARGIN: "EOrder:Insufficient funds",
    Reason.NO_SUCH_ORDER: "EOrder:Unknown order",
    Reason.NOTHING_RESTS: "EOrder:Unknown order",
    Reason.TOO_LONG_A_TIME: "EGeneral:Invalid arguments",
}
STATUSES = {
    Status.NEW: "open",
    Status.PARTIAL: "open",
    Status.FILLED: "closed",
    Status.EXPIRED: "canceled",
    Status.CANCELED: "canceled",
}
ASSETS = {"BTC": "XXBT", "ETH": "XETH", "USD": "ZUSD"}


def error(about: Any) -> tuple[int, dict[str, Any]]:
    """Kraken says no with HTTP 200."""
    said = REASONS[about] if isinstance(about, Reason) else "EGeneral:Invalid arguments" if about == MALFORMED else str(about)
    return 200, {"error": [said]}


def said(result: Any) -> dict[str, Any]:
    return {"error": [], "result": result}


def altname(one: Instrument) -> str:
    """What orders call a market."""
    return f"{one.base.replace('BTC', 'XBT')}{one.quote}"


def order_id(number: int) -> str:
    return f"O{number}-KEEPR-LOOPBK"


def trade_id(number: int) -> str:
    return f"T{number}-KEEPR-LOOPBK"


def asset_pairs(core: SpotCore) -> dict[str, Any]:
    return {
        one.symbol: {
            "altname": altname(one),
            "wsname": f"{one.base.replace('BTC', 'XBT')}/{one.quote}",
            "aclass_base": "currency",
            "base": ASSETS.get(one.base, one.base),
            "aclass_quote": "currency",
            "quote": ASSETS.get(one.quote, one.quote),
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": one.price_digits,
            "lot_decimals": one.amount_digits,
            "lot_multiplier": 1,
            "leverage_buy": [2, 3],
            "leverage_sell": [2, 3],
            "fees": [[0, float(core.fee_rate * 100)], [50000, 0.24]],
            "fees_maker": [[0, 0.16], [50000, 0.14]],
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": str(one.min_amount),
            "costmin": str(one.min_notional),
            "tick_size": str(one.tick),
            "status": "online" if one.open else "cancel_only",
        }
        for one in core.instruments.values()
    }


def depth(core: SpotCore, symbol: str, count: int) -> dict[str, Any]:
    rules, ladder, at = core.instrument(symbol), core.ladders[symbol], core.now() // 1000
    sides = {
        name: [[str(price), str(amount), at] for _, price, amount in ladder.displayed(sign, rules, core.now())[:count]]
        for name, sign in (("asks", 1), ("bids", -1))
    }
    return {symbol: sides}


def public_trades(core: SpotCore, symbol: str) -> dict[str, Any]:
    core.instrument(symbol)
    price, at = core.last(symbol)
    return {symbol: [[str(price), "0.01", at / 1000, "b", "l", "", 7]], "last": str(at * 1_000_000)}


def ticker(core: SpotCore, symbol: str) -> dict[str, Any]:
    core.instrument(symbol)
    mid = core.ladders[symbol].mid
    high, low = str(mid * Decimal("1.02")), str(mid * Decimal("0.98"))
    return {
        symbol: {
            "a": [str(mid), "1", "1.000"],
            "b": [str(mid), "1", "1.000"],
            "c": [str(mid), "0.01"],
            "v": ["1000.00000000", "250000.00000000"],
            "p": [str(mid), str(mid)],
            "t": [10, 2500],
            "l": [str(mid), low],
            "h": [str(mid), high],
            "o": str(mid),
        }
    }


def balances(core: SpotCore) -> dict[str, str]:
    return {ASSETS.get(asset, asset): f"{amount:.10f}" for asset, amount in core.wallet.items()} | {"KFEE": "0.00"}


def order(core: SpotCore, one: Order, *, trades: bool = False) -> dict[str, Any]:
    rules = core.instruments[one.symbol]
    side, name = "buy" if one.sign > 0 else "sell", altname(rules)
    told: dict[str, Any] = {
        "refid": None,
        "userref": 0,
        "cl_ord_id": one.client_id or None,
        "status": STATUSES[one.status],
        "opentm": one.at / 1000,
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": name,
            "type": side,
            "ordertype": "limit",
            "price": str(one.price),
            "price2": "0",
            "leverage": "none",
            "order": f"{side} {one.amount} {name} @ limit {one.price}",
            "close": "",
        },
        "vol": f"{one.amount:.8f}",
        "vol_exec": f"{one.filled:.8f}",
        "cost": f"{one.cost:.5f}",
        "fee": "0.00000",
        "price": f"{one.average:.{rules.price_digits}f}",
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq",
    }
    if not one.status.rests:
        told |= {"closetm": one.at / 1000 + 0.001, "reason": None}
    own = [trade_id(each.id) for each in core.trades_of(one.symbol, one.id)]
    return told | ({"trades": own} if trades and own else {})


def trade(one: Trade) -> dict[str, Any]:
    return {
        "ordertxid": order_id(one.order_id),
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": one.symbol,
        "time": one.at / 1000,
        "type": "buy" if one.sign > 0 else "sell",
        "ordertype": "limit",
        "price": str(one.price),
        "cost": str(one.amount * one.price),
        "fee": str(one.fee),
        "vol": f"{one.amount:.8f}",
        "margin": "0.00000",
        "misc": "",
        "trade_id": one.id,
        "maker": False,
    }


def volume(core: SpotCore, symbol: str) -> dict[str, Any]:
    core.instrument(symbol)
    fees = {
        name: {symbol: {"fee": rate, "minfee": "0.1000", "maxfee": "0.2600"}}
        for name, rate in (("fees", f"{core.fee_rate * 100:.4f}"), ("fees_maker", "0.1600"))
    }
    return {"currency": "ZUSD", "volume": "0.0000", **fees}


def countdown(now: int, wait: int) -> dict[str, str]:
    return {"currentTime": _words(now), "triggerTime": _words(now + wait * 1000) if wait else "0"}


def key(rights: list[str], until: int, addresses: list[str]) -> dict[str, Any]:
    return {
        "apiKeyName": "keeper",
        "nonce": "1",
        "nonceWindow": 0,
        "permissions": rights,
        "validUntil": str(until),
        "queryFrom": "0",
        "queryTo": "0",
        "ipAllowlist": addresses,
    }


def _words(at: int) -> str:
    return f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
