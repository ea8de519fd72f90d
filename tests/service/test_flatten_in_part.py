"""To flatten a fund of which not all can be read: the rest goes, what is left is named, and goes as soon as it can be read."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.book import OrderBook
from keeper.domain.errors import StaleData, VenueUnavailable
from keeper.domain.observation import Quote
from keeper.domain.run import CommandKind, RunStatus
from keeper.service.observer import AGAIN, Observer
from tests.fakes.daemon_desks import kept
from tests.fakes.daemons import command, fund_of
from tests.fakes.desks import desk_of, drifted, result_of
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import ScriptedVenue

ETH, COIN = "ETH/USDT:USDT", "ETH/USDT"
Answer = Callable[[Quote], Awaitable[Quote]]


def hedge() -> ScriptedVenue:
    inner = paper_venue(
        moving_feed({PERP: "100", ETH: "10"}),
        opening({"USDT": "100000"}, {PERP: ("1000", "100"), ETH: ("-500", "10")}),
    )
    return ScriptedVenue(inner)


def answering(venue: ScriptedVenue, odd: str, answer: Answer) -> None:
    """From here on ``answer`` makes of a quote of ``odd`` what is told."""
    tell = venue.quote

    async def quote(symbol: str) -> Quote:
        told = await tell(symbol)
        return await answer(told) if symbol == odd else told

    venue.quote = quote  # type: ignore[method-assign]


async def dead(_quote: Quote) -> Quote:
    raise StaleData("the order book is unfit: no bids")


async def empty(quote: Quote) -> Quote:
    return replace(quote, book=OrderBook((), (), quote.book.at))


def put_in(venue: ScriptedVenue, asset: str, amount: str) -> None:
    ledger = venue.inner._ledger
    balances: Mapping[str, Decimal] = {**ledger.account.balances, asset: Decimal(amount)}
    venue.inner._ledger = replace(ledger, account=replace(ledger.account, balances=balances))
    venue._remember()


@pytest.mark.parametrize("answer", [dead, empty])
async def test_one_market_without_a_book_blocks_no_other(tmp_path: Path, answer: Answer) -> None:
    async with desk_of(venue := hedge(), tmp_path, {PERP: "1", ETH: "-0.05"}) as desk:
        answering(venue, ETH, answer)
        run = await desk.flatten()
        assert set(venue.held.positions) == {ETH}
        assert (run.status, ETH in run.reason) == (RunStatus.INCOMPLETE, True)
        assert venue.held.positions[ETH].contracts == -500


async def test_a_market_that_is_slow_to_fail_makes_nothing_stale_for_long(tmp_path: Path) -> None:
    async with desk_of(venue := hedge(), tmp_path, {PERP: "1", ETH: "-0.05"}) as desk:

        async def slow(_quote: Quote) -> Quote:
            await venue.clock.sleep_until(venue.clock.now() + timedelta(seconds=25))
            raise VenueUnavailable("no answer")

        answering(venue, ETH, slow)
        await desk.flatten()
        assert set(venue.held.positions) == {ETH}


async def test_a_market_that_is_lost_on_the_way_holds_up_no_other(tmp_path: Path) -> None:
    async with desk_of(venue := hedge(), tmp_path, {PERP: "1", ETH: "-0.05"}) as desk:
        begin = venue.clock.now()

        async def lost(quote: Quote) -> Quote:
            if venue.clock.now() - begin > timedelta(minutes=3):
                raise VenueUnavailable("no answer")
            return quote

        answering(venue, ETH, lost)
        run = await desk.flatten()
        assert set(venue.held.positions) == {ETH}
        assert venue.held.positions[ETH].contracts > -500
        assert (run.status, ETH in run.reason) == (RunStatus.INCOMPLETE, True)


async def test_dust_without_a_price_blocks_nothing(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        put_in(desk.venue, "BNB", "0.0001")
        run = await desk.flatten()
        assert (run.status, desk.venue.held.positions) == (RunStatus.COMPLETED, {})
        assert "BNB has no price" in str(run.plan["reason"])
        assert await desk.journal.nav_points("btc3l") == (), "what leaves assets out is no NAV"


async def test_coins_whose_market_can_t_be_read_are_left_and_named(tmp_path: Path) -> None:
    inner = paper_venue(moving_feed({PERP: "100", COIN: "10"}), opening({"USDT": "90000", "ETH": "500"}, {PERP: ("900", "100")}))
    async with desk_of(venue := ScriptedVenue(inner), tmp_path, {PERP: "1", COIN: "0.05"}) as desk:
        answering(venue, COIN, dead)
        run = await desk.flatten()
        assert venue.held.positions == {}
        assert venue.held.balances["ETH"] == 500
        assert (run.status, COIN in run.reason) == (RunStatus.INCOMPLETE, True)


async def test_a_partial_observation_keeps_its_markets_and_asks_for_a_lost_one_again_after_a_while() -> None:
    async with hedge() as venue:
        observer = (await Observer.on(venue, [PERP, ETH], None, venue.clock)).partial
        assert (await observer.observe(with_stats=True)).unread == {}
        venue.failing = {"quote": 2, "stats": 2}
        seen = await observer.observe(with_stats=True)
        assert (set(seen.markets), set(seen.unread), seen.stats) == ({PERP, ETH}, {PERP, ETH}, {})
        assert seen.marks == {PERP: 100, ETH: 10}
        assert set((await observer.observe()).unread) == {PERP, ETH}
        await venue.clock.sleep_until(venue.clock.now() + AGAIN)
        assert (await observer.observe()).unread == {}


async def test_a_market_that_was_never_read_and_holds_nothing_is_left_out() -> None:
    async with hedge() as venue:
        venue.meddle(ETH, "500", "10")
        observer = (await Observer.on(venue, [PERP, ETH], None, venue.clock)).partial
        answering(venue, ETH, dead)
        seen = await observer.observe()
        assert (set(seen.markets), seen.unread) == ({PERP}, {})


async def test_a_run_that_goes_on_tells_of_its_legs_in_markets_that_are_gone_now() -> None:
    inner = paper_venue(moving_feed({PERP: "100", COIN: "10"}), opening({"USDT": "90000", "ETH": "500"}, {PERP: ("900", "100")}))
    async with kept(venue := ScriptedVenue(inner)) as desk:
        desk.venues.fund = fund_of(targets={PERP: "1", COIN: "0.05"})
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.now))
            await desk.when(lambda: len(venue.sent) == 4)
        answering(venue, COIN, dead)
        async with desk.daemon():
            await desk.passed(minutes=15)
        run = await desk.journal.run("btc3l-c1")
        gaps = {leg["market"]: leg["gap"] for leg in result_of(run)["legs"]}
        assert gaps == {PERP: "0", COIN: None}
        assert venue.held.positions == {}


@pytest.mark.parametrize("answer", [dead, empty])
async def test_the_daemon_flattens_the_rest_once_its_market_is_back(answer: Answer) -> None:
    async with kept(venue := hedge()) as desk:
        desk.venues.fund = fund_of(targets={PERP: "1", ETH: "-0.05"})
        back = False

        async def gone(quote: Quote) -> Quote:
            return quote if back else await answer(quote)

        answering(venue, ETH, gone)
        async with desk.daemon():
            await desk.passed(minutes=1)
            await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.now))
            await desk.passed(minutes=60)
            assert set(venue.held.positions) == {ETH}
            back = True
            await desk.passed(minutes=20)
        assert venue.held.positions == {}
        run = await desk.journal.run("btc3l-c1")
        assert run is not None
        assert run.status is RunStatus.COMPLETED


async def test_what_is_on_record_of_a_market_that_can_not_be_read_stays_on_record(tmp_path: Path) -> None:
    venue = ScriptedVenue(paper_venue(moving_feed({"BTC/USDT": "100", COIN: "10"}), opening({"USDT": "1000"})))
    async with desk_of(venue, tmp_path, {"BTC/USDT": "0.5", COIN: "0.3"}) as desk:
        await desk.run()
        before = await desk.settled()
        answering(desk.venue, COIN, dead)
        await desk.flatten()
        assert (await desk.settled())[COIN].contracts == before[COIN].contracts == desk.venue.held.balances["ETH"]


async def test_what_can_be_read_is_on_record_before_the_first_order_even_where_nothing_was_before(tmp_path: Path) -> None:
    async with desk_of(hedge(), tmp_path, {PERP: "1", ETH: "-0.05"}) as desk:
        answering(desk.venue, ETH, dead)
        await desk.flatten()
        assert (await desk.settled())[PERP].contracts == 0
