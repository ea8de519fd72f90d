"""The environment overrides the file key by key, table by table; a variable that reaches no key is an error."""

from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.errors import ConfigError
from keeper.settings import Settings, effective, load
from tests.fakes.configurations import PAPER, loaded, problems

TARGET = 'funds.btc3l.target."BTC/USDT:USDT"'
ETH_TARGET = 'funds.btc3l.target."ETH/USDT:USDT"'

# variable, text, key of the effective value, the value
OVERRIDES = [
    ("KEEPER__KEEPER__JOURNAL", "sqlite:///other.db", "keeper.journal", "sqlite:///other.db"),
    ("KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE", "4", "funds.btc3l.limits.max_leverage", "4"),
    ("keeper__funds__btc3l__limits__max_leverage", "3.5", "funds.btc3l.limits.max_leverage", "3.5"),
    ("Keeper__Funds__Btc3L__Execution__Slices", "20", "funds.btc3l.execution.slices", 20),
    ("KEEPER__FUNDS__BTC3L__EXECUTION__HORIZON", "1h30m", "funds.btc3l.execution.horizon", "1h30m"),
    ("KEEPER__FUNDS__BTC3L__EXECUTION__STYLE", "urgent", "funds.btc3l.execution.style", "urgent"),
    ("KEEPER__FUNDS__BTC3L__SCHEDULE__AT", "00:15", "funds.btc3l.schedule.at", "00:15"),
    ("KEEPER__FUNDS__BTC3L__SCHEDULE", '{ at = "23:59" }', "funds.btc3l.schedule.at", "23:59"),
    ("KEEPER__FUNDS__BTC3L__SCHEDULE", '{"at": "23:59"}', "funds.btc3l.schedule.at", "23:59"),
    ("KEEPER__FUNDS__BTC3L__TARGET", '{"BTC/USDT:USDT": -1.5}', TARGET, "-1.5"),
    ("KEEPER__FUNDS__BTC3L__TARGET", '{"BTC/USDT:USDT" = "2"}', TARGET, "2"),
    ("KEEPER__FUNDS__BTC3L__TARGET", "{ 'ETH/USDT:USDT' = 2 }", ETH_TARGET, "2"),
    ("KEEPER__VENUES__SIM__FEED__SEED", "9", "venues.sim.feed.seed", 9),
    ("KEEPER__VENUES__SIM__FEED__SPEED", "60", "venues.sim.feed.speed", "60"),
    ("KEEPER__VENUES__SIM__ACCOUNT__BORROW", "true", "venues.sim.account.borrow", True),
    ("KEEPER__VENUES__SIM__ACCOUNT__BALANCES__USDT", "50000", "venues.sim.account.balances.USDT", "50000"),
]

# variable, text, what the remedy says
UNKNOWN = [
    ("KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVRAGE", "4", "did you mean KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE?"),
    ("KEEPER__FUND__BTC3L__VENUE", "sim", "did you mean KEEPER__FUNDS__BTC3L__VENUE?"),
    (
        "KEEPER__FUNDS__BTC3__VENUE",
        "sim",
        "no [funds.btc3], and a variable makes none; did you mean KEEPER__FUNDS__BTC3L__VENUE?",
    ),
    ("KEEPER__FUNDS__NEW", '{ venue = "sim", target = { "BTC/USDT:USDT" = 1 } }', "has no [funds.new]"),
    ("KEEPER__VENUES__SIMM__EXCHANGE", "paper", "has no [venues.simm]"),
    ("KEEPER__JOURNAL", "sqlite:///x.db", "did you mean KEEPER__KEEPER__JOURNAL?"),
    ("KEEPER__KEEPER__JOURNAL__", "sqlite:///x.db", "did you mean KEEPER__KEEPER__JOURNAL?"),
    ("KEEPER__FUNDS__BTC3L__VENUE__NAME", "sim", "did you mean KEEPER__FUNDS__BTC3L__VENUE?"),
    ("KEEPER__FUNDS__BTC3L__TARGET__BTC", "2", "did you mean KEEPER__FUNDS__BTC3L__TARGET?"),
    ("KEEPER_FUNDS__BTC3L__VENUE", "sim", "two underscores; did you mean KEEPER__FUNDS__BTC3L__VENUE?"),
    ("KEEPER__", "x", "reaches no known key"),
    ("KEEPER__ZZZZZZ", "x", "see `keeper config schema`"),
]

# variable, text, key, the value as shown, what the remedy says
WRONG = [
    ("KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE", "1e1", "funds.btc3l.limits.max_leverage", '"1e1"', "plain decimal"),
    ("KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE", "3_0", "funds.btc3l.limits.max_leverage", '"3_0"', "plain decimal"),
    ("KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE", "nan", "funds.btc3l.limits.max_leverage", '"nan"', "plain decimal"),
    ("KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE", "", "funds.btc3l.limits.max_leverage", '""', "plain decimal"),
    ("KEEPER__FUNDS__BTC3L__EXECUTION__SLICES", "1.5", "funds.btc3l.execution.slices", '"1.5"', "whole number"),
    ("KEEPER__FUNDS__BTC3L__EXECUTION__SLICES", "0x10", "funds.btc3l.execution.slices", '"0x10"', "whole number"),
    ("KEEPER__VENUES__SIM__ACCOUNT__BORROW", "yes", "venues.sim.account.borrow", '"yes"', "true or false"),
    ("KEEPER__FUNDS__BTC3L__TARGET", "3", "funds.btc3l.target", '"3"', "must be a table"),
    ("KEEPER__FUNDS__BTC3L__TARGET", "{", "funds.btc3l.target", '"{"', "must be a table"),
    ("KEEPER__FUNDS__BTC3L__TARGET", '{"A/B": 1, "A/B": 2}', "funds.btc3l.target", '"{"A/B"', "must be a table"),
    ("KEEPER__FUNDS__BTC3L__TARGET", '{}\n[keeper]\njournal = "x"', "funds.btc3l.target", '"{}', "must be a table"),
    ("KEEPER__FUNDS__BTC3L__TARGET", '{"BTC/USDT:USDT": NaN}', TARGET, "NaN", "plain decimal"),
    ("KEEPER__FUNDS__BTC3L__TARGET", '{"BTC/USDT:USDT": 1e1}', TARGET, "1e1", "plain decimal"),
    ("KEEPER__FUNDS__BTC3L__TARGET", '{"BTC/USDT:USDT" = inf}', TARGET, "inf", "plain decimal"),
    ("KEEPER__FUNDS__BTC3L__TARGET", '{"BTC/USDT:USDT" = 6}', "funds.btc3l.target", "= 6", "above limits.max_leverage"),
    ("KEEPER__FUNDS__BTC3L__SCHEDULE", '{ timezone = "UTC" }', "funds.btc3l.schedule.at", "(missing)", "is required"),
    ("KEEPER__VENUES__SIM__FEED__SED", "7", "venues.sim.feed.sed", '"7"', "reaches no known key"),
    ("KEEPER__VENUES__SIM__FEED__DEPTH", "7", "venues.sim.feed.depth", '"7"', "unknown key"),
]


def shown(settings: Settings) -> dict[str, tuple[object, str]]:
    return {each.key: (each.value, each.source) for each in effective(settings)}


@pytest.mark.parametrize(("variable", "text", "key", "value"), OVERRIDES)
def test_a_variable_overrides_the_file(tmp_path: Path, variable: str, text: str, key: str, value: object) -> None:
    before = shown(loaded(tmp_path, PAPER))
    after = shown(loaded(tmp_path, PAPER, {variable: text}))
    assert after[key] == (value, variable)
    assert before.get(key, (None, ""))[0] != value


@pytest.mark.parametrize(("variable", "text", "remedy"), UNKNOWN)
def test_a_variable_that_reaches_no_key_is_an_error_with_the_nearest(
    tmp_path: Path, variable: str, text: str, remedy: str
) -> None:
    [problem] = problems(tmp_path, PAPER, {variable: text})
    assert problem.source == variable
    assert remedy in problem.remedy


@pytest.mark.parametrize(("variable", "text", "key", "value", "remedy"), WRONG)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, text: str, key: str, value: str, remedy: str) -> None:
    [problem] = problems(tmp_path, PAPER, {variable: text})
    assert (problem.source, problem.key) == (variable, key)
    assert value in problem.value
    assert remedy in problem.remedy


def test_a_table_replaces_the_files_table_and_a_key_leaves_its_neighbours(tmp_path: Path) -> None:
    text = PAPER + "limits = { max_leverage = 4, max_slippage_bps = 10 }\n"
    whole = loaded(tmp_path, text, {"KEEPER__FUNDS__BTC3L__LIMITS": "{ max_leverage = 3.5 }"}).funds["btc3l"].limits
    assert (whole.max_leverage, whole.max_slippage_bps) == (Decimal("3.5"), Decimal(30))
    single = loaded(tmp_path, text, {"KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE": "3.5"}).funds["btc3l"].limits
    assert (single.max_leverage, single.max_slippage_bps) == (Decimal("3.5"), Decimal(10))


def test_an_overridden_target_holds_nothing_of_the_files(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PAPER, {"KEEPER__FUNDS__BTC3L__TARGET": '{"ETH/USDT:USDT": 1}'})
    assert settings.funds["btc3l"].target == {"ETH/USDT:USDT": Decimal(1)}


def test_a_key_goes_before_a_table_of_the_environment(tmp_path: Path) -> None:
    env = {
        "KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE": "4",
        "KEEPER__FUNDS__BTC3L__LIMITS": "{ max_leverage = 3.5, max_slippage_bps = 20 }",
    }
    values = shown(loaded(tmp_path, PAPER, env))
    assert values["funds.btc3l.limits.max_leverage"] == ("4", "KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE")
    assert values["funds.btc3l.limits.max_slippage_bps"] == ("20", "KEEPER__FUNDS__BTC3L__LIMITS")
    assert values["funds.btc3l.limits.max_turnover_per_day"] == ("6", "default")


def test_the_same_key_in_two_spellings_is_an_error(tmp_path: Path) -> None:
    env = {"KEEPER__VENUES__SIM__FEED__SEED": "1", "keeper__venues__sim__feed__seed": "2"}
    [problem] = problems(tmp_path, PAPER, env)
    assert problem.source == "keeper__venues__sim__feed__seed"
    assert "KEEPER__VENUES__SIM__FEED__SEED sets the same key" in problem.remedy


def test_no_spelling_of_a_variable_makes_a_second_fund(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PAPER, {"KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE": "4"})
    assert set(settings.funds) == {"btc3l"}
    assert settings.funds["btc3l"].limits.max_leverage == Decimal(4)


def test_names_with_underscores_are_reached(tmp_path: Path) -> None:
    text = PAPER.replace("btc3l", "a__b").replace("sim", "_x_")
    env = {"KEEPER__FUNDS__A__B__LIMITS__MAX_LEVERAGE": "4", "KEEPER__VENUES___X___FEED__SEED": "9"}
    settings = loaded(tmp_path, text, env)
    assert settings.funds["a__b"].limits.max_leverage == Decimal(4)
    assert shown(settings)["venues._x_.feed.seed"][0] == 9


@pytest.mark.parametrize(
    "env", [{"KEEPER_CONFIG": "x"}, {"KEEPER_LOG_LEVEL": "x"}, {"KEEPER": "x"}, {"KEEPERS__X": "x"}, {"PATH": "x"}]
)
def test_other_variables_are_none_of_our_business(tmp_path: Path, env: dict[str, str]) -> None:
    assert loaded(tmp_path, PAPER, env) == loaded(tmp_path, PAPER)


def test_without_a_file_the_environment_says_it_all() -> None:
    env = {
        "KEEPER__VENUES__SIM": '{ exchange = "paper", account = { balances = { USDT = 1 } } }',
        "KEEPER__VENUES__SIM__FEED": '{"kind": "fixed", "prices": {"BTC/USDT": 100}}',
        "KEEPER__FUNDS__BTC__VENUE": "sim",
        "KEEPER__FUNDS__BTC__TARGET": '{"BTC/USDT" = 1}',
    }
    settings = load(None, env)
    assert settings.funds["btc"].currency == "USDT"
    assert shown(settings)["venues.sim.exchange"] == ("paper", "KEEPER__VENUES__SIM")


def test_without_a_file_a_missing_key_is_told_with_the_variable_around_it() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"KEEPER__FUNDS__BTC": '{ venue = "sim" }'})
    assert [(each.source, each.key) for each in caught.value.problems] == [
        ("KEEPER__FUNDS__BTC", "funds.btc.target"),
    ]


def test_without_anything_there_are_defaults() -> None:
    settings = load(None, {})
    assert (settings.keeper.journal, settings.venues, settings.funds) == ("sqlite:///var/keeper.db", {}, {})


def test_the_process_environment_and_dotenv_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPER__KEEPER__JOURNAL", "sqlite:///process.db")
    monkeypatch.setenv("KEEPER", '{"journal": "sqlite:///process.db"}')
    (tmp_path / ".env").write_text("KEEPER__KEEPER__JOURNAL=sqlite:///dotenv.db\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).keeper.journal == "sqlite:///var/keeper.db"
