"""Whether journal, account and contracts are those that the fund traded before; who finds that they are not halts it."""

from collections.abc import Mapping

import structlog

from keeper.domain.errors import VenueError, VenueRefused
from keeper.domain.fund import FundState
from keeper.domain.market import Market
from keeper.policy.breakers import Cause, Trip
from keeper.ports import Journal, Venue
from keeper.service.fund import Fund
from keeper.service.guard import Guard
from keeper.service.market_checks import changed_contracts
from keeper.service.positions import PositionBook

SHOWN = 5
log = structlog.get_logger()


def lacking() -> VenueRefused:
    """The error to raise where a journal that is not whole keeps a fund from trading."""
    return VenueRefused("journal", "the journal lacks orders of ours that the venue has: `keeper reconcile` shows them")


async def is_whole(fund: Fund, venue: Venue, journal: Journal, positions: PositionBook, guard: Guard) -> bool:
    """Whether the journal has every order of ours that the venue tells of; else the fund is halted, and what rests canceled.

    A fund that is to be flattened waits neither for that nor for a venue that can't tell, which counts as a journal that
    is not whole: until it is, nothing else may be traded.
    """
    try:
        missing = await positions.unrecorded()
        for order in missing:
            if not order.state.terminal:
                await venue.cancel(order.symbol, order.client_id)
    except VenueError as error:
        if not fund.urgent and not (await journal.standing(fund.name)).flattened:
            raise
        log.warning("journal.unverified", fund=fund.name, error=str(error))
        return False
    if not missing:
        return True
    names = ", ".join(order.client_id for order in missing[:SHOWN])
    why = f"the venue has {len(missing)} orders of ours that the journal lacks ({names}): it was deleted, put back from a"
    await guard.trip(Trip(state=FundState.HALTED, cause=Cause.JOURNAL, why=f"{why} backup, or is not the only one"))
    return False


async def pinned(venue: Venue, journal: Journal, markets: Mapping[str, Market], guard: Guard) -> dict[str, Mapping[str, object]]:
    """What ``markets`` are on record to be. VenueRefused, and the fund halted, when one is not that any more."""
    account, now = venue.info.account, venue.clock.now()
    found = {symbol: await journal.pin(account, symbol, market.identity, at=now) for symbol, market in markets.items()}
    if changed := changed_contracts(markets, found):
        why = f"the contract behind {', '.join(changed)} is not what it was when the fund first traded it"
        await guard.trip(Trip(state=FundState.HALTED, cause=Cause.IDENTITY, why=why))
        raise VenueRefused("contract", why)
    return found
