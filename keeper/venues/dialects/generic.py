"""A row for any other exchange, made of what ccxt says of it. Nothing that it answers is known to be a rejection."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from keeper.domain.errors import VenueRefused
from keeper.ports import Environment
from keeper.venues.dialects.row import Dialect
from keeper.venues.speech.unified import Unified, missing

OURS = {
    "apiKey": "api_key",
    "secret": "secret",
    "password": "passphrase",
    "walletAddress": "wallet_address",
    "privateKey": "private_key",
}
"""What ccxt calls the parts of a key, and what the configuration does."""


@cache
def generic(exchange: str) -> Dialect:
    """The row of an exchange that ccxt has. VenueRefused names what it lacks. Imports ccxt.

    Of its hosts are those that ccxt names in its addresses; a testnet it has where ccxt names other ones for it.
    """
    import ccxt.async_support

    if exchange not in ccxt.async_support.exchanges:
        raise VenueRefused("exchange", f"ccxt has no exchange {exchange}")
    made = getattr(ccxt.async_support, exchange)({"enableRateLimit": False})
    if lacking := missing(made.has):
        message = f"Keeper can't trade on {exchange}: ccxt has no {', '.join(lacking)} there"
        raise VenueRefused("capabilities", message)
    needed = [name for name, wanted in made.requiredCredentials.items() if wanted]
    if unknown := [name for name in needed if name not in OURS]:
        message = (
            f"Keeper can't trade on {exchange}: its keys have parts that the configuration does not know: {', '.join(unknown)}"
        )
        raise VenueRefused("credentials", message)
    hosts = {Environment.LIVE: _hosts(made, made.urls.get("api"))}
    test = _hosts(made, made.urls.get("test"))
    if test and not test & hosts[Environment.LIVE]:  # one that shares a host could reach live
        hosts[Environment.TESTNET] = test
    return Dialect(
        exchange=exchange,
        speech=Unified(),
        hosts=hosts,
        testnet_switch="set_sandbox_mode",
        options={
            "fetchMarkets": {"types": ["spot"]},  # where the class can choose
            "defaultType": "spot",
            "fetchMargins": False,
            "fetchCurrencies": False,  # calls the wallet's endpoints, with keys
            "adjustForTimeDifference": False,  # the offset is measured apart, and refused when large
            "maxRetriesOnFailure": 0,  # a retried order is a second order
            "warnOnFetchOpenOrdersWithoutSymbol": False,
        },
        client_id_shape=r"[0-9a-z]{1,32}",
        rejections={},
        refusals={},
        duplicate=frozenset(),
        credentials={OURS[name]: name for name in needed},
        client_id_length=20,  # the shortest that is known of any exchange is 18 and more with a prefix of its own
        order_life=timedelta(seconds=60),
        read_lag=1.0,
        unique_ids=False,
    )


def _hosts(made: Any, urls: object) -> frozenset[str]:
    filled = (made.implode_params(url, {"hostname": made.hostname or ""}) for url in _texts(urls))
    return frozenset(host for url in filled if (host := urlsplit(str(url)).hostname))


def _texts(urls: object) -> Iterator[str]:
    if isinstance(urls, str):
        yield urls
    elif isinstance(urls, Mapping):
        for below in urls.values():
            yield from _texts(below)
