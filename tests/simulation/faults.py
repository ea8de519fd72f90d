"""What goes wrong, drawn from the seed: a random subset of all faults, each as often as the seed says."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from random import Random
from typing import TypeVar

T = TypeVar("T")


class OrderFault(StrEnum):
    """What becomes of one order on its way."""

    NEVER_SENT = auto()
    LOST_REQUEST = auto()
    LOST_REPLY = auto()
    LATE = auto()
    """No answer, and it arrives later, perhaps too late."""
    ERROR_BEFORE = auto()
    ERROR_AFTER = auto()
    TRUNCATED = auto()
    GARBAGE = auto()
    LIE = auto()
    """Taken, and answered with a code that proves nothing."""
    RATE_LIMIT = auto()
    PARTIAL = auto()
    STAGED = auto()
    """Its trades come one after the other, and it is told as live until the last one."""
    FILL_AFTER_CANCEL = auto()


class ReadFault(StrEnum):
    """What becomes of one read."""

    NO_ANSWER = auto()
    UNREADABLE = auto()
    RATE_LIMIT = auto()
    SPIKE = auto()
    """One of mark, index, last and book is off, for this read."""


class Happening(StrEnum):
    """What happens to the account, the machine or the process at some time."""

    MANUAL_TRADE = auto()
    DEPOSIT = auto()
    ADL = auto()
    MAINTENANCE = auto()
    CLOCK_STEP = auto()
    PAUSE = auto()
    KILL = auto()
    SIGNAL = auto()
    HALT = auto()
    REBALANCE = auto()
    STANDSTILL = auto()
    """The account is read as it was, for minutes to hours, whatever is traded meanwhile."""
    RESTING = auto()
    """Somebody else places an order that fills later, in part and then whole."""
    FLATTEN = auto()
    CANCEL_ALL = auto()
    """What `keeper kill` does, beside the daemon."""
    RESTORE = auto()
    """The process is killed, and an earlier image of the journal put in the place of the journal."""
    HALT_BETWEEN = auto()
    """The operator halts the fund between what a breaker has read of its state and what it makes of it, half of the time."""

    CRASH = auto()
    """A price goes so far against the fund that it is an emergency, and half of the time comes back."""


RARE = (
    Happening.CRASH,
    Happening.HALT_BETWEEN,
    Happening.STANDSTILL,
    Happening.RESTING,
    Happening.FLATTEN,
    Happening.CANCEL_ALL,
    Happening.RESTORE,
)
CRASH_SHARE = 0.1
"""Of the seeds in which a price crashes."""
COMMON = tuple(kind for kind in Happening if kind not in RARE)


@dataclass(slots=True)
class Faults:
    """The faults of one world, each kind by how likely it is each time.

    lag: longest by which a read is behind, seconds; skew: of the process's clock, seconds; failing_writes, slow_disk: share of
    the journal's writes; crash: share of processes that are killed at some await; happenings: how many of each kind; ambush:
    share of orders while which something happens, too; daemons: processes that want the account; ended: nothing goes wrong
    any more.
    """

    rng: Random
    orders: Mapping[OrderFault, float] = field(default_factory=dict)
    reads: Mapping[ReadFault, float] = field(default_factory=dict)
    happenings: Mapping[Happening, int] = field(default_factory=dict)
    lag: float = 0.0
    skew: float = 0.0
    failing_writes: float = 0.0
    slow_disk: float = 0.0
    crash: float = 0.0
    ambush: float = 0.0
    daemons: int = 1
    ended: bool = False

    def order(self) -> OrderFault | None:
        """What becomes of the next order."""
        return self._drawn(self.orders)

    def read(self) -> ReadFault | None:
        """What becomes of the next read."""
        return self._drawn(self.reads)

    def without(self, names: Collection[str]) -> "Faults":
        """These faults but for the kinds named."""
        self.orders = {fault: rate for fault, rate in self.orders.items() if fault not in names}
        self.reads = {fault: rate for fault, rate in self.reads.items() if fault not in names}
        self.happenings = {kind: count for kind, count in self.happenings.items() if kind not in names}
        return self

    def end(self) -> None:
        """From here on all goes well; what is on its way still arrives."""
        self.ended = True
        self.orders, self.reads = {}, {}
        self.failing_writes = self.slow_disk = self.crash = self.skew = self.ambush = 0.0

    def _drawn(self, rates: Mapping[T, float]) -> T | None:
        if not rates:
            return None
        at = self.rng.random()
        for fault, rate in rates.items():
            if at < rate:
                return fault
            at -= rate
        return None


def drawn(rng: Random, crashes: Random) -> Faults:
    """The faults of one seed. crashes: draws those of the market by itself."""
    faults = Faults(
        rng=rng,
        orders={fault: rng.uniform(0.02, 0.25) for fault in _some(rng, list(OrderFault), 0.3)},
        reads={fault: rng.uniform(0.01, 0.08) for fault in _some(rng, list(ReadFault), 0.3)},
        happenings={
            kind: rng.randint(1, 2)
            for kind in _some(rng, COMMON, 0.3) + _some(rng, [kind for kind in RARE if kind is not Happening.CRASH], 0.12)
        },
        lag=rng.choice((0.0, 0.1, 0.45)),
        skew=rng.choice((0.0, 0.0, -0.8, 0.8)),
        failing_writes=rng.choice((0.0, 0.0, 0.0, 0.02)),
        slow_disk=rng.choice((0.0, 0.0, 0.0, 0.05)),
        crash=rng.choice((0.0, 0.5, 0.8)),
        ambush=rng.choice((0.0, 0.0, 0.1, 0.3)),
        daemons=rng.choice((1, 1, 2)),
    )
    if crashes.random() < CRASH_SHARE:
        faults.happenings = {**faults.happenings, Happening.CRASH: crashes.randint(1, 2)}
    return faults


def _some(rng: Random, kinds: Sequence[T], share: float) -> list[T]:
    return [kind for kind in kinds if rng.random() < share]
