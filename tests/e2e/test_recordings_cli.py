"""Recordings at the command line: what `config check` says of them is what `plan` and `run` do; and what their end does."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes.command_line import CommandLine, keeper
from tests.fakes.recordings import as_csv, bar

FUND = """
[venues.sim]
exchange = "paper"
account = {{ balances = {{ USDT = "100000" }} }}
[venues.sim.feed]
kind = "recorded"
files."BTC/USDT:USDT" = {{ path = "bars.csv" }}
markets."BTC/USDT:USDT" = {{ tick = "0.1", lot = "0.001", taker_bps = 5 }}
{feed}
[funds.btc]
venue = "sim"
target = {{ "BTC/USDT:USDT" = 2 }}
{fund}
"""
SCHEDULE = 'schedule = { at = "00:15" }'


def written(folder: Path, *, feed: str = "", fund: str = "", hours: int = 60) -> None:
    (folder / "keeper.toml").write_text(FUND.format(feed=feed, fund=fund))
    as_csv(folder / "bars.csv", [bar(60 * hour, volume=100_000.0) for hour in range(hours)])


FAULTS: Mapping[str, tuple[dict[str, str], str, tuple[str, str]]] = {
    "missing": ({}, "plan", ("bars.csv: can't be read (no such file", "check the path")),
    "corrupt": ({}, "plan", ("bars.csv: line 3: high is 'x'", "no number")),
    "too short": (
        {"fund": 'execution = { horizon = "3h" }'},
        "plan",
        ("funds.btc.execution.horizon = 3h: 7200 s are left of the recording", "use a journal of its own"),
    ),
    "without days": ({"fund": SCHEDULE}, "run", ("venues.sim.feed.speed = (unset): set how many", "no days to wait for")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_check_says_is_what_would_be_refused(tmp_path: Path, keeper_here: CommandLine, name: str) -> None:
    texts, acting, words = FAULTS[name]
    written(tmp_path, **texts, hours=2 if name == "too short" else 60)
    bars = tmp_path / "bars.csv"
    if name == "missing":
        bars.unlink()
    if name == "corrupt":
        bars.write_text(bars.read_text().replace("50100.0", "x", 2).replace("x", "50100.0", 1))
    checked = keeper_here("config", "check")
    assert (checked.code, checked.out) == (78, "")
    assert not (tmp_path / "var").exists()
    [said] = checked.said
    assert all(word in said for word in words), said
    refused = keeper_here(acting)
    assert (refused.code, refused.said) == (78, [said])


def test_check_names_every_market_s_faults_at_once(tmp_path: Path, keeper_here: CommandLine) -> None:
    written(tmp_path, fund='execution = { horizon = "3h" }\n' + SCHEDULE, hours=2)
    checked = keeper_here("config", "check")
    assert checked.code == 78
    assert [line.partition(" = ")[0].rpartition(": ")[2] for line in checked.said] == [
        "venues.sim.feed.speed",
        "funds.btc.execution.horizon",
    ]


def test_a_sound_recording_is_sound(tmp_path: Path, keeper_here: CommandLine) -> None:
    written(tmp_path, feed="speed = 1000", fund=SCHEDULE)
    assert keeper_here("config", "check").code == 0
    assert keeper_here("plan").code == 2


def test_a_price_that_its_tick_can_t_show_is_found_too(tmp_path: Path, keeper_here: CommandLine) -> None:
    assert keeper(tmp_path, "init").code == 0
    file = tmp_path / "keeper.toml"
    file.write_text(file.read_text().replace('tick = "0.1"', 'tick = "1000"'))
    checked = keeper_here("config", "check")
    assert checked.code == 78
    assert checked.said == keeper_here("plan").said


def test_a_daemon_whose_recording_is_over_ends_well_and_says_so(tmp_path: Path) -> None:
    rarely = '\nemergency = { max_leverage = 4, check_every = "30m" }'  # what is looked at takes time, which is not this test's
    written(tmp_path, feed="speed = 1000000", fund=SCHEDULE + '\nexecution = { horizon = "10m" }' + rarely)
    ended = keeper(tmp_path, "run")
    assert ended.code == 0, ended.err
    assert "the recording is over" in ended.err
    listed = keeper(tmp_path, "runs", "list", "--json").document["runs"]
    assert [run["status"] for run in listed] == ["completed"] * 3  # the two days and a half have three midnights
    [fund] = keeper(tmp_path, "status", "--json").document["funds"]
    assert fund["trouble"] in ("", None)
    again = keeper(tmp_path, "run")  # whoever is started again after that finds nothing more to do
    assert again.code == 0, again.err
    assert keeper(tmp_path, "runs", "list", "--json").document["runs"] == listed
