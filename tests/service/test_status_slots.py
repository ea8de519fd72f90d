"""What `status` says of slots: the next one, and one that may still be run."""

from dataclasses import replace
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


async def test_the_next_three_slots_are_told_in_utc_and_on_the_wall_without_what_is_over(tmp_path: Path) -> None:
    twice = 'schedule = { at = ["02:30", "12:15"], timezone = "Europe/Berlin" }'
    settings = loaded(tmp_path, CONFIGURATION.replace('schedule = { at = "23:30", catch_up = "6h" }', twice))
    now = datetime(2026, 3, 28, 20, tzinfo=UTC)
    [fund] = (await status_of(settings, At(now)))["funds"]
    into_summer = [
        {"utc": "2026-03-29T01:00:00+00:00", "local": "2026-03-29T03:00:00+02:00"},
        {"utc": "2026-03-29T10:15:00+00:00", "local": "2026-03-29T12:15:00+02:00"},
        {"utc": "2026-03-30T00:30:00+00:00", "local": "2026-03-30T02:30:00+02:00"},
    ]
    assert fund["next_slots"] == into_summer
    assert fund["next_slot"] == into_summer[0]

    journal = SqlJournal.open(settings.journal_url, mode=Mode.WRITER)
    key = RunKey("btc3l", "slot:2026-03-29T01:30[Europe/Berlin]")  # before the schedule was changed
    moved = replace(slot_run(RunStatus.COMPLETED), id=key.run_id, key=key)
    await journal.open_run(moved)
    await journal.close()
    [fund] = (await status_of(settings, At(now + timedelta(hours=4, minutes=50))))["funds"]
    assert [slot["utc"][:16] for slot in fund["next_slots"]] == ["2026-03-29T10:15", "2026-03-30T00:30", "2026-03-30T10:15"]
    assert fund["open_until"] is None


async def test_a_fund_without_a_schedule_has_no_next_slot(tmp_path: Path) -> None:
    settings = loaded(tmp_path, CONFIGURATION.replace('schedule = { at = "23:30", catch_up = "6h" }', ""))
    [fund] = (await status_of(settings, At(SLOT)))["funds"]
    assert (fund["next_slot"], fund["next_slots"], fund["open_until"]) == (None, [], None)
