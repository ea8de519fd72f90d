"""What the connections of one process to an exchange have in common: whose turn it is, silence, public reads, markets.

Keys, sessions and clock offsets are each connection's own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Protocol
from weakref import WeakSet

from keeper.ports import Clock, Environment
from keeper.venues.budgets import Limits
from keeper.venues.rates import limits_of
from keeper.venues.sharing import FRESH, Shared
from keeper.venues.throttle import Throttle, Throttles
from keeper.venues.transport import Silence

LOADED_LATELY = timedelta(minutes=1)
"""Age up to which a new connection takes the markets that another one loaded."""
PARTS = (
    "markets",
    "markets_by_id",
    "symbols",
    "ids",
    "currencies",
    "currencies_by_id",
    "baseCurrencies",
    "quoteCurrencies",
    "codes",
)
"""What ccxt keeps of the markets it loaded."""


class Holder(Protocol):
    """A connection, as far as markets go."""

    @property
    def exchange(self) -> Any:
        """Its ccxt instance; None while it is not connected."""
        ...

    def markets_changed(self) -> None:
        """The markets of ``exchange`` were replaced by those that another connection loaded."""
        ...


class SharedMarkets:
    """The markets of one exchange in one environment, once in memory for all connections, however often they are loaded."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loading = asyncio.Lock()
        self._latest: SimpleNamespace | None = None
        self._loaded_at: datetime | None = None
        self._holders: WeakSet[Holder] = WeakSet()
        self._endpoints: object = None

    async def provide(self, holder: Holder, load: Callable[[], Awaitable[None]]) -> None:
        """Give ``holder`` markets that were loaded lately, by ``load`` if nobody else did; then everybody has those."""
        # what ccxt declares of its endpoints is the same for all, and most of what an instance takes
        self._endpoints = holder.exchange.api = self._endpoints or holder.exchange.api
        async with self._loading:
            age = None if self._loaded_at is None else self._clock.now() - self._loaded_at
            if self._latest is None or age is None or not timedelta(0) <= age <= LOADED_LATELY:
                at = self._clock.now()
                await load()
                self._latest, self._loaded_at = _parts(holder.exchange), at
                for other in list(self._holders):
                    if other is not holder and other.exchange is not None:
                        other.exchange.set_markets_from_exchange(self._latest)
                        other.markets_changed()
            else:
                holder.exchange.set_markets_from_exchange(self._latest)
            self._holders.add(holder)


def _parts(exchange: Any) -> SimpleNamespace:
    """What was loaded, in the shape in which ccxt takes it over, without the keys of whoever loaded it."""
    helpers = exchange.options.get("marketHelperProps", [])
    options = {"marketHelperProps": helpers, **{name: exchange.options.get(name) for name in helpers}}
    return SimpleNamespace(id=exchange.id, options=options, **{name: getattr(exchange, name) for name in PARTS})


@dataclass(frozen=True, slots=True)
class Access:
    """To one exchange in one environment.

    public, own: reads that serve several who ask the same, of public data and of an account; the latter none that asks after
    it was sent.
    """

    throttle: Throttle
    silence: Silence
    public: Shared
    own: Shared
    markets: SharedMarkets


class Exchanges:
    """Whatever one process shares of the exchanges that it reaches.

    limits: what an exchange grants, as ``rates.limits_of``; fresh: of public reads, as ``sharing.Shared`` has it.
    """

    def __init__(self, clock: Clock, limits: Callable[[str, Decimal], Limits] = limits_of, fresh: timedelta = FRESH) -> None:
        self._clock = clock
        self._limits = limits
        self._fresh = fresh
        self._throttles = Throttles(clock)
        self._silences: dict[str, Silence] = {}
        self._made: dict[tuple[str, Environment], Access] = {}

    def at(self, exchange: str, environment: Environment, addresses: Iterable[str], every: Decimal) -> Access:
        """What all connections to ``exchange`` at ``addresses`` share. every: ms that ccxt leaves between two requests.

        Environments that live at the same address share its limits and its silence.
        """
        line = f"{exchange} at {', '.join(sorted(addresses))}"
        if (line, environment) not in self._made:
            throttle = self._throttles.at(line, self._limits(exchange, every))
            silence = self._silences.setdefault(line, Silence(kept=throttle.silent_until))
            public, own = Shared(self._clock, self._fresh), Shared(self._clock, timedelta(0))
            made = Access(throttle, silence, public, own, SharedMarkets(self._clock))
            self._made[line, environment] = made
        return self._made[line, environment]
