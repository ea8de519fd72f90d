"""A run on its way: what the process that works on it knows of it, and no row holds yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from keeper.domain.order import Fill
from keeper.domain.run import Run
from keeper.execution import engine


@dataclass(slots=True)
class Course:
    """A run on its way: what is known of it so far.

    expected: holdings that our own fills lead to, by symbol; sequence: the highest of an earlier attempt's children; pinned:
    what its markets are on record to be; uncertain: the outcome of a child is not known.
    """

    run: Run
    state: engine.State
    expected: dict[str, Decimal]
    prices: dict[str, Decimal]
    sent: int = 0
    fills: list[Fill] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    cut_short: str = ""
    sequence: int = 0
    pinned: dict[str, Mapping[str, object]] = field(default_factory=dict)
    uncertain: bool = False
