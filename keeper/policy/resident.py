"""The stops that a fund keeps on the exchange: what brakes it while Keeper does not run. Pure.

Each watches one market as if the others stood still, but for those of the same coin, which move with it: it goes off where that
alone leads to an emergency, and takes as much off its position as ends it. Since nobody is there to place the next one, that
rests as well. They only ever reduce.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from itertools import islice

from keeper.domain.account import Position, Valuation, move_to_gross
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.numbers import ONE, ZERO, exact, price_within, round_up, sign
from keeper.domain.observation import Observation
from keeper.domain.order import Fill
from keeper.policy.emergency import Emergency, assess

RUNGS = 4
"""Stops a position: from 3x, each of them 11 % below the one before."""
MOST = 5
"""Orders of them a market: twice as many, while they are replaced, fit under what venues allow."""
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
def resident_stops(emergency: Emergency, observation: Observation, largest: Decimal | None = None) -> tuple[ResidentStop, ...]:
    """The stops that the fund of ``observation`` needs, by symbol, the first to go off first. StaleData when it can't be valued.

    largest: what one order may be worth, currency, None for any; one that is larger is split, up to ``MOST`` a market.

    A position has up to ``RUNGS`` of them, each where it would be an emergency again once those before have gone off. None for
    a market whose way leads to no emergency, none for a fund that is in one, which is ended at once, and none for one that is
    long and short: what moves both of its legs would set off the stop of one, and leave the other without its hedge.
    """
    sides = {sign(position.contracts) for position in observation.account.positions.values()}
    if len(sides) > 1 or assess(emergency, observation).danger:
        return ()
    found: list[ResidentStop] = []
    for symbol in sorted(observation.markets):
        parts = (part for stop in _ladder(emergency, observation, symbol) for part in _parts(stop, observation, largest))
        found += islice(parts, MOST)
    return tuple(found)


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
        observation = _gone_off(emergency, observation, stop)


def _parts(stop: ResidentStop, observation: Observation, largest: Decimal | None) -> Iterator[ResidentStop]:
    """``stop`` in parts that are worth no more than ``largest`` (currency), each a tick further than the one before."""
    market = observation.markets[stop.symbol]
    furthest = max(
        stop.trigger, stop.trigger + MOST * stop.side.sign * market.tick_at(stop.trigger)
    )  # of a buy, the dearest part
    worth = market.notional(stop.amount, furthest) * observation.valuation().prices[market.quote]
    most = stop.amount if largest is None or worth <= largest else market.whole_lots(stop.amount * largest / worth)
    count = int((stop.amount / most).to_integral_value(ROUND_CEILING)) if most else 1
    each = market.whole_lots(stop.amount / count)
    if count == 1 or each < market.minimum_reduction:
        yield stop
        return
    over = int((stop.amount - each * count) / market.lot)
    for number in range(count):
        amount = each + market.lot if number < over else each
        trigger = stop.trigger + number * stop.side.sign * market.tick_at(stop.trigger)
        if trigger > 0:
            yield replace(stop, amount=amount, trigger=trigger)


def _next(emergency: Emergency, observation: Observation, symbol: str) -> ResidentStop | None:
    """The stop that goes off first in a market; None where there is none."""
    market, position = observation.markets[symbol], observation.account.positions.get(symbol)
    if market.kind is MarketKind.SPOT or position is None or not observation.valuation().nav > 0:
        return None
    trigger = _trigger(emergency, observation, position, _move(emergency, observation, symbol))
    amount = ZERO if trigger is None else _amount(emergency, observation, market, position, trigger)
    if trigger is None or not amount:
        return None
    return ResidentStop(symbol=symbol, side=Side.of(-position.contracts), amount=amount, trigger=trigger)


def _move(emergency: Emergency, observation: Observation, symbol: str) -> Decimal | None:
    """The move (fraction) of a market and those of its coin that leads to an emergency; None where none does, or they hedge."""
    valuation, level = observation.valuation(), emergency.max_leverage
    same = [exposure for other in _of_its_coin(observation, symbol) if (exposure := valuation.exposures[other])]
    if level is None or len({sign(exposure) for exposure in same}) != 1:
        return None
    leverage = sum(same, ZERO) / valuation.nav
    return move_to_gross(leverage, valuation.gross_leverage - abs(leverage), level)


def _of_its_coin(observation: Observation, symbol: str) -> list[str]:
    """The markets of the base of ``symbol``, itself among them."""
    base = observation.markets[symbol].base
    return [other for other, market in observation.markets.items() if market.base == base]


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
    left = _left(emergency, observation, position, then, trigger)
    if position.liquidation is not None:
        # a position cut to a share of itself on the same equity has at least so many times the distance
        distance = abs(trigger - position.liquidation) / trigger
        left = min(left, held * min(ONE, distance / emergency.safe_distance))
    amount = min(max(round_up(held - left, market.lot), market.minimum_reduction), market.whole_lots(held))
    return amount if held > left and amount >= market.minimum_reduction else ZERO


def _left(emergency: Emergency, observation: Observation, position: Position, then: Valuation, trigger: Decimal) -> Decimal:
    """Contracts that gross leverage ``to`` leaves of a position, all else as it is but for stops of its coin's other markets."""
    market = observation.markets[position.symbol]
    exposure, rate = then.exposures[market.symbol], then.prices[market.quote]
    own = market.notional(position.contracts, trigger) * rate
    if sign(own) != sign(exposure):  # it hedges coins that are worth more, so that to cut it adds exposure
        return abs(position.contracts)
    gross = then.gross_leverage * then.nav
    # they go off at the same price
    others = [other for other in _of_its_coin(observation, market.symbol) if other in observation.account.positions]
    stopped = sum((abs(then.exposures[other]) for other in others), ZERO)
    too_much = max(ZERO, min((gross - emergency.to * then.nav) * abs(exposure) / stopped, abs(exposure)))
    return max(ZERO, abs(position.contracts) - abs(market.to_contracts(too_much / rate, trigger)))


def _moved(observation: Observation, symbol: str, mark: Decimal) -> Observation:
    """``observation`` with another mark of one market, and of those of its coin."""
    quotes, factor = dict(observation.quotes), mark / observation.quotes[symbol].mark
    for other in _of_its_coin(observation, symbol):
        quotes[other] = replace(quotes[other], mark=mark if other == symbol else quotes[other].mark * factor)
    return replace(observation, quotes=quotes)


def _gone_off(emergency: Emergency, observation: Observation, stop: ResidentStop) -> Observation:
    """``observation`` once the mark came to ``stop``, and that was filled there; where it is liquidated then nobody knows.

    The stops of its coin's other markets go off with it.
    """
    there = _moved(observation, stop.symbol, stop.trigger)
    fills = [_fill(there, stop)]
    for other in _of_its_coin(observation, stop.symbol):
        position, market = observation.account.positions.get(other), observation.markets[other]
        if other != stop.symbol and position is not None and market.kind is not MarketKind.SPOT:
            mark = there.marks[other]
            amount = _amount(emergency, observation, market, position, mark)
            fills += [_fill(there, replace(stop, symbol=other, amount=amount, trigger=mark))] if amount else []
    account = there.account
    for fill in fills:
        account = account.after(fill, there.markets[fill.symbol])
    return replace(there, account=account)


def _fill(there: Observation, stop: ResidentStop) -> Fill:
    """What ``stop`` trades as it goes off."""
    return Fill(
        trade_id="",
        symbol=stop.symbol,
        side=stop.side,
        amount=stop.amount,
        price=stop.trigger,
        fee=ZERO,
        fee_asset=there.markets[stop.symbol].settle,
        at=there.at,
    )
