"""A recorded order book as a market: every change of every level, played forward once.

The book at any time is what the venue displayed then. Going on costs what happened in between; only going back replays
from the start. Changes are kept in 21 bytes each.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate, pairwise
from pathlib import Path

from keeper.domain.book import Level, OrderBook
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import exact, rounded
from keeper.domain.observation import MarketStats
from keeper.venues.feeds.columns import Kind, Table, read_table
from keeper.venues.feeds.ladder import Ladder
from keeper.venues.feeds.recording import DAY_MS, BadRecording, Window, instant, milliseconds, shown
from keeper.venues.paper.matching import REFILL_HALF_LIFE

LONGEST_SILENCE_MS = 5_000  # between two changes; the recorded books stood still for 0.4 s at most
LEVELS = 1_000
_CHANGES = {"t_ms": Kind.TIME, "side": Kind.WHOLE, "px_tick": Kind.WHOLE, "qty": Kind.NUMBER}
_TRADES = {"t_ms": Kind.TIME, "px_tick": Kind.WHOLE, "qty": Kind.NUMBER, "side": Kind.WHOLE}
_SIDES = (1, -1)
_SAMPLE_MS = 1_000
_FEWEST_SAMPLES = 60
_FLOAT32 = 1e-6  # relative; amounts are often kept as 32-bit floats
_OFF_LOT = 0.01
_MOST_LOTS = 2**53  # up to which a float counts every one


@dataclass(frozen=True, slots=True)
class _Tape:
    """Every change, oldest first. stamps: milliseconds; a change to 0 lots removes the level."""

    stamps: "array[int]"
    sides: "array[int]"
    ticks: "array[int]"
    lots: "array[int]"


class BookRecording:
    """One market's recorded order book; see ``recording.Recording``.

    folder, name: of ``NAME_deltas`` (t_ms, side +1 bid -1 ask, px_tick, qty, 0 removes the level) and ``NAME_trades``
    (t_ms, px_tick, qty, side of the aggressor), parquet or csv; market: its tick and lot are those of the files.
    The first time shown is the first one at which both sides have a level. BadRecording names the first bad row.
    """

    def __init__(self, folder: Path, name: str, market: Market, *, window: Window) -> None:
        self._market = market
        changes = read_table(_file(folder, f"{name}_deltas"), _CHANGES)
        _check_order(changes)
        self._tape = _Tape(
            changes.whole["t_ms"],
            array("b", changes.whole["side"]),
            array("i", changes.whole["px_tick"]),
            _in_lots(changes, float(market.lot), removals=True),
        )
        states = _States(window)
        for index, stamp in _states(self._tape, ladder := Ladder()):
            states.add(changes, index, stamp, ladder)
        self._mids = states.mids
        self._first, self._last = states.span(changes)
        trades = read_table(_file(folder, f"{name}_trades"), _TRADES)
        _in_lots(trades, float(market.lot), removals=False)
        _check_order(trades)
        self._trade_stamps = trades.whole["t_ms"]
        self._traded_before = array("d", accumulate(_in_base(trades, market), initial=0.0))
        self._ladder, self._next = Ladder(), 0
        self._shown: tuple[tuple[Level, ...], tuple[Level, ...]] | None = None

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
        """The time of the last change, or the end of the window."""
        return self._last

    @property
    def refill(self) -> timedelta:
        """As measured on recorded books."""
        return REFILL_HALF_LIFE

    @exact
    def mark(self, at: datetime) -> Decimal:
        """The mid: a mark was not recorded."""
        self._go_to(at)
        bid, ask = self._ladder.best(1), self._ladder.best(-1)
        return Decimal((bid or 0) + (ask or 0)) * self._market.tick / 2

    @exact
    def book(self, at: datetime) -> OrderBook:
        """The thousand best levels of each side."""
        self._go_to(at)
        shown_now = self._shown or (self._levels(1), self._levels(-1))
        self._shown = shown_now
        return OrderBook(bids=shown_now[0], asks=shown_now[1], at=at)

    def stats(self, at: datetime) -> MarketStats:
        """Of the day before ``at`` as far as it is recorded, scaled to a day; in the first minute, of that minute."""
        origin = self._tape.stamps[0]
        until = max(milliseconds(at), min(origin + _FEWEST_SAMPLES * _SAMPLE_MS, self._tape.stamps[-1]))
        since = max(origin, until - DAY_MS)
        days = (until - since) / DAY_MS
        first, last = (bisect_left(self._trade_stamps, stamp) for stamp in (since, until))
        volume = (self._traded_before[last] - self._traded_before[first]) / days
        mids = self._mids[(since - origin) // _SAMPLE_MS : (until - origin) // _SAMPLE_MS + 1]
        moves = [math.log(after / before) ** 2 for before, after in pairwise(mids)]
        volatility = math.sqrt(math.fsum(moves) / days)
        return MarketStats(volume=rounded(Decimal(repr(volume)), 8), volatility=rounded(Decimal(repr(volatility)), 8))

    def _levels(self, side: int) -> tuple[Level, ...]:
        tick, lot = self._market.tick, self._market.lot
        return tuple(Level(at * tick, lots * lot) for at, lots in self._ladder.top(side, LEVELS))

    def _go_to(self, at: datetime) -> None:
        tape, until = self._tape, bisect_right(self._tape.stamps, milliseconds(at))
        if until < self._next:
            self._ladder, self._next, self._shown = Ladder(), 0, None
        if until == self._next:
            return
        put = self._ladder.put
        for index in range(self._next, until):
            put(tape.sides[index], tape.ticks[index], tape.lots[index])
        self._next, self._shown = until, None


def _file(folder: Path, stem: str) -> Path:
    """The parquet file of that name, else the csv file."""
    table = folder / f"{stem}.csv"
    return table if table.exists() else folder / f"{stem}.parquet"


def _in_lots(table: Table, lot: float, *, removals: bool) -> "array[int]":
    """Amounts as whole lots. An amount that is none refuses its row."""
    lots = array("q")
    for index, amount in enumerate(table.numbers["qty"]):
        if amount < 0 or not (amount or removals):
            raise table.fault(index, f"qty is {amount}: an amount is {'0 or more' if removals else 'above 0'}")
        if not amount / lot <= _MOST_LOTS:
            raise table.fault(index, f"qty {amount:g} is more than {_MOST_LOTS} lots of {lot:g}: no book holds that")
        whole = round(amount / lot)
        if abs(amount - whole * lot) > max(_OFF_LOT * lot, _FLOAT32 * amount):
            raise table.fault(index, f"qty {amount:g} is no whole number of lots of {lot:g}: set the market's lot")
        lots.append(whole)
    return lots


def _check_order(table: Table) -> None:
    """Refuse the first row that is out of order or whose side or price can't be."""
    before = 0
    columns = (table.whole[name] for name in ("t_ms", "side", "px_tick"))
    for index, (stamp, side, tick) in enumerate(zip(*columns, strict=True)):
        if stamp < before:
            raise table.fault(index, f"{shown(stamp)} comes before the row before, {shown(before)}")
        if side not in _SIDES:
            raise table.fault(index, f"side is {side}, not 1 or -1")
        if not 0 < tick < 2**31:
            raise table.fault(index, f"px_tick is {tick}, not above 0")
        before = stamp


def _states(tape: _Tape, ladder: Ladder) -> Iterator[tuple[int, int]]:
    """Play ``tape`` on ``ladder``; yields after all changes of one time, with the index of the last one and that time."""
    stamps, last = tape.stamps, len(tape.stamps) - 1
    for index, (stamp, side, tick, lots) in enumerate(zip(stamps, tape.sides, tape.ticks, tape.lots, strict=True)):
        ladder.put(side, tick, lots)
        if index == last or stamps[index + 1] != stamp:
            yield index, stamp


class _States:
    """What is learnt by playing a tape once: that every state is sane, when both sides are there, the mid once a second."""

    def __init__(self, window: Window) -> None:
        self.mids: array[int] = array("q")  # twice the mid in ticks, once a second from the first change on
        self._window = window
        self._first = 0
        self._before = 0
        self._origin = 0
        self._mid = 0

    def add(self, table: Table, index: int, stamp: int, ladder: Ladder) -> None:
        """One more state. BadRecording when it is crossed, lacks a side that was there, or comes after a gap."""
        self._origin = self._origin or stamp
        bid, ask = ladder.best(1), ladder.best(-1)
        if bid is None or ask is None:
            if self._first:
                raise table.fault(index, f"no {'bids' if bid is None else 'asks'} are left at {shown(stamp)}")
            return
        if bid > ask:
            raise table.fault(index, f"the book is crossed at {shown(stamp)}: best bid {bid}, best ask {ask} (ticks)")
        silence = stamp - self._before
        if self._first and silence > LONGEST_SILENCE_MS and self._plays(self._before, stamp):
            raise table.fault(index, f"gap of {silence / 1000:g} s before {shown(stamp)}: play one side of it with start or end")
        self._first = self._first or stamp
        self._mid = self._mid or bid + ask
        while self._origin + len(self.mids) * _SAMPLE_MS < stamp:
            self.mids.append(self._mid)
        self._before, self._mid = stamp, bid + ask

    def span(self, table: Table) -> tuple[datetime, datetime]:
        """The first and the last time to show."""
        begin, end = self._window.cut(instant(self._first), instant(self._before))
        if not self._first or begin >= end:
            span = f"{shown(self._first or self._origin)} to {shown(self._before or self._origin)}"
            raise BadRecording(table.path, f"holds both sides of a book from {span}, which is not what start and end ask for")
        return begin, end

    def _plays(self, since: int, until: int) -> bool:
        start, end = self._window.start, self._window.end
        return (start is None or milliseconds(start) < until) and (end is None or since < milliseconds(end))


def _in_base(trades: Table, market: Market) -> list[float]:
    """What each trade came to, in units of the base asset."""
    size, tick = float(market.contract_size), float(market.tick)
    if market.kind is MarketKind.INVERSE:
        prices = trades.whole["px_tick"]
        return [amount * size / (price * tick) for amount, price in zip(trades.numbers["qty"], prices, strict=True)]
    return [amount * size for amount in trades.numbers["qty"]]
