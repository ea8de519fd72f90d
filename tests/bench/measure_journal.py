"""What a child costs in the journal: the gate's footing, its intent and its outcome, alone and four legs in one turn.

    python tests/bench/measure_journal.py           some ten seconds
    python tests/bench/measure_journal.py --json    one JSON document

A script, not a test: nothing here fails for being slow. CPU is that of all threads together, commits included; beside it
stands the bare sqlite3 of the same machine, which inserts a row as long as an event and commits it with synchronous=FULL, and
the ratio to that. ``bar`` is what the gate and the intent may take beyond one such commit.
"""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from keeper.domain.order import Child, ChildState, client_id  # noqa: E402 - the path comes first
from keeper.journal import Mode, SqlJournal  # noqa: E402
from tests.fakes.journal_values import AT, a_child, a_fill, a_report, a_run  # noqa: E402

ROUNDS = 200
LEGS = 4
STEPS = 24
"""Of one run."""
APART = timedelta(minutes=20)
"""Between two steps: seventy of them count in the rolling day."""
BAR = 1.0
MILLION = 10**6
SURE = 1000
EVENT = "x" * SURE


@dataclass(frozen=True)
class Figure:
    """One figure. cpu, wall: milliseconds for one child; ratio: of the CPU to the bare commit; bar: beyond one commit."""

    what: str
    cpu: float
    wall: float
    ratio: float
    bar: float | None = None


@dataclass
class Stopwatch:
    """Medians of what each step took."""

    cpu: dict[str, list[int]]
    wall: dict[str, list[int]]

    async def time(self, step: str, work: Awaitable[object]) -> None:
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        await work
        self.cpu.setdefault(step, []).append(time.process_time_ns() - cpu)
        self.wall.setdefault(step, []).append(time.perf_counter_ns() - wall)

    def milliseconds(self, step: str, children: int) -> tuple[float, float]:
        return statistics.median(self.cpu[step]) / MILLION / children, statistics.median(self.wall[step]) / MILLION / children


async def bare(path: Path, watch: Stopwatch) -> None:
    """The peer: one INSERT and its COMMIT, nothing else."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, payload TEXT)")

        async def commit() -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO events (payload) VALUES (?)", (EVENT,))
            connection.execute("COMMIT")

        for _ in range(ROUNDS):
            await watch.time("bare", commit())


async def journaled(url: str, watch: Stopwatch, *, inline: bool, legs: int) -> None:
    """Runs of children, ``legs`` at a time."""
    journal = SqlJournal.open(url, mode=Mode.WRITER, inline=inline)
    for step in range(ROUNDS):
        now, sequence = AT + step * APART, step % STEPS + 1
        if sequence == 1:
            run = a_run(f"r{step}")
            await journal.open_run(run)
        children = [intended(run.id, leg, sequence, now) for leg in range(legs)]
        await watch.time("footing", journal.footing(run.key.fund, run.id, now))
        await watch.time("intent", together(journal.record_intent, children))
        await watch.time("outcome", together(lambda child: ended(journal, child), children))
    await journal.close()


async def together(write: Callable[[Child], Awaitable[object]], children: list[Child]) -> None:
    if len(children) == 1:
        await write(children[0])
    else:
        await asyncio.gather(*map(write, children))


def intended(run: str, leg: int, sequence: int, now: datetime) -> Child:
    name = client_id(account="acc1", fund="btc3l", run=run, leg=leg, sequence=sequence)
    return replace(a_child(name, run=run, sequence=sequence, at=now), leg=leg, notional=Decimal("30000.05"))


async def ended(journal: SqlJournal, child: Child) -> None:
    name = child.request.client_id
    report, fill = a_report(name, order_id=name), a_fill(name, at=child.at)
    await journal.advance_child(
        name, expected=ChildState.INTENT, state=ChildState.FILLED, at=child.at, report=report, fills=[fill]
    )


async def measured(folder: Path) -> list[Figure]:
    peer = Stopwatch({}, {})
    await bare(folder / "bare.db", peer)
    cpu, wall = peer.milliseconds("bare", 1)
    figures = [Figure("bare sqlite3, one insert and commit", cpu, wall, 1.0)]
    places = (("in memory, inline", "sqlite://", True), ("file, inline", "inline.db", True), ("file", "file.db", False))
    for (where, name, inline), legs in [(place, legs) for place in places for legs in (1, LEGS)]:
        watch = Stopwatch({}, {})
        url = name if "//" in name else f"sqlite:///{folder}/{legs}{name}"
        await journaled(url, watch, inline=inline, legs=legs)
        spent = {step: watch.milliseconds(step, legs) for step in ("footing", "intent", "outcome")}
        spent["footing and intent"] = tuple(map(sum, zip(spent["footing"], spent["intent"], strict=True)))  # type: ignore[assignment]  # two of two
        alike = "one child" if legs == 1 else f"{legs} legs, each"
        for step, (cpu_of, wall_of) in spent.items():
            bar = BAR if step == "footing and intent" else None
            figures.append(Figure(f"{where}, {alike}: {step}", cpu_of, wall_of, cpu_of / cpu, bar))
    return figures


def line(figure: Figure, commit: float) -> str:
    bar = "" if figure.bar is None else f"  < {commit + figure.bar:.2f}{' !' if figure.cpu > commit + figure.bar else ''}"
    return f"{figure.what:48}{figure.cpu:7.3f}{figure.wall:9.3f}{figure.ratio:8.1f}x{bar}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="How much time the journal takes for a child.")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    as_json = parser.parse_args().json
    machine = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}, {os.cpu_count()} CPUs"
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measured(Path(folder)))
    if as_json:
        sys.stdout.write(json.dumps({"machine": machine, "figures": [asdict(figure) for figure in figures]}, indent=2) + "\n")
        return
    sys.stdout.write(f"{machine}\n\n{'milliseconds':48}{'CPU':>7}{'wall':>9}{'to bare':>9}  bar\n")
    for figure in figures:
        sys.stdout.write(line(figure, figures[0].cpu))


if __name__ == "__main__":
    main()
