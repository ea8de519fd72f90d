"""The stops that wait at the venue: what became of them is booked here, as of any order of ours, and told when one went off.

Nothing here trades. Whoever compares positions with our fills has them looked up first.
"""

from datetime import timedelta

import structlog

from keeper.domain.numbers import plain
from keeper.domain.order import Child, ChildState, OrderReport
from keeper.ports import Clock, Journal, Venue
from keeper.service.observer import Observer
from keeper.service.results import amended
from keeper.service.run_book import RunBook
from keeper.service.sender import confirm

FIRED = "guard.fired"
"""The kind of the events that tell of a stop that went off."""
log = structlog.get_logger()


class Residents:
    """The stops on the account of one fund."""

    def __init__(self, fund: str, venue: Venue, journal: Journal, observer: Observer) -> None:
        self._fund = fund
        self._venue = venue
        self._journal = journal
        self._clock: Clock = venue.clock
        self._runs = RunBook(fund, venue, journal, observer)

    async def resting(self) -> tuple[Child, ...]:
        """Those that the journal takes to be waiting, oldest first."""
        return await self._journal.resting_stops(self._venue.info.account)

    async def book(self, only: str | None = None) -> tuple[Child, ...]:
        """Book what became of those that wait, or of ``only`` that of one market; those that still do are returned.

        VenueUnavailable when the venue does not answer.
        """
        resting = await self.resting()
        over = [child for child in resting if only in (None, child.request.symbol) and await self._is_over(child)]
        return tuple(child for child in resting if child not in over)

    async def _is_over(self, child: Child) -> bool:
        request = child.request
        report = await self._venue.lookup(request.symbol, request.client_id)
        if report is None:
            return await self._is_gone(child)
        if not report.state.terminal:
            return False
        confirmed = await confirm(self._venue, self._clock, request, report)
        if confirmed is None:
            return False
        final, fills = confirmed
        why = "the mark came to its trigger" if final.filled else "it does not rest any more"
        await self._journal.advance_child(
            request.client_id,
            expected=ChildState.LIVE,
            state=final.state,
            at=self._clock.now(),
            report=final,
            reason=why,
            fills=fills,
        )
        if final.filled:
            await self._tell(child, final)
        return True

    async def _is_gone(self, child: Child) -> bool:
        """Whether one that the venue shows no more is over: it is once a second look and its list of orders tell nothing."""
        request = child.request
        lag = timedelta(seconds=self._venue.info.read_lag)
        await self._clock.sleep_until(self._clock.now() + lag)
        if await self._venue.lookup(request.symbol, request.client_id) is not None:
            return False  # a read shows what was placed only so late
        listed = await self._venue.orders(request.symbol, child.at - lag)
        if any(order.client_id == request.client_id for order in listed):
            return False
        await self._journal.advance_child(
            request.client_id,
            expected=ChildState.LIVE,
            state=ChildState.CANCELED,
            at=self._clock.now(),
            reason="the venue has forgotten it, which it does with orders that never traded",
        )
        return True

    async def _tell(self, child: Child, final: OrderReport) -> None:
        request, now = child.request, self._clock.now()
        payload = {
            "client_id": request.client_id,
            "market": request.symbol,
            "side": str(request.side),
            "filled": plain(final.filled),
            "average": None if final.average is None else plain(final.average),
            "trigger": plain(request.price),
        }
        await self._journal.note(FIRED, fund=self._fund, run=child.run, at=now, payload=payload)
        log.error(FIRED, fund=self._fund, **payload)
        run = await self._journal.run(child.run)
        if run is not None and run.result is not None:
            result = amended(run.result, await self._runs.result(run, await self._runs.prices()))
            await self._journal.amend_run(run.id, result=result, at=now)
