"""Why a fund is worth what it is: each change of its equity, split by cause, from one reading of its account to the next. Pure.

Equity is what belongs to holders and payees together, so that management and performance fees are no part of it until they
are paid, and then a flow. Between two readings 0 and 1 of equity E, with exposures e (what would be lost if the price went to
nothing, coins held as equity included) and prices p, r = p1 / p0 - 1, and trades of b base units (signed) at f, decided at M:

    held     = sum e r                          what was held made; exact for spot, linear and inverse markets alike
    traded   = sum b (p1 - M) + sum b (M - f) - fees
    booked   = what the venue's ledger tells: funding, interest, fees, money that came or went
    E1 - E0  = held + traded + booked + unexplained

The ideal holds x: the targets' multiples of E at each reading where the fund went to them, and the same coins until the next.

    at target   = sum x r                       of which
    path        = E (prod(1 + sum L r_i) - (1 + sum L R))    what rebalancing the ideal made of the way that prices took; L the
                  targets, R the move as a whole, E where the stretch began; a stretch ends where targets change or money moved
    market      = at target - path
    whipsaw     = sum w (p1 - p0) + sum b (p1 - M) of emergencies; w: base units that emergencies traded since the targets
                  were gone to last: what was taken off, and missed once prices came back
    drift       = sum (e - x) r + sum b (p1 - M) of other runs - sum w (p1 - p0)     what was held beside the target
    trading     = sum b (M - f) - fees
    unexplained = what is left; it is said where it is above 0.1 bps of the equity that the stretch of time began with

Sources: mechanics of constant leverage (Cheng and Madhavan 2009; Avellaneda and Zhang 2010 for the path). The parts are
rounded to 12 decimal places, all but the last, and so sum to the change without remainder.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from keeper.domain.numbers import BPS, ONE, ZERO, exact, rounded

PLACES = 12
FLAGGED_BPS = Decimal("0.1")
"""Bps of equity that may stay unexplained without a word."""
_TICK = timedelta(microseconds=1)


class Part(StrEnum):
    """A cause of a change of equity. FEES: network fees and whatever else the venue charges or credits; FLOWS: money moved."""

    MARKET = "market"
    DRIFT = "drift"
    PATH = "path"
    TRADING = "trading"
    WHIPSAW = "whipsaw"
    FUNDING = "funding"
    BORROW = "borrow"
    FEES = "fees"
    FLOWS = "flows"
    UNEXPLAINED = "unexplained"


COSTS = (Part.TRADING, Part.WHIPSAW, Part.FUNDING, Part.BORROW, Part.FEES)
"""What holding the exposure costs, or earns, beside what the market does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An account at one instant.

    equity: currency; exposures: currency, signed, by market or asset; prices: currency per unit of the base of each of those;
    goals: multiples of equity that the fund goes to from here, None where it goes nowhere.
    """

    at: datetime
    equity: Decimal
    exposures: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]
    goals: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One fill. base: units, signed; price, decided: currency per unit, the second when its run was decided; fee: currency.

    urgent: an emergency's.
    """

    at: datetime
    key: str
    base: Decimal
    price: Decimal
    decided: Decimal
    fee: Decimal
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What moved equity beside prices and trades. part: FUNDING, BORROW, FEES or FLOWS; amount: currency, a cost is negative."""

    at: datetime
    part: Part
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one reading to the next.

    ideal: x by key at the start, currency; moves: r by key; parts: currency, MARKET with the path still in it; begins: whether a
    stretch does.
    """

    start: Reading
    end: Reading
    ideal: Mapping[str, Decimal]
    moves: Mapping[str, Decimal]
    parts: Mapping[Part, Decimal]
    begins: bool

    @property
    def middle(self) -> datetime:
        """Half way: tells which day it belongs to, whether that was closed on the stroke of midnight or a little later."""
        return self.start.at + (self.end.at - self.start.at) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Steps that follow each other, as one. parts: currency, together exactly ``after`` - ``before``; mean: equity over time."""

    start: datetime
    end: datetime
    before: Decimal
    after: Decimal
    mean: Decimal
    parts: Mapping[Part, Decimal]

    @property
    @exact
    def cost(self) -> Decimal:
        """What it cost, currency; below 0 where it earned."""
        return -sum((self.parts[part] for part in COSTS), ZERO)

    @exact
    def bps(self, amount: Decimal) -> Decimal | None:
        """``amount`` (currency) in bps of the mean equity; None where that is not above 0."""
        return amount / self.mean * BPS if self.mean > 0 else None

    @property
    @exact
    def flagged(self) -> bool:
        """Whether more is unexplained than may be."""
        return abs(self.parts[Part.UNEXPLAINED]) * BPS > FLAGGED_BPS * max(self.before, ZERO)


@dataclass(slots=True)
class _State:
    """What is carried from one reading to the next: the ideal's exposures, its goals, and what emergencies took off."""

    ideal: dict[str, Decimal]
    goals: Mapping[str, Decimal] | None = None
    taken: dict[str, Decimal] = field(default_factory=dict)
    moved: bool = False


Item = Reading | Trade | Booking


@exact
def steps_of(items: Iterable[Item]) -> tuple[Step, ...]:
    """The steps between the readings among ``items``, oldest first; what stands between two of them belongs to their step.

    What stands before the first reading, or after the last, belongs to none.
    """
    steps: list[Step] = []
    start: Reading | None = None
    state = _State(ideal={})
    trades: list[Trade] = []
    bookings: list[Booking] = []
    for item in items:
        match item:
            case Trade():
                trades.append(item)
            case Booking():
                bookings.append(item)
            case _:
                if start is None:
                    state.ideal = dict(item.exposures)
                else:
                    steps.append(_step(state, start, item, trades, bookings))
                start, trades, bookings = item, [], []
    return tuple(steps)


@exact
def summed(steps: Sequence[Step]) -> Attribution:
    """One attribution of ``steps`` (at least one), which follow each other."""
    first, last = steps[0].start, steps[-1].end
    parts = {part: sum((step.parts.get(part, ZERO) for step in steps), ZERO) for part in Part}
    path = _path(steps)
    parts |= {Part.PATH: path, Part.MARKET: parts[Part.MARKET] - path}
    told: dict[Part, Decimal] = {part: rounded(amount, PLACES) for part, amount in parts.items()}
    told[Part.UNEXPLAINED] = ZERO
    left = last.equity - first.equity - sum(told.values(), ZERO)
    spans = [Decimal((step.end.at - step.start.at) // _TICK) for step in steps]
    whole = sum(spans, ZERO)
    weighted = sum((span * step.start.equity for span, step in zip(spans, steps, strict=True)), ZERO)
    return Attribution(
        start=first.at,
        end=last.at,
        before=first.equity,
        after=last.equity,
        mean=weighted / whole if whole else first.equity,
        parts=told | {Part.UNEXPLAINED: left},
    )


def _step(state: _State, start: Reading, end: Reading, trades: Sequence[Trade], bookings: Sequence[Booking]) -> Step:
    begins = _gone_to_goals(state, start)
    moves = {key: end.prices[key] / price - 1 for key, price in start.prices.items() if price and key in end.prices}
    target = sum((amount * moves.get(key, ZERO) for key, amount in state.ideal.items()), ZERO)
    held = sum((amount * moves.get(key, ZERO) for key, amount in start.exposures.items()), ZERO)
    missed = sum((base * start.prices[key] * moves[key] for key, base in state.taken.items() if key in moves), ZERO)
    parts = dict.fromkeys((Part.MARKET, Part.DRIFT, Part.TRADING, Part.WHIPSAW), ZERO)
    parts |= {Part.MARKET: target, Part.DRIFT: held - target - missed, Part.WHIPSAW: missed}
    for trade in trades:
        if trade.key in end.prices:
            cause = Part.WHIPSAW if trade.urgent else Part.DRIFT
            parts[cause] += trade.base * (end.prices[trade.key] - trade.decided)
            parts[Part.TRADING] += trade.base * (trade.decided - trade.price)
        parts[Part.TRADING] -= trade.fee
    for booking in bookings:
        parts[booking.part] = parts.get(booking.part, ZERO) + booking.amount
    step = Step(start=start, end=end, ideal=dict(state.ideal), moves=moves, parts=parts, begins=begins)
    state.moved = state.moved or any(booking.part is Part.FLOWS for booking in bookings)
    state.ideal = {key: amount * (1 + moves.get(key, ZERO)) for key, amount in state.ideal.items()}
    for trade in trades:
        if trade.urgent:
            state.taken[trade.key] = state.taken.get(trade.key, ZERO) + trade.base
    return step


def _gone_to_goals(state: _State, reading: Reading) -> bool:
    """Take the ideal to the goals of ``reading``, if it has any; whether a stretch begins."""
    if reading.goals is None:
        return False
    begins = state.moved or reading.goals != state.goals
    state.ideal = {key: goal * reading.equity for key, goal in reading.goals.items()}
    state.goals, state.taken, state.moved = reading.goals, {}, False
    return begins


def _path(steps: Sequence[Step]) -> Decimal:
    """What rebalancing the ideal made of the way that prices took, stretch by stretch, currency."""
    path, begun = ZERO, 0
    for number in range(1, len(steps) + 1):
        if number == len(steps) or steps[number].begins:
            path += _stretch_path(steps[begun:number])
            begun = number
    return path


def _stretch_path(steps: Sequence[Step]) -> Decimal:
    """E (prod(1 + sum L r_i) - (1 + sum L R)) of one stretch; 0 where nothing was left to rebalance."""
    equity = steps[0].start.equity
    if equity <= 0 or len(steps) == 1:
        return ZERO
    first = {key: amount / equity for key, amount in steps[0].ideal.items()}
    held, worth = dict(first), ONE
    whole = dict.fromkeys(first, ONE)
    for step in steps:
        if step.start.goals is not None and step is not steps[0]:
            held = {key: goal * worth for key, goal in step.start.goals.items()}
        worth += sum((amount * step.moves.get(key, ZERO) for key, amount in held.items()), ZERO)
        held = {key: amount * (1 + step.moves.get(key, ZERO)) for key, amount in held.items()}
        whole = {key: growth * (1 + step.moves.get(key, ZERO)) for key, growth in whole.items()}
    straight = sum((share * (whole[key] - 1) for key, share in first.items()), ZERO)
    return equity * (worth - 1 - straight)
