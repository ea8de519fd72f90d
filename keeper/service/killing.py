"""Takes back what rests at a venue: every order of ours is canceled, and the venue asked again until none is left.

It needs no right to trade the account, since it sends nothing. What a cancel answers proves nothing: only what the venue
shows afterwards counts. The journal is read, never written: whoever trades the account next settles its children.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.errors import StaleData, VenueError, VenueRefused
from keeper.domain.market import Side
from keeper.domain.numbers import plain
from keeper.domain.order import Child, ChildState, VenueOrder
from keeper.execution.recovery import CLOCK_SKEW, Lookup, StillUnknown, resolve, state_of
from keeper.ports import Venue
from keeper.service.documents import Document, utc_text
from keeper.service.observer import together

PATIENCE = timedelta(seconds=30)
"""How long the venue is asked: longer than an order may take to arrive, and to show."""
SHORTEST_PAUSE = timedelta(seconds=0.25)
UNSURE, UNREACHABLE, UNRECORDED = 4, 69, 73
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What became of one order of ours. amount, filled: contracts; state: LIVE while it rests, UNKNOWN while nothing is proven.

    recorded: whether the journal has it among its open children.
    """

    client_id: str
    symbol: str
    side: Side
    amount: Decimal
    filled: Decimal
    state: ChildState
    recorded: bool

    def document(self) -> Document:
        """As ``kill --json`` tells it."""
        return {
            "client_id": self.client_id,
            "market": self.symbol,
            "side": self.side.value,
            "amount": plain(self.amount),
            "filled": plain(self.filled),
            "state": self.state.value,
            "recorded": self.recorded,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What killing one fund came to.

    unrecorded: why its halt is not in the journal, trouble: why its venue could not be asked, each empty where all went well;
    at: when the venue was asked last, aware UTC.
    """

    fund: str
    venue: str
    environment: str
    orders: tuple[Stopped, ...]
    at: datetime
    unrecorded: str = ""
    trouble: str = ""

    @property
    def exit_code(self) -> int:
        """0 when nothing of ours is left at the venue and the fund is halted."""
        if self.unrecorded:
            return UNRECORDED
        if self.trouble:
            return UNREACHABLE
        return 0 if all(order.state.terminal for order in self.orders) else UNSURE

    def document(self) -> Document:
        """As ``kill --json`` tells it."""
        return {
            "fund": self.fund,
            "venue": self.venue,
            "environment": self.environment,
            "halted": not self.unrecorded,
            "unrecorded": self.unrecorded or None,
            "trouble": self.trouble or None,
            "orders": [order.document() for order in self.orders],
            "at": utc_text(self.at),
        }


async def cancel_all(
    venue: Venue, open_children: Callable[[], Awaitable[Sequence[Child]]], *, is_held: bool = False
) -> tuple[tuple[Stopped, ...], str]:
    """Cancel every order of ours that rests on the account of ``venue`` until two looks, a read lag apart, find none.

    open_children: what the journal has of the account that is not settled; each of them is asked for as well, since it may
    still be on its way; is_held: whether a process that may send holds the account, now that the halt is committed. What
    passed the gate right before may be on its way without an intent that could be read here: then the last look is made no
    sooner than it must have arrived, and shown. Returned is what the venue said last of every order, and why it did not
    answer at the end, if so.
    """
    sweep = _Sweep(venue)
    clock, info = venue.clock, venue.info
    began = clock.now()
    give_up = began + PATIENCE
    arrived = began + timedelta(seconds=info.order_ttl + info.read_lag) + CLOCK_SKEW if is_held else began
    pause = max(timedelta(seconds=info.read_lag), SHORTEST_PAUSE)
    while True:
        looked = clock.now()
        failure = await sweep.look(await open_children())
        if (sweep.is_quiet and looked >= arrived) or sweep.is_locked_out or clock.now() + pause > give_up:
            return sweep.orders, failure
        await sweep.cancel()
        await clock.sleep_until(clock.now() + pause)


class _Sweep:
    """What is known of our orders, look by look."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._lag = timedelta(seconds=venue.info.read_lag)
        self._known: dict[str, Stopped] = {}
        self._children: dict[str, Child] = {}
        self._lookups: dict[str, list[Lookup]] = {}
        self._clear_looks = 0
        self._refusals = 0
        self._told: datetime | None = None

    @property
    def orders(self) -> tuple[Stopped, ...]:
        """Every order that was seen, in the order of their first sight."""
        return tuple(self._known.values())

    @property
    def is_quiet(self) -> bool:
        """Whether two looks in a row found nothing, and nothing can be on its way any more."""
        return self._clear_looks > 1 and all(order.state.terminal for order in self.orders)

    @property
    def is_locked_out(self) -> bool:
        """Whether the venue refused to answer, and did so again: whoever goes on asking is locked out for longer."""
        return self._refusals > 1

    async def look(self, open_children: Sequence[Child]) -> str:
        """Ask what rests, and what became of every order that does not; why the venue did not answer, where it did not."""
        for child in open_children:
            if child.request.client_id not in self._children:
                self._children[child.request.client_id] = child
                self._known.setdefault(child.request.client_id, _of_child(child))
        try:
            found = await self._venue.open_orders()
        except (VenueError, StaleData) as error:
            log.warning("orders.unread", error=str(error))
            self._clear_looks = 0
            self._refusals += isinstance(error, VenueRefused)
            return str(error)
        resting = {order.client_id: order for order in found if order.is_ours}
        self._told = await self._time() if self._known.keys() - resting.keys() else None
        for name, order in resting.items():
            self._known[name] = _of_order(order, recorded=name in self._children)
        await together(*(self._ask(order) for order in self.orders if order.client_id not in resting))
        self._clear_looks = 0 if any(order.state is ChildState.LIVE for order in self.orders) else self._clear_looks + 1
        return ""

    async def cancel(self) -> None:
        """Ask for everything that rests, or may, to be canceled; a failure shows at the next look."""
        await together(*(self._cancel(order) for order in self.orders if not order.state.terminal))

    async def _cancel(self, order: Stopped) -> None:
        try:
            await self._venue.cancel(order.symbol, order.client_id)
        except (VenueError, StaleData) as error:
            log.warning("cancel.failed", client_id=order.client_id, error=str(error))

    async def _time(self) -> datetime | None:
        """The venue's clock, by which it refuses what comes too late: ours may have been set. None when it does not answer."""
        try:
            return await self._venue.time()
        except (VenueError, StaleData) as error:
            log.warning("time.unread", error=str(error))
            return None

    async def _ask(self, order: Stopped) -> None:
        """What the venue says of an order that does not rest among the others."""
        try:
            report = await self._venue.lookup(order.symbol, order.client_id)
        except (VenueError, StaleData) as error:
            log.warning("order.unread", client_id=order.client_id, error=str(error))
            if not order.state.terminal:
                self._known[order.client_id] = replace(order, state=ChildState.UNKNOWN)
            return
        if report is not None:
            self._known[order.client_id] = replace(order, filled=max(report.filled, order.filled), state=report.state)
            return
        if order.state is ChildState.NOT_PLACED or not order.state.terminal:
            self._known[order.client_id] = replace(order, state=self._unfound(order))

    def _unfound(self, order: Stopped) -> ChildState:
        """What it proves that the venue does not find an order: nothing, where it rested once or may still arrive."""
        child = self._children.get(order.client_id)
        if child is None or child.state is ChildState.LIVE or order.filled or self._told is None:
            return ChildState.UNKNOWN
        lookups = self._lookups.setdefault(order.client_id, [])
        lookups.append(Lookup(None, self._told))
        resolution = resolve(child, lookups, self._lag)
        return ChildState.UNKNOWN if isinstance(resolution, StillUnknown) else state_of(resolution)


def _of_child(child: Child) -> Stopped:
    request = child.request
    return Stopped(
        client_id=request.client_id,
        symbol=request.symbol,
        side=request.side,
        amount=request.amount,
        filled=child.filled,
        state=ChildState.UNKNOWN,
        recorded=True,
    )


def _of_order(order: VenueOrder, *, recorded: bool) -> Stopped:
    return Stopped(
        client_id=order.client_id,
        symbol=order.symbol,
        side=order.side,
        amount=order.amount,
        filled=order.filled,
        state=ChildState.LIVE,
        recorded=recorded,
    )
