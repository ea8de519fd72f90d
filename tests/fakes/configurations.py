"""Configurations for tests: sound ones to break, and what is said about broken ones."""

from collections.abc import Mapping
from pathlib import Path

from keeper.domain.errors import ConfigError, Problem
from keeper.settings import Settings, load

PAPER = """\
[venues.sim]
exchange = "paper"
feed = { kind = "synthetic", seed = 7, prices = { "BTC/USDT:USDT" = "52500", "ETH/USDT:USDT" = "2500" } }
account = { balances = { USDT = "100000" } }

[funds.btc3l]
venue = "sim"
target = { "BTC/USDT:USDT" = 3.0 }
"""

BINANCE = """\
[venues.binance]
exchange = "binanceusdm"
environment = "testnet"
credentials = { api_key_file = "secrets/api_key", secret_file = "secrets/secret" }

[funds.btc3l]
venue = "binance"
target = { "BTC/USDT:USDT" = 3.0 }
"""

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


def written(folder: Path, text: str) -> Path:
    """A configuration file with ``text``."""
    path = folder / "keeper.toml"
    path.write_text(text, encoding="utf-8")
    return path


def secret_files(folder: Path, api_key: str = API_KEY, secret: str = SECRET) -> Path:
    """A folder with two sound secret files, named as in BINANCE."""
    secrets = folder / "secrets"
    secrets.mkdir(exist_ok=True)
    for name, text in (("api_key", api_key), ("secret", secret)):
        path = secrets / name
        path.write_text(text + "\n", encoding="utf-8")
        path.chmod(0o600)
    return secrets


def loaded(folder: Path, text: str, env: Mapping[str, str] | None = None) -> Settings:
    """The settings in ``text``."""
    return load(written(folder, text), env or {})


def problems(folder: Path, text: str, env: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """What is wrong with ``text``; no problem at all fails the test."""
    path = written(folder, text)
    try:
        settings = load(path, env or {})
    except ConfigError as error:
        return error.problems
    message = f"accepted: {settings!r}"
    raise AssertionError(message)
