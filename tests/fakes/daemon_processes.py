"""A fund whose slot opens in a few seconds of real time, for tests of real processes.

Slots fall on whole minutes. Jitter moves the opening of the window to where the test wants it: it comes from a seed that the
journal keeps, so the test looks for one that fits and writes it down as the fund's first start would.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from keeper.domain.fund import FirstStart
from keeper.journal import Mode, SqlJournal
from keeper.policy.schedule import Schedule, window
from keeper.system import SystemClock
from tests.fakes.schedules import occurrence_of

FUND = """\
[venues.sim]
exchange = "paper"
account = {{ balances = {{ USDT = "100000" }}, positions = {{ "BTC/USDT:USDT" = {{ contracts = "6", entry = "50000" }} }} }}
[venues.sim.feed]
kind = "synthetic"
seed = 11
volatility = 0.1
prices = {{ "BTC/USDT:USDT" = "52500" }}
markets."BTC/USDT:USDT" = {{ tick = "0.1", lot = "0.001", taker_bps = 5 }}
[funds.btc3l]
venue = "sim"
target = {{ "BTC/USDT:USDT" = 3.0 }}
schedule = {{ at = "{at}", jitter = "{jitter}s", catch_up = "{catch_up}s" }}
execution = {{ style = "twap", horizon = "{horizon}", slices = 10 }}
"""


@dataclass(frozen=True, slots=True)
class Window:
    """When the slot may be run, aware UTC."""

    opens: datetime
    closes: datetime


def fund_with_slot(folder: Path, *, opens_in: float, lasts: int, horizon: str = "1s") -> Window:
    """A drifted paper fund in ``folder`` whose slot opens in so many seconds and stays open for about as many."""
    now = SystemClock().now()
    minute = now.replace(second=0, microsecond=0)
    jitter = int((now - minute).total_seconds() + opens_in) + 1
    schedule = Schedule(
        at=(time(minute.hour, minute.minute),),
        zone=ZoneInfo("UTC"),
        jitter=timedelta(seconds=jitter),
        catch_up=timedelta(seconds=jitter + lasts),
    )
    coming = occurrence_of(schedule, minute.date())
    seeds = (str(number) for number in range(100_000))
    seed = next(seed for seed in seeds if abs((window(schedule, seed, coming)[0] - now).total_seconds() - opens_in) < 0.2)
    text = FUND.format(at=f"{minute:%H:%M}", jitter=jitter, catch_up=jitter + lasts, horizon=horizon)
    (folder / "keeper.toml").write_text(text, encoding="utf-8")
    asyncio.run(_start(folder, FirstStart(fund="btc3l", seed=seed, since=now)))
    return Window(*window(schedule, seed, coming))


async def _start(folder: Path, start: FirstStart) -> None:
    journal = SqlJournal.open(f"sqlite:///{folder}/var/keeper.db", mode=Mode.WRITER, inline=True)
    await journal.first_start(start)
    await journal.close()
