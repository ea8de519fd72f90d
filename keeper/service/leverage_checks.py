"""What is to be said of leverage before a fund trades: what each market allows, and what the target binds as margin. Pure.

An exchange tells a table, a ceiling alone, or nothing; a setting of the account, or none. What it does not tell is said, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from keeper.domain.inspection import Bracket, Modes, Setting
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import ONE, ZERO, exact
from keeper.service import figures
from keeper.service.findings import MISCONFIGURED, Facts, Finding, MarketFacts, Untold, change_by, fail, ok, warn

HEADROOM = Decimal("0.75")
"""Share of NAV that the target may bind as margin before is warned: what is left carries a move until the next slot."""
AMPLE = Decimal("0.5")
"""The share that a leverage setting of Keeper's own choice binds."""
GROWTH = 2
"""What a position may grow to without another setting, multiples of the target."""
CENT = Decimal("0.01")
PAID = "spot: what is bought is paid for, and nothing is borrowed"


@exact
def room(brackets: Sequence[Bracket], notional: Decimal) -> Decimal:
    """The highest leverage setting at which the venue lets a position of ``notional`` be; 0 where it lets none be."""
    return next((one.max_leverage for one in brackets if one.up_to is None or notional <= one.up_to), ZERO)


@exact
def wanted_notional(facts: Facts, symbol: str) -> Decimal | None:
    """What the target comes to, in quote currency; None where the NAV is not known."""
    target = facts.fund.mandate.targets.get(symbol, ZERO)
    return None if facts.nav is None else abs(target) * facts.nav


def setting_of(one: MarketFacts) -> Decimal | None:
    """The leverage that the account is set to in a market; None where there is no such setting, or it is not told."""
    return one.modes.leverage if isinstance(one.modes, Modes) else None


@exact
def ceiling(facts: Facts, one: MarketFacts) -> Decimal | None:
    """The highest leverage at which the venue lets the target's position be, as far as it tells; None where it does not.

    A venue without a table tells at most what it grants the smallest positions.
    """
    notional = wanted_notional(facts, one.symbol)
    if isinstance(one.brackets, Untold) or not one.brackets or notional is None:
        return one.most_leverage
    return room(one.brackets, notional)


def table(facts: Facts, one: MarketFacts, market: Market) -> Iterator[Finding]:
    """What the venue lets a position of the target's size be levered, and one of GROWTH times that size."""
    if not (facts.inspected and facts.let_in):
        return
    if market.kind is MarketKind.SPOT:
        yield ok("brackets", PAID, one.symbol)
    elif isinstance(one.brackets, Untold):
        yield warn("brackets", f"could not be read: {one.brackets.why}", "look at it on the exchange's site", one.symbol)
    elif not one.brackets:
        yield _untabled(facts, one)
    elif not (notional := wanted_notional(facts, one.symbol)):
        most = figures.amount(one.brackets[0].max_leverage)
        yield ok("brackets", f"{most}x at most for the smallest positions; how large one would be is not known", one.symbol)
    else:
        yield _tabled(facts, one, one.brackets, notional)


def _untabled(facts: Facts, one: MarketFacts) -> Finding:
    """Of a market without a table."""
    untold = f"not told by {facts.info.exchange}"
    if one.most_leverage is None:
        return ok("brackets", f"{untold}: how far a position may be levered", one.symbol)
    words = f"{figures.amount(one.most_leverage)}x at most for the smallest positions; what it is for larger ones is {untold}"
    if abs(facts.fund.mandate.targets.get(one.symbol, ZERO)) > one.most_leverage:
        return fail("brackets", words, "lower the target: no position of it is that far levered", MISCONFIGURED, one.symbol)
    return ok("brackets", words, one.symbol)


@exact
def _tabled(facts: Facts, one: MarketFacts, steps: Sequence[Bracket], notional: Decimal) -> Finding:
    setting, target = setting_of(one), abs(facts.fund.mandate.targets.get(one.symbol, ZERO))
    now, grown = room(steps, notional), room(steps, GROWTH * notional)
    words = f"{figures.amount(now)}x at most at {figures.money(notional)}, {figures.amount(grown)}x at twice that"
    if target > now:
        return fail("brackets", words, "lower the target: no setting carries a position of that size", MISCONFIGURED, one.symbol)
    remedy = change_by(facts.ways, facts.fund.name, Setting.LEVERAGE, "lower the leverage setting")
    if setting is not None and setting > now:
        return fail("brackets", f"set to {figures.amount(setting)}x; {words}", remedy, MISCONFIGURED, one.symbol)
    if setting is not None and not grown:
        return warn("brackets", words, "no setting carries twice that size: pay in no more, or lower the target", one.symbol)
    if setting is not None and setting > grown:
        return warn("brackets", f"set to {figures.amount(setting)}x; {words}", remedy, one.symbol)
    return ok("brackets", words, one.symbol)


@exact
def margin(facts: Facts) -> Iterator[Finding]:
    """Whether the target can be backed, with something left for a move: at the settings, or where there are none at best."""
    if not (facts.inspected and facts.let_in):
        return
    levered = [one for one in facts.markets if _is_levered(facts, one)]
    if not levered:
        if any(isinstance(one.market, Market) for one in facts.markets):
            yield ok("margin", PAID)
        return
    unread = [f"{one.symbol} ({one.modes.why})" for one in levered if isinstance(one.modes, Untold)]
    if unread:
        yield warn(
            "margin", f"the leverage setting could not be read of {', '.join(unread)}", "look at it on the exchange's site"
        )
        return
    at = {one.symbol: ceiling(facts, one) if setting_of(one) is None else setting_of(one) for one in levered}
    known = {symbol: leverage for symbol, leverage in at.items() if leverage is not None}
    if untold := at.keys() - known.keys():
        yield ok("margin", f"not told by {facts.info.exchange}: what the target binds in {', '.join(sorted(untold))}")
    elif none := [symbol for symbol, leverage in known.items() if not leverage]:
        yield fail("margin", f"no position of that size is allowed in {', '.join(none)}", "lower the target", MISCONFIGURED)
    else:
        share = sum((abs(facts.fund.mandate.targets[symbol]) / leverage for symbol, leverage in known.items()), ZERO)
        yield _bound(facts, share, known, levered)


def _bound(facts: Facts, share: Decimal, at: Mapping[str, Decimal], levered: Sequence[MarketFacts]) -> Finding:
    """share: of NAV that the target binds as margin; at: the leverage of each market that this is at."""
    bare = [one.symbol for one in levered if setting_of(one) is None]
    settings = ", ".join(
        f"{symbol} {figures.amount(leverage)}x{' at most' * (symbol in bare)}" for symbol, leverage in at.items()
    )
    least, told = ("at least ", "no leverage setting") if bare else ("", "leverage setting")
    words = f"the target binds {least}{_percent(share)} of NAV as margin ({told}: {settings})"
    remedy = change_by(facts.ways, facts.fund.name, Setting.LEVERAGE, "raise the leverage setting")
    if len(bare) == len(levered):
        remedy = "lower the target: there is no leverage setting to raise"
    if not share < 1:  # fees take a part of it
        return fail("margin", words, remedy, MISCONFIGURED)
    return warn("margin", words, remedy) if share > HEADROOM else ok("margin", words)


def _is_levered(facts: Facts, one: MarketFacts) -> bool:
    target = facts.fund.mandate.targets.get(one.symbol, ZERO)
    return bool(target) and isinstance(one.market, Market) and one.market.kind is not MarketKind.SPOT


@exact
def suggested_leverage(facts: Facts, one: MarketFacts) -> int | None:
    """The leverage setting that a market should have instead of the one it has; None where that one will do, or none would.

    It lies where the target binds at most HEADROOM of NAV and the venue lets the position grow to GROWTH times its size.
    """
    if not isinstance(one.modes, Modes) or one.modes.leverage is None:
        return None
    gross = facts.fund.mandate.gross_target
    notional = wanted_notional(facts, one.symbol)
    highest = None
    if notional and not isinstance(one.brackets, Untold) and one.brackets:
        highest = room(one.brackets, GROWTH * notional).to_integral_value(ROUND_FLOOR)
    lowest = max(ONE, (gross / HEADROOM).to_integral_value(ROUND_CEILING))
    if one.modes.leverage >= lowest and (highest is None or one.modes.leverage <= highest):
        return None
    ample = max(lowest, (gross / AMPLE).to_integral_value(ROUND_CEILING))
    wanted = ample if highest is None else min(ample, highest)
    return int(wanted) if wanted >= lowest else None


def _percent(fraction: Decimal) -> str:
    return f"{fraction:.{int(fraction < CENT)}%}".replace("%", " %")
