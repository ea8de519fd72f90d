"""What Hyperliquid writes in its lists of orders and trades, and how our client ids stand in them.

A client id there is 16 bytes in hexadecimal: ours begins with the three letters that all of ours begin with, as bytes. What an
order filled, and at what average, only its trades tell.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.market import Side
from keeper.domain.numbers import ZERO, exact
from keeper.domain.order import CLIENT_ID_PREFIX, ChildState, Fill, average_price
from keeper.venues import listing, parsing
from keeper.venues.listing import OrderRow

OURS = f"0x{CLIENT_ID_PREFIX.encode().hex()}"
DIGITS = 26
"""Hexadecimal digits of ours that a client id has room for after that."""
SHAPE = f"{CLIENT_ID_PREFIX}[0-9a-f]{{{DIGITS}}}"
SIDES = {"B": Side.BUY, "A": Side.SELL}
UNTOUCHED = ("iocCancelRejected", "marketOrderNoLiquidityRejected")
"""Orders that ended since nothing rested within their limit: nothing is wrong with them."""
_STATES = {
    "open": ChildState.LIVE,
    "triggered": ChildState.LIVE,
    "filled": ChildState.FILLED,
    "canceled": ChildState.CANCELED,
    "scheduledCancel": ChildState.CANCELED,
    "rejected": ChildState.REJECTED,
    **dict.fromkeys(UNTOUCHED, ChildState.CANCELED),
}
_FORCED = ("Liquidat", "Auto-Deleverag", "Settle")
"""How the direction of a trade begins that the exchange itself made."""


def cloid(client_id: str) -> str:
    """Their client id for one of ours; one of theirs is left as it is. VenueRefused for one that has no such form."""
    if re.fullmatch(SHAPE, client_id):
        return OURS + client_id.removeprefix(CLIENT_ID_PREFIX)
    if re.fullmatch(r"0x[0-9a-f]{32}", client_id):
        return client_id
    raise VenueRefused("client_id", f"{client_id[:40]} is no client id that the venue could have")


def client_id(raw: object) -> str:
    """Our client id for one of theirs; a stranger's as it is, none as empty text."""
    if raw is None:
        return ""
    found = parsing.word({"cloid": raw}, "cloid").lower()
    ours = CLIENT_ID_PREFIX + found.removeprefix(OURS)
    return ours if found.startswith(OURS) and re.fullmatch(SHAPE, ours) else found


def _client_id_in(row: object) -> str:
    return client_id(row.get("cloid") if isinstance(row, Mapping) else None)


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade of the account. forced: the exchange made it, not an order of anybody's."""

    order_id: str
    client_id: str
    fill: Fill
    forced: bool


def trade(message: object, symbol: Callable[[str], str], asset: Callable[[str], str]) -> Trade:
    """One row of the account's trades."""
    return Trade(
        order_id=parsing.identity(parsing.part(message, "oid"), "order id"),
        client_id=_client_id_in(message),
        fill=Fill(
            trade_id=parsing.identity(parsing.part(message, "tid"), "trade id"),
            symbol=symbol(parsing.word(message, "coin")),
            side=parsing.chosen(message, "side", SIDES),
            amount=parsing.positive(message, "sz"),
            price=parsing.positive(message, "px"),
            fee=parsing.number(message, "fee"),
            fee_asset=asset(parsing.word(message, "feeToken")),
            at=parsing.instant(parsing.part(message, "time"), "time of a trade"),
        ),
        forced=parsing.word(message, "dir").startswith(_FORCED),
    )


def by_order(trades: Iterable[Trade]) -> dict[str, list[Trade]]:
    """Trades by the id of their order."""
    found: dict[str, list[Trade]] = {}
    for one in trades:
        found.setdefault(one.order_id, []).append(one)
    return found


def state(message: object) -> ChildState:
    """What the field ``status`` stands for; an unheard-of reason of a cancel or a rejection is one all the same."""
    status = parsing.word(message, "status")
    if status not in _STATES and status.endswith("Canceled"):
        return ChildState.CANCELED
    if status not in _STATES and status.endswith("Rejected"):
        return ChildState.REJECTED
    return parsing.chosen(message, "status", _STATES)


def order(told: object, symbol: Callable[[str], str]) -> OrderRow:
    """An order with its status, as far as it tells itself: its trades have the rest (``with_trades``)."""
    row = parsing.part(told, "order")
    amount, left = (parsing.not_negative(parsing.part(row, name), name) for name in ("origSz", "sz"))
    if left > amount:
        raise StaleData(f"the venue's answer says that {left} of {amount} is left")
    return OrderRow(
        order_id=parsing.identity(parsing.part(row, "oid"), "order id"),
        client_id=_client_id_in(row),
        symbol=symbol(parsing.word(row, "coin")),
        side=parsing.chosen(row, "side", SIDES),
        amount=amount,
        filled=parsing.added(amount, -left),
        average=None,
        limit=parsing.not_negative(parsing.part(row, "limitPx"), "limitPx") or None,
        state=state(told),
        at=parsing.instant(parsing.part(row, "timestamp"), "time of an order"),
        changed_at=parsing.instant(parsing.part(told, "statusTimestamp"), "time of an order's last change"),
    )


def resting(row: object) -> dict[str, object]:
    """An order of the list of open ones, which says neither status nor change, in the form of the others."""
    return {"order": row, "status": "open", "statusTimestamp": parsing.part(row, "timestamp")}


def may_have_trades(told: object, row: OrderRow) -> bool:
    """Whether an order could have been filled in part."""
    ended = row.state in (ChildState.FILLED, ChildState.CANCELED) and parsing.part(told, "status") not in UNTOUCHED
    return ended or row.filled > 0


def with_trades(row: OrderRow, trades: Sequence[Trade]) -> OrderRow:
    """An order and what its trades say of it. StaleData where they are less than it says, or more than it is."""
    told = _told(row, trades)
    if told.filled < row.filled:
        raise StaleData(f"the venue's answer says that {row.filled} was filled, and has trades of {told.filled}")
    return replace(told, state=listing.consistent(row.state, row.state, row.amount, told.filled))


def as_far_as_told(row: OrderRow, trades: Sequence[Trade]) -> OrderRow:
    """Likewise, but an order whose trades are not all told yet is one that may still change."""
    told = _told(row, trades)
    if told.filled < (row.amount if row.state is ChildState.FILLED else row.filled):
        return replace(told, state=ChildState.LIVE)
    return with_trades(row, trades)


def _told(row: OrderRow, trades: Sequence[Trade]) -> OrderRow:
    fills = [one.fill for one in trades]
    forced = any(one.forced for one in trades)
    return replace(row, filled=_total(fills), average=average_price(fills, inverse=False), forced=forced)


def unlisted(order_id: str, trades: list[Trade]) -> OrderRow:
    """An order that only its trades tell of, such as one of the exchange itself."""
    fills = [one.fill for one in trades]
    first = trades[0]
    amount = _total(fills)
    return OrderRow(
        order_id=order_id,
        client_id=first.client_id,
        symbol=first.fill.symbol,
        side=first.fill.side,
        amount=amount,
        filled=amount,
        average=average_price(fills, inverse=False),
        limit=None,
        state=ChildState.FILLED,
        forced=any(one.forced for one in trades),
        at=min(fill.at for fill in fills),
        changed_at=max(fill.at for fill in fills),
    )


@exact
def _total(fills: Iterable[Fill]) -> Decimal:
    return sum((fill.amount for fill in fills), ZERO)
