"""Public data of one exchange: markets, quotes and days. Needs no key and sends no order.

What several connections of a process ask about one market at the same time is read once for all of them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeVar

from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.market import Market
from keeper.domain.observation import FundingRate, MarketStats, Quote
from keeper.venues.concurrency import together
from keeper.venues.connection import Connection, Question
from keeper.venues.speech.base import Mark, Wire

T = TypeVar("T")
MAX_AGE = timedelta(seconds=10)
"""A book or mark that is older, by the venue's clock, is no book of now."""
NEAREST = 3
READS_OF_A_MARKET = 4


class PublicData(Connection):
    """Markets of one exchange in one environment; see ``ports.MarketData`` for what each method promises."""

    @property
    def _needed_at_once(self) -> int:
        return READS_OF_A_MARKET * max(len(self._given), 1)

    async def time(self) -> datetime:
        """The venue's clock, aware UTC, no later than it is by the time the answer is here. VenueUnavailable."""
        return await self._whole(Question(what="clock"), self._dialect.speech.time)

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named; from what was loaded on connecting."""
        known = self._exchange.markets
        for symbol in symbols:
            if symbol not in known:
                near = ", ".join(get_close_matches(symbol, known, n=NEAREST, cutoff=0.5))
                raise VenueRefused(
                    "symbol", f"{self._dialect.exchange} has no market {symbol}{'; near: ' + near if near else ''}"
                )
        found = {symbol: self._dialect.speech.market(symbol, known[symbol]) for symbol in symbols}
        self._given |= found
        return found

    async def quote(self, symbol: str) -> Quote:
        """Book, mark, index and last price of one market, read together, none older than MAX_AGE by the venue's clock.

        Where the exchange has no mark (spot) it is the mid of the book, and there is no index. A market without a trade in
        that time has no last price either: what was paid before says nothing of now.
        """
        speech = self._dialect.speech
        self._known(symbol)
        book, mark, (last, traded) = await together(
            self._book(symbol),
            self._public(f"mark of {symbol}", lambda wire: speech.mark(wire, symbol)),
            self._public(f"last price of {symbol}", lambda wire: speech.last(wire, symbol)),
        )
        self._refuse_stale(f"book of {symbol}", book.at)
        mark = mark or Mark(price=book.mid, index=None, at=book.at)
        self._refuse_stale(f"mark of {symbol}", mark.at)
        fresh = self._age(traded) <= MAX_AGE
        if fresh:
            self._refuse_stale(f"last price of {symbol}", traded)  # one from the future
        return Quote(mark=mark.price, book=book, index=mark.index, last=last if fresh else None)

    async def _book(self, symbol: str) -> OrderBook:
        """The book as it is streamed, or else read."""
        streamed = None if self._streams is None else self._streams.book(symbol)
        if streamed is not None:
            return streamed
        return await self._public(f"book of {symbol}", lambda wire: self._dialect.speech.book(wire, symbol))

    async def stats(self, symbol: str) -> MarketStats:
        """The last 24 hours of one market."""
        self._known(symbol)
        return await self._public(f"day of {symbol}", lambda wire: self._dialect.speech.stats(wire, symbol))

    async def funding(self, symbol: str) -> FundingRate | None:
        """What longs of a market pay shorts next; None where the exchange tells of none."""
        self._known(symbol)
        return await self._public(f"funding of {symbol}", lambda wire: self._dialect.speech.funding(wire, symbol))

    async def alike(self, symbol: str) -> tuple[str, ...]:
        """The exchange's other perpetuals on the same base that are open; from what was loaded on connecting."""
        self._known(symbol)
        known = self._exchange.markets
        base = known[symbol]["base"]
        found = (one for one in known.values() if one.get("swap") and one.get("active") and one["base"] == base)
        return tuple(sorted(str(one["symbol"]) for one in found if one["symbol"] != symbol))

    async def price(self, asset: str, currency: str) -> Decimal:
        """What a unit of an asset is worth, no older than MAX_AGE."""
        what = f"price of {asset}"
        found = await self._public(f"{what} in {currency}", lambda wire: self._dialect.speech.price(wire, asset, currency))
        self._refuse_stale(what, found.at)
        return found.price

    def _known(self, symbol: str) -> None:
        self._refuse_altered()
        if symbol not in self._exchange.markets:
            raise VenueRefused("symbol", f"{self._dialect.exchange} has no market {symbol}")

    def _age(self, at: datetime) -> timedelta:
        return self._venue_time() - at

    def _refuse_stale(self, what: str, at: datetime) -> None:
        age = self._age(at)
        if not abs(age) <= MAX_AGE:
            raise StaleData(f"{what} is {age.total_seconds():.1f} s old, allowed is {MAX_AGE.total_seconds():.0f} s")

    async def _public(self, what: str, question: Callable[[Wire], Awaitable[T]]) -> T:
        """The answer to a question about public data, which is put once for all connections that ask the same."""

        async def ask(sends: Callable[[], None]) -> T:
            return await self._asked(Question(what=what, sends=sends), question)

        return await self._read_once(self._access.public, what, ask)
