"""What is said of leverage before a fund trades: what a market allows, what the target binds, which setting would suit."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.inspection import MarginMode, Modes
from keeper.policy.mandate import Mandate
from keeper.service import leverage_checks as checks
from keeper.service import market_checks
from keeper.service.findings import HEDGE_MODE, Facts, Finding, Untold, Verdict
from tests.fakes.checkups import MARKET, TABLE, facts, fund, market_facts, observed, set_to
from tests.fakes.markets import BTC, spot

D = Decimal
OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


def only(found: Iterable[Finding], check: str) -> Finding:
    [one] = [finding for finding in found if finding.check == check]
    return one


def funded(target: str = "3", leverage: str = "10", cash: str = "100000") -> Facts:
    return facts(fund=fund(target), observation=observed(cash), markets=(market_facts(modes=set_to(leverage)),))


@pytest.mark.parametrize(
    ("target", "leverage", "verdict", "share"),
    [
        ("3", "10", OK, "30 %"),
        ("3", "4", OK, "75 %"),
        ("-3", "3.9", WARN, "77 %"),
        ("3", "3", FAIL, "100 %"),
        ("3", "2", FAIL, "150 %"),
    ],
)
def test_the_margin_that_a_target_binds(target: str, leverage: str, verdict: Verdict, share: str) -> None:
    found = only(checks.margin(funded(target, leverage)), "margin")
    assert (found.verdict, found.exit_code) == (verdict, 78 if verdict is FAIL else 0)
    assert f"binds {share} of NAV" in found.found


@pytest.mark.parametrize(
    ("target", "leverage", "cash", "verdict", "said"),
    [
        # 300,000 and 600,000: 50x and 20x
        ("3", "20", "100000", OK, "50x at most at 300,000.00, 20x at twice that"),
        ("3", "21", "100000", WARN, "set to 21x"),
        ("3", "50", "100000", WARN, "set to 50x"),
        ("3", "51", "100000", FAIL, "set to 51x"),
        # 600,000 and 1,200,000: 20x and 2x
        ("-3", "10", "200000", WARN, "2x at twice that"),
        ("2", "2", "600000", WARN, "2x at most at 1,200,000.00, 0x at twice that"),
        # 1,200,000: 2x, which carries no 3x
        ("3", "2", "400000", FAIL, "2x at most"),
        ("3", "2", "1000000", FAIL, "0x at most"),
    ],
)
def test_leverage_tables_at_the_position_s_size_and_its_growth(
    target: str, leverage: str, cash: str, verdict: Verdict, said: str
) -> None:
    found = only(market_checks.markets(funded(target, leverage, cash)), "brackets")
    assert (found.verdict, found.exit_code) == (verdict, 78 if verdict is FAIL else 0)
    assert said in found.found


@pytest.mark.parametrize(
    ("leverage", "cash", "remedy"),
    [
        ("50", "150000", "lower the leverage setting: `keeper doctor btc3l --fix`"),  # 20x at twice that
        ("2", "600000", "no setting carries twice that size"),  # nothing at 2,400,000
    ],
)
def test_a_setting_is_to_be_lowered_where_a_lower_one_would_do(leverage: str, cash: str, remedy: str) -> None:
    assert remedy in only(market_checks.markets(funded("2", leverage, cash)), "brackets").remedy


def test_a_table_has_an_edge_and_may_have_no_end() -> None:
    assert [checks.room(TABLE, D(size)) for size in ("400000", "400000.01", "2000000", "2000001")] == [50, 20, 2, 0]
    assert checks.room((replace(TABLE[0], up_to=None),), D(10**12)) == 50
    untold = facts(markets=(market_facts(brackets=Untold("HTTP 500")),))
    unread = only(market_checks.markets(untold), "brackets")
    assert (unread.verdict, unread.found) == (WARN, "could not be read: HTTP 500")
    worthless = only(market_checks.markets(facts(observation=Untold("x"))), "brackets")
    assert (worthless.verdict, "50x at most for the smallest positions" in worthless.found) == (OK, True)


@pytest.mark.parametrize(
    ("most", "target", "verdict", "said"),
    [
        ("3", "3", OK, "3x at most for the smallest positions; what it is for larger ones is not told by some"),
        ("2.9", "-3", FAIL, "2.9x at most"),
        (None, "3", OK, "not told by some"),
    ],
)
def test_a_market_without_a_table_is_held_against_what_is_told(
    most: str | None, target: str, verdict: Verdict, said: str
) -> None:
    bare = market_facts(brackets=(), most_leverage=None if most is None else D(most))
    found = only(market_checks.markets(facts(fund=fund(target), markets=(bare,))), "brackets")
    assert (found.verdict, found.exit_code) == (verdict, 78 if verdict is FAIL else 0)
    assert said in found.found


UNSET = Modes(hedged=False, margin=MarginMode.CROSS)
BARE: list[tuple[str, dict[str, Any], str, Verdict, str]] = [
    # 300,000 at 50x, 1,200,000 at 2x
    ("at best what the table has", {}, "100000", OK, f"at least 6 % of NAV as margin (no leverage setting: {BTC} 50x at most)"),
    ("which may be too little", {}, "400000", FAIL, "at least 150 % of NAV"),
    ("or nothing at all", {}, "1000000", FAIL, f"no position of that size is allowed in {BTC}"),
    ("a little", {"brackets": (), "most_leverage": D(1000)}, "100000", OK, "at least 0.3 % of NAV"),
    ("at best a ceiling", {"brackets": (), "most_leverage": D("3.5")}, "100000", WARN, "at least 86 % of NAV"),
    ("nothing told", {"brackets": ()}, "100000", OK, f"not told by some: what the target binds in {BTC}"),
    ("settings unread", {"modes": Untold("HTTP 500")}, "100000", WARN, f"could not be read of {BTC} (HTTP 500)"),
]


@pytest.mark.parametrize(("changes", "cash", "verdict", "said"), [row[1:] for row in BARE], ids=[row[0] for row in BARE])
def test_the_margin_that_a_target_binds_without_a_setting(
    changes: dict[str, Any], cash: str, verdict: Verdict, said: str
) -> None:
    told = facts(observation=observed(cash), markets=(market_facts(**({"modes": UNSET} | changes)),))
    found = only(checks.margin(told), "margin")
    assert (found.verdict, found.exit_code) == (verdict, 78 if verdict is FAIL else 0)
    assert said in found.found
    assert "raise the leverage setting" not in found.remedy


def test_spot_is_said_to_borrow_nothing() -> None:
    coins = spot()
    bought = replace(fund(), mandate=Mandate(targets={coins.symbol: D("0.5")}))
    market = market_facts(symbol=coins.symbol, market=coins, modes=Modes(), brackets=())
    told = facts(fund=bought, markets=(market,), observation=Untold("not looked at"))
    table = only(market_checks.markets(told), "brackets")
    [margin] = checks.margin(told)
    assert (table.verdict, table.found) == (margin.verdict, margin.found) == (OK, checks.PAID)


@pytest.mark.parametrize("changes", [{"inspected": False}, {"admission": Untold("no such key", "-2015")}])
def test_nothing_is_said_of_what_was_not_asked(changes: dict[str, Any]) -> None:
    silent = facts(**changes)
    assert [*checks.margin(silent), *checks.table(silent, silent.markets[0], MARKET)] == []
    assert list(checks.margin(facts(admission=Untold("hedge", HEDGE_MODE))))
    assert list(checks.margin(facts(markets=(market_facts(market=Untold("gone")),)))) == []


@pytest.mark.parametrize(
    ("target", "leverage", "cash", "wanted"),
    [
        ("3", "10", "100000", None),
        ("3", "4", "100000", None),
        ("3", "3", "100000", 6),
        ("-3", "1", "100000", 6),
        ("3", "20", "100000", None),
        ("3", "21", "100000", 6),  # too high for twice the size
        ("3", "125", "100000", 6),
        ("3", "10", "200000", None),  # 2x at twice the size: no setting would do
        ("0.5", "1", "100000", None),
        ("1", "1", "100000", 2),
        ("9", "10", "50000", 18),
        ("14", "10", "30000", 20),  # 28 would be half, the table allows 20
        ("15.5", "10", "30000", None),  # 21 is the least that would do, the table allows 20
    ],
)
def test_the_leverage_setting_that_would_suit(target: str, leverage: str, cash: str, wanted: int | None) -> None:
    told = funded(target, leverage, cash)
    assert checks.suggested_leverage(told, told.markets[0]) == wanted


def test_without_a_nav_or_a_table_the_target_alone_decides() -> None:
    unread = facts(observation=Untold("x"), markets=(market_facts(modes=set_to("3")),))
    assert checks.suggested_leverage(unread, unread.markets[0]) == 6
    untold = facts(markets=(market_facts(modes=set_to("125"), brackets=Untold("x")),))
    assert checks.suggested_leverage(untold, untold.markets[0]) is None
    assert checks.suggested_leverage(untold, market_facts(modes=Modes())) is None
