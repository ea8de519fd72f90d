"""A year of a fund's books on real prices: does each day's change come apart into causes without a rest?

    python tests/bench/year_of_books.py DATA                 some minutes; DATA: a folder of recordings (parquet)
    python tests/bench/year_of_books.py DATA --days 30 --json

The service itself keeps a fund at three times bitcoin on the paper exchange: hourly prices of spot_BTCUSDT_1h_2017_2024.parquet,
funding as funding_bybit_BTCUSDT.parquet has it, taker fees of 5 bps, a daily slot at 00:15, and leverage looked at each hour.
Ends with 1 where more than 0.1 bps of a day stays unexplained, where a day's parts don't sum to its change, or where the demand
of Cheng and Madhavan differs from a frictionless simulation on the same prices by 1e-12 of NAV or more.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import structlog

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from keeper.domain.numbers import exact  # noqa: E402 - the path comes first
from keeper.domain.observation import FundingRate  # noqa: E402
from keeper.domain.run import Run  # noqa: E402
from keeper.journal import SqlJournal  # noqa: E402
from keeper.policy.breakers import Breakers  # noqa: E402
from keeper.records import EARLIEST, EVERY  # noqa: E402
from keeper.service.causes import CAUSES, Past, causes_document  # noqa: E402
from keeper.venues.feeds.bars import BarRecording  # noqa: E402
from keeper.venues.feeds.columns import Kind, read_table  # noqa: E402
from keeper.venues.feeds.market_spec import FUNDING_EVERY, MarketSpec  # noqa: E402
from keeper.venues.feeds.recorded import RecordedFeed  # noqa: E402
from keeper.venues.feeds.recording import Window  # noqa: E402
from tests.fakes.daemons import Venues, charge_of, daemon_of, daily, fund_of, memory, run_until  # noqa: E402
from tests.fakes.paper import PERP, opening, paper_venue  # noqa: E402

BEGIN = datetime(2022, 1, 1, tzinfo=UTC)
D = Decimal
SPEC = MarketSpec(taker_bps=D(5), lot=D("0.001"))
BAR = D("0.1")
EXACT, THREE = D("1e-12"), D(3)


class FundedFeed(RecordedFeed):
    """A recording whose funding is the recorded one of its time."""

    def __init__(self, recording: BarRecording, file: Path) -> None:
        super().__init__({PERP: recording})
        table = read_table(file, {"ts": Kind.TIME, "rate": Kind.NUMBER})
        self._times, self._rates = table.whole["ts"], table.numbers["rate"]

    async def funding(self, symbol: str, at: datetime) -> FundingRate | None:  # noqa: ARG002 - there is one market
        number = bisect_right(self._times, int(at.timestamp() * 1000)) - 1
        return FundingRate(rate=D(repr(self._rates[number])), every=FUNDING_EVERY)


@dataclass(frozen=True)
class Figures:
    """What came of it. worst: bps of equity that stayed unexplained on a day, at the most; demand: of NAV, likewise."""

    days: int
    runs: int
    worst: Decimal
    sums: bool
    demand: Decimal
    seconds: float
    report: float
    totals: dict[str, str]

    @property
    def passed(self) -> bool:
        return self.worst <= BAR and self.sums and self.demand < EXACT


async def kept(data: Path, days: int) -> tuple[SqlJournal, Sequence[Decimal]]:
    """The journal of a fund that was kept for so many days, and the price at the start of each."""
    end = BEGIN + timedelta(days=days)
    window = Window(start=BEGIN, end=end + timedelta(hours=2))
    recording = BarRecording(data / "spot_BTCUSDT_1h_2017_2024.parquet", SPEC.market(PERP), window=window, spread_bps=D(1))
    feed = FundedFeed(recording, data / "funding_bybit_BTCUSDT.parquet")
    prices = [await feed.mark(PERP, BEGIN + timedelta(days=day)) for day in range(days + 1)]
    venue, journal = paper_venue(feed, opening({"USDT": "100000"})), memory()
    fund = replace(fund_of(check_every=timedelta(hours=1)), breakers=Breakers(loss=D("0.99"), slippage_bps=D(500)))
    charge = charge_of(Venues(venue, journal, fund), daily("00:15"), heartbeat=timedelta(hours=1))
    daemon = daemon_of([charge], venue.clock, poll=timedelta(hours=1))
    await run_until(daemon, venue.clock, end + timedelta(minutes=5))
    return journal, prices


async def past_of(journal: SqlJournal) -> Past:
    """All that the fund's days are made from."""
    fund = fund_of().name
    runs: dict[str, Run] = {run.id: run for run in await journal.runs(fund=fund, limit=EVERY)}
    return Past(
        points=(await journal.nav_points(fund, limit=EVERY))[::-1],
        runs=runs,
        fills=[(run, fill) for run, _, fill in await journal.fills_of(fund)],
        markets=await journal.pins(next(iter(runs.values())).account),
        postings=await journal.postings(fund, EARLIEST),
        ledger=await journal.ledger(fund),
    )


@exact
def demand_apart(prices: Sequence[Decimal], multiple: Decimal = THREE) -> Decimal:
    """By how much A (L^2 - L) r differs from what a frictionless fund trades, of A, at the most."""
    nav, worst = D(100), D(0)
    held = multiple * nav / prices[0]
    for before, after in pairwise(prices):
        move = after / before - 1
        now = nav + held * (after - before)
        traded = multiple * now - held * after
        worst = max(worst, abs(traded - nav * (multiple**2 - multiple) * move) / nav)
        nav, held = now, multiple * now / after
    return worst


async def measured(data: Path, days: int) -> Figures:
    """A fund kept, and its days attributed."""
    began = time.perf_counter()
    journal, prices = await kept(data, days)
    over = time.perf_counter()
    past = await past_of(journal)
    asked = time.perf_counter()
    document = causes_document(past, lambda _at: True)
    done = time.perf_counter()
    rows = document["days"] if document else []
    total = document["total"] if document else {}
    await journal.close()
    return Figures(
        days=len(rows),
        runs=len(past.runs),
        worst=max(abs(D(row["unexplained_bps"])) for row in rows),
        sums=all(sum((D(row[cause]) for cause in CAUSES), D(0)) == D(row["change"]) for row in rows),
        demand=demand_apart(prices),
        seconds=over - began,
        report=done - asked,
        totals={key: str(total[key]) for key in ("before", "after", *CAUSES, "cost", "cost_bps")},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = asyncio.run(measured(asked.data, asked.days))
    if asked.json:
        sys.stdout.write(json.dumps({**vars(found), "worst": str(found.worst), "demand": str(found.demand)}, indent=2) + "\n")
        return 0 if found.passed else 1
    lines = [
        f"{found.days} days and {found.runs} runs in {found.seconds:.0f} s, attributed in {found.report:.2f} s",
        f"unexplained on the worst day: {found.worst} bps of equity; parts sum exactly: {found.sums}",
        f"Cheng-Madhavan apart from a frictionless simulation: {found.demand:.1e} of NAV",
        *(f"{name:>12} {D(value):>16.2f}" for name, value in found.totals.items()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
