from decimal import Decimal

import pytest

from keeper.domain.stable import strayed


@pytest.mark.parametrize(
    ("asset", "currency", "price", "is_said"),
    [
        ("USDC", "USDT", "1", False),
        ("USDC", "USDT", "0.98", False),
        ("USDC", "USDT", "1.02", False),
        ("USDC", "USDT", "0.979999", True),
        ("USDC", "USDT", "1.020001", True),
        ("BTC", "USDT", "0.5", False),
        ("USDC", "EUR", "0.9", False),
    ],
)
def test_a_dollar_may_stray_two_percent_from_another_and_nothing_else_is_one(
    asset: str, currency: str, price: str, *, is_said: bool
) -> None:
    words = strayed(asset, currency, Decimal(price))
    assert bool(words) == is_said
    assert not is_said or f"{asset} is worth {price} {currency}: it has lost its peg" in words
