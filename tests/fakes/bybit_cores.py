"""Accounts on the loopback Bybit: linear contracts in USDT and USDC, inverse ones in coins, and spot."""

from decimal import Decimal
from typing import Any

from tests.fakes.exchange_core import ExchangeCore, Instrument, Ladder
from tests.fakes.loopback_server import wall_clock
from tests.fakes.spot_core import SpotCore

_INVERSE: dict[str, Any] = {
    "quote": "USD",
    "inverse": True,
    "step": Decimal(1),
    "amount_digits": 0,
    "min_amount": Decimal(1),
    "max_amount": Decimal(1_000_000),
    "min_notional": Decimal(0),
}
_ETH: dict[str, Any] = {"mid": Decimal(2_500), "spread": Decimal("0.02"), "gap": Decimal("0.05")}


def _ladders() -> dict[str, Ladder]:
    return {
        "BTCUSDT": Ladder(mid=Decimal(50_000)),
        "ETHUSDT": Ladder(**_ETH, size=Decimal(10)),
        "BTCPERP": Ladder(mid=Decimal(50_000)),
        "BTCUSD": Ladder(mid=Decimal(50_000), size=Decimal(5_000)),
        "ETHUSD": Ladder(**_ETH, size=Decimal(2_500)),
    }


def usual_core(**changes: Any) -> ExchangeCore:
    """100,000 USDT, Bitcoin at 50,000 and Ether at 2,500, in linear and inverse markets; and some that Keeper refuses."""
    instruments = [
        Instrument(symbol="BTCUSDT", base="BTC", min_notional=Decimal(5)),
        Instrument(
            symbol="ETHUSDT",
            base="ETH",
            tick=Decimal("0.01"),
            step=Decimal("0.01"),
            min_amount=Decimal("0.01"),
            min_notional=Decimal(5),
        ),
        Instrument(symbol="BTCPERP", base="BTC", quote="USDC", settle="USDC", min_notional=Decimal(5)),
        Instrument(symbol="BTCUSD", base="BTC", settle="BTC", **_INVERSE),
        Instrument(symbol="ETHUSD", base="ETH", settle="ETH", tick=Decimal("0.01"), **_INVERSE),
        Instrument(symbol="BTCUSDT-26MAR27", base="BTC", delivery=1_806_048_000_000),
        Instrument(symbol="DEADUSDT", base="DEAD", open=False),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USDT": Decimal(100_000)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": _ladders(),
    }
    return ExchangeCore(**(parts | changes))


def inverse_core(**changes: Any) -> ExchangeCore:
    """A fifth of a Bitcoin and 4 Ether, together the collateral of all that is held."""
    usd = {"BTC": Decimal(50_000), "ETH": Decimal(2_500), "USDT": Decimal(1)}
    return usual_core(**({"wallet": {"BTC": Decimal("0.2"), "ETH": Decimal(4)}, "usd": usd} | changes))


def spot_core(**changes: Any) -> SpotCore:
    """150,000 USDT, and pairs whose names are those of contracts."""
    common: dict[str, Any] = {"tick": Decimal("0.01"), "min_notional": Decimal(5), "amount_digits": 6}
    instruments = [
        Instrument(symbol="BTCUSDT", base="BTC", step=Decimal("0.000001"), min_amount=Decimal("0.000011"), **common),
        Instrument(symbol="ETHUSDT", base="ETH", step=Decimal("0.00001"), min_amount=Decimal("0.0003"), **common),
    ]
    parts: dict[str, Any] = {
        "now": wall_clock,
        "wallet": {"USDT": Decimal(150_000)},
        "instruments": {one.symbol: one for one in instruments},
        "ladders": {
            "BTCUSDT": Ladder(mid=Decimal(50_000), spread=Decimal("0.02"), gap=Decimal("0.5"), size=Decimal(1)),
            "ETHUSDT": Ladder(**_ETH, size=Decimal(10)),
        },
    }
    return SpotCore(**(parts | changes))
