import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.errors import VenueRefused
from keeper.domain.market import Side
from keeper.domain.order import Accepted, ChildState, OrderRequest, Rejected, Unknown
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.paper.venue import PaperVenue
from tests.fakes.paper import INFO, PERP, START, fixed_feed, opening, order, paper_venue
from tests.fakes.turns import turns

SPOT = "ETH/USDT"
INVERSE = "BTC/USD:BTC"
SPEC = MarketSpec(
    tick=Decimal("0.1"), lot=Decimal("0.001"), min_amount=Decimal("0.002"), min_cost=Decimal(5), taker_bps=Decimal(5)
)
FEED_PRICES = {PERP: "1000", SPOT: "100", INVERSE: "1000"}
SPECS = dict.fromkeys(FEED_PRICES, SPEC)


def venue_with(
    balances: dict[str, str], positions: dict[str, tuple[str, str]] | None = None, *, borrow: bool | None = None
) -> PaperVenue:
    return paper_venue(fixed_feed(FEED_PRICES, specs=SPECS), opening(balances, positions), borrow=borrow)


GOOD = order("a", Side.BUY, "1", "1000", deadline=START + timedelta(seconds=5))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (replace(GOOD, symbol="DOGE/USDT"), "unknown_symbol"),
        (replace(GOOD, price=Decimal("1000.05")), "price_tick"),
        (replace(GOOD, price=Decimal(0)), "price_tick"),
        (replace(GOOD, price=Decimal(-1000)), "price_tick"),
        (replace(GOOD, price=Decimal("NaN")), "price_tick"),
        (replace(GOOD, price=Decimal("Infinity")), "price_tick"),
        (replace(GOOD, amount=Decimal("0.0025")), "amount_lot"),
        (replace(GOOD, amount=Decimal(0)), "amount_lot"),
        (replace(GOOD, amount=Decimal(-1)), "amount_lot"),
        (replace(GOOD, amount=Decimal("NaN")), "amount_lot"),
        (replace(GOOD, amount=Decimal("0.001")), "min_amount"),
        (replace(GOOD, amount=Decimal("0.004")), "min_cost"),
        (replace(GOOD, deadline=START - timedelta(microseconds=1)), "expired"),
        (replace(GOOD, reduce_only=True), "reduce_only"),
        (replace(GOOD, amount=Decimal(21)), "insufficient_margin"),
        (replace(GOOD, side=Side.SELL, amount=Decimal(21)), "insufficient_margin"),
        (replace(GOOD, symbol=SPOT, price=Decimal(100), amount=Decimal(11)), "insufficient_balance"),
        (replace(GOOD, symbol=SPOT, price=Decimal(100), side=Side.SELL), "insufficient_balance"),
        (replace(GOOD, symbol=INVERSE, amount=Decimal(10)), "insufficient_margin"),
        # the first rule that is broken is the one that is named
        (replace(GOOD, price=Decimal("1000.05"), amount=Decimal("0.0025"), reduce_only=True), "price_tick"),
    ],
)
async def test_the_exchange_refuses_and_nothing_happened(request_: OrderRequest, code: str) -> None:
    async with venue_with({"USDT": "1000"}) as venue:
        before = await venue.account()
        outcome = await venue.place(request_)
        assert isinstance(outcome, Rejected)
        assert outcome.code == code
        assert outcome.message
        assert await venue.account() == before
        assert await venue.lookup(request_.symbol, request_.client_id) is None
        assert isinstance(await venue.place(GOOD), Accepted)


async def test_a_client_id_is_used_once() -> None:
    async with venue_with({"USDT": "1000"}) as venue:
        first = await venue.place(GOOD)
        again = await venue.place(GOOD)
        late = await venue.place(replace(GOOD, deadline=START - timedelta(seconds=1)))
        assert isinstance(first, Accepted)
        assert isinstance(again, Unknown)
        assert isinstance(late, Unknown)
        assert "already" in again.why
        assert await venue.lookup(PERP, "a") == first.report
        assert await venue.lookup(SPOT, "a") is None
        assert (await venue.account()).positions[PERP].contracts == Decimal(1)


async def test_two_orders_under_one_id_sent_together_land_once() -> None:
    async with venue_with({"USDT": "1000"}) as venue:
        outcomes = await asyncio.gather(venue.place(GOOD), venue.place(GOOD))
        assert [type(outcome) for outcome in outcomes] == [Accepted, Unknown]


async def test_an_order_that_is_late_on_its_way_expires() -> None:
    feed = fixed_feed(FEED_PRICES)
    async with paper_venue(feed, opening({"USDT": "1000"}), latency=timedelta(milliseconds=50)) as venue:
        outcome = await venue.place(replace(GOOD, deadline=START + timedelta(milliseconds=20)))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "expired"
        assert START + timedelta(milliseconds=25) <= venue.clock.now() <= START + timedelta(milliseconds=75)


async def test_a_reduction_is_cut_to_the_position_and_never_turns_it() -> None:
    async with venue_with({"USDT": "1000"}, {PERP: ("1.5", "1000")}) as venue:
        outcome = await venue.place(order("a", Side.SELL, "4", "1000", reduce_only=True))
        assert isinstance(outcome, Accepted)
        assert (outcome.report.state, outcome.report.filled) == (ChildState.CANCELED, Decimal("1.5"))
        assert (await venue.account()).positions == {}


async def test_a_reduction_may_be_smaller_than_the_minimum_cost() -> None:
    async with venue_with({"USDT": "1000"}, {PERP: ("1", "1000")}) as venue:
        assert isinstance(await venue.place(order("a", Side.SELL, "0.004", "1000", reduce_only=True)), Accepted)


async def test_an_account_without_margin_may_reduce_but_not_add() -> None:
    async with venue_with({"USDT": "600"}, {PERP: ("10", "1000")}) as venue:
        added = await venue.place(order("a", Side.BUY, "0.01", "1000"))
        assert isinstance(added, Accepted)
    async with venue_with({"USDT": "600"}, {PERP: ("10", "1050")}) as venue:  # 100 left for 10,000
        added = await venue.place(order("a", Side.BUY, "0.01", "1000"))
        assert isinstance(added, Rejected)
        assert added.code == "insufficient_margin"
        assert isinstance(await venue.place(order("b", Side.SELL, "1", "1000")), Accepted)
        assert isinstance(await venue.place(order("c", Side.SELL, "1", "1000", reduce_only=True)), Accepted)


async def test_margin_is_five_percent_of_what_all_derivatives_are_worth() -> None:
    async with venue_with({"USDT": "1000"}) as venue:  # 19 contracts: 950 of margin, 9.5 of fees
        assert isinstance(await venue.place(order("a", Side.SELL, "19", "1000")), Accepted)
        more = await venue.place(order("b", Side.SELL, "1", "1000"))
        assert isinstance(more, Rejected)
        assert "1000 USDT" in more.message


async def test_coins_in_the_account_are_collateral() -> None:
    async with venue_with({"ETH": "10"}) as venue:  # worth 1,000 USDT
        assert isinstance(await venue.place(order("a", Side.BUY, "10", "1000")), Accepted)
        assert (await venue.account()).balances == {"ETH": Decimal(10), "USDT": Decimal(-5)}


async def test_spot_may_be_bought_on_credit_by_an_account_that_starts_in_debt() -> None:
    async with venue_with({"USDT": "-500", "ETH": "10"}) as venue:
        assert isinstance(await venue.place(order("a", Side.BUY, "50", "100", symbol=SPOT)), Accepted)
        beyond = await venue.place(order("b", Side.BUY, "50", "100", symbol=SPOT))
        assert isinstance(beyond, Rejected)
        assert beyond.code == "insufficient_margin"
        assert isinstance(await venue.place(order("c", Side.SELL, "50", "100", symbol=SPOT)), Accepted)


@pytest.mark.parametrize(("borrow", "accepted"), [(True, True), (False, False), (None, False)])
async def test_whether_a_balance_may_go_negative_is_the_accounts(*, borrow: bool | None, accepted: bool) -> None:
    async with venue_with({"USDT": "500"}, borrow=borrow) as venue:
        outcome = await venue.place(order("a", Side.BUY, "10", "100", symbol=SPOT))
        assert isinstance(outcome, Accepted) is accepted


async def test_a_spot_fee_is_paid_in_the_quote_asset() -> None:
    async with venue_with({"USDT": "1000"}) as venue:
        outcome = await venue.place(order("a", Side.BUY, "5", "100", symbol=SPOT))
        assert isinstance(outcome, Accepted)
        (fill,) = await venue.fills(SPOT, outcome.report.order_id)
        assert (fill.fee, fill.fee_asset) == (Decimal("0.25"), "USDT")
        assert (await venue.account()).balances == {"USDT": Decimal("499.75"), "ETH": Decimal(5)}


async def test_an_order_that_arrived_is_dealt_with_though_its_sender_is_gone() -> None:
    async with venue_with({"USDT": "1000"}) as venue:
        sending = asyncio.create_task(venue.place(GOOD))
        await turns()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await turns()
        assert await venue.lookup(PERP, "a") is not None


async def test_an_account_outlives_its_connection() -> None:
    venue = venue_with({"USDT": "1000"})
    async with venue:
        assert isinstance(await venue.place(GOOD), Accepted)
    async with venue:
        assert (await venue.account()).positions[PERP].contracts == Decimal(1)
        assert venue.info is INFO


async def test_nothing_is_known_of_an_order_that_was_never_sent() -> None:
    async with venue_with({"USDT": "1000"}) as venue:
        assert await venue.lookup(PERP, "z") is None
        assert await venue.fills(PERP, "1") == ()


async def test_an_unknown_market_is_named_together_with_those_there_are() -> None:
    async with venue_with({"USDT": "1000"}) as venue:
        with pytest.raises(VenueRefused, match=r"DOGE/USDT.*BTC/USD:BTC, BTC/USDT:USDT, ETH/USDT"):
            await venue.markets([PERP, "DOGE/USDT"])
        with pytest.raises(VenueRefused, match="DOGE/USDT"):
            await venue.quote("DOGE/USDT")
        with pytest.raises(VenueRefused, match="DOGE/USDT"):
            await venue.stats("DOGE/USDT")


@pytest.mark.parametrize(("symbol", "code"), [("DOGE/USDT:USDT", "unknown_symbol"), (SPOT, "spot_position")])
async def test_a_position_that_no_market_carries_is_refused_at_once(symbol: str, code: str) -> None:
    with pytest.raises(VenueRefused, match=symbol) as refused:
        async with venue_with({"USDT": "1000"}, {symbol: ("1", "1")}):
            pass
    assert refused.value.code == code
