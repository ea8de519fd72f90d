"""Public data of one exchange through a real ccxt class: markets, quotes and days. Needs no key and sends no order.

The connection is here, too, since whoever trades stands on it: hosts, clock offset, retries of reads, what an exception
proves. ccxt is imported on connecting, not before.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from keeper.domain.book import OrderBook
from keeper.domain.errors import InvariantViolation, StaleData, VenueRefused, VenueUnavailable
from keeper.domain.market import Market
from keeper.domain.observation import MarketStats, Quote
from keeper.ports import Clock, Environment
from keeper.venues import parsing, verdicts
from keeper.venues.dialects import dialect_of
from keeper.venues.transport import GuardedSession, Silence, loopback_origins, note_answer, watched
from keeper.venues.wording import Mark

T = TypeVar("T")
LARGEST_OFFSET = timedelta(seconds=1)
BOOK_LEVELS = 100
FIRST_WAIT, LONGEST_WAIT = 0.2, 2.0
NEAREST = 3


class PublicData:
    """Markets of one exchange in one environment; see ``ports.MarketData`` for what each method promises.

    name: of the venue, for messages; exchange: an id of ``dialects.DIALECTS``; hosts: host name to loopback origin, for
    tests, and then no other host is reached; timeout: seconds for one request; attempts: how often a read is tried;
    max_age: seconds, a book or mark older than that is StaleData.
    ConfigError for an exchange or environment without a dialect, or hosts that leave this machine.
    """

    def __init__(
        self,
        name: str,
        exchange: str,
        environment: Environment,
        *,
        hosts: Mapping[str, str],
        clock: Clock,
        timeout: float = 10.0,
        attempts: int = 3,
        max_age: float = 10.0,
    ) -> None:
        self._name = name
        self._environment = environment
        self._dialect = dialect_of(name, exchange, environment)
        self._origins = loopback_origins(name, hosts)
        self._clock = clock
        self._timeout = timeout
        self._attempts = attempts
        self._max_age = timedelta(seconds=max_age)
        self._silence = Silence()
        self._offset = timedelta(0)
        self._session: GuardedSession | None = None
        self._connected: Any = None

    @property
    def clock(self) -> Clock:
        """Real time."""
        return self._clock

    async def __aenter__(self) -> Self:
        """Connect: measure the clock's offset, load markets. VenueUnavailable when the exchange does not answer."""
        try:
            self._connect()
            await self._check_clock()
            await together(*self._on_connecting())
        except BaseException:
            await self._disconnect()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Disconnect."""
        await self._disconnect()

    def _on_connecting(self) -> list[Awaitable[Any]]:
        """What is read on connecting, in flight together."""
        return [self._read("markets", self._load_markets)]

    def _keys(self) -> dict[str, str]:
        """What ccxt signs with; public data needs none."""
        return {}

    def _connect(self) -> None:
        import ccxt.async_support

        # at DEBUG ccxt prints every header, the key among them
        logging.getLogger("ccxt").setLevel(logging.WARNING)
        allowed = self._dialect.hosts[self._environment]
        self._session = GuardedSession(allowed=allowed, origins=self._origins, clock=self._clock, silence=self._silence)
        exchange = getattr(ccxt.async_support, self._dialect.exchange)(
            {
                **self._keys(),
                "number": str,
                "enableRateLimit": False,  # ccxt's limiter does not refill while idle; reads are few and 429 means silence
                "timeout": int(self._timeout * 1000),
                "session": self._session,
                "ssl_context": False,  # the session has its own
                "timeout_on_exit": 0,
                "options": dict(self._dialect.options),
            }
        )
        exchange.on_rest_response = note_answer
        exchange.milliseconds = lambda: parsing.milliseconds(self._clock.now())
        if self._environment is Environment.TESTNET:
            getattr(exchange, self._dialect.testnet_switch)(enable=True)
        self._connected = exchange

    async def _disconnect(self) -> None:
        exchange, session = self._connected, self._session
        self._connected = self._session = None
        if exchange is not None:
            await exchange.close()
        if session is not None:
            await session.close()

    async def _check_clock(self) -> None:
        # the first request also opens the connection, so the second one measures better
        samples = [await self._read("clock", self._sample_clock) for _ in range(2)]
        _, self._offset = min(samples)
        if not abs(self._offset) <= LARGEST_OFFSET:
            seconds = self._offset.total_seconds()
            remedy = (
                f"this machine's clock is {seconds:+.3f} s off the venue's, allowed is 1 s: synchronise it (NTP) and start again"
            )
            raise VenueRefused("clock", remedy)
        self._exchange.options["timeDifference"] = self._offset // timedelta(milliseconds=1)

    async def _sample_clock(self) -> tuple[timedelta, timedelta]:
        before = self._clock.now()
        told = await self._told_time()
        after = self._clock.now()
        return after - before, before + (after - before) / 2 - told

    async def _told_time(self) -> datetime:
        return parsing.instant(parsing.part(await self._call("time"), "serverTime"), "time of the venue")

    async def _load_markets(self) -> None:
        if not await self._exchange.load_markets(reload=True):
            raise VenueUnavailable("the venue's answer holds no markets")

    async def time(self) -> datetime:
        """The venue's clock, aware UTC, no later than it is by the time the answer is here. VenueUnavailable."""
        try:
            return cast("datetime", await self._read("clock", self._told_time))
        except StaleData as error:
            raise VenueUnavailable(f"clock: {error}") from None

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named; from what was loaded on connecting."""
        known = self._exchange.markets
        for symbol in symbols:
            if symbol not in known:
                near = ", ".join(get_close_matches(symbol, known, n=NEAREST, cutoff=0.5))
                raise VenueRefused(
                    "symbol", f"{self._dialect.exchange} has no market {symbol}{'; near: ' + near if near else ''}"
                )
        return {symbol: parsing.market(symbol, known[symbol], self._dialect.fee_in) for symbol in symbols}

    async def quote(self, symbol: str) -> Quote:
        """Book, mark, index and last price of one market, read together, none older than ``max_age`` by the venue's clock.

        Where the exchange has no mark (spot) it is the mid of the book, and there is no index. A market without a trade in
        that time has no last price either: what was paid before says nothing of now.
        """
        market = self._market_id(symbol)
        book, mark, (last, traded) = await together(
            self._read(f"book of {symbol}", lambda: self._book(market)),
            self._read(f"mark of {symbol}", lambda: self._mark(market)),
            self._read(f"last price of {symbol}", lambda: self._last(market)),
        )
        self._refuse_stale(f"book of {symbol}", book.at)
        mark = mark or Mark(price=book.mid, index=None, at=book.at)
        self._refuse_stale(f"mark of {symbol}", mark.at)
        fresh = self._age(traded) <= self._max_age
        if fresh:
            self._refuse_stale(f"last price of {symbol}", traded)  # one from the future
        return Quote(mark=mark.price, book=book, index=mark.index, last=last if fresh else None)

    async def _book(self, market: str) -> OrderBook:
        asked = self._venue_time()
        return self._dialect.wording.book(await self._call("book", symbol=market, limit=BOOK_LEVELS), asked)

    async def _mark(self, market: str) -> Mark | None:
        if "mark" not in self._dialect.calls:
            return None
        return self._dialect.wording.mark(parsing.about(await self._call("mark", symbol=market), market))

    async def _last(self, market: str) -> tuple[Decimal, datetime]:
        asked = self._venue_time()
        return self._dialect.wording.last(parsing.about(await self._call("last", symbol=market), market), asked)

    async def stats(self, symbol: str) -> MarketStats:
        """The last 24 hours of one market."""
        market = self._market_id(symbol)
        day = await self._read(f"day of {symbol}", lambda: self._call("day", symbol=market))
        return parsing.stats(parsing.about(day, market))

    @property
    def _exchange(self) -> Any:
        if self._connected is None:
            raise InvariantViolation(f"venue {self._name} is used while it is not connected")
        return self._connected

    def _market_id(self, symbol: str) -> str:
        if symbol not in self._exchange.markets:
            raise VenueRefused("symbol", f"{self._dialect.exchange} has no market {symbol}")
        return str(self._exchange.markets[symbol]["id"])

    async def _call(self, name: str, **parameters: object) -> Any:
        return await getattr(self._exchange, self._dialect.calls[name])(parameters)

    def _venue_time(self) -> datetime:
        """Now, by the venue's clock."""
        return self._clock.now() - self._offset

    def _age(self, at: datetime) -> timedelta:
        return self._venue_time() - at

    def _refuse_stale(self, what: str, at: datetime) -> None:
        age = self._age(at)
        if not abs(age) <= self._max_age:
            raise StaleData(f"{what} is {age.total_seconds():.1f} s old, allowed is {self._max_age.total_seconds():.0f} s")

    async def _read(self, what: str, call: Callable[[], Awaitable[T]], absent: frozenset[str] = frozenset()) -> Any:
        """The answer of ``call``, tried again while the venue is unavailable; None when its code is one of ``absent``."""
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

        retrying = AsyncRetrying(
            retry=retry_if_exception(self._worth_retrying),
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._read_once, what, call, absent)

    async def _read_once(self, what: str, call: Callable[[], Awaitable[T]], absent: frozenset[str]) -> T | None:
        with watched() as flight:
            try:
                return await call()
            except verdicts.wire_faults() as error:
                if verdicts.says(absent, flight):
                    return None
                raise verdicts.of_read(self._dialect, flight, what, error) from None

    def _worth_retrying(self, error: BaseException) -> bool:
        return isinstance(error, VenueUnavailable) and self._session is not None and not self._session.silent

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=seconds))


async def together(*reads: Awaitable[Any]) -> list[Any]:
    """The answers of reads that are in flight at the same time; the first failure cancels the rest and is raised."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
