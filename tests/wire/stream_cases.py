"""The exchanges whose streams Keeper follows, market by market, and how a test waits for what they send."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from keeper.domain.book import Level
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_usdm import BinanceUsdm
from tests.fakes.binance_usdm import usual_core as usdm_core
from tests.fakes.bybit import Bybit
from tests.fakes.bybit_cores import inverse_core
from tests.fakes.bybit_desk import core_of, unified
from tests.fakes.exchange_core import ExchangeCore
from tests.fakes.loopback_server import LoopbackServer
from tests.fakes.loopback_venue import ShiftedClock, order
from tests.fakes.okx import OkxServer, okx_core, okx_spot_core

D = Decimal
LINEAR, INVERSE, SPOT = "BTC/USDT:USDT", "BTC/USD:BTC", "BTC/USDT"
AMOUNT = D("0.015")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCase:
    """One market of one exchange.

    market: the exchange's name of it; amount: contracts of an order; book_read: path of the request that reads a book;
    books_at, orders_at: where the streams of the testnet are; lie: what an order is told to be that has filled; garbage: of the
    exchange's own kind.
    """

    exchange: str
    serve: Callable[[], LoopbackServer]
    symbol: str
    market: str
    amount: Decimal = AMOUNT
    book_read: str
    books_at: str
    orders_at: str
    lie: dict[str, Any]
    garbage: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.exchange} {self.symbol}"

    def order(self) -> Any:
        return order(symbol=self.symbol, amount=self.amount)

    def core(self, server: LoopbackServer) -> ExchangeCore:
        """Where the market is traded."""
        return core_of(server, self.symbol) if isinstance(server, Bybit) and server.spot is not None else server.core

    def best(self, server: LoopbackServer) -> tuple[Level, Level]:
        """The best bid and ask, as they really are."""
        core = self.core(server)
        rules, ladder = core.instruments[self.market], core.ladders[self.market]
        found = [ladder.displayed(sign, rules, core.now())[0] for sign in (-1, 1)]
        return (Level(found[0][1], found[0][2]), Level(found[1][1], found[1][2]))

    async def moved(self, server: LoopbackServer, mid: Decimal) -> None:
        """The market moves, and its streams have told of it."""
        self.core(server).set_mid(self.market, mid)
        sent = server.streams.books
        await until(lambda: server.streams.books > sent + 2)

    def hosts(self, server: LoopbackServer) -> dict[str, str]:
        """Those that are asked over REST."""
        streams = {at.partition("/")[0] for at in (self.books_at, self.orders_at)}
        return {host: origin for host, origin in server.hosts.items() if host not in streams}

    async def followed(self, server: LoopbackServer, venue: CcxtVenue) -> tuple[Level, Level]:
        """The best bid and ask of the first quote that took its book from the stream."""
        for _ in range(150):
            before = len(server.seen(self.book_read))
            quote = await venue.quote(self.symbol)
            if len(server.seen(self.book_read)) == before:
                return quote.book.bids[0], quote.book.asks[0]
            await asyncio.sleep(0.02)  # noqa: TID251 - what a server sends takes real time
        raise AssertionError("no book was streamed")


@dataclass(slots=True)
class HastyClock(ShiftedClock):
    """Real time, of which a wait takes a twentieth."""

    waits: bool = field(default=True, init=False)

    async def sleep_until(self, at: datetime) -> None:
        now = self.now()
        await ShiftedClock.sleep_until(self, now + (at - now) / 20)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what a server sends."""
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.01)  # noqa: TID251 - what a server sends takes real time
    raise AssertionError("what was waited for did not come")


def _bybit(symbol: str, market: str, category: str, **changes: Any) -> StreamCase:
    topic = f"orderbook.200.{market}"
    parts: dict[str, Any] = {
        "serve": unified,
        "book_read": "market/orderbook",
        "books_at": f"stream.bybit.com/v5/public/{category}",
        "orders_at": "stream-demo.bybit.com/v5/private",
        "lie": {"orderStatus": "Cancelled", "cumExecQty": "0", "leavesQty": "0"},
        "garbage": (
            {"topic": topic, "type": "delta", "ts": 1, "data": {"s": market, "b": [["x", "y"]], "a": None}},
            {"topic": topic, "type": "snapshot", "data": None},
            {"topic": "order", "data": [None, {"orderId": 7, "symbol": market, "category": category}]},
            {"op": "auth", "success": False, "ret_msg": "Params Error"},
            {"success": False, "ret_msg": "error:handler not found", "op": "subscribe"},
        ),
    }
    return StreamCase(exchange="bybit", symbol=symbol, market=market, **(parts | changes))


def _okx(symbol: str, market: str, **changes: Any) -> StreamCase:
    about = {"channel": "books", "instId": market}
    parts: dict[str, Any] = {
        "serve": lambda: OkxServer(core=okx_core()),
        "book_read": "market/books",
        "books_at": "wspap.okx.com/ws/v5/public?brokerId=9999",
        "orders_at": "wspap.okx.com/ws/v5/private?brokerId=9999",
        "lie": {"state": "canceled", "accFillSz": "0", "avgPx": ""},
        "garbage": (
            {"arg": about, "action": "update", "data": [{"asks": [[None]], "bids": 3}]},
            {"arg": about, "action": "snapshot", "data": None},
            {"arg": {"channel": "orders"}, "data": [{"instId": None, "ordId": []}]},
            {"event": "error", "code": "60009", "msg": "Login failed."},
            {"event": "login", "code": "0"},
        ),
    }
    return StreamCase(exchange="okx", symbol=symbol, market=market, **(parts | changes))


USDM = StreamCase(
    exchange="binanceusdm",
    serve=lambda: BinanceUsdm(core=usdm_core()),
    symbol=LINEAR,
    market="BTCUSDT",
    book_read="depth",
    books_at="fstream.binancefuture.com/public/ws/0",
    orders_at="fstream.binancefuture.com/private/ws?listenKey=loopback-listen-key",
    lie={"status": "CANCELED", "executedQty": "0"},
    garbage=(
        {"e": "depthUpdate", "s": "BTCUSDT", "b": [["x"]], "a": 1, "U": 1, "u": 2, "pu": 0},
        {"e": "ORDER_TRADE_UPDATE", "o": None},
        {"error": {"code": 2, "msg": "Invalid request"}, "id": 99},
    ),
)
BYBIT = _bybit(LINEAR, "BTCUSDT", "linear")
BYBIT_SPOT = _bybit(SPOT, "BTCUSDT", "spot")
BYBIT_INVERSE = _bybit(INVERSE, "BTCUSD", "inverse", serve=lambda: Bybit(core=inverse_core()), amount=D(750))
OKX = _okx(LINEAR, "BTC-USDT-SWAP", amount=D("1.5"))
OKX_INVERSE = _okx(INVERSE, "BTC-USD-SWAP", amount=D(7))
OKX_SPOT = _okx(SPOT, "BTC-USDT", serve=lambda: OkxServer(core=okx_spot_core(wallet={"USDT": D(150_000)}), level="1"))
EXCHANGES = (USDM, BYBIT, OKX)
MARKETS = (USDM, BYBIT, BYBIT_INVERSE, BYBIT_SPOT, OKX, OKX_INVERSE, OKX_SPOT)
