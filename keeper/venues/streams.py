"""What an exchange sends by itself: order books, and word that something became of an order.

A hint at best. A book that has not changed for a moment is read over REST, and so is what became of an order: word of it only
ends the wait for asking.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import structlog

from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData
from keeper.domain.numbers import plain
from keeper.ports import Clock
from keeper.venues import parsing, verdicts
from keeper.venues.sockets import fail_aloud, give_up
from keeper.venues.speech.base import BOOK_LEVELS

SILENCE = timedelta(seconds=1)
"""How long after its last change a book is still believed."""
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=1)
MOST_EXPECTED = 256
log = structlog.get_logger()


class Streams:
    """The streams of one connection.

    exchange: of ccxt's kind that can watch; now: by the venue's clock, aware UTC; levels: how deep a book it is asked for.
    """

    def __init__(self, exchange: Any, clock: Clock, now: Callable[[], datetime], levels: int) -> None:
        fail_aloud(exchange)
        self._exchange = exchange
        self._levels = levels
        self._clock = clock
        self._now = now
        self._books: dict[str, tuple[Mapping[str, Any], datetime]] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._gave_up_at: datetime | None = None

    def book(self, symbol: str) -> OrderBook | None:
        """The book of a market as it was last told, from now on; None where it is silent, unfit, or not told of yet."""
        self._follow(symbol, lambda: self._watch_book(symbol))
        told, at = self._books.get(symbol, ({}, None))
        if at is None or not timedelta(0) <= self._now() - at <= SILENCE:
            return None
        try:
            return parsing.levels(_rows(told.get("bids")), _rows(told.get("asks")), at)
        except StaleData as error:
            log.warning("stream.unfit", market=symbol, error=str(error))
            return None

    def listen(self) -> None:
        """Word of orders may soon be of use: the stream that it comes by takes its time to open."""
        self._follow("orders", self._watch_orders)

    async def news(self, client_id: str, by: datetime) -> None:
        """Return once the venue has sent word of an order, at ``by`` (this machine's clock) at the latest."""
        self.listen()
        event = self._news.setdefault(client_id, asyncio.Event())
        waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._clock.sleep_until(by))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._news.pop(client_id, None)
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def expect(self, client_id: str) -> None:
        """Word of this order may come before anybody waits for it."""
        self.listen()
        self._news[client_id] = asyncio.Event()
        for oldest in list(self._news)[:-MOST_EXPECTED]:
            del self._news[oldest]

    async def close(self) -> None:
        """Follow nothing more."""
        followers = list(self._followers.values())
        self._followers.clear()
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)

    def _follow(self, what: str, watch: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if what not in self._followers:
            # in a context of its own: what it sends is no part of the order or question during which it began
            self._followers[what] = asyncio.create_task(self._following(what, watch), context=Context())

    async def _following(self, what: str, watch: Callable[[], Coroutine[Any, Any, None]]) -> None:
        wait = FIRST_WAIT
        while True:
            try:
                await watch()
            except verdicts.wire_faults() as error:
                # the text of an error may hold a listen key, which opens the account's stream
                log.warning("stream.trouble", stream=what, error=type(error).__name__, retry_in=wait.total_seconds())
                self._books.pop(what, None)
                await self._clock.sleep_until(self._clock.now() + wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                wait = FIRST_WAIT

    async def _watch_book(self, symbol: str) -> None:
        told = await self._exchange.watch_order_book(symbol, self._levels)
        if not _has_two_sides(told):
            await self._give_up(symbol)
            raise StaleData(f"the streamed book of {symbol} has no two sides")
        self._books[symbol] = told, min(self._now(), _told_at(told) or self._now())

    async def _give_up(self, symbol: str) -> None:
        """Have a book told whole again: what changes of one that can't be may look like a book, and is none.

        Other markets may be on the same connection, so that it is ended no more than once in a while.
        """
        self._books.pop(symbol, None)
        if self._gave_up_at is not None:
            await self._clock.sleep_until(self._gave_up_at + LONGEST_WAIT)
        self._gave_up_at = self._clock.now()
        give_up(self._exchange, symbol)

    async def _watch_orders(self) -> None:
        for order in await self._exchange.watch_orders():
            event = self._news.get(str(order.get("clientOrderId")))
            if event is not None:
                event.set()


def _has_two_sides(book: Mapping[str, Any]) -> bool:
    """Whether there is a best bid, and a best ask above it."""
    bids, asks = book["bids"], book["asks"]
    return bool(bids and asks and bids[0][0] < asks[0][0])


def _told_at(book: Mapping[str, Any]) -> datetime | None:
    """When the exchange says that a book was so, which may be long ago; None where it does not say."""
    stamp = book.get("timestamp")
    return None if stamp is None else parsing.instant(stamp, "time of the book")


def _rows(side: object) -> list[list[str]]:
    """Ccxt keeps floats: each is taken for the digits that it shows."""
    return [[_text(price), _text(amount)] for price, amount, *_ in list(side)[:BOOK_LEVELS]] if isinstance(side, list) else []


def _text(number: object) -> str:
    try:
        return plain(Decimal(str(number)))
    except InvalidOperation:
        return str(number)
