"""Reads an account and its markets in one round trip: every read is in flight together."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Self

from keeper.domain.account import Account
from keeper.domain.errors import KeeperError, VenueRefused
from keeper.domain.market import Market
from keeper.domain.observation import MarketStats, Observation, Quote
from keeper.ports import Clock, Venue


class Observer:
    """Observes the markets of one fund on one venue.

    currency: what the fund counts in; assets: whose balances are the fund's, None where all of them are.
    """

    def __init__(
        self, venue: Venue, markets: Mapping[str, Market], currency: str, clock: Clock, assets: Collection[str] | None = None
    ) -> None:
        self._venue = venue
        self._clock = clock
        self.markets = markets
        self.currency = currency
        self._assets = assets

    @classmethod
    async def on(
        cls, venue: Venue, symbols: Sequence[str], currency: str | None, clock: Clock, assets: Collection[str] | None = None
    ) -> Self:
        """An observer of ``symbols``; ``currency`` defaults to what they are quoted in, ``assets`` to all that is there.

        VenueRefused when the venue lacks a symbol, or one is not quoted in the currency.
        """
        markets = await venue.markets(symbols)
        counted = currency or next(iter(markets.values())).quote
        for market in markets.values():
            if market.quote != counted:
                message = f"{market.symbol} is quoted in {market.quote}, the fund counts in {counted}: all its markets must agree"
                raise VenueRefused("currency", message)
        return cls(venue, markets, counted, clock, assets)

    async def observe(self, *, with_stats: bool = False) -> Observation:
        """The account and every market now. VenueUnavailable, VenueRefused or StaleData when any read fails."""
        account: Account | None = None
        quotes: dict[str, Quote] = {}
        stats: dict[str, MarketStats] = {}

        async def read_account() -> None:
            nonlocal account
            account = await self._venue.account()

        async def read_quote(symbol: str) -> None:
            quotes[symbol] = await self._venue.quote(symbol)

        async def read_stats(symbol: str) -> None:
            stats[symbol] = await self._venue.stats(symbol)

        await together(
            read_account(),
            *(read_quote(symbol) for symbol in self.markets),
            *(read_stats(symbol) for symbol in self.markets if with_stats),
        )
        if account is None:
            message = "the account was not read"
            raise VenueRefused("account", message)
        return Observation(
            account=account if self._assets is None else account.only(self._assets),
            markets=self.markets,
            quotes=quotes,
            currency=self.currency,
            at=self._clock.now(),
            stats=stats,
        )


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of ``work`` at once; when one raises an error of ours the rest is cancelled and that error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except* KeeperError as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
