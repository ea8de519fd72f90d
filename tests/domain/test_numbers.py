from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.numbers import CONTEXT, exact, is_multiple, parse_plain, parse_wire, plain, price_within, round_up, truncate

decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=8)
steps = st.sampled_from([Decimal("0.001"), Decimal("0.000001"), Decimal("0.5"), Decimal(10), Decimal("0.03")])


@pytest.mark.parametrize(
    "text", ["3_0", "nan", "inf", "-Infinity", "1e3", "", " 3", "3 ", "0x10", "1,000", "३", "--1", "1.", ".5"]
)
def test_an_operator_may_not_write(text: str) -> None:
    with pytest.raises(ValueError, match="plain decimal"):
        parse_plain(text)


@pytest.mark.parametrize("text", ["nan", "inf", "", "None", "1e999", "1_0", "0x1"])
def test_a_venue_may_not_send(text: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        parse_wire(text)


def test_a_venue_may_send_an_exponent() -> None:
    assert parse_wire("1.5e-7") == Decimal("0.00000015")


@given(decimals)
def test_plain_reads_back_as_the_same_number(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "E" not in text.upper()
    assert parse_plain(text) == value


@given(decimals, steps)
def test_truncating_goes_toward_zero_by_less_than_a_step(value: Decimal, step: Decimal) -> None:
    cut = truncate(value, step)
    assert is_multiple(cut, step)
    assert abs(cut) <= abs(value)
    assert abs(value - cut) < step
    assert cut == 0 or (cut > 0) == (value > 0)


@given(decimals, steps)
def test_rounding_up_goes_away_from_zero_by_less_than_a_step(value: Decimal, step: Decimal) -> None:
    up = round_up(value, step)
    assert is_multiple(up, step)
    assert abs(up) >= abs(value)
    assert abs(up - value) < step


def test_the_noise_of_a_division_does_not_cost_a_lot() -> None:
    with localcontext(CONTEXT):
        nearly = Decimal(15000) / Decimal(7) * Decimal(7) - Decimal("1e-29")
    assert nearly < 15000
    assert truncate(nearly, Decimal("0.001")) == 15000


@given(st.decimals(min_value=1, max_value=10**6, places=6), st.sampled_from([1, -1]))
def test_a_limit_price_is_put_on_the_tick_on_the_safe_side(price: Decimal, sign: int) -> None:
    tick = Decimal("0.25")
    limit = price_within(price, tick, sign)
    assert is_multiple(limit, tick)
    assert (price - limit) * sign >= 0
    assert abs(price - limit) < tick


def test_exact_does_not_depend_on_the_context_of_the_thread() -> None:
    third = exact(lambda: Decimal(1) / Decimal(3))
    with localcontext(Context(prec=3)):
        assert third() == exact(lambda: Decimal(1) / Decimal(3))()
        assert len(third().as_tuple().digits) == 34
