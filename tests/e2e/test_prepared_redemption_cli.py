"""A redemption of a quarter of a fund on the paper exchange: with --prepare no leverage ever comes near the emergency level."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.test_books_cli import configure
from tests.fakes.command_line import CommandLine

D = Decimal
EMERGENCY = D(4)


@pytest.fixture
def fund(tmp_path: Path, keeper_here: CommandLine) -> CommandLine:
    """A fund of 100,000 USDT at 3x whose books are open."""
    configure(tmp_path, usdt="85000")
    assert keeper_here("rebalance", "--yes").code == 0
    assert leverage(keeper_here) == pytest.approx(D(3))
    assert keeper_here("nav", "open", "--yes").code == 0
    return keeper_here


def leverage(run: CommandLine) -> Decimal:
    return D(run("plan", "--json").document["gross_leverage"])


def pay_out(folder: Path, amount: Decimal) -> None:
    """Take money out of the paper account, as a withdrawal would."""
    [path] = (folder / "var").glob("paper-*.json")
    kept = json.loads(path.read_text())
    balances = kept["account"]["balances"] if "account" in kept else kept["balances"]
    balances["USDT"] = str(D(balances["USDT"]) - amount)
    path.write_text(json.dumps(kept))


def test_with_prepare_the_money_leaves_a_fund_that_has_made_room_for_it(tmp_path: Path, fund: CommandLine) -> None:
    redeemed = fund("nav", "redeem", "btc3l", "--amount", "25000", "--prepare", "--id", "r1", "--yes", "--reason", "ann")
    assert redeemed.code == 0, redeemed.err
    levels = [leverage(fund)]
    assert levels[0] == pytest.approx(D("2.25"), abs=D("1e-6"))
    plan = fund("plan", "--json").document
    assert (plan["legs"], plan["targets"]) == ([], {"BTC/USDT:USDT": "3"})
    assert plan["notes"] == ["sized on NAV less 25000.00 USDT, which is on its way out: `keeper nav moved` once it has left"]
    [run] = fund("runs", "list", "--json").document["runs"][:1]
    assert fund("runs", "show", run["run"], "--json").document["asked"] == "a redemption is on its way out: ann"
    pay_out(tmp_path, D(25000))
    levels.append(leverage(fund))
    assert fund("nav", "moved", "btc3l", "r1", "--yes").code == 0
    levels.append(leverage(fund))
    assert levels[1:] == pytest.approx([D(3), D(3)], abs=D("1e-6"))
    assert max(levels) < EMERGENCY
    assert fund("plan").code == 0, "nothing is due"
    assert D(fund("nav", "show", "--json").document["nav_per_unit"]) == pytest.approx(D(1))


def test_without_it_the_fund_is_left_at_its_emergency_level(tmp_path: Path, fund: CommandLine) -> None:
    assert fund("nav", "redeem", "btc3l", "--amount", "25000", "--id", "r1", "--yes").code == 0
    pay_out(tmp_path, D(25000))
    assert leverage(fund) == pytest.approx(EMERGENCY)


def test_flows_net_before_a_slot_and_nothing_is_levered_up_on_money_that_has_not_come(fund: CommandLine) -> None:
    assert fund("nav", "redeem", "btc3l", "--amount", "25000", "--yes").code == 0
    assert fund("nav", "subscribe", "btc3l", "10000", "--holder", "ben", "--yes").code == 0
    assert "NAV less 15000.00 USDT" in fund("plan", "--json").document["notes"][0]
    assert fund("nav", "subscribe", "btc3l", "50000", "--holder", "cy", "--yes").code == 0
    plan = fund("plan", "--json").document
    assert (plan["notes"], plan["legs"]) == ([], [])


def test_what_does_not_go_with_prepare_is_a_usage_error(fund: CommandLine) -> None:
    for extra in ("--paid", "--json"):
        ended = fund("nav", "redeem", "btc3l", "--amount", "25000", "--prepare", "--yes", extra)
        assert ended.code == 64
        assert "--prepare does not go with" in ended.err
