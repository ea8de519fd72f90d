"""Whatever goes wrong, in whatever order: judged on the venue's truth once the faults have stopped."""

import asyncio
import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.domain.account import Account
from keeper.domain.errors import JournalError, VenueError
from keeper.domain.numbers import exact
from keeper.domain.order import OrderRequest
from keeper.domain.run import Run, RunStatus
from keeper.execution.pacing import Pacing, Style
from keeper.venues.feeds.market_spec import MarketSpec
from tests.fakes.desks import LIMITS, Desk, agrees_with_the_venue, desk_of, drifted, result_of
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP
from tests.fakes.scripted_venue import Fault, ScriptedVenue

LOT = Decimal("0.001")
TARGET = Decimal(3)
QUICK = Pacing(style=Style.TWAP, horizon=timedelta(minutes=5), slices=4, max_depth=Decimal("0.5"))
SMALLEST = Decimal(5)


def a_venue(lag: float, depth: str | None) -> ScriptedVenue:
    spec = MarketSpec(lot=LOT, taker_bps=Decimal(5), min_cost=SMALLEST)
    return drifted(moving_feed({PERP: "105"}, spread_bps="2", depth=depth, BTC=spec), lag=lag)


@exact
def gap(account: Account, mark: Decimal) -> Decimal:
    """Contracts that the truth lacks to the target, at no cost."""
    held = account.positions[PERP]
    nav = account.balances["USDT"] + held.contracts * (mark - held.entry)
    return TARGET * nav / mark - held.contracts


def judge_orders(desk: Desk) -> None:
    """Look at every order on its way, and at what it did to the truth when it arrived."""

    def collar(request: OrderRequest) -> None:
        mid = desk.feed._prices[PERP]
        assert abs(request.price - mid) <= mid * LIMITS.max_slippage_bps / 10_000

    def arrival(before: Account, after: Account) -> None:
        mark = desk.feed._prices[PERP]
        lacking, left = gap(before, mark), gap(after, mark)
        assert abs(left) <= abs(lacking), "an order of ours never grows the gap"
        assert left * lacking >= 0 or abs(left) <= LOT, "nor passes the target by more than a lot"

    desk.venue.on_place, desk.venue.on_arrival = collar, arrival


Event = tuple[str, str]


def happening(desk: Desk, event: Event) -> None:
    match event:
        case ("price", move):
            desk.feed.move(PERP, (desk.feed._prices[PERP] * Decimal(move)).quantize(Decimal("0.01")))
        case ("foreign", contracts):
            desk.venue.meddle(PERP, contracts, str(desk.feed._prices[PERP]))
        case ("journal", write):
            desk.journal.broken.add(write)
        case (kind, count):
            desk.venue.failing[kind] = int(count)


async def life(desk: Desk) -> Run | None:
    """One process: it settles what it finds, plans and trades. None when it ended before its run did."""

    async def work() -> Run:
        await desk.restart()
        await desk.rebalancer.recover()
        return await desk.run()

    desk.venue.hanging.clear()
    desk.journal.broken.clear()
    working, killed = asyncio.create_task(work()), asyncio.create_task(desk.venue.hanging.wait())
    await asyncio.wait({working, killed}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        working.cancel()
    killed.cancel()
    ended, _ = await asyncio.gather(working, killed, return_exceptions=True)
    if isinstance(ended, Run):
        return ended
    if not isinstance(ended, VenueError | JournalError | asyncio.CancelledError):
        raise ended
    return None


numbers = st.integers(min_value=1, max_value=10)
events = st.one_of(
    st.tuples(st.just("price"), st.sampled_from(["0.97", "0.999", "1.002", "1.04"])),
    st.tuples(st.just("foreign"), st.sampled_from(["-7", "0.5", "40"])),
    st.tuples(st.sampled_from(["account", "quote", "fills", "lookup"]), st.sampled_from(["1", "3"])),
    st.tuples(st.just("journal"), st.sampled_from(["intent", "outcome"])),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    faults=st.dictionaries(numbers, st.sampled_from(Fault), max_size=5),
    script=st.dictionaries(numbers, events, max_size=5),
    lag=st.sampled_from([0.0, 0.5]),
    depth=st.sampled_from([None, "60"]),
)
async def test_no_order_is_sent_twice_or_too_far_and_the_journal_agrees_with_the_venue(
    faults: dict[int, Fault], script: dict[int, Event], lag: float, depth: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with desk_of(a_venue(lag, depth), Path(folder), pacing=QUICK) as desk:
            judge_orders(desk)
            desk.venue.faults = faults
            # what is still under way may arrive at another price or position than it was sized for: no fault of the order
            desk.venue.after = {
                number: lambda event=event: happening(desk, event)  # type: ignore[misc] # bound early
                for number, event in script.items()
                if faults.get(number) not in (Fault.LATE, Fault.LATER)
            }
            for _ in range(3):
                await life(desk)
            desk.venue.faults, desk.venue.after, desk.venue.failing = {}, {}, {}
            ends = [await life(desk) for _ in range(4)]
            assert ends[-1] is not None
            assert ends[-1].status is RunStatus.NOTHING_DUE, ends[-1].reason
            await agrees_with_the_venue(desk)
            mark = desk.feed._prices[PERP]
            assert abs(gap(desk.venue.held, mark)) <= SMALLEST / mark + LOT
            for run in await desk.journal.runs():
                for leg in result_of(run)["legs"]:
                    assert Decimal(leg["traded"]) <= Decimal(leg["planned"]) * Decimal("1.5")
