"""Bad input at the command line: exit 78 and one message each, before anything is opened, written or sent."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.binance_desk import drifted_exchange, written_fund
from tests.fakes.binance_usdm import in_thread
from tests.fakes.command_line import CommandLine, Ended, keeper
from tests.fakes.configurations import API_KEY, BINANCE, PAPER, SECRET, secret_files

TARGET = 'funds.btc3l.target."BTC/USDT:USDT"'
NUMBER = "must be a plain decimal number"
SECOND_FUND = '[funds.other]\nvenue = "{venue}"\ntarget = {{ "BTC/USDT:USDT" = 1 }}\n'


@dataclass(frozen=True, kw_only=True)
class Bad:
    """One fault. place: line of keeper.toml, or a variable; key, value, remedy: what the message must name."""

    text: str = PAPER
    env: dict[str, str] = field(default_factory=dict)
    place: int | str
    key: str
    value: str
    remedy: str


def paper(old: str, new: str) -> str:
    assert old in PAPER
    return PAPER.replace(old, new)


BAD = {
    "an unknown key": Bad(
        text=paper("seed = 7", "sed = 8"), place=3, key="venues.sim.feed.sed", value="8", remedy='did you mean "seed"?'
    ),
    "an unknown variable": Bad(
        env={"KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERGE": "4"},
        place="KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERGE",
        key="funds.btc3l.limits.max_leverge",
        value='"4"',
        remedy="KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE",
    ),
    "a variable that would make a second fund": Bad(
        env={"KEEPER__FUNDS__BTC4L__VENUE": "sim"},
        place="KEEPER__FUNDS__BTC4L__VENUE",
        key="funds.btc4l.venue",
        value='"sim"',
        remedy="KEEPER__FUNDS__BTC3L__VENUE",
    ),
    "a wrong type": Bad(
        text=paper("seed = 7", 'seed = "7"'), place=3, key="venues.sim.feed.seed", value='"7"', remedy="must be a whole number"
    ),
    "a number with an underscore": Bad(text=paper("3.0", '"3_0"'), place=8, key=TARGET, value='"3_0"', remedy=NUMBER),
    "nan in quotes": Bad(text=paper("3.0", '"nan"'), place=8, key=TARGET, value='"nan"', remedy=NUMBER),
    "TOML's own nan": Bad(text=paper("3.0", "nan"), place=8, key=TARGET, value="nan", remedy=NUMBER),
    "an exponent in quotes": Bad(text=paper("3.0", '"1e3"'), place=8, key=TARGET, value='"1e3"', remedy=NUMBER),
    "TOML's own exponent": Bad(text=paper("3.0", "1e3"), place=8, key=TARGET, value="1e3", remedy=NUMBER),
    "nan in a variable": Bad(
        env={"KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE": "nan"},
        place="KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE",
        key="funds.btc3l.limits.max_leverage",
        value='"nan"',
        remedy=NUMBER,
    ),
    "a leverage above the ceiling": Bad(
        text=paper("3.0", "30"),
        place=8,
        key="funds.btc3l.target",
        value='{ "BTC/USDT:USDT" = 30 }',
        remedy="leverage 30 is above 20, the ceiling",
    ),
    "an underscore that TOML itself swallows": Bad(
        text=paper("3.0", "3_0"), place=8, key="funds.btc3l.target", value='{ "BTC/USDT:USDT" = 30 }', remedy="above 20"
    ),
    "two funds on one account": Bad(
        text=PAPER + SECOND_FUND.format(venue="sim"),
        place=10,
        key="funds.other.venue",
        value='"sim"',
        remedy="where fund btc3l runs: give each fund an account",
    ),
    "a symbol that the venue lacks": Bad(
        text=paper('{ "BTC/USDT:USDT" = 3.0 }', '{ "SOL/USDT:USDT" = 3.0 }'),
        place=8,
        key='funds.btc3l.target."SOL/USDT:USDT"',
        value="3.0",
        remedy="venue sim has no such market",
    ),
    "missing credentials": Bad(
        text=BINANCE.replace("credentials = { ", 'credentials = { secret_file = "secrets/secret" } # '),
        place=4,
        key="venues.binance.credentials.api_key_file",
        value="(missing)",
        remedy="KEEPER__VENUES__BINANCE__CREDENTIALS__API_KEY",
    ),
}
ACTING = [
    ("plan",),
    ("plan", "--json"),
    ("rebalance", "--yes"),
    ("rebalance", "--yes", "--json"),
    ("config", "check"),
    ("status",),
]


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_fault_is_one_message_and_nothing_else_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeper_here: CommandLine, bad: Bad
) -> None:
    file = tmp_path / "keeper.toml"
    file.write_text(bad.text)
    secret_files(tmp_path)
    for name, value in bad.env.items():
        monkeypatch.setenv(name, value)
    place = f"{file}:{bad.place}" if isinstance(bad.place, int) else bad.place
    for words in ACTING:
        if words == ("status",) and "credentials" in bad.key:
            continue  # what only reads the journal needs no keys: see below
        ended = keeper_here(*words)
        assert_refused(ended, tmp_path)
        [said] = ended.said
        assert said.startswith(f"{place}: {bad.key} = ")
        assert bad.value in said
        assert bad.remedy in said


def test_a_secret_that_others_can_read_is_refused_before_anything_is_sent(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(drifted_exchange()) as exchange:
        file = written_fund(tmp_path, exchange)
        secret = tmp_path / "secrets" / "secret"
        secret.chmod(0o644)
        ended = keeper_here("rebalance", "--yes")
        assert_refused(ended, tmp_path)
        [said] = ended.said
        assert said.startswith(f"{file}:4: venues.binance.credentials.secret_file = ")
        assert str(secret) in said
        assert "chmod 600" in said
        assert not exchange.requests


def test_what_only_reads_the_journal_needs_no_keys(tmp_path: Path, keeper_here: CommandLine) -> None:
    (tmp_path / "keeper.toml").write_text(BAD["missing credentials"].text)
    ended = keeper_here("status", "--json")
    assert ended.code == 0, ended.err
    assert '"idle"' in ended.out


def test_every_fault_has_its_message_in_a_process_of_its_own(tmp_path: Path) -> None:
    text = paper("3.0", '"3_0"').replace("seed = 7", "sed = 8") + "limits = { max_slippage_bps = nan }\n"
    (tmp_path / "keeper.toml").write_text(text)
    ended = keeper(tmp_path, "rebalance", "--yes", "--json", env={"KEEPER__FUNDS__BTC3L__VENU": "x"})
    assert_refused(ended, tmp_path)
    for key in (TARGET, "venues.sim.feed.sed", "funds.btc3l.limits.max_slippage_bps", "funds.btc3l.venu"):
        assert [line for line in ended.said if f": {key} = " in line], key
    assert len(ended.said) == 4


def test_no_configuration_at_all_says_where_it_was_looked_for(tmp_path: Path) -> None:
    ended = keeper(tmp_path, "plan")
    assert_refused(ended, tmp_path)
    [said] = ended.said
    assert str(tmp_path / "keeper.toml") in said
    assert "keeper demo" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "btc4l"), "there is no fund 'btc4l'; configured are: btc3l"),
        (("plam",), "plam"),
        (("plan", "--jsn"), "--jsn"),
        (("--log-level", "loud", "plan"), "loud"),
        (("runs", "list", "--limit", "0"), "--limit"),
        (("runs", "show"), "run"),
    ],
)
def test_a_wrong_command_line_is_exit_64(tmp_path: Path, keeper_here: CommandLine, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "keeper.toml").write_text(PAPER)
    ended = keeper_here(*words)
    assert ended.code == 64
    assert ended.out == ""
    assert said.lower() in ended.err.lower()


def assert_refused(ended: Ended, folder: Path) -> None:
    """Exit 78, nothing on stdout, no secret, and no journal."""
    assert ended.code == 78, ended.err
    assert ended.out == ""
    assert SECRET not in ended.err
    assert API_KEY not in ended.err
    assert not (folder / "var").exists()
    assert not list(folder.rglob("*.db*"))
