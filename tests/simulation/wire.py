"""Between the service and the exchange: a ports.Venue whose requests and answers get lost, late, cut short or turned to garbage.

What an answer proves is decided by the verdicts and the strictness that a real venue uses, on the dialect of a real one.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from types import TracebackType
from typing import Any, Self

from keeper.domain.account import Account, Position
from keeper.domain.book import Level, OrderBook
from keeper.domain.errors import StaleData, VenueError, VenueRefused, VenueUnavailable
from keeper.domain.market import Market
from keeper.domain.numbers import plain
from keeper.domain.observation import FundingRate, MarketStats, Quote
from keeper.domain.order import Accepted, ChildState, Fill, OrderReport, OrderRequest, Outcome, Unknown, VenueOrder, is_stop
from keeper.domain.statement import Posting
from keeper.ports import Clock, VenueInfo
from keeper.simulation.clock import VirtualLoop
from keeper.venues import listing, verdicts
from keeper.venues.dialects import BINANCE_SPOT, BINANCE_USDM
from keeper.venues.parsing import milliseconds
from keeper.venues.speech.binance import LONGEST_WINDOW, Binance
from keeper.venues.transport import Flight
from tests.simulation.exchange import Exchange
from tests.simulation.faults import Faults, OrderFault, ReadFault
from tests.simulation.orders import AT_ONCE, Asked, Matching, Order, Refused
from tests.simulation.prices import lag
from tests.simulation.process import seconds, settle
from tests.simulation.trace import Trace

CANARY = "canary0f5ecret"
TIMEOUT = 10.0
OK = range(200, 300)
BAN = 30.0
LARGEST_OFFSET = timedelta(seconds=1)
STALE = timedelta(seconds=10)
TAKEN = (OrderFault.LOST_REPLY, OrderFault.ERROR_AFTER, OrderFault.TRUNCATED, OrderFault.LIE)
WORDS = {ChildState.LIVE: "NEW", ChildState.FILLED: "FILLED", ChildState.CANCELED: "EXPIRED"}
REST = (
    '"orderId": 1, "symbol": "BTC/USDT:USDT", "side": "BUY", "price": "1", "time": 1, "updateTime": 1, "cummulativeQuoteQty": "1"'
)
GARBAGE = (
    "<html>upstream</html>",
    "null",
    "[]",
    '{"orderId": 0}',
    f'{{"clientOrderId": "another", "status": "FILLED", "origQty": "1", "executedQty": "1", "avgPrice": "1", {REST}}}',
    f'{{"clientOrderId": null, "status": null, "origQty": "1", "executedQty": "NaN", "avgPrice": "-1", {REST}}}',
)
LIES = ((503, -1000), (400, -1001), (408, -1007), (400, -1006), (400, -4116), (503, -2019))


class WireFault(OSError):
    """What a client raises that got no answer; its text holds what a URL would."""


class Refusal(Exception):
    """What a client raises for an answer that is an error."""


class Wire:
    """One connection of one process to the exchange."""

    def __init__(
        self, info: VenueInfo, exchange: Exchange, faults: Faults, clock: Clock, loop: VirtualLoop, trace: Trace
    ) -> None:
        self.info = info
        self.clock = clock
        self.maintenance: Callable[[], bool] = lambda: False
        self.on_flight: Callable[[Asked, bool], None] = lambda _asked, _in_the_air: None
        self.stands_since: Callable[[], datetime | None] = lambda: None
        self._exchange = exchange
        self._faults = faults
        self._rng: Random = faults.rng
        self._loop = loop
        self._trace = trace
        self._offset = timedelta(0)
        self._silent_until = 0.0
        self._dialect = BINANCE_SPOT if info.exchange == BINANCE_SPOT.exchange else BINANCE_USDM

    async def __aenter__(self) -> Self:
        await self._answer("clock")
        self._offset = self.clock.now() - self._exchange.now() + seconds(self._rng.uniform(-0.02, 0.02))
        if not abs(self._offset) <= LARGEST_OFFSET:
            raise VenueRefused("clock", f"this machine's clock is {self._offset.total_seconds():+.3f} s off the venue's")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._silent_until = 0.0

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        return {symbol: self._exchange.markets[symbol] for symbol in symbols}

    async def price(self, asset: str, currency: str) -> Decimal:
        await self._answer(f"price of {asset}")
        raise VenueRefused("no_price", f"nothing prices {asset} in {currency}")

    async def stats(self, symbol: str) -> MarketStats:
        await self._answer(f"day of {symbol}")
        return MarketStats(volume=Decimal(100_000), volatility=Decimal("0.03"))

    async def quote(self, symbol: str) -> Quote:
        try:
            fault = await self._answer(f"quote of {symbol}")
        except (VenueError, StaleData):
            self._exchange.told(symbol, sane=False)
            raise
        at = self._exchange.now()
        mark, (bids, asks) = self._exchange.prices.mark(symbol), self._exchange.prices.book(symbol)
        off = dict.fromkeys(("mark", "index", "last", "book"), Decimal(1))
        if fault is ReadFault.SPIKE:
            spiked = self._rng.choice(tuple(off))
            off[spiked] = Decimal(self._rng.choice(("0.5", "0.98", "1.02", "2", "10")))
            self._trace.add("wire", "spike", f"{spiked} of {symbol} x {off[spiked]}")
        tick = self._exchange.markets[symbol].tick
        book = OrderBook(
            bids=tuple(Level(price * off["book"] // tick * tick, amount) for price, amount in bids),
            asks=tuple(Level(price * off["book"] // tick * tick, amount) for price, amount in asks),
            at=at,
        )
        age = self.clock.now() - self._offset - at
        if not abs(age) <= STALE:
            self._exchange.told(symbol, sane=False)
            raise StaleData(f"book of {symbol} is {age.total_seconds():.1f} s old")
        self._exchange.told(symbol, sane=True)
        return Quote(mark=mark * off["mark"], book=book, index=mark * off["index"], last=mark * off["last"])

    async def account(self) -> Account:
        await self._answer("account")
        stands_since = self.stands_since()
        seen = self._exchange.seen(self._read_at() if stands_since is None else stands_since)
        prices, markets = self._exchange.prices, self._exchange.markets
        positions = {
            symbol: Position(symbol=symbol, contracts=size, entry=entry, mark=prices.mark(symbol))
            for symbol, (size, entry) in seen.positions.items()
            if not self._exchange.is_spot(symbol)
        }
        coins = {markets[symbol].base: size for symbol, (size, _) in seen.positions.items() if self._exchange.is_spot(symbol)}
        exposure = sum((abs(one.contracts) * one.mark for one in positions.values()), Decimal(0))
        return Account(
            balances={"USDT": seen.cash, **coins},
            positions=positions,
            open_orders=self._resting(),
            free_margin=None if self._dialect is BINANCE_SPOT else self._exchange.nav() - exposure / 20,
            at=self.clock.now(),
        )

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        await self._answer("open orders")
        return self._resting(stops=True)

    def _resting(self, *, stops: bool = False) -> tuple[VenueOrder, ...]:
        at = self._read_at()
        seen = ((order, order.as_of(at)) for order in self._exchange.orders if stops or not is_stop(order.client_id))
        return tuple(order.shown(told) for order, told in seen if told is not None and told.state is ChildState.LIVE)

    async def time(self) -> datetime:
        await self._answer("clock")
        return self._exchange.now()

    async def lookup(self, symbol: str, client_id: str) -> OrderReport | None:
        await self._answer(f"order {client_id}")
        at = self._read_at()
        for order in reversed(self._exchange.under(client_id)):
            if order.symbol == symbol and (answer := self._told(order, at)) is not None:
                return self._report(answer, symbol, client_id)
        return None

    async def heard(self, client_id: str, by: datetime) -> None:  # noqa: ARG002 - it sends nothing by itself
        await self.clock.sleep_until(by)

    async def fills(self, symbol: str, order_id: str) -> tuple[Fill, ...]:
        await self._answer(f"trades of {order_id}")
        at = self._read_at()
        return tuple(
            Fill(
                trade_id=trade.trade_id,
                symbol=order.symbol,
                side=order.side,
                amount=trade.amount,
                price=trade.price,
                fee=trade.fee,
                fee_asset=trade.fee_asset,
                at=trade.at,
            )
            for order in self._exchange.orders
            if order.order_id == order_id and order.symbol == symbol
            for trade in order.trades
            if trade.at <= at
        )

    async def orders(self, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        await self._answer(f"orders of {symbol}")
        at = self._read_at()
        found = (order for order in self._exchange.orders if order.symbol == symbol and order.at >= since)
        return tuple(order.shown(told) for order in found if (told := order.as_of(at)) is not None)

    async def cancel(self, symbol: str, client_id: str) -> None:
        await self._answer(f"cancel of {client_id}")
        self._trace.add(
            "exchange", "canceled" if self._exchange.cancel(client_id) else "nothing to cancel", f"{client_id} of {symbol}"
        )
        await self._travel()

    async def ledger(self, since: datetime) -> tuple[Posting, ...] | None:
        await self._answer(f"ledger since {since}")
        return self._exchange.ledger(since)

    async def alike(self, symbol: str) -> tuple[str, ...]:  # noqa: ARG002 - every market has a base of its own
        return ()

    async def funding(self, symbol: str) -> FundingRate | None:
        await self._answer(f"funding of {symbol}")
        return None

    async def dead_man(self, symbols: Sequence[str], within: timedelta | None) -> bool:
        await self._answer(f"dead man of {symbols}, {within}")
        return True

    async def place(self, request: OrderRequest) -> Outcome:
        flight = Flight()
        try:
            answer = await self._send(self._asked(request), flight)
            report = self._report(answer, request.symbol, request.client_id)
        except (Refusal, WireFault, VenueRefused, VenueUnavailable, StaleData, ValueError) as error:
            outcome = verdicts.of_order(self._dialect, flight, error)
            self._trace.add("wire", str(type(outcome).__name__).lower(), f"{request.client_id} {outcome}")
            return outcome
        if flight.status not in OK:
            return Unknown(f"HTTP {flight.status} with an order in it")
        return Accepted(report)

    def _report(self, answer: object, symbol: str, client_id: str) -> OrderReport:
        speech = self._dialect.speech
        assert isinstance(speech, Binance)
        return listing.report(speech.row(answer, lambda market: market), symbol, client_id)

    def _asked(self, request: OrderRequest) -> Asked:
        stamp = self.clock.now() - self._offset
        left = request.deadline - self.clock.now()
        if not left > timedelta(0):
            raise VenueRefused("deadline", "its deadline has passed")
        return Asked(
            client_id=request.client_id,
            symbol=request.symbol,
            side=request.side,
            amount=request.amount,
            price=request.price,
            reduce_only=request.reduce_only,
            sent=stamp,
            window=min(left, timedelta(milliseconds=LONGEST_WINDOW)),
            host=min(self._dialect.hosts[self.info.environment]),
            trigger=request.trigger,
        )

    async def _send(self, asked: Asked, flight: Flight) -> Any:
        """Send an order once; the answer as a client returns it, or what it raises."""
        if self._loop.time() < self._silent_until:
            raise VenueUnavailable("the venue asked for silence")
        fault = self._faults.order()
        if fault is OrderFault.NEVER_SENT:
            raise WireFault(f"no connection: {CANARY}")
        flight.sent = True
        self._trace.add(
            "wire", "sent", f"{asked.client_id} {asked.side} {plain(asked.amount)} at {plain(asked.price)} {fault or ''}"
        )
        reply: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        self._depart(asked, fault, reply)
        status, body = await reply
        if status == 0:
            raise WireFault(f"no answer: {CANARY}")
        flight.status, flight.body = status, body
        if status in (418, 429):
            self._silent_until = self._loop.time() + BAN
        if status not in OK:
            raise Refusal(f"HTTP {status}: {CANARY}")
        return json.loads(body)

    def _depart(self, asked: Asked, fault: OrderFault | None, reply: "asyncio.Future[tuple[int, str]]") -> None:
        """Put a request on the wire: from here on it takes its way, whatever becomes of its sender."""

        def answer(after: float, status: int, body: str) -> None:
            self._loop.call_later(after, settle, reply, (status, body))

        self.on_flight(asked, True)
        late = self._rng.uniform(0.3, 8.0) if fault is OrderFault.LATE else self._rng.uniform(0.02, 0.09)
        if fault is OrderFault.LATE:
            answer(self._rng.choice((0.2, 3.0, TIMEOUT)), 0, "")
        elif fault is OrderFault.LOST_REQUEST or fault is OrderFault.LOST_REPLY:
            answer(TIMEOUT, 0, "")
        self._loop.call_later(late, self._arrive, asked, fault, answer)

    def _arrive(self, asked: Asked, fault: OrderFault | None, answer: Callable[[float, int, str], None]) -> None:
        self.on_flight(asked, False)
        back = self._rng.uniform(0.02, 0.09)
        if self._stopped(fault, back, answer):
            return
        try:
            order = self._exchange.receive(asked, self._matching(fault))
        except Refused as refused:
            self._trace.add("exchange", "refused", f"{asked.client_id} {refused.code}")
            status, body = 400, json.dumps({"code": refused.code, "msg": refused.message})
        else:
            status, body = 200, json.dumps(self._told(order, order.told[-1].at))
        if fault is OrderFault.ERROR_AFTER:
            answer(
                back, 503, self._rng.choice(("", '{"code": -1007, "msg": "Timeout waiting for response from backend server."}'))
            )
        elif fault is OrderFault.TRUNCATED:
            answer(back, status, body[: self._rng.randrange(len(body))])
        elif fault is OrderFault.GARBAGE:
            answer(back, 200, self._rng.choice(GARBAGE))
        elif fault is OrderFault.LIE:
            lie, code = self._rng.choice(LIES)
            answer(back, lie, json.dumps({"code": code, "msg": "said the venue"}))
        elif fault is not OrderFault.LOST_REPLY:
            answer(back, status, body)

    def _stopped(self, fault: OrderFault | None, back: float, answer: Callable[[float, int, str], None]) -> bool:
        """Whether an order ends before the exchange takes it, answered or not."""
        if fault is OrderFault.LOST_REQUEST:
            return True
        if self.maintenance() or fault is OrderFault.ERROR_BEFORE:
            status = self._rng.choice((500, 502, 503, 504))
            answer(back, status, self._rng.choice(("<html>bad gateway</html>", '{"code": -1001, "msg": "Internal error."}')))
            return True
        if fault is OrderFault.RATE_LIMIT:
            answer(back, self._rng.choice((418, 429)), '{"code": -1003, "msg": "Too many requests."}')
            return True
        if fault is OrderFault.GARBAGE and self._rng.random() < 1 / 2:
            answer(back, 200, self._rng.choice(GARBAGE))
            return True
        return False

    def _matching(self, fault: OrderFault | None) -> Matching:
        rng = self._rng
        if fault is OrderFault.PARTIAL:
            return Matching(share=Decimal(rng.randrange(6)) / 10)
        if fault is OrderFault.STAGED:
            return Matching(share=Decimal(rng.choice(("0.5", "1"))), pause=seconds(rng.uniform(0.05, 1.5)))
        if fault is OrderFault.FILL_AFTER_CANCEL:
            return Matching(pause=seconds(rng.uniform(0.01, 0.3)), early=True)
        return AT_ONCE

    def _told(self, order: Order, at: datetime) -> dict[str, object] | None:
        """An order as a client shows it that sees the exchange as it was at ``at``."""
        told = order.as_of(at)
        if told is None:
            return None
        trades = order.trades[: told.trades]
        filled = sum((trade.amount for trade in trades), Decimal(0))
        value = sum((trade.amount * trade.price for trade in trades), Decimal(0))
        return {
            "orderId": order.order_id,
            "clientOrderId": order.client_id,
            "symbol": order.symbol,
            "time": milliseconds(order.at),
            "updateTime": milliseconds(told.at),
            "side": order.side.value.upper(),
            "price": plain(order.price) if order.trigger is None else "0",
            "origQty": plain(order.amount),
            "status": "PARTIALLY_FILLED" if told.state is ChildState.LIVE and filled else WORDS[told.state],
            "executedQty": plain(filled),
            "cummulativeQuoteQty": plain(value),
            "avgPrice": plain(value / filled) if filled else "0",
        }

    def _read_at(self) -> datetime:
        return self._exchange.now() - lag(self._rng, 0.0 if self._faults.ended else self._faults.lag)

    async def _answer(self, what: str) -> ReadFault | None:
        """Ask and wait for the answer's arrival at this end; what it shows is as of now. Raises what a read may."""
        self._exchange.strike()
        if self._loop.time() < self._silent_until:
            raise VenueUnavailable(f"{what}: the venue asked for silence")
        fault = self._faults.read()
        if fault is ReadFault.NO_ANSWER or self.maintenance():
            await self._travel(TIMEOUT if fault else None)
            raise VenueUnavailable(f"{what} failed: no whole answer")
        await self._travel()
        if fault is ReadFault.UNREADABLE:
            raise StaleData(f"{what}: the venue's answer can't be read")
        if fault is ReadFault.RATE_LIMIT:
            self._silent_until = self._loop.time() + BAN
            raise VenueUnavailable(f"{what} failed: HTTP 429")
        return fault

    async def _travel(self, delay: float | None = None) -> None:
        arrival: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_later(self._rng.uniform(0.02, 0.09) if delay is None else delay, settle, arrival, None)
        await arrival
