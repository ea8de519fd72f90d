"""Orders over a line that loses, delays and garbles messages, before the exchange takes an order and after.

    python tests/bench/faulty_exchange.py --orders 300 --seed 1            about a minute

Through the real service, a journal on disk and the real ccxt class against a loopback exchange, on whose truth it is judged.
Exits with 1 when anything is wrong.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import structlog

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fakes.faulty_desk import Figures, traded  # noqa: E402 - the path comes first

LOT = Decimal("0.001")


def told(all_figures: list[Figures]) -> bool:
    """Print what happened; whether nothing was wrong."""
    faults: Counter[str] = sum((one.faults for one in all_figures), Counter())
    states: Counter[str] = sum((one.states for one in all_figures), Counter())
    verdicts = [one.verdict for one in all_figures if one.verdict is not None]
    duplicates = sum(len(one.duplicates) for one in verdicts)
    wrong = sum(len(one.wrong_states) for one in verdicts)
    gap = max(one.gap for one in all_figures)
    tell(f"orders sent            {sum(one.orders for one in all_figures)}")
    tell(f"runs                   {sum(one.runs for one in all_figures)}")
    tell(f"faults                 {sum(faults.values())}")
    for name, times in sorted(faults.items()):
        tell(f"    {name:<20} {times}")
    tell(f"outcome unknown        {sum(one.unknowns for one in all_figures)}")
    tell(f"reads that failed      {sum(one.unread for one in all_figures)} (the run was begun anew)")
    stops = sum((one.stopped for one in all_figures), Counter[str]())
    tell(f"breakers that tripped  {dict(stops) or 0}")
    tell("final states           " + ", ".join(f"{times} {name}" for name, times in sorted(states.items())))
    tell(f"duplicates             {duplicates}")
    tell(f"wrong final states     {wrong}")
    tell(f"largest final gap      {gap.quantize(Decimal('1e-6'))} contracts (one lot: {LOT})")
    problems = [fault for one in verdicts for fault in one.faults]
    for problem in problems:
        tell(f"WRONG                  {problem}")
    return not problems and not stops and gap < LOT and len(verdicts) == len(all_figures)


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--desks", type=int, default=6, help="how many funds trade at the same time, each on its own exchange")
    parser.add_argument("--log", action="store_true", help="show Keeper's own log")
    asked = parser.parse_args()
    if not asked.log:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fine = told(asyncio.run(traded(Path(folder), asked.seed, asked.orders, asked.desks)))
    tell(f"seconds                {time.monotonic() - began:.0f}")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
