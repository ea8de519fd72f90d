"""Gate's messages: the core's truth as that exchange words it, for perpetuals that settle in USDT."""

import re
from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import ExchangeCore, Forced, MarginMode, Order, Reason, Status, Trade

SHAPE = re.compile(r"t-[0-9A-Za-z_.-]{1,28}")
LABELS = {
    Reason.UNKNOWN_SYMBOL: "CONTRACT_NOT_FOUND",
    Reason.CLOSED: "CONTRACT_IN_DELISTING",
    Reason.PRECISION: "INVALID_PARAM_VALUE",
    Reason.TICK: "INVALID_PARAM_VALUE",
    Reason.LOT: "INVALID_PARAM_VALUE",
    Reason.NOT_POSITIVE: "INVALID_PARAM_VALUE",
    Reason.MIN_AMOUNT: "SIZE_TOO_SMALL",
    Reason.PRICE_TOO_HIGH: "PRICE_TOO_DEVIATED",
    Reason.PRICE_TOO_LOW: "PRICE_TOO_DEVIATED",
    Reason.REDUCE_ONLY: "POSITION_EMPTY",
    Reason.MARGIN: "INSUFFICIENT_AVAILABLE",
    Reason.POSITION_SIDE: "POSITION_DUAL_MODE",
    Reason.NO_SUCH_ORDER: "ORDER_NOT_FOUND",
    Reason.NOTHING_RESTS: "ORDER_NOT_FOUND",
}
TEXTS = {
    "MISSING_REQUIRED_HEADER": (401, "missing required header"),
    "INVALID_KEY": (401, "Invalid key provided"),
    "INVALID_SIGNATURE": (401, "Signature mismatch"),
    "REQUEST_EXPIRED": (403, "Request has expired"),
    "IP_FORBIDDEN": (403, "IP is not in the whitelist"),
    "READ_ONLY": (403, "This API key is read-only"),
    "FORBIDDEN": (403, "Request forbidden: this API key lacks the permission"),
    "USER_NOT_FOUND": (400, "please transfer funds first to create futures account"),
    "TOO_MANY_REQUESTS": (429, "Request Rate limit Exceeded"),
    "CONTRACT_NOT_FOUND": (400, "contract not found"),
    "CONTRACT_IN_DELISTING": (400, "flag close or reduce_only required"),
    "INVALID_PARAM_VALUE": (400, "invalid argument"),
    "SIZE_TOO_SMALL": (400, "size is too small"),
    "PRICE_TOO_DEVIATED": (400, "price is too deviated from the mark price"),
    "POSITION_EMPTY": (400, "empty position"),
    "INSUFFICIENT_AVAILABLE": (400, "margin is insufficient"),
    "POSITION_DUAL_MODE": (400, "the position is in dual mode"),
    "ORDER_NOT_FOUND": (404, "Order not found"),
    "CLIENT_ID_NOT_FOUND": (404, "Order with this client ID not found"),
    "INTERNAL": (500, "internal server error"),
    "TOO_BUSY": (503, "the system is busy, try again later"),
}
ENDS = {Status.FILLED: "filled", Status.EXPIRED: "ioc", Status.CANCELED: "cancelled"}
FORCED = {Forced.LIQUIDATION: "liq-", Forced.DELEVERAGING: "auto_deleveraging"}


def error(about: str | Reason) -> tuple[int, dict[str, Any]]:
    label = LABELS[about] if isinstance(about, Reason) else about
    status, text = TEXTS[label]
    return status, {"label": label, "message": text}


def _seconds(at: int) -> float:
    return at / 1000


def contracts(core: ExchangeCore) -> list[dict[str, Any]]:
    return [
        {
            "name": one.symbol,
            "type": "direct",
            "quanto_multiplier": str(one.contract_size),
            "order_price_round": str(one.tick),
            "mark_price_round": "0.01",
            "order_size_min": str(one.min_amount),
            "order_size_max": str(one.max_amount),
            "enable_decimal": one.step < 1,
            "order_price_deviate": str(one.collar),
            "leverage_min": "1",
            "leverage_max": str(one.max_leverage),
            "maintenance_rate": "0.005",
            "taker_fee_rate": "0.00075",
            "maker_fee_rate": "-0.0001",
            "mark_price": str(core.mark(one.symbol)) if one.symbol in core.ladders else "1",
            "in_delisting": not one.open,
            "status": "trading",
            "create_time": 1_758_124_392,
            "funding_interval": 28_800,
        }
        for one in core.instruments.values()
    ]


def book(core: ExchangeCore, symbol: str, now: int, limit: int) -> dict[str, Any]:
    rules, ladder = core.instrument(symbol), core.ladders[symbol]
    sides = {
        name: [{"p": str(price), "s": str(amount)} for _, price, amount in ladder.displayed(sign, rules, core.now())[:limit]]
        for name, sign in (("asks", 1), ("bids", -1))
    }
    return {"current": _seconds(now), "update": _seconds(now - 3), **sides}


def ticker(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    rules, mid = core.instrument(symbol), core.ladders[symbol].mid
    return {
        "contract": symbol,
        "last": str(core.last(symbol)[0]),
        "low_24h": str(mid * Decimal("0.98")),
        "high_24h": str(mid * Decimal("1.02")),
        "volume_24h": "250000000",
        "volume_24h_base": str(250_000_000 * rules.contract_size),
        "mark_price": str(core.mark(symbol)),
        "index_price": str(core.index(symbol)),
        "funding_rate": "0.0001",
    }


def last(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    core.instrument(symbol)
    price, at = core.last(symbol)
    return {"id": 442_288_327, "contract": symbol, "create_time": _seconds(at), "size": "-105", "price": str(price)}


def account(core: ExchangeCore, *, unified: bool) -> dict[str, Any]:
    profit = core.equity("USDT") - core.wallet["USDT"]
    return {
        "user": 1666,
        "currency": "USDT",
        "total": str(core.wallet["USDT"]),
        "unrealised_pnl": str(profit),
        "position_margin": "0",
        "order_margin": "0",
        "available": str(core.available()),
        "cross_available": str(core.available()),
        "point": "0",
        "bonus": "0",
        "in_dual_mode": core.hedged,
        "position_mode": "dual" if core.hedged else "single",
        "enable_credit": unified,
        "enable_evolved_classic": True,
        "margin_mode": 3 if unified else 0,
        "margin_mode_name": "single_currency" if unified else "classic",
    }


def position(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    rules, holding = core.instrument(symbol), core.holdings.get(symbol)
    crossed = core.margin_mode(symbol) is MarginMode.CROSS
    return {
        "contract": symbol,
        "size": str(holding.amount) if holding else "0",
        "mode": "dual_long" if core.hedged else "single",
        "leverage": "0" if crossed else str(rules.leverage),
        "cross_leverage_limit": str(rules.leverage) if crossed else "0",
        "entry_price": str(holding.entry) if holding else "0",
        "mark_price": str(core.mark(symbol)),
        "liq_price": str(core.liquidations.get(symbol, 0)),
        "unrealised_pnl": str(core.unrealised(symbol)),
        "risk_limit": "1000000",
        "maintenance_rate": "0.005",
    }


def order(one: Order) -> dict[str, Any]:
    signed = {name: str(one.sign * amount) for name, amount in (("size", one.amount), ("left", one.amount - one.filled))}
    told = {
        "id": one.id,
        "user": 1666,
        "contract": one.symbol,
        **signed,
        "price": str(one.price),
        "fill_price": str(one.average),
        "tif": one.time_in_force.lower(),
        "text": _text(one),
        "status": "open" if one.status.rests else "finished",
        "create_time": _seconds(one.at),
        "is_reduce_only": one.reduce_only,
        "is_close": False,
        "is_liq": one.forced is Forced.LIQUIDATION,
        "tkfr": "0.0005",
        "mkfr": "0.0002",
    }
    return told if one.status.rests else {**told, "finish_time": _seconds(one.at), "finish_as": ENDS[one.status]}


def _text(one: Order) -> str:
    if one.forced:
        return f"{FORCED[one.forced]}{one.id}"
    return one.client_id


def trade(one: Trade, owner: Order) -> dict[str, Any]:
    return {
        "id": one.id,
        "contract": one.symbol,
        "order_id": str(one.order_id),
        "size": str(one.sign * one.amount),
        "price": str(one.price),
        "role": "taker",
        "text": _text(owner),
        "fee": str(one.fee),
        "point_fee": "0",
        "create_time": _seconds(one.at),
    }


def tiers(core: ExchangeCore, symbol: str) -> list[dict[str, Any]]:
    most = core.instrument(symbol).max_leverage
    return [
        {
            "tier": step,
            "contract": symbol,
            "risk_limit": str(1_000_000 * step),
            "leverage_max": str(Decimal(most) / step),
            "initial_rate": "0.01",
            "maintenance_rate": str(Decimal("0.004") * step),
        }
        for step in (1, 2)
    ]


def truth(core: ExchangeCore, requests: int) -> dict[str, Any]:
    """What really stands, for a test in another process."""
    return {"requests": requests, "orders": [order(one) for one in core.orders.values()]}


def book_rows(core: ExchangeCore) -> list[dict[str, Any]]:
    """The account book, the newest first: what each change left of a balance that began with nothing."""
    found = [(one.at, "dnw", "", one.amount, "") for one in core.payments]
    found += [(one.at, "fund", one.symbol, one.amount, "") for one in core.fundings]
    for one in core.trades:
        found.append((one.at, "fee", one.symbol, -one.fee, str(one.id)))
        if one.profit:
            found.append((one.at, "pnl", one.symbol, one.profit, str(one.id)))
    rows, balance = [], Decimal(0)
    for at, kind, contract, change, trade in sorted(found, key=lambda row: row[0]):
        balance += change
        told = {"time": at / 1000, "type": kind, "change": str(change), "balance": str(balance), "text": f"{contract}:{trade}"}
        rows.append(told | {"contract": contract, "trade_id": trade})
    return rows[::-1]
