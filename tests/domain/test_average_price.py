from decimal import Decimal

import pytest

from keeper.domain.market import Side
from keeper.domain.order import Fill, average_price
from tests.fakes.markets import BTC, NOON


def fills(*prices: str) -> list[Fill]:
    return [
        Fill(
            trade_id=str(number),
            symbol=BTC,
            side=Side.BUY,
            amount=Decimal(1),
            price=Decimal(price),
            fee=Decimal(0),
            fee_asset="USDT",
            at=NOON,
        )
        for number, price in enumerate(prices)
    ]


@pytest.mark.parametrize(
    ("prices", "inverse", "average"),
    [
        (("100", "300"), False, "200"),
        (("100", "300"), True, "150"),
        (("52500.7", "52500.7", "52500.7"), True, "52500.7"),
    ],
)
def test_an_average_weighs_base_units(prices: tuple[str, ...], inverse: bool, average: str) -> None:  # noqa: FBT001 - a table
    assert average_price(fills(*prices), inverse=inverse) == Decimal(average)


def test_without_fills_there_is_no_price() -> None:
    assert average_price([], inverse=False) is None
