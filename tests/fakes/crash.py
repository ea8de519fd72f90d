"""A fund that is kept through a crash, a minute at a time, and what became of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from keeper.domain.account import Valuation, value
from keeper.domain.order import OrderRequest
from tests.fakes.daemon_desks import Kept, kept
from tests.fakes.daemons import fund_of
from tests.fakes.moving_feed import MovingFeed, moving_feed
from tests.fakes.paper import PERP, START, opening, paper_venue
from tests.fakes.scripted_venue import ScriptedVenue

MAINTENANCE = Decimal("0.005")
"""Of a position's worth: an exchange liquidates whoever has no more than that left."""
BLACK_THURSDAY = (
    *((0, 7950), (600, 7300), (637, 7250), (645, 6750), (652, 6250), (659, 5850), (690, 6150), (900, 6050), (1290, 5800)),
    *(
        (1390, 5650),
        (1400, 5000),
        (1412, 4700),
        (1440, 4900),
        (1570, 4500),
        (1576, 3850),
        (1580, 4300),
        (1620, 5100),
        (1800, 5400),
    ),
)
"""Minutes and price, as Bitcoin went from 2020-03-12 00:00 UTC on: half of it was gone within a day."""


@dataclass(slots=True)
class Crash:
    """A fund and the prices that it lives through. worths: at each minute; levers: contracts at each minute."""

    desk: Kept
    worths: list[Valuation] = field(default_factory=list)
    levers: list[tuple[datetime, Decimal]] = field(default_factory=list)

    @property
    def feed(self) -> MovingFeed:
        feed = self.desk.venue.inner.feed
        assert isinstance(feed, MovingFeed)
        return feed

    @property
    def worth(self) -> Valuation:
        """The truth now."""
        return value(self.desk.venue.held, self.desk.venue.inner._markets.values(), self.feed._prices, "USDT")

    @property
    def contracts(self) -> Decimal:
        held = self.desk.venue.held.positions.get(PERP)
        return Decimal(0) if held is None else held.contracts

    @property
    def liquidated(self) -> bool:
        """Whether an exchange would have liquidated the fund at some minute."""
        return any(one.nav <= MAINTENANCE * abs(one.net_exposure) for one in self.worths)

    async def lives(self, path: Sequence[tuple[int, int]]) -> None:
        """Let the price go through ``path``, straight from one point to the next: by the minute where it goes fast."""
        for (first, low), (last, high) in pairwise(path):
            step = 1 if abs(high - low) > 3 * (last - first) else 15
            for minute in range(first, last, step):
                await self.at(low + Decimal(high - low) * (minute - first) / (last - first), minutes=step)

    async def at(self, price: str | Decimal, **parts: float) -> None:
        """Let some time pass at ``price``."""
        self.feed.move(PERP, Decimal(price).quantize(Decimal("0.1")))
        await self.desk.venue.inner.open_orders()  # the exchange lives on when nobody asks it
        await self.desk.passed(**parts)
        self.worths.append(self.worth)
        self.levers.append((self.desk.now, self.contracts))


@asynccontextmanager
async def crashing(
    target: str = "3", *, price: str = "7950", check_every: timedelta = timedelta(minutes=1), stops: bool = False
) -> AsyncIterator[Crash]:
    """A fund of 100,000 USDT that holds nothing yet, a quarter of an hour before its slot. stops: its exchange keeps such."""
    feed = moving_feed({PERP: price}, spread_bps="1")
    venue = ScriptedVenue(paper_venue(feed, opening({"USDT": "100000"}), stops=stops))
    async with kept(venue) as desk:
        desk.venues.fund = fund_of(targets={PERP: target}, check_every=check_every)
        yield Crash(desk)


def only_reduces(requests: Sequence[OrderRequest]) -> bool:
    return all(request.reduce_only for request in requests)


__all__ = ["BLACK_THURSDAY", "START", "Crash", "crashing", "only_reduces"]
