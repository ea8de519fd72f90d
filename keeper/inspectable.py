"""What a venue may tell of an account beside what it holds, as a port: for looking at it before the first order.

A venue that has none of it, such as one on paper, is a ``ports.Venue`` all the same.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

from keeper.domain.errors import UnfitAccount
from keeper.domain.inspection import Bracket, Contact, FeeRates, KeyFacts, MarginMode, Modes, Ways


@runtime_checkable
class Inspectable(Protocol):
    """Reads raise VenueUnavailable, VenueRefused or StaleData. What is set is sent once, and only by ``service.fixing``."""

    @property
    def reached(self) -> Mapping[str, str]:
        """The hosts that were asked on this connection, and the origin that stood for each."""
        ...

    @property
    def ways(self) -> Ways:
        """How settings are changed there."""
        ...

    async def contact(self) -> Contact:
        """How far away the venue is."""
        ...

    async def admit(self) -> None:
        """Return when Keeper can work with this account. VenueRefused says why not.

        UnfitAccount where it can do no more than look, take orders back and reduce.
        """
        ...

    @property
    def unfit(self) -> UnfitAccount | None:
        """Why no more can be done than that, as it was when ``admit`` was last asked; None where the account is fit."""
        ...

    async def key(self) -> KeyFacts:
        """What the key may do, as far as the venue tells."""
        ...

    async def account_mode(self, symbol: str) -> str:
        """What the venue calls the kind of account that trades a market here, "" where it has one kind.

        VenueRefused says which other kind the market needs. Told once the account was admitted, or is in hedge mode.
        """
        ...

    async def modes(self, symbol: str) -> Modes:
        """How the account trades a market, as far as the venue tells."""
        ...

    async def fees(self, symbol: str) -> FeeRates | None:
        """What this account pays in a market; None where the venue does not tell."""
        ...

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        """A market's leverage table, smallest positions first; empty where there is none."""
        ...

    def most_leverage(self, symbol: str) -> Decimal | None:
        """What the list of markets has as the highest leverage of a market; None where it has none."""
        ...

    async def ends(self, symbol: str) -> datetime | None:
        """When a market is taken off the list, aware UTC; None where nothing is announced."""
        ...

    async def set_one_way(self) -> None:
        """Have the account keep one position for each market. VenueRefused where that can't be set from here."""
        ...

    async def set_margin(self, symbol: str, mode: MarginMode) -> None:
        """Set what backs a position of a market. VenueRefused where that can't be set from here."""
        ...

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set the leverage of a market, a whole number. VenueRefused where that can't be set from here."""
        ...
