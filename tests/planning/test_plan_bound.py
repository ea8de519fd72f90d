"""Plans of a fund that may not do all it wants: its state, its caps, and targets that jump."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import StaleData
from keeper.domain.fund import FundState, Standing, Usage
from keeper.domain.market import Side
from keeper.domain.numbers import rounded
from keeper.domain.observation import Observation
from keeper.domain.run import Run, RunKey, RunStatus
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.gate import Limits
from keeper.planning.limits import Refusal
from keeper.planning.plan import Plan, goals_begun, last_targets
from keeper.policy.mandate import Mandate
from tests.fakes.markets import BTC, ETH, NOON, holding, inverse, linear, observe, quote, spot

D = Decimal
LIMITS = Limits(max_order_notional=D(10**6), max_turnover_per_day=D(9), max_slippage_bps=D(30), max_leverage=D(9))
REDUCING = Standing(fund="btc3l", state=FundState.REDUCE_ONLY, reason="it lost too much", cause="loss")
BASKET = observe(
    {"USDT": "1000"},
    {linear(ETH): quote("10"), linear(): quote("100")},
    {**holding(BTC, "30", "100"), **holding(ETH, "100", "10")},
)


def plan_of(observation: Observation, targets: dict[str, str], **changes: object) -> Plan:
    made = Brief(
        fund="btc3l",
        venue="sim",
        environment="paper",
        mandate=Mandate(targets={symbol: D(target) for symbol, target in targets.items()}),
        limits=LIMITS,
        slicer=lambda _contracts, _smallest: 10,
        horizon=timedelta(minutes=30),
    )
    return build(replace(made, **changes), observation)  # type: ignore[arg-type] # fields by name


def codes(plan: Plan) -> list[str]:
    return [refusal.code for refusal in plan.refusals]


def test_a_fund_that_may_only_reduce_drops_what_adds() -> None:
    plan = plan_of(BASKET, {ETH: "2", BTC: "1"}, standing=REDUCING)
    assert [(leg.symbol, leg.side, leg.reduce_only) for leg in plan.legs] == [(BTC, Side.SELL, True)]
    assert plan.refusals == ()
    assert "only what reduces is traded: the fund may only reduce (it lost too much)" in plan.reason


def test_what_is_known_to_bind_risk_drops_what_adds_and_refuses_where_nothing_else_is_left() -> None:
    margin = Refusal("margin", "the target binds 150 % of NAV")
    mixed = plan_of(BASKET, {ETH: "2", BTC: "1"}, binding=(margin,))
    assert ([leg.symbol for leg in mixed.legs], mixed.refusals, mixed.bound) == ([BTC], (), (margin,))
    assert "only what reduces is traded: the target binds 150 % of NAV" in mixed.reason
    reducing = plan_of(BASKET, {ETH: "1", BTC: "1"}, binding=(margin,))
    assert ([leg.symbol for leg in reducing.legs], reducing.refusals, reducing.bound) == ([BTC], (), ())
    adding = plan_of(BASKET, {ETH: "2", BTC: "3"}, binding=(margin,))
    assert (adding.legs, adding.refusals) == ((), (margin,))
    assert plan_of(BASKET, {ETH: "1", BTC: "3"}, binding=(margin,)).refusals == ()  # nothing is due


def test_a_leg_that_would_cross_zero_ends_there() -> None:
    plan = plan_of(BASKET, {ETH: "1", BTC: "-2"}, standing=REDUCING)
    [leg] = plan.legs
    assert (leg.symbol, leg.amount, leg.goal, leg.reduce_only) == (BTC, D(30), D(0), True)
    assert leg.leverage_after == 0


def test_an_inverse_short_is_bought_back_to_its_coins_and_no_further() -> None:
    market = inverse(taker="0.0005")
    observation = observe({"BTC": "1"}, {market: quote("100")}, holding(market.symbol, "-300", "100"))
    [leg] = plan_of(observation, {market.symbol: "3"}, standing=REDUCING).legs
    assert (leg.side, leg.amount, leg.goal, leg.reduce_only) == (Side.BUY, D(300), D(1), True)


def test_a_hedge_of_coins_is_not_taken_off_where_that_adds_exposure() -> None:
    market = inverse()
    observation = observe({"BTC": "1"}, {market: quote("100")}, holding(market.symbol, "-80", "100"))
    assert plan_of(observation, {market.symbol: "0.9"}).legs
    plan = plan_of(observation, {market.symbol: "0.9"}, standing=REDUCING)
    assert (plan.legs, codes(plan)) == ((), ["reduce_only_state"])


def test_with_nothing_left_the_plan_is_refused_in_the_states_words() -> None:
    plan = plan_of(BASKET, {ETH: "2", BTC: "3"}, standing=REDUCING)
    assert plan.due
    assert plan.legs == ()
    assert codes(plan) == ["reduce_only_state"]
    assert "`keeper resume` lets it add risk again" in plan.refusals[0].message


def test_with_nothing_to_do_nothing_is_refused() -> None:
    plan = plan_of(BASKET, {ETH: "1", BTC: "3"}, standing=REDUCING)
    assert (plan.due, plan.legs, plan.refusals) == (False, (), ())


def test_a_halted_fund_plans_and_is_refused() -> None:
    plan = plan_of(BASKET, {ETH: "2", BTC: "1"}, standing=replace(REDUCING, state=FundState.HALTED))
    assert len(plan.legs) == 2
    assert codes(plan) == ["halted"]


@given(st.lists(st.integers(-400, 400), min_size=4, max_size=4), st.integers(-100, 500).map(lambda cash: str(cash * 10)))
def test_no_plan_of_a_fund_that_may_only_reduce_lets_gross_exposure_grow(figures: list[int], cash: str) -> None:
    btc, eth, *targets = figures
    positions = {
        symbol: held for symbol, size in ((BTC, btc), (ETH, eth)) if size for held in holding(symbol, str(size), "10").values()
    }
    markets = {linear(taker="0.001"): quote("10"), linear(ETH): quote("10")}
    observation = observe({"USDT": cash}, markets, positions)
    if observation.valuation().nav <= 0:
        return
    plan = plan_of(observation, {BTC: str(D(targets[0]) / 100), ETH: str(D(targets[1]) / 100)}, standing=REDUCING)
    for leg in plan.legs:
        held = observation.account.held(observation.markets[leg.symbol])
        assert leg.reduce_only
        assert leg.amount <= abs(held)
        assert (leg.side is Side.SELL) == (held > 0)


LOST_A_LEG = replace(REDUCING, reason="the venue deleveraged BTC/USDT:USDT", cause="forced_hedge")


def test_once_the_venue_cut_one_leg_of_a_hedge_the_others_are_cut_in_proportion() -> None:
    markets = {linear(): quote("100"), linear(ETH): quote("10")}
    hedge = observe({"USDT": "10000"}, markets, {**holding(BTC, "40", "100"), **holding(ETH, "-1000", "10")})
    plan = plan_of(hedge, {BTC: "1", ETH: "-1"}, standing=LOST_A_LEG)
    [leg] = plan.legs
    assert (leg.symbol, leg.side, leg.amount, leg.goal, leg.reduce_only) == (ETH, Side.BUY, D(600), D("-0.4"), True)
    assert "0.4000 of each target is wanted" in plan.reason
    assert (plan.targets[ETH], plan.refusals, plan.bound) == (D(-1), (), ())


@pytest.mark.parametrize(("emptied", "amount"), [(frozenset[str](), "100"), (frozenset({"SOL/USDT:USDT"}), "1000")])
def test_a_market_without_a_position_is_a_leg_of_the_hedge_where_the_venue_emptied_it(
    emptied: frozenset[str], amount: str
) -> None:
    markets = {linear(): quote("100"), linear(ETH): quote("10"), linear("SOL/USDT:USDT"): quote("5")}
    hedge = observe({"USDT": "10000"}, markets, {**holding(BTC, "90", "100"), **holding(ETH, "-1000", "10")})
    targets = {BTC: "1", ETH: "-1", "SOL/USDT:USDT": "0.1"}
    plan = plan_of(hedge, targets, standing=LOST_A_LEG, emptied=emptied)
    assert {leg.symbol: leg.amount for leg in plan.legs}[ETH] == D(amount)
    assert {leg.reduce_only for leg in plan.legs} == {True}


def test_a_hedge_that_was_cut_and_is_whole_again_is_left_alone() -> None:
    markets = {linear(): quote("100"), linear(ETH): quote("10")}
    hedge = observe({"USDT": "10000"}, markets, {**holding(BTC, "40", "100"), **holding(ETH, "-400", "10")})
    assert plan_of(hedge, {BTC: "1", ETH: "-1"}, standing=LOST_A_LEG).legs == ()
    grown = observe({"USDT": "10000"}, markets, {**holding(BTC, "110", "100"), **holding(ETH, "-1000", "10")})
    plan = plan_of(grown, {BTC: "1", ETH: "-1"}, standing=LOST_A_LEG)
    assert ([leg.symbol for leg in plan.legs], "of each target" in plan.reason) == ([BTC], False)


def test_spot_buys_are_dropped_and_sales_go_on() -> None:
    markets = {spot("BTC/USDT"): quote("100"), spot("ETH/USDT"): quote("10")}
    coins = observe({"USDT": "0", "BTC": "8", "ETH": "20"}, markets)
    plan = plan_of(coins, {"BTC/USDT": "0.5", "ETH/USDT": "0.5"}, standing=REDUCING)
    assert [(leg.symbol, leg.side) for leg in plan.legs] == [("BTC/USDT", Side.SELL)]


@pytest.mark.parametrize(
    ("limits", "usage", "minutes", "expected"),
    [
        pytest.param({"max_turnover_per_run": "1.01"}, {}, 30, [], id="all of NAV at the worst price"),
        pytest.param({"max_turnover_per_run": "1.002"}, {}, 30, ["turnover"], id="a little less in a run"),
        pytest.param({"max_turnover_per_hour": "1.002"}, {}, 60, ["turnover"], id="a little less in an hour"),
        pytest.param({"max_turnover_per_hour": "1.002"}, {}, 61, [], id="spread over more than an hour"),
        pytest.param({"max_turnover_per_day": "1.002"}, {}, 61, ["turnover"], id="a little less in a day"),
        pytest.param({}, {"orders_run": 490}, 30, [], id="ten orders are left in the run"),
        pytest.param({}, {"orders_run": 491}, 30, ["orders"], id="nine are left in the run"),
        pytest.param({}, {"orders_hour": 991}, 30, ["orders"], id="nine are left in the hour"),
        pytest.param({}, {"orders_hour": 991}, 61, [], id="over more than an hour"),
        pytest.param({}, {"orders_day": 4991}, 61, ["orders"], id="nine are left in the day"),
    ],
)
def test_a_plan_that_its_caps_would_cut_short_is_refused(
    limits: dict[str, str], usage: dict[str, int], minutes: int, expected: list[str]
) -> None:
    calm = observe({"USDT": "1000"}, {linear(): quote("100")})
    tight = replace(LIMITS, **{name: D(figure) for name, figure in limits.items()})  # type: ignore[arg-type] # by name
    used = replace(Usage(), **usage)  # type: ignore[arg-type] # fields by name
    plan = plan_of(calm, {BTC: "1"}, limits=tight, usage=used, horizon=timedelta(minutes=minutes))
    assert codes(plan) == expected


def test_caps_never_stop_a_plan_that_only_reduces() -> None:
    used = Usage(adding_day=D(10**9), adding_hour=D(10**9), adding_run=D(10**9), orders_run=10**6)
    plan = plan_of(BASKET, {ETH: "0", BTC: "0"}, usage=used)
    assert [leg.reduce_only for leg in plan.legs] == [True, True]
    assert plan.refusals == ()


def test_a_plan_that_turns_round_is_cut_down_to_what_reduces_by_a_cap() -> None:
    plan = plan_of(BASKET, {ETH: "1", BTC: "-2"}, usage=Usage(adding_day=D(8000)))
    assert [(leg.symbol, leg.amount) for leg in plan.legs] == [(BTC, D(30))]
    # only the part that adds counts: 2,000 of 5,000
    assert [leg.amount for leg in plan_of(BASKET, {ETH: "1", BTC: "-2"}, usage=Usage(adding_day=D(6900))).legs] == [D(50)]


def test_a_foreign_order_lets_only_reductions_through() -> None:
    foreign = replace(
        BASKET, account=replace(BASKET.account, positions={**BASKET.account.positions, **holding("X/USDT:USDT", "1", "5")})
    )
    assert codes(plan_of(foreign, {ETH: "2", BTC: "3"})) == ["foreign_position"]
    plan = plan_of(foreign, {ETH: "2", BTC: "1"})
    assert ([leg.symbol for leg in plan.legs], codes(plan)) == ([BTC], [])
    assert "X/USDT:USDT" in plan.reason


def test_an_account_whose_figures_are_none_is_not_planned_on() -> None:
    broken = replace(BASKET, account=replace(BASKET.account, balances={"USDT": D("NaN")}))
    with pytest.raises(StaleData, match="the balance of USDT is NaN"):
        plan_of(broken, {ETH: "2", BTC: "1"})


@pytest.mark.parametrize(
    ("last", "target", "refused"),
    [
        pytest.param(None, {BTC: "30"}, False, id="the first run"),
        pytest.param({BTC: "3"}, {BTC: "30"}, True, id="a slip of the keyboard"),
        pytest.param({BTC: "3"}, {BTC: "5"}, False, id="two more is allowed"),
        pytest.param({BTC: "3"}, {BTC: "5.01"}, True, id="a little more is not"),
        pytest.param({BTC: "3"}, {BTC: "0.3"}, False, id="nearer to zero is no jump"),
        pytest.param({BTC: "3"}, {BTC: "-2"}, False, id="two on the other side"),
        pytest.param({BTC: "3"}, {BTC: "-3"}, True, id="the other side counts whole"),
        pytest.param({BTC: "-3"}, {BTC: "-5.5"}, True, id="a short that grows"),
        pytest.param({BTC: "3", ETH: "1"}, {BTC: "0", ETH: "4"}, True, id="from one market to the other"),
        pytest.param({BTC: "1"}, {BTC: "2", ETH: "-1.1"}, True, id="together"),
        pytest.param({BTC: "3", ETH: "1"}, {BTC: "3"}, False, id="a market that is dropped"),
    ],
)
def test_a_target_that_jumps_needs_an_operators_word(last: dict[str, str] | None, target: dict[str, str], refused: bool) -> None:  # noqa: FBT001 # a table's column
    known = None if last is None else {symbol: D(multiple) for symbol, multiple in last.items()}
    plan = plan_of(BASKET, target, last_targets=known)
    assert ("target_jump" in codes(plan)) == refused
    assert "target_jump" not in codes(plan_of(BASKET, target, last_targets=known, approved_jump=True))
    for refusal in plan.refusals:
        if refusal.code == "target_jump":
            assert "keeper rebalance --approve-jump" in refusal.message
            assert str(D(target[BTC])) in refusal.message or ETH in refusal.message


def run(status: RunStatus, plan: dict[str, object], trigger: str = "slot:2026-03-01T00:15[UTC]", at: datetime = NOON) -> Run:
    return Run(
        id="btc3l-1",
        key=RunKey("btc3l", trigger),
        venue="sim",
        environment="paper",
        account="a",
        currency="USDT",
        status=status,
        reason="",
        plan=plan,
        result=None,
        started_at=at,
        deadline=at,
    )


def test_the_last_targets_are_those_of_the_run_that_went_to_them() -> None:
    document = plan_of(BASKET, {ETH: "-0.5", BTC: "3"}).document()
    assert last_targets(run(RunStatus.COMPLETED, document)) == {ETH: D("-0.5"), BTC: D(3)}


@pytest.mark.parametrize("targets", [None, {}, [], {BTC: "3_0"}, {BTC: "nan"}])
def test_targets_that_nobody_wrote_or_can_read_are_not_known(targets: object) -> None:
    document = {"targets": targets} if targets is not None else {}
    assert last_targets(run(RunStatus.COMPLETED, document)) is None
    assert last_targets(None) is None


def test_the_goals_that_were_begun_are_those_that_a_market_was_planned_with_first() -> None:
    document = plan_of(BASKET, {ETH: "-0.5", BTC: "2"}).document()
    legs = document["legs"]
    assert isinstance(legs, list)
    later = {**document, "legs": [*legs, {**legs[0], "side": "buy", "goal": "7"}]}
    assert goals_begun(run(RunStatus.INCOMPLETE, later)) == {leg["market"]: D(leg["goal"]) for leg in legs}
    assert len(legs) > 1
    assert goals_begun(run(RunStatus.MISSED, {})) == goals_begun(None) == {}


def test_the_goal_of_what_was_cut_down_is_what_its_account_comes_to() -> None:
    wallet = observe({"USDT": "1000", "BTC": "2"}, {linear(): quote("100")}, holding(BTC, "30", "100"))
    [leg] = plan_of(wallet, {BTC: "-3"}, standing=REDUCING).legs
    assert leg.amount == 30
    assert rounded(leg.goal, 8) == rounded(D(200) / 1200, 8)
