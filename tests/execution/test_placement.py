from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.market import Side
from keeper.domain.numbers import BPS, is_multiple
from keeper.execution.placement import capped_by_depth, collared_price
from tests.fakes.markets import book, linear


@pytest.mark.parametrize(
    ("side", "mid", "bps", "tick", "limit"),
    [
        pytest.param(Side.BUY, "100", "30", "0.01", "100.3", id="buy"),
        pytest.param(Side.SELL, "100", "30", "0.01", "99.7", id="sell"),
        pytest.param(Side.BUY, "100", "30", "0.5", "100", id="buy, down to the tick"),
        pytest.param(Side.SELL, "100", "30", "0.5", "100", id="sell, up to the tick"),
        pytest.param(Side.BUY, "0.123457", "7", "0.000001", "0.123543", id="small price"),
        pytest.param(Side.BUY, "100", "0", "0.01", "100", id="no slippage"),
    ],
)
def test_the_limit_is_the_collar_on_the_safe_side_of_the_tick(side: Side, mid: str, bps: str, tick: str, limit: str) -> None:
    assert collared_price(linear(tick=tick), book(mid), side, Decimal(bps)) == Decimal(limit)


@pytest.mark.parametrize(
    ("price", "tick"),
    [
        ("0.01234", "0.0001"),
        ("9.9999", "0.0001"),
        ("10", "0.001"),
        ("99.999", "0.001"),
        ("1234.5", "0.1"),
        ("9999.95", "0.1"),
        ("10000", "1"),
        ("123456.7", "1"),
    ],
)
def test_five_digits_make_the_tick_grow_with_the_price_up_to_one(price: str, tick: str) -> None:
    market = replace(linear(tick="0.0001"), digits=5)
    assert market.tick_at(Decimal(price)) == Decimal(tick)
    assert linear(tick="0.0001").tick_at(Decimal(price)) == Decimal("0.0001")


@given(st.sampled_from(Side), st.decimals(min_value="0.01", max_value=10**6, places=5), st.integers(min_value=0, max_value=500))
def test_a_limit_of_five_digits_is_on_its_own_tick_even_across_a_power_of_ten(side: Side, mid: Decimal, bps: int) -> None:
    limit = collared_price(market := replace(linear(tick="0.0001"), digits=5), book(str(mid)), side, Decimal(bps))
    assert (mid * (1 + side.sign * Decimal(bps) / BPS) - limit) * side.sign >= 0
    assert is_multiple(limit, market.tick_at(limit))
    assert limit == limit.to_integral_value() or len(limit.normalize().as_tuple().digits) <= 5


@given(
    st.sampled_from(Side),
    st.decimals(min_value=1, max_value=10**6, places=4),
    st.decimals(min_value=0, max_value=500, places=2),
    st.sampled_from(["0.0001", "0.01", "0.5"]),
)
def test_no_limit_is_worse_than_the_collar(side: Side, mid: Decimal, bps: Decimal, tick: str) -> None:
    limit = collared_price(linear(tick=tick), book(str(mid)), side, bps)
    assert (mid * (1 + side.sign * bps / BPS) - limit) * side.sign >= 0
    assert is_multiple(limit, Decimal(tick))


@pytest.mark.parametrize(
    ("side", "contracts", "limit", "share", "amount"),
    [
        pytest.param(Side.BUY, "5", "102", "1", "5", id="less than there is"),
        pytest.param(Side.BUY, "50", "102", "1", "30", id="all three levels within the limit"),
        pytest.param(Side.BUY, "50", "101", "1", "20", id="two of them"),
        pytest.param(Side.BUY, "50", "102", "0.5", "15", id="half of what is there"),
        pytest.param(Side.BUY, "50", "102", "0.333333", "9.999", id="whole lots"),
        pytest.param(Side.BUY, "50", "99", "1", "0", id="nothing within the limit"),
        pytest.param(Side.SELL, "50", "98", "1", "30", id="bids for a sale"),
    ],
)
def test_a_slice_takes_no_more_than_its_share_of_the_depth(
    side: Side, contracts: str, limit: str, share: str, amount: str
) -> None:
    shown = book("100", depth="10", levels=3)
    market = linear(lot="0.001")
    sized = capped_by_depth(market, shown, side, Decimal(contracts), limit=Decimal(limit), share=Decimal(share))
    assert sized == Decimal(amount)
