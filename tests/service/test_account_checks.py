"""What is said of an account before it trades, fact by fact."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.account import Account
from keeper.domain.inspection import Contact, KeyFacts, Modes, Setting, Ways
from keeper.domain.observation import Observation
from keeper.policy.mandate import Mandate
from keeper.ports import Environment
from keeper.service import account_checks as checks
from keeper.service.findings import HEDGE_MODE, Facts, Finding, Untold, Verdict, change_by
from tests.fakes.checkups import ALL_BY_US, GOOD_KEY, INFO, facts, market_facts, observed
from tests.fakes.markets import BTC, ETH, NOON, observe, quote, spot

D = Decimal
OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
TESTNET = replace(INFO, environment=Environment.TESTNET)
Check = Callable[[Facts], Iterable[Finding]]


def only(found: Iterable[Finding], check: str) -> Finding:
    [one] = [finding for finding in found if finding.check == check]
    return one


@pytest.mark.parametrize(
    ("latency", "offset", "reach", "clock"),
    [
        (40, 0, OK, OK),
        (40, 250, OK, OK),
        (1000, -250, OK, OK),
        (1001, 251, WARN, WARN),
        (40, -251, OK, WARN),
        (40, 1000, OK, WARN),
        (40, 1001, OK, FAIL),
        (40, -1001, OK, FAIL),
    ],
)
def test_latency_and_clock(latency: int, offset: int, reach: Verdict, clock: Verdict) -> None:
    contact = Contact(latency=timedelta(milliseconds=latency), offset=timedelta(milliseconds=offset))
    found = list(checks.connection(facts(contact=contact)))
    assert (only(found, "reach").verdict, only(found, "clock").verdict) == (reach, clock)
    assert f"{latency} ms" in only(found, "reach").found
    assert only(found, "clock").exit_code == (69 if clock is FAIL else 0)


@pytest.mark.parametrize(
    ("offset", "clock"), [(0, OK), (750, OK), (-750, OK), (751, WARN), (-1500, WARN), (1501, FAIL), (-1501, FAIL)]
)
def test_what_a_coarse_clock_does_not_tell_is_not_held_against_this_machine_s(offset: int, clock: Verdict) -> None:
    half = timedelta(seconds=0.5)
    contact = Contact(latency=timedelta(milliseconds=40), offset=timedelta(milliseconds=offset), vague=half)
    found = only(checks.connection(facts(contact=contact)), "clock")
    assert found.verdict is clock
    assert "give or take 0.500 s" in found.found


def test_an_account_that_can_t_be_sized_on_is_one_that_can_be_read_and_reduced() -> None:
    unfit = facts(admission=Untold("switch it to the classic mode", "unified_account", unfit=True))
    assert only(checks.keys(unfit), "keys").verdict is OK
    found = only(checks.kind(unfit), "account_kind")
    assert (found.verdict, found.exit_code, found.found) == (FAIL, 3, "switch it to the classic mode")
    assert "flatten" in found.remedy
    barred = facts(admission=Untold("unknown here", "key"))
    assert only(checks.keys(barred), "keys").verdict is FAIL
    assert [*checks.kind(facts()), *checks.kind(barred)] == []


def test_without_a_connection_nothing_else_is_said_of_it() -> None:
    lost = facts(contact=Untold("no answer"), markets=(), observation=None, key=None, own=None, worth=None)
    [reach] = checks.connection(lost)
    assert (reach.verdict, reach.exit_code, reach.found) == (FAIL, 69, "no answer")
    assert [*checks.keys(lost), *checks.position_mode(lost), *checks.account(lost)] == []
    [paper] = checks.connection(replace(lost, inspected=False))
    assert paper.exit_code == 78


def test_the_hosts_in_use_are_named_and_those_of_this_machine_warned_of() -> None:
    ours = facts(reached={"a.some.com": "https://a.some.com", "b.some.com": "http://127.0.0.1:9"})
    plain, moved = (only(checks.connection(one), "environment") for one in (facts(), ours))
    assert (plain.verdict, plain.found) == (OK, "live: api.some.com")
    assert moved.verdict is WARN
    assert "b.some.com" in moved.found
    assert "a.some.com" not in moved.found


KEYS: list[tuple[dict[str, Any], dict[str, Verdict]]] = [
    ({}, {}),
    ({"may_withdraw": True}, {"withdrawals": FAIL}),
    ({"may_withdraw": None}, {"withdrawals": WARN}),
    ({"may_trade": False}, {"trading": FAIL}),
    ({"may_trade": None}, {}),
    ({"ip_bound": False}, {"address": WARN}),
    ({"ip_bound": None}, {}),
    ({"expires_at": None}, {}),
    ({"expires_at": NOON + timedelta(days=14)}, {}),
    ({"expires_at": NOON + timedelta(days=14, seconds=-1)}, {"expiry": WARN}),
    ({"expires_at": NOON}, {"expiry": FAIL}),
    ({"expires_at": NOON - timedelta(days=1)}, {"expiry": FAIL}),
]


@pytest.mark.parametrize(("change", "differing"), KEYS)
def test_what_a_key_may_do(change: dict[str, Any], differing: dict[str, Verdict]) -> None:
    found = list(checks.keys(facts(key=replace(GOOD_KEY, **change))))
    usual = dict.fromkeys(("keys", "withdrawals", "trading", "address", "expiry"), OK)
    assert {one.check: one.verdict for one in found} == usual | differing
    assert all(one.exit_code == 78 for one in found if one.verdict is FAIL)
    assert all(bool(one.remedy) == (one.verdict is not OK) for one in found)


def test_what_a_testnet_does_not_tell_of_a_key_is_no_reason_to_warn() -> None:
    told = checks.keys(facts(info=TESTNET, key=KeyFacts()))
    assert {one.verdict for one in told} == {OK}


def test_a_key_that_can_t_be_read_is_warned_of_and_fails_nothing() -> None:
    found = list(checks.keys(facts(key=Untold("HTTP 500"))))
    assert [(one.check, one.verdict) for one in found] == [("keys", OK), ("withdrawals", WARN)]


def test_keys_that_are_refused_are_told_once() -> None:
    found = list(checks.keys(facts(admission=Untold("unknown here", "-1"), key=Untold("unknown here", "-1"))))
    assert [(one.check, one.verdict, one.exit_code) for one in found] == [("keys", FAIL, 69)]
    told = list(checks.keys(facts(admission=Untold("unknown here", "-1"), key=replace(GOOD_KEY, may_withdraw=True))))
    assert [one.check for one in told if one.verdict is FAIL] == ["keys", "withdrawals"]


@pytest.mark.parametrize(
    ("admission", "hedged", "verdicts"),
    [
        (None, False, [OK]),
        (None, None, []),
        (None, True, [FAIL]),
        (Untold("hedge", HEDGE_MODE), None, [FAIL]),
        (Untold("hedge", HEDGE_MODE), False, [FAIL]),
    ],
)
def test_hedge_mode(admission: Untold | None, hedged: bool | None, verdicts: list[Verdict]) -> None:  # noqa: FBT001
    told = facts(admission=admission, markets=(market_facts(modes=Modes(hedged=hedged)),))
    found = list(checks.position_mode(told))
    assert [one.verdict for one in found] == verdicts
    assert all("keeper doctor btc3l --fix" in one.remedy for one in found if one.verdict is FAIL)
    assert only(checks.keys(told), "keys").verdict is OK


def test_a_remedy_names_what_keeper_can_do_or_where_a_human_does_it() -> None:
    for ways, words in (
        (ALL_BY_US, "set it: `keeper doctor btc3l --fix` does while nothing is held, or on some.com, where leverage stands"),
        (Ways(by_hand=ALL_BY_US.by_hand), "set it: on some.com, where leverage stands"),
        (Ways(), "set it: on the exchange's own site or app"),
    ):
        assert change_by(ways, "btc3l", Setting.LEVERAGE, "set it") == words


def _with_equity(told: str, asset: str = "USDT") -> Observation:
    seen = observed()
    return replace(seen, account=replace(seen.account, equities={asset: D(told)}))


@pytest.mark.parametrize(
    ("ours", "told", "verdict"),
    [
        ("100000", "100000", OK),
        ("100000", "99500", OK),
        ("100000", "99499.99", FAIL),
        ("99500", "100000", OK),
        ("99499.99", "100000", FAIL),
        ("10", "11", OK),
        ("10", "11.01", FAIL),
        ("-5", "-4", OK),
        ("-5", "5", FAIL),
        ("0", "0.9", OK),
        ("0", "1.1", FAIL),
    ],
)
def test_an_equity_may_differ_by_half_a_percent_or_a_unit(ours: str, told: str, verdict: Verdict) -> None:
    [found] = checks.equity(_with_equity(told), {"USDT": D(ours)})
    assert (found.verdict, found.exit_code) == (verdict, 3 if verdict is FAIL else 0)
    assert checks.differs(_with_equity(told), {"USDT": D(ours)}) is (verdict is FAIL)


def test_a_coin_s_equity_may_differ_by_what_a_unit_of_the_currency_buys() -> None:
    [close] = checks.equity(_with_equity("0.00002", "BTC"), {"BTC": D(0)})  # a dollar at 50,000
    [apart] = checks.equity(_with_equity("0.0001", "BTC"), {"BTC": D(0)})
    assert (close.verdict, apart.verdict) == (OK, FAIL)


def test_an_asset_without_a_price_may_differ_by_its_share_alone() -> None:
    [found] = checks.equity(_with_equity("0.5", "XYZ"), {})
    assert found.verdict is FAIL


def test_both_figures_are_in_the_line() -> None:
    [found] = checks.equity(_with_equity("90000"), {"USDT": D(100_000)})
    assert "100,000.00 USDT by our reckoning, 90,000.00 USDT by the venue's" in found.found


def test_what_nobody_reckons_fails_nothing() -> None:
    silent = replace(observed(), account=replace(observed().account, equities={}))
    [quiet] = checks.equity(silent, {"USDT": D(5)})
    [unknown] = checks.equity(observed(), Untold("no such market"))
    assert (quiet.verdict, unknown.verdict) == (OK, WARN)
    assert list(checks.equity(observe({"USD": "5"}, {spot(): quote("2500")}), {"USD": D(5)})) == []


@pytest.mark.parametrize(
    ("price", "verdict"), [("25000", OK), ("45000", OK), ("45001", WARN), ("47500", WARN), ("47501", FAIL), ("52000", FAIL)]
)
def test_the_distance_to_liquidation(price: str, verdict: Verdict) -> None:
    seen = observed(contracts="6", entry="50000", mark="50000", liquidation=price)
    [found] = checks.liquidation(seen.account, facts().fund.limits)
    assert (found.verdict, found.market, found.exit_code) == (verdict, BTC, 3 if verdict is FAIL else 0)
    assert "5 % is wanted" in found.found


def test_a_position_that_can_t_be_liquidated_has_no_line() -> None:
    seen = observed(contracts="1", entry="50000", mark="50000")
    assert list(checks.liquidation(seen.account, facts().fund.limits)) == []


def test_an_account_that_can_t_be_read_or_valued_fails() -> None:
    unread = only(checks.account(facts(observation=Untold("no answer"))), "account")
    assert (unread.verdict, unread.exit_code) == (FAIL, 69)
    unvalued = only(checks.account(facts(worth=Untold("no price for XYZ"))), "account")
    assert (unvalued.verdict, unvalued.exit_code) == (FAIL, 3)
    empty = only(checks.account(facts(observation=observed("0"))), "account")
    assert (empty.verdict, empty.exit_code) == (FAIL, 3)
    # the lines of keys and markets say why already
    assert list(checks.account(facts(observation=Untold("x"), admission=Untold("keys", "-1")))) == []
    assert list(checks.account(facts(observation=Untold("x"), markets=(market_facts(market=Untold("gone")),)))) == []


def test_an_account_at_rest_is_told_by_what_it_is_worth() -> None:
    found = only(checks.account(facts()), "account")
    assert (found.verdict, found.found) == (OK, "NAV is 100,000.00 USDT, leverage 0.000x net")
    assert isinstance(facts().observation, Observation)
    assert isinstance(observed().account, Account)


@pytest.mark.parametrize(
    ("stops", "asked", "targets", "verdict", "says"),
    [
        (True, None, {BTC: D(3)}, OK, "stops rest at the exchange"),
        (True, True, {BTC: D(3)}, OK, "stops rest at the exchange"),
        (True, False, {BTC: D(3)}, WARN, "switched off"),
        (False, None, {BTC: D(3)}, WARN, "no resident guard on this exchange: the brake works only while Keeper runs"),
        (False, False, {BTC: D(3)}, WARN, "switched off"),
        (False, True, {BTC: D(3)}, FAIL, "no resident guard on this exchange"),
        (True, None, {BTC: D("1.5"), ETH: D("-1.5")}, WARN, "long and short"),
    ],
)
def test_whether_stops_rest_where_nobody_looks(
    *, stops: bool, asked: bool | None, targets: dict[str, Decimal], verdict: Verdict, says: str
) -> None:
    told = facts(info=replace(INFO, stops=stops))
    fund = replace(told.fund, mandate=Mandate(targets=targets), resident_guard=asked)
    found = only(checks.guard(replace(told, fund=fund)), "resident_guard")
    assert found.verdict is verdict
    assert says in found.found
    assert found.exit_code == (3 if verdict is FAIL else 0)


def test_coins_that_are_paid_for_need_no_stops() -> None:
    coins = facts(markets=(market_facts(market=spot("BTC/USDT")),))
    assert list(checks.guard(coins)) == []
    unlevered = facts()
    assert list(checks.guard(replace(unlevered, fund=replace(unlevered.fund, mandate=Mandate(targets={BTC: D(1)}))))) == []
