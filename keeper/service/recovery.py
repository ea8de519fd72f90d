"""How every start begins: children whose outcome nobody recorded are settled by asking the venue, by client order id."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from keeper.domain.errors import InvariantViolation, StaleData, VenueError
from keeper.domain.fund import FundState
from keeper.domain.order import Child, ChildState
from keeper.execution.recovery import CLOCK_SKEW, Found, Lookup, NeverPlaced, StillUnknown, resolve
from keeper.policy.breakers import Cause, Trip
from keeper.ports import Journal, Venue
from keeper.service.sender import confirm

PATIENCE = timedelta(seconds=20)
MAX_LOOKUPS = 4
log = structlog.get_logger()


async def recover(
    venue: Venue,
    journal: Journal,
    fund: str,
    agrees: Callable[[Child], Awaitable[bool]],
    trip: Callable[[Trip], Awaitable[None]],
) -> tuple[Child, ...]:
    """Settle the open children of ``fund``; those that stay unknown are returned, and block the fund.

    agrees: whether the position in its market is what the journal's fills lead to without a child; only then it was "never
    placed"; trip: halts the fund, where what the venue says of a child can't be booked.
    The caller holds the account's lock, so no other process is in the middle of sending them. A child that was sent on
    another account than ``venue`` is on can't be settled here.
    """
    clock = venue.clock
    unsettled = []
    for child in await journal.open_children(fund):
        client = child.request.client_id
        state = child.state
        if state is ChildState.INTENT:
            state = ChildState.UNKNOWN
            why = "the process ended before the outcome was recorded"
            await journal.advance_child(client, expected=child.state, state=state, at=clock.now(), reason=why)
        if elsewhere := await sent_elsewhere(venue, journal, child):
            log.error("child.elsewhere", fund=fund, client_id=client, remedy=elsewhere)
            unsettled.append(child)
            continue
        settled = False
        try:
            settled = await _settle(venue, journal, child, state, agrees)
        except (VenueError, StaleData) as error:
            log.warning("child.unsettled", fund=fund, client_id=client, error=str(error))
        except InvariantViolation as error:
            # one child that can't be booked must not keep the others open, nor stand before every command
            log.exception("child.unbookable", fund=fund, client_id=client)
            why = f"what the venue says of order {client} can't be booked: {error}"
            await trip(Trip(state=FundState.HALTED, cause=Cause.FILLS, why=why))
        if not settled:
            unsettled.append(child)
    return tuple(unsettled)


async def sent_elsewhere(venue: Venue, journal: Journal, child: Child) -> str:
    """Why ``venue`` can't tell of ``child``, and what to do about it: it was sent on another account. Empty when it was not."""
    run = await journal.run(child.run)
    if run is not None and run.account == venue.info.account:
        return ""
    where = f"venue {run.venue} ({run.environment})" if run else "another venue"
    return f"it was sent on another account, of {where}: point the fund at that once more, with the keys of that time"


async def _settle(
    venue: Venue, journal: Journal, child: Child, state: ChildState, agrees: Callable[[Child], Awaitable[bool]]
) -> bool:
    request, clock = child.request, venue.clock
    lag = timedelta(seconds=venue.info.read_lag)
    give_up = clock.now() + PATIENCE
    lookups: list[Lookup] = []
    for _ in range(MAX_LOOKUPS):
        told = await venue.time()  # ours may have been set while the order was on its way
        lookups.append(Lookup(await venue.lookup(request.symbol, request.client_id), told))
        match resolve(child, lookups, lag):
            case Found(report):
                rests = request.is_stop and not report.state.terminal
                if not report.state.terminal and not rests:  # nothing else of ours is to rest
                    await venue.cancel(request.symbol, request.client_id)
                confirmed = (report, ()) if rests else await confirm(venue, clock, request, report)
                if confirmed is None:
                    return False
                final, fills = confirmed
                await journal.advance_child(
                    request.client_id,
                    expected=state,
                    state=final.state,
                    at=clock.now(),
                    report=final,
                    reason="found by client order id",
                    fills=fills,
                )
                log.info("child.recovered", client_id=request.client_id, state=str(final.state))
                return True
            case NeverPlaced():
                # the venue had a live one once: that it does not show it now proves nothing; a stop that rests moves no position
                is_told = state is ChildState.LIVE or await _has_traces(venue, child)
                if is_told or not (request.is_stop or await agrees(child)):
                    log.error("child.disputed", client_id=request.client_id, remedy="`keeper resolve`")
                    return False
                why = "the venue does not have it, and its deadline has passed"
                await journal.advance_child(
                    request.client_id, expected=state, state=ChildState.NOT_PLACED, at=clock.now(), reason=why
                )
                log.info("child.recovered", client_id=request.client_id, state=str(ChildState.NOT_PLACED))
                return True
            case StillUnknown(ask_again):
                again = clock.now() + (ask_again - told)
                if again > give_up:
                    return False
                await clock.sleep_until(again)
    return False


async def _has_traces(venue: Venue, child: Child) -> bool:
    """Whether the venue's list of orders tells of a child that it can't look up."""
    since = child.at - CLOCK_SKEW
    return any(order.client_id == child.request.client_id for order in await venue.orders(child.request.symbol, since))
