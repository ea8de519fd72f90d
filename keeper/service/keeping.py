"""One fund in the daemon's charge: woken by its bell it asks the ledger, runs what is due, and sleeps again.

The loop is the same after a start, a ring, a command or a failure: settle what is open, look at the ledger, act. Nothing
that was read before the bell decides a size, and no ring decides that something is due.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from keeper.domain.errors import InvariantViolation, StaleData, VenueError, VenueRefused
from keeper.domain.fund import FundState
from keeper.domain.run import Command, CommandKind, Run, RunKey, Slot
from keeper.planning.plan import FLATTEN, INTRADAY
from keeper.planning.written import WrittenPlan
from keeper.policy.agenda import Agenda
from keeper.service import asked as wanted
from keeper.service.charge import Charge
from keeper.service.emergencies import LONGEST_PAUSE, again_at, trigger_at, unfinished
from keeper.service.flattening import unfinished as unfinished_flattening
from keeper.service.guard import Guard
from keeper.service.identity import lacking
from keeper.service.intraday import trigger_between
from keeper.service.link import Link
from keeper.service.progress import Unwatched
from keeper.service.rebalancer import Rebalancer
from keeper.service.slots import SlotLedger, was_asked_for, why_missed
from keeper.service.steering import lacks_targets
from keeper.service.trouble import LONGEST_REFUSED, LONGEST_RETRY, Trouble
from keeper.service.watch import Watch

WARM_UP = timedelta(seconds=90)
"""Before a slot, when markets, fees and what else a connection loads are refreshed."""
LAST_CALL = timedelta(seconds=10)
"""Before a slot, when the connections that its reads need are opened, and the clock is checked: idle ones are soon closed."""
log = structlog.get_logger()


class FundKeeper:
    """Keeps one fund until ``stop``. Its methods but ``keep`` return at once and may be called at any time."""

    def __init__(self, charge: Charge) -> None:
        self.fund = charge.owner.fund
        self.clock = charge.clock
        self._charge = charge
        self._journal = charge.journal
        self._ledger = SlotLedger(charge.owner, charge.journal)
        self._asked = wanted.Asked()
        self._working: Rebalancer | None = None
        self._why_stopping = ""
        self._link = Link(charge)
        self._trouble = Trouble(
            self.fund, charge.journal, charge.clock, Guard(self.fund, charge.breakers, charge.clock, charge.journal)
        )
        self._watch = Watch(charge.clock, charge.bell, lambda: self._working, self._cut)
        self._announced: datetime | None = None
        self._unsettled = self._doubted = False
        self._stray = ""
        self._busy: tuple[datetime, datetime] | None = None

    def ask(self, command: Command) -> None:
        """Deal with a command that this process took."""
        self._asked.add(command)
        fund = None if self._working is None else self._working.fund
        flattens = fund is not None and fund.urgent and fund.braking is None
        if command.kind is CommandKind.RESUME and flattens:
            self._cut("the flattening was called off")
        if command.kind in wanted.CUTTING and not (command.kind is CommandKind.FLATTEN and flattens):
            self._cut(f"{wanted.CUTTING[command.kind]}: {command.reason}" if command.reason else wanted.CUTTING[command.kind])
        self._charge.bell.ring()

    def stop(self, why: str) -> None:
        """End once the children in flight have a known outcome; a run in work is left incomplete."""
        self._why_stopping = self._why_stopping or why
        self._cut(why)
        self._charge.bell.ring()

    def clock_changed(self, *, back: bool) -> None:
        """Look again, since the wall clock jumped. back: what was counted from the time before counts no more."""
        if back:
            self._trouble.quiet_until = None
            self._link.doubt()
            self._watch.wake()
            self._cut("the clock was set back")
        self._charge.bell.ring()

    async def keep(self) -> None:
        """Keep the fund. JournalError when nothing can be recorded, ConfigError when it can't be traded as configured."""
        structlog.contextvars.bind_contextvars(fund=self.fund)
        watching = asyncio.create_task(self._watch.keep(), name=f"{self.fund} watch")
        try:
            await self._ledger.begin(self._charge.seed, self.clock.now())
            if self._ledger.is_behind:
                now = self.clock.now()
                await self._record_missed(await self._ledger.agenda(now), now)
                await self._ledger.follow(now)
            await self._trouble.begin()
            while not self._why_stopping:
                look_at = await self._turn()
                self._charge.bell.ring_at(min(look_at, self._watch.again_at or look_at))
                await self._charge.bell.wait()
                if watching.done():
                    await watching  # a bug that ended it is one of the fund: nobody would see an emergency any more
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._disconnect()
            for command in self._asked.left:
                await self._tell((command,), wanted.BUSY, wanted.undone(command, self._why_stopping))

    async def _turn(self) -> datetime:
        """Do what there is to do now; when to look again is returned."""
        try:
            await self._brake()
            while self._asked and not self._why_stopping:
                await self._answer(*self._asked.take())
                self._asked.done()
            return await self._follow_schedule()
        except InvariantViolation as error:
            await self._halt(error)
        except (VenueError, StaleData) as error:
            await self._disconnect()
            await self._trouble.met(error, near=self._watch.near)
        finally:
            structlog.contextvars.unbind_contextvars("run", "venue")
        return self._trouble.quiet_until or self.clock.now()

    async def _follow_schedule(self) -> datetime:
        now = self.clock.now()
        agenda = await self._ledger.agenda(now)
        await self._record_missed(agenda, now)
        if self._trouble.is_quiet(now):
            return min(self._trouble.quiet_until or now, agenda.next_at)
        self._announce(agenda.opens_at)
        self._unsettled = bool(await self._journal.open_children(self.fund))
        standing = await self._journal.standing(self.fund)
        left = await unfinished_flattening(self._journal, standing)
        if left is not None and (left.again_at is None or left.again_at <= now):
            await self._flatten_on()
            return self.clock.now()
        (stray, self._stray), warm_from = (self._stray, ""), agenda.opens_at - WARM_UP
        if agenda.slot is not None and not self._why_stopping and not standing.halted:
            # over a new connection the leverage is looked at first, however often the slot that is due fails
            if self._link.is_open or not await self._be_fresh():
                await self._run_slot(agenda.slot, agenda.ends_by)
                await self._trouble.over()
            return self.clock.now()
        if stray and left is None:
            await self._be_fresh()
            await self._work(trigger_between(self.clock.now()), None, ends_by=agenda.opens_at, asked=stray)
            return self.clock.now()
        if (not self._link.is_open or now >= warm_from or self._unsettled) and await self._be_fresh():
            return self.clock.now()  # what was settled may be due again
        last_call = agenda.opens_at - LAST_CALL
        if now >= last_call:
            await self._link.warm(agenda.opens_at)
        await self._trouble.over()
        books_at = agenda.next_at if self._link.days is None else await self._link.days.keep()
        look_at = min([agenda.next_at, books_at, *(at for at in (warm_from, last_call) if now < at)])
        look_at = min(look_at, left.again_at) if left is not None and left.again_at is not None else look_at
        return min(look_at, self.clock.now() + LONGEST_RETRY) if self._unsettled else look_at

    def _announce(self, opens_at: datetime) -> None:
        if opens_at != self._announced:
            self._announced = opens_at
            log.info("slot.next", at=opens_at.isoformat(timespec="seconds"))

    async def _may_run(self) -> bool:
        return not self._why_stopping and not (await self._journal.standing(self.fund)).halted

    async def _run_slot(self, slot: Slot, ends_by: datetime | None, *serves: Command) -> Run | None:
        await self._be_fresh()
        begun = await self._journal.run((key := RunKey(self.fund, slot.trigger)).run_id)
        begun = begun if begun is not None and begun.key == key else None
        approved = any(command.approved_jump for command in serves)
        ended = await self._work(slot.trigger, begun, approved_jump=approved, ends_by=ends_by, serves=wanted.triggers_of(serves))
        await self._ledger.read(self.clock.now())
        log.info("slot.done" if ended is not None else "slot.cut", slot=slot.trigger, status=str(ended.status) if ended else None)
        return ended

    async def _work(
        self,
        trigger: str,
        begun: Run | None,
        *,
        approved_jump: bool = False,
        by: WrittenPlan | None = None,
        ends_by: datetime | None = None,
        asked: str = "",
        serves: tuple[str, ...] = (),
    ) -> Run | None:
        """Plan and run under ``trigger``, in the row of ``begun`` where there is one; None when stopped before.

        by: a written plan that it carries out; ends_by: when the run is over at the latest, whatever its horizon; asked: why.
        """
        made = self._link.rebalancer()
        if self._doubted and not trigger.startswith(FLATTEN):
            raise lacking()
        if trigger.startswith(INTRADAY):
            made = made.between_slots(await self._journal.standing(self.fund))
        self._working = rebalancer = made.flat() if trigger.startswith(FLATTEN) else made.ending(ends_by)
        try:
            plan = await rebalancer.plan(approved_jump=approved_jump, begun=begun, by=by)
            plan = replace(plan, serves=serves) if serves else plan
            if self._why_stopping or (rebalancer.fund.urgent and not (await self._journal.standing(self.fund)).flattened):
                return None
            if begun is None:
                return await rebalancer.execute(plan, trigger, Unwatched(), asked)
            if plan.refusals and not lacks_targets(plan):
                raise VenueRefused("refused", "; ".join(refusal.message for refusal in plan.refusals))
            return await rebalancer.take_up(begun, plan, Unwatched())
        finally:
            self._rest(rebalancer)

    async def _brake(self) -> None:
        """Look at the account where that is due, and take the fund out of an emergency. It goes ahead of everything else."""
        monitor = self._link.monitor
        if monitor is None or self._why_stopping or self._trouble.is_quiet(self.clock.now()) or not self._watch.is_wanted:
            return
        begun = await unfinished(self._journal, self.fund, self.clock.now())
        reading = await monitor.look(going_on=begun is not None)
        # one that has begun is ended in its row, wherever leverage is by now
        rest_until = await self._take_out(reading.danger, begun) if reading.danger or begun is not None else None
        self._stray = reading.stray
        if reading.stray and not await self._may_run():
            self._stray, rest_until = "", self.clock.now() + LONGEST_PAUSE
        if not reading.danger and monitor.seen is not None and not self._doubted:  # nothing but a flattening is sent on a doubt
            self._guarded(await self._link.rebalancer().renew_guard(monitor.seen))
        self._watch.looked(near=reading.near, rest_until=rest_until)

    async def _take_out(self, danger: str, begun: Run | None) -> datetime | None:
        """De-lever; when to look again is returned, None where an emergency has come to its end."""
        standing = await self._journal.standing(self.fund)
        if standing.halted or self._doubted:
            log.error("emergency.halted", why=danger, halted=standing.reason)
            return self.clock.now() + LONGEST_PAUSE
        await self._settle(goes_on=False)
        run = await self._delever(danger, begun)
        await self._ledger.read(self.clock.now())  # a slot that was cut is over: only the next one may lever up again
        return self.clock.now() + LONGEST_PAUSE if run is None else again_at(run)

    async def _delever(self, danger: str, begun: Run | None) -> Run | None:
        """A run that ends an emergency, in the row of ``begun`` where it goes on; None where nothing can be done."""
        self._working = rebalancer = self._link.rebalancer().braked(going_on=begun is not None)
        try:
            plan = await rebalancer.plan(begun=begun)
            if self._why_stopping:
                return None
            if begun is not None and not plan.refusals:
                return await rebalancer.take_up(begun, plan, Unwatched())
            if begun is None and plan.legs:
                return await rebalancer.execute(plan, trigger_at(self.clock.now()), Unwatched(), danger)
            log.error("emergency.stuck", why=danger, plan=plan.reason, refusals=[one.message for one in plan.refusals])
            return None
        finally:
            self._rest(rebalancer)

    def _rest(self, worked: Rebalancer) -> None:
        self._working = None
        if self._link.days is not None:
            self._link.days.ran()
        if worked.latest is not None and self._link.monitor is not None:
            self._link.monitor.saw(worked.latest)
        if worked.guarded is not None:
            self._guarded(*worked.guarded)

    def _guarded(self, again: timedelta | None) -> None:
        """Try again where old stops may rest beside new ones, or none at all."""
        self._watch.look_by(None if again is None else self.clock.now() + again)

    async def _answer(self, command: Command, *others: Command) -> None:
        """Do what a command, and ``others`` with it, asks and say what came of it. A run's own row tells how it went."""
        if command.kind not in wanted.WORK:
            if command.kind is CommandKind.RESUME:
                self._trouble.quiet_until = None
                self._link.doubt()  # why it was halted may still hold
                self._watch.wake()
                self._watch.look_by(self.clock.now() + timedelta(seconds=1))  # nobody renewed stops meanwhile
                await self._ledger.go_on(self.clock.now())
            await self._journal.end_command(command.id, at=self.clock.now(), exit_code=0)
            return
        if (unfit := wanted.unfitness(command, self._charge.rules)) is not None:
            await self._tell((command, *others), *unfit)
            return
        began = self.clock.now()
        try:
            await self._be_fresh()
            run = await self._run_asked(command, others)
        except (VenueError, StaleData, InvariantViolation) as error:
            self._asked.done()
            await self._tell((command, *others), error.exit_code, wanted.failure(command, error))
            raise
        self._busy = began, self.clock.now()
        for one in (command, *others):
            await self._tell((one,), *wanted.outcome(run, one))

    async def _run_asked(self, command: Command, others: Sequence[Command]) -> Run | None:
        """One run that does what ``command`` and ``others`` ask: that of a slot which is due and not begun, where one is."""
        agenda = await self._ledger.agenda(now := self.clock.now())
        is_free = not self._trouble.is_quiet(now) and await self._may_run() and not self._ledger.is_begun(agenda.slot)
        if agenda.slot is not None and wanted.is_plain(command) and is_free:
            await self._record_missed(agenda, now)
            return await self._run_slot(agenda.slot, agenda.ends_by, command, *others)
        begun = await self._journal.run(RunKey(self.fund, command.trigger).run_id)  # a flattening is begun as soon as it is seen
        if begun is not None and not begun.status.may_go_on:
            return begun
        approved, by = any(one.approved_jump for one in (command, *others)), wanted.written_in(command)
        return await self._work(command.trigger, begun, approved_jump=approved, by=by, serves=wanted.triggers_of(others))

    async def _tell(self, commands: Sequence[Command], code: int | None, answer: str) -> None:
        for command in commands:
            await self._journal.end_command(command.id, at=self.clock.now(), exit_code=code, answer=answer)

    async def _be_fresh(self) -> bool:
        """Have a connection whose markets, fees and clock were loaded lately, and nothing left open; whether it is new."""
        if self._link.is_fresh:
            await self._settle()
            return False
        await self._disconnect()
        await self._link.open()
        # a journal that is not the one that was traded by must not go on with what it thinks was cut
        self._doubted = not await self._link.rebalancer().verify()
        if self._doubted and not (await self._journal.standing(self.fund)).flattened:
            raise lacking()  # whatever a human says of the fund meanwhile
        self._watch.connect(self._link.staff())
        await self._settle()
        await self._ledger.read(self._link.loaded())
        return True

    async def _settle(self, *, goes_on: bool = True) -> None:
        """Close the run that another process left behind, and settle children without a known outcome.

        goes_on: whether what a human asked for goes on then.
        """
        left = await self._journal.unended_runs(self.fund)
        open_before = await self._journal.open_children(self.fund)
        if not left and not open_before:
            self._unsettled = False
            return
        self._working = rebalancer = self._link.rebalancer()
        try:
            self._unsettled = bool(await rebalancer.recover())
        finally:
            self._working = None
        if left:
            await self._ledger.go_on(self.clock.now())
        for run_id in sorted({run.id for run in left} | {child.run for child in open_before}) if goes_on else ():
            await self._go_on(run_id)

    async def _go_on(self, run_id: str) -> None:
        """Take up a run that a human asked for, and that a crash or an unknown outcome cut, while its time lasts.

        What was asked for since goes first.
        """
        run = await self._journal.run(run_id)
        if run is None or not was_asked_for(run) or self._asked.left:
            return
        standing = await self._journal.standing(self.fund)
        if standing.flattened or standing.halted or self._why_stopping or not run.status.may_go_on or self._unsettled:
            return
        if self.clock.now() < run.deadline:
            await self._work(run.key.trigger, run)

    async def _flatten_on(self) -> None:
        """Go on with a flattening that has not come to its end, or could not begin, however late it is."""
        await self._be_fresh()
        if (left := await unfinished_flattening(self._journal, await self._journal.standing(self.fund))) is not None:
            await self._work(left.asked.trigger, left.run)
            asked = await self._journal.find_command(left.asked.id)
            if asked is not None and asked.taken_at is not None and asked.ended_at is None:  # by a process that is gone
                await self._journal.end_command(asked.id, at=self.clock.now())
        await self._trouble.over()

    async def _disconnect(self) -> None:
        await self._watch.disconnect()
        await self._link.close()

    def _cut(self, why: str) -> None:
        if self._working is not None:
            self._working.stop(why)

    async def _record_missed(self, agenda: Agenda, now: datetime) -> None:
        for missed in agenda.missed:
            standing, closes = await self._journal.standing(self.fund), self._ledger.window_of(missed)[1]
            why = why_missed(standing, self._busy, missed.slot.at, closes)
            why = why or self._trouble.before(closes) or "Keeper did not run, or slept, while its window was open"
            await self._ledger.record_missed(missed, why, now)
        if agenda.missed:
            await self._ledger.read(now)

    async def _halt(self, error: InvariantViolation) -> None:
        """Our own bug: nothing more is sent until a human has looked."""
        log.error("fund.halted", error=str(error))
        await self._disconnect()
        self._trouble.quiet_for(LONGEST_REFUSED)
        if not (await self._journal.standing(self.fund)).halted:
            await self._journal.set_state(self.fund, FundState.HALTED, reason=str(error), at=self.clock.now())
