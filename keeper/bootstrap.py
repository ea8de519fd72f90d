"""The only place that wires parts together: from the configuration to a fund's desk, and to its records."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from keeper.domain.account import Account, Position
from keeper.domain.errors import ConfigError, Problem, VenueRefused
from keeper.domain.run import Command, CommandKind
from keeper.journal.database import directory_of, exists, is_read_only
from keeper.journal.lock import AccountLock
from keeper.journal.store import Mode, SqlJournal
from keeper.ports import Bell, Entropy, Environment, Journal, Venue, VenueInfo
from keeper.replay import Replay, opened, timeless, too_short
from keeper.service.daemon import Daemon
from keeper.service.fund import Fund
from keeper.service.keeping import Charge, FundKeeper
from keeper.service.observer import Observer
from keeper.service.rebalancer import Rebalancer
from keeper.service.slots import SlotOwner
from keeper.settings.addresses import PAPER
from keeper.settings.feeds import AccountSettings, CcxtFeed, Feed, FixedFeed, MarketSettings, RecordedFeed, SyntheticFeed
from keeper.settings.keys import Path, dotted
from keeper.settings.secrets import account_fingerprint, credentials_of
from keeper.settings.sections import VenueSettings
from keeper.settings.sources import Settings
from keeper.system import ServiceManager, SystemClock, SystemEntropy

if TYPE_CHECKING:
    from keeper.bells import Tower
    from keeper.venues.feeds import feed as feeds
    from keeper.venues.feeds import public
    from keeper.venues.feeds.market_spec import MarketSpec

ORDER_TTL = 5.0
NO_SUCH_MARKET, CLOSED_MARKET = "symbol", "inactive"
"""Codes of a venue's refusal of a market: it does not have it, or keeps it closed for now."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that one fund needs to plan and trade."""

    fund: str
    venue: Venue
    journal: Journal
    rebalancer: Rebalancer
    entropy: Entropy
    rules: str

    async def command(self, reason: str, kind: CommandKind = CommandKind.REBALANCE, *, approved_jump: bool = False) -> str:
        """Record the operator's request, take it, and return the trigger of the run that answers it."""
        asked = await self.ask(reason, kind, approved_jump=approved_jump)
        await self.journal.take_command(asked.id, self.venue.clock.now())
        return asked.trigger

    async def ask(self, reason: str, kind: CommandKind = CommandKind.REBALANCE, *, approved_jump: bool = False) -> Command:
        """Record the operator's request for whichever process holds the account."""
        now = self.venue.clock.now()
        asked = Command(
            id=f"{now:%Y%m%dT%H%M%S}-{self.entropy.token()[:4]}",
            fund=self.fund,
            kind=kind,
            reason=reason,
            at=now,
            approved_jump=approved_jump,
            rules=self.rules,
        )
        await self.journal.submit_command(asked)
        return asked


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
        mode = Mode.READER if not acting and is_read_only(url) else Mode.WRITER
        journal = SqlJournal.open(url, mode=mode, inline=_owns_its_clock(venue_settings))
        stack.push_async_callback(journal.close)
        venue = _venue(settings, configured.venue, account)
        make = await stack.enter_async_context(_connected(settings, name, venue, journal, Replay(settings, name)))
        yield Desk(name, venue, journal, make(), SystemEntropy(), settings.rules_of(name))


@asynccontextmanager
async def open_daemon(settings: Settings, names: Sequence[str], env: Mapping[str, str]) -> AsyncIterator[Daemon]:
    """The daemon of funds ``names``, each with a schedule; this process alone may trade their accounts until it is closed.

    env: of the process, for its service manager. AccountBusy when another process holds one of the accounts, ConfigError for
    a fund without a schedule or on a feed whose time nobody can wait for. No venue is asked yet.
    """
    from keeper.bells import Tower

    url, clock = settings.journal_url, SystemClock()
    async with AsyncExitStack() as stack:
        venues = {name: settings.venues[settings.funds[name].venue] for name in names}
        for name, venue in venues.items():
            account = account_fingerprint(settings.funds[name].venue, venue)
            stack.enter_context(AccountLock(directory_of(url), account))
        inline = any(_owns_its_clock(venue, daily=True) for venue in venues.values())
        journal = SqlJournal.open(url, mode=Mode.WRITER, inline=inline)
        stack.push_async_callback(journal.close)
        tower = await stack.enter_async_context(Tower(clock))
        keepers = [_keeper(settings, name, journal, tower) for name in names]
        yield Daemon(keepers, journal, clock, ServiceManager(env))


@asynccontextmanager
async def open_account(settings: Settings, name: str) -> AsyncIterator[Venue]:
    """A connection to the account of fund ``name``, whoever trades it: to look, and to take orders back, never to send any."""
    venue_name = settings.funds[name].venue
    async with _venue(settings, venue_name, account_fingerprint(venue_name, settings.venue(venue_name))) as venue:
        yield venue


@asynccontextmanager
async def open_journal(settings: Settings, name: str, *, damaged: bool = False) -> AsyncIterator[Journal]:
    """The journal, to be read beside the account of fund ``name``; an empty one where nothing was recorded yet.

    damaged: whether what is left of it will do.
    """
    inline = _owns_its_clock(settings.venues[settings.funds[name].venue])
    if exists(settings.journal_url):
        journal = SqlJournal.open(settings.journal_url, mode=Mode.AUDITOR if damaged else Mode.READER, inline=inline)
    else:
        journal = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
    try:
        yield journal
    finally:
        await journal.close()


async def order(settings: Settings, names: Sequence[str], kind: CommandKind, reason: str) -> str:
    """Record an operator's request to halt or resume funds, of all or none; it holds whether a process keeps them or not.

    What is doubtful about the journal comes back, in words. A halt is recorded all the same: it may be the one a daemon uses.
    """
    entropy, now = SystemEntropy(), SystemClock().now()
    asked = [Command(id=f"{now:%Y%m%dT%H%M%S}-{entropy.token()}", fund=name, kind=kind, reason=reason, at=now) for name in names]
    mode = Mode.HALTER if kind is CommandKind.HALT else Mode.WRITER
    journal = SqlJournal.open(settings.journal_url, mode=mode)
    try:
        await asyncio.gather(*(journal.submit_command(command) for command in asked))  # of one turn, so of one transaction
    finally:
        await journal.close()
    return journal.doubt


async def check_markets(settings: Settings) -> None:
    """Open every paper venue as `plan` and `run` would, recordings included; no exchange is asked and nothing is written.

    ConfigError names whatever they would refuse.
    """
    problems: list[Problem] = []
    for name in (name for name, venue in settings.venues.items() if venue.exchange == PAPER):
        funds = {fund: its for fund, its in settings.funds.items() if its.venue == name}
        if any(its.schedule is not None for its in funds.values()):
            problems += filter(None, [timeless(settings, name)])
        try:
            venue = _venue(settings, name, account_fingerprint(name, settings.venues[name]))
            if isinstance(settings.venues[name].feed, RecordedFeed):
                async with venue:
                    problems += filter(None, [too_short(settings, fund, venue) for fund in funds])
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)


def _keeper(settings: Settings, name: str, journal: Journal, tower: "Tower") -> FundKeeper:
    replay = Replay(settings, name)
    keeper = FundKeeper(_charge(settings, name, journal, tower, replay))
    replay.ended = keeper.stop
    return keeper


def _charge(settings: Settings, name: str, journal: Journal, tower: "Tower", replay: Replay) -> Charge:
    configured = settings.funds[name]
    schedule = configured.schedule_value()
    if schedule is None:
        remedy = f'say when: schedule = {{ at = "00:15" }}; without one, use `keeper rebalance {name}`'
        raise ConfigError(_problem(settings, ("funds", name, "schedule"), "(unset)", remedy))
    account = account_fingerprint(configured.venue, settings.venues[configured.venue])
    venue = _venue(settings, configured.venue, account, daily=True)
    return Charge(
        owner=SlotOwner(fund=name, schedule=schedule, venue=venue.info, currency=configured.currency),
        seed=SystemEntropy().token(),
        journal=journal,
        clock=venue.clock,
        bell=_bell(settings, name, venue, tower),
        open=lambda: _connected(settings, name, venue, journal, replay),
        breakers=configured.breakers_value(),
        rules=settings.rules_of(name),
    )


def _bell(settings: Settings, name: str, venue: Venue, tower: "Tower") -> Bell:
    from keeper.bells import HEARTBEAT, ClockBell

    venue_name = settings.funds[name].venue
    feed = settings.venues[venue_name].feed
    if feed is None or not _owns_its_clock(settings.venues[venue_name], daily=True):
        return tower.bell(name)
    if (lack := timeless(settings, venue_name)) is not None:
        raise ConfigError(lack)
    speed = feed.speed if isinstance(feed, SyntheticFeed | RecordedFeed) else None
    return ClockBell(venue.clock, heartbeat=HEARTBEAT * max(float(speed or 1), 1.0))


@asynccontextmanager
async def _connected(
    settings: Settings, name: str, venue: Venue, journal: Journal, replay: Replay
) -> AsyncIterator[Callable[[], Rebalancer]]:
    """A connection to the venue of fund ``name``, for which each call makes a fresh Rebalancer."""
    configured = settings.funds[name]
    fund = Fund(
        name=name,
        mandate=configured.mandate(),
        limits=configured.limits_value(),
        pacing=configured.pacing(),
        breakers=configured.breakers_value(),
    )
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(venue)
        except VenueRefused as error:
            if error.code != NO_SUCH_MARKET:
                raise
            path = ("funds", name, "target")  # a feed loads its markets as it connects
            problem = _problem(settings, path, ", ".join((*fund.symbols, *configured.kept_symbols())), error.message)
            raise ConfigError(problem) from error
        replay.judge(venue)
        observer = await _observer(settings, name, venue, fund)
        yield lambda: Rebalancer(fund, venue, journal, observer)


def _owns_its_clock(venue: VenueSettings, *, daily: bool = False) -> bool:
    """Whether time at the venue is made by its feed. Such a clock does not see threads, so nothing may run in one.

    daily: for a daemon, for which prices that stand still do so in real time.
    """
    fast = isinstance(venue.feed, SyntheticFeed) and venue.feed.speed is not None
    return fast or isinstance(venue.feed, RecordedFeed) or (isinstance(venue.feed, FixedFeed) and not daily)


async def _observer(settings: Settings, name: str, venue: Venue, fund: Fund) -> Observer:
    configured = settings.funds[name]
    key, symbols = "assets", configured.kept_symbols()
    try:
        await venue.markets(symbols)
        key, symbols = "target", (*fund.symbols, *symbols)
        return await Observer.on(venue, symbols, configured.currency, venue.clock, configured.own_assets())
    except VenueRefused as error:
        if error.code == CLOSED_MARKET:  # for maintenance: it opens again
            raise
        path = ("funds", name, key)
        raise ConfigError(Problem(settings.source(path), dotted(path), ", ".join(symbols), error.message)) from error


def _venue(settings: Settings, name: str, account: str, *, daily: bool = False) -> Venue:
    venue = settings.venues[name]
    if venue.exchange == PAPER:
        return _paper(settings, name, venue, account, daily=daily)
    from keeper.venues.ccxt_venue import CcxtVenue
    from keeper.venues.dialects import dialect_of

    row = dialect_of(name, venue.exchange, venue.environment)
    info = VenueInfo(
        name=name,
        exchange=venue.exchange,
        environment=venue.environment,
        account=account,
        read_lag=row.read_lag,
        order_ttl=row.order_life.total_seconds(),
        client_id_length=row.client_id_length,
    )
    return CcxtVenue(
        info,
        credentials={part: held.get_secret_value() for part, held in credentials_of(name, venue).items()},
        hosts=venue.hosts,
        clock=SystemClock(),
    )


def _paper(settings: Settings, name: str, venue: VenueSettings, account: str, *, daily: bool) -> Venue:
    from keeper.venues.feeds.recorded import RecordedFeed as RecordedMarket
    from keeper.venues.paper.matching import REFILL_HALF_LIFE
    from keeper.venues.paper.persistence import PaperStore
    from keeper.venues.paper.venue import LATENCY, PaperVenue

    feed, holdings = venue.feed, venue.account
    if feed is None or holdings is None:
        path = ("venues", name, "feed")
        raise ConfigError(Problem(settings.source(path), dotted(path), "(unset)", "a paper venue needs a feed and an account"))
    info = VenueInfo(name=name, exchange=PAPER, environment=Environment.PAPER, account=account, read_lag=0.0, order_ttl=ORDER_TTL)
    identity = feed.model_dump_json(exclude={"speed"})
    store = PaperStore(
        directory_of(settings.journal_url) / f"paper-{name}.json",
        f"{identity} {holdings.model_dump_json()}",
    )
    try:
        made = _feed(settings, name, feed, daily=daily)
    except ValueError as error:
        path = ("venues", name, "feed")
        raise ConfigError(Problem(settings.source(path), dotted(path), feed.kind, str(error))) from error
    # an answer of a real exchange is late by itself
    late = isinstance(feed, SyntheticFeed | RecordedFeed)
    return PaperVenue(
        info,
        made,
        _start(holdings, made.clock.now()),
        store=store,
        borrow=holdings.may_borrow,
        latency=LATENCY if late else timedelta(0),
        refill=made.refill if isinstance(made, RecordedMarket) else REFILL_HALF_LIFE,
        seed=feed.seed if isinstance(feed, SyntheticFeed | RecordedFeed) else 0,
    )


def _feed(settings: Settings, name: str, feed: Feed, *, daily: bool) -> "feeds.Feed":
    from keeper.venues.feeds import fixed, synthetic
    from keeper.venues.paper.clock import AcceleratedClock

    now = SystemClock().now()
    match feed:
        case FixedFeed():
            depth = None if feed.depth == "unlimited" else feed.depth
            markets = _specs(feed.markets)
            return fixed.FixedFeed(
                feed.prices,
                start=now,
                spread_bps=feed.spread_bps,
                depth=depth,
                markets=markets,
                clock=SystemClock() if daily else None,
            )
        case SyntheticFeed():
            return synthetic.SyntheticFeed(
                feed.prices,
                clock=SystemClock() if feed.speed is None else AcceleratedClock(now, float(feed.speed)),
                start=now,
                seed=feed.seed,
                volatility=feed.volatility,
                spread_bps=feed.spread_bps,
                daily_volume=feed.daily_volume,
                markets=_specs(feed.markets),
            )
        case RecordedFeed():
            return opened(settings, name, feed)
        case CcxtFeed():
            return _public(settings, name, feed)


def _specs(markets: Mapping[str, MarketSettings]) -> "dict[str, MarketSpec]":
    from keeper.venues.feeds.market_spec import MarketSpec

    return {symbol: MarketSpec(**dict(rules)) for symbol, rules in markets.items()}


def _public(settings: Settings, name: str, feed: CcxtFeed) -> "public.PublicFeed":
    """The public market of a real exchange, for what the venue's funds hold and want. ConfigError for one without a dialect."""
    from keeper.venues.feeds.public import PublicFeed
    from keeper.venues.public_data import PublicData

    data = PublicData(f"{name}.feed", feed.exchange, Environment.LIVE, hosts=feed.hosts, clock=SystemClock())
    funds = [fund for fund in settings.funds.values() if fund.venue == name]
    holdings = settings.venues[name].account
    symbols = [symbol for fund in funds for symbol in (*fund.target, *fund.kept_symbols())]
    return PublicFeed(data, tuple(dict.fromkeys((*symbols, *(holdings.positions if holdings else ())))))


def _problem(settings: Settings, path: Path, value: str, remedy: str) -> Problem:
    return Problem(settings.source(path), dotted(path), value, remedy)


def _start(holdings: AccountSettings, now: datetime) -> Account:
    positions = {
        symbol: Position(symbol=symbol, contracts=held.contracts, entry=held.entry, mark=held.entry)
        for symbol, held in holdings.positions.items()
    }
    return Account(balances=dict(holdings.balances), positions=positions, at=now)
