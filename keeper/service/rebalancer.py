"""One fund, brought to its mandate: plan, execute, account. The way every run goes, whoever asked for it.

Decisions are made by the pure parts; this module only carries observations to them and their proposals to the sender.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.errors import InvariantViolation, StaleData, VenueError, VenueUnavailable
from keeper.domain.market import MarketKind
from keeper.domain.numbers import exact, plain
from keeper.domain.observation import Observation
from keeper.domain.order import Child, ChildState, Fill, average_price
from keeper.domain.run import Run, RunKey, RunStatus
from keeper.execution import engine
from keeper.execution.pacing import Pacing
from keeper.planning.build import Brief, build
from keeper.planning.gate import Limits, Refusal, Refused, halt_refusal
from keeper.planning.plan import Plan
from keeper.policy.mandate import Mandate
from keeper.ports import Clock, Environment, Journal, Venue
from keeper.service.observer import Observer
from keeper.service.progress import LegProgress, Progress
from keeper.service.recovery import recover
from keeper.service.results import amended
from keeper.service.run_book import RunBook, carried_on
from keeper.service.sender import DAY, Sender, Sent
from keeper.service.settle import holdings, settle

PASSING = frozenset({"stale", "book", "mark", "collar"})
"""Refusals for what the market does, not for what was asked: they are tried again."""
LONGEST_PAUSE = timedelta(seconds=10)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """One fund's rules. symbols: the markets of its mandate."""

    name: str
    mandate: Mandate
    limits: Limits
    pacing: Pacing

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets of the mandate."""
        return tuple(self.mandate.targets)


@dataclass(slots=True)
class _Course:
    """A run on its way: what is known of it so far.

    expected: holdings that our own fills lead to, by symbol; sequence: the highest of an earlier attempt's children.
    """

    run: Run
    state: engine.State
    expected: dict[str, Decimal]
    prices: dict[str, Decimal]
    sent: int = 0
    fills: list[Fill] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    cut_short: str = ""
    sequence: int = 0


class Rebalancer:
    """Plans and runs one fund. ``stop`` ends a run in work after the children in flight have their outcome."""

    def __init__(self, fund: Fund, venue: Venue, journal: Journal, observer: Observer) -> None:
        self.fund = fund
        self._venue = venue
        self._journal = journal
        self._clock: Clock = venue.clock
        self._observer = observer
        self._sender = Sender(venue, journal, venue.clock, fund.limits)
        self._runs = RunBook(fund.name, venue, journal, observer)
        self._stopping = asyncio.Event()
        self._why_stopped = ""

    def stop(self, why: str) -> None:
        """Send nothing more; the run ends as incomplete."""
        self._why_stopped = why
        self._stopping.set()

    async def recover(self) -> tuple[Child, ...]:
        """Settle what an earlier process left open; the children that stay unknown are returned.

        Runs that were cut are closed, and runs of which more came to be known get their result anew.
        """
        open_before = await self._journal.open_children(self.fund.name)
        unsettled = await recover(self._venue, self._journal, self.fund.name)
        for run in await self._journal.unended_runs(self.fund.name):
            await self._runs.close(run, RunStatus.INCOMPLETE, "the process ended before the run did", await self._runs.prices())
        for run_id in sorted({child.run for child in open_before} - {child.run for child in unsettled}):
            cut = await self._journal.run(run_id)
            if cut is not None and cut.result is not None:
                result = amended(cut.result, await self._runs.result(cut, await self._runs.prices()))
                await self._journal.amend_run(run_id, result=result, at=self._clock.now())
        return unsettled

    async def plan(self) -> Plan:
        """What a run would do now. VenueError or StaleData when the account or a market can't be read."""
        observation = await self._observer.observe(with_stats=True)
        return build(await self._brief(observation.at), observation)

    async def execute(self, plan: Plan, trigger: str, progress: Progress, asked: str = "") -> Run:
        """Run ``plan`` under a key that is used once, and return the run as it ended.

        asked: why the operator wants it, for the record. JournalError when the journal fails: then nothing more is sent.
        InvariantViolation when the key exists.
        """
        run = self._open(plan, trigger, asked)
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
        document, deadline = carried_on(run.plan, plan.document()), now + self.fund.pacing.horizon
        await self._journal.reopen_run(run.id, plan=document, reason=plan.reason, deadline=deadline, at=now)
        again = replace(run, status=run.reopened(), plan=document, result=None, deadline=deadline, ended_at=None)
        again = replace(again, attempts=run.attempts + 1, started_at=run.started_at if run.attempts else now)
        sequences = [child.sequence for child in await self._journal.children(run.id)]
        return await self._begin(again, plan, progress, sequence=max(sequences, default=0))

    async def _begin(self, run: Run, plan: Plan, progress: Progress, *, sequence: int = 0) -> Run:
        """Work on a run whose row is open. sequence: the highest that a child of it has."""
        with structlog.contextvars.bound_contextvars(run=run.id, fund=self.fund.name, venue=run.venue):
            return await self._opened(run, plan, progress, sequence)

    async def _opened(self, run: Run, plan: Plan, progress: Progress, sequence: int) -> Run:
        log.info("run.opened", legs=len(plan.legs), nav=f"{plan.nav:.2f}", leverage=f"{plan.leverage:.4f}")
        if plan.refusals:
            reason = "; ".join(refusal.message for refusal in plan.refusals)
            return await self._runs.close(run, RunStatus.REFUSED, reason, await self._earlier_prices(sequence))
        if not plan.legs:
            status = RunStatus.COMPLETED if sequence else RunStatus.NOTHING_DUE
            prices = await self._earlier_prices(sequence)
            return await self._runs.close(run, status, plan.reason, prices, await self._settled_if_possible())
        try:
            return await self._execute(run, plan, progress, sequence)
        finally:
            progress.close()

    async def _execute(self, run: Run, plan: Plan, progress: Progress, sequence: int) -> Run:
        course: _Course | None = None
        after: Observation | None = None
        try:
            observation = await self._settled()
            now = self._clock.now()
            state = engine.begin(plan, self.fund.pacing, limits=self.fund.limits, now=now)
            prices = dict(observation.valuation().prices)
            course = _Course(run=run, state=state, expected=holdings(observation), prices=prices, sequence=sequence)
            await self._runs.record_nav(run, "before", observation)
            status, reason, after = await self._work(course, observation, progress)
            await self._runs.record_nav(run, "after", after)
        except (VenueError, StaleData) as error:
            status, reason, after = RunStatus.INCOMPLETE, str(error), await self._settled_if_possible()
        if course is None:
            return await self._runs.close(run, status, reason, await self._earlier_prices(sequence))
        if not course.sent and not sequence and course.refusals:
            status, reason = RunStatus.REFUSED, "; ".join(dict.fromkeys(course.refusals))
        elif course.cut_short:
            status, reason = RunStatus.INCOMPLETE, course.cut_short
        return await self._runs.close(run, status, reason, course.prices, after)

    async def _earlier_prices(self, sequence: int) -> Mapping[str, Decimal]:
        """What values the fees of earlier attempts in a run that trades no more; nothing where there were none."""
        return await self._runs.prices() if sequence else {}

    async def _work(self, course: _Course, observation: Observation, progress: Progress) -> tuple[RunStatus, str, Observation]:
        """Step until the engine finishes; the last observation is of the settled account."""
        while True:
            if self._stopping.is_set() and not course.cut_short:
                self._cut(course, self._why_stopped)
            course.state, decision = engine.step(course.state, observation, self._clock.now())
            progress.update(self._progress(course), self._clock.now())
            match decision:
                case engine.Send(slices):
                    await self._send(course, slices, observation)
                case engine.Wait(until):
                    await self._wait(until)
                case engine.Settle():
                    observation = await self._settled()
                    self._compare(course, observation)
                    continue
                case engine.Finish(status, reason):
                    return status, reason, observation
            observation = await self._observe(course)

    async def _observe(self, course: _Course) -> Observation:
        """A fresh observation whose holdings are what our fills lead to; if they stay different the run is cut short."""
        observation = await self._patiently(self._observer.observe, course.state.deadline)
        if holdings(observation) != course.expected:
            observation = await self._settled()
            self._compare(course, observation)
        return observation

    def _compare(self, course: _Course, observation: Observation) -> None:
        held = holdings(observation)
        if held == course.expected or course.cut_short:
            return
        differences = ", ".join(
            f"{symbol}: {plain(course.expected[symbol])} expected, {plain(held[symbol])} held"
            for symbol in held
            if held[symbol] != course.expected[symbol]
        )
        self._cut(course, f"the position changed without our order ({differences})")
        course.expected = held

    async def _send(self, course: _Course, slices: Sequence[engine.Slice], observation: Observation) -> None:
        numbered = [replace(one, sequence=one.sequence + course.sequence) for one in slices]
        sending = (
            self._sender.send(course.run, one, observation, [other for other in numbered if other is not one]) for one in numbered
        )
        # an error of one leg must not hide what became of another
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        for proposal, outcome in zip(slices, outcomes, strict=True):
            match outcome:
                case Refused(reasons):
                    why = "; ".join(reason.message for reason in reasons)
                    if {reason.code for reason in reasons} <= PASSING:
                        course.state = engine.postponed(course.state, proposal.leg, why, self._clock.now())
                    else:
                        course.refusals.append(why)
                        course.state = engine.failed(course.state, proposal.leg, why, sent=False)
                case Sent(child, fills):
                    self._book(course, proposal, child, fills)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _book(self, course: _Course, proposal: engine.Slice, child: Child, fills: Sequence[Fill]) -> None:
        course.sent += 1
        course.fills.extend(fills)
        match child.state:
            case ChildState.REJECTED:
                course.state = engine.failed(course.state, proposal.leg, child.reason, sent=True)
            case ChildState.FILLED | ChildState.CANCELED:
                course.state = engine.booked(course.state, proposal.leg, child.filled)
                for fill in fills:
                    self._expect(course, fill)
            case _:
                self._cut(course, f"the outcome of {child.request.client_id} is not known ({child.reason})")

    def _expect(self, course: _Course, fill: Fill) -> None:
        course.expected[fill.symbol] = _added(course.expected[fill.symbol], fill.amount * fill.side.sign)
        for symbol, market in self._observer.markets.items():
            # a fee may be taken in the coins of another market of the fund, such as BNB
            if market.kind is MarketKind.SPOT and fill.fee_asset == market.base:
                course.expected[symbol] = _added(course.expected[symbol], -fill.fee)

    def _cut(self, course: _Course, why: str) -> None:
        """Propose nothing more; the run settles and ends as incomplete for this reason, the first one named."""
        course.cut_short = course.cut_short or why
        course.state = engine.stop(course.state, why)

    async def _settled(self) -> Observation:
        return await settle(self._observer, self._clock, timedelta(seconds=self._venue.info.read_lag))

    async def _settled_if_possible(self) -> Observation | None:
        """The settled account of a run that changed nothing; None when it can't be read or valued, which changes nothing."""
        try:
            observation = await self._settled()
            _ = observation.valuation().net_leverage
        except (VenueError, StaleData) as error:
            log.warning("account.unread", fund=self.fund.name, error=str(error))
            return None
        return observation

    async def _patiently(self, read: Callable[[], Awaitable[Observation]], deadline: datetime) -> Observation:
        """``read``, tried again with growing pauses while the venue does not answer, until ``deadline`` or a stop."""
        pause = timedelta(seconds=1)
        while True:
            try:
                return await read()
            except (VenueUnavailable, StaleData) as error:
                again = self._clock.now() + pause
                if again > deadline or self._stopping.is_set():
                    raise
                log.warning("venue.unread", fund=self.fund.name, error=str(error))
                await self._wait(again)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _wait(self, until: datetime) -> None:
        """Sleep until then, or until asked to stop."""
        sleep = asyncio.ensure_future(self._clock.sleep_until(until))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleep, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleep, stop):
                task.cancel()
            await asyncio.gather(sleep, stop, return_exceptions=True)

    async def _brief(self, now: datetime) -> Brief:
        info = self._venue.info
        blocked = [
            Refusal(
                "unknown_child",
                f"the outcome of {child.request.client_id} ({child.request.side} {child.request.symbol}) is not known",
            )
            for child in await self._journal.open_children(self.fund.name)
        ]
        if (standing := await self._journal.standing(self.fund.name)).halted:
            blocked.append(halt_refusal(standing.reason))
        if info.environment is Environment.LIVE:
            blocked.append(Refusal("not_enabled", "a live fund only plans: trade on paper or on a testnet"))
        return Brief(
            fund=self.fund.name,
            venue=info.name,
            environment=str(info.environment),
            mandate=self.fund.mandate,
            limits=self.fund.limits,
            slicer=self.fund.pacing.planned_slices,
            horizon=self.fund.pacing.horizon,
            turnover=await self._journal.turnover_since(self.fund.name, now - DAY),
            blocked=tuple(blocked),
        )

    def _open(self, plan: Plan, trigger: str, asked: str) -> Run:
        info, now = self._venue.info, self._clock.now()
        key = RunKey(self.fund.name, trigger)
        return Run(
            id=key.run_id,
            key=key,
            venue=info.name,
            environment=str(info.environment),
            account=info.account,
            currency=plan.currency,
            status=RunStatus.RUNNING,
            reason=plan.reason,
            plan={**plan.document(), "asked": asked},
            result=None,
            started_at=now,
            deadline=now + self.fund.pacing.horizon,
        )

    def _progress(self, course: _Course) -> tuple[LegProgress, ...]:
        return tuple(
            LegProgress(
                market=leg.plan.symbol,
                side=leg.plan.side,
                planned=leg.plan.amount,
                filled=leg.traded,
                average=self._average(course, leg.plan.symbol),
                arrival=leg.plan.decision_mid,
                slice=leg.sequence,
                slices=leg.plan.slices,
                ends_at=course.state.deadline,
                state=str(leg.state),
            )
            for leg in course.state.legs
        )

    def _average(self, course: _Course, symbol: str) -> Decimal | None:
        fills = [fill for fill in course.fills if fill.symbol == symbol]
        return average_price(fills, inverse=self._observer.markets[symbol].kind is MarketKind.INVERSE)


@exact
def _added(one: Decimal, other: Decimal) -> Decimal:
    return one + other
