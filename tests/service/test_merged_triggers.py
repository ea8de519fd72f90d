"""Triggers that are due together, or come while a run works, are served by one run, whose plan names them; none is lost."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.run import CommandKind
from keeper.planning.plan import EMERGENCY, INTRADAY
from keeper.policy.intraday import Direction, Intraday
from keeper.service.asked import Asked, triggers_of
from tests.fakes.crash import Crash, crashing
from tests.fakes.daemon_desks import Kept, kept
from tests.fakes.daemons import command
from tests.fakes.paper import START

REBALANCE, FLATTEN, HALT, RESUME = CommandKind.REBALANCE, CommandKind.FLATTEN, CommandKind.HALT, CommandKind.RESUME
SLOT = "slot:2025-03-01T00:15[UTC]"


@pytest.mark.parametrize(
    ("asked", "turns"),
    [
        ([REBALANCE], ["c0"]),
        ([REBALANCE, REBALANCE, REBALANCE], ["c0 c1 c2"]),
        ([REBALANCE, HALT, REBALANCE, REBALANCE], ["c0", "c1", "c2 c3"]),
        ([REBALANCE, FLATTEN, REBALANCE], ["c1", "c0 c2"]),
        ([RESUME, REBALANCE, REBALANCE], ["c0", "c1 c2"]),
        ([FLATTEN], ["c0"]),
    ],
)
def test_what_is_asked_is_dealt_with_in_turns(asked: Sequence[CommandKind], turns: list[str]) -> None:
    queue = Asked()
    for number, kind in enumerate(asked):
        queue.add(command(kind, START, name=f"c{number}"))
    told = []
    while queue:
        told.append(" ".join(one.id for one in queue.take()))
    assert told == turns


def test_who_carries_out_a_written_plan_or_asked_under_other_rules_has_a_turn_of_their_own() -> None:
    queue = Asked()
    plain = command(REBALANCE, START)
    for one in (
        plain,
        replace(plain, id="c2", plan={"format": 1}),
        replace(plain, id="c3"),
        replace(plain, id="c4", rules="other"),
    ):
        queue.add(one)
    assert [triggers_of(queue.take()) for _ in range(4)] == [("manual:c1",), ("manual:c2",), ("manual:c3",), ("manual:c4",)]
    assert queue.left[0].id == "c4", "it is in hand"
    queue.done()
    assert queue.left == ()


async def asked(desk: Kept, *names: str) -> None:
    for name in names:
        await desk.journal.submit_command(command(REBALANCE, desk.now, name=name))


async def answers(desk: Kept, *names: str) -> list[tuple[int | None, bool]]:
    """Exit code, and whether it is told whose run it was, of each command."""
    found = [await desk.journal.find_command(name) for name in names]
    assert all(one is not None and one.ended_at is not None for one in found)
    return [(one.exit_code, "did it together" in one.answer) for one in found if one is not None]


async def test_what_waits_as_a_slot_becomes_due_is_served_by_the_run_of_the_slot() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.passed(minutes=12)
            await asked(desk, "c1")
            await desk.when(lambda: len(desk.venue.sent) == 1)
            await asked(desk, "c2", "c3")
            await desk.passed(minutes=60)
        first, slot = await desk.runs()
        assert (first.key.trigger, first.plan["serves"]) == ("manual:c1", [])
        assert (slot.key.trigger, slot.plan["serves"]) == (SLOT, ["manual:c2", "manual:c3"])
        assert await answers(desk, "c1", "c2", "c3") == [(None, False), (0, True), (0, True)]
        assert first.ended_at is not None
        assert first.ended_at > START + timedelta(minutes=15), "the slot became due meanwhile"


async def test_what_comes_while_a_run_works_is_served_by_one_run_after_it() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 2)
            await asked(desk, "c1", "c2", "c3")
            await desk.passed(minutes=60)
        slot, manual = await desk.runs()
        assert (slot.key.trigger, slot.plan["serves"]) == (SLOT, [])
        assert (manual.key.trigger, manual.plan["serves"]) == ("manual:c1", ["manual:c2", "manual:c3"])
        assert await answers(desk, "c1", "c2", "c3") == [(None, False), (0, True), (0, True)]


async def strayed(crash: Crash) -> None:
    fund = crash.desk.venues.fund
    rule = Intraday(move=Decimal("0.05"), direction=Direction.BOTH)
    crash.desk.venues.fund = replace(fund, intraday=rule)


async def test_an_emergency_goes_first_and_what_strayed_is_not_done_twice() -> None:
    async with crashing() as crash:
        await strayed(crash)
        async with crash.desk.daemon():
            await crash.at("7950", minutes=30)
            crash.feed.move("BTC/USDT:USDT", Decimal(7000))
            for _ in range(40):
                await crash.desk.passed(minutes=1)
        kinds = [run.key.trigger.partition(":")[0] + ":" for run in await crash.desk.runs()]
        assert kinds == ["slot:", EMERGENCY], f"and none of {INTRADAY}"
