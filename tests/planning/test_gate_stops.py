"""What the gate asks of a stop: that it waits, that it only reduces, and nothing that is about a price it may find much later."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.fund import FundState, Standing, Usage
from keeper.domain.market import Side
from keeper.domain.order import OrderRequest
from keeper.planning.gate import EMERGENCY_SLACK, Approved, Limits, Refused, Situation, check
from tests.fakes.markets import BTC, NOON, holding, linear, observe, quote

D = Decimal
LIMITS = Limits(
    max_order_notional=D(10_000), max_turnover_per_day=D(1), max_slippage_bps=D(30), max_leverage=D(4), max_orders_per_run=1
)
STOP = OrderRequest(
    client_id="kprs1",
    symbol=BTC,
    side=Side.SELL,
    amount=D(100),
    price=D(89),
    reduce_only=True,
    deadline=NOON + timedelta(seconds=5),
    trigger=D(89),
)


def situation(**changes: Any) -> Situation:
    """A fund of 10,000 at 3x whose caps are used up."""
    used = D(10**9)
    usage = Usage(reducing_run=used, reducing_hour=used, reducing_day=used, orders_run=99, orders_hour=99, orders_day=9999)
    calm = Situation(
        observation=observe({"USDT": "10000"}, {linear(lot="1"): quote("100")}, holding(BTC, "300", "100")),
        limits=LIMITS,
        usage=usage,
        standing=Standing(fund="btc3l"),
        open_children=(),
        left=D(10**9),
        now=NOON,
        urgent=True,
    )
    return replace(calm, **changes)


def codes(request: OrderRequest, given: Situation) -> set[str]:
    verdict = check(request, given)
    return {reason.code for reason in verdict.reasons} if isinstance(verdict, Refused) else set()


def test_a_stop_passes_whatever_was_traded_before_and_however_far_its_trigger_is() -> None:
    assert check(STOP, situation()) == Approved(STOP)
    bound = Standing(fund="btc3l", state=FundState.REDUCE_ONLY, reason="slipped")
    assert check(STOP, situation(standing=bound)) == Approved(STOP)
    wide = observe({"USDT": "10000"}, {linear(lot="1"): quote("100", half_spread="20")}, holding(BTC, "300", "100"))
    assert check(STOP, situation(observation=wide)) == Approved(STOP)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"reduce_only": False}, "reduce_only", id="it may add"),
        pytest.param({"side": Side.BUY, "price": D(111), "trigger": D(111)}, "reduce_only", id="it adds"),
        pytest.param({"amount": D(301)}, "reduce_only", id="more than is held"),
        pytest.param({"price": D(101), "trigger": D(101)}, "trigger", id="it would go off at once"),
        pytest.param({"price": D(100), "trigger": D(100)}, "trigger", id="it goes off now"),
        pytest.param({"trigger": D(88)}, "trigger", id="two triggers"),
        pytest.param({"amount": D("0.5")}, "lot", id="half a lot"),
        pytest.param({"price": D("89.001"), "trigger": D("89.001")}, "tick", id="off the tick"),
        pytest.param({"client_id": "web"}, "client_id", id="not ours"),
        pytest.param({"deadline": NOON}, "deadline", id="too late"),
    ],
)
def test_a_stop_that_is_none_is_refused(changes: dict[str, Any], code: str) -> None:
    assert code in codes(replace(STOP, **changes), situation())


def test_a_short_is_stopped_on_the_way_up() -> None:
    short = situation(observation=observe({"USDT": "10000"}, {linear(lot="1"): quote("100")}, holding(BTC, "-300", "100")))
    cover = replace(STOP, side=Side.BUY, price=D(107), trigger=D(107))
    assert check(cover, short) == Approved(cover)
    assert codes(replace(cover, price=D(99), trigger=D(99)), short) == {"trigger"}


def test_its_worth_an_old_account_and_an_unknown_outcome_hold_it_back() -> None:
    most = EMERGENCY_SLACK * LIMITS.max_order_notional
    narrow = replace(LIMITS, max_order_notional=D(8900) / EMERGENCY_SLACK)
    assert STOP.amount * STOP.price <= most
    assert check(STOP, situation(limits=narrow)) == Approved(STOP)
    assert codes(STOP, situation(limits=replace(narrow, max_order_notional=narrow.max_order_notional - 1))) == {"order_notional"}
    for age, expected in ((10, set()), (11, {"stale"}), (-11, {"stale"})):
        now = NOON + timedelta(seconds=age)
        assert codes(replace(STOP, deadline=now + timedelta(seconds=5)), situation(now=now)) == expected
    assert codes(STOP, situation(open_children=("kpr9",))) == {"open_child"}
    assert codes(STOP, situation(standing=Standing(fund="btc3l", state=FundState.HALTED))) == {"halted"}
