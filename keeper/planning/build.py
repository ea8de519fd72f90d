"""From one observation to a plan: what is outside its band, what that takes in each market, in which order. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from keeper.domain.account import Valuation, move_to_leverage
from keeper.domain.errors import StaleData
from keeper.domain.fund import Standing, Usage
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import BPS, ONE, ZERO, exact, plain, sign
from keeper.domain.observation import Observation, Quote
from keeper.planning.agreement import apart
from keeper.planning.cash import borrows, funded
from keeper.planning.costs import estimate
from keeper.planning.crowding import crowded, crowding
from keeper.planning.exposure import Gap, Slicer, gaps, paid_in_coin, reducing
from keeper.planning.limits import Limits, Refusal, halt_refusal, reduce_only_refusal
from keeper.planning.plan import Cause, Plan, PlanLeg, Trigger
from keeper.planning.soundness import unsound
from keeper.policy import breakers
from keeper.policy.mandate import Mandate
from keeper.policy.triggers import Due, decide, kept

CAP = Decimal("1.5")
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """Who plans and under which rules.

    usage: what was intended of the caps before; standing: whether the fund may trade, None where nobody said otherwise;
    last_targets: multiples of NAV by symbol that the fund last ran to, None where that is not known; approved_jump: an
    operator wants the new ones however far they are from those; blocked: refusals known beforehand; binding: those of them that
    only keep the fund from adding risk; urgent: what can be
    reduced is, whatever becomes of the rest; emptied: symbols of the hedge's legs of which the venue left nothing.
    """

    fund: str
    venue: str
    environment: str
    mandate: Mandate
    limits: Limits
    slicer: Slicer
    horizon: timedelta
    usage: Usage = field(default_factory=Usage)
    standing: Standing | None = None
    last_targets: Mapping[str, Decimal] | None = None
    approved_jump: bool = False
    blocked: tuple[Refusal, ...] = ()
    binding: tuple[Refusal, ...] = ()
    urgent: bool = False
    emptied: frozenset[str] = frozenset()


@exact
def build(brief: Brief, observation: Observation) -> Plan:
    """The plan for ``observation``.

    What binds risk drops the legs that add it, or cuts them down to what they reduce; the plan is refused for it only where
    nothing else is left. StaleData when the account can't be valued, holds what is no figure, or NAV is not positive.
    """
    if words := unsound(observation):
        raise StaleData("; ".join(words))
    valuation = observation.valuation()
    targets = brief.mandate.targets
    # what is not so may look so at a wrong price: legs that were planned on one would be traded once it is right again
    faults = (*_book_faults(observation), *apart(observation.quotes, brief.limits.max_slippage_bps))
    left: tuple[Refusal, ...] = ()
    if brief.urgent:
        faults, left = (), _out_of_reach(observation)
        brief = replace(brief, mandate=_within_reach(brief.mandate, observation))
    share = kept(brief.mandate, valuation, _legs_of_hedge(brief, observation)) if _lost_a_leg(brief) else ONE
    if share < ONE:
        brief = replace(brief, mandate=brief.mandate.scaled(share))
    decision = decide(brief.mandate, valuation)
    due = decision.goals if isinstance(decision, Due) and not faults else {}
    goals = funded(brief.mandate.targets, due, valuation, observation.markets)
    lacking = gaps(observation, goals, brief.slicer, brief.limits.max_slippage_bps, closing=brief.urgent)
    wanted = _legs(brief, observation, valuation, goals, lacking)
    foreign = _foreign(observation)
    caps = _caps(brief, observation, valuation, wanted) if wanted else ()
    binding = (*_bound(brief), *brief.binding, *foreign, *caps) if wanted else foreign
    legs = wanted if not binding else _reducing_legs(brief, observation, valuation, goals, lacking)
    if caps and all(market.kind is MarketKind.SPOT for market in observation.markets.values()):
        legs = ()  # coins sold for others that may not be bought are no risk less, only another mix
    if not isinstance(decision, Due):
        reason = decision.why
    elif faults or wanted:
        reason = decision.reason
    else:
        reason = "the gap is smaller than the smallest order"
    if left or observation.unpriced:
        out = [*(refusal.message for refusal in left), *(f"{asset} has no price" for asset in observation.unpriced)]
        reason += f"; left out: {'; '.join(out)}"
    if share < ONE:
        reason += f"; {share:.4f} of each target is wanted, which is what the venue left of one leg of the hedge"
    lesser = bool(legs) and _amounts(legs) != _amounts(wanted)
    if lesser:
        reason += f"; only what reduces is traded: {'; '.join(refusal.message for refusal in binding)}"
    return Plan(
        fund=brief.fund,
        venue=brief.venue,
        environment=brief.environment,
        at=observation.at,
        currency=valuation.currency,
        nav=valuation.nav,
        leverage=valuation.net_leverage,
        gross_leverage=valuation.gross_leverage,
        due=bool(wanted or faults or left),
        reason=reason,
        legs=legs,
        triggers=_triggers(brief.mandate, observation, valuation, legs),
        refusals=(*_halted(brief), *brief.blocked, *_jump(brief), *faults, *(() if legs else (*binding, *left))),
        targets=dict(targets),
        marks={symbol: quote.mark for symbol, quote in observation.quotes.items()},
        closing=brief.urgent,
        bound=(*(binding if lesser else ()), *(left if legs else ())),
    )


def _amounts(legs: Sequence[PlanLeg]) -> dict[str, Decimal]:
    return {leg.symbol: leg.amount for leg in legs}


def _legs(
    brief: Brief, observation: Observation, valuation: Valuation, goals: Mapping[str, Decimal], lacking: Mapping[str, Gap]
) -> tuple[PlanLeg, ...]:
    """Legs worth an order, those that reduce risk (or raise cash) first."""
    tradable = {}
    for symbol, gap in lacking.items():
        market = observation.markets[symbol]
        if abs(gap.contracts) >= smallest_order(market, observation, gap.contracts, brief.limits.max_slippage_bps):
            tradable[symbol] = gap.contracts
    spent = sum((_cost_paid(brief, observation, symbol, contracts) for symbol, contracts in tradable.items()), ZERO)
    legs = [_leg(brief, observation, valuation, goals[symbol], (symbol, size, spent)) for symbol, size in tradable.items()]
    return tuple(sorted(legs, key=lambda leg: leg.stage))


def _leg(
    brief: Brief, observation: Observation, valuation: Valuation, goal: Decimal, trade: tuple[str, Decimal, Decimal]
) -> PlanLeg:
    symbol, contracts, spent = trade
    market, quote = observation.markets[symbol], observation.quotes[symbol]
    amount, side = abs(contracts), Side.of(contracts)
    held = observation.account.held(market)
    cut = reducing(held, contracts)
    worst = _worst_price(quote, contracts, brief.limits.max_slippage_bps)
    slices = brief.slicer(amount, market.minimum_order(worst))
    change = market.notional(contracts, quote.mark)
    spot_buy = market.kind is MarketKind.SPOT and side is Side.BUY
    in_coin = abs(change) * paid_in_coin(market, side, _rate(brief, observation, symbol, contracts))
    return PlanLeg(
        symbol=symbol,
        side=side,
        amount=amount,
        amount_base=market.to_base(amount, quote.mark),
        notional=abs(change),
        price=quote.mark,
        decision_mid=quote.book.mid,
        goal=goal,
        leverage_before=valuation.leverage(symbol),
        leverage_after=(valuation.exposures[symbol] + change - in_coin) / (valuation.nav - spent),
        cap=market.whole_lots(amount * CAP),
        slices=slices,
        reduce_only=market.kind is not MarketKind.SPOT and cut == contracts,
        stage=0 if cut else 1,
        cost=estimate(
            market=market,
            book=quote.book,
            stats=observation.stats.get(symbol),
            side=side,
            contracts=amount,
            slices=slices,
            horizon=brief.horizon,
            slippage_bps=brief.limits.max_slippage_bps,
        ),
        crowding=crowding(
            market,
            quote.book,
            observation.stats.get(symbol),
            side=side,
            contracts=amount,
            slippage_bps=brief.limits.max_slippage_bps,
        ),
        cash_only=spot_buy and not borrows(brief.mandate.targets, observation.markets),
    )


def _cost_paid(brief: Brief, observation: Observation, symbol: str, contracts: Decimal) -> Decimal:
    """What trading ``contracts`` takes out of NAV at the rate that sized it, currency."""
    notional = observation.markets[symbol].notional(contracts, observation.quotes[symbol].mark)
    return abs(notional) * _rate(brief, observation, symbol, contracts)


def _rate(brief: Brief, observation: Observation, symbol: str, contracts: Decimal) -> Decimal:
    """The cost per notional that sized a trade of ``contracts``."""
    market, quote = observation.markets[symbol], observation.quotes[symbol]
    return estimate(
        market=market,
        book=quote.book,
        stats=None,
        side=Side.of(contracts),
        contracts=abs(contracts),
        slices=brief.slicer(abs(contracts), market.minimum_order(quote.mark)),
        horizon=brief.horizon,
        slippage_bps=brief.limits.max_slippage_bps,
    ).total


def smallest_order(market: Market, observation: Observation, contracts: Decimal, slippage_bps: Decimal) -> Decimal:
    """The smallest order that can be sent toward ``contracts`` (signed), which depends on whether it only reduces.

    slippage_bps: how far from the mid its limit price may lie, since venues count the minimum cost of an order at that price.
    """
    held = observation.account.held(market)
    if market.kind is not MarketKind.SPOT and reducing(held, contracts) == contracts:
        return market.minimum_reduction
    return market.minimum_order(_worst_price(observation.quotes[market.symbol], contracts, slippage_bps))


def _worst_price(quote: Quote, contracts: Decimal, slippage_bps: Decimal) -> Decimal:
    """The price (quote per base) at which an order toward ``contracts`` (signed) is worth least."""
    if contracts > 0 or quote.book.faults():
        return quote.mark
    return min(quote.mark, quote.book.collar(Side.SELL, slippage_bps))


def _book_faults(observation: Observation) -> tuple[Refusal, ...]:
    return tuple(_distrust(symbol, faults) for symbol, quote in observation.quotes.items() if (faults := quote.book.faults()))


def _out_of_reach(observation: Observation) -> tuple[Refusal, ...]:
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


def _within_reach(mandate: Mandate, observation: Observation) -> Mandate:
    """``mandate`` in the markets alone that can be traded now."""
    sane = {symbol for symbol, quote in observation.quotes.items() if not quote.book.faults()}
    return replace(mandate, targets={symbol: target for symbol, target in mandate.targets.items() if symbol in sane})


def _foreign(observation: Observation) -> tuple[Refusal, ...]:
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


def _reducing_legs(
    brief: Brief, observation: Observation, valuation: Valuation, goals: Mapping[str, Decimal], lacking: Mapping[str, Gap]
) -> tuple[PlanLeg, ...]:
    """The legs toward ``goals`` that add no risk; one that would cross zero ends there."""
    lowered = {}
    for symbol, gap in lacking.items():
        market, mark = observation.markets[symbol], observation.quotes[symbol].mark
        held = observation.account.held(market)
        if cut := reducing(held, gap.contracts):
            # coins held as equity are exposure that no position holds
            flat = (valuation.exposures[symbol] - market.notional(held, mark)) / valuation.nav
            lowered[symbol] = goals[symbol] if cut == gap.contracts else flat
    trades = {}
    for symbol, gap in gaps(observation, lowered, brief.slicer, brief.limits.max_slippage_bps, closing=brief.urgent).items():
        held = observation.account.held(observation.markets[symbol])
        trades[symbol] = replace(gap, contracts=reducing(held, gap.contracts))
    legs = _legs(brief, observation, valuation, lowered, trades)
    return tuple(leg for leg in legs if not _added(leg, observation, valuation))


def _added(leg: PlanLeg, observation: Observation, valuation: Valuation) -> Decimal:
    """The contracts of ``leg`` that add risk: all but those that bring a position, and gross exposure with it, toward zero."""
    market = observation.markets[leg.symbol]
    signed, exposure = leg.amount * leg.side.sign, valuation.exposures[leg.symbol]
    cut = reducing(observation.account.held(market), signed)
    after = exposure + market.notional(cut, observation.quotes[leg.symbol].mark)
    return leg.amount if abs(after) > abs(exposure) else leg.amount - abs(cut)


def _lost_a_leg(brief: Brief) -> bool:
    """Whether the venue cut one leg of the fund's hedge, which may not be made whole before a human said so."""
    return brief.standing is not None and brief.standing.reducing and brief.standing.cause == breakers.Cause.FORCED_HEDGE


def _legs_of_hedge(brief: Brief, observation: Observation) -> frozenset[str]:
    held = {symbol for symbol, market in observation.markets.items() if observation.account.held(market)}
    return brief.emptied | held


def _halted(brief: Brief) -> tuple[Refusal, ...]:
    return (halt_refusal(brief.standing.reason),) if brief.standing is not None and brief.standing.halted else ()


def _bound(brief: Brief) -> tuple[Refusal, ...]:
    return (reduce_only_refusal(brief.standing),) if brief.standing is not None and brief.standing.reducing else ()


def _jump(brief: Brief) -> tuple[Refusal, ...]:
    """Why the mandate's targets may not be run to before an operator said so: a slip of the keyboard looks just like that.

    Going nearer to zero is never a jump; a target on the other side of zero counts whole.
    """
    if brief.last_targets is None or brief.approved_jump:
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


def _caps(brief: Brief, observation: Observation, valuation: Valuation, legs: Sequence[PlanLeg]) -> tuple[Refusal, ...]:
    """Why the legs that add risk may not trade now; counted, as the gate does, at the worst price that the collar allows.

    What is spread over more than an hour is not held against the caps of one: the gate sees to them as it goes.
    """
    limits, usage = brief.limits, brief.usage
    parts = {leg.symbol: _added(leg, observation, valuation) / leg.amount for leg in legs}
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


def _triggers(mandate: Mandate, observation: Observation, valuation: Valuation, legs: Sequence[PlanLeg]) -> tuple[Trigger, ...]:
    """The moves of each single market (the others standing still) that take the fund, once the plan is done, out of bounds."""
    after = {symbol: valuation.leverage(symbol) for symbol in mandate.targets}
    after.update({leg.symbol: leg.leverage_after for leg in legs})
    found = []
    for symbol, leverage in after.items():
        if not leverage:
            continue
        mark = observation.quotes[symbol].mark
        others = sum((abs(value) for other, value in after.items() if other != symbol), ZERO)
        moves = []
        if mandate.deadband:
            edges = [edge for edge in mandate.band(symbol) if edge not in (leverage, ONE)]
            moves += [(Cause.BAND, edge, move_to_leverage(leverage, edge)) for edge in edges]
        if (emergency := mandate.emergency) is not None:
            # gross leverage T is reached where others + |l| (1 + r) = T (1 + l r)
            slope = abs(leverage) - emergency * leverage
            if slope:
                shown = emergency if others else emergency * sign(leverage)
                moves.append((Cause.EMERGENCY, shown, (emergency - others - abs(leverage)) / slope))
        found += [
            Trigger(cause=cause, symbol=symbol, leverage=level, move=move, price=mark * (1 + move))
            for cause, level, move in moves
            if move > -ONE
        ]
    return tuple(found)
