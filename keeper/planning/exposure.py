"""The gap: what must be traded so that every market stands at its goal once the trades have paid for themselves. Pure.

A trade's own cost lowers NAV, and with it the exposure that is wanted. For legs i with goal L_i, exposure e_i, cost rate
c_i and sign s_i, the cost of all K and the trades t_i follow together:

    K = sum(c_i s_i (L_i NAV - e_i) / d_i) / (1 + sum(c_i s_i L_i / d_i)),  t_i = (L_i (NAV - K) - e_i) / d_i

with d_i = 1 - f_i s_i, where f_i is the part of c_i that is paid in coins which count as exposure themselves: all of it on
inverse contracts, the fee of a spot buy that is taken in the coin bought, else nothing. For one leg without such a part that
is gap / (1 + s c L), with coin equity gap / (1 + s c (L - 1)). Leverage after the trade is exactly L.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import ONE, ZERO, exact, round_up, sign
from keeper.domain.observation import Observation
from keeper.planning.costs import sizing_rate

Slicer = Callable[[Decimal, Decimal], int]
"""Into how many orders so many contracts (> 0) are cut, given the smallest order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One leg of the equation.

    goal: multiple of NAV; exposure: currency; rate: cost per notional; coin_rate: the part of it paid in coins, as above.
    """

    symbol: str
    goal: Decimal
    exposure: Decimal
    rate: Decimal
    coin_rate: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What one market lacks. contracts: signed, whole lots, cut toward zero; notional: signed, before cutting."""

    contracts: Decimal
    notional: Decimal


@exact
def solve(nav: Decimal, wants: Sequence[Want]) -> dict[str, Decimal]:
    """The trades (signed notional by symbol, currency) that leave every market exactly at its goal after their own cost.

    The signs are not known beforehand: what the others cost can turn a small gap round. Each may turn once; one that turns
    back has no trade that pays for itself and is left alone (zero).
    """
    signs = {want.symbol: sign(want.goal * nav - want.exposure) or -sign(want.goal) for want in wants}
    turned: set[str] = set()
    while True:
        trades = _trades(nav, [want for want in wants if signs[want.symbol]], signs)
        flipped = [symbol for symbol, trade in trades.items() if sign(trade) != signs[symbol]]
        if not flipped:
            return {want.symbol: trades.get(want.symbol, ZERO) for want in wants}
        for symbol in flipped:
            signs[symbol] = 0 if symbol in turned or not trades[symbol] else -signs[symbol]
        turned.update(flipped)


def _trades(nav: Decimal, active: Sequence[Want], signs: Mapping[str, int]) -> dict[str, Decimal]:
    """The solution for given signs. Costs so high that trading would eat more NAV than there is count as none."""
    lost, weight = ZERO, ONE
    for want in active:
        share = want.rate * signs[want.symbol] / _divisor(want, signs[want.symbol])
        lost += share * (want.goal * nav - want.exposure)
        weight += share * want.goal
    cost = lost / weight if weight > 0 else ZERO
    return {want.symbol: (want.goal * (nav - cost) - want.exposure) / _divisor(want, signs[want.symbol]) for want in active}


@exact
def gaps(
    observation: Observation,
    goals: Mapping[str, Decimal],
    slicer: Slicer,
    slippage_bps: Decimal,
    *,
    closing: bool = False,
    up: Collection[str] = (),
) -> dict[str, Gap]:
    """What each market of ``goals`` (multiple of NAV by symbol) lacks, all legs solved together at live prices.

    slippage_bps: the collar of every order, which bounds what a trade can cost; closing: a goal of 0 is no position, whatever
    coins that margin it are worth; up: symbols of which nothing but a reduction is wanted, rounded up to what a venue takes and
    ended at the position. StaleData when the account can't be valued.
    """
    valuation = observation.valuation()
    if closing:
        closed = {
            symbol for symbol, goal in goals.items() if not goal and observation.markets[symbol].kind is not MarketKind.SPOT
        }
        rest = {symbol: goal for symbol, goal in goals.items() if symbol not in closed}
        return gaps(observation, rest, slicer, slippage_bps, up=up) | {
            symbol: _closed(observation, symbol) for symbol in goals if symbol in closed
        }

    def want(symbol: str, notional: Decimal) -> Want:
        market, quote, exposure = observation.markets[symbol], observation.quotes[symbol], valuation.exposures[symbol]
        rough = market.to_contracts(goals[symbol] * valuation.nav - exposure, quote.mark)
        slices = slicer(abs(rough), market.minimum_order(quote.mark))
        side = Side.of(notional)
        rate = sizing_rate(market, quote.book, side, abs(rough) / slices, slippage_bps)
        coin_rate = paid_in_coin(market, side, rate)
        return Want(symbol=symbol, goal=goals[symbol], exposure=exposure, rate=rate, coin_rate=coin_rate)

    seen = {symbol: goal * valuation.nav - valuation.exposures[symbol] for symbol, goal in goals.items()}
    trades = solve(valuation.nav, [want(symbol, notional) for symbol, notional in seen.items()])
    if any(sign(trades[symbol]) == -sign(notional) for symbol, notional in seen.items()):
        # what the others cost turned a small gap round, and the other side pays in other coins
        trades = solve(valuation.nav, [want(symbol, trades[symbol] or notional) for symbol, notional in seen.items()])
    return {
        symbol: _raised(observation, symbol, trade)
        if symbol in up
        else _cut(observation.markets[symbol], trade, observation.quotes[symbol].mark)
        for symbol, trade in trades.items()
    }


def _raised(observation: Observation, symbol: str, notional: Decimal) -> Gap:
    """The reduction that ``notional`` (signed) asks for, no smaller than a venue takes and no larger than what is held."""
    market = observation.markets[symbol]
    held, wanted = observation.account.held(market), market.to_contracts(notional, observation.quotes[symbol].mark)
    least = max(abs(round_up(wanted, market.lot)), market.minimum_reduction)
    return Gap(contracts=market.whole_lots(reducing(held, least * sign(wanted))), notional=notional)


def _closed(observation: Observation, symbol: str) -> Gap:
    market = observation.markets[symbol]
    away = -observation.account.held(market)
    return Gap(contracts=market.whole_lots(away), notional=market.notional(away, observation.quotes[symbol].mark))


def _cut(market: Market, notional: Decimal, mark: Decimal) -> Gap:
    return Gap(contracts=market.whole_lots(market.to_contracts(notional, mark)), notional=notional)


def _divisor(want: Want, direction: int) -> Decimal:
    return ONE - want.coin_rate * direction


def paid_in_coin(market: Market, side: Side, rate: Decimal) -> Decimal:
    """The part of ``rate`` (cost per notional) that trading ``side`` takes out of the coins that count as exposure."""
    if market.kind is MarketKind.INVERSE:
        return rate
    return market.taker if market.fee_asset(side) == market.base else ZERO


def reducing(held: Decimal, contracts: Decimal) -> Decimal:
    """How many of ``contracts`` (signed) bring ``held`` (signed) nearer to zero; the rest opens the other side."""
    if sign(held) != -sign(contracts):
        return ZERO
    return min(abs(held), abs(contracts)) * sign(contracts)
