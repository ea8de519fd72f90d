from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.account import Account
from keeper.domain.market import Market, Side
from keeper.domain.order import Fill
from keeper.venues.feeds.market_spec import MarketSpec

AT = datetime(2025, 3, 1, tzinfo=UTC)
LINEAR = MarketSpec(contract_size=Decimal("0.1")).market("BTC/USDT:USDT")
INVERSE = MarketSpec(contract_size=Decimal(100)).market("BTC/USD:BTC")
SPOT = MarketSpec().market("BTC/USDT")
prices = st.decimals("0.01", "100000", places=2)
amounts = st.decimals("0.001", "10000", places=3)


def fill(market: Market, side: Side, amount: Decimal, price: Decimal, fee: Decimal = Decimal(0)) -> Fill:
    return Fill(
        trade_id="1", symbol=market.symbol, side=side, amount=amount, price=price, fee=fee, fee_asset=market.settle, at=AT
    )


@pytest.mark.parametrize("market", [LINEAR, INVERSE], ids=["linear", "inverse"])
@settings(deadline=None)
@given(price=prices, amount=amounts, again=amounts)
def test_a_position_that_only_ever_traded_at_one_price_has_that_entry_exactly(
    market: Market, price: Decimal, amount: Decimal, again: Decimal
) -> None:
    account = Account(balances={}, at=AT)
    for opened in (amount, again):
        account = account.after(fill(market, Side.SELL, opened, price), market)
    position = account.positions[market.symbol]
    assert (position.entry, position.contracts) == (price, -(amount + again))


@pytest.mark.parametrize(
    ("market", "then", "settled", "contracts", "entry"),
    [
        (LINEAR, ("buy", "10", "200"), "0", "20", "150"),
        (LINEAR, ("sell", "4", "150"), "20", "6", "100"),
        (LINEAR, ("sell", "10", "150"), "50", None, None),
        (LINEAR, ("sell", "15", "80"), "-20", "-5", "80"),
        (INVERSE, ("buy", "20", "200"), "0", "30", "150"),
        (INVERSE, ("sell", "4", "200"), "2", "6", "100"),
        (INVERSE, ("sell", "15", "50"), "-10", "-5", "50"),
    ],
)
def test_what_a_second_trade_does_to_ten_contracts_bought_at_100(
    market: Market, then: tuple[str, str, str], settled: str, contracts: str | None, entry: str | None
) -> None:
    side, amount, price = then
    account = Account(balances={}, at=AT).after(fill(market, Side.BUY, Decimal(10), Decimal(100)), market)
    account = account.after(fill(market, Side(side), Decimal(amount), Decimal(price)), market)
    assert account.balances.get(market.settle, Decimal(0)) == Decimal(settled)
    position = account.positions.get(market.symbol)
    if contracts is None or entry is None:
        assert position is None
    else:
        assert position is not None
        assert (position.contracts, position.entry) == (Decimal(contracts), Decimal(entry))


def test_spot_exchanges_one_balance_for_the_other_and_pays_the_fee() -> None:
    account = Account(balances={"USDT": Decimal(1000)}, at=AT)
    account = account.after(fill(SPOT, Side.BUY, Decimal(2), Decimal(100), Decimal("0.1")), SPOT)
    assert account.balances == {"USDT": Decimal("799.9"), "BTC": Decimal(2)}
    assert account.positions == {}
