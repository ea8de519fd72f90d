"""What holding an exposure costs: funding of a year at the rates of now."""

from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.observation import FundingRate
from keeper.planning.carry import Carried, carry_document, yearly

D = Decimal
BTC, USDC = "BTC/USDT:USDT", "BTC/USDC:USDC"


def rate(text: str, hours: int = 8) -> FundingRate:
    return FundingRate(rate=D(text), every=timedelta(hours=hours))


@pytest.mark.parametrize(
    ("leverage", "each", "hours", "cost"),
    [("3", "0.0001", 8, "0.3285"), ("-3", "0.0001", 8, "-0.3285"), ("1", "-0.0002", 4, "-0.438"), ("1", "0.00001", 1, "0.0876")],
)
def test_a_year_is_what_each_payment_is_times_their_number(leverage: str, each: str, hours: int, cost: str) -> None:
    assert yearly(D(leverage), rate(each, hours)) == D(cost)


def test_all_that_is_held_is_summed_and_the_same_elsewhere_is_beside_it() -> None:
    held = [
        Carried(symbol=BTC, leverage=D(2), rate=rate("0.0001"), others={USDC: rate("0.00005", 4)}),
        Carried(symbol="ETH/USDT", leverage=D(1), rate=None, spot=True),
    ]
    assert carry_document(held) == {
        "yearly": "0.219",
        "markets": [
            {
                "market": BTC,
                "leverage": "2",
                "rate": "0.0001",
                "every_hours": 8,
                "yearly": "0.219",
                "others": [{"market": USDC, "rate": "0.00005", "every_hours": 4, "yearly": "0.219"}],
            },
            {"market": "ETH/USDT", "leverage": "1", "rate": None, "every_hours": None, "yearly": "0", "others": []},
        ],
    }


def test_what_is_not_told_is_no_cost_of_nothing() -> None:
    found = carry_document([Carried(symbol=BTC, leverage=D(2), rate=None)])
    assert (found["yearly"], carry_document([])) == (None, {"yearly": "0", "markets": []})
