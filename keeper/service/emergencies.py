"""Which emergency is still to be ended, and when: told from the journal's rows, so that a process that starts anew does it."""

from datetime import datetime, timedelta

from keeper.domain.errors import StaleData
from keeper.domain.run import Run, SlotRun
from keeper.planning.plan import EMERGENCY
from keeper.ports import Journal

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(seconds=30)
LOOKED = "leverage.looked_at"
"""The kind of the events that tell how far a fund was from an emergency."""
PLACED_BEFORE = timedelta(days=3)
"""How long before a run a stop may have been placed that went off in it."""
EPISODE = timedelta(hours=1)
"""How long after its last attempt an emergency still counts as the same one."""


async def unfinished(journal: Journal, fund: str, now: datetime) -> Run | None:
    """The emergency run of ``fund`` that was left before its end, if nothing else was begun since and it is not long ago."""
    run = await journal.last_emergency(fund)
    if run is None or not run.status.may_go_on or run.ended_at is None or now - run.ended_at > EPISODE:
        return None
    newest = await journal.runs(fund=fund, limit=1)
    return run if newest and newest[0].id == run.id else None


def again_at(run: Run) -> datetime | None:
    """When an emergency run that has ended may be taken up again; None where it reached its end."""
    if not run.status.may_go_on or run.ended_at is None:
        return None
    pause: timedelta = FIRST_PAUSE * 2 ** min(run.attempts - 1, 10)
    return run.ended_at + min(pause, LONGEST_PAUSE)


def overtook(braked_at: datetime | None, run: SlotRun) -> bool:
    """Whether a brake came after ``run`` had begun: what that took off only the next slot may put on again."""
    return braked_at is not None and bool(run.attempts) and braked_at >= run.started_at


async def refuse_overtaken(journal: Journal, run: Run) -> None:
    """StaleData for a slot's run that goes on although a stop has gone off since it began, which may be known only by now."""
    if run.key.day is None or run.attempts <= 1:
        return
    braked_at = await journal.last_brake(run.key.fund, run.started_at - PLACED_BEFORE)
    if braked_at is not None and braked_at >= run.started_at:
        raise StaleData("what a stop, or an emergency, took off only the next slot puts on again")


def trigger_at(now: datetime) -> str:
    """The trigger of an emergency that begins at ``now``: no two begin in the same microsecond."""
    return f"{EMERGENCY}{now:%Y%m%dT%H%M%S}-{now:%f}"
