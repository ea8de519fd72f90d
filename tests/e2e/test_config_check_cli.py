"""`keeper config check` refuses offline what connecting refuses, in the same words: exchange, environment, streams, keys."""

import base64
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.command_line import CommandLine
from tests.fakes.configurations import secret_files, written

KEYS = 'api_key_file = "secrets/api_key", secret_file = "secrets/secret"'
WALLET = 'wallet_address = "0x00000000000000000000000000000000000000b2", private_key_file = "secrets/secret"'
ENCODED = base64.b64encode(b"a secret of some length").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A venue that nobody could connect to. line: of what is to blame; key: it, below the venue; words: what is said."""

    exchange: str
    line: int
    key: str
    words: str
    environment: str = "live"
    keys: str = KEYS
    secret: str = ENCODED
    more: str = ""
    symbol: str = "BTC/USDT"
    loaded: bool = False  # said on reading the configuration already, by every command


UNFIT = {
    "an exchange that ccxt does not know": Unfit(
        exchange="mtgox", line=2, key="exchange", words="or another id of ccxt", loaded=True
    ),
    "too little is possible there": Unfit(
        exchange="bitbank",
        line=2,
        key="exchange",
        words="Keeper can't trade on bitbank: ccxt has no fetchTime, fetchOrders or fetchClosedOrders there",
    ),
    "no testnet": Unfit(
        exchange="kraken", environment="testnet", line=3, key="environment", words="kraken knows live", symbol="BTC/USD"
    ),
    "no testnet that ccxt tells of": Unfit(
        exchange="whitebit", environment="testnet", line=3, key="environment", words="whitebit knows live"
    ),
    "no streams": Unfit(
        exchange="whitebit",
        more='market_data = "stream"',
        line=5,
        key="market_data",
        words="Keeper follows no streams of whitebit in live, only those of ",
    ),
    **{
        f"no passphrase on {exchange}": Unfit(
            exchange=exchange,
            symbol="BTC/USDT:USDT",
            line=4,
            key="credentials.passphrase_file",
            words="name a file that holds the passphrase",
            loaded=True,
        )
        for exchange in ("okx", "kucoinfutures", "bitget")
    },
    "no passphrase where ccxt alone knows that there is one": Unfit(
        exchange="coinbaseexchange", line=4, key="credentials.passphrase", words="write the file that holds it"
    ),
    "no wallet address": Unfit(
        exchange="hyperliquid",
        keys='private_key_file = "secrets/secret"',
        line=4,
        key="credentials.wallet_address",
        words="name the address of the account",
        symbol="BTC/USDC:USDC",
        loaded=True,
    ),
    "a private key that can't sign": Unfit(
        exchange="hyperliquid",
        keys=WALLET,
        line=4,
        key="credentials.private_key",
        words="the private key is not 64 hexadecimal digits",
        symbol="BTC/USDC:USDC",
    ),
    **{
        f"a secret that can't sign on {exchange}": Unfit(
            exchange=exchange,
            secret="halfofit0",
            symbol=symbol,
            line=4,
            key="credentials.secret",
            words="the secret is no base64",
        )
        for exchange, symbol in (("kraken", "BTC/USD"), ("krakenfutures", "BTC/USD:USD"))
    },
}


def configured(folder: Path, venue: Unfit, *, traded: bool = True) -> Path:
    """A fund on the venue or, where it is not traded, the venue alone."""
    secret_files(folder, secret=venue.secret)
    fund = f'\n[funds.fund]\nvenue = "unfit"\ntarget = {{ "{venue.symbol}" = 0.5 }}\n' if traded else ""
    text = f'[venues.unfit]\nexchange = "{venue.exchange}"\nenvironment = "{venue.environment}"\n'
    return written(folder, f"{text}credentials = {{ {venue.keys} }}\n{venue.more}\n{fund}")


@pytest.mark.parametrize("venue", UNFIT.values(), ids=UNFIT)
def test_what_nobody_could_connect_to_is_refused_offline(tmp_path: Path, keeper_here: CommandLine, venue: Unfit) -> None:
    file = configured(tmp_path, venue)
    ended = keeper_here("config", "check")
    assert ended.code == 78, ended.out
    [said] = ended.said
    assert said.startswith(f"{file}:{venue.line}: venues.unfit.{venue.key} = ")
    assert venue.words in said
    assert venue.secret not in ended.out + ended.err


@pytest.mark.parametrize("name", [name for name, venue in UNFIT.items() if not venue.loaded and "sign" not in name])
def test_who_connects_is_refused_in_the_same_words(tmp_path: Path, keeper_here: CommandLine, name: str) -> None:
    configured(tmp_path, UNFIT[name])
    [checked] = keeper_here("config", "check").said
    connecting = keeper_here("plan")
    assert connecting.code == 78
    [said] = connecting.said
    key = f"venues.unfit.{UNFIT[name].key} = "
    assert said.partition(key)[2] == checked.partition(key)[2] != ""


@pytest.mark.parametrize("name", ["too little is possible there", "no testnet", "no streams"])
def test_a_venue_without_a_fund_is_judged_by_what_it_is(tmp_path: Path, keeper_here: CommandLine, name: str) -> None:
    configured(tmp_path, UNFIT[name], traded=False)
    ended = keeper_here("config", "check")
    assert ended.code == 78
    assert UNFIT[name].words in ended.said[0]


def test_a_venue_without_a_fund_needs_no_keys(tmp_path: Path, keeper_here: CommandLine) -> None:
    configured(tmp_path, UNFIT["a private key that can't sign"], traded=False)
    assert keeper_here("config", "check").code == 0


@pytest.mark.parametrize("exchange", ["kraken", "krakenfutures", "whitebit"])
def test_one_that_can_be_connected_to_is_sound(tmp_path: Path, keeper_here: CommandLine, exchange: str) -> None:
    configured(tmp_path, Unfit(exchange=exchange, line=0, key="", words="", symbol="BTC/USD"))
    ended = keeper_here("config", "check")
    assert ended.code == 0, ended.err
