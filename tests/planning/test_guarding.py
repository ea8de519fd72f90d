"""The plan of a run that puts stops in their place: what it tells of each, and that the same fund makes it."""

from decimal import Decimal

from keeper.planning.guarding import Whose, guarding
from keeper.policy.emergency import Emergency
from keeper.policy.resident import resident_stops
from tests.fakes.markets import BTC, holding, linear, observe, quote

D = Decimal


def test_each_stop_is_a_leg_that_was_decided_at_its_trigger() -> None:
    observation = observe({"USDT": "10000"}, {linear(lot="1"): quote("100")}, holding(BTC, "300", "100"))
    stops = resident_stops(Emergency(max_leverage=D(4), to=D(3)), observation)
    whose = Whose(fund="btc3l", venue="sim", environment="paper", targets={BTC: D(3)})
    plan = guarding(whose, observation, stops)
    assert (plan.fund, plan.venue, plan.due, plan.refusals) == ("btc3l", "sim", True, ())
    assert plan.marks == {}, "it is no point at which the fund was looked at"
    assert [(leg.amount, leg.price, leg.decision_mid) for leg in plan.legs] == [
        (stop.amount, stop.trigger, stop.trigger) for stop in stops
    ]
    first = plan.legs[0]
    assert (first.leverage_before, first.reduce_only, first.cap) == (D(3), True, first.amount)
    assert first.leverage_after == (D(30_000) - first.amount * first.price) / D(10_000)
    assert plan.reason == f"resident guard: {', '.join(f'sell {stop.amount} {BTC} at {stop.trigger:f}' for stop in stops)}"
