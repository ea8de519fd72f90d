"""What is to be said of the machine that a fund is kept on: its journal, the right to the account, the schedule. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from keeper.policy.schedule import Schedule, next_slot
from keeper.service.findings import JOURNAL, Finding, fail, ok, warn

SCARCE, TOO_SCARCE = 1 << 30, 50 << 20
"""Bytes that are left on the journal's disk: when to warn, and when a run may not come to its end."""
DAY, YEAR = timedelta(days=1), 366
CHANGES_BEFORE = 3
"""Hour of the local day before which clocks are set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """What this machine tells.

    journal: in words; begun: whether there is one; fault: why it can't be used, empty where it can; broken: places where its
    chain does not hold; free: bytes left on its disk; held: whether a process holds the account; schedule: None without one;
    strays: whether the fund acts without one, too.
    """

    journal: str
    begun: bool
    fault: str
    broken: int
    free: int
    held: bool
    schedule: Schedule | None
    strays: bool = False


def premises(told: Premises, fund: str, now: datetime) -> Iterator[Finding]:
    """Journal, disk, lock and schedule."""
    yield from _journal(told)
    free = f"{told.free / (1 << 30):,.1f} GB free"
    if told.free < TOO_SCARCE:
        yield fail("disk", free, "free some: an order that can't be recorded is not sent", JOURNAL)
    elif told.free < SCARCE:
        yield warn("disk", free, "free some: an order that can't be recorded is not sent")
    else:
        yield ok("disk", free)
    yield ok("lock", "a process keeps the account" if told.held else "no process keeps the account")
    yield _schedule(told.schedule, fund, now, strays=told.strays)


def _journal(told: Premises) -> Iterator[Finding]:
    if told.fault:
        yield fail("journal", told.fault, "until then nothing can be recorded, and nothing is sent", JOURNAL)
    elif told.broken:
        remedy = "`keeper db verify` says where; `keeper db restore` puts a copy in its place"
        yield fail("journal", f"{told.journal}: its chain of events is broken in {told.broken} places", remedy, JOURNAL)
    elif told.begun:
        yield ok("journal", f"{told.journal}: its chain of events holds")
    else:
        yield ok("journal", f"{told.journal}: not begun yet, the first run does that")


def _schedule(schedule: Schedule | None, fund: str, now: datetime, *, strays: bool) -> Finding:
    if schedule is None:
        return ok(
            "schedule", f"none: only {'what the fund does between slots, and ' if strays else ''}`keeper rebalance {fund}` trades"
        )
    coming = next_slot(schedule, now)
    local = coming.astimezone(schedule.zone)
    words = f"next slot {local:%Y-%m-%d %H:%M} {schedule.zone} ({coming:%Y-%m-%d %H:%M} UTC)"
    if schedule.at[0].hour < CHANGES_BEFORE and _sets_clocks(schedule, now):
        remedy = f"clocks are set at such hours, and the slot moves or comes once for two: choose {CHANGES_BEFORE:02}:00 or later"
        return warn("schedule", words, remedy)
    return ok("schedule", words)


def _sets_clocks(schedule: Schedule, now: datetime) -> bool:
    offsets = {(now + day * DAY).astimezone(schedule.zone).utcoffset() for day in range(YEAR)}
    return len(offsets) > 1
