"""The edge: what an exchange answered, as values of the domain or StaleData. Nothing unread passes.

Takes ccxt's unified markets and orders, and Binance's own words for everything else; where its markets differ, ``wording``
says how. Numbers are read from text; NaN, infinity, None, a missing field and a negative price are StaleData.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from keeper.domain.account import Position
from keeper.domain.book import Level, OrderBook
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.market import FeeAsset, Market, MarketKind, Side
from keeper.domain.numbers import ZERO, exact, parse_wire
from keeper.domain.observation import MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport

T = TypeVar("T")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATES = {
    "open": ChildState.LIVE,
    "canceling": ChildState.LIVE,
    "closed": ChildState.FILLED,
    "canceled": ChildState.CANCELED,
    "expired": ChildState.CANCELED,
    "rejected": ChildState.REJECTED,
}
_MISSING = object()


def part(message: object, name: str) -> Any:
    """Field ``name`` of a JSON object. StaleData when it is missing or ``message`` is no object."""
    found = message.get(name, _MISSING) if isinstance(message, Mapping) else _MISSING
    if found is _MISSING:
        raise StaleData(f"the venue's answer has no {name}")
    return found


def rows(message: object, what: str) -> list[Any]:
    """``message`` as a JSON array. StaleData when it is none."""
    if not isinstance(message, list):
        raise StaleData(f"the venue's answer holds no list of {what}")
    return message


def number(message: object, name: str) -> Decimal:
    """Field ``name`` as a finite Decimal."""
    return finite(part(message, name), name)


def positive(message: object, name: str) -> Decimal:
    """Field ``name`` as a finite Decimal above zero."""
    return above_zero(part(message, name), name)


def finite(raw: object, name: str) -> Decimal:
    """One number off the wire. StaleData when it is not finite."""
    if isinstance(raw, str | int | float) and not isinstance(raw, bool):
        try:
            return parse_wire(str(raw))
        except ValueError:
            pass
    raise StaleData(f"{name} is {_shown(raw)}, not a finite number")


def above_zero(raw: object, name: str) -> Decimal:
    """One price or size off the wire. StaleData when it is not finite and above zero."""
    value = finite(raw, name)
    if not value > 0:
        raise StaleData(f"{name} is {value}, not above zero")
    return value


def not_negative(raw: object, name: str) -> Decimal:
    """One amount off the wire. StaleData when it is not finite or below zero."""
    value = finite(raw, name)
    if not value >= 0:
        raise StaleData(f"{name} is {value}, below zero")
    return value


def chosen(message: object, name: str, choices: Mapping[Any, T]) -> T:
    """What field ``name`` stands for. StaleData when it is none of ``choices``."""
    raw = part(message, name)
    for word, meaning in choices.items():
        if raw == word and type(raw) is type(word):
            return meaning
    raise StaleData(f"{name} is {_shown(raw)}, which Keeper does not know")


@exact
def added(one: Decimal, other: Decimal) -> Decimal:
    """The sum of two amounts."""
    return one + other


def instant(raw: object, name: str) -> datetime:
    """Milliseconds since 1970, whole, as aware UTC."""
    value = above_zero(raw, name)
    try:
        return EPOCH + timedelta(milliseconds=int(value))
    except OverflowError:
        raise StaleData(f"{name} is {value}, no time") from None


def milliseconds(at: datetime) -> int:
    """``at`` (aware) as milliseconds since 1970, rounded down."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def market(symbol: str, entry: Mapping[str, Any], fee_in: FeeAsset) -> Market:
    """A market structure of ccxt as a Market that takes its fees in ``fee_in``. VenueRefused for one that Keeper can't trade."""
    kind = _kind(symbol, entry)
    precision, limits = part(entry, "precision"), part(entry, "limits")
    base, quote = str(part(entry, "base")), str(part(entry, "quote"))
    return Market(
        symbol=symbol,
        kind=kind,
        base=base,
        quote=quote,
        settle=quote if kind is MarketKind.SPOT else str(part(entry, "settle")),
        contract_size=Decimal(1) if kind is MarketKind.SPOT else positive(entry, "contractSize"),
        tick=positive(precision, "price"),
        lot=positive(precision, "amount"),
        min_amount=_least(limits, "amount"),
        min_cost=_least(limits, "cost"),
        taker=number(entry, "taker"),
        maker=number(entry, "maker"),
        fee_in=fee_in,
    )


def _kind(symbol: str, entry: Mapping[str, Any]) -> MarketKind:
    if not entry.get("active"):
        raise VenueRefused("inactive", f"{symbol} is not open at the venue: wait until it is, or name another market")
    if entry.get("option"):
        raise VenueRefused("option", f"{symbol} is an option, which Keeper does not trade: name a spot or perpetual market")
    if entry.get("future") or entry.get("expiry"):
        raise VenueRefused("dated", f"{symbol} expires, which Keeper does not handle: name the perpetual market")
    if entry.get("spot"):
        return MarketKind.SPOT
    if entry.get("linear"):
        return MarketKind.LINEAR
    if entry.get("inverse"):
        return MarketKind.INVERSE
    raise VenueRefused("quanto", f"{symbol} settles in neither its base nor its quote: name another market")


def _least(limits: object, name: str) -> Decimal:
    least = part(limits, name).get("min")
    return ZERO if least is None else not_negative(least, f"minimum {name}")


def balances(message: object, code: Callable[[str], str]) -> dict[str, Decimal]:
    """Wallet balances by asset, without open profit and without zeros; ``code`` turns the venue's asset into ccxt's."""
    held: dict[str, Decimal] = {}
    for row in rows(part(message, "assets"), "assets"):
        amount = number(row, "walletBalance")
        if amount:
            held[code(str(part(row, "asset")))] = amount
    return held


def positions(message: object, symbol: Callable[[str], str]) -> dict[str, Position]:
    """Open positions by ccxt symbol, signed. VenueRefused when the account is in hedge mode."""
    held: dict[str, Position] = {}
    for row in rows(message, "positions"):
        name = symbol(str(part(row, "symbol")))
        contracts = number(row, "positionAmt")
        if not contracts:
            continue
        if part(row, "positionSide") != "BOTH" or name in held:
            raise hedge_mode()
        held[name] = Position(
            symbol=name, contracts=contracts, entry=positive(row, "entryPrice"), mark=positive(row, "markPrice")
        )
    return held


def hedge_mode() -> VenueRefused:
    """The refusal of an account that keeps long and short positions of one market apart."""
    remedy = "the account is in hedge mode, where a market has two positions: close them and switch its position mode to one-way"
    return VenueRefused("hedge_mode", remedy)


def open_orders(orders: object) -> tuple[str, ...]:
    """Client ids of the orders that rest, the venue's id where there is none."""
    return tuple(str(part(order, "clientOrderId") or part(order, "orderId")) for order in rows(orders, "orders"))


def book(message: object, at: datetime) -> OrderBook:
    """Binance's depth, dated ``at``. StaleData for a book that can't be traded on."""
    read = OrderBook(
        bids=_levels(part(message, "bids"), "bids"),
        asks=_levels(part(message, "asks"), "asks"),
        at=at,
    )
    faults = read.faults()
    if faults:
        raise StaleData(f"the order book is unfit: {'; '.join(faults)}")
    return read


def _levels(side: object, name: str) -> tuple[Level, ...]:
    levels = []
    for row in rows(side, name):
        price, amount, *_ = [*rows(row, name), None, None]
        levels.append(Level(above_zero(price, f"a price of {name}"), above_zero(amount, f"an amount of {name}")))
    return tuple(levels)


@exact
def stats(message: object) -> MarketStats:
    """A day's volume and, from its high and low, volatility: ln(high / low) / sqrt(4 ln 2) (Parkinson 1980)."""
    high, low = positive(message, "highPrice"), positive(message, "lowPrice")
    if high < low:
        raise StaleData(f"the day's high {high} is below its low {low}")
    return MarketStats(
        volume=not_negative(part(message, "volume"), "volume"), volatility=(high / low).ln() / (4 * Decimal(2).ln()).sqrt()
    )


def report(order: object, client_id: str) -> OrderReport:
    """An order structure of ccxt as what it proves. StaleData when it is not whole or not the order of ``client_id``."""
    order_id = part(order, "id")
    if not order_id:
        raise StaleData("the venue's answer names no order id")
    if part(order, "clientOrderId") != client_id:
        raise StaleData("the venue's answer is not about this order: another client order id")
    state = STATES.get(str(part(order, "status")))
    if state is None:
        raise StaleData(f"the venue's answer has an order status that Keeper does not know: {_shown(part(order, 'status'))}")
    filled = not_negative(part(order, "filled"), "filled")
    if state is ChildState.FILLED and not filled:
        raise StaleData("the venue's answer says filled, and that nothing was")
    average = above_zero(part(order, "average"), "average") if filled else None
    return OrderReport(order_id=str(order_id), client_id=client_id, state=state, filled=filled, average=average)


def fills(
    message: object, symbol: str, order_id: str, code: Callable[[str], str], side: Callable[[object], Side]
) -> tuple[Fill, ...]:
    """The trades of one order, oldest first, each of the ``side`` its row tells; a fee that the venue pays us is negative."""
    own = [row for row in rows(message, "trades") if str(part(row, "orderId")) == order_id]
    read = [_fill(row, symbol, code, side(row)) for row in own]
    return tuple(sorted(read, key=lambda fill: (fill.at, len(fill.trade_id), fill.trade_id)))


def _fill(row: object, symbol: str, code: Callable[[str], str], side: Side) -> Fill:
    return Fill(
        trade_id=str(part(row, "id")),
        symbol=symbol,
        side=side,
        amount=positive(row, "qty"),
        price=positive(row, "price"),
        fee=number(row, "commission"),
        fee_asset=code(str(part(row, "commissionAsset"))),
        at=instant(part(row, "time"), "time of a trade"),
    )


def _shown(raw: object) -> str:
    return repr(raw)[:40]
