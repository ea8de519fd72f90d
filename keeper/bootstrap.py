"""The only place that wires parts together: from the configuration to a fund's desk, and to its records."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from keeper.domain.account import Account, Position
from keeper.domain.errors import ConfigError, Problem, VenueRefused
from keeper.domain.run import Command, CommandKind
from keeper.journal.database import directory_of
from keeper.journal.lock import AccountLock
from keeper.journal.store import Mode, SqlJournal
from keeper.ports import Clock, Entropy, Environment, Journal, Venue, VenueInfo
from keeper.service.observer import Observer
from keeper.service.rebalancer import Fund, Rebalancer
from keeper.settings.addresses import PAPER
from keeper.settings.feeds import AccountSettings, FixedFeed, SyntheticFeed
from keeper.settings.keys import dotted
from keeper.settings.secrets import account_fingerprint, credentials_of
from keeper.settings.sections import VenueSettings
from keeper.settings.sources import Settings
from keeper.system import SystemClock, SystemEntropy

if TYPE_CHECKING:
    from keeper.venues.feeds.feed import Feed

ORDER_TTL = 5.0
READ_LAG = 0.5


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that one fund needs to plan and trade."""

    fund: str
    venue: Venue
    journal: Journal
    rebalancer: Rebalancer
    entropy: Entropy

    async def command(self, reason: str) -> str:
        """Record the operator's request, take it, and return the trigger of the run that answers it."""
        now = self.venue.clock.now()
        identity = f"{now:%Y%m%dT%H%M%S}-{self.entropy.token()[:4]}"
        await self.journal.submit_command(Command(id=identity, fund=self.fund, kind=CommandKind.REBALANCE, reason=reason, at=now))
        await self.journal.take_command(identity, now)
        return f"manual:{identity}"


@asynccontextmanager
async def open_desk(settings: Settings, name: str, *, acting: bool) -> AsyncIterator[Desk]:
    """The desk of fund ``name``; when ``acting``, this process alone may trade its account until the desk is closed.

    AccountBusy when another process holds the account, ConfigError when the venue lacks a market of the fund.
    """
    configured = settings.funds[name]
    venue_settings = settings.venues[configured.venue]
    url = settings.journal_url
    async with AsyncExitStack() as stack:
        account = account_fingerprint(configured.venue, venue_settings)
        if acting:
            stack.enter_context(AccountLock(directory_of(url), account))
        journal = SqlJournal.open(url, mode=Mode.WRITER, inline=_owns_its_clock(venue_settings))
        stack.push_async_callback(journal.close)
        venue = await stack.enter_async_context(_venue(settings, configured.venue, account))
        fund = Fund(name=name, mandate=configured.mandate(), limits=configured.limits_value(), pacing=configured.pacing())
        observer = await _observer(settings, name, venue, fund)
        yield Desk(name, venue, journal, Rebalancer(fund, venue, journal, observer), SystemEntropy())


def _owns_its_clock(venue: VenueSettings) -> bool:
    """Whether time at the venue is made by its feed. Such a clock does not see threads, so nothing may run in one."""
    return isinstance(venue.feed, FixedFeed) or (isinstance(venue.feed, SyntheticFeed) and venue.feed.speed is not None)


async def _observer(settings: Settings, name: str, venue: Venue, fund: Fund) -> Observer:
    try:
        return await Observer.on(venue, fund.symbols, settings.funds[name].currency, venue.clock)
    except VenueRefused as error:
        path = ("funds", name, "target")
        symbols = ", ".join(fund.symbols)
        raise ConfigError(Problem(settings.source(path), dotted(path), symbols, error.message)) from error


def _venue(settings: Settings, name: str, account: str) -> Venue:
    venue = settings.venues[name]
    if venue.exchange == PAPER:
        return _paper(settings, name, venue, account)
    from keeper.venues.ccxt_venue import CcxtVenue

    credentials = credentials_of(name, venue)
    info = VenueInfo(
        name=name,
        exchange=venue.exchange,
        environment=venue.environment,
        account=account,
        read_lag=READ_LAG,
        order_ttl=ORDER_TTL,
    )
    return CcxtVenue(
        info,
        api_key=credentials.api_key.get_secret_value(),
        secret=credentials.secret.get_secret_value(),
        hosts=venue.hosts,
        clock=SystemClock(),
    )


def _paper(settings: Settings, name: str, venue: VenueSettings, account: str) -> Venue:
    from keeper.venues.paper.persistence import PaperStore
    from keeper.venues.paper.venue import LATENCY, PaperVenue

    feed, holdings = venue.feed, venue.account
    if feed is None or holdings is None:
        path = ("venues", name, "feed")
        raise ConfigError(Problem(settings.source(path), dotted(path), "(unset)", "a paper venue needs a feed and an account"))
    now = SystemClock().now()
    info = VenueInfo(name=name, exchange=PAPER, environment=Environment.PAPER, account=account, read_lag=0.0, order_ttl=ORDER_TTL)
    identity = feed.model_dump_json(exclude={"speed"})
    store = PaperStore(
        directory_of(settings.journal_url) / f"paper-{name}.json",
        f"{identity} {holdings.model_dump_json()}",
    )
    instant = isinstance(feed, FixedFeed)
    try:
        market = _feed(feed, now)
    except ValueError as error:
        path = ("venues", name, "feed")
        raise ConfigError(Problem(settings.source(path), dotted(path), feed.kind, str(error))) from error
    return PaperVenue(
        info,
        market,
        _start(holdings, now),
        store=store,
        borrow=holdings.may_borrow,
        latency=timedelta(0) if instant else LATENCY,
        seed=0 if isinstance(feed, FixedFeed) else feed.seed,
    )


def _feed(feed: FixedFeed | SyntheticFeed, now: datetime) -> "Feed":
    from keeper.venues.feeds import fixed, synthetic
    from keeper.venues.feeds.market_spec import MarketSpec
    from keeper.venues.paper.clock import AcceleratedClock

    markets = {symbol: MarketSpec(**dict(rules)) for symbol, rules in feed.markets.items()}
    if isinstance(feed, FixedFeed):
        depth = None if feed.depth == "unlimited" else feed.depth
        return fixed.FixedFeed(feed.prices, start=now, spread_bps=feed.spread_bps, depth=depth, markets=markets)
    clock: Clock = SystemClock() if feed.speed is None else AcceleratedClock(now, float(feed.speed))
    return synthetic.SyntheticFeed(
        feed.prices,
        clock=clock,
        start=now,
        seed=feed.seed,
        volatility=feed.volatility,
        spread_bps=feed.spread_bps,
        daily_volume=feed.daily_volume,
        markets=markets,
    )


def _start(holdings: AccountSettings, now: datetime) -> Account:
    positions = {
        symbol: Position(symbol=symbol, contracts=held.contracts, entry=held.entry, mark=held.entry)
        for symbol, held in holdings.positions.items()
    }
    return Account(balances=dict(holdings.balances), positions=positions, at=now)
