from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.market import Market, Side
from keeper.domain.numbers import rounded
from keeper.domain.observation import MarketStats
from keeper.planning.costs import CostEstimate, estimate, sizing_rate, walking_cost
from tests.fakes.markets import book, inverse, linear

BOOK = book("100", half_spread="1", depth="10", levels=3)  # asks 101, 102, 103 and bids 99, 98, 97
HORIZON = timedelta(hours=12)
FAR = Decimal(1000)  # a collar beyond every level
BUSY = MarketStats(volume=Decimal(10_000), volatility=Decimal("0.03"))


def estimated(market: Market, contracts: str = "10", *, stats: MarketStats | None = None, slices: int = 1) -> CostEstimate:
    return estimate(
        market=market,
        book=BOOK,
        stats=stats,
        side=Side.BUY,
        contracts=Decimal(contracts),
        slices=slices,
        horizon=HORIZON,
        slippage_bps=FAR,
    )


@pytest.mark.parametrize(
    ("side", "contracts", "cost"),
    [
        pytest.param(Side.BUY, "0", "0.01", id="nothing: the half spread"),
        pytest.param(Side.BUY, "5", "0.01", id="within the best level"),
        pytest.param(Side.BUY, "10", "0.01", id="all of it"),
        pytest.param(Side.BUY, "20", "0.015", id="two levels"),
        pytest.param(Side.SELL, "20", "0.015", id="two bids"),
        pytest.param(Side.BUY, "30", "0.02", id="the whole book"),
        pytest.param(Side.BUY, "1000", "0.02", id="more than is displayed: as far as it goes"),
    ],
)
def test_walking_the_book_costs_its_average_against_the_mid(side: Side, contracts: str, cost: str) -> None:
    assert walking_cost(BOOK, side, Decimal(contracts), FAR) == Decimal(cost)


def test_sizing_pays_the_fee_and_the_walk_of_one_slice() -> None:
    assert sizing_rate(linear(taker="0.0005"), BOOK, Side.BUY, Decimal(20), FAR) == Decimal("0.0155")


@pytest.mark.parametrize("broken", [replace(BOOK, asks=()), replace(BOOK, bids=BOOK.asks, asks=BOOK.bids)])
def test_a_book_that_cannot_be_trusted_adds_nothing_to_the_fee(broken: object) -> None:
    assert sizing_rate(linear(taker="0.0005"), broken, Side.BUY, Decimal(20), FAR) == Decimal("0.0005")  # type: ignore[arg-type] # a book


@pytest.mark.parametrize(
    ("stats", "slices", "impact", "band"),
    [
        pytest.param(None, 1, "0.005", "0", id="no figures of the market: the walk alone"),
        pytest.param(None, 2, "0", "0", id="two slices that refill"),
        pytest.param(BUSY, 2, "0.00053666", "0.01224745", id="the square-root law"),
        pytest.param(replace(BUSY, volume=Decimal(1)), 2, "0.05366563", "0.01224745", id="a quiet market"),
        pytest.param(BUSY, 1, "0.005", "0.01224745", id="the walk, where it is more"),
        pytest.param(replace(BUSY, volume=Decimal(0)), 1, "0.005", "0.01224745", id="no trades yesterday"),
        pytest.param(replace(BUSY, volatility=Decimal(0)), 2, "0", "0", id="a price that stands"),
    ],
)
def test_impact_is_the_larger_of_walk_and_law(stats: MarketStats | None, slices: int, impact: str, band: str) -> None:
    told = estimated(linear(taker="0.0005"), "20", stats=stats, slices=slices)
    assert (told.fee, told.spread) == (Decimal("0.0005"), Decimal("0.01"))
    assert (rounded(told.impact, 8), rounded(told.band, 8)) == (Decimal(impact), Decimal(band))
    assert told.total == told.fee + told.spread + told.impact


def test_an_inverse_market_counts_its_volume_in_coins() -> None:
    linear_one = estimated(linear(), "20", stats=BUSY, slices=2)
    # 2,000 USD of contracts are 20 coins at 100; their walk alone would sweep the book
    deep = replace(BOOK, asks=book("100", half_spread="1").asks)
    told = estimate(
        market=inverse(),
        book=deep,
        stats=BUSY,
        side=Side.BUY,
        contracts=Decimal(2000),
        slices=2,
        horizon=HORIZON,
        slippage_bps=FAR,
    )
    assert told.impact == linear_one.impact


@given(st.integers(min_value=1, max_value=40), st.integers(min_value=1, max_value=40))
def test_more_never_costs_less_and_never_less_than_the_spread(some: int, more: int) -> None:
    little, much = walking_cost(BOOK, Side.BUY, Decimal(some), FAR), walking_cost(BOOK, Side.BUY, Decimal(some + more), FAR)
    assert Decimal("0.01") <= little <= much


def test_nothing_is_reckoned_that_no_order_may_pay() -> None:
    assert walking_cost(BOOK, Side.SELL, Decimal(30), Decimal(120)) == Decimal("0.012")
    assert walking_cost(BOOK, Side.SELL, Decimal(30), Decimal(50)) == Decimal("0.005")
