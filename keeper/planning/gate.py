"""The gate: the one function that every child passes right before the wire. Pure.

Every check is written ``if not (low <= x <= high): refuse``, since a NaN passes ``x > high``. A refusal is a value with a
code; nothing here raises for what an order, an account or a market is.

What adds risk meets every limit. What only reduces it meets a halt, faults of its own shape and of the book, and caps that
are ``REDUCTION_SLACK`` times as wide (``EMERGENCY_SLACK`` where it is urgent) and do not shrink with NAV: a brake that gets
weaker as danger grows is none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.account import Valuation
from keeper.domain.errors import StaleData
from keeper.domain.fund import Standing, Usage
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import BPS, ONE, ZERO, exact, is_multiple, plain, sign
from keeper.domain.observation import Observation
from keeper.domain.order import CLIENT_ID_PREFIX, OrderRequest
from keeper.planning.agreement import apart
from keeper.planning.limits import BOUND, Limits, Refusal, halt_refusal, reduce_only_refusal
from keeper.planning.soundness import unfit, unsound, unsound_usage

__all__ = [
    "BOUND",
    "Approved",
    "Limits",
    "Refusal",
    "Refused",
    "Situation",
    "check",
    "halt_refusal",
    "intended",
    "reduce_only_refusal",
    "reduces",
]
MAX_AGE = timedelta(seconds=10)
LONGEST_LIFE = timedelta(minutes=1)
"""How far away the deadline of an order may lie."""
REDUCTION_SLACK = 4
"""How many times as wide as for orders that add risk the caps are for those that only reduce it."""
EMERGENCY_SLACK = 16
"""The same for reductions that can't wait."""
PASSING = frozenset({"stale", "book", "spread", "mark", "index", "last", "collar"})
"""Codes of refusals for what the market does, not for what was asked: such an order may be tried again."""


@dataclass(frozen=True, slots=True)
class Approved:
    """The order may be sent."""

    request: OrderRequest


@dataclass(frozen=True, slots=True)
class Refused:
    """The order may not be sent, for all these reasons."""

    reasons: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What an order is judged against.

    standing: whether the fund may trade; usage: what was intended of its caps before; open_children: client ids of its
    children that are not terminal; taken: client ids that were used before; left: contracts that the leg may still trade
    under its cap; now: aware UTC; beside: symbol and signed contracts of the orders of other legs that go out at the same
    time; urgent: the order belongs to an emergency, so that a reduction does not wait for outcomes that are not known;
    pinned: what markets are on record to be, by symbol, as ``Market.identity`` tells it.
    """

    observation: Observation
    limits: Limits
    usage: Usage
    standing: Standing
    open_children: tuple[str, ...]
    left: Decimal
    now: datetime
    beside: tuple[tuple[str, Decimal], ...] = ()
    taken: frozenset[str] = frozenset()
    urgent: bool = False
    pinned: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One order with what was worked out of its situation. notional: quote currency at the limit price; slack: of its caps."""

    request: OrderRequest
    situation: Situation
    market: Market
    valuation: Valuation
    notional: Decimal
    reduces: bool
    slack: int

    @property
    def signed(self) -> Decimal:
        return self.request.amount * self.request.side.sign

    @property
    def held(self) -> Decimal:
        return self.situation.observation.account.held(self.market)


@exact
def check(request: OrderRequest, situation: Situation) -> Approved | Refused:
    """Judge one order against limits, account and book; all broken rules are named, not the first alone."""
    if situation.standing.halted:
        return Refused((halt_refusal(situation.standing.reason),))
    try:
        reasons = tuple(_senseless(request, situation)) or tuple(_judged(request, situation))
    except (ArithmeticError, StaleData) as error:
        reasons = (Refusal("unsound", f"the order can't be reckoned with: {error or type(error).__name__}"),)
    return Refused(reasons) if reasons else Approved(request)


@exact
def reduces(request: OrderRequest, observation: Observation) -> bool:
    """Whether an order can do nothing but lower the fund's gross exposure.

    A derivatives order must say so to the venue as well (reduce-only); on spot there is no such word, and a sale of what is
    held counts. StaleData when the account can't be valued.
    """
    market = observation.markets[request.symbol]
    held, signed = observation.account.held(market), request.amount * request.side.sign
    if not (request.reduce_only or market.kind is MarketKind.SPOT) or not _within(held, signed):
        return False
    # closing a short against coins held as equity uncovers them
    return _growth(observation, observation.valuation(), market.symbol, signed) <= 0


@exact
def intended(situation: Situation, request: OrderRequest) -> Situation:
    """``situation`` as the next order of the same step finds it once ``request``, which passed, is intended."""
    usage, observation = situation.usage, situation.observation
    notional = _notional(request, observation.markets[request.symbol])
    adding, reducing = (ZERO, notional) if reduces(request, observation) else (notional, ZERO)
    counted = Usage(
        adding_hour=usage.adding_hour + adding,
        adding_day=usage.adding_day + adding,
        adding_run=usage.adding_run + adding,
        reducing_hour=usage.reducing_hour + reducing,
        reducing_day=usage.reducing_day + reducing,
        reducing_run=usage.reducing_run + reducing,
        orders_hour=usage.orders_hour + 1,
        orders_day=usage.orders_day + 1,
        orders_run=usage.orders_run + 1,
    )
    return replace(situation, usage=counted, taken=situation.taken | {request.client_id})


def _senseless(request: OrderRequest, situation: Situation) -> Iterator[Refusal]:
    """What makes an order, or what it is judged against, nothing that can be judged."""
    if request.symbol not in situation.observation.markets:
        yield Refusal("market", f"{request.symbol} is not a market of this fund")
        return
    if not (request.amount.is_finite() and request.price.is_finite() and request.amount > 0 and request.price > 0):
        yield Refusal("not_finite", f"amount {request.amount} or price {request.price} is not a positive number")
    words = [*unsound(situation.observation), *unfit(situation.limits), *unsound_usage(situation.usage)]
    words += [f"{amount} of {symbol} go out beside it" for symbol, amount in situation.beside if not amount.is_finite()]
    if not situation.left.is_finite():
        words.append(f"{situation.left} contracts are left of the leg")
    if words:
        yield Refusal("unsound", f"nothing is sent on figures that can't be: {'; '.join(words)}")


def _judged(request: OrderRequest, situation: Situation) -> Iterator[Refusal]:
    observation = situation.observation
    market = observation.markets[request.symbol]
    only_reduces = reduces(request, observation)
    reducing = EMERGENCY_SLACK if situation.urgent else REDUCTION_SLACK
    case = _Case(
        request=request,
        situation=situation,
        market=market,
        valuation=observation.valuation(),
        notional=_notional(request, market),
        reduces=only_reduces,
        slack=reducing if only_reduces else 1,
    )
    yield from _shape(case)
    if request.is_stop:
        yield from _stop(case)
        return
    yield from _book(case)
    yield from _caps(case)
    if not only_reduces:
        yield from _risk(case)


def _shape(case: _Case) -> Iterator[Refusal]:
    request, market, situation = case.request, case.market, case.situation
    if not is_multiple(request.amount, market.lot):
        yield Refusal("lot", f"{plain(request.amount)} is not a whole number of lots of {plain(market.lot)}")
    if not is_multiple(request.price, tick := market.tick_at(request.price)):
        yield Refusal("tick", f"price {plain(request.price)} is not on the tick of {plain(tick)}")
    smallest = market.minimum_reduction if request.reduce_only else market.minimum_order(request.price)
    if not (request.amount >= smallest):
        yield Refusal("minimum", f"{plain(request.amount)} contracts are below the market's minimum of {plain(smallest)}")
    name = request.client_id
    if not (name.startswith(CLIENT_ID_PREFIX) and name.isascii() and name.isalnum()):
        yield Refusal("client_id", f"{name!r} is not a client order id of Keeper's")
    if name in situation.taken or name in situation.open_children:
        yield Refusal("client_id", f"the client order id {name} was used before")
    if not (timedelta(0) < request.deadline - situation.now <= LONGEST_LIFE):
        yield Refusal("deadline", f"the deadline {request.deadline.isoformat()} has passed or is too far away")
    if (pinned := situation.pinned.get(market.symbol)) is not None and pinned != market.identity:
        yield Refusal("contract", f"{market.symbol} is not what it was: {_told(market.identity)}, on record is {_told(pinned)}")
    if request.reduce_only and not _within(case.held, case.signed):
        yield Refusal("reduce_only", f"{request.side} {plain(request.amount)} does not reduce a position of {plain(case.held)}")
    if not request.reduce_only and market.kind is not MarketKind.SPOT and _within(case.held, case.signed):
        yield Refusal("not_reduce_only", f"{request.side} {plain(request.amount)} only reduces, and does not say so to the venue")


@exact
def largest_stop(limits: Limits) -> Decimal:
    """What a stop may be worth, quote currency."""
    return EMERGENCY_SLACK * limits.max_order_notional


def _stop(case: _Case) -> Iterator[Refusal]:
    """What a stop has to meet in place of book and caps: it trades later, in an emergency, and only ever reduces."""
    request, situation = case.request, case.situation
    mark = situation.observation.quotes[request.symbol].mark
    if not (request.reduce_only and case.reduces):
        yield Refusal("reduce_only", f"a stop to {request.side} {plain(request.amount)} does not only reduce {plain(case.held)}")
    if request.trigger != request.price or not ((request.price - mark) * request.side.sign > 0):
        yield Refusal(
            "trigger", f"a stop to {request.side} at {plain(request.price)} would go off at once, the mark is {plain(mark)}"
        )
    age = situation.now - situation.observation.account.at
    if not (-MAX_AGE <= age <= MAX_AGE):
        yield Refusal("stale", f"the account is {age.total_seconds():.1f} s old, allowed are {MAX_AGE.seconds} s")
    ceiling = largest_stop(situation.limits)
    if not (case.notional <= ceiling):
        cap = f"{EMERGENCY_SLACK} times limits.max_order_notional = {plain(ceiling)}"
        yield Refusal("order_notional", f"stop of {case.notional:.2f} is above {cap}")
    if situation.open_children:
        unknown = ", ".join(situation.open_children)
        yield Refusal("open_child", f"a stop for {request.symbol} has to wait: the outcome of {unknown} is not known yet")


def _book(case: _Case) -> Iterator[Refusal]:
    request, situation = case.request, case.situation
    quote = situation.observation.quotes[request.symbol]
    faults = quote.book.faults()
    if faults:
        yield Refusal("book", f"the order book of {request.symbol} can't be trusted: {', '.join(faults)}")
        return
    for name, at in ((f"the order book of {request.symbol}", quote.book.at), ("the account", situation.observation.account.at)):
        age = situation.now - at
        if not (-MAX_AGE <= age <= MAX_AGE):
            yield Refusal("stale", f"{name} is {age.total_seconds():.1f} s old, allowed are {MAX_AGE.seconds} s")
    mid, bps = quote.book.mid, situation.limits.max_slippage_bps
    if not (quote.book.half_spread <= mid * bps / BPS):
        yield Refusal(
            "spread", f"best bid and best ask of {request.symbol} are more than {plain(bps)} bps from their mid {plain(mid)}"
        )
    if not ((quote.book.collar(request.side, bps) - request.price) * request.side.sign >= 0):
        yield Refusal("collar", f"limit {plain(request.price)} is more than {plain(bps)} bps from the mid {plain(mid)}")
    yield from apart(situation.observation.quotes, bps * (case.slack if situation.urgent else 1))


def _caps(case: _Case) -> Iterator[Refusal]:
    request, situation, limits = case.request, case.situation, case.situation.limits
    if not (case.notional <= case.slack * limits.max_order_notional):
        ceiling = plain(case.slack * limits.max_order_notional)
        yield Refusal(
            "order_notional", f"order of {case.notional:.2f} is above {_times(case)}limits.max_order_notional = {ceiling}"
        )
    beside = [f"one of {plain(contracts)} beside it" for symbol, contracts in situation.beside if symbol == request.symbol]
    says_so = request.reduce_only or case.market.kind is MarketKind.SPOT  # where there is no such word
    if beside or (situation.open_children and not (situation.urgent and says_so and case.reduces)):
        unknown = ", ".join((*situation.open_children, *beside))
        yield Refusal("open_child", f"{request.symbol} has to wait: the outcome of {unknown} is not known yet")
    if not (request.amount <= situation.left):
        yield Refusal("leg_cap", f"{plain(request.amount)} contracts pass the leg's cap, {plain(situation.left)} are left")
    yield from _turnover(case)
    usage = situation.usage
    for name, sent, most in (
        ("max_orders_per_run", usage.orders_run, limits.max_orders_per_run),
        ("max_orders_per_hour", usage.orders_hour, limits.max_orders_per_hour),
        ("max_orders_per_day", usage.orders_day, limits.max_orders_per_day),
    ):
        if not (sent + 1 <= case.slack * most):
            yield Refusal("orders", f"{sent} orders were sent, {_times(case)}limits.{name} = {case.slack * most} allows no more")


def _turnover(case: _Case) -> Iterator[Refusal]:
    """The caps on what is traded. For reductions, closing everything there is always comes on top of a multiple of NAV."""
    usage, limits, valuation = case.situation.usage, case.situation.limits, case.valuation
    used = (
        (usage.reducing_run, usage.reducing_hour, usage.reducing_day)
        if case.reduces
        else (usage.adding_run, usage.adding_hour, usage.adding_day)
    )
    nav, exposure = max(ZERO, valuation.nav), valuation.foreign + sum(map(abs, valuation.exposures.values()), ZERO)
    for (name, span, most), before in zip(limits.turnovers, used, strict=True):
        if most is None:
            continue
        traded, allowed = before + case.notional, case.slack * (most * nav + (exposure if case.reduces else ZERO))
        if not (traded <= allowed):
            limit = f"limits.{name} = {plain(most)} times NAV"
            bound = f"{case.slack} times {limit} and what is held" if case.reduces else limit
            yield Refusal("turnover", f"{traded:.2f} traded in {span} would pass {bound} ({allowed:.2f})")


def _risk(case: _Case) -> Iterator[Refusal]:
    """What only an order that adds risk has to meet."""
    situation, valuation, limits = case.situation, case.valuation, case.situation.limits
    observation = situation.observation
    if situation.standing.reducing:
        yield reduce_only_refusal(situation.standing)
    if (free := observation.account.free_margin) is not None and not (free > 0):
        yield Refusal("free_margin", f"the account has no margin left for new positions ({plain(free)} free)")
    yield from _liquidation(case)
    if not (valuation.nav > 0):
        yield Refusal("nav", f"NAV is {plain(valuation.nav)} {valuation.currency}")
        return
    own = _growth(observation, valuation, case.market.symbol, case.signed)
    # what the other legs add is counted as filled, what they take off is not: either may happen
    beside = sum((max(ZERO, _growth(observation, valuation, symbol, signed)) for symbol, signed in situation.beside), ZERO)
    after = valuation.gross_leverage + (own + beside) / valuation.nav
    if not (after <= limits.max_leverage or own <= 0):
        yield Refusal("leverage", f"gross leverage would be {after:.3f}x, limits.max_leverage is {plain(limits.max_leverage)}x")


def _liquidation(case: _Case) -> Iterator[Refusal]:
    """The way that is left to where the venue liquidates, of every position for which it says so.

    Nobody outside the venue knows its margin formula; but a position that grows g-fold on the same equity keeps at most one
    g-th of the distance.
    """
    least = case.situation.limits.min_liquidation_distance
    for symbol, position in case.situation.observation.account.positions.items():
        distance = position.distance(case.situation.observation.marks.get(symbol, position.mark))
        if distance is None or position.liquidation is None:
            continue
        after = position.contracts + (case.signed if symbol == case.market.symbol else ZERO)
        if sign(after) != sign(position.contracts):
            continue
        distance /= max(ONE, after / position.contracts)
        if not (distance >= least):
            yield Refusal(
                "liquidation",
                f"{symbol} would be at most {distance:.4f} of its price away from liquidation at {plain(position.liquidation)},"
                f" limits.min_liquidation_distance is {plain(least)}",
            )


def _notional(request: OrderRequest, market: Market) -> Decimal:
    return abs(market.notional(request.amount, request.price))


def _within(held: Decimal, signed: Decimal) -> bool:
    """Whether ``signed`` contracts bring ``held`` nearer to zero and not past it."""
    return sign(held) == -sign(signed) and abs(signed) <= abs(held)


def _growth(observation: Observation, valuation: Valuation, symbol: str, signed: Decimal) -> Decimal:
    """What ``signed`` contracts more of a market add to the fund's gross exposure, currency; below zero when they reduce it."""
    market = observation.markets[symbol]
    exposure = valuation.exposures[symbol]
    added = market.notional(signed, observation.quotes[symbol].mark) * valuation.prices[market.quote]
    return abs(exposure + added) - abs(exposure)


def _times(case: _Case) -> str:
    return f"{case.slack} times " if case.reduces else ""


def _told(identity: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {text}" for name, text in identity.items())
