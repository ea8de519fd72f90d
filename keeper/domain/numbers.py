"""Finite Decimals: one context for all money maths, strict parsing, rounding toward less risk.

The ambient decimal context belongs to the thread, so public functions that compute are wrapped by ``exact`` and
never depend on it.
"""

import re
from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    getcontext,
    setcontext,
)
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

CONTEXT = Context(prec=34, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
_LESS_NOISE = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
_WIDE = Context(prec=120, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal(10_000)
_PLAIN = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")
_WIRE = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` under CONTEXT, whatever the thread's own decimal context is."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        before = getcontext()
        if before is CONTEXT:
            return function(*args, **kwargs)
        setcontext(CONTEXT)
        try:
            return function(*args, **kwargs)
        finally:
            setcontext(before)

    return wrapped


def parse_plain(text: str) -> Decimal:
    """A number as an operator may write it: digits with an optional sign and fraction.

    Refuses underscores, exponents, ``nan`` and ``inf`` with ValueError: each of them has made an order ten times too big.
    """
    if not _PLAIN.fullmatch(text):
        message = f"{text!r} is not a plain decimal number such as 3, -1.5 or 0.001"
        raise ValueError(message)
    return Decimal(text)


def parse_wire(text: str) -> Decimal:
    """A number as a venue may send it: like ``parse_plain``, with an exponent allowed. ValueError otherwise."""
    if not _WIRE.fullmatch(text):
        message = f"{text!r} is not a finite number"
        raise ValueError(message)
    return Decimal(text)


@exact
def truncate(value: Decimal, step: Decimal) -> Decimal:
    """``value`` cut toward zero to a multiple of ``step`` (> 0); a trade rounded so never passes its target.

    The last digits of a division are noise, not amount: what lacks less than 1e-27 of itself to a whole step has it.
    """
    return _LESS_NOISE.plus(value / step).to_integral_value(ROUND_DOWN) * step


@exact
def round_up(value: Decimal, step: Decimal) -> Decimal:
    """``value`` raised away from zero to a multiple of ``step`` (> 0)."""
    cut = truncate(value, step)
    if cut == value:
        return cut
    return cut + step if value > 0 else cut - step


@exact
def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether ``value`` is a whole number of ``step``s."""
    return truncate(value, step) == value


@exact
def price_within(price: Decimal, tick: Decimal, sign: int) -> Decimal:
    """A limit price on the tick that is never worse than ``price``: down for a buy (+1), up for a sell (-1)."""
    return (price / tick).to_integral_value(ROUND_FLOOR if sign > 0 else ROUND_CEILING) * tick


def sign(value: Decimal) -> int:
    """-1, 0 or +1."""
    return (value > 0) - (value < 0)


def plain(value: Decimal) -> str:
    """The shortest text without an exponent that reads back as the same number."""
    if value == 0:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@exact
def rounded(value: Decimal, places: int) -> Decimal:
    """``value`` to so many decimal places, half to even; for display and for figures derived by division."""
    return value.quantize(ONE.scaleb(-places), ROUND_HALF_EVEN, _WIDE)
