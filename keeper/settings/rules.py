"""The rules that need more than one section: which fund runs where, on whose account, on markets that exist.

Each rule looks at the sections that are sound by themselves, so that one bad section does not hide what is wrong elsewhere.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.market import MarketKind
from keeper.domain.numbers import BPS, exact, plain
from keeper.settings.addresses import PAPER
from keeper.settings.feeds import AccountSettings, feed_markets
from keeper.settings.keys import Path
from keeper.settings.secrets import account_fingerprint, unfit_secrets
from keeper.settings.sections import FundSettings, VenueSettings, gross
from keeper.settings.symbols import symbol_parts
from keeper.settings.values import did_you_mean


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule. path: of the key to blame; remedy: what to write instead."""

    path: Path
    remedy: str


def broken_rules(
    venues: Mapping[str, VenueSettings], funds: Mapping[str, FundSettings], named: Collection[str], *, keys: bool = True
) -> Iterator[Fault]:
    """Every rule that sound ``venues`` and ``funds`` break together; ``named``: all venues, sound or not.

    keys: whether the keys of the accounts are looked at.
    """
    for name, fund in funds.items():
        if fund.venue not in named:
            yield Fault(("funds", name, "venue"), f"no such venue: {did_you_mean(fund.venue, sorted(named))}")
        else:
            yield from _markets(name, fund, venues.get(fund.venue))
            yield from _weights(name, fund, venues.get(fund.venue))
            yield from _turnover(name, fund, venues.get(fund.venue))
    used = {fund.venue: venues[fund.venue] for fund in funds.values() if fund.venue in venues}
    unfit = {name: tuple(unfit_secrets(name, venue)) for name, venue in used.items()}
    for found in unfit.values() if keys else ():
        yield from (Fault(each.path, each.remedy) for each in found)
    yield from _shared_accounts(funds, {name: venue for name, venue in used.items() if not unfit[name]})


def _markets(name: str, fund: FundSettings, venue: VenueSettings | None) -> Iterator[Fault]:
    """On paper the markets are known before anything is opened."""
    known = feed_markets(venue.feed) if venue is not None and venue.feed is not None else None
    if known is None:
        return
    symbols, listed = known
    for symbol in fund.target:
        if symbol not in symbols:
            remedy = f"venue {fund.venue} has no such market in {listed}: {did_you_mean(symbol, list(symbols))}"
            yield Fault(("funds", name, "target", symbol), remedy)
    for symbol in fund.kept_symbols():
        if symbol not in symbols:
            remedy = f"venue {fund.venue} has no price of {symbol} in {listed}: add it, or leave the asset out"
            yield Fault(("funds", name, "assets"), remedy)


def _weights(name: str, fund: FundSettings, venue: VenueSettings | None) -> Iterator[Fault]:
    """A spot account of an exchange holds what was paid for: Keeper does not borrow there."""
    if venue is None or venue.exchange == PAPER:
        return
    spot = {symbol: weight for symbol, weight in fund.target.items() if symbol_parts(symbol).kind is MarketKind.SPOT}
    for symbol, weight in spot.items():
        if not weight >= 0:
            remedy = (
                f"weight >= 0 must hold on spot, where nothing is borrowed, but {plain(weight)} < 0: short a perpetual instead"
            )
            yield Fault(("funds", name, "target", symbol), remedy)
    total = gross(spot)
    if not total <= 1:
        remedy = f"sum of weights <= 1 must hold on spot, where nothing is borrowed, but {plain(total)} > 1: lower the target"
        yield Fault(("funds", name, "target"), remedy)


def _turnover(name: str, fund: FundSettings, venue: VenueSettings | None) -> Iterator[Fault]:
    """A day's turnover must hold the whole target, or a fund that starts from nothing could never trade.

    A paper account that starts with some of the target needs less, and how much less depends on prices: it is let through.
    """
    if venue is None or (venue.account is not None and _holds_some(venue.account, fund)):
        return
    allowed, needed = fund.limits.max_turnover_per_day, _at_limit_prices(gross(fund.target), fund.limits.max_slippage_bps)
    if not needed <= allowed:
        remedy = (
            "max_turnover_per_day >= gross target leverage x (1 + max_slippage_bps / 10000) must hold, or the fund could never"
            f" be built, but {plain(allowed)} < {plain(needed)}: raise it or lower the target"
        )
        yield Fault(("funds", name, "limits", "max_turnover_per_day"), remedy)


@exact
def _at_limit_prices(multiple: Decimal, slippage_bps: Decimal) -> Decimal:
    return multiple * (1 + slippage_bps / BPS)


def _holds_some(account: AccountSettings, fund: FundSettings) -> bool:
    bases = {symbol_parts(symbol).base for symbol in fund.target}
    return bool(account.positions) or not bases.isdisjoint(account.balances)


def _shared_accounts(funds: Mapping[str, FundSettings], venues: Mapping[str, VenueSettings]) -> Iterator[Fault]:
    """Margin and equity are shared inside an account, so only one fund can own it."""
    accounts = {name: account_fingerprint(name, venue) for name, venue in venues.items()}
    owners: dict[str, str] = {}
    for name, fund in funds.items():
        # a venue whose keys can't be read still is one account
        account = accounts.get(fund.venue, f"venue {fund.venue}")
        owner = owners.setdefault(account, name)
        if owner != name:
            on = "the same account" if funds[owner].venue == fund.venue else f"the account of venue {funds[owner].venue} too"
            yield Fault(
                ("funds", name, "venue"),
                f"this is {on}, where fund {owner} runs: give each fund an account or sub-account of its own",
            )
