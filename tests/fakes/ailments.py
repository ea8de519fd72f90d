"""What may be wrong with an account before its first order: rows that `doctor` and a start must each tell in their own words.

To add an exchange: a ``Patient``, and its rows of ``AILMENTS``. Each row spoils a sound exchange, or a sound configuration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeper.settings.addresses import SUPPORTED
from tests.fakes.binance_desk import drifted_exchange
from tests.fakes.binance_server import WALLET, BinanceServer, Fault
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.configurations import secret_files, written
from tests.fakes.loopback_server import API_KEY, PASSPHRASE, SECRET, LoopbackServer
from tests.fakes.okx import OkxServer, okx_core

YEAR_2001 = 980_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """An exchange, and a fund on it. target: as the configuration has it; server: sound, not yet serving."""

    exchange: str
    target: str
    server: Callable[[], Any]


USDM = Patient(exchange="binanceusdm", target='{ "BTC/USDT:USDT" = 3.0 }', server=drifted_exchange)
OKX = Patient(exchange="okx", target='{ "BTC/USDT:USDT" = 3.0 }', server=lambda: OkxServer(core=okx_core(), demo=None))
SPOT = Patient(exchange="binance", target='{ "BTC/USDT" = 0.7, "ETH/USDT" = 0.3 }', server=lambda: BinanceSpot(core=spot_core()))


def written_patient(
    folder: Path, patient: Patient, server: LoopbackServer, environment: str, replaced: Mapping[str, str] | None = None
) -> Path:
    """``keeper.toml`` of a fund called fund on a venue called venue. replaced: words of it, and what stands there instead."""
    passphrase = secret_files(folder, API_KEY, SECRET) / "passphrase"
    passphrase.write_text(PASSPHRASE)
    passphrase.chmod(0o600)
    files = ", ".join(f'{part}_file = "secrets/{part}"' for part in SUPPORTED[patient.exchange])
    hosts = "\n".join(f'"{host}" = "{origin}"' for host, origin in server.hosts.items())
    text = f"""\
[venues.venue]
exchange = "{patient.exchange}"
environment = "{environment}"
credentials = {{ {files} }}

[funds.fund]
venue = "venue"
target = {patient.target}
execution = {{ horizon = "3s", slices = 4 }}

[venues.venue.hosts]
{hosts}
"""
    for old, new in (replaced or {}).items():
        assert old in text
        text = text.replace(old, new)
    return written(folder, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """One thing that is wrong.

    spoil: the exchange; replaced: of the configuration; check, code: the first line of `doctor` that fails, and its exit code;
    words: what that line says; start, refused: exit code of a rebalance, and what it says.
    """

    name: str
    patient: Patient
    check: str
    code: int
    words: str
    start: int
    refused: str
    environment: str = "live"
    spoil: Callable[[Any], object] = lambda _server: None
    replaced: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.patient.exchange}: {self.name}"


def set_on(**values: Any) -> Callable[[LoopbackServer], None]:
    """Sets attributes of the exchange."""

    def spoil(server: LoopbackServer) -> None:
        for name, value in values.items():
            setattr(server, name, value)

    return spoil


def restricted(**values: Any) -> Callable[[BinanceServer], None]:
    """Sets what the wallet tells of the key."""
    return lambda server: server.restrictions.update(values)


def faulty(fault: Fault) -> Callable[[LoopbackServer], None]:
    """Breaks answers."""
    return lambda server: server.faults.append(fault)


def _hedged(server: LoopbackServer) -> None:
    server.core.holdings.clear()
    server.core.hedged = True


def _forbidden(server: BinanceServer) -> None:
    server.forbidden = True
    server.restrictions["enableFutures"] = False


def _less_equity(answer: Any) -> Any:
    rows = [row | {"marginBalance": "113000.00"} if row["asset"] == "USDT" else row for row in answer["assets"]]
    return answer | {"assets": rows}


DEMO = frozenset({"demo-fapi.binance.com", "demo-api.binance.com"})
PRODUCTION = frozenset({"fapi.binance.com", WALLET})


def _both(name: str, **parts: Any) -> list[Ailment]:
    return [Ailment(name=name, patient=patient, **parts) for patient in (USDM, SPOT)]


def _okx(name: str, environment: str = "testnet", **parts: Any) -> Ailment:
    return Ailment(name=name, patient=OKX, environment=environment, **parts)


def _told(check: str, code: int, words: str, start: int, refused: str = "") -> dict[str, Any]:
    return {"check": check, "code": code, "words": words, "start": start, "refused": refused or words}


def _unread(check: str, words: str) -> dict[str, Any]:
    """Where the venue lets nobody in, or nothing out."""
    return _told(check, 69, words, 69)


AILMENTS: list[Ailment] = [
    *_both("wrong key on live", spoil=set_on(api_key="another"), **_unread("keys", "was not deleted")),
    *_both("wrong key on testnet", environment="testnet", spoil=set_on(api_key="another"), **_unread("keys", "unknown here")),
    *_both("wrong secret", environment="testnet", spoil=set_on(secret="no"), **_unread("keys", "secret belongs to the API key")),
    *_both("revoked address", spoil=set_on(barred=True), **_unread("keys", "this machine's address")),
    *_both("testnet keys on live", spoil=set_on(strange_on=PRODUCTION), **_unread("keys", 'environment = "testnet"')),
    *_both("live keys on testnet", environment="testnet", spoil=set_on(strange_on=DEMO), **_unread("keys", "make a key there")),
    *_both("maintenance", environment="testnet", spoil=faulty(Fault("", "503_before")), **_unread("reach", "maintenance")),
    *_both("clock", environment="testnet", spoil=set_on(skew=3_000), **_told("clock", 69, "off the venue's, allowed is 1 s", 69)),
    Ailment(name="no right to trade", patient=USDM, spoil=_forbidden, **_unread("keys", "no right to trade here")),
    Ailment(
        name="no right to trade",
        patient=SPOT,
        spoil=restricted(enableSpotAndMarginTrading=False),
        **_told("trading", 78, "the key may not trade", 3),
    ),
    *_both("right to withdraw", spoil=restricted(enableWithdrawals=True), **_told("withdrawals", 78, "the key may withdraw", 3)),
    *_both(
        "expired key",
        spoil=restricted(tradingAuthorityExpirationTime=YEAR_2001),
        **_told("expiry", 78, "the key's right to trade ended 2001-01-20", 3),
    ),
    *_both("delisted market", environment="testnet", replaced={"BTC/": "DEAD/"}, **_told("market", 78, "is not open", 69)),
    *_both("renamed market", environment="testnet", replaced={"BTC/": "XBT/"}, **_told("market", 78, "has no market XBT/", 78)),
    Ailment(
        name="hedge mode",
        patient=USDM,
        environment="testnet",
        spoil=_hedged,
        **_told("position_mode", 78, "the account is in hedge mode", 69),
    ),
    Ailment(
        name="leverage setting too low",
        patient=USDM,
        environment="testnet",
        spoil=lambda server: server.core.set_leverage("BTCUSDT", 3),
        **_told("margin", 78, "the target binds 100 % of NAV as margin", 3),
    ),
    Ailment(
        name="another equity",
        patient=USDM,
        environment="testnet",
        spoil=faulty(Fault("v3/account", "alter", alter=_less_equity)),
        **_told("equity", 3, "115,000.00 USDT by our reckoning, 113,000.00 USDT by the venue's", 3),
    ),
    _okx("wrong key", spoil=set_on(api_key="another"), **_unread("keys", "does not exist")),
    _okx("wrong secret", spoil=set_on(secret="another"), **_unread("keys", "secret belongs to the API key")),
    _okx("wrong passphrase", spoil=set_on(passphrase="another"), **_unread("keys", "the passphrase is wrong")),
    _okx("no right to trade", spoil=set_on(permissions="read_only"), **_unread("keys", "may only read")),
    _okx("live keys on testnet", spoil=set_on(demo=False), **_unread("keys", "belongs to the other environment")),
    _okx("testnet keys on live", "live", spoil=set_on(demo=True), **_unread("keys", "belongs to the other environment")),
    _okx(
        "right to withdraw",
        spoil=set_on(permissions="read_only,trade,withdraw"),
        **_told("withdrawals", 78, "the key may withdraw", 3),
    ),
    _okx(
        "spot mode",
        spoil=set_on(level="1"),
        **_told("account_mode", 78, "the account is in spot mode, which has no perpetuals", 78),
    ),
    _okx("hedge mode", spoil=_hedged, **_told("position_mode", 78, "the account is in hedge mode", 69)),
    _okx("maintenance", spoil=faulty(Fault("", "503_before")), **_unread("reach", "maintenance")),
]
