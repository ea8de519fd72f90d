"""The daemon: one task for each fund, and one that takes the operators' commands. It knows when to end, and nothing of trading.

A fund that fails ends alone; without a journal nothing goes on.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from keeper.domain.errors import JournalError, KeeperError
from keeper.domain.fund import FundState
from keeper.domain.run import Command, CommandKind
from keeper.ports import Clock, Journal, Supervisor
from keeper.service.asked import BUSY, WORK
from keeper.service.keeping import FundKeeper

POLL = timedelta(seconds=1)
JUMP = timedelta(seconds=10)
"""By how much longer than asked for a nap must have been to say that the clock, or the machine, skipped some time."""
TOO_LATE = "the process that held the account ended before it took this: ask again"
log = structlog.get_logger()


class Daemon:
    """Keeps several funds until ``stop``. clock: the operators' own; poll: how often their commands are looked for."""

    def __init__(
        self, keepers: Sequence[FundKeeper], journal: Journal, clock: Clock, supervisor: Supervisor, *, poll: timedelta = POLL
    ) -> None:
        self._keepers = {keeper.fund: keeper for keeper in keepers}
        self._journal = journal
        self._clock = clock
        self._supervisor = supervisor
        self._poll = poll
        self._tasks: dict[asyncio.Task[None], FundKeeper] = {}

    def stop(self, why: str) -> None:
        """End once every child in flight has a known outcome."""
        log.info("daemon.stopping", why=why)
        self._supervisor.stopping()
        for keeper in self._keepers.values():
            keeper.stop(why)

    async def run(self) -> None:
        """Keep every fund until all have ended.

        Raises the error of the first fund that failed if none is left to keep, and JournalError as soon as there is one.
        """
        await self._dismiss_old_commands()
        self._tasks = {asyncio.create_task(keeper.keep(), name=name): keeper for name, keeper in self._keepers.items()}
        watches = [asyncio.create_task(self._watch())]
        if (interval := self._supervisor.interval) is not None:
            watches.append(asyncio.create_task(self._report(interval)))
        self._supervisor.ready()
        log.info("daemon.ready", funds=sorted(self._keepers))
        try:
            await self._until_over(watches)
        finally:
            everything = [*self._tasks, *watches]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _until_over(self, watches: Sequence[asyncio.Task[None]]) -> None:
        left: set[asyncio.Task[None]] = set(self._tasks)
        failures: list[BaseException] = []
        stopped = 0
        while left:
            done, _ = await asyncio.wait({*left, *watches}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                left.discard(task)
                error = task.exception()
                if error is None:
                    stopped += 1
                    continue
                if isinstance(error, JournalError) or task in watches:
                    raise error
                failures.append(error)
                await self._give_up(task.get_name(), error)
        if failures and not stopped:
            raise failures[0]

    async def _give_up(self, fund: str, error: BaseException) -> None:
        """Say of a fund that failed that it is kept no more; after a bug nothing may be sent for it until a human has looked."""
        bug = None if isinstance(error, KeeperError) else error
        log.error("fund.failed", fund=fund, error=str(error) or repr(error), exc_info=bug)
        why, at = f"kept no more, start `keeper run` again: {str(error) or repr(error)}", self._clock.now()
        if bug is not None:
            await self._journal.set_state(fund, FundState.HALTED, reason=f"it failed in a way nobody foresaw: {bug!r}", at=at)
        await self._journal.set_trouble(fund, why, at=at)

    async def _watch(self) -> None:
        """Take the commands for these funds, and notice when the clock jumps."""
        while True:
            before = self._clock.now()
            await self._clock.sleep_until(before + self._poll)
            self._notice_jump(before)
            for command in await self._journal.waiting_commands():
                if command.fund in self._keepers and await self._journal.take_command(command.id, self._clock.now()):
                    await self._hand_over(command)

    async def _hand_over(self, command: Command) -> None:
        keeper = self._keepers[command.fund]
        if any(kept is keeper and task.done() for task, kept in self._tasks.items()):
            why = f"{command.fund} failed earlier and is kept no more: see the log, then start `keeper run` again"
            await self._journal.end_command(command.id, at=self._clock.now(), exit_code=BUSY, answer=why)
            return
        log.info("command.taken", fund=command.fund, command=command.id, kind=str(command.kind), reason=command.reason)
        keeper.ask(command)

    def _notice_jump(self, before: datetime) -> None:
        elapsed = self._clock.now() - before
        back = elapsed < timedelta(0)
        if not back and elapsed < self._poll + JUMP:
            return
        log.warning("clock.jumped", seconds=(elapsed - self._poll).total_seconds())
        for keeper in self._keepers.values():
            keeper.clock_changed(back=back and keeper.clock == self._clock)

    async def _report(self, interval: timedelta) -> None:
        """Tell the supervisor that the event loop turns."""
        while True:
            self._supervisor.alive()
            await self._clock.sleep_until(self._clock.now() + interval)

    async def _dismiss_old_commands(self) -> None:
        """What was asked of a process that is gone is not done behind the operator's back, but for the brake."""
        for command in await self._journal.waiting_commands():
            if command.fund not in self._keepers or not await self._journal.take_command(command.id, self._clock.now()):
                continue
            if command.kind is CommandKind.FLATTEN and (await self._journal.standing(command.fund)).flattened:
                await self._hand_over(command)
                continue
            late = command.kind in WORK
            at, code, answer = self._clock.now(), BUSY if late else 0, TOO_LATE if late else ""
            await self._journal.end_command(command.id, at=at, exit_code=code, answer=answer)
