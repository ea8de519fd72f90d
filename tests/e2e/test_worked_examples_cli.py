"""The worked examples of the mechanics, by configuration alone: what `keeper plan` and `keeper rebalance` say of them."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.command_line import CommandLine, keeper
from tests.fakes.documents import assert_plan, assert_run

PERP = "BTC/USDT:USDT"
ETH_PERP = "ETH/USDT:USDT"
LIMITS = "limits = { max_leverage = 7, max_order_notional = 1000000, max_turnover_per_day = 10 }"
AT_52500 = f"""
[venues.sim]
exchange = "paper"
[venues.sim.feed]
kind = "fixed"
prices = {{ "{PERP}" = "52500" }}
markets."{PERP}" = {{ tick = "0.01", lot = "0.00000001", taker_bps = 5, maker_bps = 2 }}
[venues.sim.account]
balances = {{ USDT = "100000" }}
positions = {{ "{PERP}" = {{ contracts = "6", entry = "50000" }} }}
[funds.btc3l]
venue = "sim"
target = {{ "{PERP}" = 3.0 }}
{LIMITS}
"""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A configuration and what must come of it. trades: market, side, notional, and the notional of one lot."""

    prices: str
    balances: str
    positions: str = "{}"
    markets: str = "{}"
    target: str
    nav: str
    leverage: str
    trades: tuple[tuple[str, str, str, str], ...]
    after: str = "3"
    fund: str = ""

    @property
    def text(self) -> str:
        return f"""
[venues.sim]
exchange = "paper"
feed = {{ kind = "fixed", prices = {self.prices}, markets = {self.markets} }}
account = {{ balances = {self.balances}, positions = {self.positions} }}
[funds.btc3l]
venue = "sim"
target = {self.target}
{LIMITS}
{self.fund}
"""


def perp(price: str, held: str, target: str, bps: int = 0) -> dict[str, str]:
    """The parts of an example on one perpetual with 100 USDT in the wallet. held: contracts bought at 100."""
    return {
        "prices": f'{{ "{PERP}" = "{price}" }}',
        "balances": '{ USDT = "100" }',
        "positions": f'{{ "{PERP}" = {{ contracts = "{held}", entry = "100" }} }}',
        "markets": f'{{ "{PERP}" = {{ taker_bps = {bps} }} }}',
        "target": f'{{ "{PERP}" = {target} }}',
    }


def inverse(bps: int) -> dict[str, str]:
    """One coin of equity and 100,000 contracts of one USD, bought at 50,000."""
    return {
        "prices": '{ "BTC/USD:BTC" = "52500" }',
        "balances": '{ BTC = "1" }',
        "positions": '{ "BTC/USD:BTC" = { contracts = "100000", entry = "50000" } }',
        "markets": f'{{ "BTC/USD:BTC" = {{ contract_size = "1", lot = "0.001", taker_bps = {bps} }} }}',
        "target": '{ "BTC/USD:BTC" = 3.0 }',
    }


def fli(price: str, *, nav: str, leverage: str, after: str, trade: tuple[str, str, str]) -> Example:
    """Two ether against a debt of 1,000, recentered within a band. trade: side, notional, and the notional of one lot."""
    return Example(
        prices=f'{{ "ETH/USD" = "{price}" }}',
        balances='{ USD = "-1000", ETH = "2" }',
        target='{ "ETH/USD" = 2 }',
        fund='bands = { min = { "ETH/USD" = 1.7 }, max = { "ETH/USD" = 2.3 }, to = "recenter", speed = 0.05 }',
        nav=nav,
        leverage=leverage,
        after=after,
        trades=(("ETH/USD", *trade),),
    )


EXAMPLES = {
    "1: a fund at 3x after +5 %": Example(
        **perp("105", "3", "3"), nav="115", leverage="2.739130", trades=((PERP, "buy", "30", "0.000105"),)
    ),
    "1: its mirror image sells into the fall": Example(
        **perp("95", "3", "3"), nav="85", leverage="3.352941", trades=((PERP, "sell", "30", "0.000095"),)
    ),
    "2: borrowed dollars and ether, on the spot market": Example(
        prices='{ "ETH/USD" = "210" }',
        balances='{ USD = "-20000", ETH = "150" }',
        target='{ "ETH/USD" = 3 }',
        nav="11500",
        leverage="2.739130",
        trades=(("ETH/USD", "buy", "3000", "0.00021"),),
    ),
    "6: FLI levers up by a step": fli("1100", nav="1200", leverage="1.833333", after="1.841667", trade=("buy", "10", "0.0011")),
    "6: FLI levers down by a step": fli("900", nav="800", leverage="2.25", after="2.2375", trade=("sell", "10", "0.0009")),
    "7: a gap of +30 pays for its own trade": Example(
        **perp("105", "3", "3", 5), nav="115", leverage="2.739130", trades=((PERP, "buy", "29.955067", "0.000105"),)
    ),
    "7: so does a gap of -30": Example(
        **perp("95", "3", "3", 5), nav="85", leverage="3.352941", trades=((PERP, "sell", "30.045068", "0.000095"),)
    ),
    "7: from +3 to -1": Example(
        **perp("100", "3", "-1", 5), nav="100", leverage="3", after="-1", trades=((PERP, "sell", "399.800100", "0.0001"),)
    ),
    "7b: an inverse contract": Example(
        **inverse(0), nav="57500", leverage="2.739130", trades=(("BTC/USD:BTC", "buy", "15000", "0.001"),)
    ),
    "7b: an inverse contract with a fee": Example(
        **inverse(5), nav="57500", leverage="2.739130", trades=(("BTC/USD:BTC", "buy", "14985.015", "0.001"),)
    ),
}
# target, deadband, emergency; then where the fund acts again and by which move
TRIGGERS = [
    ("3", "0", "4", {"4": "-0.111111"}),
    ("-3", "0", "4", {"-4": "0.066667"}),
    ("3", "0", "4.125", {"4.125": "-0.12"}),
    ("3", "0.25", "4.125", {"4.125": "-0.12", "3.75": "-0.090909", "2.25": "0.2"}),
    ("5", "0", "7", {"7": "-0.066667"}),
]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_a_worked_example_is_planned_and_carried_out(example: Example, tmp_path: Path, keeper_here: CommandLine) -> None:
    (tmp_path / "keeper.toml").write_text(example.text)
    planned = keeper_here("plan", "--json")
    assert planned.code == 2, planned.err
    plan = planned.document
    assert_plan(plan)
    assert Decimal(plan["nav"]) == Decimal(example.nav)
    assert near(plan["leverage"], example.leverage)
    for leg, (market, side, notional, lot) in zip(plan["legs"], example.trades, strict=True):
        assert (leg["market"], leg["side"]) == (market, side)
        assert 0 <= Decimal(notional) - Decimal(leg["notional"]) + Decimal("5e-7") <= Decimal(lot) + Decimal("1e-6")
    done = keeper_here("rebalance", "--yes", "--json")
    assert done.code == 0, done.err
    run = done.document
    assert_run(run)
    assert run["status"] == "completed"
    assert len(run["children"]) > 1
    for leg, (_, _, notional, lot) in zip(run["legs"], example.trades, strict=True):
        assert abs(Decimal(leg["gap"])) < Decimal("0.001")
        assert abs(Decimal(leg["notional_traded"]) - Decimal(notional)) < 2 * Decimal(lot)
    # fees are all that a trade costs in a market that stands still, and they come out of NAV
    assert Decimal(run["nav_before"]) - Decimal(run["nav_after"]) == pytest.approx(Decimal(run["fees"]), abs=Decimal("1e-7"))
    # one lot is the remainder that may be left
    one_lot = 2 * Decimal(example.trades[0][3]) / Decimal(example.nav)
    assert abs(Decimal(run["leverage_after"]) - Decimal(example.after)) < one_lot + Decimal("1e-8")


def test_seven_in_a_process_of_its_own_to_six_decimals(tmp_path: Path) -> None:
    (tmp_path / "keeper.toml").write_text(AT_52500)
    planned = keeper(tmp_path, "plan", "--json")
    assert planned.code == 2, planned.err
    [leg] = planned.document["legs"]
    assert planned.document["nav"] == "115000"
    assert leg["notional"].startswith("29955.067")
    assert near(leg["leverage_after"], "3")
    done = keeper(tmp_path, "rebalance", "--yes", "--json")
    assert done.code == 0, done.err
    assert near(done.document["leverage_before"], "2.739130")
    assert near(done.document["leverage_after"], "3")
    assert done.document["filled_notional"].startswith("29955.067")
    assert done.document["shortfall"]["total_bps"] == "5"
    [leg] = done.document["legs"]
    assert abs(Decimal(leg["gap"])) < Decimal("0.00000001")
    # the account remembers: there is nothing left to do
    again = keeper(tmp_path, "plan", "--json")
    assert (again.code, again.document["legs"], again.document["due"]) == (0, [], False)


def test_two_markets_at_three_and_minus_three_both_end_exactly_there(tmp_path: Path, keeper_here: CommandLine) -> None:
    rules = '{ lot = "0.00000001", taker_bps = 5 }'
    example = Example(
        prices=f'{{ "{PERP}" = "100", "{ETH_PERP}" = "10" }}',
        balances='{ USDT = "100" }',
        markets=f'{{ "{PERP}" = {rules}, "{ETH_PERP}" = {rules} }}',
        target=f'{{ "{PERP}" = 3, "{ETH_PERP}" = -3 }}',
        nav="100",
        leverage="0",
        trades=(),
    )
    (tmp_path / "keeper.toml").write_text(example.text)
    done = keeper_here("rebalance", "--yes", "--json")
    assert done.code == 0, done.err
    after = {leg["market"]: leg["leverage_after"] for leg in done.document["legs"]}
    assert near(after[PERP], "3")
    assert near(after[ETH_PERP], "-3")
    assert near(done.document["gross_leverage_after"], "6")
    assert near(done.document["leverage_after"], "0")


@pytest.mark.parametrize(("target", "deadband", "emergency", "moves"), TRIGGERS)
def test_five_the_moves_that_make_the_fund_act_again(
    tmp_path: Path, keeper_here: CommandLine, target: str, deadband: str, emergency: str, moves: dict[str, str]
) -> None:
    rules = f"bands = {{ deadband = {deadband} }}\nemergency = {{ max_leverage = {emergency} }}"
    example = Example(**perp("100", target, target), nav="100", leverage=target, trades=(), fund=rules)
    (tmp_path / "keeper.toml").write_text(example.text)
    planned = keeper_here("plan", "--json")
    assert planned.code == 0, planned.err
    triggers = planned.document["triggers"]
    found = {Decimal(trigger["leverage"]): trigger for trigger in triggers}
    assert len(found) == len(triggers)
    assert set(found) == {Decimal(leverage) for leverage in moves}
    for leverage, move in moves.items():
        trigger = found[Decimal(leverage)]
        assert near(trigger["move"], move)
        assert Decimal(trigger["price"]) == pytest.approx(100 * (1 + Decimal(trigger["move"])), abs=Decimal("1e-5"))


def test_a_band_that_is_worked_out_says_how(tmp_path: Path, keeper_here: CommandLine) -> None:
    (tmp_path / "keeper.toml").write_text(
        f"""
[venues.sim]
exchange = "paper"
feed = {{ kind = "synthetic", prices = {{ "{PERP}" = "50000" }}, markets = {{ "{PERP}" = {{ taker_bps = 5 }} }} }}
account = {{ balances = {{ USDT = "100000" }}, positions = {{ "{PERP}" = {{ contracts = "6", entry = "50000" }} }} }}
[funds.btc3l]
venue = "sim"
target = {{ "{PERP}" = 3.0 }}
bands = {{ deadband = "auto", aversion = 5, to = "edge" }}
"""
    )
    planned = keeper_here("plan", "--json")
    assert planned.code == 0, planned.err
    [note] = planned.document["notes"]
    assert note.startswith(f"{PERP} is left alone from 2.")
    assert "bands.aversion is 5" in note
    assert {trigger["cause"] for trigger in planned.document["triggers"]} == {"band", "emergency"}
    assert "is left alone from 2." in keeper_here("plan").out


def test_a_plan_that_a_limit_forbids_says_so_and_is_not_carried_out(tmp_path: Path, keeper_here: CommandLine) -> None:
    (tmp_path / "keeper.toml").write_text(AT_52500.replace("max_turnover_per_day = 10", "max_turnover_per_day = 0.1"))
    planned = keeper_here("plan", "--json")
    assert planned.code == 3
    assert_plan(planned.document)
    [refusal] = planned.document["refusals"]
    assert refusal["code"] == "turnover"
    assert "limits.max_turnover_per_day = 0.1" in refusal["message"]
    refused = keeper_here("rebalance", "--yes", "--json")
    assert refused.code == 3
    assert refused.document["status"] == "refused"
    assert refused.document["children"] == []
    assert "limits.max_turnover_per_day" in refused.document["reason"]


def near(figure: str, wanted: str) -> bool:
    """Whether two figures agree to six decimals."""
    return abs(Decimal(figure) - Decimal(wanted)) <= Decimal("6e-7")
