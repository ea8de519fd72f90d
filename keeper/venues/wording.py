"""How an exchange words the answers that Keeper reads without ccxt: one parser for each, where exchanges differ.

A set of parsers is a value in the exchange's row. Parsers judge answers only: what is asked, and when, is the venue's part.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from keeper.domain.account import Position
from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.market import Side
from keeper.venues import listing, parsing
from keeper.venues.listing import Average

Code = Callable[[str], str]
"""Turns the venue's name of an asset, or of a market, into ccxt's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the venue reckons with. price: the mark; index: what it follows, None where there is none; both quote per base."""

    price: Decimal
    index: Decimal | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The parsers of one exchange. Each takes an answer and raises StaleData when it can't be read whole.

    mode: VenueRefused when Keeper can't work with the account; balances: by asset, without open profit and without zeros;
    free_margin: from the same answer; positions: by ccxt symbol; book: given when it was asked for by the venue's clock;
    mark: of one market; last: quote per base, and its time, given when it was asked for; side: of a trade; average: of an
    order that was filled.
    """

    mode: Callable[[object], None]
    balances: Callable[[object, Code], dict[str, Decimal]]
    free_margin: Callable[[object], Decimal | None]
    positions: Callable[[object, Code], Mapping[str, Position]]
    book: Callable[[object, datetime], OrderBook]
    mark: Callable[[object], Mark]
    last: Callable[[object, datetime], tuple[Decimal, datetime]]
    side: Callable[[object], Side]
    average: Average


def _one_way(message: object) -> None:
    if parsing.part(message, "dualSidePosition") is not False:
        raise parsing.hedge_mode()


def _dated_book(message: object, _asked: datetime) -> OrderBook:
    return parsing.book(message, parsing.instant(parsing.part(message, "T"), "time of the book"))


def _premium(message: object) -> Mark:
    return Mark(
        price=parsing.positive(message, "markPrice"),
        index=parsing.positive(message, "indexPrice"),
        at=parsing.instant(parsing.part(message, "time"), "time of the mark"),
    )


def _dated_last(message: object, _asked: datetime) -> tuple[Decimal, datetime]:
    return parsing.positive(message, "price"), parsing.instant(parsing.part(message, "time"), "time of the last price")


def _available(message: object) -> Decimal:
    return parsing.number(message, "availableBalance")


def _named_side(message: object) -> Side:
    return parsing.chosen(message, "side", listing.SIDES)


def _told_average(message: object, _filled: Decimal) -> Decimal:
    return parsing.positive(message, "avgPrice")


BINANCE_USDM = Wording(
    mode=_one_way,
    balances=parsing.balances,
    free_margin=_available,
    positions=parsing.positions,
    book=_dated_book,
    mark=_premium,
    last=_dated_last,
    side=_named_side,
    average=_told_average,
)


def _may_trade(message: object) -> None:
    if parsing.part(message, "canTrade") is not True:
        raise VenueRefused("can_trade", "the venue has disabled trading on this account: ask it why, or use another account")


def _coins(message: object, code: Code) -> dict[str, Decimal]:
    """Free and locked together: what an open order holds back is still the account's."""
    held: dict[str, Decimal] = {}
    for row in parsing.rows(parsing.part(message, "balances"), "balances"):
        free, locked = (parsing.not_negative(parsing.part(row, name), name) for name in ("free", "locked"))
        asset = code(parsing.word(row, "asset"))
        if asset in held:
            raise StaleData(f"the venue's answer has two balances of {asset}")
        held[asset] = parsing.added(free, locked)
    return {asset: amount for asset, amount in held.items() if amount}


def _undated_book(message: object, asked: datetime) -> OrderBook:
    """A book that tells no time is as old as the question: it can't be older than that."""
    return parsing.book(message, asked)


def _undated_last(message: object, asked: datetime) -> tuple[Decimal, datetime]:
    """Likewise a price that tells no time: it is the last one as of the question."""
    return parsing.positive(message, "price"), asked


def _unbound(_message: object) -> None:
    """Nothing is bound where nothing is borrowed."""


def _buyer(message: object) -> Side:
    return parsing.chosen(message, "isBuyer", {True: Side.BUY, False: Side.SELL})


BINANCE_SPOT = replace(
    BINANCE_USDM,
    mode=_may_trade,
    balances=_coins,
    free_margin=_unbound,
    book=_undated_book,
    last=_undated_last,
    side=_buyer,
    average=listing.paid_in_quote,
)
