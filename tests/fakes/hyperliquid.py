"""A loopback exchange that speaks Hyperliquid's REST: who signed an action is found out, and whether that wallet may.

``async with Hyperliquid(core=hyperliquid_core()) as exchange``. What the exchange says to an action that came after its deadline
is not documented; any text that is on no list will do.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from tests.fakes import hyperliquid_messages as messages
from tests.fakes.exchange_core import ALL, ExchangeCore, Instrument, Ladder, Reason, Refusal, Status, Unique
from tests.fakes.hyperliquid_signatures import address_of, signer
from tests.fakes.loopback_requests import Fault, Seen
from tests.fakes.loopback_server import MALFORMED, LoopbackServer, Rejection, Skin, Told, wall_clock
from tests.fakes.loopback_venue import PRIVATE_KEY, WALLET

AGENT = address_of(PRIVATE_KEY)
STRANGER_KEY = "0x" + "33" * 32
TESTNET, LIVE = "api.hyperliquid-testnet.xyz", "api.hyperliquid.xyz"
OLDEST_NONCE, NEWEST_NONCE = 2 * 86_400_000, 86_400_000
SHORTEST_COUNTDOWN = 5000
MOST = 2000
DIGITS = 5


def authenticate(exchange: Any, seen: Seen) -> None:
    """That whoever signed may act for the account, once, and in time."""
    told = json.loads(seen.body)
    expires = told.get("expiresAfter")
    address = signer(told["action"], told["nonce"], expires, told["signature"], testnet=seen.host == TESTNET)
    if address != exchange.user and exchange.now() >= exchange.agents.get(address, 0):
        raise Rejection(f"User or API Wallet {address} does not exist.")
    if not exchange.now() - OLDEST_NONCE < told["nonce"] < exchange.now() + NEWEST_NONCE:
        raise Rejection(f"Invalid nonce: {told['nonce']} is out of bounds")
    if told["nonce"] in exchange.nonces:
        raise Rejection(f"Invalid nonce: duplicate nonce {told['nonce']}")
    exchange.nonces.add(told["nonce"])
    if expires is not None and exchange.now() > expires:
        raise Rejection("The action has expired.")


def error(about: Any, seen: Seen) -> tuple[int, Any]:
    if about == MALFORMED:
        return 422, "Failed to deserialize the JSON body into the target type"
    if not isinstance(about, Reason):
        return 200, messages.no(about)
    if about is Reason.NO_SUCH_ORDER:
        return 200, {"status": "unknownOid"}
    if seen.path == "/info":
        return 500, "null"
    kind = "order" if seen.parameters["action"]["type"] == "order" else "cancel"
    return 200, messages.refused(kind, f"{messages.TEXTS[about]} asset=0")


def _coin(exchange: "Hyperliquid", asset: int) -> str:
    return list(exchange.core.instruments)[asset]


def _place(exchange: "Hyperliquid", action: Told) -> Any:
    [told] = action["orders"]
    price = Decimal(told["p"])
    if price != int(price) and len(price.normalize().as_tuple().digits) > DIGITS:
        raise Refusal(Reason.TICK)
    order = exchange.core.place(
        client_id=told.get("c", ""),
        symbol=_coin(exchange, told["a"]),
        sign=1 if told["b"] else -1,
        amount=Decimal(told["s"]),
        price=price,
        time_in_force=told["t"]["limit"]["tif"].upper(),
        reduce_only=told["r"],
    )
    if order.status is Status.EXPIRED and not order.filled:
        return messages.refused("order", f"{messages.UNMATCHED} asset={told['a']}")
    echo = {"cloid": told["c"]} if exchange.echoes and "c" in told else {}
    if order.filled:
        filled = {"totalSz": messages.text(order.filled), "avgPx": messages.text(order.average), "oid": order.id}
        return messages.done("order", {"filled": filled | echo})
    return messages.done("order", {"resting": {"oid": order.id} | echo})


def _cancel(exchange: "Hyperliquid", action: Told) -> Any:
    [told] = action["cancels"]
    exchange.core.cancel(_coin(exchange, told["asset"]), order_id=None, client_id=told["cloid"])
    return messages.done("cancel", "success")


def _schedule(exchange: "Hyperliquid", action: Told) -> Any:
    if exchange.volume < 1_000_000:
        traded = f"Required: $1000000. Traded: ${exchange.volume}."
        raise Rejection(f"Cannot set scheduled cancel time until enough volume traded. {traded}")
    wait = action["time"] - exchange.now() if "time" in action else 0
    if "time" in action and wait < SHORTEST_COUNTDOWN - 500:
        raise Rejection("Scheduled cancel time too early, must be at least 5 seconds from now.")
    exchange.core.count_down(ALL, wait)
    return {"status": "ok", "response": {"type": "default"}}


ACTIONS: Mapping[str, Callable[["Hyperliquid", Told], Any]] = {
    "order": _place,
    "cancelByCloid": _cancel,
    "scheduleCancel": _schedule,
    "approveBuilderFee": lambda _exchange, _action: {"status": "ok", "response": {"type": "default"}},
    "setReferrer": lambda _exchange, _action: {"status": "ok", "response": {"type": "default"}},
}


def _role(exchange: "Hyperliquid", told: Told) -> Any:
    address = told["user"]
    if address in exchange.agents:
        return {"role": "agent", "data": {"user": exchange.user}}
    return exchange.roles.get(address, {"role": "user" if address == exchange.user else "missing"})


def _agents(exchange: "Hyperliquid", told: Told) -> Any:
    found = exchange.agents if told["user"] == exchange.user else {}
    return [{"address": address, "name": "keeper", "validUntil": until} for address, until in found.items()]


def _status(exchange: "Hyperliquid", told: Told) -> Any:
    named = told["oid"]
    by_id, by_name = (named, None) if isinstance(named, int) else (None, named)
    return {"status": "order", "order": messages.with_status(exchange.core.find(ALL, order_id=by_id, client_id=by_name))}


def _owned(exchange: "Hyperliquid", told: Told) -> ExchangeCore:
    if told["user"] != exchange.user:
        raise Rejection("this is another's account")
    return exchange.core


def _history(exchange: "Hyperliquid", told: Told) -> Any:
    core = _owned(exchange, told)
    ended = [one for one in core.orders.values() if not one.status.rests and one.forced is None]
    return [messages.with_status(one) for one in sorted(ended, key=lambda one: -one.at)[:MOST]]


def _trades(exchange: "Hyperliquid", told: Told) -> Any:
    core = _owned(exchange, told)
    found = [one for one in core.trades if told["startTime"] <= one.at <= told.get("endTime", exchange.now())]
    return [messages.trade(one, core.orders[one.order_id]) for one in found[:MOST]]


def _candles(exchange: "Hyperliquid", told: Told) -> Any:
    asked = told["req"]
    return messages.candles(exchange.core, asked["coin"], asked["startTime"], asked["endTime"])


def _fees(exchange: "Hyperliquid", _told: Told) -> Any:
    return {
        "userCrossRate": messages.text(exchange.core.fee_rate),
        "userAddRate": "-0.00001",
        "activeReferralDiscount": "0.04",
    }


def _asset(exchange: "Hyperliquid", told: Told) -> Any:
    return {"user": told["user"], "coin": told["coin"], "leverage": messages.leverage(exchange.core, told["coin"])}


INFO: Mapping[str, Callable[["Hyperliquid", Told], Any]] = {
    "exchangeStatus": lambda exchange, _told: {"specialStatuses": None, "time": exchange.now()},
    "meta": lambda exchange, _told: messages.meta(exchange.core),
    "metaAndAssetCtxs": lambda exchange, _told: [messages.meta(exchange.core), messages.contexts(exchange.core)],
    "l2Book": lambda exchange, told: messages.book(exchange.core, told["coin"], exchange.now()),
    "recentTrades": lambda exchange, told: messages.recent(exchange.core, told["coin"]),
    "candleSnapshot": _candles,
    "userRole": _role,
    "userAbstraction": lambda exchange, _told: json.dumps(exchange.mode),
    "extraAgents": _agents,
    "clearinghouseState": lambda exchange, told: messages.state(_owned(exchange, told), exchange.now()),
    "frontendOpenOrders": lambda exchange, told: [messages.order(one) for one in _owned(exchange, told).open_orders()],
    "historicalOrders": _history,
    "orderStatus": _status,
    "userFillsByTime": _trades,
    "userFees": _fees,
    "activeAssetData": _asset,
}


def _info(exchange: "Hyperliquid", told: Told) -> Any:
    return INFO[told["type"]](exchange, told)


@dataclass(slots=True, kw_only=True)
class Hyperliquid(LoopbackServer):
    """The exchange.

    user: the address of the account; agents: until when they may act for it (ms); roles: of addresses beside those; mode: how
    the account's collateral is kept; volume: that it traded; echoes: whether the answer to an order repeats its client id;
    nonces: that were used.
    """

    skin: ClassVar[Skin] = Skin(
        exchange="hyperliquid",
        hosts=(TESTNET, LIVE),
        public={("POST", "/info"): _info},
        private={("POST", "/exchange"): lambda exchange, told: ACTIONS[told["action"]["type"]](exchange, told["action"])},
        authenticate=authenticate,
        error=error,
        truth=messages.truth,
    )
    user: str = WALLET
    agents: dict[str, int] = field(default_factory=lambda: {AGENT: 1_900_000_000_000})
    roles: dict[str, Any] = field(default_factory=dict)
    mode: str = "default"
    volume: Decimal = Decimal(2_000_000)
    echoes: bool = True
    nonces: set[int] = field(default_factory=set)

    def actions(self, kind: str = "") -> list[dict[str, Any]]:
        """The actions of one kind, or all, that were sent."""
        sent = [one.parameters["action"] for one in self.seen("/exchange")]
        return [one for one in sent if kind in ("", one["type"])]


def about(kind: str, alter: Callable[[Any], Any]) -> Fault:
    """A fault of the answer to one kind of question."""
    return Fault("info", "alter", alter=alter, says=f'"type":"{kind}"')


def theirs(client_id: str) -> str:
    """How one of our client ids stands there."""
    return "0x6b7072" + client_id.removeprefix("kpr")


def hyperliquid_core(**changes: Any) -> ExchangeCore:
    """100,000 USDC; BTC at 50,000, ETH at 2,500, a coin of half a cent, and one that was delisted."""
    common: dict[str, Any] = {"quote": "USDC", "settle": "USDC", "min_notional": Decimal(10), "max_leverage": 40}
    instruments = [
        _market("BTC", 5, **common),
        _market("ETH", 4, **common),
        _market("kPEPE", 0, **common),
        _market("DEAD", 1, open=False, **common),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USDC": Decimal(100_000)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTC": Ladder(mid=Decimal(50_000), spread=Decimal(2), gap=Decimal(1)),
            "ETH": Ladder(mid=Decimal(2_500), spread=Decimal("0.2"), gap=Decimal("0.1"), size=Decimal(10)),
            "kPEPE": Ladder(mid=Decimal("0.005"), spread=Decimal("0.000002"), gap=Decimal("0.000001"), size=Decimal(1_000_000)),
        },
        "fee_rate": Decimal("0.00045"),
        "unique": Unique.NO,
    }
    return ExchangeCore(**(parts | changes))


def _market(coin: str, decimals: int, **changes: Any) -> Instrument:
    step, digits = Decimal(1).scaleb(-decimals), messages.DECIMALS - decimals
    told: dict[str, Any] = {
        "symbol": coin,
        "base": coin,
        "step": step,
        "min_amount": Decimal(0),
        "amount_digits": decimals,
        "price_digits": digits,
        "tick": Decimal(1).scaleb(-digits),
        "max_amount": Decimal(10) ** 9,
    }
    return Instrument(**(told | changes))
