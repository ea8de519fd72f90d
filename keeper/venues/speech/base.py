"""What a venue behind ccxt can be asked, whichever exchange it is; each exchange has its own way to put it.

A Speech knows the words of one exchange and nothing of retries, deadlines or what an exception proves: that is the venue's
part. It holds no state. What it may use of a connection is a Wire.
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.account import Position
from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes, Setting
from keeper.domain.market import FeeAsset, Market
from keeper.domain.observation import FundingRate, MarketStats
from keeper.domain.order import ChildState, Fill, OrderReport, OrderRequest, VenueOrder
from keeper.domain.statement import Posting
from keeper.venues import listing, parsing
from keeper.venues.concurrency import together
from keeper.venues.listing import OrderRow

BOOK_LEVELS = 100
NOTHING: frozenset[str] = frozenset()
Ask = Callable[[str, tuple[Any, ...], Collection[str]], Awaitable[Any]]
Share = Callable[[str, Callable[["Wire"], Awaitable[Any]]], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the venue reckons with. price: the mark; index: what it follows, None where there is none; both quote per base."""

    price: Decimal
    index: Decimal | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """What an account holds beside its positions.

    balances: units per asset, without open profit and without zeros, negative when borrowed; free_margin: what new positions
    may still bind, in the venue's unit of account, None where nothing is bound or the venue does not say; equities: what the
    venue itself says that each asset comes to, open profit in it included, empty where it says nothing.
    """

    balances: Mapping[str, Decimal]
    free_margin: Decimal | None = None
    equities: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What a Speech may use of a connection, for one question or one cancel.

    exchange: the ccxt instance, connected, whose markets are loaded; clock: tells ``now``; send: calls a method of ccxt with
    arguments, as often as the question may be put, and returns None for the codes it is given; share: puts a question of its
    own about the account, once for all who put the one of that name while it waits for its turn; notes: what was learned of the
    account on this connection, as a Speech wrote it down.
    """

    exchange: Any
    clock: Callable[[], datetime]
    send: Ask
    share: Share
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """When what was asked last was sent, or now where nothing was yet; by the venue's clock, aware UTC."""
        return self.clock()

    async def ask(self, method: str, /, **parameters: object) -> Any:
        """The answer of one of ccxt's raw methods, unread."""
        return await self.send(method, (parameters,), NOTHING)

    async def find(self, method: str, absent: Collection[str], /, **parameters: object) -> Any:
        """As ``ask``; None where the venue refuses with one of the codes ``absent``, by which it says that there is none."""
        return await self.send(method, (parameters,), absent)

    async def unified(self, method: str, *arguments: object) -> Any:
        """The answer of one of ccxt's unified methods, as ccxt read it."""
        return await self.send(method, arguments, NOTHING)

    def market_id(self, symbol: str) -> str:
        """The venue's name of a market that is loaded."""
        return str(self.exchange.markets[symbol]["id"])

    def entry(self, symbol: str) -> Mapping[str, Any]:
        """What ccxt knows of a market that is loaded."""
        found: Mapping[str, Any] = self.exchange.markets[symbol]
        return found

    def contract(self, market: str) -> str:
        """What ccxt calls a derivative; the venue's own word where that has none."""
        return str(self.exchange.safe_symbol(market, None, None, "contract"))

    def pair(self, market: str) -> str:
        """What ccxt calls a spot market; the venue's own word where that has none."""
        return str(self.exchange.safe_symbol(market, None, None, "spot"))

    def asset(self, name: str) -> str:
        """What ccxt calls an asset."""
        return str(self.exchange.safe_currency_code(name))

    @property
    def stamp(self) -> int:
        """``now`` in milliseconds."""
        return parsing.milliseconds(self.now)


class Speech(ABC):
    """The words of one exchange.

    Symbols are ccxt's. Every answer is read whole: StaleData when it can't be, or is about something else than was asked.
    VenueRefused where the venue can't do what is asked, or Keeper can't work with what it says.
    """

    fee_in = FeeAsset.SETTLE
    """What spot markets take their fees in."""
    stated: Collection[str] = ()
    """The limits that the exchange states for every market: see ``parsing.market``."""
    sets: frozenset[Setting] = frozenset()
    """What Keeper can set of an account here."""
    grain = timedelta(0)
    """What the venue's clock counts in, where it tells no more than that."""

    def prepare(self, exchange: Any) -> None:  # noqa: B027 - most exchanges need nothing
        """Change on an instance of ccxt, before its first request, what its options can't."""

    def check_keys(self, _credentials: Mapping[str, str]) -> None:
        """Return when keys, by the configuration's names, look like those that the venue gives out; nothing is asked.

        VenueRefused, whose code is the part that does not, where a signature could not even be made.
        """
        return

    @abstractmethod
    def refusal(self, message: object) -> tuple[str, str] | None:
        """Code and words of an answer (JSON, whole) that says no; None for one that does not, or names no code."""

    def market(self, symbol: str, entry: Mapping[str, Any]) -> Market:
        """What ccxt knows of a market, as a Market whose contracts are what the venue's orders count."""
        return parsing.market(symbol, entry, self.fee_in, self.stated)

    @abstractmethod
    async def time(self, wire: Wire) -> datetime:
        """The venue's clock, aware UTC, no later than it is by the time the answer is here."""

    @abstractmethod
    async def book(self, wire: Wire, symbol: str) -> OrderBook:
        """The order book, BOOK_LEVELS a side where there are as many, in contracts. One that tells no time is of ``wire.now``."""

    async def mark(self, _wire: Wire, _symbol: str) -> Mark | None:
        """Mark and index; None where the market has no mark (spot)."""
        return None

    @abstractmethod
    async def last(self, wire: Wire, symbol: str) -> tuple[Decimal, datetime]:
        """The last price, quote per base, and when it was paid. One that tells no time is of ``wire.now``."""

    @abstractmethod
    async def stats(self, wire: Wire, symbol: str) -> MarketStats:
        """The last 24 hours."""

    async def funding(self, _wire: Wire, _symbol: str) -> FundingRate | None:
        """What longs of a market pay shorts next; None where the exchange tells of none."""
        return None

    async def price(self, wire: Wire, asset: str, currency: str) -> Mark:
        """What a unit of ``asset`` is worth in ``currency``; VenueRefused where no market of the venue tells."""
        known = wire.exchange.markets
        for symbol in (f"{asset}/{currency}", f"{asset}/{currency}:{currency}"):
            if symbol in known and known[symbol].get("active"):
                return await self._mark_or_mid(wire, symbol)
        turned = f"{currency}/{asset}"
        if turned in known and known[turned].get("active"):
            found = await self._mark_or_mid(wire, turned)
            return Mark(price=parsing.inverted(found.price), index=None, at=found.at)
        raise VenueRefused("no_price", f"the venue has no market that prices {asset} in {currency}")

    async def _mark_or_mid(self, wire: Wire, symbol: str) -> Mark:
        if (mark := await self.mark(wire, symbol)) is not None:
            return mark
        book = await self.book(wire, symbol)
        return Mark(price=book.mid, index=None, at=book.at)

    @abstractmethod
    async def check_account(self, wire: Wire) -> None:
        """Return when Keeper can work with this account: keys that are good, one position for each market, leave to trade.

        UnfitAccount where all that is amiss is that nothing can be sized on it.
        """

    def check_market(self, _wire: Wire, _symbol: str) -> None:
        """Return when this kind of account goes with a market, as far as it is known. VenueRefused says what to switch."""
        return

    def account_mode(self, _wire: Wire) -> str:
        """What the venue calls this kind of account; "" where it has one kind alone, or was not asked yet."""
        return ""

    @abstractmethod
    async def wallet(self, wire: Wire) -> Wallet:
        """What the account holds beside its positions."""

    async def positions(self, _wire: Wire) -> Mapping[str, Position]:
        """Open positions by symbol, in signed contracts; none on spot."""
        return {}

    async def holdings(self, wire: Wire) -> tuple[Wallet, Mapping[str, Position]]:
        """``wallet`` and ``positions``, read together. StaleData where money moved from the one to the other in between."""
        wallet, positions = await together(self.wallet(wire), self.positions(wire))
        return wallet, positions

    @abstractmethod
    async def open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Every order that rests in any market of the account, whoever sent it."""

    async def open_orders_of(self, wire: Wire, _symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        """Every order that rests in these markets at least, where that is asked for more cheaply than of all markets."""
        return await self.open_orders(wire)

    async def stops(self, _wire: Wire) -> tuple[VenueOrder, ...]:
        """The stops of ours that rest in any market of the account."""
        return ()

    @abstractmethod
    def parameters(self, request: OrderRequest, stamp: int, left: int) -> dict[str, object]:
        """What ccxt's ``create_order`` is told beside symbol, side, amount and price of an immediate-or-cancel limit order.

        stamp: the venue's time in milliseconds; left: milliseconds that the order has to arrive, where the venue honours it.
        """

    def stop_parameters(self, request: OrderRequest, _stamp: int, _left: int) -> dict[str, object]:
        """What ccxt's ``create_order`` is told of a stop, a market order, beside symbol, side and amount.

        stamp, left: as ``parameters`` is told. VenueRefused where Keeper does not know how this exchange keeps them.
        """
        raise VenueRefused("stop", f"Keeper keeps no stops on this exchange: {request.client_id} is not sent")

    def written(self, client_id: str) -> str:
        """A client id as the request must hold it, or it may not be sent."""
        return client_id

    def headers(self, _request: OrderRequest, _stamp: int, _left: int) -> Mapping[str, str]:
        """What an order's request carries beside what ccxt writes, where that is the venue's way to hear of its deadline.

        stamp, left: as ``parameters`` is told.
        """
        return {}

    def posture(self, _wire: Wire, _symbol: str) -> dict[str, object]:
        """What an order in a market must say of how the account trades it, as last read; nothing where none is needed.

        VenueRefused, and then nothing is sent, where the account can't trade the market.
        """
        return {}

    def signed_at(self, stamp: int, _left: int) -> int:
        """The time that an order is signed with: earlier than it is where a signature lives longer than the order has left.

        stamp, left: as ``parameters`` is told; so is what comes back.
        """
        return stamp

    @abstractmethod
    def placed(self, wire: Wire, answer: object, request: OrderRequest) -> OrderReport | str:
        """What the answer to an order (ccxt's ``info``) proves: a report, LIVE where it tells the ids alone.

        Where the venue does not repeat the client id it is the order's id alone, or nothing where it tells none that can be
        relied on, and proves nothing before it was looked up.
        """

    def missed(self, _wire: Wire, _message: object, _request: OrderRequest) -> OrderReport | str | None:
        """What an answer (JSON, whole) proves that says no only because nobody could be traded with: CANCELED, unfilled.

        Where it does not repeat the client id it is the order's id alone, or nothing, as ``placed`` says. None for every other
        answer, and where an order that misses is answered like any other.
        """
        return None

    @abstractmethod
    async def lookup(self, wire: Wire, symbol: str, client_id: str) -> OrderReport | None:
        """The order under a client id; None only when the venue says that there is none, open or ended."""

    @abstractmethod
    async def fills(self, wire: Wire, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Every trade of one order, oldest first, in contracts; a fee that the venue pays us is negative."""

    @abstractmethod
    async def orders(self, wire: Wire, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Every order of one market placed at ``since`` or later, whoever placed it, resting ones too, oldest first."""

    @abstractmethod
    async def cancel(self, wire: Wire, symbol: str, client_id: str) -> None:
        """Ask for the order under a client id to be canceled; nothing happens when the venue says that it does not rest."""

    async def ledger(self, _wire: Wire, _since: datetime) -> tuple[Posting, ...] | None:
        """What the exchange's own ledger has of the account from ``since`` on, each posting once; None where it does not tell."""
        return None

    async def dead_man(self, _wire: Wire, _symbols: Sequence[str], _within: timedelta | None) -> bool:
        """Have the venue cancel what rests unless asked again ``within``; None takes that off. False where it has no switch."""
        return False

    async def key(self, _wire: Wire) -> KeyFacts:
        """What the key may do, as far as the venue tells."""
        return KeyFacts()

    async def modes(self, _wire: Wire, _symbol: str) -> Modes:
        """How the account trades a market, as far as the venue tells."""
        return Modes()

    async def fees(self, _wire: Wire, _symbol: str) -> FeeRates | None:
        """What this account pays in a market; None where the venue does not tell."""
        return None

    async def brackets(self, _wire: Wire, _symbol: str) -> tuple[Bracket, ...]:
        """A market's leverage table, smallest positions first; empty where the venue does not tell, or nothing is borrowed."""
        return ()

    def most_leverage(self, entry: Mapping[str, Any]) -> Decimal | None:
        """The highest leverage of a market's smallest positions, as its entry has it; None where it has none."""
        told = (parsing.part(entry, "limits").get("leverage") or {}).get("max")
        return None if told is None else parsing.above_zero(told, "most leverage")

    async def ends(self, _wire: Wire, _symbol: str) -> datetime | None:
        """When a market without a date of its own is taken off the list; None where the venue announces nothing."""
        return None

    async def set_one_way(self, _wire: Wire) -> None:
        """Have the account keep one position for each market. Only for one that holds nothing and wants nothing."""
        raise by_hand("its position mode")

    async def set_margin(self, _wire: Wire, _symbol: str, _mode: MarginMode) -> None:
        """Set what backs a position of a market. Only for an account that holds nothing and wants nothing."""
        raise by_hand("its margin mode")

    async def set_leverage(self, _wire: Wire, _symbol: str, _leverage: int) -> None:
        """Set the leverage of a market. Only for an account that holds nothing and wants nothing."""
        raise by_hand("its leverage setting")


def check_base64(secret: str) -> None:
    """VenueRefused for a secret that is not what an exchange gave out that encodes its secrets."""
    try:
        base64.standard_b64decode(secret)
    except ValueError:
        raise VenueRefused(
            "secret", "the secret is no base64, as the venue gives it out: copy all of it, and nothing else"
        ) from None


def by_hand(what: str) -> VenueRefused:
    """The refusal of a change that Keeper can't make on this exchange."""
    return VenueRefused("by_hand", f"Keeper can't change {what} here: do it on the exchange's own site")


def whole(rows: Sequence[OrderRow], since: datetime | None = None) -> tuple[VenueOrder, ...]:
    """Orders that were told, perhaps twice, as VenueOrders, oldest first; those placed before ``since`` are left out."""
    return listing.orders([row for row in rows if since is None or row.at >= since])


def resting(rows: Sequence[OrderRow]) -> tuple[VenueOrder, ...]:
    """Orders that were told to be open. StaleData for one that has ended."""
    found = listing.orders(rows)
    if any(order.state is not ChildState.LIVE for order in found):
        raise StaleData("the venue's answer lists an order as open that has ended")
    return found
