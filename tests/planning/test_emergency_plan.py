"""An emergency becomes a plan that only reduces, whatever else binds the fund, and the last lot of it goes, too."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.account import Account, Position
from keeper.domain.fund import FundState, Standing, Usage
from keeper.domain.market import Market
from keeper.domain.numbers import ZERO, sign
from keeper.domain.observation import Observation
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.plan import Plan
from keeper.policy.breakers import Cause
from keeper.policy.emergency import Emergency
from tests.fakes.markets import BTC, ETH, book, holding, linear, observe, quote
from tests.planning.test_plan import LIMITS, brief

D = Decimal
AT_FOUR = Emergency(max_leverage=D(4), to=D(3))


def braking(targets: dict[str, str] | None = None, rule: Emergency = AT_FOUR, **changes: object) -> Brief:
    return brief(targets or {BTC: "3"}, urgent=True, emergency=rule, slicer=lambda _contracts, _smallest: 1, **changes)


def held(contracts: str, *, lot: str = "0.001", taker: str = "0", nav: str = "100") -> Observation:
    return observe({"USDT": nav}, {linear(lot=lot, taker=taker): quote("100")}, holding(BTC, contracts, "100"))


def cut(account: Account, symbol: str, contracts: str) -> Account:
    position = replace(account.positions[symbol], contracts=D(contracts))
    return replace(account, positions={**account.positions, symbol: position})


def amounts(plan: Plan) -> dict[str, Decimal]:
    return {leg.symbol: leg.amount * leg.side.sign for leg in plan.legs}


@pytest.mark.parametrize(
    ("contracts", "lot", "traded"),
    [
        pytest.param("4.5", "0.001", "-1.5", id="a long"),
        pytest.param("-4.5", "0.001", "1.5", id="a short"),
        pytest.param("4.5", "0.4", "-1.6", id="rounded up to the lot"),
        pytest.param("-4.5", "0.4", "1.6", id="a short, rounded up"),
        pytest.param("4", "4", "-4", id="one lot is all there is"),
        pytest.param("4.1", "5", None, id="no lot of it can be traded"),
    ],
)
def test_a_reduction_is_rounded_up_to_the_lot_and_ends_at_the_position(contracts: str, lot: str, traded: str | None) -> None:
    plan = build(braking(), held(contracts, lot=lot))
    assert amounts(plan) == ({} if traded is None else {BTC: D(traded)})
    assert all(leg.reduce_only for leg in plan.legs)
    assert plan.braking
    assert plan.refusals == ()


def test_without_an_emergency_nothing_is_planned_although_the_target_is_missed() -> None:
    plan = build(braking(), held("3.5"))
    assert (plan.legs, plan.due, plan.reason) == ((), False, "gross leverage is 3.500x: there is no emergency")


def test_what_keeps_risk_from_being_added_keeps_nothing_from_being_taken_off() -> None:
    spent = Usage(adding_day=D(10**9), orders_day=10**6, reducing_day=D(10**9))
    bound = Standing(fund="btc3l", state=FundState.REDUCE_ONLY, cause=Cause.FORCED_HEDGE, reason="cut")
    plan = build(braking(usage=spent, standing=bound, last_targets={BTC: D("0.1")}), held("4.5"))
    assert amounts(plan) == {BTC: D("-1.5")}
    assert (plan.refusals, plan.bound) == ((), ())


def test_a_halt_does() -> None:
    plan = build(braking(standing=Standing(fund="btc3l", state=FundState.HALTED)), held("4.5"))
    assert [refusal.code for refusal in plan.refusals] == ["halted"]


def test_a_market_whose_book_can_t_be_trusted_is_left_out_and_the_rest_makes_up_for_it() -> None:
    spoilt = quote("10")
    markets = {linear(): quote("100"), linear(ETH): type(spoilt)(mark=D(10), book=book("10", half_spread="-1"))}
    seen = observe({"USDT": "100"}, markets, {**holding(BTC, "3", "100"), **holding(ETH, "20", "10")})
    plan = build(braking({BTC: "2", ETH: "1"}, mute=frozenset({ETH})), seen)
    assert amounts(plan) == {BTC: D(-2)}
    assert [refusal.code for refusal in plan.bound] == ["book"]


def test_at_first_its_share_is_left_for_it() -> None:
    spoilt = quote("10")
    markets = {linear(): quote("100"), linear(ETH): type(spoilt)(mark=D(10), book=book("10", half_spread="-1"))}
    seen = observe({"USDT": "100"}, markets, {**holding(BTC, "3", "100"), **holding(ETH, "20", "10")})
    plan = build(braking({BTC: "2", ETH: "1"}), seen)
    assert amounts(plan) == {BTC: D("-1.2")}
    assert [refusal.code for refusal in plan.bound] == ["book"]
    going_on = braking({BTC: "2", ETH: "1"}, AT_FOUR.going_on, begun={BTC: D("1.8")})
    done = build(going_on, replace(seen, account=cut(seen.account, BTC, "1.8")))
    assert (done.legs, [refusal.code for refusal in done.refusals]) == ((), ["book"])
    assert "what can be traded now has done its part" in done.reason


def test_what_it_costs_is_paid_for_by_what_is_sold() -> None:
    [leg] = build(braking(), held("4.5", taker="0.001", lot="0.000001")).legs
    assert D("3") >= leg.leverage_after > D("2.99999")


contracts = st.decimals(min_value=D(-60), max_value=D(60), places=3)


@given(
    first=contracts,
    second=contracts,
    lots=st.tuples(st.sampled_from(("0.001", "0.1", "1", "7")), st.sampled_from(("0.001", "0.1", "1", "7"))),
    taker=st.sampled_from(("0", "0.0005")),
    to=st.decimals(min_value=D("0.1"), max_value=D("3.99"), places=2),
)
def test_for_any_fund_a_plan_only_reduces_passes_no_position_and_leaves_less_than_a_lot_too_much(
    first: Decimal, second: Decimal, lots: tuple[str, str], taker: str, to: Decimal
) -> None:
    markets: dict[str, Market] = {BTC: linear(lot=lots[0], taker=taker), ETH: linear(ETH, lot=lots[1], taker=taker)}
    # a venue holds whole lots
    held_of = {symbol: market.whole_lots(size) for (symbol, market), size in zip(markets.items(), (first, second), strict=True)}
    positions: dict[str, Position] = {}
    for symbol, size in held_of.items():
        positions |= holding(symbol, str(size), "100") if size else {}
    seen = observe({"USDT": "1000"}, {market: quote("100") for market in markets.values()}, positions)
    gross = seen.valuation().gross_leverage
    plan = build(braking({BTC: "1", ETH: "-1"}, Emergency(max_leverage=D(4), to=to), limits=LIMITS), seen)
    traded = amounts(plan)
    for symbol, amount in traded.items():
        assert sign(amount) == -sign(held_of[symbol])
        assert abs(amount) <= abs(held_of[symbol])
        assert markets[symbol].whole_lots(amount) == amount
    assert bool(plan.legs) is (gross >= 4)
    assert all(leg.reduce_only for leg in plan.legs)
    if plan.legs:
        left = sum((abs(size + traded.get(symbol, ZERO)) for symbol, size in held_of.items()), ZERO) * 100
        cost = sum(map(abs, traded.values()), ZERO) * 100 * D(taker)
        assert left <= to * (1000 - cost) + D("0.001")
        # no leg gave more than one lot too much
        for symbol, amount in traded.items():
            assert abs(amount) - markets[symbol].lot < abs(held_of[symbol]) * (1 - (to * (1000 - cost)) / (gross * 1000)) + D(
                "0.001"
            )
