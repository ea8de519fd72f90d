"""What a daemon at rest costs: one ring with nothing due, and the memory of a process that has an exchange loaded.

    python tests/bench/measure_daemon.py            about half a minute

A script, not a test: nothing here fails for being slow. The exchange is a loopback one with as many markets as the real one.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from keeper.journal import Mode, SqlJournal  # noqa: E402 - the path comes first
from keeper.policy.schedule import Schedule  # noqa: E402
from keeper.service.keeping import FundKeeper  # noqa: E402
from keeper.system import SystemClock  # noqa: E402
from tests.fakes.binance_usdm import BinanceUsdm, in_thread, usual_core  # noqa: E402
from tests.fakes.configurations import BINANCE, secret_files, written  # noqa: E402
from tests.fakes.daemons import Venues, charge_of, fund_of  # noqa: E402
from tests.fakes.exchange_core import Instrument  # noqa: E402
from tests.fakes.paper import fixed_feed, opening, paper_venue  # noqa: E402

RINGS = 2000
MARKETS = 600
REST = 20.0
KILOBYTE = 1024


class Stopwatch:
    """A bell that rings at once, and notes how long the loop was away."""

    def __init__(self) -> None:
        self.away: list[float] = []
        self._rung_at = 0.0
        self.done = asyncio.Event()

    def ring_at(self, at: datetime) -> None:
        """Never mind when."""

    def ring(self) -> None:
        """Never mind."""

    async def wait(self) -> None:
        now = time.perf_counter()
        if self._rung_at:
            self.away.append(now - self._rung_at)
        if len(self.away) >= RINGS:
            self.done.set()
            await asyncio.Event().wait()
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)  # as after a real wait, others had their turn
        self._rung_at = time.perf_counter()


async def rings(folder: Path) -> list[float]:
    """Seconds from a ring with nothing due to the next wait, journal on disk and read by threads."""
    journal = SqlJournal.open(f"sqlite:///{folder}/keeper.db", mode=Mode.WRITER)
    venue = paper_venue(fixed_feed({"BTC/USDT:USDT": "105"}), opening({"USDT": "100000"}))
    bell = Stopwatch()
    late = venue.clock.now() - timedelta(hours=8)  # today's window has closed
    schedule = Schedule(at=(late.time(),), zone=ZoneInfo("UTC"))
    keeping = asyncio.create_task(FundKeeper(charge_of(Venues(venue, journal, fund_of()), schedule, bell=bell)).keep())
    await bell.done.wait()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await journal.close()
    return bell.away


def resident(pid: int) -> dict[str, float]:
    """Megabytes of a process: resident now, and at its highest."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    told = dict(line.split(":", 1) for line in lines)
    return {name: int(told[name].split()[0]) / KILOBYTE for name in ("VmRSS", "VmHWM")}


def memory(folder: Path) -> tuple[dict[str, float], float]:
    """Megabytes of `keeper run` at rest with one exchange loaded, and the share of a core that it uses."""
    core = usual_core()
    for number in range(MARKETS):
        core.instruments[f"COIN{number}USDT"] = Instrument(symbol=f"COIN{number}USDT", base=f"COIN{number}")
    with in_thread(BinanceUsdm(core=core)) as exchange:
        secret_files(folder)
        hosts = "".join(f'"{host}" = "{origin}"\n' for host, origin in exchange.hosts.items())
        at = SystemClock().now() - timedelta(hours=8)
        schedule = f'schedule = {{ at = "{at:%H:%M}" }}\n'
        file = written(folder, f"{BINANCE}{schedule}[venues.binance.hosts]\n{hosts}")
        command = [sys.executable, "-m", "keeper", "--config", str(file), "run"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - our own program
            try:
                until = time.monotonic() + 30
                while not exchange.seen("/premiumIndex") and not exchange.seen("/exchangeInfo") and time.monotonic() < until:
                    time.sleep(0.1)
                time.sleep(5)
                before = cpu(process.pid)
                time.sleep(REST)
                used = (cpu(process.pid) - before) / REST
                return resident(process.pid), used
            finally:
                process.terminate()


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / 100


def main() -> None:
    """Print both."""
    with tempfile.TemporaryDirectory() as folder:
        away = asyncio.run(rings(Path(folder)))
    milliseconds = sorted(1000 * seconds for seconds in away[10:])
    median, high = statistics.median(milliseconds), milliseconds[int(len(milliseconds) * 0.99)]
    print(f"a ring with nothing due: median {median:.3f} ms, 99 in 100 below {high:.3f} ms (bar: 1 ms)")  # noqa: T201 - a script
    with tempfile.TemporaryDirectory() as folder:
        held, used = memory(Path(folder))
    print(  # noqa: T201 - a script
        f"keeper run at rest, {MARKETS} markets loaded: {held['VmRSS']:.1f} MB resident, highest {held['VmHWM']:.1f} MB"
        f" (bar: 160 MB), {used:.2%} of a core"
    )


if __name__ == "__main__":
    main()
