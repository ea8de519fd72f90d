"""A generated market: seeded price path, order book and trades. The same seed and start show the same market."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.book import OrderBook
from keeper.domain.market import Market, Side
from keeper.domain.numbers import exact, price_within, rounded
from keeper.domain.observation import FundingRate, MarketStats
from keeper.ports import Clock
from keeper.venues.feeds.depth import REFERENCE_DAILY_VALUE, displayed
from keeper.venues.feeds.feed import Trade, known_market
from keeper.venues.feeds.market_spec import MarketSpec, markets_of
from keeper.venues.feeds.price_path import BLOCK_STEPS, BLOCKS_PER_HOUR, STEP_SECONDS, PricePath, stream
from keeper.venues.paper.clock import AcceleratedClock

_STEP = timedelta(seconds=STEP_SECONDS)
_BOOK_STEPS = 8  # the sizes of the levels are drawn anew every two seconds
_HOURS_PER_DAY = 24
_FEWEST_TICKS = 100


class SyntheticFeed:
    """Markets that walk at random from ``prices`` (quote per base, by symbol) at ``start`` (aware UTC).

    clock: an AcceleratedClock for venue time that runs faster, or real time; seed: any whole number; volatility: per
    year, a fraction; spread_bps: best ask less best bid; daily_volume: quote traded in a day, which scales the depth.
    The mark is the mid, rounded to a hundredth of a tick. ValueError with words for whatever can't be.
    """

    def __init__(
        self,
        prices: Mapping[str, Decimal],
        *,
        clock: Clock,
        start: datetime,
        seed: int = 0,
        volatility: Decimal = Decimal("0.6"),
        spread_bps: Decimal = Decimal("0.1"),
        daily_volume: Decimal = Decimal(REFERENCE_DAILY_VALUE),
        markets: Mapping[str, MarketSpec] | None = None,
    ) -> None:
        self._prices = dict(prices)
        self._specs = dict(markets or {})
        self._markets = markets_of(self._prices, self._specs)
        for symbol, price in self._prices.items():
            tick = self._markets[symbol].tick
            if price < tick * _FEWEST_TICKS:
                message = f"price of {symbol} is {price}, less than {_FEWEST_TICKS} ticks of {tick}: set a finer tick"
                raise ValueError(message)
        _bounded("volatility", volatility, Decimal(10))
        _bounded("spread_bps", spread_bps, Decimal(1000))
        _bounded("daily_volume", daily_volume, Decimal(10) ** 15)
        self._clock = clock
        self._start = start
        self._seed = seed
        self._volatility = float(volatility)
        self._half_spread_bps = float(spread_bps) / 2
        self._daily_volume = float(daily_volume)
        self._lives = self._new_lives("")

    @property
    def clock(self) -> Clock:
        """The time that the market moves with."""
        return self._clock

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every market that has a starting price."""
        return tuple(self._markets)

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """The markets named. VenueRefused names a symbol that is not among them."""
        return {symbol: known_market(self._markets, symbol) for symbol in symbols}

    async def mark(self, symbol: str, at: datetime) -> Decimal:
        """The mid of the path, quote per base."""
        market = known_market(self._markets, symbol)
        return max(market.tick, _to_tick(Decimal(repr(self._mid(symbol, self._step_at(at)))), market.tick / _FEWEST_TICKS))

    async def book(self, symbol: str, at: datetime) -> OrderBook:
        """About 25 levels on each side of the mid."""
        market = known_market(self._markets, symbol)
        step = self._step_at(at)
        return displayed(
            market=market,
            mid=self._mid(symbol, step),
            half_spread_bps=self._half_spread_bps,
            daily_value=self._daily_volume,
            draw=stream(self._key(symbol), "book", step // _BOOK_STEPS),
            at=at,
        )

    async def stats(self, symbol: str, at: datetime) -> MarketStats:
        """Volume and volatility of the twelve whole five-minute blocks before ``at``, scaled to a day."""
        known_market(self._markets, symbol)
        path = self._lives[symbol]
        current = self._step_at(at) // BLOCK_STEPS
        hour = [path.activity(index) for index in range(current - BLOCKS_PER_HOUR, current)]
        mid = self._mid(symbol, current * BLOCK_STEPS)
        volume = math.fsum(block.value for block in hour) * _HOURS_PER_DAY / mid
        volatility = math.sqrt(math.fsum(block.variance for block in hour) * _HOURS_PER_DAY)
        return MarketStats(volume=rounded(Decimal(repr(volume)), 8), volatility=rounded(Decimal(repr(volatility)), 8))

    async def trades(self, symbol: str, since: datetime, until: datetime) -> tuple[Trade, ...]:
        """What strangers traded from ``since`` up to, not including, ``until``, oldest first."""
        market = known_market(self._markets, symbol)
        path = self._lives[symbol]
        found = []
        for index in range(self._step_at(since) // BLOCK_STEPS, self._step_at(until) // BLOCK_STEPS + 1):
            for trade in path.block(index).trades:
                at = self._start + (trade.step + trade.part) * _STEP
                if since <= at < until:
                    side = Side.BUY if trade.sign > 0 else Side.SELL
                    mid = self._mid(symbol, trade.step)
                    wanted = Decimal(repr(mid * (1 + trade.sign * self._half_spread_bps / 1e4)))
                    price = max(market.tick, price_within(wanted, market.tick, -trade.sign))
                    lots = market.whole_lots(market.to_contracts(Decimal(repr(trade.value)), price))
                    found.append(Trade(symbol=symbol, side=side, amount=max(market.lot, lots), price=price, at=at))
        return tuple(found)

    async def funding(self, symbol: str, at: datetime) -> FundingRate | None:  # noqa: ARG002 - the same at any time
        """What longs pay shorts, as configured."""
        return self._specs[symbol].funding if symbol in self._specs else None

    async def resume(self, prices: Mapping[str, Decimal], at: datetime) -> None:
        """Go on from ``prices`` at ``at`` or, when the clock is past it, now; what follows is a new stretch of the market."""
        if isinstance(self._clock, AcceleratedClock):
            self._clock.forward_to(at)
        self._start = max(at, self._clock.now())
        self._prices |= {symbol: price for symbol, price in prices.items() if symbol in self._markets}
        self._lives = self._new_lives(self._start.isoformat())

    async def close(self) -> None:
        """Nothing is held."""

    def _new_lives(self, stretch: str) -> dict[str, PricePath]:
        self._stretch = stretch
        return {
            symbol: PricePath(self._key(symbol), volatility=self._volatility, daily_value=self._daily_volume)
            for symbol in self._markets
        }

    def _key(self, symbol: str) -> str:
        return f"{self._seed}|{symbol}|{self._stretch}"

    def _step_at(self, at: datetime) -> int:
        return (at - self._start) // _STEP

    def _mid(self, symbol: str, step: int) -> float:
        return float(self._prices[symbol]) * math.exp(self._lives[symbol].log(step))


@exact
def _to_tick(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value() * tick


def _bounded(name: str, number: Decimal, most: Decimal) -> None:
    if not (number.is_finite() and 0 <= number <= most):
        message = f"{name} is {number}: write a number from 0 to {most}"
        raise ValueError(message)
