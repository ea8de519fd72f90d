"""Money that comes or leaves between slots: where the mandate says so the fund acts on it, and else at its slot."""

from dataclasses import replace
from decimal import Decimal

import pytest

from keeper.policy.intraday import Direction, Intraday
from keeper.service.day_book import FLOWS_EVERY
from tests.fakes.bank import Bank
from tests.fakes.crash import Crash, crashing
from tests.fakes.paper import PERP

D = Decimal
WITHDRAWAL, DEPOSIT = "-10000", "10000"


async def after(crash: Crash, amount: str, rule: Intraday | None) -> list[str]:
    """The triggers of what ran once money had come or left between two slots."""
    venues = crash.desk.venues
    venues.fund = replace(venues.fund, intraday=rule)
    bank = Bank(crash.desk.venue)
    async with crash.desk.daemon():
        await crash.at("7950", hours=1)
        assert abs(crash.worth.net_leverage - 3) < D("0.001")
        bank.pay(amount)
        await crash.at("7950", seconds=FLOWS_EVERY.total_seconds() + 1800)
    return [run.key.trigger.partition(":")[0] for run in (await crash.desk.runs())[1:]]


@pytest.mark.parametrize(
    ("amount", "direction", "acts"),
    [
        (WITHDRAWAL, Direction.REDUCE, True),
        (WITHDRAWAL, Direction.BOTH, True),
        (DEPOSIT, Direction.REDUCE, False),
        (DEPOSIT, Direction.BOTH, True),
    ],
)
async def test_a_fund_that_acts_on_flows_is_at_its_target_within_minutes(
    amount: str, direction: Direction, *, acts: bool
) -> None:
    async with crashing() as crash:
        ran = await after(crash, amount, Intraday(flow=D("0.05"), direction=direction))
        assert ran == (["intraday"] if acts else [])
        assert (abs(crash.worth.net_leverage - 3) < D("0.001")) is acts


async def test_by_itself_a_fund_deals_with_flows_at_its_slot() -> None:
    async with crashing() as crash:
        assert await after(crash, WITHDRAWAL, None) == []
        assert crash.worth.exposures[PERP] > 3 * crash.worth.nav


async def test_less_than_the_mandate_names_waits_for_the_slot() -> None:
    async with crashing() as crash:
        assert await after(crash, "-4000", Intraday(flow=D("0.05"))) == []
