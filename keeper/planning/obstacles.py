"""What stands in the way of a plan: accounts and books that can't be trusted, funds that may not, caps used up. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from keeper.domain.account import Valuation
from keeper.domain.numbers import BPS, ZERO, plain, sign
from keeper.domain.observation import Observation
from keeper.planning.brief import Brief
from keeper.planning.crowding import crowded
from keeper.planning.exposure import reducing
from keeper.planning.limits import Refusal, halt_refusal, reduce_only_refusal
from keeper.planning.plan import PlanLeg
from keeper.policy.mandate import Mandate

HOUR = timedelta(hours=1)


def book_faults(observation: Observation) -> tuple[Refusal, ...]:
    """The books that nobody may trade on."""
    return tuple(_distrust(symbol, faults) for symbol, quote in observation.quotes.items() if (faults := quote.book.faults()))


def out_of_reach(observation: Observation) -> tuple[Refusal, ...]:
    """Why what is held in some markets can't be traded now: nobody could read them, or their book is not sane."""
    unread = observation.unread
    found = [Refusal("book", f"{symbol} can't be read: {why}") for symbol, why in unread.items()]
    for symbol, quote in observation.quotes.items():
        faults = quote.book.faults() if symbol not in unread and observation.account.held(observation.markets[symbol]) else ()
        if faults:
            found.append(_distrust(symbol, faults))
    return tuple(found)


def _distrust(symbol: str, faults: Sequence[str]) -> Refusal:
    return Refusal("book", f"the order book of {symbol} can't be trusted: {', '.join(faults)}")


def within_reach(mandate: Mandate, observation: Observation) -> Mandate:
    """``mandate`` in the markets alone that can be traded now."""
    sane = {symbol for symbol, quote in observation.quotes.items() if not quote.book.faults()}
    return replace(mandate, targets={symbol: target for symbol, target in mandate.targets.items() if symbol in sane})


def foreign(observation: Observation) -> tuple[Refusal, ...]:
    """What is held, or rests, that the fund does not know of."""
    found = [
        Refusal("foreign_position", f"{plain(position.contracts)} contracts of {symbol} are held that no target names")
        for symbol, position in observation.account.positions.items()
        if symbol not in observation.markets
    ]
    resting = observation.account.open_orders
    for code, ours, words in (
        ("foreign_order", False, "orders that Keeper did not send are open: {}; cancel them first"),
        ("open_order", True, "orders of an earlier run are still open: {}; `keeper kill` cancels them"),
    ):
        named = [f"{order.client_id or order.order_id} in {order.symbol}" for order in resting if order.is_ours is ours]
        if named:
            found.append(Refusal(code, words.format(", ".join(named))))
    return tuple(found)


def added(leg: PlanLeg, observation: Observation, valuation: Valuation) -> Decimal:
    """The contracts of ``leg`` that add risk: all but those that bring a position, and gross exposure with it, toward zero."""
    market = observation.markets[leg.symbol]
    signed, exposure = leg.amount * leg.side.sign, valuation.exposures[leg.symbol]
    cut = reducing(observation.account.held(market), signed)
    after = exposure + market.notional(cut, observation.quotes[leg.symbol].mark)
    return leg.amount if abs(after) > abs(exposure) else leg.amount - abs(cut)


def standing(brief: Brief) -> tuple[Refusal, ...]:
    """What forbids any plan, whatever is seen of account and markets: a halt, what was known beforehand, a target jump."""
    halted = (halt_refusal(brief.standing.reason),) if brief.standing is not None and brief.standing.halted else ()
    return (*halted, *brief.blocked, *_jump(brief))


def bound(brief: Brief) -> tuple[Refusal, ...]:
    """That the fund may only reduce, where it may."""
    return (reduce_only_refusal(brief.standing),) if brief.standing is not None and brief.standing.reducing else ()


def _jump(brief: Brief) -> tuple[Refusal, ...]:
    """Why the mandate's targets may not be run to before an operator said so: a slip of the keyboard looks just like that.

    Going nearer to zero is never a jump; a target on the other side of zero counts whole.
    """
    if brief.last_targets is None or brief.approved_jump or brief.emergency is not None:
        return ()
    farther = {}
    for symbol, target in brief.mandate.targets.items():
        before = brief.last_targets.get(symbol, ZERO)
        by = abs(target) - abs(before) if sign(before) == sign(target) else abs(target)
        if by > 0:
            farther[symbol] = (before, target, by)
    total = sum((by for _, _, by in farther.values()), ZERO)
    if total <= brief.limits.max_target_jump:
        return ()
    moves = ", ".join(f"{symbol} from {plain(before)} to {plain(target)}" for symbol, (before, target, _) in farther.items())
    message = (
        f"the target adds {plain(total)} times NAV to what the fund last ran to ({moves}), limits.max_target_jump is"
        f" {plain(brief.limits.max_target_jump)}: if that is meant, approve it with `keeper rebalance --approve-jump`"
    )
    return (Refusal("target_jump", message),)


def caps(brief: Brief, observation: Observation, valuation: Valuation, legs: Sequence[PlanLeg]) -> tuple[Refusal, ...]:
    """Why the legs that add risk may not trade now; counted, as the gate does, at the worst price that the collar allows.

    What is spread over more than an hour is not held against the caps of one: the gate sees to them as it goes.
    """
    limits, usage = brief.limits, brief.usage
    parts = {leg.symbol: added(leg, observation, valuation) / leg.amount for leg in legs}
    shares = {leg.symbol: leg.crowding.volume * parts[leg.symbol] for leg in legs if leg.crowding.volume and parts[leg.symbol]}
    adding = sum((leg.notional * parts[leg.symbol] for leg in legs), ZERO) * (1 + limits.max_slippage_bps / BPS)
    within_an_hour = brief.horizon <= HOUR
    found = list(crowded(shares, limits.max_volume_share))
    used = (usage.adding_run, usage.adding_hour, usage.adding_day)
    for (name, span, most), before, counts in zip(limits.turnovers, used, (True, within_an_hour, True), strict=True):
        if most is not None and adding and counts and not (before + adding <= most * valuation.nav):
            message = (
                f"this plan trades {adding:.2f} {valuation.currency} after {before:.2f} in {span};"
                f" limits.{name} = {plain(most)} times NAV allows {most * valuation.nav:.2f}"
            )
            found.append(Refusal("turnover", message))
    orders = sum(leg.slices for leg in legs)
    for name, sent, limit, counts in (
        ("max_orders_per_run", usage.orders_run, limits.max_orders_per_run, True),
        ("max_orders_per_hour", usage.orders_hour, limits.max_orders_per_hour, within_an_hour),
        ("max_orders_per_day", usage.orders_day, limits.max_orders_per_day, True),
    ):
        if adding and counts and not (sent + orders <= limit):
            found.append(
                Refusal("orders", f"this plan sends {orders} orders after {sent}; limits.{name} = {limit} allows no more")
            )
    return tuple(found)
