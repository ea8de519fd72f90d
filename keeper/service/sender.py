"""The one place from which an order leaves: gate, durable intent, wire, outcome. Nothing else may call ``Venue.place``.

An intent is committed before the first byte goes out, and the outcome after. What happens in between, a crash included,
leaves an intent that the next start settles by its client order id; it is never sent again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.numbers import ZERO, plain
from keeper.domain.observation import Observation
from keeper.domain.order import Accepted, Child, ChildState, Fill, OrderReport, OrderRequest, Rejected, Unknown, client_id
from keeper.domain.run import Run
from keeper.execution.engine import Slice
from keeper.planning.gate import Limits, Refused, Situation, check
from keeper.ports import Clock, Journal, Venue

DAY = timedelta(days=1)
CONFIRMATIONS = 5
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a child that passed the gate, and its fills (empty unless it is settled)."""

    child: Child
    fills: tuple[Fill, ...] = ()


class Sender:
    """Sends the children of one fund."""

    def __init__(self, venue: Venue, journal: Journal, clock: Clock, limits: Limits) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._turnstile = asyncio.Lock()

    async def send(self, run: Run, proposal: Slice, observation: Observation, beside: Sequence[Slice] = ()) -> Sent | Refused:
        """Send one slice. JournalError when its intent can't be made durable: then nothing was sent.

        beside: the slices of other legs that go out at the same time, which share the caps with this one.
        """
        request = self._request(run, proposal)
        async with self._turnstile:  # two legs may not pass the caps on the same figures
            now = self._clock.now()
            refused = await self._judge(run, proposal, request, observation, now, beside)
            if refused is not None:
                return refused
            market = observation.markets[request.symbol]
            child = Child(
                request=request,
                run=run.id,
                leg=proposal.leg,
                sequence=proposal.sequence,
                mid=proposal.mid,
                half_spread=proposal.half_spread,
                state=ChildState.INTENT,
                at=now,
                notional=abs(market.notional(request.amount, request.price)),
            )
            await self._journal.record_intent(child)
        outcome = await self._venue.place(request)
        match outcome:
            case Accepted(report):
                return await self._accepted(child, report)
            case Rejected(code, message):
                return await self._ended(child, ChildState.REJECTED, f"{code}: {message}")
            case Unknown(why):
                return await self._ended(child, ChildState.UNKNOWN, why)

    def _request(self, run: Run, proposal: Slice) -> OrderRequest:
        info = self._venue.info
        return OrderRequest(
            client_id=client_id(
                account=info.account,
                fund=run.key.fund,
                run=run.id,
                leg=proposal.leg,
                sequence=proposal.sequence,
                length=info.client_id_length,
            ),
            symbol=proposal.symbol,
            side=proposal.side,
            amount=proposal.amount,
            price=proposal.price,
            reduce_only=proposal.reduce_only,
            deadline=self._clock.now() + timedelta(seconds=info.order_ttl),
        )

    async def _judge(
        self, run: Run, proposal: Slice, request: OrderRequest, observation: Observation, now: datetime, beside: Sequence[Slice]
    ) -> Refused | None:
        fund = run.key.fund
        # other legs of this run may be on the wire right now; everything else that is open blocks
        open_children = [
            child.request.client_id
            for child in await self._journal.open_children(fund)
            if child.run != run.id or child.leg == proposal.leg
        ]
        standing = await self._journal.standing(fund)
        situation = Situation(
            observation=observation,
            limits=self._limits,
            turnover=await self._journal.turnover_since(fund, now - DAY),
            open_children=tuple(open_children),
            left=proposal.left,
            now=now,
            halted=standing.reason if standing.halted else None,
            beside=tuple((other.symbol, other.amount * other.side.sign) for other in beside),
        )
        verdict = check(request, situation)
        if not isinstance(verdict, Refused):
            return None
        codes = [reason.code for reason in verdict.reasons]
        payload = {
            "client_id": request.client_id,
            "market": request.symbol,
            "side": str(request.side),
            "amount": plain(request.amount),
            "reasons": [{"code": reason.code, "message": reason.message} for reason in verdict.reasons],
        }
        await self._journal.note("child.refused", fund=fund, run=run.id, at=now, payload=payload)
        log.warning("child.refused", fund=fund, run=run.id, market=request.symbol, codes=codes)
        return verdict

    async def _accepted(self, child: Child, report: OrderReport) -> Sent:
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


async def confirm(
    venue: Venue, clock: Clock, request: OrderRequest, report: OrderReport
) -> tuple[OrderReport, tuple[Fill, ...]] | None:
    """Ask until the order is terminal and its trades add up to what it says it filled; None when they do not in time.

    The amount filled is never taken from the reply to the order alone: what tells of a fill is checked against the trades,
    what tells of none is asked for once more a read lag later. VenueUnavailable when the venue does not answer.
    """
    pause = timedelta(seconds=max(venue.info.read_lag, 0.1))
    for asked in range(CONFIRMATIONS):
        if report.state.terminal and (report.filled or asked):
            fills = await venue.fills(request.symbol, report.order_id)
            if total(fills) == report.filled:
                return report, fills
        await clock.sleep_until(clock.now() + pause)
        report = await venue.lookup(request.symbol, request.client_id) or report
    return None


def total(fills: tuple[Fill, ...]) -> Decimal:
    """Contracts filled."""
    return sum((fill.amount for fill in fills), ZERO)
