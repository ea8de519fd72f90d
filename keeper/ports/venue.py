"""What the service needs of an exchange account, and of what is public there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from keeper.domain.account import Account
from keeper.domain.market import Market
from keeper.domain.observation import FundingRate, MarketStats, Quote
from keeper.domain.order import Fill, OrderReport, OrderRequest, Outcome, VenueOrder
from keeper.domain.statement import Posting
from keeper.ports.process import Clock


class Environment(StrEnum):
    """Where orders go."""

    LIVE = "live"
    TESTNET = "testnet"
    PAPER = "paper"


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueInfo:
    """What is fixed about a venue.

    name: as configured; exchange: ccxt id or ``paper``; account: fingerprint of the account, never a secret;
    read_lag: seconds after which a read shows an earlier write; order_ttl: seconds a sent order may take to arrive;
    client_id_length: of a client order id; stops: whether it keeps reduce-only stops that the mark sets off.
    """

    name: str
    exchange: str
    environment: Environment
    account: str
    read_lag: float
    order_ttl: float
    client_id_length: int = 32
    stops: bool = False


class MarketData(Protocol):
    """Public data of a venue."""

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named. VenueRefused names a symbol that the venue lacks or that Keeper can't trade."""
        ...

    async def quote(self, symbol: str) -> Quote:
        """Mark and book of one market, read together. VenueUnavailable or StaleData."""
        ...

    async def stats(self, symbol: str) -> MarketStats:
        """A day's volume and volatility of one market. VenueUnavailable or StaleData."""
        ...

    async def funding(self, symbol: str) -> FundingRate | None:
        """What longs of a market pay shorts; None where the venue tells of none. VenueUnavailable or StaleData."""
        ...

    async def alike(self, symbol: str) -> tuple[str, ...]:
        """The venue's other perpetuals on the same base that are open, by name. VenueUnavailable when it does not answer."""
        ...

    async def price(self, asset: str, currency: str) -> Decimal:
        """What a unit of ``asset`` is worth in ``currency`` now. VenueRefused where the venue has no market that tells.

        VenueUnavailable or StaleData when it does not answer.
        """
        ...


class Venue(MarketData, Protocol):
    """One exchange account in one environment."""

    @property
    def info(self) -> VenueInfo:
        """Name, environment, account and timing of this venue."""
        ...

    @property
    def clock(self) -> Clock:
        """The venue's clock: real time for an exchange, the feed's own where a feed is recorded or accelerated."""
        ...

    async def __aenter__(self) -> Self:
        """Connect: load markets and fees, check the clock. VenueRefused for bad keys, VenueUnavailable when down."""
        ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Disconnect."""
        ...

    async def account(self) -> Account:
        """Balances, positions and open orders but for our stops, read together. VenueUnavailable or StaleData."""
        ...

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """The orders that rest in any market of the account, whoever sent them, our stops too. VenueUnavailable or StaleData.

        They can be told where the account itself can't.
        """
        ...

    async def place(self, request: OrderRequest) -> Outcome:
        """Send one order, once. Never raises for what happens on the wire: whatever proves nothing is Unknown."""
        ...

    async def time(self) -> datetime:
        """The venue's own clock, aware UTC, which may differ from ours. VenueUnavailable when it does not answer."""
        ...

    async def lookup(self, symbol: str, client_id: str) -> OrderReport | None:
        """The order under a client id, None when the venue says that it has none. VenueUnavailable when it says nothing.

        A stop that the mark set off is what became of it, under the id that it had from the start.
        """
        ...

    async def heard(self, client_id: str, by: datetime) -> None:
        """Return once the venue sent word by itself that something became of an order, ``by`` then at the latest.

        What became of it is asked for afterwards: the word proves nothing.
        """
        ...

    async def fills(self, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Every trade of one order, oldest first. VenueUnavailable when the venue does not answer."""
        ...

    async def orders(self, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Every order of one market placed at ``since`` or later, whoever placed it, oldest first, our stops too.

        VenueUnavailable when the venue does not answer, or can't tell all of them.
        """
        ...

    async def cancel(self, symbol: str, client_id: str) -> None:
        """Ask for the order under a client id to be canceled; nothing happens when it does not rest.

        The answer proves nothing: what was filled, and whether it still rests, is asked for afterwards. VenueUnavailable
        when the venue does not answer.
        """
        ...

    async def ledger(self, since: datetime) -> tuple[Posting, ...] | None:
        """What the venue's own ledger tells from ``since`` on, oldest first; None where this exchange does not tell.

        VenueUnavailable when the venue does not answer, or can't tell all of it.
        """
        ...

    async def dead_man(self, symbols: Sequence[str], within: timedelta | None) -> bool:
        """Have the venue cancel what rests in these markets unless asked again ``within``; None takes that off.

        False where the venue has no such switch. VenueUnavailable when it does not answer.
        """
        ...
