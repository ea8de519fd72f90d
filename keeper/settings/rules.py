"""The rules that need more than one section: which fund runs where, on whose account, on markets that exist.

Each rule looks at the sections that are sound by themselves, so that one bad section does not hide what is wrong elsewhere.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from keeper.settings.keys import Path
from keeper.settings.secrets import account_fingerprint, unfit_secrets
from keeper.settings.sections import FundSettings, VenueSettings
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
    used = {fund.venue: venues[fund.venue] for fund in funds.values() if fund.venue in venues}
    unfit = {name: tuple(unfit_secrets(name, venue)) for name, venue in used.items()}
    for found in unfit.values() if keys else ():
        yield from (Fault(each.path, each.remedy) for each in found)
    yield from _shared_accounts(funds, {name: venue for name, venue in used.items() if not unfit[name]})


def _markets(name: str, fund: FundSettings, venue: VenueSettings | None) -> Iterator[Fault]:
    """On paper the markets are known before anything is opened."""
    if venue is None or venue.feed is None:
        return
    prices = venue.feed.prices
    for symbol in fund.target:
        if symbol not in prices:
            remedy = f"venue {fund.venue} has no such market in feed.prices: {did_you_mean(symbol, list(prices))}"
            yield Fault(("funds", name, "target", symbol), remedy)


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
