"""A real exchange's public market, now: what a paper account trades against when it rehearses. Sends no order and no key."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Protocol, Self

from keeper.domain.book import OrderBook
from keeper.domain.market import Market
from keeper.domain.observation import FundingRate, MarketStats, Quote
from keeper.ports import Clock, MarketData


class Exchange(MarketData, Protocol):
    """An exchange's public data behind a connection."""

    @property
    def clock(self) -> Clock:
        """Real time."""
        ...

    async def __aenter__(self) -> Self:
        """Connect and load the markets. VenueUnavailable when it does not answer."""
        ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Disconnect."""
        ...


class PublicFeed:
    """The markets ``symbols`` of ``exchange``, with its rules and fees. Time is real and can't be asked about later.

    Connects when ``markets`` is asked for the first time: VenueUnavailable while the exchange is down, and the next call
    tries again. Mark and book of one market at one time come from one reading, whoever asks first.
    """

    def __init__(self, exchange: Exchange, symbols: Sequence[str]) -> None:
        self._exchange = exchange
        self._symbols = tuple(symbols)
        self._connecting = asyncio.Lock()
        self._connected = False
        self._latest: dict[str, tuple[datetime, asyncio.Task[Quote]]] = {}
        self._reading: set[asyncio.Task[Quote]] = set()

    @property
    def clock(self) -> Clock:
        """Real time."""
        return self._exchange.clock

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets that the account trades or holds."""
        return self._symbols

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named, with the exchange's rules and its fees for everybody."""
        async with self._connecting:
            if not self._connected:
                await self._exchange.__aenter__()
                self._connected = True
        return await self._exchange.markets(symbols)

    async def mark(self, symbol: str, at: datetime) -> Decimal:
        """Mark price now, quote per base."""
        return (await self._quote(symbol, at)).mark

    async def book(self, symbol: str, at: datetime) -> OrderBook:
        """The book that the exchange displays now."""
        return (await self._quote(symbol, at)).book

    async def stats(self, symbol: str, at: datetime) -> MarketStats:  # noqa: ARG002 - an exchange tells of now only
        """The last 24 hours."""
        return await self._exchange.stats(symbol)

    async def funding(self, symbol: str, at: datetime) -> FundingRate | None:  # noqa: ARG002 - an exchange tells of now only
        """What longs pay shorts next."""
        return await self._exchange.funding(symbol)

    async def resume(self, prices: Mapping[str, Decimal], at: datetime) -> None:
        """Nothing to take up: the market went on by itself."""

    async def close(self) -> None:
        """Disconnect."""
        self._latest.clear()
        reading = tuple(self._reading)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        async with self._connecting:
            if self._connected:
                self._connected = False
                await self._exchange.__aexit__(None, None, None)

    async def _quote(self, symbol: str, at: datetime) -> Quote:
        asked_at, reading = self._latest.get(symbol, (None, None))
        if reading is None or asked_at != at:
            reading = asyncio.create_task(self._exchange.quote(symbol))
            reading.add_done_callback(self._ended)
            self._reading.add(reading)
            self._latest[symbol] = (at, reading)
        # whoever stops waiting must not take the answer from the others
        return await asyncio.shield(reading)

    def _ended(self, reading: asyncio.Task[Quote]) -> None:
        self._reading.discard(reading)
        if not reading.cancelled():
            reading.exception()  # looked at here: whoever asked may be gone
