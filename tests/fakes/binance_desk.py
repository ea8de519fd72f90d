"""A fund on the loopback Binance, as an operator sets it up: a configuration file with hosts, secrets of mode 600.

The fund held 3x Bitcoin at 50,000 and the price rose by 5 %: 115,000 USDT at 2.739x.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.fakes.binance_usdm import API_KEY, SECRET, BinanceUsdm, usual_core
from tests.fakes.configurations import BINANCE, secret_files, written

SYMBOL = "BTC/USDT:USDT"
LOT = Decimal("0.001")


def drifted_exchange(**changes: Any) -> BinanceUsdm:
    """The exchange, not yet serving. ``changes`` replace arguments of BinanceUsdm."""
    core = usual_core()
    core.hold("BTCUSDT", Decimal(6), Decimal(50_000))
    core.set_mid("BTCUSDT", Decimal(52_500))
    return BinanceUsdm(core=core, **changes)


def written_fund(
    folder: Path,
    exchange: BinanceUsdm,
    *,
    horizon: str = "3s",
    slices: int = 4,
    secret: str = SECRET,
    replaced: Mapping[str, str] | None = None,
) -> Path:
    """``keeper.toml`` in ``folder``, with its secrets. replaced: words of the file and what stands there instead."""
    secret_files(folder, API_KEY, secret)
    hosts = "\n".join(f'"{host}" = "{origin}"' for host, origin in exchange.hosts.items())
    execution = f'execution = {{ style = "twap", horizon = "{horizon}", slices = {slices} }}\n'
    text = f"{BINANCE}{execution}\n[venues.binance.hosts]\n{hosts}\n"
    for old, new in (replaced or {}).items():
        assert old in text
        text = text.replace(old, new)
    return written(folder, text)


def gap(exchange: BinanceUsdm, target: int = 3) -> Decimal:
    """Contracts that the exchange's own figures are short of ``target`` times NAV."""
    core = exchange.core
    mark = core.mark("BTCUSDT")
    nav = core.wallet["USDT"] + core.unrealised("BTCUSDT")
    return (target * nav - core.holdings["BTCUSDT"].amount * mark) / mark


def assert_signed(exchange: BinanceUsdm) -> None:
    """Every private request carried the key and a signature; the exchange itself has checked that they are right."""
    public = ("/ping", "/time", "/exchangeInfo", "/depth", "/premiumIndex", "/ticker/24hr", "/ticker/price", "/fundingInfo")
    private = [one for one in exchange.requests if not one.path.endswith(public)]
    assert private
    for one in private:
        assert one.header("X-MBX-APIKEY") == API_KEY
        assert b"&signature=" in one.raw
    for one in exchange.requests:
        assert SECRET.encode() not in one.raw
