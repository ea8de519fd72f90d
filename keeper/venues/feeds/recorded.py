"""A market that was recorded, played again. Its time begins where the recordings do and ends with the first that does."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData
from keeper.domain.market import Market
from keeper.domain.observation import FundingRate, MarketStats
from keeper.venues.feeds.feed import known_market
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.feeds.recording import Recording
from keeper.venues.paper.clock import AcceleratedClock

GRACE = timedelta(seconds=5)  # for which the last state stands: whoever ends on the last second still has to look around


class RecordedFeed:
    """Recordings by symbol. speed: venue seconds per real second, None for as fast as the machine can.

    The clock starts at the latest of their first times. ValueError when there is no time that all of them hold.
    """

    def __init__(
        self, recordings: Mapping[str, Recording], *, speed: float | None = None, specs: Mapping[str, MarketSpec] | None = None
    ) -> None:
        if not recordings:
            message = "the feed has no recordings: name at least one market"
            raise ValueError(message)
        self._recordings = dict(recordings)
        self._specs = dict(specs or {})
        self._markets = {symbol: recording.market for symbol, recording in recordings.items()}
        self._starts_at = max(recording.first for recording in recordings.values())
        self._ends_at = min(recording.last for recording in recordings.values())
        if not self._starts_at < self._ends_at:
            message = f"the recordings share no time: one begins at {self._starts_at}, when another ended at {self._ends_at}"
            raise ValueError(message)
        self._clock = AcceleratedClock(self._starts_at, speed)

    @property
    def clock(self) -> AcceleratedClock:
        """The time of the recordings."""
        return self._clock

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every market that was recorded."""
        return tuple(self._markets)

    @property
    def ends_at(self) -> datetime:
        """Where the first recording ends, aware UTC."""
        return self._ends_at

    @property
    def left(self) -> timedelta:
        """What is still to be played; negative once it is over."""
        return self._ends_at - self._clock.now()

    @property
    def refill(self) -> timedelta:
        """Half-life of what orders took: the longest that one of the recordings is meant for, so that none gives too much."""
        return max(recording.refill for recording in self._recordings.values())

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named. VenueRefused names a symbol that is not among them."""
        return {symbol: known_market(self._markets, symbol) for symbol in symbols}

    async def mark(self, symbol: str, at: datetime) -> Decimal:
        """Mark price, quote per base. StaleData outside of the recording."""
        return self._recording(symbol, at).mark(self._within(at))

    async def book(self, symbol: str, at: datetime) -> OrderBook:
        """What was displayed, in contracts. StaleData outside of the recording."""
        book = self._recording(symbol, at).book(self._within(at))
        return OrderBook(bids=book.bids, asks=book.asks, at=at)

    async def stats(self, symbol: str, at: datetime) -> MarketStats:
        """A day's volume and volatility. StaleData outside of the recording."""
        return self._recording(symbol, at).stats(self._within(at))

    async def funding(self, symbol: str, at: datetime) -> FundingRate | None:  # noqa: ARG002 - the same at any time
        """What longs pay shorts, as configured: recordings tell of none."""
        return self._specs[symbol].funding if symbol in self._specs else None

    async def resume(self, prices: Mapping[str, Decimal], at: datetime) -> None:  # noqa: ARG002 - the recording has the prices
        """Go on from ``at``."""
        self._clock.forward_to(at)

    async def close(self) -> None:
        """Nothing is held."""

    def _recording(self, symbol: str, at: datetime) -> Recording:
        known_market(self._markets, symbol)
        if not self._starts_at <= at <= self._ends_at + GRACE:
            span = f"{self._starts_at:%Y-%m-%d %H:%M:%S} to {self._ends_at:%Y-%m-%d %H:%M:%S} UTC"
            raise StaleData(f"the recording of {symbol} holds {span}, not {at:%Y-%m-%d %H:%M:%S} UTC")
        return self._recordings[symbol]

    def _within(self, at: datetime) -> datetime:
        return min(at, self._ends_at)
