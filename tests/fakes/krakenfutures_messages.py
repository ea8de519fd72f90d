"""Kraken Futures' messages: the core's truth as that exchange words it, in trading and in its history."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import ZERO, ExchangeCore, Forced, Instrument, Order, Reason, Status, Trade

STATUSES = {
    Reason.CLOSED: "marketInactive",
    Reason.PRECISION: "invalidSize",
    Reason.LOT: "invalidSize",
    Reason.NOT_POSITIVE: "invalidSize",
    Reason.MIN_AMOUNT: "invalidSize",
    Reason.TICK: "invalidPrice",
    Reason.PRICE_TOO_HIGH: "outsidePriceCollar",
    Reason.PRICE_TOO_LOW: "outsidePriceCollar",
    Reason.DUPLICATE: "clientOrderIdAlreadyExist",
    Reason.REDUCE_ONLY: "wouldNotReducePosition",
    Reason.MARGIN: "insufficientAvailableFunds",
}
ENDED = {Status.FILLED: "FULLY_EXECUTED", Status.EXPIRED: "CANCELLED", Status.CANCELED: "CANCELLED"}
FORCED = {Forced.LIQUIDATION: "Liquidation", Forced.DELEVERAGING: "Assignment"}
CODES = {"BTC": "XBT"}
UNIT = Decimal("1e-10")


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def success(now: int, **parts: Any) -> dict[str, Any]:
    return {"result": "success", "serverTime": iso(now), **parts}


def error(code: str, now: int) -> dict[str, Any]:
    return {"result": "error", "error": code, "serverTime": iso(now)}


def order_uid(number: int) -> str:
    return f"{number:08x}-0d1e-4f2a-8b3c-4d5e6f708192"


def trade_uid(number: int) -> str:
    return f"{number:08x}-7a6b-4c5d-9e8f-0a1b2c3d4e5f"


def number_of(uid: str) -> int:
    return int(uid.split("-", maxsplit=1)[0], 16)


def instruments(core: ExchangeCore, now: int) -> dict[str, Any]:
    return success(now, instruments=[_instrument(one) for one in core.instruments.values()])


def _instrument(one: Instrument) -> dict[str, Any]:
    step = "contracts" if one.inverse else "numNonContractUnits"
    levels = [(0, 0.02, 0.01), (500_000, 0.04, 0.02)]
    told: dict[str, Any] = {
        "symbol": one.symbol,
        "type": "futures_inverse" if one.inverse else "flexible_futures",
        "tickSize": float(one.tick),
        "contractSize": float(one.contract_size),
        "tradeable": one.open,
        "maxPositionSize": float(one.max_amount),
        "openingDate": "2022-03-22T15:00:00.000Z",
        "marginLevels": [{step: start, "initialMargin": first, "maintenanceMargin": kept} for start, first, kept in levels],
        "contractValueTradePrecision": one.amount_digits,
        "postOnly": False,
        "base": one.base,
        "quote": "USD",
        "pair": f"{one.base}:USD",
        "tags": [],
    }
    return told if one.delivery is None else told | {"lastTradingTime": iso(one.delivery)}


def book(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    rules, ladder = core.instrument(symbol), core.ladders[symbol]
    sides = {
        name: [[float(price), float(amount)] for _, price, amount in ladder.displayed(sign, rules, core.now())]
        for name, sign in (("asks", 1), ("bids", -1))
    }
    return success(now, orderBook=sides)


def ticker(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    contracts = 250_000_000.0 if core.instrument(symbol).inverse else 250_000.0
    last, at = core.last(symbol)
    mid = core.ladders[symbol].mid
    return success(
        now,
        ticker={
            "tag": "perpetual",
            "symbol": symbol,
            "markPrice": float(core.mark(symbol)),
            "indexPrice": float(core.index(symbol)),
            "last": float(last),
            "lastTime": iso(at),
            "vol24h": contracts,
            "volumeQuote": 1.0,
            "open24h": float(mid),
            "high24h": float(mid * Decimal("1.02")),
            "low24h": float(mid * Decimal("0.98")),
            "suspended": False,
            "postOnly": False,
        },
    )


def accounts(core: ExchangeCore, cash: dict[str, Decimal], now: int) -> dict[str, Any]:
    """Coins that an inverse market settles in have margin accounts, all else is in the flex wallet."""
    single = {one.settle: one for one in core.instruments.values() if one.inverse}
    flex = {asset: amount for asset, amount in core.wallet.items() if asset not in single}
    profit = core.equity("USD") - core.wallet.get("USD", ZERO)
    told: dict[str, Any] = {
        "cash": {"type": "cashAccount", "balances": {asset.lower(): str(amount) for asset, amount in cash.items()}},
        "flex": {
            "type": "multiCollateralMarginAccount",
            "currencies": {
                CODES.get(asset, asset): {"quantity": str(amount), "value": "0", "collateral": "0", "available": "0"}
                for asset, amount in flex.items()
            },
            "pnl": str(profit),
            "unrealizedFunding": "0.0",
            "totalUnrealized": str(profit),
            "totalUnrealizedAsMargin": str(profit),
            "availableMargin": str(core.available("USD")),
            "marginEquity": str(core.equity("USD")),
            "portfolioValue": str(core.equity("USD")),
        },
    }
    for asset, rules in single.items():
        code = CODES.get(asset, asset).lower()
        worth = core.equity(asset)
        told[rules.symbol.lower().replace("pi_", "fi_")] = {
            "type": "marginAccount",
            "currency": code,
            "balances": {code: str(core.wallet.get(asset, ZERO)), rules.symbol.lower(): str(core.held(rules.symbol))},
            "auxiliary": {
                "usd": "0",
                "pv": str(worth),
                "pnl": str(worth - core.wallet.get(asset, ZERO)),
                "af": str(core.available(asset)),
                "funding": "0.0",
            },
        }
    return success(now, accounts=told)


def positions(core: ExchangeCore, now: int) -> dict[str, Any]:
    rows = [
        {
            "symbol": symbol,
            "side": "long" if held.amount > 0 else "short",
            "size": float(abs(held.amount)),
            "price": float(held.entry),
            "fillTime": iso(now),
            "unrealizedFunding": None,
        }
        for symbol, held in core.holdings.items()
        if held.amount
    ]
    return success(now, openPositions=rows)


def event_order(one: Order, filled: Decimal) -> dict[str, Any]:
    """An order inside of an event of trading."""
    return {
        "orderId": order_uid(one.id),
        "cliOrdId": one.client_id or None,
        "type": "ioc" if one.time_in_force == "IOC" else "lmt",
        "symbol": one.symbol,
        "side": "buy" if one.sign > 0 else "sell",
        "quantity": float(one.amount),
        "filled": float(filled),
        "limitPrice": float(one.price),
        "reduceOnly": one.reduce_only,
        "timestamp": iso(one.at),
        "lastUpdateTimestamp": iso(one.at),
    }


def sent(one: Order, trades: list[Trade], now: int) -> dict[str, Any]:
    """The answer to an order that was taken, or that found nobody to trade with at once."""
    if one.time_in_force == "IOC" and not trades:
        event = {"type": "REJECT", "uid": order_uid(one.id), "reason": "IOC_WOULD_NOT_EXECUTE", "order": event_order(one, ZERO)}
        return success(now, sendStatus={"status": "iocWouldNotExecute", "order_id": order_uid(one.id), "orderEvents": [event]})
    events: list[dict[str, Any]] = []
    filled = ZERO
    for trade in trades:
        events.append(
            {
                "type": "EXECUTION",
                "executionId": trade_uid(trade.id),
                "price": float(trade.price),
                "amount": float(trade.amount),
                "orderPriorEdit": None,
                "orderPriorExecution": event_order(one, filled),
                "takerReducedQuantity": None,
            }
        )
        filled += trade.amount
    if not events:
        events.append({"type": "PLACE", "order": event_order(one, ZERO), "reducedQuantity": None})
    status = {"status": "placed", "order_id": order_uid(one.id), "receivedTime": iso(one.at), "orderEvents": events}
    return success(now, sendStatus=status)


def turned_down(status: str, now: int) -> dict[str, Any]:
    return success(now, sendStatus={"status": status, "orderEvents": []})


def current(one: Order) -> dict[str, Any]:
    """An order as trading knows it while it rests, and for a while after."""
    status = "ENTERED_BOOK" if one.status.rests else ENDED[one.status]
    if one.time_in_force == "IOC" and not one.filled:
        status = "REJECTED"
    order = {"type": "ORDER", **event_order(one, one.filled)}
    del order["timestamp"], order["lastUpdateTimestamp"]
    times = {"timestamp": iso(one.at), "lastUpdateTimestamp": iso(one.at)}
    error = "IOC_WOULD_NOT_EXECUTE" if status == "REJECTED" else None
    return {"order": order | times, "status": status, "updateReason": None, "error": error}


def open_order(one: Order) -> dict[str, Any]:
    told = {
        "order_id": order_uid(one.id),
        "symbol": one.symbol,
        "side": "buy" if one.sign > 0 else "sell",
        "orderType": "lmt",
        "limitPrice": float(one.price),
        "unfilledSize": float(one.amount - one.filled),
        "filledSize": float(one.filled),
        "receivedTime": iso(one.at),
        "lastUpdateTime": iso(one.at),
        "status": "partiallyFilled" if one.filled else "untouched",
        "reduceOnly": one.reduce_only,
    }
    return told | ({"cliOrdId": one.client_id} if one.client_id else {})


def fill(core: ExchangeCore, trade: Trade) -> dict[str, Any]:
    """One execution as trading tells it: without its fee."""
    one = core.orders[trade.order_id]
    told = {
        "fill_id": trade_uid(trade.id),
        "order_id": order_uid(trade.order_id),
        "symbol": trade.symbol,
        "side": "buy" if trade.sign > 0 else "sell",
        "size": float(trade.amount),
        "price": float(trade.price),
        "fillTime": iso(trade.at),
        "fillType": "taker",
    }
    return told | ({"cliOrdId": one.client_id} if one.client_id else {})


def past_order(one: Order, filled: Decimal) -> dict[str, Any]:
    """An order as the history tells it; its quantity is what is left."""
    return {
        "uid": order_uid(one.id),
        "accountUid": "6c1f0a52-0b1d-4c55-9d0e-3f2f8f3a7f10",
        "tradeable": one.symbol,
        "direction": "Buy" if one.sign > 0 else "Sell",
        "quantity": str(one.amount - filled),
        "filled": str(filled),
        "timestamp": one.at,
        "limitPrice": str(one.price),
        "orderType": FORCED[one.forced] if one.forced else "IoC" if one.time_in_force == "IOC" else "Limit",
        "clientId": one.client_id,
        "reduceOnly": one.reduce_only,
        "lastUpdateTimestamp": one.at,
    }


def past_events(one: Order) -> list[tuple[int, dict[str, Any]]]:
    """What happened to an order, oldest first. A liquidation is told by its executions alone."""
    if one.forced:
        return []
    at_once = one.time_in_force == "IOC"
    if at_once and not one.filled:
        rejected = {"order": past_order(one, ZERO), "orderError": "IOC_WOULD_NOT_EXECUTE", "reason": "ioc_would_not_execute"}
        return [(one.at, {"OrderRejected": rejected})]
    placed = {"order": past_order(one, one.filled if at_once else ZERO), "reason": "new_user_order", "reducedQuantity": ""}
    found: list[tuple[int, dict[str, Any]]] = [(one.at, {"OrderPlaced": placed})]
    if one.filled and not at_once:
        whole = one.status is Status.FILLED
        updated = {"oldOrder": past_order(one, ZERO), "newOrder": past_order(one, one.filled), "reducedQuantity": ""}
        found.append((one.at, {"OrderUpdated": updated | {"reason": "full_fill" if whole else "partial_fill"}}))
    if one.status in (Status.CANCELED, Status.EXPIRED):
        found.append((one.at, {"OrderCancelled": {"order": past_order(one, one.filled), "reason": "cancelled_by_user"}}))
    return found


def past_execution(core: ExchangeCore, trade: Trade) -> dict[str, Any]:
    one = core.orders[trade.order_id]
    before = sum((other.amount for other in core.trades if other.order_id == one.id and other.id < trade.id), ZERO)
    told = {
        "uid": trade_uid(trade.id),
        "order": past_order(one, before),
        "timestamp": trade.at,
        "quantity": str(trade.amount),
        "price": str(trade.price.quantize(UNIT)),
        "markPrice": str(core.mark(trade.symbol)),
        "limitFilled": False,
        "executionType": "taker",
        "usdValue": "0",
        "orderData": {"positionSize": "0", "fee": str(trade.fee)},
    }
    return {"execution": {"execution": told, "takerReducedQuantity": ""}}
