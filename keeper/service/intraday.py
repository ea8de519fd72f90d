"""What was last done for a fund between its slots, and from which prices it strays: told from the journal's rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from keeper.domain.numbers import ZERO, exact
from keeper.domain.run import Run, RunStatus
from keeper.planning.plan import GUARD, INTRADAY, marks_of
from keeper.policy.intraday import Since
from keeper.ports import Journal
from keeper.service.causes import flows_of

OVERLAP = timedelta(days=1)
MOST_RUNS = 50
"""How far back a run is looked for that ended well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was done for a fund before.

    since: the last run that ended well; ended_at: when it last acted between its slots, aware UTC, None where it never did.
    """

    since: Since = field(default_factory=Since)
    ended_at: datetime | None = None

    def rests(self, now: datetime, cooldown: timedelta) -> bool:
        """Whether ``cooldown`` is not over at ``now``; a clock that was set back makes nobody wait longer."""
        return self.ended_at is not None and timedelta(0) <= now - self.ended_at < cooldown


async def before_now(journal: Journal, fund: str) -> Before:
    """What ``fund`` comes from."""
    runs = await journal.runs(fund=fund, limit=MOST_RUNS)
    ended_well = (run for run in runs if run.status in (RunStatus.COMPLETED, RunStatus.NOTHING_DUE))
    # a stop that went off tells of no price that the fund was rebalanced at
    well = next((run for run in ended_well if not run.key.trigger.startswith(GUARD)), None)
    acted = next((run for run in runs if _is_between(run)), None)
    flowed = ZERO if well is None else await _flowed(journal, fund, well.started_at)
    return Before(since=Since(marks=marks_of(well), flowed=flowed), ended_at=None if acted is None else acted.ended_at)


async def _flowed(journal: Journal, fund: str, since: datetime) -> Decimal:
    """Money that came since then, currency, by the venue's ledger and the fund's books."""
    postings = await journal.postings(fund, since - OVERLAP)  # somebody may have booked what was told shortly before
    return _total(flows_of(await journal.ledger(fund), postings), since)


@exact
def _total(flows: Iterable[tuple[datetime, Decimal]], since: datetime) -> Decimal:
    """What ``flows`` after that time come to."""
    return sum((amount for at, amount in flows if at > since), ZERO)


def trigger_between(now: datetime) -> str:
    """The trigger of a run that begins between slots at ``now``: no two begin in the same microsecond."""
    return f"{INTRADAY}{now:%Y%m%dT%H%M%S}-{now:%f}"


def _is_between(run: Run) -> bool:
    return run.key.trigger.startswith(INTRADAY)
