"""How much time and memory Keeper takes, as a table. A script, not a test: nothing here fails for being slow.

    python tests/bench/measure.py            all figures, about a minute
    python tests/bench/measure.py --json     the same as one JSON document

Run it on a quiet machine, from any folder, with the development dependencies installed. Seconds of CPU are user and system time
of a whole process (and its children), the median of several; the ratio beside them is to ``python -c pass`` in the same run,
so that figures of two machines can be compared. A bar that is missed is marked with an exclamation mark.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OFTEN, SELDOM = 7, 3
DELAY = 0.05
MEGABYTE = 1024 * 1024
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
KEEPER = (sys.executable, "-m", "keeper")
FIXED = """\
[venues.sim]
exchange = "paper"
[venues.sim.feed]
kind = "fixed"
prices = { "BTC/USDT:USDT" = "105" }
[venues.sim.account]
balances = { USDT = "100000" }
positions = { "BTC/USDT:USDT" = { contracts = "3000", entry = "100" } }
[funds.btc3l]
venue = "sim"
target = { "BTC/USDT:USDT" = 3 }
"""
BINANCE = """\
[venues.binance]
exchange = "binanceusdm"
environment = "testnet"
[venues.binance.hosts]
"demo-fapi.binance.com" = "{url}"
[funds.btc3l]
venue = "binance"
target = {{ "BTC/USDT:USDT" = 3 }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. ratio: to the bare interpreter, or as the unit says; bar: what it should stay below."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    bar: float | None = None
    note: str = ""

    @property
    def missed(self) -> bool:
        return self.bar is not None and self.value >= self.bar


@dataclass(frozen=True, slots=True)
class Spent:
    """What one process took. cpu, wall: seconds; memory: bytes at the peak; code: its exit code."""

    cpu: float
    wall: float
    memory: int
    code: int


class Bench:
    """Runs commands in an empty home, with nothing of this machine's settings. folder: where configurations are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder),
        }

    def once(self, arguments: Sequence[str]) -> Spent:
        before = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - our own program
            arguments,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - before
        return Spent(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * MAXRSS_UNIT, process.returncode)

    def median(self, *arguments: str, times: int = OFTEN, expected: int = 0) -> Spent:
        """The run of median CPU. RuntimeError when one ends otherwise than expected."""
        self.once(arguments)  # caches are warm from here on
        runs = sorted((self.once(arguments) for _ in range(times)), key=lambda spent: spent.cpu)
        codes = {spent.code for spent in runs} - {expected}
        if codes:
            raise RuntimeError(f"{' '.join(arguments)} ended with {codes}, not {expected}")
        return runs[len(runs) // 2]

    def probe(self, name: str, argument: str = "") -> dict[str, float]:
        """What a probe of ``probes.py`` printed."""
        with self._probing(name, argument) as process:
            out, err = process.communicate()
        if process.returncode:
            raise RuntimeError(f"probe {name}: {err}")
        read: dict[str, float] = json.loads(out.splitlines()[-1])  # whatever is logged comes before
        return read

    @contextmanager
    def exchange(self, delay: float) -> Iterator[dict[str, str]]:
        """The loopback exchange in a process of its own: its URL, and the keys of the account there."""
        with self._probing("serve", str(delay)) as process:
            try:
                assert process.stdout is not None
                yield json.loads(process.stdout.readline())
            finally:
                process.terminate()

    def _probing(self, name: str, argument: str) -> "subprocess.Popen[str]":
        words = [sys.executable, "-m", "tests.bench.probes", name, argument]
        return subprocess.Popen(words, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own

    def configuration(self, name: str, text: str) -> str:
        path = self.folder / name / "keeper.toml"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        return str(path)


def commands(bench: Bench, bare: float) -> Iterator[Figure]:
    """CPU of the commands that an operator types, on paper."""
    config = bench.configuration("paper", FIXED)

    def cpu(what: str, *words: str, bar: float | None = None, times: int = OFTEN, expected: int = 0) -> Figure:
        spent = bench.median(*KEEPER, *words, times=times, expected=expected)
        return Figure(what=what, value=spent.cpu, unit="s CPU", ratio=spent.cpu / bare, bar=bar)

    yield cpu("keeper --help", "--help", bar=0.3)
    yield cpu("keeper config check", "--config", config, "config", "check")
    yield cpu("keeper plan, fixed feed", "--config", config, "plan", expected=2)
    bench.once([*KEEPER, "--config", config, "rebalance", "--yes"])
    yield cpu("keeper status, after a run", "--config", config, "status", bar=0.8)
    told = bench.probe("imports", config)
    heavy = [name for name in ("ccxt", "alembic", "apscheduler") if name in str(told["loaded"])]
    yield Figure(
        what="heavy imports of keeper status", value=len(heavy), unit="packages", bar=1, note=f"loaded: {told['loaded']}"
    )
    demo = bench.median(*KEEPER, "demo", times=SELDOM)
    yield Figure(what="keeper demo", value=demo.cpu, unit="s CPU", ratio=demo.cpu / bare)
    yield Figure(what="keeper demo, start to end", value=demo.wall, unit="s", bar=10)


def on_the_wire(bench: Bench) -> Iterator[Figure]:
    """One observation in round trips, and how long the event loop is ever blocked, at an exchange with 600 markets."""
    with bench.exchange(DELAY) as served:
        told = bench.probe("observation", served["url"])
        note = f"{told['observation'] * 1000:.1f} ms, a round trip takes {told['round_trip'] * 1000:.1f} ms"
        yield Figure(
            what="one observation", value=told["observation"] / told["round_trip"], unit="round trips", bar=1.5, note=note
        )
        told = bench.probe("rebalance", served["url"])
        note = f"{told['status']}, {told['children']} children; while connecting {told['connecting']:.0f} ms"
        yield Figure(what="event loop blocked in a rebalance, at most", value=told["running"], unit="ms", bar=50, note=note)


def child(bench: Bench) -> Iterator[Figure]:
    """What the journal and the gate cost beside the venue."""
    told = [bench.probe("child") for _ in range(SELDOM)]
    for part, what in (("sent", "gate and intent of one child, a commit included"), ("ended", "outcome of one child, likewise")):
        yield Figure(what=what, value=statistics.median(one[part] for one in told), unit="ms CPU")


def memory(bench: Bench) -> Iterator[Figure]:
    """Peak memory of a plan on paper, and through ccxt."""
    paper = bench.median(*KEEPER, "--config", str(bench.folder / "paper" / "keeper.toml"), "plan", times=SELDOM)
    yield Figure(what="memory of a plan on paper", value=paper.memory / MEGABYTE, unit="MB")
    with bench.exchange(0) as served:
        config = bench.configuration("binance", BINANCE.format(url=served["url"]))
        credentials = "KEEPER__VENUES__BINANCE__CREDENTIALS__"
        bench.env |= {f"{credentials}API_KEY": served["api_key"], f"{credentials}SECRET": served["secret"]}
        wired = bench.median(*KEEPER, "--config", config, "plan", times=SELDOM, expected=2)
    yield Figure(what="memory of a plan through ccxt", value=wired.memory / MEGABYTE, unit="MB")


def measured(bench: Bench) -> Iterator[Figure]:
    bare = bench.median(sys.executable, "-c", "pass").cpu
    yield Figure(what="python -c pass", value=bare, unit="s CPU", ratio=1.0)
    yield from commands(bench, bare)
    yield from on_the_wire(bench)
    yield from child(bench)
    yield from memory(bench)


def line(figure: Figure) -> str:
    ratio = f"{figure.ratio:.1f}x" if figure.ratio is not None else ""
    bar = f"< {figure.bar:g}" if figure.bar is not None else ""
    mark = "!" if figure.missed else " "
    return f"{mark} {figure.what:44}{figure.value:9.3f} {figure.unit:12}{ratio:>8}  {bar:7} {figure.note}".rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="How much time and memory Keeper takes.")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    as_json = parser.parse_args().json
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    if not as_json:
        sys.stdout.write(f"{machine}\n\n  {'':44}{'':9} {'':12}{'to bare':>8}  bar\n")
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for figure in measured(Bench(Path(folder))):
            figures.append({**asdict(figure), "missed": figure.missed})
            if not as_json:
                sys.stdout.write(line(figure))
                sys.stdout.flush()
    if as_json:
        sys.stdout.write(json.dumps({"machine": machine, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
