"""How figures and sentences read."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.order import ChildState
from keeper.domain.run import RunStatus
from keeper.service import figures
from keeper.service.documents import run_document
from tests.fakes.run_history import History, Leg, history, unsent

D = Decimal


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.money("1234567.891"), "1,234,567.89"),
        (figures.money("-0.001", "USDT"), "-0.00100 USDT"),
        (figures.money("0", "USDT"), "0.00 USDT"),
        (figures.money(None, "USDT"), "-"),
        (figures.price("52500"), "52,500.00"),
        (figures.price("2683.41"), "2,683.410"),
        (figures.price("0.0000116"), "0.00001160000"),
        (figures.price("0"), "0.00"),
        (figures.price(None), "-"),
        (figures.amount("14985015"), "14,985,015"),
        (figures.amount("-0.50"), "-0.5"),
        (figures.amount("1234.000001"), "1,234.000001"),
        (figures.amount(None), "-"),
        (figures.leverage("2.73913043"), "2.739x"),
        (figures.leverage("-0.0001"), "0.000x"),
        (figures.leverage(None), "-"),
        (figures.bps("5.4249"), "5.42"),
        (figures.bps("105.449", signed=True), "+105.4"),
        (figures.bps("-3", signed=True), "-3.00"),
        (figures.bps(None), "-"),
        (figures.percent("-0.111111"), "-11.11%"),
        (figures.percent("0.2"), "+20.00%"),
        (figures.percent(None), "-"),
        (figures.fixed(None, 2), "-"),
        (figures.duration(timedelta(seconds=-3)), "0s"),
        (figures.duration(timedelta(seconds=59)), "59s"),
        (figures.duration(timedelta(minutes=12, seconds=5)), "12m 05s"),
        (figures.duration(timedelta(hours=2, minutes=5, seconds=59)), "2h 05m"),
        (figures.moment("2024-08-09T02:15:00+02:00"), "2024-08-09 00:15:00 UTC"),
        (figures.moment(None), "-"),
        (figures.base_asset("1000PEPE/USDT:USDT"), "1000PEPE"),
        (figures.orders(1), "1 order"),
        (figures.orders(1200), "1,200 orders"),
    ],
)
def test_a_figure_reads(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.decimals(min_value="-1e9", max_value="1e9", places=8))
def test_an_amount_loses_no_digit(value: Decimal) -> None:
    assert Decimal(figures.amount(value).replace(",", "")) == value


@given(st.decimals(min_value="0.0001", max_value="1e7", places=4), st.sampled_from([1, -1]))
def test_paying_more_costs_a_buyer_and_pleases_a_seller(price: Decimal, sign: int) -> None:
    assert figures.against(price * 2, price, sign) == sign * 10_000
    assert figures.against(price, price, sign) == 0


BTC = Leg()
ETH = Leg(market="ETH/USDT:USDT", arrival=D(2680), size=D("1.25"), slices=2, before="0", after="0")
SOLD = Leg(market="SOL/USDT:USDT", arrival=D(150), size=D(31), slices=3, before="0", after="0")
NONE_FILLED = Leg(slices=4, states=dict.fromkeys(range(1, 5), ChildState.CANCELED))


def document_of(past: History, *, is_trading: bool = True) -> dict[str, Any]:
    return run_document(past.run, past.children, past.fills, is_trading=is_trading)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (document_of(history(BTC)), "btc3l bought 0.478 BTC in 10 orders and went from 2.739x to 3.000x"),
        (
            document_of(history(BTC, ETH, SOLD)),
            "btc3l bought 0.478 BTC, bought 2.5 ETH and bought 93 SOL in 15 orders and went from 2.739x to 3.000x",
        ),
        (
            document_of(history(*(Leg(market=f"{c}/USDT:USDT", slices=1, before="0", after="0") for c in "ABCD"))),
            "btc3l traded 4 markets in 4 orders and stayed at 2.739x",
        ),
        (
            document_of(history(NONE_FILLED, status=RunStatus.INCOMPLETE)),
            "btc3l sent 4 orders, none of which filled, and stayed at 2.739x",
        ),
        (document_of(unsent(history(BTC, status=RunStatus.REFUSED))), "btc3l was refused and stayed at 2.739x"),
        (document_of(unsent(history(BTC, status=RunStatus.NOTHING_DUE))), "btc3l sent nothing and stayed at 2.739x"),
        (
            document_of(history(Leg(slices=3), status=RunStatus.RUNNING), is_trading=False),
            "btc3l bought 0.1434 BTC in 3 orders before it was interrupted",
        ),
        (
            document_of(history(NONE_FILLED, status=RunStatus.RUNNING), is_trading=False),
            "btc3l sent 4 orders, none of which filled before it was interrupted",
        ),
        (document_of(history(Leg(slices=3), status=RunStatus.RUNNING)), "btc3l bought 0.1434 BTC in 3 orders"),
        (document_of(history(status=RunStatus.RUNNING)), "btc3l has sent nothing yet"),
    ],
)
def test_a_headline_says_what_happened(document: dict[str, Any], sentence: str) -> None:
    assert figures.headline(document) == sentence


def test_contracts_without_a_plan_are_called_contracts() -> None:
    past = history(BTC)
    document = document_of(past)
    for child in document["children"]:
        child["filled_base"] = None
    assert figures.headline(document).startswith("btc3l bought 0.478 contracts of BTC/USDT:USDT in 10 orders")


def test_why_never_gives_the_reason_of_the_plan_for_an_end() -> None:
    running = history(BTC, status=RunStatus.RUNNING, reason="BTC at 2.739x, wanted 3.000x")
    assert "wanted" not in figures.why(document_of(running))
    assert "process" in figures.why(document_of(running, is_trading=False))
    assert (
        figures.why(document_of(history(BTC, status=RunStatus.INCOMPLETE, reason="the cap is reached"))) == "the cap is reached"
    )
