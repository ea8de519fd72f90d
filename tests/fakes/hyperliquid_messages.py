"""Hyperliquid's messages: the core's truth as that exchange words it."""

from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import ZERO, ExchangeCore, Forced, Instrument, MarginMode, Order, Reason, Status, Trade

Row = dict[str, Any]
HOUR = 3_600_000
LEVELS = 20
DECIMALS = 6
TEXTS = {
    Reason.UNKNOWN_SYMBOL: "Asset is not known",
    Reason.CLOSED: "Trading is halted.",
    Reason.PRECISION: "Order has invalid size.",
    Reason.TICK: "Price must be divisible by tick size.",
    Reason.LOT: "Order has invalid size.",
    Reason.NOT_POSITIVE: "Order has zero size.",
    Reason.MIN_AMOUNT: "Order has invalid size.",
    Reason.NOTIONAL: "Order must have minimum value of $10.",
    Reason.PRICE_TOO_HIGH: "Order price too far from oracle",
    Reason.PRICE_TOO_LOW: "Order price too far from oracle",
    Reason.REDUCE_ONLY: "Reduce only order would increase position.",
    Reason.MARGIN: "Insufficient margin to place order.",
    Reason.NOTHING_RESTS: "Order was never placed, already canceled, or filled.",
}
UNMATCHED = "Order could not immediately match against any resting orders."
DIRECTIONS = {Forced.LIQUIDATION: "Liquidated Cross Long", Forced.DELEVERAGING: "Auto-Deleveraging"}


def text(value: Decimal) -> str:
    """A number with at least one decimal and no zeros behind others."""
    told = format(value.quantize(Decimal("1e-12")).normalize(), "f")
    return told if "." in told else f"{told}.0"


def refused(kind: str, words: str) -> Row:
    """An answer that turned down the only order of a request, or the only cancel."""
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": [{"error": words}]}}}


def no(words: str) -> Row:
    """An answer that turned down a whole request."""
    return {"status": "err", "response": words}


def done(kind: str, status: Any) -> Row:
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": [status]}}}


def size_decimals(rules: Instrument) -> int:
    return rules.amount_digits


def meta(core: ExchangeCore) -> Row:
    universe = [
        {
            "name": one.symbol,
            "szDecimals": size_decimals(one),
            "maxLeverage": one.max_leverage,
            "marginTableId": 56 if one.symbol == "BTC" else one.max_leverage,
            **({} if one.open else {"isDelisted": True}),
        }
        for one in core.instruments.values()
    ]
    tiers = [{"lowerBound": "0.0", "maxLeverage": 40}, {"lowerBound": "150000000.0", "maxLeverage": 20}]
    return {
        "universe": universe,
        "marginTables": [[56, {"description": "tiered 40x", "marginTiers": tiers}]],
        "collateralToken": 0,
    }


def contexts(core: ExchangeCore) -> list[Row]:
    found = []
    for symbol in core.instruments:
        mark = core.mark(symbol) if symbol in core.ladders else Decimal(1)
        oracle = core.index(symbol) if symbol in core.ladders else Decimal(1)
        found.append(
            {
                "funding": "0.0000125",
                "openInterest": "688.11",
                "prevDayPx": text(mark),
                "dayNtlVlm": "1169046.29406",
                "premium": "0.00031774",
                "oraclePx": text(oracle),
                "markPx": text(mark),
                "midPx": text(mark),
                "impactPxs": [text(mark), text(mark)],
                "dayBaseVlm": "1234.5",
            }
        )
    return found


def book(core: ExchangeCore, coin: str, now: int) -> Row:
    rules, ladder = core.instrument(coin), core.ladders[coin]
    sides = [
        [
            {"px": text(price), "sz": text(amount), "n": 1}
            for _, price, amount in ladder.displayed(sign, rules, core.now())[:LEVELS]
        ]
        for sign in (-1, 1)
    ]
    return {"coin": coin, "time": now, "levels": sides}


def recent(core: ExchangeCore, coin: str) -> list[Row]:
    """Two trades, the latest of which stands last."""
    price, at = core.last(coin)
    common = {"coin": coin, "side": "B", "sz": "0.5", "hash": "0x00", "users": ["0x01", "0x02"]}
    return [
        common | {"px": text(price + 7), "time": at - 5000, "tid": 1},
        common | {"px": text(price), "time": at, "tid": 2},
    ]


def candles(core: ExchangeCore, coin: str, first: int, last: int) -> list[Row]:
    """Hours that lie in a span, in part too; high and low are 2 % from the mid in one of them."""
    mid = core.ladders[coin].mid
    found: list[Row] = []
    for start in range(first - first % HOUR, last + 1, HOUR):
        wide = Decimal("0.02") if not found or start + HOUR > last else Decimal("0.01")
        high, low = mid * (1 + wide), mid * (1 - wide)
        told = {"t": start, "T": start + HOUR - 1, "s": coin, "i": "1h", "o": text(mid), "c": text(mid)}
        found.append(told | {"h": text(high), "l": text(low), "v": "100.5", "n": 189})
    return found


def state(core: ExchangeCore, now: int) -> Row:
    held = [(symbol, one) for symbol, one in core.holdings.items() if one.amount]
    worth = core.equity("USDC")
    bound = sum((core.margin(symbol) for symbol, _ in held), ZERO)
    value = sum((abs(one.amount) * core.mark(symbol) for symbol, one in held), ZERO)
    summary = {
        "accountValue": text(worth),
        "totalNtlPos": text(value),
        "totalRawUsd": text(worth - sum((one.amount * core.mark(symbol) for symbol, one in held), ZERO)),
        "totalMarginUsed": text(bound),
    }
    positions = [{"type": "oneWay", "position": _position(core, symbol)} for symbol, _ in held]
    return {
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "crossMaintenanceMarginUsed": text(bound / 2),
        "withdrawable": text(max(worth - bound, ZERO)),
        "assetPositions": positions,
        "time": now,
    }


def leverage(core: ExchangeCore, symbol: str) -> Row:
    kind = {MarginMode.CROSS: "cross", MarginMode.ISOLATED: "isolated"}[core.margin_mode(symbol)]
    return {"type": kind, "value": core.instrument(symbol).leverage}


def _position(core: ExchangeCore, symbol: str) -> Row:
    held = core.holdings[symbol]
    liquidation = core.liquidations.get(symbol)
    return {
        "coin": symbol,
        "szi": text(held.amount),
        "leverage": leverage(core, symbol),
        "entryPx": f"{held.entry:.1f}",
        "positionValue": text(abs(held.amount) * core.mark(symbol)),
        "unrealizedPnl": text(core.unrealised(symbol)),
        "returnOnEquity": "0.1",
        "liquidationPx": None if liquidation is None else text(liquidation),
        "marginUsed": text(core.margin(symbol)),
        "maxLeverage": core.instruments[symbol].max_leverage,
        "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
    }


def order(one: Order) -> Row:
    return {
        "coin": one.symbol,
        "side": "B" if one.sign > 0 else "A",
        "limitPx": text(one.price),
        "sz": text(one.amount - one.filled),
        "oid": one.id,
        "timestamp": one.at,
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": one.reduce_only,
        "orderType": "Limit",
        "origSz": text(one.amount),
        "tif": one.time_in_force.capitalize(),
        "cloid": one.client_id or None,
    }


def with_status(one: Order) -> Row:
    words = {
        Status.NEW: "open",
        Status.PARTIAL: "open",
        Status.FILLED: "filled",
        Status.CANCELED: "canceled",
        Status.EXPIRED: "canceled" if one.filled else "iocCancelRejected",
    }
    return {"order": order(one), "status": words[one.status], "statusTimestamp": one.at}


def trade(one: Trade, owner: Order) -> Row:
    direction = "Open Long" if one.sign > 0 else "Open Short"
    return {
        "coin": one.symbol,
        "px": text(one.price),
        "sz": text(one.amount),
        "side": "B" if one.sign > 0 else "A",
        "time": one.at,
        "startPosition": "0.0",
        "dir": direction if owner.forced is None else DIRECTIONS[owner.forced],
        "closedPnl": text(one.profit),
        "hash": "0x00",
        "oid": one.order_id,
        "crossed": True,
        "fee": text(one.fee),
        "tid": one.id,
        "feeToken": one.fee_asset,
        "twapId": None,
        **({"cloid": owner.client_id} if owner.client_id else {}),
    }


def truth(core: ExchangeCore, requests: int) -> Row:
    """What really stands, for a test in another process."""
    return {
        "requests": requests,
        "wallet": {asset: str(amount) for asset, amount in core.wallet.items()},
        "positions": {symbol: {"amount": str(held.amount), "entry": str(held.entry)} for symbol, held in core.holdings.items()},
        "orders": [with_status(one) for one in core.orders.values()],
    }
