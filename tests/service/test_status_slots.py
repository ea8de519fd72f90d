"""What `status` says of slots: the next one, and one that may still be run."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keeper.domain.run import Run, RunKey, RunStatus
from keeper.journal.store import Mode, SqlJournal
from keeper.records import status_of
from tests.fakes.configurations import loaded
from tests.fakes.journal_values import a_run

CONFIGURATION = """
[venues.sim]
exchange = "paper"
feed = { kind = "fixed", prices = { "BTC/USDT:USDT" = 100 } }
account = { balances = { USDT = "1000" } }

[funds.btc3l]
venue = "sim"
target = { "BTC/USDT:USDT" = 3 }
schedule = { at = "23:30", catch_up = "6h" }
"""
SLOT = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


class At:
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    async def sleep_until(self, at: datetime) -> None:
        raise AssertionError(at)


def slot_run(status: RunStatus) -> Run:
    key = RunKey("btc3l", "slot:2026-03-01T23:30[UTC]")
    made = a_run(key.run_id)
    return Run(**{name: getattr(made, name) for name in made.__slots__} | {"key": key, "status": status, "ended_at": SLOT})


@pytest.mark.parametrize(
    ("after", "status", "open_until"),
    [
        pytest.param(-0.01, None, None, id="before its time"),
        pytest.param(0, None, 6, id="nobody has run it yet"),
        pytest.param(5.99, None, 6, id="past midnight it is still that slot"),
        pytest.param(6.01, None, None, id="its window is closed"),
        pytest.param(1, RunStatus.INCOMPLETE, 6, id="it goes on"),
        pytest.param(1, RunStatus.REFUSED, 6, id="what it was refused for may pass"),
        pytest.param(1, RunStatus.COMPLETED, None, id="it is done"),
    ],
)
async def test_a_slot_that_may_still_be_run_is_told(
    tmp_path: Path, after: float, status: RunStatus | None, open_until: int | None
) -> None:
    settings = loaded(tmp_path, CONFIGURATION)
    journal = SqlJournal.open(settings.journal_url, mode=Mode.WRITER)
    if status is not None:
        await journal.open_run(slot_run(status))
    await journal.close()
    [fund] = (await status_of(settings, At(SLOT + timedelta(hours=after))))["funds"]
    told = None if fund["open_until"] is None else datetime.fromisoformat(fund["open_until"])
    assert told == (None if open_until is None else SLOT + timedelta(hours=open_until))
    assert datetime.fromisoformat(fund["next_slot"]["utc"]) > SLOT + timedelta(hours=after)
