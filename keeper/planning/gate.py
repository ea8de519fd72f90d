"""The gate: the one function that every child passes right before the wire. Pure.

Every check is written ``if not (low <= x <= high): refuse``, since a NaN passes ``x > high``. A refusal is a value with a
code; nothing here raises for what an order or a market is. Checks that bind risk let reductions through.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.market import Market
from keeper.domain.numbers import ZERO, exact, is_multiple, plain, sign
from keeper.domain.observation import Observation
from keeper.domain.order import OrderRequest

MAX_AGE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What no order may exceed.

    max_order_notional: quote currency; max_turnover_per_day: multiples of NAV traded in 24 h by orders that add risk;
    max_slippage_bps: limit price from the mid at send; max_leverage: gross multiple of NAV after the order.
    """

    max_order_notional: Decimal
    max_turnover_per_day: Decimal
    max_slippage_bps: Decimal
    max_leverage: Decimal


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something may not be done. code: stable, lower case; message: figures and the limit they break."""

    code: str
    message: str


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

    turnover: notional that risk-adding orders intended in the last 24 h, quote currency; open_children: client ids of this
    fund's children that are not terminal; left: contracts that the leg may still trade under its cap; now: aware UTC;
    halted: why the fund is halted, None when it is not; beside: symbol and signed contracts of the orders of other legs that
    go out at the same time.
    """

    observation: Observation
    limits: Limits
    turnover: Decimal
    open_children: tuple[str, ...]
    left: Decimal
    now: datetime
    halted: str | None = None
    beside: tuple[tuple[str, Decimal], ...] = ()


def halt_refusal(reason: str) -> Refusal:
    """What is said of everything that a halted fund would do."""
    return Refusal("halted", f"the fund is halted ({reason or 'no reason given'}): `keeper resume` lets it trade again")


@exact
def check(request: OrderRequest, situation: Situation) -> Approved | Refused:
    """Judge one order against limits, account and book; all broken rules are named, not the first alone."""
    market = situation.observation.markets.get(request.symbol)
    if situation.halted is not None:
        return Refused((halt_refusal(situation.halted),))
    if market is None:
        return Refused((Refusal("market", f"{request.symbol} is not a market of this fund"),))
    if not (request.amount.is_finite() and request.price.is_finite() and request.amount > 0 and request.price > 0):
        return Refused((Refusal("not_finite", f"amount {request.amount} or price {request.price} is not a positive number"),))
    reasons = [*_shape(request, market), *_book(request, situation), *_caps(request, market, situation)]
    if not reasons:
        reasons = list(_risk(request, market, situation))
    return Refused(tuple(reasons)) if reasons else Approved(request)


def _shape(request: OrderRequest, market: Market) -> Iterator[Refusal]:
    if not is_multiple(request.amount, market.lot):
        yield Refusal("lot", f"{plain(request.amount)} is not a whole number of lots of {plain(market.lot)}")
    if not is_multiple(request.price, market.tick):
        yield Refusal("tick", f"price {plain(request.price)} is not on the tick of {plain(market.tick)}")
    smallest = market.minimum_reduction if request.reduce_only else market.minimum_order(request.price)
    if not (request.amount >= smallest):
        yield Refusal("minimum", f"{plain(request.amount)} contracts are below the market's minimum of {plain(smallest)}")


def _book(request: OrderRequest, situation: Situation) -> Iterator[Refusal]:
    quote = situation.observation.quotes[request.symbol]
    faults = quote.book.faults()
    if faults:
        yield Refusal("book", f"the order book of {request.symbol} can't be trusted: {', '.join(faults)}")
        return
    age = situation.now - quote.book.at
    if not (-MAX_AGE <= age <= MAX_AGE):
        seconds = f"{age.total_seconds():.1f} s old, allowed are {MAX_AGE.seconds} s"
        yield Refusal("stale", f"the order book of {request.symbol} is {seconds}")
    collar = quote.book.collar(request.side, situation.limits.max_slippage_bps)
    if not ((collar - request.price) * request.side.sign >= 0):
        yield Refusal(
            "collar",
            f"limit {plain(request.price)} is more than {plain(situation.limits.max_slippage_bps)} bps"
            f" from the mid {plain(quote.book.mid)}",
        )
    distance = abs(quote.book.mid - quote.mark) / quote.mark
    if not (distance <= situation.limits.max_slippage_bps / 10_000):
        yield Refusal(
            "mark", f"mid {plain(quote.book.mid)} and mark {plain(quote.mark)} are further apart than the collar allows"
        )


def _caps(request: OrderRequest, market: Market, situation: Situation) -> Iterator[Refusal]:
    limits = situation.limits
    notional = market.notional(request.amount, request.price)
    if not (notional <= limits.max_order_notional):
        ceiling = plain(limits.max_order_notional)
        yield Refusal("order_notional", f"order of {notional:.2f} is above limits.max_order_notional = {ceiling}")
    if situation.open_children:
        yield Refusal("open_child", f"the outcome of {', '.join(situation.open_children)} is not known yet")
    if not (request.amount <= situation.left):
        yield Refusal("leg_cap", f"{plain(request.amount)} contracts pass the leg's cap, {plain(situation.left)} are left")


def _risk(request: OrderRequest, market: Market, situation: Situation) -> Iterator[Refusal]:
    observation, limits = situation.observation, situation.limits
    held = observation.account.held(market)
    signed = request.amount * request.side.sign
    if request.reduce_only:
        if not (sign(held) == -sign(signed) and abs(signed) <= abs(held)):
            yield Refusal("reduce_only", f"{request.side} {plain(request.amount)} does not reduce a position of {plain(held)}")
        return
    valuation = observation.valuation()
    if not (valuation.nav > 0):
        yield Refusal("nav", f"NAV is {plain(valuation.nav)} {valuation.currency}")
        return
    turnover = situation.turnover + market.notional(request.amount, request.price)
    allowed = limits.max_turnover_per_day * valuation.nav
    if not (turnover <= allowed):
        yield Refusal(
            "turnover",
            f"{turnover:.2f} traded in 24 h would pass limits.max_turnover_per_day = {plain(limits.max_turnover_per_day)}"
            f" times NAV ({allowed:.2f})",
        )
    own = _growth(observation, market.symbol, signed)
    # what the other legs add is counted as filled, what they take off is not: either may happen
    beside = sum((max(ZERO, _growth(observation, symbol, contracts)) for symbol, contracts in situation.beside), ZERO)
    after = valuation.gross_leverage + (own + beside) / valuation.nav
    if not (after <= limits.max_leverage or own <= 0):
        yield Refusal("leverage", f"gross leverage would be {after:.3f}x, limits.max_leverage is {plain(limits.max_leverage)}x")


def _growth(observation: Observation, symbol: str, signed: Decimal) -> Decimal:
    """What ``signed`` contracts more of a market add to the fund's gross exposure, currency; below zero when they reduce it."""
    valuation, market = observation.valuation(), observation.markets[symbol]
    exposure = valuation.exposures[symbol]
    added = market.notional(signed, observation.quotes[symbol].mark) * valuation.prices[market.quote]
    return abs(exposure + added) - abs(exposure)
