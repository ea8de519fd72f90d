"""An emergency in work: all at once, the last lot too, and over once it is back, wherever the market goes from there."""

from decimal import Decimal

import pytest

from keeper.domain.observation import Observation
from keeper.domain.run import RunStatus
from keeper.execution import engine
from keeper.planning.build import build
from keeper.service.fund import AT_ONCE
from tests.execution.test_engine import LIMITS, Run
from tests.fakes.markets import BTC, NOON, holding, linear, observe, quote
from tests.planning.test_emergency_plan import braking


def held(contracts: str, price: str = "100", lot: str = "0.4") -> Observation:
    return observe({"USDT": "100"}, {linear(lot=lot): quote(price)}, holding(BTC, contracts, "100"))


def braked(observation: Observation) -> Run:
    run = Run(observation, {BTC: "3"}, AT_ONCE)
    run.state = engine.begin(build(braking(), observation), AT_ONCE, limits=LIMITS, now=NOON)
    return run


@pytest.mark.parametrize(("contracts", "sent"), [("4.4", "1.6"), ("-4.4", "1.6"), ("4", "1.2")])
def test_it_goes_out_as_one_order_rounded_up(contracts: str, sent: str) -> None:
    run = braked(held(contracts))
    assert run.to_end().status is RunStatus.COMPLETED
    assert [(one.amount, one.reduce_only) for _, one in run.sent] == [(Decimal(sent), True)]


def test_less_than_a_lot_that_the_book_did_not_give_is_left() -> None:
    run = braked(held("4.4"))
    run.share = Decimal("0.75")
    assert run.to_end().status is RunStatus.COMPLETED
    assert [one.amount for _, one in run.sent] == [Decimal("1.6")]
    assert run.observation.account.positions[BTC].contracts == Decimal("3.2")


@pytest.mark.parametrize(("price", "orders"), [("99.99", 1), ("97", 2), ("150", 1)])
def test_a_market_that_goes_on_is_followed_and_one_that_comes_back_is_not(price: str, orders: int) -> None:
    run = braked(held("4.5", lot="0.01"))
    run.prices = {1: price}
    ended = run.to_end()
    assert ended.status is RunStatus.COMPLETED
    assert len(run.sent) == orders
    assert all(one.reduce_only for _, one in run.sent)
