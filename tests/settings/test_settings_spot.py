"""A spot fund: weights that can be paid for, assets of its own, and the example in config/."""

from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.market import FeeAsset
from keeper.ports import Environment
from keeper.settings import FixedFeed, load
from tests.fakes.configurations import loaded, problems, secret_files

CONFIG = Path(__file__).parents[2] / "config"
SPOT = """\
[venues.spot]
exchange = "binance"
environment = "testnet"
credentials = { api_key_file = "secrets/api_key", secret_file = "secrets/secret" }

[funds.portfolio]
venue = "spot"
target = { "BTC/USDT" = 0.6, "ETH/USDT" = 0.4 }
"""
PAPER = """\
[venues.sim]
exchange = "paper"
feed = { kind = "fixed", prices = { "BTC/USDT" = 50000, "BNB/USDT" = 600 } }
account = { balances = { USDT = 1000 } }

[funds.portfolio]
venue = "sim"
target = { "BTC/USDT" = 0.6 }
"""


def test_a_spot_fund_owns_what_it_trades_unless_it_says_more(tmp_path: Path) -> None:
    secret_files(tmp_path)
    fund = loaded(tmp_path, SPOT).funds["portfolio"]
    assert fund.assets is None
    assert fund.own_assets() == frozenset({"BTC", "ETH", "USDT"})
    assert fund.kept_symbols() == ()
    said = loaded(tmp_path, SPOT.replace("0.4", "0.39") + 'assets = ["USDT", "BTC", "ETH", "BNB"]\n').funds["portfolio"]
    assert said.own_assets() == frozenset({"BTC", "ETH", "USDT", "BNB"})
    assert said.kept_symbols() == ("BNB/USDT",)


def test_a_fund_with_derivatives_owns_all_of_its_account(tmp_path: Path) -> None:
    secret_files(tmp_path)
    text = SPOT.replace('"binance"', '"binanceusdm"').replace("/USDT", "/USDT:USDT")
    fund = loaded(tmp_path, text).funds["portfolio"]
    assert fund.own_assets() is None
    assert fund.kept_symbols() == ()
    [problem] = problems(tmp_path, text + 'assets = ["BTC", "ETH", "USDT"]\n')
    assert problem.key == "funds.portfolio.assets"
    assert "spot markets only" in problem.remedy


def test_assets_can_be_named_by_a_variable(tmp_path: Path) -> None:
    secret_files(tmp_path)
    env = {"KEEPER__FUNDS__PORTFOLIO__ASSETS": "BTC, ETH,USDT"}
    assert loaded(tmp_path, SPOT, env).funds["portfolio"].assets == ("BTC", "ETH", "USDT")


@pytest.mark.parametrize(
    ("assets", "remedy"),
    [
        ('["BTC", "USDT"]', "must name ETH as well"),
        ('["SOL"]', "must name BTC and ETH and USDT as well"),
        ('["BTC", "ETH", "USDT", "BNB"]', "BNB has no target and needs room: sum of weights < 1 must hold, but 1 >= 1"),
        ('["BTC", "ETH", "USDT", "BTC"]', 'names "BTC" twice'),
        ('["BTC/USDT", "ETH", "USDT"]', "must hold names of assets"),
        ('["", "ETH", "USDT"]', "must hold names of assets"),
        ("[1, 2]", "must hold names of assets"),
        ("[]", "must be an array"),
        ('"BTC"', "must be an array"),
        ("true", "must be an array"),
        ("{ BTC = 1 }", "must be an array"),
    ],
)
def test_assets_that_can_t_be_are_refused(tmp_path: Path, assets: str, remedy: str) -> None:
    secret_files(tmp_path)
    [problem] = problems(tmp_path, SPOT + f"assets = {assets}\n")
    assert (problem.source, problem.key) == (f"{tmp_path / 'keeper.toml'}:9", "funds.portfolio.assets")
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("target", "key", "remedy"),
    [
        ("0.61", "target", "sum of weights <= 1 must hold on spot, where nothing is borrowed, but 1.01 > 1"),
        ("3", "target", "sum of weights <= 1 must hold on spot, where nothing is borrowed, but 3.4 > 1"),
        ("-0.2", 'target."BTC/USDT"', "weight >= 0 must hold on spot, where nothing is borrowed, but -0.2 < 0"),
    ],
)
def test_weights_that_need_credit_are_refused_on_an_exchange(tmp_path: Path, target: str, key: str, remedy: str) -> None:
    secret_files(tmp_path)
    [problem] = problems(tmp_path, SPOT.replace("= 0.6", f"= {target}"))
    assert problem.key == f"funds.portfolio.{key}"
    assert remedy in problem.remedy


@pytest.mark.parametrize("target", ["0.6", "0", "0.01"])
def test_weights_up_to_one_are_taken(tmp_path: Path, target: str) -> None:
    secret_files(tmp_path)
    fund = loaded(tmp_path, SPOT.replace("= 0.6", f"= {target}")).funds["portfolio"]
    assert fund.mandate().targets["BTC/USDT"] == Decimal(target)


def test_a_paper_account_may_be_on_credit(tmp_path: Path) -> None:
    text = PAPER.replace("USDT = 1000", "USDT = -20000, BTC = 1").replace("= 0.6", "= 3")
    assert loaded(tmp_path, text).funds["portfolio"].mandate().gross_target == 3


def test_an_asset_that_a_paper_feed_can_t_price_is_refused(tmp_path: Path) -> None:
    assert loaded(tmp_path, PAPER + 'assets = ["BTC", "USDT", "BNB"]\n').funds["portfolio"].kept_symbols() == ("BNB/USDT",)
    [problem] = problems(tmp_path, PAPER + 'assets = ["BTC", "USDT", "SOL"]\n')
    assert problem.key == "funds.portfolio.assets"
    assert "no price of SOL/USDT in feed.prices" in problem.remedy


def test_a_paper_market_says_what_its_fees_are_taken_in(tmp_path: Path) -> None:
    text = PAPER.replace("600 } }", '600 }, markets = { "BTC/USDT" = { fee_in = "received" } } }')
    feed = loaded(tmp_path, text).venues["sim"].feed
    assert isinstance(feed, FixedFeed)
    assert feed.markets["BTC/USDT"].fee_in is FeeAsset.RECEIVED
    [problem] = problems(tmp_path, text.replace('"received"', '"receved"'))
    assert problem.key == 'venues.sim.feed.markets."BTC/USDT".fee_in'
    assert 'did you mean "received"?' in problem.remedy


def test_the_spot_example_is_sound_once_its_secrets_are_there(tmp_path: Path) -> None:
    path = tmp_path / "spot.toml"
    path.write_bytes((CONFIG / "spot.toml").read_bytes())
    folder = secret_files(tmp_path)
    (folder / "api_key").rename(folder / "spot_api_key")
    (folder / "secret").rename(folder / "spot_secret")
    settings = load(path, {})
    fund = settings.funds["sixty_forty"]
    assert (settings.venues["spot"].exchange, settings.venues["spot"].environment) == ("binance", Environment.TESTNET)
    assert fund.mandate().targets == {"BTC/USDT": Decimal("0.6"), "ETH/USDT": Decimal("0.4")}
    assert fund.own_assets() == frozenset({"BTC", "ETH", "USDT"})


def test_a_spot_market_has_no_funding(tmp_path: Path) -> None:
    text = PAPER.replace("600 } }", '600 }, markets = { "BTC/USDT" = { funding_bps = "1" } } }')
    [problem] = problems(tmp_path, text)
    assert (problem.key, "a spot market has no funding" in problem.remedy) == (
        'venues.sim.feed.markets."BTC/USDT".funding_bps',
        True,
    )
