"""The one place from which an order leaves: gate, durable intent, wire, outcome. Nothing else may call ``Venue.place``.

An intent is committed before the first byte goes out, and the outcome after. What happens in between, a crash included,
leaves an intent that the next start settles by its client order id; it is never sent again.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

import structlog

from keeper.domain.errors import InvariantViolation, StaleData, VenueError
from keeper.domain.fund import Standing
from keeper.domain.numbers import ZERO, plain
from keeper.domain.observation import Observation
from keeper.domain.order import Accepted, Child, ChildState, Fill, OrderReport, OrderRequest, Rejected, Unknown, client_id
from keeper.domain.run import Run
from keeper.execution.engine import Slice
from keeper.planning.gate import Approved, Refused, Situation, check, intended, reduces
from keeper.planning.limits import Limits, halt_refusal, not_enabled, reduce_only_refusal
from keeper.ports import Clock, Environment, Journal, Venue
from keeper.service.guard import HELD_BACK
from keeper.service.reconciliation import ACCEPTED

CONFIRMATIONS = 5
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a child that passed the gate, and its fills (empty unless it is settled)."""

    child: Child
    fills: tuple[Fill, ...] = ()


class Sender:
    """Sends the children of one fund."""

    def __init__(self, venue: Venue, journal: Journal, clock: Clock, limits: Limits, *, urgent: bool = False) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._urgent = urgent
        self._turnstile = asyncio.Lock()
        self._epoch: str | None = None

    async def send(
        self,
        run: Run,
        slices: Sequence[Slice],
        observation: Observation,
        pinned: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
    ) -> list[Sent | Refused | BaseException]:
        """Send ``slices``, one for each leg, together; what became of each, in their order.

        pinned: what the markets are on record to be. JournalError stands for a slice whose intent can't be made durable: it
        was not sent. What one of them raised hides nothing of the others.
        """
        if self._epoch is None:
            # a journal that was put back would number the same children again, to flatten also before a human accepts it
            lives = [await self._journal.last_event(kind, run.key.fund) for kind in (ACCEPTED, HELD_BACK)]
            self._epoch = "".join(event.hash for event in lives if event is not None)
        epoch = self._epoch
        requests = [self._request(run, one, epoch) for one in slices]
        async with self._turnstile:  # two steps may not pass the caps on the same figures
            now = self._clock.now()
            verdicts = await self._judge(run, slices, requests, observation, pinned, now)
            children = [
                self._child(run, one, request, observation, now) if isinstance(verdict, Approved) else None
                for one, request, verdict in zip(slices, requests, verdicts, strict=True)
            ]
            # in one turn of the loop, so that they share one commit
            intents = await asyncio.gather(
                *(self._journal.record_intent(child) for child in children if child is not None), return_exceptions=True
            )
        recorded = iter(intents)
        ways: list[Coroutine[object, object, Sent | Refused]] = [
            self._refused(run, request, verdict, now) if isinstance(verdict, Refused) else self._sent(run, child, next(recorded))
            for request, verdict, child in zip(requests, verdicts, children, strict=True)
        ]
        return await asyncio.gather(*ways, return_exceptions=True)

    async def _sent(self, run: Run, child: Child | None, recorded: BaseException | Standing | None) -> Sent | Refused:
        """Send a child whose intent was to be recorded: ``recorded`` is why it was not, what binds the fund or an error."""
        if child is None or isinstance(recorded, BaseException):
            raise recorded if isinstance(recorded, BaseException) else InvariantViolation("an approved order has no intent")
        if recorded is not None:
            bound = halt_refusal(recorded.reason) if recorded.halted else reduce_only_refusal(recorded)
            return await self._refused(run, child.request, Refused((bound,)), child.at)
        outcome = await self._venue.place(child.request)
        match outcome:
            case Accepted(report):
                return await self._accepted(child, report)
            case Rejected():
                return await self._ended(child, ChildState.REJECTED, outcome.reason)
            case Unknown(why):
                return await self._ended(child, ChildState.UNKNOWN, why)

    def _request(self, run: Run, proposal: Slice, epoch: str) -> OrderRequest:
        info = self._venue.info
        return OrderRequest(
            client_id=client_id(
                account=info.account,
                fund=run.key.fund,
                run=run.id,
                leg=proposal.leg,
                sequence=proposal.sequence,
                epoch=epoch,
                length=info.client_id_length,
                stop=proposal.trigger is not None,
            ),
            symbol=proposal.symbol,
            side=proposal.side,
            amount=proposal.amount,
            price=proposal.price,
            reduce_only=proposal.reduce_only,
            deadline=self._clock.now() + timedelta(seconds=info.order_ttl),
            trigger=proposal.trigger,
        )

    def _child(self, run: Run, proposal: Slice, request: OrderRequest, observation: Observation, now: datetime) -> Child:
        market = observation.markets[request.symbol]
        return Child(
            request=request,
            run=run.id,
            leg=proposal.leg,
            sequence=proposal.sequence,
            mid=proposal.mid,
            half_spread=proposal.half_spread,
            state=ChildState.INTENT,
            reduces=reduces(request, observation),
            at=now,
            notional=abs(market.notional(request.amount, request.price)),
        )

    async def _judge(
        self,
        run: Run,
        slices: Sequence[Slice],
        requests: Sequence[OrderRequest],
        observation: Observation,
        pinned: Mapping[str, Mapping[str, object]],
        now: datetime,
    ) -> list[Approved | Refused]:
        if self._venue.info.environment is Environment.LIVE:
            return [Refused((not_enabled(),))] * len(slices)
        footing = await self._journal.footing(run.key.fund, run.id, now)
        situation = Situation(
            observation=observation,
            limits=self._limits,
            usage=footing.usage,
            standing=footing.standing,
            open_children=_in_the_way(slices, footing.open_children),
            left=ZERO,
            now=now,
            urgent=self._urgent,
            pinned=pinned,
        )
        verdicts: list[Approved | Refused] = []
        for one, request in zip(slices, requests, strict=True):
            beside = tuple((other.symbol, other.amount * other.side.sign) for other in slices if other is not one)
            verdict = check(request, replace(situation, left=one.left, beside=beside))
            if isinstance(verdict, Approved):
                situation = intended(situation, request)
            verdicts.append(verdict)
        return verdicts

    async def _refused(self, run: Run, request: OrderRequest, refused: Refused, now: datetime) -> Refused:
        payload = {
            "client_id": request.client_id,
            "market": request.symbol,
            "side": str(request.side),
            "amount": plain(request.amount),
            "reasons": [{"code": reason.code, "message": reason.message} for reason in refused.reasons],
        }
        await self._journal.note("child.refused", fund=run.key.fund, run=run.id, at=now, payload=payload)
        codes = [reason.code for reason in refused.reasons]
        log.warning("child.refused", fund=run.key.fund, run=run.id, market=request.symbol, codes=codes)
        return refused

    async def _accepted(self, child: Child, report: OrderReport) -> Sent:
        if child.request.is_stop and not report.state.terminal:
            return await self._ended(child, report.state, "", report)
        try:
            confirmed = await confirm(self._venue, self._clock, child.request, report)
        except (VenueError, StaleData) as error:
            confirmed = None
            why = str(error)
        else:
            why = "the venue's order and its trades did not agree in time"
        if confirmed is None:
            return await self._ended(child, ChildState.LIVE, why, report)
        final, fills = confirmed
        ended = await self._ended(child, final.state, "", final, fills)
        return replace(ended, fills=fills)

    async def _ended(
        self, child: Child, state: ChildState, reason: str, report: OrderReport | None = None, fills: tuple[Fill, ...] = ()
    ) -> Sent:
        await self._journal.advance_child(
            child.request.client_id,
            expected=child.state,
            state=state,
            at=self._clock.now(),
            report=report,
            reason=reason,
            fills=fills,
        )
        changed = replace(child, state=state, reason=reason)
        if report is not None:
            changed = replace(changed, order_id=report.order_id, filled=report.filled, average=report.average)
        level = log.warning if reason else log.info
        level(
            "child.ended",
            client_id=child.request.client_id,
            state=str(state),
            filled=plain(changed.filled),
            reason=reason or None,
        )
        return Sent(changed)


def _in_the_way(slices: Sequence[Slice], unknown: Sequence[Child]) -> tuple[str, ...]:
    """Client ids of the children without a known outcome that ``slices`` wait for: a stop waits for no other one."""
    stops = all(one.trigger is not None for one in slices)
    return tuple(child.request.client_id for child in unknown if not (stops and child.request.is_stop))


async def confirm(
    venue: Venue, clock: Clock, request: OrderRequest, report: OrderReport
) -> tuple[OrderReport, tuple[Fill, ...]] | None:
    """Ask until the order is terminal and its trades add up to what it says it filled; None when they do not in time.

    The amount filled is never taken from the reply to the order alone: it is checked against the trades, and an order that
    is not filled whole is asked for once more a read lag later, since a fill may cross its cancel. VenueUnavailable when the
    venue does not answer.
    """
    pause = timedelta(seconds=max(venue.info.read_lag, 0.1))
    for asked in range(CONFIRMATIONS):
        if report.state.terminal and (report.state is ChildState.FILLED or asked):
            fills = await venue.fills(request.symbol, report.order_id)
            if total(fills) == report.filled:
                return report, fills
        if report.state.terminal:  # it has ended, and may yet show a fill that crossed its cancel
            await clock.sleep_until(clock.now() + pause)
        else:
            await venue.heard(request.client_id, clock.now() + pause)
        report = await venue.lookup(request.symbol, request.client_id) or report
    return None


def total(fills: tuple[Fill, ...]) -> Decimal:
    """Contracts filled."""
    return sum((fill.amount for fill in fills), ZERO)
