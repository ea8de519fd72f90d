"""Deribit's messages: the core's truth as that exchange words it, profits settled from time to time."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import ZERO, ExchangeCore, Instrument, Order, Reason, Status, Trade

FAR_AWAY = 32_503_708_800_000
TOO_LATE = 13888
REPEATED = "repeated"
CODES: dict[Any, tuple[int, str, str]] = {
    Reason.UNKNOWN_SYMBOL: (13020, "not_found", ""),
    Reason.CLOSED: (10012, "book_closed", ""),
    Reason.PRECISION: (10021, "invalid_amount", ""),
    Reason.LOT: (-32602, "Invalid params", "must be a multiple of contract size"),
    Reason.NOT_POSITIVE: (-32602, "Invalid params", "must be above zero"),
    Reason.MIN_AMOUNT: (10002, "qty_too_low", ""),
    Reason.NOTIONAL: (10032, "whole_cost_too_low", ""),
    Reason.TICK: (10043, "price_wrong_tick", ""),
    Reason.PRICE_TOO_HIGH: (10007, "price_too_high", ""),
    Reason.PRICE_TOO_LOW: (10005, "price_too_low", ""),
    Reason.REDUCE_ONLY: (11030, "other_reject", "invalid_reduce_only_order"),
    Reason.MARGIN: (10009, "not_enough_funds", ""),
    Reason.NO_SUCH_ORDER: (10004, "order_not_found", ""),
    TOO_LATE: (TOO_LATE, "timed_out", ""),
    13004: (13004, "invalid_credentials", ""),
    REPEATED: (13004, "invalid_credentials", "nonce"),
    13009: (13009, "unauthorized", "invalid_signature"),
    13021: (13021, "forbidden", ""),
}
STATES = {
    Status.NEW: "open",
    Status.PARTIAL: "open",
    Status.FILLED: "filled",
    Status.EXPIRED: "cancelled",
    Status.CANCELED: "cancelled",
}
UNIT = Decimal("1e-10")


@dataclass(slots=True)
class Session:
    """What was made since the last settlement, by asset, and what positions were entered at before it."""

    realised: dict[str, Decimal] = field(default_factory=dict)
    averages: dict[str, Decimal] = field(default_factory=dict)

    def settle(self, core: ExchangeCore) -> None:
        """Floating profit goes into the balance, and counts anew from the mark."""
        for symbol, held in core.holdings.items():
            settle = core.instruments[symbol].settle
            core.wallet[settle] = core.wallet.get(settle, ZERO) + core.unrealised(symbol)
            self.averages[symbol] = held.entry
            held.entry = core.mark(symbol)
        self.realised.clear()


def whole(result: Any, now: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "result": result, "usIn": now * 1000, "usOut": now * 1000 + 5, "usDiff": 5, "testnet": True}


def error(about: Any, now: int) -> dict[str, Any]:
    code, message, reason = CODES.get(about, (-32602, "Invalid params", "it is none"))
    told: dict[str, Any] = {"code": code, "message": message}
    if reason:
        told["data"] = {"invalid" if about == REPEATED else "reason": reason}
    return {"jsonrpc": "2.0", "error": told, "usIn": now * 1000, "usOut": now * 1000 + 5, "usDiff": 5, "testnet": True}


def instrument(one: Instrument) -> dict[str, Any]:
    return {
        "kind": "future",
        "instrument_name": one.symbol,
        "price_index": f"{one.base}_{one.quote}".lower(),
        "base_currency": one.base,
        "counter_currency": one.quote,
        "quote_currency": one.quote,
        "settlement_currency": one.settle,
        "settlement_period": "perpetual" if one.delivery is None else "month",
        "future_type": "reversed" if one.inverse else "linear",
        "instrument_type": "reversed" if one.inverse else "linear",
        "expiration_timestamp": one.delivery or FAR_AWAY,
        "creation_timestamp": 1_534_167_754_000,
        "is_active": one.open,
        "tick_size": float(one.tick),
        "tick_size_steps": [],
        "contract_size": float(one.step),
        "min_trade_amount": float(one.min_amount),
        "max_leverage": one.max_leverage,
        "maker_commission": 0.0,
        "taker_commission": 0.0005,
    }


def book(core: ExchangeCore, symbol: str, now: int, depth: int) -> dict[str, Any]:
    rules, ladder = core.instrument(symbol), core.ladders[symbol]
    sides = {
        name: [[float(price), float(amount)] for _, price, amount in ladder.displayed(sign, rules, core.now())[:depth]]
        for name, sign in (("asks", 1), ("bids", -1))
    }
    return {"timestamp": now, "instrument_name": symbol, "state": "open", "change_id": now, **sides}


def ticker(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    core.instrument(symbol)
    mid = core.ladders[symbol].mid
    return {
        "timestamp": now,
        "instrument_name": symbol,
        "state": "open",
        "mark_price": float(core.mark(symbol)),
        "index_price": float(core.index(symbol)),
        "last_price": float(core.last(symbol)[0]),
        "stats": {
            "high": float(mid * Decimal("1.02")),
            "low": float(mid * Decimal("0.98")),
            "volume": 5_000.0,
            "volume_usd": 250_000_000.0,
            "price_change": 0.5,
        },
    }


def summary(core: ExchangeCore, session: Session, asset: str, fees: list[dict[str, Any]]) -> dict[str, Any]:
    """One currency. usd of the core: all of them together are the collateral."""
    wallet, equity = core.wallet.get(asset, ZERO), core.equity(asset)
    realised = session.realised.get(asset, ZERO)
    told: dict[str, Any] = {
        "currency": asset,
        "balance": float(wallet - realised),
        "equity": float(equity),
        "margin_balance": float(equity),
        "available_funds": float(core.available(asset)),
        "session_upl": float(equity - wallet),
        "session_rpl": float(realised),
        "futures_session_upl": float(equity - wallet),
        "futures_session_rpl": float(realised),
        "options_session_upl": 0.0,
        "options_session_rpl": 0.0,
        "options_value": 0.0,
        "cross_collateral_enabled": core.usd is not None,
        "margin_model": "segregated_sm" if core.usd is None else "cross_sm",
        "fees": fees,
    }
    if core.usd is not None:
        prices = core.usd
        bound = sum((core.margin(one) * prices[core.instruments[one].settle] for one in core.holdings if core.held(one)), ZERO)
        total = core.equity_usd(prices)
        told |= {"total_margin_balance_usd": float(total), "total_initial_margin_usd": float(bound)}
    return told


def position(core: ExchangeCore, session: Session, symbol: str) -> dict[str, Any]:
    held, rules, mark = core.holdings[symbol], core.instruments[symbol], core.mark(symbol)
    coins = rules.value(held.amount, mark) if rules.inverse else held.amount
    return {
        "kind": "future",
        "instrument_name": symbol,
        "direction": "buy" if held.amount > 0 else "sell" if held.amount < 0 else "zero",
        "size": float(held.amount),
        "size_currency": float(coins),
        "average_price": float(session.averages.get(symbol, held.entry)),
        "mark_price": float(mark),
        "index_price": float(core.index(symbol)),
        "floating_profit_loss": float(core.unrealised(symbol)),
        "realized_profit_loss": 0.0,
        "total_profit_loss": float(core.unrealised(symbol)),
        "estimated_liquidation_price": float(core.liquidations[symbol]) if symbol in core.liquidations else None,
        "leverage": rules.leverage,
    }


def order(one: Order) -> dict[str, Any]:
    return {
        "order_id": order_id(one.id),
        "label": one.client_id,
        "instrument_name": one.symbol,
        "direction": "buy" if one.sign > 0 else "sell",
        "amount": float(one.amount),
        "filled_amount": float(one.filled),
        "average_price": float(one.average),
        "price": float(one.price),
        "order_state": STATES[one.status],
        "order_type": "limit",
        "time_in_force": "immediate_or_cancel" if one.time_in_force == "IOC" else "good_til_cancelled",
        "reduce_only": one.reduce_only,
        "post_only": False,
        "is_liquidation": one.forced is not None,
        "creation_timestamp": one.at,
        "last_update_timestamp": one.at,
        "api": True,
    }


def trade(core: ExchangeCore, one: Trade) -> dict[str, Any]:
    return {
        "trade_id": trade_id(one.id),
        "trade_seq": one.id,
        "order_id": order_id(one.order_id),
        "label": core.orders[one.order_id].client_id,
        "instrument_name": one.symbol,
        "direction": "buy" if one.sign > 0 else "sell",
        "amount": float(one.amount),
        "price": float(one.price),
        "fee": float(one.fee),
        "fee_currency": one.fee_asset,
        "liquidity": "T",
        "state": "filled",
        "timestamp": one.at,
    }


def order_id(number: int) -> str:
    return f"XYZ-{number}"


def trade_id(number: int) -> str:
    return f"XYZ-{number}"


def number_of(name: str) -> int:
    return int(name.removeprefix("XYZ-"))
