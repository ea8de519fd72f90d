"""The parts of a shortfall and their sum."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.accounting.attribution import Execution, Shortfall, leg_shortfall
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.order import Fill

D = Decimal
AT = datetime(2024, 8, 9, 0, 15, tzinfo=UTC)


def execution(side: Side, base: str, price: str, mid: str, half_spread: str, fee: str) -> Execution:
    return Execution(side=side, base=D(base), price=D(price), mid=D(mid), half_spread=D(half_spread), fee=D(fee))


def against_decision(executions: Sequence[Execution], decision_mid: Decimal) -> Fraction:
    """The definition, computed in fractions so that no rounding can hide: s sum q (p - M0) + fees."""
    return sum(
        (e.side.sign * Fraction(e.base) * (Fraction(e.price) - Fraction(decision_mid)) + Fraction(e.fee) for e in executions),
        Fraction(0),
    )


BUYS = (
    execution(Side.BUY, "0.2", "100.7", "100.5", "0.05", "0.010"),
    execution(Side.BUY, "0.3", "101.4", "101.1", "0.10", "0.015"),
)
SELLS = (
    execution(Side.SELL, "0.2", "99.3", "99.5", "0.05", "0.010"),
    execution(Side.SELL, "0.3", "98.6", "98.9", "0.10", "0.015"),
)


@pytest.mark.parametrize(
    ("executions", "first_mid"),
    [pytest.param(BUYS, D("100.2"), id="buys-into-a-rise"), pytest.param(SELLS, D("99.8"), id="sells-into-a-fall")],
)
def test_each_part_of_a_table_done_by_hand(executions: Sequence[Execution], first_mid: Decimal) -> None:
    # decided at 100, first sent 0.2 away from it; mids at the sends 0.5 and 1.1 away; fills 0.2 and 0.3 past the mids
    shortfall = leg_shortfall(executions, decision_mid=D(100), first_mid=first_mid)
    assert shortfall == Shortfall(
        delay=D("0.10"),  # 0.5 * 0.2
        timing=D("0.33"),  # 0.2 * 0.3 + 0.3 * 0.9
        spread=D("0.040"),  # 0.2 * 0.05 + 0.3 * 0.10
        impact=D("0.090"),  # 0.2 * 0.2 + 0.3 * 0.3 - spread
        fees=D("0.025"),
        traded=D("50.0"),
    )
    assert shortfall.total == D("0.585")
    assert Fraction(shortfall.total) == against_decision(executions, D(100))
    assert shortfall.bps(shortfall.total) == D(117)
    assert shortfall.bps(shortfall.fees) == D(5)


def test_a_market_that_came_our_way_is_a_gain() -> None:
    shortfall = leg_shortfall([execution(Side.BUY, "1", "98.5", "98", "0.25", "0.05")], decision_mid=D(100), first_mid=D("99.5"))
    assert (shortfall.delay, shortfall.timing) == (D("-0.5"), D("-1.5"))
    assert (shortfall.spread, shortfall.impact) == (D("0.25"), D("0.25"))
    assert shortfall.total == D("-1.45")


def test_nothing_traded_costs_nothing() -> None:
    shortfall = leg_shortfall([], decision_mid=D(100), first_mid=D(101))
    assert shortfall == Shortfall()
    assert shortfall.total == 0
    assert shortfall.bps(D(1)) == 0


def test_a_quote_that_is_not_the_currency_is_converted_and_fees_are_not() -> None:
    in_quote = leg_shortfall(BUYS, decision_mid=D(100), first_mid=D("100.2"))
    in_currency = leg_shortfall(BUYS, decision_mid=D(100), first_mid=D("100.2"), rate=D(3))
    assert in_currency.fees == in_quote.fees
    assert in_currency.total - in_currency.fees == 3 * (in_quote.total - in_quote.fees)
    assert in_currency.traded == 3 * in_quote.traded


@pytest.mark.parametrize(
    ("kind", "settle", "contract_size", "base"),
    [
        pytest.param(MarketKind.SPOT, "USD", "1", "40", id="spot-counts-coins"),
        pytest.param(MarketKind.LINEAR, "USD", "0.01", "0.4", id="linear-has-a-contract-size"),
        pytest.param(MarketKind.INVERSE, "BTC", "100", "0.08", id="inverse-at-the-fill-price"),
    ],
)
def test_an_execution_counts_base_units(kind: MarketKind, settle: str, contract_size: str, base: str) -> None:
    market = Market(
        symbol="BTC/USD",
        kind=kind,
        base="BTC",
        quote="USD",
        settle=settle,
        contract_size=D(contract_size),
        tick=D("0.5"),
        lot=D(1),
    )
    fill = Fill(
        trade_id="1",
        symbol="BTC/USD",
        side=Side.SELL,
        amount=D(40),
        price=D(50000),
        fee=D("0.00001"),
        fee_asset="BTC",
        at=AT,
    )
    made = Execution.of(fill, market, mid=D(50001), half_spread=D("0.5"), fee=D("0.5"))
    assert made == execution(Side.SELL, base, "50000", "50001", "0.5", "0.5")


prices = st.decimals(min_value="0.00000001", max_value="10000000", places=8)
halves = st.decimals(min_value=0, max_value=1000, places=9)
fees = st.decimals(min_value=-100, max_value=100, places=18)
# a quotient with every digit its context has, as inverse contracts give
bases = st.builds(
    lambda amount, price: Context(prec=34).divide(amount, price),
    st.decimals(min_value="0.000001", max_value="100000000", places=6),
    prices,
)
executions_of_a_leg = st.sampled_from(Side).flatmap(
    lambda side: st.lists(
        st.builds(Execution, side=st.just(side), base=bases, price=prices, mid=prices, half_spread=halves, fee=fees),
        max_size=8,
    )
)


@given(executions=executions_of_a_leg, decision_mid=prices, first_mid=prices)
def test_the_parts_sum_to_the_shortfall_without_remainder(
    executions: list[Execution], decision_mid: Decimal, first_mid: Decimal
) -> None:
    with localcontext(Context(prec=6)):  # the thread's own context must not matter
        shortfall = leg_shortfall(executions, decision_mid=decision_mid, first_mid=first_mid)
        total = shortfall.total
    parts = (shortfall.delay, shortfall.timing, shortfall.spread, shortfall.impact, shortfall.fees)
    assert Fraction(total) == sum((Fraction(part) for part in parts), Fraction(0))
    assert Fraction(total) == against_decision(executions, decision_mid)


@given(executions=executions_of_a_leg, decision_mid=prices, first_mid=prices, data=st.data())
def test_a_leg_worked_in_two_pieces_costs_what_it_costs_whole(
    executions: list[Execution], decision_mid: Decimal, first_mid: Decimal, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(min_value=0, max_value=len(executions)))
    pieces = [
        leg_shortfall(piece, decision_mid=decision_mid, first_mid=first_mid) for piece in (executions[:cut], executions[cut:])
    ]
    assert pieces[0] + pieces[1] == leg_shortfall(executions, decision_mid=decision_mid, first_mid=first_mid)
