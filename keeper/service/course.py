"""A run on its way: what is known of it so far, and what an outcome makes of that. Sends and reads nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from keeper.domain.market import Market, MarketKind
from keeper.domain.order import Child, ChildState, Fill
from keeper.domain.run import Run
from keeper.execution import engine
from keeper.planning.gate import PASSING, Refused
from keeper.service.positions import added


@dataclass(slots=True)
class Course:
    """One run.

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

    def cut(self, why: str) -> None:
        """Propose nothing more; the run settles and ends as incomplete for this reason, the first one named."""
        self.cut_short = self.cut_short or why
        self.state = engine.stop(self.state, why)

    def refuse(self, proposal: engine.Slice, refused: Refused, now: datetime) -> None:
        """The gate let ``proposal`` not pass: it is tried again, or not, as the reasons are."""
        why = "; ".join(reason.message for reason in refused.reasons)
        if {reason.code for reason in refused.reasons} <= PASSING:
            self.state = engine.postponed(self.state, proposal.leg, why, now)
        else:
            self.refusals.append(why)
            self.state = engine.failed(self.state, proposal.leg, why, sent=False)

    def book(self, proposal: engine.Slice, child: Child, fills: Sequence[Fill], markets: Mapping[str, Market]) -> None:
        """What became of a child that was sent for ``proposal``."""
        self.sent += 1
        self.fills.extend(fills)
        match child.state:
            case ChildState.REJECTED:
                self.state = engine.failed(self.state, proposal.leg, child.reason, sent=True)
            case ChildState.FILLED | ChildState.CANCELED:
                self.state = engine.booked(self.state, proposal.leg, child.filled)
                for fill in fills:
                    self._expect(fill, markets)
            case _:
                self.uncertain = True
                self.cut(f"the outcome of {child.request.client_id} is not known ({child.reason})")

    def _expect(self, fill: Fill, markets: Mapping[str, Market]) -> None:
        self.expected[fill.symbol] = added(self.expected[fill.symbol], fill.amount * fill.side.sign)
        for symbol, market in markets.items():
            # a fee may be taken in the coins of another market of the fund, such as BNB
            if market.kind is MarketKind.SPOT and fill.fee_asset == market.base:
                self.expected[symbol] = added(self.expected[symbol], -fill.fee)
