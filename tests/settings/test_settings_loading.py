"""Where the configuration is found, what goes before what, what the values become, and what is printed about them."""

import dataclasses
import json
import tomllib
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from keeper.domain.errors import ConfigError
from keeper.domain.market import MarketKind
from keeper.execution.pacing import Pacing, Style
from keeper.planning.gate import Limits
from keeper.policy.breakers import Breakers
from keeper.policy.emergency import Emergency
from keeper.policy.mandate import Band, BandGoal, Mandate
from keeper.policy.schedule import Schedule
from keeper.ports import Environment
from keeper.settings import (
    FixedFeed,
    SyntheticFeed,
    account_fingerprint,
    assemble,
    effective,
    find,
    known_keys,
    load,
    schema,
    schema_text,
)
from tests.fakes.configurations import PAPER, loaded, secret_files, written

CONFIG = Path(__file__).parents[2] / "config"


def place(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return written(path.parent, PAPER) if path.name == "keeper.toml" else path


def test_the_option_goes_before_the_variable_the_folder_and_the_user(tmp_path: Path) -> None:
    cwd, home, xdg = tmp_path / "cwd", tmp_path / "home", tmp_path / "xdg"
    users, xdgs, here = (
        place(home, ".config/keeper/keeper.toml"),
        place(xdg, "keeper/keeper.toml"),
        place(cwd, "keeper.toml"),
    )
    named, option = place(cwd, "named/keeper.toml"), place(cwd, "option/keeper.toml")
    env = {"KEEPER_CONFIG": "named/keeper.toml", "XDG_CONFIG_HOME": str(xdg)}
    assert find(Path("option/keeper.toml"), env, cwd, home) == option
    assert find(None, env, cwd, home) == named
    assert find(None, {"XDG_CONFIG_HOME": str(xdg)}, cwd, home) == here
    here.unlink()
    assert find(None, {"XDG_CONFIG_HOME": str(xdg), "KEEPER_CONFIG": ""}, cwd, home) == xdgs
    assert find(None, {}, cwd, home) == users
    assert find(None, {"XDG_CONFIG_HOME": "relative"}, cwd, home) == users


@pytest.mark.parametrize(
    ("option", "env", "looked"),
    [
        (None, {}, ["cwd/keeper.toml", "home/.config/keeper/keeper.toml"]),
        (Path("x.toml"), {"KEEPER_CONFIG": "y.toml"}, ["cwd/x.toml"]),
        (None, {"KEEPER_CONFIG": "y.toml"}, ["cwd/y.toml"]),
    ],
)
def test_a_missing_file_is_told_with_every_place(
    tmp_path: Path, option: Path | None, env: dict[str, str], looked: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        find(option, env, tmp_path / "cwd", tmp_path / "home")
    message = str(caught.value)
    assert all(str(tmp_path / each) in message for each in looked)
    assert message.count(".toml") == len(looked) + message.count("./keeper.toml")
    assert "`keeper demo` works without one" in message
    assert caught.value.exit_code == 78


def test_the_smallest_configuration_has_the_documented_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PAPER)
    fund, venue = settings.funds["btc3l"], settings.venues["sim"]
    assert settings.keeper.journal == "sqlite:///var/keeper.db"
    assert venue.environment is Environment.PAPER
    assert fund.currency == "USDT"
    assert fund.mandate() == Mandate(targets={"BTC/USDT:USDT": Decimal(3)})
    assert fund.limits_value() == Limits(
        max_order_notional=Decimal(250_000),
        max_turnover_per_day=Decimal(6),
        max_slippage_bps=Decimal(30),
        max_leverage=Decimal(5),
        max_turnover_per_run=None,
        max_turnover_per_hour=None,
        max_orders_per_run=500,
        max_orders_per_hour=1000,
        max_orders_per_day=5000,
        min_liquidation_distance=Decimal("0.05"),
        max_target_jump=Decimal(2),
    )
    assert fund.breakers_value() == Breakers(
        slippage_bps=Decimal(25),
        loss=Decimal("0.4"),
        errors_per_hour=20,
        stale_after=timedelta(minutes=5),
        trouble_after=timedelta(minutes=10),
        runs_per_hour=6,
    )
    assert fund.pacing() == Pacing(style=Style.TWAP, horizon=timedelta(minutes=30), slices=12, max_depth=Decimal("0.2"))
    assert fund.schedule_value() is None
    assert isinstance(venue.feed, SyntheticFeed)
    assert (venue.feed.seed, venue.feed.speed, venue.feed.volatility) == (7, None, Decimal("0.6"))
    assert (venue.feed.spread_bps, venue.feed.daily_volume) == (Decimal(1), Decimal(2_000_000_000))


@pytest.mark.parametrize(
    "account",
    [
        '{ balances = { USDT = "1" }, positions = { "BTC/USDT:USDT" = { contracts = "1", entry = "50000" } } }',
        '{ balances = { USDT = "1", BTC = "1" } }',
    ],
)
def test_an_account_that_starts_with_some_of_the_target_may_turn_less_over(tmp_path: Path, account: str) -> None:
    text = PAPER.replace('{ balances = { USDT = "100000" } }', account) + "limits = { max_turnover_per_day = 0.5 }\n"
    assert loaded(tmp_path, text).funds["btc3l"].limits_value().max_turnover_per_day == Decimal("0.5")


def test_bands_of_leverages_and_steps_arrive(tmp_path: Path) -> None:
    key = '"BTC/USDT:USDT"'
    text = f'bands = {{ min = {{ {key} = 2.5 }}, max = {{ {key} = "3.75" }}, to = "recenter", speed = 0.05 }}\n'
    assert loaded(tmp_path, PAPER + text).funds["btc3l"].mandate() == Mandate(
        targets={"BTC/USDT:USDT": Decimal(3)},
        bands={"BTC/USDT:USDT": Band(Decimal("2.5"), Decimal("3.75"))},
        goal=BandGoal.RECENTER,
        speed=Decimal("0.05"),
    )


def test_a_band_that_is_to_be_worked_out_arrives(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PAPER + 'bands = { deadband = "auto", aversion = 5, to = "edge" }\n')
    fund = settings.funds["btc3l"]
    assert fund.mandate() == Mandate(targets={"BTC/USDT:USDT": Decimal(3)}, goal=BandGoal.EDGE, aversion=Decimal(5))
    assert {one.key: one.value for one in effective(settings)}["funds.btc3l.bands.deadband"] == "auto"
    other = loaded(tmp_path, PAPER + 'bands = { deadband = "0.05", to = "edge" }\n')
    assert other.rules_of("btc3l") != settings.rules_of("btc3l")


def test_everything_that_is_written_arrives(tmp_path: Path) -> None:
    text = (
        PAPER
        + """
schedule = { at = "00:15", timezone = "Europe/Berlin" }
bands = { deadband = 0.02, to = "edge" }
emergency = { max_leverage = "3.99", to = 2.5, check_every = "10s" }
execution = { style = "urgent", horizon = "90s", slices = 3, max_depth = 1 }
limits.max_order_notional = "1000.50"
limits.max_turnover_per_day = 4
limits.max_turnover_per_hour = "1.5"
limits.max_turnover_per_run = 2
limits.max_orders_per_day = 9
limits.max_orders_per_hour = 8
limits.max_orders_per_run = 7
limits.max_slippage_bps = 12.5
limits.max_leverage = 20
limits.min_liquidation_distance = 0
limits.max_target_jump = 0.5
breakers = { slippage_bps = 10, loss = 0.25, errors_per_hour = 0, stale_after = "90s", trouble_after = "1h", runs_per_hour = 2 }
"""
    )
    fund = loaded(tmp_path, text).funds["btc3l"]
    assert fund.mandate() == Mandate(
        targets={"BTC/USDT:USDT": Decimal(3)}, deadband=Decimal("0.02"), goal=BandGoal.EDGE, emergency_leverage=Decimal("3.99")
    )
    assert fund.emergency_value() == Emergency(
        max_leverage=Decimal("3.99"),
        to=Decimal("2.5"),
        min_distance=Decimal(0),
        safe_distance=Decimal(0),
        check_every=timedelta(seconds=10),
    )
    assert fund.schedule_value() == Schedule(at=(time(0, 15),), zone=ZoneInfo("Europe/Berlin"))
    assert fund.pacing() == Pacing(style=Style.URGENT, horizon=timedelta(seconds=90), slices=3, max_depth=Decimal(1))
    assert fund.limits_value() == Limits(
        max_order_notional=Decimal("1000.50"),
        max_turnover_per_day=Decimal(4),
        max_slippage_bps=Decimal("12.5"),
        max_leverage=Decimal(20),
        max_turnover_per_run=Decimal(2),
        max_turnover_per_hour=Decimal("1.5"),
        max_orders_per_run=7,
        max_orders_per_hour=8,
        max_orders_per_day=9,
        min_liquidation_distance=Decimal(0),
        max_target_jump=Decimal("0.5"),
    )
    assert fund.breakers_value() == Breakers(
        slippage_bps=Decimal(10),
        loss=Decimal("0.25"),
        errors_per_hour=0,
        stale_after=timedelta(seconds=90),
        trouble_after=timedelta(hours=1),
        runs_per_hour=2,
    )


def test_a_fixed_feed_takes_a_worked_example(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        """
[venues.inverse]
exchange = "paper"
[venues.inverse.feed]
kind = "fixed"
prices = { "BTC/USD:BTC" = "52500" }
markets = { "BTC/USD:BTC" = { kind = "inverse", contract_size = 1, tick = "0.5", lot = "0.001", taker_bps = 5, maker_bps = -1 } }
[venues.inverse.account]
balances = { BTC = 1 }
positions = { "BTC/USD:BTC" = { contracts = "100000", entry = "50000" } }
[funds.btc]
venue = "inverse"
target = { "BTC/USD:BTC" = 3 }
""",
    )
    feed, account = settings.venues["inverse"].feed, settings.venues["inverse"].account
    assert isinstance(feed, FixedFeed)
    assert (feed.depth, feed.spread_bps) == ("unlimited", Decimal(0))
    rules = feed.markets["BTC/USD:BTC"]
    assert rules.kind is MarketKind.INVERSE
    assert [rules.contract_size, rules.tick, rules.lot] == [1, Decimal("0.5"), Decimal("0.001")]
    assert [rules.taker_bps, rules.maker_bps] == [5, -1]
    assert settings.funds["btc"].currency == "USD"
    assert account is not None
    assert account.positions["BTC/USD:BTC"].entry == Decimal(50_000)
    assert account_fingerprint("inverse", settings.venues["inverse"]) == "paper-inverse"


@pytest.mark.parametrize(
    ("account", "may"),
    [("USDT = 1 }", False), ("USDT = -1 }", True), ("USDT = -1 }, borrow = false", False), ("USDT = 1 }, borrow = true", True)],
)
def test_borrowing_is_allowed_where_it_is_said_or_already_done(tmp_path: Path, account: str, *, may: bool) -> None:
    found = loaded(tmp_path, PAPER.replace('USDT = "100000" }', account)).venues["sim"].account
    assert found is not None
    assert found.may_borrow is may


def test_settings_can_not_be_changed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PAPER)
    for section, name in (
        (settings, "keeper"),
        (settings.funds["btc3l"], "venue"),
        (settings.funds["btc3l"].limits, "max_leverage"),
    ):
        with pytest.raises(ValidationError):
            setattr(section, name, None)


def test_a_program_assembles_the_same_settings_as_a_file(tmp_path: Path) -> None:
    table = tomllib.loads(PAPER, parse_float=str)
    made, read = assemble(table), loaded(tmp_path, PAPER)
    assert (made.keeper, made.venues, made.funds) == (read.keeper, read.venues, read.funds)
    assert made.source(("funds", "btc3l", "venue")) == "built in"
    with pytest.raises(ConfigError, match=r"demo: funds\.x\.target = \(missing\): is required"):
        assemble({"funds": {"x": {"venue": "sim"}}}, origin="demo")


def test_what_is_in_effect_is_told_with_its_source(tmp_path: Path) -> None:
    text = PAPER + "\n[funds.btc3l.limits]\n# a comment\nmax_leverage = 4\n"
    settings = loaded(tmp_path, text, {"KEEPER__FUNDS__BTC3L__EXECUTION__SLICES": "20"})
    file = tmp_path / "keeper.toml"
    told = {each.key: (each.value, each.source) for each in effective(settings)}
    assert told["keeper.journal"] == ("sqlite:///var/keeper.db", "default")
    assert told["venues.sim.exchange"] == ("paper", f"{file}:2")
    assert told["venues.sim.environment"] == ("paper", "default")
    assert told['venues.sim.feed.prices."BTC/USDT:USDT"'] == ("52500", f"{file}:3")
    assert told['funds.btc3l.target."BTC/USDT:USDT"'] == ("3", f"{file}:8")
    assert told["funds.btc3l.limits.max_leverage"] == ("4", f"{file}:12")
    assert told["funds.btc3l.limits.max_slippage_bps"] == ("30", "default")
    assert told["funds.btc3l.execution.slices"] == (20, "KEEPER__FUNDS__BTC3L__EXECUTION__SLICES")
    assert told["funds.btc3l.execution.horizon"] == ("30m", "default")
    document = [each.document() for each in effective(settings)]
    assert json.loads(json.dumps(document)) == document
    assert all(set(each) == {"key", "value", "source"} for each in document)


def test_the_paper_example_is_sound_and_names_every_key() -> None:
    settings = load(CONFIG / "paper.toml", {})
    assert settings.funds["btc3l"].mandate().targets == {"BTC/USDT:USDT": Decimal(3)}
    text = (CONFIG / "paper.toml").read_text(encoding="utf-8")
    on_paper = [each for each in known_keys() if "credentials" not in each.key and "hosts" not in each.key]
    missing = [each.key for each in on_paper if each.key.removesuffix(".NAME").rpartition(".")[2] not in text]
    assert missing == []


def test_the_paper_example_states_the_defaults_as_they_are() -> None:
    told = {each.key: each.value for each in effective(load(CONFIG / "paper.toml", {}))}
    for known in known_keys():
        section, _, rest = known.key.partition(".NAME.")
        name = {"venues": "sim", "funds": "btc3l"}.get(section, "")
        key = f"{section}.{name}.{rest}" if rest else known.key
        # a market's example differs from the defaults on purpose, and says so
        if known.default is None or "NAME" in key or key == "venues.sim.feed.spread_bps" or key not in told:
            continue
        shown = told[key]
        assert (str(shown).lower() if isinstance(shown, bool) else str(shown)) == known.default, key


def test_the_binance_example_is_sound_once_its_secrets_are_there(tmp_path: Path) -> None:
    path = tmp_path / "binance.toml"
    path.write_bytes((CONFIG / "binance.toml").read_bytes())
    with pytest.raises(ConfigError, match=r"api_key_file = .*no such file"):
        load(path, {})
    (secret_files(tmp_path) / "api_key").rename(tmp_path / "secrets" / "binance_api_key")
    (tmp_path / "secrets" / "secret").rename(tmp_path / "secrets" / "binance_secret")
    settings = load(path, {})
    assert settings.venues["binance"].environment is Environment.TESTNET


def test_the_schema_on_disk_is_the_schema_in_the_code() -> None:
    assert (CONFIG / "schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_schema_offers_no_place_for_a_secret_and_closes_every_table() -> None:
    document = schema()
    assert set(document["$defs"]["CredentialsSettings"]["properties"]) == {
        *("api_key_file", "secret_file", "passphrase_file", "private_key_file"),
        "wallet_address",
    }
    assert all(each["additionalProperties"] is False for each in document["$defs"].values() if "properties" in each)
    assert document["properties"]["funds"]["patternProperties"] == {"^[a-z0-9_]+$": {"$ref": "#/$defs/FundSettings"}}


def test_every_known_key_says_what_it_is() -> None:
    known = known_keys()
    assert len({each.key for each in known}) == len(known) > 40
    assert all(each.description for each in known)
    assert {dataclasses.replace(each, description="").key for each in known} >= {
        "keeper.journal",
        "venues.NAME.hosts.NAME",
        "venues.NAME.feed.markets.NAME.taker_bps",
        "funds.NAME.limits.max_leverage",
    }


@pytest.mark.parametrize(("text", "depth"), [('"unlimited"', "unlimited"), ("10", Decimal(10)), ('"0.5"', Decimal("0.5"))])
def test_the_depth_of_a_fixed_feed_is_a_word_or_a_number(tmp_path: Path, text: str, depth: Decimal | str) -> None:
    settings = loaded(tmp_path, PAPER.replace('kind = "synthetic", seed = 7', f'kind = "fixed", depth = {text}'))
    feed = settings.venues["sim"].feed
    assert isinstance(feed, FixedFeed)
    assert feed.depth == depth
    assert feed.model_dump()["depth"] == str(depth)


@pytest.mark.parametrize(
    ("url", "expected"),
    [("sqlite:///var/keeper.db", "sqlite:///{}/var/keeper.db"), ("sqlite:////srv/k.db", "sqlite:////srv/k.db")],
)
def test_a_fund_has_one_journal_wherever_a_command_runs(tmp_path: Path, url: str, expected: str) -> None:
    assert loaded(tmp_path, f'[keeper]\njournal = "{url}"\n').journal_url == expected.format(tmp_path)


@pytest.mark.parametrize(
    ("section", "level", "to"),
    [
        ("", "4", "3"),
        ("emergency = { max_leverage = 3.5 }\n", "3.5", "3"),
        ("emergency = { max_leverage = 5, to = 4 }\n", "5", "4"),
    ],
)
def test_an_emergency_is_what_the_mandate_makes_of_it_unless_it_is_said(
    tmp_path: Path, section: str, level: str, to: str
) -> None:
    emergency = loaded(tmp_path, PAPER + section).funds["btc3l"].emergency_value()
    assert emergency == Emergency(max_leverage=Decimal(level), to=Decimal(to))
