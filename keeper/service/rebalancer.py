"""One fund, brought to its mandate: plan, execute, account. The way every run goes, whoever asked for it.

Decisions are made by the pure parts; this module only carries observations to them and their proposals to the sender.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.errors import InvariantViolation, StaleData, VenueError, VenueRefused
from keeper.domain.fund import FundState, Standing, Worth
from keeper.domain.numbers import plain
from keeper.domain.observation import Observation, holdings
from keeper.domain.order import Child
from keeper.domain.run import NavCause, Run, RunStatus
from keeper.execution import engine
from keeper.planning.belief import believed
from keeper.planning.gate import BOUND, Refused
from keeper.planning.plan import Plan, goals_begun
from keeper.planning.written import Who, WrittenPlan, written
from keeper.policy.breakers import Cause
from keeper.policy.emergency import PATIENCE
from keeper.ports import Clock, Journal, Venue
from keeper.service.briefing import Preflight, brief_of, nothing_known, planned
from keeper.service.carrying import carry_of
from keeper.service.course import Course
from keeper.service.day_book import DayBook
from keeper.service.dead_man import DeadMan
from keeper.service.emergencies import refuse_overtaken
from keeper.service.fund import Fund
from keeper.service.guard import Guard
from keeper.service.identity import is_whole, pinned
from keeper.service.monitor import Monitor
from keeper.service.observer import Observer
from keeper.service.positions import PositionBook
from keeper.service.progress import Progress, leg_progress
from keeper.service.recovery import recover
from keeper.service.resident_guard import ResidentGuard
from keeper.service.results import amended
from keeper.service.run_book import RunBook, carried_on
from keeper.service.sender import Sender, Sent
from keeper.service.steering import Bearing, Helm
from keeper.service.waiting import Waiting

SHOWN = 5
log = structlog.get_logger()


class Rebalancer:
    """Plans and runs one fund. ``stop`` ends a run in work after the children in flight have their outcome.

    latest: the account and its markets as they were last read.
    """

    def __init__(
        self,
        fund: Fund,
        venue: Venue,
        journal: Journal,
        observer: Observer,
        preflight: Preflight = nothing_known,
        helm: Helm | None = None,
    ) -> None:
        self.fund = fund
        self._helm = helm or Helm(fund, journal)
        self._bearing = Bearing(fund=fund)
        self._venue = venue
        self._journal = journal
        self._clock: Clock = venue.clock
        self._observer = observer
        self._preflight = preflight
        self._sender = Sender(venue, journal, venue.clock, fund.limits, urgent=fund.urgent)
        self._runs = RunBook(fund.name, venue, journal, observer)
        self._positions = PositionBook(fund, venue, journal, observer)
        self._guard = Guard(fund.name, fund.breakers, venue.clock, journal, urgent=fund.urgent)
        self._resident = ResidentGuard(self._helm, venue, journal, observer, self._positions)
        self._dead_man = DeadMan(venue, fund.symbols, wanted=not (fund.resident_guard is not False and venue.info.stops))
        self._waiting = Waiting(fund.name, venue.clock)
        self._why_stopped = ""
        self._planned: tuple[Plan, Observation] | None = None
        self._after: Observation | None = None
        self.guarded: tuple[timedelta | None] | None = None
        """After how long to look at the stops again, as ``renew_guard`` says; None where its run left them alone."""
        self.latest: Observation | None = None

    def flat(self) -> "Rebalancer":
        """One that brings the same fund to no exposure at all."""
        return Rebalancer(self.fund.flat, self._venue, self._journal, self._observer.partial)

    def ending(self, at: datetime | None) -> "Rebalancer":
        """One whose runs are over by ``at`` (aware), whatever their horizon."""
        return Rebalancer(self.fund.ending(at), self._venue, self._journal, self._observer, self._preflight, self._helm)

    def between_slots(self, standing: Standing) -> "Rebalancer":
        """One whose runs go as far as the mandate has it between slots, and at once where the fund lost a leg of a hedge."""
        fund = self.fund.between_slots(at_once=standing.cause == Cause.FORCED_HEDGE)
        return Rebalancer(fund, self._venue, self._journal, self._observer, self._preflight)

    def braked(self, *, going_on: bool) -> "Rebalancer":
        """One that takes the same fund out of an emergency, which has begun before where it goes on, and does nothing else."""
        return Rebalancer(self.fund.braked(going_on=going_on), self._venue, self._journal, self._observer.partial)

    def monitor(self) -> Monitor:
        """What watches the same fund over the same connection."""
        return Monitor(self._helm, self._venue, self._journal, self._observer, self._positions, self._guard)

    def day_book(self, monitor: Monitor) -> DayBook:
        """What keeps the same fund's days over the same connection. monitor: hears of flows, where they make the fund act."""
        rule = self.fund.intraday
        on_flow = monitor.flowed if rule is not None and rule.flow is not None else None
        return DayBook(self.fund.name, self._venue, self._journal, self._observer, self._positions, on_flow=on_flow)

    async def carry(self) -> dict[str, object] | None:
        """What holding what the last plan was made on costs; None where none was made."""
        return None if self._planned is None else await carry_of(self._venue, self._planned[1])

    def stop(self, why: str) -> None:
        """Send nothing more; the run ends as incomplete."""
        self._why_stopped = why
        self._waiting.end()

    async def recover(self) -> tuple[Child, ...]:
        """Settle what an earlier process left open; the children that stay unknown are returned.

        Runs that were cut are closed, and runs of which more came to be known get their result anew.
        """
        open_before = await self._journal.open_children(self.fund.name)
        unsettled = await recover(self._venue, self._journal, self.fund.name, self._positions.agrees, self._guard.trip)
        for run in await self._journal.unended_runs(self.fund.name):
            await self._runs.close(run, RunStatus.INCOMPLETE, "the process ended before the run did", await self._runs.prices())
        await self.amend({child.run for child in open_before} - {child.run for child in unsettled})
        return unsettled

    async def amend(self, run_ids: Collection[str]) -> None:
        """Make the results of ended runs anew, once more of them came to be known."""
        for run_id in sorted(run_ids):
            cut = await self._journal.run(run_id)
            if cut is not None and cut.result is not None:
                result = amended(cut.result, await self._runs.result(cut, await self._runs.prices()))
                await self._journal.amend_run(run_id, result=result, at=self._clock.now())

    async def verify(self) -> bool:
        """Whether the journal has every order of ours that the venue tells of; as ``is_whole`` says."""
        return await is_whole(self.fund, self._venue, self._journal, self._positions, self._guard)

    async def plan(self, *, approved_jump: bool = False, begun: Run | None = None, by: WrittenPlan | None = None) -> Plan:
        """What a run would do now. VenueError or StaleData when the account or a market can't be read.

        approved_jump: a human wants targets that are far from those of the run before; begun: the run that would go on;
        by: the written plan to be carried out, or refused, in place of a new one.
        """
        bearing = await self._helm.bearing(self.fund, self._clock.now(), approved=approved_jump, by=by)
        now = self._clock.now()
        reading = asyncio.ensure_future(self._observer.observe(with_stats=True))
        try:  # what the journal has is read while the venue's answers are on their way
            known, info = await self._preflight(), self._venue.info
            known = replace(known, blocked=(*known.blocked, *bearing.refusals))
            brief = await brief_of(bearing.fund, info, self._journal, now, approved_jump=bearing.approved, known=known)
            brief = replace(brief, begun=goals_begun(begun), written=by, mute=self._observer.mute_for(PATIENCE))
            observation = await self._seen(await reading)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)  # what it raised was raised above, or is not wanted any more
        plan = planned(brief, observation, known.blocked)
        plan = replace(plan, notes=(*bearing.notes, *plan.notes))
        self._planned, self._bearing = (plan, observation), bearing
        return plan

    def written(self, tolerance_bps: Decimal) -> dict[str, object]:
        """The document of the plan that was made last. InvariantViolation where none was.

        tolerance_bps: how far prices, and the account's worth at them, may move until it is carried out.
        """
        if self._planned is None:
            raise InvariantViolation("a plan is written once it is made")
        who = Who(fund=self.fund.name, account=self._venue.info.account, rules=self.fund.rules)
        plan, observation = self._planned
        return written(plan, who, observation, tolerance_bps)

    async def execute(self, plan: Plan, trigger: str, progress: Progress, asked: str = "") -> Run:
        """Run ``plan`` under a key that is used once, and return the run as it ended.

        asked: why the operator wants it, for the record. JournalError when the journal fails: then nothing more is sent.
        InvariantViolation when the key exists.
        """
        run = self._runs.new(plan, trigger, asked, self.fund.pacing)
        if not await self._journal.open_run(run):
            message = f"run {run.id} exists already: {self.fund.name} was triggered by {trigger} before"
            raise InvariantViolation(message)
        return await self._begin(run, plan, progress)

    async def take_up(self, run: Run, plan: Plan, progress: Progress) -> Run:
        """Go on with a run that was left incomplete, or missed, in its own row; ``plan`` is of now.

        The run keeps the legs that it was planned with, so that its result tells of all attempts; its children are numbered
        on. InvariantViolation when the run may not be taken up.
        """
        now = self._clock.now()
        document, deadline = carried_on(run.plan, plan.document()), now + self.fund.pacing.from_now(now).horizon
        await self._journal.reopen_run(run.id, plan=document, reason=plan.reason, deadline=deadline, at=now)
        again = replace(run, status=run.reopened(), plan=document, result=None, deadline=deadline, ended_at=None)
        again = replace(again, attempts=run.attempts + 1, started_at=run.started_at if run.attempts else now)
        sequences = [child.sequence for child in await self._journal.children(run.id)]
        return await self._begin(again, plan, progress, sequence=max(sequences, default=0))

    async def _begin(self, run: Run, plan: Plan, progress: Progress, *, sequence: int = 0) -> Run:
        """Work on a run whose row is open. sequence: the highest that a child of it has."""
        with structlog.contextvars.bound_contextvars(run=run.id, fund=self.fund.name, venue=run.venue):
            await self._helm.follow(self._bearing, run.id, self._clock.now())
            ended = await self._opened(run, plan, progress, sequence)
            await self._helm.ended(self._bearing, ended, self._clock.now())
        if self._after is not None:
            self.guarded = (await self.renew_guard(self._after),)
        return ended

    async def renew_guard(self, observation: Observation) -> timedelta | None:
        """Have the stops rest at the venue that the account of ``observation`` needs; None where that is done.

        Else: after how long to come back.

        No run may be at work meanwhile.
        """
        return await self._resident.renew(observation)

    async def _opened(self, run: Run, plan: Plan, progress: Progress, sequence: int) -> Run:
        log.info("run.opened", legs=len(plan.legs), nav=f"{plan.nav:.2f}", leverage=f"{plan.leverage:.4f}")
        if plan.refusals:
            reason = "; ".join(refusal.message for refusal in plan.refusals)
            if BOUND in {refusal.code for refusal in plan.refusals}:
                await self._settled_if_possible(run)  # where the venue cut a leg, its twin waits for that to be seen
            return await self._runs.close(run, RunStatus.REFUSED, reason, await self._earlier_prices(sequence))
        if not plan.legs:
            status = RunStatus.COMPLETED if sequence else RunStatus.NOTHING_DUE
            unknown = await self._journal.open_children(self.fund.name)
            if waits := [child for child in unknown if not child.request.is_stop]:
                # only what can't wait comes so far: it took every unknown reduction for filled, which may turn out wrong
                names = ", ".join(child.request.client_id for child in waits[:SHOWN])
                why = f"nothing is left but for what {names} may not have done"
                return await self._runs.close(run, RunStatus.INCOMPLETE, why)
            prices = await self._earlier_prices(sequence)
            return await self._runs.close(run, status, plan.reason, prices, await self._settled_if_possible(run))
        try:
            return await self._execute(run, plan, progress, sequence)
        finally:
            progress.close()

    async def _execute(self, run: Run, plan: Plan, progress: Progress, sequence: int) -> Run:
        course: Course | None = None
        after: Observation | None = None
        try:
            observation = await self._start(run, plan)
            await refuse_overtaken(self._journal, run)
            state = engine.begin(plan, self.fund.pacing, limits=self.fund.limits, now=self._clock.now())
            prices = dict(observation.valuation().prices)
            course = Course(run=run, state=state, expected=holdings(observation), prices=prices, sequence=sequence)
            course.pinned = await pinned(self._venue, self._journal, self._observer.markets, self._guard)
            status, reason, after = await self._work(course, observation, progress)
            self._after = after = await self._end(course, after)
        except (VenueError, StaleData) as error:
            status, reason, after = RunStatus.INCOMPLETE, str(error), await self._settled_if_possible()
        finally:
            await self._dead_man.disarm()
        if course is None:
            return await self._runs.close(run, status, reason, await self._earlier_prices(sequence))
        if not course.sent and not sequence and course.refusals:
            status, reason = RunStatus.REFUSED, "; ".join(dict.fromkeys(course.refusals))
        elif course.cut_short:
            status, reason = RunStatus.INCOMPLETE, course.cut_short
        elif plan.bound and status is RunStatus.COMPLETED:
            status, reason = RunStatus.INCOMPLETE, f"not all was traded: {'; '.join(one.message for one in plan.bound)}"
        ended = await self._runs.close(run, status, reason, course.prices, after)
        await self._guard.judge()
        return ended

    async def _start(self, run: Run, plan: Plan | None = None) -> Observation:
        """The settled account that a run starts from, recorded together with what it is worth.

        plan: what was just planned, on an observation that will do. VenueRefused where a human must look at it first.
        """
        planned, observation = self._planned or (None, None)
        if observation is None or planned is not plan or not await self._positions.stand_still(observation):
            observation = await self._positions.settled()
        cause = await self._positions.since_settled(observation)
        if not await self._journal.open_children(self.fund.name):
            observation, changes = await self._positions.patient_changes(observation)
            valuation = observation.valuation()
            worth = Worth(cause=cause, nav=valuation.nav, exposure=valuation.net_exposure)
            if await self._guard.judge(changes=changes, worth=worth) is FundState.HALTED:
                raise VenueRefused("halted", (await self._journal.standing(self.fund.name)).reason)
            await asyncio.gather(  # in one turn of the loop, so that they share one commit
                self._runs.record_nav(run, cause, observation),  # first: of positions on record the worth is, too
                self._positions.record(run.id, observation, changes),
            )
        return await self._seen(observation)

    async def _end(self, course: Course, observation: Observation) -> Observation:
        """The settled account at a run's end, once it agrees with the fills; what does not agree trips a breaker."""
        if course.uncertain or await self._journal.open_children(self.fund.name):
            await self._runs.record_nav(course.run, NavCause.AFTER, observation)
            return observation
        observation, changes = await self._positions.patient_changes(observation)
        state = await self._guard.judge(changes=changes)
        await self._runs.record_nav(course.run, NavCause.AFTER, observation)
        if state is not FundState.HALTED:
            await self._positions.record(course.run.id, observation, changes)
        return observation

    async def _seen(self, observation: Observation) -> Observation:
        """``observation`` as the fund must see it: in an emergency every unknown reduction filled, no increase did.

        StaleData where that is to be ended by prices that can't be.
        """
        if self.fund.braking is not None:
            observation = await self._positions.caught_up(believed(observation, self.fund.limits.max_slippage_bps))
        self.latest = observation
        return await self._positions.as_assumed(observation) if self.fund.urgent else observation

    async def _earlier_prices(self, sequence: int) -> Mapping[str, Decimal]:
        """What values the fees of earlier attempts in a run that trades no more; nothing where there were none."""
        return await self._runs.prices() if sequence else {}

    async def _work(self, course: Course, observation: Observation, progress: Progress) -> tuple[RunStatus, str, Observation]:
        """Step until the engine finishes; the last observation is of the settled account."""
        while True:
            if self._waiting.is_over and not course.cut_short:
                course.cut(self._why_stopped)
            course.state, decision = engine.step(course.state, observation, self._clock.now())
            progress.update(leg_progress(course.state, course.fills, self._observer.markets), self._clock.now())
            match decision:
                case engine.Send(slices):
                    await self._send(course, slices, observation)
                case engine.Wait(until):
                    await self._waiting.until(until)
                case engine.Settle():
                    observation = await self._seen(await self._positions.settled())
                    await self._compare(course, observation)
                    continue
                case engine.Finish(status, reason):
                    return status, reason, observation
            observation = await self._observe(course)

    async def _observe(self, course: Course) -> Observation:
        """A fresh observation whose holdings are what our fills lead to; if they stay different the run is cut short."""
        observation = await self._seen(await self._waiting.patiently(self._observer.observe, course.state.deadline))
        if holdings(observation) != course.expected:
            observation = await self._seen(await self._positions.settled())
            await self._compare(course, observation)
        return observation

    async def _compare(self, course: Course, observation: Observation) -> None:
        held = holdings(observation)
        if held == course.expected or course.cut_short:
            return
        if not self.fund.urgent and not await self._positions.changes(observation):
            course.expected = held  # by a fill of ours that came after its order was over, and is booked now
            return
        differences = ", ".join(
            f"{symbol}: {plain(course.expected[symbol])} expected, {plain(held[symbol])} held"
            for symbol in held
            if held[symbol] != course.expected[symbol]
        )
        course.cut(f"the position changed without our order ({differences})")
        course.expected = held

    async def _send(self, course: Course, slices: Sequence[engine.Slice], observation: Observation) -> None:
        numbered = [replace(one, sequence=one.sequence + course.sequence) for one in slices]
        # nothing that is sent rests, so that it need not wait for the switch
        arming = asyncio.ensure_future(self._dead_man.arm(observation))
        try:
            outcomes = await self._sender.send(course.run, numbered, observation, course.pinned)
        except asyncio.CancelledError:
            arming.cancel()
            raise
        finally:
            (armed,) = await asyncio.gather(arming, return_exceptions=True)
        for proposal, outcome in zip(slices, outcomes, strict=True):
            match outcome:
                case Refused():
                    course.refuse(proposal, outcome, self._clock.now())
                case Sent(child, fills):
                    course.book(proposal, child, fills, self._observer.markets)
        for failed in (*outcomes, armed):
            if isinstance(failed, BaseException):
                raise failed

    async def _settled_if_possible(self, run: Run | None = None) -> Observation | None:
        """The settled account of a run that changed nothing; None when it can't be read or valued, which changes nothing.

        run: the one that may do nothing, or finds nothing to do: the time to look at what moved since the last one.
        """
        try:
            observation = await self._positions.settled() if run is None else await self._start(run)
            _ = observation.valuation().net_leverage
        except (VenueError, StaleData) as error:
            log.warning("account.unread", fund=self.fund.name, error=str(error))
            return None
        self._after = observation
        return observation
