"""Steps toward the target: FLI's own figures, and what holds of any step."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.numbers import rounded
from keeper.policy.mandate import Band, BandGoal, Mandate
from keeper.policy.recentering import recentered
from keeper.policy.triggers import Due, NotDue, decide
from tests.fakes.markets import BTC, holding, linear, observe, quote

FLI = Band(Decimal("1.7"), Decimal("2.3"))
FIGURES = st.decimals(min_value=-9, max_value=9, places=6)
SPEEDS = st.decimals(min_value="0.0001", max_value=1, places=4)
STEPS = st.tuples(FIGURES, FIGURES, FIGURES).map(sorted).map(lambda three: (Band(three[0], three[2]), three[1]))


@pytest.mark.parametrize(
    ("leverage", "speed", "goal"),
    [
        pytest.param("2.25", "0.05", "2.2375", id="inside the band it goes a step"),
        pytest.param("2", "0.05", "2", id="on the target it stays"),
        pytest.param("2.5", "0.05", "2.3", id="what ends outside the band ends on its upper edge"),
        pytest.param("1.2", "0.05", "1.7", id="and on its lower one"),
        pytest.param("2.5", "0.5", "2.25", id="a long step goes into the band"),
        pytest.param("2.25", "1", "2", id="at full speed it goes to the target"),
    ],
)
def test_a_step_is_that_of_fli(leverage: str, speed: str, goal: str) -> None:
    assert recentered(Decimal(leverage), Decimal(2), FLI, Decimal(speed)) == Decimal(goal)


@given(step=STEPS, leverage=FIGURES, speed=SPEEDS, begun=st.none() | FIGURES)
def test_a_step_never_passes_the_target_never_turns_back_and_ends_inside_the_band(
    step: tuple[Band, Decimal], leverage: Decimal, speed: Decimal, begun: Decimal | None
) -> None:
    band, target = step
    goal = recentered(leverage, target, band, speed, begun)
    assert min(leverage, target) <= goal <= max(leverage, target)
    assert band.holds(goal)


@given(step=STEPS, one=FIGURES, other=FIGURES, speed=SPEEDS)
def test_steps_keep_the_order_of_where_they_began(
    step: tuple[Band, Decimal], one: Decimal, other: Decimal, speed: Decimal
) -> None:
    band, target = step
    low, high = sorted((one, other))
    assert recentered(low, target, band, speed) <= recentered(high, target, band, speed)


@given(step=STEPS, leverage=FIGURES, speeds=st.tuples(SPEEDS, SPEEDS).map(sorted))
def test_more_speed_never_ends_farther_from_the_target(
    step: tuple[Band, Decimal], leverage: Decimal, speeds: list[Decimal]
) -> None:
    band, target = step
    slow, fast = (abs(recentered(leverage, target, band, speed) - target) for speed in speeds)
    assert fast <= slow


@pytest.mark.parametrize(
    ("leverage", "goal"),
    [
        pytest.param("1.835", "1.8416", id="cut on the way, it ends where it was to end"),
        pytest.param("1.85", "1.85", id="carried past its end by the market, it is over"),
        pytest.param("2.1", "2.1", id="carried past the target, it does not come back"),
        pytest.param("2.4", "2.3", id="nor but for what is outside the band"),
        pytest.param("2", "2", id="nor from the target itself"),
        pytest.param("1.6", "1.8416", id="carried away, it still ends there"),
    ],
)
def test_a_step_that_was_begun_is_gone_on_with(leverage: str, goal: str) -> None:
    assert recentered(Decimal(leverage), Decimal(2), FLI, Decimal("0.05"), Decimal("1.8416")) == Decimal(goal)


@pytest.mark.parametrize(
    ("contracts", "begun", "goal"),
    [
        pytest.param("1.9", {}, "1.905", id="inside the band"),
        pytest.param("2", {}, None, id="on the target"),
        pytest.param("1.9", {BTC: Decimal("1.9")}, None, id="at the end of the step that was begun"),
        pytest.param("1.9", {BTC: Decimal("1.95")}, "1.95", id="on the way there"),
    ],
)
def test_a_fund_that_recenters_goes_a_step_inside_its_band_too(
    contracts: str, begun: dict[str, Decimal], goal: str | None
) -> None:
    rule = Mandate(targets={BTC: Decimal(2)}, bands={BTC: FLI}, goal=BandGoal.RECENTER, speed=Decimal("0.05"))
    worth = observe({"USDT": "100"}, {linear(): quote("100")}, holding(BTC, contracts, "100")).valuation()
    match decide(rule, worth, begun):
        case Due(reason, goals):
            assert goal is not None
            assert goals == {BTC: Decimal(goal)}
            assert f"wanted 2.000x within 1.700x to 2.300x, now to {rounded(goals[BTC], 3)}x" in reason
        case NotDue(why):
            assert goal is None
            assert why == "every market is on its target"
