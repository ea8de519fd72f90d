"""Which flattening is still to be done, and when: told from the journal's rows, so that a process that starts anew does it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from keeper.domain.fund import Standing
from keeper.domain.run import Command, CommandKind, Run, RunKey
from keeper.ports import Journal

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Flattening:
    """What was to take every exposure to zero and has not.

    asked: by whom and when; run: of it, None where it was never begun; again_at: when to take it up, aware UTC, None at once.
    """

    asked: Command
    run: Run | None
    again_at: datetime | None


async def unfinished(journal: Journal, standing: Standing) -> Flattening | None:
    """The flattening that the fund of ``standing`` was last asked for, where it was not begun or ended before its end.

    None where it reached it, or a human has said something else since: only then is a fund still to be flattened.
    """
    fund = standing.fund
    if not standing.flattened:
        return None
    asked = await journal.latest_command(fund, CommandKind.FLATTEN)
    if asked is None:
        return None
    run = await journal.run(RunKey(fund, asked.trigger).run_id)
    if run is None:
        return Flattening(asked, None, None)
    if run.ended_at is None or not run.status.may_go_on:
        return None
    return Flattening(asked, run, run.ended_at + min(FIRST_PAUSE * 2 ** min(run.attempts - 1, 10), LONGEST_PAUSE))
