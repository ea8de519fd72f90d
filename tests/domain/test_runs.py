from dataclasses import replace
from datetime import UTC, datetime

import pytest

from keeper.domain.errors import InvariantViolation, KeeperError, VenueRefused
from keeper.domain.run import Command, CommandKind, Run, RunKey, RunStatus

AT = datetime(2026, 3, 1, tzinfo=UTC)
RUN = Run(
    id="r1",
    key=RunKey("btc3l", "manual:c1"),
    venue="sim",
    environment="paper",
    account="acc1",
    currency="USDT",
    status=RunStatus.RUNNING,
    reason="",
    plan={},
    result=None,
    started_at=AT,
    deadline=AT,
)


@pytest.mark.parametrize(
    ("trigger", "wall", "name"),
    [
        ("slot:2026-03-01T00:15[Europe/Berlin]", ("2026-03-01 00:15", "Europe/Berlin"), "btc3l-20260301T0015"),
        ("slot:2026-03-01T12:15[UTC]", ("2026-03-01 12:15", "UTC"), "btc3l-20260301T1215"),
        ("manual:20260301T001500-1234", None, "btc3l-20260301T001500-1234"),
        ("flatten:20260301T001500-1234", None, "btc3l-20260301T001500-1234"),
    ],
)
def test_a_run_is_named_after_what_triggered_it(trigger: str, wall: tuple[str, str] | None, name: str) -> None:
    key = RunKey("btc3l", trigger)
    local = datetime.fromisoformat(wall[0]) if wall else None
    assert (key.local, key.day, key.zone) == (local, local.date() if local else None, wall[1] if wall else "")
    assert key.run_id == name


@pytest.mark.parametrize("kind", list(CommandKind))
def test_a_command_is_the_trigger_of_the_run_that_answers_it(kind: CommandKind) -> None:
    command = Command(id="c1", fund="btc3l", kind=kind, reason="", at=AT)
    assert command.trigger == ("flatten:c1" if kind is CommandKind.FLATTEN else "manual:c1")


@pytest.mark.parametrize("status", list(RunStatus))
def test_a_run_ends_once_and_with_an_end(status: RunStatus) -> None:
    if status.ended:
        assert RUN.ended(status, "") is status
        with pytest.raises(InvariantViolation, match="r1 can't go from"):
            replace(RUN, status=status).ended(RunStatus.COMPLETED, "")
    else:
        with pytest.raises(InvariantViolation):
            RUN.ended(status, "")


@pytest.mark.parametrize("status", list(RunStatus))
def test_only_what_was_left_undone_is_taken_up_again(status: RunStatus) -> None:
    left = replace(RUN, status=status)
    if status in (RunStatus.INCOMPLETE, RunStatus.REFUSED, RunStatus.MISSED):
        assert left.reopened() is RunStatus.RUNNING
    else:
        with pytest.raises(InvariantViolation, match="can't be taken up again"):
            left.reopened()


def test_a_refusal_of_the_venue_says_its_code_and_its_words() -> None:
    refused = VenueRefused("-2019", "margin is insufficient")
    assert isinstance(refused, KeeperError)
    assert (refused.code, refused.message, str(refused)) == ("-2019", "margin is insufficient", "-2019: margin is insufficient")
    assert refused.exit_code == 69
