"""The only place that wires parts together: from the configuration to a fund's desk, and to its records."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from keeper.connecting import Venues, owns_its_clock, problem, unfit, warming
from keeper.domain.errors import ConfigError, Problem, VenueRefused
from keeper.domain.run import Command, CommandKind
from keeper.funds import fund_of, source_of
from keeper.journal.database import directory_of, exists, is_read_only
from keeper.journal.lock import AccountLock
from keeper.journal.store import Mode, SqlJournal
from keeper.planning.written import WrittenPlan
from keeper.ports import Bell, Entropy, Journal, Venue
from keeper.replay import Replay, timeless, too_short
from keeper.service.books import Bookkeeper, keep_terms
from keeper.service.charge import Charge
from keeper.service.daemon import Daemon
from keeper.service.day_book import DayBook
from keeper.service.fund import Fund
from keeper.service.keeping import FundKeeper
from keeper.service.observer import Observer
from keeper.service.positions import PositionBook
from keeper.service.preflight import Preflight
from keeper.service.rebalancer import Rebalancer
from keeper.service.slots import SlotOwner
from keeper.service.steering import Helm, Pending, approved
from keeper.settings.addresses import PAPER
from keeper.settings.feeds import RecordedFeed, SyntheticFeed
from keeper.settings.fees import Dealing
from keeper.settings.keys import dotted
from keeper.settings.secrets import account_fingerprint
from keeper.settings.sources import Settings
from keeper.system import ServiceManager, SystemClock, SystemEntropy

if TYPE_CHECKING:
    from keeper.bells import Tower

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

    async def command(
        self,
        reason: str,
        kind: CommandKind = CommandKind.REBALANCE,
        *,
        approved_jump: bool = False,
        by: WrittenPlan | None = None,
    ) -> str:
        """Record the operator's request, take it, and return the trigger of the run that answers it."""
        asked = await self.ask(reason, kind, approved_jump=approved_jump, by=by)
        await self.journal.take_command(asked.id, self.venue.clock.now())
        return asked.trigger

    async def ask(
        self,
        reason: str,
        kind: CommandKind = CommandKind.REBALANCE,
        *,
        approved_jump: bool = False,
        by: WrittenPlan | None = None,
    ) -> Command:
        """Record the operator's request for whichever process holds the account. by: the written plan to be carried out."""
        now = self.venue.clock.now()
        asked = Command(
            id=f"{now:%Y%m%dT%H%M%S}-{self.entropy.token()[:4]}",
            fund=self.fund,
            kind=kind,
            reason=reason,
            at=now,
            approved_jump=approved_jump,
            rules=self.rules,
            plan=None if by is None else by.document,
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
        journal = SqlJournal.open(url, mode=mode, inline=owns_its_clock(venue_settings))
        stack.push_async_callback(journal.close)
        venue = Venues(settings).made(configured.venue)
        make = await stack.enter_async_context(_connected(settings, name, venue, journal, Replay(settings, name)))
        if acting:
            await keep_terms(journal, name, configured.fees.terms(), venue.clock.now(), SystemEntropy())
        yield Desk(name, venue, journal, make(), SystemEntropy(), settings.rules_of(name))


@asynccontextmanager
async def open_daemon(settings: Settings, names: Sequence[str], env: Mapping[str, str]) -> AsyncIterator[Daemon]:
    """The daemon of funds ``names``, each acting by itself; this process alone may trade their accounts until it is closed.

    env: of the process, for its service manager. AccountBusy when another process holds one of the accounts, ConfigError for
    a fund that only acts when asked or on a feed whose time nobody can wait for. No venue is asked yet.
    """
    from keeper.bells import Tower

    url, clock = settings.journal_url, SystemClock()
    async with AsyncExitStack() as stack:
        venues = {name: settings.venues[settings.funds[name].venue] for name in names}
        for name, venue in venues.items():
            account = account_fingerprint(settings.funds[name].venue, venue)
            stack.enter_context(AccountLock(directory_of(url), account))
        inline = any(owns_its_clock(venue, daily=True) for venue in venues.values())
        journal = SqlJournal.open(url, mode=Mode.WRITER, inline=inline)
        stack.push_async_callback(journal.close)
        tower = await stack.enter_async_context(Tower(clock))
        made = Venues(settings)
        keepers = [_keeper(settings, name, made, journal, tower) for name in names]
        yield Daemon(keepers, journal, clock, ServiceManager(env))


@asynccontextmanager
async def open_account(settings: Settings, name: str) -> AsyncIterator[Venue]:
    """A connection to the account of fund ``name``, whoever trades it: to look, and to take orders back, never to send any.

    It asks nothing of the account, so that one which is unfit to be traded can still be looked at.
    """
    async with account_of(settings, name, examined=True) as venue:
        yield venue


def account_of(settings: Settings, name: str, *, examined: bool = False) -> Venue:
    """The account of fund ``name``, not connected. examined: it may be unfit to be traded, and is not."""
    return Venues(settings).made(settings.funds[name].venue, examined=examined)


@asynccontextmanager
async def open_journal(settings: Settings, name: str, *, damaged: bool = False) -> AsyncIterator[Journal]:
    """The journal, to be read beside the account of fund ``name``; an empty one where nothing was recorded yet.

    damaged: whether what is left of it will do.
    """
    inline = owns_its_clock(settings.venues[settings.funds[name].venue])
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


async def approve(settings: Settings, name: str, wanted: Pending) -> datetime:
    """Record that a human approves of the targets of fund ``name`` that wait for one; until when that holds is returned."""
    journal = SqlJournal.open(settings.journal_url, mode=Mode.WRITER)
    try:
        lasts = settings.funds[name].target_from.approval
        return await approved(journal, name, wanted, at=SystemClock().now(), lasts=lasts)
    finally:
        await journal.close()


async def check_venues(settings: Settings) -> None:
    """Judge every venue as connecting to it would, and open those on paper, recordings included.

    No exchange is asked and nothing is written. ConfigError names whatever `plan` and `run` would refuse.
    """
    problems = [found for name, venue in settings.venues.items() if venue.exchange != PAPER for found in unfit(settings, name)]
    venues = Venues(settings)
    for name in (name for name, venue in settings.venues.items() if venue.exchange == PAPER):
        funds = {fund: its for fund, its in settings.funds.items() if its.venue == name}
        if any(its.acts_by_itself for its in funds.values()):
            problems += filter(None, [timeless(settings, name)])
        try:
            venue = venues.made(name)
            if isinstance(settings.venues[name].feed, RecordedFeed):
                async with venue:
                    problems += filter(None, [too_short(settings, fund, venue) for fund in funds])
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)


def _keeper(settings: Settings, name: str, venues: Venues, journal: Journal, tower: "Tower") -> FundKeeper:
    replay = Replay(settings, name)
    keeper = FundKeeper(_charge(settings, name, venues, journal, tower, replay))
    replay.ended = keeper.stop
    return keeper


def _charge(settings: Settings, name: str, venues: Venues, journal: Journal, tower: "Tower", replay: Replay) -> Charge:
    configured = settings.funds[name]
    schedule = configured.schedule_value()
    if schedule is None and configured.intraday.value() is None:
        remedy = f'say when: schedule = {{ at = "00:15" }}, or intraday; without either, use `keeper rebalance {name}`'
        raise ConfigError(problem(settings, ("funds", name, "schedule"), "(unset)", remedy))
    venue = venues.made(configured.venue, daily=True)
    return Charge(
        owner=SlotOwner(fund=name, schedule=schedule, venue=venue.info, currency=configured.currency),
        seed=SystemEntropy().token(),
        journal=journal,
        clock=venue.clock,
        bell=_bell(settings, name, venue, tower),
        open=lambda: _kept(settings, name, venue, journal, replay),
        warm=warming(venue),
        breakers=configured.breakers_value(),
        rules=settings.rules_of(name),
    )


def _bell(settings: Settings, name: str, venue: Venue, tower: "Tower") -> Bell:
    from keeper.bells import HEARTBEAT, ClockBell

    venue_name = settings.funds[name].venue
    feed = settings.venues[venue_name].feed
    if feed is None or not owns_its_clock(settings.venues[venue_name], daily=True):
        return tower.bell(name)
    if (lack := timeless(settings, venue_name)) is not None:
        raise ConfigError(lack)
    speed = feed.speed if isinstance(feed, SyntheticFeed | RecordedFeed) else None
    return ClockBell(venue.clock, heartbeat=HEARTBEAT * max(float(speed or 1), 1.0))


@asynccontextmanager
async def _kept(
    settings: Settings, name: str, venue: Venue, journal: Journal, replay: Replay
) -> AsyncIterator[Callable[[], Rebalancer]]:
    """A connection as a daemon has it, which knows the fees of its time."""
    async with _connected(settings, name, venue, journal, replay) as make:
        await keep_terms(journal, name, settings.funds[name].fees.terms(), venue.clock.now(), SystemEntropy())
        yield make


@asynccontextmanager
async def _connected(
    settings: Settings, name: str, venue: Venue, journal: Journal, replay: Replay
) -> AsyncIterator[Callable[[], Rebalancer]]:
    """A connection to the venue of fund ``name``, for which each call makes a fresh Rebalancer."""
    fund = fund_of(settings, name)
    async with _entered(settings, name, venue):
        replay.judge(venue)
        observer = await _observer(settings, name, venue, fund)
        preflight = Preflight(fund, venue, observer)  # looks when something is planned: to flatten waits for nothing
        helm = Helm(fund, journal, source_of(settings, name, venue.clock))
        await helm.begin()
        yield lambda: Rebalancer(helm.fund, venue, journal, observer, preflight.known, helm)


@asynccontextmanager
async def _entered(settings: Settings, name: str, venue: Venue) -> AsyncIterator[None]:
    """The venue of fund ``name``, connected. ConfigError where it lacks a market of the fund."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(venue)
        except VenueRefused as error:
            if error.code != NO_SUCH_MARKET:
                raise
            path = ("funds", name, "target")  # a feed loads its markets as it connects
            symbols = (*settings.funds[name].target, *settings.funds[name].kept_symbols())
            raise ConfigError(problem(settings, path, ", ".join(symbols), error.message)) from error
        yield


@asynccontextmanager
async def open_books(settings: Settings, name: str, *, writing: bool) -> AsyncIterator[Bookkeeper]:
    """The books of fund ``name``, beside whoever trades it. writing: whether anything is to be booked."""
    configured = settings.funds[name]
    async with AsyncExitStack() as stack:
        if writing:
            inline = owns_its_clock(settings.venues[configured.venue])
            journal: Journal = SqlJournal.open(settings.journal_url, mode=Mode.WRITER, inline=inline)
            stack.push_async_callback(journal.close)
        else:
            journal = await stack.enter_async_context(open_journal(settings, name))
        venue = Venues(settings).made(configured.venue)
        await stack.enter_async_context(_entered(settings, name, venue))
        fund = fund_of(settings, name)
        observer = await _observer(settings, name, venue, fund)
        days = DayBook(name, venue, journal, observer, PositionBook(fund, venue, journal, observer))
        follow = days.follow if writing else None
        at_rest = configured.dealing is Dealing.AT_REST
        terms = configured.fees.terms()
        yield Bookkeeper(name, journal, observer, venue.clock, terms, SystemEntropy(), follow, at_rest=at_rest)


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
