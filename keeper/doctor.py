"""Wires what is looked at before a fund trades: its account through a connection that trades nothing, and this machine."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from keeper.bootstrap import account_of
from keeper.domain.errors import JournalError, StaleData, VenueError, VenueRefused
from keeper.funds import fund_of
from keeper.inspectable import Inspectable
from keeper.journal.database import describe, directory_of, exists
from keeper.journal.lock import AccountLock, is_held
from keeper.journal.store import Mode, SqlJournal
from keeper.ports import Venue
from keeper.service import fixing, preflight
from keeper.service.documents import Document
from keeper.service.examination import Pins, examine, unreached
from keeper.service.findings import Facts, Finding
from keeper.service.premises import Premises
from keeper.settings.sources import Settings

Agree = Callable[["Checkup"], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """What was found out about one fund, and the settings that would suit it better."""

    facts: Facts
    findings: tuple[Finding, ...]
    changes: tuple[fixing.Change, ...]

    @property
    def exit_code(self) -> int:
        """What `doctor` ends with for this fund."""
        return preflight.exit_code(self.findings)

    def document(self, made: Sequence[fixing.Change] = ()) -> Document:
        """As `doctor` prints it. made: settings that were changed before."""
        changes = [change.document(made=True) for change in made] + [change.document(made=False) for change in self.changes]
        return preflight.document(self.facts, self.findings, changes)


async def check_up(settings: Settings, name: str) -> Checkup:
    """Look at fund ``name`` and change nothing. ConfigError for what the configuration alone tells to be wrong."""
    venue = account_of(settings, name, examined=True)
    told, pins = await _premises(settings, name, venue)
    try:
        async with venue:
            return await _looked(settings, name, venue, told, pins)
    except (VenueError, StaleData) as error:
        facts = unreached(fund_of(settings, name), venue.info, venue.clock.now(), error, inspected=isinstance(venue, Inspectable))
        return Checkup(facts=facts, findings=preflight.examined(facts, told), changes=())


async def fix(settings: Settings, name: str, agree: Agree) -> tuple[Checkup, tuple[fixing.Change, ...]]:
    """Look at fund ``name``, change its account's settings if ``agree`` says so to what was found, and look again.

    What is found in the end, and what was changed. AccountBusy while a process holds the account, VenueError and StaleData
    as ``fixing.make`` has them.
    """
    before = await check_up(settings, name)
    if not before.changes or not agree(before):
        return before, ()
    async with _alone(settings, name) as (venue, journal):
        if not isinstance(venue, Inspectable):
            raise VenueRefused("by_hand", f"nothing can be set on {venue.info.exchange}")
        await fixing.make(venue, venue, journal, name, before.changes)
    return await check_up(settings, name), before.changes


@asynccontextmanager
async def _alone(settings: Settings, name: str) -> AsyncIterator[tuple[Venue, SqlJournal]]:
    """The account, which no other process trades meanwhile, and the journal to write to."""
    venue, url = account_of(settings, name, examined=True), settings.journal_url
    async with AsyncExitStack() as stack:
        stack.enter_context(AccountLock(directory_of(url), venue.info.account))
        journal = SqlJournal.open(url, mode=Mode.WRITER)
        stack.push_async_callback(journal.close)
        yield await stack.enter_async_context(venue), journal


async def _looked(settings: Settings, name: str, venue: Venue, told: Premises, pins: Pins) -> Checkup:
    configured = settings.funds[name]
    symbols = (*configured.target, *configured.kept_symbols())
    facts = await examine(fund_of(settings, name), venue, symbols, configured.currency, configured.own_assets(), pins)
    return Checkup(facts=facts, findings=preflight.examined(facts, told), changes=fixing.changes(facts))


async def _premises(settings: Settings, name: str, venue: Venue) -> tuple[Premises, Pins]:
    url = settings.journal_url
    directory = directory_of(url)
    there = next(place for place in (directory, *directory.absolute().parents) if place.is_dir())
    fault, begun, broken = "", False, 0
    pins: Pins = {}
    try:
        begun = exists(url)
        if begun:
            broken, pins = await _read(url, venue.info.account)
        elif not os.access(there, os.W_OK | os.X_OK):
            fault = f"{describe(url)}: nothing may be written to {there}"
        held = is_held(directory, venue.info.account)
    except JournalError as error:
        fault, held = str(error), False
    return Premises(
        journal=describe(url),
        begun=begun,
        fault=fault,
        broken=broken,
        free=shutil.disk_usage(there).free,
        held=held,
        schedule=settings.funds[name].schedule_value(),
        strays=settings.funds[name].intraday.value() is not None,
    ), pins


async def _read(url: str, account: str) -> tuple[int, Pins]:
    """How many places of the chain are broken, and what is on record of the account's markets."""
    journal = SqlJournal.open(url, mode=Mode.READER)
    try:
        return len(await journal.verify()), await journal.pins(account)
    finally:
        await journal.close()
