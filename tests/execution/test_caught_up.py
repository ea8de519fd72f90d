"""A read that stands still shows a position without our last fills: it is not reduced by them once more."""

from decimal import Decimal

import pytest

from keeper.domain.market import Side
from keeper.domain.order import Fill
from keeper.execution.recovery import caught_up
from tests.fakes.markets import BTC, ETH, NOON, holding, linear, observe, quote

D = Decimal


def fill(signed: str, price: str = "90", symbol: str = BTC) -> Fill:
    amount = D(signed)
    return Fill(
        trade_id=signed,
        symbol=symbol,
        side=Side.of(amount),
        amount=abs(amount),
        price=D(price),
        fee=D(1),
        fee_asset="USDT",
        at=NOON,
    )


@pytest.mark.parametrize(
    ("held", "fills", "expected", "left"),
    [
        pytest.param("10", ["-2", "-1"], "7", "7", id="neither shows"),
        pytest.param("8", ["-2", "-1"], "7", "7", id="one shows"),
        pytest.param("7", ["-2", "-1"], "7", "7", id="both show"),
        pytest.param("-10", ["2", "1"], "-7", "-7", id="a short"),
        pytest.param("3", ["-3"], "0", "0", id="it was closed whole"),
        pytest.param("12", ["-2", "-1"], "7", "12", id="others added: what shows counts"),
        pytest.param("9.5", ["-2", "-1"], "7", "9.5", id="no fill of ours is as large"),
        pytest.param("5", ["-2", "-1"], "7", "5", id="others took off more"),
        pytest.param("10", ["2"], "12", "10", id="what was added is not believed"),
        pytest.param("10", [], "10", "10", id="nothing was traded"),
    ],
)
def test_the_last_fills_that_reduced_it_are_booked(held: str, fills: list[str], expected: str, left: str) -> None:
    seen = observe({"USDT": "100"}, {linear(): quote("90"), linear(ETH): quote("10")}, holding(BTC, held, "100"))
    then = caught_up(seen, [fill("-5", symbol=ETH), *map(fill, fills)], {BTC: D(expected)})
    assert then.account.held(linear()) == D(left)
    assert then.account.at == seen.account.at
    # what is booked costs what it cost, and is worth what it was
    fees = len(fills) if held != left and fills else 0
    if held == "8":
        fees = 1
    assert then.valuation().nav == seen.valuation().nav - fees


def test_of_a_market_of_which_nothing_is_on_record_what_shows_counts() -> None:
    seen = observe({"USDT": "100"}, {linear(): quote("90")}, holding(BTC, "10", "100"))
    assert caught_up(seen, [fill("-2")], {}) == seen
