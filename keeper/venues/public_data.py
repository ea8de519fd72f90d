"""Public data of one exchange through a real ccxt class: markets, quotes and days. Needs no key and sends no order.

The connection is here, too, since whoever trades stands on it: hosts, clock offset, retries of reads, what an exception
proves. ccxt is imported on connecting, not before.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self, TypeVar

from keeper.domain.errors import InvariantViolation, StaleData, VenueRefused, VenueUnavailable
from keeper.domain.market import Market
from keeper.domain.observation import MarketStats, Quote
from keeper.ports import Clock, Environment
from keeper.venues import parsing, verdicts
from keeper.venues.concurrency import in_turn, together
from keeper.venues.dialects import dialect_of
from keeper.venues.speech.base import Mark, Wire
from keeper.venues.transport import GuardedSession, Silence, loopback_origins, note_answer, signing_time, watched

T = TypeVar("T")
LARGEST_OFFSET = timedelta(seconds=1)
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
        self._notes: dict[str, Any] = {}

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
        return [self._again("markets", self._load_markets, ())]

    def _keys(self) -> dict[str, str]:
        """What ccxt signs with; public data needs none."""
        return {}

    def _connect(self) -> None:
        import ccxt.async_support

        # at DEBUG ccxt prints every header, the key among them
        logging.getLogger("ccxt").setLevel(logging.WARNING)
        self._notes = {}
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
                "has": {"fetchCurrencies": False},  # a long answer, for some of it a key, and nothing of it is needed
            }
        )
        exchange.on_rest_response = note_answer
        if self._dialect.in_turn:
            exchange.fetch = in_turn(exchange.fetch)
        exchange.milliseconds = lambda: signing_time(parsing.milliseconds(self._clock.now()))
        if self._environment is Environment.TESTNET:
            getattr(exchange, self._dialect.testnet_switch)(True)  # noqa: FBT003 - ccxt names it differently from switch to switch
        self._dialect.speech.prepare(exchange)
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
        samples = [await self._sample_clock() for _ in range(2)]
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
        told = await self._asked("clock", self._dialect.speech.time, attempts=1) + self._dialect.speech.grain / 2
        after = self._clock.now()
        return after - before, before + (after - before) / 2 - told

    async def _load_markets(self) -> None:
        if not await self._exchange.load_markets(reload=True, params=dict(self._dialect.loading)):
            raise VenueUnavailable("the venue's answer holds no markets")

    async def time(self) -> datetime:
        """The venue's clock, aware UTC, no later than it is by the time the answer is here. VenueUnavailable."""
        return await self._whole("clock", self._dialect.speech.time)

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named; from what was loaded on connecting."""
        known = self._exchange.markets
        for symbol in symbols:
            if symbol not in known:
                near = ", ".join(get_close_matches(symbol, known, n=NEAREST, cutoff=0.5))
                raise VenueRefused(
                    "symbol", f"{self._dialect.exchange} has no market {symbol}{'; near: ' + near if near else ''}"
                )
        return {symbol: self._dialect.speech.market(symbol, known[symbol]) for symbol in symbols}

    async def quote(self, symbol: str) -> Quote:
        """Book, mark, index and last price of one market, read together, none older than ``max_age`` by the venue's clock.

        Where the exchange has no mark (spot) it is the mid of the book, and there is no index. A market without a trade in
        that time has no last price either: what was paid before says nothing of now.
        """
        speech = self._dialect.speech
        self._known(symbol)
        book, mark, (last, traded) = await together(
            self._asked(f"book of {symbol}", lambda wire: speech.book(wire, symbol)),
            self._asked(f"mark of {symbol}", lambda wire: speech.mark(wire, symbol)),
            self._asked(f"last price of {symbol}", lambda wire: speech.last(wire, symbol)),
        )
        self._refuse_stale(f"book of {symbol}", book.at)
        mark = mark or Mark(price=book.mid, index=None, at=book.at)
        self._refuse_stale(f"mark of {symbol}", mark.at)
        fresh = self._age(traded) <= self._max_age
        if fresh:
            self._refuse_stale(f"last price of {symbol}", traded)  # one from the future
        return Quote(mark=mark.price, book=book, index=mark.index, last=last if fresh else None)

    async def stats(self, symbol: str) -> MarketStats:
        """The last 24 hours of one market."""
        self._known(symbol)
        return await self._asked(f"day of {symbol}", lambda wire: self._dialect.speech.stats(wire, symbol))

    async def price(self, asset: str, currency: str) -> Decimal:
        """What a unit of an asset is worth, none older than ``max_age``."""
        what = f"price of {asset}"
        found = await self._asked(what, lambda wire: self._dialect.speech.price(wire, asset, currency))
        self._refuse_stale(what, found.at)
        return found.price

    @property
    def _exchange(self) -> Any:
        if self._connected is None:
            raise InvariantViolation(f"venue {self._name} is used while it is not connected")
        return self._connected

    def _known(self, symbol: str) -> None:
        if symbol not in self._exchange.markets:
            raise VenueRefused("symbol", f"{self._dialect.exchange} has no market {symbol}")

    def _venue_time(self) -> datetime:
        """Now, by the venue's clock."""
        return self._clock.now() - self._offset

    def _age(self, at: datetime) -> timedelta:
        return self._venue_time() - at

    def _refuse_stale(self, what: str, at: datetime) -> None:
        age = self._age(at)
        if not abs(age) <= self._max_age:
            raise StaleData(f"{what} is {age.total_seconds():.1f} s old, allowed is {self._max_age.total_seconds():.0f} s")

    async def _asked(self, what: str, question: Callable[[Wire], Awaitable[T]], attempts: int | None = None) -> T:
        """The answer to ``question``, each request of which is tried again while the venue is unavailable."""
        try:
            return await question(self._wire(what, attempts))
        except verdicts.GARBAGE as error:
            raise verdicts.unreadable(what, error) from None

    def _wire(self, what: str, attempts: int | None = None) -> Wire:
        async def send(method: str, arguments: tuple[Any, ...], absent: Collection[str]) -> Any:
            call = getattr(self._exchange, method)
            return await self._again(what, lambda: call(*arguments), absent, attempts)

        return Wire(exchange=self._exchange, now=self._venue_time(), send=send, notes=self._notes)

    async def _whole(self, what: str, question: Callable[[Wire], Awaitable[T]], attempts: int | None = None) -> T:
        """As ``_asked``; VenueUnavailable, too, when the answer can't be read."""
        try:
            return await self._asked(what, question, attempts)
        except StaleData as error:
            raise VenueUnavailable(f"{what}: {error}") from None

    async def _again(
        self, what: str, call: Callable[[], Awaitable[T]], absent: Collection[str], attempts: int | None = None
    ) -> T | None:
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

        retrying = AsyncRetrying(
            retry=retry_if_exception(self._worth_retrying),
            stop=stop_after_attempt(attempts or self._attempts),
            wait=wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._once, what, call, absent)

    async def _once(self, what: str, call: Callable[[], Awaitable[T]], absent: Collection[str]) -> T | None:
        with watched() as flight:
            try:
                return await call()
            except verdicts.wire_faults() as error:
                if verdicts.says(self._dialect, absent, flight):
                    return None
                raise verdicts.of_read(self._dialect, flight, what, error) from None

    def _worth_retrying(self, error: BaseException) -> bool:
        return isinstance(error, VenueUnavailable) and self._session is not None and not self._session.silent

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=seconds))
