"""Bars as a market: a path through each one, and a book whose depth no more than a share of the bar's volume can leave.

The path runs at an even pace from the open to one extreme, to the other, to the close; which extreme comes first is drawn
from a seed. Orders never fill at a recorded price for free: they take what is displayed around the path, at a price that
rises with the square root of what is taken. Floats throughout, up to the values shown.
"""

import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate, pairwise
from pathlib import Path

from keeper.domain.book import Level, OrderBook
from keeper.domain.market import Market, Side
from keeper.domain.numbers import ZERO, exact, price_within, rounded
from keeper.domain.observation import MarketStats
from keeper.venues.feeds.columns import Kind, Table, read_table
from keeper.venues.feeds.price_path import stream
from keeper.venues.feeds.recording import DAY_MS, BadRecording, Window, instant, milliseconds, shown

FILLABLE = 0.025  # of a bar's volume, by one side's orders while it lasts
# what is taken comes back with a half-life of half a bar: whoever takes that as well, all along, ends at FILLABLE
_DISPLAYED = Decimal(repr(FILLABLE / (1 + 2 * math.log(2))))
_KINDS = {"ts": Kind.TIME} | dict.fromkeys(("open", "high", "low", "close", "volume"), Kind.NUMBER)
_PRICES = ("open", "high", "low", "close")
_LEVELS = 20
_MARGINAL_Y = 0.9  # half as much again as the average cost Y sigma sqrt(Q / ADV), Y = 0.6
_FEWEST_TICKS = 100
_FEWEST_BARS = 24
_HIGHEST_PRICE = 1e12
_LARGEST_VOLUME = 1e16


class BarRecording:
    """One market's bars; see ``recording.Recording``.

    path: a csv or parquet file with the columns ts (start of the bar), open, high, low, close (quote per base) and volume
    (base), any bar length; window: only its bars must be without gaps, earlier ones serve the statistics;
    spread_bps: best ask less best bid. BadRecording names the first bad row.
    """

    def __init__(self, path: Path, market: Market, *, window: Window, seed: int = 0, spread_bps: Decimal = Decimal(1)) -> None:
        table = read_table(path, _KINDS)
        self._market = market
        self._key = f"{seed}|{market.symbol}"
        self._half_spread = float(spread_bps) / 2e4
        self._starts = table.whole["ts"]
        self._prices = tuple(table.numbers[name] for name in _PRICES)
        self._volumes = table.numbers["volume"]
        self._length = _bar_length(table)
        _check_values(table, float(market.tick))
        begin, stop = _played(table, self._length, window)
        self._first, self._last = window.cut(instant(self._starts[begin]), instant(self._starts[stop] + self._length))
        self._volume_before = array("d", accumulate(self._volumes, initial=0.0))
        self._variance_before = array("d", accumulate(_squared_returns(table), initial=0.0))
        self._bar: tuple[int, tuple[float, ...]] = (-1, ())

    @property
    def market(self) -> Market:
        """Its rules and fees."""
        return self._market

    @property
    def first(self) -> datetime:
        """The earliest time that can be shown."""
        return self._first

    @property
    def last(self) -> datetime:
        """The end of the last bar, or of the window."""
        return self._last

    @property
    def refill(self) -> timedelta:
        """Half a bar."""
        return timedelta(milliseconds=self._length) / 2

    def mark(self, at: datetime) -> Decimal:
        """The path's price, to a hundredth of a tick."""
        fine = self._market.tick / _FEWEST_TICKS
        return max(self._market.tick, _to_step(Decimal(repr(self._price(at))), fine))

    @exact
    def book(self, at: datetime) -> OrderBook:
        """Up to twenty levels on each side of the path. No bar that nobody traded in has any."""
        index, mid = self._index(at), self._price(at)
        stats, price = self._stats(index), Decimal(repr(mid))
        contracts = self._market.to_contracts(Decimal(repr(self._volumes[index])) * price, price) * _DISPLAYED
        scale = _MARGINAL_Y * float(stats.volatility) / math.sqrt(float(stats.volume)) if stats.volume else 0.0
        bids, asks = (tuple(self._side(side, mid, contracts, scale)) for side in Side)
        return OrderBook(bids=bids, asks=asks, at=at)

    def stats(self, at: datetime) -> MarketStats:
        """Of the bars of the day before ``at``; where fewer than 24 are recorded, of the first 24."""
        return self._stats(self._index(at))

    def _index(self, at: datetime) -> int:
        return max(0, bisect_right(self._starts, milliseconds(at)) - 1)

    def _price(self, at: datetime) -> float:
        index = self._index(at)
        if self._bar[0] != index:
            opened, high, low, closed = (column[index] for column in self._prices)
            turns = (low, high) if stream(self._key, self._starts[index]).random() < 0.5 else (high, low)  # noqa: PLR2004 - even odds
            self._bar = (index, (opened, *turns, closed))
        corners = self._bar[1]
        legs = [abs(after - before) for before, after in pairwise(corners)]
        passed = (at - instant(self._starts[index])) / timedelta(milliseconds=self._length)
        left = min(1.0, passed) * math.fsum(legs)
        for (before, after), leg in zip(pairwise(corners), legs, strict=True):
            if left < leg:
                return before + (after - before) * left / leg
            left -= leg
        return corners[-1]

    def _stats(self, index: int) -> MarketStats:
        until = max(index, min(_FEWEST_BARS, len(self._starts)))
        since = max(0, until - max(_FEWEST_BARS, round(DAY_MS / self._length)))
        days = (until - since) * self._length / DAY_MS
        volume = (self._volume_before[until] - self._volume_before[since]) / days
        variance = max(0.0, self._variance_before[until] - self._variance_before[since]) / days
        return MarketStats(volume=rounded(Decimal(repr(volume)), 8), volatility=rounded(Decimal(repr(math.sqrt(variance))), 8))

    def _side(self, side: Side, mid: float, contracts: Decimal, scale: float) -> Iterator[Level]:
        """The levels that rest on ``side``, best first. They never merge: what was taken is remembered by rank."""
        market, price, before = self._market, None, ZERO
        for number in range(1, _LEVELS + 1):
            # depth that grows with the square of the distance costs the square root of what is taken, in even steps of price
            until = market.whole_lots(contracts * number**2 / _LEVELS**2)
            if until == before:
                continue
            away = self._half_spread + scale * math.sqrt(float(market.to_base(until, Decimal(repr(mid)))))
            wanted = price_within(Decimal(repr(mid * (1 - side.sign * away))), market.tick, side.sign)
            beyond = wanted if price is None else price - side.sign * market.tick
            price = min(wanted, beyond) if side is Side.BUY else max(wanted, beyond)
            if price <= 0:
                return
            yield Level(price, until - before)
            before = until


def _bar_length(table: Table) -> int:
    """Milliseconds from one bar to the next, as most of them have it."""
    starts = table.whole["ts"]
    for index, (before, after) in enumerate(pairwise(starts), 1):
        if after <= before:
            raise table.fault(index, f"{shown(after)} does not come after the row before, {shown(before)}")
    steps = Counter(after - before for before, after in pairwise(starts))
    if not steps:
        raise BadRecording(table.path, "holds one bar: two are needed to tell how long a bar is")
    return steps.most_common(1)[0][0]


def _check_values(table: Table, tick: float) -> None:
    """Refuse the first bar whose prices contradict each other, are beyond every market's, or too cheap for their tick."""
    columns = (table.numbers[name] for name in (*_PRICES, "volume"))
    for index, (opened, high, low, closed, volume) in enumerate(zip(*columns, strict=True)):
        if not (low > 0 and volume >= 0 and low <= min(opened, closed) and high >= max(opened, closed)):
            told = f"open {opened}, high {high}, low {low}, close {closed}, volume {volume}"
            raise table.fault(
                index, f"{told}: prices must be above 0, volume 0 or more, and high and low must hold open and close"
            )
        if not (high <= _HIGHEST_PRICE and volume <= _LARGEST_VOLUME):
            most = f"no price above {_HIGHEST_PRICE:g} and no volume above {_LARGEST_VOLUME:g} is played"
            raise table.fault(index, f"high {high:g}, volume {volume:g}: {most}")
        if low < tick * _FEWEST_TICKS:
            raise table.fault(index, f"low {low} is less than {_FEWEST_TICKS} ticks of {tick}: set a finer tick")


def _played(table: Table, length: int, window: Window) -> tuple[int, int]:
    """Indices of the first and the last bar of ``window``. No bar between them may be missing."""
    starts = table.whole["ts"]
    begin = 0 if window.start is None else bisect_right(starts, milliseconds(window.start)) - 1
    stop = len(starts) - 1 if window.end is None else bisect_right(starts, milliseconds(window.end) - 1) - 1
    if begin < 0 or stop < begin or (window.start is not None and milliseconds(window.start) >= starts[-1] + length):
        span = f"{shown(starts[0])} to {shown(starts[-1] + length)}"
        raise BadRecording(table.path, f"holds {span}, which is not what start and end ask for")
    for index in range(begin + 1, stop + 1):
        step = starts[index] - starts[index - 1]
        if step != length:
            words = (
                f"gap of {(step - length) / 1000:g} s before {shown(starts[index])}"
                if step > length
                else f"{shown(starts[index])} comes {step / 1000:g} s after the row before"
            )
            raise table.fault(index, f"{words}, and a bar is {length / 1000:g} s: play one side of it with start or end")
    return begin, stop


def _squared_returns(table: Table) -> list[float]:
    closes = table.numbers["close"]
    before = (table.numbers["open"][0], *closes[:-1])
    return [math.log(after / earlier) ** 2 for earlier, after in zip(before, closes, strict=True)]


@exact
def _to_step(price: Decimal, step: Decimal) -> Decimal:
    return (price / step).to_integral_value() * step
