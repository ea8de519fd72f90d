"""A generated market as a function of a seed and a step: the mid's walk and the trades that push it.

Floats throughout; nothing here becomes an order. What a step shows never depends on which steps were asked for, in what
order or how often: the price at the end of every block of steps is drawn by itself, and the steps inside are a bridge
between two such prices. A long stretch is thus skipped in whole blocks. Steps before 0 exist, too.
Within a step the mid moves by c sign(F) sqrt(|F|), F the step's signed flow, and by a rest of its own; the flow explains
half of the variance, as it does in recorded order books.
"""

import math
from dataclasses import dataclass
from itertools import accumulate
from random import Random  # noqa: TID251 - a seeded stream per block, never fresh randomness

STEP_SECONDS = 0.25
BLOCK_STEPS = 1200
BLOCKS_PER_HOUR = round(3600 / (STEP_SECONDS * BLOCK_STEPS))
_YEAR_SECONDS = 365 * 86_400
_DAY_SECONDS = 86_400
_TRADES_PER_STEP = 1.0
_FLOW_SHARE = 0.49
_MEAN_FLOW = 0.8  # mean |F| of a step in units of the mean trade, at one trade a step of either sign and exponential value
_KEPT_BLOCKS = 16
_BLOCKS_PER_DAY = 24 * BLOCKS_PER_HOUR


@dataclass(frozen=True, slots=True)
class PathTrade:
    """step: when; part: of the step (0 to 1); sign: +1 when the buyer is the aggressor; value: quote."""

    step: int
    part: float
    sign: int
    value: float


@dataclass(frozen=True, slots=True)
class Block:
    """logs: log price of each step against the path's start; trades: oldest first."""

    logs: tuple[float, ...]
    trades: tuple[PathTrade, ...]


@dataclass(frozen=True, slots=True)
class Activity:
    """What a block did. value: quote traded; variance: sum of squared log returns; blocks add up."""

    value: float
    variance: float


def stream(*key: object) -> Random:
    """A stream of numbers that belongs to ``key``, the same in every process."""
    return Random("\x1f".join(map(str, key)))  # noqa: S311 - a market, not a secret


class PricePath:
    """The path of one market.

    key: seed and whatever else tells it from others; volatility: per year, fraction; daily_value: quote traded in a day.
    """

    def __init__(self, key: str, *, volatility: float, daily_value: float) -> None:
        self._key = key
        self._step_sigma = volatility * math.sqrt(STEP_SECONDS / _YEAR_SECONDS)
        self._trade_value = daily_value * STEP_SECONDS / _DAY_SECONDS / _TRADES_PER_STEP
        self._after: list[float] = [0.0]  # log price at the start of block 0, 1, 2, ...
        self._before: list[float] = [0.0]  # log price at the start of block 0, -1, -2, ...
        self._day: int | None = None
        self._moves: tuple[float, ...] = ()
        self._blocks: dict[int, Block] = {}
        self._activity: dict[int, Activity] = {}

    def log(self, step: int) -> float:
        """Log of price at ``step`` over price at step 0."""
        return self.block(step // BLOCK_STEPS).logs[step % BLOCK_STEPS]

    def block(self, index: int) -> Block:
        """The block of steps from ``index`` * BLOCK_STEPS on."""
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = self._generate(index)
            while len(self._blocks) > _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
        return block

    def activity(self, index: int) -> Activity:
        """Volume and variance of one block."""
        known = self._activity.get(index)
        if known is None:
            block = self.block(index)
            ends = (*block.logs[1:], self._start_of(index + 1))
            moves = (after - before for before, after in zip(block.logs, ends, strict=True))
            value = math.fsum(trade.value for trade in block.trades)
            known = self._activity[index] = Activity(value, math.fsum(move * move for move in moves))
        return known

    def _start_of(self, index: int) -> float:
        """Log price at the start of a block: whole blocks from block 0 on, in either direction."""
        starts, direction = (self._after, 1) if index >= 0 else (self._before, -1)
        while len(starts) <= abs(index):
            count = len(starts)
            moved = self._move_of(count - 1) if direction > 0 else -self._move_of(-count)
            starts.append(starts[-1] + moved)
        return starts[abs(index)]

    def _move_of(self, index: int) -> float:
        """Log return over a whole block; a day of them is drawn at once, so that a year takes milliseconds."""
        day, within = divmod(index, _BLOCKS_PER_DAY)
        if self._day != day:
            draw = stream(self._key, "day", day)
            sigma = self._step_sigma * math.sqrt(BLOCK_STEPS)
            # minus half the variance: the price has no drift
            self._day, self._moves = day, tuple(draw.gauss(-sigma * sigma / 2, sigma) for _ in range(_BLOCKS_PER_DAY))
        return self._moves[within]

    def _generate(self, index: int) -> Block:
        draw = stream(self._key, "steps", index)
        own = self._step_sigma * math.sqrt(1 - _FLOW_SHARE)
        pushed = self._step_sigma * math.sqrt(_FLOW_SHARE / (self._trade_value * _MEAN_FLOW)) if self._trade_value else 0.0
        first = index * BLOCK_STEPS
        moves, trades = [], []
        for step in range(first, first + BLOCK_STEPS):
            flow = 0.0
            due = draw.expovariate(_TRADES_PER_STEP)
            while due < 1:
                trade = PathTrade(step, due, 1 if draw.random() < 0.5 else -1, draw.expovariate(1) * self._trade_value)  # noqa: PLR2004 - even odds
                trades.append(trade)
                flow += trade.sign * trade.value
                due += draw.expovariate(_TRADES_PER_STEP)
            moves.append(draw.gauss(0.0, own) + math.copysign(pushed * math.sqrt(abs(flow)), flow))
        start, end = self._start_of(index), self._start_of(index + 1)
        *inside, last = accumulate(moves)
        slope = (end - start - last) / BLOCK_STEPS
        logs = (start, *(start + walked + slope * count for count, walked in enumerate(inside, 1)))
        return Block(logs, tuple(trades))
