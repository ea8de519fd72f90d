"""What venues grant, and what their headers tell of it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.errors import InvariantViolation
from keeper.venues.budgets import Budget, Gauge, Limits, Priority, Reading, Unit, readings
from keeper.venues.rates import BINANCE_USDM, BYBIT, GATE, KUCOIN_FUTURES, LIMITS, limits_of
from tests.fakes.weighing_server import START

MINUTE = timedelta(minutes=1)


def a_budget(capacity: int, interval: timedelta = MINUTE) -> Budget:
    return Budget(name="weight", unit=Unit.WEIGHT, capacity=Decimal(capacity), interval=interval)


@pytest.mark.parametrize(
    ("capacity", "ceilings"),
    [
        (2400, (2400, 2280, 2160, 2040)),
        (300, (300, 285, 270, 255)),
        (10, (10, 9, 9, 8)),
        (4, (4, 3, 3, 3)),
        (3, (3, 3, 3, 3)),
        (1, (1, 1, 1, 1)),
    ],
)
def test_each_kind_leaves_a_twentieth_more_than_the_one_before_it(capacity: int, ceilings: tuple[int, ...]) -> None:
    assert tuple(a_budget(capacity).ceiling(priority) for priority in Priority) == ceilings


@pytest.mark.parametrize(("capacity", "interval"), [(0, MINUTE), (-1, MINUTE), (1, timedelta(0))])
def test_a_budget_that_grants_nothing_is_none(capacity: int, interval: timedelta) -> None:
    with pytest.raises(InvariantViolation):
        a_budget(capacity, interval)


def test_gauges_name_budgets_and_budgets_have_names_of_their_own() -> None:
    with pytest.raises(InvariantViolation):
        Limits(budgets=(a_budget(1), a_budget(2)))
    with pytest.raises(InvariantViolation):
        Limits(budgets=(a_budget(1),), gauges=(Gauge(budget="orders", header="X-Used"),))


AT = str(int(START.timestamp()))


@pytest.mark.parametrize(
    ("limits", "headers", "told"),
    [
        (
            BINANCE_USDM,
            {"x-mbx-used-weight-1m": "17", "X-MBX-ORDER-COUNT-10S": "3", "X-MBX-ORDER-COUNT-1M": "9"},
            [("weight 1m", 17, False, None), ("orders 10s", 3, False, None), ("orders 1m", 9, False, None)],
        ),
        (BYBIT, {"X-Bapi-Limit-Status": "9", "X-Bapi-Limit-Reset-Timestamp": AT + "250"}, [("orders 1s", 9, True, 0.25)]),
        (
            GATE,
            {"X-Gate-RateLimit-Requests-Remain": "0", "X-Gate-RateLimit-Reset-Timestamp": AT},
            [("requests 10s", 0, True, 0.0)],
        ),
        (KUCOIN_FUTURES, {"gw-ratelimit-remaining": "1997", "gw-ratelimit-reset": "1500"}, [("pool 30s", 1997, True, 1.5)]),
        (KUCOIN_FUTURES, {"gw-ratelimit-remaining": "5", "gw-ratelimit-reset": "soon"}, [("pool 30s", 5, True, None)]),
        (KUCOIN_FUTURES, {"gw-ratelimit-remaining": "5", "gw-ratelimit-reset": "9" * 40}, [("pool 30s", 5, True, None)]),
        (KUCOIN_FUTURES, {"gw-ratelimit-remaining": "-1"}, []),
        (BINANCE_USDM, {"Content-Type": "application/json"}, []),
    ],
)
def test_headers_tell_what_is_used_or_left_and_until_when(
    limits: Limits, headers: dict[str, str], told: list[tuple[str, int, bool, float | None]]
) -> None:
    assert list(readings(limits.gauges, headers, START)) == [
        Reading(
            budget=budget,
            amount=Decimal(amount),
            left=left,
            resets=None if resets is None else START + timedelta(seconds=resets),
        )
        for budget, amount, left, resets in told
    ]


def test_an_exchange_without_a_row_gets_what_ccxt_grants() -> None:
    (budget,) = limits_of("coinex", Decimal("2.5")).budgets
    assert (budget.capacity, budget.interval, budget.unit) == (Decimal(4000), timedelta(seconds=10), Unit.WEIGHT)
    assert limits_of("binanceusdm", Decimal(50)) is LIMITS["binanceusdm"]
