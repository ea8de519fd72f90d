from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.account import leverage_after_move
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.gate import Limits
from keeper.planning.plan import Plan
from keeper.policy.mandate import Mandate
from tests.fakes.markets import BTC, holding, linear, observe, quote

LIMITS = Limits(
    max_order_notional=Decimal(10**6), max_turnover_per_day=Decimal(9), max_slippage_bps=Decimal(30), max_leverage=Decimal(9)
)


def planned(target: str, emergency: str) -> Plan:
    """The plan of a fund that stands on its target."""
    brief = Brief(
        fund="f",
        venue="v",
        environment="paper",
        mandate=Mandate(targets={BTC: Decimal(target)}, emergency_leverage=Decimal(emergency)),
        limits=LIMITS,
        slicer=lambda _contracts, _smallest: 1,
        horizon=timedelta(minutes=1),
    )
    return build(brief, observe({"USDT": "100"}, {linear(): quote("100")}, holding(BTC, target, "100")))


@pytest.mark.parametrize(
    ("target", "emergency"),
    [
        pytest.param("0.5", "1", id="no rise takes an unborrowed long to one"),
        pytest.param("0.5", "1.2", id="nor beyond"),
    ],
)
def test_a_leverage_that_no_move_leads_to_is_no_trigger(target: str, emergency: str) -> None:
    assert planned(target, emergency).triggers == ()


@pytest.mark.parametrize(("target", "emergency"), [("3", "4"), ("0.5", "0.9"), ("-1", "1.5")])
def test_a_trigger_is_where_the_move_leads(target: str, emergency: str) -> None:
    (trigger,) = planned(target, emergency).triggers
    assert abs(leverage_after_move(Decimal(target), trigger.move) - trigger.leverage) < Decimal("1e-20")
    assert abs(trigger.leverage) == Decimal(emergency)
