"""Settles a child that no rule can, because a human says what became of it. What the venue proves goes before what is said.

The caller holds the account's lock, and every rule was tried before.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.numbers import plain
from keeper.domain.order import Child, ChildState, Fill, OrderReport, VenueOrder
from keeper.ports import Journal, Venue
from keeper.service.comparison import Holding, order_document
from keeper.service.documents import Document, utc_text
from keeper.service.reconciliation import reconcile
from keeper.service.recovery import sent_elsewhere
from keeper.service.sender import total

RESOLVED = "child.resolved"
BEFORE = timedelta(seconds=10)
"""How much before its intent the orders are listed among which a child may be."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why what a human says can't be booked: the venue, or the journal, proves otherwise."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a child is to be booked. report: of the order that it was, None when it never arrived; fills: of that order."""

    state: ChildState
    report: OrderReport | None = None
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the venue says of a child now.

    report: under its client id; orders: those of its market since just before it was intended; holding: what its position
    should be and is, None where the fund was never settled; unread: what could not be asked, in words; elsewhere: why this
    venue can't tell of it at all, in words, when it was sent on another account.
    """

    child: Child
    report: OrderReport | None
    orders: tuple[VenueOrder, ...]
    holding: Holding | None
    unread: str = ""
    elsewhere: str = ""

    @property
    def lack(self) -> str:
        """What is missing before it can prove that an order is not there, in words; empty when it is whole."""
        return f"not all that the venue knows could be read ({self.unread}): try again once it answers" if self.unread else ""

    def document(self) -> Document:
        """As ``resolve --json`` tells it."""
        child, report, holding = self.child, self.report, self.holding
        lookup = {"order_id": report.order_id, "state": report.state.value, "filled": plain(report.filled)} if report else None
        parts = {name: plain(getattr(holding, name)) for name in ("expected", "held", "difference")} if holding else None
        return {
            "client_id": child.request.client_id,
            "run": child.run,
            "market": child.request.symbol,
            "side": child.request.side.value,
            "amount": plain(child.request.amount),
            "price": plain(child.request.price),
            "state": child.state.value,
            "reason": child.reason,
            "intended_at": utc_text(child.at),
            "deadline": utc_text(child.request.deadline),
            "lookup": lookup,
            "orders": [order_document(order) for order in self.orders],
            "position": parts,
            "unread": self.elsewhere or self.unread or None,
        }


async def gather(venue: Venue, journal: Journal, fund: str, child: Child) -> Evidence:
    """Ask the venue for everything that bears on ``child``. What it does not answer is said, and stays out.

    A venue on another account than the child was sent on is not asked: that it knows nothing of it proves nothing.
    """
    request = child.request
    if elsewhere := await sent_elsewhere(venue, journal, child):
        return Evidence(child=child, report=None, orders=(), holding=None, elsewhere=elsewhere)
    report: OrderReport | None = None
    orders: tuple[VenueOrder, ...] = ()
    holding: Holding | None = None
    unread: list[str] = []
    try:
        report = await venue.lookup(request.symbol, request.client_id)
    except (VenueError, StaleData) as error:
        unread.append(str(error))
    try:
        orders = await venue.orders(request.symbol, child.at - BEFORE)
        found = await reconcile(venue, journal, fund, [request.symbol], child.at - BEFORE)
        holding = next((one for one in found.holdings if one.symbol == request.symbol), None)
    except (VenueError, StaleData) as error:
        unread.append(str(error))
    return Evidence(child=child, report=report, orders=orders, holding=holding, unread="; ".join(unread))


def never_placed(evidence: Evidence) -> Settlement | Contradiction:
    """How a child that a human says never arrived is booked. Not to be told from one that is hidden, hence the human."""
    child = evidence.child
    if evidence.elsewhere:
        return Contradiction(evidence.elsewhere)
    if child.order_id is not None:
        return Contradiction(f"the venue took it as order {child.order_id}: say --order {child.order_id}")
    if evidence.report is not None:
        return Contradiction(f"the venue has it as order {evidence.report.order_id}: say --order {evidence.report.order_id}")
    for order in evidence.orders:
        if order.client_id == child.request.client_id:
            return Contradiction(f"the venue lists it as order {order.order_id}: say --order {order.order_id}")
    if evidence.lack:
        return Contradiction(evidence.lack)
    return Settlement(state=ChildState.NOT_PLACED)


def was_order(evidence: Evidence, order_id: str, fills: tuple[Fill, ...]) -> Settlement | Contradiction:
    """How a child that a human says is order ``order_id`` is booked. fills: what the venue has of that order."""
    child, request = evidence.child, evidence.child.request
    if evidence.elsewhere:
        return Contradiction(evidence.elsewhere)
    if evidence.report is not None and evidence.report.order_id != order_id:
        return Contradiction(f"the venue has it as order {evidence.report.order_id}: say --order {evidence.report.order_id}")
    order = next((order for order in evidence.orders if order.order_id == order_id), None)
    if order is None:
        if evidence.lack:
            return Contradiction(evidence.lack)
        return Contradiction(f"the venue lists no order {order_id} in {request.symbol} since {child.at:%Y-%m-%d %H:%M:%S} UTC")
    if why := _mismatch(child, order, total(fills)):
        return Contradiction(why)
    report = OrderReport(
        order_id=order_id,
        client_id=request.client_id,
        state=order.state,
        filled=order.filled,
        average=order.average,
    )
    return Settlement(state=order.state, report=report, fills=fills)


def contradicted(child: Child, order_id: str) -> str:
    """Why what a human says is wrong of ``child``, which the venue has told of meanwhile, in words; empty where it is right.

    order_id: of the order that the child is said to be, empty where it is said to have never arrived.
    """
    if order_id == (child.order_id or ""):
        return ""
    said = f"it is order {order_id}" if order_id else "it never arrived"
    known = f"order {child.order_id}" if child.order_id else "no order"
    return f"you say that {said}, but the venue has told that it is {known}, and so it is booked as {child.state}"


def _mismatch(child: Child, order: VenueOrder, traded: Decimal) -> str:
    """Why ``order``, of which ``traded`` contracts are known, can't be booked for ``child``; empty when it can."""
    request = child.request
    if child.order_id not in (None, order.order_id):
        return f"the venue took it as order {child.order_id}"
    if order.client_id != request.client_id and order.is_ours:
        return f"order {order.order_id} is that of {order.client_id}"
    if (order.side, order.amount) != (request.side, request.amount):
        told = f"order {order.order_id} is to {order.side} {plain(order.amount)}"
        return f"{told}, the child to {request.side} {plain(request.amount)}"
    if not order.state.terminal:
        return f"order {order.order_id} still rests: cancel it first, such as with `keeper kill`"
    if traded != order.filled:
        return f"the venue says {plain(order.filled)} was filled, its trades add up to {plain(traded)}: ask again"
    return ""


async def record(venue: Venue, journal: Journal, fund: str, evidence: Evidence, settlement: Settlement, reason: str) -> None:
    """Book ``settlement``, with the reason that the human gave and what the venue said when they did."""
    child, now = evidence.child, venue.clock.now()
    payload = {"reason": reason, "as": settlement.state.value, "evidence": evidence.document()}
    await journal.note(RESOLVED, fund=fund, run=child.run, at=now, payload=payload)
    await journal.advance_child(
        child.request.client_id,
        expected=child.state,
        state=settlement.state,
        at=now,
        report=settlement.report,
        reason=f"settled by hand: {reason}",
        fills=settlement.fills,
    )
