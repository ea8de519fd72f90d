"""A loopback USD-M exchange on a bad line: what goes wrong with an order, or with a read, is drawn from a seed.

Each kind strikes before the order is taken and after; a late order is taken when its sender has given up, or when its time
has passed and the exchange must refuse it. A seed draws the same faults for the same orders, whatever the timing.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random  # noqa: TID251 - seeded streams, never fresh randomness

from tests.fakes.binance_usdm import BinanceUsdm, Fault, Seen, usual_core

GARBAGE = ("html", "empty_object", "empty", "half_json", "bad_gzip")
TROUBLES = ("hang", "drop", "truncated", "garbage", "503")
IN_TIME, TOO_LATE = "late but in time", "after its deadline"
LATE = {IN_TIME: (0.4, 1.0), TOO_LATE: (1.4, 2.0)}
"""Seconds under way, from and to, of an order whose sender has given up; the deadline is between the two."""
READ_TROUBLES = ("hang_before", "drop_before", "truncated", "html", "503_before")
SYMBOLS = {"BTCUSDT": Decimal(50_000), "ETHUSDT": Decimal(2_500)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How bad the line is. orders, reads: share of each that something goes wrong with."""

    orders: float = 0.35
    reads: float = 0.05


@dataclass(slots=True, kw_only=True)
class FaultyUsdm(BinanceUsdm):
    """The exchange. draw: gives the fault of the next order or read, None where all goes well; struck: how often by kind."""

    draw: Callable[[str], Fault | None] = lambda _path: None
    bad: bool = False
    struck: Counter[str] = field(default_factory=Counter)

    def _next_fault(self, seen: Seen) -> Fault | None:
        if not self.bad:
            return BinanceUsdm._next_fault(self, seen)
        fault = self.draw("order" if seen.method == "POST" and seen.path.endswith("/order") else "read")
        if fault is not None and fault.method:
            self.struck[named(fault)] += 1
        return fault


def named(fault: Fault) -> str:
    """The kind of an order's fault in words."""
    if fault.kind == "late":
        return IN_TIME if fault.after <= LATE[IN_TIME][1] else TOO_LATE
    kind = fault.kind.removesuffix("_before").removesuffix("_after")
    return f"{'garbage' if kind in GARBAGE else kind} {'before' if fault.takes_nothing else 'after'}"


def bad_line(seed: str, line: Line) -> Callable[[str], Fault | None]:
    """What draws the faults of one line. Orders and reads are drawn apart, so that the reads change nothing for the orders."""
    order, read = stream(f"{seed} orders"), stream(f"{seed} reads")

    def drawn(what: str) -> Fault | None:
        if what == "order":
            return _of_order(order, line)
        if read.random() < line.reads:
            return Fault(path="", kind=read.choice(READ_TROUBLES))
        return None

    return drawn


def _of_order(chance: Random, line: Line) -> Fault | None:
    if chance.random() >= line.orders:
        return None
    trouble = chance.choice((*TROUBLES, IN_TIME, TOO_LATE))
    before = chance.random() < 0.5
    shape = chance.choice(GARBAGE)
    if trouble in LATE:
        return Fault(path="/order", kind="late", method="POST", after=chance.uniform(*LATE[trouble]))
    kind = shape if trouble == "garbage" else trouble
    if trouble == "drop" and not before:
        kind = "drop_after"
    return Fault(path="/order", kind=f"{kind}_before" if before else kind, method="POST")


def slow_line(seed: str, after: tuple[float, float], lost: float) -> Callable[[str], Fault | None]:
    """What draws how long each order takes to be taken.

    after: seconds, from and to; lost: share of orders that are lost when their sender dies meanwhile; the others are taken.
    """
    chance = stream(f"{seed} slow")

    def drawn(what: str) -> Fault | None:
        if what != "order":
            return None
        seconds, is_lost = chance.uniform(*after), chance.random() < lost
        return Fault(path="/order", kind="heard" if is_lost else "slow", method="POST", after=seconds)

    return drawn


def stream(seed: str) -> Random:
    """Chance that is the same each time for the same seed."""
    return Random(seed)  # noqa: S311 - faults, not secrets


def holding(**held: Decimal) -> FaultyUsdm:
    """The exchange, not yet serving: 100,000 USDT, and so many of each market at the price that it has."""
    core = usual_core()
    for symbol, amount in held.items():
        core.hold(symbol, amount, SYMBOLS[symbol])
    return FaultyUsdm(core=core)
