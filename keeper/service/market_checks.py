"""What is to be said of a fund's markets before it trades: that they are there, how they are traded, what they cost. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

from keeper.domain.inspection import FeeRates, MarginMode, Setting
from keeper.domain.market import Market
from keeper.domain.numbers import BPS, exact, plain, rounded
from keeper.domain.observation import Observation
from keeper.execution.pacing import Style
from keeper.service import figures, leverage_checks
from keeper.service.findings import (
    MISCONFIGURED,
    REFUSED,
    Facts,
    Finding,
    MarketFacts,
    Untold,
    change_by,
    fail,
    ok,
    warn,
)

LEAVING = timedelta(days=30)
COARSE = Decimal("0.05")
"""Share of a target that one step of it may be before is warned."""


def changed_contracts(markets: Mapping[str, Market], pinned: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The symbols of markets that are not what is on record of them."""
    return [symbol for symbol, market in markets.items() if symbol in pinned and pinned[symbol] != market.identity]


def markets(facts: Facts) -> Iterator[Finding]:
    """Everything about each market, one after the other."""
    for one in facts.markets:
        if isinstance(one.market, Untold):
            remedy = f"correct funds.{facts.fund.name}.target, or wait until it is open"
            yield fail("market", one.market.why, remedy, MISCONFIGURED, one.symbol)
            continue
        yield _listed(facts, one, one.market)
        yield from _contract(facts, one, one.market)
        yield from _account_mode(one)
        yield from _margin_mode(facts, one)
        yield from leverage_checks.table(facts, one, one.market)
        yield from _fees(facts, one, one.market)
        yield from _sizes(facts, one.market)


def _listed(facts: Facts, one: MarketFacts, market: Market) -> Finding:
    words = f"open; lot {figures.amount(market.lot)}, tick {figures.amount(market.tick)}"
    if not isinstance(one.ends, Untold) and one.ends is not None:
        at = f"{one.ends:%Y-%m-%d %H:%M} UTC"
        if one.ends - facts.now < LEAVING:
            remedy = f"name another market in funds.{facts.fund.name}.target before: the venue closes what is held then"
            return warn("market", f"goes off the list {at}", remedy, one.symbol)
        words += f"; on the list until {at}"
    return ok("market", words, one.symbol)


def _contract(facts: Facts, one: MarketFacts, market: Market) -> Iterator[Finding]:
    if one.pinned is None:
        return
    if not changed_contracts({one.symbol: market}, {one.symbol: one.pinned}):
        yield ok("contract", "what it was when the fund first traded it", one.symbol)
        return
    apart = sorted(name for name in {**market.identity, **one.pinned} if market.identity.get(name) != one.pinned.get(name))
    was = ", ".join(f"{name} was {one.pinned.get(name)} and is {market.identity.get(name)}" for name in apart)
    remedy = f"look what the venue announced, then `keeper reconcile {facts.fund.name} --accept`"
    yield fail("contract", f"it is not what it was when the fund first traded it: {was}", remedy, REFUSED, one.symbol)


def _account_mode(one: MarketFacts) -> Iterator[Finding]:
    if isinstance(one.account_mode, Untold):
        yield fail("account_mode", one.account_mode.why, "until then the fund is not traded", MISCONFIGURED, one.symbol)
    elif one.account_mode:
        yield ok("account_mode", f"the account is in {one.account_mode}, which has this market", one.symbol)


def _margin_mode(facts: Facts, one: MarketFacts) -> Iterator[Finding]:
    if isinstance(one.modes, Untold):
        yield warn("margin_mode", f"could not be read: {one.modes.why}", "look at it on the exchange's site", one.symbol)
    elif one.modes is not None and one.modes.margin is MarginMode.ISOLATED:
        remedy = change_by(facts.ways, facts.fund.name, Setting.MARGIN_MODE, "set cross margin")
        words = "isolated: a position is liquidated on its own margin although the account has more"
        yield warn("margin_mode", words, remedy, one.symbol)
    elif one.modes is not None and one.modes.margin is MarginMode.CROSS:
        yield ok("margin_mode", "cross: all of the account backs the position", one.symbol)


def _fees(facts: Facts, one: MarketFacts, market: Market) -> Iterator[Finding]:
    if not (facts.inspected and facts.let_in):
        return
    if one.fees is None:
        words = f"not told by {facts.info.exchange}; plans reckon with {_bps(market.taker)} and {_bps(market.maker)}"
        yield ok("fees", words, one.symbol)
    elif isinstance(one.fees, Untold):
        yield warn(
            "fees", f"could not be read: {one.fees.why}", "costs are estimated with what the venue tells everybody", one.symbol
        )
    elif isinstance(one.fees, FeeRates):
        words = f"taker {_bps(one.fees.taker)}, maker {_bps(one.fees.maker)}"
        if (one.fees.taker, one.fees.maker) == (market.taker, market.maker):
            yield ok("fees", words, one.symbol)
        else:
            reckoned = f"plans reckon with {_bps(market.taker)} and {_bps(market.maker)}"
            yield warn("fees", f"{words}; {reckoned}", "estimates are off by that; fills and NAV are not", one.symbol)


@exact
def _sizes(facts: Facts, market: Market) -> Iterable[Finding]:
    """The smallest order and the smallest step against what is to be traded, and the largest order that is allowed."""
    notional, nav = leverage_checks.wanted_notional(facts, market.symbol), facts.nav
    if not notional or nav is None or not isinstance(facts.observation, Observation):
        return []
    mark = facts.observation.marks[market.symbol]
    smallest = abs(market.notional(market.minimum_order(mark), mark))
    pacing = facts.fund.pacing
    slices = 1 if pacing.style is Style.URGENT else pacing.slices
    largest = facts.fund.limits.max_order_notional
    part = min(notional / slices, largest)
    each = figures.money(part, market.quote)
    if part < notional / slices:
        each += f" at most (limits.max_order_notional), {figures.money(notional / slices, market.quote)} without that limit"
    words = f"the smallest is {figures.money(smallest, market.quote)}; each of {slices} slices to the target in"
    words += f" {figures.duration(pacing.horizon)} is {each}"
    lot = abs(market.notional(market.lot, mark)) / nav
    steps = f"one lot is worth {_multiple(lot)} of NAV, the smallest order {_multiple(smallest / nav)}"
    if smallest > notional:
        remedy = "pay more in, or name a market with smaller orders"
        found = [fail("order_size", f"{words}: the whole target is below it", remedy, MISCONFIGURED, market.symbol)]
    elif smallest > largest:
        remedy = f"raise funds.{facts.fund.name}.limits.max_order_notional: until then no order can be sent"
        found = [fail("order_size", words, remedy, MISCONFIGURED, market.symbol)]
    elif smallest > part:
        remedy = f"fewer slices will be sent; set funds.{facts.fund.name}.execution.slices lower"
        found = [warn("order_size", words, remedy, market.symbol)]
    else:
        found = [ok("order_size", words, market.symbol)]
    target = abs(facts.fund.mandate.targets[market.symbol])
    if max(lot, smallest / nav) > COARSE * target:
        remedy = f"the fund can't be held nearer to {figures.leverage(target)} than that: pay more in"
        return [*found, warn("lot", steps, remedy, market.symbol)]
    return [*found, ok("lot", steps, market.symbol)]


def _multiple(ratio: Decimal) -> str:
    """Three digits that count, whatever their place."""
    return f"{plain(rounded(ratio, max(0, 2 - ratio.adjusted())))}x"


@exact
def _bps(fraction: Decimal) -> str:
    return f"{figures.bps(fraction * BPS)} bps"
