"""A loopback exchange that speaks Deribit's JSON-RPC over GET, checks every signature and keeps old records apart.

A deleveraging is told as a liquidation, since there are no other words for it.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from tests.fakes import deribit_messages as messages
from tests.fakes.exchange_core import ExchangeCore, Instrument, Ladder, Order, Unique
from tests.fakes.loopback_requests import Seen
from tests.fakes.loopback_server import LoopbackServer, Rejection, Routes, Skin, under, wall_clock

HOSTS = ("test.deribit.com", "www.deribit.com")
SIGNED = re.compile(r"deri-hmac-sha256 id=(.+),ts=(\d+),sig=([0-9a-f]{64}),nonce=(\S+)")
SUMMARIES, POSITIONS = "get_account_summaries", "get_positions"
STAMPS_LAST = 60_000
RECENT_ORDERS, RECENT_TRADES = 30 * 60_000, 86_400_000
UNAUTHORISED = (13004, 13009, 13021, messages.REPEATED)


def authenticate(exchange: "Deribit", seen: Seen) -> None:
    """Key, age, a nonce that no other request had, and the signature of method, path and query."""
    told = SIGNED.fullmatch(seen.header("Authorization"))
    if told is None or told[1] != exchange.api_key:
        raise Rejection(13004)
    target = f"{seen.path}?{seen.query}" if seen.query else seen.path
    text = f"{told[2]}\n{told[4]}\n{seen.method}\n{target}\n{seen.body.decode()}\n"
    expected = hmac.new(exchange.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, told[3]) or abs(exchange.now() - int(told[2])) > STAMPS_LAST:
        raise Rejection(13009)
    if told[4] in exchange.nonces:
        raise Rejection(messages.REPEATED)
    exchange.nonces.add(told[4])


def _placing(sign: int) -> Callable[["Deribit", dict[str, str]], Any]:
    def place(exchange: "Deribit", told: dict[str, str]) -> Any:
        if "valid_until" in told and exchange.now() > int(told["valid_until"]):
            raise Rejection(messages.TOO_LATE)
        if told["type"] != "limit":
            raise KeyError(told["type"])
        core = exchange.core
        symbol = told["instrument_name"]
        before = dict(core.wallet)
        order = core.place(
            client_id=told.get("label", ""),
            symbol=symbol,
            sign=sign,
            amount=Decimal(told["amount"]),
            price=Decimal(told["price"]),
            time_in_force={"immediate_or_cancel": "IOC", "good_til_cancelled": "GTC"}[told["time_in_force"]],
            reduce_only=told.get("reduce_only") == "true",
        )
        settle = core.instruments[symbol].settle
        made = core.wallet.get(settle, Decimal(0)) - before.get(settle, Decimal(0))
        exchange.session.realised[settle] = exchange.session.realised.get(settle, Decimal(0)) + made
        trades = [messages.trade(core, one) for one in core.trades_of(symbol, order.id)]
        return {"order": messages.order(order), "trades": trades}

    return place


def _in(exchange: "Deribit", currency: str) -> list[Order]:
    core = exchange.core
    core.open_orders()
    return [one for one in core.orders.values() if core.instruments[one.symbol].settle == currency]


def _by_label(exchange: "Deribit", told: dict[str, str]) -> Any:
    own = [one for one in _in(exchange, told["currency"]) if one.client_id == told["label"]]
    return [messages.order(one) for one in own if one.status.rests or _is_recent(exchange, one)]


def _is_recent(exchange: "Deribit", one: Order) -> bool:
    return exchange.core.now() - one.at <= RECENT_ORDERS


def _past_orders(exchange: "Deribit", told: dict[str, str]) -> Any:
    exchange.core.open_orders()
    historical = told.get("historical") == "true"
    found = [
        one
        for one in reversed(exchange.core.orders.values())
        if one.symbol == told["instrument_name"]
        and not one.status.rests
        and _is_recent(exchange, one) is not historical
        and (one.filled or told.get("include_unfilled") == "true")
    ]
    start = int(told.get("offset", 0))
    return [messages.order(one) for one in found[start : start + min(int(told.get("count", 20)), 1000)]]


def _trades(exchange: "Deribit", told: dict[str, str]) -> Any:
    core, order_id = exchange.core, messages.number_of(told["order_id"])
    historical = told.get("historical") == "true"
    own = [one for one in core.trades if one.order_id == order_id]
    return [messages.trade(core, one) for one in own if (core.now() - one.at > RECENT_TRADES) is historical]


def _cancel(exchange: "Deribit", told: dict[str, str]) -> Any:
    resting = [one for one in _in(exchange, told["currency"]) if one.status.rests and one.client_id == told["label"]]
    for one in resting:
        exchange.core.cancel(one.symbol, order_id=one.id, client_id=None)
    return len(resting)


def _open(exchange: "Deribit", told: dict[str, str]) -> Any:
    return [messages.order(one) for one in exchange.core.open_orders(told.get("instrument_name", ""))]


def _summaries(exchange: "Deribit", _told: dict[str, str]) -> Any:
    core = exchange.core
    assets = {*core.wallet, *(one.settle for one in core.instruments.values())}
    rows = [messages.summary(core, exchange.session, asset, exchange.fees) for asset in sorted(assets)]
    return {"id": 10, "type": "main", "summaries": rows}


def _positions(exchange: "Deribit", _told: dict[str, str]) -> Any:
    return [messages.position(exchange.core, exchange.session, symbol) for symbol in exchange.core.holdings]


def _before_settlement(path: str, read: Callable[["Deribit", dict[str, str]], Any]) -> Callable[["Deribit", dict[str, str]], Any]:
    """``read``, right after which profits are settled where the exchange is told so."""

    def answer(exchange: "Deribit", told: dict[str, str]) -> Any:
        found = read(exchange, told)
        if path in exchange.settles_after:
            exchange.settles_after.remove(path)
            exchange.session.settle(exchange.core)
        return found

    return answer


def _keys(exchange: "Deribit", _told: dict[str, str]) -> Any:
    if exchange.scope is None:
        raise Rejection(13021)
    common = {"enabled": True, "name": "", "timestamp": 1, "client_secret": "", "enabled_features": []}
    other = common | {"id": 1, "client_id": "another", "max_scope": "account:read_write wallet:read_write"}
    own = common | {"id": 2, "client_id": exchange.api_key, "max_scope": exchange.scope, "ip_whitelist": exchange.addresses}
    return [other, own]


def _instruments(exchange: "Deribit", told: dict[str, str]) -> Any:
    if told != {"currency": "any", "kind": "future"}:
        raise KeyError("kind")  # what else there is are options, by the thousand
    return [messages.instrument(one) for one in exchange.core.instruments.values()]


def _told(handler: Callable[[Any, dict[str, str]], Any]) -> Callable[[Any, dict[str, str]], Any]:
    return lambda exchange, told: messages.whole(handler(exchange, told), exchange.now())


def _error(about: Any, _seen: Seen) -> tuple[int, Any]:
    return 401 if about in UNAUTHORISED else 400, messages.error(about, wall_clock())


PUBLIC: Routes = {
    ("GET", "get_time"): lambda exchange, _told: exchange.now(),
    ("GET", "get_instruments"): _instruments,
    ("GET", "get_order_book"): lambda exchange, told: messages.book(
        exchange.core, told["instrument_name"], exchange.now(), int(told["depth"])
    ),
    ("GET", "ticker"): lambda exchange, told: messages.ticker(exchange.core, told["instrument_name"], exchange.now()),
}
PRIVATE: Routes = {
    ("GET", "buy"): _placing(1),
    ("GET", "sell"): _placing(-1),
    ("GET", "cancel_by_label"): _cancel,
    ("GET", "get_order_state_by_label"): _by_label,
    ("GET", "get_order_history_by_instrument"): _past_orders,
    ("GET", "get_user_trades_by_order"): _trades,
    ("GET", "get_open_orders"): _open,
    ("GET", "get_open_orders_by_instrument"): _open,
    ("GET", SUMMARIES): _before_settlement(SUMMARIES, _summaries),
    ("GET", POSITIONS): _before_settlement(POSITIONS, _positions),
    ("GET", "list_api_keys"): _keys,
}


def _routes(prefix: str, routes: Routes) -> Routes:
    return under(f"/api/v2/{prefix}/", {route: _told(handler) for route, handler in routes.items()})


@dataclass(slots=True, kw_only=True)
class Deribit(LoopbackServer):
    """The exchange.

    session: what was not settled yet; settles_after: paths, after an answer of each of which that is settled, once for each time
    that it stands here; fees: the account's own; scope, addresses: of the key, which may not ask for them where
    the scope is None.
    """

    skin: ClassVar[Skin] = Skin(
        exchange="deribit",
        hosts=HOSTS,
        public=_routes("public", PUBLIC),
        private=_routes("private", PRIVATE),
        authenticate=authenticate,
        error=_error,
    )
    session: messages.Session = field(default_factory=messages.Session)
    settles_after: list[str] = field(default_factory=list)
    fees: list[dict[str, Any]] = field(default_factory=list)
    scope: str | None = "account:read trade:read_write wallet:none"
    addresses: list[str] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)


def usual_core(**changes: Any) -> ExchangeCore:
    """3 BTC, 60 ETH and 100,000 USDC; BTC at 50,000 and ETH at 2,500, inverse and linear; a dated and a closed market."""
    inverse: dict[str, Any] = {"quote": "USD", "inverse": True, "min_notional": Decimal(0), "max_amount": Decimal(10**7)}
    linear: dict[str, Any] = {"quote": "USDC", "settle": "USDC", "min_notional": Decimal(0), "amount_digits": 4}
    ten: dict[str, Any] = {"step": Decimal(10), "min_amount": Decimal(10), "amount_digits": 0}
    instruments = [
        Instrument(symbol="BTC-PERPETUAL", base="BTC", settle="BTC", tick=Decimal("0.5"), **inverse, **ten),
        Instrument(symbol="ETH-PERPETUAL", base="ETH", settle="ETH", tick=Decimal("0.05"), **inverse, **ten),
        Instrument(symbol="BTC_USDC-PERPETUAL", base="BTC", tick=Decimal(1), **linear),
        Instrument(symbol="ETH_USDC-PERPETUAL", base="ETH", tick=Decimal("0.05"), **linear),
        Instrument(symbol="BTC-26MAR27", base="BTC", settle="BTC", delivery=1_806_048_000_000, **inverse, **ten),
        Instrument(symbol="DEAD_USDC-PERPETUAL", base="DEAD", open=False, **linear),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"BTC": Decimal(3), "ETH": Decimal(60), "USDC": Decimal(100_000)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTC-PERPETUAL": Ladder(mid=Decimal(50_000), spread=Decimal(1), size=Decimal(50_000)),
            "ETH-PERPETUAL": Ladder(mid=Decimal(2_500), spread=Decimal("0.1"), gap=Decimal("0.05"), size=Decimal(50_000)),
            "BTC_USDC-PERPETUAL": Ladder(mid=Decimal(50_000), spread=Decimal(2)),
            "ETH_USDC-PERPETUAL": Ladder(mid=Decimal(2_500), spread=Decimal("0.1"), gap=Decimal("0.05"), size=Decimal(10)),
        },
        "unique": Unique.NO,
    }
    return ExchangeCore(**(parts | changes))
