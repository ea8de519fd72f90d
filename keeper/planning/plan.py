"""A plan: the legs that close a fund's gap, what they should cost, and what would make it act again. Pure.

A plan is shown, hashed and kept; it is never replayed. Execution takes from it which markets to trade, on which side and
how much at the most, and derives every size anew from the live account.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from keeper.domain.market import Side
from keeper.domain.numbers import BPS, ZERO, exact, parse_plain, plain, rounded
from keeper.domain.run import Run, RunStatus
from keeper.planning.costs import CostEstimate
from keeper.planning.crowding import Crowding
from keeper.planning.limits import Refusal

TIME_TO_LIVE = timedelta(minutes=5)
FLATTEN = "flatten:"
"""How the trigger of a run begins that takes every exposure to zero, whatever the mandate says."""
EMERGENCY = "emergency:"
"""How the trigger of a run begins that only takes leverage off, since that could not wait."""
INTRADAY = "intraday:"
"""How the trigger of a run begins that a mandate wants between slots, although there is no emergency."""
GUARD = "guard:"
"""How the trigger of a run begins that trades nothing by itself, but puts stops in their place on the exchange."""
WENT = (RunStatus.COMPLETED, RunStatus.NOTHING_DUE, RunStatus.INCOMPLETE)
"""How runs end that went somewhere: what was refused or missed never did, and one that is open has not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLeg:
    """One market to trade.

    amount: contracts (> 0); amount_base: base units; notional: currency; price: mark at the decision, decision_mid: mid
    then, both quote per base; goal, leverage_before, leverage_after: multiples of NAV; cap: contracts that may be traded
    at the most; stage: legs of a stage start when the stage before is done; cash_only: whether it may spend no more than
    the quote currency that is there; crowding: how much of the market it is.
    """

    symbol: str
    side: Side
    amount: Decimal
    amount_base: Decimal
    notional: Decimal
    price: Decimal
    decision_mid: Decimal
    goal: Decimal
    leverage_before: Decimal
    leverage_after: Decimal
    cap: Decimal
    slices: int
    reduce_only: bool
    stage: int
    cost: CostEstimate
    cash_only: bool = False
    crowding: Crowding = field(default_factory=Crowding)


class Cause(StrEnum):
    """What a level of leverage is: an edge of the band, outside of which a rebalance is due, or the emergency level."""

    BAND = "band"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Where the fund gets out of bounds. leverage, to be reached by ``move`` (fraction) of ``symbol`` to ``price``."""

    cause: Cause
    symbol: str
    leverage: Decimal
    move: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done now.

    nav: currency; leverage, gross_leverage: multiples of NAV before the trade; targets: of the mandate, multiples of NAV by
    symbol; marks: quote per base by symbol; bound: why it does less than the mandate wants; closing: a goal of 0 is no
    position, not no exposure; written: digest of the written plan that it carries out, empty where it is none; notes: how what
    was worked out for it came to be, in words; braking: it takes the fund out of an emergency, and the last lot goes, too;
    serves: triggers that its run serves beside its own; times: aware UTC.
    """

    fund: str
    venue: str
    environment: str
    at: datetime
    currency: str
    nav: Decimal
    leverage: Decimal
    gross_leverage: Decimal
    due: bool
    reason: str
    legs: tuple[PlanLeg, ...]
    triggers: tuple[Trigger, ...]
    refusals: tuple[Refusal, ...]
    targets: Mapping[str, Decimal] = field(default_factory=dict)
    marks: Mapping[str, Decimal] = field(default_factory=dict)
    bound: tuple[Refusal, ...] = ()
    closing: bool = False
    written: str = ""
    notes: tuple[str, ...] = ()
    braking: bool = False
    serves: tuple[str, ...] = ()

    @property
    def expires_at(self) -> datetime:
        """When the plan is too old to be approved."""
        return self.at + TIME_TO_LIVE

    @property
    @exact
    def cost(self) -> CostEstimate:
        """The legs' estimates weighted by notional."""
        total = sum((leg.notional for leg in self.legs), ZERO)
        if not total:
            return CostEstimate()

        def mean(name: str) -> Decimal:
            return sum((getattr(leg.cost, name) * leg.notional for leg in self.legs), ZERO) / total

        return CostEstimate(fee=mean("fee"), spread=mean("spread"), impact=mean("impact"), band=mean("band"))

    def document(self) -> dict[str, object]:
        """The plan as the ``--json`` shape of the README; every number is a string."""
        body = self._body()
        return {**body, "hash": digest(body), "expires_at": self.expires_at.isoformat()}

    def _body(self) -> dict[str, object]:
        cost = self.cost
        return {
            "fund": self.fund,
            "venue": self.venue,
            "environment": self.environment,
            "at": self.at.isoformat(),
            "nav": plain(rounded(self.nav, 8)),
            "currency": self.currency,
            "leverage": _ratio(self.leverage),
            "gross_leverage": _ratio(self.gross_leverage),
            "targets": {symbol: plain(target) for symbol, target in self.targets.items()},
            "marks": {symbol: plain(mark) for symbol, mark in self.marks.items()},
            "due": self.due,
            "reason": self.reason,
            "legs": [_leg_document(leg) for leg in self.legs],
            "cost": {
                "total_bps": _bps(cost.total),
                "fee_bps": _bps(cost.fee),
                "spread_bps": _bps(cost.spread),
                "impact_bps": _bps(cost.impact),
                "band_bps": _bps(cost.band),
            },
            "triggers": [
                {
                    "cause": str(t.cause),
                    "market": t.symbol,
                    "leverage": _ratio(t.leverage),
                    "move": _ratio(t.move),
                    "price": plain(rounded(t.price, 8)),
                }
                for t in self.triggers
            ],
            "refusals": [{"code": refusal.code, "message": refusal.message} for refusal in self.refusals],
            "notes": list(self.notes),
            "written": self.written or None,
            "serves": list(self.serves),
        }


def digest(document: Mapping[str, object]) -> str:
    """What tells a document from any other one: SHA-256 of its canonical text, hexadecimal."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def last_targets(run: Run | None) -> dict[str, Decimal] | None:
    """The targets (multiples of NAV by symbol) that ``run`` went to; None if that is not known."""
    return None if run is None else _read_figures(run.plan.get("targets"))


def marks_of(run: Run | None) -> dict[str, Decimal]:
    """The marks (quote per base by symbol) that ``run`` was planned at first; none where that is not known."""
    return {} if run is None else _read_figures(run.plan.get("marks")) or {}


def goals_begun(run: Run | None) -> dict[str, Decimal]:
    """The goals (multiples of NAV by symbol) of the legs that ``run`` was planned with first; none where there is no run."""
    legs = None if run is None else run.plan.get("legs")
    goals: dict[str, Decimal] = {}
    for leg in legs if isinstance(legs, list) else ():
        goals.setdefault(leg["market"], parse_plain(leg["goal"]))
    return goals


def _read_figures(document: object) -> dict[str, Decimal] | None:
    """Figures by symbol as ``Plan.document`` writes them; None for a plan of before they were written, or that none can read."""
    if not isinstance(document, Mapping) or not document:
        return None
    try:
        return {str(symbol): parse_plain(str(figure)) for symbol, figure in document.items()}
    except ValueError:
        return None


def _leg_document(leg: PlanLeg) -> dict[str, object]:
    return {
        "market": leg.symbol,
        "side": str(leg.side),
        "amount": plain(leg.amount),
        "amount_base": plain(rounded(leg.amount_base, 8)),
        "notional": plain(rounded(leg.notional, 8)),
        "price": plain(leg.price),
        "decision_mid": plain(leg.decision_mid),
        "goal": _ratio(leg.goal),
        "leverage_before": _ratio(leg.leverage_before),
        "leverage_after": _ratio(leg.leverage_after),
        "slices": leg.slices,
        "reduce_only": leg.reduce_only,
        **leg.crowding.document(),
    }


def _ratio(value: Decimal) -> str:
    return plain(rounded(value, 8))


def _bps(fraction: Decimal) -> str:
    return plain(rounded(fraction * BPS, 4))
