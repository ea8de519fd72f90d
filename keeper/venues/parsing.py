"""The edge: what an exchange answered, as values of the domain or StaleData. Nothing unread passes.

What the answers of all exchanges are made of is read here, and ccxt's unified markets; the words of one are its speech's.
Numbers are read from text; NaN, infinity, None, a missing field and a negative price are StaleData.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from keeper.domain.account import Position
from keeper.domain.book import Level, OrderBook
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.market import FeeAsset, Market, MarketKind
from keeper.domain.numbers import exact, parse_wire
from keeper.domain.observation import MarketStats
from keeper.domain.order import Fill
from keeper.domain.statement import Posting

T = TypeVar("T")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MISSING = object()
_IDENTITY = re.compile(r"[1-9][0-9]{0,29}")
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_:.-]{0,79}")


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


def named(raw: object, name: str) -> str:
    """One id off the wire that is letters and digits, or a whole number, as text. StaleData when it is none."""
    if isinstance(raw, str | int) and not isinstance(raw, bool) and _NAME.fullmatch(str(raw)):
        return str(raw)
    raise StaleData(f"{name} is {_shown(raw)}, which identifies nothing")


def text_id(message: object, name: str) -> str:
    """Field ``name`` as an id that is text: letters and digits. StaleData when it is none."""
    return named(word(message, name), name)


def about(message: object, market: str, name: str = "symbol") -> object:
    """``message``, once its field ``name`` says that it is about ``market`` (the venue's). StaleData when it is about another."""
    if word(message, name) != market:
        raise StaleData(f"the venue's answer is about {_shown(part(message, name))}, asked was {market}")
    return message


def only(found: list[Any], what: str) -> Any:
    """The one row that was asked for. StaleData when there are none, or more."""
    if len(found) != 1:
        raise StaleData(f"the venue's answer holds {len(found)} {what}, asked was one")
    return found[0]


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


@exact
def inverted(price: Decimal) -> Decimal:
    """The same price with both sides changed over."""
    return 1 / price


@exact
def worth(position: Position, each: Decimal, *, inverse: bool) -> Decimal:
    """What a position is worth at its mark, absolute, quote. each: what one contract is, base, or quote where it is inverse."""
    return abs(position.contracts * each * (1 if inverse else position.mark))


@exact
def summed(balances: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    """Add ``amount`` to the balance of ``asset``."""
    balances[asset] = balances.get(asset, Decimal(0)) + amount


def moment(raw: object, name: str) -> datetime:
    """A time in words (ISO 8601, with its zone), as aware UTC."""
    if isinstance(raw, str):
        try:
            read = datetime.fromisoformat(raw)
        except ValueError:
            read = None
        if read is not None and read.tzinfo is not None:
            return read.astimezone(UTC)
    raise StaleData(f"{name} is {_shown(raw)}, no time")


def since_epoch(raw: object, name: str, *, per_second: int) -> datetime:
    """A count of seconds, or of parts of them (``per_second``), since 1970, as aware UTC, to the microsecond below."""
    value = above_zero(raw, name)
    try:
        return EPOCH + timedelta(microseconds=int(value * 1_000_000 / per_second))
    except OverflowError:
        raise StaleData(f"{name} is {value}, no time") from None


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


def market(symbol: str, entry: Mapping[str, Any], fee_in: FeeAsset, stated: Collection[str] = ()) -> Market:
    """A market structure of ccxt as a Market that takes its fees in ``fee_in``. VenueRefused for one that Keeper can't trade.

    stated: the limits (``price``, ``amount``, ``cost``) that this exchange states for every market, so that one without is
    StaleData; of the others, what is not stated is zero.
    """
    kind = _kind(symbol, entry)
    precision, limits = part(entry, "precision"), part(entry, "limits")
    least = {name: _least(limits, name, stated=name in stated) for name in ("price", "amount", "cost")}
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
        min_amount=least["amount"],
        min_cost=least["cost"],
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


def _least(limits: object, name: str, *, stated: bool) -> Decimal:
    raw = part(part(limits, name), "min")
    return Decimal(0) if raw is None and not stated else not_negative(raw, f"minimum {name}")


def hedge_mode() -> VenueRefused:
    """The refusal of an account that keeps long and short positions of one market apart."""
    remedy = "the account is in hedge mode, where a market has two positions: close them and switch its position mode to one-way"
    return VenueRefused("hedge_mode", remedy)


def book(message: object, at: datetime) -> OrderBook:
    """``bids`` and ``asks``, rows of price and amount, dated ``at``. StaleData for a book that can't be traded on."""
    return levels(part(message, "bids"), part(message, "asks"), at)


def levels(bids: object, asks: object, at: datetime) -> OrderBook:
    """Rows of price and amount (contracts), best first, as a book dated ``at``. StaleData for one that can't be traded on."""
    read = OrderBook(bids=_levels(bids, "bids"), asks=_levels(asks, "asks"), at=at)
    faults = read.faults()
    if faults:
        raise StaleData(f"the order book is unfit: {'; '.join(faults)}")
    return read


def _levels(side: object, name: str) -> tuple[Level, ...]:
    found = []
    for row in rows(side, name):
        price, amount, *_ = [*rows(row, name), None, None]
        found.append(Level(above_zero(price, f"a price of {name}"), above_zero(amount, f"an amount of {name}")))
    return tuple(found)


@exact
def day(*, volume: Decimal, high: Decimal, low: Decimal) -> MarketStats:
    """A day of a market. volume: base; its volatility from high and low: ln(high / low) / sqrt(4 ln 2) (Parkinson 1980)."""
    if high < low:
        raise StaleData(f"the day's high {high} is below its low {low}")
    return MarketStats(volume=volume, volatility=(high / low).ln() / (4 * Decimal(2).ln()).sqrt())


def trades(found: Iterable[Fill]) -> tuple[Fill, ...]:
    """The trades of one order, oldest first. StaleData when one comes twice."""
    read = list(found)
    if len({fill.trade_id for fill in read}) != len(read):
        raise StaleData("the venue's answer has one trade twice")
    return tuple(sorted(read, key=lambda fill: (fill.at, len(fill.trade_id), fill.trade_id)))


def postings(found: Iterable[Posting | None]) -> tuple[Posting, ...]:
    """Postings of a ledger, each of them once. StaleData where two of one id differ."""
    read: dict[str, Posting] = {}
    for posting in found:
        if posting is not None and read.setdefault(posting.id, posting) != posting:
            raise StaleData(f"the venue's ledger tells two things under {posting.id}")
    return tuple(read.values())


def _shown(raw: object) -> str:
    return repr(raw)[:40]
