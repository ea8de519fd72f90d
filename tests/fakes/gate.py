"""A loopback exchange that speaks Gate's futures REST (v4, settled in USDT): signatures, time limits, lists in pages."""

import hashlib
import hmac
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import unquote

from tests.fakes import gate_messages as messages
from tests.fakes.exchange_core import ALL, ExchangeCore, Instrument, Ladder, Order, Unique
from tests.fakes.loopback_requests import Seen
from tests.fakes.loopback_server import MALFORMED, LoopbackServer, Rejection, Reply, Routes, Skin, Told, under, wall_clock

HOSTS = ("api-testnet.gateapi.io", "api.gateio.ws")
OLDEST = 60_000
TEN_MINUTES = 600_000
MOST = 100


@dataclass(slots=True, kw_only=True)
class GateServer(LoopbackServer):
    """What differs from one account to another. text_life: ms for which an order that ended is found by its text."""

    text_life: int = 60_000
    unified: bool = False
    addresses: tuple[str, ...] = ()


def _authenticate(exchange: LoopbackServer, seen: Seen) -> None:
    key, stamp, signature = (seen.header(name) for name in ("KEY", "Timestamp", "SIGN"))
    if not (key and stamp and signature):
        raise Rejection("MISSING_REQUIRED_HEADER")
    if key != exchange.api_key:
        raise Rejection("INVALID_KEY")
    parts = (seen.method, seen.path, unquote(seen.query), hashlib.sha512(seen.body).hexdigest(), stamp)
    expected = hmac.new(exchange.secret.encode(), "\n".join(parts).encode(), hashlib.sha512).hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise Rejection("INVALID_SIGNATURE")
    end = seen.header("X-Gate-Exptime")
    if abs(exchange.now() - int(stamp) * 1000) > OLDEST or (end and exchange.now() > int(end)):
        raise Rejection("REQUEST_EXPIRED")


def _place(exchange: GateServer, told: Told) -> Any:
    size = Decimal(str(told["size"]))
    if not messages.SHAPE.fullmatch(told["text"]):
        raise Rejection("INVALID_PARAM_VALUE")
    order = exchange.core.place(
        client_id=told["text"],
        symbol=told["contract"],
        sign=1 if size > 0 else -1,
        amount=abs(size),
        price=Decimal(told["price"]),
        time_in_force=told["tif"].upper(),
        reduce_only=told.get("reduce_only") is True,
    )
    return Reply(status=201, body=messages.order(order))


def _which(named: str) -> dict[str, Any]:
    return {"order_id": None, "client_id": named} if named.startswith("t-") else {"order_id": int(named), "client_id": None}


def _find(exchange: GateServer, told: Told) -> Any:
    order = exchange.core.find(ALL, **_which(told["order_id"]))
    forgotten = told["order_id"].startswith("t-") and exchange.core.now() - order.at >= exchange.text_life
    if forgotten and not order.status.rests:
        raise Rejection("CLIENT_ID_NOT_FOUND")
    return messages.order(order)


def _cancel(exchange: GateServer, told: Told) -> Any:
    return messages.order(exchange.core.cancel(ALL, **_which(told["order_id"])))


def _orders(exchange: GateServer, told: Told) -> Any:
    core, symbol = exchange.core, told.get("contract", ALL)
    if told["status"] == "open":
        return _page([messages.order(one) for one in core.open_orders(symbol)], told)
    ended = [one for one in core.orders.values() if not one.status.rests and symbol in (ALL, one.symbol)]
    kept = [one for one in ended if one.filled or core.now() - one.at < TEN_MINUTES]
    return _page([messages.order(one) for one in sorted(kept, key=_age)], told)


def _age(order: Order) -> tuple[int, int]:
    return -order.at, -order.id


def _page(rows: list[Any], told: Told) -> list[Any]:
    start = int(told.get("offset", 0))
    return rows[start : start + min(int(told.get("limit", MOST)), MOST)]


def _trades(exchange: GateServer, told: Told) -> Any:
    core = exchange.core
    found = core.trades_of(told["contract"], int(told["order"]) if "order" in told else None)
    return _page([messages.trade(one, core.orders[one.order_id]) for one in reversed(found)], told)


def _book(exchange: GateServer, told: Told) -> Any:
    rows = messages.book_rows(exchange.core)
    return _page([row for row in rows if int(told["from"]) <= row["time"] <= int(told["to"])], told)


def _count_down(exchange: GateServer, told: Told) -> Any:
    wait = int(told["timeout"])
    if wait and wait < 5:
        raise Rejection("INVALID_PARAM_VALUE")
    exchange.core.count_down(told.get("contract", ALL), wait * 1000)
    return {"triggerTime": str(exchange.now() + wait * 1000) if wait else "0"}


def _positions(exchange: GateServer, told: Told) -> Any:
    held = [symbol for symbol, holding in exchange.core.holdings.items() if holding.amount]
    return _page([messages.position(exchange.core, symbol) for symbol in held], told)


def _fee(exchange: GateServer, told: Told) -> Any:
    return {told["contract"]: {"taker_fee": str(exchange.core.fee_rate), "maker_fee": "0.0002"}}


PUBLIC: Routes = {
    ("GET", "spot/time"): lambda exchange, _told: {"server_time": exchange.now()},
    ("GET", "futures/usdt/contracts"): lambda exchange, _told: messages.contracts(exchange.core),
    ("GET", "futures/usdt/order_book"): lambda exchange, told: messages.book(
        exchange.core, told["contract"], exchange.now(), int(told["limit"])
    ),
    ("GET", "futures/usdt/tickers"): lambda exchange, told: [messages.ticker(exchange.core, told["contract"])],
    ("GET", "futures/usdt/trades"): lambda exchange, told: [messages.last(exchange.core, told["contract"])],
    ("GET", "futures/usdt/risk_limit_tiers"): lambda exchange, told: messages.tiers(exchange.core, told["contract"]),
}
PRIVATE: Routes = {
    ("GET", "account/detail"): lambda exchange, _told: {
        "user_id": 1666,
        "ip_whitelist": list(exchange.addresses),
        "currency_pairs": [],
        "key": {"mode": 1},
    },
    ("GET", "futures/usdt/accounts"): lambda exchange, _told: messages.account(exchange.core, unified=exchange.unified),
    ("GET", "futures/usdt/positions"): _positions,
    ("GET", "futures/usdt/positions/{contract}"): lambda exchange, told: messages.position(exchange.core, told["contract"]),
    ("GET", "futures/usdt/fee"): _fee,
    ("GET", "futures/usdt/orders"): _orders,
    ("GET", "futures/usdt/orders/{order_id}"): _find,
    ("GET", "futures/usdt/my_trades"): _trades,
    ("GET", "futures/usdt/account_book"): _book,
    ("POST", "futures/usdt/orders"): _place,
    ("DELETE", "futures/usdt/orders/{order_id}"): _cancel,
    ("POST", "futures/usdt/countdown_cancel_all"): _count_down,
}


@dataclass(slots=True, kw_only=True)
class GateFutures(GateServer):
    """The exchange."""

    skin: ClassVar[Skin] = Skin(
        exchange="gate",
        hosts=HOSTS,
        public=under("/api/v4/", PUBLIC),
        private=under("/api/v4/", PRIVATE),
        authenticate=_authenticate,
        error=lambda about, _seen: messages.error("INVALID_PARAM_VALUE" if about == MALFORMED else about),
        outages={label: messages.error(label) for label in messages.TEXTS} | {"429": messages.error("TOO_MANY_REQUESTS")},
        truth=messages.truth,
    )


def usual_core(**changes: Any) -> ExchangeCore:
    """100,000 USDT; BTC at 50,000 in contracts of 0.0001, ETH at 2,500 in parts of contracts, and a market about to close."""
    whole: dict[str, Any] = {"step": Decimal(1), "amount_digits": 0, "min_amount": Decimal(1), "max_amount": Decimal(1_000_000)}
    instruments = [
        Instrument(symbol="BTC_USDT", base="BTC", contract_size=Decimal("0.0001"), min_notional=Decimal(0), **whole),
        Instrument(
            symbol="ETH_USDT",
            base="ETH",
            contract_size=Decimal("0.01"),
            tick=Decimal("0.01"),
            step=Decimal("0.1"),
            min_amount=Decimal("0.1"),
            max_amount=Decimal(100_000),
            amount_digits=1,
            min_notional=Decimal(0),
        ),
        Instrument(symbol="DEAD_USDT", base="DEAD", min_notional=Decimal(0), open=False, **whole),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USDT": Decimal(100_000)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTC_USDT": Ladder(mid=Decimal(50_000), size=Decimal(10_000)),
            "ETH_USDT": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(1000)),
        },
        "unique": Unique.NO,
    }
    return ExchangeCore(**(parts | changes))
