"""What is to be said of a fund's account before it trades: connection, keys, position mode, equity, liquidation. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.account import Account, asset_prices
from keeper.domain.inspection import Contact, KeyFacts, Setting
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import ZERO, exact, plain, rounded, sign
from keeper.domain.observation import Observation
from keeper.planning.limits import Limits
from keeper.ports import Environment
from keeper.service import figures
from keeper.service.findings import (
    MISCONFIGURED,
    REFUSED,
    UNREACHED,
    Facts,
    Finding,
    Untold,
    Verdict,
    change_by,
    fail,
    ok,
    warn,
)

SLOW = timedelta(seconds=1)
LARGE_OFFSET, LARGEST_OFFSET = timedelta(milliseconds=250), timedelta(seconds=1)
SOON = timedelta(days=14)
TOLERANCE = Decimal("0.005")
"""Fraction of an equity by which two reckonings of it may differ; or a unit of the fund's currency, whichever is more."""
A_MOMENT = Decimal("0.0005")
"""Fraction by which a mark may move between two answers."""
CLOSE = 2
"""Multiples of the smallest distance to liquidation below which is warned."""


def connection(facts: Facts) -> Iterable[Finding]:
    """Whether the venue answers, how fast, by which clock, and which hosts it has."""
    if isinstance(facts.contact, Untold):
        code = UNREACHED if facts.inspected else MISCONFIGURED
        yield fail("reach", facts.contact.why, "nothing else could be asked of the venue: mend this first", code)
        return
    if facts.contact is None:
        yield ok("reach", "a paper exchange, which is on this machine")
        return
    latency = facts.contact.latency
    words = f"answers in {_milliseconds(latency)}"
    if latency > SLOW:
        yield warn("reach", words, "run Keeper nearer to the venue, or on a better line: prices are as old as that")
    else:
        yield ok("reach", words)
    yield _clock(facts.contact)
    yield _environment(facts)


def guard(facts: Facts) -> Iterable[Finding]:
    """Whether stops rest at the venue that brake a leveraged fund while Keeper does not run."""
    fund = facts.fund
    known = [one.market for one in facts.markets if isinstance(one.market, Market)]
    if all(market.kind is MarketKind.SPOT for market in known) or fund.watched.max_leverage is None:
        return
    absent = "no resident guard on this exchange: the brake works only while Keeper runs"
    if fund.resident_guard and not facts.info.stops:
        remedy = f"remove funds.{fund.name}.emergency.resident_guard, and keep `keeper run` running"
        yield fail("resident_guard", absent, remedy, REFUSED)
    elif fund.resident_guard is False:
        yield warn("resident_guard", "switched off: the brake works only while Keeper runs", "keep `keeper run` running")
    elif not facts.info.stops:
        yield warn("resident_guard", absent, "keep `keeper run` running, under a supervisor that starts it again")
    elif len({sign(target) for target in fund.mandate.targets.values() if target}) > 1:
        words = "none for a fund that is long and short: a stop would leave one leg without its hedge"
        yield warn("resident_guard", words, "keep `keeper run` running, under a supervisor that starts it again")
    else:
        yield ok("resident_guard", "stops rest at the exchange that brake the fund while Keeper does not run")


def _clock(told: Contact) -> Finding:
    """What an exchange does not tell of its clock is not held against this machine's."""
    words = f"this machine's clock is {told.offset.total_seconds():+.3f} s off the venue's"
    words += f", give or take {told.vague.total_seconds():.3f} s" if told.vague else ""
    if not abs(told.offset) <= LARGEST_OFFSET + told.vague:
        return fail("clock", f"{words}, allowed is 1 s", "synchronise it (NTP)", UNREACHED)
    if abs(told.offset) > LARGE_OFFSET + told.vague:
        return warn("clock", words, "synchronise it (NTP): past 1 s nothing is sent")
    return ok("clock", words)


def _environment(facts: Facts) -> Finding:
    environment = facts.info.environment
    moved = [host for host, origin in facts.reached.items() if origin != f"https://{host}"]
    hosts = ", ".join(sorted(facts.reached))
    if moved:
        remedy = f"remove venues.{facts.info.name}.hosts unless this is a test"
        return warn("environment", f"{environment}, but servers on this machine stand for {', '.join(sorted(moved))}", remedy)
    return ok("environment", f"{environment}: {hosts}")


def keys(facts: Facts) -> Iterable[Finding]:
    """Whether the venue takes the keys, and what they may do."""
    if not (facts.inspected and facts.connected):
        return
    if facts.admission is not None and not facts.let_in:
        yield fail("keys", facts.admission.why, "until then nothing can be read of the account, or sent", UNREACHED)
    else:
        yield ok("keys", "the venue takes them")
    if facts.key is not None and (facts.let_in or not isinstance(facts.key, Untold)):
        yield from rights(facts.key, facts.info.environment, facts.now)


def rights(key: KeyFacts | Untold, environment: Environment, now: datetime) -> Iterable[Finding]:
    """What a key may do, and for how long."""
    if isinstance(key, Untold):
        remedy = "look on the exchange's site that the key may trade, may not withdraw and is bound to this address"
        yield warn("withdrawals", f"what the key may do could not be read: {key.why}", remedy)
        return
    yield _withdrawals(key, environment)
    if key.may_trade is False:
        remedy = "give it the right to trade this kind of market on the exchange's site"
        yield fail("trading", "the key may not trade", remedy, MISCONFIGURED)
    else:
        yield ok("trading", "the key may trade" if key.may_trade else "the venue does not tell whether the key may trade")
    if key.ip_bound is False:
        yield warn("address", "the key works from anywhere", "bind it to this machine's address on the exchange's site")
    else:
        yield ok(
            "address", "the key is bound to addresses" if key.ip_bound else "the venue does not tell from where the key works"
        )
    yield _expiry(key, now)


def _withdrawals(key: KeyFacts, environment: Environment) -> Finding:
    if key.may_withdraw:
        remedy = "take that right from it on the exchange's site, or make one without: whoever finds it could empty the account"
        return fail("withdrawals", "the key may withdraw", remedy, MISCONFIGURED)
    if key.may_withdraw is None and environment is Environment.LIVE:
        remedy = "look on the exchange's site that it can't"
        return warn("withdrawals", "the venue does not tell whether the key may withdraw", remedy)
    return ok("withdrawals", "the key may not withdraw" if key.may_withdraw is False else "not told, and this is no live money")


def _expiry(key: KeyFacts, now: datetime) -> Finding:
    if key.expires_at is None:
        return ok("expiry", "no end of the key is told")
    at = f"{key.expires_at:%Y-%m-%d %H:%M} UTC"
    if key.expires_at <= now:
        return fail("expiry", f"the key's right to trade ended {at}", "renew it on the exchange's site", MISCONFIGURED)
    words = f"the key may trade until {at}"
    return warn("expiry", words, "renew it in time") if key.expires_at - now < SOON else ok("expiry", words)


def kind(facts: Facts) -> Iterable[Finding]:
    """What makes the account one that nothing can be sized on."""
    if facts.admission is not None and facts.admission.unfit:
        remedy = "until then nothing is planned; `keeper flatten` and `keeper kill` do what they say"
        yield fail("account_kind", facts.admission.why, remedy, REFUSED)


def position_mode(facts: Facts) -> Iterable[Finding]:
    """One position for each market."""
    if facts.hedged:
        remedy = change_by(facts.ways, facts.fund.name, Setting.POSITION_MODE, "close what is held, and set one-way mode")
        words = "the account is in hedge mode, where a market has two positions"
        yield fail("position_mode", words, remedy, MISCONFIGURED)
    elif facts.hedged is False:
        yield ok("position_mode", "one position for each market")


def account(facts: Facts) -> Iterable[Finding]:
    """Whether the account can be read and valued, agrees with the venue's own reckoning, and is far from liquidation."""
    if isinstance(facts.observation, Untold):
        known = facts.admission is not None or any(isinstance(one.market, Untold) for one in facts.markets)
        if not known:
            yield fail("account", f"can't be read: {facts.observation.why}", "nothing is traded until it can", UNREACHED)
        return
    if facts.observation is None:
        return
    if isinstance(facts.worth, Untold):
        yield fail("account", facts.worth.why, "until then the fund can't be valued, and nothing is traded", REFUSED)
    elif facts.worth is not None and not facts.worth.nav > 0:
        words = f"NAV is {figures.money(facts.worth.nav, facts.worth.currency)}"
        yield fail("account", words, "pay something in: leverage has no meaning without", REFUSED)
    elif facts.worth is not None:
        net = figures.leverage(facts.worth.net_leverage)
        yield ok("account", f"NAV is {figures.money(facts.worth.nav, facts.worth.currency)}, leverage {net} net")
    if facts.own is not None and facts.inspected:
        yield from equity(facts.observation, facts.own)
    yield from liquidation(facts.observation.account, facts.fund.limits)


def equity(observation: Observation, own: Mapping[str, Decimal] | Untold) -> Iterable[Finding]:
    """The venue's own equity of each asset against ours; no line for spot, where there is none but the balance."""
    if all(market.kind is MarketKind.SPOT for market in observation.markets.values()):
        return
    theirs = observation.account.equities
    if isinstance(own, Untold):
        yield warn("equity", f"could not be compared with the venue's: {own.why}", "close what Keeper can't value")
        return
    priced = asset_prices(observation.markets.values(), observation.marks, observation.currency)
    prices = {**observation.conversions, **priced}
    compared = {asset: (own.get(asset, Decimal(0)), told) for asset, told in theirs.items() if told or own.get(asset)}
    held = _settled_in(observation)
    apart = [asset for asset, (ours, told) in compared.items() if _apart(ours, told, held.get(asset, ZERO), prices.get(asset))]
    shown = "; ".join(
        f"{figures.money(ours, asset)} by our reckoning, {figures.money(told, asset)} by the venue's"
        for asset, (ours, told) in compared.items()
        if asset in apart or not apart
    )
    if apart:
        remedy = "this account holds what Keeper does not see, or reads wrongly: use one for the fund alone, and report it"
        yield fail("equity", f"{shown}: they may differ by 0.5 %, or 0.05 % of the positions, or a unit", remedy, REFUSED)
    else:
        yield ok("equity", shown or "the venue reckons none of its own")


def differs(observation: Observation, own: Mapping[str, Decimal] | Untold) -> bool:
    """Whether the venue reckons otherwise than we do."""
    return any(one.verdict is Verdict.FAIL for one in equity(observation, own))


@exact
def _settled_in(observation: Observation) -> dict[str, Decimal]:
    """What the positions that settle in each asset are worth, in that asset."""
    worth: dict[str, Decimal] = {}
    for symbol, position in observation.account.positions.items():
        market = observation.markets.get(symbol)
        if market is not None:
            held = abs(market.to_base(position.contracts, position.mark))
            held *= 1 if market.settle == market.base else position.mark
            worth[market.settle] = worth.get(market.settle, ZERO) + held
    return worth


@exact
def _apart(ours: Decimal, told: Decimal, positions: Decimal, price: Decimal | None) -> bool:
    """Whether the figures can't be the same at marks a moment apart. positions: what settles in the asset is worth, in it."""
    allowed = max(TOLERANCE * max(abs(ours), abs(told)), A_MOMENT * positions)
    if price is not None and price > 0:
        allowed = max(allowed, 1 / price)
    return not abs(ours - told) <= allowed


@exact
def liquidation(held: Account, limits: Limits) -> Iterable[Finding]:
    """How far the price is from where the venue closes a position, as it says itself."""
    found: list[Finding] = []
    for symbol, position in held.positions.items():
        if position.liquidation is None:
            continue
        distance = abs(position.liquidation / position.mark - 1)
        least = limits.min_liquidation_distance
        words = f"at {figures.price(position.liquidation)}, {_share(distance)} from the mark; at least {_share(least)} is wanted"
        remedy = "add collateral, or lower the target"
        if not distance >= least:
            found.append(fail("liquidation", words, f"{remedy}, now: `keeper flatten` reduces it", REFUSED, symbol))
        elif distance < CLOSE * least:
            found.append(warn("liquidation", words, remedy, symbol))
        else:
            found.append(ok("liquidation", words, symbol))
    return found


@exact
def _share(fraction: Decimal) -> str:
    return f"{plain(rounded(fraction * 100, 2))} %"


def _milliseconds(span: timedelta) -> str:
    return f"{span / timedelta(milliseconds=1):.0f} ms"
