"""What a symbol says about its market by its form alone: "BTC/USDT" spot, "BTC/USDT:USDT" linear, "BTC/USD:BTC" inverse.

Whether a venue has the market is for the venue to say.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from keeper.domain.market import MarketKind
from keeper.settings.values import EnvText, fault

_ASSET = r"[^\s/:\-]{1,40}"
_ASSET_ALONE = re.compile(_ASSET)
_SYMBOL = re.compile(rf"({_ASSET})/({_ASSET})(?::({_ASSET}))?(-.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolParts:
    """A symbol taken apart. settle: the quote on spot and linear, the base on inverse."""

    base: str
    quote: str
    settle: str
    kind: MarketKind


def symbol_parts(symbol: str) -> SymbolParts:
    """The parts of a symbol that passed ``read_symbol``; a fault otherwise."""
    found = _SYMBOL.fullmatch(symbol)
    if found is None:
        raise fault('must be a symbol such as "BTC/USDT" (spot), "BTC/USDT:USDT" (linear) or "BTC/USD:BTC" (inverse)')
    base, quote, settle, expiry = found.groups()
    if expiry is not None:
        raise fault("dated futures and options are not supported: name a spot market or a perpetual")
    if base == quote:
        raise fault("base and quote must be two different assets")
    if settle is None:
        return SymbolParts(base=base, quote=quote, settle=quote, kind=MarketKind.SPOT)
    if settle not in (base, quote):
        raise fault(f"must settle in {quote} (linear) or in {base} (inverse)")
    kind = MarketKind.LINEAR if settle == quote else MarketKind.INVERSE
    return SymbolParts(base=base, quote=quote, settle=settle, kind=kind)


def read_symbol(value: object) -> str:
    """A symbol of a spot market or of a perpetual."""
    if not isinstance(value, str):
        raise fault("must be a symbol in quotes")
    symbol_parts(value)
    return str(value)


def read_assets(value: object) -> tuple[str, ...]:
    """Names of assets, each once; in an environment variable with commas between them."""
    named = [part.strip() for part in value.split(",")] if isinstance(value, EnvText) else value
    if not isinstance(named, list | tuple) or not named:
        raise fault('must be an array such as ["BTC", "ETH", "USDT"]')
    for name in named:
        if not isinstance(name, str) or not _ASSET_ALONE.fullmatch(name):
            raise fault('must hold names of assets in quotes, such as "BTC"')
        if named.count(name) > 1:
            raise fault(f'names "{name}" twice')
    return tuple(str(name) for name in named)


Assets = Annotated[tuple[str, ...], BeforeValidator(read_assets)]
Symbol = Annotated[str, BeforeValidator(read_symbol), WithJsonSchema({"type": "string", "pattern": "^[^/]+/[^/]+$"})]
