"""From one observation to a plan: what is outside its band, what that takes in each market, in which order. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from keeper.domain.account import Valuation
from keeper.domain.errors import StaleData
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import ONE, ZERO, exact
from keeper.domain.observation import Observation, Quote
from keeper.planning import obstacles
from keeper.planning.agreement import apart
from keeper.planning.brief import Brief
from keeper.planning.cash import borrows, funded
from keeper.planning.costs import estimate
from keeper.planning.crowding import crowding
from keeper.planning.exposure import Gap, gaps, paid_in_coin, reducing
from keeper.planning.levels import levels
from keeper.planning.limits import BETWEEN_SLOTS, Refusal
from keeper.planning.no_trade import resolved
from keeper.planning.plan import Plan, PlanLeg
from keeper.planning.soundness import unsound
from keeper.planning.written import bounded, objections
from keeper.policy import breakers
from keeper.policy.emergency import delever
from keeper.policy.triggers import Due, NotDue, decide, kept

CAP = Decimal("1.5")


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
    faults = (*obstacles.book_faults(observation), *apart(observation.quotes, brief.limits.max_slippage_bps))
    left: tuple[Refusal, ...] = ()
    if brief.urgent:
        faults, left = (), obstacles.out_of_reach(observation)
        brief = replace(brief, mandate=obstacles.within_reach(brief.mandate, observation))
    mandate, notes = resolved(brief.mandate, observation)
    stays = staying(brief.flows, valuation)
    if stays < ONE:
        mandate, notes = mandate.scaled(stays), (*notes, _less(brief.flows, valuation))
    brief = replace(brief, mandate=mandate)
    share = kept(brief.mandate, valuation, _legs_of_hedge(brief, observation)) if _lost_a_leg(brief) else ONE
    if share < ONE:
        brief = replace(brief, mandate=brief.mandate.scaled(share))
    decision = _decision(brief, observation, valuation, targets)
    goals = _goals(brief, observation, valuation, decision) if not faults else {}
    lacking = _lacking(brief, observation, goals)
    wanted = _legs(brief, observation, valuation, goals, lacking)
    foreign = obstacles.foreign(observation)
    caps = obstacles.caps(brief, observation, valuation, wanted) if wanted else ()
    binding = (*obstacles.bound(brief), *brief.binding, *foreign, *caps) if wanted else foreign
    legs = wanted if not binding else _reducing_legs(brief, observation, valuation, goals, lacking)
    if caps and all(market.kind is MarketKind.SPOT for market in observation.markets.values()):
        legs = ()  # coins sold for others that may not be bought are no risk less, only another mix
    if brief.written is not None:
        legs = bounded(legs, brief.written)
        faults = (*faults, *objections(brief.written, brief.who, observation, legs))
    reason = _reason(decision, observation, left, is_due=bool(faults or wanted))
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
        triggers=levels(brief.mandate, observation, valuation, legs),
        refusals=(*obstacles.standing(brief), *faults, *(() if legs else (*binding, *left))),
        targets=dict(targets),
        marks={symbol: quote.mark for symbol, quote in observation.quotes.items()},
        closing=brief.urgent,
        notes=notes,
        written="" if brief.written is None else brief.written.digest,
        braking=brief.emergency is not None,
        bound=(*(one for one in binding if lesser and one.code != BETWEEN_SLOTS), *(left if legs else ())),
    )


@exact
def staying(flows: Mapping[str, Decimal], valuation: Valuation) -> Decimal:
    """The fraction of NAV that is left once what is on its way out, less what is on its way in, has left: at the most all.

    What has not come yet is no equity, so that nothing is levered up on it. A NAV that is not positive is for others to refuse.
    """
    leaves = min(ZERO, flows.get(valuation.currency, ZERO))
    if not leaves or valuation.nav <= 0:
        return ONE
    return max(ZERO, (valuation.nav + leaves) / valuation.nav)


def _less(flows: Mapping[str, Decimal], valuation: Valuation) -> str:
    leaves = -flows[valuation.currency]
    return f"sized on NAV less {leaves:.2f} {valuation.currency}, which is on its way out: `keeper nav moved` once it has left"


def _decision(brief: Brief, observation: Observation, valuation: Valuation, targets: Mapping[str, Decimal]) -> Due | NotDue:
    """Whether something is to be done: an emergency goes before what is written, and that before what is wanted.

    targets: of the whole mandate, markets that can't be traded now among them.
    """
    if brief.emergency is not None:
        reach = brief.mandate.targets
        awaited = [symbol for symbol in targets if symbol not in reach and symbol not in brief.mute]
        return delever(brief.emergency, observation, reach, brief.begun, awaited)
    return decide(brief.mandate, valuation, brief.begun) if brief.written is None else brief.written.decision


def _lacking(brief: Brief, observation: Observation, goals: Mapping[str, Decimal]) -> dict[str, Gap]:
    """What each market lacks of its goal; in an emergency the last lot goes, too."""
    up = goals if brief.emergency else ()
    return gaps(observation, goals, brief.slicer, brief.limits.max_slippage_bps, closing=brief.urgent, up=up)


def _goals(brief: Brief, observation: Observation, valuation: Valuation, decision: Due | NotDue) -> dict[str, Decimal]:
    """The leverage (multiple of NAV) that each market to trade should reach, by symbol."""
    due = decision.goals if isinstance(decision, Due) else {}
    if brief.emergency is not None:
        return dict(due)
    if brief.written is not None:  # what pays for its legs is among them, and what is no market any more is objected to
        return {symbol: goal for symbol, goal in due.items() if symbol in observation.markets}
    return funded(brief.mandate.targets, due, valuation, observation.markets)


def _reason(decision: Due | NotDue, observation: Observation, left: Sequence[Refusal], *, is_due: bool) -> str:
    """Why something is to be done, or nothing is, and what is left out."""
    due = decision.reason if isinstance(decision, Due) else decision.why
    reason = due if is_due or isinstance(decision, NotDue) else "the gap is smaller than the smallest order"
    out = [*(refusal.message for refusal in left), *(f"{asset} has no price" for asset in observation.unpriced)]
    return f"{reason}; left out: {'; '.join(out)}" if out else reason


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
    for symbol, gap in _lacking(brief, observation, lowered).items():
        held = observation.account.held(observation.markets[symbol])
        trades[symbol] = replace(gap, contracts=reducing(held, gap.contracts))
    legs = _legs(brief, observation, valuation, lowered, trades)
    return tuple(leg for leg in legs if not obstacles.added(leg, observation, valuation))


def _lost_a_leg(brief: Brief) -> bool:
    """Whether the venue cut one leg of the fund's hedge, which may not be made whole before a human said so."""
    standing = brief.standing if brief.emergency is None else None  # what takes it out of an emergency is no share of targets
    return standing is not None and standing.reducing and standing.cause == breakers.Cause.FORCED_HEDGE


def _legs_of_hedge(brief: Brief, observation: Observation) -> frozenset[str]:
    held = {symbol for symbol, market in observation.markets.items() if observation.account.held(market)}
    return brief.emptied | held
