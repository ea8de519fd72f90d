"""What is said of a fund's markets before it trades, and what would be changed of its settings."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.domain.inspection import FeeRates, MarginMode, Modes, Setting, Ways
from keeper.execution.pacing import Style
from keeper.service import leverage_checks
from keeper.service import market_checks as checks
from keeper.service.findings import Finding, Untold, Verdict
from keeper.service.fixing import changes
from tests.fakes.checkups import ALL_BY_US, MARKET, facts, fund, market_facts, observed, set_to
from tests.fakes.markets import BTC, NOON, inverse

D = Decimal
OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


def only(found: Iterable[Finding], check: str) -> Finding:
    [one] = [finding for finding in found if finding.check == check]
    return one


def test_a_sound_market_fails_nothing() -> None:
    found = [*checks.markets(facts()), *leverage_checks.margin(facts())]
    assert [(one.check, one.verdict) for one in found] == [
        (check, OK) for check in ("market", "margin_mode", "brackets", "fees", "order_size", "lot", "margin")
    ]


def test_a_market_that_is_not_there_has_one_line() -> None:
    [found] = checks.markets(facts(markets=(market_facts(market=Untold("no market X", "symbol")),)))
    assert (found.check, found.verdict, found.exit_code, found.market) == ("market", FAIL, 78, BTC)
    assert "funds.btc3l.target" in found.remedy


@pytest.mark.parametrize(
    ("days", "verdict", "said"), [(29, WARN, "goes off the list"), (30, OK, "on the list until"), (None, OK, "open")]
)
def test_a_market_that_leaves_is_warned_of_a_month_ahead(days: int | None, verdict: Verdict, said: str) -> None:
    ends = None if days is None else NOON + timedelta(days=days)
    found = only(checks.markets(facts(markets=(market_facts(ends=ends),))), "market")
    assert found.verdict is verdict
    assert said in found.found


def test_a_contract_is_held_against_what_is_on_record() -> None:
    same = only(checks.markets(facts(markets=(market_facts(pinned=MARKET.identity),))), "contract")
    assert same.verdict is OK
    other = only(checks.markets(facts(markets=(market_facts(pinned=MARKET.identity | {"contract_size": "10"}),))), "contract")
    assert (other.verdict, other.exit_code) == (FAIL, 3)
    assert "contract_size was 10 and is 1" in other.found
    assert "keeper reconcile btc3l --accept" in other.remedy
    assert checks.changed_contracts({BTC: MARKET}, {}) == []


def test_the_kind_of_account_is_held_against_each_market() -> None:
    for told, verdict, code in (("futures mode", OK, 0), (Untold("in spot mode, which has no perpetuals", "x"), FAIL, 78)):
        found = only(checks.markets(facts(markets=(market_facts(account_mode=told),))), "account_mode")
        assert (found.verdict, found.exit_code, found.market, bool(found.remedy)) == (verdict, code, BTC, verdict is FAIL)
        assert "mode" in found.found
    for silent in ("", None):
        assert "account_mode" not in {one.check for one in checks.markets(facts(markets=(market_facts(account_mode=silent),)))}


def test_isolated_margin_is_warned_of() -> None:
    found = list(checks.markets(facts(markets=(market_facts(modes=set_to("10", margin=MarginMode.ISOLATED)),))))
    assert only(found, "margin_mode").verdict is WARN
    unread = list(checks.markets(facts(markets=(market_facts(modes=Untold("HTTP 500")),))))
    assert only(unread, "margin_mode").verdict is WARN
    silent = list(checks.markets(facts(markets=(market_facts(modes=Modes()),))))
    assert "margin_mode" not in {one.check for one in silent}


def test_fees_in_force_are_held_against_those_that_plans_reckon_with() -> None:
    dear = FeeRates(taker=D("0.0006"), maker=D("0.0002"))
    found = only(checks.markets(facts(markets=(market_facts(fees=dear),))), "fees")
    assert found.verdict is WARN
    assert found.found == "taker 6.00 bps, maker 2.00 bps; plans reckon with 5.00 bps and 2.00 bps"
    assert only(checks.markets(facts(markets=(market_facts(fees=Untold("HTTP 500")),))), "fees").verdict is WARN
    silent = only(checks.markets(facts(markets=(market_facts(fees=None),))), "fees")
    assert (silent.verdict, silent.found) == (OK, "not told by some; plans reckon with 5.00 bps and 2.00 bps")
    paper = facts(inspected=False, contact=None, markets=(market_facts(fees=None),))
    assert "fees" not in {one.check for one in checks.markets(paper)}


@pytest.mark.parametrize(
    ("cash", "slices", "size", "lot"),
    [
        ("100000", 12, OK, OK),
        ("1200", 36, OK, OK),  # slices of 100
        ("1199", 36, WARN, OK),
        ("667", 12, OK, OK),  # a hundred is 0.1499x, three hundredths of it would be 0.15x
        ("666", 12, OK, WARN),
        ("33", 12, FAIL, WARN),
    ],
)
def test_the_smallest_order_and_step_against_what_is_to_be_traded(cash: str, slices: int, size: Verdict, lot: Verdict) -> None:
    found = list(checks.markets(facts(fund=fund(slices=slices), observation=observed(cash))))
    assert (only(found, "order_size").verdict, only(found, "lot").verdict) == (size, lot)


@pytest.mark.parametrize(
    ("largest", "verdict", "said"),
    [
        ("25000", OK, "each of 12 slices to the target in 30m 00s is 25,000.00 USDT"),
        ("24999", OK, "is 24,999.00 USDT at most (limits.max_order_notional), 25,000.00 USDT without that limit"),
        ("100", OK, "is 100.00 USDT at most"),
        ("99", FAIL, "is 99.00 USDT at most"),  # below the market's smallest order
    ],
)
def test_a_slice_is_no_larger_than_the_largest_order(largest: str, verdict: Verdict, said: str) -> None:
    limited = replace(fund(), limits=replace(fund().limits, max_order_notional=D(largest)))
    found = only(checks.markets(facts(fund=limited)), "order_size")
    assert (found.verdict, found.exit_code) == (verdict, 78 if verdict is FAIL else 0)
    assert said in found.found
    assert ("funds.btc3l.limits.max_order_notional" in found.remedy) is (verdict is FAIL)


def test_what_one_lot_is_worth_is_said() -> None:
    found = only(checks.markets(facts(observation=observed("500"))), "lot")
    assert found.found == "one lot is worth 0.1x of NAV, the smallest order 0.2x"


def test_an_urgent_fund_sends_one_order() -> None:
    found = only(checks.markets(facts(fund=fund(style=Style.URGENT), observation=observed("50"))), "order_size")
    assert found.verdict is OK
    assert "each of 1 slices" in found.found


def test_an_inverse_contract_is_worth_its_quote() -> None:
    market = replace(inverse(lot="1"), contract_size=D(100))
    assert checks.changed_contracts({market.symbol: market}, {market.symbol: market.identity}) == []
    assert abs(market.notional(market.lot, D(50_000))) == 100


def test_a_sound_account_needs_no_change_and_an_unread_one_gets_none() -> None:
    assert changes(facts()) == ()
    assert changes(facts(markets=(market_facts(modes=Untold("x")),))) == ()


def test_only_what_can_be_set_from_here_is_a_change() -> None:
    spoiled = (market_facts(modes=Modes(hedged=True, margin=MarginMode.ISOLATED, leverage=D(3))),)
    assert changes(facts(markets=spoiled, ways=Ways(by_hand=ALL_BY_US.by_hand))) == ()
    [found] = changes(facts(markets=spoiled, ways=Ways(by_us=frozenset({Setting.MARGIN_MODE}))))
    assert found.setting is Setting.MARGIN_MODE


def test_changes_are_named_one_by_one() -> None:
    modes = Modes(hedged=True, margin=MarginMode.ISOLATED, leverage=D(3))
    found = changes(facts(markets=(market_facts(modes=modes),)))
    assert [one.setting for one in found] == [Setting.POSITION_MODE, Setting.MARGIN_MODE, Setting.LEVERAGE]
    assert [str(one) for one in found] == [
        "position mode: hedge becomes one-way",
        f"margin mode of {BTC}: isolated becomes cross",
        f"leverage of {BTC}: 3 becomes 6",
    ]
