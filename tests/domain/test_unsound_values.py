from dataclasses import replace
from decimal import Decimal

import pytest

from keeper.domain.account import Account, value
from keeper.domain.errors import ConfigError, InvariantViolation, Problem, StaleData
from keeper.domain.run import RunStatus
from tests.fakes.journal_values import a_run
from tests.fakes.markets import BTC, NOON, holding, linear, spot


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity"])
def test_an_asset_that_is_held_at_an_impossible_price_is_stale_data(price: str) -> None:
    account = Account(balances={"USDT": Decimal(100), "BTC": Decimal(1)}, at=NOON)
    with pytest.raises(StaleData, match="price of BTC"):
        value(account, [spot("BTC/USDT")], {"BTC/USDT": Decimal(price)}, "USDT")


def test_an_asset_without_a_price_is_named() -> None:
    account = Account(balances={"USDT": Decimal(100), "DOGE": Decimal(1)}, at=NOON)
    with pytest.raises(StaleData, match="no price for DOGE in USDT"):
        value(account, [linear()], {BTC: Decimal(100)}, "USDT")


def test_a_market_quoted_in_something_else_prices_nothing() -> None:
    account = Account(balances={"USDT": Decimal(100), "ETH": Decimal(1)}, at=NOON)
    markets, marks = [linear(), spot("ETH/EUR")], {BTC: Decimal(100), "ETH/EUR": Decimal(10)}
    with pytest.raises(StaleData, match="no price for ETH"):
        value(account, markets, marks, "USDT")
    without = replace(account, balances={"USDT": Decimal(100)}, positions=holding(BTC, "1", "90"))
    assert value(without, markets, marks, "USDT").nav == 110


def test_every_problem_of_a_configuration_is_told_in_a_line_of_its_own() -> None:
    problems = (Problem("keeper.toml", "funds.a.venue", "b", "name a venue"), Problem("KEEPER__X", "x", "1", "remove it"))
    error = ConfigError(*problems)
    assert str(error).splitlines() == ["keeper.toml: funds.a.venue = b: name a venue", "KEEPER__X: x = 1: remove it"]
    assert error.problems == problems
    assert error.exit_code == 78


@pytest.mark.parametrize("status", [status for status in RunStatus if status.ended])
def test_a_run_ends_once(status: RunStatus) -> None:
    run = a_run()
    assert run.ended(status, "why") is status
    for after in RunStatus:
        with pytest.raises(InvariantViolation, match=f"r1 can't go from {status} to {after}"):
            replace(run, status=status).ended(after, "why")


def test_running_is_no_end() -> None:
    with pytest.raises(InvariantViolation, match="can't go from running to running"):
        a_run().ended(RunStatus.RUNNING, "why")
