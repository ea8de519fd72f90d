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
from keeper.venues import parsing

Code = Callable[[str], str]
"""Turns the venue's name of an asset, or of a market, into ccxt's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The parsers of one exchange. Each takes an answer and raises StaleData when it can't be read whole.

    mode: VenueRefused when Keeper can't work with the account; balances: by asset, without open profit and without zeros;
    positions: by ccxt symbol; book: given when it was asked for by the venue's clock; mark: quote per base, and its time;
    side: of a trade.
    """

    mode: Callable[[object], None]
    balances: Callable[[object, Code], dict[str, Decimal]]
    positions: Callable[[object, Code], Mapping[str, Position]]
    book: Callable[[object, datetime], OrderBook]
    mark: Callable[[object], tuple[Decimal, datetime]]
    side: Callable[[object], Side]


def _one_way(message: object) -> None:
    if parsing.part(message, "dualSidePosition") is not False:
        raise parsing.hedge_mode()


def _dated_book(message: object, _asked: datetime) -> OrderBook:
    return parsing.book(message, parsing.instant(parsing.part(message, "T"), "time of the book"))


def _premium(message: object) -> tuple[Decimal, datetime]:
    return parsing.positive(message, "markPrice"), parsing.instant(parsing.part(message, "time"), "time of the mark")


def _named_side(message: object) -> Side:
    sides = {"BUY": Side.BUY, "SELL": Side.SELL}
    return parsing.chosen(message, "side", sides)


BINANCE_USDM = Wording(
    mode=_one_way,
    balances=parsing.balances,
    positions=parsing.positions,
    book=_dated_book,
    mark=_premium,
    side=_named_side,
)


def _may_trade(message: object) -> None:
    if parsing.part(message, "canTrade") is not True:
        raise VenueRefused("can_trade", "the venue has disabled trading on this account: ask it why, or use another account")


def _coins(message: object, code: Code) -> dict[str, Decimal]:
    """Free and locked together: what an open order holds back is still the account's."""
    held: dict[str, Decimal] = {}
    for row in parsing.rows(parsing.part(message, "balances"), "balances"):
        free, locked = (parsing.not_negative(parsing.part(row, name), name) for name in ("free", "locked"))
        asset = code(str(parsing.part(row, "asset")))
        if asset in held:
            raise StaleData(f"the venue's answer has two balances of {asset}")
        held[asset] = parsing.added(free, locked)
    return {asset: amount for asset, amount in held.items() if amount}


def _undated_book(message: object, asked: datetime) -> OrderBook:
    """A book that tells no time is as old as the question: it can't be older than that."""
    return parsing.book(message, asked)


def _buyer(message: object) -> Side:
    return parsing.chosen(message, "isBuyer", {True: Side.BUY, False: Side.SELL})


BINANCE_SPOT = replace(BINANCE_USDM, mode=_may_trade, balances=_coins, book=_undated_book, side=_buyer)
