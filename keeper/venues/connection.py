"""A connection to one exchange through a real ccxt class: hosts, clock offset, whose turn it is, retries, what an answer proves.

Everything that is sent there, orders included, is sent as it says here; what is asked is for those that stand on it.
ccxt is imported on connecting, not before.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from importlib import import_module
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from keeper.domain.errors import InvariantViolation, StaleData, VenueRefused, VenueUnavailable
from keeper.domain.market import Market
from keeper.ports import Clock, Environment
from keeper.venues import parsing, verdicts
from keeper.venues.access import Access, Exchanges
from keeper.venues.budgets import Priority
from keeper.venues.concurrency import in_turn, together
from keeper.venues.dialects import dialect_of
from keeper.venues.sharing import Shared
from keeper.venues.speech.base import Wire
from keeper.venues.streams import Streams
from keeper.venues.throttle import Cost, Turn
from keeper.venues.transport import GuardedSession, loopback_origins, note_answer, signing_time, watched
from keeper.venues.weights import LOAD_MARKETS, cost_of

T = TypeVar("T")
LARGEST_OFFSET = timedelta(seconds=1)
MOST_CONNECTIONS = 32
CHECKED_LATELY = timedelta(hours=1)
"""How long a measured offset of the clock holds."""
FIRST_WAIT, LONGEST_WAIT = 0.2, 2.0
PATIENCE, PATIENCE_FOR_THE_PAST = timedelta(seconds=30), timedelta(minutes=2)
"""How long what has no deadline waits for its turn. What is past stays, and a pool for it fills up by the second."""


def _nobody_waits() -> None:
    """Nobody else is served by the answer."""


def _in_a_context_of_its_own(rounding: Callable[..., str]) -> Callable[..., str]:
    """Ccxt's ``decimal_to_precision``, which would leave its rounding mode and its traps to the whole thread."""

    def rounded(*args: Any, **kwargs: Any) -> str:
        with localcontext():
            return rounding(*args, **kwargs)

    return rounded


@dataclass(slots=True, kw_only=True)
class Question:
    """How one question is put, and when. It may take several requests, each tried again while the venue is unavailable.

    what: for messages; account: whose budgets it draws on, empty for public data; attempts: how often a request is tried,
    None for as often as the venue's reads are; sends: is called right before each request; first, latest: when the first
    and the latest request left, by this machine's clock, None before.
    """

    what: str
    priority: Priority = Priority.READ
    account: str = ""
    attempts: int | None = None
    sends: Callable[[], None] = _nobody_waits
    first: datetime | None = field(default=None, init=False)
    latest: datetime | None = field(default=None, init=False)

    def sent(self, now: datetime) -> None:
        """A request of it leaves now."""
        self.first, self.latest = self.first or now, now
        self.sends()


class Disconnected(VenueUnavailable):
    """The connection was closed while a question was on its way."""


class Connection:
    """To one exchange in one environment.

    name: of the venue, for messages; exchange: an id of ``dialects.DIALECTS``; hosts: host name to loopback origin, for
    tests, and then no other host is reached; exchanges: what the process shares of them, nothing where it is not given;
    timeout: seconds for one request; attempts: how often a read is tried.
    ConfigError for an exchange or environment without a dialect, or hosts that leave this machine.
    """

    largest_offset: ClassVar[timedelta] = LARGEST_OFFSET

    def __init__(
        self,
        name: str,
        exchange: str,
        environment: Environment,
        *,
        hosts: Mapping[str, str],
        clock: Clock,
        exchanges: Exchanges | None = None,
        timeout: float = 10.0,
        attempts: int = 3,
    ) -> None:
        self._name = name
        self._environment = environment
        self._dialect = dialect_of(name, exchange, environment)
        self._origins = loopback_origins(name, hosts)
        self._clock = clock
        self._streamed = False
        self._streams: Streams | None = None
        self._timeout = timeout
        self._attempts = attempts
        self._exchanges = exchanges or Exchanges(clock)
        self._shared: Access | None = None
        self._offset = timedelta(0)
        self._checked_at: datetime | None = None
        self._session: GuardedSession | None = None
        self._connected: Any = None
        self._notes: dict[str, Any] = {}
        self._given: dict[str, Market] = {}
        self._altered: frozenset[str] = frozenset()

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
        return [self._access.markets.provide(self, self._load_markets)]

    def _keys(self) -> dict[str, str]:
        """What ccxt signs with; public data needs none."""
        return {}

    def _connect(self) -> None:
        classes = import_module("ccxt.pro" if self._streamed else "ccxt.async_support")
        # at DEBUG ccxt prints every header, the key among them
        logging.getLogger("ccxt").setLevel(logging.WARNING)
        exchange = getattr(classes, self._dialect.exchange)(
            {
                **self._keys(),
                "number": str,
                "enableRateLimit": False,  # ccxt's limiter does not refill while idle; ours is shared and puts cancels first
                "timeout": int(self._timeout * 1000),
                "session": None,  # made below, and never by ccxt itself
                "ssl_context": False,  # the session has its own
                "timeout_on_exit": 0,
                "options": dict(self._dialect.options),
                "has": {"fetchCurrencies": False},  # a long answer, for some of it a key, and nothing of it is needed
            }
        )
        allowed = self._dialect.hosts[self._environment]
        addresses = {self._origins.get(host, host) for host in allowed}
        every = Decimal(str(exchange.rateLimit))
        access = self._exchanges.at(self._dialect.exchange, self._environment, addresses, every)
        exchange.session = self._session = GuardedSession(
            allowed=allowed,
            origins=self._origins,
            clock=self._clock,
            silence=access.silence,
            bans=access.throttle.limits.bans,
            streamed=self._dialect.streams.hosts.get(self._environment, frozenset()),
        )
        exchange.on_rest_response = note_answer
        exchange.decimal_to_precision = _in_a_context_of_its_own(exchange.decimal_to_precision)
        if self._dialect.in_turn:
            exchange.fetch = in_turn(exchange.fetch)
        exchange.milliseconds = lambda: signing_time(parsing.milliseconds(self._clock.now()))
        if self._environment is Environment.TESTNET:
            getattr(exchange, self._dialect.testnet_switch)(True)  # noqa: FBT003 - ccxt names it differently from switch to switch
        self._dialect.speech.prepare(exchange)
        self._notes = {}
        self._shared, self._connected = access, exchange
        self._given, self._altered = {}, frozenset()
        if self._streamed:
            self._streams = Streams(exchange, self._clock, self._venue_time, self._dialect.streams.levels)

    async def _disconnect(self) -> None:
        exchange, session, streams = self._connected, self._session, self._streams
        self._connected = self._session = self._streams = None
        if streams is not None:
            await streams.close()
        if exchange is not None:
            await exchange.close()
        if session is not None:
            await session.close()

    async def warm(self) -> None:
        """Have as many connections open as are soon needed at once, and the clock checked.

        VenueUnavailable when the venue does not answer, VenueRefused when the clock is off. Nothing is kept of it but the
        clock's offset.
        """
        opening = await together(*(self._sample_clock() for _ in range(min(self._needed_at_once, MOST_CONNECTIONS))))
        self._take_offset([*opening, await self._sample_clock()])

    @property
    def _needed_at_once(self) -> int:
        """How many reads will be in flight together."""
        return 1

    async def _check_clock(self) -> None:
        # the first request also opens the connection, so the second one measures better
        self._take_offset([await self._sample_clock() for _ in range(2)])

    async def _check_clock_in_time(self) -> None:
        """Measure the clock's offset where that was last done too long ago. VenueRefused when it is off."""
        age = None if self._checked_at is None else self._clock.now() - self._checked_at
        if age is None or not timedelta(0) <= age <= CHECKED_LATELY:
            await self._check_clock()

    def _take_offset(self, samples: Collection[tuple[timedelta, timedelta]]) -> None:
        """samples: how long each took, and by how much the clock was ahead of the venue's; the quickest one counts."""
        _, self._offset = min(samples)
        if not abs(self._offset) - self._vague <= self.largest_offset:
            seconds = self._offset.total_seconds()
            remedy = (
                f"this machine's clock is {seconds:+.3f} s off the venue's, allowed is 1 s: synchronise it (NTP) and start again"
            )
            raise VenueRefused("clock", remedy)
        self._checked_at = self._clock.now()
        self._exchange.options["timeDifference"] = self._offset // timedelta(milliseconds=1)

    @property
    def _vague(self) -> timedelta:
        """By how much a measured offset may be more or less, because the venue's clock counts in coarse steps."""
        return self._dialect.speech.grain / 2

    async def _sample_clock(self) -> tuple[timedelta, timedelta]:
        question = Question(what="clock", attempts=1)
        told = await self._asked(question, self._dialect.speech.time) + self._vague
        after = self._clock.now()
        before = question.latest or after
        return after - before, before + (after - before) / 2 - told

    async def _load_markets(self) -> None:
        told = dict(self._dialect.loading)
        question, cost = Question(what="markets"), cost_of(self._exchange, LOAD_MARKETS, {})
        if not await self._again(question, cost, lambda: self._exchange.load_markets(reload=True, params=told), ()):
            raise VenueUnavailable("the venue's answer holds no markets")

    @property
    def exchange(self) -> Any:
        """The ccxt instance, for ``access``; None while not connected."""
        return self._connected

    def markets_changed(self) -> None:
        """Whoever holds a market that is another by now has to connect again."""
        self._altered = frozenset(symbol for symbol, market in self._given.items() if not self._is_still(market))

    def _is_still(self, market: Market) -> bool:
        try:
            entry = self._exchange.markets.get(market.symbol)
            return entry is not None and self._dialect.speech.market(market.symbol, entry) == market
        except (VenueRefused, StaleData):
            return False

    @property
    def _exchange(self) -> Any:
        if self._connected is None:
            raise InvariantViolation(f"venue {self._name} is used while it is not connected")
        return self._connected

    @property
    def _access(self) -> Access:
        if self._shared is None:
            raise InvariantViolation(f"venue {self._name} is used before it was connected")
        return self._shared

    def _venue_time(self) -> datetime:
        """Now, by the venue's clock."""
        return self._clock.now() - self._offset

    def _refuse_altered(self) -> None:
        if self._altered:
            names = ", ".join(sorted(self._altered))
            raise VenueUnavailable(f"the venue has altered {names} since this connection was made: connecting again")

    async def _asked(self, question: Question, put: Callable[[Wire], Awaitable[T]]) -> T:
        """The answer to ``question``, each request of which is tried again while the venue is unavailable."""
        try:
            return await put(self._wire(question))
        except verdicts.GARBAGE as error:
            raise verdicts.unreadable(question.what, error) from None

    def _wire(self, question: Question) -> Wire:
        exchange = self._exchange

        async def send(method: str, arguments: tuple[Any, ...], absent: Collection[str]) -> Any:
            call, told = getattr(exchange, method), arguments[0] if arguments and isinstance(arguments[0], dict) else {}
            return await self._again(question, cost_of(exchange, method, told), lambda: call(*arguments), absent)

        def now() -> datetime:
            return (question.latest or self._clock.now()) - self._offset

        async def share(what: str, put: Callable[[Wire], Awaitable[T]]) -> T:
            async def ask(sends: Callable[[], None]) -> T:
                shared = Question(what=what, priority=question.priority, account=question.account, sends=sends)
                return await self._asked(shared, put)

            return await self._read_once(self._access.own, (question.account, question.priority, what), ask)

        return Wire(exchange=exchange, clock=now, send=send, share=share, notes=self._notes)

    async def _read_once(self, shared: Shared, key: Hashable, ask: Callable[[Callable[[], None]], Awaitable[T]]) -> T:
        """The answer of ``ask``, or of another connection that asks the same under ``key``."""
        while True:
            try:
                return await shared.read(key, ask)
            except Disconnected:
                if self._connected is None:
                    raise  # else it was another's connection that was closed

    async def _whole(self, question: Question, put: Callable[[Wire], Awaitable[T]]) -> T:
        """As ``_asked``; VenueUnavailable, too, when the answer can't be read."""
        try:
            return await self._asked(question, put)
        except StaleData as error:
            raise VenueUnavailable(f"{question.what}: {error}") from None

    def _turn(self, question: Question, cost: Cost, by: datetime) -> Turn:
        return self._access.throttle.turn(question.priority, cost, by=by, account=question.account)

    async def _again(self, question: Question, cost: Cost, call: Callable[[], Awaitable[T]], absent: Collection[str]) -> T | None:
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

        retrying = AsyncRetrying(
            retry=retry_if_exception(self._worth_retrying),
            stop=stop_after_attempt(question.attempts or self._attempts),
            wait=wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._once, question, cost, call, absent)

    async def _once(self, question: Question, cost: Cost, call: Callable[[], Awaitable[T]], absent: Collection[str]) -> T | None:
        exchange, session = self._connected, self._session
        with watched() as flight:
            try:
                if session is not None:
                    session.refuse_in_silence()  # whoever comes now need not wait for its end
                patience = PATIENCE_FOR_THE_PAST if cost.past else PATIENCE
                async with self._turn(question, cost, self._clock.now() + patience) as turn:
                    flight.heard = turn.answered
                    question.sent(self._clock.now())
                    return await call()
            except verdicts.wire_faults() as error:
                if verdicts.says(self._dialect, absent, flight):
                    return None
                if self._connected is None or self._connected is not exchange:
                    raise Disconnected(f"{question.what} failed: the connection was closed") from None
                raise verdicts.of_read(self._dialect, flight, question.what, error) from None

    def _worth_retrying(self, error: BaseException) -> bool:
        if isinstance(error, Disconnected) or self._session is None:
            return False
        return isinstance(error, VenueUnavailable) and not self._session.silent

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=seconds))
