"""What Kraken Futures grants for its history, a pool of a hundred tokens: a run of many children is never refused by it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.errors import VenueUnavailable
from keeper.domain.order import Accepted, ChildState, Fill, OrderReport
from keeper.service.sender import confirm
from keeper.venues.access import Exchanges
from keeper.venues.budgets import Priority, Unit
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.parsing import milliseconds
from keeper.venues.rates import KRAKEN_FUTURES
from keeper.venues.speech import krakenfutures_history as history
from keeper.venues.weights import WEIGHTS, cost_of
from tests.fakes.krakenfutures import COSTS, TOO_MANY, KrakenFutures, usual_core
from tests.fakes.loopback_venue import JumpingClock, order, venue_at
from tests.fakes.token_pool import TokenPool

D = Decimal
LINEAR, ETH = "BTC/USD:USD", "ETH/USD:USD"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
async def exchange(clock: JumpingClock) -> AsyncIterator[KrakenFutures]:
    core = usual_core(now=lambda: milliseconds(clock.now()))
    async with KrakenFutures(core=core, trading=TokenPool(capacity=D(500), span=10_000)) as server:
        yield server


@pytest.fixture
async def kraken(exchange: KrakenFutures, clock: JumpingClock) -> AsyncIterator[CcxtVenue]:
    async with venue_at(exchange, clock=clock, exchanges=Exchanges(clock)) as connected:
        exchange.requests.clear()
        yield connected


async def child(venue: CcxtVenue, clock: JumpingClock, number: int) -> tuple[OrderReport, tuple[Fill, ...]] | None:
    """One order, sent and confirmed as a run does it."""
    symbol, price = ((LINEAR, D(50_010)), (ETH, D("2500.5")))[number % 2]
    request = order(
        client_id=f"kpr{number:029d}", symbol=symbol, amount=D("0.01"), price=price, deadline=clock.now() + timedelta(seconds=5)
    )
    outcome = await venue.place(request)
    assert isinstance(outcome, Accepted), outcome
    return await confirm(venue, clock, request, outcome.report)


async def test_a_run_of_many_children_is_never_refused_by_the_pool_of_the_history(
    exchange: KrakenFutures, kraken: CcxtVenue, clock: JumpingClock
) -> None:
    confirmed = []
    for start in range(0, 112, 8):
        confirmed += await asyncio.gather(*(child(kraken, clock, number) for number in range(start, start + 8)))
    assert all(one is not None and one[0].state is ChildState.FILLED for one in confirmed)
    assert sum(len(one[1]) for one in confirmed if one is not None) == 112 == len(exchange.core.trades)
    assert (exchange.history.refused, exchange.trading and exchange.trading.refused) == (0, 0)


async def test_children_that_come_one_by_one_wait_until_enough_has_flown_back(
    exchange: KrakenFutures, kraken: CcxtVenue, clock: JumpingClock
) -> None:
    began = clock.now()
    for number in range(104):
        assert await child(kraken, clock, number) is not None
    assert exchange.history.refused == 0
    assert exchange.history.spent == 104
    assert clock.now() - began < 20 * MINUTE


async def test_what_the_history_must_be_asked_for_waits_and_is_not_refused(
    exchange: KrakenFutures, kraken: CcxtVenue, clock: JumpingClock
) -> None:
    """As where trading has forgotten the order: its history tells what happened to it, and what it filled."""
    exchange.memory = -1
    for number in range(48):
        assert await child(kraken, clock, number) is not None
    assert exchange.history.refused == 0
    assert exchange.history.spent > 100


async def test_funds_of_an_account_that_ask_at_the_same_time_take_one_answer(
    exchange: KrakenFutures, clock: JumpingClock
) -> None:
    shared = Exchanges(clock)
    async with (
        venue_at(exchange, clock=clock, exchanges=shared) as one,
        venue_at(exchange, clock=clock, exchanges=shared) as other,
    ):
        confirmed = [await child(one, clock, 0), await child(other, clock, 1)]
        before, began = exchange.history.spent, clock.now() - timedelta(seconds=50)
        told = await asyncio.gather(
            *(
                history.executions(venue._wire(venue._own("trades", Priority.LOOKUP)), symbol, since=began)
                for venue in (one, other)
                for symbol in (LINEAR, ETH)
            )
        )
        assert [tuple(execution.fill for execution in found) for found in told] == 2 * [pair[1] for pair in confirmed if pair]
        assert exchange.history.spent - before == 1


async def test_an_order_of_more_than_a_minute_ago_is_looked_for_in_its_market(
    exchange: KrakenFutures, kraken: CcxtVenue, clock: JumpingClock
) -> None:
    confirmed = await child(kraken, clock, 0)
    assert confirmed is not None
    clock.shift += 2 * MINUTE
    exchange.requests.clear()
    report = await kraken.lookup(LINEAR, confirmed[0].client_id)
    assert report == confirmed[0]
    assert await kraken.fills(LINEAR, confirmed[0].order_id) == confirmed[1]
    markets = {one.parameters.get("tradeable") for one in exchange.requests if "/history/" in one.path}
    assert markets == {None, "PF_XBTUSD"}


async def test_what_the_exchange_still_refuses_silences_for_as_long_as_it_says(
    exchange: KrakenFutures, kraken: CcxtVenue, clock: JumpingClock
) -> None:
    """Somebody else uses the account's pool, of which no answer tells."""
    confirmed = await child(kraken, clock, 0)
    assert confirmed is not None
    while not exchange.history.take(D(1), exchange.core.now()):
        pass
    with pytest.raises(VenueUnavailable, match=TOO_MANY):
        await kraken.fills(LINEAR, confirmed[0].order_id)
    with pytest.raises(VenueUnavailable, match="silence"):
        await kraken.fills(LINEAR, confirmed[0].order_id)
    clock.shift += timedelta(seconds=7)
    assert await kraken.fills(LINEAR, confirmed[0].order_id) == confirmed[1]


def test_every_call_weighs_what_is_documented() -> None:
    weights = WEIGHTS["krakenfutures"]
    paths = {"sendorder": "create_order", "cancelorder": "privatePostCancelorder"}
    paths |= {"cancelallordersafter": "privatePostCancelallordersafter", "orders/status": "privateGetOrdersStatus"}
    assert {path: weights[paths[path]] for path in COSTS} == COSTS
    trading, history = KRAKEN_FUTURES.budgets
    assert (trading.unit, trading.capacity, trading.interval) == (Unit.WEIGHT, D(500), timedelta(seconds=10))
    assert (history.unit, history.capacity, history.interval, history.flows) == (Unit.PAST, D(100), 10 * MINUTE, True)


async def test_a_call_about_the_past_draws_on_the_pool_alone(kraken: CcxtVenue) -> None:
    for method in ("historyGetOrders", "historyGetExecutions"):
        cost = cost_of(kraken._exchange, method, {})
        assert (cost.of(Unit.WEIGHT), cost.of(Unit.PAST), cost.of(Unit.ORDERS)) == (D(0), D(1), D(0))
    cost = cost_of(kraken._exchange, "create_order", {})
    assert (cost.of(Unit.WEIGHT), cost.of(Unit.PAST), cost.of(Unit.ORDERS)) == (D(10), D(0), D(1))
