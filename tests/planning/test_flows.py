"""What a plan is sized on while money is on its way."""

from decimal import Decimal

import pytest

from keeper.domain.account import Valuation
from keeper.planning.build import staying

D = Decimal


@pytest.mark.parametrize(
    ("flows", "stays"),
    [
        ({}, "1"),
        ({"USDT": "-25"}, "0.75"),
        ({"USDT": "25"}, "1"),
        ({"USDT": "-100"}, "0"),
        ({"USDT": "-101"}, "0"),
        ({"BTC": "-25"}, "1"),
    ],
)
def test_what_stays_of_nav(flows: dict[str, str], stays: str) -> None:
    worth = Valuation(currency="USDT", nav=D(100), exposures={}, foreign=D(0), prices={"USDT": D(1)})
    assert staying({currency: D(amount) for currency, amount in flows.items()}, worth) == D(stays)


@pytest.mark.parametrize("nav", ["0", "-5"])
def test_of_nothing_nothing_leaves(nav: str) -> None:
    worth = Valuation(currency="USDT", nav=D(nav), exposures={}, foreign=D(0), prices={"USDT": D(1)})
    assert staying({"USDT": D(-25)}, worth) == 1
