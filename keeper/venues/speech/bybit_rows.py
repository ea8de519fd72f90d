"""Bybit's rows, read one at a time: orders, trades, positions, coins, keys, risk limits. What is asked is in ``bybit``."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from keeper.domain.account import Position
from keeper.domain.errors import StaleData
from keeper.domain.inspection import Bracket, KeyFacts
from keeper.domain.market import MarketKind, Side
from keeper.domain.numbers import ZERO, exact
from keeper.domain.order import ChildState, Fill
from keeper.venues import listing, parsing
from keeper.venues.listing import OrderRow

SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_LIVE, _DONE, _GONE = ChildState.LIVE, ChildState.FILLED, ChildState.CANCELED
STATES = {
    "New": _LIVE,
    "PartiallyFilled": _LIVE,
    "Untriggered": _LIVE,
    "Triggered": _LIVE,
    "Filled": _DONE,
    "PartiallyFilledCanceled": _GONE,
    "Cancelled": _GONE,
    "Deactivated": _GONE,
    "Rejected": ChildState.REJECTED,
}
FORCED = frozenset(
    {"CreateByLiq", "CreateByTakeOver_PassThrough", "CreateByAdl_PassThrough", "CreateByAdminClosing", "CreateBySettle"}
)
"""How orders came about that the venue itself placed: to liquidate, to deleverage, to delist or to settle."""
ONE_WAY, HEDGED = 0, (1, 2)
IS_TRADE = {
    "Trade": True,
    "AdlTrade": True,
    "BustTrade": True,
    "BlockTrade": True,
    "MovePosition": True,
    "FutureSpread": True,
    "Funding": False,
    "SessionSettlePnL": False,
    "Settle": False,
    "Delivery": False,
}
NEVER = datetime(1971, 1, 1, tzinfo=UTC)
"""A key that does not expire is said to expire in 1970."""
ANYWHERE = ["*"]
MAY_TRADE = {"ContractTrade": "Order", "Spot": "SpotTrade", "Derivatives": "DerivativesTrade"}


def order(message: object, symbol: Callable[[str], str]) -> OrderRow:
    """One order; ``symbol`` turns the venue's name of a market into ccxt's."""
    market = symbol(parsing.word(message, "symbol"))
    amount, filled = (parsing.not_negative(parsing.part(message, name), name) for name in ("qty", "cumExecQty"))
    if ":" not in market and parsing.chosen(message, "orderType", {"Limit": False, "Market": True}):
        amount = ZERO  # a market order on spot may count the quote
    status, state = parsing.part(message, "orderStatus"), parsing.chosen(message, "orderStatus", STATES)
    if state is ChildState.REJECTED and filled:
        state = _GONE  # the matching engine turned down the rest
    return OrderRow(
        order_id=identity(message, "orderId"),
        client_id=text(message, "orderLinkId"),
        symbol=market,
        side=parsing.chosen(message, "side", SIDES),
        amount=amount,
        filled=filled,
        average=parsing.positive(message, "avgPrice") if filled else None,
        limit=where_told(message, "price"),
        state=listing.consistent(status, state, amount, filled, untouched=status == "New"),
        forced=optional(message, "createType") in FORCED,
        at=placed_at(message),
        changed_at=parsing.instant(parsing.part(message, "updatedTime"), "time of an order's last change"),
    )


def placed_at(message: object) -> datetime:
    """When an order was placed."""
    return parsing.instant(parsing.part(message, "createdTime"), "time of an order")


def fill(row: object, symbol: str, kind: MarketKind, entry: Mapping[str, Any], asset: Callable[[str], str]) -> Fill:
    """One trade. entry: ccxt's of its market; asset: turns the venue's name of an asset into ccxt's.

    Where the fee's asset is not named it is what the market settles in; on spot, where that may be either, StaleData.
    """
    named = optional(row, "feeCurrency")
    if not named and kind is MarketKind.SPOT:
        raise StaleData("the venue's answer does not say what a fee was taken in")
    return Fill(
        trade_id=identity(row, "execId"),
        symbol=symbol,
        side=parsing.chosen(row, "side", SIDES),
        amount=parsing.positive(row, "execQty"),
        price=parsing.positive(row, "execPrice"),
        fee=parsing.number(row, "execFee"),
        fee_asset=asset(named) if named else parsing.word(entry, "settle"),
        at=parsing.instant(parsing.part(row, "execTime"), "time of a trade"),
    )


def is_trade(row: object) -> bool:
    """Whether an execution changed hands; the others are funding and settlement."""
    return parsing.chosen(row, "execType", IS_TRADE)


def position(row: object, symbol: str) -> Position | None:
    """One position, None where nothing is held. VenueRefused where longs and shorts are kept apart.

    USDC contracts pay their open profit out three times a day, and count the rest from the price of that time.
    """
    size = parsing.not_negative(parsing.part(row, "size"), "size")
    if not size:
        return None
    if is_hedged(row):
        raise parsing.hedge_mode()
    session = parsing.positive(row, "sessionAvgPrice") if optional(row, "sessionAvgPrice") else None
    return Position(
        symbol=symbol,
        contracts=_signed(size, parsing.chosen(row, "side", SIDES)),
        entry=session or parsing.positive(row, "avgPrice"),
        mark=parsing.positive(row, "markPrice"),
        liquidation=where_told(row, "liqPrice"),
    )


def is_hedged(row: object) -> bool:
    """Whether a position is one of two in its market."""
    return parsing.chosen(row, "positionIdx", {ONE_WAY: False, **dict.fromkeys(HEDGED, True)})


def key(answer: object) -> KeyFacts:
    """What the venue says of a key. Without a bound address, or after a change of password, keys expire."""
    permissions = parsing.part(answer, "permissions")
    writes = parsing.chosen(answer, "readOnly", {0: True, 1: False})
    told = text(answer, "expiredAt")
    expiry = parsing.moment(told, "expiredAt") if told else NEVER
    addresses = parsing.rows(parsing.part(answer, "ips"), "addresses")
    return KeyFacts(
        may_trade=writes and any(_holds(permissions, group, right) for group, right in MAY_TRADE.items()),
        may_withdraw=writes and _holds(permissions, "Wallet", "Withdraw"),
        ip_bound=bool(addresses) and addresses != ANYWHERE,
        expires_at=expiry if expiry > NEVER else None,
    )


def _holds(permissions: object, group: str, right: str) -> bool:
    if not isinstance(permissions, Mapping):
        raise StaleData("the venue's answer does not say what the key may do")
    return right in parsing.rows(permissions.get(group) or [], group)


@exact
def bracket(row: object, worth: Decimal) -> Bracket:
    """One risk limit. worth: quote per unit that limits are told in.

    The margins are fractions in one answer and percent in another, which the leverage that belongs to them tells.
    """
    leverage, initial = parsing.positive(row, "maxLeverage"), parsing.positive(row, "initialMargin")
    maintenance = parsing.positive(row, "maintenanceMargin")
    percent = leverage * initial > 10  # noqa: PLR2004 - it is 1 or 100, but for rounding
    return Bracket(
        up_to=parsing.positive(row, "riskLimitValue") * worth,
        max_leverage=leverage,
        maintenance=maintenance / 100 if percent else maintenance,
    )


@exact
def net(coin: object) -> Decimal:
    """What an account has of a coin without open profit: less what it borrowed on spot."""
    return parsing.number(coin, "walletBalance") - parsing.not_negative(parsing.part(coin, "spotBorrow"), "spotBorrow")


def identity(message: object, name: str) -> str:
    """Field ``name`` as an id, which is always told as text."""
    return parsing.named(text(message, name), name)


def text(message: object, name: str) -> str:
    """Field ``name`` as text that may be empty."""
    raw = parsing.part(message, name)
    if isinstance(raw, str):
        return raw
    raise StaleData(f"the venue's answer has no text in {name}")


def optional(message: object, name: str) -> str:
    """Field ``name`` as text; empty where there is no such field."""
    return text(message, name).strip() if isinstance(message, Mapping) and name in message else ""


def where_told(message: object, name: str) -> Decimal | None:
    """Field ``name`` as a price; None where it is empty or zero."""
    raw = parsing.part(message, name)
    return None if raw == "" else parsing.not_negative(raw, name) or None


def _signed(size: Decimal, side: Side) -> Decimal:
    return size if side is Side.BUY else -size
