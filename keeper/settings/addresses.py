"""How names of things outside are read: exchanges, hosts, the journal's URL, time zones.

Only their form is judged, and whether this installation knows them; nothing is opened, resolved or connected to.
"""

import re
from collections.abc import Mapping
from datetime import time
from functools import cache
from importlib.util import find_spec
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, WithJsonSchema

from keeper.settings.values import did_you_mean, fault, read_text

PAPER = "paper"
_KEY_AND_SECRET = ("api_key", "secret")
_WITH_PASSPHRASE = (*_KEY_AND_SECRET, "passphrase")
SUPPORTED: Mapping[str, tuple[str, ...]] = {
    "binance": _KEY_AND_SECRET,
    "binancecoinm": _KEY_AND_SECRET,
    "binanceusdm": _KEY_AND_SECRET,
    "okx": (*_KEY_AND_SECRET, "passphrase"),
    "gate": _KEY_AND_SECRET,
    "kucoinfutures": _WITH_PASSPHRASE,
    "bitget": _WITH_PASSPHRASE,
    "kraken": _KEY_AND_SECRET,
    "deribit": _KEY_AND_SECRET,
    "krakenfutures": _KEY_AND_SECRET,
    "bybit": _KEY_AND_SECRET,
    "hyperliquid": ("wallet_address", "private_key"),
}
"""The exchanges that have a dialect, and what signs for an account there; a test compares."""
SECRETS = ("api_key", "secret", "passphrase", "private_key")
"""What stands in a file of its own or in the environment, never in the configuration file."""
SECRET_FILES = tuple(f"{part}_file" for part in SECRETS)
_WALLET = re.compile(r"0x[0-9a-fA-F]{40}")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_LOOPBACK = re.compile(r"https?://(127(?:\.[0-9]{1,3}){3}|\[::1\])(?::([0-9]{1,5}))?/?")
_HIGHEST_PORT = 65535
_SQLITE = "sqlite:///"
_JOURNAL = re.compile(rf"{_SQLITE}[^?\n\r\t]+")
TIME_OF_DAY_PATTERN = "^([01][0-9]|2[0-3]):([0-5][0-9])$"
_TIME_OF_DAY = re.compile(TIME_OF_DAY_PATTERN)


@cache
def known_exchanges() -> tuple[str, ...]:
    """The ids that the installed ccxt has, from the names of its files: importing it would take half a second."""
    found = find_spec("ccxt")
    if found is None or not found.submodule_search_locations:
        return ()
    folder = Path(found.submodule_search_locations[0])
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


def read_exchange(value: object) -> str:
    """One of SUPPORTED, "paper", or another exchange that ccxt has: ``venues.admissible`` judges those."""
    text = read_text(value)
    if text in (PAPER, *SUPPORTED) or text in known_exchanges():
        return text
    choices = " or ".join(f'"{name}"' for name in (PAPER, *SUPPORTED))
    near = did_you_mean(text, [PAPER, *SUPPORTED, *known_exchanges()])
    raise fault(f"must be {choices}, or another id of ccxt" + (f"; {near}" if near.startswith("did") else ""))


def read_host(value: object) -> str:
    """A host name without scheme, port or path."""
    if isinstance(value, str) and _HOST.fullmatch(value):
        return str(value)
    raise fault('must be a bare host name such as "fapi.binance.com"')


def read_wallet_address(value: object) -> str:
    """The public address of an account on a decentralised exchange, in small letters: capitals only guard against typos."""
    if isinstance(value, str) and _WALLET.fullmatch(value):
        return value.lower()
    raise fault("must be 0x and 40 hexadecimal digits")


def read_loopback(value: object) -> str:
    """The address of a server on this machine. Anything else is a fault: keys must not leave for a host nobody vetted."""
    found = _LOOPBACK.fullmatch(value) if isinstance(value, str) else None
    if found is None or not _reachable(found[1], found[2]):
        raise fault('must be a loopback address such as "http://127.0.0.1:9001" (127.0.0.0/8 or [::1])')
    return found[0].rstrip("/")


def _reachable(host: str, port: str | None) -> bool:
    if port is not None and not 0 < int(port) <= _HIGHEST_PORT:
        return False
    if not host.startswith("127."):
        return True
    try:
        return IPv4Address(host).is_loopback
    except ValueError:  # 127.0.0.999, or a leading zero, which some resolvers read as octal
        return False


def read_journal(value: object) -> str:
    """A database URL. A database in memory is refused: it would forget what was sent."""
    text = read_text(value)
    if not _JOURNAL.fullmatch(text) or ":memory:" in text:
        raise fault('must be "sqlite:///PATH"')
    return text


def anchored_url(url: str, directory: Path) -> str:
    """A journal's URL with the path of its file made absolute: a relative one starts at ``directory``."""
    return _SQLITE + str(directory / url.removeprefix(_SQLITE))


def read_time_of_day(value: object) -> time:
    """HH:MM, quoted."""
    if isinstance(value, time) and value.tzinfo is None and not (value.second or value.microsecond):
        raise fault(f'must be in quotes, such as "{value:%H:%M}"')
    found = _TIME_OF_DAY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise fault('must be HH:MM in quotes, from "00:00" to "23:59"')
    return time(int(found[1]), int(found[2]))


def read_zone(value: object) -> str:
    """The name of an IANA time zone."""
    if not (isinstance(value, str) and value.strip()):
        raise fault('must be an IANA time zone in quotes, such as "UTC" or "Europe/Berlin"')
    text = read_text(value)
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = did_you_mean(text, sorted(available_timezones()))
        suggestion = near if near.startswith("did") else 'such as "UTC" or "Europe/Berlin"'
        raise fault(f"must be an IANA time zone; {suggestion}") from None
    return text


Host = Annotated[str, BeforeValidator(read_host)]
Loopback = Annotated[str, BeforeValidator(read_loopback), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
Exchange = Annotated[str, BeforeValidator(read_exchange)]
JournalUrl = Annotated[str, BeforeValidator(read_journal)]
WalletAddress = Annotated[str, BeforeValidator(read_wallet_address)]
Zone = Annotated[str, BeforeValidator(read_zone)]
