"""A loopback exchange that speaks Kraken Futures' REST, checks every signature and forgets ended orders after five seconds.

What it says of an order that arrives after its ``processBefore`` is documented nowhere, so its words here are any words.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from tests.fakes import krakenfutures_messages as messages
from tests.fakes.exchange_core import ALL, ExchangeCore, Instrument, Ladder, Reason, Refusal, Unique
from tests.fakes.loopback_requests import Seen
from tests.fakes.loopback_server import MALFORMED, LoopbackServer, Rejection, Reply, Routes, Skin, under, wall_clock
from tests.fakes.token_pool import TokenPool

HOSTS = ("demo-futures.kraken.com", "futures.kraken.com")
TRADING = "/derivatives/api/v3/"
HISTORY = "/api/history/v3/"
PAGE = 1000
LATEST_FILLS = 100
TOO_LATE = "requestTooLate"
TOO_MANY = "apiLimitExceeded"
COSTS = {"sendorder": 10, "cancelorder": 10, "cancelallordersafter": 25, "orders/status": 1}
"""What requests of trading cost; any other 2. What is public costs nothing."""
AUTHENTICATION = "authenticationError"
SIDES = {"buy": 1, "sell": -1}


def authenticate(exchange: LoopbackServer, seen: Seen) -> None:
    """Key, and the signature of query, body and path."""
    path = seen.path.removeprefix("/derivatives")
    digest = hashlib.sha256((seen.query + seen.body.decode() + path).encode()).digest()
    expected = base64.b64encode(hmac.new(base64.b64decode(exchange.secret), digest, hashlib.sha512).digest()).decode()
    if seen.header("APIKey") != exchange.api_key or not hmac.compare_digest(expected, seen.header("Authent")):
        raise Rejection(AUTHENTICATION)


def _send(exchange: "KrakenFutures", told: dict[str, str]) -> Any:
    if "processBefore" in told and exchange.now() > messages.milliseconds(told["processBefore"]):
        raise Rejection(TOO_LATE)
    order = exchange.core.place(
        client_id=told["cliOrdId"],
        symbol=told["symbol"],
        sign=SIDES[told["side"]],
        amount=Decimal(told["size"]),
        price=Decimal(told["limitPrice"]),
        time_in_force={"ioc": "IOC", "lmt": "GTC"}[told["orderType"]],
        reduce_only=told.get("reduceOnly") == "true",
    )
    return messages.sent(order, exchange.core.trades_of(order.symbol, order.id), exchange.now())


def _status(exchange: "KrakenFutures", told: dict[str, str]) -> Any:
    exchange.core.open_orders()
    now = exchange.core.now()
    asked = (told.get("cliOrdIds"), told.get("orderIds"))
    known = [
        one
        for one in exchange.core.orders.values()
        if asked in ((one.client_id, None), (None, messages.order_uid(one.id)))
        and (one.status.rests or now - one.at <= exchange.memory)
    ]
    return messages.success(exchange.now(), orders=[messages.current(one) for one in known[-1:]])


def _cancel(exchange: "KrakenFutures", told: dict[str, str]) -> Any:
    status: dict[str, Any] = {"cliOrdId": told["cliOrdId"]}
    try:
        order = exchange.core.cancel(ALL, order_id=None, client_id=told["cliOrdId"])
        status |= {"status": "cancelled", "order_id": messages.order_uid(order.id)}
    except Refusal:
        status |= {"status": "notFound"}
    return messages.success(exchange.now(), cancelStatus=status)


def _dead_man(exchange: "KrakenFutures", told: dict[str, str]) -> Any:
    seconds = int(told["timeout"])
    exchange.core.count_down(ALL, seconds * 1000)
    due = messages.iso(exchange.now() + seconds * 1000) if seconds else "0"
    return messages.success(exchange.now(), status={"currentTime": messages.iso(exchange.now()), "triggerTime": due})


def _fills(exchange: "KrakenFutures", _told: dict[str, str]) -> Any:
    latest = list(reversed(exchange.core.trades))[:LATEST_FILLS]
    return messages.success(exchange.now(), fills=[messages.fill(exchange.core, one) for one in latest])


def _preferences(exchange: "KrakenFutures", _told: dict[str, str]) -> Any:
    rows = [{"symbol": symbol, "pnlCurrency": currency} for symbol, currency in exchange.profits.items()]
    return messages.success(exchange.now(), preferences=rows)


def _leverages(exchange: "KrakenFutures", _told: dict[str, str]) -> Any:
    rows = [{"symbol": symbol, "maxLeverage": float(leverage)} for symbol, leverage in exchange.leverages.items()]
    return messages.success(exchange.now(), leveragePreferences=rows)


def _past_orders(exchange: "KrakenFutures", told: dict[str, str]) -> Any:
    events = [
        (at, event)
        for one in exchange.core.orders.values()
        if told.get("tradeable") in (None, one.symbol)
        for at, event in messages.past_events(one)
    ]
    return _past(exchange, told, events)


def _past_executions(exchange: "KrakenFutures", told: dict[str, str]) -> Any:
    own = [one for one in exchange.core.trades if told.get("tradeable") in (None, one.symbol)]
    return _past(exchange, told, [(one.at, messages.past_execution(exchange.core, one)) for one in own])


def _metered(read: Callable[["KrakenFutures", dict[str, str]], Any]) -> Callable[["KrakenFutures", dict[str, str]], Any]:
    """``read`` where the pool of the history has a token for it."""

    def answer(exchange: "KrakenFutures", told: dict[str, str]) -> Any:
        wait = exchange.history.take(Decimal(1), exchange.core.now())
        if not wait:
            return read(exchange, told)
        return Reply(status=429, body=messages.error(TOO_MANY, exchange.now()), headers={"rate-limit-reset": str(wait)})

    return answer


def _spending(
    cost: int, handler: Callable[["KrakenFutures", dict[str, str]], Any]
) -> Callable[["KrakenFutures", dict[str, str]], Any]:
    """``handler`` where the trading pool, if there is one, has ``cost`` for it."""

    def answer(exchange: "KrakenFutures", told: dict[str, str]) -> Any:
        if exchange.trading is not None and exchange.trading.take(Decimal(cost), exchange.core.now()):
            raise Rejection(TOO_MANY)
        return handler(exchange, told)

    return answer


def _past(exchange: "KrakenFutures", told: dict[str, str], events: list[tuple[int, dict[str, Any]]]) -> Any:
    """One page, newest first."""
    if told.get("sort", "desc") != "desc":
        raise Rejection(MALFORMED)
    first, last = int(told.get("since", 0)), exchange.core.now() - exchange.lag
    found = [one for one in events if first <= one[0] <= last]
    found = sorted(found, key=lambda one: one[0])[::-1]
    start, size = int(told.get("continuation_token", 0)), min(int(told.get("count", PAGE)), exchange.page)
    elements = [
        {"uid": messages.trade_uid(number), "timestamp": at, "event": event}
        for number, (at, event) in enumerate(found[start : start + size], start)
    ]
    more = start + size < len(found)
    return {"elements": elements, "len": len(elements)} | ({"continuationToken": str(start + size)} if more else {})


def _known(exchange: "KrakenFutures", told: dict[str, str]) -> Any:
    exchange.core.instrument(told["symbol"])
    return messages.success(exchange.now(), tradeable=True)


def _error(about: Any, seen: Seen) -> tuple[int, Any]:
    now = wall_clock()
    if seen.path.endswith("sendorder") and about in messages.STATUSES:
        return 200, messages.turned_down(messages.STATUSES[about], now)
    codes = {Reason.UNKNOWN_SYMBOL: "contractNotFound", MALFORMED: "invalidArgument: it is none"}
    return 200, messages.error(codes.get(about, about), now)


PUBLIC: Routes = under(
    TRADING,
    {
        ("GET", "instruments"): lambda exchange, _told: messages.instruments(exchange.core, exchange.now()),
        ("GET", "instruments/{symbol}/status"): _known,
        ("GET", "orderbook"): lambda exchange, told: messages.book(exchange.core, told["symbol"], exchange.now()),
        ("GET", "tickers/{symbol}"): lambda exchange, told: messages.ticker(exchange.core, told["symbol"], exchange.now()),
    },
)


def _spent_on(routes: Routes) -> Routes:
    return {(method, path): _spending(COSTS.get(path, 2), handler) for (method, path), handler in routes.items()}


PRIVATE: Routes = {
    **under(
        TRADING,
        _spent_on(
            {
                ("GET", "accounts"): lambda exchange, _told: messages.accounts(exchange.core, exchange.cash, exchange.now()),
                ("GET", "openpositions"): lambda exchange, _told: messages.positions(exchange.core, exchange.now()),
                ("GET", "openorders"): lambda exchange, _told: messages.success(
                    exchange.now(), openOrders=[messages.open_order(one) for one in exchange.core.open_orders()]
                ),
                ("GET", "orders/status"): _status,
                ("GET", "fills"): _fills,
                ("GET", "pnlpreferences"): _preferences,
                ("GET", "leveragepreferences"): _leverages,
                ("POST", "sendorder"): _send,
                ("POST", "cancelorder"): _cancel,
                ("POST", "cancelallordersafter"): _dead_man,
            }
        ),
    ),
    **under(HISTORY, {("GET", "orders"): _metered(_past_orders), ("GET", "executions"): _metered(_past_executions)}),
}


@dataclass(slots=True, kw_only=True)
class KrakenFutures(LoopbackServer):
    """The exchange.

    history, trading: the pools that requests draw on, the latter where a test asks for it; memory: ms for which trading knows
    an order that has ended; lag: ms by which its history is late; cash: the holding wallet; profits: what markets pay profits
    in where that is not dollars; leverages: of markets that are isolated; page: rows of one answer of its history, which may
    be less than asked for.
    """

    skin: ClassVar[Skin] = Skin(
        exchange="krakenfutures",
        hosts=HOSTS,
        public=PUBLIC,
        private=PRIVATE,
        authenticate=authenticate,
        error=_error,
    )
    history: TokenPool = field(default_factory=lambda: TokenPool(capacity=Decimal(100), span=600_000))
    trading: TokenPool | None = None
    memory: int = 5_000
    lag: int = 0
    cash: dict[str, Decimal] = field(default_factory=dict)
    profits: dict[str, str] = field(default_factory=dict)
    leverages: dict[str, Decimal] = field(default_factory=dict)
    page: int = PAGE


def usual_core(**changes: Any) -> ExchangeCore:
    """100,000 USD and 2 BTC; BTC at 50,000, linear and inverse, ETH at 2,500; a dated and a closed market."""
    linear: dict[str, Any] = {"quote": "USD", "settle": "USD", "min_notional": Decimal(0)}
    inverse: dict[str, Any] = linear | {"settle": "BTC", "inverse": True, "step": Decimal(1), "min_amount": Decimal(1)}
    inverse |= {"amount_digits": 0, "tick": Decimal("0.5"), "max_amount": Decimal(1_000_000)}
    tenth: dict[str, Any] = {"step": Decimal("0.0001"), "min_amount": Decimal("0.0001"), "amount_digits": 4}
    instruments = [
        Instrument(symbol="PF_XBTUSD", base="BTC", tick=Decimal(1), **linear, **tenth),
        Instrument(symbol="PF_ETHUSD", base="ETH", tick=Decimal("0.1"), **linear),
        Instrument(symbol="PI_XBTUSD", base="BTC", **inverse),
        Instrument(symbol="PI_ETHUSD", base="ETH", **(inverse | {"settle": "ETH", "tick": Decimal("0.05")})),
        Instrument(symbol="FF_XBTUSD_270326", base="BTC", delivery=1_806_048_000_000, **linear),
        Instrument(symbol="PF_DEADUSD", base="DEAD", open=False, **linear),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USD": Decimal(100_000), "BTC": Decimal(2)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "PF_XBTUSD": Ladder(mid=Decimal(50_000), spread=Decimal(2)),
            "PI_XBTUSD": Ladder(mid=Decimal(50_000), spread=Decimal(1), size=Decimal(50_000)),
            "PI_ETHUSD": Ladder(mid=Decimal(2_500), spread=Decimal("0.1"), gap=Decimal("0.05"), size=Decimal(50_000)),
            "PF_ETHUSD": Ladder(mid=Decimal(2_500), spread=Decimal("0.2"), gap=Decimal("0.1"), size=Decimal(10)),
        },
        "unique": Unique.EVER,
    }
    return ExchangeCore(**(parts | changes))
