"""What it means that a fund is halted or bound to reductions, and what its operator does next. Words, and no decision."""

from collections.abc import Sequence

from keeper.domain.fund import Standing
from keeper.policy.breakers import Cause, passes

MEANINGS = {
    Cause.SLIPPAGE: "a run paid more to the market than breakers.slippage_bps allows: look at its report and at the order book",
    Cause.LOSS: "the fund lost more within a day than breakers.loss allows: decide whether its target is still what you want",
    Cause.ERROR_RATE: "the venue rejected, or did not answer, too many orders: read their reasons in the latest runs",
    Cause.STALE_DATA: "account or prices could not be read for too long",
    Cause.VENUE_TROUBLE: "the venue did not answer for too long",
    Cause.FORCED_HEDGE: "the venue itself reduced one leg of a hedge, and the others go with it in proportion: look at them all",
    Cause.JOURNAL: "the journal does not tell what was done: it is damaged, or an older copy of it was put in its place",
    Cause.FILLS: "trades, orders and journal do not add up: compare them before anything is sent",
    Cause.IDENTITY: "the account or a contract is not the one that was traded before: look at keys and markets",
    Cause.POSITION: "the position changed, and no order of yours explains it: find out who traded, or what the venue did",
    Cause.REPEATED: "runs followed each other faster than breakers.runs_per_hour allows: find out what starts them",
    Cause.WORTHLESS: "nothing is left of NAV: see what the venue did, and pay money in before the fund is resumed",
}
RECONCILED = (Cause.JOURNAL, Cause.FILLS, Cause.POSITION, Cause.IDENTITY)
"""The causes that a comparison with the venue tells more of."""

RETURNING = (Cause.JOURNAL, Cause.POSITION, Cause.IDENTITY)
"""The causes that the next run finds again, unless the difference behind them is gone or was accepted."""


def meaning(standing: Standing) -> str:
    """What a state other than active comes to, and why it was set."""
    means = MEANINGS[Cause(standing.cause)] if standing.cause in set(Cause) else "a human said so"
    if standing.halted:
        return f"nothing is sent; {means}"
    lifts = "; it lifts by itself once that is over" if passes(standing.cause) else ""
    return f"only what reduces risk is sent; {means}{lifts}"


def halts_again(standing: Standing, *, is_accepted: bool) -> str:
    """What whoever resumes a fund must know first: that its next run may halt it again. Empty where it has no reason to.

    is_accepted: whether a human has accepted a comparison with the venue since it was halted.
    """
    if not standing.halted or standing.cause not in RETURNING or is_accepted:
        return ""
    fund = standing.fund
    return f"the next run halts {fund} again unless the difference is gone, or accepted with `keeper reconcile {fund}`"


def next_steps(standing: Standing, unknown: Sequence[str], *, is_held: bool, is_cut: bool = False) -> list[str]:
    """The commands to type next, in their order; none where nothing keeps the fund from trading.

    unknown: client ids of the children without a known outcome; is_held: whether a process holds the account, and so asks the
    venue about them by itself; is_cut: whether a run, or a child, was left behind by a process that is gone.
    """
    fund, steps = standing.fund, []
    if unknown and not is_held:
        steps.append(f"`keeper rebalance {fund}` asks the venue what became of them")
    elif is_cut and not is_held:
        steps.append(f"`keeper rebalance {fund}`, or `keeper run`, settles what was left and goes on from there")
    if unknown:
        steps.append(f"`keeper resolve {fund} {unknown[0]}` where the venue does not tell")
    compared = standing.cause in RECONCILED
    if compared:
        steps.append(f"`keeper reconcile {fund}`, then `keeper reconcile {fund} --accept` once the difference is understood")
    if standing.halted or standing.reducing:
        steps.append(f"{'only then ' if compared else ''}`keeper resume {fund}`")
    return steps
