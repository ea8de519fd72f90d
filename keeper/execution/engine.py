"""The step function of a run: (state, observation, now) -> (state, decision). Pure: it only proposes.

A leg stores the wanted multiple and a cap, never a quantity to do. Each step solves the gap of all legs anew at live
prices, so a price that closes the gap stops the run, and a fill that came out worse is paid for by the next slice. A leg
is worked on one side only: when the market carries it past its goal the leg is done, and nothing is traded back.

    WORKING -> SETTLING -> (WORKING ->) FINISHED

The caller sends what ``Send`` proposes, books each outcome with ``booked`` or ``failed``, observes and steps again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from keeper.domain.market import MarketKind, Side
from keeper.domain.numbers import BPS, ZERO, exact, plain
from keeper.domain.observation import Observation
from keeper.domain.run import RunStatus
from keeper.execution.pacing import FINISHING_STEP, Pacing, share
from keeper.execution.placement import capped_by_depth, collared_price
from keeper.planning.build import smallest_order
from keeper.planning.cash import affordable, reserved
from keeper.planning.exposure import Slicer, gaps, reducing
from keeper.planning.gate import Limits
from keeper.planning.plan import Plan, PlanLeg

MAX_REJECTIONS = 3
MAX_ROUNDS = 4


class LegState(StrEnum):
    """Where a leg stands. BLOCKED: it can't go on although a gap is left."""

    WORKING = "working"
    DONE = "done"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A leg in work.

    traded: contracts filled; sequence: children so far; start: when its stage began, next_at: earliest next slice, aware UTC.
    """

    plan: PlanLeg
    next_at: datetime
    start: datetime | None = None
    state: LegState = LegState.WORKING
    why: str = ""
    traded: Decimal = ZERO
    sequence: int = 0
    rejections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One order to send. leg: index; amount: contracts; price: limit; mid, half_spread: when it was sized, quote per base.

    trigger: of a stop, which is its price as well, None for what goes at once.
    """

    leg: int
    sequence: int
    symbol: str
    side: Side
    amount: Decimal
    price: Decimal
    reduce_only: bool
    mid: Decimal
    half_spread: Decimal
    left: Decimal
    trigger: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send these, at most one for each leg, together."""

    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing before ``until`` (aware UTC)."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait until the account's truth stands still, then step once more with it."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The run is over."""

    status: RunStatus
    reason: str


Decision = Send | Wait | Settle | Finish


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A run in work.

    pacing: of one stage, stages share the horizon; deadline: aware UTC; settled: the observation at hand is of an account
    that stands still; rounds: times that work began again after settling; closing, braking: as the plan has them.
    """

    legs: tuple[Leg, ...]
    goals: Mapping[str, Decimal]
    pacing: Pacing
    limits: Limits
    deadline: datetime
    settled: bool = False
    rounds: int = 0
    closing: bool = False
    braking: bool = False


def begin(plan: Plan, pacing: Pacing, *, limits: Limits, now: datetime) -> State:
    """The state of a run that starts now, and is over when its pacing says so."""
    stages, pacing = len({leg.stage for leg in plan.legs}) or 1, pacing.from_now(now)
    return State(
        legs=tuple(Leg(plan=leg, next_at=now) for leg in plan.legs),
        goals={leg.symbol: leg.goal for leg in plan.legs},
        pacing=replace(pacing, horizon=pacing.horizon / stages),
        limits=limits,
        deadline=now + pacing.horizon,
        closing=plan.closing,
        braking=plan.braking,
    )


def stop(state: State, why: str) -> State:
    """``state`` with every leg in work blocked: the run settles and ends incomplete."""
    legs = (replace(leg, state=LegState.BLOCKED, why=why) if leg.state is LegState.WORKING else leg for leg in state.legs)
    return replace(state, legs=tuple(legs), rounds=MAX_ROUNDS)


def _timed_out(state: State) -> State:
    """``state`` once its horizon is over: a leg whose last order was rejected was not kept from its goal by the book."""
    late = {leg.why for leg in state.legs if leg.state is LegState.WORKING and leg.rejections}
    return stop(
        state, f"the horizon ended; {'; '.join(sorted(late))}" if late else "the horizon ended before the book gave enough"
    )


def postponed(state: State, index: int, why: str, now: datetime) -> State:
    """``state`` after a child of leg ``index`` was refused by the gate for what may pass: it is tried again shortly."""
    return _with(state, index, replace(state.legs[index], next_at=now + FINISHING_STEP, why=why))


def booked(state: State, index: int, filled: Decimal) -> State:
    """``state`` after a child of leg ``index`` was accepted and filled ``filled`` contracts."""
    leg = state.legs[index]
    return _with(state, index, replace(leg, traded=leg.traded + filled, sequence=leg.sequence + 1, rejections=0))


def failed(state: State, index: int, why: str, *, sent: bool) -> State:
    """``state`` after a child of leg ``index`` was rejected by the venue (``sent``) or refused by the gate (for good)."""
    leg = state.legs[index]
    rejections = leg.rejections + 1
    blocked = not sent or rejections >= MAX_REJECTIONS
    changed = replace(leg, sequence=leg.sequence + sent, rejections=rejections, why=why)
    return _with(state, index, replace(changed, state=LegState.BLOCKED) if blocked else changed)


@exact
def step(state: State, observation: Observation, now: datetime) -> tuple[State, Decision]:
    """The next thing to do, derived from the live account and book. StaleData when the account can't be valued."""
    if state.settled:
        return _after_settling(state, observation, now)
    state = _held_back(_overslept(state, now))
    current = _current_stage(state)
    for index in current:
        state = _with(state, index, replace(state.legs[index], start=state.legs[index].start or now))
    lacking = _wanted(state, observation, _slicer(state, current, now))
    slices, spent = [], ZERO
    for index in current:
        leg, proposal = _work(state, index, observation, lacking[state.legs[index].plan.symbol], now, spent)
        state = _with(state, index, leg)
        if proposal is not None:
            slices.append(proposal)
            spent += _reserved(leg, proposal, observation)
    if slices:
        return state, Send(tuple(slices))
    following = _current_stage(state)
    if not following:
        return replace(state, settled=True), Settle()
    if not set(following) <= set(current):
        return step(state, observation, now)  # the next stage begins
    if now >= state.deadline:
        return replace(_timed_out(state), settled=True), Settle()
    return state, Wait(min(state.deadline, *(state.legs[index].next_at for index in following)))


def _after_settling(state: State, observation: Observation, now: datetime) -> tuple[State, Decision]:
    """End the run if every gap is below the smallest order, else go back to work while time and rounds last."""
    lacking = _wanted(state, observation, lambda _contracts, _smallest: 1)
    open_legs: list[int] = []
    passed: list[int] = []
    unpaid: list[int] = []
    for index, leg in enumerate(state.legs):
        contracts = lacking[leg.plan.symbol]
        market = observation.markets[leg.plan.symbol]
        smallest = smallest_order(market, observation, contracts, state.limits.max_slippage_bps)
        if Side.of(contracts) is not leg.plan.side:
            passed += [index] if abs(contracts) >= smallest else []
        elif _payable(state, leg, abs(contracts), observation, ZERO) >= smallest:
            open_legs.append(index)
        elif _short_of_cash(state, leg, abs(contracts), smallest * (len(observation.markets) + 1)):
            unpaid.append(index)
    blocked = [leg for leg in state.legs if leg.state is LegState.BLOCKED]
    if not open_legs and not unpaid:
        return state, _finish_past(state, lacking, passed)
    if open_legs and not blocked and now < state.deadline and state.rounds < MAX_ROUNDS:
        for index in open_legs:
            state = _with(state, index, replace(state.legs[index], state=LegState.WORKING, next_at=now))
        return step(replace(state, settled=False, rounds=state.rounds + 1), observation, now)
    symbols = [state.legs[index].plan.symbol for index in (*open_legs, *unpaid)]
    left = ", ".join(f"{plain(lacking[symbol])} of {symbol}" for symbol in symbols)
    without = "the market kept moving" if open_legs else "there is no cash to pay for it"
    why = "; ".join(dict.fromkeys(leg.why for leg in blocked)) or without
    return state, Finish(RunStatus.INCOMPLETE, f"{why}; contracts left: {left}")


def _short_of_cash(state: State, leg: Leg, missing: Decimal, rest: Decimal) -> bool:
    """Whether ``missing`` contracts that nothing pays for are a failure.

    Each market may have kept what is no order (``rest``, together), and an order reserves more cash than it spends.
    """
    return missing >= max(rest, leg.plan.amount * state.limits.max_slippage_bps / BPS)


def _finish_past(state: State, lacking: Mapping[str, Decimal], passed: Sequence[int]) -> Finish:
    """The end of a run that has nothing left to do on its side; ``passed``: legs that the market carried past their goal.

    What it carried further than the run was to go at all calls for a run the other way, so this one did not reach its end.
    """
    if not passed:
        return Finish(RunStatus.COMPLETED, "every gap is below the smallest order")
    legs = [state.legs[index].plan for index in passed]
    words = ", ".join(f"{plain(lacking[leg.symbol])} of {leg.symbol}" for leg in legs)
    far = not state.braking and any(abs(lacking[leg.symbol]) > leg.amount for leg in legs)
    status = RunStatus.INCOMPLETE if far else RunStatus.COMPLETED
    return Finish(status, f"the market closed the gap and went on; contracts wanted the other way: {words}")


def _wanted(state: State, observation: Observation, slicer: Slicer) -> dict[str, Decimal]:
    """What each market lacks, signed contracts by symbol."""
    # of what was reduced already the last lot is left, or each move of the price would call for one more
    up = [leg.plan.symbol for leg in state.legs if state.braking and not leg.traded]
    lacking = gaps(observation, state.goals, slicer, state.limits.max_slippage_bps, closing=state.closing, up=up)
    return {symbol: gap.contracts for symbol, gap in lacking.items()}


def _work(
    state: State, index: int, observation: Observation, gap: Decimal, now: datetime, spent: Decimal
) -> tuple[Leg, Slice | None]:
    """What leg ``index`` becomes and what it proposes, given its gap in contracts (signed) and what others just spent."""
    leg = state.legs[index]
    market, quote = observation.markets[leg.plan.symbol], observation.quotes[leg.plan.symbol]
    smallest = smallest_order(market, observation, gap, state.limits.max_slippage_bps)
    # what the gap is, or what the cash would buy of it, may be no order any more
    if Side.of(gap) is not leg.plan.side or _payable(state, leg, abs(gap), observation, ZERO) < smallest:
        return replace(leg, state=LegState.DONE), None
    if now < leg.next_at:
        return leg, None
    if faults := quote.book.faults():
        return replace(leg, next_at=now + FINISHING_STEP, why=f"order book {', '.join(faults)}"), None
    return _slice(state, index, observation, gap, now, spent)


def _slice(
    state: State, index: int, observation: Observation, gap: Decimal, now: datetime, spent: Decimal
) -> tuple[Leg, Slice | None]:
    """The slice that is due now, capped by the book's depth, the largest order and what the leg may still trade."""
    leg = state.legs[index]
    market, quote, side = observation.markets[leg.plan.symbol], observation.quotes[leg.plan.symbol], leg.plan.side
    smallest = smallest_order(market, observation, gap, state.limits.max_slippage_bps)
    limit = collared_price(market, quote.book, side, state.limits.max_slippage_bps)
    wanted, reduce_only = _size(state, leg, gap, observation.account.held(market), observation, now)
    least = market.minimum_reduction if reduce_only else smallest
    left = leg.plan.cap - leg.traded
    largest = market.whole_lots(market.to_contracts(state.limits.max_order_notional, limit))
    if left < smallest or largest < least:
        cap = f"the cap of {plain(leg.plan.cap)} contracts is used up"
        why = cap if left < smallest else "limits.max_order_notional is below the smallest order"
        return replace(leg, state=LegState.BLOCKED, why=why), None
    amount = capped_by_depth(market, quote.book, side, wanted, limit=limit, share=state.pacing.max_depth)
    amount = _payable(state, leg, min(amount, left, largest), observation, spent)
    interval = state.pacing.interval(leg.plan.slices)
    if amount < least:
        return replace(leg, next_at=now + min(interval, FINISHING_STEP), why="the book is too thin"), None
    in_tail = _slices_left(state.pacing, leg, now) == 1
    following = now + (min(interval, FINISHING_STEP) if in_tail or amount < wanted else interval)
    proposal = Slice(
        leg=index,
        sequence=leg.sequence + 1,
        symbol=market.symbol,
        side=side,
        amount=amount,
        price=limit,
        reduce_only=reduce_only,
        mid=quote.book.mid,
        half_spread=quote.book.half_spread,
        left=left,
    )
    return replace(leg, next_at=following), proposal


def _size(state: State, leg: Leg, gap: Decimal, held: Decimal, observation: Observation, now: datetime) -> tuple[Decimal, bool]:
    """Contracts (> 0) wanted of this slice before the book's depth, and whether it may only reduce."""
    market = observation.markets[leg.plan.symbol]
    smallest = smallest_order(market, observation, gap, state.limits.max_slippage_bps)
    parts = _slices_left(state.pacing, leg, now)
    parts = min(parts, state.pacing.planned_slices(gap, smallest))
    # so many parts that each is an order, and so is what is left of the gap after one
    wanted = share(abs(gap), parts, market.lot)
    cut = abs(reducing(held, gap))
    if market.kind is MarketKind.SPOT or cut < market.minimum_reduction:
        return wanted, False
    # an order that crosses zero is two orders: the first one closes, and leaves nothing too small to close
    closing = min(wanted, cut)
    return (cut if cut - closing < market.minimum_reduction else closing), True


def _payable(state: State, leg: Leg, contracts: Decimal, observation: Observation, spent: Decimal) -> Decimal:
    """``contracts`` (> 0), or as many as the cash less ``spent`` (quote) pays for where the leg may spend no other."""
    market, book = observation.markets[leg.plan.symbol], observation.quotes[leg.plan.symbol].book
    if not leg.plan.cash_only or book.faults():
        return contracts
    limit = collared_price(market, book, leg.plan.side, state.limits.max_slippage_bps)
    return min(contracts, affordable(market, observation.account.balances.get(market.quote, ZERO) - spent, limit))


def _reserved(leg: Leg, proposal: Slice, observation: Observation) -> Decimal:
    """The cash (quote) that nobody else may spend while ``proposal`` is on its way."""
    return reserved(observation.markets[proposal.symbol], proposal.amount, proposal.price) if leg.plan.cash_only else ZERO


def _slices_left(pacing: Pacing, leg: Leg, now: datetime) -> int:
    return pacing.remaining_slices(leg.plan.slices, leg.start or now, now)


def _slicer(state: State, indices: tuple[int, ...], now: datetime) -> Slicer:
    """How the legs in work will be cut from here on, for the cost of one slice."""
    most = max((_slices_left(state.pacing, state.legs[index], now) for index in indices), default=1)
    return lambda contracts, smallest: min(most, state.pacing.planned_slices(contracts, smallest))


def _overslept(state: State, now: datetime) -> State:
    """``state`` stopped where its time is long over: whoever slept through it would send all that is left at once."""
    return stop(state, "its time was over while it slept") if now > state.deadline + FINISHING_STEP else state


def _held_back(state: State) -> State:
    """``state`` with no leg in work whose stage follows one that failed: risk is not added before it was taken off."""
    failed = [leg.plan.stage for leg in state.legs if leg.state is LegState.BLOCKED]
    for index, leg in enumerate(state.legs):
        if leg.state is LegState.WORKING and failed and leg.plan.stage > min(failed):
            why = "what had to be reduced before was not"
            state = _with(state, index, replace(leg, state=LegState.BLOCKED, why=why))
    return state


def _current_stage(state: State) -> tuple[int, ...]:
    """Indices of the legs in work of the first stage that has any."""
    working = [(leg.plan.stage, index) for index, leg in enumerate(state.legs) if leg.state is LegState.WORKING]
    first = min((stage for stage, _ in working), default=0)
    return tuple(index for stage, index in working if stage == first)


def _with(state: State, index: int, leg: Leg) -> State:
    return replace(state, legs=(*state.legs[:index], leg, *state.legs[index + 1 :]))
