import asyncio
from decimal import Decimal

import pytest

from keeper.domain.errors import KeeperError, StaleData, VenueRefused, VenueUnavailable
from keeper.service.observer import Observer, together
from tests.fakes.desks import drifted
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import ScriptedVenue
from tests.fakes.turns import turns

ETH = "ETH/USDT:USDT"


def two_markets() -> ScriptedVenue:
    return ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "1000"}, {PERP: ("2", "90")})))


@pytest.mark.parametrize(("with_stats", "reads"), [(False, 3), (True, 5)])
async def test_all_reads_of_an_observation_are_in_flight_together(*, with_stats: bool, reads: int) -> None:
    async with two_markets() as venue:
        observer = await Observer.on(venue, [PERP, ETH], None, venue.clock)
        observation = await observer.observe(with_stats=with_stats)
        assert venue.most_in_flight == len(venue.log) == reads
        assert observation.account.positions[PERP].contracts == 2
        assert observation.marks == {PERP: 100, ETH: 10}
        assert set(observation.stats) == ({PERP, ETH} if with_stats else set())
        assert observation.valuation().nav == 1020
        assert observation.at == venue.clock.now()


@pytest.mark.parametrize("kind", ["account", "quote", "stats"])
async def test_a_read_that_fails_fails_the_observation(kind: str) -> None:
    async with two_markets() as venue:
        observer = await Observer.on(venue, [PERP, ETH], "USDT", venue.clock)
        venue.failing = {kind: 1}
        with pytest.raises(VenueUnavailable, match=kind):
            await observer.observe(with_stats=True)
        assert venue.in_flight == 0


@pytest.mark.parametrize("error", [VenueUnavailable("down"), StaleData("old"), VenueRefused("auth", "bad key")])
async def test_the_first_error_cancels_the_rest_and_comes_out_as_itself(error: KeeperError) -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def failing() -> None:
        await turns(2)
        raise error

    with pytest.raises(type(error)) as raised:
        await together(endless(), failing(), endless())
    assert raised.value is error
    assert ended == ["cancelled", "cancelled"]


async def test_of_two_errors_at_once_one_comes_out() -> None:
    async def failing(message: str) -> None:
        raise StaleData(message)

    with pytest.raises(StaleData, match="one"):
        await together(failing("one"), failing("two"))


async def test_a_bug_is_not_taken_for_trouble_at_the_venue() -> None:
    async def buggy() -> None:
        raise ZeroDivisionError

    async def failing() -> None:
        raise StaleData("as well")

    with pytest.raises(ZeroDivisionError):
        await together(failing(), buggy())


async def test_a_task_that_is_cancelled_as_its_work_fails_ends() -> None:
    """Whoever reads every so often would read for ever otherwise, and its process never come to its end."""
    begun = asyncio.Event()

    async def failing() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise StaleData("cut off")

    task = asyncio.ensure_future(together(failing()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_markets_of_a_fund_are_quoted_in_what_it_counts_in() -> None:
    inner = paper_venue(moving_feed({PERP: "100", "ETH/USD:ETH": "10"}), opening({"USDT": "1000"}))
    async with ScriptedVenue(inner) as venue:
        with pytest.raises(VenueRefused, match="ETH/USD:ETH is quoted in USD"):
            await Observer.on(venue, [PERP, "ETH/USD:ETH"], None, venue.clock)
        with pytest.raises(VenueRefused, match="the fund counts in EUR"):
            await Observer.on(venue, [PERP], "EUR", venue.clock)
        assert (await Observer.on(venue, ["ETH/USD:ETH"], None, venue.clock)).currency == "USD"


async def test_a_symbol_that_the_venue_lacks_is_named() -> None:
    async with drifted() as venue:
        with pytest.raises(VenueRefused, match="DOGE/USDT:USDT"):
            await Observer.on(venue, [PERP, "DOGE/USDT:USDT"], None, venue.clock)


async def test_what_is_held_beside_the_markets_is_converted_and_asked_for_together_the_next_time() -> None:
    feed = moving_feed({PERP: "100", ETH: "10", "BNB/USDT": "600", "USDC/USDT": "0.999"})
    inner = paper_venue(feed, opening({"USDT": "1000", "BNB": "2", "USDC": "100", "XYZ": "0"}, {PERP: ("2", "90")}))
    async with ScriptedVenue(inner) as venue:
        observer = await Observer.on(venue, [PERP], None, venue.clock)
        for most in (2, 4):
            venue.most_in_flight = 0
            observation = await observer.observe()
            assert venue.most_in_flight == most
            valuation = observation.valuation()
            assert valuation.nav == 1000 + 20 + 1200 + Decimal("99.9")
            # a coin counts as exposure, what is meant to be worth a dollar does not
            assert valuation.exposures == {PERP: Decimal(200)}
            assert valuation.foreign == 1200


@pytest.mark.parametrize(
    ("prices", "words"), [({}, "no price for USDC"), ({"USDC/USDT": "0.97"}, "peg"), ({"USDC/USDT": "1.03"}, "peg")]
)
async def test_what_has_no_price_or_lost_its_peg_is_valued_by_nobody(prices: dict[str, str], words: str) -> None:
    inner = paper_venue(moving_feed({PERP: "100", **prices}), opening({"USDT": "1000", "USDC": "5"}))
    async with ScriptedVenue(inner) as venue:
        observer = await Observer.on(venue, [PERP], None, venue.clock)
        with pytest.raises(StaleData, match=words):
            (await observer.observe()).valuation()
