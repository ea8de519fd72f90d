"""A loopback exchange that speaks KuCoin's futures REST: signatures with their passphrase, envelopes, pages of a week at most."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from tests.fakes import kucoin_messages as messages
from tests.fakes.exchange_core import ALL, ExchangeCore, Instrument, Ladder, Reason, Refusal, Unique
from tests.fakes.loopback_requests import Seen
from tests.fakes.loopback_server import MALFORMED, LoopbackServer, Rejection, Routes, Skin, Told, wall_clock

HOSTS = ("api-futures.kucoin.com", "api.kucoin.com")
SIGNATURE_LIFE = 5_000
WEEK = 7 * 86_400_000


@dataclass(slots=True, kw_only=True)
class KucoinServer(LoopbackServer):
    """What differs from one account to another. repeats_ids: whether an order is answered with its client id too; lag: ms
    after which an order is found by its ids."""

    unified: bool = False
    repeats_ids: bool = True
    lag: int = 0
    permission: str = "General,Futures"
    addresses: str = ""


def _sealed(secret: str, text: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def _authenticate(exchange: LoopbackServer, seen: Seen) -> None:
    key, stamp, signature, passphrase = (seen.header(f"KC-API-{name}") for name in ("KEY", "TIMESTAMP", "SIGN", "PASSPHRASE"))
    if not (key and stamp and signature and passphrase):
        raise Rejection("400001")
    if abs(exchange.now() - int(stamp)) > SIGNATURE_LIFE:
        raise Rejection("400002")
    if key != exchange.api_key:
        raise Rejection("400003")
    asked = f"{seen.path}?{seen.query}" if seen.query else seen.path
    if not hmac.compare_digest(_sealed(exchange.secret, stamp + seen.method + asked + seen.body.decode()), signature):
        raise Rejection("400005")
    if seen.header("KC-API-KEY-VERSION") != "2" or _sealed(exchange.secret, exchange.passphrase) != passphrase:
        raise Rejection("400004")


def _place(exchange: KucoinServer, told: Told) -> Any:
    core = exchange.core
    if told["type"] != "limit" or not isinstance(told["size"], int):
        raise Rejection("300000")
    if told["symbol"] in core.instruments and told.get("marginMode", "ISOLATED") != core.margin_mode(told["symbol"]).upper():
        raise Rejection("330005")
    order = core.place(
        client_id=told["clientOid"],
        symbol=told["symbol"],
        sign={"buy": 1, "sell": -1}[told["side"]],
        amount=Decimal(told["size"]),
        price=Decimal(told["price"]),
        time_in_force=told["timeInForce"],
        reduce_only=told.get("reduceOnly") is True,
    )
    ids = {"orderId": str(order.id), "clientOid": order.client_id}
    return messages.fine(ids if exchange.repeats_ids else {"orderId": ids["orderId"]})


def _find(exchange: KucoinServer, told: Told) -> Any:
    order = exchange.core.find(ALL, order_id=None, client_id=told["clientOid"])
    if exchange.core.now() - order.at < exchange.lag:
        raise Refusal(Reason.NO_SUCH_ORDER)
    return messages.fine(messages.order(exchange.core, order))


def _cancel(exchange: KucoinServer, told: Told) -> Any:
    exchange.core.cancel(told["symbol"], order_id=None, client_id=told["clientOid"])
    return messages.fine({"clientOid": told["clientOid"]})


def _within(exchange: KucoinServer, told: Told) -> tuple[int, int]:
    """Which times a list is asked for: a week at most, the latest one unless told."""
    last = int(told.get("endAt", exchange.now()))
    first = int(told.get("startAt", last - WEEK))
    if last - first > WEEK:
        raise Refusal(Reason.TOO_LONG_A_TIME)
    return first, last


def _orders(exchange: KucoinServer, told: Told) -> Any:
    core, symbol = exchange.core, told.get("symbol", ALL)
    if told.get("status") == "active":
        found = core.open_orders(symbol)
    else:
        first, last = _within(exchange, told)
        # whoever the exchange itself orders something for is told of the trades alone
        ended = [one for one in core.orders.values() if not one.status.rests and not one.forced]
        found = [one for one in ended if symbol in (ALL, one.symbol) and first <= one.at <= last]
    return messages.fine(messages.page([messages.order(core, one) for one in reversed(found)], told))


def _fills(exchange: KucoinServer, told: Told) -> Any:
    core = exchange.core
    if "orderId" in told:
        found = core.trades_of(ALL, int(told["orderId"]))
    else:
        first, last = _within(exchange, told)
        found = [one for one in core.trades_of(told["symbol"]) if first <= one.at <= last]
    return messages.fine(messages.page([messages.trade(one, core.orders[one.order_id]) for one in reversed(found)], told))


def _margin_mode(exchange: KucoinServer, told: Told) -> Any:
    exchange.core.instrument(told["symbol"])
    return messages.fine({"symbol": told["symbol"], "marginMode": exchange.core.margin_mode(told["symbol"]).upper()})


def _leverage(exchange: KucoinServer, told: Told) -> Any:
    return messages.fine({"symbol": told["symbol"], "leverage": str(exchange.core.instrument(told["symbol"]).leverage)})


def _fees(exchange: KucoinServer, told: Told) -> Any:
    return messages.fine({"symbol": told["symbol"], "takerFeeRate": str(exchange.core.fee_rate), "makerFeeRate": "0.0002"})


def _key(exchange: KucoinServer, _told: Told) -> Any:
    facts = {"remark": "keeper", "apiKey": exchange.api_key, "apiVersion": 3, "permission": exchange.permission}
    return messages.fine(facts | ({"ipWhitelist": exchange.addresses} if exchange.addresses else {}))


PUBLIC: Routes = {
    ("GET", "/api/v1/timestamp"): lambda exchange, _told: messages.fine(exchange.now()),
    ("GET", "/api/v1/contracts/active"): lambda exchange, _told: messages.fine(
        [messages.contract(exchange.core, symbol) for symbol in exchange.core.instruments]
    ),
    ("GET", "/api/v1/contracts/{symbol}"): lambda exchange, told: messages.fine(messages.contract(exchange.core, told["symbol"])),
    ("GET", "/api/v1/contracts/risk-limit/{symbol}"): lambda exchange, told: messages.fine(
        messages.limits(exchange.core, told["symbol"])
    ),
    ("GET", "/api/v1/level2/depth100"): lambda exchange, told: messages.fine(
        messages.book(exchange.core, told["symbol"], exchange.now())
    ),
    ("GET", "/api/v1/mark-price/{symbol}/current"): lambda exchange, told: messages.fine(
        messages.mark(exchange.core, told["symbol"], exchange.now())
    ),
    ("GET", "/api/v1/ticker"): lambda exchange, told: messages.fine(messages.last(exchange.core, told["symbol"])),
}
PRIVATE: Routes = {
    ("GET", "/api/ua/v1/account/mode"): lambda exchange, _told: messages.fine(
        {"selfAccountMode": "UNIFIED" if exchange.unified else "CLASSIC"}
    ),
    ("GET", "/api/v2/position/getPositionMode"): lambda exchange, _told: messages.fine(
        {"positionMode": int(exchange.core.hedged)}
    ),
    ("GET", "/api/v2/position/getMarginMode"): _margin_mode,
    ("GET", "/api/v2/getCrossUserLeverage"): _leverage,
    ("GET", "/api/v1/account-overview"): lambda exchange, told: messages.fine(messages.overview(exchange.core, told["currency"])),
    ("GET", "/api/v1/positions"): lambda exchange, _told: messages.fine(messages.positions(exchange.core)),
    ("GET", "/api/v1/orders"): _orders,
    ("GET", "/api/v1/orders/byClientOid"): _find,
    ("GET", "/api/v1/fills"): _fills,
    ("GET", "/api/v1/trade-fees"): _fees,
    ("GET", "/api/v1/user/api-key"): _key,
    ("POST", "/api/v1/orders"): _place,
    ("DELETE", "/api/v1/orders/client-order/{clientOid}"): _cancel,
}


@dataclass(slots=True, kw_only=True)
class KucoinFutures(KucoinServer):
    """The exchange, which has no testnet."""

    skin: ClassVar[Skin] = Skin(
        exchange="kucoinfutures",
        hosts=HOSTS,
        public=PUBLIC,
        private=PRIVATE,
        authenticate=_authenticate,
        error=lambda about, _seen: messages.error("400100" if about == MALFORMED else about),
        outages={code: messages.error(code) for code in messages.TEXTS} | {"429": messages.error("429000")},
        truth=messages.truth,
    )


def usual_core(**changes: Any) -> ExchangeCore:
    """100,000 USDT and 2 BTC; BTC at 50,000 in lots of 0.001 and in coin-margined ones of 1 USD, ETH at 2,500 likewise."""
    lots: dict[str, Any] = {
        "step": Decimal(1),
        "amount_digits": 0,
        "min_amount": Decimal(1),
        "max_amount": Decimal(1_000_000),
        "min_notional": Decimal(0),
    }
    instruments = [
        Instrument(symbol="XBTUSDTM", base="BTC", contract_size=Decimal("0.001"), **lots),
        Instrument(symbol="ETHUSDTM", base="ETH", contract_size=Decimal("0.01"), tick=Decimal("0.01"), **lots),
        Instrument(symbol="XBTUSDM", base="BTC", quote="USD", settle="BTC", inverse=True, **lots),
        Instrument(symbol="ETHUSDM", base="ETH", quote="USD", settle="ETH", inverse=True, tick=Decimal("0.05"), **lots),
        Instrument(symbol="DEADUSDTM", base="DEAD", open=False, **lots),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USDT": Decimal(100_000), "BTC": Decimal(2)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "XBTUSDTM": Ladder(mid=Decimal(50_000), size=Decimal(1_000)),
            "ETHUSDTM": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(1_000)),
            "XBTUSDM": Ladder(mid=Decimal(50_000), size=Decimal(50_000)),
            "ETHUSDM": Ladder(mid=Decimal(2_500), spread=Decimal("0.1"), gap=Decimal("0.05"), size=Decimal(50_000)),
        },
        "unique": Unique.EVER,
    }
    return ExchangeCore(**(parts | changes))
