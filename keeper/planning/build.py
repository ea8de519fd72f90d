"""From one observation to a plan: what is outside its band, what that takes in each market, in which order. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from keeper.domain.account import Valuation, move_to_leverage
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import BPS, ONE, ZERO, exact, plain, sign
from keeper.domain.observation import Observation, Quote
from keeper.planning.cash import borrows, funded
from keeper.planning.costs import estimate
from keeper.planning.exposure import Gap, Slicer, gaps, paid_in_coin, reducing
from keeper.planning.gate import Limits, Refusal
from keeper.planning.plan import Cause, Plan, PlanLeg, Trigger
from keeper.policy.mandate import Mandate
from keeper.policy.triggers import Due, decide

CAP = Decimal("1.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """Who plans and under which rules. turnover: notional traded in 24 h, quote currency; blocked: refusals known beforehand."""

    fund: str
    venue: str
    environment: str
    mandate: Mandate
    limits: Limits
    slicer: Slicer
    horizon: timedelta
    turnover: Decimal = ZERO
    blocked: tuple[Refusal, ...] = ()


@exact
def build(brief: Brief, observation: Observation) -> Plan:
    """The plan for ``observation``. StaleData when the account can't be valued or NAV is not positive."""
    valuation = observation.valuation()
    faults = _book_faults(observation)
    decision = decide(brief.mandate, valuation)
    due = decision.goals if isinstance(decision, Due) and not faults else {}
    goals = funded(brief.mandate.targets, due, valuation, observation.markets)
    lacking = gaps(observation, goals, brief.slicer, brief.limits.max_slippage_bps)
    wanted = _legs(brief, observation, valuation, goals, lacking)
    over = _turnover(brief, valuation, wanted)
    # what binds risk lets reductions through
    legs = tuple(leg for leg in wanted if not (over and _adds(leg, observation)))
    if not isinstance(decision, Due):
        reason = decision.why
    elif faults or wanted:
        reason = decision.reason
    else:
        reason = "the gap is smaller than the smallest order"
    if legs and over:
        reason += f"; only what reduces is traded: {over[0].message}"
    refusals = (*brief.blocked, *faults, *_foreign(observation), *(() if legs else over))
    return Plan(
        fund=brief.fund,
        venue=brief.venue,
        environment=brief.environment,
        at=observation.at,
        currency=valuation.currency,
        nav=valuation.nav,
        leverage=valuation.net_leverage,
        gross_leverage=valuation.gross_leverage,
        due=bool(wanted) or bool(faults),
        reason=reason,
        legs=legs,
        triggers=_triggers(brief.mandate, observation, valuation, legs),
        refusals=refusals,
    )


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
    return tuple(
        Refusal("book", f"the order book of {symbol} can't be trusted: {', '.join(faults)}")
        for symbol, quote in observation.quotes.items()
        if (faults := quote.book.faults())
    )


def _foreign(observation: Observation) -> tuple[Refusal, ...]:
    found = [
        Refusal("foreign_position", f"{plain(position.contracts)} contracts of {symbol} are held that no target names")
        for symbol, position in observation.account.positions.items()
        if symbol not in observation.markets
    ]
    if observation.account.open_orders:
        orders = ", ".join(observation.account.open_orders)
        found.append(Refusal("foreign_order", f"orders that Keeper did not send are open: {orders}; cancel them first"))
    return tuple(found)


def _adds(leg: PlanLeg, observation: Observation) -> bool:
    """Whether a leg adds risk: neither a reduction of a position nor a sale of coins."""
    return not (leg.reduce_only or (observation.markets[leg.symbol].kind is MarketKind.SPOT and leg.side is Side.SELL))


def _turnover(brief: Brief, valuation: Valuation, legs: Sequence[PlanLeg]) -> tuple[Refusal, ...]:
    """Why the legs that add risk may not trade today; counted, as the gate does, at the worst price that the collar allows."""
    adding = sum((leg.notional for leg in legs if not leg.reduce_only), ZERO) * (1 + brief.limits.max_slippage_bps / BPS)
    allowed = brief.limits.max_turnover_per_day * valuation.nav
    if not adding or brief.turnover + adding <= allowed:
        return ()
    message = (
        f"this plan trades {adding:.2f} {valuation.currency} after {brief.turnover:.2f} in the last 24 h;"
        f" limits.max_turnover_per_day = {plain(brief.limits.max_turnover_per_day)} times NAV allows {allowed:.2f}"
    )
    return (Refusal("turnover", message),)


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
