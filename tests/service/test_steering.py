"""A fund whose targets somebody else names: what each slot goes by, what it refuses, and what an emergency goes by meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.run import RunStatus
from keeper.planning.plan import EMERGENCY
from keeper.policy.emergency import emergency_of
from keeper.policy.steering import Steering
from keeper.ports import Told, Untold
from keeper.service.steering import USED, Helm, approved, in_force, pending
from tests.fakes.crash import Crash, crashing
from tests.fakes.daemons import fund_of
from tests.fakes.paper import PERP, START

D = Decimal
DAY = timedelta(days=1)


@dataclass(slots=True)
class Oracle:
    """A ports.TargetSource that says what a test has it say."""

    says: Told | Untold

    @property
    def name(self) -> str:
        return "targets.toml"

    async def read(self) -> Told | Untold:
        return self.says

    def wants(self, multiple: str) -> None:
        self.says = Told(document={"target": {PERP: multiple}}, at=START)


@dataclass(slots=True)
class Steered:
    """A fund that holds nothing yet and is told its targets, a quarter of an hour before its slot."""

    crash: Crash
    oracle: Oracle

    async def next_slot(self, price: str = "7950") -> str:
        """Let a day pass; how the run of its slot ended is returned."""
        await self.crash.at(price, hours=24)
        slots = [run for run in await self.crash.desk.runs() if run.key.day is not None]
        return str(slots[-1].status)

    @property
    def leverage(self) -> Decimal:
        return round(self.crash.worth.net_leverage, 2)


@pytest.fixture
async def steered() -> AsyncIterator[Steered]:
    async with crashing("1") as crash:
        steering = Steering(bounds={PERP: (D(-1), D(3))}, max_age=None)
        fund = replace(fund_of(targets={PERP: "1"}), steering=steering, name="btc3l")
        fund = replace(fund, emergency=emergency_of(fund.mandate, check_every=timedelta(minutes=30)))
        crash.desk.poll = crash.desk.heartbeat = timedelta(minutes=30)
        made = Steered(crash, Oracle(Untold("can't be opened (No such file)")))
        crash.desk.venues.fund = fund
        crash.desk.venues.helm = Helm(fund, crash.desk.journal, made.oracle)
        async with crash.desk.daemon():
            yield made


async def test_each_slot_goes_by_what_is_said_then_and_the_journal_keeps_it(steered: Steered) -> None:
    steered.oracle.wants("0.5")
    assert await steered.next_slot() == RunStatus.COMPLETED
    assert steered.leverage == D("0.5")
    steered.oracle.wants("-0.4")
    assert await steered.next_slot() == RunStatus.COMPLETED
    assert steered.leverage == D("-0.4")
    used = await steered.crash.desk.journal.last_event(USED, "btc3l")
    assert used is not None
    assert (used.payload["targets"], used.payload["source"]) == ({PERP: "-0.4"}, "targets.toml")
    slot = (await steered.crash.desk.runs())[-1]
    assert slot.plan["notes"] == ["targets from targets.toml, of 2025-03-01 00:00:00 UTC"]


async def test_what_can_t_be_used_has_nothing_traded_and_the_slot_goes_on_once_it_can(steered: Steered) -> None:
    steered.oracle.wants("1")
    assert await steered.next_slot() == RunStatus.COMPLETED
    for unusable, words in (
        (Untold("can't be opened"), "targets.toml can't be opened"),
        (Told(document={"target": {PERP: "3.1"}}, at=START), "must be within bounds, from -1 to 3; until then nothing is traded"),
    ):
        sent = len(steered.crash.desk.venue.sent)
        steered.oracle.says = unusable
        assert await steered.next_slot("9000") == RunStatus.REFUSED
        assert words in (await steered.crash.desk.runs())[-1].reason
        assert len(steered.crash.desk.venue.sent) == sent
    steered.oracle.wants("1.5")
    assert await steered.next_slot("9000") == RunStatus.COMPLETED
    assert steered.leverage == D("1.5")


async def test_an_emergency_goes_by_the_last_target_whatever_is_said_meanwhile(steered: Steered) -> None:
    steered.oracle.wants("2")
    assert await steered.next_slot() == RunStatus.COMPLETED
    steered.oracle.says = Untold("can't be opened")
    await steered.crash.at("7950", minutes=20)
    for _ in range(40):
        await steered.crash.at("6500", minutes=1)
    emergency = (await steered.crash.desk.runs())[-1]
    assert emergency.key.trigger.startswith(EMERGENCY)
    assert emergency.status is RunStatus.COMPLETED
    assert "from 2.5x on" in str(emergency.plan["asked"])
    assert steered.leverage == 2


async def test_on_the_way_between_two_targets_what_either_allows_is_no_emergency(steered: Steered) -> None:
    steered.oracle.wants("2")
    assert await steered.next_slot() == RunStatus.COMPLETED
    for target in ("1.1", "2"):
        steered.oracle.wants(target)
        assert await steered.next_slot() == RunStatus.COMPLETED
        assert steered.leverage == D(target)
    assert not any(run.key.trigger.startswith(EMERGENCY) for run in await steered.crash.desk.runs())
    fund = await in_force(steered.crash.desk.journal, steered.crash.desk.venues.fund)
    assert fund.watched.max_leverage == D("2.5")


async def test_a_jump_waits_for_a_human_who_approves_of_that_very_target_for_a_while(steered: Steered) -> None:
    journal = steered.crash.desk.journal
    steered.oracle.wants("2.5")
    assert await steered.next_slot() == RunStatus.REFUSED
    waiting = await pending(journal, "btc3l")
    assert waiting is not None
    assert (waiting.targets, waiting.before, waiting.until) == ({PERP: D("2.5")}, {PERP: D(1)}, None)
    await approved(journal, "btc3l", waiting, at=steered.crash.desk.now, lasts=timedelta(seconds=1))
    assert await steered.next_slot() == RunStatus.REFUSED, "the approval was over by then"
    waiting = await pending(journal, "btc3l")
    assert waiting is not None
    await approved(journal, "btc3l", waiting, at=steered.crash.desk.now, lasts=DAY)
    steered.oracle.wants("2.6")
    assert await steered.next_slot() == RunStatus.REFUSED, "another target than the one that was approved of"
    waiting = await pending(journal, "btc3l")
    assert waiting is not None
    assert waiting.until is None
    until = await approved(journal, "btc3l", waiting, at=steered.crash.desk.now, lasts=DAY + timedelta(hours=1))
    again = await pending(journal, "btc3l")
    assert again is not None
    assert again.until == until
    assert await steered.next_slot() == RunStatus.COMPLETED
    assert steered.leverage == D("2.6")
    assert await pending(journal, "btc3l") is None
    steered.oracle.wants("1.6")
    assert await steered.next_slot() == RunStatus.COMPLETED
    steered.oracle.wants("2.6")
    assert await steered.next_slot() == RunStatus.COMPLETED, "no jump"


async def test_a_process_that_starts_anew_goes_by_what_was_used_last(steered: Steered) -> None:
    steered.oracle.wants("2")
    assert await steered.next_slot() == RunStatus.COMPLETED
    configured = steered.crash.desk.venues.fund
    helm = Helm(configured, steered.crash.desk.journal, steered.oracle)
    assert helm.fund.mandate.targets == {PERP: D(1)}
    await helm.begin()
    assert helm.fund.mandate.targets == {PERP: D(2)}
    other = replace(configured, mandate=replace(configured.mandate, targets={"ETH/USDT:USDT": D(1)}))
    assert await in_force(steered.crash.desk.journal, other) == other, "of a mandate of other markets"
