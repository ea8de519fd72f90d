"""Binance COIN-M's messages: what it words in another way than USD-M."""

from typing import Any

from tests.fakes import binance_messages as usdm
from tests.fakes.exchange_core import ExchangeCore, MarginMode, Order, Trade

Row = dict[str, Any]


def _pair(core: ExchangeCore, symbol: str) -> str:
    rules = core.instrument(symbol)
    return rules.base + rules.quote


def exchange_info(core: ExchangeCore, now: int) -> Row:
    told = usdm.exchange_info(core, now)
    for row in told["symbols"]:
        row["contractStatus"] = row.pop("status")
        row["contractSize"] = int(core.instruments[row["symbol"]].contract_size)
        row["filters"] = [one for one in row["filters"] if one["filterType"] != "MIN_NOTIONAL"]
    return told


def depth(core: ExchangeCore, symbol: str, now: int, limit: int) -> Row:
    return usdm.depth(core, symbol, now, limit) | {"symbol": symbol, "pair": _pair(core, symbol)}


def premium(core: ExchangeCore, symbol: str, now: int) -> list[Row]:
    return [usdm.premium(core, symbol, now) | {"pair": _pair(core, symbol)}]


def ticker(core: ExchangeCore, symbol: str, now: int) -> list[Row]:
    """A day whose volume is in contracts, and in coins beside it."""
    told = usdm.ticker(core, symbol, now)
    del told["quoteVolume"]
    return [told | {"pair": _pair(core, symbol), "volume": "120000000", "baseVolume": "240000.12345678"}]


def last(core: ExchangeCore, symbol: str) -> list[Row]:
    return [usdm.last(core, symbol) | {"ps": _pair(core, symbol)}]


def account(core: ExchangeCore, now: int) -> Row:
    assets = [usdm.asset_row(core, asset, now) for asset in ("BNB", *core.wallet)]
    return {"assets": assets, "positions": [], "canDeposit": True, "canTrade": True, "canWithdraw": True, "feeTier": 0}


def positions(core: ExchangeCore) -> list[Row]:
    """Every market, those without a position too."""
    return [
        {
            "symbol": symbol,
            "positionAmt": str(core.held(symbol)),
            "entryPrice": f"{core.holdings[symbol].entry if core.held(symbol) else 0:.8f}",
            "markPrice": f"{core.mark(symbol):.8f}" if symbol in core.ladders else "0.00000000",
            "unRealizedProfit": f"{core.unrealised(symbol) if core.held(symbol) else 0:.8f}",
            "liquidationPrice": str(core.liquidations.get(symbol, 0)),
            "leverage": str(rules.leverage),
            "maxQty": "50",
            "marginType": {MarginMode.CROSS: "cross", MarginMode.ISOLATED: "isolated"}[core.margin_mode(symbol)],
            "isolatedMargin": "0.00000000",
            "isAutoAddMargin": "false",
            "positionSide": "BOTH",
            "notionalValue": "0",
            "isolatedWallet": "0",
            "updateTime": core.now(),
        }
        for symbol, rules in core.instruments.items()
    ]


def brackets(core: ExchangeCore, symbol: str) -> list[Row]:
    """The leverage table of one market, in coins."""
    core.instrument(symbol)
    tiers = [
        {"bracket": 1, "initialLeverage": 125, "qtyCap": 5, "qtylFloor": 0, "maintMarginRatio": 0.004},
        {"bracket": 2, "initialLeverage": 20, "qtyCap": 250, "qtylFloor": 5, "maintMarginRatio": 0.025},
    ]
    return [{"symbol": symbol, "brackets": tiers}]


def order(core: ExchangeCore, one: Order) -> Row:
    told = usdm.order(one)
    return told | {"pair": _pair(core, one.symbol), "cumBase": told.pop("cumQuote")}


def placed(core: ExchangeCore, one: Order) -> Row:
    """The answer to an order, which tells of no time but its last change."""
    return {name: value for name, value in order(core, one).items() if name != "time"}


def trade(core: ExchangeCore, one: Trade) -> Row:
    told = usdm.trade(one)
    del told["quoteQty"]
    value = core.instruments[one.symbol].value(one.amount, one.price)
    return told | {"pair": _pair(core, one.symbol), "baseQty": f"{value:.8f}"}
