"""Takes a fund's right to trade, or to add risk, when a breaker trips, and gives back what may be given back by itself.

What a breaker is told is read from the journal, never remembered: a process that starts anew judges like the one before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.fund import FundState, Standing, Worth
from keeper.domain.numbers import ZERO, exact
from keeper.policy.breakers import Breakers, Cause, PositionChange, Record, Trip, judge, passes, peak_of
from keeper.ports import Clock, Journal

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HELD_BACK = "breaker.held_back"
EMPTIED = "position.emptied"
MOST_EMPTIED = 1000
"""Notes of that kind that are looked at."""
log = structlog.get_logger()


class Guard:
    """The breakers of one fund.

    A halt would disarm the brake that a human pulled: while a fund is to be flattened what would halt it is noted, ends every
    other run, and comes to a halt once the human resumes the fund. urgent: the guard of such a flattening, which goes on.
    """

    def __init__(self, fund: str, breakers: Breakers, clock: Clock, journal: Journal, *, urgent: bool = False) -> None:
        self._fund = fund
        self._urgent = urgent
        self._breakers = breakers
        self._journal = journal
        self._clock = clock
        self._held_back: set[str] = set()

    async def judge(
        self,
        *,
        changes: Sequence[PositionChange] = (),
        unseen: timedelta = timedelta(0),
        trouble: timedelta = timedelta(0),
        worth: Worth | None = None,
    ) -> FundState:
        """Look at what happened, act on it, and say how the fund stands now.

        changes: of its positions, but for our own fills; unseen, trouble: since the last good observation and since the venue
        last answered; worth: what it is worth now, where that is not on record yet.
        """
        now, standing = self._clock.now(), await self._journal.standing(self._fund)
        for one in changes:
            if one.emptied:  # the market looks like one that was never opened from here on
                await self._journal.note(EMPTIED, fund=self._fund, run="", at=now, payload={"market": one.symbol})
        lately = await self._lately(standing, now, worth)
        tripped = judge(replace(lately, changes=tuple(changes), unseen=unseen, trouble=trouble), self._breakers)
        if tripped is not None:
            await self.trip(tripped)
        elif standing.reducing and passes(standing.cause):
            lift = self._journal.set_state(
                self._fund, FundState.ACTIVE, reason="", at=now, cause=standing.cause, expected=standing
            )
            if await lift:
                log.info("breaker.lifted", fund=self._fund, cause=standing.cause)
        if tripped is not None and tripped.state is FundState.HALTED and not self._urgent:
            return FundState.HALTED
        return (await self._journal.standing(self._fund)).state

    async def trip(self, tripped: Trip) -> None:
        """Put the fund into the state of ``tripped``, unless it is bound as much already or is to be flattened.

        What somebody else says of the fund meanwhile is not overruled.
        """
        at, cause, why = self._clock.now(), str(tripped.cause), tripped.why
        while True:
            standing = await self._journal.standing(self._fund)
            if tripped.state is FundState.HALTED and not standing.halted and (self._urgent or standing.flattened):
                if cause in self._held_back:
                    return
                self._held_back.add(cause)
                payload = {"cause": cause, "why": why}
                await self._journal.note(HELD_BACK, fund=self._fund, run="", at=at, payload=payload)
                log.error(HELD_BACK, fund=self._fund, cause=cause, why=why)
                return
            graver = passes(standing.cause) and not passes(tripped.cause)
            # it says what is to be reduced, which no other breaker does
            graver = graver or (tripped.cause is Cause.FORCED_HEDGE and standing.cause not in ("", Cause.FORCED_HEDGE))
            if standing.halted or (standing.reducing and tripped.state is FundState.REDUCE_ONLY and not graver):
                return
            if await self._journal.set_state(self._fund, tripped.state, reason=why, at=at, cause=cause, expected=standing):
                log.error("breaker.tripped", fund=self._fund, cause=cause, state=str(tripped.state), why=why)
                return

    async def _lately(self, standing: Standing, now: datetime, worth: Worth | None) -> Record:
        """What is on record since a human last let the fund trade, so that a resumed fund stays so."""
        cleared = standing.cleared_at
        first = cleared if cleared is not None and cleared <= now else datetime.min.replace(tzinfo=now.tzinfo)
        hour, day = max(first, now - HOUR), max(first, now - DAY)
        lately = await self._journal.lately(self._fund, cleared=first, hour=hour, day=day)
        slippage, traded = _slippage(lately.results)
        worths = (*lately.worths, *filter(None, (worth,)))
        return Record(
            slippage_bps=slippage,
            traded=traded,
            peak=peak_of(worths),
            nav=worths[-1].nav if worths else None,
            errors=lately.errors,
            runs=lately.attempts,
        )


@exact
def _slippage(results: Sequence[Mapping[str, object]]) -> tuple[Decimal | None, Decimal]:
    """What the last run that traded lost to spread and impact, bps of what it traded; and that in multiples of NAV."""
    for result in results:
        parts = result.get("shortfall")
        if isinstance(parts, dict) and Decimal(str(parts.get("total") or 0)):
            lost = sum((Decimal(str(parts[name])) for name in ("spread_bps", "impact_bps") if parts.get(name)), ZERO)
            return lost, Decimal(str(result["filled_notional"])) / Decimal(str(result["nav_before"]))
    return None, ZERO


async def emptied(journal: Journal, standing: Standing) -> frozenset[str]:
    """Symbols of the hedge's legs of which the venue left the fund nothing, since a human last let it trade."""
    if standing.cause != Cause.FORCED_HEDGE:
        return frozenset()
    return frozenset(
        str(event.payload["market"])
        for event in await journal.events(kind=EMPTIED, limit=MOST_EMPTIED)
        if event.fund == standing.fund and (standing.cleared_at is None or event.at > standing.cleared_at)
    )
