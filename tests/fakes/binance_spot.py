"""A loopback exchange that speaks Binance's spot REST, checks every signature and remembers every request.

``async with BinanceSpot(core=spot_core()) as exchange``, or ``in_thread`` for blocking code.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from tests.fakes import spot_messages as messages
from tests.fakes.binance_server import WALLET, BinanceServer, Rejection, Routes, Skin, binance_skin, page, span, wall_clock, which
from tests.fakes.exchange_core import Instrument, Ladder
from tests.fakes.spot_core import SpotCore

DAY = 86_400_000
ORDER_PARAMETERS = frozenset(
    {
        "symbol",
        "side",
        "type",
        "timeInForce",
        "quantity",
        "price",
        "newClientOrderId",
        "newOrderRespType",
        "timestamp",
        "recvWindow",
        "signature",
    }
)


def _place(exchange: "BinanceSpot", told: dict[str, str]) -> Any:
    if told["type"] != "LIMIT":
        raise Rejection(-1116)
    if not told.keys() <= ORDER_PARAMETERS:
        raise Rejection(-1104)
    order = exchange.core.place(
        client_id=told["newClientOrderId"],
        symbol=told["symbol"],
        sign={"BUY": 1, "SELL": -1}[told["side"]],
        amount=Decimal(told["quantity"]),
        price=Decimal(told["price"]),
        time_in_force=told["timeInForce"],
        reduce_only=False,
    )
    return messages.placed(order)


def _history(exchange: "BinanceSpot", told: dict[str, str]) -> Any:
    return [messages.order(one) for one in exchange.core.listed(told["symbol"], **span(told), longest=DAY)]


def _trades(exchange: "BinanceSpot", told: dict[str, str]) -> Any:
    wanted = exchange.core.trades_of(told["symbol"], int(told["orderId"]) if "orderId" in told else None)
    return [messages.trade(trade) for trade in page(wanted, told)]


PUBLIC: Routes = {
    ("GET", "ping"): lambda _exchange, _told: {},
    ("GET", "time"): lambda exchange, _told: {"serverTime": exchange.now()},
    ("GET", "exchangeInfo"): lambda exchange, _told: messages.exchange_info(exchange.core, exchange.now()),
    ("GET", "depth"): lambda exchange, told: messages.depth(exchange.core, told["symbol"], int(told.get("limit", 100))),
    ("GET", "ticker/price"): lambda exchange, told: messages.last(exchange.core, told["symbol"]),
    ("GET", "ticker/24hr"): lambda exchange, told: messages.ticker(exchange.core, told["symbol"], exchange.now()),
}
PRIVATE: Routes = {
    ("GET", "account"): lambda exchange, _told: messages.account(exchange.core, exchange.now()),
    ("GET", "account/commission"): lambda exchange, told: messages.commission(exchange.core, told["symbol"]),
    ("GET", "openOrders"): lambda exchange, told: [
        messages.order(one) for one in exchange.core.open_orders() if told.get("symbol", one.symbol) == one.symbol
    ],
    ("GET", "allOrders"): _history,
    ("GET", "myTrades"): _trades,
    ("GET", "order"): lambda exchange, told: messages.order(exchange.core.find(told["symbol"], **which(told))),
    ("POST", "order"): _place,
    ("DELETE", "order"): lambda exchange, told: messages.canceled(exchange.core.cancel(told["symbol"], **which(told))),
}


@dataclass(slots=True, kw_only=True)
class BinanceSpot(BinanceServer):
    """The spot exchange."""

    skin: ClassVar[Skin] = binance_skin(
        "binance",
        hosts=("demo-api.binance.com", WALLET),
        prefix="/api/v3/",
        public=PUBLIC,
        private=PRIVATE,
        error=messages.error,
        truth=messages.truth,
    )
    core: SpotCore
    unknown_key: ClassVar[int] = -2008


def spot_core(**changes: Any) -> SpotCore:
    """1 BTC at 50,000 and 20 ETH at 2,500, so half and half; a little of a coin that nobody trades; no cash."""
    common: dict[str, Any] = {"step": Decimal("0.00001"), "min_amount": Decimal("0.00001"), "amount_digits": 8, "price_digits": 8}
    instruments = [
        Instrument(symbol="BTCUSDT", base="BTC", tick=Decimal("0.01"), min_notional=Decimal(5), **common),
        Instrument(
            symbol="ETHUSDT",
            base="ETH",
            tick=Decimal("0.01"),
            min_notional=Decimal(5),
            **(common | {"step": Decimal("0.0001"), "min_amount": Decimal("0.0001")}),
        ),
        Instrument(symbol="BNBUSDT", base="BNB", tick=Decimal("0.1"), min_notional=Decimal(5), **common),
        Instrument(symbol="DEADUSDT", base="DEAD", open=False, **common),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"BTC": Decimal(1), "ETH": Decimal(20), "DOGE": Decimal("1234.5")},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTCUSDT": Ladder(mid=Decimal(50_000), spread=Decimal("0.02"), gap=Decimal("0.5"), size=Decimal(1)),
            "ETHUSDT": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(10)),
            "BNBUSDT": Ladder(mid=Decimal(600), spread=Decimal("0.2"), gap=Decimal("0.1"), size=Decimal(50)),
        },
    }
    return SpotCore(**(parts | changes))
