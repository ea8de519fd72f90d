"""Reads an account and its markets in one round trip: every read is in flight together."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

import structlog

from keeper.domain.account import Account, asset_prices
from keeper.domain.book import OrderBook
from keeper.domain.errors import KeeperError, StaleData, VenueError, VenueRefused
from keeper.domain.market import Market
from keeper.domain.observation import MarketStats, Observation, Quote
from keeper.ports import Clock, Venue

AGAIN = timedelta(seconds=30)
"""How long a market that can't be read is not asked for, or its timeouts would make stale what was read of the others."""
log = structlog.get_logger()


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
        self._priced = {currency, *(market.base for market in markets.values())}
        self._beside: frozenset[str] = frozenset()
        self._mute: dict[str, datetime] = {}

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

    def owns(self, asset: str) -> bool:
        """Whether what the account has of ``asset`` is the fund's."""
        return self._assets is None or asset in self._assets

    @property
    def partial(self) -> "PartialObserver":
        """One that does without what can't be read."""
        partial = PartialObserver(self._venue, self.markets, self.currency, self._clock, self._assets)
        partial._mute = self._mute  # noqa: SLF001 - another one of this class
        return partial

    def mute_for(self, span: timedelta) -> frozenset[str]:
        """The markets of which whoever asked got no sane book for ``span`` or longer."""
        since = self._clock.now() - span
        return frozenset(symbol for symbol, at in self._mute.items() if at <= since)

    async def observe(self, *, with_stats: bool = False) -> Observation:
        """The account and every market now. VenueUnavailable, VenueRefused or StaleData when a read that is needed fails."""
        account: Account | None = None
        conversions: dict[str, Decimal] = {}
        quotes: dict[str, Quote] = {}
        stats: dict[str, MarketStats] = {}

        async def read_account() -> None:
            nonlocal account
            account = await self._venue.account()
            account = account if self._assets is None else account.only(self._assets)

        async def read_quote(symbol: str) -> None:
            if (quote := await self._quote(symbol)) is not None:
                quotes[symbol] = quote

        async def read_stats(symbol: str) -> None:
            if (found := await self._stats(symbol)) is not None:
                stats[symbol] = found

        async def read_price(asset: str) -> None:
            if (price := await self._price(asset)) is not None:
                conversions[asset] = price

        await together(
            read_account(),
            *(read_price(asset) for asset in self._beside),  # what was held beside the markets is so most likely still
            *(read_quote(symbol) for symbol in self.markets),
            *(read_stats(symbol) for symbol in self.markets if with_stats),
        )
        if account is None:
            message = "the account was not read"
            raise VenueRefused("account", message)
        lacking = self._unpriced(account)
        await together(*(read_price(asset) for asset in lacking - self._beside))
        self._beside = lacking
        return self._observed(account, quotes, stats, {asset: price for asset, price in conversions.items() if asset in lacking})

    async def marked(self, before: Observation) -> Observation:
        """``before`` with every market as it is now, from public reads alone. Raises as ``observe`` does."""
        quotes: dict[str, Quote] = {}

        async def read_quote(symbol: str) -> None:
            quotes[symbol] = await self._asked(symbol)

        await together(*(read_quote(symbol) for symbol in before.markets))
        return replace(before, quotes=quotes, at=self._clock.now())

    def _unpriced(self, account: Account) -> frozenset[str]:
        """What is held that no market of the fund is there to price."""
        return frozenset(asset for asset, amount in account.balances.items() if amount and asset not in self._priced)

    async def _price(self, asset: str) -> Decimal | None:
        try:
            return await self._venue.price(asset, self.currency)
        except VenueRefused:
            return None  # whoever values the account says what to do

    async def _quote(self, symbol: str) -> Quote | None:
        return await self._asked(symbol)

    async def _asked(self, symbol: str) -> Quote:
        try:
            quote = await self._venue.quote(symbol)
        except (VenueError, StaleData):
            self._mute.setdefault(symbol, self._clock.now())
            raise
        if quote.book.faults():
            self._mute.setdefault(symbol, self._clock.now())
        else:
            self._mute.pop(symbol, None)
        return quote

    async def _stats(self, symbol: str) -> MarketStats | None:
        return await self._venue.stats(symbol)

    def _observed(
        self,
        account: Account,
        quotes: Mapping[str, Quote],
        stats: Mapping[str, MarketStats],
        conversions: Mapping[str, Decimal],
    ) -> Observation:
        return Observation(
            account=account,
            conversions=conversions,
            markets=self.markets,
            quotes=quotes,
            currency=self.currency,
            at=self._clock.now(),
            stats=stats,
        )


class PartialObserver(Observer):
    """Observes what it can, for one run that can't wait: one market without a book, or dust without a price, blocks nothing.

    The account tells a position, so one whose market can't be read counts at the mark that the account shows; its book is
    empty, and nothing trades on it. Coins of such a market have no price, and are left out like other unpriced assets. What
    the first observation leaves out stays out.
    """

    def __init__(
        self, venue: Venue, markets: Mapping[str, Market], currency: str, clock: Clock, assets: Collection[str] | None = None
    ) -> None:
        super().__init__(venue, markets, currency, clock, assets)
        self._unread: dict[str, tuple[datetime, str]] = {}
        self._marks: dict[str, Decimal] = {}

    async def _quote(self, symbol: str) -> Quote | None:
        if symbol in self._unread and self._clock.now() < self._unread[symbol][0]:
            return None
        try:
            quote = await self._asked(symbol)
        except (VenueError, StaleData) as error:
            self._unread[symbol] = self._clock.now() + AGAIN, str(error)
            log.warning("market.unread", market=symbol, error=str(error))
            return None
        self._unread.pop(symbol, None)
        return quote

    async def _stats(self, symbol: str) -> MarketStats | None:
        try:
            return await self._venue.stats(symbol)
        except (VenueError, StaleData) as error:
            log.warning("stats.unread", market=symbol, error=str(error))
            return None

    async def _price(self, asset: str) -> Decimal | None:
        try:
            return await self._venue.price(asset, self.currency)
        except (VenueError, StaleData) as error:
            log.warning("price.unread", asset=asset, error=str(error))
            return None

    def _observed(
        self,
        account: Account,
        quotes: Mapping[str, Quote],
        stats: Mapping[str, MarketStats],
        conversions: Mapping[str, Decimal],
    ) -> Observation:
        nothing = OrderBook((), (), self._clock.now())
        self._marks |= {symbol: position.mark for symbol, position in account.positions.items() if symbol in self.markets}
        self._marks |= {symbol: quote.mark for symbol, quote in quotes.items()}
        unread = {
            symbol: self._unread[symbol][1]
            for symbol, market in self.markets.items()
            if symbol not in quotes and account.held(market)
        }
        self.markets = {symbol: market for symbol, market in self.markets.items() if symbol in self._marks}
        shown = {symbol: quotes.get(symbol) or Quote(mark=self._marks[symbol], book=nothing) for symbol in self.markets}
        told = {symbol: found for symbol, found in stats.items() if symbol in self.markets}
        seen = super()._observed(account, shown, told, conversions)
        priced = {**conversions, **asset_prices(seen.markets.values(), seen.marks, seen.currency)}
        unpriced = tuple(sorted(asset for asset, amount in seen.account.balances.items() if amount and asset not in priced))
        return replace(seen, account=seen.account.only(priced), unread=unread, unpriced=unpriced)


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of ``work`` at once; when one raises, the rest is cancelled, and its error is raised: a bug before one of ours.

    No task group: one whose work fails as its task is cancelled forgets that it was.
    """
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [one for one in ended if isinstance(one, BaseException) and not isinstance(one, asyncio.CancelledError)]
    for error in sorted(errors, key=lambda one: isinstance(one, KeeperError)):
        raise error
