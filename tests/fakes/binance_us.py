"""An exchange that Keeper has no words for: it speaks as Binance's spot market does, under another name and other hosts."""

from dataclasses import dataclass
from typing import ClassVar

from tests.fakes import spot_messages as messages
from tests.fakes.binance_server import binance_skin
from tests.fakes.binance_spot import PRIVATE, PUBLIC, BinanceSpot
from tests.fakes.loopback_server import Skin


@dataclass(slots=True, kw_only=True)
class BinanceUs(BinanceSpot):
    """The exchange."""

    skin: ClassVar[Skin] = binance_skin(
        "binanceus",
        hosts=("testnet.binance.vision", "api.binance.us"),
        prefix="/api/v3/",
        public=PUBLIC,
        private=PRIVATE,
        error=messages.error,
        truth=messages.truth,
    )
