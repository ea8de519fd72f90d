"""Reads a venue's book and the journal's of one account, has them compared, and records what a human accepts of it.

Reading writes nothing anywhere. Both books are read again until neither moved meanwhile, so that what differs does differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.fund import Settled
from keeper.domain.market import Market
from keeper.domain.numbers import plain
from keeper.domain.order import Child, VenueOrder
from keeper.domain.run import Run
from keeper.ports import Journal, Venue
from keeper.service.comparison import SKEW, Books, Reconciliation, Recorded, Told, compare
from keeper.service.observer import together

ADOPTED = "order.adopted"
ACCEPTED = "account.accepted"
MARGIN = timedelta(minutes=5)
"""How much further back than asked both books are read, so that no order is cut off in one of them only."""
LONGEST_RUN = timedelta(days=2)
"""Before which a run must have begun to have no child in the time that is looked at."""
FIRST_LOOK = timedelta(days=7)
"""How far back a journal looks that has intended nothing yet."""
LONGEST_LOOK = timedelta(days=30)
"""How far back anybody looks at first: a fund that rested for months must not ask for all of them before it may trade."""
MOST_ADOPTED = 1_000_000
ATTEMPTS = 6
AT_ONCE = 8
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Account:
    """The journal's book of one account: its children since a time, with their fills, and what each market settled at."""

    ours: tuple[Recorded, ...]
    settled: Mapping[str, Settled]

    @property
    def children(self) -> tuple[Child, ...]:
        """The children alone."""
        return tuple(recorded.child for recorded in self.ours)


async def reconcile(venue: Venue, journal: Journal, fund: str, symbols: Sequence[str], since: datetime) -> Reconciliation:
    """Compare what the account of ``venue`` shows with what ``journal`` has of it.

    symbols: markets to look at beside those that the journal names; since: aware UTC, and as far back as ``reach`` says for
    orders that the journal lacks, since they may not stay unseen here that halt the fund there. VenueError when the venue
    does not answer, StaleData when the account does not stand still for long enough to be read.
    """
    clock, info = venue.clock, venue.info
    taken_note_of = await adopted(journal)
    lacking_since = min(since, await reach(journal, info.account, clock.now()))
    first = lacking_since - MARGIN
    for _ in range(ATTEMPTS):
        before = await _recorded(journal, fund, info.account, first)
        markets = await _markets(venue, {*symbols, *before.settled, *(child.request.symbol for child in before.children)})
        held = await _held(venue, markets)
        theirs = await _told(venue, markets, min([first, *(one.at - MARGIN for one in before.settled.values())]))
        await clock.sleep_until(clock.now() + timedelta(seconds=info.read_lag))
        pinned = await journal.pins(info.account)
        after = await _recorded(journal, fund, info.account, first)
        if before == after and held == await _held(venue, markets):
            books = Books(
                since=since,
                lacking_since=lacking_since,
                at=clock.now(),
                markets=markets,
                ours=[one for one in after.ours if one.child.request.symbol in markets],
                theirs=theirs,
                settled={symbol: one for symbol, one in after.settled.items() if symbol in markets},
                held=held,
                adopted=taken_note_of,
                pinned={symbol: identity for symbol, identity in pinned.items() if symbol in symbols},
            )
            return compare(books)
    message = f"account and journal did not stand still over {ATTEMPTS} reads: try again once no run is under way"
    raise StaleData(message)


async def accept(venue: Venue, journal: Journal, fund: str, found: Reconciliation, reason: str) -> None:
    """Take note of every order that the journal lacks, pin contracts as they are, and settle the fund at what it holds now.

    A stop among those orders that rests is taken back first: nobody would look after it.

    The caller holds the account's lock, and a human has agreed to what ``found`` says. StaleData when the account has moved
    since. Children are left as they are: those without a known outcome stay so.
    """
    for told in found.missing:
        if not told.order.state.terminal:
            await venue.cancel(told.order.symbol, told.order.client_id)
    markets = await _markets(venue, found.held)
    held = await _held(venue, markets)
    if held != dict(found.held):
        message = "the position has changed since it was compared: reconcile again"
        raise StaleData(message)
    now = venue.clock.now()
    for told in found.missing:
        await journal.note(ADOPTED, fund=fund, run="", at=now, payload=_evidence(told))
    changed = [one for one in found.contracts if one.differs]
    for contract in changed:
        await journal.repin(venue.info.account, contract.symbol, contract.found, at=now)
    payload = {
        "reason": reason,
        "held": {symbol: plain(contracts) for symbol, contracts in held.items()},
        "differences": [{"client_id": pair.name, "what": pair.what} for pair in found.pairs if pair.verdict.differs],
        "contracts": {one.symbol: {"before": dict(one.pinned), "after": dict(one.found)} for one in changed},
    }
    await journal.note(ACCEPTED, fund=fund, run="", at=now, payload=payload)
    await journal.record_settled(fund, "", held, at=now, account=venue.info.account)


async def reach(journal: Journal, account: str, now: datetime) -> datetime:
    """How far back an order of ours may have been placed that ``journal`` lacks: a day before its last intent, within bounds.

    The one rule for whoever looks for such orders, to halt the fund or to take note of them.
    """
    latest = await journal.last_intent_at(account)
    if latest is None:
        return now - FIRST_LOOK
    return max(min(now, latest) - timedelta(days=1), now - LONGEST_LOOK)


async def adopted(journal: Journal) -> frozenset[str]:
    """Client ids of the orders that the journal lacks and a human has taken note of."""
    return frozenset(str(event.payload["client_id"]) for event in await journal.events(kind=ADOPTED, limit=MOST_ADOPTED))


def _evidence(told: Told) -> dict[str, object]:
    order = told.order
    return {
        "client_id": order.client_id,
        "order_id": order.order_id,
        "market": order.symbol,
        "side": order.side.value,
        "amount": plain(order.amount),
        "filled": plain(order.filled),
        "state": order.state.value,
        "at": order.at.isoformat(),
        "trades": [
            {
                "trade_id": fill.trade_id,
                "amount": plain(fill.amount),
                "price": plain(fill.price),
                "fee": plain(fill.fee),
                "fee_asset": fill.fee_asset,
                "at": fill.at.isoformat(),
            }
            for fill in told.fills
        ],
    }


async def _recorded(journal: Journal, fund: str, account: str, since: datetime) -> _Account:
    """The journal's book. A run belongs to an account, whatever its fund is called today."""
    ours: list[Recorded] = []
    settled = await journal.settled(fund, account)
    newest = max((one.at for one in settled.values()), default=since)
    booked_since = {(fill.symbol, fill.trade_id) for fill in await journal.fills_since_settled(fund)}
    resting = await journal.resting_stops(account)
    from_then = min([since, *(one.at - SKEW for one in settled.values()), *(child.at for child in resting)])
    for run in await _runs(journal, from_then):
        if run.account != account:
            continue
        fills = await journal.fills(run.id)
        for child in await journal.children(run.id):
            if child.at >= from_then:
                booked = tuple(fill for name, fill in fills if name == child.request.client_id)
                # at the same instant only the journal's own order tells which came first
                since_settled = child.at > newest or any((fill.symbol, fill.trade_id) in booked_since for fill in booked)
                ours.append(Recorded(child=child, fills=booked, since_settled=since_settled))
    return _Account(tuple(ours), settled)


async def _runs(journal: Journal, since: datetime) -> tuple[Run, ...]:
    """Every run that may have a child since then, newest first."""
    limit = 200
    while True:
        runs = await journal.runs(limit=limit, whole=True)
        if len(runs) < limit or runs[-1].started_at < since - LONGEST_RUN:
            return runs
        limit *= 4


async def _markets(venue: Venue, symbols: "set[str] | Mapping[str, Decimal]") -> Mapping[str, Market]:
    """The markets of ``symbols`` that the venue still has."""
    found: dict[str, Market] = {}
    for symbol in sorted(symbols):
        try:
            found |= await venue.markets([symbol])
        except VenueRefused as error:
            log.warning("market.gone", market=symbol, error=str(error))
    return found


async def _held(venue: Venue, markets: Mapping[str, Market]) -> dict[str, Decimal]:
    account = await venue.account()
    return {symbol: account.held(market) for symbol, market in markets.items()}


async def _told(venue: Venue, markets: Mapping[str, Market], since: datetime) -> tuple[Told, ...]:
    """The venue's book since then: every order of ``markets``, with its trades."""
    orders: list[VenueOrder] = []
    for symbol in markets:
        orders += await venue.orders(symbol, since)
    told: list[Told] = []

    async def read(order: VenueOrder) -> None:
        told.append(Told(order=order, fills=await venue.fills(order.symbol, order.order_id) if order.filled else ()))

    for some in _batches(orders):
        await together(*(read(order) for order in some))
    return tuple(sorted(told, key=lambda one: (one.order.at, one.order.order_id)))


def _batches(orders: Sequence[VenueOrder]) -> Iterator[Sequence[VenueOrder]]:
    for first in range(0, len(orders), AT_ONCE):
        yield orders[first : first + AT_ONCE]
