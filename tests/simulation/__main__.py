"""Simulate: many seeds with their figures, or one of them with a timeline to read.

python -m tests.simulation --seeds 500 --from 0 --jobs 2
python -m tests.simulation --seed 17 --timeline
python -m tests.simulation --crash-sweep --jobs 2
"""

import argparse
import gc
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from tests.simulation import sweep
from tests.simulation.world import Outcome, Scenario, World


def replay(scenario: Scenario) -> str:
    """The command that shows what happened under a seed."""
    without = f" --without {','.join(sorted(scenario.without))}" if scenario.without else ""
    return f"python -m tests.simulation --seed {scenario.seed}{without} --timeline"


def outcome_of(scenario: Scenario) -> Outcome:
    """What becomes of one seed, without its trace."""
    return replace(World(scenario).run(), trace=[])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--timeline", action="store_true")
    parser.add_argument("--crash-sweep", action="store_true", help="kill one rebalance at each of its awaits, in every mode")
    parser.add_argument("--sweep", choices=tuple(sweep.MODES), help="the mode of one run of the crash sweep")
    parser.add_argument("--crash-at", type=int, default=0, help="where that one is killed")
    parser.add_argument("--without", default="", help="kinds of faults to leave out, separated by commas; spot: funds of coins")
    asked = parser.parse_args()
    without = frozenset(filter(None, asked.without.split(",")))
    if asked.crash_sweep:
        return _sweep(asked.jobs)
    if asked.sweep is not None:
        return _one(sweep.scenario(asked.sweep, asked.crash_at), timeline=asked.timeline)
    if asked.seed is not None:
        return _one(Scenario(seed=asked.seed, without=without), timeline=asked.timeline)
    seeds = range(asked.first, asked.first + asked.seeds)
    return _many([Scenario(seed=seed, without=without) for seed in seeds], asked.jobs)


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


def _one(scenario: Scenario, *, timeline: bool) -> int:
    outcome, seed = World(scenario).run(), scenario.seed
    if timeline:
        _say("\n".join(outcome.trace))
    _say(f"seed {seed}: {outcome.orders} orders, {outcome.kills} kills, {len(outcome.points)} points, runs {outcome.runs}")
    _say(f"faults {outcome.plan}")
    _say(f"trace {outcome.digest}")
    for violation in outcome.violations:
        _say(f"VIOLATED {violation}")
    return 1 if outcome.violations else 0


def _sweep(jobs: int) -> int:
    began, bad, count = time.monotonic(), 0, 0
    with ProcessPoolExecutor(jobs) as pool:
        for mode in sweep.MODES:
            places = sweep.places(mode)
            outcomes = pool.map(sweep.killed_at, [mode] * len(places), places, chunksize=10)
            for crash_at, outcome in zip(places, outcomes, strict=True):
                count += 1
                if outcome.violations:
                    bad += 1
                    command = f"python -m tests.simulation --sweep '{mode}' --crash-at {crash_at} --timeline"
                    _say(f"{mode}, point {crash_at}: {outcome.violations[0]}  {command}")
            _say(f"{mode}: killed at {len(places)} points")
    _say(f"{count} runs, {bad} with violations; {time.monotonic() - began:.1f} s")
    return 1 if bad else 0


def _many(seeds: list[Scenario], jobs: int) -> int:
    gc.freeze()  # the modules outlive every world: no collection of one needs to look at them
    began = time.monotonic()
    orders = kills = days = bad = 0
    runs: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    with ProcessPoolExecutor(jobs) as pool:
        for scenario, outcome in zip(seeds, pool.map(outcome_of, seeds, chunksize=5), strict=True):
            orders, kills, days = orders + outcome.orders, kills + outcome.kills, days + outcome.days
            runs.update(outcome.runs)
            if outcome.violations:
                bad += 1
                broken.update({violation.partition(":")[0] for violation in outcome.violations})
                _say(f"seed {outcome.seed}: {outcome.violations[0]}  ({len(outcome.violations)} in all)  {replay(scenario)}")
    took = time.monotonic() - began
    _say(f"{len(seeds)} seeds, {orders} orders, {kills} kills, {days} virtual days, runs {dict(sorted(runs.items()))}")
    _say(f"{bad} seeds with violations {dict(broken)}; {took:.1f} s, {len(seeds) / took * 60:.0f} seeds a minute")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
