"""How much of its market a trade is, and that too much of it is refused where it adds risk."""

from dataclasses import replace
from decimal import Decimal

import pytest

from keeper.domain.book import OrderBook
from keeper.domain.market import Side
from keeper.domain.observation import MarketStats, Observation
from keeper.planning.crowding import Crowding, crowded, crowding
from keeper.planning.plan import Plan
from tests.fakes.markets import BTC, ETH, NOON, book, holding, inverse, linear, observe, quote
from tests.planning.test_plan import LIMITS, plan_of

D = Decimal
THIN = book("100", half_spread="0.01", depth="50", levels=2)
BUSY = MarketStats(volume=D(1000), volatility=D("0.03"))
"""Of which a tenth, 100 coins, may be traded to add risk."""


def shares(stats: MarketStats | None = BUSY, shown: OrderBook = THIN, contracts: str = "20", side: Side = Side.BUY) -> Crowding:
    return crowding(linear(), shown, stats, side=side, contracts=D(contracts), slippage_bps=D(30))


def test_a_trade_is_a_share_of_the_day_and_of_what_is_on_offer_within_the_collar() -> None:
    found = shares()
    assert found.volume == D("0.02")
    assert found.depth == 20 / THIN.depth(Side.BUY, limit=THIN.collar(Side.BUY, D(30)))
    assert shares(contracts="40").depth == 2 * found.depth


def test_an_inverse_market_counts_its_day_in_coins() -> None:
    found = crowding(inverse(), book("50000", depth="9000000"), BUSY, side=Side.SELL, contracts=D(500_000), slippage_bps=D(30))
    assert found.volume == D("0.01")


@pytest.mark.parametrize(
    ("stats", "shown", "expected"),
    [
        (None, THIN, (None, True)),
        (replace(BUSY, volume=D(0)), THIN, (None, True)),
        (BUSY, OrderBook((), (), NOON), (None, None)),
        (BUSY, replace(THIN, asks=tuple(replace(level, price=level.price * 2) for level in THIN.asks)), (True, None)),
    ],
    ids=["no figures", "no trades", "no book", "nothing within the collar"],
)
def test_what_is_not_known_is_no_share(stats: MarketStats | None, shown: OrderBook, expected: tuple[bool, bool]) -> None:
    found = shares(stats, shown)
    assert tuple(None if share is None else share > 0 for share in (found.volume, found.depth)) == expected


def test_a_share_at_the_limit_is_let_through_and_one_above_is_not() -> None:
    codes = {name: [one.code for one in crowded({BTC: D(name)}, D("0.1"))] for name in ("0.1", "0.1000001")}
    assert codes == {"0.1": [], "0.1000001": ["crowding"]}


def drifted(price: str, volume: str) -> Observation:
    stats = {BTC: replace(BUSY, volume=D(volume))}
    return observe({"USDT": "100000"}, {linear(): quote(price)}, holding(BTC, "3000", "100"), stats=stats)


def planned(price: str, volume: str, limit: str = "0.1") -> Plan:
    return plan_of(drifted(price, volume), {BTC: "3"}, limits=replace(LIMITS, max_volume_share=D(limit)))


def test_a_plan_that_would_be_too_much_of_the_day_is_refused_with_both_figures() -> None:
    plan = planned("105", "1000")
    assert (plan.legs, [refusal.code for refusal in plan.refusals]) == ((), ["crowding"])
    assert "28.57 % of what traded there in 24 h; limits.max_volume_share = 0.1 allows 10 %" in plan.refusals[0].message
    assert planned("105", "10000").refusals == ()
    assert planned("105", "1000", limit="0.3").refusals == ()


def test_what_reduces_is_never_too_much_of_the_day() -> None:
    plan = planned("95", "1000")
    assert plan.refusals == ()
    assert [leg.reduce_only for leg in plan.legs] == [True]
    assert plan.legs[0].crowding.volume is not None
    assert plan.legs[0].crowding.volume > D("0.1")


def test_a_market_that_is_too_small_leaves_what_reduces_in_another() -> None:
    positions = {**holding(BTC, "30", "100"), **holding(ETH, "100", "10")}
    stats = {ETH: replace(BUSY, volume=D(50)), BTC: BUSY}
    observation = observe({"USDT": "1000"}, {linear(ETH): quote("10"), linear(): quote("100")}, positions, stats=stats)
    plan = plan_of(observation, {ETH: "2", BTC: "1"})
    assert [leg.symbol for leg in plan.legs] == [BTC]
    assert "limits.max_volume_share" in plan.reason


def test_the_document_of_a_leg_has_both_shares() -> None:
    legs = planned("105", "10000").document()["legs"]
    assert isinstance(legs, list)
    assert legs[0]["volume_share"] == "0.02857143"
    assert D(legs[0]["depth_share"]) > 0
