"""The simulated exchange's own arithmetic, by figures worked out by hand: it is the second opinion, so nobody else checks it."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.exchange_core import (
    ALL,
    ExchangeCore,
    Forced,
    Instrument,
    Ladder,
    MarginMode,
    Order,
    Reason,
    Refusal,
    Status,
    Unique,
)

D = Decimal
INVERSE = Instrument(
    symbol="BTCUSD_PERP",
    base="BTC",
    quote="USD",
    settle="BTC",
    inverse=True,
    contract_size=D(100),
    step=D(1),
    min_amount=D(1),
    min_notional=D(0),
)
LINEAR = Instrument(symbol="ETHUSDT", base="ETH", contract_size=D("0.01"), step=D(1), min_amount=D(1), min_notional=D(0))


def core(**changes: Any) -> ExchangeCore:
    """2 BTC and 10,000 USDT; 100 USD inverse contracts at 50,000 and 0.01 ETH ones at 2,500, a flat deep book each."""
    parts: dict[str, Any] = {
        "now": lambda: 1_000_000,
        "wallet": {"BTC": D(2), "USDT": D(10_000)},
        "instruments": {one.symbol: replace(one) for one in (INVERSE, LINEAR)},
        "ladders": {
            "BTCUSD_PERP": Ladder(mid=D(50_000), spread=D(0), size=D(100_000)),
            "ETHUSDT": Ladder(mid=D(2_500), spread=D(0), size=D(100_000)),
        },
        "fee_rate": D("0.001"),
    }
    return ExchangeCore(**(parts | changes))


def bought(exchange: ExchangeCore, symbol: str, amount: int, price: int, **changes: Any) -> Order:
    """An order of ``amount`` signed contracts at a mid of ``price``."""
    exchange.set_mid(symbol, D(price))
    sign = 1 if amount > 0 else -1
    told: dict[str, Any] = {"client_id": "", "time_in_force": "IOC", "reduce_only": False, "price": D(price)}
    return exchange.place(symbol=symbol, sign=sign, amount=D(abs(amount)), **(told | changes))


def test_inverse_contracts_cost_and_earn_coins_and_average_harmonically() -> None:
    exchange = core()
    first = bought(exchange, "BTCUSD_PERP", 500, 50_000)
    assert first.cost == 1  # 50,000 USD of coins
    assert exchange.trades[0].fee == D("0.001")
    assert exchange.trades[0].fee_asset == "BTC"
    bought(exchange, "BTCUSD_PERP", 500, 40_000)
    # 1,000 contracts for 1 + 1.25 coins
    assert exchange.holdings["BTCUSD_PERP"].entry.quantize(D("1e-8")) == (D(100_000) / D("2.25")).quantize(D("1e-8"))
    exchange.set_mid("BTCUSD_PERP", D(50_000))
    assert exchange.unrealised("BTCUSD_PERP").quantize(D("1e-8")) == D("0.25")
    bought(exchange, "BTCUSD_PERP", -1_000, 50_000)
    assert exchange.held("BTCUSD_PERP") == 0
    assert exchange.wallet["BTC"] == D(2) + D("0.25") - D("0.001") - D("0.00125") - D("0.002")


def test_a_short_of_inverse_contracts_earns_when_the_price_falls() -> None:
    exchange = core()
    bought(exchange, "BTCUSD_PERP", -500, 50_000)
    exchange.set_mid("BTCUSD_PERP", D(40_000))
    assert exchange.unrealised("BTCUSD_PERP") == D("0.25")
    assert exchange.equity("BTC") == D(2) - D("0.001") + D("0.25")


def test_linear_contracts_are_worth_their_size() -> None:
    exchange = core()
    bought(exchange, "ETHUSDT", 100, 2_500)
    bought(exchange, "ETHUSDT", 100, 2_700)
    assert exchange.holdings["ETHUSDT"].entry == 2_600
    assert [trade.fee for trade in exchange.trades] == [D("2.5"), D("2.7")]
    assert exchange.unrealised("ETHUSDT") == 200
    bought(exchange, "ETHUSDT", -300, 2_700)
    assert exchange.holdings["ETHUSDT"].amount == -100
    assert exchange.holdings["ETHUSDT"].entry == 2_700
    assert exchange.wallet["USDT"] == D(10_000) + 200 - D("2.5") - D("2.7") - D("8.1")


def test_equity_and_what_is_available_follow_the_margin_mode_and_the_leverage() -> None:
    exchange = core()
    exchange.set_leverage("ETHUSDT", 5)
    bought(exchange, "ETHUSDT", 400, 2_500)
    exchange.set_mid("ETHUSDT", D(3_000))
    wallet = D(10_000) - 10
    assert exchange.equity("USDT") == wallet + 2_000
    assert exchange.available() == wallet + 2_000 - 2_400
    exchange.isolated.add("ETHUSDT")
    assert exchange.available() == wallet - 2_000
    assert exchange.equity_usd({"USDT": D("0.99"), "BTC": D(50_000)}) == (wallet + 2_000) * D("0.99") + 100_000
    exchange.usd = {"USDT": D(1), "BTC": D(50_000)}
    assert exchange.available("BTC") == (wallet - 2_000) / 50_000 + 2
    assert exchange.available() == wallet - 2_000 + 100_000


def test_funding_is_paid_by_whoever_is_long() -> None:
    exchange = core()
    bought(exchange, "ETHUSDT", 400, 2_500)
    before = exchange.wallet["USDT"]
    record = exchange.fund("ETHUSDT", D("0.0001"))
    assert (record.amount, record.asset) == (D(-1), "USDT")
    assert exchange.wallet["USDT"] == before - 1
    assert exchange.fundings == [record]


@pytest.mark.parametrize("kind", list(Forced))
def test_the_exchange_closes_a_position_by_an_order_of_its_own(kind: Forced) -> None:
    exchange = core()
    bought(exchange, "ETHUSDT", -400, 2_500)
    order = exchange.force("ETHUSDT", kind)
    assert (order.forced, order.status, order.sign) == (kind, Status.FILLED, 1)
    assert order.filled == 400
    assert exchange.held("ETHUSDT") == 0


@pytest.mark.parametrize(("unique", "resting", "ended"), [(Unique.OPEN, 0, 1), (Unique.EVER, 0, 0), (Unique.NO, 1, 1)])
def test_a_client_id_is_taken_again_or_not(unique: Unique, resting: int, ended: int) -> None:
    exchange = core(unique=unique)
    exchange.rest("rests", "ETHUSDT", 1, D(1), D(2_400))
    bought(exchange, "ETHUSDT", 1, 2_500, client_id="ended")
    for name, taken in (("rests", resting), ("ended", ended)):
        before = len(exchange.orders)
        if taken:
            bought(exchange, "ETHUSDT", 1, 2_500, client_id=name)
        else:
            with pytest.raises(Refusal) as refusal:
                bought(exchange, "ETHUSDT", 1, 2_500, client_id=name)
            assert refusal.value.reason is Reason.DUPLICATE
        assert len(exchange.orders) == before + taken


def test_an_order_that_rests_in_part_says_so_and_a_switch_for_all_markets_cancels_it() -> None:
    exchange = core(ladders={"ETHUSDT": Ladder(mid=D(2_500), spread=D(0), size=D(3), levels=1)})
    order = bought(exchange, "ETHUSDT", 5, 2_500, time_in_force="GTC")
    assert (order.status, order.filled) == (Status.PARTIAL, D(3))
    exchange.count_down(ALL, 1_000)
    exchange.now = lambda: 1_001_000
    assert exchange.open_orders() == []
    assert order.status is Status.CANCELED


def test_settings_change_only_while_nothing_is_held_or_rests() -> None:
    exchange = core()
    exchange.set_margin_mode("ETHUSDT", MarginMode.ISOLATED)
    exchange.set_hedged(hedged=True)
    exchange.set_hedged(hedged=False)
    exchange.rest("rests", "ETHUSDT", 1, D(1), D(2_400))
    exchange.set_margin_mode("ETHUSDT", MarginMode.ISOLATED)  # as it is
    exchange.set_margin_mode("BTCUSD_PERP", MarginMode.ISOLATED)
    refused: dict[str, Callable[[], None]] = {
        "mode": lambda: exchange.set_margin_mode("ETHUSDT", MarginMode.CROSS),
        "hedged": lambda: exchange.set_hedged(hedged=True),
        "leverage": lambda: exchange.set_leverage("ETHUSDT", 126),
    }
    reasons = {}
    for name, change in refused.items():
        with pytest.raises(Refusal) as refusal:
            change()
        reasons[name] = refusal.value.reason
    assert reasons == {"mode": Reason.NOT_FLAT, "hedged": Reason.NOT_FLAT, "leverage": Reason.LEVERAGE}
    assert exchange.margin_mode("ETHUSDT") is MarginMode.ISOLATED


def test_a_closed_market_takes_no_order() -> None:
    exchange = core(instruments={"ETHUSDT": Instrument(symbol="ETHUSDT", base="ETH", open=False)})
    with pytest.raises(Refusal) as refusal:
        bought(exchange, "ETHUSDT", 1, 2_500)
    assert refusal.value.reason is Reason.CLOSED
