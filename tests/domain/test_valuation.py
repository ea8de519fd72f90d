from dataclasses import replace
from decimal import Decimal

import pytest

from keeper.domain.account import Account, leverage_after_move, move_to_leverage, value
from keeper.domain.errors import StaleData
from keeper.domain.numbers import rounded
from tests.fakes.markets import BTC, ETH, NOON, holding, inverse, linear, observe, quote, spot


def test_a_linear_position_adds_its_open_profit() -> None:
    worth = observe({"USDT": "100"}, {linear(): quote("105")}, holding(BTC, "3", "100")).valuation()
    assert worth.nav == 115
    assert worth.exposures[BTC] == 315
    assert rounded(worth.net_leverage, 6) == Decimal("2.739130")


def test_borrowed_money_lowers_nav_and_coins_are_exposure() -> None:
    worth = observe({"USD": "-20000", "ETH": "150"}, {spot(): quote("210")}).valuation()
    assert worth.nav == 11_500
    assert worth.exposures["ETH/USD"] == 31_500
    assert rounded(worth.gross_leverage, 6) == Decimal("2.739130")


def test_coins_that_margin_an_inverse_position_are_exposure_too() -> None:
    market = inverse()
    worth = observe({"BTC": "1"}, {market: quote("52500")}, holding(market.symbol, "100000", "50000")).valuation()
    assert rounded(worth.nav, 9) == 57_500
    assert rounded(worth.exposures[market.symbol], 9) == 157_500
    assert rounded(worth.net_leverage, 6) == Decimal("2.739130")


def test_net_leverage_is_signed_and_gross_is_not() -> None:
    positions = {**holding(BTC, "2", "100"), **holding(ETH, "-30", "10")}
    worth = observe({"USDT": "100"}, {linear(): quote("100"), linear(ETH): quote("10")}, positions).valuation()
    assert worth.net_leverage == -1
    assert worth.gross_leverage == 5


def test_a_position_that_no_target_names_is_risk_all_the_same() -> None:
    worth = observe({"USDT": "100"}, {linear(): quote("100")}, holding(ETH, "-30", "10")).valuation()
    assert worth.net_leverage == 0
    assert worth.gross_leverage == 3


def test_a_position_that_no_target_names_is_worth_what_its_contracts_are() -> None:
    held = {ETH: replace(holding(ETH, "-30", "10")[ETH], worth=Decimal(3_000))}  # of 10 ETH each
    assert observe({"USDT": "100"}, {linear(): quote("100")}, held).valuation().gross_leverage == 30


def test_an_asset_without_a_price_can_not_be_valued() -> None:
    with pytest.raises(StaleData, match="no price for DOGE in USDT"):
        observe({"USDT": "100", "DOGE": "5"}, {linear(): quote("100")}).valuation()


@pytest.mark.parametrize(("asset", "price", "foreign"), [("BNB", "600", "1200"), ("USDC", "0.999", "0")])
def test_what_no_market_of_the_fund_carries_is_risk_unless_it_is_a_dollar(asset: str, price: str, foreign: str) -> None:
    account = Account(balances={"USDT": Decimal(100), asset: Decimal(2)}, at=NOON)
    worth = value(account, [linear()], {BTC: Decimal(100)}, "USDT", {asset: Decimal(price)})
    assert (worth.nav, worth.foreign) == (100 + 2 * Decimal(price), Decimal(foreign))


def test_a_dollar_that_lost_its_peg_can_not_be_counted() -> None:
    account = Account(balances={"USDT": Decimal(100), "USDC": Decimal(2)}, at=NOON)
    with pytest.raises(StaleData, match=r"USDC is worth 0\.95 USDT: it has lost its peg"):
        value(account, [linear()], {BTC: Decimal(100)}, "USDT", {"USDC": Decimal("0.95")})


def test_an_empty_balance_needs_no_price() -> None:
    assert observe({"USDT": "100", "DOGE": "0"}, {linear(): quote("100")}).valuation().nav == 100


def test_leverage_has_no_meaning_without_nav() -> None:
    worth = observe({"USDT": "10"}, {linear(): quote("90")}, holding(BTC, "1", "100")).valuation()
    assert worth.nav == 0
    with pytest.raises(StaleData, match="NAV is 0"):
        _ = worth.net_leverage


@pytest.mark.parametrize(
    ("leverage", "to", "percent"),
    [(3, 4, "-11.1111"), (-3, -4, "6.6667"), (3, "4.125", "-12"), (3, "2.25", "20"), (5, 7, "-6.6667")],
)
def test_trigger_moves(leverage: int, to: str | int, percent: str) -> None:
    move = move_to_leverage(Decimal(leverage), Decimal(to))
    assert rounded(move * 100, 4) == Decimal(percent)
    assert rounded(leverage_after_move(Decimal(leverage), move), 20) == Decimal(to)


def test_an_account_may_be_looked_at_without_the_assets_of_others() -> None:
    account = Account(balances={"USDT": Decimal(5), "DOGE": Decimal(9)}, at=NOON)
    assert account.only({"USDT", "BTC"}).balances == {"USDT": Decimal(5)}
    assert account.only(()).balances == {}
