"""Which flattening is still to go on, and when: told from the journal's rows, so that a process that starts anew goes on too."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from keeper.domain.run import Run
from keeper.planning.plan import FLATTEN
from keeper.ports import Journal

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)
RECENT = 50
"""Runs among which the last flattening is looked for."""


@dataclass(frozen=True, slots=True)
class Flattening:
    """A run that was to take every exposure to zero and has not. again_at: when to take it up, aware UTC."""

    run: Run
    again_at: datetime


async def unfinished(journal: Journal, fund: str) -> Flattening | None:
    """The flattening that ``fund`` was last asked for, where it ended before its end.

    None where it reached it, or a human has said something else since.
    """
    standing = await journal.standing(fund)
    if not standing.flattened:
        return None
    runs = await journal.runs(fund=fund, limit=RECENT)
    run = next((run for run in runs if run.key.trigger.startswith(FLATTEN)), None)
    if run is None or run.ended_at is None or not run.status.may_go_on:
        return None
    asked = await journal.find_command(run.key.trigger.removeprefix(FLATTEN))
    if asked is None or (standing.cleared_at is not None and asked.at <= standing.cleared_at):
        return None
    pause = min(FIRST_PAUSE * 2 ** min(run.attempts - 1, 10), LONGEST_PAUSE)
    return Flattening(run, run.ended_at + pause)
