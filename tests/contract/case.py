"""What the contract suite knows of a venue: how to open one, the truth behind it, and which abilities it lacks.

A case is a venue with a world behind it. The suite asks the venue through its port and holds every answer against the world.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum, auto
from typing import Any, Protocol

from keeper.domain.market import MarketKind, Side
from keeper.domain.order import OrderRequest, client_id
from keeper.ports import Venue

USUAL = Decimal(3_000)
"""Notional of an order that nothing speaks against, quote."""
REACH = Decimal("0.002")
"""How far beyond the mid the limit of an order that fills whole is."""


class Ability(StrEnum):
    """What not every venue can do, or suffers."""

    WIRE = auto()
    TESTNET = auto()
    RESTING = auto()
    REDUCE_ONLY = auto()
    CLOSING = auto()
    HEDGE_MODE = auto()
    FORCED_ORDERS = auto()
    DEAD_MAN = auto()
    FREE_MARGIN = auto()
    VOLUME = auto()
    DUPLICATES = auto()
    DUPLICATES_EVER = auto()
    REJECTIONS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A market as the world has it; units as in ``keeper.domain.market.Market``."""

    kind: MarketKind
    contract_size: Decimal
    tick: Decimal
    lot: Decimal
    min_amount: Decimal
    min_cost: Decimal

    def contracts(self, notional: Decimal, price: Decimal) -> Decimal:
        """Whole lots worth ``notional`` quote at most."""
        each = self.contract_size * (1 if self.kind is MarketKind.INVERSE else price)
        return (notional / each / self.lot).to_integral_value(ROUND_FLOOR) * self.lot

    def worth(self, contracts: Decimal, price: Decimal) -> Decimal:
        """Signed contracts in quote."""
        return contracts * self.contract_size * (1 if self.kind is MarketKind.INVERSE else price)

    @property
    def smallest(self) -> Decimal:
        """Contracts that an order has at least, but for its cost."""
        return max(self.lot, self.min_amount)


@dataclass(frozen=True, slots=True)
class Held:
    """A position in the world: signed contracts, entry and mark in quote per base."""

    contracts: Decimal
    entry: Decimal
    mark: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """One execution in the world; client_id: of its order, as the venue has it."""

    trade_id: str
    client_id: str
    symbol: str
    sign: int
    amount: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str


class World(Protocol):
    """A venue that is connected, and what is true of it. Symbols are ccxt's."""

    @property
    def venue(self) -> Venue: ...

    def rules(self, symbol: str) -> Rules: ...

    def mark(self, symbol: str) -> Decimal: ...

    def displayed(self, symbol: str, sign: int) -> list[tuple[Decimal, Decimal]]:
        """Price and contracts of what an order of ``sign`` finds, best first."""
        ...

    def balances(self) -> Mapping[str, Decimal]: ...

    def positions(self) -> Mapping[str, Held]: ...

    def free_margin(self) -> Decimal | None: ...

    def trades(self) -> list[Traded]: ...

    def known_as(self, client_id: str) -> str:
        """What the venue has in place of a client id of Keeper's."""
        ...

    def taken(self) -> list[str]:
        """Client ids of the orders that the venue took, as it has them, oldest first."""
        ...

    def nav(self) -> Decimal:
        """What the account is worth at the marks, quote of the main market."""
        ...

    def exposure(self, symbol: str) -> Decimal:
        """What it gains when the market's base doubles, quote."""
        ...

    def move(self, factor: Decimal) -> None:
        """Multiply every price, to the tick."""
        ...

    def lower_than_allowed(self) -> OrderRequest:
        """An order below the smallest that the main market takes."""
        ...

    def beyond_its_means(self) -> OrderRequest:
        """An order that the account can't bear."""
        ...


class VenueCase(Protocol):
    """One line of ``cases.py``.

    exchange: ccxt's id, or ``paper``; main, second: symbols; lacks: abilities, and why; targets: of a fund on it, multiples of
    NAV by symbol; drop: the price move after which that fund has to sell.
    """

    @property
    def name(self) -> str: ...

    @property
    def exchange(self) -> str: ...

    @property
    def main(self) -> str: ...

    @property
    def second(self) -> str: ...

    @property
    def lacks(self) -> Mapping[Ability, str]: ...

    @property
    def targets(self) -> Mapping[str, Decimal]: ...

    @property
    def drop(self) -> Decimal: ...

    def opened(self, *, held: Mapping[str, Decimal] | None = None, **changes: Any) -> AbstractAsyncContextManager[World]:
        """A world of its own. held: signed notional by symbol at the start; changes: other arguments of the venue."""
        ...


def name_of(world: World, number: int = 1) -> str:
    """A client id such as Keeper makes for this venue."""
    length = world.venue.info.client_id_length
    return client_id(account="a", fund="contract", run="r", leg=0, sequence=number, length=length)


def order(world: World, symbol: str, **changes: Any) -> OrderRequest:
    """Buy for ``USUAL`` at a price that fills whole, within five seconds of the venue's clock. changes: of the request."""
    side = changes.get("side", Side.BUY)
    price = reaching(world, symbol, side)
    parts: dict[str, Any] = {
        "client_id": name_of(world),
        "symbol": symbol,
        "side": side,
        "amount": world.rules(symbol).contracts(USUAL, price),
        "price": price,
        "reduce_only": False,
        "deadline": world.venue.clock.now() + timedelta(seconds=5),
    }
    return OrderRequest(**(parts | changes))


def reaching(world: World, symbol: str, side: Side, reach: Decimal = REACH) -> Decimal:
    """A limit ``reach`` beyond the mark on the side of whoever it matches; below zero: that does not reach the book."""
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    return on_tick(world.mark(symbol) * (1 + side.sign * reach), world.rules(symbol).tick, rounding)


def on_tick(price: Decimal, tick: Decimal, rounding: str = ROUND_FLOOR) -> Decimal:
    """``price`` on the tick."""
    return (price / tick).to_integral_value(rounding) * tick
