"""A venue needs what its kind needs, reaches loopback hosts only where hosts are replaced, and is one account for one fund."""

from pathlib import Path

import pytest

from tests.fakes.configurations import BINANCE, PAPER, loaded, problems, secret_files

HOSTS_REFUSED = [
    "http://evil.com",
    "http://127.0.0.1.evil.com",
    "http://localhost.evil.com",
    "http://127.0.0.1@evil.com",
    "http://evil.com@127.0.0.1",
    "http://128.0.0.1",
    "http://127.0.0.999",
    "http://127.0.0.01",
    "http://127.1",
    "http://0.0.0.0:9001",
    "http://[::2]:9001",
    "http://[::ffff:127.0.0.1]:9001",
    "http://127.0.0.1:0",
    "http://127.0.0.1:65536",
    "http://127.0.0.1:\uff19\uff10\uff10\uff11",
    "http://127.0.0.1/path",
    "http://127.0.0.1?x=1",
    "http://127.0.0.1\\n",
    "ftp://127.0.0.1",
    "127.0.0.1:9001",
    "",
]


@pytest.mark.parametrize("target", HOSTS_REFUSED)
def test_a_host_is_replaced_by_a_loopback_address_only(tmp_path: Path, target: str) -> None:
    secret_files(tmp_path)
    text = BINANCE.replace("credentials", f'hosts = {{ "fapi.binance.com" = "{target}" }}\ncredentials', 1)
    [problem] = problems(tmp_path, text)
    assert problem.key == 'venues.binance.hosts."fapi.binance.com"'
    assert "must be a loopback address" in problem.remedy


@pytest.mark.parametrize("target", ["http://127.0.0.1:9001", "http://127.255.0.3", "https://127.0.0.1:65535/", "http://[::1]:1"])
def test_a_loopback_address_is_taken(tmp_path: Path, target: str) -> None:
    secret_files(tmp_path)
    text = BINANCE.replace("credentials", f'hosts = {{ "fapi.binance.com" = "{target}" }}\ncredentials', 1)
    assert loaded(tmp_path, text).venues["binance"].hosts == {"fapi.binance.com": target.rstrip("/")}


@pytest.mark.parametrize("host", ["https://fapi.binance.com", "fapi.binance.com:443", "FAPI.binance.com", "", "-a.com"])
def test_a_replaced_host_is_a_bare_name(tmp_path: Path, host: str) -> None:
    secret_files(tmp_path)
    text = BINANCE.replace("credentials", f'hosts = {{ "{host}" = "http://127.0.0.1" }}\ncredentials', 1)
    [problem] = problems(tmp_path, text)
    assert "must be a bare host name" in problem.remedy


@pytest.mark.parametrize(
    ("line", "key", "value", "remedy"),
    [
        ("", "environment", "(missing)", 'is required: "live" or "testnet"'),
        ('environment = "paper"', "environment", '"paper"', 'use exchange = "paper"'),
        ('environment = "demo"', "environment", '"demo"', 'must be "live" or "testnet" or "paper"'),
        (
            'environment = "live"\naccount = { balances = { A = 1 } }',
            "account",
            "{ balances",
            'belongs to exchange = "paper" only',
        ),
        ('environment = "live"\nfeed = { kind = "fixed", prices = { "A/B" = 1 } }', "feed", "{ kind", "belongs to exchange"),
    ],
)
def test_an_exchange_needs_its_environment_and_nothing_of_paper(
    tmp_path: Path, line: str, key: str, value: str, remedy: str
) -> None:
    secret_files(tmp_path)
    [problem] = problems(tmp_path, BINANCE.replace('environment = "testnet"', line))
    assert problem.key == f"venues.binance.{key}"
    assert value in problem.value
    assert remedy in problem.remedy


def test_two_funds_on_one_venue_are_refused(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, PAPER + '[funds.eth]\nvenue = "sim"\ntarget = { "ETH/USDT:USDT" = 1 }\n')
    assert (problem.source, problem.key, problem.value) == (f"{tmp_path / 'keeper.toml'}:10", "funds.eth.venue", '"sim"')
    assert "fund btc3l" in problem.remedy
    assert "give each fund an account" in problem.remedy


def test_two_venues_with_the_same_keys_are_one_account(tmp_path: Path) -> None:
    secret_files(tmp_path)
    (tmp_path / "copy").write_bytes((tmp_path / "secrets" / "api_key").read_bytes())
    (tmp_path / "copy").chmod(0o600)
    second = BINANCE.replace("binance]", "again]").replace("secrets/api_key", "copy").replace("btc3l", "other")
    [problem] = problems(tmp_path, BINANCE + second.replace('venue = "binance"', 'venue = "again"'))
    assert problem.key == "funds.other.venue"
    assert "the account of venue binance" in problem.remedy


def test_the_same_keys_in_another_environment_are_another_account(tmp_path: Path) -> None:
    secret_files(tmp_path)
    second = BINANCE.replace("binance]", "again]").replace("testnet", "live").replace("btc3l", "other")
    settings = loaded(tmp_path, BINANCE + second.replace('venue = "binance"', 'venue = "again"'))
    assert set(settings.funds) == {"btc3l", "other"}
