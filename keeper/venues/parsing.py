"""The edge: what an exchange answered, as values of the domain or StaleData. Nothing unread passes.

Takes ccxt's unified markets, and Binance's own words for everything else; where its markets differ, ``wording`` says how.
Numbers are read from text; NaN, infinity, None, a missing field and a negative price are StaleData.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from keeper.domain.account import Position
from keeper.domain.book import Level, OrderBook
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.market import FeeAsset, Market, MarketKind, Side
from keeper.domain.numbers import exact, parse_wire
from keeper.domain.observation import MarketStats
from keeper.domain.order import Fill

T = TypeVar("T")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MISSING = object()
_IDENTITY = re.compile(r"[1-9][0-9]{0,29}")


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


def word(message: object, name: str) -> str:
    """Field ``name`` as text that names something. StaleData when it does not."""
    raw = part(message, name)
    if isinstance(raw, str) and raw.strip():
        return raw
    raise StaleData(f"{name} is {_shown(raw)}, which names nothing")


def identity(raw: object, name: str) -> str:
    """One number off the wire that counts orders or trades, as text. StaleData when it is none."""
    if isinstance(raw, str | int) and not isinstance(raw, bool) and _IDENTITY.fullmatch(str(raw)):
        return str(raw)
    raise StaleData(f"{name} is {_shown(raw)}, which identifies nothing")


def about(message: object, market: str) -> object:
    """``message``, once it says that it is about ``market`` (the venue's name). StaleData when it is about another."""
    if word(message, "symbol") != market:
        raise StaleData(f"the venue's answer is about {_shown(part(message, 'symbol'))}, asked was {market}")
    return message


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
        if value == int(value):
            return EPOCH + timedelta(milliseconds=int(value))
    except OverflowError:
        pass
    raise StaleData(f"{name} is {value}, no time")


def milliseconds(at: datetime) -> int:
    """``at`` (aware) as milliseconds since 1970, rounded down."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def market(symbol: str, entry: Mapping[str, Any], fee_in: FeeAsset) -> Market:
    """A market structure of ccxt as a Market that takes its fees in ``fee_in``. VenueRefused for one that Keeper can't trade."""
    kind = _kind(symbol, entry)
    precision, limits = part(entry, "precision"), part(entry, "limits")
    _least(limits, "price")  # without the rule that holds it, ccxt takes the digits shown for the tick
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
    return not_negative(part(part(limits, name), "min"), f"minimum {name}")


def balances(message: object, code: Callable[[str], str]) -> dict[str, Decimal]:
    """Wallet balances by asset, without open profit and without zeros; ``code`` turns the venue's asset into ccxt's."""
    held: dict[str, Decimal] = {}
    for row in rows(part(message, "assets"), "assets"):
        asset, amount = code(word(row, "asset")), number(row, "walletBalance")
        if asset in held:
            raise StaleData(f"the venue's answer has two balances of {asset}")
        held[asset] = amount
    return {asset: amount for asset, amount in held.items() if amount}


def positions(message: object, symbol: Callable[[str], str]) -> dict[str, Position]:
    """Open positions by ccxt symbol, signed. VenueRefused when the account is in hedge mode."""
    held: dict[str, Position] = {}
    for row in rows(message, "positions"):
        name = symbol(word(row, "symbol"))
        contracts = number(row, "positionAmt")
        if not contracts:
            continue
        if part(row, "positionSide") != "BOTH" or name in held:
            raise hedge_mode()
        held[name] = Position(
            symbol=name,
            contracts=contracts,
            entry=positive(row, "entryPrice"),
            mark=positive(row, "markPrice"),
            liquidation=not_negative(part(row, "liquidationPrice"), "liquidationPrice") or None,
        )
    return held


def hedge_mode() -> VenueRefused:
    """The refusal of an account that keeps long and short positions of one market apart."""
    remedy = "the account is in hedge mode, where a market has two positions: close them and switch its position mode to one-way"
    return VenueRefused("hedge_mode", remedy)


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


def fills(
    message: object, symbol: str, order_id: str, code: Callable[[str], str], side: Callable[[object], Side]
) -> tuple[Fill, ...]:
    """The trades of one order, oldest first, each of the ``side`` its row tells; a fee that the venue pays us is negative."""
    own = [row for row in rows(message, "trades") if identity(part(row, "orderId"), "order id") == order_id]
    read = [_fill(row, symbol, code, side(row)) for row in own]
    if len({fill.trade_id for fill in read}) != len(read):
        raise StaleData("the venue's answer has one trade twice")
    return tuple(sorted(read, key=lambda fill: (fill.at, len(fill.trade_id), fill.trade_id)))


def _fill(row: object, symbol: str, code: Callable[[str], str], side: Side) -> Fill:
    return Fill(
        trade_id=identity(part(row, "id"), "trade id"),
        symbol=symbol,
        side=side,
        amount=positive(row, "qty"),
        price=positive(row, "price"),
        fee=number(row, "commission"),
        fee_asset=code(word(row, "commissionAsset")),
        at=instant(part(row, "time"), "time of a trade"),
    )


def _shown(raw: object) -> str:
    return repr(raw)[:40]
