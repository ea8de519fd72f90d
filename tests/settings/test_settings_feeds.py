"""The sections of recorded and public feeds."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.settings import CcxtFeed, RecordedFeed, effective
from tests.fakes.configurations import loaded, problems

RECORDED = """\
[venues.sim]
exchange = "paper"
account = { balances = { USDT = "100000" } }
[venues.sim.feed]
kind = "recorded"
files."BTC/USDT:USDT" = { path = "l2", name = "usdm_BTCUSDT" }
files."ETH/USDT:USDT" = { path = "eth.csv" }
markets."BTC/USDT:USDT" = { tick = "0.1", lot = "0.001" }
start = 2024-08-08T23:55:00Z
[funds.btc]
venue = "sim"
target = { "BTC/USDT:USDT" = 1 }
"""
PUBLIC = """\
[venues.sim]
exchange = "paper"
feed = { kind = "ccxt", exchange = "binanceusdm" }
account = { balances = { USDT = "100000" }, positions = { "SOL/USDT:USDT" = { contracts = 1, entry = 150 } } }
[funds.btc]
venue = "sim"
target = { "BTC/USDT:USDT" = 1 }
"""


def test_a_recorded_feed_has_files_and_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path, RECORDED)
    feed = settings.venues["sim"].feed
    assert isinstance(feed, RecordedFeed)
    assert {symbol: (files.path, files.name) for symbol, files in feed.files.items()} == {
        "BTC/USDT:USDT": ("l2", "usdm_BTCUSDT"),
        "ETH/USDT:USDT": ("eth.csv", None),
    }
    assert (feed.start, feed.end, feed.speed) == (datetime(2024, 8, 8, 23, 55, tzinfo=UTC), None, None)
    assert (feed.seed, feed.spread_bps) == (7, Decimal(1))
    assert settings.anchored("l2") == tmp_path / "l2"
    assert settings.anchored("/srv/l2") == Path("/srv/l2")
    told = {each.key: each.value for each in effective(settings)}
    assert told["venues.sim.feed.start"] == "2024-08-08T23:55:00Z"


@pytest.mark.parametrize("text", ['"2024-08-08T23:55:00Z"', '"2024-08-09 01:55:00+02:00"', "2024-08-09T01:55:00+02:00"])
def test_a_time_is_an_instant_however_it_is_written(tmp_path: Path, text: str) -> None:
    feed = loaded(tmp_path, RECORDED.replace("2024-08-08T23:55:00Z", text)).venues["sim"].feed
    assert isinstance(feed, RecordedFeed)
    assert feed.start == datetime(2024, 8, 8, 23, 55, tzinfo=UTC)


def test_a_variable_sets_a_time(tmp_path: Path) -> None:
    settings = loaded(tmp_path, RECORDED, {"KEEPER__VENUES__SIM__FEED__END": "2024-08-08T23:59:00Z"})
    feed = settings.venues["sim"].feed
    assert isinstance(feed, RecordedFeed)
    assert feed.end == datetime(2024, 8, 8, 23, 59, tzinfo=UTC)


def test_a_public_feed_leaves_the_markets_to_the_exchange(tmp_path: Path) -> None:
    feed = loaded(tmp_path, PUBLIC).venues["sim"].feed
    assert isinstance(feed, CcxtFeed)
    assert (feed.exchange, feed.hosts) == ("binanceusdm", {})


BROKEN = [
    (RECORDED, "2024-08-08T23:55:00Z", "2024-08-08T23:55:00", "start", "must be a time with its zone"),
    (RECORDED, "2024-08-08T23:55:00Z", '"noon"', "start", 'such as "2024-08-08T23:55:00Z"'),
    (RECORDED, "2024-08-08T23:55:00Z", "7", "start", "must be a time with its zone"),
    (RECORDED, "2024-08-08T23:55:00Z", "2024-08-08T23:55:00Z\nend = 2024-08-08T23:55:00Z", "end", "must be later than start"),
    (RECORDED, 'tick = "0.1", ', "", 'markets."BTC/USDT:USDT".tick', "is required: a recorded order book counts in steps"),
    (RECORDED, ', lot = "0.001"', "", 'markets."BTC/USDT:USDT".lot', "is required"),
    (RECORDED, 'markets."BTC', 'markets."SOL/USDT:USDT" = {}\nmarkets."BTC', 'markets."SOL/USDT:USDT"', "has no recording"),
    (RECORDED, 'path = "eth.csv"', 'file = "eth.csv"', 'files."ETH/USDT:USDT".path', "is required: a file of bars"),
    (RECORDED, 'path = "eth.csv"', 'path = ""', 'files."ETH/USDT:USDT".path', "must be text in quotes"),
    (RECORDED, "start =", "speed = 0\nstart =", "speed", "must be above 0"),
    (RECORDED, "start =", "prices = {}\nstart =", "prices", "unknown key"),
    (PUBLIC, '"binanceusdm"', '"paper"', "exchange", 'must be the id of a ccxt exchange, such as "binanceusdm"'),
    (PUBLIC, '"binanceusdm"', '"binancusdm"', "exchange", 'did you mean "binanceusdm"?'),
    (PUBLIC, '"binanceusdm"', '"binanceusdm", hosts = { "fapi.binance.com" = "http://10.0.0.1" }', "hosts", "loopback"),
]


@pytest.mark.parametrize(("text", "old", "new", "key", "remedy"), BROKEN)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, old: str, new: str, key: str, remedy: str) -> None:
    assert old in text
    found = [each for each in problems(tmp_path, text.replace(old, new, 1)) if each.key.startswith(f"venues.sim.feed.{key}")]
    assert found
    assert remedy in found[0].remedy


def test_a_target_without_a_recording_is_named(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, RECORDED.replace('target = { "BTC', 'target = { "SOL'))
    assert problem.key == 'funds.btc.target."SOL/USDT:USDT"'
    assert "has no such market in feed.files" in problem.remedy


def test_a_position_without_a_recording_is_named(tmp_path: Path) -> None:
    text = RECORDED.replace('"100000" } }', '"100000" }, positions = { "SOL/USDT:USDT" = { contracts = 1, entry = 150 } } }')
    [problem] = problems(tmp_path, text)
    assert "has no price in feed.files" in problem.remedy
