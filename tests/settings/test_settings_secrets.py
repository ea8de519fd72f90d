"""Secrets come from files that are ours alone or from the environment, and no message, dump or repr ever holds one."""

import errno
import os
import stat
from pathlib import Path

import pytest

from keeper.domain.errors import ConfigError, Problem
from keeper.settings import account_fingerprint, credentials_of, effective, load, read_secret
from keeper.settings.masking import display
from keeper.settings.secrets import cannot_open, refusal
from keeper.settings.sections import VenueSettings
from tests.fakes.configurations import API_KEY, BINANCE, SECRET, loaded, problems, secret_files

KEY_VARIABLE = "KEEPER__VENUES__BINANCE__CREDENTIALS__API_KEY"
SECRET_VARIABLE = "KEEPER__VENUES__BINANCE__CREDENTIALS__SECRET"


def spoil(path: Path, how: str) -> None:
    """Make a sound secret file unfit."""
    match how:
        case "missing":
            path.unlink()
        case "link":
            path.rename(path.with_name("target"))
            path.symlink_to("target")
        case "folder":
            path.unlink()
            path.mkdir()
        case "pipe":
            path.unlink()
            os.mkfifo(path, 0o600)
        case "empty":
            path.write_text("", encoding="utf-8")
        case "blank":
            path.write_text(" \n", encoding="utf-8")
        case "binary":
            path.write_bytes(b"\xff\xfe\x00")
        case "long":
            path.write_text("x" * 70_000, encoding="utf-8")
        case mode:
            path.chmod(int(mode, 8))


UNFIT = [
    ("missing", "no such file: make it with mode 600"),
    ("link", "is a symbolic link"),
    ("folder", "is not a regular file"),
    ("pipe", "is not a regular file"),
    ("empty", "is empty"),
    ("blank", "is empty"),
    ("binary", "is not text"),
    ("long", "is too long for a secret"),
    ("604", "(mode 604): chmod 600 "),
    ("640", "(mode 640): chmod 600 "),
    ("644", "(mode 644): chmod 600 "),
    ("620", "(mode 620): chmod 600 "),
    ("601", "(mode 601): chmod 600 "),
]


@pytest.mark.parametrize(("how", "remedy"), UNFIT)
@pytest.mark.parametrize("name", ["api_key", "secret"])
def test_an_unfit_secret_file_is_refused_before_anything_is_sent(tmp_path: Path, name: str, how: str, remedy: str) -> None:
    path = secret_files(tmp_path) / name
    spoil(path, how)
    [problem] = problems(tmp_path, BINANCE)
    assert problem.source == f"{tmp_path / 'keeper.toml'}:4"
    assert problem.key == f"venues.binance.credentials.{name}_file"
    assert problem.value == f'"secrets/{name}"'
    assert remedy in problem.remedy
    assert API_KEY not in str(problem)
    assert SECRET not in str(problem)
    with pytest.raises(ConfigError) as caught:
        read_secret(path)
    assert remedy in str(caught.value)


def test_the_remedy_for_an_open_file_is_a_command_that_works(tmp_path: Path) -> None:
    path = secret_files(tmp_path) / "secret"
    path.chmod(0o644)
    [problem] = problems(tmp_path, BINANCE)
    assert problem.remedy.endswith(f"chmod 600 {path}")


@pytest.mark.parametrize(
    ("owner", "user", "mode", "words"),
    [
        (1000, 1000, 0o100600, None),
        (0, 1000, 0o100600, None),
        (1000, 1000, 0o100400, None),
        (1001, 1000, 0o100600, "belongs to user 1001"),
        (1000, 0, 0o100600, "belongs to user 1000"),
        (1000, 1000, 0o100660, "is open to other users"),
        (1000, 1000, 0o040700, "is not a regular file"),
    ],
)
def test_a_secret_file_is_ours_or_roots_and_nobody_elses(owner: int, user: int, mode: int, words: str | None) -> None:
    status = os.stat_result((mode, 1, 1, 1, owner, 1, 10, 0, 0, 0))
    assert stat.S_IFMT(status.st_mode) == stat.S_IFMT(mode)
    found = refusal(status, Path("secret"), user=user)
    assert (found is None) if words is None else (found is not None and words in found)


@pytest.mark.parametrize(("content", "secret"), [("abc\n", "abc"), ("abc", "abc"), ("abc\r\n", "abc")])
def test_one_newline_at_the_end_is_no_part_of_a_secret(tmp_path: Path, content: str, secret: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content.encode())
    path.chmod(0o600)
    assert read_secret(path).get_secret_value() == secret


def test_credentials_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    folder = secret_files(tmp_path)
    venue = loaded(tmp_path, BINANCE).venues["binance"]
    assert credentials_of("binance", venue)["api_key"].get_secret_value() == API_KEY
    (folder / "api_key").write_text("rotated\n", encoding="utf-8")
    assert credentials_of("binance", venue)["api_key"].get_secret_value() == "rotated"
    (folder / "secret").chmod(0o644)
    with pytest.raises(ConfigError, match=r"secret: venues\.binance\.credentials\.secret_file = .*chmod 600"):
        credentials_of("binance", venue)


@pytest.mark.parametrize(
    ("credentials", "keys"),
    [
        ("", ["api_key_file", "secret_file"]),
        ("credentials = {}", ["api_key_file", "secret_file"]),
        ('credentials = { api_key_file = "secrets/api_key" }', ["secret_file"]),
        ('credentials = { secret_file = "secrets/secret" }', ["api_key_file"]),
    ],
)
def test_a_fund_on_an_exchange_needs_credentials(tmp_path: Path, credentials: str, keys: list[str]) -> None:
    secret_files(tmp_path)
    line = next(line for line in BINANCE.splitlines() if line.startswith("credentials"))
    found = problems(tmp_path, BINANCE.replace(line, credentials))
    assert [each.key for each in found] == [f"venues.binance.credentials.{key}" for key in keys]
    assert all(each.value == "(missing)" and "a fund trades here: name a file" in each.remedy for each in found)
    assert all(f"or set {KEY_VARIABLE}" in found[0].remedy or SECRET_VARIABLE in each.remedy for each in found)


def test_a_venue_that_no_fund_uses_needs_none(tmp_path: Path) -> None:
    assert "binance" in loaded(tmp_path, BINANCE.partition("[funds")[0]).venues


def test_secrets_come_from_the_environment(tmp_path: Path) -> None:
    env = {KEY_VARIABLE: API_KEY, SECRET_VARIABLE.lower(): SECRET}
    settings = loaded(tmp_path, BINANCE, env)
    found = credentials_of("binance", settings.venues["binance"])
    assert {part: held.get_secret_value() for part, held in found.items()} == {"api_key": API_KEY, "secret": SECRET}
    shown = {each.key: (each.value, each.source) for each in effective(settings)}
    assert shown["venues.binance.credentials.api_key"] == ("***", KEY_VARIABLE)
    assert shown["venues.binance.credentials.secret_file"] == (None, "default")
    everything = f"{settings!r}{settings}{shown}{found!r}{settings.model_dump()!r}{settings.model_dump_json()}"
    assert API_KEY not in everything
    assert SECRET not in everything


def test_a_secret_and_its_file_both_from_the_environment_are_one_too_many(tmp_path: Path) -> None:
    secret_files(tmp_path)
    env = {KEY_VARIABLE: API_KEY, f"{KEY_VARIABLE}_FILE": "secrets/api_key"}
    [problem] = problems(tmp_path, BINANCE, env)
    assert (problem.source, problem.key, problem.value) == (KEY_VARIABLE, "venues.binance.credentials.api_key", "***")
    assert "is given twice: keep api_key or api_key_file" in problem.remedy


# the credentials line of the file, variables, the key that is blamed
LEAKS: list[tuple[str, dict[str, str], str]] = [
    (f'credentials = {{ api_key = "{API_KEY}", secret_file = "secrets/secret" }}', {}, "venues.binance.credentials.api_key"),
    (f'credentials = {{ secret = "{SECRET}" }}', {}, "venues.binance.credentials.secret"),
    (f'credentials = "{API_KEY}"', {}, "venues.binance.credentials"),
    (f'credentials = {{ api_secret = "{SECRET}" }}', {}, "venues.binance.credentials.api_secret"),
    (f'apikey = "{API_KEY}"', {}, "venues.binance.apikey"),
    (f'password = "{SECRET}"', {}, "venues.binance.password"),
    (f'login = "{SECRET}"', {}, "venues.binance.login"),
    (f'credentials = {{ api_key_file = "{API_KEY}" }}', {}, "venues.binance.credentials.api_key_file"),
    (f'hosts = "{SECRET}"', {}, "venues.binance.hosts"),
    (f'other = {{ secret = "{SECRET}" }}', {}, "venues.binance.other"),
    ("", {KEY_VARIABLE + "S": API_KEY}, "venues.binance.credentials.api_keys"),
    ("", {"KEEPER__VENUES__OTHER__CREDENTIALS__SECRET": SECRET}, "venues.other.credentials.secret"),
    ("", {"KEEPER__VENUES__BINANCE__CREDENTIALS": SECRET}, "venues.binance.credentials"),
    ("", {"KEEPER__VENUES__BINANCE": f'{{ secret = "{SECRET}" }}'}, "venues.binance.secret"),
    ("", {"KEEPER__API_SECRET": SECRET}, "api_secret"),
    ("", {"KEEPER__VENUES__BINANCE": f'secret = "{SECRET}"'}, "venues.binance"),
]


@pytest.mark.parametrize(("line", "env", "key"), LEAKS)
def test_no_problem_shows_a_secret(tmp_path: Path, line: str, env: dict[str, str], key: str) -> None:
    secret_files(tmp_path)
    old = next(line for line in BINANCE.splitlines() if line.startswith("credentials"))
    found = problems(tmp_path, BINANCE.replace(old, line), env)
    message = str(ConfigError(*found))
    assert key in [each.key for each in found]
    assert "***" in message
    assert API_KEY not in message
    assert SECRET not in message


def test_a_secret_in_the_file_is_refused_with_where_it_belongs(tmp_path: Path) -> None:
    line = next(line for line in BINANCE.splitlines() if line.startswith("credentials"))
    found = problems(tmp_path, BINANCE.replace(line, 'credentials = { api_key = "short", secret = "word" }'))
    assert found[:2] == (
        Problem(
            f"{tmp_path / 'keeper.toml'}:4",
            "venues.binance.credentials.api_key",
            "***",
            f"a secret never stands in this file: put it into a file of mode 600 named by api_key_file, or into {KEY_VARIABLE}",
        ),
        Problem(
            f"{tmp_path / 'keeper.toml'}:4",
            "venues.binance.credentials.secret",
            "***",
            f"a secret never stands in this file: put it into a file of mode 600 named by secret_file, or into {SECRET_VARIABLE}",
        ),
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("secrets/binance_api_key", '"secrets/binance_api_key"'),
        ("/run/secrets/Binance1ApiKeyOfTheFund", '"/run/secrets/Binance1ApiKeyOfTheFund"'),
        (API_KEY, "***"),
        ("5f8d0d55b54764421b7156c5", "***"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQ\n", "***"),
        ("a\nb\x1b[31m", '"a\\x0ab\\x1b[31m"'),
        ("x" * 200, '"' + "x" * 80 + '..."'),
        ("postgresql://me:pw@host/db?password=pw2&x=1", '"postgresql://***@host/db?password=***&x=1"'),
    ],
)
def test_text_is_shown_on_one_line_without_what_looks_like_a_key(text: str, shown: str) -> None:
    assert display(("venues", "x", "exchange"), text) == shown


def test_relative_names_start_at_the_file_and_a_tilde_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    secret_files(folder)
    home = tmp_path / "home"
    home.mkdir()
    secret_files(home)
    monkeypatch.chdir(home)
    settings = loaded(folder, BINANCE)
    assert settings.venues["binance"].credentials.api_key_file == str(folder / "secrets" / "api_key")
    text = BINANCE.replace("secrets/api_key", "~/secrets/api_key")
    settings = loaded(folder, text, {"HOME": str(home)})
    assert settings.venues["binance"].credentials.api_key_file == str(home / "secrets" / "api_key")
    monkeypatch.chdir(folder)
    assert load(Path("keeper.toml"), {"HOME": str(home)}) is not None


def test_the_fingerprint_names_the_account_and_not_the_key(tmp_path: Path) -> None:
    def fingerprint(text: str, api_key: str = API_KEY, secret: str = SECRET) -> str:
        secret_files(tmp_path, api_key, secret)
        return account_fingerprint("binance", loaded(tmp_path, text).venues["binance"])

    first = fingerprint(BINANCE)
    assert len(first) == 16
    assert set(first) <= set("0123456789abcdef")
    assert fingerprint(BINANCE, secret="rotated") == first
    others = {
        fingerprint(BINANCE, api_key="another"),
        fingerprint(BINANCE.replace("testnet", "live")),
        fingerprint(BINANCE.replace("binanceusdm", "binance")),
    }
    assert len(others | {first}) == 4


def test_an_account_is_the_same_however_its_address_is_written(tmp_path: Path) -> None:
    """Capitals of an address are a checksum: one account under two names could be traded by two funds."""
    secret_files(tmp_path)
    key = tmp_path / "secrets" / "private_key"
    key.write_text("22" * 32, encoding="utf-8")
    key.chmod(0o600)
    text = BINANCE.replace("binanceusdm", "hyperliquid")
    start = text.index("credentials")
    keys = text[start : text.index("}", start) + 1]

    def venue(address: str) -> VenueSettings:
        named = f'credentials = {{ wallet_address = "{address}", private_key_file = "secrets/private_key" }}'
        return loaded(tmp_path, text.replace(keys, named)).venues["binance"]

    written = "0x" + "aBcDeF0123" * 4
    assert account_fingerprint("binance", venue(written)) == account_fingerprint("binance", venue(written.lower()))
    assert account_fingerprint("binance", venue(written)) != account_fingerprint("binance", venue("0x" + "1" * 40))
    held = {part: secret.get_secret_value() for part, secret in credentials_of("binance", venue(written)).items()}
    assert held == {"wallet_address": written.lower(), "private_key": "22" * 32}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "can't be read by this user"),
        (errno.EPERM, "can't be read by this user"),
        (errno.ELOOP, "is a symbolic link"),
        (errno.ENOTDIR, "no such file"),
        (errno.EIO, "can't be opened (input/output error)"),
    ],
)
def test_a_file_that_does_not_open_says_why(number: int, words: str) -> None:
    assert words in cannot_open(OSError(number, os.strerror(number)))


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NUL"):
        read_secret(tmp_path / "a\0b")


@pytest.mark.parametrize("content", ["abc\n\n", " a b ", "a\rb", "schl\u00fcssel", "a\tb"])
def test_what_no_key_holds_is_refused_before_it_goes_into_a_header(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret"
    path.write_text(content, encoding="utf-8", newline="")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="that no key has"):
        read_secret(path)
