from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.market import Side
from keeper.domain.observation import Observation, Quote
from keeper.domain.order import OrderRequest
from keeper.planning.gate import Approved, Limits, Refused, Situation, check
from tests.fakes.markets import BTC, ETH, NOON, book, holding, linear, observe

MARKET = replace(linear(lot="0.001", tick="0.5"), min_amount=Decimal("0.002"), min_cost=Decimal(100))
LIMITS = Limits(
    max_order_notional=Decimal(50_000), max_turnover_per_day=Decimal(3), max_slippage_bps=Decimal(30), max_leverage=Decimal(4)
)


def seen(held: str = "3", mark: str = "50000", **shape: Any) -> Observation:
    """100,000 USDT of wallet and ``held`` BTC bought at 50,000."""
    one = Quote(mark=Decimal(mark), book=book("50000", half_spread="0.5", **shape))
    return observe({"USDT": "100000"}, {MARKET: one}, holding(BTC, held, "50000"))


GOOD = OrderRequest(
    client_id="kpr1",
    symbol=BTC,
    side=Side.BUY,
    amount=Decimal("0.5"),
    price=Decimal(50_100),
    reduce_only=False,
    deadline=NOON + timedelta(seconds=5),
)
SELL: dict[str, Any] = {"side": Side.SELL, "price": Decimal(49_900), "reduce_only": True}
BROKE = observe({"USDT": "-1"}, {MARKET: Quote(mark=Decimal(50_000), book=book("50000"))})
CALM = Situation(observation=seen(), limits=LIMITS, turnover=Decimal(0), open_children=(), left=Decimal(1), now=NOON)


def test_a_sound_order_passes() -> None:
    assert check(GOOD, CALM) == Approved(GOOD)


@pytest.mark.parametrize(
    ("order", "situation", "code"),
    [
        pytest.param({"symbol": ETH}, {}, "market", id="a market of another fund"),
        pytest.param({"amount": Decimal("NaN")}, {}, "not_finite", id="NaN amount"),
        pytest.param({"price": Decimal("Infinity")}, {}, "not_finite", id="infinite price"),
        pytest.param({"amount": Decimal(-1)}, {}, "not_finite", id="negative amount"),
        pytest.param({"amount": Decimal("0.5005")}, {}, "lot", id="half a lot"),
        pytest.param({"price": Decimal("50099.9")}, {}, "tick", id="between ticks"),
        pytest.param({"amount": Decimal("0.001")}, {}, "minimum", id="below the minimum amount"),
        pytest.param({**SELL, "amount": Decimal("0.001")}, {}, "minimum", id="below it when reducing"),
        pytest.param({"price": Decimal(50_151)}, {}, "collar", id="a buy above the collar"),
        pytest.param({"side": Side.SELL, "price": Decimal(49_849)}, {}, "collar", id="a sell below the collar"),
        pytest.param({}, {"observation": seen(mark="50200")}, "mark", id="mark far from the mid"),
        pytest.param({}, {"now": NOON + timedelta(seconds=11)}, "stale", id="an old book"),
        pytest.param({}, {"now": NOON - timedelta(seconds=11)}, "stale", id="a book from the future"),
        pytest.param({"amount": Decimal(1)}, {}, "order_notional", id="too big"),
        pytest.param({}, {"open_children": ("kpr9",)}, "open_child", id="an outcome is not known"),
        pytest.param({}, {"left": Decimal("0.4")}, "leg_cap", id="past the leg's cap"),
        pytest.param({}, {"turnover": Decimal(290_000)}, "turnover", id="enough traded today"),
        pytest.param({}, {"observation": seen(held="7.6")}, "leverage", id="past the leverage limit"),
        pytest.param({"reduce_only": True}, {}, "reduce_only", id="reduce-only that adds"),
        pytest.param(SELL, {"observation": seen(held="0.4")}, "reduce_only", id="more than there is"),
        pytest.param({}, {"observation": seen(depth="0")}, "book", id="an empty level"),
        pytest.param({}, {"observation": BROKE}, "nav", id="nothing left"),
    ],
)  # fmt: skip
def test_each_rule_refuses_with_its_code(order: dict[str, Any], situation: dict[str, Any], code: str) -> None:
    verdict = check(replace(GOOD, **order), replace(CALM, **situation))
    assert isinstance(verdict, Refused)
    assert code in [reason.code for reason in verdict.reasons]
    assert all(reason.message for reason in verdict.reasons)


REDUCTION = replace(GOOD, **SELL)


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param({"turnover": Decimal(10**9)}, id="turnover used up"),
        pytest.param({"observation": seen(held="40")}, id="leverage far beyond the limit"),
    ],
)
def test_what_binds_risk_lets_reductions_through(situation: dict[str, Any]) -> None:
    assert check(REDUCTION, replace(CALM, **situation)) == Approved(REDUCTION)


def test_all_broken_rules_are_named() -> None:
    verdict = check(replace(GOOD, amount=Decimal("3.0005"), price=Decimal("60000.1")), CALM)
    assert isinstance(verdict, Refused)
    assert {reason.code for reason in verdict.reasons} >= {"lot", "tick", "collar", "order_notional", "leg_cap"}


anything = st.decimals(allow_nan=True, allow_infinity=True)


@given(anything, anything)
def test_nothing_that_is_not_a_number_within_limits_passes(amount: Decimal, price: Decimal) -> None:
    verdict = check(replace(GOOD, amount=amount, price=price), CALM)
    if isinstance(verdict, Approved):
        assert amount * price <= LIMITS.max_order_notional
        assert price <= 50_150
        assert amount <= 1
