"""A loopback exchange that speaks Bitget's API v2 of USDT-M perpetuals, and checks every signature, passphrase and timestamp.

``async with BitgetExchange(core=bitget_core()) as exchange``. Demo trading is a header on the one host: a key of the other
kind is refused.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import unquote

from tests.fakes import bitget_messages as messages
from tests.fakes.exchange_core import ALL, ExchangeCore, Instrument, Ladder, MarginMode, Reason, Refusal
from tests.fakes.loopback_requests import Seen
from tests.fakes.loopback_server import LoopbackServer, Rejection, Routes, Skin, Told, under, wall_clock

HOST = "api.bitget.com"
WINDOW = 30_000
PAGE = 100
KEPT = 90 * 86_400_000
MARGINS = {"crossed": MarginMode.CROSS, "isolated": MarginMode.ISOLATED}
Answer = Callable[["BitgetExchange", Told], Any]


def _authenticate(exchange: "BitgetExchange", seen: Seen) -> None:
    if not seen.header("ACCESS-KEY"):
        raise Rejection("40001")
    if seen.header("ACCESS-KEY") != exchange.api_key:
        raise Rejection("40037")
    if seen.header("ACCESS-PASSPHRASE") != exchange.passphrase:
        raise Rejection("40012")
    stamp = seen.header("ACCESS-TIMESTAMP")
    query = f"?{unquote(seen.query)}" if seen.query else ""
    signed = f"{stamp}{seen.method}{seen.path}{query}{seen.body.decode()}"
    expected = base64.b64encode(hmac.new(exchange.secret.encode(), signed.encode(), hashlib.sha256).digest())
    if not hmac.compare_digest(expected, seen.header("ACCESS-SIGN").encode()):
        raise Rejection("40009")
    if not stamp.isdecimal():
        raise Rejection("40005")
    if abs(exchange.now() - int(stamp)) > WINDOW:
        raise Rejection("40008")
    if exchange.demo not in (None, seen.header("paptrading") == "1"):
        raise Rejection("40099")
    if exchange.unified:
        raise Rejection("40085")


def _of_product(answer: Answer) -> Answer:
    """``answer``, where the request names the product as it must."""

    def check(exchange: "BitgetExchange", told: Told) -> Any:
        if told["productType"].upper() != "USDT-FUTURES":
            raise Rejection("40020")
        return answer(exchange, told)

    return check


def _place(exchange: "BitgetExchange", told: Told) -> Any:
    core, symbol = exchange.core, told["symbol"]
    if told["orderType"] != "limit" or told["marginCoin"] != "USDT" or "tradeSide" in told:
        raise Rejection("40020")
    core.instrument(symbol)
    core.set_margin_mode(symbol, MARGINS[told["marginMode"]])
    if not core.hedged and told.get("reduceOnly", "NO") == "YES" and not core.held(symbol):
        raise Refusal(Reason.REDUCE_ONLY)
    order = core.place(
        client_id=told["clientOid"],
        symbol=symbol,
        sign={"buy": 1, "sell": -1}[told["side"]],
        amount=Decimal(told["size"]),
        price=Decimal(told["price"]),
        time_in_force=told["force"].upper(),
        reduce_only=told.get("reduceOnly", "NO") == "YES",
    )
    return {"clientOid": order.client_id, "orderId": str(order.id)}


def _named(told: Told) -> dict[str, Any]:
    """How a request names an order."""
    return {"order_id": int(told["orderId"]) if "orderId" in told else None, "client_id": told.get("clientOid")}


def _find(exchange: "BitgetExchange", told: Told) -> Any:
    return messages.order(exchange.core, exchange.core.find(told["symbol"], **_named(told)), alone=True)


def _cancel(exchange: "BitgetExchange", told: Told) -> Any:
    order = exchange.core.cancel(told["symbol"], **_named(told))
    return {"orderId": str(order.id), "clientOid": order.client_id}


def _page(name: str, rows: list[dict[str, Any]], key: str, told: Told) -> dict[str, Any]:
    """The newest rows before an id; a list without any is null."""
    before = int(told.get("idLessThan", 10**30))
    found = [row for row in reversed(rows) if int(row[key]) < before][: min(int(told.get("limit", PAGE)), PAGE)]
    return {name: found or None, "endId": found[-1][key] if found else None}


def _pending(exchange: "BitgetExchange", told: Told) -> Any:
    core = exchange.core
    wanted = {"status": told.get("status", "live")}
    rows = [messages.order(core, one) for one in core.open_orders(told.get("symbol", ALL))]
    return _page("entrustedList", [row for row in rows if wanted.items() <= row.items()], "orderId", told)


def _history(exchange: "BitgetExchange", told: Told) -> Any:
    core = exchange.core
    first, last = (int(told[name]) for name in ("startTime", "endTime"))
    if core.now() - first > KEPT:
        raise Refusal(Reason.TOO_LONG_A_TIME)
    listed = core.listed(told["symbol"], first, last, limit=10**6, longest=10**12)
    return _page("entrustedList", [messages.order(core, one) for one in listed if not one.status.rests], "orderId", told)


def _fills(exchange: "BitgetExchange", told: Told) -> Any:
    rows = [messages.trade(one) for one in exchange.core.trades_of(told["symbol"], int(told["orderId"]))]
    return _page("fillList", rows, "tradeId", told)


def _contracts(exchange: "BitgetExchange", told: Told) -> Any:
    return messages.contracts(exchange.core) if told["productType"] == "USDT-FUTURES" else []


def _fee_rate(exchange: "BitgetExchange", told: Told) -> Any:
    if told["businessType"] != "mix":
        raise Rejection("40020")
    exchange.core.instrument(told["symbol"])
    return {"makerFeeRate": "0.0002", "takerFeeRate": str(exchange.core.fee_rate)}


def _set_leverage(exchange: "BitgetExchange", told: Told) -> Any:
    exchange.core.set_leverage(told["symbol"], int(told["leverage"]))
    return {"symbol": told["symbol"], "marginCoin": "USDT"}


def _set_margin_mode(exchange: "BitgetExchange", told: Told) -> Any:
    exchange.core.set_margin_mode(told["symbol"], MARGINS[told["marginMode"]])
    return {"symbol": told["symbol"], "marginCoin": "USDT"}


def _set_position_mode(exchange: "BitgetExchange", told: Told) -> Any:
    exchange.core.set_hedged(hedged={"one_way_mode": False, "hedge_mode": True}[told["posMode"]])
    return {"posMode": told["posMode"]}


def _isolated(exchange: "BitgetExchange", _told: Told) -> Any:
    return [{"symbol": symbol, "marginMode": "isolated"} for symbol in sorted(exchange.core.isolated)]


def _saying(routes: dict[tuple[str, str], Answer]) -> Routes:
    """``routes`` with their answers in the envelope of all answers."""

    def wrapped(answer: Answer) -> Answer:
        return lambda exchange, told: messages.said(answer(exchange, told), exchange.now())

    return under("/api/v2/", {place: wrapped(answer) for place, answer in routes.items()})


PUBLIC = _saying(
    {
        ("GET", "public/time"): lambda exchange, _told: {"serverTime": str(exchange.now())},
        ("GET", "mix/market/contracts"): _contracts,
        ("GET", "mix/market/merge-depth"): _of_product(
            lambda exchange, told: messages.depth(exchange.core, told["symbol"], exchange.now())
        ),
        ("GET", "mix/market/symbol-price"): _of_product(
            lambda exchange, told: messages.prices(exchange.core, told["symbol"], exchange.now())
        ),
        ("GET", "mix/market/fills"): _of_product(lambda exchange, told: messages.latest(exchange.core, told["symbol"])),
        ("GET", "mix/market/ticker"): _of_product(
            lambda exchange, told: messages.ticker(exchange.core, told["symbol"], exchange.now())
        ),
        ("GET", "mix/market/query-position-lever"): _of_product(
            lambda exchange, told: messages.tiers(exchange.core, told["symbol"])
        ),
    }
)
PRIVATE = _saying(
    {
        ("GET", "mix/account/account"): _of_product(
            lambda exchange, told: messages.account(exchange.core, told["symbol"], many_assets=exchange.many_assets)
        ),
        ("GET", "mix/account/accounts"): _of_product(
            lambda exchange, _told: messages.accounts(exchange.core, many_assets=exchange.many_assets)
        ),
        ("GET", "mix/account/isolated-symbols"): _of_product(_isolated),
        ("POST", "mix/account/set-leverage"): _of_product(_set_leverage),
        ("POST", "mix/account/set-margin-mode"): _of_product(_set_margin_mode),
        ("POST", "mix/account/set-position-mode"): _of_product(_set_position_mode),
        ("GET", "mix/position/all-position"): _of_product(
            lambda exchange, _told: messages.positions(exchange.core, exchange.now())
        ),
        ("GET", "mix/order/detail"): _of_product(_find),
        ("GET", "mix/order/orders-pending"): _of_product(_pending),
        ("GET", "mix/order/orders-history"): _of_product(_history),
        ("GET", "mix/order/fills"): _of_product(_fills),
        ("POST", "mix/order/place-order"): _of_product(_place),
        ("POST", "mix/order/cancel-order"): _of_product(_cancel),
        ("GET", "spot/account/info"): lambda exchange, _told: messages.key(exchange.rights, exchange.addresses),
        ("GET", "common/trade-rate"): _fee_rate,
    }
)


@dataclass(slots=True, kw_only=True)
class BitgetExchange(LoopbackServer):
    """USDT-M perpetuals.

    demo: whether the API key is one of demo trading, None where that does not matter; unified, many_assets: kinds of
    accounts; rights, addresses: the key's.
    """

    skin: ClassVar[Skin] = Skin(
        exchange="bitget",
        hosts=(HOST,),
        public=PUBLIC,
        private=PRIVATE,
        authenticate=_authenticate,
        error=lambda about, _seen: messages.error(about, wall_clock()),
        outages={"429": messages.error("429", 0)},
    )
    demo: bool | None = None
    unified: bool = False
    many_assets: bool = False
    rights: list[str] = field(default_factory=lambda: ["coor", "coow", "cpor"])
    addresses: str = ""


def bitget_core(**changes: Any) -> ExchangeCore:
    """100,000 USDT, BTC at 50,000 and ETH at 2,500, and a market that is closed."""
    common: dict[str, Any] = {"min_notional": Decimal(5), "max_leverage": 125}
    instruments = [
        Instrument(symbol="BTCUSDT", base="BTC", price_digits=1, **common),
        Instrument(
            symbol="ETHUSDT",
            base="ETH",
            tick=Decimal("0.01"),
            step=Decimal("0.01"),
            min_amount=Decimal("0.01"),
            amount_digits=2,
            **common,
        ),
        Instrument(symbol="DEADUSDT", base="DEAD", open=False, price_digits=1, **common),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USDT": Decimal(100_000)},
        "instruments": {one.symbol: one for one in instruments},
        "fee_rate": Decimal("0.0006"),
        "ladders": {
            "BTCUSDT": Ladder(mid=Decimal(50_000)),
            "ETHUSDT": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(10)),
        },
    }
    return ExchangeCore(**(parts | changes))
