"""Watches the leverage of one fund over one connection. It reads, judges what moved a position, and sends nothing.

Far from an emergency public reads will do: the account as it was last read, at the marks of now. The account itself is read
after runs, near an emergency, and every so often, so that a deposit, a forced trade or a trade by hand is seen.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.fund import FundState
from keeper.domain.market import MarketKind
from keeper.domain.numbers import exact, rounded
from keeper.domain.observation import Observation, holdings
from keeper.planning.belief import believed
from keeper.policy.breakers import Cause, Trip
from keeper.policy.emergency import Emergency, Reading, assess
from keeper.policy.intraday import strayed
from keeper.policy.triggers import unmatched
from keeper.ports import Clock, Journal, Venue
from keeper.service.emergencies import LONGEST_PAUSE, LOOKED
from keeper.service.fund import Fund
from keeper.service.guard import Guard, emptied
from keeper.service.intraday import Before, before_now
from keeper.service.observer import Observer
from keeper.service.positions import PositionBook
from keeper.service.steering import Helm

ACCOUNT_EVERY = timedelta(minutes=5)
"""How often the account is read while nothing is near; each fund has its own minute for that."""
ACCOUNT_NEAR = timedelta(seconds=30)
"""The same near an emergency."""
NOTED_EVERY = timedelta(minutes=15)
"""How often what was seen is written down while it stays about the same."""
DOUBTED_FOR = timedelta(seconds=10)
"""After how long a NAV at or below zero is looked at again, before it is believed."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLACES = 8
log = structlog.get_logger()


class Monitor:
    """The monitor of one fund. helm: says what it is to hold."""

    def __init__(
        self, helm: Helm, venue: Venue, journal: Journal, observer: Observer, positions: PositionBook, guard: Guard
    ) -> None:
        self._helm = helm
        self._clock: Clock = venue.clock
        self._journal = journal
        self._observer = observer
        self._positions = positions
        self._guard = guard
        self._account: Observation | None = None
        self._read_at: datetime | None = None
        self._judged: Mapping[str, Decimal] = {}
        self._noted: tuple[datetime, bool] | None = None
        self._before: Before | None = None
        digest = hashlib.sha256(f"{venue.info.account}\x1f{helm.fund.name}".encode()).digest()
        self._minute = EPOCH + ACCOUNT_EVERY * (int.from_bytes(digest[:4], "big") / 2**32)

    @property
    def _fund(self) -> Fund:
        return self._helm.fund

    @property
    def rules(self) -> Emergency:
        """When the fund is to be de-levered."""
        return self._fund.watched

    @property
    def idle(self) -> bool:
        """Whether there is nothing to watch: coins that are paid for can't be liquidated."""
        spot = all(market.kind is MarketKind.SPOT for market in self._observer.markets.values())
        return spot and self.rules.max_leverage is None and self._fund.intraday is None

    @property
    def seen(self) -> Observation | None:
        """The account as it was read last, None before that."""
        return self._account

    def saw(self, observation: Observation) -> None:
        """Go by the account of ``observation``, which a run has just read."""
        self._before = None
        if observation.markets.keys() == self._observer.markets.keys():
            self._account, self._read_at = observation, self._clock.now()

    def flowed(self) -> None:
        """Go by what flowed since then: the venue's ledger has told more."""
        self._before = None

    def is_due(self, *, near: bool) -> bool:
        """Whether the account is to be read again. near: an emergency is."""
        now = self._clock.now()
        if self._read_at is None:
            return True
        if near:
            return not timedelta(0) <= now - self._read_at < ACCOUNT_NEAR
        span = max(ACCOUNT_EVERY, self.rules.check_every)
        return (now - self._minute) // span != (self._read_at - self._minute) // span

    async def glance(self, account: Observation | None = None) -> Reading | None:
        """How far an emergency is by public reads alone; None before the account was ever read. Raises as ``look`` does.

        account: as a run at work has it.
        """
        before = account or self._account
        return None if before is None else await self._judged_as(self._believed(await self._observer.marked(before)))

    async def look(self, *, going_on: bool = False) -> Reading:
        """How far an emergency is by the account as it is now. No run may be at work meanwhile.

        What moved a position is judged, unless there is something more urgent to do. VenueError or StaleData when it can't be
        told; a market that can't be read hides no emergency that others can end. going_on: one has begun.
        """
        try:
            shown = await self._observer.observe()
        except (VenueError, StaleData):
            if (reading := await self._look_in_part(self.rules.going_on if going_on else self.rules)) is None:
                raise
            return reading
        observation, expected = await self._positions.reckoned(shown)
        self._account, self._read_at = observation, self._clock.now()
        await self._judge_worth(observation, expected)
        reading = await self._judged_as(observation)
        await self._note(reading, observation)
        if reading.danger:
            return reading
        await self._judge_positions(shown, expected)
        return replace(reading, stray=await self._twin(observation) or reading.stray)

    async def _twin(self, observation: Observation) -> str:
        """Why the other legs of a hedge are to be reduced now, where the venue cut one; empty where they are not."""
        standing = await self._journal.standing(self._fund.name)
        if not standing.reducing or standing.cause != Cause.FORCED_HEDGE:
            return ""
        before = await before_now(self._journal, self._fund.name)
        if before.rests(self._clock.now(), LONGEST_PAUSE):
            return ""
        held = {symbol for symbol, contracts in holdings(observation).items() if contracts}
        return unmatched(self._fund.mandate, observation.valuation(), held | await emptied(self._journal, standing))

    async def _look_in_part(self, rules: Emergency) -> Reading | None:
        """The same without what can't be read, None where that shows no emergency by ``rules`` that anything can be done about.

        A position whose market can't be read counts at the mark that the account shows.
        """
        observation = await self._positions.caught_up(await self._observer.partial.observe())
        reading = assess(rules, self._believed(observation))
        if not reading.danger or not observation.quotes.keys() - observation.unread.keys():
            return None
        await self._note(reading, observation)
        return reading

    async def _judged_as(self, observation: Observation) -> Reading:
        """How far an emergency is by ``observation``, and what else makes the fund act, once it has rested from the last time."""
        reading, rule = assess(self.rules, observation), self._fund.intraday
        if rule is None or reading.danger:
            return reading
        if self._before is None:
            self._before = await before_now(self._journal, self._fund.name)
        if self._before.rests(self._clock.now(), rule.cooldown):
            return reading
        valuation = observation.valuation()
        return replace(reading, stray=strayed(rule, self._fund.mandate, valuation, observation.marks, self._before.since))

    def _believed(self, observation: Observation) -> Observation:
        """``observation`` where it may decide an emergency; StaleData where it may not."""
        return believed(observation, self._fund.limits.max_slippage_bps)

    async def _judge_worth(self, observation: Observation, expected: Mapping[str, Decimal]) -> None:
        """Halt a fund of which nothing is left: whatever it is a multiple of, there is none.

        One that holds nothing, as is ``expected``, waits for money. What an exchange shows for once may be wrong.
        """
        if self._believed(observation).valuation().nav > 0:
            return
        await self._clock.sleep_until(self._clock.now() + DOUBTED_FOR)
        observation = self._believed(await self._positions.settled())
        valuation = observation.valuation()
        held = any(holdings(observation).values()) or any(expected.values())
        if valuation.nav < 0 or (held and not valuation.nav):
            why = f"NAV is {valuation.nav:.2f} {valuation.currency}"
            await self._guard.trip(Trip(state=FundState.HALTED, cause=Cause.WORTHLESS, why=why))

    async def _judge_positions(self, observation: Observation, expected: Mapping[str, Decimal]) -> None:
        """Have a breaker look at positions that are not the ``expected`` ones, to which our fills lead; at each of them once."""
        if await self._journal.open_children(self._fund.name):
            return  # nobody knows yet what our own orders did
        held = holdings(observation)
        if held == self._judged or all(held[symbol] == contracts for symbol, contracts in expected.items()):
            return
        observation, changes = await self._positions.patient_changes(await self._positions.settled())
        self._judged = holdings(observation)
        for one in changes:
            log.warning("position.moved", fund=self._fund.name, market=one.symbol, change=str(one.change))
        if changes:
            await self._guard.judge(changes=changes)

    async def _note(self, reading: Reading, observation: Observation) -> None:
        """Write down what was seen, for whoever asks how the fund stands; now and then, and whenever it comes near or goes."""
        now = self._clock.now()
        if self._noted is not None:
            at, near = self._noted
            if near == reading.near and timedelta(0) <= now - at < NOTED_EVERY:
                return
        self._noted = now, reading.near
        await self._journal.note(LOOKED, fund=self._fund.name, run="", at=now, payload=told(reading, self.rules, observation))


@exact
def told(reading: Reading, rules: Emergency, observation: Observation) -> dict[str, object]:
    """``reading`` as the journal keeps it: figures that are rounded for display, and the price of each market that matters."""
    level = None if rules.max_leverage is None else rounded(rules.max_leverage, PLACES)
    return {
        "nav": rounded(reading.nav, PLACES),
        "currency": reading.currency,
        "leverage": rounded(reading.net, PLACES),
        "gross_leverage": rounded(reading.gross, PLACES),
        "max_leverage": level,
        "to": rounded(rules.to, PLACES),
        "liquidation_distance": None if reading.distance is None else rounded(reading.distance, PLACES),
        "moves": [
            {"market": symbol, "move": rounded(move, PLACES), "price": rounded(observation.marks[symbol] * (1 + move), PLACES)}
            for symbol, move in reading.moves.items()
        ],
        "danger": reading.danger,
    }
