"""The life of a child order: what may follow what, and what a venue can say about it.

The transition table is the whole truth about a child's states; whoever changes a child asks ``advance`` first.

    PLANNED -> INTENT -> LIVE | UNKNOWN -> FILLED | CANCELED | REJECTED | NOT_PLACED

An intent is durable before the first byte leaves. Whatever does not prove acceptance or rejection is UNKNOWN, and an
UNKNOWN child is settled by its client order id only.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from keeper.domain.errors import InvariantViolation
from keeper.domain.market import Side
from keeper.domain.numbers import ZERO, exact

CLIENT_ID_PREFIX = "kpr"
STOP_PREFIX = f"{CLIENT_ID_PREFIX}s"
"""How the client ids of stops begin: no other one has that letter there, since hexadecimal digits follow."""
NEVER_SENT = "never_sent"
"""Code of the rejection of an order of which no byte left this machine: not the venue's word, but our own proof."""


class ChildState(StrEnum):
    """Where a child stands."""

    PLANNED = "planned"
    INTENT = "intent"
    LIVE = "live"
    UNKNOWN = "unknown"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    NOT_PLACED = "not_placed"

    @property
    def terminal(self) -> bool:
        """Whether the venue can't change this child any more."""
        return self in TERMINAL

    @property
    def open(self) -> bool:
        """Whether the child may rest, or may have landed, at the venue."""
        return self in (ChildState.INTENT, ChildState.LIVE, ChildState.UNKNOWN)


_S = ChildState
TERMINAL = frozenset({_S.FILLED, _S.CANCELED, _S.REJECTED, _S.NOT_PLACED})
TRANSITIONS: dict[ChildState, frozenset[ChildState]] = {
    _S.PLANNED: frozenset({_S.INTENT}),
    # an order that fills at once is reported terminal in the very reply that accepts it
    _S.INTENT: frozenset({_S.LIVE, _S.UNKNOWN, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.NOT_PLACED}),
    # an order that was taken may still be turned down by the matching engine: Binance says NEW, then REJECTED
    _S.LIVE: frozenset({_S.FILLED, _S.CANCELED, _S.REJECTED, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset({_S.LIVE, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.NOT_PLACED}),
    # exchanges do send a fill after a cancel: it crossed on the way, and is booked whether it completes the order or not
    _S.CANCELED: frozenset({_S.FILLED, _S.CANCELED}),
    _S.FILLED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.NOT_PLACED: frozenset(),
}


def advance(current: ChildState, following: ChildState) -> ChildState:
    """``following`` if a child may go there from ``current``; InvariantViolation otherwise."""
    if following not in TRANSITIONS[current]:
        message = f"a child can't go from {current} to {following}"
        raise InvariantViolation(message)
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One order, complete: what the gate approves and the wire carries. A stop, or immediate-or-cancel within a price collar.

    amount: contracts (> 0); price: limit, quote per base, of a stop its trigger; deadline: aware UTC, after which a venue that
    honours one refuses the order; trigger: of a stop, the mark (quote per base) at which the venue makes a market order of
    it: on the way down for a sell, on the way up for a buy. None for an order that goes at once.
    """

    client_id: str
    symbol: str
    side: Side
    amount: Decimal
    price: Decimal
    reduce_only: bool
    deadline: datetime
    trigger: Decimal | None = None

    @property
    def is_stop(self) -> bool:
        """Whether it rests at the venue until the mark comes to its trigger."""
        return self.trigger is not None


def is_stop(client_id: str) -> bool:
    """Whether a client id is that of a stop of ours."""
    return client_id.startswith(STOP_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of a child. amount: contracts; price: quote per base; fee: units of ``fee_asset`` (a cost is positive)."""

    trade_id: str
    symbol: str
    side: Side
    amount: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What the venue says of an order that it has: filled in contracts, average in quote per base (None unfilled).

    state: LIVE, FILLED, CANCELED or REJECTED.
    """

    order_id: str
    client_id: str
    state: ChildState
    filled: Decimal
    average: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the venue keeps it, whoever sent it.

    client_id: empty where the venue has none; amount, filled: contracts; average: quote per base, None unfilled; forced:
    the venue itself placed it, to liquidate or to deleverage; at: when it was placed, or, for a stop, came to its trigger,
    changed_at: when it last changed, both aware UTC.
    """

    order_id: str
    client_id: str
    symbol: str
    side: Side
    amount: Decimal
    filled: Decimal
    average: Decimal | None
    state: ChildState
    forced: bool
    at: datetime
    changed_at: datetime

    @property
    def is_ours(self) -> bool:
        """Whether its client id has the shape of those that Keeper makes."""
        return self.client_id.startswith(CLIENT_ID_PREFIX)

    @property
    def signed(self) -> Decimal:
        """Contracts by which it changed the position."""
        return self.filled if self.side is Side.BUY else -self.filled


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue has the order: it answered with its id and our client id."""

    report: OrderReport


@dataclass(frozen=True, slots=True)
class Rejected:
    """The venue proved by a known code that it did not take the order, or it never left (NEVER_SENT)."""

    code: str
    message: str

    @property
    def reason(self) -> str:
        """Both, as a child that was rejected keeps them."""
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class Unknown:
    """The answer proves nothing."""

    why: str


Outcome = Accepted | Rejected | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One order of a run as the journal keeps it.

    sequence: counts the children of a leg from 1; reduces: it can only lower the gross exposure, as the gate judged it, None
    where that is not on record; mid, half_spread: quote per base, when the slice was
    sized; filled: contracts; average: quote per base; notional: quote units at the limit price, absolute.
    """

    request: OrderRequest
    run: str
    leg: int
    sequence: int
    mid: Decimal
    half_spread: Decimal
    state: ChildState
    at: datetime
    notional: Decimal
    order_id: str | None = None
    filled: Decimal = ZERO
    average: Decimal | None = None
    reason: str = ""
    reduces: bool | None = None

    @property
    def rests(self) -> bool:
        """Whether it is a stop that waits at the venue for its trigger, as it is meant to."""
        return self.request.is_stop and self.state is ChildState.LIVE

    @property
    def never_left(self) -> bool:
        """Whether it was rejected on this machine, so that the venue never heard of it."""
        return self.state is ChildState.REJECTED and self.reason.startswith(Rejected(NEVER_SENT, "").reason)


@exact
def average_price(fills: Sequence[Fill], *, inverse: bool) -> Decimal | None:
    """What a unit of the base asset cost over ``fills`` of one market, quote per base; None without fills.

    An inverse contract counts quote, so the prices of its fills average harmonically.
    """
    contracts = sum((fill.amount for fill in fills), ZERO)
    if len({fill.price for fill in fills}) <= 1:  # a quotient would not be exactly the one price
        return fills[0].price if fills else None
    if inverse:
        return contracts / sum((fill.amount / fill.price for fill in fills), ZERO)
    return sum((fill.amount * fill.price for fill in fills), ZERO) / contracts


def client_id(  # what makes an order the only one of its kind
    *, account: str, fund: str, run: str, leg: int, sequence: int, epoch: str = "", length: int = 32, stop: bool = False
) -> str:
    """The client order id of one child: the same inputs give the same id, so a crash can't make a second one.

    epoch: tells the journal at hand from one that was lost, and whose orders a human has taken note of since: that numbered
    the same children, and a venue takes their ids again; stop: it is that of a stop. Lower-case letters and digits, our prefix
    first, ``length`` characters (the shortest that the venue takes).
    """
    named = (account, fund, run, str(leg), str(sequence), *filter(None, (epoch,)))
    digest = hashlib.sha256("\x1f".join(named).encode()).hexdigest()
    return ((STOP_PREFIX if stop else CLIENT_ID_PREFIX) + digest)[:length]
