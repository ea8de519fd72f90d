"""Plants one bug, then looks for a seed that catches it: `python -m tests.simulation.hunt NAME [--clean]`.

Prints {"bug", "seeds", "seed", "violations"}; seed is null where none of the seeds caught it. --clean plants nothing, and shows
what the same worlds are like without the bug.
"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.planted import BUGS, Bug, plant

if TYPE_CHECKING:
    from tests.simulation.faults import Faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.hunt", description=__doc__)
    parser.add_argument("name", choices=tuple(BUGS))
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--from", dest="first", type=int, default=0)
    asked = parser.parse_args()
    bug = BUGS[asked.name] if asked.clean else plant(asked.name)
    told = hunt(asked.name, bug, asked.first)
    sys.stdout.write(f"{json.dumps(told)}\n")
    return 0 if (told["seed"] is None) is asked.clean else 1


def hunt(name: str, bug: Bug, first: int = 0) -> dict[str, object]:
    """The first seed whose world shows a violation, and which."""
    from tests.simulation.funds import SPOT_SHARE
    from tests.simulation.world import Scenario, World

    coins = bug.scenario.get("coins", SPOT_SHARE)
    locked, nudged = bug.scenario.get("locked", True), bug.scenario.get("nudged", True)
    for seed in range(first, first + bug.seeds):
        world = World(Scenario(seed=seed, locked=locked, nudged=nudged, coins=coins, more=worse(bug)))
        if found := [one for one in world.run().violations if bug.shows in one]:
            return {"bug": name, "seeds": seed - first + 1, "seed": seed, "violations": found[:3]}
    return {"bug": name, "seeds": bug.seeds, "seed": None, "violations": []}


def worse(bug: Bug) -> "Callable[[Faults], None]":
    """What makes the faults of a world those that the bug needs to show."""

    def more(faults: "Faults") -> None:
        from tests.simulation.faults import RARE, Happening, OrderFault, ReadFault

        faults.orders = {**faults.orders, **{OrderFault(fault): rate for fault, rate in bug.faults.items()}}
        if spikes := bug.scenario.get("spikes"):
            faults.reads = {**faults.reads, ReadFault.SPIKE: spikes}
        if halts := bug.scenario.get("halts"):
            faults.happenings, faults.ambush = {Happening.HALT: 2}, halts
        wanted = {Happening(kind): count for kind, count in bug.scenario.get("happenings", {}).items()}
        # what is rare shows bugs of its own, and would hide whether this one is caught
        common = {kind: count for kind, count in faults.happenings.items() if kind not in RARE}
        faults.happenings = {kind: count for kind, count in {**common, **wanted}.items() if count}
        faults.ambush = bug.scenario.get("ambush", faults.ambush)
        faults.lag = bug.scenario.get("lag", faults.lag)
        faults.daemons = bug.scenario.get("daemons", faults.daemons)

    return more


if __name__ == "__main__":
    sys.exit(main())
