"""What an exchange tells of an account beside what it holds, through a real ccxt class: see ``inspectable.Inspectable``.

Why an account is not admitted is looked for here, too: exchanges refuse a wrong key, a wrong address and a missing right alike.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from keeper.domain.errors import StaleData, UnfitAccount, VenueRefused, VenueUnavailable
from keeper.domain.inspection import Bracket, Contact, FeeRates, KeyFacts, MarginMode, Modes, Ways
from keeper.ports import Environment, VenueInfo
from keeper.venues.budgets import Priority
from keeper.venues.connection import Question
from keeper.venues.public_data import PublicData
from keeper.venues.speech.base import Speech, Wire

T = TypeVar("T")
SAMPLES = 3
TRADING_RIGHT = "trading_right"
NO_RIGHT = "the key is good but has no right to trade here: give it that right on the exchange's site, or make another"
ELSEWHERE = {
    Environment.LIVE: 'a key of the testnet is not known on live: where it is one, set environment = "testnet"',
    Environment.TESTNET: "a live key is not known on the testnet: make a key there",
}


class Inspected(PublicData):
    """A venue that tells of its keys, modes, fees and leverage tables; one request each, and nothing is kept."""

    _info: VenueInfo
    _credentials: Mapping[str, str]
    _unfit: UnfitAccount | None = None

    def _own(self, what: str, priority: Priority = Priority.READ, attempts: int | None = None) -> Question:
        """A question about the account, to be signed."""
        return Question(what=what, priority=priority, account=self._info.account, attempts=attempts)

    @property
    def _speech(self) -> Speech:
        return self._dialect.speech

    @property
    def reached(self) -> Mapping[str, str]:
        """The hosts that were asked on this connection, and the origin that stood for each."""
        return {} if self._session is None else dict(self._session.reached)

    @property
    def ways(self) -> Ways:
        """How settings are changed there."""
        return Ways(by_us=self._speech.sets, by_hand=self._dialect.by_hand)

    async def contact(self) -> Contact:
        """How far away the venue is, by the fastest of a few requests. VenueUnavailable when it does not answer."""
        latency, offset = min([await self._sample_clock() for _ in range(SAMPLES)])
        return Contact(latency=latency, offset=offset, vague=self._vague)

    async def admit(self) -> None:
        """Return when Keeper can work with this account. VenueRefused says why not, as exactly as the venue tells."""
        self._speech.check_keys(self._credentials)
        try:
            await self._asked(self._own("account"), self._speech.check_account)
        except UnfitAccount as error:
            self._unfit = error
            raise
        except VenueRefused as error:
            if error.code not in self._dialect.unknown_key:
                raise
            refused = error
        else:
            self._unfit = None
            return
        raise await self._closer(refused)

    @property
    def unfit(self) -> UnfitAccount | None:
        """Why nothing can be sized on the account, as it was when that was last asked."""
        return self._unfit

    async def _closer(self, refused: VenueRefused) -> VenueRefused:
        """A refusal that names one cause where ``refused`` names several, if the venue tells which it is."""
        try:
            told = await self.key()
        except VenueRefused as error:
            return error
        except (VenueUnavailable, StaleData):
            return self._with_environment(refused)
        return VenueRefused(TRADING_RIGHT, NO_RIGHT) if told.may_trade is False else self._with_environment(refused)

    def _with_environment(self, refused: VenueRefused) -> VenueRefused:
        return VenueRefused(refused.code, f"{refused.message}; {ELSEWHERE[self._environment]}")

    async def key(self) -> KeyFacts:
        """What the key may do, as far as the venue tells."""
        try:
            return await self._asked(self._own("rights of the key"), self._speech.key)
        except VenueRefused as error:
            if error.code not in self._dialect.unknown_key:
                raise
            refused = error
        raise self._with_environment(refused)

    async def account_mode(self, symbol: str) -> str:
        """What the venue calls the kind of account that trades a market here, "" where it has one kind."""
        wire = self._wire(self._own("account"))
        self._speech.check_market(wire, symbol)
        return self._speech.account_mode(wire)

    async def modes(self, symbol: str) -> Modes:
        """How the account trades a market, as far as the venue tells."""
        return await self._of_market("modes", symbol, lambda wire: self._speech.modes(wire, symbol))

    async def fees(self, symbol: str) -> FeeRates | None:
        """What this account pays in a market; None where the venue does not tell."""
        return await self._of_market("fees", symbol, lambda wire: self._speech.fees(wire, symbol))

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        """A market's leverage table, smallest positions first; empty where there is none."""
        return await self._of_market("leverage table", symbol, lambda wire: self._speech.brackets(wire, symbol))

    def most_leverage(self, symbol: str) -> Decimal | None:
        """What the list of markets has as the highest leverage of a market; None where it has nothing that can be read."""
        self._known(symbol)
        try:
            return self._speech.most_leverage(self._exchange.markets[symbol])
        except StaleData:
            return None

    async def ends(self, symbol: str) -> datetime | None:
        """When a market is taken off the list, aware UTC; None where nothing is announced."""
        return await self._of_market("end", symbol, lambda wire: self._speech.ends(wire, symbol))

    async def set_one_way(self) -> None:
        """Have the account keep one position for each market."""
        await self._asked(self._own("position mode", attempts=1), self._speech.set_one_way)

    async def set_margin(self, symbol: str, mode: MarginMode) -> None:
        """Set what backs a position of a market."""
        await self._of_market("margin mode", symbol, lambda wire: self._speech.set_margin(wire, symbol, mode), attempts=1)

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set the leverage of a market."""

        async def send(wire: Wire) -> None:
            await self._speech.set_leverage(wire, symbol, leverage)

        await self._of_market("leverage setting", symbol, send, attempts=1)

    async def _of_market(
        self, what: str, symbol: str, question: Callable[[Wire], Awaitable[T]], attempts: int | None = None
    ) -> T:
        self._known(symbol)
        return await self._asked(self._own(f"{what} of {symbol}", attempts=attempts), question)
