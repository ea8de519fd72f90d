"""What makes a fund act between its slots: the band it left, or the price that moved, one way or both."""

from dataclasses import replace
from decimal import Decimal

import pytest

from keeper.domain.account import Valuation
from keeper.policy.intraday import Direction, Intraday, Since, strayed
from keeper.policy.mandate import Band, Mandate

D = Decimal
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
BAND = Intraday(band=True)
MOVE = Intraday(move=D("0.15"))
BOTH = Direction.BOTH


def worth(**leverages: str) -> Valuation:
    """A NAV of 100; leverages: by base asset."""
    exposures = {f"{base}/USDT:USDT": 100 * D(leverage) for base, leverage in leverages.items()}
    return Valuation(currency="USDT", nav=D(100), exposures=exposures, foreign=D(0), prices={"USDT": D(1)})


def why(rule: Intraday, target: str, leverage: str, move: str = "0") -> str:
    """What a fund with a band of 2.25 to 4.125 on the side of ``target`` does at ``leverage``, at a price that went from 100."""
    side = 1 if D(target) > 0 else -1
    edges = sorted((side * D("2.25"), side * D("4.125")))
    mandate = Mandate(targets={BTC: D(target)}, bands={BTC: Band(*edges)})
    return strayed(rule, mandate, worth(BTC=leverage), {BTC: 100 * (1 + D(move))}, Since(marks={BTC: D(100)}))


@pytest.mark.parametrize(
    ("rule", "target", "leverage", "is_due"),
    [
        (BAND, "3", "4.125", False),
        (BAND, "3", "4.126", True),
        (BAND, "3", "2.24", False),
        (replace(BAND, direction=BOTH), "3", "2.24", True),
        (replace(BAND, direction=BOTH), "3", "2.25", False),
        (BAND, "-3", "-4.126", True),
        (BAND, "-3", "-2.2", False),
        (replace(BAND, direction=BOTH), "-3", "-2.2", True),
        (MOVE, "3", "9", False),
    ],
)
def test_a_band_that_was_left(rule: Intraday, target: str, leverage: str, *, is_due: bool) -> None:
    assert bool(why(rule, target, leverage)) is is_due


@pytest.mark.parametrize(
    ("rule", "leverage", "move", "is_due"),
    [
        (MOVE, "3", "-0.149", False),
        (MOVE, "3", "-0.15", True),
        (MOVE, "3", "0.3", False),
        (MOVE, "-3", "0.15", True),
        (MOVE, "-3", "-0.3", False),
        (MOVE, "0", "-0.3", False),
        (replace(MOVE, direction=BOTH), "3", "0.15", True),
        (replace(MOVE, direction=BOTH), "-3", "-0.15", True),
        (replace(MOVE, direction=BOTH), "3", "0.149", False),
        (BAND, "3", "-0.9", False),
    ],
)
def test_a_price_that_moved(rule: Intraday, leverage: str, move: str, *, is_due: bool) -> None:
    assert bool(why(rule, leverage if leverage != "0" else "3", leverage, move)) is is_due


def test_nothing_moved_before_there_was_a_run() -> None:
    mandate = Mandate(targets={BTC: D(3), ETH: D(-1)})
    marks = {BTC: D(50), ETH: D(20)}
    assert strayed(MOVE, mandate, worth(BTC="3", ETH="-1"), marks, Since()) == ""
    told = strayed(MOVE, mandate, worth(BTC="3", ETH="-1"), marks, Since(marks={ETH: D(10)}))
    assert told == f"{ETH} moved by 1.0000 since the last run, to 20"


def test_it_says_what_is_outside_of_what() -> None:
    assert why(BAND, "3", "4.2") == f"{BTC} is at 4.200x, outside of 2.250x to 4.125x"


@pytest.mark.parametrize(
    ("flowed", "direction", "told"),
    [
        ("-5", Direction.REDUCE, "5 USDT left since the last run, NAV is 100.00"),
        ("-4.99", Direction.REDUCE, ""),
        ("5", Direction.REDUCE, ""),
        ("5", BOTH, "5 USDT came since the last run, NAV is 100.00"),
        ("0", BOTH, ""),
    ],
)
def test_money_that_came_or_left(flowed: str, direction: Direction, told: str) -> None:
    rule, mandate = Intraday(flow=D("0.05"), direction=direction), Mandate(targets={BTC: D(3)})
    assert strayed(rule, mandate, worth(BTC="3"), {BTC: D(100)}, Since(flowed=D(flowed))) == told
    assert strayed(replace(rule, flow=None, band=True), mandate, worth(BTC="3"), {BTC: D(100)}, Since(flowed=D(-50))) == ""
