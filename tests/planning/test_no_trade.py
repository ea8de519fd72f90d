"""Bands that are worked out: the best of their kind, true of a random walk, and near what was measured on real prices."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from math import sqrt
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.numbers import rounded
from keeper.domain.observation import MarketStats, Observation
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.limits import Limits
from keeper.planning.no_trade import region, resolved
from keeper.policy.mandate import Band, BandGoal, Mandate
from tests.fakes.markets import BTC, book, holding, linear, observe, quote

D = Decimal
COSTS = st.decimals(min_value="0.0001", max_value="0.01", places=4)
VOLATILITIES = st.decimals(min_value="0.001", max_value="0.2", places=3)
AVERSIONS = st.decimals(min_value="0.1", max_value=100, places=1)
TARGETS = st.decimals(min_value=-5, max_value=5, places=1).filter(lambda target: target not in (0, 1))


def objective(half: float, target: float, cost: float, volatility: float, aversion: float) -> float:
    """What is to be least, a day: the cost, and the weighted variance, as they stand in the module's docstring."""
    drift = volatility * abs(target * (target - 1))
    wider = half + 0.5826 * drift
    variance = half**2 * (half / 3 + 0.5826 * drift) / wider
    return cost * drift**2 / (2 * wider) + aversion / 2 * volatility**2 * variance


@given(target=TARGETS, cost=COSTS, volatility=VOLATILITIES, aversion=AVERSIONS)
def test_no_other_width_is_better(target: Decimal, cost: Decimal, volatility: Decimal, aversion: Decimal) -> None:
    figures = [float(figure) for figure in (target, cost, volatility, aversion)]
    best = float(region(target, cost, volatility, aversion).half_width)
    for other in (0, best * 0.9, best * 1.1, best * 2):
        assert objective(best, *figures) <= objective(other, *figures) * (1 + 1e-9)


@given(target=TARGETS, costs=st.tuples(COSTS, COSTS), volatility=VOLATILITIES, aversions=st.tuples(AVERSIONS, AVERSIONS))
def test_what_costs_more_or_matters_less_is_left_alone_for_longer(
    target: Decimal, costs: tuple[Decimal, Decimal], volatility: Decimal, aversions: tuple[Decimal, Decimal]
) -> None:
    low, high = sorted(costs)
    close, loose = sorted(aversions, reverse=True)
    widths = [region(target, cost, volatility, close).half_width for cost in (low, high)]
    assert widths[0] <= widths[1] <= region(target, high, volatility, loose).half_width
    assert region(target, high, volatility * 2, loose).half_width <= region(target, high, volatility, loose).half_width
    assert region(target, high, volatility, loose, room=D("0.01")).half_width <= D("0.01")


def test_without_a_days_drift_it_is_the_region_of_the_literature() -> None:
    # h^3 = 3/4 e L^2 (L - 1)^2 / g with the spread e = 2 c of a round trip
    found = region(D(3), D("0.00055"), D("0.0000001"), D(5)).half_width
    assert rounded(found**3, 6) == rounded(D("0.75") * D("0.0011") * 36 / 5, 6)
    assert rounded(found, 3) == D("0.181")
    assert region(D(1), D("0.001"), D("0.04"), D(5)).half_width == 0
    assert region(D(3), D(0), D("0.04"), D(5)).half_width == 0


def steps(count: int) -> list[float]:
    """Standard normal numbers, the same ones each time."""
    shape = NormalDist()
    hashes = (hashlib.sha256(str(number).encode()).digest() for number in range(count))
    return [shape.inv_cdf((int.from_bytes(found[:6], "big") + 0.5) / 2**48) for found in hashes]


WALK = steps(20_000)


@pytest.mark.parametrize("half", ["0.03", "0.1", "0.25"])
def test_a_random_walk_costs_and_strays_as_the_region_says(half: str) -> None:
    target, cost, volatility = 3.0, 0.0005, 0.035
    found = region(D(3), D("0.0005"), D("0.035"), D("0.001"), room=D(half))
    edge, at, pushed, squares = float(half), 0.0, 0.0, 0.0
    for step in WALK:
        at += step * volatility * target * (target - 1)
        inside = max(-edge, min(edge, at))
        pushed, at = pushed + abs(at - inside), inside
        squares += at * at
    assert float(found.cost) == pytest.approx(365 * cost * pushed / len(WALK), rel=0.04)
    assert float(found.tracking_error) == pytest.approx(volatility * sqrt(365 * squares / len(WALK)), rel=0.06)


@pytest.mark.parametrize(("deadband", "cost_bps", "error_bps"), [("0.01", 153, 197), ("0.02", 130, 372)])
def test_it_is_near_what_btc_cost_and_strayed_at_3x(deadband: str, cost_bps: int, error_bps: int) -> None:
    # daily, 2020-10 to 2024-04, at 3.5 bps; a day's return had 3.4 % and fat tails, which cost less than normal ones
    found = region(D(3), D("0.00035"), D("0.034"), D("0.001"), room=3 * D(deadband))
    assert float(found.cost) * 10_000 == pytest.approx(cost_bps, rel=0.25)
    assert float(found.tracking_error) * 10_000 == pytest.approx(error_bps, rel=0.12)


def seen(leverage: str, volatility: str | None = "0.04", *, half_spread: str = "0.01") -> Observation:
    """1,000 of NAV at ``leverage``; a fee of 4 bps, and a spread of 1 bp on either side."""
    stats = {BTC: MarketStats(volume=D(0), volatility=D(volatility))} if volatility is not None else {}
    quoted = replace(quote("100"), book=book("100", half_spread=half_spread))
    return observe({"USDT": "1000"}, {linear(taker="0.0004"): quoted}, holding(BTC, str(D(leverage) * 10), "100"), stats=stats)


AUTO = Mandate(targets={BTC: D(3)}, goal=BandGoal.EDGE, aversion=D(5))


def test_the_band_follows_fee_spread_and_volatility_and_the_reasoning_is_told() -> None:
    mandate, [note] = resolved(AUTO, seen("3"))
    half = region(D(3), D("0.0005"), D("0.04"), D(5)).half_width
    assert mandate.band(BTC) == Band(3 - half, 3 + half)
    for words in (
        f"from {3 - half:.3f}x to {3 + half:.3f}x",
        "a trade costs 5 bps",
        "volatility is 4.00%",
        "bands.aversion is 5;",
    ):
        assert words in note
    wider, _ = resolved(AUTO, seen("3", half_spread="0.05"))
    assert wider.band(BTC).low < mandate.band(BTC).low
    calm, _ = resolved(AUTO, seen("3", "0.01"))
    assert calm.band(BTC).low < mandate.band(BTC).low
    crossed, _ = resolved(AUTO, seen("3", half_spread="-0.05"))
    assert crossed.band(BTC).low > mandate.band(BTC).low


@pytest.mark.parametrize("volatility", [None, "0", "-0.1", "nan"])
def test_where_no_volatility_is_told_there_is_no_band(volatility: str | None) -> None:
    mandate, [note] = resolved(AUTO, seen("3", volatility))
    assert not mandate.band(BTC).has_room
    assert "tells no volatility" in note


@pytest.mark.parametrize(
    ("target", "emergency", "band"),
    [
        pytest.param("3", None, ("2", "4"), id="not into the emergency"),
        pytest.param("3", "3.25", ("2.75", "3.25"), id="nor into one that was named"),
        pytest.param("-3", None, ("-4.5", "-1.5"), id="nor near zero"),
        pytest.param("0.5", None, ("0.25", "0.75"), id="where nothing is an emergency, either"),
    ],
)
def test_no_band_reaches_an_emergency_or_zero(target: str, emergency: str | None, band: tuple[str, str]) -> None:
    rule = Mandate(targets={BTC: D(target)}, aversion=D("0.0001"), emergency_leverage=D(emergency) if emergency else None)
    mandate, _ = resolved(rule, seen(target))
    assert mandate.band(BTC) == Band(*map(D, band))


def test_a_mandate_that_names_its_bands_is_left_as_it_is() -> None:
    rule = Mandate(targets={BTC: D(3)}, deadband=D("0.1"))
    assert resolved(rule, seen("3")) == (rule, ())


@pytest.mark.parametrize(("leverage", "side"), [("3.01", None), ("2.99", None), ("3.5", 1), ("2.5", -1)])
def test_a_plan_goes_to_the_edge_of_the_band_that_was_worked_out(leverage: str, side: int | None) -> None:
    limits = Limits(max_order_notional=D(10**6), max_turnover_per_day=D(9), max_slippage_bps=D(30), max_leverage=D(9))
    brief = Brief(
        fund="btc3l",
        venue="sim",
        environment="paper",
        mandate=AUTO,
        limits=limits,
        slicer=lambda _contracts, _smallest: 10,
        horizon=timedelta(minutes=30),
    )
    plan = build(brief, seen(leverage))
    assert plan.document()["notes"] == list(plan.notes)
    assert BTC in plan.notes[0]
    if side is None:
        assert not plan.due
        return
    edge = 3 + side * region(D(3), D("0.0005"), D("0.04"), D(5)).half_width
    assert rounded(plan.legs[0].leverage_after, 6) == rounded(edge, 6)
