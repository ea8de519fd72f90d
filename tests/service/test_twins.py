"""A hedge of which the venue cuts one leg between two slots: its twin is reduced with it at once, and nothing is put on again."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.account import Valuation
from keeper.domain.fund import FundState
from keeper.domain.run import RunStatus
from keeper.planning.plan import INTRADAY
from keeper.policy.breakers import Cause
from keeper.policy.mandate import Mandate
from keeper.policy.triggers import unmatched
from tests.fakes.daemon_desks import Kept, kept
from tests.fakes.daemons import fund_of
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import ScriptedVenue

D = Decimal
ETH = "ETH/USDT:USDT"


@pytest.fixture
async def hedged() -> AsyncIterator[Kept]:
    """A fund that holds 1x and -1x, and whose slot has just been: it looks at its account every five minutes."""
    feed = moving_feed({PERP: "100", ETH: "10"})
    venue = ScriptedVenue(paper_venue(feed, opening({"USDT": "10000"}, {PERP: ("100", "100"), ETH: ("-1000", "10")})))
    async with kept(venue) as desk:
        desk.venues.fund = fund_of(targets={PERP: "1", ETH: "-1"}, check_every=timedelta(minutes=1))
        async with desk.daemon():
            await desk.passed(minutes=20)
            yield desk


def held(desk: Kept) -> dict[str, Decimal]:
    return {symbol: position.contracts for symbol, position in desk.venue.held.positions.items()}


@pytest.mark.parametrize(("cut", "left"), [("-60", {PERP: D(40), ETH: D(-400)}), ("-100", {})])
async def test_the_twin_is_reduced_within_minutes_and_not_at_the_next_slot(
    hedged: Kept, cut: str, left: dict[str, Decimal]
) -> None:
    hedged.venue.meddle(PERP, cut, "100", forced=True)
    for _ in range(8):
        await hedged.passed(minutes=1)
    assert held(hedged) == left
    standing = await hedged.journal.standing("btc3l")
    assert (standing.state, standing.cause) == (FundState.REDUCE_ONLY, Cause.FORCED_HEDGE)
    *_, run = await hedged.runs()
    assert run.key.trigger.startswith(INTRADAY)
    assert run.status is RunStatus.COMPLETED
    assert "of its target, and the leg that the venue cut" in str(run.plan["asked"])
    children = await hedged.journal.children(run.id)
    assert {(child.request.symbol, child.request.reduce_only) for child in children} == {(ETH, True)}
    assert run.ended_at is not None
    assert run.ended_at - run.started_at < timedelta(minutes=1), "without spreading it"
    for _ in range(12):
        await hedged.passed(minutes=5)
    assert held(hedged) == left
    assert len(await hedged.runs()) == 2, "once"


@pytest.mark.parametrize(
    ("leverages", "words"), [(("0.4", "-1"), "has 1.0000 of its target"), (("1", "-1"), ""), (("0.4", "-0.405"), "")]
)
def test_a_leg_that_hedges_nothing_is_named(leverages: tuple[str, str], words: str) -> None:
    mandate = Mandate(targets={PERP: D(1), ETH: D(-1), "SOL/USDT:USDT": D(0)})
    exposures = dict(zip((PERP, ETH), (100 * D(leverage) for leverage in leverages), strict=True))
    worth = Valuation(currency="USDT", nav=D(100), exposures=exposures, foreign=D(0), prices={"USDT": D(1)})
    told = unmatched(mandate, worth, {PERP, ETH})
    assert (words in told) if words else (told == "")
