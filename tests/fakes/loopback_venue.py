"""A CcxtVenue that talks to the loopback exchange, an order for it, and a clock that can be wrong and need not wait."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.market import Side
from keeper.domain.order import OrderRequest
from keeper.ports import Clock, Environment, VenueInfo
from keeper.venues.access import Exchanges
from keeper.venues.budgets import Limits
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.dialects import DIALECTS, Dialect
from keeper.venues.dialects.generic import generic
from keeper.venues.rates import limits_of
from tests.fakes.loopback_server import API_KEY, PASSPHRASE, SECRET, LoopbackServer

BTC = "BTC/USDT:USDT"
ETH = "ETH/USDT:USDT"
CLIENT_ID = "kpr0123456789abcdef0123456789abc"


@dataclass(slots=True)
class ShiftedClock:
    """Real time plus ``shift``, which grows by ``step`` at each look. Waiting is noted, and done only if ``waits``."""

    shift: timedelta = timedelta(0)
    step: timedelta = timedelta(0)
    waits: bool = False
    waited: list[timedelta] = field(default_factory=list)

    def now(self) -> datetime:
        self.shift += self.step
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time.time_ns() // 1000) + self.shift

    async def sleep_until(self, at: datetime) -> None:
        left = at - self.now()
        self.waited.append(left)
        if self.waits and left > timedelta(0):
            await asyncio.sleep(left.total_seconds())  # noqa: TID251 - this is the clock


@dataclass(slots=True)
class JumpingClock(ShiftedClock):
    """Real time in which a wait takes none: it moves the time on."""

    async def sleep_until(self, at: datetime) -> None:
        await asyncio.sleep(0)  # noqa: TID251 - whoever is ready goes first
        self.shift += max(timedelta(0), at - self.now())


@dataclass(slots=True)
class StillClock(JumpingClock):
    """A clock that stands still unless somebody waits: what is measured of one that counts seconds is then exact."""

    at: datetime = datetime(2026, 11, 25, 12, 0, 0, 250_000, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at + self.shift


WALLET = "0x00000000000000000000000000000000000000a1"
PRIVATE_KEY = "0x" + "22" * 32
CREDENTIALS = {
    "api_key": API_KEY,
    "secret": SECRET,
    "passphrase": PASSPHRASE,
    "wallet_address": WALLET,
    "private_key": PRIVATE_KEY,
}


def row_of(exchange: str) -> Dialect:
    """What Keeper knows of an exchange."""
    return DIALECTS.get(exchange) or generic(exchange)


def info(environment: Environment = Environment.TESTNET, exchange: str = "binanceusdm") -> VenueInfo:
    row = row_of(exchange)
    return VenueInfo(
        name="loop",
        exchange=exchange,
        environment=environment,
        account="0123456789abcdef",
        read_lag=0.0,
        order_ttl=5.0,
        client_id_length=row.client_id_length,
    )


def plenty(exchange: str, every: Decimal) -> Limits:
    """What the exchange grants, and more of it than any test asks for."""
    limits = limits_of(exchange, every)
    return replace(limits, budgets=tuple(replace(row, capacity=Decimal(10) ** 9) for row in limits.budgets))


def alone(clock: Clock) -> Exchanges:
    """What a venue shares that shares nothing, is granted plenty, and reads anew however soon it asks again."""
    return Exchanges(clock, plenty, timedelta(0))


def venue_at(server: LoopbackServer, environment: Environment = Environment.TESTNET, **changes: Any) -> CcxtVenue:
    """A venue that reaches ``server``; ``changes`` replace arguments of CcxtVenue, ``credentials`` some of the keys.

    kind: the class of the venue. Without ``exchanges`` it is ``alone``.
    """
    exchange, kind = server.skin.exchange, changes.pop("kind", CcxtVenue)
    keys = {part: CREDENTIALS[part] for part in row_of(exchange).credentials if part in CREDENTIALS}
    keys |= changes.pop("credentials", {})
    told: dict[str, Any] = {"credentials": keys, "hosts": server.hosts, "clock": ShiftedClock()}
    told |= changes
    told.setdefault("exchanges", alone(told["clock"]))
    made: CcxtVenue = kind(info(environment, exchange), **told)
    return made


def order(**changes: Any) -> OrderRequest:
    """Buy 0.015 BTC at 50,010.1 within five seconds."""
    parts: dict[str, Any] = {
        "client_id": CLIENT_ID,
        "symbol": BTC,
        "side": Side.BUY,
        "amount": Decimal("0.015"),
        "price": Decimal("50010.1"),
        "reduce_only": False,
        "deadline": ShiftedClock().now() + timedelta(seconds=5),
    }
    return OrderRequest(**(parts | changes))
