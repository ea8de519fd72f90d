"""Assets that are meant to be worth one US dollar, and what it means when they are not."""

from decimal import Decimal

from keeper.domain.numbers import ONE, plain

DOLLARS = frozenset(
    {
        "USD",
        "USDT",
        "USDC",
        "FDUSD",
        "DAI",
        "USDE",
        "TUSD",
        "PYUSD",
        "BUSD",
        "USDG",
        "USDP",
        "GUSD",
        "RLUSD",
        "USD1",
        "BFUSD",
        "LDUSDT",
    }
)
WIDEST_OFF = Decimal("0.02")
"""Fraction by which one of them may stray from another before it is taken for another asset."""


def strayed(asset: str, currency: str, price: Decimal) -> str:
    """Why ``asset`` at ``price`` (``currency`` per unit) may not count as money, in words; empty where it may, or never did."""
    if not (asset in DOLLARS and currency in DOLLARS) or abs(price - ONE) <= WIDEST_OFF:
        return ""
    return (
        f"{asset} is worth {plain(price)} {currency}: it has lost its peg, and what the fund is worth can't be told in {currency}"
    )
