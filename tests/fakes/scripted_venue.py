"""A venue that goes wrong on demand. Behind it stands a paper exchange, which keeps the truth that tests judge by.

Orders go wrong by their number, reads by how often they are to fail; everything else is the paper exchange's answer, as late
as ``lag`` says.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum, auto
from types import TracebackType
from typing import Self, TypeVar

from keeper.domain.account import Account
from keeper.domain.errors import VenueUnavailable
from keeper.domain.market import Market, Side
from keeper.domain.numbers import ZERO
from keeper.domain.observation import FundingRate, MarketStats, Quote
from keeper.domain.order import (
    NEVER_SENT,
    Accepted,
    ChildState,
    Fill,
    OrderReport,
    OrderRequest,
    Outcome,
    Rejected,
    Unknown,
    VenueOrder,
)
from keeper.domain.statement import Posting
from keeper.ports import Clock, VenueInfo
from keeper.venues.paper.ledger import Booked
from keeper.venues.paper.venue import PaperVenue
from tests.fakes.turns import turns

T = TypeVar("T")


class Fault(StrEnum):
    """What becomes of one order. Those that hang wait until they are cancelled."""

    LOST_REQUEST = auto()
    LOST_REPLY = auto()
    LATE = auto()
    """No answer, and it arrives just after the venue said for the first time that it has no such order."""
    LATER = auto()
    """No answer, and it arrives just after the venue said so for the second time."""
    REJECTED = auto()
    NEVER_LEFT = auto()
    HANG_BEFORE = auto()
    HANG_AFTER = auto()
    MUTE = auto()
    """Accepted, but the answer tells of no fill, as one that overtakes the matching engine does."""
    RESTING = auto()
    """Accepted, and told as live for ever."""


class ScriptedVenue:
    """A ports.Venue around ``inner``.

    lag: seconds by which every read is late, against the ``read_lag`` that it admits to (the same by default);
    trade_lag: seconds that trades are later still; faults: by number of the order, from 1; after: what happens once that
    order was dealt with; on_place, on_read, on_arrival: called as a request goes out, a read begins, and with the true
    account before and after an order arrived; failing: how many calls of a kind (account, quote, stats, lookup, fills,
    orders, cancel, dead_man) are still to fail; mute: markets without a quote;
    resting: orders that rest, by client id, until they are canceled; foreign:
    orders of somebody else; stubborn: client ids that no cancel reaches; canceled: the client ids that a cancel asked for;
    countdowns: what the dead-man switch was told, None where the venue has none.
    """

    def __init__(
        self, inner: PaperVenue, *, lag: float = 0.0, read_lag: float | None = None, trade_lag: float = 0.0, account: str = "acc1"
    ) -> None:
        self.inner = inner
        self._info = replace(inner.info, read_lag=lag if read_lag is None else read_lag, account=account)
        self.lag = timedelta(seconds=lag)
        self.trade_lag = timedelta(seconds=trade_lag)
        self.late_by = timedelta(seconds=2)
        self.faults: dict[int, Fault] = {}
        self.after: dict[int, Callable[[], object]] = {}
        self.failing: dict[str, int] = {}
        self.mute: set[str] = set()
        self.on_read: Callable[[str], object] = lambda _kind: None
        self.on_place: Callable[[OrderRequest], object] = lambda _request: None
        self.on_arrival: Callable[[Account, Account], object] = lambda _before, _after: None
        self.log: list[tuple[str, str]] = []
        self.sent: list[OrderRequest] = []
        self.arrived: list[str] = []
        self.hanging = asyncio.Event()
        self.in_flight = 0
        self.most_in_flight = 0
        self.resting: dict[str, VenueOrder] = {}
        self.foreign: list[VenueOrder] = []
        self.account_lag: timedelta | None = None
        self.outside_fills: dict[str, list[Fill]] = {}
        self.stubborn: set[str] = set()
        self.canceled: list[str] = []
        self.countdowns: list[tuple[tuple[str, ...], timedelta | None]] | None = None
        self._truths = [(self.clock.now(), inner._ledger.account)]
        self._in_the_air: dict[str, list[OrderRequest]] = {}

    @property
    def info(self) -> VenueInfo:
        return self._info

    @property
    def clock(self) -> Clock:
        return self.inner.clock

    @property
    def booked(self) -> Mapping[str, Booked]:
        """The truth: every order that the exchange took, by client id."""
        return self.inner._ledger.orders

    @property
    def held(self) -> Account:
        """The truth: the account."""
        return self.inner._ledger.account

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.inner.__aexit__(kind, error, trace)

    def rest(self, client_id: str, symbol: str, contracts: str, *, at: datetime | None = None) -> VenueOrder:
        """An order rests, ours if its client id is. contracts: signed."""
        order = self._outside(client_id, symbol, Decimal(contracts), at or self.clock.now())
        self.resting[client_id] = order
        return order

    def meddle(self, symbol: str, contracts: str, price: str, *, client_id: str = "web_1", forced: bool = False) -> None:
        """Somebody else trades on the account, or the venue itself does."""
        order = self._outside(client_id, symbol, Decimal(contracts), self.clock.now())
        order = replace(order, filled=order.amount, average=Decimal(price), state=ChildState.FILLED, forced=forced)
        self.foreign.append(order)
        self._trade(order, Decimal(contracts), Decimal(price))

    def strike(self, client_id: str, contracts: str, price: str) -> None:
        """Some, or all, of an order that rests fills. contracts: signed."""
        order = self.resting.pop(client_id)
        filled = order.filled + abs(Decimal(contracts))
        state = ChildState.FILLED if filled == order.amount else ChildState.LIVE
        order = replace(order, filled=filled, average=Decimal(price), state=state, changed_at=self.clock.now())
        if state is ChildState.LIVE:
            self.resting[client_id] = order
        else:
            self.foreign.append(order)
        self._trade(order, Decimal(contracts), Decimal(price))

    def _trade(self, order: VenueOrder, amount: Decimal, price: Decimal) -> None:
        symbol, ledger = order.symbol, self.inner._ledger
        market = self.inner._markets[symbol]
        fill = Fill(
            trade_id=f"foreign-{len(self.foreign)}",
            symbol=symbol,
            side=Side.of(amount),
            amount=abs(amount),
            price=price,
            fee=ZERO,
            fee_asset=market.settle,
            at=self.clock.now(),
        )
        self.outside_fills.setdefault(order.order_id, []).append(fill)
        self.inner._ledger = replace(ledger, account=ledger.account.after(fill, market))
        self._remember()

    def _outside(self, client_id: str, symbol: str, contracts: Decimal, at: datetime) -> VenueOrder:
        return VenueOrder(
            order_id=f"outside-{len(self.foreign) + len(self.resting) + 1}",
            client_id=client_id,
            symbol=symbol,
            side=Side.of(contracts),
            amount=abs(contracts),
            filled=ZERO,
            average=None,
            state=ChildState.LIVE,
            forced=False,
            at=at,
            changed_at=at,
        )

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        return await self.inner.markets(symbols)

    async def quote(self, symbol: str) -> Quote:
        if symbol in self.mute:
            raise VenueUnavailable(f"quote of {symbol}: no answer")
        return await self._read("quote", lambda: self.inner.quote(symbol))

    async def stats(self, symbol: str) -> MarketStats:
        return await self._read("stats", lambda: self.inner.stats(symbol))

    async def funding(self, symbol: str) -> FundingRate | None:
        return await self._read("funding", lambda: self.inner.funding(symbol))

    async def alike(self, symbol: str) -> tuple[str, ...]:
        return await self.inner.alike(symbol)

    async def ledger(self, since: datetime) -> tuple[Posting, ...] | None:
        await self._fund()
        return await self._read("ledger", lambda: self.inner.ledger(since))

    async def price(self, asset: str, currency: str) -> Decimal:
        return await self._read("price", lambda: self.inner.price(asset, currency))

    async def account(self) -> Account:
        return await self._read("account", self._late_account)

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        late = await self._read("open orders", self._late_account)
        return (*await self.inner.open_orders(), *late.open_orders)

    async def time(self) -> datetime:
        return await self._read("time", self.inner.time)

    async def lookup(self, symbol: str, client_id: str) -> OrderReport | None:
        report = await self._read("lookup", lambda: self.inner.lookup(symbol, client_id))
        if flying := self._in_the_air.get(client_id):
            request = flying.pop()
            if not flying:
                await self._land(request)
        if report is None or not self._is_seen(client_id, self.lag):
            return None
        return self._told(client_id, report)

    async def heard(self, client_id: str, by: datetime) -> None:  # noqa: ARG002 - it sends nothing by itself
        await self.clock.sleep_until(by)

    async def fills(self, symbol: str, order_id: str) -> tuple[Fill, ...]:
        trades = await self._read("fills", lambda: self.inner.fills(symbol, order_id))
        trades = (*trades, *self.outside_fills.get(order_id, ()))
        now = self.clock.now()
        return tuple(trade for trade in trades if now - trade.at >= self.lag + self.trade_lag)

    async def orders(self, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        ours = await self._read("orders", lambda: self.inner.orders(symbol, since))
        others = (order for order in (*self.foreign, *self.resting.values()) if order.symbol == symbol and order.at >= since)
        now = self.clock.now()
        seen = (order for order in (*ours, *others) if now - order.at >= self.lag)
        return tuple(sorted(seen, key=lambda order: order.at))

    async def cancel(self, symbol: str, client_id: str) -> None:
        self.canceled.append(client_id)

        async def ask() -> None:
            if client_id not in self.stubborn:
                await self.inner.cancel(symbol, client_id)
            order = self.resting.get(client_id)
            if order is not None and order.symbol == symbol and client_id not in self.stubborn:
                del self.resting[client_id]

        await self._read("cancel", ask)

    async def dead_man(self, symbols: Sequence[str], within: timedelta | None) -> bool:
        told = self.countdowns

        async def ask() -> bool:
            if told is not None:
                told.append((tuple(symbols), within))
            return told is not None

        return await self._read("dead_man", ask)

    async def place(self, request: OrderRequest) -> Outcome:
        self.sent.append(request)
        number = len(self.sent)
        self.log.append(("place", request.client_id))
        self.on_place(request)
        outcome = await self._dealt_with(request, self.faults.get(number))
        self.after.get(number, lambda: None)()
        return outcome

    async def _dealt_with(self, request: OrderRequest, fault: Fault | None) -> Outcome:
        match fault:
            case Fault.REJECTED:
                return Rejected("-2019", "margin is insufficient")
            case Fault.NEVER_LEFT:
                return Rejected(NEVER_SENT, "the order never left: no connection")
            case Fault.LOST_REQUEST:
                return Unknown("no answer in time")
            case Fault.LATE | Fault.LATER:
                self._in_the_air[request.client_id] = [request] * (1 if fault is Fault.LATE else 2)
                return Unknown("no answer in time")
            case Fault.HANG_BEFORE:
                await self._hang()
        outcome = await self._land(request)
        if fault is Fault.HANG_AFTER:
            await self._hang()
        if fault is Fault.LOST_REPLY:
            return Unknown("the connection broke")
        return Accepted(self._told(request.client_id, outcome.report)) if isinstance(outcome, Accepted) else outcome

    async def _land(self, request: OrderRequest) -> Outcome:
        self.arrived.append(request.client_id)
        before = self.held
        outcome = await self.inner.place(request)
        self._remember()
        self.on_arrival(before, self.held)
        return outcome

    async def _hang(self) -> None:
        self.hanging.set()
        await asyncio.Event().wait()

    def _remember(self) -> None:
        self._truths.append((self.clock.now(), self.inner._ledger.account))

    async def _fund(self) -> None:
        before = self.held
        await self.inner._pay_funding(self.clock.now())
        if self.held is not before:
            self._remember()

    async def _late_account(self) -> Account:
        await self.inner.account()
        if self._truths[-1][1] != self.inner._ledger.account:  # a stop went off
            self._remember()
        now = self.clock.now()
        await self._fund()
        lag = self.lag if self.account_lag is None else self.account_lag
        seen = [account for at, account in self._truths if now - at >= lag] or [self._truths[0][1]]
        return replace(seen[-1], at=now, open_orders=tuple(self.resting.values()))

    def _is_seen(self, client_id: str, lag: timedelta) -> bool:
        trades = self.booked[client_id].fills
        return not trades or self.clock.now() - trades[0].at >= lag

    def _told(self, client_id: str, report: OrderReport) -> OrderReport:
        number = next(number for number, one in enumerate(self.sent, 1) if one.client_id == client_id)
        match self.faults.get(number):
            case Fault.MUTE if not self._is_seen(client_id, self.late_by):
                return replace(report, state=ChildState.CANCELED, filled=ZERO, average=None)
            case Fault.RESTING if client_id not in self.canceled or client_id in self.stubborn:
                return replace(report, state=ChildState.LIVE, filled=ZERO, average=None)
            case _:
                return report

    async def _read(self, kind: str, ask: Callable[[], Awaitable[T]]) -> T:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.log.append((kind, ""))
        self.on_read(kind)
        try:
            await turns(3)  # whatever else was asked for at the same time is under way by now
            if self.failing.get(kind, 0) > 0:
                self.failing[kind] -= 1
                raise VenueUnavailable(f"{kind}: no answer")
            return await ask()
        finally:
            self.in_flight -= 1
