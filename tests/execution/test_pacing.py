from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.numbers import is_multiple
from keeper.execution.pacing import FINISHING_STEP, SHORTEST, Pacing, Style, share, whole
from tests.fakes.markets import NOON

TWAP = Pacing(style=Style.TWAP, horizon=timedelta(minutes=10), slices=9, max_depth=Decimal("0.5"))
URGENT = replace(TWAP, style=Style.URGENT)


@pytest.mark.parametrize(
    ("pacing", "contracts", "smallest", "slices"),
    [
        pytest.param(TWAP, "100", "1", 9, id="as many as configured"),
        pytest.param(TWAP, "-100", "1", 9, id="a sale likewise"),
        pytest.param(TWAP, "9", "1", 9, id="just enough for all"),
        pytest.param(TWAP, "8.999", "1", 8, id="one below the smallest order"),
        pytest.param(TWAP, "0.5", "1", 1, id="never none"),
        pytest.param(TWAP, "0", "1", 1, id="nothing is one slice too"),
        pytest.param(URGENT, "100", "1", 1, id="urgent is one"),
    ],
)
def test_a_leg_is_cut_into_no_more_slices_than_orders_it_can_fill(
    pacing: Pacing, contracts: str, smallest: str, slices: int
) -> None:
    assert pacing.planned_slices(Decimal(contracts), Decimal(smallest)) == slices


@pytest.mark.parametrize(
    ("horizon", "slices", "seconds"),
    [
        pytest.param(600, 9, 60, id="nine tenths of the horizon"),
        pytest.param(600, 2, 270, id="two"),
        pytest.param(600, 1, FINISHING_STEP.total_seconds(), id="one has only its tail"),
        pytest.param(2, 1, 2, id="a horizon shorter than a step"),
    ],
)
def test_slices_are_spread_over_all_but_the_last_tenth(horizon: int, slices: int, seconds: float) -> None:
    assert replace(TWAP, horizon=timedelta(seconds=horizon)).interval(slices) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("elapsed", "left"), [(0, 9), (59.9, 9), (60, 8), (479, 2), (480, 1), (539, 1), (540, 1), (600, 1), (10_000, 1)]
)
def test_the_slices_to_come_follow_the_clock(elapsed: float, left: int) -> None:
    assert TWAP.remaining_slices(9, NOON, NOON + timedelta(seconds=elapsed)) == left


@pytest.mark.parametrize(("value", "expected"), [("3.999", 3), ("3", 3), ("0.1", 0), ("-0.1", -1)])
def test_whole_rounds_down(value: str, expected: int) -> None:
    assert whole(Decimal(value)) == expected


@pytest.mark.parametrize(
    ("contracts", "parts", "lot", "expected"),
    [
        ("285.714285", 9, "0.000001", "31.746032"),
        ("10", 3, "1", "4"),
        ("2", 3, "1", "1"),
        ("0.5", 1, "0.001", "0.5"),
        ("0.0005", 2, "0.001", "0.0005"),
    ],
)
def test_a_share_is_raised_to_a_lot_but_never_above_the_whole(contracts: str, parts: int, lot: str, expected: str) -> None:
    assert share(Decimal(contracts), parts, Decimal(lot)) == Decimal(expected)


@given(st.integers(min_value=1, max_value=10**9), st.integers(min_value=1, max_value=50))
def test_shares_taken_one_after_the_other_use_up_the_whole(lots: int, parts: int) -> None:
    lot = Decimal("0.001")
    left = lots * lot
    for remaining in range(parts, 0, -1):
        if not left:
            break
        taken = share(left, remaining, lot)
        assert is_multiple(taken, lot)
        assert 0 < taken <= left
        left -= taken
    assert left == 0


@pytest.mark.parametrize(
    ("left", "horizon"),
    [
        pytest.param(None, timedelta(minutes=10), id="nothing follows"),
        pytest.param(timedelta(minutes=11), timedelta(minutes=10), id="time enough"),
        pytest.param(timedelta(minutes=10), timedelta(minutes=10), id="just enough"),
        pytest.param(timedelta(minutes=4), timedelta(minutes=4), id="less than it would take"),
        pytest.param(timedelta(0), SHORTEST, id="none"),
        pytest.param(timedelta(minutes=-1), SHORTEST, id="none for a while"),
    ],
)
def test_a_run_takes_no_longer_than_what_is_left(left: timedelta | None, horizon: timedelta) -> None:
    pacing = replace(TWAP, ends_by=None if left is None else NOON + left)
    assert pacing.from_now(NOON) == replace(pacing, horizon=horizon)
