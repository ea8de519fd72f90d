"""What an unknown outcome turns out to be, once the venue has been asked by client order id. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.market import MarketKind
from keeper.domain.numbers import ZERO, exact, sign
from keeper.domain.observation import Observation
from keeper.domain.order import Child, ChildState, Fill, OrderReport

CLOCK_SKEW = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Lookup:
    """One answer of the venue. report: None when it says that it has no such order; at: aware UTC."""

    report: OrderReport | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """The venue has the order."""

    report: OrderReport


@dataclass(frozen=True, slots=True)
class NeverPlaced:
    """The venue can't have the order any more."""


@dataclass(frozen=True, slots=True)
class StillUnknown:
    """Nothing is proven. ask_again: aware UTC."""

    ask_again: datetime


Resolution = Found | NeverPlaced | StillUnknown


def resolve(child: Child, lookups: Sequence[Lookup], read_lag: timedelta) -> Resolution:
    """What ``lookups`` (oldest first, not empty) prove of ``child``.

    An order that was found is found. One that was not found was never placed only if two lookups, both made after the
    venue had to refuse it (deadline, read lag and clock skew have passed) and at least a read lag apart, did not find it.
    """
    for lookup in lookups:
        if lookup.report is not None:
            return Found(lookup.report)
    from_then = child.request.deadline + read_lag + CLOCK_SKEW
    late = [lookup.at for lookup in lookups if lookup.at >= from_then]
    if len(late) > 1 and late[-1] - late[0] >= read_lag:
        return NeverPlaced()
    if late:
        return StillUnknown(late[0] + read_lag)
    return StillUnknown(from_then)


@exact
def assumed(observation: Observation, unknown: Sequence[Child], expected: Mapping[str, Decimal]) -> Observation:
    """``observation`` as if every order of ``unknown`` that only reduces had filled, and none that adds had; stops wait.

    On spot, where orders don't say so, to sell is to reduce. expected: what the fills that are known lead to, signed contracts
    by symbol. What the venue shows may hold some of the unknown fills already, so the smaller position of the two counts.
    """
    positions, balances = dict(observation.account.positions), dict(observation.account.balances)
    for symbol, market in observation.markets.items():
        held = observation.account.held(market)
        spot = market.kind is MarketKind.SPOT
        asked = [child.request for child in unknown if child.request.symbol == symbol and not child.request.is_stop]
        closing = [request for request in asked if spot or request.reduce_only]
        taken = sum((request.amount for request in closing if request.side.sign == -sign(held)), ZERO)
        left = max(ZERO, abs(expected.get(symbol, held)) - taken)
        if not taken or left >= abs(held):
            continue
        if spot:
            balances[market.base] = left * sign(held)
            continue
        position = positions.pop(symbol)
        if left:
            positions[symbol] = replace(position, contracts=left * sign(held))
    return replace(observation, account=replace(observation.account, positions=positions, balances=balances))


@exact
def caught_up(observation: Observation, fills: Sequence[Fill], expected: Mapping[str, Decimal]) -> Observation:
    """``observation`` with the last of our ``fills`` booked where its account does not show yet that they reduced a position.

    fills: since the account last stood still, oldest first; expected: what all of them lead to, signed contracts by symbol. A
    read that stands still would have the same position reduced again and again. What others added is left as it shows.
    """
    account = observation.account
    for symbol, market in observation.markets.items():
        lacking = expected.get(symbol, account.held(market)) - account.held(market)
        if sign(lacking) != -sign(account.held(market)):
            continue
        unseen: list[Fill] = []
        for fill in reversed([fill for fill in fills if fill.symbol == symbol]):
            if not lacking:
                break
            unseen.insert(0, fill)
            lacking -= fill.amount * fill.side.sign
        for fill in unseen if not lacking else ():
            account = account.after(fill, market)
    return replace(observation, account=replace(account, at=observation.account.at))


def state_of(resolution: Found | NeverPlaced) -> ChildState:
    """The state that a settled child goes to."""
    return resolution.report.state if isinstance(resolution, Found) else ChildState.NOT_PLACED
