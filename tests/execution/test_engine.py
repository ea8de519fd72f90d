from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.account import Account
from keeper.domain.market import Market, Side
from keeper.domain.numbers import is_multiple, sign
from keeper.domain.observation import Observation, Quote
from keeper.domain.order import Fill
from keeper.domain.run import RunStatus
from keeper.execution import engine
from keeper.execution.pacing import FINISHING_STEP, Pacing, Style
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.gate import Limits
from keeper.policy.mandate import Mandate
from tests.fakes.markets import BTC, ETH, NOON, book, holding, linear, observe, quote, spot

TWAP = Pacing(style=Style.TWAP, horizon=timedelta(minutes=10), slices=9, max_depth=Decimal("0.5"))
LIMITS = Limits(
    max_order_notional=Decimal(10**6), max_turnover_per_day=Decimal(9), max_slippage_bps=Decimal(30), max_leverage=Decimal(9)
)


def start(observation: Observation, targets: dict[str, str], pacing: Pacing = TWAP) -> engine.State:
    mandate = Mandate(targets={symbol: Decimal(target) for symbol, target in targets.items()})
    brief = Brief(
        fund="f",
        venue="v",
        environment="paper",
        mandate=mandate,
        limits=LIMITS,
        slicer=pacing.planned_slices,
        horizon=pacing.horizon,
    )
    return engine.begin(build(brief, observation), pacing, limits=LIMITS, now=NOON)


def fill(observation: Observation, one: engine.Slice, amount: Decimal) -> Observation:
    """The account after ``amount`` of a slice traded at the mid."""
    market = observation.markets[one.symbol]
    traded = Fill(
        trade_id="1",
        symbol=one.symbol,
        side=one.side,
        amount=amount,
        price=one.mid,
        fee=Decimal(0),
        fee_asset=market.quote,
        at=NOON,
    )
    account: Account = observation.account.after(traded, market)
    return replace(observation, account=account)


class Run:
    """Drives the engine against a frictionless account; ``give`` says how much of a slice the book gives."""

    def __init__(self, observation: Observation, targets: dict[str, str], pacing: Pacing = TWAP) -> None:
        self.observation = observation
        self.now = NOON
        self.state = start(observation, targets, pacing)
        self.sent: list[tuple[datetime, engine.Slice]] = []
        self.prices: dict[int, str] = {}
        self.share = Decimal(1)

    def to_end(self) -> engine.Finish:
        for _ in range(500):
            self.state, decision = engine.step(self.state, self.observation, self.now)
            match decision:
                case engine.Send(slices):
                    for one in slices:
                        self._send(one)
                case engine.Wait(until):
                    assert until > self.now
                    self.now = until
                case engine.Finish():
                    return decision
                case engine.Settle():
                    pass
        pytest.fail("the run never ended")

    def _send(self, one: engine.Slice) -> None:
        market = self.observation.markets[one.symbol]
        amount = market.whole_lots(one.amount * self.share)
        self.sent.append((self.now, one))
        if amount:
            self.observation = fill(self.observation, one, amount)
        self.state = engine.booked(self.state, one.leg, amount)
        if (price := self.prices.get(len(self.sent))) is not None:
            symbol = one.symbol
            self.observation = replace(self.observation, quotes={**self.observation.quotes, symbol: quote(price)})


def drifted(price: str = "105", lot: str = "0.001") -> Observation:
    """Worked example 1, a thousand times as big."""
    return observe({"USDT": "100000"}, {linear(lot=lot): quote(price)}, holding(BTC, "3000", "100"))


def test_a_leg_is_spread_evenly_over_the_horizon() -> None:
    run = Run(drifted(), {BTC: "3"})
    end = run.to_end()
    assert end.status is RunStatus.COMPLETED
    assert len(run.sent) == 9
    amounts = [one.amount for _, one in run.sent]
    assert max(amounts) - min(amounts) <= Decimal("0.001") * 2
    assert [at - NOON for at, _ in run.sent] == [timedelta(minutes=1) * n for n in range(9)]
    assert abs(3 - run.observation.valuation().net_leverage) * run.observation.valuation().nav / 105 < Decimal("0.001")


def test_a_price_that_closes_the_gap_stops_further_children() -> None:
    run = Run(drifted(), {BTC: "3"})
    run.prices[3] = "100"  # back where the fund was at 3x: with three slices bought it is above its target now
    end = run.to_end()
    assert end.status is RunStatus.COMPLETED
    assert len(run.sent) == 3
    assert run.observation.account.held(linear()) == 3000 + sum(one.amount for _, one in run.sent)


def test_nothing_is_traded_back() -> None:
    run = Run(drifted(), {BTC: "3"})
    run.prices[1] = "90"
    run.to_end()
    assert {one.side for _, one in run.sent} == {Side.BUY}


def test_sizes_follow_the_live_gap_not_the_plan() -> None:
    run = Run(drifted(), {BTC: "3"})
    run.prices[4] = "104"
    run.to_end()
    planned = run.state.legs[0].plan.amount
    assert sum(one.amount for _, one in run.sent) < planned
    assert run.sent[4][1].amount < run.sent[3][1].amount


def test_what_a_book_does_not_give_is_asked_for_again_until_the_horizon_ends() -> None:
    run = Run(drifted(), {BTC: "3"})
    run.share = Decimal("0.1")
    end = run.to_end()
    assert end.status is RunStatus.INCOMPLETE
    assert "horizon" in end.reason
    assert BTC in end.reason
    assert run.now == NOON + TWAP.horizon


def test_a_leg_stops_at_its_cap() -> None:
    run = Run(drifted(), {BTC: "3"})
    run.prices = {n: str(105 + n * 5) for n in range(1, 9)}  # the market runs away: the wanted trade grows
    end = run.to_end()
    assert end.status is RunStatus.INCOMPLETE
    assert "cap" in end.reason
    plan = run.state.legs[0].plan
    assert sum(one.amount for _, one in run.sent) == plan.cap == linear(lot="0.001").whole_lots(plan.amount * Decimal("1.5"))


def test_slices_are_capped_by_the_depth_of_the_book() -> None:
    thin = replace(drifted(), quotes={BTC: Quote(mark=Decimal(105), book=book("105", half_spread="0.01", depth="10"))})
    run = Run(thin, {BTC: "3"})
    run.to_end()
    amounts = [one.amount for _, one in run.sent]
    assert amounts[:40] == [Decimal(5)] * 40
    assert max(amounts) == 5


def test_a_short_account_in_few_lots_gets_few_slices_and_the_last_takes_the_rest() -> None:
    market = replace(linear(lot="1"), min_amount=Decimal(100))
    observation = observe({"USDT": "100000"}, {market: quote("105")}, holding(BTC, "3000", "100"))
    run = Run(observation, {BTC: "3"})
    assert run.to_end().status is RunStatus.COMPLETED
    assert [one.amount for _, one in run.sent] == [143, 142]


def test_crossing_zero_closes_before_it_opens() -> None:
    run = Run(observe({"USDT": "1000"}, {linear(lot="0.001"): quote("100")}, holding(BTC, "12", "100")), {BTC: "-1"})
    run.to_end()
    held = Decimal(12)
    for _, one in run.sent:
        assert one.side is Side.SELL
        assert one.reduce_only == (held > 0)
        if one.reduce_only:
            assert one.amount <= held
        held -= one.amount
    assert held == -10


def test_legs_that_reduce_go_before_legs_that_increase() -> None:
    observation = observe(
        {"USDT": "1000"},
        {linear(): quote("100"), linear(ETH): quote("10")},
        {**holding(BTC, "30", "100"), **holding(ETH, "100", "10")},
    )
    run = Run(observation, {ETH: "2", BTC: "1"})
    assert run.to_end().status is RunStatus.COMPLETED
    markets = [one.symbol for _, one in run.sent]
    assert markets == sorted(markets, key=lambda symbol: symbol != BTC)
    assert run.now <= NOON + TWAP.horizon
    assert set(markets) == {BTC, ETH}


def test_spot_sells_raise_the_cash_for_buys() -> None:
    observation = observe({"USDT": "0", "BTC": "10", "ETH": "0"}, {spot("ETH/USDT"): quote("10"), spot("BTC/USDT"): quote("100")})
    run = Run(observation, {"ETH/USDT": "0.4", "BTC/USDT": "0.6"})
    assert run.to_end().status is RunStatus.COMPLETED
    assert [one.side for _, one in run.sent] == sorted((one.side for _, one in run.sent), key=lambda side: side is Side.BUY)
    assert all(amount >= 0 for amount in run.observation.account.balances.values())


def test_urgent_is_one_order() -> None:
    run = Run(drifted(), {BTC: "3"}, replace(TWAP, style=Style.URGENT, max_depth=Decimal(1)))
    assert run.to_end().status is RunStatus.COMPLETED
    assert len(run.sent) == 1


def test_three_rejections_block_a_leg() -> None:
    observation, state, now = drifted(), start(drifted(), {BTC: "3"}), NOON
    sent = 0
    for _ in range(40):
        state, decision = engine.step(state, observation, now)
        if isinstance(decision, engine.Send):
            sent += 1
            state = engine.failed(state, 0, "-2019: margin is insufficient", sent=True)
        elif isinstance(decision, engine.Wait):
            now = decision.until
        elif isinstance(decision, engine.Finish):
            break
    assert sent == engine.MAX_REJECTIONS
    assert isinstance(decision, engine.Finish)
    assert decision.status is RunStatus.INCOMPLETE
    assert "margin" in decision.reason


def test_the_book_is_not_blamed_for_a_horizon_that_ends_on_a_rejection() -> None:
    observation, state, now = drifted(), start(drifted(), {BTC: "3"}), NOON
    decision: engine.Decision = engine.Settle()
    while not isinstance(decision, engine.Finish):
        state, decision = engine.step(state, observation, now)
        if isinstance(decision, engine.Send):
            state = engine.failed(state, 0, "-2019: margin is insufficient", sent=True)
        elif isinstance(decision, engine.Wait):
            now = NOON + TWAP.horizon  # nobody was there in between
    assert decision.status is RunStatus.INCOMPLETE
    assert decision.reason.startswith("the horizon ended; -2019: margin is insufficient; contracts left: ")


def test_nothing_is_increased_once_what_had_to_be_reduced_before_was_not() -> None:
    positions = {**holding(BTC, "30", "100"), **holding(ETH, "100", "10")}
    run = Run(observe({"USDT": "1000"}, {linear(): quote("100"), linear(ETH): quote("10")}, positions), {ETH: "2", BTC: "1"})
    reducing_leg = next(index for index, leg in enumerate(run.state.legs) if leg.plan.symbol == BTC)
    for _ in range(engine.MAX_REJECTIONS):
        run.state = engine.failed(run.state, reducing_leg, "-2019: margin is insufficient", sent=True)
    end = run.to_end()
    assert run.sent == []
    assert end.status is RunStatus.INCOMPLETE
    assert "had to be reduced before" in end.reason


def test_no_order_is_above_the_largest_and_the_leg_is_done_all_the_same() -> None:
    run = Run(drifted(), {BTC: "3"})
    run.state = replace(run.state, limits=replace(LIMITS, max_order_notional=Decimal(1000)))
    assert run.to_end().status is RunStatus.COMPLETED
    assert len(run.sent) > 9
    assert max(one.amount * one.price for _, one in run.sent) <= 1000


def test_an_order_can_be_so_limited_that_the_market_takes_none() -> None:
    run = Run(
        observe({"USDT": "100000"}, {replace(linear(lot="1"), min_cost=Decimal(500)): quote("105")}, holding(BTC, "3000", "100")),
        {BTC: "3"},
    )
    run.state = replace(run.state, limits=replace(LIMITS, max_order_notional=Decimal(200)))
    end = run.to_end()
    assert run.sent == []
    assert "max_order_notional" in end.reason


@pytest.mark.parametrize(("held", "target"), [("29.5", "-1"), ("-0.5", "3"), ("30.2", "0"), ("0.7", "-2")])
def test_crossing_zero_never_strands_on_a_rest_that_is_too_small_to_close(held: str, target: str) -> None:
    market = replace(linear(lot="0.1"), min_amount=Decimal(1))
    run = Run(observe({"USDT": "1000"}, {market: quote("100")}, holding(BTC, held, "100")), {BTC: target})
    assert run.to_end().status is RunStatus.COMPLETED
    left = Decimal(target) * run.observation.valuation().nav / 100 - run.observation.account.held(market)
    assert abs(left) < 1
    for _, one in run.sent:
        assert one.amount >= 1


def test_what_the_market_does_is_waited_out() -> None:
    observation, state = drifted(), start(drifted(), {BTC: "3"})
    state, decision = engine.step(state, observation, NOON)
    assert isinstance(decision, engine.Send)
    state = engine.postponed(state, 0, "mid and mark are apart", NOON)
    state, decision = engine.step(state, observation, NOON)
    assert decision == engine.Wait(NOON + FINISHING_STEP)
    _, decision = engine.step(state, observation, NOON + FINISHING_STEP)
    assert isinstance(decision, engine.Send)


def test_an_empty_book_is_waited_for() -> None:
    blind = replace(drifted(), quotes={BTC: Quote(mark=Decimal(105), book=replace(book("105"), asks=()))})
    state, decision = engine.step(start(drifted(), {BTC: "3"}), blind, NOON)
    assert isinstance(decision, engine.Wait)
    assert decision.until > NOON
    assert "no asks" in state.legs[0].why


@settings(max_examples=40)
@given(
    st.sampled_from(["3", "-2", "0.5", "0", "-1"]),
    st.decimals(min_value=70, max_value=140, places=1),
    st.lists(st.decimals(min_value="0.97", max_value="1.03", places=3), max_size=8),
    st.sampled_from([Decimal(1), Decimal("0.5")]),
)
def test_no_order_grows_the_gap_or_passes_the_target(target: str, price: Decimal, moves: list[Decimal], share: Decimal) -> None:
    run = Run(observe({"USDT": "100000"}, {linear(lot="0.01"): quote(str(price))}, holding(BTC, "1000", "100")), {BTC: target})
    run.share = share
    current = price
    for index, move in enumerate(moves):
        current = (current * move).quantize(Decimal("0.01"))
        run.prices[index + 1] = str(current)
    market: Market = linear(lot="0.01")
    original = run._send

    def checked(one: engine.Slice) -> None:
        valuation = run.observation.valuation()
        mark = run.observation.quotes[BTC].mark
        gap = (Decimal(target) * valuation.nav - valuation.exposures[BTC]) / mark
        assert is_multiple(one.amount, market.lot)
        assert one.side.sign == sign(gap)
        assert one.amount <= abs(gap)
        assert one.reduce_only == (sign(run.observation.account.held(market)) == -one.side.sign)
        original(one)

    run._send = checked  # type: ignore[method-assign] # every order is looked at on its way
    run.to_end()
    assert all(leg.traded <= leg.plan.cap for leg in run.state.legs)
