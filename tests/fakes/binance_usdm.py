"""A loopback exchange that speaks Binance USD-M REST, checks every signature and remembers every request.

In a test: ``async with BinanceUsdm(...) as exchange`` or, for blocking code, ``with in_thread(exchange)``. From a shell:
``python -m tests.fakes.binance_usdm`` prints one JSON line with its URL; ``GET /truth`` and ``POST /mid`` are for the test.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from tests.fakes import binance_messages as messages
from tests.fakes.binance_server import (
    API_KEY,
    SECRET,
    WALLET,
    BinanceServer,
    Fault,
    Rejection,
    Routes,
    Seen,
    Skin,
    between,
    binance_skin,
    in_thread,
    page,
    span,
    wall_clock,
    which,
)
from tests.fakes.binance_streams import LISTEN_KEY, UsdmStreams
from tests.fakes.exchange_core import ExchangeCore, Instrument, Ladder, MarginMode
from tests.fakes.exchange_stops import StopDesk

__all__ = ["API_KEY", "HOSTS", "SECRET", "BinanceUsdm", "Fault", "Seen", "in_thread", "usual_core"]

WEEK = 7 * 86_400_000
HOSTS = ("demo-fapi.binance.com", "fapi.binance.com", WALLET, "fstream.binancefuture.com", "fstream.binance.com")


def _place(exchange: BinanceServer, told: dict[str, str]) -> Any:
    if told["type"] != "LIMIT":
        raise Rejection(-1116)
    order = exchange.core.place(
        client_id=told["newClientOrderId"],
        symbol=told["symbol"],
        sign={"BUY": 1, "SELL": -1}[told["side"]],
        amount=Decimal(told["quantity"]),
        price=Decimal(told["price"]),
        time_in_force=told["timeInForce"],
        reduce_only=told.get("reduceOnly") == "true",
    )
    return messages.placed(order)


def _find(exchange: BinanceServer, told: dict[str, str]) -> Any:
    return messages.order(exchange.core.find(told["symbol"], **which(told)))


def _cancel(exchange: BinanceServer, told: dict[str, str]) -> Any:
    return messages.order(exchange.core.cancel(told["symbol"], **which(told)))


def _history(exchange: BinanceServer, told: dict[str, str]) -> Any:
    return [messages.order(one) for one in exchange.core.listed(told["symbol"], **span(told), longest=WEEK)]


def _trades(exchange: BinanceServer, told: dict[str, str]) -> Any:
    wanted = exchange.core.trades_of(told["symbol"], int(told["orderId"]) if "orderId" in told else None)
    return [messages.trade(trade) for trade in page(wanted, told)]


def _depth(exchange: BinanceServer, told: dict[str, str]) -> Any:
    return messages.depth(exchange.core, told["symbol"], exchange.now(), int(told.get("limit", 500)))


def _place_stop(exchange: "BinanceUsdm", told: dict[str, str]) -> Any:
    said = told["algoType"], told["type"], told["workingType"], told["reduceOnly"]
    if said != ("CONDITIONAL", "STOP_MARKET", "MARK_PRICE", "true"):
        raise Rejection(-1116)
    stop = exchange.desk.place(
        client_id=told["clientAlgoId"],
        symbol=told["symbol"],
        sign={"BUY": 1, "SELL": -1}[told["side"]],
        amount=Decimal(told["quantity"]),
        trigger=Decimal(told["triggerPrice"]),
    )
    return messages.stop(stop)


def _find_stop(exchange: "BinanceUsdm", told: dict[str, str]) -> Any:
    stop_id = int(told["algoId"]) if "algoId" in told else None
    return messages.stop(exchange.desk.find(client_id=told.get("clientAlgoId"), stop_id=stop_id))


def _cancel_stop(exchange: "BinanceUsdm", told: dict[str, str]) -> Any:
    stop = exchange.desk.cancel(told["clientAlgoId"])
    return {"algoId": stop.id, "clientAlgoId": stop.client_id, "code": "200", "msg": "success"}


def _stops(exchange: "BinanceUsdm", told: dict[str, str]) -> Any:
    first, last = int(told["startTime"]), int(told["endTime"])
    if last - first > WEEK:
        raise Rejection(-1127)
    found = [stop for stop in exchange.desk.stops if stop.symbol == told["symbol"] and first <= stop.at <= last]
    return [messages.stop(stop) for stop in found[: int(told.get("limit", 500))]]


DONE = {"code": 200, "msg": "success"}


def _set_hedged(exchange: BinanceServer, told: dict[str, str]) -> Any:
    wanted = {"true": True, "false": False}[told["dualSidePosition"]]
    if wanted is exchange.core.hedged:
        raise Rejection(-4059)
    _flat_or(exchange, -4068, -4067)
    exchange.core.set_hedged(hedged=wanted)
    return DONE


def _set_margin(exchange: BinanceServer, told: dict[str, str]) -> Any:
    wanted = {"CROSSED": MarginMode.CROSS, "ISOLATED": MarginMode.ISOLATED}[told["marginType"]]
    if wanted is exchange.core.margin_mode(told["symbol"]):
        raise Rejection(-4046)
    _flat_or(exchange, -4048, -4047)
    exchange.core.set_margin_mode(told["symbol"], wanted)
    return DONE


def _flat_or(exchange: BinanceServer, held: int, resting: int) -> None:
    if any(one.amount for one in exchange.core.holdings.values()):
        raise Rejection(held)
    if exchange.core.open_orders():
        raise Rejection(resting)


def _set_leverage(exchange: BinanceServer, told: dict[str, str]) -> Any:
    exchange.core.set_leverage(told["symbol"], int(told["leverage"]))
    return {"symbol": told["symbol"], "leverage": int(told["leverage"]), "maxNotionalValue": "10000000"}


PUBLIC: Routes = {
    ("GET", "v1/ping"): lambda _exchange, _told: {},
    ("GET", "v1/time"): lambda exchange, _told: {"serverTime": exchange.now()},
    ("GET", "v1/exchangeInfo"): lambda exchange, _told: messages.exchange_info(exchange.core, exchange.now()),
    ("GET", "v1/depth"): _depth,
    ("GET", "v1/premiumIndex"): lambda exchange, told: messages.premium(exchange.core, told["symbol"], exchange.now()),
    ("GET", "v1/fundingInfo"): lambda exchange, _told: messages.funding_info(exchange.core),
    ("GET", "v2/ticker/price"): lambda exchange, told: messages.last(exchange.core, told["symbol"]),
    ("GET", "v1/ticker/24hr"): lambda exchange, told: messages.ticker(exchange.core, told["symbol"], exchange.now()),
}
KEYED = {(method, "v1/listenKey"): lambda _exchange, _told: {"listenKey": LISTEN_KEY} for method in ("POST", "PUT")}
"""What names the key and is not signed."""
PRIVATE: Routes = {
    ("GET", "v3/account"): lambda exchange, _told: messages.account(exchange.core, exchange.now()),
    ("GET", "v3/positionRisk"): lambda exchange, _told: messages.positions(exchange.core, exchange.now()),
    ("GET", "v1/leverageBracket"): lambda exchange, told: [
        table
        for symbol in ([told["symbol"]] if "symbol" in told else exchange.core.ladders)
        for table in messages.brackets(exchange.core, symbol, exchange.bracket_coefficient)
    ],
    ("GET", "v1/symbolConfig"): lambda exchange, told: messages.setting(exchange.core, told["symbol"]),
    ("GET", "v1/positionSide/dual"): lambda exchange, _told: {"dualSidePosition": exchange.core.hedged},
    ("GET", "v1/commissionRate"): lambda exchange, told: messages.commission(exchange.core, told["symbol"]),
    ("GET", "v1/openOrders"): lambda exchange, told: [
        messages.order(one) for one in exchange.core.open_orders() if told.get("symbol", one.symbol) == one.symbol
    ],
    ("GET", "v1/allOrders"): _history,
    ("GET", "v1/userTrades"): _trades,
    ("GET", "v1/income"): lambda exchange, told: between(messages.incomes(exchange.core), told),
    ("GET", "v1/order"): _find,
    ("POST", "v1/order"): _place,
    ("DELETE", "v1/order"): _cancel,
    ("GET", "v1/algoOrder"): _find_stop,
    ("POST", "v1/algoOrder"): _place_stop,
    ("DELETE", "v1/algoOrder"): _cancel_stop,
    ("GET", "v1/allAlgoOrders"): _stops,
    ("GET", "v1/openAlgoOrders"): lambda exchange, _told: [messages.stop(stop) for stop in exchange.desk.resting()],
    ("POST", "v1/positionSide/dual"): _set_hedged,
    ("POST", "v1/marginType"): _set_margin,
    ("POST", "v1/leverage"): _set_leverage,
    ("POST", "v1/countdownCancelAll"): lambda exchange, told: messages.countdown(
        exchange.core, told["symbol"], told["countdownTime"]
    ),
}


@dataclass(slots=True, kw_only=True)
class BinanceUsdm(BinanceServer):
    """The USD-M exchange. bracket_coefficient: what an account of its own kind may hold of each bracket."""

    skin: ClassVar[Skin] = binance_skin(
        "binanceusdm",
        hosts=HOSTS,
        prefix="/fapi/",
        public={**PUBLIC, **KEYED},
        private=PRIVATE,
        error=messages.error,
        truth=messages.truth,
    )
    bracket_coefficient: str | None = None
    desk: StopDesk = field(init=False)

    def __post_init__(self) -> None:
        self.desk = StopDesk(self.core)

    streams: UsdmStreams = field(default_factory=UsdmStreams)


def usual_core(**changes: Any) -> ExchangeCore:
    """100 USDT per point of nothing special: 100,000 USDT, BTC at 50,000 and ETH at 2,500, and markets Keeper refuses."""
    instruments = [
        Instrument(symbol="BTCUSDT", base="BTC"),
        Instrument(symbol="ETHUSDT", base="ETH", tick=Decimal("0.01"), min_notional=Decimal(20)),
        Instrument(symbol="BTCUSDT_270326", base="BTC", delivery=1_806_048_000_000),
        Instrument(symbol="DEADUSDT", base="DEAD", open=False),
        Instrument(symbol="ODDUSDT", base="ODD", settle="BTC"),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USDT": Decimal(100_000)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTCUSDT": Ladder(mid=Decimal(50_000)),
            "ETHUSDT": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(10), half_life=2.0),
        },
    }
    return ExchangeCore(**(parts | changes))


async def _stand_alone(arguments: argparse.Namespace) -> None:
    core = usual_core()
    core.wallet = {asset: Decimal(amount) for asset, amount in (one.split("=") for one in arguments.balance)} or core.wallet
    for symbol, mid in (one.split("=") for one in arguments.mid):
        core.set_mid(symbol, Decimal(mid))
    for symbol, held in (one.split("=") for one in arguments.position):
        amount, entry = held.split("@")
        core.hold(symbol, Decimal(amount), Decimal(entry))
    exchange = BinanceUsdm(core=core, api_key=arguments.api_key, secret=arguments.secret, delay=arguments.delay)
    await exchange.start(arguments.port)
    sys.stdout.write(json.dumps({"url": exchange.url}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default=API_KEY)
    parser.add_argument("--secret", default=SECRET)
    parser.add_argument("--delay", type=float, default=0.0)
    for name, example in (("balance", "USDT=100000"), ("mid", "BTCUSDT=52500"), ("position", "BTCUSDT=-3@50000")):
        parser.add_argument(f"--{name}", action="append", default=[], metavar=example)
    try:
        asyncio.run(_stand_alone(parser.parse_args()))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
