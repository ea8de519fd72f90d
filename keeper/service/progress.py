"""What a run tells whoever watches it while it trades. Values only: how they are shown is the watcher's business."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.order import Fill, average_price
from keeper.execution.engine import State


@dataclass(frozen=True, slots=True, kw_only=True)
class LegProgress:
    """One leg right now.

    market: symbol; planned, filled: contracts (> 0); average: of its fills, arrival: mid at the decision, quote per
    base; slice: the latest one begun, from 1 (0 before the first), of ``slices``; ends_at: aware UTC, when the leg's
    horizon is over; state: ``working``, or one word for why it is not.
    """

    market: str
    side: Side
    planned: Decimal
    filled: Decimal
    average: Decimal | None
    arrival: Decimal
    slice: int
    slices: int
    ends_at: datetime
    state: str


def leg_progress(state: State, fills: Sequence[Fill], markets: Mapping[str, Market]) -> tuple[LegProgress, ...]:
    """Every leg of a run. fills: all of the run; markets: by symbol."""

    def average(symbol: str) -> Decimal | None:
        inverse = markets[symbol].kind is MarketKind.INVERSE
        return average_price([fill for fill in fills if fill.symbol == symbol], inverse=inverse)

    return tuple(
        LegProgress(
            market=leg.plan.symbol,
            side=leg.plan.side,
            planned=leg.plan.amount,
            filled=leg.traded,
            average=average(leg.plan.symbol),
            arrival=leg.plan.decision_mid,
            slice=leg.sequence,
            slices=leg.plan.slices,
            ends_at=state.deadline,
            state=str(leg.state),
        )
        for leg in state.legs
    )


class Unwatched:
    """A ``Progress`` for runs that nobody watches."""

    def update(self, legs: Sequence[LegProgress], at: datetime) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing was opened."""


class Progress(Protocol):
    """A watcher of one run. Its methods return at once and never raise for what they show."""

    def update(self, legs: Sequence[LegProgress], at: datetime) -> None:
        """Every leg of the run as of ``at`` (aware UTC)."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...
