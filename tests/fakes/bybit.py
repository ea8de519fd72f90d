"""A loopback exchange that speaks Bybit's v5 for one unified account, checks every signature and remembers every request.

``async with Bybit(core=usual_core()) as exchange``; what is traded on spot stands in ``spot``, or is the core itself. Cursors
are told as that exchange tells them: percent-encoded, and after the last page too, but for positions.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote

from tests.fakes import bybit_messages as messages
from tests.fakes.bybit_streams import BybitStreams
from tests.fakes.exchange_core import ExchangeCore, Instrument, Order, Reason, Refusal
from tests.fakes.exchange_stops import place_in_line
from tests.fakes.loopback_requests import Seen
from tests.fakes.loopback_server import MALFORMED, LoopbackServer, Rejection, Routes, Skin, Told, under
from tests.fakes.spot_core import SpotCore

HOSTS = ("api-demo.bybit.com", "api.bybit.com", "stream-demo.bybit.com", "stream.bybit.com")
AHEAD, DEFAULT_WINDOW = 1000, 5000
DAY = 86_400_000
WEEK = 7 * DAY
KEPT_AT_HAND = 500
MAY_TRADE = {"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"], "Wallet": ["AccountTransfer"], "Options": []}


@dataclass(slots=True, kw_only=True)
class Bybit(LoopbackServer):
    """The exchange.

    spot: shares its wallet with the core; status, margin_mode: of the account; denied: a code that answers every private
    request; key: what is told of the API key beside the usual; borrowed: on spot, by coin; restarted: orders that ended are
    in the history alone; history_lags: they are not in there yet.
    """

    skin: ClassVar[Skin]
    spot: SpotCore | None = None
    status: int = 6
    margin_mode: str = "REGULAR_MARGIN"
    denied: int = 0
    key: dict[str, Any] = field(default_factory=dict)
    borrowed: dict[str, Decimal] = field(default_factory=dict)
    restarted: bool = False
    history_lags: bool = False
    streams: BybitStreams = field(default_factory=BybitStreams)

    def desk(self, category: str) -> ExchangeCore | None:
        """Who trades a category; nobody where nothing of it is listed."""
        if category not in ("linear", "inverse", "spot"):
            raise Rejection(10001)
        if category == "spot":
            return self.core if isinstance(self.core, SpotCore) else self.spot
        return None if isinstance(self.core, SpotCore) else self.core

    def listed_in(self, category: str) -> list[Instrument]:
        desk = self.desk(category)
        found = [] if desk is None else list(desk.instruments.values())
        return [one for one in found if category in ("spot", messages.category_of(one))]

    def trading(self, told: Told) -> ExchangeCore:
        """Who trades the market that a request names."""
        desk = self.desk(told["category"])
        if desk is None or told["symbol"] not in {one.symbol for one in self.listed_in(told["category"])}:
            raise Refusal(Reason.UNKNOWN_SYMBOL)
        return desk

    def said(self, **result: Any) -> Any:
        return messages.answer(result, self.now())


def authenticate(exchange: Bybit, seen: Seen) -> None:
    """Key, signature and time window of a private request, all in its headers."""
    key, stamp, window = (seen.header(f"X-BAPI-{name}") for name in ("API-KEY", "TIMESTAMP", "RECV-WINDOW"))
    if key != exchange.api_key:
        raise Rejection(10003)
    signed = (stamp + key + window).encode() + (seen.body if seen.method == "POST" else seen.query.encode())
    expected = hmac.new(exchange.secret.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, seen.header("X-BAPI-SIGN")):
        raise Rejection(10004)
    age = exchange.now() - int(stamp)
    if not -AHEAD < age <= int(window or DEFAULT_WINDOW):
        raise Rejection(10002)
    if exchange.denied:
        raise Rejection(exchange.denied)


def error(about: Any, seen: Seen) -> tuple[int, Any]:
    return 200, messages.error(10001 if about == MALFORMED else about, str(seen.parameters.get("category", "")))


def _page(exchange: Bybit, told: Told, rows: Sequence[Any], usual: int, most: int, *, ends: bool = False) -> Any:
    first = int(told["cursor"].partition(":")[2]) if "cursor" in told else 0
    limit = int(told.get("limit", usual))
    if not 1 <= limit <= most:
        raise Rejection(10001)
    shown = rows[first : first + limit]
    following = quote(f"page:{first + limit}", safe="") if shown and not (ends and first + limit >= len(rows)) else ""
    return exchange.said(category=told["category"], list=list(shown), nextPageCursor=following)


def _instruments(exchange: Bybit, told: Told) -> Any:
    word = messages.pair if told["category"] == "spot" else messages.instrument
    found = [] if told.get("status") == "PreLaunch" else [word(one) for one in exchange.listed_in(told["category"])]
    return exchange.said(category=told["category"], list=found, nextPageCursor="")


def _book(exchange: Bybit, told: Told) -> Any:
    limit = int(told.get("limit", 25))
    return exchange.said(**messages.depth(exchange.trading(told), told["symbol"], exchange.now(), limit))


def _tickers(exchange: Bybit, told: Told) -> Any:
    row = messages.ticker(exchange.trading(told), told["symbol"], told["category"])
    return exchange.said(category=told["category"], list=[row])


def _recent(exchange: Bybit, told: Told) -> Any:
    return exchange.said(category=told["category"], list=[messages.last(exchange.trading(told), told["symbol"])])


def _risk_limits(exchange: Bybit, told: Told) -> Any:
    rows = messages.tiers(exchange.trading(told).instrument(told["symbol"]))
    return exchange.said(category=told["category"], list=rows, nextPageCursor="")


def _place(exchange: Bybit, told: Told) -> Any:
    desk, spot = exchange.trading(told), told["category"] == "spot"
    if "triggerPrice" in told:
        return _place_stop(exchange, told)
    if told["orderType"] != "Limit" or (spot and told.get("isLeverage")) or (not spot and "isLeverage" in told):
        raise Rejection(10001)
    if not spot and told.get("positionIdx") != 0:
        raise Refusal(Reason.POSITION_SIDE)
    order = desk.place(
        client_id=told["orderLinkId"],
        symbol=told["symbol"],
        sign={"Buy": 1, "Sell": -1}[told["side"]],
        amount=Decimal(told["qty"]),
        price=Decimal(told["price"]),
        time_in_force=told["timeInForce"],
        reduce_only=told.get("reduceOnly") is True,
    )
    return exchange.said(orderId=messages.named(order.id, told["category"]), orderLinkId=order.client_id)


def _place_stop(exchange: Bybit, told: Told) -> Any:
    sign = {"Buy": 1, "Sell": -1}[told["side"]]
    said = told["orderType"], told["triggerBy"], told["triggerDirection"], told["reduceOnly"], told["positionIdx"]
    if told["category"] == "spot" or said != ("Market", "MarkPrice", 1 if sign > 0 else 2, True, 0):
        raise Rejection(10001)
    order = place_in_line(
        exchange.trading(told),
        client_id=told["orderLinkId"],
        symbol=told["symbol"],
        sign=sign,
        amount=Decimal(told["qty"]),
        trigger=Decimal(told["triggerPrice"]),
    )
    return exchange.said(orderId=messages.named(order.id, told["category"]), orderLinkId=order.client_id)


def _cancel(exchange: Bybit, told: Told) -> Any:
    order = exchange.trading(told).cancel(told["symbol"], order_id=None, client_id=told["orderLinkId"])
    return exchange.said(orderId=messages.named(order.id, told["category"]), orderLinkId=order.client_id)


def _selected(exchange: Bybit, told: Told) -> list[Order]:
    """The orders that a request is about, newest first; which coins they settle in must be said of linear ones."""
    category, desk = told["category"], exchange.desk(told["category"])
    if category == "linear" and not {"symbol", "settleCoin", "baseCoin"} & told.keys():
        raise Rejection(10001)
    symbols = {
        one.symbol
        for one in exchange.listed_in(category)
        if told.get("symbol", one.symbol) == one.symbol and told.get("settleCoin", one.settle) == one.settle
    }
    named = told.get("orderLinkId")
    if desk is None:
        return []
    desk.open_orders()
    found = [one for one in desk.orders.values() if one.symbol in symbols and named in (None, one.client_id)]
    return sorted(found, key=lambda one: (one.at, one.id), reverse=True)


def _realtime(exchange: Bybit, told: Told) -> Any:
    found = _selected(exchange, told)
    at_hand = [] if exchange.restarted else [one for one in found if not one.status.rests][:KEPT_AT_HAND]
    resting = [one for one in found if one.status.rests]
    # what is asked for by its name is found whether it rests or not
    shown = [*resting, *at_hand] if "orderLinkId" in told else at_hand if told.get("openOnly") == "1" else resting
    return _page(exchange, told, [messages.order(one, told["category"]) for one in shown], 20, 50)


def _history(exchange: Bybit, told: Told) -> Any:
    now = exchange.core.now()
    last = int(told.get("endTime", now))
    first = int(told.get("startTime", last - WEEK))
    if last - first > WEEK:
        raise Refusal(Reason.TOO_LONG_A_TIME)
    found = [] if exchange.history_lags else _selected(exchange, told)
    kept = [one for one in found if not one.status.rests and first <= one.at <= last and (one.filled or one.at > now - DAY)]
    return _page(exchange, told, [messages.order(one, told["category"]) for one in kept], 20, 50)


def _executions(exchange: Bybit, told: Told) -> Any:
    category, desk = told["category"], exchange.desk(told["category"])
    if desk is None:
        return _page(exchange, told, [], 50, 100)
    symbols, rows = {one.symbol for one in exchange.listed_in(category)}, []
    for one in reversed(desk.trades):
        row = messages.trade(one, desk.orders[one.order_id], category)
        if one.symbol in symbols and all(told.get(name, row[name]) == row[name] for name in ("symbol", "orderId", "orderLinkId")):
            rows.append(row)
    return _page(exchange, told, rows, 50, 100)


def _log(exchange: Bybit, told: Told) -> Any:
    first, last = int(told["startTime"]), int(told["endTime"])
    if told["accountType"] != "UNIFIED" or last - first > 7 * 86_400_000:
        raise Rejection(10001)
    rows = [row for row in messages.log(exchange.core) if first <= int(row["transactionTime"]) <= last]
    return _page(exchange, {"category": "", **told}, rows, 20, 50)


def _positions(exchange: Bybit, told: Told) -> Any:
    category = told["category"]
    if category == "linear" and not {"symbol", "settleCoin"} & told.keys():
        raise Rejection(10001)
    core, rows = exchange.core, []
    for one in exchange.listed_in(category):
        wanted = told.get("symbol", one.symbol) == one.symbol and told.get("settleCoin", one.settle) == one.settle
        if wanted and one.symbol in core.ladders and (core.held(one.symbol) or "symbol" in told):
            rows.append(messages.position(core, one.symbol, exchange.now()))
    return _page(exchange, told, rows, 20, 200, ends=True)


def _wallet(exchange: Bybit, told: Told) -> Any:
    if told["accountType"] != "UNIFIED":
        raise Rejection(10001)
    core = exchange.core
    assets = dict.fromkeys([*core.wallet, *(core.instruments[name].settle for name in core.holdings)])
    isolated = exchange.margin_mode == "ISOLATED_MARGIN"
    account = {
        "accountType": "UNIFIED",
        "totalEquity": "0",
        "totalAvailableBalance": "" if isolated else messages.text(core.available()),
        "coin": [messages.coin(core, asset, exchange.borrowed.get(asset, Decimal(0))) for asset in assets],
    }
    return exchange.said(list=[account])


def _key(exchange: Bybit, _told: Told) -> Any:
    usual = {
        "id": "13770661",
        "note": "keeper",
        "apiKey": exchange.api_key,
        "readOnly": 0,
        "secret": "",
        "permissions": MAY_TRADE,
        "ips": ["*"],
        "type": 1,
        "deadlineDay": 83,
        "expiredAt": "2027-05-15T03:21:05Z",
        "createdAt": "2026-10-16T02:24:40Z",
        "uta": 1,
    }
    return exchange.said(**(usual | exchange.key))


def _account(exchange: Bybit, _told: Told) -> Any:
    return exchange.said(
        marginMode=exchange.margin_mode,
        updatedTime="1697078946000",
        unifiedMarginStatus=exchange.status,
        dcpStatus="OFF",
        timeWindow=10,
        smpGroup=0,
        spotHedgingStatus="OFF",
    )


def _fee_rate(exchange: Bybit, told: Told) -> Any:
    taker = messages.text(exchange.trading(told).fee_rate, 6)
    row = {"symbol": told["symbol"], "baseCoin": "", "takerFeeRate": taker, "makerFeeRate": "0.0002"}
    return exchange.said(category=told["category"], list=[row])


def _time(exchange: Bybit, _told: Told) -> Any:
    return exchange.said(timeSecond=str(exchange.now() // 1000), timeNano=str(exchange.now() * 1_000_000))


PUBLIC: Routes = {
    ("GET", "market/time"): _time,
    ("GET", "market/instruments-info"): _instruments,
    ("GET", "market/orderbook"): _book,
    ("GET", "market/tickers"): _tickers,
    ("GET", "market/recent-trade"): _recent,
    ("GET", "market/risk-limit"): _risk_limits,
}
PRIVATE: Routes = {
    ("GET", "account/info"): _account,
    ("GET", "account/wallet-balance"): _wallet,
    ("GET", "account/transaction-log"): _log,
    ("GET", "account/fee-rate"): _fee_rate,
    ("GET", "user/query-api"): _key,
    ("GET", "position/list"): _positions,
    ("GET", "order/realtime"): _realtime,
    ("GET", "order/history"): _history,
    ("GET", "execution/list"): _executions,
    ("POST", "order/create"): _place,
    ("POST", "order/cancel"): _cancel,
}

Bybit.skin = Skin(
    exchange="bybit",
    hosts=HOSTS,
    public=under("/v5/", PUBLIC),
    private=under("/v5/", PRIVATE),
    authenticate=authenticate,
    error=error,
    outages={
        "429": (429, messages.error(10006, "")),
        "10006": (200, messages.error(10006, "")),
        "10016": (200, messages.error(10016, "")),
    },
    truth=messages.truth,
)
