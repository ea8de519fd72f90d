"""A fund against its ideal multiple: worked examples, and what holds for any path."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.accounting.tracking import Mark, Tracking, track

D = Decimal
START = datetime(2024, 3, 1, 0, 15, tzinfo=UTC)
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
THREE = {BTC: D(3)}
DAY = timedelta(days=1)


def marks(prices: list[str], navs: list[str] | None = None, targets: dict[str, Decimal] | None = None) -> list[Mark]:
    """Daily marks of one market; a NAV of 100 throughout where none is given."""
    return [
        Mark(at=START + day * DAY, nav=D(navs[day] if navs else 100), prices={BTC: D(price)}, targets=targets or THREE)
        for day, price in enumerate(prices)
    ]


def tracked(found: list[Mark]) -> Tracking:
    tracking = track(found)
    assert tracking is not None
    return tracking


@pytest.mark.parametrize(
    ("prices", "ideal"),
    [
        (["10", "11", "10"], "-0.0545"),
        (["10", "11", "12.1"], "0.6900"),
        (["10", "9.5", "9"], "-0.2842"),
        (["10", "11", "12.1", "13.31", "14.641"], "1.8561"),
        (["10", "9", "8.1", "7.29", "6.561"], "-0.7599"),
        (["10", "11", "9.9", "10.89", "9.801"], "-0.1719"),
    ],
)
def test_the_ideal_of_three_times_is_what_it_is_worked_out_to_be(prices: list[str], ideal: str) -> None:
    assert round(tracked(marks(prices)).ideal, 4) == D(ideal)


def test_two_percent_up_and_down_half_a_year() -> None:
    price, prices = D(100), ["100"]
    for move in [D("1.02"), D("0.98")] * 126:
        price *= move
        prices.append(str(price))
    assert round(1 + tracked(marks(prices)).ideal, 6) == D("0.634817")


def test_the_difference_is_the_funds_return_less_the_ideal_and_the_error_its_deviation() -> None:
    tracking = tracked(marks(["100", "101", "102", "100"], ["100", "102.9", "106", "99.5"]))
    apart = [float(step.fund - step.ideal) for step in tracking.steps]
    assert tracking.fund == D("-0.005")
    assert abs(tracking.difference - (tracking.fund - tracking.ideal)) < D("1e-25")
    assert tracking.error is not None
    assert float(tracking.error) == pytest.approx(stdev(apart) * 365**0.5)
    assert tracking.underlying == {BTC: 0}


def test_money_that_came_in_is_no_return() -> None:
    first, last = marks(["100", "100"], ["100", "150"])
    paid = Mark(at=last.at, nav=last.nav, prices=last.prices, targets=last.targets, flow=D(50))
    assert tracked([first, paid]).fund == 0
    assert tracked([first, last]).fund == D("0.5")


def test_what_turning_cost_is_the_path() -> None:
    tracking = tracked(marks(["10", "11", "10"]))
    assert tracking.path == tracking.ideal, "the market stands where it stood: all of it is the way"
    assert tracked(marks(["10", "11"])).path == 0


def test_a_path_of_other_targets_on_the_way_is_not_told() -> None:
    before = marks(["10", "11", "12"])
    before[1] = Mark(at=before[1].at, nav=before[1].nav, prices=before[1].prices, targets={BTC: D(2)})
    tracking = tracked(before)
    assert tracking.path is None
    assert round(tracking.ideal, 6) == round(D("1.3") * (1 + 2 * (D(12) / 11 - 1)) - 1, 6)


def test_a_market_without_a_price_at_either_end_counts_as_unmoved() -> None:
    both = {BTC: D(1), ETH: D(-1)}
    first = Mark(at=START, nav=D(100), prices={BTC: D(10), ETH: D(5)}, targets=both)
    last = Mark(at=START + DAY, nav=D(110), prices={BTC: D(11)}, targets={BTC: D(1)})
    tracking = tracked([first, last])
    assert (tracking.ideal, tracking.underlying) == (D("0.1"), {BTC: D("0.1")})


def test_an_ideal_that_is_gone_stays_gone() -> None:
    tracking = tracked(marks(["100", "60", "120"]))
    assert tracking.ideal == -1
    assert [step.ideal_path for step in tracking.steps] == [0, 0]


def test_one_mark_tells_nothing_and_two_have_no_deviation() -> None:
    assert track(marks(["100"])) is None
    assert tracked(marks(["100", "101"])).error is None


def test_runs_of_one_hour_say_nothing_of_a_year() -> None:
    close = [
        Mark(at=START + minute * timedelta(minutes=20), nav=D(100), prices={BTC: D(100 + minute)}, targets=THREE)
        for minute in range(4)
    ]
    assert tracked(close).error is None


@pytest.mark.parametrize("nav", ["0", "-5"])
def test_a_nav_that_is_not_above_zero_has_no_return(nav: str) -> None:
    with pytest.raises(ValueError, match="above zero"):
        track(marks(["100", "101"], ["100", nav]))


moves = st.lists(st.decimals("-0.3", "0.3", places=4), min_size=1, max_size=30)


@given(moves=moves, multiple=st.sampled_from([D(-3), D(-1), D("0.5"), D(2), D(3)]))
def test_a_fund_that_keeps_its_multiple_to_the_digit_is_never_off(moves: list[Decimal], multiple: Decimal) -> None:
    price, nav = D(100), D(1000)
    found = [Mark(at=START, nav=nav, prices={BTC: price}, targets={BTC: multiple})]
    for day, move in enumerate(moves, 1):
        price, nav = price * (1 + move), nav * (1 + multiple * move)
        found.append(Mark(at=START + day * DAY, nav=nav, prices={BTC: price}, targets={BTC: multiple}))
    tracking = tracked(found)
    assert abs(tracking.difference) < D("1e-25")
    assert tracking.error is None or tracking.error < D("1e-25")
    straight = 1 + multiple * (price / 100 - 1)
    assert tracking.path is not None
    assert abs(tracking.path - (tracking.ideal + 1 - straight)) < D("1e-25")
