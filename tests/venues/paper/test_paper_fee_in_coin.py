"""A paper exchange may take its fees in what a trade brings in, as real spot exchanges do."""

from decimal import Decimal

import pytest

from keeper.domain.market import FeeAsset, Side
from keeper.domain.order import Accepted
from keeper.planning.exposure import gaps
from keeper.service.observer import Observer
from keeper.venues.feeds.market_spec import MarketSpec
from tests.fakes.paper import PERP, fixed_feed, opening, order, paper_venue

D = Decimal
SPOT = "BTC/USDT"
RECEIVED = MarketSpec(taker_bps=D(10), fee_in=FeeAsset.RECEIVED)


@pytest.mark.parametrize(
    ("side", "fee", "asset", "btc", "usdt"),
    [(Side.BUY, "0.002", "BTC", "2.998", "800"), (Side.SELL, "0.2", "USDT", "-1", "1199.8")],
)
async def test_a_buy_pays_in_coins_and_a_sale_in_cash(side: Side, fee: str, asset: str, btc: str, usdt: str) -> None:
    venue = paper_venue(fixed_feed({SPOT: "100"}, specs={SPOT: RECEIVED}), opening({"BTC": "1", "USDT": "1000"}), borrow=True)
    async with venue:
        outcome = await venue.place(order("a", side, "2", "100", symbol=SPOT))
        assert isinstance(outcome, Accepted), outcome
        (fill,) = await venue.fills(SPOT, outcome.report.order_id)
        assert (fill.fee, fill.fee_asset) == (D(fee), asset)
        assert (await venue.account()).balances == {"BTC": D(btc), "USDT": D(usdt)}


async def test_all_of_the_cash_can_be_spent_since_the_fee_is_not_cash() -> None:
    async with paper_venue(fixed_feed({SPOT: "100"}, specs={SPOT: RECEIVED}), opening({"USDT": "1000"})) as venue:
        assert isinstance(await venue.place(order("a", Side.BUY, "10", "100", symbol=SPOT)), Accepted)
        assert (await venue.account()).balances == {"USDT": D(0), "BTC": D("9.99")}


async def test_a_planned_trade_ends_on_its_weight_fee_in_coins_included() -> None:
    async with paper_venue(fixed_feed({SPOT: "100"}, specs={SPOT: RECEIVED}), opening({"USDT": "1000"})) as venue:
        observer = await Observer.on(venue, [SPOT], None, venue.clock)
        goals = {SPOT: D("0.5")}
        amount = gaps(await observer.observe(), goals, lambda _contracts, _smallest: 1, D(30))[SPOT].contracts
        await venue.place(order("a", Side.BUY, amount, "100", symbol=SPOT))
        after = await observer.observe()
        assert abs(after.valuation().leverage(SPOT) - D("0.5")) < D("1e-6")
        assert gaps(after, goals, lambda _contracts, _smallest: 1, D(30))[SPOT].contracts == 0


def test_only_spot_trades_bring_in_what_a_fee_could_be_taken_from() -> None:
    assert RECEIVED.market(PERP).fee_asset(Side.BUY) == "USDT"
    assert RECEIVED.market("BTC/USD:BTC").fee_asset(Side.BUY) == "BTC"
    assert RECEIVED.market(SPOT).fee_asset(Side.SELL) == "USDT"
