"""The operator of a simulated world: commands, `keeper kill`, `keeper reconcile --accept`, and a journal put back.

What they do is done by the service's own parts, over a connection of their own, beside the daemon or while it is stopped.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.run import Command, CommandKind
from keeper.ports import Clock, Venue
from keeper.service.killing import cancel_all
from keeper.service.observer import Observer
from keeper.service.rebalancer import Rebalancer
from keeper.service.reconciliation import accept, reconcile
from tests.simulation.faults import Happening
from tests.simulation.process import OWNER

if TYPE_CHECKING:
    from tests.simulation.world import World

LONG_ENOUGH = timedelta(minutes=15)
"""For a fund to be flat after it was asked to be: longer than any horizon here, and than what follows a run."""
LIFTING = (CommandKind.RESUME, CommandKind.FLATTEN)
"""What ends a halt, by a human's word."""
AGAIN = timedelta(minutes=5)
ATTEMPTS = 20


class Operator:
    """Asks for things as seeds and habit have it."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._commands = 0
        self._desk = asyncio.Lock()

    def command(self, kind: CommandKind) -> None:
        """Ask for something, without waiting for what comes of it."""
        self._at_once(self.submit(kind), f"operator {kind}")

    async def submit(self, kind: CommandKind) -> None:
        """Ask for something; what it does to the fund's state is done when this returns."""
        world = self.world
        self._commands += 1
        identity = f"op{self._commands}"
        world.trace.add("operator", str(kind), identity)
        if kind in LIFTING:
            world.judge.resumed += 1
        at = world.now() + world.machine
        await world.disk.journal().submit_command(Command(id=identity, fund=world.rules.fund, kind=kind, reason="by hand", at=at))
        world.judge.look()
        for process in world.holders if world.scenario.nudged else ():
            process.nudge()

    def cancels_all(self) -> None:
        """Do what `keeper kill` does."""
        self._at_once(self._cancel_all(), "operator kill")

    def puts_back(self, backup: bytes) -> None:
        """Kill what runs, have the journal be an old one, and see to it later."""
        world = self.world
        for process in list(world.holders):
            process.kill("for its journal to be put back")
        world.not_before = world.now() + 2 * world.rules.order_ttl
        world.judge.about_to_put_back()
        world.disk.put_back(backup)
        world.judge.put_back()
        hasty = world.rng.random() < 1 / 4
        self._at_once(self._sees_to_it(world.rng.choice((600.0, 7200.0)), hasty=hasty), "operator reconcile")

    async def looks_after_it(self) -> None:
        """Once the faults have ended: flatten where that is what they do, then have the fund trade again."""
        world, kinds = self.world, self.world.faults.happenings
        if Happening.FLATTEN in kinds and not world.judge.lost:
            while not world.holders or any(process.is_paused for process in world.holders):
                await self._pause(AGAIN)
            if Happening.ADL in kinds:
                world.fate.deleverages(next(iter(world.rules.mandate.targets)))
            for attempt in range(ATTEMPTS):  # one run need not find a book that is deep enough
                await self.submit(CommandKind.FLATTEN)
                await self._pause(LONG_ENOUGH)
                if world.judge.is_flat:
                    break
                if attempt == ATTEMPTS // 2 and not world.judge.all_is_told:
                    await self._accept()  # what came or went just like our own fills only a human can tell
            world.judge.must_be_flat()
        if world.judge.lost:
            await self._reconciled()
        else:
            await self._accept()
        await self.submit(CommandKind.RESUME)

    async def _accept(self) -> None:
        """The end of what `keeper reconcile --accept` does: the position is as it is, whatever moved it."""
        world = self.world
        held = {symbol: world.exchange.held(symbol) for symbol in world.rules.mandate.targets}
        journal = world.disk.journal()
        if await journal.settled(world.rules.fund, world.info.account):
            world.trace.add("operator", "accepts", str(held))
            at = world.now() + world.machine
            await journal.record_settled(world.rules.fund, "", held, at=at, account=world.info.account)

    async def _sees_to_it(self, after: float, *, hasty: bool) -> None:
        """Notice that the fund stands still. hasty: try first whether it goes on without being looked at."""
        await self._pause(timedelta(seconds=after))
        if hasty:
            await self.submit(CommandKind.RESUME)
            await self._pause(timedelta(minutes=20))
        await self._reconciled()
        if not self.world.faults.ended:
            await self.submit(CommandKind.RESUME)

    async def _reconciled(self) -> None:
        """What `keeper reconcile --accept` does, with the daemon stopped; again until it went well."""
        world = self.world
        async with self._desk:
            world.reserved = True
            while world.holders:
                for process in world.holders:
                    if process.daemon is not None:
                        process.daemon.stop("the operator wants the account")
                await asyncio.shield(world.freed)
            try:
                tried = 0
                while tried < ATTEMPTS:
                    if await self._reconcile():
                        return
                    tried += world.faults.ended  # until then no answer is owed to anybody
                    await self._pause(AGAIN)
                world.judge.violated("I5", f"the books could not be reconciled in {ATTEMPTS} attempts")
            finally:
                world.reserved = False
                world.free()

    async def _reconcile(self) -> bool:
        world = self.world
        journal, fund, symbols = world.disk.journal(), world.rules.fund, world.fund.symbols
        try:
            async with world.wire(cast("Clock", world.wall)) as wire:
                venue = cast("Venue", wire)
                observer = await Observer.on(venue, symbols, None, venue.clock)
                await Rebalancer(world.fund, venue, journal, observer).recover()
                found = await reconcile(venue, journal, fund, symbols, world.start)
                if any(contracts != world.exchange.held(symbol) for symbol, contracts in found.held.items()):
                    world.trace.add("operator", "sees other positions on the exchange's site", str(found.held))
                    return False  # whoever accepts what is read late has it all traded once more
                await accept(venue, journal, fund, found, "by hand")
        except (VenueError, StaleData) as error:
            world.trace.add("operator", "could not reconcile", str(error))
            return False
        world.trace.add("operator", "accepts", f"{len(found.missing)} orders that the journal lacks, {found.held}")
        world.judge.accepted()
        return True

    async def _cancel_all(self) -> None:
        world = self.world
        await self.submit(CommandKind.HALT)
        journal = world.disk.journal()
        try:
            async with world.wire(cast("Clock", world.wall)) as wire:
                orders, trouble = await cancel_all(cast("Venue", wire), lambda: journal.open_children(world.rules.fund))
        except (VenueError, StaleData) as error:
            orders, trouble = (), str(error)
        clear = not trouble and all(order.state.terminal for order in orders)
        names = ", ".join(f"{order.client_id} {order.state}" for order in orders)
        world.trace.add("operator", "is told that all is clear" if clear else "is told of trouble", trouble or names)
        if clear:
            world.judge.all_clear()

    async def _pause(self, span: timedelta) -> None:
        await self.world.until(self.world.now() + span)

    def _at_once(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begin to do something by hand: it ends with no process."""
        context = copy_context()
        context.run(OWNER.set, None)
        self.world.loop.create_task(work, name=name, context=context)
