from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.account import Position
from keeper.domain.market import Side
from keeper.domain.observation import Observation, Quote
from keeper.domain.order import Fill
from keeper.domain.run import RunStatus
from keeper.execution import engine
from keeper.execution.pacing import Pacing, Style
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.gate import Limits
from keeper.policy.mandate import Mandate
from tests.fakes.markets import BTC, NOON, book, holding, linear, observe, quote, spot

PACING = Pacing(style=Style.TWAP, horizon=timedelta(minutes=10), slices=3, max_depth=Decimal(1))
LIMITS = Limits(
    max_order_notional=Decimal(10**6), max_turnover_per_day=Decimal(9), max_slippage_bps=Decimal(30), max_leverage=Decimal(9)
)


class Account:
    """What the engine trades on: every order fills at the mid."""

    def __init__(self, observation: Observation, target: str) -> None:
        (symbol,) = observation.markets
        brief = Brief(
            fund="f",
            venue="v",
            environment="paper",
            mandate=Mandate(targets={symbol: Decimal(target)}),
            limits=LIMITS,
            slicer=PACING.planned_slices,
            horizon=PACING.horizon,
        )
        self.observation, self.now, self.settled = observation, NOON, 0
        self.state = engine.begin(build(brief, observation), PACING, limits=LIMITS, now=NOON)
        self.sent: list[engine.Slice] = []

    def next(self) -> engine.Decision:
        """Go on until the account is to be settled or the run is over."""
        while True:
            self.state, decision = engine.step(self.state, self.observation, self.now)
            match decision:
                case engine.Send((one,)):
                    self._fill(one)
                case engine.Wait(until):
                    self.now = until
                case _:
                    return decision

    def price(self, price: str) -> None:
        (symbol,) = self.observation.markets
        self.observation = replace(self.observation, quotes={symbol: quote(price)})

    def hold(self, contracts: Decimal) -> None:
        held = self.observation.account.positions[BTC]
        position = Position(symbol=BTC, contracts=contracts, entry=held.entry, mark=held.mark)
        self.observation = replace(self.observation, account=replace(self.observation.account, positions={BTC: position}))

    def _fill(self, one: engine.Slice) -> None:
        self.sent.append(one)
        market = self.observation.markets[one.symbol]
        fill = Fill(
            trade_id="1",
            symbol=one.symbol,
            side=one.side,
            amount=one.amount,
            price=one.mid,
            fee=Decimal(0),
            fee_asset=market.quote,
            at=NOON,
        )
        self.observation = replace(self.observation, account=self.observation.account.after(fill, market))
        self.state = engine.booked(self.state, one.leg, one.amount)


def drifted() -> Account:
    return Account(observe({"USDT": "100000"}, {linear(lot="0.001"): quote("105")}, holding(BTC, "3000", "100")), "3")


def test_a_gap_that_opens_while_settling_is_worked_on() -> None:
    account = drifted()
    assert account.next() == engine.Settle()
    sent = len(account.sent)
    account.price("105.5")
    assert account.next() == engine.Settle()
    assert len(account.sent) > sent
    assert account.next() == engine.Finish(RunStatus.COMPLETED, "every gap is below the smallest order")


def test_a_market_that_runs_away_at_every_settling_ends_the_run() -> None:
    account = drifted()
    for round_ in range(engine.MAX_ROUNDS + 1):
        assert account.next() == engine.Settle()
        account.price(str(Decimal("105.1") + round_ / Decimal(10)))
    end = account.next()
    assert isinstance(end, engine.Finish)
    assert end.status is RunStatus.INCOMPLETE
    assert end.reason.startswith("the market kept moving; contracts left: ")
    assert end.reason.endswith(f" of {BTC}")


def test_after_the_horizon_nothing_is_begun_again() -> None:
    account = drifted()
    assert account.next() == engine.Settle()
    account.now = NOON + PACING.horizon
    account.price("106")
    sent = len(account.sent)
    end = account.next()
    assert isinstance(end, engine.Finish)
    assert end.status is RunStatus.INCOMPLETE
    assert len(account.sent) == sent


def test_a_market_that_carried_the_fund_past_its_goal_while_settling_is_not_traded_back() -> None:
    account = drifted()
    assert account.next() == engine.Settle()
    account.price("104")
    end = account.next()
    assert isinstance(end, engine.Finish)
    assert end.status is RunStatus.COMPLETED
    assert "wanted the other way: -" in end.reason
    assert {one.side for one in account.sent} == {Side.BUY}


def test_a_market_that_went_further_than_the_run_was_to_go_calls_for_another_one() -> None:
    account = drifted()
    assert account.next() == engine.Settle()
    account.price("99")
    end = account.next()
    assert isinstance(end, engine.Finish)
    assert end.status is RunStatus.INCOMPLETE
    assert {one.side for one in account.sent} == {Side.BUY}


def test_a_position_that_turns_out_smaller_is_filled_up() -> None:
    account = drifted()
    assert account.next() == engine.Settle()
    account.hold(Decimal(3280))
    assert account.next() == engine.Settle()
    assert abs(account.observation.valuation().net_leverage - 3) < Decimal("1e-6")


def test_a_book_thinner_than_the_smallest_order_is_waited_for_until_the_horizon_ends() -> None:
    market = replace(linear(lot="0.001"), min_amount=Decimal(20))
    thin = Quote(mark=Decimal(105), book=book("105", half_spread="0.01", depth="10"))
    account = Account(observe({"USDT": "100000"}, {market: thin}, holding(BTC, "3000", "100")), "3")
    assert account.next() == engine.Settle()
    assert account.now == NOON + PACING.horizon
    assert account.sent == []
    end = account.next()
    assert isinstance(end, engine.Finish)
    assert end.status is RunStatus.INCOMPLETE


@pytest.mark.parametrize(
    ("balances", "target", "bought"),
    [
        pytest.param({"USDT": "1000"}, "1", "9.97", id="all cash: what the collar lets it pay for at first"),
        pytest.param({"USDT": "1000"}, "0.5", "5", id="half the cash"),
        pytest.param({"USDT": "1000"}, "1.5", "15", id="credit is wanted"),
        pytest.param({"USDT": "-500", "BTC": "10"}, "1", "-5", id="a sale needs no cash"),
        pytest.param({"USDT": "-100", "BTC": "10"}, "0.999999", "-1", id="nor one out of debt"),
    ],
)
def test_spot_buys_are_cut_to_the_cash_at_the_limit_price(balances: dict[str, str], target: str, bought: str) -> None:
    market = spot("BTC/USDT", lot="0.01")
    account = Account(observe(balances, {market: quote("100")}), target)
    account.state = replace(account.state, pacing=replace(PACING, style=Style.URGENT))
    _, decision = engine.step(account.state, account.observation, NOON + timedelta(minutes=9))
    assert isinstance(decision, engine.Send)
    (one,) = decision.slices
    assert one.amount * one.side.sign == Decimal(bought)


def test_cash_runs_out_only_below_the_smallest_order() -> None:
    market = spot("BTC/USDT", lot="0.01")
    account = Account(observe({"USDT": "1000"}, {market: quote("100")}), "1")
    assert account.next() == engine.Settle()
    end = account.next()
    assert end == engine.Finish(RunStatus.COMPLETED, "every gap is below the smallest order")
    left = account.observation.account.balances["USDT"]
    assert 0 <= left < Decimal("0.01") * Decimal("100.31")


def test_an_unsound_book_cuts_nothing_and_trades_nothing() -> None:
    market = spot("BTC/USDT", lot="0.01")
    account = Account(observe({"USDT": "1000"}, {market: quote("100")}), "1")
    blind = replace(account.observation, quotes={"BTC/USDT": Quote(mark=Decimal(100), book=replace(book("100"), asks=()))})
    _, decision = engine.step(account.state, blind, NOON)
    assert isinstance(decision, engine.Wait)
