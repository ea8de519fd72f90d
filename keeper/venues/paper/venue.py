"""A paper exchange account behind the port of a real one: it trades against a feed and keeps its own truth.

Orders are taken one at a time, in the order of their arrival. An order that arrived is dealt with even when its sender
stops waiting, as on a real exchange.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Self

from keeper.domain.account import Account
from keeper.domain.errors import StaleData, VenueError, VenueRefused
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import sign
from keeper.domain.observation import FundingRate, MarketStats, Quote
from keeper.domain.order import Accepted, Fill, OrderReport, OrderRequest, Outcome, Rejected, Unknown, VenueOrder
from keeper.domain.statement import Posting
from keeper.ports import Clock, VenueInfo
from keeper.venues.feeds.feed import Feed, known_market
from keeper.venues.paper.clock import AcceleratedClock
from keeper.venues.paper.funding import funded, instants, statement
from keeper.venues.paper.ledger import Asked, Booked, Ledger, book_order, cancel_stop, rest_stop
from keeper.venues.paper.matching import REFILL_HALF_LIFE, Liquidity
from keeper.venues.paper.persistence import PaperStore
from keeper.venues.paper.rules import Floor, goes_off, judge

LATENCY = timedelta(milliseconds=50)  # of an order to an exchange, for a feed that moves meanwhile
_NO_TIME = timedelta(0)


class PaperVenue:
    """One paper account.

    start: balances and positions it opens with, unless ``store`` holds later ones; borrow: whether spot balances may go
    negative (by default when one of them starts so); latency: of an order on its way, on average, each between half and
    one and a half of it by ``seed`` and client id; refill: half-life of what our orders took from the book.
    """

    def __init__(
        self,
        info: VenueInfo,
        feed: Feed,
        start: Account,
        *,
        store: PaperStore,
        borrow: bool | None = None,
        latency: timedelta = _NO_TIME,
        refill: timedelta = REFILL_HALF_LIFE,
        seed: int = 0,
    ) -> None:
        self._info = info
        self._feed = feed
        self._store = store
        self._borrow = any(amount < 0 for amount in start.balances.values()) if borrow is None else borrow
        self._latency = latency
        self._seed = seed
        self._liquidity = Liquidity(refill)
        self._markets: Mapping[str, Market] = {}
        positions = {symbol: held for symbol, held in start.positions.items() if held.contracts}
        self._ledger = Ledger(account=replace(start, positions=positions, open_orders=()), at=start.at)
        self._arriving = asyncio.Lock()
        self._arrivals: set[asyncio.Task[Outcome]] = set()
        self._connected = False
        self._traded = False
        self._funded_at = start.at

    @property
    def info(self) -> VenueInfo:
        """Name, environment, account and timing of this venue."""
        return self._info

    @property
    def feed(self) -> Feed:
        """Where prices, books and time come from."""
        return self._feed

    @property
    def clock(self) -> Clock:
        """The feed's clock."""
        return self._feed.clock

    async def __aenter__(self) -> Self:
        """Load markets and account. VenueRefused for a position that no market carries, VenueUnavailable for a bad file."""
        try:
            await self._load()
        except BaseException:
            await self._feed.close()
            raise
        return self

    async def _load(self) -> None:
        self._markets = await self._feed.markets(self._feed.symbols)
        if not self._connected:
            saved = self._store.load()
            if saved is not None:
                self._ledger = saved
                await self._feed.resume(saved.prices, saved.at)
            self._funded_at = self._ledger.funded_at or self.clock.now()
            self._connected = True
        for symbol in self._ledger.account.positions:
            if known_market(self._markets, symbol).kind is MarketKind.SPOT:
                raise VenueRefused("spot_position", f"{symbol} is a spot market: write its coins as a balance")

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish what has arrived; keep the last prices if this process traded."""
        async with self._arriving:
            if self._traded:
                at = self.clock.now()
                # every order is on disk already: a failure loses no more than where the price went since
                with contextlib.suppress(OSError, VenueError, StaleData):
                    await self._save(replace(self._ledger, prices=await self._marks(at), at=at))
        await self._feed.close()

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named. VenueRefused names a symbol that the exchange lacks, and those it has."""
        return await self._feed.markets(symbols)

    async def quote(self, symbol: str) -> Quote:
        """Mark, which is index and last price as well, and what the feed displays less what our orders took."""
        await self._strike()
        market = known_market(self._markets, symbol)
        at = self.clock.now()
        mark, book = await self._feed.mark(symbol, at), await self._feed.book(symbol, at)
        return Quote(mark=mark, book=self._liquidity.displayed(market, book), index=mark, last=mark)

    async def stats(self, symbol: str) -> MarketStats:
        """A day's volume and volatility as the feed tells them."""
        return await self._feed.stats(symbol, self.clock.now())

    async def price(self, asset: str, currency: str) -> Decimal:
        """The mark of a market of the feed. VenueRefused where it has none that tells."""
        for symbol in (f"{asset}/{currency}", f"{asset}/{currency}:{currency}"):
            if symbol in self._markets:
                return await self._feed.mark(symbol, self.clock.now())
        raise VenueRefused("no_price", f"the feed has no market that prices {asset} in {currency}")

    async def account(self) -> Account:
        """Balances and positions at the current mark. What rests is none of its open orders: those are somebody else's word."""
        await self._strike()
        at = self.clock.now()
        await self._pay_funding(at)
        account = self._ledger.account
        positions = {
            symbol: replace(position, mark=await self._feed.mark(symbol, at)) for symbol, position in account.positions.items()
        }
        return replace(account, positions=positions, at=at)

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """The stops that rest; nothing else does."""
        await self._strike()
        listed = (booked.listed() for booked in self._ledger.stops.values())
        return tuple(order for order in listed if order is not None)

    async def place(self, request: OrderRequest) -> Outcome:
        """Send one order: a stop rests, any other one walks the displayed book up to its limit, and its rest is canceled."""
        if self._latency:
            await self.clock.sleep_until(self.clock.now() + self._delay(request.client_id))
        arrival = asyncio.create_task(self._arrive(request, self.clock.now()))
        self._arrivals.add(arrival)
        arrival.add_done_callback(self._arrivals.discard)
        return await asyncio.shield(arrival)

    async def time(self) -> datetime:
        """The feed's clock."""
        return self.clock.now()

    async def lookup(self, symbol: str, client_id: str) -> OrderReport | None:
        """The order under a client id, None when the exchange never took one."""
        await self._strike()
        booked = self._ledger.orders.get(client_id)
        return booked.report if booked is not None and booked.symbol == symbol else None

    async def heard(self, client_id: str, by: datetime) -> None:  # noqa: ARG002 - it sends nothing by itself
        """At that time: nobody sends word."""
        await self.clock.sleep_until(by)

    async def fills(self, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Every trade of one order, oldest first."""
        for booked in self._ledger.orders.values():
            if booked.symbol == symbol and booked.report.order_id == order_id:
                return booked.fills
        return ()

    async def orders(self, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Every order of one market that came, or was set off, at ``since`` or later, oldest first: nobody else trades here."""
        await self._strike()
        listed = (booked.listed() for booked in self._ledger.orders.values())
        found = [order for order in listed if order is not None and order.symbol == symbol and order.at >= since]
        return tuple(sorted(found, key=lambda order: order.at))

    async def cancel(self, symbol: str, client_id: str) -> None:
        """Take back a stop; nothing else rests."""
        await self._strike()
        async with self._arriving:
            booked = self._ledger.stops.get(client_id)
            if booked is not None and booked.symbol == symbol:
                await self._keep(cancel_stop(self._ledger, client_id, self.clock.now()))

    async def dead_man(self, symbols: Sequence[str], within: timedelta | None) -> bool:  # noqa: ARG002 - the port's words
        """There is no such switch: what rests here is meant to."""
        return False

    async def ledger(self, since: datetime) -> tuple[Posting, ...]:
        """Funding, and the fee of each trade: nothing else moves the account beside prices."""
        await self._pay_funding(self.clock.now())
        return statement(self._ledger, since)

    async def funding(self, symbol: str) -> FundingRate | None:
        """What longs pay shorts, as the feed tells it."""
        return await self._feed.funding(symbol, self.clock.now())

    async def alike(self, symbol: str) -> tuple[str, ...]:
        """The feed's other perpetuals on the same base."""
        base = known_market(self._markets, symbol).base
        found = (one for one in self._markets.values() if one.base == base and one.kind is not MarketKind.SPOT)
        return tuple(sorted(one.symbol for one in found if one.symbol != symbol))

    async def _pay_funding(self, now: datetime) -> None:
        if _hour(self._funded_at) != _hour(now):  # nobody pays more often
            async with self._arriving:
                await self._fund(now)

    async def _fund(self, now: datetime) -> None:
        """Pay what fell due since funding was last looked at, at the marks of now."""
        ledger = self._ledger
        for symbol in self._ledger.account.positions:
            if (rate := await self._feed.funding(symbol, now)) is not None:
                for at in instants(self._funded_at, now, rate.every):
                    ledger = funded(ledger, self._markets[symbol], rate, await self._feed.mark(symbol, now), at)
        if ledger is not self._ledger:
            ledger = replace(ledger, funded_at=now)
            await self._save(ledger)
            self._ledger = ledger
        self._funded_at = max(now, self._funded_at)

    async def _arrive(self, request: OrderRequest, at: datetime) -> Outcome:
        async with self._arriving:
            try:
                return await self._deal_with(request, at)
            except (VenueError, StaleData, OSError) as error:
                return Unknown(f"the paper exchange could not finish the order: {error}")

    async def _deal_with(self, request: OrderRequest, at: datetime) -> Outcome:
        market = self._markets.get(request.symbol)
        if market is None:
            return Rejected("unknown_symbol", f"the paper exchange has no market {request.symbol}")
        await self._fund(at)
        marks = await self._marks(at)
        floor = Floor(markets=self._markets, marks=marks, ledger=self._ledger, borrow=self._borrow, at=at)
        judged = judge(request, market, floor)
        if isinstance(judged, Rejected | Unknown):
            return judged
        if request.is_stop:
            await self._keep(replace(rest_stop(self._ledger, request, at), prices=marks))
        else:
            await self._trade(request, market, judged, at)
        return Accepted(self._ledger.orders[request.client_id].report)

    async def _trade(self, request: OrderRequest, market: Market, amount: Decimal, at: datetime) -> None:
        """Fill ``amount`` contracts, as far as the book goes, and book it."""
        book = await self._feed.book(request.symbol, at)
        takings = self._liquidity.match(market, book, side=request.side, amount=amount, limit=request.price)
        booked = book_order(self._ledger, market, request, takings, at)
        await self._keep(replace(booked, prices=await self._marks(at), funded_at=self._funded_at))
        self._liquidity.take(request.symbol, request.side, takings, at)

    async def _keep(self, ledger: Ledger) -> None:
        await self._save(ledger)
        self._ledger = ledger
        self._traded = True

    async def _strike(self) -> None:
        """Set off the stops whose mark has come: whatever is asked shows the exchange as it is with that done."""
        if not self._ledger.stops:
            return
        async with self._arriving:
            for name, booked in self._ledger.stops.items():
                at = self.clock.now()
                asked, mark = booked.asked, await self._feed.mark(booked.symbol, at)
                if asked is not None and asked.trigger is not None and goes_off(asked.side, asked.trigger, mark):
                    await self._set_off(name, booked, asked, at)

    async def _set_off(self, client_id: str, booked: Booked, asked: Asked, at: datetime) -> None:
        """Make a market order of a stop: it takes what the book has, at whatever price, and never more than is held."""
        market = self._markets[booked.symbol]
        held = self._ledger.account.held(market)
        if sign(held) != -asked.side.sign:
            await self._keep(cancel_stop(self._ledger, client_id, at))
            return
        book = await self._feed.book(booked.symbol, at)
        if not (levels := book.taken_by(asked.side)):
            return  # nobody is there to trade with: it goes off with the first who is
        worst = levels[-1].price
        request = OrderRequest(
            client_id=client_id,
            symbol=booked.symbol,
            side=asked.side,
            amount=asked.amount,
            price=worst,
            reduce_only=True,
            deadline=at,
        )
        await self._trade(request, market, min(asked.amount, abs(held)), at)

    async def _marks(self, at: datetime) -> Mapping[str, Decimal]:
        return {symbol: await self._feed.mark(symbol, at) for symbol in self._markets}

    async def _save(self, ledger: Ledger) -> None:
        # time that the feed makes would move on while a thread is waited for
        if self._store.durable and not isinstance(self.clock, AcceleratedClock):
            await asyncio.to_thread(self._store.save, ledger)
        else:
            self._store.save(ledger)

    def _delay(self, client_id: str) -> timedelta:
        digest = hashlib.sha256(f"{self._seed}\x1f{client_id}".encode()).digest()
        return self._latency * (0.5 + int.from_bytes(digest[:4], "big") / 2**32)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
