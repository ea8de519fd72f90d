"""What a leg cost against the price at which it was decided, split into the parts that can be acted upon.

Implementation shortfall (Perold 1988) of a leg with side s, mid M0 at the decision, mid M1 at its first send and fills
(q_i at p_i, with mid m_i and half spread h_i when that order was sent):

    delay  = sum s q_i (M1 - M0)        the market moved before anything was sent
    timing = sum s q_i (m_i - M1)       it moved while the leg was being worked
    spread = sum q_i h_i                taking costs half the spread
    impact = sum s q_i (p_i - m_i) - spread
    fees

A cost is positive. The parts sum without remainder to s sum q (p - M0) + fees, so nothing here may divide or round;
only the accessors that relate a cost to the notional do. Funding is never part of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from functools import wraps
from typing import ParamSpec, TypeVar

from keeper.domain.market import Market, Side
from keeper.domain.numbers import BPS, ONE, ZERO, exact
from keeper.domain.order import Fill

P = ParamSpec("P")
R = TypeVar("R")

# Products of a few 34-digit numbers fit many times over. Were a digit ever lost, the sum would not be exact: raise instead.
_LOSSLESS = Context(prec=500, traps=[InvalidOperation, Inexact])


def _lossless(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(_LOSSLESS):
            return function(*args, **kwargs)

    return wrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill and the market it met.

    base: units of the base asset (> 0); price, mid, half_spread: quote per base, the last two when its order was sent;
    fee: units of the fund's currency (a cost is positive).
    """

    side: Side
    base: Decimal
    price: Decimal
    mid: Decimal
    half_spread: Decimal
    fee: Decimal

    @classmethod
    def of(cls, fill: Fill, market: Market, *, mid: Decimal, half_spread: Decimal, fee: Decimal) -> "Execution":
        """``fill`` of ``market`` in base units at its own price; mid, half_spread: quote per base at the send; fee: currency."""
        base = market.to_base(fill.amount, fill.price)
        return cls(side=fill.side, base=base, price=fill.price, mid=mid, half_spread=half_spread, fee=fee)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """What was lost against the decision, by cause. Every field: units of the fund's currency; traded: notional at M0."""

    delay: Decimal = ZERO
    timing: Decimal = ZERO
    spread: Decimal = ZERO
    impact: Decimal = ZERO
    fees: Decimal = ZERO
    traded: Decimal = ZERO

    @property
    @_lossless
    def total(self) -> Decimal:
        """The sum of the parts, in the fund's currency."""
        return self.delay + self.timing + self.spread + self.impact + self.fees

    @_lossless
    def __add__(self, other: "Shortfall") -> "Shortfall":
        return Shortfall(
            delay=self.delay + other.delay,
            timing=self.timing + other.timing,
            spread=self.spread + other.spread,
            impact=self.impact + other.impact,
            fees=self.fees + other.fees,
            traded=self.traded + other.traded,
        )

    @exact
    def bps(self, cost: Decimal) -> Decimal:
        """``cost`` (currency, such as one of the parts) in basis points of the notional traded; 0 when nothing was."""
        return cost / self.traded * BPS if self.traded else ZERO


@_lossless
def leg_shortfall(
    executions: Sequence[Execution], *, decision_mid: Decimal, first_mid: Decimal, rate: Decimal = ONE
) -> Shortfall:
    """The shortfall of one leg.

    decision_mid (M0), first_mid (M1, at the first send, whether or not that order filled): quote per base;
    rate: currency per unit of quote, 1 where the market is quoted in the fund's currency.
    """
    delay = timing = spread = slippage = fees = base = ZERO
    for execution in executions:
        signed = execution.base * execution.side.sign
        delay += signed * (first_mid - decision_mid)
        timing += signed * (execution.mid - first_mid)
        spread += execution.base * execution.half_spread
        slippage += signed * (execution.price - execution.mid)
        fees += execution.fee
        base += execution.base
    return Shortfall(
        delay=delay * rate,
        timing=timing * rate,
        spread=spread * rate,
        impact=(slippage - spread) * rate,
        fees=fees,
        traded=base * decision_mid * rate,
    )
