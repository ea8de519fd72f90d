"""A loopback exchange that speaks Kraken's spot REST, and checks every signature and that each nonce is above the last.

``async with KrakenExchange(core=kraken_core()) as exchange``. It has no testnet, and says no with HTTP 200.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from tests.fakes import kraken_messages as messages
from tests.fakes.exchange_core import ALL, Instrument, Ladder, Order
from tests.fakes.loopback_requests import Seen
from tests.fakes.loopback_server import LoopbackServer, Rejection, Routes, Skin, Told, under, wall_clock
from tests.fakes.spot_core import SpotCore

HOST = "api.kraken.com"
PAGE = 50
SOONEST, LATEST = 2_000, 60_000
Answer = Callable[["KrakenExchange", Told], Any]


def _authenticate(exchange: "KrakenExchange", seen: Seen) -> None:
    if seen.header("API-Key") != exchange.api_key:
        raise Rejection("EAPI:Invalid key")
    nonce = str(seen.parameters["nonce"])
    message = seen.path.encode() + hashlib.sha256(nonce.encode() + seen.body).digest()
    expected = base64.b64encode(hmac.new(base64.standard_b64decode(exchange.secret), message, hashlib.sha512).digest())
    if not hmac.compare_digest(expected, seen.header("API-Sign").encode()):
        raise Rejection("EAPI:Invalid signature")
    if int(nonce) <= exchange.nonce:
        raise Rejection("EAPI:Invalid nonce")
    exchange.nonce = int(nonce)
    if seen.path.rpartition("/")[2] in exchange.forbidden:
        raise Rejection("EGeneral:Permission denied")


def _check_deadline(exchange: "KrakenExchange", told: Told) -> None:
    if "deadline" not in told:
        return
    off = datetime.fromisoformat(told["deadline"]).timestamp() * 1000 - exchange.now()
    if off < 0:
        raise Rejection("EService:Deadline elapsed")
    if not SOONEST <= off <= LATEST:
        raise Rejection("EGeneral:Invalid arguments:deadline")


def _place(exchange: "KrakenExchange", told: Told) -> Any:
    if told["ordertype"] != "limit" or told["oflags"] != "fciq" or "userref" in told:
        raise Rejection("EGeneral:Invalid arguments")
    if len(told["cl_ord_id"]) > 18:
        raise Rejection("EGeneral:Invalid arguments:cl_ord_id")
    _check_deadline(exchange, told)
    order = exchange.core.place(
        client_id=told["cl_ord_id"],
        symbol=told["pair"],
        sign={"buy": 1, "sell": -1}[told["type"]],
        amount=Decimal(told["volume"]),
        price=Decimal(told["price"]),
        time_in_force=told["timeinforce"],
        reduce_only=False,
    )
    described = messages.order(exchange.core, order)["descr"]["order"]
    return {"descr": {"order": described}, "txid": [messages.order_id(order.id)]}


def _numbers(txids: str) -> list[int]:
    return [int(one[1:].partition("-")[0]) for one in txids.split(",")]


def _worded(exchange: "KrakenExchange", orders: list[Order], told: Told) -> dict[str, Any]:
    trades = told.get("trades") == "true"
    return {messages.order_id(one.id): messages.order(exchange.core, one, trades=trades) for one in orders}


def _named(orders: list[Order], told: Told) -> list[Order]:
    return [one for one in orders if told.get("cl_ord_id") in (None, one.client_id)]


def _open(exchange: "KrakenExchange", told: Told) -> Any:
    return {"open": _worded(exchange, _named(exchange.core.open_orders(), told), told)}


def _closed(exchange: "KrakenExchange", told: Told) -> Any:
    """Newest first, fifty at a time; the start is left out."""
    start = int(told.get("start", 0)) * 1000
    listed = exchange.core.listed(ALL, None, None, limit=10**6, longest=10**12)
    ended = [one for one in reversed(_named(listed, told)) if not one.status.rests and one.at > start]
    offset = int(told.get("ofs", 0))
    return {"closed": _worded(exchange, ended[offset : offset + PAGE], told), "count": len(ended)}


def _query_orders(exchange: "KrakenExchange", told: Told) -> Any:
    found = [exchange.core.find(ALL, order_id=number, client_id=None) for number in _numbers(told["txid"])]
    return _worded(exchange, found, told)


def _query_trades(exchange: "KrakenExchange", told: Told) -> Any:
    wanted = _numbers(told["txid"])
    if len(wanted) > 20:
        raise Rejection("EGeneral:Invalid arguments")
    return {messages.trade_id(one.id): messages.trade(one) for one in exchange.core.trades if one.id in wanted}


def _cancel(exchange: "KrakenExchange", told: Told) -> Any:
    exchange.core.cancel(ALL, order_id=None, client_id=told["cl_ord_id"])
    return {"count": 1}


def _count_down(exchange: "KrakenExchange", told: Told) -> Any:
    wait = int(told["timeout"])
    exchange.core.count_down(ALL, wait * 1000)
    return messages.countdown(exchange.now(), wait)


def _saying(prefix: str, method: str, answers: dict[str, Answer]) -> Routes:
    """``answers`` in the envelope of all answers."""

    def wrapped(answer: Answer) -> Answer:
        return lambda exchange, told: messages.said(answer(exchange, told))

    return under(prefix, {(method, path): wrapped(answer) for path, answer in answers.items()})


PUBLIC = _saying(
    "/0/public/",
    "GET",
    {
        "Time": lambda exchange, _told: {"unixtime": exchange.now() // 1000, "rfc1123": "Tue, 11 Nov 25 00:17:04 +0000"},
        "AssetPairs": lambda exchange, _told: messages.asset_pairs(exchange.core),
        "Depth": lambda exchange, told: messages.depth(exchange.core, told["pair"], int(told.get("count", 100))),
        "Trades": lambda exchange, told: messages.public_trades(exchange.core, told["pair"]),
        "Ticker": lambda exchange, told: messages.ticker(exchange.core, told["pair"]),
    },
)
PRIVATE = _saying(
    "/0/private/",
    "POST",
    {
        "Balance": lambda exchange, _told: messages.balances(exchange.core) | exchange.earning,
        "OpenPositions": lambda exchange, _told: exchange.on_margin,
        "OpenOrders": _open,
        "ClosedOrders": _closed,
        "QueryOrders": _query_orders,
        "QueryTrades": _query_trades,
        "TradeVolume": lambda exchange, told: messages.volume(exchange.core, told["pair"]),
        "GetApiKeyInfo": lambda exchange, _told: messages.key(exchange.rights, exchange.until, exchange.addresses),
        "AddOrder": _place,
        "CancelOrder": _cancel,
        "CancelAllOrdersAfter": _count_down,
    },
)


@dataclass(slots=True, kw_only=True)
class KrakenExchange(LoopbackServer):
    """The spot exchange.

    nonce: the last one; earning: balances with suffixes; on_margin: positions; forbidden: calls that the key
    may not use; rights, until (s), addresses: the key's.
    """

    skin: ClassVar[Skin] = Skin(
        exchange="kraken",
        hosts=(HOST,),
        public=PUBLIC,
        private=PRIVATE,
        authenticate=_authenticate,
        error=lambda about, _seen: messages.error(about),
    )
    core: SpotCore
    nonce: int = 0
    earning: dict[str, str] = field(default_factory=dict)
    on_margin: dict[str, Any] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    rights: list[str] = field(
        default_factory=lambda: ["query-funds", "query-open-trades", "query-closed-trades", "modify-trades"]
    )
    until: int = 0
    addresses: list[str] = field(default_factory=list)


def kraken_core(**changes: Any) -> SpotCore:
    """1 BTC at 50,000 USD, 20 ETH at 2,500 and 100,000 USD; fees in USD; a market that takes no orders."""
    common: dict[str, Any] = {
        "quote": "USD",
        "settle": "USD",
        "step": Decimal("1e-8"),
        "amount_digits": 8,
        "min_notional": Decimal("0.5"),
    }
    instruments = [
        Instrument(symbol="XXBTZUSD", base="BTC", tick=Decimal("0.1"), price_digits=1, min_amount=Decimal("0.00005"), **common),
        Instrument(symbol="XETHZUSD", base="ETH", tick=Decimal("0.01"), price_digits=2, min_amount=Decimal("0.001"), **common),
        Instrument(symbol="DEADUSD", base="DEAD", open=False, price_digits=2, **common),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"BTC": Decimal(1), "ETH": Decimal(20), "USD": Decimal(100_000)},
        "instruments": {one.symbol: one for one in instruments},
        "fee_rate": Decimal("0.0026"),
        "fees_in": "USD",
        "ladders": {
            "XXBTZUSD": Ladder(mid=Decimal(50_000)),
            "XETHZUSD": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(10)),
        },
    }
    return SpotCore(**(parts | changes))
