"""A written plan is carried out as it was looked at, or not at all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.market import Market, Side
from keeper.domain.numbers import rounded, sign
from keeper.domain.observation import Observation
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.limits import Limits
from keeper.planning.plan import TIME_TO_LIVE, Plan, digest
from keeper.planning.written import Unusable, Who, WrittenPlan, from_document, read, written
from keeper.policy.mandate import Band, BandGoal, Mandate
from tests.fakes.markets import BTC, ETH, NOON, holding, inverse, linear, observe, quote

D = Decimal
LIMITS = Limits(max_order_notional=D(10**6), max_turnover_per_day=D(9), max_slippage_bps=D(30), max_leverage=D(9))
WHO = Who(fund="btc3l", account="a", rules="r")
BPS = D(30)
Edit = Callable[[dict[str, Any]], object]


def brief(targets: Mapping[str, str], **changes: object) -> Brief:
    made = Brief(
        fund=WHO.fund,
        venue="sim",
        environment="paper",
        mandate=Mandate(targets={symbol: D(target) for symbol, target in targets.items()}),
        limits=LIMITS,
        slicer=lambda _contracts, _smallest: 10,
        horizon=timedelta(minutes=30),
        account=WHO.account,
        rules=WHO.rules,
    )
    return replace(made, **changes)  # type: ignore[arg-type] # fields by name


def drifted(price: str = "105", held: str = "3000", cash: str = "100000") -> Observation:
    return observe({"USDT": cash}, {linear(): quote(price)}, holding(BTC, held, "100"))


def document_of(observation: Observation, made: Brief) -> dict[str, Any]:
    return written(build(made, observation), made.who, observation, BPS)


def carried_out(document: Mapping[str, object], observation: Observation, made: Brief) -> Plan:
    return build(replace(made, written=read(json.dumps(document))), observation)


def altered(document: Mapping[str, Any], edit: Edit) -> dict[str, Any]:
    """A document that somebody changed and sealed anew."""
    changed = json.loads(json.dumps(document))
    edit(changed)
    del changed["digest"]
    return {**changed, "digest": digest(changed)}


def test_what_was_written_is_planned_again_as_it_was() -> None:
    made, seen = brief({BTC: "3"}), drifted()
    document = document_of(seen, made)
    plan = carried_out(document, replace(seen, at=NOON + timedelta(minutes=4)), made)
    assert plan.refusals == ()
    assert plan.legs == build(made, seen).legs
    assert plan.document()["written"] == document["digest"]
    assert build(made, seen).document()["written"] is None
    assert document["digest"][:12] in plan.reason
    assert document["plan"] == build(made, seen).document()


def test_a_written_plan_that_trades_nothing_trades_nothing() -> None:
    made, seen = brief({BTC: "3"}), drifted("100")
    document = document_of(seen, made)
    plan = carried_out(document, drifted("100.2"), made)
    assert (plan.legs, plan.refusals, plan.due) == ((), (), False)
    assert "trades nothing" in plan.reason
    assert build(made, drifted("100.2")).due


def test_the_goal_of_a_step_is_the_one_that_was_written() -> None:
    mandate = Mandate(targets={BTC: D(3)}, bands={BTC: Band(D("2.5"), D("3.5"))}, goal=BandGoal.RECENTER, speed=D(1) / D(3))
    made, seen = brief({}, mandate=mandate), drifted()
    document = document_of(seen, made)
    (then,), (now,) = build(made, seen).legs, carried_out(document, drifted("105.2"), made).legs
    assert now.goal == rounded(then.goal, 24)
    (anew,) = build(made, drifted("105.2")).legs
    assert anew.goal != now.goal


def test_prices_may_move_as_far_as_the_tolerance_and_the_cap_holds() -> None:
    made, seen = brief({BTC: "3"}), drifted()
    document = document_of(seen, made)
    cap = D(document["legs"][BTC]["cap"])
    (leg,) = carried_out(document, drifted("105.315"), made).legs
    assert leg.amount > build(made, seen).legs[0].amount
    assert leg.cap == cap < build(made, drifted("105.315")).legs[0].cap
    (less,) = carried_out(document, drifted("104.7"), made).legs
    assert less.cap == build(made, drifted("104.7")).legs[0].cap < cap


BASKET = observe(
    {"USDT": "1000"},
    {linear(): quote("100"), linear(ETH): quote("10")},
    {**holding(BTC, "30", "100"), **holding(ETH, "100", "10")},
)
OBJECTIONS = [
    pytest.param(replace(drifted(), at=NOON + TIME_TO_LIVE), {}, "plan_expired", "12:05:00", id="too late"),
    pytest.param(replace(drifted(), at=NOON - timedelta(seconds=1)), {}, "plan_expired", "11:59:59", id="before it was written"),
    pytest.param(drifted("105.316"), {}, "plan_price", "from 105 to 105.316", id="the price rose too far"),
    pytest.param(drifted("104.684"), {}, "plan_price", "from 105 to 104.684", id="or fell"),
    pytest.param(drifted(held="3001"), {}, "plan_position", "3001 of BTC/USDT:USDT are held", id="somebody traded"),
    pytest.param(drifted(cash="100346"), {}, "plan_account", "115346.00 USDT at the prices", id="money came in"),
    pytest.param(drifted(cash="99654"), {}, "plan_account", "not 115000.00", id="or went out"),
    pytest.param(drifted(), {"fund": "eth"}, "plan_fund", "(btc3l, here it is eth)", id="another fund"),
    pytest.param(drifted(), {"account": "b"}, "plan_account", "another account", id="another account"),
    pytest.param(drifted(), {"rules": "s"}, "plan_mandate", "another configuration", id="another mandate"),
    pytest.param(BASKET, {}, "plan_account", "of other markets", id="another market"),
]


@pytest.mark.parametrize(("now", "changes", "code", "words"), OBJECTIONS)
def test_what_is_not_as_it_was_is_refused(now: Observation, changes: dict[str, str], code: str, words: str) -> None:
    made = brief({BTC: "3"})
    plan = carried_out(document_of(drifted(), made), now, replace(made, **changes))  # type: ignore[arg-type] # by name
    assert code in [refusal.code for refusal in plan.refusals]
    assert any(words in refusal.message and "keeper plan --out" in refusal.message for refusal in plan.refusals)
    assert plan.due


def test_a_market_that_the_fund_lost_is_an_objection() -> None:
    made = brief({BTC: "2", ETH: "0.5"})
    document = document_of(BASKET, made)
    assert set(document["legs"]) == {BTC, ETH}
    plan = carried_out(document, drifted(), brief({BTC: "3"}))
    assert {refusal.code for refusal in plan.refusals} == {"plan_account"}


def test_legs_that_turned_round_or_grew_past_their_cap_are_objected_to() -> None:
    made, seen = brief({BTC: "3"}), drifted("100.01")
    document = document_of(seen, made)
    assert document["legs"][BTC]["side"] == "buy"
    turned = carried_out(document, drifted("99.9"), made)
    assert [refusal.code for refusal in turned.refusals] == ["plan_legs"]
    assert f"sell {BTC} to do, in the written plan there was buy {BTC}" in turned.refusals[0].message
    grown = carried_out(document, drifted("100.1"), made)
    assert [refusal.code for refusal in grown.refusals] == ["plan_legs"]
    assert "the written plan allows" in grown.refusals[0].message
    gone = carried_out(document, drifted("100"), made)
    assert "now nothing to do" in gone.refusals[0].message


def test_what_forbids_any_plan_forbids_a_written_one() -> None:
    made, seen = brief({BTC: "3"}), drifted()
    tight = replace(made, limits=replace(LIMITS, max_turnover_per_day=D("0.1")))
    plan = carried_out(document_of(seen, made), seen, tight)
    assert {refusal.code for refusal in plan.refusals} == {"plan_legs", "turnover"}


EDITS: list[Edit] = [
    lambda d: d.update(tolerance_bps="3000"),
    lambda d: d.update(expires_at="2027-01-01T00:00:00+00:00"),
    lambda d: d["legs"][BTC].update(goal="4"),
    lambda d: d["legs"][BTC].update(cap="100000"),
    lambda d: d["plan"].update(reason="because"),
    lambda d: d.pop("plan"),
    lambda d: d.update(more="1"),
    lambda d: d.pop("digest"),
]


@pytest.mark.parametrize("edit", EDITS)
def test_a_plan_that_was_altered_is_noticed(edit: Edit) -> None:
    document = json.loads(json.dumps(document_of(drifted(), brief({BTC: "3"}))))
    edit(document)
    with pytest.raises(Unusable, match="its digest does not fit"):
        from_document(document)


BROKEN: list[Edit] = [
    lambda d: d.pop("fund"),
    lambda d: d.update(fund=3),
    lambda d: d.update(prices=[]),
    lambda d: d["prices"].update({BTC: "0"}),
    lambda d: d["prices"].update({BTC: "nan"}),
    lambda d: d["prices"].update({BTC: 105}),
    lambda d: d.update(tolerance_bps="-1"),
    lambda d: d.update(at="noon"),
    lambda d: d.update(at="2026-03-01T12:00:00"),
    lambda d: d["legs"][BTC].update(side="hold"),
    lambda d: d["legs"][BTC].update(cap="-5"),
    lambda d: d["legs"].update({BTC: "buy"}),
]


@pytest.mark.parametrize("edit", BROKEN)
def test_a_plan_that_was_sealed_anew_still_has_to_be_one(edit: Edit) -> None:
    document = altered(document_of(drifted(), brief({BTC: "3"})), edit)
    with pytest.raises(Unusable, match="it is no plan that Keeper wrote"):
        from_document(document)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "[" * 100_000, '{"format": "keeper plan 2"}', "{}", "NaN"])
def test_what_is_no_plan_is_called_so(text: str) -> None:
    with pytest.raises(Unusable, match="write"):
        read(text)


@given(text=st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_no_text_is_a_plan_or_anything_but_unusable(text: str) -> None:
    with pytest.raises(Unusable):
        read(text)


@given(
    market=st.sampled_from([linear(taker="0.0005"), inverse(taker="0.0005")]),
    target=st.decimals(min_value=-5, max_value=5, places=2),
    leverage=st.decimals(min_value="-4.5", max_value="4.5", places=2),
    move=st.decimals(min_value="-0.003", max_value="0.003", places=6),
)
def test_a_written_plan_is_never_carried_out_past_its_goal_or_its_cap(
    market: Market, target: Decimal, leverage: Decimal, move: Decimal
) -> None:
    asset, unit = ("USDT", D(100)) if market.settle == "USDT" else ("BTC", D(1))
    contracts = leverage * 100 / unit if asset == "USDT" else (leverage - 1) * 10_000

    def seen(price: Decimal) -> Observation:
        positions = holding(market.symbol, str(contracts), "100") if contracts else {}
        return observe({asset: "10000" if asset == "USDT" else "100"}, {market: quote(str(price))}, positions)

    made = brief({market.symbol: str(target)})
    document = document_of(seen(D(100)), made)
    now = seen(100 * (1 + move))
    plan = carried_out(document, now, made)
    if plan.refusals:
        assert {refusal.code for refusal in plan.refusals} <= {"plan_legs", "plan_account"}
        return
    for leg in plan.legs:
        wrote = document["legs"][market.symbol]
        assert leg.side is Side(wrote["side"])
        assert leg.amount <= leg.cap <= D(wrote["cap"])
        before = now.valuation().leverage(market.symbol)
        assert min(before, target) <= rounded(leg.leverage_after, 9) <= max(before, target)
        assert sign(target - before) == leg.side.sign


def test_a_plan_reads_back_as_it_was_written() -> None:
    made = brief({BTC: "2", ETH: "0.5"})
    plan = read(json.dumps(document_of(BASKET, made), indent=2))
    assert isinstance(plan, WrittenPlan)
    assert (plan.who, plan.at, plan.expires_at, plan.tolerance) == (WHO, NOON, NOON + TIME_TO_LIVE, D("0.003"))
    assert plan.prices == {BTC: D(100), ETH: D(10)}
    assert plan.positions == {BTC: D(30), ETH: D(100)}
    assert {symbol: leg.side for symbol, leg in plan.legs.items()} == {BTC: Side.SELL, ETH: Side.SELL}
