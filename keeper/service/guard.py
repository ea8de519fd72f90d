"""Takes a fund's right to trade, or to add risk, when a breaker trips, and gives back what may be given back by itself.

What a breaker is told is read from the journal, never remembered: a process that starts anew judges like the one before.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.fund import FundState, Standing
from keeper.domain.numbers import ZERO
from keeper.domain.order import ChildState
from keeper.domain.run import Run
from keeper.policy.breakers import Breakers, PositionChange, Record, Trip, judge, passes
from keeper.ports import Clock, Journal

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_RUNS = 100
FAILED = frozenset({ChildState.REJECTED, ChildState.UNKNOWN, ChildState.NOT_PLACED})
BEGUN = ("run.opened", "run.reopened")
log = structlog.get_logger()


class Guard:
    """The breakers of one fund."""

    def __init__(self, fund: str, breakers: Breakers, clock: Clock, journal: Journal) -> None:
        self._fund = fund
        self._breakers = breakers
        self._journal = journal
        self._clock = clock

    async def judge(
        self,
        *,
        changes: Sequence[PositionChange] = (),
        unseen: timedelta = timedelta(0),
        trouble: timedelta = timedelta(0),
        a_run_ended: bool = False,
    ) -> FundState:
        """Look at what happened, act on it, and say how the fund stands now.

        changes: of its positions, but for our own fills; unseen, trouble: since the last good observation and since the venue
        last answered; a_run_ended: so that what runs came to lately is to be looked at, too.
        """
        now, standing = self._clock.now(), await self._journal.standing(self._fund)
        lately = await self._lately(standing, now) if a_run_ended else Record()
        tripped = judge(replace(lately, changes=tuple(changes), unseen=unseen, trouble=trouble), self._breakers)
        if tripped is not None:
            await self.trip(tripped)
        elif standing.reducing and passes(standing.cause):
            await self._journal.set_state(self._fund, FundState.ACTIVE, reason="", at=now)
            log.info("breaker.lifted", fund=self._fund, cause=standing.cause)
        return (await self._journal.standing(self._fund)).state

    async def trip(self, tripped: Trip) -> None:
        """Put the fund into the state of ``tripped``, unless it is bound as much already."""
        standing = await self._journal.standing(self._fund)
        graver = passes(standing.cause) and not passes(tripped.cause)
        if standing.halted or (standing.reducing and tripped.state is FundState.REDUCE_ONLY and not graver):
            return
        at = self._clock.now()
        await self._journal.set_state(self._fund, tripped.state, reason=tripped.why, at=at, cause=str(tripped.cause))
        log.error("breaker.tripped", fund=self._fund, cause=str(tripped.cause), state=str(tripped.state), why=tripped.why)

    async def _lately(self, standing: Standing, now: datetime) -> Record:
        def since(span: timedelta) -> datetime:
            return now - span if standing.at is None else max(standing.at, now - span)

        runs = [run for run in await self._journal.runs(fund=self._fund, limit=MOST_RUNS) if (run.ended_at or now) >= since(HOUR)]
        errors = sending = 0
        for run in runs:
            late = [child for child in await self._journal.children(run.id) if child.at >= since(HOUR)]
            errors += sum(child.state in FAILED for child in late)
            begun = sorted(event.at for event in await self._journal.events(run=run.id) if event.kind in BEGUN)
            # an attempt counts if a child was intended in it
            sending += len({bisect_right(begun, child.at) for child in late})
        points = [point for point in await self._journal.nav_points(self._fund, limit=MOST_RUNS) if point.at >= since(DAY)]
        return Record(
            slippage_bps=_slippage(runs, since(HOUR)),
            peak=max((point.nav for point in points), default=None),
            nav=points[0].nav if points else None,
            errors=errors,
            runs=sending,
        )


def _slippage(runs: Sequence[Run], since: datetime) -> Decimal | None:
    """What the last run that traded and ended lost to spread and impact, bps of what it traded."""
    for run in runs:
        parts = (run.result or {}).get("shortfall")
        if run.ended_at is None or run.ended_at <= since or not isinstance(parts, dict):
            continue
        if Decimal(str(parts.get("total") or 0)):
            return sum((Decimal(str(parts[name])) for name in ("spread_bps", "impact_bps") if parts.get(name)), ZERO)
    return None
