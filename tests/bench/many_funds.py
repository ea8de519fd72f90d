"""What many funds cost one process, and how long the report of five years takes. A script, not a test.

    python tests/bench/many_funds.py            about five minutes, most of them to make the five years
    python tests/bench/many_funds.py --years 1 --json

Deciding: a plan for each of 1,000 funds from a snapshot of its own. The report: the service itself keeps a fund at three times
bitcoin on the paper exchange, one slot a day, on prices that swing; then `keeper report --period all --html` is run as a
process of its own. The ratio beside a figure is to ``python -c pass`` in the same run. A bar that is missed is marked with an
exclamation mark.
"""

import argparse
import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal
from math import exp, sin
from pathlib import Path

import structlog

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from keeper.domain.book import OrderBook  # noqa: E402 - the path comes first
from keeper.domain.observation import Observation  # noqa: E402
from keeper.journal.store import Mode, SqlJournal  # noqa: E402
from keeper.planning.brief import Brief  # noqa: E402
from keeper.planning.build import build  # noqa: E402
from keeper.planning.gate import Limits  # noqa: E402
from keeper.policy.breakers import Breakers  # noqa: E402
from keeper.policy.mandate import Mandate  # noqa: E402
from tests.bench.measure import KEEPER, Bench, Figure  # noqa: E402
from tests.fakes.daemons import Venues, charge_of, daemon_of, daily, fund_of, run_until  # noqa: E402
from tests.fakes.markets import BTC, ETH, holding, linear, observe, quote  # noqa: E402
from tests.fakes.moving_feed import MovingFeed  # noqa: E402
from tests.fakes.paper import PERP, START, opening, paper_venue  # noqa: E402

D = Decimal
FUNDS, ROUNDS, YEAR = 1000, 5, 365
CONFIG = """\
[keeper]
journal = "sqlite:///{journal}"
[venues.sim]
exchange = "paper"
[venues.sim.feed]
kind = "fixed"
prices = {{ "BTC/USDT:USDT" = "100" }}
[venues.sim.account]
balances = {{ USDT = "100000" }}
[funds.btc3l]
venue = "sim"
target = {{ "BTC/USDT:USDT" = 3 }}
"""


class WalkingFeed(MovingFeed):
    """A feed whose price is another one each hour."""

    def __init__(self, hours: int) -> None:
        super().__init__({PERP: D(100)}, start=START, spread_bps=D(1))
        # two swings of a market and a ripple, none of which is a multiple of a day
        moves = (0.4 * sin(hour / 900) + 0.05 * sin(hour / 31) + 0.004 * sin(hour * 12.9898) for hour in range(hours + 1))
        self._hours = [D(repr(100 * exp(move))).quantize(D("0.1")) for move in moves]

    async def mark(self, symbol: str, at: datetime) -> Decimal:
        self._to(at)
        return await super().mark(symbol, at)

    async def book(self, symbol: str, at: datetime) -> OrderBook:
        self._to(at)
        return await super().book(symbol, at)

    def _to(self, at: datetime) -> None:
        self.move(PERP, self._hours[min((at - START) // timedelta(hours=1), len(self._hours) - 1)])


def snapshots() -> list[tuple[Brief, Observation]]:
    """Funds of one market and of two, each with an account of its own that is off its target."""
    limits = Limits(max_order_notional=D(10**6), max_turnover_per_day=D(3), max_slippage_bps=D(30), max_leverage=D(9))
    made = []
    for number in range(FUNDS):
        targets = {BTC: D(3)} if number % 2 else {BTC: D("1.5"), ETH: D("-1.5")}
        brief = Brief(
            fund=f"fund{number}",
            venue="sim",
            environment="paper",
            mandate=Mandate(targets=targets),
            limits=limits,
            slicer=lambda _contracts, _smallest: 10,
            horizon=timedelta(minutes=30),
        )
        markets = {linear(symbol): quote("105" if symbol == BTC else "200") for symbol in targets}
        made.append((brief, observe({"USDT": str(100_000 + number)}, markets, holding(BTC, "3000", "100"))))
    return made


def deciding() -> float:
    """Seconds of CPU that deciding for all funds takes: the median of some rounds."""
    funds, taken = snapshots(), []
    for _ in range(ROUNDS):
        began = time.process_time()
        plans = [build(brief, observation) for brief, observation in funds]
        taken.append(time.process_time() - began)
        assert all(plan.legs for plan in plans)
    return statistics.median(taken)


async def kept(path: Path, days: int) -> None:
    """Keep a fund for so many days; its journal is at ``path``."""
    venue = paper_venue(WalkingFeed(days * 24 + 24), opening({"USDT": "100000"}))
    journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER, inline=True)
    fund = replace(fund_of(), breakers=Breakers(loss=D("0.99"), slippage_bps=D(500)))
    charge = charge_of(Venues(venue, journal, fund), daily("00:15"), heartbeat=timedelta(hours=6))
    await run_until(daemon_of([charge], venue.clock, poll=timedelta(hours=6)), venue.clock, START + timedelta(days=days))
    await journal.close()


def figures(years: float) -> list[Figure]:
    """All of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder)
        bare = bench.median(sys.executable, "-c", "pass").cpu
        decided = deciding()
        journal, config = folder / "keeper.db", folder / "keeper.toml"
        asyncio.run(kept(journal, int(years * YEAR)))
        config.write_text(CONFIG.format(journal=journal), encoding="utf-8")
        page = folder / "report.html"
        report = bench.median(*KEEPER, "--config", str(config), "report", "--period", "all", "--html", str(page), times=ROUNDS)
        size = page.stat().st_size / 1024
    return [
        Figure(what=f"deciding for {FUNDS} funds", value=decided, unit="s CPU", ratio=decided / bare, bar=1),
        Figure(what=f"report of {years:g} years as a page, start to end", value=report.wall, unit="s", bar=3),
        Figure(what="the same, CPU", value=report.cpu, unit="s CPU", ratio=report.cpu / bare),
        Figure(what="that page", value=size, unit="KiB"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/bench/many_funds.py", description=__doc__)
    parser.add_argument("--years", type=float, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found = figures(asked.years)
    if asked.json:
        sys.stdout.write(json.dumps([asdict(one) for one in found]) + "\n")
    else:
        for one in found:
            ratio = "" if one.ratio is None else f"{one.ratio:8.1f} x python -c pass"
            sys.stdout.write(f"{'!' if one.missed else ' '} {one.what:45}{one.value:10.2f} {one.unit:6}{ratio}\n")
    return 1 if any(one.missed for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
