"""The stops that a fund keeps on the exchange: what brakes it while Keeper does not run. Pure.

Each watches one market as if the others stood still: it goes off where that market alone leads to an emergency, and takes as
much off its position as ends it. Since nobody is there to place the next one, that rests as well. They only ever reduce.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from keeper.domain.account import Position, Valuation
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import ONE, ZERO, exact, price_within, round_up, sign
from keeper.domain.observation import Observation
from keeper.domain.order import Fill
from keeper.policy.emergency import Emergency, assess

RUNGS = 4
"""Stops a position: from 3x, each of them 11 % below the one before. Twice as many fit under what venues allow a market."""
TOLERANCE = Decimal("0.001")
"""By how much of itself a trigger may be off before its stop is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentStop:
    """A reduce-only order that waits for the mark. amount: contracts (> 0); trigger: mark, quote per base."""

    symbol: str
    side: Side
    amount: Decimal
    trigger: Decimal


@exact
def resident_stops(emergency: Emergency, observation: Observation) -> tuple[ResidentStop, ...]:
    """The stops that the fund of ``observation`` needs, by symbol, the first to go off first. StaleData when it can't be valued.

    A position has up to ``RUNGS`` of them, each where it would be an emergency again once those before have gone off. None for
    a market whose way leads to no emergency, none for a fund that is in one, which is ended at once, and none for one that is
    long and short: what moves both of its legs would set off the stop of one, and leave the other without its hedge.
    """
    sides = {sign(position.contracts) for position in observation.account.positions.values()}
    if len(sides) > 1 or assess(emergency, observation).danger:
        return ()
    return tuple(stop for symbol in sorted(observation.markets) for stop in _ladder(emergency, observation, symbol))


@exact
def serves(stop: ResidentStop, wanted: ResidentStop) -> bool:
    """Whether ``stop``, which rests, need not be replaced by ``wanted``."""
    if (stop.symbol, stop.side, stop.amount) != (wanted.symbol, wanted.side, wanted.amount):
        return False
    return abs(stop.trigger - wanted.trigger) <= TOLERANCE * wanted.trigger


def _ladder(emergency: Emergency, observation: Observation, symbol: str) -> Iterator[ResidentStop]:
    for _ in range(RUNGS):
        stop = _next(emergency, observation, symbol)
        if stop is None:
            return
        yield stop
        observation = _gone_off(observation, stop)


def _next(emergency: Emergency, observation: Observation, symbol: str) -> ResidentStop | None:
    """The stop that goes off first in a market; None where there is none."""
    market, position = observation.markets[symbol], observation.account.positions.get(symbol)
    if market.kind is MarketKind.SPOT or position is None or not observation.valuation().nav > 0:
        return None
    trigger = _trigger(emergency, observation, position, assess(emergency, observation).moves.get(symbol))
    amount = ZERO if trigger is None else _amount(emergency, observation, market, position, trigger)
    if trigger is None or not amount:
        return None
    return ResidentStop(symbol=symbol, side=Side.of(-position.contracts), amount=amount, trigger=trigger)


def _trigger(emergency: Emergency, observation: Observation, position: Position, move: Decimal | None) -> Decimal | None:
    """The first mark against ``position`` that counts as an emergency, on the tick before it; None where there is none."""
    side, mark = sign(position.contracts), observation.marks[position.symbol]
    ways = []
    if move is not None and sign(move) == -side:
        ways.append(mark * (1 + move))
    if position.liquidation is not None:
        ways.append(position.liquidation / (1 - side * emergency.min_distance))
    ahead = [price for price in ways if price > 0 and sign(mark - price) == side]
    if not ahead:
        return None
    first = max(ahead) if side > 0 else min(ahead)
    # a sell is raised to its tick and a buy lowered, so that neither comes late
    trigger = price_within(first, observation.markets[position.symbol].tick_at(first), -side)
    return trigger if sign(mark - trigger) == side else None


def _amount(emergency: Emergency, observation: Observation, market: Market, position: Position, trigger: Decimal) -> Decimal:
    """Contracts that end the emergency once the mark is ``trigger``, whole lots, no more than are held; zero where none do."""
    held, then = abs(position.contracts), _moved(observation, market.symbol, trigger).valuation()
    if not then.nav > 0:
        return market.whole_lots(held)
    left = _left(emergency, market, position, then, trigger)
    if position.liquidation is not None:
        # a position cut to a share of itself on the same equity has at least so many times the distance
        distance = abs(trigger - position.liquidation) / trigger
        left = min(left, held * min(ONE, distance / emergency.safe_distance))
    amount = min(max(round_up(held - left, market.lot), market.minimum_reduction), market.whole_lots(held))
    return amount if held > left and amount >= market.minimum_reduction else ZERO


def _left(emergency: Emergency, market: Market, position: Position, then: Valuation, trigger: Decimal) -> Decimal:
    """Contracts that gross leverage ``to`` leaves of a position, all else as it is."""
    exposure, rate = then.exposures[market.symbol], then.prices[market.quote]
    own = market.notional(position.contracts, trigger) * rate
    if sign(own) != sign(exposure):  # it hedges coins that are worth more, so that to cut it adds exposure
        return abs(position.contracts)
    gross = then.gross_leverage * then.nav
    too_much = max(ZERO, min(gross - emergency.to * then.nav, abs(exposure)))
    return max(ZERO, abs(position.contracts) - abs(market.to_contracts(too_much / rate, trigger)))


def _moved(observation: Observation, symbol: str, mark: Decimal) -> Observation:
    """``observation`` with another mark of one market."""
    quotes = {**observation.quotes, symbol: replace(observation.quotes[symbol], mark=mark)}
    return replace(observation, quotes=quotes)


def _gone_off(observation: Observation, stop: ResidentStop) -> Observation:
    """``observation`` once the mark came to ``stop``, and that was filled there; where it is liquidated then nobody knows."""
    fill = Fill(
        trade_id="",
        symbol=stop.symbol,
        side=stop.side,
        amount=stop.amount,
        price=stop.trigger,
        fee=ZERO,
        fee_asset=observation.markets[stop.symbol].settle,
        at=observation.at,
    )
    there = _moved(observation, stop.symbol, stop.trigger)
    return replace(there, account=there.account.after(fill, there.markets[stop.symbol]))
