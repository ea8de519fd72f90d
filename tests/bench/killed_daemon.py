"""The daemon killed with SIGKILL at random moments of a rebalance, started again, and judged by what the exchange has.

    python tests/bench/killed_daemon.py --kills 100 --seed 1            about four minutes

Real processes of `keeper run`, a journal on disk, the real ccxt class against a loopback exchange. Exits with 1 when anything
is wrong.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fakes.killed_daemon import Killed, killed_rebalance, undisturbed  # noqa: E402 - the path comes first

IN_ONE = 5


def rebalances(folder: Path, seed: int, kills: int, lanes: int) -> tuple[float, list[Killed]]:
    """Seconds of an undisturbed rebalance, and what came of as many as it takes for so many ``kills``."""
    (folder / "undisturbed").mkdir()
    lasts = undisturbed(folder / "undisturbed", f"{seed} undisturbed")
    numbers, done = count(1), list[Killed]()

    def lane() -> None:
        while sum(sum(one.moments.values()) for one in done) < kills:
            number = next(numbers)
            killed = killed_rebalance(folder / str(number), f"{seed} {number}", lasts, IN_ONE)
            done.append(killed)
            for fault in killed.faults:
                tell(f"WRONG in rebalance {number}: {fault}")

    with ThreadPoolExecutor(lanes) as pool:
        for running in [pool.submit(lane) for _ in range(lanes)]:
            running.result()
    return lasts, done


def figures(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s"


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=2, help="how many rebalances run at the same time")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lasts, done = rebalances(Path(folder), asked.seed, asked.kills, asked.lanes)
    moments: Counter[str] = sum((one.moments for one in done), Counter())
    controls = [control for one in done for control in one.controls]
    verdicts = [one.verdict for one in done if one.verdict is not None]
    tell(f"kills in a rebalance   {sum(moments.values())}, {sum(one.too_late for one in done)} more when it was over")
    for moment, times in moments.most_common():
        tell(f"    {moment:<30} {times}")
    tell(f"rebalances             {len(done)}, {lasts:.1f} s each undisturbed")
    tell(f"orders                 {sum(one.orders for one in done)}")
    tell(f"duplicates             {sum(len(one.duplicates) for one in verdicts)}")
    tell(f"fills that differ      {sum(len(one.wrong_fills) for one in verdicts)}")
    tell(f"other mismatches       {sum(len(one.faults) for one in done)}")
    if controls:
        tell(f"restart to control     {figures([seconds for _, seconds in controls])}")
    for moment in moments:
        if found := [seconds for when, seconds in controls if when == moment]:
            tell(f"    killed {moment:<30} {figures(found)}")
    tell(f"seconds                {time.monotonic() - began:.0f}")
    sys.exit(1 if any(one.faults for one in done) else 0)


if __name__ == "__main__":
    main()
