from dataclasses import replace
from decimal import Decimal

import pytest

from keeper.domain.market import MarketKind
from keeper.venues.feeds.market_spec import MarketSpec, markets_of

NAN = Decimal("NaN")


@pytest.mark.parametrize(
    ("symbol", "kind", "settle"),
    [
        ("BTC/USDT", MarketKind.SPOT, "USDT"),
        ("BTC/USDT:USDT", MarketKind.LINEAR, "USDT"),
        ("BTC/USD:BTC", MarketKind.INVERSE, "BTC"),
        ("BTC/USDT:USDT-250627", MarketKind.LINEAR, "USDT"),
        ("1000PEPE/USDC:USDC", MarketKind.LINEAR, "USDC"),
    ],
)
def test_the_symbol_says_what_kind_of_market_it_is(symbol: str, kind: MarketKind, settle: str) -> None:
    market = MarketSpec().market(symbol)
    assert (market.symbol, market.kind, market.settle) == (symbol, kind, settle)
    assert f"{market.base}/{market.quote}" == symbol.split(":", maxsplit=1)[0]
    assert MarketSpec(kind=kind).market(symbol) == market


def test_what_is_not_given_costs_nothing() -> None:
    market = MarketSpec().market("BTC/USDT:USDT")
    assert (market.contract_size, market.tick, market.lot) == (Decimal(1), Decimal("0.01"), Decimal("0.000001"))
    assert not any((market.min_amount, market.min_cost, market.taker, market.maker))


def test_fees_are_given_in_basis_points() -> None:
    market = MarketSpec(taker_bps=Decimal(5), maker_bps=Decimal(-1)).market("BTC/USDT")
    assert (market.taker, market.maker) == (Decimal("0.0005"), Decimal("-0.0001"))


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "BTC",
        "BTCUSDT",
        "btc/usdt",
        "BTC/",
        "/USDT",
        "BTC/BTC",
        "BTC/USDT:",
        "BTC/USDT:ETH",
        "BTC/USDT:USDT-25",
        "BTC/USDT ",
        "Ä/USDT",
    ],
)
def test_an_impossible_symbol_is_named(symbol: str) -> None:
    with pytest.raises(ValueError, match=r"BTC/USDT, BTC/USDT:USDT|settles in ETH|against itself") as refused:
        MarketSpec().market(symbol)
    assert repr(symbol) in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (MarketSpec(kind=MarketKind.SPOT), "linear by its symbol, not spot"),
        (MarketSpec(contract_size=Decimal(0)), "contract_size"),
        (MarketSpec(tick=Decimal(-1)), "tick"),
        (MarketSpec(lot=NAN), "lot"),
        (MarketSpec(min_amount=Decimal(-1)), "min_amount"),
        (MarketSpec(min_cost=Decimal("Infinity")), "min_cost"),
        (MarketSpec(taker_bps=Decimal(10_000)), "taker_bps"),
        (MarketSpec(maker_bps=NAN), "maker_bps"),
    ],
)
def test_an_impossible_number_is_named_with_its_market(spec: MarketSpec, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        spec.market("BTC/USDT:USDT")
    assert "BTC/USDT:USDT" in str(refused.value)


def test_every_market_needs_a_price_and_every_price_must_be_one() -> None:
    spec = replace(MarketSpec(), lot=Decimal(1))
    prices = {"BTC/USDT": Decimal(1), "ETH/USDT": Decimal(2)}
    assert [market.lot for market in markets_of(prices, {"ETH/USDT": spec}).values()] == [Decimal("0.000001"), Decimal(1)]
    with pytest.raises(ValueError, match="no price for SOL/USDT"):
        markets_of(prices, {"SOL/USDT": spec})
    with pytest.raises(ValueError, match="at least one market"):
        markets_of({}, {})
    for price in (Decimal(0), Decimal(-1), NAN):
        with pytest.raises(ValueError, match="price of ETH/USDT"):
            markets_of({**prices, "ETH/USDT": price}, {})
