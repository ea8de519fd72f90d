"""A day of limiter traffic for many funds on one venue, in virtual time, as a table. A script, not a test.

    python tests/bench/limiter_day.py                 24 hours of 200 funds, some minutes
    python tests/bench/limiter_day.py --hours 1       one of them
    python tests/bench/limiter_day.py --strangers 300 with another process at the same address that takes so much a minute

The server enforces what Binance documents for USD-M futures: 2400 weight a minute for an address, 300 orders in 10 s and 1200
in a minute for an account, in windows of its own; it answers 429 to whatever is more. Exit code 1 when it had to.
"""

import argparse
import sys
import time
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from keeper.venues.budgets import Priority  # noqa: E402 - the path comes first
from keeper.venues.rates import BINANCE_USDM  # noqa: E402
from tests.fakes.limiter_traffic import ACCOUNT, MARK, MINUTE, Outcome, Traffic, carried, percentile  # noqa: E402

PARTS = (0.5, 0.9, 0.99)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def demanded(traffic: Traffic) -> None:
    """What the checks alone would take, with nothing shared that one account must be asked for."""
    granted = BINANCE_USDM.budgets[0].capacity
    checks = MINUTE / traffic.every
    weight = ACCOUNT.weight * traffic.funds + MARK.weight * traffic.markets
    often = f"{traffic.funds} funds, a check each every {traffic.every.total_seconds():g} s"
    say(f"{often}: {float(weight) * checks:.0f} weight a minute")
    say(f"granted to the address: {granted} a minute, so one check at least every {float(weight * 60 / granted):.1f} s")
    say(f"of which reads may take {BINANCE_USDM.budgets[0].ceiling(Priority.READ)}")


def table(outcome: Outcome) -> None:
    say(f"requests {sum(outcome.answers.values())}, of these 429: {outcome.answers.get(429, 0)}")
    say(f"questions about markets {outcome.shared}, requests for them {outcome.asked}")
    say(f"{'waited, s':<22}{'requests':>10}{'refused':>10}{'p50':>9}{'p90':>9}{'p99':>9}{'longest':>9}")
    for priority in Priority:
        waited = outcome.waited.get(priority, [])
        row(priority.name.lower(), waited, outcome.refused.get(priority, 0))
    row("between two checks", outcome.checks, 0)
    row("a whole rebalance", outcome.rebalances, 0)


def row(name: str, figures: list[float], refused: int) -> None:
    parts = "".join(f"{percentile(figures, part):>9.3f}" for part in (*PARTS, 1.0))
    say(f"{name:<22}{len(figures):>10}{refused:>10}{parts}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--funds", type=int, default=200)
    parser.add_argument("--every", type=float, default=5, help="seconds between two checks of a fund")
    parser.add_argument("--strangers", type=int, default=0, help="weight a minute that another process takes")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    traffic = Traffic(
        funds=asked.funds,
        lasts=timedelta(hours=asked.hours),
        every=timedelta(seconds=asked.every),
        strangers=asked.strangers,
        seed=asked.seed,
    )
    began = time.monotonic()
    demanded(traffic)
    outcome = carried(traffic)
    table(outcome)
    say(f"{asked.hours:g} simulated hours in {time.monotonic() - began:.0f} s, seed {asked.seed}")
    return 1 if outcome.answers.get(429) else 0


if __name__ == "__main__":
    sys.exit(main())
