"""What a recording of one market is to the feed that plays it, and how one is refused. Reads nothing by itself."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from keeper.domain.book import OrderBook
from keeper.domain.market import Market
from keeper.domain.observation import MarketStats

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
DAY_MS = 86_400_000


class BadRecording(ValueError):
    """A file that can't be played. path: of the file; why: what is wrong with it, the first bad row named."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of a recording to play: from ``start`` to ``end`` (aware UTC), None for where it begins and ends."""

    start: datetime | None = None
    end: datetime | None = None

    def cut(self, first: datetime, last: datetime) -> tuple[datetime, datetime]:
        """What lies inside of ``first`` to ``last``; the end may come out before the start."""
        return max(first, self.start or first), min(last, self.end or last)


class Recording(Protocol):
    """One market as it was. Every ``at`` is aware UTC and lies between ``first`` and ``last``."""

    @property
    def market(self) -> Market:
        """Its rules and fees."""
        ...

    @property
    def first(self) -> datetime:
        """The earliest time that can be shown."""
        ...

    @property
    def last(self) -> datetime:
        """Where the recording ends."""
        ...

    @property
    def refill(self) -> timedelta:
        """Half-life of what an order took from its book, for which the depth that it shows is meant."""
        ...

    def mark(self, at: datetime) -> Decimal:
        """Mark price, quote per base."""
        ...

    def book(self, at: datetime) -> OrderBook:
        """What strangers displayed; levels in contracts."""
        ...

    def stats(self, at: datetime) -> MarketStats:
        """A day's volume and volatility, as far as the recording tells."""
        ...


def milliseconds(at: datetime) -> int:
    """``at`` (aware) as milliseconds since 1970, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def instant(stamp: int) -> datetime:
    """Milliseconds since 1970 as aware UTC."""
    return _EPOCH + stamp * _MILLISECOND


def shown(stamp: int) -> str:
    """Milliseconds since 1970 for a message."""
    return f"{instant(stamp):%Y-%m-%d %H:%M:%S.%f}".removesuffix("000").removesuffix(".000") + " UTC"
