from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.fund import FundState, Standing, Usage
from keeper.domain.market import Side
from keeper.domain.observation import Observation, Quote
from keeper.domain.order import OrderRequest
from keeper.planning.gate import Approved, Limits, Refused, Situation, check, intended
from keeper.policy.breakers import Cause
from tests.fakes.markets import BTC, ETH, NOON, book, holding, linear, observe

D = Decimal
MARKET = replace(linear(lot="0.001", tick="0.5"), min_amount=D("0.002"), min_cost=D(100))
LIMITS = Limits(
    max_order_notional=D(50_000),
    max_turnover_per_day=D(3),
    max_turnover_per_hour=D(2),
    max_turnover_per_run=D(1),
    max_orders_per_day=30,
    max_orders_per_hour=20,
    max_orders_per_run=10,
    max_slippage_bps=D(30),
    max_leverage=D(4),
)


def seen(held: str = "3", mark: str = "50000", **shape: Any) -> Observation:
    """100,000 USDT of wallet and ``held`` BTC bought at 50,000."""
    prices = {name: D(shape.pop(name)) for name in ("index", "last") if name in shape}
    shape.setdefault("half_spread", "0.5")
    one = Quote(mark=D(mark), book=book("50000", **shape), **prices)
    return observe({"USDT": "100000"}, {MARKET: one}, holding(BTC, held, "50000"))


def account(**changes: Any) -> Observation:
    """The same with other fields of the account."""
    return replace(seen(), account=replace(seen().account, **changes))


def position(**changes: Any) -> Observation:
    """The same with other fields of the position."""
    held = holding(BTC, "3", "50000")[BTC]
    return account(positions={BTC: replace(held, **changes)})


def standing(state: FundState, reason: str = "too dear", cause: str = "") -> Standing:
    return Standing(fund="btc3l", state=state, reason=reason, cause=cause)


GOOD = OrderRequest(
    client_id="kpr1",
    symbol=BTC,
    side=Side.BUY,
    amount=D("0.5"),
    price=D(50_100),
    reduce_only=False,
    deadline=NOON + timedelta(seconds=5),
)
WORTH = D("25050")
FIVE_DIGITS = replace(seen(), markets={BTC: replace(MARKET, digits=5)})
SELL: dict[str, Any] = {"side": Side.SELL, "price": D(49_900), "reduce_only": True}
BROKE = observe({"USDT": "-1"}, {MARKET: Quote(mark=D(50_000), book=book("50000"))})
CALM = Situation(
    observation=seen(),
    limits=LIMITS,
    usage=Usage(),
    standing=standing(FundState.ACTIVE),
    open_children=(),
    left=D(1),
    now=NOON,
)


def codes(order: dict[str, Any], situation: dict[str, Any]) -> list[str]:
    """What the gate refuses GOOD in CALM for, with these changes; nothing when it passes."""
    request = replace(GOOD, **order)
    verdict = check(request, replace(CALM, **situation))
    if isinstance(verdict, Refused):
        assert verdict.reasons
        assert all(reason.message for reason in verdict.reasons)
        return [reason.code for reason in verdict.reasons]
    assert verdict == Approved(request)
    return []


def test_a_sound_order_passes() -> None:
    assert codes({}, {}) == []
    assert codes(SELL, {}) == []


JUST: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("lot", {"amount": D("0.500")}, {}, {"amount": D("0.5005")}, {}),
    ("tick", {"price": D("50100.5")}, {}, {"price": D("50100.4")}, {}),
    ("tick", {"price": D(50100)}, {"observation": FIVE_DIGITS}, {"price": D("50100.5")}, {"observation": FIVE_DIGITS}),
    ("minimum", {"amount": D("0.002")}, {}, {"amount": D("0.001")}, {}),
    ("minimum", {"amount": D("0.002"), **SELL}, {}, {"amount": D("0.001"), **SELL}, {}),
    ("client_id", {"client_id": "kpr0f"}, {}, {"client_id": "xkpr0f"}, {}),
    ("client_id", {"client_id": "kpr0f"}, {}, {"client_id": "kpr-0f"}, {}),
    ("client_id", {}, {"taken": frozenset({"kpr2"})}, {}, {"taken": frozenset({"kpr1"})}),
    ("deadline", {"deadline": NOON + timedelta(milliseconds=1)}, {}, {"deadline": NOON}, {}),
    ("deadline", {"deadline": NOON + timedelta(minutes=1)}, {}, {"deadline": NOON + timedelta(seconds=61)}, {}),
    ("contract", {}, {"pinned": {BTC: MARKET.identity}}, {}, {"pinned": {BTC: {**MARKET.identity, "contract_size": "10"}}}),
    ("reduce_only", {**SELL}, {"observation": seen(held="0.5")}, {**SELL}, {"observation": seen(held="0.4")}),
    ("reduce_only", {}, {}, {"reduce_only": True}, {}),
    ("not_reduce_only", {**SELL, "reduce_only": False}, {"observation": seen("0.4")}, {**SELL, "reduce_only": False}, {}),
    ("book", {}, {}, {}, {"observation": seen(depth="0")}),
    ("stale", {}, {"now": NOON + timedelta(seconds=4)}, {}, {"now": NOON + timedelta(seconds=11)}),
    ("stale", {}, {"now": NOON - timedelta(seconds=10)}, {}, {"now": NOON - timedelta(seconds=11)}),
    ("stale", {}, {}, {}, {"observation": account(at=NOON - timedelta(seconds=11))}),
    ("spread", {}, {"observation": seen(half_spread="150")}, {}, {"observation": seen(half_spread="150.5")}),
    ("collar", {"price": D(50_150), "amount": D("0.4")}, {}, {"price": D("50150.5"), "amount": D("0.4")}, {}),
    ("collar", {**SELL, "price": D(49_850)}, {}, {**SELL, "price": D("49849.5")}, {}),
    ("mark", {}, {"observation": seen(mark="50150")}, {}, {"observation": seen(mark="50151")}),
    ("mark", {}, {"observation": seen(mark="49851")}, {}, {"observation": seen(mark="49850")}),
    ("index", {}, {"observation": seen(index="50150")}, {}, {"observation": seen(index="50150.5")}),
    ("last", {}, {"observation": seen(last="49850")}, {}, {"observation": seen(last="49849.5")}),
    ("order_notional", {"amount": D(1), "price": D(50_000)}, {}, {"amount": D(1), "price": D("50000.5")}, {}),
    ("order_notional", {"amount": D(4), **SELL, "price": D(50_000)}, {"observation": seen("9"), "left": D(9)},
     {"amount": D("4.1"), **SELL, "price": D(50_000)}, {"observation": seen("9"), "left": D(9)}),
    ("open_child", {}, {}, {}, {"open_children": ("kpr9",)}),
    ("open_child", {}, {}, {**SELL}, {"open_children": ("kpr9",)}),
    ("open_child", {**SELL}, {"open_children": ("kpr9",), "urgent": True}, {}, {"open_children": ("kpr9",), "urgent": True}),
    ("open_child", {}, {}, {}, {"beside": ((BTC, D("0.1")),)}),
    ("leg_cap", {}, {"left": D("0.5")}, {}, {"left": D("0.499")}),
    ("turnover", {}, {"usage": Usage(adding_day=300_000 - WORTH)}, {}, {"usage": Usage(adding_day=300_001 - WORTH)}),
    ("turnover", {}, {"usage": Usage(adding_hour=200_000 - WORTH)}, {}, {"usage": Usage(adding_hour=200_001 - WORTH)}),
    ("turnover", {}, {"usage": Usage(adding_run=100_000 - WORTH)}, {}, {"usage": Usage(adding_run=100_001 - WORTH)}),
    ("orders", {}, {"usage": Usage(orders_day=29)}, {}, {"usage": Usage(orders_day=30)}),
    ("orders", {}, {"usage": Usage(orders_hour=19)}, {}, {"usage": Usage(orders_hour=20)}),
    ("orders", {}, {"usage": Usage(orders_run=9)}, {}, {"usage": Usage(orders_run=10)}),
    ("orders", {**SELL}, {"usage": Usage(orders_run=39)}, {**SELL}, {"usage": Usage(orders_run=40)}),
    ("free_margin", {}, {"observation": account(free_margin=D("0.01"))}, {}, {"observation": account(free_margin=D(0))}),
    ("leverage", {}, {"observation": seen("7.5")}, {}, {"observation": seen("7.501")}),
    ("nav", {}, {}, {}, {"observation": BROKE}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "passing", "fine", "failing", "faulty"), JUST)
def test_each_rule_passes_at_its_limit_and_refuses_just_past_it(
    code: str, passing: dict[str, Any], fine: dict[str, Any], failing: dict[str, Any], faulty: dict[str, Any]
) -> None:
    assert codes(passing, fine) == []
    assert code in codes(failing, faulty)


@pytest.mark.parametrize(
    ("order", "situation", "code"),
    [
        pytest.param({"symbol": ETH}, {}, "market", id="a market of another fund"),
        pytest.param({"amount": D("NaN")}, {}, "not_finite", id="NaN amount"),
        pytest.param({"price": D("Infinity")}, {}, "not_finite", id="infinite price"),
        pytest.param({"amount": D(-1)}, {}, "not_finite", id="negative amount"),
        pytest.param({"amount": D("9e999999")}, {}, "unsound", id="an amount that nothing can be reckoned with"),
        pytest.param({}, {"observation": account(balances={"USDT": D(1), "DOGE": D(5)})}, "unsound", id="a coin without a price"),
    ],
)
def test_what_makes_no_sense_is_refused(order: dict[str, Any], situation: dict[str, Any], code: str) -> None:
    assert codes(order, situation) == [code]


def test_all_broken_rules_are_named() -> None:
    found = codes({"amount": D("3.0005"), "price": D("60000.1")}, {"usage": Usage(orders_day=30), "observation": seen("7")})
    assert set(found) >= {"lot", "tick", "collar", "order_notional", "leg_cap", "turnover", "leverage", "orders"}


@pytest.mark.parametrize(
    ("held", "liquidation", "amount", "expected"),
    [
        pytest.param("3", "45000", "0.5", [], id="a tenth away, six sevenths of it after"),
        pytest.param("3", "47085", "0.5", ["liquidation"], id="at most 0.04997 after"),
        pytest.param("3", "47080", "0.5", [], id="at most 0.05006 after"),
        pytest.param("-7", "52499", "0.5", [], id="a short that shrinks is not asked"),
        pytest.param("-3", "47000", "0.5", [], id="a short past its liquidation may still be bought back"),
        pytest.param("3", "51000", "0.5", ["liquidation"], id="past it already"),
    ],
)
def test_no_position_grows_into_its_liquidation(held: str, liquidation: str, amount: str, expected: list[str]) -> None:
    one = replace(holding(BTC, held, "50000")[BTC], liquidation=D(liquidation))
    observation = replace(seen(), account=replace(seen().account, positions={BTC: one}))
    order = {"amount": D(amount), "reduce_only": D(held) < 0}
    assert codes(order, {"observation": observation}) == expected


def test_an_order_that_turns_a_position_round_is_not_held_against_the_old_sides_liquidation() -> None:
    one = replace(holding(BTC, "-0.1", "50000")[BTC], liquidation=D(50_001))
    observation = replace(seen(), account=replace(seen().account, positions={BTC: one}))
    assert codes({}, {"observation": observation}) == []


def test_another_position_near_its_liquidation_lets_nothing_add_risk() -> None:
    other = replace(holding(ETH, "10", "2500")[ETH], liquidation=D(2400))
    observation = replace(seen(), account=replace(seen().account, positions={**seen().account.positions, ETH: other}))
    assert codes({}, {"observation": observation}) == ["liquidation"]
    assert codes(SELL, {"observation": observation}) == []


@pytest.mark.parametrize(
    ("state", "order", "code", "words"),
    [
        (standing(FundState.HALTED), {}, "halted", "`keeper resume` lets it trade again"),
        (standing(FundState.HALTED), SELL, "halted", "(too dear)"),
        (standing(FundState.HALTED, ""), SELL, "halted", "(no reason given)"),
        (standing(FundState.REDUCE_ONLY), {}, "reduce_only_state", "(too dear): `keeper resume` lets it add risk again"),
        (standing(FundState.REDUCE_ONLY, ""), {}, "reduce_only_state", "(no reason given)"),
        (standing(FundState.REDUCE_ONLY, "x", Cause.LOSS), {}, "reduce_only_state", "(x): `keeper resume`"),
        (standing(FundState.REDUCE_ONLY, "x", Cause.STALE_DATA), {}, "reduce_only_state", "this lifts by itself"),
    ],
)
def test_the_funds_state_binds_with_the_way_out_in_words(state: Standing, order: dict[str, Any], code: str, words: str) -> None:
    verdict = check(replace(GOOD, **order), replace(CALM, standing=state))
    assert isinstance(verdict, Refused)
    [reason] = verdict.reasons
    assert reason.code == code
    assert words in reason.message


def test_what_may_only_reduce_still_reduces() -> None:
    assert codes(SELL, {"standing": standing(FundState.REDUCE_ONLY)}) == []
    assert codes(SELL, {"standing": standing(FundState.REDUCE_ONLY), "urgent": True, "open_children": ("kpr9",)}) == []


def test_where_only_the_day_has_a_cap_only_the_day_binds() -> None:
    plain = replace(LIMITS, max_turnover_per_hour=None, max_turnover_per_run=None)
    used = 300_001 - WORTH
    assert codes({}, {"limits": plain, "usage": Usage(adding_run=used, adding_hour=used)}) == []
    verdict = check(GOOD, replace(CALM, limits=plain, usage=Usage(adding_run=used, adding_hour=used, adding_day=used)))
    assert isinstance(verdict, Refused)
    assert [reason.message for reason in verdict.reasons] == [
        "300001.00 traded in 24 h would pass limits.max_turnover_per_day = 3 times NAV (300000.00)"
    ]


def test_orders_of_one_step_count_toward_the_caps_of_the_next() -> None:
    first = intended(CALM, GOOD)
    assert first.usage == Usage(adding_hour=WORTH, adding_day=WORTH, adding_run=WORTH, orders_hour=1, orders_day=1, orders_run=1)
    again = check(GOOD, first)
    assert isinstance(again, Refused)
    assert [reason.code for reason in again.reasons] == ["client_id"]
    reduction = replace(GOOD, client_id="kpr2", **SELL)
    second = intended(first, reduction)
    assert (second.usage.adding_day, second.usage.reducing_day, second.usage.orders_run) == (WORTH, D(24_950), 2)


anything = st.decimals(allow_nan=True, allow_infinity=True)
nothing = st.sampled_from([D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity")])


@given(anything, anything)
def test_nothing_that_is_not_a_number_within_limits_passes(amount: Decimal, price: Decimal) -> None:
    verdict = check(replace(GOOD, amount=amount, price=price), CALM)
    if isinstance(verdict, Approved):
        assert amount * price <= LIMITS.max_order_notional
        assert price <= 50_150
        assert amount <= 1


def spoiled(place: str, name: str, figure: Decimal) -> Situation:
    """CALM with one figure that is none."""
    observation = seen(index="50000", last="50000")
    quote, spoilt = observation.quotes[BTC], {name: figure}
    if place in ("position", "account", "balance", "quote", "level", "market"):
        match place:
            case "position":
                observation = position(**spoilt)
            case "account":
                observation = account(**spoilt)
            case "balance":
                observation = account(balances={"USDT": D(100_000), name: figure})
            case "quote":
                observation = replace(observation, quotes={BTC: replace(quote, **spoilt)})  # type: ignore[arg-type] # by name
            case "level":
                bids = (replace(quote.book.bids[0], **spoilt),)
                observation = replace(observation, quotes={BTC: replace(quote, book=replace(quote.book, bids=bids))})
            case "market":
                observation = replace(observation, markets={BTC: replace(MARKET, **spoilt)})  # type: ignore[arg-type] # by name
        return replace(CALM, observation=observation)
    changes: dict[str, Any] = {
        "limits": lambda: replace(LIMITS, **spoilt),  # type: ignore[arg-type] # fields by name
        "usage": lambda: replace(Usage(), **spoilt),  # type: ignore[arg-type] # fields by name
        "beside": lambda: ((ETH, figure),),
        "left": lambda: figure,
    }
    return replace(CALM, **{place: changes[place]()})


FIGURES = [
    *(("limits", each.name) for each in fields(Limits) if not each.name.startswith("max_orders")),
    *(("usage", each.name) for each in fields(Usage) if not each.name.startswith("orders")),
    *(("position", name) for name in ("contracts", "entry", "mark", "liquidation")),
    ("account", "free_margin"),
    *(("quote", name) for name in ("mark", "index", "last")),
    *(("market", name) for name in ("contract_size", "tick", "lot", "min_amount", "min_cost")),
    *(("balance", name) for name in ("USDT", "BTC")),
    *(("level", name) for name in ("price", "amount")),
    ("beside", ""),
    ("left", ""),
]


@pytest.mark.parametrize(("place", "name"), FIGURES)
@given(figure=nothing, reducing=st.booleans())
def test_one_figure_that_is_none_refuses_everything(place: str, name: str, figure: Decimal, reducing: bool) -> None:  # noqa: FBT001 # drawn by hypothesis
    request = replace(GOOD, **SELL) if reducing else GOOD
    verdict = check(request, spoiled(place, name, figure))
    assert isinstance(verdict, Refused)
    assert {reason.code for reason in verdict.reasons} <= {"unsound", "book"}


@pytest.mark.parametrize(
    ("place", "name"),
    [("limits", "max_leverage"), ("usage", "adding_day"), ("position", "entry"), ("quote", "mark"), ("market", "lot")],
)
def test_figures_below_zero_are_none_either(place: str, name: str) -> None:
    verdict = check(GOOD, spoiled(place, name, D(-1)))
    assert isinstance(verdict, Refused)
    assert [reason.code for reason in verdict.reasons] == ["unsound"]


def test_a_count_below_zero_is_none() -> None:
    assert codes({}, {"usage": Usage(orders_hour=-1)}) == ["unsound"]
