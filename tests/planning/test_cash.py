"""What spot trades may spend, and how exactly a fee that is taken in the coin bought is made up for."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keeper.domain.account import Valuation
from keeper.domain.market import FeeAsset, Market, Side
from keeper.domain.numbers import rounded
from keeper.domain.observation import Observation
from keeper.domain.order import Fill
from keeper.planning.cash import affordable, borrows, funded, reserved
from keeper.planning.exposure import gaps, paid_in_coin
from tests.fakes.markets import BTC, NOON, inverse, linear, observe, quote, spot

D = Decimal
BTC_SPOT, ETH_SPOT = "BTC/USDT", "ETH/USDT"
ONE_SLICE = lambda _contracts, _smallest: 1  # noqa: E731 - a table entry


def received(symbol: str = BTC_SPOT, *, taker: str = "0.001", lot: str = "0.00000001") -> Market:
    return replace(spot(symbol, taker=taker, lot=lot), fee_in=FeeAsset.RECEIVED)


MARKETS = {market.symbol: market for market in (received(), received(ETH_SPOT), linear())}


def traded(observation: Observation, symbol: str, contracts: Decimal) -> Observation:
    """The account after ``contracts`` (signed) at the mark, the fee taken in what the trade brought in."""
    market, mark = observation.markets[symbol], observation.quotes[symbol].mark
    side, amount = Side.of(contracts), abs(contracts)
    asset = market.fee_asset(side)
    fee = market.taker * (amount if asset == market.base else market.notional(amount, mark))
    fill = Fill(trade_id="1", symbol=symbol, side=side, amount=amount, price=mark, fee=fee, fee_asset=asset, at=NOON)
    return replace(observation, account=observation.account.after(fill, market))


@pytest.mark.parametrize(
    ("market", "side", "part"),
    [
        (received(), Side.BUY, "0.001"),
        (received(), Side.SELL, "0"),
        (spot(BTC_SPOT, taker="0.001"), Side.BUY, "0"),
        (linear(taker="0.001"), Side.BUY, "0"),
        (inverse(taker="0.001"), Side.BUY, "0.0012"),
        (inverse(taker="0.001"), Side.SELL, "0.0012"),
        (replace(linear(taker="0.001"), fee_in=FeeAsset.RECEIVED), Side.BUY, "0"),
    ],
)
def test_the_part_of_a_cost_that_leaves_the_coins(market: Market, side: Side, part: str) -> None:
    assert paid_in_coin(market, side, D("0.0012")) == D(part)


def test_the_worked_example_of_a_fee_in_coins() -> None:
    # 100 USDT of cash, half to become a coin at 10 with a fee of 1 % of it: 5.025... are bought, 1 % less arrives
    observation = observe({"USDT": "100"}, {received(taker="0.01"): quote("10")})
    contracts = gaps(observation, {BTC_SPOT: D("0.5")}, ONE_SLICE, D(30))[BTC_SPOT].contracts
    assert contracts == D("5.02512562")
    after = traded(observation, BTC_SPOT, contracts)
    assert after.account.balances == {"USDT": D("49.7487438"), "BTC": D("4.9748743638")}
    assert rounded(after.valuation().leverage(BTC_SPOT), 8) == D("0.5")


weights = st.decimals(min_value=0, max_value="0.5", places=3)
holdings = st.decimals(min_value=0, max_value=20, places=4)


@given(weights, weights, holdings, holdings, st.decimals(min_value=0, max_value="0.01", places=4))
@example(D("0.485"), D("0.161"), D("9.3879"), D(0), D("0.01"))  # what buying ETH costs turns the gap of BTC round
def test_weights_after_the_trades_are_the_goals_to_a_lot(
    btc: Decimal, eth: Decimal, btc_held: Decimal, eth_held: Decimal, taker: Decimal
) -> None:
    held = {"USDT": "100", "BTC": str(btc_held), "ETH": str(eth_held)}
    quotes = {received(taker=str(taker)): quote("10"), received(ETH_SPOT, taker=str(taker)): quote("3")}
    observation = observe(held, quotes)
    goals = {BTC_SPOT: btc, ETH_SPOT: eth}
    lacking = gaps(observation, goals, ONE_SLICE, D(30))
    for symbol, gap in lacking.items():
        if gap.contracts:
            observation = traded(observation, symbol, gap.contracts)
    valuation = observation.valuation()
    for symbol, goal in goals.items():
        if lacking[symbol].contracts:
            assert abs(valuation.leverage(symbol) - goal) < D("1e-8")
    assert all(amount >= 0 for asset, amount in observation.account.balances.items() if asset != "USDT")
    assert observation.account.balances["USDT"] > D("-1e-6")


@pytest.mark.parametrize(
    ("targets", "answer"),
    [
        ({BTC_SPOT: "0.6", ETH_SPOT: "0.4"}, False),
        ({BTC_SPOT: "0.6", ETH_SPOT: "0.41"}, True),
        ({BTC_SPOT: "0.6", ETH_SPOT: "-0.1"}, True),
        ({BTC: "3"}, False),
        ({BTC: "-3", ETH_SPOT: "1"}, False),
        ({ETH_SPOT: "3"}, True),
    ],
)
def test_a_mandate_borrows_where_its_spot_weights_can_t_be_paid_for(targets: dict[str, str], *, answer: bool) -> None:
    assert borrows({symbol: D(target) for symbol, target in targets.items()}, MARKETS) is answer


TARGETS = {BTC_SPOT: D("0.6"), ETH_SPOT: D("0.4")}


@pytest.mark.parametrize(
    ("targets", "held", "goals", "expected"),
    [
        # ETH below its band, BTC inside and above target, no cash: both are traded
        (TARGETS, ("0.625", "0.375"), {ETH_SPOT: "0.4"}, {BTC_SPOT: "0.6", ETH_SPOT: "0.4"}),
        # the same with cash that pays for it
        (TARGETS, ("0.55", "0.375"), {ETH_SPOT: "0.4"}, {ETH_SPOT: "0.4"}),
        # a sale needs no cash
        (TARGETS, ("0.575", "0.425"), {ETH_SPOT: "0.4"}, {ETH_SPOT: "0.4"}),
        (TARGETS, ("0.9", "0.1"), {}, {}),
        # a mandate on credit is left as it is
        ({BTC_SPOT: D(2), ETH_SPOT: D(1)}, ("2", "0.9"), {ETH_SPOT: "1"}, {ETH_SPOT: "1"}),
    ],
)
def test_what_is_bought_without_cash_is_paid_by_what_is_sold(
    targets: dict[str, Decimal], held: tuple[str, str], goals: dict[str, str], expected: dict[str, str]
) -> None:
    exposures = {BTC_SPOT: D(held[0]) * 100, ETH_SPOT: D(held[1]) * 100}
    valuation = Valuation(currency="USDT", nav=D(100), exposures=exposures, foreign=D(0), prices={})
    wanted = {symbol: D(goal) for symbol, goal in goals.items()}
    assert funded(targets, wanted, valuation, MARKETS) == {symbol: D(goal) for symbol, goal in expected.items()}


@pytest.mark.parametrize(
    ("market", "cash", "bought"),
    [
        (received(lot="0.01"), "100", "9.90"),
        (received(lot="0.01"), "0", "0"),
        (received(lot="0.01"), "-5", "0"),
        (spot(BTC_SPOT, taker="0.01", lot="0.01"), "100", "9.80"),
    ],
)
def test_cash_buys_what_a_venue_would_reserve_for(market: Market, cash: str, bought: str) -> None:
    contracts = affordable(market, D(cash), D("10.1"))
    assert contracts == D(bought)
    assert reserved(market, contracts, D("10.1")) <= max(D(cash), D(0))
    assert reserved(market, contracts + market.lot, D("10.1")) > D(cash)
