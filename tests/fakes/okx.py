"""A loopback exchange that speaks OKX's v5, checks every signature and deadline and remembers every request.

``async with OkxServer(core=okx_core()) as exchange``: perpetuals in futures mode; ``okx_spot_core()`` with ``level="1"``: spot.
Live and demo trading have one host, and the header x-simulated-trading tells them apart; the key belongs to one of them.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.fakes import okx_messages as messages
from tests.fakes.exchange_core import ALL, ZERO, ExchangeCore, Instrument, Ladder, MarginMode, Order, Reason, Refusal
from tests.fakes.loopback_requests import Seen
from tests.fakes.loopback_server import MALFORMED, LoopbackServer, Rejection, Routes, Skin, Told, under, wall_clock
from tests.fakes.okx_messages import said
from tests.fakes.okx_streams import DEMO, LIVE, OkxStreams
from tests.fakes.spot_core import SpotCore

HOST = "www.okx.com"
WINDOW = 30_000
PAGE = 100
HOUR, DAY = 3_600_000, 86_400_000
TAG = "keeper"
ORDER_PARAMETERS = frozenset({"instId", "tdMode", "clOrdId", "side", "ordType", "sz", "px", "tag", "tgtCcy", "reduceOnly"})


@dataclass(slots=True, kw_only=True)
class OkxServer(LoopbackServer):
    """The exchange.

    level: the account's mode; demo: the key is one of demo trading, None: of both; permissions, addresses: of the key; borrows:
    spot orders may; bots: what trading bots hold, by asset. Orders bear Keeper's tag but for those that the core spares.
    """

    level: str = "2"
    demo: bool | None = True
    permissions: str = "read_only,trade"
    addresses: str = ""
    borrows: bool = False
    bots: dict[str, Decimal] = field(default_factory=dict)
    streams: OkxStreams = field(default_factory=OkxStreams)


def authenticate(exchange: OkxServer, seen: Seen) -> None:
    """Key, passphrase, environment, time window and signature of a private request, and the deadline of an order."""
    key, stamp = seen.header("OK-ACCESS-KEY"), seen.header("OK-ACCESS-TIMESTAMP")
    if not key:
        raise Rejection("50103")
    if key != exchange.api_key:
        raise Rejection("50119")
    if exchange.demo not in (None, seen.header("x-simulated-trading") == "1"):
        raise Rejection("50101")
    if seen.header("OK-ACCESS-PASSPHRASE") != exchange.passphrase:
        raise Rejection("50105")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp):
        raise Rejection("50112")
    at = (datetime.fromisoformat(stamp) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if abs(exchange.now() - at) > WINDOW:
        raise Rejection("50102")
    path = seen.path + (f"?{seen.query}" if seen.query else "")
    signed = hmac.new(exchange.secret.encode(), (stamp + seen.method + path).encode() + seen.body, hashlib.sha256)
    if not hmac.compare_digest(base64.b64encode(signed.digest()).decode(), seen.header("OK-ACCESS-SIGN")):
        raise Rejection("50113")
    if seen.method == "POST" and "trade" not in exchange.permissions.split(","):
        raise Rejection("50120")
    deadline = seen.header("expTime")
    if deadline and seen.path.endswith("trade/order") and exchange.now() > int(deadline):
        raise Rejection("50036")


def _place(exchange: OkxServer, told: Told) -> Any:
    if not told.keys() <= ORDER_PARAMETERS or told["ordType"] != "ioc":
        raise Rejection("51000")
    if not re.fullmatch("[0-9A-Za-z]{1,32}", told["clOrdId"]):
        raise Rejection("51000 clOrdId")
    reduces = told.get("reduceOnly", False)
    _check_trade_mode(exchange, told["instId"], told["tdMode"], reduces=reduces)
    order = exchange.core.place(
        client_id=told["clOrdId"],
        symbol=told["instId"],
        sign={"buy": 1, "sell": -1}[told["side"]],
        amount=Decimal(told["sz"]),
        price=Decimal(told["px"]),
        time_in_force="IOC",
        reduce_only=reduces,
    )
    if told.get("tag") != TAG:
        exchange.core.spared.add(order.id)
    row = {"ordId": str(order.id), "clOrdId": order.client_id, "tag": told.get("tag", ""), "sCode": "0", "sMsg": ""}
    return {**said({**row, "ts": str(exchange.now())}), "inTime": "1695190491421339", "outTime": "1695190491423240"}


def _check_trade_mode(exchange: OkxServer, symbol: str, mode: str, *, reduces: bool) -> None:
    """Whether a trade mode goes with the account's; a second position, of the other margin mode, is not simulated."""
    core = exchange.core
    core.instrument(symbol)
    if messages.kind(symbol) == "SPOT":
        if mode != "cash" or exchange.level not in ("1", "2"):
            raise Rejection("51000 tdMode")
        return
    if exchange.level == "1":
        raise Rejection("51010")
    wanted = {"cross": MarginMode.CROSS, "isolated": MarginMode.ISOLATED}[mode]
    if wanted is core.margin_mode(symbol):
        return
    if core.held(symbol):
        raise Refusal(Reason.REDUCE_ONLY) if reduces else Rejection("51000 tdMode")
    core.set_margin_mode(symbol, wanted)


def _find(exchange: OkxServer, told: Told) -> Any:
    exchange.core.instrument(told["instId"])
    found = exchange.core.find(told["instId"], **_which(told))
    if _forgotten(exchange, found):
        raise Refusal(Reason.NO_SUCH_ORDER)
    return said(messages.order(found))


def _cancel(exchange: OkxServer, told: Told) -> Any:
    order = exchange.core.cancel(told["instId"], **_which(told))
    return said({"ordId": str(order.id), "clOrdId": order.client_id, "sCode": "0", "sMsg": "", "ts": str(exchange.now())})


def _which(told: Told) -> dict[str, Any]:
    if "ordId" in told:
        return {"order_id": int(told["ordId"]), "client_id": None}
    return {"order_id": None, "client_id": told["clOrdId"]}


def _forgotten(exchange: OkxServer, order: Order) -> bool:
    """Whether an order ended without a trade more than two hours ago."""
    return not order.status.rests and not order.filled and exchange.now() - order.at > 2 * HOUR


def _page(rows: list[dict[str, Any]], cursor: str, told: Told) -> Any:
    """Newest first, of what is older than the id ``after``."""
    older = [row for row in rows if "after" not in told or int(row[cursor]) < int(told["after"])]
    newest = sorted(older, key=lambda row: int(row[cursor]), reverse=True)
    return said(*newest[: min(int(told.get("limit", PAGE)), PAGE)])


def _selected(orders: list[Order], told: Told) -> list[dict[str, Any]]:
    rows = [messages.order(order) for order in orders]
    wanted = {name: told[name] for name in ("instType", "instId", "ordType") if name in told}
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _pending(exchange: OkxServer, told: Told) -> Any:
    return _page(_selected(exchange.core.open_orders(), told), "ordId", told)


def _ended(days: int) -> Any:
    def handler(exchange: OkxServer, told: Told) -> Any:
        if "instType" not in told:
            raise Rejection("50014")
        first = max(int(told.get("begin", 0)), exchange.now() - days * DAY)
        ended = [
            one
            for one in exchange.core.orders.values()
            if not one.status.rests and one.at >= first and not _forgotten(exchange, one)
        ]
        return _page(_selected(ended, told), "ordId", told)

    return handler


def _fills(days: int) -> Any:
    def handler(exchange: OkxServer, told: Told) -> Any:
        core = exchange.core
        wanted = core.trades_of(told.get("instId", ALL), int(told["ordId"]) if "ordId" in told else None)
        recent = [one for one in wanted if one.at >= exchange.now() - days * DAY]
        return _page([messages.trade(one, core.orders[one.order_id].client_id) for one in recent], "billId", told)

    return handler


def _bills(exchange: OkxServer, told: Told) -> Any:
    return _page([row for row in messages.bills(exchange.core) if int(row["ts"]) >= int(told["begin"])], "billId", told)


def _cancel_all_after(exchange: OkxServer, told: Told) -> Any:
    seconds, tag = int(told["timeOut"]), told.get("tag", "")
    if tag != TAG or (seconds and not 10 <= seconds <= 120):
        raise Rejection("51000")
    exchange.core.count_down(ALL, seconds * 1000)
    return said({"triggerTime": str(exchange.core.countdowns.get(ALL, 0)), "tag": tag, "ts": str(exchange.now())})


def _leverage(exchange: OkxServer, told: Told) -> Any:
    rules = exchange.core.instrument(told["instId"])
    row = {"instId": rules.symbol, "mgnMode": told["mgnMode"], "posSide": "net", "lever": str(rules.leverage)}
    return said(row)


def _instruments(exchange: OkxServer, told: Told) -> Any:
    rows = [messages.instrument(one) for one in exchange.core.instruments.values()]
    return said(*(row for row in rows if row["instType"] == told["instType"]))


PUBLIC: Routes = {
    ("GET", "public/time"): lambda exchange, _told: said({"ts": str(exchange.now())}),
    ("GET", "public/instruments"): _instruments,
    ("GET", "public/mark-price"): lambda exchange, told: messages.mark(exchange.core, told["instId"], exchange.now()),
    ("GET", "public/funding-rate"): lambda exchange, told: messages.funding(exchange.core, told["instId"], exchange.now()),
    ("GET", "public/position-tiers"): lambda exchange, told: messages.tiers(exchange.core, told["instFamily"]),
    ("GET", "market/books"): lambda exchange, told: messages.book(
        exchange.core, told["instId"], exchange.now(), int(told.get("sz", 1))
    ),
    ("GET", "market/ticker"): lambda exchange, told: messages.ticker(exchange.core, told["instId"], exchange.now()),
    ("GET", "market/trades"): lambda exchange, told: messages.last(exchange.core, told["instId"]),
    ("GET", "market/index-tickers"): lambda exchange, told: messages.index(exchange.core, told["instId"], exchange.now()),
}
PRIVATE: Routes = {
    ("GET", "account/config"): lambda exchange, _told: messages.config(exchange),
    ("GET", "account/bills"): _bills,
    ("GET", "account/bills-archive"): _bills,
    ("GET", "account/balance"): lambda exchange, _told: messages.balance(exchange),
    ("GET", "account/positions"): lambda exchange, _told: messages.positions(exchange.core),
    ("GET", "account/leverage-info"): _leverage,
    ("GET", "account/trade-fee"): lambda exchange, _told: messages.fees(exchange.core),
    ("GET", "trade/order"): _find,
    ("POST", "trade/order"): _place,
    ("POST", "trade/cancel-order"): _cancel,
    ("POST", "trade/cancel-all-after"): _cancel_all_after,
    ("GET", "trade/orders-pending"): _pending,
    ("GET", "trade/orders-history"): _ended(7),
    ("GET", "trade/orders-history-archive"): _ended(90),
    ("GET", "trade/fills"): _fills(3),
    ("GET", "trade/fills-history"): _fills(90),
}


def _error(about: Any, seen: Seen) -> tuple[int, Any]:
    code = "51000" if about == MALFORMED else about
    return messages.refused(code, seen.method, seen.path, str(seen.parameters.get("clOrdId", "")))


OkxServer.skin = Skin(
    exchange="okx",
    hosts=(HOST, DEMO, LIVE),
    public=under("/api/v5/", PUBLIC),
    private=under("/api/v5/", PRIVATE),
    authenticate=authenticate,
    error=_error,
    outages=messages.OUTAGES,
)


def okx_core(**changes: Any) -> ExchangeCore:
    """100,000 USDT and 2 BTC; BTC at 50,000 and ETH at 2,500, linear and inverse; one market that is suspended."""
    linear: dict[str, Any] = {
        "step": Decimal("0.01"),
        "min_amount": Decimal("0.01"),
        "amount_digits": 2,
        "min_notional": ZERO,
        "max_leverage": 100,
    }
    instruments = [
        Instrument(symbol="BTC-USDT-SWAP", base="BTC", contract_size=Decimal("0.01"), **linear),
        Instrument(symbol="ETH-USDT-SWAP", base="ETH", contract_size=Decimal("0.1"), **linear | {"tick": Decimal("0.01")}),
        Instrument(
            symbol="BTC-USD-SWAP",
            base="BTC",
            quote="USD",
            settle="BTC",
            inverse=True,
            contract_size=Decimal(100),
            **linear | {"step": Decimal(1), "min_amount": Decimal(1), "amount_digits": 0},
        ),
        Instrument(
            symbol="ETH-USD-SWAP",
            base="ETH",
            quote="USD",
            settle="ETH",
            inverse=True,
            contract_size=Decimal(10),
            **linear | {"tick": Decimal("0.01"), "step": Decimal(1), "min_amount": Decimal(1), "amount_digits": 0},
        ),
        Instrument(symbol="DEAD-USDT-SWAP", base="DEAD", open=False, **linear),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USDT": Decimal(100_000), "BTC": Decimal(2)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTC-USDT-SWAP": Ladder(mid=Decimal(50_000), size=Decimal(100)),
            "ETH-USDT-SWAP": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(100)),
            "BTC-USD-SWAP": Ladder(mid=Decimal(50_000), size=Decimal(500)),
            "ETH-USD-SWAP": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(2_500)),
        },
    }
    return ExchangeCore(**(parts | changes))


def okx_spot_core(**changes: Any) -> SpotCore:
    """1 BTC at 50,000, 20 ETH at 2,500 and no cash."""
    instruments = [
        Instrument(
            symbol=f"{base}-USDT",
            base=base,
            tick=Decimal(tick),
            step=Decimal(step),
            min_amount=Decimal(least),
            amount_digits=8,
            min_notional=ZERO,
        )
        for base, tick, step, least in (("BTC", "0.1", "0.00000001", "0.0001"), ("ETH", "0.01", "0.000001", "0.001"))
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"BTC": Decimal(1), "ETH": Decimal(20)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTC-USDT": Ladder(mid=Decimal(50_000), spread=Decimal("0.2"), gap=Decimal("0.5"), size=Decimal(1)),
            "ETH-USDT": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(10)),
        },
    }
    return SpotCore(**(parts | changes))
