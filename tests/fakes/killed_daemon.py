"""`keeper run` as a process that is killed again and again in the middle of one slot's rebalance, on the loopback exchange.

Each kill falls at a moment drawn from a seed, uniform over the time that a whole rebalance takes; some restarts are killed
while they still settle what the kill before left. What stands in the journal and at the exchange right after tells where it
fell. Half of the orders that are on their way when their sender dies arrive nevertheless.
"""

import asyncio
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random  # noqa: TID251 - the type of a seeded stream

from keeper.domain.fund import FirstStart
from keeper.domain.order import Child
from keeper.domain.run import Run, RunStatus
from keeper.journal import Mode, SqlJournal
from keeper.system import SystemClock
from tests.fakes.binance_desk import LOT, written_fund
from tests.fakes.binance_usdm import in_thread
from tests.fakes.command_line import PATIENCE, Running, started
from tests.fakes.faulty_server import SYMBOLS, FaultyUsdm, holding, slow_line, stream
from tests.fakes.wire_truth import Verdict, compared, largest_gap

TARGETS = {"BTCUSDT": Decimal(3)}
HELD = {symbol: 100_000 * multiple / SYMBOLS[symbol] for symbol, multiple in TARGETS.items()}
DELAY = 0.03
UNDER_WAY = (0.02, 0.12)
LOST = 0.5
IN_RECOVERY = 0.2
USUAL_RECOVERY = 2.0
ANY_RUN, OPENED = '"event": "run.', '"event": "run.opened"'
_ONE_AT_A_TIME = threading.Lock()
"""Migrations keep what they work on in the process, not in the thread."""
RECOVERING, BEGUN = "while it recovered", "before the first intent"
ON_ITS_WAY, TAKEN = "between intent and arrival", "between arrival and outcome"
WAITING, AFTER = "waiting for the next slice", "after the last outcome"


@dataclass(slots=True)
class Killed:
    """What came of one rebalance.

    moments: where each kill fell; too_late: kills of a daemon whose run was over; controls: where the kill before a restart
    fell, and seconds from that restart until what was left open was settled; took: seconds from the last opening of the run
    to its end.
    """

    moments: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    controls: list[tuple[str, float]] = field(default_factory=list)
    orders: int = 0
    took: float = 0.0
    wrong: list[str] = field(default_factory=list)
    verdict: Verdict | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is wrong with it."""
        return (*self.wrong, *(self.verdict.faults if self.verdict is not None else ("it was not judged",)))


@dataclass(slots=True)
class DueSlot:
    """A slot that is due, of a fund in a folder of its own. lasts: seconds that its rebalance takes undisturbed."""

    folder: Path
    exchange: FaultyUsdm
    chance: Random
    lasts: float
    killed: Killed = field(default_factory=Killed)
    _last: str = ""

    def kill(self) -> bool:
        """Start the daemon and kill it in its rebalance; False when that was over before."""
        run, children = self.journaled()
        if run is not None and run.status is RunStatus.COMPLETED:
            return False
        with started(self.folder, "run") as daemon:
            if run is not None and self.chance.random() < IN_RECOVERY:
                usual = statistics.median([USUAL_RECOVERY, *(seconds for _, seconds in self.killed.controls)])
                time.sleep(self.chance.uniform(0, usual))
            else:
                self._in_control(daemon, restarted=run is not None)
                time.sleep(self.chance.uniform(0, self.lasts))
            daemon.signal(signal.SIGKILL)
            taken = {order.client_id for order in list(self.exchange.core.orders.values())}
            ended = daemon.ended()
        after, now = self.journaled()
        if after is not None and after.status is RunStatus.COMPLETED:
            self.killed.too_late += 1
            return False
        self._last = self._moment(now[len(children) :], taken) if OPENED in ended.err else RECOVERING
        self.killed.moments[self._last] += 1
        return True

    def finish(self) -> Killed:
        """Let one more daemon bring it to its end, then judge by the exchange."""
        run, _ = self.journaled()
        if run is None or run.status is not RunStatus.COMPLETED:
            with started(self.folder, "run") as daemon:
                self._in_control(daemon, restarted=run is not None)
                began = time.monotonic()
                daemon.until('"slot.done"')
                self.killed.took = time.monotonic() - began
                daemon.signal(signal.SIGTERM)
                if (ended := daemon.ended()).code:
                    self.killed.wrong.append(f"the last daemon ended with {ended.code}")
        give_up = time.monotonic() + PATIENCE
        while self.exchange.on_the_way and time.monotonic() < give_up:
            time.sleep(0.01)
        asyncio.run(self._judge())
        return self.killed

    def journaled(self) -> tuple[Run | None, tuple[Child, ...]]:
        """The one run as the journal has it, and its children."""
        return asyncio.run(self._journaled())

    def _in_control(self, daemon: Running, *, restarted: bool) -> None:
        """Wait until it trades; a run that it finds open it closes once all of it is settled."""
        began = time.monotonic()
        line = daemon.until(ANY_RUN)
        if restarted:
            self.killed.controls.append((self._last, time.monotonic() - began))
        if OPENED not in line:
            daemon.until(OPENED)

    def _moment(self, sent: tuple[Child, ...], taken: set[str]) -> str:
        """Where a kill fell. sent: by the killed daemon; taken: client ids that the exchange had."""
        if not sent:
            return BEGUN
        unsettled = [child.request.client_id for child in sent if not child.state.terminal]
        if unsettled:
            return TAKEN if taken.issuperset(unsettled) else ON_ITS_WAY
        return AFTER if largest_gap(self.exchange, TARGETS) < LOT else WAITING

    async def _journaled(self) -> tuple[Run | None, tuple[Child, ...]]:
        journal = SqlJournal.open(self._url, mode=Mode.READER, inline=True)
        try:
            runs = await journal.runs()
            return (runs[0], await journal.children(runs[0].id)) if runs else (None, ())
        finally:
            await journal.close()

    async def _judge(self) -> None:
        journal, killed = SqlJournal.open(self._url, mode=Mode.READER, inline=True), self.killed
        try:
            runs = await journal.runs()
            killed.verdict = await compared(journal, self.exchange, HELD)
        finally:
            await journal.close()
        if [run.status for run in runs] != [RunStatus.COMPLETED]:
            killed.wrong.append(f"the runs are {[(run.id, str(run.status), run.reason) for run in runs]}")
        if not (gap := largest_gap(self.exchange, TARGETS)) < LOT:
            killed.wrong.append(f"the final gap is {gap} contracts")
        killed.orders = len(self.exchange.core.orders)

    @property
    def _url(self) -> str:
        return f"sqlite:///{self.folder / 'var' / 'keeper.db'}"


@contextmanager
def due_slot(folder: Path, seed: str, lasts: float) -> Iterator[DueSlot]:
    """A fund whose price went 1.5 to 6 % either way and whose slot is due from now on for two hours."""
    chance = stream(seed)
    exchange = holding(**HELD)
    exchange.delay, exchange.bad = DELAY, True
    exchange.draw = slow_line(seed, UNDER_WAY, LOST)
    moved = Decimal(chance.choice((-1, 1)) * chance.randint(150, 600)) / 10_000
    exchange.core.set_mid("BTCUSDT", (SYMBOLS["BTCUSDT"] * (1 + moved)).quantize(Decimal(1)))
    slot = SystemClock().now().replace(second=0, microsecond=0) - timedelta(minutes=1)
    target = 'target = { "BTC/USDT:USDT" = 3.0 }\n'
    schedule = f'schedule = {{ at = "{slot:%H:%M}", catch_up = "2h" }}\n'
    with in_thread(exchange):
        written_fund(folder, exchange, horizon="2s", slices=5, replaced={target: target + schedule})
        with _ONE_AT_A_TIME:
            asyncio.run(_begun(folder, FirstStart(fund="btc3l", seed="1", since=slot)))
        yield DueSlot(folder, exchange, chance, lasts)


async def _begun(folder: Path, start: FirstStart) -> None:
    journal = SqlJournal.open(f"sqlite:///{folder}/var/keeper.db", mode=Mode.WRITER, inline=True)
    await journal.first_start(start)
    await journal.close()


def undisturbed(folder: Path, seed: str) -> float:
    """Seconds that a rebalance takes when nobody kills it."""
    with due_slot(folder, seed, 0.0) as slot:
        killed = slot.finish()
        assert not killed.faults, killed.faults
        return killed.took


def killed_rebalance(folder: Path, seed: str, lasts: float, kills: int) -> Killed:
    """One rebalance whose daemon is killed up to so often, and what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with due_slot(folder, seed, lasts) as slot:
        for _ in range(kills):
            if not slot.kill():
                break
        return slot.finish()
