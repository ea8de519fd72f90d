"""What holds of every plan that a band calls for: it ends between where the fund stands and its target, and may always reduce."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.fund import FundState, Standing
from keeper.domain.numbers import exact, rounded, sign
from keeper.domain.observation import Observation
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.limits import Limits
from keeper.planning.plan import Plan
from keeper.policy.mandate import Band, BandGoal, Mandate
from tests.fakes.markets import BTC, holding, linear, observe, quote, spot

LIMITS = Limits(
    max_order_notional=Decimal(10**6), max_turnover_per_day=Decimal(99), max_slippage_bps=Decimal(30), max_leverage=Decimal(20)
)
TARGETS = st.decimals(min_value="0.5", max_value=5, places=2).flatmap(lambda size: st.sampled_from([size, -size]))
PARTS = st.decimals(min_value="0.01", max_value="0.9", places=3)


@st.composite
def mandates(draw: st.DrawFn) -> Mandate:
    """A target, a band around it in either form, and a goal."""
    target, goal, speed = draw(TARGETS), draw(st.sampled_from(BandGoal)), draw(st.decimals("0.01", 1, places=2))
    if draw(st.booleans()):
        return Mandate(targets={BTC: target}, deadband=draw(PARTS), goal=goal, speed=speed)
    low, high = sorted((target * (1 - draw(PARTS)), target * (1 + draw(PARTS))))
    return Mandate(targets={BTC: target}, bands={BTC: Band(low, high)}, goal=goal, speed=speed)


@exact
def standing_at(leverage: Decimal, taker: Decimal) -> Observation:
    """A fund of 1,000 at ``leverage``."""
    market = linear(lot="0.000000001", taker=str(taker))
    return observe({"USDT": "1000"}, {market: quote("100")}, holding(BTC, str(leverage * 10), "100") if leverage else {})


def plan_of(mandate: Mandate, observation: Observation, standing: Standing | None = None) -> Plan:
    return build(
        Brief(
            fund="btc",
            venue="sim",
            environment="paper",
            mandate=mandate,
            limits=LIMITS,
            slicer=lambda _contracts, _smallest: 10,
            horizon=timedelta(minutes=30),
            standing=standing,
        ),
        observation,
    )


@given(
    mandate=mandates(),
    leverage=st.decimals(min_value=-9, max_value=9, places=3),
    taker=st.decimals(min_value=0, max_value="0.001", places=5),
)
def test_a_plan_ends_between_where_the_fund_stands_and_its_target(mandate: Mandate, leverage: Decimal, taker: Decimal) -> None:
    target, band = mandate.targets[BTC], mandate.band(BTC)
    plan = plan_of(mandate, standing_at(leverage, taker))
    after = plan.legs[0].leverage_after if plan.legs else leverage
    assert min(leverage, target) <= rounded(after, 12) <= max(leverage, target)
    if not band.holds(leverage):
        assert plan.legs
        nearest = rounded(band.nearest(leverage), 6)
        assert min(nearest, target) <= rounded(after, 6) <= max(nearest, target)
    elif mandate.goal is not BandGoal.RECENTER:
        assert not plan.legs


@given(mandate=mandates(), beyond=st.decimals(min_value="0.01", max_value=9, places=2))
def test_what_lies_beyond_the_band_may_always_be_reduced(mandate: Mandate, beyond: Decimal) -> None:
    band, target = mandate.band(BTC), mandate.targets[BTC]
    leverage = rounded(band.outermost + beyond, 3) * sign(target)
    bound = Standing(fund="btc", state=FundState.REDUCE_ONLY, reason="a breaker", cause="loss")
    plan = plan_of(mandate, standing_at(leverage, Decimal("0.0005")), bound)
    assert plan.refusals == ()
    (leg,) = plan.legs
    assert leg.reduce_only
    assert rounded(abs(leg.leverage_after), 6) <= rounded(band.outermost, 6)


@given(held=st.tuples(*[st.decimals("0.1", 99, places=3)] * 3), price=st.decimals("0.5", 99, places=3))
def test_a_fully_invested_spot_fund_takes_a_step_and_no_more(held: tuple[Decimal, ...], price: Decimal) -> None:
    targets = {"BTC/USD": Decimal("0.5"), "ETH/USD": Decimal("0.3"), "SOL/USD": Decimal("0.2")}
    markets = {spot(symbol): quote(str(mark)) for symbol, mark in zip(targets, (price, 7, 3), strict=True)}
    seen = observe({symbol[:3]: str(amount) for symbol, amount in zip(targets, held, strict=True)}, markets)
    mandate = Mandate(targets=targets, deadband=Decimal("0.99"), goal=BandGoal.RECENTER, speed=Decimal("0.25"))
    for leg in plan_of(mandate, seen).legs:
        step = mandate.band(leg.symbol).nearest((3 * seen.valuation().leverage(leg.symbol) + targets[leg.symbol]) / 4)
        assert rounded(leg.goal, 9) == rounded(step, 9)
