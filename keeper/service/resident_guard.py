"""Keeps a fund's stops on the exchange what they should be: where an emergency begins, and as large as what ends it.

A new stop is placed before the one that it replaces is taken back, so that the fund is never without; both only reduce.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.market import MarketKind
from keeper.domain.numbers import ZERO, exact
from keeper.domain.observation import Observation, holdings
from keeper.domain.order import Child, ChildState
from keeper.domain.run import RunStatus
from keeper.execution.engine import Slice
from keeper.planning.gate import Refused, largest_stop
from keeper.planning.guarding import Whose, guarding
from keeper.planning.plan import GUARD
from keeper.policy.emergency import assess
from keeper.policy.resident import ResidentStop, resident_stops, serves
from keeper.ports import Clock, Environment, Journal, Venue
from keeper.service.fund import Fund
from keeper.service.observer import Observer, together
from keeper.service.positions import PositionBook
from keeper.service.residents import Residents
from keeper.service.run_book import RunBook
from keeper.service.sender import Sender, Sent
from keeper.service.steering import Helm

SOON = timedelta(seconds=30)
"""After how long to come back where something could not be done."""
OLDEST = timedelta(days=1)
"""After how long a stop is placed anew although nothing has changed: venues end those that rest for too long."""
REFUSED_FOR = timedelta(minutes=15)
"""How long nothing is placed in a market whose stop was not taken."""
TOGETHER = Decimal("0.01")
"""How far apart, as a fraction, the triggers of the parts of one stop are at the most."""
ALIKE = Decimal("0.2")
"""How far apart, as a fraction, the amounts of a stop and of its successor are at the most, as a rule."""
LATE = frozenset({"stale", "open_child"})
"""Codes of refusals that are over at the next look."""
RESTS = frozenset({ChildState.LIVE, ChildState.FILLED, ChildState.CANCELED})
"""States of a stop that the venue has, or had."""
REFUSED = "guard.refused"
"""The kind of the events that tell of stops that were not taken."""
log = structlog.get_logger()


class ResidentGuard:
    """The stops of one fund. helm: says what it is to hold. Where it keeps none, those of before are taken back."""

    def __init__(self, helm: Helm, venue: Venue, journal: Journal, observer: Observer, positions: PositionBook) -> None:
        fund, self._helm = helm.fund, helm
        self._venue = venue
        self._journal = journal
        self._clock: Clock = venue.clock
        self._observer = observer
        self._positions = positions
        self._residents = Residents(fund.name, venue, journal, observer)
        self._runs = RunBook(fund.name, venue, journal, observer)
        self._sender = Sender(venue, journal, venue.clock, fund.limits, urgent=True)

    @property
    def _fund(self) -> Fund:
        return self._helm.fund

    async def renew(self, observation: Observation) -> timedelta | None:
        """Have the stops rest that the account of ``observation`` needs, and no others; None where that is done.

        Else: after how long to come back.

        Nothing is done in an emergency, while the fund is halted or while an outcome is not known. What the
        venue does not take, or does not answer, is told and tried again later: until then old ones may rest beside new ones.
        """
        try:
            return await self._renewed(observation)
        except (VenueError, StaleData) as error:
            log.warning("guard.not_renewed", fund=self._fund.name, error=str(error))
            return SOON

    async def _renewed(self, observation: Observation) -> timedelta | None:
        keeps, resting = self._keeps(observation), await self._residents.resting()
        if not keeps and not resting:
            return None
        if (await self._journal.standing(self._fund.name)).halted:
            return None
        if await self._journal.open_children(self._fund.name):
            return SOON
        if not self._open(observation) <= (await self._positions.expected(observation.markets)).keys():
            return None  # no run has found it to stand still yet
        waiting = await self._looked_up(resting)
        if len(waiting) < len(resting):  # the account may not be what it was
            observation = await self._positions.caught_up(await self._observer.observe())
        if not self._is_flat and assess(self._fund.watched, observation).danger:
            return None  # what rests is to go off, and whoever ends the emergency comes back here
        return await self._exchanged(waiting, observation, keeps=keeps)

    def _keeps(self, observation: Observation) -> bool:
        """Whether the fund keeps stops at this venue."""
        contracts = any(market.kind is not MarketKind.SPOT for market in observation.markets.values())
        info = self._venue.info
        return self._fund.resident_guard is not False and info.stops and contracts and info.environment is not Environment.LIVE

    async def _looked_up(self, resting: Sequence[Child]) -> Sequence[Child]:
        """Those of ``resting`` that still wait."""
        try:
            return await self._residents.book()
        except (VenueError, StaleData):
            await self._take_back(_outlived(resting))  # whatever became of the others
            raise

    async def _exchanged(self, waiting: Sequence[Child], observation: Observation, *, keeps: bool) -> timedelta | None:
        """Place what is lacking beside those that wait, and take back what is not needed any more."""
        largest = largest_stop(self._fund.limits)
        wanted = resident_stops(self._fund.watched, observation, largest) if keeps and not self._is_flat else ()
        kept, lacking = _matched(waiting, wanted, self._clock.now())
        states = await self._place(lacking, observation) if lacking else {}
        over = [child for child in waiting if child not in kept]
        if self._is_flat:
            over = [child for child in over if child.request.symbol not in self._open(observation)]
        over = [*_replaced(over, wanted, states)]
        await self._take_back(over)
        if over:
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=self._venue.info.read_lag))
            await self._residents.book()
        missing = {state for state in states.values() if state not in RESTS}
        if not missing:
            return None
        return REFUSED_FOR if missing == {ChildState.REJECTED} else SOON

    async def _take_back(self, stops: Sequence[Child]) -> None:
        await together(*(self._venue.cancel(child.request.symbol, child.request.client_id) for child in stops))

    def _open(self, observation: Observation) -> set[str]:
        """Symbols of the markets in which something is held."""
        return {symbol for symbol, contracts in holdings(observation).items() if contracts}

    @property
    def _is_flat(self) -> bool:
        """Whether the fund is on its way to no exposure: until it is there it keeps the stops that it has."""
        return self._fund.urgent and self._fund.braking is None

    async def _place(self, stops: Sequence[ResidentStop], observation: Observation) -> Mapping[ResidentStop, ChildState]:
        """Place ``stops`` in a run of their own; what became of each, REJECTED where it was of late."""
        refused = await self._refused_lately()
        going = [stop for stop in stops if stop.symbol not in refused]
        states = await self._sent(going, observation) if going else []
        told = dict(zip(going, states, strict=True))
        if failed := sorted({stop.symbol for stop, state in told.items() if state is ChildState.REJECTED}):
            payload: dict[str, object] = {"markets": sorted({*failed, *refused})}
            await self._journal.note(REFUSED, fund=self._fund.name, run="", at=self._clock.now(), payload=payload)
            log.error(REFUSED, fund=self._fund.name, markets=failed)
        return {stop: told.get(stop, ChildState.REJECTED) for stop in stops}

    async def _refused_lately(self) -> frozenset[str]:
        """Markets in which a stop was refused a short time ago: whoever goes on asking gets no other answer."""
        event = await self._journal.last_event(REFUSED, self._fund.name)
        markets = None if event is None or not self._clock.now() - event.at < REFUSED_FOR else event.payload["markets"]
        return frozenset(map(str, markets)) if isinstance(markets, list) else frozenset()

    async def _sent(self, stops: Sequence[ResidentStop], observation: Observation) -> Sequence[ChildState]:
        """Place ``stops``; each ends REJECTED where it may not be sent, NOT_PLACED where it came too late or never left."""
        info, now = self._venue.info, self._clock.now()
        whose = Whose(
            fund=self._fund.name, venue=info.name, environment=str(info.environment), targets=self._fund.mandate.targets
        )
        run = self._runs.new(guarding(whose, observation, stops), f"{GUARD}{now:%Y%m%dT%H%M%S}-{now:%f}g", "", self._fund.pacing)
        if not await self._journal.open_run(run):
            return [ChildState.NOT_PLACED] * len(stops)  # at this very instant another one was
        pinned = await self._journal.pins(info.account)
        try:
            outcomes = await self._sender.send(run, [_slice(leg, stop) for leg, stop in enumerate(stops)], observation, pinned)
        finally:
            await self._runs.close(run, RunStatus.COMPLETED, run.reason)
        return [_state(outcome) for outcome in outcomes]


def _state(outcome: Sent | Refused | BaseException) -> ChildState:
    match outcome:
        case BaseException():
            raise outcome
        case Refused(reasons):
            is_late = {reason.code for reason in reasons} <= LATE
            return ChildState.NOT_PLACED if is_late else ChildState.REJECTED
        case Sent(child):  # one that never left was refused by nobody
            return ChildState.NOT_PLACED if child.never_left else child.state


def _matched(
    waiting: Sequence[Child], wanted: Sequence[ResidentStop], now: datetime
) -> tuple[Sequence[Child], Sequence[ResidentStop]]:
    """Those that wait and will do, and what is lacking beside them."""
    kept, lacking = [], []
    for stop in wanted:
        found = (child for child in waiting if child not in kept and serves(_told(child), stop))
        child = next((child for child in found if timedelta(0) <= now - child.at < OLDEST), None)
        if child is None:
            lacking.append(stop)
        else:
            kept.append(child)
    return kept, lacking


def _replaced(
    over: Sequence[Child], wanted: Sequence[ResidentStop], states: Mapping[ResidentStop, ChildState]
) -> Sequence[Child]:
    """Those of ``over`` that are not needed any more. states: what became of those that are wanted and did not rest before.

    Until its successor rests, one that is off is better than none: the newest one that is nearest to it. Two that go off at the
    same price take too much.
    """
    found: list[Child] = []
    for symbol in sorted({child.request.symbol for child in over}):
        rungs = _rungs([stop for stop in wanted if stop.symbol == symbol])
        there: list[list[Child]] = [[] for _ in rungs]
        for child in (child for child in over if child.request.symbol == symbol):
            apart = [abs(rung[0].trigger - child.request.price) for rung in rungs]
            (there[apart.index(min(apart))] if apart else found).append(child)
        for rung, old in zip(rungs, there, strict=True):
            lacking = sum(stop in states and states[stop] not in RESTS for stop in rung)
            found += sorted(old, key=lambda child: child.at, reverse=True)[lacking:]
    return found


@exact
def _outlived(resting: Sequence[Child]) -> list[Child]:
    """Those beside which a newer one rests that goes off at the same price, and takes as much."""
    return [
        child
        for child in resting
        if any(
            other.at > child.at
            and other.request.symbol == child.request.symbol
            and abs(other.request.price - child.request.price) <= child.request.price * TOGETHER
            and abs(other.request.amount - child.request.amount) <= child.request.amount * ALIKE
            for other in resting
        )
    ]


@exact
def _rungs(stops: Sequence[ResidentStop]) -> list[list[ResidentStop]]:
    """Stops of one market by where they go off: the parts of one that was split go off together."""
    rungs: list[list[ResidentStop]] = []
    for stop in sorted(stops, key=lambda stop: stop.trigger):
        if rungs and stop.trigger <= rungs[-1][0].trigger * (1 + TOGETHER):
            rungs[-1].append(stop)
        else:
            rungs.append([stop])
    return rungs


def _told(child: Child) -> ResidentStop:
    request = child.request
    return ResidentStop(symbol=request.symbol, side=request.side, amount=request.amount, trigger=request.price)


def _slice(leg: int, stop: ResidentStop) -> Slice:
    return Slice(
        leg=leg,
        sequence=1,
        symbol=stop.symbol,
        side=stop.side,
        amount=stop.amount,
        price=stop.trigger,
        reduce_only=True,
        mid=stop.trigger,
        half_spread=ZERO,
        left=stop.amount,
        trigger=stop.trigger,
    )
