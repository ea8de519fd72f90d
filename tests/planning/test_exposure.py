import itertools
import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.domain.account import Account
from keeper.domain.book import Level
from keeper.domain.market import Market, Side
from keeper.domain.numbers import rounded, sign
from keeper.domain.observation import Observation, Quote
from keeper.domain.order import Fill
from keeper.planning.exposure import Want, gaps, reducing, solve
from tests.fakes.crash import BLACK_THURSDAY
from tests.fakes.markets import BTC, ETH, NOON, book, holding, inverse, linear, observe, quote, spot

HOURS = 2000
"""Steps of a year: as many as it takes for its decay to be that of ever smaller ones."""
ONE_SLICE = lambda _contracts, _smallest: 1  # noqa: E731 - a table entry


def traded(observation: Observation, symbol: str, contracts: Decimal) -> Observation:
    """The account after ``contracts`` (signed) were traded at the mark, taker fee paid."""
    market, mark = observation.markets[symbol], observation.quotes[symbol].mark
    in_coin = market.settle == market.base
    paid = market.to_base(abs(contracts), mark) if in_coin else abs(market.notional(contracts, mark))
    fill = Fill(
        trade_id="1",
        symbol=symbol,
        side=Side.of(contracts),
        amount=abs(contracts),
        price=mark,
        fee=paid * market.taker,
        fee_asset=market.settle,
        at=NOON,
    )
    account: Account = observation.account.after(fill, market)
    return replace(observation, account=account)


@pytest.mark.parametrize(
    ("observation", "target", "contracts"),
    [
        pytest.param(
            observe({"USDT": "100"}, {linear(): quote("105")}, holding(BTC, "3", "100")), "3", "0.285714", id="1-linear"
        ),
        pytest.param(observe({"USD": "-20000", "ETH": "150"}, {spot(): quote("210")}), "3", "14.285714", id="2-borrowed-spot"),
        pytest.param(
            observe({"USDT": "100000"}, {linear(taker="0.0005"): quote("105")}, holding(BTC, "3000", "100")),
            "3",
            "285.286356",  # 29,955.067 notional
            id="7-fee-aware-buy",
        ),
        pytest.param(
            observe({"BTC": "1"}, {inverse(): quote("52500")}, holding("BTC/USD:BTC", "100000", "50000")),
            "3",
            "15000",
            id="7b-inverse",
        ),
        pytest.param(
            observe({"BTC": "1"}, {inverse(taker="0.0005"): quote("52500")}, holding("BTC/USD:BTC", "100000", "50000")),
            "3",
            "14985.014",
            id="7b-inverse-with-fee",
        ),
    ],
)
def test_worked_examples(observation: Observation, target: str, contracts: str) -> None:
    symbol = next(iter(observation.markets))
    assert gaps(observation, {symbol: Decimal(target)}, ONE_SLICE, Decimal(30))[symbol].contracts == Decimal(contracts)


def test_fee_aware_trades_of_example_7() -> None:
    def trade(nav: str, exposure: str, goal: str) -> Decimal:
        want = Want(symbol=BTC, goal=Decimal(goal), exposure=Decimal(exposure), rate=Decimal("0.0005"))
        return solve(Decimal(nav), [want])[BTC]

    assert rounded(trade("115", "315", "3"), 6) == Decimal("29.955067")
    assert rounded(trade("115", "375", "3"), 6) == Decimal("-30.045068")
    flip = trade("100", "300", "-1")
    assert rounded((300 + flip) / (100 - abs(flip) * Decimal("0.0005")), 20) == -1


def test_both_legs_of_a_hedge_end_exactly_at_their_goals() -> None:
    rate = Decimal("0.0005")
    wants = [
        Want(symbol=BTC, goal=Decimal(3), exposure=Decimal(250), rate=rate),
        Want(symbol=ETH, goal=Decimal(-3), exposure=Decimal(-280), rate=rate),
    ]
    trades = solve(Decimal(100), wants)
    nav = 100 - sum(abs(trade) for trade in trades.values()) * rate
    assert rounded((250 + trades[BTC]) / nav, 20) == 3
    assert rounded((-280 + trades[ETH]) / nav, 20) == -3


multiples = st.decimals(min_value=-5, max_value=5, places=2)
rates = st.decimals(min_value=0, max_value="0.01", places=5)


@given(st.lists(st.tuples(multiples, multiples, rates, rates), min_size=1, max_size=4))
def test_leverage_after_the_trades_is_the_goal(legs: list[tuple[Decimal, Decimal, Decimal, Decimal]]) -> None:
    nav = Decimal(1000)
    wants = [
        Want(symbol=str(index), goal=goal, exposure=at * nav, rate=rate + in_coin, coin_rate=in_coin)
        for index, (goal, at, rate, in_coin) in enumerate(legs)
    ]
    trades = solve(nav, wants)
    costs = {want.symbol: abs(trades[want.symbol]) * want.rate for want in wants}
    after = nav - sum(costs.values())
    for want in wants:
        trade = trades[want.symbol]
        if trade:
            exposure = want.exposure + trade - abs(trade) * want.coin_rate
            assert abs(exposure / after - want.goal) < Decimal("1e-25")


@given(
    st.sampled_from(
        [linear(taker="0.0005"), linear(lot="0.1"), inverse(taker="0.001", lot="10"), spot("BTC/USDT", taker="0.001")]
    ),
    multiples,
    st.decimals(min_value="0.5", max_value=2, places=3),
)
def test_a_trade_never_passes_the_goal_and_leaves_less_than_a_lot(market: Market, goal: Decimal, drift: Decimal) -> None:
    price = Decimal(100) * drift
    coin = market.settle == market.base
    balances = {"BTC": "10"} if coin else {"USDT": "1000"}
    observation = observe(balances, {market: quote(str(price))})
    assume(goal >= 0 or market.kind != "spot")
    contracts = gaps(observation, {market.symbol: goal}, ONE_SLICE, Decimal(30))[market.symbol].contracts
    assume(contracts != 0)
    before = goal - observation.valuation().leverage(market.symbol)
    after_trade = traded(observation, market.symbol, contracts)
    left = goal - after_trade.valuation().leverage(market.symbol)
    assert left == 0 or sign(rounded(left, 20)) in (0, sign(before))
    again = gaps(after_trade, {market.symbol: goal}, ONE_SLICE, Decimal(30))[market.symbol].contracts
    assert abs(again) <= market.lot


@pytest.mark.parametrize(
    ("prices", "expected"),
    [((10, 11, 10), "-0.054545"), ((10, 11, "12.1"), "0.690000"), ((10, "9.5", 9), "-0.284211")],
)
def test_daily_paths_at_three_times(prices: tuple[int | str, ...], expected: str) -> None:
    nav = frictionless([Decimal(price) for price in prices])
    assert rounded(nav - 1, 6) == Decimal(expected)


@pytest.mark.parametrize(
    ("moves", "factor", "places"),
    [
        (("0.1",) * 4, "2.8561", 4),
        (("-0.1",) * 4, "0.2401", 4),
        (("0.1", "-0.1") * 2, "0.8281", 4),
        (("0.02", "-0.02") * 126, "0.634817", 6),
    ],
)
def test_compounded_paths_at_three_times(moves: tuple[str, ...], factor: str, places: int) -> None:
    prices = list(
        itertools.accumulate((Decimal(move) for move in moves), lambda price, move: price * (1 + move), initial=Decimal(10))
    )
    assert rounded(frictionless(prices), places) == Decimal(factor)


@pytest.mark.parametrize(("sigma", "kept"), [(0.6, "0.3396"), (0.8, "0.1466")])
def test_a_year_at_a_flat_price_decays_as_the_variance_says(sigma: float, kept: str) -> None:
    step = Decimal(math.exp(sigma / math.sqrt(HOURS)))
    prices = [Decimal(10) * (step if hour % 2 else 1) for hour in range(HOURS + 1)]
    assert abs(frictionless(prices) - Decimal(kept)) < Decimal("0.0005")


@pytest.mark.parametrize("multiple", [Decimal(3), Decimal(-3), Decimal(2), Decimal(-1), Decimal(5)])
def test_what_a_rebalance_demands_is_what_cheng_and_madhavan_say(multiple: Decimal) -> None:
    prices = [Decimal(price) for _, price in BLACK_THURSDAY]
    nav, exposure = Decimal(100), Decimal(100) * multiple
    for before, after in itertools.pairwise(prices):
        move = after / before - 1
        if 1 + multiple * move <= 0:
            break  # the fund is ruined
        demand = nav * (multiple * multiple - multiple) * move
        nav, exposure = nav + exposure * move, exposure * (1 + move)
        asked = solve(nav, [Want(symbol=BTC, goal=multiple, exposure=exposure, rate=Decimal(0))])[BTC]
        assert abs(asked - demand) / nav < Decimal("1e-12")
        exposure += asked


def frictionless(prices: list[Decimal]) -> Decimal:
    """NAV of a fund of 1 that is brought to 3x at each price by the planner's own equation."""
    nav, exposure = Decimal(1), Decimal(0)
    for before, after in itertools.pairwise(prices):
        want = Want(symbol=BTC, goal=Decimal(3), exposure=exposure, rate=Decimal(0))
        exposure += solve(nav, [want])[BTC]
        profit = exposure * (after / before - 1)
        nav, exposure = nav + profit, exposure + profit
    return nav


@pytest.mark.parametrize(
    ("held", "contracts", "cut"),
    [("3", "-1", "-1"), ("3", "-4", "-3"), ("-3", "1", "1"), ("3", "1", "0"), ("0", "-1", "0"), ("-2", "5", "2")],
)
def test_the_part_of_a_trade_that_reduces(held: str, contracts: str, cut: str) -> None:
    assert reducing(Decimal(held), Decimal(contracts)) == Decimal(cut)


def test_a_market_at_its_goal_is_traded_for_what_the_others_cost() -> None:
    wants = [
        Want(symbol=BTC, goal=Decimal(3), exposure=Decimal(300), rate=Decimal("0.001")),
        Want(symbol=ETH, goal=Decimal(1), exposure=Decimal(0), rate=Decimal("0.001")),
    ]
    trades = solve(Decimal(100), wants)
    nav = 100 - sum((abs(trade) for trade in trades.values()), Decimal(0)) / 1000
    assert rounded((300 + trades[BTC]) / nav, 20) == 3
    assert rounded(trades[ETH] / nav, 20) == 1
    assert trades[BTC] < 0


def test_costs_that_would_eat_more_than_there_is_are_left_out() -> None:
    wants = [
        Want(symbol=BTC, goal=Decimal(5), exposure=Decimal(700), rate=Decimal("0.25")),
    ]
    trade = solve(Decimal(100), wants)[BTC]
    assert trade == -200


THIN = [("5", "0.62"), ("5", "0.66"), ("5", "0.7")]


@pytest.mark.parametrize(("near", "far"), THIN)
def test_a_thin_book_neither_hides_nor_swells_a_reduction(near: str, far: str) -> None:
    """Beyond the collar no order pays, so what stands there can't decide how much is sold."""
    levels = (Level(Decimal(100), Decimal(near)), Level(Decimal(100) * Decimal(far), Decimal(10**6)))
    thin = replace(book("100", half_spread="0.01"), bids=levels)
    observation = observe(
        {"USDT": "77778"}, {linear(lot="0.001"): Quote(mark=Decimal(100), book=thin)}, holding(BTC, "3000", "100")
    )
    gap = gaps(observation, {BTC: Decimal(3)}, ONE_SLICE, Decimal(30))[BTC].contracts
    assert Decimal(-690) < gap < Decimal(-660)


def test_only_the_cost_of_one_slice_is_counted_not_of_the_whole_leg() -> None:
    deep = book("100", half_spread="0.01", depth="100", levels=20)
    observation = observe({"USDT": "100000"}, {linear(): Quote(mark=Decimal(100), book=deep)}, holding(BTC, "2000", "100"))
    whole = gaps(observation, {BTC: Decimal(3)}, ONE_SLICE, Decimal(1000))[BTC].contracts
    sliced = gaps(observation, {BTC: Decimal(3)}, lambda _contracts, _smallest: 10, Decimal(1000))[BTC].contracts
    assert sliced > whole
