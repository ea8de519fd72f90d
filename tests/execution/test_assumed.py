"""What an emergency takes for held while outcomes are not known: every reduction filled, no increase did."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.market import Side
from keeper.domain.order import Child, ChildState, OrderRequest
from keeper.execution.recovery import assumed
from tests.fakes.markets import BTC, ETH, NOON, holding, linear, observe, quote, spot

D = Decimal
SPOT = "BTC/USDT"


def child(side: Side, amount: str, *, reduce_only: bool, symbol: str = BTC) -> Child:
    request = OrderRequest(
        client_id="kpr1",
        symbol=symbol,
        side=side,
        amount=D(amount),
        price=D(100),
        reduce_only=reduce_only,
        deadline=NOON + timedelta(seconds=5),
    )
    return Child(
        request=request,
        run="r1",
        leg=0,
        sequence=1,
        mid=D(100),
        half_spread=D(0),
        state=ChildState.UNKNOWN,
        at=NOON,
        notional=D(100) * D(amount),
    )


CLOSES = child(Side.SELL, "4", reduce_only=True)


@pytest.mark.parametrize(
    ("held", "expected", "unknown", "left"),
    [
        pytest.param("10", "10", CLOSES, "6", id="it may have filled, and does not show yet"),
        pytest.param("6", "10", CLOSES, "6", id="it did, and shows: nothing is taken off twice"),
        pytest.param("8", "10", CLOSES, "6", id="it shows in part"),
        pytest.param("10", None, CLOSES, "6", id="nothing was ever recorded"),
        pytest.param("3", "3", CLOSES, None, id="it may have closed all of it"),
        pytest.param("-10", "-10", child(Side.BUY, "4", reduce_only=True), "-6", id="a short"),
        pytest.param("10", "10", child(Side.BUY, "4", reduce_only=False), "10", id="an increase did not fill"),
        pytest.param("-10", "-10", CLOSES, "-10", id="a side that reduces nothing"),
        pytest.param("10", "10", child(Side.SELL, "4", reduce_only=True, symbol=ETH), "10", id="another market"),
    ],
)
def test_an_unknown_reduction_counts_as_filled(held: str, expected: str | None, unknown: Child, left: str | None) -> None:
    observation = observe({"USDT": "1000"}, {linear(): quote("100")}, holding(BTC, held, "100"))
    seen = assumed(observation, [unknown], {} if expected is None else {BTC: D(expected)})
    position = seen.account.positions.get(BTC)
    assert (position.contracts if position else None) == (None if left is None else D(left))
    assert replace(seen, account=observation.account) == observation


@pytest.mark.parametrize(
    ("held", "expected", "unknown", "left"),
    [
        pytest.param("10", "10", child(Side.SELL, "4", reduce_only=False, symbol=SPOT), "6", id="it may have sold"),
        pytest.param("6", "10", child(Side.SELL, "4", reduce_only=False, symbol=SPOT), "6", id="it did, and shows"),
        pytest.param("3", None, child(Side.SELL, "4", reduce_only=False, symbol=SPOT), "0", id="it may have sold all"),
        pytest.param("10", "10", child(Side.BUY, "4", reduce_only=False, symbol=SPOT), "10", id="a purchase did not fill"),
        pytest.param(
            "-10", "-10", child(Side.BUY, "4", reduce_only=False, symbol=SPOT), "-6", id="what was borrowed is bought back"
        ),
    ],
)
def test_an_unknown_sale_of_coins_counts_as_filled(held: str, expected: str | None, unknown: Child, left: str) -> None:
    observation = observe({"USDT": "1000", "BTC": held}, {spot(SPOT): quote("100")})
    seen = assumed(observation, [unknown], {} if expected is None else {SPOT: D(expected)})
    assert seen.account.balances == {"USDT": D(1000), "BTC": D(left)}
    assert replace(seen, account=observation.account) == observation


@given(st.integers(1, 100), st.lists(st.integers(1, 60), max_size=3), st.integers(0, 100))
def test_what_is_left_is_never_more_than_what_is_held_nor_on_the_other_side(held: int, unknown: list[int], filled: int) -> None:
    observation = observe({"USDT": "1000"}, {linear(): quote("100")}, holding(BTC, str(held), "100"))
    children = [child(Side.SELL, str(amount), reduce_only=True) for amount in unknown]
    position = assumed(observation, children, {BTC: D(held + filled)}).account.positions.get(BTC)
    assert 0 <= (position.contracts if position else 0) <= held


def test_a_stop_whose_outcome_is_not_known_waits_if_it_is_there_at_all() -> None:
    resting = replace(CLOSES, request=replace(CLOSES.request, client_id="kprs1", trigger=D(100)))
    observation = observe({"USDT": "100"}, {linear(): quote("100")}, holding(BTC, "10", "100"))
    assert assumed(observation, [resting], {BTC: D(10)}) == observation
    assert assumed(observation, [resting, CLOSES], {BTC: D(10)}).account.held(linear()) == 6
