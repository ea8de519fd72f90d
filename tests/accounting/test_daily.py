"""Each change of equity by cause: worked examples, and what holds for any history."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.accounting.daily import Attribution, Booking, Item, Part, Reading, Trade, steps_of, summed
from keeper.domain.numbers import ZERO, exact

D = Decimal
START = datetime(2024, 3, 1, 0, 15, tzinfo=UTC)
DAY = timedelta(days=1)
THREE = D(3)
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def reading(day: float, equity: str | Decimal, exposure: str | Decimal, price: str | Decimal, goal: str | None = None) -> Reading:
    goals = None if goal is None else {BTC: D(goal)}
    return Reading(at=START + day * DAY, equity=D(equity), exposures={BTC: D(exposure)}, prices={BTC: D(price)}, goals=goals)


def trade(day: float, base: str, price: str, decided: str, *, fee: str = "0", urgent: bool = False) -> Trade:
    return Trade(at=START + day * DAY, key=BTC, base=D(base), price=D(price), decided=D(decided), fee=D(fee), urgent=urgent)


def booking(day: float, part: Part, amount: str) -> Booking:
    return Booking(at=START + day * DAY, part=part, amount=D(amount))


def attributed(*items: Item) -> Attribution:
    return summed(steps_of(items))


def told(found: Attribution) -> dict[str, Decimal]:
    return {part.value: amount for part, amount in found.parts.items() if amount}


@exact
def rebalanced(prices: list[Decimal], goal: Decimal = THREE) -> list[Item]:
    """A fund without friction: at each price it holds ``goal`` times its equity, traded at that price."""
    equity, held = D(100), ZERO
    items: list[Item] = []
    for day, price in enumerate(prices):
        if day:
            equity += held * (price - prices[day - 1])
        at = START + day * DAY
        items.append(Reading(at=at, equity=equity, exposures={BTC: held * price}, prices={BTC: price}, goals={BTC: goal}))
        bought = goal * equity / price - held
        held += bought
        items.append(Trade(at=at, key=BTC, base=bought, price=price, decided=price, fee=ZERO))
        items.append(Reading(at=at, equity=equity, exposures={BTC: held * price}, prices={BTC: price}))
    return items


def test_a_move_at_target_is_the_markets() -> None:
    found = attributed(reading(0, "100", "300", "10", "3"), reading(1, "115", "315", "10.5"))
    assert told(found) == {"market": D(15)}
    assert (found.cost, found.flagged, found.mean) == (D(0), False, D(100))


def test_what_is_held_beside_the_target_drifts() -> None:
    found = attributed(reading(0, "100", "280", "10", "3"), reading(1, "114", "294", "10.5"))
    assert told(found) == {"market": D(15), "drift": D(-1)}


def test_without_a_target_what_is_held_is_the_target() -> None:
    assert told(attributed(reading(0, "100", "280", "10"), reading(1, "114", "294", "10.5"))) == {"market": D(14)}


def test_a_trade_costs_what_it_lost_against_its_decision_and_its_fee() -> None:
    found = attributed(
        reading(0, "100", "0", "10", "3"),
        trade(0.1, "30", "10.02", "10", fee="0.15"),
        reading(0.2, "102.25", "303", "10.1"),
    )
    assert told(found) == {"market": D(3), "trading": D("-0.75")}
    assert (found.cost, found.bps(found.cost)) == (D("0.75"), D(75))


def test_what_the_venue_books_is_told_by_cause() -> None:
    found = attributed(
        reading(0, "100", "300", "10", "3"),
        booking(0.3, Part.FUNDING, "-0.09"),
        booking(0.4, Part.BORROW, "-0.02"),
        booking(0.5, Part.FEES, "0.01"),
        booking(0.6, Part.FLOWS, "50"),
        booking(0.7, Part.FUNDING, "-0.01"),
        reading(1, "149.89", "300", "10"),
    )
    assert told(found) == {"funding": D("-0.10"), "borrow": D("-0.02"), "fees": D("0.01"), "flows": D(50)}
    assert found.cost == D("0.11")


def test_what_nobody_explains_is_said_above_a_tenth_of_a_basis_point() -> None:
    silent = attributed(reading(0, "100", "300", "10", "3"), reading(1, "100.001", "300", "10"))
    assert (told(silent), silent.flagged) == ({"unexplained": D("0.001")}, False)
    loud = attributed(reading(0, "100", "300", "10", "3"), reading(1, "99.9989", "300", "10"))
    assert (told(loud), loud.flagged) == ({"unexplained": D("-0.0011")}, True)
    assert attributed(reading(0, "-1", "0", "10"), reading(1, "0", "0", "10")).bps(D(1)) is None


def test_a_market_without_a_price_at_one_end_explains_nothing() -> None:
    start = replace(reading(0, "100", "300", "10", "3"), prices={})
    end = replace(reading(1, "115", "315", "10.5"), prices={})
    found = attributed(start, trade(0.5, "1", "9", "10", fee="1", urgent=True), end, reading(2, "115", "315", "10.5"))
    assert told(found) == {"trading": D(-1), "unexplained": D(16)}


def test_an_emergency_that_prices_come_back_from_is_a_whipsaw() -> None:
    down = D(10) * 8 / 9
    fell, back = D(100) * 2 / 3, D(100) * 2 / 3 + D(200) / 8
    items: list[Item] = [
        reading(0, "100", "300", "10", "3"),
        reading(0.5, fell, down * 30, down),
        trade(0.5, "-7.5", str(down), str(down), urgent=True),
        reading(0.5, fell, down * D("22.5"), down),
        reading(1, back, "225", "10"),
        trade(1.5, "-0.5", "10", "10"),
        reading(2, back + D("2.2"), "242", "11"),
    ]
    found = attributed(*items)
    parts = found.parts
    assert round(found.after - D(22) / 10, 2) == D("91.67")
    assert round(parts[Part.WHIPSAW], 9) == D("-8.333333333") - D("7.5")
    assert round(parts[Part.MARKET], 9) == D(30)
    assert round(parts[Part.DRIFT], 9) == D("-0.5")
    assert round(found.cost, 6) == D("15.833333")
    # once the targets were gone to, what was taken off is missed no more
    again: list[Item] = [*items[:5], reading(1, back, "225", "10", "3"), reading(2, back * D("1.225"), "247.5", "11")]
    assert round(attributed(*again).parts[Part.WHIPSAW], 9) == D("-8.333333333")


def test_the_path_is_what_reversing_prices_cost() -> None:
    found = attributed(*rebalanced([D(10), D(11), D(10)]))
    assert round(found.parts[Part.PATH], 9) == D("-5.454545455")
    assert sum(abs(amount) for part, amount in found.parts.items() if part is not Part.PATH) < D("1e-9")
    steps = steps_of(rebalanced([D(10), D(11), D(10)]))
    assert [summed([step]).parts[Part.PATH] for step in steps] == [0] * len(steps)


def test_money_that_moved_and_other_targets_begin_a_stretch() -> None:
    before = rebalanced([D(10), D(11)])
    after: list[Item] = [
        replace(reading(1.5, "1130", "429", "11", "3")),
        trade(1.5, str(D(2961) / 11), "11", "11"),
        reading(1.5, "1130", "3390", "11"),
        reading(2, D(1130) - D(3390) / 11, D(33900) / 11, "10", "3"),
    ]
    found = attributed(*before, booking(1.2, Part.FLOWS, "1000"), *after)
    assert abs(found.parts[Part.PATH]) < D("1e-9")
    assert found.parts[Part.FLOWS] == 1000
    turned: list[Item] = [*before, reading(1.5, "130", "390", "11", "1"), reading(2, "94.5454545", "354.5454545", "10", "1")]
    assert attributed(*turned).parts[Part.PATH] == 0


def test_a_step_belongs_to_the_day_that_its_middle_is_in() -> None:
    [step] = steps_of([reading(0, "100", "300", "10"), reading(1, "100", "300", "10")])
    assert step.middle == START + DAY / 2


def test_nothing_is_told_of_less_than_two_readings() -> None:
    assert steps_of([]) == ()
    assert steps_of([booking(0, Part.FUNDING, "1"), reading(1, "100", "300", "10"), booking(2, Part.FUNDING, "1")]) == ()


def test_readings_of_one_instant_have_the_equity_that_they_began_with() -> None:
    assert attributed(reading(0, "100", "0", "10"), reading(0, "100", "0", "10")).mean == 100


def test_a_fund_that_lost_all_has_no_path() -> None:
    found = attributed(reading(0, "-5", "30", "10", "3"), reading(1, "-5", "30", "10", "3"), reading(2, "-8", "27", "9"))
    assert found.parts[Part.PATH] == 0


prices = st.lists(st.decimals("5", "20", places=2), min_size=2, max_size=12)


@given(prices, st.sampled_from([D(3), D(-1), D(2), D("0.5"), D(-3)]))
@exact
def test_without_friction_market_and_path_are_all_and_the_path_is_its_formula(found: list[Decimal], goal: Decimal) -> None:
    worth = D(1)
    for before, after in pairwise(found):
        worth *= 1 + goal * (after / before - 1)
        if worth <= 0:
            return
    attribution = attributed(*rebalanced(found, goal))
    formula = 100 * (worth - (1 + goal * (found[-1] / found[0] - 1)))
    assert abs(attribution.parts[Part.PATH] - formula) < D("1e-9")
    others = sum(abs(amount) for part, amount in attribution.parts.items() if part not in (Part.PATH, Part.MARKET))
    assert others < D("1e-9")


amounts = st.decimals("-1000", "1000", places=6)
readings = st.builds(
    Reading,
    at=st.integers(0, 9).map(lambda day: START + day * DAY),
    equity=amounts,
    exposures=st.dictionaries(st.sampled_from([BTC, ETH]), amounts),
    prices=st.dictionaries(st.sampled_from([BTC, ETH]), st.decimals("0.01", "1000", places=4)),
    goals=st.none() | st.dictionaries(st.sampled_from([BTC, ETH]), st.decimals("-5", "5", places=2)),
)
trades = st.builds(
    Trade,
    at=st.just(START),
    key=st.sampled_from([BTC, ETH]),
    base=amounts,
    price=st.decimals("0.01", "1000", places=4),
    decided=st.decimals("0.01", "1000", places=4),
    fee=amounts,
    urgent=st.booleans(),
)
bookings = st.builds(
    Booking, at=st.just(START), part=st.sampled_from([Part.FUNDING, Part.BORROW, Part.FEES, Part.FLOWS]), amount=amounts
)


@given(st.lists(st.one_of(readings, trades, bookings), max_size=20))
def test_the_parts_are_the_change_to_the_last_digit(items: list[Item]) -> None:
    steps = steps_of(items)
    if not steps:
        return
    whole = summed(steps)
    assert sum(whole.parts.values(), ZERO) == whole.after - whole.before
    each = [summed([step]) for step in steps]
    for part in (Part.TRADING, Part.WHIPSAW, Part.FUNDING, Part.FLOWS):
        assert abs(sum(one.parts[part] for one in each) - whole.parts[part]) < D("1e-9")


def test_an_attribution_is_a_value() -> None:
    one = attributed(reading(0, "100", "300", "10", "3"), reading(1, "115", "315", "10.5"))
    with pytest.raises(AttributeError):
        one.after = D(0)  # type: ignore[misc]
