import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.account import leverage_after_move
from keeper.domain.fund import Usage
from keeper.domain.market import Side
from keeper.domain.numbers import rounded
from keeper.domain.observation import MarketStats, Observation, Quote
from keeper.domain.order import ChildState, VenueOrder
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.gate import Limits, Refusal
from keeper.planning.plan import Plan
from keeper.policy.mandate import Band, BandGoal, Mandate
from tests.fakes.markets import BTC, ETH, NOON, book, holding, inverse, linear, observe, quote, spot

LIMITS = Limits(
    max_order_notional=Decimal(10**6), max_turnover_per_day=Decimal(3), max_slippage_bps=Decimal(30), max_leverage=Decimal(9)
)


def brief(targets: dict[str, str], **changes: object) -> Brief:
    made = Brief(
        fund="btc3l",
        venue="sim",
        environment="paper",
        mandate=Mandate(targets={symbol: Decimal(target) for symbol, target in targets.items()}),
        limits=LIMITS,
        slicer=lambda _contracts, _smallest: 10,
        horizon=timedelta(minutes=30),
    )
    return replace(made, **changes)  # type: ignore[arg-type] # fields by name


def plan_of(observation: Observation, targets: dict[str, str], **changes: object) -> Plan:
    return build(brief(targets, **changes), observation)


def drifted(taker: str = "0") -> Observation:
    return observe({"USDT": "100000"}, {linear(taker=taker): quote("105")}, holding(BTC, "3000", "100"))


def test_the_plan_of_worked_example_1() -> None:
    document = plan_of(drifted(), {BTC: "3"}).document()
    legs = document["legs"]
    assert isinstance(legs, list)
    (leg,) = legs
    assert document["nav"] == "115000"
    assert leg["side"] == "buy"
    assert leg["notional"] == "29999.999925"
    assert leg["leverage_before"] == "2.73913043"
    assert rounded(Decimal(leg["leverage_after"]), 6) == 3


def test_leverage_after_the_plan_is_the_target_once_costs_are_paid() -> None:
    for taker in ("0", "0.0005", "0.01"):
        (leg,) = plan_of(drifted(taker), {BTC: "3"}).legs
        assert rounded(leg.leverage_after, 6) == 3


def test_an_inverse_plan_pays_in_the_coin_that_is_exposure() -> None:
    market = inverse(taker="0.0005")
    observation = observe({"BTC": "1"}, {market: quote("52500")}, holding(market.symbol, "100000", "50000"))
    (leg,) = plan_of(observation, {market.symbol: "3"}).legs
    assert leg.amount == Decimal("14985.014")
    assert rounded(leg.leverage_after, 6) == 3


@pytest.mark.parametrize(
    ("target", "held", "emergency", "deadband", "expected"),
    [
        ("3", "3", "4", "0", {("4", "-0.11111111")}),
        ("-3", "-3", "4", "0", {("-4", "0.06666667")}),
        ("3", "3", "4.125", "0.25", {("4.125", "-0.12"), ("2.25", "0.2"), ("3.75", "-0.09090909")}),
        ("5", "5", "7", "0", {("7", "-0.06666667")}),
        ("3", "3", None, "0", {("4", "-0.11111111")}),
    ],
)
def test_triggers_of_worked_example_5(
    target: str, held: str, emergency: str | None, deadband: str, expected: set[tuple[str, str]]
) -> None:
    mandate = Mandate(
        targets={BTC: Decimal(target)},
        deadband=Decimal(deadband),
        emergency_leverage=Decimal(emergency) if emergency else None,
    )
    observation = observe({"USDT": "100"}, {linear(): quote("100")}, holding(BTC, held, "100"))
    document = plan_of(observation, {BTC: target}, mandate=mandate).document()
    triggers = document["triggers"]
    assert isinstance(triggers, list)
    assert {(one["leverage"], one["move"]) for one in triggers} == expected
    for one in triggers:
        assert rounded(Decimal(one["price"]), 4) == rounded(100 * (1 + Decimal(one["move"])), 4)
        assert rounded(leverage_after_move(Decimal(held), Decimal(one["move"])), 5) == Decimal(one["leverage"])


def test_the_trigger_of_a_basket_reaches_the_gross_level() -> None:
    positions = {**holding(BTC, "2", "100"), **holding(ETH, "-10", "10")}
    observation = observe({"USDT": "100"}, {linear(): quote("100"), linear(ETH): quote("10")}, positions)
    plan = plan_of(
        observation,
        {BTC: "2", ETH: "-1"},
        mandate=Mandate(targets={BTC: Decimal(2), ETH: Decimal(-1)}, emergency_leverage=Decimal(4)),
    )
    for trigger in plan.triggers:
        moved = dict(observation.quotes)
        moved[trigger.symbol] = quote(str(trigger.price))
        assert rounded(replace(observation, quotes=moved).valuation().gross_leverage, 12) == 4
    assert {trigger.symbol for trigger in plan.triggers} == {BTC, ETH}


def test_nothing_is_due_inside_the_band() -> None:
    plan = plan_of(drifted(), {BTC: "3"}, mandate=Mandate(targets={BTC: Decimal(3)}, deadband=Decimal("0.1")))
    assert not plan.due
    assert plan.legs == ()
    assert "band" in plan.reason


def test_outside_the_band_to_its_edge() -> None:
    mandate = Mandate(targets={BTC: Decimal(3)}, deadband=Decimal("0.05"), goal=BandGoal.EDGE)
    (leg,) = plan_of(drifted(), {BTC: "3"}, mandate=mandate).legs
    assert rounded(leg.leverage_after, 6) == Decimal("2.85")


@pytest.mark.parametrize(
    ("price", "before", "after", "side", "trade"),
    [("1100", "1.833333", "1.841667", Side.BUY, "0.009091"), ("900", "2.25", "2.2375", Side.SELL, "0.011111")],
)
def test_recentering_as_in_worked_example_6(price: str, before: str, after: str, side: Side, trade: str) -> None:
    observation = observe({"USD": "-1000", "ETH": "2"}, {spot(lot="0.0000001"): quote(price)})
    mandate = Mandate(
        targets={"ETH/USD": Decimal(2)},
        bands={"ETH/USD": Band(Decimal("1.7"), Decimal("2.3"))},
        goal=BandGoal.RECENTER,
        speed=Decimal("0.05"),
    )
    (leg,) = plan_of(observation, {}, mandate=mandate).legs
    assert leg.side is side
    assert rounded(leg.leverage_before, 6) == Decimal(before)
    assert rounded(leg.leverage_after, 6) == Decimal(after)
    assert rounded(leg.amount, 6) == Decimal(trade)


def test_the_plan_names_where_a_band_of_leverages_ends() -> None:
    mandate = Mandate(targets={BTC: Decimal(3)}, bands={BTC: Band(Decimal("2.25"), Decimal("4.125"))})
    plan = plan_of(observe({"USDT": "100"}, {linear(): quote("100")}, holding(BTC, "3", "100")), {}, mandate=mandate)
    assert not plan.due
    assert {(one.leverage, rounded(one.move, 6)) for one in plan.triggers if one.cause == "band"} == {
        (Decimal("2.25"), Decimal("0.2")),
        (Decimal("4.125"), Decimal("-0.12")),
    }


def test_a_gap_below_the_smallest_order_is_left() -> None:
    market = replace(linear(), min_cost=Decimal(40_000))
    plan = plan_of(observe({"USDT": "100000"}, {market: quote("105")}, holding(BTC, "3000", "100")), {BTC: "3"})
    assert not plan.due
    assert "smallest order" in plan.reason


def test_reductions_come_first_and_say_so() -> None:
    positions = {**holding(BTC, "30", "100"), **holding(ETH, "100", "10")}
    observation = observe({"USDT": "1000"}, {linear(ETH): quote("10"), linear(): quote("100")}, positions)
    legs = plan_of(observation, {ETH: "2", BTC: "1"}).legs
    assert [(leg.symbol, leg.reduce_only) for leg in legs] == [(BTC, True), (ETH, False)]


def with_order(observation: Observation, client_id: str) -> Observation:
    """The same with an order that rests."""
    order = VenueOrder(
        order_id="17",
        client_id=client_id,
        symbol=BTC,
        side=Side.BUY,
        amount=Decimal(1),
        filled=Decimal(0),
        average=None,
        state=ChildState.LIVE,
        forced=False,
        at=NOON,
        changed_at=NOON,
    )
    return replace(observation, account=replace(observation.account, open_orders=(order,)))


@pytest.mark.parametrize(
    ("observation", "code"),
    [
        (with_order(drifted(), "x1"), "foreign_order"),
        (with_order(drifted(), ""), "foreign_order"),
        (with_order(drifted(), "kpr1"), "open_order"),
        (observe({"USDT": "100"}, {linear(): quote("100")}, holding(ETH, "5", "10")), "foreign_position"),
        (replace(drifted(), quotes={BTC: Quote(mark=Decimal(105), book=replace(book("105"), bids=()))}), "book"),
        (observe({"USDT": "1000000"}, {spot("BTC/USDT"): quote("100")}), "turnover"),
    ],
)
def test_what_may_not_be_done_is_refused_with_a_code(observation: Observation, code: str) -> None:
    symbol = next(iter(observation.markets))
    tight = replace(LIMITS, max_turnover_per_day=Decimal("0.9"))
    plan = plan_of(observation, {symbol: "4"}, limits=tight)
    assert code in [refusal.code for refusal in plan.refusals]


def test_refusals_known_beforehand_are_kept() -> None:
    unknown = Refusal("unknown_child", "kpr1")
    assert plan_of(drifted(), {BTC: "3"}, blocked=(unknown,)).refusals == (unknown,)


def test_the_hash_covers_every_figure() -> None:
    one = plan_of(drifted(), {BTC: "3"}).document()
    same = plan_of(drifted(), {BTC: "3"}).document()
    other = plan_of(drifted("0.0005"), {BTC: "3"}).document()
    assert one["hash"] == same["hash"] != other["hash"]
    assert json.loads(json.dumps(one)) == one


def test_the_estimate_adds_up_and_grows_with_the_trade() -> None:
    market = linear(taker="0.0005")
    stats = {BTC: MarketStats(volume=Decimal(1000), volatility=Decimal("0.03"))}
    one = Quote(mark=Decimal(105), book=book("105", half_spread="0.01", depth="50", levels=30))
    observation = observe({"USDT": "100000"}, {market: one}, holding(BTC, "3000", "100"), stats=stats)
    wide = replace(LIMITS, max_volume_share=Decimal(1))
    cost = plan_of(observation, {BTC: "3"}, limits=wide).cost
    assert cost.fee == Decimal("0.0005")
    assert cost.total == cost.fee + cost.spread + cost.impact
    assert rounded(cost.spread, 8) == rounded(Decimal("0.01") / 105, 8)
    assert rounded(cost.band, 8) == rounded(Decimal("0.03") * (Decimal(30) / 1440 / 3).sqrt(), 8)
    smaller = plan_of(
        replace(observation, account=replace(observation.account, balances={"USDT": Decimal(92_000)})),
        {BTC: "3"},
        limits=wide,
    ).cost
    assert 0 < smaller.impact < cost.impact


def test_turnover_stops_what_adds_and_lets_through_what_reduces() -> None:
    positions = {**holding(BTC, "30", "100"), **holding(ETH, "100", "10")}
    observation = observe({"USDT": "1000"}, {linear(ETH): quote("10"), linear(): quote("100")}, positions)
    plan = plan_of(observation, {ETH: "2", BTC: "1"}, usage=Usage(adding_day=Decimal(2500)))
    assert [leg.symbol for leg in plan.legs] == [BTC]
    assert plan.refusals == ()
    assert "max_turnover_per_day" in plan.reason
    adding = plan_of(drifted(), {BTC: "3"}, usage=Usage(adding_day=Decimal(330_000)))
    assert [refusal.code for refusal in adding.refusals] == ["turnover"]
    assert plan_of(drifted(), {BTC: "3"}, usage=Usage(adding_day=Decimal(300_000))).refusals == ()


def test_without_a_band_every_market_is_brought_to_its_target() -> None:
    observation = observe(
        {"USDT": "100000"},
        {linear(taker="0.001"): quote("100"), linear(ETH, taker="0.001"): quote("10")},
        holding(BTC, "3000", "100"),
    )
    plan = plan_of(observation, {BTC: "3", ETH: "1"})
    assert {leg.symbol: leg.side.value for leg in plan.legs} == {BTC: "sell", ETH: "buy"}
    assert all(rounded(leg.leverage_after - leg.goal, 6) == 0 for leg in plan.legs)


@pytest.mark.parametrize(("wrong", "code"), [("mark", "mark"), ("index", "index"), ("last", "last")])
def test_nothing_is_planned_on_prices_that_do_not_agree(wrong: str, code: str) -> None:
    seen = drifted()
    right = seen.quotes[BTC]
    prices = dict.fromkeys(("mark", "index", "last"), right.mark) | {wrong: right.mark * Decimal("0.9")}
    odd = Quote(book=right.book, **prices)
    plan = plan_of(replace(seen, quotes={BTC: odd}), {BTC: "3"})
    assert not plan.legs
    assert code in {refusal.code for refusal in plan.refusals}
