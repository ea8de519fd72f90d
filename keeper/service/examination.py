"""Gathers what a venue tells of a fund's account, through ports. What can't be read is a fact, too, and stops nothing else."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from keeper.domain.account import Account, Valuation
from keeper.domain.errors import StaleData, UnfitAccount, VenueError, VenueRefused
from keeper.domain.inspection import Ways
from keeper.domain.market import Market
from keeper.domain.numbers import ZERO, exact
from keeper.domain.observation import Observation
from keeper.inspectable import Inspectable
from keeper.ports import Venue, VenueInfo
from keeper.service.account_checks import differs
from keeper.service.findings import HEDGE_MODE, Facts, MarketFacts, Untold
from keeper.service.fund import Fund
from keeper.service.observer import Observer

T = TypeVar("T")
LOOKS = 3
"""How often a disagreement is read before it is believed: the venue's two answers may be of different marks."""
Pins = Mapping[str, Mapping[str, object]]


async def heard(question: Awaitable[T]) -> T | Untold:
    """The answer, or why there is none."""
    try:
        return await question
    except UnfitAccount as error:
        return Untold(error.message, error.code, unfit=True)
    except VenueRefused as error:
        return Untold(error.message, error.code)
    except (VenueError, StaleData) as error:
        return Untold(str(error))


def unreached(fund: Fund, info: VenueInfo, now: datetime, error: VenueError | StaleData, *, inspected: bool) -> Facts:
    """What is known where there is no connection."""
    why = error.message if isinstance(error, VenueRefused) else str(error)
    return Facts(fund=fund, info=info, now=now, inspected=inspected, contact=Untold(why))


async def examine(
    fund: Fund, venue: Venue, symbols: Sequence[str], currency: str, assets: frozenset[str] | None, pins: Pins
) -> Facts:
    """Ask a connected venue everything. symbols: of the target and of what only prices assets; pins: of the account.

    Who is not let in asks no more of what takes a key: venues lock out whoever tries too often.
    """
    told = venue if isinstance(venue, Inspectable) else None
    contact = await heard(told.contact()) if told else None
    refused = await heard(told.admit()) if told else None
    let_in = refused is None or refused.code == HEDGE_MODE or refused.unfit
    key = await heard(told.key()) if told and let_in else None
    markets = [await _market(told, venue, symbol, pins.get(symbol), private=let_in) for symbol in symbols]
    if refused is not None and not let_in:
        observer: Observer | Untold = refused
    else:
        observer = await heard(Observer.on(venue, symbols, currency, venue.clock, assets))
    observation, own = (observer, observer) if isinstance(observer, Untold) else await reckoned(venue, observer)
    return Facts(
        fund=fund,
        info=venue.info,
        now=venue.clock.now(),
        inspected=told is not None,
        contact=contact,
        reached=told.reached if told else {},
        ways=told.ways if told else Ways(),
        admission=refused,
        key=key,
        markets=tuple(markets),
        observation=observation,
        own=own,
        worth=observation if isinstance(observation, Untold) else _worth(observation),
    )


async def _market(
    told: Inspectable | None, venue: Venue, symbol: str, pinned: Mapping[str, object] | None, *, private: bool
) -> MarketFacts:
    found = await heard(venue.markets([symbol]))
    market = found if isinstance(found, Untold) else found[symbol]
    if told is None or isinstance(market, Untold):
        return MarketFacts(symbol=symbol, market=market, pinned=pinned)
    ends = await heard(told.ends(symbol))
    if not private:
        return MarketFacts(symbol=symbol, market=market, pinned=pinned, ends=ends)
    return MarketFacts(
        symbol=symbol,
        market=market,
        pinned=pinned,
        ends=ends,
        account_mode=await heard(told.account_mode(symbol)),
        modes=await heard(told.modes(symbol)),
        fees=await heard(told.fees(symbol)),
        brackets=await heard(told.brackets(symbol)),
        most_leverage=told.most_leverage(symbol),
    )


def _worth(observation: Observation) -> Valuation | Untold:
    try:
        return observation.valuation()
    except StaleData as error:
        return Untold(str(error))


async def reckoned(venue: Venue, observer: Observer) -> tuple[Observation | Untold, Mapping[str, Decimal] | Untold]:
    """The account, and what each asset of it comes to by our reckoning, read again while the venue's own differs."""
    observation: Observation | Untold = Untold("")
    own: Mapping[str, Decimal] | Untold = Untold("")
    for _ in range(LOOKS):
        observation = await heard(observer.observe())
        if isinstance(observation, Untold):
            return observation, observation
        own = await _own_equities(venue, observation)
        if not differs(observation, own):
            break
    return observation, own


async def _own_equities(venue: Venue, observation: Observation) -> Mapping[str, Decimal] | Untold:
    """What each asset comes to by our reckoning: its balance, and the profit at the account's marks of what settles in it."""
    markets = dict(observation.markets)
    for symbol in observation.account.positions.keys() - markets.keys():
        found = await heard(venue.markets([symbol]))
        if isinstance(found, Untold):
            return Untold(f"{symbol} is held, and {found.why}")
        markets |= found
    return _equities(observation.account, markets)


@exact
def _equities(account: Account, markets: Mapping[str, Market]) -> dict[str, Decimal]:
    held = dict(account.balances)
    for symbol, position in account.positions.items():
        market = markets[symbol]
        profit = market.profit(position.contracts, position.entry, position.mark)
        held[market.settle] = held.get(market.settle, ZERO) + profit
    return held
