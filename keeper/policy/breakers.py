"""Breakers: what takes a fund's right to add risk, or to trade at all, and what a change of its position means. Pure.

    slippage, loss, error rate, stale data, venue trouble, forced trade on one leg of a hedge        -> REDUCE_ONLY
    journal, fills against position, identity of contract or account, a forced trade on or an
    unexplained change of a single position, repeated execution, nothing left of NAV                 -> HALTED

After a forced trade on one leg of a hedge the other legs are reduced with it: ``triggers.kept`` says how far.
Nothing here stops a reduction short of a halt, and only what comes from outside and passes lifts by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from keeper.domain.fund import FundState, Worth
from keeper.domain.market import MarketKind
from keeper.domain.numbers import ONE, ZERO, exact, plain, sign
from keeper.domain.order import VenueOrder
from keeper.domain.run import NavCause


class Cause(StrEnum):
    """The breaker that tripped, as ``Standing.cause`` names it."""

    SLIPPAGE = "slippage"
    LOSS = "loss"
    ERROR_RATE = "error_rate"
    STALE_DATA = "stale_data"
    VENUE_TROUBLE = "venue_trouble"
    FORCED_HEDGE = "forced_hedge"
    JOURNAL = "journal"
    FILLS = "fills"
    IDENTITY = "identity"
    POSITION = "position"
    REPEATED = "repeated_execution"
    WORTHLESS = "worthless"


PASSING = frozenset({Cause.STALE_DATA, Cause.VENUE_TROUBLE})
"""The causes that are over once the venue answers again."""


def passes(cause: str) -> bool:
    """Whether a state that ``cause`` led to lifts by itself; everything else, a human's word above all, needs a human."""
    return cause in PASSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakers:
    """How much is too much.

    slippage_bps: spread and impact that one run may cost, of what it traded; loss: fraction of the day's highest NAV;
    errors_per_hour: outcomes that were rejected or not known; stale_after: without a good observation; trouble_after: without
    an answer of the venue; runs_per_hour: runs that sent orders.
    """

    slippage_bps: Decimal = Decimal(25)
    loss: Decimal = Decimal("0.4")
    errors_per_hour: int = 20
    stale_after: timedelta = timedelta(minutes=5)
    trouble_after: timedelta = timedelta(minutes=10)
    runs_per_hour: int = 6


LEAST_TRADED = Decimal("0.01")
"""What a run must have traded, in multiples of NAV, for its slippage to be judged: of a lot or two it tells nothing."""
LESS_FEES = Decimal("0.9")
"""What is left at the least of a fill once a fee was taken in its coins."""
LEAST_FLOW = Decimal("0.01")
"""What must have come or gone between two runs, as a fraction of NAV, to be no funding or interest."""


class ChangeKind(StrEnum):
    """What a position's change comes to, from the least to the most alarming."""

    NOTHING = "nothing"
    TRANSFER = "transfer"
    FOREIGN = "foreign"
    FORCED = "forced"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What moved a position from ``before`` to ``after``; every figure is signed contracts.

    own: our confirmed fills; foreign: orders that we did not send; forced: liquidations and auto-deleveraging; transfer:
    deposits, withdrawals and fees in coins (spot only); unexplained: what is left of it.
    """

    before: Decimal
    after: Decimal
    own: Decimal
    foreign: Decimal = ZERO
    forced: Decimal = ZERO
    transfer: Decimal = ZERO
    unexplained: Decimal = ZERO

    @property
    def kind(self) -> ChangeKind:
        """The most alarming part that is there."""
        if self.unexplained:
            return ChangeKind.UNEXPLAINED
        if self.forced:
            return ChangeKind.FORCED
        if self.foreign:
            return ChangeKind.FOREIGN
        return ChangeKind.TRANSFER if self.transfer else ChangeKind.NOTHING

    @property
    @exact
    def shrank(self) -> bool:
        """Whether what nobody can explain took from the position rather than added to it."""
        return bool(self.unexplained) and sign(self.unexplained) == -sign(self.before + self.own + self.foreign + self.forced)

    def __str__(self) -> str:
        named = (("ours", self.own), ("by others", self.foreign), ("forced by the venue", self.forced),
                 ("transferred", self.transfer), ("unexplained", self.unexplained))  # fmt: skip
        parts = ", ".join(f"{plain(contracts)} {name}" for name, contracts in named if contracts)
        return f"{plain(self.before)} -> {plain(self.after)} contracts" + (f" ({parts})" if parts else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionChange:
    """The change of one market's position. hedged: the fund holds the other side in another market."""

    symbol: str
    change: Change
    hedged: bool = False

    @property
    def alarms(self) -> bool:
        """Whether it halts the fund."""
        return self.change.kind is ChangeKind.UNEXPLAINED or (self.change.kind is ChangeKind.FORCED and not self.hedged)

    @property
    def emptied(self) -> bool:
        """Whether the venue took a leg of a hedge by force, and nothing of it is left."""
        return self.hedged and self.change.kind is ChangeKind.FORCED and not self.change.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What happened to a fund lately; each figure counts since it was last resumed, so that a resumed fund stays so.

    slippage_bps: spread and impact of its last run, of what that traded, None before one; traded: by that run, multiples of
    NAV; peak, nav: highest NAV of the last day and NAV now, the first as if what was paid out (in) since had been gone (there)
    by then, None when one of them is not known; errors: children rejected or not known in the last hour; unseen: since its
    last good observation; trouble: since the venue's last answer; both 0 while nobody looks; runs: attempts of runs that sent
    orders in the last hour; changes: of its positions, but for our own fills; journal, fills, identity, worth: what is wrong
    with it, in words, empty when nothing is.
    """

    slippage_bps: Decimal | None = None
    traded: Decimal = ONE
    peak: Decimal | None = None
    nav: Decimal | None = None
    errors: int = 0
    unseen: timedelta = timedelta(0)
    trouble: timedelta = timedelta(0)
    runs: int = 0
    changes: Sequence[PositionChange] = field(default=())
    journal: str = ""
    fills: str = ""
    identity: str = ""
    worth: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A breaker that tripped. state: that it leads to; why: for the operator, with figures."""

    state: FundState
    cause: Cause
    why: str


def judge(record: Record, breakers: Breakers) -> Trip | None:
    """The gravest breaker that tripped, as ``trips`` orders them; None when none did."""
    return next(iter(trips(record, breakers)), None)


@exact
def trips(record: Record, breakers: Breakers) -> tuple[Trip, ...]:
    """Every breaker that tripped: halts, then what needs a human, then what passes."""
    return (*_halting(record, breakers), *_binding(record, breakers))


def _halting(record: Record, breakers: Breakers) -> Iterator[Trip]:
    wrong = {
        Cause.JOURNAL: record.journal,
        Cause.FILLS: record.fills,
        Cause.IDENTITY: record.identity,
        Cause.WORTHLESS: record.worth,
    }
    for cause, words in wrong.items():
        if words:
            yield Trip(state=FundState.HALTED, cause=cause, why=words)
    for each in record.changes:
        kind = each.change.kind
        if kind is ChangeKind.UNEXPLAINED:
            what = "shrank" if each.change.shrank else "changed"
            why = f"the position in {each.symbol} {what} without an order that explains it: {each.change}"
            yield Trip(state=FundState.HALTED, cause=Cause.POSITION, why=why)
        elif kind is ChangeKind.FORCED and not each.hedged:
            why = f"the venue liquidated or deleveraged {each.symbol}: {each.change}"
            yield Trip(state=FundState.HALTED, cause=Cause.POSITION, why=why)
    if not (record.runs <= breakers.runs_per_hour):
        why = f"{record.runs} runs sent orders within an hour, breakers.runs_per_hour is {breakers.runs_per_hour}"
        yield Trip(state=FundState.HALTED, cause=Cause.REPEATED, why=why)


def _binding(record: Record, breakers: Breakers) -> Iterator[Trip]:
    def bound(cause: Cause, why: str) -> Trip:
        return Trip(state=FundState.REDUCE_ONLY, cause=cause, why=why)

    # first: it alone says what is to be reduced
    for each in record.changes:
        if each.change.kind is ChangeKind.FORCED and each.hedged:
            yield bound(
                Cause.FORCED_HEDGE, f"the venue liquidated or deleveraged {each.symbol}, one leg of a hedge: {each.change}"
            )
    small = record.traded.is_finite() and record.traded < LEAST_TRADED
    if record.slippage_bps is not None and not small and not _at_most(record.slippage_bps, breakers.slippage_bps):
        limit = plain(breakers.slippage_bps)
        yield bound(
            Cause.SLIPPAGE,
            f"the last run lost {record.slippage_bps:.1f} bps to spread and impact, breakers.slippage_bps is {limit}",
        )
    if record.peak is not None and record.nav is not None and not _keeps(record.nav, record.peak, breakers.loss):
        limit = plain(breakers.loss)
        yield bound(
            Cause.LOSS, f"NAV fell from {record.peak:.2f} to {record.nav:.2f} within a day, breakers.loss is {limit} of it"
        )
    if not (record.errors <= breakers.errors_per_hour):
        limit = str(breakers.errors_per_hour)
        yield bound(
            Cause.ERROR_RATE,
            f"{record.errors} orders were rejected or unknown within an hour, breakers.errors_per_hour is {limit}",
        )
    if not (record.unseen <= breakers.stale_after):
        yield bound(Cause.STALE_DATA, f"account and market were last seen {_seconds(record.unseen)} ago")
    if not (record.trouble <= breakers.trouble_after):
        yield bound(Cause.VENUE_TROUBLE, f"the venue has not answered for {_seconds(record.trouble)}")


@exact
def explain_change(
    kind: MarketKind,
    *,
    before: Decimal,
    after: Decimal,
    own_fills: Decimal,
    foreign_orders: Sequence[VenueOrder],
    smallest_fill: Decimal,
) -> Change:
    """What moved a position from ``before`` to ``after`` (signed contracts).

    own_fills: signed contracts of our confirmed fills since ``before``, smallest_fill: of the least of them, without a sign;
    foreign_orders: the orders of this market since then that are not booked as ours, each with what it filled since.

    On spot, what no order explains was transferred, unless it takes back what we traded: a read that stands still shows
    coins without our fills, and whoever takes that for a withdrawal buys them once more.
    """
    forced = sum((order.signed for order in foreign_orders if order.forced), ZERO)
    foreign = sum((order.signed for order in foreign_orders if not order.forced), ZERO)
    rest = after - before - own_fills - forced - foreign
    hides_fills = sign(rest) == -sign(own_fills) and smallest_fill * LESS_FEES <= abs(rest) <= abs(own_fills)
    spot = kind is MarketKind.SPOT and not (own_fills and hides_fills)
    return Change(
        before=before,
        after=after,
        own=own_fills,
        foreign=foreign,
        forced=forced,
        transfer=rest if spot else ZERO,
        unexplained=ZERO if spot else rest,
    )


@exact
def peak_of(worths: Sequence[Worth]) -> Decimal | None:
    """The highest NAV among ``worths`` (oldest first), on the scale of the last one; None without any.

    From a point to one of cause BEFORE positions stood still, so that NAV moved by as much as net exposure did: what is left of
    the difference was paid in or out, and scales what was before, as units that are issued or redeemed would. A market that
    moved is a loss; a withdrawal is none, nor is it one to have moved to another account.
    """
    peak: Decimal | None = None
    before: Worth | None = None
    for worth in worths:
        if worth.cause is NavCause.ANEW:
            peak = None
        if peak is not None and before is not None and worth.cause is NavCause.BEFORE:
            flow = (worth.nav - before.nav) - (worth.exposure - before.exposure)
            if abs(flow) > LEAST_FLOW * before.nav and worth.nav > 0 and worth.nav - flow > 0:
                peak *= worth.nav / (worth.nav - flow)
        peak = worth.nav if peak is None else max(peak, worth.nav)
        before = worth
    return peak


def _at_most(figure: Decimal, most: Decimal) -> bool:
    return figure.is_finite() and figure <= most


def _keeps(nav: Decimal, peak: Decimal, loss: Decimal) -> bool:
    """Whether ``nav`` lost no more than the fraction ``loss`` of ``peak``."""
    return nav.is_finite() and peak.is_finite() and nav >= peak * (1 - loss)


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"
