"""One full rebalance, killed at each of its awaits in turn, under each way that a transport can be.

Every reach of the process to journal, exchange and clock has a point before, at and after it; the sweep kills the first process
at each of them, has it started again, and judges what comes of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random

from keeper.execution.pacing import Style
from keeper.policy.mandate import Mandate
from tests.simulation import funds
from tests.simulation.faults import Faults, OrderFault
from tests.simulation.world import START, Outcome, Scenario, World

MODES: Mapping[str, Mapping[OrderFault, float]] = {
    "clean": {},
    "lost reply": {OrderFault.LOST_REPLY: 0.5},
    "late arrival": {OrderFault.LATE: 0.5},
    "error after acceptance": {OrderFault.ERROR_AFTER: 0.5},
}
SEED = 11
SLOT = START + timedelta(minutes=15)
BEFORE, AFTER = timedelta(seconds=100), timedelta(minutes=7)
"""Around the slot: its warm-up, and its run with what follows an outcome that is not known."""


def scenario(mode: str, crash_at: int = 0) -> Scenario:
    """A fund far from its targets, one slot with faults and one without."""
    drawn = funds.drawn(Random(f"{SEED} fund"))
    pacing = replace(drawn.pacing, style=Style.TWAP, horizon=timedelta(minutes=3), slices=2)
    schedule = replace(drawn.schedule, zone=funds.UTC, jitter=timedelta(0))
    rules = replace(drawn, mandate=Mandate(targets={funds.BTC: funds.THREE}), pacing=pacing, schedule=schedule)
    faults = Faults(rng=Random(f"{SEED} faults"), orders=dict(MODES[mode]), lag=0.1)
    return Scenario(seed=SEED, faults=faults, rules=rules, days=1, quiet=1, crash_at=crash_at)


def places(mode: str) -> list[int]:
    """The points of a mode, counted from 1, from the warm-up before the slot to what follows its run."""
    told = World(scenario(mode)).run()
    if told.violations:
        raise AssertionError(f"{mode}: {told.violations}")
    return [number for number, at in enumerate(told.points, start=1) if SLOT - BEFORE <= at <= SLOT + AFTER]


def killed_at(mode: str, crash_at: int) -> Outcome:
    """What becomes of it when the process is killed there."""
    return World(scenario(mode, crash_at)).run()
