from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from keeper.domain.account import Account
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.observation import Observation
from keeper.domain.order import ChildState, Fill, OrderRequest
from keeper.domain.run import RunStatus
from keeper.planning.exposure import gaps
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.paper import ledger
from tests.fakes.desks import TWAP, Desk, desk_of, drifted, result_of
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, START, opening, paper_venue
from tests.fakes.scripted_venue import ScriptedVenue

ETH = "ETH/USDT:USDT"
INVERSE = "BTC/USD:BTC"
FIVE_BPS = MarketSpec(taker_bps=Decimal(5))


def scripted(prices: Mapping[str, str], account: Account, **feed: Any) -> ScriptedVenue:
    return ScriptedVenue(paper_venue(moving_feed(prices, **feed), account))


async def truth(desk: Desk) -> Observation:
    return await desk.rebalancer._observer.observe()


async def gaps_left(desk: Desk) -> dict[str, Decimal]:
    """What an order of no cost would still have to trade, contracts in whole lots."""
    wanted = desk.fund.mandate.targets
    found = gaps(await truth(desk), wanted, lambda _contracts, _smallest: 1, Decimal(30))
    return {symbol: gap.contracts for symbol, gap in found.items()}


async def test_a_fund_that_drifted_is_brought_back_in_even_slices(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        run = await desk.run()
        assert run.status is RunStatus.COMPLETED
        assert await gaps_left(desk) == {PERP: 0}
        assert desk.venue.held.positions[PERP].contracts == Decimal("3285.714285")
        assert [request.side for request in desk.venue.sent] == [Side.BUY] * 9
        sizes = [request.amount for request in desk.venue.sent]
        assert max(sizes) - min(sizes) <= Decimal("0.000002")
        children = await desk.journal.children(run.id)
        assert [child.at - START for child in children] == [timedelta(minutes=1) * n for n in range(9)]
        assert {child.state for child in children} == {ChildState.FILLED}
        assert await desk.journal.run(run.id) == run
        assert await desk.journal.verify() == ()


async def test_with_reads_that_lag_every_slice_is_still_sized_from_the_settled_truth(tmp_path: Path) -> None:
    async with desk_of(drifted(lag=0.7, trade_lag=0.4), tmp_path) as desk:
        assert (await desk.run()).status is RunStatus.COMPLETED
        assert await gaps_left(desk) == {PERP: 0}
        assert len(desk.venue.sent) == 9


async def test_a_thin_book_is_asked_again_until_the_gap_is_closed(tmp_path: Path) -> None:
    feed = moving_feed({PERP: "105"}, depth="20", spread_bps="2")
    async with desk_of(drifted(feed), tmp_path) as desk:
        assert (await desk.run()).status is RunStatus.COMPLETED
        assert await gaps_left(desk) == {PERP: 0}
        assert len(desk.venue.sent) > 9
        assert max(request.amount for request in desk.venue.sent) <= 20


async def test_fees_are_paid_by_the_trade_itself(tmp_path: Path) -> None:
    async with desk_of(drifted(moving_feed({PERP: "105"}, BTC=FIVE_BPS)), tmp_path) as desk:
        await desk.run()
        assert abs(desk.bought() * 105 - Decimal("29955.067")) < Decimal("0.001")
        valuation = (await truth(desk)).valuation()
        assert abs(valuation.net_leverage - 3) < Decimal("1e-8")


@pytest.mark.parametrize("slices", [1, 9])
async def test_a_basket_of_two_ends_exactly_on_both(tmp_path: Path, slices: int) -> None:
    venue = scripted({PERP: "100", ETH: "10"}, opening({"USDT": "1000"}), BTC=FIVE_BPS, ETH=FIVE_BPS)
    async with desk_of(venue, tmp_path, {PERP: "3", ETH: "-3"}, pacing=replace(TWAP, slices=slices)) as desk:
        run = await desk.run()
        assert run.status is RunStatus.COMPLETED
        assert await gaps_left(desk) == {PERP: 0, ETH: 0}
        valuation = (await truth(desk)).valuation()
        assert abs(valuation.leverage(PERP) - 3) < Decimal("1e-6")
        assert abs(valuation.leverage(ETH) + 3) < Decimal("1e-6")
        sides = {(request.symbol, request.side) for request in venue.sent}
        assert sides == {(PERP, Side.BUY), (ETH, Side.SELL)}


async def test_a_long_that_becomes_a_short_closes_before_it_opens(tmp_path: Path) -> None:
    venue = scripted({PERP: "100"}, opening({"USDT": "1000"}, {PERP: ("12", "100")}))
    async with desk_of(venue, tmp_path, {PERP: "-1"}) as desk:
        assert (await desk.run()).status is RunStatus.COMPLETED
        assert venue.held.positions[PERP].contracts == -10
        flags = [request.reduce_only for request in venue.sent]
        assert flags == sorted(flags, reverse=True)
        assert set(flags) == {True, False}


SPOT = {"BTC/USDT": "0.6", "ETH/USDT": "0.4"}


@pytest.mark.parametrize(
    "balances",
    [
        pytest.param({"USDT": "100000"}, id="from cash"),
        pytest.param({"BTC": "100000"}, id="from BTC alone"),
        pytest.param({"USDT": "20000", "BTC": "10000", "ETH": "700000"}, id="from too much ETH"),
    ],
)
async def test_sixty_forty_is_reached_without_borrowing(tmp_path: Path, balances: dict[str, str]) -> None:
    venue = scripted({"BTC/USDT": "100", "ETH/USDT": "10"}, opening(balances), BTC=FIVE_BPS, ETH=FIVE_BPS)
    async with desk_of(venue, tmp_path, SPOT) as desk:
        run = await desk.run()
        assert run.status is RunStatus.COMPLETED
        valuation = (await truth(desk)).valuation()
        assert abs(valuation.leverage("BTC/USDT") - Decimal("0.6")) < Decimal("1e-6")
        assert abs(valuation.leverage("ETH/USDT") - Decimal("0.4")) < Decimal("1e-6")
        assert all(amount >= 0 for _, account in venue._truths for amount in account.balances.values())


async def test_fees_taken_in_the_coin_that_was_bought_are_no_foreign_trade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ledger.trade

    def in_coin(market: Market, request: OrderRequest, **parts: Any) -> Fill:
        fill = original(market, request, **parts)
        if market.kind is MarketKind.SPOT and request.side is Side.BUY:
            return replace(fill, fee=fill.fee / fill.price, fee_asset=market.base)
        return fill

    monkeypatch.setattr(ledger, "trade", in_coin)
    venue = scripted({"BTC/USDT": "100", "ETH/USDT": "10"}, opening({"USDT": "100000"}), BTC=FIVE_BPS, ETH=FIVE_BPS)
    async with desk_of(venue, tmp_path, SPOT) as desk:
        run = await desk.run()
        assert (run.status, run.reason) == (RunStatus.COMPLETED, "every gap is below the smallest order")
        assert await gaps_left(desk) == {"BTC/USDT": 0, "ETH/USDT": 0}
        assert {fill.fee_asset for _, fill in await desk.journal.fills(run.id)} == {"BTC", "ETH"}


@pytest.mark.parametrize(("taker", "bought"), [("0", "15000"), ("5", "14985.015")])
async def test_an_inverse_contract_is_counted_in_the_coin_it_settles_in(tmp_path: Path, taker: str, bought: str) -> None:
    spec = MarketSpec(lot=Decimal("0.001"), taker_bps=Decimal(taker))
    account = opening({"BTC": "1"}, {INVERSE: ("100000", "50000")})
    venue = scripted({INVERSE: "52500"}, account, BTC=spec)
    async with desk_of(venue, tmp_path, {INVERSE: "3"}) as desk:
        run = await desk.run()
        assert run.status is RunStatus.COMPLETED, run.reason
        assert len(venue.sent) == 9
        assert abs(desk.bought() - Decimal(bought)) <= Decimal("0.001")
        valuation = (await truth(desk)).valuation()
        assert abs(valuation.net_leverage - 3) < Decimal("1e-6")


async def test_a_short_spot_balance_is_bought_on_credit(tmp_path: Path) -> None:
    venue = scripted({"ETH/USD": "210"}, opening({"USD": "-20000", "ETH": "150"}))
    async with desk_of(venue, tmp_path, {"ETH/USD": "3"}) as desk:
        assert (await desk.run()).status is RunStatus.COMPLETED
        assert abs(desk.bought() - Decimal("14.285714")) <= Decimal("0.000001")


async def test_whoever_watches_sees_every_step_and_the_end(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        legs = [leg for (leg,) in desk.watcher.seen]
        assert desk.watcher.closed == 1
        assert {(leg.market, leg.side, leg.planned, leg.arrival, leg.slices) for leg in legs} == {
            (PERP, Side.BUY, Decimal("285.714285"), Decimal(105), 9)
        }
        filled = [leg.filled for leg in legs]
        assert filled == sorted(filled)
        assert (filled[0], filled[-1]) == (Decimal(0), Decimal("285.714285"))
        assert (legs[0].average, legs[-1].average) == (None, Decimal(105))
        assert sorted({leg.slice for leg in legs}) == list(range(10))
        assert (legs[0].state, legs[-1].state) == ("working", "done")
        assert {leg.ends_at for leg in legs} == {START + TWAP.horizon}


async def test_nothing_due_is_a_run_without_orders(tmp_path: Path) -> None:
    async with desk_of(drifted(moving_feed({PERP: "100"})), tmp_path) as desk:
        run = await desk.run()
        assert run.status is RunStatus.NOTHING_DUE
        assert result_of(run)["leverage_after"] == result_of(run)["leverage_before"] == "3"
        assert desk.venue.sent == []
        assert desk.watcher.closed == 0


@pytest.mark.parametrize("trouble", ["no answer", "nothing left"])
async def test_nothing_due_stays_so_when_the_account_cannot_be_read_again(tmp_path: Path, trouble: str) -> None:
    async with desk_of(drifted(moving_feed({PERP: "100"})), tmp_path) as desk:
        plan = await desk.rebalancer.plan()
        if trouble == "no answer":
            desk.venue.failing = {"account": 1}
        else:
            desk.feed.move(PERP, "1")
        run = await desk.rebalancer.execute(plan, "manual:1", desk.watcher)
        assert run.status is RunStatus.NOTHING_DUE
        assert result_of(run)["leverage_after"] is None
        assert await desk.journal.run(run.id) == run
