"""A loopback exchange that speaks Binance COIN-M REST: contracts of 100 USD or of 10, each market in its own coin.

``async with BinanceCoinm(core=coinm_core()) as exchange``.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from tests.fakes import binance_messages as usdm
from tests.fakes import coinm_messages as messages
from tests.fakes.binance_server import (
    WALLET,
    BinanceServer,
    Rejection,
    Routes,
    Skin,
    between,
    binance_skin,
    page,
    span,
    wall_clock,
    which,
)
from tests.fakes.exchange_core import ExchangeCore, Instrument, Ladder

WEEK = 7 * 86_400_000
MOST_ORDERS = 100


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
    return messages.placed(exchange.core, order)


def _find(exchange: BinanceServer, told: dict[str, str]) -> Any:
    return messages.order(exchange.core, exchange.core.find(told["symbol"], **which(told)))


def _cancel(exchange: BinanceServer, told: dict[str, str]) -> Any:
    return messages.order(exchange.core, exchange.core.cancel(told["symbol"], **which(told)))


def _open(exchange: BinanceServer, told: dict[str, str]) -> Any:
    core = exchange.core
    return [messages.order(core, one) for one in core.open_orders() if told.get("symbol", one.symbol) == one.symbol]


def _history(exchange: BinanceServer, told: dict[str, str]) -> Any:
    asked = span(told)
    asked["limit"] = min(asked["limit"], MOST_ORDERS)
    return [messages.order(exchange.core, one) for one in exchange.core.listed(told["symbol"], **asked, longest=WEEK)]


def _trades(exchange: BinanceServer, told: dict[str, str]) -> Any:
    wanted = exchange.core.trades_of(told["symbol"], int(told["orderId"]) if "orderId" in told else None)
    return [messages.trade(exchange.core, trade) for trade in page(wanted, told)]


PUBLIC: Routes = {
    ("GET", "v1/ping"): lambda _exchange, _told: {},
    ("GET", "v1/time"): lambda exchange, _told: {"serverTime": exchange.now()},
    ("GET", "v1/exchangeInfo"): lambda exchange, _told: messages.exchange_info(exchange.core, exchange.now()),
    ("GET", "v1/depth"): lambda exchange, told: messages.depth(
        exchange.core, told["symbol"], exchange.now(), int(told.get("limit", 500))
    ),
    ("GET", "v1/premiumIndex"): lambda exchange, told: messages.premium(exchange.core, told["symbol"], exchange.now()),
    ("GET", "v1/fundingInfo"): lambda exchange, _told: usdm.funding_info(exchange.core),
    ("GET", "v1/ticker/price"): lambda exchange, told: messages.last(exchange.core, told["symbol"]),
    ("GET", "v1/ticker/24hr"): lambda exchange, told: messages.ticker(exchange.core, told["symbol"], exchange.now()),
}
PRIVATE: Routes = {
    ("GET", "v1/account"): lambda exchange, _told: messages.account(exchange.core, exchange.now()),
    ("GET", "v1/positionRisk"): lambda exchange, _told: messages.positions(exchange.core),
    ("GET", "v2/leverageBracket"): lambda exchange, told: messages.brackets(exchange.core, told["symbol"]),
    ("GET", "v1/positionSide/dual"): lambda exchange, _told: {"dualSidePosition": exchange.core.hedged},
    ("GET", "v1/commissionRate"): lambda exchange, told: usdm.commission(exchange.core, told["symbol"]),
    ("GET", "v1/openOrders"): _open,
    ("GET", "v1/allOrders"): _history,
    ("GET", "v1/userTrades"): _trades,
    ("GET", "v1/income"): lambda exchange, told: between(usdm.incomes(exchange.core), told),
    ("GET", "v1/order"): _find,
    ("POST", "v1/order"): _place,
    ("DELETE", "v1/order"): _cancel,
    ("POST", "v1/countdownCancelAll"): lambda exchange, told: usdm.countdown(
        exchange.core, told["symbol"], told["countdownTime"]
    ),
}


@dataclass(slots=True, kw_only=True)
class BinanceCoinm(BinanceServer):
    """The COIN-M exchange."""

    skin: ClassVar[Skin] = binance_skin(
        "binancecoinm",
        hosts=("demo-dapi.binance.com", "dapi.binance.com", WALLET),
        prefix="/dapi/",
        public=PUBLIC,
        private=PRIVATE,
        error=usdm.error,
        truth=usdm.truth,
    )


def coinm_core(**changes: Any) -> ExchangeCore:
    """2 BTC at 50,000 and 40 ETH at 2,500, and markets Keeper refuses."""
    common: dict[str, Any] = {
        "quote": "USD",
        "inverse": True,
        "step": Decimal(1),
        "amount_digits": 0,
        "min_amount": Decimal(1),
        "max_amount": Decimal(1_000_000),
        "min_notional": Decimal(0),
    }
    instruments = [
        Instrument(symbol="BTCUSD_PERP", base="BTC", settle="BTC", contract_size=Decimal(100), **common),
        Instrument(symbol="ETHUSD_PERP", base="ETH", settle="ETH", contract_size=Decimal(10), tick=Decimal("0.01"), **common),
        Instrument(
            symbol="BTCUSD_270326", base="BTC", settle="BTC", contract_size=Decimal(100), delivery=1_806_048_000_000, **common
        ),
        Instrument(symbol="DEADUSD_PERP", base="DEAD", settle="DEAD", contract_size=Decimal(10), open=False, **common),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"BTC": Decimal(2), "ETH": Decimal(40)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTCUSD_PERP": Ladder(mid=Decimal(50_000), size=Decimal(500)),
            "ETHUSD_PERP": Ladder(mid=Decimal(2_500), spread=Decimal("0.02"), gap=Decimal("0.05"), size=Decimal(500)),
        },
    }
    return ExchangeCore(**(parts | changes))
