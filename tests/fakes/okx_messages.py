"""OKX's messages: the core's truth as that exchange words it."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.fakes.exchange_core import ZERO, ExchangeCore, Forced, Instrument, MarginMode, Order, Reason, Status, Trade

if TYPE_CHECKING:
    from tests.fakes.okx import OkxServer

REASONS: dict[Reason, tuple[str, str]] = {
    Reason.UNKNOWN_SYMBOL: ("51001", "Instrument ID or Spread ID doesn't exist."),
    Reason.CLOSED: ("51022", "Contract suspended."),
    Reason.PRECISION: ("51150", "The precision of the number of trades or the price exceeds the limit."),
    Reason.TICK: ("51000", "Parameter px error "),
    Reason.LOT: ("51121", "Order quantity must be a multiple of the lot size."),
    Reason.NOT_POSITIVE: ("51000", "Parameter sz error "),
    Reason.MIN_AMOUNT: ("51020", "Your order should meet or exceed the minimum order amount."),
    Reason.NOTIONAL: ("51020", "Your order should meet or exceed the minimum order amount."),
    Reason.PRICE_TOO_HIGH: ("51137", "The highest price limit for buy orders is reached."),
    Reason.PRICE_TOO_LOW: ("51138", "The lowest price limit for sell orders is reached."),
    Reason.DUPLICATE: ("51016", "Client order ID already exists."),
    Reason.REDUCE_ONLY: (
        "51169",
        "Order failed because you don't have any positions in this direction for this contract to reduce or close.",
    ),
    Reason.MARGIN: ("51008", "Order failed. Insufficient margin or balance in account."),
    Reason.POSITION_SIDE: ("51000", "Parameter posSide error "),
    Reason.NO_SUCH_ORDER: ("51603", "Order does not exist"),
    Reason.NOTHING_RESTS: ("51400", "Order cancellation failed as the order has been filled, canceled or does not exist."),
    Reason.LEVERAGE: ("59102", "Leverage exceeds the maximum limit. Please lower the leverage."),
    Reason.NOT_FLAT: ("59000", "Settings failed. Close any open positions or orders before modifying settings."),
}
TEXTS: dict[str, tuple[int, str]] = {
    "50004": (400, "API endpoint request timeout."),
    "50011": (429, "Too Many Requests"),
    "50013": (429, "Systems are busy. Please try again later."),
    "50014": (400, "Parameter instType can not be empty."),
    "50026": (500, "System error. Try again later."),
    "50036": (200, "The expTime can't be earlier than the current system time. Please adjust the expTime and try again."),
    "50101": (401, "APIKey does not match current environment."),
    "50102": (401, "Timestamp request expired."),
    "50103": (401, 'Request header "OK-ACCESS-KEY" cannot be empty.'),
    "50105": (401, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.'),
    "50110": (401, "Your IP 203.0.113.7 is not included in your API key's IP whitelist."),
    "50112": (401, "Invalid OK-ACCESS-TIMESTAMP."),
    "50113": (401, "Invalid Sign"),
    "50119": (200, "API key doesn't exist"),
    "50120": (200, "This API key doesn't have permission to use this function"),
    "51010": (200, "The current account mode does not support this API interface. "),
    "51000 clOrdId": (400, "Parameter clOrdId error "),
    "51000 tdMode": (400, "Parameter tdMode error "),
    "51000": (400, "Parameter error "),
}
OUTAGES = {code: (status, {"code": code, "data": [], "msg": text}) for code, (status, text) in TEXTS.items()}
OUTAGES["429"] = OUTAGES["50011"]
PLACES = ("trade/order", "trade/cancel-order")
STATUSES = {
    Status.NEW: "live",
    Status.PARTIAL: "partially_filled",
    Status.FILLED: "filled",
    Status.EXPIRED: "canceled",
    Status.CANCELED: "canceled",
}
FORCED = {Forced.LIQUIDATION: "full_liquidation", Forced.DELEVERAGING: "adl"}
GATEWAY = ("501", "500")


def bills(core: ExchangeCore) -> list[dict[str, Any]]:
    """The bills of the account, each with what the balance went by; a fee that is charged is below 0."""

    def row(kind: str, asset: str, at: int, *, change: Decimal, symbol: str = "", fee: Decimal = ZERO) -> dict[str, Any]:
        return {
            "type": kind,
            "ccy": asset,
            "balChg": str(change),
            "fee": str(fee),
            "instId": symbol,
            "instType": "SWAP" if symbol else "",
            "ts": str(at),
        }

    found = [row("1", one.asset, one.at, change=one.amount) for one in core.payments]
    found += [row("8", one.asset, one.at, change=one.amount, symbol=one.symbol) for one in core.fundings]
    for one in core.trades:
        settle = core.instruments[one.symbol].settle
        found.append(row("2", settle, one.at, change=one.profit - one.fee, symbol=one.symbol, fee=-one.fee))
    return [bill | {"billId": str(700_000 + number)} for number, bill in enumerate(sorted(found, key=lambda one: int(one["ts"])))]


def funding(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    core.instrument(symbol)
    hours = core.funding_hours.get(symbol, 8) * 3_600_000
    row = {"instId": symbol, "instType": "SWAP", "fundingRate": "0.0001", "fundingTime": str(now + 60_000)}
    return said({**row, "nextFundingTime": str(now + 60_000 + hours), "ts": str(now)})


def said(*rows: dict[str, Any]) -> dict[str, Any]:
    """An answer that says yes."""
    return {"code": "0", "data": list(rows), "msg": ""}


def refused(about: str | Reason, method: str, path: str, client_id: str) -> tuple[int, dict[str, Any]]:
    """What OKX turns a request down with: beside the order where it has got as far as that, else alone."""
    status, (code, text) = 200, REASONS[about] if isinstance(about, Reason) else ("", "")
    if not isinstance(about, Reason):
        status, text = TEXTS[about]
        code = about.partition(" ")[0]
    if method == "POST" and path.endswith(PLACES) and not code.startswith(GATEWAY):
        row = {"clOrdId": client_id, "ordId": "", "sCode": code, "sMsg": text, "tag": "", "ts": "1700000000000"}
        return 200, {"code": "1", "data": [row], "msg": "All operations failed"}
    return status, {"code": code, "data": [], "msg": text}


def kind(symbol: str) -> str:
    return "SWAP" if symbol.endswith("-SWAP") else "SPOT"


def family(one: Instrument) -> str:
    return f"{one.base}-{one.quote}"


def instrument(one: Instrument) -> dict[str, Any]:
    swap = kind(one.symbol) == "SWAP"
    return {
        "instId": one.symbol,
        "instType": kind(one.symbol),
        "baseCcy": "" if swap else one.base,
        "quoteCcy": "" if swap else one.quote,
        "settleCcy": one.settle if swap else "",
        "uly": family(one) if swap else "",
        "instFamily": family(one) if swap else "",
        "ctType": ("inverse" if one.inverse else "linear") if swap else "",
        "ctVal": str(one.contract_size) if swap else "",
        "ctMult": "1" if swap else "",
        "ctValCcy": (one.quote if one.inverse else one.base) if swap else "",
        "expTime": "",
        "lever": str(one.max_leverage) if swap else "",
        "listTime": "1573557408000",
        "lotSz": str(one.step),
        "minSz": str(one.min_amount),
        "tickSz": str(one.tick),
        "maxLmtSz": "100000000",
        "maxMktSz": "12000",
        "optType": "",
        "stk": "",
        "alias": "",
        "state": "live" if one.open else "suspend",
        "ruleType": "normal",
    }


def book(core: ExchangeCore, symbol: str, now: int, limit: int) -> dict[str, Any]:
    rules, ladder = core.instrument(symbol), core.ladders[symbol]
    sides = {
        name: [[str(price), str(amount), "0", "1"] for _, price, amount in ladder.displayed(sign, rules, core.now())[:limit]]
        for name, sign in (("asks", 1), ("bids", -1))
    }
    return said({**sides, "ts": str(now)})


def ticker(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    rules, mid = core.instrument(symbol), core.ladders[symbol].mid
    swap = kind(symbol) == "SWAP"
    base = Decimal(250_000)
    contracts = (base * mid if rules.inverse else base) / rules.contract_size if swap else base
    return said(
        {
            "instType": kind(symbol),
            "instId": symbol,
            "last": str(mid),
            "high24h": str(mid * Decimal("1.02")),
            "low24h": str(mid * Decimal("0.98")),
            "vol24h": str(contracts),
            "volCcy24h": str(base if swap else base * mid),
            "ts": str(now),
        }
    )


def last(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    core.instrument(symbol)
    price, at = core.last(symbol)
    return said({"instId": symbol, "tradeId": "1", "px": str(price), "sz": "1", "side": "buy", "ts": str(at)})


def mark(core: ExchangeCore, symbol: str, now: int) -> dict[str, Any]:
    core.instrument(symbol)
    return said({"instType": kind(symbol), "instId": symbol, "markPx": str(core.mark(symbol)), "ts": str(now)})


def index(core: ExchangeCore, underlying: str, now: int) -> dict[str, Any]:
    symbol = f"{underlying}-SWAP"
    core.instrument(symbol)
    return said({"instId": underlying, "idxPx": str(core.index(symbol)), "ts": str(now)})


def tiers(core: ExchangeCore, underlying: str) -> dict[str, Any]:
    core.instrument(f"{underlying}-SWAP")
    steps = (("1", "0", "500", "0.004", "0.008", "125"), ("2", "501", "2000", "0.005", "0.01", "100"))
    names = ("tier", "minSz", "maxSz", "mmr", "imr", "maxLever")
    return said(*({**dict(zip(names, step, strict=True)), "instFamily": underlying, "instId": ""} for step in steps))


def config(exchange: "OkxServer") -> dict[str, Any]:
    return said(
        {
            "acctLv": exchange.level,
            "posMode": "long_short_mode" if exchange.core.hedged else "net_mode",
            "autoLoan": False,
            "enableSpotBorrow": exchange.borrows,
            "ctIsoMode": "automatic",
            "perm": exchange.permissions,
            "ip": exchange.addresses,
            "label": "loopback",
            "uid": "44705892343619584",
            "mainUid": "44705892343619584",
            "type": "0",
            "roleType": "0",
        }
    )


def balance(exchange: "OkxServer") -> dict[str, Any]:
    """Cash is without the margin of isolated positions, and fields that don't go with the account's mode are blank."""
    core, bots, spot = exchange.core, exchange.bots, exchange.level == "1"
    assets = sorted({*core.wallet, *(core.instruments[symbol].settle for symbol in core.holdings)})
    details = [_detail(core, asset, bots.get(asset, ZERO), spot=spot) for asset in assets]
    pooled = str(core.available("USDT")) if exchange.level in ("3", "4") else ""
    return said({"totalEq": "0", "availEq": pooled, "adjEq": "", "isoEq": "", "imr": "", "mmr": "", "details": details})


def _detail(core: ExchangeCore, asset: str, bots: Decimal, *, spot: bool) -> dict[str, Any]:
    held = [one for one, holding in core.holdings.items() if holding.amount and core.instruments[one].settle == asset]
    isolated = [one for one in held if one in core.isolated]
    aside = sum((core.margin(one) for one in isolated), ZERO)
    profit, apart = (sum((core.unrealised(one) for one in some), ZERO) for some in (held, isolated))
    wallet, usd = core.wallet.get(asset, ZERO), _usd(core, asset)
    equity = wallet + profit + bots
    left = wallet + profit - apart - sum((core.margin(one) for one in held), ZERO)
    return {
        "ccy": asset,
        "eq": str(equity),
        "cashBal": str(wallet - aside),
        "eqUsd": str(equity * usd),
        "availBal": str(wallet - aside),
        "availEq": "" if spot else str(left),
        "isoEq": "" if spot else str(aside + apart),
        "isoUpl": "" if spot else str(apart),
        "upl": "" if spot else str(profit),
        "stgyEq": str(bots),
        "frozenBal": str(aside),
        "liab": "",
        "interest": "",
        "uTime": "1700000000000",
    }


def _usd(core: ExchangeCore, asset: str) -> Decimal:
    symbols = (f"{asset}-USDT-SWAP", f"{asset}-USD-SWAP", f"{asset}-USDT")
    return next((core.mark(symbol) for symbol in symbols if symbol in core.ladders), Decimal(1))


def positions(core: ExchangeCore) -> dict[str, Any]:
    return said(*(_position(core, symbol) for symbol, held in core.holdings.items() if held.amount))


def _position(core: ExchangeCore, symbol: str) -> dict[str, Any]:
    held, isolated = core.holdings[symbol], core.margin_mode(symbol) is MarginMode.ISOLATED
    liquidation = core.liquidations.get(symbol)
    return {
        "instType": "SWAP",
        "instId": symbol,
        "posId": "339552508062380036",
        "posSide": ("long" if held.amount > 0 else "short") if core.hedged else "net",
        "pos": str(abs(held.amount) if core.hedged else held.amount),
        "avgPx": str(held.entry),
        "markPx": str(core.mark(symbol)),
        "idxPx": str(core.index(symbol)),
        "liqPx": "" if liquidation is None else str(liquidation),
        "mgnMode": "isolated" if isolated else "cross",
        "margin": str(core.margin(symbol)) if isolated else "",
        "lever": str(core.instruments[symbol].leverage),
        "upl": str(core.unrealised(symbol)),
        "ccy": core.instruments[symbol].settle,
        "uTime": "1700000000000",
    }


def fees(core: ExchangeCore) -> dict[str, Any]:
    rate = str(-core.fee_rate)
    taker = dict.fromkeys(("taker", "takerU", "takerUSDC"), rate)
    maker = dict.fromkeys(("maker", "makerU", "makerUSDC"), "-0.0002")
    return said({"level": "Lv1", "category": "1", "delivery": "", "exercise": "", **taker, **maker})


def order(one: Order) -> dict[str, Any]:
    swap = kind(one.symbol) == "SWAP"
    return {
        "instType": kind(one.symbol),
        "instId": one.symbol,
        "ordId": str(one.id),
        "clOrdId": one.client_id,
        "tag": "",
        "px": str(one.price),
        "sz": str(one.amount),
        "ordType": "ioc" if one.time_in_force == "IOC" else "limit",
        "side": "buy" if one.sign > 0 else "sell",
        "posSide": "net" if swap else "",
        "tdMode": "cross" if swap else "cash",
        "tgtCcy": "",
        "accFillSz": str(one.filled),
        "avgPx": str(one.average) if one.filled else "",
        "state": STATUSES[one.status],
        "category": FORCED[one.forced] if one.forced else "normal",
        "reduceOnly": "true" if one.reduce_only else "false",
        "cancelSource": "",
        "fee": "0",
        "feeCcy": "",
        "cTime": str(one.at),
        "uTime": str(one.at),
    }


def trade(one: Trade, client_id: str) -> dict[str, Any]:
    return {
        "instType": kind(one.symbol),
        "instId": one.symbol,
        "tradeId": str(one.id),
        "billId": str(900_000 + one.id),
        "ordId": str(one.order_id),
        "clOrdId": client_id,
        "fillPx": str(one.price),
        "fillSz": str(one.amount),
        "side": "buy" if one.sign > 0 else "sell",
        "posSide": "net",
        "execType": "T",
        "fee": str(-one.fee),
        "feeCcy": one.fee_asset,
        "ts": str(one.at),
        "fillTime": str(one.at),
    }
