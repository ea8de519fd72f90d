"""Keeps the days of one fund: what the venue's own ledger told is booked, and what the fund was worth as each day ended.

It reads and writes the journal, and sends nothing. A ledger that can't be read keeps nobody from trading: it is asked again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog

from keeper.accounting.following import APART, follow
from keeper.domain.account import Valuation
from keeper.domain.errors import BookRefused, StaleData, VenueError
from keeper.domain.ledger import BookFault, refused
from keeper.domain.numbers import exact
from keeper.domain.observation import Observation
from keeper.domain.statement import Booked, Posting
from keeper.ports import Clock, Journal, Venue
from keeper.service.books import beside
from keeper.service.carrying import CARRY, carry_of
from keeper.service.observer import Observer
from keeper.service.positions import PositionBook
from keeper.service.run_book import nav_point

READ, CLOSED = "ledger.read", "day.closed"
"""Events: how far the venue's ledger was read, and that a day was closed."""
OVERLAP = timedelta(hours=1)
"""How far back a ledger is read again, for postings that show late."""
FIRST = timedelta(days=1)
"""How far back it is read at first, where there are no books that say since when."""
NOTED_EVERY = timedelta(hours=6)
AGAIN = timedelta(minutes=5)
"""After which a ledger that could not be read is asked again."""
DAY = timedelta(days=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
FLOWS_EVERY = timedelta(minutes=10)
"""How often the ledger is read where money that comes or leaves makes the fund act."""
POSTED = timedelta(minutes=2)
"""How long after midnight a day is closed: by then venues have posted what they charge at that hour."""
PATIENCE = timedelta(hours=1)
"""How long a day waits to be closed for a ledger that can't be read."""
ATTEMPTS = 3
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the ledger found. observation: the account as it was valued by, None where nothing was new."""

    fresh: Sequence[Booked] = ()
    observation: Observation | None = None


class DayBook:
    """The days of ``fund`` on ``venue``. on_flow: called whenever the ledger was read; then that is done often."""

    def __init__(
        self,
        fund: str,
        venue: Venue,
        journal: Journal,
        observer: Observer,
        positions: PositionBook,
        *,
        on_flow: Callable[[], None] | None = None,
    ) -> None:
        self._fund = fund
        self._on_flow = on_flow
        self._venue = venue
        self._clock: Clock = venue.clock
        self._journal = journal
        self._observer = observer
        self._positions = positions
        self._ran = False
        self._ends: datetime | None = None
        self._read_at: datetime | None = None
        self._quiet_until: datetime | None = None

    def ran(self) -> None:
        """A run has ended: the ledger is read at the next turn."""
        self._ran = True

    async def keep(self) -> datetime:
        """Do what is due, and say when to come again (aware UTC). What the venue does not tell is asked for again later."""
        now = self._clock.now()
        if self._quiet_until is not None and now < self._quiet_until:
            return self._quiet_until
        ends = await self._day_ends()
        if ends > now and not self._ran and not self._watches(now):
            return self._again(ends)
        found, is_read = Look(), True
        try:
            found = await self.follow()
        except (VenueError, StaleData, BookRefused) as error:
            log.warning("ledger.unread", fund=self._fund, error=str(error))
            is_read = False
        try:
            if ends <= now and (is_read or now - ends >= PATIENCE):
                await self._close(found.observation or await self._observer.observe())
        except (VenueError, StaleData) as error:
            log.warning("day.not_closed", fund=self._fund, error=str(error))
            is_read = False
        if self._on_flow is not None and is_read:
            self._on_flow()  # whoever booked what was told
        if not is_read:
            self._ran = True  # it is asked again, though the day be closed
            self._quiet_until = self._clock.now() + AGAIN
            return self._quiet_until
        self._ran, self._quiet_until, self._read_at = False, None, now
        if (ends := await self._day_ends()) <= self._clock.now():  # until its own orders are settled no day is closed
            ends = self._quiet_until = self._clock.now() + AGAIN
        return self._again(ends)

    def _watches(self, now: datetime) -> bool:
        """Whether it is time to look for flows, although no day ends and no run has ended."""
        is_read = self._read_at is not None and timedelta(0) <= now - self._read_at < FLOWS_EVERY
        return self._on_flow is not None and not is_read

    def _again(self, ends: datetime) -> datetime:
        """When to come again at the latest."""
        if self._on_flow is None or self._read_at is None:
            return ends
        return min(ends, max(self._read_at + FLOWS_EVERY, self._clock.now()))

    async def follow(self) -> Look:
        """Book what the venue's ledger tells and the journal does not have. VenueError or StaleData where it can't be told.

        BookRefused where others change the books each time that it is reckoned.
        """
        for _ in range(ATTEMPTS):
            last, ledger = await self._journal.last_event(READ, self._fund), await self._journal.ledger(self._fund)
            now = self._clock.now()
            begun = ledger.entries[0].at if ledger.entries else now - FIRST
            since = begun if last is None else datetime.fromisoformat(str(last.payload["until"])) - OVERLAP
            told = await self._venue.ledger(since)
            known = await self._journal.postings(self._fund, since - APART * 2)
            # a fund of another name may have booked them
            there = await self._journal.posted(self._venue.info.account, since - APART * 2)
            fresh = [one for one in told or () if one.id not in there and self._observer.owns(one.asset)]
            if not fresh:
                if last is None or now - last.at >= NOTED_EVERY:
                    await self._note_read(now, is_told=told is not None)
                return Look()
            observation = await self._observer.observe()
            valued = await self._valued(fresh, observation.valuation())
            books = beside(ledger)
            followed = follow(books, ledger, valued, known, at=observation.at, equity=observation.valuation().nav)
            if await self._journal.book_ledger(self._fund, followed.told, followed.entries, last=ledger.last, at=now):
                for words in followed.refused:
                    log.error("flow.unbooked", fund=self._fund, why=words)
                for entry in followed.entries:
                    log.info("flow.booked", fund=self._fund, entry=entry.id, kind=str(entry.kind), amount=str(entry.flow))
                await self._note_read(now, is_told=True)
                return Look(followed.told, observation)
        raise refused(BookFault.BUSY, f"others changed the books of {self._fund} each time that the ledger was to be booked")

    async def _valued(self, fresh: Sequence[Posting], valuation: Valuation) -> list[Booked]:
        """``fresh`` postings with what each came to, at the marks of now."""
        prices: dict[str, Decimal | None] = dict(valuation.prices)
        for asset in {one.asset for one in fresh} - prices.keys():
            prices[asset] = await self._price(asset, valuation.currency)
        return [
            Booked(
                posting=one,
                account=self._venue.info.account,
                fund=self._fund,
                currency=valuation.currency,
                value=_worth(one.amount, prices[one.asset]),
            )
            for one in fresh
        ]

    async def _price(self, asset: str, currency: str) -> Decimal | None:
        try:
            return await self._venue.price(asset, currency)
        except (VenueError, StaleData) as error:
            log.warning("posting.unpriced", fund=self._fund, asset=asset, error=str(error))
            return None

    async def _note_read(self, until: datetime, *, is_told: bool) -> None:
        payload = {"until": until.isoformat(), "told": is_told}
        await self._journal.note(READ, fund=self._fund, run="", at=self._clock.now(), payload=payload)

    async def _day_ends(self) -> datetime:
        """When the day that was closed last is over; long ago where none was."""
        if self._ends is None:
            closed = await self._journal.last_event(CLOSED, self._fund)
            self._ends = None if closed is None else _midnight(closed.at) + DAY + POSTED
        return self._ends or LONG_AGO

    async def _close(self, observation: Observation) -> None:
        """Record what the fund is worth as a day begins, once its own orders are settled."""
        if await self._journal.open_children(self._fund):
            return
        cause = await self._positions.since_settled(observation)
        await self._journal.record_nav(nav_point(self._fund, "", cause, observation))
        await self._journal.note(CLOSED, fund=self._fund, run="", at=observation.at, payload={})
        self._ends = None
        carry = await carry_of(self._venue, observation)
        await self._journal.note(CARRY, fund=self._fund, run="", at=observation.at, payload=carry)


@exact
def _worth(amount: Decimal, price: Decimal | None) -> Decimal | None:
    return None if price is None else amount * price


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
