"""A venue behind a real ccxt class: reads that may be repeated, and one write that never is.

ccxt signs, routes and names errors; rounding, outcomes, retries and hosts are decided here and beside. Nothing here may
send an order twice, take an exception for a rejection, or show a key. ccxt is imported on connecting, not before.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self, TypeVar

from keeper.domain.account import Account
from keeper.domain.errors import ConfigError, InvariantViolation, Problem, StaleData, VenueRefused, VenueUnavailable
from keeper.domain.market import Market
from keeper.domain.numbers import plain
from keeper.domain.observation import MarketStats, Quote
from keeper.domain.order import Accepted, Fill, OrderReport, OrderRequest, Outcome, Unknown
from keeper.ports import Clock, Environment, VenueInfo
from keeper.venues import parsing, verdicts
from keeper.venues.dialects import dialect_of
from keeper.venues.transport import GuardedSession, loopback_origins, note_answer, watched

T = TypeVar("T")
LARGEST_OFFSET = timedelta(seconds=1)
BOOK_LEVELS = 100
MOST_TRADES = 1000
FIRST_WAIT, LONGEST_WAIT = 0.2, 2.0
OK = range(200, 300)
NEAREST = 3


class CcxtVenue:
    """One exchange account in one environment; see ``ports.Venue`` for what each method promises.

    info.exchange: an id of ``dialects.DIALECTS``; api_key, secret: of that account in that environment; hosts: host name
    to loopback origin, for tests, and then no other host is reached; timeout: seconds for one request; attempts: how
    often a read is tried; max_age: seconds, a book or mark older than that is StaleData.
    ConfigError for an exchange or environment without a dialect, missing keys, or hosts that leave this machine.
    """

    def __init__(
        self,
        info: VenueInfo,
        *,
        api_key: str,
        secret: str,
        hosts: Mapping[str, str],
        clock: Clock,
        timeout: float = 10.0,
        attempts: int = 3,
        max_age: float = 10.0,
    ) -> None:
        self._dialect = dialect_of(info.name, info.exchange, info.environment)
        self._origins = loopback_origins(info.name, hosts)
        missing = [name for name, value in (("api_key", api_key), ("secret", secret)) if not value]
        if missing:
            remedy = "write the file that holds it, or set it in the environment"
            source = f"venue {info.name}"
            raise ConfigError(*(Problem(source, f"venues.{info.name}.credentials.{name}", "empty", remedy) for name in missing))
        self._info = info
        self._api_key = api_key
        self._secret = secret
        self._clock = clock
        self._timeout = timeout
        self._attempts = attempts
        self._max_age = timedelta(seconds=max_age)
        self._offset = timedelta(0)
        self._session: GuardedSession | None = None
        self._connected: Any = None

    @property
    def info(self) -> VenueInfo:
        """Name, environment, account and timing of this venue."""
        return self._info

    @property
    def clock(self) -> Clock:
        """Real time."""
        return self._clock

    async def __aenter__(self) -> Self:
        """Connect: measure the clock's offset, load markets, check the position mode, which proves the keys too."""
        try:
            self._connect()
            await self._check_clock()
            await together(
                self._read("markets", self._load_markets),
                self._read("position mode", self._check_mode),
            )
        except BaseException:
            await self._disconnect()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Disconnect."""
        await self._disconnect()

    def _connect(self) -> None:
        import ccxt.async_support

        # at DEBUG ccxt prints every header, the key among them
        logging.getLogger("ccxt").setLevel(logging.WARNING)
        allowed = self._dialect.hosts[self._info.environment]
        self._session = GuardedSession(allowed=allowed, origins=self._origins, clock=self._clock)
        exchange = getattr(ccxt.async_support, self._dialect.exchange)(
            {
                "apiKey": self._api_key,
                "secret": self._secret,
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
        if self._info.environment is Environment.TESTNET:
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
        told = await self._exchange.fetch_time()
        after = self._clock.now()
        return after - before, before + (after - before) / 2 - parsing.instant(told, "time of the venue")

    async def _load_markets(self) -> None:
        if not await self._exchange.load_markets(reload=True):
            raise VenueUnavailable("the venue's answer holds no markets")

    async def _check_mode(self) -> None:
        if parsing.part(await self._call("mode"), "dualSidePosition") is not False:
            raise parsing.hedge_mode()

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named; from what was loaded on connecting."""
        known = self._exchange.markets
        for symbol in symbols:
            if symbol not in known:
                near = ", ".join(get_close_matches(symbol, known, n=NEAREST, cutoff=0.5))
                raise VenueRefused("symbol", f"{self._info.exchange} has no market {symbol}{'; near: ' + near if near else ''}")
        return {symbol: parsing.market(symbol, known[symbol]) for symbol in symbols}

    async def account(self) -> Account:
        """Balances, positions and open orders, read together."""
        balances, positions, orders = await together(
            self._read("account", self._balances),
            self._read("positions", self._positions),
            self._read("open orders", self._open_orders),
        )
        return Account(balances=balances, positions=positions, open_orders=orders, at=self._clock.now())

    async def _balances(self) -> dict[str, Decimal]:
        return parsing.balances(await self._call("account"), self._exchange.safe_currency_code)

    async def _positions(self) -> Any:
        exchange = self._exchange
        return parsing.positions(
            await self._call("positions"), lambda market_id: str(exchange.safe_symbol(market_id, None, None, "contract"))
        )

    async def _open_orders(self) -> tuple[str, ...]:
        return parsing.open_orders(await self._call("orders"))

    async def quote(self, symbol: str) -> Quote:
        """Mark and book of one market, read together, each no older than ``max_age`` by the venue's clock."""
        market = self._market_id(symbol)
        mark, book = await together(
            self._read(f"mark of {symbol}", lambda: self._call("mark", symbol=market)),
            self._read(f"book of {symbol}", lambda: self._call("book", symbol=market, limit=BOOK_LEVELS)),
        )
        levels = parsing.book(book)
        self._refuse_stale(f"book of {symbol}", levels.at)
        self._refuse_stale(f"mark of {symbol}", parsing.instant(parsing.part(mark, "time"), "time of the mark"))
        return Quote(mark=parsing.positive(mark, "markPrice"), book=levels)

    async def stats(self, symbol: str) -> MarketStats:
        """The last 24 hours of one market."""
        return parsing.stats(await self._read(f"day of {symbol}", lambda: self._call("day", symbol=self._market_id(symbol))))

    async def place(self, request: OrderRequest) -> Outcome:
        """Send one limit order, immediate or cancel, once."""
        with watched() as flight:
            try:
                amount, price = wire_numbers(self._exchange, request)
                order = await self._exchange.create_order(
                    request.symbol, "limit", request.side.value, amount, price, self._order_parameters(request)
                )
                report = parsing.report(order, request.client_id)
            except verdicts.wire_faults() as error:
                return verdicts.of_order(self._dialect, flight, error)
        if flight.status not in OK:
            return Unknown(f"HTTP {flight.status} with an order in it")
        return Accepted(report)

    def _order_parameters(self, request: OrderRequest) -> dict[str, object]:
        stamp = parsing.milliseconds(self._clock.now() - self._offset)
        left = parsing.milliseconds(request.deadline - self._offset) - stamp
        if not left > 0:
            raise VenueRefused("deadline", "its deadline has passed")
        if not len(request.client_id) <= self._dialect.client_id_limit:
            raise VenueRefused("client_id", f"its client id is longer than {self._dialect.client_id_limit} characters")
        # timestamp + recvWindow is the deadline, as this machine's clock tells it: later the venue refuses the order
        return {
            self._dialect.client_id: request.client_id,
            "timeInForce": "IOC",
            "timestamp": stamp,
            "recvWindow": min(left, self._dialect.order_window),
            **({"reduceOnly": True} if request.reduce_only else {}),
        }

    async def lookup(self, symbol: str, client_id: str) -> OrderReport | None:
        """The order under a client id; None only when the venue's code says that there is none."""
        order = await self._read(
            f"order {client_id}",
            lambda: self._exchange.fetch_order(None, symbol, {self._dialect.lookup_id: client_id}),
            absent=self._dialect.not_found,
        )
        return None if order is None else self._whole(f"order {client_id}", lambda: parsing.report(order, client_id))

    async def fills(self, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Every trade of one order, oldest first."""
        what, market = f"trades of order {order_id}", self._market_id(symbol)
        trades = await self._read(what, lambda: self._call("trades", symbol=market, orderId=order_id, limit=MOST_TRADES))
        read = self._whole(what, lambda: parsing.fills(trades, symbol, order_id, self._exchange.safe_currency_code))
        if not len(trades) < MOST_TRADES:
            raise VenueUnavailable(f"{what}: {len(trades)} in one answer, so some may be missing")
        return read

    def _whole(self, what: str, parse: Callable[[], T]) -> T:
        try:
            return parse()
        except StaleData as error:
            raise VenueUnavailable(f"{what}: {error}") from None

    @property
    def _exchange(self) -> Any:
        if self._connected is None:
            raise InvariantViolation(f"venue {self._info.name} is used while it is not connected")
        return self._connected

    def _market_id(self, symbol: str) -> str:
        if symbol not in self._exchange.markets:
            raise VenueRefused("symbol", f"{self._info.exchange} has no market {symbol}")
        return str(self._exchange.markets[symbol]["id"])

    async def _call(self, name: str, **parameters: object) -> Any:
        return await getattr(self._exchange, self._dialect.calls[name])(parameters)

    def _refuse_stale(self, what: str, at: datetime) -> None:
        age = self._clock.now() - self._offset - at
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
                coded = verdicts.code_of(flight)
                if coded is not None and coded[0] in absent:
                    return None
                raise verdicts.of_read(self._dialect, flight, what, error) from None

    def _worth_retrying(self, error: BaseException) -> bool:
        return isinstance(error, VenueUnavailable) and self._session is not None and not self._session.silent

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=seconds))


def wire_numbers(exchange: Any, request: OrderRequest) -> tuple[float, float]:
    """Amount and price as ccxt takes them. VenueRefused when what it would write is not exactly what was asked for."""
    if request.symbol not in exchange.markets:
        raise VenueRefused("symbol", f"there is no market {request.symbol}")
    amount, price = float(request.amount), float(request.price)
    for name, asked, wire in (
        ("amount", request.amount, exchange.amount_to_precision(request.symbol, amount)),
        ("price", request.price, exchange.price_to_precision(request.symbol, price)),
    ):
        if parsing.above_zero(wire, name) != asked:
            raise VenueRefused(
                "not_exact", f"its {name} {plain(asked)} would be sent as {wire}: not a whole number of the market's steps"
            )
    return amount, price


async def together(*reads: Awaitable[Any]) -> list[Any]:
    """The answers of reads that are in flight at the same time; the first failure cancels the rest and is raised."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
