"""What Binance's markets have in common: signatures, time windows, and how a request names orders.

Which paths there are, and how truth is worded, is for each of its markets to say (``binance_usdm``, ``binance_spot``).
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.fakes.exchange_core import Reason, Trade
from tests.fakes.loopback_requests import Fault, Seen
from tests.fakes.loopback_server import (
    API_KEY,
    MALFORMED,
    SECRET,
    LoopbackServer,
    Rejection,
    Routes,
    Skin,
    in_thread,
    under,
    wall_clock,
)

__all__ = [
    "API_KEY",
    "SECRET",
    "WALLET",
    "BinanceServer",
    "Fault",
    "Rejection",
    "Routes",
    "Seen",
    "Skin",
    "in_thread",
    "wall_clock",
]

WALLET = "api.binance.com"
AHEAD = 1000
DEFAULT_WINDOW = 5000
LONGEST_WINDOW = 60_000
RESTRICTIONS = {
    "ipRestrict": True,
    "createTime": 1_700_000_000_000,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "permitsUniversalTransfer": False,
    "enableVanillaOptions": False,
    "enableFutures": True,
    "enableMargin": False,
    "enableSpotAndMarginTrading": True,
    "enablePortfolioMarginTrading": False,
}


@dataclass(slots=True, kw_only=True)
class BinanceServer(LoopbackServer):
    """One of Binance's markets.

    restrictions: of the key, as the wallet tells them; strange_on: hosts on which the key does not exist; barred: requests come
    from an address that the key's list does not name; forbidden: the key has no right to this market.
    """

    restrictions: dict[str, Any] = field(default_factory=lambda: dict(RESTRICTIONS))
    strange_on: frozenset[str] = frozenset()
    barred: bool = False
    forbidden: bool = False
    unknown_key: ClassVar[int] = -2015


def authenticate(exchange: BinanceServer, seen: Seen) -> None:
    """Key, signature and time window of a private request. The wallet knows a strange key from one that may not."""
    wallet = seen.path.startswith("/sapi/")
    key = seen.header("X-MBX-APIKEY")
    if not key:
        raise Rejection(-2014)
    if key != exchange.api_key or seen.host in exchange.strange_on:
        raise Rejection(-2008 if wallet else exchange.unknown_key)
    if exchange.barred or (exchange.forbidden and not wallet):
        raise Rejection(-2015)
    signed, _, signature = seen.raw.rpartition(b"&signature=")
    expected = hmac.new(exchange.secret.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature):
        raise Rejection(-1022)
    stamp, window = int(seen.parameters["timestamp"]), int(seen.parameters.get("recvWindow", DEFAULT_WINDOW))
    if window > LONGEST_WINDOW:
        raise Rejection(-1131)
    if stamp > exchange.now() + AHEAD or exchange.now() - stamp > window:
        raise Rejection(-1021)


def binance_skin(
    exchange: str,
    *,
    hosts: tuple[str, ...],
    prefix: str,
    public: Routes,
    private: Routes,
    error: Callable[[int | Reason], tuple[int, Any]],
    truth: Callable[[Any, int], Any],
) -> Skin:
    """The skin of one market; paths stand below ``prefix``."""
    return Skin(
        exchange=exchange,
        hosts=hosts,
        public=under(prefix, public),
        private={
            **under(prefix, private),
            ("GET", "/sapi/v1/account/apiRestrictions"): lambda exchange, _told: exchange.restrictions,
        },
        authenticate=authenticate,
        error=lambda about, _seen: error(-1102 if about == MALFORMED else about),
        outages={
            "-1006": error(-1006),
            "-1007": error(-1007),
            "429": (429, error(-1003)[1]),
            "418": (418, error(-1003)[1]),
        },
        truth=truth,
    )


def which(told: dict[str, str]) -> dict[str, Any]:
    """How a request names an order."""
    return {"order_id": int(told["orderId"]) if "orderId" in told else None, "client_id": told.get("origClientOrderId")}


def span(told: dict[str, str]) -> dict[str, Any]:
    """Which past orders a request asks for."""
    first, last = (int(told[name]) if name in told else None for name in ("startTime", "endTime"))
    return {"first": first, "last": last, "limit": min(int(told.get("limit", 500)), 1000)}


def between(rows: list[dict[str, Any]], told: dict[str, str]) -> list[dict[str, Any]]:
    """The first of ``rows`` between the times that a request names."""
    asked = span(told)
    found = [row for row in rows if (asked["first"] or 0) <= row["time"] <= (asked["last"] or row["time"])]
    return found[: asked["limit"]]


def page(trades: list[Trade], told: dict[str, str]) -> list[Trade]:
    """One answer of ``trades``, oldest first: those from an id on where the request names one, else the newest."""
    limit = min(int(told.get("limit", 500)), 1000)
    if "fromId" in told:
        return [one for one in trades if one.id >= int(told["fromId"])][:limit]
    return trades[-limit:]
